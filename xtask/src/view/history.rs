//! Runs, and the attempts at a task, the newest first.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::{Look, mark, marked, style, unquoted, wrap};
use crate::ledger::chronicle::Deed;
use crate::ledger::event::Git;
use crate::ledger::past::{AttemptLine, RunEnd, RunLine};
use crate::pipeline::line::quote_all;
use crate::plain;
use crate::status::State;
use crate::wording;

/// How many digits of a revision or a fingerprint are shown.
const SHORT: usize = 8;

/// Two lines for each run, then the tasks that are flaky.
pub fn runs(runs: &[RunLine], flaky: &BTreeSet<String>, now: Timestamp, look: Look<'_>) -> String {
    if runs.is_empty() {
        return "No run is on record.\n".to_owned();
    }
    let mut out: String = runs.iter().map(|run| one_run(run, now, look)).collect();
    if !flaky.is_empty() {
        let tasks: Vec<&str> = flaky.iter().map(String::as_str).collect();
        let text =
            format!("flaky: {} (failed and passed with nothing changed in between)", wording::list(&tasks));
        out.push_str(&format!("\n{}", wrap(&text, 0, look.width)));
    }
    out
}

fn one_run(run: &RunLine, now: Timestamp, look: Look<'_>) -> String {
    let took = |ms| wording::duration(Duration::from_millis(ms));
    let (state, end) = match (run.state, run.exit, run.ms) {
        (RunEnd::Running, ..) => (State::Ready, "under way".to_owned()),
        (RunEnd::Killed, ..) => (State::Interrupted, "killed".to_owned()),
        (RunEnd::Ended, Some(code), ms) => {
            let state = match code {
                0 => State::Done,
                3 => State::Blocked,
                130 | 143 => State::Interrupted,
                _ => State::Failed,
            };
            (state, format!("exit {code} after {}", took(ms.unwrap_or_default())))
        }
        (RunEnd::Ended, None, _) => (State::Interrupted, "ended".to_owned()),
    };
    let mut head = vec![run_id(run), when(run.started, now), end];
    head.extend(run.git.as_ref().map(revision));
    let counts = [
        (run.passed, "passed"),
        (run.failed, "failed"),
        (run.interrupted, "interrupted"),
        (run.running, "running"),
        (run.left, "left undone"),
    ];
    let counted: Vec<String> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let mut parts = vec![if counted.is_empty() { "nothing was run".to_owned() } else { counted.join(", ") }];
    if !run.arguments.is_empty() {
        parts.push(format!("cargo xtask {}", quote_all(&run.arguments)));
    }
    let mark = look.paint(style(state), mark(state));
    marked(&mark, &head.join(", "), look.width) + &wrap(&parts.join("; "), 4, look.width)
}

/// `5c7e328ab2e5`, as far as it is plain text.
pub(super) fn run_id(run: &RunLine) -> String {
    plain::line(&run.id)
}

/// `2026-01-27 10:20 UTC (2 h ago)`.
pub(super) fn when(at: Timestamp, now: Timestamp) -> String {
    let age = Duration::try_from(now.duration_since(at)).unwrap_or_default();
    format!("{} ({} ago)", at.strftime("%F %R UTC"), wording::age(age))
}

/// `4f41f601+`, with a plus sign if tracked files differed.
pub(super) fn revision(git: &Git) -> String {
    let revision: String = git.revision.as_deref().unwrap_or("no commit").chars().take(SHORT).collect();
    plain::line(&format!("{revision}{}", if git.dirty { "+" } else { "" }))
}

/// The attempts at a task and what was done about it by hand.
pub fn attempts(
    task: &str,
    attempts: &[AttemptLine],
    deeds: &[&Deed],
    is_flaky: bool,
    now: Timestamp,
    look: Look<'_>,
) -> String {
    let mut all: Vec<(Timestamp, String)> =
        attempts.iter().map(|attempt| (attempt.started, one_attempt(attempt, now, look))).collect();
    all.extend(deeds.iter().map(|deed| (deed.at, one_deed(deed, now, look))));
    if all.is_empty() {
        return wrap(&format!("Nothing is on record about {task}."), 0, look.width);
    }
    all.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let mut out: String = all.into_iter().map(|(_, text)| text).collect();
    if is_flaky {
        let text = "flaky: it failed and passed with nothing changed in between";
        out.push_str(&format!("\n{}", wrap(text, 0, look.width)));
    }
    out
}

fn one_attempt(attempt: &AttemptLine, now: Timestamp, look: Look<'_>) -> String {
    let state = match attempt.outcome {
        "passed" => State::Done,
        "failed" => State::Failed,
        "running" => State::Ready,
        _ => State::Interrupted,
    };
    let took = attempt.ms.map(|ms| format!(" after {}", wording::duration(Duration::from_millis(ms))));
    let tries = attempt.tries.filter(|n| *n > 1).map(|n| format!(", {n} tries"));
    let outcome = [Some(attempt.outcome.to_owned()), took, tries].into_iter().flatten().collect::<String>();
    let mut head = vec![format!("#{}", attempt.number), when(attempt.started, now), outcome];
    if attempt.flaky {
        head.push("flaky".to_owned());
    }
    let mut out = marked(&look.paint(style(state), mark(state)), &head.join(", "), look.width);
    if let Some(failure) = &attempt.failure {
        let text = wording::first_line(&unquoted(&format!("{}: {}", failure.what, failure.how)), 200);
        out.push_str(&wrap(&text, 4, look.width));
    }
    for m in &attempt.measurements {
        let limits =
            m.limits().filter(|_| !m.within_limits).map_or_else(String::new, |l| format!(", not {l}"));
        out.push_str(&wrap(&format!("{}: {}{limits}", m.name, m.show()), 4, look.width));
    }
    let fingerprint: String = attempt.fingerprint.to_string().chars().take(SHORT).collect();
    let mut from = vec![format!("run {}", attempt.run), format!("from {fingerprint}")];
    from.extend(attempt.git.as_ref().map(|git| format!("at {}", revision(git))));
    from.extend(attempt.pruned.then(|| "log removed".to_owned()));
    out.push_str(&wrap(&from.join(", "), 4, look.width));
    out
}

fn one_deed(deed: &Deed, now: Timestamp, look: Look<'_>) -> String {
    let what = deed.kind.trim_start_matches("task-");
    let reason = deed.what.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let text = format!("{}, {what} by {}{reason}", when(deed.at, now), deed.what.by);
    marked(&look.paint(style(State::Skipped), mark(State::Skipped)), &text, look.width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::sample::Sample;
    use crate::ledger::{Chronicle, flaky, past};

    fn sample() -> Chronicle {
        Sample::empty()
            .run("0a1b2c3d4e5f", 1)
            .start("T001", "x")
            .end("failed", 340, &[("image size", 600e6)])
            .left("T002", "blocked", "docker is absent")
            .ended(1)
            .by_hand("skipped", "T001")
            .by_hand("forgotten", "T001")
            .run("1a1b2c3d4e5f", 2)
            .start("T001", "x")
            .end_after(2, "passed", 4200, &[("image size", 400e6)])
            .left("T002", "blocked", "docker is absent")
            .ended(3)
            .run("2a1b2c3d4e5f", 3)
            .start("T001", "\u{1b}[31my")
            .run("3a1b2c3d4e5f", 4)
            .pruned(&["T001-1"])
            .chronicle()
    }

    fn now() -> Timestamp {
        "2026-01-27T12:30:00Z".parse().expect("a time")
    }

    #[test]
    fn runs_the_newest_first() {
        let chronicle = sample();
        let holder = chronicle.runs[3].head.as_ref().map(|head| head.instance.clone());
        let mut all = past::runs(&chronicle, holder.as_ref());
        all.reverse();
        insta::assert_snapshot!(runs(&all, &flaky(&chronicle), now(), Look::default()));
        assert_eq!(runs(&[], &BTreeSet::new(), now(), Look::default()), "No run is on record.\n");
    }

    #[test]
    fn attempts_the_newest_first() {
        let chronicle = sample();
        let all = past::attempts(&chronicle, "T001", None);
        let deeds: Vec<&Deed> = chronicle.by_hand.iter().collect();
        insta::assert_snapshot!(attempts("T001", &all, &deeds, true, now(), Look::default()));
        assert_eq!(
            attempts("T9", &[], &[], false, now(), Look::default()),
            "Nothing is on record about T9.\n"
        );
    }

    #[test]
    fn no_text_reaches_the_terminal_as_a_command() {
        let evil = "\u{1b}[2J\u{202e}";
        let chronicle = Sample::empty()
            .run(evil, 1)
            .start(evil, "x")
            .end("failed", 1, &[(evil, 1.0)])
            .by_hand("skipped", evil)
            .chronicle();
        let (all, flaky) = (past::runs(&chronicle, None), BTreeSet::from([evil.to_owned()]));
        let own = past::attempts(&chronicle, evil, None);
        let deeds: Vec<&Deed> = chronicle.by_hand.iter().collect();
        let text = runs(&all, &flaky, now(), Look::default())
            + &attempts(evil, &own, &deeds, true, now(), Look::default());
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
}
