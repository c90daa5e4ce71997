//! `http = "http://127.0.0.1:${port}/health"`: a server answers, and says the right things.

use super::data::expect::data_record;
use super::data::{self, DataPath};
use super::text::{Patterns, Search};
use super::{Check, Context, Finding, Keys, Refuse};
use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::read::{Map, OneOrMany, Period};
use crate::pipeline::template::Template;
use crate::wording;
use crate::world::{Request, Response};

/// How long a server may take for an answer where the check does not say.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

data_record! {
    /// A server answers over HTTP, and says the right things. Redirections are answers, they are not followed.
    pub struct HttpCheck {
        /// The address, with `http://`.
        http: Template,
        /// The status that the answer must have, or several of which it must have one; 200 if left out.
        status: OneOrMany<u64>,
        /// The method; `GET`, or `POST` where there is a `body`.
        method: Option<String>,
        /// Headers to send.
        headers: Map<Template>,
        /// The body to send.
        body: Option<Template>,
        /// Regular expressions that must match somewhere in the answer's body.
        contains: OneOrMany<Search>,
        /// Regular expressions that must not match anywhere in the answer's body.
        lacks: OneOrMany<Search>,
        /// How long the answer may take; 5 s if left out.
        timeout: Option<Period>,
    } by json
}

impl HttpCheck {
    fn patterns(&self) -> Patterns<'_> {
        Patterns { contains: &self.contains, lacks: &self.lacks }
    }

    fn request(&self, cx: &Context<'_>) -> Result<Request, String> {
        let body = self.body.as_ref().map(|body| body.fill(cx.scope)).transpose()?;
        let headers =
            self.headers.iter().map(|(name, value)| Ok((name.value.clone(), value.fill(cx.scope)?)));
        Ok(Request {
            method: self
                .method
                .clone()
                .unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.to_owned()),
            url: self.http.fill(cx.scope)?,
            headers: headers.collect::<Result<_, String>>()?,
            body,
            limit: self.timeout.map_or(PATIENCE, |period| period.0).min(cx.limit),
        })
    }

    fn look(&self, cx: &Context<'_>) -> Result<String, Finding> {
        let request = self.request(cx).map_err(Finding::unknown)?;
        let url = request.url.clone();
        let response = cx
            .world
            .http(&request)
            .map_err(|why| Finding::unmet(format!("status {}", wanted(&self.status.0)), why, &url))?;
        expect_status(&response, &self.status.0, &url)?;
        self.patterns()
            .look(&response.body, &url, cx)
            .map_err(|finding| with_body(finding, &response.body, !self.contains.0.is_empty()))?;
        let expect = self.expect();
        if expect.compares_whole() {
            expect.compare_text("the body", &response.body, &url, cx)?;
        }
        let mut seen = None;
        if !expect.is_empty() {
            let json = serde_json::from_str(&response.body)
                .map_err(|_| Finding::unmet("JSON", shown(&response.body), &url))?;
            let root = data::from_json(json, &url.as_str().into());
            seen = expect.look(&|_: &DataPath| Ok(&root), cx)?;
        }
        Ok(seen.map_or_else(
            || format!("status {}", response.status),
            |seen| format!("status {}, {seen}", response.status),
        ))
    }
}

/// The wanted status in words.
pub fn wanted(status: &[u64]) -> String {
    if status.is_empty() {
        "200".to_owned()
    } else {
        wording::either(&status.iter().map(u64::to_string).collect::<Vec<_>>())
    }
}

/// True if a response has one of these, or 200 where none is given.
pub fn fits(response: &Response, status: &[u64]) -> bool {
    let found = u64::from(response.status);
    if status.is_empty() { found == 200 } else { status.contains(&found) }
}

fn expect_status(response: &Response, status: &[u64], url: &str) -> Result<(), Finding> {
    if fits(response, status) {
        return Ok(());
    }
    let body =
        if response.body.trim().is_empty() { String::new() } else { format!(": {}", shown(&response.body)) };
    Err(Finding::unmet(
        format!("status {}", wanted(status)),
        format!("status {}{body}", response.status),
        url,
    ))
}

/// A body, cut to what fits into a sentence.
fn shown(body: &str) -> String {
    if body.trim().is_empty() {
        "an empty body".to_owned()
    } else {
        format!("`{}`", wording::first_line(body, 120))
    }
}

/// Shows the beginning of a body in which something is missing.
fn with_body(finding: Finding, body: &str, missing: bool) -> Finding {
    match finding {
        Finding::Unmet { expected, found, at, hint } if missing && found == "none" => {
            Finding::Unmet { expected, found: format!("none in {}", shown(body)), at, hint }
        }
        other => other,
    }
}

/// What is wrong with an address that is known when the file is read.
pub fn mistakes_in_url(url: &Template, key: &str, keys: &Keys<'_>) -> Vec<Diagnostic> {
    let text = url.to_string();
    let mut out = Vec::new();
    if text.starts_with("https://") {
        out.push(
            keys.mistake(key, "no TLS here: only `http://` can be asked")
                .hint(format!("ask with curl: {{ run = \"curl --fail --silent {text}\" }}")),
        );
    } else if !text.starts_with("http://") && !text.starts_with("${") {
        out.push(
            keys.mistake(key, format!("`{text}` is not an address")).hint("an address starts with `http://`"),
        );
    } else if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        out.push(
            keys.mistake(key, format!("`{}` contains a blank", text.escape_debug()))
                .hint("write `%20` for a blank"),
        );
    }
    out
}

/// What is wrong with the status codes that a check waits for.
pub fn mistakes_in_status(status: &[u64], keys: &Keys<'_>) -> Option<Diagnostic> {
    let odd = status.iter().find(|status| !(100..=599).contains(*status))?;
    Some(keys.mistake("status", format!("no HTTP status is {odd}")))
}

impl Refuse for HttpCheck {
    fn refuse(&self, keys: &Keys<'_>) -> Vec<Diagnostic> {
        let mut out = mistakes_in_url(&self.http, "http", keys);
        out.extend(mistakes_in_status(&self.status.0, keys));
        if let Some(method) = self
            .method
            .as_ref()
            .filter(|method| method.is_empty() || !method.chars().all(|c| c.is_ascii_uppercase()))
        {
            out.push(
                keys.mistake("method", format!("`{method}` is not an HTTP method"))
                    .hint("methods are written in capitals, such as `POST`"),
            );
        }
        out.extend(self.expect().mistakes(keys, true));
        out
    }
}

impl Check for HttpCheck {
    fn describe(&self) -> String {
        let mut clauses = vec![format!("answers {}", wanted(&self.status.0))];
        clauses.extend(self.patterns().clauses());
        clauses.extend(self.expect().clauses());
        let method = match (&self.method, &self.body) {
            (Some(method), _) => format!("{method} "),
            (None, Some(_)) => "POST ".to_owned(),
            _ => String::new(),
        };
        format!("{method}{} {}", self.http, wording::list(&clauses))
    }

    fn observe(&self, cx: &Context<'_>) -> Finding {
        self.look(cx).map_or_else(|finding| finding, Finding::met_with)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::world::fake::Fake;

    #[test]
    fn what_is_found() {
        let url = "http://127.0.0.1:4711";
        let world = Fake::new()
            .responds(&format!("GET {url}/health"), 200, r#"{"status":"ok","database":true}"#)
            .responds(&format!("GET {url}/down"), 503, "no database\nsecond line")
            .responds(&format!("GET {url}/empty"), 500, "")
            .responds(&format!("GET {url}/version"), 200, "1.2\n")
            .responds(&format!("POST {url}/habits"), 201, r#"[{"name":"a+b"},{"name":"c"}]"#);
        assert_found(
            &world,
            &[
                (r#"{ http = "http://127.0.0.1:${port}/health" }"#, "holds: status 200"),
                (
                    r#"{ http = "http://127.0.0.1:${port}/health", json = "status", equals = "ok" }"#,
                    "holds: status 200",
                ),
                (
                    r#"{ http = "http://127.0.0.1:${port}/health", json = "database", equals = false }"#,
                    "expected `database` = false, found true (http://127.0.0.1:4711/health)",
                ),
                (
                    r#"{ http = "http://127.0.0.1:${port}/health", contains = "degraded" }"#,
                    "expected a match of `degraded`, found none in `{\"status\":\"ok\",\"database\":true}` (http://127.0.0.1:4711/health)",
                ),
                (
                    r#"{ http = "http://127.0.0.1:${port}/health", lacks = "ok" }"#,
                    "expected no match of `ok`, found one (http://127.0.0.1:4711/health:1)",
                ),
                (
                    r#"{ http = "http://127.0.0.1:${port}/down" }"#,
                    "expected status 200, found status 503: `no database` (http://127.0.0.1:4711/down)",
                ),
                (r#"{ http = "http://127.0.0.1:${port}/down", status = [200, 503] }"#, "holds: status 503"),
                (
                    r#"{ http = "http://127.0.0.1:${port}/empty", status = [200, 503] }"#,
                    "expected status 200 or 503, found status 500 (http://127.0.0.1:4711/empty)",
                ),
                (r#"{ http = "http://127.0.0.1:${port}/version", equals = "1.2" }"#, "holds: status 200"),
                (
                    r#"{ http = "http://127.0.0.1:${port}/version", min = 1.3 }"#,
                    "expected the body >= 1.3, found 1.2 (http://127.0.0.1:4711/version)",
                ),
                (
                    r#"{ http = "http://127.0.0.1:${port}/version", json = "a" }"#,
                    "expected a value at `a`, found a number at the document (http://127.0.0.1:4711/version)",
                ),
                (
                    r#"{ http = "http://127.0.0.1:${port}/habits", body = "{}", status = 201, json = "[name=${run.id}].name" }"#,
                    "holds: status 201, \"a+b\"",
                ),
                (
                    r#"{ http = "http://127.0.0.1:1/" }"#,
                    "expected status 200, found the connection was refused (http://127.0.0.1:1/)",
                ),
            ],
        );
    }

    #[test]
    fn a_request_is_sent_as_it_is_described() {
        let world = Fake::new();
        found(
            &world,
            r#"{ http = "http://h/", method = "PUT", body = "x ${run.id}", headers = { A = "b ${port}" }, timeout = "2s" }"#,
        );
        let sent = world.requested().remove(0);
        assert_eq!(
            (sent.method.as_str(), sent.body.as_deref(), sent.limit.as_secs()),
            ("PUT", Some("x a+b"), 2)
        );
        assert_eq!(sent.headers, [("A".to_owned(), "b 4711".to_owned())]);
    }

    #[test]
    fn it_looks_again_while_there_is_time() {
        let request = "GET http://h/";
        let world = Fake::new()
            .response(request, Err("the connection was refused".into()))
            .responds(request, 503, "")
            .responds(request, 200, "");
        assert_eq!(found(&world, r#"{ http = "http://h/", within = "60s" }"#), "holds: status 200");
        assert_eq!(world.waited().as_millis(), 125);
        let world = Fake::new();
        let text = found(&world, r#"{ http = "http://h/", within = "3s" }"#);
        assert_eq!(text, "expected status 200 within 3.0 s, found the connection was refused (http://h/)");
        assert!(world.waited().as_secs_f64() > 2.9);
    }

    #[test]
    fn what_is_refused() {
        assert_refused(&[
            (r#"{ http = "https://h/" }"#, "no TLS here: only `http://` can be asked"),
            (r#"{ http = "127.0.0.1:80" }"#, "`127.0.0.1:80` is not an address"),
            (r#"{ http = "http://h/a b" }"#, "`http://h/a b` contains a blank"),
            (r#"{ http = "http://h/", status = 42 }"#, "no HTTP status is 42"),
            (r#"{ http = "http://h/", method = "get" }"#, "`get` is not an HTTP method"),
            (r#"{ http = "http://h/", includes = "x" }"#, "`includes` means nothing without `json`"),
        ]);
    }
}
