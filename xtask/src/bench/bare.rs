//! The floors of cold starts: the same programs started by `posix_spawn`, without a sandbox.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

/// A command without input or output, and with no more of an environment than a function has: what stands in ours can
/// make an interpreter start slowly.
pub(crate) fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "en_US.UTF-8")
        .env("TZ", ":UTC");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// From just before the spawn until the program has ended well.
pub(crate) fn until_end(command: &mut Command) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let status = command.status().with_context(|| format!("start {:?}", command.get_program()))?;
    let took = started.elapsed();
    ensure!(status.success(), "{:?} ended with {status}", command.get_program());
    Ok(took)
}

/// From just before the spawn of a Lambda runtime until it asks for its first event.
pub(crate) fn until_it_asks(command: &mut Command) -> anyhow::Result<Duration> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("listen for a runtime")?;
    let address = listener.local_addr().context("listen for a runtime")?;
    command
        .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "bare")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "bare")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "bare");
    let started = Instant::now();
    let child = command.spawn().with_context(|| format!("start {:?}", command.get_program()))?;
    let asked = await_request(&listener);
    let took = started.elapsed();
    end(child)?;
    asked.map(|()| took)
}

fn await_request(listener: &TcpListener) -> anyhow::Result<()> {
    let (stream, _) = listener.accept().context("accept a runtime")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).context("read what a runtime asks for")?;
    ensure!(line.contains("/invocation/next"), "a runtime asked for {line:?}");
    Ok(())
}

fn end(mut child: Child) -> anyhow::Result<()> {
    child.kill().context("end a runtime")?;
    child.wait().context("end a runtime")?;
    Ok(())
}
