//! Chance as an input: draws that need not be secret, from the system or from a seed that gives them again.

use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::id::split_mix;

/// The values of a fraction's 53 bits.
const FRACTIONS: f64 = 9_007_199_254_740_992.0;

/// A source of chance.
#[derive(Debug)]
pub struct Chance(Mutex<u64>);

impl Chance {
    /// Chance that nobody can know beforehand.
    #[must_use]
    pub fn system() -> Self {
        Self::seeded(Uuid::new_v4().as_u64_pair().0)
    }

    /// The sequence of draws that belongs to `seed`.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    /// A number from 0 up to, but not including, 1; all are equally likely.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        let drawn = split_mix(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)) >> 11;
        let half = |bits: u64| f64::from(u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX));
        (half(drawn >> 32) * 4_294_967_296.0 + half(drawn)) / FRACTIONS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_spread_evenly_and_come_again() {
        let draw = || {
            let chance = Chance::seeded(5);
            (0..10_000).map(|_| chance.fraction()).collect::<Vec<_>>()
        };
        let drawn = draw();
        assert_eq!(drawn, draw());
        assert!(drawn.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        let lower = drawn.iter().filter(|fraction| **fraction < 0.25).count();
        assert!((2_300..2_700).contains(&lower), "{lower}");
    }
}
