//! All that ever happened, by run: what `history`, `diff` and the reports that tell of the past are made of. Pure.
//!
//! [`fold`](super::fold) keeps what counts now and passes over the rest; this reads every record.

use std::collections::{HashMap, HashSet};

use camino::Utf8PathBuf;
use jiff::Timestamp;

use super::event::{
    ByHand, Concluded, Drifted, Failure, Header, LogsPruned, Outcome, RunEnded, RunStarted, TaskEnded,
    TaskLeft, TaskStarted, TornDown,
};
use crate::ids::Digest;
use crate::measure::Measurement;

/// Everything on record, oldest run first.
#[derive(Debug, Clone, Default)]
pub struct Chronicle {
    /// Runs that put something on record, in the order in which they began.
    pub runs: Vec<RunStory>,
    /// What was done by hand.
    pub by_hand: Vec<Deed>,
    /// Logs whose removal is on record.
    pub pruned: HashSet<Utf8PathBuf>,
}

/// What happened in one run.
#[derive(Debug, Clone)]
pub struct RunStory {
    /// Its id.
    pub id: String,
    /// When its first record was made.
    pub started: Timestamp,
    /// When its last record was made.
    pub last: Timestamp,
    /// When it ended in order; nothing if it died or is under way.
    pub ended: Option<Timestamp>,
    /// Its exit code.
    pub exit: Option<u8>,
    /// Who ran what where; nothing if that record is missing.
    pub head: Option<RunStarted>,
    /// Its attempts, in the order in which they began.
    pub attempts: Vec<AttemptStory>,
    /// Tasks that it was asked for and left undone.
    pub left: Vec<(String, TaskLeft)>,
    /// Finished tasks that it found not to hold any more.
    pub drifted: Vec<(String, Drifted)>,
    /// Finished tasks that it looked at again and that held.
    pub confirmed: Vec<String>,
    /// Findings of gates and criteria that were news.
    pub concluded: Vec<Concluded>,
}

/// One attempt, with what history tells of it.
#[derive(Debug, Clone)]
pub struct AttemptStory {
    /// The task.
    pub task: String,
    /// What was about to be done.
    pub start: TaskStarted,
    /// Digest of all that the attempt began from: definition, inputs, needed results, tool versions. Two attempts
    /// with the same one should come out the same.
    pub fingerprint: Digest,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; nothing if its run died or it is under way.
    pub ended: Option<Timestamp>,
    /// What it came to.
    pub end: Option<TaskEnded>,
    /// Logs of cleaning up after it, relative to the root.
    pub cleaning: Vec<Utf8PathBuf>,
}

impl AttemptStory {
    /// How it ended.
    pub fn outcome(&self) -> Option<Outcome> {
        self.end.as_ref().map(|e| e.outcome)
    }

    /// Duration in milliseconds.
    pub fn ms(&self) -> Option<u64> {
        self.end.as_ref().map(|e| e.ms)
    }

    /// What made it fail.
    pub fn failure(&self) -> Option<&Failure> {
        self.end.as_ref().and_then(|e| e.failure.as_ref())
    }

    /// Its log and those of cleaning up after it, relative to the root.
    pub fn logs(&self) -> impl Iterator<Item = &Utf8PathBuf> {
        std::iter::once(&self.start.log).chain(&self.cleaning)
    }

    /// What it measured.
    pub fn measurements(&self) -> &[Measurement] {
        self.end.as_ref().map_or(&[], |e| &e.measurements)
    }
}

/// Something that was done by hand.
#[derive(Debug, Clone)]
pub struct Deed {
    /// The kind of record: `task-skipped` or `task-forgotten`.
    pub kind: String,
    /// The task.
    pub task: String,
    /// When.
    pub at: Timestamp,
    /// Who and why.
    pub what: ByHand,
    /// How many runs had begun by then.
    pub n_runs: usize,
}

/// Reads the text of a ledger. What can't be read is passed over; [`fold`](super::fold) counts it.
pub fn chronicle(text: &[u8]) -> Chronicle {
    let mut out = Chronicle::default();
    let mut runs: HashMap<String, usize> = HashMap::new();
    // Where the attempt with this id is.
    let mut attempts: HashMap<String, (usize, usize)> = HashMap::new();
    let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    for line in text[..whole].split(|b| *b == b'\n') {
        let Ok(header) = serde_json::from_slice::<Header<'_>>(line) else { continue };
        let (kind, body, at) = (header.kind.as_ref(), header.event.get(), header.at);
        let task = header.task.as_deref().unwrap_or_default();
        if matches!(kind, "task-skipped" | "task-forgotten") {
            if let Ok(what) = serde_json::from_str::<ByHand>(body) {
                let n_runs = out.runs.len();
                out.by_hand.push(Deed { kind: kind.to_owned(), task: task.to_owned(), at, what, n_runs });
            }
            continue;
        }
        let position = *runs.entry(header.run.to_string()).or_insert_with(|| {
            out.runs.push(RunStory::new(header.run.as_ref(), at));
            out.runs.len() - 1
        });
        let run = &mut out.runs[position];
        run.last = at;
        match kind {
            "run-started" => run.head = serde_json::from_str(body).ok(),
            "run-ended" => {
                run.ended = Some(at);
                run.exit = serde_json::from_str::<RunEnded>(body).ok().map(|e| e.exit);
            }
            "task-started" => {
                if let Ok(start) = serde_json::from_str::<TaskStarted>(body) {
                    attempts.insert(start.attempt.clone(), (position, run.attempts.len()));
                    run.attempts.push(AttemptStory {
                        task: task.to_owned(),
                        fingerprint: fingerprint(task, &start),
                        start,
                        started: at,
                        ended: None,
                        end: None,
                        cleaning: Vec::new(),
                    });
                }
            }
            "task-ended" => {
                if let Ok(end) = serde_json::from_str::<TaskEnded>(body)
                    && let Some((run, nth)) = attempts.get(&end.attempt)
                    && let Some(attempt) = out.runs[*run].attempts.get_mut(*nth)
                {
                    attempt.ended = Some(at);
                    attempt.end = Some(end);
                }
            }
            "torn-down" => {
                if let Ok(TornDown { attempt, log: Some(log), .. }) = serde_json::from_str(body)
                    && let Some((run, nth)) = attempts.get(&attempt)
                    && let Some(attempt) = out.runs[*run].attempts.get_mut(*nth)
                {
                    attempt.cleaning.push(log);
                }
            }
            "logs-pruned" => {
                out.pruned
                    .extend(serde_json::from_str::<LogsPruned>(body).ok().into_iter().flat_map(|e| e.logs));
            }
            "task-left" => {
                run.left.extend(serde_json::from_str(body).ok().map(|left| (task.to_owned(), left)));
            }
            "confirmed" => run.confirmed.push(task.to_owned()),
            "drifted" => {
                run.drifted.extend(serde_json::from_str(body).ok().map(|drift| (task.to_owned(), drift)));
            }
            "concluded" => run.concluded.extend(serde_json::from_str::<Concluded>(body).ok()),
            _ => {}
        }
    }
    out
}

impl RunStory {
    fn new(id: &str, at: Timestamp) -> Self {
        Self {
            id: id.to_owned(),
            started: at,
            last: at,
            ended: None,
            exit: None,
            head: None,
            attempts: Vec::new(),
            left: Vec::new(),
            drifted: Vec::new(),
            confirmed: Vec::new(),
            concluded: Vec::new(),
        }
    }
}

/// Digest of what an attempt began from.
fn fingerprint(task: &str, start: &TaskStarted) -> Digest {
    let mut hasher = blake3::Hasher::new();
    let mut part = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    part(task);
    for (key, digest) in &start.definition.keys {
        part(key);
        part(&digest.to_string());
    }
    for (name, value) in &start.definition.vars {
        part(name);
        part(value);
    }
    for (path, digest) in &start.inputs {
        part(path.as_str());
        part(&digest.map(|d| d.to_string()).unwrap_or_default());
    }
    for (name, tool) in &start.tools {
        part(name);
        part(tool.version.as_deref().unwrap_or_default());
    }
    for (name, digest) in &start.needs {
        part(name);
        part(&digest.to_string());
    }
    Digest::from_hasher(&hasher)
}
