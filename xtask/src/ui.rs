//! What a person sees while a run goes on: data on stdout, talk on stderr, animation only on a terminal.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{IsTerminal as _, Read, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use camino::Utf8Path;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use jiff::Timestamp;

use crate::ci::{self, Service};
use crate::ledger::event::Failure;
use crate::plain;
use crate::secrets::Secrets;
use crate::wording;

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
    colour: bool,
    stdout_colour: bool,
    service: Option<Service>,
    live: Option<Live>,
    secrets: Secrets,
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

struct Live {
    multi: MultiProgress,
    bar: ProgressBar,
    running: Mutex<HashMap<String, ProgressBar>>,
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
        let terminal = std::io::stderr().is_terminal();
        let animated = terminal
            && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
            && std::env::var_os("CI").is_none();
        Self {
            colour: colour.on(terminal),
            stdout_colour: colour.on(std::io::stdout().is_terminal()),
            service: ci.service(|name| std::env::var_os(name).is_some_and(|value| value == "true")),
            live: animated.then(|| Live::new(ProgressDrawTarget::stderr_with_hz(10))),
            secrets,
        }
    }

    /// The live view on some other terminal.
    pub fn on(terminal: Box<dyn TermLike>, secrets: Secrets) -> Self {
        let live = Live::new(ProgressDrawTarget::term_like(terminal));
        Self { colour: true, stdout_colour: true, service: None, live: Some(live), secrets }
    }

    /// What is masked, for whoever learns of more and for other places to write to.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// True if what goes to stdout gets colour.
    pub fn stdout_colour(&self) -> bool {
        self.stdout_colour
    }

    /// True if what goes to stderr gets colour.
    pub fn stderr_colour(&self) -> bool {
        self.colour
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

    /// Data that may be larger than memory, byte for byte but for secrets. A reader that went away is no error.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn copy(&self, from: &mut dyn Read) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        let mut buffer = vec![0; 64 << 10];
        let mut mask = self.secrets.redactor().stream();
        loop {
            let n = from.read(&mut buffer)?;
            if n == 0 {
                let _ = out.write_all(&mask.finish()).and_then(|()| out.flush());
                return Ok(());
            }
            if out.write_all(&mask.push(&buffer[..n])).is_err() {
                return Ok(());
            }
        }
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
        match &self.live {
            Some(live) => {
                let _ = live.multi.println(line);
            }
            None => {
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        }
    }

    /// Something odd that is no failure.
    pub fn warn(&self, line: &str) {
        self.say(&format!("{} {line}", self.paint(YELLOW, "warning:")));
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// Prerequisites are being asked for.
    pub fn probing(&self, n: usize) {
        if let Some(live) = &self.live {
            live.bar.set_message(format!("asking for {}", wording::plural(n, "prerequisite")));
        }
    }

    /// Tasks are about to run; so many of them are settled already.
    pub fn begin(&self, total: usize, settled: usize) {
        if let Some(live) = &self.live {
            // It was cleared at the end of an earlier pass.
            live.bar.reset();
            live.bar.set_length(total as u64);
            live.bar.set_position(settled as u64);
            live.bar.set_message("");
            live.bar.enable_steady_tick(Duration::from_millis(200));
        }
    }

    /// Nothing runs any more.
    pub fn end(&self) {
        if let Some(live) = &self.live {
            live.bar.finish_and_clear();
        }
    }

    /// Nothing runs, and somebody waits for this, until the result is dropped.
    #[must_use]
    pub fn waiting(&self, what: &str) -> Waiting {
        Waiting(self.live.as_ref().map(|live| {
            let bar = live.multi.add(ProgressBar::new_spinner());
            bar.set_style(Live::style("{spinner} {msg} {elapsed}"));
            bar.set_message(format!("waiting for {}", wording::first_line(&self.secrets.mask(what), 60)));
            // Often enough for the seconds.
            bar.enable_steady_tick(Duration::from_secs(1));
            bar
        }))
    }

    /// A task starts.
    pub fn started(&self, id: &str, title: &str) {
        let Some(live) = &self.live else { return };
        let bar = live.multi.insert_before(&live.bar, ProgressBar::new_spinner());
        bar.set_style(Live::style("{spinner} {msg} {elapsed}"));
        let [id_shown, title] = [id, title].map(|text| self.secrets.mask(text));
        bar.set_message(format!("{id_shown} {}", wording::first_line(&title, 60)));
        bar.enable_steady_tick(Duration::from_millis(200));
        live.running().insert(id.to_owned(), bar);
    }

    fn over(&self, id: &str) {
        if let Some(live) = &self.live {
            if let Some(bar) = live.running().remove(id) {
                bar.finish_and_clear();
                live.multi.remove(&bar);
            }
            live.bar.inc(1);
        }
    }

    fn line(&self, mark: &str, style: Style, id: &str, title: &str, took: Duration) {
        self.over(id);
        let took = self.paint(DIM, &wording::duration(took));
        self.say(&format!("{} {id} {title} {took}", self.paint(style, mark)));
    }

    /// A task passed.
    pub fn passed(&self, id: &str, title: &str, took: Duration) {
        self.line("✓", GREEN, id, title, took);
    }

    /// A task was interrupted.
    pub fn interrupted(&self, id: &str, title: &str, took: Duration) {
        self.line("⚠", YELLOW, id, title, took);
    }

    /// A task failed: what, how, the last lines of its log, and where the whole log is.
    pub fn failed(&self, id: &str, title: &str, took: Duration, failure: Option<&Failure>, log: &LogEnd<'_>) {
        self.line("✗", RED, id, title, took);
        if let Some(failure) = failure {
            // Both quote what commands printed.
            self.say(&format!("  {}: {}", plain::line(&failure.what), plain::line(&failure.how)));
            if let Some(hint) = &failure.hint {
                self.say(&format!("  hint: {}", plain::line(hint)));
            }
        }
        let ended = log.at.as_second();
        let times = (ended.saturating_sub_unsigned(took.as_secs()), ended);
        let name = log.path.file_stem().unwrap_or(id);
        let fold = self.service.filter(|_| !log.lines.is_empty());
        let fold = fold.map(|service| ci::fold(service, name, &format!("the end of the log of {id}"), times));
        if let Some((open, _)) = &fold {
            self.obey(open);
        }
        for line in log.lines {
            self.say(&format!("  {} {line}", self.paint(DIM, "│")));
        }
        if let Some((_, close)) = &fold {
            self.obey(close);
        }
        self.say(&format!("  {} {}", self.paint(DIM, "log:"), log.path));
    }
}

/// A line that says what is waited for.
pub struct Waiting(Option<ProgressBar>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Live {
    fn new(target: ProgressDrawTarget) -> Self {
        let multi = MultiProgress::with_draw_target(target);
        let bar = multi.add(ProgressBar::new(0));
        bar.set_style(Self::style("[{bar:30}] {pos}/{len} {elapsed} {msg}"));
        Self { multi, bar, running: Mutex::default() }
    }

    fn style(template: &str) -> ProgressStyle {
        ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("█▒ ")
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<String, ProgressBar>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
