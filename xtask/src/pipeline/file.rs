//! pipeline.toml as it is written: one record per table, each with the text that the schema and the reference show.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Value as Json, json};

use super::condition::Condition;
use super::diagnostic::Diagnostic;
use super::line::{Line, Shell};
use super::policy::{Blocked, ProfileTable};
use super::read::{
    At, Defs, Glob, InsidePath, Map, OneOrMany, OutsidePath, Pattern, Period, Read, Reader, Record, Switch,
    TMP, Value, described, digest, head, record, record_schema,
};
use super::template::Template;
use crate::check::CheckSpec;
use crate::ids::Digest;
use crate::measure::Measure;
use crate::redact::{MASK, stand_in};
use crate::wording;

record! {
    /// A whole pipeline: what is to be done, what it needs, and what its report says.
    pub struct File {
        /// Names the pipeline.
        pipeline: Head,
        /// Variables for `${name}`. Each can be set with `--set name=value` or `XTASK_VAR_name`.
        vars: Map<Variable>,
        /// Things outside the repository that tasks require, by name.
        prerequisite: Map<PrerequisiteTable>,
        /// Questions to this machine whose answers `when` can name.
        fact: Map<FactTable>,
        /// Places where the pipeline runs, such as `ci`, for `--profile`.
        profile: Map<ProfileTable>,
        /// Groups of tasks, in the order of the report.
        phase: Vec<PhaseTable>,
        /// Rules that must hold for the whole, each proved by checks.
        gate: Vec<GateTable>,
        /// What success means, with a target and a measured value.
        criterion: Vec<CriterionTable>,
        /// What is handed over.
        deliverable: Vec<DeliverableTable>,
        /// What may go wrong, and which tasks show that it does not.
        risk: Vec<RiskTable>,
    }
}

record! {
    /// The pipeline's name and its report.
    pub struct Head {
        /// The id: also the command that runs it, as in `cargo xtask phase4`.
        id: At<String>,
        /// The title of the report.
        title: String,
        /// The Markdown report that every run writes. None is written without it.
        report: Option<InsidePath>,
        /// A minijinja template for the Markdown report, in place of the built-in one.
        template: Option<InsidePath>,
        /// Time limit of a task that has none of its own. Default: 30m.
        timeout: Option<Period>,
        /// How many attempts of each task keep their logs. Default: 10. The last attempt and the last one that passed
        /// keep theirs in any case.
        keep: Option<u64>,
        /// Variables of [vars] and environment variables whose values are masked everywhere.
        secret: Vec<At<String>>,
    }
}

/// A variable: its value, or a table that says more.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Value if nothing else is said; without it the variable must be set.
    pub default: Option<At<String>>,
    /// The values that it may take, if not any.
    pub one_of: Vec<String>,
}

record! {
    /// A variable with more than a value.
    pub struct VariableTable {
        /// Value if nothing else is said; without it the variable must be set.
        default: Option<At<String>>,
        /// What it is for.
        doc: Option<String>,
        /// The values that it may take.
        one_of: Vec<String>,
    }
}

impl Read for Variable {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        if let Some(text) = value.get_ref().as_str() {
            return Some(Self {
                default: Some(At { value: text.to_owned(), span: value.span() }),
                one_of: Vec::new(),
            });
        }
        if !value.get_ref().is_table() {
            r.wrong_type(value, "a string, or a table such as { default = \"...\", doc = \"...\" }");
            return None;
        }
        let table = VariableTable::read(value, r)?;
        Some(Self { default: table.default, one_of: table.one_of })
    }
    fn schema(defs: &mut Defs) -> Json {
        json!({ "oneOf": [String::schema(defs), VariableTable::schema(defs)] })
    }
}

record! {
    /// Something outside the repository that tasks require. It is met if all that is declared here holds.
    pub struct PrerequisiteTable {
        /// A program that must be on PATH; it is absent if not.
        program: Option<Template>,
        /// The versions of the program that will do, such as ">=20.10". Read leniently from `version_command`.
        version: Option<Versions>,
        /// What tells the version. Default: the program with `--version`.
        version_command: Option<Line>,
        /// Finds the version in what `version_command` prints; the first group is taken. Default: the first number with a dot.
        version_regex: Option<Pattern>,
        /// A command that must exit with 0. Else: no permission, if what it prints matches `denied`; not running otherwise.
        ready: Option<Line>,
        /// Text that `ready` must print, for tools that exit with 0 whatever they found.
        ready_regex: Option<Pattern>,
        /// Tells "no permission" from "not running" in what `ready` prints. Default: the usual words for it.
        denied: Option<Pattern>,
        /// An environment variable that must be set and not empty.
        variable: Option<String>,
        /// An address `host:port` that must take connections.
        tcp: Option<Template>,
        /// Only where this is so; elsewhere nobody needs it, so it is met without being asked.
        when: Option<Condition>,
        /// Prerequisites that must be met before this one is asked.
        requires: Vec<At<String>>,
        /// Time limit of each question. Default: 5s.
        timeout: Option<Period>,
        /// Files and folders outside the repository, such as sockets and configuration: when one changes, `resume --wait` asks
        /// at once. `$NAME` stands for the paths in an environment variable.
        watch: OneOrMany<OutsidePath>,
        /// What to do when it is not met, by system.
        remedy: Option<RemedyTable>,
        /// The same where it is absent or has the wrong version. Default: `remedy`.
        install: Option<RemedyTable>,
        /// The same where this user may not use it. Default: `remedy`.
        permit: Option<RemedyTable>,
        /// What it is, for people.
        title: Option<String>,
    }
}

record! {
    /// One line that helps, by system; `any` where no other fits.
    pub struct RemedyTable {
        /// On Linux.
        linux: Option<String>,
        /// On macOS.
        macos: Option<String>,
        /// On Windows.
        windows: Option<String>,
        /// On every other system.
        any: Option<String>,
    }
}

/// A range of versions, such as `>=20.10, <29`.
#[derive(Debug, Clone)]
pub struct Versions {
    /// As it is written.
    pub text: String,
    /// Parsed.
    pub range: semver::VersionReq,
}

impl Read for Versions {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            r.wrong_type(value, "a range of versions such as \">=20.10\"");
            return None;
        };
        match semver::VersionReq::parse(text) {
            Ok(range) => Some(Self { text: text.to_owned(), range }),
            Err(error) => {
                r.report(
                    Diagnostic::new(value.span(), format!("`{text}` is not a range of versions: {error}"))
                        .hint("write it as Cargo does: \">=20.10\", \">=1.20, <2\""),
                );
                None
            }
        }
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "string", "examples": [">=20.10", ">=1.20, <2"] })
    }
}

record! {
    /// A question to this machine.
    pub struct FactTable {
        /// The command whose output, trimmed, is the answer.
        run: Line,
        /// Takes the first group instead of the whole output.
        regex: Option<Pattern>,
        /// Time limit. Default: 5s.
        timeout: Option<Period>,
    }
}

record! {
    /// A group of tasks.
    pub struct PhaseTable {
        /// The id, for `--phase`.
        id: At<String>,
        /// The heading in the report.
        title: String,
        /// Phases all of whose tasks must be done before any of this one starts.
        needs: Vec<At<String>>,
        /// Prerequisites of every task of the phase.
        requires: Vec<At<String>>,
        /// What it means that a task of the phase is blocked: "ok", "warn" or "fail", or a table of these by profile, with `any` for the rest.
        blocked: Option<Blocked>,
        /// Who answers for its tasks.
        owner: Option<String>,
        /// The tasks.
        task: Vec<TaskEntry>,
    }
}

record! {
    /// Commands to run, checks that must hold afterwards, artifacts it answers for. Any of the three may be missing.
    pub struct TaskTable {
        /// The id, such as T006.
        id: At<String>,
        /// What it does, for people.
        title: String,
        /// Commands are scripts for this shell instead of words. Variables reach a script through its environment.
        shell: Option<Shell>,
        /// Tasks that must be done first.
        needs: Vec<At<String>>,
        /// Prerequisites of this task.
        requires: Vec<At<String>>,
        /// Only if this is so; else the task is skipped, with the reason.
        when: Option<Condition>,
        /// Files whose content the commands depend on; .gitignore is respected.
        inputs: Vec<Glob>,
        /// The commands, one after the other; the first that fails ends the attempt.
        run: OneOrMany<Step>,
        /// Values taken from commands, for `${name}` in later commands, checks and measurements.
        capture: Map<OneOrMany<CaptureTable>>,
        /// What must hold after the commands.
        check: OneOrMany<CheckSpec>,
        /// Numbers to record, with limits.
        measure: OneOrMany<Measure>,
        /// Commands that run whatever happened, also after Ctrl-C and a time limit.
        finally: OneOrMany<Step>,
        /// Commands that run at the end of the run, when nothing stands on this task any more.
        teardown: OneOrMany<Step>,
        /// Files and folders that it answers for: they must exist, and the report lists them.
        artifacts: Vec<InsidePath>,
        /// Environment of its commands.
        env: Map<Template>,
        /// Files with NAME=value lines for the environment.
        env_file: OneOrMany<InsidePath>,
        /// Names in `env_file` whose values are no secrets.
        plain: Vec<String>,
        /// Environment variables whose values are masked everywhere.
        secret: Vec<String>,
        /// Working directory of its commands. Default: the root.
        cwd: Option<InsidePath>,
        /// Its paths may lead out of the folder of pipeline.toml. Patterns may not.
        outside: Switch,
        /// Time limit of one try. Default: that of the pipeline.
        timeout: Option<Period>,
        /// Time between the request to end and the kill. Default: 5s.
        grace: Option<Period>,
        /// Try again after a failure.
        retry: Option<RetryTable>,
        /// Tasks with a lock of the same name do not run at the same time.
        lock: OneOrMany<String>,
        /// Prerequisites that are asked again after this task.
        provides: Vec<At<String>>,
        /// Run it whenever it is asked for, even if it is up to date.
        always: Switch,
        /// How long it probably takes, until it is known from history.
        estimate: Option<Period>,
        /// What to do when it fails, by what it printed.
        hint: Vec<HintTable>,
        /// What it means that it is blocked: "ok", "warn" or "fail", or a table of these by profile, with `any` for the rest. Default: what its phase says.
        blocked: Option<Blocked>,
        /// Who answers for it. Default: the owner of its phase.
        owner: Option<String>,
        /// Where it is talked about: the address of a ticket or a page.
        link: Option<Link>,
        /// Whether its checks and measurements can be made again later. Default: not if it cleans up after itself with `finally`.
        verify: Option<bool>,
    }
}

record! {
    /// What to do about a failure.
    pub struct HintTable {
        /// Found in the last lines of the log or in the failure itself.
        matches: Pattern,
        /// The next step; `$1` stands for the first group of `matches`, `$$` for a dollar sign.
        say: String,
    }
}

record! {
    /// How often to try again.
    pub struct RetryTable {
        /// Tries after the first.
        times: u64,
        /// Pause before each. Default: 1s.
        delay: Option<Period>,
    }
}

record! {
    /// A value taken from what a command prints.
    pub struct CaptureTable {
        /// The command.
        run: Line,
        /// The first group is the value. Default: the whole output, trimmed.
        regex: Option<Pattern>,
        /// Ask only if this is so; the first of several whose condition holds is asked.
        when: Option<Condition>,
        /// Mask the value everywhere.
        secret: Switch,
    }
}

/// The address of a page.
#[derive(Debug, Clone)]
pub struct Link(pub String);

impl Read for Link {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let text = value.get_ref().as_str().filter(|t| {
            let rest = t.strip_prefix("https://").or_else(|| t.strip_prefix("http://"));
            rest.is_some_and(|rest| {
                !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
            })
        });
        if text.is_none() {
            r.wrong_type(value, "an address that begins with https:// or http://");
        }
        text.map(|t| Self(t.to_owned()))
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "string", "pattern": "^https?://\\S+$" })
    }
}

impl CaptureTable {
    /// The value in what the command printed; `command` is how it is shown where there is none.
    pub fn extract(&self, stdout: &str, command: &str) -> Result<String, String> {
        let value = stdout.trim();
        let Some(regex) = &self.regex else {
            return match value.is_empty() {
                true => Err(format!("`{command}` printed nothing")),
                false => Ok(value.to_owned()),
            };
        };
        let found = regex.regex().captures(value).and_then(|c| c.get(1).or_else(|| c.get(0)));
        found.map(|m| m.as_str().to_owned()).ok_or_else(|| {
            let shown = match self.secret.0 {
                true => String::new(),
                false => format!(": `{}`", wording::first_line(value, 120)),
            };
            format!("nothing in what `{command}` printed matches `{}`{shown}", regex.as_str())
        })
    }
}

/// A command of a task: a string, or a table that says more.
#[derive(Debug, Clone)]
pub struct Step {
    /// The command.
    pub line: Line,
    /// Run it only if this is so.
    pub when: Option<Condition>,
    /// A name for `measure = { time = ... }`.
    pub name: Option<String>,
}

record! {
    /// A command with more than its text.
    pub struct StepTable {
        /// The command.
        run: Line,
        /// Run it only if this is so.
        when: Option<Condition>,
        /// A name, for a measurement of its time.
        name: Option<String>,
    }
}

impl Read for Step {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        if value.get_ref().is_table() {
            let table = StepTable::read(value, r)?;
            return Some(Self { line: table.run, when: table.when, name: table.name });
        }
        Some(Self { line: Line::read(value, r)?, when: None, name: None })
    }
    fn schema(defs: &mut Defs) -> Json {
        json!({ "oneOf": [Line::schema(defs), StepTable::schema(defs)] })
    }
}

record! {
    /// A rule for the whole, proved by checks and by tasks.
    pub struct GateTable {
        /// The rule.
        title: At<String>,
        /// Checks that prove it.
        check: OneOrMany<CheckSpec>,
        /// Tasks that must be done for it.
        tasks: Vec<At<String>>,
        /// Prerequisites without which its checks cannot be made.
        requires: Vec<At<String>>,
    }
}

record! {
    /// What success means.
    pub struct CriterionTable {
        /// What is judged.
        title: At<String>,
        /// The target, for people: "< 5 minutes".
        target: String,
        /// Measurements that show it, as "T006: backend image size"; each must be within its limits.
        measure: OneOrMany<At<String>>,
        /// Checks of tasks whose findings are shown as measured, as "T047: title of the check".
        finding: OneOrMany<At<String>>,
        /// Tasks that must be done for it.
        tasks: Vec<At<String>>,
        /// Checks that prove it.
        check: OneOrMany<CheckSpec>,
    }
}

record! {
    /// What is handed over.
    pub struct DeliverableTable {
        /// Heading in the report under which it stands.
        group: Option<String>,
        /// What it is.
        title: At<String>,
        /// Its files.
        files: OneOrMany<Glob>,
        /// How many files there must be. Default: at least one.
        count: Option<u64>,
        /// Tasks that must be done for it.
        tasks: Vec<At<String>>,
    }
}

record! {
    /// What may go wrong. Its level follows from the states of its tasks: low when all are done, medium while some are open,
    /// high when one failed.
    pub struct RiskTable {
        /// What may go wrong.
        title: At<String>,
        /// Tasks that show that it does not.
        tasks: Vec<At<String>>,
        /// What helps.
        mitigation: Option<String>,
    }
}

/// A task's table with what only the reader knows about it.
#[derive(Debug, Clone)]
pub struct TaskEntry {
    /// The keys.
    pub table: TaskTable,
    /// Digest of each key that its result follows from.
    pub keys: BTreeMap<String, Digest>,
    /// Declared variables that it uses, with their values; of secret ones the stand-ins.
    pub vars: BTreeMap<String, String>,
    /// The header of the table.
    pub span: Range<usize>,
}

/// Keys that a task's result does not follow from: a change of one leaves finished work finished.
const COSMETIC: &[&str] = &[
    "id", "title", "needs", "requires", "when", "finally", "teardown", "plain", "secret", "timeout", "grace",
    "retry", "lock", "provides", "always", "estimate", "hint", "blocked", "owner", "link", "verify",
];

/// Run-time names that every task knows: the id of the run, and a folder of its own that goes away with the attempt.
const BUILT_IN: &[&str] = &["run.id", TMP];

impl Read for TaskEntry {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            r.wrong_type(value, "a table");
            return None;
        };
        let span = head(r.source, value.span());
        r.used.clear();
        r.runtime = BUILT_IN.iter().map(|n| (*n).to_owned()).collect();
        if let Some(captures) = table.get("capture").and_then(|c| c.get_ref().as_table()) {
            for (key, _) in captures.iter() {
                let name: &str = key.get_ref();
                if r.vars.contains_key(name) || BUILT_IN.contains(&name) {
                    let problem =
                        format!("`{name}` is a variable already, so a captured value can't have that name");
                    r.report(Diagnostic::new(key.span(), problem));
                }
                r.runtime.insert(name.to_owned());
            }
        }
        if let Some(shell) = table.get("shell") {
            // Read quietly here: the record reads it again and reports what is wrong with it.
            let problems = r.problems.len();
            r.shell = Shell::read(shell, r);
            r.problems.truncate(problems);
        }
        r.outside = table.get("outside").and_then(|v| v.get_ref().as_bool()) == Some(true);
        let read = TaskTable::read_table(table, span.clone(), r, &[]);
        r.shell = None;
        r.outside = false;
        r.runtime.clear();
        let keys = table
            .iter()
            .filter(|(key, _)| !COSMETIC.contains(&key.get_ref().as_ref()))
            .map(|(key, value)| (key.get_ref().to_string(), digest(value.get_ref())))
            .collect();
        let vars = std::mem::take(&mut r.used)
            .into_iter()
            .filter_map(|name| {
                let value = r.vars.get(&name)?;
                let recorded = if r.secret.contains(&name) { stand_in(value) } else { value.clone() };
                Some((name, recorded))
            })
            .collect();
        Some(Self { table: read?, keys, vars, span })
    }
    fn schema(defs: &mut Defs) -> Json {
        TaskTable::schema(defs)
    }
}

/// The JSON Schema of the whole file (draft 2020-12), made from the records that read it.
pub fn schema() -> Json {
    let mut defs = Defs::new();
    let root = record_schema::<File>(&mut defs, "File", &[]);
    let mut schema = defs.remove("File").unwrap_or(root);
    if let Json::Object(map) = &mut schema {
        let mut out = serde_json::Map::new();
        out.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        out.insert("title".to_owned(), json!("pipeline.toml"));
        out.append(map);
        out.insert("$defs".to_owned(), Json::Object(defs.into_iter().collect()));
        return described(
            Json::Object(out),
            &["A pipeline: phases, tasks, prerequisites, and what its report is made of."],
        );
    }
    schema
}

/// Reads `[vars]` with what overrides it, so that everything after it can use the values.
pub fn read_vars(vars: &Map<Variable>, overrides: &BTreeMap<String, String>, r: &mut Reader<'_>) {
    let declared: BTreeMap<&str, &Variable> = vars.iter().map(|(name, v)| (name.value.as_str(), v)).collect();
    let mut raw: BTreeMap<String, (String, Option<Range<usize>>)> = BTreeMap::new();
    for (name, variable) in vars.iter() {
        if !is_variable_name(&name.value) {
            let hint = "use lower-case letters, digits and `_`, starting with a letter";
            r.report(
                Diagnostic::new(name.span.clone(), format!("`{}` is not a variable's name", name.value))
                    .hint(hint),
            );
            continue;
        }
        let value = overrides.get(&name.value).map(|v| (v.clone(), None));
        match value.or_else(|| variable.default.as_ref().map(|d| (d.value.clone(), Some(d.span.clone())))) {
            Some(value) => {
                raw.insert(name.value.clone(), value);
            }
            None => {
                r.valueless.insert(name.value.clone());
            }
        }
    }
    // Defaults may use other variables. Values from outside are taken as they are: they are data.
    let mut visiting = Vec::new();
    for name in raw.keys() {
        settle(name, &raw, &mut visiting, r);
    }
    for (name, variable) in declared {
        if let (Some(value), false) = (r.vars.get(name).cloned(), variable.one_of.is_empty())
            && !variable.one_of.contains(&value)
        {
            let span = vars.iter().find(|(n, _)| n.value == name).map_or(0..0, |(n, _)| n.span.clone());
            let all: Vec<String> = variable.one_of.iter().map(|v| format!("`{v}`")).collect();
            let value = if r.secret.contains(name) { MASK } else { &value };
            r.report(
                Diagnostic::new(span, format!("`{name}` can't be `{value}`"))
                    .hint(format!("it takes {}", wording::either(&all))),
            );
        }
    }
}

fn settle(
    name: &str,
    raw: &BTreeMap<String, (String, Option<Range<usize>>)>,
    visiting: &mut Vec<String>,
    r: &mut Reader<'_>,
) {
    if r.vars.contains_key(name) {
        return;
    }
    let Some((text, span)) = raw.get(name) else { return };
    let Some(span) = span else {
        r.vars.insert(name.to_owned(), text.clone());
        return;
    };
    if let Some(at) = visiting.iter().position(|v| v == name) {
        let path: Vec<&str> = visiting[at..].iter().map(String::as_str).chain([name]).collect();
        r.report(Diagnostic::new(
            span.clone(),
            format!("variables depend on each other: {}", path.join(" -> ")),
        ));
        r.vars.insert(name.to_owned(), String::new());
        return;
    }
    visiting.push(name.to_owned());
    let mut names = Vec::new();
    let _ = Template::parse(text, |n| {
        names.push(n.to_owned());
        super::template::Name::Static(String::new())
    });
    for other in names {
        settle(&other, raw, visiting, r);
        if r.secret.contains(&other) {
            // A change of the one has to be noticed in the other, which must not be recorded either.
            r.secret.insert(name.to_owned());
        }
    }
    visiting.pop();
    if !r.vars.contains_key(name) {
        let value = r.fixed(text, span).unwrap_or_default();
        r.vars.insert(name.to_owned(), value);
    }
}

/// Lower case keeps variables apart from the environment's own, which are upper case by convention: a script
/// gets both.
pub fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
