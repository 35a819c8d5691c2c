//! Whose turn it is: which event of which function is tried next, as far as there are places.
//!
//! Pure: the store is read and functions are run by whoever asks for the next [`Step`]. Of waiting events only a few ids
//! of each function are held, however many there are.
//!
//! Three things keep functions apart. They take turns. An account may have no more events under way than there are free
//! places left, and a function of it no more than are then left for the account, so that there is always a place for
//! one that comes later. And a function that cannot be run is slowed down as a whole, so that its events are not all
//! tried in vain.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ops::Bound;

use firelet_store::event::{EventId, Lane, Owned, Waiting};
use firelet_types::{AccountId, Timestamp};

use super::policy;

/// Waiting events of a function that are known at a time.
const BATCH: usize = 32;

/// The functions that have events.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// Events that may be under way at a time.
    places: usize,
    running: usize,
    /// Events under way of each account that has some.
    accounts: HashMap<AccountId, usize>,
    lanes: BTreeMap<Lane, Events>,
    /// The function that was served last.
    served: Option<Lane>,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Read up to so many waiting events of a function, and tell [`Lanes::read`].
    Read(Lane, usize),
    /// Try an event, and tell [`Lanes::ended`].
    Start(Lane, EventId),
    /// Nothing before this time, or before something else happens.
    Rest(Option<Timestamp>),
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tried {
    /// The function ran, or the event has ended.
    Ran,
    /// The function could not be run.
    InVain,
}

/// The events of one function.
#[derive(Debug)]
struct Events {
    account: AccountId,
    running: HashSet<EventId>,
    /// Those known to wait, due first.
    waiting: VecDeque<Waiting>,
    /// Whether the store has more than those known.
    has_more: bool,
    /// Whether the store may have some that are due before those known.
    is_stale: bool,
    brake: Option<Brake>,
}

/// What holds back a function that could not be run.
#[derive(Debug)]
struct Brake {
    /// How many of its events may be under way.
    allowed: usize,
    /// Periods in a row with tries in vain.
    setbacks: u32,
    /// The end of this period; then more are allowed.
    until: Timestamp,
    /// Whether a try in this period was in vain.
    is_held: bool,
}

impl Lanes {
    pub(crate) fn new(places: usize) -> Self {
        Self { places, running: 0, accounts: HashMap::new(), lanes: BTreeMap::new(), served: None }
    }

    /// Functions have events that are not known yet.
    pub(crate) fn arrived(&mut self, lanes: impl IntoIterator<Item = Owned>) {
        for Owned { lane, account } in lanes {
            self.lanes.entry(lane).or_insert_with(|| Events::new(account)).is_stale = true;
        }
    }

    /// The first waiting events of a function, those under way among them, as asked for by [`Step::Read`].
    pub(crate) fn read(&mut self, lane: Lane, waiting: Vec<Waiting>, limit: usize) {
        let Some(events) = self.lanes.get_mut(&lane) else { return };
        events.has_more = waiting.len() >= limit;
        events.is_stale = false;
        let is_idle = |waiting: &Waiting| !events.running.contains(&waiting.id);
        events.waiting = waiting.into_iter().filter(is_idle).collect();
    }

    /// A try has ended. If it is to be repeated, the store knows when.
    pub(crate) fn ended(&mut self, lane: Lane, event: EventId, tried: Tried, now: Timestamp) {
        let Some(events) = self.lanes.get_mut(&lane) else { return };
        if events.running.remove(&event) {
            self.running -= 1;
            if let Some(running) = self.accounts.get_mut(&events.account) {
                *running -= 1;
            }
        }
        events.is_stale = true;
        let running = events.running.len();
        match (tried, &mut events.brake) {
            (Tried::Ran, None) => {}
            (Tried::Ran, Some(brake)) => brake.loosen(now),
            (Tried::InVain, Some(brake)) => brake.tighten(running, now),
            (Tried::InVain, None) => events.brake = Some(Brake::new(running, now)),
        }
    }

    /// Whether a function is held back.
    pub(crate) fn are_held(&self) -> bool {
        self.lanes.values().any(|events| events.brake.is_some())
    }

    /// What held functions back may have changed: they are tried again.
    pub(crate) fn release(&mut self) {
        for events in self.lanes.values_mut() {
            events.brake = None;
        }
    }

    /// What to do at `now`.
    pub(crate) fn step(&mut self, now: Timestamp) -> Step {
        let free = self.places - self.running;
        let after = self.served.map_or(Bound::Unbounded, Bound::Excluded);
        let until = self.served.map_or(Bound::Excluded(Lane(i64::MIN)), Bound::Included);
        let mut earliest: Option<Timestamp> = None;
        for range in [(after, Bound::Unbounded), (Bound::Unbounded, until)] {
            for (lane, events) in self.lanes.range_mut(range) {
                let of_account = self.accounts.get(&events.account).copied().unwrap_or_default();
                match events.step(self.places, free.saturating_sub(of_account), now) {
                    EventsStep::Read(limit) => return Step::Read(*lane, limit),
                    EventsStep::Start(event) => {
                        self.running += 1;
                        *self.accounts.entry(events.account.clone()).or_default() += 1;
                        self.served = Some(*lane);
                        return Step::Start(*lane, event);
                    }
                    EventsStep::Rest(None) => {}
                    EventsStep::Rest(Some(until)) => {
                        earliest = Some(earliest.map_or(until, |earliest| earliest.min(until)));
                    }
                }
            }
        }
        self.lanes.retain(|_, events| !events.is_over());
        self.accounts.retain(|_, running| *running > 0);
        Step::Rest(earliest)
    }
}

/// What to do for one function.
enum EventsStep {
    Read(usize),
    Start(EventId),
    Rest(Option<Timestamp>),
}

impl Events {
    fn new(account: AccountId) -> Self {
        let (running, waiting) = (HashSet::new(), VecDeque::new());
        Self { account, running, waiting, has_more: false, is_stale: true, brake: None }
    }

    /// `free` is how many places are left for the account.
    fn step(&mut self, places: usize, free: usize, now: Timestamp) -> EventsStep {
        if self.brake.as_mut().is_some_and(|brake| brake.has_gone(places, now)) {
            self.brake = None;
        }
        if let Some(brake) = &self.brake
            && self.running.len() >= brake.allowed
        {
            return EventsStep::Rest(Some(brake.until));
        }
        if self.running.len() >= free {
            return EventsStep::Rest(None);
        }
        match self.waiting.front() {
            Some(first) if first.due <= now => {
                let event = first.id;
                self.waiting.pop_front();
                self.running.insert(event);
                EventsStep::Start(event)
            }
            None if self.has_more => EventsStep::Read(self.running.len() + BATCH),
            _ if self.is_stale => EventsStep::Read(self.running.len() + BATCH),
            first => EventsStep::Rest(first.map(|first| first.due)),
        }
    }

    fn is_over(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty() && !self.has_more && !self.is_stale
    }
}

impl Brake {
    /// A brake for a function that could not be run while `running` others of its events were under way.
    fn new(running: usize, now: Timestamp) -> Self {
        Self { allowed: running, setbacks: 1, until: now.plus(policy::setback(0)), is_held: true }
    }

    fn tighten(&mut self, running: usize, now: Timestamp) {
        self.allowed = self.allowed.min(running);
        if !self.is_held {
            self.is_held = true;
            self.until = now.plus(policy::setback(self.setbacks));
            self.setbacks = self.setbacks.saturating_add(1);
        }
    }

    /// The function ran. If no try of this period was in vain, the next may begin soon.
    fn loosen(&mut self, now: Timestamp) {
        if !self.is_held {
            self.setbacks = 0;
            self.until = self.until.min(now.plus(policy::setback(0)));
        }
    }

    /// Begins the next period if it is time to. Whether the brake holds nothing back any more.
    fn has_gone(&mut self, places: usize, now: Timestamp) -> bool {
        if now < self.until {
            return false;
        }
        if !self.is_held {
            self.setbacks = 0;
        }
        self.is_held = false;
        self.allowed = self.allowed.saturating_mul(2).max(1);
        self.until = now.plus(policy::setback(self.setbacks));
        self.allowed >= places
    }
}
