//! The report: a pure function of the evidence, in the order of the hand-written one.

use std::fs;

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// Sections of the hand-written report that this one takes the place of, in its order.
const SECTIONS: &[&str] = &[
    "Executive Summary",
    "Completed Work",
    "Blocked Tasks",
    "Next Steps",
    "Gates",
    "Deliverables Summary",
    "Risk Assessment",
    "Recommendations",
    "Success Criteria Status",
    "Conclusion",
    "Task Graph",
];

const PLAN: &str = r#"
[prerequisite.tool]
program = "tool"
remedy.any = "install tool"

[[phase.task]]
id = "T1"
title = "Build | <b>it</b>"
run = "fake-tool write app.txt 12345"
artifacts = ["app.txt"]
measure = [{ name = "app size", size = "app.txt", unit = "bytes", max = "1kB" }]

[[phase.task]]
id = "T2"
title = "Deploy it"
needs = ["T1"]
requires = ["tool"]
run = "tool deploy"
estimate = "4m"

[[phase.task]]
id = "T3"
title = "Watch it"
needs = ["T2"]

[[gate]]
title = "There is a licence"
check = [{ file = "LICENSE" }]

[[gate]]
title = "It is deployed"
tasks = ["T2"]

[[criterion]]
title = "Small"
target = "< 1 kB"
measure = "T1: app size"

[[criterion]]
title = "Up"
target = "always"
tasks = ["T3"]

[[deliverable]]
title = "The application"
files = "app.*"
count = 1
tasks = ["T1"]

[[deliverable]]
title = "The manual"
files = "manual/*"

[[risk]]
title = "It does not deploy"
tasks = ["T2"]
mitigation = "T2 tries it"
"#;

fn reported() -> Sandbox {
    let sandbox = Sandbox::new(PLAN);
    sandbox.write("LICENSE", "");
    sandbox.run("p").exits(3);
    sandbox
}

fn headings(report: &str) -> Vec<&str> {
    report.lines().filter_map(|line| line.strip_prefix("## ")).collect()
}

/// The text of a section.
#[track_caller]
fn section<'a>(report: &'a str, heading: &str) -> &'a str {
    let start = report.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let rest = &report[start + 4..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

#[test]
fn sections_stand_in_the_known_order() {
    let sandbox = reported();
    let report = sandbox.read("STATUS.md");
    assert_eq!(headings(&report), SECTIONS);
    assert_eq!(report.lines().filter(|line| line.starts_with("# ")).collect::<Vec<_>>(), ["# Test"]);
}

#[test]
fn every_section_says_what_the_evidence_says() {
    let report = reported().read("STATUS.md");
    let wanted = [
        ("Executive Summary", &["1 of 3", "tool", "install tool"][..]),
        ("Completed Work", &["[x] T1", "5 B", "app.txt"]),
        ("Blocked Tasks", &["[ ] T2", "[ ] T3", "absent"]),
        ("Next Steps", &["install tool", "cargo xtask resume"]),
        ("Gates", &["There is a licence", "It is deployed"]),
        ("Deliverables Summary", &["The application", "The manual"]),
        ("Risk Assessment", &["It does not deploy", "T2 tries it"]),
        ("Success Criteria Status", &["| Small | \\< 1 kB | 5 B |", "| Up |"]),
        ("Conclusion", &["4 min"]),
    ];
    for (heading, parts) in wanted {
        let text = section(&report, heading);
        for part in parts {
            assert!(
                text.contains(part) || text.contains(&part.replace('\\', "")),
                "`{part}` is not in {text}"
            );
        }
    }
    assert!(report.contains("Build \\| \\<b>it"), "what comes from outside is escaped");
}

#[test]
fn standings_follow_from_evidence() {
    let sandbox = reported();
    let status = sandbox.status();
    let standings = |key: &str| -> Vec<Value> {
        status[key].as_array().unwrap().iter().map(|row| row["standing"].clone()).collect()
    };
    assert_eq!(standings("gates"), ["met", "pending"]);
    assert_eq!(standings("criteria"), ["met", "pending"]);
    assert_eq!(standings("deliverables"), ["met", "unmet"]);
    assert_eq!(
        (&status["risks"][0]["level"], &status["criteria"][0]["values"]),
        (&json!("medium"), &json!(["5 B"]))
    );
    sandbox.remove("LICENSE");
    sandbox.tool("tool", "--version => out 1.0.0\ndeploy => exit 1");
    sandbox.run("p").exits(1);
    let status = sandbox.status();
    let standings = |key: &str| -> Vec<Value> {
        status[key].as_array().unwrap().iter().map(|row| row["standing"].clone()).collect()
    };
    assert_eq!(
        (standings("gates"), &status["risks"][0]["level"]),
        (vec![json!("unmet"), json!("unmet")], &json!("high"))
    );
    assert!(headings(&sandbox.read("STATUS.md")).contains(&"Failed Tasks"));
}

#[test]
fn equal_evidence_gives_equal_bytes() {
    let sandbox = reported();
    let written = sandbox.read("STATUS.md");
    assert_eq!(sandbox.run("report").exits(0).stdout, written);
    assert_eq!(sandbox.run("report --format markdown").exits(0).stdout, written);
    // Whatever this machine has meanwhile: nothing is asked of it.
    sandbox.tool("tool", "--version => out 1.0.0\ndeploy => exit 0");
    assert_eq!(sandbox.run("report").exits(0).stdout, written);
    assert_eq!(sandbox.calls("tool").len(), 0);
    // Elsewhere, from the same ledger and the same files.
    let other = Sandbox::new(PLAN);
    for name in ["LICENSE", "app.txt", ".xtask/ledger.jsonl"] {
        other.write(name, sandbox.read(name));
    }
    assert_eq!(other.run("report").exits(0).stdout, written);
    // The date is that of the evidence.
    let as_of = sandbox.records().iter().rev().find(|record| record["kind"] != "run-ended").unwrap()["at"]
        .to_string();
    assert!(written.contains(&as_of[1..11]), "{as_of}");
}

#[test]
fn a_report_is_written_to_where_it_is_wanted() {
    let sandbox = reported();
    sandbox.run("report --out other.md").exits(0);
    assert_eq!(sandbox.read("other.md"), sandbox.read("STATUS.md"));
    sandbox.run("report --out no/such/folder.md").exits(4).says("no/such/folder.md");
    sandbox.run("report --format xml").exits(2).says("markdown");
    sandbox.remove("STATUS.md");
    sandbox.run("p").exits(3);
    assert!(sandbox.has("STATUS.md"), "a report that is gone is written again");
}

#[test]
fn the_report_as_json_is_what_status_says() {
    let sandbox = reported();
    let report = sandbox.run("report --format json").exits(0).json();
    assert_eq!(report, sandbox.status());
}

#[test]
fn a_project_brings_its_own_template() {
    let sandbox = reported();
    sandbox.edit("report = \"STATUS.md\"", "report = \"STATUS.md\"\ntemplate = \"own.j2\"");
    sandbox.write("own.j2", "{{ summary.done }} of {{ summary.total }}: {{ tasks[0].title }}\n");
    sandbox.run("p").exits(3);
    let report = sandbox.read("STATUS.md");
    assert!(report.starts_with("1 of 3: Build"), "{report}");
    sandbox.write("own.j2", "{{ no_such_thing }}");
    sandbox.run("report").exits(4).says("own.j2");
}

#[test]
fn a_pipeline_without_a_report_writes_none() {
    let sandbox = reported();
    sandbox.remove("STATUS.md");
    sandbox.edit("report = \"STATUS.md\"\n", "");
    sandbox.run("p").exits(3);
    let names: Vec<_> = fs::read_dir(sandbox.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.iter().any(|name| name.ends_with(".md")), "{names:?}");
}

#[test]
fn a_report_that_claims_too_much_is_found() {
    let sandbox = reported();
    sandbox.run("report --check").exits(0);
    let claims = sandbox.read("STATUS.md").replace("- [ ] T2", "- [x] T2");
    sandbox.write("STATUS.md", &claims);
    let found = sandbox.run("report --check").exits(1);
    assert!(found.stdout.contains("-- [x] T2"), "{}", found.stdout);
    assert!(found.stdout.contains("+- [ ] T2"), "{}", found.stdout);
    assert_eq!(sandbox.read("STATUS.md"), claims, "checking writes nothing");
}

/// Commits everything as it is.
fn commit(sandbox: &Sandbox) {
    for arguments in ["init -q", "add -A", "commit -q -m x"] {
        let mut git = std::process::Command::new("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@t"]).args(arguments.split(' '));
        sandbox.confine(&mut git);
        git.env("PATH", std::env::var_os("PATH").unwrap());
        assert!(git.status().unwrap().success(), "{arguments}");
    }
}

#[test]
fn the_report_says_what_is_new_since_the_committed_one() {
    let sandbox = Sandbox::new(PLAN);
    sandbox.link("git");
    sandbox.write(".gitignore", ".xtask\n");
    sandbox.run("p").exits(3);
    assert!(!sandbox.read("STATUS.md").contains("Since the report before"), "there is none");
    commit(&sandbox);
    let committed = sandbox.read("STATUS.md");
    // Nothing is new: the committed report is left as it is.
    sandbox.run("p").exits(3);
    assert_eq!(sandbox.read("STATUS.md"), committed);
    sandbox.run("report --check").exits(0);

    sandbox.tool("tool", "* => out 1.0");
    sandbox.run("p").exits(0);
    let text = sandbox.read("STATUS.md");
    assert!(text.contains("- newly done: T2, T3\n- released: T2, T3\n"), "{text}");
    sandbox.run("report --check").exits(0);
    // Committing a report changes nothing about it.
    let written = sandbox.evidence();
    commit(&sandbox);
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.evidence(), written);
    // The next one compares with it.
    sandbox.run("skip T3 --reason later").exits(0);
    sandbox.run("p --task T1 --force").exits(0);
    let text = sandbox.read("STATUS.md");
    assert!(text.contains("Since the report before") && !text.contains("newly done"), "{text}");
}

#[test]
fn a_point_that_the_ledger_never_was_at_is_not_compared_with() {
    let sandbox = Sandbox::new(PLAN);
    sandbox.link("git");
    sandbox.run("p").exits(3);
    commit(&sandbox);
    fs::remove_dir_all(sandbox.path(".xtask")).unwrap();
    sandbox.run("p").exits(3);
    assert!(!sandbox.read("STATUS.md").contains("Since the report before"));
    sandbox.run("report --check").exits(0);
}

#[test]
fn a_report_that_claims_too_much_is_refused_from_exported_evidence() {
    let sandbox = Sandbox::new(PLAN);
    sandbox.run("p").exits(3);
    sandbox.run("report --format json --out evidence.json").exits(0);
    let report = sandbox.read("STATUS.md");
    // Elsewhere there is no ledger.
    fs::remove_dir_all(sandbox.path(".xtask")).unwrap();
    sandbox.run("report --check --from evidence.json").exits(0);
    sandbox.write("STATUS.md", report.replace("- [ ] T2: Deploy it", "- [x] T2: Deploy it"));
    let told = sandbox.run("report --check --from evidence.json").exits(1);
    told.shows("-- [x] T2: Deploy it").shows("+- [ ] T2: Deploy it").shows("@@ -");
    assert!(sandbox.run("report --from evidence.json").exits(0).stdout == report);
    let lines = told.stdout.lines().count();
    assert!(lines < 12, "only what differs is shown, not {lines} lines");

    let edit = |old: &str, new: &str| {
        let text = sandbox.read("evidence.json");
        sandbox.write("other.json", text.replacen(old, new, 1));
        sandbox.run("report --check --from other.json").exits(2)
    };
    edit("\"version\": 1", "\"version\": 2").says("version 2, and this program reads version 1");
    edit("\"id\": \"p\"", "\"id\": \"q\"").says("it is about `q`, not `p`");
    edit("{", "[").says("report --format json --out FILE");
    sandbox.run("report --check --from nowhere.json").exits(2).says("`nowhere.json`");
}
