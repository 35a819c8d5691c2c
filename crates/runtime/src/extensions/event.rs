//! What extensions are told.

use std::sync::Arc;

use firelet_types::{RequestId, Timestamp};

use super::Refusal;
use crate::state::Invocation;

/// One event on its way to an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The function is invoked.
    Invoke(Arc<InvokeEvent>),
    /// The environment is shut down.
    Shutdown(ShutdownEvent),
}

/// What extensions learn of the end of their environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShutdownEvent {
    /// In small letters, as recorded; AWS's documentation has large ones.
    pub(crate) reason: &'static str,
    /// When what is left is killed.
    pub(crate) deadline: Timestamp,
}

/// What extensions learn of an invocation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvokeEvent {
    pub(crate) deadline: Timestamp,
    pub(crate) request_id: RequestId,
    pub(crate) function_arn: String,
    pub(crate) trace_id: Option<String>,
}

impl InvokeEvent {
    pub(super) fn of(invocation: &Invocation) -> Arc<Self> {
        Arc::new(Self {
            deadline: invocation.deadline,
            request_id: invocation.request_id,
            function_arn: invocation.function_arn.clone(),
            trace_id: invocation.trace_id.clone(),
        })
    }
}

/// Of which events an extension wants to hear.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Events {
    pub(crate) invoke: bool,
    pub(crate) shutdown: bool,
}

impl Events {
    /// Their names.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        let invoke = self.invoke.then_some("INVOKE");
        let shutdown = self.shutdown.then_some("SHUTDOWN");
        invoke.into_iter().chain(shutdown)
    }

    pub(super) fn of_external(names: &[String]) -> Result<Self, Refusal> {
        let mut events = Self::default();
        for name in names {
            match name.as_str() {
                "INVOKE" => events.invoke = true,
                "SHUTDOWN" => events.shutdown = true,
                _ => return Err(Refusal::InvalidEvent(name.clone())),
            }
        }
        Ok(events)
    }

    /// An extension inside of the runtime's process cannot outlive it.
    pub(super) fn of_internal(names: &[String]) -> Result<Self, Refusal> {
        let mut events = Self::default();
        for name in names {
            match name.as_str() {
                "INVOKE" => events.invoke = true,
                _ => return Err(Refusal::InvalidEvent(name.clone())),
            }
        }
        Ok(events)
    }
}
