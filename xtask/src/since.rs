//! What is different from an earlier point of the same ledger: what a report says of the time since the one before
//! it. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::Digest;
use crate::ledger::{History, Outcome, TaskHistory};
use crate::status::{Row, State};

/// A point of a ledger: how many records there were, and the digest of the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Sequence number of the last record.
    pub records: u64,
    /// Digest of its line. Whoever knows it can tell whether the ledger still contains it.
    pub head: Digest,
}

impl Point {
    /// Where a ledger ends; nothing if it is empty.
    pub fn of(history: &History) -> Option<Self> {
        Some(Self { records: history.seq, head: history.prev? })
    }
}

/// What is different since an earlier point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// That point.
    pub point: Point,
    /// When its last evidence was recorded.
    pub at: Option<Timestamp>,
    /// Tasks that are done and were not.
    pub done: Vec<String>,
    /// Tasks that are blocked or waiting and were not.
    pub blocked: Vec<String>,
    /// Tasks that were blocked or waiting and are not any more.
    pub released: Vec<String>,
    /// Tasks that were done and are not any more.
    pub regressed: Vec<String>,
    /// Tasks that passed again and took notably longer.
    pub slower: Vec<Slower>,
}

/// A task that took longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slower {
    /// The task.
    pub task: String,
    /// Duration then, in milliseconds.
    pub old_ms: u64,
    /// Duration now, in milliseconds.
    pub new_ms: u64,
}

impl Since {
    /// True if nothing is different.
    pub fn is_empty(&self) -> bool {
        [&self.done, &self.blocked, &self.released, &self.regressed].iter().all(|ids| ids.is_empty())
            && self.slower.is_empty()
    }
}

/// Longer is notable from half as long again on, and from a second on: less is noise.
fn is_slower(old_ms: u64, new_ms: u64) -> bool {
    new_ms >= old_ms.saturating_add(old_ms / 2) && new_ms >= old_ms.saturating_add(1000)
}

/// Compares the states now with those that were on record at an earlier point of the ledger.
pub fn since(then: &History, now: &[Row]) -> Option<Since> {
    let point = Point::of(then)?;
    let before: BTreeMap<&str, Recorded> =
        now.iter().map(|row| (row.id.as_str(), recorded(then.task(&row.id)))).collect();
    let ids = |is: &dyn Fn(Recorded, &Row) -> bool| -> Vec<String> {
        now.iter().filter(|row| is(before[row.id.as_str()], row)).map(|row| row.id.clone()).collect()
    };
    let held_up = |row: &Row| matches!(row.state, State::Blocked | State::Waiting);
    let slower = now.iter().filter_map(|row| {
        let old = then.task(&row.id).last.as_ref()?;
        let (old_end, new) = (&old.ended.as_ref()?.1, row.attempt.as_ref()?);
        let passed = old_end.outcome == Outcome::Passed && new.outcome == Some(Outcome::Passed);
        let (old_ms, new_ms) = (old_end.ms, new.ms?);
        let again = passed && new.id != old.started.attempt && is_slower(old_ms, new_ms);
        again.then(|| Slower { task: row.id.clone(), old_ms, new_ms })
    });
    Some(Since {
        point,
        at: then.as_of,
        done: ids(&|then, row| row.state == State::Done && then != Recorded::Passed),
        blocked: ids(&|then, row| held_up(row) && then != Recorded::HeldUp),
        released: ids(&|then, row| then == Recorded::HeldUp && !held_up(row)),
        regressed: ids(&|then, row| then == Recorded::Passed && !row.state.satisfies()),
        slower: slower.collect(),
    })
}

/// The state of a task as far as it was on record. Files are not: what was stale for a file then counts as passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    Passed,
    HeldUp,
    Other,
}

fn recorded(past: &TaskHistory) -> Recorded {
    let outcome = past.last.as_ref().map(crate::ledger::Attempt::outcome);
    let held_up = past
        .left
        .as_ref()
        .is_some_and(|left| [State::Blocked, State::Waiting].iter().any(|state| state.name() == left.state));
    match outcome {
        _ if past.skip.is_some() => Recorded::Other,
        Some(Some(Outcome::Passed)) if past.drift.is_none() => Recorded::Passed,
        None if held_up => Recorded::HeldUp,
        _ => Recorded::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{fold, fold_to};
    use crate::report::sample;

    /// Lines of a ledger about one task each: `task kind`, with kind `passed`, `failed`, `blocked` or `skipped`.
    fn ledger(records: &[(&str, &str, u64)]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut prev = Digest::of(b"");
        let mut seq = 0;
        for (task, kind, ms) in records {
            let events = match *kind {
                "blocked" => vec![("task-left", r#"{"state":"blocked","because":[]}"#.to_owned())],
                "skipped" => vec![("task-skipped", r#"{"by":"me"}"#.to_owned())],
                outcome => {
                    let attempt = format!("{task}-{seq}");
                    let instance = r#"{"host":"h","boot":"b","pid":1,"started":"1"}"#;
                    let start = format!(
                        r#"{{"attempt":"{attempt}","number":1,"place":"local","instance":{instance},"definition":{{"keys":{{}}}},"log":"l"}}"#
                    );
                    let end = format!(
                        r#"{{"attempt":"{attempt}","outcome":"{outcome}","tries":1,"ms":{ms},"result":"{prev}"}}"#
                    );
                    vec![("task-started", start), ("task-ended", end)]
                }
            };
            for (kind, event) in events {
                seq += 1;
                let line = format!(
                    r#"{{"v":1,"seq":{seq},"prev":"{prev}","at":"2026-01-27T10:00:00Z","run":"r","kind":"{kind}","task":"{task}","event":{event}}}"#
                );
                prev = Digest::of(line.as_bytes());
                out.extend_from_slice(line.as_bytes());
                out.push(b'\n');
            }
        }
        out
    }

    fn row(id: &str, state: State, ms: u64) -> Row {
        let mut row = sample::complete().tasks.remove(0);
        row.id = id.to_owned();
        row.state = state;
        if let Some(attempt) = &mut row.attempt {
            attempt.ms = Some(ms);
        }
        row
    }

    #[test]
    fn what_is_different() {
        let then = fold(&ledger(&[
            ("a", "passed", 4000),
            ("b", "passed", 4000),
            ("c", "blocked", 0),
            ("d", "blocked", 0),
            ("e", "failed", 0),
            ("f", "passed", 4000),
            ("g", "skipped", 0),
            ("h", "passed", 100),
        ]));
        let now = [
            row("a", State::Done, 6000),
            row("b", State::Stale, 4000),
            row("c", State::Done, 1),
            row("d", State::Failed, 1),
            row("e", State::Done, 1),
            row("f", State::Skipped, 1),
            row("g", State::Blocked, 1),
            row("h", State::Done, 900),
            row("i", State::Blocked, 1),
        ];
        let since = since(&then, &now).expect("a point to compare with");
        assert_eq!(since.done, ["c", "e"]);
        assert_eq!(since.blocked, ["g", "i"]);
        assert_eq!(since.released, ["c", "d"]);
        assert_eq!(since.regressed, ["b"]);
        let slower: Vec<_> = since.slower.iter().map(|s| s.task.as_str()).collect();
        assert_eq!(slower, ["a"], "half as long again and a second more; less is noise");
    }

    #[test]
    fn a_point_is_found_by_its_number_and_its_digest() {
        let text = ledger(&[("a", "passed", 1), ("b", "blocked", 0), ("a", "failed", 1)]);
        let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
        let then = fold_to(&text, 2, Digest::of(lines[1])).expect("the point");
        assert_eq!(Point::of(&then), Some(Point { records: 2, head: Digest::of(lines[1]) }));
        assert!(then.tasks.contains_key("a") && !then.tasks.contains_key("b"));
        assert!(fold_to(&text, 2, Digest::of(lines[2])).is_none());
        assert!(fold_to(&text, 9, Digest::of(lines[1])).is_none());
        assert!(fold_to(&text[..text.len() - 1], 5, Digest::of(lines[4])).is_none(), "not whole");
        assert!(since(&fold(b""), &[]).is_none());
    }
}
