//! A command line: split into words once, when the file is read; values are put inside words and never split.

use std::fmt;

use serde_json::{Value as Json, json};

use super::diagnostic::Diagnostic;
use super::read::{Defs, Read, Reader, TMP, Value};
use super::template::{Scope, Template};

/// Shells that a task may ask for. Their strict modes are on: a failing command ends the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// `bash -euo pipefail -c`
    Bash,
    /// `sh -eu -c`
    Sh,
    /// `zsh -euo pipefail -c`
    Zsh,
    /// `pwsh -NoProfile -NonInteractive -Command`
    Pwsh,
    /// `cmd /D /C`
    Cmd,
}

/// Names and arguments of the shells, in the order in which they are offered.
const SHELLS: &[(&str, Shell, &[&str])] = &[
    ("bash", Shell::Bash, &["bash", "-euo", "pipefail", "-c"]),
    ("sh", Shell::Sh, &["sh", "-eu", "-c"]),
    ("zsh", Shell::Zsh, &["zsh", "-euo", "pipefail", "-c"]),
    ("pwsh", Shell::Pwsh, &["pwsh", "-NoProfile", "-NonInteractive", "-Command"]),
    ("cmd", Shell::Cmd, &["cmd", "/D", "/C"]),
];

impl Read for Shell {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let names = || SHELLS.iter().map(|(name, ..)| *name);
        let Some(text) = value.get_ref().as_str() else {
            r.wrong_type(value, "the name of a shell");
            return None;
        };
        let found = SHELLS.iter().find(|(name, ..)| *name == text).map(|(_, shell, _)| *shell);
        if found.is_none() {
            let known: Vec<String> = names().map(|n| format!("`{n}`")).collect();
            let hint = crate::wording::nearest(text, names()).map_or_else(
                || format!("shells are {}", crate::wording::list(&known)),
                |near| format!("did you mean `{near}`?"),
            );
            r.report(Diagnostic::new(value.span(), format!("unknown shell `{text}`")).hint(hint));
        }
        found
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "enum": SHELLS.iter().map(|(name, ..)| *name).collect::<Vec<_>>() })
    }
}

/// A command line as it stands in the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// Words; the first is the program.
    Words(Vec<Template>),
    /// A script for a shell. Declared variables and run-time values that it names reach it as environment
    /// variables (dots and dashes in a name become `_`), so that no value is ever read as code.
    Script {
        /// The shell.
        shell: Shell,
        /// The text, untouched.
        text: String,
        /// Name in the environment, and its value.
        exports: Vec<(String, Template)>,
    },
}

/// A command line with every value filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argv {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Additions to the environment.
    pub env: Vec<(String, String)>,
}

impl Line {
    /// Reads a line that is split into words.
    pub fn words(text: &str, span: &std::ops::Range<usize>, r: &mut Reader<'_>) -> Option<Self> {
        let words = match shell_words::split(text) {
            Ok(words) if words.is_empty() => {
                r.report(Diagnostic::new(span.clone(), "an empty command"));
                return None;
            }
            Ok(words) => words,
            Err(_) => {
                r.report(
                    Diagnostic::new(span.clone(), "a quote in this command is not closed")
                        .hint("quotes are read as a POSIX shell reads them"),
                );
                return None;
            }
        };
        for word in &words {
            if matches!(word.as_str(), "|" | "||" | "&&" | ";" | ">" | ">>" | "<" | "2>&1" | "&") {
                let at = r.find(span, word);
                r.report(
                    Diagnostic::new(at, format!("`{word}` means nothing here: no shell reads this command"))
                        .hint("use an array of commands, or `shell = \"bash\"` on the task; quote the word to pass it on as it is: `'\"|\"'`"),
                );
                return None;
            }
        }
        let read: Vec<Option<Template>> = words.iter().map(|word| r.template(word, span)).collect();
        read.into_iter().collect::<Option<_>>().map(Self::Words)
    }

    /// Takes a script as it is, and notes the values that it names.
    pub fn script(shell: Shell, text: &str, r: &mut Reader<'_>) -> Self {
        // As a shell names its variables: a bare word is text, `--url` is no use of `url`.
        let named = |name: &str| {
            let env = env_name(name);
            text.match_indices(&env).any(|(at, _)| {
                let used =
                    ["$", "${", "${#", "${!", "env:", "%"].iter().any(|before| text[..at].ends_with(before));
                let next = text[at + env.len()..].chars().next();
                used && next.is_none_or(|c| !(c.is_ascii_alphanumeric() || c == '_'))
            })
        };
        let mut exports = Vec::new();
        for (name, value) in &r.vars {
            if named(name) {
                r.used.insert(name.clone());
                exports.push((env_name(name), Template::literal(value)));
            }
        }
        for name in &r.runtime {
            if named(name) {
                r.transient |= name == TMP;
                let (template, _) =
                    Template::parse(&format!("${{{name}}}"), |_| super::template::Name::Runtime);
                exports.push((env_name(name), template));
            }
        }
        Self::Script { shell, text: text.to_owned(), exports }
    }

    /// Fills in the values.
    pub fn fill(&self, scope: &dyn Scope) -> Result<Argv, String> {
        match self {
            Self::Words(words) => {
                let argv = words.iter().map(|w| w.fill(scope)).collect::<Result<_, _>>()?;
                Ok(Argv { argv, env: Vec::new() })
            }
            Self::Script { shell, text, exports } => {
                let head = SHELLS.iter().find(|(_, s, _)| s == shell).map_or(&[][..], |(.., head)| head);
                let argv = head.iter().map(|s| (*s).to_owned()).chain([text.clone()]).collect();
                let env = exports
                    .iter()
                    .map(|(n, v)| Ok((n.clone(), v.fill(scope)?)))
                    .collect::<Result<_, String>>()?;
                Ok(Argv { argv, env })
            }
        }
    }

    /// The program, where it is known before the task runs.
    pub fn program(&self) -> Option<&str> {
        match self {
            Self::Words(words) => words.first().and_then(Template::as_static),
            Self::Script { shell, .. } => SHELLS.iter().find(|(_, s, _)| s == shell).map(|(name, ..)| *name),
        }
    }

    /// Run-time names that it needs.
    pub fn runtime_names(&self) -> Vec<&str> {
        match self {
            Self::Words(words) => words.iter().flat_map(Template::runtime_names).collect(),
            Self::Script { exports, .. } => exports.iter().flat_map(|(_, v)| v.runtime_names()).collect(),
        }
    }
}

/// As a person would type it: run-time names stay `${name}`, words are quoted where they must be.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => {
                let shown: Vec<String> = words.iter().map(|w| quote(&w.to_string())).collect();
                f.write_str(&shown.join(" "))
            }
            Self::Script { text, .. } => f.write_str(text.trim()),
        }
    }
}

/// A word as a POSIX shell needs it; a lone `${name}` is left readable.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,{}$".contains(c) || !c.is_ascii();
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        shell_words::quote(word).into_owned()
    }
}

/// A whole argument vector as a person would type it.
pub fn quote_all(argv: &[String]) -> String {
    argv.iter().map(|w| quote(w)).collect::<Vec<_>>().join(" ")
}

/// The environment variable that carries a value into a script.
fn env_name(name: &str) -> String {
    name.replace(['.', '-'], "_")
}

impl Read for Line {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            r.wrong_type(value, "a command");
            return None;
        };
        match r.shell {
            Some(shell) => Some(Self::script(shell, text, r)),
            None => Self::words(text, &value.span(), r),
        }
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_gets_the_values_that_it_names_and_no_others() {
        let mut r = Reader::new("");
        r.vars = ["image", "tag", "keep"].iter().map(|n| ((*n).to_owned(), "v".to_owned())).collect();
        r.runtime = ["url", "run.id"].iter().map(|n| (*n).to_owned()).collect();
        let exported = |text: &str, r: &mut Reader<'_>| match Line::script(Shell::Bash, text, r) {
            Line::Script { exports, .. } => exports.into_iter().map(|(n, _)| n).collect::<Vec<_>>(),
            Line::Words(_) => unreachable!("a script was made"),
        };
        assert_eq!(exported("service --url; keep tag", &mut r), Vec::<String>::new());
        assert_eq!(
            exported("load ${image%:*} $tag-$run_id ${#url}", &mut r),
            ["image", "tag", "run_id", "url"]
        );
        assert_eq!(exported("echo $tagged ${images}", &mut r), Vec::<String>::new());
    }
}
