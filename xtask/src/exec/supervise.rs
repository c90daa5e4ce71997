//! The room itself: starting children, waiting for them, ending them.
//!
//! Each child has one thread that waits for it: the caller of [`Room::run`]. Nobody else waits or
//! reaps. Whoever wants a child to end (a signal, a time limit) only sends a signal to its group,
//! which makes that wait return; so there is one way out, whatever the cause. One more thread keeps
//! the time for all children. Duct's wait with a deadline would do without that thread, but not for
//! the grace after a cancellation, and it wakes every waiter for every child that ends.
//!
//! Signals are sent under the lock under which a child is reaped and taken off the list. A process id
//! is in use again only after it was reaped, so a signal never meets a stranger.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use duct::{Expression, Handle};

use super::log::Filter;
use super::signals::{Order, Stage};
use super::{ATTEMPT, Cause, Ended, How, Listener, Log, Output, Signalled, Spawn, platform};

/// What is left after a child may end by itself for so long: `> >(tee file)` in a shell leaves a
/// process that has a line to write yet.
const SETTLE: Duration = Duration::from_millis(100);

/// What is left after a child gets at most so long between being asked and being killed.
const LEFTOVER_GRACE: Duration = Duration::from_millis(500);

/// Where children run; shared by all threads that start them.
///
/// On Linux the process becomes the one to which orphaned descendants are handed (a child subreaper),
/// for as long as it lives.
#[derive(Debug)]
pub struct Room {
    shared: Arc<Shared>,
    timekeeper: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// For the timekeeper: something is due earlier than it knows, or the room is closed.
    due: Condvar,
    /// For those who sleep: the room is cancelled.
    cancelled: Condvar,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    children: Vec<Child>,
    n_admitted: u64,
    /// When the timekeeper wakes up by itself.
    wakes: Option<Instant>,
    closed: bool,
}

/// A child from the moment it may start until it is reaped.
#[derive(Debug)]
struct Child {
    id: u64,
    /// None while it is being started.
    leader: Option<platform::Leader>,
    shielded: bool,
    deadline: Option<Instant>,
    grace: Duration,
    phase: Phase,
    /// Why it is to end, if that was decided here.
    why: Option<How>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Asked to end; to be killed at that time, or never if the grace is beyond all time.
    Asked(Option<Instant>),
    Killed,
}

impl Room {
    /// A room without children.
    ///
    /// # Panics
    ///
    /// If the system gives no thread.
    pub fn new() -> Room {
        platform::prepare();
        let state =
            State { stage: Stage::Running, children: Vec::new(), n_admitted: 0, wakes: None, closed: false };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), due: Condvar::new(), cancelled: Condvar::new() });
        let timekeeper = thread::Builder::new()
            .name("time limits".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || keep_time(&shared)
            })
            .expect("the system gives a thread");
        Room { shared, timekeeper: Some(timekeeper) }
    }

    /// Runs a child to its end and returns when nothing of it is left. To be called from as many
    /// threads as there are children.
    pub fn run(&self, spawn: &Spawn<'_>) -> Ended {
        let begun = Instant::now();
        let Some(id) = self.admit(spawn, begun) else { return Ended::early(How::Cancelled, begun) };
        match self.start(spawn, id) {
            Ok(started) => self.finish(spawn, id, begun, started),
            Err(why) => {
                self.remove(id);
                Ended::early(How::NotStarted(why), begun)
            }
        }
    }

    /// Ends children as if a signal had come: the first time those that are not shielded, by asking;
    /// the second time all, by killing. [`Cause::Caller`] does the first only, however often.
    pub fn cancel(&self, cause: Cause) {
        let mut state = self.shared.lock();
        let (stage, order) = state.stage.after(cause);
        state.stage = stage;
        let now = Instant::now();
        for child in &mut state.children {
            match order {
                Order::Ask if !child.shielded => child.ask(How::Cancelled, now),
                Order::Kill => child.kill(How::Cancelled),
                Order::Ask | Order::Nothing => {}
            }
        }
        drop(state);
        self.shared.due.notify_all();
        self.shared.cancelled.notify_all();
    }

    /// Why the room was cancelled, if it was: the first cause.
    pub fn cancelled(&self) -> Option<Cause> {
        self.shared.lock().stage.cause()
    }

    /// Sleeps, and says whether it could to the end: false as soon as the room is cancelled.
    pub fn sleep(&self, duration: Duration) -> bool {
        let state = self.shared.lock();
        let running = |state: &mut State| state.stage == Stage::Running;
        let wait = self.shared.cancelled.wait_timeout_while(state, duration, running);
        wait.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Listens for SIGINT, SIGTERM and SIGHUP (the last only if it is not ignored, as under nohup) and
    /// cancels the room accordingly. `on_signal` is told afterwards, on another thread. A third signal
    /// ends this process at once.
    ///
    /// Keep the listener until the process ends: once there was one, signals without one are lost.
    ///
    /// # Errors
    ///
    /// If the system refuses a handler or a thread.
    pub fn listen(self: &Arc<Self>, on_signal: impl Fn(Signalled) + Send + 'static) -> io::Result<Listener> {
        Listener::new(Arc::clone(self), on_signal)
    }

    /// Puts a child on the list, or refuses it because the room is cancelled.
    ///
    /// It is on the list before it exists, so that a cancellation in between reaches it all the same:
    /// either it is refused here, or it is signalled when it starts. Starting it under the lock would
    /// be shorter, but a program on a file system that hangs would make Ctrl-C hang too.
    fn admit(&self, spawn: &Spawn<'_>, now: Instant) -> Option<u64> {
        let mut state = self.shared.lock();
        if !state.stage.admits(spawn.shielded) {
            return None;
        }
        let id = state.n_admitted;
        state.n_admitted += 1;
        let deadline = spawn.timeout.and_then(|timeout| now.checked_add(timeout));
        state.children.push(Child {
            id,
            leader: None,
            shielded: spawn.shielded,
            deadline,
            grace: spawn.grace,
            phase: Phase::Running,
            why: None,
        });
        if deadline.is_some_and(|deadline| state.wakes.is_none_or(|wakes| deadline < wakes)) {
            state.wakes = deadline;
            self.shared.due.notify_all();
        }
        Some(id)
    }

    fn start<'a>(&self, spawn: &Spawn<'a>, id: u64) -> Result<Started<'a>, String> {
        let program = program(spawn)?;
        let (command, sink) = Sink::open(&spawn.output, &command(spawn, &program))
            .map_err(|error| format!("cannot open a file for the output of `{}`: {error}", spawn.argv[0]))?;
        match command.start() {
            Ok(handle) => {
                let handle = Arc::new(handle);
                let leader = platform::Leader::of(&handle);
                self.started(id, leader.clone());
                Ok(Started { handle, leader, sink })
            }
            Err(error) => {
                drop(sink.close());
                Err(refusal(spawn, &program, &error))
            }
        }
    }

    /// The child exists: what was decided about it meanwhile is done now.
    fn started(&self, id: u64, leader: platform::Leader) {
        let mut state = self.shared.lock();
        if let Some(child) = state.children.iter_mut().find(|child| child.id == id) {
            match child.phase {
                Phase::Running => {}
                Phase::Asked(_) => leader.ask(),
                Phase::Killed => leader.kill(),
            }
            child.leader = Some(leader);
        }
    }

    fn finish(&self, spawn: &Spawn<'_>, id: u64, begun: Instant, started: Started<'_>) -> Ended {
        let Started { handle, leader, sink } = started;
        leader.wait();
        let (status, why, hurry) = self.reap(id, &handle);
        let settle = if why.is_none() { SETTLE } else { Duration::ZERO };
        let grace = if hurry { Duration::ZERO } else { spawn.grace.min(LEFTOVER_GRACE) };
        let n_left = platform::end_rest(&leader, spawn.attempt, settle, grace);
        let leaked = if why.is_none() { n_left } else { 0 };
        let kept = sink.close();
        let how = why.unwrap_or_else(|| match status {
            Ok(status) => outcome(status),
            Err(error) => How::NotStarted(format!("cannot wait for `{}`: {error}", spawn.argv[0])),
        });
        Ended {
            how,
            took: begun.elapsed(),
            stdout: kept.stdout,
            stderr: kept.stderr,
            truncated: kept.truncated,
            leaked,
        }
    }

    /// Reaps a child that has ended. Returns its status, why it was ended, and whether there is no
    /// more time to be patient.
    fn reap(&self, id: u64, handle: &Handle) -> (io::Result<ExitStatus>, Option<How>, bool) {
        let mut state = self.shared.lock();
        let why = state.remove(id).and_then(|child| child.why);
        // It has ended, so this does not wait.
        let status = handle.wait().map(|output| output.status);
        (status, why, matches!(state.stage, Stage::Killing { .. }))
    }

    fn remove(&self, id: u64) {
        self.shared.lock().remove(id);
    }
}

impl Default for Room {
    fn default() -> Self {
        Room::new()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.due.notify_all();
        if let Some(timekeeper) = self.timekeeper.take() {
            // It cannot fail in a way that would matter now.
            let _ = timekeeper.join();
        }
    }
}

impl Shared {
    /// A panic elsewhere does not make the list wrong: every change to it is a single step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, id: u64) -> Option<Child> {
        let at = self.children.iter().position(|child| child.id == id)?;
        Some(self.children.swap_remove(at))
    }
}

impl Child {
    /// When something has to be done about it.
    fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running => self.deadline,
            Phase::Asked(kill_at) => kill_at,
            Phase::Killed => None,
        }
    }

    /// Does what is due.
    fn step(&mut self, now: Instant) {
        if self.due().is_none_or(|due| due > now) {
            return;
        }
        match self.phase {
            Phase::Running => {
                self.deadline = None;
                self.ask(How::TimedOut, now);
            }
            Phase::Asked(_) => self.kill(How::TimedOut),
            Phase::Killed => {}
        }
    }

    fn ask(&mut self, why: How, now: Instant) {
        if self.phase != Phase::Running || self.has_ended() {
            return;
        }
        self.phase = Phase::Asked(now.checked_add(self.grace));
        self.why = Some(why);
        if let Some(leader) = &self.leader {
            leader.ask();
        }
    }

    fn kill(&mut self, why: How) {
        if self.phase == Phase::Killed {
            return;
        }
        let has_ended = self.has_ended();
        self.phase = Phase::Killed;
        if has_ended {
            return;
        }
        self.why.get_or_insert(why);
        if let Some(leader) = &self.leader {
            leader.kill();
        }
    }

    /// Whether it ended by itself just before it was to be ended: then its result counts.
    fn has_ended(&self) -> bool {
        self.leader.as_ref().is_some_and(platform::Leader::has_ended)
    }
}

/// Does what is due, until the room is closed.
fn keep_time(shared: &Shared) {
    let mut state = shared.lock();
    while !state.closed {
        let now = Instant::now();
        state.children.iter_mut().for_each(|child| child.step(now));
        state.wakes = state.children.iter().filter_map(Child::due).min();
        state = match state.wakes {
            None => shared.due.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(at) => {
                let wait = shared.due.wait_timeout(state, at.saturating_duration_since(now));
                wait.unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}

/// The program to start: always a full path, so that neither the environment nor the working
/// directory of the child decides what it is.
fn program(spawn: &Spawn<'_>) -> Result<PathBuf, String> {
    let name = spawn.argv.first().ok_or("the command is empty")?;
    let path = if name.contains(std::path::is_separator) {
        spawn.cwd.as_std_path().join(name)
    } else {
        which::which(name).map_err(|_| format!("program `{name}` is not on PATH"))?
    };
    std::path::absolute(path).map_err(|error| format!("cannot start `{name}`: {error}"))
}

fn command(spawn: &Spawn<'_>, program: &Path) -> Expression {
    let name = spawn.argv[0].clone();
    let mut command = duct::cmd(program, &spawn.argv[1..])
        .unchecked()
        .before_spawn(move |command| {
            platform::set_apart(command, &name);
            Ok(())
        })
        .stdin_null()
        .dir(spawn.cwd)
        // What is said first counts in duct: nothing replaces the mark, and of two values the last.
        .env(ATTEMPT, spawn.attempt);
    for (name, value) in spawn.env.iter().rev() {
        command = command.env(name, value);
    }
    command
}

/// Why a program could not be started. The system says "not found" for a missing program, a missing
/// working directory and a missing interpreter alike.
fn refusal(spawn: &Spawn<'_>, program: &Path, error: &io::Error) -> String {
    let (name, cwd) = (&spawn.argv[0], spawn.cwd);
    match cwd.metadata() {
        Err(missing) if missing.kind() == ErrorKind::NotFound => {
            return format!("working directory `{cwd}` does not exist");
        }
        Err(unknown) => return format!("cannot enter working directory `{cwd}`: {unknown}"),
        Ok(found) if !found.is_dir() => return format!("working directory `{cwd}` is not a directory"),
        Ok(_) => {}
    }
    match error.kind() {
        ErrorKind::NotFound if program.exists() => {
            format!("cannot start `{name}`: the interpreter that the file asks for does not exist")
        }
        ErrorKind::NotFound => format!("program `{name}` does not exist"),
        ErrorKind::PermissionDenied if program.is_dir() => format!("program `{name}` is a directory"),
        ErrorKind::PermissionDenied if program.exists() => {
            format!("no permission to run `{name}` in `{cwd}`: is the file executable?")
        }
        _ => format!("cannot start `{name}`: {error}"),
    }
}

fn outcome(status: ExitStatus) -> How {
    match (status.code(), platform::signal_of(status)) {
        (Some(code), _) => How::Exited(code),
        (None, Some(signal)) => How::Signaled(signal),
        (None, None) => How::NotStarted("the system does not tell how the program ended".to_owned()),
    }
}

/// A child that exists.
struct Started<'a> {
    handle: Arc<Handle>,
    leader: platform::Leader,
    sink: Sink<'a>,
}

/// Where the output of one child goes.
enum Sink<'a> {
    Log { log: &'a Log, filter: Option<Filter> },
    Keep { stdout: File, stderr: File, limit: usize },
}

#[derive(Default)]
struct Kept {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    truncated: bool,
}

impl<'a> Sink<'a> {
    /// Sends the output of `command` to where it is wanted.
    fn open(output: &Output<'a>, command: &Expression) -> io::Result<(Expression, Sink<'a>)> {
        match *output {
            Output::Log(log) => {
                let (command, filter) = log.take(command)?;
                Ok((command, Sink::Log { log, filter }))
            }
            Output::Keep { limit } => {
                let (stdout, stderr) = (platform::scratch()?, platform::scratch()?);
                let command = command.stdout_file(stdout.try_clone()?).stderr_file(stderr.try_clone()?);
                Ok((command, Sink::Keep { stdout, stderr, limit }))
            }
        }
    }

    /// Nothing more comes: returns what was kept.
    fn close(self) -> Kept {
        match self {
            Sink::Log { log, filter } => {
                if let Some(filter) = filter {
                    log.end(filter);
                }
                Kept::default()
            }
            Sink::Keep { stdout, stderr, limit } => {
                let (stdout, more_stdout) = first_bytes(stdout, limit);
                let (stderr, more_stderr) = first_bytes(stderr, limit);
                Kept { stdout, stderr, truncated: more_stdout || more_stderr }
            }
        }
    }
}

/// The first bytes of a file, and whether there are more. What cannot be read counts as cut off.
fn first_bytes(mut file: File, limit: usize) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.take(limit as u64 + 1).read_to_end(&mut bytes));
    let truncated = read.is_err() || bytes.len() > limit;
    bytes.truncate(limit);
    (bytes, truncated)
}
