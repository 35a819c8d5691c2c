//! A body that comes in pieces and is wanted as a whole.
//!
//! Copies each piece at once and lets it go, so that whoever reads can read the next into the same memory: a large body takes its
//! own size of memory, and not twice that. Reads nothing itself.

use bytes::{Bytes, BytesMut};

/// What has come of a body so far.
#[derive(Debug)]
pub struct Gathered {
    limit: usize,
    announced: usize,
    /// The first piece, which may be all there is, while there is no other.
    first: Bytes,
    /// All pieces, once there are several.
    all: BytesMut,
}

/// The body has more bytes than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body has more than {0} bytes")]
pub struct TooLarge(
    /// Bytes that it may have.
    pub usize,
);

impl Gathered {
    /// Nothing so far, of a body that may have `limit` bytes and was announced with `announced`, if it was. Room for those is
    /// made when the second piece comes.
    #[must_use]
    pub fn new(limit: usize, announced: Option<u64>) -> Self {
        let announced = announced.and_then(|size| usize::try_from(size).ok()).unwrap_or_default().min(limit);
        Self { limit, announced, first: Bytes::new(), all: BytesMut::new() }
    }

    /// Adds a piece.
    ///
    /// # Errors
    ///
    /// When the body becomes too large.
    pub fn add(&mut self, piece: Bytes) -> Result<(), TooLarge> {
        let present = self.first.len() + self.all.len();
        if piece.len() > self.limit - present {
            return Err(TooLarge(self.limit));
        }
        if present == 0 {
            self.first = piece;
            return Ok(());
        }
        let first = std::mem::take(&mut self.first);
        if !first.is_empty() {
            self.all.reserve(self.announced.max(present + piece.len()));
            self.all.extend_from_slice(&first);
        }
        self.all.extend_from_slice(&piece);
        Ok(())
    }

    /// The whole body.
    #[must_use]
    pub fn finish(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(announced: Option<u64>, pieces: &[&'static str], whole: Result<&str, TooLarge>) {
        let mut gathered = Gathered::new(8, announced);
        let added = pieces.iter().try_for_each(|piece| gathered.add(Bytes::from_static(piece.as_bytes())));
        assert_eq!(
            added.map(|()| gathered.finish()),
            whole.map(|whole| Bytes::copy_from_slice(whole.as_bytes()))
        );
    }

    #[test]
    fn pieces_become_a_whole_within_the_limit() {
        for announced in [None, Some(0), Some(3), Some(8), Some(u64::MAX)] {
            check(announced, &[], Ok(""));
            check(announced, &["abc"], Ok("abc"));
            check(announced, &["", "ab", "", "c", "defgh"], Ok("abcdefgh"));
            check(announced, &["abcdefgh", "i"], Err(TooLarge(8)));
            check(announced, &["abcdefghi"], Err(TooLarge(8)));
        }
    }

    #[test]
    fn a_single_piece_is_not_copied() {
        let piece = Bytes::from(vec![1; 8]);
        let mut gathered = Gathered::new(8, Some(8));
        gathered.add(piece.clone()).unwrap();
        assert_eq!(gathered.finish().as_ptr(), piece.as_ptr());
    }

    #[test]
    fn room_is_made_once() {
        let mut gathered = Gathered::new(1 << 20, Some(1 << 20));
        gathered.add(Bytes::from(vec![0; 1 << 10])).unwrap();
        assert_eq!(gathered.all.capacity(), 0);
        gathered.add(Bytes::from(vec![0; 1 << 10])).unwrap();
        let place = gathered.all.as_ptr();
        for _ in 2..1 << 10 {
            gathered.add(Bytes::from(vec![0; 1 << 10])).unwrap();
        }
        assert_eq!((gathered.all.as_ptr(), gathered.finish().len()), (place, 1 << 20));
    }
}
