use super::*;

#[test]
fn a_field_is_found_by_its_whole_name() {
    let text = "file_mapped 3\nfile 7\noom 1\noom_kill 2\n";
    assert_eq!(field(text, "file"), Some(7));
    assert_eq!(field(text, "oom_kill"), Some(2));
    assert_eq!(field(text, "shmem"), None);
}

#[test]
fn processor_limits_follow_memory() {
    assert_eq!(quota(Cpu::for_memory(128), 100_000), 100_000);
    assert_eq!(quota(Cpu::for_memory(3538), 100_000), 200_000);
    assert_eq!(weight(Cpu::for_memory(1769), 1024, 2, 262_144), 1024);
    assert_eq!(weight(Cpu::for_memory(128), 100, 1, 10_000), 7);
}

const MB: u64 = 1024 * 1024;

/// A directory that has the files of a cgroup, empty.
fn fake(files: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for file in files {
        fs::write(directory.path().join(file), "").unwrap();
    }
    directory
}

fn check_limits(version: Version, expected: &[(&str, &str)]) {
    let files: Vec<&str> = expected.iter().map(|(file, _)| *file).collect();
    let directory = fake(&files);
    let member = Member { version, controllers: Controller::ALL.to_vec(), path: directory.path().to_owned() };
    let limits =
        Limits { memory_bytes: 128 * MB, tmp_bytes: 512 * MB, cpu: Cpu::for_memory(3538), processes: 1024 };
    Group { members: vec![member] }.limit(limits).unwrap();
    for (file, value) in expected {
        assert_eq!(fs::read_to_string(directory.path().join(file)).unwrap(), *value, "{file}");
    }
}

#[test]
fn version_1_limits_memory_with_tmp_and_without_swap() {
    let limits = [
        ("memory.limit_in_bytes", "671088640"),
        ("memory.memsw.limit_in_bytes", "671088640"),
        ("cpu.shares", "2048"),
        ("cpu.cfs_quota_us", "200000"),
        ("pids.max", "1024"),
    ];
    check_limits(Version::V1, &limits);
}

#[test]
fn version_2_throttles_at_memory_and_ends_at_memory_with_tmp() {
    let limits = [
        ("memory.high", "134217728"),
        ("memory.max", "671088640"),
        ("memory.oom.group", "1"),
        ("memory.swap.max", "0"),
        ("cpu.weight", "200"),
        ("cpu.max", "200000 100000"),
        ("pids.max", "1024"),
    ];
    check_limits(Version::V2, &limits);
}

#[test]
fn limits_that_the_kernel_was_built_without_are_left_out() {
    check_limits(
        Version::V2,
        &[
            ("memory.high", "134217728"),
            ("memory.max", "671088640"),
            ("cpu.weight", "200"),
            ("pids.max", "1024"),
        ],
    );
}

#[test]
fn version_2_hands_down_the_controllers_that_are_offered() {
    let parent = fake(&["cgroup.subtree_control"]);
    fs::write(parent.path().join("cgroup.controllers"), "cpuset cpu io memory\n").unwrap();
    let base = parent.path().join("firelet-x");
    fs::create_dir(&base).unwrap();
    fs::write(base.join("cgroup.subtree_control"), "").unwrap();
    let claimed = v2::claim(parent.path(), &base, &Controller::ALL).unwrap();
    assert_eq!(claimed, [Controller::Memory, Controller::Cpu]);
    for directory in [parent.path(), &base] {
        assert_eq!(fs::read_to_string(directory.join("cgroup.subtree_control")).unwrap(), "+memory +cpu");
    }
}

#[test]
fn statistics_of_both_versions_are_read() {
    let directory = fake(&[]);
    let read = |kind, text: &str| {
        fs::write(directory.path().join("stat"), text).unwrap();
        read_statistics(kind, File::open(directory.path().join("stat")).unwrap().as_fd())
    };
    let first = "cache 1\nshmem 1\ntotal_cache 70\ntotal_rss 5\ntotal_shmem 30\n";
    assert_eq!(read(GaugeKind::V1, first), Some((70, 30)));
    assert_eq!(read(GaugeKind::V2, "anon 5\nfile 70\nkernel 9\nshmem 30\n"), Some((70, 30)));
    assert_eq!(read(GaugeKind::V2, "anon 5\n"), None);
}
