//! Rules of the repository as ordinary tests. Each failure says what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use clap::CommandFactory as _;
use regex::Regex;
use serde_json::Value as Json;
use xtask::check::KINDS;
use xtask::measure::SOURCES;
use xtask::pipeline::{file, resolve};

/// The command that runs the tests, as README shows it and `.ci/run` uses it.
const TESTS: &str = "cargo test --workspace --features test-tools";

/// What may stand in the root, besides files and folders that begin with a dot.
const TOP: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "DEPLOYMENT.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "STATUS.md",
    "bench",
    "docker",
    "docs",
    "helm",
    "k8s",
    "pipeline.toml",
    "xtask",
];

fn root() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository")
}

fn read(path: &str) -> String {
    let full = root().join(path);
    fs::read_to_string(&full).unwrap_or_else(|error| panic!("`{path}` could not be read: {error}"))
}

/// Files and folders below the root that git does not ignore, relative to it.
fn entries(depth: Option<usize>) -> Vec<Utf8PathBuf> {
    let walk = ignore::WalkBuilder::new(root())
        .hidden(false)
        .git_global(false)
        .git_exclude(false)
        .require_git(false)
        .max_depth(depth)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    walk.map(|entry| entry.expect("a readable folder"))
        .filter(|entry| entry.depth() > 0)
        .filter_map(|entry| Utf8PathBuf::try_from(entry.into_path()).ok())
        .map(|path| path.strip_prefix(root()).expect("below the root").to_owned())
        .collect()
}

/// Every text file, with its text.
fn texts() -> Vec<(Utf8PathBuf, String)> {
    let files = entries(None).into_iter().filter(|path| root().join(path).is_file());
    files.filter_map(|path| Some((path.clone(), fs::read_to_string(root().join(&path)).ok()?))).collect()
}

fn texts_with(extension: &str) -> Vec<(Utf8PathBuf, String)> {
    texts().into_iter().filter(|(path, _)| path.extension() == Some(extension)).collect()
}

/// Our own prose: the application's folders are other people's ecosystems.
fn guides() -> Vec<(Utf8PathBuf, String)> {
    texts_with("md")
        .into_iter()
        .filter(|(path, _)| path != "STATUS.md" && !path.starts_with("docker/frontend"))
        .collect()
}

/// The part of a Markdown text from a heading to the next one of its level or above.
fn section<'t>(text: &'t str, heading: &str) -> Option<&'t str> {
    let start = text.find(&format!("\n{heading}\n"))? + 1;
    let level = heading.chars().take_while(|c| *c == '#').count();
    let body = &text[start + heading.len()..];
    let mut at = 0;
    let mut fenced = false;
    for line in body.split_inclusive('\n') {
        fenced ^= line.starts_with("```");
        let depth = line.chars().take_while(|c| *c == '#').count();
        if !fenced && (1..=level).contains(&depth) && line[depth..].starts_with(' ') {
            break;
        }
        at += line.len();
    }
    Some(&body[..at])
}

/// Fenced blocks: the language and the text.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => out.extend(open.take()),
            (None, Some((_, block))) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    out
}

/// True if a text names `name` as code, alone or at the start of a piece of code: `name`, `name = 1`, `-j`.
fn names(text: &str, name: &str) -> bool {
    let ends = |rest: &str| rest.starts_with(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    text.match_indices(&format!("`{name}")).any(|(at, found)| ends(&text[at + found.len()..]))
}

#[test]
fn the_top_level_holds_what_it_may() {
    for path in entries(Some(1)) {
        let name = path.as_str();
        assert!(
            name.starts_with('.') || TOP.contains(&name),
            "`{name}` does not belong into the root: put it under docs/, or add it to TOP in xtask/tests/tidy.rs"
        );
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for (path, text) in texts_with("rs") {
        assert!(
            text.starts_with("//! "),
            "`{path}` has no module comment: begin it with `//! ` and a sentence"
        );
        let first = text.lines().next().unwrap_or_default();
        assert!(first.len() > 20, "the first line of `{path}` says too little: {first}");
    }
}

#[test]
fn no_text_names_a_folder_of_somebodys_machine() {
    // Put together here, so that this file does not name one either.
    let homes = ["home", "root", "Users", "work"].map(|folder| format!("/{folder}/"));
    let absolute = Regex::new(&format!(r#"(?:^|[\s"'`(=:]|\.\.)(?:{})[A-Za-z0-9._-]+"#, homes.join("|")))
        .expect("a valid pattern");
    for (path, text) in texts() {
        // The lock files of other ecosystems and the Dockerfiles' own file systems are not ours to word.
        if path.starts_with("docker") || path.file_name() == Some("Cargo.lock") {
            continue;
        }
        for (n, line) in text.lines().enumerate() {
            let found = absolute.find(line).map(|m| m.as_str().trim());
            assert!(
                found.is_none(),
                "{path}:{}: `{}` is a path on one machine; name it relative to the root",
                n + 1,
                found.unwrap_or_default()
            );
        }
    }
}

#[test]
fn readme_begins_with_the_two_commands() {
    let readme = read("README.md");
    let prompts = |block: &str| {
        block.lines().map(|line| line.trim_start_matches("$ ").trim().to_owned()).collect::<Vec<_>>()
    };
    let shells = ["sh", "bash", "console", "text", ""];
    let commands: Vec<String> = blocks(&readme)
        .iter()
        .filter(|(language, _)| shells.contains(&language.as_str()))
        .flat_map(|(_, block)| prompts(block))
        .filter(|line| line.starts_with("cargo "))
        .collect();
    assert_eq!(
        commands.first().map(String::as_str),
        Some("cargo xtask phase4"),
        "README's first command is the main job"
    );
    assert_eq!(commands.get(1).map(String::as_str), Some(TESTS), "README's second command runs the tests");
    assert!(read(".ci/run").contains(TESTS), "`.ci/run` has to run the tests as README says: `{TESTS}`");
}

#[test]
fn the_alias_is_quiet() {
    let config = read(".cargo/config.toml");
    assert!(
        config.contains("run --quiet --package xtask"),
        "the alias `xtask` needs `--quiet`: else cargo adds its words to exit codes"
    );
}

#[test]
fn the_changelog_has_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        read("CHANGELOG.md").contains(&format!("\n## [{version}]")),
        "add a section `## [{version}]` to CHANGELOG.md"
    );
}

#[test]
fn the_licences_are_there() {
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(read(name).contains("the xtask developers"), "`{name}` does not name the copyright holder");
    }
}

#[test]
fn the_schema_file_is_what_schema_prints() {
    let printed = format!("{:#}\n", file::schema());
    assert!(
        read("docs/pipeline.schema.json") == printed,
        "docs/pipeline.schema.json is not what the program prints; run: cargo xtask schema > docs/pipeline.schema.json"
    );
}

#[test]
fn every_command_and_option_is_documented() {
    let docs = read("docs/commands.md");
    let mut cli = xtask::cli::Cli::command();
    cli.build();
    for command in cli.get_subcommands() {
        let heading = format!("## `{}`", command.get_name());
        assert!(section(&docs, &heading).is_some(), "docs/commands.md has no section `{heading}`");
    }
    for command in cli.get_subcommands() {
        assert!(
            resolve::TAKEN.contains(&command.get_name()),
            "a pipeline may be called `{}` as the command is: add it to TAKEN in pipeline/resolve.rs",
            command.get_name()
        );
    }
    let all = std::iter::once(&cli).chain(cli.get_subcommands());
    for (command, argument) in
        all.flat_map(|command| command.get_arguments().map(move |argument| (command, argument)))
    {
        let Some(long) = argument.get_long() else { continue };
        assert!(
            docs.contains(&format!("--{long}")),
            "docs/commands.md does not mention `--{long}` of `{}`",
            command.get_name()
        );
    }
    for code in ["0", "1", "2", "3", "4", "130, 143"] {
        assert!(
            docs.contains(&format!("\n| {code} | ")),
            "docs/commands.md does not have the exit code {code}"
        );
    }
    for format in xtask::report::names() {
        assert!(names(&docs, format), "docs/commands.md does not mention the report format `{format}`");
    }
}

#[test]
fn every_key_is_documented_where_it_belongs() {
    let docs = read("docs/pipeline.md");
    let schema = file::schema();
    let keys = |schema: &Json| -> Vec<String> {
        schema["properties"].as_object().map(|keys| keys.keys().cloned().collect()).unwrap_or_default()
    };
    let mut wanted: Vec<(String, Vec<String>)> = Vec::new();
    // Tables, each with the heading of its section.
    let tables = [
        ("Head", "## `[pipeline]`"),
        ("VariableTable", "## `[vars]`"),
        ("PrerequisiteTable", "## `[prerequisite.NAME]`"),
        ("RemedyTable", "## `[prerequisite.NAME]`"),
        ("FactTable", "## `[fact.NAME]`"),
        ("ProfileTable", "## `[profile.NAME]`"),
        ("PhaseTable", "## `[[phase]]`"),
        ("TaskTable", "## `[[phase.task]]`"),
        ("HintTable", "## `[[phase.task]]`"),
        ("RetryTable", "## `[[phase.task]]`"),
        ("StepTable", "### Commands"),
        ("CaptureTable", "### Captures"),
        ("GateTable", "## `[[gate]]`"),
        ("CriterionTable", "## `[[criterion]]`"),
        ("DeliverableTable", "## `[[deliverable]]`"),
        ("RiskTable", "## `[[risk]]`"),
        ("Pair", "## Measurements"),
    ];
    let defs = schema["$defs"].as_object().expect("definitions");
    let known: BTreeSet<&str> = tables.iter().map(|(name, _)| *name).chain(["Check", "Measure"]).collect();
    for name in defs.keys() {
        assert!(
            known.contains(name.as_str()),
            "the table `{name}` of the schema has no section in docs/pipeline.md: add it to this test"
        );
    }
    wanted.extend(tables.iter().map(|(name, heading)| ((*heading).to_owned(), keys(&defs[*name]))));
    // Kinds of check; what they share has a section of its own.
    let shared = format!(
        "{}{}",
        section(&docs, "## Checks").unwrap_or_default(),
        section(&docs, "## Comparisons").unwrap_or_default()
    );
    let common: BTreeSet<String> = ["title", "within", "when"]
        .into_iter()
        .chain(["equals", "matches", "min", "max", "includes", "count", "exists", "values"])
        .map(str::to_owned)
        .collect();
    for key in &common {
        assert!(
            shared.contains(&format!("`{key}`")),
            "docs/pipeline.md does not explain `{key}`, which checks share"
        );
    }
    for (kind, check) in KINDS.iter().zip(defs["Check"]["oneOf"].as_array().expect("kinds")) {
        let has_comparisons = check["properties"].get("values").is_some();
        let own = keys(check).into_iter().filter(|key| match key.as_str() {
            "title" | "within" | "when" => false,
            key => !(has_comparisons && common.contains(key)),
        });
        wanted.push((format!("### `{}`", kind.key), own.collect()));
    }
    for (source, measure) in SOURCES.iter().zip(defs["Measure"]["oneOf"].as_array().expect("sources")) {
        let all = keys(measure);
        assert!(all.contains(&source.key.to_owned()));
        wanted.push(("## Measurements".to_owned(), all));
    }
    for (heading, keys) in wanted {
        let text =
            section(&docs, &heading).unwrap_or_else(|| panic!("docs/pipeline.md has no section `{heading}`"));
        for key in keys {
            assert!(
                names(text, &key),
                "the section `{heading}` of docs/pipeline.md does not mention the key `{key}`"
            );
        }
    }
    for key in keys(&schema) {
        assert!(
            docs.contains(&format!("[{key}]")) || docs.contains(&format!("[{key}.")),
            "docs/pipeline.md has no table `{key}`"
        );
    }
}

#[test]
fn every_state_and_verdict_is_documented() {
    let docs = read("docs/pipeline.md");
    let states = section(&docs, "## States").expect("a section about states");
    for state in xtask::status::STATES {
        assert!(
            states.contains(&format!("| {} |", state.name())),
            "the table of states in docs/pipeline.md lacks `{}`",
            state.name()
        );
    }
    let verdicts = section(&docs, "### Verdicts").expect("a section about verdicts");
    for verdict in ["met", "absent", "wrong version", "not running", "no permission", "could not tell"] {
        assert!(
            verdicts.contains(&format!("\n| {verdict} |")),
            "the table of verdicts in docs/pipeline.md lacks `{verdict}`"
        );
    }
}

#[test]
fn every_record_and_its_fields_are_documented() {
    let docs = read("docs/ledger.md");
    let source = read("xtask/src/ledger/event.rs");
    let kinds = Regex::new(r#"=> "([a-z-]+)","#).expect("a valid pattern");
    let mut n_kinds = 0;
    for kind in kinds.captures_iter(&source).map(|c| c[1].to_owned()) {
        n_kinds += 1;
        assert!(
            docs.contains(&format!("`{kind}`")),
            "docs/ledger.md does not explain records of the kind `{kind}`"
        );
    }
    assert!(n_kinds > 5, "the kinds are not where this test looks for them");
    let fields = Regex::new(r"(?m)^    pub (?:r#)?([a-z_]+):").expect("a valid pattern");
    // Flattened: their own fields are in the record.
    let flat = ["probe", "finding"];
    for field in
        fields.captures_iter(&source).map(|c| c[1].to_owned()).filter(|field| !flat.contains(&field.as_str()))
    {
        assert!(docs.contains(&format!("`{field}`")), "docs/ledger.md does not mention the field `{field}`");
    }
    assert!(
        docs.contains(&format!("format {}", xtask::ledger::event::FORMAT)),
        "docs/ledger.md is about another format"
    );
}

/// What examples in the reference refer to, by the header that a block may bring itself.
const AROUND: &[(&str, &str)] = &[
    ("[pipeline]", "[pipeline]\nid = \"example\"\ntitle = \"Example\"\n"),
    ("[vars]", "[vars]\nimage = \"app:1.0\"\nnamespace = \"demo\"\n"),
    ("[prerequisite.docker]", "[prerequisite.docker]\nprogram = \"docker\"\n"),
    ("[fact.context]", "[fact.context]\nrun = \"kubectl config current-context\"\n"),
    (
        "id = \"base\"",
        concat!(
            "[[phase]]\nid = \"base\"\ntitle = \"Base\"\n[[phase.task]]\nid = \"build\"\ntitle = \"Build\"\n",
            "[[phase.task.measure]]\nname = \"image size\"\nunit = \"bytes\"\nsize = \"app.tar\"\n",
            "[[phase.task]]\nid = \"example\"\ntitle = \"Example\"\n",
        ),
    ),
];

#[test]
fn every_example_in_the_reference_is_read_without_a_mistake() {
    let mut n_examples = 0;
    for (path, text) in guides() {
        for (_, block) in blocks(&text).into_iter().filter(|(language, _)| language == "toml") {
            n_examples += 1;
            let whole = if block.contains("[pipeline]") {
                block.clone()
            } else {
                let around =
                    AROUND.iter().filter(|(header, _)| !block.contains(header)).map(|(_, text)| *text);
                format!("{}{block}", around.collect::<String>())
            };
            if let Err(mistakes) = resolve(&whole, &BTreeMap::new()) {
                let said: Vec<&str> = mistakes.iter().map(|m| m.message.as_str()).collect();
                panic!("an example in `{path}` is refused: {}\n{block}", said.join("; "));
            }
        }
    }
    assert!(n_examples > 20, "the examples are not where this test looks for them");
}

#[test]
fn links_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").expect("a valid pattern");
    for (path, text) in guides() {
        let mut prose = String::new();
        let mut fenced = false;
        for line in text.lines() {
            fenced ^= line.trim_start().starts_with("```");
            if !fenced {
                prose.push_str(line);
                prose.push('\n');
            }
        }
        for target in
            link.captures_iter(&prose).map(|c| c[1].to_owned()).filter(|target| !target.contains("://"))
        {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let folder = path.parent().unwrap_or(Utf8Path::new(""));
            let full = if file.is_empty() { root().join(&path) } else { root().join(folder).join(file) };
            assert!(full.exists(), "`{path}` links to `{target}`, which is not there");
            if !anchor.is_empty() && full.is_file() {
                let text = fs::read_to_string(&full).unwrap_or_default();
                let anchors: BTreeSet<String> =
                    text.lines().filter(|line| line.starts_with('#')).map(slug).collect();
                assert!(
                    anchors.contains(anchor),
                    "`{path}` links to `{target}`, but no heading there makes that anchor"
                );
            }
        }
    }
}

/// The anchor that GitHub makes of a heading.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
