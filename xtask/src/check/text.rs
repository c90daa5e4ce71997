//! Patterns and paths of checks: both may name what only a run knows.

use std::borrow::Cow;
use std::ops::Range;

use camino::{Utf8Path, Utf8PathBuf};
use regex::Regex;
use serde_json::{Value as Json, json};

use super::{Context, Finding, Subject};
use crate::pipeline::read::{Defs, InsidePath, OneOrMany, Pattern, Read, Reader, Value, inside, leads_out};
use crate::pipeline::template::{Scope, Template};

/// A regular expression that is looked for in a text. Values of variables are put in literally, as text to be
/// matched, also those that only a run knows.
#[derive(Debug, Clone)]
pub enum Search {
    /// Known when the file is read.
    Fixed(Pattern),
    /// With run-time names in it.
    Open(Template),
}

/// Makes each run-time value match itself.
struct Escaped<'a>(&'a dyn Scope);

impl Scope for Escaped<'_> {
    fn value(&self, name: &str) -> Result<String, String> {
        self.0.value(name).map(|value| regex::escape(&value))
    }
}

/// Stands for every run-time value while a pattern is tried out.
struct Sample;

impl Scope for Sample {
    fn value(&self, _: &str) -> Result<String, String> {
        Ok("x".to_owned())
    }
}

impl Search {
    /// The compiled pattern.
    pub fn regex(&self, scope: &dyn Scope) -> Result<Cow<'_, Regex>, String> {
        match self {
            Self::Fixed(pattern) => Ok(Cow::Borrowed(pattern.regex())),
            Self::Open(template) => {
                let pattern = template.fill(&Escaped(scope))?;
                Regex::new(&pattern)
                    .map(Cow::Owned)
                    .map_err(|_| format!("`{template}` is not a regular expression any more"))
            }
        }
    }
}

/// The pattern as it is written.
impl std::fmt::Display for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(pattern) => f.write_str(pattern.as_str()),
            Self::Open(template) => template.fmt(f),
        }
    }
}

impl Read for Search {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            r.wrong_type(value, "a regular expression");
            return None;
        };
        let span = value.span();
        let template = r.template_with(text, &span, |value| regex::escape(&value))?;
        if let Some(pattern) = template.as_static() {
            return Pattern::check(pattern, text, &span, r).map(Self::Fixed);
        }
        let sample = template.fill(&Sample).unwrap_or_default();
        Pattern::check(&sample, text, &span, r)?;
        Some(Self::Open(template))
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "string", "format": "regex" })
    }
}

/// A path of the repository, or one that is known while the task runs.
#[derive(Debug, Clone)]
pub enum Path {
    /// Relative to the root, and inside it.
    Inside(Utf8PathBuf),
    /// With run-time names, such as `${tmp}/image.tar`.
    Open {
        /// The path.
        template: Template,
        /// It may lead anywhere.
        outside: bool,
    },
}

impl Path {
    /// Checks a path that was read, reporting at `span` what is wrong with it.
    fn check(text: &str, span: &Range<usize>, r: &mut Reader<'_>) -> Option<Self> {
        let template = r.template(text, span)?;
        match template.as_static() {
            Some(fixed) => InsidePath::check(fixed, span, r).map(|path| Self::Inside(path.0)),
            None => Some(Self::Open { template, outside: r.outside }),
        }
    }

    /// The path, with run-time names filled in. What they stand for may come from outside: it leads no further than
    /// a path that is written out.
    pub fn fill(&self, scope: &dyn Scope) -> Result<Utf8PathBuf, String> {
        let (template, outside) = match self {
            Self::Inside(path) => return Ok(path.clone()),
            Self::Open { template, outside } => (template, *outside),
        };
        let filled = Utf8PathBuf::from(template.fill(scope)?);
        if outside {
            return Ok(filled);
        }
        let found = match filled.is_absolute() {
            false => inside(&filled),
            true => scope.value("tmp").ok().and_then(|own| {
                let below = inside(filled.strip_prefix(&own).ok()?)?;
                Some(Utf8PathBuf::from(own).join(below))
            }),
        };
        found.ok_or_else(|| leads_out(filled.as_str()))
    }

    /// The file of the repository that it is, if it is one.
    pub fn subject(&self) -> Option<Subject> {
        match self {
            Self::Inside(path) => Some(Subject::File(path.clone())),
            Self::Open { .. } => None,
        }
    }
}

/// As it is written.
impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inside(path) => f.write_str(path.as_str()),
            Self::Open { template, .. } => template.fmt(f),
        }
    }
}

impl Read for Path {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            r.wrong_type(value, "a path");
            return None;
        };
        Self::check(text, &value.span(), r)
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "string" })
    }
}

/// Reads a file as text, or says why that can't be.
pub fn read(cx: &Context<'_>, path: &Utf8Path) -> Result<String, Finding> {
    let bytes = cx.world.read(path).map_err(|error| unreadable(path, &error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        Finding::unmet(
            "UTF-8 text",
            format!("other bytes after {} bytes", error.utf8_error().valid_up_to()),
            path.as_str(),
        )
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The finding for a file that could not be read: its absence is a fact, everything else leaves the answer open.
pub fn unreadable(path: &Utf8Path, error: &std::io::Error) -> Finding {
    use std::io::ErrorKind as K;
    match error.kind() {
        K::NotFound | K::NotADirectory => Finding::unmet("a file", "nothing", path.as_str()),
        K::IsADirectory => Finding::unmet("a file", "a folder", path.as_str()),
        _ => Finding::unknown(format!("`{path}` could not be read: {error}")),
    }
}

/// What a text must and must not contain.
#[derive(Clone, Copy)]
pub struct Patterns<'a> {
    /// Each must match somewhere.
    pub contains: &'a OneOrMany<Search>,
    /// None may match anywhere.
    pub lacks: &'a OneOrMany<Search>,
}

impl Patterns<'_> {
    /// True if nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.contains.0.is_empty() && self.lacks.0.is_empty()
    }

    /// As parts of a sentence: "contains `a`", "lacks `b`".
    pub fn clauses(&self) -> Vec<String> {
        let contains = self.contains.0.iter().map(|search| format!("contains `{search}`"));
        contains.chain(self.lacks.0.iter().map(|search| format!("lacks `{search}`"))).collect()
    }

    /// Looks; the error is the first thing that does not hold. What a forbidden pattern matched is not repeated,
    /// because it may be a secret: the line number says where to look. `place` is a file, an address, a command.
    pub fn look(&self, text: &str, place: &str, cx: &Context<'_>) -> Result<(), Finding> {
        for search in &self.contains.0 {
            if !search.regex(cx.scope).map_err(Finding::unknown)?.is_match(text) {
                return Err(Finding::unmet(format!("a match of `{search}`"), "none", place));
            }
        }
        for search in &self.lacks.0 {
            if let Some(found) = search.regex(cx.scope).map_err(Finding::unknown)?.find(text) {
                let place = format!("{place}:{}", line_of(text, found.start()));
                return Err(Finding::unmet(format!("no match of `{search}`"), "one", place));
            }
        }
        Ok(())
    }
}

/// The one-based line of a byte offset.
pub fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::world::fake::Fake;

    #[test]
    fn values_of_a_run_match_themselves() {
        let table = [
            ("^id: ${run.id}$", "id: a+b", true),
            ("^id: ${run.id}$", "id: aab", false),
            ("${tag}", "v1.0", true),
            ("${tag}", "v1x0", false),
        ];
        for (pattern, text, matches) in table {
            let search: Search = read_value(&format!("'{pattern}'")).unwrap();
            assert_eq!(search.regex(&Names).unwrap().is_match(text), matches, "{pattern} on {text}");
            assert_eq!(search.to_string(), pattern.replace("${tag}", r"v1\.0"));
        }
        assert_eq!(
            read_value::<Search>("'(${run.id}'").unwrap_err(),
            ["`(${run.id}` is not a regular expression: unclosed group"]
        );
    }

    #[test]
    fn paths_stay_inside_or_wait_for_the_run() {
        assert!(matches!(read_value("'./a/${tag}/b'"), Ok(Path::Inside(path)) if path == "a/v1.0/b"));
        assert_eq!(read_value::<Path>("'${tmp}/x'").unwrap().fill(&Names).unwrap(), "/tmp/t/x");
        assert_eq!(
            read_value::<Path>("'../x'").unwrap_err(),
            ["`../x` leads out of the folder of pipeline.toml"]
        );
    }

    /// A value that was captured comes from outside.
    #[test]
    fn what_a_name_stands_for_leads_no_further_than_a_path_that_is_written_out() {
        struct Captured(&'static str);
        impl Scope for Captured {
            fn value(&self, name: &str) -> Result<String, String> {
                Ok(if name == "tmp" { "/own/tmp/1".to_owned() } else { self.0.to_owned() })
            }
        }
        let fill = |path: &str, value| {
            let path: Path = read_value(path).unwrap();
            path.fill(&Captured(value)).map(Utf8PathBuf::into_string)
        };
        let out = |path: &str| Err(leads_out(path));
        let table = [
            ("'a/${port}'", "b", Ok("a/b".to_owned())),
            ("'a/${port}'", "../b", Ok("b".to_owned())),
            ("'a/${port}'", "../../b", out("a/../../b")),
            ("'${port}'", "/etc/passwd", out("/etc/passwd")),
            ("'${tmp}/${port}'", "y/../b", Ok("/own/tmp/1/b".to_owned())),
            ("'${tmp}/${port}'", "../2/b", out("/own/tmp/1/../2/b")),
            ("'${tmp}${port}'", "2/b", out("/own/tmp/12/b")),
        ];
        for (path, value, wanted) in table {
            assert_eq!(fill(path, value), wanted, "{path} {value}");
        }
    }

    #[test]
    fn files_that_are_no_text_are_named() {
        let world = Fake::new().file("folder/x", b"ab\xff").file("bom", "\u{feff}a");
        with(&world, |cx| {
            let look = |path: &str| read(cx, path.into()).map_err(|finding| finding.to_string());
            assert_eq!(
                look("folder/x"),
                Err("expected UTF-8 text, found other bytes after 2 bytes (folder/x)".to_owned())
            );
            assert_eq!(look("folder"), Err("expected a file, found a folder (folder)".to_owned()));
            assert_eq!(look("gone"), Err("expected a file, found nothing (gone)".to_owned()));
            assert_eq!(look("bom"), Ok("a".to_owned()));
        });
    }
}
