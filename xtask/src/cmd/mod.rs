//! Commands: one file each. Here is what they share: finding and reading the pipeline, and naming its tasks.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::{Cli, Command, Global, PipelineCall};
use crate::failure::{Failure, exit};
use crate::ids::TaskIx;
use crate::ledger::History;
use crate::ledger::event::Git;
use crate::ledger::store::{self, Home};
use crate::pipeline::diagnostic::{Source, render};
use crate::pipeline::resolve::SIZE_LIMIT;
use crate::pipeline::{Plan, resolve_here};
use crate::ui::{Colour, Ui};
use crate::wording;

mod graph;
mod lint;
mod list;
mod log;
mod look;
mod mark;
mod report;
mod run;
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
}

/// Does what the command line says; the result is the exit code.
pub fn run(cli: Cli, ui: &Ui) -> Result<u8, Failure> {
    let global = &cli.global;
    match cli.command {
        None => list::overview(global, ui),
        Some(Command::Run(args)) => run::run(global, &args, run::Mode::All, ui),
        Some(Command::Resume(args)) => match args.wait {
            None => run::run(global, &args.run, run::Mode::Resume, ui),
            Some(limit) => wait::resume(global, &args.run, limit, ui),
        },
        Some(Command::Status(args)) => look::status(global, args.json, ui),
        Some(Command::Doctor(args)) => look::doctor(global, args.json, ui),
        Some(Command::Explain(args)) => look::explain(global, &args, ui),
        Some(Command::List(args)) => list::list(global, args.json, ui),
        Some(Command::Graph(args)) => graph::graph(global, &args, ui),
        Some(Command::Log(args)) => log::log(global, &args, ui),
        Some(Command::Report(args)) => report::report(global, &args, ui),
        Some(Command::Skip(args)) => mark::skip(global, &args, ui),
        Some(Command::Forget(args)) => mark::forget(global, &args, ui),
        Some(Command::Lint) => lint::lint(global, ui),
        Some(Command::Schema) => lint::schema(ui),
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
    }
    let recoloured =
        call.as_ref().ok().filter(|c| c.global.color != Colour::Auto).map(|c| Ui::new(c.global.color));
    let ui = recoloured.as_ref().unwrap_or(ui);
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
        Ok(call) => run::run_project(&project, &call.run, run::Mode::All, ui),
        Err(error) => {
            let _ = error.print();
            Ok(if error.use_stderr() { exit::USAGE } else { exit::DONE })
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
    match resolve_here(&text, &overrides, &environment) {
        Ok(plan) => Ok(Project { plan: Arc::new(plan), home: Home::new(&root), root }),
        Err(problems) => {
            let shown = here()
                .ok()
                .and_then(|here| full.strip_prefix(&here).ok().map(Utf8Path::to_owned))
                .unwrap_or(path);
            let source = Source { path: shown, text };
            ui.say(render(&source, &problems, ui.stderr_colour()).trim_end());
            Err(Failure::usage(format!(
                "`{}` has {}; nothing was run",
                source.path,
                wording::plural(problems.len(), "mistake")
            )))
        }
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
