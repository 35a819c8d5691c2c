//! Has a waiting guest become a captured process.
//!
//! The guest executes the same program and is stopped before that runs an instruction. Then it is made to call what gives it
//! the memory, files, descriptors and threads of the captured process, and goes on where that stood. Every call is its own, with
//! its own rights; the tracer only writes what to call onto a stage in its memory.

mod descriptors;
mod files;
mod memory;
mod threads;

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::net::RecvFlags;

use crate::error::{At, Failure, Step};
use crate::protocol::{self, Program};
use crate::snapshot::description::{DESCRIPTION_LIMIT, Description};
use crate::snapshot::maps::{self, Mapping};
use crate::snapshot::trace::{self, Onward, Stop};
use crate::snapshot::tracee::{STAGE_SIZE, Tracee};

/// Who is to become a captured process.
pub(crate) struct Patient<'a> {
    /// The guest that waits for its program, as the tracer's `/proc` numbers it.
    pub(crate) process: i32,
    /// Brings it its program.
    pub(crate) orders: &'a OwnedFd,
    pub(crate) image: BorrowedFd<'a>,
    pub(crate) description: BorrowedFd<'a>,
    /// The most processes and threads that it may have.
    pub(crate) processes: u32,
}

/// Restores, and lets the process go on. `give_up_rights` is called once the guest is a program like any other.
pub(crate) fn restore(
    patient: &Patient<'_>,
    give_up_rights: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let description = read(patient.description)?;
    execute(patient, &description)?;
    give_up_rights()?;
    let process = patient.process;
    // A timer may be due before all threads are there; they inherit this.
    trace::set_signal_mask(process, u64::MAX).at(Step::Restore, "signal mask")?;
    let fresh = mappings(process)?;
    let mut tracee = open(process, &fresh)?;
    let room =
        Room::find(&fresh, &description).ok_or_else(|| tracee.failure(libc::ENOMEM, "address space"))?;
    tracee.set_stage(room.stage)?;
    memory::restore(&mut tracee, &fresh, &room, &description)?;
    files::restore(&tracee, &description.entries)?;
    descriptors::restore(&tracee, &description)?;
    let threads = threads::restore(&tracee, &description)?;
    tracee.clear_stage()?;
    threads::go_on(&tracee, &threads, &description.threads)
}

fn read(description: BorrowedFd<'_>) -> Result<Description, Failure> {
    let unreadable = || Failure { step: Step::Restore, errno: libc::EBADMSG, detail: "description".into() };
    let file = fs::File::from(description.try_clone_to_owned().at(Step::Restore, "description")?);
    let length = file.metadata().at(Step::Restore, "description")?.len();
    if length > DESCRIPTION_LIMIT {
        return Err(unreadable());
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0).at(Step::Restore, "description")?;
    Description::decode(&bytes).ok_or_else(unreadable)
}

/// Has the guest execute the program, and stops it before that runs.
fn execute(patient: &Patient<'_>, description: &Description) -> Result<(), Failure> {
    let process = patient.process;
    let path = CString::new(description.program.clone()).map_err(|_| Failure {
        step: Step::Restore,
        errno: libc::EINVAL,
        detail: "program".into(),
    })?;
    let program = Program {
        working_directory: c"/".to_owned(),
        processes: patient.processes,
        keeps_orders: false,
        arguments: vec![path],
        environment: Vec::new(),
    };
    protocol::send(patient.orders, &program.encode(), &[patient.image.as_fd()]).at(Step::Tell, "program")?;
    // It says when it may be traced, and waits until it is.
    protocol::receive(patient.orders, &mut [0; 1], RecvFlags::empty()).at(Step::Restore, "guest")?;
    trace::seize(process).at(Step::Restore, "seize")?;
    protocol::send(patient.orders, &[0], &[]).at(Step::Tell, "guest")?;
    wait_for(process, Stop::Executed)?;
    // The kernel is still within the call: to stop it behind that, it is interrupted.
    trace::interrupt(process).at(Step::Restore, "interrupt")?;
    trace::resume(process, Onward::Run, 0).at(Step::Restore, "go on")?;
    wait_for(process, Stop::Interrupted)
}

fn wait_for(process: i32, expected: Stop) -> Result<(), Failure> {
    match trace::wait(process).at(Step::Restore, "wait")? {
        stop if stop == expected => Ok(()),
        Stop::Ended => {
            Err(Failure { step: Step::Restore, errno: libc::ESRCH, detail: "it has ended".into() })
        }
        other => Err(Failure { step: Step::Restore, errno: libc::EINTR, detail: format!("{other:?}") }),
    }
}

fn mappings(process: i32) -> Result<Vec<Mapping>, Failure> {
    let path = format!("/proc/{process}/maps");
    let text = fs::read(&path).at(Step::Restore, &path)?;
    let mappings = maps::parse(&String::from_utf8_lossy(&text));
    mappings.ok_or(Failure { step: Step::Restore, errno: libc::EBADMSG, detail: path })
}

fn open(process: i32, mappings: &[Mapping]) -> Result<Tracee, Failure> {
    let page = mappings.iter().find(|mapping| mapping.name == "[vdso]");
    let (start, end) = page.map_or((0, 0), |page| (page.start, page.end));
    Tracee::open(process, (start, end), Step::Restore)
}

/// Where nothing is, neither now nor then.
struct Room {
    stage: u64,
    /// For what the kernel maps, on its way from where it is to where it was.
    aside: u64,
}

impl Room {
    fn find(fresh: &[Mapping], description: &Description) -> Option<Self> {
        let fresh = fresh.iter().map(|mapping| (mapping.start, mapping.end));
        let special = description.special.iter().map(|(_, start, end)| (*start, *end));
        let areas = description.areas.iter().map(|area| (area.start, area.end));
        let taken: Vec<_> = fresh.chain(special).chain(areas).collect();
        let stage = maps::find_gap(&taken, STAGE_SIZE, 2 * STAGE_SIZE)?;
        Some(Self { stage, aside: stage + STAGE_SIZE })
    }
}
