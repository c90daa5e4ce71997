//! How many instructions the same runs take, by callgrind: a number that does not depend on what else the machine does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value as Json, json};

use crate::numbers::grouped;
use crate::shape::{self, Shape};
use crate::tool::{Kind, bare, which};

/// How much more than what is kept is still taken for the same: hash tables are seeded anew in each process.
const TOLERANCE: f64 = 0.01;

/// What is counted: a name, the tasks, and what is said to our program.
const PLACES: [(&str, Shape, usize, &[&str]); 4] = [
    ("no-op of 1,000 flat tasks", Shape::Flat, 1_000, &["bench", "-j", "2"]),
    ("status of 1,000 flat tasks", Shape::Flat, 1_000, &["status"]),
    ("no-op of 50 tasks in layers", Shape::Layers, 50, &["bench", "-j", "2"]),
    ("status of 50 tasks in layers", Shape::Layers, 50, &["status"]),
];

type Failure = Box<dyn std::error::Error>;

fn kept_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json")
}

/// Counts, and compares with what is kept, or keeps it. False if something has grown.
pub fn run(xtask: &Path, accept: bool) -> Result<bool, Failure> {
    let valgrind = which("valgrind").ok_or("`valgrind` is not on PATH; it is a package of that name")?;
    let text = fs::read_to_string(kept_file()).unwrap_or_else(|_| "{}".to_owned());
    let kept: Map<String, Json> = serde_json::from_str(&text)?;
    let mut counted = Map::new();
    let mut holds = true;
    println!("| what | instructions | kept | change | |\n|---|---:|---:|---:|---|");
    for (name, shape, n, words) in PLACES {
        let now = count(&valgrind, xtask, shape, n, words)?;
        counted.insert(name.to_owned(), json!(now));
        let Some(then) = kept.get(name).and_then(Json::as_u64) else {
            println!("| {name} | {} | - | - | new |", grouped(now as usize));
            holds = false;
            continue;
        };
        let change = now as f64 / then as f64 - 1.0;
        let verdict = match change {
            c if c > TOLERANCE => "**grown**",
            c if c < -TOLERANCE => "less: worth keeping",
            _ => "the same",
        };
        holds &= change <= TOLERANCE;
        println!(
            "| {name} | {} | {} | {:+.1} % | {verdict} |",
            grouped(now as usize),
            grouped(then as usize),
            change * 100.0
        );
    }
    if accept {
        fs::write(kept_file(), format!("{}\n", serde_json::to_string_pretty(&counted)?))?;
        println!("\nkept in bench/instructions.json");
        return Ok(true);
    }
    if !holds {
        println!(
            "\nmore than {} % above what bench/instructions.json keeps, or not kept at all: find what costs it \
             (`callgrind_annotate --inclusive=yes`), or keep the new numbers with `bench instructions --accept` and say why in \
             the commit",
            TOLERANCE * 100.0
        );
    }
    Ok(holds)
}

fn count(valgrind: &Path, xtask: &Path, shape: Shape, n: usize, words: &[&str]) -> Result<u64, Failure> {
    // Always the same place: paths are part of what is read and compared.
    let folder = std::env::temp_dir().join("xtask-bench-instructions");
    let _ = fs::remove_dir_all(&folder);
    shape::make_inputs(shape, n, &folder)?;
    Kind::Xtask.write_plan(shape, n, &folder)?;
    // Once to do the work, once for what is noted down afterwards.
    for _ in 0..2 {
        shape::rest(n, &folder);
        let mut prime = bare(xtask);
        prime.args(["bench", "-j", "2"]).current_dir(&folder).stdout(Stdio::null()).stderr(Stdio::null());
        if !prime.status()?.success() {
            return Err("the plan could not be carried out".into());
        }
    }
    let told = callgrind(valgrind, xtask, words, &folder)?;
    fs::remove_dir_all(&folder)?;
    let collected = told.lines().find_map(|l| l.split_once("Collected :"));
    let number = collected.and_then(|(_, n)| n.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| format!("callgrind did not say what it counted:\n{told}").into())
}

fn callgrind(valgrind: &Path, xtask: &Path, words: &[&str], folder: &Path) -> Result<String, Failure> {
    let mut command: Command = bare(valgrind);
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--"]).arg(xtask).args(words);
    let output = command.current_dir(folder).stdin(Stdio::null()).output()?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(told) } else { Err(told.into()) }
}
