//! What the platform writes to the log of one environment.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use firelet_types::RequestId;

use super::Function;
use crate::catalogue::Interpreter;
use crate::output::Output;
use crate::platform_log::{self, Report, Status};

/// The log of one environment, and what its reports say besides.
pub(super) struct Log {
    pub(super) output: Arc<Output>,
    version: String,
    memory_megabytes: u32,
    pub(super) timeout: Duration,
}

impl Log {
    pub(super) fn new(output: Output, function: &Function) -> Self {
        Self {
            output: Arc::new(output),
            version: function.version.clone(),
            memory_megabytes: function.memory_megabytes,
            timeout: function.timeout,
        }
    }

    pub(super) fn init_start(&self, function: &Function) {
        let Interpreter { runtime, version, .. } = &*function.interpreter;
        let arn = firelet_types::runtime_version_arn(&function.scope.region, runtime);
        self.output.platform(platform_log::init_start(version, &arn));
    }

    pub(super) fn start(&self, request: RequestId) {
        self.output.start(platform_log::start(request, &self.version));
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
        let report = Report { duration, init, memory_megabytes, peak_memory_bytes, status };
        self.output.end(platform_log::end_and_report(request, &report))
    }
}
