//! The ledger and the logs on file systems that are full or can only be read: small ones of our own, which nobody
//! else sees.
#![cfg(target_os = "linux")]

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;
use std::thread;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, processes_of, runs, tell, until};

const LEDGER: &str = ".xtask/ledger.jsonl";

/// Set where this program has started itself once more to be allowed to mount.
const INSIDE: &str = "XTASK_MOUNTS";

/// Calls `test` on a thread that sees mounts of its own. Who is not root gets there through a user namespace, where
/// the system permits one; `name` is that of the test.
fn with_mounts(name: &str, test: impl FnOnce() + Send) {
    let refused = thread::scope(|scope| {
        let inside = || {
            // SAFETY: it takes a number. Without its own file system information the thread leaves the others alone.
            if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
                return Some(io::Error::last_os_error());
            }
            mount("none", Path::new("/"), "", libc::MS_REC | libc::MS_PRIVATE, "");
            test();
            None
        };
        scope.spawn(inside).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let Some(refused) = refused else { return };
    let unshare = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount"]).arg(program).env(INSIDE, "");
        command
    };
    let permitted = unshare(Path::new("true")).output().is_ok_and(|output| output.status.success());
    if !permitted || std::env::var_os(INSIDE).is_some() {
        return tell(&format!("{name} is skipped: mounts of one's own are not permitted here: {refused}"));
    }
    let status = unshare(&std::env::current_exe().unwrap()).args(["--exact", name]).status();
    assert!(status.unwrap().success());
}

fn mount(source: &str, target: &Path, kind: &str, flags: libc::c_ulong, data: &str) {
    let text = |text: &str| CString::new(text).unwrap();
    let (source, kind, data) = (text(source), text(kind), text(data));
    let place = text(target.to_str().unwrap());
    // SAFETY: all texts end with a zero byte and live long enough.
    let result =
        unsafe { libc::mount(source.as_ptr(), place.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()) };
    assert_eq!(result, 0, "{}: {}", target.display(), io::Error::last_os_error());
}

/// Puts an empty file system of so many bytes on a folder of the repository.
fn small(sandbox: &Sandbox, folder: &str, size: u32) {
    let path = sandbox.path(folder);
    fs::create_dir_all(&path).unwrap();
    mount("tmpfs", &path, "tmpfs", 0, &format!("size={size}"));
}

/// Makes a folder of the repository one that can only be read, for whoever opens something there from now on.
fn read_only(sandbox: &Sandbox, folder: &str) {
    let path = sandbox.path(folder);
    mount(path.to_str().unwrap(), &path, "", libc::MS_BIND, "");
    mount("none", &path, "", libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY, "");
}

/// Takes away what was put on a folder last.
fn unmount(sandbox: &Sandbox, folder: &str) {
    let path = CString::new(sandbox.path(folder).to_str().unwrap()).unwrap();
    // SAFETY: the path ends with a zero byte and lives long enough.
    assert_eq!(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) }, 0);
}

/// Fills the file system of a folder to the last byte.
fn fill(sandbox: &Sandbox, folder: &str) {
    let mut file = File::create(sandbox.path(folder).join("filler")).unwrap();
    for size in [4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

fn bytes(sandbox: &Sandbox) -> Vec<u8> {
    fs::read(sandbox.path(LEDGER)).unwrap()
}

/// `steady` runs until it is ended, and is cleaned up after. `go` ends when it is told to, with a record that is
/// longer than what may be left of a page. Then comes `next`.
fn plan() -> String {
    let long = "x".repeat(9000);
    format!(
        r#"
[[phase.task]]
id = "first"
title = "First"
run = "fake-tool append ran 1"

[[phase.task]]
id = "steady"
title = "Steady"
needs = ["first"]
run = "fake-tool on-term [ write asked x ] session [ ready far hang ] wait far ready here hang"
finally = "fake-tool append cleaned f"
teardown = "fake-tool append cleaned t"

[[phase.task]]
id = "go"
title = "Go"
needs = ["first"]
run = "fake-tool wait go argv {long}"

[[phase.task]]
id = "next"
title = "Next"
needs = ["go"]
run = "fake-tool append ran 3"
"#
    )
}

/// Starts the plan, does something when `steady` is under way, lets `go` end, and expects that the run ends with 4,
/// names the path and the cause, and leaves nothing running.
#[track_caller]
fn check_given_up(sandbox: &Sandbox, meanwhile: impl FnOnce(), path: &str, cause: &str) {
    let running = sandbox.start("p -j2");
    until("it is under way", || sandbox.has("here") && sandbox.events("task-started").len() == 3);
    let steady: u32 = sandbox.read("here").trim().parse().unwrap();
    let before = bytes(sandbox);
    meanwhile();
    sandbox.write("go", "");
    running.ended().exits(4).says(path).says(cause).says("what is under way is ended");
    assert!(bytes(sandbox).starts_with(&before), "what was recorded stays");
    assert!(sandbox.has("asked") && !runs(steady), "it was asked to end");
    assert_eq!(sandbox.read("cleaned"), "ft");
    for started in sandbox.events("task-started") {
        assert_eq!(processes_of(started["attempt"].as_str().unwrap()), [0; 0]);
    }
    // All that is on record is whole, and what was done is done.
    assert_eq!(sandbox.task("first")["state"], "done");
    assert_eq!(sandbox.started()[0], "first");
    sandbox.edit("ready here hang", "ready here");
}

/// The run after that does what is left, and only that.
#[track_caller]
fn check_gone_on(sandbox: &Sandbox) {
    sandbox.run("p").exits(0);
    sandbox.expect("first=done go=done next=done steady=done");
    assert_eq!(sandbox.started().iter().filter(|id| *id == "first").count(), 1);
    assert_eq!(sandbox.read("ran"), "13");
    let evidence = sandbox.evidence();
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.evidence(), evidence);
}

#[test]
fn a_disk_that_is_full_refuses_a_run() {
    with_mounts("disk::a_disk_that_is_full_refuses_a_run", || {
        let sandbox =
            Sandbox::new("[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrun = \"fake-tool append ran x\"\n");
        small(&sandbox, ".xtask", 256 << 10);
        sandbox.run("p").exits(0);
        fill(&sandbox, ".xtask");
        let before = sandbox.evidence();
        for call in ["p --force", "skip t --reason x"] {
            sandbox.run(call).exits(4).says(".xtask/holder.json").says("No space left on device");
        }
        assert_eq!((sandbox.evidence(), sandbox.read("ran").as_str()), (before, "x"));
        sandbox.expect("t=done");
        sandbox.remove(".xtask/filler");
        sandbox.run("p --force").exits(0);
        assert_eq!(sandbox.read("ran"), "xx");
    });
}

#[test]
fn a_ledger_whose_disk_fills_up_ends_what_runs() {
    with_mounts("disk::a_ledger_whose_disk_fills_up_ends_what_runs", || {
        let sandbox = Sandbox::new(&plan());
        small(&sandbox, ".xtask", 256 << 10);
        small(&sandbox, ".xtask/logs", 1 << 20);
        let cause = "No space left on device";
        check_given_up(&sandbox, || fill(&sandbox, ".xtask"), LEDGER, cause);
        let text = sandbox.read(LEDGER);
        assert!(text.ends_with('\n') && sandbox.events("task-ended").len() == 1, "no half of a record");
        sandbox.expect("first=done go=interrupted next=waiting steady=interrupted");
        sandbox.remove(".xtask/filler");
        check_gone_on(&sandbox);
    });
}

#[test]
fn logs_whose_disk_fills_up_end_what_runs() {
    with_mounts("disk::logs_whose_disk_fills_up_end_what_runs", || {
        let sandbox = Sandbox::new(&plan());
        small(&sandbox, ".xtask/logs", 64 << 10);
        check_given_up(
            &sandbox,
            || fill(&sandbox, ".xtask/logs"),
            ".xtask/logs/go-1-",
            "No space left on device",
        );
        // What became of them is on record: there was room for that.
        assert_eq!(sandbox.events("run-ended"), [json!({ "exit": 4 })]);
        assert_eq!(sandbox.task("steady")["state"], "interrupted");
        sandbox.remove(".xtask/logs/filler");
        check_gone_on(&sandbox);
    });
}

#[test]
fn logs_that_can_no_longer_be_made_end_what_runs() {
    with_mounts("disk::logs_that_can_no_longer_be_made_end_what_runs", || {
        let sandbox = Sandbox::new(&plan());
        let close = || read_only(&sandbox, ".xtask/logs");
        check_given_up(&sandbox, close, ".xtask/logs/next-1-", "Read-only file system");
        sandbox.expect("first=done go=done next=failed steady=interrupted");
        assert_eq!(sandbox.task("next")["because"][0]["by"], "environment");
        unmount(&sandbox, ".xtask/logs");
        check_gone_on(&sandbox);
    });
}

#[test]
fn everything_on_one_full_disk_ends_what_runs() {
    with_mounts("disk::everything_on_one_full_disk_ends_what_runs", || {
        let sandbox = Sandbox::new(&plan());
        small(&sandbox, ".xtask", 256 << 10);
        // The log of a child fills it, and the child finds that out itself.
        sandbox.edit("wait go argv", "wait go flood 100000000 argv");
        check_given_up(&sandbox, || (), "/.xtask/", "No space left on device");
        sandbox.edit("wait go flood 100000000 argv", "wait go argv");
        for entry in fs::read_dir(sandbox.path(".xtask/logs")).unwrap() {
            File::create(entry.unwrap().path()).unwrap();
        }
        check_gone_on(&sandbox);
    });
}

/// A task whose log does not hold what it says; `keys` make the command and what is known of secrets.
#[track_caller]
fn check_cut_log(keys: &str, state: &str) {
    let sandbox = Sandbox::new(&format!(
        "[[phase.task]]\nid = \"t\"\ntitle = \"T\"\n{keys}\n[[phase.task]]\nid = \"u\"\ntitle = \"U\"\nneeds = [\"t\"]\n"
    ));
    sandbox.link("sh");
    small(&sandbox, ".xtask/logs", 64 << 10);
    sandbox.run("p").exits(4).says(".xtask/logs/t-1-").says("No space left on device");
    // What it came to counts all the same.
    assert_eq!(sandbox.task("t")["state"], state);
    assert_eq!(sandbox.started(), ["t"], "nothing more starts");
}

#[test]
fn a_log_that_is_cut_is_told_and_its_task_counts() {
    with_mounts("disk::a_log_that_is_cut_is_told_and_its_task_counts", || {
        // It is told by the system that its output has no place.
        check_cut_log("run = \"fake-tool flood 1000000\"", "failed");
        // It does not mind.
        check_cut_log("shell = \"sh\"\nrun = \"fake-tool flood 1000000 || true\"", "done");
        // It is not told: what it writes goes through our hands.
        check_cut_log(
            "env = { TOKEN = \"s3cr3t-value\" }\nsecret = [\"TOKEN\"]\nrun = \"fake-tool flood 1000000\"",
            "done",
        );
    });
}

#[test]
fn what_can_only_be_read_can_be_looked_at() {
    with_mounts("disk::what_can_only_be_read_can_be_looked_at", || {
        let sandbox = Sandbox::new(&plan().replace("ready here hang", "ready here"));
        sandbox.write("go", "");
        sandbox.run("p").exits(0);
        let evidence = sandbox.evidence();
        read_only(&sandbox, ".xtask");
        for call in ["p", "p --force", "resume", "skip first --reason x", "forget first"] {
            sandbox.run(call).exits(4).says("/.xtask/lock").says("Read-only file system");
        }
        for call in ["status", "report", "explain first", "log first", "list", "graph", "p --dry-run"] {
            sandbox.run(call).exits(0);
        }
        sandbox.expect("first=done go=done next=done steady=done");
        assert_eq!((sandbox.evidence(), sandbox.read("ran").as_str()), (evidence, "13"));
    });
}

#[test]
fn a_repository_that_can_only_be_read_is_named() {
    with_mounts("disk::a_repository_that_can_only_be_read_is_named", || {
        let sandbox = Sandbox::new("[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrun = \"fake-tool out x\"\n");
        read_only(&sandbox, "");
        let mut command = sandbox.command("p");
        // Where it is now is below the mount.
        command.current_dir("/").arg("--file").arg(sandbox.path("pipeline.toml"));
        sandbox.run_command(command).exits(4).says("/repo/.xtask").says("Read-only file system");
        assert_eq!(sandbox.status()["summary"]["ready"], Value::from(1));
    });
}

#[test]
fn a_report_that_has_no_place_is_named() {
    with_mounts("disk::a_report_that_has_no_place_is_named", || {
        let sandbox =
            Sandbox::new("[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrun = \"fake-tool append ran x\"\n");
        sandbox.edit("report = \"STATUS.md\"", "report = \"out/STATUS.md\"");
        small(&sandbox, "out", 64 << 10);
        sandbox.run("p").exits(0);
        fill(&sandbox, "out");
        let before = sandbox.read("out/STATUS.md");
        sandbox.edit("title = \"T\"", "title = \"Another\"");
        sandbox.run("p --force").exits(4).says("out/STATUS.md").says("No space left on device");
        assert_eq!(sandbox.read("out/STATUS.md"), before, "no half of a report");
        let names = || fs::read_dir(sandbox.path("out")).unwrap().count();
        assert_eq!((names(), sandbox.read("ran").as_str()), (2, "xx"));
        sandbox.remove("out/filler");
        sandbox.run("p").exits(0);
        assert_eq!(names(), 1);
    });
}
