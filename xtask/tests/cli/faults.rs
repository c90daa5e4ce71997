//! Faults.

use std::fs;

use crate::sandbox::{Sandbox, runs, until};

/// How often: so often as a rule, and so often with `XTASK_FAULTS=all` in the environment.
pub fn n_thorough(as_a_rule: usize, all: usize) -> usize {
    if std::env::var_os("XTASK_FAULTS").is_some_and(|value| value == "all") { all } else { as_a_rule }
}

#[test]
fn a_question_does_not_end_others_that_are_asked_at_the_same_time() {
    let sandbox = Sandbox::new(
        r#"
        [prerequisite.one]
        ready = "fake-tool wait other-is-there child [ mute ready left hang ] wait left"
        [prerequisite.other]
        ready = "fake-tool session [ write other-is-there x wait over ] wait other-is-there wait over"
        timeout = "20s"
        [[phase.task]]
        id = "t"
        title = "T"
        requires = ["one", "other"]
        "#,
    );
    let running = sandbox.start("p");
    // `one` has ended, and what it left behind was ended with it.
    let left = || fs::read_to_string(sandbox.path("left")).ok()?.trim().parse().ok();
    until("it leaves something behind", || left().is_some());
    until("that is ended", || !runs(left().unwrap()));
    sandbox.write("over", "");
    running.ended().exits(0);
    sandbox.expect("t=done");
}
