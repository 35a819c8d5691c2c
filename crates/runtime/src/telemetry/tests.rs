use std::net::Ipv4Addr;

use firelet_types::clock::ManualClock;
use http::Method;
use http::uri::PathAndQuery;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::buffer::Buffering;
use super::*;
use crate::platform_log::event::Start;
use crate::platform_log::record::Schema;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_123);

fn telemetry() -> Arc<Telemetry> {
    Arc::new(Telemetry::new(Arc::new(ManualClock::new(NOW)), false))
}

fn http(port: u16) -> Destination {
    Destination::Http { method: Method::POST, port, path: PathAndQuery::from_static("/a?b") }
}

fn request(destination: Destination) -> Request {
    let buffering = Buffering { max_items: 1_000, max_bytes: 256 << 10, timeout: Duration::from_millis(25) };
    let streams = vec![Stream::Platform, Stream::Function];
    Request { schema: Schema::July2022, streams, destination, buffering }
}

fn start() -> Event {
    let request = "11111111-2222-4333-8444-555555555555".parse().unwrap();
    Event::Start(Start { request, version: "1".into(), tracing: None })
}

fn print(telemetry: &Telemetry, lines: &str) {
    telemetry.lines(NOW, Stream::Function, &Bytes::from(lines.to_owned()));
}

/// Who has subscribed, listening.
struct Listener(TcpListener);

impl Listener {
    async fn new() -> (Self, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (Self(listener), port)
    }

    /// The next request's first line and body, and the connection to answer on.
    async fn request(&self) -> (String, Value, TcpStream) {
        let mut stream = BufReader::new(self.0.accept().await.unwrap().0);
        let mut first = String::new();
        stream.read_line(&mut first).await.unwrap();
        let mut length = 0;
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.unwrap();
            if header == "\r\n" {
                break;
            }
            if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        (first, serde_json::from_slice(&body).unwrap(), stream.into_inner())
    }

    /// Takes the next request's body and says `status`.
    async fn answer(&self, status: u16) -> Value {
        let (_, body, mut stream) = self.request().await;
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok");
        stream.write_all(answer.as_bytes()).await.unwrap();
        body
    }
}

/// Runs `test` beside the delivery.
async fn with_delivery<T>(telemetry: &Arc<Telemetry>, test: impl Future<Output = T>) -> T {
    tokio::select! {
        never = deliver(Arc::clone(telemetry), Connector::Host) => match never {},
        result = test => result,
    }
}

fn types(body: &Value) -> Vec<&str> {
    body.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_came_before_the_subscription_is_told_too() {
    let telemetry = telemetry();
    let (listener, port) = Listener::new().await;
    telemetry.event(NOW, &start());
    telemetry.lines(NOW, Stream::Extension, &Bytes::from_static(b"not asked for\n"));
    print(&telemetry, "early\n");
    assert_eq!(telemetry.subscribe(&"one".into(), Api::Telemetry, request(http(port))), Ok(false));
    let (first, body, _) = with_delivery(&telemetry, listener.request()).await;
    assert_eq!(first, "POST /a?b HTTP/1.1\r\n");
    let time = "2023-11-14T22:13:20.123Z";
    let started = json!({ "requestId": "11111111-2222-4333-8444-555555555555", "version": "1" });
    let expected = json!([
        { "time": time, "type": "platform.start", "record": started },
        { "time": time, "type": "function", "record": "early\n" },
    ]);
    assert_eq!(body, expected);
}

#[tokio::test]
async fn nobody_subscribes_after_init() {
    let telemetry = telemetry();
    assert!(telemetry.is_listening());
    let subscribe = |name: &str, api| telemetry.subscribe(&name.into(), api, request(http(1)));
    assert_eq!(subscribe("one", Api::Logs), Ok(false));
    assert_eq!(subscribe("one", Api::Logs), Ok(true));
    assert_eq!(subscribe("one", Api::Telemetry), Err(Refusal::OtherApi));
    assert_eq!(subscribe("two", Api::Telemetry), Ok(false));
    telemetry.close();
    assert_eq!(subscribe("three", Api::Logs), Err(Refusal::Closed));
    assert!(telemetry.is_listening());
}

#[test]
fn without_subscribers_nothing_is_kept() {
    let telemetry = telemetry();
    print(&telemetry, "kept\n");
    telemetry.close();
    assert!(!telemetry.is_listening());
    print(&telemetry, "lost\n");
    assert!(telemetry.hub.lock().early.is_none());
}

#[test]
fn what_is_kept_for_subscribers_to_come_is_bounded() {
    let telemetry = telemetry();
    for _ in 0..100_000 {
        print(&telemetry, "x\n");
    }
    print(&telemetry, &"x".repeat(EARLY_BYTES));
    let hub = telemetry.hub.lock();
    let early = hub.early.as_ref().unwrap();
    assert_eq!((early.entries.len(), early.bytes), (EARLY_ITEMS, 2 * EARLY_ITEMS));
    assert_eq!(early.dropped.records, 99_001);
}

#[tokio::test]
async fn a_batch_is_tried_again_until_it_is_taken() {
    let telemetry = telemetry();
    let (listener, port) = Listener::new().await;
    telemetry.subscribe(&"one".into(), Api::Telemetry, request(http(port))).unwrap();
    print(&telemetry, "line\n");
    let (first, second, third) = with_delivery(&telemetry, async {
        (listener.answer(500).await, listener.answer(404).await, listener.answer(200).await)
    })
    .await;
    assert_eq!(types(&first), ["function"]);
    assert!(first == second && second == third);
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_never_answers_is_told_what_it_has_lost() {
    let telemetry = telemetry();
    let (listener, port) = Listener::new().await;
    telemetry.subscribe(&"one".into(), Api::Telemetry, request(http(port))).unwrap();
    print(&telemetry, "lost\n");
    let body = with_delivery(&telemetry, async {
        let mut silent = Vec::new();
        loop {
            let (_, body, stream) = listener.request().await;
            if types(&body) != ["function"] {
                return body;
            }
            silent.push(stream);
        }
    })
    .await;
    assert_eq!(types(&body), ["platform.logsDropped"]);
    let dropped = &body[0]["record"];
    assert_eq!((&dropped["droppedRecords"], &dropped["reason"]), (&1.into(), &NOT_TAKEN.into()));
}

#[tokio::test]
async fn a_slow_subscriber_loses_what_finds_no_room_and_is_told() {
    let telemetry = telemetry();
    let (listener, port) = Listener::new().await;
    telemetry.subscribe(&"one".into(), Api::Telemetry, request(http(port))).unwrap();
    with_delivery(&telemetry, async {
        print(&telemetry, &"x\n".repeat(1_000));
        let (_, body, mut stream) = listener.request().await;
        assert_eq!(types(&body).len(), 1_000);
        for _ in 0..10 {
            print(&telemetry, &"x\n".repeat(10_000));
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        assert_eq!(types(&listener.answer(200).await).len(), 1_000);
        let told = listener.answer(200).await;
        assert_eq!(types(&told), ["platform.logsDropped"]);
        let record = &told[0]["record"];
        assert_eq!((&record["droppedRecords"], &record["reason"]), (&99_000.into(), &TOO_SLOW.into()));
    })
    .await;
}

#[tokio::test]
async fn by_tcp_each_event_is_a_line() {
    let telemetry = telemetry();
    let (listener, port) = Listener::new().await;
    telemetry.subscribe(&"one".into(), Api::Telemetry, request(Destination::Tcp { port })).unwrap();
    with_delivery(&telemetry, async {
        print(&telemetry, "one\n");
        let mut lines = BufReader::new(listener.0.accept().await.unwrap().0).lines();
        let first: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        print(&telemetry, "two\n");
        let second: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        assert_eq!((&first["record"], &second["record"]), (&"one\n".into(), &"two\n".into()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_the_environment_stands_still() {
    let telemetry = telemetry();
    let (listener, port) = Listener::new().await;
    telemetry.subscribe(&"one".into(), Api::Telemetry, request(http(port))).unwrap();
    telemetry.set_frozen(true);
    print(&telemetry, "line\n");
    with_delivery(&telemetry, async {
        let asked = tokio::time::timeout(Duration::from_secs(3_600), listener.request()).await;
        assert!(asked.is_err());
        telemetry.set_frozen(false);
        assert_eq!(types(&listener.answer(200).await), ["function"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_flush_sends_what_would_wait() {
    let telemetry = telemetry();
    let (listener, port) = Listener::new().await;
    let mut patient = request(http(port));
    patient.buffering.timeout = Duration::from_secs(3_600);
    telemetry.subscribe(&"one".into(), Api::Telemetry, patient).unwrap();
    print(&telemetry, "line\n");
    let begun = Instant::now();
    with_delivery(&telemetry, async {
        // Delivery begins first.
        tokio::task::yield_now().await;
        telemetry.flush();
        listener.answer(200).await;
        print(&telemetry, "last line\n");
        assert_eq!(listener.answer(200).await[0]["record"], "last line\n");
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn all_subscribers_together_have_a_bound() {
    let telemetry = telemetry();
    for name in 0..10 {
        let mut large = request(http(1));
        large.buffering.max_bytes = 1 << 20;
        large.buffering.max_items = 10_000;
        telemetry.subscribe(&name.to_string().into(), Api::Telemetry, large).unwrap();
    }
    for _ in 0..60 {
        print(&telemetry, &"\u{1}".repeat(10_000));
    }
    let hub = telemetry.hub.lock();
    let waiting: usize = hub.subscribers.iter().map(|subscriber| subscriber.buffer.waiting_bytes()).sum();
    assert!(waiting <= WAITING_BYTES, "{waiting}");
    assert!(hub.subscribers.iter().all(|subscriber| subscriber.outgoing.is_some()));
}

#[tokio::test]
async fn what_was_on_its_way_when_delivery_broke_off_is_delivered_later() {
    let telemetry = telemetry();
    let (listener, port) = Listener::new().await;
    telemetry.subscribe(&"one".into(), Api::Telemetry, request(http(port))).unwrap();
    print(&telemetry, "line\n");
    let (_, broken, _stream) = with_delivery(&telemetry, listener.request()).await;
    // Delivery ends as soon as its couriers are called off.
    with_delivery(&telemetry, async {
        assert_eq!(listener.answer(200).await, broken);
        print(&telemetry, "more\n");
        assert_eq!(listener.answer(200).await[0]["record"], "more\n");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn after_a_reset_telemetry_waits_for_its_subscriber_to_come_back() {
    let telemetry = telemetry();
    let (_gone, old_port) = Listener::new().await;
    telemetry.subscribe(&"one".into(), Api::Telemetry, request(http(old_port))).unwrap();
    telemetry.close();
    telemetry.reopen();
    print(&telemetry, "meanwhile\n");
    let (listener, port) = Listener::new().await;
    with_delivery(&telemetry, async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(telemetry.subscribe(&"one".into(), Api::Telemetry, request(http(port))), Ok(true));
        assert_eq!(listener.answer(200).await[0]["record"], "meanwhile\n");
    })
    .await;
}
