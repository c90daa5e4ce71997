//! What it means that a task is blocked: `blocked`, `[profile]` and `--profile`, in exit codes and in `lint`.

use serde_json::json;

use crate::sandbox::Sandbox;

/// Two blocked tasks, the second by way of the first, and what the head, the phase and the tasks say about it.
fn plan(profiles: &str, first: &str, second: &str) -> Sandbox {
    let sandbox = Sandbox::new("");
    sandbox.write(
        "pipeline.toml",
        format!(
            r#"
            [pipeline]
            id = "p"
            title = "Test"
            report = "STATUS.md"
            [prerequisite.docker]
            program = "docker"
            [prerequisite.cluster]
            requires = ["docker"]
            ready = "docker cluster"
            {profiles}
            [[phase]]
            id = "main"
            title = "Main"
            owner = "platform"
            [[phase.task]]
            id = "first"
            title = "First"
            requires = ["docker"]
            link = "https://example.org/1"
            {first}
            [[phase.task]]
            id = "second"
            title = "Second"
            needs = ["first"]
            {second}
            "#
        ),
    );
    sandbox
}

const CI: &str = "[profile.ci]\nblocked = \"fail\"\n";

#[test]
fn the_nearest_word_counts() {
    let table = [
        ("", "", "", "p", 3),
        ("", "blocked = \"ok\"", "", "p", 0),
        ("", "blocked = \"fail\"", "", "p", 1),
        ("", "blocked = \"ok\"", "blocked = \"warn\"", "p", 3),
        (CI, "", "", "p", 3),
        (CI, "", "", "p --profile ci", 1),
        (CI, "blocked = \"ok\"", "", "p --profile ci", 0),
        (CI, "blocked = { ci = \"warn\", any = \"fail\" }", "", "p --profile ci", 3),
        (CI, "blocked = { ci = \"warn\", any = \"fail\" }", "", "p", 1),
        (CI, "", "", "--profile ci p --blocked-ok", 0),
        ("[profile.ci]\npromises = [\"docker\"]\n", "blocked = \"ok\"", "", "p --profile ci", 1),
        ("[profile.ci]\npromises = [\"cluster\"]\n", "", "", "p --profile ci", 3),
    ];
    for (profiles, first, second, call, code) in table {
        let sandbox = plan(profiles, first, second);
        drop(sandbox.run(call).exits(code));
    }
}

#[test]
fn owner_link_and_since_are_kept_and_reported() {
    let sandbox = plan(CI, "", "");
    sandbox.run("p --profile ci").exits(1);
    let first = sandbox.task("first");
    assert_eq!(first["owner"], "platform");
    assert_eq!(first["link"], "https://example.org/1");
    assert_eq!(first["policy"], "warn");
    let since = first["blocked_since"].clone();
    assert!(since.is_string(), "{first}");
    sandbox.run("p").exits(3);
    assert_eq!(sandbox.task("first")["blocked_since"], since, "a later run does not begin anew");
    let report = sandbox.read("STATUS.md");
    assert!(report.contains("owner: platform; see <https://example.org/1>"), "{report}");
    sandbox.run("explain first").exits(0).shows("owner: platform; https://example.org/1");
    let strict = sandbox.run("status --json --profile ci").exits(0).json();
    assert_eq!(strict["tasks"][0]["policy"], "fail");
    assert_eq!(sandbox.events("run-started")[0]["profile"], "ci");
}

#[test]
fn lint_finds_what_can_never_run_where_it_must() {
    let sandbox = plan("[profile.ci]\nblocked = \"fail\"\npromises = [\"cluster\"]\n", "", "");
    sandbox.run("lint --profile ci").exits(0);
    let sandbox = plan("[profile.ci]\nblocked = \"fail\"\n", "", "");
    sandbox.run("lint").exits(0);
    let told = sandbox.run("lint --profile ci").exits(2);
    told.says("`first` must not be blocked under the profile `ci`, which does not promise `docker`");
    told.says("`second` must not be blocked");
    told.says("2 tasks of `p` can never be done there");
    // What a task provides is there after it.
    let sandbox = plan(CI, "blocked = \"warn\"\nprovides = [\"docker\"]", "requires = [\"docker\"]");
    sandbox.run("lint --profile ci").exits(0);
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    let table = [
        ("", "blocked = \"maybe\"", "\"ok\", \"warn\" or \"fail\""),
        (CI, "blocked = { cj = \"ok\" }", "did you mean `ci`?"),
        ("", "blocked = { ci = \"ok\" }", "declare it as [profile.ci]"),
        ("", "link = \"javascript:alert(1)\"", "https:// or http://"),
        ("[profile.any]\n", "", "can't be the name of a profile"),
        ("[profile.ci]\npromises = [\"dokcer\"]\n", "", "did you mean `docker`?"),
    ];
    for (profiles, first, said) in table {
        let first = if first.starts_with("link") { "" } else { first };
        let sandbox = plan(profiles, first, "");
        if said.starts_with("https") {
            sandbox.edit("https://example.org/1", "javascript:alert(1)");
        }
        sandbox.run("p").exits(2).says(said);
        assert!(!sandbox.has(".xtask"));
    }
    plan(CI, "", "").run("p --profile cj").exits(2).says("did you mean `ci`?");
    plan("", "", "").run("p --profile ci").exits(2).says("declares no profile");
}

#[test]
fn doctor_says_what_would_be_released() {
    let sandbox = plan("", "", "requires = [\"cluster\"]");
    sandbox.run("p").exits(3);
    let json = sandbox.run("doctor --assume docker --json").exits(3).json();
    assert_eq!(
        json["assumed"],
        json!({
            "prerequisites": ["docker"],
            "releases": ["first"],
            "remains": [{ "task": "second", "lacks": ["cluster"], "failed": [] }],
        })
    );
    let told = sandbox.run("doctor --assume docker").exits(3);
    told.shows("With docker met, 1 task could be done that can't now:").shows("second: needs cluster");
    // What it requires would be there as well.
    let told = sandbox.run("doctor --assume cluster").exits(3);
    told.shows("With docker and cluster met, 2 tasks could be done that can't be now:");
    sandbox.run("doctor --assume dockr").exits(2).says("did you mean `docker`?");
}
