//! When another environment is made: a pure decision.

/// What a group of environments looks like when somebody waits for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Callers that wait.
    pub(crate) waiting: usize,
    /// Environments on their way.
    pub(crate) creating: usize,
    /// Environments whose runtime has answered and is about to ask for its next event.
    pub(crate) finishing: usize,
}

/// What to do for those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Supply {
    /// Enough is on its way.
    Enough,
    /// Environments about to be free are worth a short wait.
    AwaitFinishing,
    /// Make one more.
    Create,
}

impl Demand {
    pub(crate) const fn supply(self, finishing_counts: bool) -> Supply {
        if self.waiting <= self.creating {
            Supply::Enough
        } else if finishing_counts && self.waiting <= self.creating + self.finishing {
            Supply::AwaitFinishing
        } else {
            Supply::Create
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_environment_is_made_for_each_who_waits_in_vain() {
        for (waiting, creating, finishing, expected) in [
            (1, 0, 0, Supply::Create),
            (1, 1, 0, Supply::Enough),
            (2, 1, 0, Supply::Create),
            (1, 0, 1, Supply::AwaitFinishing),
            (2, 0, 1, Supply::Create),
            (2, 1, 1, Supply::AwaitFinishing),
            (0, 0, 0, Supply::Enough),
        ] {
            let demand = Demand { waiting, creating, finishing };
            assert_eq!(demand.supply(true), expected, "{demand:?}");
        }
    }

    #[test]
    fn after_the_short_wait_a_finishing_environment_no_longer_counts() {
        let demand = Demand { waiting: 1, creating: 0, finishing: 1 };
        assert_eq!(demand.supply(false), Supply::Create);
    }
}
