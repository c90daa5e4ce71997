//! What the first user waits for: `cargo xtask doctor` in a fresh clone, with the crates downloaded and nothing built.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use crate::measure::measure;
use crate::numbers::{digits, time};

type Failure = Box<dyn std::error::Error>;

/// Where each call of the compiler notes its cost. Set means: this program stands in front of the compiler.
const NOTES: &str = "XTASK_BENCH_COMPILER_NOTES";

/// How long a build may take.
const LIMIT: Duration = Duration::from_secs(3_600);

/// Calls the compiler and notes what that took, if this program is there for that.
pub fn as_compiler(words: &[String]) -> Option<ExitCode> {
    let notes = std::env::var_os(NOTES)?;
    let (compiler, words) = words.split_first()?;
    let mut command = Command::new(compiler);
    command.args(words);
    let sample = measure(&mut command, LIMIT).ok()?;
    let name = words.iter().position(|w| w == "--crate-name").and_then(|at| words.get(at + 1));
    if let Some(name) = name.filter(|name| *name != "___") {
        let line = format!("{name} {} {}\n", sample.user, sample.system);
        let file = fs::OpenOptions::new().create(true).append(true).open(notes);
        // One call: compilers run side by side.
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
    let code = sample.status.code().and_then(|code| u8::try_from(code).ok());
    Some(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Builds in a clone of the repository's last commit and prints what that took, by crate.
pub fn run(root: &Path, folder: &Path) -> Result<(), Failure> {
    let clone = folder.join("clone");
    let target = folder.join("target");
    let notes: PathBuf = folder.join("compilers");
    let quiet = |command: &mut Command| -> Result<(), Failure> {
        let status = command.stdin(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(format!("{command:?} failed").into()) }
    };
    quiet(Command::new("git").args(["clone", "--quiet", "--no-hardlinks"]).arg(root).arg(&clone))?;
    quiet(Command::new("cargo").args(["fetch", "--locked", "--quiet"]).current_dir(&clone))?;
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut doctor = Command::new("cargo");
    doctor.args(["xtask", "doctor"]).current_dir(&clone).stdout(Stdio::null());
    doctor.env("CARGO_TARGET_DIR", &target).env("RUSTC_WRAPPER", std::env::current_exe()?).env(NOTES, &notes);
    let first = measure(&mut doctor, LIMIT)?;
    let mut crates: BTreeMap<String, f64> = BTreeMap::new();
    for line in fs::read_to_string(&notes)?.lines() {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default().to_owned();
        *crates.entry(name).or_default() += words.filter_map(|n| n.parse::<f64>().ok()).sum::<f64>();
    }
    println!(
        "{} Load average at the start: {}.\n",
        crate::machine::sentence(),
        load.split(' ').next().unwrap_or("?")
    );
    println!(
        "First `cargo xtask doctor`: {} on the clock, {} of CPU ({} if two cores had nothing else to do).\n",
        time(first.wall),
        time(first.cpu()),
        time(first.cpu() / 2.0)
    );
    let total: f64 = crates.values().sum();
    println!("| crate | CPU, with its build script | of all |\n|---|---:|---:|");
    let mut sorted: Vec<_> = crates.into_iter().collect();
    sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (name, cpu) in &sorted {
        println!("| {name} | {} | {} % |", time(*cpu), digits(cpu / total * 100.0));
    }
    Ok(())
}
