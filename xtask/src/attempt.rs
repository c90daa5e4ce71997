//! One attempt at a task: environment, commands, captured values, checks, measurements, and what must be cleaned
//! up whatever happened. Knows one task, the outside and the room of children; knows no ledger and no other task.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use crate::check::{Context, Finding, Timeline};
use crate::exec::{self, Ended, How, Log, Output, Room, Spawn};
use crate::ledger::event::{CheckRecord, CommandRecord, Failure, FailureKind, Outcome};
use crate::measure::Measurement;
use crate::observed::{Files, Unreadable};
use crate::pipeline::condition;
use crate::pipeline::file::{CaptureTable, Step};
use crate::pipeline::line::{Line, quote_all};
use crate::pipeline::template::Scope;
use crate::pipeline::{Plan, Task};
use crate::probe;
use crate::secrets::{self, Secret, Secrets};
use crate::wording;
use crate::world::{Answer, Ask, Kind, Real, Request, Response, World};

/// Time limit of each command that cleans up.
const CLEANUP_LIMIT: Duration = Duration::from_secs(120);

/// How much of a captured value is kept, in bytes.
const CAPTURE_LIMIT: usize = 1 << 20;

/// How many lines of a failed answer go into the log.
const ASKED_LINES: usize = 200;

/// What is to be attempted, and where its traces go.
pub struct Job<'a> {
    /// The plan, for facts.
    pub plan: &'a Plan,
    /// The task.
    pub task: &'a Task,
    /// Id of the run.
    pub run: &'a str,
    /// Id of the attempt.
    pub attempt: &'a str,
    /// The log, absolute.
    pub log: &'a Utf8Path,
    /// A folder of its own, absolute; made when something asks for it, and gone afterwards.
    pub scratch: &'a Utf8Path,
    /// Measurements of finished tasks, by task and name.
    pub recorded: &'a BTreeMap<(String, String), f64>,
    /// Answers to facts that are known already.
    pub facts: &'a BTreeMap<String, Result<String, String>>,
    /// What must not be shown. The attempt adds to it: values of environment files, captured values.
    pub secrets: &'a Secrets,
}

/// What an attempt came to.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub outcome: Outcome,
    /// What failed.
    pub failure: Option<Failure>,
    /// How often it was tried.
    pub tries: u32,
    /// How long it took.
    pub took: Duration,
    /// What ran.
    pub commands: Vec<CommandRecord>,
    /// What was checked in the last try.
    pub checks: Vec<CheckRecord>,
    /// What was measured in the last try.
    pub measurements: Vec<Measurement>,
    /// Its artifacts and the files that its checks read, afterwards.
    pub subjects: Files,
    /// Digest of the log.
    pub log: Option<String>,
    /// What went wrong without making it fail: cleaning up.
    pub notes: Vec<String>,
    /// Why not all of the log could be written.
    pub unlogged: Option<String>,
}

/// What cleaning up came to.
#[derive(Debug)]
pub struct Cleaned {
    /// What ran.
    pub commands: Vec<CommandRecord>,
    /// What went wrong.
    pub notes: Vec<String>,
    /// Why not all of the log could be written.
    pub unlogged: Option<String>,
}

/// What stops a try.
enum Stop {
    Failed(Failure),
    Cancelled,
}

/// Makes the attempt.
pub fn attempt(job: &Job<'_>, room: &Room, world: &Real) -> Finished {
    let begun = Instant::now();
    let world = world.marked(job.attempt);
    let env = match environment(job, &world) {
        Ok(env) => env,
        Err(failure) => return Finished::unstarted(job, failure, begun.elapsed()),
    };
    let log = match open_log(job) {
        Ok(log) => log,
        Err(error) => {
            let failure = Failure {
                kind: FailureKind::Environment,
                what: format!("the log `{}`", job.log),
                how: format!("could not be made: {error}"),
                hint: None,
            };
            return Finished::unstarted(job, failure, begun.elapsed());
        }
    };
    let mut tries = 0;
    let mut commands = Vec::new();
    let mut notes = Vec::new();
    let (result, last) = loop {
        tries += 1;
        let one = Try::new(job, room, &world, &log, &env);
        let result = one.run();
        let again = matches!(&result, Err(Stop::Failed(_))) && u64::from(tries) <= job.task.retry.0;
        one.clean_up(&mut notes);
        let done = one.finish();
        commands.extend(done.commands);
        if !again {
            break (result, (done.checks, done.measurements));
        }
        if let Err(Stop::Failed(failure)) = &result {
            let pause = wording::duration(job.task.retry.1);
            let _ = log
                .note(&format!("# try {tries} failed: {}: {}; again in {pause}", failure.what, failure.how));
        }
        if !room.sleep(job.task.retry.1) {
            break (Err(Stop::Cancelled), (done.checks, done.measurements));
        }
    };
    if job.scratch.exists()
        && let Err(error) = fs::remove_dir_all(job.scratch)
    {
        notes.push(format!("failed to remove `{}`: {error}", job.scratch));
    }
    let (mut outcome, mut failure) = match result {
        Ok(()) => (Outcome::Passed, None),
        Err(Stop::Failed(failure)) => (Outcome::Failed, Some(failure)),
        Err(Stop::Cancelled) => (Outcome::Interrupted, None),
    };
    let view = probe::files(job.plan, job.task, &world);
    if outcome == Outcome::Passed
        && let Some(missing) = view.missing.first()
    {
        outcome = Outcome::Failed;
        failure = Some(Failure {
            kind: FailureKind::Artifact,
            what: format!("the artifact `{missing}`"),
            how: "is not there".to_owned(),
            hint: None,
        });
    }
    seal(&log, &mut notes);
    if let Some(failure) = failure.as_mut().filter(|f| f.hint.is_none()) {
        let text = format!("{}\n{}", exec::tail(job.log, 200, 64 << 10).join("\n"), failure.how);
        failure.hint = job.task.hints.iter().find_map(|hint| {
            let mut said = String::new();
            hint.matches.regex().captures(&text)?.expand(&hint.say, &mut said);
            Some(job.secrets.masked(said))
        });
    }
    // A last line in any case: if there is no room for it, something may be missing before it too.
    let _ = log.note(&match (&failure, outcome) {
        (Some(failure), _) => format!("# failed: {}: {}", failure.what, failure.how),
        (None, Outcome::Interrupted) => "# interrupted".to_owned(),
        (None, _) => "# passed".to_owned(),
    });
    let digest = exec::digest(job.log).ok();
    Finished {
        outcome,
        failure,
        tries,
        took: begun.elapsed(),
        commands,
        checks: last.0,
        measurements: last.1,
        subjects: view.subjects,
        log: digest,
        notes,
        unlogged: log.trouble(),
    }
}

/// An attempt that does not begin because an input can't be read: nobody could tell later whether it changed.
pub fn refuse(job: &Job<'_>, unread: &Unreadable) -> Finished {
    let failure = Failure {
        kind: FailureKind::Environment,
        what: format!("the input `{}`", unread.path),
        how: unread.why.clone(),
        hint: None,
    };
    Finished::unstarted(job, failure, Duration::ZERO)
}

/// Runs cleaning commands of an attempt that is over: a `teardown`, or what a killed run left undone.
pub fn clean_up(job: &Job<'_>, steps: &[Step], room: &Room, world: &Real) -> Cleaned {
    let world = world.marked(job.attempt);
    let mut notes = Vec::new();
    let failed = |note: String| Cleaned { commands: Vec::new(), notes: vec![note], unlogged: None };
    let env = match environment(job, &world) {
        Ok(env) => env,
        Err(failure) => return failed(format!("{}: {}", failure.what, failure.how)),
    };
    // What has to be cleaned up has to be cleaned up, also if nobody can read about it.
    let log = open_log(job).or_else(|error| Log::lost(job.log, job.secrets, &error));
    let log = match log {
        Ok(log) => log,
        Err(error) => return failed(format!("failed to make the log `{}`: {error}", job.log)),
    };
    let one = Try::new(job, room, &world, &log, &env);
    one.clean(steps, "teardown", &mut notes);
    seal(&log, &mut notes);
    Cleaned { commands: one.finish().commands, notes, unlogged: log.trouble() }
}

fn open_log(job: &Job<'_>) -> std::io::Result<Log> {
    if let Some(folder) = job.log.parent() {
        fs::create_dir_all(folder)?;
    }
    Log::create(job.log, job.secrets)
}

/// Masks what a log holds before anybody reads it. One that can't be masked is not kept.
fn seal(log: &Log, notes: &mut Vec<String>) {
    if let Err(error) = log.seal()
        && error.kind() != std::io::ErrorKind::NotFound
    {
        let kept = fs::remove_file(log.path()).map_or("and could not be removed", |()| "and was removed");
        notes.push(format!("the log `{}` could not be searched for secrets: {error}; {kept}", log.path()));
    }
}

impl Finished {
    /// What failed before anything began. There is a log all the same: that is where people are sent to.
    fn unstarted(job: &Job<'_>, failure: Failure, took: Duration) -> Self {
        let unlogged = match open_log(job) {
            Ok(log) => {
                let _ = log.note(&format!("# failed: {}: {}", failure.what, failure.how));
                log.trouble()
            }
            Err(error) => Some(format!("failed to make the log `{}`: {error}", job.log)),
        };
        Self {
            outcome: Outcome::Failed,
            failure: Some(failure),
            tries: 1,
            took,
            commands: Vec::new(),
            checks: Vec::new(),
            measurements: Vec::new(),
            subjects: Files::new(),
            log: exec::digest(job.log).ok(),
            notes: Vec::new(),
            unlogged,
        }
    }
}

/// Names of the environment variables that a task sets, sorted. A file that can't be read has none here; the attempt
/// says so.
pub fn env_names(task: &Task, world: &dyn World) -> Vec<String> {
    let texts = task.env_files.iter().filter_map(|path| world.read(path).ok());
    let from_files = texts.flat_map(|text| secrets::env_lines(&String::from_utf8_lossy(&text)));
    let mut names: Vec<String> =
        from_files.map(|(name, _)| name).chain(task.env.iter().map(|(name, _)| name.clone())).collect();
    names.sort();
    names.dedup();
    names
}

/// The environment of a task's commands and checks. The secrets in it are masked from now on.
pub fn environment(job: &Job<'_>, world: &dyn World) -> Result<Vec<(String, String)>, Failure> {
    let fail = |what: String, how: String, hint: Option<String>| Failure {
        kind: FailureKind::Environment,
        what,
        how,
        hint,
    };
    let mut env: Vec<(String, String)> = Vec::new();
    for path in &job.task.env_files {
        let text = world.read(path).map_err(|e| {
            fail(
                format!("the environment file `{path}`"),
                format!("could not be read: {e}"),
                Some(format!("make `{path}`")),
            )
        })?;
        let lines = secrets::env_lines(&String::from_utf8_lossy(&text));
        job.secrets.learn(secrets::of_env_file(path, &lines, &job.task.plain));
        env.extend(lines);
    }
    let scope = Known { run: job.run, scratch: job.scratch };
    for (name, template) in &job.task.env {
        let value = template
            .fill(&scope)
            .map_err(|why| fail(format!("the environment variable `{name}`"), why, None))?;
        env.push((name.clone(), value));
    }
    let own: Vec<(&str, &str)> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    job.secrets.learn(secrets::named(&job.task.secret, &own, &|name| world.variable(name)));
    job.secrets.learn(secrets::named(&job.plan.secret, &own, &|_| None));
    Ok(env)
}

/// Names that are known before anything runs.
pub struct Known<'a> {
    /// Id of the run.
    pub run: &'a str,
    /// The attempt's own folder, absolute; made when it is asked for.
    pub scratch: &'a Utf8Path,
}

impl Scope for Known<'_> {
    fn value(&self, name: &str) -> Result<String, String> {
        match name {
            "run.id" => Ok(self.run.to_owned()),
            "tmp" => {
                fs::create_dir_all(self.scratch)
                    .map_err(|e| format!("failed to make the folder `{}`: {e}", self.scratch))?;
                Ok(self.scratch.to_string())
            }
            _ => Err(format!("`${{{name}}}` has no value yet")),
        }
    }
}

/// One try: the values, times and records that it gathers.
struct Try<'a> {
    job: &'a Job<'a>,
    room: &'a Room,
    world: &'a Real,
    witness: Witness<'a>,
    log: &'a Log,
    env: &'a [(String, String)],
    cwd: Utf8PathBuf,
    begun: Instant,
    deadline: Instant,
    /// Values captured so far; an error is kept too, so that a command is not asked twice for it.
    captured: RefCell<HashMap<String, Result<String, String>>>,
    records: RefCell<Vec<CommandRecord>>,
    checks: RefCell<Vec<CheckRecord>>,
    measurements: RefCell<Vec<Measurement>>,
    steps: RefCell<HashMap<String, Duration>>,
    facts: RefCell<BTreeMap<String, Result<String, String>>>,
    /// Set while cleaning up: the first signal and the task's time limit do not reach such commands.
    shielded: std::cell::Cell<bool>,
}

/// What a try leaves behind.
struct Done {
    commands: Vec<CommandRecord>,
    checks: Vec<CheckRecord>,
    measurements: Vec<Measurement>,
}

impl<'a> Try<'a> {
    fn new(
        job: &'a Job<'a>,
        room: &'a Room,
        world: &'a Real,
        log: &'a Log,
        env: &'a [(String, String)],
    ) -> Self {
        let begun = Instant::now();
        Self {
            job,
            room,
            world,
            witness: Witness { world, log },
            log,
            env,
            cwd: world.root().join(&job.task.cwd),
            begun,
            deadline: begun + job.task.timeout,
            captured: RefCell::default(),
            records: RefCell::default(),
            checks: RefCell::default(),
            measurements: RefCell::default(),
            steps: RefCell::default(),
            facts: RefCell::new(job.facts.clone()),
            shielded: std::cell::Cell::new(false),
        }
    }

    fn finish(self) -> Done {
        Done {
            commands: self.records.into_inner(),
            checks: self.checks.into_inner(),
            measurements: self.measurements.into_inner(),
        }
    }

    fn run(&self) -> Result<(), Stop> {
        for step in &self.job.task.run {
            self.step(step)?;
        }
        self.check()?;
        self.measure()
    }

    fn step(&self, step: &Step) -> Result<(), Stop> {
        if let Some(when) = &step.when
            && !self.holds(when)?
        {
            return Ok(());
        }
        let filled = step
            .line
            .fill(self)
            .map_err(|why| self.stop(FailureKind::Capture, format!("`{}`", step.line), &why))?;
        let env = self.env_with(filled.env);
        let (how, took) = self.spawn(&filled.argv, &step.line, &env, step.name.clone(), "run");
        if let Some(name) = &step.name {
            self.steps.borrow_mut().insert(name.clone(), took);
        }
        let what = format!("`{}`", self.masked(&shown(&step.line, &filled.argv)));
        match how {
            How::Exited(0) => Ok(()),
            How::Exited(code) => {
                // What the command said last is most often the cause. A part of a secret is found as one in the
                // whole of the log only.
                let _ = self.log.seal();
                let said = exec::tail(self.job.log, 2, 4096)
                    .into_iter()
                    .rfind(|l| !l.starts_with("# ") && !l.trim().is_empty());
                let said = said
                    .filter(|l| !l.starts_with("$ "))
                    .map_or_else(String::new, |l| format!(": {}", wording::first_line(&l, 300)));
                Err(self.stop(FailureKind::Command, what, &format!("exit code {code}{said}")))
            }
            How::Signaled(signal) => {
                Err(self.stop(FailureKind::Command, what, &format!("ended by signal {signal}")))
            }
            How::NotStarted(why) => Err(self.stop(FailureKind::Command, what, &why)),
            How::TimedOut => Err(self.late(what)),
            How::Cancelled => Err(Stop::Cancelled),
        }
    }

    fn late(&self, what: String) -> Stop {
        self.stop(
            FailureKind::Timeout,
            what,
            &format!("not done within the time limit of {}", wording::duration(self.job.task.timeout)),
        )
    }

    fn stop(&self, kind: FailureKind, what: String, how: &str) -> Stop {
        if self.room.cancelled().is_some() && !self.shielded.get() {
            return Stop::Cancelled;
        }
        Stop::Failed(Failure { kind, what: self.job.secrets.masked(what), how: self.masked(how), hint: None })
    }

    fn masked(&self, text: &str) -> String {
        self.job.secrets.masked(text)
    }

    /// Each word masked; none at all if a secret lies across words, where a mask for each would not see it.
    fn masked_words(&self, argv: &[String]) -> Vec<String> {
        let words: Vec<String> = argv.iter().map(|word| self.masked(word)).collect();
        if words.join(" ") == self.masked(&argv.join(" ")) { words } else { Vec::new() }
    }

    fn holds(&self, when: &condition::Condition) -> Result<bool, Stop> {
        for name in when.facts() {
            if !self.facts.borrow().contains_key(name)
                && let Some(fact) = self.job.plan.facts.iter().find(|f| f.name == name)
            {
                let answer = self.job.secrets.veiled(probe::fact(fact, self.world));
                self.facts.borrow_mut().insert(name.to_owned(), answer);
            }
        }
        let facts = self.facts.borrow();
        match when.evaluate(&|name| {
            facts.get(name).cloned().unwrap_or_else(|| Err("nobody declares it".to_owned()))
        }) {
            condition::Outcome::Holds => Ok(true),
            condition::Outcome::Fails(_) => Ok(false),
            condition::Outcome::Unknown(why) => {
                Err(self.stop(FailureKind::Environment, "a condition".to_owned(), &why))
            }
        }
    }

    /// Starts a child that writes into the log, and records how it ended.
    fn spawn(
        &self,
        argv: &[String],
        line: &Line,
        env: &[(String, String)],
        name: Option<String>,
        part: &str,
    ) -> (How, Duration) {
        let text = self.masked(&shown(line, argv));
        let _ = self.log.note(&format!("$ {text}"));
        let ended = self.child(argv, env, Output::Log(self.log), text, part, name);
        if ended.leaked > 0 {
            let _ = self.log.note(&format!(
                "# {} that outlived the command ended",
                wording::plural(ended.leaked as usize, "child")
            ));
        }
        let said = describe(&ended.how);
        if ended.how != How::Exited(0) {
            let _ = self.log.note(&format!("# {said}"));
        }
        (ended.how, ended.took)
    }

    /// Runs a child within the time that is left, and records how it ended; `text` is how a person would type it.
    fn child(
        &self,
        argv: &[String],
        env: &[(String, String)],
        output: Output<'_>,
        text: String,
        part: &str,
        name: Option<String>,
    ) -> Ended {
        let limit = if self.shielded.get() {
            CLEANUP_LIMIT
        } else {
            self.deadline.saturating_duration_since(Instant::now())
        };
        let ended = self.room.run(&Spawn {
            argv,
            cwd: &self.cwd,
            env,
            output,
            timeout: Some(limit),
            grace: self.job.task.grace,
            attempt: self.job.attempt,
            shielded: self.shielded.get(),
        });
        self.records.borrow_mut().push(CommandRecord {
            command: text,
            argv: self.masked_words(argv),
            cwd: Some(self.job.task.cwd.clone()),
            part: part.to_owned(),
            name,
            ended: describe(&ended.how),
            ms: ended.took.as_millis() as u64,
        });
        ended
    }

    /// The task's environment with what one command adds to it.
    fn env_with(&self, more: Vec<(String, String)>) -> Vec<(String, String)> {
        self.env.iter().cloned().chain(more).collect()
    }

    /// Asks the commands that capture a value, the first of several whose condition holds.
    fn capture(&self, name: &str, tables: &[CaptureTable]) -> Result<String, String> {
        for table in tables {
            if let Some(when) = &table.when {
                match self.holds(when) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(Stop::Failed(failure)) => return Err(failure.how),
                    Err(Stop::Cancelled) => return Err("the run was told to stop".to_owned()),
                }
            }
            let filled = table.run.fill(self)?;
            let env = self.env_with(filled.env);
            let text = self.masked(&shown(&table.run, &filled.argv));
            let _ = self.log.note(&format!("$ {text}  # for ${{{name}}}"));
            let keep = Output::Keep { limit: CAPTURE_LIMIT };
            let ended = self.child(&filled.argv, &env, keep, text.clone(), "capture", Some(name.to_owned()));
            let said = describe(&ended.how);
            let (stdout, stderr) =
                (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
            let value = table.extract(&stdout, &text);
            let shown = if table.secret.0 {
                // Before anybody gets to see it.
                self.job.secrets.learn(value.iter().map(|value| Secret::captured(name, value)));
                let _ = self.log.note("# what it printed is not shown: there is a secret in it");
                ""
            } else {
                &stdout
            };
            for line in shown.lines().chain(stderr.lines()).take(50) {
                let _ = self.log.note(line);
            }
            if ended.how != How::Exited(0) {
                let line = wording::first_line(&stderr, 200);
                return Err(if line.is_empty() {
                    format!("`{text}`: {said}")
                } else {
                    format!("`{text}`: {said}: {line}")
                });
            }
            return value;
        }
        Err(format!("no condition of `capture.{name}` holds"))
    }

    fn context(&self) -> Context<'_> {
        Context {
            world: &self.witness,
            scope: self,
            env: self.env,
            cwd: &self.cwd,
            limit: self.deadline.saturating_duration_since(Instant::now()),
            timeline: self,
        }
    }

    /// Makes every check, also after one that does not hold: a person wants to see all of them.
    fn check(&self) -> Result<(), Stop> {
        let mut first = None;
        for spec in &self.job.task.checks {
            if self.room.cancelled().is_some() {
                return Err(Stop::Cancelled);
            }
            if let Some(when) = &spec.when
                && !self.holds(when)?
            {
                continue;
            }
            let finding = self.job.secrets.veiled(spec.observe(&self.context()));
            let says = self.masked(&spec.says());
            let mark = if finding.is_met() { "ok" } else { "NOT OK" };
            let _ = self.log.note(&format!("# {mark}: {says}: {finding}"));
            if !finding.is_met() && first.is_none() {
                let hint = match &finding {
                    Finding::Unmet { hint, .. } => hint.clone(),
                    _ => None,
                };
                first = Some(Failure {
                    kind: FailureKind::Check,
                    what: says.clone(),
                    how: finding.to_string(),
                    hint,
                });
            }
            self.checks.borrow_mut().push(CheckRecord { says, finding });
        }
        match first {
            None => Ok(()),
            Some(_) if self.room.cancelled().is_some() => Err(Stop::Cancelled),
            Some(failure) if Instant::now() >= self.deadline => {
                let limit = wording::duration(self.job.task.timeout);
                let how = format!("not true within the time limit of {limit}: {}", failure.how);
                Err(Stop::Failed(Failure { kind: FailureKind::Timeout, how, ..failure }))
            }
            Some(failure) => Err(Stop::Failed(failure)),
        }
    }

    fn measure(&self) -> Result<(), Stop> {
        let mut first = None;
        for measure in &self.job.task.measures {
            if self.room.cancelled().is_some() {
                return Err(Stop::Cancelled);
            }
            let finding = match measure.observe(&self.context()) {
                Ok(m) => {
                    let _ = self.log.note(&format!("# measured: {} = {}", m.name, m.show()));
                    let finding = m.finding();
                    self.measurements.borrow_mut().push(m);
                    finding
                }
                Err(finding) => finding,
            };
            if !finding.is_met() {
                let how = self.masked(&finding.to_string());
                let _ = self.log.note(&format!("# NOT OK: {}: {how}", measure.name));
                first.get_or_insert(Failure {
                    kind: FailureKind::Measurement,
                    what: measure.name.clone(),
                    how,
                    hint: None,
                });
            }
        }
        match first {
            None => Ok(()),
            Some(_) if self.room.cancelled().is_some() => Err(Stop::Cancelled),
            Some(failure) => Err(Stop::Failed(failure)),
        }
    }

    fn clean_up(&self, notes: &mut Vec<String>) {
        self.clean(&self.job.task.finally, "finally", notes);
    }

    /// Runs every cleaning command, whatever became of the one before.
    fn clean(&self, steps: &[Step], part: &str, notes: &mut Vec<String>) {
        self.shielded.set(true);
        for step in steps {
            if let Some(when) = &step.when
                && !matches!(self.holds(when), Ok(true))
            {
                continue;
            }
            let filled = match step.line.fill(self) {
                Ok(filled) => filled,
                Err(why) => {
                    let _ = self.log.note(&format!("# left out `{}`: {why}", step.line));
                    continue;
                }
            };
            let env = self.env_with(filled.env);
            let (how, _) = self.spawn(&filled.argv, &step.line, &env, step.name.clone(), part);
            if how != How::Exited(0) {
                notes.push(format!(
                    "`{}` of `{part}`: {}",
                    self.masked(&shown(&step.line, &filled.argv)),
                    describe(&how)
                ));
            }
        }
        self.shielded.set(false);
    }
}

impl Scope for Try<'_> {
    fn value(&self, name: &str) -> Result<String, String> {
        let Some((_, tables)) = self.job.task.captures.iter().find(|(n, _)| n == name) else {
            return Known { run: self.job.run, scratch: self.job.scratch }.value(name);
        };
        if let Some(known) = self.captured.borrow().get(name) {
            return known.clone();
        }
        // Taken while the value is asked for, so that a value that needs itself is an error, not a loop.
        self.captured.borrow_mut().insert(name.to_owned(), Err(format!("`${{{name}}}` needs itself")));
        let value = self.capture(name, tables).map_err(|why| format!("no value for `${{{name}}}`: {why}"));
        self.captured.borrow_mut().insert(name.to_owned(), value.clone());
        value
    }
}

/// The outside as checks see it: a command that is asked and fails leaves its whole answer in the log.
struct Witness<'a> {
    world: &'a Real,
    log: &'a Log,
}

impl World for Witness<'_> {
    fn now(&self) -> jiff::Timestamp {
        self.world.now()
    }
    fn root(&self) -> &Utf8Path {
        self.world.root()
    }
    fn read(&self, path: &Utf8Path) -> std::io::Result<Vec<u8>> {
        self.world.read(path)
    }
    fn open(&self, path: &Utf8Path) -> std::io::Result<Box<dyn std::io::Read>> {
        self.world.open(path)
    }
    fn kind(&self, path: &Utf8Path) -> std::io::Result<Kind> {
        self.world.kind(path)
    }
    fn digest(&self, path: &Utf8Path) -> std::io::Result<crate::ids::Digest> {
        self.world.digest(path)
    }
    fn files(&self, glob: &crate::pipeline::read::Glob) -> std::io::Result<Vec<Utf8PathBuf>> {
        self.world.files(glob)
    }
    fn variable(&self, name: &str) -> Option<String> {
        self.world.variable(name)
    }
    fn which(&self, program: &str) -> Option<Utf8PathBuf> {
        self.world.which(program)
    }
    fn ask(&self, ask: &Ask) -> Answer {
        let answer = self.world.ask(ask);
        if answer.how != How::Exited(0) {
            let _ = self.log.note(&format!("$ {}", quote_all(&ask.argv)));
            for line in answer.stdout.lines().chain(answer.stderr.lines()).take(ASKED_LINES) {
                let _ = self.log.note(line);
            }
            let _ = self.log.note(&format!("# {}", describe(&answer.how)));
        }
        answer
    }
    fn http(&self, request: &Request) -> Result<Response, String> {
        self.world.http(request)
    }
    fn connect(&self, address: &str, limit: Duration) -> Result<(), String> {
        self.world.connect(address, limit)
    }
    fn pause(&self, duration: Duration) -> bool {
        self.world.pause(duration)
    }
}

impl Timeline for Try<'_> {
    fn step(&self, name: &str) -> Option<Duration> {
        self.steps.borrow().get(name).copied()
    }

    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn recorded(&self, task: &str, measurement: &str) -> Option<f64> {
        self.job.recorded.get(&(task.to_owned(), measurement.to_owned())).copied()
    }
}

/// A command as a person would type it.
fn shown(line: &Line, argv: &[String]) -> String {
    match line {
        Line::Words(_) => quote_all(argv),
        Line::Script { .. } => line.to_string(),
    }
}

/// How a child ended, in words.
pub fn describe(how: &How) -> String {
    match how {
        How::Exited(code) => format!("exit code {code}"),
        How::Signaled(signal) => format!("signal {signal}"),
        How::TimedOut => "time limit".to_owned(),
        How::Cancelled => "interrupted".to_owned(),
        How::NotStarted(why) => why.clone(),
    }
}
