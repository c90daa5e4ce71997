//! What changed between two runs.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use super::history::{revision, run_id, when};
use super::{Look, unquoted, wrap};
use crate::ledger::diff::{Diff, DurationChange, NumberChange, StateChange};
use crate::ledger::past::RunLine;
use crate::wording;

/// The two runs, then what differs in states, durations and measurements.
pub fn diff<'a>(diff: &Diff, now: Timestamp, look: impl Into<Look<'a>>) -> String {
    let look = look.into();
    let mut out = wrap(&format!("from {}", head(&diff.from, now)), 0, look.width);
    out.push_str(&wrap(&format!("to {}", head(&diff.to, now)), 0, look.width));
    if diff.is_empty() {
        out.push('\n');
        out.push_str(&wrap("No state, duration or measurement changed.", 0, look.width));
        return out;
    }
    section(&mut out, "States", diff.states.iter().map(state), look);
    section(&mut out, "Durations", diff.durations.iter().map(duration), look);
    section(&mut out, "Measurements", diff.measurements.iter().map(number), look);
    out
}

fn head(run: &RunLine, now: Timestamp) -> String {
    let mut parts = vec![run_id(run), when(run.started, now)];
    parts.extend(run.git.as_ref().map(revision));
    parts.join(", ")
}

fn section(out: &mut String, title: &str, lines: impl Iterator<Item = String>, look: Look<'_>) {
    let lines: String = lines.map(|line| wrap(&line, 2, look.width)).collect();
    if !lines.is_empty() {
        let _ = write!(out, "\n{}\n{lines}", look.bold(title));
    }
}

/// `T007: done -> failed (pytest: exit code 1)`.
fn state(change: &StateChange) -> String {
    let name = |state: &Option<String>| state.clone().unwrap_or_else(|| "not asked for".to_owned());
    let because = change
        .because
        .as_ref()
        .map_or_else(String::new, |because| format!(" ({})", wording::first_line(&unquoted(because), 200)));
    format!("{}: {} -> {}{because}", change.task, name(&change.before), name(&change.after))
}

/// `T003: 12 s -> 40 s, 3.33 times as long`.
fn duration(change: &DurationChange) -> String {
    let show = |ms| wording::duration(Duration::from_millis(ms));
    let (before, after) = (change.before_ms, change.after_ms);
    let factor = match (before, after) {
        (0, _) | (_, 0) => String::new(),
        _ if after > before => format!(", {} times as long", wording::short(after as f64 / before as f64)),
        _ => format!(", {} times as fast", wording::short(before as f64 / after as f64)),
    };
    format!("{}: {} -> {}{factor}", change.task, show(before), show(after))
}

/// `T006 image size: 498 MB -> 412 MB, -17.3 %`.
fn number(change: &NumberChange) -> String {
    let show = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), |value| change.unit.show(value));
    let (before, after) = (show(change.before), show(change.after));
    let percent = change.percent.map_or_else(String::new, |percent| {
        format!(", {}{} %", if percent > 0.0 { "+" } else { "" }, wording::short(percent))
    });
    let limits = if change.within_limits == Some(false) { ", outside its limits" } else { "" };
    format!("{} {}: {before} -> {after}{percent}{limits}", change.task, change.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::diff as compare;
    use crate::ledger::sample::Sample;

    #[test]
    fn what_changed_is_told_by_section() {
        let chronicle = Sample::empty()
            .run("0a1b2c3d4e5f", 1)
            .attempt("T001", "x", "passed")
            .start("T002", "x")
            .end("passed", 2000, &[("image size", 400e6), ("layers", 0.0)])
            .left("T003", "blocked", "docker is absent")
            .ended(3)
            .run("1a1b2c3d4e5f", 2)
            .attempt("T001", "y", "failed")
            .start("T002", "y")
            .end("passed", 9000, &[("image size", 600e6), ("new", 5.0), ("layers", 7.0)])
            .attempt("T003", "x", "passed")
            .ended(1)
            .chronicle();
        let now = "2026-01-27T12:30:00Z".parse().expect("a time");
        insta::assert_snapshot!(diff(&compare::diff(&chronicle, 0, 1, None), now, false));
        insta::assert_snapshot!(diff(&compare::diff(&chronicle, 1, 1, None), now, false));
    }
}
