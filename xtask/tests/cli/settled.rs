//! Doing nothing fast: when a run may take over what the one before found, and when it must not.

use serde_json::Value;

use crate::sandbox::{Sandbox, until};

const PLAN: &str = r#"
[pipeline]
id = "p"
title = "Test"

[vars]
word = "one"

[[phase]]
id = "main"
title = "Main"

[[phase.task]]
id = "a"
title = "A"
inputs = ["in.txt", "src/**"]
artifacts = ["out.txt"]
run = ["fake-tool write out.txt ${word}"]

[[phase.task]]
id = "b"
title = "B"
needs = ["a"]
check = [{ file = "out.txt", contains = "one" }]
"#;

/// The same words each time: what a run vouches for is for the same call.
const CALL: &str = "p --timings trace.json";

/// True if the run looked at what the one before had asked, and at nothing else.
fn is_short(sandbox: &Sandbox) -> bool {
    sandbox.run(CALL).exits(0);
    let trace: Value = serde_json::from_str(&sandbox.read("trace.json")).unwrap();
    trace["traceEvents"].as_array().unwrap().iter().all(|event| event["name"] != "read the plan")
}

/// Everything is done, and a run has found so. A file that was just written may change again without its times
/// showing it, so it takes some runs until one can vouch for it.
fn settled(sandbox: &Sandbox) {
    until("a run vouches for what it found", || is_short(sandbox));
}

fn project(plan: &str) -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.write("pipeline.toml", plan);
    sandbox.write("in.txt", "1");
    sandbox.write("src/x.txt", "1");
    sandbox.write(".env", "TOKEN=hunter2-hunter2\n");
    sandbox.run("p").exits(0);
    sandbox
}

#[test]
fn a_run_that_finds_nothing_to_do_says_the_same_without_reading_anything() {
    let sandbox = project(PLAN);
    let whole = sandbox.run("p").exits(0);
    whole.says("2 of 2 tasks done; nothing was run");
    let records = sandbox.records().len();
    settled(&sandbox);
    let short = sandbox.run(CALL).exits(0);
    assert_eq!((short.stdout, short.stderr), (whole.stdout, whole.stderr));
    assert_eq!(sandbox.records().len(), records);
}

#[test]
fn whatever_changes_is_found() {
    let sandbox = project(PLAN);
    type Change<'t> = (&'t str, &'t dyn Fn(&Sandbox), &'t [&'t str]);
    let changes: [Change<'_>; 6] = [
        ("an input", &|s| s.write("in.txt", "2"), &["a", "b"]),
        ("a file that a pattern matches", &|s| s.write("src/x.txt", "2"), &["a", "b"]),
        ("a file that a pattern matches now", &|s| s.write("src/y.txt", "1"), &["a", "b"]),
        ("an artifact", &|s| s.remove("out.txt"), &["a"]),
        ("a rule of git", &|s| s.write(".gitignore", "y.txt\n"), &["a", "b"]),
        ("the plan", &|s| s.edit("out.txt\", contains", "./out.txt\", contains"), &["b"]),
    ];
    for (what, change, ran) in changes {
        settled(&sandbox);
        let before = sandbox.started().len();
        change(&sandbox);
        sandbox.run(CALL).exits(0);
        assert_eq!(&sandbox.started()[before..], ran, "{what}");
    }
    settled(&sandbox);
    let before = sandbox.started().len();
    sandbox.run(&format!("--set word=two {CALL}")).exits(1);
    assert_eq!(&sandbox.started()[before..], ["a", "b"], "a variable of the call");
    sandbox.run(CALL).exits(0);
    settled(&sandbox);
    let mut command = sandbox.command(CALL);
    command.env("XTASK_VAR_word", "two");
    sandbox.run_command(command).exits(1);
}

#[test]
fn what_somebody_else_recorded_is_found() {
    let sandbox = project(PLAN);
    settled(&sandbox);
    sandbox.run("forget b").exits(0);
    let before = sandbox.started().len();
    sandbox.run(CALL).exits(0);
    assert_eq!(&sandbox.started()[before..], ["b"]);
}

#[test]
fn what_can_not_be_read_is_no_obstacle() {
    let sandbox = project(PLAN);
    settled(&sandbox);
    let path = sandbox.path(".xtask/settled");
    let whole = std::fs::read(&path).unwrap();
    for broken in [&whole[..whole.len() - 1], &whole[1..], b"", b"nonsense that is longer than a digest"] {
        std::fs::write(&path, broken).unwrap();
        assert!(!is_short(&sandbox));
        sandbox.run(CALL).exits(0).says("2 of 2 tasks done; nothing was run");
    }
}

/// Neither a report nor a question to a program can be vouched for by looking at files.
#[test]
fn only_what_files_can_tell_is_taken_over() {
    let plans = [
        "[[gate]]\ntitle = \"G\"\ncheck = [{ run = \"fake-tool\" }]\n",
        "[[phase.task]]\nid = \"c\"\ntitle = \"C\"\nwhen = { says = \"no\" }\nrun = \"fake-tool\"\n[fact.says]\nrun = \"fake-tool out yes\"\n",
        "[[phase.task]]\nid = \"c\"\ntitle = \"C\"\nrun = \"fake-tool\"\nenv_file = \".env\"\n",
    ];
    let report = PLAN.replace("title = \"Test\"\n", "title = \"Test\"\nreport = \"STATUS.md\"\n");
    for plan in plans.map(|more| format!("{PLAN}\n{more}")).into_iter().chain([report]) {
        let sandbox = project(&plan);
        // The ledger is the youngest file; when it can be vouched for, everything else can be.
        until("the ledger is old enough", || {
            let age = std::fs::metadata(sandbox.path(".xtask/ledger.jsonl")).unwrap().modified().unwrap();
            age.elapsed().unwrap_or_default() > std::time::Duration::from_secs(3)
        });
        sandbox.run("p").exits(0);
        assert!(!sandbox.has(".xtask/settled"), "{plan}");
    }
}
