//! Measurements: numbers with a unit that a task records, with limits that they have to keep.
//!
//! A source of numbers is one file here and one line in [`sources!`]: a [`record!`](crate::pipeline::read) whose
//! first key names the source, and an implementation of [`Source`].

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use toml::de::{DeTable, DeValue};

use crate::check::{Context, Finding, Keys, ReadTable, Refuse, Subject};
use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::read::{Defs, Read, Reader, Record, Value, described, head};
use crate::wording;

mod from;
mod run;
mod size;
mod time;
pub mod unit;

pub use unit::Unit;

/// Where a number comes from.
pub trait Source: fmt::Debug + Send + Sync {
    /// The source in words: "the output of `docker image inspect`".
    fn describe(&self) -> String;
    /// Gives the number, in `unit`; the error is an unmet or unknown finding.
    fn observe(&self, unit: Unit, cx: &Context<'_>) -> Result<f64, Finding>;
    /// The repository's files that it reads.
    fn subjects(&self) -> Vec<Subject> {
        Vec::new()
    }
    /// The task and the measurement that it is taken over from.
    fn taken_from(&self) -> Option<(&str, &str)> {
        None
    }
    /// The named step whose time it is.
    fn step(&self) -> Option<&str> {
        None
    }
    /// The only unit that it can have, if there is only one.
    fn only_unit(&self) -> Option<Unit> {
        None
    }
    /// True if it can be taken at any time, not only while the task runs.
    fn is_repeatable(&self) -> bool {
        true
    }
}

/// A number to be measured, as it is declared.
#[derive(Debug, Clone)]
pub struct Measure {
    /// What it is called in the report and in other tasks.
    pub name: String,
    /// Its unit.
    pub unit: Unit,
    /// It must not be less, in its unit.
    pub min: Option<f64>,
    /// It must not be more, in its unit.
    pub max: Option<f64>,
    /// It comes from the folder that goes away with the attempt, so that it can't be had again.
    pub transient: bool,
    /// Where it comes from.
    pub source: Arc<dyn Source>,
}

/// A number that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// What it is called.
    pub name: String,
    /// In its unit.
    pub value: f64,
    /// The unit: bytes, seconds, cores, per cent, or just a number.
    pub unit: Unit,
    /// It must not be less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// It must not be more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// True if it keeps both limits, which belong to what is allowed.
    pub within_limits: bool,
}

impl Measure {
    /// The limits in words: "at most 500 MB"; nothing if there are none.
    pub fn limits(&self) -> Option<String> {
        limits(self.unit, self.min, self.max)
    }

    /// What is measured, in words: "backend image size, at most 500 MB".
    pub fn says(&self) -> String {
        self.limits().map_or_else(|| self.name.clone(), |limits| format!("{}, {limits}", self.name))
    }

    /// Measures. The error is an unmet or unknown finding: there is no number. A number outside the limits is a
    /// measurement all the same.
    pub fn observe(&self, cx: &Context<'_>) -> Result<Measurement, Finding> {
        let value = self.source.observe(self.unit, cx)?;
        if !value.is_finite() {
            return Err(Finding::unmet(self.unit.wanted(), value.to_string(), self.source.describe()));
        }
        let within_limits =
            self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max);
        Ok(Measurement {
            name: self.name.clone(),
            value,
            unit: self.unit,
            min: self.min,
            max: self.max,
            within_limits,
        })
    }

    /// The repository's files that it reads.
    pub fn subjects(&self) -> Vec<Subject> {
        self.source.subjects()
    }

    /// The task and the measurement that it is taken over from.
    pub fn taken_from(&self) -> Option<(&str, &str)> {
        self.source.taken_from()
    }

    /// The named step whose time it is.
    pub fn step(&self) -> Option<&str> {
        self.source.step()
    }

    /// True if it can be taken at any time, not only while the task runs.
    pub fn is_repeatable(&self) -> bool {
        self.source.is_repeatable()
    }
}

impl Measurement {
    /// The value for people: "498 MB", "1 min 20 s", "0.25 cores".
    pub fn show(&self) -> String {
        self.unit.show(self.value)
    }

    /// The limits in words: "at most 500 MB".
    pub fn limits(&self) -> Option<String> {
        limits(self.unit, self.min, self.max)
    }

    /// What it says about its limits.
    pub fn finding(&self) -> Finding {
        match self.limits() {
            Some(limits) if !self.within_limits => {
                let (limits, value) = self.apart(limits);
                Finding::unmet(limits, value, &self.name)
            }
            _ => Finding::met_with(self.show()),
        }
    }

    /// Limits and value, exactly where rounding makes a limit look kept: 500.4 MB is not "at most 500 MB, found 500 MB".
    fn apart(&self, limits: String) -> (String, String) {
        let shown = self.show();
        let same = [self.min, self.max].into_iter().flatten().any(|limit| self.unit.show(limit) == shown);
        if same {
            (limits, format!("{shown} ({} {})", self.value, self.unit.name()))
        } else {
            (limits, shown)
        }
    }
}

fn limits(unit: Unit, min: Option<f64>, max: Option<f64>) -> Option<String> {
    match (min, max) {
        (None, None) => None,
        (Some(min), None) => Some(format!("at least {}", unit.show(min))),
        (None, Some(max)) => Some(format!("at most {}", unit.show(max))),
        (Some(min), Some(max)) => Some(format!("{} to {}", unit.show(min), unit.show(max))),
    }
}

/// An entry of the registry.
pub struct Kind {
    /// The key that makes a table a measurement from this source.
    pub key: &'static str,
    /// Reads the table.
    pub read: ReadTable<dyn Source>,
    /// The schema of the table without the common keys.
    pub schema: fn(&mut Defs) -> Json,
}

/// Keys that every measurement has.
const COMMON: &[&str] = &["name", "unit", "min", "max"];

fn read_source<T: Source + Record + Refuse + 'static>(
    table: &DeTable<'_>,
    span: Range<usize>,
    r: &mut Reader<'_>,
) -> Option<Arc<dyn Source>> {
    let before = r.problems.len();
    let source = T::read_table(table, span.clone(), r, COMMON)?;
    if r.problems.len() > before {
        // What follows from a mistake is not another one.
        return None;
    }
    let mistakes = source.refuse(&Keys::new(table, span));
    let fine = mistakes.is_empty();
    mistakes.into_iter().for_each(|mistake| r.report(mistake));
    fine.then(|| Arc::new(source) as Arc<dyn Source>)
}

fn schema_of<T: Record>(defs: &mut Defs) -> Json {
    let (mut properties, mut required) = T::properties(defs);
    let limit = json!({ "type": ["number", "string"], "examples": ["500MB", "2m", "90%"] });
    let common = [
        ("name", String::schema(defs), "What it is called in the report and in other tasks."),
        ("unit", Unit::schema(defs), "The unit of the number and of its limits."),
        ("min", limit.clone(), "It must not be less: a number in the unit, or text with a unit."),
        ("max", limit, "It must not be more: a number in the unit, or text with a unit."),
    ];
    for (key, schema, doc) in common {
        properties.insert(key.to_owned(), described(schema, &[doc]));
    }
    required.extend(["name", "unit"].map(Json::from));
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}

/// Declares the sources: the key, and the record in the module of that name.
macro_rules! sources {
    ($($key:ident => $module:ident :: $Type:ident),* $(,)?) => {
        /// Every source of numbers, in the order in which the reference shows them.
        pub const SOURCES: &[Kind] = &[$(
            Kind { key: stringify!($key), read: read_source::<$module::$Type>, schema: schema_of::<$module::$Type> }
        ),*];
    };
}

sources! {
    run => run::RunSource,
    time => time::TimeSource,
    size => size::SizeSource,
    from => from::FromSource,
}

/// Reads a limit, which needs the unit: a number, or text with a unit.
fn read_limit(table: &DeTable<'_>, key: &str, unit: Unit, r: &mut Reader<'_>) -> Option<Option<f64>> {
    let Some(value) = table.get(key) else { return Some(None) };
    let number = match value.get_ref() {
        DeValue::String(text) => {
            r.fixed(text, &value.span()).map(|text| (unit.parse(&text), format!("`{text}`")))?
        }
        other => (
            crate::pipeline::read::number(other),
            format!("`{}`", r.source.get(value.span()).unwrap_or_default()),
        ),
    };
    match number {
        (Some(number), _) if number.is_finite() => Some(Some(number)),
        (_, shown) => {
            r.report(
                Diagnostic::new(value.span(), format!("{shown} is not {}", unit.wanted()))
                    .hint(unit.examples()),
            );
            None
        }
    }
}

impl Read for Measure {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            r.wrong_type(value, "a table such as { name = \"size\", unit = \"bytes\", size = \"dist/app\" }");
            return None;
        };
        let span = head(r.source, value.span());
        let Some(kind) = SOURCES.iter().find(|kind| table.contains_key(kind.key)) else {
            let keys: Vec<&str> =
                table.keys().map(|key| key.get_ref().as_ref()).filter(|key| !COMMON.contains(key)).collect();
            let near = keys.iter().find_map(|key| wording::nearest(key, SOURCES.iter().map(|kind| kind.key)));
            let names: Vec<String> = SOURCES.iter().map(|kind| format!("`{}`", kind.key)).collect();
            let hint = near.map_or_else(
                || format!("one of the keys {}", wording::either(&names)),
                |near| format!("did you mean `{near}`?"),
            );
            r.report(Diagnostic::new(span, "nothing here says what to measure").hint(hint));
            return None;
        };
        let name = r.key::<String>(table, "name", &span);
        let unit = r.key::<Unit>(table, "unit", &span);
        r.transient = false;
        let source = (kind.read)(table, span.clone(), r);
        let transient = std::mem::take(&mut r.transient);
        let unit = unit?;
        let (min, max) = (read_limit(table, "min", unit, r), read_limit(table, "max", unit, r));
        let (source, min, max) = (source?, min?, max?);
        if let Some(only) = source.only_unit().filter(|only| *only != unit) {
            let at = table.get("unit").map_or(span, toml::Spanned::span);
            r.report(Diagnostic::new(
                at,
                format!("`{}` gives {}, not {}", kind.key, only.name(), unit.name()),
            ));
            return None;
        }
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            let at = table.get("max").map_or(span, toml::Spanned::span);
            r.report(Diagnostic::new(
                at,
                format!("nothing is at least {} and at most {}", unit.show(min), unit.show(max)),
            ));
            return None;
        }
        Some(Self { name: name?, unit, min, max, transient, source })
    }

    fn schema(defs: &mut Defs) -> Json {
        if !defs.contains_key("Measure") {
            defs.insert("Measure".to_owned(), Json::Null);
            let all: Vec<Json> = SOURCES.iter().map(|kind| (kind.schema)(defs)).collect();
            let text = "A number that is recorded. One key names where it comes from.";
            defs.insert("Measure".to_owned(), json!({ "description": text, "oneOf": all }));
        }
        json!({ "$ref": "#/$defs/Measure" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{read_value, with};
    use crate::world::fake::Fake;

    fn world() -> Fake {
        Fake::new()
            .says("inspect", 0, "498000000\n")
            .says("ls", 0, "REPOSITORY SIZE\nbackend 577.3MB\n")
            .says("top", 0, r#"{"pods":[{"cpu":"250m","ns":"a"},{"cpu":"1","ns":"a"},{"cpu":5,"ns":"b"}]}"#)
            .says("nano", 0, r#"{"pods":[{"cpu":250000000},{"cpu":500000000}]}"#)
            .says("text", 0, "no such image\n")
            .says("empty", 0, "")
            .says("fails", 1, "boom\n")
            .file("dist/app", "12345")
    }

    fn measured(toml: &str) -> String {
        let measure: Measure = read_value(toml).unwrap_or_else(|problems| panic!("{toml}: {problems:?}"));
        with(&world(), |cx| measure.observe(cx))
            .map_or_else(|finding| finding.to_string(), |m| format!("{} ({})", m.show(), m.finding()))
    }

    #[test]
    fn what_is_measured() {
        let table = [
            (r#"{ name = "s", unit = "bytes", max = "500MB", run = "inspect" }"#, "498 MB (holds: 498 MB)"),
            (
                r#"{ name = "s", unit = "bytes", max = "400MB", run = "inspect" }"#,
                "498 MB (expected at most 400 MB, found 498 MB (s))",
            ),
            (
                r#"{ name = "s", unit = "bytes", max = 497999999, run = "inspect" }"#,
                "498 MB (expected at most 498 MB, found 498 MB (498000000 bytes) (s))",
            ),
            (
                r#"{ name = "s", unit = "bytes", run = "ls", regex = 'backend (\S+)' }"#,
                "577 MB (holds: 577 MB)",
            ),
            (
                r#"{ name = "s", unit = "bytes", run = "ls", regex = 'frontend (\S+)' }"#,
                "expected a match of `frontend (\\S+)`, found none in `REPOSITORY SIZE` (`ls`)",
            ),
            (
                r#"{ name = "c", unit = "cores", max = 2, run = "top", json = "pods[ns=a].cpu" }"#,
                "1.25 cores (holds: 1.25 cores)",
            ),
            (
                r#"{ name = "c", unit = "cores", run = "nano", json = "pods[*].cpu", scale = 1e-9 }"#,
                "0.75 cores (holds: 0.75 cores)",
            ),
            (
                r#"{ name = "c", unit = "cores", run = "top", json = "pods[ns=x].cpu" }"#,
                "expected a number of cores at `pods[ns=x].cpu`, found nothing (`top`)",
            ),
            (
                r#"{ name = "c", unit = "cores", run = "top", json = "pods[*].ns" }"#,
                "expected a number of cores, found \"a\" at `pods[0].ns` (`top`)",
            ),
            (
                r#"{ name = "s", unit = "bytes", run = "text" }"#,
                "expected a number of bytes, found `no such image` (`text`)",
            ),
            (
                r#"{ name = "s", unit = "bytes", run = "empty" }"#,
                "expected a number of bytes, found no output (`empty`)",
            ),
            (
                r#"{ name = "s", unit = "bytes", run = "fails" }"#,
                "expected exit code 0, found exit code 1: `boom` (`fails`)",
            ),
            (r#"{ name = "s", unit = "bytes", run = "gone" }"#, "could not tell: `gone` is not on PATH"),
            (
                r#"{ name = "t", unit = "seconds", max = "2m", time = "attempt" }"#,
                "1 min 30 s (holds: 1 min 30 s)",
            ),
            (
                r#"{ name = "t", unit = "seconds", min = "2s", time = "install" }"#,
                "1.5 s (expected at least 2.0 s, found 1.5 s (t))",
            ),
            (
                r#"{ name = "t", unit = "seconds", time = "other" }"#,
                "could not tell: the step `other` has not run in this attempt",
            ),
            (r#"{ name = "t", unit = "seconds", from = "T046: pod start" }"#, "42 s (holds: 42 s)"),
            (
                r#"{ name = "t", unit = "seconds", from = { task = "T046", measurement = "pods" } }"#,
                "could not tell: the task `T046` has not recorded `pods`",
            ),
            (r#"{ name = "s", unit = "bytes", size = "dist/app", max = 5 }"#, "5 B (holds: 5 B)"),
            (
                r#"{ name = "s", unit = "bytes", size = "dist/gone" }"#,
                "expected a file, found nothing (dist/gone)",
            ),
        ];
        for (toml, text) in table {
            assert_eq!(measured(toml), text, "{toml}");
        }
    }

    #[test]
    fn what_is_refused() {
        let table = [
            (r#"{ name = "s", unit = "bytes" }"#, "nothing here says what to measure"),
            (r#"{ name = "s", unit = "byte", run = "a" }"#, "`byte` is not a unit"),
            (r#"{ unit = "bytes", run = "a" }"#, "the key `name` is missing"),
            (
                r#"{ name = "s", unit = "bytes", run = "a", max = "5 apples" }"#,
                "`5 apples` is not a number of bytes",
            ),
            (
                r#"{ name = "s", unit = "seconds", run = "a", max = "500MB" }"#,
                "`500MB` is not a number of seconds",
            ),
            (
                r#"{ name = "s", unit = "bytes", run = "a", min = "2MB", max = "1MB" }"#,
                "nothing is at least 2 MB and at most 1 MB",
            ),
            (r#"{ name = "s", unit = "bytes", time = "attempt" }"#, "`time` gives seconds, not bytes"),
            (r#"{ name = "s", unit = "bytes", run = "a", size = "b" }"#, "unknown key `size`"),
            (r#"{ name = "s", unit = "bytes", from = "T046" }"#, "`T046` does not name a measurement"),
            (r#"{ name = "s", unit = "bytes", run = "a", regex = 'x' }"#, "`x` has no group for the number"),
            (
                r#"{ name = "s", unit = "bytes", run = "a", regex = '(x)', json = "a" }"#,
                "`regex` and `json` exclude each other",
            ),
            (r#"{ name = "s", unit = "bytes", run = "a", scale = 0 }"#, "a scale of 0 makes every number 0"),
        ];
        for (toml, message) in table {
            let problems = read_value::<Measure>(toml).map(|measure| measure.says()).unwrap_err();
            assert_eq!(problems, [message], "{toml}");
        }
    }

    #[test]
    fn others_learn_what_it_refers_to() {
        let measure: Measure =
            read_value(r#"{ name = "t", unit = "seconds", from = "T046: pod start" }"#).unwrap();
        assert_eq!(measure.taken_from(), Some(("T046", "pod start")));
        let measure: Measure =
            read_value(r#"{ name = "t", unit = "seconds", max = "2m", time = "install" }"#).unwrap();
        assert_eq!((measure.step(), measure.says()), (Some("install"), "t, at most 2 min".to_owned()));
    }

    #[test]
    fn a_measurement_survives_its_own_record() {
        let one = Measurement {
            name: "s".into(),
            value: 0.1,
            unit: Unit::Cores,
            min: None,
            max: Some(2.0),
            within_limits: true,
        };
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(text, r#"{"name":"s","value":0.1,"unit":"cores","max":2.0,"within_limits":true}"#);
        assert_eq!(serde_json::from_str::<Measurement>(&text).unwrap(), one);
    }
}
