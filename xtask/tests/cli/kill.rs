//! kill -9 at random moments of a run with fifty tasks, again and again: no record is lost, nothing is done twice
//! without reason, nothing survives the next start, and no temporary file stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::sandbox::{Running, Sandbox, n_thorough, note, runs, until};

const LEDGER: &str = ".xtask/ledger.jsonl";

/// How many tasks the run has.
const N_TASKS: usize = 50;

/// What every task calls. While there is a file `hold` beside it, two of them never end, one of these in a session of
/// its own.
const WORKER: &str = "\
@file hold go t07 => session [ hang ] child [ hang ] hang
@file hold go t19 => hang
ready => out ready
value => out 7
clean => exit 0
go => sleep 2
";

/// Fifty tasks in a tree. Between them they use everything that leaves traces: a folder of their own, captured
/// values, commands as checks, masked logs, locks and cleaning up.
fn plan() -> String {
    let mut out = "[prerequisite.worker]\nready = \"worker ready\"\n".to_owned();
    for n in 0..N_TASKS {
        let more = match n % 5 {
            0 => "run = \"worker go ID ${tmp}\"",
            1 => "run = \"worker go ID ${value}\"\ncapture.value = { run = \"worker value\" }",
            2 => "run = \"worker go ID\"\ncheck = [{ run = \"worker value\", contains = '7' }]",
            3 => "run = \"worker go ID\"\nenv = { TOKEN = \"s3cr3t-value\" }\nsecret = [\"TOKEN\"]",
            _ => "run = \"worker go ID\"\nlock = \"one\"\nfinally = \"worker clean ID ${tmp}\"",
        };
        let needs = if n == 0 { String::new() } else { format!("needs = [\"t{:02}\"]\n", (n - 1) / 3) };
        let id = format!("t{n:02}");
        out += &format!(
            "[[phase.task]]\nid = \"{id}\"\ntitle = \"Task {id}\"\nrequires = [\"worker\"]\n{needs}{}\n",
            more.replace("ID", &id)
        );
    }
    out
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(&plan());
    sandbox.tool("worker", WORKER);
    fs::create_dir(sandbox.path("../tmp")).unwrap();
    sandbox
}

/// Four tasks at a time, with a folder for temporary files that nobody else uses.
fn run(sandbox: &Sandbox) -> Command {
    let mut command = sandbox.command("p -j4");
    command.env("TMPDIR", sandbox.path("../tmp"));
    command
}

fn ledger(sandbox: &Sandbox) -> Vec<u8> {
    fs::read(sandbox.path(LEDGER)).unwrap_or_default()
}

/// Up to the last line feed.
fn whole_lines(ledger: &[u8]) -> &[u8] {
    &ledger[..ledger.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)]
}

fn records(lines: &[u8]) -> Vec<Value> {
    let lines = std::str::from_utf8(lines).unwrap().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Tasks and attempts of the records of a kind.
fn attempts(records: &[Value], kind: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = records.iter().filter(|record| record["kind"] == kind);
    of.map(|record| (text(&record["task"]), text(&record["event"]["attempt"]))).collect()
}

/// A generator of numbers that are random enough for moments (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What the kills met.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    /// The run had recorded nothing yet.
    early: usize,
    /// The last line was not whole.
    torn: usize,
    /// Attempts that were cut off.
    cut_off: usize,
    /// Processes that were left behind.
    survivors: usize,
    /// Tasks that were done, over all kills.
    done: usize,
}

/// Kills a run and checks it and the next one. False if it had ended before it was to be killed.
fn kill_once(random: &mut Random, whole: Duration, tally: &Mutex<Tally>) -> bool {
    let sandbox = sandbox();
    // In half of the cases some tasks never end; in the others the kill may meet the last steps of a run.
    let hold = sandbox.bin("hold");
    if random.next().is_multiple_of(2) {
        fs::write(&hold, "").unwrap();
    }
    let running = sandbox.spawn(run(&sandbox));
    thread::sleep(whole.mul_f64((random.next() % 10_000) as f64 / 10_000.0));
    running.signal(libc::SIGKILL);
    let killed = running.ended();
    if killed.signal().is_none() {
        return false;
    }
    let left = sandbox.processes();
    let torn = ledger(&sandbox);
    let before = whole_lines(&torn).to_vec();
    let then = records(&before);
    let _ = fs::remove_file(&hold);
    check_record_of_the_killed(&sandbox, &then, killed.said());

    let running = sandbox.spawn(run(&sandbox));
    check_first_start(&sandbox, &running, before.len(), &left);
    running.ended().exits(0);
    let after = ledger(&sandbox);
    assert!(after.starts_with(&before), "what was recorded stays, byte for byte");
    check_chain(&after);
    check_repeated(&sandbox, &then, &records(&after));
    assert_eq!(temporary(&sandbox), BTreeSet::new());
    assert_eq!(sandbox.processes(), [0; 0]);
    // Nothing is left to do.
    let evidence = sandbox.evidence();
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.evidence(), evidence);

    let ended = attempts(&then, "task-ended");
    let mut tally = tally.lock().unwrap();
    tally.kills += 1;
    tally.early += usize::from(then.is_empty());
    tally.torn += usize::from(torn.len() > before.len());
    tally.cut_off += attempts(&then, "task-started").len() - ended.len();
    tally.survivors += left.len();
    tally.done += ended.len();
    true
}

/// What a killed run had done and said is on record: a task before it began, its end before it was told.
fn check_record_of_the_killed(sandbox: &Sandbox, then: &[Value], said: &str) {
    let (started, ended) = (attempts(then, "task-started"), attempts(then, "task-ended"));
    let has = |of: &[(String, String)], id: &str| of.iter().any(|(task, _)| task == id);
    for call in sandbox.calls("worker").iter().filter(|call| call[0] == "go") {
        assert!(has(&started, &call[1]), "{} began and is not on record", call[1]);
    }
    for id in said.lines().filter_map(|line| line.strip_prefix("✓ ")?.split(' ').next()) {
        assert!(has(&ended, id), "{id} was told to be done and is not on record");
    }
}

/// When the next run starts its first task nothing of the killed one is left.
fn check_first_start(sandbox: &Sandbox, running: &Running, known: usize, left: &[u32]) {
    let starts = |text: &[u8]| text.windows(14).any(|part| part == b"\"task-started\"");
    until("something starts, or nothing is left to do", || {
        ledger(sandbox).get(known..).is_some_and(starts) || !runs(running.pid)
    });
    let alive: Vec<&u32> = left.iter().filter(|pid| runs(**pid)).collect();
    assert!(alive.is_empty(), "{alive:?} of {left:?}");
}

/// Every line names the digest of the one before, and they are numbered.
fn check_chain(ledger: &[u8]) {
    let mut before: &[u8] = b"";
    for (at, line) in whole_lines(ledger).split_inclusive(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\n").unwrap();
        let record: Value = serde_json::from_slice(line).unwrap();
        assert_eq!(record["prev"], xtask::ids::Digest::of(before).to_string(), "line {}", at + 1);
        assert_eq!(record["seq"], at + 1);
        before = line;
    }
    assert_eq!(whole_lines(ledger).len(), ledger.len());
}

/// Every task is started until it has ended and not once more, and its command ran at most as often.
fn check_repeated(sandbox: &Sandbox, then: &[Value], now: &[Value]) {
    let passed: BTreeSet<String> = attempts(then, "task-ended").into_iter().map(|(task, _)| task).collect();
    let (started, ended) = (attempts(now, "task-started"), attempts(now, "task-ended"));
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    started.iter().for_each(|(task, _)| counts.entry(task).or_default().0 += 1);
    let calls = sandbox.calls("worker");
    calls.iter().filter(|call| call[0] == "go").for_each(|call| counts.get_mut(&*call[1]).unwrap().1 += 1);
    assert_eq!((counts.len(), ended.len()), (N_TASKS, N_TASKS), "all are done, each once");
    for (task, (n_started, n_ran)) in counts {
        // The one reason to start it again: the attempt was cut off.
        let n_cut = started.iter().filter(|s| s.0 == task && !ended.contains(s)).count();
        assert_eq!(n_started, n_cut + 1, "{task}");
        assert!(n_cut == 0 || !passed.contains(task), "{task} was done and was started again");
        assert!((1..=n_started).contains(&n_ran), "{task} ran {n_ran} times in {n_started} attempts");
    }
}

/// What is lying about that is no evidence.
fn temporary(sandbox: &Sandbox) -> BTreeSet<String> {
    let kept = ["pipeline.toml", "STATUS.md", ".xtask", "ledger.jsonl", "lock", "logs", "digests", "tmp"];
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let mut out: BTreeSet<String> = [sandbox.path(""), sandbox.path(".xtask")]
        .iter()
        .flat_map(|folder| names(folder))
        .filter(|name| !kept.contains(&name.as_str()))
        .collect();
    out.extend(names(&sandbox.path(".xtask/tmp")));
    out.extend(names(&sandbox.path("../tmp")));
    out
}

#[test]
fn a_run_that_is_killed_at_any_moment_loses_nothing() {
    let n_kills = n_thorough(40, 200);
    let seed =
        std::env::var("XTASK_FAULTS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            now.as_nanos() as u64
        });
    note(&format!("XTASK_FAULTS_SEED={seed}"));
    let begun = Instant::now();
    sandbox_run();
    let whole = begun.elapsed();
    let tally = Mutex::new(Tally::default());
    thread::scope(|scope| {
        for worker in 0..2 {
            let tally = &tally;
            scope.spawn(move || {
                let mut random = Random(seed.wrapping_add(worker));
                for _ in 0..n_kills / 2 {
                    while !kill_once(&mut random, whole, tally) {}
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    note(&format!("a whole run takes {whole:?}; {tally:?}; {:?} in all", begun.elapsed()));
    assert_eq!(tally.kills, n_kills);
    // Otherwise the moments would say nothing.
    assert!(tally.cut_off > 0 && tally.survivors > 0 && tally.done > 0, "{tally:?}");
}

/// A run from nothing to its end.
fn sandbox_run() {
    let sandbox = sandbox();
    sandbox.run_command(run(&sandbox)).exits(0);
    assert_eq!(temporary(&sandbox), BTreeSet::new());
}
