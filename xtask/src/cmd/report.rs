//! `report`: renders the evidence on record. Nothing is asked of the outside: what is not on record is not claimed.

use std::collections::BTreeMap;

use camino::Utf8Path;
use similar::TextDiff;

use super::{Project, history, open};
use crate::cli::{Global, ReportArgs};
use crate::drive;
use crate::exec;
use crate::failure::{Failure, exit};
use crate::ledger::{History, store};
use crate::plain;
use crate::report::{Format, Options, Past, Template, markdown};
use crate::since::{self, Point};
use crate::status::{self, Status};
use crate::ui::Ui;

/// Renders and writes, prints, or compares.
pub fn report(global: &Global, args: &ReportArgs, ui: &Ui) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    let target = args.out.clone().or_else(|| project.plan.report.as_ref().map(|p| project.root.join(p)));
    let found = if args.check {
        let target = target.as_ref().ok_or_else(|| {
            Failure::usage("no report is declared, so there is none to check")
                .hint("name one with `--out FILE`, or set `report` in [pipeline]")
        })?;
        Some(on_disk(target)?)
    } else {
        None
    };
    let text = match &args.from {
        Some(path) => {
            let status = exported(&project, path, ui)?;
            render(&project, None, status, &args.format, ui)?
        }
        None => {
            let history = history(&project, ui)?;
            let world = super::run::looking(&project);
            let mut status =
                status::status(&project.plan, &history, &drive::recall(&project.plan, &history, &world));
            // A report that is checked says itself what it compares with: that is not what is in question.
            let point = match &found {
                Some(found) => markdown::mark(found).and_then(|mark| mark.since),
                None => baseline(&project, &status),
            };
            compare(&project, &mut status, point)?;
            render(&project, Some(&history), status, &args.format, ui)?
        }
    };
    match (found, target, &args.out) {
        (Some(found), Some(path), _) => Ok(check(&path, &found, &text, ui)),
        (_, _, Some(path)) => write(path, &text).map(|()| exit::DONE),
        _ => {
            ui.exactly(&text);
            Ok(exit::DONE)
        }
    }
}

/// A status that was exported with `report --format json`.
fn exported(project: &Project, path: &Utf8Path, ui: &Ui) -> Result<Status, Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("`{path}` is no evidence that can be read: {why}"))
            .hint("make it with `cargo xtask report --format json --out FILE`")
    };
    let text = std::fs::read(path).map_err(|e| failed(&e))?;
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } = serde_json::from_slice(&text).map_err(|e| failed(&e))?;
    if version != status::VERSION {
        let known = status::VERSION;
        return Err(failed(&format!("it is of version {version}, and this program reads version {known}")));
    }
    let status: Status = serde_json::from_slice(&text).map_err(|e| failed(&e))?;
    if status.pipeline.id != ui.secrets().mask(&project.plan.id) {
        return Err(failed(&format!("it is about `{}`, not `{}`", status.pipeline.id, project.plan.id)));
    }
    Ok(status)
}

/// The text of a report, empty if there is none.
fn on_disk(path: &Utf8Path) -> Result<String, Failure> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Failure::ledger(anyhow::anyhow!("failed to read the report `{path}`: {error}"))),
    }
}

/// What a report compares with: the evidence of the one that was committed last. While there is no new evidence it
/// keeps what it compared with before, so that committing a report does not change it.
fn baseline(project: &Project, status: &Status) -> Option<Point> {
    let report = project.plan.report.as_ref()?;
    let current = markdown::mark(&on_disk(&project.root.join(report)).ok()?);
    match current {
        Some(mark) if Some(mark.evidence) == status.evidence => mark.since,
        _ => markdown::mark(&super::committed(&project.root, report)?).map(|mark| mark.evidence),
    }
}

/// Says in a status what is different from an earlier point, if the ledger ever was at it.
fn compare(project: &Project, status: &mut Status, point: Option<Point>) -> Result<(), Failure> {
    if let Some(point) = point.filter(|p| status.evidence.is_some_and(|e| p.records <= e.records)) {
        let then = store::read_to(&project.home, point).map_err(Failure::ledger)?;
        status.since = then.and_then(|then| since::since(&then, &status.tasks));
    }
    Ok(())
}

/// Compares a report on disk with what follows from the evidence.
fn check(path: &Utf8Path, found: &str, text: &str, ui: &Ui) -> u8 {
    if found == text {
        return exit::DONE;
    }
    ui.data(&difference(found, text));
    ui.say(&format!(
        "`{path}` does not say what the evidence says: `-` is in the file, `+` follows from the evidence"
    ));
    exit::FAILED
}

/// How many lines of a difference are shown.
const SHOWN: usize = 200;

/// The lines in which two texts differ, each with the lines around it.
fn difference(old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    let hunks = diff.unified_diff().context_radius(2).to_string();
    let mut out = String::new();
    for (n, line) in hunks.lines().enumerate() {
        if n == SHOWN {
            out.push_str(&format!("... and {} more lines\n", hunks.lines().count() - SHOWN));
            break;
        }
        // The mark and the indentation stay: only what a terminal would obey goes.
        let (mark, text) = line.split_at_checked(1).unwrap_or((line, ""));
        out.push_str(&format!("{mark}{}\n", plain::block(text)));
    }
    out
}

/// The Markdown report as a run writes it.
pub fn committable(
    project: &Project,
    history: &History,
    mut status: Status,
    ui: &Ui,
) -> Result<String, Failure> {
    let point = baseline(project, &status);
    compare(project, &mut status, point)?;
    render(project, Some(history), status, "markdown", ui)
}

/// The JSON of a status.
pub fn json(status: &Status) -> Result<String, Failure> {
    format("json")?.text(status, &Options::default()).map_err(Failure::ledger)
}

fn format(name: &str) -> Result<&'static Format, Failure> {
    Format::find(name).ok_or_else(|| Failure::usage(format!("there is no report format `{name}`")))
}

/// Everything that a report is made of is masked before it gets its form, in which a secret may look different. Without
/// a history it tells of no past: that of this ledger is not that of evidence from elsewhere.
fn render(
    project: &Project,
    history: Option<&History>,
    status: Status,
    name: &str,
    ui: &Ui,
) -> Result<String, Failure> {
    let format = format(name)?;
    let template = match &project.plan.template {
        Some(path) => {
            let source = std::fs::read_to_string(project.root.join(path))
                .map_err(|e| Failure::usage(format!("failed to read the template `{path}`: {e}")))?;
            Some(Template { name: path.to_string(), source })
        }
        None => None,
    };
    let past = history.filter(|_| format.tells_of_past).map(|history| past(project, history)).transpose()?;
    let (status, past) = (ui.secrets().veiled(status), ui.secrets().veiled(past));
    let text = format.text(&status, &Options { template, past }).map_err(Failure::ledger)?;
    match ui.secrets().whose_is_in(&text) {
        None => Ok(text),
        Some(whose) => Err(Failure::ledger(anyhow::anyhow!(
            "the report `{name}` was not written: the value of {whose} would stand in it"
        ))
        .hint("its template or a name in pipeline.toml holds the value; if that is no secret, name it under `plain`")),
    }
}

/// How many of the last lines of a log a report shows, and at most how many bytes.
const TAIL: (usize, u64) = (40, 16 << 10);

/// Earlier runs, and the ends of logs.
fn past(project: &Project, history: &History) -> Result<Past, Failure> {
    let chronicle = store::chronicle(&project.home).map_err(Failure::ledger)?;
    let mut tails = BTreeMap::new();
    for (task, past) in &history.tasks {
        let log = past.last.as_ref().and_then(|a| project.home.recorded_log(&a.started.log));
        let tail = log.map(|log| exec::tail(&log, TAIL.0, TAIL.1)).unwrap_or_default();
        if !tail.is_empty() {
            tails.insert(task.clone(), tail);
        }
    }
    Ok(Past { chronicle, tails })
}

/// Writes a report if it says something new: to a file beside it first, so that no half of one is ever seen.
pub fn write(path: &Utf8Path, text: &str) -> Result<(), Failure> {
    let side = path.with_file_name(format!(".{}.new", path.file_name().unwrap_or("report")));
    if std::fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        // Left by somebody who was killed while writing.
        let _ = std::fs::remove_file(&side);
        return Ok(());
    }
    let failed = |error: std::io::Error| {
        Failure::ledger(anyhow::Error::new(error).context(format!("failed to write the report `{path}`")))
    };
    std::fs::write(&side, text).and_then(|()| std::fs::rename(&side, path)).map_err(|error| {
        let _ = std::fs::remove_file(&side);
        failed(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_only_what_differs() {
        assert_eq!(difference("a\nb\nc\n", "a\nx\ny\nc\n"), "@@ -1,3 +1,4 @@\n a\n-b\n+x\n+y\n c\n");
        let old: String = (0..100).map(|n| format!("{n}\n")).collect();
        let new = old.replace("7\n", "seven\n");
        let shown = difference(&old, &new);
        assert!(shown.contains("-97\n+9seven\n") && !shown.contains(" 93\n"), "{shown}");
        assert!(difference("", &old.repeat(9)).ends_with("more lines\n"));
        assert_eq!(difference("\u{1b}[31mred\n", "red\n"), "@@ -1 +1 @@\n-red\n+red\n");
    }
}
