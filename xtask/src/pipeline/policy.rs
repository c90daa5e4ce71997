//! What it means that a task is blocked: nothing, a word, or a failure. A task or its phase says so for everybody or
//! by profile; a profile says so for the rest.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::diagnostic::Diagnostic;
use super::plan::Plan;
use super::read::{Defs, Read, Reader, Value, record};
use crate::ids::{NeedIx, TaskIx};
use crate::wording;

/// What becomes of a run that leaves a task blocked, or waiting for a blocked one. In order: the worse is the larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// It counts as if it had been left out: exit code 0.
    Ok,
    /// It is not done: exit code 3.
    Warn,
    /// It counts as failed: exit code 1.
    Fail,
}

impl Policy {
    const ALL: [(&'static str, Self); 3] = [("ok", Self::Ok), ("warn", Self::Warn), ("fail", Self::Fail)];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Read for Policy {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let text = value.get_ref().as_str();
        let known = text.and_then(|text| Self::ALL.iter().find(|(name, _)| *name == text));
        if known.is_none() {
            r.wrong_type(value, "\"ok\", \"warn\" or \"fail\"");
        }
        known.map(|(_, policy)| *policy)
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "enum": Self::ALL.map(|(name, _)| name) })
    }
}

/// The key `blocked` of a task or a phase.
#[derive(Debug, Clone, Default)]
pub struct Blocked {
    /// Where no profile of `by_profile` is in use.
    pub any: Option<Policy>,
    /// By profile, with the place of the name.
    pub by_profile: BTreeMap<String, (Policy, Range<usize>)>,
}

impl Blocked {
    /// What it says under a profile, or without one.
    pub fn under(&self, profile: Option<&str>) -> Option<Policy> {
        let own = profile.and_then(|name| self.by_profile.get(name)).map(|(policy, _)| *policy);
        own.or(self.any)
    }
}

impl Read for Blocked {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            return Policy::read(value, r).map(|policy| Self { any: Some(policy), ..Self::default() });
        };
        let mut out = Self::default();
        for (name, value) in table.iter() {
            let Some(policy) = Policy::read(value, r) else { continue };
            if name.get_ref() == "any" {
                out.any = Some(policy);
            } else {
                out.by_profile.insert(name.get_ref().to_string(), (policy, name.span()));
            }
        }
        Some(out)
    }
    fn schema(defs: &mut Defs) -> Json {
        let policy = Policy::schema(defs);
        json!({ "oneOf": [policy, { "type": "object", "additionalProperties": policy }] })
    }
}

record! {
    /// A place where the pipeline runs, such as CI: what is there for certain, and what it means that a task is blocked.
    pub struct ProfileTable {
        /// Prerequisites that are met there. One that is not makes the tasks that it blocks count as failed.
        promises: Vec<super::read::At<String>>,
        /// What it means that a task is blocked, for tasks and phases that do not say so themselves. Default: "warn".
        blocked: Option<Policy>,
        /// What it is, for people.
        title: Option<String>,
    }
}

/// Tasks that may not be left blocked under the profile in use, and that never can be done there: they, or what they
/// stand on, require what the profile does not promise and no task provides.
pub fn impossible(plan: &Plan) -> Vec<Diagnostic> {
    let Some(profile) = plan.active() else { return Vec::new() };
    let must = |ix: &TaskIx| plan.own_policy(*ix).unwrap_or_else(|| plan.default_policy()) == Policy::Fail;
    plan.all()
        .filter(must)
        .filter_map(|ix| {
            let behind = plan.closure([ix]);
            let behind = || plan.all().filter(|b| behind[b.0]).map(|b| plan.task(b));
            let provided: Vec<NeedIx> =
                behind().flat_map(|t| &t.provides).flat_map(|need| plan.needed_for(*need)).collect();
            let promised: Vec<NeedIx> =
                profile.promises.iter().flat_map(|need| plan.needed_for(*need)).collect();
            let mut lacking: Vec<NeedIx> = behind()
                .flat_map(|t| &t.requires)
                .flat_map(|need| plan.needed_for(*need))
                // What is needed only where something is so may not be needed there.
                .filter(|need| plan.prerequisites[need.0].when.is_none())
                .filter(|need| !provided.contains(need) && !promised.contains(need))
                .collect();
            lacking.sort();
            lacking.dedup();
            if lacking.is_empty() {
                return None;
            }
            let names: Vec<String> =
                lacking.iter().map(|need| format!("`{}`", plan.prerequisites[need.0].name)).collect();
            let task = plan.task(ix);
            let problem = format!(
                "`{}` must not be blocked under the profile `{}`, which does not promise {}",
                task.id,
                profile.name,
                wording::list(&names)
            );
            Some(Diagnostic::new(task.span.clone(), problem).hint(format!(
                "add what is there to `promises` of [profile.{0}], or say `blocked = {{ {0} = \"warn\" }}` for the task",
                profile.name
            )))
        })
        .collect()
}
