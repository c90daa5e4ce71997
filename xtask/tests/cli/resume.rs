//! `resume`: going on with what earlier runs could not do.

use crate::sandbox::Sandbox;

const PLAN: &str = r#"
[prerequisite.docker]
program = "docker"
[prerequisite.kubectl]
program = "kubectl"
[prerequisite.cluster]
requires = ["kubectl"]
ready = "kubectl ready"

[[phase.task]]
id = "files"
title = "Files"
[[phase.task]]
id = "image"
title = "Image"
needs = ["files"]
requires = ["docker"]
[[phase.task]]
id = "scan"
title = "Scan"
needs = ["image"]
[[phase.task]]
id = "render"
title = "Render"
requires = ["kubectl"]
[[phase.task]]
id = "deploy"
title = "Deploy"
needs = ["scan", "render"]
requires = ["cluster"]
"#;

const VERSION: &str = "--version => out 1.0.0\n";

#[test]
fn each_tool_that_appears_releases_exactly_what_it_should() {
    let sandbox = Sandbox::new(PLAN);
    sandbox.run("p").exits(3);
    sandbox.expect("deploy=blocked files=done image=blocked render=blocked scan=waiting");
    assert_eq!(sandbox.started(), ["files"]);

    sandbox.tool("docker", VERSION);
    sandbox.run("resume").exits(3);
    assert_eq!(sandbox.started()[1..], ["image", "scan"]);

    sandbox.tool("kubectl", &format!("{VERSION}ready => err refused exit 1"));
    sandbox.run("resume").exits(3);
    assert_eq!(sandbox.started()[3..], ["render"]);
    sandbox.expect("deploy=blocked files=done image=done render=done scan=done");

    sandbox.tool("kubectl", &format!("{VERSION}ready => exit 0"));
    sandbox.run("resume").exits(0);
    assert_eq!(sandbox.started()[4..], ["deploy"]);
    let evidence = sandbox.evidence();
    sandbox.run("resume").exits(0);
    assert_eq!(sandbox.evidence(), evidence);
}

#[test]
fn what_was_never_asked_for_is_not_gone_on_with() {
    let sandbox = Sandbox::new(PLAN);
    sandbox.tool("kubectl", &format!("{VERSION}ready => exit 0"));
    sandbox.run("resume").exits(0);
    assert!(!sandbox.has(".xtask/logs"), "nothing was tried");
    sandbox.run("p --task image").exits(3);
    sandbox.tool("docker", VERSION);
    sandbox.run("resume").exits(0);
    assert_eq!(sandbox.started(), ["files", "image"]);
}

#[test]
fn what_failed_is_tried_again_and_what_is_done_is_not() {
    let sandbox = Sandbox::new(
        r#"
        [[phase.task]]
        id = "a"
        title = "A"
        [[phase.task]]
        id = "b"
        title = "B"
        run = "tool go"
        [[phase.task]]
        id = "c"
        title = "C"
        needs = ["b"]
        "#,
    );
    sandbox.tool("tool", "@first 1 go => exit 1\ngo => exit 0");
    // What has more behind it starts first.
    sandbox.run("p -j1").exits(1);
    assert_eq!(sandbox.started(), ["b", "a"]);
    sandbox.run("resume -j1").exits(0);
    assert_eq!(sandbox.started()[2..], ["b", "c"]);
    assert_eq!(sandbox.task("b")["attempt"]["number"], 2);
}

#[test]
fn what_became_stale_is_done_again() {
    let sandbox = Sandbox::new("[[phase.task]]\nid = \"a\"\ntitle = \"A\"\ninputs = [\"in\"]\n");
    sandbox.write("in", "1");
    sandbox.run("p").exits(0);
    sandbox.write("in", "2");
    sandbox.run("resume").exits(0);
    assert_eq!(sandbox.started(), ["a", "a"]);
    sandbox.expect("a=done");
}
