//! The queue without a server: events in a map, functions that take time by a clock that is moved by hand, and
//! crashes.

use std::collections::{BTreeMap, HashMap};

use firelet_store::event::{EventId, Lane, Owned, Progress, Waiting};
use firelet_types::{AccountId, Timestamp};
use proptest::prelude::*;

use super::lanes::{Lanes, Step, Tried};
use super::policy::{Bounds, Case, Condition, Next, Outcome};
use super::*;

const PLACES: usize = 16;
const FIRST_RETRY: Duration = Duration::from_secs(60);
/// How long a try takes that finds no room.
const REFUSAL: Duration = Duration::from_millis(20);

/// How the functions of a world behave.
#[derive(Debug, Clone)]
struct Function {
    account: u32,
    /// How many run at a time.
    room: usize,
    takes: Duration,
    /// The part of its runs that fail.
    fails: f64,
}

#[derive(Debug, Clone, Copy)]
struct Stored {
    lane: Lane,
    accepted: Timestamp,
    due: Timestamp,
    progress: Progress,
}

/// What a try meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Runs,
    FindsNoRoom,
    ComesTooLate,
}

/// A try under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Trying {
    until: Timestamp,
    event: EventId,
    lane: Lane,
    fate: Fate,
}

struct World {
    functions: Vec<Function>,
    store: BTreeMap<EventId, Stored>,
    last: i64,
    lanes: Lanes,
    trying: Vec<Trying>,
    now: Timestamp,
    chance: Chance,
    /// How each event ended, and when.
    ended: HashMap<EventId, (Condition, u32, Timestamp)>,
    /// How often the function ran for each event.
    runs: HashMap<EventId, u32>,
    /// Tries that found no room.
    in_vain: usize,
    steps: usize,
}

impl World {
    fn new(functions: Vec<Function>, seed: u64) -> Self {
        Self {
            functions,
            store: BTreeMap::new(),
            last: 0,
            lanes: Lanes::new(PLACES),
            trying: Vec::new(),
            now: Timestamp::from_millis(0),
            chance: Chance::seeded(seed),
            ended: HashMap::new(),
            runs: HashMap::new(),
            in_vain: 0,
            steps: 0,
        }
    }

    fn accept(&mut self, function: usize) -> EventId {
        self.last += 1;
        let (id, lane) = (EventId(self.last), Lane(i64::try_from(function).unwrap()));
        let progress = Progress::default();
        self.store.insert(id, Stored { lane, accepted: self.now, due: self.now, progress });
        self.lanes.arrived([self.owned(lane)]);
        id
    }

    fn owned(&self, lane: Lane) -> Owned {
        let number = self.functions[usize::try_from(lane.0).unwrap()].account;
        Owned { lane, account: format!("{number:012}").parse::<AccountId>().unwrap() }
    }

    /// The server is killed and starts again.
    fn crash(&mut self) {
        self.trying.clear();
        self.lanes = Lanes::new(PLACES);
        let lanes: Vec<_> = self.store.values().map(|stored| self.owned(stored.lane)).collect();
        self.lanes.arrived(lanes);
    }

    /// Does all that can be done now; answers when more can be.
    fn work(&mut self) -> Option<Timestamp> {
        loop {
            self.steps += 1;
            match self.lanes.step(self.now) {
                Step::Read(lane, limit) => {
                    let all = self.store.iter().filter(|(_, stored)| stored.lane == lane);
                    let mut waiting: Vec<_> =
                        all.map(|(id, stored)| Waiting { due: stored.due, id: *id }).collect();
                    waiting.sort();
                    waiting.truncate(limit);
                    self.lanes.read(lane, waiting, limit);
                }
                Step::Start(lane, event) => self.start(lane, event),
                Step::Rest(until) => return until,
            }
        }
    }

    fn start(&mut self, lane: Lane, event: EventId) {
        let stored = self.store[&event];
        assert!(stored.lane == lane && stored.due <= self.now, "{event:?} is not due");
        assert!(self.trying.iter().all(|trying| trying.event != event), "{event:?} is tried twice at a time");
        assert!(self.trying.len() < PLACES);
        let function = &self.functions[usize::try_from(lane.0).unwrap()];
        let inside = |trying: &&Trying| trying.lane == lane && trying.fate == Fate::Runs;
        let has_room = self.trying.iter().filter(inside).count() < function.room;
        let (fate, takes) = match case(&stored).overdue(self.now) {
            Some(_) => (Fate::ComesTooLate, Duration::ZERO),
            None if has_room => (Fate::Runs, function.takes),
            None => (Fate::FindsNoRoom, REFUSAL),
        };
        *self.runs.entry(event).or_default() += u32::from(fate == Fate::Runs);
        self.in_vain += usize::from(fate == Fate::FindsNoRoom);
        self.trying.push(Trying { until: self.now.plus(takes), event, lane, fate });
    }

    /// Lets time pass until something happens.
    fn pass(&mut self, rest: Option<Timestamp>) {
        let first = self.trying.iter().min().copied();
        match first {
            Some(first) if rest.is_none_or(|rest| first.until <= rest) => {
                self.now = self.now.max(first.until);
                self.trying.retain(|trying| trying.event != first.event);
                self.end(first);
            }
            _ => {
                let rest = rest.expect("something is left to do");
                assert!(rest > self.now, "the loop spins at {}", self.now);
                self.now = rest;
            }
        }
    }

    fn end(&mut self, trying: Trying) {
        let stored = self.store.get_mut(&trying.event).unwrap();
        let case = case(stored);
        let fails = self.functions[usize::try_from(trying.lane.0).unwrap()].fails;
        let outcome = match trying.fate {
            Fate::Runs if self.chance.fraction() < fails => Some(Outcome::FunctionError),
            Fate::Runs => Some(Outcome::Success),
            Fate::FindsNoRoom => Some(Outcome::Setback),
            Fate::ComesTooLate => None,
        };
        let next = match outcome {
            Some(outcome) => case.next(outcome, self.now, self.chance.fraction()),
            None => case.overdue(self.now).unwrap(),
        };
        match next {
            Next::Retry { progress, due } => (stored.progress, stored.due) = (progress, due),
            Next::End { condition, invocations } => {
                self.store.remove(&trying.event);
                let before = self.ended.insert(trying.event, (condition, invocations, self.now));
                assert_eq!(before, None, "{:?} ends twice", trying.event);
            }
        }
        let tried = if outcome == Some(Outcome::Setback) { Tried::InVain } else { Tried::Ran };
        self.lanes.ended(trying.lane, trying.event, tried, self.now);
    }

    /// Goes on until nothing is left, or until `until`.
    fn run(&mut self, until: Timestamp) {
        while !self.store.is_empty() && self.now < until {
            let rest = self.work();
            self.pass(rest);
        }
    }
}

fn case(stored: &Stored) -> Case {
    Case {
        accepted: stored.accepted,
        progress: stored.progress,
        bounds: Bounds::of(None),
        first_retry: FIRST_RETRY,
    }
}

fn function(room: usize, takes: u64, fails: f64) -> Function {
    Function { account: 0, room, takes: Duration::from_millis(takes), fails }
}

const FOREVER: Timestamp = Timestamp::from_millis(i64::MAX);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever functions do and however often the server is killed, every event ends exactly once, and the loop never
    /// does more than follows from what happened.
    #[test]
    fn every_event_ends_once_and_nothing_spins(
        seed: u64,
        functions in proptest::collection::vec((0..3_u32, 0..6_usize, 1..20_000_u64, 0.0..1.0_f64), 1..6),
        floods in proptest::collection::vec((0..6_usize, 1..250_usize, 0..90_000_u64), 1..8),
        crashes in proptest::collection::vec(1..200_000_u64, 0..5),
    ) {
        let functions: Vec<_> =
            functions.into_iter().map(|(account, room, takes, fails)| Function { account, ..function(room, takes, fails) }).collect();
        let mut world = World::new(functions, seed);
        let mut starts = 0;
        let mut happen: Vec<(u64, Option<(usize, usize)>)> =
            floods.iter().map(|(of, count, at)| (*at, Some((of % world.functions.len(), *count)))).collect();
        happen.extend(crashes.iter().map(|at| (*at, None)));
        happen.sort_unstable();
        for (at, what) in happen {
            let at = Timestamp::from_millis(i64::try_from(at).unwrap());
            world.run(at);
            world.now = world.now.max(at);
            match what {
                Some((function, count)) => {
                    for _ in 0..count {
                        world.accept(function);
                    }
                }
                None => world.crash(),
            }
        }
        world.run(FOREVER);
        starts += world.in_vain + world.runs.values().map(|runs| *runs as usize + 1).sum::<usize>();
        prop_assert_eq!(world.ended.len(), usize::try_from(world.last).unwrap());
        // A try takes a start, an end, and a look before and after; the rest is waiting.
        prop_assert!(world.steps <= 8 * starts + 4_000, "{} steps for {starts} tries", world.steps);
        for (event, (condition, invocations, _)) in &world.ended {
            let runs = world.runs.get(event).copied().unwrap_or_default();
            let repeated = u32::try_from(crashes.len()).unwrap();
            prop_assert!(*invocations <= runs && runs <= *invocations + repeated);
            prop_assert!(*invocations <= 3);
            prop_assert!(*condition != Condition::Success || runs > 0);
        }
    }
}

#[test]
fn a_flood_of_one_function_does_not_hold_up_another() {
    let mut world = World::new(vec![function(1_000, 600_000, 0.0), function(1_000, 1, 0.0)], 1);
    for _ in 0..5_000 {
        world.accept(0);
    }
    world.run(Timestamp::from_millis(60_000));
    world.now = Timestamp::from_millis(60_000);
    let other = world.accept(1);
    world.run(Timestamp::from_millis(60_002));
    assert_eq!(world.ended[&other], (Condition::Success, 1, Timestamp::from_millis(60_001)));
}

#[test]
fn functions_take_turns() {
    let mut world = World::new(vec![function(1_000, 1_000, 0.0); 4], 1);
    for number in 0..400 {
        world.accept(number / 100);
    }
    world.work();
    let mut shares = [0; 4];
    for trying in &world.trying {
        shares[usize::try_from(trying.lane.0).unwrap()] += 1;
    }
    // The account has half of the places, each function an equal part of what it leaves.
    assert!(shares.iter().all(|share| (1..=2).contains(share)), "{shares:?}");
}

#[test]
fn an_account_with_many_functions_leaves_places_to_others() {
    let mut functions = vec![function(1, 600_000, 0.0); 100];
    functions.push(Function { account: 1, ..function(1, 1, 0.0) });
    let mut world = World::new(functions, 1);
    for number in 0..1_000 {
        world.accept(number % 100);
    }
    world.work();
    assert_eq!(world.trying.len(), PLACES / 2);
    let other = world.accept(100);
    world.run(Timestamp::from_millis(1));
    assert_eq!(world.ended[&other].0, Condition::Success);
}

#[test]
fn a_function_without_room_is_tried_seldom() {
    let mut world = World::new(vec![function(0, 1, 0.0)], 1);
    for _ in 0..10_000 {
        world.accept(0);
    }
    world.run(Timestamp::from_millis(3_600_000));
    // Once the first are refused, one at a time: after 1, 2, 4 and so on up to 300 seconds.
    assert!((15..60).contains(&world.in_vain), "{}", world.in_vain);
    assert!(world.steps < 400, "{}", world.steps);
}

#[test]
fn a_function_with_little_room_uses_all_of_it() {
    let mut world = World::new(vec![function(2, 100, 0.0)], 1);
    for _ in 0..4_000 {
        world.accept(0);
    }
    world.run(FOREVER);
    // Two at a time are 200 seconds at least.
    let took = world.now.as_millis();
    assert!((200_000..260_000).contains(&took), "{took}");
    assert!(world.in_vain < 400, "{}", world.in_vain);
    assert!(world.ended.values().all(|(condition, ..)| *condition == Condition::Success));
}

#[test]
fn a_release_lets_a_function_run_at_once() {
    let mut world = World::new(vec![function(0, 10, 0.0)], 1);
    world.accept(0);
    world.run(Timestamp::from_millis(600_000));
    assert!(world.lanes.are_held());
    world.functions[0].room = 10;
    let new = world.accept(0);
    let at = world.now;
    world.lanes.release();
    assert!(!world.lanes.are_held());
    world.run(at.plus(Duration::from_millis(11)));
    assert_eq!(world.ended[&new].2, at.plus(Duration::from_millis(10)));
}

#[test]
fn what_failed_is_tried_after_one_minute_and_after_two_more() {
    let mut world = World::new(vec![function(1, 1_000, 1.0)], 1);
    let event = world.accept(0);
    world.run(FOREVER);
    let (condition, invocations, at) = world.ended[&event];
    assert_eq!((condition, invocations), (Condition::RetriesExhausted, 3));
    // Three runs of a second, and the two waits with up to a tenth more.
    assert!((183_000..=201_000).contains(&at.as_millis()), "{at}");
}
