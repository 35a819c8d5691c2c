//! Telemetry and Logs APIs: who inside an environment gets to hear what happens in it, and the events that wait for them.
//!
//! Never makes anybody wait, and costs an environment without subscribers one look at a flag. Bounded whatever the
//! subscribers do: what they take too slowly is dropped, and they are told how much. How events travel is `delivery`'s.
//!
//! Extensions subscribe in the Init phase only. What happened before they did is kept for them until its end, as in
//! AWS's open Runtime Interface Emulator (`aws-lambda-rie/internal/telemetry/relay.go`).

mod buffer;
mod delivery;
mod line;
mod request;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use firelet_types::{Clock, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use self::buffer::{Batch, Buffer, Dropped, Parcel};
pub(crate) use self::delivery::{Connector, deliver};
use self::line::Rendering;
use self::request::Destination;
pub(crate) use self::request::{Api, Request, Stream};
use crate::platform_log::Level;
use crate::platform_log::event::{Event, LogsDropped};
use crate::platform_log::record;

/// Bytes that may wait in one environment for all its subscribers together; more are dropped.
const WAITING_BYTES: usize = 8 << 20;
/// Bytes of output that are kept for those who have not subscribed yet: the least buffer of one that has.
const EARLY_BYTES: usize = 256 << 10;
/// Events and pieces of output that are kept likewise.
const EARLY_ITEMS: usize = 1_000;

/// What a subscriber reads of events that found no room.
const TOO_SLOW: &str =
    "Some logs were dropped because the downstream consumer is slower than the logs production rate";
/// What a subscriber reads of events that could not be delivered.
const NOT_TAKEN: &str = "Consumer seems to have fallen behind as it has not acknowledged receipt of logs.";

/// Why an extension cannot subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The Init phase is over.
    Closed,
    /// It has subscribed by the other API.
    OtherApi,
}

/// The telemetry of one environment.
pub(crate) struct Telemetry {
    clock: Arc<dyn Clock>,
    /// Whether the function's own lines are JSON.
    has_json_lines: bool,
    /// Whether events are of use to anybody: there are subscribers, or there may still be.
    is_listening: AtomicBool,
    hub: Mutex<Hub>,
    /// Told of each new subscriber.
    joined: Notify,
    /// Whether the environment stands still, and so do those who should take events.
    frozen: watch::Sender<bool>,
}

/// Subscribers, and what those to come have missed.
#[derive(Default)]
struct Hub {
    /// None once nobody can subscribe any more.
    early: Option<Early>,
    subscribers: Vec<Subscriber>,
}

/// What happened before the first subscription.
#[derive(Default)]
struct Early {
    entries: Vec<(Timestamp, Entry)>,
    bytes: usize,
    dropped: Dropped,
}

/// Something to tell.
#[derive(Clone)]
enum Entry {
    Event(Event),
    /// Lines of output, with their ends.
    Lines(Stream, Bytes),
}

struct Subscriber {
    /// The extension's name, by which it is known again after a reset.
    name: Arc<str>,
    api: Api,
    request: Request,
    buffer: Buffer,
    /// What is to be sent, until the one who sends it takes it.
    outgoing: Option<Parcel>,
    /// Whether its process is gone, and has not come back yet: what there is waits for it.
    is_absent: bool,
    /// Tells the one who sends that there is a batch, or the beginning of one.
    wake: Arc<Notify>,
}

impl Telemetry {
    /// Open to subscriptions.
    pub(crate) fn new(clock: Arc<dyn Clock>, has_json_lines: bool) -> Self {
        Self {
            clock,
            has_json_lines,
            is_listening: AtomicBool::new(true),
            hub: Mutex::new(Hub { early: Some(Early::default()), subscribers: Vec::new() }),
            joined: Notify::new(),
            frozen: watch::Sender::new(false),
        }
    }

    /// Subscribes the extension `name`, again if it had; says whether it had.
    pub(crate) fn subscribe(&self, name: &Arc<str>, api: Api, request: Request) -> Result<bool, Refusal> {
        let is_repeated = self.hub.lock().subscribe(name, api, request, self.has_json_lines)?;
        self.joined.notify_one();
        Ok(is_repeated)
    }

    /// Ends the time in which extensions may subscribe.
    pub(crate) fn close(&self) {
        let mut hub = self.hub.lock();
        hub.early = None;
        hub.set_absent(false);
        self.is_listening.store(!hub.subscribers.is_empty(), Ordering::Relaxed);
    }

    /// Begins that time anew, with an Init phase in an environment that was reset. Who had subscribed has to do so again to
    /// say otherwise.
    pub(crate) fn reopen(&self) {
        let mut hub = self.hub.lock();
        hub.early = Some(Early::default());
        hub.set_absent(true);
        self.is_listening.store(true, Ordering::Relaxed);
    }

    /// Whether anybody hears of what is told, or may later.
    pub(crate) fn is_listening(&self) -> bool {
        self.is_listening.load(Ordering::Relaxed)
    }

    /// Tells of an event.
    pub(crate) fn event(&self, time: Timestamp, event: &Event) {
        if self.is_listening() {
            self.tell(time, &Entry::Event(event.clone()));
        }
    }

    /// Tells of output: whole lines with their ends, or the piece of a line that is too long.
    pub(crate) fn lines(&self, time: Timestamp, stream: Stream, lines: &Bytes) {
        if self.is_listening() {
            self.tell(time, &Entry::Lines(stream, lines.clone()));
        }
    }

    fn tell(&self, time: Timestamp, entry: &Entry) {
        self.hub.lock().tell(time, entry, self.has_json_lines);
    }

    /// Has all that waits, and all that comes before the processes have ended, sent without waiting for more.
    pub(crate) fn flush(&self) {
        self.hurry(true);
    }

    fn hurry(&self, is_hurried: bool) {
        for subscriber in &mut self.hub.lock().subscribers {
            subscriber.buffer.hurry(is_hurried);
            subscriber.wake.notify_one();
        }
    }

    /// Takes down that the environment stands still, or goes on.
    pub(crate) fn set_frozen(&self, is_frozen: bool) {
        self.frozen.send_replace(is_frozen);
    }

    /// Waits until the environment has been awake for `duration` without a break.
    async fn awake_for(&self, duration: Duration) {
        let mut frozen = self.frozen.subscribe();
        loop {
            // The sender is this value, which outlives the call.
            let _ = frozen.wait_for(|is_frozen| !is_frozen).await;
            tokio::select! {
                () = tokio::time::sleep(duration) => return,
                _ = frozen.wait_for(|is_frozen| *is_frozen) => {}
            }
        }
    }

    fn subscriber_count(&self) -> usize {
        self.hub.lock().subscribers.len()
    }

    /// What goes next to the subscriber at `index`, once it is due and the environment awake.
    async fn next(&self, index: usize) -> (Destination, Parcel) {
        loop {
            self.awake_for(Duration::ZERO).await;
            let (wake, due) = {
                let mut hub = self.hub.lock();
                let subscriber = &mut hub.subscribers[index];
                if let Some(parcel) = subscriber.next(Instant::now()) {
                    return (subscriber.request.destination.clone(), parcel);
                }
                (Arc::clone(&subscriber.wake), subscriber.due())
            };
            match due {
                Some(due) => {
                    let _ = tokio::time::timeout_at(due, wake.notified()).await;
                }
                None => wake.notified().await,
            }
        }
    }

    /// What was last taken for the subscriber at `index` shall be taken again: who was to send it is gone.
    fn put_back(&self, index: usize, parcel: Parcel) {
        let subscriber = &mut self.hub.lock().subscribers[index];
        subscriber.outgoing = Some(parcel);
        subscriber.wake.notify_one();
    }

    /// What was last taken for the subscriber at `index` has arrived, or is given up and `lost`.
    fn sent(&self, index: usize, lost: Option<Dropped>) {
        let time = self.clock.now();
        self.hub.lock().subscribers[index].sent(lost, time, Instant::now());
    }
}

impl Hub {
    fn set_absent(&mut self, is_absent: bool) {
        for subscriber in &mut self.subscribers {
            subscriber.is_absent = is_absent;
            subscriber.wake.notify_one();
        }
    }

    fn subscribe(
        &mut self,
        name: &Arc<str>,
        api: Api,
        request: Request,
        has_json_lines: bool,
    ) -> Result<bool, Refusal> {
        let early = self.early.as_ref().ok_or(Refusal::Closed)?;
        if let Some(known) = self.subscribers.iter_mut().find(|known| known.name == *name) {
            if known.api != api {
                return Err(Refusal::OtherApi);
            }
            known.buffer.set_buffering(request.buffering);
            known.request = request;
            known.is_absent = false;
            known.wake.notify_one();
            return Ok(true);
        }
        let mut subscriber = Subscriber::new(Arc::clone(name), api, request);
        let now = Instant::now();
        for (time, entry) in &early.entries {
            subscriber.take(*time, now, &mut Rendering::new(entry, has_json_lines), WAITING_BYTES);
        }
        subscriber.buffer.dropped(early.dropped);
        self.subscribers.push(subscriber);
        Ok(false)
    }

    fn tell(&mut self, time: Timestamp, entry: &Entry, has_json_lines: bool) {
        if let Some(early) = &mut self.early {
            early.keep(time, entry);
        }
        if self.subscribers.is_empty() {
            return;
        }
        let now = Instant::now();
        let waiting: usize =
            self.subscribers.iter().map(|subscriber| subscriber.buffer.waiting_bytes()).sum();
        let mut room = WAITING_BYTES.saturating_sub(waiting);
        let mut rendering = Rendering::new(entry, has_json_lines);
        for subscriber in &mut self.subscribers {
            let before = subscriber.buffer.waiting_bytes();
            subscriber.take(time, now, &mut rendering, room);
            room = room.saturating_sub(subscriber.buffer.waiting_bytes().saturating_sub(before));
        }
    }
}

impl Early {
    fn keep(&mut self, time: Timestamp, entry: &Entry) {
        let bytes = match entry {
            Entry::Event(_) => 0,
            Entry::Lines(_, lines) => lines.len(),
        };
        if self.entries.len() >= EARLY_ITEMS || self.bytes + bytes > EARLY_BYTES {
            self.dropped.add(Dropped { records: 1, bytes: bytes as u64 });
            return;
        }
        self.bytes += bytes;
        self.entries.push((time, entry.clone()));
    }
}

impl Subscriber {
    fn new(name: Arc<str>, api: Api, request: Request) -> Self {
        let buffer = Buffer::new(request.buffering);
        Self { name, api, request, buffer, outgoing: None, is_absent: false, wake: Arc::new(Notify::new()) }
    }

    /// Takes what there is to tell, as far as it has asked for it and there are `room` bytes.
    fn take(&mut self, time: Timestamp, now: Instant, rendering: &mut Rendering<'_>, room: usize) {
        let stream = rendering.stream();
        if !self.request.streams.contains(&stream) {
            return;
        }
        if self.buffer.is_stuck() {
            // What would only be thrown away is not written first.
            self.buffer.dropped(rendering.size());
            return;
        }
        let mut room = room;
        for line in rendering.lines(self.request.schema, time) {
            if line.len() > room {
                self.buffer.dropped(Dropped { records: 1, bytes: line.len() as u64 });
                continue;
            }
            room -= line.len();
            self.push(line, now);
        }
    }

    fn next(&mut self, now: Instant) -> Option<Parcel> {
        if self.is_absent {
            return None;
        }
        self.outgoing.take().or_else(|| self.buffer.next(now).map(|batch| self.packed(batch)))
    }

    /// When there may be something to take, if nothing wakes the one who sends before.
    fn due(&self) -> Option<Instant> {
        self.buffer.due().filter(|_| !self.is_absent)
    }

    fn packed(&self, batch: Batch) -> Parcel {
        batch.packed(self.request.destination.takes_arrays())
    }

    fn push(&mut self, line: &[u8], now: Instant) {
        let was_idle = self.buffer.due().is_none();
        if let Some(batch) = self.buffer.push(line, now) {
            self.outgoing = Some(self.packed(batch));
            self.wake.notify_one();
        } else if was_idle && self.buffer.due().is_some() {
            self.wake.notify_one();
        }
    }

    fn sent(&mut self, lost: Option<Dropped>, time: Timestamp, now: Instant) {
        self.buffer.sent(lost);
        let reason = if lost.is_some() { NOT_TAKEN } else { TOO_SLOW };
        let Some(Dropped { records, bytes }) = self.buffer.take_dropped() else { return };
        if self.request.streams.contains(&Stream::Platform) {
            let event = Event::LogsDropped(LogsDropped { records, bytes, reason });
            let mut line = Vec::new();
            record::write(&event, self.request.schema, Level::Debug, time, &mut line);
            self.push(&line, now);
        }
    }
}

#[cfg(test)]
mod tests;
