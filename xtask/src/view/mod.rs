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
mod link;
mod list;
mod status;
mod verify;
mod waiting;

use anstyle::{AnsiColor, Style};
use camino::Utf8Path;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

pub use self::closing::closing;
pub use self::diff::diff;
pub use self::doctor::{assumed, doctor};
pub use self::evidence::evidence;
pub use self::explain::{Evidence, Explanation, Step, explain, explain_json, explanation};
pub use self::history::{attempts, runs};
pub use self::link::{Links, are_supported as links_are_supported};
pub use self::list::{dry_run, list};
pub use self::status::status;
pub use self::verify::{Verdict as Again, Verified, verified};
pub use self::waiting::{not_waiting, waiting};
use crate::plain;
use crate::status::State;

/// Columns where nobody says how many there are.
pub const WIDTH: usize = 80;

/// How a view may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look<'a> {
    /// With colour.
    pub colour: bool,
    /// Columns of the terminal.
    pub width: usize,
    /// With links, where the terminal opens them.
    pub links: Option<&'a Links>,
}

impl Default for Look<'_> {
    /// What a pipe gets.
    fn default() -> Self {
        Self { colour: false, width: WIDTH, links: None }
    }
}

/// With colour or without, in the columns that every terminal has.
impl From<bool> for Look<'_> {
    fn from(colour: bool) -> Self {
        Self { colour, ..Self::default() }
    }
}

impl Look<'_> {
    /// The text in a style.
    fn paint(self, style: Style, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    /// The text, of less weight.
    pub fn dim(self, text: &str) -> String {
        self.paint(Style::new().dimmed(), text)
    }

    /// A line in which a path stands, as a link to it.
    pub fn with_file(self, line: &str, path: &Utf8Path) -> String {
        match self.links {
            Some(links) => link::in_line(line, path.as_str(), |word| links.to_file(path, word)),
            None => line.to_owned(),
        }
    }

    /// A text as a link to a file.
    fn with_file_as(self, text: &str, path: &Utf8Path) -> String {
        self.links.map_or_else(|| text.to_owned(), |links| links.to_file(path, text))
    }

    /// A line in which an address stands, as a link to it.
    fn with_address(self, line: &str, address: &str) -> String {
        match self.links {
            Some(_) => link::in_line(line, address, |word| link::to_address(address, word)),
            None => line.to_owned(),
        }
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
pub fn width(text: &str) -> usize {
    text.width()
}

/// One harmless line, cut to a width with `…`.
pub fn fit(text: &str, limit: usize) -> String {
    let line = plain::line(text);
    if width(&line) <= limit {
        return line;
    }
    if limit == 0 {
        return String::new();
    }
    let mut end = 0;
    let mut used = 0;
    for piece in pieces(&line) {
        used += width(piece);
        if used + 1 > limit {
            break;
        }
        end += piece.len();
    }
    format!("{}…", line[..end].trim_end())
}

/// What must not be cut: a character with the marks on it, an emoji of several characters, a flag.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let is_half_flag = |c: char| matches!(c, '\u{1f1e6}'..='\u{1f1ff}');
    let is_skin = |c: char| matches!(c, '\u{1f3fb}'..='\u{1f3ff}');
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut before = rest.chars().next()?;
        let mut is_flag_open = is_half_flag(before);
        let next = rest.char_indices().skip(1).find(|(_, c)| {
            let belongs = c.width().unwrap_or_default() == 0
                || before == '\u{200d}'
                || is_skin(*c)
                || (is_flag_open && is_half_flag(*c));
            is_flag_open &= !is_half_flag(*c);
            before = *c;
            !belongs
        });
        let (piece, after) = rest.split_at(next.map_or(rest.len(), |(at, _)| at));
        rest = after;
        Some(piece)
    })
}

/// Text on whose width all terminals agree: of an emoji of several characters the first one is left.
pub fn simple(text: &str) -> String {
    let is_plain = |piece: &&str| {
        piece.chars().filter_map(unicode_width::UnicodeWidthChar::width).sum::<usize>() == width(piece)
    };
    let first = |piece: &'_ str| piece.chars().next().map_or(0, char::len_utf8);
    pieces(text).map(|piece| if is_plain(&piece) { piece } else { &piece[..first(piece)] }).collect()
}

/// The same with spaces up to the width.
pub fn fill(text: &str, columns: usize) -> String {
    let text = fit(text, columns);
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(&text))))
}

/// A sentence on as many lines as it needs, the first after `indent` columns and the others two further in. Words
/// are not cut: they may be paths. Only scripts without spaces, whose characters are wide, go on in the next line.
pub fn wrap(text: &str, indent: usize, limit: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in plain::line(text).split(' ') {
        let gap = match used {
            0 => " ".repeat(indent),
            _ if used + 1 + width(word) > limit => format!("\n{}", " ".repeat(indent + 2)),
            _ => " ".to_owned(),
        };
        used = if gap.starts_with('\n') { indent + 2 } else { used + gap.len() };
        out.push_str(&gap);
        let is_wide = |piece: &str| width(piece) > 1;
        if used + width(word) <= limit || word.contains('/') || !pieces(word).any(is_wide) {
            used += width(word);
            out.push_str(word);
            continue;
        }
        for piece in pieces(word) {
            if used + width(piece) > limit && used > indent + 2 && is_wide(piece) {
                out.push_str(&format!("\n{}", " ".repeat(indent + 2)));
                used = indent + 2;
            }
            used += width(piece);
            out.push_str(piece);
        }
    }
    out.push('\n');
    out
}

/// A sentence that stands behind a mark of one column.
fn marked(mark: &str, text: &str, limit: usize) -> String {
    format!("{mark} {}", wrap(text, 2, limit).trim_start())
}

/// `label: command`, with nothing cut: a command of several lines, or one that does not fit, stands below the label.
fn command(label: &str, command: &str, indent: usize, look: Look<'_>) -> String {
    let pad = " ".repeat(indent);
    let command = plain::block(command);
    if !command.contains('\n') && indent + width(label) + 2 + width(&command) <= look.width {
        return format!("{pad}{label}: {}\n", look.bold(&command));
    }
    let lines: Vec<String> = command.lines().map(|line| format!("{pad}    {}\n", look.bold(line))).collect();
    wrap(&format!("{label}:"), indent, look.width) + &lines.concat()
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
        assert_eq!(fit("日本語", 1), "…");
        assert_eq!(fit("日本語", 0), "");
        // Combining marks, emoji of several characters and flags stay whole.
        assert_eq!(fit("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
        assert_eq!(fit("👩\u{200d}🔧👩\u{200d}🔧 x", 4), "👩\u{200d}🔧…");
        assert_eq!(fit("👍\u{1f3fd}👍\u{1f3fd}x", 4), "👍\u{1f3fd}…");
        assert_eq!(fit("🇯🇵🇫🇷🇩🇪", 5), "🇯🇵🇫🇷…");
        assert_eq!(simple("👩\u{200d}🔧 👍\u{1f3fd} e\u{301} 🇯🇵 ⚠\u{fe0f} 日x"), "👩 👍 e\u{301} 🇯🇵 ⚠ 日x");
        assert_eq!(fill("日", 4), "日  ");
        assert_eq!(wrap("one two three", 2, 9), "  one two\n    three\n");
        assert_eq!(wrap("a 日本語です b", 0, 8), "a\n  日本語\n  です b\n");
        assert_eq!(wrap("a/日本語です", 0, 8), "a/日本語です\n");
    }

    fn every_view(status: &Status, look: Look<'_>) -> String {
        let explained = status.tasks.iter().map(|row| explain(status, row, look));
        let others =
            [super::status(status, look), doctor(status, look), closing(status, &status.summary, 1, look)];
        others.into_iter().chain(explained).collect()
    }

    #[test]
    fn colour_and_links_change_nothing_else() {
        let status = sample::rich();
        let links = Links { host: "host".to_owned(), root: "/repo".into() };
        let coloured = every_view(&status, Look { colour: true, links: Some(&links), ..Look::default() });
        assert!(coloured.contains("\u{1b}["));
        assert!(coloured.contains("\u{1b}]8;;file://host/repo/.xtask/logs/"));
        assert!(coloured.contains("\u{1b}]8;;https://"));
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
        fn the_table_fits_any_width(text in sample::hostile(), columns in 20usize..160) {
            let status = sample::with_text(sample::rich(), &text);
            let table = super::status(&status, Look { width: columns, ..Look::default() });
            let (rows, _) = table.rsplit_once("\n\n").expect("a summary");
            for line in rows.lines() {
                prop_assert!(width(line) <= columns, "{} columns: {}", width(line), line);
            }
        }
    }
}
