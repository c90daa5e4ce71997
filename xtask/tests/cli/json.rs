//! What programs read: every looking command as JSON, versioned.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const PLAN: &str = r#"
[prerequisite.tool]
program = "tool"
remedy.any = "install tool"

[[phase.task]]
id = "a"
title = "A"
run = "fake-tool out said-by-a"
measure = [{ name = "size", run = "fake-tool out 12", unit = "bytes" }]

[[phase.task]]
id = "b"
title = "B"
needs = ["a"]
requires = ["tool"]
"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(PLAN);
    sandbox.run("p").exits(3);
    sandbox
}

#[test]
fn every_looking_command_prints_versioned_json_and_nothing_else() {
    let sandbox = sandbox();
    let calls = [
        ("status --json", 0),
        ("doctor --json", 3),
        ("list --json", 0),
        ("graph --json", 0),
        ("graph --json --by phase --focus a", 0),
        ("explain b --json", 0),
        ("log a --json", 0),
        ("report --format json", 0),
        ("history --json", 0),
        ("history a --json", 0),
        ("diff last last --json", 0),
        ("evidence verify --json", 0),
        ("p --json", 3),
        ("run --json", 3),
        ("resume --json", 3),
        ("p --dry-run --json", 3),
    ];
    for (call, code) in calls {
        let json = sandbox.run(call).exits(code).json();
        assert_eq!(json["version"], 1, "{call}");
        assert!(json.is_object());
    }
}

#[test]
fn looking_writes_nothing() {
    let sandbox = Sandbox::new(PLAN);
    for (call, code) in [
        ("status", 0),
        ("doctor", 3),
        ("list", 0),
        ("graph", 0),
        ("graph --format dot", 0),
        ("graph --format svg --by phase --focus b", 0),
        ("explain b", 0),
        ("report", 0),
        ("history", 0),
        ("evidence verify", 0),
        ("lint", 0),
    ] {
        sandbox.run(call).exits(code);
        assert!(!sandbox.has(".xtask") && !sandbox.has("STATUS.md"), "{call}");
    }
}

#[test]
fn status_has_the_published_shape() {
    let sandbox = sandbox();
    let status = sandbox.status();
    let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    for key in [
        "version",
        "pipeline",
        "summary",
        "tasks",
        "prerequisites",
        "gates",
        "criteria",
        "deliverables",
        "risks",
    ] {
        assert!(keys(&status).contains(&key.to_owned()), "{key}");
    }
    assert_eq!(status["pipeline"], json!({ "id": "p", "title": "Test" }));
    for key in ["id", "phase", "title", "state", "because", "measurements", "attempt"] {
        assert!(keys(&status["tasks"][0]).contains(&key.to_owned()), "{key}");
    }
    let row = json!({ "name": "tool", "verdict": "absent", "why": "`tool` is not on PATH", "remedy": "install tool", "releases": 1 });
    for (key, value) in row.as_object().unwrap() {
        assert_eq!(&status["prerequisites"][0][key], value, "{key}");
    }
    let counts = status["summary"].as_object().unwrap();
    let total: u64 = counts.iter().filter(|(key, _)| *key != "total").map(|(_, n)| n.as_u64().unwrap()).sum();
    assert_eq!(counts["total"], total);
}

#[test]
fn no_object_says_a_key_twice() {
    let sandbox = Sandbox::new("[[phase.task]]\nid = \"a\"\ntitle = \"A\"\nrun = \"fake-tool exit 1\"\n");
    sandbox.run("p").exits(1);
    // A map with preserved order would keep the last: it is looked for in the text.
    let text = sandbox.run("status --json").exits(0).stdout;
    let because = &text[text.find("\"because\"").unwrap()..text.find("\"needs\"").unwrap()];
    assert_eq!(because.matches("\"kind\"").count(), 1, "{because}");
}

#[test]
fn a_run_tells_as_json_what_status_tells() {
    let sandbox = sandbox();
    sandbox.write("pipeline.toml", sandbox.read("pipeline.toml").replace("said-by-a", "said-again"));
    let told = sandbox.run("p --json").exits(3).json();
    let status = sandbox.status();
    assert_eq!((&told["summary"], &told["tasks"]), (&status["summary"], &status["tasks"]));
    assert_eq!(told["prerequisites"], status["prerequisites"]);
}

#[test]
fn a_graph_has_every_task_and_every_need() {
    let graph = sandbox().run("graph --json").exits(0).json();
    let ids: Vec<&Value> = graph["nodes"].as_array().unwrap().iter().map(|node| &node["id"]).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(graph["edges"], json!([{ "from": "a", "to": "b" }]));
    sandbox().run("graph").exits(0).shows("flowchart");
    sandbox().run("graph --format dot").exits(0).shows("digraph");
    sandbox().run("graph --format svg").exits(0).shows("<svg ");
    let phases = sandbox().run("graph --json --by phase").exits(0).json();
    assert_eq!((&phases["nodes"][0]["tasks"]["total"], &phases["edges"]), (&json!(2), &json!([])));
}

#[test]
fn a_graph_can_be_drawn_around_a_task() {
    let graph = sandbox().run("graph --json --focus a").exits(0).json();
    assert_eq!(graph["focus"], "a");
    sandbox().run("graph --focus c").exits(2).says("`c`");
}

#[test]
fn a_list_has_what_is_declared() {
    let sandbox = sandbox();
    let list = sandbox.run("list --json").exits(0).json();
    assert_eq!(
        (&list["tasks"][1]["needs"], &list["tasks"][1]["requires"]),
        (&json!(["a"]), &json!(["tool"]))
    );
    assert_eq!(list["tasks"][0]["run"], json!(["fake-tool out said-by-a"]));
    sandbox.run("list").exits(0).shows("Main").shows("a").shows("b");
}

#[test]
fn a_log_has_what_was_printed_and_where_it_is() {
    let sandbox = sandbox();
    let log = sandbox.run("log a --json").exits(0).json();
    assert_eq!((&log["task"], &log["number"], &log["outcome"]), (&json!("a"), &json!(1), &json!("passed")));
    assert!(log["text"].as_str().unwrap().contains("said-by-a"));
    assert_eq!(sandbox.read(log["path"].as_str().unwrap()), log["text"].as_str().unwrap());
    sandbox.run("log b").exits(2).says("has not been tried yet");
}
