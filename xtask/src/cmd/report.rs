//! `report`: renders the evidence on record. Nothing is asked of the outside: what is not on record is not claimed.

use camino::Utf8Path;

use super::{Project, history, open};
use crate::cli::{Global, ReportArgs};
use crate::drive;
use crate::failure::{Failure, exit};
use crate::plain;
use crate::report::{Format, Options, Template};
use crate::status::{self, Status};
use crate::ui::Ui;

/// Renders and writes, prints, or compares.
pub fn report(global: &Global, args: &ReportArgs, ui: &Ui) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    let history = history(&project, ui)?;
    let world = super::run::looking(&project);
    let status = status::status(&project.plan, &history, &drive::recall(&project.plan, &history, &world));
    let text = render(&project, &status, &args.format)?;
    if args.check {
        return check(&project, args, &text, ui);
    }
    match &args.out {
        Some(path) => write(path, &text)?,
        None => ui.data(&text),
    }
    Ok(exit::DONE)
}

/// Compares a report on disk with what follows from the evidence.
fn check(project: &Project, args: &ReportArgs, text: &str, ui: &Ui) -> Result<u8, Failure> {
    let Some(path) = args.out.clone().or_else(|| project.plan.report.as_ref().map(|p| project.root.join(p)))
    else {
        return Err(Failure::usage("no report is declared, so there is none to check")
            .hint("name one with `--out FILE`, or set `report` in [pipeline]"));
    };
    let found = match std::fs::read_to_string(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(Failure::ledger(anyhow::anyhow!("failed to read the report `{path}`: {error}")));
        }
    };
    if found == text {
        return Ok(exit::DONE);
    }
    ui.data(&difference(&found, text));
    ui.say(&format!(
        "`{path}` does not say what the evidence says: `-` is in the file, `+` follows from the evidence"
    ));
    Ok(exit::FAILED)
}

/// How many lines of each side of a difference are shown.
const SHOWN: usize = 40;

/// The lines in which two texts differ, without those that they begin and end with alike.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(a, b)| a == b).count();
    let head = same(&mut old.iter().zip(&new));
    let tail = same(&mut old[head..].iter().rev().zip(new[head..].iter().rev()));
    let mut out = format!("@@ line {} @@\n", head + 1);
    for (mark, lines) in [('-', &old[head..old.len() - tail]), ('+', &new[head..new.len() - tail])] {
        for line in lines.iter().take(SHOWN) {
            out.push_str(&format!("{mark}{}\n", plain::line(line)));
        }
        if lines.len() > SHOWN {
            out.push_str(&format!("{mark}... and {} more\n", lines.len() - SHOWN));
        }
    }
    out
}

/// The Markdown report.
pub fn markdown(project: &Project, status: &Status) -> Result<String, Failure> {
    render(project, status, "markdown")
}

/// The JSON of a status.
pub fn json(status: &Status) -> Result<String, Failure> {
    format("json")?.text(status, &Options::default()).map_err(Failure::ledger)
}

fn format(name: &str) -> Result<&'static Format, Failure> {
    Format::find(name).ok_or_else(|| Failure::usage(format!("there is no report format `{name}`")))
}

fn render(project: &Project, status: &Status, name: &str) -> Result<String, Failure> {
    let template = match &project.plan.template {
        Some(path) => {
            let source = std::fs::read_to_string(project.root.join(path))
                .map_err(|e| Failure::usage(format!("failed to read the template `{path}`: {e}")))?;
            Some(Template { name: path.to_string(), source })
        }
        None => None,
    };
    format(name)?.text(status, &Options { template }).map_err(Failure::ledger)
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
        assert_eq!(difference("a\nb\nc\n", "a\nx\ny\nc\n"), "@@ line 2 @@\n-b\n+x\n+y\n");
        assert_eq!(difference("", "a\n"), "@@ line 1 @@\n+a\n");
        assert_eq!(difference("a\na\n", "a\n"), "@@ line 2 @@\n-a\n");
    }
}
