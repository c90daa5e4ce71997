//! The comparison: every tool in turn, again and again, so that what the machine does besides hits all alike.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::measure::{self, Sample};
use crate::numbers::{digits, extremes, grouped, median, ratio, time};
use crate::shape::{self, Shape, State};
use crate::tool::{Kind, Tool, bare, which};

/// Sizes at which a tool that is slow at everything is still waited for.
const SLOW_UP_TO: usize = 1_000;

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Shapes.
    pub shapes: Vec<Shape>,
    /// Numbers of tasks.
    pub sizes: Vec<usize>,
    /// States.
    pub states: Vec<State>,
    /// Tools.
    pub tools: Vec<Kind>,
    /// Repetitions.
    pub repeat: usize,
    /// Tasks at the same time.
    pub jobs: usize,
    /// Our program.
    pub xtask: PathBuf,
    /// Where the work is done.
    pub folder: PathBuf,
    /// Where results are written.
    pub out: PathBuf,
    /// Time limit of one run.
    pub limit: Duration,
}

/// Everything that was measured of one tool in one place.
#[derive(Debug, Clone)]
pub struct Row {
    shape: Shape,
    size: usize,
    state: State,
    who: &'static str,
    samples: Vec<Sample>,
    /// Why there is nothing, or nothing that counts.
    note: Option<String>,
}

impl Row {
    fn walls(&self) -> Vec<f64> {
        self.samples.iter().map(|s| s.wall).collect()
    }

    fn cpus(&self) -> Vec<f64> {
        self.samples.iter().map(Sample::cpu).collect()
    }

    fn peaks(&self) -> Vec<f64> {
        self.samples.iter().map(|s| s.rss as f64 / 1024.0).collect()
    }
}

/// Who takes part: a tool, or the machine by itself.
enum Entrant {
    Tool(Tool),
    Floor,
}

const FLOOR: &str = "floor";

impl Entrant {
    fn name(&self) -> &'static str {
        match self {
            Self::Tool(tool) => tool.kind.name(),
            Self::Floor => FLOOR,
        }
    }

    fn leftovers(&self) -> &'static [&'static str] {
        match self {
            Self::Tool(tool) => tool.kind.leftovers(),
            Self::Floor => &[],
        }
    }

    fn declines(&self, shape: Shape, state: State, size: usize) -> Option<&'static str> {
        match self {
            Self::Tool(tool) => tool.kind.declines(shape, state).or_else(|| {
                let slow = matches!(tool.kind, Kind::Just | Kind::GoTask | Kind::Mise);
                (slow && size > SLOW_UP_TO).then_some("left out at this size: it would take minutes")
            }),
            Self::Floor if shape == Shape::Spawn && state != State::Cold => Some("there are no files"),
            Self::Floor => None,
        }
    }

    fn command(
        &self,
        asked: &Asked,
        shape: Shape,
        state: State,
        size: usize,
        folder: &Path,
    ) -> io::Result<Command> {
        match self {
            Self::Tool(tool) => Ok(tool.command(folder, asked.jobs)),
            Self::Floor => {
                let mut command = bare(&std::env::current_exe()?);
                command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
                let (n, jobs) = (size.to_string(), asked.jobs.to_string());
                match (state, shape) {
                    (State::Cold, Shape::Spawn) => command.args(["floor", "true", &n, &jobs]),
                    (State::Cold, _) => command.args(["floor", "cp", &n, &jobs]),
                    _ => command.args(["floor", "stat", &n, &jobs]),
                };
                Ok(command)
            }
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Results {
    rows: Vec<Row>,
    tools: Vec<(String, String)>,
    missing: Vec<String>,
    jobs: usize,
    repeat: usize,
    load: (String, String),
}

/// Measures everything that was asked for. `told` hears of each step.
pub fn run(asked: &Asked, told: &dyn Fn(&str)) -> io::Result<Results> {
    let mut entrants = vec![];
    let mut missing = vec![];
    let mut tools = vec![];
    for kind in &asked.tools {
        match Tool::find(*kind, &asked.xtask) {
            Ok(tool) => {
                tools.push((kind.name().to_owned(), tool.version.clone()));
                entrants.push(Entrant::Tool(tool));
            }
            Err(why) => {
                told(&format!("{} is left out: {why}", kind.name()));
                missing.push(format!("{}: {why}", kind.name()));
            }
        }
    }
    entrants.push(Entrant::Floor);
    let before = load();
    let mut rows = vec![];
    for shape in &asked.shapes {
        for size in &asked.sizes {
            rows.extend(place(asked, &entrants, *shape, *size, told)?);
        }
    }
    Ok(Results { rows, tools, missing, jobs: asked.jobs, repeat: asked.repeat, load: (before, load()) })
}

fn load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or("?").to_owned()
}

/// One shape at one size: all states, all tools, all repetitions.
fn place(
    asked: &Asked,
    entrants: &[Entrant],
    shape: Shape,
    size: usize,
    told: &dyn Fn(&str),
) -> io::Result<Vec<Row>> {
    // What is so large is only measured where nothing has to be done.
    let states: Vec<State> =
        asked.states.iter().copied().filter(|s| size < 100_000 || *s == State::NoOp).collect();
    let mut rows: Vec<Row> = vec![];
    for state in &states {
        for entrant in entrants {
            let note = entrant.declines(shape, *state, size).map(str::to_owned);
            rows.push(Row { shape, size, state: *state, who: entrant.name(), samples: vec![], note });
        }
    }
    let takes_part = |rows: &[Row], who: &str| rows.iter().any(|r| r.who == who && r.note.is_none());
    let folder = |who: &str| asked.folder.join(format!("{}-{size}-{who}", shape.name()));
    for entrant in entrants {
        if takes_part(&rows, entrant.name()) {
            let folder = folder(entrant.name());
            shape::make_inputs(shape, size, &folder)?;
            if let Entrant::Tool(tool) = entrant {
                tool.kind.write_plan(shape, size, &folder)?;
            }
        }
    }
    let cold = states.contains(&State::Cold);
    for round in 0..asked.repeat {
        told(&format!("{} {}: round {} of {}", shape.name(), grouped(size), round + 1, asked.repeat));
        for state in State::ALL {
            if !(states.contains(&state) || state == State::Cold && round == 0) {
                continue;
            }
            for i in 0..entrants.len() {
                // Nobody is always the first.
                let entrant = &entrants[(i + round) % entrants.len()];
                let who = entrant.name();
                let at = rows.iter().position(|r| r.who == who && r.state == state);
                let measured = at.is_some_and(|at| rows[at].note.is_none());
                // Where only a no-op is asked for, the work is done once all the same.
                let primes = state == State::Cold && !cold && takes_part(&rows, who);
                if !measured && !primes {
                    continue;
                }
                let outcome = one(asked, entrant, shape, size, state, round, &folder(who))?;
                match (outcome, at) {
                    (Ok(sample), Some(at)) if measured => rows[at].samples.push(sample),
                    (Ok(_), _) => {}
                    (Err(why), _) => {
                        told(&format!("{who}, {} {size}, {}: {why}", shape.name(), state.name()));
                        // What comes after it stands on it.
                        for row in rows.iter_mut().filter(|r| r.who == who && r.note.is_none()) {
                            row.note = Some(why.clone());
                        }
                    }
                }
            }
        }
    }
    for entrant in entrants {
        let _ = fs::remove_dir_all(folder(entrant.name()));
    }
    Ok(rows)
}

/// One run of one tool, and whether it did what it should.
fn one(
    asked: &Asked,
    entrant: &Entrant,
    shape: Shape,
    size: usize,
    state: State,
    round: usize,
    folder: &Path,
) -> io::Result<Result<Sample, String>> {
    let run = |state| measure::measure(&mut entrant.command(asked, shape, state, size, folder)?, asked.limit);
    match state {
        State::Cold => shape::clean(folder, entrant.leftovers())?,
        // What a tool notes down once after the work is not counted.
        State::NoOp => {
            shape::rest(size, folder);
            run(state)?;
        }
        State::OneChanged => shape::change(size, folder, round)?,
    }
    let before = if shape.has_files() { shape::written(size, folder) } else { vec![] };
    measure::settle();
    let forks = measure::forks();
    let sample = run(state)?;
    let forks = measure::forks() - forks;
    if !sample.status.success() {
        return Ok(Err(format!("ended with {}", sample.status)));
    }
    let floor = matches!(entrant, Entrant::Floor);
    let expected = match state {
        State::Cold => size,
        State::NoOp => 0,
        State::OneChanged => 1,
    };
    let wrong = if !shape.has_files() {
        // Others start processes too, so this only finds what was certainly not done.
        (state == State::Cold && forks < size as u64).then(|| format!("only {forks} processes were started"))
    } else if floor && state != State::Cold {
        None
    } else {
        shape::mistake(size, folder, &before, expected)
    };
    if floor && state == State::OneChanged {
        // The floor only asks; the change is carried out for the next round.
        fs::copy(folder.join(format!("in/{size}.txt")), folder.join(format!("out/{size}.txt")))?;
    }
    Ok(wrong.map_or(Ok(sample), Err))
}

/// A goal, and what was measured of it.
struct Goal {
    what: String,
    limit: f64,
    found: Option<f64>,
    /// The same by CPU time, where it is about time: steadier on a machine that does other things too.
    by_cpu: Option<f64>,
}

impl Results {
    fn find(&self, shape: Shape, size: usize, state: State, who: &str) -> Option<&Row> {
        let row = self
            .rows
            .iter()
            .find(|r| r.shape == shape && r.size == size && r.state == state && r.who == who)?;
        (row.note.is_none() && !row.samples.is_empty()).then_some(row)
    }

    fn compare(
        &self,
        (shape, size, state): (Shape, usize, State),
        to: &str,
        by: fn(&Row) -> Vec<f64>,
    ) -> Option<f64> {
        let ours = self.find(shape, size, state, Kind::Xtask.name())?;
        ratio(&by(ours), &by(self.find(shape, size, state, to)?))
    }

    fn goals(&self) -> Vec<Goal> {
        let mut out = vec![];
        for state in [State::NoOp, State::OneChanged] {
            let flat = |size| (Shape::Flat, size, state);
            let name = state.name();
            out.push(Goal {
                what: format!("flat, 10,000, {name}: wall time, of make's"),
                limit: 1.0,
                found: self.compare(flat(10_000), "make", Row::walls),
                by_cpu: self.compare(flat(10_000), "make", Row::cpus),
            });
            out.push(Goal {
                what: format!("flat, 10,000, {name}: wall time, of ninja's"),
                limit: 1.0,
                found: self.compare(flat(10_000), "ninja", Row::walls),
                by_cpu: self.compare(flat(10_000), "ninja", Row::cpus),
            });
            out.push(Goal {
                what: format!("flat, 1,000, {name}: wall time, of make's"),
                limit: 1.5,
                found: self.compare(flat(1_000), "make", Row::walls),
                by_cpu: self.compare(flat(1_000), "make", Row::cpus),
            });
            out.push(Goal {
                what: format!("flat, 10,000, {name}: memory, of ninja's"),
                limit: 4.0,
                found: self.compare(flat(10_000), "ninja", Row::peaks),
                by_cpu: None,
            });
        }
        for shape in [Shape::Flat, Shape::Spawn] {
            out.push(Goal {
                what: format!("{}, 10,000, cold: wall time, of make's", shape.name()),
                limit: 1.1,
                found: self.compare((shape, 10_000, State::Cold), "make", Row::walls),
                by_cpu: self.compare((shape, 10_000, State::Cold), "make", Row::cpus),
            });
        }
        let per_task = |size: usize, by: fn(&Row) -> Vec<f64>| {
            let row = self.find(Shape::Flat, size, State::NoOp, Kind::Xtask.name())?;
            Some(median(&by(row))? / size as f64)
        };
        let growth = |by| per_task(100_000, by).zip(per_task(1_000, by)).map(|(large, small)| large / small);
        out.push(Goal {
            what: "flat, no-op: wall time per task at 100,000, of that at 1,000".to_owned(),
            limit: 1.2,
            found: growth(Row::walls),
            by_cpu: growth(Row::cpus),
        });
        out.retain(|goal| goal.found.is_some());
        out
    }

    /// All of it, sample by sample.
    pub fn json(&self) -> Json {
        let rows: Vec<Json> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "shape": row.shape.name(), "tasks": row.size, "state": row.state.name(), "tool": row.who,
                    "note": row.note,
                    "wall_seconds": row.walls(),
                    "user_seconds": row.samples.iter().map(|s| s.user).collect::<Vec<_>>(),
                    "system_seconds": row.samples.iter().map(|s| s.system).collect::<Vec<_>>(),
                    "peak_kib": row.samples.iter().map(|s| s.rss).collect::<Vec<_>>(),
                })
            })
            .collect();
        let goals: Vec<Json> = self
            .goals()
            .iter()
            .map(|g| json!({ "what": g.what, "limit": g.limit, "found": g.found, "by_cpu": g.by_cpu }))
            .collect();
        json!({
            "machine": crate::machine::describe(),
            "jobs": self.jobs, "repetitions": self.repeat,
            "load_before": self.load.0, "load_after": self.load.1,
            "tools": self.tools.iter().map(|(k, v)| json!({ "tool": k, "version": v })).collect::<Vec<_>>(),
            "left_out": self.missing,
            "measuring_program_peak_kib": measure::own_peak(),
            "goals": goals,
            "rows": rows,
        })
    }

    /// The tables.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "{}\n", crate::machine::sentence());
        let tools: Vec<String> =
            self.tools.iter().map(|(name, version)| format!("{name} ({version})")).collect();
        let _ = writeln!(out, "Tools: {}.", tools.join(", "));
        for missing in &self.missing {
            let _ = writeln!(out, "Left out: {missing}.");
        }
        let _ = writeln!(
            out,
            "{} repetitions in turn, `-j{}`; load average {} before and {} after.\n",
            self.repeat, self.jobs, self.load.0, self.load.1
        );
        self.one_table(&mut out, "Wall time: median (smallest to largest)", &|row| {
            let (low, high) = extremes(&row.walls());
            format!("{} ({} to {})", time(median(&row.walls()).unwrap_or(0.0)), time(low), time(high))
        });
        self.one_table(&mut out, "CPU time of the tool and all that it started: median", &|row| {
            time(median(&row.cpus()).unwrap_or(0.0))
        });
        self.one_table(&mut out, "Peak memory of the largest process: median", &|row| {
            format!("{} MiB", digits(median(&row.peaks()).unwrap_or(0.0)))
        });
        let goals = self.goals();
        if !goals.is_empty() {
            let _ = writeln!(
                out,
                "### Goals\n\n| goal | at most | found | by CPU time | |\n|---|---:|---:|---:|---|"
            );
            for goal in goals {
                let found = goal.found.unwrap_or(f64::NAN);
                let met = if found <= goal.limit { "met" } else { "**not met**" };
                let cpu = goal.by_cpu.map_or_else(|| "-".to_owned(), digits);
                let (limit, found) = (digits(goal.limit), digits(found));
                let _ = writeln!(out, "| {} | {limit} | {found} | {cpu} | {met} |", goal.what);
            }
            out.push('\n');
        }
        let mut notes: Vec<String> = vec![];
        for row in &self.rows {
            let Some(why) = &row.note else { continue };
            let note = format!("{}, {}, {}: {why}", row.who, row.shape.name(), row.state.name());
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        if !notes.is_empty() {
            let _ = writeln!(out, "Where there is a dash:\n");
            for note in notes {
                let _ = writeln!(out, "- {note}");
            }
        }
        out
    }

    fn one_table(&self, out: &mut String, title: &str, cell: &dyn Fn(&Row) -> String) {
        let mut names: Vec<&str> = vec![];
        let mut places: Vec<(Shape, usize, State)> = vec![];
        for row in &self.rows {
            if !names.contains(&row.who) {
                names.push(row.who);
            }
            if !places.contains(&(row.shape, row.size, row.state)) {
                places.push((row.shape, row.size, row.state));
            }
        }
        let _ = writeln!(out, "### {title}\n");
        let _ = writeln!(out, "| shape | tasks | state | {} |", names.join(" | "));
        let _ = writeln!(out, "|---|---:|---|{}", "---:|".repeat(names.len()));
        for (shape, size, state) in places {
            let cells: Vec<String> = names
                .iter()
                .map(|who| self.find(shape, size, state, who).map_or_else(|| "-".to_owned(), cell))
                .collect();
            if cells.iter().any(|c| c != "-") {
                let _ = writeln!(
                    out,
                    "| {} | {} | {} | {} |",
                    shape.name(),
                    grouped(size),
                    state.name(),
                    cells.join(" | ")
                );
            }
        }
        out.push('\n');
    }
}

/// The floor of one place, in this process: see [`crate::floor`].
pub fn floor(what: &str, n: usize, jobs: usize) -> io::Result<()> {
    let program = |name: &str| {
        which(name)
            .map(|p| p.display().to_string())
            .ok_or_else(|| io::Error::other(format!("`{name}` is not here")))
    };
    match what {
        "stat" => crate::floor::stat(n),
        "cp" => crate::floor::spawn(&program("cp")?, n, jobs, true),
        _ => crate::floor::spawn("/bin/true", n, jobs, false),
    }
}
