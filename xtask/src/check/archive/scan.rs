//! Looking for many patterns at once in a stream of bytes, piece by piece.

use std::io::{self, Read};

use regex::bytes::{Regex, RegexBuilder};

use super::tar::read_up_to;

/// How much is looked at in one go, in bytes.
const PIECE: usize = 1 << 20;

/// A match up to this length, in bytes, is found wherever the pieces are cut.
const REACH: usize = 4 << 10;

/// What is looked for.
#[derive(Debug)]
pub struct Needles {
    /// All of them, for the one pass over everything.
    any: Option<Regex>,
    /// Each of them, to tell which it was.
    each: Vec<Regex>,
    piece: usize,
    reach: usize,
}

impl Needles {
    /// Compiles the patterns; the error names the one that can't be.
    pub fn new(patterns: &[String]) -> Result<Self, String> {
        let each = patterns.iter().map(|pattern| compile(pattern)).collect::<Result<Vec<_>, _>>()?;
        let any = match patterns {
            [] => None,
            all => Some(compile(
                &all.iter().map(|pattern| format!("(?:{pattern})")).collect::<Vec<_>>().join("|"),
            )?),
        };
        let longest = patterns.iter().map(String::len).max().unwrap_or_default();
        let reach = REACH.max(longest);
        Ok(Self { any, each, piece: PIECE.max(4 * reach), reach })
    }

    /// A buffer for [`Needles::scan`], to be used again and again.
    pub fn buffer(&self) -> Vec<u8> {
        vec![0; self.piece]
    }

    /// Looks through a stream and calls `found` with the number of each pattern that matches, perhaps more than once.
    /// `found` says whether to go on. Gives the number of bytes.
    pub fn scan(
        &self,
        input: &mut dyn Read,
        buffer: &mut [u8],
        found: &mut dyn FnMut(usize) -> bool,
    ) -> io::Result<u64> {
        let Some(any) = &self.any else { return io::copy(input, &mut io::sink()) };
        let (mut kept, mut start, mut total) = (0, 0, 0);
        loop {
            let n = read_up_to(input, &mut buffer[kept..])?;
            total += n as u64;
            let end = kept + n;
            let last = end < buffer.len();
            if !self.search(any, &buffer[..end], start, last, found) || last {
                return Ok(total);
            }
            // What may be the start of a match is looked at again, together with the byte before it, which `^` and
            // `\b` ask for.
            kept = self.reach + 1;
            start = 1;
            buffer.copy_within(end - kept..end, 0);
        }
    }

    /// Looks through one piece. A match that touches its end may go on, so it waits for the next piece.
    fn search(
        &self,
        any: &Regex,
        piece: &[u8],
        start: usize,
        last: bool,
        found: &mut dyn FnMut(usize) -> bool,
    ) -> bool {
        let mut from = start;
        while let Some(hit) = any.find_at(piece, from) {
            let waits = !last && hit.end() == piece.len() && piece.len() - hit.start() <= self.reach;
            if waits {
                return true;
            }
            let which = (0..self.each.len()).filter(|i| {
                self.each[*i].find_at(piece, hit.start()).is_some_and(|m| m.start() == hit.start())
            });
            for i in which {
                if !found(i) {
                    return false;
                }
            }
            from = hit.start() + 1;
            if from > piece.len() {
                break;
            }
        }
        true
    }
}

/// Bytes are no Unicode; only a pattern that can't be read otherwise gets Unicode classes.
fn compile(pattern: &str) -> Result<Regex, String> {
    let build = |unicode| RegexBuilder::new(pattern).unicode(unicode).size_limit(64 << 20).build();
    build(false).or_else(|_| build(true)).map_err(|error| format!("`{pattern}` can't be looked for: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn needles(patterns: &[&str], piece: usize, reach: usize) -> Needles {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        Needles { piece, reach, ..Needles::new(&patterns).unwrap() }
    }

    /// Gives a few bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(buffer.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn hits(needles: &Needles, text: &[u8], step: usize) -> Vec<usize> {
        let mut out = Vec::new();
        let total = needles.scan(&mut Trickle(text, step), &mut needles.buffer(), &mut |i| {
            out.push(i);
            true
        });
        assert_eq!(total.unwrap(), text.len() as u64);
        out.sort_unstable();
        out.dedup();
        out
    }

    #[test]
    fn a_secret_is_found_at_every_boundary() {
        let needles = needles(&["s3cr3t-value", r"AKIA[0-9A-Z]{16}"], 64, 24);
        for at in 0..200 {
            let mut text = vec![b'.'; at];
            text.extend(b"s3cr3t-value");
            text.extend(vec![b'.'; 37]);
            text.extend(b"AKIA0123456789ABCDEF");
            for step in [1, 7, 64, 1000] {
                assert_eq!(hits(&needles, &text, step), [0, 1], "at {at} in steps of {step}");
            }
        }
    }

    #[test]
    fn a_cut_is_no_line_and_no_word() {
        let needles = needles(&["(?m)^secret", r"\bsecret\b"], 64, 24);
        for at in 1..150 {
            let text = format!("{}secrets{}", "x".repeat(at), "y".repeat(100));
            assert!(hits(&needles, text.as_bytes(), 5).is_empty(), "at {at}");
            let text = format!("{}\nsecret {}", "x".repeat(at), "y".repeat(100));
            assert_eq!(hits(&needles, text.as_bytes(), 5), [0, 1], "at {at}");
        }
    }

    #[test]
    fn it_stops_when_it_is_told_to() {
        let needles = needles(&["a"], 64, 8);
        let mut calls = 0;
        needles
            .scan(&mut [b'a'; 1000].as_slice(), &mut needles.buffer(), &mut |_| {
                calls += 1;
                calls < 3
            })
            .unwrap();
        assert_eq!(calls, 3);
    }

    proptest! {
        #[test]
        fn pieces_find_what_the_whole_finds(text in "[abc\n]{0,300}", step in 1usize..80) {
            let patterns = ["abcab", "(?m)^cc", "b+a$", r"\baa", "(?s)c.{4}c"];
            let pieces = needles(&patterns, 60, 20);
            let whole: Vec<usize> = (0..patterns.len()).filter(|i| compile(patterns[*i]).unwrap().is_match(text.as_bytes())).collect();
            prop_assert_eq!(hits(&pieces, text.as_bytes(), step), whole);
        }
    }
}
