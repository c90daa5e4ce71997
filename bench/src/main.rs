//! Measures xtask beside other runners. README.md in this folder says what and how.

mod first_build;
mod floor;
mod instructions;
mod ledger;
mod limits;
mod machine;
mod measure;
mod numbers;
mod shape;
mod table;
mod tool;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use shape::{Shape, State};
use table::Asked;
use tool::Kind;

const USAGE: &str = "usage: bench [table] [OPTIONS]
       bench generate SHAPE TASKS TOOL FOLDER    what TOOL is given, to look at or to profile
       bench instructions [--accept] [--xtask PATH]   counts instructions and compares them with those kept
       bench ledger PATH [--run ID] [--jobs N]   a recorded run beside its own critical path
       bench first-build [--folder PATH]         a build from nothing, by crate
       bench limits [--parts LIST] [OPTIONS]     small plans, long pasts, reports, much output

Options of `limits`:
  --parts LIST    small, past, output; default: all
  --tasks N       of the plan with a long past; default: 10000
  --records N     older records that it gets; default: 100000
  --bytes N       what the task with much output writes; default: 2000000000
  --repeat N, --xtask PATH, --folder PATH, --out PATH   as for `table`

Options of `table`:
  --shapes LIST   flat, chain, layers, spawn; default: all
  --sizes LIST    numbers of tasks; default: 100,1000,10000; at 100000 only the no-op is measured
  --states LIST   cold, no-op, one-changed; default: all
  --tools LIST    xtask, ninja, make, just, go-task, mise; default: all that are on PATH
  --repeat N      repetitions; default: 5
  --jobs N        tasks at the same time; default: 2
  --xtask PATH    our program; default: it is built
  --folder PATH   where the work is done; default: a folder among the temporary ones
  --out PATH      folder for table.md and table.json; default: bench/target/results
  --limit SECONDS time limit of one run; default: 600
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = first_build::as_compiler(&words) {
        return code;
    }
    match run(words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn run(mut words: Vec<String>) -> Result<ExitCode, Failure> {
    let command = match words.first() {
        Some(word) if !word.starts_with('-') => words.remove(0),
        _ => "table".to_owned(),
    };
    match command.as_str() {
        "table" => compare(Options(words)),
        "instructions" => {
            let accept = words.iter().position(|w| w == "--accept").map(|at| words.remove(at)).is_some();
            let mut options = Options(words);
            let xtask = ours(&mut options)?;
            options.end()?;
            Ok(if instructions::run(&xtask, accept)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        "ledger" => {
            let mut options = Options(words);
            let (run, jobs) = (options.take("--run")?, options.number("--jobs", 2)?);
            let path = options.0.pop().ok_or(USAGE)?;
            options.end()?;
            ledger::tell(Path::new(&path), run.as_deref(), jobs)?;
            Ok(ExitCode::SUCCESS)
        }
        "first-build" => {
            let mut options = Options(words);
            let folder = work_folder(&mut options)?;
            options.end()?;
            let built = first_build::run(&here().join(".."), &folder);
            let _ = std::fs::remove_dir_all(&folder);
            built?;
            Ok(ExitCode::SUCCESS)
        }
        "limits" => limit(Options(words)),
        "flood" => {
            limits::flood(words.first().and_then(|w| w.parse().ok()).ok_or(USAGE)?)?;
            Ok(ExitCode::SUCCESS)
        }
        "generate" => generate(&words),
        "floor" => {
            let number = |i: usize| words.get(i).and_then(|w| w.parse().ok()).ok_or(USAGE);
            table::floor(&words[0], number(1)?, number(2)?)?;
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(USAGE.into()),
    }
}

/// Words of the command line that are not yet understood.
struct Options(Vec<String>);

impl Options {
    fn take(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let Some(at) = self.0.iter().position(|w| w == name) else { return Ok(None) };
        if at + 1 >= self.0.len() {
            return Err(format!("`{name}` needs a value\n{USAGE}").into());
        }
        let value = self.0.remove(at + 1);
        self.0.remove(at);
        Ok(Some(value))
    }

    fn number(&mut self, name: &str, default: usize) -> Result<usize, Failure> {
        let Some(text) = self.take(name)? else { return Ok(default) };
        text.parse().map_err(|_| format!("`{name} {text}` is no number").into())
    }

    /// A list of names, each looked up among `all`.
    fn list<T: Copy>(&mut self, name: &str, all: &[T], of: fn(T) -> &'static str) -> Result<Vec<T>, Failure> {
        let Some(text) = self.take(name)? else { return Ok(all.to_vec()) };
        let find = |word: &str| {
            let found = all.iter().copied().find(|one| of(*one) == word);
            found.ok_or_else(|| Failure::from(format!("`{name}` does not know `{word}`\n{USAGE}")))
        };
        text.split(',').map(find).collect()
    }

    fn end(self) -> Result<(), Failure> {
        match self.0.first() {
            Some(word) => Err(format!("what is `{word}`?\n{USAGE}").into()),
            None => Ok(()),
        }
    }
}

fn named<T: Copy>(word: Option<&String>, all: &[T], of: fn(T) -> &'static str) -> Result<T, Failure> {
    let found = all.iter().copied().find(|one| word.is_some_and(|w| w == of(*one)));
    found.ok_or_else(|| USAGE.into())
}

fn generate(words: &[String]) -> Result<ExitCode, Failure> {
    let shape = named(words.first(), &Shape::ALL, Shape::name)?;
    let n = words.get(1).and_then(|w| w.parse().ok()).ok_or(USAGE)?;
    let tool = named(words.get(2), &Kind::ALL, Kind::name)?;
    let folder = Path::new(words.get(3).ok_or(USAGE)?);
    shape::make_inputs(shape, n, folder)?;
    tool.write_plan(shape, n, folder)?;
    Ok(ExitCode::SUCCESS)
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Our program: the one that is named, or the one of this repository, built as it is measured.
fn ours(options: &mut Options) -> Result<PathBuf, Failure> {
    if let Some(path) = options.take("--xtask")? {
        return Ok(std::fs::canonicalize(&path).map_err(|e| format!("`{path}`: {e}"))?);
    }
    let root = here().join("..");
    let mut build = Command::new("cargo");
    build.args(["build", "--quiet", "--release", "--package", "xtask", "--bin", "xtask"]).current_dir(&root);
    if !build.status()?.success() {
        return Err("xtask could not be built".into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(std::fs::canonicalize(target.join("release/xtask"))?)
}

fn work_folder(options: &mut Options) -> Result<PathBuf, Failure> {
    let folder = options.take("--folder")?.map_or_else(
        || std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id())),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::canonicalize(folder)?)
}

fn out_folder(options: &mut Options) -> Result<PathBuf, Failure> {
    let out = options.take("--out")?.map_or_else(|| here().join("target/results"), PathBuf::from);
    std::fs::create_dir_all(&out)?;
    Ok(out)
}

fn limit(mut options: Options) -> Result<ExitCode, Failure> {
    let parts = options.list("--parts", &limits::Part::ALL, limits::Part::name)?;
    let xtask = ours(&mut options)?;
    let folder = work_folder(&mut options)?;
    let out = out_folder(&mut options)?;
    let asked = limits::Asked {
        xtask: &xtask,
        folder: &folder,
        repeat: options.number("--repeat", 5)?,
        tasks: options.number("--tasks", 10_000)?,
        records: options.number("--records", 100_000)?,
        bytes: options.number("--bytes", 2_000_000_000)? as u64,
    };
    options.end()?;
    let mut lines = limits::Lines::default();
    let measured = parts.iter().try_for_each(|part| limits::run(*part, &asked, &mut lines));
    let _ = std::fs::remove_dir_all(&folder);
    measured?;
    std::fs::write(out.join("limits.md"), lines.markdown())?;
    std::fs::write(out.join("limits.json"), serde_json::to_string_pretty(&lines.json())?)?;
    println!("{}\n\n{}", machine::sentence(), lines.markdown());
    Ok(ExitCode::SUCCESS)
}

fn compare(mut options: Options) -> Result<ExitCode, Failure> {
    let sizes = options.take("--sizes")?.unwrap_or_else(|| "100,1000,10000".to_owned());
    let sizes: Result<Vec<usize>, _> = sizes.split(',').map(str::parse).collect();
    let asked = Asked {
        shapes: options.list("--shapes", &Shape::ALL, Shape::name)?,
        sizes: sizes.map_err(|e| format!("`--sizes`: {e}"))?,
        states: options.list("--states", &State::ALL, State::name)?,
        tools: options.list("--tools", &Kind::ALL, Kind::name)?,
        repeat: options.number("--repeat", 5)?,
        jobs: options.number("--jobs", 2)?,
        xtask: ours(&mut options)?,
        folder: work_folder(&mut options)?,
        out: out_folder(&mut options)?,
        limit: Duration::from_secs(options.number("--limit", 600)? as u64),
    };
    options.end()?;
    let results = table::run(&asked, &|line| eprintln!("{line}"));
    let _ = std::fs::remove_dir_all(&asked.folder);
    let results = results?;
    let markdown = results.markdown();
    std::fs::write(asked.out.join("table.md"), &markdown)?;
    std::fs::write(asked.out.join("table.json"), serde_json::to_string_pretty(&results.json())?)?;
    println!("{markdown}");
    Ok(ExitCode::SUCCESS)
}
