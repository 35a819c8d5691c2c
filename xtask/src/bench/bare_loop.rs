//! What an invocation takes at best: a bare hyper server that hands each request to one of a few unmodified functions over
//! the Runtime API, and its answer back. It knows no signature, no function's name, no log, no limit and no sandbox.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::floor::{self, Floor};

/// The command that makes a child of this program the bare loop.
pub(crate) const COMMAND: &str = "bench-loop";

const NEXT: &str = "/2018-06-01/runtime/invocation/next";

/// A bare loop around `count` processes of `function`, which is a program.
pub(crate) fn start(program: &Path, function: &Path, count: usize) -> anyhow::Result<Floor> {
    let function = function.to_str().context("the function's path is no text")?;
    Floor::start(program, &[COMMAND, function, &count.to_string()])
}

/// Says its address on standard output and serves until standard input ends.
pub(crate) fn serve(function: &Path, count: usize) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(async {
        let exchange = Arc::new(Exchange::new());
        let guests = listen().await?;
        let callers = listen().await?;
        let runtime_api = guests.local_addr().context("learn the Runtime API's address")?;
        let address = callers.local_addr().context("learn the address")?;
        let functions = (0..count).map(|_| start_function(function, runtime_api));
        let _functions = functions.collect::<anyhow::Result<Vec<_>>>()?;
        floor::announce(address)?;
        loop {
            let (is_caller, accepted) = tokio::select! {
                accepted = callers.accept() => (true, accepted),
                accepted = guests.accept() => (false, accepted),
            };
            let (stream, _) = accepted.context("accept a connection")?;
            stream.set_nodelay(true).context("send without delay")?;
            let exchange = Arc::clone(&exchange);
            let service = service_fn(move |request| {
                let exchange = Arc::clone(&exchange);
                async move {
                    let answer = if is_caller {
                        exchange.invoke(request).await
                    } else {
                        exchange.guest(request).await
                    };
                    Ok::<_, Infallible>(answer)
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

async fn listen() -> anyhow::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen")
}

/// They end with this process, whose Runtime API they lose.
fn start_function(program: &Path, runtime_api: SocketAddr) -> anyhow::Result<Child> {
    let mut function = Command::new(program);
    function.env("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string());
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", "loop"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/loop"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "loop"),
    ] {
        function.env(name, value);
    }
    function.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    function.spawn().with_context(|| format!("start {}", program.display()))
}

/// Where callers and functions meet.
struct Exchange {
    count: AtomicU64,
    /// Functions that wait for an event.
    idle: mpsc::UnboundedSender<oneshot::Sender<Event>>,
    next_idle: Mutex<mpsc::UnboundedReceiver<oneshot::Sender<Event>>>,
    /// Who waits for the answer to which event.
    callers: parking_lot::Mutex<HashMap<String, oneshot::Sender<Bytes>>>,
}

struct Event {
    id: String,
    payload: Bytes,
}

impl Exchange {
    fn new() -> Self {
        let (idle, next_idle) = mpsc::unbounded_channel();
        let callers = parking_lot::Mutex::default();
        Self { count: AtomicU64::new(0), idle, next_idle: Mutex::new(next_idle), callers }
    }

    async fn invoke(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let payload = read(request).await;
        let id = self.count.fetch_add(1, Ordering::Relaxed).to_string();
        let (caller, answer) = oneshot::channel();
        self.callers.lock().insert(id.clone(), caller);
        let function = self.next_idle.lock().await.recv().await;
        let is_taken = function.is_some_and(|function| function.send(Event { id, payload }).is_ok());
        match answer.await {
            Ok(answer) if is_taken => Response::new(Full::new(answer)),
            _ => with_status(502),
        }
    }

    async fn guest(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        if request.method() == Method::GET && path == NEXT {
            let (function, event) = oneshot::channel();
            return match self.idle.send(function).map(|()| event) {
                Ok(event) => event.await.map_or_else(|_| with_status(502), next),
                Err(_) => with_status(502),
            };
        }
        let payload = read(request).await;
        // What follows is `ID/response`.
        let id = path.split('/').nth(4).unwrap_or_default();
        if let Some(caller) = self.callers.lock().remove(id) {
            let _ = caller.send(payload);
        }
        with_status(202)
    }
}

async fn read(request: Request<Incoming>) -> Bytes {
    // A request that breaks off has no reader left for its answer.
    request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default()
}

fn next(event: Event) -> Response<Full<Bytes>> {
    let response = Response::builder()
        .header("lambda-runtime-aws-request-id", event.id)
        .header("lambda-runtime-deadline-ms", u64::MAX / 2)
        .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:loop");
    response.body(Full::new(event.payload)).unwrap_or_else(|_| with_status(500))
}

fn with_status(status: u16) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response
}
