//! `evidence verify`: records and logs that were edited, removed or reordered are found and named.

use std::fs;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, kill, until};

const LEDGER: &str = ".xtask/ledger.jsonl";

const PLAN: &str = r#"
[[phase.task]]
id = "a"
title = "A"
run = "fake-tool out said-by-a"

[[phase.task]]
id = "b"
title = "B"
needs = ["a"]
run = "fake-tool out said-by-b"
teardown = "fake-tool out taken-down"
"#;

fn ran() -> Sandbox {
    let sandbox = Sandbox::new(PLAN);
    sandbox.run("p").exits(0);
    sandbox
}

fn verify(sandbox: &Sandbox, code: i32) -> Value {
    sandbox.run("evidence verify --json").exits(code).json()
}

/// What is found, each as `what line task`.
fn found(sandbox: &Sandbox) -> Vec<String> {
    let verified = verify(sandbox, 1);
    assert_eq!(verified["intact"], false);
    let word = |finding: &Value| {
        let part = |key: &str| finding.get(key).map(|v| format!(" {}", v.to_string().trim_matches('"')));
        [Some(finding["what"].as_str().unwrap().to_owned()), part("line"), part("task"), part("path")]
            .into_iter()
            .flatten()
            .collect()
    };
    verified["findings"].as_array().unwrap().iter().map(word).collect()
}

/// Writes the ledger with other lines.
fn tamper(sandbox: &Sandbox, change: impl Fn(&mut Vec<String>)) {
    let mut lines: Vec<String> = sandbox.read(LEDGER).lines().map(str::to_owned).collect();
    change(&mut lines);
    sandbox.write(LEDGER, lines.iter().map(|line| format!("{line}\n")).collect::<String>());
}

fn logs(sandbox: &Sandbox) -> Vec<String> {
    let entries = fs::read_dir(sandbox.path(".xtask/logs")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| format!(".xtask/logs/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    names.sort();
    names
}

#[test]
fn evidence_as_it_was_recorded_is_intact() {
    let sandbox = ran();
    sandbox.run("p --force").exits(0);
    sandbox.run("skip a --reason x").exits(0);
    sandbox.run("forget a").exits(0);
    let verified = verify(&sandbox, 0);
    assert_eq!(
        (&verified["version"], &verified["intact"], &verified["findings"]),
        (&json!(1), &json!(true), &json!([]))
    );
    assert_eq!(verified["records"], sandbox.records().len());
    // Two attempts at each task, and the teardown of one.
    assert_eq!(verified["logs"], json!({ "intact": 6, "pruned": 0, "open": 0 }));
    sandbox.run("evidence verify").exits(0).shows("nothing was edited, removed or reordered");
}

#[test]
fn nothing_on_record_is_intact() {
    let sandbox = Sandbox::new(PLAN);
    let verified = verify(&sandbox, 0);
    assert_eq!((&verified["records"], &verified["head"]), (&json!(0), &Value::Null));
    assert!(!sandbox.has(".xtask"), "looking writes nothing");
}

#[test]
fn a_record_that_was_tampered_with_is_named() {
    // Lines: 1 run-started, 2 and 3 a, 4 and 5 b, 6 torn-down, 7 run-ended.
    type Tamper = fn(&mut Vec<String>);
    let table: &[(Tamper, &[&str])] = &[
        (
            |lines| lines[2] = lines[2].replace(r#""outcome":"passed""#, r#""outcome":"failed""#),
            &["edited 3 a"],
        ),
        (|lines| lines.swap(3, 4), &["reordered 4 b"]),
        (|lines| lines.insert(5, lines[1].clone()), &["duplicated 6 a"]),
        (|lines| lines[4] = "{}".to_owned(), &["unreadable 5"]),
        (|lines| drop(lines.remove(5)), &["removed 6", "log-unknown LOG"]),
    ];
    for (change, wanted) in table {
        let sandbox = ran();
        tamper(&sandbox, change);
        let found: Vec<String> = found(&sandbox)
            .into_iter()
            .map(|text| {
                text.split(" .xtask/logs")
                    .next()
                    .map(|t| if t == text { t.to_owned() } else { format!("{t} LOG") })
                    .unwrap()
            })
            .collect();
        assert_eq!(found, *wanted);
    }
}

#[test]
fn a_cut_off_end_is_found_by_its_head_only() {
    let sandbox = ran();
    let head = verify(&sandbox, 0)["head"].as_str().unwrap().to_owned();
    let evidence = json!({ "records": 7, "head": head });
    assert_eq!(sandbox.status()["evidence"], evidence);
    assert_eq!(sandbox.run("report --format json").exits(0).json()["evidence"], evidence);
    sandbox.run("p --force").exits(0);
    let anchored = sandbox.run(&format!("evidence verify --json --head {head}")).exits(0).json();
    assert_eq!((&anchored["anchor"]["seq"], &anchored["anchor"]["after"]), (&json!(7), &json!(7)));
    sandbox.run(&format!("evidence verify --head {head}")).exits(0).shows("is on line 7; 7 records after it");
    // The second run and the end of the first, as if they had never been.
    tamper(&sandbox, |lines| lines.truncate(6));
    for log in &logs(&sandbox) {
        if log.contains("-2-") {
            sandbox.remove(log);
        }
    }
    assert_eq!(verify(&sandbox, 0)["intact"], true, "the chain alone does not tell");
    let lost = sandbox.run(&format!("evidence verify --json --head {head}")).exits(1).json();
    assert_eq!(
        (&lost["findings"][0]["what"], &lost["anchor"]["seq"]),
        (&json!("head-unknown"), &Value::Null)
    );
    sandbox.run("evidence verify --head 12").exits(2).says("`12` is not a digest");
}

#[test]
fn a_log_that_was_tampered_with_is_named() {
    let sandbox = ran();
    let [a, b, down] = &logs(&sandbox)[..] else { panic!("three logs") };
    sandbox.write(a, sandbox.read(a).replace("said-by-a", "said-by-b"));
    sandbox.remove(b);
    sandbox.write(down, "");
    sandbox.write(".xtask/logs/foreign.log", "");
    let wanted = [
        format!("log-altered 3 a {a}"),
        format!("log-missing 5 b {b}"),
        format!("log-altered 6 b {down}"),
        "log-unknown .xtask/logs/foreign.log".to_owned(),
    ];
    assert_eq!(found(&sandbox), wanted);
    sandbox.run("evidence verify").exits(1).shows("log missing").shows("4 findings");
}

#[test]
fn an_unfinished_last_line_is_found_until_a_run_heals_it() {
    let sandbox = ran();
    sandbox.write(LEDGER, format!("{}{{\"v\":1,", sandbox.read(LEDGER)));
    assert_eq!(found(&sandbox), ["unfinished 8"]);
    sandbox.run("p --force").exits(0);
    verify(&sandbox, 0);
}

#[test]
fn a_run_that_was_killed_leaves_no_flaw() {
    let sandbox = Sandbox::new(
        "[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrun = \"fake-tool exit 0\"\nteardown = \"worker go\"\n",
    );
    sandbox.tool("worker", "@file hold go => ready here hang\n* => exit 0");
    fs::write(sandbox.bin("hold"), "").unwrap();
    let running = sandbox.start("p");
    until("it is taken down", || sandbox.has("here"));
    // The log of the teardown is there and not on record: neither now nor after the kill is that a flaw.
    assert_eq!(logs(&sandbox).len(), 2);
    verify(&sandbox, 0);
    kill(running.pid, libc::SIGKILL);
    running.ended().ends_by(libc::SIGKILL);
    fs::remove_file(sandbox.bin("hold")).unwrap();
    verify(&sandbox, 0);
    sandbox.run("p").exits(0);
    assert_eq!(logs(&sandbox).len(), 3);
    assert_eq!(verify(&sandbox, 0)["logs"], json!({ "intact": 2, "pruned": 0, "open": 0 }));
}

#[test]
fn evidence_is_verified_whatever_the_file_says() {
    let sandbox = ran();
    sandbox.write("pipeline.toml", "[pipeline\n");
    verify(&sandbox, 0);
    sandbox.remove("pipeline.toml");
    sandbox.run("evidence verify").exits(2);
}

#[test]
fn a_ledger_that_cannot_be_read_is_an_error_of_its_own() {
    let sandbox = Sandbox::new(PLAN);
    fs::create_dir_all(sandbox.path(LEDGER)).unwrap();
    sandbox.run("evidence verify").exits(4).says(LEDGER);
}

/// Attempts of `t` in order: `+` passes, `-` fails.
fn attempts(sandbox: &Sandbox, all: &str) {
    for how in all.chars() {
        sandbox.tool("tool", if how == '+' { "* => exit 0" } else { "* => exit 1" });
        sandbox.run("p --force").exits(i32::from(how == '-'));
    }
}

/// Numbers of the attempts whose logs are there.
fn kept(sandbox: &Sandbox) -> String {
    let number = |log: &String| log.rsplit('-').nth(1).unwrap().parse::<u32>().unwrap();
    let mut numbers: Vec<u32> =
        logs(sandbox).iter().filter(|log| !log.contains("-teardown-")).map(number).collect();
    numbers.sort_unstable();
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn keeping(keep: &str) -> Sandbox {
    let sandbox = Sandbox::new(
        "[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrun = \"tool\"\nteardown = \"fake-tool out down\"\n",
    );
    sandbox.edit("title = \"Test\"\n", &format!("title = \"Test\"\n{keep}"));
    sandbox
}

#[test]
fn logs_of_older_attempts_are_removed_on_record() {
    let sandbox = keeping("keep = 2\n");
    attempts(&sandbox, "++");
    assert_eq!((kept(&sandbox).as_str(), sandbox.events("logs-pruned").len()), ("1 2", 0));
    attempts(&sandbox, "+");
    let first: Vec<Value> = sandbox.events("task-started").iter().map(|e| e["log"].clone()).take(1).collect();
    let pruned = &sandbox.events("logs-pruned")[0];
    assert_eq!((&pruned["keep"], &pruned["logs"][0]), (&json!(2), &first[0]));
    assert_eq!(pruned["logs"][1], sandbox.events("torn-down")[0]["log"], "teardown goes with its attempt");
    attempts(&sandbox, "---");
    assert_eq!(kept(&sandbox), "3 5 6", "the last two, and the last that passed");
    let verified = verify(&sandbox, 0);
    assert_eq!(verified["logs"], json!({ "intact": 6, "pruned": 6, "open": 0 }));
    sandbox.run("log t").exits(0);
    // What is on record does not cover up for what somebody else removed.
    sandbox.remove(&logs(&sandbox)[0].clone());
    assert!(found(&sandbox)[0].starts_with("log-missing"));
    attempts(&sandbox, "+++");
    assert_eq!(found(&sandbox).len(), 1);
}

#[test]
fn ten_attempts_keep_their_logs_if_nothing_is_said() {
    let sandbox = keeping("");
    attempts(&sandbox, "++++++++++++");
    assert_eq!(kept(&sandbox), "3 4 5 6 7 8 9 10 11 12");
}

#[test]
fn nothing_but_logs_on_record_is_removed() {
    let sandbox = keeping("keep = 1\n");
    sandbox.write("precious", "x");
    sandbox.write(".xtask/logs/mine.log", "x");
    attempts(&sandbox, "+");
    // Somebody else's ledger may name any file as a log.
    for name in ["precious", "../precious", ".xtask/logs/../../precious", ".xtask/ledger.jsonl"] {
        tamper(&sandbox, |lines| {
            lines[1] = lines[1].replace(&log_of(&lines[1]), name);
        });
        attempts(&sandbox, "++");
        assert!(
            sandbox.has("precious") && sandbox.has(LEDGER) && sandbox.has(".xtask/logs/mine.log"),
            "{name}"
        );
    }
}

fn log_of(line: &str) -> String {
    serde_json::from_str::<Value>(line).unwrap()["event"]["log"].as_str().unwrap().to_owned()
}

#[test]
fn a_log_that_was_to_be_removed_when_the_run_was_killed_goes_with_the_next() {
    let sandbox = keeping("keep = 1\n");
    attempts(&sandbox, "+");
    let first = logs(&sandbox);
    let texts: Vec<String> = first.iter().map(|log| sandbox.read(log)).collect();
    attempts(&sandbox, "+");
    let records = sandbox.events("logs-pruned").len();
    for (log, text) in first.iter().zip(texts) {
        sandbox.write(log, text);
    }
    verify(&sandbox, 0);
    attempts(&sandbox, "+");
    assert!(!first.iter().any(|log| sandbox.has(log)));
    assert_eq!(sandbox.events("logs-pruned").len(), records + 1, "what is on record is not recorded again");
    assert_eq!(sandbox.events("logs-pruned")[1]["logs"].as_array().unwrap().len(), 2);
}
