//! Files that are made to hurt whoever reads them: refused, or read, in bounded time and memory. What takes too long
//! hangs, and the sandbox ends it; what takes too much memory is refused that.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt as _;

use crate::sandbox::{Output, Ran, Sandbox};

/// More than any file may make the program take, in bytes; it is also what a user may be limited to.
const MEMORY: u64 = 2 << 30;

const HEAD: &str = "[pipeline]\nid = \"p\"\ntitle = \"T\"\n\n[[phase]]\nid = \"f\"\ntitle = \"F\"\n";

/// More tasks than anybody has.
const MANY: usize = 100_000;

fn run(sandbox: &Sandbox, call: &str) -> Ran {
    let mut command = sandbox.command(call);
    let limit = libc::rlimit { rlim_cur: MEMORY, rlim_max: MEMORY };
    // SAFETY: the call takes a number and a structure, and allocates nothing.
    unsafe {
        command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_AS, &raw const limit) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    sandbox.run_command(command)
}

fn with(text: &str) -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.write("pipeline.toml", text);
    sandbox
}

/// The file is refused, with these words, and not with more than a person reads.
#[track_caller]
fn refused(what: &str, text: &str, words: &str) -> Output {
    let output = run(&with(text), "lint").exits(2);
    assert!(output.stderr.contains(words), "{what}: {:.2000}", output.stderr);
    assert!(output.stderr.len() < 100_000, "{what}: {} bytes", output.stderr.len());
    assert!(!output.stderr.contains('\u{1b}'), "{what}");
    output
}

/// Tasks `T0`, `T1`, ..., each with these keys.
fn tasks(n: usize, keys: impl Fn(usize) -> String) -> String {
    (0..n).fold(String::new(), |mut out, i| {
        let _ = write!(out, "[[phase.task]]\nid=\"T{i}\"\ntitle=\"x\"\n{}\n", keys(i));
        out
    })
}

/// The file with one task that has these keys.
fn task(keys: &str) -> String {
    format!("{HEAD}[[phase.task]]\nid = \"a\"\ntitle = \"A\"\n{keys}\n")
}

#[test]
fn what_is_nested_is_refused() {
    let deep = |part: &str| part.repeat(MANY);
    for (what, text, words) in [
        ("arrays", task(&format!("run = {}", deep("["))), "max recursion depth"),
        ("closed arrays", task(&format!("run = {}{}", deep("["), deep("]"))), "max recursion depth"),
        ("tables", task(&format!("env = {}1{}", deep("{a="), deep("}"))), "max recursion depth"),
        ("a key of many parts", format!("{}a = 1\n{HEAD}", deep("a.")), "recursion limit"),
        ("a header of many parts", format!("{HEAD}[{}a]\n", deep("a.")), "recursion limit"),
        (
            "a pattern",
            task(&format!("check = [{{ file = 'a', contains = '{}{}' }}]", deep("("), deep(")"))),
            "is not a regular expression",
        ),
        (
            "a glob",
            task(&format!("inputs = [\"{}{}\"]", deep("{a,"), deep("}"))),
            "is not a glob pattern: it has more than 1000 bytes",
        ),
        (
            "a short glob",
            task(&format!("inputs = [\"{}{}\"]", "{a,".repeat(11), "}".repeat(11))),
            "is not a glob pattern: more than 10 of its braces",
        ),
    ] {
        refused(what, &text, words);
    }
}

#[test]
fn what_is_long_is_refused_and_not_repeated() {
    let long = "x".repeat(15 << 20);
    for (what, text, words) in [
        ("an id", HEAD.replace("\"p\"", &format!("\"{long}\"")), "can't be the id of a pipeline"),
        ("a key", format!("{HEAD}{long} = 1\n"), "unknown key `xxx"),
        ("the name of a need", task(&format!("needs = [\"{long}\"]")), "there is no task `xxx"),
        ("a pattern", task(&format!("check = [{{ file = 'a', contains = '{long}' }}]")), "it is too large"),
        (
            "a version",
            format!("{HEAD}[prerequisite.a]\nprogram = 'a'\nversion = '{long}'\n"),
            "range of versions",
        ),
        ("a number", task(&format!("retry = {{ times = {} }}", "9".repeat(1 << 20))), "a whole number"),
        ("a duration", task(&format!("timeout = \"{}h\"", "9".repeat(1 << 20))), "is not a duration"),
        (
            "ranges of versions",
            format!("{HEAD}[prerequisite.a]\nprogram = 'a'\nversion = '{}>=1'\n", ">=1,".repeat(1 << 20)),
            "range of versions",
        ),
        ("a file", format!("{HEAD}# {}\n", "x".repeat(17 << 20)), "are the most that is read"),
    ] {
        refused(what, &text, words);
    }
}

#[test]
fn patterns_that_grow_are_refused_and_others_compile() {
    for pattern in [
        "(?:\\w{90}){90}",
        "((a{100}){100}){100}",
        "(\\w\\w\\w\\w\\w\\w\\w\\w\\w\\w\\w\\w\\w\\w\\w\\w\\w\\w){100}",
    ] {
        refused(
            pattern,
            &task(&format!("check = [{{ file = 'a', contains = '{pattern}' }}]")),
            "it is too large",
        );
    }
    // What is not refused is used, and is found or not.
    for pattern in ["\\w{30}", "[0-9a-f]{64}", "(a|b|c){1,200}", "\\pL{20}"] {
        let sandbox = with(&task(&format!("check = [{{ file = 'a', contains = '{pattern}' }}]")));
        sandbox.write("a", "x".repeat(1 << 20));
        let ran = run(&sandbox, "p");
        assert!(matches!(ran.code(), Some(0 | 1)), "{pattern}: {}", ran.said());
    }
}

#[test]
fn mistakes_without_number_are_counted() {
    for (what, text, first, n) in [
        (
            "unknown keys",
            tasks(MANY, |i| format!("rnu = 1\nneeds=[\"Q{i}\"]")),
            "unknown key `rnu`",
            "200000 mistakes",
        ),
        (
            "keys of nobody",
            (0..MANY).fold(String::new(), |all, i| all + &format!("k{i} = 1\n")),
            "unknown key `k0`",
            "100000 mistakes",
        ),
        ("names", task(&format!("run = \"echo {}\"", "${a}".repeat(MANY))), "unset variable `a`", " mistake"),
        (
            "bad variables",
            format!("[vars]\n{}", (0..MANY).fold(String::new(), |all, i| all + &format!("K-{i} = \"\"\n"))),
            "`K-0` is not a variable's name",
            " mistakes",
        ),
        (
            "the same id",
            tasks(MANY, |_| String::new()).replace("T", "x").replace(|c: char| c.is_ascii_digit(), ""),
            "is declared twice",
            "99999 mistakes",
        ),
    ] {
        let output = refused(what, &format!("{HEAD}{text}"), first);
        assert!(output.stderr.contains(n), "{what}: {}", &output.stderr[output.stderr.len() - 200..]);
        assert!(n == " mistake" || output.stderr.contains("that are not shown"), "{what}");
    }
    let syntax = refused("syntax", &format!("{HEAD}{}", "= \n".repeat(MANY)), "not TOML");
    syntax.says("that are not shown");
}

#[test]
fn values_that_double_are_refused() {
    let mut vars = String::from("[vars]\nv0 = \"xxxxxxxxxxxxxxxx\"\n");
    for i in 1..60 {
        let _ = writeln!(vars, "v{i} = \"${{v{0}}}${{v{0}}}\"", i - 1);
    }
    refused("each twice", &format!("{vars}{}", task("run = \"echo ${v59}\"")), "come to more than");
    let long = format!("[vars]\nlong = \"{}\"\n", "x".repeat(1 << 20));
    refused(
        "one often",
        &format!("{long}{HEAD}{}", tasks(MANY, |_| "run=\"echo ${long}\"".to_owned())),
        "come to more than",
    );
    refused(
        "in scripts",
        &format!("{long}{HEAD}{}", tasks(MANY, |_| "shell=\"sh\"\nrun=\"echo $long\"".to_owned())),
        "come to more than",
    );
}

#[test]
fn many_of_everything_is_read() {
    let vars = (1..MANY)
        .fold("[vars]\nv0 = \"1\"\n".to_owned(), |all, i| all + &format!("v{i} = \"${{v{}}}\"\n", i - 1));
    let needs = (0..MANY - 1).map(|i| format!("\"T{i}\"")).collect::<Vec<_>>().join(",");
    let wide = |i: usize| if i == MANY - 1 { format!("needs=[{needs}]") } else { String::new() };
    let chain = |i: usize| if i > 0 { format!("needs=[\"T{}\"]", i - 1) } else { String::new() };
    let prerequisites = (0..10_000).fold(String::new(), |all, i| {
        all + &format!(
            "[prerequisite.p{i}]\nvariable='A'\n{}",
            if i > 0 { format!("requires=['p{}']\n", i - 1) } else { String::new() }
        )
    });
    for (what, text) in [
        ("variables, each from the one before", format!("{vars}{}", task("run = \"echo ${v99999}\""))),
        ("needs of one task", format!("{HEAD}{}", tasks(MANY, wide))),
        ("tasks in a row", format!("{HEAD}{}", tasks(MANY, chain))),
        ("inputs", format!("{HEAD}{}", tasks(MANY, |i| format!("inputs=[\"a{i}/**/*.rs\"]")))),
        (
            "prerequisites in a row",
            format!(
                "{HEAD}{prerequisites}{}",
                "[[phase]]\nid='g'\ntitle='G'\n[[phase.task]]\nid='a'\ntitle='A'\nrequires=['p9999']\n"
            ),
        ),
    ] {
        let output = run(&with(&text), "lint").exits(0);
        assert!(output.stderr.contains("is fine"), "{what}");
    }
}

#[test]
fn phases_that_need_each_other_have_a_limit() {
    let phase = |id: &str, keys: &str| format!("[[phase]]\nid=\"{id}\"\ntitle=\"x\"\n{keys}\n");
    let own = |letter: &str, n| tasks(n, |_| String::new()).replace('T', letter);
    let text = |n| {
        format!(
            "[pipeline]\nid=\"p\"\ntitle=\"t\"\n{}{}{}{}",
            phase("f", ""),
            own("A", n),
            phase("g", "needs=[\"f\"]"),
            own("B", n)
        )
    };
    refused("both large", &text(50_000), "tasks need more than 1000000 others in all")
        .says("put a task between");
    run(&with(&text(900)), "lint").exits(0);
}

/// A row of tasks of which each needs the one before: nothing that is said of the last one goes through them all by
/// calling itself, or says them all.
#[test]
fn a_long_row_is_looked_at_in_bounded_memory() {
    const N: usize = 5_000;
    let chain = |i: usize| match i {
        0 => "requires=[\"tool\"]".to_owned(),
        i => format!("needs=[\"T{}\"]", i - 1),
    };
    let sandbox =
        with(&format!("[prerequisite.tool]\nprogram=\"nobody-has-this\"\n{HEAD}{}", tasks(N, chain)));
    let last = format!("explain T{}", N - 1);
    for (call, code) in
        [("status --json", 0), ("graph", 0), ("report", 0), ("report --format junit", 0), ("list", 0)]
    {
        run(&sandbox, call).exits(code);
    }
    let explained = run(&sandbox, &last).exits(0);
    assert!(
        explained.stdout.contains("nobody-has-this") && explained.stdout.len() < 10_000,
        "{}",
        explained.stdout
    );
    let explained = run(&sandbox, &format!("{last} --json")).exits(0);
    explained.shows("nobody-has-this").shows(&format!("; {} tasks on, `T0` is blocked", N - 22));
    let doctor = run(&sandbox, "doctor --json").exits(3).parsed();
    assert_eq!(doctor["prerequisites"][0]["releases"], N);
}

#[test]
fn what_is_no_file_is_not_read() {
    let sandbox = Sandbox::empty();
    sandbox.write("folder/x", "");
    drop(sandbox.fifo("pipe"));
    std::os::unix::fs::symlink("/dev/zero", sandbox.path("endless")).unwrap();
    for file in ["/dev/zero", "/dev/null", "pipe", "folder", "endless", "nothing"] {
        run(&sandbox, &format!("lint --file {file}")).exits(2).says(&format!("there is no file `{file}`"));
    }
    // What is looked for is passed over where it is none.
    fs::rename(sandbox.path("endless"), sandbox.path("pipeline.toml")).unwrap();
    run(&sandbox, "lint").exits(2).says("no `pipeline.toml`");
}

#[test]
fn a_ledger_that_does_not_end_is_refused() {
    for (name, code) in [
        (".xtask/ledger.jsonl", 4),
        (".xtask/holder.json", 0),
        (".xtask/digests", 0),
        (".xtask/settled", 0),
        (".xtask/logs/a-1-0.log", 0),
    ] {
        for place in ["/dev/zero", "pipe"] {
            let sandbox = with(&task("run = \"true\""));
            drop(sandbox.fifo("pipe"));
            let target = if place == "pipe" { sandbox.path("pipe") } else { place.into() };
            fs::create_dir_all(sandbox.path(name).parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, sandbox.path(name)).unwrap();
            for call in ["status", "history", "explain a", "report", "log a", "p --dry-run"] {
                let ran = run(&sandbox, call);
                assert!(ran.code().is_some(), "{name} -> {place}: {call}");
                if call == "status" {
                    ran.exits(code);
                }
            }
            let verify = run(&sandbox, "evidence verify");
            assert!(matches!(verify.code(), Some(0 | 1 | 4)), "{name} -> {place}");
        }
    }
}

/// Somebody else's `.xtask/` may have links to what is none of theirs.
#[test]
fn what_a_link_leads_to_is_no_log() {
    let sandbox = with(&task("run = \"false\""));
    sandbox.run("p").exits(1);
    sandbox.write("outside/key", "a private key\n");
    let log = sandbox.events("task-started")[0]["log"].as_str().unwrap().to_owned();
    let is_shown = |why: &str| {
        for call in
            ["log a", "log a --json", "report --format junit", "report --format ctrf", "evidence verify"]
        {
            let Output { stdout, stderr } = sandbox.run(call).ends();
            assert!(!(stdout + &stderr).contains("private key"), "{why}: {call}");
        }
    };
    fs::remove_file(sandbox.path(&log)).unwrap();
    std::os::unix::fs::symlink(sandbox.path("outside/key"), sandbox.path(&log)).unwrap();
    is_shown("the log is a link");
    fs::rename(sandbox.path(".xtask/logs"), sandbox.path("old")).unwrap();
    std::os::unix::fs::symlink(sandbox.path("outside"), sandbox.path(".xtask/logs")).unwrap();
    let text = sandbox.read(".xtask/ledger.jsonl").replace(&log, ".xtask/logs/key");
    sandbox.write(".xtask/ledger.jsonl", text);
    is_shown("the folder is a link");
    sandbox.run("log a").exits(4).says("which is no log of this pipeline");
}

#[test]
fn odd_ledgers_are_read() {
    let sandbox = with(&task("run = \"true\""));
    let record = |seq: usize, kind: &str, event: &str| {
        format!(
            "{{\"v\":1,\"seq\":{seq},\"prev\":\"{:032x}\",\"at\":\"2026-01-27T10:00:00Z\",\"run\":\"r\",\"kind\":\"{kind}\",\"task\":\"a\",\"event\":{event}}}\n",
            0
        )
    };
    let many = (1..=10_000).fold(String::new(), |all, seq| {
        all + &record(seq, "task-left", "{\"state\":\"blocked\",\"because\":[\"x\"]}")
    });
    let long = record(1, "task-skipped", &format!("{{\"by\":\"{}\"}}", "x".repeat(10 << 20)));
    let deep = record(1, "task-skipped", &format!("{}1{}", "[".repeat(1 << 20), "]".repeat(1 << 20)));
    let odd = "x\n".repeat(10_000);
    let numbers =
        record(1, "run-ended", "{\"exit\":99999999999999999999}").replace("\"seq\":1", "\"seq\":1e400");
    let twice = record(1, "task-left", "{\"state\":\"a\",\"state\":\"b\",\"because\":[]}")
        .replace("\"v\":1", "\"v\":1,\"v\":1");
    for (what, text) in [
        ("many", &many),
        ("long", &long),
        ("deep", &deep),
        ("no records", &odd),
        ("numbers", &numbers),
        ("twice", &twice),
    ] {
        sandbox.write(".xtask/ledger.jsonl", text);
        for call in ["status", "history"] {
            let ran = run(&sandbox, call);
            assert_eq!(ran.code(), Some(0), "{what}: {call}");
        }
        let ran = run(&sandbox, "evidence verify --json");
        assert_eq!(ran.code(), Some(1), "{what}");
    }
}
