//! The readers of pipeline.toml and of the ledger, given what is no such file: the seeds and past findings in
//! `fuzz/seeds/` as they are, and hundreds of changes to them.
//!
//! `XTASK_FUZZ=1000000` in the environment makes it as many inputs for each reader; `XTASK_FUZZ_SEED` other ones.
//! ARCHITECTURE.md says how to run the same under a fuzzer that is guided by coverage.

#![expect(clippy::print_stderr, reason = "an input that was not survived has to be seen")]
#![expect(clippy::disallowed_methods, reason = "tests stand outside of the program")]

mod mutate;
#[expect(dead_code, reason = "it has what only the fuzz targets ask for")]
mod readers;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use mutate::{JSON, Random, TOML, mutate};
use readers::Extent;

/// How many inputs there are for each reader, as a rule.
const AS_A_RULE: u64 = 500;

/// The longest input, in bytes.
const LONGEST: usize = 64 << 10;

/// No input of that length takes longer, in a build that is not optimised, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(20);

fn setting(name: &str, else_: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(else_)
}

fn seeds(of: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(of);
    let mut out: Vec<(String, Vec<u8>)> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("`{}`: {error}", folder.display()))
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())
        })
        .collect();
    out.sort();
    assert!(!out.is_empty(), "no seeds");
    out
}

/// Gives one input to a reader; one that it does not survive is kept.
fn give(reader: fn(&[u8]), input: &[u8], what: &str) -> Duration {
    let begun = Instant::now();
    if let Err(cause) = catch_unwind(AssertUnwindSafe(|| reader(input))) {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{what}.bad"));
        fs::write(&kept, input).unwrap();
        eprintln!(
            "{what}: the input is in `{}`; put it into `fuzz/seeds/` once it is survived",
            kept.display()
        );
        std::panic::resume_unwind(cause);
    }
    let took = begun.elapsed();
    assert!(took < PATIENCE, "{what} took {took:?}");
    took
}

fn all(of: &str, reader: fn(&[u8]), words: &[&str]) {
    let seeds = seeds(of);
    for (name, seed) in &seeds {
        give(reader, seed, &format!("{of}-{name}"));
    }
    let (n, seed) = (setting("XTASK_FUZZ", AS_A_RULE), setting("XTASK_FUZZ_SEED", 1));
    let (begun, mut longest) = (Instant::now(), Duration::ZERO);
    let mut random = Random(seed);
    for nth in 0..n {
        let mut input = seeds[random.below(seeds.len())].1.clone();
        mutate(&mut input, words, LONGEST, &mut random);
        longest = longest.max(give(reader, &input, &format!("{of}-{seed}-{nth}")));
    }
    eprintln!("{of}: {n} inputs in {:.1?}, the longest took {longest:.1?}", begun.elapsed());
}

#[test]
fn no_bytes_upset_the_reader_of_pipelines() {
    all("pipeline", |input| readers::pipeline(input, Extent::Whole), TOML);
}

#[test]
fn no_bytes_upset_the_readers_of_the_ledger() {
    all("ledger", |input| readers::ledger(input, Extent::Whole), JSON);
}
