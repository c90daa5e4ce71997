//! Children that misbehave, clocks that jump, files that cannot be read, and two runs at once. What a kill leaves is in
//! `kill.rs` and `crash.rs`, what a full disk does in `disk.rs`.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::sandbox::{Output, Ran, Running, Sandbox, n_thorough, note, runs, until};

#[test]
fn a_question_does_not_end_others_that_are_asked_at_the_same_time() {
    let sandbox = Sandbox::new(
        r#"
        [prerequisite.one]
        ready = "fake-tool wait other-is-there child [ mute ready left hang ] wait left"
        [prerequisite.other]
        ready = "fake-tool session [ write other-is-there x wait over ] wait other-is-there wait over"
        timeout = "20s"
        [[phase.task]]
        id = "t"
        title = "T"
        requires = ["one", "other"]
        "#,
    );
    let running = sandbox.start("p");
    // `one` has ended, and what it left behind was ended with it.
    let left = || fs::read_to_string(sandbox.path("left")).ok()?.trim().parse().ok();
    until("it leaves something behind", || left().is_some());
    until("that is ended", || !runs(left().unwrap()));
    sandbox.write("over", "");
    running.ended().exits(0);
    sandbox.expect("t=done");
}

// The clock.

/// Text without its times, and these.
fn split_times(text: &str) -> (String, Vec<String>) {
    let time = regex::Regex::new(r"\d{4}-\d\d-\d\dT[0-9:.]+Z").unwrap();
    let times = time.find_iter(text).map(|found| found.as_str().to_owned()).collect();
    (time.replace_all(text, "TIME").into_owned(), times)
}

#[test]
fn a_clock_that_jumps_back_changes_nothing() {
    let sandbox = Sandbox::new(
        r#"
        [prerequisite.absent]
        program = "no-such-tool"
        [[phase.task]]
        id = "a"
        title = "A"
        inputs = ["in"]
        run = "fake-tool append ran a"
        [[phase.task]]
        id = "b"
        title = "B"
        needs = ["a"]
        run = "tool b"
        [[phase.task]]
        id = "c"
        title = "C"
        requires = ["absent"]
        "#,
    );
    sandbox.link("git");
    let git = |arguments: &str| {
        let mut command = std::process::Command::new("git");
        command.args(shell_words::split(arguments).unwrap());
        sandbox.confine(&mut command);
        assert!(command.status().unwrap().success(), "git {arguments}");
    };
    let commit = |text: &str| {
        sandbox.write("in", text);
        git("add in");
        git("-c user.name=x -c user.email=x@x commit -q -m x");
    };
    git("init -q -b main");
    sandbox.tool("tool", "@first 1 b => exit 1\nb => exit 0");
    sandbox.run("p").exits(1);
    commit("1");
    sandbox.run("p").exits(3);
    commit("2");
    sandbox.run("p").exits(3);
    sandbox.run("skip b --reason x").exits(0);
    sandbox.run("forget b").exits(0);
    sandbox.run("p").exits(3);
    // The times are in the records, so their digests are others.
    let head = regex::Regex::new(r"[0-9a-f]{32}").unwrap();
    let told = |text: &str| head.replace_all(&split_times(text).0, "DIGEST").into_owned();
    let then = told(&sandbox.status().to_string());
    let report = told(&sandbox.run("report").exits(0).stdout);

    // The same records, each of them a day before the one that it comes after.
    let mut day = 0;
    let time = regex::Regex::new(r#""at":"[^"]+""#).unwrap();
    let rewritten = time
        .replace_all(&sandbox.read(".xtask/ledger.jsonl"), |_: &regex::Captures<'_>| {
            day += 1;
            format!(
                "\"at\":\"{}-{:02}-{:02}T00:00:00Z\"",
                2101 - day / 300,
                12 - day / 25 % 12,
                28 - day % 25
            )
        })
        .into_owned();
    sandbox.write(".xtask/ledger.jsonl", &rewritten);
    let status = sandbox.status();
    assert_eq!(told(&status.to_string()), then);
    let last = sandbox.records().into_iter().rfind(|record| record["kind"] != "run-ended").unwrap();
    assert_eq!(status["as_of"], last["at"]);
    let date = regex::Regex::new(r"\d{4}-\d\d-\d\d").unwrap();
    let dates = |text: &str| date.replace_all(text, "DATE").into_owned();
    assert_eq!(dates(&told(&sandbox.run("report").exits(0).stdout)), dates(&report));

    // And the next run is now, which is long before all that is on record.
    let started = sandbox.started().len();
    commit("3");
    sandbox.run("p").exits(3);
    assert_eq!(sandbox.started()[started..], ["a", "b"]);
    sandbox.expect("a=done b=done c=blocked");
    let status = sandbox.status();
    let ended = sandbox.records().into_iter().rfind(|record| record["kind"] == "task-ended").unwrap();
    assert_eq!(status["as_of"], ended["at"]);
    assert_eq!(status["revision"], sandbox.events("task-started").last().unwrap()["git"]["revision"]);
    let head = fs::read_to_string(sandbox.path(".git/refs/heads/main")).unwrap();
    assert_eq!(status["revision"], head.trim());
    assert_eq!(sandbox.task("a")["attempt"]["number"], 4);
}

// Two at once.

#[test]
fn of_two_runs_that_start_at_once_one_is_refused_twenty_times() {
    for _ in 0..20 {
        let sandbox = Sandbox::new(
            "[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrun = \"fake-tool append ran x wait refused\"\ntimeout = \"20s\"\n",
        );
        let running = [sandbox.start("p"), sandbox.start("p")];
        let pids = [running[0].pid, running[1].pid];
        // The one that runs waits for the end of the other.
        until("one has ended", || pids.iter().any(|pid| !runs(*pid)));
        sandbox.write("refused", "");
        let mut codes = Vec::new();
        for (ran, other) in running.map(Running::ended).into_iter().zip([pids[1], pids[0]]) {
            if ran.code() == Some(4) {
                ran.exits(4).says(&format!("process id {other} on")).says("/.xtask");
                codes.push(4);
            } else {
                ran.exits(0);
                codes.push(0);
            }
        }
        codes.sort_unstable();
        assert_eq!((codes, sandbox.read("ran").as_str()), (vec![0, 4], "x"));
        let kinds: Vec<Value> = sandbox.records().iter().map(|record| record["kind"].clone()).collect();
        assert_eq!(kinds, ["run-started", "task-started", "task-ended", "run-ended"]);
        sandbox.run("p").exits(0);
    }
}

// Children.

/// Everywhere where a child may stand, with what keeps a task from being done if it does not end.
const PLACES: &[(&str, &str)] = &[
    ("run", "run = 'CHILD'"),
    ("masked", "env = { TOKEN = 's3cr3t-value' }\nsecret = ['TOKEN']\nrun = 'CHILD'"),
    ("shell", "shell = 'sh'\nrun = 'CHILD'"),
    ("finally", "finally = 'CHILD'"),
    ("teardown", "teardown = 'CHILD'"),
    ("capture", "capture.value = { run = 'CHILD' }\nrun = 'fake-tool argv ${value}'"),
    ("check", "check = [{ run = 'CHILD' }]"),
    ("measure", "measure = [{ name = 'm', run = 'CHILD', regex = '(7)', unit = 'count' }]"),
    ("ready", "requires = ['tool']\n[prerequisite.tool]\nready = 'CHILD'"),
    ("fact", "when = { told = { not = 'x' } }\n[fact.told]\nrun = 'CHILD'\nregex = '7'"),
    ("gate", "[[gate]]\ntitle = 'G'\ncheck = [{ run = 'CHILD' }]"),
];

/// A sandbox with this child in this place. It stands for 7.
fn with_child(keys: &str, child: &str) -> Sandbox {
    let keys = keys.replace("CHILD", child);
    let sandbox = Sandbox::new(&format!("[[phase.task]]\nid = \"t\"\ntitle = \"T\"\n{keys}\n"));
    sandbox.link("sh");
    sandbox.link("cat");
    sandbox
}

/// Nothing that was started here runs.
#[track_caller]
fn check_nothing_left(sandbox: &Sandbox, place: &str) {
    assert_eq!(sandbox.processes(), [0; 0], "{place}");
}

#[test]
fn whoever_stays_behind_holds_up_nothing_and_is_ended() {
    let check = |stays: &str, place: &str, keys: &str| {
        // It keeps the streams that it was given.
        let child = format!("fake-tool raw 7 {stays} [ raw 7 ready far hang ] wait far");
        let sandbox = with_child(keys, &child);
        sandbox.run("p").exits(0);
        check_nothing_left(&sandbox, place);
        assert_eq!(sandbox.task("t")["state"], "done", "{place}");
    };
    thread::scope(|scope| {
        for (place, keys) in PLACES {
            scope.spawn(move || check("session [ hang ] daemon", place, keys));
        }
    });
    thread::scope(|scope| {
        for stays in ["child", "group", "session", "daemon", "ignore-term daemon"] {
            scope.spawn(move || PLACES[..2].iter().for_each(|(place, keys)| check(stays, place, keys)));
        }
    });
}

#[test]
fn a_child_that_ignores_being_asked_is_killed() {
    for (place, keys) in [
        ("run", "run = 'CHILD'"),
        ("capture", "capture.value = { run = 'CHILD' }\nrun = 'fake-tool argv ${value}'"),
        ("check", "check = [{ run = 'CHILD' }]"),
    ] {
        let keys = format!("timeout = \"200ms\"\ngrace = \"50ms\"\n{keys}");
        let sandbox = with_child(&keys, "fake-tool ignore-term daemon [ hang ] child [ hang ] hang");
        sandbox.run("p").exits(1);
        check_nothing_left(&sandbox, place);
        assert_eq!(sandbox.task("t")["state"], "failed", "{place}");
    }
}

#[test]
fn a_child_that_reads_meets_the_end_at_once() {
    for (place, keys) in PLACES {
        let sandbox = with_child(keys, "fake-tool raw 7 stdin");
        // Ours has something to read, and no end.
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"not for a child\n").unwrap();
        let mut command = sandbox.command("p");
        command.stdin(reader);
        sandbox.run_command(command).exits(0);
        assert_eq!(sandbox.task("t")["state"], "done", "{place}");
        assert!(!sandbox.everything().contains("not for a child"), "{place}");
    }
}

/// Bytes that are no text, and text that does something to a terminal or to Markdown.
fn garbage() -> Vec<u8> {
    let mut out =
        b"7 \x1b[2J\x1b]0;owned\x07\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\ \x9b31m \xc2\x9b31m \x1b[?1049h"
            .to_vec();
    out.extend(
        "\u{202e}desrever\u{2066} \r\x08\x08<script>alert(1)</script> | `x` **b** ![x](y)\n".as_bytes(),
    );
    out.extend((0..=255).collect::<Vec<u8>>());
    out.extend((0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8));
    out.extend(b"\n7 last \x1b[31mred \xff\xfe\x00 end");
    out
}

/// No control character but the line feed, and nothing that turns the direction of text.
#[track_caller]
fn check_harmless(text: &str, what: &str) {
    let harmful = |c: &char| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let found: Vec<char> = text.chars().filter(harmful).collect();
    assert!(found.is_empty(), "{what}: {:?}", &found[..found.len().min(10)]);
}

#[test]
fn what_a_child_prints_reaches_nobody_as_it_is() {
    for (place, keys) in PLACES {
        for end in ["cat garbage", "sh -c \"cat garbage; exit 3\"", "sh -c \"cat garbage >&2; exit 3\""] {
            let sandbox = with_child(keys, end);
            sandbox.write("garbage", garbage());
            let ran = sandbox.run("p");
            assert!(matches!(ran.code(), Some(0 | 1 | 3)), "{place}: {:?}", ran.code());
            let mut shown = vec![("run", ran.said().to_owned())];
            for call in [
                "status",
                "status --json",
                "doctor",
                "doctor --json",
                "explain t",
                "explain t --json",
                "report",
                "report --format json",
                "list",
                "graph",
                "p --dry-run",
            ] {
                let Output { stdout, stderr } = sandbox.run(call).ends();
                shown.push((call, stdout + &stderr));
            }
            shown.push(("STATUS.md", sandbox.read("STATUS.md")));
            for (what, text) in &shown {
                check_harmless(text, &format!("{place}, {end}, {what}"));
            }
            check_nothing_left(&sandbox, place);
        }
    }
}

/// The most memory that a process has had so far, in bytes.
fn peak_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024)
}

#[test]
fn a_child_that_floods_takes_no_memory() {
    let size = n_thorough(64_000_000, 2_000_000_000);
    let begun = std::time::Instant::now();
    for (place, keys) in PLACES.iter().filter(|(place, _)| *place != "teardown" && *place != "gate") {
        // Questions have less time than tasks as a rule.
        let timely = |head: &str| format!("{head}\ntimeout = '5m'");
        let keys = keys.replace("[fact.told]", &timely("[fact.told]"));
        let keys = keys.replace("[prerequisite.tool]", &timely("[prerequisite.tool]"));
        let sandbox = with_child(
            &format!("teardown = \"fake-tool ready here wait go\"\n{keys}"),
            &format!("fake-tool out 7 flood {size}"),
        );
        let mut here = sandbox.fifo("here");
        let running = sandbox.start("p");
        here.pid();
        let peak = peak_memory(running.pid).unwrap();
        sandbox.write("go", "");
        let ran = running.ended();
        note(&format!(
            "{place}: {} MB of memory for {} MB of output, {:?}",
            peak >> 20,
            size / 1_000_000,
            begun.elapsed()
        ));
        // What is asked is kept to a limit, as bytes and as text.
        assert!(peak < 200 << 20, "{place}: {peak}");
        // A captured value is longer than an argument may be.
        assert!(matches!(ran.code(), Some(0 | 1)), "{place}");
    }
}

#[test]
fn a_log_that_is_larger_than_memory_should_be_is_shown() {
    let size = n_thorough(64_000_000, 2_000_000_000);
    let sandbox = with_child("run = 'CHILD'", &format!("fake-tool flood {size}"));
    sandbox.run("p").exits(0);
    // The reader of a pipe is behind; meanwhile the writer can be looked at.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = sandbox.command("log t");
    let mut child = command.stdout(writer).spawn().unwrap();
    drop(command);
    let (mut n_read, mut buffer, mut peak) = (0, vec![0; 1 << 20], 0);
    while n_read < size {
        let n = reader.read(&mut buffer).unwrap();
        assert!(n > 0, "{n_read} bytes");
        n_read += n;
        // It may have ended when all is in the pipe.
        peak = peak.max(peak_memory(child.id()).unwrap_or_default());
    }
    n_read += reader.read_to_end(&mut Vec::new()).unwrap();
    assert!(child.wait().unwrap().success());
    assert!((size..size + 10_000).contains(&n_read), "{n_read}");
    note(&format!("{} MB of memory", peak >> 20));
    assert!(peak < 64 << 20, "{peak}");
}

// Where it is.

#[test]
fn a_path_with_blanks_and_other_letters_is_a_path() {
    let sandbox = Sandbox::named(" wör king–dir 漢字 'q' \"d\" $HOME ;* & e\u{301}");
    for name in ["sh", "cat", "git"] {
        sandbox.link(name);
    }
    sandbox.pipeline(
        r#"
        [prerequisite.tool]
        program = "tøøl"
        ready = "tøøl ready"
        [[phase.task]]
        id = "a"
        title = "Ä"
        requires = ["tool"]
        inputs = ["in püt/**", "in püt/*.tëxt"]
        cwd = "sub dïr"
        run = ["fake-tool write '../out püt' x", "tøøl ${tmp} ${run.id}"]
        artifacts = ["out püt"]
        check = [{ file = "out püt", contains = "x" }, { files = "in püt/*.tëxt", count = 2 }, { run = "fake-tool cwd", contains = "sub dïr" }]
        [[phase.task]]
        id = "b"
        title = "B"
        needs = ["a"]
        shell = "sh"
        run = "printf '%s' \"$PWD\" > here; cat 'out püt' >> \"$OUT\""
        env = { OUT = "${tmp}/x" }
        teardown = "fake-tool write 'torn dòwn' x"
        "#,
    );
    sandbox.tool(
        "tøøl",
        "ready => exit 0\n--version => out 'tøøl 1.2.3'\n@file hold _ => ready here hang\n* => argv",
    );
    sandbox.write("in püt/ein tëxt.tëxt", "1");
    // The same name for a person, another for the system.
    sandbox.write("in püt/e\u{301}.tëxt", "1");
    sandbox.write("in püt/\u{e9}", "1");
    fs::create_dir(sandbox.path("sub dïr")).unwrap();
    fs::write(sandbox.bin("hold"), "").unwrap();
    let running = sandbox.start("p");
    until("it is under way", || sandbox.has("sub dïr/here"));
    running.signal(libc::SIGKILL);
    running.ended().ends_by(libc::SIGKILL);
    fs::remove_file(sandbox.bin("hold")).unwrap();
    sandbox.run("resume").exits(0).says("ended 1 process ");
    sandbox.run("p").exits(0);
    sandbox.expect("a=done b=done");
    let root = sandbox.path("").canonicalize().unwrap();
    assert_eq!(Path::new(&sandbox.read("here")), root);
    assert_eq!(fs::read_dir(sandbox.path(".xtask/tmp")).map_or(0, Iterator::count), 0);
    assert!(
        sandbox.has("torn dòwn")
            && sandbox.log("a").contains("1.2.3") == sandbox.log("a").contains("--version")
    );
    let inputs = &sandbox.events("task-started")[1]["inputs"];
    assert_eq!(inputs.as_object().unwrap().len(), 3);
    let evidence = sandbox.evidence();
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.evidence(), evidence);
    for call in ["status", "report", "explain a", "doctor", "graph", "p --dry-run", "report --check"] {
        sandbox.run(call).exits(0);
    }
    sandbox.write("in püt/\u{e9}", "2");
    sandbox.run("explain a").exits(0).shows("in püt/\u{e9}");
    // From elsewhere, by its path.
    let mut command = sandbox.command("p");
    command.current_dir("/").arg("--file").arg(sandbox.path("pipeline.toml"));
    sandbox.run_command(command).exits(0);
    sandbox.expect("a=done b=done");
}

// Files.

/// A task with these inputs.
fn with_inputs(inputs: &str) -> Sandbox {
    Sandbox::new(&format!(
        "[[phase.task]]\nid = \"t\"\ntitle = \"T\"\ninputs = {inputs}\nrun = \"fake-tool append .xtask/ran x\"\n"
    ))
}

#[test]
fn links_that_lead_in_circles_are_followed_nowhere() {
    let sandbox = with_inputs("[\"**\"]");
    let link = |to: &str, name: &str| {
        let path = sandbox.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(to, path).unwrap();
    };
    // A thousand links, the last to the first.
    for n in 0..1000 {
        link(&format!("{}", (n + 1) % 1000), &format!("links/{n}"));
    }
    // A folder in itself, two in each other, the one above, and everything.
    link(".", "loop");
    link("../b", "a/b");
    link("../a", "b/a");
    link("..", "sub/up");
    link("/", "sub/all");
    sandbox.write("a/file", "1");
    let begun = std::time::Instant::now();
    sandbox.run("p").exits(0);
    sandbox.run("p").exits(0);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(sandbox.started(), ["t"]);
    let inputs = sandbox.events("task-started")[0]["inputs"].clone();
    // The links, the file, and pipeline.toml.
    assert_eq!(inputs.as_object().unwrap().len(), 1000 + 5 + 2);
    // A link is known by where it points to, if that is nowhere.
    fs::remove_file(sandbox.path("links/500")).unwrap();
    link("499", "links/500");
    sandbox.run("explain t").exits(0).shows("links/500");
    sandbox.expect("t=stale");
}

#[test]
fn a_path_that_leads_round_and_round_is_told() {
    let deep = format!("{}a/file", "loop/".repeat(500));
    let sandbox = with_inputs(&format!("[\"{deep}\", \"a/**\"]"));
    std::os::unix::fs::symlink(".", sandbox.path("loop")).unwrap();
    sandbox.write("a/file", "1");
    sandbox.run("p").exits(1).says("loop/loop/").says("Too many levels of symbolic links");
    assert!(!sandbox.has(".xtask/ran"));
    // So often as the system takes it is a path like any other.
    sandbox.edit(&"loop/".repeat(500), &"loop/".repeat(30));
    sandbox.run("p").exits(0);
    sandbox.write("a/file", "2");
    sandbox.expect("t=stale");
}

/// A call by somebody who may not read what nobody may read. Root may, unless it lays that down.
pub fn as_anybody(sandbox: &Sandbox, arguments: &str) -> Ran {
    let mut command = sandbox.command(arguments);
    // SAFETY: prctl with these arguments takes numbers. Who is not root may not call it, and need not.
    unsafe {
        command.pre_exec(|| {
            for capability in [CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH] {
                libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
            }
            Ok(())
        });
    }
    sandbox.run_command(command)
}

/// Numbers of the system's that the crate of its calls does not name.
const CAP_DAC_OVERRIDE: libc::c_ulong = 1;
const CAP_DAC_READ_SEARCH: libc::c_ulong = 2;

/// Changes the permissions of a path.
pub fn permit(sandbox: &Sandbox, path: &str, mode: u32) {
    fs::set_permissions(sandbox.path(path), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn an_input_without_permission_is_told_and_never_up_to_date() {
    // Each is closed, and named in a message.
    let listed = "could not be listed: src/sub: Permission denied";
    for (closed, named, why) in [
        ("src/secret", "the input `src/secret`", "could not be read: Permission denied"),
        ("src/sub", "the input `src/**`", listed),
    ] {
        let sandbox = with_inputs("[\"src/**\"]");
        for name in ["src/open", "src/secret", "src/sub/file"] {
            sandbox.write(name, "1");
        }
        let mode = fs::metadata(sandbox.path(closed)).unwrap().permissions().mode();
        // From the start: nothing is run, however often.
        permit(&sandbox, closed, 0);
        for _ in 0..2 {
            as_anybody(&sandbox, "p").exits(1).says(named).says(why);
            assert!(!sandbox.has(".xtask/ran"));
        }
        assert_eq!(sandbox.task("t")["because"][0]["by"], "environment");
        assert!(sandbox.read("STATUS.md").contains(why));
        permit(&sandbox, closed, mode);
        as_anybody(&sandbox, "p").exits(0);
        as_anybody(&sandbox, "p").exits(0);
        assert_eq!(sandbox.read(".xtask/ran"), "x");
        // After it was done: it may have changed meanwhile, or not.
        permit(&sandbox, closed, 0);
        let status = as_anybody(&sandbox, "status --json").exits(0).json();
        assert_eq!(status["tasks"][0]["state"], "stale");
        let because = &status["tasks"][0]["because"];
        assert_eq!((&because[0]["what"], because.as_array().unwrap().len()), (&Value::from("unreadable"), 1));
        as_anybody(&sandbox, "explain t").exits(0).shows(why);
        as_anybody(&sandbox, "status").exits(0).shows(why);
        as_anybody(&sandbox, "report").exits(0).shows(why);
        as_anybody(&sandbox, "p").exits(1).says(named).says(why);
        permit(&sandbox, closed, mode);
        as_anybody(&sandbox, "p").exits(0);
        sandbox.expect("t=done");
        assert_eq!(sandbox.read(".xtask/ran"), "xx");
    }
}

#[test]
fn a_name_that_is_no_text_is_told() {
    use std::os::unix::ffi::OsStrExt as _;
    let sandbox = with_inputs("[\"src/*.c\"]");
    sandbox.write("src/a.c", "1");
    let name = |bytes: &[u8]| sandbox.path("src").join(std::ffi::OsStr::from_bytes(bytes));
    fs::write(name(b"\xff.h"), "1").unwrap();
    sandbox.run("p").exits(0);
    fs::write(name(b"\xff.c"), "1").unwrap();
    sandbox.expect("t=stale");
    sandbox.run("p").exits(1).says("the input `src/*.c`").says("is not UTF-8");
    fs::remove_file(name(b"\xff.c")).unwrap();
    sandbox.run("p").exits(0);
}

#[test]
fn what_is_neither_a_file_nor_a_folder_is_an_input_like_others() {
    let sandbox = with_inputs("[\"src/**\"]");
    sandbox.write("src/file", "1");
    let _fifo = sandbox.fifo("src/fifo");
    let _socket = std::os::unix::net::UnixListener::bind(sandbox.path("src/socket")).unwrap();
    sandbox.run("p").exits(0);
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.started(), ["t"]);
    sandbox.remove("src/fifo");
    sandbox.run("explain t").exits(0).shows("src/fifo");
    sandbox.expect("t=stale");
}

#[test]
fn a_file_that_keeps_changing_is_told_and_what_was_made_of_it_is_stale() {
    let sandbox = with_inputs("[\"in\"]");
    // So large that reading it takes longer than a writer waits for its turn.
    fs::File::create(sandbox.path("in")).unwrap().set_len(64 << 20).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::File::options().append(true).open(sandbox.path("in")).unwrap();
            while !over.load(Ordering::Relaxed) {
                file.write_all(b"more").unwrap();
            }
        });
        // It may be the log of another task: no reason to refuse the work.
        sandbox.run("p").exits(0);
        sandbox.run("explain t").exits(0).shows("the input in could not be read: it kept changing");
        over.store(true, Ordering::Relaxed);
    });
    sandbox.expect("t=stale");
    sandbox.run("p").exits(0);
    sandbox.expect("t=done");
    assert_eq!(sandbox.read(".xtask/ran"), "xx");
}

#[test]
fn files_that_come_and_go_while_they_are_listed_are_no_mistake() {
    let sandbox = with_inputs("[\"src/**\"]");
    for n in 0..100 {
        sandbox.write(&format!("src/{n}/file"), "1");
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in (0..100).cycle() {
                let _ = fs::remove_dir_all(sandbox.path(&format!("src/{n}")));
                if over.load(Ordering::Relaxed) {
                    return;
                }
                sandbox.write(&format!("src/{n}/file"), "1");
            }
        });
        for _ in 0..10 {
            sandbox.run("p --force").exits(0);
        }
        over.store(true, Ordering::Relaxed);
    });
}
