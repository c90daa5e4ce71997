//! Prerequisites: each verdict with its reason, who is asked and when, and what `doctor` makes of it.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const DOCKER: &str = r#"
[prerequisite.docker]
program = "docker"
version = ">=20.10"
ready = "docker info"
remedy.any = "start docker"

[[phase.task]]
id = "image"
title = "Image"
requires = ["docker"]
run = "fake-tool write image x"
"#;

/// The row of a prerequisite in `doctor --json`, which ends with this exit code.
#[track_caller]
fn row(sandbox: &Sandbox, name: &str, code: i32) -> Value {
    let doctor = sandbox.run("doctor --json").exits(code).json();
    doctor["prerequisites"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone()
}

/// With this stand-in the verdict is this, everywhere.
#[track_caller]
fn check_verdict(script: &str, verdict: &str, why: &str) -> Sandbox {
    let sandbox = Sandbox::new(DOCKER);
    if !script.is_empty() {
        sandbox.tool("docker", script);
    }
    let found = row(&sandbox, "docker", 3);
    assert_eq!(
        (&found["verdict"], &found["wanted"], &found["remedy"]),
        (&json!(verdict), &json!(">=20.10"), &json!("start docker")),
        "{found}"
    );
    assert!(found["why"].as_str().unwrap().contains(why), "{found}");
    let doctor = sandbox.run("doctor").exits(3);
    doctor.shows("docker").shows(verdict).shows("start docker");
    sandbox.run("p").exits(3);
    let reason = sandbox.task("image")["because"][0].clone();
    assert_eq!(
        (&reason["name"], &reason["verdict"], &reason["why"]),
        (&json!("docker"), &json!(verdict), &found["why"])
    );
    assert_eq!(sandbox.events("probed")[0]["verdict"], verdict);
    assert!(sandbox.read("STATUS.md").contains(verdict));
    assert!(!sandbox.has("image"));
    sandbox
}

#[test]
fn a_program_that_is_not_on_path_is_absent() {
    let sandbox = check_verdict("", "absent", "`docker` is not on PATH");
    assert_eq!(
        (&row(&sandbox, "docker", 3)["path"], &row(&sandbox, "docker", 3)["version"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn an_engine_that_cannot_be_reached_is_not_running() {
    let script = "--version => out 'Docker version 28.2.2, build e6534b4'\ninfo => err 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?' exit 1";
    let sandbox = check_verdict(script, "not running", "Cannot connect to the Docker daemon");
    let found = row(&sandbox, "docker", 3);
    assert_eq!(found["version"], "28.2.2");
    assert_eq!(found["path"].as_str(), sandbox.bin("docker").to_str());
}

#[test]
fn a_socket_that_may_not_be_used_is_no_permission() {
    let script = "--version => out 'Docker version 28.2.2'\ninfo => err 'permission denied while trying to connect to the Docker daemon socket' exit 1";
    check_verdict(script, "no permission", "permission denied");
}

#[test]
fn an_old_program_is_a_wrong_version_and_is_not_asked_more() {
    let sandbox = check_verdict(
        "--version => out 'Docker version 19.03.8, build afacb8b'\ninfo => exit 0",
        "wrong version",
        "found 19.03.8, wanted >=20.10",
    );
    assert_eq!(row(&sandbox, "docker", 3)["version"], "19.03.8");
    assert_eq!(sandbox.n_calls("docker", "info"), 0);
}

#[test]
fn a_version_that_cannot_be_read_could_not_be_told() {
    check_verdict(
        "--version => out 'Docker, some version'\ninfo => exit 0",
        "could not tell",
        "no version was found",
    );
}

#[test]
fn a_program_that_hangs_could_not_be_told_after_the_limit() {
    let sandbox = Sandbox::new(&DOCKER.replace("version = \">=20.10\"", "timeout = \"250ms\""));
    sandbox.tool("docker", "--version => out 'Docker version 28.2.2'\ninfo => ignore-term hang");
    sandbox.run("p").exits(3);
    let found = sandbox.events("probed")[0].clone();
    assert_eq!(
        (&found["verdict"], &found["why"]),
        (&json!("could not tell"), &json!("`docker info` gave no answer within 250 ms"))
    );
}

#[test]
fn an_engine_that_answers_is_met() {
    let sandbox = Sandbox::new(DOCKER);
    sandbox
        .tool("docker", "--version => out 'Docker version 20.10.24+dfsg1, build 297e128'\ninfo => out fine");
    assert_eq!(row(&sandbox, "docker", 0)["verdict"], "met");
    sandbox.run("p").exits(0);
    assert!(sandbox.has("image"));
    let tools = sandbox.task("image")["attempt"]["tools"].clone();
    assert!(tools["docker"]["version"].as_str().unwrap().starts_with("20.10.24"), "{tools}");
}

#[test]
fn what_a_prerequisite_requires_is_asked_first() {
    let sandbox = Sandbox::new(
        r#"
        [prerequisite.kubectl]
        program = "kubectl"
        [prerequisite.cluster]
        requires = ["kubectl"]
        ready = "kubectl ready"
        [[phase.task]]
        id = "t"
        title = "T"
        requires = ["cluster"]
        "#,
    );
    let because = sandbox.task("t")["because"].clone();
    assert_eq!((&because[0]["name"], &because[0]["verdict"]), (&json!("cluster"), &json!("could not tell")));
    assert_eq!(because[0]["why"], "`kubectl` is absent, so it was not asked");
    sandbox.tool("kubectl", "--version => out 'v1.34.0'\nready => err 'connection refused' exit 1");
    assert_eq!(sandbox.task("t")["because"][0]["verdict"], "not running");
    sandbox.tool("kubectl", "--version => out 'v1.34.0'\nready => exit 0");
    sandbox.expect("t=ready");
}

#[test]
fn a_tool_that_always_succeeds_is_judged_by_what_it_prints() {
    let sandbox = Sandbox::new(
        r#"
        [prerequisite.minikube]
        ready = "minikube status"
        ready_regex = '^Running'
        [[phase.task]]
        id = "t"
        title = "T"
        requires = ["minikube"]
        "#,
    );
    sandbox.tool("minikube", "status => out Stopped");
    assert_eq!(sandbox.task("t")["because"][0]["verdict"], "not running");
    sandbox.tool("minikube", "status => out Running");
    sandbox.expect("t=ready");
}

#[test]
fn a_variable_of_the_environment_can_be_required() {
    let sandbox = Sandbox::new(
        "[prerequisite.key]\nvariable = \"API_KEY\"\n[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrequires = [\"key\"]\n",
    );
    let reason = sandbox.task("t")["because"][0].clone();
    assert_eq!(
        (&reason["verdict"], &reason["why"]),
        (&json!("absent"), &json!("the environment variable `API_KEY` is not set"))
    );
    for (value, code) in [("", 3), ("x", 0)] {
        let mut command = sandbox.command("p");
        command.env("API_KEY", value);
        sandbox.run_command(command).exits(code);
    }
}

#[test]
fn an_address_can_be_required() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sandbox = Sandbox::new(&format!(
        "[prerequisite.db]\ntcp = \"{address}\"\n[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrequires = [\"db\"]\n"
    ));
    sandbox.expect("t=ready");
    drop(listener);
    let reason = sandbox.task("t")["because"][0].clone();
    assert_eq!(reason["verdict"], "not running");
    assert!(reason["why"].as_str().unwrap().contains(&address.to_string()), "{reason}");
}

#[test]
fn only_what_unfinished_tasks_need_is_asked() {
    let sandbox = Sandbox::new(
        r#"
        [prerequisite.one]
        ready = "one ready"
        [prerequisite.two]
        ready = "two ready"
        [prerequisite.nobody]
        ready = "nobody ready"
        [[phase.task]]
        id = "a"
        title = "A"
        requires = ["one"]
        [[phase.task]]
        id = "b"
        title = "B"
        requires = ["two"]
        "#,
    );
    for name in ["one", "two", "nobody"] {
        sandbox.tool(name, "ready => exit 0");
    }
    let asked = || ["one", "two", "nobody"].map(|name| sandbox.calls(name).len());
    sandbox.run("p --task a").exits(0);
    assert_eq!(asked(), [1, 0, 0]);
    sandbox.run("p").exits(0);
    assert_eq!(asked(), [1, 1, 0]);
    sandbox.run("p").exits(0);
    sandbox.run("status").exits(0);
    sandbox.run("report").exits(0);
    assert_eq!(asked(), [1, 1, 0], "all is done");
    // `doctor` asks for all of them.
    sandbox.run("doctor").exits(0);
    assert_eq!(asked(), [2, 2, 1]);
}

#[test]
fn all_are_asked_at_the_same_time() {
    let tool = |name: &str| format!("[prerequisite.{name}]\nready = \"{name} ready\"\ntimeout = \"20s\"\n");
    let sandbox = Sandbox::new(&format!(
        "{}{}[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrequires = [\"one\", \"two\"]\n",
        tool("one"),
        tool("two")
    ));
    // Each answers only after the other was asked.
    sandbox.tool("one", "ready => write ./one.here x wait ./two.here");
    sandbox.tool("two", "ready => write ./two.here x wait ./one.here");
    sandbox.run("p").exits(0);
}

#[test]
fn a_prerequisite_that_nobody_here_needs_holds_up_nothing() {
    let sandbox = Sandbox::new(
        r#"
        [fact.context]
        run = "kubectl context"
        [prerequisite.minikube]
        when = { context = "minikube" }
        program = "minikube"
        [[phase.task]]
        id = "t"
        title = "T"
        requires = ["minikube"]
        "#,
    );
    sandbox.tool("kubectl", "context => out minikube");
    assert_eq!(sandbox.task("t")["because"][0]["verdict"], "absent");
    sandbox.tool("kubectl", "context => out kind-dev");
    sandbox.expect("t=ready");
}

/// `first` holds up most, `second` less, `third` nothing by itself.
const RANKED: &str = r#"
[prerequisite.second]
program = "second"
[prerequisite.third]
program = "third"
[prerequisite.first]
program = "first"
remedy.any = "get first"

[[phase.task]]
id = "a"
title = "A"
requires = ["first"]
[[phase.task]]
id = "b"
title = "B"
needs = ["a"]
[[phase.task]]
id = "c"
title = "C"
needs = ["b"]
requires = ["third"]
[[phase.task]]
id = "d"
title = "D"
requires = ["second"]
"#;

#[test]
fn doctor_ranks_by_what_each_releases() {
    let sandbox = Sandbox::new(RANKED);
    let doctor = sandbox.run("doctor --json").exits(3).json();
    let rows = doctor["prerequisites"].as_array().unwrap();
    let ranks: Vec<(&str, u64, u64, u64)> = rows
        .iter()
        .map(|row| {
            let count = |key: &str| row[key].as_u64().unwrap();
            (row["name"].as_str().unwrap(), count("releases"), count("releases_directly"), count("needed_by"))
        })
        .collect();
    assert_eq!(ranks, [("first", 2, 1, 3), ("second", 1, 1, 1), ("third", 0, 0, 1)]);
    let next: Vec<(&Value, &Value)> = doctor["next"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (&step["prerequisite"], &step["releases"]))
        .collect();
    assert_eq!(
        next,
        [
            (&json!("first"), &json!(["a", "b"])),
            (&json!("second"), &json!(["d"])),
            (&json!("third"), &json!(["c"]))
        ]
    );
    assert!(!sandbox.has(".xtask"), "looking writes nothing");
}

#[test]
fn the_remedy_is_for_the_verdict() {
    let plan = DOCKER.replace(
        "remedy.any = \"start docker\"",
        "remedy.any = \"start docker\"\ninstall.any = \"install docker\"\npermit.any = \"join the group\"",
    );
    let sandbox = Sandbox::new(&plan);
    assert_eq!(row(&sandbox, "docker", 3)["remedy"], "install docker");
    for (script, remedy) in [
        ("--version => out 19.3.1", "install docker"),
        ("--version => out 28.2.2\ninfo => err 'permission denied' exit 1", "join the group"),
        ("--version => out 28.2.2\ninfo => err 'Cannot connect' exit 1", "start docker"),
    ] {
        sandbox.tool("docker", script);
        assert_eq!(row(&sandbox, "docker", 3)["remedy"], remedy, "{script}");
    }
}
