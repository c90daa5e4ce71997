//! The tasks with what they stand on.

use super::{Look, fill, fit, width};
use crate::plain;
use crate::status::{Row, Status};
use crate::wording::ranges;

/// Every task by phase, with the tasks that it needs and the prerequisites that it requires.
pub fn list(status: &Status, look: impl Into<Look>) -> String {
    let look = look.into();
    let ids = status.tasks.iter().map(|r| width(&r.id)).max().unwrap_or_default();
    let mut out = String::new();
    for phase in &status.phases {
        if !out.is_empty() {
            out.push('\n');
        }
        let heading = format!("{} ({})", plain::line(&phase.title), phase.id);
        out.push_str(&format!("{}\n", look.bold(&fit(&heading, look.width))));
        for row in status.tasks.iter().filter(|row| row.phase == phase.id) {
            out.push_str(&line(row, ids, look));
        }
    }
    out
}

fn line(row: &Row, ids: usize, look: Look) -> String {
    let head = format!("  {}  ", fill(&row.id, ids));
    let left = look.width.saturating_sub(ids + 4);
    let needs = needs(row);
    if needs.is_empty() {
        return format!("{head}{}\n", fit(&row.title, left));
    }
    // Ids are there to be typed: they go to a line of their own where the title leaves no room.
    let title = fit(&row.title, left);
    match width(&title) + 2 + width(&needs) <= left {
        true => format!("{head}{title}  {}\n", look.dim(&needs)),
        false => format!("{head}{title}\n{}{}\n", " ".repeat(ids + 4), look.dim(&needs)),
    }
}

fn needs(row: &Row) -> String {
    let mut parts = Vec::new();
    if !row.needs.is_empty() {
        parts.push(format!("needs {}", ranges(&row.needs)));
    }
    if !row.requires.is_empty() {
        parts.push(format!("requires {}", row.requires.join(", ")));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn rich() {
        insta::assert_snapshot!(list(&sample::rich(), Look::default()));
    }
}
