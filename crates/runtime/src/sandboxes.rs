//! The maker of sandboxes, made anew when its helper process has ended.

use std::sync::Arc;

use firelet_sandbox::{Enforcement, Error, Launcher, Options, Sandbox, Spec, Stock, Template};
use parking_lot::Mutex;

/// Processes and threads of one environment, as documented for Lambda.
pub(crate) const PROCESSES: u32 = 1_024;

/// Launches sandboxes for as long as the server runs, whatever happens to the helper.
#[derive(Debug)]
pub struct Sandboxes {
    options: Options,
    launcher: Mutex<Arc<Launcher>>,
    /// What is started ahead, by this helper or its successor.
    templates: Mutex<Vec<Template>>,
}

impl Sandboxes {
    /// Starts the helper.
    ///
    /// # Errors
    ///
    /// See [`Launcher::start`].
    pub fn start(options: Options) -> Result<Self, Error> {
        let launcher = Arc::new(Launcher::start(&options)?);
        Ok(Self { options, launcher: Mutex::new(launcher), templates: Mutex::default() })
    }

    /// What this host enforces.
    #[must_use]
    pub fn enforcement(&self) -> Enforcement {
        self.launcher.lock().enforcement().clone()
    }

    /// Launches one sandbox. Blocks for about as long as a process takes to start.
    ///
    /// # Errors
    ///
    /// See [`Launcher::launch`].
    pub(crate) fn launch(&self, spec: &Spec) -> Result<Sandbox, Error> {
        let launcher = Arc::clone(&self.launcher.lock());
        match launcher.launch(spec) {
            Err(Error::HelperEnded) => self.successor_of(&launcher)?.launch(spec),
            result => result,
        }
    }

    /// Has the programs of `templates` started ahead, in place of those told before. Returns at once.
    pub(crate) fn prepare(&self, templates: Vec<Template>) {
        let launcher = Arc::clone(&self.launcher.lock());
        let mut current = self.templates.lock();
        *current = templates;
        prepare(&launcher, &current);
    }

    /// The process id of the helper that makes sandboxes now; it may have ended.
    #[must_use]
    pub fn helper_id(&self) -> u32 {
        self.launcher.lock().helper_id()
    }

    /// What waits of the programs that are started ahead. Blocks for a round trip to the helper.
    ///
    /// # Errors
    ///
    /// When the helper has ended, or does not answer.
    pub fn stock(&self) -> Result<Vec<Stock>, Error> {
        let launcher = Arc::clone(&self.launcher.lock());
        launcher.stock()
    }

    /// The helper that follows `ended`, started by whoever asks first.
    fn successor_of(&self, ended: &Arc<Launcher>) -> Result<Arc<Launcher>, Error> {
        let mut current = self.launcher.lock();
        if Arc::ptr_eq(&current, ended) {
            tracing::error!(
                "the sandbox helper has ended, and with it every execution environment; starting another"
            );
            *current = Arc::new(Launcher::start(&self.options)?);
            prepare(&current, &self.templates.lock());
        }
        Ok(Arc::clone(&current))
    }
}

/// Launches go on without programs that wait.
fn prepare(launcher: &Launcher, templates: &[Template]) {
    if let Err(error) = launcher.prepare(templates, PROCESSES) {
        tracing::warn!(%error, "cannot start interpreters ahead; cold starts take longer");
    }
}
