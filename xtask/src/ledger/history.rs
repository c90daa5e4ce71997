//! The fold of the ledger: for each task what counts now. Pure; bodies of records that no longer count are
//! never read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::event::{
    ByHand, Concluded, Drifted, FORMAT, FactTold, Git, Header, Outcome, Probed, RunStarted, TaskEnded,
    TaskLeft, TaskStarted, TornDown,
};
use crate::ids::Digest;
use crate::observed::Probe;

/// What the ledger says.
#[derive(Debug, Default)]
pub struct History {
    /// By task.
    pub tasks: HashMap<String, TaskHistory>,
    /// Last answer of each prerequisite, and since when it is that.
    pub probes: BTreeMap<String, (Probe, Timestamp)>,
    /// Last answers to facts.
    pub facts: BTreeMap<String, Result<String, String>>,
    /// Last findings of gates and criteria, by what they are about and title.
    pub conclusions: BTreeMap<(String, String), Concluded>,
    /// The last run that did something.
    pub run: Option<RunStarted>,
    /// Runs that did something and did not end in order.
    pub open_runs: HashSet<String>,
    /// Attempts of the last run that began and have no end. Those of earlier runs are no concern any more: a run
    /// ends what the one before left behind before it records anything.
    pub cut_off: Vec<String>,
    /// The repository's state at the last attempt.
    tried_on: Option<Git>,
    /// When the last evidence was recorded: the last in the ledger, whatever the clock said before.
    pub as_of: Option<Timestamp>,
    /// What is odd about the ledger.
    pub health: Health,
    /// Sequence number of the last record.
    pub seq: u64,
    /// Digest of the last line.
    pub prev: Option<Digest>,
}

/// What is odd about a ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Bytes of an unfinished last line.
    pub torn: u64,
    /// Line numbers (from 1) of whole lines that could not be read.
    pub unreadable: Vec<usize>,
    /// The newest format seen, if it is newer than [`FORMAT`].
    pub newer: Option<u32>,
}

/// What counts about a task.
#[derive(Debug, Clone, Default)]
pub struct TaskHistory {
    /// The last attempt.
    pub last: Option<Attempt>,
    /// The last attempt that passed, if that is another one.
    pub passed: Option<Attempt>,
    /// It is skipped by hand.
    pub skip: Option<(ByHand, Timestamp)>,
    /// The last run that was asked for it left it undone.
    pub left: Option<TaskLeft>,
    /// Since when it has been left in the same state.
    pub left_since: Option<Timestamp>,
    /// It was looked at after it had passed, and did not hold.
    pub drift: Option<(Drifted, Timestamp)>,
    /// It was looked at after it had passed, and held.
    pub confirmed: Option<Timestamp>,
    /// What its last attempt had set up was taken down.
    pub torn_down: bool,
    /// Durations of attempts that passed, newest last, at most [`KEPT_DURATIONS`].
    pub durations: Vec<Duration>,
    /// How many attempts there were.
    pub attempts: u32,
}

/// How many durations an estimate is made of.
pub const KEPT_DURATIONS: usize = 5;

/// An attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The run that made it.
    pub run: String,
    /// When it began.
    pub started_at: Timestamp,
    /// What was about to be done.
    pub started: TaskStarted,
    /// When and how it ended; nothing if the run died.
    pub ended: Option<(Timestamp, TaskEnded)>,
}

impl Attempt {
    /// How it ended.
    pub fn outcome(&self) -> Option<Outcome> {
        self.ended.as_ref().map(|(_, e)| e.outcome)
    }
}

impl TaskHistory {
    /// The median of the durations that are kept.
    pub fn typical(&self) -> Option<Duration> {
        let mut sorted = self.durations.clone();
        sorted.sort();
        sorted.get(sorted.len() / 2).copied()
    }
}

/// A record whose body has not been read.
type Unread<'a> = (Header<'a>, &'a RawValue);

/// Headers and bodies that may count, as they stand in the file.
#[derive(Default)]
struct Slot<'a> {
    start: Option<Unread<'a>>,
    end: Option<Unread<'a>>,
    passed: Option<(Unread<'a>, Unread<'a>)>,
    skip: Option<Unread<'a>>,
    left: Option<Unread<'a>>,
    left_since: Option<Timestamp>,
    drift: Option<Unread<'a>>,
    confirmed: Option<Unread<'a>>,
    torn_down: Option<&'a RawValue>,
    durations: Vec<Duration>,
    attempts: u32,
}

/// The few fields of an ended attempt that every one of them is read for.
#[derive(Deserialize)]
struct EndedBriefly<'a> {
    #[serde(borrow)]
    attempt: &'a str,
    outcome: Outcome,
    ms: u64,
}

#[derive(Deserialize)]
struct GitOnly {
    git: Option<Git>,
}

#[derive(Deserialize)]
struct AttemptOnly<'a> {
    #[serde(borrow)]
    attempt: &'a str,
}

/// Reads the text of a ledger. What can't be read is counted and passed over; there is no failing path.
pub fn fold(text: &[u8]) -> History {
    let mut out = History::default();
    let mut slots: HashMap<String, Slot<'_>> = HashMap::new();
    let mut run: Option<&RawValue> = None;
    let mut newest: Option<&RawValue> = None;
    let (mut begun, mut over): (Vec<&RawValue>, Vec<&RawValue>) = Default::default();
    let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    out.health.torn = (text.len() - whole) as u64;
    for (number, line) in text[..whole].split(|b| *b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let Ok(header) = serde_json::from_slice::<Header<'_>>(line) else {
            out.health.unreadable.push(number + 1);
            continue;
        };
        out.seq = out.seq.max(header.seq);
        if header.v > FORMAT {
            out.health.newer = Some(out.health.newer.unwrap_or_default().max(header.v));
        }
        let body = header.event;
        let at = header.at;
        match header.kind.as_ref() {
            "run-started" => {
                run = Some(body);
                out.open_runs.insert(header.run.to_string());
                begun.clear();
                over.clear();
            }
            "run-ended" => {
                out.open_runs.remove(header.run.as_ref());
            }
            "probed" => {
                if let Ok(p) = serde_json::from_str::<Probed>(body.get()) {
                    out.probes.insert(p.prerequisite, (p.probe, at));
                    out.as_of = Some(at);
                }
            }
            "fact-told" => {
                if let Ok(f) = serde_json::from_str::<FactTold>(body.get()) {
                    out.facts.insert(f.fact, f.value.ok_or_else(|| f.why.unwrap_or_default()));
                    out.as_of = Some(at);
                }
            }
            "concluded" => {
                if let Ok(c) = serde_json::from_str::<Concluded>(body.get()) {
                    out.conclusions.insert((c.about.clone(), c.title.clone()), c);
                    out.as_of = Some(at);
                }
            }
            kind => {
                let Some(task) = header.task.clone() else { continue };
                match kind {
                    "task-started" => {
                        newest = Some(body);
                        begun.push(body);
                    }
                    "task-ended" => over.push(body),
                    _ => {}
                }
                if !slots.contains_key(task.as_ref()) {
                    slots.insert(task.to_string(), Slot::default());
                }
                let Some(slot) = slots.get_mut(task.as_ref()) else { continue };
                if slot.take(kind, header.clone(), body) && kind != "task-started" {
                    out.as_of = Some(at);
                }
            }
        }
    }
    let mut last = text[..whole].split(|b| *b == b'\n').rev().filter(|l| !l.is_empty());
    out.prev = last.next().map(Digest::of);
    let over: HashSet<&str> = over.into_iter().filter_map(attempt_of).collect();
    let cut_off = begun.into_iter().filter_map(attempt_of).filter(|id| !over.contains(id));
    out.cut_off = cut_off.map(str::to_owned).collect();
    out.tried_on = newest.and_then(|b| serde_json::from_str::<GitOnly>(b.get()).ok()?.git);
    out.run = run.and_then(|r| serde_json::from_str(r.get()).ok());
    out.tasks = slots.into_iter().map(|(task, slot)| (task, slot.read())).collect();
    out
}

/// The same for the ledger as it was when it ended with a record of this number and digest; nothing if it never did.
pub fn fold_to(text: &[u8], seq: u64, head: Digest) -> Option<History> {
    let mut end = 0;
    for line in text.split_inclusive(|b| *b == b'\n') {
        end += line.len();
        let line = line.strip_suffix(b"\n")?;
        if serde_json::from_slice::<Header<'_>>(line).is_ok_and(|h| h.seq == seq) && Digest::of(line) == head
        {
            return Some(fold(&text[..end]));
        }
    }
    None
}

impl<'a> Slot<'a> {
    /// Takes in one record; false if its kind is unknown.
    fn take(&mut self, kind: &str, header: Header<'a>, body: &'a RawValue) -> bool {
        match kind {
            "task-started" => {
                self.start = Some((header, body));
                self.end = None;
                self.left = None;
                self.left_since = None;
                self.torn_down = None;
                self.drift = None;
                self.confirmed = None;
                self.attempts += 1;
            }
            "task-ended" => {
                let Ok(brief) = serde_json::from_str::<EndedBriefly<'_>>(body.get()) else { return false };
                let Some(start) = self.start.as_ref().filter(|(_, b)| attempt_of(b) == Some(brief.attempt))
                else {
                    return false;
                };
                if brief.outcome == Outcome::Passed {
                    self.passed = Some((start.clone(), (header.clone(), body)));
                    if self.durations.len() == KEPT_DURATIONS {
                        self.durations.remove(0);
                    }
                    self.durations.push(Duration::from_millis(brief.ms));
                }
                self.end = Some((header, body));
            }
            "task-left" => {
                let same = self.left.as_ref().is_some_and(|(_, old)| state_of(old) == state_of(body));
                if !same {
                    self.left_since = Some(header.at);
                }
                self.left = Some((header, body));
            }
            "task-skipped" => self.skip = Some((header, body)),
            "task-forgotten" => {
                let durations = std::mem::take(&mut self.durations);
                let attempts = self.attempts;
                *self = Self { durations, attempts, ..Self::default() };
            }
            "torn-down" => self.torn_down = Some(body),
            // Of two looks the later counts.
            "drifted" => {
                self.drift = Some((header, body));
                self.confirmed = None;
            }
            "confirmed" => {
                self.drift = None;
                self.confirmed = Some((header, body));
            }
            _ => return false,
        }
        true
    }

    fn read(self) -> TaskHistory {
        let attempt = |start: &Unread<'_>, end: Option<&Unread<'_>>| {
            Some(Attempt {
                run: start.0.run.to_string(),
                started_at: start.0.at,
                started: serde_json::from_str(start.1.get()).ok()?,
                ended: end.and_then(|(h, b)| Some((h.at, serde_json::from_str(b.get()).ok()?))),
            })
        };
        let last = self.start.as_ref().and_then(|s| attempt(s, self.end.as_ref()));
        let id = last.as_ref().map(|a| a.started.attempt.clone());
        let passed = self
            .passed
            .as_ref()
            .and_then(|(s, e)| attempt(s, Some(e)))
            .filter(|a| Some(&a.started.attempt) != id.as_ref());
        let torn_down = self
            .torn_down
            .and_then(|b| serde_json::from_str::<TornDown>(b.get()).ok())
            .is_some_and(|t| Some(&t.attempt) == id.as_ref());
        TaskHistory {
            last,
            passed,
            skip: self.skip.and_then(|(h, b)| Some((serde_json::from_str(b.get()).ok()?, h.at))),
            left: self.left.and_then(|(_, b)| serde_json::from_str(b.get()).ok()),
            left_since: self.left_since,
            drift: self.drift.and_then(|(h, b)| Some((serde_json::from_str(b.get()).ok()?, h.at))),
            confirmed: self
                .confirmed
                .filter(|(_, body)| attempt_of(body).is_some_and(|a| id.as_deref() == Some(a)))
                .map(|(header, _)| header.at),
            torn_down,
            durations: self.durations,
            attempts: self.attempts,
        }
    }
}

/// Every record is asked for it, and it is what we write first: most often nothing else has to be read.
fn attempt_of(body: &RawValue) -> Option<&str> {
    let first = body.get().strip_prefix("{\"attempt\":\"").and_then(|rest| rest.split_once('"'));
    if let Some((id, _)) = first.filter(|(id, _)| !id.contains('\\')) {
        return Some(id);
    }
    serde_json::from_str::<AttemptOnly<'_>>(body.get()).ok().map(|a| a.attempt)
}

fn state_of(body: &RawValue) -> Option<String> {
    serde_json::from_str::<TaskLeft>(body.get()).ok().map(|l| l.state)
}

impl History {
    /// What counts about a task; the same emptiness for every task that nothing is known of.
    pub fn task(&self, id: &str) -> &TaskHistory {
        static NOTHING: std::sync::LazyLock<TaskHistory> = std::sync::LazyLock::new(TaskHistory::default);
        self.tasks.get(id).unwrap_or(&NOTHING)
    }

    /// The repository's state at the last attempt or run on record.
    pub fn git(&self) -> Option<&Git> {
        self.tried_on.as_ref().or_else(|| self.run.as_ref()?.git.as_ref())
    }
}
