//! Whether the records still are the chain that was written, and the logs what they were: what `evidence verify`
//! says. Pure, and linear in the text as long as nothing is wrong.
//!
//! Every record holds the digest of the line before it (`prev`) and a number (`seq`). A record is *vouched for* if
//! another one names its digest: then it is what it was when that other one was written. So a mistake is looked for
//! where a `prev` names a line that is not the one before. If there is no such line at all, the line that has the
//! number before was edited, or, if nothing has that number, removed. If the line is there but elsewhere, lines were
//! moved or put in between.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::event::{Header, LogsPruned};
use crate::ids::Digest;
use crate::wording;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrong {
    /// A record is not what it was.
    Edited,
    /// A record was put in between.
    Inserted,
    /// Records are missing.
    Removed,
    /// A record does not stand where it was written.
    Reordered,
    /// A record stands there twice.
    Duplicated,
    /// A line is no record.
    Unreadable,
    /// The last line has no end.
    Unfinished,
    /// No record has the digest that was noted elsewhere.
    HeadUnknown,
    /// A log is not what it was.
    LogAltered,
    /// A log is not there, and its removal is not on record.
    LogMissing,
    /// A log could not be read.
    LogUnreadable,
    /// No record names this log.
    LogUnknown,
}

impl Wrong {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Inserted => "put in between",
            Self::Removed => "removed",
            Self::Reordered => "out of order",
            Self::Duplicated => "duplicated",
            Self::Unreadable => "unreadable",
            Self::Unfinished => "unfinished",
            Self::HeadUnknown => "head not found",
            Self::LogAltered => "log altered",
            Self::LogMissing => "log missing",
            Self::LogUnreadable => "log unreadable",
            Self::LogUnknown => "log of nobody",
        }
    }
}

/// Something that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flaw {
    /// What.
    pub what: Wrong,
    /// The line in the ledger, from 1; of removed records the one before which they are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Number of the record; of several removed ones the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Number of the last one, if several were removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seq: Option<u64>,
    /// Kind of the record, as it stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The task that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Utf8PathBuf>,
    /// Why it is thought to be wrong, in words.
    pub says: String,
}

impl Flaw {
    fn new(what: Wrong, says: impl Into<String>) -> Self {
        let says = says.into();
        Self { what, line: None, seq: None, last_seq: None, kind: None, task: None, path: None, says }
    }

    fn at(line: usize, what: Wrong, says: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::new(what, says) }
    }
}

/// A ledger as a chain.
#[derive(Debug, Default)]
pub struct Chain {
    /// How many records there are.
    pub records: usize,
    /// Digest of the last whole line: the head. It says which text this was.
    pub head: Option<Digest>,
    /// What is wrong with the records.
    pub flaws: Vec<Flaw>,
    /// Logs on record, by path.
    pub logs: BTreeMap<Utf8PathBuf, LogOnRecord>,
    /// Line and number of each record, by its digest.
    places: HashMap<Digest, (usize, Option<u64>)>,
    /// Task and number of the attempts whose run did not end in order: nobody could record their cleaning up.
    unended: HashSet<(String, u32)>,
}

/// What `evidence verify` says.
#[derive(Debug, Serialize)]
pub struct Verified {
    /// True if nothing is wrong.
    pub intact: bool,
    /// How many records there are.
    pub records: usize,
    /// Digest of the last one.
    pub head: Option<Digest>,
    /// Where the digest is that was noted elsewhere, if one was given.
    pub anchor: Option<Anchor>,
    /// The logs, counted.
    pub logs: LogCounts,
    /// What is wrong.
    pub findings: Vec<Flaw>,
}

/// A digest that was noted elsewhere, and the record that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Anchor {
    /// The digest.
    pub digest: Digest,
    /// Line of the record; nothing if no record has the digest.
    pub line: Option<usize>,
    /// Its number.
    pub seq: Option<u64>,
    /// How many records follow it.
    pub after: Option<usize>,
}

/// Logs by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LogCounts {
    /// As they were recorded.
    pub intact: usize,
    /// Removed, on record.
    pub pruned: usize,
    /// Of attempts that did not end: what they should be is not on record.
    pub open: usize,
}

/// A log that a record names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOnRecord {
    /// Line of the record that has its digest, or else of the one that names it.
    pub line: usize,
    /// Number of that record.
    pub seq: u64,
    /// Its kind.
    pub kind: String,
    /// The task.
    pub task: Option<String>,
    /// What it was; nothing if the attempt did not end.
    pub digest: Option<String>,
    /// Its removal is on record.
    pub pruned: bool,
}

/// A line that is not empty.
struct Item<'a> {
    line: usize,
    digest: Digest,
    /// Nothing if it can't be read.
    record: Option<Record<'a>>,
}

struct Record<'a> {
    seq: u64,
    prev: Digest,
    kind: Cow<'a, str>,
    task: Option<Cow<'a, str>>,
}

/// What the fields say that are about logs, whatever the kind.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    attempt: Option<Cow<'a, str>>,
    #[serde(default)]
    number: Option<u32>,
    #[serde(borrow, default)]
    log: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    digest: Option<Cow<'a, str>>,
}

/// Reads the text of a ledger.
pub fn chain(text: &[u8]) -> Chain {
    let mut out = Chain::default();
    let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let mut items: Vec<Item<'_>> = Vec::new();
    let mut logs = Logs::default();
    let lines = text[..whole].strip_suffix(b"\n").map(|t| t.split(|b| *b == b'\n'));
    let mut n_lines = 0;
    for (at, bytes) in lines.into_iter().flatten().enumerate() {
        let line = at + 1;
        n_lines = line;
        if bytes.is_empty() {
            out.flaws.push(Flaw::at(line, Wrong::Unreadable, "an empty line"));
            continue;
        }
        let record = match serde_json::from_slice::<Header<'_>>(bytes) {
            Ok(header) => {
                logs.take(&mut out, line, &header);
                Some(Record { seq: header.seq, prev: header.prev, kind: header.kind, task: header.task })
            }
            Err(error) => {
                let says = format!("no record can be read from it: {error}");
                out.flaws.push(Flaw::at(line, Wrong::Unreadable, says));
                None
            }
        };
        items.push(Item { line, digest: Digest::of(bytes), record });
    }
    if whole < text.len() {
        let n = wording::plural(text.len() - whole, "byte");
        let says = format!("the last line has {n} and no end; a run cuts it off when it begins");
        out.flaws.push(Flaw::at(n_lines + 1, Wrong::Unfinished, says));
    }
    logs.finish(&mut out);
    out.records = items.iter().filter(|item| item.record.is_some()).count();
    out.head = items.last().map(|item| item.digest);
    Judge::new(&items).judge(&mut out.flaws);
    out.places = items.iter().map(|i| (i.digest, (i.line, i.record.as_ref().map(|r| r.seq)))).collect();
    out.flaws.sort_by_key(|flaw| (flaw.line, flaw.what));
    out
}

impl Chain {
    /// Judges the whole. `found` has the logs that are there, by path relative to the root, each with its digest or
    /// why it could not be read. While a run is `under_way` it may be writing a log that no record names yet. `head`
    /// is a digest that was noted elsewhere.
    pub fn verify(
        &self,
        found: &BTreeMap<Utf8PathBuf, Result<String, String>>,
        under_way: bool,
        head: Option<Digest>,
    ) -> Verified {
        let mut findings = self.flaws.clone();
        let anchor = head.map(|digest| self.anchor(digest));
        if anchor.is_some_and(|anchor| anchor.line.is_none()) {
            let says = "no record has this digest: what it was taken from was edited or cut off";
            findings.push(Flaw::new(Wrong::HeadUnknown, says));
        }
        findings.extend(self.compare(found, under_way));
        let mut logs = LogCounts::default();
        for (path, log) in &self.logs {
            match (found.get(path), &log.digest) {
                (_, None) => logs.open += 1,
                (Some(Ok(digest)), Some(wanted)) => logs.intact += usize::from(digest == wanted),
                (None, Some(_)) => logs.pruned += usize::from(log.pruned),
                (Some(Err(_)), Some(_)) => {}
            }
        }
        let (records, head) = (self.records, self.head);
        Verified { intact: findings.is_empty(), records, head, anchor, logs, findings }
    }

    fn anchor(&self, digest: Digest) -> Anchor {
        let Some((line, seq)) = self.places.get(&digest).copied() else {
            return Anchor { digest, line: None, seq: None, after: None };
        };
        let after = self.places.values().filter(|(other, seq)| *other > line && seq.is_some()).count();
        Anchor { digest, line: Some(line), seq, after: Some(after) }
    }

    /// Compares the logs on record with those that are there.
    fn compare(&self, found: &BTreeMap<Utf8PathBuf, Result<String, String>>, under_way: bool) -> Vec<Flaw> {
        let mut out = Vec::new();
        for (path, log) in &self.logs {
            let Some(wanted) = &log.digest else { continue };
            let (what, says) = match found.get(path) {
                Some(Ok(digest)) if digest == wanted => continue,
                Some(Ok(_)) => (Wrong::LogAltered, "its content is not what was recorded".to_owned()),
                Some(Err(why)) => (Wrong::LogUnreadable, why.clone()),
                None if log.pruned => continue,
                None => (Wrong::LogMissing, "it is not there, and its removal is not on record".to_owned()),
            };
            let at = Flaw::at(log.line, what, says);
            let (kind, task) = (Some(log.kind.clone()), log.task.clone());
            out.push(Flaw { seq: Some(log.seq), kind, task, path: Some(path.clone()), ..at });
        }
        let strangers = found.keys().filter(|path| !self.logs.contains_key(*path));
        for path in strangers.filter(|path| !under_way && !self.is_unended_cleaning(path)) {
            let flaw = Flaw::new(Wrong::LogUnknown, "no record names it");
            out.push(Flaw { path: Some(path.clone()), ..flaw });
        }
        out
    }

    /// True for the log of cleaning up after an attempt whose run was killed: before it could record that, perhaps.
    fn is_unended_cleaning(&self, path: &Utf8Path) -> bool {
        let stem = path.file_stem().unwrap_or_default();
        let Some((rest, number)) = stem.rsplit_once('-').and_then(|(rest, _)| rest.rsplit_once('-')) else {
            return false;
        };
        let task = ["-teardown", "-recovery"].iter().find_map(|part| rest.strip_suffix(part));
        let (Some(task), Ok(number)) = (task, number.parse()) else { return false };
        self.unended.contains(&(task.to_owned(), number))
    }
}

/// What records say about logs, while they are read.
#[derive(Default)]
struct Logs<'a> {
    /// The log of each attempt.
    of_attempt: HashMap<Cow<'a, str>, Utf8PathBuf>,
    /// Attempts by the run that began them.
    of_run: HashMap<Cow<'a, str>, Vec<(String, u32)>>,
    pruned: Vec<Utf8PathBuf>,
}

impl<'a> Logs<'a> {
    fn take(&mut self, out: &mut Chain, line: usize, header: &Header<'a>) {
        let body = header.event.get();
        match header.kind.as_ref() {
            "run-ended" => {
                self.of_run.remove(&header.run);
                return;
            }
            "logs-pruned" => {
                let logs = serde_json::from_str::<LogsPruned>(body).map(|e| e.logs);
                self.pruned.extend(logs.unwrap_or_default());
                return;
            }
            "task-started" | "task-ended" | "torn-down" => {}
            _ => return,
        }
        let Ok(body) = serde_json::from_str::<Body<'_>>(body) else { return };
        let task = header.task.as_ref().map(ToString::to_string);
        let log = |digest: Option<Cow<'_, str>>| LogOnRecord {
            line,
            seq: header.seq,
            kind: header.kind.to_string(),
            task: task.clone(),
            digest: digest.map(Cow::into_owned),
            pruned: false,
        };
        match (header.kind.as_ref(), body.attempt, body.log) {
            ("task-started", attempt, Some(path)) => {
                let path = Utf8PathBuf::from(path.as_ref());
                out.logs.insert(path.clone(), log(None));
                if let Some(attempt) = attempt {
                    self.of_attempt.insert(attempt, path);
                }
                if let (Some(task), Some(number)) = (&task, body.number) {
                    self.of_run.entry(header.run.clone()).or_default().push((task.clone(), number));
                }
            }
            ("task-ended", Some(attempt), digest) => {
                if let Some(path) = self.of_attempt.get(&attempt) {
                    out.logs.insert(path.clone(), log(digest));
                }
            }
            ("torn-down", _, Some(path)) => {
                out.logs.insert(Utf8PathBuf::from(path.as_ref()), log(body.digest));
            }
            _ => {}
        }
    }

    fn finish(self, out: &mut Chain) {
        for path in self.pruned {
            if let Some(log) = out.logs.get_mut(&path) {
                log.pruned = true;
            }
        }
        out.unended = self.of_run.into_values().flatten().collect();
    }
}

/// Where the `prev` of a record leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    /// It is the first record.
    Start,
    /// To this line.
    To(usize),
    /// To no line that is there.
    Nowhere,
}

/// Finds out what was done to a chain. Positions are those in `items`.
struct Judge<'i, 'a> {
    items: &'i [Item<'a>],
    /// The line with this digest; of several the one that stands where it was written.
    by_digest: HashMap<Digest, usize>,
    /// Copies, each with its original.
    copies: BTreeMap<usize, usize>,
    /// The record with this number.
    by_seq: BTreeMap<u64, usize>,
    /// Lines that a record names.
    vouched: HashSet<usize>,
    /// Lines of which more is known than that they can't be read.
    explained: HashSet<usize>,
    flaws: BTreeMap<(usize, Wrong), Flaw>,
}

impl<'i, 'a> Judge<'i, 'a> {
    fn new(items: &'i [Item<'a>]) -> Self {
        let (by_digest, copies) = (HashMap::with_capacity(items.len()), BTreeMap::new());
        let (by_seq, vouched) = (BTreeMap::new(), HashSet::new());
        let (explained, flaws) = (HashSet::new(), BTreeMap::new());
        Self { items, by_digest, copies, by_seq, vouched, explained, flaws }
    }

    fn judge(mut self, out: &mut Vec<Flaw>) {
        if self.is_intact() {
            return;
        }
        self.find_copies();
        self.index();
        self.find_disorder();
        self.find_lost();
        self.find_gaps();
        // These lines are told of with more than that they can't be read.
        let explained: HashSet<usize> = self.explained.iter().map(|at| self.items[*at].line).collect();
        let is_told = |flaw: &Flaw| flaw.line.is_some_and(|line| explained.contains(&line));
        out.retain(|flaw| flaw.what != Wrong::Unreadable || !is_told(flaw));
        out.extend(self.flaws.into_values());
    }

    /// True if every line is a record that names the one before and counts on from it.
    fn is_intact(&self) -> bool {
        let (mut prev, mut seq) = (Digest::of(b""), 0);
        self.items.iter().all(|item| {
            let fits = item.record.as_ref().is_some_and(|r| r.prev == prev && r.seq == seq + 1);
            (prev, seq) = (item.digest, seq + 1);
            fits
        })
    }

    fn record(&self, at: usize) -> Option<&'i Record<'a>> {
        self.items[at].record.as_ref()
    }

    /// Records with their positions, without copies, in the order of the file.
    fn records(&self) -> Vec<(usize, &'i Record<'a>)> {
        let items = self.items;
        let own = (0..items.len()).filter(|at| !self.copies.contains_key(at));
        own.filter_map(|at| Some((at, items[at].record.as_ref()?))).collect()
    }

    fn flaw(&mut self, at: usize, what: Wrong, says: impl Into<String>) {
        let mut flaw = Flaw::at(self.items[at].line, what, says);
        if let Some(record) = self.record(at) {
            flaw.seq = Some(record.seq);
            flaw.kind = Some(record.kind.to_string());
            flaw.task = record.task.as_ref().map(ToString::to_string);
        }
        self.flaws.entry((at, what)).or_insert(flaw);
    }

    fn find_copies(&mut self) {
        for at in 0..self.items.len() {
            let item = &self.items[at];
            let Some(record) = &item.record else {
                self.by_digest.entry(item.digest).or_insert(at);
                continue;
            };
            let in_place = |at: usize| match at.checked_sub(1) {
                Some(before) => self.items[before].digest == record.prev,
                None => record.prev == Digest::of(b""),
            };
            match self.by_digest.get(&item.digest).copied() {
                None => {
                    self.by_digest.insert(item.digest, at);
                }
                Some(first) if in_place(at) && !in_place(first) => {
                    self.by_digest.insert(item.digest, at);
                    self.copies.insert(first, at);
                }
                Some(first) => {
                    self.copies.insert(at, first);
                }
            }
        }
        for (copy, original) in self.copies.clone() {
            // The original may have turned out to be a copy itself.
            let original = self.by_digest.get(&self.items[copy].digest).copied().unwrap_or(original);
            let says = format!("the same as line {}", self.items[original].line);
            self.flaw(copy, Wrong::Duplicated, says);
        }
    }

    fn index(&mut self) {
        for (_, record) in self.records() {
            if let Link::To(named) = self.link(record) {
                self.vouched.insert(named);
            }
        }
        let mut twins = Vec::new();
        for (at, record) in self.records() {
            let Some(other) = self.by_seq.insert(record.seq, at) else { continue };
            // Two records with one number: the one that another record names is the true one.
            let (kept, twin) = if self.vouched.contains(&at) { (at, other) } else { (other, at) };
            self.by_seq.insert(record.seq, kept);
            twins.push((kept, twin));
        }
        for (kept, twin) in twins {
            if self.vouched.contains(&kept) && !self.vouched.contains(&twin) && !self.is_misnumbered(twin) {
                let says = format!(
                    "line {} has the same number, and a later record names that one",
                    self.items[kept].line
                );
                self.flaw(twin, Wrong::Inserted, says);
            }
        }
    }

    fn link(&self, record: &Record<'_>) -> Link {
        match self.by_digest.get(&record.prev) {
            _ if record.prev == Digest::of(b"") => Link::Start,
            Some(at) => Link::To(*at),
            None => Link::Nowhere,
        }
    }

    /// The number that a record should have by the one that it names.
    fn due_seq(&self, at: usize) -> Option<u64> {
        match self.link(self.record(at)?) {
            Link::Start => Some(1),
            Link::To(before) => Some(self.record(before)?.seq.saturating_add(1)),
            Link::Nowhere => None,
        }
    }

    fn is_misnumbered(&self, at: usize) -> bool {
        self.record(at).is_some_and(|r| self.due_seq(at).is_some_and(|due| due != r.seq))
    }

    /// The line before, copies left out.
    fn before(&self, at: usize) -> Option<usize> {
        (0..at).rev().find(|before| !self.copies.contains_key(before))
    }

    /// Records whose `prev` names nothing that is there: what they name was edited or removed.
    fn find_lost(&mut self) {
        for (at, record) in self.records() {
            if self.link(record) != Link::Nowhere || self.flaws.contains_key(&(at, Wrong::Inserted)) {
                continue;
            }
            let line = self.items[at].line;
            if record.seq <= 1 {
                self.flaw(at, Wrong::Edited, "it is the first by its number, but names a record before it");
                continue;
            }
            if let Some(before) = self.by_seq.get(&(record.seq - 1)).copied() {
                if self.vouched.contains(&before) {
                    let says = format!("line {} was followed by another record", self.items[before].line);
                    self.flaw(at, Wrong::Inserted, says);
                } else {
                    self.edited(before, line, record.seq);
                }
                continue;
            }
            let before = self.before(at);
            if let Some(before) = before.filter(|before| self.is_misnumbered(*before)) {
                self.edited(before, line, record.seq);
                continue;
            }
            self.find_removed(at, record.seq);
        }
    }

    fn edited(&mut self, at: usize, line: usize, seq: u64) {
        let due = self.due_seq(at).filter(|_| self.is_misnumbered(at));
        let number = due.map_or_else(String::new, |due| format!("; its number should be {due}"));
        let says = format!("record {seq} on line {line} has another digest for the record before it{number}");
        self.flaw(at, Wrong::Edited, says);
    }

    /// Nothing has the number before that of the record at `at`.
    fn find_removed(&mut self, at: usize, seq: u64) {
        let first = self.by_seq.range(..seq).next_back().map_or(1, |(last, _)| last + 1);
        let mut missing = seq - first;
        // Lines that can't be read and stand in that place may be what is left of them.
        let mut place = at;
        while missing > 0
            && let Some(before) = self.before(place)
            && self.items[before].record.is_none()
        {
            place = before;
            missing -= 1;
            self.explained.insert(before);
            let says = format!("a record was here that is no record any more: number {}", first + missing);
            self.flaw(before, Wrong::Unreadable, says);
            if let Some(flaw) = self.flaws.get_mut(&(before, Wrong::Unreadable)) {
                flaw.seq = Some(first + missing);
            }
        }
        if missing > 0 {
            self.removed(at, first, first + missing - 1);
        }
    }

    fn removed(&mut self, at: usize, first: u64, last: u64) {
        let says = match last - first {
            0 => format!("record {first} is missing"),
            n => format!("{} are missing, {first} to {last}", wording::plural(n as usize + 1, "record")),
        };
        let last_seq = (last > first).then_some(last);
        let flaw = Flaw::at(self.items[at].line, Wrong::Removed, says);
        self.flaws.insert((at, Wrong::Removed), Flaw { seq: Some(first), last_seq, ..flaw });
    }

    /// Records that name the right one but do not count on from it.
    fn find_gaps(&mut self) {
        for (at, record) in self.records() {
            let Some(due) = self.due_seq(at).filter(|due| *due != record.seq) else { continue };
            if [Wrong::Edited, Wrong::Inserted].iter().any(|what| self.flaws.contains_key(&(at, *what))) {
                continue;
            }
            let is_gap = record.seq > due && self.by_seq.range(due..record.seq).next().is_none();
            if is_gap && self.vouched.contains(&at) {
                self.removed(at, due, record.seq - 1);
            } else {
                self.flaw(at, Wrong::Edited, format!("its number should be {due}"));
            }
        }
    }

    /// Records that name one that does not stand before them.
    fn find_disorder(&mut self) {
        let mut astray = Vec::new();
        for (at, record) in self.records() {
            let named = match self.link(record) {
                Link::Nowhere => continue,
                Link::Start => None,
                Link::To(named) => Some(named),
            };
            // Lines that can't be read may have been put in between; that is said of them already.
            let mut before = self.before(at);
            while let Some(b) = before.filter(|b| before != named && self.items[*b].record.is_none()) {
                before = self.before(b);
            }
            // What a record names says nothing if its number does not fit, or if it is none of the chain.
            let is_false = self.is_misnumbered(at) || self.flaws.contains_key(&(at, Wrong::Inserted));
            if before != named && !is_false {
                astray.push((at, named));
            }
        }
        if astray.is_empty() {
            return;
        }
        let numbered: Vec<(usize, u64)> = self
            .records()
            .into_iter()
            .filter(|(at, r)| self.by_seq.get(&r.seq) == Some(at) && !self.is_misnumbered(*at))
            .map(|(at, r)| (at, r.seq))
            .collect();
        let in_order = longest_rise(&numbered);
        let moved: BTreeSet<usize> =
            numbered.iter().map(|(at, _)| *at).filter(|at| !in_order.contains(at)).collect();
        for at in &moved {
            let says = match self.record(*at).map(|r| self.link(r)) {
                Some(Link::To(named)) => format!("it was written after line {}", self.items[named].line),
                _ => "it was the first".to_owned(),
            };
            self.flaw(*at, Wrong::Reordered, says);
        }
        // How many records say of each line that they were written without it, as steps up and down.
        let mut steps = vec![0_i64; self.items.len() + 1];
        for (at, named) in &astray {
            if !moved.contains(at) && !named.is_some_and(|named| moved.contains(&named)) {
                let from = named.map_or(0, |named| named + 1);
                steps[from.min(*at)] += 1;
                steps[*at] -= 1;
            }
        }
        let mut without = 0;
        for (at, step) in steps[..self.items.len()].iter().enumerate() {
            without += step;
            let own = !self.copies.contains_key(&at) && !moved.contains(&at) && self.record(at).is_some();
            if without > 0 && own {
                self.flaw(at, Wrong::Inserted, "the records around it were written without it");
            }
        }
        if self.flaws.is_empty() {
            self.flaw(astray[0].0, Wrong::Reordered, "what it was written after does not stand before it");
        }
    }
}

/// Positions that stay in place if as few as possible are taken out so that the numbers of the rest rise.
fn longest_rise(numbered: &[(usize, u64)]) -> HashSet<usize> {
    // For each length the end of the rise with the lowest number, and for each entry the one before it.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; numbered.len()];
    for (i, (_, seq)) in numbered.iter().enumerate() {
        let length = ends.partition_point(|end| numbered[*end].1 < *seq);
        before[i] = length.checked_sub(1).map(|l| ends[l]);
        if length == ends.len() { ends.push(i) } else { ends[length] = i }
    }
    let mut out = HashSet::new();
    let mut next = ends.last().copied();
    while let Some(i) = next {
        out.insert(numbered[i].0);
        next = before[i];
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Lines of a ledger, chained, with so many records.
    fn lines(n: u64) -> Vec<String> {
        let bodies = (1..=n).map(|seq| ("noted", json!({ "of": seq })));
        chained(bodies.map(|(kind, event)| (kind.to_owned(), "r1".to_owned(), event)))
    }

    /// Kind, run and body of each record, as lines.
    fn chained(records: impl IntoIterator<Item = (String, String, serde_json::Value)>) -> Vec<String> {
        let mut prev = Digest::of(b"");
        let mut out = Vec::new();
        for (i, (kind, run, event)) in records.into_iter().enumerate() {
            let (seq, at) = (i + 1, "2026-01-27T10:20:30Z");
            let line = json!({
                "v": 1, "seq": seq, "prev": prev, "at": at, "run": run, "kind": kind, "task": format!("T{seq}"), "event": event,
            })
            .to_string();
            prev = Digest::of(line.as_bytes());
            out.push(line);
        }
        out
    }

    fn text(lines: &[String]) -> Vec<u8> {
        lines.iter().flat_map(|line| line.bytes().chain([b'\n'])).collect()
    }

    /// What is found, in words: `edited 3 (T3)`, `removed 4-5`.
    fn found(lines: &[String]) -> Vec<String> {
        let word = |flaw: &Flaw| {
            let line = flaw.line.unwrap_or_default();
            match (flaw.what, flaw.seq, flaw.last_seq) {
                (Wrong::Removed, Some(first), Some(last)) => {
                    format!("removed {first}-{last} before line {line}")
                }
                (Wrong::Removed, Some(first), None) => format!("removed {first} before line {line}"),
                (what, Some(seq), _) => format!("{} {seq} on line {line}", what.name()),
                (what, None, _) => format!("{} line {line}", what.name()),
            }
        };
        chain(&text(lines)).flaws.iter().map(word).collect()
    }

    fn edit(lines: &mut [String], at: usize, old: &str, new: &str) {
        let edited = lines[at].replacen(old, new, 1);
        assert_ne!(edited, lines[at]);
        lines[at] = edited;
    }

    fn prev_of(lines: &[String], at: usize) -> String {
        serde_json::from_str::<Header<'_>>(&lines[at]).expect("a record").prev.to_string()
    }

    #[test]
    fn a_chain_as_it_was_written_has_no_flaw() {
        for n in 0..4 {
            let lines = lines(n);
            let chain = chain(&text(&lines));
            assert_eq!((chain.flaws, chain.records), (Vec::new(), n as usize));
            assert_eq!(chain.head, lines.last().map(|line| Digest::of(line.as_bytes())));
        }
    }

    /// What was done to a ledger of nine records, and what is said of it.
    #[test]
    fn each_kind_of_tampering_is_named_with_its_place() {
        type Tamper = fn(&mut Vec<String>);
        let table: &[(&str, Tamper, &[&str])] = &[
            ("an edited body", |l| edit(l, 3, r#""of":4"#, r#""of":5"#), &["edited 4 on line 4"]),
            ("an edited first", |l| edit(l, 0, "noted", "voted"), &["edited 1 on line 1"]),
            ("an edited time", |l| edit(l, 7, "2026", "2027"), &["edited 8 on line 8"]),
            ("an edited task", |l| edit(l, 2, "T3", "T4"), &["edited 3 on line 3"]),
            ("an edited number", |l| edit(l, 3, r#""seq":4"#, r#""seq":40"#), &["edited 40 on line 4"]),
            ("the number of another", |l| edit(l, 3, r#""seq":4"#, r#""seq":7"#), &["edited 7 on line 4"]),
            ("that of the next", |l| edit(l, 3, r#""seq":4"#, r#""seq":5"#), &["edited 5 on line 4"]),
            ("that of the last", |l| edit(l, 8, r#""seq":9"#, r#""seq":90"#), &["edited 90 on line 9"]),
            (
                "two edited neighbours",
                |l| {
                    edit(l, 3, "noted", "x");
                    edit(l, 4, "noted", "x");
                },
                &["edited 4 on line 4", "edited 5 on line 5"],
            ),
            // It names the one before wrongly now, so that one can't be told from an edited one.
            (
                "an edited prev",
                |l| {
                    let prev = prev_of(l, 3);
                    edit(l, 3, &prev, &"0".repeat(32));
                },
                &["edited 3 on line 3", "edited 4 on line 4"],
            ),
            ("a removed record", |l| drop(l.remove(4)), &["removed 5 before line 5"]),
            ("a removed first", |l| drop(l.remove(0)), &["removed 1 before line 1"]),
            ("three removed", |l| drop(l.drain(2..5)), &["removed 3-5 before line 3"]),
            (
                "removed in two places",
                |l| {
                    l.remove(6);
                    l.remove(1);
                },
                &["removed 2 before line 2", "removed 7 before line 6"],
            ),
            (
                "removed, and the next edited",
                |l| {
                    l.remove(3);
                    edit(l, 3, "noted", "x");
                },
                &["edited 5 on line 4", "removed 4 before line 4"],
            ),
            ("two neighbours swapped", |l| l.swap(3, 4), &["out of order 5 on line 4"]),
            ("the last two swapped", |l| l.swap(7, 8), &["out of order 9 on line 8"]),
            ("the first two swapped", |l| l.swap(0, 1), &["out of order 2 on line 1"]),
            (
                "moved down",
                |l| {
                    let r = l.remove(2);
                    l.insert(6, r);
                },
                &["out of order 3 on line 7"],
            ),
            (
                "moved up",
                |l| {
                    let r = l.remove(6);
                    l.insert(2, r);
                },
                &["out of order 7 on line 3"],
            ),
            ("twice in a row", |l| l.insert(4, l[3].clone()), &["duplicated 4 on line 5"]),
            ("once more at the end", |l| l.push(l[3].clone()), &["duplicated 4 on line 10"]),
            ("once more before", |l| l.insert(1, l[6].clone()), &["duplicated 7 on line 2"]),
            ("no record any more", |l| l[3] = "x".to_owned(), &["unreadable 4 on line 4"]),
            ("no last record any more", |l| l[8] = "x".to_owned(), &["unreadable line 9"]),
            ("something between", |l| l.insert(3, "x".to_owned()), &["unreadable line 4"]),
            ("an empty line", |l| l.insert(3, String::new()), &["unreadable line 4"]),
            (
                "a foreign record",
                |l| l.insert(3, lines(2)[1].replace("noted", "x")),
                &["put in between 2 on line 4"],
            ),
            (
                "one that fits",
                |l| {
                    let x = l[3].replace("noted", "x");
                    l.insert(3, x);
                },
                &["put in between 4 on line 4"],
            ),
            (
                "one that fits at the end",
                |l| {
                    let x = l[8].replace("noted", "x");
                    l.insert(8, x);
                },
                &["put in between 9 on line 9"],
            ),
            (
                "one with the greatest number",
                |l| {
                    let x = l[3].replace(r#""seq":4"#, r#""seq":18446744073709551615"#);
                    l.push(x.clone());
                    l.push(x);
                },
                &["edited 18446744073709551615 on line 10", "duplicated 18446744073709551615 on line 11"],
            ),
            (
                "one with any number",
                |l| {
                    let x = l[3].replace(r#""seq":4"#, r#""seq":99"#);
                    l.insert(3, x);
                },
                &["put in between 99 on line 4"],
            ),
        ];
        for (what, tamper, wanted) in table {
            let mut lines = lines(9);
            tamper(&mut lines);
            assert_eq!(found(&lines), *wanted, "{what}");
        }
    }
    #[test]
    fn a_number_that_was_left_out_when_the_chain_was_written_anew_is_missing() {
        let mut lines = lines(6);
        lines.remove(2);
        for at in 2..5 {
            let prev = Digest::of(lines[at - 1].as_bytes()).to_string();
            let old = prev_of(&lines, at);
            edit(&mut lines, at, &old, &prev);
        }
        assert_eq!(found(&lines), ["removed 3 before line 3"]);
    }

    #[test]
    fn an_unfinished_last_line_is_found() {
        let mut text = text(&lines(3));
        text.extend_from_slice(b"{\"v\":1,");
        let chain = chain(&text);
        assert_eq!((chain.records, chain.flaws.len()), (3, 1));
        assert_eq!((chain.flaws[0].what, chain.flaws[0].line), (Wrong::Unfinished, Some(4)));
        assert_eq!(super::chain(b"x").flaws[0].line, Some(1));
    }

    #[test]
    fn what_a_program_wrote_behind_an_unreadable_line_is_chained_to_it() {
        let mut all = lines(3);
        all.push("x".to_owned());
        let prev = Digest::of(b"x").to_string();
        let last = lines(4)[3].replace(&prev_of(&lines(4), 3), &prev);
        all.push(last);
        assert_eq!(found(&all), ["unreadable line 4"]);
    }

    #[test]
    fn a_head_anchors_what_was_before_it() {
        let lines = lines(5);
        let chain = chain(&text(&lines));
        let third = Digest::of(lines[2].as_bytes());
        let verify = |head| chain.verify(&BTreeMap::new(), false, Some(head));
        let known = verify(third);
        assert_eq!(known.anchor, Some(Anchor { digest: third, line: Some(3), seq: Some(3), after: Some(2) }));
        assert!(known.intact);
        let unknown = verify(Digest::of(b"another"));
        assert_eq!(unknown.anchor.and_then(|anchor| anchor.line), None);
        assert_eq!(unknown.findings[0].what, Wrong::HeadUnknown);
    }

    /// One run that ended and one that was killed, with logs of every kind.
    fn with_logs() -> Chain {
        let start = |attempt: &str, number: u32, log: &str| json!({ "attempt": attempt, "number": number, "log": log });
        let end = |attempt: &str, digest: &str| json!({ "attempt": attempt, "log": digest });
        let records = [
            ("task-started", "r1", start("a", 1, "l/a")),
            ("task-ended", "r1", end("a", "d-a")),
            ("task-started", "r1", start("b", 1, "l/b")),
            ("task-ended", "r1", end("b", "d-b")),
            ("torn-down", "r1", json!({ "attempt": "b", "log": "l/down", "digest": "d-down" })),
            ("logs-pruned", "r1", json!({ "keep": 1, "logs": ["l/a"] })),
            ("run-ended", "r1", json!({ "exit": 0 })),
            ("task-started", "r2", start("c", 3, "l/c")),
        ];
        let lines = chained(records.map(|(kind, run, body)| (kind.to_owned(), run.to_owned(), body)));
        chain(&text(&lines))
    }

    fn compared(found: &[(&str, &str)], under_way: bool) -> Vec<String> {
        let found = found.iter().map(|(path, digest)| {
            let digest =
                if *digest == "locked" { Err("locked".to_owned()) } else { Ok((*digest).to_owned()) };
            (Utf8PathBuf::from(path), digest)
        });
        let flaws = with_logs().verify(&found.collect(), under_way, None).findings;
        let word = |f: Flaw| format!("{} {} {:?}", f.what.name(), f.path.unwrap_or_default(), f.seq);
        flaws.into_iter().map(word).collect()
    }

    #[test]
    fn logs_are_what_was_recorded() {
        let all = [("l/b", "d-b"), ("l/down", "d-down"), ("l/c", "whatever")];
        assert_eq!(compared(&all, false), [""; 0]);
        let there = all.map(|(path, digest)| (Utf8PathBuf::from(path), Ok(digest.to_owned()))).into();
        let counts = LogCounts { intact: 2, pruned: 1, open: 1 };
        assert_eq!(with_logs().verify(&there, false, None).logs, counts);
        // Pruned, but the run was killed before it could remove it.
        assert_eq!(compared(&[&all[..], &[("l/a", "d-a")]].concat(), false), [""; 0]);
        assert_eq!(
            compared(&[("l/a", "else"), ("l/b", "else"), ("l/x", "")], false),
            [
                "log altered l/a Some(2)",
                "log altered l/b Some(4)",
                "log missing l/down Some(5)",
                "log of nobody l/x None"
            ]
        );
        assert_eq!(compared(&[("l/b", "locked"), all[1]], false), ["log unreadable l/b Some(4)"]);
    }

    #[test]
    fn a_log_that_could_not_be_recorded_is_no_flaw() {
        let all = [("l/b", "d-b"), ("l/down", "d-down")];
        let with = |log: &'static str| [&all[..], &[(log, "x")]].concat();
        // The attempt of the run that was killed is number 3 of the task of the eighth record.
        assert_eq!(compared(&with("l/T8-teardown-3-0a1b2c3d.log"), false), [""; 0]);
        assert_eq!(compared(&with("l/T8-recovery-3-0a1b2c3d.log"), false), [""; 0]);
        assert_eq!(compared(&with("l/T8-recovery-2-0a1b2c3d.log"), false).len(), 1);
        assert_eq!(compared(&with("l/T1-teardown-1-0a1b2c3d.log"), false).len(), 1);
        assert_eq!(compared(&with("l/T1-teardown-1-0a1b2c3d.log"), true), [""; 0]);
    }

    proptest! {
        #[test]
        fn no_edit_of_a_line_goes_unseen(n in 2_u64..12, at in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>(), new in any::<u8>()) {
            let lines = lines(n);
            let at = at.index(lines.len());
            let mut bytes: Vec<Vec<u8>> = lines.iter().map(|line| line.clone().into_bytes()).collect();
            let byte = byte.index(bytes[at].len());
            prop_assume!(bytes[at][byte] != new && new != b'\n');
            bytes[at][byte] = new;
            let text: Vec<u8> = bytes.into_iter().flat_map(|line| line.into_iter().chain([b'\n'])).collect();
            let chain = chain(&text);
            let head = Digest::of(lines[lines.len() - 1].as_bytes());
            if at + 1 < lines.len() {
                prop_assert!(!chain.flaws.is_empty());
                // Whoever names it knows which one it was, unless its own name for the one before was edited.
                let edited = |flaw: &Flaw| [Wrong::Edited, Wrong::Unreadable].contains(&flaw.what) && flaw.line == Some(at + 1);
                prop_assert!(chain.flaws.iter().any(edited), "{:?}", chain.flaws);
            } else {
                prop_assert!(!chain.verify(&BTreeMap::new(), false, Some(head)).intact, "only the head tells");
            }
        }

        #[test]
        fn no_removal_goes_unseen(n in 2_u64..40, from in any::<prop::sample::Index>(), count in 1_usize..5) {
            let all = lines(n);
            let from = from.index(all.len());
            let to = (from + count).min(all.len());
            let left = [&all[..from], &all[to..]].concat();
            let chain = chain(&text(&left));
            if to < all.len() {
                prop_assert_eq!(chain.flaws.len(), 1);
                prop_assert_eq!(chain.flaws[0].what, Wrong::Removed);
                prop_assert_eq!((chain.flaws[0].seq, chain.flaws[0].last_seq), (Some(from as u64 + 1), (to > from + 1).then_some(to as u64)));
            } else {
                prop_assert!(chain.flaws.is_empty());
                let head = Digest::of(all[all.len() - 1].as_bytes());
                prop_assert!(!chain.verify(&BTreeMap::new(), false, Some(head)).intact, "only the head tells");
            }
        }

        #[test]
        fn no_move_goes_unseen(n in 2_u64..20, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(), swap in any::<bool>()) {
            let mut all = lines(n);
            let a = a.index(all.len());
            let b = (a + 1 + b.index(all.len() - 1)) % all.len();
            if swap {
                all.swap(a, b);
            } else {
                let line = all.remove(a);
                all.insert(b, line);
            }
            let flaws = chain(&text(&all)).flaws;
            prop_assert!(!flaws.is_empty() && flaws.iter().all(|f| f.what == Wrong::Reordered), "{:?}", flaws);
        }

        #[test]
        fn no_copy_goes_unseen(n in 1_u64..20, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
            let mut all = lines(n);
            let (a, b) = (a.index(all.len()), b.index(all.len() + 1));
            let line = all[a].clone();
            all.insert(b, line);
            let flaws = chain(&text(&all)).flaws;
            prop_assert_eq!(flaws.len(), 1);
            prop_assert_eq!(flaws[0].what, Wrong::Duplicated);
        }

        #[test]
        fn nothing_that_is_done_to_a_chain_panics_or_goes_unseen(
            n in 1_u64..9,
            deeds in prop::collection::vec((0_u8..5, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
        ) {
            let original = lines(n);
            let mut all = original.clone();
            for (deed, a, b) in deeds {
                if all.is_empty() {
                    break;
                }
                let (a, b) = (a.index(all.len()), b.index(all.len()));
                match deed {
                    0 => drop(all.remove(a)),
                    1 => all.swap(a, b),
                    2 => all.insert(b, all[a].clone()),
                    3 => all[a] = all[a].replace("noted", "x"),
                    _ => all[a] = all[a].replacen(&format!("\"seq\":{}", a + 1), &format!("\"seq\":{}", b + 1), 1),
                }
            }
            let chain = chain(&text(&all));
            // What is left untouched up to its end, or up to an edited last one, is all that may look well.
            let untouched = all.iter().zip(&original).take_while(|(a, b)| a == b).count();
            let only_end = untouched + 1 >= all.len();
            prop_assert!(only_end || !chain.flaws.is_empty(), "{:#?}", all);
        }
    }
}
