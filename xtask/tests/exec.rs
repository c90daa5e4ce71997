//! The room with child processes, tested with real ones: `fake-tool` in every role.
//!
//! No test waits by sleeping. Children say through a fifo that they have come so far; an end is seen
//! by the fifo's other end or by the process being gone when [`Room::run`] has returned.
#![allow(clippy::disallowed_methods, reason = "tests look at the outside themselves")]
#![cfg(all(unix, feature = "test-tools"))]

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use xtask::exec::{ATTEMPT, Cause, Ended, How, Instance, Log, Output, Room, Signalled, Spawn, end_survivors};
use xtask::secrets::{Secret, Secrets};

const FAKE_TOOL: &str = env!("CARGO_BIN_EXE_fake-tool");

/// Longer than any test may take: a child that runs for so long was not ended.
const FOR_EVER: Duration = Duration::from_secs(60);

/// A folder of its own for each test, with what most of them need.
struct Bench {
    folder: tempfile::TempDir,
    attempt: String,
}

/// The differences between children.
struct Options<'a> {
    log: Option<&'a Log>,
    env: Vec<(String, String)>,
    cwd: Option<Utf8PathBuf>,
    timeout: Option<Duration>,
    grace: Duration,
    shielded: bool,
    limit: usize,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            log: None,
            env: Vec::new(),
            cwd: None,
            timeout: Some(FOR_EVER),
            grace: FOR_EVER / 2,
            shielded: false,
            limit: 1 << 20,
        }
    }
}

impl Bench {
    fn new() -> Bench {
        static N_BENCHES: AtomicU32 = AtomicU32::new(0);
        let attempt = format!("test-{}-{}", std::process::id(), N_BENCHES.fetch_add(1, Ordering::Relaxed));
        Bench { folder: tempfile::tempdir().unwrap(), attempt }
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.folder.path().join(name)).unwrap()
    }

    fn fifo(&self, name: &str) -> Utf8PathBuf {
        let path = self.path(name);
        let c_path = std::ffi::CString::new(path.as_str()).unwrap();
        // SAFETY: the path ends with a zero byte and lives long enough.
        assert_eq!(unsafe { libc::mkfifo(c_path.as_ptr(), 0o600) }, 0);
        path
    }

    fn log(&self, secret: Option<&str>) -> Log {
        let secret =
            secret.map(|value| Secret { whose: "`TOKEN`".to_owned(), value: value.to_owned(), named: true });
        Log::create(&self.path("log"), &Secrets::new(secret)).unwrap()
    }

    fn run(&self, room: &Room, argv: &[String], options: &Options<'_>) -> Ended {
        let here = self.path("");
        room.run(&Spawn {
            argv,
            cwd: options.cwd.as_deref().unwrap_or(&here),
            env: &options.env,
            output: options.log.map_or(Output::Keep { limit: options.limit }, Output::Log),
            timeout: options.timeout,
            grace: options.grace,
            attempt: &self.attempt,
            shielded: options.shielded,
        })
    }

    fn fake(&self, actions: &str, options: &Options<'_>) -> Ended {
        self.run(&Room::new(), &fake(actions), options)
    }
}

/// The command line for these actions.
fn fake(actions: &str) -> Vec<String> {
    [FAKE_TOOL.to_owned()].into_iter().chain(shell_words::split(actions).unwrap()).collect()
}

/// Waits for a child to say that it is ready, and returns its process id.
fn ready(fifo: &Utf8Path) -> u32 {
    fs::read_to_string(fifo).unwrap().trim().parse().unwrap()
}

/// Whether a process exists, even if only as what is left to be reaped.
fn exists(pid: u32) -> bool {
    // SAFETY: kill takes two numbers and touches no memory; zero asks only.
    unsafe { libc::kill(pid.cast_signed(), 0) == 0 }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

// How a child ends.

#[test]
fn exit_codes_and_both_streams_are_kept() {
    let ended = Bench::new().fake("out one err two out three exit 7", &Options::default());
    assert_eq!(ended.how, How::Exited(7));
    assert_eq!((text(&ended.stdout), text(&ended.stderr)), ("one\nthree\n", "two\n"));
    assert!(!ended.truncated && ended.leaked == 0);
}

#[test]
fn signals_are_told() {
    assert_eq!(Bench::new().fake("signal 9", &Options::default()).how, How::Signaled(9));
}

#[test]
fn what_is_kept_has_a_limit() {
    let ended = Bench::new().fake("out 123456 err 12", &Options { limit: 4, ..Options::default() });
    assert_eq!((text(&ended.stdout), text(&ended.stderr), ended.truncated), ("1234", "12\n", true));
    let ended = Bench::new().fake("raw 1234", &Options { limit: 4, ..Options::default() });
    assert_eq!((text(&ended.stdout), ended.truncated), ("1234", false));
}

#[test]
fn a_child_gets_arguments_environment_and_directory_as_given() {
    let bench = Bench::new();
    let env = [("GREETING", "first"), ("GREETING", "a b"), (ATTEMPT, "forged")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let argv = fake(&format!("cwd env GREETING env {ATTEMPT} stdin argv 'a b' '' '$HOME' '*'"));
    let ended = bench.run(&Room::new(), &argv, &Options { env, ..Options::default() });
    let cwd = bench.folder.path().canonicalize().unwrap();
    let expected = format!("{}\na b\n{}\n\"a b\"\n\"\"\n\"$HOME\"\n\"*\"\n", cwd.display(), bench.attempt);
    assert_eq!(text(&ended.stdout), expected);
}

#[test]
fn a_program_path_is_relative_to_the_directory_of_the_child() {
    let bench = Bench::new();
    std::os::unix::fs::symlink(FAKE_TOOL, bench.path("tool")).unwrap();
    fs::write(bench.path("tool.script"), "* => out here").unwrap();
    let ended = bench.run(&Room::new(), &["./tool".to_owned()], &Options::default());
    assert_eq!((text(&ended.stdout), ended.how), ("here\n", How::Exited(0)));
}

// What cannot be started.

#[track_caller]
fn check_refused(bench: &Bench, program: &str, cwd: Option<Utf8PathBuf>, expected: &str) {
    let ended = bench.run(&Room::new(), &[program.to_owned()], &Options { cwd, ..Options::default() });
    assert_eq!(ended.how, How::NotStarted(expected.to_owned()));
}

#[test]
fn why_a_child_is_not_started() {
    let bench = Bench::new();
    let missing = bench.path("missing");
    check_refused(&bench, "no-such-tool", None, "program `no-such-tool` is not on PATH");
    check_refused(&bench, "./no-such-tool", None, "program `./no-such-tool` does not exist");
    let sentence = format!("working directory `{missing}` does not exist");
    check_refused(&bench, FAKE_TOOL, Some(missing), &sentence);
    fs::write(bench.path("file"), "#!/no/such/interpreter\n").unwrap();
    let file = bench.path("file");
    let sentence = format!("working directory `{file}` is not a directory");
    check_refused(&bench, FAKE_TOOL, Some(file.clone()), &sentence);
    let sentence = format!("no permission to run `./file` in `{}`: is the file executable?", bench.path(""));
    check_refused(&bench, "./file", None, &sentence);
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let sentence = "cannot start `./file`: the interpreter that the file asks for does not exist";
    check_refused(&bench, "./file", None, sentence);
    let ended = bench.run(&Room::new(), &[], &Options::default());
    assert_eq!(ended.how, How::NotStarted("the command is empty".to_owned()));
}

#[test]
fn a_refused_child_leaves_its_masked_log_usable() {
    let bench = Bench::new();
    let log = bench.log(Some("s3cr3t-value"));
    let options = Options { log: Some(&log), ..Options::default() };
    let ended = bench.run(&Room::new(), &["./missing".to_owned()], &options);
    assert!(matches!(ended.how, How::NotStarted(_)));
    log.note("went on").unwrap();
    assert_eq!(fs::read_to_string(log.path()).unwrap(), "went on\n");
}

// Time limits.

#[test]
fn a_time_limit_asks_first() {
    let options = Options { timeout: Some(Duration::from_millis(150)), ..Options::default() };
    let ended = Bench::new().fake("on-term [ out bye ] out here hang", &options);
    assert_eq!((ended.how, text(&ended.stdout)), (How::TimedOut, "here\nbye\n"));
    assert!(ended.took >= Duration::from_millis(150) && ended.took < FOR_EVER, "{:?}", ended.took);
}

#[test]
fn a_time_limit_kills_what_ignores_being_asked_with_all_its_children() {
    let bench = Bench::new();
    let (parent, child) = (bench.fifo("parent"), bench.fifo("child"));
    let actions = format!("ignore-term child [ ready {child} hang ] ready {parent} hang");
    let options = Options {
        timeout: Some(Duration::from_millis(300)),
        grace: Duration::from_millis(50),
        ..Options::default()
    };
    thread::scope(|scope| {
        let ended = scope.spawn(|| bench.fake(&actions, &options));
        let pids = [ready(&child), ready(&parent)];
        let ended = ended.join().unwrap();
        assert_eq!((ended.how, ended.leaked), (How::TimedOut, 0));
        assert!(ended.took >= Duration::from_millis(350), "{:?}", ended.took);
        assert_eq!(pids.map(exists), [false, false]);
    });
}

#[test]
fn a_stopped_child_can_be_asked() {
    let options = Options { timeout: Some(Duration::from_millis(100)), ..Options::default() };
    let ended = Bench::new().fake(&format!("signal {}", libc::SIGSTOP), &options);
    assert_eq!(ended.how, How::TimedOut);
    assert!(ended.took < Duration::from_secs(20));
}

// What is left behind.

/// A child that leaves another one, which holds its output and hangs: `start` is how it starts it.
#[track_caller]
fn check_leak(start: &str, log: bool, secret: Option<&str>) {
    let bench = Bench::new();
    let fifo = bench.fifo("left");
    let log = log.then(|| bench.log(secret));
    let actions = format!("out before {start} [ out left ready {fifo} hang ] wait {}", bench.fifo("go"));
    let options = Options { log: log.as_ref(), ..Options::default() };
    thread::scope(|scope| {
        let ended = scope.spawn(|| bench.fake(&actions, &options));
        let pid = ready(&fifo);
        fs::write(bench.path("go"), "go").unwrap();
        let ended = ended.join().unwrap();
        assert_eq!((&ended.how, ended.leaked), (&How::Exited(0), 1), "{start}");
        assert!(!exists(pid), "{start}");
        let output = log.as_ref().map_or(ended.stdout.clone(), |log| fs::read(log.path()).unwrap());
        assert_eq!(text(&output), "before\nleft\n");
    });
}

#[test]
fn a_grandchild_is_ended() {
    check_leak("child", false, None);
    check_leak("child", true, None);
    check_leak("child", true, Some("s3cr3t-value"));
}

#[test]
fn a_grandchild_that_ignores_being_asked_is_ended() {
    check_leak("ignore-term child", false, None);
}

#[cfg(target_os = "linux")]
#[test]
fn a_grandchild_in_a_group_of_its_own_is_ended() {
    check_leak("group", false, None);
}

#[cfg(target_os = "linux")]
#[test]
fn a_grandchild_in_a_session_of_its_own_is_ended() {
    check_leak("session", false, None);
}

#[cfg(target_os = "linux")]
#[test]
fn a_daemon_is_ended() {
    check_leak("daemon", false, None);
    check_leak("daemon", true, Some("s3cr3t-value"));
    check_leak("ignore-term daemon", false, None);
}

#[cfg(target_os = "linux")]
#[test]
fn a_whole_tree_of_daemons_is_ended() {
    let bench = Bench::new();
    let (one, two, three) = (bench.fifo("one"), bench.fifo("two"), bench.fifo("three"));
    let go = bench.fifo("go");
    let actions = format!(
        "daemon [ ready {one} daemon [ ready {two} hang ] session [ ready {three} hang ] hang ] wait {go}"
    );
    thread::scope(|scope| {
        let ended = scope.spawn(|| bench.fake(&actions, &Options::default()));
        let pids = [ready(&one), ready(&two), ready(&three)];
        fs::write(&go, "go").unwrap();
        let ended = ended.join().unwrap();
        assert_eq!((ended.how, ended.leaked), (How::Exited(0), 3));
        assert_eq!(pids.map(exists), [false; 3]);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn only_daemons_of_the_same_attempt_are_ended() {
    let (one, other) = (Bench::new(), Bench::new());
    let fifos = [one.fifo("daemon"), one.fifo("go")];
    let room = Room::new();
    let actions = format!("daemon [ ready {} hang ] wait {}", fifos[0], fifos[1]);
    thread::scope(|scope| {
        let room = &room;
        let ended = scope.spawn(|| one.run(room, &fake(&actions), &Options::default()));
        let pid = ready(&fifos[0]);
        assert_eq!(other.run(room, &fake("exit 0"), &Options::default()).leaked, 0);
        assert!(exists(pid));
        fs::write(&fifos[1], "go").unwrap();
        assert_eq!(ended.join().unwrap().leaked, 1);
        assert!(!exists(pid));
    });
}

#[test]
fn what_ends_by_itself_in_time_is_not_a_leak() {
    let bench = Bench::new();
    let fifo = bench.fifo("go");
    // The child waits for its parent to be gone; opening the fifo to read lets it go on.
    let log = bench.log(None);
    let actions = format!("child [ ready {fifo} sleep 1 out last ] wait {fifo}");
    let ended = bench.fake(&actions, &Options { log: Some(&log), ..Options::default() });
    assert_eq!((ended.how, ended.leaked), (How::Exited(0), 0));
    assert_eq!(fs::read_to_string(log.path()).unwrap(), "last\n");
}

#[cfg(target_os = "linux")]
#[test]
fn an_orphan_that_cannot_be_found_does_not_hold_a_masked_log() {
    let bench = Bench::new();
    let fifo = bench.fifo("orphan");
    let log = bench.log(Some("s3cr3t-value"));
    let actions =
        format!("out before clean-daemon [ ready {fifo} hang ] out s3cr3t-value wait {}", bench.fifo("go"));
    thread::scope(|scope| {
        let ended = scope.spawn(|| bench.fake(&actions, &Options { log: Some(&log), ..Options::default() }));
        let pid = ready(&fifo);
        fs::write(bench.path("go"), "go").unwrap();
        assert_eq!(ended.join().unwrap().how, How::Exited(0));
        assert!(exists(pid), "its environment is empty, so it could not be told from others");
        // SAFETY: kill takes two numbers and touches no memory.
        unsafe { libc::kill(pid.cast_signed(), libc::SIGKILL) };
    });
    assert_eq!(fs::read_to_string(log.path()).unwrap(), "before\n***\n");
}

// Logs.

#[test]
fn a_log_keeps_the_order_of_both_streams() {
    let bench = Bench::new();
    let log = bench.log(None);
    log.note("$ tool").unwrap();
    bench.fake("out one err two out three raw four", &Options { log: Some(&log), ..Options::default() });
    log.note("exit 0").unwrap();
    assert_eq!(fs::read_to_string(log.path()).unwrap(), "$ tool\none\ntwo\nthree\nfour\nexit 0\n");
}

#[test]
fn secrets_are_masked_however_they_are_written() {
    let bench = Bench::new();
    let log = bench.log(Some("s3cr3t-value"));
    let options = Options { log: Some(&log), ..Options::default() };
    bench.fake("raw 'a s3cr' sleep 5 raw '3t-val' sleep 5 out 'ue b' err s3cr3t-value", &options);
    assert_eq!(fs::read_to_string(log.path()).unwrap(), "a *** b\n***\n");
}

#[test]
fn a_masked_log_is_written_while_the_child_runs() {
    let bench = Bench::new();
    let (go, log) = (bench.fifo("go"), bench.log(Some("s3cr3t-value")));
    thread::scope(|scope| {
        let actions = format!("out early wait {go} out late");
        let (bench, log) = (&bench, &log);
        let ended =
            scope.spawn(move || bench.fake(&actions, &Options { log: Some(log), ..Options::default() }));
        // The log is a file: there is nothing to wait on but its contents.
        while fs::read(log.path()).unwrap() != b"early\n" {
            thread::yield_now();
        }
        fs::write(&go, "go").unwrap();
        assert_eq!(ended.join().unwrap().how, How::Exited(0));
    });
    assert_eq!(fs::read_to_string(log.path()).unwrap(), "early\nlate\n");
}

const FLOOD: u64 = 50_000_000;

/// The most memory that this process has had so far, in bytes.
#[cfg(target_os = "linux")]
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[cfg(target_os = "linux")]
#[test]
fn a_flood_takes_no_memory() {
    for secret in [None, Some("s3cr3t-value")] {
        let bench = Bench::new();
        let log = bench.log(secret);
        let before = peak_memory();
        let ended = bench.fake(&format!("flood {FLOOD}"), &Options { log: Some(&log), ..Options::default() });
        assert_eq!(ended.how, How::Exited(0));
        assert_eq!(log.path().metadata().unwrap().len(), FLOOD);
        // Other tests run in this process at the same time, and take some.
        assert!(peak_memory() - before < FLOOD / 3, "{} bytes", peak_memory() - before);
    }
}

#[test]
fn a_full_disk_does_not_stop_a_child() {
    // The limit on file size holds for this process and its children, so it takes a process of its own.
    let bench = Bench::new();
    let log = bench.path("full");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "in_a_process_with_small_files", "--ignored", "--nocapture"]);
    command.env("LOG", &log).env("FOLDER", bench.folder.path());
    // SAFETY: setrlimit and signal may be called between fork and exec, and read only our memory.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 100_000, rlim_max: 100_000 };
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            if libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) == 0 {
                Ok(())
            } else {
                Err(io::Error::last_os_error())
            }
        })
    };
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(log.metadata().unwrap().len() <= 100_000);
}

#[test]
#[ignore = "a part of `a_full_disk_does_not_stop_a_child`"]
fn in_a_process_with_small_files() {
    let Ok(path) = std::env::var("LOG") else { return };
    let bench = Bench::new();
    let secrets = Secrets::default();
    secrets.expect();
    let log = Log::create(Utf8Path::new(&path), &secrets).unwrap();
    let ended = bench.fake("flood 1000000 exit 3", &Options { log: Some(&log), ..Options::default() });
    assert_eq!(ended.how, How::Exited(3));
    assert!(log.trouble().unwrap().contains("large"), "{:?}", log.trouble());
}

// Cancelling.

#[test]
fn cancelling_ends_all_that_run_and_nothing_starts_after_it() {
    let bench = Bench::new();
    let room = Room::new();
    let fifos: Vec<_> = (0..8).map(|n| bench.fifo(&n.to_string())).collect();
    thread::scope(|scope| {
        let children: Vec<_> = fifos
            .iter()
            .map(|fifo| {
                let actions = format!("child [ hang ] ready {fifo} hang");
                let (bench, room) = (&bench, &room);
                scope.spawn(move || bench.run(room, &fake(&actions), &Options::default()))
            })
            .collect();
        let pids: Vec<_> = fifos.iter().map(|fifo| ready(fifo)).collect();
        let begun = Instant::now();
        room.cancel(Cause::Interrupt);
        for child in children {
            assert_eq!(child.join().unwrap().how, How::Cancelled);
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert!(pids.into_iter().all(|pid| !exists(pid)));
    });
    assert_eq!(room.cancelled(), Some(Cause::Interrupt));
    let marker = bench.path("marker");
    let ended = bench.run(&room, &fake(&format!("write {marker} x")), &Options::default());
    assert_eq!(ended.how, How::Cancelled);
    assert!(!marker.exists());
}

#[test]
fn what_ignores_a_cancellation_is_killed_after_its_grace() {
    let bench = Bench::new();
    let (room, fifo) = (Room::new(), bench.fifo("ready"));
    let options = Options { grace: Duration::from_millis(80), ..Options::default() };
    let actions = format!("ignore-term ready {fifo} hang");
    thread::scope(|scope| {
        let ended = scope.spawn(|| bench.run(&room, &fake(&actions), &options));
        ready(&fifo);
        let begun = Instant::now();
        room.cancel(Cause::Terminate);
        assert_eq!(ended.join().unwrap().how, How::Cancelled);
        assert!(begun.elapsed() >= Duration::from_millis(80), "{:?}", begun.elapsed());
    });
}

#[test]
fn the_second_cancellation_kills_what_is_shielded() {
    let bench = Bench::new();
    let (room, before, after) = (Room::new(), bench.fifo("before"), bench.fifo("after"));
    let options = Options { shielded: true, ..Options::default() };
    thread::scope(|scope| {
        let run = |actions: String| {
            let (bench, room, options) = (&bench, &room, &options);
            scope.spawn(move || bench.run(room, &fake(&actions), options))
        };
        let first = run(format!("ignore-term ready {before} hang"));
        ready(&before);
        room.cancel(Cause::Interrupt);
        // What has to be done all the same may start even now.
        let second = run(format!("ready {after} hang"));
        ready(&after);
        assert!(!first.is_finished());
        room.cancel(Cause::Interrupt);
        assert_eq!([first, second].map(|child| child.join().unwrap().how), [How::Cancelled, How::Cancelled]);
    });
    assert_eq!(bench.run(&room, &fake("exit 0"), &options).how, How::Cancelled);
}

#[test]
fn the_caller_may_cancel_more_than_once() {
    let bench = Bench::new();
    let (room, shielded, go) = (Room::new(), bench.fifo("shielded"), bench.fifo("go"));
    let options = Options { shielded: true, ..Options::default() };
    let actions = format!("ready {shielded} wait {go} exit 5");
    thread::scope(|scope| {
        let ended = scope.spawn(|| bench.run(&room, &fake(&actions), &options));
        ready(&shielded);
        (0..3).for_each(|_| room.cancel(Cause::Caller));
        fs::write(&go, "go").unwrap();
        assert_eq!(ended.join().unwrap().how, How::Exited(5));
    });
    assert_eq!(room.cancelled(), Some(Cause::Caller));
}

#[test]
fn nothing_slips_through_a_cancellation_at_any_moment() {
    let bench = Bench::new();
    for n in 0..40 {
        let room = Room::new();
        thread::scope(|scope| {
            let children: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| bench.run(&room, &fake("child [ hang ] hang"), &Options::default())))
                .collect();
            // A little later each time, to meet the children in every state.
            let moment = Instant::now() + Duration::from_micros(n * 50);
            while Instant::now() < moment {
                std::hint::spin_loop();
            }
            room.cancel(Cause::Interrupt);
            for child in children {
                assert_eq!(child.join().unwrap().how, How::Cancelled);
            }
        });
    }
    assert_eq!(end_survivors(&|id| id == bench.attempt, Duration::ZERO), 0);
}

#[test]
fn a_sleep_ends_with_the_room() {
    let room = Room::new();
    assert!(room.sleep(Duration::from_millis(5)));
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let room = &room;
        let slept = scope.spawn(move || {
            tell.send(()).unwrap();
            room.sleep(FOR_EVER)
        });
        told.recv().unwrap();
        room.cancel(Cause::Interrupt);
        assert!(!slept.join().unwrap());
    });
    assert!(!room.sleep(FOR_EVER));
}

// Signals. They go to a whole process, so these tests start themselves once more.

/// Starts one of the tests below that are a process of their own.
fn itself(test: &str, fifo: &Utf8Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("FIFO", fifo)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn kill(pid: u32, signal: i32) {
    // SAFETY: kill takes two numbers and touches no memory.
    assert_eq!(unsafe { libc::kill(pid.cast_signed(), signal) }, 0);
}

/// The lines that begin with a tag: the test harness writes others.
fn told(lines: &mut impl Iterator<Item = io::Result<String>>) -> Option<String> {
    lines.map(Result::unwrap).find_map(|line| Some(line.split_once("told: ")?.1.to_owned()))
}

#[test]
fn the_first_signal_spares_what_is_shielded_the_second_does_not() {
    for (signal, cause) in
        [(libc::SIGINT, "Interrupt"), (libc::SIGTERM, "Terminate"), (libc::SIGHUP, "Terminate")]
    {
        let bench = Bench::new();
        let fifos = [bench.fifo("fifo-plain"), bench.fifo("fifo-shielded")];
        let mut child = itself("in_a_process_that_listens", &bench.path("fifo"));
        fifos.iter().for_each(|fifo| drop(fs::read(fifo).unwrap()));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        kill(child.id(), signal);
        // The child may have ended before the listener has told so.
        let mut two = || BTreeSet::from([told(&mut lines).unwrap(), told(&mut lines).unwrap()]);
        assert_eq!(two(), BTreeSet::from([format!("First({cause})"), "plain Cancelled".to_owned()]));
        kill(child.id(), libc::SIGINT);
        assert_eq!(two(), ["Second(Interrupt)", "shielded Cancelled"].map(str::to_owned).into());
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn the_third_signal_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;
    let bench = Bench::new();
    let fifo = bench.fifo("ready");
    let mut child = itself("in_a_process_that_does_not_end", &fifo);
    ready(&fifo);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    kill(child.id(), libc::SIGINT);
    assert_eq!(told(&mut lines).unwrap(), "First(Interrupt)");
    kill(child.id(), libc::SIGINT);
    assert_eq!(told(&mut lines).unwrap(), "Second(Interrupt)");
    kill(child.id(), libc::SIGINT);
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGINT));
}

fn tell(what: &str) {
    // Not with `println!`, which the harness may keep for itself.
    io::stdout().write_all(format!("told: {what}\n").as_bytes()).unwrap();
}

fn tell_signals(room: &Arc<Room>) -> xtask::exec::Listener {
    room.listen(|signalled: Signalled| tell(&format!("{signalled:?}"))).unwrap()
}

#[test]
#[ignore = "a part of `the_first_signal_spares_what_is_shielded_the_second_does_not`"]
fn in_a_process_that_listens() {
    let Ok(fifo) = std::env::var("FIFO") else { return };
    let (bench, room) = (Bench::new(), Arc::new(Room::new()));
    let _listener = tell_signals(&room);
    thread::scope(|scope| {
        for (name, shielded) in [("plain", false), ("shielded", true)] {
            let (bench, room, fifo) = (&bench, &room, &fifo);
            scope.spawn(move || {
                let options = Options { shielded, ..Options::default() };
                let ended = bench.run(room, &fake(&format!("ready {fifo}-{name} hang")), &options);
                tell(&format!("{name} {:?}", ended.how));
            });
        }
    });
}

#[test]
#[ignore = "a part of `the_third_signal_ends_the_process`"]
fn in_a_process_that_does_not_end() {
    let Ok(fifo) = std::env::var("FIFO") else { return };
    let room = Arc::new(Room::new());
    let _listener = tell_signals(&room);
    fs::write(fifo, std::process::id().to_string()).unwrap();
    loop {
        thread::park();
    }
}

// What an earlier run left behind, and who is alive.

#[cfg(target_os = "linux")]
#[test]
fn survivors_of_an_earlier_run_are_ended() {
    let bench = Bench::new();
    let fifos = [bench.fifo("one"), bench.fifo("two"), bench.fifo("other")];
    let start = |fifo: &Utf8Path, attempt: &str| {
        let actions = format!("ignore-term session [ ready {fifo} hang ]");
        let mut command = Command::new(FAKE_TOOL);
        command.args(shell_words::split(&actions).unwrap()).env(ATTEMPT, attempt);
        assert!(command.status().unwrap().success());
        ready(fifo)
    };
    let pids = [start(&fifos[0], &bench.attempt), start(&fifos[1], &bench.attempt)];
    let other = start(&fifos[2], "another");
    let is_old = |id: &str| id == bench.attempt;
    assert_eq!(end_survivors(&is_old, Duration::from_millis(20)), 2);
    assert_eq!(end_survivors(&is_old, Duration::from_millis(20)), 0);
    assert!(pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}/exe")).exists()));
    assert!(exists(other));
    kill(other, libc::SIGKILL);
}

#[test]
fn an_instance_is_told_from_its_successors() {
    let current = Instance::current();
    assert_eq!(current, Instance::current());
    assert_eq!(current.is_alive(), Some(true));
    let kept: Instance = serde_json::from_str(&serde_json::to_string(&current).unwrap()).unwrap();
    assert_eq!(kept, current);
    let reused = Instance { started: "1".to_owned(), ..current.clone() };
    assert_eq!(reused.is_alive(), Some(false));
    let mut child = Command::new(FAKE_TOOL).arg("exit").arg("0").spawn().unwrap();
    child.wait().unwrap();
    assert_eq!(Instance { pid: child.id(), ..current.clone() }.is_alive(), Some(false));
    assert_eq!(Instance { boot: "earlier/x".to_owned(), ..current.clone() }.is_alive(), Some(false));
    assert_eq!(Instance { host: "elsewhere".to_owned(), ..current.clone() }.is_alive(), None);
}

#[cfg(target_os = "linux")]
#[test]
fn an_instance_in_another_container_cannot_be_judged() {
    let current = Instance::current();
    let boot = format!("{}/pid:[1]", current.boot.split('/').next().unwrap());
    assert_eq!(Instance { boot, ..current }.is_alive(), None);
}

// The stand-in for other tools.

#[test]
fn a_fake_tool_plays_a_script() {
    let bench = Bench::new();
    fs::copy(FAKE_TOOL, bench.path("docker")).unwrap();
    let script = r"
        # what this docker does
        record DOCKER_HOST HOME_OF_NOBODY
        @first 1 info            => err 'Cannot connect' exit 1
        @no-file started info    => err 'still starting' write ./started yes exit 2
        info                     => out ready
        image inspect _ web      => out 123
        logs                     => argv
    ";
    fs::write(bench.path("docker.script"), script).unwrap();
    let path = format!("{}:{}", bench.folder.path().display(), std::env::var("PATH").unwrap());
    let call = |arguments: &str| {
        let mut command = Command::new(bench.path("docker"));
        command.arg0("docker").env("PATH", &path).env("DOCKER_HOST", "tcp://x").current_dir("/");
        let output = command.args(shell_words::split(arguments).unwrap()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    };
    assert_eq!(call("info"), (1, "Cannot connect\n".to_owned()));
    assert_eq!(call("info --format json"), (2, "still starting\n".to_owned()));
    assert_eq!(call("info"), (0, "ready\n".to_owned()));
    assert_eq!(call("image inspect --format web x"), (0, "123\n".to_owned()));
    assert_eq!(call("logs 'a b'"), (0, "\"logs\"\n\"a b\"\n".to_owned()));
    assert_eq!(call("push web"), (97, "docker: the script knows no call `push web`\n".to_owned()));
    let calls = fs::read_to_string(bench.path("docker.calls")).unwrap();
    let first = r#"{"argv":["info"],"cwd":"/","env":{"DOCKER_HOST":"tcp://x"}}"#;
    assert_eq!((calls.lines().count(), calls.lines().next().unwrap()), (6, first));
}

// The normal path, measured by hand: `cargo test --release --features test-tools -- --ignored costs`.

#[test]
#[ignore = "a measurement"]
fn costs() {
    let bench = Bench::new();
    let room = Room::new();
    let argv = ["/bin/true".to_owned()];
    let options = Options { timeout: Some(FOR_EVER), ..Options::default() };
    let log = bench.log(None);
    let logged = Options { log: Some(&log), timeout: Some(FOR_EVER), ..Options::default() };
    let median = |run: &dyn Fn()| {
        let mut times: Vec<_> = (0..1000)
            .map(|_| {
                let begun = Instant::now();
                run();
                begun.elapsed()
            })
            .collect();
        times.sort();
        times[times.len() / 2]
    };
    let plain =
        median(&|| assert!(Command::new("/bin/true").stdin(Stdio::null()).status().unwrap().success()));
    let kept = median(&|| drop(bench.run(&room, &argv, &options)));
    let logged = median(&|| drop(bench.run(&room, &argv, &logged)));
    tell(&format!("plain {plain:?}, kept {kept:?}, logged {logged:?}"));
}
