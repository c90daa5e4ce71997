//! What the looking commands print: pure functions from the status to text.
//!
//! Lines fit the width that they are given, except where something is to be copied: a command is never cut. Text
//! from outside comes without terminal escapes; colour is added afterwards and only if it was asked for.

mod closing;
mod diff;
mod doctor;
mod evidence;
mod explain;
mod history;
mod status;
mod verify;
mod waiting;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub use self::closing::closing;
pub use self::diff::diff;
pub use self::doctor::{assumed, doctor};
pub use self::evidence::evidence;
pub use self::explain::{Evidence, Explanation, Step, explain, explain_json, explanation};
pub use self::history::{attempts, runs};
pub use self::status::status;
pub use self::verify::{Verdict as Again, Verified, verified};
pub use self::waiting::{not_waiting, waiting};
use crate::plain;
use crate::status::State;

/// How a view may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// With colour.
    pub colour: bool,
    /// Columns of the terminal.
    pub width: usize,
}

impl Default for Look {
    /// What a pipe gets.
    fn default() -> Self {
        Self { colour: false, width: 80 }
    }
}

/// With colour or without, in the columns that every terminal has.
impl From<bool> for Look {
    fn from(colour: bool) -> Self {
        Self { colour, ..Self::default() }
    }
}

impl Look {
    /// The text in a style.
    fn paint(self, style: Style, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    fn dim(self, text: &str) -> String {
        self.paint(Style::new().dimmed(), text)
    }
}

/// A state in one column. The symbols of the reports are emoji, whose width terminals do not agree on.
pub fn mark(state: State) -> &'static str {
    match state {
        State::Done => "✓",
        State::Stale => "↻",
        State::Failed => "✗",
        State::Interrupted => "⚠",
        State::Blocked => "■",
        State::Waiting => "…",
        State::Ready => "▸",
        State::Skipped => "↷",
    }
}

/// The colour of a state.
pub fn style(state: State) -> Style {
    let colour = match state {
        State::Done => AnsiColor::Green,
        State::Stale | State::Interrupted => AnsiColor::Magenta,
        State::Failed => AnsiColor::Red,
        State::Blocked | State::Waiting => AnsiColor::Yellow,
        State::Ready => AnsiColor::Cyan,
        State::Skipped => AnsiColor::BrightBlack,
    };
    Style::new().fg_color(Some(colour.into()))
}

/// Columns that a text takes.
fn width(text: &str) -> usize {
    text.width()
}

/// One harmless line, cut to a width with `…`.
fn fit(text: &str, limit: usize) -> String {
    let line = plain::line(text);
    if width(&line) <= limit {
        return line;
    }
    let mut out = String::new();
    let mut used = 0;
    for c in line.chars() {
        used += c.width().unwrap_or_default();
        if used + 1 > limit {
            break;
        }
        out.push(c);
    }
    format!("{}…", out.trim_end())
}

/// The same with spaces up to the width.
fn fill(text: &str, columns: usize) -> String {
    let text = fit(text, columns);
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(&text))))
}

/// A sentence on as many lines as it needs, the first after `indent` columns and the others two further in. Words
/// are not cut: they may be paths.
fn wrap(text: &str, indent: usize, limit: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in plain::line(text).split(' ') {
        let gap = match used {
            0 => " ".repeat(indent),
            _ if used + 1 + width(word) > limit => format!("\n{}", " ".repeat(indent + 2)),
            _ => " ".to_owned(),
        };
        used = if gap.starts_with('\n') { indent + 2 } else { used + gap.len() };
        used += width(word);
        out.push_str(&gap);
        out.push_str(word);
    }
    out.push('\n');
    out
}

/// `label: command`, with a command of several lines below the label, and nothing cut.
fn command(label: &str, command: &str, indent: usize, look: Look) -> String {
    let pad = " ".repeat(indent);
    let command = plain::block(command);
    if !command.contains('\n') {
        return format!("{pad}{label}: {}\n", look.bold(&command));
    }
    let lines: Vec<String> = command.lines().map(|line| format!("{pad}    {}\n", look.bold(line))).collect();
    format!("{pad}{label}:\n{}", lines.concat())
}

/// Names and commands without the backticks that mark them in reports.
fn unquoted(text: &str) -> String {
    text.replace('`', "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::sample;
    use crate::status::{STATES, Status};

    #[test]
    fn marks_take_one_column_and_differ() {
        let marks: std::collections::BTreeSet<&str> = STATES.iter().map(|s| mark(*s)).collect();
        assert_eq!(marks.len(), STATES.len());
        assert!(marks.iter().all(|m| width(m) == 1));
    }

    #[test]
    fn texts_are_cut_by_columns() {
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abcd", 3), "ab…");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fill("日", 4), "日  ");
        assert_eq!(wrap("one two three", 2, 9), "  one two\n    three\n");
    }

    fn every_view(status: &Status, look: Look) -> String {
        let explained = status.tasks.iter().map(|row| explain(status, row, look));
        let others =
            [super::status(status, look), doctor(status, look), closing(status, &status.summary, 1, look)];
        others.into_iter().chain(explained).collect()
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let status = sample::rich();
        let coloured = every_view(&status, Look { colour: true, width: 80 });
        assert!(coloured.contains("\u{1b}["));
        let bare: Vec<String> = coloured.lines().map(|l| plain::block(&l.replace(' ', "\u{a0}"))).collect();
        let without: Vec<String> =
            every_view(&status, Look::default()).lines().map(|l| l.replace(' ', "\u{a0}")).collect();
        assert_eq!(bare, without);
    }

    proptest! {
        #[test]
        fn no_text_reaches_the_terminal_as_a_command(text in sample::hostile()) {
            let status = sample::with_text(sample::rich(), &text);
            let views = every_view(&status, Look::default());
            prop_assert!(!views.chars().any(|c| c.is_control() && c != '\n'), "{}", views);
        }

        #[test]
        fn the_table_fits_any_width(text in sample::hostile(), columns in 40usize..160) {
            let status = sample::with_text(sample::rich(), &text);
            let table = super::status(&status, Look { colour: false, width: columns });
            let (rows, _) = table.rsplit_once("\n\n").expect("a summary");
            for line in rows.lines() {
                prop_assert!(width(line) <= columns, "{} columns: {}", width(line), line);
            }
        }
    }
}
