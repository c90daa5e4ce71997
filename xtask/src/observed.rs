//! What the outside said, as values. A state follows from the plan, the ledger and this, and from nothing else.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::exec::Instance;
use crate::ids::Digest;

/// What asking for a prerequisite came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// All that is declared holds.
    #[serde(rename = "met")]
    Met,
    /// The program is not on PATH, or the variable is not set.
    #[serde(rename = "absent")]
    Absent,
    /// The program is there in a version that will not do.
    #[serde(rename = "wrong version")]
    WrongVersion,
    /// It is there and does not answer.
    #[serde(rename = "not running")]
    NotRunning,
    /// It is there, and this user may not use it.
    #[serde(rename = "no permission")]
    NoPermission,
    /// It could not be told: the question took too long, or its answer could not be read.
    #[serde(rename = "could not tell")]
    CouldNotTell,
}

impl Verdict {
    /// As it is shown and written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Absent => "absent",
            Self::WrongVersion => "wrong version",
            Self::NotRunning => "not running",
            Self::NoPermission => "no permission",
            Self::CouldNotTell => "could not tell",
        }
    }
}

/// The answer to the question whether a prerequisite is met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The verdict.
    pub verdict: Verdict,
    /// The version that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where the program was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Utf8PathBuf>,
    /// Why it is not met, as a sentence without a full stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Probe {
    /// A verdict with its reason.
    pub fn unmet(verdict: Verdict, why: impl Into<String>) -> Self {
        Self { verdict, version: None, path: None, why: Some(why.into()) }
    }

    /// True if the prerequisite is met.
    pub fn is_met(&self) -> bool {
        self.verdict == Verdict::Met
    }
}

/// Digests of a task's files by path. A file that should be there and is not has none.
pub type Files = BTreeMap<Utf8PathBuf, Option<Digest>>;

/// An input that can't be looked at, so that nobody can tell whether it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The file, or the pattern whose files can't be listed.
    pub path: Utf8PathBuf,
    /// The rest of the sentence: `could not be read: Permission denied`.
    pub why: String,
    /// It is being written just now: that will pass.
    pub is_busy: bool,
}

/// What a task's files look like now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileView {
    /// The files that its `inputs` match.
    pub inputs: Files,
    /// Inputs that are there and can't be looked at; they have no digest.
    pub unreadable: Vec<Unreadable>,
    /// Its artifacts, and the files that its checks read.
    pub subjects: Files,
    /// Artifacts that are folders, or missing.
    pub missing: Vec<Utf8PathBuf>,
}

/// Everything the outside said. What was not asked is absent, and no state claims to know it.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// When; absent where a report is made from recorded evidence alone.
    pub at: Option<Timestamp>,
    /// By position in the plan.
    pub prerequisites: Vec<Option<Probe>>,
    /// Answers to facts, or why there was none.
    pub facts: BTreeMap<String, Result<String, String>>,
    /// By position in the plan; absent where a task has never passed, so that nothing is to be compared.
    pub files: Vec<Option<FileView>>,
    /// Files of each deliverable, by position in the plan.
    pub deliverables: Vec<Vec<Utf8PathBuf>>,
    /// Versions of tools of finished tasks, as far as they can be told without starting anything.
    pub versions: BTreeMap<String, String>,
    /// Who is running the pipeline just now.
    pub holder: Option<Instance>,
}
