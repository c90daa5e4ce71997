//! The table of states: every row, with its reasons, as `status --json` and `explain` tell them.

use std::fs;

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// `top` stands on `base` and on everything else that a result can follow from.
const STACK: &str = r#"
[vars]
word = "old"

[prerequisite.tool]
program = "tool"

[[phase.task]]
id = "base"
title = "Base"
inputs = ["base/**"]
run = "fake-tool write base.txt x"
artifacts = ["base.txt"]

[[phase.task]]
id = "top"
title = "Top"
needs = ["base"]
requires = ["tool"]
inputs = ["src/**"]
run = "fake-tool write top.txt ${word}"
artifacts = ["top.txt"]
check = [{ file = "notes.md" }]
"#;

/// The stack, done.
fn stack() -> Sandbox {
    let sandbox = Sandbox::new(STACK);
    sandbox.tool("tool", "--version => out 'tool 1.0.0'");
    for name in ["base/in", "src/one", "src/two", "notes.md"] {
        sandbox.write(name, name);
    }
    sandbox.run("p").exits(0);
    sandbox.expect("base=done top=done");
    sandbox
}

/// After this change `top` is stale for this reason only, `explain` says so, and a run repeats what it has to.
#[track_caller]
fn check_stale(change: impl FnOnce(&Sandbox), reason: &Value, explained: &str, repeated: &[&str]) {
    let sandbox = stack();
    change(&sandbox);
    let mut top = sandbox.task("top");
    // A file's digests then and now stand where there are such.
    if let Some(file) = top["because"][0].as_object_mut().filter(|because| because.contains_key("path")) {
        let digest = |value: Option<Value>| value.map(|v| v.as_str().map(str::len));
        let (old, new) = (digest(file.remove("old")), digest(file.remove("new")));
        let there = Some(Some(32));
        assert_eq!(
            (old, new),
            match file["how"].as_str() {
                Some("added") => (None, there),
                Some("removed") => (there, None),
                _ => (there, there),
            }
        );
    }
    assert_eq!((&top["state"], &top["because"]), (&json!("stale"), &json!([reason])));
    sandbox.run("explain top").exits(0).shows(explained);
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.started()[2..], *repeated);
    sandbox.expect("base=done top=done");
}

#[test]
fn a_task_that_passed_is_done() {
    let sandbox = stack();
    let top = sandbox.task("top");
    assert_eq!(
        (&top["because"], &top["attempt"]["outcome"], &top["attempt"]["number"]),
        (&json!([]), &json!("passed"), &json!(1))
    );
    sandbox.run("explain top").exits(0).shows("done");
}

#[test]
fn another_definition_makes_stale() {
    let reason = json!({ "kind": "changed", "what": "definition", "key": "run" });
    let change = |s: &Sandbox| s.edit("write top.txt ${word}", "write top.txt  '' write top.txt ${word}");
    check_stale(change, &reason, "run", &["top"]);
}

#[test]
fn another_value_of_a_variable_makes_stale() {
    let reason = json!({ "kind": "changed", "what": "variable", "name": "word", "old": "old", "new": "new" });
    check_stale(|s| s.edit("word = \"old\"", "word = \"new\""), &reason, "word", &["top"]);
}

#[test]
fn a_variable_set_for_once_makes_stale_and_counts_as_changed_afterwards() {
    let sandbox = stack();
    let of = |arguments: &str| crate::sandbox::states(&sandbox.run(arguments).exits(0).json())["top"].clone();
    assert_eq!(of("status --json --set word=new"), "stale");
    sandbox.run("p --set word=new").exits(0);
    assert_eq!(sandbox.read("top.txt"), "new");
    assert_eq!(
        (of("status --json --set word=new").as_str(), of("status --json").as_str()),
        ("done", "stale")
    );
}

#[test]
fn a_changed_input_makes_stale() {
    let reason = json!({ "kind": "changed", "what": "input", "path": "src/one", "how": "changed" });
    check_stale(|s| s.write("src/one", "other"), &reason, "src/one", &["top"]);
}

#[test]
fn a_new_input_makes_stale() {
    let reason = json!({ "kind": "changed", "what": "input", "path": "src/three", "how": "added" });
    check_stale(|s| s.write("src/three", ""), &reason, "src/three", &["top"]);
}

#[test]
fn a_removed_input_makes_stale() {
    let reason = json!({ "kind": "changed", "what": "input", "path": "src/two", "how": "removed" });
    check_stale(|s| s.remove("src/two"), &reason, "src/two", &["top"]);
}

#[test]
fn an_edited_artifact_makes_stale() {
    let reason = json!({ "kind": "changed", "what": "artifact", "path": "top.txt", "how": "changed" });
    check_stale(|s| s.write("top.txt", "by hand"), &reason, "top.txt", &["top"]);
}

#[test]
fn a_removed_artifact_makes_stale() {
    let reason = json!({ "kind": "changed", "what": "artifact", "path": "top.txt", "how": "removed" });
    check_stale(|s| s.remove("top.txt"), &reason, "top.txt", &["top"]);
}

#[test]
fn a_file_that_a_check_reads_makes_stale() {
    let reason = json!({ "kind": "changed", "what": "artifact", "path": "notes.md", "how": "changed" });
    check_stale(|s| s.write("notes.md", "other"), &reason, "notes.md", &["top"]);
}

#[test]
fn another_version_of_a_tool_makes_stale() {
    let change = |s: &Sandbox| {
        // Another program file: an untouched one is not asked again.
        s.remove_tool("tool");
        fs::copy(env!("CARGO_BIN_EXE_fake-tool"), s.bin("tool")).unwrap();
        s.tool("tool", "--version => out 'tool 2.0.0'");
    };
    let reason = json!({ "kind": "changed", "what": "tool", "name": "tool", "old": "1.0.0", "new": "2.0.0" });
    check_stale(change, &reason, "2.0.0", &["top"]);
}

#[test]
fn what_stands_on_a_stale_task_is_stale() {
    let sandbox = stack();
    sandbox.write("base/in", "other");
    sandbox.expect("base=stale top=stale");
    let because = &sandbox.task("top")["because"];
    assert_eq!((&because[0]["what"], &because[0]["name"]), (&json!("dependency"), &json!("base")));
    // The root is named wherever one looks.
    sandbox.run("explain top").exits(0).shows("base/in");
    sandbox.run("explain base").exits(0).shows("base/in");
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.started()[2..], ["base", "top"]);
    sandbox.expect("base=done top=done");
}

#[test]
fn a_dependency_that_was_done_again_alone_makes_stale() {
    let sandbox = stack();
    sandbox.write("base/in", "other");
    sandbox.run("p --task base").exits(0);
    sandbox.expect("base=done top=stale");
    let because = sandbox.task("top")["because"].clone();
    assert_eq!(
        because,
        json!([{ "kind": "changed", "what": "dependency", "name": "base", "how": "was done again, with another result" }])
    );
}

#[test]
fn a_dependency_that_was_done_again_with_the_same_result_changes_nothing() {
    let sandbox = stack();
    sandbox.run("p --force --task base").exits(0);
    assert_eq!(sandbox.started()[2..], ["base"]);
    sandbox.expect("base=done top=done");
}

#[test]
fn what_a_result_does_not_follow_from_leaves_it_done() {
    let sandbox = stack();
    sandbox.edit("title = \"Top\"", "title = \"Another\"\ntimeout = \"9m\"\nretry = { times = 2 }");
    // The same content once more: only the times of the file are new.
    sandbox.write("src/one", "src/one");
    sandbox.expect("base=done top=done");
}

#[test]
fn a_change_that_is_taken_back_leaves_it_done() {
    let sandbox = stack();
    sandbox.write("src/one", "other");
    sandbox.expect("base=done top=stale");
    sandbox.write("src/one", "src/one");
    sandbox.expect("base=done top=done");
}

#[test]
fn ignored_files_are_no_inputs() {
    let sandbox = stack();
    sandbox.write(".gitignore", "*.log\n");
    sandbox.write("src/build.log", "noise");
    sandbox.expect("base=done top=done");
}

#[test]
fn finished_work_never_becomes_blocked() {
    let sandbox = stack();
    sandbox.remove_tool("tool");
    sandbox.expect("base=done top=done");
    let evidence = sandbox.evidence();
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.evidence(), evidence);
}

#[test]
fn stale_work_that_cannot_be_done_again_stays_stale_and_says_why() {
    let sandbox = stack();
    sandbox.remove_tool("tool");
    sandbox.write("src/one", "other");
    sandbox.run("p").exits(3);
    let top = sandbox.task("top");
    assert_eq!(top["state"], "stale");
    let kinds: Vec<&Value> =
        top["because"].as_array().unwrap().iter().map(|reason| &reason["kind"]).collect();
    assert_eq!(kinds, ["changed", "prerequisite"]);
    assert_eq!(sandbox.started(), ["base", "top"]);
}

/// A task with these keys fails in this way.
#[track_caller]
fn check_failed(keys: &str, by: &str, what: &str, how: &str) {
    let sandbox = Sandbox::new(&format!("[[phase.task]]\nid = \"t\"\ntitle = \"T\"\n{keys}\n"));
    let said = sandbox.run("p").exits(1);
    said.says(how);
    let task = sandbox.task("t");
    assert_eq!(task["state"], "failed");
    let reason = &task["because"][0];
    assert_eq!((&reason["kind"], &reason["by"]), (&json!("failure"), &json!(by)), "{reason}");
    for (key, part) in [("what", what), ("how", how)] {
        assert!(reason[key].as_str().unwrap().contains(part), "`{part}` is not in {reason}");
    }
    sandbox.run("explain t").exits(0).shows(how);
    let log = task["attempt"]["log"].as_str().unwrap().to_owned();
    said.says(&log);
    assert!(sandbox.read(&log).contains(how), "{}", sandbox.read(&log));
}

#[test]
fn a_command_makes_it_fail() {
    check_failed(
        "run = [\"fake-tool exit 0\", \"fake-tool err 'no room' exit 7\"]",
        "command",
        "fake-tool err",
        "exit code 7",
    );
}

#[test]
fn a_missing_program_makes_it_fail() {
    check_failed(
        "run = \"no-such-tool x\"",
        "command",
        "no-such-tool x",
        "program `no-such-tool` is not on PATH",
    );
}

#[test]
fn a_signal_makes_it_fail() {
    check_failed("run = \"fake-tool signal 9\"", "command", "fake-tool signal 9", "signal 9");
}

#[test]
fn a_check_makes_it_fail() {
    let keys = "run = \"fake-tool write f one\"\ncheck = [{ file = \"f\", contains = 'two' }]";
    check_failed(keys, "check", "`f` contains `two`", "expected");
}

#[test]
fn a_measurement_makes_it_fail() {
    let keys =
        "measure = [{ name = \"size\", run = \"fake-tool out 600MB\", unit = \"bytes\", max = \"500MB\" }]";
    check_failed(keys, "measurement", "size", "expected at most 500 MB, found 600 MB");
}

#[test]
fn a_time_limit_makes_it_fail() {
    check_failed(
        "run = \"fake-tool hang\"\ntimeout = \"100ms\"",
        "timeout",
        "fake-tool hang",
        "time limit of 100 ms",
    );
}

#[test]
fn a_missing_artifact_makes_it_fail() {
    check_failed("artifacts = [\"dist/app\"]", "artifact", "`dist/app`", "is not there");
}

#[test]
fn a_capture_makes_it_fail() {
    let keys =
        "capture.port = { run = \"fake-tool out none\", regex = ':(\\d+)' }\nrun = \"fake-tool out ${port}\"";
    check_failed(keys, "capture", "fake-tool out ${port}", "matches");
}

#[test]
fn an_environment_file_makes_it_fail() {
    check_failed(
        "env_file = \"settings.env\"\nrun = \"fake-tool out x\"",
        "environment",
        "`settings.env`",
        "could not be read",
    );
}

#[test]
fn every_check_is_made_although_one_does_not_hold() {
    let sandbox = Sandbox::new(
        "[[phase.task]]\nid = \"t\"\ntitle = \"T\"\ncheck = [{ file = \"one\" }, { file = \"two\" }, { file = \"three\" }]\n",
    );
    sandbox.write("two", "");
    sandbox.run("p").exits(1);
    let checks = sandbox.task("t")["attempt"]["checks"].clone();
    let verdicts: Vec<&Value> = checks.as_array().unwrap().iter().map(|check| &check["verdict"]).collect();
    assert_eq!(verdicts, ["unmet", "met", "unmet"]);
}

#[test]
fn a_hint_says_what_to_do_about_a_failure() {
    let sandbox = Sandbox::new(
        r#"
        [[phase.task]]
        id = "t"
        title = "T"
        run = "fake-tool err 'dial tcp: no such host' exit 1"
        hint = [{ matches = 'timeout', say = "wait" }, { matches = 'no such host', say = "check the network" }]
        "#,
    );
    sandbox.run("p").exits(1).says("hint: check the network");
    assert_eq!(sandbox.task("t")["because"][0]["hint"], "check the network");
}

/// One task in each of the states that need no attempt.
const UNTRIED: &str = r#"
[prerequisite.tool]
program = "tool"
remedy.any = "install tool"

[vars]
mode = "local"

[[phase.task]]
id = "free"
title = "Free"

[[phase.task]]
id = "held"
title = "Held"
requires = ["tool"]

[[phase.task]]
id = "next"
title = "Next"
needs = ["held"]

[[phase.task]]
id = "last"
title = "Last"
needs = ["next", "free"]

[[phase.task]]
id = "both"
title = "Both"
needs = ["next"]
requires = ["tool"]

[[phase.task]]
id = "other"
title = "Other"
when = { mode = "cloud" }
run = "fake-tool write never x"
"#;

#[test]
fn blocked_waiting_ready_and_skipped_before_anything_ran() {
    let sandbox = Sandbox::new(UNTRIED);
    let wanted = "both=blocked free=ready held=blocked last=waiting next=waiting other=skipped";
    sandbox.expect(wanted);
    assert!(!sandbox.has(".xtask"), "looking writes nothing");
    sandbox.run("p").exits(3);
    sandbox.expect(&wanted.replace("free=ready", "free=done"));
    let summary = sandbox.status()["summary"].clone();
    let wanted = json!({ "total": 6, "done": 1, "stale": 0, "failed": 0, "interrupted": 0, "blocked": 2, "waiting": 2, "ready": 0, "skipped": 1 });
    assert_eq!(summary, wanted);
}

#[test]
fn a_blocked_task_names_the_prerequisite_the_verdict_and_the_remedy() {
    let sandbox = Sandbox::new(UNTRIED);
    let reason = json!({
        "kind": "prerequisite", "name": "tool", "verdict": "absent", "why": "`tool` is not on PATH", "remedy": "install tool",
    });
    assert_eq!(sandbox.task("held")["because"], json!([reason]));
    let explained = sandbox.run("explain held").exits(0);
    explained.shows("absent").shows("install tool");
}

#[test]
fn a_waiting_task_carries_the_chain_to_the_root() {
    let sandbox = Sandbox::new(UNTRIED);
    let because = sandbox.task("last")["because"].clone();
    let chain = json!([{ "task": "next", "state": "waiting" }, { "task": "held", "state": "blocked" }]);
    assert_eq!(because.as_array().unwrap().len(), 2, "{because}");
    assert_eq!((&because[0]["name"], &because[0]["chain"]), (&json!("next"), &chain));
    assert_eq!(because[0]["root"], "`tool`: absent (`tool` is not on PATH)");
    assert_eq!((&because[1]["name"], &because[1]["state"]), (&json!("free"), &json!("ready")));
    sandbox.run("explain last").exits(0).shows("next").shows("held").shows("install tool");
}

#[test]
fn a_task_that_is_both_blocked_and_waiting_says_its_own_cause_first() {
    let sandbox = Sandbox::new(UNTRIED);
    let both = sandbox.task("both");
    let kinds: Vec<&Value> =
        both["because"].as_array().unwrap().iter().map(|reason| &reason["kind"]).collect();
    assert_eq!(kinds, ["prerequisite", "task"]);
}

#[test]
fn a_false_condition_skips_and_says_why() {
    let sandbox = Sandbox::new(UNTRIED);
    sandbox.run("p").exits(3);
    assert_eq!(
        sandbox.task("other")["because"],
        json!([{ "kind": "condition", "why": "`mode` is `local`, not `cloud`" }])
    );
    assert!(!sandbox.has("never"));
    sandbox.run("p --task other --set mode=cloud").exits(0);
    assert!(sandbox.has("never"));
}

#[test]
fn a_condition_that_cannot_be_told_blocks() {
    let sandbox = Sandbox::new(
        r#"
        [fact.context]
        run = "kubectl config current-context"
        [[phase.task]]
        id = "t"
        title = "T"
        when = { context = "minikube" }
        "#,
    );
    sandbox.run("p").exits(3);
    let task = sandbox.task("t");
    assert_eq!((&task["state"], &task["because"][0]["kind"]), (&json!("blocked"), &json!("condition")));
    assert!(task["because"][0]["why"].as_str().unwrap().contains("`kubectl` is not on PATH"), "{task}");
    sandbox.tool("kubectl", "config current-context => out kind-dev");
    sandbox.expect("t=skipped");
    sandbox.tool("kubectl", "config current-context => out minikube");
    sandbox.expect("t=ready");
    sandbox.run("resume").exits(0);
    sandbox.expect("t=done");
}

#[test]
fn a_task_is_skipped_by_hand_with_a_reason_and_taken_up_again() {
    let sandbox = Sandbox::new(UNTRIED);
    sandbox.run("skip held --reason 'no tool this week'").exits(0);
    let held = sandbox.task("held");
    let reason = &held["because"][0];
    assert_eq!((&held["state"], &reason["kind"]), (&json!("skipped"), &json!("skipped")));
    assert_eq!((&reason["reason"], &reason["by"]), (&json!("no tool this week"), &json!("tester")));
    sandbox.run("explain held").exits(0).shows("no tool this week");
    // What needs it goes on without it.
    sandbox.run("p --task last").exits(0);
    sandbox.expect("both=blocked free=done held=skipped last=done next=done other=skipped");
    assert!(sandbox.read("STATUS.md").contains("no tool this week"));
    sandbox.run("forget held").exits(0);
    assert_eq!(sandbox.task("held")["state"], "blocked");
}

#[test]
fn a_skip_needs_a_reason_and_a_task() {
    let sandbox = Sandbox::new(UNTRIED);
    sandbox.run("skip held").exits(2).says("--reason");
    sandbox.run("skip held --reason ' '").exits(2).says("reason");
    sandbox.run("skip helt --reason x").exits(2).says("did you mean `held`?");
    assert!(!sandbox.has(".xtask/ledger.jsonl"));
}

#[test]
fn a_forgotten_task_was_never_done() {
    let sandbox = stack();
    sandbox.run("forget base --reason 'another machine'").exits(0);
    let states = sandbox.states();
    assert_eq!((states["base"].as_str(), states["top"].as_str()), ("ready", "stale"));
    sandbox.run("p").exits(0);
    // The result is the one that `top` stood on before.
    assert_eq!(sandbox.started()[2..], ["base"]);
    assert_eq!(sandbox.task("base")["attempt"]["number"], 2);
    sandbox.expect("base=done top=done");
}

#[test]
fn what_needs_a_failed_task_waits_and_names_the_root() {
    let sandbox = Sandbox::new(
        r#"
        [[phase.task]]
        id = "a"
        title = "A"
        run = "fake-tool exit 3"
        [[phase.task]]
        id = "b"
        title = "B"
        needs = ["a"]
        [[phase.task]]
        id = "c"
        title = "C"
        needs = ["b"]
        "#,
    );
    sandbox.run("p").exits(1);
    sandbox.expect("a=failed b=waiting c=waiting");
    let because = sandbox.task("c")["because"].clone();
    assert_eq!(
        because[0]["chain"],
        json!([{ "task": "b", "state": "waiting" }, { "task": "a", "state": "failed" }])
    );
    assert_eq!(because[0]["root"], "`fake-tool exit 3`: exit code 3");
}

#[test]
fn explain_takes_a_task_that_there_is() {
    let sandbox = Sandbox::new(UNTRIED);
    sandbox.run("explain helt").exits(2).says("there is no task `helt`").says("did you mean `held`?");
}
