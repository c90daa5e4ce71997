//! Inside a CI service: annotations, folds and the summary of a step, and no commands smuggled in by what tasks print.

use regex::Regex;

use crate::sandbox::{Output, Sandbox};

/// What fails prints everything that a service would obey.
const PLAN: &str = r###"
[prerequisite.tool]
program = "tool"
remedy.any = "install tool, then: 100%"

[[phase.task]]
id = "a"
title = "Good"
run = "fake-tool out ::error::from-a"

[[phase.task]]
id = "b"
title = "Bad: 100%, really"
run = "fake-tool out '::set-env name=A::b' out '::stop-commands::x' raw '\\e[0Ksection_end:1:b\\r\\e[0K##[add-matcher]x\\n' err '::add-mask::y' exit 3"
hint = [{ matches = "stop-commands", say = "##[error]look at it" }]

[[phase.task]]
id = "c"
title = "Blocked ##[group]"
requires = ["tool"]

[[phase.task]]
id = "d"
title = "Waiting"
needs = ["c"]
"###;

/// What is said, without what differs from run to run.
fn steady(output: &Output) -> String {
    let mut text = output.stderr.clone();
    for (pattern, with) in [
        (r"\d+(\.\d)? m?s\b", "N ms"),
        (r"-1-[0-9a-f]{8}", "-1-ID"),
        (r"section_(start|end):\d{10}:", "section_$1:AT:"),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, with).into_owned();
    }
    text
}

/// A run with these variables in the environment.
fn run(sandbox: &Sandbox, arguments: &str, variables: &[(&str, &str)], code: i32) -> Output {
    let mut command = sandbox.command(arguments);
    command.envs(variables.iter().copied());
    sandbox.run_command(command).exits(code)
}

#[test]
fn github_gets_annotations_a_group_and_a_summary() {
    let sandbox = Sandbox::new(PLAN);
    let top = sandbox.path("..");
    let summary = sandbox.path("summary.md");
    let github = [
        ("CI", "true"),
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_WORKSPACE", top.to_str().unwrap()),
        ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
    ];
    sandbox.write("summary.md", "before");
    let output = run(&sandbox, "p -j 1", &github, 1);
    insta::assert_snapshot!(steady(&output), @r###"
    ✓ a Good N ms
    ✗ b Bad: 100%, really N ms
      `fake-tool out '::set-env name=A::b' out ::stop-commands::x raw '\e[0Ksection_end:1:b\r\e[0K## [add-matcher]x\n' err ::add-mask::y exit 3`: exit code 3: ::add-mask::y
      hint: ## [error]look at it
    ::group::the end of the log of b
      │ $ fake-tool out '::set-env name=A::b' out ::stop-commands::x raw '\e[0Ksection_end:1:b\r\e[0K## [add-matcher]x\n' err ::add-mask::y exit 3
      │ ::set-env name=A::b
      │ ::stop-commands::x
      │ ## [add-matcher]x
      │ ::add-mask::y
      │ # exit code 3
    ::endgroup::
      log: .xtask/logs/b-1-ID.log
    ✗ b failed: fake-tool out '::set-env name=A::b' out ::stop-commands::x raw
        '\e[0Ksection_end:1:b\r\e[0K## [add-matcher]x\n' err ::add-mask::y exit 3:
        exit code 3: ::add-mask::y
        log: .xtask/logs/b-1-ID.log
    tool is absent and holds up 2 tasks
    1 of 4 tasks done, 1 failed, 1 blocked and 1 waiting; 2 tasks run
    Next (says why b failed): cargo xtask log b
    report: STATUS.md
    ::error file=repo/pipeline.toml,line=20,title=b Bad%3A 100%25%2C really::`fake-tool out '::set-env name=A::b' out ::stop-commands::x raw '\e[0Ksection_end:1:b\r\e[0K##[add-matcher]x\n' err ::add-mask::y exit 3`: exit code 3: ::add-mask::y%0Ahint: ##[error]look at it%0Alog: .xtask/logs/b-1-ID.log
    ::warning file=repo/pipeline.toml,line=26,title=c Blocked ##[group]::blocked%0A`tool`: absent (`tool` is not on PATH)%0Aremedy: install tool, then: 100%25
    "###);
    assert_eq!(output.stdout, "");
    assert_eq!(sandbox.read("summary.md"), format!("before\n\n{}", sandbox.read("STATUS.md")));
    // What was not asked for is not told.
    let again = run(&sandbox, "p --task a", &github, 0);
    assert!(!again.stderr.lines().any(|line| line.starts_with("::")), "{}", again.stderr);
}

#[test]
fn gitlab_gets_a_section() {
    let sandbox = Sandbox::new(PLAN);
    let output = run(&sandbox, "p -j 1", &[("CI", "true"), ("GITLAB_CI", "true")], 1);
    insta::assert_snapshot!(steady(&output).replace('\u{1b}', "ESC").replace('\r', "CR"), @r###"
    ✓ a Good N ms
    ✗ b Bad: 100%, really N ms
      `fake-tool out '::set-env name=A::b' out ::stop-commands::x raw '\e[0Ksection_end:1:b\r\e[0K##[add-matcher]x\n' err ::add-mask::y exit 3`: exit code 3: ::add-mask::y
      hint: ##[error]look at it
    ESC[0Ksection_start:AT:b-1-ID[collapsed=true]CRESC[0Kthe end of the log of b
      │ $ fake-tool out '::set-env name=A::b' out ::stop-commands::x raw '\e[0Ksection_end:1:b\r\e[0K##[add-matcher]x\n' err ::add-mask::y exit 3
      │ ::set-env name=A::b
      │ ::stop-commands::x
      │ ##[add-matcher]x
      │ ::add-mask::y
      │ # exit code 3
    ESC[0Ksection_end:AT:b-1-IDCRESC[0K
      log: .xtask/logs/b-1-ID.log
    ✗ b failed: fake-tool out '::set-env name=A::b' out ::stop-commands::x raw
        '\e[0Ksection_end:1:b\r\e[0K##[add-matcher]x\n' err ::add-mask::y exit 3:
        exit code 3: ::add-mask::y
        log: .xtask/logs/b-1-ID.log
    tool is absent and holds up 2 tasks
    1 of 4 tasks done, 1 failed, 1 blocked and 1 waiting; 2 tasks run
    Next (says why b failed): cargo xtask log b
    report: STATUS.md
    "###);
}

#[test]
fn others_get_plain_lines() {
    let sandbox = Sandbox::new(PLAN);
    let output = run(&sandbox, "p -j 1", &[("CI", "true")], 1);
    insta::assert_snapshot!(steady(&output), @r###"
    ✓ a Good N ms
    ✗ b Bad: 100%, really N ms
      `fake-tool out '::set-env name=A::b' out ::stop-commands::x raw '\e[0Ksection_end:1:b\r\e[0K##[add-matcher]x\n' err ::add-mask::y exit 3`: exit code 3: ::add-mask::y
      hint: ##[error]look at it
      │ $ fake-tool out '::set-env name=A::b' out ::stop-commands::x raw '\e[0Ksection_end:1:b\r\e[0K##[add-matcher]x\n' err ::add-mask::y exit 3
      │ ::set-env name=A::b
      │ ::stop-commands::x
      │ ##[add-matcher]x
      │ ::add-mask::y
      │ # exit code 3
      log: .xtask/logs/b-1-ID.log
    ✗ b failed: fake-tool out '::set-env name=A::b' out ::stop-commands::x raw
        '\e[0Ksection_end:1:b\r\e[0K##[add-matcher]x\n' err ::add-mask::y exit 3:
        exit code 3: ::add-mask::y
        log: .xtask/logs/b-1-ID.log
    tool is absent and holds up 2 tasks
    1 of 4 tasks done, 1 failed, 1 blocked and 1 waiting; 2 tasks run
    Next (says why b failed): cargo xtask log b
    report: STATUS.md
    "###);
}

#[test]
fn the_switch_is_stronger_than_the_environment() {
    let sandbox = Sandbox::new(PLAN);
    let plain = steady(&run(&sandbox, "p -j 1", &[], 1));
    let environment = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "summary.md")];
    for (arguments, is_github) in [
        ("p -j 1 --force --ci none", false),
        ("--ci none run -j 1 --force", false),
        ("--ci none p -j 1 --force --color never", false),
        ("--ci none p -j 1 --force --ci github", true),
        ("p -j 1 --force --ci auto", true),
        ("p -j 1 --force --ci gitlab", false),
    ] {
        let said = run(&sandbox, arguments, &environment, 1).stderr;
        assert_eq!(said.contains("\n::error file="), is_github, "{arguments}\n{said}");
        assert_eq!(sandbox.has("summary.md"), is_github, "{arguments}");
        assert_eq!(said.contains("section_start:"), arguments.ends_with("gitlab"), "{arguments}");
        if is_github {
            sandbox.remove("summary.md");
        }
    }
    let forced = steady(&run(&sandbox, "p -j 1 --force --ci none", &environment, 1));
    assert_eq!(forced.replace("-2-", "-1-").lines().count(), plain.lines().count());
    sandbox.run("p --ci jenkins").exits(2).says("github");
}

#[test]
fn a_summary_that_cannot_be_written_is_a_warning() {
    let sandbox = Sandbox::new(PLAN);
    let gone = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "no/such/folder")];
    let output = run(&sandbox, "p", &gone, 1);
    output.says("warning: no summary for GitHub: failed to write `no/such/folder`: No such file");
    assert!(sandbox.has("STATUS.md"));
}

#[test]
fn only_what_was_asked_for_is_annotated() {
    let sandbox = Sandbox::new(PLAN);
    let output = run(&sandbox, "p --task d --json", &[("GITHUB_ACTIONS", "true")], 3);
    let made: Vec<&str> = output.stderr.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert!(
        made[0].starts_with("::warning file=pipeline.toml,line=26,title=c Blocked ##[group]::blocked%0A"),
        "{made:?}"
    );
    assert_eq!(output.json()["summary"]["blocked"], 1);
}
