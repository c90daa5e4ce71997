//! What is promised beyond the comparison, each beside what it is held against.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::measure::{self, Sample, measure};
use crate::numbers::{digits, grouped, median, ratio, time};
use crate::shape::{self, Shape};
use crate::tool::{Kind, bare};

type Failure = Box<dyn std::error::Error>;

const LIMIT: Duration = Duration::from_secs(900);

/// Which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// 50 tasks.
    Small,
    /// 10,000 tasks with a long past, and reports of them.
    Past,
    /// A task that writes a great deal.
    Output,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Small, Self::Past, Self::Output];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Past => "past",
            Self::Output => "output",
        }
    }
}

/// A promise and what was found.
struct Line {
    what: String,
    limit: Option<f64>,
    found: f64,
    show: fn(f64) -> String,
}

/// All lines so far.
#[derive(Default)]
pub struct Lines(Vec<Line>);

impl Lines {
    fn add(&mut self, what: impl Into<String>, limit: Option<f64>, found: f64, show: fn(f64) -> String) {
        let what = what.into();
        eprintln!("{what}: {}", show(found));
        self.0.push(Line { what, limit, found, show });
    }

    /// The table.
    pub fn markdown(&self) -> String {
        let mut out = String::from("| what | at most | found | |\n|---|---:|---:|---|\n");
        for line in &self.0 {
            let limit = line.limit.map_or_else(|| "-".to_owned(), line.show);
            let verdict = match line.limit {
                Some(limit) if line.found <= limit => "met",
                Some(_) => "**not met**",
                None => "",
            };
            let _ = writeln!(out, "| {} | {limit} | {} | {verdict} |", line.what, (line.show)(line.found));
        }
        out
    }

    /// For programs: seconds, MiB and ratios.
    pub fn json(&self) -> Json {
        let all = self.0.iter();
        all.map(|l| json!({ "what": l.what, "limit": l.limit, "found": l.found })).collect()
    }
}

fn times(ratio: f64) -> String {
    format!("{} times", digits(ratio))
}

fn mebibytes(mib: f64) -> String {
    format!("{} MiB", digits(mib))
}

/// What is measured, and with what.
pub struct Asked<'a> {
    /// Our program.
    pub xtask: &'a Path,
    /// Where the work is done.
    pub folder: &'a Path,
    /// Repetitions.
    pub repeat: usize,
    /// Tasks of the plan with a long past.
    pub tasks: usize,
    /// Old records that are added to it, at least.
    pub records: usize,
    /// Bytes that the task with much output writes.
    pub bytes: u64,
}

/// Measures a part.
pub fn run(part: Part, asked: &Asked, lines: &mut Lines) -> Result<(), Failure> {
    match part {
        Part::Small => small(asked, lines),
        Part::Past => past(asked, lines),
        Part::Output => output(asked, lines),
    }
}

fn ours(asked: &Asked, folder: &Path, words: &[&str]) -> Command {
    let mut command = bare(asked.xtask);
    command.args(words).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// One run that must succeed.
fn sample(command: &mut Command) -> Result<Sample, Failure> {
    let sample = measure(command, LIMIT)?;
    if sample.status.success() {
        Ok(sample)
    } else {
        Err(format!("{command:?} ended with {}", sample.status).into())
    }
}

fn samples(asked: &Asked, folder: &Path, words: &[&str], times: usize) -> Result<Vec<Sample>, Failure> {
    (0..times).map(|_| sample(&mut ours(asked, folder, words))).collect()
}

fn middle(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    median(&samples.iter().map(of).collect::<Vec<_>>()).unwrap_or(f64::NAN)
}

const NO_OP: [&str; 3] = ["bench", "-j", "2"];

fn small(asked: &Asked, lines: &mut Lines) -> Result<(), Failure> {
    let folder = asked.folder.join("small");
    shape::make_inputs(Shape::Layers, 50, &folder)?;
    Kind::Xtask.write_plan(Shape::Layers, 50, &folder)?;
    sample(&mut ours(asked, &folder, &NO_OP))?;
    shape::rest(50, &folder);
    sample(&mut ours(asked, &folder, &NO_OP))?;
    for (what, words) in [("no-op", &NO_OP[..]), ("`status`", &["status"][..])] {
        let samples = samples(asked, &folder, words, 4 * asked.repeat)?;
        lines.add(format!("50 tasks, {what}: CPU time"), Some(0.005), middle(&samples, Sample::cpu), time);
    }
    Ok(())
}

fn past(asked: &Asked, lines: &mut Lines) -> Result<(), Failure> {
    let folder = asked.folder.join("past");
    shape::make_inputs(Shape::Flat, asked.tasks, &folder)?;
    Kind::Xtask.write_plan(Shape::Flat, asked.tasks, &folder)?;
    sample(&mut ours(asked, &folder, &NO_OP))?;
    let settled = |asked: &Asked| -> Result<Vec<Sample>, Failure> {
        shape::rest(asked.tasks, &folder);
        sample(&mut ours(asked, &folder, &NO_OP))?;
        measure::settle();
        samples(asked, &folder, &NO_OP, asked.repeat)
    };
    let young = settled(asked)?;
    let ledger = folder.join(".xtask/ledger.jsonl");
    let count =
        || -> io::Result<usize> { Ok(fs::read(&ledger)?.iter().filter(|byte| **byte == b'\n').count()) };
    let begun = count()?;
    while count()? < begun + asked.records {
        eprintln!("{} records", grouped(count()?));
        sample(&mut ours(asked, &folder, &["bench", "-j", "2", "--force"]))?;
    }
    let old = settled(asked)?;
    let (tasks, records) = (grouped(asked.tasks), grouped(count()? - begun));
    for (by, of) in [("wall time", (|s| s.wall) as fn(&Sample) -> f64), ("CPU time", Sample::cpu)] {
        let found = middle(&old, of) / middle(&young, of);
        lines.add(
            format!("{tasks} tasks, no-op with {records} older records: {by}, of that without"),
            Some(1.2),
            found,
            times,
        );
    }
    for (format, limit) in [("markdown", 0.3), ("json", 0.3), ("html", 1.0)] {
        let words = ["report", "--format", format];
        let Ok(samples) = samples(asked, &folder, &words, asked.repeat) else {
            eprintln!("`report --format {format}` is left out: it fails");
            continue;
        };
        let what = format!("`report --format {format}` of {tasks} tasks and {} records", grouped(count()?));
        lines.add(format!("{what}: wall time"), Some(limit), middle(&samples, |s| s.wall), time);
        lines.add(format!("{what}: CPU time"), None, middle(&samples, Sample::cpu), time);
    }
    Ok(())
}

/// Writes lines of text, as fast as they are taken.
pub fn flood(bytes: u64) -> io::Result<()> {
    let mut block = Vec::with_capacity(1 << 16);
    for n in 0.. {
        let line = format!("{n:08} the quick brown fox jumps over the lazy dog, and then it does so again\n");
        if block.len() + line.len() > block.capacity() {
            break;
        }
        block.extend_from_slice(line.as_bytes());
    }
    let mut out = io::stdout().lock();
    let mut left = bytes;
    while left > 0 {
        let part = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        out.write_all(&block[..part])?;
        left -= part as u64;
    }
    Ok(())
}

fn output(asked: &Asked, lines: &mut Lines) -> Result<(), Failure> {
    let own = std::env::current_exe()?;
    let bytes = asked.bytes.to_string();
    let gigabytes = digits(asked.bytes as f64 / 1e9);
    let places = [("no secret", false), ("a secret to mask", true)];
    for (_, masks) in places {
        let folder = asked.folder.join(format!("output-{masks}"));
        fs::create_dir_all(&folder)?;
        let mut plan = BufWriter::new(File::create(folder.join("pipeline.toml"))?);
        writeln!(plan, "[pipeline]\nid = \"bench\"\ntitle = \"Bench\"")?;
        writeln!(
            plan,
            "[[phase]]\nid = \"all\"\ntitle = \"All\"\n[[phase.task]]\nid = \"t1\"\ntitle = \"Much output\""
        )?;
        writeln!(plan, "run = \"'{}' flood {bytes}\"\nalways = true", own.display())?;
        if masks {
            fs::write(folder.join("secrets.env"), "TOKEN=correct-horse-battery-staple\n")?;
            writeln!(plan, "env_file = \"secrets.env\"")?;
        }
        plan.flush()?;
    }
    let mut plain: Vec<Sample> = vec![];
    let mut found: [Vec<Sample>; 2] = [vec![], vec![]];
    for _ in 0..asked.repeat {
        let file = asked.folder.join("output-plain");
        let mut command = bare(&own);
        command.args(["flood", &bytes]).stdout(File::create(&file)?).stderr(Stdio::null());
        measure::settle();
        plain.push(sample(&mut command)?);
        fs::remove_file(&file)?;
        for (i, (_, masks)) in places.iter().enumerate() {
            let folder = asked.folder.join(format!("output-{masks}"));
            measure::settle();
            found[i].push(sample(&mut ours(asked, &folder, &NO_OP))?);
            fs::remove_dir_all(folder.join(".xtask"))?;
        }
    }
    let walls = |samples: &[Sample]| samples.iter().map(|s| s.wall).collect::<Vec<_>>();
    lines.add(
        format!("command that writes {gigabytes} GB into a file: wall time"),
        None,
        middle(&plain, |s| s.wall),
        time,
    );
    for (i, (what, masks)) in places.iter().enumerate() {
        let limit = |value: f64| (!masks).then_some(value);
        let of_plain = ratio(&walls(&found[i]), &walls(&plain)).unwrap_or(f64::NAN);
        lines.add(
            format!("task that writes {gigabytes} GB, {what}: wall time, of that"),
            limit(1.05),
            of_plain,
            times,
        );
        let cpu = |samples: &[Sample]| samples.iter().map(Sample::cpu).collect::<Vec<_>>();
        let of_plain = ratio(&cpu(&found[i]), &cpu(&plain)).unwrap_or(f64::NAN);
        lines.add(
            format!("task that writes {gigabytes} GB, {what}: CPU time, of that"),
            None,
            of_plain,
            times,
        );
        let peak = middle(&found[i], |s| s.rss as f64 / 1024.0);
        lines.add(
            format!("task that writes {gigabytes} GB, {what}: peak memory"),
            limit(32.0),
            peak,
            mebibytes,
        );
    }
    Ok(())
}
