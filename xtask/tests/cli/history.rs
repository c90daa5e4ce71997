//! `history` and `diff`: what has been, from runs that were really made.

use std::fs;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, kill, until};

const PLAN: &str = r#"
[prerequisite.docker]
program = "docker"

[[phase.task]]
id = "a"
title = "A"
run = "tool"
measure = [{ name = "size", run = "fake-tool out 100", unit = "bytes" }]

[[phase.task]]
id = "b"
title = "B"
requires = ["docker"]
run = "docker info"
"#;

/// Three runs: `a` fails, passes with nothing changed, and then `b` is released and the size is another.
fn three_runs() -> Sandbox {
    let sandbox = Sandbox::new(PLAN);
    sandbox.tool("tool", "* => exit 1");
    sandbox.run("p").exits(1);
    sandbox.tool("tool", "* => exit 0");
    sandbox.run("p --jobs 1").exits(3);
    sandbox.tool("docker", "* => exit 0");
    sandbox.edit("out 100", "out 150");
    sandbox.run("p").exits(0);
    sandbox
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().unwrap()
}

#[test]
fn runs_are_listed_the_newest_first() {
    let sandbox = three_runs();
    let history = sandbox.run("history --json").exits(0).json();
    assert_eq!((&history["version"], &history["flaky"]), (&json!(1), &json!(["a"])));
    let told: Vec<Value> = list(&history, "runs")
        .iter()
        .map(|r| {
            json!([
                r["state"],
                r["exit"],
                r["passed"],
                r["failed"],
                r["interrupted"],
                r["left"],
                r["arguments"]
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!(["ended", 0, 2, 0, 0, 0, ["p"]]),
            // That `b` is blocked still was no news, and so is not on record a second time.
            json!(["ended", 3, 1, 0, 0, 1, ["p", "--jobs", "1"]]),
            json!(["ended", 1, 0, 1, 0, 1, ["p"]]),
        ]
    );
    let first = &list(&history, "runs")[2];
    assert_eq!(first["id"], sandbox.records()[0]["run"]);
    assert!(first["ended"].is_string() && first["ms"].is_u64() && first["host"].is_string());
    let shown = sandbox.run("history").exits(0);
    shown.shows("exit 3").shows("1 passed, 1 left undone; cargo xtask p --jobs 1").shows("flaky: a (");
}

#[test]
fn attempts_at_a_task_are_listed_with_what_they_came_to() {
    let sandbox = three_runs();
    sandbox.run("skip a --reason 'not today'").exits(0);
    let history = sandbox.run("history a --json").exits(0).json();
    assert_eq!((&history["task"], &history["flaky"]), (&json!("a"), &json!(true)));
    let told: Vec<Value> = list(&history, "attempts")
        .iter()
        .map(|a| {
            json!([a["number"], a["outcome"], a["flaky"], a["measurements"][0]["value"], a["failure"]["how"]])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!([3, "passed", false, 150.0, null]),
            json!([2, "passed", true, 100.0, null]),
            json!([1, "failed", true, null, "exit code 1"]),
        ]
    );
    let by_hand = &list(&history, "by_hand")[0];
    assert_eq!(
        (&by_hand["kind"], &by_hand["by"], &by_hand["reason"]),
        (&json!("task-skipped"), &json!("tester"), &json!("not today"))
    );
    let attempt = &list(&history, "attempts")[2];
    assert_eq!(attempt["attempt"], sandbox.events("task-started")[0]["attempt"]);
    assert_eq!(attempt["log"], sandbox.events("task-started")[0]["log"]);
    let shown = sandbox.run("history a").exits(0);
    shown.shows("#1").shows("tool: exit code 1").shows("size: 150 B").shows("skipped by tester: not today");
}

#[test]
fn only_what_began_since_then_is_listed() {
    let sandbox = three_runs();
    let count = |since: &str, key: &str, task: &str| {
        list(&sandbox.run(&format!("history {task} --json --since '{since}'")).exits(0).json(), key).len()
    };
    assert_eq!(count("1h", "runs", ""), 3);
    assert_eq!(count("2d", "attempts", "a"), 3);
    assert_eq!(count("2000-01-01", "runs", ""), 3);
    assert_eq!(count("9999-01-01", "runs", ""), 0);
    assert_eq!(count("9999-01-01T10:00", "attempts", "a"), 0);
    let second =
        sandbox.run("history --json").exits(0).json()["runs"][1]["started"].as_str().unwrap().to_owned();
    assert_eq!(count(&second, "runs", ""), 2);
    sandbox.run("history --since 9999-01-01").exits(0).shows("No run is on record.");
    sandbox.run("history --since soon").exits(2).says("`soon` is neither a duration nor a date");
}

#[test]
fn nothing_on_record_is_said_and_a_mistake_is_one() {
    let sandbox = Sandbox::new(PLAN);
    sandbox.run("history").exits(0).shows("No run is on record.");
    sandbox.run("history a").exits(0).shows("Nothing is on record about a.");
    sandbox.run("history aa").exits(2).says("did you mean `a`?");
    assert_eq!(
        sandbox.run("history --json").exits(0).json(),
        json!({ "version": 1, "runs": [], "flaky": [] })
    );
    sandbox.run("diff").exits(2).says("no run is on record");
    assert!(!sandbox.has(".xtask"), "looking writes nothing");
}

#[test]
fn a_task_that_was_taken_out_of_the_file_has_its_history_still() {
    let sandbox = three_runs();
    sandbox.pipeline("[[phase.task]]\nid = \"other\"\ntitle = \"Other\"\n");
    sandbox.run("history a").exits(0).shows("#3");
}

#[test]
fn a_run_that_is_under_way_or_was_killed_is_told_as_that() {
    let sandbox = Sandbox::new("[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrun = \"worker go\"\n");
    sandbox.tool("worker", "@file hold go => ready here hang\n* => exit 0");
    fs::write(sandbox.bin("hold"), "").unwrap();
    let running = sandbox.start("p");
    until("it is there", || sandbox.has("here"));
    let run = || sandbox.run("history --json").exits(0).json()["runs"][0].clone();
    assert_eq!(
        (&run()["state"], &run()["running"], &run()["ended"]),
        (&json!("running"), &json!(1), &Value::Null)
    );
    sandbox.run("history t").exits(0).shows("running");
    kill(running.pid, libc::SIGKILL);
    running.ended().ends_by(libc::SIGKILL);
    fs::remove_file(sandbox.bin("hold")).unwrap();
    assert_eq!(
        (&run()["state"], &run()["interrupted"], &run()["exit"]),
        (&json!("killed"), &json!(1), &Value::Null)
    );
    sandbox.run("history").exits(0).shows("killed").shows("1 interrupted");
    sandbox.run("history t").exits(0).shows("interrupted");
    sandbox.run("p").exits(0);
}

#[test]
fn a_diff_says_what_changed_from_run_to_run() {
    let sandbox = three_runs();
    let ids: Vec<String> = list(&sandbox.run("history --json").exits(0).json(), "runs")
        .iter()
        .rev()
        .map(|run| run["id"].as_str().unwrap().to_owned())
        .collect();
    let diff = sandbox.run(&format!("diff {} {} --json", ids[0], &ids[2][..11])).exits(0).json();
    assert_eq!(
        (&diff["version"], &diff["from"]["id"], &diff["to"]["id"]),
        (&json!(1), &json!(ids[0]), &json!(ids[2]))
    );
    assert_eq!(
        diff["states"],
        json!([
            { "task": "a", "before": "failed", "after": "done", "because": null },
            { "task": "b", "before": "blocked", "after": "done", "because": null },
        ])
    );
    assert_eq!(diff["durations"], json!([]));
    assert_eq!(diff["measurements"][0]["before"], Value::Null);
    // The second run against the last, which are what is compared if nothing is said.
    let diff = sandbox.run("diff --json").exits(0).json();
    assert_eq!(
        diff["measurements"],
        json!([{
            "task": "a", "name": "size", "unit": "bytes", "before": 100.0, "after": 150.0, "percent": 50.0, "within_limits": true,
        }])
    );
    assert_eq!(diff, sandbox.run("diff last~1 last --json").exits(0).json());
    sandbox.run("diff").exits(0).shows("b: blocked -> done").shows("a size: 100 B -> 150 B, +50 %");
    sandbox.run("diff last last").exits(0).shows("No state, duration or measurement changed.");
    sandbox.run("diff last~3").exits(2).says("only 3 are on record").says("cargo xtask history");
    sandbox.run("diff nothing").exits(2).says("there is no run `nothing`");
}
