//! The root that sandboxes see: one template, built by the helper in its own mount namespace before any launch.
//!
//! Nothing of a tenant is in it, and everything is read-only. A launch adds its own mounts in a copy of the namespace;
//! see [`enter`].

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use crate::error::{At, Failure, Step};
use crate::spec::Mount;
use crate::sys::{self, MountRestrictions};

/// Directories that are there to be mounted on.
const MOUNT_POINTS: &[&str] = &[
    "var/task",
    "var/runtime",
    "var/lang",
    "opt",
    // The dynamic loader remembers which directories of its search path there are, and may look before they are mounted.
    "var/task/lib",
    "var/runtime/lib",
    "opt/lib",
    "mnt",
    "tmp",
    "proc",
    "dev",
    "etc/ssl",
    "etc/pki/tls",
    "run",
];

/// The system's programs and libraries; symbolic links of merged-usr hosts stay links.
const SYSTEM_DIRECTORIES: &[&str] = &["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// What else of the host's `/etc` is shown, where it is there: nothing in it is secret or names users.
const ETC_DIRECTORIES: &[&str] = &[
    "etc/alternatives",
    "etc/ssl/certs",
    "etc/ca-certificates",
    "etc/pki/tls/certs",
    "etc/pki/ca-trust/extracted",
];
const ETC_FILES: &[&str] = &["etc/ld.so.cache", "etc/localtime", "etc/ssl/openssl.cnf"];

/// The files of `/etc` that are ours.
const OWN_FILES: &[(&str, &str)] = &[
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/sbin/nologin\nsbx_user1051:x:993:990::/home/sbx_user1051:/sbin/nologin\n",
    ),
    ("etc/group", "root:x:0:\nsbx_user1051:x:990:\n"),
    ("etc/hosts", "127.0.0.1 localhost sandbox.localdomain sandbox\n::1 localhost\n"),
    ("etc/hostname", "sandbox.localdomain\n"),
    (
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    ),
    // Without the mode nat nothing is there, which the kernel says at once.
    ("etc/resolv.conf", "nameserver 169.254.78.1\n"),
];

/// The nodes of `/dev`.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom"];
const DEVICE_LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Files and directories of `/proc` that tell of the host or act on it. The rest of it is read-only.
const MASKED: &[&str] = &[
    "kcore",
    "keys",
    "key-users",
    "timer_list",
    "timer_stats",
    "latency_stats",
    "sysrq-trigger",
    "kmsg",
    "kallsyms",
    "sched_debug",
    "config.gz",
    "acpi",
    "scsi",
];

const READ_ONLY: MountRestrictions =
    MountRestrictions { read_only: true, no_devices: true, no_execution: false };
const DEVICE: MountRestrictions =
    MountRestrictions { read_only: true, no_devices: false, no_execution: true };
/// A directory of the template that nothing is ever mounted on or put into.
const EMPTY: &str = "mnt";
const HOST_RESOLVER: &str = "/etc/resolv.conf";

/// The built template.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    masks: Vec<&'static str>,
    /// Shows files of the host's root as those of the sandboxes' root.
    owners: Option<OwnedFd>,
    /// Whether owners could be shown so for the system's own directories.
    pub(crate) shows_owners: bool,
}

impl Root {
    /// Builds the template on `scratch`. The caller is in a mount namespace of its own.
    pub(crate) fn build(scratch: &Path, owner: u32, owners: Option<OwnedFd>) -> Result<Self, Failure> {
        let detail = scratch.to_string_lossy();
        let inherited = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", inherited).at(Step::BuildRoot, "/")?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount("tmpfs", scratch, "tmpfs", flags, Some(c"mode=0755,size=16m,nr_inodes=1k"))
            .at(Step::BuildRoot, &detail)?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change(scratch, private).at(Step::BuildRoot, &detail)?;
        let mut root = Self { path: scratch.to_owned(), masks: existing_masks(), owners, shows_owners: true };
        root.write_files().and_then(|()| give(scratch, owner)).at(Step::BuildRoot, &detail)?;
        root.mount_system()?;
        let sealed = MountFlags::RDONLY | MountFlags::BIND | flags;
        rustix::mount::mount_remount(scratch, sealed, c"").at(Step::BuildRoot, &detail)?;
        Ok(root)
    }

    /// What has to stay open for [`enter`].
    pub(crate) fn owners(&self) -> Option<BorrowedFd<'_>> {
        self.owners.as_ref().map(AsFd::as_fd)
    }

    fn write_files(&self) -> io::Result<()> {
        for directory in MOUNT_POINTS {
            fs::create_dir_all(self.path.join(directory))?;
        }
        for (file, content) in OWN_FILES {
            fs::write(self.path.join(file), content)?;
        }
        for file in ETC_FILES {
            copy_if_there(&Path::new("/").join(file), &self.path.join(file))?;
        }
        for name in DEVICES {
            fs::write(self.path.join("dev").join(name), "")?;
        }
        for (name, target) in DEVICE_LINKS {
            symlink(target, self.path.join("dev").join(name))?;
        }
        for directory in SYSTEM_DIRECTORIES.iter().chain(ETC_DIRECTORIES) {
            make_place(&Path::new("/").join(directory), &self.path.join(directory))?;
        }
        Ok(())
    }

    fn mount_system(&mut self) -> Result<(), Failure> {
        for directory in SYSTEM_DIRECTORIES.iter().chain(ETC_DIRECTORIES) {
            let target = self.path.join(directory);
            if target.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                let (tree, shown) = self.open(&Path::new("/").join(directory), READ_ONLY)?;
                self.shows_owners &= shown;
                attach(&tree, &target)?;
            }
        }
        for name in DEVICES {
            let (tree, _) = self.open(&Path::new("/dev").join(name), DEVICE)?;
            attach(&tree, &self.path.join("dev").join(name))?;
        }
        Ok(())
    }

    /// Clones a tree of the host as it shall appear inside; says whether owners are shown as wished.
    fn open(&self, source: &Path, restrictions: MountRestrictions) -> Result<(OwnedFd, bool), Failure> {
        if let Some(owners) = &self.owners {
            let tree = clone_tree(source)?;
            if sys::restrict_mount(&tree, restrictions, Some(owners.as_fd())).is_ok() {
                return Ok((tree, true));
            }
        }
        let tree = clone_tree(source)?;
        sys::restrict_mount(&tree, restrictions, None).at(Step::RestrictMount, &source.to_string_lossy())?;
        Ok((tree, false))
    }
}

fn existing_masks() -> Vec<&'static str> {
    MASKED.iter().copied().filter(|name| Path::new("/proc").join(name).exists()).collect()
}

/// Makes the same kind of place as the host has: a link, a directory to mount on, or nothing.
fn make_place(source: &Path, target: &Path) -> io::Result<()> {
    match fs::symlink_metadata(source) {
        Ok(metadata) if metadata.is_symlink() => symlink(fs::read_link(source)?, target),
        Ok(metadata) if metadata.is_dir() => fs::create_dir_all(target),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn copy_if_there(source: &Path, target: &Path) -> io::Result<()> {
    match fs::read(source) {
        Ok(content) => fs::write(target, content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Gives a tree to the owner of system files, and lets everyone read it. Follows no link.
fn give(path: &Path, owner: u32) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    lchown(path, Some(owner), Some(owner))?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mode = if metadata.is_dir() { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), owner)?;
        }
    }
    Ok(())
}

fn clone_tree(source: &Path) -> Result<OwnedFd, Failure> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(CWD, source, flags).at(Step::OpenMountSource, &source.to_string_lossy())
}

fn attach(tree: &OwnedFd, target: &Path) -> Result<(), Failure> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(tree, c"", CWD, target, flags).at(Step::Mount, &target.to_string_lossy())
}

fn attach_at(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), rustix::io::Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, c"", target, c"", flags)
}

/// Opens a place below the current directory, following no link out of it or in it.
fn open_below(path: &Path) -> Result<OwnedFd, rustix::io::Errno> {
    let relative = path.strip_prefix("/").unwrap_or(path);
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(CWD, relative, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// What every sandbox adds to the template.
pub(crate) struct Base<'a> {
    pub(crate) tmp: Tmp<'a>,
    pub(crate) owner: u32,
    pub(crate) proc: bool,
}

/// Where a sandbox's `/tmp` comes from.
pub(crate) enum Tmp<'a> {
    /// A new one of this many bytes.
    New(u64),
    /// That of the same sandbox before it was made anew: a detached mount.
    Kept(BorrowedFd<'a>),
}

impl Tmp<'_> {
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::New(_) => None,
            Self::Kept(mount) => Some(*mount),
        }
    }
}

/// Adds a sandbox's own mounts and makes the result the root. The caller is the first process of new mount and process
/// namespaces, and no tenant's program runs in them yet.
pub(crate) fn enter(root: &Root, base: &Base<'_>) -> Result<(), Failure> {
    rustix::process::chdir(&root.path).at(Step::PivotRoot, &root.path.to_string_lossy())?;
    match base.tmp {
        Tmp::New(bytes) => mount_tmp(bytes, base.owner)?,
        Tmp::Kept(mount) => open_below(Path::new("tmp"))
            .and_then(|target| attach_at(mount, target.as_fd()))
            .at(Step::MountTmp, "the one before")?,
    }
    if base.proc {
        mount_proc()?;
        mask_proc(&root.masks)?;
    }
    rustix::process::pivot_root(c".", c".").at(Step::PivotRoot, "")?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH).at(Step::DetachHost, "")?;
    rustix::process::chdir(c"/").at(Step::PivotRoot, "/")
}

/// A tree of the host on its way into a sandbox.
pub(crate) struct Tree {
    mount: Mount,
    tree: OwnedFd,
}

impl Tree {
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.tree.as_fd()
    }
}

impl Root {
    /// Opens what a launch adds, as it shall appear inside. To be called where the host's files are seen.
    pub(crate) fn trees(&self, mounts: &[Mount], host_network: bool) -> Result<Vec<Tree>, Failure> {
        let mut mounts = mounts.to_vec();
        if host_network && Path::new(HOST_RESOLVER).exists() {
            mounts.push(Mount { source: HOST_RESOLVER.into(), target: HOST_RESOLVER.into() });
        }
        let open = |mount: Mount| {
            let (tree, _) = self.open(&mount.source, READ_ONLY)?;
            Ok(Tree { mount, tree })
        };
        mounts.into_iter().map(open).collect()
    }

    /// Opens an empty directory to cover `target` with.
    pub(crate) fn cover(&self, target: &str) -> Result<Tree, Failure> {
        let mount = Mount { source: self.path.join(EMPTY), target: target.into() };
        Ok(Tree { tree: clone_tree(&mount.source)?, mount })
    }
}

/// Mounts trees one after the other. To be called in the sandbox's mount namespace, before any tenant's program runs there.
pub(crate) fn attach_trees(trees: &[Tree]) -> Result<(), Failure> {
    for Tree { mount, tree } in trees {
        open_below(&mount.target)
            .and_then(|target| attach_at(tree.as_fd(), target.as_fd()))
            .at(Step::Mount, &format!("{} at {}", mount.source.display(), mount.target.display()))?;
    }
    Ok(())
}

/// Inodes are bounded too: one for each 16 KiB, for each costs kernel memory.
fn tmp_size(bytes: u64) -> String {
    format!("size={bytes},nr_inodes={}", (bytes / 16_384).max(1024))
}

fn mount_tmp(bytes: u64, owner: u32) -> Result<(), Failure> {
    let options = format!("mode=1777,uid={owner},gid={owner},{}", tmp_size(bytes));
    let options = CString::new(options).map_err(io::Error::other).at(Step::MountTmp, "")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("tmpfs", c"tmp", "tmpfs", flags, Some(options.as_c_str())).at(Step::MountTmp, "")
}

/// Gives `/tmp` another size. To be called in the sandbox's mount namespace.
pub(crate) fn resize_tmp(bytes: u64) -> Result<(), Failure> {
    let options = CString::new(tmp_size(bytes)).map_err(io::Error::other).at(Step::MountTmp, "")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount_remount(c"/tmp", flags, options.as_c_str()).at(Step::MountTmp, "size")
}

/// A detached second mount of `/tmp`, which keeps its files. To be called in the sandbox's mount namespace.
pub(crate) fn keep_tmp() -> Result<OwnedFd, Failure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(CWD, c"/tmp", flags).at(Step::MountTmp, "keep")
}

/// Processes of other users, which is the first process, stay invisible; everything is read-only.
pub(crate) fn mount_proc() -> Result<(), Failure> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    rustix::mount::mount("proc", c"proc", "proc", flags, Some(c"hidepid=2")).at(Step::MountProc, "")
}

fn mask_proc(masks: &[&str]) -> Result<(), Failure> {
    for name in masks {
        mask(name).at(Step::MaskProc, name)?;
    }
    Ok(())
}

/// Covers a file by `/dev/null` and a directory by an empty one, found by descriptor.
fn mask(name: &str) -> Result<(), rustix::io::Errno> {
    let target = open_below(&Path::new("proc").join(name))?;
    let is_directory = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&target)?.st_mode).is_dir();
    let cover = if is_directory { c"mnt" } else { c"dev/null" };
    let tree = rustix::mount::open_tree(
        CWD,
        cover,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )?;
    attach_at(tree.as_fd(), target.as_fd())
}

/// Tries in a throw-away child whether `/proc` can be mounted here.
pub(crate) fn try_proc(root: &Root) -> Result<(), Failure> {
    rustix::process::chdir(&root.path).at(Step::PivotRoot, &root.path.to_string_lossy())?;
    mount_proc()?;
    mask_proc(&root.masks)
}
