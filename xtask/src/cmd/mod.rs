//! Commands: one file each. Here is what they share: finding and reading the pipeline, and naming its tasks.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use crate::ci::Choice;
use crate::cli::{Cli, Command, Global, PipelineCall};
use crate::failure::{Failure, exit};
use crate::ids::{NeedIx, TaskIx};
use crate::ledger::History;
use crate::ledger::event::Git;
use crate::ledger::store::{self, Home};
use crate::pipeline::diagnostic::{Source, position, render};
use crate::pipeline::plan::Phase;
use crate::pipeline::resolve::{Hidden, SIZE_LIMIT, hidden};
use crate::pipeline::{Plan, resolve_here};
use crate::redact::SHORTEST;
use crate::secrets::{self, Secret, Secrets};
use crate::timings;
use crate::ui::{Colour, Ui};
use crate::wording;

mod evidence;
mod graph;
mod history;
mod lint;
mod list;
mod log;
mod look;
mod mark;
mod report;
mod run;
mod selftest;
mod service;
mod settled;
mod verify;
mod wait;

/// The file that is looked for.
const FILE: &str = "pipeline.toml";

/// A pipeline that was found and read.
pub struct Project {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The folder of the file, absolute.
    pub root: Utf8PathBuf,
    /// Where it keeps its things.
    pub home: Home,
    /// The file as it was read, for messages; its path is as it is shown.
    pub source: Source,
    /// Whose values are declared as secrets and are too short to be masked.
    pub too_short: Vec<String>,
}

impl Project {
    /// The line in the file on which a task begins.
    pub fn line_of(&self, id: &str) -> Option<usize> {
        let task = self.plan.task(self.plan.find(id)?);
        Some(position(&self.source.text, task.span.start).0)
    }
}

/// Does what the command line says; the result is the exit code.
pub fn run(cli: Cli, ui: &Ui) -> Result<u8, Failure> {
    let global = &cli.global;
    global.timings.iter().cloned().for_each(timings::to);
    match cli.command {
        None => list::overview(global, ui),
        Some(Command::Run(args)) => run::run(global, &args, run::Mode::All, ui),
        Some(Command::Resume(args)) => match args.wait {
            None => run::run(global, &args.run, run::Mode::Resume, ui),
            Some(limit) => wait::resume(global, &args.run, limit, ui),
        },
        Some(Command::Status(args)) => look::status(global, args.json, ui),
        Some(Command::Doctor(args)) => look::doctor(global, &args, ui),
        Some(Command::Explain(args)) => look::explain(global, &args, ui),
        Some(Command::List(args)) => list::list(global, args.json, ui),
        Some(Command::Graph(args)) => graph::graph(global, &args, ui),
        Some(Command::Log(args)) => log::log(global, &args, ui),
        Some(Command::Verify(args)) => verify::verify(global, &args, ui),
        Some(Command::Report(args)) => report::report(global, &args, ui),
        Some(Command::History(args)) => history::history(global, &args, ui),
        Some(Command::Diff(args)) => history::diff(global, &args, ui),
        Some(Command::Evidence(args)) => evidence::evidence(global, &args, ui),
        Some(Command::Skip(args)) => mark::skip(global, &args, ui),
        Some(Command::Forget(args)) => mark::forget(global, &args, ui),
        Some(Command::Lint) => lint::lint(global, ui),
        Some(Command::Schema) => lint::schema(ui),
        Some(Command::Selftest { test }) => selftest::selftest(&test, ui),
        Some(Command::Completions { shell }) => lint::completions(shell, ui),
        Some(Command::Pipeline(words)) => pipeline(global, &words, ui),
    }
}

/// The id of a pipeline is a command: the words after it are the arguments of `run`.
fn pipeline(global: &Global, words: &[String], ui: &Ui) -> Result<u8, Failure> {
    use clap::Parser as _;
    let name = words.first().map_or("", String::as_str);
    // Options of every command may stand behind the id, `--file` among them, so they are read first.
    let call = PipelineCall::try_parse_from(words);
    let mut merged = global.clone();
    if let Ok(call) = &call {
        merged.file = call.global.file.clone().or(merged.file);
        merged.set.extend(call.global.set.iter().cloned());
        merged.profile = call.global.profile.clone().or(merged.profile);
        call.global.timings.iter().cloned().for_each(timings::to);
    }
    let other =
        call.as_ref().ok().map(|c| (c.global.color, c.global.ci)).filter(|own| *own != Default::default());
    let other = other.map(|(colour, ci)| {
        let colour = if colour == Colour::Auto { merged.color } else { colour };
        ui.again(colour, if ci == Choice::Auto { merged.ci } else { ci })
    });
    let ui = other.as_ref().unwrap_or(ui);
    let settled = match call.as_ref().ok().map(|call| run::settled(&merged, &call.run, ui)) {
        Some(Ok(code)) => return Ok(code),
        Some(Err(settled)) => settled,
        None => None,
    };
    let project = match open(&merged, ui) {
        Ok(project) => project,
        Err(failure) => {
            return Err(if locate(&merged).is_ok() {
                failure
            } else {
                unknown_command(name, None).hint(failure.to_string().replace("error: ", ""))
            });
        }
    };
    if project.plan.id != name {
        return Err(unknown_command(name, Some(&project.plan.id)));
    }
    match call {
        Ok(call) => run::run_project(&project, &call.run, run::Mode::All, settled, ui),
        Err(error) => {
            // It quotes the call, in which a secret may stand.
            let text = error.render();
            let shown = |colour| if colour { text.ansi().to_string() } else { text.to_string() };
            if error.use_stderr() {
                ui.say(shown(ui.stderr_colour()).trim_end());
                return Ok(exit::USAGE);
            }
            ui.data(&shown(ui.stdout_colour()));
            Ok(exit::DONE)
        }
    }
}

fn unknown_command(name: &str, id: Option<&str>) -> Failure {
    let failure = Failure::usage(format!("there is no command `{name}`"));
    let cli = <Cli as clap::CommandFactory>::command();
    let commands = cli.get_subcommands().map(clap::Command::get_name);
    match wording::nearest(name, commands.chain(id)) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("`cargo xtask --help` lists the commands"),
    }
}

/// The path of the pipeline's file.
pub fn locate(global: &Global) -> Result<Utf8PathBuf, Failure> {
    if let Some(file) = &global.file {
        return if file.is_file() {
            Ok(file.clone())
        } else {
            Err(Failure::usage(format!("there is no file `{file}`"))
                .hint("`--file` takes the path of a pipeline.toml"))
        };
    }
    let here = here()?;
    here.ancestors().map(|folder| folder.join(FILE)).find(|path| path.is_file()).ok_or_else(|| {
        Failure::usage(format!("no `{FILE}` in `{here}` or any folder above it"))
            .hint("name one with `--file PATH`")
    })
}

/// The working directory.
pub fn here() -> Result<Utf8PathBuf, Failure> {
    let here = std::env::current_dir()
        .map_err(|e| Failure::usage(format!("failed to find the working directory: {e}")))?;
    Utf8PathBuf::try_from(here)
        .map_err(|e| Failure::usage(format!("the working directory is not UTF-8: {e}")))
}

/// Finds and reads the pipeline. Its mistakes are shown, all of them.
pub fn open(global: &Global, ui: &Ui) -> Result<Project, Failure> {
    let _span = timings::phase("read the plan");
    let path = locate(global)?;
    let overrides = overrides(global)?;
    let environment = environment();
    let failed = |error: &dyn std::fmt::Display| Failure::usage(format!("failed to read `{path}`: {error}"));
    let size = fs::metadata(&path).map_err(|e| failed(&e))?.len();
    if size > SIZE_LIMIT as u64 {
        let (has, limit) = (wording::bytes(size as f64), wording::bytes(SIZE_LIMIT as f64));
        return Err(failed(&format!("it has {has}, and {limit} are the most that is read")));
    }
    let bytes = fs::read(&path).map_err(|e| failed(&e))?;
    let text = String::from_utf8(bytes)
        .map_err(|e| failed(&format!("byte {} is not UTF-8", e.utf8_error().valid_up_to())))?;
    let full = path.canonicalize_utf8().map_err(|e| failed(&e))?;
    let root = full.parent().map(Utf8Path::to_owned).unwrap_or_default();
    let home = Home::new(&root);
    // Meanwhile the plan is read.
    home.read_ahead();
    let shown =
        here().ok().and_then(|here| full.strip_prefix(&here).ok().map(Utf8Path::to_owned)).unwrap_or(path);
    let source = Source { path: shown, text };
    match resolve_here(&source.text, &overrides, &environment) {
        Ok(mut plan) => {
            let too_short = learn(&mut plan, &root, ui.secrets());
            plan.profile = global.profile.as_ref().map(|name| find_profile(&plan, name)).transpose()?;
            ui.at(&root);
            Ok(Project { plan: Arc::new(plan), home, root, source, too_short })
        }
        Err(problems) => {
            learn_hidden(&hidden(&source.text, &overrides, &environment), &root, ui.secrets());
            ui.say(render(&source, &problems, ui.stderr_colour()).trim_end());
            Err(Failure::usage(format!(
                "`{}` has {}; nothing was run",
                source.path,
                wording::plural(problems.len(), "mistake")
            )))
        }
    }
}

/// A profile by its name, or what was probably meant.
fn find_profile(plan: &Plan, name: &str) -> Result<usize, Failure> {
    let names = plan.profiles.iter().map(|p| p.name.as_str());
    plan.profiles.iter().position(|p| p.name == name).ok_or_else(|| {
        let failure = Failure::usage(format!("there is no profile `{name}`"));
        failure.hint(not_found(name, names, "profile"))
    })
}

/// What may have been meant by a name that nobody declares.
fn not_found<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone, what: &str) -> String {
    if let Some(near) = wording::nearest(name, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let names: Vec<String> = known.map(|n| format!("`{n}`")).collect();
    match names.is_empty() {
        true => format!("this pipeline declares no {what}"),
        false => format!("there {} {}", if names.len() == 1 { "is" } else { "are" }, wording::list(&names)),
    }
}

/// A phase by its id, or what was probably meant.
pub fn find_phase<'p>(plan: &'p Plan, id: &str) -> Result<&'p Phase, Failure> {
    let ids = plan.phases.iter().map(|p| p.id.as_str());
    plan.phases
        .iter()
        .find(|p| p.id == id)
        .ok_or_else(|| Failure::usage(format!("there is no phase `{id}`")).hint(not_found(id, ids, "phase")))
}

/// A prerequisite by its name, or what was probably meant.
pub fn find_prerequisite(plan: &Plan, name: &str) -> Result<NeedIx, Failure> {
    let names = plan.prerequisites.iter().map(|p| p.name.as_str());
    plan.prerequisites.iter().position(|p| p.name == name).map(NeedIx).ok_or_else(|| {
        let failure = Failure::usage(format!("there is no prerequisite `{name}`"));
        failure.hint(not_found(name, names, "prerequisite"))
    })
}

/// Learns the secrets of a plan. Names in it that are compared with what is on record look from then on as they do
/// there. Returns whose values are declared as secrets and can't be masked.
fn learn(plan: &mut Plan, root: &Utf8Path, secrets: &Secrets) -> Vec<String> {
    let declared = secrets::of_plan(plan, &|path| text_of(&root.join(path)), &variable);
    let too_short = declared.iter().filter(|s| s.named && s.is_short()).map(|s| s.whose.clone()).collect();
    secrets.learn(declared);
    if plan.tasks.iter().any(secrets::captures) {
        secrets.expect();
    }
    plan.rename(&|name| secrets.masked(name));
    too_short
}

/// Learns what a file with mistakes declares as secrets.
fn learn_hidden(hidden: &Hidden, root: &Utf8Path, secrets: &Secrets) {
    let named = |whose: &str, value: String| Secret { whose: format!("`{whose}`"), value, named: true };
    secrets.learn(hidden.vars.iter().map(|(name, value)| named(name, value.clone())));
    secrets.learn(hidden.names.iter().filter_map(|name| Some(named(name, variable(name)?))));
    for path in hidden.env_files.iter().map(Utf8Path::new) {
        let lines = secrets::env_lines(&text_of(&root.join(path)).unwrap_or_default());
        secrets.learn(secrets::of_env_file(path, &lines, &hidden.plain));
    }
}

fn text_of(path: &Utf8Path) -> Option<String> {
    fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name)?.into_string().ok()
}

/// Says which declared secrets can't be masked.
pub fn warn_of_short_secrets(project: &Project, ui: &Ui) {
    for whose in &project.too_short {
        ui.warn(&format!("the value of {whose} has fewer than {SHORTEST} characters, so it is not masked"));
    }
}

/// Values of variables from the environment, perhaps for other pipelines.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?.strip_prefix("XTASK_VAR_")?.to_owned();
            Some((name, value.into_string().ok()?))
        })
        .collect()
}

/// Values of variables from the command line.
fn overrides(global: &Global) -> Result<BTreeMap<String, String>, Failure> {
    let mut out = BTreeMap::new();
    for setting in &global.set {
        let Some((name, value)) = setting.split_once('=') else {
            return Err(
                Failure::usage(format!("`--set {setting}` has no `=`")).hint("write `--set name=value`")
            );
        };
        out.insert(name.to_owned(), value.to_owned());
    }
    Ok(out)
}

/// Reads the ledger and says what is odd about it.
pub fn history(project: &Project, ui: &Ui) -> Result<History, Failure> {
    let history = store::read(&project.home).map_err(Failure::ledger)?;
    for note in store::health_notes(&project.home, &history.health) {
        ui.warn(&note);
    }
    Ok(history)
}

/// A task by its id, or what was probably meant.
pub fn find_task(plan: &Plan, id: &str) -> Result<TaskIx, Failure> {
    plan.find(id).ok_or_else(|| {
        let failure = Failure::usage(format!("there is no task `{id}`"));
        match wording::nearest(id, plan.tasks.iter().map(|t| t.id.as_str())) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint("`cargo xtask list` shows the tasks"),
        }
    })
}

/// The state of the repository, if it is in git and git is there.
pub fn git(root: &Utf8Path) -> Option<Git> {
    let sh = xshell::Shell::new().ok()?;
    sh.change_dir(root);
    let ask = |args: &[&str]| sh.cmd("git").args(args).quiet().ignore_stderr().read().ok();
    let branch =
        ask(&["rev-parse", "--abbrev-ref", "HEAD"]).or_else(|| ask(&["symbolic-ref", "--short", "HEAD"]))?;
    let revision = ask(&["rev-parse", "HEAD"]).filter(|r| r.len() >= 40);
    let dirty = ask(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|s| !s.is_empty());
    Some(Git { branch, revision, dirty })
}

/// The text of a file as it was committed last.
pub fn committed(root: &Utf8Path, path: &Utf8Path) -> Option<String> {
    let sh = xshell::Shell::new().ok()?;
    sh.change_dir(root);
    // `./` makes the path relative to the folder, which need not be the top of the repository.
    sh.cmd("git").args(["show", &format!("HEAD:./{path}")]).quiet().ignore_stderr().read().ok()
}
