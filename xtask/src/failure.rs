//! What ends a command early: an error, what kind it is, and what to do about it. The kinds are the exit codes.

use std::fmt;

/// Exit codes, as the reference publishes them.
pub mod exit {
    /// Everything that was asked for is done, or skipped.
    pub const DONE: u8 = 0;
    /// Something failed.
    pub const FAILED: u8 = 1;
    /// The call or pipeline.toml is wrong; nothing ran.
    pub const USAGE: u8 = 2;
    /// Nothing failed, but something that was asked for is not done.
    pub const BLOCKED: u8 = 3;
    /// The ledger, a log or a report could not be written, or another run holds the lock.
    pub const LEDGER: u8 = 4;
}

/// An error with its exit code.
#[derive(Debug)]
pub struct Failure {
    /// One of [`exit`].
    pub code: u8,
    /// What happened.
    pub error: anyhow::Error,
    /// What to do.
    pub hint: Option<String>,
}

impl Failure {
    /// The call or pipeline.toml is wrong.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { code: exit::USAGE, error: anyhow::anyhow!("{message}"), hint: None }
    }

    /// The ledger, a report or the run lock.
    pub fn ledger(error: impl Into<anyhow::Error>) -> Self {
        Self { code: exit::LEDGER, error: error.into(), hint: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// "error: what: cause: cause", then the hint on a line of its own.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {:#}", self.error)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

/// What a command that is used wrongly costs: errors without a kind of their own are the caller's to mend.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { code: exit::LEDGER, error, hint: None }
    }
}
