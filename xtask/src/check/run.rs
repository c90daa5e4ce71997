//! `run = "kubectl get pods"`: a command answers the right things.

use super::ask::{ask, expect_status, shown};
use super::data::expect::data_record;
use super::data::{self, DataPath};
use super::text::{Patterns, Search};
use super::{Check, Context, Finding, Keys, Refuse};
use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::line::Line;
use crate::pipeline::read::{Defs, OneOrMany, Period, Read, Reader, Value};
use crate::wording;
use crate::world::Answer;
use serde_json::{Value as Json, json};

/// What a command writes that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// One after the other.
    Both,
}

const STREAMS: &[(&str, Stream)] =
    &[("stdout", Stream::Stdout), ("stderr", Stream::Stderr), ("both", Stream::Both)];

impl Read for Stream {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let found = value.get_ref().as_str().and_then(|text| STREAMS.iter().find(|(name, _)| *name == text));
        if found.is_none() {
            r.report(Diagnostic::new(value.span(), "`stream` takes \"stdout\", \"stderr\" or \"both\""));
        }
        found.map(|(_, stream)| *stream)
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "enum": STREAMS.iter().map(|(name, _)| *name).collect::<Vec<_>>() })
    }
}

data_record! {
    /// A command answers the right things. It runs for its answer only, so it should change nothing.
    pub struct RunCheck {
        /// The command, with the task's environment and working directory.
        run: Line,
        /// The exit code that it must have, or several of which it must have one; 0 if left out.
        status: OneOrMany<u64>,
        /// What is looked at: "stdout", "stderr" or "both"; standard output if left out.
        stream: Option<Stream>,
        /// Regular expressions that must match somewhere in the output.
        contains: OneOrMany<Search>,
        /// Regular expressions that must not match anywhere in the output.
        lacks: OneOrMany<Search>,
        /// How long it may take.
        timeout: Option<Period>,
    } by json
}

impl RunCheck {
    fn patterns(&self) -> Patterns<'_> {
        Patterns { contains: &self.contains, lacks: &self.lacks }
    }

    fn status(&self) -> &[u64] {
        if self.status.0.is_empty() { &[0] } else { &self.status.0 }
    }

    fn text(&self, answer: &Answer) -> String {
        match self.stream.unwrap_or(Stream::Stdout) {
            Stream::Stdout => answer.stdout.clone(),
            Stream::Stderr => answer.stderr.clone(),
            Stream::Both => format!("{}{}", answer.stdout, answer.stderr),
        }
    }

    fn look(&self, cx: &Context<'_>) -> Result<Option<String>, Finding> {
        let answer = ask(&self.run, self.timeout.map(|period| period.0), cx)?;
        expect_status(&answer, self.status(), &self.run)?;
        let text = self.text(&answer);
        let place = shown(&self.run);
        self.patterns().look(&text, &place, cx).map_err(|finding| self.with_output(finding, &text))?;
        let expect = self.expect();
        if expect.compares_whole() {
            expect.compare_text("the output", &text, &place, cx)?;
        }
        if expect.is_empty() {
            return Ok(None);
        }
        let json = serde_json::from_str(&text).map_err(|_| Finding::unmet("JSON", output(&text), &place))?;
        let root = data::from_json(json, &place.as_str().into());
        expect.look(&|_: &DataPath| Ok(&root), cx)
    }

    /// Shows the beginning of an output in which something is missing.
    fn with_output(&self, finding: Finding, text: &str) -> Finding {
        match finding {
            Finding::Unmet { expected, found, at, hint } if found == "none" => {
                Finding::Unmet { expected, found: format!("none in {}", output(text)), at, hint }
            }
            other => other,
        }
    }
}

/// An output, cut to what fits into a sentence.
fn output(text: &str) -> String {
    if text.trim().is_empty() {
        "no output".to_owned()
    } else {
        format!("`{}`", wording::first_line(text, 120))
    }
}

impl Refuse for RunCheck {
    fn refuse(&self, keys: &Keys<'_>) -> Vec<Diagnostic> {
        let mut out = self.expect().mistakes(keys, true);
        if let Some(odd) = self.status.0.iter().find(|status| **status > 255) {
            out.push(
                keys.mistake("status", format!("no exit code is {odd}")).hint("exit codes go from 0 to 255"),
            );
        }
        out
    }
}

impl Check for RunCheck {
    fn describe(&self) -> String {
        let mut clauses = Vec::new();
        if !self.status.0.is_empty() {
            clauses.push(format!(
                "exits with {}",
                wording::either(&self.status.0.iter().map(u64::to_string).collect::<Vec<_>>())
            ));
        }
        clauses.extend(self.patterns().clauses());
        if self.expect().compares_whole() {
            clauses.extend(
                self.expect()
                    .clauses()
                    .into_iter()
                    .map(|clause| format!("answers {}", clause.trim_start_matches("it "))),
            );
        } else {
            clauses.extend(self.expect().clauses());
        }
        if clauses.is_empty() {
            clauses.push("succeeds".to_owned());
        }
        format!("{} {}", shown(&self.run), wording::list(&clauses))
    }

    fn observe(&self, cx: &Context<'_>) -> Finding {
        self.look(cx).map_or_else(|finding| finding, |found| Finding::Met { found })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::exec::How;
    use crate::world::Answer;
    use crate::world::fake::Fake;

    fn answer(how: How, stdout: &str, stderr: &str) -> Answer {
        Answer { how, stdout: stdout.to_owned(), stderr: stderr.to_owned() }
    }

    #[test]
    fn what_is_found() {
        let world = Fake::new()
            .says("docker inspect a+b", 0, "1000:1000\n")
            .says("kubectl get pods", 0, r#"{"items":[{"restarts":0},{"restarts":2}]}"#)
            .answers("helm lint", answer(How::Exited(1), "", "start\nError: 1 chart failed\n"))
            .answers("helm slow", answer(How::TimedOut, "", ""))
            .answers("helm killed", answer(How::Signaled(9), "", ""))
            .answers("helm odd", answer(How::NotStarted("exec format error".into()), "", ""))
            .answers("helm warn", answer(How::Exited(0), "out\n", "warn: old\n"));
        assert_found(
            &world,
            &[
                (r#"{ run = "docker inspect ${run.id}" }"#, "holds"),
                (r#"{ run = "docker inspect ${run.id}", equals = "1000:1000" }"#, "holds"),
                (
                    r#"{ run = "docker inspect ${run.id}", equals = "0:0" }"#,
                    "expected the output = \"0:0\", found \"1000:1000\" (`docker inspect ${run.id}`)",
                ),
                (
                    r#"{ run = "docker inspect ${run.id}", contains = '^0' }"#,
                    "expected a match of `^0`, found none in `1000:1000` (`docker inspect ${run.id}`)",
                ),
                (
                    r#"{ run = "docker inspect ${run.id}", lacks = '^1' }"#,
                    "expected no match of `^1`, found one (`docker inspect ${run.id}`:1)",
                ),
                (
                    r#"{ run = "kubectl get pods", json = "items[*].restarts", equals = 0 }"#,
                    "expected `items[*].restarts` = 0, found 2 at `items[1].restarts` (`kubectl get pods`)",
                ),
                (r#"{ run = "kubectl get pods", json = "items[*]", count = 2 }"#, "holds"),
                (
                    r#"{ run = "docker inspect ${run.id}", json = "a" }"#,
                    "expected JSON, found `1000:1000` (`docker inspect ${run.id}`)",
                ),
                (
                    r#"{ run = "helm lint" }"#,
                    "expected exit code 0, found exit code 1: `Error: 1 chart failed` (`helm lint`)",
                ),
                (r#"{ run = "helm lint", status = [1, 2] }"#, "holds"),
                (
                    r#"{ run = "helm slow", timeout = "3s" }"#,
                    "could not tell: `helm slow` did not answer within 3.0 s",
                ),
                (
                    r#"{ run = "helm killed" }"#,
                    "expected exit code 0, found an end by signal 9 (`helm killed`)",
                ),
                (
                    r#"{ run = "helm odd" }"#,
                    "could not tell: `helm odd` could not be started: exec format error",
                ),
                (r#"{ run = "helm warn", lacks = "warn" }"#, "holds"),
                (
                    r#"{ run = "helm warn", lacks = "warn", stream = "stderr" }"#,
                    "expected no match of `warn`, found one (`helm warn`:1)",
                ),
                (r#"{ run = "helm warn", contains = ["out", "old"], stream = "both" }"#, "holds"),
                (r#"{ run = "minikube status" }"#, "could not tell: `minikube` is not on PATH"),
            ],
        );
        let ask = world.asks().remove(0);
        assert_eq!((ask.env, ask.limit.as_secs()), (vec![("A".to_owned(), "1".to_owned())], 10));
    }

    #[test]
    fn what_is_refused() {
        assert_refused(&[
            (r#"{ run = "a", status = 256 }"#, "no exit code is 256"),
            (r#"{ run = "a", count = 1 }"#, "`count` means nothing without `json`"),
            (r#"{ run = "a", stream = "all" }"#, "`stream` takes \"stdout\", \"stderr\" or \"both\""),
            (r#"{ run = "a | b" }"#, "`|` means nothing here: no shell reads this command"),
        ]);
        let says = |toml: &str| check(toml).says();
        assert_eq!(says(r#"{ run = "a b" }"#), "`a b` succeeds");
        assert_eq!(
            says(r#"{ run = "a", status = 1, equals = "x" }"#),
            "`a` exits with 1 and answers = \"x\""
        );
        assert_eq!(says(r#"{ run = "a", json = "x[*]", count = 1 }"#), "`a` `x[*]` has 1 value");
    }
}
