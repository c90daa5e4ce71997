//! The tools that are compared, and how each is told what to do: as its users would, at its best.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::shape::{Shape, State};

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Ours.
    Xtask,
    /// Ninja. It starts every command through `/bin/sh`.
    Ninja,
    /// GNU make, without its built-in rules. It starts simple commands itself.
    Make,
    /// just. It has no notion of being up to date and starts one command at a time, through `sh`.
    Just,
    /// Task (go-task), with its own checksums and its own shell interpreter.
    GoTask,
    /// mise, by modification times, through `sh`.
    Mise,
}

/// A tool that is on this machine.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Which one.
    pub kind: Kind,
    /// Its program.
    pub program: PathBuf,
    /// What it says of its version.
    pub version: String,
}

impl Kind {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 6] = [Self::Xtask, Self::Ninja, Self::Make, Self::Just, Self::GoTask, Self::Mise];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xtask => "xtask",
            Self::Ninja => "ninja",
            Self::Make => "make",
            Self::Just => "just",
            Self::GoTask => "go-task",
            Self::Mise => "mise",
        }
    }

    /// Its program, as it is looked up on PATH.
    fn program(self) -> &'static str {
        match self {
            Self::GoTask => "task",
            _ => self.name(),
        }
    }

    /// Why it is not asked for something, if it is not.
    pub fn declines(self, shape: Shape, state: State) -> Option<&'static str> {
        match (self, shape, state) {
            (_, Shape::Spawn, State::OneChanged) => Some("there is no input"),
            (Self::Xtask, _, _) => None,
            (_, Shape::Spawn, State::NoOp) => Some("without files it is never up to date"),
            (Self::Just, _, State::NoOp | State::OneChanged) => Some("it is never up to date"),
            _ => None,
        }
    }

    /// What it leaves beside the outputs.
    pub fn leftovers(self) -> &'static [&'static str] {
        match self {
            Self::Xtask => &[".xtask"],
            Self::Ninja => &[".ninja_log", ".ninja_deps"],
            Self::Make | Self::Just => &[],
            Self::GoTask => &[".task"],
            Self::Mise => &[".mise-data", ".mise-state", ".mise-cache"],
        }
    }

    /// Writes the file that tells it what to do.
    pub fn write_plan(self, shape: Shape, n: usize, folder: &Path) -> io::Result<()> {
        let name = match self {
            Self::Xtask => "pipeline.toml",
            Self::Ninja => "build.ninja",
            Self::Make => "Makefile",
            Self::Just => "justfile",
            Self::GoTask => "Taskfile.yml",
            Self::Mise => "mise.toml",
        };
        let mut out = BufWriter::new(File::create(folder.join(name))?);
        let head = match self {
            Self::Xtask => {
                "[pipeline]\nid = \"bench\"\ntitle = \"Bench\"\n\n[[phase]]\nid = \"all\"\ntitle = \"All\"\n"
            }
            Self::Ninja => "rule cp\n  command = cp $in $out\nrule true\n  command = /bin/true\n",
            Self::Make => "MAKEFLAGS += -rR\n",
            Self::Just => "",
            Self::GoTask => "version: '3'\nsilent: true\nrun: once\ntasks:\n",
            Self::Mise => "",
        };
        out.write_all(head.as_bytes())?;
        // Make takes the first target, so what stands for everything comes first there.
        if self == Self::Make {
            list(&mut out, "all:", n, |i| make_target(shape, i))?;
            if shape == Shape::Spawn {
                list(&mut out, ".PHONY: all", n, |i| make_target(shape, i))?;
            }
        }
        for i in 1..=n {
            self.write_task(shape, n, i, &mut out)?;
        }
        match self {
            Self::Xtask | Self::Make => {}
            Self::Ninja if shape == Shape::Spawn => {
                list(&mut out, "build all: phony", n, |i| format!("t{i}"))?;
            }
            Self::Ninja => list(&mut out, "build all: phony", n, |i| format!("out/{i}.txt"))?,
            Self::Just => list(&mut out, "all:", n, |i| format!("t{i}"))?,
            Self::GoTask => {
                out.write_all(b"  default:\n    deps:\n")?;
                (1..=n).try_for_each(|i| writeln!(out, "      - t{i}"))?;
            }
            Self::Mise => {
                out.write_all(b"[tasks.all]\ndepends = [")?;
                (1..=n).try_for_each(|i| write!(out, "\"t{i}\","))?;
                out.write_all(b"]\n")?;
            }
        }
        out.flush()
    }

    fn write_task(self, shape: Shape, n: usize, i: usize, out: &mut impl io::Write) -> io::Result<()> {
        let needs = shape.needs(n, i);
        let joined = |separator: &str, one: &dyn Fn(usize) -> String| {
            needs.iter().map(|j| one(*j)).collect::<Vec<_>>().join(separator)
        };
        let quoted = |j: usize| format!("\"t{j}\"");
        let target = |j: usize| format!("t{j}");
        let output = |j: usize| format!("out/{j}.txt");
        let files = shape.has_files();
        match self {
            Self::Xtask => {
                writeln!(out, "\n[[phase.task]]\nid = \"t{i}\"\ntitle = \"Task {i}\"")?;
                if !needs.is_empty() {
                    writeln!(out, "needs = [{}]", joined(", ", &quoted))?;
                }
                if files {
                    writeln!(out, "inputs = [\"in/{i}.txt\"]\nartifacts = [\"out/{i}.txt\"]")?;
                    writeln!(out, "run = \"cp in/{i}.txt out/{i}.txt\"")
                } else {
                    writeln!(out, "run = \"/bin/true\"")
                }
            }
            Self::Ninja if files => {
                let after =
                    if needs.is_empty() { String::new() } else { format!(" | {}", joined(" ", &output)) };
                writeln!(out, "build out/{i}.txt: cp in/{i}.txt{after}")
            }
            Self::Ninja => writeln!(out, "build t{i}: true"),
            Self::Make if files => {
                writeln!(out, "out/{i}.txt: in/{i}.txt {}\n\tcp in/{i}.txt out/{i}.txt", joined(" ", &output))
            }
            Self::Make => writeln!(out, "t{i}:\n\t/bin/true"),
            Self::Just => {
                let command =
                    if files { format!("cp in/{i}.txt out/{i}.txt") } else { "/bin/true".to_owned() };
                writeln!(out, "t{i}: {}\n    @{command}\n", joined(" ", &target))
            }
            Self::GoTask => {
                writeln!(out, "  t{i}:")?;
                if !needs.is_empty() {
                    writeln!(out, "    deps: [{}]", joined(", ", &target))?;
                }
                if files {
                    let after = needs.iter().map(|j| format!(", out/{j}.txt")).collect::<String>();
                    writeln!(out, "    sources: [in/{i}.txt{after}]\n    generates: [out/{i}.txt]")?;
                    writeln!(out, "    cmds: [cp in/{i}.txt out/{i}.txt]")
                } else {
                    writeln!(out, "    cmds: [/bin/true]")
                }
            }
            Self::Mise => {
                writeln!(out, "[tasks.t{i}]")?;
                if !needs.is_empty() {
                    writeln!(out, "depends = [{}]", joined(", ", &quoted))?;
                }
                if files {
                    let after = needs.iter().map(|j| format!(", \"out/{j}.txt\"")).collect::<String>();
                    writeln!(out, "sources = [\"in/{i}.txt\"{after}]\noutputs = [\"out/{i}.txt\"]")?;
                    writeln!(out, "run = \"cp in/{i}.txt out/{i}.txt\"")
                } else {
                    writeln!(out, "run = \"/bin/true\"")
                }
            }
        }
    }
}

fn make_target(shape: Shape, i: usize) -> String {
    if shape.has_files() { format!("out/{i}.txt") } else { format!("t{i}") }
}

fn list(out: &mut impl io::Write, head: &str, n: usize, one: impl Fn(usize) -> String) -> io::Result<()> {
    out.write_all(head.as_bytes())?;
    (1..=n).try_for_each(|i| write!(out, " {}", one(i)))?;
    out.write_all(b"\n\n")
}

impl Tool {
    /// Finds a tool, or says why it is left out.
    pub fn find(kind: Kind, ours: &Path) -> Result<Self, String> {
        let program = if kind == Kind::Xtask { Some(ours.to_owned()) } else { which(kind.program()) };
        let program = program.ok_or_else(|| format!("`{}` is not on PATH", kind.program()))?;
        let mut command = Command::new(&program);
        let told = command.arg("--version").stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        let version = text.lines().next().unwrap_or_default().trim().to_owned();
        // Several programs are called `task`.
        if !told.status.success()
            || (kind == Kind::GoTask && !version.starts_with(|c: char| c.is_ascii_digit()))
        {
            return Err(format!("`{}` does not say its version", program.display()));
        }
        Ok(Self { kind, program, version })
    }

    /// The command of a run.
    pub fn command(&self, folder: &Path, jobs: usize) -> Command {
        let mut command = bare(&self.program);
        command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
        let jobs = jobs.to_string();
        match self.kind {
            Kind::Xtask => command.args(["bench", "-j", &jobs]),
            Kind::Ninja => command.args(["--quiet", "-j", &jobs, "all"]),
            Kind::Make => command.args(["-s", "-r", "-R", "-j", &jobs]),
            Kind::Just => command.args(["--quiet", "all"]),
            Kind::GoTask => command.args(["--concurrency", &jobs]),
            Kind::Mise => command.args(["run", "--quiet", "--jobs", &jobs, "all"]),
        };
        if self.kind == Kind::Mise {
            for (name, at) in [("DATA", ".mise-data"), ("STATE", ".mise-state"), ("CACHE", ".mise-cache")] {
                command.env(format!("MISE_{name}_DIR"), folder.join(at));
            }
            command.env("MISE_TRUSTED_CONFIG_PATHS", folder).env("MISE_OFFLINE", "1");
        }
        command
    }
}

/// A command with next to no environment, the same for all.
pub fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C");
    for name in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// A program on PATH.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|p| p.is_file())
}
