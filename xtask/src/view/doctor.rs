//! What is missing, the most releasing first.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::{Look, command, fill, unquoted, width, wrap};
use crate::observed::Verdict;
use crate::plain;
use crate::report::outline;
use crate::status::{Assumed, PrerequisiteRow, Status};
use crate::wording::{list, plural};

/// Every verdict, in the order in which they are counted.
const VERDICTS: &[Verdict] = &[
    Verdict::Met,
    Verdict::Absent,
    Verdict::WrongVersion,
    Verdict::NotRunning,
    Verdict::NoPermission,
    Verdict::CouldNotTell,
];

/// A row for each prerequisite, with what to do about it below; then the counts and the command that helps most.
pub fn doctor<'a>(status: &Status, look: impl Into<Look<'a>>) -> String {
    let look = look.into();
    let rows = &status.prerequisites;
    if rows.is_empty() {
        return "No prerequisites are declared.\n".to_owned();
    }
    let names = rows.iter().map(|r| width(&r.name)).max().unwrap_or_default().min(look.width / 3);
    let mut out: String = rows.iter().map(|row| entry(row, names, look)).collect();
    out.push('\n');
    for line in wrap(&counts(rows), 0, look.width).lines() {
        let _ = writeln!(out, "{}", look.bold(line));
    }
    match outline::next_remedy(status).or_else(|| outline::next_command(status)) {
        Some((next, why)) => out.push_str(&command(&format!("Next ({})", unquoted(&why)), &next, 0, look)),
        None => out.push_str("Nothing is left to do.\n"),
    }
    out
}

/// What would be released if prerequisites were met, by phase, and what would still be held up.
pub fn assumed<'a>(status: &Status, assumed: &Assumed, look: impl Into<Look<'a>>) -> String {
    let look = look.into();
    let names: Vec<&str> = assumed.prerequisites.iter().map(String::as_str).collect();
    let mut out = wrap(
        &format!(
            "With {} met, {} could be done that {} now:",
            list(&names),
            plural(assumed.releases.len(), "task"),
            if assumed.releases.len() == 1 { "can't" } else { "can't be" }
        ),
        0,
        look.width,
    );
    if assumed.releases.is_empty() {
        out = wrap(&format!("With {} met, no other task could be done.", list(&names)), 0, look.width);
    }
    for row in status.tasks.iter().filter(|r| assumed.releases.contains(&r.id)) {
        out.push_str(&wrap(&format!("{}  {}", row.id, row.title), 2, look.width));
    }
    if !assumed.remains.is_empty() {
        let _ = write!(out, "\nStill held up:\n");
    }
    for remains in &assumed.remains {
        let mut why: Vec<String> = remains.lacks.iter().map(|n| format!("needs {n}")).collect();
        why.extend(remains.failed.iter().map(|t| match *t == remains.task {
            true => "failed".to_owned(),
            false => format!("{t} failed"),
        }));
        let why = if why.is_empty() { String::new() } else { format!(": {}", list(&why)) };
        out.push_str(&wrap(&format!("{}{why}", remains.task), 2, look.width));
    }
    out
}

fn entry(row: &PrerequisiteRow, names: usize, look: Look<'_>) -> String {
    // Met without being asked: nobody needs it here, and why says so.
    let unneeded = row.verdict == Some(Verdict::Met) && row.why.is_some();
    let (mark, colour) = match row.verdict {
        _ if unneeded => ("-", AnsiColor::BrightBlack),
        Some(Verdict::Met) => ("✓", AnsiColor::Green),
        Some(Verdict::CouldNotTell) => ("?", AnsiColor::Yellow),
        Some(_) => ("✗", AnsiColor::Red),
        None => ("-", AnsiColor::BrightBlack),
    };
    let verdict = if unneeded { "not needed" } else { row.verdict.map_or("not asked", Verdict::name) };
    let mark = look.paint(Style::new().fg_color(Some(colour.into())), mark);
    let head = format!("{}  {}", fill(&row.name, names), fill(verdict, "could not tell".len()));
    let found = found(row);
    let indent = 2 + width(&head);
    let one_line = format!("{head}  {}", found.join("  "));
    let mut out = if 2 + width(one_line.trim_end()) <= look.width {
        format!("{mark} {}\n", one_line.trim_end())
    } else {
        // A path is there to be copied: it gets a line of its own before it is cut.
        let (first, rest) = match found.split_first() {
            Some((first, rest)) if indent + 2 + width(first) <= look.width => (format!("  {first}"), rest),
            _ => (String::new(), &found[..]),
        };
        let rest: String = rest.iter().map(|part| wrap(part, 4, look.width)).collect();
        format!("{mark} {}\n{rest}", format!("{head}{first}").trim_end())
    };
    if let Some(path) = &row.path {
        out = look.with_file(&out, path);
    }
    let about: Vec<&str> = [&row.title, &row.why].into_iter().filter_map(Option::as_deref).collect();
    if unneeded {
        out.push_str(&wrap(about.last().unwrap_or(&""), 4, look.width));
    } else if row.verdict.is_none() {
        out.push_str(&wrap("no unfinished task needs it", 4, look.width));
    } else if row.verdict != Some(Verdict::Met) {
        if !about.is_empty() {
            out.push_str(&wrap(&about.join(": "), 4, look.width));
        }
        if let Some(remedy) = &row.remedy {
            out.push_str(&command("remedy", remedy, 4, look));
        }
        out.push_str(&wrap(&gain(row), 4, look.width));
    }
    out
}

/// `28.2.2 (wanted >=20.10)` and `/usr/bin/docker`.
fn found(row: &PrerequisiteRow) -> Vec<String> {
    let version = match (&row.version, &row.wanted) {
        (Some(found), Some(wanted)) => format!("{found} (wanted {wanted})"),
        (Some(found), None) => found.clone(),
        (None, Some(wanted)) => format!("wanted {wanted}"),
        (None, None) => String::new(),
    };
    let parts = [version, row.path.as_ref().map(ToString::to_string).unwrap_or_default()];
    parts.iter().map(|p| plain::line(p)).filter(|p| !p.is_empty()).collect()
}

fn gain(row: &PrerequisiteRow) -> String {
    let needed =
        format!("{} {} it", plural(row.needed_by, "task"), if row.needed_by == 1 { "needs" } else { "need" });
    match (row.releases, row.needed_by) {
        (0, 0) => "no task is held up by it".to_owned(),
        (0, _) => format!("releases nothing by itself; {needed}"),
        (n, by) if n == by => format!("releases {} ({} directly)", plural(n, "task"), row.releases_directly),
        (n, _) => format!("releases {} ({} directly); {needed}", plural(n, "task"), row.releases_directly),
    }
}

/// `1 met, 2 absent and 1 not asked`.
fn counts(rows: &[PrerequisiteRow]) -> String {
    let all = VERDICTS.iter().map(|v| (Some(*v), v.name())).chain([(None, "not asked")]);
    let parts: Vec<String> = all
        .map(|(verdict, name)| (rows.iter().filter(|r| r.verdict == verdict).count(), name))
        .filter(|(n, _)| *n > 0)
        .map(|(n, name)| format!("{n} {name}"))
        .collect();
    list(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn rich() {
        insta::assert_snapshot!(doctor(&sample::rich(), Look::default()));
    }

    #[test]
    fn nothing_declared() {
        assert_eq!(doctor(&sample::empty(), Look::default()), "No prerequisites are declared.\n");
    }

    #[test]
    fn nothing_missing() {
        let mut status = sample::complete();
        status.prerequisites = sample::rich().prerequisites;
        status.prerequisites.retain(|p| p.verdict == Some(Verdict::Met));
        insta::assert_snapshot!(doctor(&status, Look::default()));
    }
}
