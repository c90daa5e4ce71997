//! What a person sees while a run goes on: data on stdout, talk on stderr, animation only on a terminal.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Read, Write as _};
use std::sync::OnceLock;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use camino::Utf8Path;
use jiff::Timestamp;

use crate::ci::{self, Service};
use crate::exec::{self, Instance, Lines};
use crate::ledger::event::Failure;
use crate::plain;
use crate::secrets::Secrets;
use crate::view::{self, Links, Look};
use crate::wording;

mod frame;
mod screen;

pub use self::screen::Terminal;
use self::screen::{Screen, Stderr};

/// Longer lines are hard to read, however wide the terminal is.
const WIDEST: usize = 120;

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    #[default]
    Auto,
    /// Also into a pipe.
    Always,
    /// Never.
    Never,
}

impl Colour {
    /// True if a stream gets colour.
    pub fn on(self, terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let unwanted = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
                terminal && !unwanted && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
            }
        }
    }
}

/// Both streams. Whatever is shown passes the mask over secrets here.
pub struct Ui {
    out: Stream,
    err: Stream,
    service: Option<Service>,
    screen: Screen,
    /// What the paths that are shown are relative to, once the pipeline is found.
    links: OnceLock<Links>,
    /// The task whose log is shown while it runs.
    followed: OnceLock<String>,
    secrets: Secrets,
}

/// What one of the two can do.
#[derive(Debug, Clone, Copy)]
struct Stream {
    is_terminal: bool,
    has_colour: bool,
    has_links: bool,
}

impl Stream {
    fn new(is_terminal: bool, colour: Colour) -> Self {
        let has_links = view::links_are_supported(is_terminal, &|name| std::env::var_os(name));
        Self { is_terminal, has_colour: colour.on(is_terminal), has_links }
    }
}

/// The end of a log, to be shown.
pub struct LogEnd<'a> {
    /// Where the log is, relative to the root.
    pub path: &'a Utf8Path,
    /// Its last lines; terminal escapes and controls are taken out.
    pub lines: &'a [String],
    /// When the attempt ended.
    pub at: Timestamp,
}

const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();

impl Ui {
    /// Looks at the streams and decides.
    pub fn new(colour: Colour, ci: ci::Choice) -> Self {
        Self::masking(colour, ci, Secrets::default())
    }

    /// The same streams with other choices.
    #[must_use]
    pub fn again(&self, colour: Colour, ci: ci::Choice) -> Self {
        Self::masking(colour, ci, self.secrets.clone())
    }

    fn masking(colour: Colour, ci: ci::Choice, secrets: Secrets) -> Self {
        let err = Stream::new(std::io::stderr().is_terminal(), colour);
        let is_animated = err.is_terminal
            && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
            && std::env::var_os("CI").is_none()
            && anstyle_query::windows::enable_ansi_colors() != Some(false);
        Self {
            out: Stream::new(std::io::stdout().is_terminal(), colour),
            err,
            service: ci.service(|name| std::env::var_os(name).is_some_and(|value| value == "true")),
            screen: Screen::new(Box::new(Stderr), is_animated, err.has_colour, secrets.clone()),
            links: OnceLock::new(),
            followed: OnceLock::new(),
            secrets,
        }
    }

    /// The live view on some other terminal.
    pub fn on(terminal: Box<dyn Terminal>, secrets: Secrets) -> Self {
        let all = Stream { is_terminal: true, has_colour: true, has_links: true };
        Self {
            out: all,
            err: all,
            service: None,
            screen: Screen::new(terminal, true, true, secrets.clone()),
            links: OnceLock::new(),
            followed: OnceLock::new(),
            secrets,
        }
    }

    /// Paths that are shown are relative to this folder from now on.
    pub fn at(&self, root: &Utf8Path) {
        if self.out.has_links || self.err.has_links {
            let _ = self.links.set(Links { host: Instance::current().host, root: root.to_owned() });
        }
    }

    /// How data may look.
    pub fn look(&self) -> Look<'_> {
        self.look_of(self.out, exec::terminal_size(&std::io::stdout()))
    }

    /// How talk may look.
    pub fn talk_look(&self) -> Look<'_> {
        self.look_of(self.err, exec::terminal_size(&std::io::stderr()))
    }

    /// All that the form of talk depends on: colour, columns, and whether there are links.
    pub fn talk_form(&self) -> (bool, usize, bool) {
        let look = self.talk_look();
        (look.colour, look.width, self.err.has_links)
    }

    fn look_of(&self, stream: Stream, size: Option<(usize, usize)>) -> Look<'_> {
        let width =
            size.filter(|_| stream.is_terminal).map_or(view::WIDTH, |(columns, _)| columns.min(WIDEST));
        Look { colour: stream.has_colour, width, links: self.links.get().filter(|_| stream.has_links) }
    }

    /// Shows the log of this task while it runs. False if it does so already.
    pub fn follow(&self, task: &str) -> bool {
        self.followed.set(task.to_owned()).is_ok()
    }

    /// For a thread that has something to say.
    pub fn talk(&self) -> Talk {
        Talk { screen: self.screen.clone(), secrets: self.secrets.clone() }
    }

    /// What is masked, for whoever learns of more and for other places to write to.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// True if what goes to stdout gets colour.
    pub fn stdout_colour(&self) -> bool {
        self.out.has_colour
    }

    /// True if what goes to stderr gets colour.
    pub fn stderr_colour(&self) -> bool {
        self.err.has_colour
    }

    /// Data of our own, for people or programs.
    pub fn data(&self, text: &str) {
        let Cow::Owned(masked) = self.secrets.mask(text) else { return self.exactly(text) };
        // In JSON only texts are masked: it has to stay JSON, and a port is no secret number.
        match serde_json::from_str::<serde_json::Value>(text) {
            Ok(mut document) if document.is_object() => {
                self.secrets.veil_json(&mut document);
                self.exactly(&plain::json(&format!("{document:#}\n")));
            }
            _ => self.exactly(&masked),
        }
    }

    /// What was masked before, such as a report before it got its form. A reader that went away (`| head`) is no error.
    pub fn exactly(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// The service whose log this is.
    pub fn service(&self) -> Option<Service> {
        self.service
    }

    /// How many lines of a failed task's log are worth showing: more where they fold.
    pub fn log_lines(&self) -> usize {
        if self.service.is_some() { 200 } else { 15 }
    }

    /// A JSON value as data.
    pub fn json(&self, value: &serde_json::Value) {
        self.data(&plain::json(&format!("{value:#}\n")));
    }

    /// What commands have printed, which may be larger than memory, without secrets; see [`Printer`]. A reader that went
    /// away is no error.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn copy(&self, from: &mut dyn Read) -> std::io::Result<()> {
        let mut printer = self.printer();
        let mut buffer = vec![0; 64 << 10];
        let mut mask = self.secrets.redactor().stream();
        loop {
            let n = from.read(&mut buffer)?;
            if n == 0 {
                printer.print(&mask.finish());
                printer.finish();
                return Ok(());
            }
            if !printer.print(&mask.push(&buffer[..n])) {
                return Ok(());
            }
        }
    }

    /// For what commands have printed, piece by piece, without secrets.
    pub fn printer(&self) -> Printer {
        Printer { lines: self.out.is_terminal.then(Lines::default), is_gone: false }
    }

    /// A line of talk.
    pub fn say(&self, line: &str) {
        match self.service {
            Some(Service::Github) => self.obey(&ci::neutral(&self.secrets.mask(line))),
            _ => self.obey(line),
        }
    }

    /// A line of talk that the service obeys, if it is a command.
    pub fn obey(&self, line: &str) {
        self.repeat(&self.secrets.mask(line));
    }

    /// A line that was said before, so that there is nothing in it to mask.
    pub fn repeat(&self, line: &str) {
        self.screen.say(&[line]);
    }

    /// Something odd that is no failure.
    pub fn warn(&self, line: &str) {
        self.say(&format!("{} {line}", self.paint(YELLOW, "warning:")));
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.err.has_colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// Prerequisites are being asked for, until the result is dropped.
    #[must_use]
    pub fn probing(&self, n: usize) -> Doing {
        self.doing(format!("asking for {}", wording::plural(n, "prerequisite")))
    }

    /// Tasks are about to run; so many of them are settled already.
    pub fn begin(&self, total: usize, settled: usize) {
        self.screen.begin(total, settled);
    }

    /// Nothing runs any more.
    pub fn end(&self) {
        self.screen.end();
    }

    /// Nothing runs, and somebody waits for this, until the result is dropped.
    #[must_use]
    pub fn waiting(&self, what: &str) -> Doing {
        self.doing(format!("waiting for {}", self.secrets.mask(what)))
    }

    fn doing(&self, what: String) -> Doing {
        self.screen.doing(Some(what));
        Doing(self.screen.clone())
    }

    /// A task starts, and writes this log.
    pub fn started(&self, id: &str, title: &str, log: &Utf8Path) {
        let name = plain::line(&self.secrets.mask(&format!("{id} {title}")));
        let is_followed = self.followed.get().is_some_and(|task| task == id);
        let prefix = is_followed.then(|| format!("  {} ", self.paint(DIM, "│")));
        if is_followed {
            self.say(&format!("{} {name}", self.paint(DIM, "▸")));
        }
        self.screen.started(id, name, log, prefix);
    }

    /// The line of a task that ended. True if its log has been shown.
    fn line(&self, mark: &str, style: Style, id: &str, title: &str, took: Duration) -> bool {
        let is_shown = self.screen.over(id, style == RED);
        let took = wording::duration(took);
        let name = plain::line(&format!("{id} {title}"));
        let name = match self.screen.columns() {
            Some(columns) => view::fit(&name, columns.saturating_sub(3 + view::width(&took))),
            None => name,
        };
        self.say(&format!("{} {name} {}", self.paint(style, mark), self.paint(DIM, &took)));
        is_shown
    }

    /// A sentence about what was said before it, on as many lines as it needs on a terminal.
    fn sentence(&self, text: &str) {
        let width = self.screen.columns().unwrap_or(usize::MAX);
        view::wrap(text, 2, width).lines().for_each(|line| self.say(line));
    }

    /// A task passed.
    pub fn passed(&self, id: &str, title: &str, took: Duration) {
        let _ = self.line("✓", GREEN, id, title, took);
    }

    /// A task was interrupted.
    pub fn interrupted(&self, id: &str, title: &str, took: Duration) {
        let _ = self.line("⚠", YELLOW, id, title, took);
    }

    /// A task failed: what, how, the last lines of its log, and where the whole log is.
    pub fn failed(&self, id: &str, title: &str, took: Duration, failure: Option<&Failure>, log: &LogEnd<'_>) {
        let is_shown = self.line("✗", RED, id, title, took);
        let lines = if is_shown { &[] } else { log.lines };
        if let Some(failure) = failure {
            // Both quote what commands printed.
            self.sentence(&format!("{}: {}", failure.what, failure.how));
            if let Some(hint) = &failure.hint {
                self.sentence(&format!("hint: {hint}"));
            }
        }
        let ended = log.at.as_second();
        let times = (ended.saturating_sub_unsigned(took.as_secs()), ended);
        let name = log.path.file_stem().unwrap_or(id);
        let fold = self.service.filter(|_| !lines.is_empty());
        let fold = fold.map(|service| ci::fold(service, name, &format!("the end of the log of {id}"), times));
        if let Some((open, _)) = &fold {
            self.obey(open);
        }
        for line in lines {
            self.say(&format!("  {} {line}", self.paint(DIM, "│")));
        }
        if let Some((_, close)) = &fold {
            self.obey(close);
        }
        let line = format!("  {} {}", self.paint(DIM, "log:"), log.path);
        self.say(&self.talk_look().with_file(&line, log.path));
    }
}

impl Drop for Ui {
    fn drop(&mut self) {
        self.screen.close();
    }
}

/// For a thread that has something to say while a run goes on.
pub struct Talk {
    screen: Screen,
    secrets: Secrets,
}

impl Talk {
    /// A line of talk of our own.
    pub fn say(&self, line: &str) {
        self.screen.say(&[&self.secrets.mask(line)]);
    }
}

/// Prints to stdout what commands have printed: on a terminal as text that it does not obey, elsewhere byte for byte.
#[derive(Debug)]
pub struct Printer {
    /// On a terminal.
    lines: Option<Lines>,
    is_gone: bool,
}

impl Printer {
    /// Prints more. False if nobody reads it any more.
    pub fn print(&mut self, bytes: &[u8]) -> bool {
        match &mut self.lines {
            None => self.is_gone |= !Self::write(bytes),
            Some(lines) => {
                for line in lines.push(bytes) {
                    self.is_gone |= !Self::write(format!("{line}\n").as_bytes());
                }
            }
        }
        !self.is_gone
    }

    /// Prints what is left of the last line.
    pub fn finish(mut self) {
        if let Some(line) = self.lines.as_mut().and_then(Lines::finish) {
            Self::write(format!("{line}\n").as_bytes());
        }
    }

    fn write(bytes: &[u8]) -> bool {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).is_ok()
    }
}

/// A line that says what is done or waited for.
pub struct Doing(Screen);

impl Drop for Doing {
    fn drop(&mut self) {
        self.0.doing(None);
    }
}
