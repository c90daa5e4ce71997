//! Reports in formats of test results: what servers read.

use std::process::Command;

use roxmltree::{Document, Node};

use crate::sandbox::Sandbox;

/// A task for each thing that may come of one. What the failed one prints has everything in it that XML and terminals
/// obey.
const PLAN: &str = r#"
[prerequisite.tool]
program = "tool"
remedy.any = "install <tool> & \"more\""

[[phase.task]]
id = "done"
title = "Done"
run = "fake-tool out 12"
measure = [{ name = "size", run = "fake-tool out 12", unit = "bytes", max = "1kB" }]

[[phase.task]]
id = "failed"
title = "Failed <i>&amp;</i>"
run = "fake-tool raw '\\e[31m]]></failure>\\0<x a=\"\\e]0;t\\e\\\\ \\r\\n' exit 3"

[[phase.task]]
id = "environment"
title = "No environment"
env_file = "missing.env"
run = "fake-tool out never"

[[phase.task]]
id = "blocked"
title = "Blocked"
requires = ["tool"]

[[phase.task]]
id = "waiting"
title = "Waiting"
needs = ["blocked"]

[[phase.task]]
id = "skipped"
title = "Skipped"
"#;

fn reported(format: &str) -> (Sandbox, String) {
    let sandbox = Sandbox::new(PLAN);
    sandbox.run("skip skipped --reason 'not now'").exits(0);
    sandbox.run("p").exits(1);
    sandbox.run(&format!("report --format {format} --out results")).exits(0);
    let text = sandbox.read("results");
    (sandbox, text)
}

/// The test case of a task.
#[track_caller]
fn case<'a>(document: &'a Document<'_>, id: &str) -> Node<'a, 'a> {
    let is_it = |node: &Node<'_, '_>| {
        node.has_tag_name("testcase") && node.attribute("name").is_some_and(|n| n.starts_with(id))
    };
    document.descendants().find(is_it).unwrap_or_else(|| panic!("no case {id}"))
}

#[test]
fn junit_has_a_case_for_each_task_with_what_came_of_it() {
    let (_, text) = reported("junit");
    let document = Document::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let results = ["skipped", "error", "failure"];
    for (id, wanted, kind, why) in [
        ("failed", "failure", "command", "exit code 3"),
        ("environment", "error", "environment", "missing.env"),
        ("blocked", "skipped", "blocked", "`tool`: absent"),
        ("waiting", "skipped", "waiting", "needs `blocked`"),
        ("skipped", "skipped", "skipped", "not now"),
    ] {
        let case = case(&document, id);
        let found: Vec<Node<'_, '_>> =
            case.children().filter(|node| results.contains(&node.tag_name().name())).collect();
        assert_eq!(found.len(), 1, "{id}\n{text}");
        assert_eq!((found[0].tag_name().name(), found[0].attribute("type")), (wanted, Some(kind)), "{id}");
        assert!(found[0].attribute("message").unwrap().contains(why), "{id}: {:?}", found[0]);
    }
    let done = case(&document, "done");
    assert!(!done.children().any(|node| results.contains(&node.tag_name().name())));
    assert!(done.attribute("time").is_some());
    let skipped = case(&document, "blocked").first_element_child().unwrap();
    let blocked = skipped.text().unwrap();
    assert!(blocked.contains("remedy: install <tool> & \"more\""), "{blocked}");
    let property = |name: &str| {
        let all = document.descendants().filter(|node| node.has_tag_name("property"));
        all.filter(|node| node.attribute("name") == Some(name)).find_map(|node| node.attribute("value"))
    };
    assert_eq!(property("done.size"), Some("12"));
    assert_eq!(property("done.size.unit"), Some("bytes"));
    assert_eq!(property("done.size.max"), Some("1000"));
    assert_eq!(property("done.size.within_limits"), Some("true"));
}

#[test]
fn junit_shows_what_a_hostile_task_printed_as_text() {
    let (_, text) = reported("junit");
    let document = Document::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let log = case(&document, "failed").children().find(|node| node.has_tag_name("system-out")).unwrap();
    assert!(log.text().unwrap().contains("]]></failure><x a=\""), "{text}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    assert!(case(&document, "failed").attribute("name").unwrap().ends_with("Failed <i>&amp;</i>"));
}

/// `xmllint` is there where the whole check runs; elsewhere the structure is checked by the tests of the format.
#[test]
fn junit_is_valid_against_the_schema() {
    let Ok(xmllint) = which::which("xmllint") else { return };
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/junit.xsd");
    let (sandbox, text) = reported("junit");
    let validate = |name: &str| {
        let output = Command::new(&xmllint)
            .args(["--noout", "--nonet", "--schema", schema])
            .arg(sandbox.path(name))
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (valid, said) = validate("results");
    assert!(valid, "{said}\n{text}");
    sandbox.write("odd", text.replacen(" tests=", " skipped=\"0\" tests=", 1));
    assert!(!validate("odd").0, "the schema allows everything");
}

#[test]
fn ctrf_has_the_same_tasks_in_its_own_words() {
    let (sandbox, text) = reported("ctrf");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let tests = report["results"]["tests"].as_array().unwrap();
    let told: Vec<(&str, &str)> =
        tests.iter().map(|t| (t["rawStatus"].as_str().unwrap(), t["status"].as_str().unwrap())).collect();
    let wanted = [
        ("done", "passed"),
        ("failed", "failed"),
        ("failed", "failed"),
        ("blocked", "pending"),
        ("waiting", "pending"),
        ("skipped", "skipped"),
    ];
    assert_eq!(told, wanted);
    let status = sandbox.status();
    for (test, task) in tests.iter().zip(status["tasks"].as_array().unwrap()) {
        let own = &test["extra"]["xtask.task"];
        assert_eq!((&own["id"], &own["measurements"]), (&task["id"], &task["measurements"]));
        assert_eq!(test["rawStatus"], task["state"]);
    }
    assert!(
        tests[1]["stdout"].as_array().unwrap().iter().any(|line| line == "]]></failure><x a=\" "),
        "{text}"
    );
}

#[test]
fn the_same_evidence_gives_the_same_results() {
    for format in ["junit", "ctrf"] {
        let (sandbox, first) = reported(format);
        assert_eq!(sandbox.run(&format!("report --format {format}")).exits(0).stdout, first);
        sandbox.run(&format!("report --format {format} --out results --check")).exits(0);
        sandbox.run("forget done").exits(0);
        sandbox.run(&format!("report --format {format} --out results --check")).exits(1);
    }
}
