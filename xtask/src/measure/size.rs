//! `size = "target/app.tar"`: the size of a file.

use super::{Source, Unit};
use crate::check::text::{Path, unreadable};
use crate::check::{Context, Finding, Refuse, Subject};
use crate::pipeline::read::record;
use crate::world::Kind;

record! {
    /// The size of a file.
    pub struct SizeSource {
        /// The file: relative to the root and inside it, or below a run-time folder (`${tmp}/image.tar`).
        size: Path,
    }
}

impl Refuse for SizeSource {}

impl Source for SizeSource {
    fn describe(&self) -> String {
        format!("the size of `{}`", self.size)
    }

    fn observe(&self, _: Unit, cx: &Context<'_>) -> Result<f64, Finding> {
        let path = self.size.fill(cx.scope).map_err(Finding::unknown)?;
        match cx.world.kind(&path) {
            Ok(Kind::File(size)) => Ok(size as f64),
            Ok(Kind::Folder) => Err(Finding::unmet("a file", "a folder", path)),
            Ok(Kind::Other) => Err(Finding::unmet("a file", "something else", path)),
            Err(error) => Err(unreadable(&path, &error)),
        }
    }

    fn subjects(&self) -> Vec<Subject> {
        self.size.subject().into_iter().collect()
    }

    fn only_unit(&self) -> Option<Unit> {
        Some(Unit::Bytes)
    }
}
