//! Checks: what must hold after a task's commands, observed on the real thing.
//!
//! A kind of check is one file here and one line in [`kinds!`]: a [`record!`](crate::pipeline::read) whose first
//! key names the kind, and implementations of [`Check`] and [`Refuse`]. It sees the outside through [`World`] only.
//! What several kinds share is in [`data`] (values by path), [`text`] (patterns, paths) and [`ask`] (commands).

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ::toml::de::DeTable;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::pipeline::condition::Condition;
use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::read::{Defs, Glob, Period, Read, Reader, Record, Value, described};
use crate::pipeline::template::Scope;
use crate::wording;
use crate::world::World;

mod archive;
mod ask;
pub mod data;
mod file;
mod files;
mod folder;
mod git;
mod http;
mod json;
mod load;
mod markdown;
mod run;
mod tcp;
pub mod text;
mod toml;
mod yaml;

pub use ask::{ask, output};

/// Everything that a check or a measurement may look at.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The outside.
    pub world: &'a dyn World,
    /// Values of run-time names.
    pub scope: &'a dyn Scope,
    /// The task's own environment, for commands.
    pub env: &'a [(String, String)],
    /// The task's working directory, for commands.
    pub cwd: &'a Utf8Path,
    /// The longest that a single command or request may take.
    pub limit: Duration,
    /// Times and measurements of this attempt and of finished tasks.
    pub timeline: &'a dyn Timeline,
}

/// What an attempt knows about time and about numbers already measured.
pub trait Timeline {
    /// How long the command with this `name` took in this attempt.
    fn step(&self, name: &str) -> Option<Duration>;
    /// Since the first command of this attempt started.
    fn elapsed(&self) -> Duration;
    /// A measurement that a finished task recorded, in its unit.
    fn recorded(&self, task: &str, measurement: &str) -> Option<f64>;
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Finding {
    /// It holds.
    Met {
        /// What was found, where that is worth keeping.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<String>,
    },
    /// It does not.
    Unmet {
        /// What was expected, as the end of "expected ...".
        expected: String,
        /// What was found, as the end of "found ...".
        found: String,
        /// Where: a file with a line, an address, a command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<String>,
        /// What to do, if it can be said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// It could not be told, which is never a pass.
    Unknown {
        /// Why not.
        why: String,
    },
}

impl Finding {
    /// It holds, with nothing more to say.
    pub fn met() -> Self {
        Self::Met { found: None }
    }

    /// It holds, and this was found.
    pub fn met_with(found: impl Into<String>) -> Self {
        Self::Met { found: Some(found.into()) }
    }

    /// It does not hold.
    pub fn unmet(expected: impl Into<String>, found: impl Into<String>, at: impl Into<String>) -> Self {
        Self::Unmet { expected: expected.into(), found: found.into(), at: Some(at.into()), hint: None }
    }

    /// Adds a hint to an unmet finding.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        if let Self::Unmet { hint, .. } = &mut self {
            *hint = Some(text.into());
        }
        self
    }

    /// It could not be told.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }

    /// True only if it holds.
    pub fn is_met(&self) -> bool {
        matches!(self, Self::Met { .. })
    }
}

/// "expected ..., found ... (where)".
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Met { found: None } => f.write_str("holds"),
            Self::Met { found: Some(found) } => write!(f, "holds: {found}"),
            Self::Unmet { expected, found, at, .. } => {
                write!(f, "expected {expected}, found {found}")?;
                at.as_ref().map_or(Ok(()), |at| write!(f, " ({at})"))
            }
            Self::Unknown { why } => write!(f, "could not tell: {why}"),
        }
    }
}

/// A file or a set of files that a check reads.
#[derive(Debug, Clone)]
pub enum Subject {
    /// One file; it may be missing.
    File(Utf8PathBuf),
    /// All files that a pattern matches.
    Glob(Glob),
}

/// One kind of check with its parameters.
pub trait Check: fmt::Debug + Send + Sync {
    /// What must hold, as a sentence without a full stop: "`k8s/base/configmap.yaml` has kind = \"ConfigMap\"".
    fn describe(&self) -> String;
    /// Looks.
    fn observe(&self, cx: &Context<'_>) -> Finding;
    /// The repository's files that it reads: their content is part of what a task stands on.
    fn subjects(&self) -> Vec<Subject> {
        Vec::new()
    }
    /// True if it depends on its subjects only, so that it needs no second look while they are unchanged.
    fn is_local(&self) -> bool {
        false
    }
    /// True if looking changes nothing, so that it can be done at any time.
    fn is_repeatable(&self) -> bool {
        true
    }
}

/// What a kind refuses when the file is read although each key alone is right: a check that can never hold.
pub trait Refuse {
    /// The mistakes, each at the key that shows it best.
    fn refuse(&self, _keys: &Keys<'_>) -> Vec<Diagnostic> {
        Vec::new()
    }
}

/// Where the keys of a check stand.
pub struct Keys<'a> {
    table: &'a DeTable<'a>,
    span: Range<usize>,
}

impl<'a> Keys<'a> {
    /// The keys of a table that stands at `span`.
    pub fn new(table: &'a DeTable<'a>, span: Range<usize>) -> Self {
        Self { table, span }
    }

    /// The place of a key's value, or of the table where the key is left out.
    pub fn at(&self, key: &str) -> Range<usize> {
        self.table.get(key).map_or_else(|| self.span.clone(), ::toml::Spanned::span)
    }

    /// True if the key is there.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A mistake at a key.
    pub fn mistake(&self, key: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.at(key), message)
    }

    /// The mistake of two limits that leave nothing between them.
    pub fn crossed(&self, min: Option<f64>, max: Option<f64>) -> Option<Diagnostic> {
        let (min, max) = (min?, max?);
        (min > max).then(|| self.mistake("max", format!("nothing is at least {min} and at most {max}")))
    }

    /// The mistake of a key that means nothing without one of the `others`.
    pub fn alone(&self, key: &str, others: &[&str]) -> Option<Diagnostic> {
        let alone = self.has(key) && !others.iter().any(|other| self.has(other));
        alone.then(|| {
            let others: Vec<String> = others.iter().map(|other| format!("`{other}`")).collect();
            self.mistake(key, format!("`{key}` means nothing without {}", wording::either(&others)))
        })
    }
}

/// A check with what every kind can have.
#[derive(Debug, Clone)]
pub struct CheckSpec {
    /// What the report says instead of the generated sentence.
    pub title: Option<String>,
    /// Look again until it holds, this long at most.
    pub within: Option<Duration>,
    /// Look only if this is so.
    pub when: Option<Condition>,
    /// It looks into the folder that goes away with the attempt, so that it can't be made again.
    pub transient: bool,
    /// The check.
    pub check: Arc<dyn Check>,
}

impl CheckSpec {
    /// What must hold, in words.
    pub fn says(&self) -> String {
        self.title.clone().unwrap_or_else(|| self.check.describe())
    }

    /// Looks, again and again while `within` lasts: after 50 ms, then half as long again, up to 1 s.
    pub fn observe(&self, cx: &Context<'_>) -> Finding {
        let mut waited = Duration::ZERO;
        let mut pause = Duration::from_millis(50);
        let started = std::time::Instant::now();
        loop {
            let finding = self.check.observe(cx);
            let Some(within) = self.within.map(|w| w.min(cx.limit)) else { return finding };
            if finding.is_met() {
                return finding;
            }
            waited = waited.max(started.elapsed());
            if waited >= within {
                return late(finding, within);
            }
            let nap = pause.min(within - waited);
            if !cx.world.pause(nap) {
                return finding;
            }
            waited += nap;
            pause = (pause * 3 / 2).min(Duration::from_secs(1));
        }
    }
}

/// Says in a finding that there was time for it to become true.
fn late(finding: Finding, within: Duration) -> Finding {
    match finding {
        Finding::Unmet { expected, found, at, hint } => Finding::Unmet {
            expected: format!("{expected} within {}", wording::duration(within)),
            found,
            at,
            hint,
        },
        other => other,
    }
}

/// Reads a table as a `T`, or reports what is wrong with it.
pub type ReadTable<T> = fn(&DeTable<'_>, Range<usize>, &mut Reader<'_>) -> Option<Arc<T>>;

/// An entry of the registry.
pub struct Kind {
    /// The key that makes a table a check of this kind.
    pub key: &'static str,
    /// Reads the table.
    pub read: ReadTable<dyn Check>,
    /// The schema of the table without the common keys.
    pub schema: fn(&mut Defs) -> Json,
}

/// Keys that every check can have.
const COMMON: &[&str] = &["title", "within", "when"];

fn read_kind<T: Check + Record + Refuse + 'static>(
    table: &DeTable<'_>,
    span: Range<usize>,
    r: &mut Reader<'_>,
) -> Option<Arc<dyn Check>> {
    let before = r.problems.len();
    let check = T::read_table(table, span.clone(), r, COMMON)?;
    if r.problems.len() > before {
        // What follows from a mistake is not another one.
        return None;
    }
    let mistakes = check.refuse(&Keys::new(table, span));
    let fine = mistakes.is_empty();
    mistakes.into_iter().for_each(|mistake| r.report(mistake));
    fine.then(|| Arc::new(check) as Arc<dyn Check>)
}

fn schema_of<T: Record>(defs: &mut Defs) -> Json {
    let (mut properties, required) = T::properties(defs);
    let common = [
        ("title", String::schema(defs), "What the report says instead of the generated sentence."),
        ("within", Period::schema(defs), "Look again until it holds, this long at most."),
        ("when", Condition::schema(defs), "Look only if this is so."),
    ];
    for (key, schema, doc) in common {
        properties.insert(key.to_owned(), described(schema, &[doc]));
    }
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}

/// Declares the kinds: the key, and the record in the module of that name.
macro_rules! kinds {
    ($($key:ident => $module:ident :: $Type:ident),* $(,)?) => {
        /// Every kind of check, in the order in which the reference shows them.
        pub const KINDS: &[Kind] = &[$(
            Kind { key: stringify!($key), read: read_kind::<$module::$Type>, schema: schema_of::<$module::$Type> }
        ),*];
    };
}

// A check may have keys that name another kind further down (`http` with `json`): the first in this list decides.
kinds! {
    file => file::FileCheck,
    folder => folder::FolderCheck,
    files => files::FilesCheck,
    markdown => markdown::MarkdownCheck,
    http => http::HttpCheck,
    load => load::LoadCheck,
    tcp => tcp::TcpCheck,
    run => run::RunCheck,
    git => git::GitCheck,
    archive => archive::ArchiveCheck,
    json => json::JsonCheck,
    toml => toml::TomlCheck,
    yaml => yaml::YamlCheck,
}

impl Read for CheckSpec {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            r.wrong_type(value, "a table such as { file = \"README.md\" }");
            return None;
        };
        let span = crate::pipeline::read::head(r.source, value.span());
        let Some(kind) = KINDS.iter().find(|kind| table.contains_key(kind.key)) else {
            let keys: Vec<&str> = table.keys().map(|k| k.get_ref().as_ref()).collect();
            let near = keys.iter().find_map(|k| wording::nearest(k, KINDS.iter().map(|kind| kind.key)));
            let names: Vec<String> = KINDS.iter().map(|k| format!("`{}`", k.key)).collect();
            let hint = near.map_or_else(
                || format!("one of the keys {}", wording::either(&names)),
                |near| format!("did you mean `{near}`?"),
            );
            r.report(Diagnostic::new(span, "nothing here says what to check").hint(hint));
            return None;
        };
        let title = r.key::<Option<String>>(table, "title", &span);
        let within = r.key::<Option<Period>>(table, "within", &span);
        let when = r.key::<Option<Condition>>(table, "when", &span);
        r.transient = false;
        let check = (kind.read)(table, span, r);
        let transient = std::mem::take(&mut r.transient);
        Some(Self { title: title?, within: within?.map(|p| p.0), when: when?, transient, check: check? })
    }

    fn schema(defs: &mut Defs) -> Json {
        if !defs.contains_key("Check") {
            defs.insert("Check".to_owned(), Json::Null);
            let all: Vec<Json> = KINDS.iter().map(|kind| (kind.schema)(defs)).collect();
            defs.insert(
                "Check".to_owned(),
                json!({ "description": "What must hold. One key names the kind.", "oneOf": all }),
            );
        }
        json!({ "$ref": "#/$defs/Check" })
    }
}

#[cfg(test)]
pub mod testing {
    //! What the tests of checks and measurements share: reading from TOML, and a context around a fake outside.

    use super::*;
    use crate::pipeline::template::Scope;

    /// Knows `run.id`, `tmp` and `port`.
    pub struct Names;

    impl Scope for Names {
        fn value(&self, name: &str) -> Result<String, String> {
            match name {
                "run.id" => Ok("a+b".to_owned()),
                "tmp" => Ok("/tmp/t".to_owned()),
                "port" => Ok("4711".to_owned()),
                _ => Err(format!("`${{{name}}}` has no value")),
            }
        }
    }

    /// One step of 1.5 s, 90 s in all, and one recorded measurement.
    pub struct Times;

    impl Timeline for Times {
        fn step(&self, name: &str) -> Option<Duration> {
            (name == "install").then(|| Duration::from_millis(1500))
        }
        fn elapsed(&self) -> Duration {
            Duration::from_secs(90)
        }
        fn recorded(&self, task: &str, measurement: &str) -> Option<f64> {
            ((task, measurement) == ("T046", "pod start")).then_some(42.0)
        }
    }

    /// Reads a TOML value; the error is the messages of all mistakes.
    pub fn read_value<T: Read>(toml: &str) -> Result<T, Vec<String>> {
        let source = format!("it = {toml}");
        let table = DeTable::parse(&source).expect("valid TOML");
        let mut r = Reader::new(&source);
        r.vars.insert("tag".to_owned(), "v1.0".to_owned());
        r.runtime.extend(["run.id", "tmp", "port"].map(str::to_owned));
        let read = T::read(&table.get_ref()["it"], &mut r);
        match read {
            Some(value) if r.problems.is_empty() => Ok(value),
            _ => Err(r.problems.into_iter().map(|problem| problem.message).collect()),
        }
    }

    /// Calls `body` with a context around `world`.
    pub fn with<T>(world: &dyn World, body: impl FnOnce(&Context<'_>) -> T) -> T {
        let env = [("A".to_owned(), "1".to_owned())];
        body(&Context {
            world,
            scope: &Names,
            env: &env,
            cwd: "/project".into(),
            limit: Duration::from_secs(10),
            timeline: &Times,
        })
    }

    /// Reads a check such as `{ file = "a" }`.
    pub fn check(toml: &str) -> CheckSpec {
        read_value(toml).unwrap_or_else(|problems| panic!("{toml}: {problems:?}"))
    }

    /// The text of what a check finds.
    pub fn found(world: &dyn World, toml: &str) -> String {
        with(world, |cx| check(toml).observe(cx)).to_string()
    }

    /// Asserts the texts of what checks find: pairs of check and text.
    #[track_caller]
    pub fn assert_found(world: &dyn World, table: &[(&str, &str)]) {
        for (toml, text) in table {
            assert_eq!(found(world, toml), *text, "{toml}");
        }
    }

    /// Asserts what is refused when the file is read: pairs of check and message.
    #[track_caller]
    pub fn assert_refused(table: &[(&str, &str)]) {
        for (toml, message) in table {
            let problems = read_value::<CheckSpec>(toml).map(|spec| spec.says()).unwrap_err();
            assert_eq!(problems, [*message], "{toml}");
        }
    }
}
