//! Which parts of what is recorded and reported are texts, in which a secret may stand, and which are not: numbers,
//! digests, words of our own, and the names by which records are found again.
//!
//! Every field is named here once. One that is added to a record or to the status does not compile until it is
//! decided what it is.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

use crate::again::Seen;
use crate::check::Finding;
use crate::ledger::Chronicle;
use crate::ledger::chronicle::{AttemptStory, Deed, RunStory};
use crate::ledger::event::{
    ByHand, CheckRecord, CommandRecord, Concluded, Confirmed, Drifted, Event, FactTold, Failure, Git, Probed,
    RunStarted, TaskEnded, TaskLeft, TaskStarted, Tool, TornDown,
};
use crate::measure::Measurement;
use crate::observed::Probe;
use crate::pipeline::Definition;
use crate::redact::{Redactor, is_stand_in, stand_in};
use crate::report::Past;
use crate::since::{Since, Slower};
use crate::status::{
    Assumed, AttemptRow, Change, CriterionRow, DeliverableRow, FileDiffers, GateRow, Link, NextStep,
    PhaseRow, PipelineHead, PrerequisiteRow, Reason, Remains, RiskRow, Row, Status,
};

/// What secrets are hidden behind.
pub struct Veil<'a>(pub &'a Redactor);

impl Veil<'_> {
    /// A text that people read.
    pub fn text(&self, text: &mut String) {
        if let std::borrow::Cow::Owned(masked) = self.0.mask(text) {
            *text = masked;
        }
    }

    /// A value with which later ones are compared.
    pub fn value(&self, value: &mut String) {
        if !is_stand_in(value) && matches!(self.0.mask(value), std::borrow::Cow::Owned(_)) {
            *value = stand_in(value);
        }
    }
}

/// Something with texts in it.
pub trait Texts {
    /// Hides the secrets in all of them.
    fn veil(&mut self, veil: &Veil<'_>);

    /// The same, handed through.
    fn veiled(mut self, veil: &Veil<'_>) -> Self
    where
        Self: Sized,
    {
        self.veil(veil);
        self
    }
}

impl Texts for String {
    fn veil(&mut self, veil: &Veil<'_>) {
        veil.text(self);
    }
}

impl Texts for Utf8PathBuf {
    fn veil(&mut self, veil: &Veil<'_>) {
        if let std::borrow::Cow::Owned(masked) = veil.0.mask(self.as_str()) {
            *self = masked.into();
        }
    }
}

impl<T: Texts> Texts for Option<T> {
    fn veil(&mut self, veil: &Veil<'_>) {
        self.iter_mut().for_each(|inner| inner.veil(veil));
    }
}

impl<T: Texts> Texts for Box<T> {
    fn veil(&mut self, veil: &Veil<'_>) {
        self.as_mut().veil(veil);
    }
}

impl<T: Texts> Texts for Vec<T> {
    fn veil(&mut self, veil: &Veil<'_>) {
        self.iter_mut().for_each(|inner| inner.veil(veil));
    }
}

/// The keys are names.
impl<T: Texts> Texts for BTreeMap<String, T> {
    fn veil(&mut self, veil: &Veil<'_>) {
        self.values_mut().for_each(|inner| inner.veil(veil));
    }
}

/// What is told of a task.
impl<T: Texts> Texts for (String, T) {
    fn veil(&mut self, veil: &Veil<'_>) {
        self.0.veil(veil);
        self.1.veil(veil);
    }
}

/// Fields with texts in them; after the semicolon those without.
macro_rules! texts {
    ($($Type:ident { $($text:ident),* ; $($other:ident),* })*) => { $(
        impl Texts for $Type {
            fn veil(&mut self, veil: &Veil<'_>) {
                let Self { $($text,)* $($other: _),* } = self;
                $($text.veil(veil);)*
            }
        }
    )* };
}

// What is recorded. Names that are compared stay as they are: a version with the version then, a fact with the
// conditions that ask for it. The ledger refuses a record with a secret in one of those.
texts! {
    RunStarted { arguments, git; pipeline, xtask, instance, os, profile }
    Git { branch; revision, dirty }
    Probed { probe; prerequisite }
    Probe { path, why; verdict, version }
    TaskStarted { definition, tools, git; attempt, number, place, instance, inputs, needs, env, log }
    Tool { path; version }
    TaskEnded { failure, commands, checks, measurements; attempt, outcome, tries, ms, subjects, result, log }
    Failure { what, how, hint; kind }
    CommandRecord { command, argv, cwd, name, ended; part, ms }
    CheckRecord { says, finding; }
    Measurement { name; value, unit, min, max, within_limits }
    TaskLeft { because; state }
    ByHand { reason, by; }
    TornDown { commands; attempt, log, digest }
    Drifted { checks; attempt }
    Confirmed { checks, measurements; attempt }
    Seen { checks, measurements; }
    Concluded { title, checks; about, stands_on }
}

// What is reported. Nothing is compared with it any more, so names are texts.
texts! {
    Status {
        pipeline, branch, revision, phases, tasks, prerequisites, gates, criteria, deliverables, risks, next, since;
        version, as_of, summary, left_ms, now, evidence
    }
    PipelineHead { id, title; }
    PhaseRow { id, title, tasks; summary }
    Row {
        id, phase, title, because, needs, requires, artifacts, commands, measurements, attempt, owner, link;
        state, blocked_since, policy, seen, left, result, torn_down, expected
    }
    PrerequisiteRow {
        name, title, why, version, wanted, path, remedy;
        verdict, promised, releases, releases_directly, needed_by
    }
    GateRow { title, because, checks; standing }
    CriterionRow { title, target, values, because; standing }
    DeliverableRow { group, title, files, because; standing }
    RiskRow { title, because, mitigation; level }
    NextStep { prerequisite, remedy, releases; verdict }
    Link { task; state }
    FileDiffers { path; how, old, new }
    Since { done, blocked, released, regressed, slower; point, at }
    Slower { task; old_ms, new_ms }
    Assumed { prerequisites, releases, remains; }
    Remains { task, lacks, failed; }
    Chronicle { runs, by_hand; pruned }
    RunStory { head, attempts, left, drifted, concluded, confirmed; id, started, last, ended, exit }
    AttemptStory { task, start, end; fingerprint, started, ended, cleaning }
    Deed { task, what; kind, at, n_runs }
}

impl Texts for Past {
    fn veil(&mut self, veil: &Veil<'_>) {
        let Self { chronicle, tails } = self;
        chronicle.veil(veil);
        // By the tasks as the status names them.
        *tails = std::mem::take(tails).into_iter().collect::<Vec<_>>().veiled(veil).into_iter().collect();
    }
}

impl Texts for AttemptRow {
    fn veil(&mut self, veil: &Veil<'_>) {
        let Self {
            log,
            commands,
            checks,
            tools,
            revision,
            id: _,
            number: _,
            place: _,
            started: _,
            ended: _,
            outcome: _,
            ms: _,
        } = self;
        log.veil(veil);
        commands.veil(veil);
        checks.veil(veil);
        tools.veil(veil);
        tools.values_mut().for_each(|tool| tool.version.veil(veil));
        revision.veil(veil);
    }
}

impl Texts for Definition {
    fn veil(&mut self, veil: &Veil<'_>) {
        let Self { keys: _, vars } = self;
        vars.values_mut().for_each(|value| veil.value(value));
    }
}

impl Texts for FactTold {
    fn veil(&mut self, veil: &Veil<'_>) {
        let Self { fact: _, value, why } = self;
        value.iter_mut().for_each(|value| veil.value(value));
        why.veil(veil);
    }
}

/// An answer to a fact.
impl Texts for Result<String, String> {
    fn veil(&mut self, veil: &Veil<'_>) {
        match self {
            Ok(value) => veil.value(value),
            Err(why) => veil.text(why),
        }
    }
}

impl Texts for Finding {
    fn veil(&mut self, veil: &Veil<'_>) {
        match self {
            Self::Met { found } => found.veil(veil),
            Self::Unmet { expected, found, at, hint } => {
                [expected, found].into_iter().for_each(|text| text.veil(veil));
                [at, hint].into_iter().for_each(|text| text.veil(veil));
            }
            Self::Unknown { why } => why.veil(veil),
        }
    }
}

impl Texts for Event {
    fn veil(&mut self, veil: &Veil<'_>) {
        match self {
            Self::RunStarted(e) => e.veil(veil),
            Self::RunEnded(_) => {}
            Self::Probed(e) => e.veil(veil),
            Self::FactTold(e) => e.veil(veil),
            Self::TaskStarted(e) => e.veil(veil),
            Self::TaskEnded(e) => e.veil(veil),
            Self::TaskLeft(e) => e.veil(veil),
            Self::TaskSkipped(e) | Self::TaskForgotten(e) => e.veil(veil),
            Self::TornDown(e) => e.veil(veil),
            Self::Drifted(e) => e.veil(veil),
            Self::Confirmed(e) => e.veil(veil),
            Self::Concluded(e) => e.veil(veil),
            Self::LogsPruned(_) => {}
        }
    }
}

impl Texts for Reason {
    fn veil(&mut self, veil: &Veil<'_>) {
        match self {
            Self::Prerequisite { name, verdict: _, why, remedy } => {
                name.veil(veil);
                why.veil(veil);
                remedy.veil(veil);
            }
            Self::Task { name, state: _, chain, root } => {
                name.veil(veil);
                chain.veil(veil);
                root.veil(veil);
            }
            Self::Changed(change) => change.veil(veil),
            Self::Failure(failure) => failure.veil(veil),
            Self::Interrupted { started: _, died: _ } | Self::Running { since: _ } => {}
            Self::Condition { why } => why.veil(veil),
            Self::Skipped { reason, by, at: _ } => {
                reason.veil(veil);
                by.veil(veil);
            }
        }
    }
}

impl Texts for Change {
    fn veil(&mut self, veil: &Veil<'_>) {
        match self {
            Self::Definition { key } => key.veil(veil),
            Self::Variable { name, old, new } | Self::Tool { name, old, new } => {
                name.veil(veil);
                old.veil(veil);
                new.veil(veil);
            }
            Self::Input(file) | Self::Artifact(file) => file.veil(veil),
            Self::Unreadable { path, why } => {
                path.veil(veil);
                why.veil(veil);
            }
            Self::Dependency { name, how } => {
                name.veil(veil);
                how.veil(veil);
            }
            Self::Drift { says, finding, at: _ } => {
                says.veil(veil);
                finding.veil(veil);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value as Json;

    use super::*;
    use crate::report::sample;

    /// Strings of a status by their keys.
    fn strings(value: &Json, key: &str, out: &mut BTreeSet<(String, String)>) {
        match value {
            Json::String(text) => drop(out.insert((key.to_owned(), text.clone()))),
            Json::Array(items) => items.iter().for_each(|item| strings(item, key, out)),
            Json::Object(map) => map.iter().for_each(|(key, inner)| strings(inner, key, out)),
            _ => {}
        }
    }

    /// Digests of files and records are compared, not read.
    fn is_digest(text: &str) -> bool {
        text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// Whatever a secret is equal to, it is not in the status any more; but for words, times, digests and ids of our
    /// own.
    #[test]
    fn every_text_of_a_status_is_masked() {
        const NONE: &[&str] = &[
            "as_of",
            "at",
            "by",
            "ended",
            "how",
            "id",
            "kind",
            "level",
            "outcome",
            "part",
            "place",
            "policy",
            "since",
            "standing",
            "started",
            "state",
            "unit",
            "verdict",
            "what",
            "blocked_since",
        ];
        let mut all = BTreeSet::new();
        strings(&serde_json::to_value(sample::rich()).expect("JSON"), "", &mut all);
        assert!(all.len() > 100);
        for (key, text) in all.iter().filter(|(_, text)| text.chars().count() >= 4 && !is_digest(text)) {
            let redactor = Redactor::new([text.clone()]);
            let status = serde_json::to_value(sample::rich().veiled(&Veil(&redactor))).expect("JSON");
            let mut left = BTreeSet::new();
            strings(&status, "", &mut left);
            let shown = left
                .iter()
                .find(|(key, shown)| redactor.holds_secret(shown) && !NONE.contains(&key.as_str()));
            assert_eq!(shown, None, "`{key}`: `{text}`");
        }
    }

    #[test]
    fn values_that_are_compared_get_a_stand_in() {
        let redactor = Redactor::new(["s3cr3t-value".to_owned()]);
        let veil = Veil(&redactor);
        let mut definition = Definition::default();
        definition.vars.insert("a".to_owned(), "s3cr3t-value".to_owned());
        definition.vars.insert("b".to_owned(), "plain".to_owned());
        let once = definition.veiled(&veil);
        assert_eq!(once.vars["a"], stand_in("s3cr3t-value"));
        assert_eq!(once.vars["b"], "plain");
        assert_eq!(once.clone().veiled(&veil), once);
        assert_eq!(Ok("s3cr3t-value".to_owned()).veiled(&veil), Ok(stand_in("s3cr3t-value")));
        assert_eq!(Err("no s3cr3t-value".to_owned()).veiled(&veil), Err("no ***".to_owned()));
    }
}
