//! Masks secrets in text that is kept or shown: logs, evidence, reports, messages.
//!
//! Two kinds of secrets are known. *Declared* values come from the caller and are found in every
//! form in which a tool may print them: as they are, line by line, in base64, percent-encoded and
//! escaped for JSON. *Well-known* credentials are found by their shape alone (cloud and forge
//! tokens, private keys, passwords in addresses). Shapes are chosen so that digests, git hashes and
//! key fingerprints are left alone: a mask over those would take the evidence away with the secret.
//!
//! This module is pure. It knows no file, no environment and no task.
//!
//! Masking is a function of the text alone: [`Redactor::mask_bytes`] and any sequence of
//! [`Stream::push`] over the same bytes give the same result, however the bytes are cut.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

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
const LONGEST_KEY: usize = 16 * 1024;

/// The longest first line of a private key block, in bytes.
const LONGEST_KEY_HEADER: usize = 96;

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
    /// Any of the forms, the longest first: of two that begin together the longer one is masked.
    any: Regex,
    /// The same forms by their first byte, to tell whether text ends in the beginning of one.
    by_first: Vec<Vec<Box<[u8]>>>,
    longest: usize,
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

    /// `text` with every secret replaced by [`MASK`]; borrowed if there is none.
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.mask_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            // Every form and every shape begins and ends between two characters, so nothing is lost.
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// The same for bytes that need not be UTF-8.
    pub fn mask_bytes<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let secrets = self.secrets(text, 0);
        if secrets.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut masked = Vec::with_capacity(text.len());
        let mut at = 0;
        for secret in secrets {
            masked.extend_from_slice(&text[at..secret.start]);
            masked.extend_from_slice(MASK.as_bytes());
            at = secret.end;
        }
        masked.extend_from_slice(&text[at..]);
        Cow::Owned(masked)
    }

    /// Whether `text` holds a declared value in any of its forms. Well-known credentials do not
    /// count: this answers "may this be written down", for which only a declared value is certain.
    pub fn holds_secret(&self, text: &str) -> bool {
        self.declared.as_ref().is_some_and(|declared| declared.any.is_match(text.as_bytes()))
    }

    /// The same masking for text that comes in pieces.
    pub fn stream(&self) -> Stream {
        Stream { redactor: self.clone(), buffer: Vec::new(), before: 0, covered: 0 }
    }

    /// The parts of `text`, at or after `from`, that are to be masked: in order, not overlapping.
    fn secrets(&self, text: &[u8], from: usize) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        if let Some(declared) = &self.declared {
            declared.find(text, from, &mut found);
        }
        find_well_known(text, from, &mut found);
        find_keys(text, from, &mut found);
        merged(found)
    }

    /// Up to where `text` can be judged without knowing what follows it.
    fn settled(&self, text: &[u8], from: usize) -> usize {
        let word = word_start(text, text.len(), from);
        let value = self.declared.as_ref().and_then(|declared| declared.unfinished(text, from));
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
        let n_forms = self.declared.as_ref().map_or(0, |d| d.by_first.iter().map(Vec::len).sum());
        f.debug_struct("Redactor").field("n_forms", &n_forms).finish_non_exhaustive()
    }
}

impl Declared {
    fn new(forms: &BTreeSet<String>) -> Option<Declared> {
        let mut longest_first: Vec<&str> = forms.iter().map(String::as_str).collect();
        longest_first.sort_by_key(|form| std::cmp::Reverse(form.len()));
        let longest = longest_first.first()?.len();
        let pattern = longest_first.iter().map(|form| regex::escape(form)).collect::<Vec<_>>().join("|");
        // The default limit is meant for expressions from outside; these are literals of our own, and
        // a certificate with its forms is large.
        let any = RegexBuilder::new(&pattern)
            .size_limit(usize::MAX)
            .build()
            .expect("escaped text is a valid expression");
        let mut by_first = vec![Vec::new(); 256];
        for form in longest_first {
            by_first[usize::from(form.as_bytes()[0])].push(form.as_bytes().into());
        }
        Some(Declared { any, by_first, longest })
    }

    /// Every occurrence, also one that overlaps another: what is left of the second would otherwise
    /// be shown.
    fn find(&self, text: &[u8], from: usize, found: &mut Vec<Range<usize>>) {
        let mut at = from;
        while let Some(secret) = self.any.find_at(text, at) {
            found.push(secret.range());
            at = secret.start() + 1;
        }
    }

    /// Where `text` may be in the middle of a value: the first such place.
    fn unfinished(&self, text: &[u8], from: usize) -> Option<usize> {
        let first = text.len().saturating_sub(self.longest - 1).max(from);
        (first..text.len()).find(|&at| {
            let rest = &text[at..];
            self.by_first[usize::from(rest[0])]
                .iter()
                .any(|form| form.len() > rest.len() && form.starts_with(rest))
        })
    }
}

/// Masks text that comes in pieces, in memory that does not grow with it.
///
/// What may be the beginning of a secret is kept back until more is known: as a rule the last word,
/// at most a private key block or the longest declared value.
#[derive(Debug)]
pub struct Stream {
    redactor: Redactor,
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
        let settled = self.redactor.settled(&self.buffer, self.before);
        self.give(settled)
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
        for secret in self.redactor.secrets(&self.buffer, self.before) {
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
        found.push(password(text, shape.range()).unwrap_or(shape.range()));
        at = shape.end();
    }
}

/// The password in `://user:password@`, if that is what was found: the rest of an address is worth
/// reading.
fn password(text: &[u8], shape: Range<usize>) -> Option<Range<usize>> {
    let user = text[shape.clone()].strip_prefix(b"://")?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    Some(shape.start + 3 + colon + 1..shape.end - 1)
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
    const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
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

/// Base64 without padding. A crate for these lines would be compiled by every user.
fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
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

fn percent(value: &str, kept: &str, upper: bool) -> String {
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

    fn streamed(redactor: &Redactor, pieces: &[&[u8]]) -> Vec<u8> {
        let mut stream = redactor.stream();
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
        let mut stream = redactor(&["s3cr3t-value"]).stream();
        assert_eq!(stream.push(b"step 1 of 3\nstep"), b"step 1 of 3\n");
        assert_eq!(stream.push(b" 2 s3cr3t-"), b"step 2 ");
        assert_eq!(stream.push(b"value x\n"), b"*** x\n");
        assert_eq!(stream.finish(), b"");
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
            let masked = streamed(&redactor, &cut(&text, &sizes));
            let whole = redactor.mask_bytes(&text);
            prop_assert_eq!(String::from_utf8_lossy(&masked), String::from_utf8_lossy(&whole));
            for secret in secrets {
                for form in forms(&secret) {
                    prop_assert!(!contains(&masked, form.as_bytes()), "`{}` came through", form);
                }
            }
        }

        #[test]
        fn text_without_secrets_is_unchanged(
            secrets in secrets(),
            text in "[A-Z0-9a-z .:/@=\n-]{0,200}",
            sizes in cuts(),
        ) {
            let redactor = Redactor::new(secrets.clone());
            let clean = secrets.iter().flat_map(|s| s.split('\n').map(str::trim).chain([s.as_str()]))
                .filter(|value| value.chars().count() >= SHORTEST)
                .all(|value| forms(value).iter().all(|form| !text.contains(form)));
            prop_assume!(clean && !text.contains("://"));
            prop_assert_eq!(&*redactor.mask(&text), &text);
            prop_assert_eq!(streamed(&redactor, &cut(text.as_bytes(), &sizes)), text.as_bytes());
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
