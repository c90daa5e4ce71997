//! The contract about JSON: `docs/output.schema.json` describes every output, and nothing that it has promised goes away
//! without a new version.
//!
//! Every output that any test here reads as JSON is checked against the schema: see [`check`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};

use clap::CommandFactory as _;
use serde_json::{Map, Value, json};
use xtask::check::data::{from_json, schema};
use xtask::status::VERSION;

use crate::faults::{as_anybody, permit};
use crate::sandbox::Sandbox;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/output.schema.json");

/// The command that adds what is new to the list of promises.
const RENEW: &str = "XTASK_RENEW=1 cargo test --workspace --features test-tools contract";

static PUBLISHED: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&fs::read_to_string(SCHEMA).unwrap()).unwrap());

/// What a schema has against a value; nothing if it is valid.
fn violations(schema: &Value, value: &Value) -> Option<String> {
    match schema::validate(&from_json(value.clone(), &Arc::from("output")), schema) {
        schema::Verdict::Valid => None,
        schema::Verdict::Invalid(all) => {
            Some(format!("{}: expected {}, found {}", all[0].path, all[0].expected, all[0].found))
        }
        schema::Verdict::Unknown(why) => Some(format!("the schema {why}")),
    }
}

/// A part of the schema as a schema of its own.
fn part(schema: &Value) -> Value {
    let mut own = schema.as_object().unwrap().clone();
    own.insert("$defs".to_owned(), PUBLISHED["$defs"].clone());
    Value::Object(own)
}

/// The shape whose keys an output has.
fn shape(value: &Value) -> Option<&'static str> {
    let keys = |schema: &Value| schema["properties"].as_object().unwrap().keys().cloned().collect();
    let own: BTreeSet<String> = value.as_object()?.keys().cloned().collect();
    shapes().into_iter().max_by_key(|name| {
        let known: BTreeSet<String> = keys(&PUBLISHED["$defs"][name]);
        // The one that has most of them, and of these the one that has least besides.
        (own.intersection(&known).count(), usize::MAX - known.len())
    })
}

fn shapes() -> Vec<&'static str> {
    let all = PUBLISHED["oneOf"].as_array().unwrap().iter();
    all.map(|one| one["$ref"].as_str().unwrap().strip_prefix("#/$defs/").unwrap()).collect()
}

/// Asserts that an output is one of the published shapes.
#[track_caller]
pub fn check(output: &Value) {
    let Some(shape) = shape(output) else { panic!("an output has to be an object: {output:#}") };
    let problem =
        violations(&json!({ "$ref": format!("#/$defs/{shape}"), "$defs": PUBLISHED["$defs"] }), output);
    if let Some(problem) = problem.or_else(|| violations(&PUBLISHED, output)) {
        panic!(
            "an output is not what docs/output.schema.json says about `{shape}`: {problem}\n\
             A new key belongs there, with what it means; then run: {RENEW}\n{output:#}"
        );
    }
}

/// Marks which properties of the schema have a value in an output.
fn visit(schema: &Value, place: &str, value: &Value, seen: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        return visit(PUBLISHED.pointer(&name[1..]).unwrap(), name, value, seen);
    }
    for kind in ["oneOf", "anyOf"] {
        for (i, branch) in schema[kind].as_array().into_iter().flatten().enumerate() {
            if violations(&part(branch), value).is_none() {
                visit(branch, &format!("{place}/{kind}/{i}"), value, seen);
            }
        }
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        let property = format!("{place}/properties/{key}");
        if let Some(schema) = schema["properties"].get(key) {
            if !inner.is_null() {
                seen.insert(property.clone());
            }
            visit(schema, &property, inner, seen);
        } else if schema["additionalProperties"].is_object() {
            visit(&schema["additionalProperties"], &format!("{place}/additionalProperties"), inner, seen);
        }
    }
    for item in value.as_array().into_iter().flatten() {
        visit(&schema["items"], &format!("{place}/items"), item, seen);
    }
}

/// Every object of the schema, with its place.
fn objects(schema: &'static Value, place: &str, out: &mut Vec<(String, &'static Map<String, Value>)>) {
    match schema {
        Value::Object(entries) => {
            if entries.get("properties").is_some_and(Value::is_object) {
                out.push((place.to_owned(), entries));
            }
            entries.iter().for_each(|(key, inner)| objects(inner, &format!("{place}/{key}"), out));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, inner)| objects(inner, &format!("{place}/{i}"), out));
        }
        _ => {}
    }
}

fn all_objects() -> Vec<(String, &'static Map<String, Value>)> {
    let mut out = Vec::new();
    objects(&PUBLISHED, "#", &mut out);
    out
}

#[test]
fn every_object_is_closed_and_every_key_explained() {
    let all = all_objects();
    assert!(all.len() > 30, "the objects are not where this test looks for them");
    for (place, object) in all {
        assert_eq!(object["additionalProperties"], false, "{place}");
        assert!(object["description"].is_string(), "{place}");
        for required in object["required"].as_array().unwrap() {
            assert!(object["properties"].get(required.as_str().unwrap()).is_some(), "{place}: {required}");
        }
        for (key, property) in object["properties"].as_object().unwrap() {
            let of_reference = property["$ref"].as_str().and_then(|name| PUBLISHED.pointer(&name[1..]));
            let explained =
                property["description"].as_str().or(of_reference.and_then(|s| s["description"].as_str()));
            assert!(explained.is_some_and(|text| text.ends_with('.')), "{place}: {key} is not explained");
        }
    }
    for name in PUBLISHED["$defs"].as_object().unwrap().keys() {
        assert!(PUBLISHED.to_string().contains(&format!("\"#/$defs/{name}\"")), "nobody refers to `{name}`");
    }
    assert_eq!(PUBLISHED["$defs"]["version"]["const"], VERSION, "the schema is about another version");
}

/// Everything that JSON tells of: each reason, verdict and kind of check, each part of a report.
const EVERYTHING: &str = r#"
[vars]
word = "old"

[prerequisite.tool]
title = "a tool"
program = "tool"
version = ">=1"

[prerequisite.gone]
program = "gone"
remedy.any = "install gone"

[[phase.task]]
id = "base"
title = "Base"
inputs = ["base/**"]
run = [{ name = "making", run = "fake-tool write base.txt x" }]
artifacts = ["base.txt"]
capture.port = { run = "fake-tool out 80" }
measure = [{ name = "size", run = "fake-tool out 12", unit = "bytes", min = "1B", max = "1kB" }]

[[phase.task]]
id = "top"
title = "Top"
needs = ["base"]
requires = ["tool"]
inputs = ["src/**"]
run = "fake-tool write top.txt ${word}"
artifacts = ["top.txt"]

[[phase.task]]
id = "image"
title = "Image"
run = "tool build"
check = [{ run = "tool image", contains = "sha256" }, { file = "LICENSE" }]

[[phase.task]]
id = "deploy"
title = "Deploy"
needs = ["image"]
inputs = ["chart"]

[[phase.task]]
id = "bad"
title = "Bad"
check = [{ git = "ignored", paths = "LICENSE" }, { run = "no-such-tool" }]
hint = [{ matches = "", say = "look at it" }]
estimate = "20m"

[[phase.task]]
id = "blocked"
title = "Blocked"
requires = ["gone"]
estimate = "4m"
owner = "platform"
link = "https://example.org/1"

[[phase.task]]
id = "waiting"
title = "Waiting"
needs = ["blocked"]

[[phase.task]]
id = "slow"
title = "Slow"
run = "tool slow"
check = [{ run = "tool there" }]
finally = ["tool there"]
measure = [{ name = "size", size = "amount", unit = "bytes" }]

[[phase.task]]
id = "elsewhere"
title = "Elsewhere"
when = { word = "other" }

[[phase.task]]
id = "skipped"
title = "Skipped"

[[phase.task]]
id = "long"
title = "Long"
run = "fake-tool ready here hang"

[[gate]]
title = "There is a licence"
check = [{ git = "not ignored", paths = "LICENSE" }]
tasks = ["blocked"]

[[criterion]]
title = "Small"
target = "< 1 kB"
measure = "base: size"
tasks = ["blocked"]

[[deliverable]]
group = "Files"
title = "The licence"
files = "LICENSE"
tasks = ["blocked"]

[[risk]]
title = "It is late"
tasks = ["blocked"]
mitigation = "start early"
"#;

fn git(sandbox: &Sandbox, arguments: &str) {
    let mut command = Command::new(which::which("git").unwrap());
    sandbox.confine(&mut command);
    command.args(["-c", "user.name=t", "-c", "user.email=t@t"]).args(arguments.split(' '));
    assert!(command.stdout(Stdio::null()).status().unwrap().success(), "git {arguments}");
}

/// Every command that prints JSON, in situations in which together they say everything that they can say.
fn outputs() -> Vec<(String, Value)> {
    let sandbox = Sandbox::new(EVERYTHING);
    let mut out = Vec::new();
    let mut ask = |call: &str, code: i32| {
        let output = sandbox.run(call).exits(code).json();
        out.push((call.to_owned(), output));
    };
    sandbox.link("git");
    let engine = "--version => out 'tool 1.2.0'\nbuild => write ./image x\n@file image image => out sha256:1\nimage => exit 1\n@file ./slow slow => sleep 1300\nslow => write ./slow x\nthere => exit 0";
    sandbox.tool("tool", engine);
    for name in ["base/in", "src/one", "src/two", "chart", "LICENSE"] {
        sandbox.write(name, name);
    }
    git(&sandbox, "init -q -b main");
    git(&sandbox, "add LICENSE");
    git(&sandbox, "commit -q -m first");
    sandbox.run("skip skipped --reason 'not now'").exits(0);
    ask("status --json", 0);
    ask("run --dry-run --json", 3);

    // A check that does not hold, one that can't be told, and a task that runs until it is told to stop.
    let mut here = sandbox.fifo("here");
    let running = sandbox.start("run");
    here.pid();
    ask("status --json", 0);
    running.signal(libc::SIGINT);
    running.ended().exits(130).says("stopping");
    ask("run --task bad --json", 1);
    ask("explain bad --json", 0);
    ask("explain waiting --json", 0);
    ask("log bad --json", 0);
    ask("doctor --json", 3);
    ask("doctor --assume gone --json", 3);
    ask("explain blocked --json", 0);

    // Everything that may be different from a committed report.
    sandbox.write("amount", "x");
    fs::remove_file(sandbox.bin("slow")).unwrap();
    sandbox.run("run --task slow --task base").exits(0);
    git(&sandbox, "add STATUS.md");
    git(&sandbox, "commit -q -m second");
    sandbox.write("amount", "xx");
    sandbox.run("run --task slow --force").exits(0);
    ask("diff --json", 0);
    ask("verify --json", 0);
    ask("explain slow --json", 0);
    ask("report --format json", 0);

    // Everything that may change.
    sandbox.run("run --task deploy --task top").exits(0);
    sandbox.edit("word = \"old\"", "word = \"new\"");
    sandbox.edit("write top.txt ${word}", "write top.txt '' write top.txt ${word}");
    sandbox.write("src/one", "other");
    sandbox.write("top.txt", "by hand");
    sandbox.remove_tool("tool");
    fs::copy(env!("CARGO_BIN_EXE_fake-tool"), sandbox.bin("tool")).unwrap();
    sandbox.tool("tool", &engine.replace("1.2.0", "2.0.0"));
    sandbox.write("base/in", "other");
    ask("status --json", 0);
    sandbox.run("run --task base").exits(0);
    ask("resume --dry-run --json", 3);

    // What was looked at again did not hold, and the run ended before it was mended.
    fs::remove_file(sandbox.bin("image")).unwrap();
    sandbox.write("chart", "other");
    ask("run --task bad --task deploy --fail-fast -j 1 --json", 1);

    let graph = ["graph --json", "graph --json --by phase", "graph --json --focus base"];
    for call in ["list --json", "report --format json", "history --json"].into_iter().chain(graph) {
        ask(call, 0);
    }
    for call in ["history bad --json", "history skipped --json", "diff last~3 last --json"] {
        ask(call, 0);
    }
    ask("evidence verify --json", 0);
    // An input that can't be read.
    sandbox.run("run --task base").exits(0);
    permit(&sandbox, "base/in", 0);
    let unreadable = as_anybody(&sandbox, "status --json").exits(0).json();
    permit(&sandbox, "base/in", 0o644);
    out.push(("status --json".to_owned(), unreadable));
    let mut ask = |call: &str, code: i32| {
        let output = sandbox.run(call).exits(code).json();
        out.push((call.to_owned(), output));
    };
    // Somebody takes records out, and writes into a log.
    let head = sandbox.status()["evidence"]["head"].as_str().unwrap().to_owned();
    ask(&format!("evidence verify --head {head} --json"), 0);
    let text = sandbox.read(".xtask/ledger.jsonl");
    let lines: Vec<&str> = text.lines().collect();
    sandbox.write(".xtask/ledger.jsonl", [&lines[..3], &lines[6..]].concat().join("\n") + "\n");
    let log = sandbox.task("base")["attempt"]["log"].as_str().unwrap().to_owned();
    sandbox.write(&log, "all is well");
    ask("evidence verify --json", 1);
    out
}

#[test]
fn every_key_of_the_schema_occurs_in_some_output() {
    let outputs = outputs();
    let mut seen = BTreeSet::new();
    for (_, output) in &outputs {
        visit(&PUBLISHED, "#", output, &mut seen);
    }
    let keys = |(place, object): (String, &Map<String, Value>)| -> Vec<String> {
        object["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(|key| format!("{place}/properties/{key}"))
            .collect()
    };
    let missing: Vec<String> =
        all_objects().into_iter().flat_map(keys).filter(|place| !seen.contains(place)).collect();
    assert!(
        missing.is_empty(),
        "docs/output.schema.json has keys that no output here has: remove them, or make `outputs` show them\n{}",
        missing.join("\n")
    );
    for command in xtask::cli::Cli::command().get_subcommands() {
        let has_json = command.get_arguments().any(|argument| argument.get_long() == Some("json"));
        let name = command.get_name();
        assert!(
            !has_json || outputs.iter().any(|(call, _)| call.split(' ').next() == Some(name)),
            "`{name} --json` is not among the outputs that are checked: add it to `outputs` and to docs/output.schema.json"
        );
    }
}

#[test]
fn the_schema_refuses_what_is_not_so() {
    let good = Sandbox::new("[[phase.task]]\nid = \"a\"\ntitle = \"A\"\n").status();
    assert_eq!(violations(&PUBLISHED, &good), None);
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        violations(&PUBLISHED, &value)
    };
    for key in good.as_object().unwrap().keys() {
        assert!(broken(&|v| drop(v.as_object_mut().unwrap().remove(key))).is_some(), "without {key}");
        assert!(broken(&|v| v[key] = json!({ "x": 1 })).is_some(), "another type of {key}");
    }
    assert!(broken(&|v| v["new"] = json!(1)).is_some());
    assert!(broken(&|v| v["tasks"][0]["new"] = json!(1)).is_some());
    assert!(broken(&|v| v["tasks"][0]["state"] = json!("fine")).is_some());
    assert!(broken(&|v| v["tasks"][0]["because"] = json!([{ "kind": "mood" }])).is_some());
    assert!(broken(&|v| v["version"] = json!(VERSION + 1)).is_some());
}

/// Paths with the types that a value there may have; `absent` is one of them.
type Promises = BTreeMap<(String, String), BTreeSet<String>>;

/// What a schema promises, by shape.
fn promises(schema: &Value) -> Promises {
    let mut out = Promises::new();
    for shape in schema["oneOf"].as_array().unwrap() {
        let name = shape["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        promise(schema, shape, (name, ""), &mut out);
    }
    out
}

fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    schema["$ref"].as_str().map_or(schema, |name| resolve(root, root.pointer(&name[1..]).unwrap()))
}

fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf"].into_iter().flat_map(|kind| schema[kind].as_array().into_iter().flatten())
}

fn promise(root: &Value, schema: &Value, (shape, path): (&str, &str), out: &mut Promises) {
    let schema = resolve(root, schema);
    for branch in branches(schema) {
        // Alternatives are told apart by the keys that have a fixed value: `because[]<changed input>`.
        let properties = resolve(root, branch)["properties"].as_object();
        let fixed = properties.into_iter().flat_map(Map::values).filter_map(|p| p["const"].as_str());
        let label = fixed.collect::<Vec<_>>().join(" ");
        let path = if label.is_empty() { path.to_owned() } else { format!("{path}<{label}>") };
        promise(root, branch, (shape, &path), out);
    }
    let dot = if path.is_empty() { "" } else { "." };
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}{dot}{key}");
        let mut types = types(root, inner);
        if !schema["required"].as_array().is_some_and(|all| all.iter().any(|name| name == key)) {
            types.insert("absent".to_owned());
        }
        out.insert((shape.to_owned(), path.clone()), types);
        if inner_shape(root, inner).is_none() {
            promise(root, inner, (shape, &path), out);
        }
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", ".*")] {
        if schema[key].is_object() {
            let path = format!("{path}{mark}");
            out.insert((shape.to_owned(), path.clone()), types(root, &schema[key]));
            promise(root, &schema[key], (shape, &path), out);
        }
    }
}

/// The shape that is meant where one is in another.
fn inner_shape<'s>(root: &Value, schema: &'s Value) -> Option<&'s str> {
    let name = schema["$ref"].as_str()?;
    let is_shape = root["oneOf"].as_array().unwrap().iter().any(|shape| shape["$ref"] == name);
    name.rsplit('/').next().filter(|_| is_shape)
}

fn types(root: &Value, schema: &Value) -> BTreeSet<String> {
    if let Some(name) = inner_shape(root, schema) {
        return BTreeSet::from([format!("the shape `{name}`")]);
    }
    let schema = resolve(root, schema);
    let mut out: BTreeSet<String> = branches(schema).flat_map(|branch| types(root, branch)).collect();
    match &schema["type"] {
        Value::String(one) => out.extend([one.clone()]),
        Value::Array(all) => out.extend(all.iter().map(|one| one.as_str().unwrap().to_owned())),
        _ if schema.get("const").or(schema.get("enum")).is_some() => out.extend(["string".to_owned()]),
        _ => {}
    }
    assert!(!out.is_empty(), "a value without a type: {schema:#}");
    out
}

/// What was promised and is no longer so.
fn broken(old: &Promises, new: &Promises) -> Vec<String> {
    let problem = |(key, types): (&(String, String), &BTreeSet<String>)| {
        let (shape, path) = key;
        match new.get(key) {
            None => Some(format!("`{path}` of `{shape}` is gone")),
            Some(now) if now.is_subset(types) => None,
            Some(now) => Some(format!("`{path}` of `{shape}` was {}, and is {}", words(types), words(now))),
        }
    };
    old.iter().filter_map(problem).collect()
}

fn words(types: &BTreeSet<String>) -> String {
    types.iter().map(String::as_str).collect::<Vec<_>>().join(" or ")
}

/// The list as it is committed.
fn listed() -> (String, String) {
    let path = format!("{}/../docs/contracts/json-output-{VERSION}.md", env!("CARGO_MANIFEST_DIR"));
    (fs::read_to_string(&path).unwrap_or_default(), path)
}

fn to_markdown(promises: &Promises) -> String {
    let mut out = format!(
        "# JSON output, version {VERSION}\n\n\
         Every path that has been promised in this version, with the types that may be found there. A reader that copes\n\
         with these copes with every program that prints `\"version\": {VERSION}`. Written by a test, which fails when one of\n\
         them disappears or may become something else: `{RENEW}`\n\
         adds what is new. What the keys mean is in [`output.schema.json`](../output.schema.json) and\n\
         [`commands.md`](../commands.md#json). `[]` stands for each item of a list, `.*` for each key of a table, and words in\n\
         angle brackets for the alternative that is meant.\n"
    );
    let mut shape = "";
    for ((of, path), types) in promises {
        if of != shape {
            out.push_str(&format!("\n## `{of}`\n\n| Path | Type |\n|---|---|\n"));
            shape = of;
        }
        out.push_str(&format!("| `{path}` | {} |\n", words(types)));
    }
    out
}

fn from_markdown(text: &str) -> Promises {
    let mut out = Promises::new();
    let mut shape = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## `") {
            shape = name.trim_end_matches('`');
        } else if let Some((path, types)) = line.strip_prefix("| `").and_then(|row| row.split_once("` | ")) {
            let types = types.trim_end_matches(" |").split(" or ").map(str::to_owned).collect();
            out.insert((shape.to_owned(), path.to_owned()), types);
        }
    }
    out
}

#[test]
fn nothing_disappears_without_a_new_version() {
    let (text, path) = listed();
    let (old, new) = (from_markdown(&text), promises(&PUBLISHED));
    let problems = broken(&old, &new);
    assert!(
        problems.is_empty(),
        "readers of version {VERSION} would break; take it back, or raise `VERSION` in xtask/src/status.rs\n{}",
        problems.join("\n")
    );
    if std::env::var_os("XTASK_RENEW").is_some() {
        fs::write(&path, to_markdown(&new)).unwrap();
    } else {
        assert!(text == to_markdown(&new), "{path} does not list all that is promised; run: {RENEW}");
    }
}

#[test]
fn a_promise_that_is_broken_is_noticed() {
    let old = promises(&PUBLISHED);
    assert!(old.len() > 150, "the promises are not where this test looks for them");
    assert_eq!(from_markdown(&to_markdown(&old)), old);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut schema = PUBLISHED.clone();
        change(&mut schema["$defs"]);
        broken(&old, &promises(&schema))
    };
    let remove = |object: &mut Value, key: &str| drop(object.as_object_mut().unwrap().remove(key));
    let gone = changed(&|defs| remove(&mut defs["log"]["properties"], "number"));
    assert_eq!(gone, ["`number` of `log` is gone"]);
    let gone = changed(&|defs| remove(&mut defs["reason"]["oneOf"][0]["properties"], "verdict"));
    assert!(
        gone.contains(&"`tasks[].because[]<prerequisite>.verdict` of `status` is gone".to_owned()),
        "{gone:?}"
    );
    let other = changed(&|defs| defs["log"]["properties"]["number"]["type"] = json!("string"));
    assert_eq!(other, ["`number` of `log` was integer, and is string"]);
    let wider = changed(&|defs| defs["log"]["properties"]["text"]["type"] = json!(["string", "null"]));
    assert_eq!(wider, ["`text` of `log` was string, and is null or string"]);
    let optional =
        changed(&|defs| defs["log"]["required"].as_array_mut().unwrap().retain(|key| key != "path"));
    assert_eq!(optional, ["`path` of `log` was string, and is absent or string"]);
    // Readers cope with more keys, and with less that may be there.
    assert!(changed(&|defs| defs["log"]["properties"]["new"] = json!({ "type": "string" })).is_empty());
    assert!(changed(&|defs| defs["status"]["properties"]["as_of"]["type"] = json!("string")).is_empty());
}
