//! Looks at the counts that an archive declares before a parser takes memory for them.

use super::{ArchiveError, Limits};

/// The signature of a zip64 end of central directory record.
const ZIP64_END: &[u8; 4] = b"PK\x06\x06";
/// Where in that record the number of entries stands: this disk's and the total.
const ZIP64_COUNTS: [usize; 2] = [24, 32];

/// Refuses an archive that could make the parser read more entries than allowed.
///
/// Without a zip64 record the count is a 16-bit number, so only those records are looked at: every one, wherever it
/// stands, since which of several a parser would believe is a matter of taste.
pub(super) fn survey(zip: &[u8], limits: &Limits) -> Result<(), ArchiveError> {
    for start in memchr::memmem::find_iter(zip, ZIP64_END) {
        let counts = ZIP64_COUNTS.iter().filter_map(|offset| count(zip, start + offset));
        if counts.max().is_some_and(|count| count > limits.entries as u64) {
            return Err(ArchiveError::TooManyEntries { limit: limits.entries });
        }
    }
    Ok(())
}

fn count(zip: &[u8], offset: usize) -> Option<u64> {
    let bytes = zip.get(offset..offset.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}
