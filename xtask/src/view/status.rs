//! The table of states.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Look, command, fill, fit, mark, style, unquoted, width, wrap};
use crate::measure::Measurement;
use crate::plain;
use crate::report::outline;
use crate::status::{PhaseRow, Reason, Row, State, Status};
use crate::wording;

/// Columns before the id: the indentation, the mark and a space.
const BEFORE_ID: usize = 4;
/// Columns between the id, the title and the reason.
const GAP: usize = 2;
/// Evidence older than this is said to be old.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);
/// The widest that the column of ids may become, also as a part of the width.
const WIDEST_ID: usize = 24;
const ID_PART: usize = 3;

/// Every task by phase, then the counts, then the command that helps most.
pub fn status<'a>(status: &Status, look: impl Into<Look<'a>>) -> String {
    let look = look.into();
    let mut out = format!("{}\n", look.bold(&fit(&status.pipeline.title, look.width)));
    out.push_str(&evidence(status, look));
    let columns = Columns::of(status, look);
    for (i, phase) in status.phases.iter().enumerate() {
        out.push('\n');
        out.push_str(&heading(i + 1, phase, look));
        for row in status.tasks.iter().filter(|row| row.phase == phase.id) {
            out.push_str(&line(row, status, columns, look));
        }
    }
    out.push('\n');
    for line in wrap(&status.summary.to_string(), 0, look.width).lines() {
        let _ = writeln!(out, "{}", look.bold(line));
    }
    if let Some((next, why)) = outline::next_command(status) {
        out.push_str(&command(&format!("Next ({})", unquoted(&why)), &next, 0, look));
    }
    out
}

fn evidence(status: &Status, look: Look<'_>) -> String {
    let Some(at) = status.as_of else { return format!("{}\n", look.dim("no evidence yet")) };
    let ago = |at| status.age(at).map(wording::age);
    let mut text = format!("evidence of {}", at.strftime("%F %R UTC"));
    text.extend(ago(at).map(|age| format!(", {age} ago")));
    text.extend(status.branch.iter().map(|branch| format!(", {branch}")));
    let mut out = format!("{}\n", look.dim(&fit(&text, look.width)));
    // What was seen long ago may have gone since, and nobody looked.
    let done = status.tasks.iter().filter(|r| r.state == State::Done);
    let oldest = done.filter_map(|r| Some((r.seen?, &r.id))).min();
    if let Some((at, id)) = oldest
        && status.age(at).is_some_and(|age| age > OLD)
    {
        let text = format!("the oldest is {} old ({id}); `verify` looks again", ago(at).unwrap_or_default());
        out.push_str(&format!("{}\n", look.dim(&fit(&text, look.width))));
    }
    out
}

fn heading(number: usize, phase: &PhaseRow, look: Look<'_>) -> String {
    let count = format!("{}/{}", phase.summary.settled(), phase.summary.total);
    let title = fill(&format!("Phase {number}: {}", phase.title), look.width.saturating_sub(count.len() + 1));
    format!("{} {count}\n", look.bold(&title))
}

/// Where the columns stand.
#[derive(Clone, Copy)]
struct Columns {
    id: usize,
    /// Of titles that a note follows, unless there is room for a longer one.
    title: usize,
    /// From the title to the end of the line.
    rest: usize,
}

impl Columns {
    fn of(status: &Status, look: Look<'_>) -> Self {
        let widest = |widths: &mut dyn Iterator<Item = usize>| widths.max().unwrap_or_default();
        let id = widest(&mut status.tasks.iter().map(|r| width(&r.id))).min(WIDEST_ID);
        let id = id.min(look.width / ID_PART);
        let rest = look.width.saturating_sub(BEFORE_ID + id + GAP);
        let noted = || status.tasks.iter().map(|r| (r, note(r, status))).filter(|(_, note)| !note.is_empty());
        let title = widest(&mut noted().map(|(r, _)| width(&plain::line(&r.title))));
        let note = widest(&mut noted().map(|(_, note)| width(&note)));
        // The note gets what the titles leave, and two fifths if it needs them.
        let title = title.min(rest.saturating_sub(GAP + note.min(rest * 2 / 5)));
        Self { id, title, rest }
    }
}

fn line(row: &Row, status: &Status, columns: Columns, look: Look<'_>) -> String {
    let mark = look.paint(style(row.state), mark(row.state));
    let id = fill(&row.id, columns.id);
    // The log of what was tried is what one wants to see next.
    let id = match &row.attempt {
        Some(attempt) => look.with_file_as(id.trim_end(), &attempt.log) + &id[id.trim_end().len()..],
        None => id,
    };
    let head = format!("  {mark} {id}{}", " ".repeat(GAP));
    let note = fit(&note(row, status), columns.rest.saturating_sub(columns.title + GAP));
    if note.is_empty() {
        return format!("{}\n", format!("{head}{}", fit(&row.title, columns.rest)).trim_end());
    }
    let room = columns.rest.saturating_sub(GAP + width(&note));
    let title = match width(&plain::line(&row.title)) {
        wide if wide > columns.title => fit(&row.title, room),
        _ => fill(&row.title, columns.title),
    };
    format!("{head}{title}{}{}\n", " ".repeat(GAP), look.dim(&note))
}

/// Why it is in its state, in a few words; of what is done, what was measured and how long it took.
fn note(row: &Row, status: &Status) -> String {
    let took =
        || row.attempt.as_ref().and_then(|a| a.ms).map(|ms| wording::duration(Duration::from_millis(ms)));
    let ago = |at| match status.age(at) {
        Some(age) if age >= Duration::from_secs(60) => format!(" {} ago", wording::age(age)),
        _ => String::new(),
    };
    let text = match (row.state, row.because.first()) {
        (State::Done, _) => {
            row.measurements.iter().map(Measurement::show).chain(took()).collect::<Vec<_>>().join(", ")
        }
        (State::Blocked, _) => outline::own_causes(row).join(", "),
        (State::Waiting, _) => format!("needs {}", outline::needed(row)),
        (_, Some(Reason::Running { since })) => match status.age(*since) {
            Some(age) => format!("running for {}", wording::elapsed(age)),
            None => format!("running since {}", since.strftime("%R UTC")),
        },
        (State::Interrupted, Some(Reason::Interrupted { died: true, .. })) => "the run died".to_owned(),
        (State::Interrupted, Some(_)) => {
            let ended = row.attempt.as_ref().and_then(|attempt| attempt.ended);
            format!("the run was stopped{}", ended.map(ago).unwrap_or_default())
        }
        (State::Failed, Some(Reason::Failure(failure))) => failure.how.clone(),
        (_, Some(reason)) => reason.to_string(),
        (state, None) => state.name().to_owned(),
    };
    plain::line(&unquoted(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn rich() {
        insta::assert_snapshot!(status(&sample::rich(), Look::default()));
    }

    #[test]
    fn old_evidence_is_said_to_be_old() {
        let mut status = sample::complete();
        let at = status.as_of.unwrap();
        let day = std::time::Duration::from_secs(24 * 3600);
        for row in &mut status.tasks {
            row.seen = Some(at);
        }
        status.now = Some(at + day / 8);
        assert!(self::status(&status, Look::default()).contains(", 3 h ago"), "{status:?}");
        assert!(!self::status(&status, Look::default()).contains("oldest"));
        status.tasks[1].seen = Some(at - 12 * day);
        let text = self::status(&status, Look::default());
        let id = &status.tasks[1].id;
        assert!(text.contains(&format!("the oldest is 12 d old ({id})")), "{text}");
    }

    #[test]
    fn fresh() {
        insta::assert_snapshot!(status(&sample::fresh(), Look::default()));
    }

    #[test]
    fn complete() {
        insta::assert_snapshot!(status(&sample::complete(), Look::default()));
    }
}
