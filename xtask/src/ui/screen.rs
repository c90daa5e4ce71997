//! The stream of talk: lines that stay, and below them the live view, which is drawn again and again.
//!
//! Between two drawings the cursor rests at the beginning of the frame, not behind it. A terminal that becomes
//! narrower may break the lines of a frame into more rows, or not; where the cursor is it knows in any case, and
//! everything from there on is ours to clear. Nothing has to be counted that only the terminal knows. The cursor is
//! never hidden, so nobody has to show it again if this process is killed.

use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use super::frame::{Progress, Running, Scene, frame, rows};
use crate::exec::{self, Follow, Lines};
use crate::plain;
use crate::secrets::Secrets;
use crate::view::WIDTH;

/// Between two drawings, and between two looks at a log that is followed.
const TICK: Duration = Duration::from_millis(100);

/// Rows where nobody says how many there are.
const HEIGHT: usize = 24;

/// Something that shows text.
pub trait Terminal: Send {
    /// Columns and rows.
    fn size(&self) -> (usize, usize);
    /// Shows text and obeys the escapes in it.
    fn write(&mut self, text: &str);
}

/// Standard error.
pub(super) struct Stderr;

impl Terminal for Stderr {
    fn size(&self) -> (usize, usize) {
        exec::terminal_size(&std::io::stderr()).unwrap_or((WIDTH, HEIGHT))
    }

    fn write(&mut self, text: &str) {
        // One write, so that what others print does not stand in the middle.
        let mut stream = std::io::stderr().lock();
        let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    }
}

/// The stream, shared by everybody who says something.
#[derive(Clone)]
pub(super) struct Screen {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Something began that is drawn or followed, or all is over.
    began: Condvar,
}

struct State {
    terminal: Box<dyn Terminal>,
    secrets: Secrets,
    is_animated: bool,
    is_colourful: bool,
    tasks: Vec<Task>,
    progress: Option<(Progress, Instant)>,
    doing: Option<(String, Instant)>,
    /// The lines that are drawn, and the size for which.
    drawn: Vec<String>,
    drawn_for: (usize, usize),
    /// The log that is followed just now, with what its lines begin with.
    followed: Option<Followed>,
    ticker: Option<JoinHandle<()>>,
    is_over: bool,
}

struct Task {
    id: String,
    name: String,
    began: Instant,
    log: Utf8PathBuf,
    /// The size of the log when its last line was read.
    size: u64,
    says: String,
}

struct Followed {
    task: String,
    follow: Follow,
    lines: Lines,
    prefix: String,
}

impl Screen {
    pub(super) fn new(
        terminal: Box<dyn Terminal>,
        is_animated: bool,
        is_colourful: bool,
        secrets: Secrets,
    ) -> Self {
        let state = State {
            terminal,
            secrets,
            is_animated,
            is_colourful,
            tasks: Vec::new(),
            progress: None,
            doing: None,
            drawn: Vec::new(),
            drawn_for: (0, 0),
            followed: None,
            ticker: None,
            is_over: false,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), began: Condvar::new() }) }
    }

    /// Columns, if it is a terminal on which something is drawn.
    pub(super) fn columns(&self) -> Option<usize> {
        let state = self.shared.state();
        state.is_animated.then(|| state.terminal.size().0)
    }

    /// Lines that stay.
    pub(super) fn say(&self, lines: &[&str]) {
        self.shared.state().say(lines);
    }

    pub(super) fn begin(&self, total: usize, settled: usize) {
        self.change(|state| {
            let progress = Progress { total, settled, failed: 0, since: Duration::ZERO };
            state.progress = Some((progress, Instant::now()));
        });
    }

    /// Nothing runs any more.
    pub(super) fn end(&self) {
        self.change(|state| {
            state.progress = None;
            state.tasks.clear();
        });
    }

    /// Something is done, or waited for; nothing any more.
    pub(super) fn doing(&self, what: Option<String>) {
        self.change(|state| state.doing = what.map(|what| (what, Instant::now())));
    }

    /// A task runs and writes this log, whose lines are shown if they have something to begin with.
    pub(super) fn started(&self, id: &str, name: String, log: &Utf8Path, prefix: Option<String>) {
        self.change(|state| {
            state.tasks.push(Task {
                id: id.to_owned(),
                name,
                began: Instant::now(),
                log: log.to_owned(),
                size: 0,
                says: String::new(),
            });
            if let Some(prefix) = prefix {
                let follow = Follow::new(log, &state.secrets);
                state.followed =
                    Some(Followed { task: id.to_owned(), follow, lines: Lines::default(), prefix });
            }
        });
    }

    /// It ended. True if its log was shown.
    pub(super) fn over(&self, id: &str, has_failed: bool) -> bool {
        let mut state = self.shared.state();
        let followed = state.followed.take_if(|followed| followed.task == id);
        let is_followed = followed.is_some();
        if let Some(Followed { follow, mut lines, prefix, .. }) = followed {
            let mut shown = Vec::new();
            // A log that can't be read says so where its attempt is told of.
            let _ = follow.rest(&mut |bytes| shown.extend(lines.push(bytes)));
            shown.extend(lines.finish());
            state.show(&prefix, &shown);
        }
        state.tasks.retain(|task| task.id != id);
        if let Some((progress, _)) = &mut state.progress {
            progress.settled += 1;
            progress.failed += usize::from(has_failed);
        }
        state.draw();
        is_followed
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.shared.state();
        change(&mut state);
        state.listen();
        state.draw();
        if state.is_moving() {
            if state.ticker.is_none() {
                let shared = Arc::clone(&self.shared);
                // Without it nothing moves, and all is said all the same.
                state.ticker =
                    thread::Builder::new().name("live view".to_owned()).spawn(move || shared.tick()).ok();
            }
            self.shared.began.notify_all();
        }
    }

    /// Clears what is drawn; nothing is drawn after that.
    pub(super) fn close(&self) {
        let mut state = self.shared.state();
        state.is_over = true;
        state.draw();
        let ticker = state.ticker.take();
        drop(state);
        self.shared.began.notify_all();
        if let Some(ticker) = ticker {
            let _ = ticker.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws while there is something to see.
    fn tick(&self) {
        let mut state = self.state();
        while !state.is_over {
            if state.is_moving() {
                state.follow();
                state.listen();
                state.draw();
                let waited = self.began.wait_timeout_while(state, TICK, |state| !state.is_over);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            } else {
                state = self.began.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl State {
    fn is_moving(&self) -> bool {
        let is_seen = !self.tasks.is_empty() || self.progress.is_some() || self.doing.is_some();
        self.is_animated && is_seen || self.followed.is_some()
    }

    /// Shows what a followed log has more.
    fn follow(&mut self) {
        let Some(mut followed) = self.followed.take() else { return };
        let mut shown = Vec::new();
        let lines = &mut followed.lines;
        let _ = followed.follow.more(&mut |bytes| shown.extend(lines.push(bytes)));
        self.show(&followed.prefix, &shown);
        self.followed = Some(followed);
    }

    /// Says lines of a log.
    fn show(&mut self, prefix: &str, lines: &[String]) {
        let lines: Vec<String> = lines.iter().map(|line| format!("{prefix}{line}")).collect();
        let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
        if !lines.is_empty() {
            self.say(&lines);
        }
    }

    /// Reads the last lines of the logs that have grown, of the tasks that are seen.
    fn listen(&mut self) {
        if !self.is_animated {
            return;
        }
        let seen = rows(self.terminal.size().1);
        for task in self.tasks.iter_mut().take(seen) {
            let size = std::fs::metadata(&task.log).map_or(0, |metadata| metadata.len());
            if size != task.size {
                task.size = size;
                task.says = exec::last_line(&task.log, &self.secrets).unwrap_or_default();
            }
        }
    }

    fn scene(&self) -> Scene {
        let running = |task: &Task| Running {
            name: task.name.clone(),
            since: task.began.elapsed(),
            says: plain::line(&task.says),
        };
        Scene {
            running: self.tasks.iter().map(running).collect(),
            progress: self.progress.map(|(progress, began)| Progress { since: began.elapsed(), ..progress }),
            doing: self.doing.as_ref().map(|(what, began)| (what.clone(), began.elapsed())),
        }
    }

    /// Draws what there is to see, if that or the terminal is not as it was.
    fn draw(&mut self) {
        self.show_with("");
    }

    /// Says lines, and draws below them.
    fn say(&mut self, lines: &[&str]) {
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.show_with(&lines);
    }

    fn show_with(&mut self, said: &str) {
        let size = self.terminal.size();
        let lines = match self.is_animated && !self.is_over {
            // The last column stays free: terminals do not agree on where the cursor is behind it.
            true => frame(&self.scene(), size.0.saturating_sub(1).max(1), size.1, self.is_colourful),
            false => Vec::new(),
        };
        let is_same = lines == self.drawn && (size == self.drawn_for || lines.is_empty());
        if is_same && said.is_empty() {
            return;
        }
        let clear = if self.drawn.is_empty() { "" } else { "\r\u{1b}[J" };
        let text = format!("{clear}{said}{}", drawing(&lines));
        (self.drawn, self.drawn_for) = (lines, size);
        self.terminal.write(&text);
    }
}

/// The lines of a frame from where the cursor is, and back to there. They do not wrap: a terminal may take a character
/// for wider than we do.
fn drawing(lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let up = match lines.len() - 1 {
        0 => String::new(),
        n => format!("\u{1b}[{n}A"),
    };
    format!("\u{1b}[?7l{}\u{1b}[?7h\r{up}", lines.join("\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A terminal that keeps what is written to it.
    #[derive(Clone)]
    struct Paper(Arc<Mutex<(String, (usize, usize))>>);

    impl Terminal for Paper {
        fn size(&self) -> (usize, usize) {
            self.0.lock().unwrap().1
        }
        fn write(&mut self, text: &str) {
            self.0.lock().unwrap().0.push_str(text);
        }
    }

    fn screen(is_animated: bool) -> (Screen, Paper) {
        let paper = Paper(Arc::new(Mutex::new((String::new(), (80, 24)))));
        (Screen::new(Box::new(paper.clone()), is_animated, false, Secrets::default()), paper)
    }

    #[test]
    fn what_is_no_terminal_gets_lines_only() {
        let (folder, log) = log();
        let (screen, paper) = screen(false);
        screen.begin(2, 0);
        screen.doing(Some("waiting".to_owned()));
        screen.started("a", "a A".to_owned(), &log, Some("| ".to_owned()));
        std::fs::write(&log, "one\n\ntwo").unwrap();
        screen.say(&["said"]);
        assert!(screen.over("a", false));
        screen.started("b", "b B".to_owned(), &log, None);
        assert!(!screen.over("b", false));
        screen.end();
        screen.close();
        let mut lines: Vec<String> = paper.0.lock().unwrap().0.lines().map(str::to_owned).collect();
        // What is said meanwhile stands anywhere between the lines of the log.
        lines.retain(|line| line != "said");
        assert_eq!(lines, ["| one", "|", "| two"]);
        drop(folder);
    }

    #[test]
    fn what_does_not_change_is_not_drawn_again() {
        let (_folder, log) = log();
        let (screen, paper) = screen(true);
        let said = |screen: &Screen| {
            screen.shared.state().draw();
            std::mem::take(&mut paper.0.lock().unwrap().0)
        };
        {
            let mut state = screen.shared.state();
            state.tasks.push(Task {
                id: "a".to_owned(),
                name: "a A".to_owned(),
                began: Instant::now() + Duration::from_secs(60),
                log,
                size: 0,
                says: String::new(),
            });
        }
        assert_eq!(said(&screen), "\u{1b}[?7l▸ a A   0 s\u{1b}[?7h\r");
        assert_eq!(said(&screen), "");
        screen.say(&["said"]);
        assert_eq!(said(&screen), "\r\u{1b}[Jsaid\n\u{1b}[?7l▸ a A   0 s\u{1b}[?7h\r");
        paper.0.lock().unwrap().1 = (40, 24);
        assert_eq!(said(&screen), "\r\u{1b}[J\u{1b}[?7l▸ a A   0 s\u{1b}[?7h\r");
        screen.end();
        assert_eq!(said(&screen), "\r\u{1b}[J");
    }

    fn log() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("log")).unwrap();
        (folder, path)
    }
}
