//! The path language of data checks: which values of a document are meant.
//!
//! ```text
//! path    = step { "." name | bracket }        a path starts with a name or a bracket
//! step    = name | bracket
//! name    = bare | quoted | "*"                 `*` is every value of a table or list
//! bracket = "[" ( number | "*" | quoted | filter ) "]"
//! filter  = path "=" ( bare | quoted )          values of a list for which it holds; a table that it is asked of
//! quoted  = '"' ... '"' | "'" ... "'"           with `\` before a quote or a backslash
//! ```
//!
//! `spec.containers[name=backend].ports[0].containerPort`, `pods[podRef.namespace=demo].memory.workingSetBytes`,
//! `metadata.labels['app.kubernetes.io/part-of']`.

use std::fmt;

use serde_json::{Value as Json, json};

use super::{Content, Node};
use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::read::{Defs, Read, Reader, Value};
use crate::pipeline::template::{Scope, Template};

/// A path into a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
    All,
    Where(Filter),
}

/// `metadata.name=backend`: the condition of a bracket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    path: Vec<Step>,
    value: Template,
}

/// The values that a path selects, each with its own path without wildcards.
#[derive(Debug)]
pub struct Selection<'n> {
    /// What was found, in the order of the document.
    pub found: Vec<(String, &'n Node)>,
    /// Branches in which a step led nowhere.
    pub missing: Vec<Missing<'n>>,
}

/// A step that led nowhere.
#[derive(Debug)]
pub struct Missing<'n> {
    /// What is not there: "no `replicas` in `spec`".
    pub what: String,
    /// The last value on the way.
    pub at: &'n Node,
}

impl DataPath {
    /// Reads the text form; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text };
        let steps = parser.path(false)?;
        match parser.rest.chars().next() {
            None => Ok(Self { steps }),
            Some(c) => Err(format!("`{c}` is not expected here: `{}`", parser.rest)),
        }
    }

    /// True if the path chooses among the documents of a file itself, because it starts with a bracket.
    pub fn starts_with_bracket(&self) -> bool {
        !matches!(self.steps.first(), Some(Step::Key(_)))
    }

    /// The values that it means.
    pub fn select<'n>(&self, root: &'n Node, scope: &dyn Scope) -> Result<Selection<'n>, String> {
        let mut now = Selection { found: vec![(String::new(), root)], missing: Vec::new() };
        for step in &self.steps {
            for (path, node) in std::mem::take(&mut now.found) {
                step.take(&path, node, scope, &mut now)?;
            }
        }
        Ok(now)
    }

    fn resolved(self, span: &std::ops::Range<usize>, r: &mut Reader<'_>) -> Option<Self> {
        let steps: Vec<Option<Step>> = self.steps.into_iter().map(|step| step.resolved(span, r)).collect();
        steps.into_iter().collect::<Option<_>>().map(|steps| Self { steps })
    }

    /// Reads and resolves a path that stands at `span`.
    pub fn read_text(text: &str, span: &std::ops::Range<usize>, r: &mut Reader<'_>) -> Option<Self> {
        match Self::parse(text) {
            Ok(path) => path.resolved(span, r),
            Err(cause) => {
                r.report(
                    Diagnostic::new(span.clone(), format!("`{text}` is not a path into a document: {cause}"))
                        .hint("a path is written like `spec.containers[name=backend].image` or `labels[\"a.b/c\"]`"),
                );
                None
            }
        }
    }
}

impl Filter {
    /// Reads the text form, without the brackets.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text };
        let filter = parser.filter(true)?;
        if parser.rest.is_empty() { Ok(filter) } else { Err(format!("`{}` is too much", parser.rest)) }
    }

    /// Fills in declared variables.
    pub fn resolved(self, span: &std::ops::Range<usize>, r: &mut Reader<'_>) -> Option<Self> {
        let path = DataPath { steps: self.path }.resolved(span, r)?.steps;
        let value = r.template(&self.value.to_string(), span)?;
        Some(Self { path, value })
    }

    /// True if one of the values at its path reads like its value.
    pub fn holds(&self, node: &Node, scope: &dyn Scope) -> Result<bool, String> {
        let wanted = self.value.fill(scope)?;
        let selection = DataPath { steps: self.path.clone() }.select(node, scope)?;
        Ok(selection.found.iter().any(|(_, node)| node.text().is_some_and(|text| text == wanted)))
    }
}

impl Step {
    fn take<'n>(
        &self,
        path: &str,
        node: &'n Node,
        scope: &dyn Scope,
        out: &mut Selection<'n>,
    ) -> Result<(), String> {
        let place = || if path.is_empty() { "the document".to_owned() } else { format!("`{path}`") };
        match (self, &node.content) {
            (Self::Key(key), Content::Table(entries)) => match entries.iter().find(|(name, _)| name == key) {
                Some((_, value)) => out.found.push((join(path, key), value)),
                None => out.missing.push(Missing { what: format!("no `{key}` in {}", place()), at: node }),
            },
            (Self::Index(index), Content::List(items)) => match items.get(*index) {
                Some(item) => out.found.push((format!("{path}[{index}]"), item)),
                None => {
                    let what = format!("only {} in {}", crate::wording::plural(items.len(), "item"), place());
                    out.missing.push(Missing { what, at: node });
                }
            },
            (Self::All, _) => match node.children(path) {
                Some(children) => out.found.extend(children),
                None => {
                    out.missing.push(Missing { what: format!("{} in {}", node.sort(), place()), at: node });
                }
            },
            (Self::Where(filter), Content::List(items)) => {
                for (i, item) in items.iter().enumerate() {
                    if filter.holds(item, scope)? {
                        out.found.push((format!("{path}[{i}]"), item));
                    }
                }
            }
            (Self::Where(filter), _) => {
                if filter.holds(node, scope)? {
                    out.found.push((path.to_owned(), node));
                }
            }
            (Self::Key(_) | Self::Index(_), _) => {
                out.missing.push(Missing { what: format!("{} at {}", node.sort(), place()), at: node });
            }
        }
        Ok(())
    }

    fn resolved(self, span: &std::ops::Range<usize>, r: &mut Reader<'_>) -> Option<Self> {
        match self {
            Self::Key(key) => r.fixed(&key, span).map(Self::Key),
            Self::Where(filter) => filter.resolved(span, r).map(Self::Where),
            other => Some(other),
        }
    }
}

/// A path with one more name.
pub fn join(path: &str, key: &str) -> String {
    match (path.is_empty(), is_bare(key)) {
        (true, true) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{}]", quoted(key)),
    }
}

/// True if a name can be written without quotes. `${` would be read as the beginning of a variable.
fn is_bare(name: &str) -> bool {
    !name.is_empty() && name != "*" && !name.contains("${") && name.chars().all(is_bare_char)
}

fn is_bare_char(c: char) -> bool {
    !(c.is_whitespace() || c.is_control() || matches!(c, '.' | '[' | ']' | '"' | '\'' | '=' | '\\'))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

struct Parser<'t> {
    rest: &'t str,
}

impl<'t> Parser<'t> {
    fn eat(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Steps up to the end, or up to `=` in a filter.
    fn path(&mut self, in_filter: bool) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        loop {
            if self.eat('[') {
                steps.push(self.bracket()?);
            } else if steps.is_empty() || self.eat('.') {
                steps.push(self.name()?);
            } else if self.rest.is_empty() || (in_filter && self.rest.starts_with('=')) {
                return Ok(steps);
            } else {
                let c = self.rest.chars().next().unwrap_or_default();
                return Err(format!("`{c}` does not belong into a bare name; quote the name"));
            }
        }
    }

    fn name(&mut self) -> Result<Step, String> {
        if self.rest.starts_with(['"', '\'']) {
            return self.quoted().map(Step::Key);
        }
        match self.bare() {
            "" if self.rest.is_empty() => Err("a name is missing at the end".to_owned()),
            "" => Err(format!("a name is missing before `{}`", self.rest)),
            "*" => Ok(Step::All),
            name => Ok(Step::Key(name.to_owned())),
        }
    }

    /// A bare name; a variable in it, `${a.b}`, is one piece of it.
    fn bare(&mut self) -> &'t str {
        let text = self.rest;
        let mut end = 0;
        while let Some(c) = text[end..].chars().next() {
            let variable = text[end..].strip_prefix("${").and_then(|tail| tail.find('}')).map(|at| at + 3);
            match variable {
                Some(length) => end += length,
                None if is_bare_char(c) => end += c.len_utf8(),
                None => break,
            }
        }
        self.rest = &text[end..];
        &text[..end]
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut chars = self.rest.char_indices();
        let quote = chars.next().map(|(_, c)| c);
        let mut out = String::new();
        while let Some((i, c)) = chars.next() {
            match c {
                _ if Some(c) == quote => {
                    self.rest = &self.rest[i + c.len_utf8()..];
                    return Ok(out);
                }
                '\\' => match chars.next() {
                    Some((_, next @ ('\\' | '"' | '\''))) => out.push(next),
                    _ => return Err("`\\` stands before a quote or a backslash only".to_owned()),
                },
                c => out.push(c),
            }
        }
        Err("a quote is not closed".to_owned())
    }

    /// What stands in brackets, the opening one already taken.
    fn bracket(&mut self) -> Result<Step, String> {
        let inside = self.rest;
        let digits = inside.len() - inside.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 && inside[digits..].starts_with(']') {
            self.rest = &inside[digits + 1..];
            let index = inside[..digits]
                .parse()
                .map_err(|_| format!("`{}` is too large an index", &inside[..digits]))?;
            return Ok(Step::Index(index));
        }
        if let Some(rest) = inside.strip_prefix("*]") {
            self.rest = rest;
            return Ok(Step::All);
        }
        if inside.starts_with(['"', '\'']) {
            let key = self.quoted()?;
            if self.eat(']') {
                return Ok(Step::Key(key));
            }
            self.rest = inside;
        }
        let filter = self.filter(false)?;
        if self.eat(']') { Ok(Step::Where(filter)) } else { Err("a bracket is not closed".to_owned()) }
    }

    fn filter(&mut self, to_the_end: bool) -> Result<Filter, String> {
        let path = self.path(true)?;
        if !self.eat('=') {
            return Err("a filter is written `[name=value]`".to_owned());
        }
        let value = if self.rest.starts_with(['"', '\'']) {
            self.quoted()?
        } else {
            let end =
                if to_the_end { self.rest.len() } else { self.rest.find(']').unwrap_or(self.rest.len()) };
            let value = self.rest[..end].to_owned();
            self.rest = &self.rest[end..];
            value
        };
        Ok(Filter { path, value: Template::literal(value) })
    }
}

/// The text form, with quotes where they are needed.
impl fmt::Display for DataPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show(&self.steps))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.to_string();
        let plain = !value.starts_with(['"', '\'']) && !value.contains(']');
        write!(f, "{}={}", show(&self.path), if plain { value } else { quoted(&value) })
    }
}

fn show(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |path, step| match step {
        Step::Key(key) => join(&path, key),
        Step::Index(index) => format!("{path}[{index}]"),
        Step::All => format!("{path}[*]"),
        Step::Where(filter) => format!("{path}[{filter}]"),
    })
}

impl Read for DataPath {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            r.wrong_type(value, "a path such as \"spec.replicas\"");
            return None;
        };
        Self::read_text(text, &value.span(), r)
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "string", "minLength": 1, "examples": ["spec.containers[name=backend].image"] })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Names, read_value};
    use super::*;
    use proptest::prelude::*;

    const PODS: &str = r#"{
        "spec": { "replicas": 2, "containers": [{ "name": "a", "port": 80 }, { "name": "b", "port": 81 }] },
        "labels": { "app.kubernetes.io/part-of": "x", "app": "y" },
        "pods": [{ "podRef": { "namespace": "n" }, "cpu": 1 }, { "podRef": { "namespace": "m" }, "cpu": 2 }],
        "id": "a+b"
    }"#;

    fn select(path: &str) -> (Vec<String>, Vec<String>) {
        let root = super::super::json(PODS, &"pods.json".into()).unwrap();
        let selection = DataPath::parse(path).unwrap().select(&root, &Names).unwrap();
        let found = selection.found.iter().map(|(path, node)| format!("{path} = {}", node.show())).collect();
        (found, selection.missing.into_iter().map(|missing| missing.what).collect())
    }

    #[test]
    fn paths_select() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("spec.replicas", &["spec.replicas = 2"], &[]),
            ("spec.containers[1].name", &["spec.containers[1].name = \"b\""], &[]),
            (
                "spec.containers[*].name",
                &["spec.containers[0].name = \"a\"", "spec.containers[1].name = \"b\""],
                &[],
            ),
            (
                "spec.containers.*.name",
                &["spec.containers[0].name = \"a\"", "spec.containers[1].name = \"b\""],
                &[],
            ),
            ("spec.containers[port=81].name", &["spec.containers[1].name = \"b\""], &[]),
            ("spec.containers[name=b][port=81].name", &["spec.containers[1].name = \"b\""], &[]),
            ("spec.containers[name=b][port=80].name", &[], &[]),
            ("pods[podRef.namespace=m].cpu", &["pods[1].cpu = 2"], &[]),
            (
                "labels[\"app.kubernetes.io/part-of\"]",
                &["labels[\"app.kubernetes.io/part-of\"] = \"x\""],
                &[],
            ),
            ("labels.'app.kubernetes.io/part-of'", &["labels[\"app.kubernetes.io/part-of\"] = \"x\""], &[]),
            ("labels.*", &["labels[\"app.kubernetes.io/part-of\"] = \"x\"", "labels.app = \"y\""], &[]),
            ("[id=a+b].spec.replicas", &["spec.replicas = 2"], &[]),
            ("[kind=X].spec.replicas", &[], &[]),
            ("spec.nope.deep", &[], &["no `nope` in `spec`"]),
            ("nope", &[], &["no `nope` in the document"]),
            ("spec.containers[2]", &[], &["only 2 items in `spec.containers`"]),
            (
                "spec.containers[*].image",
                &[],
                &["no `image` in `spec.containers[0]`", "no `image` in `spec.containers[1]`"],
            ),
            ("spec.replicas.x", &[], &["a number at `spec.replicas`"]),
            ("spec.containers.name", &[], &["a list at `spec.containers`"]),
        ];
        for (path, found, missing) in table {
            let (f, m) = select(path);
            assert_eq!(
                (f, m),
                (
                    found.iter().map(|s| (*s).to_owned()).collect(),
                    missing.iter().map(|s| (*s).to_owned()).collect()
                ),
                "{path}"
            );
        }
    }

    #[test]
    fn mistakes_are_named() {
        let table = [
            ("", "a name is missing at the end"),
            ("a.", "a name is missing at the end"),
            ("a..b", "a name is missing before `.b`"),
            ("a[name]", "`]` does not belong into a bare name; quote the name"),
            ("a[", "a name is missing at the end"),
            ("a[name=x", "a bracket is not closed"),
            ("a b", "` ` does not belong into a bare name; quote the name"),
            ("a=b", "`=` does not belong into a bare name; quote the name"),
            ("\"a", "a quote is not closed"),
            ("a[99999999999999999999999]", "`99999999999999999999999` is too large an index"),
        ];
        for (path, cause) in table {
            assert_eq!(DataPath::parse(path), Err(cause.to_owned()), "{path}");
        }
    }

    /// `${` in a key is no variable: those have been filled in.
    #[test]
    fn a_key_with_a_dollar_sign_is_quoted() {
        let key = |text: &str| Step::Key(text.to_owned());
        let filter = |path: &str, value: &str| {
            Step::Where(Filter { path: vec![key(path)], value: Template::literal(value) })
        };
        let path = DataPath { steps: vec![filter("${", ""), filter("a", "}")] };
        assert_eq!(DataPath::parse(&path.to_string()), Ok(path));
    }

    #[test]
    fn variables_stay_whole() {
        let path: DataPath = read_value("'spec.${tag}[id=${run.id}].x'").unwrap();
        assert_eq!(path.to_string(), "spec[\"v1.0\"][id=${run.id}].x");
        assert!(read_value::<DataPath>("'a.${run.id}'").is_err());
    }

    fn step() -> impl Strategy<Value = Step> {
        let text = prop_oneof!["[a-z]{1,5}", "[ -~]{0,6}", "\\PC{0,4}"];
        let leaf = prop_oneof![
            text.clone().prop_map(Step::Key),
            any::<u16>().prop_map(|n| Step::Index(n.into())),
            Just(Step::All),
        ];
        leaf.prop_recursive(2, 4, 2, move |inner| {
            (prop::collection::vec(inner, 1..3), "[ -~]{0,6}")
                .prop_map(|(path, value)| Step::Where(Filter { path, value: Template::literal(value) }))
        })
    }

    proptest! {
        #[test]
        fn a_path_survives_its_own_text(steps in prop::collection::vec(step(), 1..5)) {
            let path = DataPath { steps };
            let text = path.to_string();
            let again = DataPath::parse(&text);
            prop_assert_eq!(again.as_ref().map(ToString::to_string), Ok(text.clone()));
            prop_assert_eq!(again, Ok(path), "{}", text);
        }

        #[test]
        fn no_text_panics(text in "[a-z.\\[\\]*='\"\\\\${} ]{0,16}") {
            let _ = DataPath::parse(&text).map(|path| select(&path.to_string()));
        }
    }
}
