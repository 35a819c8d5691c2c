use firelet_types::{AccountId, Region, Timestamp};

use super::*;

fn holder(qualifier: &str) -> Holder {
    let scope = Scope { account: AccountId::local(), region: Region::local() };
    Holder { scope, name: "echo".parse().unwrap(), qualifier: Qualifier::from(qualifier) }
}

fn key(version: u64) -> Key {
    let Holder { scope, name, .. } = holder("");
    Key { scope, name, version: Version::Published(version), tenant: None }
}

fn wanted(qualifier: &str, version: u64, requested: u32) -> Wanted {
    let holder = holder(qualifier);
    let record = ProvisionedConcurrency {
        qualifier: holder.qualifier.clone(),
        version,
        requested,
        last_modified: Timestamp::from_millis(1),
        allocation: Allocation::default(),
    };
    Wanted { holder, record }
}

/// A plan, and what it has led to so far.
struct Bench {
    plan: Plan,
    now: Instant,
    stock: HashMap<Key, Stock>,
    wanted: Vec<Wanted>,
    /// Environments that ended idle, of whatever version.
    lost: usize,
}

impl Bench {
    fn new(wanted: &[Wanted]) -> Self {
        let plan = Plan::default();
        Self { plan, now: Instant::now(), stock: HashMap::new(), wanted: wanted.to_vec(), lost: 0 }
    }

    fn there(&mut self, version: u64, alive: usize, creating: usize) -> &mut Self {
        self.stock.insert(key(version), Stock { alive, creating, lost: self.lost });
        self
    }

    /// Makes a step, and stores what it reports.
    fn step(&mut self, occasion: Occasion) -> Vec<Effect> {
        let stock = |version: &Key| self.stock.get(version).copied().unwrap_or_default();
        let effects = self.plan.step(&self.wanted, stock, self.now, occasion);
        for effect in &effects {
            if let Effect::Report { holder, allocation, .. } = effect {
                let wanted = self.wanted.iter_mut().find(|wanted| wanted.holder == *holder).unwrap();
                wanted.record.allocation = allocation.clone();
            }
        }
        effects
    }

    fn fail(&mut self, version: u64) {
        let holder = self.wanted[0].holder.clone();
        self.plan.made(&holder, &key(version), Err("NO".into()), self.now);
    }
}

/// How many environments a step makes of each version.
fn made(effects: &[Effect]) -> Vec<(Key, usize)> {
    let of = |effect: &Effect| match effect {
        Effect::Make { version, count, .. } => Some((version.clone(), *count)),
        Effect::Keep { .. } | Effect::Report { .. } => None,
    };
    effects.iter().filter_map(of).collect()
}

fn kept(effects: &[Effect], version: u64) -> Option<usize> {
    effects.iter().find_map(|effect| match effect {
        Effect::Keep { version: of, count } if *of == key(version) => Some(*count),
        Effect::Keep { .. } | Effect::Make { .. } | Effect::Report { .. } => None,
    })
}

fn reported(effects: &[Effect]) -> Option<Allocation> {
    effects.iter().find_map(|effect| match effect {
        Effect::Report { allocation, .. } => Some(allocation.clone()),
        Effect::Keep { .. } | Effect::Make { .. } => None,
    })
}

fn allocation(allocated: u32, available: u32, status: AllocationStatus) -> Allocation {
    Allocation { allocated, available, status }
}

fn failed() -> AllocationStatus {
    AllocationStatus::Failed { reason: "NO".into() }
}

#[test]
fn what_is_missing_is_made_a_few_at_a_time() {
    for (requested, alive, creating, expected) in [
        (1, 0, 0, 1),
        (3, 0, 0, 3),
        (3, 1, 1, 1),
        (3, 2, 1, 0),
        (3, 3, 0, 0),
        (3, 4, 0, 0),
        (100, 0, 0, PARALLEL),
        (100, 0, PARALLEL, 0),
        (100, 99, 0, 1),
        (100, 50, PARALLEL - 1, 1),
    ] {
        let mut bench = Bench::new(&[wanted("1", 1, requested)]);
        let effects = bench.there(1, alive, creating).step(Occasion::Change);
        let expected: Vec<(Key, usize)> = if expected == 0 { Vec::new() } else { vec![(key(1), expected)] };
        assert_eq!(made(&effects), expected, "{requested} {alive} {creating}");
        assert_eq!(kept(&effects, 1), Some(requested as usize));
    }
}

#[test]
fn it_is_ready_when_all_are_there_and_stays_so_while_one_is_replaced() {
    let mut bench = Bench::new(&[wanted("1", 1, 2)]);
    assert_eq!(reported(&bench.step(Occasion::Change)), None);
    assert_eq!(reported(&bench.there(1, 1, 1).step(Occasion::Change)), None, "counts wait for a tick");
    let in_progress = allocation(1, 1, AllocationStatus::InProgress);
    assert_eq!(reported(&bench.step(Occasion::Tick)), Some(in_progress));
    let ready = allocation(2, 2, AllocationStatus::Ready);
    assert_eq!(reported(&bench.there(1, 2, 0).step(Occasion::Change)), Some(ready.clone()));
    let effects = bench.there(1, 1, 0).step(Occasion::Change);
    assert_eq!((made(&effects), reported(&effects)), (vec![(key(1), 1)], None));
    let replacing = allocation(2, 1, AllocationStatus::Ready);
    assert_eq!(reported(&bench.there(1, 1, 1).step(Occasion::Tick)), Some(replacing));
    assert_eq!(reported(&bench.there(1, 2, 0).step(Occasion::Tick)), Some(ready));
    assert_eq!(reported(&bench.step(Occasion::Tick)), None);
}

#[test]
fn a_report_that_was_lost_is_made_again() {
    let mut bench = Bench::new(&[wanted("1", 1, 1)]);
    let ready = reported(&bench.there(1, 1, 0).step(Occasion::Change)).unwrap();
    bench.wanted[0].record.allocation = Allocation::default();
    assert_eq!(reported(&bench.step(Occasion::Change)), None);
    assert_eq!(reported(&bench.step(Occasion::Tick)), Some(ready));
}

#[test]
fn after_a_failure_one_is_tried_at_longer_and_longer_intervals() {
    let mut bench = Bench::new(&[wanted("1", 1, 3)]);
    bench.step(Occasion::Change);
    let mut pause = FIRST_RETRY;
    for _ in 0..10 {
        bench.there(1, 0, 2);
        bench.fail(1);
        // Others that were on their way make it no worse.
        bench.fail(1);
        let effects = bench.there(1, 0, 0).step(Occasion::Change);
        assert_eq!(made(&effects), []);
        assert_eq!(bench.wanted[0].record.allocation, allocation(0, 0, failed()));
        bench.now += pause.checked_sub(Duration::from_millis(1)).unwrap();
        assert_eq!(made(&bench.step(Occasion::Tick)), []);
        bench.now += Duration::from_millis(1);
        assert_eq!(made(&bench.step(Occasion::Tick)), [(key(1), 1)]);
        assert_eq!(made(&bench.there(1, 0, 1).step(Occasion::Tick)), [], "while one is on its way");
        pause = (pause * 2).min(LAST_RETRY);
    }
}

#[test]
fn a_failure_stands_until_all_are_there() {
    let mut bench = Bench::new(&[wanted("1", 1, 2)]);
    bench.step(Occasion::Change);
    bench.fail(1);
    bench.step(Occasion::Change);
    let holder = bench.wanted[0].holder.clone();
    bench.plan.made(&holder, &key(1), Ok(()), bench.now);
    assert_eq!(made(&bench.there(1, 1, 0).step(Occasion::Change)), [(key(1), 1)], "at once");
    bench.there(1, 1, 1).step(Occasion::Tick);
    assert_eq!(bench.wanted[0].record.allocation, allocation(1, 1, failed()));
    bench.there(1, 2, 0).step(Occasion::Change);
    assert_eq!(bench.wanted[0].record.allocation, allocation(2, 2, AllocationStatus::Ready));
}

#[test]
fn what_ends_by_itself_is_replaced_after_a_while() {
    let mut bench = Bench::new(&[wanted("1", 1, 2)]);
    bench.lost = 7;
    assert_eq!(made(&bench.there(1, 0, 0).step(Occasion::Change)), [(key(1), 2)], "others ended before");
    bench.there(1, 2, 0).step(Occasion::Change);
    bench.lost = 8;
    let effects = bench.there(1, 1, 0).step(Occasion::Tick);
    assert_eq!(made(&effects), []);
    assert_eq!(reported(&effects), Some(allocation(2, 1, AllocationStatus::Ready)));
    bench.now += FIRST_RETRY;
    assert_eq!(made(&bench.step(Occasion::Tick)), [(key(1), 1)]);
}

#[test]
fn what_never_stays_is_a_failure() {
    let mut bench = Bench::new(&[wanted("1", 1, 2)]);
    bench.step(Occasion::Change);
    let mut pause = FIRST_RETRY;
    for lost in 1..4 {
        bench.lost = lost;
        assert_eq!(made(&bench.there(1, 1, 0).step(Occasion::Change)), []);
        let status = AllocationStatus::Failed { reason: LOST.into() };
        assert_eq!(bench.wanted[0].record.allocation, allocation(1, 1, status));
        bench.now += pause;
        assert_eq!(made(&bench.step(Occasion::Tick)), [(key(1), 1)]);
        pause *= 2;
    }
}

#[test]
fn a_new_request_begins_anew() {
    let mut bench = Bench::new(&[wanted("1", 1, 2)]);
    bench.step(Occasion::Change);
    bench.fail(1);
    bench.step(Occasion::Change);
    let mut again = wanted("1", 1, 2);
    again.record.last_modified = Timestamp::from_millis(2);
    bench.wanted = vec![again];
    let effects = bench.step(Occasion::Change);
    assert_eq!((made(&effects), reported(&effects)), (vec![(key(1), 2)], None));
    bench.wanted = vec![wanted("1", 1, 1)];
    let effects = bench.there(1, 2, 0).step(Occasion::Change);
    assert_eq!((made(&effects), kept(&effects, 1)), (vec![], Some(1)));
    assert_eq!(reported(&effects), Some(allocation(1, 1, AllocationStatus::Ready)));
}

#[test]
fn when_an_alias_moves_the_old_ones_go_after_the_new_ones_came() {
    for new_ones_fail in [false, true] {
        let mut bench = Bench::new(&[wanted("live", 1, 2)]);
        bench.there(1, 2, 0).step(Occasion::Change);
        bench.wanted = vec![wanted("live", 2, 2)];
        let effects = bench.step(Occasion::Change);
        assert_eq!((made(&effects), reported(&effects)), (vec![(key(2), 2)], None));
        assert_eq!([kept(&effects, 1), kept(&effects, 2)], [Some(2), Some(2)]);
        // What comes of an attempt for the version before does not count.
        bench.fail(1);
        assert_eq!(kept(&bench.there(2, 1, 1).step(Occasion::Change), 1), Some(2));
        if new_ones_fail {
            bench.fail(2);
        } else {
            bench.there(2, 2, 0);
        }
        let effects = bench.step(Occasion::Change);
        assert_eq!([kept(&effects, 1), kept(&effects, 2)], [Some(0), Some(2)]);
        assert_eq!(kept(&bench.step(Occasion::Change), 1), None);
    }
}

#[test]
fn a_version_that_an_alias_left_may_have_its_own() {
    let mut bench = Bench::new(&[wanted("live", 1, 2)]);
    bench.there(1, 2, 0).step(Occasion::Change);
    bench.wanted = vec![wanted("live", 2, 2), wanted("1", 1, 1)];
    assert_eq!(kept(&bench.step(Occasion::Change), 1), Some(2));
    assert_eq!(kept(&bench.there(2, 2, 0).step(Occasion::Change), 1), Some(1));
}

#[test]
fn what_is_no_longer_wanted_goes() {
    let mut bench = Bench::new(&[wanted("1", 1, 2), wanted("2", 2, 1)]);
    bench.there(1, 2, 0).there(2, 1, 0).step(Occasion::Change);
    bench.wanted.remove(0);
    let effects = bench.step(Occasion::Change);
    assert_eq!([kept(&effects, 1), kept(&effects, 2)], [Some(0), Some(1)]);
    assert_eq!(made(&effects), []);
    bench.wanted.clear();
    assert_eq!(bench.step(Occasion::Change), [Effect::Keep { version: key(2), count: 0 }]);
    assert_eq!(bench.step(Occasion::Change), []);
}
