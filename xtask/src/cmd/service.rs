//! What the service in whose log a run ends gets besides: annotations, and the summary of the step.

use std::fs::OpenOptions;
use std::io::{self, Write as _};

use camino::{Utf8Path, Utf8PathBuf};

use super::Project;
use crate::ci::{self, Service};
use crate::drive::{self, Ran};
use crate::failure::Failure;
use crate::status::{self, Row};
use crate::ui::Ui;
use crate::world::{Real, World as _};

/// Tells GitHub what became of the tasks that were asked for. Others get lines only.
pub fn tell(project: &Project, ran: &Ran, selected: &[bool], world: &Real, ui: &Ui) {
    if ui.service() != Some(Service::Github) {
        return;
    }
    // Before the texts are quoted for the service.
    let rows: Vec<Row> = ui.secrets().veiled(ran.rows.clone());
    let rows: Vec<&Row> = rows.iter().enumerate().filter(|(i, _)| selected[*i]).map(|(_, row)| row).collect();
    let file = project.root.join(project.source.path.file_name().unwrap_or_default());
    let file = in_repository(&file, world.variable("GITHUB_WORKSPACE"));
    for line in ci::annotations(&rows, &file, |row| project.line_of(&row.id)) {
        ui.obey(&line);
    }
    let Some(path) = world.variable("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else { return };
    // A summary is no evidence: without it the run is worth the same.
    if let Err(why) = summarise(project, ran, world, Utf8Path::new(&path), ui) {
        ui.warn(&format!("no summary for GitHub: {why}"));
    }
}

/// The path of the file as GitHub knows it: from the top of the checkout.
fn in_repository(file: &Utf8Path, workspace: Option<String>) -> String {
    let workspace = workspace.and_then(|path| Utf8PathBuf::from(path).canonicalize_utf8().ok());
    let below = workspace.and_then(|top| file.strip_prefix(top).ok().map(Utf8Path::to_owned));
    let path = below.unwrap_or_else(|| file.file_name().unwrap_or_default().into());
    path.components().map(|part| part.as_str()).collect::<Vec<_>>().join("/")
}

/// Appends the report to the summary of the step.
fn summarise(project: &Project, ran: &Ran, world: &Real, path: &Utf8Path, ui: &Ui) -> Result<(), String> {
    let observed = drive::recall(&project.plan, &ran.history, world);
    let status = status::status(&project.plan, &ran.history, &observed);
    let report = super::report::committable(project, &ran.history, status, ui)
        .map_err(|Failure { error, .. }| format!("{error:#}"))?;
    append(path, &report).map_err(|error| format!("failed to write `{path}`: {error}"))
}

/// Appends as much of the report as there is room for behind what other commands of the step have written.
fn append(path: &Utf8Path, report: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let used = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let gap = if used == 0 { "" } else { "\n\n" };
    let room = ci::SUMMARY_LIMIT.saturating_sub(used).saturating_sub(gap.len());
    let text = ci::fit(report, room);
    if text.is_empty() { Ok(()) } else { file.write_all(format!("{gap}{text}").as_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_from_the_top_of_the_checkout() {
        let folder = tempfile::tempdir().expect("a folder");
        let top = Utf8Path::from_path(folder.path()).expect("UTF-8").canonicalize_utf8().expect("a path");
        let file = top.join("ci").join("pipeline.toml");
        for (workspace, wanted) in [
            (Some(top.to_string()), "ci/pipeline.toml"),
            (Some(format!("{top}/.")), "ci/pipeline.toml"),
            (Some("elsewhere".to_owned()), "pipeline.toml"),
            (None, "pipeline.toml"),
        ] {
            assert_eq!(in_repository(&file, workspace.clone()), wanted, "{workspace:?}");
        }
    }

    #[test]
    fn a_summary_keeps_what_is_there_and_its_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = Utf8Path::from_path(folder.path()).expect("UTF-8").join("summary");
        let report = format!(
            "# Report\n\n## Executive Summary\n\nGood.\n\n## Completed Work\n\n{}",
            "x\n".repeat(400_000)
        );
        append(&path, &report).expect("room");
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), report);
        for _ in 0..9 {
            append(&path, &report).expect("room");
        }
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(text.starts_with(&format!("{report}\n\n# Report\n\n## Executive Summary\n\nGood.")));
        assert!(text.contains("too long for a summary: Completed Work."));
        std::fs::write(&path, "x".repeat(ci::SUMMARY_LIMIT - 300)).expect("a file");
        for _ in 0..9 {
            append(&path, &report).expect("room");
        }
        let length = std::fs::metadata(&path).expect("a file").len();
        assert!(length <= ci::SUMMARY_LIMIT as u64 && length > ci::SUMMARY_LIMIT as u64 - 300);
    }
}
