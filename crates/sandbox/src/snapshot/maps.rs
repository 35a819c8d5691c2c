//! What `/proc` tells of a process's memory. Pure: text in, values out.
//!
//! See <https://docs.kernel.org/filesystems/proc.html>.

/// The size of a page on the machines that snapshots are for.
pub(super) const PAGE: u64 = 4096;
/// In an entry of `pagemap`: the page is in memory, is in swap, is of a file or shared.
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const OF_FILE: u64 = 1 << 61;

/// One mapping, as `smaps` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
    /// `PROT_READ`, `PROT_WRITE` and `PROT_EXEC`.
    pub(super) protection: u64,
    pub(super) is_shared: bool,
    pub(super) offset: u64,
    pub(super) inode: u64,
    /// Empty where it is of no file; a name in brackets for what is the kernel's.
    pub(super) name: String,
    /// Kilobytes that are in memory or in swap.
    pub(super) resident: u64,
    /// Of those, what is of no file.
    pub(super) anonymous: u64,
    pub(super) protection_key: u64,
    /// Two letters each.
    pub(super) flags: Vec<String>,
}

impl Mapping {
    pub(super) fn has_flag(&self, name: &str) -> bool {
        self.flags.iter().any(|flag| flag == name)
    }

    /// Whether the kernel gives it to every process by itself.
    pub(super) fn is_special(&self) -> bool {
        self.name == "[vdso]" || self.name.starts_with("[vvar")
    }

    pub(super) fn is_of_file(&self) -> bool {
        self.name.starts_with('/')
    }
}

/// Takes `maps` or `smaps` apart; `None` where they are of no form that this knows.
pub(super) fn parse(text: &str) -> Option<Vec<Mapping>> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in text.lines() {
        match line.split_once(':') {
            Some((name, value)) if name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_') => {
                note(mappings.last_mut()?, name, value);
            }
            _ => mappings.push(parse_line(line)?),
        }
    }
    // The kernel's own old page at an address that nobody can choose.
    mappings.retain(|mapping| mapping.name != "[vsyscall]");
    Some(mappings)
}

fn note(mapping: &mut Mapping, name: &str, value: &str) {
    let number = || value.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0_u64);
    match name {
        "Rss" => mapping.resident += number(),
        "Anonymous" => mapping.anonymous += number(),
        "Swap" => {
            mapping.resident += number();
            mapping.anonymous += number();
        }
        "ProtectionKey" => mapping.protection_key = number(),
        "VmFlags" => mapping.flags = value.split_whitespace().map(str::to_owned).collect(),
        _ => {}
    }
}

fn parse_line(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let rights = fields.next()?.as_bytes();
    let hexadecimal = |text: &str| u64::from_str_radix(text, 16).ok();
    let offset = hexadecimal(fields.next()?)?;
    let _device = fields.next()?;
    let inode = fields.next()?.parse().ok()?;
    let bit = |place: usize, letter: u8, bit: u64| if rights.get(place) == Some(&letter) { bit } else { 0 };
    Some(Mapping {
        start: hexadecimal(start)?,
        end: hexadecimal(end)?,
        protection: bit(0, b'r', 1) | bit(1, b'w', 2) | bit(2, b'x', 4),
        is_shared: rights.get(3) == Some(&b's'),
        offset,
        inode,
        name: fields.next().unwrap_or_default().trim_start_matches(' ').to_owned(),
        ..Mapping::default()
    })
}

/// Pages one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) address: u64,
    pub(super) pages: u64,
}

/// The pages of a mapping that are the process's own, from the entries of `pagemap`; of a file's, those that were written to.
pub(super) fn own_pages(start: u64, entries: &[u64], is_of_file: bool) -> Vec<Run> {
    let mut runs = Vec::new();
    for (place, entry) in (0..).zip(entries) {
        let is_there = entry & (PRESENT | SWAPPED) != 0;
        if is_there && !(is_of_file && entry & OF_FILE != 0) {
            push(&mut runs, Run { address: start + place * PAGE, pages: 1 });
        }
    }
    runs
}

/// Adds pages behind the last ones.
pub(super) fn push(runs: &mut Vec<Run>, run: Run) {
    match runs.last_mut() {
        Some(last) if last.address + last.pages * PAGE == run.address => last.pages += run.pages,
        _ => runs.push(run),
    }
}

/// The lowest address, from `least`, where nothing of `taken` is for `length` bytes.
pub(super) fn find_gap(taken: &[(u64, u64)], least: u64, length: u64) -> Option<u64> {
    let mut taken = taken.to_vec();
    taken.sort_unstable();
    let mut place = least;
    for (start, end) in taken {
        // Stacks grow down, and want a distance.
        if start.saturating_sub(length) > place.saturating_add(length) {
            return Some(place);
        }
        place = place.max(end.saturating_add(length));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55d0c0000000-55d0c0002000 r-xp 00001000 fe:00 42                         /usr/bin/a b
Rss:                   8 kB
Anonymous:             4 kB
Swap:                  4 kB
VmFlags: rd ex mr mw me
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
Rss:                   4 kB
ProtectionKey:         1
VmFlags: rd wr mr mw me gd ac
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
";

    #[test]
    fn mappings_are_read() {
        let mappings = parse(SMAPS).unwrap();
        let [code, stack] = mappings.as_slice() else { panic!("{mappings:?}") };
        assert_eq!((code.start, code.end, code.protection), (0x55d0_c000_0000, 0x55d0_c000_2000, 5));
        assert_eq!((code.offset, code.inode, code.name.as_str()), (0x1000, 42, "/usr/bin/a b"));
        assert_eq!((code.resident, code.anonymous, code.is_shared), (12, 8, false));
        assert!(code.is_of_file() && !code.has_flag("gd"));
        assert!(stack.has_flag("gd") && stack.protection_key == 1);
        assert_eq!(parse("nonsense"), None);
        assert_eq!(parse("Rss: 4 kB"), None);
    }

    #[test]
    fn only_pages_that_are_the_process_s_own_count() {
        let entries = [0, PRESENT, SWAPPED, 0, PRESENT | OF_FILE];
        let run = |address, pages| Run { address, pages };
        assert_eq!(own_pages(0x10000, &entries, true), [run(0x11000, 2)]);
        assert_eq!(own_pages(0x10000, &entries, false), [run(0x11000, 2), run(0x14000, 1)]);
    }

    #[test]
    fn a_gap_touches_nothing() {
        assert_eq!(find_gap(&[(0x9000, 0xa000), (0x1000, 0x2000)], 0x1000, 0x1000), Some(0x3000));
        assert_eq!(find_gap(&[(0x2000, 0x3000)], 0x1000, 0x1000), None);
    }
}
