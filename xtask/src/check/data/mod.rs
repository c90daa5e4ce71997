//! Documents as trees that know where each value stands, read from JSON, TOML and YAML.

use std::fmt;
use std::sync::Arc;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use crate::pipeline::diagnostic::position;
use crate::pipeline::read::to_json;
use crate::wording;

pub mod expect;
pub mod files;
pub mod path;
pub mod schema;

pub use path::DataPath;

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub content: Content,
}

/// A file (or a command, or an address) and a line in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name of the whole.
    pub file: Arc<str>,
    /// The one-based line, where it is known.
    pub line: Option<usize>,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum Content {
    /// Null, a truth value, a number or a text; never an array or an object.
    Scalar(Json),
    /// A list.
    List(Vec<Node>),
    /// A table, in the order of the document.
    Table(Vec<(String, Node)>),
}

/// Why a document could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Where.
    pub place: Place,
    /// Why, as the end of a sentence.
    pub why: String,
}

/// `file:line`
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

impl Node {
    /// The text of a scalar, without quotes.
    pub fn text(&self) -> Option<String> {
        match &self.content {
            Content::Scalar(Json::String(text)) => Some(text.clone()),
            Content::Scalar(other) => Some(other.to_string()),
            _ => None,
        }
    }

    /// The number that it is.
    pub fn number(&self) -> Option<f64> {
        match &self.content {
            Content::Scalar(scalar) => scalar.as_f64(),
            _ => None,
        }
    }

    /// True if it has the same value; 1 and 1.0 are the same, 1 and "1" are not.
    pub fn equals(&self, wanted: &Json) -> bool {
        match (&self.content, wanted) {
            (Content::List(items), Json::Array(wanted)) => {
                items.len() == wanted.len()
                    && items.iter().zip(wanted).all(|(item, wanted)| item.equals(wanted))
            }
            (Content::Table(entries), Json::Object(wanted)) => {
                entries.len() == wanted.len()
                    && entries.iter().all(|(key, value)| wanted.get(key).is_some_and(|w| value.equals(w)))
            }
            (Content::Scalar(Json::Number(a)), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
            (Content::Scalar(scalar), wanted) => scalar == wanted,
            _ => false,
        }
    }

    /// The value as plain JSON.
    pub fn to_json(&self) -> Json {
        match &self.content {
            Content::Scalar(scalar) => scalar.clone(),
            Content::List(items) => items.iter().map(Self::to_json).collect(),
            Content::Table(entries) => {
                Json::Object(entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect())
            }
        }
    }

    /// For a message: one line, cut where it gets long.
    pub fn show(&self) -> String {
        show(&self.to_json())
    }

    /// The sort of value: "a list".
    pub fn sort(&self) -> &'static str {
        match &self.content {
            Content::Scalar(Json::Null) => "null",
            Content::Scalar(Json::Bool(_)) => "a truth value",
            Content::Scalar(Json::Number(_)) => "a number",
            Content::Scalar(_) => "a text",
            Content::List(_) => "a list",
            Content::Table(_) => "a table",
        }
    }

    /// The values in a list or table with their paths; nothing for a scalar.
    pub fn children(&self, path: &str) -> Option<Vec<(String, &Self)>> {
        match &self.content {
            Content::Scalar(_) => None,
            Content::List(items) => {
                Some(items.iter().enumerate().map(|(i, item)| (format!("{path}[{i}]"), item)).collect())
            }
            Content::Table(entries) => {
                Some(entries.iter().map(|(key, value)| (path::join(path, key), value)).collect())
            }
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.content {
            Content::Table(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Lays `over` on top as Helm does with values files: tables key by key, null takes a key away, everything
    /// else is replaced. Each value keeps its own place.
    pub fn overlay(self, over: Self) -> Self {
        match (self.content, over.content) {
            (Content::Table(mut entries), Content::Table(above)) => {
                for (key, value) in above {
                    let at = entries.iter().position(|(name, _)| *name == key);
                    match (at, &value.content) {
                        (Some(at), Content::Scalar(Json::Null)) => drop(entries.remove(at)),
                        (Some(at), _) => {
                            let below = entries[at].1.clone();
                            entries[at].1 = below.overlay(value);
                        }
                        (None, _) => entries.push((key, value)),
                    }
                }
                Self { place: over.place, content: Content::Table(entries) }
            }
            (_, content) => Self { place: over.place, content },
        }
    }
}

/// A JSON value for a message.
pub fn show(value: &Json) -> String {
    wording::first_line(&value.to_string(), 80)
}

/// A tree whose values have the same place.
pub fn from_json(value: Json, file: &Arc<str>) -> Node {
    let content = match value {
        Json::Array(items) => Content::List(items.into_iter().map(|item| from_json(item, file)).collect()),
        Json::Object(entries) => {
            Content::Table(entries.into_iter().map(|(key, value)| (key, from_json(value, file))).collect())
        }
        scalar => Content::Scalar(scalar),
    };
    Node { place: Place { file: file.clone(), line: None }, content }
}

/// JSON documents up to this size, in bytes, are read a second time to learn the lines.
const LINES_UP_TO: usize = 256 << 10;

/// Reads a JSON document. Lines come from the YAML reader, since JSON is YAML as well (YAML 1.2, 1.2), if it
/// sees the same values.
pub fn json(text: &str, file: &Arc<str>) -> Result<Node, Malformed> {
    let value: Json = serde_json::from_str(text).map_err(|error| {
        let why = error.to_string();
        let why = why.split(" at line ").next().unwrap_or_default().to_owned();
        Malformed { place: Place { file: file.clone(), line: Some(error.line()) }, why }
    })?;
    if text.len() <= LINES_UP_TO
        && let Ok([node]) = yaml(text, file).as_deref()
        && node.equals(&value)
    {
        return Ok(node.clone());
    }
    Ok(from_json(value, file))
}

/// Reads a TOML document.
pub fn toml(text: &str, file: &Arc<str>) -> Result<Node, Malformed> {
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| position(text, span.start).0);
        Malformed { place: Place { file: file.clone(), line }, why: error.message().to_owned() }
    })?;
    let breaks: Vec<usize> =
        text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(i, _)| i).collect();
    let place = |offset: usize| Place {
        file: file.clone(),
        line: Some(breaks.partition_point(|at| *at < offset) + 1),
    };
    Ok(from_toml(&DeValue::Table(table.into_inner()), 0, &place))
}

fn from_toml(value: &DeValue<'_>, start: usize, place: &dyn Fn(usize) -> Place) -> Node {
    let child = |value: &toml::Spanned<DeValue<'_>>| from_toml(value.get_ref(), value.span().start, place);
    let content = match value {
        DeValue::Array(items) => Content::List(items.iter().map(child).collect()),
        DeValue::Table(table) => Content::Table(
            table.iter().map(|(key, value)| (key.get_ref().to_string(), child(value))).collect(),
        ),
        scalar => Content::Scalar(to_json(scalar, &mut str::to_owned)),
    };
    Node { place: place(start), content }
}

/// Reads all documents of a YAML stream; empty ones are left out, but a stream without any content is one null.
pub fn yaml(text: &str, file: &Arc<str>) -> Result<Vec<Node>, Malformed> {
    let place = |line| Place { file: file.clone(), line: Some(line) };
    let documents = MarkedYaml::load_from_str(text)
        .map_err(|error| Malformed { place: place(error.marker().line()), why: error.info().to_owned() })?;
    let mut nodes = documents
        .iter()
        .filter(|document| !is_empty(document))
        .map(|document| from_yaml(document, document.span.start.line(), file))
        .collect::<Result<Vec<_>, _>>()?;
    if nodes.is_empty() {
        nodes.push(Node { place: place(1), content: Content::Scalar(Json::Null) });
    }
    Ok(nodes)
}

fn is_empty(document: &MarkedYaml<'_>) -> bool {
    matches!(document.data, YamlData::BadValue | YamlData::Value(Scalar::Null))
}

/// `line` is that of the key, where there is one: a block of values starts a line further down.
fn from_yaml(yaml: &MarkedYaml<'_>, line: usize, file: &Arc<str>) -> Result<Node, Malformed> {
    let place = Place { file: file.clone(), line: Some(line) };
    let malformed = |why: &str| Malformed { place: place.clone(), why: why.to_owned() };
    let content = match &yaml.data {
        YamlData::Value(scalar) => Content::Scalar(match scalar {
            Scalar::Null => Json::Null,
            Scalar::Boolean(value) => Json::from(*value),
            Scalar::Integer(value) => Json::from(*value),
            Scalar::FloatingPoint(value) => Json::from(value.into_inner()),
            Scalar::String(value) => Json::from(value.as_ref()),
        }),
        YamlData::Sequence(items) => Content::List(
            items
                .iter()
                .map(|item| from_yaml(item, item.span.start.line(), file))
                .collect::<Result<_, _>>()?,
        ),
        YamlData::Mapping(entries) => Content::Table(
            entries
                .iter()
                .map(|(key, value)| {
                    let line = key.span.start.line();
                    let key = from_yaml(key, line, file)?
                        .text()
                        .ok_or_else(|| malformed("a key is a list or a table"))?;
                    Ok((key, from_yaml(value, line, file)?))
                })
                .collect::<Result<_, _>>()?,
        ),
        YamlData::Tagged(_, inner) => return from_yaml(inner, line, file),
        YamlData::Representation(..) | YamlData::Alias(_) | YamlData::BadValue => {
            return Err(malformed("a value does not fit its tag"));
        }
    };
    Ok(Node { place, content })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Arc<str> {
        "f".into()
    }

    #[test]
    fn values_know_their_lines() {
        let doc = "a: 1\nb:\n  - x\n  - c: 1.0\n    d: \"1\"\n---\nk: ~\n...\n";
        let nodes = yaml(doc, &file()).unwrap();
        assert_eq!(nodes.len(), 2);
        let at = |node: &Node| node.place.to_string();
        let b = nodes[0].get("b").unwrap();
        let Content::List(items) = &b.content else { panic!("a list") };
        assert_eq!(
            (at(b), at(&items[0]), at(items[1].get("d").unwrap())),
            ("f:2".into(), "f:3".into(), "f:5".into())
        );
        assert_eq!(at(nodes[1].get("k").unwrap()), "f:7");

        let table = toml("a = 1\n[b]\nc = [\n 1,\n 'x']\n", &file()).unwrap();
        let Content::List(items) = &table.get("b").unwrap().get("c").unwrap().content else {
            panic!("a list")
        };
        assert_eq!(at(&items[1]), "f:5");

        let node = json("{\n\t\"a\": [1,\n\t\t2.5e3, \"\\u00e9\\/\"]\n}", &file()).unwrap();
        assert_eq!(at(node.get("a").unwrap()), "f:2");
    }

    #[test]
    fn the_same_value_in_three_forms() {
        let wanted = serde_json::json!({ "a": [1, 2.5, "1", true, "2024-01-01"], "b": { "c": -3 } });
        for node in [
            json(r#"{"a":[1.0,2.5,"1",true,"2024-01-01"],"b":{"c":-3}}"#, &file()).unwrap(),
            toml("a = [1, 2.5, '1', true, 2024-01-01]\n[b]\nc = -3\n", &file()).unwrap(),
            yaml("a: [1, 2.5, '1', true, 2024-01-01]\nb: {c: -3}", &file()).unwrap().remove(0),
        ] {
            assert!(node.equals(&wanted), "{}", node.to_json());
        }
        assert!(!yaml("a: 1", &file()).unwrap()[0].equals(&serde_json::json!({ "a": "1" })));
        assert!(!yaml("a: 1\nb: 2", &file()).unwrap()[0].equals(&serde_json::json!({ "a": 1 })));
    }

    #[test]
    fn mistakes_have_a_line() {
        let at = |result: Result<Vec<Node>, Malformed>| {
            let malformed = result.unwrap_err();
            (malformed.place.line, malformed.why)
        };
        assert_eq!(at(yaml("a: 1\nb: [1\nc: 2\n", &file())).0, Some(3));
        assert_eq!(at(yaml("a: 1\na: 2\n", &file())).0, Some(2));
        assert_eq!(at(json("{\n\"a\": }", &file()).map(|n| vec![n])), (Some(2), "expected value".to_owned()));
        assert_eq!(at(toml("a = 1\nb = \n", &file()).map(|n| vec![n])).0, Some(2));
        assert_eq!(yaml("", &file()).unwrap()[0].sort(), "null");
        assert_eq!(yaml("---\na: 1\n---\n", &file()).unwrap().len(), 1);
    }

    #[test]
    fn overlays_merge_as_helm_does() {
        let below = yaml("a: {x: 1, y: 2}\nl: [1, 2]\ngone: 1", &file()).unwrap().remove(0);
        let above = yaml("a: {y: 3}\nl: [9]\ngone: ~\nnew: 1", &"g".into()).unwrap().remove(0);
        let merged = below.overlay(above);
        assert!(
            merged.equals(&serde_json::json!({ "a": { "x": 1, "y": 3 }, "l": [9], "new": 1 })),
            "{}",
            merged.to_json()
        );
        let places: Vec<String> =
            ["x", "y"].map(|key| merged.get("a").unwrap().get(key).unwrap().place.to_string()).into();
        assert_eq!(places, ["f:1", "g:1"]);
    }
}
