//! Which packages were unpacked before anybody needed them, and which of them have to go. Nothing here touches the disk.

use std::collections::VecDeque;

use firelet_types::CodeSha256;

/// Bytes of disk for packages that nobody has needed yet: four of the largest.
const BYTES: u64 = 1 << 30;
/// How many such packages there may be.
const COUNT: usize = 1_024;

/// The packages that nobody has needed yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    unused: VecDeque<Unused>,
}

#[derive(Debug)]
struct Unused {
    sha256: CodeSha256,
    /// None while it is being unpacked.
    bytes: Option<u64>,
}

impl Ahead {
    /// A package is about to be unpacked.
    pub(super) fn begin(&mut self, sha256: CodeSha256) {
        self.claim(&sha256);
        self.unused.push_back(Unused { sha256, bytes: None });
    }

    /// A package is unpacked and takes so many bytes. Answers those that have to go for it, which are then forgotten.
    pub(super) fn finish(&mut self, sha256: &CodeSha256, bytes: u64) -> Vec<CodeSha256> {
        if let Some(unused) = self.unused.iter_mut().find(|unused| unused.sha256 == *sha256) {
            unused.bytes = Some(bytes);
        }
        let mut surplus = Vec::new();
        while self.is_too_much()
            && let Some(oldest) = self.unused.iter().position(|unused| unused.bytes.is_some())
        {
            surplus.extend(self.unused.remove(oldest).map(|unused| unused.sha256));
        }
        surplus
    }

    fn is_too_much(&self) -> bool {
        let bytes = self.unused.iter().filter_map(|unused| unused.bytes).fold(0, u64::saturating_add);
        bytes > BYTES || self.unused.len() > COUNT
    }

    /// Somebody needs a package, which stays from now on; or it is none of these after all.
    pub(super) fn claim(&mut self, sha256: &CodeSha256) {
        self.unused.retain(|unused| unused.sha256 != *sha256);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u64) -> CodeSha256 {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        CodeSha256::from_bytes(bytes)
    }

    /// Unpacks packages of these sizes, of which those at `needed` are needed at once; answers which went.
    fn gone(sizes: impl IntoIterator<Item = u64>, needed: &[u64]) -> Vec<CodeSha256> {
        let mut ahead = Ahead::default();
        let mut gone = Vec::new();
        for (number, bytes) in (0..).zip(sizes) {
            ahead.begin(digest(number));
            if needed.contains(&number) {
                ahead.claim(&digest(number));
            }
            gone.extend(ahead.finish(&digest(number), bytes));
        }
        gone
    }

    #[test]
    fn the_oldest_that_nobody_has_needed_go() {
        let half = BYTES / 2;
        assert_eq!(gone([half, half], &[]), []);
        assert_eq!(gone([half, half, 1], &[]), [digest(0)]);
        assert_eq!(gone([half, half, half], &[0]), []);
        assert_eq!(gone([half, half, half, 1], &[0]), [digest(1)]);
        assert_eq!(gone([BYTES + 1], &[]), [digest(0)]);
        assert_eq!(gone((0..=COUNT).map(|_| 0), &[]), [digest(0)]);
    }

    #[test]
    fn what_is_still_being_unpacked_stays() {
        let mut ahead = Ahead::default();
        ahead.begin(digest(0));
        ahead.begin(digest(1));
        assert_eq!(ahead.finish(&digest(1), BYTES + 1), [digest(1)]);
        assert_eq!(ahead.finish(&digest(0), BYTES), []);
    }
}
