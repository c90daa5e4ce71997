//! Links that a terminal opens (OSC 8): to files, and to addresses that a pipeline names.

use std::ffi::OsString;

use camino::{Utf8Path, Utf8PathBuf};

use crate::plain;
use crate::redact::percent;

/// Terminals that open links and say who they are, by `TERM_PROGRAM`.
const PROGRAMS: &[&str] = &[
    "ghostty",
    "Hyper",
    "iTerm.app",
    "mintty",
    "rio",
    "Tabby",
    "terminology",
    "vscode",
    "WarpTerminal",
    "WezTerm",
    "zed",
];

/// The same by `TERM`.
const TERMS: &[&str] = &["alacritty", "contour", "foot", "wezterm", "xterm-ghostty", "xterm-kitty"];

/// Variables that only terminals set that open links.
const MARKS: &[&str] = &["DOMTERM", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "WT_SESSION"];

/// The first VTE whose links are sound: 0.50.
const VTE: u32 = 5000;

/// The first tmux that hands links on: 3.4.
const TMUX: (u32, u32) = (3, 4);

/// What relative paths are relative to, and on which host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// The name of the host: a terminal may show files of another one.
    pub host: String,
    /// The root of the pipeline.
    pub root: Utf8PathBuf,
}

impl Links {
    /// The address of a file or folder below the root, or anywhere if the path is absolute.
    fn file(&self, path: &Utf8Path) -> String {
        let path = self.root.join(path).into_string();
        let path = if cfg!(windows) { path.replace('\\', "/") } else { path };
        let slash = if path.starts_with('/') { "" } else { "/" };
        format!("file://{}{slash}{}", percent(&self.host, "-._~", true), percent(&path, "-._~/", true))
    }

    /// The text as a link to a file.
    pub fn to_file(&self, path: &Utf8Path, text: &str) -> String {
        link(&self.file(path), text)
    }
}

/// The text as a link to an address; only the text where that is none of the web.
pub fn to_address(address: &str, text: &str) -> String {
    let is_web = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
    // What is encoded already stays so.
    if is_web { link(&percent(address, "-._~:/?#[]@!$&'()*+,;=%", true), text) } else { text.to_owned() }
}

/// `address` has neither controls nor spaces, so it can't end the sequence that it stands in.
fn link(address: &str, text: &str) -> String {
    format!("\u{1b}]8;;{address}\u{1b}\\{text}\u{1b}]8;;\u{1b}\\")
}

/// Whether the terminal behind a stream opens links, as far as its environment tells. What is no terminal gets none,
/// whatever the environment says: files and pipes have to stay text.
pub fn are_supported(is_terminal: bool, variable: &dyn Fn(&str) -> Option<OsString>) -> bool {
    let text = |name: &str| variable(name).and_then(|value| value.into_string().ok()).unwrap_or_default();
    let term = text("TERM");
    if !is_terminal || term == "dumb" {
        return false;
    }
    if let Some(force) = variable("FORCE_HYPERLINK") {
        return force != "0" && force != "false";
    }
    let program = text("TERM_PROGRAM");
    if program == "tmux" || term.starts_with("tmux") {
        return version(&text("TERM_PROGRAM_VERSION")) >= TMUX;
    }
    // A multiplexer that knows no links stands between; what its terminal has set is inherited.
    if variable("CI").is_some() || term.starts_with("screen") || term == "linux" {
        return false;
    }
    let has = |name: &&str| !text(name).is_empty();
    MARKS.iter().any(has)
        || text("VTE_VERSION").parse().is_ok_and(|version: u32| version >= VTE)
        || PROGRAMS.contains(&program.as_str())
        || TERMS
            .iter()
            .any(|name| term.strip_prefix(name).is_some_and(|r| r.is_empty() || r.starts_with('-')))
}

/// `3.4` of `3.4a`.
fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or_default());
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// Makes the first `word` of a line a link with `link`, if it is there as a whole.
pub(super) fn in_line(line: &str, word: &str, link: impl FnOnce(&str) -> String) -> String {
    let word = plain::line(word);
    match line.split_once(&word) {
        Some((before, after)) if !word.is_empty() => format!("{before}{}{after}", link(&word)),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_the_environment() {
        let table: &[(&str, bool)] = &[
            ("", false),
            ("TERM=xterm-256color", false),
            ("TERM=xterm-256color VTE_VERSION=4999", false),
            ("TERM=xterm-256color VTE_VERSION=7600", true),
            ("TERM=dumb VTE_VERSION=7600", false),
            ("TERM=dumb FORCE_HYPERLINK=1", false),
            ("TERM=xterm FORCE_HYPERLINK=1", true),
            ("TERM=xterm-kitty FORCE_HYPERLINK=0", false),
            ("TERM=xterm-kitty", true),
            ("TERM=foot-extra", true),
            ("TERM=footling", false),
            ("TERM=xterm KITTY_WINDOW_ID=1", true),
            ("TERM=xterm KITTY_WINDOW_ID=", false),
            ("TERM=xterm-256color TERM_PROGRAM=vscode", true),
            ("TERM=xterm-256color TERM_PROGRAM=vscode CI=true", false),
            ("TERM=xterm-256color TERM_PROGRAM=Apple_Terminal", false),
            ("WT_SESSION=1", true),
            ("DOMTERM=1", true),
            ("TERM=screen-256color VTE_VERSION=7600", false),
            ("TERM=screen-256color TERM_PROGRAM=tmux TERM_PROGRAM_VERSION=3.3a VTE_VERSION=7600", false),
            ("TERM=tmux-256color TERM_PROGRAM=tmux TERM_PROGRAM_VERSION=3.5a", true),
            ("TERM=linux KONSOLE_VERSION=1", false),
        ];
        for (env, expected) in table {
            let variable = |name: &str| {
                let pairs = env.split(' ').filter_map(|pair| pair.split_once('='));
                pairs.filter(|(n, _)| *n == name).map(|(_, value)| value.into()).next()
            };
            assert_eq!(are_supported(true, &variable), *expected, "{env}");
            assert!(!are_supported(false, &variable), "{env}");
        }
    }

    #[test]
    fn nothing_breaks_out_of_a_link() {
        let links = Links { host: "a host\u{7}".to_owned(), root: "/r o\u{1b}\\ot".into() };
        let text = links.to_file("l\u{7}og;é%".into(), "log");
        assert_eq!(
            text,
            "\u{1b}]8;;file://a%20host%07/r%20o%1B%5Cot/l%07og%3B%C3%A9%25\u{1b}\\log\u{1b}]8;;\u{1b}\\"
        );
        assert_eq!(plain::line(&text), "log");
        assert_eq!(links.file("/else".into()), "file://a%20host%07/else");
        assert_eq!(
            to_address("https://e.org/a b?c=%20\u{1b}\\d", "x"),
            "\u{1b}]8;;https://e.org/a%20b?c=%20%1B%5Cd\u{1b}\\x\u{1b}]8;;\u{1b}\\"
        );
        for other in ["javascript:x", "ftp://e.org", "OPS-17", ""] {
            assert_eq!(to_address(other, "x"), "x");
        }
    }

    #[test]
    fn a_word_in_a_line() {
        let link = |word: &str| format!("<{word}>");
        assert_eq!(in_line("  log: a/b.log", "a/b.log", link), "  log: <a/b.log>");
        assert_eq!(in_line("  log: a/…", "a/b.log", link), "  log: a/…");
        assert_eq!(in_line("  log:", "", link), "  log:");
    }
}
