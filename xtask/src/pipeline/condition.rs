//! `when = { os = "linux", context = "minikube" }`: what must be so for a task or a command to make sense here.

use serde_json::{Value as Json, json};

use super::diagnostic::Diagnostic;
use super::read::{Defs, Read, Reader, Value};
use crate::redact::{MASK, is_same, is_stand_in};
use crate::wording;

/// All of its terms must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    /// The terms, in the order of the file.
    pub terms: Vec<Term>,
}

/// One `name = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// What is asked about.
    pub about: About,
    /// The values of which one must be found; with `negated` none of them.
    pub values: Vec<String>,
    /// `{ not = ... }`.
    pub negated: bool,
}

/// What a term asks about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// `os`: `linux`, `macos` or `windows` (the names of Rust's `std::env::consts::OS`).
    Os,
    /// `arch`: `x86_64`, `aarch64`, ... (the names of Rust's `std::env::consts::ARCH`).
    Arch,
    /// A declared variable; its value is known when the file is read.
    Variable(String, String),
    /// A declared fact, asked when a task needs to know.
    Fact(String),
}

/// What a condition comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Holds,
    /// It does not, and why: "`context` is `kind-dev`, not `minikube`".
    Fails(String),
    /// A fact could not be told, and why.
    Unknown(String),
}

impl Condition {
    /// Evaluates; `fact` gives a fact's value, or why there is none.
    pub fn evaluate(&self, fact: &dyn Fn(&str) -> Result<String, String>) -> Outcome {
        let mut unknown = None;
        for term in &self.terms {
            let (name, found) = match &term.about {
                About::Os => ("os", Ok(std::env::consts::OS.to_owned())),
                About::Arch => ("arch", Ok(std::env::consts::ARCH.to_owned())),
                About::Variable(name, value) => (name.as_str(), Ok(value.clone())),
                About::Fact(name) => (name.as_str(), fact(name)),
            };
            match found {
                Ok(found) if term.values.iter().any(|v| is_same(v, &found)) == term.negated => {
                    let found = if is_stand_in(&found) { MASK } else { &found };
                    let wanted: Vec<String> = term.values.iter().map(|v| format!("`{v}`")).collect();
                    return Outcome::Fails(if term.negated {
                        format!("`{name}` is `{found}`, which rules it out")
                    } else {
                        format!("`{name}` is `{found}`, not {}", wording::either(&wanted))
                    });
                }
                Ok(_) => {}
                Err(why) => unknown = Some(format!("`{name}` could not be told: {why}")),
            }
        }
        unknown.map_or(Outcome::Holds, Outcome::Unknown)
    }

    /// The facts that it asks for.
    pub fn facts(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().filter_map(|t| match &t.about {
            About::Fact(name) => Some(name.as_str()),
            _ => None,
        })
    }
}

/// The systems that `os` can name here.
const SYSTEMS: &[&str] = &["linux", "macos", "windows", "freebsd", "netbsd", "openbsd"];

impl Read for Condition {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            r.wrong_type(value, "a table such as { os = \"linux\" }");
            return None;
        };
        let mut out = Self::default();
        let mut fine = true;
        for (key, value) in table.iter() {
            let name: &str = key.get_ref();
            let about = match name {
                "os" => About::Os,
                "arch" => About::Arch,
                _ if r.facts.contains(name) => About::Fact(name.to_owned()),
                _ if r.vars.contains_key(name) => match r.spend(name) {
                    Some(value) => About::Variable(name.to_owned(), value),
                    None => {
                        r.too_long(name, key.span());
                        fine = false;
                        continue;
                    }
                },
                _ => {
                    let near = r.nearest(
                        name,
                        ["os", "arch"]
                            .into_iter()
                            .chain(r.facts.iter().map(String::as_str))
                            .chain(r.vars.keys().map(String::as_str)),
                    );
                    let hint = near.map_or_else(
                        || format!("declare it: [fact.{name}]"),
                        |near| format!("did you mean `{near}`?"),
                    );
                    r.report(
                        Diagnostic::new(key.span(), format!("`{name}` is neither a fact nor a variable"))
                            .hint(hint),
                    );
                    fine = false;
                    continue;
                }
            };
            let (value, negated) =
                match value.get_ref().as_table().and_then(|t| t.get("not").filter(|_| t.len() == 1)) {
                    Some(inner) => (inner, true),
                    None => (value, false),
                };
            let texts: Option<Vec<String>> = match value.get_ref().as_array() {
                Some(items) => items.iter().map(|v| scalar(v, r)).collect(),
                None => scalar(value, r).map(|v| vec![v]),
            };
            let Some(values) = texts else {
                fine = false;
                continue;
            };
            if about == About::Os
                && let Some(odd) = values.iter().find(|v| !SYSTEMS.contains(&v.as_str()))
            {
                let hint = wording::nearest(odd, SYSTEMS.iter().copied()).map_or_else(
                    || format!("systems are {}", wording::list(SYSTEMS)),
                    |near| format!("did you mean `{near}`?"),
                );
                r.report(Diagnostic::new(value.span(), format!("no system is called `{odd}`")).hint(hint));
                fine = false;
            }
            out.terms.push(Term { about, values, negated });
        }
        fine.then_some(out)
    }
    fn schema(_: &mut Defs) -> Json {
        let text = json!({ "type": ["string", "boolean", "integer"] });
        let one = json!({ "oneOf": [text, { "type": "array", "items": text }] });
        json!({ "type": "object", "additionalProperties": { "oneOf": [one, { "type": "object", "properties": { "not": one }, "required": ["not"], "additionalProperties": false }] } })
    }
}

fn scalar(value: &Value<'_>, r: &mut Reader<'_>) -> Option<String> {
    use toml::de::DeValue;
    match value.get_ref() {
        DeValue::String(text) => r.fixed(text, &value.span()),
        DeValue::Boolean(b) => Some(b.to_string()),
        DeValue::Integer(i) => Some(i.to_string()),
        _ => {
            r.wrong_type(value, "a string, or an array of strings");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(values: &[&str], negated: bool) -> Condition {
        let values = values.iter().map(|v| (*v).to_owned()).collect();
        Condition { terms: vec![Term { about: About::Fact("context".into()), values, negated }] }
    }

    #[test]
    fn a_fact_decides_and_an_unknown_one_does_not() {
        let minikube = |_: &str| Ok("minikube".to_owned());
        let nobody = |_: &str| Err("`kubectl` is not on PATH".to_owned());
        assert_eq!(term(&["minikube"], false).evaluate(&minikube), Outcome::Holds);
        assert!(matches!(term(&["minikube"], true).evaluate(&minikube), Outcome::Fails(_)));
        assert!(
            matches!(term(&["kind", "k3d"], false).evaluate(&minikube), Outcome::Fails(why) if why.contains("`kind` or `k3d`"))
        );
        assert!(matches!(term(&["minikube"], false).evaluate(&nobody), Outcome::Unknown(_)));
    }
}
