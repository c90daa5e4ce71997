//! Documents of files for checks: several laid over each other, one chosen among several, all against a schema.

use std::sync::Arc;

use camino::Utf8Path;
use serde_json::{Value as Json, json};

use super::expect::Expect;
use super::path::Filter;
use super::schema::{self, Verdict};
use super::{Content, DataPath, Malformed, Node, Place};
use crate::check::text::{Path, read};
use crate::check::{Context, Finding, Keys, Subject};
use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::read::{Defs, OneOrMany, Read, Reader, Value};
use crate::wording;

/// Reads the documents of a text.
pub type Loader = fn(&str, &Arc<str>) -> Result<Vec<Node>, Malformed>;

/// Which document of a file is meant.
#[derive(Debug, Clone)]
pub enum Document {
    /// By its place, counted from 1.
    Number(usize),
    /// By values in it; all must hold.
    Where(Vec<Filter>),
}

impl Read for Document {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let wanted = "a number from 1, or filters such as \"kind=Service\"";
        if value.get_ref().as_integer().is_some() {
            let number = u64::read(value, r).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
            if number.is_none() {
                r.report(Diagnostic::new(value.span(), "documents are counted from 1"));
            }
            return number.map(Self::Number);
        }
        let span = value.span();
        let texts: Option<Vec<&str>> = match value.get_ref().as_array() {
            Some(items) => items.iter().map(|item| item.get_ref().as_str()).collect(),
            None => value.get_ref().as_str().map(|text| vec![text]),
        };
        let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
            r.wrong_type(value, wanted);
            return None;
        };
        let read: Vec<Option<Filter>> = texts
            .into_iter()
            .map(|text| match Filter::parse(text) {
                Ok(filter) => filter.resolved(&span, r),
                Err(cause) => {
                    let problem = Diagnostic::new(
                        span.clone(),
                        format!("`{text}` does not choose a document: {cause}"),
                    );
                    r.report(
                        problem.hint("a filter is written like `kind=Service` or `metadata.name=backend`"),
                    );
                    None
                }
            })
            .collect();
        read.into_iter().collect::<Option<_>>().map(Self::Where)
    }
    fn schema(_: &mut Defs) -> Json {
        let text = json!({ "type": "string", "examples": ["kind=Service"] });
        json!({ "oneOf": [{ "type": "integer", "minimum": 1 }, text, { "type": "array", "items": text, "minItems": 1 }] })
    }
}

impl std::fmt::Display for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "document {number}"),
            Self::Where(filters) => {
                let filters: Vec<String> = filters.iter().map(|filter| format!("`{filter}`")).collect();
                write!(f, "the document with {}", wording::list(&filters))
            }
        }
    }
}

/// A check of documents: what the three kinds share.
pub struct DataFiles<'a> {
    /// The files; each is laid over the ones before.
    pub files: &'a OneOrMany<Path>,
    /// Which document of a file is meant.
    pub document: Option<&'a Document>,
    /// The schema that the whole must satisfy.
    pub schema: Option<&'a Path>,
    /// The comparisons.
    pub expect: Expect<'a>,
    /// How a file is read.
    pub load: Loader,
}

/// Makes a record with a method `files` a check.
macro_rules! data_check {
    ($Name:ident by $key:literal) => {
        impl $crate::check::Refuse for $Name {
            fn refuse(
                &self,
                keys: &$crate::check::Keys<'_>,
            ) -> Vec<$crate::pipeline::diagnostic::Diagnostic> {
                self.files().refuse($key, keys)
            }
        }

        impl $crate::check::Check for $Name {
            fn describe(&self) -> String {
                self.files().describe()
            }

            fn observe(&self, cx: &$crate::check::Context<'_>) -> $crate::check::Finding {
                self.files().observe(cx)
            }

            fn subjects(&self) -> Vec<$crate::check::Subject> {
                self.files().subjects()
            }

            fn is_local(&self) -> bool {
                self.files().is_local()
            }
        }
    };
}
pub(crate) use data_check;

impl DataFiles<'_> {
    /// What can never hold or means nothing.
    pub fn refuse(&self, key: &str, keys: &Keys<'_>) -> Vec<Diagnostic> {
        let mut out = self.expect.mistakes(keys, false);
        if self.files.0.is_empty() {
            out.push(keys.mistake(key, "there is no file to look at"));
        }
        out
    }

    /// What must hold, in words.
    pub fn describe(&self) -> String {
        let names: Vec<String> = self.files.0.iter().map(|file| format!("`{file}`")).collect();
        let mut clauses: Vec<String> = self
            .expect
            .clauses()
            .into_iter()
            .enumerate()
            .map(|(i, clause)| if i == 0 { format!("has {clause}") } else { clause })
            .collect();
        clauses.extend(self.schema.map(|schema| format!("satisfies `{schema}`")));
        if clauses.is_empty() {
            clauses.push("can be read".to_owned());
        }
        let within = self.document.map_or_else(String::new, |document| format!("{document} in "));
        format!("{within}{} {}", names.join(" + "), wording::list(&clauses))
    }

    /// The files of the repository among them.
    pub fn subjects(&self) -> Vec<Subject> {
        self.files.0.iter().chain(self.schema).filter_map(Path::subject).collect()
    }

    /// True if all are files of the repository.
    pub fn is_local(&self) -> bool {
        self.files.0.iter().chain(self.schema).all(|path| matches!(path, Path::Inside(_)))
    }

    /// Looks.
    pub fn observe(&self, cx: &Context<'_>) -> Finding {
        self.look(cx).map_or_else(|finding| finding, |found| Finding::Met { found })
    }

    fn look(&self, cx: &Context<'_>) -> Result<Option<String>, Finding> {
        let documents = self.documents(cx)?;
        if let Some(schema) = self.schema {
            validate(one(&documents, "the schema")?, schema, cx)?;
        }
        let all = Node { place: documents[0].place.clone(), content: Content::List(documents.clone()) };
        let root = |path: &DataPath| {
            let chooses = path.starts_with_bracket()
                && (documents.len() > 1 || !matches!(documents[0].content, Content::List(_)));
            if chooses { Ok(&all) } else { one(&documents, &format!("`{path}`")) }
        };
        self.expect.look(&root, cx)
    }

    /// The documents: those of the one file, or the one that several files come to.
    fn documents(&self, cx: &Context<'_>) -> Result<Vec<Node>, Finding> {
        if let [file] = self.files.0.as_slice() {
            return self.of_file(file, cx);
        }
        let mut merged: Option<Node> = None;
        for file in &self.files.0 {
            let documents = self.of_file(file, cx)?;
            let document = one(&documents, "merging")?.clone();
            merged = Some(match merged {
                Some(below) => below.overlay(document),
                None => document,
            });
        }
        merged.map(|node| vec![node]).ok_or_else(|| Finding::unknown("there is no file to look at"))
    }

    fn of_file(&self, file: &Path, cx: &Context<'_>) -> Result<Vec<Node>, Finding> {
        let path = file.fill(cx.scope).map_err(Finding::unknown)?;
        let mut documents = load(&path, self.load, cx)?;
        let Some(document) = self.document else { return Ok(documents) };
        let total = wording::plural(documents.len(), "document");
        match document {
            Document::Number(number) if *number <= documents.len() => {
                Ok(vec![documents.swap_remove(number - 1)])
            }
            Document::Number(_) => Err(Finding::unmet(document.to_string(), total, path)),
            Document::Where(filters) => {
                let mut chosen = Vec::new();
                for node in documents {
                    let holds = filters.iter().map(|filter| filter.holds(&node, cx.scope)).collect::<Result<
                        Vec<bool>,
                        _,
                    >>(
                    );
                    if holds.map_err(Finding::unknown)?.into_iter().all(|holds| holds) {
                        chosen.push(node);
                    }
                }
                match chosen.len() {
                    1 => Ok(chosen),
                    0 => Err(Finding::unmet(document.to_string(), format!("none among {total}"), path)),
                    n => Err(Finding::unmet(document.to_string(), format!("{n} such documents"), path)),
                }
            }
        }
    }
}

/// Reads the documents of a file.
pub fn load(path: &Utf8Path, load: Loader, cx: &Context<'_>) -> Result<Vec<Node>, Finding> {
    let file: Arc<str> = path.as_str().into();
    load(&read(cx, path)?, &file).map_err(|malformed| {
        Finding::unmet("a document that can be read", malformed.why, malformed.place.to_string())
    })
}

/// The only document; `purpose` is what it is needed for.
fn one<'n>(documents: &'n [Node], purpose: &str) -> Result<&'n Node, Finding> {
    match documents {
        [one] => Ok(one),
        several => {
            let found = wording::plural(several.len(), "document");
            let finding = Finding::unmet(
                format!("one document for {purpose}"),
                found,
                several[0].place.file.to_string(),
            );
            Err(finding.hint("say which is meant, such as `document = \"kind=Service\"`, or start the path with `[kind=Service]`"))
        }
    }
}

fn validate(node: &Node, schema: &Path, cx: &Context<'_>) -> Result<(), Finding> {
    let path = schema.fill(cx.scope).map_err(Finding::unknown)?;
    let text = read(cx, &path)?;
    let rules: Json = serde_json::from_str(&text).map_err(|error| {
        let place = Place { file: path.as_str().into(), line: Some(error.line()) };
        Finding::unmet("a JSON Schema", format!("no JSON: {error}"), place.to_string())
    })?;
    match schema::validate(node, &rules) {
        Verdict::Valid => Ok(()),
        Verdict::Invalid(violations) => {
            let Some(first) = violations.first() else { return Ok(()) };
            let more = violations.len() - 1;
            let more = if more == 0 {
                String::new()
            } else {
                format!(", and {} more", wording::plural(more, "violation"))
            };
            let finding = Finding::unmet(
                format!("{} at `{}`", first.expected, first.path),
                format!("{}{more}", first.found),
                first.place.to_string(),
            );
            Err(finding.hint(format!("`{path}` says what is allowed")))
        }
        Verdict::Unknown(why) => Err(Finding::unknown(format!("`{path}` {why}"))),
    }
}
