//! Doing nothing fast: a run that found nothing to do leaves behind what it asked of the outside, and the next one that
//! is called in the same way asks that again before it reads anything else. If every answer is the same, so is what
//! comes of it: states follow from the plan, the ledger and the answers, and from nothing else.
//!
//! Only runs that recorded and wrote nothing, of plans without a report and without secrets. Whatever is in doubt, in
//! the way or unreadable is the concern of a whole run.

use camino::{Utf8Path, Utf8PathBuf};

use super::locate;
use crate::cli::Global;
use crate::failure::exit;
use crate::ids::Digest;
use crate::ledger::store::{Home, read_file};
use crate::timings;
use crate::ui::Ui;
use crate::world::trace::{self, Outside as _, Reader, Trace, Writer};
use crate::world::{Real, Remembered, World as _, keep_privately};

/// What a whole run leaves behind for the next one.
pub struct Settled {
    /// Says what it was called with: see [`key`].
    key: Digest,
    home: Home,
}

/// What is known of a call before anything is read but the pipeline's file.
fn key(file: &Utf8Path, text: &[u8], ui: &Ui) -> Option<Digest> {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(env!("CARGO_PKG_VERSION").as_bytes());
    // Another build of this program may find another state.
    let program = Utf8PathBuf::try_from(std::env::current_exe().ok()?).ok()?;
    part(program.as_str().as_bytes());
    part(&Real::stamp_at(&program)?.to_bytes());
    part(file.as_str().as_bytes());
    part(text);
    for argument in std::env::args_os().skip(1) {
        part(argument.as_encoded_bytes());
    }
    let mut environment: Vec<_> = std::env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(|name| name.starts_with("XTASK_VAR_")))
        .collect();
    environment.sort();
    for (name, value) in environment {
        part(name.as_encoded_bytes());
        part(value.as_encoded_bytes());
    }
    part(format!("{:?}", ui.talk_form()).as_bytes());
    Some(Digest::from_hasher(&hasher))
}

impl Settled {
    /// Looks whether there is still nothing to do, and says so. If not, or if that can't be told, returns what is
    /// needed to tell the next time; nothing if this call is none that could be.
    pub fn again(global: &Global, ui: &Ui) -> Result<u8, Option<Self>> {
        let _span = timings::phase("look whether nothing has changed");
        // What a service is told is more than lines.
        if ui.service().is_some() {
            return Err(None);
        }
        let Some(file) = locate(global).ok().and_then(|path| path.canonicalize_utf8().ok()) else {
            return Err(None);
        };
        let root = file.parent().map(Utf8Path::to_owned).unwrap_or_default();
        let home = Home::new(&root);
        let Some(key) = read_file(&file).ok().and_then(|text| key(&file, &text, ui)) else {
            return Err(None);
        };
        let this = Self { key, home };
        match this.lines(&root) {
            Some(lines) => {
                lines.iter().for_each(|line| ui.repeat(line));
                Ok(exit::DONE)
            }
            None => Err(Some(this)),
        }
    }

    /// What the run before said, if this one would say the same.
    fn lines(&self, root: &Utf8Path) -> Option<Vec<String>> {
        let bytes = read_file(&self.home.settled()).ok()?;
        let (content, digest) = bytes.split_at_checked(bytes.len().checked_sub(16)?)?;
        let mut reader = Reader(content);
        if reader.digest()? != self.key || Digest::of(content).as_bytes() != digest {
            return None;
        }
        if self.home.is_disturbed() {
            return None;
        }
        let lines =
            (0..reader.number()?).map(|_| reader.text().map(str::to_owned)).collect::<Option<Vec<_>>>()?;
        let world = Real::new(root.to_owned(), std::sync::Arc::default(), Remembered::default());
        trace::holds(&mut reader, &world).then_some(lines)
    }

    /// Keeps what a run that did nothing asked, and what it said. It only saves time, so a failure is none.
    pub fn keep(&self, mut asked: Trace, world: &Real, lines: &[String]) {
        let looked_at = world.now().as_nanosecond();
        // The plan is in the key; the ledger is where all states begin.
        let ledger = self.home.ledger();
        asked.place(&ledger, world.place(&ledger), looked_at);
        if !asked.is_complete() {
            return;
        }
        let mut out = Writer::default();
        out.digest(self.key);
        out.number(lines.len() as u64);
        lines.iter().for_each(|line| out.text(line));
        asked.write(&mut out);
        let mut bytes = out.finish();
        bytes.extend_from_slice(Digest::of(&bytes).as_bytes());
        keep_privately(&self.home.settled(), &bytes);
    }
}
