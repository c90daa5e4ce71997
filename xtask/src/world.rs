//! The outside as an interface: files, programs, addresses and the clock. Checks and probes see nothing else, so
//! that each can be tested without a disk, a process or a network.

use std::io;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use crate::exec::How;
use crate::ids::Digest;
use crate::pipeline::read::Glob;

#[cfg(test)]
pub mod fake;
pub mod http;
mod near;
mod real;
pub mod trace;

pub use near::Nearby;
pub use real::{Real, Remembered, Stamp, keep_privately};

/// What is at a path.
#[derive(Debug)]
pub enum Looked {
    /// A folder. What is in it is the concern of whoever looks into it.
    Folder,
    /// Something else, with the digest of its content or why it could not be read.
    File(io::Result<Digest>),
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file with its size in bytes.
    File(u64),
    /// A folder.
    Folder,
    /// Something else: a socket, a device.
    Other,
}

/// A command that is asked for its answer: short, without effect, its output kept.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Where it runs.
    pub cwd: Utf8PathBuf,
    /// Additions to the environment.
    pub env: Vec<(String, String)>,
    /// After this it is ended, and the answer is that it did not answer.
    pub limit: Duration,
}

/// What a command answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How it ended.
    pub how: How,
    /// Standard output, at most [`ANSWER_LIMIT`] bytes, read as UTF-8 with replacement.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

/// How much of an answer is kept, in bytes of each stream. A `kubectl get -o json` of a busy node is some megabytes.
pub const ANSWER_LIMIT: usize = 32 << 20;

/// An HTTP request of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, ...
    pub method: String,
    /// `http://host:port/path`
    pub url: String,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The body, if any.
    pub body: Option<String>,
    /// For the whole exchange.
    pub limit: Duration,
}

/// An HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, read as UTF-8 with replacement, at most 4 MiB.
    pub body: String,
}

/// The outside. Relative paths start at the root of the pipeline.
pub trait World: Sync {
    /// The time.
    fn now(&self) -> Timestamp;
    /// The folder that holds pipeline.toml.
    fn root(&self) -> &Utf8Path;
    /// The content of a file.
    fn read(&self, path: &Utf8Path) -> io::Result<Vec<u8>>;
    /// The content of a file that may be larger than memory, from its start.
    fn open(&self, path: &Utf8Path) -> io::Result<Box<dyn io::Read>> {
        self.read(path).map(|bytes| Box::new(io::Cursor::new(bytes)) as Box<dyn io::Read>)
    }
    /// What a path is, symbolic links followed.
    fn kind(&self, path: &Utf8Path) -> io::Result<Kind>;
    /// What tells an untouched file or folder from one that was changed or replaced, symbolic links followed; nothing
    /// if there is none.
    fn stamp(&self, _path: &Utf8Path) -> Option<Stamp> {
        None
    }
    /// The digest of a file's content. A file whose size and times are unchanged is not read again.
    fn digest(&self, path: &Utf8Path) -> io::Result<Digest>;
    /// What is at a path, symbolic links followed; nothing if there is nothing.
    fn look(&self, path: &Utf8Path) -> Option<Looked> {
        match self.kind(path).ok()? {
            Kind::Folder => Some(Looked::Folder),
            Kind::File(_) | Kind::Other => Some(Looked::File(self.digest(path))),
        }
    }
    /// The files that a pattern matches, sorted, relative to the root; ignored ones (.gitignore) left out.
    fn files(&self, glob: &Glob) -> io::Result<Vec<Utf8PathBuf>>;
    /// The version that this program gave when it was last asked, if it is still the same file.
    fn known_version(&self, _program: &Utf8Path) -> Option<String> {
        None
    }
    /// Keeps the version that this program gave.
    fn note_version(&self, _program: &Utf8Path, _version: &str) {}
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String>;
    /// Where a program is found on PATH.
    fn which(&self, program: &str) -> Option<Utf8PathBuf>;
    /// Runs a command for its answer.
    fn ask(&self, ask: &Ask) -> Answer;
    /// Sends a request; the error says why there was no response, as the end of a sentence.
    fn http(&self, request: &Request) -> Result<Response, String>;
    /// Connects to `host:port` and hangs up; the error says why not.
    fn connect(&self, address: &str, limit: Duration) -> Result<(), String>;
    /// Waits; false if the run was cancelled meanwhile.
    fn pause(&self, duration: Duration) -> bool;
}
