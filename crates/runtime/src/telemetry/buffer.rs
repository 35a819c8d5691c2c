//! When events that one subscriber shall get are sent: a batch at a time, as soon as one is full or old enough.
//!
//! Decides only; knows no clock and no network. Bounded: beside the batch on its way there is one that fills, and what
//! has room in neither is counted and dropped.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// How much is gathered before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Buffering {
    pub(crate) max_items: usize,
    /// Bytes of events as they are sent.
    pub(crate) max_bytes: usize,
    /// How long the first event of a batch waits.
    pub(crate) timeout: Duration,
}

/// Events that are sent together.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    /// JSON objects, each followed by a line end.
    lines: Vec<u8>,
    items: usize,
}

/// A batch as it goes to a subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parcel {
    pub(super) bytes: Bytes,
    /// Whether it is one array, and not newline-delimited.
    pub(super) is_array: bool,
    pub(super) size: Dropped,
}

/// What did not reach a subscriber.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl Batch {
    /// As one array, or as newline-delimited JSON.
    pub(super) fn packed(self, is_array: bool) -> Parcel {
        let size = Dropped { records: self.items as u64, bytes: self.lines.len() as u64 };
        let bytes = Bytes::from(if is_array { self.into_array() } else { self.lines });
        Parcel { bytes, is_array, size }
    }

    /// In JSON a line end inside a text is written otherwise, so that each one here ends an event.
    fn into_array(self) -> Vec<u8> {
        let mut array = self.lines;
        for byte in &mut array {
            if *byte == b'\n' {
                *byte = b',';
            }
        }
        array.pop();
        array.insert(0, b'[');
        array.push(b']');
        array
    }

    fn push(&mut self, line: &[u8]) {
        self.lines.extend_from_slice(line);
        self.items += 1;
    }
}

impl Dropped {
    pub(super) fn add(&mut self, other: Self) {
        self.records = self.records.saturating_add(other.records);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// The events for one subscriber that are not on their way yet.
#[derive(Debug)]
pub(super) struct Buffer {
    buffering: Buffering,
    filling: Batch,
    /// When the first event of the batch that fills came.
    since: Option<Instant>,
    /// Whether a batch is on its way, so that the next waits.
    is_sending: bool,
    /// Whether all goes as soon as it can.
    is_hurried: bool,
    /// Since a subscriber was last told.
    dropped: Dropped,
}

impl Buffer {
    pub(super) fn new(buffering: Buffering) -> Self {
        Self {
            buffering,
            filling: Batch::default(),
            since: None,
            is_sending: false,
            is_hurried: false,
            dropped: Dropped::default(),
        }
    }

    /// Goes on with other bounds and what is there.
    pub(super) fn set_buffering(&mut self, buffering: Buffering) {
        self.buffering = buffering;
    }

    /// Takes one event, a line of JSON; gives a batch that shall be sent now.
    pub(super) fn push(&mut self, line: &[u8], now: Instant) -> Option<Batch> {
        let mut batch = None;
        if !self.has_room(line.len()) {
            if self.is_sending {
                self.dropped(Dropped { records: 1, bytes: line.len() as u64 });
                return None;
            }
            batch = Some(self.take());
        }
        self.filling.push(line);
        self.since.get_or_insert(now);
        batch.or_else(|| self.next(now))
    }

    /// What shall be sent by now, if anything.
    pub(super) fn next(&mut self, now: Instant) -> Option<Batch> {
        let is_due = self.is_hurried || self.is_full() || self.due().is_some_and(|due| due <= now);
        (is_due && !self.is_sending && self.filling.items > 0).then(|| self.take())
    }

    /// When [`next`](Self::next) is to be asked.
    pub(super) fn due(&self) -> Option<Instant> {
        let since = self.since.filter(|_| !self.is_sending)?;
        Some(since + self.buffering.timeout)
    }

    /// Has what is there, and what comes, sent without waiting for more; or no longer.
    pub(super) const fn hurry(&mut self, is_hurried: bool) {
        self.is_hurried = is_hurried;
    }

    /// The batch on its way has arrived, or is given up: then it counts as dropped.
    pub(super) fn sent(&mut self, lost: Option<Dropped>) {
        self.is_sending = false;
        if let Some(lost) = lost {
            self.dropped.add(lost);
        }
    }

    /// Whether another event would be dropped, so that it need not be written.
    pub(super) fn is_stuck(&self) -> bool {
        self.is_sending && self.is_full()
    }

    /// Counts what was dropped on the way here.
    pub(super) fn dropped(&mut self, dropped: Dropped) {
        self.dropped.add(dropped);
    }

    /// What was dropped since the last call.
    pub(super) fn take_dropped(&mut self) -> Option<Dropped> {
        let dropped = std::mem::take(&mut self.dropped);
        (dropped.records > 0).then_some(dropped)
    }

    /// Bytes that wait.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.filling.lines.len()
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.filling.items == 0
            || (self.filling.items < self.buffering.max_items
                && self.filling.lines.len() + bytes <= self.buffering.max_bytes)
    }

    fn is_full(&self) -> bool {
        self.filling.items >= self.buffering.max_items || self.filling.lines.len() >= self.buffering.max_bytes
    }

    fn take(&mut self) -> Batch {
        self.is_sending = true;
        self.since = None;
        std::mem::take(&mut self.filling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"{\"n\":1}\n";

    fn buffer() -> Buffer {
        Buffer::new(Buffering { max_items: 3, max_bytes: 100, timeout: Duration::from_millis(25) })
    }

    fn push(buffer: &mut Buffer, count: usize, now: Instant) -> Vec<Batch> {
        (0..count).filter_map(|_| buffer.push(LINE, now)).collect()
    }

    fn items(batch: Option<Batch>) -> usize {
        batch.map_or(0, |batch| batch.items)
    }

    #[test]
    fn a_batch_goes_when_it_has_enough_events() {
        let mut buffer = buffer();
        let batches = push(&mut buffer, 3, Instant::now());
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].clone().packed(false).bytes, LINE.repeat(3));
        let array = batches[0].clone().packed(true);
        assert_eq!(array.bytes, b"[{\"n\":1},{\"n\":1},{\"n\":1}]".as_slice());
        assert_eq!(array.size, Dropped { records: 3, bytes: 3 * LINE.len() as u64 });
    }

    #[test]
    fn a_batch_goes_before_it_has_too_many_bytes() {
        let now = Instant::now();
        let mut buffer = buffer();
        let long = [b'x'; 60];
        assert_eq!(buffer.push(&long, now), None);
        assert_eq!(items(buffer.push(&long, now)), 1);
        assert_eq!(buffer.waiting_bytes(), 60);
    }

    #[test]
    fn an_event_larger_than_a_batch_goes_alone() {
        let now = Instant::now();
        let mut buffer = buffer();
        assert_eq!(items(buffer.push(&[b'x'; 500], now)), 1);
        buffer.sent(None);
        assert_eq!(buffer.push(LINE, now), None);
        assert_eq!(items(buffer.push(&[b'x'; 500], now)), 1);
        buffer.sent(None);
        assert_eq!(items(buffer.next(now)), 1);
    }

    #[test]
    fn a_batch_goes_when_its_first_event_is_old_enough() {
        let now = Instant::now();
        let mut buffer = buffer();
        assert_eq!(buffer.due(), None);
        push(&mut buffer, 1, now);
        push(&mut buffer, 1, now + Duration::from_millis(20));
        assert_eq!(buffer.due(), Some(now + Duration::from_millis(25)));
        assert_eq!(buffer.next(now + Duration::from_millis(24)), None);
        assert_eq!(items(buffer.next(now + Duration::from_millis(25))), 2);
        assert_eq!(buffer.due(), None);
    }

    #[test]
    fn the_next_batch_waits_for_the_one_on_its_way() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut buffer = buffer();
        push(&mut buffer, 3, now);
        assert!(push(&mut buffer, 2, now).is_empty());
        assert_eq!((buffer.due(), buffer.next(later)), (None, None));
        buffer.sent(None);
        assert_eq!(items(buffer.next(later)), 2);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_dropped() {
        let now = Instant::now();
        let mut buffer = buffer();
        push(&mut buffer, 3, now);
        assert!(push(&mut buffer, 1_000, now).is_empty());
        assert!(buffer.is_stuck());
        assert_eq!(buffer.waiting_bytes(), 3 * LINE.len());
        assert_eq!(buffer.take_dropped(), Some(Dropped { records: 997, bytes: 997 * LINE.len() as u64 }));
        assert_eq!(buffer.take_dropped(), None);
        buffer.sent(Some(Dropped { records: 3, bytes: 24 }));
        assert_eq!(buffer.take_dropped(), Some(Dropped { records: 3, bytes: 24 }));
        assert_eq!(items(buffer.next(now)), 3);
    }

    #[test]
    fn in_a_hurry_nothing_waits_but_for_the_batch_on_its_way() {
        let now = Instant::now();
        let mut buffer = buffer();
        push(&mut buffer, 1, now);
        assert_eq!(buffer.next(now), None);
        buffer.hurry(true);
        assert_eq!(items(buffer.next(now)), 1);
        assert!(push(&mut buffer, 1, now).is_empty());
        buffer.sent(None);
        assert_eq!(items(buffer.next(now)), 1);
        buffer.sent(None);
        assert_eq!(push(&mut buffer, 1, now).len(), 1);
        buffer.sent(None);
        buffer.hurry(false);
        assert!(push(&mut buffer, 1, now).is_empty());
    }
}
