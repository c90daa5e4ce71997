//! The ledger on disk: one writer at a time, one write per record, a sync soon after, and a tail that heals.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::chronicle::Chronicle;
use super::event::{Event, FORMAT, Header, LogsPruned};
use super::history::{Health, History, fold, fold_to};
use crate::exec::{self, Instance};
use crate::ids::Digest;
use crate::secrets::Secrets;
use crate::since::Point;
use crate::timings;

/// A record is on disk at most this long after it was written. Many short tasks share a sync.
pub const SYNC_DELAY: Duration = Duration::from_millis(100);

/// A lock whose holder can't be named is held for a moment only: by a run that is about to write its name, or by a
/// child of a killed run that was not yet another program, and had all that its parent had open.
const NAMELESS: Duration = Duration::from_secs(1);

/// The folder of everything that a pipeline keeps, `.xtask` beside pipeline.toml.
#[derive(Debug, Clone)]
pub struct Home {
    root: Utf8PathBuf,
    /// The ledger, as far as somebody has begun to read it: see [`Home::read_ahead`].
    ahead: Arc<Mutex<Option<JoinHandle<Option<Ahead>>>>>,
}

/// A ledger that was read before it was needed.
#[derive(Debug)]
struct Ahead {
    /// Size and time of the file before it was read.
    stamp: (u64, SystemTime),
    history: History,
}

impl Ahead {
    /// A ledger that takes longer to read than a thread takes to begin.
    const WORTH_IT: u64 = 256 << 10;

    fn read(home: &Home) -> Option<Self> {
        let mut file = File::open(home.ledger()).ok()?;
        let stamp = stamp(&file.metadata().ok()?)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).ok()?;
        Some(Self { stamp, history: fold(&text) })
    }
}

fn stamp(meta: &fs::Metadata) -> Option<(u64, SystemTime)> {
    Some((meta.len(), meta.modified().ok()?))
}

impl Home {
    /// The folder of the pipeline whose root this is.
    pub fn new(root: &Utf8Path) -> Self {
        Self { root: root.to_owned(), ahead: Arc::default() }
    }

    /// Begins to read the ledger in a thread, if that is worth it: who needs it soon finds it read, unless it has
    /// changed meanwhile.
    pub fn read_ahead(&self) {
        if fs::metadata(self.ledger()).is_ok_and(|meta| meta.is_file() && meta.len() >= Ahead::WORTH_IT) {
            let home = self.clone();
            let reader = std::thread::Builder::new().name("ledger-ahead".to_owned());
            let reading = reader.spawn(move || Ahead::read(&home)).ok();
            *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = reading;
        }
    }

    /// What was read ahead, if it is what the file holds now.
    fn take_ahead(&self) -> Option<History> {
        let reading = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let ahead = reading.join().ok()??;
        (Some(ahead.stamp) == stamp(&fs::metadata(self.ledger()).ok()?)).then_some(ahead.history)
    }

    /// `.xtask`
    pub fn dir(&self) -> Utf8PathBuf {
        self.root.join(".xtask")
    }

    /// The ledger.
    pub fn ledger(&self) -> Utf8PathBuf {
        self.dir().join("ledger.jsonl")
    }

    /// What is locked while a run is under way.
    fn lock(&self) -> Utf8PathBuf {
        self.dir().join("lock")
    }

    /// Folders of attempts.
    pub fn tmp(&self) -> Utf8PathBuf {
        self.dir().join("tmp")
    }

    /// Who holds the lock. A file of its own: on Windows a locked file can't be read by others.
    fn holder(&self) -> Utf8PathBuf {
        self.dir().join("holder.json")
    }

    /// Digests of files that were read, by size and times.
    pub fn digests(&self) -> Utf8PathBuf {
        self.dir().join("digests")
    }

    /// What the last run asked that had nothing to do.
    pub fn settled(&self) -> Utf8PathBuf {
        self.dir().join("settled")
    }

    /// True if somebody runs the pipeline just now, or has left something behind that is to be cleared away.
    pub fn is_disturbed(&self) -> bool {
        self.holder().exists() || self.tmp().exists()
    }

    /// The folder of an attempt's own, while it lasts. An id that is none of ours (a ledger may come from anywhere)
    /// names no path: its digest does.
    pub fn scratch(&self, attempt: &str) -> Utf8PathBuf {
        let own = Digest::parse(attempt).unwrap_or_else(|| Digest::of(attempt.as_bytes()));
        self.tmp().join(own.to_string())
    }

    /// The folder of logs, relative to the root.
    const LOGS: &str = ".xtask/logs";

    /// A log that is on record, absolute; nothing if the record names a file that is none of ours.
    pub fn recorded_log(&self, path: &Utf8Path) -> Option<Utf8PathBuf> {
        let name = path.strip_prefix(Self::LOGS).ok()?;
        let plain = name.components().count() == 1 && name.file_name() == Some(name.as_str());
        // Where the folder is a link, its files are those of somebody else.
        let is_link = || fs::symlink_metadata(self.root.join(Self::LOGS)).is_ok_and(|m| m.is_symlink());
        (plain && !is_link()).then(|| self.root.join(path))
    }

    /// An attempt's log, relative to the root.
    pub fn log(task: &str, number: u32, attempt: &str) -> Utf8PathBuf {
        let short: String = attempt.chars().take(8).collect();
        Utf8Path::new(Self::LOGS).join(format!("{task}-{number}-{short}.log"))
    }

    /// Who is running the pipeline just now, as far as can be told without touching the lock.
    pub fn running(&self) -> Option<Instance> {
        let holder = self.last_holder()?.instance;
        (holder.is_alive() != Some(false)).then_some(holder)
    }

    fn last_holder(&self) -> Option<Holder> {
        serde_json::from_slice(&read_file(&self.holder()).ok()?).ok()
    }
}

/// What `holder.json` says.
#[derive(Serialize, Deserialize)]
struct Holder {
    #[serde(flatten)]
    instance: Instance,
    /// Its run.
    #[serde(default)]
    run: String,
    /// Runs before it that were killed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    killed: Vec<String>,
}

/// Reads a file. A device or a pipe, to which somebody else may have made a link, has no end.
pub fn read_file(path: &Utf8Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.is_file() {
        fs::read(path)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"))
    }
}

/// The text of the ledger. No ledger is an empty one.
pub fn text(home: &Home) -> anyhow::Result<Vec<u8>> {
    match read_file(&home.ledger()) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("failed to read the ledger `{}`", home.ledger())),
    }
}

/// Reads the ledger as it was at an earlier point; nothing if it never was at that point.
pub fn read_to(home: &Home, point: Point) -> anyhow::Result<Option<History>> {
    text(home).map(|text| fold_to(&text, point.records, point.head))
}

/// Reads the ledger without changing anything.
pub fn read(home: &Home) -> anyhow::Result<History> {
    let _span = timings::phase("read the ledger");
    if let Some(history) = home.take_ahead() {
        return Ok(history);
    }
    text(home).map(|text| fold(&text))
}

/// Reads everything on record, run by run.
pub fn chronicle(home: &Home) -> anyhow::Result<Chronicle> {
    text(home).map(|text| super::chronicle(&text))
}

/// The logs that are there, by path relative to the root, each with its digest or why it could not be read.
pub fn logs(home: &Home) -> anyhow::Result<BTreeMap<Utf8PathBuf, Result<String, String>>> {
    let folder = home.root.join(Home::LOGS);
    let failed = || format!("failed to list the logs in `{folder}`");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error).with_context(failed),
    };
    let mut out = BTreeMap::new();
    for entry in entries {
        // A name that is not UTF-8 is none of ours, and none that a record could have.
        let name = entry.with_context(failed)?.file_name().to_string_lossy().into_owned();
        let path = Utf8Path::new(Home::LOGS).join(name);
        let digest = exec::digest(&home.root.join(&path)).map_err(|e| format!("failed to read it: {e}"));
        out.insert(path, digest);
    }
    Ok(out)
}

/// Why a run may not begin.
#[derive(Debug)]
pub enum Refused {
    /// Another run is under way.
    Held(Option<Instance>),
    /// The ledger was written by a newer version of this program.
    Newer(u32),
    /// It can't be opened.
    Io(anyhow::Error),
}

/// A record that was not written because a secret would have stood in it.
#[derive(Debug)]
pub struct Withheld {
    /// Its kind.
    pub kind: &'static str,
    /// The task that it is about.
    pub task: Option<String>,
    /// Where in the record.
    pub at: String,
    /// Whose value.
    pub whose: String,
}

/// Says where and whose, not what.
impl std::fmt::Display for Withheld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, task, at, whose } = self;
        // A task may be called as the secret.
        let about = task.as_ref().map_or_else(String::new, |task| format!(" of `{task}`"));
        write!(f, "the record `{kind}`{about} was not written: the value of {whose} would stand in {at}")
    }
}

impl std::error::Error for Withheld {}

/// The ledger, open for writing. Holding one is holding the run lock.
#[derive(Debug)]
pub struct Ledger {
    home: Home,
    run: String,
    killed: Vec<String>,
    cleared: AtomicBool,
    secrets: Secrets,
    state: Arc<(Mutex<State>, Condvar)>,
    syncer: Option<JoinHandle<()>>,
    _lock: File,
}

#[derive(Debug)]
struct State {
    file: File,
    length: u64,
    seq: u64,
    prev: Digest,
    dirty: bool,
    closed: bool,
    failed: Option<String>,
}

impl Ledger {
    /// Takes the run lock, reads the ledger, cuts an unfinished last line, and makes ready to append.
    /// Secrets are masked in what is appended.
    pub fn open(
        home: &Home,
        run: &str,
        instance: &Instance,
        secrets: &Secrets,
    ) -> Result<(Self, History), Refused> {
        let dir = home.dir();
        let io = |what: &str, path: &Utf8Path| {
            let text = format!("failed to {what} `{path}`");
            move |error: io::Error| Refused::Io(anyhow::Error::new(error).context(text))
        };
        fs::create_dir_all(&dir).map_err(io("make the folder", &dir))?;
        let lock_path = home.lock();
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io("open the run lock", &lock_path))?;
        let mut patience = NAMELESS;
        while let Err(error) = lock.try_lock() {
            match (error, home.running()) {
                (fs::TryLockError::Error(error), _) => {
                    return Err(io("take the run lock", &lock_path)(error));
                }
                (fs::TryLockError::WouldBlock, None) if !patience.is_zero() => {
                    let pause = Duration::from_millis(5);
                    std::thread::sleep(pause);
                    patience = patience.saturating_sub(pause);
                }
                (fs::TryLockError::WouldBlock, holder) => return Err(Refused::Held(holder)),
            }
        }
        let path = home.ledger();
        if fs::metadata(&path).is_ok_and(|m| !m.is_file()) {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not a file");
            return Err(io("open the ledger", &path)(error));
        }
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)
            .map_err(io("open the ledger", &path))?;
        let _span = timings::phase("read the ledger");
        let (size, history) = match home.take_ahead() {
            Some(history) => (file.metadata().map_err(io("read the ledger", &path))?.len(), history),
            None => {
                let mut text = Vec::new();
                file.read_to_end(&mut text).map_err(io("read the ledger", &path))?;
                (text.len() as u64, fold(&text))
            }
        };
        if let Some(newer) = history.health.newer {
            return Err(Refused::Newer(newer));
        }
        let length = size - history.health.torn;
        if history.health.torn > 0 {
            file.set_len(length).map_err(io("cut the unfinished last line of", &path))?;
        }
        // Whoever is still named there died with the lock in its hands.
        let killed: Vec<String> = home
            .last_holder()
            .into_iter()
            .flat_map(|last| last.killed.into_iter().chain([last.run]))
            .collect();
        let holder = Holder { instance: instance.clone(), run: run.to_owned(), killed: killed.clone() };
        let holder = serde_json::to_vec(&holder).map_err(|e| Refused::Io(e.into()))?;
        // Whole or not at all: the names of the killed are nowhere else.
        let side = home.holder().with_extension("new");
        fs::write(&side, holder).and_then(|()| fs::rename(&side, home.holder())).map_err(|error| {
            let _ = fs::remove_file(&side);
            io("write", &home.holder())(error)
        })?;
        let state = State {
            file,
            length,
            seq: history.seq,
            prev: history.prev.unwrap_or_else(|| Digest::of(b"")),
            dirty: false,
            closed: false,
            failed: None,
        };
        let state = Arc::new((Mutex::new(state), Condvar::new()));
        let syncer = std::thread::Builder::new()
            .name("ledger-sync".to_owned())
            .spawn({
                let state = Arc::clone(&state);
                move || sync_loop(&state)
            })
            .map_err(io("start the syncing of", &path))?;
        Ok((
            Self {
                home: home.clone(),
                run: run.to_owned(),
                cleared: AtomicBool::new(killed.is_empty()),
                killed,
                secrets: secrets.clone(),
                state,
                syncer: Some(syncer),
                _lock: lock,
            },
            history,
        ))
    }

    /// Runs that were killed before this one began, the last one last. They may have recorded nothing.
    pub fn killed(&self) -> &[String] {
        &self.killed
    }

    /// Nothing of the killed is left, so nobody has to know their names any more.
    pub fn cleared(&self) {
        self.cleared.store(true, Ordering::Relaxed);
    }

    /// Appends one record. When this returns, the record is with the operating system; within [`SYNC_DELAY`] it is
    /// on disk. A record that could not be written whole is cut off again, so that the ledger stays readable.
    ///
    /// # Errors
    ///
    /// If it can't be written; [`Withheld`] if it would hold a secret in a name, where it can't be masked.
    pub fn append(&self, at: Timestamp, task: Option<&str>, event: &Event) -> anyhow::Result<()> {
        let path = self.home.ledger();
        let json = "failed to write a record as JSON";
        let body = self.secrets.veiled(event.clone()).body().context(json)?;
        let mut state = lock(&self.state.0);
        if let Some(failed) = &state.failed {
            anyhow::bail!("failed to write the ledger `{path}`: {failed}");
        }
        let header = Header {
            v: FORMAT,
            // A ledger of somebody else may have the largest number there is.
            seq: state.seq.saturating_add(1),
            prev: state.prev,
            at,
            run: self.run.as_str().into(),
            kind: event.kind().into(),
            task: task.map(Into::into),
            imported: None,
            event: &body,
        };
        let mut line = serde_json::to_vec(&header).context(json)?;
        if let Some(whose) = self.secrets.whose_is_in(&String::from_utf8_lossy(&line)) {
            let at = self.place_of_secret(&body);
            let task = task.map(|task| self.secrets.masked(task));
            return Err(Withheld { kind: event.kind(), task, at, whose }.into());
        }
        let digest = Digest::of(&line);
        line.push(b'\n');
        if let Err(error) = state.file.write_all(&line) {
            let length = state.length;
            let _ = state.file.set_len(length);
            state.failed = Some(error.to_string());
            return Err(error).with_context(|| format!("failed to write the ledger `{path}`"));
        }
        state.length += line.len() as u64;
        state.seq = state.seq.saturating_add(1);
        state.prev = digest;
        if !state.dirty {
            state.dirty = true;
            self.state.1.notify_all();
        }
        Ok(())
    }

    /// Removes logs that are older than what is kept of each task, after that was put on record: a log is never gone
    /// without a record that says so. Returns what could not be removed, in sentences.
    pub fn prune(&self, at: Timestamp, keep: u64) -> anyhow::Result<Vec<String>> {
        let chronicle = chronicle(&self.home)?;
        let there = |log: &Utf8PathBuf| {
            let path = self.home.recorded_log(log)?;
            fs::symlink_metadata(&path).is_ok_and(|m| m.is_file()).then(|| (log.clone(), path))
        };
        // What was recorded and is there all the same belongs to a run that was killed in between.
        let outdated: Vec<(Utf8PathBuf, Utf8PathBuf)> =
            super::keep::outdated(&chronicle, keep).iter().filter_map(there).collect();
        let logs: Vec<Utf8PathBuf> = outdated
            .iter()
            .map(|(log, _)| log.clone())
            .filter(|log| !chronicle.pruned.contains(log))
            .collect();
        if !logs.is_empty() {
            self.append(at, None, &Event::LogsPruned(LogsPruned { keep, logs }))?;
        }
        let removed = outdated.iter().map(|(log, path)| (log, fs::remove_file(path)));
        Ok(removed
            .filter_map(|(log, result)| {
                result.err().map(|e| format!("failed to remove the log `{log}`: {e}"))
            })
            .collect())
    }

    /// Where in a record a secret stands: in its body, or else in the name of its task.
    fn place_of_secret(&self, body: &RawValue) -> String {
        let body = serde_json::from_str(body.get()).unwrap_or_default();
        let keys = self.path_to_secret(&body).unwrap_or_default();
        if keys.is_empty() { "`task`".to_owned() } else { format!("`{}`", keys.join(".")) }
    }

    /// The keys that lead to a secret, without one that holds it.
    fn path_to_secret(&self, value: &Json) -> Option<Vec<String>> {
        let holds = |text: &str| self.secrets.whose_is_in(text).is_some();
        match value {
            Json::String(text) => holds(text).then(Vec::new),
            Json::Array(items) => items.iter().find_map(|item| self.path_to_secret(item)),
            Json::Object(map) => map.iter().find_map(|(key, inner)| {
                if holds(key) {
                    return Some(Vec::new());
                }
                let mut path = self.path_to_secret(inner)?;
                path.insert(0, key.clone());
                Some(path)
            }),
            Json::Null | Json::Bool(_) | Json::Number(_) => None,
        }
    }

    /// Syncs and lets go of the run lock.
    pub fn close(mut self) -> anyhow::Result<()> {
        self.finish()
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        let Some(syncer) = self.syncer.take() else { return Ok(()) };
        lock(&self.state.0).closed = true;
        self.state.1.notify_all();
        let _ = syncer.join();
        if self.cleared.load(Ordering::Relaxed) {
            let _ = fs::remove_file(self.home.holder());
        }
        match lock(&self.state.0).failed.take() {
            Some(failed) => anyhow::bail!("failed to write the ledger `{}`: {failed}", self.home.ledger()),
            None => Ok(()),
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for something to sync, lets more arrive for a moment, and syncs without holding up writers.
fn sync_loop(shared: &(Mutex<State>, Condvar)) {
    let mut state = lock(&shared.0);
    loop {
        while !state.dirty && !state.closed {
            state = shared.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.closed {
            // Half of the delay is for the sync itself.
            let (guard, _) = shared
                .1
                .wait_timeout_while(state, SYNC_DELAY / 2, |s| !s.closed)
                .unwrap_or_else(PoisonError::into_inner);
            state = guard;
        }
        if state.dirty {
            state.dirty = false;
            let file = state.file.try_clone();
            drop(state);
            let synced = file.and_then(|f| f.sync_data());
            state = lock(&shared.0);
            if let Err(error) = synced {
                state.failed.get_or_insert(error.to_string());
            }
        }
        if state.closed && !state.dirty {
            return;
        }
    }
}

/// Says in a sentence what was found to be odd, if anything.
pub fn health_notes(home: &Home, health: &Health) -> Vec<String> {
    let path = home.ledger();
    let mut out = Vec::new();
    if health.torn > 0 {
        out.push(format!(
            "the last record in `{path}` was not whole ({} bytes); it is cut off when a run begins",
            health.torn
        ));
    }
    if !health.unreadable.is_empty() {
        let lines: Vec<String> = health.unreadable.iter().take(5).map(ToString::to_string).collect();
        let noun = if health.unreadable.len() == 1 { "line" } else { "lines" };
        let more = if health.unreadable.len() > 5 { ", ..." } else { "" };
        out.push(format!(
            "{noun} {}{more} of `{path}` could not be read; kept, and passed over",
            lines.join(", ")
        ));
    }
    if let Some(newer) = health.newer {
        out.push(format!("`{path}` has records of format {newer}, newer than the {FORMAT} of this program: it is read, not written"));
    }
    out
}
