//! `files = "k8s/base/*.yaml"`: how many files there are, and what each of them says.

use super::text::{Patterns, Search, read};
use super::{Check, Context, Finding, Keys, Refuse, Subject};
use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::read::{Glob, OneOrMany, record};
use crate::wording;

record! {
    /// How many files a pattern matches, and what each of them says. Files that git ignores do not count.
    pub struct FilesCheck {
        /// The pattern: `*` stops at `/`, `**` does not. Without `count`, `min` or `max` at least one file must match.
        files: Glob,
        /// Exactly so many.
        count: Option<u64>,
        /// At least so many.
        min: Option<u64>,
        /// At most so many.
        max: Option<u64>,
        /// Regular expressions that must match somewhere in each file.
        contains: OneOrMany<Search>,
        /// Regular expressions that must not match anywhere in any file.
        lacks: OneOrMany<Search>,
    }
}

impl FilesCheck {
    fn patterns(&self) -> Patterns<'_> {
        Patterns { contains: &self.contains, lacks: &self.lacks }
    }

    /// The wanted number in words, and whether `n` is one.
    fn number(&self, n: usize) -> (String, bool) {
        let n = n as u64;
        let files = |n: u64| wording::plural(usize::try_from(n).unwrap_or(usize::MAX), "file");
        match (self.count, self.min, self.max) {
            (Some(count), ..) => (files(count), n == count),
            (None, Some(min), Some(max)) => (format!("{min} to {}", files(max)), (min..=max).contains(&n)),
            (None, None, Some(max)) => (format!("at most {}", files(max)), n <= max),
            (None, min, None) => (format!("at least {}", files(min.unwrap_or(1))), n >= min.unwrap_or(1)),
        }
    }

    fn look(&self, cx: &Context<'_>) -> Result<String, Finding> {
        let pattern = &self.files.pattern;
        let files = cx
            .world
            .files(&self.files)
            .map_err(|error| Finding::unknown(format!("`{pattern}` could not be listed: {error}")))?;
        let (wanted, fits) = self.number(files.len());
        if !fits {
            let found = if files.is_empty() { "none".to_owned() } else { files.len().to_string() };
            return Err(Finding::unmet(wanted, found, pattern));
        }
        if !self.patterns().is_empty() {
            for file in &files {
                self.patterns().look(&read(cx, file)?, file.as_str(), cx)?;
            }
        }
        Ok(wording::plural(files.len(), "file"))
    }
}

impl Refuse for FilesCheck {
    fn refuse(&self, keys: &Keys<'_>) -> Vec<Diagnostic> {
        let mut out: Vec<Diagnostic> =
            keys.crossed(self.min.map(|n| n as f64), self.max.map(|n| n as f64)).into_iter().collect();
        if self.count.is_some() {
            let more = ["min", "max"].into_iter().filter(|key| keys.has(key));
            out.extend(more.map(|key| {
                keys.mistake(key, format!("`count` says the number already, so `{key}` means nothing"))
            }));
        }
        if self.number(0).1 && self.count.or(self.max) == Some(0) && !self.contains.0.is_empty() {
            out.push(keys.mistake("contains", "files that must not exist can't contain anything"));
        }
        out
    }
}

impl Check for FilesCheck {
    fn describe(&self) -> String {
        let (wanted, _) = self.number(0);
        let clauses = self.patterns().clauses();
        let each =
            if clauses.is_empty() { String::new() } else { format!(", each {}", wording::list(&clauses)) };
        format!("`{}` matches {wanted}{each}", self.files.pattern)
    }

    fn observe(&self, cx: &Context<'_>) -> Finding {
        self.look(cx).map_or_else(|finding| finding, Finding::met_with)
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::Glob(self.files.clone())]
    }

    fn is_local(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::world::fake::Fake;

    #[test]
    fn what_is_found() {
        let world =
            Fake::new().file("k8s/a.yaml", "image: a:v1\n").file("k8s/b.yaml", "kind: B\nimage: b:latest\n");
        assert_found(
            &world,
            &[
                (r#"{ files = "k8s/*.yaml" }"#, "holds: 2 files"),
                (r#"{ files = "k8s/**", count = 2, contains = "image: ${tag}|image" }"#, "holds: 2 files"),
                (r#"{ files = "k8s/*.yml" }"#, "expected at least 1 file, found none (k8s/*.yml)"),
                (r#"{ files = "*.yaml", count = 0 }"#, "holds: 0 files"),
                (r#"{ files = "k8s/*", count = 3 }"#, "expected 3 files, found 2 (k8s/*)"),
                (r#"{ files = "k8s/*", min = 3, max = 5 }"#, "expected 3 to 5 files, found 2 (k8s/*)"),
                (r#"{ files = "k8s/*", max = 1 }"#, "expected at most 1 file, found 2 (k8s/*)"),
                (
                    r#"{ files = "k8s/*", lacks = ':latest' }"#,
                    "expected no match of `:latest`, found one (k8s/b.yaml:2)",
                ),
                (
                    r#"{ files = "k8s/*", contains = 'kind' }"#,
                    "expected a match of `kind`, found none (k8s/a.yaml)",
                ),
            ],
        );
        assert_eq!(
            check(r#"{ files = "k8s/*", min = 2, lacks = "x" }"#).says(),
            "`k8s/*` matches at least 2 files, each lacks `x`"
        );
    }

    #[test]
    fn what_is_refused() {
        assert_refused(&[
            (r#"{ files = "a", min = 3, max = 2 }"#, "nothing is at least 3 and at most 2"),
            (
                r#"{ files = "a", count = 3, max = 2 }"#,
                "`count` says the number already, so `max` means nothing",
            ),
            (
                r#"{ files = "a", count = 0, contains = "x" }"#,
                "files that must not exist can't contain anything",
            ),
            (r#"{ files = "../a" }"#, "`../a` leads out of the folder of pipeline.toml"),
        ]);
    }
}
