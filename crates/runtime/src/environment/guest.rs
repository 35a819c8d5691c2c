//! Driving the guest of one environment: serving its processes while they live, ending them, and starting them anew.
//!
//! The driver owns the guest's end: others ask for it. It decides nothing about invocations, which is [`crate::state`]'s.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use firelet_sandbox::network::Ways;
use firelet_sandbox::{End, Error, ExitStatus, Program, Sandbox};
use firelet_types::{Clock, FunctionName};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::family::{Family, Handle, Member};
use super::plan::{Plan, Who};
use super::shutdown::Allowance;
use crate::extensions::ShutdownEvent;
use crate::failure::{ExitReason, Process};
use crate::guest_api::Shared;
use crate::outside::{self, Outside};
use crate::platform_log::event::Status;
use crate::state::{Ending, State};
use crate::telemetry::{self, Connector};

/// How long what a dead process had still sent is waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The same where other processes live on, whose connections are open all the while.
const LAST_WORDS_AMONG_OTHERS: Duration = Duration::from_millis(20);

/// How long processes that stood still are given to go on.
const TIME_TO_WAKE: Duration = Duration::from_millis(20);

/// What a driver is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// End all processes, for the reason that the state tells.
    End,
    /// Start them anew; the state is in its Init phase.
    Revive,
}

/// The sandbox of an environment, which is another one each time that it is started.
pub(super) struct Cage {
    pub(super) sandbox: Arc<Sandbox>,
    /// Whether the guest stands still.
    pub(super) is_frozen: bool,
}

/// The driver of one environment's guest.
pub(super) struct Guest {
    pub(super) function: FunctionName,
    pub(super) shared: Arc<Shared>,
    pub(super) cage: Arc<Mutex<Cage>>,
    /// Where the guest's connections come from, if not from its sandbox's own network.
    pub(super) host_listener: Option<TcpListener>,
    pub(super) outside: Arc<Outside>,
    pub(super) clock: Arc<dyn Clock>,
    /// The peak memory in bytes that the end of a process came with.
    pub(super) last_peak: Arc<AtomicU64>,
    pub(super) plan: Arc<Plan>,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
}

/// The ends of a sandbox that was just started, until it ends.
pub(super) struct Life {
    sandbox: Arc<Sandbox>,
    listener: Option<TcpListener>,
    ways: Option<Ways>,
    first: Member,
}

impl Life {
    /// Takes the ends of `sandbox`, whose program is `who`'s.
    ///
    /// # Errors
    ///
    /// When they cannot be waited for; with what was attempted.
    pub(super) fn new(
        mut sandbox: Sandbox,
        who: Who,
    ) -> Result<(Self, Arc<Sandbox>), (&'static str, io::Error)> {
        let listener = sandbox.take_listener().map(TcpListener::from_std).transpose();
        let listener = listener.map_err(|error| ("listen on the Runtime API", error))?;
        let exit = pipe::Receiver::from_owned_fd(sandbox.take_exit());
        let exit = exit.map_err(|error| ("watch the process", error))?;
        let (output, ways) = (sandbox.take_output(), sandbox.take_ways());
        let sandbox = Arc::new(sandbox);
        let first = Member { who, handle: Handle::First(Arc::clone(&sandbox)), output, exit };
        Ok((Self { sandbox: Arc::clone(&sandbox), listener, ways, first }, sandbox))
    }
}

/// Why processes are no longer only served.
enum Turn {
    /// One of them ended.
    Exit(Who, Option<ExitStatus>),
    /// They are to end.
    Order,
}

impl Guest {
    /// Serves the guest until its processes end, ends what is left of them, and tells its owner; again each time that they are
    /// started anew.
    pub(super) async fn drive(mut self, first: Life) {
        let mut life = first;
        loop {
            self.live(life).await;
            let due = self.shared.state.lock().ended();
            if let Some(due) = due {
                due.call();
            }
            match self.next_life().await {
                Some(next) => life = next,
                None => return,
            }
        }
    }

    /// From the start of a sandbox until nothing runs in it.
    async fn live(&mut self, life: Life) {
        let Life { sandbox, listener, ways, first } = life;
        let connector = match &listener {
            Some(_) => Connector::Sandbox(Arc::downgrade(&sandbox)),
            None => Connector::Host,
        };
        let outside = Arc::clone(&self.outside);
        let served = async {
            let telemetry = Arc::clone(self.shared.output.telemetry());
            let mut delivering = pin!(telemetry::deliver(telemetry, connector));
            tokio::select! {
                () = self.serve(&sandbox, listener, first) => {}
                never = &mut delivering => match never {},
            }
        };
        outside::serve_during(ways, outside, served).await;
    }

    async fn serve(&mut self, sandbox: &Arc<Sandbox>, listener: Option<TcpListener>, first: Member) {
        let listener = listener.as_ref().or(self.host_listener.as_ref());
        let Some(listener) = listener else { return };
        let mut family = Family::new(&self.shared);
        family.take_in(first);
        let turn = {
            let (births, mut born) = mpsc::unbounded_channel();
            let mut raising = pin!(raise(&self.plan, sandbox, &self.shared.state, births));
            let mut is_raising = true;
            loop {
                tokio::select! {
                    (who, status) = family.next_exit(listener) => break Turn::Exit(who, status),
                    Some(member) = born.recv() => family.take_in(member),
                    () = &mut raising, if is_raising => is_raising = false,
                    // An end of the channel is the end of the environment.
                    _ = self.orders.recv() => break Turn::Order,
                }
            }
        };
        match turn {
            Turn::Exit(who, status) => self.take_down(&mut family, listener, &who, status).await,
            Turn::Order => {
                self.shared.state.lock().end(Ending::Unwanted, now());
            }
        }
        self.shut_down(&mut family, listener, sandbox).await;
        sandbox.kill();
        self.hear_out(&mut family).await;
    }

    /// Takes down how a process ended, after what it had still sent.
    async fn take_down(
        &self,
        family: &mut Family,
        listener: &TcpListener,
        who: &Who,
        status: Option<ExitStatus>,
    ) {
        if family.is_empty() {
            self.hear_out(family).await;
        } else {
            family.serve_for(listener, LAST_WORDS_AMONG_OTHERS).await;
        }
        self.last_peak.fetch_max(status.map_or(0, |status| status.peak_memory_bytes), Ordering::Relaxed);
        let reason = status.map_or(ExitReason::Signaled(9), ExitReason::from);
        let process = match who {
            // Memory is the environment's, whoever used it last.
            Who::Extension(_) if status.is_some() && reason != ExitReason::OutOfMemory => Process::Extension,
            _ => Process::Runtime,
        };
        self.shared.state.lock().process_ended(process, reason, now());
    }

    /// Lets what dead processes had still sent arrive.
    async fn hear_out(&self, family: &mut Family) {
        // A process that is gone sends no more, so this ends as soon as what it had sent is read: at once, unless a caller
        // takes an answer in pieces, and then before its invocation is over.
        while tokio::time::timeout(LAST_WORDS, family.finish_connections()).await.is_err() {
            if !self.shared.state.lock().is_streaming() {
                tracing::warn!("a guest's connection outlived its process");
                break;
            }
        }
        // Likewise for its output; a disk that is slower than that loses the rest.
        let output = &self.shared.output;
        output.watch();
        let finished = async {
            family.finish_outputs().await;
            let _ = output.pump_to_end().await;
        };
        let _ = tokio::time::timeout(LAST_WORDS, finished).await;
        output.finish();
    }

    /// The shutdown phase: the runtime has some time to end when it is asked to, and extensions the rest after an event.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown>, and for the
    /// order AWS's open emulator (`lambda/rapid/shutdown.go`).
    async fn shut_down(&self, family: &mut Family, listener: &TcpListener, sandbox: &Arc<Sandbox>) {
        let (kinds, why) = {
            let state = self.shared.state.lock();
            (state.kinds(), state.ending())
        };
        let allowance = Allowance::of(kinds);
        if family.is_empty() || allowance.total.is_zero() {
            return;
        }
        self.tell_of_runtime(why);
        if self.thaw(sandbox) {
            // A signal that comes to a process before it goes on may go to a thread that does not look after signals.
            family.serve_for(listener, TIME_TO_WAKE).await;
        }
        let begun = Instant::now();
        if family.has(&Who::Runtime) {
            family.terminate(&Who::Runtime);
            let has_ended = |family: &Family| !family.has(&Who::Runtime);
            family.serve_until(listener, begun + allowance.runtime, has_ended).await;
            family.kill(&Who::Runtime);
        }
        if !kinds.external {
            return;
        }
        let left = allowance.total.saturating_sub(begun.elapsed());
        let deadline = self.clock.now().plus(left);
        let event = ShutdownEvent { reason: reason(why), deadline };
        let uninterested = self.shared.state.lock().shut_down(event);
        let uninterested: Vec<Who> = uninterested.into_iter().map(Who::Extension).collect();
        for who in &uninterested {
            family.kill(who);
        }
        let have_ended = |family: &Family| !family.has_extension_besides(&uninterested);
        family.serve_until(listener, begun + allowance.total, have_ended).await;
    }

    /// Extensions hear how the runtime's part in an invocation ended before they hear of their own end.
    fn tell_of_runtime(&self, why: Option<Ending>) {
        let status = match why {
            Some(Ending::TimedOut) => Status::Timeout,
            Some(Ending::Crashed(crash)) => Status::Error(crash.error_type().to_owned()),
            Some(Ending::Failed | Ending::Unwanted) | None => return,
        };
        let has_timeline = self.shared.state.lock().has_timeline();
        if has_timeline {
            self.shared.output.runtime_done(|| self.shared.state.lock().finish_timeline(status, now()));
        }
    }

    /// Has a guest that stands still go on, so that it can end. Says whether it stood still.
    fn thaw(&self, sandbox: &Sandbox) -> bool {
        let was_frozen = std::mem::take(&mut self.cage.lock().is_frozen);
        if was_frozen && let Err(error) = sandbox.thaw() {
            let function = &self.function;
            tracing::warn!(%function, %error, "an execution environment cannot be woken for its end");
        }
        let telemetry = self.shared.output.telemetry();
        telemetry.set_frozen(false);
        telemetry.flush();
        was_frozen
    }

    /// Waits until processes are to be started anew; none when nobody wants the environment any more.
    async fn next_life(&mut self) -> Option<Life> {
        while let Some(order) = self.orders.recv().await {
            if order == Order::End {
                continue;
            }
            match self.restart().await {
                Some(life) => return Some(life),
                None => {
                    let due = self.shared.state.lock().ended();
                    if let Some(due) = due {
                        due.call();
                    }
                }
            }
        }
        None
    }

    /// Makes the sandbox anew. Where that fails, nothing is left of it.
    async fn restart(&self) -> Option<Life> {
        let state = &self.shared.state;
        let expected = self.plan.expect_extensions(&mut state.lock());
        if let Err(problem) = expected {
            state.lock().launch_failed(problem, Ending::Failed, now());
            return None;
        }
        let (sandbox, plan) = (Arc::clone(&self.cage.lock().sandbox), Arc::clone(&self.plan));
        let reset = tokio::task::spawn_blocking(move || sandbox.reset(&plan.spec())).await.ok()?;
        let life = match reset {
            Ok(sandbox) => Life::new(sandbox, self.plan.first()).map_err(|(_, error)| error.to_string()),
            Err(Error::Execute { program, source }) => {
                let mut state = state.lock();
                let problem = self.plan.unlaunched(&self.plan.first(), &program, &source, &mut state);
                state.launch_failed(problem, Ending::Unwanted, now());
                return None;
            }
            Err(error) => Err(error.to_string()),
        };
        match life {
            Ok((life, sandbox)) => {
                *self.cage.lock() = Cage { sandbox, is_frozen: false };
                Some(life)
            }
            Err(error) => {
                let function = &self.function;
                tracing::error!(%function, %error, "cannot start an execution environment anew");
                state.lock().end(Ending::Unwanted, now());
                None
            }
        }
    }
}

/// Starts the programs that follow the first: all extensions, and once they have registered the runtime.
async fn raise(
    plan: &Plan,
    sandbox: &Arc<Sandbox>,
    state: &Mutex<State>,
    births: mpsc::UnboundedSender<Member>,
) {
    let Some(runtime) = plan.further_runtime() else { return };
    for extension in plan.further_extensions() {
        let who = Who::Extension(Arc::clone(&extension.name));
        if !bear(plan, sandbox, state, &births, who, &extension.program).await {
            return;
        }
    }
    let (all, registered) = oneshot::channel();
    state.lock().when_registered(all);
    if registered.await.is_ok() {
        bear(plan, sandbox, state, &births, Who::Runtime, runtime).await;
    }
}

/// Starts one program; says whether it runs.
async fn bear(
    plan: &Plan,
    sandbox: &Arc<Sandbox>,
    state: &Mutex<State>,
    births: &mpsc::UnboundedSender<Member>,
    who: Who,
    program: &Program,
) -> bool {
    let (starter, program) = (Arc::clone(sandbox), program.clone());
    let started = tokio::task::spawn_blocking(move || starter.start(&program)).await;
    match started {
        Ok(Ok(mut process)) => {
            let (output, exit) = (process.take_output(), process.take_exit());
            let Ok(exit) = pipe::Receiver::from_owned_fd(exit) else {
                sandbox.kill();
                return false;
            };
            births.send(Member { who, handle: Handle::Further(process), output, exit }).is_ok()
        }
        Ok(Err(Error::Execute { program, source })) => {
            let mut state = state.lock();
            let problem = plan.unlaunched(&who, &program, &source, &mut state);
            state.launch_failed(problem, Ending::Failed, now());
            false
        }
        // The sandbox has ended meanwhile, which its exit reports tell.
        Ok(Err(_)) | Err(_) => {
            sandbox.kill();
            false
        }
    }
}

/// What extensions read of the reason of their end.
const fn reason(why: Option<Ending>) -> &'static str {
    match why {
        Some(Ending::TimedOut) => "timeout",
        Some(Ending::Crashed(_) | Ending::Failed) => "failure",
        Some(Ending::Unwanted) | None => "spindown",
    }
}

fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// How a process ended; none when the whole sandbox was killed.
pub(super) async fn exit_status(exit: pipe::Receiver) -> Option<ExitStatus> {
    let mut report = [0; 64];
    while exit.readable().await.is_ok() {
        match exit.try_read(&mut report) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(count) => return ExitStatus::parse(&report[..count]),
            Err(_) => return None,
        }
    }
    None
}

impl From<ExitStatus> for ExitReason {
    fn from(status: ExitStatus) -> Self {
        match status.end {
            _ if status.out_of_memory => Self::OutOfMemory,
            End::Exited(code) => Self::Exited(code),
            End::Signaled(signal) => Self::Signaled(signal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_for_memory_is_told_from_other_kills() {
        let killed = |out_of_memory| {
            ExitReason::from(ExitStatus { end: End::Signaled(9), out_of_memory, peak_memory_bytes: 0 })
        };
        assert_eq!(killed(true), ExitReason::OutOfMemory);
        assert_eq!(killed(false), ExitReason::Signaled(9));
    }
}
