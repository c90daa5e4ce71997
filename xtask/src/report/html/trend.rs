//! Small drawings of what numbers have been. What they show stands in words beside them.

use super::markup::Markup;
use crate::ledger::Outcome;
use crate::ledger::chronicle::AttemptStory;

/// At most so many of the last attempts are drawn.
const DRAWN: usize = 24;

/// Height of a drawing.
const HEIGHT: f64 = 24.0;

/// From one number to the next.
const PITCH: f64 = 7.0;

/// A bar for how long each of the last attempts took, in the colour of what it came to.
pub fn durations(m: &mut Markup, attempts: &[&AttemptStory]) {
    let attempts = &attempts[attempts.len().saturating_sub(DRAWN)..];
    let all: Vec<(f64, Option<Outcome>)> =
        attempts.iter().map(|attempt| (millis(attempt), attempt.outcome())).collect();
    let most = all.iter().map(|(ms, _)| *ms).fold(1.0, f64::max);
    start(m, all.len());
    for (class, outcomes) in [
        ("s-done", &[Some(Outcome::Passed)] as &[Option<Outcome>]),
        ("s-failed", &[Some(Outcome::Failed)]),
        ("s-interrupted", &[Some(Outcome::Interrupted), None]),
    ] {
        if !all.iter().any(|(_, outcome)| outcomes.contains(outcome)) {
            continue;
        }
        m.html("<path class=\"").html(class).html("\" d=\"");
        for (n, (ms, outcome)) in all.iter().enumerate() {
            if outcomes.contains(outcome) {
                m.html("M").coordinate(across(n)).html(" 24V").coordinate(HEIGHT - 2.0 - 20.0 * ms / most);
            }
        }
        m.html("\"/>");
    }
    m.html("</svg>");
}

/// A line through the last values, and one for the limit above them.
pub fn values(m: &mut Markup, values: &[f64], limit: Option<f64>) {
    let values = &values[values.len().saturating_sub(DRAWN)..];
    let most = values.iter().copied().chain(limit).fold(f64::MIN_POSITIVE, f64::max);
    let up = |value: f64| HEIGHT - 2.0 - 20.0 * (value / most).max(0.0);
    start(m, values.len());
    if let Some(limit) = limit {
        m.html("<path class=\"limit\" d=\"M0 ").coordinate(up(limit)).html("H");
        m.coordinate(across(values.len())).html("\"/>");
    }
    m.html("<path class=\"line\" d=\"");
    for (n, value) in values.iter().enumerate() {
        m.html(if n == 0 { "M" } else { "L" }).coordinate(across(n)).html(" ").coordinate(up(*value));
    }
    m.html("\"/></svg>");
}

fn start(m: &mut Markup, n: usize) {
    m.html("<svg class=\"trend\" aria-hidden=\"true\" width=\"")
        .coordinate(across(n))
        .html("\" height=\"24\">");
}

#[expect(clippy::cast_precision_loss, reason = "there are a few")]
fn across(n: usize) -> f64 {
    PITCH * n as f64 + PITCH / 2.0
}

#[expect(clippy::cast_precision_loss, reason = "it is drawn")]
fn millis(attempt: &AttemptStory) -> f64 {
    attempt.ms().unwrap_or_default() as f64
}

/// The middle of what the attempts that passed took.
pub fn median(attempts: &[&AttemptStory]) -> Option<u64> {
    let passed = attempts.iter().filter(|attempt| attempt.outcome() == Some(Outcome::Passed));
    let mut all: Vec<u64> = passed.filter_map(|attempt| attempt.ms()).collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied()
}
