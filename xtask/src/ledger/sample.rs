//! Ledgers that the tests read: written record by record, a minute apart.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use super::chronicle::{Chronicle, chronicle};
use crate::ids::Digest;

/// A ledger that grows.
pub struct Sample {
    text: String,
    at: Timestamp,
    run: String,
    numbers: HashMap<String, u32>,
    /// Id of the last attempt.
    attempt: String,
}

impl Sample {
    /// Nothing on record, at ten o'clock.
    pub fn empty() -> Self {
        let at = "2026-01-27T10:00:00Z".parse().expect("a time");
        let (text, run, attempt) = (String::new(), String::new(), String::new());
        Self { text, at, run, numbers: HashMap::new(), attempt }
    }

    /// What was recorded.
    pub fn chronicle(&self) -> Chronicle {
        chronicle(self.text.as_bytes())
    }

    fn record(mut self, kind: &str, task: Option<&str>, event: &Json) -> Self {
        self.at += SignedDuration::from_mins(1);
        let prev = Digest::of(b"");
        let mut record =
            json!({ "v": 1, "seq": 1, "prev": prev, "at": self.at, "run": self.run, "kind": kind });
        if let Some(task) = task {
            record["task"] = task.into();
        }
        record["event"] = event.clone();
        self.text.push_str(&format!("{record}\n"));
        self
    }

    /// A run begins, by the process with this id.
    pub fn run(mut self, id: &str, pid: u32) -> Self {
        id.clone_into(&mut self.run);
        let instance = json!({ "host": "host", "boot": "boot", "pid": pid, "started": "1" });
        let git =
            json!({ "branch": "main", "revision": "4f41f601".repeat(5), "dirty": pid.is_multiple_of(2) });
        let event = json!({
            "pipeline": "p", "xtask": "0.1.0", "instance": instance, "os": "linux", "arguments": ["p", "--task", "T 1"], "git": git,
        });
        self.record("run-started", None, &event)
    }

    /// The run ends.
    pub fn ended(self, exit: u8) -> Self {
        self.record("run-ended", None, &json!({ "exit": exit }))
    }

    /// An attempt begins; its log is called `TASK-NUMBER`.
    pub fn start(mut self, task: &str, from: &str) -> Self {
        let number = self.numbers.entry(task.to_owned()).or_default();
        *number += 1;
        self.attempt = format!("{task}-{number}");
        let instance = json!({ "host": "host", "boot": "boot", "pid": 1, "started": "1" });
        let event = json!({
            "attempt": self.attempt, "number": number, "place": "local", "instance": instance, "log": self.attempt,
            "definition": { "keys": { "run": Digest::of(from.as_bytes()) } },
        });
        self.record("task-started", Some(task), &event)
    }

    /// It ends after so many milliseconds.
    pub fn end(self, outcome: &str, ms: u64, measured: &[(&str, f64)]) -> Self {
        self.end_after(1, outcome, ms, measured)
    }

    /// It ends after so many tries.
    pub fn end_after(self, tries: u32, outcome: &str, ms: u64, measured: &[(&str, f64)]) -> Self {
        let task = self.attempt.rsplit_once('-').map(|(task, _)| task.to_owned()).unwrap_or_default();
        let measurements: Vec<Json> = measured
            .iter()
            .map(|(name, value)| {
                json!({ "name": name, "value": value, "unit": "bytes", "max": 500e6, "within_limits": *value <= 500e6 })
            })
            .collect();
        let mut event = json!({
            "attempt": self.attempt, "outcome": outcome, "tries": tries, "ms": ms, "measurements": measurements,
            "result": Digest::of(b""),
        });
        if outcome == "failed" {
            event["failure"] = json!({ "kind": "command", "what": "`make`", "how": "exit code 2" });
        }
        self.record("task-ended", Some(&task), &event)
    }

    /// An attempt from beginning to end, in 2 s.
    pub fn attempt(self, task: &str, from: &str, outcome: &str) -> Self {
        self.start(task, from).end(outcome, 2000, &[])
    }

    /// What the last attempt had set up is taken down; the log is called as this.
    pub fn torn_down(self, log: &str) -> Self {
        let event = json!({ "attempt": self.attempt, "commands": [], "log": log });
        self.record("torn-down", None, &event)
    }

    /// A task is left undone.
    pub fn left(self, task: &str, state: &str, why: &str) -> Self {
        self.record("task-left", Some(task), &json!({ "state": state, "because": [why] }))
    }

    /// A finished task no longer holds.
    pub fn drifted(self, task: &str) -> Self {
        let check =
            json!({ "says": "the port answers", "verdict": "unmet", "expected": "200", "found": "nothing" });
        self.record("drifted", Some(task), &json!({ "attempt": "x", "checks": [check] }))
    }

    /// A finished task holds when it is looked at again.
    pub fn confirmed(self, task: &str) -> Self {
        self.record("confirmed", Some(task), &json!({ "attempt": "x" }))
    }

    /// Something is done by hand: `skipped` or `forgotten`.
    pub fn by_hand(self, what: &str, task: &str) -> Self {
        let event = json!({ "reason": "not here", "by": "anna" });
        self.record(&format!("task-{what}"), Some(task), &event)
    }

    /// Logs are removed.
    pub fn pruned(self, logs: &[&str]) -> Self {
        self.record("logs-pruned", None, &json!({ "keep": 1, "logs": logs }))
    }
}
