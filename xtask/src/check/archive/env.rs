//! Secrets in environment files: which values are worth looking for, and in which forms they may turn up.

use crate::redact::{CERTAIN, is_certain};

/// A value that must not turn up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// The name of the variable.
    pub name: String,
    /// The texts that give it away: the value, its form in JSON, the password in it.
    pub forms: Vec<String>,
}

/// Reads an environment file (`NAME=value`, one a line, `#` comments) and picks the values that may be secret. Passed
/// over are names in `except`, short values, numbers, and addresses without a password.
pub fn secrets(text: &str, except: &[String]) -> Vec<Secret> {
    text.lines()
        .filter_map(|line| line.trim().trim_start_matches("export ").split_once('='))
        .map(|(name, value)| (name.trim(), unquoted(value.trim())))
        .filter(|(name, _)| !name.starts_with('#') && !except.iter().any(|except| except == name))
        .filter_map(|(name, value)| Some(Secret { name: name.to_owned(), forms: forms(value)? }))
        .collect()
}

fn unquoted(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

/// The texts to look for; nothing for a value that is no secret.
fn forms(value: &str) -> Option<Vec<String>> {
    if !is_certain(value) {
        return None;
    }
    let mut out = vec![value.to_owned()];
    if value.contains("://") {
        out.extend(
            Some(password(value)?).filter(|password| password.chars().count() >= CERTAIN).map(str::to_owned),
        );
    }
    // Image configurations are written by Go, whose JSON also escapes `&`, `<` and `>`.
    let escaped: Vec<String> =
        out.iter().map(|form| go_json(form)).filter(|form| !out.contains(form)).collect();
    out.extend(escaped);
    Some(out)
}

/// The password of an address (RFC 3986, 3.2.1).
fn password(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    authority.rsplit_once('@')?.0.split_once(':').map(|(_, password)| password)
}

fn go_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = &quoted[1..quoted.len() - 1];
    inner.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_worth_looking_for() {
        let text = "\
# JWT_COMMENT=not-this-one-at-all
DATABASE_URL=postgresql://habit:pass&word1@db:5432/x
SQLITE=sqlite:///./data/app.db
NEXT_PUBLIC_API_URL=http://habit-tracker-backend:8000
JWT_SECRET=\"0123456789abcdef\"
JWT_ALGORITHM=HS256
DEBUG=true
PORT=800000000
MODE=production
export API_KEY='AIzaSyExample'
SHARED=known-to-everybody
EMPTY=
nonsense
";
        let found = secrets(text, &["SHARED".to_owned()]);
        let shown: Vec<(&str, Vec<&str>)> =
            found.iter().map(|s| (s.name.as_str(), s.forms.iter().map(String::as_str).collect())).collect();
        assert_eq!(
            shown,
            [
                (
                    "DATABASE_URL",
                    vec![
                        "postgresql://habit:pass&word1@db:5432/x",
                        "pass&word1",
                        "postgresql://habit:pass\\u0026word1@db:5432/x",
                        "pass\\u0026word1",
                    ],
                ),
                ("JWT_SECRET", vec!["0123456789abcdef"]),
                ("API_KEY", vec!["AIzaSyExample"]),
            ]
        );
    }
}
