//! The floor of every HTTP figure: a bare hyper server that answers with what it got, in a process of its own.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Context;
use clap::ValueEnum;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::floor::{self, Floor};
use super::processors::{Place, keep_to_place};

/// The command that makes a child of this program the echo server.
pub(crate) const COMMAND: &str = "bench-floor";

/// An echo server at `place`.
pub(crate) fn start(program: &Path, place: Place) -> anyhow::Result<Floor> {
    let place = place.to_possible_value().context("no name for a place")?;
    Floor::start(program, &[COMMAND, place.get_name()])
}

/// Says its address on standard output and serves until standard input ends.
pub(crate) fn serve(place: Place) -> anyhow::Result<()> {
    keep_to_place(place)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(accept())
}

async fn accept() -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen")?;
    floor::announce(listener.local_addr().context("learn the address")?)?;
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
