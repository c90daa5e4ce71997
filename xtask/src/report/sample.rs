//! Statuses that the tests of all formats and views render.

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde_json::json;

use crate::check::Finding;
use crate::ids::Digest;
use crate::ledger::Outcome;
use crate::ledger::event::{CheckRecord, CommandRecord, Failure, FailureKind, Tool};
use crate::measure::Measurement;
use crate::observed::Verdict;
use crate::pipeline::policy::Policy;
use crate::since::{Point, Since, Slower};
use crate::status::{
    AttemptRow, Change, CriterionRow, DeliverableRow, FileChange, FileDiffers, GateRow, Link, NextStep,
    PhaseRow, PipelineHead, PrerequisiteRow, Reason, RiskRow, Row, Standing, State, Status, Summary, VERSION,
};

/// Nothing at all.
pub fn empty() -> Status {
    Status {
        version: VERSION,
        pipeline: PipelineHead { id: "demo".to_owned(), title: "Demo".to_owned() },
        as_of: None,
        now: None,
        branch: None,
        revision: None,
        evidence: None,
        since: None,
        summary: Summary::default(),
        phases: Vec::new(),
        tasks: Vec::new(),
        prerequisites: Vec::new(),
        gates: Vec::new(),
        criteria: Vec::new(),
        deliverables: Vec::new(),
        risks: Vec::new(),
        next: Vec::new(),
        left_ms: None,
    }
}

/// Nothing has run yet.
pub fn fresh() -> Status {
    let mut build = task("T002", "build", State::Blocked, vec![docker()]);
    build.needs = vec!["T001".to_owned()];
    let tasks = vec![task("T001", "build", State::Ready, Vec::new()), build];
    with_tasks(tasks, &[("build", "Build")], Status { prerequisites: vec![docker_row(1)], ..empty() })
}

/// All is done and proved.
pub fn complete() -> Status {
    let mut first = task("T001", "build", State::Done, Vec::new());
    first.attempt = Some(attempt("T001", Some(Outcome::Passed)));
    first.artifacts = vec![Utf8PathBuf::from("k8s")];
    first.measurements = vec![measurement("image size", 412e6, true)];
    let gates = vec![gate("No secrets in git", Standing::Met, &[])];
    let criteria = vec![CriterionRow {
        title: "Image size".to_owned(),
        target: "< 500 MB".to_owned(),
        standing: Standing::Met,
        values: vec!["412 MB".to_owned()],
        because: Vec::new(),
    }];
    let head = Status {
        as_of: Some(at("2026-01-27T23:59:59Z")),
        now: None,
        branch: Some("main".to_owned()),
        gates,
        criteria,
        risks: vec![RiskRow {
            title: "Drift".to_owned(),
            level: "low".to_owned(),
            because: Vec::new(),
            mitigation: Some("`verify` every day".to_owned()),
        }],
        ..empty()
    };
    with_tasks(vec![first, task("T002", "build", State::Done, Vec::new())], &[("build", "Build")], head)
}

/// Every state, every reason, every change, every verdict and every standing.
pub fn rich() -> Status {
    let phases = [
        ("setup", "Setup"),
        ("containers", "Containerization"),
        ("deploy", "Deployment"),
        ("polish", "Polish"),
    ];
    let head = Status {
        pipeline: PipelineHead { id: "phase4".to_owned(), title: "Phase IV Status Report".to_owned() },
        as_of: Some(at("2026-01-27T10:20:30Z")),
        now: None,
        branch: Some("003-phase-iv_infrastructure".to_owned()),
        revision: Some("4f41f60".to_owned()),
        evidence: Some(Point { records: 123, head: Digest::of(b"123") }),
        since: Some(Since {
            point: Point { records: 100, head: Digest::of(b"100") },
            at: Some(at("2026-01-26T09:00:00Z")),
            done: ["T001", "T002", "T003"].map(str::to_owned).to_vec(),
            blocked: vec!["T006".to_owned()],
            released: vec!["T015".to_owned()],
            regressed: vec!["T014".to_owned()],
            slower: vec![Slower { task: "T004".to_owned(), old_ms: 4_000, new_ms: 12_000 }],
        }),
        prerequisites: prerequisites(),
        gates: vec![
            gate("No `latest` tags", Standing::Met, &[]),
            gate(
                "Application untouched",
                Standing::Unmet,
                &["`src` is unchanged: expected no change, found 2 files"],
            ),
            gate(
                "Fits minikube",
                Standing::Pending,
                &["not checked yet", "T006 is blocked", "T007 is blocked"],
            ),
        ],
        criteria: criteria(),
        deliverables: deliverables(),
        risks: risks(),
        next: vec![
            next(
                "docker",
                Verdict::NotRunning,
                Some("sudo systemctl start docker"),
                &["T006", "T007", "T008"],
            ),
            next("kubectl", Verdict::WrongVersion, None, &[]),
            next("cluster", Verdict::Absent, Some("# once\nminikube start"), &["T017"]),
        ],
        left_ms: Some(754_000),
        ..empty()
    };
    let mut tasks = settled();
    tasks.extend(containers());
    tasks.extend(deployment());
    with_tasks(tasks, &phases, head)
}

/// Finished tasks in phases that need each other: the task, then what it needs.
pub fn shaped(phases: &[(&str, &[&str])], needs: &[(&str, &str)]) -> Status {
    let mut of: std::collections::HashMap<&str, Vec<String>> = std::collections::HashMap::new();
    for (id, need) in needs {
        of.entry(id).or_default().push((*need).to_owned());
    }
    let row = |phase: &str, id: &str| Row {
        needs: of.get(id).cloned().unwrap_or_default(),
        ..task(id, phase, State::Done, Vec::new())
    };
    let tasks = phases.iter().flat_map(|(phase, ids)| ids.iter().map(|id| row(phase, id))).collect();
    let heads: Vec<(&str, &str)> = phases.iter().map(|(phase, _)| (*phase, *phase)).collect();
    with_tasks(tasks, &heads, empty())
}

fn settled() -> Vec<Row> {
    let mut folders = task("T001", "setup", State::Done, Vec::new());
    folders.title = "Folders `k8s/` and `helm/`".to_owned();
    folders.artifacts = vec![Utf8PathBuf::from("k8s"), Utf8PathBuf::from("helm")];
    folders.attempt = Some(attempt("T001", Some(Outcome::Passed)));
    let by_hand = Reason::Skipped {
        reason: "done by the platform team".to_owned(),
        by: "ann".to_owned(),
        at: at("2026-01-20T08:00:00Z"),
    };
    let condition = Reason::Condition { why: "os is linux, not macos".to_owned() };
    vec![
        folders,
        task("T002", "setup", State::Skipped, vec![by_hand]),
        task("T003", "setup", State::Skipped, vec![condition]),
    ]
}

fn containers() -> Vec<Row> {
    let mut dockerfile = task("T004", "containers", State::Done, Vec::new());
    dockerfile.title = "Dockerfile".to_owned();
    dockerfile.artifacts = vec![Utf8PathBuf::from("docker/Dockerfile")];
    dockerfile.measurements = vec![measurement("layers", 12e3, true)];
    let mut backend = task("T006", "containers", State::Blocked, vec![docker()]);
    backend.title = "Build the backend image and hold it below 500 MB, with every layer pinned".to_owned();
    backend.needs = vec!["T004".to_owned()];
    backend.requires = vec!["docker".to_owned()];
    backend.commands = vec!["docker build -t backend docker/backend".to_owned()];
    backend.owner = Some("platform".to_owned());
    backend.link = Some("https://example.org/tickets/6".to_owned());
    backend.policy = Some(Policy::Warn);
    backend.blocked_since = Some(at("2026-01-21T08:00:00Z"));
    let mut frontend = task("T007", "containers", State::Blocked, vec![docker()]);
    frontend.commands =
        vec!["docker build -t frontend .".to_owned(), "docker tag frontend latest".to_owned()];
    let mut run = task("T008", "containers", State::Waiting, vec![waits(&[("T006", State::Blocked)])]);
    run.needs = vec!["T006".to_owned()];
    run.commands = vec!["docker run backend".to_owned()];
    vec![dockerfile, backend, frontend, run]
}

fn deployment() -> Vec<Row> {
    let failure = Failure {
        kind: FailureKind::Command,
        what: "`helm lint --strict helm/app | tee lint.txt`".to_owned(),
        how: "exit code 2".to_owned(),
        hint: Some("set `image.tag`".to_owned()),
    };
    let mut failed = task("T011", "deploy", State::Failed, vec![Reason::Failure(failure)]);
    failed.attempt = Some(attempt("T011", Some(Outcome::Failed)));
    let started = at("2026-01-27T10:00:00Z");
    let mut died =
        task("T012", "deploy", State::Interrupted, vec![Reason::Interrupted { started, died: true }]);
    died.attempt = Some(attempt("T012", None));
    let stopped =
        task("T013", "deploy", State::Interrupted, vec![Reason::Interrupted { started, died: false }]);
    let mut stale = task("T014", "deploy", State::Stale, changes());
    stale.attempt = Some(attempt("T014", Some(Outcome::Passed)));
    let running = task("T016", "polish", State::Ready, vec![Reason::Running { since: started }]);
    let mut blocked = task(
        "T017",
        "polish",
        State::Blocked,
        vec![
            Reason::Condition { why: "the context could not be told".to_owned() },
            reason("cluster", Verdict::Absent, None, Some("# once\nminikube start")),
            reason("kubectl", Verdict::WrongVersion, Some("1.20.0 does not match >=1.28"), None),
            waits(&[("T008", State::Waiting), ("T006", State::Blocked)]),
        ],
    );
    blocked.commands = vec!["kubectl apply -f k8s".to_owned()];
    vec![failed, died, stopped, stale, task("T015", "polish", State::Ready, Vec::new()), running, blocked]
}

fn differs(path: &str, how: FileChange) -> FileDiffers {
    let digest = |text: &str| Some(Digest::of(text.as_bytes()));
    let old = if how == FileChange::Added { None } else { digest("old") };
    FileDiffers {
        path: path.into(),
        how,
        old,
        new: if how == FileChange::Removed { None } else { digest("new") },
    }
}

fn changes() -> Vec<Reason> {
    let (old, new) = (Some("v1".to_owned()), Some("v2".to_owned()));
    [
        Change::Definition { key: "run".to_owned() },
        Change::Variable { name: "tag".to_owned(), old: old.clone(), new: None },
        Change::Input(differs("docker/a.py", FileChange::Changed)),
        Change::Input(differs("docker/b.py", FileChange::Added)),
        Change::Artifact(differs("out.txt", FileChange::Removed)),
        Change::Tool { name: "helm".to_owned(), old, new },
        Change::Dependency { name: "T004".to_owned(), how: "was done again, with another result".to_owned() },
        Change::Drift {
            says: "port 80 answers".to_owned(),
            finding: "expected 200, found 500".to_owned(),
            at: at("2026-01-27T10:05:00Z"),
        },
    ]
    .into_iter()
    .map(Reason::Changed)
    .collect()
}

fn prerequisites() -> Vec<PrerequisiteRow> {
    let row = |name: &str, verdict: Option<Verdict>| PrerequisiteRow {
        name: name.to_owned(),
        title: None,
        verdict,
        why: None,
        version: None,
        wanted: None,
        path: None,
        releases: 0,
        releases_directly: 0,
        needed_by: 0,
        remedy: None,
        promised: false,
    };
    let path = |p: &str| Some(Utf8PathBuf::from(p));
    vec![
        docker_row(3),
        PrerequisiteRow {
            needed_by: 1,
            releases: 1,
            releases_directly: 1,
            remedy: Some("# once\nminikube start".to_owned()),
            title: Some("a reachable cluster".to_owned()),
            ..row("cluster", Some(Verdict::Absent))
        },
        PrerequisiteRow {
            version: Some("1.20.0".to_owned()),
            wanted: Some(">=1.28".to_owned()),
            path: path("/opt/kubectl"),
            why: Some("1.20.0 does not match >=1.28".to_owned()),
            needed_by: 1,
            ..row("kubectl", Some(Verdict::WrongVersion))
        },
        PrerequisiteRow {
            why: Some("permission denied".to_owned()),
            ..row("podman", Some(Verdict::NoPermission))
        },
        PrerequisiteRow {
            why: Some("no answer within 5 s".to_owned()),
            ..row("registry", Some(Verdict::CouldNotTell))
        },
        PrerequisiteRow {
            version: Some("3.14.0".to_owned()),
            path: path("/usr/bin/helm"),
            ..row("helm", Some(Verdict::Met))
        },
        row("terraform", None),
    ]
}

fn criteria() -> Vec<CriterionRow> {
    let row = |title: &str, target: &str, standing, values: &[&str], because: &[&str]| CriterionRow {
        title: title.to_owned(),
        target: target.to_owned(),
        standing,
        values: owned(values),
        because: owned(because),
    };
    vec![
        row("Guide complete", "every section", Standing::Met, &[], &[]),
        row(
            "Image sizes",
            "< 500 MB, < 300 MB",
            Standing::Unmet,
            &["backend: 577 MB", "frontend: 120 MB"],
            &["backend is 577 MB"],
        ),
        row("Deployment time", "< 5 min", Standing::Pending, &[], &["T017 is blocked"]),
    ]
}

fn deliverables() -> Vec<DeliverableRow> {
    let row = |group: Option<&str>, title: &str, standing, because: &[&str]| DeliverableRow {
        group: group.map(str::to_owned),
        title: title.to_owned(),
        standing,
        files: vec![Utf8PathBuf::from("DEPLOYMENT.md")],
        because: owned(because),
    };
    vec![
        row(Some("Documentation"), "Deployment guide", Standing::Met, &[]),
        row(Some("Infrastructure"), "2 images", Standing::Pending, &["T006 is blocked", "T007 is blocked"]),
        row(
            Some("Documentation"),
            "Runbook",
            Standing::Unmet,
            &["expected at least one file matching `docs/run*`, found 0"],
        ),
        row(None, "Licence", Standing::Met, &[]),
    ]
}

fn risks() -> Vec<RiskRow> {
    let row = |title: &str, level: &str, because: &[&str], mitigation: Option<&str>| RiskRow {
        title: title.to_owned(),
        level: level.to_owned(),
        because: owned(because),
        mitigation: mitigation.map(str::to_owned),
    };
    vec![
        row("Chart does not install", "high", &["T011 is failed"], Some("Roll back with `helm rollback`")),
        row(
            "Images too big",
            "medium",
            &["T006 is blocked", "T007 is blocked", "T008 is waiting"],
            Some("Slim base image"),
        ),
        row("Guide is wrong", "low", &[], Some("Every command in it is checked")),
    ]
}

fn next(name: &str, verdict: Verdict, remedy: Option<&str>, releases: &[&str]) -> NextStep {
    NextStep {
        prerequisite: name.to_owned(),
        verdict,
        remedy: remedy.map(str::to_owned),
        releases: owned(releases),
    }
}

fn gate(title: &str, standing: Standing, because: &[&str]) -> GateRow {
    let finding = Finding::met_with("nothing else");
    let checks = vec![CheckRecord { says: "`.env` is ignored by git".to_owned(), finding }];
    GateRow { title: title.to_owned(), standing, because: owned(because), checks }
}

fn docker() -> Reason {
    reason(
        "docker",
        Verdict::NotRunning,
        Some("Cannot connect to the Docker daemon"),
        Some("sudo systemctl start docker"),
    )
}

fn docker_row(releases: usize) -> PrerequisiteRow {
    PrerequisiteRow {
        name: "docker".to_owned(),
        title: Some("Docker engine".to_owned()),
        verdict: Some(Verdict::NotRunning),
        why: Some("Cannot connect to the Docker daemon".to_owned()),
        version: Some("28.2.2".to_owned()),
        wanted: Some(">=20.10".to_owned()),
        path: Some(Utf8PathBuf::from("/usr/bin/docker")),
        releases,
        releases_directly: 2.min(releases),
        needed_by: releases + 1,
        remedy: Some("sudo systemctl start docker".to_owned()),
        promised: false,
    }
}

fn reason(name: &str, verdict: Verdict, why: Option<&str>, remedy: Option<&str>) -> Reason {
    Reason::Prerequisite {
        name: name.to_owned(),
        verdict,
        why: why.map(str::to_owned),
        remedy: remedy.map(str::to_owned),
    }
}

fn waits(chain: &[(&str, State)]) -> Reason {
    let chain: Vec<Link> =
        chain.iter().map(|(task, state)| Link { task: (*task).to_owned(), state: *state }).collect();
    Reason::Task { name: chain[0].task.clone(), state: chain[0].state, chain, root: docker().to_string() }
}

fn task(id: &str, phase: &str, state: State, because: Vec<Reason>) -> Row {
    Row {
        id: id.to_owned(),
        phase: phase.to_owned(),
        title: format!("Task {id}"),
        state,
        because,
        needs: Vec::new(),
        requires: Vec::new(),
        artifacts: Vec::new(),
        commands: Vec::new(),
        measurements: Vec::new(),
        attempt: None,
        blocked_since: None,
        policy: None,
        owner: None,
        link: None,
        seen: None,
        left: false,
        result: None,
        torn_down: false,
        expected: None,
    }
}

fn attempt(id: &str, outcome: Option<Outcome>) -> AttemptRow {
    let failed =
        Finding::unmet("no findings", "2 findings", "helm/app/values.yaml:3").hint("set `image.tag`");
    let checks = match outcome {
        Some(Outcome::Failed) => vec![
            CheckRecord { says: "the chart has no findings".to_owned(), finding: failed },
            CheckRecord { says: "the port answers".to_owned(), finding: Finding::unknown("no address") },
        ],
        _ => vec![CheckRecord { says: "`k8s` exists".to_owned(), finding: Finding::met() }],
    };
    let ended = outcome.map(|_| at("2026-01-27T10:00:03Z"));
    let command = CommandRecord {
        command: "mkdir -p k8s".to_owned(),
        argv: vec!["mkdir".to_owned(), "-p".to_owned(), "k8s".to_owned()],
        cwd: Some(Utf8PathBuf::from(".")),
        part: "run".to_owned(),
        name: None,
        ended: "exit code 0".to_owned(),
        ms: 12,
    };
    AttemptRow {
        id: format!("0190-{id}"),
        number: 2,
        place: "local".to_owned(),
        started: at("2026-01-27T10:00:00Z"),
        ended,
        outcome,
        ms: ended.map(|_| 3_200),
        log: Utf8PathBuf::from(format!(".xtask/logs/{id}-2.log")),
        commands: if ended.is_some() { vec![command] } else { Vec::new() },
        checks: if ended.is_some() { checks } else { Vec::new() },
        tools: [("helm".to_owned(), Tool { version: Some("3.14.0".to_owned()), path: None })].into(),
        revision: Some("4f41f60".to_owned()),
    }
}

/// Made from its record, so that it does not depend on how the unit is represented.
fn measurement(name: &str, value: f64, within_limits: bool) -> Measurement {
    let record =
        json!({ "name": name, "value": value, "unit": "bytes", "max": 5e8, "within_limits": within_limits });
    serde_json::from_value(record).expect("a measurement as the ledger has it")
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|t| (*t).to_owned()).collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

fn with_tasks(tasks: Vec<Row>, phases: &[(&str, &str)], head: Status) -> Status {
    let row = |(id, title): &(&str, &str)| {
        let of: Vec<&Row> = tasks.iter().filter(|t| t.phase == *id).collect();
        PhaseRow {
            id: (*id).to_owned(),
            title: (*title).to_owned(),
            summary: Summary::of(of.iter().copied()),
            tasks: of.iter().map(|t| t.id.clone()).collect(),
        }
    };
    Status { summary: Summary::of(&tasks), phases: phases.iter().map(row).collect(), tasks, ..head }
}

/// The status with the same text in every place that is filled from outside.
pub fn with_text(mut status: Status, text: &str) -> Status {
    let own = || text.to_owned();
    let fill = |all: &mut Vec<String>| all.iter_mut().for_each(|t| *t = own());
    let fill_option = |t: &mut Option<String>| *t = t.as_ref().map(|_| own());
    status.pipeline.title = own();
    fill_option(&mut status.branch);
    status.phases.iter_mut().for_each(|p| p.title = own());
    for row in &mut status.tasks {
        row.title = own();
        fill(&mut row.commands);
        row.artifacts.iter_mut().for_each(|p| *p = own().into());
        row.measurements.iter_mut().for_each(|m| m.name = own());
        row.because.iter_mut().for_each(|r| fill_reason(r, text));
        if let Some(attempt) = &mut row.attempt {
            attempt.log = own().into();
            attempt.commands.iter_mut().for_each(|c| (c.command, c.ended) = (own(), own()));
            attempt.checks.iter_mut().for_each(|c| fill_check(c, text));
            attempt.tools.values_mut().for_each(|t| fill_option(&mut t.version));
        }
    }
    for row in &mut status.prerequisites {
        for t in [&mut row.title, &mut row.why, &mut row.version, &mut row.wanted, &mut row.remedy] {
            fill_option(t);
        }
        row.path = row.path.as_ref().map(|_| own().into());
    }
    status.gates.iter_mut().for_each(|g| (g.title, ()) = (own(), fill(&mut g.because)));
    for row in &mut status.criteria {
        (row.title, row.target) = (own(), own());
        fill(&mut row.values);
        fill(&mut row.because);
    }
    for row in &mut status.deliverables {
        row.title = own();
        fill_option(&mut row.group);
        fill(&mut row.because);
    }
    for row in &mut status.risks {
        row.title = own();
        fill_option(&mut row.mitigation);
        fill(&mut row.because);
    }
    status.next.iter_mut().for_each(|n| fill_option(&mut n.remedy));
    status
}

fn fill_reason(reason: &mut Reason, text: &str) {
    let own = || text.to_owned();
    match reason {
        Reason::Prerequisite { why, remedy, .. } => {
            *why = why.as_ref().map(|_| own());
            *remedy = remedy.as_ref().map(|_| own());
        }
        Reason::Task { root, .. } => *root = own(),
        Reason::Failure(failure) => {
            (failure.what, failure.how) = (own(), own());
            failure.hint = failure.hint.as_ref().map(|_| own());
        }
        Reason::Condition { why } => *why = own(),
        Reason::Skipped { reason, by, .. } => (*reason, *by) = (own(), own()),
        Reason::Changed(change) => fill_change(change, text),
        Reason::Interrupted { .. } | Reason::Running { .. } => {}
    }
}

fn fill_change(change: &mut Change, text: &str) {
    let own = || text.to_owned();
    match change {
        Change::Definition { key } => *key = own(),
        Change::Variable { old, new, .. } | Change::Tool { old, new, .. } => {
            (*old, *new) = (Some(own()), Some(own()));
        }
        Change::Input(file) | Change::Artifact(file) => file.path = own().into(),
        Change::Unreadable { path, why } => (*path, *why) = (own().into(), own()),
        Change::Dependency { how, .. } => *how = own(),
        Change::Drift { says, finding, .. } => (*says, *finding) = (own(), own()),
    }
}

fn fill_check(check: &mut CheckRecord, text: &str) {
    check.says = text.to_owned();
    if let Finding::Unmet { expected, found, at, hint } = &mut check.finding {
        (*expected, *found) = (text.to_owned(), text.to_owned());
        (*at, *hint) = (Some(text.to_owned()), Some(text.to_owned()));
    }
}

/// Pieces of text that mean something to Markdown, HTML, mermaid, dot or a terminal.
pub const HOSTILE: &[&str] = &[
    "|",
    "`",
    "``",
    "```\n",
    "~~~\n",
    "*",
    "**",
    "_",
    "#",
    "\n# ",
    "\n## x\n",
    "\n---\n",
    "===",
    "- ",
    "1. ",
    "> ",
    "[x](y)",
    "![",
    "]: z",
    "[^1]",
    "<!--",
    "-->",
    "</script>",
    "<b>",
    "<",
    "&lt;",
    "&",
    "\\",
    "\\|",
    "$x$",
    "~~",
    ":-:",
    "\n|-|-|\n",
    "\u{1b}[31m",
    "\u{1b}]0;t\u{7}",
    "\r",
    "\t",
    "\n\n",
    " ",
    "\"",
    "'",
    "{{ x }}",
    "{% x %}",
    "%%",
    ";",
    "end",
    "]",
    ")",
    "}",
    "#quot;",
    "a",
    "é",
    "日本",
    "\u{202e}",
    "\u{0}",
    "https://x.y/z_a*b",
    "@team",
];

/// Texts made of such pieces that leave something to be seen.
pub fn hostile() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let piece = prop_oneof![4 => proptest::sample::select(HOSTILE).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    proptest::collection::vec(piece, 1..8)
        .prop_map(|pieces| pieces.concat())
        .prop_filter("nothing to be seen", |text| !crate::plain::line(text).is_empty())
}
