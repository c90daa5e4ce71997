//! A program that does what it is told, in place of real tools in tests.
//!
//! # By its arguments
//!
//! Called as `fake-tool`, it performs its arguments one after the other:
//!
//! | action | does |
//! |---|---|
//! | `out TEXT`, `err TEXT` | writes a line to standard output or error |
//! | `raw TEXT` | writes to standard output without a newline |
//! | `flood BYTES` | writes so many bytes of numbered lines to standard output |
//! | `argv ...` | writes each of the remaining arguments as a line of JSON; in a script, those of the call |
//! | `env NAME` | writes the value of a variable, or `NAME is not set` |
//! | `cwd` | writes the working directory |
//! | `pid` | writes its process id |
//! | `stdin` | copies standard input to standard output |
//! | `exit N` | exits with that code |
//! | `signal N` | ends itself by that signal |
//! | `sleep MS` | sleeps |
//! | `hang` | sleeps for ever |
//! | `ignore-term` | ignores SIGTERM from now on, and so do children started later |
//! | `on-term [ ... ]` | at SIGTERM performs these actions and exits with 0 unless they exit |
//! | `ready PATH` | says that it has come so far: writes its process id to the fifo PATH, or makes the file PATH with it |
//! | `wait PATH` | waits until the file PATH exists, or until somebody writes to the fifo PATH |
//! | `write PATH TEXT`, `append PATH TEXT`, `remove PATH` | changes a file |
//! | `child [ ... ]` | starts another one that performs these actions, and does not wait for it |
//! | `run [ ... ]` | the same, waits for it, and exits with its code unless that is 0 |
//! | `group [ ... ]` | like `child`, in a process group of its own |
//! | `session [ ... ]` | like `child`, in a session of its own |
//! | `daemon [ ... ]` | the same by a double fork: the process that started it has ended |
//! | `clean-daemon [ ... ]` | the same with an empty environment |
//! | `mute` | sends its own output to nowhere from now on, as daemons do |
//!
//! In TEXT, `\n`, `\r`, `\t`, `\e` (escape), `\0` and `\\` stand for what they do in C. Lists in
//! brackets nest. After the last action it exits with 0, without waiting for children.
//!
//! # By a script
//!
//! Under any other name, as a copy or a link named `docker`, it reads the file `docker.script` beside
//! itself. Each line is a pattern for the arguments of the call, `=>`, and actions; words are split as
//! in a shell, `#` begins a comment. The first line that fits is performed:
//!
//! ```text
//! record DOCKER_HOST HOME
//! info                     => err 'Cannot connect to the Docker daemon' exit 1
//! @first 2 ps -q           => exit 1
//! @file started ps         => out abc123
//! @no-file started ps      => out ''
//! image inspect _ _ web    => out 123456789
//! *                        => exit 0
//! ```
//!
//! A call fits if its arguments begin with the words of the pattern; `_` stands for any argument, `*`
//! for any call. Conditions come before the pattern: `@first N` for the first N calls that fit it, and
//! `@file PATH` and `@no-file PATH` for whether a file exists. Paths in scripts, also those of actions,
//! are relative to the folder of the script if they begin with `./`. A call that fits no line writes
//! that to standard error and exits with 97.
//!
//! Each call is appended to `docker.calls` beside the script before anything is performed, as a line of
//! JSON: `{"argv":["info"],"cwd":"/","env":{"HOME":"/root"}}`, with the variables that the script's
//! `record` names.
//!
//! Mistakes in the instructions are told on standard error and end it with 96.
#![expect(
    clippy::disallowed_methods,
    reason = "a stand-in for somebody else's program, not a part of this one"
)]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, process, thread};

/// The exit code for mistakes in the instructions.
const MISTAKE: i32 = 96;

/// The exit code for a call that the script does not know.
const UNKNOWN_CALL: i32 = 97;

fn main() {
    let mut words = env::args();
    let own_name = words.next().unwrap_or_default();
    let arguments: Vec<String> = words.collect();
    let name = Path::new(&own_name).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let result = if name == "fake-tool" {
        perform(&arguments, &[], Path::new(""))
    } else {
        play(&own_name, &name, &arguments)
    };
    if let Err(error) = result {
        let _ = writeln!(io::stderr(), "{name}: {error}");
        quit(MISTAKE);
    }
}

#[expect(clippy::exit, reason = "an action of this program")]
fn quit(code: i32) -> ! {
    let _ = io::stdout().flush();
    process::exit(code)
}

fn mistake(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Finds the script, notes the call and performs the first line that fits.
fn play(own_name: &str, name: &str, call: &[String]) -> io::Result<()> {
    let folder = folder(own_name)?;
    let path = folder.join(format!("{name}.script"));
    let script = fs::read_to_string(&path)
        .map_err(|error| mistake(format!("cannot read the script `{}`: {error}", path.display())))?;
    let calls = folder.join(format!("{name}.calls"));
    let split =
        |line| shell_words::split(line).map_err(|error| mistake(format!("cannot split `{line}`: {error}")));
    let script = script.lines().map(split).collect::<io::Result<Vec<_>>>()?;
    let mut recorded = Vec::new();
    let mut lines = Vec::new();
    for words in &script {
        match words.first().map(String::as_str) {
            None => {}
            Some("record") => recorded.extend_from_slice(&words[1..]),
            Some(_) => lines.push(Line::parse(words)?),
        }
    }
    let earlier = fs::read_to_string(&calls).unwrap_or_default();
    note_call(&calls, call, &recorded)?;
    match lines.iter().find(|line| line.fits(call, &folder, &earlier)) {
        Some(line) => perform(line.actions, call, &folder),
        None => {
            writeln!(io::stderr(), "{name}: the script knows no call `{}`", call.join(" "))?;
            quit(UNKNOWN_CALL)
        }
    }
}

/// Where this program lies under the name by which it was called; the file itself may be a link.
fn folder(own_name: &str) -> io::Result<PathBuf> {
    let path = if own_name.contains(std::path::is_separator) {
        PathBuf::from(own_name)
    } else {
        which::which(own_name).or_else(|_| env::current_exe())?
    };
    Ok(std::path::absolute(path)?.parent().unwrap_or(Path::new("/")).to_owned())
}

fn note_call(calls: &Path, call: &[String], recorded: &[String]) -> io::Result<()> {
    let env: BTreeMap<&String, String> =
        recorded.iter().filter_map(|name| Some((name, env::var(name).ok()?))).collect();
    let line = serde_json::json!({ "argv": call, "cwd": env::current_dir()?.to_string_lossy(), "env": env });
    // One write: calls at the same time do not mix.
    OpenOptions::new().append(true).create(true).open(calls)?.write_all(format!("{line}\n").as_bytes())
}

/// A line of a script.
struct Line<'a> {
    first: Option<usize>,
    file: Option<&'a str>,
    no_file: Option<&'a str>,
    pattern: &'a [String],
    actions: &'a [String],
}

impl<'a> Line<'a> {
    fn parse(words: &'a [String]) -> io::Result<Line<'a>> {
        let arrow = words.iter().position(|word| word == "=>");
        let arrow = arrow.ok_or_else(|| mistake(format!("no `=>` in `{}`", words.join(" "))))?;
        let mut line = Line {
            first: None,
            file: None,
            no_file: None,
            pattern: &words[..arrow],
            actions: &words[arrow + 1..],
        };
        while let [condition, value, rest @ ..] = line.pattern {
            match condition.as_str() {
                "@first" => line.first = Some(number(value)?),
                "@file" => line.file = Some(value),
                "@no-file" => line.no_file = Some(value),
                _ => break,
            }
            line.pattern = rest;
        }
        Ok(line)
    }

    fn fits(&self, call: &[String], folder: &Path, earlier: &str) -> bool {
        self.matches(call)
            && self.file.is_none_or(|path| folder.join(path).exists())
            && self.no_file.is_none_or(|path| !folder.join(path).exists())
            && self.first.is_none_or(|n| self.n_matching(earlier) < n)
    }

    fn matches(&self, call: &[String]) -> bool {
        if self.pattern == ["*"] {
            return true;
        }
        let fits = |(wanted, given): (&String, &String)| wanted == "_" || wanted == given;
        self.pattern.len() <= call.len() && self.pattern.iter().zip(call).all(fits)
    }

    fn n_matching(&self, calls: &str) -> usize {
        let argv = |line: &str| {
            let call: serde_json::Value = serde_json::from_str(line).ok()?;
            serde_json::from_value::<Vec<String>>(call.get("argv")?.clone()).ok()
        };
        calls.lines().filter_map(argv).filter(|call| self.matches(call)).count()
    }
}

fn number<T: std::str::FromStr>(word: &str) -> io::Result<T> {
    word.parse().map_err(|_| mistake(format!("`{word}` is not a number")))
}

/// Performs actions in order.
fn perform(actions: &[String], call: &[String], folder: &Path) -> io::Result<()> {
    let mut words = Words { rest: actions, folder };
    while let Some(action) = words.next() {
        match action {
            "out" => writeln!(io::stdout(), "{}", words.text(action)?)?,
            "err" => writeln!(io::stderr(), "{}", words.text(action)?)?,
            "raw" => {
                io::stdout().write_all(words.text(action)?.as_bytes())?;
                io::stdout().flush()?;
            }
            "flood" => flood(number(words.word(action)?)?)?,
            "argv" => {
                let own = std::mem::take(&mut words.rest);
                for word in if call.is_empty() { own } else { call } {
                    writeln!(io::stdout(), "{}", serde_json::Value::from(word.as_str()))?;
                }
            }
            "env" => {
                let name = words.word(action)?;
                writeln!(
                    io::stdout(),
                    "{}",
                    env::var(name).unwrap_or_else(|_| format!("{name} is not set"))
                )?;
            }
            "cwd" => writeln!(io::stdout(), "{}", env::current_dir()?.display())?,
            "pid" => writeln!(io::stdout(), "{}", process::id())?,
            "stdin" => drop(io::copy(&mut io::stdin(), &mut io::stdout())?),
            "exit" => quit(number(words.word(action)?)?),
            "sleep" => thread::sleep(Duration::from_millis(number(words.word(action)?)?)),
            "hang" => hang(),
            "ready" => ready(&words.path(action)?)?,
            "wait" => wait(&words.path(action)?)?,
            "write" => fs::write(words.path(action)?, words.text(action)?)?,
            "append" => append(&words.path(action)?, &words.text(action)?)?,
            "remove" => fs::remove_file(words.path(action)?)?,
            "child" => drop(another(words.list(action)?).spawn()?),
            "run" => {
                let status = another(words.list(action)?).status()?;
                if !status.success() {
                    quit(status.code().unwrap_or(1));
                }
            }
            "on-term" => special::on_term(words.list(action)?.to_vec(), folder.to_owned())?,
            "daemon" | "clean-daemon" => daemon(words.list(action)?, action == "clean-daemon")?,
            "group" => drop(special::in_group(another(words.list(action)?))?),
            "session" => drop(special::in_session(another(words.list(action)?))?),
            "signal" => special::signal(number(words.word(action)?)?),
            "ignore-term" => special::ignore_term(),
            "mute" => special::mute()?,
            _ => return Err(mistake(format!("no action is called `{action}`"))),
        }
    }
    io::stdout().flush()
}

/// The instructions that are left.
struct Words<'a> {
    rest: &'a [String],
    folder: &'a Path,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (word, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(word)
    }

    fn word(&mut self, action: &str) -> io::Result<&'a str> {
        self.next().ok_or_else(|| mistake(format!("`{action}` needs an argument")))
    }

    fn text(&mut self, action: &str) -> io::Result<String> {
        let mut text = String::new();
        let mut characters = self.word(action)?.chars();
        while let Some(character) = characters.next() {
            text.push(match (character, character == '\\') {
                (_, false) => character,
                (_, true) => match characters.next() {
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some('e') => '\x1b',
                    Some('0') => '\0',
                    Some('\\') => '\\',
                    other => return Err(mistake(format!("`\\{}` stands for nothing", other.unwrap_or(' ')))),
                },
            });
        }
        Ok(text)
    }

    fn path(&mut self, action: &str) -> io::Result<PathBuf> {
        let path = Path::new(self.word(action)?);
        Ok(path.strip_prefix("./").map_or(path.to_owned(), |below| self.folder.join(below)))
    }

    /// What is between a bracket and its counterpart.
    fn list(&mut self, action: &str) -> io::Result<&'a [String]> {
        let mut depth = 0;
        for (at, word) in self.rest.iter().enumerate() {
            match word.as_str() {
                "[" => depth += 1,
                "]" => depth -= 1,
                _ if depth == 0 => break,
                _ => {}
            }
            if depth == 0 {
                let list = &self.rest[1..at];
                self.rest = &self.rest[at + 1..];
                return Ok(list);
            }
        }
        Err(mistake(format!("`{action}` needs a list in brackets")))
    }
}

/// A command that performs these actions under the plain name, whatever this one is called.
fn another(actions: &[String]) -> Command {
    let mut command = Command::new(env::current_exe().expect("a running program has a path"));
    special::rename(&mut command);
    command.args(actions);
    command
}

/// Starts a session whose leader starts the daemon and ends at once, so that nobody here is its parent.
fn daemon(actions: &[String], clean: bool) -> io::Result<()> {
    let mut leader = another(&[]);
    leader.args(["child", "["]).args(actions).arg("]").stdin(Stdio::null());
    if clean {
        leader.env_clear();
    }
    special::in_session(leader)?.wait()?;
    Ok(())
}

fn flood(n_bytes: usize) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout());
    let mut n_written = 0;
    for n in 0.. {
        let line = format!("line {n:010} of a flood of output that somebody has to take\n");
        let part = &line.as_bytes()[..line.len().min(n_bytes - n_written)];
        out.write_all(part)?;
        n_written += part.len();
        if n_written == n_bytes {
            break;
        }
    }
    out.flush()
}

fn hang() -> ! {
    loop {
        thread::park();
    }
}

fn ready(path: &Path) -> io::Result<()> {
    let pid = format!("{}\n", process::id());
    if special::is_fifo(path) {
        return OpenOptions::new().write(true).open(path)?.write_all(pid.as_bytes());
    }
    // Under another name first: whoever sees the file finds the number in it.
    let draft = path.with_extension(format!("draft-{}", process::id()));
    fs::write(&draft, pid)?;
    fs::rename(draft, path)
}

fn wait(path: &Path) -> io::Result<()> {
    if special::is_fifo(path) {
        return fs::read(path).map(drop);
    }
    while !path.exists() {
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())
}

/// What only Unix has.
#[cfg(unix)]
mod special {
    use super::{Child, Command, Path, PathBuf, io, perform, quit, thread};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::process::CommandExt;

    pub(super) fn rename(command: &mut Command) {
        command.arg0("fake-tool");
    }

    pub(super) fn is_fifo(path: &Path) -> bool {
        path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
    }

    pub(super) fn in_group(mut command: Command) -> io::Result<Child> {
        command.process_group(0).spawn()
    }

    pub(super) fn in_session(mut command: Command) -> io::Result<Child> {
        // SAFETY: setsid may be called between fork and exec, and touches no memory.
        unsafe {
            command.pre_exec(|| if libc::setsid() < 0 { Err(io::Error::last_os_error()) } else { Ok(()) })
        };
        command.spawn()
    }

    pub(super) fn signal(number: i32) {
        // SAFETY: raise takes a number and touches no memory.
        unsafe { libc::raise(number) };
    }

    pub(super) fn ignore_term() {
        // SAFETY: ignoring a signal installs no code.
        unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
    }

    pub(super) fn on_term(actions: Vec<String>, folder: PathBuf) -> io::Result<()> {
        let mut signals = signal_hook::iterator::Signals::new([libc::SIGTERM])?;
        thread::spawn(move || {
            signals.forever().next();
            match perform(&actions, &[], &folder) {
                Ok(()) => quit(0),
                Err(_) => quit(super::MISTAKE),
            }
        });
        Ok(())
    }

    pub(super) fn mute() -> io::Result<()> {
        let nowhere = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
        for stream in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
            // SAFETY: both descriptors are open, and nobody owns those of the standard streams.
            if unsafe { libc::dup2(nowhere.as_raw_fd(), stream) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

/// Elsewhere groups and sessions are plain children, and there is no SIGTERM.
#[cfg(not(unix))]
mod special {
    use super::{Child, Command, Path, PathBuf, io, mistake, quit};

    pub(super) fn rename(_: &mut Command) {}

    pub(super) fn is_fifo(_: &Path) -> bool {
        false
    }

    pub(super) fn in_group(mut command: Command) -> io::Result<Child> {
        command.spawn()
    }

    pub(super) fn in_session(mut command: Command) -> io::Result<Child> {
        command.spawn()
    }

    pub(super) fn signal(number: i32) {
        quit(128 + number)
    }

    pub(super) fn ignore_term() {}

    pub(super) fn on_term(_: Vec<String>, _: PathBuf) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn mute() -> io::Result<()> {
        Err(mistake("`mute` needs Unix".to_owned()))
    }
}
