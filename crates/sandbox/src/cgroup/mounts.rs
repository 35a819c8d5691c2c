//! Where the host has its cgroup hierarchies, and where in them this process may make its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cgroup::{Controller, Version};

/// A directory that might take our cgroups, best first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) version: Version,
    pub(super) directory: PathBuf,
    pub(super) controllers: Vec<Controller>,
}

/// For each hierarchy its root, then the cgroup that this process is in.
pub(super) fn candidates() -> io::Result<Vec<Candidate>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let memberships = fs::read_to_string("/proc/self/cgroup")?;
    Ok(parse(&mounts, &memberships))
}

fn parse(mounts: &str, memberships: &str) -> Vec<Candidate> {
    mounts.lines().filter_map(|line| hierarchy(line, memberships)).flatten().collect()
}

/// A line of mountinfo: `31 23 0:28 ROOT POINT OPTIONS ... - TYPE SOURCE SUPER_OPTIONS`.
fn hierarchy(line: &str, memberships: &str) -> Option<Vec<Candidate>> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, point) = (mount.next()?, PathBuf::from(mount.next()?));
    let mut file_system = file_system.split(' ');
    let kind = file_system.next()?;
    let options = file_system.nth(1)?;
    let (version, controllers, own) = match kind {
        "cgroup" => {
            let named = |name: &str| options.split(',').any(|option| option == name);
            let controllers = only(named);
            let first = controllers.first()?.kernel_name();
            (Version::V1, controllers, membership(memberships, Some(first))?)
        }
        "cgroup2" => (Version::V2, Controller::ALL.to_vec(), membership(memberships, None)?),
        _ => return None,
    };
    let mut directories = vec![point.clone()];
    let below = Path::new(own).strip_prefix(root).unwrap_or(Path::new(""));
    if !below.as_os_str().is_empty() && !below.starts_with("..") {
        directories.push(point.join(below));
    }
    let candidate = |directory| Candidate { version, directory, controllers: controllers.clone() };
    Some(directories.into_iter().map(candidate).collect())
}

fn only(named: impl Fn(&str) -> bool) -> Vec<Controller> {
    Controller::ALL.into_iter().filter(|controller| named(controller.kernel_name())).collect()
}

/// The path of this process in a hierarchy: of the v1 controller, or of version 2.
fn membership<'a>(memberships: &'a str, controller: Option<&str>) -> Option<&'a str> {
    memberships.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let matches = match controller {
            Some(name) => controllers.split(',').any(|other| other == name),
            None => number == "0" && controllers.is_empty(),
        };
        matches.then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_hierarchies_are_found_by_controller() {
        let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                      40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd";
        let found = parse(mounts, "4:memory:/a/b\n1:cpu,cpuacct:/\n0::/\n");
        let paths: Vec<_> = found.iter().map(|found| found.directory.to_str().unwrap()).collect();
        assert_eq!(paths, ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/cpu"]);
        assert_eq!(found[2].controllers, [Controller::Cpu]);
    }

    #[test]
    fn version_2_offers_its_root_and_our_own_cgroup() {
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        let found = parse(mounts, "0::/user.slice/session-1.scope\n");
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].directory, Path::new("/sys/fs/cgroup/user.slice/session-1.scope"));
        assert_eq!(found[1].version, Version::V2);
    }

    #[test]
    fn a_path_outside_the_mount_is_not_followed() {
        let mounts = "31 23 0:28 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        assert_eq!(parse(mounts, "0::/../../elsewhere\n").len(), 1);
    }
}
