//! `resume --wait`: what is missing appears, and what it releases starts.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::sandbox::{Running, Sandbox, kill, runs, until};

/// A task for each of two tools, and one that needs both.
const PLAN: &str = r#"
[prerequisite.docker]
program = "docker"
remedy.any = "start docker"
install.any = "install docker"
[prerequisite.helm]
program = "helm"

[[phase.task]]
id = "image"
title = "Image"
requires = ["docker"]
[[phase.task]]
id = "chart"
title = "Chart"
requires = ["helm"]
[[phase.task]]
id = "deploy"
title = "Deploy"
needs = ["image", "chart"]
"#;

/// A task that requires a cluster, which requires a tool.
const CLUSTER: &str = r#"
[prerequisite.docker]
program = "docker"
[prerequisite.kubectl]
program = "kubectl"
[prerequisite.cluster]
requires = ["kubectl"]
ready = "kubectl ready"
timeout = "50s"

[[phase.task]]
id = "image"
title = "Image"
requires = ["docker"]
[[phase.task]]
id = "deploy"
title = "Deploy"
requires = ["cluster"]
"#;

const VERSION: &str = "--version => out 1.0.0\n";

/// The first run leaves everything blocked, and then somebody waits.
fn waiting(body: &str) -> (Sandbox, Running) {
    let sandbox = Sandbox::new(body);
    sandbox.run("p").exits(3);
    let running = sandbox.start("resume --wait");
    running.has_said("waiting for");
    (sandbox, running)
}

fn is_started(sandbox: &Sandbox, task: &str) {
    until(&format!("{task} started"), || sandbox.started().iter().any(|started| started == task));
}

#[test]
fn each_tool_that_appears_releases_what_it_should_and_the_end_is_that_all_is_done() {
    let (sandbox, running) = waiting(PLAN);
    sandbox.tool("helm", VERSION);
    running.has_said("✓ chart");
    running.has_said("waiting for 1 prerequisite\n");
    assert_eq!(sandbox.started(), ["chart"]);
    sandbox.tool("docker", VERSION);
    let said = running.ended().exits(0);
    said.says("  docker  absent  releases 1 task  install docker\n  helm    absent  releases 1 task\n");
    said.says("`helm` is met: going on with 1 task\n✓ chart");
    said.says("  docker  absent  releases 2 tasks  install docker\n");
    said.says("`docker` is met: going on with 2 tasks\n✓ image");
    said.says("3 of 3 tasks done; 3 tasks run");
    assert_eq!(sandbox.started(), ["chart", "image", "deploy"]);
    assert!(sandbox.read("STATUS.md").contains("3 of 3"));
}

#[track_caller]
fn check_appearance(appear: impl FnOnce(&Sandbox, &Path)) {
    let sandbox = Sandbox::new(
        "[prerequisite.docker]\nprogram = \"docker\"\n[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrequires = [\"docker\"]\n",
    );
    let later = sandbox.path("made/later/bin");
    let path = format!("{}:{}", sandbox.bin("").display(), later.display());
    let mut command = sandbox.command("p");
    command.env("PATH", &path);
    sandbox.run_command(command).exits(3);
    let mut command = sandbox.command("resume --wait");
    command.env("PATH", &path);
    let running = sandbox.spawn(command);
    running.has_said("waiting for");
    let begun = Instant::now();
    appear(&sandbox, &later);
    is_started(&sandbox, "t");
    // Without file events it would be seen only when everything is looked at all the same, which is every 5 s.
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    running.ended().exits(0);
}

#[test]
fn a_tool_may_appear_by_a_rename() {
    check_appearance(|sandbox, _| {
        sandbox.copy_tool(&sandbox.bin("draft"), "", 0o755);
        fs::write(sandbox.bin("docker.script"), VERSION).unwrap();
        fs::rename(sandbox.bin("draft"), sandbox.bin("docker")).unwrap();
    });
}

#[test]
fn a_tool_may_appear_by_becoming_executable() {
    check_appearance(|sandbox, _| {
        sandbox.copy_tool(&sandbox.bin("docker"), VERSION, 0o644);
        fs::set_permissions(sandbox.bin("docker"), fs::Permissions::from_mode(0o755)).unwrap();
    });
}

#[test]
fn a_tool_may_appear_as_a_link_to_another_folder() {
    check_appearance(|sandbox, _| {
        sandbox.copy_tool(&sandbox.path("opt/docker"), VERSION, 0o755);
        fs::write(sandbox.bin("docker.script"), VERSION).unwrap();
        symlink(sandbox.path("opt/docker"), sandbox.bin("docker")).unwrap();
    });
}

#[test]
fn a_tool_may_appear_in_a_folder_that_was_not_there() {
    check_appearance(|sandbox, later| sandbox.copy_tool(&later.join("docker"), VERSION, 0o755));
}

#[test]
fn a_folder_on_path_may_appear_by_a_rename() {
    check_appearance(|sandbox, later| {
        sandbox.copy_tool(&sandbox.path("draft/bin/docker"), VERSION, 0o755);
        fs::create_dir(sandbox.path("made")).unwrap();
        fs::rename(sandbox.path("draft"), later.parent().unwrap()).unwrap();
    });
}

#[test]
fn what_is_being_written_is_not_used_yet() {
    let (sandbox, running) = waiting(PLAN);
    sandbox.copy_tool(&sandbox.path("opt/docker"), "", 0o755);
    let whole = fs::read(sandbox.path("opt/docker")).unwrap();
    fs::write(sandbox.bin("docker.script"), VERSION).unwrap();
    let mut file =
        fs::File::options().write(true).create_new(true).mode(0o755).open(sandbox.bin("docker")).unwrap();
    let (half, rest) = whole.split_at(whole.len() / 2);
    file.write_all(half).unwrap();
    // Somebody has looked since then.
    sandbox.tool("helm", VERSION);
    running.has_said("✓ chart");
    running.has_said("waiting for 1 prerequisite\n");
    file.write_all(rest).unwrap();
    assert_eq!(sandbox.started(), ["chart"]);
    drop(file);
    running.ended().exits(0);
    assert_eq!(sandbox.started(), ["chart", "image", "deploy"]);
}

#[test]
fn another_version_takes_the_place_of_a_wrong_one() {
    let sandbox = Sandbox::new(&PLAN.replace("program = \"helm\"", "program = \"helm\"\nversion = \">=3\""));
    sandbox.tool("docker", VERSION);
    sandbox.tool("helm", "--version => out v2.17.0");
    sandbox.run("p").exits(3);
    let running = sandbox.start("resume --wait");
    running.has_said("helm  wrong version  releases 2 tasks");
    sandbox.copy_tool(&sandbox.bin("draft"), "", 0o755);
    fs::write(sandbox.bin("helm.script"), "--version => out v3.14.0").unwrap();
    fs::rename(sandbox.bin("draft"), sandbox.bin("helm")).unwrap();
    running.ended().exits(0);
}

#[test]
fn an_engine_that_starts_to_answer_releases_its_tasks() {
    let (sandbox, running) = waiting(CLUSTER);
    sandbox.tool("docker", VERSION);
    running.has_said("✓ image");
    // The tool alone releases nothing; what it makes possible to ask is asked.
    sandbox.tool("kubectl", &format!("{VERSION}ready => err refused exit 1"));
    running.has_said("`kubectl` is met\n");
    running.has_said("  cluster  not running  releases 1 task\n");
    assert_eq!(sandbox.started(), ["image"]);
    sandbox.tool("kubectl", &format!("{VERSION}ready => exit 0"));
    running.ended().exits(0).says("`cluster` is met: going on with 1 task");
    assert_eq!(sandbox.started(), ["image", "deploy"]);
}

#[test]
fn an_address_that_takes_connections_releases_its_tasks() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (_sandbox, running) = waiting(&format!(
        "[prerequisite.database]\ntcp = \"{address}\"\n[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrequires = [\"database\"]\n"
    ));
    running.has_said("database  not running");
    let _listener = std::net::TcpListener::bind(address).unwrap();
    running.ended().exits(0);
}

#[test]
fn what_hangs_holds_up_nothing_else_and_nothing_is_left_of_it() {
    let sandbox = Sandbox::new(CLUSTER);
    let mut here = sandbox.fifo("here");
    let hangs = format!("{VERSION}@first 2 ready => exit 1\nready => ready ../repo/here ignore-term hang");
    sandbox.tool("kubectl", &hangs);
    sandbox.run("p").exits(3);
    let running = sandbox.start("resume --wait");
    let child = here.pid();
    // It does not hold up the pass that begins while it hangs either.
    sandbox.tool("docker", VERSION);
    running.has_said("✓ image");
    running.has_said("waiting for 1 prerequisite\n");
    assert!(runs(child));
    running.signal(libc::SIGINT);
    running.ended().exits(130).says("stopped waiting");
    assert!(!runs(child));
}

#[test]
fn a_cluster_that_hangs_is_asked_beside_that() {
    let sandbox = Sandbox::new(CLUSTER);
    sandbox.tool("docker", VERSION);
    let mut here = sandbox.fifo("here");
    let hangs = format!(
        "{VERSION}@first 2 ready => exit 1\n@first 3 ready => ready ../repo/here hang\nready => exit 0"
    );
    sandbox.tool("kubectl", &hangs);
    sandbox.run("p").exits(3);
    let running = sandbox.start("resume --wait");
    let child = here.pid();
    running.has_said("`cluster` is met");
    running.ended().exits(0);
    assert!(!runs(child));
}

#[test]
fn a_tool_that_appears_while_tasks_run_does_not_wait_for_them() {
    let body = PLAN.replace("title = \"Image\"", "title = \"Image\"\nrun = \"fake-tool ready here wait go\"");
    let (sandbox, running) = waiting(&body);
    let mut here = sandbox.fifo("here");
    sandbox.tool("docker", VERSION);
    here.pid();
    sandbox.tool("helm", VERSION);
    running.has_said("✓ chart");
    assert_eq!(sandbox.started(), ["image", "chart"]);
    sandbox.write("go", "");
    running.ended().exits(0).says("`helm` is met: going on with 2 tasks");
    assert_eq!(sandbox.started(), ["image", "chart", "deploy"]);
    assert_eq!(sandbox.events("run-ended").len(), 2, "all that in one pass");
}

#[test]
fn it_ends_when_the_time_is_up() {
    let sandbox = Sandbox::new(PLAN);
    sandbox.tool("docker", VERSION);
    sandbox.run("p").exits(3);
    let evidence = sandbox.evidence();
    let said = sandbox.run("resume --wait=10ms").exits(3);
    said.says("waiting for 1 prerequisite, at most 0 ms\n").says("the time is up\n").says("helm is absent");
    sandbox.run("resume --wait=10ms --blocked-ok").exits(0);
    assert_eq!(sandbox.evidence(), evidence, "a wait that comes to nothing leaves nothing");
}

#[test]
fn all_the_same_a_failure_is_told_when_the_time_is_up() {
    let sandbox = Sandbox::new(&PLAN.replace("title = \"Image\"", "title = \"Image\"\nrun = \"docker go\""));
    sandbox.tool("docker", &format!("{VERSION}go => exit 1"));
    sandbox.run("p").exits(1);
    sandbox.run("resume --wait=10ms").exits(1).says("the time is up");
}

#[track_caller]
fn check_signal(signal: i32, code: i32) {
    let (sandbox, running) = waiting(PLAN);
    sandbox.tool("helm", VERSION);
    running.has_said("waiting for 1 prerequisite\n");
    let evidence = sandbox.evidence();
    running.signal(signal);
    running.ended().exits(code).says("stopped waiting").says("docker is absent");
    assert_eq!(sandbox.evidence(), evidence);
    sandbox.expect("chart=done deploy=waiting image=blocked");
}

#[test]
fn ctrl_c_ends_the_wait() {
    check_signal(libc::SIGINT, 130);
}

#[test]
fn sigterm_ends_the_wait() {
    check_signal(libc::SIGTERM, 143);
}

#[test]
fn a_signal_while_released_tasks_run_ends_them() {
    let body = PLAN.replace("title = \"Image\"", "title = \"Image\"\nrun = \"fake-tool ready here hang\"");
    let (sandbox, running) = waiting(&body);
    let mut here = sandbox.fifo("here");
    sandbox.tool("docker", VERSION);
    let child = here.pid();
    running.signal(libc::SIGINT);
    running.ended().exits(130).says("stopping");
    assert!(!runs(child));
    sandbox.expect("chart=blocked deploy=waiting image=interrupted");
}

#[test]
fn where_nothing_is_missing_there_is_nothing_to_wait_for() {
    let sandbox = Sandbox::new(PLAN);
    sandbox.tool("helm", VERSION);
    sandbox.tool("docker", VERSION);
    sandbox.run("p").exits(0);
    sandbox.run("resume --wait").exits(0);
    // Nobody has asked for anything.
    let sandbox = Sandbox::new(PLAN);
    sandbox.run("resume --wait").exits(0);
}

#[test]
fn only_what_blocks_something_is_waited_for() {
    let body = format!(
        "{PLAN}[[phase.task]]\nid = \"broken\"\ntitle = \"Broken\"\nrun = \"helm broken\"\nrequires = [\"helm\"]\n\
         [[phase.task]]\nid = \"behind\"\ntitle = \"Behind\"\nneeds = [\"broken\"]\nrequires = [\"cluster\"]\n\
         [prerequisite.cluster]\nready = \"kubectl ready\"\n"
    );
    let sandbox = Sandbox::new(&body);
    sandbox.tool("docker", VERSION);
    sandbox.tool("kubectl", "ready => exit 1");
    sandbox.run("p").exits(3);
    let running = sandbox.start("resume --wait");
    running.has_said("  cluster  not running");
    sandbox.tool("helm", &format!("{VERSION}broken => exit 1"));
    // What fails holds up all that is left: no cluster mends that.
    running.ended().exits(1);
    sandbox.expect("behind=blocked broken=failed chart=done deploy=done image=done");
}

#[test]
fn what_fails_is_not_tried_again_in_the_same_wait() {
    let body = PLAN.replace("title = \"Image\"", "title = \"Image\"\nrun = \"docker go\"");
    let body = body.replace("needs = [\"image\", \"chart\"]", "");
    let sandbox = Sandbox::new(&body);
    sandbox.tool("docker", &format!("{VERSION}go => exit 1"));
    sandbox.run("p").exits(1);
    let running = sandbox.start("resume --wait");
    running.has_said("waiting for");
    sandbox.tool("helm", VERSION);
    running.ended().exits(1);
    assert_eq!(sandbox.started(), ["image", "deploy", "image", "chart"]);
}

#[test]
fn what_failed_before_and_is_blocked_now_is_tried_once_it_is_released() {
    let body = PLAN.replace("title = \"Image\"", "title = \"Image\"\nrun = \"docker go\"");
    let sandbox = Sandbox::new(&body);
    sandbox.tool("helm", VERSION);
    sandbox.tool("docker", &format!("{VERSION}go => exit 1"));
    sandbox.run("p").exits(1);
    sandbox.remove_tool("docker");
    let running = sandbox.start("resume --wait");
    running.has_said("docker  absent  releases 2 tasks");
    sandbox.tool("docker", &format!("{VERSION}go => exit 0"));
    running.ended().exits(0);
}

#[test]
fn what_always_runs_and_what_is_forced_runs_once() {
    let body = format!("{PLAN}[[phase.task]]\nid = \"look\"\ntitle = \"Look\"\nalways = true\n");
    let sandbox = Sandbox::new(&body);
    sandbox.tool("helm", VERSION);
    sandbox.run("p").exits(3);
    let n_before = sandbox.started().len();
    let running = sandbox.start("resume --wait --force -j1");
    running.has_said("waiting for");
    sandbox.tool("docker", VERSION);
    running.ended().exits(0);
    let mut started = sandbox.started()[n_before..].to_vec();
    assert_eq!(started[2..], ["image", "deploy"]);
    started[..2].sort();
    assert_eq!(started[..2], ["chart", "look"]);
}

#[test]
fn the_first_failure_ends_the_wait_if_that_is_wanted() {
    let body = PLAN.replace("title = \"Image\"", "title = \"Image\"\nrun = \"docker go\"");
    let sandbox = Sandbox::new(&body);
    sandbox.tool("docker", &format!("{VERSION}go => exit 1"));
    sandbox.run("p").exits(1);
    sandbox.run("resume --wait --fail-fast").exits(1);
}

#[test]
fn an_answer_from_before_is_asked_again_before_something_starts_on_it() {
    let body = PLAN.replace("program = \"docker\"", "ready = \"docker info\"").replace(
        "id = \"deploy\"\ntitle = \"Deploy\"",
        "id = \"deploy\"\ntitle = \"Deploy\"\nrequires = [\"docker\", \"helm\"]",
    );
    let sandbox = Sandbox::new(&body);
    sandbox.tool("docker", "info => exit 0");
    sandbox.run("p").exits(3);
    let running = sandbox.start("resume --wait");
    running.has_said("waiting for");
    sandbox.tool("docker", "info => exit 1");
    sandbox.tool("helm", VERSION);
    // What does not need it starts; what does is blocked, and is released again.
    running.has_said("✓ chart");
    running.has_said("  docker  not running  releases 1 task");
    assert_eq!(sandbox.started(), ["image", "chart"]);
    sandbox.tool("docker", "info => exit 0");
    running.ended().exits(0);
}

#[test]
fn the_lock_is_free_meanwhile_and_what_others_record_counts() {
    let (sandbox, running) = waiting(PLAN);
    sandbox.tool("helm", VERSION);
    running.has_said("waiting for 1 prerequisite\n");
    sandbox.run("status").exits(0);
    sandbox.run("p --task chart").exits(0);
    sandbox.run("skip image --reason elsewhere").exits(0);
    running.ended().exits(0);
    sandbox.expect("chart=done deploy=done image=skipped");
}

#[test]
fn another_run_is_waited_for() {
    let body = format!(
        "{PLAN}[[phase.task]]\nid = \"slow\"\ntitle = \"Slow\"\nalways = true\nrun = \"fake-tool ready here wait go\"\n"
    );
    let sandbox = Sandbox::new(&body);
    sandbox.run("p --task deploy").exits(3);
    let running = sandbox.start("resume --wait");
    running.has_said("waiting for");
    let mut here = sandbox.fifo("here");
    let other = sandbox.start("p --task slow");
    here.pid();
    sandbox.tool("docker", VERSION);
    running.has_said(&format!("the run with process id {} on", other.pid));
    sandbox.tool("helm", VERSION);
    assert_eq!(sandbox.started(), ["slow"]);
    sandbox.write("go", "");
    other.ended().exits(0);
    is_started(&sandbox, "deploy");
    // `slow` is asked for by now, and is done.
    running.ended().exits(0);
}

#[test]
fn a_wait_for_another_run_ends_too() {
    let body = "[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrun = \"fake-tool ready here wait go\"\n";
    let sandbox = Sandbox::new(body);
    let mut here = sandbox.fifo("here");
    let other = sandbox.start("p");
    here.pid();
    sandbox.run("resume --wait=10ms").exits(3).says("the time is up");
    let running = sandbox.start("resume --wait");
    running.has_said("is under way");
    running.signal(libc::SIGINT);
    running.ended().exits(130);
    sandbox.write("go", "");
    other.ended().exits(0);
}

#[test]
fn a_killed_wait_leaves_nothing_to_mend() {
    let (sandbox, running) = waiting(PLAN);
    kill(running.pid, libc::SIGKILL);
    until("it is gone", || !runs(running.pid));
    sandbox.tool("docker", VERSION);
    sandbox.tool("helm", VERSION);
    sandbox.run("resume").exits(0);
}

#[test]
fn what_can_not_change_is_not_waited_for() {
    let body = "[prerequisite.token]\nvariable = \"TOKEN\"\n[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrequires = [\"token\"]\n";
    let sandbox = Sandbox::new(body);
    sandbox.run("p").exits(3);
    sandbox.run("resume --wait").exits(3).says("not waiting for token: an environment variable");
    let sandbox = Sandbox::new(&format!("{body}{PLAN}"));
    sandbox.run("p").exits(3);
    let running = sandbox.start("resume --wait");
    running.has_said("waiting for 2 prerequisites\n");
    sandbox.tool("docker", VERSION);
    sandbox.tool("helm", VERSION);
    running.ended().exits(3).says("not waiting for token");
}

#[test]
fn json_is_printed_once_at_the_end() {
    let sandbox = Sandbox::new(PLAN);
    sandbox.run("p").exits(3);
    let running = sandbox.start("resume --wait --json");
    running.has_said("waiting for");
    sandbox.tool("docker", VERSION);
    running.has_said("✓ image");
    sandbox.tool("helm", VERSION);
    let status = running.ended().exits(0).json();
    assert_eq!(status["summary"]["done"], 3);
    assert_eq!(status["prerequisites"][0]["verdict"], "met");
}

#[test]
fn calls_that_make_no_sense_are_refused() {
    let sandbox = Sandbox::new(PLAN);
    sandbox.run("resume --wait --dry-run").exits(2).says("--dry-run");
    sandbox.run("resume --wait=soon").exits(2).says("such as 90s, 10m or 2h");
    sandbox.run("resume --wait --task imagf").exits(2).says("did you mean `image`?");
    sandbox.run("p --wait").exits(2);
    assert!(!sandbox.has(".xtask"));
}
