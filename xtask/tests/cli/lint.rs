//! Mistakes in pipeline.toml: all of them, each at its place, before anything runs.

use std::fmt::Write as _;

use crate::sandbox::{Output, Sandbox};

/// Marks the place of a mistake in the text of a test, and is not part of the file.
const MARK: char = '▶';

/// What was found, as it is shown.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    message: String,
    line: usize,
    column: usize,
}

fn findings(output: &Output) -> Vec<Finding> {
    let mut out = Vec::new();
    let mut message = "";
    for line in output.stderr.lines() {
        if let Some(text) = line.strip_prefix("error: ") {
            message = text;
        } else if let Some(place) = line.trim_start().strip_prefix("--> pipeline.toml:") {
            let (line, column) = place.split_once(':').unwrap();
            out.push(Finding {
                message: message.to_owned(),
                line: line.parse().unwrap(),
                column: column.parse().unwrap(),
            });
        }
    }
    out
}

/// The text without its marks, and where they were: lines and columns from 1.
fn unmarked(text: &str) -> (String, Vec<(usize, usize)>) {
    let mut plain = String::new();
    let mut places = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for (nth, (byte, _)) in line.match_indices(MARK).enumerate() {
            places.push((at + 1, line[..byte].chars().count() + 1 - nth));
        }
        let _ = writeln!(plain, "{}", line.replace(MARK, ""));
    }
    (plain, places)
}

/// The file has exactly the mistakes that are marked in it, with these words, in this order.
#[track_caller]
fn check_mistakes(text: &str, messages: &[&str]) -> Output {
    let sandbox = Sandbox::empty();
    let (plain, places) = unmarked(text);
    sandbox.write("pipeline.toml", &plain);
    let output = sandbox.run("lint").exits(2);
    let found = findings(&output);
    let found_places: Vec<(usize, usize)> = found.iter().map(|f| (f.line, f.column)).collect();
    assert_eq!(found_places, places, "{}", output.stderr);
    assert_eq!(found.len(), messages.len(), "{}", output.stderr);
    for (finding, message) in found.iter().zip(messages) {
        assert!(finding.message.contains(message), "`{message}` is not in {finding:?}");
    }
    let count =
        if messages.len() == 1 { "1 mistake".to_owned() } else { format!("{} mistakes", messages.len()) };
    output.says(&format!("`pipeline.toml` has {count}; nothing was run"));
    // No command does anything with such a file.
    for call in
        ["p", "status", "resume", "doctor", "list", "graph", "report", "explain a", "skip a --reason x"]
    {
        sandbox.run(call).exits(2);
    }
    assert!(!sandbox.has(".xtask"));
    output
}

/// A file with this in a task, and exactly one mistake.
#[track_caller]
fn check_task(keys: &str, message: &str) -> Output {
    let text = format!("{HEAD}[[phase.task]]\nid = \"a\"\ntitle = \"A\"\n{keys}\n");
    check_mistakes(&text, &[message])
}

const HEAD: &str = r#"[pipeline]
id = "p"
title = "Test"

[vars]
tag = "v1"

[prerequisite.docker]
program = "docker"

[[phase]]
id = "main"
title = "Main"

"#;

#[test]
fn a_file_without_mistakes_is_fine() {
    let sandbox = Sandbox::empty();
    sandbox.write(
        "pipeline.toml",
        format!("{HEAD}[[phase.task]]\nid = \"a\"\ntitle = \"A\"\nrun = \"echo ${{tag}}\"\n"),
    );
    sandbox.run("lint").exits(0).says("`p` is fine: 1 task in 1 phase, 1 prerequisite");
    assert!(!sandbox.has(".xtask"));
}

#[test]
fn ten_different_mistakes_are_ten_findings_at_their_places() {
    let text = r#"
[pipeline]
id = "p"
title = "Test"
▶reprot = "STATUS.md"
timeout = ▶"soon"

[vars]
tag = "v1"

[prerequisite.docker]
program = "docker"
version = ▶"twenty"

[[phase]]
id = "main"
title = "Main"

[[phase.task]]
id = "a"
title = "A"
lock = ▶7
inputs = ["src/**", ▶"src/[z-a]"]
run = "docker build -t app:▶${tagg} ."
check = [{ file = "ä", contains = ▶'(' }]
measure = [{ name = "size", run = "docker size", unit = "bytes", max = ▶"many" }]

[[phase.task]]
id = "b"
title = "B"
needs = ["a", ▶"bb"]

[[phase.task]]
id = ▶"b"
title = "Another"
"#;
    let output = check_mistakes(
        text,
        &[
            "unknown key `reprot`",
            "`soon` is not a duration",
            "`twenty` is not a range of versions",
            "`lock` takes",
            "`src/[z-a]` is not a glob pattern",
            "unset variable `tagg`",
            "`(` is not a regular expression",
            "`many` is not a number of bytes",
            "there is no task `bb`",
            "the task `b` is declared twice",
        ],
    );
    output.says("did you mean `report`?").says("did you mean `${tag}`?").says("first declared here");
    // The line stands there with a caret below.
    output.says("version = \"twenty\"").says("^^^^^^^^");
}

#[test]
fn a_syntax_error_has_a_place() {
    check_mistakes(
        "[pipeline]\nid = ▶\ntitle = \"T\"\n\n[[phase]]\nid = \"main\"\ntitle = \"M\"\n",
        &["not TOML"],
    );
}

#[test]
fn several_syntax_errors_are_shown_together() {
    let sandbox = Sandbox::empty();
    sandbox.write("pipeline.toml", format!("{HEAD}[[phase.task]]\nid = \"a\"\ntitle = \"A\"\nrun = \"open\n\n[[phase.task]]\nid = b\ntitle = \"B\"\n"));
    let output = sandbox.run("lint").exits(2);
    let lines: Vec<usize> =
        findings(&output).iter().filter(|f| f.message.contains("not TOML")).map(|f| f.line).collect();
    assert_eq!(lines, [18, 21], "{}", output.stderr);
}

#[test]
fn a_key_twice_is_a_syntax_error() {
    check_task("run = \"echo\"\n▶run = \"echo\"", "not TOML: duplicate key");
}

#[test]
fn missing_keys_are_named() {
    check_mistakes(
        "▶[pipeline]\nid = \"p\"\n\n[[phase]]\nid = \"m\"\ntitle = \"M\"\n[[phase.task]]\nid = \"a\"\ntitle = \"A\"\n",
        &["the key `title` is missing"],
    );
}

#[test]
fn a_cycle_is_named_as_a_path() {
    let text = format!(
        "{HEAD}[[phase.task]]\nid = \"a\"\ntitle = \"A\"\nneeds = [▶\"b\"]\n\n[[phase.task]]\nid = \"b\"\ntitle = \"B\"\nneeds = [\"c\"]\n\n[[phase.task]]\nid = \"c\"\ntitle = \"C\"\nneeds = [\"a\"]\n"
    );
    check_mistakes(&text, &["tasks need each other: a -> b -> c -> a"]);
}

#[test]
fn a_task_that_needs_itself_is_a_cycle() {
    check_task("needs = [▶\"a\"]", "tasks need each other: a -> a");
}

#[test]
fn prerequisites_that_require_each_other_are_a_cycle() {
    let text = HEAD.replace("program = \"docker\"", "program = \"docker\"\nrequires = [\"cluster\"]\n\n[prerequisite.cluster]\nready = \"x\"\nrequires = [\"docker\"]");
    let text = text.replace("[prerequisite.docker]", "[prerequisite.▶docker]")
        + "[[phase.task]]\nid = \"a\"\ntitle = \"A\"\n";
    check_mistakes(&text, &["prerequisites require each other: docker -> cluster -> docker"]);
}

#[test]
fn variables_that_use_each_other_are_a_cycle() {
    let sandbox = Sandbox::new(
        "[vars]\none = \"${two}\"\ntwo = \"${one}\"\n[[phase.task]]\nid = \"a\"\ntitle = \"A\"\n",
    );
    sandbox.run("lint").exits(2).says("variables depend on each other: one -> two -> one");
}

#[test]
fn references_to_nothing_are_refused_wherever_they_stand() {
    let table = [
        ("requires = [▶\"dokcer\"]", "there is no prerequisite `dokcer`"),
        ("provides = [▶\"dokcer\"]", "there is no prerequisite `dokcer`"),
        ("needs = [▶\"aa\"]", "there is no task `aa`"),
        ("when = { ▶contxt = \"x\" }", "`contxt` is neither a fact nor a variable"),
        ("when = { os = ▶\"linus\" }", "no system is called `linus`"),
        ("shell = ▶\"bsah\"", "unknown shell `bsah`"),
        ("cwd = \"sub/▶${run.id}\"", "is known only while the task runs"),
    ];
    for (keys, message) in table {
        check_task(keys, message);
    }
}

#[test]
fn did_you_mean() {
    check_task("▶neds = [\"x\"]", "unknown key `neds`").says("did you mean `needs`?");
    check_task("requires = [▶\"dokcer\"]", "there is no prerequisite").says("did you mean `docker`?");
    check_task("check = [▶{ flie = \"x\" }]", "nothing here says what to check").says("did you mean `file`?");
    check_task("check = [{ file = \"x\", ▶contians = 'y' }]", "unknown key `contians`")
        .says("did you mean `contains`?");
}

#[test]
fn what_is_watched_lies_outside() {
    let watch = |paths: &str| {
        HEAD.replace("program = \"docker\"", &format!("program = \"docker\"\nwatch = {paths}"))
            + "[[phase.task]]\nid = \"a\"\ntitle = \"A\"\n"
    };
    let sandbox = Sandbox::empty();
    sandbox.write("pipeline.toml", watch(r#"["/run/a.sock", "~/.kube/config", "$DOCKER_HOST", "$RUN/b"]"#));
    sandbox.run("lint").exits(0);
    let message = "`docker.sock` is not a path outside the repository";
    check_mistakes(&watch("▶\"docker.sock\""), &[message]).says("\"$NAME\"");
    check_mistakes(&watch("▶7"), &["`watch` takes a path"]);
}

#[test]
fn bad_values_are_refused_where_they_stand() {
    let table = [
        ("timeout = ▶\"10 parsecs\"", "`10 parsecs` is not a duration"),
        ("timeout = ▶10", "`timeout` takes a duration"),
        ("retry = { times = ▶-1 }", "a whole number that is not negative"),
        ("always = ▶\"yes\"", "`always` takes `true` or `false`"),
        ("run = ▶\"\"", "an empty command"),
        ("run = ▶\"echo 'open\"", "a quote in this command is not closed"),
        ("run = \"one ▶&& two\"", "`&&` means nothing here"),
        ("run = \"echo ▶${tag\"", "`${` does not start a variable"),
        ("artifacts = [▶\"../outside\"]", "leads out of the folder"),
        ("inputs = [▶\"/etc/*\"]", "leads out of the folder"),
        ("check = [{ file = \"x\", contains = ▶'a{2,1}' }]", "is not a regular expression"),
        (
            "check = [{ json = \"x\", path = \"a\", min = 3, max = ▶2 }]",
            "nothing is at least 3 and at most 2",
        ),
        ("measure = [{ name = \"n\", unit = ▶\"parsecs\", run = \"x\" }]", "parsecs"),
        (
            "measure = [{ name = \"n\", unit = \"seconds\", run = \"x\", max = ▶\"500MB\" }]",
            "`500MB` is not a number of seconds",
        ),
        ("capture.▶tag = { run = \"x\" }", "`tag` is a variable already"),
    ];
    for (keys, message) in table {
        check_task(keys, message);
    }
}

#[test]
fn names_are_checked() {
    for (old, new, message) in [
        ("id = \"p\"", "id = ▶\"run\"", "a pipeline can't be called `run`"),
        ("id = \"p\"", "id = ▶\"two words\"", "`two words` can't be the id of a pipeline"),
        ("id = \"main\"", "id = ▶\"../main\"", "can't be the id of a phase"),
        ("tag = \"v1\"", "▶Tag = \"v1\"", "`Tag` is not a variable's name"),
        ("program = \"docker\"", "▶programm = \"docker\"", "unknown key `programm`"),
    ] {
        let text = HEAD.replace(old, new) + "[[phase.task]]\nid = \"a\"\ntitle = \"A\"\n";
        check_mistakes(&text, &[message]);
    }
}

#[test]
fn a_pipeline_without_tasks_is_refused() {
    check_mistakes(&HEAD.replace("id = \"p\"", "id = ▶\"p\""), &["the pipeline has no task"]);
}

#[test]
fn a_place_far_to_the_right_is_told_as_it_is() {
    let keys = format!("run = [{}\"echo ▶${{tga}}\"]", "\"echo äöü ${tag}\", ".repeat(40));
    check_task(&keys, "unset variable `tga`");
}

#[test]
fn places_count_characters_and_do_not_mind_other_line_ends() {
    let text = format!(
        "{HEAD}[[phase.task]]\nid = \"a\"\ntitle = \"日本語 äöü\"\nrun = \"echo 日本語 ▶${{tga}}\"\n"
    );
    let (plain, places) = unmarked(&text);
    let sandbox = Sandbox::empty();
    sandbox.write("pipeline.toml", plain.replace('\n', "\r\n"));
    let output = sandbox.run("lint").exits(2);
    let found: Vec<(usize, usize)> = findings(&output).iter().map(|f| (f.line, f.column)).collect();
    assert_eq!(found, places, "{}", output.stderr);
}

#[test]
fn what_is_not_text_is_refused() {
    let sandbox = Sandbox::empty();
    sandbox.write("pipeline.toml", [b"[pipeline]\nid = \"p\xff\"".as_slice()].concat());
    sandbox.run("lint").exits(2).says("byte 18 is not UTF-8");
}

#[test]
fn nothing_in_a_message_reaches_the_terminal_as_a_command() {
    let sandbox = Sandbox::empty();
    sandbox.write(
        "pipeline.toml",
        format!("{HEAD}[[phase.task]]\nid = \"a\"\ntitle = \"A\"\nneeds = [\"\\u001b[31mred\"]\n"),
    );
    let output = sandbox.run("lint").exits(2);
    assert!(!output.stderr.contains('\u{1b}'), "{:?}", output.stderr);
}

#[test]
fn a_cycle_of_a_hundred_thousand_tasks_is_refused_in_bounded_time() {
    const N: usize = 100_000;
    let mut text = HEAD.to_owned();
    for i in 0..N {
        let _ = write!(text, "[[phase.task]]\nid=\"t{i}\"\ntitle=\"\"\nneeds=[\"t{}\"]\n", (i + 1) % N);
    }
    let sandbox = Sandbox::empty();
    sandbox.write("pipeline.toml", text);
    let output = sandbox.run("lint").exits(2);
    output.says("tasks need each other: t0 -> t1 -> ").says("-> t99999 -> t0");
    assert!(output.stderr.len() < 2000, "{} bytes", output.stderr.len());
}

#[test]
fn a_string_of_a_hundred_megabytes_is_refused_in_bounded_time() {
    let sandbox = Sandbox::empty();
    sandbox.write(
        "pipeline.toml",
        format!("{HEAD}[[phase.task]]\nid = \"a\"\ntitle = \"{}\"\n", "x".repeat(100 << 20)),
    );
    let output = sandbox.run("p").exits(2);
    output.says("105 MB");
    assert!(output.stderr.len() < 2000);
}

#[test]
fn deep_nesting_is_refused_in_bounded_time() {
    let sandbox = Sandbox::empty();
    sandbox.write(
        "pipeline.toml",
        format!("{HEAD}[[phase.task]]\nid = \"a\"\ntitle = \"A\"\nrun = {}\n", "[".repeat(100_000)),
    );
    sandbox.run("lint").exits(2);
}

#[test]
fn the_schema_is_json_and_names_every_table() {
    let schema = Sandbox::empty().run("schema").exits(0).parsed();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for table in
        ["pipeline", "vars", "prerequisite", "fact", "phase", "gate", "criterion", "deliverable", "risk"]
    {
        assert!(schema["properties"].get(table).is_some(), "{table}");
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        Sandbox::empty().run(&format!("completions {shell}")).exits(0).shows("xtask").shows("doctor");
    }
}
