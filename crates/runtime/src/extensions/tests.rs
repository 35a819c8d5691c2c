use firelet_types::{Ids, RequestId, Timestamp};
use tokio::sync::oneshot;

use super::*;

const INVOKE: &[&str] = &["INVOKE"];

/// The extensions of an environment, known by their names.
struct World {
    extensions: Extensions,
    ids: Ids,
    known: Vec<(&'static str, ExtensionId)>,
    polls: Vec<(&'static str, oneshot::Receiver<Event>)>,
}

impl World {
    fn new() -> Self {
        Self { extensions: Extensions::default(), ids: Ids::seeded(1), known: Vec::new(), polls: Vec::new() }
    }

    fn register(&mut self, name: &'static str, events: &[&str]) -> Result<(), Refusal> {
        let id = ExtensionId::new(&self.ids);
        let events: Vec<String> = events.iter().map(|event| (*event).to_owned()).collect();
        self.extensions.register(id, name, &events)?;
        self.known.push((name, id));
        Ok(())
    }

    fn id(&self, name: &str) -> ExtensionId {
        self.known.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// What `name` may do next: a call and how it is refused.
    fn call(&mut self, name: &'static str, call: &str) -> Result<(), Refusal> {
        let id = self.id(name);
        match call {
            "next" => {
                let (poller, polled) = oneshot::channel();
                self.extensions.next(id, poller)?;
                self.polls.push((name, polled));
                Ok(())
            }
            "init/error" => self.extensions.fail_init(id, "Extension.Broken"),
            "exit/error" => self.extensions.fail_exit(id, "Extension.Broken"),
            "invoke" => {
                self.invoke();
                Ok(())
            }
            "hang up" => {
                self.polls.retain(|(poller, _)| *poller != name);
                Ok(())
            }
            other => panic!("no such call: {other}"),
        }
    }

    fn invoke(&mut self) {
        let invocation = Invocation {
            request_id: RequestId::new(&self.ids),
            deadline: Timestamp::from_millis(0),
            function_arn: "arn".to_owned(),
            trace_id: None,
            client_context: None,
            tenant: None,
            payload: bytes::Bytes::new(),
            wants_log_tail: false,
            takes_stream: false,
        };
        self.extensions.invoke(&invocation);
    }

    /// How many events have come to the polls of `name`.
    fn heard(&mut self, name: &str) -> usize {
        let polls = self.polls.iter_mut().filter(|(poller, _)| *poller == name);
        polls.filter(|(_, poll)| !poll.is_terminated()).filter_map(|(_, poll)| poll.try_recv().ok()).count()
    }

    fn state(&self, name: &str) -> &'static str {
        self.extensions.statuses().iter().find(|status| &*status.name == name).unwrap().state
    }
}

fn transition(from: &'static str, to: &'static str) -> Refusal {
    Refusal::Transition { from, to }
}

#[test]
fn calls_are_allowed_as_in_the_emulator() {
    // What has been called, the next call, and the state or the refusal.
    let rows: &[(&[&str], &str, Result<&str, Refusal>)] = &[
        (&[], "next", Ok("Ready")),
        (&[], "init/error", Ok("InitError")),
        (&[], "exit/error", Ok("ExitError")),
        (&["next"], "next", Err(transition("Ready", "Ready"))),
        (&["next"], "init/error", Err(transition("Ready", "InitError"))),
        (&["next"], "exit/error", Ok("ExitError")),
        (&["next", "hang up"], "next", Ok("Ready")),
        (&["next", "invoke"], "next", Ok("Ready")),
        (&["next", "invoke"], "init/error", Err(transition("Running", "InitError"))),
        (&["next", "invoke"], "exit/error", Ok("ExitError")),
        (&["init/error"], "next", Err(transition("InitError", "Ready"))),
        (&["init/error"], "init/error", Ok("InitError")),
        (&["init/error"], "exit/error", Err(transition("InitError", "Exited"))),
        (&["exit/error"], "next", Err(transition("ExitError", "Ready"))),
        (&["exit/error"], "init/error", Err(transition("ExitError", "InitError"))),
        (&["exit/error"], "exit/error", Ok("ExitError")),
    ];
    for (before, call, expected) in rows {
        let mut world = World::new();
        world.register("one", INVOKE).unwrap();
        for call in *before {
            world.call("one", call).unwrap();
        }
        let result = world.call("one", call).map(|()| world.state("one"));
        assert_eq!(&result, expected, "{before:?} {call}");
    }
}

#[test]
fn registrations_are_refused_as_in_the_emulator() {
    let long: &'static str = "n".repeat(256).leak();
    for (name, events, expected) in [
        ("", INVOKE, Refusal::EmptyName),
        (long, INVOKE, Refusal::LongName),
        ("one", INVOKE, Refusal::NameTaken),
        ("two", &["INVOKE", "SHUTDOWN"], Refusal::InvalidEvent("SHUTDOWN".to_owned())),
        ("two", &["invoke"], Refusal::InvalidEvent("invoke".to_owned())),
    ] {
        let mut world = World::new();
        world.register("one", &[]).unwrap();
        assert_eq!(world.register(name, events), Err(expected));
        assert_eq!(world.extensions.statuses().len(), 1);
    }
}

#[test]
fn there_are_ten_at_most() {
    let mut world = World::new();
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        world.register(name, INVOKE).unwrap();
    }
    assert_eq!(world.register("k", INVOKE), Err(Refusal::TooMany));
}

#[test]
fn nobody_registers_once_the_runtime_is_ready() {
    let mut world = World::new();
    world.extensions.close();
    assert_eq!(world.register("late", INVOKE), Err(Refusal::RegistrationClosed));
}

#[test]
fn a_stranger_is_unknown() {
    let mut world = World::new();
    world.register("one", INVOKE).unwrap();
    let stranger = ExtensionId::new(&world.ids);
    assert_eq!(world.extensions.fail_exit(stranger, "Extension.Broken"), Err(Refusal::Unknown));
}

#[test]
fn those_who_hear_of_invocations_are_waited_for() {
    let mut world = World::new();
    world.register("all", INVOKE).unwrap();
    world.register("none", &[]).unwrap();
    assert!(!world.extensions.are_idle());
    world.call("all", "next").unwrap();
    assert!(!world.extensions.are_idle());
    world.call("none", "next").unwrap();
    assert!(world.extensions.are_idle());
    world.invoke();
    assert!(!world.extensions.are_idle());
    assert_eq!((world.heard("all"), world.heard("none")), (1, 0));
    world.call("all", "next").unwrap();
    assert!(world.extensions.are_idle());
}

#[test]
fn an_event_for_a_lost_poll_comes_with_the_next() {
    let mut world = World::new();
    world.register("one", INVOKE).unwrap();
    world.call("one", "next").unwrap();
    world.call("one", "hang up").unwrap();
    world.invoke();
    world.call("one", "next").unwrap();
    assert_eq!((world.state("one"), world.heard("one")), ("Running", 1));
    assert!(!world.extensions.are_idle());
    world.call("one", "next").unwrap();
    assert!(world.extensions.are_idle());
}

const SHUTDOWN: ShutdownEvent = ShutdownEvent { reason: "spindown", deadline: Timestamp::from_millis(0) };

#[test]
fn programs_are_expected_until_they_register_or_cannot_be_started() {
    let mut world = World::new();
    world.extensions.expect("one").unwrap();
    world.extensions.expect("two").unwrap();
    assert_eq!(world.state("one"), "Started");
    let (all, mut registered) = oneshot::channel();
    world.extensions.when_registered(all);
    world.register("one", &["INVOKE", "SHUTDOWN"]).unwrap();
    assert!(registered.try_recv().is_err());
    assert_eq!(world.register("one", INVOKE), Err(transition("Registered", "Registered")));
    assert_eq!(world.register("two", &["RESTORE"]), Err(Refusal::InvalidEvent("RESTORE".to_owned())));
    // Programs may register after the runtime has asked for its first event, unlike extensions inside of it.
    world.extensions.close();
    world.register("two", &["SHUTDOWN"]).unwrap();
    assert!(registered.try_recv().is_ok());
    world.extensions.unlaunched("two", "UnknownError");
    assert_eq!(world.state("two"), "LaunchError");
    assert_eq!(world.register("two", INVOKE), Err(transition("LaunchError", "Registered")));
}

#[test]
fn programs_and_others_have_one_limit_together() {
    let mut world = World::new();
    for number in 0..9 {
        world.extensions.expect(&number.to_string()).unwrap();
    }
    world.register("inner", INVOKE).unwrap();
    assert_eq!(world.register("another", INVOKE), Err(Refusal::TooMany));
    assert_eq!(world.extensions.expect("another"), Err(Refusal::TooMany));
    assert_eq!(world.extensions.kinds(), Kinds { internal: true, external: true });
}

#[test]
fn programs_hear_of_the_shutdown_as_soon_as_they_ask() {
    let mut world = World::new();
    for (name, events) in [("ready", &["SHUTDOWN"][..]), ("busy", &["INVOKE", "SHUTDOWN"]), ("other", INVOKE)]
    {
        world.extensions.expect(name).unwrap();
        world.register(name, events).unwrap();
        world.call(name, "next").unwrap();
    }
    world.invoke();
    assert_eq!((world.heard("ready"), world.heard("busy"), world.heard("other")), (0, 1, 1));
    let uninterested = world.extensions.shut_down(SHUTDOWN);
    assert_eq!(uninterested.iter().map(|name| &**name).collect::<Vec<_>>(), ["other"]);
    assert_eq!((world.heard("ready"), world.heard("busy"), world.heard("other")), (1, 0, 0));
    world.call("busy", "next").unwrap();
    assert_eq!(world.heard("busy"), 1);
}
