//! `verify`: what finished tasks have left is looked at again, without their commands.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// An image, a report about it, a container that is gone when its task ends, and a release that stays.
const PLAN: &str = r#"
[prerequisite.docker]
program = "docker"
ready = "docker info"

[[phase.task]]
id = "image"
title = "Image"
requires = ["docker"]
run = "docker build -t app ."
check = [{ run = "docker image inspect app", title = "the image is there" }]
measure = [{ name = "size", run = "docker size app", unit = "bytes", max = "500MB" }]

[[phase.task]]
id = "container"
title = "Container"
needs = ["image"]
requires = ["docker"]
run = "docker run --name ${run.id}-app app"
check = [{ run = "docker ps ${run.id}-app" }, { file = "notes.md", contains = "port" }]
finally = ["docker rm ${run.id}-app"]

[[phase.task]]
id = "release"
title = "Release"
requires = ["docker"]
run = "docker up"
capture.port = { run = "docker port app", regex = ':(\d+)' }
check = [{ run = "docker ping ${port}" }]
"#;

const DOCKER: &str = "
--version => out 'docker 1.0.0'
info => exit 0
build => write ./image yes
@file ./image image inspect app => exit 0
image inspect app => err 'No such image: app' exit 1
size app => out 100MB
run => exit 0
ps => exit 0
rm => exit 0
up => write ./up yes
@file ./up port app => out 0.0.0.0:8080
ping 8080 => exit 0
";

fn done() -> Sandbox {
    let sandbox = Sandbox::new(PLAN);
    sandbox.tool("docker", DOCKER);
    sandbox.write("notes.md", "a port");
    sandbox.run("p").exits(0);
    sandbox
}

/// The verdict of each task.
fn verdicts(json: &Value) -> Value {
    let tasks = json["tasks"].as_array().unwrap();
    tasks.iter().map(|t| (t["task"].as_str().unwrap().to_owned(), t["verdict"].clone())).collect()
}

#[test]
fn what_holds_is_confirmed_and_no_command_runs() {
    let sandbox = done();
    let before = sandbox.started();
    let json = sandbox.run("verify --json").exits(0).json();
    assert_eq!(verdicts(&json), json!({ "image": "holds", "container": "holds", "release": "holds" }));
    // Of the container, which is gone, only the file was looked at.
    assert_eq!(json["tasks"][1]["why"], "it cleans up after itself");
    assert_eq!(json["tasks"][1]["checks"].as_array().unwrap().len(), 1);
    assert_eq!(json["tasks"][0]["measurements"][0]["value"], json!(100e6));
    assert_eq!(sandbox.started(), before);
    assert_eq!(sandbox.n_calls("docker", "build -t app ."), 1);
    assert_eq!(sandbox.n_calls("docker", "up"), 1);
    let confirmed = sandbox.events("confirmed");
    assert_eq!(confirmed.len(), 3);
    assert_eq!(sandbox.task("image")["state"], "done");
    // Evidence is as old as the last look at it.
    let looked = sandbox
        .records()
        .iter()
        .rev()
        .find(|r| r["kind"] == "confirmed" && r["task"] == "image")
        .unwrap()["at"]
        .clone();
    assert_eq!(sandbox.task("image")["seen"], looked);
}

#[test]
fn an_image_removed_by_hand_is_stale_with_expected_and_found_and_built_again() {
    let sandbox = done();
    std::fs::remove_file(sandbox.bin("image")).unwrap();
    let told = sandbox.run("verify").exits(1);
    told.shows("the image is there: expected exit code 0, found exit code 1");
    told.shows("3 finished tasks: 2 hold and 1 drifted");
    sandbox.expect("container=stale image=stale release=done");
    sandbox.run("explain image").exits(0).shows("it no longer holds that the image is there");
    assert!(
        sandbox.read("STATUS.md").contains("it no longer holds that the image is there"),
        "the report is renewed"
    );
    sandbox.run("resume").exits(0);
    assert_eq!(sandbox.n_calls("docker", "build -t app ."), 2);
    sandbox.expect("container=done image=done release=done");
}

#[test]
fn what_comes_back_by_itself_is_done_again_after_another_look() {
    let sandbox = done();
    let image = sandbox.bin("image");
    std::fs::remove_file(&image).unwrap();
    sandbox.run("verify --task image").exits(1);
    assert_eq!(sandbox.events("drifted").len(), 1);
    std::fs::write(&image, "yes").unwrap();
    sandbox.run("verify --task image").exits(0).shows("1 finished task: 1 holds");
    sandbox.expect("container=done image=done release=done");
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.n_calls("docker", "build -t app ."), 1);
}

#[test]
fn a_measurement_outside_its_limit_is_drift() {
    let sandbox = done();
    sandbox.tool("docker", &DOCKER.replace("100MB", "600MB"));
    sandbox.run("verify --task image").exits(1).shows("found 600 MB");
    assert_eq!(sandbox.task("image")["state"], "stale");
}

#[test]
fn what_can_not_be_looked_at_is_not_claimed_and_not_lost() {
    let sandbox = done();
    sandbox.tool("docker", &DOCKER.replace("info => exit 0", "info => exit 1"));
    let json = sandbox.run("verify --json").exits(3).json();
    assert_eq!(verdicts(&json), json!({ "image": "unknown", "container": "holds", "release": "unknown" }));
    assert_eq!(json["tasks"][0]["why"], "`docker` is not running");
    sandbox.expect("container=done image=done release=done");
    assert!(sandbox.events("drifted").is_empty());
}

#[test]
fn what_was_taken_down_is_not_looked_for() {
    let sandbox = Sandbox::new(
        r#"
        [[phase.task]]
        id = "up"
        title = "Up"
        run = "fake-tool write up yes"
        check = [{ run = "fake-tool run [ wait up ]" }]
        teardown = "fake-tool remove up"
        [[phase.task]]
        id = "use"
        title = "Use"
        needs = ["up"]
        check = [{ run = "tool there" }]
        "#,
    );
    sandbox.tool("tool", "there => exit 0");
    sandbox.run("p").exits(0);
    let calls = sandbox.n_calls("tool", "there");
    let json = sandbox.run("verify --json").exits(0).json();
    assert_eq!(verdicts(&json), json!({ "up": "left-out", "use": "left-out" }));
    assert_eq!(json["tasks"][1]["why"], "what `up` had set up was taken down");
    assert_eq!(sandbox.n_calls("tool", "there"), calls);
}

#[test]
fn the_file_says_what_can_be_looked_at() {
    let task = |verify: &str, finally: &str| {
        format!(
            "[[phase.task]]\nid = \"a\"\ntitle = \"A\"\ncheck = [{{ run = \"tool there\" }}]\n{finally}\n{verify}\n"
        )
    };
    let finally = "finally = [\"tool rm\"]";
    for (verify, finally, verdict) in [
        ("", "", "holds"),
        ("verify = false", "", "left-out"),
        ("", finally, "left-out"),
        ("verify = true", finally, "holds"),
    ] {
        let sandbox = Sandbox::new(&task(verify, finally));
        sandbox.tool("tool", "* => exit 0");
        sandbox.run("p").exits(0);
        let json = sandbox.run("verify --json").exits(0).json();
        assert_eq!(json["tasks"][0]["verdict"], verdict, "{verify} {finally}");
    }
}

#[test]
fn tasks_are_looked_at_in_parallel() {
    let task = |id: &str, other: &str| {
        format!("[[phase.task]]\nid = \"{id}\"\ntitle = \"T\"\ncheck = [{{ run = \"tool {id} {other}\" }}]\n")
    };
    let sandbox = Sandbox::new(&(task("a", "b") + &task("b", "a")));
    sandbox.tool("tool", "* => exit 0");
    sandbox.run("p").exits(0);
    // Each waits for the other.
    let meet = |own: &str, other: &str| format!("{own} => write ./{own} x wait ./{other}\n");
    sandbox.tool("tool", &(meet("a", "b") + &meet("b", "a")));
    sandbox.run("verify -j2").exits(0);
}

#[test]
fn nothing_finished_is_nothing_to_look_at() {
    let sandbox = Sandbox::new("[[phase.task]]\nid = \"a\"\ntitle = \"A\"\nrun = \"fake-tool exit 1\"\n");
    sandbox.run("p").exits(1);
    sandbox.run("verify").exits(0).shows("no finished task to look at");
    sandbox.run("verify --task nope").exits(2).says("there is no task `nope`");
    sandbox.run("verify --phase mian").exits(2).says("did you mean `main`?");
}

#[test]
fn a_file_that_was_edited_behind_the_times_is_found() {
    let sandbox = Sandbox::new(
        "[[phase.task]]\nid = \"a\"\ntitle = \"A\"\nrun = \"fake-tool write out one\"\nartifacts = [\"out\"]\n",
    );
    sandbox.run("p").exits(0);
    sandbox.status();
    let times = std::fs::metadata(sandbox.path("out")).unwrap().modified().unwrap();
    sandbox.write("out", "two");
    let file = std::fs::File::options().write(true).open(sandbox.path("out")).unwrap();
    file.set_modified(times).unwrap();
    sandbox.run("verify").exits(0);
    sandbox.expect("a=stale");
}

#[test]
fn what_was_in_the_folder_of_the_attempt_is_not_looked_for() {
    let plan = r#"
[[phase.task]]
id = "saved"
title = "Saved"
run = "fake-tool write ${tmp}/image yes"
check = [{ run = "cat ${tmp}/image" }]
measure = [{ name = "size", run = "stat ${tmp}/image", unit = "bytes" }]

[[phase.task]]
id = "both"
title = "Both"
run = "fake-tool write ${tmp}/image yes"
check = [{ run = "cat ${tmp}/image" }, { run = "good" }]
"#;
    let sandbox = Sandbox::new(plan);
    sandbox.tool("cat", "* => exit 0");
    sandbox.tool("stat", "* => out 3");
    sandbox.tool("good", "* => exit 0");
    sandbox.run("p").exits(0);
    let seen = sandbox.calls("cat").len();
    let json = sandbox.run("verify --json").exits(0).json();
    assert_eq!(verdicts(&json), json!({ "saved": "left-out", "both": "holds" }));
    assert_eq!(json["tasks"][0]["why"], "what it looked at was gone with its attempt");
    assert_eq!(json["tasks"][1]["checks"].as_array().unwrap().len(), 1);
    assert_eq!(sandbox.calls("cat").len(), seen);
}
