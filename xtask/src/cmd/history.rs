//! `history` and `diff`: what has been.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde_json::json;

use super::open;
use crate::cli::{DiffArgs, Global, HistoryArgs};
use crate::failure::{Failure, exit};
use crate::ledger::chronicle::Deed;
use crate::ledger::{diff as compare, flaky, past, store};
use crate::status::VERSION;
use crate::ui::Ui;
use crate::view;
use crate::world::World as _;

/// `history`
pub fn history(global: &Global, args: &HistoryArgs, ui: &Ui) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    super::history(&project, ui)?;
    let now = super::run::looking(&project).now();
    let since = args.since.as_deref().map(|text| since(text, now)).transpose()?;
    let is_asked = |at: Timestamp| since.is_none_or(|since| at >= since);
    let chronicle = store::chronicle(&project.home).map_err(Failure::ledger)?;
    let holder = project.home.running();
    let look = ui.look();
    let flaky = flaky(&chronicle);
    let Some(task) = &args.task else {
        let mut runs = past::runs(&chronicle, holder.as_ref());
        runs.retain(|run| is_asked(run.started));
        runs.reverse();
        ui.data(&if args.json {
            format!("{:#}\n", json!({ "version": VERSION, "runs": runs, "flaky": flaky }))
        } else {
            view::runs(&runs, &flaky, now, look)
        });
        return Ok(exit::DONE);
    };
    let mut attempts = past::attempts(&chronicle, task, holder.as_ref());
    let mut deeds: Vec<&Deed> = chronicle.by_hand.iter().filter(|deed| deed.task == *task).collect();
    if attempts.is_empty() && deeds.is_empty() {
        // A task that was taken out of the file may be on record still; one that is neither is a mistake.
        super::find_task(&project.plan, task)?;
    }
    attempts.retain(|attempt| is_asked(attempt.started));
    attempts.reverse();
    deeds.retain(|deed| is_asked(deed.at));
    deeds.reverse();
    let is_flaky = flaky.contains(task);
    ui.data(&if args.json {
        let by_hand: Vec<_> = deeds
            .iter()
            .map(|d| json!({ "kind": d.kind, "at": d.at, "by": d.what.by, "reason": d.what.reason }))
            .collect();
        let value = json!({
            "version": VERSION, "task": task, "flaky": is_flaky, "attempts": attempts, "by_hand": by_hand,
        });
        crate::plain::json(&format!("{value:#}\n"))
    } else {
        view::attempts(task, &attempts, &deeds, is_flaky, now, look)
    });
    Ok(exit::DONE)
}

/// `diff`
pub fn diff(global: &Global, args: &DiffArgs, ui: &Ui) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    super::history(&project, ui)?;
    let now = super::run::looking(&project).now();
    let chronicle = store::chronicle(&project.home).map_err(Failure::ledger)?;
    let run = |name: &str| {
        compare::find(&chronicle, name)
            .map_err(|why| Failure::usage(why).hint("`cargo xtask history` lists the runs"))
    };
    let (from, to) = (run(&args.from)?, run(&args.to)?);
    let diff = compare::diff(&chronicle, from, to, project.home.running().as_ref());
    ui.data(&if args.json {
        let mut value = serde_json::to_value(&diff).map_err(|e| Failure::ledger(anyhow::Error::from(e)))?;
        value["version"] = VERSION.into();
        crate::plain::json(&format!("{value:#}\n"))
    } else {
        view::diff(&diff, now, ui.look())
    });
    Ok(exit::DONE)
}

/// A point in time as people name it: a duration before now, a date, a date with a time, or RFC 3339.
fn since(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let ago = || {
        let span: Span = text.parse().ok()?;
        let duration: SignedDuration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        now.checked_sub(duration.abs()).ok()
    };
    let date = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    text.parse::<Timestamp>().ok().or_else(date).or_else(ago).ok_or_else(|| {
        Failure::usage(format!("`{text}` is neither a duration nor a date"))
            .hint("write `--since 12h`, `--since 3d`, `--since 2026-01-27` or `--since 2026-01-27T10:20`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_name_points_in_time_in_many_ways() {
        let now: Timestamp = "2026-01-27T10:20:30Z".parse().expect("a time");
        let table = [
            ("12h", "2026-01-26T22:20:30Z"),
            ("3d", "2026-01-24T10:20:30Z"),
            ("2 weeks", "2026-01-13T10:20:30Z"),
            ("1h 30m", "2026-01-27T08:50:30Z"),
            ("90s ago", "2026-01-27T10:19:00Z"),
            ("2026-01-20", "2026-01-20T00:00:00Z"),
            ("2026-01-20 08:15", "2026-01-20T08:15:00Z"),
            ("2026-01-20T08:15", "2026-01-20T08:15:00Z"),
            ("2026-01-20T08:15:00+02:00", "2026-01-20T06:15:00Z"),
        ];
        for (text, wanted) in table {
            assert_eq!(since(text, now).expect(text).to_string(), wanted, "{text}");
        }
        for text in ["", "yesterday", "12", "2026", "2026-13-01", "3 months", "-"] {
            assert!(since(text, now).is_err(), "{text}");
        }
    }
}
