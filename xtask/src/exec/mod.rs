//! The one room with child processes and signals.
//!
//! What it promises:
//! - Every child is started here, leads a process group of its own and reads nothing. Ctrl-C in a
//!   terminal therefore reaches this process only, which passes it on.
//! - [`Room::run`] returns when the child has ended *and* nothing that it started is left: the rest of
//!   its group and, on Linux, descendants that escaped to a session of their own are ended and reaped.
//! - A child that is to end is asked first (SIGTERM) and killed after its grace. That holds for a
//!   time limit and for a cancellation alike.
//! - Once the room is cancelled nothing new starts, except what is shielded; after the second signal
//!   not even that.
//! - Output goes to files, never into a pipe that an orphan could hold open. The one pipe there is,
//!   for logs that have to be masked, is not waited for to close; see [`Log`].
//! - A child that runs without incident costs a wait that sleeps in the kernel. No loop polls for it.
//!
//! What it does not know: tasks, the ledger, reports. [`Spawn`] goes in, [`Ended`] comes out.
//!
//! What it cannot do: processes that cleared or overwrote their environment *and* left the group are
//! not found, nor are those that changed to another user, who may not be signalled. Outside Linux
//! nothing that left the group is found. On Windows only the child itself is ended.

#![expect(clippy::disallowed_methods, reason = "this is the room in which children are started")]

mod follow;
mod log;
mod signals;
mod supervise;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;
#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

use std::time::{Duration, Instant};

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

pub use self::follow::{Follow, Lines, last_line};
pub use self::log::{Log, digest, seal, tail};
pub use self::signals::{Cause, Listener, Signalled};
pub use self::supervise::Room;

/// The variable that every child gets, and hands on to what it starts: the attempt it belongs to.
pub const ATTEMPT: &str = "XTASK_ATTEMPT";

/// What one child is asked to be.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// The program, then its arguments. A name is looked up on the `PATH` of this process, a path
    /// with a separator is relative to `cwd`. No shell is involved.
    pub argv: &'a [String],
    /// The working directory.
    pub cwd: &'a Utf8Path,
    /// Added to the inherited environment.
    pub env: &'a [(String, String)],
    /// Where its output goes.
    pub output: Output<'a>,
    /// How long it may take before it is ended.
    pub timeout: Option<Duration>,
    /// How long it may take to end after it was asked to.
    pub grace: Duration,
    /// The attempt it belongs to, or a mark of its own if it belongs to none: what has the same mark is
    /// ended together. Put into the environment as [`ATTEMPT`], which marks every descendant.
    pub attempt: &'a str,
    /// For work that has to be done all the same, such as cleaning up: the first signal neither keeps
    /// it from starting nor ends it, the second does.
    pub shielded: bool,
}

/// Where the output of a child goes.
#[derive(Debug)]
pub enum Output<'a> {
    /// Into a log, both streams in the order in which they were written.
    Log(&'a Log),
    /// Into [`Ended::stdout`] and [`Ended::stderr`], of each the first `limit` bytes.
    Keep {
        /// The number of bytes kept of each stream. The rest is written to disk and dropped.
        limit: usize,
    },
}

/// What became of a child.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub how: How,
    /// From the call to the end of everything that belonged to it.
    pub took: Duration,
    /// What was kept of standard output; empty if that went to a log.
    pub stdout: Vec<u8>,
    /// What was kept of standard error; empty if that went to a log.
    pub stderr: Vec<u8>,
    /// Whether there was more of one of the two.
    pub truncated: bool,
    /// The processes that outlived the child and were ended. None are counted if the child did not
    /// end by itself: then the rest was meant as well. Outside Linux a group counts as one.
    pub leaked: u32,
}

impl Ended {
    fn early(how: How, begun: Instant) -> Ended {
        let took = begun.elapsed();
        Ended { how, took, stdout: Vec::new(), stderr: Vec::new(), truncated: false, leaked: 0 }
    }
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that did not come from here.
    Signaled(i32),
    /// Because its time was over.
    TimedOut,
    /// Because the room was cancelled, before or after it started.
    Cancelled,
    /// Not at all; one sentence says why it could not be started.
    NotStarted(String),
}

/// Ends processes that an earlier run left behind because it was killed itself: those in whose
/// environment [`ATTEMPT`] is an id that `attempts` agrees to. They are asked first and killed after
/// `grace`. Returns how many there were.
///
/// On Linux they are found through `/proc`; elsewhere none are found.
pub fn end_survivors(attempts: &dyn Fn(&str) -> bool, grace: Duration) -> u32 {
    platform::end_survivors(attempts, grace)
}

/// Makes the file that these options make readable by its owner only, where there are such files.
pub fn private(options: &mut std::fs::OpenOptions) {
    platform::private(options);
}

/// Makes the folder that it makes accessible to its owner only, where there are such folders.
pub fn private_folder(builder: &mut std::fs::DirBuilder) {
    platform::private_folder(builder);
}

#[cfg(unix)]
pub use std::os::fd::AsFd as Stream;
#[cfg(windows)]
pub use std::os::windows::io::AsHandle as Stream;

/// Columns and rows of the terminal behind a stream of this process; nothing if there is none.
pub fn terminal_size(stream: &impl Stream) -> Option<(usize, usize)> {
    let (columns, rows) = platform::terminal_size(stream)?;
    (columns > 0 && rows > 0).then_some((columns.into(), rows.into()))
}

/// Which process this is, so that a dead holder of a lock is told from a live one even when its
/// process id is in use again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The name of the host.
    pub host: String,
    /// Changes with every start of the host. On Linux it names the process id namespace as well:
    /// containers on one host share the rest.
    pub boot: String,
    /// The process id.
    pub pid: u32,
    /// When the process started, in whatever unit the system counts; only good for comparing.
    pub started: String,
}

impl Instance {
    /// This process.
    pub fn current() -> Instance {
        let pid = std::process::id();
        Instance {
            host: platform::host(),
            boot: platform::boot(),
            pid,
            started: platform::started(pid).unwrap_or_default(),
        }
    }

    /// Whether that process still runs; none if that cannot be told from here, as for another host or
    /// another container.
    pub fn is_alive(&self) -> Option<bool> {
        if self.host != platform::host() {
            return None;
        }
        let here = platform::boot();
        if self.boot != here {
            let machine = |boot: &str| boot.split('/').next().unwrap_or_default().to_owned();
            // Another start of this host: whatever ran then is gone. The same start seen from another
            // namespace: process ids mean something else there.
            return if machine(&self.boot) == machine(&here) { None } else { Some(false) };
        }
        platform::is_alive(self.pid, &self.started)
    }
}
