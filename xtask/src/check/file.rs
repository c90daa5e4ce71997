//! `file = "docker/backend/Dockerfile"`: a file exists and says the right things.

use super::text::{Path, Patterns, Search, read, unreadable};
use super::{Check, Context, Finding, Keys, Refuse, Subject};
use crate::check::markdown::outline::Outline;
use crate::measure::unit::Size;
use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::read::{OneOrMany, record};
use crate::wording;
use crate::world::Kind;

record! {
    /// A file exists and says the right things.
    pub struct FileCheck {
        /// The file: relative to the root and inside it, or below a run-time folder (`${tmp}/image.tar`).
        file: Path,
        /// `false`: there must be nothing at this path.
        exists: Option<bool>,
        /// Regular expressions that must match somewhere in it; `(?m)` makes `^` and `$` stand for lines.
        contains: OneOrMany<Search>,
        /// Regular expressions that must not match anywhere in it.
        lacks: OneOrMany<Search>,
        /// Markdown headings that must be in it, at any level and outside code blocks; case and emphasis do not count.
        heading: OneOrMany<String>,
        /// The largest size it may have, such as "1MB".
        max_size: Option<Size>,
    }
}

impl FileCheck {
    fn patterns(&self) -> Patterns<'_> {
        Patterns { contains: &self.contains, lacks: &self.lacks }
    }

    fn look(&self, cx: &Context<'_>) -> Result<(), Finding> {
        let path = self.file.fill(cx.scope).map_err(Finding::unknown)?;
        let kind = cx.world.kind(&path);
        if self.exists == Some(false) {
            return match kind {
                Ok(Kind::File(_)) => Err(Finding::unmet("nothing", "a file", path)),
                Ok(_) => Err(Finding::unmet("nothing", "a folder", path)),
                Err(error) => match unreadable(&path, &error) {
                    Finding::Unmet { .. } => Ok(()),
                    other => Err(other),
                },
            };
        }
        let size = match kind.map_err(|error| unreadable(&path, &error))? {
            Kind::File(size) => size,
            Kind::Folder => return Err(Finding::unmet("a file", "a folder", path)),
            Kind::Other => return Err(Finding::unmet("a file", "something else", path)),
        };
        if let Some(Size(max)) = self.max_size
            && size as f64 > max
        {
            return Err(Finding::unmet(
                format!("at most {}", wording::bytes(max)),
                wording::bytes(size as f64),
                path,
            ));
        }
        if self.patterns().is_empty() && self.heading.0.is_empty() {
            return Ok(());
        }
        let text = read(cx, &path)?;
        self.patterns().look(&text, path.as_str(), cx)?;
        let outline = Outline::of(&text);
        match self.heading.0.iter().find(|heading| outline.section(heading).is_none()) {
            Some(missing) => Err(outline.missing(missing, path.as_str())),
            None => Ok(()),
        }
    }
}

impl Refuse for FileCheck {
    fn refuse(&self, keys: &Keys<'_>) -> Vec<Diagnostic> {
        let more = ["contains", "lacks", "heading", "max_size"].into_iter().find(|key| keys.has(key));
        match more {
            Some(key) if self.exists == Some(false) => {
                vec![keys.mistake(key, format!("a file that must not exist can't have `{key}`"))]
            }
            _ => Vec::new(),
        }
    }
}

impl Check for FileCheck {
    fn describe(&self) -> String {
        if self.exists == Some(false) {
            return format!("`{}` does not exist", self.file);
        }
        let mut clauses = self.patterns().clauses();
        clauses.extend(self.heading.0.iter().map(|heading| format!("has the heading \"{heading}\"")));
        clauses.extend(self.max_size.map(|max| format!("has at most {}", wording::bytes(max.0))));
        if clauses.is_empty() {
            clauses.push("exists".to_owned());
        }
        format!("`{}` {}", self.file, wording::list(&clauses))
    }

    fn observe(&self, cx: &Context<'_>) -> Finding {
        self.look(cx).map_or_else(|finding| finding, |()| Finding::met())
    }

    fn subjects(&self) -> Vec<Subject> {
        self.file.subject().into_iter().collect()
    }

    fn is_local(&self) -> bool {
        matches!(self.file, Path::Inside(_))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::world::fake::Fake;

    #[test]
    fn what_is_found() {
        let world = Fake::new()
            .file("Dockerfile", "FROM python:latest\nUSER 1000\n")
            .file("G.md", "# Guide\n```\n# Not one\n```\n## `Quick` start ##\n")
            .file("/tmp/t/image.tar", "12345");
        assert_found(
            &world,
            &[
                (r#"{ file = "Dockerfile" }"#, "holds"),
                (r#"{ file = "Dockerfile", contains = '(?m)^USER 1000$' }"#, "holds"),
                (r#"{ file = "nope" }"#, "expected a file, found nothing (nope)"),
                (r#"{ file = "." }"#, "expected a file, found a folder (.)"),
                (
                    r#"{ file = "Dockerfile", contains = ['USER', 'EXPOSE'] }"#,
                    "expected a match of `EXPOSE`, found none (Dockerfile)",
                ),
                (
                    r#"{ file = "Dockerfile", lacks = 'US\w+' }"#,
                    r"expected no match of `US\w+`, found one (Dockerfile:2)",
                ),
                (r#"{ file = "G.md", heading = ["guide", "Quick Start"] }"#, "holds"),
                (
                    r#"{ file = "G.md", heading = "Not one" }"#,
                    "expected the heading \"Not one\", found none (G.md)",
                ),
                (
                    r#"{ file = "G.md", heading = "Guides" }"#,
                    "expected the heading \"Guides\", found none (G.md)",
                ),
                (r#"{ file = "${tmp}/image.tar", max_size = "5B" }"#, "holds"),
                (
                    r#"{ file = "${tmp}/image.tar", max_size = 4 }"#,
                    "expected at most 4 B, found 5 B (/tmp/t/image.tar)",
                ),
                (r#"{ file = "nope", exists = false }"#, "holds"),
                (r#"{ file = "G.md", exists = false }"#, "expected nothing, found a file (G.md)"),
            ],
        );
    }

    #[test]
    fn what_is_refused() {
        assert_refused(&[
            (
                r#"{ file = "a", exists = false, contains = "x" }"#,
                "a file that must not exist can't have `contains`",
            ),
            (r#"{ file = "/etc/passwd" }"#, "`/etc/passwd` leads out of the folder of pipeline.toml"),
            (r#"{ file = "a", max_size = "5 apples" }"#, "`5 apples` is not a number of bytes"),
        ]);
    }

    #[test]
    fn sentences() {
        let says = |toml: &str| check(toml).says();
        assert_eq!(says(r#"{ file = "a" }"#), "`a` exists");
        assert_eq!(
            says(r#"{ file = "a", contains = "x", lacks = "y", heading = "Z" }"#),
            "`a` contains `x`, lacks `y` and has the heading \"Z\""
        );
        assert_eq!(says(r#"{ file = "a", title = "It is there" }"#), "It is there");
        assert!(check(r#"{ file = "a" }"#).check.is_local());
        assert!(!check(r#"{ file = "${tmp}/a" }"#).check.is_local());
    }
}
