//! The last lines of a run: what there is, what is in the way, what to do next.

use super::{Look, command, mark, marked, style, unquoted, wrap};
use crate::report::outline;
use crate::status::{AttemptRow, Row, State, Status, Summary};
use crate::wording::plural;

/// `asked` counts the tasks that the run was asked for, `started` those that it started.
pub fn closing<'a>(status: &Status, asked: &Summary, started: usize, look: impl Into<Look<'a>>) -> String {
    let look = look.into();
    let mut out = String::new();
    for row in status.tasks.iter().filter(|r| matches!(r.state, State::Failed | State::Interrupted)) {
        out.push_str(&trouble(row, look));
    }
    for text in outline::obstacles(status) {
        out.push_str(&wrap(&unquoted(&text), 0, look.width));
    }
    let ran = match started {
        0 => "nothing was run".to_owned(),
        n => format!("{} run", plural(n, "task")),
    };
    for line in wrap(&format!("{asked}; {ran}"), 0, look.width).lines() {
        out.push_str(&format!("{}\n", look.bold(line)));
    }
    if let Some((next, why)) = outline::next_command(status) {
        out.push_str(&command(&format!("Next ({})", unquoted(&why)), &next, 0, look));
    }
    out
}

/// `✗ T011 failed: exit code 2`, with the log below.
fn trouble(row: &Row, look: Look<'_>) -> String {
    let because =
        row.because.first().map(|reason| format!(": {}", unquoted(&reason.to_string()))).unwrap_or_default();
    let state = look.paint(style(row.state), mark(row.state));
    let log = |a: &AttemptRow| look.with_file(&wrap(&format!("log: {}", a.log), 4, look.width), &a.log);
    let text = marked(&state, &format!("{} {}{because}", row.id, row.state.name()), look.width);
    text + &row.attempt.as_ref().map(log).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn rich() {
        let status = sample::rich();
        insta::assert_snapshot!(closing(&status, &status.summary, 3, false));
    }

    #[test]
    fn complete() {
        let status = sample::complete();
        insta::assert_snapshot!(closing(&status, &status.summary, 0, false), @"2 of 2 tasks done; nothing was run");
    }
}
