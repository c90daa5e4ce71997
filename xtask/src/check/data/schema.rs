//! A validator for the part of JSON Schema that values files use (drafts 4 to 2020-12).
//!
//! A keyword that is not known here makes the verdict unknown instead of valid. Annotations are passed over;
//! `format` is one, as the specification has it by default (2020-12, Validation, 7.2.1).

use regex::Regex;
use serde_json::{Map, Value as Json};

use super::path::join;
use super::{Content, Node, Place, show};
use crate::wording;

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The document satisfies the schema.
    Valid,
    /// It does not, for these reasons, in the order of the document as far as lines are known.
    Invalid(Vec<Violation>),
    /// The schema says something that is not known here; why, as the end of "the schema ...".
    Unknown(String),
}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the value.
    pub path: String,
    /// Where it stands.
    pub place: Place,
    /// What the schema asks for, as the end of "expected ...".
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// Keywords that say something about a value without restricting it, and containers of definitions.
const ANNOTATIONS: &[&str] = &[
    "$anchor",
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "contentEncoding",
    "contentMediaType",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "format",
    "id",
    "readOnly",
    "title",
    "writeOnly",
];

/// How deep schemas may be applied to one value: enough for people, an end for `$ref` loops.
const DEPTH: usize = 200;

/// Validates a document.
pub fn validate(node: &Node, schema: &Json) -> Verdict {
    let dialect = schema.get("$schema").and_then(Json::as_str).unwrap_or_default();
    let lone_ref = ["draft-04", "draft-06", "draft-07"].iter().any(|draft| dialect.contains(draft));
    let mut violations = Vec::new();
    match (Validator { root: schema, lone_ref }).apply(
        schema,
        &At { node, path: "", depth: 0 },
        &mut violations,
    ) {
        Err(Odd(why)) => Verdict::Unknown(why),
        Ok(()) if violations.is_empty() => Verdict::Valid,
        Ok(()) => {
            violations.sort_by_key(|violation| violation.place.line);
            Verdict::Invalid(violations)
        }
    }
}

/// Something in the schema that is not known here.
struct Odd(String);

type Outcome = Result<(), Odd>;

struct Validator<'s> {
    root: &'s Json,
    /// Up to draft 7 the neighbours of a `$ref` are ignored.
    lone_ref: bool,
}

/// A value on the way through the document.
struct At<'n, 'p> {
    node: &'n Node,
    path: &'p str,
    depth: usize,
}

impl At<'_, '_> {
    fn violation(&self, expected: impl Into<String>, found: impl Into<String>) -> Violation {
        let path = if self.path.is_empty() { "the whole" } else { self.path };
        Violation {
            path: path.to_owned(),
            place: self.node.place.clone(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    fn wrong(&self, expected: impl Into<String>) -> Violation {
        self.violation(expected, self.node.show())
    }
}

impl Validator<'_> {
    fn apply(&self, schema: &Json, at: &At<'_, '_>, out: &mut Vec<Violation>) -> Outcome {
        if at.depth > DEPTH {
            return Err(Odd("refers to itself without an end".to_owned()));
        }
        let rules = match schema {
            Json::Bool(true) => return Ok(()),
            Json::Bool(false) => {
                out.push(at.wrong("nothing"));
                return Ok(());
            }
            Json::Object(rules) => rules,
            other => return Err(Odd(format!("has {} where a schema belongs", show(other)))),
        };
        if self.lone_ref && rules.contains_key("$ref") {
            return self.reference(&rules["$ref"], at, out);
        }
        rules.iter().try_for_each(|(keyword, value)| self.keyword(keyword, value, rules, at, out))
    }

    fn keyword(
        &self,
        keyword: &str,
        value: &Json,
        rules: &Map<String, Json>,
        at: &At<'_, '_>,
        out: &mut Vec<Violation>,
    ) -> Outcome {
        match keyword {
            "type" => check_type(value, at, out),
            "enum" => one_of(items_of(keyword, value)?, at, out),
            "const" => one_of(std::slice::from_ref(value), at, out),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
                number(keyword, value, rules, at, out)
            }
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                length(keyword, value, at, out)
            }
            "pattern" => pattern(value, at, out),
            "uniqueItems" => unique(value, at, out),
            "required" => required(items_of(keyword, value)?, at, out),
            "properties" | "patternProperties" | "additionalProperties" => {
                self.properties(keyword, value, rules, at, out)
            }
            "propertyNames" => self.names(value, at, out),
            "items" | "prefixItems" | "additionalItems" => self.items(keyword, value, rules, at, out),
            "contains" => self.contains(value, rules, at, out),
            "allOf" => items_of(keyword, value)?.iter().try_for_each(|schema| self.deeper(schema, at, out)),
            "anyOf" | "oneOf" => self.some_of(keyword, items_of(keyword, value)?, at, out),
            "not" => {
                if self.tries(value, at)?.is_empty() {
                    let what = value.get("const").map_or_else(
                        || "a value that `not` does not rule out".to_owned(),
                        |c| format!("anything but {}", show(c)),
                    );
                    out.push(at.wrong(what));
                }
                Ok(())
            }
            "if" => self.conditional(value, rules, at, out),
            "then" | "else" if rules.contains_key("if") => Ok(()),
            "$ref" => self.reference(value, at, out),
            _ if ANNOTATIONS.contains(&keyword) => Ok(()),
            _ => Err(Odd(format!("has the keyword `{keyword}`, which is not known here"))),
        }
    }

    /// Another schema on the same value.
    fn deeper(&self, schema: &Json, at: &At<'_, '_>, out: &mut Vec<Violation>) -> Outcome {
        self.apply(schema, &At { node: at.node, path: at.path, depth: at.depth + 1 }, out)
    }

    /// A schema on a value inside.
    fn inside(&self, schema: &Json, node: &Node, path: &str, out: &mut Vec<Violation>) -> Outcome {
        self.apply(schema, &At { node, path, depth: 0 }, out)
    }

    fn tries(&self, schema: &Json, at: &At<'_, '_>) -> Result<Vec<Violation>, Odd> {
        let mut found = Vec::new();
        self.deeper(schema, at, &mut found).map(|()| found)
    }

    /// `#`, `#/$defs/name`: a JSON Pointer (RFC 6901) into this very document.
    fn reference(&self, value: &Json, at: &At<'_, '_>, out: &mut Vec<Violation>) -> Outcome {
        let text = value.as_str().unwrap_or_default();
        let Some(schema) = text.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) else {
            return Err(Odd(format!("refers to `{text}`, which is not in it")));
        };
        self.deeper(schema, at, out)
    }

    fn properties(
        &self,
        keyword: &str,
        value: &Json,
        rules: &Map<String, Json>,
        at: &At<'_, '_>,
        out: &mut Vec<Violation>,
    ) -> Outcome {
        let Content::Table(entries) = &at.node.content else { return Ok(()) };
        if keyword == "additionalProperties" {
            return self.additional(value, rules, entries, at, out);
        }
        let Json::Object(schemas) = value else { return Err(odd_value(keyword, value)) };
        for (name, schema) in schemas {
            let regex = if keyword == "patternProperties" { Some(compile(name)?) } else { None };
            for (key, node) in entries {
                if regex.as_ref().map_or(key == name, |regex| regex.is_match(key)) {
                    self.inside(schema, node, &join(at.path, key), out)?;
                }
            }
        }
        Ok(())
    }

    fn additional(
        &self,
        value: &Json,
        rules: &Map<String, Json>,
        entries: &[(String, Node)],
        at: &At<'_, '_>,
        out: &mut Vec<Violation>,
    ) -> Outcome {
        let named = rules.get("properties").and_then(Json::as_object);
        let patterns = rules.get("patternProperties").and_then(Json::as_object);
        let patterns: Vec<Regex> =
            patterns.into_iter().flat_map(Map::keys).map(|name| compile(name)).collect::<Result<_, _>>()?;
        for (key, node) in entries {
            if named.is_some_and(|named| named.contains_key(key))
                || patterns.iter().any(|regex| regex.is_match(key))
            {
                continue;
            }
            if *value == Json::Bool(false) {
                let near = named.and_then(|named| wording::nearest(key, named.keys().map(String::as_str)));
                let meant = near.map_or_else(String::new, |near| format!(" (`{near}`?)"));
                let inner = At { node, path: at.path, depth: 0 };
                out.push(inner.violation("only keys that the schema knows", format!("`{key}`{meant}")));
            } else {
                self.inside(value, node, &join(at.path, key), out)?;
            }
        }
        Ok(())
    }

    fn names(&self, schema: &Json, at: &At<'_, '_>, out: &mut Vec<Violation>) -> Outcome {
        let Content::Table(entries) = &at.node.content else { return Ok(()) };
        for (key, node) in entries {
            let name = Node { place: node.place.clone(), content: Content::Scalar(Json::from(key.as_str())) };
            self.inside(schema, &name, &join(at.path, key), out)?;
        }
        Ok(())
    }

    /// `items` as one schema, or (up to 2019-09) as one for each place with `additionalItems` for the rest.
    fn items(
        &self,
        keyword: &str,
        value: &Json,
        rules: &Map<String, Json>,
        at: &At<'_, '_>,
        out: &mut Vec<Violation>,
    ) -> Outcome {
        let Content::List(items) = &at.node.content else { return Ok(()) };
        let places = |key: &str| rules.get(key).and_then(Json::as_array).map_or(0, Vec::len);
        if let Json::Array(schemas) = value {
            for (i, (schema, node)) in schemas.iter().zip(items).enumerate() {
                self.inside(schema, node, &format!("{}[{i}]", at.path), out)?;
            }
            return Ok(());
        }
        let skipped = match keyword {
            "additionalItems" if !rules.get("items").is_some_and(Json::is_array) => return Ok(()),
            "additionalItems" => places("items"),
            _ => places("prefixItems"),
        };
        items
            .iter()
            .enumerate()
            .skip(skipped)
            .try_for_each(|(i, node)| self.inside(value, node, &format!("{}[{i}]", at.path), out))
    }

    fn contains(
        &self,
        schema: &Json,
        rules: &Map<String, Json>,
        at: &At<'_, '_>,
        out: &mut Vec<Violation>,
    ) -> Outcome {
        if let Some(keyword) =
            ["minContains", "maxContains"].iter().find(|keyword| rules.contains_key(**keyword))
        {
            return Err(Odd(format!("has the keyword `{keyword}`, which is not known here")));
        }
        let Content::List(items) = &at.node.content else { return Ok(()) };
        for node in items {
            let mut found = Vec::new();
            self.inside(schema, node, at.path, &mut found)?;
            if found.is_empty() {
                return Ok(());
            }
        }
        out.push(at.wrong("an item as `contains` describes it"));
        Ok(())
    }

    fn some_of(&self, keyword: &str, schemas: &[Json], at: &At<'_, '_>, out: &mut Vec<Violation>) -> Outcome {
        let tried = schemas.iter().map(|schema| self.tries(schema, at)).collect::<Result<Vec<_>, _>>()?;
        let fitting = tried.iter().filter(|violations| violations.is_empty()).count();
        match (keyword, fitting) {
            (_, 0) => {
                // The alternative that came nearest fails deepest in the document: its first complaint says most.
                let nearest = tried
                    .into_iter()
                    .filter_map(|violations| violations.into_iter().next())
                    .max_by_key(|v| v.path.len());
                let alternatives = format!("one of {} alternatives", schemas.len());
                out.push(match nearest {
                    Some(v) if v.path != at.violation("", "").path => v,
                    Some(v) => at.violation(format!("{alternatives}, such as {}", v.expected), v.found),
                    None => at.wrong(alternatives),
                });
            }
            ("oneOf", n) if n > 1 => {
                out.push(at.wrong(format!("exactly one of {} alternatives instead of {n}", schemas.len())));
            }
            _ => {}
        }
        Ok(())
    }

    fn conditional(
        &self,
        condition: &Json,
        rules: &Map<String, Json>,
        at: &At<'_, '_>,
        out: &mut Vec<Violation>,
    ) -> Outcome {
        let branch = if self.tries(condition, at)?.is_empty() { "then" } else { "else" };
        rules.get(branch).map_or(Ok(()), |schema| self.deeper(schema, at, out))
    }
}

fn odd_value(keyword: &str, value: &Json) -> Odd {
    Odd(format!("has {} for `{keyword}`", show(value)))
}

fn items_of<'v>(keyword: &str, value: &'v Json) -> Result<&'v [Json], Odd> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| odd_value(keyword, value))
}

/// JSON Schema's expressions are those of ECMA-262, unanchored; where this engine has no equal, the verdict is unknown.
fn compile(pattern: &str) -> Result<Regex, Odd> {
    Regex::new(pattern).map_err(|_| Odd(format!("has the expression `{pattern}`, which can't be read here")))
}

fn check_type(value: &Json, at: &At<'_, '_>, out: &mut Vec<Violation>) -> Outcome {
    let names: Vec<&str> = match value {
        Json::String(name) => vec![name],
        Json::Array(names) => names.iter().filter_map(Json::as_str).collect(),
        other => return Err(odd_value("type", other)),
    };
    let mut fits = false;
    for name in &names {
        fits |= match (*name, &at.node.content) {
            ("null", Content::Scalar(Json::Null))
            | ("boolean", Content::Scalar(Json::Bool(_)))
            | ("number", Content::Scalar(Json::Number(_)))
            | ("string", Content::Scalar(Json::String(_)))
            | ("array", Content::List(_))
            | ("object", Content::Table(_)) => true,
            ("integer", Content::Scalar(Json::Number(n))) => {
                n.is_i64() || n.is_u64() || n.as_f64().is_some_and(|n| n.fract() == 0.0)
            }
            ("null" | "boolean" | "number" | "string" | "array" | "object" | "integer", _) => false,
            (other, _) => return Err(Odd(format!("has the type `{other}`, which is not known"))),
        };
    }
    if !fits {
        out.push(at.wrong(wording::either(&names)));
    }
    Ok(())
}

fn one_of(wanted: &[Json], at: &At<'_, '_>, out: &mut Vec<Violation>) -> Outcome {
    if !wanted.iter().any(|wanted| at.node.equals(wanted)) {
        out.push(at.wrong(wording::either(&wanted.iter().map(show).collect::<Vec<_>>())));
    }
    Ok(())
}

/// In draft 4 `exclusiveMinimum` is a switch beside `minimum`; from draft 6 on it is a limit of its own.
fn number(
    keyword: &str,
    value: &Json,
    rules: &Map<String, Json>,
    at: &At<'_, '_>,
    out: &mut Vec<Violation>,
) -> Outcome {
    if value.is_boolean() && keyword.starts_with("exclusive") {
        return Ok(());
    }
    let limit = value.as_f64().ok_or_else(|| odd_value(keyword, value))?;
    let Some(n) = at.node.number() else { return Ok(()) };
    let strict = |switch: &str| rules.get(switch) == Some(&Json::Bool(true));
    let (fits, wanted) = match keyword {
        "minimum" if strict("exclusiveMinimum") => (n > limit, "more than"),
        "minimum" => (n >= limit, "at least"),
        "maximum" if strict("exclusiveMaximum") => (n < limit, "less than"),
        "maximum" => (n <= limit, "at most"),
        "exclusiveMinimum" => (n > limit, "more than"),
        "exclusiveMaximum" => (n < limit, "less than"),
        _ => ((n / limit).fract() == 0.0, "a multiple of"),
    };
    if !fits {
        out.push(at.wrong(format!("{wanted} {value}")));
    }
    Ok(())
}

fn length(keyword: &str, value: &Json, at: &At<'_, '_>, out: &mut Vec<Violation>) -> Outcome {
    let limit = value.as_f64().ok_or_else(|| odd_value(keyword, value))?;
    let (length, noun) = match (&keyword[3..], &at.node.content) {
        ("Length", Content::Scalar(Json::String(text))) => (text.chars().count(), "character"),
        ("Items", Content::List(items)) => (items.len(), "item"),
        ("Properties", Content::Table(entries)) => (entries.len(), "key"),
        _ => return Ok(()),
    };
    let (fits, wanted) = if keyword.starts_with("min") {
        (length as f64 >= limit, "at least")
    } else {
        (length as f64 <= limit, "at most")
    };
    if !fits {
        let plural = if limit == 1.0 { "" } else { "s" };
        out.push(at.violation(format!("{wanted} {value} {noun}{plural}"), length.to_string()));
    }
    Ok(())
}

fn pattern(value: &Json, at: &At<'_, '_>, out: &mut Vec<Violation>) -> Outcome {
    let pattern = value.as_str().ok_or_else(|| odd_value("pattern", value))?;
    let regex = compile(pattern)?;
    if let Content::Scalar(Json::String(text)) = &at.node.content
        && !regex.is_match(text)
    {
        out.push(at.wrong(format!("a match of `{pattern}`")));
    }
    Ok(())
}

fn unique(value: &Json, at: &At<'_, '_>, out: &mut Vec<Violation>) -> Outcome {
    if let (Json::Bool(true), Content::List(items)) = (value, &at.node.content) {
        let twice = items
            .iter()
            .enumerate()
            .find(|(i, item)| items[..*i].iter().any(|before| before.equals(&item.to_json())));
        out.extend(
            twice.map(|(_, item)| at.violation("items that differ", format!("{} twice", item.show()))),
        );
    }
    Ok(())
}

fn required(names: &[Json], at: &At<'_, '_>, out: &mut Vec<Violation>) -> Outcome {
    if matches!(at.node.content, Content::Table(_)) {
        let missing = names.iter().filter_map(Json::as_str).filter(|name| at.node.get(name).is_none());
        out.extend(missing.map(|name| at.violation(format!("the key `{name}`"), "none")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn verdict(schema: &Json, document: Json) -> String {
        match validate(&super::super::from_json(document, &"f".into()), schema) {
            Verdict::Valid => "valid".to_owned(),
            Verdict::Unknown(why) => format!("unknown: {why}"),
            Verdict::Invalid(all) => all
                .iter()
                .map(|v| format!("{}: expected {}, found {}", v.path, v.expected, v.found))
                .collect::<Vec<_>>()
                .join("; "),
        }
    }

    #[test]
    fn keywords() {
        let table = [
            (json!({ "type": "integer" }), json!(1.0), "valid"),
            (json!({ "type": "integer" }), json!(1.5), "the whole: expected integer, found 1.5"),
            (json!({ "type": ["integer", "null"] }), json!(null), "valid"),
            (
                json!({ "type": ["integer", "null"] }),
                json!("1"),
                "the whole: expected integer or null, found \"1\"",
            ),
            (json!({ "type": "colour" }), json!(1), "unknown: has the type `colour`, which is not known"),
            (
                json!({ "enum": ["Always", "Never"] }),
                json!("always"),
                "the whole: expected \"Always\" or \"Never\", found \"always\"",
            ),
            (json!({ "const": 1 }), json!(1.0), "valid"),
            (
                json!({ "not": { "const": "latest" } }),
                json!("latest"),
                "the whole: expected anything but \"latest\", found \"latest\"",
            ),
            (
                json!({ "minimum": 30000, "maximum": 32767 }),
                json!(80),
                "the whole: expected at least 30000, found 80",
            ),
            (json!({ "exclusiveMinimum": 0 }), json!(0), "the whole: expected more than 0, found 0"),
            (
                json!({ "minimum": 0, "exclusiveMinimum": true }),
                json!(0),
                "the whole: expected more than 0, found 0",
            ),
            (json!({ "multipleOf": 5 }), json!(12), "the whole: expected a multiple of 5, found 12"),
            (json!({ "minLength": 2 }), json!("é"), "the whole: expected at least 2 characters, found 1"),
            (json!({ "maxItems": 1 }), json!([1, 2]), "the whole: expected at most 1 item, found 2"),
            (json!({ "minProperties": 1 }), json!({}), "the whole: expected at least 1 key, found 0"),
            (
                json!({ "pattern": "^v\\d" }),
                json!("xv1"),
                "the whole: expected a match of `^v\\d`, found \"xv1\"",
            ),
            (
                json!({ "pattern": "(?=x)" }),
                json!("x"),
                "unknown: has the expression `(?=x)`, which can't be read here",
            ),
            (
                json!({ "uniqueItems": true }),
                json!([1, 2, 1.0]),
                "the whole: expected items that differ, found 1.0 twice",
            ),
            (
                json!({ "required": ["a", "b"] }),
                json!({ "a": 1 }),
                "the whole: expected the key `b`, found none",
            ),
            (
                json!({ "properties": { "a": { "type": "string" } } }),
                json!({ "a": 1 }),
                "a: expected string, found 1",
            ),
            (
                json!({ "properties": { "replicas": {} }, "patternProperties": { "^x-": {} }, "additionalProperties": false }),
                json!({ "replica": 1, "x-y": 2, "replicas": 3 }),
                "the whole: expected only keys that the schema knows, found `replica` (`replicas`?)",
            ),
            (
                json!({ "additionalProperties": { "type": "string" } }),
                json!({ "a": { "b": 1 } }),
                "a: expected string, found {\"b\":1}",
            ),
            (
                json!({ "propertyNames": { "pattern": "^[a-z]+$" } }),
                json!({ "A": 1 }),
                "A: expected a match of `^[a-z]+$`, found \"A\"",
            ),
            (json!({ "items": { "type": "string" } }), json!(["a", 1]), "[1]: expected string, found 1"),
            (
                json!({ "items": [{ "type": "string" }], "additionalItems": { "type": "null" } }),
                json!(["a", 1]),
                "[1]: expected null, found 1",
            ),
            (json!({ "prefixItems": [{}], "items": false }), json!([1, 2]), "[1]: expected nothing, found 2"),
            (
                json!({ "contains": { "const": 1 } }),
                json!([2]),
                "the whole: expected an item as `contains` describes it, found [2]",
            ),
            (
                json!({ "allOf": [{ "minimum": 1 }, { "maximum": 2 }] }),
                json!(3),
                "the whole: expected at most 2, found 3",
            ),
            (
                json!({ "anyOf": [{ "type": "string" }, { "minimum": 5 }] }),
                json!(3),
                "the whole: expected one of 2 alternatives, such as at least 5, found 3",
            ),
            (
                json!({ "oneOf": [{ "minimum": 1 }, { "minimum": 2 }] }),
                json!(3),
                "the whole: expected exactly one of 2 alternatives instead of 2, found 3",
            ),
            (
                json!({ "if": { "const": 1 }, "then": { "type": "string" } }),
                json!(1),
                "the whole: expected string, found 1",
            ),
            (
                json!({ "if": { "const": 1 }, "else": false }),
                json!(2),
                "the whole: expected nothing, found 2",
            ),
            (
                json!({ "definitions": { "n": { "type": "null" } }, "properties": { "a": { "$ref": "#/definitions/n" } } }),
                json!({ "a": 1 }),
                "a: expected null, found 1",
            ),
            (
                json!({ "$ref": "other.json" }),
                json!(1),
                "unknown: refers to `other.json`, which is not in it",
            ),
            (json!({ "$ref": "#" }), json!(1), "unknown: refers to itself without an end"),
            (
                json!({ "$schema": "http://json-schema.org/draft-07/schema#", "properties": { "a": { "$ref": "#/definitions/n", "type": "string" } }, "definitions": { "n": {} } }),
                json!({ "a": 1 }),
                "valid",
            ),
            (
                json!({ "title": "t", "description": "d", "default": 1, "examples": [], "$id": "x", "$comment": "c", "format": "uri" }),
                json!("no uri"),
                "valid",
            ),
            (
                json!({ "unevaluatedProperties": false }),
                json!({}),
                "unknown: has the keyword `unevaluatedProperties`, which is not known here",
            ),
            (json!(true), json!(1), "valid"),
        ];
        for (schema, document, text) in table {
            assert_eq!(verdict(&schema, document), text, "{schema}");
        }
    }

    fn document() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            (-9i64..9).prop_map(Json::from),
            "[a-c]{0,3}".prop_map(Json::from)
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
                prop::collection::btree_map("[a-c]", inner, 0..3)
                    .prop_map(|entries| Json::Object(entries.into_iter().collect())),
            ]
        })
    }

    fn schema() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Json::from),
            document().prop_map(|value| json!({ "const": value })),
            prop_oneof![Just("null"), Just("integer"), Just("string"), Just("array"), Just("object")]
                .prop_map(|name| json!({ "type": name })),
            (-9i64..9).prop_map(|n| json!({ "minimum": n })),
            "[a-c]".prop_map(|name| json!({ "required": [name] })),
        ];
        leaf.prop_recursive(3, 8, 2, |inner| {
            prop_oneof![
                inner.clone().prop_map(|schema| json!({ "items": schema })),
                inner.clone().prop_map(|schema| json!({ "additionalProperties": schema })),
                inner.prop_map(|schema| json!({ "properties": { "a": schema } })),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_connectives_agree_with_logic(a in schema(), b in schema(), value in document()) {
            let valid = |schema: Json| verdict(&schema, value.clone()) == "valid";
            let (x, y) = (valid(a.clone()), valid(b.clone()));
            prop_assert_eq!(valid(json!({ "not": a })), !x);
            prop_assert_eq!(valid(json!({ "allOf": [a, b] })), x && y);
            prop_assert_eq!(valid(json!({ "anyOf": [a, b] })), x || y);
            prop_assert_eq!(valid(json!({ "oneOf": [a, b] })), x ^ y);
            prop_assert_eq!(valid(json!({ "if": a, "then": b })), !x || y);
        }

        #[test]
        fn a_document_satisfies_its_own_constant(value in document()) {
            prop_assert_eq!(verdict(&json!({ "const": value }), value.clone()), "valid");
            prop_assert_eq!(verdict(&json!({ "enum": [1.5, value] }), value), "valid");
        }
    }
}
