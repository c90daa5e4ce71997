//! Makes bad input of good: a change of what a reader tells apart, not of bytes alone, so that what comes out gets past
//! the first mistake.

/// A sequence of numbers that looks random and is the same for the same seed (SplitMix64).
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap_or_default()
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

/// What readers stumble over, in any text.
const ODD: &[&str] = &[
    "",
    "\0",
    "\u{1b}[2J",
    "\u{202e}",
    "\u{feff}",
    "é",
    "👩‍🔧",
    "\r",
    "\t",
    "\\",
    "\"",
    "'",
    "`",
    "<b>",
    "|",
    "{{",
    "[[",
    "]]",
    "\\u0000",
    "\\ud800",
    "../..",
    "/dev/zero",
    "${",
    "${run.id}",
    "$$",
    "{a,",
    "**/",
    "[",
    "]",
    "{",
    "}",
    "(",
    "){100}",
];

/// Numbers at the edges of types.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "1",
    "255",
    "256",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e-308",
    "1e999",
    "0.1",
    "-0.0",
    "99999999999999999999999999999999",
];

/// Words of pipeline.toml.
pub const TOML: &[&str] = &[
    "[pipeline]\n",
    "[vars]\n",
    "[[phase]]\n",
    "[[phase.task]]\n",
    "[[gate]]\n",
    "[[criterion]]\n",
    "[[deliverable]]\n",
    "[[risk]]\n",
    "[prerequisite.a]\n",
    "[fact.f]\n",
    "[profile.ci]\n",
    "id = \"a\"\n",
    "title = \"x\"\n",
    "needs = [\"a\"]\n",
    "requires = [\"a\"]\n",
    "run = \"true\"\n",
    "run = [\"a ${v}\", { run = \"b\", when = { os = \"linux\" } }]\n",
    "shell = \"bash\"\n",
    "inputs = [\"**/*.{rs,toml}\"]\n",
    "artifacts = [\"a/b\"]\n",
    "check = [{ file = \"a\", contains = 'x' }]\n",
    "check = [{ http = \"http://127.0.0.1/\", status = 200, within = \"1s\" }]\n",
    "measure = [{ name = \"m\", run = \"x\", unit = \"bytes\", max = \"1MB\" }]\n",
    "capture.port = { run = \"x\", regex = ':(\\d+)$' }\n",
    "timeout = \"10m\"\n",
    "retry = { times = 2, delay = \"1s\" }\n",
    "version = \">=1.2, <3\"\n",
    "program = \"a\"\n",
    "ready = \"a b\"\n",
    "remedy.any = \"x\"\n",
    "secret = [\"v\"]\n",
    "v = \"${w}${w}\"\n",
    "w = \"${v}\"\n",
    "when = { os = \"linux\" }\n",
    "blocked = \"fail\"\n",
    "estimate = \"106751991167300d\"\n",
    "outside = true\n",
    "env = { A = \"${v}\" }\n",
    "count = 3\n",
    "tasks = [\"a\"]\n",
    "measure = \"a: m\"\n",
    "promises = [\"a\"]\n",
    "a.b.c.d = 1\n",
    "'''",
    "\"\"\"",
    "= ",
    "# ",
    "1979-05-27T07:32:00Z",
    "inf",
    "nan",
    "true",
];

/// Words of a ledger.
pub const JSON: &[&str] = &[
    "\"v\":1",
    "\"seq\":1",
    "\"prev\":\"00000000000000000000000000000000\"",
    "\"task\":\"a\"",
    "\"task\":null",
    "\"event\":{}",
    "\"kind\":\"task-started\"",
    "\"kind\":\"task-ended\"",
    "\"kind\":\"task-left\"",
    "\"kind\":\"task-skipped\"",
    "\"kind\":\"task-forgotten\"",
    "\"kind\":\"torn-down\"",
    "\"kind\":\"drifted\"",
    "\"kind\":\"confirmed\"",
    "\"kind\":\"concluded\"",
    "\"kind\":\"logs-pruned\"",
    "\"kind\":\"run-started\"",
    "\"kind\":\"run-ended\"",
    "\"kind\":\"probed\"",
    "\"kind\":\"fact-told\"",
    "\"outcome\":\"passed\"",
    "\"outcome\":\"failed\"",
    "\"outcome\":\"interrupted\"",
    "\"ms\":18446744073709551615",
    "\"at\":\"-009999-01-02T01:59:59Z\"",
    "\"at\":\"9999-12-30T22:00:00Z\"",
    "\"number\":4294967295",
    "\"tries\":4294967295",
    "\"log\":\"/dev/zero\"",
    "\"log\":\"../../x\"",
    "\"value\":1e308",
    "null",
    "true",
    "[]",
    "{}",
    "[[[[",
    "{\"a\":",
    ",",
    ":",
];

/// Changes `input` in one to eight places. `words` are those of its language, `longest` the most bytes that it may have
/// afterwards.
pub fn mutate(input: &mut Vec<u8>, words: &[&str], longest: usize, random: &mut Random) {
    for _ in 0..1 + random.below(8) {
        once(input, words, random);
        input.truncate(longest);
    }
}

fn once(input: &mut Vec<u8>, words: &[&str], random: &mut Random) {
    let at = random.below(input.len() + 1);
    match random.below(14) {
        0 => insert(input, at, random.one_of(words).as_bytes()),
        1 => insert(input, line_at(input, at).0, random.one_of(words).as_bytes()),
        2 => insert(input, at, random.one_of(ODD).as_bytes()),
        3 => replace_run(input, at, u8::is_ascii_digit, random.one_of(NUMBERS)),
        4 => replace_run(input, at, u8::is_ascii_alphanumeric, random.one_of(words)),
        5 => replace_run(input, at, u8::is_ascii_alphanumeric, random.one_of(ODD)),
        6 => {
            let (from, to) = line_at(input, at);
            input.drain(from..to);
        }
        7 => {
            let (from, to) = line_at(input, at);
            let line = input[from..to].to_vec();
            let there = random.below(input.len() + 1);
            let there = line_at(input, there).0;
            insert(input, there, &line);
        }
        8 => {
            let (from, to) = line_at(input, at);
            let line = input.drain(from..to).collect::<Vec<_>>();
            let there = random.below(input.len() + 1);
            let there = line_at(input, there).0;
            insert(input, there, &line);
        }
        9 => {
            let to = (at + 1 + random.below(40)).min(input.len());
            input.drain(at.min(to)..to);
        }
        10 => {
            let to = (at + 1 + random.below(40)).min(input.len());
            let part = input[at.min(to)..to].repeat(1 + random.below(50));
            insert(input, at, &part);
        }
        11 if !input.is_empty() => {
            let at = at.min(input.len() - 1);
            input[at] ^= 1 << random.below(8);
        }
        12 => {
            let open = random.one_of(&["[", "{", "(", "{\"a\":", "{a=", "[[", "${", "a."]);
            insert(input, at, open.repeat(1 + random.below(300)).as_bytes());
        }
        _ => input.truncate(at),
    }
}

fn insert(input: &mut Vec<u8>, at: usize, part: &[u8]) {
    input.splice(at..at, part.iter().copied());
}

/// The bytes around `at` that are alike, replaced.
fn replace_run(input: &mut Vec<u8>, at: usize, alike: impl Fn(&u8) -> bool, with: &str) {
    let Some(from) = input[at..].iter().position(&alike).map(|n| at + n) else { return };
    let start = input[..from].iter().rposition(|b| !alike(b)).map_or(0, |n| n + 1);
    let end = input[from..].iter().position(|b| !alike(b)).map_or(input.len(), |n| from + n);
    input.splice(start..end, with.bytes());
}

/// The line around `at`, with its end.
fn line_at(input: &[u8], at: usize) -> (usize, usize) {
    let from = input[..at].iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
    let to = input[at..].iter().position(|b| *b == b'\n').map_or(input.len(), |n| at + n + 1);
    (from, to)
}
