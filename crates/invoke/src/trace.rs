//! The trace header that travels with an invocation.
//!
//! A root that came with the request is kept; without one a new root is made, not sampled. See
//! <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>.

use firelet_types::{RequestId, Timestamp};

/// The longest header that is passed on; a longer one is replaced.
const HEADER_BYTES: usize = 1_024;

/// The value of `X-Amzn-Trace-Id` for an invocation that came with `given`. `seed` makes a new root unique.
pub(crate) fn trace_header(given: Option<&str>, seed: RequestId, now: Timestamp) -> String {
    match given {
        Some(given) if given.contains("Root=") && given.len() <= HEADER_BYTES => given.to_owned(),
        _ => {
            let unique = seed.simple();
            let seconds = now.as_millis() / 1_000;
            let (root, parent) = (&unique[..24], &unique[16..]);
            format!("Root=1-{seconds:08x}-{root};Parent={parent};Sampled=0")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_root_is_kept_and_a_missing_one_is_made() {
        let seed = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        let now = Timestamp::from_millis(1_700_000_000_000);
        let given = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        assert_eq!(trace_header(Some(given), seed, now), given);
        let made = "Root=1-6553f100-111111112222433384445555;Parent=8444555555555555;Sampled=0";
        for nothing in [None, Some(""), Some("nonsense")] {
            assert_eq!(trace_header(nothing, seed, now), made);
        }
    }
}
