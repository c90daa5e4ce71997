//! An outside made of values: files in memory, programs with scripted answers, a clock that moves when somebody waits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::http::Silence;
use super::{Answer, Ask, Kind, Request, Response, Stamp, World};
use crate::exec::How;
use crate::ids::Digest;
use crate::pipeline::read::Glob;

/// The outside of a test. Built with the methods that take `self`; what happened is asked for afterwards.
#[derive(Debug)]
pub struct Fake {
    root: Utf8PathBuf,
    files: BTreeMap<Utf8PathBuf, Vec<u8>>,
    programs: BTreeSet<String>,
    variables: BTreeMap<String, String>,
    listening: BTreeSet<String>,
    answers: Mutex<Script<Answer>>,
    responses: Mutex<Script<Result<Response, String>>>,
    asked: Mutex<Vec<Ask>>,
    requested: Mutex<Vec<Request>>,
    clock: Mutex<Timestamp>,
    cancel_at: Option<Timestamp>,
}

/// What to say to whom, in order; the last word is repeated.
type Script<T> = BTreeMap<String, VecDeque<T>>;

fn next<T: Clone>(script: &Mutex<Script<T>>, key: &str) -> Option<T> {
    let mut script = script.lock().unwrap();
    let queue = script.get_mut(key)?;
    if queue.len() > 1 { queue.pop_front() } else { queue.front().cloned() }
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            root: "/project".into(),
            files: BTreeMap::new(),
            programs: BTreeSet::new(),
            variables: BTreeMap::new(),
            listening: BTreeSet::new(),
            answers: Mutex::default(),
            responses: Mutex::default(),
            asked: Mutex::default(),
            requested: Mutex::default(),
            clock: Mutex::new(Timestamp::UNIX_EPOCH),
            cancel_at: None,
        }
    }
}

impl Fake {
    /// An empty folder `/project`, no program, no network, the first second of 1970.
    pub fn new() -> Self {
        Self::default()
    }

    /// A file with its content; its folders exist from then on.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.insert(self.place(path), content.as_ref().to_vec());
        self
    }

    /// A program on PATH.
    #[must_use]
    pub fn program(mut self, name: &str) -> Self {
        self.programs.insert(name.to_owned());
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A command that exits with `code` and writes `stdout`; `line` is the words with one blank between. Its
    /// program is on PATH from then on. Said again, it is the next answer to the same command.
    #[must_use]
    pub fn says(self, line: &str, code: i32, stdout: &str) -> Self {
        self.answers(
            line,
            Answer { how: How::Exited(code), stdout: stdout.to_owned(), stderr: String::new() },
        )
    }

    /// The same with a whole answer.
    #[must_use]
    pub fn answers(self, line: &str, answer: Answer) -> Self {
        self.answers.lock().unwrap().entry(line.to_owned()).or_default().push_back(answer);
        let program = line.split(' ').next().unwrap_or_default().to_owned();
        self.program(&program)
    }

    /// The response to a request such as `GET http://127.0.0.1:80/`. Said again, it is the next one.
    #[must_use]
    pub fn responds(self, request: &str, status: u16, body: &str) -> Self {
        self.response(request, Ok(Response { status, headers: Vec::new(), body: body.to_owned() }))
    }

    /// The same with a whole response, or with the reason why there is none.
    #[must_use]
    pub fn response(self, request: &str, response: Result<Response, String>) -> Self {
        self.responses.lock().unwrap().entry(request.to_owned()).or_default().push_back(response);
        self
    }

    /// An address that accepts connections.
    #[must_use]
    pub fn listening(mut self, address: &str) -> Self {
        self.listening.insert(address.to_owned());
        self
    }

    /// The run is cancelled when the clock gets there.
    #[must_use]
    pub fn cancelled_after(mut self, wait: Duration) -> Self {
        self.cancel_at = Some(self.now() + wait);
        self
    }

    /// The commands that were asked, as lines.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|ask| ask.argv.join(" ")).collect()
    }

    /// The commands that were asked, with everything.
    pub fn asks(&self) -> Vec<Ask> {
        self.asked.lock().unwrap().clone()
    }

    /// The requests that were sent.
    pub fn requested(&self) -> Vec<Request> {
        self.requested.lock().unwrap().clone()
    }

    /// How long everybody waited.
    pub fn waited(&self) -> Duration {
        self.now().duration_since(Timestamp::UNIX_EPOCH).unsigned_abs()
    }

    fn place(&self, path: &str) -> Utf8PathBuf {
        let mut clean = Utf8PathBuf::new();
        for part in self.root.join(path).components() {
            match part {
                camino::Utf8Component::CurDir => {}
                camino::Utf8Component::ParentDir => {
                    clean.pop();
                }
                other => clean.push(other),
            }
        }
        clean
    }
}

fn not_found() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "No such file or directory (os error 2)")
}

impl World for Fake {
    fn now(&self) -> Timestamp {
        *self.clock.lock().unwrap()
    }

    fn root(&self) -> &Utf8Path {
        &self.root
    }

    fn read(&self, path: &Utf8Path) -> io::Result<Vec<u8>> {
        let place = self.place(path.as_str());
        match self.kind(path)? {
            Kind::File(_) => Ok(self.files[&place].clone()),
            _ => Err(io::Error::new(io::ErrorKind::IsADirectory, "Is a directory (os error 21)")),
        }
    }

    fn kind(&self, path: &Utf8Path) -> io::Result<Kind> {
        let place = self.place(path.as_str());
        if let Some(content) = self.files.get(&place) {
            return Ok(Kind::File(content.len() as u64));
        }
        let folder = place == self.root || self.files.keys().any(|file| file.starts_with(&place));
        if folder { Ok(Kind::Folder) } else { Err(not_found()) }
    }

    fn stamp(&self, path: &Utf8Path) -> Option<Stamp> {
        self.kind(path).ok().map(|kind| Stamp::of(if let Kind::File(size) = kind { size } else { 0 }))
    }

    fn digest(&self, path: &Utf8Path) -> io::Result<Digest> {
        self.read(path).map(|bytes| Digest::of(&bytes))
    }

    fn files(&self, glob: &Glob) -> io::Result<Vec<Utf8PathBuf>> {
        let inside = self.files.keys().filter_map(|file| file.strip_prefix(&self.root).ok());
        Ok(inside.filter(|file| glob.is_match(file)).map(Utf8Path::to_owned).collect())
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn which(&self, program: &str) -> Option<Utf8PathBuf> {
        self.programs.contains(program).then(|| format!("/bin/{program}").into())
    }

    fn ask(&self, ask: &Ask) -> Answer {
        self.asked.lock().unwrap().push(ask.clone());
        let line = ask.argv.join(" ");
        next(&self.answers, &line).unwrap_or_else(|| Answer {
            how: How::NotStarted(format!("nobody told the test what `{line}` answers")),
            stdout: String::new(),
            stderr: String::new(),
        })
    }

    fn http(&self, request: &Request) -> Result<Response, String> {
        self.requested.lock().unwrap().push(request.clone());
        next(&self.responses, &format!("{} {}", request.method, request.url))
            .unwrap_or_else(|| Err(Silence::Refused.to_string()))
    }

    fn connect(&self, address: &str, _: Duration) -> Result<(), String> {
        if self.listening.contains(address) { Ok(()) } else { Err(Silence::Refused.to_string()) }
    }

    fn pause(&self, duration: Duration) -> bool {
        let mut clock = self.clock.lock().unwrap();
        *clock += duration;
        self.cancel_at.is_none_or(|at| *clock < at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_order_and_the_last_is_repeated() {
        let world = Fake::new().says("docker info", 1, "").says("docker info", 0, "up");
        let ask = |line: &str| {
            let argv = line.split(' ').map(str::to_owned).collect();
            world.ask(&Ask { argv, cwd: "/project".into(), env: Vec::new(), limit: Duration::from_secs(1) })
        };
        assert_eq!(ask("docker info").how, How::Exited(1));
        assert_eq!(ask("docker info").stdout, "up");
        assert_eq!(ask("docker info").stdout, "up");
        assert!(matches!(ask("helm version").how, How::NotStarted(_)));
        assert_eq!(world.asked().len(), 4);
    }

    #[test]
    fn files_make_their_folders() {
        let world = Fake::new().file("a/b.txt", "x");
        assert_eq!(world.kind("a".into()).unwrap(), Kind::Folder);
        assert_eq!(world.kind("a/./b.txt".into()).unwrap(), Kind::File(1));
        assert!(world.kind("c".into()).is_err());
        assert_eq!(world.files(&Glob::new("a/*").unwrap()).unwrap(), ["a/b.txt"]);
    }

    #[test]
    fn waiting_moves_the_clock() {
        let world = Fake::new().cancelled_after(Duration::from_secs(2));
        assert!(world.pause(Duration::from_secs(1)));
        assert!(!world.pause(Duration::from_secs(1)));
        assert_eq!(world.waited(), Duration::from_secs(2));
    }
}
