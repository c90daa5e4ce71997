//! kill -9 in the middle of a run, and what the next one makes of it.

use std::fs;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, kill, processes_of, runs, until};

/// `middle` hangs as long as there is a file `hold` beside the stand-in, with a child in a session of its own.
const PLAN: &str = r#"
[[phase.task]]
id = "first"
title = "First"
run = "fake-tool append ran 1"
artifacts = ["ran"]

[[phase.task]]
id = "middle"
title = "Middle"
needs = ["first"]
run = "worker go ${run.id}"
finally = ["worker clean ${run.id}"]
teardown = ["worker down ${run.id}"]

[[phase.task]]
id = "last"
title = "Last"
needs = ["middle"]
"#;

const WORKER: &str = "\
@file hold go _ => session [ ready far hang ] wait far ready here hang
* => exit 0
";

/// A run that was killed in the middle of `middle`. Returns the processes that it left behind.
fn killed() -> (Sandbox, Vec<u32>) {
    let sandbox = Sandbox::new(PLAN);
    sandbox.tool("worker", WORKER);
    fs::write(sandbox.bin("hold"), "").unwrap();
    let running = sandbox.start("p");
    let pid = || fs::read_to_string(sandbox.path("here")).ok()?.trim().parse::<u32>().ok();
    until("the task is there", || pid().is_some());
    kill(running.pid, libc::SIGKILL);
    running.ended().ends_by(libc::SIGKILL);
    let far = sandbox.read("far").trim().parse().unwrap();
    let left = vec![pid().unwrap(), far];
    assert!(left.iter().all(|pid| runs(*pid)), "nobody could end them");
    fs::remove_file(sandbox.bin("hold")).unwrap();
    (sandbox, left)
}

#[test]
fn a_killed_run_is_told_as_interrupted() {
    let (sandbox, _) = killed();
    sandbox.expect("first=done last=waiting middle=interrupted");
    let because = sandbox.task("middle")["because"][0].clone();
    assert_eq!((&because["kind"], &because["died"]), (&json!("interrupted"), &json!(true)));
    sandbox.run("explain middle").exits(0).shows("interrupted");
    sandbox.run("report").exits(0).shows("Interrupted");
    // Only looked at: nothing was written, and nobody was ended.
    assert_eq!(sandbox.events("task-ended").len(), 1);
    sandbox.run("resume").exits(0);
}

#[test]
fn the_next_run_repeats_only_what_was_cut_off_and_loses_nothing() {
    let (sandbox, left) = killed();
    let before = fs::read(sandbox.path(".xtask/ledger.jsonl")).unwrap();
    sandbox.run("p").exits(0);
    let after = fs::read(sandbox.path(".xtask/ledger.jsonl")).unwrap();
    assert!(after.starts_with(&before), "what was recorded stays");
    assert_eq!(sandbox.started(), ["first", "middle", "middle", "last"]);
    sandbox.expect("first=done last=done middle=done");
    assert_eq!(
        (sandbox.read("ran").as_str(), &sandbox.task("middle")["attempt"]["number"]),
        ("1", &json!(2))
    );
    assert!(!left.iter().any(|pid| runs(*pid)), "survivors were ended");
}

#[test]
fn survivors_are_ended_before_anything_starts() {
    let (sandbox, left) = killed();
    let attempt = sandbox.events("task-started")[1]["attempt"].as_str().unwrap().to_owned();
    assert_eq!(processes_of(&attempt).len(), left.len());
    sandbox.run("resume").exits(0).says("ended 2 processes");
    assert_eq!(processes_of(&attempt), [0; 0]);
}

#[test]
fn survivors_are_ended_whatever_has_become_of_their_task() {
    let forget = |sandbox: &Sandbox| drop(sandbox.run("forget middle").exits(0));
    let remove = |sandbox: &Sandbox| sandbox.pipeline("[[phase.task]]\nid = \"other\"\ntitle = \"Other\"\n");
    for meanwhile in [&forget as &dyn Fn(&Sandbox), &remove] {
        let (sandbox, left) = killed();
        meanwhile(&sandbox);
        sandbox.run("p").exits(0).says("ended 2 processes");
        assert!(!left.iter().any(|pid| runs(*pid)));
    }
}

#[test]
fn questions_that_were_being_asked_are_ended_too() {
    let sandbox = Sandbox::new(
        r#"
        [prerequisite.tool]
        ready = "worker ready"
        [fact.place]
        run = "worker place"
        [[phase.task]]
        id = "t"
        title = "T"
        requires = ["tool"]
        when = { place = "here" }
        "#,
    );
    let script = "@file hold _ => session [ ready far hang ] wait far ready here hang\n* => out here";
    sandbox.tool("worker", script);
    fs::write(sandbox.bin("hold"), "").unwrap();
    let mut left = Vec::new();
    // The second is killed as well, before it has recorded anything.
    for _ in 0..2 {
        let running = sandbox.start("p");
        until("it is asked", || sandbox.has("here"));
        kill(running.pid, libc::SIGKILL);
        running.ended().ends_by(libc::SIGKILL);
        for name in ["here", "far"] {
            left.push(sandbox.read(name).trim().parse().unwrap());
            sandbox.remove(name);
        }
    }
    assert!(!sandbox.path(".xtask/ledger.jsonl").metadata().is_ok_and(|ledger| ledger.len() > 0));
    assert_eq!(left.iter().filter(|pid| runs(**pid)).count(), 2, "the second ended those of the first");
    fs::remove_file(sandbox.bin("hold")).unwrap();
    // Somebody else has the lock meanwhile, who ends nothing.
    sandbox.run("skip t --reason x").exits(0);
    sandbox.run("forget t").exits(0);
    sandbox.run("p").exits(0).says("ended 2 processes");
    assert!(!left.iter().any(|pid| runs(*pid)) && !sandbox.has(".xtask/holder.json"));
    assert!(!sandbox.run("p --force").exits(0).stderr.contains("ended"));
}

#[test]
fn the_cleaning_that_is_owed_is_done_first_with_the_values_of_the_killed_run() {
    let (sandbox, _) = killed();
    let killed_run = sandbox.records()[0]["run"].as_str().unwrap().to_owned();
    sandbox.run("p").exits(0).says("cleaning up after `middle`");
    let next_run = sandbox.records().last().unwrap()["run"].as_str().unwrap().to_owned();
    let wanted: Vec<Vec<String>> = [
        ("go", &killed_run),
        ("clean", &killed_run),
        ("down", &killed_run),
        ("go", &next_run),
        ("clean", &next_run),
        ("down", &next_run),
    ]
    .map(|(word, run)| vec![word.to_owned(), run.clone()])
    .into();
    assert_eq!(sandbox.calls("worker"), wanted);
    let cleaned = sandbox.events("torn-down")[0].clone();
    let parts: Vec<&Value> =
        cleaned["commands"].as_array().unwrap().iter().map(|command| &command["ended"]).collect();
    assert_eq!(parts, ["exit code 0", "exit code 0"]);
    // Once is enough.
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.calls("worker"), wanted);
}

#[test]
fn a_run_that_was_killed_twice_is_cleaned_up_after_once_for_each() {
    let (sandbox, _) = killed();
    fs::write(sandbox.bin("hold"), "").unwrap();
    sandbox.remove("here");
    let running = sandbox.start("p");
    until("the task is there again", || sandbox.has("here"));
    running.signal(libc::SIGKILL);
    running.ended().ends_by(libc::SIGKILL);
    fs::remove_file(sandbox.bin("hold")).unwrap();
    sandbox.run("p").exits(0);
    let words: Vec<String> = sandbox.calls("worker").iter().map(|call| call[0].clone()).collect();
    assert_eq!(words.join(" "), "go clean down go clean down go clean down");
    assert_eq!(sandbox.task("middle")["attempt"]["number"], 3);
}

#[test]
fn what_a_killed_run_had_set_up_is_torn_down_before_it_is_set_up_again() {
    let sandbox = Sandbox::new(
        r#"
        [[phase.task]]
        id = "cluster"
        title = "Cluster"
        run = "fake-tool append trace +"
        teardown = "fake-tool append trace -"
        [[phase.task]]
        id = "deploy"
        title = "Deploy"
        needs = ["cluster"]
        run = "worker go"
        "#,
    );
    sandbox.tool("worker", "@file hold go => ready here hang\n* => append trace d");
    fs::write(sandbox.bin("hold"), "").unwrap();
    let running = sandbox.start("p");
    until("the task is there", || sandbox.has("here"));
    running.signal(libc::SIGKILL);
    running.ended().ends_by(libc::SIGKILL);
    fs::remove_file(sandbox.bin("hold")).unwrap();
    sandbox.expect("cluster=done deploy=interrupted");
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.read("trace"), "+-+d-");
    sandbox.expect("cluster=done deploy=done");
}

#[test]
fn a_dead_holder_does_not_hold_the_lock() {
    let (sandbox, _) = killed();
    assert!(sandbox.has(".xtask/holder.json"), "the dead cannot take their name away");
    assert_ne!(sandbox.task("middle")["because"][0]["kind"], "running");
    sandbox.run("p").exits(0);
    assert!(!sandbox.has(".xtask/holder.json"));
}

#[test]
fn a_child_of_the_dead_holds_the_lock_only_for_a_moment() {
    let (sandbox, _) = killed();
    // A child that has been started and is not yet another program has everything open that its parent had.
    let lock = fs::File::options().write(true).open(sandbox.path(".xtask/lock")).unwrap();
    lock.lock().unwrap();
    let running = sandbox.start("p");
    until("it meets the lock", || {
        let open = fs::read_dir(format!("/proc/{}/fd", running.pid)).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|path| path.ends_with(".xtask/lock"))
    });
    drop(lock);
    running.ended().exits(0);
}

#[test]
fn what_was_being_written_when_the_run_was_killed_goes_away() {
    let sandbox = Sandbox::new("[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrun = \"fake-tool out x\"\n");
    sandbox.run("p").exits(0);
    let halves = [".STATUS.md.new", ".xtask/digests.new"];
    halves.iter().for_each(|name| sandbox.write(name, "half of it"));
    // Nothing has to be written anew.
    let evidence = sandbox.evidence();
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.evidence(), evidence);
    assert!(!halves.iter().any(|name| sandbox.has(name)));
}

#[test]
fn the_folder_of_a_killed_attempt_goes_away() {
    let sandbox = Sandbox::new("[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrun = \"worker go ${tmp}\"\n");
    sandbox.tool("worker", "@file hold go _ => ready here hang\n* => exit 0");
    fs::write(sandbox.bin("hold"), "").unwrap();
    let running = sandbox.start("p");
    until("the task is there", || sandbox.has("here"));
    running.signal(libc::SIGKILL);
    running.ended().ends_by(libc::SIGKILL);
    fs::remove_file(sandbox.bin("hold")).unwrap();
    let count = || fs::read_dir(sandbox.path(".xtask/tmp")).map_or(0, Iterator::count);
    assert_eq!(count(), 1);
    // Also if its task has another name by now.
    sandbox.edit("id = \"t\"", "id = \"u\"");
    sandbox.run("p").exits(0);
    assert_eq!(count(), 0);
}
