//! The outside as it is.
#![expect(clippy::disallowed_methods, reason = "this is the world that everything else asks")]

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::trace::{Outside, Trace, digest_of_paths};
use super::{ANSWER_LIMIT, Answer, Ask, Kind, Looked, Request, Response, World, http};
use crate::exec::{self, Output, Room, Spawn};
use crate::ids::Digest;
use crate::pipeline::read::Glob;
use crate::secrets::Secrets;

/// The machine that this runs on, seen from the root of a pipeline.
#[derive(Clone)]
pub struct Real {
    root: Utf8PathBuf,
    room: Arc<Room>,
    remembered: Arc<Mutex<Remembered>>,
    mark: Mark,
    /// What was asked since somebody wanted to know.
    trace: Option<Arc<Mutex<Trace>>>,
}

/// Marks the commands that are asked, and all that they start.
#[derive(Clone)]
enum Mark {
    /// They belong to the attempt with this id.
    Attempt(String),
    /// They belong to a run, or to a command that only looks. Several are asked at the same time, and each is to end
    /// no more than what it has left behind itself: so each has a number.
    Question { of: String, asked: Arc<AtomicU64> },
}

impl Mark {
    fn questions_of(of: String) -> Self {
        Self::Question { of, asked: Arc::default() }
    }

    fn next(&self) -> String {
        match self {
            Self::Attempt(id) => id.clone(),
            Self::Question { of, asked } => format!("{of}.{}", asked.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// Digests of files that were read before, each with the size and times that the file had then.
#[derive(Debug, Default)]
pub struct Remembered {
    entries: HashMap<String, (Stamp, Digest)>,
    /// Versions that programs gave, by the program's path.
    versions: HashMap<String, (Stamp, String)>,
    changed: bool,
}

/// What tells an untouched file: size, times and place on disk. The change time can't be set by a program, so a
/// file whose modification time was put back is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    size: u64,
    modified: i128,
    changed: i128,
    place: u64,
}

#[cfg(test)]
impl Stamp {
    /// One that differs from those of other numbers.
    pub fn of(n: u64) -> Self {
        Self { size: n, modified: 0, changed: 0, place: 0 }
    }
}

/// A file that changed this recently may change again without its times showing it: file systems keep time in
/// steps of up to 2 s (FAT). Its digest is not remembered.
const TOO_FRESH: i128 = 2_000_000_000;

impl Stamp {
    /// How many bytes [`Stamp::to_bytes`] makes.
    pub const SIZE: usize = 48;

    /// For a file.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..8].copy_from_slice(&self.size.to_le_bytes());
        out[8..24].copy_from_slice(&self.modified.to_le_bytes());
        out[24..40].copy_from_slice(&self.changed.to_le_bytes());
        out[40..].copy_from_slice(&self.place.to_le_bytes());
        out
    }

    /// What [`Stamp::to_bytes`] was made of.
    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [mut size, mut place] = [[0; 8]; 2];
        let [mut modified, mut changed] = [[0; 16]; 2];
        size.copy_from_slice(&bytes[..8]);
        modified.copy_from_slice(&bytes[8..24]);
        changed.copy_from_slice(&bytes[24..40]);
        place.copy_from_slice(&bytes[40..]);
        Self {
            size: u64::from_le_bytes(size),
            modified: i128::from_le_bytes(modified),
            changed: i128::from_le_bytes(changed),
            place: u64::from_le_bytes(place),
        }
    }

    /// Whether a file with this stamp, first looked at at that time (in nanoseconds since 1970), has been read as it
    /// is for as long as the stamp stays the same. What counts is the beginning: a long reading may have met a change
    /// that the times do not show.
    pub fn is_settled(self, looked_at: i128) -> bool {
        self.modified.max(self.changed).saturating_add(TOO_FRESH) < looked_at
    }
}

impl Remembered {
    /// Reads what [`Remembered::save`] wrote. A file that can't be read only costs time.
    pub fn load(path: &Utf8Path) -> Self {
        let mut out = Self::default();
        let text = crate::ledger::store::read_file(path).unwrap_or_default();
        for line in std::str::from_utf8(&text).unwrap_or_default().lines() {
            let Some((what, path, stamp)) = Self::parse(line) else { continue };
            match (what.strip_prefix("version:"), Digest::parse(what)) {
                (Some(version), _) => {
                    out.versions.insert(path, (stamp, version.to_owned()));
                }
                (None, Some(digest)) => {
                    out.entries.insert(path, (stamp, digest));
                }
                (None, None) => {}
            }
        }
        out
    }

    fn parse(line: &str) -> Option<(&str, String, Stamp)> {
        let mut parts = line.splitn(6, ' ');
        let what = parts.next()?;
        let stamp = Stamp {
            size: parts.next()?.parse().ok()?,
            modified: parts.next()?.parse().ok()?,
            changed: parts.next()?.parse().ok()?,
            place: parts.next()?.parse().ok()?,
        };
        Some((what, parts.next()?.into(), stamp))
    }

    fn text(&self, secrets: &Secrets) -> String {
        use std::fmt::Write as _;
        let mut out = String::with_capacity(self.entries.len() * 120);
        let mut line = |what: &str, path: &str, s: &Stamp| {
            if !path.contains('\n') && !what.contains(char::is_whitespace) {
                let _ = writeln!(out, "{what} {} {} {} {} {path}", s.size, s.modified, s.changed, s.place);
            }
        };
        for (path, (stamp, digest)) in &self.entries {
            line(&digest.to_string(), path, stamp);
        }
        // A version is what some program printed.
        for (path, (stamp, version)) in self.versions.iter().filter(|(_, (_, v))| secrets.mask(v) == *v) {
            line(&format!("version:{version}"), path, stamp);
        }
        out
    }
}

impl Real {
    /// The outside, seen from `root`; commands are run in `room`.
    pub fn new(root: Utf8PathBuf, room: Arc<Room>, remembered: Remembered) -> Self {
        let looker = format!("look-{}-{}", std::process::id(), Timestamp::now().as_nanosecond());
        let mark = Mark::questions_of(looker);
        Self { root, room, remembered: Arc::new(Mutex::new(remembered)), mark, trace: None }
    }

    /// The same outside; commands that are asked belong to the run with this id.
    #[must_use]
    pub fn of_run(self, run: &str) -> Self {
        Self { mark: Mark::questions_of(run.to_owned()), ..self }
    }

    /// What tells an untouched file from another, for files that are no part of a pipeline.
    pub fn stamp_at(path: &Utf8Path) -> Option<Stamp> {
        fs::metadata(path).ok().map(|meta| stamp(&meta))
    }

    /// The same outside; what is asked of it from now on is noted.
    #[must_use]
    pub fn traced(self) -> Self {
        Self { trace: Some(Arc::default()), ..self }
    }

    /// What was asked and answered, if it was noted.
    pub fn take_trace(&self) -> Option<Trace> {
        self.trace.as_ref().map(|trace| std::mem::take(&mut *lock(trace)))
    }

    fn note(&self, note: impl FnOnce(&mut Trace)) {
        if let Some(trace) = &self.trace {
            note(&mut lock(trace));
        }
    }

    /// Notes what is at a path.
    fn note_place(&self, path: &Utf8Path) {
        if self.trace.is_some() {
            let looked_at = Timestamp::now().as_nanosecond();
            let stamp = self.stamp_of(path);
            self.note(|trace| trace.place(path, stamp, looked_at));
        }
    }

    fn stamp_of(&self, path: &Utf8Path) -> Option<Stamp> {
        Self::stamp_at(&self.at(path))
    }

    /// Whether this is the mark of a command that the run with this id asked.
    pub fn asked_by(mark: &str, run: &str) -> bool {
        mark.split_once('.').is_some_and(|(of, _)| of == run)
    }

    /// The same outside; commands that are asked belong to the attempt with this id.
    #[must_use]
    pub fn marked(&self, attempt: &str) -> Self {
        Self { mark: Mark::Attempt(attempt.to_owned()), ..self.clone() }
    }

    /// Keeps the digests for the next run. They only save time, so a failure is not one of the run. Nobody else may
    /// read them: a small file could be guessed from its digest.
    pub fn remember(&self, path: &Utf8Path, secrets: &Secrets) {
        let mut remembered = self.remembered();
        let side = path.with_extension("new");
        if !std::mem::take(&mut remembered.changed) {
            // Left by somebody who was killed while writing.
            let _ = fs::remove_file(&side);
            return;
        }
        keep_privately(path, remembered.text(secrets).as_bytes());
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        lock(&self.remembered)
    }

    /// The digest of a file, told by `clock` (nanoseconds since 1970) and read by `read`.
    fn digest_by(
        &self,
        path: &Utf8Path,
        clock: &dyn Fn() -> i128,
        read: &dyn Fn(&Utf8Path) -> io::Result<(Stamp, Digest)>,
    ) -> io::Result<Digest> {
        let full = self.at(path);
        let looked_at = clock();
        match fs::metadata(&full) {
            // A link that leads nowhere or in a circle is known by where it points to.
            Err(error) if full.is_symlink() => fs::read_link(&full)
                .map(|to| Digest::of(to.as_os_str().as_encoded_bytes()))
                .map_err(|_| error),
            meta => self.digest_of(path, &full, &meta?, looked_at, read),
        }
    }

    /// The same for one that was looked at, at that time.
    fn digest_of(
        &self,
        path: &Utf8Path,
        full: &Utf8Path,
        meta: &fs::Metadata,
        looked_at: i128,
        read: &dyn Fn(&Utf8Path) -> io::Result<(Stamp, Digest)>,
    ) -> io::Result<Digest> {
        if meta.is_dir() {
            return Ok(Digest::of(b"folder"));
        }
        if !meta.is_file() {
            // A socket, a pipe, a device: reading it may never end. That it is there is all there is to know.
            return Ok(Digest::of(b"neither a file nor a folder"));
        }
        let before = stamp(meta);
        if let Some((old, digest)) = self.remembered().entries.get(path.as_str())
            && *old == before
        {
            return Ok(*digest);
        }
        let (stamp, digest) = read(full)?;
        if stamp.is_settled(looked_at) {
            let mut remembered = self.remembered();
            remembered.entries.insert(path.to_string(), (stamp, digest));
            remembered.changed = true;
        }
        Ok(digest)
    }

    /// Why not all files could be listed: the folder, relative to the root, and the cause.
    fn unlisted(&self, error: &ignore::Error) -> io::Error {
        use std::error::Error as _;
        let cause = |io: &io::Error| io.source().map_or_else(|| io.to_string(), ToString::to_string);
        let cause = error.io_error().map_or_else(|| error.to_string(), cause);
        let mut inner = error;
        let path = loop {
            match inner {
                ignore::Error::WithPath { path, .. } => break path.strip_prefix(&self.root).ok(),
                ignore::Error::WithDepth { err, .. } => inner = err,
                _ => break None,
            }
        };
        io::Error::other(path.map_or_else(|| cause.clone(), |path| format!("{}: {cause}", path.display())))
    }

    fn at(&self, path: &Utf8Path) -> Utf8PathBuf {
        self.root.join(path)
    }

    fn files_of(&self, glob: &Glob) -> io::Result<Vec<Utf8PathBuf>> {
        let mut base = glob.base().to_owned();
        let mut everything = false;
        if let Some(path) = glob.as_path() {
            match fs::symlink_metadata(self.at(Utf8Path::new(path))) {
                // A folder stands for everything in it.
                Ok(meta) if meta.is_dir() => (base, everything) = (path.to_owned(), true),
                Ok(_) => return Ok(vec![path.into()]),
                Err(error) if is_absence(&error) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
        let start = self.at(Utf8Path::new(&base));
        match fs::metadata(&start) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Ok(Vec::new()),
            Err(error) if is_absence(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        let mut out = Vec::new();
        // Rules of the repository only: what this user ignores everywhere must not change a digest.
        let walk = ignore::WalkBuilder::new(&start)
            .hidden(false)
            .git_global(false)
            .git_exclude(false)
            .ignore(false)
            .require_git(false)
            .filter_entry(|e| !matches!(e.file_name().to_str(), Some(".git" | ".xtask")))
            .build();
        for entry in walk {
            let entry = match entry {
                Ok(entry) => entry,
                // It went away while we looked.
                Err(error) if error.io_error().is_some_and(is_absence) => continue,
                Err(error) => return Err(self.unlisted(&error)),
            };
            if entry.file_type().is_none_or(|t| t.is_dir()) {
                continue;
            }
            let Ok(relative) = entry.path().strip_prefix(&self.root) else { continue };
            let Some(name) = relative.to_str() else {
                if everything || glob.is_match(relative) {
                    // It can't be put on record, so nobody could tell whether it changed.
                    return Err(io::Error::other(format!("the path `{}` is not UTF-8", relative.display())));
                }
                continue;
            };
            let relative: Utf8PathBuf =
                if cfg!(windows) { name.replace('\\', "/").into() } else { name.into() };
            if everything || glob.is_match(relative.as_std_path()) {
                out.push(relative);
            }
        }
        out.sort();
        Ok(out)
    }
}

/// Where a program is found on PATH, from a folder.
fn find_program(program: &str, from: &Utf8Path) -> Option<Utf8PathBuf> {
    let found = which::which_in(program, std::env::var_os("PATH"), from).ok()?;
    Utf8PathBuf::try_from(found).ok()
}

/// Asks again, without noting it.
impl Outside for Real {
    fn place(&self, path: &Utf8Path) -> Option<Stamp> {
        self.stamp_of(path)
    }

    fn pattern(&self, pattern: &str) -> Option<Digest> {
        self.files_of(&Glob::new(pattern).ok()?).ok().map(|files| digest_of_paths(&files))
    }

    fn program(&self, name: &str) -> Option<Utf8PathBuf> {
        find_program(name, &self.root)
    }

    fn variable(&self, name: &str) -> Option<Digest> {
        std::env::var(name).ok().map(|value| Digest::of(value.as_bytes()))
    }
}

/// Replaces a file that only saves time, whole or not at all; only its owner can read it. A failure is none.
pub fn keep_privately(path: &Utf8Path, content: &[u8]) {
    let side = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    exec::private(&mut options);
    let written = options.open(&side).and_then(|mut file| file.write_all(content));
    if written.and_then(|()| fs::rename(&side, path)).is_err() {
        let _ = fs::remove_file(&side);
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stamp(meta: &fs::Metadata) -> Stamp {
    let nanos = |t: io::Result<std::time::SystemTime>| {
        t.ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos() as i128)
    };
    #[cfg(unix)]
    let (changed, place) = {
        use std::os::unix::fs::MetadataExt as _;
        (i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec()), meta.ino())
    };
    #[cfg(not(unix))]
    let (changed, place) = (nanos(meta.created()), 0);
    Stamp { size: meta.len(), modified: nanos(meta.modified()), changed, place }
}

impl World for Real {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn root(&self) -> &Utf8Path {
        &self.root
    }

    fn read(&self, path: &Utf8Path) -> io::Result<Vec<u8>> {
        self.note_place(path);
        fs::read(self.at(path))
    }

    fn open(&self, path: &Utf8Path) -> io::Result<Box<dyn io::Read>> {
        self.note_place(path);
        Ok(Box::new(fs::File::open(self.at(path))?))
    }

    fn kind(&self, path: &Utf8Path) -> io::Result<Kind> {
        self.note_place(path);
        let meta = fs::metadata(self.at(path))?;
        Ok(if meta.is_file() {
            Kind::File(meta.len())
        } else if meta.is_dir() {
            Kind::Folder
        } else {
            Kind::Other
        })
    }

    fn stamp(&self, path: &Utf8Path) -> Option<Stamp> {
        self.note_place(path);
        self.stamp_of(path)
    }

    fn digest(&self, path: &Utf8Path) -> io::Result<Digest> {
        self.note_place(path);
        let digest = self.digest_by(path, &|| Timestamp::now().as_nanosecond(), &read_steadily);
        if digest.is_err() || self.trace.is_some() && self.stamp_of(path).is_none() {
            // A link that leads nowhere has no stamp, and why a file could not be read may pass.
            self.note(Trace::spoil);
        }
        digest
    }

    fn look(&self, path: &Utf8Path) -> Option<Looked> {
        let full = self.at(path);
        let looked_at = Timestamp::now().as_nanosecond();
        let meta = fs::metadata(&full).ok();
        self.note(|trace| trace.place(path, meta.as_ref().map(stamp), looked_at));
        let meta = meta?;
        if meta.is_dir() {
            return Some(Looked::Folder);
        }
        let digest = self.digest_of(path, &full, &meta, looked_at, &read_steadily);
        if digest.is_err() {
            self.note(Trace::spoil);
        }
        Some(Looked::File(digest))
    }

    fn files(&self, glob: &Glob) -> io::Result<Vec<Utf8PathBuf>> {
        let files = self.files_of(glob);
        self.note(|trace| match &files {
            Ok(files) => drop(trace.patterns.insert(glob.pattern.clone(), digest_of_paths(files))),
            Err(_) => trace.spoil(),
        });
        files
    }

    fn which(&self, program: &str) -> Option<Utf8PathBuf> {
        let found = find_program(program, &self.root);
        self.note(|trace| drop(trace.programs.insert(program.to_owned(), found.clone())));
        found
    }

    fn known_version(&self, program: &Utf8Path) -> Option<String> {
        self.note_place(program);
        let now = stamp(&fs::metadata(program).ok()?);
        let remembered = self.remembered();
        remembered
            .versions
            .get(program.as_str())
            .filter(|(then, _)| *then == now)
            .map(|(_, version)| version.clone())
    }

    fn note_version(&self, program: &Utf8Path, version: &str) {
        let Ok(meta) = fs::metadata(program) else { return };
        let mut remembered = self.remembered();
        let noted = (stamp(&meta), version.to_owned());
        if remembered.versions.get(program.as_str()) != Some(&noted) {
            remembered.versions.insert(program.to_string(), noted);
            remembered.changed = true;
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        let value = std::env::var(name).ok();
        let digest = value.as_ref().map(|value| Digest::of(value.as_bytes()));
        self.note(|trace| {
            trace.variables.insert(name.to_owned(), digest);
        });
        value
    }

    fn ask(&self, ask: &Ask) -> Answer {
        self.note(Trace::spoil);
        let cwd = self.at(&ask.cwd);
        let ended = self.room.run(&Spawn {
            argv: &ask.argv,
            cwd: &cwd,
            env: &ask.env,
            output: Output::Keep { limit: ANSWER_LIMIT },
            timeout: Some(ask.limit),
            grace: Duration::from_millis(500),
            attempt: &self.mark.next(),
            shielded: false,
        });
        Answer {
            how: ended.how,
            stdout: String::from_utf8_lossy(&ended.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&ended.stderr).into_owned(),
        }
    }

    fn http(&self, request: &Request) -> Result<Response, String> {
        self.note(Trace::spoil);
        http::request(request)
    }

    fn connect(&self, address: &str, limit: Duration) -> Result<(), String> {
        self.note(Trace::spoil);
        http::connect(address, limit)
    }

    fn pause(&self, duration: Duration) -> bool {
        self.note(Trace::spoil);
        self.room.sleep(duration)
    }
}

/// Whether an error says that there is nothing.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Reads a file for its digest. One that changes while it is read is read again, so that the digest is of a
/// content that was there at one time: while the file had the stamp that is returned too.
fn read_steadily(path: &Utf8Path) -> io::Result<(Stamp, Digest)> {
    const TRIES: usize = 5;
    for _ in 0..TRIES {
        let mut file = fs::File::open(path)?;
        let before = stamp(&file.metadata()?);
        let mut hasher = blake3::Hasher::new();
        io::copy(&mut file, &mut hasher)?;
        if stamp(&file.metadata()?) == before {
            return Ok((before, Digest::from_hasher(&hasher)));
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "it kept changing while it was read"))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn world() -> (tempfile::TempDir, Real) {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        (folder, Real::new(root, Arc::new(Room::new()), Remembered::default()))
    }

    fn stamp_of(world: &Real, name: &str) -> Stamp {
        stamp(&fs::metadata(world.at(name.into())).unwrap())
    }

    /// Nobody reads: the digest has to be remembered.
    fn unread(_: &Utf8Path) -> io::Result<(Stamp, Digest)> {
        Err(io::Error::other("it was read"))
    }

    #[test]
    fn what_is_long_unchanged_is_read_once() {
        let (_folder, world) = world();
        fs::write(world.at("f".into()), "1").unwrap();
        let later = stamp_of(&world, "f").changed + TOO_FRESH + 1;
        assert_eq!(world.digest_by("f".into(), &|| later, &read_steadily).unwrap(), Digest::of(b"1"));
        assert_eq!(world.digest_by("f".into(), &|| later, &unread).unwrap(), Digest::of(b"1"));
        // The next process knows it too.
        let path = world.at("digests".into());
        world.remember(&path, &Secrets::default());
        let next = Real::new(world.root.clone(), Arc::new(Room::new()), Remembered::load(&path));
        assert_eq!(next.digest_by("f".into(), &|| later, &unread).unwrap(), Digest::of(b"1"));
        fs::write(world.at("f".into()), "2").unwrap();
        assert_eq!(next.digest_by("f".into(), &|| later, &read_steadily).unwrap(), Digest::of(b"2"));
    }

    #[test]
    fn what_has_just_changed_is_read_again_however_long_reading_takes() {
        let (_folder, world) = world();
        fs::write(world.at("f".into()), "1").unwrap();
        let changed = stamp_of(&world, "f").changed;
        let second = 1_000_000_000;
        // Two seconds are the steps of FAT. The last: the clock was put back behind the change.
        for looked_at in [changed, changed + 2 * second, changed - 3600 * second] {
            let clock = Cell::new(looked_at);
            let slowly = |path: &Utf8Path| {
                clock.set(clock.get() + 7200 * second);
                read_steadily(path)
            };
            world.digest_by("f".into(), &|| clock.get(), &slowly).unwrap();
            assert!(world.remembered().entries.is_empty(), "{looked_at}");
        }
    }

    #[test]
    fn what_is_exchanged_after_a_look_is_remembered_as_what_it_became() {
        let (_folder, world) = world();
        fs::write(world.at("f".into()), "1").unwrap();
        let exchange = |path: &Utf8Path| {
            let other = path.with_extension("other");
            fs::write(&other, "2").unwrap();
            fs::rename(&other, path).unwrap();
            read_steadily(path)
        };
        let later = || i128::MAX;
        world.digest_by("f".into(), &later, &exchange).unwrap();
        let expected = (stamp_of(&world, "f"), Digest::of(b"2"));
        assert_eq!(world.remembered().entries.get("f"), Some(&expected));
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_never_has_the_digest_of_something_else() {
        let (_folder, world) = world();
        let path = world.at("f".into());
        // Of the same size, so that only times can tell them apart.
        let contents: Vec<Vec<u8>> = (0..40).map(|n| vec![n as u8; 100_000]).collect();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let _ = world.digest("f".into());
                }
            });
            for content in &contents {
                fs::write(&path, content).unwrap();
                assert_eq!(world.digest("f".into()).unwrap(), Digest::of(content));
            }
            over.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn a_file_that_never_stays_the_same_is_told() {
        let (_folder, world) = world();
        let path = world.at("f".into());
        // So large that reading it takes longer than a writer waits for its turn.
        fs::File::create(&path).unwrap().set_len(16 << 20).unwrap();
        let over = AtomicBool::new(false);
        let grow = || {
            use std::io::Write as _;
            let mut file = fs::File::options().append(true).open(&path).unwrap();
            while !over.load(Ordering::Relaxed) {
                file.write_all(b"more").unwrap();
                std::thread::yield_now();
            }
        };
        let result = std::thread::scope(|scope| {
            scope.spawn(grow);
            let result = (0..20).find_map(|_| world.digest("f".into()).err());
            over.store(true, Ordering::Relaxed);
            result
        });
        let error = result.unwrap();
        assert_eq!(error.to_string(), "it kept changing while it was read");
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    }

    #[test]
    fn a_folder_that_goes_away_is_no_mistake_and_one_that_is_none_has_no_files() {
        let (_folder, world) = world();
        fs::write(world.at("file".into()), "").unwrap();
        for pattern in ["absent/**", "absent/x", "file/**", "file/x", "absent"] {
            assert_eq!(world.files(&Glob::new(pattern).unwrap()).unwrap(), [""; 0], "{pattern}");
        }
    }
}
