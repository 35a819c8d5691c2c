//! What this program itself keeps in memory.

use std::fs;

use crate::sys;

/// Gives back the pages of this program's code, to be called once it has started: most of what a start runs never runs
/// again, and what does is mapped again from the file where it is. Does nothing where it cannot.
pub fn release_code() {
    let (Ok(program), Ok(maps)) = (fs::read_link("/proc/self/exe"), fs::read_to_string("/proc/self/maps"))
    else {
        return;
    };
    for (start, end) in maps.lines().filter_map(|line| code(line, &program.to_string_lossy())) {
        let _ = sys::forget_code(start, end);
    }
}

/// The addresses of a mapping, if it is code of `program`: executable and therefore never written to.
fn code(line: &str, program: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (addresses, rights) = (fields.next()?, fields.next()?);
    if rights != "r-xp" || !line.ends_with(&format!(" {program}")) {
        return None;
    }
    let (start, end) = addresses.split_once('-')?;
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_the_program_itself_is_given_back() {
        let line = |rights: &str, path: &str| format!("1000-3000 {rights} 00000000 fe:00 42    {path}");
        assert_eq!(code(&line("r-xp", "/bin/firelet"), "/bin/firelet"), Some((0x1000, 0x3000)));
        assert_eq!(code(&line("r--p", "/bin/firelet"), "/bin/firelet"), None);
        assert_eq!(code(&line("r-xp", "/lib/libc.so"), "/bin/firelet"), None);
        assert_eq!(code("", "/bin/firelet"), None);
    }

    #[test]
    fn a_program_goes_on_without_what_it_gave_back() {
        release_code();
        assert_eq!((1..=100).sum::<u32>(), 5050);
    }
}
