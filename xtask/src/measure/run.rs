//! `run = "docker image inspect --format {{.Size}} app"`: a number that a command answers.

use serde_json::{Value as Json, json};

use super::{Source, Unit};
use crate::check::data::{self, DataPath};
use crate::check::{Context, Finding, Keys, Refuse, output};
use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::line::Line;
use crate::pipeline::read::{Defs, Pattern, Period, Read, Reader, Value, record};
use crate::wording;

record! {
    /// A number that a command answers. It runs for its answer only, so it should change nothing.
    pub struct RunSource {
        /// The command, with the task's environment and working directory. Its output is read leniently: `123`,
        /// `57.1MB`, `250m`, `2m3s`.
        run: Line,
        /// Where in the output the number stands: the first group of this expression. Not together with `json`.
        regex: Option<Grouped>,
        /// Where in the output, read as JSON, the numbers stand; they are added up.
        json: Option<DataPath>,
        /// A factor, such as 1e-9 for nanocores.
        scale: Option<Scale>,
        /// How long the command may take.
        timeout: Option<Period>,
    }
}

/// A pattern with a group.
#[derive(Debug, Clone)]
pub struct Grouped(Pattern);

impl Read for Grouped {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let pattern = Pattern::read(value, r)?;
        if pattern.regex().captures_len() < 2 {
            let problem =
                Diagnostic::new(value.span(), format!("`{}` has no group for the number", pattern.as_str()));
            r.report(problem.hint("put the number in brackets, such as `size: (\\S+)`"));
            return None;
        }
        Some(Self(pattern))
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": "string", "format": "regex" })
    }
}

/// A factor other than 0.
#[derive(Debug, Clone, Copy)]
pub struct Scale(f64);

impl Read for Scale {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let factor = f64::read(value, r)?;
        if factor == 0.0 || !factor.is_finite() {
            r.report(Diagnostic::new(
                value.span(),
                format!("a scale of {factor} makes every number {factor}"),
            ));
            return None;
        }
        Some(Self(factor))
    }
    fn schema(defs: &mut Defs) -> Json {
        f64::schema(defs)
    }
}

impl RunSource {
    fn place(&self) -> String {
        format!("`{}`", wording::first_line(&self.run.to_string(), 120))
    }

    /// The number in a text.
    fn number(&self, text: &str, unit: Unit) -> Result<f64, Finding> {
        let part = match &self.regex {
            None => text,
            Some(Grouped(pattern)) => pattern
                .regex()
                .captures(text)
                .and_then(|captures| captures.get(1))
                .map(|group| group.as_str())
                .ok_or_else(|| {
                    Finding::unmet(
                        format!("a match of `{}`", pattern.as_str()),
                        format!("none in {}", shown(text)),
                        self.place(),
                    )
                })?,
        };
        unit.parse(part).ok_or_else(|| Finding::unmet(unit.wanted(), shown(part), self.place()))
    }

    /// The sum of the numbers at a path.
    fn sum(&self, text: &str, path: &DataPath, unit: Unit, cx: &Context<'_>) -> Result<f64, Finding> {
        let json =
            serde_json::from_str(text).map_err(|_| Finding::unmet("JSON", shown(text), self.place()))?;
        let root = data::from_json(json, &self.place().into());
        let selection = path.select(&root, cx.scope).map_err(Finding::unknown)?;
        let at = |what: String| Finding::unmet(format!("{} at `{path}`", unit.wanted()), what, self.place());
        if let Some(missing) = selection.missing.first() {
            return Err(at(missing.what.clone()));
        }
        if selection.found.is_empty() {
            return Err(at("nothing".to_owned()));
        }
        selection.found.iter().try_fold(0.0, |sum, (place, node)| {
            let number = node.number().or_else(|| unit.parse(&node.text()?));
            let number = number.ok_or_else(|| {
                Finding::unmet(unit.wanted(), format!("{} at `{place}`", node.show()), self.place())
            })?;
            Ok(sum + number)
        })
    }
}

fn shown(text: &str) -> String {
    if text.trim().is_empty() {
        "no output".to_owned()
    } else {
        format!("`{}`", wording::first_line(text, 120))
    }
}

impl Refuse for RunSource {
    fn refuse(&self, keys: &Keys<'_>) -> Vec<Diagnostic> {
        let both = self.regex.is_some() && self.json.is_some();
        both.then(|| keys.mistake("json", "`regex` and `json` exclude each other")).into_iter().collect()
    }
}

impl Source for RunSource {
    fn describe(&self) -> String {
        format!("the output of {}", self.place())
    }

    fn observe(&self, unit: Unit, cx: &Context<'_>) -> Result<f64, Finding> {
        let text = output(&self.run, self.timeout.map(|period| period.0), cx)?;
        let number = match &self.json {
            Some(path) => self.sum(&text, path, unit, cx)?,
            None => self.number(&text, unit)?,
        };
        Ok(number * self.scale.map_or(1.0, |scale| scale.0))
    }
}
