//! Masks secrets in text that is kept or shown: logs, evidence, reports, messages.
//!
//! Two kinds of secrets are known. *Declared* values come from the caller and are found in every
//! form in which a tool may print them: as they are, line by line, in base64, percent-encoded, and
//! quoted for JSON, a shell, a pattern or HTML. *Well-known* credentials are found by their shape alone (cloud and forge
//! tokens, private keys, passwords in addresses). Shapes are chosen so that digests, git hashes and
//! key fingerprints are left alone: a mask over those would take the evidence away with the secret.
//!
//! This module is pure. It knows no file, no environment and no task; who declares what is the concern
//! of [`secrets`](crate::secrets).
//!
//! Masking is a function of the text alone: [`Redactor::mask_bytes`] and any sequence of
//! [`Stream::push`] over the same bytes give the same result, however the bytes are cut. It takes time
//! in proportion to the text, whatever the values look like.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use aho_corasick::packed::Searcher;
use regex::bytes::{Regex, RegexBuilder};

/// What is written in place of a secret.
pub const MASK: &str = "***";

/// Declared values of fewer characters are not masked.
///
/// A shorter value ("dev", "1", "yes") is found by chance in every log: masking it would make the
/// log unreadable and, by the places of the gaps, tell what the value is.
pub const SHORTEST: usize = 4;

/// The longest credential without white space, in bytes, that a [`Stream`] sees as a whole.
///
/// A stream keeps back at most this much of an endless line. JSON Web Tokens are the longest that
/// are met in practice and have to fit into an HTTP header, which servers limit to 8 KiB.
const LONGEST_TOKEN: usize = 8 * 1024;

/// The longest private key block, in bytes. The rest of a block that never ends is shown again
/// after so much, or one stray header would hide the rest of a log.
pub const LONGEST_KEY: usize = 16 * 1024;

/// The longest first line of a private key block, in bytes.
const LONGEST_KEY_HEADER: usize = 96;

/// What is recorded in place of a secret with which later values are compared: it tells two values apart but for one
/// pair in 65 536, and next to nothing about a value that can't be guessed in as many tries.
pub fn stand_in(value: &str) -> String {
    let digest = blake3::Hasher::new().update(b"xtask secret\0").update(value.as_bytes()).finalize();
    let [high, low, ..] = digest.as_bytes();
    format!("{MASK}:{high:02x}{low:02x}")
}

/// True for what [`stand_in`] makes.
pub fn is_stand_in(text: &str) -> bool {
    let digits = text.strip_prefix(MASK).and_then(|rest| rest.strip_prefix(':'));
    digits.is_some_and(|digits| {
        digits.len() == 4 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// True if two values are the same, each given as it is or by its stand-in.
pub fn is_same(one: &str, other: &str) -> bool {
    one == other
        || is_stand_in(one) && !is_stand_in(other) && stand_in(other) == one
        || is_stand_in(other) && !is_stand_in(one) && stand_in(one) == other
}

/// Values that configure something and are no secret, although they are long enough to be one.
const COMMON: &[&str] = &[
    "development",
    "production",
    "localhost",
    "disabled",
    "postgres",
    "not-configured",
    "change-me",
    "0.0.0.0:8000",
];

/// A declared value of fewer characters may turn up by chance.
pub const CERTAIN: usize = 8;

/// True if a value can be taken for a secret wherever it turns up: it has at least [`CERTAIN`] characters, and is
/// neither a number nor one of the words that every configuration has.
pub fn is_certain(value: &str) -> bool {
    value.chars().count() >= CERTAIN
        && value.parse::<f64>().is_err()
        && !COMMON.contains(&value.to_lowercase().as_str())
}

/// Credentials that are known by their shape.
///
/// Each alternative begins with fixed bytes, so that the search skips through text that holds none
/// of them; that is why an address is found by its `://` and not by its scheme. Word boundaries keep
/// the letters inside longer hexadecimal or base64 text from being taken for the start of a token.
static WELL_KNOWN: LazyLock<Regex> = LazyLock::new(|| {
    let shapes = [
        // AWS access key ids, permanent and temporary.
        r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ANVA|AIPA)[A-Z2-7]{16}\b",
        // GitHub: personal, OAuth, user, server and refresh tokens; fine-grained tokens.
        r"\bgh[pousr]_[A-Za-z0-9]{36,}\b",
        r"\bgithub_pat_[A-Za-z0-9_]{22,}\b",
        // GitLab, npm, Docker Hub.
        r"\bglpat-[A-Za-z0-9_-]{20,}",
        r"\bnpm_[A-Za-z0-9]{36,}\b",
        r"\bdckr_pat_[A-Za-z0-9_-]{20,}",
        // Slack.
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
        // Google API keys.
        r"\bAIza[A-Za-z0-9_-]{35}",
        // JSON Web Tokens: a header and a payload, both JSON objects, and a signature.
        r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
        // scheme://user:password@host; see `password`.
        r#"://[^\s/?#@:"'<>]*:[^\s/?#"'<>]+@"#,
    ];
    Regex::new(&format!("(?-u){}", shapes.join("|"))).expect("the shapes are valid expressions")
});

/// What the shapes of [`WELL_KNOWN`] and [`KEY_BEGIN`] begin with: all that most texts are ever searched for.
const OPENINGS: [&str; 22] = [
    "AKIA",
    "ASIA",
    "AGPA",
    "AIDA",
    "AROA",
    "ANPA",
    "ANVA",
    "AIPA",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "npm_",
    "dckr_pat_",
    "xox",
    "AIza",
    "eyJ",
    "://",
    "-----BEGIN ",
];

/// As many bytes before a place where a text was cut may belong to the beginning of a credential.
pub const LONGEST_OPENING: usize = 11;

/// False if there is certainly no well-known credential in `text`.
pub fn may_hold_credential(text: &[u8]) -> bool {
    static SEARCHER: LazyLock<Option<Searcher>> = LazyLock::new(|| Searcher::new(OPENINGS));
    // There are machines for which the library has no searcher.
    SEARCHER.as_ref().is_none_or(|searcher| searcher.find(text).is_some())
}

static KEY_BEGIN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?-u)-----BEGIN [A-Z0-9 ]{0,48}PRIVATE KEY(?: BLOCK)?-----").expect("a valid expression")
});

static KEY_END: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?-u)-----END [A-Z0-9 ]{0,48}PRIVATE KEY(?: BLOCK)?-----").expect("a valid expression")
});

/// Masks declared values and well-known credentials.
#[derive(Clone)]
pub struct Redactor {
    declared: Option<Arc<Declared>>,
}

/// All forms of all declared values.
struct Declared {
    /// Forms on one line. They are also found where a line ends inside of them, as base64 is mostly printed.
    on_one_line: Trie,
    /// Forms with line feeds of their own.
    on_several: Trie,
}

impl Redactor {
    /// A redactor for these values and for well-known credentials.
    ///
    /// Values of fewer than [`SHORTEST`] characters are ignored, see there. Lines of a value are
    /// secrets of their own, under the same limit: tools indent, prefix and wrap what they print.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Redactor {
        let mut all = BTreeSet::new();
        for secret in secrets {
            let lines = secret.split(['\n', '\r']).map(str::trim);
            for value in lines.chain([secret.as_str()]).filter(|value| value.chars().count() >= SHORTEST) {
                all.extend(forms(value));
            }
        }
        Redactor { declared: Declared::new(&all).map(Arc::new) }
    }

    /// `text` with every secret replaced by [`MASK`]; borrowed if there is none. Also the beginning of a declared value
    /// and of a well-known credential is masked where the text was cut to fit, which our own texts show by `…`.
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut found = self.secrets(text.as_bytes(), 0, Lines::Any);
        if text.contains(CUT) {
            let shapes =
                CUT_SHAPES.find_iter(text.as_bytes()).map(|shape| shape.start()..shape.end() - CUT.len());
            found.extend(shapes.map(|s| password(text.as_bytes(), &s).unwrap_or(s.start)..s.end));
            if let Some(declared) = &self.declared {
                declared.find_cut(text, &mut found);
            }
            found = merged(found);
        }
        match masked(text.as_bytes(), &found) {
            None => Cow::Borrowed(text),
            // Every form and every shape begins and ends between two characters, so nothing is lost.
            Some(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// The same for bytes that need not be UTF-8 and were not cut.
    pub fn mask_bytes<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        masked(text, &self.secrets(text, 0, Lines::Any)).map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// Whether `text` holds a declared value in any of its forms. Well-known credentials do not
    /// count: this answers "may this be written down", for which only a declared value is certain.
    pub fn holds_secret(&self, text: &str) -> bool {
        self.declared.as_ref().is_some_and(|declared| {
            let mut found = Vec::new();
            declared.find(text.as_bytes(), 0, Lines::Any, &mut found);
            !found.is_empty()
        })
    }

    /// The same masking for text that comes in pieces.
    pub fn stream(&self) -> Stream {
        Stream { redactor: self.clone(), lines: Lines::Any, buffer: Vec::new(), before: 0, covered: 0 }
    }

    /// The same for text that somebody waits for: the end of a line is given out at once, so a value that
    /// is broken over two lines is not found.
    pub fn live_stream(&self) -> Stream {
        Stream { lines: Lines::Whole, ..self.stream() }
    }

    /// The parts of `text`, at or after `from`, that are to be masked: in order, not overlapping.
    fn secrets(&self, text: &[u8], from: usize, lines: Lines) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        if let Some(declared) = &self.declared {
            declared.find(text, from, lines, &mut found);
        }
        if may_hold_credential(&text[from..]) {
            find_well_known(text, from, &mut found);
            find_keys(text, from, &mut found);
        }
        merged(found)
    }

    /// Up to where `text` can be judged without knowing what follows it.
    fn settled(&self, text: &[u8], from: usize, lines: Lines) -> usize {
        let word = word_start(text, text.len(), from);
        let value = self.declared.as_ref().and_then(|declared| declared.unfinished(text, from, lines));
        let key = unfinished_key(text, from);
        // A word is judged as a whole, so that what its end means does not depend on the cut.
        [value, key].into_iter().flatten().map(|at| word_start(text, at, from)).fold(word, usize::min)
    }
}

/// A redactor that knows no declared value, only well-known credentials.
impl Default for Redactor {
    fn default() -> Self {
        Redactor::new([])
    }
}

/// Says how much is masked, not what.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("has_declared", &self.declared.is_some()).finish_non_exhaustive()
    }
}

/// Whether a form may go on after the end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    Any,
    Whole,
}

impl Declared {
    fn new(forms: &BTreeSet<String>) -> Option<Declared> {
        let is_broken = |form: &&String| form.contains(['\n', '\r']);
        (!forms.is_empty()).then(|| Declared {
            on_one_line: Trie::new(forms.iter().filter(|form| !is_broken(form))),
            on_several: Trie::new(forms.iter().filter(is_broken)),
        })
    }

    /// Every occurrence, also one that overlaps another: what is left of the second would otherwise
    /// be shown.
    fn find(&self, text: &[u8], from: usize, lines: Lines, found: &mut Vec<Range<usize>>) {
        self.on_one_line.find(text, from, lines, found);
        self.on_several.find(text, from, Lines::Whole, found);
    }

    /// Where `text` may be in the middle of a value: the first such place.
    fn unfinished(&self, text: &[u8], from: usize, lines: Lines) -> Option<usize> {
        let one = self.on_one_line.unfinished(text, from, lines);
        let several = self.on_several.unfinished(text, from, Lines::Whole);
        one.into_iter().chain(several).min()
    }

    /// Beginnings of values at the places where a text was cut.
    fn find_cut(&self, text: &str, found: &mut Vec<Range<usize>>) {
        for (end, _) in text.match_indices(CUT) {
            let start = self.unfinished(&text.as_bytes()[..end], 0, Lines::Whole);
            let part = start.filter(|start| text[*start..end].chars().count() >= SHORTEST);
            found.extend(part.map(|start| start..end));
        }
    }
}

/// What stands where a text was cut to fit, see [`wording::first_line`](crate::wording::first_line).
const CUT: &str = "…";

/// Beginnings of [`WELL_KNOWN`] credentials before it. An address is cut in its password or after its port: a port has
/// digits only.
static CUT_SHAPES: LazyLock<Regex> = LazyLock::new(|| {
    let shapes = [
        r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ANVA|AIPA|AIza|eyJ)[A-Za-z0-9_.-]{4,}",
        r"\b(?:gh[pousr]_|github_pat_|glpat-|npm_|dckr_pat_|xox[abeoprs]-)[A-Za-z0-9_-]{4,}",
        r#"://[^\s/?#@:"'<>]*:[0-9]*[^\s/?#"'<>0-9\x80-\xff][^\s/?#"'<>\x80-\xff]*"#,
    ];
    Regex::new(&format!("(?-u)(?:{}){CUT}", shapes.join("|"))).expect("the shapes are valid expressions")
});

/// Adds a range, into the last one if they overlap.
fn add(found: &mut Vec<Range<usize>>, range: Range<usize>) {
    match found.last_mut() {
        Some(last) if range.start >= last.start && range.start < last.end => {
            last.end = last.end.max(range.end);
        }
        _ => found.push(range),
    }
}

/// Forms by their common beginnings, as an automaton (Aho and Corasick, 1975): it reads each byte once, however the
/// forms overlap and repeat themselves. After each byte its state is the longest end of the text that a form begins
/// with, so it tells as well what has to be kept back.
///
/// The automata of the regex crate tell only one of several occurrences that overlap, and not what a text may be
/// the beginning of. They are much faster, though, so they look for the places where this one has to start.
struct Trie {
    nodes: Vec<Node>,
    /// Children of the root by their byte.
    first: Box<[u32; 256]>,
    /// Length of the longest form.
    longest: usize,
    /// The first bytes of every form, also with the end of a line in them; nothing if there is no form.
    openings: Option<Regex>,
}

/// The beginning of a form.
struct Node {
    byte: u8,
    /// The first child, and the next child of the same parent; the root if there is none.
    child: u32,
    next: u32,
    /// The longest proper end of this beginning that is one too.
    fail: u32,
    /// Its length, and that of the longest form that ends here; 0 if none does.
    depth: u32,
    whole: u32,
}

const ROOT: u32 = 0;

/// How many bytes of a form are its opening. All forms are at least as long.
const OPENING: usize = 4;

/// How the end of a line is written. Two in a row end a paragraph, and no form goes on after that.
const LINE_ENDS: [&[u8]; 2] = [b"\n", b"\r\n"];

impl Trie {
    fn new<'f>(forms: impl Iterator<Item = &'f String>) -> Trie {
        let root = Node { byte: 0, child: ROOT, next: ROOT, fail: ROOT, depth: 0, whole: 0 };
        let mut trie = Trie { nodes: vec![root], first: Box::new([ROOT; 256]), longest: 0, openings: None };
        let mut openings = BTreeSet::new();
        for form in forms {
            openings.insert(&form.as_bytes()[..OPENING]);
            let end = form.bytes().fold(ROOT, |node, byte| trie.child_or_new(node, byte));
            trie.nodes[end as usize].whole = trie.nodes[end as usize].depth;
            trie.longest = trie.longest.max(form.len());
        }
        // By length: what a node falls back to is shorter than the node.
        let mut queue: VecDeque<u32> = trie.children(ROOT).collect();
        while let Some(node) = queue.pop_front() {
            let fallback = trie.nodes[node as usize].fail;
            for child in trie.children(node).collect::<Vec<_>>() {
                let fail = trie.step(fallback, trie.nodes[child as usize].byte);
                let shorter = trie.nodes[fail as usize].whole;
                let new = &mut trie.nodes[child as usize];
                new.fail = fail;
                new.whole = new.whole.max(shorter);
                queue.push_back(child);
            }
        }
        trie.openings = openings_regex(&openings);
        trie
    }

    fn child_or_new(&mut self, node: u32, byte: u8) -> u32 {
        if let Some(child) = self.child(node, byte) {
            return child;
        }
        let new = u32::try_from(self.nodes.len()).expect("fewer than four billion bytes of secrets");
        let parent = &mut self.nodes[node as usize];
        let next = std::mem::replace(&mut parent.child, new);
        let depth = parent.depth + 1;
        self.nodes.push(Node { byte, child: ROOT, next, fail: ROOT, depth, whole: 0 });
        if node == ROOT {
            self.first[usize::from(byte)] = new;
        }
        new
    }

    fn children(&self, node: u32) -> impl Iterator<Item = u32> {
        let some = |node: u32| (node != ROOT).then_some(node);
        std::iter::successors(some(self.nodes[node as usize].child), move |child| {
            some(self.nodes[*child as usize].next)
        })
    }

    fn child(&self, node: u32, byte: u8) -> Option<u32> {
        if node == ROOT {
            let child = self.first[usize::from(byte)];
            return (child != ROOT).then_some(child);
        }
        self.children(node).find(|child| self.nodes[*child as usize].byte == byte)
    }

    fn step(&self, mut node: u32, byte: u8) -> u32 {
        loop {
            match self.child(node, byte) {
                Some(child) => return child,
                None if node == ROOT => return ROOT,
                None => node = self.nodes[node as usize].fail,
            }
        }
    }

    /// Every place in `text`, from `from` on, at which a form ends: of those that end there the longest.
    fn find(&self, text: &[u8], from: usize, lines: Lines, found: &mut Vec<Range<usize>>) {
        let mut at = from;
        while let Some(opening) = self.openings.as_ref().and_then(|openings| openings.find_at(text, at)) {
            let mut reading = Reading::new(self, lines);
            at = opening.start();
            while at < text.len() {
                let whole = reading.read(text, at);
                at += 1;
                if whole > 0 {
                    add(found, reading.start(at, whole)..at);
                }
                if reading.node == ROOT {
                    break;
                }
            }
        }
    }

    /// Where the longest beginning of a form that is not yet at its end starts, at the end of `text`.
    fn unfinished(&self, text: &[u8], from: usize, lines: Lines) -> Option<usize> {
        let reach = match lines {
            Lines::Any => self.longest * (1 + LINE_ENDS[1].len()),
            Lines::Whole => self.longest,
        };
        let mut reading = Reading::new(self, lines);
        for at in text.len().saturating_sub(reach).max(from)..text.len() {
            reading.read(text, at);
        }
        let node = |at: u32| &self.nodes[at as usize];
        while reading.node != ROOT && node(reading.node).child == ROOT {
            reading.node = node(reading.node).fail;
        }
        let depth = node(reading.node).depth as usize;
        (depth > 0).then(|| reading.start(text.len(), depth))
    }
}

fn openings_regex(openings: &BTreeSet<&[u8]>) -> Option<Regex> {
    let mut patterns = BTreeSet::new();
    for opening in openings {
        let literal = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        patterns.insert(literal(opening));
        for (n, line_end) in (1..OPENING).flat_map(|n| LINE_ENDS.map(|line_end| (n, line_end))) {
            let (head, tail) = opening.split_at(n);
            patterns.insert(literal(&[head, line_end, &tail[..1]].concat()));
        }
    }
    let any = patterns.into_iter().collect::<Vec<_>>().join("|");
    // The default limit is meant for expressions from outside.
    let regex = RegexBuilder::new(&format!("(?s-u){any}")).size_limit(usize::MAX).build();
    (!any.is_empty()).then(|| regex.expect("escaped bytes are a valid expression"))
}

/// A reader in the middle of a text.
struct Reading<'t> {
    trie: &'t Trie,
    lines: Lines,
    node: u32,
    /// Bytes of line ends that may lie in what the node stands for.
    line_ends: Vec<usize>,
}

impl<'t> Reading<'t> {
    fn new(trie: &'t Trie, lines: Lines) -> Self {
        Self { trie, lines, node: ROOT, line_ends: Vec::new() }
    }

    /// Reads a byte; returns the length of the longest form that ends with it, 0 if none does.
    fn read(&mut self, text: &[u8], at: usize) -> usize {
        if self.node != ROOT && self.lines == Lines::Any && matches!(text[at], b'\n' | b'\r') {
            let is_first = self.line_ends.last().is_none_or(|last| *last + 1 < at);
            if is_first || text[at] == b'\n' && text[at - 1] == b'\r' {
                self.line_ends.push(at);
            } else {
                self.go(ROOT);
            }
            return 0;
        }
        if self.line_ends.last().is_some_and(|last| text[*last] == b'\r' && *last + 1 == at) {
            // A carriage return alone ends no line.
            self.go(ROOT);
        }
        self.go(self.trie.step(self.node, text[at]));
        self.trie.nodes[self.node as usize].whole as usize
    }

    fn go(&mut self, node: u32) {
        self.node = node;
        if node == ROOT {
            self.line_ends.clear();
        }
    }

    /// Where the last `n_bytes` before `end` begin, those of line ends not counted.
    fn start(&self, end: usize, n_bytes: usize) -> usize {
        let ends = &self.line_ends;
        // Each line end that lies inside moves the start back by one, so that more of them may lie inside.
        let (mut low, mut high) = (0, ends.len());
        while low < high {
            let middle = low.midpoint(high);
            if ends[middle] + (ends.len() - middle) + n_bytes <= end {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        end - n_bytes - (ends.len() - low)
    }
}

/// Masks text that comes in pieces, in memory that does not grow with it.
///
/// What may be the beginning of a secret is kept back until more is known: as a rule the last word,
/// at most a private key block or the longest declared value.
#[derive(Debug)]
pub struct Stream {
    redactor: Redactor,
    lines: Lines,
    /// Text that is not given out yet, after `before` bytes (none or one) that are, and that tell
    /// whether a word begins here.
    buffer: Vec<u8>,
    before: usize,
    /// The end of a secret in the buffer whose mask has been given out already.
    covered: usize,
}

impl Stream {
    /// Takes the next piece and returns what is certain by now.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.buffer.extend_from_slice(piece);
        let settled = self.redactor.settled(&self.buffer, self.before, self.lines);
        self.give(settled)
    }

    /// From here on masks with another redactor, which knows more.
    pub fn know(&mut self, redactor: Redactor) {
        self.redactor = redactor;
    }

    /// Returns the rest: there is nothing more to come.
    pub fn finish(mut self) -> Vec<u8> {
        self.give(self.buffer.len())
    }

    /// Takes everything before `end` out of the buffer, masked.
    fn give(&mut self, end: usize) -> Vec<u8> {
        if end <= self.before {
            return Vec::new();
        }
        let mut out = Vec::with_capacity(end - self.before);
        let mut at = self.before.max(self.covered).min(end);
        for secret in self.redactor.secrets(&self.buffer, self.before, self.lines) {
            if secret.start >= end {
                break;
            }
            if secret.start >= self.covered {
                out.extend_from_slice(&self.buffer[at..secret.start]);
                out.extend_from_slice(MASK.as_bytes());
            }
            self.covered = self.covered.max(secret.end);
            at = self.covered.min(end);
        }
        out.extend_from_slice(&self.buffer[at..end]);
        self.buffer.drain(..end - 1);
        self.before = 1;
        self.covered = self.covered.saturating_sub(end - 1);
        out
    }
}

/// The start of the word that `at` is in or behind, not before `from` and not further back than the
/// longest token.
fn word_start(text: &[u8], at: usize, from: usize) -> usize {
    let limit = at.saturating_sub(LONGEST_TOKEN).max(from);
    text[limit..at].iter().rposition(|byte| is_space(*byte)).map_or(limit, |space| limit + space + 1)
}

/// White space as `\s` has it; `is_ascii_whitespace` leaves the vertical tab out.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

fn find_well_known(text: &[u8], from: usize, found: &mut Vec<Range<usize>>) {
    let mut at = from;
    while let Some(shape) = WELL_KNOWN.find_at(text, at) {
        let shape_of = shape.range();
        found.push(password(text, &shape_of).map_or(shape_of, |start| start..shape.end() - 1));
        at = shape.end();
    }
}

/// Where the password begins in `://user:password@`, if that is what was found: the rest of an address is worth
/// reading.
fn password(text: &[u8], shape: &Range<usize>) -> Option<usize> {
    let user = text[shape.clone()].strip_prefix(b"://")?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    Some(shape.start + 3 + colon + 1)
}

/// Private key blocks, from header to footer.
fn find_keys(text: &[u8], from: usize, found: &mut Vec<Range<usize>>) {
    let mut at = from;
    while let Some(begin) = KEY_BEGIN.find_at(text, at) {
        at = key_end(text, begin.start()).unwrap_or(text.len());
        found.push(begin.start()..at);
    }
}

/// The end of the block that begins at `begin`; none if it does not end here.
fn key_end(text: &[u8], begin: usize) -> Option<usize> {
    let limit = begin + LONGEST_KEY;
    let block = &text[begin..text.len().min(limit)];
    if let Some(end) = KEY_END.find(block) {
        return Some(begin + end.end());
    }
    // Not inside a character: what follows is shown, and has to be text still.
    (limit..limit + 4).find(|&at| text.get(at).is_some_and(|byte| byte & 0xC0 != 0x80))
}

/// Where `text` may be in the middle of a private key block.
fn unfinished_key(text: &[u8], from: usize) -> Option<usize> {
    if !may_hold_credential(&text[from..]) {
        return None;
    }
    let mut at = from;
    while let Some(begin) = KEY_BEGIN.find_at(text, at) {
        match key_end(text, begin.start()) {
            Some(end) => at = end,
            None => return Some(begin.start()),
        }
    }
    let first = text.len().saturating_sub(LONGEST_KEY_HEADER).max(from);
    (first..text.len()).find(|&at| may_become_header(&text[at..]))
}

fn may_become_header(text: &[u8]) -> bool {
    const OPENING: &[u8] = b"-----BEGIN ";
    match text.strip_prefix(OPENING) {
        Some(rest) => rest.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b' ' | b'-')),
        None => OPENING.starts_with(text),
    }
}

/// `text` with these parts replaced; nothing if there are none.
fn masked(text: &[u8], secrets: &[Range<usize>]) -> Option<Vec<u8>> {
    if secrets.is_empty() {
        return None;
    }
    let mut masked = Vec::with_capacity(text.len());
    let mut at = 0;
    for secret in secrets {
        masked.extend_from_slice(&text[at..secret.start]);
        masked.extend_from_slice(MASK.as_bytes());
        at = secret.end;
    }
    masked.extend_from_slice(&text[at..]);
    Some(masked)
}

fn merged(mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    found.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Every form in which a value may be printed.
fn forms(value: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([value.to_owned()]);
    forms.extend(base64_forms(value.as_bytes()));
    forms.extend(percent_forms(value));
    forms.extend(json_forms(value));
    forms.extend(quoted_forms(value));
    // Three of base64 are cut at both ends and may get short enough to be found by chance.
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// The value in both alphabets of base64, by itself and inside a longer text that is encoded as a
/// whole.
///
/// Base64 turns three bytes into four characters, so inside a longer text the value can lie in three
/// ways. Of each, those characters are taken that the value alone decides, and, in case the text ends
/// with the value, the last one with its padding.
fn base64_forms(value: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    for alphabet in [STANDARD, URL_SAFE] {
        for (n_before, n_undecided) in [(0, 0), (1, 2), (2, 3)] {
            let text = [&[0, 0][..n_before], value].concat();
            let encoded = base64(&text, alphabet);
            let n_decided = text.len() * 8 / 6;
            forms.push(encoded[n_undecided..n_decided].to_owned());
            forms.push(encoded[n_undecided..].to_owned());
            forms.push(format!("{}{}", &encoded[n_undecided..], &"=="[..(3 - text.len() % 3) % 3]));
        }
    }
    forms
}

/// The usual alphabet of base64.
pub const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The one for addresses and file names.
pub const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 without padding. A crate for these lines would be compiled by every user.
pub fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut encoded = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for n in 0..=group.len() {
            encoded.push(char::from(alphabet[(bits >> (18 - 6 * n) & 63) as usize]));
        }
    }
    encoded
}

/// The value as it stands in an address or a form. Encoders differ in the characters they leave as
/// they are; these are the sets of the URL standard, JavaScript, Python and Go.
fn percent_forms(value: &str) -> Vec<String> {
    const KEPT: [&str; 7] =
        ["-_.~", "-_.~/", "-_.", "-_.~!*'()", "-_.~$&+=:@", "-_.~$&+,;=", "-_.~!*'();/?:@&=+$,#"];
    let mut forms = Vec::new();
    for upper in [true, false] {
        forms.extend(KEPT.iter().map(|kept| percent(value, kept, upper)));
        // In forms a space is a plus sign.
        forms.extend(["-_.~", "*-._"].iter().map(|kept| percent(value, kept, upper).replace("%20", "+")));
    }
    forms
}

/// Percent-encoded, but for letters, digits and the characters in `kept`.
pub fn percent(value: &str, kept: &str, upper: bool) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            encoded.push(char::from(byte));
        } else if upper {
            encoded.push_str(&format!("%{byte:02X}"));
        } else {
            encoded.push_str(&format!("%{byte:02x}"));
        }
    }
    encoded
}

/// The value inside a JSON string: plainly, with everything but ASCII escaped, with what is special
/// to HTML escaped (as Go does), with slashes escaped (as PHP does).
fn json_forms(value: &str) -> Vec<String> {
    let quoted = serde_json::Value::from(value).to_string();
    let plain = &quoted[1..quoted.len() - 1];
    let html = plain.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let mut forms = vec![plain.to_owned(), plain.replace('/', "\\/")];
    forms.extend([plain, &html].into_iter().flat_map(|text| [ascii(text, false), ascii(text, true)]));
    forms.push(html);
    forms
}

/// The value inside quotes of a shell or a language, in a pattern, and in HTML or XML, as the usual escapers write it.
fn quoted_forms(value: &str) -> Vec<String> {
    let html = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut forms = vec![value.replace('\'', "'\\''"), value.replace('\\', "\\\\"), regex::escape(value)];
    for (double, single, slash) in [
        ("\"", "'", "/"),
        ("&quot;", "'", "/"),
        ("&quot;", "&#39;", "/"),
        ("&quot;", "&#x27;", "/"),
        ("&quot;", "&#x27;", "&#x2f;"),
        ("&quot;", "&apos;", "/"),
        ("&#34;", "&#39;", "/"),
    ] {
        forms.push(html.replace('"', double).replace('\'', single).replace('/', slash));
    }
    forms
}

fn ascii(text: &str, upper: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            escaped.push_str(&if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") });
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        Redactor::new(secrets.iter().map(|secret| (*secret).to_owned()))
    }

    #[track_caller]
    fn check(secrets: &[&str], text: &str, expected: &str) {
        assert_eq!(redactor(secrets).mask(text), expected);
    }

    fn streamed(mut stream: Stream, pieces: &[&[u8]]) -> Vec<u8> {
        let mut out: Vec<u8> = pieces.iter().flat_map(|piece| stream.push(piece)).collect();
        out.extend(stream.finish());
        out
    }

    #[test]
    fn declared_values_are_masked() {
        check(&["hunter2!"], "password is hunter2!, yes", "password is ***, yes");
        check(&["hunter2!", "hunter2!more"], "hunter2!more", "***");
        check(&["abcdef", "defghi"], "xabcdefghix", "x***x");
        check(&["größe"], "die größe ist", "die *** ist");
    }

    #[test]
    fn short_values_are_ignored() {
        check(&["dev", ""], "dev is dev", "dev is dev");
        check(&["devs"], "devs", "***");
    }

    #[test]
    fn lines_of_a_value_are_masked() {
        check(&["first line\n  second line\nend"], "| second line |", "| *** |");
        check(&["token-1234\n"], "token-1234", "***");
    }

    #[test]
    fn base64_is_masked_at_every_alignment() {
        // printf '%s' "${before}s3cr3t-value${after}" | base64; bits that a neighbour shares stay.
        check(&["s3cr3t-value"], "czNjcjN0LXZhbHVl", "***");
        check(&["s3cr3t-value"], "dXNlcjpzM2NyM3QtdmFsdWU=", "dXNlcjp***");
        check(&["s3cr3t-value"], "eHM6czNjcjN0LXZhbHVlCg==", "eHM6***Cg==");
        check(&["s3cr3t-value"], "eHg6eHMzY3IzdC12YWx1ZSEh", "eHg6eH***SEh");
        let value = "\u{fb}\u{ff}\u{fe}??>>~~";
        let standard =
            base64(value.as_bytes(), b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
        assert!(standard.contains(['+', '/']), "{standard}");
        check(&[value], &standard, "***");
        check(&[value], &standard.replace('+', "-").replace('/', "_"), "***");
    }

    #[test]
    fn encoded_values_are_masked() {
        check(&["p@ss w/rd&1"], "p%40ss%20w%2Frd%261 p%40ss+w%2frd%261", "*** ***");
        check(&["p@ss w/rd&1"], "p%40ss%20w/rd%261", "***");
        check(&["say \"<hi>\" & go"], r#"{"x":"say \"<hi>\" & go"}"#, r#"{"x":"***"}"#);
        check(&["say \"<hi>\" & go"], r#"say \"\u003chi\u003e\" \u0026 go"#, "***");
        check(&["clé😀s"], r"cl\u00e9\ud83d\ude00s cl\u00E9\uD83D\uDE00s", "*** ***");
        check(&["line one\nline two"], r"line one\nline two", "***");
        check(
            &["it's <b>&/x"],
            r"'it'\''s <b>&/x' it&#x27;s &lt;b&gt;&amp;&#x2f;x it&#39;s &lt;b&gt;&amp;/x",
            "'***' *** ***",
        );
        check(&["1+1=2? (yes)"], r"1\+1=2\? \(yes\)", "***");
    }

    #[test]
    fn well_known_credentials_are_masked() {
        let none: &[&str] = &[];
        check(none, "id=AKIAIOSFODNN7EXAMPLE.", "id=***.");
        check(none, &format!("ghp_{}!", "a1B2".repeat(9)), "***!");
        check(none, &format!("github_pat_{}", "a1_B".repeat(20)), "***");
        check(none, &format!("xoxb-{}", "123456-".repeat(3)), "***");
        check(none, &format!("key={}", "AIza".to_owned() + &"b".repeat(35)), "key=***");
        check(none, "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92", "Bearer ***");
        check(none, "postgres://app:pa:ss@word@db:5432/x", "postgres://app:***@db:5432/x");
        check(none, "redis://:pw@cache", "redis://:***@cache");
        check(
            none,
            "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb",
            "a\n***\nb",
        );
    }

    #[test]
    fn openings_are_as_long_as_is_said() {
        assert_eq!(OPENINGS.iter().map(|opening| opening.len()).max(), Some(LONGEST_OPENING));
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        let text = "GPG_KEY=A035C8C19219BA821ECEA86B64E628F8D684696D \
                    commit f2d3ce0bd5f5c4b1a2e3d4c5b6a7980123456789 \
                    sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 \
                    http://127.0.0.1:8000/health?x=a@b git@github.com:owner/name.git xAKIAIOSFODNN7EXAMPLE \
                    -----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE----- ***";
        assert!(
            matches!(Redactor::default().mask(text), Cow::Borrowed(_)),
            "{}",
            Redactor::default().mask(text)
        );
    }

    #[test]
    fn a_key_without_an_end_hides_a_bounded_part() {
        let text = format!("-----BEGIN PRIVATE KEY-----\n{}", "é\n".repeat(LONGEST_KEY));
        let masked = Redactor::default().mask(&text).into_owned();
        assert!(masked.starts_with(MASK) && masked.len() > text.len() - LONGEST_KEY - 8);
        assert!(!masked.contains('\u{fffd}'));
    }

    #[test]
    fn holds_secret_asks_for_declared_values_only() {
        let redactor = redactor(&["s3cr3t-value"]);
        assert!(redactor.holds_secret("x s3cr3t-value"));
        assert!(redactor.holds_secret("czNjcjN0LXZhbHVl"));
        assert!(!redactor.holds_secret("AKIAIOSFODNN7EXAMPLE"));
    }

    #[test]
    fn a_stream_gives_whole_lines_at_once() {
        let mut stream = redactor(&["s3cr3t-value"]).live_stream();
        assert_eq!(stream.push(b"step 1 of 3\nstep"), b"step 1 of 3\n");
        assert_eq!(stream.push(b" 2 s3cr3t-"), b"step 2 ");
        assert_eq!(stream.push(b"value x\n"), b"*** x\n");
        assert_eq!(stream.push(b"is\n"), b"is\n");
        assert_eq!(stream.finish(), b"");
    }

    #[test]
    fn a_stream_may_learn() {
        let mut stream = Redactor::default().stream();
        assert_eq!(stream.push(b"s3cr3t-value s3cr3t-"), b"s3cr3t-value ");
        stream.know(redactor(&["s3cr3t-value"]));
        assert_eq!(stream.push(b"value "), b"*** ");
    }

    #[test]
    fn values_are_found_across_the_ends_of_lines() {
        // printf 'user:%s' 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef | base64
        let secret = "0123456789abcdef".repeat(4);
        let text = "x\ndXNlcjowMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIz\nNDU2Nzg5YWJjZGVm\ny";
        check(&[&secret], text, "x\ndXNlcjo***\ny");
        check(&[&secret], &text.replace('\n', "\r\n"), "x\r\ndXNlcjo***\r\ny");
        check(&["s3cr3t-value"], "s3c\nr3t-value s\n3cr3t-value", "*** ***");
        check(&["s3cr3t-value"], "s3cr3t-\n\nvalue s3cr3t-\rvalue", "s3cr3t-\n\nvalue s3cr3t-\rvalue");
        check(&["first\nsecond"], "a first\nsecond b", "a *** b");
    }

    #[test]
    fn a_value_that_was_cut_is_masked_as_far_as_it_goes() {
        check(&["s3cr3t-value"], "found `s3cr3t-va…`", "found `***…`");
        check(&["s3cr3t-value"], "found `s3cr3t-value…` s3c…", "found `***…` s3c…");
        check(&["s3cr3t-value"], "czNjcjN0LX…", "***…");
        check(&["größe-1"], "grö… größ…", "grö… ***…");
        let none: &[&str] = &[];
        check(none, "id=AKIAIOSFODN… ghp_a1B2a1… glpat-abcd…", "id=***… ***… ***…");
        check(
            none,
            "at redis://app:12pass… http://127.0.0.1:80… http://a:8000/pass…",
            "at redis://app:***… http://127.0.0.1:80… http://a:8000/pass…",
        );
    }

    /// Before, every position of such a text was compared with the whole value: this took minutes. It takes some
    /// 30 ms for each megabyte.
    #[test]
    fn a_value_that_repeats_itself_takes_no_longer() {
        let redactor = redactor(&[&"a".repeat(4000)]);
        assert_eq!(redactor.mask(&"a".repeat(1 << 20)), MASK);
        let almost = format!("{}b", "a".repeat(3999)).repeat(200);
        assert_eq!(redactor.mask(&almost), almost);
        assert_eq!(redactor.mask(&format!("{}\n", "a".repeat(76)).repeat(10_000)), "***\n");
    }

    #[test]
    fn a_stream_keeps_back_a_bounded_part_of_an_endless_line() {
        let redactor = redactor(&["s3cr3t-value"]);
        let mut stream = redactor.stream();
        let mut n_out = 0;
        for n in 1..=200 {
            n_out += stream.push(&[b'x'; 1000]).len();
            assert!(n * 1000 - n_out <= LONGEST_TOKEN, "{}", n * 1000 - n_out);
        }
    }

    #[test]
    fn a_stand_in_tells_values_apart_and_not_what_they_are() {
        let one = stand_in("s3cr3t-value");
        assert!(
            is_stand_in(&one) && !is_stand_in("***") && !is_stand_in("***:12345") && !is_stand_in("***:12G4")
        );
        assert_eq!(one.len(), MASK.len() + 5);
        for (a, b, same) in [
            (one.as_str(), one.as_str(), true),
            (&one, "s3cr3t-value", true),
            ("s3cr3t-value", &one, true),
            (&one, "another", false),
            ("a", "a", true),
            ("a", "b", false),
            (&one, &stand_in("another"), false),
        ] {
            assert_eq!(is_same(a, b), same, "{a} {b}");
        }
    }

    #[test]
    fn only_long_and_uncommon_values_are_certain() {
        for (value, certain) in [
            ("s3cr3t-v", true),
            ("s3cr3t", false),
            ("Production", false),
            ("12345678", false),
            ("größe-12", true),
        ] {
            assert_eq!(is_certain(value), certain, "{value}");
        }
    }

    #[test]
    fn debug_does_not_tell() {
        assert!(!format!("{:?}", redactor(&["s3cr3t-value"])).contains("s3cr3t"));
    }

    /// Text as it may be met: words, secrets in several forms, credentials, all side by side.
    fn text(secrets: &[String]) -> impl Strategy<Value = Vec<u8>> + use<> {
        let mut parts: Vec<Vec<u8>> = secrets.iter().flat_map(|s| forms(s)).map(String::into_bytes).collect();
        for fixed in [
            " ",
            "\n",
            "x",
            "AKIA",
            "AKIAIOSFODNN7EXAMPLE",
            "://",
            "u:",
            "p@",
            "-",
            "-----",
            "BEGIN ",
            "\u{e9}",
            "-----BEGIN PRIVATE KEY-----",
            "-----END PRIVATE KEY-----",
            "eyJhbGciOiJI.eyJzdWIiOiIx.",
            "PRIVATE KEY",
        ] {
            parts.push(fixed.into());
        }
        let part = prop_oneof![
            4 => proptest::sample::select(parts.clone()),
            2 => (proptest::sample::select(parts), any::<proptest::sample::Index>())
                .prop_map(|(part, at)| part[..at.index(part.len() + 1)].to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..8),
        ];
        proptest::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
    }

    /// An asterisk is left out: a mask beside the rest of such a secret could spell it again.
    fn secrets() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec("[ab]{4,6}|[a-z&/ \"é\n]{4,12}|[!-)+-~]{4,20}", 1..4)
    }

    fn cuts() -> impl Strategy<Value = Vec<usize>> {
        proptest::collection::vec(prop_oneof![Just(1), 1..40_usize], 1..20)
    }

    fn cut<'a>(text: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        let mut rest = text;
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(rest.len().min(*size));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }

    fn contains(text: &[u8], part: &[u8]) -> bool {
        text.windows(part.len()).any(|window| window == part)
    }

    proptest! {
        #[test]
        fn no_secret_comes_through_however_the_stream_is_cut(
            (secrets, text) in secrets().prop_flat_map(|s| (Just(s.clone()), text(&s))),
            sizes in cuts(),
        ) {
            let redactor = Redactor::new(secrets.clone());
            let masked = streamed(redactor.stream(), &cut(&text, &sizes));
            let live = streamed(redactor.live_stream(), &cut(&text, &sizes));
            let whole = redactor.mask_bytes(&text);
            prop_assert_eq!(String::from_utf8_lossy(&masked), String::from_utf8_lossy(&whole));
            for secret in secrets {
                for form in forms(&secret) {
                    prop_assert!(!contains(&masked, form.as_bytes()), "`{}` came through", form);
                    prop_assert!(!contains(&live, form.as_bytes()), "`{}` came through", form);
                }
            }
        }

        #[test]
        fn forms_are_found_as_a_naive_search_finds_them(
            forms in proptest::collection::btree_set("[ab]{4,7}|[ab\n]{4,5}", 1..6),
            text in "[ab\n]{0,60}",
        ) {
            let mut naive = Vec::new();
            for form in &forms {
                let ends = |at: &usize| text[*at..].starts_with(form.as_str());
                naive.extend((0..text.len()).filter(ends).map(|at| at..at + form.len()));
            }
            let declared = Declared::new(&forms).unwrap();
            let mut found = Vec::new();
            declared.find(text.as_bytes(), 0, Lines::Whole, &mut found);
            prop_assert_eq!(merged(found), merged(naive));
            let begins = |at: &usize| forms.iter().any(|f| f.len() > text.len() - at && f.starts_with(&text[*at..]));
            let unfinished = (0..text.len()).find(begins);
            prop_assert_eq!(declared.unfinished(text.as_bytes(), 0, Lines::Whole), unfinished);
        }

        #[test]
        fn text_without_secrets_is_unchanged(
            secrets in secrets(),
            text in "[A-Z0-9a-z .:/@=\n-]{0,200}",
            sizes in cuts(),
        ) {
            let redactor = Redactor::new(secrets.clone());
            let on_one_line = text.replace('\n', "");
            let clean = secrets.iter().flat_map(|s| s.split('\n').map(str::trim).chain([s.as_str()]))
                .filter(|value| value.chars().count() >= SHORTEST)
                .all(|value| forms(value).iter().all(|form| !text.contains(form) && !on_one_line.contains(form)));
            prop_assume!(clean && !text.contains("://"));
            prop_assert_eq!(&*redactor.mask(&text), &text);
            prop_assert_eq!(streamed(redactor.stream(), &cut(text.as_bytes(), &sizes)), text.as_bytes());
        }

        #[test]
        fn a_secret_is_found_inside_any_encoded_text(before in "[ -~]{0,5}", after in "[ -~]{0,5}") {
            let secret = "tr0ub4dor&3";
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let encoded = base64(format!("{before}{secret}{after}").as_bytes(), alphabet);
            prop_assert!(redactor(&[secret]).holds_secret(&encoded), "{}", encoded);
        }
    }
}
