//! What one extension is doing.

use firelet_types::ExtensionId;
use tokio::sync::oneshot;

use super::{Event, Events, Refusal};
use crate::platform_log;

/// An extension's pending `GET /next`.
pub(crate) type Poller = oneshot::Sender<Event>;

/// One extension.
pub(super) struct Extension {
    id: ExtensionId,
    name: String,
    events: Events,
    activity: Activity,
    /// What it gets when it asks next: nobody was there when it was sent.
    owed: Option<Event>,
    /// Whether the environment is not free before it asks for its next event.
    is_awaited: bool,
}

enum Activity {
    /// It has not asked for an event yet.
    Registered,
    /// It waits for an event.
    Ready { poller: Poller },
    /// It works on an event.
    Running,
    /// It said that it cannot start, for an error of this type.
    InitError { error_type: String },
    /// It said that it exits, for an error of this type.
    ExitError { error_type: String },
}

impl Extension {
    pub(super) fn registered(id: ExtensionId, name: &str, events: Events) -> Self {
        let activity = Activity::Registered;
        Self { id, name: name.to_owned(), events, activity, owed: None, is_awaited: true }
    }

    pub(super) const fn id(&self) -> ExtensionId {
        self.id
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn events(&self) -> Events {
        self.events
    }

    pub(super) const fn is_awaited(&self) -> bool {
        self.is_awaited
    }

    /// It asks for its next event.
    pub(super) fn next(&mut self, poller: Poller) -> Result<(), Refusal> {
        match &self.activity {
            Activity::Registered | Activity::Running => {}
            Activity::Ready { poller } if poller.is_closed() => {}
            Activity::Ready { .. } | Activity::InitError { .. } | Activity::ExitError { .. } => {
                return Err(self.refusal("Ready"));
            }
        }
        self.activity = Activity::Ready { poller };
        match self.owed.take() {
            Some(event) => self.tell(event),
            None => self.is_awaited = false,
        }
        Ok(())
    }

    /// The function is invoked.
    pub(super) fn invoke(&mut self, event: Event) {
        self.is_awaited = true;
        self.tell(event);
    }

    fn tell(&mut self, event: Event) {
        match std::mem::replace(&mut self.activity, Activity::Running) {
            Activity::Ready { poller } => self.owed = poller.send(event).err(),
            activity => {
                self.activity = activity;
                self.owed = Some(event);
            }
        }
    }

    /// It cannot start. The first error counts.
    pub(super) fn fail_init(&mut self, error_type: &str) -> Result<(), Refusal> {
        match self.activity {
            Activity::Registered => {
                self.activity = Activity::InitError { error_type: error_type.to_owned() };
                Ok(())
            }
            Activity::InitError { .. } => Ok(()),
            _ => Err(self.refusal("InitError")),
        }
    }

    /// It is about to exit. The first error counts.
    pub(super) fn fail_exit(&mut self, error_type: &str) -> Result<(), Refusal> {
        match self.activity {
            Activity::Registered | Activity::Ready { .. } | Activity::Running => {
                self.activity = Activity::ExitError { error_type: error_type.to_owned() };
                Ok(())
            }
            Activity::ExitError { .. } => Ok(()),
            // The emulator names the state after the exit, not the one that it would move to.
            Activity::InitError { .. } => Err(self.refusal("Exited")),
        }
    }

    /// What the log says of it.
    pub(super) fn status(&self) -> platform_log::event::Extension {
        let error_type = match &self.activity {
            Activity::InitError { error_type } | Activity::ExitError { error_type } => {
                Some(error_type.as_str().into())
            }
            Activity::Registered | Activity::Ready { .. } | Activity::Running => None,
        };
        let (name, events) = (self.name.as_str().into(), self.events.names().collect());
        platform_log::event::Extension { name, state: self.state(), events, error_type }
    }

    const fn state(&self) -> &'static str {
        match self.activity {
            Activity::Registered => "Registered",
            Activity::Ready { .. } => "Ready",
            Activity::Running => "Running",
            Activity::InitError { .. } => "InitError",
            Activity::ExitError { .. } => "ExitError",
        }
    }

    const fn refusal(&self, to: &'static str) -> Refusal {
        Refusal::Transition { from: self.state(), to }
    }
}
