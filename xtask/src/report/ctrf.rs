//! CTRF (Common Test Report Format, version 0.0.0): test results as JSON, for tools that merge and compare them.
//!
//! A task is a test, its phase the suite. What has no place in the format is under the one key that is ours.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::Options;
use super::case::{Case, by_phase, line, span};
use crate::check::Finding;
use crate::ledger::event::CheckRecord;
use crate::status::{PhaseRow, State, Status};

/// The version of the format.
const VERSION: &str = "0.0.0";

/// Under `extra`, each producer has a key of its own with its name in it.
const OWN: &str = "xtask.task";

/// The words of the format for what a test came to.
const STATUSES: &[&str] = &["passed", "failed", "skipped", "pending", "other"];

/// Renders pretty JSON with a line feed at its end.
pub fn render(status: &Status, options: &Options, out: &mut dyn fmt::Write) -> anyhow::Result<()> {
    let tests: Vec<Json> = by_phase(status, options)
        .iter()
        .flat_map(|(phase, cases)| cases.iter().map(|case| test(phase, case)))
        .collect();
    let (began, ended) = span(status.tasks.iter());
    let began = began.map_or(0, Timestamp::as_millisecond);
    let mut summary = Map::new();
    summary.insert("tests".to_owned(), json!(tests.len()));
    for word in STATUSES {
        let count = tests.iter().filter(|test| test["status"] == *word).count();
        summary.insert((*word).to_owned(), json!(count));
    }
    summary.insert("suites".to_owned(), json!(status.phases.len()));
    summary.insert("start".to_owned(), json!(began));
    summary.insert("stop".to_owned(), json!(ended.map_or(began, Timestamp::as_millisecond)));
    let mut report = json!({ "reportFormat": "CTRF", "specVersion": VERSION });
    put(&mut report, "timestamp", status.as_of.map(|at| json!(at)));
    let mut environment = json!({ "reportName": line(&status.pipeline.title) });
    put(&mut environment, "commit", status.revision.as_ref().map(|revision| json!(line(revision))));
    put(&mut environment, "branchName", status.branch.as_ref().map(|branch| json!(line(branch))));
    report["results"] = json!({
        "tool": { "name": "xtask" }, "summary": summary, "tests": tests, "environment": environment,
    });
    writeln!(out, "{report:#}")?;
    Ok(())
}

/// Sets a key if there is something to set.
fn put(object: &mut Json, key: &str, value: Option<Json>) {
    if let Some(value) = value {
        object[key] = value;
    }
}

fn test(phase: &PhaseRow, case: &Case<'_>) -> Json {
    let row = case.row;
    let attempt = row.attempt.as_ref().filter(|_| case.ms.is_some() || row.state == State::Interrupted);
    let mut out = json!({ "name": case.name, "status": word(row.state), "duration": case.ms.unwrap_or(0) });
    put(&mut out, "start", attempt.map(|attempt| json!(attempt.started.as_millisecond())));
    put(&mut out, "stop", attempt.and_then(|attempt| attempt.ended).map(|at| json!(at.as_millisecond())));
    out["suite"] = json!([line(&phase.title)]);
    put(&mut out, "message", (!case.message.is_empty()).then(|| json!(case.message)));
    put(&mut out, "trace", (!case.details.is_empty()).then(|| json!(case.details.join("\n"))));
    out["rawStatus"] = json!(row.state.name());
    out["tags"] = json!([row.phase]);
    put(&mut out, "stdout", (!case.output.is_empty()).then(|| json!(case.output)));
    if let Some(attempt) = attempt {
        let steps: Vec<Json> = attempt.checks.iter().map(step).collect();
        put(&mut out, "steps", (!steps.is_empty()).then(|| json!(steps)));
        let log = json!({ "name": "log", "contentType": "text/plain", "path": line(attempt.log.as_str()) });
        out["attachments"] = json!([log]);
    }
    let measurements: Vec<Json> = row
        .measurements
        .iter()
        .map(|m| {
            let mut value = json!(m);
            value["name"] = json!(line(&m.name));
            value
        })
        .collect();
    out["extra"] = json!({
        OWN: { "id": row.id, "needs": row.needs, "requires": row.requires, "measurements": measurements },
    });
    out
}

/// What is not done and did not fail is pending: a run may still come to it.
fn word(state: State) -> &'static str {
    match state {
        State::Done => "passed",
        State::Failed => "failed",
        State::Skipped => "skipped",
        State::Interrupted => "other",
        State::Stale | State::Blocked | State::Waiting | State::Ready => "pending",
    }
}

fn step(check: &CheckRecord) -> Json {
    let word = match &check.finding {
        Finding::Met { .. } => "passed",
        Finding::Unmet { .. } => "failed",
        Finding::Unknown { .. } => "other",
    };
    json!({ "name": line(&check.says), "status": word })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::check::data::{from_json, schema};
    use crate::ledger::Chronicle;
    use crate::report::{Past, sample};

    fn rendered(status: &Status, tail: &str) -> Json {
        let tails: BTreeMap<String, Vec<String>> =
            status.tasks.iter().map(|row| (row.id.clone(), vec![tail.to_owned()])).collect();
        let past = Some(Past { chronicle: Chronicle::default(), tails });
        let mut out = String::new();
        render(status, &Options { past, ..Options::default() }, &mut out).expect("a report");
        serde_json::from_str(&out).expect("JSON")
    }

    /// What the published schema requires and allows, as far as we write it. Every object there is closed except
    /// `extra`.
    fn published() -> Json {
        let text = json!({ "type": "string" });
        let number = json!({ "type": "integer" });
        let named = json!({ "type": "string", "minLength": 1 });
        let status = json!({ "enum": STATUSES });
        let closed = |required: &[&str], properties: Json| json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false });
        let many = |items: Json| json!({ "type": "array", "items": items });
        let test = closed(
            &["name", "status", "duration"],
            json!({
                "name": named, "status": status, "duration": number, "start": number, "stop": number,
                "suite": { "type": "array", "minItems": 1, "items": text },
                "message": text, "trace": text, "rawStatus": text, "tags": many(text.clone()), "stdout": many(text.clone()),
                "attachments": many(closed(
                    &["name", "contentType", "path"],
                    json!({ "name": text, "contentType": text, "path": text }),
                )),
                "steps": many(closed(&["name", "status"], json!({ "name": text, "status": status }))),
                "extra": { "type": "object" },
            }),
        );
        let counts = ["tests", "passed", "failed", "skipped", "pending", "other", "suites", "start", "stop"];
        let summary: Map<String, Json> =
            counts.iter().map(|name| ((*name).to_owned(), number.clone())).collect();
        let required: Vec<&str> = counts.iter().copied().filter(|name| *name != "suites").collect();
        let results = closed(
            &["tool", "summary", "tests"],
            json!({
                "tool": closed(&["name"], json!({ "name": named })),
                "summary": closed(&required, Json::Object(summary)),
                "tests": many(test),
                "environment": closed(&[], json!({ "reportName": text, "commit": text, "branchName": text })),
            }),
        );
        let version = json!({ "type": "string", "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+$" });
        closed(
            &["results", "reportFormat", "specVersion"],
            json!({ "reportFormat": { "const": "CTRF" }, "specVersion": version, "timestamp": text, "results": results }),
        )
    }

    #[test]
    fn every_sample_is_valid() {
        for status in [sample::empty(), sample::fresh(), sample::complete(), sample::rich()] {
            let report = rendered(&status, "said");
            let node = from_json(report.clone(), &Arc::from("report"));
            assert_eq!(schema::validate(&node, &published()), schema::Verdict::Valid, "{report:#}");
        }
    }

    #[test]
    fn counts_are_those_of_the_tests() {
        let report = rendered(&sample::rich(), "said");
        let summary = &report["results"]["summary"];
        let told: Vec<u64> = STATUSES.iter().map(|word| summary[*word].as_u64().expect("a count")).collect();
        assert_eq!(told, [2, 1, 2, 7, 2]);
        assert_eq!(summary["tests"].as_u64(), Some(told.iter().sum()));
    }

    proptest! {
        #[test]
        fn no_text_has_anything_but_text(text in sample::hostile(), tail in ".*") {
            let report = rendered(&sample::with_text(sample::rich(), &text), &tail);
            let mut texts = vec![&report];
            while let Some(value) = texts.pop() {
                match value {
                    Json::String(text) => prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{:?}", text),
                    Json::Array(items) => texts.extend(items),
                    Json::Object(entries) => texts.extend(entries.values()),
                    _ => {}
                }
            }
        }
    }
}
