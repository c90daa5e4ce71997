//! What stands on the screen of a terminal: the program gets a pseudo-terminal, and what it writes is put onto a
//! screen as a terminal would.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use regex::Regex;

use crate::sandbox::{Sandbox, kill, until};

/// Longer than anything here may take. Whatever takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a terminal makes of lines that are wider than it has become.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Narrowing {
    /// It cuts them off, as xterm does.
    Cuts,
    /// It breaks them, as most others do.
    Breaks,
}

/// The program on a terminal.
struct Pty {
    master: File,
    child: Child,
    bytes: mpsc::Receiver<Vec<u8>>,
    /// All that it has written.
    written: Vec<u8>,
    screen: vt100::Parser,
}

fn size(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap()
}

impl Pty {
    fn start(sandbox: &Sandbox, arguments: &str, columns: u16, rows: u16) -> Pty {
        let mut command = sandbox.command(arguments);
        command.env("TERM", "xterm-256color");
        Pty::spawn(command, columns, rows)
    }

    fn spawn(mut command: Command, columns: u16, rows: u16) -> Pty {
        let window = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let (mut master, mut slave) = (0, 0);
        // SAFETY: both numbers are written, no name is asked for, and the size is only read.
        let opened = unsafe {
            libc::openpty(
                &raw mut master,
                &raw mut slave,
                std::ptr::null_mut(),
                std::ptr::null(),
                &raw const window,
            )
        };
        assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: both were opened just now, and nobody else owns them.
        let (master, slave) = unsafe { (File::from_raw_fd(master), File::from_raw_fd(slave)) };
        // SAFETY: the master stays open as long as this descriptor is used; only its flags change.
        unsafe { libc::fcntl(master.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        command
            .stdin(Stdio::from(slave.try_clone().unwrap()))
            .stdout(Stdio::from(slave.try_clone().unwrap()))
            .stderr(Stdio::from(slave));
        // SAFETY: both calls may be made between fork and exec, and touch no memory. The terminal becomes that of the
        // session, so that Ctrl-C is a signal to the program.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            })
        };
        let child = command.spawn().unwrap();
        // What is left open here would keep the terminal from ending.
        drop(command);
        let (sender, bytes) = mpsc::channel();
        let mut reader = master.try_clone().unwrap();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            // At the end it fails: nobody has the other side open any more.
            while let Ok(n) = reader.read(&mut piece) {
                if n == 0 || sender.send(piece[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Pty {
            master,
            child,
            bytes,
            written: Vec::new(),
            screen: vt100::Parser::new(size(rows), size(columns), 0),
        }
    }

    /// The rows of the screen, without what differs from run to run and without those at the bottom that are empty.
    fn text(&self) -> String {
        let (_, columns) = self.screen.screen().size();
        let rows: Vec<String> = self.screen.screen().rows(0, columns.get()).collect();
        let rows: Vec<&str> = rows.iter().map(|row| row.trim_end()).collect();
        let text = rows.join("\n").trim_end().to_owned();
        // Times, so that columns stay where they are.
        let replaced = [
            (r"(?m)^([✓✗⚠] .*) [\d.]+ (ms|s|min \d+ s)$", "$1 T"),
            (r"(?m), \d+ s$", ", T"),
            (r"[ \d]\d s\b", "   T"),
            (r"-[0-9a-f]{8}\.log", "-X.log"),
            (r"\[[█░]+\]", "[#]"),
        ];
        replaced.iter().fold(text, |text, (pattern, with)| {
            Regex::new(pattern).unwrap().replace_all(&text, *with).into_owned()
        })
    }

    fn take(&mut self, bytes: &[u8]) {
        self.screen.process(bytes);
        self.written.extend_from_slice(bytes);
    }

    /// Waits until the screen is so.
    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(&self.text()) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => self.take(&bytes),
                Err(error) => panic!("{error}; not so: {what}\non the screen:\n{}", self.text()),
            }
        }
    }

    /// Waits until this is all that stands on the screen.
    #[track_caller]
    fn shows(&mut self, wanted: &str) {
        let wanted = wanted.trim_matches('\n');
        self.until(&format!("all that stands there is\n{wanted}"), |text| text == wanted);
    }

    /// Makes the terminal another size.
    fn resize(&mut self, columns: u16, rows: u16, narrowing: Narrowing) {
        // What was written for the old size is on the screen before it changes.
        while let Ok(bytes) = self.bytes.try_recv() {
            self.take(&bytes);
        }
        match narrowing {
            Narrowing::Cuts => self.screen.set_size(size(rows), size(columns)),
            Narrowing::Breaks => self.break_lines(columns, rows),
        }
        let window = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the size is only read.
        let answer = unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const window) };
        assert_eq!(answer, 0);
    }

    /// Lines that are too wide go on in the next row, and the cursor stays with the character that it is on.
    fn break_lines(&mut self, columns: u16, rows: u16) {
        let before = self.screen.screen();
        let (at, _) = before.cursor_position();
        let text: Vec<String> = before.rows(0, before.size().1.get()).collect();
        let end = text.iter().rposition(|row| !row.trim().is_empty()).map_or(0, |last| last + 1);
        let mut after = vt100::Parser::new(size(rows), size(columns), 0);
        let mut cursor = (0, 0);
        for (n, row) in text[..end.max(usize::from(at))].iter().enumerate() {
            if n == usize::from(at) {
                cursor = after.screen().cursor_position();
            }
            after.process(format!("{}\r\n", row.trim_end()).as_bytes());
        }
        if end <= usize::from(at) {
            cursor = after.screen().cursor_position();
        }
        after.process(format!("\x1b[{};{}H", cursor.0 + 1, cursor.1 + 1).as_bytes());
        self.screen = after;
    }

    /// Presses Ctrl-C.
    fn interrupt(&mut self) {
        self.master.write_all(b"\x03").unwrap();
    }

    /// Waits for its end. The cursor is there, at the beginning of the first empty row.
    #[track_caller]
    fn ends(mut self, code: i32) -> (String, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => self.take(&bytes),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(_) => panic!("it hangs\non the screen:\n{}", self.text()),
            }
        }
        let status = self.child.wait().unwrap();
        let text = self.text();
        assert_eq!(status.code(), Some(code), "{status}\n{text}");
        let screen = self.screen.screen();
        assert!(!screen.hide_cursor());
        let n_rows = screen.rows(0, screen.size().1.get()).collect::<Vec<_>>();
        let n_rows = n_rows.iter().rposition(|row| !row.trim().is_empty()).map_or(0, |last| last + 1);
        assert_eq!(screen.cursor_position(), (n_rows as u16, 0), "{text}");
        (text, String::from_utf8_lossy(&self.written).into_owned())
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if thread::panicking() {
            kill(self.child.id(), libc::SIGKILL);
        }
    }
}

/// Two tasks that wait for `go`: one prints a progress bar and has a wide title, the other prints what a terminal would
/// obey.
const TWO: &str = r#"
[[phase.task]]
id = "load"
title = "日本語のとても長い題名を持つ課題 👩‍🔧"
run = "fake-tool raw '10 %\\r20 %\\r\\e[K30 %\\r' ready load wait go-load"

[[phase.task]]
id = "odd"
title = "Odd"
run = "fake-tool raw 'first\\n\\e[2J\\e[9A\\e]0;title\\e\\\\odd\\e[31m output' ready odd wait go-odd"
"#;

#[track_caller]
fn check_two(narrowing: Narrowing) {
    let sandbox = Sandbox::new(TWO);
    let (mut load, mut odd) = (sandbox.fifo("load"), sandbox.fifo("odd"));
    let mut pty = Pty::start(&sandbox, "p -j2", 80, 24);
    load.pid();
    odd.pid();
    pty.shows(
        "
▸ load 日本語のとても長い題名を持つ課題 👩     T  30 %
▸ odd Odd                                      T  odd output
[#] 0/2, T",
    );
    pty.resize(40, 24, narrowing);
    pty.shows(
        "
▸ load 日本語のとて…     T  30 %
▸ odd Odd                T  odd output
[#] 0/2, T",
    );
    pty.resize(20, 24, narrowing);
    pty.shows(
        "
▸ load 日本…      T
▸ odd Odd         T
[#] 0/2, T",
    );
    pty.resize(200, 24, narrowing);
    pty.shows(
        "
▸ load 日本語のとても長い題名を持つ課題 👩     T  30 %
▸ odd Odd                                      T  odd output
[#] 0/2, T",
    );
    sandbox.write("go-odd", "");
    pty.shows(
        "
✓ odd Odd T
▸ load 日本語のとても長い題名を持つ課題 👩     T  30 %
[#] 1/2, T",
    );
    pty.resize(44, 24, narrowing);
    pty.shows(
        "
✓ odd Odd T
▸ load 日本語のとても…      T  30 %
[#] 1/2, T",
    );
    pty.resize(80, 24, narrowing);
    sandbox.write("go-load", "");
    let (text, _) = pty.ends(0);
    assert_eq!(
        text,
        "
✓ odd Odd T
✓ load 日本語のとても長い題名を持つ課題 👩‍🔧 T
2 of 2 tasks done; 2 tasks run
report: STATUS.md"
            .trim_start()
    );
}

#[test]
fn the_live_view_is_right_at_any_width_where_lines_are_cut() {
    check_two(Narrowing::Cuts);
}

#[test]
fn the_live_view_is_right_at_any_width_where_lines_are_broken() {
    check_two(Narrowing::Breaks);
}

#[test]
fn more_tasks_than_rows() {
    let task = |n: usize| {
        format!(
            "[[phase.task]]\nid = \"t{n}\"\ntitle = \"Task\"\nrun = \"fake-tool ready t{n} wait go-t{n}\"\n"
        )
    };
    let sandbox = Sandbox::new(&(0..5).map(task).collect::<String>());
    let mut fifos: Vec<_> = (0..5).map(|n| sandbox.fifo(&format!("t{n}"))).collect();
    let mut pty = Pty::start(&sandbox, "p -j5", 80, 4);
    for fifo in &mut fifos {
        fifo.pid();
    }
    let said = |n: usize| format!("▸ t{n} Task     T  $ fake-tool ready t{n} wait go-t{n}\n");
    pty.shows(&format!("{}  and 4 more\n[#] 0/5, T", said(0)));
    pty.resize(80, 2, Narrowing::Cuts);
    pty.shows("[#] 0/5, T");
    pty.resize(80, 7, Narrowing::Cuts);
    pty.shows(&format!("{}[#] 0/5, T", (0..5).map(said).collect::<String>()));
    pty.resize(80, 3, Narrowing::Cuts);
    pty.shows("  5 tasks under way\n[#] 0/5, T");
    (0..5).for_each(|n| sandbox.write(&format!("go-t{n}"), ""));
    let (text, _) = pty.ends(0);
    assert_eq!(text, "5 of 5 tasks done; 5 tasks run\nreport: STATUS.md");
}

#[test]
fn after_ctrl_c_the_screen_is_sane() {
    let sandbox = Sandbox::new(
        r#"
[[phase.task]]
id = "t"
title = "Task"
run = "fake-tool out output ready here hang"
"#,
    );
    let mut here = sandbox.fifo("here");
    let mut pty = Pty::start(&sandbox, "p", 80, 24);
    here.pid();
    pty.shows("▸ t Task     T  output\n[#] 0/1, T");
    pty.interrupt();
    let (text, _) = pty.ends(130);
    // The task may end before that is said.
    let stopping = "stopping: what is under way is ended and cleaned up; once more to kill it\n";
    assert!(text.contains(stopping), "{text}");
    assert_eq!(
        text.replace(stopping, ""),
        "
⚠ t Task T
⚠ t interrupted: the run was told to stop in the middle of it
    log: .xtask/logs/t-1-X.log
0 of 1 task done and 1 interrupted; 1 task run
Next (runs 1 task): cargo xtask resume
report: STATUS.md"
            .trim_start()
    );
}

#[test]
fn after_a_failure_the_screen_is_sane() {
    let sandbox = Sandbox::new(
        r#"
[[phase.task]]
id = "t"
title = "A title that is so long that it does not fit into a line of forty columns"
run = "fake-tool raw 'one\\r\\e[2Jtwo\\nthree' exit 3"
"#,
    );
    let (text, written) = Pty::start(&sandbox, "p", 40, 24).ends(1);
    // Where it is cut depends on how long the time is.
    let text = Regex::new("so long .*…").unwrap().replace(&text, "so long…");
    assert_eq!(
        text,
        "
✗ t A title that is so long… T
  `fake-tool raw 'one\\r\\e[2Jtwo\\nthree'
    exit 3`: exit code 3: three
  │ $ fake-tool raw 'one\\r\\e[2Jtwo\\nthre
e' exit 3
  │ two
  │ three
  │ # exit code 3
  log: .xtask/logs/t-1-X.log
✗ t failed: fake-tool raw
    'one\\r\\e[2Jtwo\\nthree' exit 3: exit
    code 3: three
    log: .xtask/logs/t-1-X.log
0 of 1 task done and 1 failed; 1 task
  run
Next (says why t failed):
    cargo xtask log t
report: STATUS.md"
            .trim_start()
    );
    assert!(!written.contains("\x1b]8;"), "no links on a terminal that is not known to open them");
}

#[test]
fn a_followed_log_stands_above_the_live_view() {
    let sandbox = Sandbox::new(
        r#"
[[phase.task]]
id = "a"
title = "A"
run = "fake-tool out one raw '10 %\\r20 %' ready a wait go raw '\\r30 %\\n\\e[1mtwo' exit 1"

[[phase.task]]
id = "b"
title = "B"
run = "fake-tool ready b wait go"
"#,
    );
    let (mut a, mut b) = (sandbox.fifo("a"), sandbox.fifo("b"));
    let mut pty = Pty::start(&sandbox, "p -j2 --follow a", 80, 24);
    a.pid();
    b.pid();
    pty.shows(
        "
▸ a A
  │ $ fake-tool out one raw '10 %\\r20 %' ready a wait go raw '\\r30 %\\n\\e[1mtwo'
exit 1
  │ one
▸ a A     T  20 %
▸ b B     T  $ fake-tool ready b wait go
[#] 0/2, T",
    );
    sandbox.write("go", "");
    let (text, _) = pty.ends(1);
    let text = text.replace("✓ b B T\n", "");
    assert!(text.contains("  │ one\n  │ 30 %\n  │ two\n  │ # exit code 1\n  │ # failed: "), "{text}");
    assert_eq!(text.matches("  │ two\n").count(), 1, "what was shown is not shown again: {text}");
}

#[test]
fn looking_commands_fit_and_link() {
    let sandbox = Sandbox::new(
        r#"
[[phase.task]]
id = "a"
title = "日本語のとても長い題名を持つ課題、そしてそれ以上"
run = "fake-tool exit 1"
link = "https://example.org/a"

[[phase.task]]
id = "b"
title = "Another"
needs = ["a"]
"#,
    );
    sandbox.run("p").exits(1);
    let shown = |call: &str, columns: u16| {
        let mut command = sandbox.command(call);
        command.env("TERM", "xterm-256color").env("FORCE_HYPERLINK", "1");
        Pty::spawn(command, columns, 60).ends(0)
    };
    let (text, written) = shown("status", 80);
    let age = Regex::new(r"evidence of .*").unwrap();
    insta::assert_snapshot!(age.replace(&text, "evidence of X"));
    let log = sandbox.events("task-started")[0]["log"].as_str().unwrap().to_owned();
    let root = sandbox.path("").canonicalize().unwrap();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let link = format!("\x1b]8;;file://{}{}/{log}\x1b\\", host.trim(), root.to_str().unwrap());
    assert!(written.contains(&link), "{link:?} is not in {written:?}");
    insta::assert_snapshot!(age.replace(&shown("status", 40).0, "evidence of X"));
    let (_, written) = shown("explain a", 80);
    assert!(
        written.contains("\x1b]8;;https://example.org/a\x1b\\https://example.org/a\x1b]8;;"),
        "{written:?}"
    );
    assert!(written.contains(&link), "{written:?}");
    let links = Regex::new("\x1b\\]8;;[^\x1b]*\x1b\\\\").unwrap();
    for columns in [40, 80, 200] {
        for call in ["status", "list", "history", "history a", "diff last last", "evidence verify"] {
            let (_, written) = shown(call, columns);
            for line in links.replace_all(&written, "").lines().map(str::trim_end) {
                let width = unicode_width::UnicodeWidthStr::width(line);
                assert!(width <= usize::from(columns), "{call}, {columns} columns: {line}");
            }
        }
    }
}

#[test]
fn log_follow_goes_on_until_the_attempt_ends() {
    let sandbox = Sandbox::new(
        r#"
[[phase.task]]
id = "a"
title = "A"
run = "fake-tool out one ready a wait go raw '\\e[1mtwo'"

[[phase.task]]
id = "b"
title = "B"
needs = ["a"]
run = ["fake-tool out b ready b wait go", "fake-tool flood 300000"]
"#,
    );
    let mut a = sandbox.fifo("a");
    let mut b = sandbox.fifo("b");
    sandbox.run("log a --follow").exits(2).says("has not been tried yet");
    let run = sandbox.start("p");
    a.pid();
    let first = sandbox.start("log a --follow");
    first.has_shown("one\n");
    let second = sandbox.start("log b --follow");
    second.has_said("waiting for `b` to start");
    sandbox.write("go", "");
    b.pid();
    run.ended().exits(0);
    let first = first.ended().exits(0).stdout;
    assert_eq!(first, sandbox.log("a"));
    assert!(first.ends_with("\x1b[1mtwo\n# passed\n"), "a file gets what was written: {first}");
    assert_eq!(second.ended().exits(0).stdout, sandbox.log("b"));
    // It has ended already.
    assert_eq!(sandbox.run("log a --follow").exits(0).stdout, first);
    // On a terminal nothing is obeyed.
    let (text, written) = Pty::start(&sandbox, "log a --follow", 80, 24).ends(0);
    assert!(text.ends_with("one\ntwo\n# passed"), "{text}");
    assert!(!written.contains('\x1b'), "{written:?}");
}

#[test]
fn log_follow_waits_for_a_task_that_never_starts() {
    let sandbox = Sandbox::new(
        r#"
[[phase.task]]
id = "a"
title = "A"
run = "fake-tool ready a wait go exit 1"

[[phase.task]]
id = "b"
title = "B"
needs = ["a"]
run = "fake-tool out b"
"#,
    );
    let mut a = sandbox.fifo("a");
    let run = sandbox.start("p");
    a.pid();
    let follow = sandbox.start("log b --follow");
    follow.has_said("waiting for `b` to start");
    sandbox.write("go", "");
    run.ended().exits(1);
    follow.ended().exits(0).says("the run ended without `b`");
}

#[test]
fn log_follow_ends_with_a_run_that_is_killed() {
    let sandbox = Sandbox::new(
        r#"
[[phase.task]]
id = "a"
title = "A"
run = "fake-tool out one ready a wait go"
"#,
    );
    let mut a = sandbox.fifo("a");
    let run = sandbox.start("p");
    a.pid();
    let follow = sandbox.start("log a --follow");
    follow.has_shown("one\n");
    run.signal(libc::SIGKILL);
    run.ended().ends_by(libc::SIGKILL);
    follow.ended().exits(0).says("the run was killed").shows("one\n");
    sandbox.write("go", "");
    until("the task has ended", || sandbox.processes().is_empty());
}

#[test]
fn run_follow_without_a_terminal() {
    let sandbox = Sandbox::new(
        r#"
[[phase.task]]
id = "a"
title = "A"
run = "fake-tool out '\\e[31mred' exit 1"
retry = { times = 1, delay = "1ms" }
"#,
    );
    let out = sandbox.run("p --follow a").exits(1);
    let lines: Vec<&str> = out.stderr.lines().collect();
    let shown = lines.iter().filter(|line| **line == "  │ red").count();
    assert_eq!(shown, 2, "{}", out.stderr);
    assert!(lines.iter().any(|line| line.starts_with("  │ # try 1 failed: ")), "{}", out.stderr);
    assert!(!out.stderr.contains('\x1b'), "{}", out.stderr);
    let mut command = sandbox.command("p --follow nothing");
    command.env("FORCE_HYPERLINK", "1");
    sandbox.run_command(command).exits(2).says("there is no task `nothing`");
    sandbox.run("p --follow a --dry-run").exits(2);
}

#[test]
fn what_is_no_terminal_gets_no_escapes() {
    let sandbox = Sandbox::new(
        r#"
[[phase.task]]
id = "a"
title = "A"
run = "fake-tool out '\\e[31mred' exit 1"
link = "https://example.org/a"
"#,
    );
    for call in
        ["p", "status", "doctor", "explain a", "list", "history", "history a", "verify", "evidence verify"]
    {
        let mut command = sandbox.command(call);
        command.env_remove("NO_COLOR").env("TERM", "xterm-kitty").env("FORCE_HYPERLINK", "1");
        let out = sandbox.run_command(command).ends();
        assert!(!out.stdout.contains('\x1b') && !out.stderr.contains('\x1b'), "{call}: {out:?}");
        assert!(out.stdout.lines().all(|line| line.chars().count() <= 80), "{call}: {out:?}");
    }
}
