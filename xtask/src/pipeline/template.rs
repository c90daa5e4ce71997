//! Text with variables in it: `${name}`, `$$` for a dollar sign, everything else left alone.
//!
//! Values of `[vars]` are put in when the file is read. What only a run knows (`${run.id}`, captured values)
//! stays as a name until then, so that a definition has the same digest in every run.

use std::fmt;

/// Text whose declared variables are filled in and whose run-time names are still open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Runtime(String),
}

/// What the names in a template stand for while it is read.
pub enum Name {
    /// A declared variable with its value.
    Static(String),
    /// Known only when the task runs.
    Runtime,
    /// Nobody knows it.
    Unset,
    /// Declared, but its value would make the text longer than any may be.
    TooLong,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// `${` without a closing brace or with something that is not a name inside.
    Malformed(String),
    /// A name that nobody declares.
    Unset(String),
    /// A name whose value would make the text longer than any may be.
    TooLong(String),
}

/// How many mistakes of one text are kept: a text with more is not a text with variables.
const MISTAKES_KEPT: usize = 100;

/// Gives the values that only a run knows.
pub trait Scope {
    /// The value of `name`, or why there is none, as the end of a sentence.
    fn value(&self, name: &str) -> Result<String, String>;
}

/// A scope for places outside any attempt: it knows no name.
pub struct NoScope;

impl Scope for NoScope {
    fn value(&self, name: &str) -> Result<String, String> {
        Err(format!("`${{{name}}}` has a value only while its task runs"))
    }
}

impl Template {
    /// Text without variables.
    pub fn literal(text: impl Into<String>) -> Self {
        Self { pieces: vec![Piece::Text(text.into())] }
    }

    /// Reads `text`, asking `lookup` for each name. All mistakes are reported, not only the first, up to a hundred.
    pub fn parse(text: &str, mut lookup: impl FnMut(&str) -> Name) -> (Self, Vec<TemplateError>) {
        let mut out = Self::default();
        let mut errors = Vec::new();
        let mut report = |error: TemplateError| {
            if errors.len() < MISTAKES_KEPT {
                errors.push(error);
            }
        };
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_text(&rest[..at]);
            let tail = &rest[at + 1..];
            if let Some(after) = tail.strip_prefix('$') {
                out.push_text("$");
                rest = after;
            } else if let Some(inner) = tail.strip_prefix('{') {
                match inner.find('}').map(|end| (&inner[..end], &inner[end + 1..])) {
                    Some((name, after)) if is_name(name) => {
                        match lookup(name) {
                            Name::Static(value) => out.push_text(&value),
                            Name::Runtime => out.pieces.push(Piece::Runtime(name.to_owned())),
                            Name::Unset => report(TemplateError::Unset(name.to_owned())),
                            Name::TooLong => report(TemplateError::TooLong(name.to_owned())),
                        }
                        rest = after;
                    }
                    _ => {
                        report(TemplateError::Malformed(format!(
                            "${{{}",
                            inner.chars().take(20).collect::<String>()
                        )));
                        out.push_text("${");
                        rest = inner;
                    }
                }
            } else {
                out.push_text("$");
                rest = tail;
            }
        }
        out.push_text(rest);
        (out, errors)
    }

    fn push_text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.pieces.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }

    /// The text, with every run-time name filled in. A value is put in as it is and never read again.
    pub fn fill(&self, scope: &dyn Scope) -> Result<String, String> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Runtime(name) => out.push_str(&scope.value(name)?),
            }
        }
        Ok(out)
    }

    /// The text, if no run-time name is open.
    pub fn as_static(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The run-time names in it.
    pub fn runtime_names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|p| match p {
            Piece::Runtime(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }
}

/// Run-time names are shown as they are written, `${name}`.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Runtime(name) => write!(f, "${{{name}}}"),
        })
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Port;
    impl Scope for Port {
        fn value(&self, name: &str) -> Result<String, String> {
            if name == "port" { Ok("80; rm -rf $HOME ${tag}".to_owned()) } else { Err("no".to_owned()) }
        }
    }

    fn lookup(name: &str) -> Name {
        match name {
            "tag" => Name::Static("v1".to_owned()),
            "port" => Name::Runtime,
            _ => Name::Unset,
        }
    }

    #[test]
    fn variables_dollars_and_braces() {
        let table = [
            ("a ${tag} b", "a v1 b"),
            ("$$HOME $5 $", "$HOME $5 $"),
            ("{{.Size}} {.items}", "{{.Size}} {.items}"),
            ("$${tag}", "${tag}"),
            (":${port}:", ":80; rm -rf $HOME ${tag}:"),
        ];
        for (text, filled) in table {
            let (template, errors) = Template::parse(text, lookup);
            assert!(errors.is_empty(), "{text}: {errors:?}");
            assert_eq!(template.fill(&Port).unwrap(), filled);
        }
    }

    #[test]
    fn every_mistake_is_found() {
        let (_, errors) = Template::parse("${nope} ${tag} ${also} ${not closed", lookup);
        assert_eq!(
            errors,
            [
                TemplateError::Unset("nope".into()),
                TemplateError::Unset("also".into()),
                TemplateError::Malformed("${not closed".into())
            ]
        );
    }

    proptest! {
        #[test]
        fn doubled_dollars_give_any_text_back(text in ".*") {
            let (template, errors) = Template::parse(&text.replace('$', "$$"), lookup);
            prop_assert!(errors.is_empty());
            prop_assert_eq!(template.fill(&NoScope).unwrap(), text);
        }

        #[test]
        fn no_text_panics(text in "[${}a-z.]*") {
            let _ = Template::parse(&text, lookup);
        }
    }
}
