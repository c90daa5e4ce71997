//! Secrets: what is declared as one turns up nowhere, and what can't be masked is not recorded.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::sandbox::{Sandbox, kill, until};

const TOKEN: &str = "s3cr3t-t0ken/+&x";

/// A task of the phase `main`.
fn task(id: &str, keys: &str) -> String {
    format!("[[phase.task]]\nid = \"{id}\"\ntitle = \"{id}\"\n{keys}\n")
}

/// A pipeline with more in its head.
fn with_head(head: &str, body: &str) -> Sandbox {
    let sandbox = Sandbox::new(body);
    sandbox.edit("report = \"STATUS.md\"\n", &format!("report = \"STATUS.md\"\n{head}\n"));
    sandbox
}

/// Everything that the pipeline keeps, and its report.
fn kept(sandbox: &Sandbox) -> String {
    let mut all = sandbox.read(".xtask/ledger.jsonl");
    for entry in fs::read_dir(sandbox.path(".xtask/logs")).into_iter().flatten() {
        all.push_str(&String::from_utf8_lossy(&fs::read(entry.unwrap().path()).unwrap()));
    }
    if sandbox.has("STATUS.md") {
        all.push_str(&sandbox.read("STATUS.md"));
    }
    all
}

#[track_caller]
fn has_no(text: &str, secret: &str) {
    assert!(!text.contains(secret), "`{secret}` is in\n{text}");
}

#[test]
fn the_selftest_finds_no_leak() {
    let sandbox = Sandbox::empty();
    let output = sandbox.run("selftest redaction").exits(0);
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert!(lines.len() > 40 && lines.iter().all(|line| line.starts_with("ok: ")), "{}", output.stdout);
    for format in xtask::report::names() {
        output.shows(&format!("ok: `report --format {format}`"));
    }
    output.says("no secret came through");
}

// The plan as a whole.

#[test]
fn what_one_task_declares_is_masked_in_every_other() {
    let sandbox = Sandbox::new(&format!(
        "{}{}",
        task("knows", "env_file = \".env\"\nsecret = [\"TOKEN\"]"),
        task("prints", "run = [\"fake-tool env TOKEN\", \"fake-tool out hunter2-hunter2 exit 3\"]"),
    ));
    sandbox.write(".env", "PASSWORD=hunter2-hunter2\nLOG_LEVEL=very-verbose\n");
    sandbox.edit("secret = [\"TOKEN\"]", "secret = [\"TOKEN\"]\nplain = [\"LOG_LEVEL\"]");
    sandbox.edit("exit 3", "out very-verbose exit 3");
    let mut command = sandbox.command("p");
    command.env("TOKEN", TOKEN);
    let output = sandbox.run_command(command).exits(1);
    for text in [&output.stdout, &output.stderr, &kept(&sandbox)] {
        has_no(text, TOKEN);
        has_no(text, "hunter2");
    }
    let log = sandbox.log("prints");
    assert!(log.contains("\n***\n$ fake-tool out *** out very-verbose exit 3\n***\nvery-verbose\n"), "{log}");
}

#[test]
fn what_is_asked_and_judged_is_masked() {
    let sandbox = with_head(
        "secret = [\"TOKEN\"]",
        &format!(
            "[prerequisite.engine]\nready = \"fake-tool err {{}} exit 1\"\n\
             [fact.says]\nrun = \"fake-tool env TOKEN\"\n[fact.fails]\nrun = \"fake-tool err {{}} exit 1\"\n\
             {}{}{}[[gate]]\ntitle = \"G\"\ncheck = {{ run = \"fake-tool err {{}} exit 1\" }}\n",
            task("blocked", "requires = [\"engine\"]"),
            task("on", "when = { says = \"{}\" }"),
            task("unknown", "when = { fails = \"x\" }"),
        )
        .replace("{}", TOKEN),
    );
    let run = |arguments: &str| {
        let mut command = sandbox.command(arguments);
        command.env("TOKEN", TOKEN);
        sandbox.run_command(command)
    };
    let output = run("p").exits(3);
    has_no(&output.stderr, TOKEN);
    has_no(&kept(&sandbox), TOKEN);
    // The condition is judged by the value all the same, now and from the record.
    assert_eq!(run("status --json").exits(0).json()["tasks"][1]["state"], "done");
    assert_eq!(run("report --format json").exits(0).json()["tasks"][1]["state"], "done");
    let told = sandbox.events("fact-told");
    let value =
        told.iter().find(|told| told["fact"] == "says").unwrap()["value"].as_str().unwrap().to_owned();
    assert!(value.starts_with("***:") && value.len() == 8, "{value}");
    assert_eq!(sandbox.events("concluded")[0]["checks"][0]["verdict"], "unmet");
    for arguments in [
        "status",
        "status --json",
        "explain blocked",
        "explain blocked --json",
        "report",
        "report --format json",
    ] {
        has_no(&run(arguments).exits(0).stdout, TOKEN);
    }
    for arguments in ["doctor", "doctor --json"] {
        let shown = run(arguments).exits(3).stdout;
        has_no(&shown, TOKEN);
        assert!(shown.contains("***"), "{shown}");
    }
    // Nothing of this is news.
    let records = sandbox.records().len();
    run("p").exits(3);
    let new = &sandbox.records()[records..];
    assert!(new.is_empty(), "{new:?}");
}

// Variables of the pipeline.

#[test]
fn a_secret_variable_is_recorded_by_its_stand_in() {
    let sandbox = with_head(
        "secret = [\"token\"]",
        &format!(
            "[vars]\ntoken = {{ doc = \"from outside\" }}\nurl = \"redis://${{token}}.example\"\nplain = \"as it is\"\n{}",
            task(
                "t",
                "run = [\"fake-tool out ${token} out ${url}\", \"fake-tool out ${plain}\"]\ncheck = { file = \"note\", lacks = '${token}' }"
            ),
        ),
    );
    sandbox.write("note", "nothing\n");
    let output = sandbox.run(&format!("p --set token={TOKEN}")).exits(0);
    has_no(&output.stderr, TOKEN);
    has_no(&kept(&sandbox), TOKEN);
    assert_eq!(sandbox.events("run-started")[0]["arguments"], serde_json::json!(["p", "--set", "token=***"]));
    let vars = sandbox.events("task-started")[0]["definition"]["vars"].clone();
    let stand_in = |name: &str| vars[name].as_str().is_some_and(|v| v.starts_with("***:") && v.len() == 8);
    assert!(stand_in("token") && stand_in("url") && vars["plain"] == "as it is", "{vars}");
    for arguments in ["list --json", "status --json", "report", "p --dry-run"] {
        has_no(&sandbox.run(&format!("--set token={TOKEN} {arguments}")).exits(0).stdout, TOKEN);
    }
    let listed = sandbox.run(&format!("--set token={TOKEN} list --json")).exits(0).json();
    assert_eq!(listed["vars"]["token"], "***");
    // The same value is no change, another one is, and neither is told.
    let state = |token: &str| sandbox.run(&format!("explain t --json --set token={token}")).exits(0).json();
    assert_eq!(state(TOKEN)["state"], "done");
    let changed = state("s3cr3t-other");
    assert_eq!(changed["state"], "stale");
    let text = changed.to_string();
    assert!(
        text.contains("the variable `token` changed") && text.contains("the variable `url` changed"),
        "{text}"
    );
    has_no(&text, "s3cr3t");
    has_no(&text, "***:");
}

#[test]
fn a_short_secret_is_said_to_be_shown() {
    let sandbox = with_head(
        "secret = [\"pin\"]",
        &format!("[vars]\npin = \"1234\"\n{}", task("t", "run = \"fake-tool out ${pin}\"")),
    );
    let output = sandbox.run("p --set pin=123").exits(0);
    output.says("warning: the value of `pin` has fewer than 4 characters, so it is not masked");
    // Where its name stands, it is known all the same.
    assert_eq!(sandbox.events("run-started")[0]["arguments"][2], "pin=***");
    assert_eq!(sandbox.run("list --json --set pin=123").exits(0).json()["vars"]["pin"], "***");
    sandbox.run("lint --set pin=123").exits(0).says("`pin` has fewer than 4 characters");
}

#[test]
fn a_secret_has_to_be_a_variable() {
    let sandbox = with_head(
        "secret = [\"tokem\", \"a b\", \"HOME\"]",
        &format!("[vars]\ntoken = \"x\"\n{}", task("t", "")),
    );
    let output = sandbox.run("lint").exits(2);
    output
        .says("there is no variable `tokem`")
        .says("did you mean `token`?")
        .says("`a b` is not the name of a variable");
    output.says("2 mistakes");
}

#[test]
fn mistakes_are_shown_without_secrets() {
    let sandbox = with_head(
        "secret = [\"token\"]",
        &format!(
            "[vars]\ntoken = {{ one_of = [\"a\"] }}\n{}",
            task("t", "env_file = \".env\"\nrnu = \"with s3cr3t-t0ken and hunter2-hunter2\"")
        ),
    );
    sandbox.write(".env", "PASSWORD=hunter2-hunter2\n");
    let output = sandbox.run("lint --set token=s3cr3t-t0ken").exits(2);
    output.says("`token` can't be `***`").says("unknown key `rnu`").says("with *** and ***");
    has_no(&output.stderr, "s3cr3t");
    has_no(&output.stderr, "hunter2");
}

// Captured values.

#[test]
fn a_captured_secret_is_masked_also_where_it_was_printed_before() {
    let sandbox = Sandbox::new(&format!(
        "{}{}",
        task(
            "login",
            r#"
            run = "fake-tool out 'first: captured-t0ken'"
            capture.token = { run = "fake-tool out '{\"t\":\"captured-t0ken\"}'", regex = '"t":"(.*)"', secret = true }
            capture.user = "fake-tool out somebody"
            check = [{ run = "fake-tool out ${user} ${token}", contains = 'nobody' }]
            "#
        )
        .replace("capture.user = \"fake-tool out somebody\"", "capture.user = { run = \"fake-tool out somebody\" }"),
        task("later", "needs = [\"login\"]"),
    ));
    let output = sandbox.run("p").exits(1);
    has_no(&output.stderr, "captured-t0ken");
    has_no(&kept(&sandbox), "captured-t0ken");
    let log = sandbox.log("login");
    assert!(log.contains("\nfirst: ***\n") && log.contains("# what it printed is not shown"), "{log}");
    assert!(log.contains("somebody"), "{log}");
}

#[test]
fn a_secret_that_could_not_be_captured_is_not_told() {
    let keys = "capture.token = { run = \"fake-tool out t0ken-in-another-form\", regex = '^=(.*)', secret = true }\n\
                run = \"fake-tool out ${token}\"";
    let sandbox = Sandbox::new(&task("t", keys));
    let output = sandbox.run("p").exits(1);
    output.says("nothing in what").says("printed matches `^=(.*)`");
    // Its own command has it: that is no place for a secret.
    for line in kept(&sandbox).lines().filter(|line| !line.contains("fake-tool out")) {
        has_no(line, "t0ken-in-another-form");
    }
}

// What can't be masked.

#[test]
fn a_record_with_a_secret_in_a_name_is_not_written() {
    let sandbox = Sandbox::new(&task(
        "t",
        "env_file = \".env\"\ninputs = [\"data-folder\"]\nrun = \"fake-tool write ran x\"",
    ));
    sandbox.write(".env", "DATA=data-folder\n");
    sandbox.write("data-folder/a", "1");
    let output = sandbox.run("p").exits(4);
    output.says("the record `task-started` of `t` was not written: the value of `DATA` (`.env`) would stand in `inputs`");
    output.says("name it under `plain`");
    has_no(&output.stderr, "data-folder");
    has_no(&sandbox.read(".xtask/ledger.jsonl"), "data-folder");
    assert!(!sandbox.has("ran"), "a task ran whose start is not on record");
    sandbox.edit("env_file = \".env\"", "env_file = \".env\"\nplain = [\"DATA\"]");
    sandbox.run("p").exits(0);
    assert!(sandbox.read(".xtask/ledger.jsonl").contains("data-folder"));
}

#[test]
fn a_withheld_record_costs_no_other() {
    let sandbox = Sandbox::new(&format!(
        "{}{}",
        task("a", "run = \"fake-tool exit 0\""),
        task("t-hunter2-hunter2", "env_file = \".env\""),
    ));
    sandbox.write(".env", "PASSWORD=hunter2-hunter2\n");
    // Both start before the end of either is looked at.
    let output = sandbox.run("p -j2").exits(4);
    output.says("the record `task-started` of `t-***` was not written");
    let ended = sandbox.events("task-ended");
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0]["outcome"], "passed");
    assert_eq!(sandbox.events("run-ended")[0]["exit"], 4, "it ended in order");
}

#[test]
fn nothing_is_recorded_of_a_run_whose_beginning_is_withheld() {
    let sandbox = Sandbox::new(&task("t", "env_file = \".env\"\nrun = \"fake-tool write ran x\""));
    sandbox.edit("id = \"p\"", "id = \"hunter2-hunter2\"");
    sandbox.write(".env", "PASSWORD=hunter2-hunter2\n");
    let output = sandbox.run("run").exits(4);
    output.says("the record `run-started` was not written: the value of `PASSWORD` (`.env`) would stand in `pipeline`");
    assert_eq!(sandbox.read(".xtask/ledger.jsonl"), "");
    assert!(!sandbox.has("ran"));
}

#[test]
fn a_report_with_a_secret_in_its_template_is_not_written() {
    let sandbox = with_head("template = \"own.j2\"", &task("t", "env_file = \".env\""));
    sandbox.write(".env", "PASSWORD=hunter2-hunter2\n");
    sandbox.write("own.j2", "The password is hunter2-hunter2.\n");
    let output = sandbox.run("p").exits(4);
    output.says("the report `markdown` was not written: the value of `PASSWORD` (`.env`) would stand in it");
    assert!(!sandbox.has("STATUS.md"));
    sandbox.run("report --out other.md").exits(4);
    assert!(!sandbox.has("other.md"));
}

// Values that are there by chance.

#[test]
fn values_that_are_words_of_our_own_break_nothing() {
    let sandbox = Sandbox::new(&format!(
        "[vars]\nname = \"passed\"\n{}{}[[criterion]]\ntitle = \"passed at all\"\ntarget = \"1\"\nmeasure = \"t: time until passed\"\nfinding = \"t: is passed\"\n\
         [[gate]]\ntitle = \"all passed\"\ncheck = {{ title = \"passed\", file = \"note\", contains = 'x' }}\n",
        task(
            "t",
            r#"
            env_file = ".env"
            run = { run = "fake-tool out ${name}", name = "step" }
            measure = { name = "time until passed", unit = "seconds", time = "step" }
            check = { title = "is passed", file = "note", contains = 'x' }
            "#
        ),
        task(
            "u",
            "needs = [\"t\"]\nmeasure = { name = \"same\", unit = \"seconds\", from = \"t: time until passed\" }"
        ),
    ));
    sandbox.write(".env", "A=passed\nB=task\nC=local\nD=2026\nE=1234\nF=true\n");
    sandbox.write("note", "x\n");
    sandbox.run("p").exits(0);
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.started(), ["t", "u"], "they are up to date");
    let status = sandbox.status();
    assert_eq!(status["tasks"][0]["state"], "done");
    assert_eq!(status["tasks"][0]["attempt"]["outcome"], "passed");
    assert_eq!(status["criteria"][0]["standing"], "met");
    assert_eq!(status["gates"][0]["standing"], "met");
    for call in [
        "graph --json",
        "explain t --json",
        "doctor --json",
        "list --json",
        "log t --json",
        "p --dry-run --json",
    ] {
        let json = sandbox.run(call).exits(0).json();
        assert!(json.is_object(), "{call}");
    }
    assert_eq!(sandbox.run("graph --json").exits(0).json()["nodes"][0]["state"], "done");
    // Of what people wrote nothing is left.
    for word in ["passed", "task", "local"] {
        let titles =
            [&status["criteria"][0]["title"], &status["gates"][0]["title"], &status["tasks"][0]["commands"]];
        titles.iter().for_each(|title| has_no(&title.to_string(), word));
    }
}

// Files.

#[test]
fn logs_and_digests_are_for_their_owner_only() {
    let sandbox = Sandbox::new(&format!(
        "[prerequisite.tool]\nprogram = \"fake-tool\"\nversion_command = \"fake-tool out 1.2.3\"\n{}",
        task("t", "requires = [\"tool\"]\nrun = \"fake-tool out x\"\nteardown = \"fake-tool out y\""),
    ));
    sandbox.run("p").exits(0);
    sandbox.run("report --out exported.md").exits(0);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let logs = fs::read_dir(sandbox.path(".xtask/logs")).unwrap().map(|entry| entry.unwrap().path());
    let private: Vec<_> = logs.chain([sandbox.path(".xtask/digests")]).collect();
    assert_eq!(private.len(), 3);
    for path in private {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    let plain = mode(&sandbox.path("pipeline.toml"));
    for exported in ["STATUS.md", "exported.md"] {
        assert_eq!(mode(&sandbox.path(exported)), plain, "{exported}");
    }
}

#[test]
fn a_token_is_masked_where_nothing_is_declared() {
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let sandbox = Sandbox::new(&task(
        "t",
        &format!("run = [\"fake-tool raw before-\", \"fake-tool out '{token}' exit 1\"]"),
    ));
    let output = sandbox.run("p").exits(1);
    has_no(&output.stderr, &token);
    has_no(&kept(&sandbox), &token);
    assert!(sandbox.log("t").contains("\n***\n"), "{}", sandbox.log("t"));
}

#[test]
fn the_log_of_a_killed_run_is_masked_by_the_next() {
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let sandbox = Sandbox::new(&task("t", &format!("run = \"fake-tool out {token} ready here wait go\"")));
    let running = sandbox.start("p");
    until("the child has said it", || sandbox.has("here"));
    kill(running.pid, libc::SIGKILL);
    running.ended().ends_by(libc::SIGKILL);
    assert!(kept(&sandbox).contains(&token), "nobody could mask it");
    sandbox.write("go", "");
    sandbox.run("p").exits(0);
    has_no(&kept(&sandbox), &token);
}

#[test]
fn json_stays_json_where_a_number_is_a_secret() {
    let sandbox = with_head(
        "secret = [\"PORT\"]",
        &task("t", "run = \"fake-tool out 'on port 8080'\"\ntitle = \"8080\"").replace("title = \"t\"\n", ""),
    );
    let run = |arguments: &str| {
        let mut command = sandbox.command(arguments);
        command.env("PORT", "8080");
        sandbox.run_command(command).exits(0)
    };
    run("p");
    for call in ["status --json", "graph --json", "list --json", "log t --json"] {
        let json: Value = run(call).json();
        has_no(&json.to_string(), "on port 8080");
        assert!(json.to_string().contains("***"), "{json}");
    }
}
