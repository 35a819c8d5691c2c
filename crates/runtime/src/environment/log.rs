//! What the platform writes to the log of one environment.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use firelet_types::{Clock, RequestId};

use super::{Function, InitPhase, InitializationType};
use crate::catalogue::Interpreter;
use crate::output::Output;
use crate::platform_log::{Event, Format, InitReport, InitStart, Level, Report, Status};

/// The log of one environment, and what its reports say besides.
pub(super) struct Log {
    pub(super) output: Arc<Output>,
    clock: Arc<dyn Clock>,
    format: Format,
    initialization: InitializationType,
    version: String,
    memory_megabytes: u32,
    pub(super) timeout: Duration,
}

impl Log {
    pub(super) fn new(output: Output, clock: Arc<dyn Clock>, function: &Function) -> Self {
        let level = function.json_logging.as_ref().map(|json| Level::of_configuration(&json.system_level));
        Self {
            output: Arc::new(output),
            clock,
            format: level.map_or(Format::Text, Format::Json),
            initialization: function.initialization,
            version: function.version.clone(),
            memory_megabytes: function.memory_megabytes,
            timeout: function.timeout,
        }
    }

    pub(super) fn init_start(&self, function: &Function) {
        let Interpreter { runtime, version, .. } = &*function.interpreter;
        let arn = firelet_types::runtime_version_arn(&function.scope.region, runtime);
        let start = InitStart {
            function: function.name.as_str(),
            version: &function.version,
            initialization: self.initialization.as_str(),
            runtime_version: version,
            runtime_version_arn: &arn,
        };
        self.output.platform(self.lines(&Event::InitStart(start)));
    }

    pub(super) fn start(&self, request: RequestId) {
        self.output.start(self.lines(&Event::Start { request, version: &self.version }));
    }

    /// Tells of an Init phase that succeeded.
    pub(super) fn init_done(&self, duration: Duration, phase: InitPhase) {
        self.output.platform(self.init_report(duration, phase, &Status::Success));
    }

    /// Tells of an Init phase that failed, after which there is nothing more to read.
    pub(super) fn init_failed(&self, duration: Duration, phase: InitPhase, status: &Status) {
        self.output.end(self.init_report(duration, phase, status));
    }

    fn init_report(&self, duration: Duration, phase: InitPhase, status: &Status) -> String {
        let is_on_demand = self.initialization == InitializationType::OnDemand;
        self.lines(&Event::InitReport(InitReport { is_on_demand, phase: phase.name(), duration, status }))
    }

    /// Writes END and REPORT, and gives the end of the invocation's log.
    pub(super) fn report(
        &self,
        request: RequestId,
        duration: Duration,
        init: Option<Duration>,
        peak_memory_bytes: u64,
        status: &Status,
    ) -> Bytes {
        let memory_megabytes = self.memory_megabytes;
        let report = Report { request, duration, init, memory_megabytes, peak_memory_bytes, status };
        self.output.end(self.lines(&Event::Report(report)))
    }

    fn lines(&self, event: &Event<'_>) -> String {
        self.format.lines(event, self.clock.now())
    }
}
