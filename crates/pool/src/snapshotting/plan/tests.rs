use crate::snapshot::tests::{anew, version};

use super::*;

fn awaiting(versions: &[&Arc<FunctionVersion>]) -> Vec<FunctionVersion> {
    versions.iter().map(|version| FunctionVersion::clone(version)).collect()
}

/// The names of what is made, in order, with what is abandoned after a dash.
#[track_caller]
fn check(effects: Vec<Effect>, expected: &[&str]) {
    let mut found: Vec<String> = effects
        .into_iter()
        .map(|effect| match effect {
            Effect::Make(function) => function.name.to_string(),
            Effect::Abandon(key) => format!("-{}", key.name),
        })
        .collect();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn each_version_that_waits_is_begun_once_and_abandoned_when_it_is_gone() {
    let (one, two) = (version(1, "one", 1), version(1, "two", 1));
    let (mut plan, now) = (Plan::default(), Instant::now());
    check(plan.step(awaiting(&[&one]), now), &["one"]);
    check(plan.step(awaiting(&[&one, &two]), now), &["two"]);
    check(plan.step(awaiting(&[&one, &two]), now), &[]);
    check(plan.step(awaiting(&[&two]), now), &["-one"]);
    // Another function has the name.
    check(plan.step(awaiting(&[&anew(&two)]), now), &["-two", "two"]);
    check(plan.step(Vec::new(), now), &["-two"]);
    check(plan.step(Vec::new(), now), &[]);
}

#[test]
fn faults_of_the_server_are_tried_again_later_and_later() {
    let one = version(1, "one", 1);
    let (mut plan, mut now) = (Plan::default(), Instant::now());
    check(plan.step(awaiting(&[&one]), now), &["one"]);
    for pause in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        plan.failed(&Key::of(&one, None), now);
        now += Duration::from_secs(pause) - Duration::from_millis(1);
        check(plan.step(awaiting(&[&one]), now), &[]);
        now += Duration::from_millis(1);
        check(plan.step(awaiting(&[&one]), now), &["one"]);
    }
    plan.failed(&Key::of(&one, None), now);
    check(plan.step(Vec::new(), now), &[]);
    check(plan.step(awaiting(&[&one]), now), &["one"]);
}

#[test]
fn no_account_keeps_another_waiting() {
    let now = Instant::now();
    let mut plan = Plan::default();
    let of_account = |account: u8| (0..10).map(move |number| version(account, &format!("f{number}"), 1));
    let mut awaiting: Vec<FunctionVersion> = of_account(1).map(|version| (*version).clone()).collect();
    check(plan.step(awaiting.clone(), now), &["f0", "f1", "f2", "f3"]);
    awaiting.extend(of_account(2).map(|version| (*version).clone()));
    let begun = plan.step(awaiting.clone(), now);
    assert!(begun.iter().all(|effect| match effect {
        Effect::Make(function) => function.scope.account.as_str() == "222222222222",
        Effect::Abandon(_) => false,
    }));
    check(begun, &["f0", "f1", "f2", "f3"]);
    // Where one is over, another begins, in their order.
    awaiting.remove(1);
    check(plan.step(awaiting.clone(), now), &["-f1", "f4"]);
    // One that waits for its next try holds no place.
    plan.failed(&Key::of(&awaiting[0], None), now);
    check(plan.step(awaiting, now), &["f5"]);
}
