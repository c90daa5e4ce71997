//! `run`: what runs, in which order, how often, and what it comes to.

use std::fs;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, processes_of};

/// Tasks with these keys, by id.
fn tasks(tasks: &[(&str, &str)]) -> String {
    let task =
        |(id, keys): &(&str, &str)| format!("[[phase.task]]\nid = \"{id}\"\ntitle = \"Task {id}\"\n{keys}\n");
    tasks.iter().map(task).collect()
}

fn one(keys: &str) -> Sandbox {
    Sandbox::new(&tasks(&[("t", keys)]))
}

// Exit codes.

#[test]
fn exit_0_if_all_is_done_or_skipped() {
    let sandbox =
        Sandbox::new(&tasks(&[("a", "run = \"fake-tool out x\""), ("b", "when = { os = \"windows\" }")]));
    sandbox.run("p").exits(0);
    sandbox.expect("a=done b=skipped");
    sandbox.run("run").exits(0);
}

const MIXED: &[(&str, &str)] =
    &[("bad", "run = \"fake-tool exit 1\""), ("held", "requires = [\"tool\"]"), ("good", "")];

fn mixed() -> Sandbox {
    Sandbox::new(&format!("[prerequisite.tool]\nprogram = \"tool\"\n{}", tasks(MIXED)))
}

#[test]
fn exit_1_if_something_failed_even_if_something_is_blocked() {
    let sandbox = mixed();
    sandbox.run("p").exits(1);
    sandbox.expect("bad=failed good=done held=blocked");
    sandbox.run("p --blocked-ok").exits(1);
}

#[test]
fn exit_3_if_something_is_blocked_unless_that_is_fine() {
    let sandbox = mixed();
    sandbox.run("p --task held --task good").exits(3);
    sandbox.run("p --task held --blocked-ok").exits(0);
    // Only what was asked for counts.
    sandbox.run("p --task good").exits(0);
}

#[test]
fn exit_2_if_the_call_is_wrong() {
    let sandbox = mixed();
    sandbox.run("p --task godd").exits(2).says("there is no task `godd`").says("did you mean `good`?");
    sandbox.run("p --phase mian").exits(2).says("did you mean `main`?");
    sandbox.run("stauts").exits(2).says("there is no command `stauts`").says("did you mean `status`?");
    sandbox.run("p --no-such-option").exits(2).says("--no-such-option");
    sandbox.run("p -j0").exits(2);
    sandbox.run("status --no-such-option").exits(2);
    sandbox.run("p --file nowhere.toml").exits(2).says("nowhere.toml");
    sandbox.run("p --set word").exits(2).says("--set name=value");
    assert!(!sandbox.has(".xtask"), "nothing was written");
}

#[test]
fn exit_2_without_a_pipeline() {
    let sandbox = Sandbox::empty();
    for call in ["status", "run", "p", "resume", "doctor", "list", "lint"] {
        sandbox.run(call).exits(2).says("pipeline.toml");
    }
}

#[test]
fn exit_4_if_the_report_cannot_be_written() {
    let sandbox = one("run = \"fake-tool append ran x\"");
    fs::create_dir(sandbox.path("STATUS.md")).unwrap();
    sandbox.run("p").exits(4).says("STATUS.md");
    // What was done is on record all the same.
    sandbox.expect("t=done");
    fs::remove_dir(sandbox.path("STATUS.md")).unwrap();
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.read("ran"), "x");
    assert!(sandbox.has("STATUS.md"));
}

#[test]
fn without_a_command_it_says_what_there_is() {
    one("").run("").exits(0).shows("Test").shows("p").shows("doctor");
}

// Where the pipeline is.

#[test]
fn the_file_is_found_upwards_and_its_folder_is_the_root() {
    let sandbox = one("run = \"fake-tool cwd write here x\"");
    fs::create_dir_all(sandbox.path("deep/er")).unwrap();
    let mut command = sandbox.command("p");
    command.current_dir(sandbox.path("deep/er"));
    sandbox.run_command(command).exits(0);
    assert!(sandbox.has("here") && sandbox.has(".xtask/ledger.jsonl") && sandbox.has("STATUS.md"));
}

#[test]
fn another_file_is_named_before_or_behind_the_command() {
    for call in ["--file other/plan.toml p", "p --file other/plan.toml"] {
        let sandbox = one("run = \"fake-tool write here x\"");
        let text = sandbox.read("pipeline.toml");
        sandbox.write("other/plan.toml", text);
        sandbox.remove("pipeline.toml");
        sandbox.run(call).exits(0);
        assert!(
            sandbox.has("other/here")
                && sandbox.has("other/.xtask/ledger.jsonl")
                && sandbox.has("other/STATUS.md")
        );
    }
}

// The same again.

#[test]
fn the_report_that_a_run_writes_is_no_input_of_its_tasks() {
    let sandbox = one("inputs = [\"**/*.md\"]\nrun = \"fake-tool append ran x\"");
    sandbox.write("README.md", "");
    sandbox.run("p").exits(0);
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.read("ran"), "x");
}

#[test]
fn the_same_command_again_runs_and_writes_nothing() {
    let sandbox = Sandbox::new(&format!(
        "[prerequisite.tool]\nprogram = \"tool\"\n[prerequisite.other]\nprogram = \"other\"\n{}",
        tasks(&[
            (
                "a",
                "requires = [\"other\"]\nrun = \"fake-tool append ran a\"\ncheck = [{ run = \"fake-tool out x\" }]"
            ),
            ("b", "needs = [\"a\"]\nrequires = [\"tool\"]"),
            ("c", "needs = [\"b\"]"),
        ])
    ));
    sandbox.tool("other", "--version => out 'other 1.0'");
    sandbox.run("p").exits(3);
    let evidence = sandbox.evidence();
    for call in ["p", "run", "resume", "p -j1"] {
        sandbox.run(call).exits(3);
        assert_eq!(sandbox.evidence(), evidence, "{call}");
    }
    sandbox.expect("a=done b=blocked c=waiting");
    assert_eq!(sandbox.read("ran"), "a");
    assert_eq!(sandbox.calls("other").len(), 1, "a tool of finished work is not asked again");
}

// Order.

#[test]
fn a_task_starts_after_all_that_it_needs() {
    let sandbox = Sandbox::new(&tasks(&[
        ("last", "needs = [\"left\", \"right\"]\nrun = \"fake-tool append trace last\""),
        ("left", "needs = [\"first\"]\nrun = \"fake-tool append trace side\""),
        ("right", "needs = [\"first\"]\nrun = \"fake-tool append trace side\""),
        ("first", "run = \"fake-tool append trace first\""),
    ]));
    sandbox.run("p -j4").exits(0);
    assert_eq!(sandbox.read("trace"), "firstsidesidelast");
}

#[test]
fn a_phase_waits_for_the_phases_that_it_needs() {
    let sandbox = Sandbox::new(&format!(
        "{}[[phase]]\nid = \"late\"\ntitle = \"Late\"\nneeds = [\"main\"]\n{}",
        tasks(&[("b", "run = \"fake-tool append trace b\"")]),
        tasks(&[("a", "run = \"fake-tool append trace a\"")]),
    ));
    sandbox.run("p -j4").exits(0);
    assert_eq!(sandbox.read("trace"), "ba");
    assert_eq!(sandbox.task("a")["needs"], json!(["b"]));
}

/// Two tasks that wait for each other: both are there at the same time, or neither ends.
fn rendezvous(more: &str) -> Sandbox {
    let keys = |own: &str, other: &str| {
        format!("run = \"fake-tool write {own} x wait {other}\"\ntimeout = \"20s\"\n{more}")
    };
    Sandbox::new(&tasks(&[("a", &keys("one", "two")), ("b", &keys("two", "one"))]))
}

#[test]
fn as_many_tasks_run_at_the_same_time_as_are_allowed() {
    rendezvous("").run("p -j2").exits(0);
}

#[test]
fn one_job_is_one_task_at_a_time() {
    let sandbox = rendezvous("timeout = \"50ms\"".replace("timeout", "grace").as_str());
    sandbox.edit("timeout = \"20s\"", "timeout = \"200ms\"");
    // The first to start waits in vain, the second finds it there.
    sandbox.run("p -j1").exits(1);
    sandbox.expect("a=failed b=done");
}

#[test]
fn tasks_with_the_same_lock_never_overlap() {
    let names = ["a", "b", "c", "d"];
    let keys = "lock = [\"other\", \"deployment\"]\nrun = \"worker go\"";
    let sandbox = Sandbox::new(&tasks(&names.map(|id| (id, keys))));
    sandbox.tool("worker", "@file inside go => err overlap exit 1\ngo => write ./inside x append ./trace in append ./trace out remove ./inside");
    sandbox.run("p -j4").exits(0);
    assert_eq!(fs::read_to_string(sandbox.bin("trace")).unwrap(), "inout".repeat(names.len()));
}

#[test]
fn a_task_that_waits_for_a_lock_does_not_hold_up_others() {
    let sandbox = Sandbox::new(&tasks(&[
        ("a", "lock = \"x\"\nrun = \"fake-tool wait free\"\ntimeout = \"20s\""),
        ("b", "lock = \"x\""),
        ("c", "run = \"fake-tool write free x\""),
    ]));
    sandbox.run("p -j2").exits(0);
}

// What is run.

#[test]
fn independent_work_goes_on_past_failures_and_blocks() {
    let sandbox = Sandbox::new(&format!(
        "[prerequisite.tool]\nprogram = \"tool\"\n{}",
        tasks(&[
            ("a", "run = \"fake-tool exit 1\""),
            ("b", "requires = [\"tool\"]"),
            ("c", "run = \"fake-tool out x\""),
            ("d", "needs = [\"c\"]")
        ])
    ));
    sandbox.run("p -j1").exits(1);
    sandbox.expect("a=failed b=blocked c=done d=done");
}

#[test]
fn fail_fast_starts_nothing_more() {
    let sandbox =
        Sandbox::new(&tasks(&[("a", "run = \"fake-tool exit 1\""), ("b", ""), ("c", "needs = [\"a\"]")]));
    sandbox.run("p -j1 --fail-fast").exits(1);
    sandbox.expect("a=failed b=ready c=waiting");
    sandbox.run("resume").exits(1);
    sandbox.expect("a=failed b=done c=waiting");
}

#[test]
fn a_task_is_chosen_with_what_it_needs() {
    let sandbox =
        Sandbox::new(&tasks(&[("a", ""), ("b", "needs = [\"a\"]"), ("c", "needs = [\"b\"]"), ("d", "")]));
    sandbox.run("p --task b").exits(0);
    sandbox.expect("a=done b=done c=ready d=ready");
    assert_eq!(sandbox.started(), ["a", "b"]);
}

#[test]
fn a_phase_is_chosen_with_what_it_needs() {
    let sandbox = Sandbox::new(&format!(
        "{}[[phase]]\nid = \"late\"\ntitle = \"Late\"\n{}",
        tasks(&[("a", ""), ("b", "")]),
        tasks(&[("c", "needs = [\"a\"]")]),
    ));
    sandbox.run("p --phase late").exits(0);
    sandbox.expect("a=done b=ready c=done");
}

#[test]
fn force_runs_again_what_was_asked_for_and_not_what_it_needs() {
    let sandbox = Sandbox::new(&tasks(&[("a", ""), ("b", "needs = [\"a\"]")]));
    sandbox.run("p").exits(0);
    sandbox.run("p --force --task b").exits(0);
    assert_eq!(sandbox.started(), ["a", "b", "b"]);
    sandbox.run("p --force").exits(0);
    assert_eq!(sandbox.started(), ["a", "b", "b", "a", "b"]);
}

#[test]
fn what_is_always_to_be_run_runs_whenever_it_is_asked_for() {
    let sandbox = Sandbox::new(&tasks(&[
        ("a", "always = true\nrun = \"fake-tool append ran x\""),
        ("b", "needs = [\"a\"]"),
    ]));
    sandbox.run("p").exits(0);
    sandbox.expect("a=done b=done");
    sandbox.run("p").exits(0);
    sandbox.run("p --task b").exits(0);
    assert_eq!(sandbox.read("ran"), "xx");
    assert_eq!(sandbox.started(), ["a", "b", "a"]);
}

#[test]
fn a_dry_run_shows_what_would_run_and_writes_nothing() {
    let sandbox = mixed();
    let shown = sandbox.run("p --dry-run").exits(3);
    shown.shows("would run 2 tasks").shows("fake-tool exit 1").shows("held").shows("`tool` is not on PATH");
    let json = sandbox.run("p --dry-run --json").exits(3).json();
    assert_eq!((&json["version"], &json["would_run"]), (&json!(1), &json!(["bad", "good"])));
    assert!(!sandbox.has(".xtask") && !sandbox.has("STATUS.md"));
}

// Variables.

#[test]
fn a_variable_is_set_in_the_file_the_environment_and_stronger_on_the_command_line() {
    let sandbox = Sandbox::new(&format!(
        "[vars]\nword = \"file\"\n{}",
        tasks(&[("t", "run = \"fake-tool append said ${word}.\"")])
    ));
    sandbox.run("p").exits(0);
    let with = |arguments: &str| {
        let mut command = sandbox.command(arguments);
        command.env("XTASK_VAR_word", "environment").env("XTASK_VAR_unknown", "for another pipeline");
        sandbox.run_command(command).exits(0);
    };
    with("p");
    with("p --set word=line");
    sandbox.run("p --set word=a=b").exits(0);
    assert_eq!(sandbox.read("said"), "file.environment.line.a=b.");
}

#[test]
fn a_variable_that_is_not_declared_cannot_be_set() {
    let sandbox = Sandbox::new(&format!(
        "[vars]\nword = \"file\"\n{}",
        tasks(&[("t", "run = \"fake-tool out ${word}\"")])
    ));
    sandbox.run("p --set wrod=x").exits(2).says("wrod").says("did you mean `word`?");
}

#[test]
fn the_environment_may_hold_values_for_other_pipelines() {
    let sandbox = one("run = \"fake-tool out x\"");
    for name in ["title", "run", "unknown"] {
        let mut command = sandbox.command("p");
        command.env(format!("XTASK_VAR_{name}"), "x");
        sandbox.run_command(command).exits(0);
    }
}

#[test]
fn a_variable_without_a_value_must_be_set() {
    let sandbox = Sandbox::new(&format!(
        "[vars]\nword = {{ doc = \"A word\" }}\n{}",
        tasks(&[("t", "run = \"fake-tool out ${word}\"")])
    ));
    sandbox.run("p").exits(2).says("`word` has no value").says("--set word=VALUE");
    sandbox.run("p --set word=x").exits(0);
}

#[test]
fn a_variable_takes_only_its_values() {
    let vars = "[vars]\nkeep = { default = \"false\", one_of = [\"true\", \"false\"] }\n";
    let sandbox = Sandbox::new(&format!("{vars}{}", tasks(&[("t", "")])));
    sandbox.run("p --set keep=maybe").exits(2).says("`keep` can't be `maybe`").says("`true` or `false`");
    sandbox.run("p --set keep=true").exits(0);
}

// An attempt.

#[test]
fn commands_run_in_order_and_the_first_that_fails_ends_the_attempt() {
    let sandbox =
        one("run = [\"fake-tool append trace 1\", \"fake-tool exit 4\", \"fake-tool append trace 2\"]");
    sandbox.run("p").exits(1);
    assert_eq!(sandbox.read("trace"), "1");
    let ended = &sandbox.events("task-ended")[0];
    let commands: Vec<(&Value, &Value)> =
        ended["commands"].as_array().unwrap().iter().map(|c| (&c["part"], &c["ended"])).collect();
    assert_eq!(commands, [(&json!("run"), &json!("exit code 0")), (&json!("run"), &json!("exit code 4"))]);
}

#[test]
fn the_log_has_both_streams_in_order() {
    let sandbox = one("run = [\"fake-tool out 1 err 2 out 3\", \"fake-tool out 4\"]");
    sandbox.run("p").exits(0);
    let log = sandbox.log("t");
    let said: Vec<&str> = log.lines().filter(|line| !line.starts_with(['$', '#'])).collect();
    assert_eq!(said, ["1", "2", "3", "4"], "{log}");
}

#[test]
fn the_last_lines_of_a_failure_are_shown_with_the_path_of_the_whole_log() {
    let sandbox = one("run = \"fake-tool flood 20000 err 'no space left' exit 2\"");
    let said = sandbox.run("p").exits(1);
    said.says("no space left").says(".xtask/logs/t-1-");
    assert!(said.stderr.lines().count() < 40, "only the last lines");
    assert!(sandbox.log("t").len() > 20_000);
}

#[test]
fn every_attempt_has_a_log_of_its_own() {
    let sandbox = one("run = \"fake-tool out x\"");
    for _ in 0..3 {
        sandbox.run("p --force").exits(0);
    }
    assert_eq!(fs::read_dir(sandbox.path(".xtask/logs")).unwrap().count(), 3);
    let logs: std::collections::BTreeSet<String> =
        sandbox.events("task-started").iter().map(|s| s["log"].to_string()).collect();
    assert_eq!(logs.len(), 3);
}

#[test]
fn a_failure_is_tried_again_as_often_as_said() {
    let sandbox = one(
        "run = \"tool go\"\nretry = { times = 2, delay = \"1ms\" }\nfinally = \"fake-tool append cleaned x\"",
    );
    sandbox.tool("tool", "@first 2 go => exit 1\ngo => exit 0");
    sandbox.run("p").exits(0);
    assert_eq!((sandbox.calls("tool").len(), sandbox.read("cleaned").as_str()), (3, "xxx"));
    assert_eq!(sandbox.events("task-ended")[0]["tries"], 3);
    assert!(sandbox.log("t").contains("try 2 failed"), "{}", sandbox.log("t"));
}

#[test]
fn tries_come_to_an_end() {
    let sandbox = one("run = \"tool go\"\nretry = { times = 1, delay = \"1ms\" }");
    sandbox.tool("tool", "go => exit 1");
    sandbox.run("p").exits(1);
    assert_eq!((sandbox.calls("tool").len(), &sandbox.events("task-ended")[0]["tries"]), (2, &json!(2)));
}

#[test]
fn a_time_limit_ends_everything_that_was_started() {
    let sandbox = one(
        "run = \"fake-tool session [ ready far hang ] child [ hang ] wait far hang\"\ntimeout = \"400ms\"\ngrace = \"5s\"",
    );
    sandbox.run("p").exits(1).says("time limit of 400 ms");
    let attempt = sandbox.events("task-started")[0]["attempt"].as_str().unwrap().to_owned();
    assert_eq!(processes_of(&attempt), [0; 0]);
}

#[test]
fn the_time_limit_of_the_pipeline_holds_for_tasks_without_one() {
    let sandbox = one("run = \"fake-tool hang\"");
    sandbox.edit("title = \"Test\"", "title = \"Test\"\ntimeout = \"100ms\"");
    sandbox.run("p").exits(1).says("time limit of 100 ms");
}

#[test]
fn a_child_that_is_left_behind_is_ended() {
    let sandbox = one("run = \"fake-tool child [ ready far mute hang ] wait far\"");
    sandbox.run("p").exits(0);
    let attempt = sandbox.events("task-started")[0]["attempt"].as_str().unwrap().to_owned();
    assert_eq!(processes_of(&attempt), [0; 0]);
    assert!(sandbox.log("t").contains("outlived"), "{}", sandbox.log("t"));
}

#[test]
fn finally_runs_whatever_happened() {
    for (run, code) in
        [("fake-tool out fine", 0), ("fake-tool exit 1", 1), ("fake-tool hang", 1), ("no-such-tool", 1)]
    {
        let finally = "finally = [\"fake-tool exit 9\", \"fake-tool append cleaned x\"]\ntimeout = \"300ms\"";
        let sandbox = one(&format!("run = \"{run}\"\n{finally}"));
        let said = sandbox.run("p").exits(code);
        assert_eq!(sandbox.read("cleaned"), "x", "{run}");
        // What went wrong while cleaning up is told and makes nothing fail.
        said.says("fake-tool exit 9").says("exit code 9");
    }
}

#[test]
fn teardown_runs_at_the_end_and_the_last_set_up_goes_first() {
    let sandbox = Sandbox::new(&tasks(&[
        ("a", "run = \"fake-tool append trace +a\"\nteardown = \"fake-tool append trace -a\""),
        (
            "b",
            "needs = [\"a\"]\nrun = \"fake-tool append trace +b\"\nteardown = \"fake-tool append trace -b\"",
        ),
        ("c", "needs = [\"b\"]\nrun = [\"fake-tool append trace c\", \"fake-tool exit 1\"]"),
    ]));
    sandbox.run("p").exits(1);
    assert_eq!(sandbox.read("trace"), "+a+bc-b-a");
    // Finished work stays finished, but nothing can stand on what is gone: it is set up once more.
    sandbox.expect("a=done b=done c=failed");
    sandbox.run("p").exits(1);
    assert_eq!(sandbox.read("trace"), "+a+bc-b-a".repeat(2));
    assert_eq!(sandbox.events("torn-down").len(), 4);
}

const KEEP: &str = r#"
[vars]
keep = "false"
[[phase.task]]
id = "a"
title = "A"
run = "fake-tool append trace +"
teardown = [{ when = { keep = "false" }, run = "fake-tool append trace -" }]
"#;

#[test]
fn teardown_does_not_run_if_its_condition_says_keep() {
    let sandbox = Sandbox::new(KEEP);
    sandbox.run("p --set keep=true").exits(0);
    assert_eq!(sandbox.read("trace"), "+");
    sandbox.run("p --force").exits(0);
    assert_eq!(sandbox.read("trace"), "++-");
}

#[test]
fn what_is_kept_can_be_stood_on_later() {
    let sandbox = Sandbox::new(KEEP);
    sandbox.run("p --set keep=true").exits(0);
    sandbox.edit("[vars]", "[[phase.task]]\nid = \"b\"\ntitle = \"B\"\nneeds = [\"a\"]\n[vars]");
    sandbox.run("p --set keep=true").exits(0);
    assert_eq!(
        (sandbox.read("trace").as_str(), sandbox.started()),
        ("+", vec!["a".to_owned(), "b".to_owned()])
    );
}

#[test]
fn what_was_torn_down_is_set_up_again_for_what_stands_on_it() {
    let sandbox = Sandbox::new(KEEP);
    sandbox.run("p").exits(0);
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.read("trace"), "+-");
    sandbox.edit("[vars]", "[[phase.task]]\nid = \"b\"\ntitle = \"B\"\nneeds = [\"a\"]\n[vars]");
    sandbox.run("p").exits(0);
    assert_eq!((sandbox.read("trace").as_str(), sandbox.started().join(" ")), ("+-+-", "a a b".to_owned()));
    sandbox.expect("a=done b=done");
}

#[test]
fn values_are_captured_when_they_are_needed_and_once() {
    let keys = r#"
    run = ["tool start", "fake-tool write said ${port}-${port}"]
    capture.port = { run = "tool port", regex = ':(\d+)' }
    capture.unused = { run = "tool unused" }
    check = [{ file = "said", contains = '8000' }, { run = "fake-tool out ${port}", contains = '^8000' }]
    finally = ["fake-tool write last ${port}"]
    "#;
    let sandbox = one(keys);
    sandbox.tool("tool", "start => exit 0\nport => out '127.0.0.1:8000'\nunused => exit 1");
    sandbox.run("p").exits(0);
    assert_eq!((sandbox.read("said").as_str(), sandbox.read("last").as_str()), ("8000-8000", "8000"));
    let calls: Vec<String> = sandbox.calls("tool").iter().map(|call| call.join(" ")).collect();
    assert_eq!(calls, ["start", "port"], "after the command before, once, and only what is used");
}

#[test]
fn the_first_capture_whose_condition_holds_is_taken() {
    let keys = r#"
    capture.url = [
      { when = { context = "minikube" }, run = "fake-tool out from-minikube" },
      { run = "fake-tool out from-elsewhere" },
    ]
    run = "fake-tool write url ${url}"
    "#;
    let sandbox =
        Sandbox::new(&format!("[fact.context]\nrun = \"kubectl context\"\n{}", tasks(&[("t", keys)])));
    for (context, url) in [("minikube", "from-minikube"), ("kind", "from-elsewhere")] {
        sandbox.tool("kubectl", &format!("context => out {context}"));
        sandbox.run("p --force").exits(0);
        assert_eq!(sandbox.read("url"), url);
    }
}

#[test]
fn a_command_runs_only_if_its_condition_holds() {
    let sandbox = Sandbox::new(&format!(
        "[vars]\nmode = \"one\"\n{}",
        tasks(&[(
            "t",
            "run = [{ when = { mode = \"one\" }, run = \"fake-tool append trace 1\" }, { when = { mode = { not = \"one\" } }, run = \"fake-tool append trace 2\" }]"
        )])
    ));
    sandbox.run("p").exits(0);
    sandbox.run("p --set mode=two").exits(0);
    assert_eq!(sandbox.read("trace"), "12");
}

#[test]
fn the_id_of_the_run_and_a_folder_of_its_own_are_known() {
    let sandbox = one("run = \"fake-tool write ${tmp}/file x write run ${run.id} write folder ${tmp}\"");
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.records()[0]["run"], sandbox.read("run"));
    assert!(!std::path::Path::new(&sandbox.read("folder")).exists(), "it goes away with the attempt");
}

#[test]
fn measurements_are_recorded_with_their_limits() {
    let keys = r#"
    run = [{ name = "nap", run = "fake-tool out x" }]
    measure = [
      { name = "size", run = "fake-tool out 498.5MB", unit = "bytes", max = "500MB" },
      { name = "replicas", run = "fake-tool out 'replicas: 3 of 3'", regex = 'replicas: (\d+)', unit = "count", min = 2 },
      { name = "memory", run = "fake-tool out '{\"pods\":[{\"m\":1000},{\"m\":2000}]}'", json = "pods[*].m", unit = "bytes" },
      { name = "nap", time = "nap", unit = "seconds", max = "1m" },
    ]
    "#;
    let next = "needs = [\"t\"]\nmeasure = [{ name = \"again\", from = \"t: size\", unit = \"bytes\", max = \"400MB\" }]";
    let sandbox = Sandbox::new(&tasks(&[("t", keys), ("u", next)]));
    sandbox.run("p").exits(1);
    let measured = sandbox.task("t")["measurements"].clone();
    let value = |i: usize| {
        (
            measured[i]["name"].as_str().unwrap(),
            measured[i]["value"].as_f64().unwrap(),
            &measured[i]["within_limits"],
        )
    };
    assert_eq!(
        [value(0), value(1), value(2)],
        [("size", 498.5e6, &json!(true)), ("replicas", 3.0, &json!(true)), ("memory", 3000.0, &json!(true))]
    );
    assert_eq!((&measured[0]["max"], &measured[3]["unit"]), (&json!(500e6), &json!("seconds")));
    // A number outside its limits is a measurement all the same.
    let over = sandbox.task("u");
    assert_eq!(
        (&over["state"], &over["measurements"][0]["within_limits"]),
        (&json!("failed"), &json!(false))
    );
    assert!(sandbox.read("STATUS.md").contains("498 MB"), "{}", sandbox.read("STATUS.md"));
}

#[test]
fn what_a_task_provides_is_asked_again_in_the_same_run() {
    let sandbox = Sandbox::new(&format!(
        "[prerequisite.engine]\nready = \"engine ready\"\n{}",
        tasks(&[
            ("start", "run = \"engine start\"\nprovides = [\"engine\"]"),
            ("use", "requires = [\"engine\"]"),
            ("more", "needs = [\"use\"]\nrequires = [\"engine\"]")
        ])
    ));
    sandbox.tool(
        "engine",
        "start => write ./started x\n@file started ready => exit 0\nready => err 'cannot connect' exit 1",
    );
    sandbox.run("p").exits(0);
    sandbox.expect("more=done start=done use=done");
    assert_eq!(sandbox.n_calls("engine", "ready"), 2);
    let verdicts: Vec<Value> =
        sandbox.events("probed").iter().map(|probed| probed["verdict"].clone()).collect();
    assert_eq!(verdicts, ["not running", "met"]);
}

#[test]
fn nothing_starts_twice_when_a_prerequisite_is_asked_again() {
    let sandbox = Sandbox::new(&format!(
        "[prerequisite.engine]\nready = \"engine ready\"\n{}",
        tasks(&[
            ("start", "run = [\"fake-tool wait under-way\", \"engine start\"]\nprovides = [\"engine\"]"),
            ("long", "lock = \"x\"\nrun = \"fake-tool write under-way x wait used\"\ntimeout = \"20s\""),
            ("use", "requires = [\"engine\"]\nrun = \"fake-tool write used x\""),
            ("same-lock", "lock = \"x\""),
            ("last", "needs = [\"long\", \"use\", \"same-lock\"]"),
        ])
    ));
    sandbox.tool("engine", "start => write ./started x\n@file started ready => exit 0\nready => exit 1");
    sandbox.run("p -j3").exits(0);
    let mut started = sandbox.started();
    started.sort();
    assert_eq!(started, ["last", "long", "same-lock", "start", "use"]);
}

#[test]
fn what_is_under_way_is_not_settled_when_its_prerequisite_is_gone() {
    let sandbox = Sandbox::new(&format!(
        "[prerequisite.engine]\nready = \"engine ready\"\n{}",
        tasks(&[
            ("stop", "run = [\"fake-tool wait under-way\", \"engine stop\"]\nprovides = [\"engine\"]"),
            (
                "long",
                "requires = [\"engine\"]\nrun = \"fake-tool write under-way x wait stopped\"\ntimeout = \"20s\""
            ),
            ("seen", "needs = [\"stop\"]\nrun = \"fake-tool write stopped x\""),
            ("last", "needs = [\"long\"]"),
        ])
    ));
    sandbox.tool("engine", "stop => write ./stopped x\n@file stopped ready => exit 1\nready => exit 0");
    sandbox.run("p -j3").exits(0);
    sandbox.expect("last=done long=done seen=done stop=done");
    assert_eq!(sandbox.started().len(), 4);
}

#[test]
fn what_was_torn_down_is_set_up_again_for_what_a_provided_prerequisite_releases() {
    let sandbox = Sandbox::new(&format!(
        "[prerequisite.engine]\nready = \"engine ready\"\n{}",
        tasks(&[
            ("setup", "run = \"engine setup\"\nteardown = \"engine teardown\""),
            ("start", "run = \"engine start\"\nprovides = [\"engine\"]"),
            ("use", "needs = [\"setup\"]\nrequires = [\"engine\"]\nrun = \"engine use\""),
        ])
    ));
    sandbox.tool(
        "engine",
        "start => write ./started x\n@file started ready => exit 0\nready => exit 1\n\
         setup => write ./there x\nteardown => remove ./there\n@file there use => exit 0\nuse => exit 1",
    );
    sandbox.run("p --task setup").exits(0);
    sandbox.run("p -j1").exits(0);
    assert_eq!(sandbox.started(), ["setup", "start", "setup", "use"]);
}

#[test]
fn what_finished_work_made_is_looked_at_before_something_stands_on_it() {
    let sandbox = Sandbox::new(&tasks(&[
        ("image", "run = \"engine build\"\ncheck = [{ run = \"engine image\", contains = 'sha256' }]"),
        ("deploy", "needs = [\"image\"]\ninputs = [\"chart\"]\nrun = \"engine deploy\""),
    ]));
    sandbox.tool("engine", "build => write ./image x\n@file image image => out sha256:1\nimage => exit 1\n@file image deploy => exit 0\ndeploy => exit 1");
    sandbox.write("chart", "1");
    sandbox.run("p").exits(0);
    // Removed by hand. While nothing is about to stand on it nobody asks.
    fs::remove_file(sandbox.bin("image")).unwrap();
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.n_calls("engine", "image"), 1);
    sandbox.write("chart", "2");
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.started(), ["image", "deploy", "image", "deploy"]);
    assert_eq!(sandbox.events("drifted").len(), 1);
    sandbox.expect("deploy=done image=done");
    // It is still there: nothing is done again for the next change.
    sandbox.write("chart", "3");
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.started()[4..], ["deploy"]);
}

// Environment.

#[test]
fn a_task_has_its_environment_and_its_directory() {
    let keys = r#"
    env = { GREETING = "hello ${word}" }
    env_file = "settings.env"
    plain = ["PLAIN"]
    cwd = "sub"
    run = "tool go"
    "#;
    let sandbox = Sandbox::new(&format!("[vars]\nword = \"a  b\"\n{}", tasks(&[("t", keys)])));
    sandbox.tool("tool", "record GREETING PLAIN QUOTED HOME\ngo => cwd");
    sandbox.write("settings.env", "# comment\nPLAIN=as it is\nexport QUOTED=\"in quotes\"\n");
    sandbox.write("sub/file", "");
    sandbox.run("p").exits(0);
    let call: Value = serde_json::from_str(&fs::read_to_string(sandbox.bin("tool.calls")).unwrap()).unwrap();
    assert_eq!(
        (&call["env"]["GREETING"], &call["env"]["PLAIN"], &call["env"]["QUOTED"]),
        (&json!("hello a  b"), &json!("as it is"), &json!("in quotes"))
    );
    assert!(call["cwd"].as_str().unwrap().ends_with("/repo/sub"), "{call}");
}

#[test]
fn secrets_are_masked_wherever_they_turn_up() {
    let keys = r#"
    env_file = "secrets.env"
    secret = ["TOKEN"]
    shell = "sh"
    run = "fake-tool out before-$PASSWORD-after err $TOKEN; exit 5"
    "#;
    let sandbox = one(keys);
    sandbox.link("sh");
    sandbox.write("secrets.env", "PASSWORD=correct-horse-battery\n");
    let mut command = sandbox.command("p");
    command.env("TOKEN", "tok-0123456789abcdef");
    let said = sandbox.run_command(command).exits(1);
    let everything = [
        said.stderr,
        said.stdout,
        sandbox.log("t"),
        sandbox.read(".xtask/ledger.jsonl"),
        sandbox.read("STATUS.md"),
        sandbox.status().to_string(),
    ];
    for text in everything {
        assert!(!text.contains("correct-horse-battery") && !text.contains("tok-0123456789abcdef"), "{text}");
    }
    assert!(sandbox.log("t").contains("before-"), "{}", sandbox.log("t"));
}

#[test]
fn timings_are_a_trace_of_our_own_phases_and_of_each_task() {
    let sandbox = Sandbox::new(&tasks(&[("a", "run = \"fake-tool\""), ("b", "run = \"fake-tool\"")]));
    sandbox.run("p --timings trace.json").exits(0);
    let trace: Value = serde_json::from_str(&sandbox.read("trace.json")).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let named = |kind: &str| -> Vec<&str> {
        let of_kind = events.iter().filter(|event| event["cat"] == kind);
        of_kind.map(|event| event["name"].as_str().unwrap()).collect()
    };
    let mut tasks = named("task");
    tasks.sort_unstable();
    assert_eq!(tasks, ["a", "b"]);
    for phase in ["read the plan", "read the ledger", "observe", "work", "tell"] {
        assert!(named("phase").contains(&phase), "{phase}");
    }
    let work = events.iter().find(|event| event["name"] == "work").unwrap();
    let within = |event: &&Value| {
        let (from, took) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
        let begun = work["ts"].as_f64().unwrap();
        event["ph"] == "X" && from >= begun && from + took <= begun + work["dur"].as_f64().unwrap()
    };
    assert!(events.iter().filter(|event| event["cat"] == "task").all(|event| within(&event)));
    sandbox.run("p --timings nowhere/trace.json").exits(4).says("nowhere/trace.json");
}
