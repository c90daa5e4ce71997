//! File events: that something happened near a place, not what. Whoever is told looks for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use camino::Utf8PathBuf;
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// Tells somebody whenever something happens near some places, which may not exist yet.
pub struct Nearby {
    watcher: RecommendedWatcher,
    /// Folders that are watched, each with what tells it from another one of the same name.
    folders: BTreeMap<PathBuf, Identity>,
}

/// What tells a folder from another one that took its place.
type Identity = (u64, Option<SystemTime>);

/// A folder may be made while its parent is about to be watched, and another one in it; so often it is looked again.
const DEPTH: usize = 16;

impl Nearby {
    /// Watches nothing yet. `tell` is called on another thread, often if much happens.
    ///
    /// # Errors
    ///
    /// If the system gives no file events; the error says why.
    pub fn new(tell: impl Fn() + Send + 'static) -> Result<Self, String> {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // A program on PATH is opened whenever somebody starts it. Errors are news: events were lost.
            if event.map_or(true, |event| is_change(event.kind)) {
                tell();
            }
        });
        Ok(Self { watcher: watcher.map_err(|error| error.to_string())?, folders: BTreeMap::new() })
    }

    /// Watches these places from now on and no others. With `afresh` also what seems to be watched already: where a
    /// folder was replaced, or its disk mounted again, the events of the old one tell nothing.
    ///
    /// # Errors
    ///
    /// If a folder that is there and may be read can't be watched; the others are. The error says why.
    pub fn watch(&mut self, places: &BTreeSet<Utf8PathBuf>, afresh: bool) -> Result<(), String> {
        let mut result = Ok(());
        let mut again = afresh;
        for _ in 0..DEPTH {
            let wanted: BTreeMap<PathBuf, Identity> =
                places.iter().flat_map(|place| around(place.as_std_path())).collect();
            if wanted == self.folders && !again {
                break;
            }
            for (old, _) in self.folders.iter().filter(|(path, id)| again || wanted.get(*path) != Some(*id)) {
                // It may be gone.
                let _ = self.watcher.unwatch(old);
            }
            for (new, _) in wanted.iter().filter(|(path, id)| again || self.folders.get(*path) != Some(*id)) {
                if let Err(error) = self.watcher.watch(new, RecursiveMode::NonRecursive)
                    && new.exists()
                    && !is_denied(&error)
                {
                    result = Err(format!("failed to watch `{}`: {error}", new.display()));
                }
            }
            self.folders = wanted;
            again = false;
        }
        result
    }
}

/// A folder of somebody else on PATH has nothing for this user.
fn is_denied(error: &notify::Error) -> bool {
    matches!(&error.kind, notify::ErrorKind::Io(error) if error.kind() == io::ErrorKind::PermissionDenied)
}

fn is_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// The folders whose events tell about a place: itself, the nearest one above it, and where it leads to.
fn around(place: &Path) -> impl Iterator<Item = (PathBuf, Identity)> + use<> {
    let above = place.ancestors().skip(1).find(|folder| folder.is_dir()).map(Path::to_owned);
    let real = place.canonicalize().ok();
    let target = real.as_ref().and_then(|real| real.parent().map(Path::to_owned));
    [real, above, target].into_iter().flatten().filter_map(|folder| {
        let meta = fs::metadata(&folder).ok().filter(fs::Metadata::is_dir)?;
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(&meta);
        #[cfg(not(unix))]
        let number = 0;
        Some((folder, (number, meta.created().ok())))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver};
    use std::time::Duration;

    use super::*;

    /// A folder, what watches a place in it, and what is told.
    fn watching(place: &str) -> (tempfile::TempDir, BTreeSet<Utf8PathBuf>, Nearby, Receiver<()>) {
        let folder = tempfile::tempdir().unwrap();
        let (sender, told) = mpsc::channel();
        let mut nearby = Nearby::new(move || {
            let _ = sender.send(());
        })
        .unwrap();
        let places = BTreeSet::from([Utf8PathBuf::try_from(folder.path().join(place)).unwrap()]);
        nearby.watch(&places, false).unwrap();
        (folder, places, nearby, told)
    }

    #[track_caller]
    fn is_told(told: &Receiver<()>) {
        told.recv_timeout(Duration::from_secs(10)).expect("an event");
        while told.recv_timeout(Duration::from_millis(20)).is_ok() {}
    }

    #[test]
    fn whatever_happens_in_a_folder_is_told() {
        let (folder, _, _nearby, told) = watching("");
        let file = folder.path().join("file");
        fs::write(&file, "1").unwrap();
        is_told(&told);
        fs::write(&file, "2").unwrap();
        is_told(&told);
        fs::rename(&file, folder.path().join("other")).unwrap();
        is_told(&told);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(folder.path().join("other"), fs::Permissions::from_mode(0o755)).unwrap();
            is_told(&told);
        }
    }

    #[test]
    fn reading_is_not_told() {
        use notify::event::{CreateKind, MetadataKind, ModifyKind};
        for (kind, told) in [
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), false),
            (EventKind::Access(AccessKind::Read), false),
            (EventKind::Access(AccessKind::Close(AccessMode::Read)), false),
            (EventKind::Access(AccessKind::Close(AccessMode::Write)), true),
            (EventKind::Create(CreateKind::File), true),
            (EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)), true),
            // Events were lost.
            (EventKind::Other, true),
        ] {
            assert_eq!(is_change(kind), told, "{kind:?}");
        }
    }

    #[test]
    fn a_place_that_is_made_later_is_told_from_the_folder_above() {
        let (folder, places, mut nearby, told) = watching("a/b/c");
        fs::create_dir(folder.path().join("a")).unwrap();
        is_told(&told);
        nearby.watch(&places, false).unwrap();
        fs::create_dir_all(folder.path().join("a/b/c")).unwrap();
        is_told(&told);
        nearby.watch(&places, false).unwrap();
        fs::write(folder.path().join("a/b/c/file"), "").unwrap();
        is_told(&told);
    }

    #[test]
    fn a_folder_that_was_replaced_is_watched_again() {
        let (folder, places, mut nearby, told) = watching("a");
        let path = folder.path().join("a");
        for afresh in [false, true] {
            fs::create_dir(&path).unwrap();
            is_told(&told);
            nearby.watch(&places, afresh).unwrap();
            fs::write(path.join("file"), "").unwrap();
            is_told(&told);
            fs::remove_dir_all(&path).unwrap();
            is_told(&told);
        }
    }

    #[test]
    fn what_is_no_longer_wanted_is_not_watched() {
        let (folder, _, mut nearby, _told) = watching("a");
        let folder = folder.path().canonicalize().unwrap();
        assert_eq!(nearby.folders.keys().collect::<Vec<_>>(), [&folder]);
        nearby.watch(&BTreeSet::new(), false).unwrap();
        assert!(nearby.folders.is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn where_a_link_leads_to_counts() {
        let (folder, places, mut nearby, told) = watching("link");
        fs::create_dir(folder.path().join("target")).unwrap();
        std::os::unix::fs::symlink("target/config", folder.path().join("link")).unwrap();
        fs::write(folder.path().join("target/config"), "1").unwrap();
        nearby.watch(&places, false).unwrap();
        is_told(&told);
        fs::write(folder.path().join("target/config"), "2").unwrap();
        is_told(&told);
    }
}
