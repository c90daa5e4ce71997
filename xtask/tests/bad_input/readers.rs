//! What the readers of the two files that come from anywhere promise for any bytes at all: no panic, no hang, memory that
//! the size of the input bounds, and nothing shown that a terminal would obey. The fuzz targets in `fuzz/` call these
//! functions too.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use camino::Utf8PathBuf;
use xtask::ids::TaskIx;
use xtask::ledger::{self, Chronicle, diff, keep, past};
use xtask::observed::{Observed, Probe, Verdict};
use xtask::pipeline::diagnostic::{Source, render};
use xtask::pipeline::{Plan, policy, resolve};
use xtask::report::{FORMATS, Options, Past};
use xtask::since::since;
use xtask::status::{Status, assume, status};
use xtask::view::{self, Look};
use xtask::{graph, schedule};

/// The plan that ledgers are read for: every kind of state can follow from a record.
pub const PLAN: &str = r#"
[pipeline]
id = "p"
title = "P"

[prerequisite.tool]
program = "tool"
remedy.any = "install it"

[[phase]]
id = "one"
title = "One"

[[phase.task]]
id = "a"
title = "A"
run = "tool build"
artifacts = ["out"]
inputs = ["src/**"]

[[phase.task]]
id = "b"
title = "B"
needs = ["a"]
requires = ["tool"]
run = "tool test"
estimate = "10m"
[[phase.task.measure]]
name = "size"
run = "tool size"
unit = "bytes"
max = "500MB"

[[phase]]
id = "two"
title = "Two"

[[phase.task]]
id = "c"
title = "C"
needs = ["b"]
blocked = "fail"

[[gate]]
title = "all is built"
tasks = ["a", "b", "c"]

[[criterion]]
title = "small"
target = "< 500 MB"
measure = "b: size"

[[risk]]
title = "it breaks"
tasks = ["c"]
"#;

static READ: LazyLock<Plan> =
    LazyLock::new(|| resolve(PLAN, &BTreeMap::new()).unwrap_or_else(|mistakes| panic!("{mistakes:?}")));

/// What is shown on a terminal has nothing in it that a terminal obeys.
#[track_caller]
fn is_harmless(text: &str) {
    let bad = text.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(bad, None, "{text:?}");
}

/// How much is done with an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// It is read.
    Reading,
    /// Everything that can be shown of it is made as well, which takes most of the time.
    Whole,
}

impl Extent {
    /// For one of so many inputs the whole, always the same ones: who tries millions reads more of them that way.
    pub fn of(bytes: &[u8], one_in: u64) -> Self {
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        if (hash >> 32).is_multiple_of(one_in) { Self::Whole } else { Self::Reading }
    }
}

/// Reads these bytes as a pipeline.toml.
pub fn pipeline(bytes: &[u8], extent: Extent) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match resolve(text, &BTreeMap::new()) {
        Err(mistakes) => {
            assert!(!mistakes.shown.is_empty(), "refused without a reason");
            assert!(mistakes.shown.len() <= 100);
            for mistake in &mistakes.shown {
                let spans = [Some(&mistake.span), mistake.related.as_ref().map(|(span, _)| span)];
                for span in spans.into_iter().flatten() {
                    assert!(text.get(span.clone()).is_some(), "{mistake:?}");
                }
            }
            if extent == Extent::Reading {
                return;
            }
            let source = Source { path: "pipeline.toml".into(), text: text.to_owned() };
            render(&source, &mistakes.shown, true);
            let shown = render(&source, &mistakes.shown, false);
            assert!(shown.len() <= mistakes.shown.len() * 20_000, "{}", shown.len());
        }
        Ok(plan) => {
            let mut settled = vec![false; plan.tasks.len()];
            for ix in &plan.order {
                assert!(plan.task(*ix).needs.iter().all(|need| settled[need.0]), "an order that is none");
                settled[ix.0] = true;
            }
            assert!(settled.iter().all(|settled| *settled));
            for task in &plan.tasks {
                for glob in &task.inputs {
                    glob.is_match("a/b.rs");
                }
                task.run.iter().for_each(|step| drop(step.line.to_string()));
                task.checks.iter().for_each(|check| drop(check.says()));
            }
            for p in &plan.prerequisites {
                for pattern in [&p.version_regex, &p.ready_regex, &p.denied].into_iter().flatten() {
                    pattern.regex().is_match("version 1.2.3");
                }
            }
            policy::impossible(&plan);
            if extent == Extent::Reading {
                return;
            }
            schedule::remaining(&plan, &vec![true; plan.tasks.len()], |ix| plan.task(ix).estimate);
            show(&plan, &status(&plan, &ledger::fold(b""), &seen(&plan)), Chronicle::default());
        }
    }
}

/// Reads these bytes as a ledger.
pub fn ledger(bytes: &[u8], extent: Extent) {
    let plan = &*READ;
    let (history, chronicle, chain) = (ledger::fold(bytes), ledger::chronicle(bytes), ledger::chain(bytes));
    assert_eq!(history.prev, chain.head, "two readers, two ends");
    let found: BTreeMap<Utf8PathBuf, Result<String, String>> =
        BTreeMap::from([(".xtask/logs/a-1-0.log".into(), Ok("0".to_owned()))]);
    let verified = chain.verify(&found, false, chain.head);
    if extent == Extent::Reading {
        return;
    }
    is_harmless(&view::evidence(&verified, Look::default()));
    let observed = seen(plan);
    let mut status = status(plan, &history, &observed);
    if let Some(then) = chain.head.and_then(|head| ledger::fold_to(bytes, history.seq, head)) {
        status.since = since(&then, &status.tasks);
    }
    let needs = plan.prerequisites.iter().enumerate().map(|(at, _)| xtask::ids::NeedIx(at));
    assume(plan, &observed, &status.tasks, &needs.collect::<Vec<_>>());
    keep::outdated(&chronicle, 1);
    let now = observed.at.unwrap_or_default();
    let (runs, flaky) = (past::runs(&chronicle, None), ledger::flaky(&chronicle));
    is_harmless(&view::runs(&runs, &flaky, now, Look::default()));
    for task in ["a", "b", "c"] {
        let attempts = past::attempts(&chronicle, task, None);
        is_harmless(&view::attempts(task, &attempts, &[], false, now, Look::default()));
    }
    if !runs.is_empty() {
        let diff = diff::diff(&chronicle, 0, runs.len() - 1, None);
        is_harmless(&view::diff(&diff, now, Look::default()));
    }
    show(plan, &status, chronicle);
}

/// What looking found: the tool is not there.
fn seen(plan: &Plan) -> Observed {
    Observed {
        at: "2026-01-27T10:00:00Z".parse().ok(),
        prerequisites: plan
            .prerequisites
            .iter()
            .map(|_| Some(Probe::unmet(Verdict::Absent, "it is not on PATH")))
            .collect(),
        files: plan.tasks.iter().map(|_| Some(xtask::observed::FileView::default())).collect(),
        ..Observed::default()
    }
}

/// Everything that can be shown of a status.
fn show(plan: &Plan, status: &Status, chronicle: Chronicle) {
    let options = Options { past: Some(Past { chronicle, tails: BTreeMap::new() }), ..Options::default() };
    for format in FORMATS {
        if let Err(error) = format.text(status, &options) {
            panic!("no {} report: {error:#}", format.name);
        }
    }
    for by in [graph::By::Task, graph::By::Phase] {
        let view = graph::View { by, focus: None };
        graph::mermaid(status, view);
        graph::dot(status, view);
        graph::svg(status, view, graph::Place::File);
    }
    is_harmless(&view::status(status, Look::default()));
    is_harmless(&view::doctor(status, Look::default()));
    for row in status.tasks.iter().take(20) {
        is_harmless(&view::explain(status, row, Look::default()));
        view::explain_json(status, row);
    }
    let json = serde_json::to_string(status).expect("a status is JSON");
    let again: Result<Status, _> = serde_json::from_str(&json);
    assert!(again.is_ok_and(|again| again.tasks.len() == plan.tasks.len()), "what is exported can't be read");
    plan.closure([TaskIx(0)]);
}
