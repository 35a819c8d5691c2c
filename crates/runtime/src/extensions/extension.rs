//! What one extension is doing.

use firelet_types::ExtensionId;
use tokio::sync::oneshot;

use super::{Event, Events, Refusal};
use crate::platform_log;

/// An extension's pending `GET /next`.
pub(crate) type Poller = oneshot::Sender<Event>;

/// One extension.
pub(super) struct Extension {
    /// None before it has registered.
    id: Option<ExtensionId>,
    /// Whether it is a program of its own.
    is_external: bool,
    name: String,
    events: Events,
    activity: Activity,
    /// What it gets when it asks next: nobody was there when it was sent.
    owed: Option<Event>,
    /// Whether the environment is not free before it asks for its next event.
    is_awaited: bool,
}

enum Activity {
    /// Its program runs, or is about to.
    Started,
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
    /// Its program could not be started.
    LaunchError { error_type: &'static str },
}

impl Extension {
    /// Inside of the runtime's process.
    pub(super) fn internal(id: ExtensionId, name: &str, events: Events) -> Self {
        Self::new(Some(id), false, name, events, Activity::Registered)
    }

    /// A program of its own, which has not registered yet.
    pub(super) fn external(name: &str) -> Self {
        Self::new(None, true, name, Events::default(), Activity::Started)
    }

    fn new(
        id: Option<ExtensionId>,
        is_external: bool,
        name: &str,
        events: Events,
        activity: Activity,
    ) -> Self {
        Self { id, is_external, name: name.to_owned(), events, activity, owed: None, is_awaited: true }
    }

    pub(super) const fn id(&self) -> Option<ExtensionId> {
        self.id
    }

    pub(super) const fn is_external(&self) -> bool {
        self.is_external
    }

    /// Whether it has not registered yet and may still do so.
    pub(super) const fn is_expected(&self) -> bool {
        matches!(self.activity, Activity::Started)
    }

    /// Its program registers.
    pub(super) fn register(&mut self, id: ExtensionId, events: Events) -> Result<(), Refusal> {
        if !self.is_expected() {
            return Err(self.refusal("Registered"));
        }
        self.id = Some(id);
        self.events = events;
        self.activity = Activity::Registered;
        Ok(())
    }

    /// Its program cannot be started.
    pub(super) fn unlaunched(&mut self, error_type: &'static str) {
        self.activity = Activity::LaunchError { error_type };
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
            _ => return Err(self.refusal("Ready")),
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

    /// Tells it of `event`, as soon as it asks.
    pub(super) fn tell(&mut self, event: Event) {
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
            _ => Err(self.refusal("Exited")),
        }
    }

    /// What the log says of it.
    pub(super) fn status(&self) -> platform_log::event::Extension {
        let error_type = match &self.activity {
            Activity::InitError { error_type } | Activity::ExitError { error_type } => {
                Some(error_type.as_str().into())
            }
            Activity::LaunchError { error_type } => Some((*error_type).into()),
            _ => None,
        };
        let (name, events) = (self.name.as_str().into(), self.events.names().collect());
        platform_log::event::Extension { name, state: self.state(), events, error_type }
    }

    const fn state(&self) -> &'static str {
        match self.activity {
            Activity::Started => "Started",
            Activity::Registered => "Registered",
            Activity::Ready { .. } => "Ready",
            Activity::Running => "Running",
            Activity::InitError { .. } => "InitError",
            Activity::ExitError { .. } => "ExitError",
            Activity::LaunchError { .. } => "LaunchError",
        }
    }

    const fn refusal(&self, to: &'static str) -> Refusal {
        Refusal::Transition { from: self.state(), to }
    }
}
