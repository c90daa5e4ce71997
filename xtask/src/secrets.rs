//! The one layer that keeps secrets from everything that is written or shown: all declared secrets of a plan, shared
//! by whoever writes or shows something.
//!
//! It grows: a value that is captured while a task runs is known to everybody from then on. What is masked and how is
//! the concern of [`redact`](crate::redact).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use camino::Utf8Path;
use serde_json::Value as Json;

use crate::pipeline::{Plan, Task};
use crate::redact::{Redactor, SHORTEST, is_certain};
use crate::texts::{Texts, Veil};

/// Everything that must not be shown.
#[derive(Clone, Default)]
pub struct Secrets {
    known: Arc<RwLock<Known>>,
}

#[derive(Default)]
struct Known {
    /// Values, each with whose it is.
    values: BTreeMap<String, String>,
    redactor: Redactor,
    /// Masks those values only that are certain to be meant wherever they turn up.
    certain: OnceLock<Redactor>,
    /// More are to come.
    expects: bool,
    /// How often something was learned.
    version: u64,
}

/// A value that must not be shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret {
    /// Whose value it is, in words: "`TOKEN`", "`TOKEN` (`.env`)".
    pub whose: String,
    /// The value.
    pub value: String,
    /// True if the file names it as a secret; false if it only stands in an `env_file`.
    pub named: bool,
}

impl Secret {
    /// A value that was taken from what a command printed.
    pub fn captured(name: &str, value: &str) -> Self {
        Self { whose: format!("`${{{name}}}`"), value: value.to_owned(), named: true }
    }

    /// True if it is too short to be masked; see [`SHORTEST`].
    pub fn is_short(&self) -> bool {
        !self.value.is_empty() && self.value.chars().count() < SHORTEST
    }
}

/// Says whose, not what.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("whose", &self.whose).finish_non_exhaustive()
    }
}

/// Says how much is known, not what.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("n_values", &self.known().values.len()).finish_non_exhaustive()
    }
}

impl Secrets {
    /// These secrets, and well-known credentials.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let out = Self::default();
        out.learn(secrets);
        out
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Masks these from now on as well.
    pub fn learn(&self, secrets: impl IntoIterator<Item = Secret>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.values.len();
        for secret in secrets.into_iter().filter(|s| !s.is_short() && !s.value.is_empty()) {
            known.values.entry(secret.value).or_insert(secret.whose);
        }
        if known.values.len() > before {
            known.redactor = Redactor::new(known.values.keys().cloned());
            known.certain = OnceLock::new();
            known.version += 1;
        }
    }

    /// Says that more are to come, so that what is written before has to be ready for them.
    pub fn expect(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).expects = true;
    }

    /// True if there are values to mask, or will be.
    pub fn any(&self) -> bool {
        let known = self.known();
        known.expects || !known.values.is_empty()
    }

    /// Changes whenever something is learned.
    pub fn version(&self) -> u64 {
        self.known().version
    }

    /// What masks everything that is known now.
    pub fn redactor(&self) -> Redactor {
        self.known().redactor.clone()
    }

    /// `text` with every secret masked.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.redactor().mask(text)
    }

    /// The same, owned.
    pub fn masked(&self, text: impl Into<String>) -> String {
        self.veiled(text.into())
    }

    /// Something that is recorded or reported, with every text in it masked.
    pub fn veiled<T: Texts>(&self, what: T) -> T {
        what.veiled(&Veil(&self.redactor()))
    }

    /// Masks every text in a JSON document. Keys stay as they are, and so do words of our own such as states.
    pub fn veil_json(&self, document: &mut Json) {
        veil_json(document, "", &Veil(&self.redactor()));
    }

    /// Whose value is in `text`, if there is one that can't be there by chance.
    pub fn whose_is_in(&self, text: &str) -> Option<String> {
        let known = self.known();
        if !known.redactor.holds_secret(text) {
            return None;
        }
        let certain = || known.values.iter().filter(|(value, _)| is_certain(value));
        let all = known.certain.get_or_init(|| Redactor::new(certain().map(|(value, _)| value.clone())));
        if !all.holds_secret(text) {
            return None;
        }
        certain()
            .find(|(value, _)| Redactor::new([(*value).clone()]).holds_secret(text))
            .map(|(_, whose)| whose.clone())
    }
}

/// Words of our own by their keys. One of them in such a place is there whatever a secret says.
const OWN_WORDS: &[(&str, &[&str])] = &[
    (
        "state",
        &[
            "done",
            "stale",
            "failed",
            "interrupted",
            "blocked",
            "waiting",
            "ready",
            "skipped",
            "ended",
            "running",
            "killed",
        ],
    ),
    ("outcome", &["passed", "failed", "interrupted", "running"]),
    (
        "verdict",
        &[
            "met",
            "unmet",
            "unknown",
            "absent",
            "wrong version",
            "not running",
            "no permission",
            "could not tell",
            "holds",
            "drifted",
            "left-out",
        ],
    ),
    (
        "kind",
        &[
            "prerequisite",
            "task",
            "changed",
            "failure",
            "interrupted",
            "condition",
            "skipped",
            "running",
            "command",
            "check",
            "measurement",
            "capture",
            "timeout",
            "artifact",
            "environment",
            "task-skipped",
            "task-forgotten",
        ],
    ),
    ("by", &["command", "check", "measurement", "capture", "timeout", "artifact", "environment"]),
    (
        "what",
        &[
            "definition",
            "variable",
            "input",
            "artifact",
            "tool",
            "dependency",
            "drift",
            "edited",
            "inserted",
            "removed",
            "reordered",
            "duplicated",
            "unreadable",
            "unfinished",
            "head-unknown",
            "log-altered",
            "log-missing",
            "log-unreadable",
            "log-unknown",
        ],
    ),
    ("how", &["changed", "added", "removed"]),
    ("standing", &["met", "unmet", "pending"]),
    ("level", &["low", "medium", "high"]),
    ("policy", &["ok", "warn", "fail"]),
    ("unit", &["bytes", "seconds", "cores", "percent", "count"]),
    ("part", &["run", "capture", "finally", "teardown"]),
];

fn is_own_word(key: &str, text: &str) -> bool {
    OWN_WORDS.iter().any(|(own, words)| *own == key && words.contains(&text))
}

fn veil_json(value: &mut Json, key: &str, veil: &Veil<'_>) {
    match value {
        Json::String(text) => {
            if !is_own_word(key, text) {
                veil.text(text);
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| veil_json(item, key, veil)),
        Json::Object(map) => map.iter_mut().for_each(|(key, inner)| veil_json(inner, key, veil)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// The secrets that a plan declares, as far as they have values now; `file` gives the text of a file and `variable` an
/// environment variable, if there is one. A file that an earlier task makes may have none yet.
pub fn of_plan(
    plan: &Plan,
    file: &dyn Fn(&Utf8Path) -> Option<String>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Vec<Secret> {
    let mut out = BTreeSet::new();
    let mut files: BTreeMap<&Utf8Path, Vec<(String, String)>> = BTreeMap::new();
    let mut done: BTreeSet<(&Utf8Path, &[String])> = BTreeSet::new();
    let names_some =
        |task: &&Task| !task.env_files.is_empty() || !task.env.is_empty() || !task.secret.is_empty();
    for task in plan.tasks.iter().filter(names_some) {
        for path in &task.env_files {
            let lines = &*files.entry(path).or_insert_with(|| env_lines(&file(path).unwrap_or_default()));
            if done.insert((path, &task.plain)) {
                out.extend(of_env_file(path, lines, &task.plain));
            }
        }
        let fixed = task.env.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_static()?)));
        let lines = task.env_files.iter().flat_map(|path| &files[path.as_path()]);
        let env: Vec<(&str, &str)> = lines.map(|(n, v)| (n.as_str(), v.as_str())).chain(fixed).collect();
        out.extend(named(&task.secret, &env, variable));
        // What is secret for the whole plan is so as well where a task gives it another value.
        out.extend(named(&plan.secret, &env, &|_| None));
    }
    for name in &plan.secret {
        // The value that counts, and one that is there as well and could be printed.
        let values = [plan.vars.get(name).cloned(), variable(name), variable(&format!("XTASK_VAR_{name}"))];
        let secret = |value| Secret { whose: format!("`{name}`"), value, named: true };
        out.extend(values.into_iter().flatten().map(secret));
    }
    out.into_iter().collect()
}

/// The secrets in an environment file.
pub fn of_env_file<'l>(
    path: &Utf8Path,
    lines: impl IntoIterator<Item = &'l (String, String)>,
    plain: &[String],
) -> Vec<Secret> {
    let secret = lines.into_iter().filter(|(name, _)| !plain.contains(name));
    secret
        .map(|(name, value)| Secret {
            whose: format!("`{name}` (`{path}`)"),
            value: value.clone(),
            named: false,
        })
        .collect()
}

/// The values of these variables in an environment: its last line about each, or else what is inherited.
pub fn named(
    names: &[String],
    env: &[(&str, &str)],
    inherited: &dyn Fn(&str) -> Option<String>,
) -> Vec<Secret> {
    let value = |name: &str| {
        let own = env.iter().rev().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        own.or_else(|| inherited(name))
    };
    names
        .iter()
        .filter_map(|name| Some(Secret { whose: format!("`{name}`"), value: value(name)?, named: true }))
        .collect()
}

/// True if a task takes secrets from what commands print.
pub fn captures(task: &Task) -> bool {
    task.captures.iter().flat_map(|(_, tables)| tables).any(|table| table.secret.0)
}

/// `NAME=value` lines: comments and blank lines are passed over, `export` and one pair of quotes are taken off.
pub fn env_lines(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| {
            let line = line.trim();
            let line = line.strip_prefix("export ").unwrap_or(line);
            let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
            let value = value.trim();
            let unquoted =
                ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q)).unwrap_or(value);
            Some((name.trim().to_owned(), unquoted.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pipeline::resolve::resolve;

    fn secret(whose: &str, value: &str) -> Secret {
        Secret { whose: whose.to_owned(), value: value.to_owned(), named: true }
    }

    #[test]
    fn environment_files_are_read_as_people_write_them() {
        let text = "# comment\n\nA=1\nexport B = two words \nC=\"quoted\"\nD='x=y'\nno value\nE=\n";
        let pairs = env_lines(text);
        let wanted = [("A", "1"), ("B", "two words"), ("C", "quoted"), ("D", "x=y"), ("E", "")];
        assert_eq!(pairs, wanted.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn a_plan_tells_its_secrets() {
        let plan = r#"
        pipeline = { id = "p", title = "P", secret = ["token", "GLOBAL"] }
        vars = { token = "from-the-file", other = "x" }
        [[phase]]
        id = "m"
        title = "M"
        [[phase.task]]
        id = "a"
        title = "A"
        env_file = [".env", "gone"]
        plain = ["LEVEL"]
        secret = ["OWN", "INHERITED", "LEVEL", "UNSET"]
        env = { OWN = "own-value", GLOBAL = "here-too" }
        [[phase.task]]
        id = "b"
        title = "B"
        env_file = ".env"
        "#;
        let plan = resolve(plan, &BTreeMap::new()).unwrap();
        let file = |path: &Utf8Path| (path == ".env").then(|| "PASSWORD=pw\nLEVEL=info\n".to_owned());
        let variable = |name: &str| match name {
            "INHERITED" | "GLOBAL" | "OWN" | "XTASK_VAR_token" => Some(format!("{name} of the environment")),
            _ => None,
        };
        let found = of_plan(&plan, &file, &variable);
        let found: Vec<String> = found
            .iter()
            .map(|s| format!("{} = {}{}", s.whose, s.value, if s.named { "" } else { "?" }))
            .collect();
        assert_eq!(
            found,
            [
                "`GLOBAL` = GLOBAL of the environment",
                "`GLOBAL` = here-too",
                "`INHERITED` = INHERITED of the environment",
                // Named as a secret, it is one in spite of `plain`; in the other task it is no plain one anyway.
                "`LEVEL` = info",
                "`LEVEL` (`.env`) = info?",
                "`OWN` = own-value",
                "`PASSWORD` (`.env`) = pw?",
                "`token` = XTASK_VAR_token of the environment",
                "`token` = from-the-file",
            ]
        );
    }

    #[test]
    fn what_is_learned_is_known_to_everybody() {
        let one = Secrets::default();
        let other = one.clone();
        assert!(!one.any());
        one.expect();
        assert!(other.any());
        let version = one.version();
        one.learn([secret("a", "s3cr3t-value"), secret("b", "pin"), secret("c", "")]);
        assert_eq!(other.mask("s3cr3t-value pin"), "*** pin");
        assert!(other.version() > version);
        let version = one.version();
        one.learn([secret("d", "s3cr3t-value")]);
        assert_eq!(other.version(), version, "nothing new");
    }

    #[test]
    fn only_a_value_that_is_certain_is_held_against_a_text() {
        let secrets = Secrets::new([
            secret("`PORT`", "8080"),
            secret("`MODE`", "production"),
            secret("`A`", "aaaaaaaa"),
            secret("`B`", "bbbbbbbb"),
        ]);
        assert_eq!(secrets.whose_is_in("8080 in production"), None);
        assert_eq!(secrets.whose_is_in("8080 bbbbbbbb"), Some("`B`".to_owned()));
        // printf bbbbbbbb | base64
        assert_eq!(secrets.whose_is_in("YmJiYmJiYmI="), Some("`B`".to_owned()));
    }

    #[test]
    fn json_keeps_its_words_numbers_and_keys() {
        let secrets =
            Secrets::new(["done", "failed", "8080", "s3cr3t-value"].map(|value| secret("x", value)));
        let mut document = json!({
            "state": "done", "what": "failed to do it", "how": "failed", "port": 8080, "s3cr3t-value": ["done", "s3cr3t-value"],
            "failure": { "kind": "command", "what": "8080" },
        });
        secrets.veil_json(&mut document);
        let wanted = json!({
            "state": "done", "what": "*** to do it", "how": "***", "port": 8080, "s3cr3t-value": ["***", "***"],
            "failure": { "kind": "command", "what": "***" },
        });
        assert_eq!(document, wanted);
    }

    /// Enumerations in the schema of all outputs, each by the property that has its words.
    fn words_in<'s>(schema: &'s Json, all: &'s Json, key: &'s str, out: &mut Vec<(&'s str, &'s str)>) {
        let Some(map) = schema.as_object() else {
            return schema.as_array().into_iter().flatten().for_each(|one| words_in(one, all, key, out));
        };
        for (name, inner) in map {
            match name.as_str() {
                "properties" => inner
                    .as_object()
                    .into_iter()
                    .flatten()
                    .for_each(|(key, property)| words_in(property, all, key, out)),
                "enum" => out
                    .extend(inner.as_array().into_iter().flatten().filter_map(|w| Some((key, w.as_str()?)))),
                "const" => out.extend(inner.as_str().map(|word| (key, word))),
                "$ref" => {
                    let definition = inner.as_str().and_then(|path| all.pointer(path.strip_prefix('#')?));
                    // Of a definition that is a table the properties are looked at where it stands.
                    let words = definition.filter(|d| d.get("enum").is_some());
                    words.into_iter().for_each(|d| words_in(d, all, key, out));
                }
                _ => words_in(inner, all, key, out),
            }
        }
    }

    #[test]
    fn words_of_our_own_are_known() {
        let schema: Json = serde_json::from_str(include_str!("../../docs/output.schema.json")).unwrap();
        let mut words = Vec::new();
        words_in(&schema, &schema, "", &mut words);
        let words: Vec<_> = words.into_iter().filter(|(key, _)| !key.is_empty()).collect();
        assert!(words.len() > 50, "{words:?}");
        let missing: BTreeSet<_> = words.into_iter().filter(|(key, word)| !is_own_word(key, word)).collect();
        assert!(missing.is_empty(), "{missing:?} are missing in OWN_WORDS");
    }

    #[test]
    fn debug_does_not_tell() {
        let one = secret("`TOKEN`", "s3cr3t-value");
        assert!(!format!("{one:?} {:?}", Secrets::new([one.clone()])).contains("s3cr3t"));
    }
}
