//! Writes a process down. The process is of no more use afterwards: it is made to call what tells about it.
//!
//! The process is hostile and stands still meanwhile. Everything that is read of it has bounds.

mod descriptors;
mod files;
mod image;
mod memory;
mod threads;

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::error::{At, Failure, Step};
use crate::snapshot::Trouble;
use crate::snapshot::capture::image::Image;
use crate::snapshot::description::{
    DESCRIPTION_LIMIT, Description, INTERVAL_TIMERS, Layout, ProcessState, SIGNALS,
};
use crate::snapshot::maps::{self, Mapping, PAGE};
use crate::snapshot::tracee::{STAGE_SIZE, Tracee};

/// The number that a main process has in its sandbox, when it was told its program there.
const MAIN_NUMBER: u64 = 2;
/// The most parts that its memory may have; each takes a kilobyte to tell of.
const MAPPINGS_LIMIT: usize = 16_384;
/// The most bytes of a file of the kernel's about it: names that it chose are in some of them.
const FILE_LIMIT: u64 = 32 << 20;
/// What a process that was killed takes to end.
const EXIT_PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// `MEMBARRIER_CMD_GET_REGISTRATIONS`.
const GET_BARRIERS: u64 = 1 << 9;

/// Whom to capture.
pub(crate) struct Subject {
    /// The main process, and the sandbox's first process, as the tracer's `/proc` numbers them.
    pub(crate) process: i32,
    pub(crate) first: i32,
    pub(crate) pidfd: OwnedFd,
    /// The inode of the pipe that takes its output.
    pub(crate) output: u64,
}

/// What was captured.
pub(crate) struct Captured {
    pub(crate) image: OwnedFd,
    pub(crate) description: OwnedFd,
    pub(crate) size: u64,
}

/// Captures a process, whose threads are left stopped. `give_up_rights` is called when all of them stand still.
pub(crate) fn capture(
    subject: &Subject,
    give_up_rights: impl FnOnce() -> Result<(), Failure>,
) -> Result<Captured, Trouble> {
    write_down(subject, give_up_rights).map_err(|trouble| match trouble {
        // The kernel tells strange things of a process that is on its way out.
        Trouble::Unsupported(_) if is_ending(&subject.pidfd) => threads::gone().into(),
        trouble => trouble,
    })
}

/// Waits a moment for the end of a process that may have been killed.
fn is_ending(process: &OwnedFd) -> bool {
    let mut end = [PollFd::new(process, PollFlags::IN)];
    rustix::event::poll(&mut end, Some(&EXIT_PATIENCE)).is_ok_and(|ready| ready > 0)
}

fn write_down(
    subject: &Subject,
    give_up_rights: impl FnOnce() -> Result<(), Failure>,
) -> Result<Captured, Trouble> {
    if rustix::param::page_size() as u64 != PAGE {
        return Err(Trouble::unsupported(format!("pages of {} bytes", rustix::param::page_size())));
    }
    let threads = threads::stop(subject.process)?;
    threads::check_alone(subject, &threads)?;
    give_up_rights()?;
    let process = subject.process;
    check_signals_and_timers(process)?;
    let mappings = mappings(process)?;
    let mut tracee = open(process, &mappings)?;
    let mut image = Image::new()?;
    let mut description =
        Description { program: link(process, "exe")?, special: special(&mappings), ..Description::default() };
    memory::capture(&tracee, &mappings, &mut image, &mut description)?;
    description.threads = threads::states(&tracee, &threads)?;
    description.descriptors = descriptors::capture(subject, &mut image)?;
    description.entries = files::capture(process, &mut image)?;
    // From here on it is changed.
    threads::block_signals(&threads)?;
    let taken: Vec<_> = mappings.iter().map(|mapping| (mapping.start, mapping.end)).collect();
    let stage = maps::find_gap(&taken, STAGE_SIZE, STAGE_SIZE)
        .ok_or_else(|| Trouble::unsupported("no room in its address space"))?;
    tracee.set_stage(stage)?;
    threads::ask(&tracee, &threads, &mut description.threads)?;
    ask(&tracee, &mut description)?;
    try_layout(&tracee, &description.layout)?;
    finish(image, &description)
}

fn finish(image: Image, description: &Description) -> Result<Captured, Trouble> {
    let bytes = description.encode();
    let length = bytes.len() as u64;
    if length > DESCRIPTION_LIMIT {
        return Err(Trouble::unsupported("its description is too long"));
    }
    let size = image.size() + length;
    Ok(Captured { image: image.seal()?, description: image::sealed(&bytes)?, size })
}

/// Reads a file of the process's in `/proc`.
fn read(process: i32, name: &str) -> Result<String, Trouble> {
    let path = format!("/proc/{process}/{name}");
    let file = File::open(&path).at(Step::Capture, &path)?;
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT).read_to_end(&mut bytes).at(Step::Capture, &path)?;
    if bytes.len() as u64 == FILE_LIMIT {
        return Err(Trouble::unsupported(format!("the kernel tells too much of its {name}")));
    }
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Where a link of the process's in `/proc` leads.
fn link(process: i32, name: &str) -> Result<Vec<u8>, Failure> {
    use std::os::unix::ffi::OsStringExt;
    let path = format!("/proc/{process}/{name}");
    Ok(fs::read_link(&path).at(Step::Capture, &path)?.into_os_string().into_vec())
}

fn mappings(process: i32) -> Result<Vec<Mapping>, Trouble> {
    let count = read(process, "maps")?.lines().count();
    if count > MAPPINGS_LIMIT {
        return Err(Trouble::unsupported(format!("its memory has {count} parts")));
    }
    let text = read(process, "smaps")?;
    let mappings =
        maps::parse(&text).ok_or_else(|| Trouble::unsupported("the kernel's list of its memory"))?;
    if mappings.iter().all(|mapping| mapping.flags.is_empty()) {
        return Err(Trouble::unsupported("the kernel does not tell of what kind its memory is"));
    }
    Ok(mappings)
}

fn special(mappings: &[Mapping]) -> Vec<(String, u64, u64)> {
    let special = mappings.iter().filter(|mapping| mapping.is_special());
    special.map(|mapping| (mapping.name.clone(), mapping.start, mapping.end)).collect()
}

/// Opens a stopped process that has its program.
fn open(process: i32, mappings: &[Mapping]) -> Result<Tracee, Trouble> {
    let page = mappings.iter().find(|mapping| mapping.name == "[vdso]");
    let page = page.ok_or_else(|| Trouble::unsupported("it has no vdso"))?;
    Tracee::open(process, (page.start, page.end), Step::Capture).map_err(|failure| match failure.errno {
        libc::EACCES | libc::EPERM => Trouble::unsupported("it does not let others look into it"),
        _ => Trouble::Failed(failure),
    })
}

fn check_signals_and_timers(process: i32) -> Result<(), Trouble> {
    let status = read(process, "status")?;
    let pending = ["SigPnd:", "ShdPnd:"].iter().any(|name| {
        let mask = field(&status, name).unwrap_or_default();
        u64::from_str_radix(&mask, 16) != Ok(0)
    });
    if pending {
        return Err(Trouble::unsupported("signals are on their way to it"));
    }
    // A kernel without this file has nobody say so; then only those who use such timers lose them.
    if read(process, "timers").is_ok_and(|timers| !timers.is_empty()) {
        return Err(Trouble::unsupported("timers of timer_create"));
    }
    Ok(())
}

/// The value of a line of `status`.
fn field(status: &str, name: &str) -> Option<String> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().to_owned())
}

/// Has the process tell what `/proc` does not.
fn ask(tracee: &Tracee, description: &mut Description) -> Result<(), Trouble> {
    let mut script = tracee.script();
    let brk = script.call(libc::SYS_brk, [0]);
    let actions: Vec<u64> = (1..=SIGNALS as u64)
        .map(|signal| {
            let place = script.bytes(&[0; 32]);
            script.call(libc::SYS_rt_sigaction, [signal, 0, place, size_of::<u64>() as u64]);
            place
        })
        .collect();
    let timers: Vec<u64> = (0..INTERVAL_TIMERS as u64)
        .map(|timer| {
            let place = script.bytes(&[0; 32]);
            script.call(libc::SYS_getitimer, [timer, place]);
            place
        })
        .collect();
    let answers = tracee.perform(tracee.process, &script)?;
    let status = read(tracee.process, "status")?;
    let mask = field(&status, "Umask:").and_then(|mask| u64::from_str_radix(&mask, 8).ok());
    let directory = link(tracee.process, "cwd")?;
    if directory.ends_with(b" (deleted)") {
        return Err(Trouble::unsupported("its working directory is deleted"));
    }
    description.process = ProcessState {
        directory,
        mask: mask.ok_or_else(|| Trouble::unsupported("the kernel does not tell its umask"))?,
        actions: actions.iter().map(|place| answers.words(*place)).collect(),
        timers: timers.iter().map(|place| answers.words(*place)).collect(),
        barriers: barriers(tracee),
    };
    description.layout = layout(tracee.process, answers.result(brk).cast_unsigned())?;
    Ok(())
}

/// What a restored process will have to call works here too.
fn try_layout(tracee: &Tracee, layout: &Layout) -> Result<(), Trouble> {
    let mut script = tracee.script();
    script.set_layout(layout);
    tracee.perform(tracee.process, &script).map(drop).map_err(threads::lacks_questions)
}

/// An older kernel does not tell; then there is nothing to repeat.
fn barriers(tracee: &Tracee) -> u64 {
    let answer = tracee.call(tracee.process, libc::SYS_membarrier, [GET_BARRIERS, 0, 0, 0, 0, 0]);
    answer.map_or(0, i64::cast_unsigned)
}

fn layout(process: i32, heap_end: u64) -> Result<Layout, Trouble> {
    let stat = read(process, "stat")?;
    let path = format!("/proc/{process}/auxv");
    let auxiliary = fs::read(&path).at(Step::Capture, &path)?;
    let numbers =
        layout_in(&stat, heap_end).ok_or_else(|| Trouble::unsupported("the kernel hides its layout"))?;
    Ok(Layout { numbers, auxiliary })
}

/// Fields 26 to 28 and 45 to 51 of `stat`, in the order of `prctl_mm_map`.
fn layout_in(stat: &str, heap_end: u64) -> Option<[u64; 11]> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let numbers = [
        field(26)?,
        field(27)?,
        field(45)?,
        field(46)?,
        field(47)?,
        heap_end,
        field(28)?,
        field(48)?,
        field(49)?,
        field(50)?,
        field(51)?,
    ];
    numbers.iter().all(|number| *number != 0).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_read_behind_any_name() {
        let fields: Vec<String> = (4..=52).map(|number| number.to_string()).collect();
        let stat = format!("2 (a) b) S {}", fields.join(" "));
        let layout = layout_in(&stat, 99).unwrap();
        assert_eq!(layout, [26, 27, 45, 46, 47, 99, 28, 48, 49, 50, 51]);
        assert_eq!(layout_in("2 (a) S 1", 99), None);
    }

    #[test]
    fn a_line_of_status_is_found() {
        assert_eq!(field("Name:\tx\nUmask:\t0022\n", "Umask:").as_deref(), Some("0022"));
        assert_eq!(field("", "Umask:"), None);
    }
}
