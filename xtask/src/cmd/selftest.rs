//! `selftest redaction`: sends a canary of each kind of secret through everything that writes or shows something, by
//! running this very program in a folder of its own, and looks for what comes through.
//!
//! No tool has to be on the machine: the children of the canary's tasks are this program too, as `selftest emit`,
//! which prints what it finds in its environment in every form in which it would have to be masked.

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use crate::cli::{EmitArgs, Selftest};
use crate::exec::{self, How, Output, Room, Spawn};
use crate::failure::{Failure, exit};
use crate::ledger::event::{self, FailureKind};
use crate::redact::{MASK, STANDARD, URL_SAFE, base64, percent};
use crate::report::FORMATS;
use crate::secrets::{Secret, Secrets};
use crate::ui::{LogEnd, Terminal, Ui};
use crate::wording;

/// Longer than any of the calls takes.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a test of this program on this machine.
pub fn selftest(test: &Selftest, ui: &Ui) -> Result<u8, Failure> {
    match test {
        Selftest::Redaction => {
            redaction(ui).map_err(|error| Failure { code: exit::FAILED, error, hint: None })
        }
        Selftest::Emit(args) => emit(args).map_err(Failure::ledger),
    }
}

/// A value that must not turn up anywhere.
#[derive(Clone)]
struct Canary {
    /// What kind of secret it is, in words.
    kind: &'static str,
    /// The variable through which the children know it.
    variable: &'static str,
    value: String,
    /// The part that is like nothing else, and that no encoding but base64 changes.
    core: String,
}

/// The variables through which children know the canaries, and what declares each as a secret.
const VARIABLES: [(&str, &str); 6] = [
    ("a value of an `env_file`", "CANARY_FILE"),
    ("a `secret` variable of a task", "CANARY_ENV"),
    ("a `secret` environment variable of the pipeline", "CANARY_PLAN"),
    ("a `secret` variable of the pipeline", "XTASK_VAR_planned"),
    ("a captured value", CAPTURED),
    ("a well-known token", TOKEN),
];

/// It is a secret from the moment on at which it is captured, and in that process only: what is recorded is masked.
const CAPTURED: &str = "CANARY_CAPTURED";

/// It is not declared, so it is a secret as long as it looks like a token.
const TOKEN: &str = "CANARY_TOKEN";

impl Canary {
    fn all() -> Vec<Self> {
        let canary = |(kind, variable)| {
            let core = random();
            let value = match variable {
                TOKEN => format!("{}_{core}{core}{core}", ["gh", "p"].concat()),
                // Something for every encoding to change.
                _ => format!("canary-/+&\"\u{e9}{core}"),
            };
            Self { kind, variable, value, core }
        };
        VARIABLES.map(canary).into()
    }

    /// In which form a part of it is in `text`.
    fn form_in(&self, text: &str) -> Option<&'static str> {
        /// So many characters are no accident.
        const PART: usize = 9;
        let on_one_line = text.replace(['\r', '\n'], "");
        let holds = |part: &str| on_one_line.contains(part);
        let mut parts = self.core.as_bytes().windows(PART);
        if parts.clone().any(|part| holds(&String::from_utf8_lossy(part))) {
            return Some("as it is");
        }
        let in_base64 = |part: &[u8]| {
            // In a text that is encoded as a whole it may lie in three ways; what it shares with a neighbour is open.
            (0..3).any(|n_before: usize| {
                let text = [&[0; 2][..n_before], part].concat();
                let encoded = base64(&text, STANDARD);
                holds(&encoded[(n_before * 8).div_ceil(6)..text.len() * 8 / 6])
            })
        };
        parts.any(in_base64).then_some("in base64")
    }
}

/// Sixteen characters, others each time.
fn random() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// A place to which canaries are sent, and what arrived there.
struct Sink {
    name: String,
    text: String,
    /// True if a canary has to have come here, so that its mask has to be there.
    is_reached: bool,
}

impl Sink {
    fn new(name: impl Into<String>, text: String) -> Self {
        Self { name: name.into(), text, is_reached: true }
    }

    /// What is wrong with it, in words.
    fn problem(&self, canaries: &[Canary]) -> Option<String> {
        let leak = canaries.iter().find_map(|c| Some((c.kind, c.form_in(&self.text)?)));
        match leak {
            Some((kind, form)) => Some(format!("{kind} came through, {form}")),
            // Markdown writes it with backslashes.
            None if self.is_reached && !self.text.replace('\\', "").contains(MASK) => {
                Some("no canary came here, so that none is seen proves nothing".to_owned())
            }
            None => None,
        }
    }
}

fn redaction(ui: &Ui) -> anyhow::Result<u8> {
    let mut canaries = Canary::all();
    let folder = Folder::new()?;
    let mut sinks = live_view(&folder, &canaries)?;
    sinks.extend(declared(&folder, &canaries)?);
    sinks.extend(undeclared(&folder, &canaries)?);
    let name =
        Canary { kind: "a secret in a name", variable: "CANARY_FILE", value: String::new(), core: random() };
    let name = Canary { value: format!("n{}", name.core), ..name };
    sinks.extend(refused(&folder, &name)?);
    canaries.push(name);
    let mut n_leaks = 0;
    for sink in &sinks {
        let line = match sink.problem(&canaries) {
            None => format!("ok: {}\n", sink.name),
            Some(problem) => {
                n_leaks += 1;
                format!("NOT OK: {}: {problem}\n", sink.name)
            }
        };
        ui.data(&line);
    }
    let all = wording::plural(sinks.len(), "place");
    if n_leaks > 0 {
        ui.say(&format!("secrets are not kept in {n_leaks} of {all}"));
        return Ok(exit::FAILED);
    }
    ui.say(&format!("no secret came through in {all}"));
    Ok(exit::DONE)
}

/// What a person would see on a terminal, the logs of two tasks that run included: one is followed.
fn live_view(folder: &Folder, canaries: &[Canary]) -> anyhow::Result<Vec<Sink>> {
    let secret = |c: &Canary| Secret { whose: c.kind.to_owned(), value: c.value.clone(), named: true };
    let screen = Screen::default();
    let ui = Ui::on(Box::new(screen.clone()), Secrets::new(canaries.iter().map(secret)));
    let [shown, followed] = ["shown.log", "followed.log"].map(|name| folder.root.join(name));
    ui.follow("followed");
    let asking = ui.probing(1);
    ui.begin(canaries.len(), 0);
    for Canary { value, .. } in canaries {
        // In the log that is still written the value is begun only.
        let begun: String = value.chars().take(value.chars().count() - 2).collect();
        fs::write(&shown, format!("shown {begun}"))?;
        fs::write(&followed, format!("followed {value}\n"))?;
        ui.started(value, value, &shown);
        ui.started("followed", value, &followed);
        ui.say(value);
        ui.warn(value);
        ui.talk().say(value);
        let failure = event::Failure {
            kind: FailureKind::Command,
            what: value.clone(),
            how: value.clone(),
            hint: Some(value.clone()),
        };
        let end = LogEnd {
            path: value.as_str().into(),
            lines: std::slice::from_ref(value),
            at: Timestamp::UNIX_EPOCH,
        };
        ui.failed(value, value, LIMIT, Some(&failure), &end);
        ui.passed("followed", value, LIMIT);
        ui.interrupted(value, value, LIMIT);
    }
    drop(asking);
    ui.end();
    let text = screen.text();
    let lines_with = |words: &str| text.lines().filter(|line| line.contains(words)).collect::<String>();
    Ok(vec![
        Sink::new("what a task in the live view prints", lines_with("shown ")),
        Sink::new("a log that is followed", lines_with("followed ")),
        Sink::new("the live view", text),
    ])
}

/// A terminal that keeps everything that was ever written to it.
#[derive(Debug, Clone, Default)]
struct Screen(Arc<Mutex<String>>);

impl Screen {
    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Terminal for Screen {
    fn size(&self) -> (usize, usize) {
        (200, 50)
    }

    fn write(&mut self, text: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
    }
}

/// The calls in a project that declares every canary, each with its exit code and whether canaries have to arrive in
/// its output. VALUE stands for the canaries that are known from the start, one after the other, ONE for one of them.
/// Every command that says something about a project is here.
const CALLS: &[(&str, u8, bool)] = &[
    ("run --dry-run", exit::BLOCKED, true),
    ("run --dry-run --json", exit::BLOCKED, true),
    ("run", exit::FAILED, true),
    ("resume --follow leaks", exit::FAILED, true),
    ("--set planned=ONE resume --json", exit::FAILED, true),
    ("report --check", exit::DONE, false),
    ("status", exit::DONE, true),
    ("status --json", exit::DONE, true),
    ("doctor", exit::BLOCKED, true),
    ("doctor --json", exit::BLOCKED, true),
    ("list", exit::DONE, true),
    ("list --json", exit::DONE, true),
    // Mermaid writes the mask with numbers; the other two show that there is one.
    ("graph", exit::DONE, false),
    ("graph --format dot", exit::DONE, true),
    ("graph --format svg", exit::DONE, true),
    ("graph --by phase --format dot", exit::DONE, true),
    ("graph --json", exit::DONE, true),
    ("explain leaks", exit::DONE, true),
    ("explain leaks --json", exit::DONE, true),
    ("explain VALUE", exit::USAGE, true),
    ("log leaks", exit::DONE, true),
    ("log leaks --follow", exit::DONE, true),
    ("log leaks --json", exit::DONE, true),
    ("log taken", exit::DONE, true),
    ("verify", exit::DONE, false),
    ("verify --json", exit::DONE, false),
    ("history", exit::DONE, true),
    ("history --json", exit::DONE, true),
    ("history starts", exit::DONE, true),
    ("history starts --json", exit::DONE, true),
    ("diff", exit::DONE, false),
    ("diff --json", exit::DONE, false),
    ("evidence verify", exit::DONE, false),
    ("evidence verify --json", exit::DONE, false),
    ("skip asks --reason VALUE", exit::DONE, false),
    ("status", exit::DONE, true),
    ("forget asks --reason VALUE", exit::DONE, false),
    ("lint", exit::DONE, false),
    ("--file broken.toml lint", exit::USAGE, true),
    ("canary VALUE", exit::USAGE, true),
    ("", exit::DONE, true),
];

/// A project in which every canary is a declared secret.
fn declared(folder: &Folder, canaries: &[Canary]) -> anyhow::Result<Vec<Sink>> {
    let known: Vec<&Canary> = canaries.iter().filter(|c| c.variable != CAPTURED).collect();
    let names: Vec<&str> = known.iter().map(|c| c.variable).collect();
    let values: Vec<&str> = known.iter().map(|c| c.value.as_str()).collect();
    let texts = toml_text(&values.join(" "));
    let plan = PLAN.replace("NAMES", &names.join(" ")).replace("TEXTS", &texts[1..texts.len() - 1]);
    let project = folder.project("declared", &plan, canaries)?;
    let file: Vec<&str> =
        canaries.iter().filter(|c| c.variable == "CANARY_FILE").map(|c| c.value.as_str()).collect();
    project.write(".env", &format!("CANARY_FILE='{}'\n", file.concat()))?;
    let broken = project.plan.replace("planned = {", "planned = { one_of = [\"a\"],");
    project
        .write("broken.toml", &broken.replace("[fact.says]", &format!("[fact.says]\nnobody = {texts}")))?;
    let mut sinks = Vec::new();
    for (call, code, is_reached) in CALLS {
        let values = if call.contains("VALUE") { values.as_slice() } else { &[""] };
        let mut text = String::new();
        for value in values {
            let words = call
                .split_whitespace()
                .map(|word| word.replace("VALUE", value).replace("ONE", known[0].value.as_str()));
            text.push_str(&project.call(words, *code)?);
        }
        let name = if call.is_empty() { "no command".to_owned() } else { format!("`{call}`") };
        sinks.push(Sink { name, text, is_reached: *is_reached });
    }
    sinks.extend(project.reports()?);
    sinks.extend(project.files(&[".env", "pipeline.toml", "broken.toml"])?);
    Ok(sinks)
}

/// A project that declares nothing, so that its children write their logs themselves.
fn undeclared(folder: &Folder, canaries: &[Canary]) -> anyhow::Result<Vec<Sink>> {
    let token: Vec<Canary> = canaries.iter().filter(|c| c.variable == TOKEN).cloned().collect();
    let project = folder.project("undeclared", UNDECLARED, &token)?;
    let mut sinks = Vec::new();
    for (call, code) in [
        ("run", exit::FAILED),
        ("status --json", exit::DONE),
        ("explain leaks", exit::DONE),
        ("log leaks", exit::DONE),
    ] {
        let text = project.call(call.split_whitespace().map(str::to_owned), code)?;
        sinks.push(Sink::new(format!("`{call}`, nothing declared"), text));
    }
    sinks.extend(project.reports()?);
    sinks.extend(project.files(&["pipeline.toml"])?);
    Ok(sinks)
}

/// A project in which a secret is the name of a task, where it can't be masked: nothing is recorded.
fn refused(folder: &Folder, name: &Canary) -> anyhow::Result<Vec<Sink>> {
    let project =
        folder.project("refused", &REFUSED.replace("NAME", &name.value), std::slice::from_ref(name))?;
    project.write(".env", &format!("CANARY_FILE={}\n", name.value))?;
    let text = project.call(["run".to_owned()], exit::LEDGER)?;
    anyhow::ensure!(text.contains("was not written"), "a record with a secret in a name was not refused");
    let files = project.files(&[".env", "pipeline.toml"])?;
    let files = files.into_iter().map(|file| Sink { is_reached: false, ..file });
    Ok(std::iter::once(Sink::new("`run`, a record refused", text)).chain(files).collect())
}

/// Everything that a plan can say, ask and do with a secret.
const PLAN: &str = r#"
[pipeline]
id = "canary"
title = "TEXTS"
report = "STATUS.md"
secret = ["planned", "CANARY_PLAN"]

[vars]
self = SELF
planned = { doc = "comes from outside" }
address = "http://${planned}@127.0.0.1"

[fact.says]
run = "${self} selftest emit --bare CANARY_ENV"

[fact.fails]
run = "${self} selftest emit --before 95 --exit 1 NAMES"

[prerequisite.told]
title = "TEXTS"
ready = "${self} selftest emit --before 175 --exit 1 NAMES ${planned}"
remedy.any = "TEXTS"

[[phase]]
id = "main"
title = "TEXTS"

[[phase.task]]
id = "taken"
title = "printed before it is known to be a secret"
capture.taken = { run = "${self} selftest emit --bare CANARY_CAPTURED", secret = true }
run = "${self} selftest emit CANARY_CAPTURED"
check = [{ run = "${self} selftest emit ${taken}" }]

[[phase.task]]
id = "early"
title = "what is in a log while its task runs"
env_file = ".env"
run = [
  "${self} selftest emit --bare CANARY_FILE",
  "${self} selftest emit --copy-logs log-of-a-running-task early",
]

[[phase.task]]
id = "leaks"
title = "TEXTS"
env_file = ".env"
secret = ["CANARY_ENV"]
capture.taken = { run = "${self} selftest emit --bare CANARY_CAPTURED", secret = true }
run = [
  { run = "${self} selftest emit ${taken} ${planned} ${address}", name = "TEXTS" },
  "${self} selftest emit --before 275 --exit 1",
]
finally = "${self} selftest emit --exit 1"
teardown = "${self} selftest emit --exit 1"
hint = [{ matches = '(?s)(.*)', say = "$1" }]

[[phase.task]]
id = "starts"
title = "a program that is not there"
run = "${planned}-is-not-there"

[[phase.task]]
id = "takes"
title = "a value that can't be captured"
capture.none = { run = "${self} selftest emit --before 195 --exit 1 NAMES" }
capture.other = { run = "${self} selftest emit --before 105 NAMES", regex = 'nothing like that' }
run = "${self} ${none} ${other}"

[[phase.task]]
id = "finds"
title = "checks that do not hold"
check = [
  { run = "${self} selftest emit --before 275 --exit 1 NAMES" },
  { run = "${self} selftest emit NAMES", contains = 'not ${planned}' },
  { title = "TEXTS", run = "${self} selftest emit NAMES", lacks = 'canary' },
]

[[phase.task]]
id = "measures"
title = "a number"
run = { run = "${self} selftest emit NAMES", name = "step" }
measure = [
  { name = "TEXTS", unit = "seconds", time = "step" },
  { name = "none TEXTS", unit = "bytes", run = "${self} selftest emit --before 275 NAMES" },
]

[[phase.task]]
id = "asks"
title = "a prerequisite that is not met"
requires = ["told"]

[[phase.task]]
id = "says"
title = "a fact that is a secret"
when = { says = { not = "something else" } }
run = "${self} selftest emit NAMES"

[[phase.task]]
id = "knows"
title = "a fact that can't be told"
when = { fails = "something" }

[[gate]]
title = "TEXTS"
check = [{ run = "${self} selftest emit --exit 1 NAMES" }]

[[criterion]]
title = "TEXTS"
target = "TEXTS"
measure = "measures: TEXTS"
check = [{ run = "${self} selftest emit --exit 1 NAMES ${address}" }]

[[deliverable]]
group = "TEXTS"
title = "TEXTS"
files = "*.none"

[[risk]]
title = "TEXTS"
tasks = ["leaks"]
mitigation = "TEXTS"
"#;

const UNDECLARED: &str = r#"
[pipeline]
id = "canary"
title = "nothing is declared"
report = "STATUS.md"

[vars]
self = SELF

[[phase]]
id = "main"
title = "Main"

[[phase.task]]
id = "leaks"
title = "prints a token and fails"
run = "${self} selftest emit --exit 1"

[[phase.task]]
id = "prints"
title = "prints a token"
run = "${self} selftest emit"
"#;

const REFUSED: &str = r#"
[pipeline]
id = "canary"
title = "a name is a secret"
report = "STATUS.md"

[vars]
self = SELF

[[phase]]
id = "main"
title = "Main"

[[phase.task]]
id = "NAME"
title = "never starts"
env_file = ".env"
run = "${self} selftest emit"
"#;

/// Text in TOML, with its quotes. What JSON escapes is escaped alike there.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A folder of the test's own, which nobody else may look into; gone at its end.
struct Folder {
    root: Utf8PathBuf,
    program: Utf8PathBuf,
    room: Room,
}

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("failed to find this program")?;
        let program = Utf8PathBuf::try_from(program).context("the path of this program is not UTF-8")?;
        let root =
            Utf8PathBuf::try_from(std::env::temp_dir()).context("the temporary folder is not UTF-8")?;
        let root = root.join(format!("xtask-selftest-{}", random()));
        let mut builder = fs::DirBuilder::new();
        exec::private_folder(&mut builder);
        builder.create(&root).with_context(|| format!("failed to make the folder `{root}`"))?;
        Ok(Self { root, program, room: Room::new() })
    }

    /// A project whose children know these canaries.
    fn project(&self, name: &str, plan: &str, canaries: &[Canary]) -> anyhow::Result<Project<'_>> {
        let root = self.root.join(name);
        fs::create_dir(&root).with_context(|| format!("failed to make the folder `{root}`"))?;
        let plan = plan.replace("SELF", &toml_text(self.program.as_str()));
        let env = canaries.iter().map(|c| (c.variable.to_owned(), c.value.clone())).collect();
        let project = Project { name: name.to_owned(), root, plan, env, folder: self };
        project.write("pipeline.toml", &project.plan)?;
        Ok(project)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// A project of the test.
struct Project<'a> {
    name: String,
    root: Utf8PathBuf,
    plan: String,
    env: Vec<(String, String)>,
    folder: &'a Folder,
}

impl Project<'_> {
    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.root.join(name);
        fs::write(&path, text).with_context(|| format!("failed to write `{path}`"))
    }

    /// What this program says to these words. The exit code has to be right, or it has not come as far as it should.
    fn call(&self, words: impl IntoIterator<Item = String>, code: u8) -> anyhow::Result<String> {
        let argv: Vec<String> = std::iter::once(self.folder.program.to_string()).chain(words).collect();
        let ended = self.folder.room.run(&Spawn {
            argv: &argv,
            cwd: &self.root,
            env: &self.env,
            output: Output::Keep { limit: 64 << 20 },
            timeout: Some(LIMIT),
            grace: Duration::from_secs(1),
            attempt: "selftest",
            shielded: false,
        });
        let text =
            [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        let first = argv.iter().skip(1).find(|word| !word.starts_with("--")).map_or("", String::as_str);
        let place = format!("the project `{}` of the test, `{first}`", self.name);
        anyhow::ensure!(
            ended.how == How::Exited(code.into()),
            "{place}: {:?}, not exit code {code}\n{text}",
            ended.how
        );
        Ok(text)
    }

    /// Reports in every format there is, printed and written.
    fn reports(&self) -> anyhow::Result<Vec<Sink>> {
        let mut sinks = Vec::new();
        for format in FORMATS {
            let words = ["report", "--format", format.name].map(str::to_owned);
            let printed = self.call(words.clone(), exit::DONE)?;
            sinks.push(Sink::new(format!("`report --format {}`, {}", format.name, self.name), printed));
            let out = ["--out".to_owned(), format!("exported.{}", format.extension)];
            self.call(words.into_iter().chain(out), exit::DONE)?;
        }
        Ok(sinks)
    }

    /// All files below the root, but those that were written for the test; logs as one.
    fn files(&self, inputs: &[&str]) -> anyhow::Result<Vec<Sink>> {
        let mut sinks = Vec::new();
        let mut logs = String::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir_utf8()? {
                let path = entry?.into_path();
                let name = path.strip_prefix(&self.root)?.to_owned();
                if path.is_dir() {
                    folders.push(path);
                } else if !inputs.contains(&name.as_str()) {
                    let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
                    if name.extension() == Some("log") {
                        logs.push_str(&text);
                        continue;
                    }
                    let is_reached = !name.starts_with(".xtask") || name.extension() == Some("jsonl");
                    sinks.push(Sink { name: format!("the file `{name}`, {}", self.name), text, is_reached });
                }
            }
        }
        sinks.sort_by(|a, b| a.name.cmp(&b.name));
        if !logs.is_empty() {
            sinks.push(Sink::new(format!("the log files, {}", self.name), logs));
        }
        Ok(sinks)
    }
}

/// Prints variables, or words that name none: as they are, in two writes, and encoded. A task of the test would be the
/// same with `printf`, `base64` and `jq`, if they were on every machine.
fn emit(args: &EmitArgs) -> anyhow::Result<u8> {
    if let Some(copy) = &args.copy_logs {
        let mut logs = Vec::new();
        for entry in Utf8Path::new(".xtask/logs").read_dir_utf8()? {
            let entry = entry?;
            if args.names.iter().any(|task| entry.file_name().starts_with(&format!("{task}-"))) {
                logs.extend(fs::read(entry.path())?);
            }
        }
        fs::write(copy, logs)?;
        return Ok(args.exit);
    }
    let names = if args.names.is_empty() {
        VARIABLES.iter().map(|(_, variable)| (*variable).to_owned()).collect()
    } else {
        args.names.clone()
    };
    let value = |name: &String| match std::env::var_os(name) {
        Some(value) => Some(value.to_string_lossy().into_owned()),
        None => args.names.contains(name).then(|| name.clone()),
    };
    let values: Vec<(&String, String)> = names.iter().filter_map(|name| Some((name, value(name)?))).collect();
    let before = format!("{} ", "x".repeat(args.before));
    let mut streams: [Box<dyn io::Write>; 2] = [Box::new(io::stdout()), Box::new(io::stderr())];
    for out in &mut streams {
        // Nobody may be there to read it any more.
        let _ = print(out, &values, &before, args.bare);
    }
    Ok(args.exit)
}

fn print(out: &mut dyn io::Write, values: &[(&String, String)], before: &str, bare: bool) -> io::Result<()> {
    for (name, value) in values {
        if bare {
            return writeln!(out, "{value}");
        }
        writeln!(out, "{before}{value}")?;
        let (head, tail) = value.split_at(value.len() - value.len() / 3);
        write!(out, "in two writes: {head}")?;
        out.flush()?;
        writeln!(out, "{tail}")?;
        if *name != TOKEN {
            let text = format!("user:{value}:password {value}");
            let encoded = base64(text.as_bytes(), STANDARD);
            let lines: Vec<&str> =
                encoded.as_bytes().chunks(64).filter_map(|l| std::str::from_utf8(l).ok()).collect();
            writeln!(out, "{encoded}\n{}\n{}", base64(value.as_bytes(), URL_SAFE), lines.join("\n"))?;
        }
        writeln!(out, "http://127.0.0.1/?value={}", percent(value, "-_.~", true))?;
        writeln!(out, "{}", serde_json::json!({ "value": value, "nested": [format!("({value})")] }))?;
    }
    for (_, value) in values {
        writeln!(out, "{before}{value}")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn canary() -> Canary {
        let value = "canary-/+0123456789abcdef".to_owned();
        Canary { kind: "a secret", variable: "X", value, core: "0123456789abcdef".to_owned() }
    }

    #[track_caller]
    fn check(text: &str, found: Option<&str>) {
        assert_eq!(canary().form_in(text), found, "{text}");
    }

    #[test]
    fn a_canary_is_found_in_every_form() {
        let value = canary().value;
        check("nothing 01234567 *** 89abcdef", None);
        check(&format!("a {value} b"), Some("as it is"));
        check("only a part: 3456789abc", Some("as it is"));
        check("over two\nlines: 012345\r\n6789abcdef", Some("as it is"));
        check(&percent(&value, "", false), Some("as it is"));
        for before in ["", "u", "us", "user:"] {
            for alphabet in [STANDARD, URL_SAFE] {
                let encoded = base64(format!("{before}{value} and more").as_bytes(), alphabet);
                check(&encoded, Some("in base64"));
                check(&format!("{}\n{}", &encoded[..20], &encoded[20..]), Some("in base64"));
            }
        }
    }

    #[test]
    fn what_proves_nothing_is_a_problem() {
        let sink = |text: &str, is_reached| Sink { name: "s".to_owned(), text: text.to_owned(), is_reached };
        assert_eq!(sink("***", true).problem(&[canary()]), None);
        assert_eq!(sink("", false).problem(&[canary()]), None);
        assert!(sink("", true).problem(&[canary()]).is_some_and(|p| p.contains("proves nothing")));
        assert_eq!(
            sink("*** 0123456789abcdef", true).problem(&[canary()]).as_deref(),
            Some("a secret came through, as it is")
        );
    }

    /// A command that says something about a project says it about canaries too.
    #[test]
    fn every_command_is_called() {
        const NOTHING_TO_TELL: &[&str] = &["schema", "completions", "selftest"];
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let called = CALLS.iter().any(|(call, ..)| call.split_whitespace().any(|word| word == name));
            assert!(called || NOTHING_TO_TELL.contains(&name), "`{name}` is missing in CALLS");
        }
    }
}
