//! The extensions of one environment: who has registered, what each is doing, and what it is told next.
//!
//! Synchronous and free of input and output, like [`crate::state`], which owns it. A function without extensions has an empty
//! list here, which costs its invocations nothing.
//!
//! States, their names and the allowed transitions are those of AWS's open Runtime Interface Emulator (`lambda/core`),
//! but for one: an extension whose poll is gone with its connection may poll again.

mod event;
mod extension;

use std::sync::Arc;

use firelet_types::{ExtensionId, limits};
use tokio::sync::oneshot;

pub(crate) use self::event::{Event, Events, InvokeEvent, ShutdownEvent};
use self::extension::Extension;
pub(crate) use self::extension::Poller;
use crate::failure::ExtensionError;
use crate::platform_log;
use crate::state::Invocation;

/// Bytes of an extension's name: what a file's name can have.
const NAME_BYTES: usize = 255;

/// Why the Extensions API refuses a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The name is empty.
    EmptyName,
    /// The name is longer than a file's can be.
    LongName,
    /// The runtime has asked for its first event.
    RegistrationClosed,
    /// Another extension has that name.
    NameTaken,
    /// There are as many as there may be.
    TooMany,
    /// An extension of that kind cannot have this event.
    InvalidEvent(String),
    /// Nobody has that identifier.
    Unknown,
    /// The call does not fit what the extension is doing.
    Transition { from: &'static str, to: &'static str },
}

/// Which kinds of extensions an environment has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kinds {
    /// Inside of the runtime's process.
    pub(crate) internal: bool,
    /// Programs of their own.
    pub(crate) external: bool,
}

/// All extensions of one environment.
#[derive(Default)]
pub(crate) struct Extensions {
    members: Vec<Extension>,
    /// Whether the runtime has asked for its first event, after which nobody registers.
    is_closed: bool,
    /// The first error that one of them told of.
    told: Option<ExtensionError>,
    /// Told when all programs have registered.
    all_registered: Option<oneshot::Sender<()>>,
}

impl Extensions {
    /// The first error that one of them told of.
    pub(crate) const fn told(&self) -> Option<ExtensionError> {
        self.told
    }

    /// A program of its own is about to be started, which has to register.
    pub(crate) fn expect(&mut self, name: &str) -> Result<(), Refusal> {
        if self.members.len() >= limits::EXTENSIONS {
            return Err(Refusal::TooMany);
        }
        self.members.push(Extension::external(name));
        Ok(())
    }

    /// Has `all` told once every program has registered; at once where that is so.
    pub(crate) fn when_registered(&mut self, all: oneshot::Sender<()>) {
        self.all_registered = Some(all);
        self.tell_if_registered();
    }

    fn tell_if_registered(&mut self) {
        if !self.members.iter().any(Extension::is_expected)
            && let Some(all) = self.all_registered.take()
        {
            // Whoever wanted to know may have gone.
            let _ = all.send(());
        }
    }

    /// Registers the program of that name; without one, an extension inside of the runtime's process.
    pub(crate) fn register(&mut self, id: ExtensionId, name: &str, events: &[String]) -> Result<(), Refusal> {
        check_name(name)?;
        if let Some(extension) = self.external(name) {
            extension.register(id, Events::of_external(events)?)?;
            self.tell_if_registered();
            return Ok(());
        }
        let events = Events::of_internal(events)?;
        if self.is_closed {
            return Err(Refusal::RegistrationClosed);
        }
        if self.members.len() >= limits::EXTENSIONS {
            return Err(Refusal::TooMany);
        }
        if self.members.iter().any(|extension| extension.name() == name) {
            return Err(Refusal::NameTaken);
        }
        self.members.push(Extension::internal(id, name, events));
        Ok(())
    }

    /// Nobody registers from now on.
    pub(crate) const fn close(&mut self) {
        self.is_closed = true;
    }

    /// An extension asks for its next event.
    pub(crate) fn next(&mut self, id: ExtensionId, poller: Poller) -> Result<(), Refusal> {
        self.find(id)?.next(poller)
    }

    /// An extension says that it cannot start.
    pub(crate) fn fail_init(&mut self, id: ExtensionId, error_type: &str) -> Result<(), Refusal> {
        self.find(id)?.fail_init(error_type)?;
        self.told.get_or_insert(ExtensionError::Init);
        Ok(())
    }

    /// An extension says that it is about to exit, after an error.
    pub(crate) fn fail_exit(&mut self, id: ExtensionId, error_type: &str) -> Result<(), Refusal> {
        self.find(id)?.fail_exit(error_type)?;
        self.told.get_or_insert(ExtensionError::Exit);
        Ok(())
    }

    /// Tells of an invocation those who want to hear of it. They are waited for from now on.
    pub(crate) fn invoke(&mut self, invocation: &Invocation) {
        let mut subscribers =
            self.members.iter_mut().filter(|extension| extension.events().invoke).peekable();
        if subscribers.peek().is_none() {
            return;
        }
        let event = InvokeEvent::of(invocation);
        for extension in subscribers {
            extension.invoke(Event::Invoke(event.clone()));
        }
    }

    /// Whether nobody is waited for.
    pub(crate) fn are_idle(&self) -> bool {
        !self.members.iter().any(Extension::is_awaited)
    }

    /// The name of an extension.
    pub(crate) fn name(&self, id: ExtensionId) -> Option<&str> {
        self.members.iter().find(|extension| extension.id() == Some(id)).map(Extension::name)
    }

    /// What the log says of each.
    pub(crate) fn statuses(&self) -> Vec<platform_log::event::Extension> {
        self.members.iter().map(Extension::status).collect()
    }

    /// Which kinds there are.
    pub(crate) fn kinds(&self) -> Kinds {
        let external = self.members.iter().any(Extension::is_external);
        let internal = self.members.iter().any(|extension| !extension.is_external());
        Kinds { internal, external }
    }

    /// The program `name` cannot be started.
    pub(crate) fn unlaunched(&mut self, name: &str, error_type: &'static str) {
        if let Some(extension) = self.external(name) {
            extension.unlaunched(error_type);
        }
    }

    /// Tells of the shutdown those who want to hear of it, and gives the names of programs that do not.
    pub(crate) fn shut_down(&mut self, event: ShutdownEvent) -> Vec<Arc<str>> {
        let (told, others): (Vec<_>, Vec<_>) = self
            .members
            .iter_mut()
            .filter(|extension| extension.is_external())
            .partition(|extension| extension.events().shutdown);
        for extension in told {
            extension.tell(Event::Shutdown(event));
        }
        others.iter().map(|extension| extension.name().into()).collect()
    }

    fn external(&mut self, name: &str) -> Option<&mut Extension> {
        self.members.iter_mut().find(|extension| extension.is_external() && extension.name() == name)
    }

    fn find(&mut self, id: ExtensionId) -> Result<&mut Extension, Refusal> {
        self.members.iter_mut().find(|extension| extension.id() == Some(id)).ok_or(Refusal::Unknown)
    }
}

const fn check_name(name: &str) -> Result<(), Refusal> {
    match name.len() {
        0 => Err(Refusal::EmptyName),
        1..=NAME_BYTES => Ok(()),
        _ => Err(Refusal::LongName),
    }
}

#[cfg(test)]
mod tests;
