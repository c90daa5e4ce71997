//! `from = "T046: pod start"`: a number that another task has recorded.

use serde_json::{Value as Json, json};

use super::{Source, Unit};
use crate::check::{Context, Finding, Refuse};
use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::read::{Defs, Read, Reader, Value, record};

record! {
    /// A number that another task has recorded.
    pub struct FromSource {
        /// The task and its measurement, such as "T046: pod start"; the task must be among those that this one needs.
        from: Reference,
    }
}

record! {
    /// A measurement of another task, as a table.
    pub struct Pair {
        /// The id of the task.
        task: String,
        /// The name of its measurement.
        measurement: String,
    }
}

/// A measurement of another task, as a table or as text.
#[derive(Debug, Clone)]
pub struct Reference(Pair);

impl Read for Reference {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            if value.get_ref().is_table() {
                return Pair::read(value, r).map(Self);
            }
            r.wrong_type(value, "a task and its measurement, such as \"T046: pod start\"");
            return None;
        };
        let parts = text.split_once(':').map(|(task, measurement)| (task.trim(), measurement.trim()));
        match parts.filter(|(task, measurement)| !task.is_empty() && !measurement.is_empty()) {
            Some((task, measurement)) => {
                Some(Self(Pair { task: task.to_owned(), measurement: measurement.to_owned() }))
            }
            None => {
                let problem = Diagnostic::new(value.span(), format!("`{text}` does not name a measurement"));
                r.report(problem.hint("name the task and its measurement: \"T046: pod start\""));
                None
            }
        }
    }
    fn schema(defs: &mut Defs) -> Json {
        json!({ "oneOf": [{ "type": "string", "examples": ["T046: pod start"] }, Pair::schema(defs)] })
    }
}

impl Refuse for FromSource {}

impl Source for FromSource {
    fn describe(&self) -> String {
        format!("`{}` of the task `{}`", self.from.0.measurement, self.from.0.task)
    }

    fn observe(&self, _: Unit, cx: &Context<'_>) -> Result<f64, Finding> {
        let Pair { task, measurement } = &self.from.0;
        let recorded = cx.timeline.recorded(task, measurement);
        recorded
            .ok_or_else(|| Finding::unknown(format!("the task `{task}` has not recorded `{measurement}`")))
    }

    fn is_repeatable(&self) -> bool {
        false
    }

    fn taken_from(&self) -> Option<(&str, &str)> {
        Some((&self.from.0.task, &self.from.0.measurement))
    }
}
