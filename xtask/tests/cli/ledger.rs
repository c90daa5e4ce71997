//! The ledger on disk: cut anywhere, written by somebody newer, chained, and on a disk that is full.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::thread;

use camino::Utf8Path;
use serde_json::{Value, json};
use xtask::exec::Instance;
use xtask::ids::Digest;
use xtask::ledger::event::{ByHand, Event};
use xtask::ledger::store::{Home, Ledger, Refused};
use xtask::ledger::{History, fold};

use crate::sandbox::{Sandbox, n_thorough, note, states};

const LEDGER: &str = ".xtask/ledger.jsonl";

fn one_task() -> Sandbox {
    let sandbox = Sandbox::new(
        "[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrun = \"fake-tool append ran x\"\nfinally = \"fake-tool append cleaned x\"\n",
    );
    sandbox.run("p").exits(0);
    sandbox
}

fn bytes(sandbox: &Sandbox) -> Vec<u8> {
    fs::read(sandbox.path(LEDGER)).unwrap()
}

/// Appends this to the ledger as it is.
fn append(sandbox: &Sandbox, text: &[u8]) {
    File::options().append(true).open(sandbox.path(LEDGER)).unwrap().write_all(text).unwrap();
}

/// The last record with other fields, as somebody else would have appended it.
fn append_record(sandbox: &Sandbox, changes: &Value) {
    let text = sandbox.read(LEDGER);
    let last = text.lines().last().unwrap();
    let mut record: Value = serde_json::from_str(last).unwrap();
    record["seq"] = json!(record["seq"].as_u64().unwrap() + 1);
    record["prev"] = json!(Digest::of(last.as_bytes()).to_string());
    for (key, value) in changes.as_object().unwrap() {
        record[key] = value.clone();
    }
    append(sandbox, format!("{record}\n").as_bytes());
}

/// Every record names the digest of the line before, and they are numbered.
#[track_caller]
fn check_chain(sandbox: &Sandbox) {
    let text = sandbox.read(LEDGER);
    assert!(text.ends_with('\n'));
    let mut before: &[u8] = b"";
    for (at, line) in text.lines().enumerate() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["prev"], Digest::of(before).to_string(), "line {}", at + 1);
        assert_eq!((&record["seq"], &record["v"]), (&json!(at + 1), &json!(1)));
        before = line.as_bytes();
    }
}

#[test]
fn a_run_is_recorded_as_it_becomes_true() {
    let sandbox = one_task();
    let kinds: Vec<Value> = sandbox.records().iter().map(|record| record["kind"].clone()).collect();
    assert_eq!(kinds, ["run-started", "task-started", "task-ended", "run-ended"]);
    let records = sandbox.records();
    let run = &records[0]["run"];
    assert!(records.iter().all(|record| record["run"] == *run), "every record names its run");
    let (started, ended) = (&records[1], &records[2]);
    assert_eq!((&started["task"], &started["event"]["place"]), (&json!("t"), &json!("local")));
    assert_eq!(started["event"]["attempt"], ended["event"]["attempt"]);
    for part in ["host", "boot", "pid", "started"] {
        assert!(started["event"]["instance"].get(part).is_some(), "{started}");
    }
    assert_eq!(records[0]["event"]["arguments"], json!(["p"]));
}

#[test]
fn a_command_is_recorded_as_it_was_started_and_where() {
    let sandbox = Sandbox::new(
        r#"
        [[phase.task]]
        id = "t"
        title = "T"
        cwd = "sub"
        env = { MODE = "fast" }
        env_file = "settings.env"
        plain = ["SHOWN"]
        run = ["fake-tool append 'two words' ${run.id}", "fake-tool out hunter-two"]
        [[phase.task]]
        id = "u"
        title = "U"
        needs = ["t"]
        shell = "sh"
        run = "exit 0"
        "#,
    );
    sandbox.link("sh");
    sandbox.write("sub/x", "");
    sandbox.write("settings.env", "TOKEN=hunter-two\nSHOWN=yes-please\n");
    sandbox.run("p").exits(0);
    let run = sandbox.records()[0]["run"].clone();
    let commands = sandbox.events("task-ended")[0]["commands"].clone();
    assert_eq!(commands[0]["argv"], json!(["fake-tool", "append", "two words", run]));
    assert_eq!(commands[1]["argv"], json!(["fake-tool", "out", "***"]));
    let script = sandbox.events("task-ended")[1]["commands"][0].clone();
    let words = script["argv"].as_array().unwrap();
    assert_eq!(
        (&words[0], words.last(), &script["cwd"]),
        (&json!("sh"), Some(&json!("exit 0")), &json!("."))
    );
    assert!(commands.as_array().unwrap().iter().all(|command| command["cwd"] == "sub"), "{commands}");
    assert_eq!(sandbox.events("task-started")[0]["env"], json!(["MODE", "SHOWN", "TOKEN"]));
    assert!(!sandbox.read(LEDGER).contains("hunter-two") && !sandbox.read(LEDGER).contains("yes-please"));
}

#[test]
fn a_secret_that_lies_across_words_is_not_recorded_as_words() {
    let sandbox = Sandbox::new(
        "[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nenv_file = \"e\"\nrun = \"fake-tool out open sesame now\"\n",
    );
    sandbox.write("e", "PASS='open sesame'\n");
    // Three words are too many for the stand-in; that it was started is on record all the same.
    sandbox.run("p").exits(1);
    let command = sandbox.events("task-ended")[0]["commands"][0].clone();
    assert_eq!((&command["command"], command.get("argv")), (&json!("fake-tool out *** now"), None));
}

#[test]
fn cleaning_up_is_recorded_with_its_log() {
    let sandbox = Sandbox::new(
        "[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrun = \"fake-tool exit 0\"\nteardown = \"fake-tool out gone\"\n",
    );
    sandbox.run("p").exits(0);
    let event = sandbox.events("torn-down")[0].clone();
    let log = sandbox.path(event["log"].as_str().unwrap());
    assert!(fs::read_to_string(&log).unwrap().contains("gone"));
    let log = camino::Utf8PathBuf::try_from(log).unwrap();
    assert_eq!(event["digest"], xtask::exec::digest(&log).unwrap());
}

#[test]
fn a_ledger_that_is_cut_at_any_byte_keeps_its_whole_lines() {
    let text = bytes(&one_task());
    let whole = fold(&text);
    for at in 0..=text.len() {
        let history = fold(&text[..at]);
        let lines = text[..at].iter().filter(|byte| **byte == b'\n').count();
        let kept = text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |i| i + 1);
        assert_eq!((history.seq, history.health.torn), (lines as u64, (at - kept) as u64), "cut at {at}");
        assert!(history.health.unreadable.is_empty() && history.health.newer.is_none());
        assert_eq!(history.task("t").last.is_some(), lines >= 2, "cut at {at}");
        assert_eq!(
            history.task("t").last.as_ref().is_some_and(|last| last.ended.is_some()),
            lines >= 3,
            "cut at {at}"
        );
    }
    assert_eq!((whole.seq, whole.open_runs.len()), (4, 0));
}

/// A ledger with records of every kind, and where its lines end.
fn every_kind() -> (Sandbox, Vec<u8>, Vec<usize>) {
    let sandbox = Sandbox::new(
        r#"
        [fact.place]
        run = "worker place"
        [prerequisite.worker]
        program = "worker"
        [prerequisite.absent]
        program = "absent"
        [[phase.task]]
        id = "a"
        title = "A"
        when = { place = "here" }
        requires = ["worker"]
        inputs = ["in"]
        run = "worker go"
        check = [{ run = "worker up" }]
        [[phase.task]]
        id = "d"
        title = "D"
        teardown = "worker down"
        [[phase.task]]
        id = "b"
        title = "B"
        needs = ["a"]
        inputs = ["in"]
        [[phase.task]]
        id = "c"
        title = "C"
        requires = ["absent"]
        [[gate]]
        title = "G"
        check = [{ run = "worker up" }]
        "#,
    );
    let script = "place => out here\n@file gone up => exit 1\ngo => exit 0\n* => out 'worker 1.2.3'";
    sandbox.tool("worker", script);
    sandbox.write("in", "1");
    sandbox.run("p").exits(3);
    fs::write(sandbox.bin("gone"), "").unwrap();
    sandbox.run("p --task b --force").exits(1);
    fs::remove_file(sandbox.bin("gone")).unwrap();
    sandbox.run("skip c --reason x").exits(0);
    sandbox.run("forget a").exits(0);
    sandbox.run("p").exits(0);
    let ledger = bytes(&sandbox);
    let kinds: BTreeSet<String> =
        sandbox.records().iter().map(|record| record["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds.len(), 12, "{kinds:?}");
    let ends = ledger.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    (sandbox, ledger, ends)
}

/// Opens a ledger that nobody holds. A child that another test is about to start may have our lock in its hands for as
/// long as it is not yet another program.
fn open(home: &Home, instance: &Instance) -> (Ledger, History) {
    loop {
        match Ledger::open(home, "test", instance, &xtask::secrets::Secrets::default()) {
            Err(Refused::Held(_)) => {}
            other => return other.unwrap(),
        }
    }
}

#[test]
fn a_ledger_that_is_cut_at_any_byte_is_opened_with_its_whole_lines() {
    let (sandbox, ledger, ends) = every_kind();
    let home = Home::new(Utf8Path::from_path(&sandbox.path("")).unwrap());
    let instance = Instance::current();
    for at in 0..=ledger.len() {
        // A new file: some file systems write one that was emptied and filled again to disk at once.
        sandbox.remove(LEDGER);
        sandbox.write(LEDGER, &ledger[..at]);
        let (opened, history) = open(&home, &instance);
        let whole = ends.iter().rfind(|end| **end <= at).copied().unwrap_or_default();
        let n_lines = ends.iter().filter(|end| **end <= at).count();
        assert_eq!((history.seq, bytes(&sandbox).len()), (n_lines as u64, whole), "cut at {at}");
        if at % 64 == 0 {
            let event = Event::TaskForgotten(ByHand { reason: None, by: "test".to_owned() });
            opened.append(jiff::Timestamp::UNIX_EPOCH, Some("a"), &event).unwrap();
            opened.close().unwrap();
            check_chain(&sandbox);
        }
        assert!(bytes(&sandbox).starts_with(&ledger[..whole]), "cut at {at}");
    }
}

#[test]
fn a_ledger_that_is_cut_at_any_byte_is_gone_on_with() {
    let check = |part: usize| {
        let (sandbox, ledger, ends) = every_kind();
        let step = n_thorough(ledger.len() / 20, 1);
        let near_ends = ends.iter().flat_map(|end| [end - 1, *end]);
        let cuts: BTreeSet<usize> = near_ends.chain((0..ledger.len()).step_by(step)).collect();
        note(&format!("{} of {} bytes", cuts.len(), ledger.len()));
        for at in cuts.into_iter().filter(|at| at % 2 == part) {
            sandbox.remove(LEDGER);
            sandbox.write(LEDGER, &ledger[..at]);
            let whole = ends.iter().rfind(|end| **end <= at).copied().unwrap_or_default();
            let states = states(&sandbox.run("p --json").ends().json());
            assert!(bytes(&sandbox).starts_with(&ledger[..whole]), "cut at {at}");
            check_chain(&sandbox);
            assert_eq!((&*states["a"], &*states["b"]), ("done", "done"), "cut at {at}");
            assert!(states["c"] == "skipped" || states["c"] == "blocked", "cut at {at}: {}", states["c"]);
        }
    };
    thread::scope(|scope| {
        for part in 0..2 {
            scope.spawn(move || check(part));
        }
    });
}

#[test]
fn a_torn_tail_is_mentioned_while_looking_and_healed_by_a_run() {
    let sandbox = one_task();
    let before = bytes(&sandbox);
    append(&sandbox, br#"{"v":1,"seq":5,"prev":"0"#);
    let torn = bytes(&sandbox);
    sandbox.run("status").exits(0).says("was not whole (24 bytes)");
    assert_eq!(bytes(&sandbox), torn, "looking writes nothing");
    sandbox.run("p --force").exits(0).says("was not whole");
    assert!(bytes(&sandbox).starts_with(&before));
    check_chain(&sandbox);
    assert!(!sandbox.run("p").exits(0).stderr.contains("was not whole"));
}

#[test]
fn a_torn_end_of_an_attempt_is_an_interruption() {
    let sandbox = one_task();
    let text = sandbox.read(LEDGER);
    let end = text.match_indices('\n').nth(2).unwrap().0;
    sandbox.write(LEDGER, &text[..end - 1]);
    sandbox.expect("t=interrupted");
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.read("ran"), "xx");
    // What the run owed that did not end in order.
    assert_eq!(sandbox.read("cleaned"), "xxx");
    check_chain(&sandbox);
}

#[test]
fn a_newer_format_is_read_and_not_written() {
    let sandbox = one_task();
    append_record(&sandbox, &json!({ "v": 2, "kind": "task-started", "event": { "of": "the future" } }));
    let (ledger, report) = (bytes(&sandbox), sandbox.read("STATUS.md"));
    for call in ["p", "p --force", "resume", "skip t --reason x", "forget t"] {
        sandbox.run(call).exits(4).says("newer").says(LEDGER);
    }
    assert_eq!((bytes(&sandbox), sandbox.read("STATUS.md")), (ledger, report));
    sandbox.run("status").exits(0).says("format 2").shows("done");
    sandbox.run("report").exits(0).shows("Test");
    sandbox.run("explain t").exits(0);
    sandbox.run("log t").exits(0);
}

#[test]
fn unknown_kinds_and_fields_are_kept_and_passed_over() {
    let sandbox = one_task();
    append_record(
        &sandbox,
        &json!({ "kind": "approved", "task": "t", "event": { "by": "somebody" }, "more": [1, 2] }),
    );
    append_record(&sandbox, &json!({ "kind": "weather", "event": "sunny" }));
    let before = bytes(&sandbox);
    sandbox.expect("t=done");
    assert_eq!(sandbox.run("status").exits(0).stderr, "");
    sandbox.run("p --force").exits(0);
    assert!(bytes(&sandbox).starts_with(&before));
    check_chain(&sandbox);
}

#[test]
fn lines_that_cannot_be_read_are_kept_and_mentioned() {
    let sandbox = one_task();
    append(&sandbox, b"not a record\n\xff\xfe\n");
    let before = bytes(&sandbox);
    sandbox.run("status").exits(0).says("lines 5, 6").shows("done");
    sandbox.run("p --force").exits(0);
    assert!(bytes(&sandbox).starts_with(&before));
}

#[test]
fn records_are_chained_over_several_runs() {
    let sandbox = one_task();
    sandbox.run("p --force").exits(0);
    sandbox.run("skip t --reason x").exits(0);
    sandbox.run("forget t").exits(0);
    sandbox.run("p").exits(0);
    check_chain(&sandbox);
}

/// Runs with no file allowed to become larger than this.
fn run_with_limit(sandbox: &Sandbox, limit: usize) -> crate::sandbox::Ran {
    let mut command = sandbox.command("p --force");
    let limit = libc::rlimit { rlim_cur: limit as libc::rlim_t, rlim_max: limit as libc::rlim_t };
    // SAFETY: both calls may be made between fork and exec; ignoring a signal installs no code.
    unsafe {
        command.pre_exec(move || {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            if libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) == 0 {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        });
    }
    sandbox.run_command(command)
}

/// A ledger that is larger than every other file here.
fn long_ledger() -> (Sandbox, Vec<u8>) {
    let sandbox = one_task();
    for _ in 0..6 {
        sandbox.run("p --force").exits(0);
    }
    let ledger = bytes(&sandbox);
    assert!(ledger.len() > 2 * sandbox.read("STATUS.md").len());
    (sandbox, ledger)
}

#[test]
fn a_full_disk_ends_the_run_before_anything_starts() {
    let (sandbox, before) = long_ledger();
    let ran = sandbox.read("ran");
    run_with_limit(&sandbox, before.len() + 100).exits(4).says(LEDGER).says("too large");
    assert_eq!((bytes(&sandbox), sandbox.read("ran")), (before, ran));
    sandbox.run("p --force").exits(0);
    check_chain(&sandbox);
}

#[test]
fn a_disk_that_fills_up_meanwhile_leaves_whole_lines() {
    let (sandbox, before) = long_ledger();
    let ran = sandbox.read("ran").len();
    let lines: Vec<usize> = sandbox.read(LEDGER).lines().map(|line| line.len() + 1).collect();
    let n = lines.len();
    // Room for the start of the run and that of the task, not for its end.
    run_with_limit(&sandbox, before.len() + lines[n - 4] + lines[n - 3] + 60).exits(4).says(LEDGER);
    check_chain(&sandbox);
    let kinds: Vec<Value> = sandbox.records()[n..].iter().map(|record| record["kind"].clone()).collect();
    assert_eq!(kinds, ["run-started", "task-started"]);
    assert_eq!(sandbox.read("ran").len(), ran + 1, "what was under way went on");
    sandbox.expect("t=interrupted");
    sandbox.run("p").exits(0);
    sandbox.expect("t=done");
}

#[test]
fn what_is_in_the_way_of_the_ledger_is_named() {
    for (path, is_folder) in [(".xtask", false), (LEDGER, true)] {
        let sandbox =
            Sandbox::new("[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrun = \"fake-tool append ran x\"\n");
        if is_folder {
            fs::create_dir_all(sandbox.path(path)).unwrap();
        } else {
            sandbox.write(path, "");
        }
        sandbox.run("p").exits(4).says(path);
        assert!(!sandbox.has("ran"));
    }
}
