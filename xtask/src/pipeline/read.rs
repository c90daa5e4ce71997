//! Reading TOML into types with positions: every key knows its type, its text in the schema, and its mistakes.
//!
//! `serde` stops at the first mistake and loses positions inside untagged values; here a type reads itself from
//! the document tree and reports what is wrong, and the reader goes on. [`record!`] makes a table's struct, its
//! reader and its JSON Schema from one declaration, so that the three cannot drift.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::template::{Name, Template, TemplateError};
use crate::ids::Digest;
use crate::wording;

/// The name of a folder of the attempt's own, which goes away with it.
pub const TMP: &str = "tmp";

/// A value of the document with its place.
pub type Value<'i> = Spanned<DeValue<'i>>;

/// What is known and gathered while a file is read.
pub struct Reader<'s> {
    /// The text that spans point into.
    pub source: &'s str,
    /// The mistakes so far, up to [`KEPT`].
    pub problems: Vec<Diagnostic>,
    /// How many more there are.
    pub more: usize,
    /// Declared variables with their values.
    pub vars: BTreeMap<String, String>,
    /// Declared variables that have no value, so that a use of one is named as such.
    pub valueless: BTreeSet<String>,
    /// Names that get their value when the task runs.
    pub runtime: BTreeSet<String>,
    /// Variables whose values are not recorded: the declared ones, and those whose defaults use them.
    pub secret: BTreeSet<String>,
    /// Declared variables that were used since this was last taken.
    pub used: BTreeSet<String>,
    /// The shell that the commands of the task at hand are written for, if any.
    pub shell: Option<super::line::Shell>,
    /// Paths of the task that is being read may lead out of the folder of the file.
    pub outside: bool,
    /// The folder that goes away with an attempt was named since this was last taken.
    pub transient: bool,
    /// Declared facts.
    pub facts: BTreeSet<String>,
    /// How many more bytes of values may be put into texts.
    room: usize,
    /// The key that is being read, for messages.
    key: &'static str,
}

/// How many mistakes are shown at most.
pub const SHOWN: usize = 100;

/// How many mistakes are kept while a file is read. The rest is counted: a bomb of mistakes costs no memory.
pub const KEPT: usize = 1000;

/// How many bytes the values of variables may come to, all uses in a file together. A value can be used in the next
/// one, so without a limit a short file could stand for more text than there is memory.
pub const ROOM: usize = 64 << 20;

/// A type that reads itself from a value.
pub trait Read: Sized {
    /// Reads; on a mistake it is reported and nothing is returned.
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self>;
    /// What stands for a key that is left out; nothing if the key is required.
    fn absent() -> Option<Self> {
        None
    }
    /// What stands for a value with a mistake. The file is refused anyway; it is read on with this, so that one
    /// mistake does not hide the others.
    fn stand_in() -> Option<Self> {
        Self::absent()
    }
    /// What it accepts, as JSON Schema. Definitions of tables are added to `defs`.
    fn schema(defs: &mut Defs) -> Json;
}

/// Tables that the schema refers to by name.
pub type Defs = BTreeMap<String, Json>;

/// A table with fixed keys; made by [`record!`].
pub trait Record: Sized {
    /// Its keys, in the order in which they are declared.
    const KEYS: &'static [&'static str];
    /// Reads the keys and reports unknown ones, except those in `more`.
    fn read_table(table: &DeTable<'_>, span: Range<usize>, r: &mut Reader<'_>, more: &[&str])
    -> Option<Self>;
    /// The properties and the required keys.
    fn properties(defs: &mut Defs) -> (serde_json::Map<String, Json>, Vec<Json>);
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Range<usize>,
}

impl<'s> Reader<'s> {
    /// A reader of `source` that knows no variables yet.
    pub fn new(source: &'s str) -> Self {
        Self {
            source,
            problems: Vec::new(),
            more: 0,
            vars: BTreeMap::new(),
            valueless: BTreeSet::new(),
            runtime: BTreeSet::new(),
            secret: BTreeSet::new(),
            used: BTreeSet::new(),
            shell: None,
            outside: false,
            transient: false,
            facts: BTreeSet::new(),
            room: ROOM,
            key: "",
        }
    }

    /// Reports a mistake.
    pub fn report(&mut self, problem: Diagnostic) {
        if self.problems.len() < KEPT {
            self.problems.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// What was probably meant by a name. A file with more mistakes than are shown has other troubles.
    pub fn nearest<'a>(&self, name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        (self.problems.len() < SHOWN).then(|| wording::nearest(name, candidates)).flatten()
    }

    /// The value of a declared variable, to be put somewhere, which is noted as a use. Nothing if the values that
    /// were put somewhere have become too much.
    pub fn spend(&mut self, name: &str) -> Option<String> {
        let value = self.vars.get(name)?;
        self.room = self.room.checked_sub(value.len())?;
        self.used.insert(name.to_owned());
        Some(value.clone())
    }

    /// Reports that the value of a variable was too much, at `span`.
    pub fn too_long(&mut self, name: &str, span: Range<usize>) {
        let limit = wording::bytes(ROOM as f64);
        let problem =
            format!("with the value of `{name}`, the values that are put in come to more than {limit}");
        self.report(Diagnostic::new(span, problem));
    }

    /// Reports that a value has the wrong type.
    pub fn wrong_type(&mut self, value: &Value<'_>, wanted: &str) {
        let found = match value.get_ref().type_str() {
            "array" | "integer" => format!("an {}", value.get_ref().type_str()),
            other => format!("a {other}"),
        };
        let message = if self.key.is_empty() {
            format!("expected {wanted}, found {found}")
        } else {
            format!("`{}` takes {wanted}, not {found}", self.key)
        };
        self.report(Diagnostic::new(value.span(), message));
    }

    /// Reads one key of a table.
    pub fn key<T: Read>(&mut self, table: &DeTable<'_>, key: &'static str, span: &Range<usize>) -> Option<T> {
        match table.get(key) {
            Some(value) => {
                let outer = std::mem::replace(&mut self.key, key);
                let read = T::read(value, self);
                self.key = outer;
                read
            }
            None => {
                let absent = T::absent();
                if absent.is_none() {
                    self.report(Diagnostic::new(span.clone(), format!("the key `{key}` is missing")));
                }
                absent
            }
        }
    }

    /// Reports keys that nobody reads, with the key that was probably meant.
    pub fn unknown_keys(&mut self, table: &DeTable<'_>, known: &[&str], more: &[&str]) {
        for (key, _) in table.iter() {
            let name: &str = key.get_ref();
            if known.contains(&name) || more.contains(&name) {
                continue;
            }
            let all = || known.iter().chain(more).copied();
            let hint = self.nearest(name, all()).map_or_else(
                || {
                    format!(
                        "keys here are {}",
                        wording::list(&all().map(|k| format!("`{k}`")).collect::<Vec<_>>())
                    )
                },
                |near| format!("did you mean `{near}`?"),
            );
            self.report(Diagnostic::new(key.span(), format!("unknown key `{name}`")).hint(hint));
        }
    }

    /// Reads text with variables, reporting each unset one at its own place.
    pub fn template(&mut self, text: &str, span: &Range<usize>) -> Option<Template> {
        self.template_with(text, span, |value| value)
    }

    /// The same, with each declared value passed through `escape` first.
    pub fn template_with(
        &mut self,
        text: &str,
        span: &Range<usize>,
        escape: impl Fn(String) -> String,
    ) -> Option<Template> {
        let mut transient = false;
        let (template, errors) = Template::parse(text, |name| {
            if self.vars.contains_key(name) {
                self.spend(name).map_or(Name::TooLong, |value| Name::Static(escape(value)))
            } else if self.runtime.contains(name) {
                transient |= name == TMP;
                Name::Runtime
            } else {
                Name::Unset
            }
        });
        self.transient |= transient;
        let fine = errors.is_empty();
        for error in errors {
            let problem = match error {
                TemplateError::Unset(name) if self.valueless.contains(&name) => {
                    Diagnostic::new(self.find(span, &format!("${{{name}}}")), format!("the variable `{name}` has no value")).hint(format!(
                        "give it one with `--set {name}=VALUE`, in the environment as `XTASK_VAR_{name}`, or a default in [vars]"
                    ))
                }
                TemplateError::Unset(name) => {
                    let near = self.nearest(&name, self.vars.keys().chain(&self.runtime).map(String::as_str));
                    let hint = near.map_or_else(
                        || format!("declare it in [vars], or write `$${{{name}}}` for the text itself"),
                        |near| format!("did you mean `${{{near}}}`?"),
                    );
                    Diagnostic::new(self.find(span, &format!("${{{name}}}")), format!("unset variable `{name}`")).hint(hint)
                }
                TemplateError::TooLong(name) => {
                    let at = self.find(span, &format!("${{{name}}}"));
                    self.too_long(&name, at);
                    continue;
                }
                TemplateError::Malformed(start) => Diagnostic::new(self.find(span, &start), "`${` does not start a variable")
                    .hint("a variable is written `${name}`; write `$${` for the characters themselves"),
            };
            self.report(problem);
        }
        fine.then_some(template)
    }

    /// The place of `part` inside `span`, or the whole span where escapes hide it.
    pub fn find(&self, span: &Range<usize>, part: &str) -> Range<usize> {
        match self.source.get(span.clone()).and_then(|text| text.find(part)) {
            Some(at) => span.start + at..span.start + at + part.len(),
            None => span.clone(),
        }
    }

    /// Reads text whose value must be known before anything runs (a path, a pattern).
    pub fn fixed(&mut self, text: &str, span: &Range<usize>) -> Option<String> {
        let template = self.template(text, span)?;
        let Some(fixed) = template.as_static() else {
            let name = template.runtime_names().next().unwrap_or_default().to_owned();
            let at = self.find(span, &format!("${{{name}}}"));
            self.report(Diagnostic::new(
                at,
                format!("`${{{name}}}` is known only while the task runs, so it can't stand here"),
            ));
            return None;
        };
        Some(fixed.to_owned())
    }
}

/// Declares a table of the file: struct, reader and schema. A field's doc comment is its text in the schema;
/// `Option`, `Vec`, `Map` and types with a default may be left out.
macro_rules! record {
    ($(#[doc = $doc:literal])* $vis:vis struct $Name:ident { $( $(#[doc = $fdoc:literal])* $field:ident : $ty:ty ),* $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        $vis struct $Name { $( $(#[doc = $fdoc])* pub $field: $ty ),* }

        impl $crate::pipeline::read::Record for $Name {
            const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn read_table(
                table: &toml::de::DeTable<'_>,
                span: std::ops::Range<usize>,
                r: &mut $crate::pipeline::read::Reader<'_>,
                more: &[&str],
            ) -> Option<Self> {
                $(
                    let $field = r.key::<$ty>(table, stringify!($field), &span);
                    let $field = $field.or_else(<$ty as $crate::pipeline::read::Read>::stand_in);
                )*
                r.unknown_keys(table, Self::KEYS, more);
                Some(Self { $( $field: $field? ),* })
            }

            fn properties(defs: &mut $crate::pipeline::read::Defs) -> (serde_json::Map<String, serde_json::Value>, Vec<serde_json::Value>) {
                let mut properties = serde_json::Map::new();
                let mut required = Vec::new();
                $(
                    let schema = <$ty as $crate::pipeline::read::Read>::schema(defs);
                    properties.insert(
                        stringify!($field).to_owned(),
                        $crate::pipeline::read::described(schema, &[$($fdoc),*]),
                    );
                    if <$ty as $crate::pipeline::read::Read>::absent().is_none() {
                        required.push(serde_json::Value::from(stringify!($field)));
                    }
                )*
                (properties, required)
            }
        }

        impl $crate::pipeline::read::Read for $Name {
            fn read(value: &$crate::pipeline::read::Value<'_>, r: &mut $crate::pipeline::read::Reader<'_>) -> Option<Self> {
                $crate::pipeline::read::read_record(value, r)
            }

            fn schema(defs: &mut $crate::pipeline::read::Defs) -> serde_json::Value {
                $crate::pipeline::read::record_schema::<Self>(defs, stringify!($Name), &[$($doc),*])
            }
        }
    };
}
pub(crate) use record;

/// Reads a table as a record.
pub fn read_record<T: Record>(value: &Value<'_>, r: &mut Reader<'_>) -> Option<T> {
    let Some(table) = value.get_ref().as_table() else {
        r.wrong_type(value, "a table");
        return None;
    };
    T::read_table(table, head(r.source, value.span()), r, &[])
}

/// The schema of a record, kept once under `$defs`.
pub fn record_schema<T: Record>(defs: &mut Defs, name: &str, doc: &[&str]) -> Json {
    if !defs.contains_key(name) {
        defs.insert(name.to_owned(), Json::Null);
        let (properties, required) = T::properties(defs);
        let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
        if !required.is_empty() {
            schema["required"] = Json::Array(required);
        }
        defs.insert(name.to_owned(), described(schema, doc));
    }
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// Adds a description made of doc-comment lines.
pub fn described(schema: Json, doc: &[&str]) -> Json {
    let text = doc.iter().map(|l| l.trim()).collect::<Vec<_>>().join(" ");
    let mut schema = schema;
    if let (Json::Object(map), false) = (&mut schema, text.is_empty()) {
        map.insert("description".to_owned(), Json::String(text));
    }
    schema
}

/// The first line of a span: a caret under a whole table helps nobody.
pub fn head(source: &str, span: Range<usize>) -> Range<usize> {
    let end = source.get(span.clone()).and_then(|t| t.find('\n')).map_or(span.end, |i| span.start + i);
    span.start..end
}

impl<T: Read> Read for At<T> {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        Some(Self { value: T::read(value, r)?, span: value.span() })
    }
    fn schema(defs: &mut Defs) -> Json {
        T::schema(defs)
    }
}

impl<T: Read> Read for Option<T> {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        T::read(value, r).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
    fn schema(defs: &mut Defs) -> Json {
        T::schema(defs)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(items) = value.get_ref().as_array() else {
            r.wrong_type(value, "an array");
            return None;
        };
        Some(items.iter().filter_map(|item| T::read(item, r)).collect())
    }
    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
    fn schema(defs: &mut Defs) -> Json {
        json!({ "type": "array", "items": T::schema(defs) })
    }
}

/// One value or an array of them.
#[derive(Debug, Clone)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: Read> Read for OneOrMany<T> {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        if value.get_ref().is_array() {
            Vec::read(value, r).map(Self)
        } else {
            T::read(value, r).map(|one| Self(vec![one]))
        }
    }
    fn absent() -> Option<Self> {
        Some(Self(Vec::new()))
    }
    fn schema(defs: &mut Defs) -> Json {
        let one = T::schema(defs);
        json!({ "oneOf": [one, { "type": "array", "items": one }] })
    }
}

/// A table whose keys are names that the author chooses, in the order of the file.
#[derive(Debug, Clone)]
pub struct Map<T>(pub Vec<(At<String>, T)>);

impl<T> Map<T> {
    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = &(At<String>, T)> {
        self.0.iter()
    }
}

impl<T: Read> Read for Map<T> {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            r.wrong_type(value, "a table");
            return None;
        };
        let entry = |(key, value): (&toml::Spanned<std::borrow::Cow<'_, str>>, &Value<'_>)| {
            let name = At { value: key.get_ref().to_string(), span: key.span() };
            Some((name, T::read(value, r)?))
        };
        Some(Self(table.iter().filter_map(entry).collect()))
    }
    fn absent() -> Option<Self> {
        Some(Self(Vec::new()))
    }
    fn schema(defs: &mut Defs) -> Json {
        json!({ "type": "object", "additionalProperties": T::schema(defs) })
    }
}

impl Read for String {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            r.wrong_type(value, "a string");
        }
        text
    }
    fn stand_in() -> Option<Self> {
        Some(String::new())
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "string" })
    }
}

impl Read for bool {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let read = value.get_ref().as_bool();
        if read.is_none() {
            r.wrong_type(value, "`true` or `false`");
        }
        read
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "boolean" })
    }
}

/// A switch that is off where it is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Switch(pub bool);

impl Read for Switch {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        bool::read(value, r).map(Self)
    }
    fn absent() -> Option<Self> {
        Some(Self(false))
    }
    fn schema(defs: &mut Defs) -> Json {
        bool::schema(defs)
    }
}

/// A whole number that is not negative.
impl Read for u64 {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let read = value.get_ref().as_integer().and_then(|i| u64::from_str_radix(i.as_str(), i.radix()).ok());
        if read.is_none() {
            r.wrong_type(value, "a whole number that is not negative");
        }
        read
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "integer", "minimum": 0 })
    }
}

/// A number, whole or not.
impl Read for f64 {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let read = number(value.get_ref());
        if read.is_none() {
            r.wrong_type(value, "a number");
        }
        read
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "number" })
    }
}

/// The number that a TOML integer or float stands for.
pub fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix()).ok().map(|n| n as f64),
        DeValue::Float(f) => f.as_str().parse().ok(),
        _ => None,
    }
}

/// A duration such as `"90s"`, `"10m"` or `"1h 30m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub Duration);

impl Period {
    /// Reads the text form.
    pub fn parse(text: &str) -> Option<Self> {
        let signed: jiff::SignedDuration = text.parse().ok()?;
        Duration::try_from(signed).ok().map(Self)
    }
}

impl Read for Period {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            r.wrong_type(value, "a duration such as \"90s\" or \"10m\"");
            return None;
        };
        let read = Self::parse(text);
        if read.is_none() {
            r.report(
                Diagnostic::new(value.span(), format!("`{text}` is not a duration"))
                    .hint("write a number and a unit, such as \"500ms\", \"90s\", \"10m\" or \"1h 30m\""),
            );
        }
        read
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "string", "examples": ["500ms", "90s", "10m", "1h 30m"] })
    }
}

impl Read for Template {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            r.wrong_type(value, "a string");
            return None;
        };
        r.template(text, &value.span())
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "string" })
    }
}

/// A regular expression; declared variables are put in literally, as text to be matched.
///
/// Its syntax is checked when the file is read; it is compiled when it is first used. Compiling takes most of the
/// time that reading would, and a run in which nothing is left to do uses none.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    compiled: std::sync::OnceLock<regex::Regex>,
}

impl Pattern {
    /// Checks a pattern, reporting at `span` what is wrong with it; `shown` is how it stands in the file.
    pub fn check(pattern: &str, shown: &str, span: &Range<usize>, r: &mut Reader<'_>) -> Option<Self> {
        let wrong = match regex_syntax::parse(pattern) {
            Ok(hir) if weight(&hir) <= HEAVIEST_PATTERN => None,
            Ok(_) => Some("it is too large when its repetitions are written out".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        let Some(wrong) = wrong else {
            return Some(Self { text: pattern.to_owned(), compiled: std::sync::OnceLock::new() });
        };
        let cause = wrong.lines().last().unwrap_or_default().trim_start_matches("error: ");
        r.report(
            Diagnostic::new(span.clone(), format!("`{shown}` is not a regular expression: {cause}"))
                .hint("put it in single quotes, so that TOML leaves backslashes alone"),
        );
        None
    }

    /// The compiled pattern.
    pub fn regex(&self) -> &regex::Regex {
        #[expect(clippy::expect_used, reason = "its syntax and its weight were checked")]
        self.compiled.get_or_init(|| {
            regex::RegexBuilder::new(&self.text)
                .size_limit(COMPILED_LIMIT)
                .build()
                .expect("a checked pattern compiles")
        })
    }

    /// The pattern, variables filled in.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The heaviest pattern that is taken, by its [`weight`].
const HEAVIEST_PATTERN: u64 = 100_000;

/// The most bytes that a compiled pattern may have: no pattern that is light enough gets there.
const COMPILED_LIMIT: usize = 64 << 20;

/// About how many steps a pattern has once every repetition is written out, which is what it is compiled to. An upper
/// bound: a class of characters counts four steps, the bytes of a character, for each of its ranges.
fn weight(hir: &regex_syntax::hir::Hir) -> u64 {
    use regex_syntax::hir::{Class, HirKind};
    let sum = |parts: &[regex_syntax::hir::Hir]| parts.iter().map(weight).fold(1, u64::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Unicode(class)) => 4 * class.ranges().len() as u64,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64,
        HirKind::Repetition(r) => {
            let times = r.max.unwrap_or(r.min.saturating_add(1)).max(1);
            weight(&r.sub).saturating_add(1).saturating_mul(u64::from(times))
        }
        HirKind::Capture(capture) => weight(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => sum(parts),
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether it has been compiled is nobody's concern.
impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

impl Read for Pattern {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            r.wrong_type(value, "a regular expression");
            return None;
        };
        let span = value.span();
        let template = r.template_with(text, &span, |value| regex::escape(&value))?;
        let Some(pattern) = template.as_static() else {
            let name = template.runtime_names().next().unwrap_or_default().to_owned();
            let at = r.find(&span, &format!("${{{name}}}"));
            r.report(Diagnostic::new(
                at,
                format!("`${{{name}}}` is known only while the task runs, so it can't stand in a pattern"),
            ));
            return None;
        };
        Self::check(pattern, text, &span, r)
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "string", "format": "regex" })
    }
}

/// A path relative to the root of the pipeline that stays inside it, with `/` between names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InsidePath(pub camino::Utf8PathBuf);

impl InsidePath {
    /// Checks a path that was read, reporting at `span` what is wrong with it. A task that says `outside` may name any.
    pub fn check(text: &str, span: &Range<usize>, r: &mut Reader<'_>) -> Option<Self> {
        if text.is_empty() || text.contains('\0') {
            r.report(Diagnostic::new(span.clone(), format!("`{}` is not a path", text.escape_debug())));
            return None;
        }
        if r.outside {
            return Some(Self(text.into()));
        }
        let Some(clean) = inside(camino::Utf8Path::new(text)) else {
            r.report(Diagnostic::new(span.clone(), leads_out(text)).hint(LEADS_OUT_HINT));
            return None;
        };
        Some(Self(clean))
    }
}

/// A relative path without `.` and `..`; nothing if it leads out of the folder that it starts from.
pub fn inside(path: &camino::Utf8Path) -> Option<camino::Utf8PathBuf> {
    let mut clean = camino::Utf8PathBuf::new();
    for part in path.components() {
        match part {
            camino::Utf8Component::CurDir => {}
            camino::Utf8Component::Normal(name) => clean.push(name),
            camino::Utf8Component::ParentDir if clean.pop() => {}
            _ => return None,
        }
    }
    if clean.as_str().is_empty() {
        clean.push(".");
    }
    Some(clean)
}

/// That a path leads where it must not.
pub fn leads_out(path: &str) -> String {
    format!("`{path}` leads out of the folder of pipeline.toml")
}

const LEADS_OUT_HINT: &str =
    "paths are relative to that folder and stay inside it, unless the task says `outside = true`";

impl Read for InsidePath {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            r.wrong_type(value, "a path");
            return None;
        };
        let span = value.span();
        let text = r.fixed(text, &span)?;
        Self::check(&text, &span, r)
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "string" })
    }
}

/// A place outside the repository: `/path`, `~/path` in the folder of the user, or `$NAME` and `$NAME/path` for what an
/// environment variable holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsidePath {
    start: Start,
    rest: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Start {
    Here,
    Home,
    Variable(String),
}

impl OutsidePath {
    /// Reads the text form.
    pub fn parse(text: &str) -> Option<Self> {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (start, rest) = if let Some(rest) = text.strip_prefix("~/") {
            (Start::Home, rest)
        } else if let Some(variable) = text.strip_prefix('$') {
            let end = variable.find(|c| !name(c)).unwrap_or(variable.len());
            let (variable, rest) = variable.split_at(end);
            if variable.is_empty() || !(rest.is_empty() || rest.starts_with('/')) {
                return None;
            }
            (Start::Variable(variable.to_owned()), rest.trim_start_matches('/'))
        } else if text.starts_with('/') || text.get(1..3).is_some_and(|s| s == ":/" || s == ":\\") {
            (Start::Here, text)
        } else {
            return None;
        };
        (!text.contains('\0')).then(|| Self { start, rest: rest.to_owned() })
    }

    /// Where that is, given the environment. A variable may hold several paths, as `KUBECONFIG` does, or the address
    /// of a socket, as `DOCKER_HOST`; where it holds neither (`tcp://...`), or is not set, that is nowhere.
    pub fn places(&self, variable: &dyn Fn(&str) -> Option<String>) -> Vec<camino::Utf8PathBuf> {
        let starts: Vec<camino::Utf8PathBuf> = match &self.start {
            Start::Here => return vec![self.rest.as_str().into()],
            Start::Home => {
                variable("HOME").or_else(|| variable("USERPROFILE")).map(Into::into).into_iter().collect()
            }
            Start::Variable(name) => {
                let value = variable(name).unwrap_or_default();
                match value.split_once("://") {
                    Some(("unix", path)) => vec![path.into()],
                    Some(_) => Vec::new(),
                    None => std::env::split_paths(&value).filter_map(|p| p.try_into().ok()).collect(),
                }
            }
        };
        // `join` would put a separator behind a path that is whole already.
        let whole = |start: camino::Utf8PathBuf| {
            if self.rest.is_empty() { start } else { start.join(&self.rest) }
        };
        starts.into_iter().filter(|s| s.is_absolute()).map(whole).collect()
    }
}

impl Read for OutsidePath {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            r.wrong_type(value, "a path");
            return None;
        };
        let span = value.span();
        let text = r.fixed(text, &span)?;
        let read = Self::parse(&text);
        if read.is_none() {
            r.report(
                Diagnostic::new(
                    span,
                    format!("`{}` is not a path outside the repository", text.escape_debug()),
                )
                .hint("write \"/path\", \"~/path\", or \"$NAME\" for the paths in an environment variable"),
            );
        }
        read
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "string", "examples": ["/var/run/docker.sock", "~/.kube/config", "$DOCKER_HOST"] })
    }
}

/// A glob over the files of the repository, such as `docker/backend/**`; relative to the root. Checked when the file is
/// read, compiled when something is matched for the first time: most calls match nothing.
#[derive(Clone)]
pub struct Glob {
    /// As it is written, variables filled in.
    pub pattern: String,
    /// What it matches; nothing if it is just a path.
    parsed: Option<Arc<Parsed>>,
}

#[derive(Debug)]
struct Parsed {
    glob: globset::Glob,
    matcher: OnceLock<globset::GlobMatcher>,
}

/// Whether it has been compiled is nobody's concern.
impl std::fmt::Debug for Glob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Glob({:?})", self.pattern)
    }
}

/// The longest pattern that is taken, in bytes.
const LONGEST_GLOB: usize = 1000;

/// How deep `{` may stand inside of `{`: what reads them calls itself for each.
const DEEPEST_GLOB: usize = 10;

impl Glob {
    /// Reads a pattern; `*` stops at `/`, `**` does not. The other case is what is wrong with it.
    pub fn new(pattern: &str) -> Result<Self, String> {
        if !pattern.contains(['*', '?', '[', '{', '\\']) {
            return Ok(Self { pattern: pattern.to_owned(), parsed: None });
        }
        if pattern.len() > LONGEST_GLOB {
            return Err(format!("it has more than {LONGEST_GLOB} bytes"));
        }
        let depth = pattern.bytes().scan(0_usize, |depth, b| {
            *depth = if b == b'{' { *depth + 1 } else { depth.saturating_sub(usize::from(b == b'}')) };
            Some(*depth)
        });
        if depth.max().unwrap_or_default() > DEEPEST_GLOB {
            return Err(format!("more than {DEEPEST_GLOB} of its braces stand inside each other"));
        }
        let glob = globset::GlobBuilder::new(pattern).literal_separator(true).build();
        let glob = glob.map_err(|error| error.kind().to_string())?;
        let parsed = Some(Arc::new(Parsed { glob, matcher: OnceLock::new() }));
        Ok(Self { pattern: pattern.to_owned(), parsed })
    }

    /// Whether it matches a path that is relative to the root.
    pub fn is_match(&self, path: impl AsRef<std::path::Path>) -> bool {
        match &self.parsed {
            None => path.as_ref() == std::path::Path::new(&self.pattern),
            Some(parsed) => {
                parsed.matcher.get_or_init(|| parsed.glob.compile_matcher()).is_match(path.as_ref())
            }
        }
    }

    /// The path, if the pattern is just one: no walk is needed then.
    pub fn as_path(&self) -> Option<&str> {
        self.parsed.is_none().then_some(self.pattern.as_str())
    }

    /// The folder that everything it matches lies in, as far as the pattern names it.
    pub fn base(&self) -> &str {
        let cut = self.pattern.find(['*', '?', '[', '{', '\\']).unwrap_or(self.pattern.len());
        self.pattern[..cut].rfind('/').map_or("", |i| &self.pattern[..i])
    }
}

impl Read for Glob {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            r.wrong_type(value, "a glob pattern");
            return None;
        };
        let span = value.span();
        let text = r.fixed(text, &span)?;
        if text.starts_with('/') || text.split('/').any(|part| part == "..") {
            r.report(
                Diagnostic::new(span, leads_out(&text))
                    .hint("patterns are relative to that folder and stay inside it"),
            );
            return None;
        }
        match Self::new(text.trim_start_matches("./")) {
            Ok(glob) => Some(glob),
            Err(error) => {
                r.report(Diagnostic::new(span, format!("`{text}` is not a glob pattern: {error}")));
                None
            }
        }
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "string", "examples": ["docker/backend/**"] })
    }
}

/// Any TOML value, with variables filled into its strings; compared as JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Any(pub Json);

impl Read for Any {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let span = value.span();
        let mut fine = true;
        let json = to_json(value.get_ref(), &mut |text| match r.fixed(text, &span) {
            Some(text) => text,
            None => {
                fine = false;
                String::new()
            }
        });
        fine.then_some(Self(json))
    }
    fn schema(_: &mut Defs) -> Json {
        json!({})
    }
}

/// A TOML value as JSON, each string passed through `text`.
pub fn to_json(value: &DeValue<'_>, text: &mut dyn FnMut(&str) -> String) -> Json {
    match value {
        DeValue::String(s) => Json::String(text(s)),
        DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix()).map_or(Json::Null, Json::from),
        DeValue::Float(f) => f.as_str().parse::<f64>().map_or(Json::Null, Json::from),
        DeValue::Boolean(b) => Json::Bool(*b),
        DeValue::Datetime(d) => Json::String(d.to_string()),
        DeValue::Array(items) => items.iter().map(|v| to_json(v.get_ref(), text)).collect(),
        DeValue::Table(table) => Json::Object(
            table.iter().map(|(k, v)| (k.get_ref().to_string(), to_json(v.get_ref(), text))).collect(),
        ),
    }
}

/// A digest of a value that does not change with the order of keys, comments or the way that it is written.
pub fn digest(value: &DeValue<'_>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    feed(value, &mut hasher);
    Digest::from_hasher(&hasher)
}

fn feed(value: &DeValue<'_>, hasher: &mut blake3::Hasher) {
    let mut part = |tag: u8, text: &str| {
        hasher.update(&[tag]);
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    match value {
        DeValue::String(s) => part(b's', s),
        DeValue::Integer(i) => {
            part(b'i', &i64::from_str_radix(i.as_str(), i.radix()).unwrap_or_default().to_string());
        }
        DeValue::Float(f) => part(b'f', f.as_str()),
        DeValue::Boolean(b) => part(b'b', if *b { "1" } else { "0" }),
        DeValue::Datetime(d) => part(b'd', &d.to_string()),
        DeValue::Array(items) => {
            part(b'[', &items.len().to_string());
            items.iter().for_each(|v| feed(v.get_ref(), hasher));
        }
        DeValue::Table(table) => {
            part(b'{', &table.len().to_string());
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by(|a, b| a.0.get_ref().cmp(b.0.get_ref()));
            for (key, v) in entries {
                hasher.update(b"k");
                hasher.update(&(key.get_ref().len() as u64).to_le_bytes());
                hasher.update(key.get_ref().as_bytes());
                feed(v.get_ref(), hasher);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_outside() {
        let variables = |name: &str| {
            let value = match name {
                "HOME" => "/h",
                "SOCKET" => "unix:///run/d.sock",
                "ADDRESS" => "tcp://127.0.0.1:2375",
                "LIST" => "/a/config:/b:relative",
                "RUN" => "/run/user/1",
                _ => return None,
            };
            Some(value.to_owned())
        };
        for (text, places) in [
            ("/var/run/d.sock", &["/var/run/d.sock"][..]),
            ("~/.kube/config", &["/h/.kube/config"]),
            ("$SOCKET", &["/run/d.sock"]),
            ("$ADDRESS", &[]),
            ("$LIST", &["/a/config", "/b"]),
            ("$RUN/d.sock", &["/run/user/1/d.sock"]),
            ("$UNSET", &[]),
            ("$UNSET/d.sock", &[]),
        ] {
            let path = OutsidePath::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(path.places(&variables), places, "{text}");
        }
        for text in ["", "a", "./a", "~", "~other/a", "$", "$A-B", "${A}", "$A.b", "/a\0"] {
            assert_eq!(OutsidePath::parse(text), None, "{text}");
        }
        let nobody = |_: &str| None;
        assert!(OutsidePath::parse("~/a").is_some_and(|path| path.places(&nobody).is_empty()));
    }
}
