//! The few Lambda calls that the demonstration makes, over plain HTTP as any client would.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Response;

use crate::examples::Example;

const ACTIVE_PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(2);

/// A client of one server.
pub(crate) struct Client {
    agent: Agent,
    base: String,
}

/// What an invocation gave.
pub(crate) struct Invocation {
    pub(crate) answer: String,
    pub(crate) error: Option<String>,
    pub(crate) log_tail: String,
    pub(crate) took: Duration,
}

impl Client {
    /// A client of the server that listens on `address`.
    pub(crate) fn new(address: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Self { agent: config.into(), base: format!("http://{address}") }
    }

    /// Whether the server serves.
    pub(crate) fn is_healthy(&self) -> bool {
        self.agent.get(format!("{}/_firelet/health", self.base)).call().is_ok_and(|it| it.status() == 200)
    }

    /// Creates the function of `example` from its zip, in place of an earlier one, and waits until it is active.
    pub(crate) fn create(&self, example: Example, zip: &Path) -> anyhow::Result<()> {
        self.delete(example.name)?;
        let zip = std::fs::read(zip).with_context(|| format!("read {}", zip.display()))?;
        let request = json!({
            "FunctionName": example.name,
            "Runtime": example.runtime,
            "Handler": example.handler,
            "Role": "arn:aws:iam::000000000000:role/demo",
            "MemorySize": 256,
            "Timeout": 10,
            "Code": { "ZipFile": BASE64.encode(zip) },
        });
        let answer = self.agent.post(format!("{}/2015-03-31/functions", self.base)).send(request.to_string());
        let (status, body) = read(answer.context("call CreateFunction")?)?;
        ensure!(status == 201, "CreateFunction answered {status}: {body}");
        self.await_active(example.name)
    }

    fn delete(&self, name: &str) -> anyhow::Result<()> {
        let answer = self.agent.delete(self.function(name)).call().context("call DeleteFunction")?;
        let (status, body) = read(answer)?;
        ensure!(matches!(status, 200 | 204 | 404), "DeleteFunction answered {status}: {body}");
        Ok(())
    }

    fn await_active(&self, name: &str) -> anyhow::Result<()> {
        let started = Instant::now();
        while started.elapsed() < ACTIVE_PATIENCE {
            let url = format!("{}/configuration", self.function(name));
            let answer = self.agent.get(url).call().context("call GetFunctionConfiguration")?;
            let (status, body) = read(answer)?;
            ensure!(status == 200, "GetFunctionConfiguration answered {status}: {body}");
            let configuration: Value = serde_json::from_str(&body).context("read the configuration")?;
            match configuration["State"].as_str() {
                Some("Active") => return Ok(()),
                Some("Failed") => bail!("{name} is Failed: {}", configuration["StateReason"]),
                _ => thread::sleep(POLL),
            }
        }
        bail!("{name} was not Active within {ACTIVE_PATIENCE:?}");
    }

    /// Invokes a function and waits for its answer.
    pub(crate) fn invoke(&self, name: &str, event: &str) -> anyhow::Result<Invocation> {
        let started = Instant::now();
        let answer = self
            .agent
            .post(format!("{}/invocations", self.function(name)))
            .header("X-Amz-Log-Type", "Tail")
            .send(event)
            .context("call Invoke")?;
        let header =
            |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let error = header("X-Amz-Function-Error");
        let log =
            BASE64.decode(header("X-Amz-Log-Result").unwrap_or_default()).context("decode the log tail")?;
        let (status, answer) = read(answer)?;
        let took = started.elapsed();
        ensure!(status == 200, "Invoke answered {status}: {answer}");
        Ok(Invocation { answer, error, log_tail: String::from_utf8_lossy(&log).into_owned(), took })
    }

    fn function(&self, name: &str) -> String {
        format!("{}/2015-03-31/functions/{name}", self.base)
    }
}

fn read(mut response: Response<ureq::Body>) -> anyhow::Result<(u16, String)> {
    let body = response.body_mut().read_to_string().context("read the answer")?;
    Ok((response.status().as_u16(), body))
}
