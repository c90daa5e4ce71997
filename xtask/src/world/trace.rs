//! What was asked of the outside and what it answered, so that whoever asks the same again can tell whether the answers
//! are the same, without knowing what they were asked for.
//!
//! A trace is complete or worth nothing. It is not complete if something was asked whose answer can't be told without
//! starting or calling something, or a file was read that has changed so recently that it may change again without
//! its times showing it.

use std::collections::HashMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::real::Stamp;
use crate::ids::Digest;

/// Questions with their answers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// By path relative to the root: what was there.
    pub places: HashMap<Utf8PathBuf, Option<Stamp>>,
    /// By pattern: the digest of the paths that it matched.
    pub patterns: HashMap<String, Digest>,
    /// By name of a program: where it was found.
    pub programs: HashMap<String, Option<Utf8PathBuf>>,
    /// By environment variable: the digest of its value.
    pub variables: HashMap<String, Option<Digest>>,
    incomplete: bool,
}

/// Digest of a list of paths.
pub fn digest_of_paths(paths: &[Utf8PathBuf]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for path in paths {
        hasher.update(path.as_str().as_bytes());
        hasher.update(b"\0");
    }
    Digest::from_hasher(&hasher)
}

impl Trace {
    /// Something was asked that can't be asked again for nothing.
    pub fn spoil(&mut self) {
        self.incomplete = true;
    }

    /// What was at a path, first looked at at that time (in nanoseconds since 1970).
    pub fn place(&mut self, path: &Utf8Path, stamp: Option<Stamp>, looked_at: i128) {
        self.incomplete |= stamp.is_some_and(|stamp| !stamp.is_settled(looked_at));
        if let Some(before) = self.places.get(path) {
            self.incomplete |= *before != stamp;
        } else {
            self.places.insert(path.to_owned(), stamp);
        }
    }

    /// True if the same answers mean the same outside.
    pub fn is_complete(&self) -> bool {
        !self.incomplete
    }

    /// As bytes, for a file.
    pub fn write(&self, out: &mut Writer) {
        out.number(self.places.len() as u64);
        for (path, stamp) in &self.places {
            out.text(path.as_str());
            out.optional(stamp.as_ref(), |out, stamp| out.bytes(&stamp.to_bytes()));
        }
        out.number(self.patterns.len() as u64);
        for (pattern, digest) in &self.patterns {
            out.text(pattern);
            out.digest(*digest);
        }
        out.number(self.programs.len() as u64);
        for (program, path) in &self.programs {
            out.text(program);
            out.optional(path.as_ref(), |out, path| out.text(path.as_str()));
        }
        out.number(self.variables.len() as u64);
        for (name, digest) in &self.variables {
            out.text(name);
            out.optional(digest.as_ref(), |out, digest| out.digest(*digest));
        }
    }
}

/// Writes what [`Reader`] reads: numbers as eight bytes, the lowest first; texts with their length before them.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Bytes whose number is known to the reader.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A number.
    pub fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes(text.as_bytes());
    }

    /// A digest.
    pub fn digest(&mut self, digest: Digest) {
        self.bytes(digest.as_bytes());
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bytes(&[u8::from(value.is_some())]);
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// All of it.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads what [`Writer`] wrote, without copying texts. Nothing where there is something else.
#[derive(Debug, Clone)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// So many bytes.
    pub fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    /// A number.
    pub fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    /// A text.
    pub fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.bytes(length)?).ok()
    }

    /// A digest.
    pub fn digest(&mut self) -> Option<Digest> {
        Some(Digest::from_bytes(self.bytes(16)?.try_into().ok()?))
    }

    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.bytes(1)?[0] {
            0 => Some(None),
            _ => read(self).map(Some),
        }
    }
}

/// What answers the questions of a trace now.
pub trait Outside: Sync {
    /// What is at a path.
    fn place(&self, path: &Utf8Path) -> Option<Stamp>;
    /// The digest of the paths that a pattern matches; nothing if that can't be told.
    fn pattern(&self, pattern: &str) -> Option<Digest>;
    /// Where a program is.
    fn program(&self, name: &str) -> Option<Utf8PathBuf>;
    /// The digest of the value of an environment variable.
    fn variable(&self, name: &str) -> Option<Digest>;
}

/// Whether a trace that was written is what the outside answers now. False if it can't be read.
pub fn holds(reader: &mut Reader<'_>, outside: &dyn Outside) -> bool {
    holds_so_far(reader, outside) == Some(true)
}

fn holds_so_far(reader: &mut Reader<'_>, outside: &dyn Outside) -> Option<bool> {
    if !places_hold(reader, outside)? {
        return Some(false);
    }
    for _ in 0..reader.number()? {
        let (pattern, digest) = (reader.text()?, reader.digest()?);
        if outside.pattern(pattern) != Some(digest) {
            return Some(false);
        }
    }
    for _ in 0..reader.number()? {
        let (name, path) = (reader.text()?, reader.optional(Reader::text)?);
        if outside.program(name).as_deref().map(Utf8Path::as_str) != path {
            return Some(false);
        }
    }
    for _ in 0..reader.number()? {
        let (name, digest) = (reader.text()?, reader.optional(Reader::digest)?);
        if outside.variable(name) != digest {
            return Some(false);
        }
    }
    Some(reader.0.is_empty())
}

/// Places are by far the most, so they are looked at on all cores.
fn places_hold(reader: &mut Reader<'_>, outside: &dyn Outside) -> Option<bool> {
    /// So many are looked at in less time than a thread takes to begin.
    const FEW: usize = 500;
    let n = usize::try_from(reader.number()?).ok()?;
    let mut places = Vec::with_capacity(n.min(reader.0.len()));
    for _ in 0..n {
        let path = reader.text()?;
        let stamp =
            reader.optional(|reader| Some(Stamp::from_bytes(reader.bytes(Stamp::SIZE)?.try_into().ok()?)))?;
        places.push((Utf8Path::new(path), stamp));
    }
    let holds =
        |part: &[(&Utf8Path, Option<Stamp>)]| part.iter().all(|(path, stamp)| outside.place(path) == *stamp);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let part = places.len().div_ceil(threads).max(FEW);
    Some(std::thread::scope(|scope| {
        let holds = &holds;
        let mut parts = places.chunks(part);
        let first = parts.next();
        let others: Vec<_> = parts.map(|part| scope.spawn(move || holds(part))).collect();
        let first = first.is_none_or(holds);
        others.into_iter().all(|other| other.join().unwrap_or(false)) && first
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An outside that answers as a trace says.
    struct As<'t>(&'t Trace);

    impl Outside for As<'_> {
        fn place(&self, path: &Utf8Path) -> Option<Stamp> {
            self.0.places.get(path).copied().flatten()
        }
        fn pattern(&self, pattern: &str) -> Option<Digest> {
            self.0.patterns.get(pattern).copied()
        }
        fn program(&self, name: &str) -> Option<Utf8PathBuf> {
            self.0.programs.get(name).cloned().flatten()
        }
        fn variable(&self, name: &str) -> Option<Digest> {
            self.0.variables.get(name).copied().flatten()
        }
    }

    fn written(trace: &Trace) -> Vec<u8> {
        let mut out = Writer::default();
        trace.write(&mut out);
        out.finish()
    }

    fn sample() -> Trace {
        let mut trace = Trace::default();
        trace.place("a".into(), Some(Stamp::of(1)), i128::MAX);
        trace.place("b/c".into(), None, 0);
        trace.patterns.insert("src/**".to_owned(), digest_of_paths(&["src/x".into()]));
        trace.programs.insert("docker".to_owned(), Some("/bin/docker".into()));
        trace.programs.insert("helm".to_owned(), None);
        trace.variables.insert("HOME".to_owned(), Some(Digest::of(b"/root")));
        trace.variables.insert("NONE".to_owned(), None);
        trace
    }

    /// A part of an outside that can be another.
    type Part = fn(&mut Trace);

    #[test]
    fn it_holds_as_long_as_every_answer_is_the_same() {
        let bytes = written(&sample());
        assert!(holds(&mut Reader(&bytes), &As(&sample())));
        let changes: [(&str, Part); 8] = [
            ("another file", |t| {
                t.places.insert("a".into(), Some(Stamp::of(2)));
            }),
            ("a file that is gone", |t| {
                t.places.insert("a".into(), None);
            }),
            ("a file that is new", |t| {
                t.places.insert("b/c".into(), Some(Stamp::of(1)));
            }),
            ("another match", |t| {
                t.patterns.insert("src/**".into(), digest_of_paths(&["src/y".into()]));
            }),
            ("another program", |t| {
                t.programs.insert("docker".into(), Some("/opt/docker".into()));
            }),
            ("a program that is new", |t| {
                t.programs.insert("helm".into(), Some("/bin/helm".into()));
            }),
            ("another value", |t| {
                t.variables.insert("HOME".into(), Some(Digest::of(b"/home")));
            }),
            ("a value that is new", |t| {
                t.variables.insert("NONE".into(), Some(Digest::of(b"")));
            }),
        ];
        for (what, change) in changes {
            let mut other = sample();
            change(&mut other);
            assert!(!holds(&mut Reader(&bytes), &As(&other)), "{what}");
        }
    }

    #[test]
    fn what_was_cut_or_goes_on_does_not_hold() {
        let bytes = written(&sample());
        for end in 0..bytes.len() {
            assert!(!holds(&mut Reader(&bytes[..end]), &As(&sample())), "{end}");
        }
        assert!(!holds(&mut Reader(&[bytes, vec![0]].concat()), &As(&sample())));
    }

    #[test]
    fn many_places_are_all_looked_at() {
        let mut trace = Trace::default();
        for n in 0..5000 {
            trace.place(&Utf8PathBuf::from(format!("{n}")), Some(Stamp::of(n)), i128::MAX);
        }
        let bytes = written(&trace);
        assert!(holds(&mut Reader(&bytes), &As(&trace)));
        for n in [0, 1, 2499, 2500, 4999] {
            let path = Utf8PathBuf::from(format!("{n}"));
            let before = trace.places.insert(path.clone(), None);
            assert!(!holds(&mut Reader(&bytes), &As(&trace)), "{n}");
            trace.places.insert(path, before.flatten());
        }
    }

    #[test]
    fn what_is_too_fresh_or_changes_while_it_is_asked_is_not_complete() {
        let complete = |asked: &[(u64, i128)]| {
            let mut trace = Trace::default();
            asked.iter().for_each(|(n, at)| trace.place("a".into(), Some(Stamp::of(*n)), *at));
            trace.is_complete()
        };
        // The stamp is of 1970.
        assert!(complete(&[(1, 3_000_000_000), (1, 3_000_000_000)]));
        assert!(!complete(&[(1, 1_000_000_000)]));
        assert!(!complete(&[(1, 3_000_000_000), (2, 3_000_000_000)]));
        let mut spoiled = Trace::default();
        spoiled.spoil();
        assert!(!spoiled.is_complete());
    }

    proptest! {
        #[test]
        fn nothing_that_is_read_makes_it_fall(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = holds(&mut Reader(&bytes), &As(&sample()));
        }
    }
}
