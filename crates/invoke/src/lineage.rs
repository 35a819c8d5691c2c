//! Which functions a chain of invocations went through, and how often through each: the Lineage of the trace header.
//!
//! Pure text. A function gets the header with itself counted, AWS's SDKs send it on with their calls, and destinations get it,
//! so that a function that causes its own invocation is seen to come again. The form is that of recorded headers:
//! `Lineage=a87bd80c:1|68fd508a:5`, a mark of each function and how often the chain came back to it. Headers from AWS
//! itself may hold the newer `1:fe460cdd:0`, with a count of the whole before the mark.
//! See <https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html>.

use std::fmt;

use firelet_types::{FunctionName, Scope};

/// Functions of a chain that are remembered; of a longer one those that came first are forgotten.
const MARKS: usize = 16;
/// How often a chain may come back to a function: with the first time these are 16 invocations.
const REPEATS: u32 = 15;
const FIELD: &str = "Lineage=";

/// What stands for a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(u32);

impl Mark {
    /// The mark of a function. Short, and known to whoever knows the function: it guards against mistakes.
    ///
    /// FNV-1a: see <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>.
    pub(crate) fn of(scope: &Scope, name: &FunctionName) -> Self {
        let parts = [scope.account.as_str(), scope.region.as_str(), name.as_str()];
        let bytes = parts.into_iter().flat_map(|part| part.bytes().chain([b'/']));
        Self(bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08x}", self.0)
    }
}

/// A chain that has come to a function.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entered {
    /// The header that the function is given.
    pub(crate) header: String,
    /// How often the chain came back to it.
    repeats: u32,
}

impl Entered {
    /// Whether the chain comes to the function so often that it is a loop.
    pub(crate) const fn is_loop(&self) -> bool {
        self.repeats > REPEATS
    }
}

/// Counts an invocation of the function with `mark` in the chain that `header` tells of.
pub(crate) fn enter(header: &str, mark: Mark) -> Entered {
    let (lineages, others): (Vec<&str>, Vec<&str>) =
        header.split(';').partition(|field| field.starts_with(FIELD));
    let lineage = lineages.first().map_or("", |field| &field[FIELD.len()..]);
    let mut passed: Vec<(Mark, u32)> = lineage.split('|').filter_map(parse).collect();
    let repeats = match passed.iter_mut().find(|(passed, _)| *passed == mark) {
        Some((_, count)) => {
            *count = count.saturating_add(1);
            *count
        }
        None => {
            passed.push((mark, 0));
            0
        }
    };
    let kept = &passed[passed.len().saturating_sub(MARKS)..];
    let lineage: Vec<String> = kept.iter().map(|(mark, count)| format!("{mark}:{count}")).collect();
    Entered { header: format!("{};{FIELD}{}", others.join(";"), lineage.join("|")), repeats }
}

/// `a87bd80c:1`, or `1:a87bd80c:1`.
fn parse(entry: &str) -> Option<(Mark, u32)> {
    let (front, count) = entry.rsplit_once(':')?;
    let mark = front.rsplit_once(':').map_or(front, |(_, mark)| mark);
    let is_mark = mark.len() == 8 && mark.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mark = is_mark.then(|| u32::from_str_radix(mark, 16).ok())??;
    Some((Mark(mark), count.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use firelet_types::{AccountId, Region};
    use proptest::prelude::*;

    use super::*;

    const ROOT: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";
    const MARK: Mark = Mark(0xa87b_d80c);

    #[track_caller]
    fn check(header: &str, expected: &str, repeats: u32) {
        let entered = enter(&header.replace("ROOT", ROOT), MARK);
        assert_eq!(entered, Entered { header: expected.replace("ROOT", ROOT), repeats });
    }

    #[test]
    fn each_invocation_is_counted_for_its_function() {
        check("ROOT", "ROOT;Lineage=a87bd80c:0", 0);
        check("ROOT;Sampled=0;Lineage=a87bd80c:0", "ROOT;Sampled=0;Lineage=a87bd80c:1", 1);
        check("ROOT;Lineage=061379e8:0", "ROOT;Lineage=061379e8:0|a87bd80c:0", 0);
        check("ROOT;Lineage=061379e8:3|a87bd80c:14", "ROOT;Lineage=061379e8:3|a87bd80c:15", 15);
        check("ROOT;Lineage=a87bd80c:4294967295", "ROOT;Lineage=a87bd80c:4294967295", u32::MAX);
    }

    #[test]
    fn other_fields_stay_where_they_are() {
        check("Lineage=a87bd80c:2;ROOT;Sampled=1", "ROOT;Sampled=1;Lineage=a87bd80c:3", 3);
        check("ROOT;Self=1-2-3;Lineage=", "ROOT;Self=1-2-3;Lineage=a87bd80c:0", 0);
    }

    #[test]
    fn what_aws_writes_today_is_read() {
        check("ROOT;Lineage=1:fe460cdd:0", "ROOT;Lineage=fe460cdd:0|a87bd80c:0", 0);
        check("ROOT;Lineage=25:a87bd80c:4", "ROOT;Lineage=a87bd80c:5", 5);
    }

    #[test]
    fn what_is_no_lineage_is_left_out() {
        for wrong in
            ["nonsense", "a87bd80c", "a87bd80c:x", "a87bd8:1", "+87bd80c:1", "a87bd80c:-1", "|", "::"]
        {
            check(&format!("ROOT;Lineage={wrong}"), "ROOT;Lineage=a87bd80c:0", 0);
        }
    }

    #[test]
    fn the_seventeenth_invocation_is_a_loop() {
        let mut header = ROOT.to_owned();
        for number in 1..=40 {
            let entered = enter(&header, MARK);
            assert_eq!(entered.is_loop(), number > 16, "{number}");
            header = entered.header;
        }
    }

    #[test]
    fn of_a_long_chain_the_last_are_kept() {
        let mut header = ROOT.to_owned();
        for number in 0..100 {
            header = enter(&header, Mark(number)).header;
        }
        let marks: Vec<String> = (84..100).map(|number| format!("{number:08x}:0")).collect();
        assert_eq!(header, format!("{ROOT};Lineage={}", marks.join("|")));
    }

    #[test]
    fn functions_have_marks_of_their_own() {
        let scope = |account: &str| Scope { account: account.parse().unwrap(), region: Region::local() };
        let mark = |account, name: &str| Mark::of(&scope(account), &name.parse().unwrap());
        let account = AccountId::local();
        let first = mark(account.as_str(), "a");
        assert_eq!(first, mark("000000000000", "a"));
        assert_ne!(first, mark("000000000000", "b"));
        assert_ne!(first, mark("000000000001", "a"));
    }

    proptest! {
        #[test]
        fn any_header_is_answered_and_stays_short(header in ".{0,1024}") {
            let entered = enter(&header, MARK);
            prop_assert!(!entered.is_loop() || header.contains("a87bd80c") || header.contains("A87BD80C"));
            prop_assert!(entered.header.len() <= header.len() + 16 * 20 + 9);
        }
    }
}
