//! What can be asked of a sandbox that is there, and programs that wait ahead of launches.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use firelet_sandbox::{End, Error, Process, Program, Sandbox, Template, read_exit};

use super::harness::Test;
use super::world::{World, finish, mount, python, read_all, shell, wait_for};

pub(crate) const TESTS: &[Test] = &[
    ("a_further_program_runs_in_the_same_sandbox", a_further_program_runs_in_the_same_sandbox),
    ("a_further_program_has_no_more_rights_than_the_first", a_further_program_has_no_more_rights),
    ("a_further_program_that_is_missing_is_named", a_further_program_that_is_missing_is_named),
    ("a_further_program_ends_by_itself_or_with_the_sandbox", a_further_program_ends),
    ("a_sandbox_with_further_programs_outlives_its_main_one", a_sandbox_outlives_its_main_program),
    ("a_port_inside_can_be_connected_to", a_port_inside_can_be_connected_to),
    ("a_sandbox_made_anew_keeps_tmp_and_nothing_else", a_sandbox_made_anew_keeps_tmp),
    ("a_running_sandbox_can_be_made_anew", a_running_sandbox_can_be_made_anew),
    ("a_sandbox_made_anew_is_out_of_memory_only_for_itself", a_sandbox_made_anew_is_judged_for_itself),
    ("a_program_that_waits_is_told_its_environment", a_program_that_waits_is_told_its_environment),
    ("a_program_that_waits_gets_the_limits_of_its_launch", a_program_that_waits_gets_the_limits),
    ("the_helper_tells_what_waits", the_helper_tells_what_waits),
    ("a_template_that_fails_is_done_without", a_template_that_fails_is_done_without),
    ("an_empty_opt_shows_nothing", an_empty_opt_shows_nothing),
];

fn program(script: &str) -> Program {
    Program {
        argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        working_directory: "/".into(),
    }
}

fn status_of(process: &mut Process) -> Option<(End, bool)> {
    let exit = process.take_exit();
    let status = wait_for("the end of the program", || match read_exit(&exit) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        other => Some(other.unwrap()),
    });
    status.map(|status| (status.end, status.out_of_memory))
}

fn run(sandbox: &Sandbox, script: &str) -> (String, Option<(End, bool)>) {
    let mut process = sandbox.start(&program(script)).unwrap();
    let output = read_all(process.take_output());
    (output, status_of(&mut process))
}

/// Reads until the output ends with `word`.
fn hear(output: &mut File, word: &str) -> String {
    let mut bytes = Vec::new();
    wait_for(word, || {
        let _ = output.read_to_end(&mut bytes);
        bytes.ends_with(word.as_bytes()).then_some(())
    });
    String::from_utf8(bytes).unwrap()
}

fn a_further_program_runs_in_the_same_sandbox() {
    let world = World::new();
    let sandbox = world.launcher.launch(&shell("echo here > /tmp/file; sleep 1000")).unwrap();
    let (output, status) =
        run(&sandbox, "until cat /tmp/file 2>/dev/null; do :; done; hostname; id -u; exit 7");
    assert_eq!(output, "here\nsandbox.localdomain\n993\n");
    assert_eq!(status, Some((End::Exited(7), false)));
    let (seen, _) = run(&sandbox, "cat /proc/*/cmdline | tr '\\0' ' '");
    assert!(seen.contains("cat") && !seen.contains("helper"), "{seen}");
}

/// All that tells what a process may do.
const RIGHTS: &str = "grep -E 'Cap|NoNewPrivs|Seccomp|Groups|Uid|Gid' /proc/self/status; ulimit -a; \
                      readlink /proc/self/ns/[!c]*; cat /proc/self/cgroup; ls /proc/self/fd | wc -l";

fn a_further_program_has_no_more_rights() {
    let world = World::new();
    let mut sandbox = world.launcher.launch(&shell(&format!("{RIGHTS}; echo done >&2; sleep 1000"))).unwrap();
    let mut output = File::from(sandbox.take_output());
    let first = hear(&mut output, "done\n");
    let (further, _) = run(&sandbox, &format!("{RIGHTS}; echo done >&2"));
    assert!(further.contains("CapEff:\t0000000000000000"), "{further}");
    assert_eq!(further, first);
}

fn a_further_program_that_is_missing_is_named() {
    let world = World::new();
    let sandbox = world.launcher.launch(&shell("sleep 1000")).unwrap();
    let missing = Program { argv: vec!["/opt/extensions/none".into()], ..program("") };
    let error = sandbox.start(&missing).unwrap_err();
    assert_eq!(error.to_string(), "execute /opt/extensions/none in the sandbox");
    assert_eq!(run(&sandbox, "echo still").0, "still\n");
}

fn a_further_program_ends() {
    let world = World::new();
    let sandbox = world.launcher.launch(&shell("sleep 1000")).unwrap();
    let mut obedient = sandbox
        .start(&program("trap 'echo asked; exit 3' TERM; echo up; while :; do sleep 0.01; done"))
        .unwrap();
    let mut output = File::from(obedient.take_output());
    hear(&mut output, "up\n");
    obedient.terminate();
    assert_eq!(status_of(&mut obedient), Some((End::Exited(3), false)));
    let mut killed = sandbox.start(&program("sleep 1000")).unwrap();
    killed.kill();
    assert_eq!(status_of(&mut killed), Some((End::Signaled(9), false)));
    let mut left = sandbox.start(&program("sleep 1000")).unwrap();
    sandbox.kill();
    assert_eq!(status_of(&mut left), None);
    wait_for("the refusal", || sandbox.start(&program("true")).err());
}

fn a_sandbox_outlives_its_main_program() {
    let world = World::new();
    let wait_for_file =
        |name: &str, code: u8| format!("until [ -e /tmp/{name} ]; do sleep 0.01; done; exit {code}");
    let mut sandbox = world.launcher.launch(&shell(&wait_for_file("first", 4))).unwrap();
    let mut further =
        sandbox.start(&program(&format!("touch /tmp/first; {}", wait_for_file("second", 3)))).unwrap();
    let exit = sandbox.take_exit();
    let status = wait_for("the end of the main program", || read_exit(&exit).ok());
    assert_eq!(status.map(|status| status.end), Some(End::Exited(4)));
    assert_eq!(run(&sandbox, "touch /tmp/second; echo still").0, "still\n");
    assert_eq!(status_of(&mut further), Some((End::Exited(3), false)));
    sandbox.kill();
    wait_for("the end of the sandbox", || sandbox.start(&program("true")).err());
}

fn a_port_inside_can_be_connected_to() {
    let world = World::new();
    let script = "import socket; s = socket.create_server(('127.0.0.1', 4321)); print('up', flush=True)\n\
                  c, _ = s.accept(); c.sendall(b'<' + c.recv(100) + b'>'); c.close()";
    let mut sandbox = world.launcher.launch(&python(script)).unwrap();
    let mut output = File::from(sandbox.take_output());
    wait_for("the listener", || output.read_exact(&mut [0; 3]).ok());
    let mut stream: TcpStream = sandbox.connect(4321).unwrap();
    wait_for("the connection", || stream.write_all(b"word").ok());
    let mut answer = [0; 6];
    wait_for("the answer", || stream.read(&mut answer).ok().filter(|count| *count == 6));
    assert_eq!(&answer, b"<word>");
}

fn a_sandbox_made_anew_keeps_tmp() {
    let world = World::new();
    let before = finish(
        world.launcher.launch(&shell("echo kept > /tmp/file; hostname > /tmp/name; kill -9 $$")).unwrap(),
    );
    let spec = shell(
        "cat /tmp/file /tmp/name; echo more >> /tmp/file; ls /proc | grep -c '^[0-9]'; sleep 1000 & exit 5",
    );
    let again = finish(before.sandbox.reset(&spec).unwrap());
    assert!(again.output.starts_with("kept\nsandbox.localdomain\n"), "{}", again.output);
    assert_eq!(again.status, Some((End::Exited(5), false)));
    let third = finish(again.sandbox.reset(&shell("cat /tmp/file; id -u")).unwrap());
    assert_eq!(third.output, "kept\nmore\n993\n");
    drop(again);
    drop(before);
    assert_eq!(third.status, Some((End::Exited(0), false)));
}

fn a_running_sandbox_can_be_made_anew() {
    let world = World::new();
    let mut old = world
        .launcher
        .launch(&shell("echo x > /tmp/x; echo up; sleep 1000 & setsid sleep 1000 & wait"))
        .unwrap();
    let mut output = File::from(old.take_output());
    wait_for("the first program", || output.read_exact(&mut [0; 3]).ok());
    old.freeze().unwrap();
    let mut new = old.reset(&shell("cat /tmp/x; ls /proc | grep '^[0-9]' | wc -l")).unwrap();
    wait_for("the end of all before", || matches!(output.read(&mut [0; 64]), Ok(0)).then_some(()));
    drop(old);
    let listener = new.take_listener().unwrap();
    assert_eq!(listener.local_addr().unwrap().port(), 9001);
    assert!(read_all(new.take_output()).starts_with("x\n"));
}

fn a_sandbox_made_anew_is_judged_for_itself() {
    let world = World::new();
    let hungry = "x = bytearray(400 << 20)";
    let before = finish(world.launcher.launch(&python(hungry)).unwrap());
    assert_eq!(before.status.map(|(_, out_of_memory)| out_of_memory), Some(true));
    let modest = finish(before.sandbox.reset(&shell("exit 4")).unwrap());
    assert_eq!(modest.status, Some((End::Exited(4), false)));
    let again = finish(modest.sandbox.reset(&python(hungry)).unwrap());
    assert_eq!(again.status.map(|(_, out_of_memory)| out_of_memory), Some(true));
}

/// A program that waits, then prints what it was told and what it finds.
const WAITER: &str = "read_all='import os, sys\nos.write(0, b\"1\")\nenvironment = os.read(0, 1 << 18)\n\
                      if not environment: sys.exit()\nprint(os.getpid(), environment, os.listdir(\"/var/task\"), flush=True)\n\
                      print(open(\"/proc/self/limits\").read().count(\"\\\\n\"), os.statvfs(\"/tmp\").f_blocks * 4096)'; \
                      exec python3 -c \"$read_all\"";

fn template(count: usize) -> Template {
    Template { name: "waiter".into(), program: program(WAITER), zygote: None, mounts: Vec::new(), count }
}

/// Launches once the template's program waits.
fn from_template(world: &World, spec: &firelet_sandbox::Spec) -> super::world::Outcome {
    wait_for("a program that waits", || {
        let stock = world.launcher.stock().unwrap();
        stock.iter().any(|stock| stock.waiting > 0).then_some(())
    });
    finish(world.launcher.launch(spec).unwrap())
}

fn a_program_that_waits_is_told_its_environment() {
    let world = World::new();
    world.launcher.prepare(&[template(2)], 64).unwrap();
    let mut spec = shell("echo not prepared");
    spec.template = Some("waiter".into());
    spec.environment = vec![("A".into(), "1".into()), ("B".into(), "2 3".into())];
    spec.mounts = vec![mount(&world.file("code.txt", "x"), "/var/task")];
    for _ in 0..4 {
        let outcome = from_template(&world, &spec);
        assert!(outcome.output.starts_with("2 b'A=1\\x00B=2 3\\x00' ['code.txt']\n"), "{}", outcome.output);
        assert_eq!(outcome.status, Some((End::Exited(0), false)));
    }
}

fn a_program_that_waits_gets_the_limits() {
    let world = World::new();
    world.launcher.prepare(&[template(1)], 64).unwrap();
    let mut spec = shell("echo not prepared");
    spec.template = Some("waiter".into());
    spec.mounts = vec![mount(&world.file("code.txt", "x"), "/var/task")];
    spec.tmp_bytes = 600 << 20;
    let outcome = from_template(&world, &spec);
    assert!(outcome.output.ends_with(&format!(" {}\n", 600 << 20)), "{}", outcome.output);
    assert!(outcome.peak_memory_bytes <= spec.memory_bytes);
}

fn the_helper_tells_what_waits() {
    let world = World::new();
    assert_eq!(world.launcher.stock().unwrap(), []);
    let missing = Template {
        name: "missing".into(),
        program: Program { argv: vec!["/no".into()], ..program("") },
        ..template(1)
    };
    world.launcher.prepare(&[template(2), missing], 64).unwrap();
    let stock = wait_for("two programs that wait", || {
        let stock = world.launcher.stock().unwrap();
        stock.iter().any(|stock| stock.name == "waiter" && stock.waiting == 2).then_some(stock)
    });
    let [missing, waiter] = stock.as_slice() else { panic!("{stock:?}") };
    assert_eq!((missing.name.as_str(), missing.wanted, missing.waiting), ("missing", 1, 0));
    assert_eq!((waiter.wanted, missing.memory_bytes), (2, 0));
    assert!(waiter.memory_bytes > 1 << 20 && waiter.memory_bytes < 1 << 30, "{waiter:?}");
}

fn a_template_that_fails_is_done_without() {
    let world = World::new();
    let broken = Template { program: program("exit 1"), ..template(1) };
    let missing = Template {
        name: "missing".into(),
        program: Program { argv: vec!["/no".into()], ..program("") },
        ..template(1)
    };
    world.launcher.prepare(&[broken, missing], 64).unwrap();
    for name in ["waiter", "missing", "unknown"] {
        let mut spec = shell("echo not prepared");
        spec.template = Some(name.into());
        assert_eq!(finish(world.launcher.launch(&spec).unwrap()).output, "not prepared\n", "{name}");
    }
    let error = world.launcher.prepare(
        &[Template { program: Program { argv: vec!["x".into()], ..program("") }, ..template(1) }],
        64,
    );
    assert!(matches!(error, Err(Error::Specification { .. })));
}

fn an_empty_opt_shows_nothing() {
    let world = World::new();
    assert_eq!(world.shell("ls -A /opt | wc -l").output, "0\n");
    let mut spec = shell("ls /opt");
    let layer = world.directory.path().join("layer");
    fs::create_dir_all(&layer).unwrap();
    fs::write(layer.join("of-a-layer"), "").unwrap();
    spec.mounts = vec![mount(&layer, "/opt")];
    assert_eq!(world.run(&spec).output, "of-a-layer\n");
}
