//! The life of a mapping: which state a change leads to, and what follows a state that passes.
//!
//! Pure. See <https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html>, `State`.

use firelet_store::MappingState;
use firelet_store::mapping::Rest;

use super::kind::Kind;

pub(super) const fn wanted(enabled: bool) -> Rest {
    if enabled { Rest::Enabled } else { Rest::Disabled }
}

/// The state of a new mapping. One of a queue that is not to be polled has nothing to be made.
pub(super) const fn created(kind: Kind, rest: Rest) -> MappingState {
    match (kind, rest) {
        (Kind::Queue { .. }, Rest::Disabled) => MappingState::Settled(Rest::Disabled),
        _ => MappingState::Creating(rest),
    }
}

/// The state of a mapping that was at rest and is being updated.
pub(super) const fn updated(before: Rest, enabled: Option<bool>) -> MappingState {
    match (before, enabled) {
        (Rest::Disabled, Some(true)) => MappingState::Enabling,
        (Rest::Enabled, Some(false)) => MappingState::Disabling,
        (rest, _) => MappingState::Updating(rest),
    }
}

/// What a state that passes ends in: rest, or, for none, the end of the mapping.
pub(super) const fn end(state: MappingState) -> Option<Rest> {
    match state {
        MappingState::Creating(rest) | MappingState::Updating(rest) | MappingState::Settled(rest) => {
            Some(rest)
        }
        MappingState::Enabling => Some(Rest::Enabled),
        MappingState::Disabling => Some(Rest::Disabled),
        MappingState::Deleting => None,
    }
}

/// The state in the words of the API.
pub(super) const fn text(state: MappingState) -> &'static str {
    match state {
        MappingState::Creating(_) => "Creating",
        MappingState::Enabling => "Enabling",
        MappingState::Disabling => "Disabling",
        MappingState::Updating(_) => "Updating",
        MappingState::Deleting => "Deleting",
        MappingState::Settled(Rest::Enabled) => "Enabled",
        MappingState::Settled(Rest::Disabled) => "Disabled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_queue_that_is_not_polled_is_made_at_once() {
        let queue = Kind::Queue { is_fifo: false };
        for (kind, rest, expected) in [
            (queue, Rest::Enabled, "Creating"),
            (queue, Rest::Disabled, "Disabled"),
            (Kind::Kinesis, Rest::Enabled, "Creating"),
            (Kind::Kinesis, Rest::Disabled, "Creating"),
            (Kind::SelfManagedKafka, Rest::Disabled, "Creating"),
        ] {
            let state = created(kind, rest);
            assert_eq!((text(state), end(state)), (expected, Some(rest)), "{kind:?} {rest:?}");
        }
    }

    #[test]
    fn an_update_leads_to_what_was_asked_for() {
        for (before, enabled, through, expected) in [
            (Rest::Enabled, None, "Updating", Rest::Enabled),
            (Rest::Enabled, Some(true), "Updating", Rest::Enabled),
            (Rest::Enabled, Some(false), "Disabling", Rest::Disabled),
            (Rest::Disabled, None, "Updating", Rest::Disabled),
            (Rest::Disabled, Some(false), "Updating", Rest::Disabled),
            (Rest::Disabled, Some(true), "Enabling", Rest::Enabled),
        ] {
            let state = updated(before, enabled);
            assert_eq!((text(state), end(state)), (through, Some(expected)), "{before:?} {enabled:?}");
        }
    }
}
