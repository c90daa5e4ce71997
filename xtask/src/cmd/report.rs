//! `report`: renders the evidence on record. Nothing is asked of the outside: what is not on record is not claimed.

use camino::Utf8Path;

use super::{Project, history, open};
use crate::cli::{Global, ReportArgs};
use crate::drive;
use crate::failure::{Failure, exit};
use crate::report::{Format, Options, Template};
use crate::status::{self, Status};
use crate::ui::Ui;

/// Renders and writes, or prints.
pub fn report(global: &Global, args: &ReportArgs, ui: &Ui) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    let history = history(&project, ui)?;
    let world = super::run::looking(&project);
    let status = status::status(&project.plan, &history, &drive::recall(&project.plan, &history, &world));
    let text = render(&project, &status, &args.format)?;
    match &args.out {
        Some(path) => write(path, &text)?,
        None => ui.data(&text),
    }
    Ok(exit::DONE)
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
    if std::fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    let failed = |error: std::io::Error| {
        Failure::ledger(anyhow::Error::new(error).context(format!("failed to write the report `{path}`")))
    };
    let side = path.with_file_name(format!(".{}.new", path.file_name().unwrap_or("report")));
    std::fs::write(&side, text).and_then(|()| std::fs::rename(&side, path)).map_err(|error| {
        let _ = std::fs::remove_file(&side);
        failed(error)
    })
}
