//! Why a task is in its state: one chain from the task to the root, then what to do about it.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{Look, command, mark, style, unquoted, wrap};
use crate::ids::Digest;
use crate::measure::Measurement;
use crate::pipeline::policy::Policy;
use crate::plain;
use crate::report::outline::{self, RESUME};
use crate::status::{AttemptRow, Change, Reason, Row, State, Status, VERSION};
use crate::wording;

/// The answer of `explain`.
#[derive(Debug, Serialize)]
pub struct Explanation<'a> {
    /// Format version of this shape.
    pub version: u32,
    /// The task.
    pub task: &'a str,
    /// What it does.
    pub title: &'a str,
    /// Its state.
    pub state: State,
    /// What that state means.
    pub means: &'static str,
    /// From the task to the root.
    pub chain: Vec<Step>,
    /// What to type, in this order.
    pub next: Vec<String>,
    /// Who answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<&'a str>,
    /// Where it is talked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<&'a str>,
    /// Since when the last runs have left it blocked or waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_since: Option<Timestamp>,
    /// What it means that it is blocked or waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// The last attempt, if there was one.
    pub evidence: Option<Evidence<'a>>,
}

/// A step of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// How far from the task, from 0. A step explains the one before it that is nearer.
    pub depth: usize,
    /// The task that it is about.
    pub task: String,
    /// What is so, as a sentence without a full stop.
    pub says: String,
    /// The same for programs, as in the status.
    pub because: Reason,
    /// What mends it on this system, to be typed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What may help, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What is on record about a task.
#[derive(Debug, Serialize)]
pub struct Evidence<'a> {
    /// The last attempt.
    pub attempt: &'a AttemptRow,
    /// What it measured.
    pub measurements: &'a [Measurement],
    /// When it was last seen to hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Timestamp>,
    /// How long ago that was.
    #[serde(skip)]
    pub age: Option<Duration>,
}

/// Explains a task for people.
pub fn explain<'a>(status: &Status, row: &Row, look: impl Into<Look<'a>>) -> String {
    explanation(status, row).text(look.into())
}

/// Explains a task for programs.
pub fn explain_json(status: &Status, row: &Row) -> Json {
    json!(explanation(status, row))
}

/// Explains a task.
pub fn explanation<'a>(status: &Status, row: &'a Row) -> Explanation<'a> {
    let mut chain = Vec::new();
    walk(status, row, 0, &mut Said { tasks: vec![&row.id], prerequisites: Vec::new() }, &mut chain);
    let next = next(status, row, &chain);
    let evidence = row.attempt.as_ref().map(|attempt| Evidence {
        attempt,
        measurements: &row.measurements,
        seen: row.seen,
        age: row.seen.and_then(|at| status.age(at)),
    });
    let means = means(row);
    Explanation {
        version: VERSION,
        task: &row.id,
        title: &row.title,
        state: row.state,
        means,
        chain,
        next,
        owner: row.owner.as_deref(),
        link: row.link.as_deref(),
        blocked_since: row.blocked_since,
        policy: row.policy,
        evidence,
    }
}

fn means(row: &Row) -> &'static str {
    match row.state {
        State::Done => "its last attempt passed and nothing that it stands on has changed",
        State::Stale => "it passed, and what it stands on has changed since",
        State::Failed => "its last attempt failed",
        State::Interrupted => "its last attempt was cut off",
        State::Blocked => "something outside is missing",
        State::Waiting => "a task that it needs is not done",
        State::Ready if row.because.iter().any(|r| matches!(r, Reason::Running { .. })) => {
            "it is running now"
        }
        State::Ready => "it would run now",
        State::Skipped => "it is left out",
    }
}

/// What the chain has named already.
struct Said<'a> {
    tasks: Vec<&'a str>,
    prerequisites: Vec<&'a str>,
}

/// Adds the reasons of a task, each with what is behind it. Nothing is explained twice: what the chain has named
/// already is only pointed at.
fn walk<'a>(status: &'a Status, row: &'a Row, depth: usize, said: &mut Said<'a>, out: &mut Vec<Step>) {
    for reason in &row.because {
        let (remedy, hint) = help(reason);
        let because = reason.clone();
        let mut step = Step { depth, task: row.id.clone(), says: says(reason), because, remedy, hint };
        match reason {
            Reason::Prerequisite { name, .. } if said.prerequisites.contains(&name.as_str()) => continue,
            Reason::Prerequisite { name, .. } => said.prerequisites.push(name),
            _ => {}
        }
        let need = needed(reason).and_then(|id| status.tasks.iter().find(|r| r.id == id));
        let Some(need) = need.filter(|r| !r.state.satisfies() && !said.tasks.contains(&r.id.as_str())) else {
            out.push(step);
            continue;
        };
        said.tasks.push(&need.id);
        let at = out.len();
        walk(status, need, depth + 1, said, out);
        if out.len() == at && !need.because.is_empty() {
            step.says.push_str(" for the same reason");
        }
        out.insert(at, step);
    }
}

fn needed(reason: &Reason) -> Option<&str> {
    match reason {
        Reason::Task { name, .. } | Reason::Changed(Change::Dependency { name, .. }) => Some(name),
        _ => None,
    }
}

/// A reason without what the steps below it say.
fn says(reason: &Reason) -> String {
    match reason {
        Reason::Prerequisite { name, verdict, why, .. } => {
            let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("`{name}` {}{why}", outline::stands(Some(*verdict)))
        }
        Reason::Task { name, state, .. } => format!("needs `{name}`, which is {}", state.name()),
        Reason::Interrupted { started, .. } => format!("{reason} (it began {})", show(*started)),
        Reason::Skipped { at, .. } => format!("{reason} ({})", at.strftime("%F")),
        Reason::Running { since } => format!("running since {}", show(*since)),
        Reason::Changed(Change::Input(file) | Change::Artifact(file)) => match (file.old, file.new) {
            (Some(old), Some(new)) => format!("{reason}: {} then, {} now", short(old), short(new)),
            _ => reason.to_string(),
        },
        Reason::Changed(Change::Drift { at, .. }) => format!("{reason} ({})", at.strftime("%F %R UTC")),
        _ => reason.to_string(),
    }
}

/// The beginning of a digest: enough to tell two contents apart.
fn short(digest: Digest) -> String {
    digest.to_string().chars().take(8).collect()
}

/// The remedy and the hint.
fn help(reason: &Reason) -> (Option<String>, Option<String>) {
    match reason {
        Reason::Prerequisite { remedy, .. } => (remedy.clone(), None),
        Reason::Failure(failure) => (None, failure.hint.clone()),
        _ => (None, None),
    }
}

/// What to type: the remedies of the chain, then what goes on.
fn next(status: &Status, row: &Row, chain: &[Step]) -> Vec<String> {
    let again = format!("cargo xtask {} --task {}", status.pipeline.id, row.id);
    let mut out: Vec<String> = Vec::new();
    for step in chain {
        if let Some(row) = status.tasks.iter().find(|r| r.id == step.task && r.state == State::Failed) {
            push(&mut out, format!("cargo xtask log {}", row.id));
        } else if let Some(remedy) = &step.remedy {
            push(&mut out, remedy.clone());
        }
    }
    match row.state {
        State::Done => {}
        State::Skipped if row.because.iter().any(|r| matches!(r, Reason::Skipped { .. })) => {
            out.push(format!("cargo xtask forget {}", row.id));
        }
        State::Skipped => {}
        State::Ready if row.because.is_empty() => out.push(again),
        State::Ready => out.push(format!("cargo xtask log {}", row.id)),
        State::Stale | State::Interrupted if out.is_empty() => out.push(again),
        _ => push(&mut out, RESUME.to_owned()),
    }
    out
}

fn push(out: &mut Vec<String>, command: String) {
    if !out.contains(&command) {
        out.push(command);
    }
}

impl Explanation<'_> {
    fn text(&self, look: Look<'_>) -> String {
        let mut out = wrap(&format!("{}  {}", self.task, plain::line(self.title)), 0, look.width);
        let state = format!("{} {}", mark(self.state), self.state.name());
        let means = wrap(&format!("{state}: {}", self.means), 0, look.width);
        out.push_str(&means.replacen(&state, &look.paint(style(self.state), &state), 1));
        let mut about = Vec::new();
        about.extend(self.blocked_since.map(|at| format!("since {}", at.strftime("%F %R UTC"))));
        about.extend(self.owner.map(|owner| format!("owner: {owner}")));
        about.extend(self.link.map(str::to_owned));
        about.extend(self.policy.filter(|p| *p != Policy::Warn).map(|p| match p {
            Policy::Fail => "it may not stay so: a run that leaves it so fails".to_owned(),
            _ => "it may stay so".to_owned(),
        }));
        if !about.is_empty() {
            let about = wrap(&about.join("; "), 2, look.width);
            out.push_str(&self.link.map_or(about.clone(), |link| look.with_address(&about, link)));
        }
        if !self.chain.is_empty() {
            out.push('\n');
        }
        for step in &self.chain {
            let indent = 2 + 2 * step.depth;
            out.push_str(&wrap(&unquoted(&step.says), indent, look.width));
            if let Some(remedy) = &step.remedy {
                out.push_str(&command("remedy", remedy, indent + 2, look));
            }
            if let Some(hint) = &step.hint {
                out.push_str(&wrap(&format!("hint: {}", unquoted(hint)), indent + 2, look.width));
            }
        }
        if let Some(evidence) = &self.evidence {
            out.push('\n');
            out.push_str(&evidence.text(look));
        }
        if !self.next.is_empty() {
            out.push_str("\nNext:\n");
        }
        for line in
            self.next.iter().flat_map(|c| plain::block(c).lines().map(str::to_owned).collect::<Vec<_>>())
        {
            out.push_str(&format!("  {}\n", look.bold(&line)));
        }
        out
    }
}

impl Evidence<'_> {
    fn text(&self, look: Look<'_>) -> String {
        let a = self.attempt;
        let head = wrap(&self.head(), 0, look.width);
        let mut out: String = head.lines().map(|line| format!("{}\n", look.bold(line))).collect();
        for c in &a.commands {
            let took = wording::duration(Duration::from_millis(c.ms));
            out.push_str(&wrap(&format!("{}: {}: {}, {took}", c.part, c.command, c.ended), 2, look.width));
        }
        for c in &a.checks {
            let mark = if c.finding.is_met() { "✓" } else { "✗" };
            out.push_str(&wrap(&format!("{mark} {}: {}", unquoted(&c.says), c.finding), 2, look.width));
        }
        for m in self.measurements {
            let mark = if m.within_limits { "✓" } else { "✗" };
            out.push_str(&wrap(&format!("{mark} {}: {}", m.name, m.show()), 2, look.width));
        }
        for (name, tool) in &a.tools {
            if let Some(version) = &tool.version {
                out.push_str(&wrap(&format!("with {name} {version}"), 2, look.width));
            }
        }
        if let Some(revision) = &a.revision {
            out.push_str(&wrap(&format!("at revision {revision}"), 2, look.width));
        }
        out.push_str(&look.with_file(&wrap(&format!("log: {}", a.log), 2, look.width), &a.log));
        if let Some(seen) = self.seen {
            let ago = self.age.map(|age| format!(", {} ago", wording::age(age))).unwrap_or_default();
            out.push_str(&wrap(&format!("last seen to hold: {}{ago}", show(seen)), 2, look.width));
        }
        out
    }

    /// `Attempt 2, local, 2026-01-27 10:00:00 UTC, passed after 3.2 s`.
    fn head(&self) -> String {
        let a = self.attempt;
        let when = show(a.started);
        let end = match (a.outcome, a.ms) {
            (Some(outcome), Some(ms)) => {
                let outcome = format!("{outcome:?}").to_lowercase();
                format!("{outcome} after {}", wording::duration(Duration::from_millis(ms)))
            }
            _ => "has no end".to_owned(),
        };
        format!("Attempt {}, {}, {when}, {end}", a.number, plain::line(&a.place))
    }
}

fn show(at: Timestamp) -> String {
    at.strftime("%F %T UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn every_state_is_explained() {
        let status = sample::rich();
        let texts: Vec<String> = status.tasks.iter().map(|row| explain(&status, row, false)).collect();
        insta::assert_snapshot!(texts.join(&format!("{}\n", "-".repeat(80))));
    }

    #[test]
    fn as_json() {
        let status = sample::rich();
        let blocked = status.tasks.iter().find(|row| row.id == "T017").expect("a task");
        insta::assert_snapshot!(format!("{:#}", explain_json(&status, blocked)));
    }

    /// A circle can't come from a plan, and would not end here if it did.
    #[test]
    fn a_circle_ends() {
        let mut status = sample::fresh();
        for (task, need) in [(0, 1), (1, 0)] {
            let name = status.tasks[need].id.clone();
            let state = State::Waiting;
            status.tasks[task].state = state;
            status.tasks[task].because =
                vec![Reason::Task { name, state, chain: Vec::new(), root: String::new() }];
        }
        assert_eq!(explanation(&status, &status.tasks[0]).chain.len(), 2);
    }
}
