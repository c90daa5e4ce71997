//! What is asked of values: equal to, at least, matches, ... Shared by every check that looks into a document.

use std::fmt;

use serde_json::{Value as Json, json};
use toml::de::DeValue;

use super::path::{DataPath, Selection};
use super::{Content, Node, show};
use crate::check::text::Search;
use crate::check::{Context, Finding, Keys};
use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::read::{Defs, Read, Reader, Value, to_json};
use crate::pipeline::template::{Scope, Template};
use crate::wording;

/// A value to compare with; its texts may name what only a run knows.
#[derive(Debug, Clone)]
pub enum Expected {
    /// Null, a truth value or a number.
    Plain(Json),
    /// A text.
    Text(Template),
    /// A list.
    List(Vec<Expected>),
    /// A table.
    Table(Vec<(String, Expected)>),
}

impl Expected {
    /// The value, with run-time names filled in.
    pub fn fill(&self, scope: &dyn Scope) -> Result<Json, String> {
        Ok(match self {
            Self::Plain(value) => value.clone(),
            Self::Text(template) => Json::String(template.fill(scope)?),
            Self::List(items) => items.iter().map(|item| item.fill(scope)).collect::<Result<_, _>>()?,
            Self::Table(entries) => Json::Object(
                entries
                    .iter()
                    .map(|(key, item)| Ok((key.clone(), item.fill(scope)?)))
                    .collect::<Result<_, String>>()?,
            ),
        })
    }

    /// The value as it is written.
    fn written(&self) -> Json {
        match self {
            Self::Plain(value) => value.clone(),
            Self::Text(template) => Json::String(template.to_string()),
            Self::List(items) => items.iter().map(Self::written).collect(),
            Self::Table(entries) => {
                Json::Object(entries.iter().map(|(key, item)| (key.clone(), item.written())).collect())
            }
        }
    }
}

/// As JSON.
impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show(&self.written()))
    }
}

impl Read for Expected {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(text) => r.template(text, &value.span()).map(Self::Text),
            DeValue::Array(items) => {
                let read: Vec<Option<Self>> = items.iter().map(|item| Self::read(item, r)).collect();
                read.into_iter().collect::<Option<_>>().map(Self::List)
            }
            DeValue::Table(table) => {
                let read: Vec<_> = table
                    .iter()
                    .map(|(key, item)| Some((key.get_ref().to_string(), Self::read(item, r)?)))
                    .collect();
                read.into_iter().collect::<Option<_>>().map(Self::Table)
            }
            plain => Some(Self::Plain(to_json(plain, &mut str::to_owned))),
        }
    }
    fn schema(_: &mut Defs) -> Json {
        json!({})
    }
}

/// Paths with the value that each must have.
#[derive(Debug, Clone, Default)]
pub struct Values(pub Vec<(DataPath, Expected)>);

impl Read for Values {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            r.wrong_type(value, "a table such as { \"spec.replicas\" = 1 }");
            return None;
        };
        let read: Vec<_> = table
            .iter()
            .map(|(key, value)| {
                // Both are read before either is given up, so that both are reported.
                let path = DataPath::read_text(key.get_ref(), &key.span(), r);
                let expected = Expected::read(value, r);
                Some((path?, expected?))
            })
            .collect();
        read.into_iter().collect::<Option<_>>().map(Self)
    }
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "object", "examples": [{ "metadata.name": "backend", "spec.replicas": 1 }] })
    }
}

/// Declares a check that looks into a document: its own keys, the key that holds the path, and the comparisons.
macro_rules! data_record {
    ($(#[doc = $doc:literal])* $vis:vis struct $Name:ident { $( $(#[doc = $fdoc:literal])* $field:ident : $ty:ty ),* $(,)? } by $path:ident) => {
        $crate::pipeline::read::record! {
            $(#[doc = $doc])*
            $vis struct $Name {
                $( $(#[doc = $fdoc])* $field: $ty, )*
                /// Which values are meant, such as "spec.containers[name=backend].image". All of them must fit.
                $path: Option<$crate::check::data::DataPath>,
                /// The value must be this one. 1 and 1.0 are equal, 1 and "1" are not.
                equals: Option<$crate::check::data::expect::Expected>,
                /// A regular expression that the value must match.
                matches: Option<$crate::check::text::Search>,
                /// The smallest number that the value may be.
                min: Option<f64>,
                /// The largest number that the value may be.
                max: Option<f64>,
                /// A list must have this item, a text this part, a table this key.
                includes: Option<$crate::check::data::expect::Expected>,
                /// How many values the path must select; `[*]` at its end counts the items of a list.
                count: Option<u64>,
                /// `false`: the path must lead nowhere.
                exists: Option<bool>,
                /// Several paths, each with the value that it must have.
                values: $crate::check::data::expect::Values,
            }
        }

        impl $Name {
            fn expect(&self) -> $crate::check::data::expect::Expect<'_> {
                $crate::check::data::expect::Expect {
                    path: self.$path.as_ref(),
                    path_key: stringify!($path),
                    equals: self.equals.as_ref(),
                    matches: self.matches.as_ref(),
                    min: self.min,
                    max: self.max,
                    includes: self.includes.as_ref(),
                    count: self.count,
                    exists: self.exists,
                    values: &self.values,
                }
            }
        }
    };
}
pub(crate) use data_record;

/// The comparisons of a check.
#[derive(Clone, Copy)]
pub struct Expect<'a> {
    /// Which values are meant; without it the whole.
    pub path: Option<&'a DataPath>,
    /// The key that holds the path.
    pub path_key: &'static str,
    /// Equal to this.
    pub equals: Option<&'a Expected>,
    /// Matches this.
    pub matches: Option<&'a Search>,
    /// At least this.
    pub min: Option<f64>,
    /// At most this.
    pub max: Option<f64>,
    /// Includes this.
    pub includes: Option<&'a Expected>,
    /// So many values.
    pub count: Option<u64>,
    /// Something or nothing is there.
    pub exists: Option<bool>,
    /// The short form.
    pub values: &'a Values,
}

/// Gives the document that a path starts in.
pub type Root<'n> = dyn Fn(&DataPath) -> Result<&'n Node, Finding> + 'n;

/// Keys that compare the selected values.
const COMPARISONS: &[&str] = &["equals", "matches", "min", "max", "includes"];

impl Expect<'_> {
    /// True if no document is needed.
    pub fn is_empty(&self) -> bool {
        self.path.is_none() && self.values.0.is_empty()
    }

    /// True if the whole text is compared, without a path.
    pub fn compares_whole(&self) -> bool {
        self.path.is_none()
            && (self.equals.is_some() || self.matches.is_some() || self.min.is_some() || self.max.is_some())
    }

    /// What can never hold or means nothing. `whole`: without a path, the whole text is compared.
    pub fn mistakes(&self, keys: &Keys<'_>, whole: bool) -> Vec<Diagnostic> {
        let compared = COMPARISONS.iter().find(|key| keys.has(key));
        let mut out: Vec<Diagnostic> = keys.crossed(self.min, self.max).into_iter().collect();
        if let (Some(false), Some(key)) =
            (self.exists, compared.or_else(|| keys.has("count").then_some(&"count")))
        {
            out.push(keys.mistake(key, format!("a value that must not exist can't have `{key}`")));
        }
        if self.count == Some(0)
            && let Some(key) = compared
        {
            out.push(keys.mistake(key, format!("no values (`count = 0`) can't have `{key}`")));
        }
        let needy = ["equals", "matches", "min", "max", "includes", "count", "exists"];
        let free = if whole { &needy[..4] } else { &[] };
        let lonely = needy
            .iter()
            .filter(|key| !free.contains(key))
            .filter_map(|key| keys.alone(key, &[self.path_key]));
        out.extend(lonely.map(|mistake| {
            mistake.hint(format!("say which value is meant: `{} = \"spec.replicas\"`", self.path_key))
        }));
        if keys.has("values") && self.values.0.is_empty() {
            out.push(keys.mistake("values", "`values` is empty, so nothing is compared"));
        }
        out
    }

    /// As parts of a sentence: "`spec.replicas` = 1".
    pub fn clauses(&self) -> Vec<String> {
        let name = self.path.map_or_else(|| "it".to_owned(), |path| format!("`{path}`"));
        let mut out: Vec<String> =
            self.conditions().into_iter().map(|condition| format!("{name} {condition}")).collect();
        if out.is_empty() && self.path.is_some() {
            out.push(format!("{name} exists"));
        }
        out.extend(self.values.0.iter().map(|(path, value)| format!("`{path}` = {value}")));
        out
    }

    fn conditions(&self) -> Vec<String> {
        let mut out = Vec::new();
        out.extend(self.equals.map(|value| format!("= {value}")));
        out.extend(self.matches.map(|search| format!("matches `{search}`")));
        out.extend(self.min.map(|min| format!(">= {min}")));
        out.extend(self.max.map(|max| format!("<= {max}")));
        out.extend(self.includes.map(|value| format!("includes {value}")));
        out.extend(self.count.map(|count| format!("has {}", values(count))));
        out.extend((self.exists == Some(false)).then(|| "does not exist".to_owned()));
        out
    }

    /// Looks; the error is the first thing that does not hold. Met findings may name a single value that was asked for.
    pub fn look<'n>(&self, root: &Root<'n>, cx: &Context<'_>) -> Result<Option<String>, Finding> {
        let mut seen = None;
        if let Some(path) = self.path {
            let node = root(path)?;
            let selection = path.select(node, cx.scope).map_err(Finding::unknown)?;
            self.compare_selection(path, node, &selection, cx)?;
            if let ([(_, node)], true) =
                (selection.found.as_slice(), self.equals.is_none() && self.exists.is_none())
            {
                seen = Some(node.show());
            }
        }
        for (path, value) in &self.values.0 {
            let node = root(path)?;
            let selection = path.select(node, cx.scope).map_err(Finding::unknown)?;
            let one = Expect {
                path: Some(path),
                equals: Some(value),
                values: &Values::default(),
                ..Expect::NOTHING
            };
            one.compare_selection(path, node, &selection, cx)?;
        }
        Ok(seen)
    }

    const NOTHING: Expect<'static> = Expect {
        path: None,
        path_key: "path",
        equals: None,
        matches: None,
        min: None,
        max: None,
        includes: None,
        count: None,
        exists: None,
        values: &Values(Vec::new()),
    };

    fn compare_selection(
        &self,
        path: &DataPath,
        root: &Node,
        selection: &Selection<'_>,
        cx: &Context<'_>,
    ) -> Result<(), Finding> {
        if self.exists == Some(false) {
            return match selection.found.first() {
                Some((_, node)) => {
                    Err(Finding::unmet(format!("nothing at `{path}`"), node.show(), node.place.to_string()))
                }
                None => Ok(()),
            };
        }
        if let Some(count) = self.count {
            let found = selection.found.len() as u64;
            if found != count {
                let found = if found == 0 { "none".to_owned() } else { found.to_string() };
                return Err(Finding::unmet(
                    format!("{} at `{path}`", values(count)),
                    found,
                    root.place.to_string(),
                ));
            }
        } else if let Some(missing) = selection.missing.first() {
            return Err(Finding::unmet(
                self.wanted(path),
                missing.what.clone(),
                missing.at.place.to_string(),
            ));
        } else if selection.found.is_empty() {
            return Err(Finding::unmet(
                self.wanted(path),
                "nothing that the path selects",
                root.place.to_string(),
            ));
        }
        selection
            .found
            .iter()
            .try_for_each(|(place, node)| self.compare(&format!("`{path}`"), place, node, cx))
    }

    /// What is expected at a path, for a value that is not there at all.
    fn wanted(&self, path: &DataPath) -> String {
        match self.conditions().as_slice() {
            [] => format!("a value at `{path}`"),
            conditions => format!("`{path}` {}", wording::list(conditions)),
        }
    }

    /// Compares one value. `name` is how the check calls it, `place` its own path in the document.
    pub fn compare(&self, name: &str, place: &str, node: &Node, cx: &Context<'_>) -> Result<(), Finding> {
        let shown = || {
            let plain = place.is_empty() || name == format!("`{place}`");
            if plain { node.show() } else { format!("{} at `{place}`", node.show()) }
        };
        let unmet = |condition: String| {
            Err(Finding::unmet(format!("{name} {condition}"), shown(), node.place.to_string()))
        };
        if let Some(value) = self.equals {
            let value = value.fill(cx.scope).map_err(Finding::unknown)?;
            if !node.equals(&value) {
                return unmet(format!("= {}", show(&value)));
            }
        }
        if let Some(search) = self.matches {
            let regex = search.regex(cx.scope).map_err(Finding::unknown)?;
            if !node.text().is_some_and(|text| regex.is_match(&text)) {
                return unmet(format!("to match `{search}`"));
            }
        }
        if let Some(min) = self.min
            && node.number().is_none_or(|number| number < min)
        {
            return unmet(format!(">= {min}"));
        }
        if let Some(max) = self.max
            && node.number().is_none_or(|number| number > max)
        {
            return unmet(format!("<= {max}"));
        }
        if let Some(value) = self.includes {
            let value = value.fill(cx.scope).map_err(Finding::unknown)?;
            if !includes(node, &value) {
                return unmet(format!("to include {}", show(&value)));
            }
        }
        Ok(())
    }

    /// Compares a whole text, such as the output of a command: as a number where a number is asked for.
    pub fn compare_text(&self, name: &str, text: &str, file: &str, cx: &Context<'_>) -> Result<(), Finding> {
        let text = text.trim();
        let numeric = self.min.is_some()
            || self.max.is_some()
            || matches!(self.equals, Some(Expected::Plain(Json::Number(_))));
        let scalar = match text.parse::<f64>() {
            Ok(number) if numeric => Json::from(number),
            _ => Json::from(text),
        };
        self.compare(name, "", &super::from_json(scalar, &file.into()), cx)
    }
}

fn values(count: u64) -> String {
    wording::plural(usize::try_from(count).unwrap_or(usize::MAX), "value")
}

fn includes(node: &Node, value: &Json) -> bool {
    match (&node.content, value) {
        (Content::List(items), value) => items.iter().any(|item| item.equals(value)),
        (Content::Table(entries), Json::String(key)) => entries.iter().any(|(name, _)| name == key),
        (Content::Scalar(Json::String(text)), Json::String(part)) => text.contains(part.as_str()),
        _ => false,
    }
}
