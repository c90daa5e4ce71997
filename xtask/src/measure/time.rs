//! `time = "attempt"`: how long the task, or one of its named steps, took.

use super::{Source, Unit};
use crate::check::{Context, Finding, Refuse};
use crate::pipeline::read::record;

/// Stands for the whole attempt.
const ATTEMPT: &str = "attempt";

record! {
    /// How long the task, or one of its named steps, took.
    pub struct TimeSource {
        /// The `name` of a step, or "attempt" for the time since the first command of the attempt started.
        time: String,
    }
}

impl Refuse for TimeSource {}

impl Source for TimeSource {
    fn describe(&self) -> String {
        if self.time == ATTEMPT {
            "the time of the attempt".to_owned()
        } else {
            format!("the time of the step `{}`", self.time)
        }
    }

    fn observe(&self, _: Unit, cx: &Context<'_>) -> Result<f64, Finding> {
        let time = match self.time.as_str() {
            ATTEMPT => Some(cx.timeline.elapsed()),
            step => cx.timeline.step(step),
        };
        let time = time.ok_or_else(|| {
            Finding::unknown(format!("the step `{}` has not run in this attempt", self.time))
        })?;
        Ok(time.as_secs_f64())
    }

    fn step(&self) -> Option<&str> {
        (self.time != ATTEMPT).then_some(self.time.as_str())
    }

    fn is_repeatable(&self) -> bool {
        false
    }

    fn only_unit(&self) -> Option<Unit> {
        Some(Unit::Seconds)
    }
}
