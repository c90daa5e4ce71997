//! The shapes of work that every tool is given, and whether it was done.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How tasks hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// N tasks that do not know of each other: one input, one output, `cp`.
    Flat,
    /// The same, each after the one before.
    Chain,
    /// The same in ten layers: each task after two of the layer before.
    Layers,
    /// N times `/bin/true`, without files.
    Spawn,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Flat, Self::Chain, Self::Layers, Self::Spawn];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Chain => "chain",
            Self::Layers => "layers",
            Self::Spawn => "spawn",
        }
    }

    /// True if its tasks have files.
    pub fn has_files(self) -> bool {
        self != Self::Spawn
    }

    /// The tasks that task `i` of `n` comes after, both counted from 1.
    pub fn needs(self, n: usize, i: usize) -> Vec<usize> {
        match self {
            Self::Flat | Self::Spawn => Vec::new(),
            Self::Chain => (i > 1).then(|| i - 1).into_iter().collect(),
            Self::Layers => {
                let width = n.div_ceil(10).max(2);
                let (layer, place) = ((i - 1) / width, (i - 1) % width);
                if layer == 0 {
                    return Vec::new();
                }
                let before = (layer - 1) * width + 1;
                vec![before + place, before + (place + 1) % width]
            }
        }
    }
}

/// What happens before the measured run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing was ever done.
    Cold,
    /// Everything is done.
    NoOp,
    /// Everything is done, then the input of the last task was changed.
    OneChanged,
}

impl State {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 3] = [Self::Cold, Self::NoOp, Self::OneChanged];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::NoOp => "no-op",
            Self::OneChanged => "one-changed",
        }
    }
}

/// Makes the inputs, and an empty folder for outputs.
pub fn make_inputs(shape: Shape, n: usize, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder.join("in"))?;
    fs::create_dir_all(folder.join("out"))?;
    if shape.has_files() {
        for i in 1..=n {
            fs::write(folder.join(format!("in/{i}.txt")), format!("{i}\n"))?;
        }
    }
    Ok(())
}

/// Removes what a tool has made, so that the next run is the first.
pub fn clean(folder: &Path, leftovers: &[&str]) -> io::Result<()> {
    for name in leftovers.iter().chain(&["out"]) {
        let path = folder.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::create_dir_all(folder.join("out"))
}

/// Gives the input of the last task a content that it never had.
pub fn change(n: usize, folder: &Path, nonce: usize) -> io::Result<()> {
    let mut file = fs::File::create(folder.join(format!("in/{n}.txt")))?;
    writeln!(file, "{n}, changed {nonce}")
}

/// When each output was written, in nanoseconds; 0 if it is not there.
pub fn written(n: usize, folder: &Path) -> Vec<u64> {
    let time = |i: usize| {
        let data = fs::metadata(folder.join(format!("out/{i}.txt"))).ok()?;
        u64::try_from(data.mtime() * 1_000_000_000 + data.mtime_nsec()).ok()
    };
    (1..=n).map(|i| time(i).unwrap_or(0)).collect()
}

/// Waits until the outputs are so old that nobody has to think of them as being written just now: tools that remember
/// content by a file's times can't do that for times that may still repeat.
pub fn rest(n: usize, folder: &Path) {
    const OLD: Duration = Duration::from_millis(2_200);
    let newest = Duration::from_nanos(written(n, folder).into_iter().max().unwrap_or(0));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    std::thread::sleep(OLD.saturating_sub(now.saturating_sub(newest)).min(OLD));
}

/// What is wrong with the outputs of a run, if anything: `expected` of them were to be written, and all are to hold what
/// their inputs hold.
pub fn mistake(n: usize, folder: &Path, before: &[u64], expected: usize) -> Option<String> {
    for i in 1..=n {
        let read = |side: &str| fs::read(folder.join(format!("{side}/{i}.txt"))).ok();
        if read("in").is_none() || read("in") != read("out") {
            return Some(format!("out/{i}.txt does not hold what in/{i}.txt holds"));
        }
    }
    let fresh = written(n, folder).iter().zip(before).filter(|(now, then)| now != then).count();
    (fresh != expected).then(|| format!("{fresh} outputs were written, expected {expected}"))
}
