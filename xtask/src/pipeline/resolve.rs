//! From text to [`Plan`]: every reference is looked up, every mistake is gathered, and only a file without any
//! becomes a plan.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::Duration;

use toml::de::DeTable;

use super::diagnostic::Diagnostic;
use super::file::{self, File, TaskEntry, is_variable_name};
use super::line::Line;
use super::plan::{
    Criterion, DEFAULT_GRACE, DEFAULT_KEEP, DEFAULT_PROBE_TIMEOUT, DEFAULT_TIMEOUT, Definition, Deliverable,
    Fact, Gate, Phase, Plan, Prerequisite, Profile, Risk, Task,
};
use super::read::{At, Map, Reader, Record};
use super::template::Template;
use crate::check::CheckSpec;
use crate::ids::{NeedIx, PhaseIx, TaskIx};
use crate::timings;
use crate::wording;

/// The largest file that is read, in bytes: a hundred thousand tasks fit, a bomb does not.
pub const SIZE_LIMIT: usize = 64 << 20;

/// How many mistakes are reported at most; a file with more is not a file with that many mistakes.
const PROBLEM_LIMIT: usize = 100;

/// Reads and resolves the text of a pipeline.toml. `overrides` are the values of variables set from outside; each must
/// be declared.
pub fn resolve(text: &str, overrides: &BTreeMap<String, String>) -> Result<Plan, Vec<Diagnostic>> {
    resolve_here(text, overrides, &BTreeMap::new())
}

/// The same in an environment that may hold values for other pipelines as well. `overrides` are stronger.
pub fn resolve_here(
    text: &str,
    overrides: &BTreeMap<String, String>,
    environment: &BTreeMap<String, String>,
) -> Result<Plan, Vec<Diagnostic>> {
    if text.len() > SIZE_LIMIT {
        let problem = format!(
            "the file has {}, more than the {} that are read",
            wording::bytes(text.len() as f64),
            wording::bytes(SIZE_LIMIT as f64)
        );
        return Err(vec![Diagnostic::new(0..0, problem)]);
    }
    let span = timings::phase("parse TOML");
    let (document, errors) = DeTable::parse_recoverable(text);
    drop(span);
    let mut r = Reader::new(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        r.report(Diagnostic::new(
            span,
            format!("not TOML: {}", error.message().lines().next().unwrap_or_default()),
        ));
    }
    let plan = read(document.get_ref(), overrides, environment, &mut r);
    match plan {
        Some(plan) if r.problems.is_empty() => Ok(plan),
        _ => {
            r.problems.sort_by_key(|d| (d.span.start, d.span.end));
            r.problems.dedup();
            // After a syntax error, what follows from the part that could not be read is noise.
            if !errors.is_empty() {
                let broken: Vec<Range<usize>> = errors.iter().filter_map(toml::de::Error::span).collect();
                r.problems.retain(|d| {
                    d.message.starts_with("not TOML")
                        || !broken.iter().any(|b| line_of(text, b.start) == line_of(text, d.span.start))
                });
            }
            r.problems.truncate(PROBLEM_LIMIT);
            Err(r.problems)
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1)
}

fn read(
    document: &DeTable<'_>,
    overrides: &BTreeMap<String, String>,
    environment: &BTreeMap<String, String>,
    r: &mut Reader<'_>,
) -> Option<Plan> {
    if let Some(facts) = document.get("fact").and_then(|f| f.get_ref().as_table()) {
        r.facts = facts.keys().map(|k| k.get_ref().to_string()).collect();
    }
    if let Some(vars) = read_vars(document, overrides, environment, r) {
        // A variable with a mistake is a declared one.
        if let Some(declared) = document.get("vars").and_then(|v| v.get_ref().as_table()) {
            let unread = declared
                .keys()
                .map(|k| k.get_ref().to_string())
                .filter(|k| !vars.iter().any(|(n, _)| n.value == *k));
            unread.for_each(|name| drop(r.vars.insert(name, String::new())));
        }
        for name in overrides.keys() {
            if !vars.iter().any(|(n, _)| n.value == *name) {
                let near = wording::nearest(name, vars.iter().map(|(n, _)| n.value.as_str()));
                let hint = near.map_or_else(
                    || match vars.iter().map(|(n, _)| format!("`{}`", n.value)).collect::<Vec<_>>() {
                        none if none.is_empty() => "this pipeline declares no variables".to_owned(),
                        names => format!("variables are {}", wording::list(&names)),
                    },
                    |near| format!("did you mean `{near}`?"),
                );
                r.report(
                    Diagnostic::new(0..0, format!("`--set {name}=...` sets a variable that is not declared"))
                        .hint(hint),
                );
            }
        }
    }
    let before = r.problems.len();
    let span = timings::phase("read the tables");
    let mut file = File::read_table(document, 0..0, r, &[]);
    drop(span);
    // [vars] was read before; its mistakes are known already.
    if document.get("vars").is_some() {
        let seen: Vec<Diagnostic> = r.problems[..before].to_vec();
        let mut later = r.problems.split_off(before);
        later.retain(|d| !seen.contains(d));
        r.problems.extend(later);
    }
    let file = file.take()?;
    let _span = timings::phase("resolve");
    Resolver::new(&file, r).plan()
}

/// Reads `[vars]`, knowing which of them are secret.
fn read_vars(
    document: &DeTable<'_>,
    overrides: &BTreeMap<String, String>,
    environment: &BTreeMap<String, String>,
    r: &mut Reader<'_>,
) -> Option<Map<file::Variable>> {
    let declared = document.get("pipeline").and_then(|p| p.get_ref().as_table()?.get("secret"));
    let names = declared.and_then(|names| names.get_ref().as_array()).into_iter().flatten();
    r.secret = names.filter_map(|name| name.get_ref().as_str().map(str::to_owned)).collect();
    let vars = r.key::<Map<file::Variable>>(document, "vars", &(0..0))?;
    let mut values = environment.clone();
    values.extend(overrides.clone());
    file::read_vars(&vars, &values, r);
    Some(vars)
}

/// What a file with mistakes declares as secrets, as far as it can be read: what is said about the mistakes must not
/// show them.
#[derive(Debug, Default)]
pub struct Hidden {
    /// Secret variables with their values.
    pub vars: Vec<(String, String)>,
    /// Secret environment variables.
    pub names: Vec<String>,
    /// Environment files, relative to the root.
    pub env_files: Vec<String>,
    /// Names in them that are no secrets.
    pub plain: Vec<String>,
}

/// Looks for what is to be hidden in a file that was not resolved.
pub fn hidden(
    text: &str,
    overrides: &BTreeMap<String, String>,
    environment: &BTreeMap<String, String>,
) -> Hidden {
    let (document, _) = DeTable::parse_recoverable(text);
    let mut r = Reader::new(text);
    read_vars(document.get_ref(), overrides, environment, &mut r);
    let names = r.secret.iter().cloned().collect();
    let vars = r.vars.into_iter().filter(|(name, _)| r.secret.contains(name)).collect();
    let mut out = Hidden { vars, names, ..Hidden::default() };
    let phases = document.get_ref().get("phase").and_then(|p| p.get_ref().as_array()).into_iter().flatten();
    let tasks = phases.filter_map(|p| p.get_ref().as_table()?.get("task")?.get_ref().as_array()).flatten();
    for task in tasks.filter_map(|task| task.get_ref().as_table()) {
        for (key, list) in
            [("secret", &mut out.names), ("env_file", &mut out.env_files), ("plain", &mut out.plain)]
        {
            let Some(value) = task.get(key).map(toml::Spanned::get_ref) else { continue };
            let items = value.as_array().into_iter().flatten().filter_map(|item| item.get_ref().as_str());
            list.extend(value.as_str().into_iter().chain(items).map(str::to_owned));
        }
    }
    out
}

/// Names with their places, for lookup and for "did you mean".
struct Names<'f> {
    what: &'static str,
    index: HashMap<&'f str, (usize, Range<usize>)>,
}

impl<'f> Names<'f> {
    fn new(what: &'static str, names: impl IntoIterator<Item = &'f At<String>>, r: &mut Reader<'_>) -> Self {
        let mut index: HashMap<&str, (usize, Range<usize>)> = HashMap::new();
        for (i, name) in names.into_iter().enumerate() {
            if !is_id(&name.value) {
                let hint = "use letters, digits, `_`, `-` and `.`, starting with a letter";
                r.report(
                    Diagnostic::new(
                        name.span.clone(),
                        format!("`{}` can't be the id of a {what}", name.value.escape_debug()),
                    )
                    .hint(hint),
                );
            }
            if let Some((_, first)) = index.get(name.value.as_str()) {
                r.report(
                    Diagnostic::new(
                        name.span.clone(),
                        format!("the {what} `{}` is declared twice", name.value),
                    )
                    .related(first.clone(), "first declared here"),
                );
            } else {
                index.insert(&name.value, (i, name.span.clone()));
            }
        }
        Self { what, index }
    }

    fn find(&self, name: &At<String>, r: &mut Reader<'_>) -> Option<usize> {
        let found = self.index.get(name.value.as_str()).map(|(i, _)| *i);
        if found.is_none() {
            // Closeness is only worth its time where a person wrote the names.
            let near = (self.index.len() < 5_000)
                .then(|| wording::nearest(&name.value, self.index.keys().copied()))
                .flatten();
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            r.report(
                Diagnostic::new(name.span.clone(), format!("there is no {} `{}`", self.what, name.value))
                    .maybe_hint(hint),
            );
        }
        found
    }

    fn all(&self, names: &[At<String>], r: &mut Reader<'_>) -> Vec<usize> {
        let mut out = Vec::new();
        for name in names {
            if let Some(ix) = self.find(name, r)
                && !out.contains(&ix)
            {
                out.push(ix);
            }
        }
        out
    }
}

fn is_id(id: &str) -> bool {
    id.starts_with(|c: char| c.is_ascii_alphabetic())
        && id.len() <= 100
        && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// Commands that a pipeline may not be named after, because that name is taken.
pub const TAKEN: &[&str] = &[
    "run",
    "resume",
    "status",
    "doctor",
    "list",
    "graph",
    "explain",
    "log",
    "history",
    "diff",
    "verify",
    "report",
    "evidence",
    "skip",
    "forget",
    "lint",
    "schema",
    "selftest",
    "completions",
    "help",
];

/// A secret is a declared variable, or has a name that only an environment variable can have.
fn check_secret(name: &At<String>, r: &mut Reader<'_>) {
    if !is_variable_name(&name.value) {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.value.is_empty() || !name.value.chars().all(is_name) {
            let problem = format!("`{}` is not the name of a variable", name.value.escape_debug());
            r.report(Diagnostic::new(name.span.clone(), problem));
        }
        return;
    }
    let known = || r.vars.keys().chain(&r.valueless).map(String::as_str);
    if !known().any(|known| known == name.value) {
        let hint = wording::nearest(&name.value, known()).map_or_else(
            || {
                "name environment variables of one task under its `secret`, or declare it in [vars]"
                    .to_owned()
            },
            |near| format!("did you mean `{near}`?"),
        );
        let problem = format!("there is no variable `{}`", name.value);
        r.report(Diagnostic::new(name.span.clone(), problem).hint(hint));
    }
}

struct Resolver<'f, 'r, 's> {
    file: &'f File,
    entries: Vec<(usize, &'f TaskEntry)>,
    tasks: Names<'f>,
    phases: Names<'f>,
    prerequisites: Names<'f>,
    /// Nothing was left out when the file was read, so that what is missing is really missing.
    whole: bool,
    r: &'r mut Reader<'s>,
}

impl<'f, 'r, 's> Resolver<'f, 'r, 's> {
    fn new(file: &'f File, r: &'r mut Reader<'s>) -> Self {
        let whole = r.problems.is_empty();
        let id = &file.pipeline.id;
        if !is_id(&id.value) {
            let hint = "use letters, digits, `_`, `-` and `.`, starting with a letter";
            r.report(
                Diagnostic::new(
                    id.span.clone(),
                    format!("`{}` can't be the id of a pipeline", id.value.escape_debug()),
                )
                .hint(hint),
            );
        } else if TAKEN.contains(&id.value.as_str()) {
            r.report(Diagnostic::new(
                id.span.clone(),
                format!("a pipeline can't be called `{}`: that is a command of its own", id.value),
            ));
        }
        for (name, _) in file.fact.iter() {
            if !is_variable_name(&name.value)
                || matches!(name.value.as_str(), "os" | "arch")
                || r.vars.contains_key(&name.value)
            {
                r.report(
                    Diagnostic::new(name.span.clone(), format!("a fact can't be called `{}`", name.value))
                        .hint("use lower-case letters, digits and `_`; `os`, `arch` and the names of variables are taken"),
                );
            }
        }
        for name in &file.pipeline.secret {
            check_secret(name, r);
        }
        let entries: Vec<(usize, &TaskEntry)> =
            file.phase.iter().enumerate().flat_map(|(i, p)| p.task.iter().map(move |t| (i, t))).collect();
        let tasks = Names::new("task", entries.iter().map(|(_, t)| &t.table.id), r);
        let phases = Names::new("phase", file.phase.iter().map(|p| &p.id), r);
        let prerequisites = Names::new("prerequisite", file.prerequisite.iter().map(|(name, _)| name), r);
        Self { file, entries, tasks, phases, prerequisites, whole, r }
    }

    fn needs(&mut self, names: &[At<String>]) -> Vec<NeedIx> {
        self.prerequisites.all(names, self.r).into_iter().map(NeedIx).collect()
    }

    fn tasks(&mut self, names: &[At<String>]) -> Vec<TaskIx> {
        self.tasks.all(names, self.r).into_iter().map(TaskIx).collect()
    }

    fn plan(mut self) -> Option<Plan> {
        let file = self.file;
        if self.entries.is_empty() {
            self.lacks(
                Diagnostic::new(file.pipeline.id.span.clone(), "the pipeline has no task")
                    .hint("add a [[phase]] with a [[phase.task]]"),
            );
        }
        let prerequisites = self.read_prerequisites();
        self.check_prerequisite_cycles(&prerequisites);
        let mut phases: Vec<Phase> = file
            .phase
            .iter()
            .map(|p| Phase {
                id: p.id.value.clone(),
                title: p.title.clone(),
                tasks: Vec::new(),
                blocked: p.blocked.clone(),
            })
            .collect();
        for (i, (phase, _)) in self.entries.iter().enumerate() {
            phases[*phase].tasks.push(TaskIx(i));
        }
        let phase_needs: Vec<Vec<TaskIx>> = file
            .phase
            .iter()
            .map(|p| {
                self.phases.all(&p.needs, self.r).into_iter().flat_map(|i| phases[i].tasks.clone()).collect()
            })
            .collect();
        let phase_requires: Vec<Vec<NeedIx>> = file.phase.iter().map(|p| self.needs(&p.requires)).collect();
        let tasks: Vec<Task> = self
            .entries
            .clone()
            .into_iter()
            .map(|(phase, entry)| self.task(phase, entry, &phase_needs[phase], &phase_requires[phase]))
            .collect();
        let order = self.order(&tasks);
        let facts = file
            .fact
            .iter()
            .map(|(name, f)| Fact {
                name: name.value.clone(),
                run: f.run.clone(),
                regex: f.regex.clone(),
                timeout: f.timeout.map_or(DEFAULT_PROBE_TIMEOUT, |p| p.0),
            })
            .collect();
        let profiles = self.read_profiles();
        let plan = Plan {
            id: file.pipeline.id.value.clone(),
            title: file.pipeline.title.clone(),
            report: file.pipeline.report.as_ref().map(|p| p.0.clone()),
            template: file.pipeline.template.as_ref().map(|p| p.0.clone()),
            keep: file.pipeline.keep.unwrap_or(DEFAULT_KEEP),
            vars: self.r.vars.clone(),
            secret: file.pipeline.secret.iter().map(|name| name.value.clone()).collect(),
            prerequisites,
            facts,
            profiles,
            profile: None,
            phases,
            gates: self.gates(),
            criteria: self.criteria(&tasks),
            deliverables: self.deliverables(),
            risks: self.risks(),
            tasks,
            order: order?,
        };
        self.check_measurement_sources(&plan);
        Some(plan)
    }

    fn read_prerequisites(&mut self) -> Vec<Prerequisite> {
        let file = self.file;
        file.prerequisite
            .iter()
            .map(|(name, p)| {
                if p.program.is_none() && p.ready.is_none() && p.variable.is_none() && p.tcp.is_none() {
                    self.lacks(
                        Diagnostic::new(
                            name.span.clone(),
                            format!("nothing says when the prerequisite `{}` is met", name.value),
                        )
                        .hint("give it `program`, `ready`, `variable` or `tcp`"),
                    );
                }
                if p.version.is_some() && p.program.is_none() && p.version_command.is_none() {
                    self.lacks(
                        Diagnostic::new(
                            name.span.clone(),
                            format!("nothing tells the version of `{}`", name.value),
                        )
                        .hint("give it `program` or `version_command`"),
                    );
                }
                let text = |t: &Option<Template>| t.as_ref().and_then(Template::as_static).map(str::to_owned);
                Prerequisite {
                    name: name.value.clone(),
                    title: p.title.clone(),
                    program: text(&p.program),
                    version: p.version.clone(),
                    version_command: p.version_command.clone().or_else(|| {
                        let program = text(&p.program)?;
                        Some(Line::Words(vec![Template::literal(program), Template::literal("--version")]))
                    }),
                    version_regex: p.version_regex.clone(),
                    ready: p.ready.clone(),
                    ready_regex: p.ready_regex.clone(),
                    denied: p.denied.clone(),
                    variable: p.variable.clone(),
                    tcp: text(&p.tcp),
                    when: p.when.clone(),
                    requires: self.needs(&p.requires),
                    timeout: p.timeout.map_or(DEFAULT_PROBE_TIMEOUT, |t| t.0),
                    watch: p.watch.0.clone(),
                    remedy: p.remedy.clone(),
                    install: p.install.clone(),
                    permit: p.permit.clone(),
                }
            })
            .collect()
    }

    fn read_profiles(&mut self) -> Vec<Profile> {
        let file = self.file;
        for (name, _) in file.profile.iter() {
            if !is_id(&name.value) || name.value == "any" {
                let hint = "use letters, digits, `_`, `-` and `.`, starting with a letter; `any` is taken";
                let problem = format!("`{}` can't be the name of a profile", name.value.escape_debug());
                self.r.report(Diagnostic::new(name.span.clone(), problem).hint(hint));
            }
        }
        let names: Vec<&str> = file.profile.iter().map(|(name, _)| name.value.as_str()).collect();
        let phases = file.phase.iter().flat_map(|p| &p.blocked);
        let tasks = self.entries.iter().flat_map(|(_, t)| &t.table.blocked);
        for (name, (_, span)) in phases.chain(tasks).flat_map(|b| &b.by_profile) {
            if !names.contains(&name.as_str()) {
                let problem = Diagnostic::new(span.clone(), format!("there is no profile `{name}`"));
                let near = wording::nearest(name, names.iter().copied());
                self.r.report(problem.hint(near.map_or_else(
                    || format!("declare it as [profile.{name}]"),
                    |near| format!("did you mean `{near}`?"),
                )));
            }
        }
        file.profile
            .iter()
            .map(|(name, p)| Profile {
                name: name.value.clone(),
                promises: self.needs(&p.promises),
                blocked: p.blocked,
            })
            .collect()
    }

    fn check_prerequisite_cycles(&mut self, all: &[Prerequisite]) {
        let edges: Vec<Vec<usize>> = all.iter().map(|p| p.requires.iter().map(|n| n.0).collect()).collect();
        if let Err(path) = topological(&edges) {
            let names: Vec<&str> = path.iter().map(|i| all[*i].name.as_str()).collect();
            let span = self.prerequisites.index[names[0]].1.clone();
            self.r.report(Diagnostic::new(
                span,
                format!("prerequisites require each other: {}", path_text(&names)),
            ));
        }
    }

    fn task(
        &mut self,
        phase: usize,
        entry: &TaskEntry,
        phase_needs: &[TaskIx],
        phase_requires: &[NeedIx],
    ) -> Task {
        let t = &entry.table;
        let mut needs = self.tasks(&t.needs);
        needs.extend(phase_needs.iter().filter(|ix| {
            !t.needs.iter().any(|n| self.tasks.index.get(n.value.as_str()).is_some_and(|(i, _)| *i == ix.0))
        }));
        let mut requires = self.needs(&t.requires);
        requires.extend(phase_requires.iter().filter(|ix| {
            !t.requires
                .iter()
                .any(|n| self.prerequisites.index.get(n.value.as_str()).is_some_and(|(i, _)| *i == ix.0))
        }));
        Task {
            id: t.id.value.clone(),
            title: t.title.clone(),
            phase: PhaseIx(phase),
            needs,
            requires,
            when: t.when.clone(),
            inputs: t.inputs.clone(),
            run: t.run.0.clone(),
            captures: t.capture.iter().map(|(name, c)| (name.value.clone(), c.0.clone())).collect(),
            checks: t.check.0.clone(),
            measures: t.measure.0.clone(),
            finally: t.finally.0.clone(),
            teardown: t.teardown.0.clone(),
            artifacts: t.artifacts.iter().map(|p| p.0.clone()).collect(),
            env: t.env.iter().map(|(name, v)| (name.value.clone(), v.clone())).collect(),
            env_files: t.env_file.0.iter().map(|p| p.0.clone()).collect(),
            plain: t.plain.clone(),
            secret: t.secret.clone(),
            cwd: t.cwd.as_ref().map_or_else(|| ".".into(), |p| p.0.clone()),
            timeout: t
                .timeout
                .map_or_else(|| self.file.pipeline.timeout.map_or(DEFAULT_TIMEOUT, |p| p.0), |p| p.0),
            grace: t.grace.map_or(DEFAULT_GRACE, |p| p.0),
            retry: t
                .retry
                .as_ref()
                .map_or((0, Duration::ZERO), |r| (r.times, r.delay.map_or(Duration::from_secs(1), |p| p.0))),
            locks: t.lock.0.clone(),
            provides: self.needs(&t.provides),
            always: t.always.0,
            estimate: t.estimate.map(|p| p.0),
            hints: t.hint.clone(),
            blocked: t.blocked.clone(),
            owner: t.owner.clone().or_else(|| self.file.phase[phase].owner.clone()),
            link: t.link.as_ref().map(|l| l.0.clone()),
            verify: t.verify,
            definition: Definition { keys: entry.keys.clone(), vars: entry.vars.clone() },
            span: entry.span.clone(),
        }
    }

    /// Each task after what it needs, or the cycle as a path.
    fn order(&mut self, tasks: &[Task]) -> Option<Vec<TaskIx>> {
        let edges: Vec<Vec<usize>> = tasks.iter().map(|t| t.needs.iter().map(|n| n.0).collect()).collect();
        match topological(&edges) {
            Ok(order) => Some(order.into_iter().map(TaskIx).collect()),
            Err(path) => {
                let names: Vec<&str> = path.iter().map(|i| tasks[*i].id.as_str()).collect();
                let first = self.entries[path[0]].1;
                let span = first
                    .table
                    .needs
                    .iter()
                    .find(|n| Some(n.value.as_str()) == names.get(1).copied())
                    .map_or_else(|| first.table.id.span.clone(), |n| n.span.clone());
                self.r.report(
                    Diagnostic::new(span, format!("tasks need each other: {}", path_text(&names)))
                        .hint("take one of these out of `needs`"),
                );
                None
            }
        }
    }

    fn gates(&mut self) -> Vec<Gate> {
        let file = self.file;
        file.gate
            .iter()
            .map(|g| {
                if g.check.0.is_empty() && g.tasks.is_empty() {
                    self.nothing_proves(&g.title, "gate", "`check` or `tasks`");
                }
                Gate {
                    title: g.title.value.clone(),
                    checks: g.check.0.clone(),
                    tasks: self.tasks(&g.tasks),
                    requires: self.needs(&g.requires),
                }
            })
            .collect()
    }

    fn nothing_proves(&mut self, title: &At<String>, what: &str, keys: &str) {
        let problem = format!("nothing proves the {what} `{}`", title.value);
        self.lacks(Diagnostic::new(title.span.clone(), problem).hint(format!("give it {keys}")));
    }

    /// Reports that something is missing, unless it may have been left out because of a mistake in it.
    fn lacks(&mut self, problem: Diagnostic) {
        if self.whole {
            self.r.report(problem);
        }
    }

    fn criteria(&mut self, tasks: &[Task]) -> Vec<Criterion> {
        let file = self.file;
        file.criterion
            .iter()
            .map(|c| {
                if c.measure.0.is_empty()
                    && c.finding.0.is_empty()
                    && c.tasks.is_empty()
                    && c.check.0.is_empty()
                {
                    self.nothing_proves(&c.title, "criterion", "`measure`, `finding`, `tasks` or `check`");
                }
                let measures = c.measure.0.iter().filter_map(|m| self.measurement(m, tasks)).collect();
                let findings = c.finding.0.iter().filter_map(|f| self.finding(f, tasks)).collect();
                Criterion {
                    title: c.title.value.clone(),
                    target: c.target.clone(),
                    measures,
                    findings,
                    tasks: self.tasks(&c.tasks),
                    checks: c.check.0.clone(),
                }
            })
            .collect()
    }

    /// Looks up "T006: backend image size".
    fn measurement(&mut self, reference: &At<String>, tasks: &[Task]) -> Option<(TaskIx, String)> {
        self.part(reference, "measurement", tasks, |task| {
            task.measures.iter().map(|m| m.name.clone()).collect()
        })
    }

    /// Looks up "T047: no container restarted".
    fn finding(&mut self, reference: &At<String>, tasks: &[Task]) -> Option<(TaskIx, String)> {
        self.part(reference, "check", tasks, |task| task.checks.iter().map(CheckSpec::says).collect())
    }

    /// Looks up a part of a task by its name.
    fn part(
        &mut self,
        reference: &At<String>,
        what: &str,
        tasks: &[Task],
        names: impl Fn(&Task) -> Vec<String>,
    ) -> Option<(TaskIx, String)> {
        let Some((task, name)) = reference.value.split_once(':') else {
            self.r.report(
                Diagnostic::new(
                    reference.span.clone(),
                    format!("`{}` does not name a {what}", reference.value),
                )
                .hint(format!("write the task and the {what}: \"T006: name\"")),
            );
            return None;
        };
        let id = At { value: task.trim().to_owned(), span: self.r.find(&reference.span, task.trim()) };
        let ix = self.tasks.find(&id, self.r)?;
        let (name, known) = (name.trim(), names(&tasks[ix]));
        if !known.iter().any(|k| k == name) {
            let near = wording::nearest(name, known.iter().map(String::as_str));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            let span = self.r.find(&reference.span, name);
            let problem = format!("the task `{}` has no {what} `{name}`", id.value);
            self.r.report(Diagnostic::new(span, problem).maybe_hint(hint));
            return None;
        }
        Some((TaskIx(ix), name.to_owned()))
    }

    fn deliverables(&mut self) -> Vec<Deliverable> {
        let file = self.file;
        file.deliverable
            .iter()
            .map(|d| {
                if d.files.0.is_empty() && d.tasks.is_empty() {
                    self.nothing_proves(&d.title, "deliverable", "`files` or `tasks`");
                }
                Deliverable {
                    group: d.group.clone(),
                    title: d.title.value.clone(),
                    files: d.files.0.clone(),
                    count: d.count,
                    tasks: self.tasks(&d.tasks),
                }
            })
            .collect()
    }

    fn risks(&mut self) -> Vec<Risk> {
        let file = self.file;
        file.risk
            .iter()
            .map(|k| {
                if k.tasks.is_empty() {
                    self.nothing_proves(&k.title, "risk", "`tasks`");
                }
                Risk {
                    title: k.title.value.clone(),
                    tasks: self.tasks(&k.tasks),
                    mitigation: k.mitigation.clone(),
                }
            })
            .collect()
    }

    /// A measurement taken over from another task must come from one that is done by then.
    fn check_measurement_sources(&mut self, plan: &Plan) {
        if !self.whole {
            return;
        }
        for (ix, (_, entry)) in self.entries.iter().enumerate() {
            let sources: Vec<(String, String)> = plan.tasks[ix]
                .measures
                .iter()
                .filter_map(|m| m.taken_from())
                .map(|(t, n)| (t.to_owned(), n.to_owned()))
                .collect();
            if sources.is_empty() {
                continue;
            }
            let before = plan.closure(plan.tasks[ix].needs.iter().copied());
            for (id, name) in sources {
                let problem = match plan.find(&id) {
                    None => format!("there is no task `{id}` to take `{name}` from"),
                    Some(other) if !before[other.0] => {
                        format!("`{}` takes `{name}` from `{id}`, but does not need it", plan.tasks[ix].id)
                    }
                    Some(other) if !plan.task(other).measures.iter().any(|m| m.name == name) => {
                        format!("the task `{id}` measures no `{name}`")
                    }
                    Some(_) => continue,
                };
                let hint = format!("add `{id}` to `needs`, or mend the name");
                self.r.report(Diagnostic::new(entry.table.id.span.clone(), problem).hint(hint));
            }
        }
    }
}

/// `a -> b -> c -> a`; the middle of a very long path is left out.
fn path_text(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    if names.len() <= SHOWN {
        return names.join(" -> ");
    }
    let (head, tail) = (&names[..SHOWN - 3], &names[names.len() - 2..]);
    format!(
        "{} -> ... {} more ... -> {}",
        head.join(" -> "),
        names.len() - head.len() - tail.len(),
        tail.join(" -> ")
    )
}

/// Orders nodes so that each comes after those it points to; else a cycle, its first node repeated at the end.
/// Iterative: a cycle of a hundred thousand tasks must not be a stack overflow.
fn topological(edges: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut order = Vec::with_capacity(edges.len());
    let mut state = vec![0u8; edges.len()];
    for root in 0..edges.len() {
        if state[root] != 0 {
            continue;
        }
        let mut stack = vec![(root, 0)];
        state[root] = 1;
        while let Some((node, next)) = stack.last_mut() {
            match edges[*node].get(*next) {
                Some(&to) => {
                    *next += 1;
                    match state[to] {
                        0 => {
                            state[to] = 1;
                            stack.push((to, 0));
                        }
                        1 => {
                            let at = stack.iter().position(|(n, _)| *n == to).unwrap_or(0);
                            return Err(stack[at..].iter().map(|(n, _)| *n).chain([to]).collect());
                        }
                        _ => {}
                    }
                }
                None => {
                    state[*node] = 2;
                    order.push(*node);
                    stack.pop();
                }
            }
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_puts_needs_first_and_names_cycles() {
        assert_eq!(topological(&[vec![1], vec![2], vec![]]), Ok(vec![2, 1, 0]));
        assert_eq!(topological(&[vec![1], vec![2], vec![1]]), Err(vec![1, 2, 1]));
        assert_eq!(topological(&[vec![0]]), Err(vec![0, 0]));
    }

    #[test]
    fn a_cycle_of_a_hundred_thousand_is_found() {
        let n = 100_000;
        let edges: Vec<Vec<usize>> = (0..n).map(|i| vec![(i + 1) % n]).collect();
        assert_eq!(topological(&edges).unwrap_err().len(), n + 1);
    }
}
