//! Landlock on top of the mounts: even where a mount were writable by mistake, the guest writes in `/tmp` and to its
//! devices only. Reading and executing are not restricted, so that code may be mounted after the guest is shut in.
//!
//! See <https://docs.kernel.org/userspace-api/landlock.html>.

use std::ffi::CStr;
use std::io;

use rustix::fs::{Mode, OFlags};

use crate::error::{At, Failure, Step};
use crate::sys;

/// `LANDLOCK_ACCESS_FS_WRITE_FILE`.
const WRITE_FILE: u64 = 1 << 1;
/// From `REMOVE_DIR` to `MAKE_SYM`: whatever changes a directory.
const CHANGE_DIRECTORY: u64 = 0x1ff0;
/// `LANDLOCK_ACCESS_FS_REFER`: moving and linking between directories.
const REFER: u64 = 1 << 13;
/// `LANDLOCK_ACCESS_FS_TRUNCATE`.
const TRUNCATE: u64 = 1 << 14;
/// The version that can allow [`REFER`]. Earlier ones forbid it everywhere, `/tmp` included, which would break functions.
const KNOWS_REFER: u32 = 2;
/// The version that can restrict [`TRUNCATE`].
const KNOWS_TRUNCATE: u32 = 3;

/// Rights that a file can have, as against a directory.
const OF_FILES: u64 = WRITE_FILE | TRUNCATE;

/// Where the guest may write.
const WRITABLE: &[&CStr] =
    &[c"/tmp", c"/dev/null", c"/dev/zero", c"/dev/full", c"/dev/random", c"/dev/urandom"];

/// Which ways of writing the kernel can restrict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writes(u64);

impl Writes {
    /// Asks the kernel.
    ///
    /// # Errors
    ///
    /// When it knows no Landlock or too old a one, or was told at its start not to use it.
    pub(crate) fn find() -> io::Result<Self> {
        Self::of_version(sys::landlock_version()?).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    fn of_version(version: u32) -> Option<Self> {
        let truncate = if version >= KNOWS_TRUNCATE { TRUNCATE } else { 0 };
        (version >= KNOWS_REFER).then_some(Self(WRITE_FILE | CHANGE_DIRECTORY | REFER | truncate))
    }

    /// The rights that are restricted, and those of them that files have.
    pub(crate) fn rights(self) -> (u64, u64) {
        (self.0, self.0 & OF_FILES)
    }

    /// Restricts this process and all that it starts, for good; `no_new_privs` must be set already.
    pub(crate) fn restrict(self) -> Result<(), Failure> {
        let rules = sys::landlock_rules(self.0).at(Step::RestrictWrites, "")?;
        for path in WRITABLE {
            let place = rustix::fs::open(*path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
            let rights = if path.to_bytes() == b"/tmp" { self.0 } else { self.0 & OF_FILES };
            place
                .map_err(io::Error::from)
                .and_then(|place| sys::landlock_allow(&rules, &place, rights))
                .at(Step::RestrictWrites, &path.to_string_lossy())?;
        }
        sys::landlock_restrict(&rules).at(Step::RestrictWrites, "")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    #[test]
    fn an_old_kernel_is_asked_for_no_more_than_it_knows() {
        assert_eq!(Writes::of_version(1), None);
        assert_eq!(Writes::of_version(2), Some(Writes(0x3ff2)));
        assert_eq!(Writes::of_version(3), Some(Writes(0x7ff2)));
        assert_eq!(Writes::of_version(9), Writes::of_version(3));
    }

    /// Restricts one thread, which is what the kernel restricts.
    #[test]
    fn what_was_writable_is_no_longer_and_everything_else_is() {
        let Ok(writes) = Writes::find() else {
            eprintln!("not tested: this kernel has no landlock");
            return;
        };
        let here = tempfile::tempdir_in("/var/tmp").unwrap();
        let tmp = tempfile::tempdir_in("/tmp").unwrap();
        fs::write(here.path().join("old"), "old").unwrap();
        fs::create_dir(tmp.path().join("a")).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| check_restricted(writes, here.path(), tmp.path()));
        });
    }

    fn check_restricted(writes: Writes, here: &Path, tmp: &Path) {
        rustix::thread::set_no_new_privs(true).unwrap();
        writes.restrict().unwrap();
        let refused = [
            fs::write(here.join("new"), "x"),
            fs::write(here.join("old"), "x"),
            fs::remove_file(here.join("old")),
            fs::create_dir(here.join("directory")),
            std::os::unix::fs::symlink("old", here.join("link")),
            fs::rename(here.join("old"), here.join("renamed")),
        ];
        for result in refused {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::PermissionDenied);
        }
        assert_eq!(fs::read_to_string(here.join("old")).unwrap(), "old");
        assert!(Command::new("/bin/true").status().unwrap().success());
        fs::write(tmp.join("a/file"), "x").unwrap();
        fs::rename(tmp.join("a/file"), tmp.join("file")).unwrap();
        fs::write("/dev/null", "x").unwrap();
    }
}
