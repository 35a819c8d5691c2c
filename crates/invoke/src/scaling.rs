//! How fast functions may grow: how many execution environments are made for invocations in a time. What there is
//! already is used as often as anybody likes, and what is provisioned does not count.
//!
//! A pure decision under a lock; knows no pool and asks no clock. Two models, and a limit of each may be none:
//!
//! - Each function has a rate of its own, which refills all the time and never grows beyond what it is:
//!   <https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html>. All its versions and tenants share it.
//! - All functions of an account in a Region share a first burst, and then so many a minute, as on AWS until November 2023:
//!   `invocation-scaling.md` of awsdocs/aws-lambda-developer-guide.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use firelet_types::{FunctionName, Scope, Timestamp};
use parking_lot::Mutex;

/// The time that a function's rate is told for.
const FUNCTION_PERIOD: Duration = Duration::from_secs(10);
/// The time that an account's rate is told for.
const ACCOUNT_PERIOD: Duration = Duration::from_secs(60);
/// Buckets kept at once; beyond that, those go that are full again.
const BUCKETS: usize = 65_536;

/// How many environments may be made; `u32::MAX` stands for any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScalingOptions {
    /// Of one function in 10 seconds.
    pub function: u32,
    /// Of all functions of an account in a Region at once.
    pub account_burst: u32,
    /// Of all functions of an account in a Region each minute after that.
    pub account_minute: u32,
}

/// Which limit leaves no room for another environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalingLimit {
    /// The function's.
    Function,
    /// The same of a function that has reserved concurrency.
    ReservedFunction,
    /// The account's.
    Account,
}

/// What was made of environments lately, as far as it counts.
#[derive(Debug)]
pub(crate) struct Scaling(Mutex<Buckets>);

#[derive(Debug)]
struct Buckets {
    functions: Kept<(Scope, FunctionName)>,
    accounts: Kept<Scope>,
}

/// The buckets of one limit; a missing one is full.
#[derive(Debug)]
struct Kept<K> {
    rate: Option<Rate>,
    buckets: HashMap<K, Bucket>,
}

/// How many at once, and how many in a period after that.
#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: u64,
    refill: u64,
    /// In milliseconds.
    period: u64,
}

/// How much of a burst is gone, in parts of an environment: as many to one as a period has milliseconds.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    taken: u64,
    at: Timestamp,
}

impl Scaling {
    pub(crate) fn new(options: ScalingOptions) -> Self {
        let ScalingOptions { function, account_burst, account_minute } = options;
        let functions = Kept::new(function, function, FUNCTION_PERIOD);
        let accounts = Kept::new(account_burst, account_minute, ACCOUNT_PERIOD);
        Self(Mutex::new(Buckets { functions, accounts }))
    }

    /// Counts one more environment of a function, if it may be made.
    pub(crate) fn admit(
        &self,
        scope: &Scope,
        name: &FunctionName,
        now: Timestamp,
    ) -> Result<(), ScalingLimit> {
        self.0.lock().admit(scope, name, now)
    }
}

impl Buckets {
    fn admit(&mut self, scope: &Scope, name: &FunctionName, now: Timestamp) -> Result<(), ScalingLimit> {
        let function = (scope.clone(), name.clone());
        if !self.functions.has_room(&function, now) {
            return Err(ScalingLimit::Function);
        }
        if !self.accounts.has_room(scope, now) {
            return Err(ScalingLimit::Account);
        }
        self.functions.take(function, now);
        self.accounts.take(scope.clone(), now);
        Ok(())
    }
}

impl<K: Eq + Hash> Kept<K> {
    fn new(burst: u32, refill: u32, period: Duration) -> Self {
        let period = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
        let rate = Rate { burst: burst.into(), refill: refill.into(), period };
        Self { rate: (burst < u32::MAX).then_some(rate), buckets: HashMap::new() }
    }

    fn has_room(&self, key: &K, now: Timestamp) -> bool {
        let Some(rate) = self.rate else { return true };
        let taken = self.buckets.get(key).map_or(0, |bucket| bucket.taken_at(rate, now));
        taken + rate.period <= rate.burst * rate.period
    }

    fn take(&mut self, key: K, now: Timestamp) {
        let Some(rate) = self.rate else { return };
        if self.buckets.len() >= BUCKETS {
            self.buckets.retain(|_, bucket| bucket.taken_at(rate, now) > 0);
        }
        let bucket = self.buckets.entry(key).or_insert(Bucket { taken: 0, at: now });
        *bucket = Bucket { taken: bucket.taken_at(rate, now) + rate.period, at: now };
    }
}

impl Bucket {
    /// A clock that was set back refills nothing, and from then on counts as any other.
    fn taken_at(self, rate: Rate, now: Timestamp) -> u64 {
        let elapsed = now.as_millis().saturating_sub(self.at.as_millis()).max(0).unsigned_abs();
        self.taken.saturating_sub(elapsed.saturating_mul(rate.refill))
    }
}

#[cfg(test)]
mod tests {
    use firelet_types::{AccountId, Region};
    use proptest::prelude::*;

    use super::*;

    const NONE: u32 = u32::MAX;
    /// What AWS has now.
    const FUNCTION: ScalingOptions = options(1_000, NONE, NONE);
    /// What AWS had in most Regions.
    const ACCOUNT: ScalingOptions = options(NONE, 500, 500);

    const fn options(function: u32, account_burst: u32, account_minute: u32) -> ScalingOptions {
        ScalingOptions { function, account_burst, account_minute }
    }

    fn scope(account: u32) -> Scope {
        let account: AccountId = format!("{account:012}").parse().unwrap();
        Scope { account, region: Region::local() }
    }

    fn admit(scaling: &Scaling, account: u32, name: &str, now: i64) -> Result<(), ScalingLimit> {
        scaling.admit(&scope(account), &name.parse().unwrap(), Timestamp::from_millis(now))
    }

    /// Asks for environments until one is refused, or for `wanted`: how many there were, and which limit ended it.
    fn grow(
        scaling: &Scaling,
        account: u32,
        name: &str,
        now: i64,
        wanted: usize,
    ) -> (usize, Option<ScalingLimit>) {
        for made in 0..wanted {
            if let Err(limit) = admit(scaling, account, name, now) {
                return (made, Some(limit));
            }
        }
        (wanted, None)
    }

    #[test]
    fn a_limit_is_used_up_and_refills_all_the_time() {
        use ScalingLimit::{Account, Function};
        // At each moment, in milliseconds: environments of which account and function are wanted, how many come, and which
        // limit ends it.
        type Moment = (i64, u32, &'static str, usize, usize, Option<ScalingLimit>);
        let cases: [(&str, ScalingOptions, &[Moment]); 9] = [
            (
                "a function grows by 1,000, then by 100 a second",
                FUNCTION,
                &[
                    (0, 1, "a", 2_000, 1_000, Some(Function)),
                    (9, 1, "a", 1, 0, Some(Function)),
                    (10, 1, "a", 2, 1, Some(Function)),
                    (1_010, 1, "a", 200, 100, Some(Function)),
                    (11_010, 1, "a", 2_000, 1_000, Some(Function)),
                ],
            ),
            (
                "what is not used is not saved up",
                FUNCTION,
                &[(0, 1, "a", 10, 10, None), (3_600_000, 1, "a", 2_000, 1_000, Some(Function))],
            ),
            (
                "each function has its own, in each account",
                FUNCTION,
                &[
                    (0, 1, "a", 1_001, 1_000, Some(Function)),
                    (0, 1, "b", 1_001, 1_000, Some(Function)),
                    (0, 2, "a", 1_001, 1_000, Some(Function)),
                ],
            ),
            (
                "an account grows by its burst, then by 500 a minute",
                ACCOUNT,
                &[
                    (0, 1, "a", 300, 300, None),
                    (0, 1, "b", 300, 200, Some(Account)),
                    (0, 2, "b", 501, 500, Some(Account)),
                    (119, 1, "a", 1, 0, Some(Account)),
                    (120, 1, "a", 2, 1, Some(Account)),
                    (60_120, 1, "b", 501, 500, Some(Account)),
                ],
            ),
            (
                "a large burst refills as slowly as a small one",
                options(NONE, 3_000, 500),
                &[(0, 1, "a", 3_001, 3_000, Some(Account)), (60_000, 1, "a", 3_001, 500, Some(Account))],
            ),
            (
                "what the account refuses is not taken from the function",
                options(3, 2, 60),
                &[
                    (0, 1, "a", 9, 2, Some(Account)),
                    (2_000, 1, "a", 9, 1, Some(Function)),
                    (2_000, 1, "b", 9, 1, Some(Account)),
                ],
            ),
            (
                "a limit of none lets nothing be made",
                options(0, NONE, 0),
                &[(9, 1, "a", 1, 0, Some(Function))],
            ),
            ("without limits anything goes", options(NONE, NONE, 0), &[(0, 1, "a", 5_000, 5_000, None)]),
            (
                "a clock that is set back stops nothing for good",
                options(10, NONE, NONE),
                &[
                    (3_600_000, 1, "a", 11, 10, Some(Function)),
                    (0, 1, "a", 1, 0, Some(Function)),
                    (3_601_000, 1, "a", 9, 1, Some(Function)),
                ],
            ),
        ];
        for (what, options, moments) in cases {
            let scaling = Scaling::new(options);
            for &(now, account, name, wanted, made, limit) in moments {
                assert_eq!(grow(&scaling, account, name, now, wanted), (made, limit), "{what}, at {now}");
            }
        }
    }

    #[test]
    fn buckets_that_are_full_again_are_forgotten() {
        let mut kept = Kept::new(1_000, 1_000, FUNCTION_PERIOD);
        let last = u32::try_from(BUCKETS).unwrap();
        for key in 0..last {
            kept.take(key, Timestamp::from_millis(0));
        }
        kept.take(0, Timestamp::from_millis(5));
        kept.take(last, Timestamp::from_millis(12));
        assert_eq!(kept.buckets.len(), 2);
    }

    proptest! {
        /// However environments are asked for, never more are made in any time than the burst and what refills in it.
        #[test]
        fn no_time_has_more_than_it_may(
            limit in 1..20_u32,
            steps in proptest::collection::vec((0..4_000_i64, 0..15_usize), 1..60),
        ) {
            let scaling = Scaling::new(options(limit, NONE, NONE));
            let (mut now, mut made) = (0, Vec::new());
            for (wait, wanted) in steps {
                now += wait;
                made.push((now, grow(&scaling, 1, "a", now, wanted).0));
            }
            for first in 0..made.len() {
                let mut sum = 0;
                for (at, count) in &made[first..] {
                    sum += i64::try_from(*count).unwrap();
                    let elapsed = at - made[first].0;
                    prop_assert!(sum * 10_000 <= i64::from(limit) * (10_000 + elapsed));
                }
            }
        }
    }
}
