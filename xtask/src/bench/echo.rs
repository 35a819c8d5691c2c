//! The floor of every HTTP figure: a bare hyper server that answers with what it got, in a process of its own.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::Context;
use clap::ValueEnum;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::processors::{Place, keep_to_place};

/// The command that makes a child of this program the echo server.
pub(crate) const COMMAND: &str = "bench-floor";

/// An echo server in a child process; it ends with this value, or with this process.
pub(crate) struct Echo {
    child: Child,
    address: SocketAddr,
}

impl Echo {
    pub(crate) fn start(program: &Path, place: Place) -> anyhow::Result<Self> {
        let place = place.to_possible_value().context("no name for a place")?;
        let mut child = Command::new(program)
            .args([COMMAND, place.get_name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the echo server")?;
        let output = child.stdout.take().context("the echo server has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context("read the address of the echo server")?;
        let address = line.trim().parse().with_context(|| format!("read the address {line:?}"))?;
        Ok(Self { child, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Says its address on standard output and serves until standard input ends.
pub(crate) fn serve(place: Place) -> anyhow::Result<()> {
    keep_to_place(place)?;
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(accept())
}

async fn accept() -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen")?;
    let address = listener.local_addr().context("learn the address")?;
    let mut output = std::io::stdout();
    writeln!(output, "{address}").and_then(|()| output.flush()).context("say the address")?;
    loop {
        let (stream, _) = listener.accept().await.context("accept a connection")?;
        stream.set_nodelay(true).context("send without delay")?;
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
        tokio::spawn(connection);
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // A request that breaks off has no reader left for its answer.
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    Ok(Response::new(Full::new(body.unwrap_or_default())))
}
