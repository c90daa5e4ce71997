//! Signals, the run lock, and that nothing of ours survives us.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::sandbox::{Running, Sandbox, processes_of, runs};

/// Two of the same signal that come closer together than this are taken for one.
const ECHO: Duration = Duration::from_millis(15);

/// A task that says when it is there, with a child in a session of its own, and is to be cleaned up after.
const HANGING: &str = r#"
[[phase.task]]
id = "before"
title = "Before"

[[phase.task]]
id = "t"
title = "T"
needs = ["before"]
run = "fake-tool session [ ready far hang ] wait far child [ hang ] ready here hang"
finally = ["fake-tool append cleaned 1", "fake-tool append cleaned 2"]
teardown = ["fake-tool append cleaned 3"]

[[phase.task]]
id = "after"
title = "After"
needs = ["t"]
"#;

/// A run that has come to the middle of `t`, and the process of `t`.
fn hanging(body: &str) -> (Sandbox, Running, u32) {
    let sandbox = Sandbox::new(body);
    let mut here = sandbox.fifo("here");
    let running = sandbox.start("p");
    let child = here.pid();
    (sandbox, running, child)
}

fn attempt(sandbox: &Sandbox) -> String {
    sandbox.events("task-started").last().unwrap()["attempt"].as_str().unwrap().to_owned()
}

#[track_caller]
fn check_interrupted(signal: i32, code: i32) {
    let (sandbox, running, child) = hanging(HANGING);
    running.signal(signal);
    running.ended().exits(code).says("stopping");
    assert!(!runs(child));
    assert_eq!(processes_of(&attempt(&sandbox)), [0; 0]);
    assert_eq!(sandbox.read("cleaned"), "123", "what is owed was done");
    assert_eq!(sandbox.events("task-ended")[1]["outcome"], "interrupted");
    assert_eq!(sandbox.events("run-ended"), [json!({ "exit": code })]);
    sandbox.expect("after=waiting before=done t=interrupted");
    let task = sandbox.task("t");
    assert_eq!(
        (&task["because"][0]["kind"], &task["because"][0]["died"]),
        (&json!("interrupted"), &json!(false))
    );
    sandbox.run("explain t").exits(0).shows("interrupted");
    assert!(sandbox.read("STATUS.md").contains("Interrupted"));
}

#[test]
fn ctrl_c_ends_what_runs_cleans_up_and_is_told() {
    check_interrupted(libc::SIGINT, 130);
}

#[test]
fn sigterm_does_the_same_with_another_code() {
    check_interrupted(libc::SIGTERM, 143);
}

#[test]
fn children_are_asked_before_they_are_killed() {
    let keys = "run = \"fake-tool on-term [ write asked x ] ready here hang\"";
    let (sandbox, running, _) = hanging(&format!("[[phase.task]]\nid = \"t\"\ntitle = \"T\"\n{keys}\n"));
    running.signal(libc::SIGINT);
    running.ended().exits(130);
    assert!(sandbox.has("asked"));
    sandbox.expect("t=interrupted");
}

#[test]
fn what_does_not_end_in_its_grace_is_killed() {
    let keys = "grace = \"100ms\"\nrun = \"fake-tool ignore-term ready here hang\"";
    let (sandbox, running, child) = hanging(&format!("[[phase.task]]\nid = \"t\"\ntitle = \"T\"\n{keys}\n"));
    running.signal(libc::SIGINT);
    running.ended().exits(130);
    assert!(!runs(child));
    sandbox.expect("t=interrupted");
}

#[test]
fn a_second_ctrl_c_kills_at_once() {
    let keys = "grace = \"1h\"\nrun = \"fake-tool ignore-term child [ hang ] ready here hang\"\nfinally = \"fake-tool ignore-term hang\"";
    let (sandbox, running, child) = hanging(&format!("[[phase.task]]\nid = \"t\"\ntitle = \"T\"\n{keys}\n"));
    running.signal(libc::SIGINT);
    running.has_said("stopping");
    thread::sleep(ECHO);
    running.signal(libc::SIGINT);
    running.ended().exits(130).says("killing");
    assert!(!runs(child));
    assert_eq!(processes_of(&attempt(&sandbox)), [0; 0]);
    sandbox.expect("t=interrupted");
    assert_eq!(sandbox.events("task-ended")[0]["outcome"], "interrupted");
}

#[test]
fn a_signal_while_prerequisites_are_asked_ends_the_run_too() {
    let sandbox = Sandbox::new(
        "[prerequisite.tool]\nready = \"fake-tool ready here hang\"\ntimeout = \"50s\"\n[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrequires = [\"tool\"]\n",
    );
    let mut here = sandbox.fifo("here");
    let running = sandbox.start("p");
    let child = here.pid();
    running.signal(libc::SIGINT);
    running.ended().exits(130);
    assert!(!runs(child));
}

#[test]
fn a_signal_between_two_tries_ends_the_wait() {
    let keys = "run = \"fake-tool ready here exit 1\"\nretry = { times = 3, delay = \"50s\" }";
    let (sandbox, running, _) = hanging(&format!("[[phase.task]]\nid = \"t\"\ntitle = \"T\"\n{keys}\n"));
    running.signal(libc::SIGINT);
    running.ended().exits(130);
    sandbox.expect("t=interrupted");
}

#[test]
fn cleaning_up_goes_on_after_the_first_signal() {
    let keys = "finally = [\"fake-tool ready here wait go\", \"fake-tool write cleaned x\"]";
    let (sandbox, running, _) = hanging(&format!(
        "[[phase.task]]\nid = \"t\"\ntitle = \"T\"\n{keys}\n[[phase.task]]\nid = \"u\"\ntitle = \"U\"\nneeds = [\"t\"]\n"
    ));
    running.signal(libc::SIGINT);
    running.has_said("stopping");
    sandbox.write("go", "");
    running.ended().exits(130);
    assert!(sandbox.has("cleaned"));
    assert_eq!(sandbox.started(), ["t"], "nothing more starts");
}

#[test]
fn what_was_interrupted_is_done_again() {
    let (sandbox, running, _) = hanging(HANGING);
    running.signal(libc::SIGINT);
    running.ended().exits(130);
    sandbox.edit(
        "run = \"fake-tool session [ ready far hang ] wait far child [ hang ] ready here hang\"",
        "run = \"fake-tool out x\"",
    );
    sandbox.run("resume").exits(0);
    assert_eq!(sandbox.started(), ["before", "t", "t", "after"]);
}

#[test]
fn a_second_run_is_refused_and_told_who_holds_the_lock() {
    let (sandbox, running, _) = hanging(HANGING);
    let ledger = sandbox.read(".xtask/ledger.jsonl");
    for call in ["p", "resume", "p --task before", "skip before --reason x", "forget before"] {
        sandbox.run(call).exits(4).says(&format!("process id {}", running.pid)).says(".xtask");
    }
    assert_eq!(sandbox.read(".xtask/ledger.jsonl"), ledger);
    running.signal(libc::SIGINT);
    running.ended().exits(130);
    // The lock is free again.
    sandbox.run("p --task before").exits(0);
}

#[test]
fn looking_is_possible_while_it_runs() {
    let (sandbox, running, _) = hanging(HANGING);
    let task = sandbox.task("t");
    assert_eq!((&task["because"][0]["kind"], &task["attempt"]["ended"]), (&json!("running"), &json!(null)));
    sandbox.run("status").exits(0).shows("running");
    sandbox.run("explain t").exits(0).shows("running");
    sandbox.run("list").exits(0);
    sandbox.run("report").exits(0);
    sandbox.run("log t").exits(0).shows("$ fake-tool");
    running.signal(libc::SIGTERM);
    running.ended().exits(143);
}
