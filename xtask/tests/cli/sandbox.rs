//! A folder of its own for each test: a repository, a `bin` that is the whole PATH, and a home without settings.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");
const FAKE_TOOL: &str = env!("CARGO_BIN_EXE_fake-tool");

/// Longer than anything here may take. Whatever takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// What every pipeline here begins with. Tasks that follow belong to the phase `main`.
const HEAD: &str = r#"
[pipeline]
id = "p"
title = "Test"
report = "STATUS.md"

[[phase]]
id = "main"
title = "Main"
"#;

/// The number of tries: the first as a rule, the second with `XTASK_FAULTS=all` in the environment.
pub fn n_thorough(as_a_rule: usize, all: usize) -> usize {
    if std::env::var_os("XTASK_FAULTS").is_some_and(|value| value == "all") { all } else { as_a_rule }
}

/// Says something that is shown if the test fails, or with `--nocapture`.
#[expect(clippy::print_stdout, reason = "the harness keeps what is printed")]
pub fn note(text: &str) {
    println!("{text}");
}

/// Says something that is shown in any case.
pub fn tell(text: &str) {
    // Not with `println!`, which the harness keeps for itself.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The folder.
pub struct Sandbox {
    folder: tempfile::TempDir,
    n_runs: AtomicU32,
}

impl Sandbox {
    /// A repository whose pipeline `p` has a phase `main` and, after that, this.
    pub fn new(body: &str) -> Sandbox {
        let sandbox = Sandbox::empty();
        sandbox.pipeline(body);
        sandbox
    }

    /// A repository with nothing in it.
    pub fn empty() -> Sandbox {
        Sandbox::named("")
    }

    /// The same with this in its path.
    pub fn named(name: &str) -> Sandbox {
        let folder = tempfile::Builder::new().prefix(&format!("xtask{name}")).tempdir().unwrap();
        let sandbox = Sandbox { folder, n_runs: AtomicU32::new(0) };
        for folder in ["repo", "bin", "home", "out"] {
            fs::create_dir(sandbox.folder.path().join(folder)).unwrap();
        }
        symlink(FAKE_TOOL, sandbox.bin("fake-tool")).unwrap();
        sandbox
    }

    /// Writes another pipeline.toml with the same head.
    pub fn pipeline(&self, body: &str) {
        self.write("pipeline.toml", format!("{HEAD}{body}"));
    }

    /// Replaces a part of pipeline.toml.
    #[track_caller]
    pub fn edit(&self, old: &str, new: &str) {
        let text = self.read("pipeline.toml");
        assert!(text.contains(old), "pipeline.toml has no `{old}`");
        self.write("pipeline.toml", text.replace(old, new));
    }

    /// A path in the repository.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("repo").join(name)
    }

    /// A path in the folder that is the PATH.
    pub fn bin(&self, name: &str) -> PathBuf {
        self.folder.path().join("bin").join(name)
    }

    /// Writes a file in the repository.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The text of a file in the repository.
    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Whether a path in the repository exists.
    pub fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Removes a file of the repository.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// Puts a stand-in on PATH, or gives it another script.
    pub fn tool(&self, name: &str, script: &str) {
        fs::write(self.bin(&format!("{name}.script")), script).unwrap();
        if !self.bin(name).exists() {
            symlink(FAKE_TOOL, self.bin(name)).unwrap();
        }
    }

    /// Takes a stand-in off PATH.
    pub fn remove_tool(&self, name: &str) {
        fs::remove_file(self.bin(name)).unwrap();
    }

    /// Writes a stand-in into a folder as a program of its own, as installers do, with these permissions.
    pub fn copy_tool(&self, path: &Path, script: &str, mode: u32) {
        let name = path.file_name().unwrap().to_str().unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path.with_file_name(format!("{name}.script")), script).unwrap();
        fs::copy(FAKE_TOOL, path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Puts a real program on PATH.
    pub fn link(&self, name: &str) {
        let path = which::which(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        symlink(path, self.bin(name)).unwrap();
    }

    /// The arguments of each call of a stand-in, in order.
    pub fn calls(&self, name: &str) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.bin(&format!("{name}.calls"))).unwrap_or_default();
        let argv = |line: &str| {
            let call: Value = serde_json::from_str(line).unwrap();
            serde_json::from_value(call["argv"].clone()).unwrap()
        };
        text.lines().map(argv).collect()
    }

    /// How often a stand-in was called with exactly these arguments.
    pub fn n_calls(&self, name: &str, arguments: &str) -> usize {
        self.calls(name).iter().filter(|call| call.join(" ") == arguments).count()
    }

    /// The program with these arguments, split as a shell does.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(XTASK);
        command.args(shell_words::split(arguments).unwrap());
        self.confine(&mut command);
        command
    }

    /// Gives a command the environment of this folder and nothing else.
    pub fn confine(&self, command: &mut Command) {
        command
            .current_dir(self.path(""))
            .env_clear()
            .env("PATH", self.bin(""))
            .env("HOME", self.folder.path().join("home"))
            .env("NO_COLOR", "1")
            .env("USER", "tester")
            .stdin(Stdio::null());
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &str) -> Ran {
        self.start(arguments).ended()
    }

    /// Starts the program.
    pub fn start(&self, arguments: &str) -> Running {
        self.spawn(self.command(arguments))
    }

    /// Runs a prepared command to its end.
    pub fn run_command(&self, command: Command) -> Ran {
        self.spawn(command).ended()
    }

    /// Starts a prepared command.
    pub fn spawn(&self, mut command: Command) -> Running {
        // Files, not pipes: whoever is left behind by a killed run may hold a pipe open.
        let n = self.n_runs.fetch_add(1, Ordering::Relaxed);
        let [stdout, stderr] =
            ["stdout", "stderr"].map(|name| self.folder.path().join("out").join(format!("{n}.{name}")));
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let mut child = command.spawn().unwrap();
        let pid = child.id();
        let (sender, status) = mpsc::channel();
        thread::spawn(move || sender.send(child.wait().unwrap()));
        Running { pid, status, ended: None, stdout, stderr }
    }

    /// `status --json`
    pub fn status(&self) -> Value {
        self.run("status --json").exits(0).json()
    }

    /// The state of each task.
    pub fn states(&self) -> BTreeMap<String, String> {
        states(&self.status())
    }

    /// A task of `status --json`.
    #[track_caller]
    pub fn task(&self, id: &str) -> Value {
        let status = self.status();
        let tasks = status["tasks"].as_array().unwrap();
        tasks.iter().find(|task| task["id"] == id).unwrap_or_else(|| panic!("no task {id}")).clone()
    }

    /// Asserts states: `a=done b=blocked` names all tasks.
    #[track_caller]
    pub fn expect(&self, wanted: &str) {
        assert_eq!(in_words(&self.states()), wanted);
    }

    /// The records of the ledger.
    pub fn records(&self) -> Vec<Value> {
        self.read(".xtask/ledger.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The bodies of the records of a kind.
    pub fn events(&self, kind: &str) -> Vec<Value> {
        let records = self.records();
        records.iter().filter(|record| record["kind"] == kind).map(|record| record["event"].clone()).collect()
    }

    /// The tasks that were started, in order, as the ledger says.
    pub fn started(&self) -> Vec<String> {
        let records = self.records();
        let starts = records.iter().filter(|record| record["kind"] == "task-started");
        starts.map(|record| record["task"].as_str().unwrap().to_owned()).collect()
    }

    /// The ledger and the report as they are on disk.
    pub fn evidence(&self) -> (String, String) {
        (self.read(".xtask/ledger.jsonl"), self.read("STATUS.md"))
    }

    /// The log of a task's last attempt.
    pub fn log(&self, task: &str) -> String {
        self.run(&format!("log {task}")).exits(0).stdout
    }

    /// Everything that runs with the environment of this folder.
    pub fn processes(&self) -> Vec<u32> {
        processes_with(&format!("HOME={}", self.folder.path().join("home").display()))
    }

    /// The ledger, the report and all logs.
    pub fn everything(&self) -> String {
        let logs = fs::read_dir(self.path(".xtask/logs")).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = logs.map(|entry| entry.path()).collect();
        paths.extend([".xtask/ledger.jsonl", "STATUS.md"].map(|name| self.path(name)));
        let read = |path: &PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        paths.iter().map(read).collect()
    }

    /// A fifo in the repository through which somebody says that it has come so far.
    pub fn fifo(&self, name: &str) -> Fifo {
        Fifo::new(&self.path(name))
    }
}

impl Drop for Sandbox {
    /// A test that fails may leave processes behind.
    fn drop(&mut self) {
        if thread::panicking() {
            for pid in self.processes() {
                kill(pid, libc::SIGKILL);
            }
        }
    }
}

/// The state of each task in a status.
pub fn states(status: &Value) -> BTreeMap<String, String> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    status["tasks"].as_array().unwrap().iter().map(|task| (word(&task["id"]), word(&task["state"]))).collect()
}

/// `a=done b=blocked`
pub fn in_words(states: &BTreeMap<String, String>) -> String {
    let words: Vec<String> = states.iter().map(|(id, state)| format!("{id}={state}")).collect();
    words.join(" ")
}

/// The program while it runs.
pub struct Running {
    /// Its process id.
    pub pid: u32,
    status: mpsc::Receiver<ExitStatus>,
    ended: Option<ExitStatus>,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        kill(self.pid, signal);
    }

    /// Waits until it has said this.
    #[track_caller]
    pub fn has_said(&self, text: &str) {
        until(text, || fs::read_to_string(&self.stderr).unwrap().contains(text));
    }

    /// Waits until it has shown this.
    #[track_caller]
    pub fn has_shown(&self, text: &str) {
        until(text, || fs::read_to_string(&self.stdout).unwrap().contains(text));
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(mut self) -> Ran {
        let status = self.status.recv_timeout(PATIENCE);
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let (stdout, stderr) = (read(&self.stdout), read(&self.stderr));
        let status = status.unwrap_or_else(|_| panic!("it hangs\nstdout: {stdout}\nstderr: {stderr}"));
        self.ended = Some(status);
        Ran { status, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended.is_none() {
            kill(self.pid, libc::SIGKILL);
        }
    }
}

/// The program after its end.
#[must_use = "say how it should have ended"]
pub struct Ran {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

/// What the program said.
#[derive(Debug)]
pub struct Output {
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

impl Ran {
    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Output {
        let Ran { status, stdout, stderr } = self;
        assert_eq!(status.code(), Some(code), "{status}\nstdout: {stdout}\nstderr: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        Output { stdout, stderr }
    }

    /// Takes it as it ended.
    #[track_caller]
    pub fn ends(self) -> Output {
        let code = self.code().unwrap_or_else(|| panic!("{}\nstderr: {}", self.status, self.stderr));
        self.exits(code)
    }

    /// The exit code, if it ended by itself.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended it, if one did.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// What it had said on standard error when it ended.
    pub fn said(&self) -> &str {
        &self.stderr
    }

    /// Asserts that a signal ended it.
    #[track_caller]
    pub fn ends_by(self, signal: i32) {
        assert_eq!(self.status.signal(), Some(signal), "{}\nstderr: {}", self.status, self.stderr);
    }
}

impl Output {
    /// The data of a call with `--json`, which is what the published schema says.
    #[track_caller]
    pub fn json(&self) -> Value {
        let value = self.parsed();
        crate::contract::check(&value);
        value
    }

    /// The data as any JSON.
    #[track_caller]
    pub fn parsed(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{}", self.stdout))
    }

    /// Asserts that the talk has this in it.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Output {
        assert!(self.stderr.contains(text), "`{text}` is not in\n{}", self.stderr);
        self
    }

    /// Asserts that the data has this in it.
    #[track_caller]
    pub fn shows(&self, text: &str) -> &Output {
        assert!(self.stdout.contains(text), "`{text}` is not in\n{}", self.stdout);
        self
    }
}

/// A fifo that is read here. It is open from the start, so that whoever writes to it never waits.
pub struct Fifo {
    file: File,
    path: String,
}

impl Fifo {
    fn new(path: &Path) -> Fifo {
        let path = path.to_str().unwrap().to_owned();
        let c_path = CString::new(path.as_str()).unwrap();
        // SAFETY: the path ends with a zero byte and lives long enough.
        assert_eq!(unsafe { libc::mkfifo(c_path.as_ptr(), 0o600) }, 0);
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        Fifo { file, path }
    }

    /// Waits for somebody to write its process id, and returns that.
    #[track_caller]
    pub fn pid(&mut self) -> u32 {
        let mut text = String::new();
        let deadline = Instant::now() + PATIENCE;
        while !text.ends_with('\n') {
            assert!(Instant::now() < deadline, "nobody came to {}", self.path);
            let mut ask = libc::pollfd { fd: self.file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one structure is passed, and its count.
            unsafe { libc::poll(&raw mut ask, 1, 100) };
            let mut bytes = [0; 32];
            if let Ok(n) = self.file.read(&mut bytes) {
                text.push_str(std::str::from_utf8(&bytes[..n]).unwrap());
            }
        }
        text.trim().parse().unwrap()
    }
}

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not so: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Sends a signal; nothing happens if there is no such process.
pub fn kill(pid: u32, signal: i32) {
    // SAFETY: kill takes two numbers and touches no memory.
    unsafe { libc::kill(pid.cast_signed(), signal) };
}

/// Whether a process runs. One that only waits to be reaped does not.
pub fn runs(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']))
}

/// Processes in whose environment this entry is.
pub fn processes_with(entry: &str) -> Vec<u32> {
    let has = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|e| e == entry.as_bytes())
    };
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(has).collect()
}

/// Processes that belong to an attempt.
pub fn processes_of(attempt: &str) -> Vec<u32> {
    processes_with(&format!("XTASK_ATTEMPT={attempt}"))
}
