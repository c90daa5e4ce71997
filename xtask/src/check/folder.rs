//! `folder = "k8s/base"`: a folder exists and holds what others rely on.

use camino::Utf8PathBuf;

use super::text::{Path, unreadable};
use super::{Check, Context, Finding, Refuse};
use crate::pipeline::read::{InsidePath, record};
use crate::wording;
use crate::world::Kind;

record! {
    /// A folder exists and holds what others rely on.
    pub struct FolderCheck {
        /// The folder: relative to the root and inside it, or below a run-time folder (`${tmp}`).
        folder: Path,
        /// Names of files or folders that must be in it, relative to it.
        holds: Vec<InsidePath>,
    }
}

impl FolderCheck {
    fn look(&self, cx: &Context<'_>) -> Result<(), Finding> {
        let folder = self.folder.fill(cx.scope).map_err(Finding::unknown)?;
        match cx.world.kind(&folder) {
            Ok(Kind::Folder) => {}
            Ok(_) => return Err(Finding::unmet("a folder", "a file", folder)),
            Err(error) => return Err(rename(unreadable(&folder, &error), "a folder")),
        }
        let missing: Vec<String> =
            self.missing(&folder, cx)?.iter().map(|name| format!("`{name}`")).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Finding::unmet(wording::list(&missing), "nothing of that name", folder))
    }

    fn missing(&self, folder: &Utf8PathBuf, cx: &Context<'_>) -> Result<Vec<&str>, Finding> {
        let mut missing = Vec::new();
        for name in &self.holds {
            let path = folder.join(&name.0);
            if let Err(error) = cx.world.kind(&path) {
                match unreadable(&path, &error) {
                    Finding::Unmet { .. } => missing.push(name.0.as_str()),
                    other => return Err(other),
                }
            }
        }
        Ok(missing)
    }
}

/// The same finding with another expectation.
fn rename(finding: Finding, wanted: &str) -> Finding {
    match finding {
        Finding::Unmet { found, at, hint, .. } => {
            Finding::Unmet { expected: wanted.to_owned(), found, at, hint }
        }
        other => other,
    }
}

impl Refuse for FolderCheck {}

impl Check for FolderCheck {
    fn describe(&self) -> String {
        if self.holds.is_empty() {
            return format!("the folder `{}` exists", self.folder);
        }
        let names: Vec<String> = self.holds.iter().map(|name| format!("`{}`", name.0)).collect();
        format!("the folder `{}` holds {}", self.folder, wording::list(&names))
    }

    fn observe(&self, cx: &Context<'_>) -> Finding {
        self.look(cx).map_or_else(|finding| finding, |()| Finding::met())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::world::fake::Fake;

    #[test]
    fn what_is_found() {
        let world = Fake::new().file("k8s/base/a.yaml", "");
        assert_found(
            &world,
            &[
                (r#"{ folder = "k8s" }"#, "holds"),
                (r#"{ folder = "k8s", holds = ["base", "base/a.yaml"] }"#, "holds"),
                (
                    r#"{ folder = "k8s/base", holds = ["a.yaml", "b.yaml", "c"] }"#,
                    "expected `b.yaml` and `c`, found nothing of that name (k8s/base)",
                ),
                (r#"{ folder = "helm" }"#, "expected a folder, found nothing (helm)"),
                (r#"{ folder = "k8s/base/a.yaml" }"#, "expected a folder, found a file (k8s/base/a.yaml)"),
            ],
        );
        assert_eq!(
            check(r#"{ folder = "k8s", holds = ["a", "b"] }"#).says(),
            "the folder `k8s` holds `a` and `b`"
        );
    }
}
