//! What somebody waits for who waits for prerequisites, and what to look at meanwhile: functions of the plan, the
//! states and the answers so far. [`Watcher`] does the looking and the asking.

pub mod timing;
mod watcher;

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

pub use self::watcher::{Told, Watcher};
use crate::ids::{NeedIx, TaskIx};
use crate::observed::{Probe, Verdict};
use crate::pipeline::line::Line;
use crate::pipeline::template::Template;
use crate::pipeline::{Plan, Prerequisite};
use crate::status::{Row, doable};
use crate::wording;
use crate::world::{Stamp, World};
use timing::Change;

/// What is waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waits {
    /// Prerequisites that could become met and would release something, the most releasing first.
    pub items: Vec<Wait>,
    /// Those that hold something up and can't become met while this process lives.
    pub fixed: Vec<NeedIx>,
}

/// A prerequisite that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Which.
    pub need: NeedIx,
    /// What asking for it came to.
    pub verdict: Verdict,
    /// Tasks that could be done if this alone became met.
    pub releases: usize,
    /// Tasks that could be done if this and all that stand before it became met, and without it could not.
    pub then: usize,
}

impl Waits {
    /// The prerequisites.
    pub fn needs(&self) -> Vec<NeedIx> {
        self.items.iter().map(|item| item.need).collect()
    }
}

/// How much of a plan can be done.
#[derive(Clone, Copy)]
pub struct Outlook<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The states of its tasks.
    pub rows: &'a [Row],
    /// The tasks that are to be done: asked for, and not given up.
    pub wanted: &'a [bool],
}

impl Outlook<'_> {
    /// The wanted tasks that could be done with these prerequisites.
    fn doable(&self, met: &[bool]) -> Vec<bool> {
        let satisfied = |ix: TaskIx| self.rows[ix.0].state.satisfies();
        doable(self.plan, met, |ix| self.wanted[ix.0] && !satisfied(ix), satisfied)
    }

    /// How many tasks could be done if `more` became met besides what is met.
    pub fn releases(&self, answers: &[Option<Probe>], more: NeedIx) -> usize {
        let met = met(answers);
        n_more(&self.doable(&with(&met, more.0)), &self.doable(&met))
    }

    /// What is worth waiting for. `is_fixed` tells what can't change.
    pub fn waits(&self, answers: &[Option<Probe>], is_fixed: impl Fn(&Prerequisite) -> bool) -> Waits {
        let plan = self.plan;
        let met = met(answers);
        let fixed: Vec<bool> =
            plan.prerequisites.iter().zip(&met).map(|(p, met)| !met && is_fixed(p)).collect();
        let hoped: Vec<bool> = fixed.iter().map(|fixed| !fixed).collect();
        let (now, then) = (self.doable(&met), self.doable(&hoped));
        let requires = |tasks: &dyn Fn(TaskIx) -> bool| {
            let needs: Vec<NeedIx> =
                plan.all().filter(|ix| tasks(*ix)).flat_map(|ix| plan.task(ix).requires.clone()).collect();
            plan.with_required(&needs)
        };
        let waited = requires(&|ix| then[ix.0] && !now[ix.0]);
        let held = requires(&|ix| self.wanted[ix.0] && !self.rows[ix.0].state.satisfies());
        let open = (0..met.len()).filter(|i| waited[*i] && !met[*i]).collect();
        Waits {
            items: self.ranked(answers, &met, open),
            fixed: (0..met.len()).filter(|i| held[*i] && fixed[*i]).map(NeedIx).collect(),
        }
    }

    /// In the order in which they help most; what another one requires stands before it.
    fn ranked(&self, answers: &[Option<Probe>], met: &[bool], mut open: Vec<usize>) -> Vec<Wait> {
        let now = self.doable(met);
        let (mut have, mut done) = (met.to_vec(), now.clone());
        let mut out = Vec::new();
        loop {
            let free = |i: usize| !self.plan.prerequisites[i].requires.iter().any(|r| open.contains(&r.0));
            let gains = open.iter().copied().filter(|i| free(*i)).map(|i| {
                let alone = n_more(&self.doable(&with(met, i)), &now);
                (n_more(&self.doable(&with(&have, i)), &done), alone, std::cmp::Reverse(i))
            });
            let Some((then, releases, std::cmp::Reverse(best))) = gains.max() else { return out };
            let verdict = answers[best].as_ref().map_or(Verdict::CouldNotTell, |probe| probe.verdict);
            out.push(Wait { need: NeedIx(best), verdict, releases, then });
            have[best] = true;
            done = self.doable(&have);
            open.retain(|i| *i != best);
        }
    }
}

/// What was not asked is not in anybody's way.
fn met(answers: &[Option<Probe>]) -> Vec<bool> {
    answers.iter().map(|answer| answer.as_ref().is_none_or(Probe::is_met)).collect()
}

fn with(met: &[bool], more: usize) -> Vec<bool> {
    let mut out = met.to_vec();
    out[more] = true;
    out
}

fn n_more(after: &[bool], before: &[bool]) -> usize {
    after.iter().zip(before).filter(|(after, before)| **after && !**before).count()
}

/// True if a prerequisite can't become met while this process lives: its environment does not change.
pub fn is_fixed(p: &Prerequisite, world: &dyn World) -> bool {
    p.variable.as_ref().is_some_and(|name| world.variable(name).is_none_or(|value| value.is_empty()))
}

/// `` `docker` is met: going on with 5 tasks ``
pub fn met_line(plan: &Plan, need: NeedIx, releases: usize) -> String {
    let name = &plan.prerequisites[need.0].name;
    match releases {
        0 => format!("`{name}` is met"),
        n => format!("`{name}` is met: going on with {}", wording::plural(n, "task")),
    }
}

/// Notes an answer. What can be asked now, and was not because of this one, has no answer any more that says so.
pub fn note(plan: &Plan, answers: &mut [Option<Probe>], need: NeedIx, probe: Probe) {
    let is_met = probe.is_met();
    answers[need.0] = Some(probe);
    for (i, p) in plan.prerequisites.iter().enumerate() {
        let hindered = answers[i].as_ref().is_some_and(|probe| probe.verdict == Verdict::CouldNotTell);
        let free = p.requires.iter().all(|r| answers[r.0].as_ref().is_some_and(Probe::is_met));
        if is_met && hindered && free && p.requires.contains(&need) {
            answers[i] = Some(Probe::unmet(Verdict::CouldNotTell, "it has not been asked yet"));
        }
    }
}

/// What tells whether asking again could come to something else. Looking costs next to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// Where its programs are, and what tells each from another.
    programs: Vec<Option<(Utf8PathBuf, Option<Stamp>)>>,
    watched: Vec<Option<Stamp>>,
}

impl Seen {
    /// Looks.
    fn now(p: &Prerequisite, world: &dyn World) -> Self {
        let program = |name: &str| world.which(name).map(|path| (path.clone(), world.stamp(&path)));
        Self {
            programs: programs(p).into_iter().map(program).collect(),
            watched: watched(p, world).iter().map(|path| world.stamp(path)).collect(),
        }
    }

    /// True if every program is there.
    fn is_complete(&self) -> bool {
        self.programs.iter().all(Option::is_some)
    }

    /// What is not as it was `before`.
    fn change_since(&self, before: &Self) -> Option<Change> {
        if self.programs != before.programs {
            Some(Change::Program)
        } else {
            (self.watched != before.watched).then_some(Change::Watched)
        }
    }
}

/// The programs that are looked up on PATH when it is asked.
fn programs(p: &Prerequisite) -> BTreeSet<&str> {
    [p.program.as_deref(), word(p.version_command.as_ref()), word(p.ready.as_ref())]
        .into_iter()
        .flatten()
        .filter(|name| !name.contains(std::path::is_separator))
        .collect()
}

fn word(line: Option<&Line>) -> Option<&str> {
    match line {
        Some(Line::Words(words)) => words.first().and_then(Template::as_static),
        _ => None,
    }
}

fn watched(p: &Prerequisite, world: &dyn World) -> Vec<Utf8PathBuf> {
    p.watch.iter().flat_map(|path| path.places(&|name| world.variable(name))).collect()
}

/// The places near which something has to happen before asking again could come to something else.
fn places(p: &Prerequisite, verdict: Verdict, world: &dyn World) -> BTreeSet<Utf8PathBuf> {
    let mut out: BTreeSet<Utf8PathBuf> = watched(p, world).into_iter().collect();
    if matches!(verdict, Verdict::Absent | Verdict::WrongVersion | Verdict::CouldNotTell) {
        let path = world.variable("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).filter_map(|folder| Utf8PathBuf::try_from(folder).ok());
        out.extend(folders.filter(|folder| folder != "").map(|folder| world.root().join(folder)));
        // It may be a link to a place elsewhere.
        out.extend(programs(p).into_iter().filter_map(|name| world.which(name)));
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ledger::History;
    use crate::observed::Observed;
    use crate::pipeline::resolve::resolve;
    use crate::status::{State, rows};
    use crate::world::fake::Fake;

    /// `docker`, `kubectl`, `cluster` after `kubectl`, `token` (a variable); a task for each, and two more:
    /// `deploy` needs the image and the cluster, `push` the image and the token.
    const PLAN: &str = r#"
        [pipeline]
        id = "p"
        title = "P"
        [prerequisite.docker]
        program = "docker"
        watch = ["/run/docker.sock", "~/.docker"]
        [prerequisite.kubectl]
        program = "kubectl"
        version_command = "kubectl-version"
        [prerequisite.cluster]
        requires = ["kubectl"]
        ready = "./kubectl ready"
        [prerequisite.token]
        variable = "TOKEN"
        [[phase]]
        id = "main"
        title = "Main"
        [[phase.task]]
        id = "image"
        title = ""
        requires = ["docker"]
        [[phase.task]]
        id = "render"
        title = ""
        requires = ["kubectl"]
        [[phase.task]]
        id = "look"
        title = ""
        requires = ["cluster"]
        [[phase.task]]
        id = "deploy"
        title = ""
        needs = ["image"]
        requires = ["cluster"]
        [[phase.task]]
        id = "push"
        title = ""
        needs = ["image"]
        requires = ["token"]
    "#;

    fn plan() -> Plan {
        resolve(PLAN, &BTreeMap::new()).unwrap()
    }

    fn answers(plan: &Plan, met: &[&str]) -> Vec<Option<Probe>> {
        let answer = |p: &Prerequisite| {
            let verdict = match p.name.as_str() {
                name if met.contains(&name) => Verdict::Met,
                "cluster" => Verdict::CouldNotTell,
                _ => Verdict::Absent,
            };
            Some(Probe::unmet(verdict, ""))
        };
        plan.prerequisites.iter().map(answer).collect()
    }

    /// What is waited for, as `name releases+then`, and what is not because it can't change.
    fn waited(met: &[&str], done: &[&str], wanted: &[&str], unset: bool) -> (String, Vec<String>) {
        let plan = plan();
        let answers = answers(&plan, met);
        let mut rows = rows(
            &plan,
            &History::default(),
            &Observed { prerequisites: answers.clone(), ..Observed::default() },
        );
        rows.iter_mut().filter(|row| done.contains(&row.id.as_str())).for_each(|row| row.state = State::Done);
        let wanted: Vec<bool> = rows.iter().map(|row| wanted.contains(&row.id.as_str())).collect();
        let outlook = Outlook { plan: &plan, rows: &rows, wanted: &wanted };
        let waits = outlook.waits(&answers, |p| unset && p.variable.is_some());
        let name = |need: NeedIx| plan.prerequisites[need.0].name.clone();
        let items: Vec<String> = (waits.items.iter())
            .map(|wait| {
                assert_eq!(wait.releases, outlook.releases(&answers, wait.need));
                format!("{} {}+{}", name(wait.need), wait.releases, wait.then)
            })
            .collect();
        (items.join(", "), waits.fixed.into_iter().map(name).collect())
    }

    #[test]
    fn what_is_waited_for() {
        let all = &["image", "render", "look", "deploy", "push"];
        for (met, done, wanted, items) in [
            // With docker, kubectl and the cluster everything but what needs the token can be done.
            (&[][..], &[][..], &all[..], "docker 1+1, kubectl 1+1, cluster 0+2"),
            (&["kubectl"], &[], all, "docker 1+1, cluster 1+2"),
            (&["kubectl"], &["render", "image"], all, "cluster 2+2"),
            (&["docker", "kubectl", "cluster"], &[], all, ""),
            (&[], all, all, ""),
            // Only what was asked for.
            (&[], &[], &["image"], "docker 1+1"),
            (&[], &[], &["look"], "kubectl 0+0, cluster 0+1"),
            (&[], &[], &["image", "push"], "docker 1+1"),
            // The image is given up, so that nothing can be done that needs it.
            (&[], &[], &["render", "deploy", "push"], "kubectl 1+1"),
            (&[], &[], &["push"], ""),
        ] {
            let fixed = wanted.contains(&"push") && !done.contains(&"push");
            let found = waited(met, done, wanted, true);
            assert_eq!(found.0, items, "{met:?} met, {done:?} done, {wanted:?} wanted");
            assert_eq!(found.1, if fixed { &["token"][..] } else { &[] });
        }
        // What can change is waited for like anything else.
        assert_eq!(waited(&["docker"], &["image"], &["push"], false), ("token 1+1".to_owned(), vec![]));
    }

    #[test]
    fn an_answer_opens_the_questions_behind_it() {
        let plan = plan();
        let mut answers = answers(&plan, &[]);
        let why = |answers: &[Option<Probe>]| answers[2].as_ref().and_then(|probe| probe.why.clone());
        let met = Probe::unmet(Verdict::Met, "");
        note(&plan, &mut answers, NeedIx(0), met.clone());
        assert_eq!(why(&answers).as_deref(), Some(""));
        note(&plan, &mut answers, NeedIx(1), met);
        assert_eq!(why(&answers).as_deref(), Some("it has not been asked yet"));
    }

    #[test]
    fn what_can_not_change() {
        let plan = plan();
        let fixed = |world: &Fake| -> Vec<&str> {
            let fixed = plan.prerequisites.iter().filter(|p| is_fixed(p, world));
            fixed.map(|p| p.name.as_str()).collect()
        };
        assert_eq!(fixed(&Fake::new()), ["token"]);
        assert_eq!(fixed(&Fake::new().env("TOKEN", "")), ["token"]);
        assert_eq!(fixed(&Fake::new().env("TOKEN", "x")), [""; 0]);
    }

    #[test]
    fn what_is_seen() {
        let plan = plan();
        let [docker, kubectl, cluster, _] = &plan.prerequisites[..] else { panic!() };
        let home = || Fake::new().env("HOME", "/h");
        let nothing = Seen::now(docker, &home());
        assert!(!nothing.is_complete());
        assert_eq!(Seen::now(docker, &home()).change_since(&nothing), None);
        let there = Seen::now(docker, &home().program("docker"));
        assert!(there.is_complete());
        assert_eq!(there.change_since(&nothing), Some(Change::Program));
        let socket = Seen::now(docker, &home().file("/run/docker.sock", ""));
        assert_eq!(socket.change_since(&nothing), Some(Change::Watched));
        let config = Seen::now(docker, &home().file("/h/.docker", "1"));
        let other = Seen::now(docker, &home().file("/h/.docker", "22"));
        assert_eq!(other.change_since(&config), Some(Change::Watched));
        // Every program that is looked up counts, and none that is named by its path.
        assert!(!Seen::now(kubectl, &home().program("kubectl")).is_complete());
        assert!(Seen::now(kubectl, &home().program("kubectl").program("kubectl-version")).is_complete());
        assert!(Seen::now(cluster, &home()).is_complete());
    }

    #[test]
    fn where_something_has_to_happen() {
        let plan = plan();
        let world = Fake::new().env("HOME", "/h").env("PATH", "/usr/bin::tools").program("docker");
        let near = |verdict| places(&plan.prerequisites[0], verdict, &world).into_iter().collect::<Vec<_>>();
        assert_eq!(near(Verdict::NotRunning), ["/h/.docker", "/run/docker.sock"]);
        assert_eq!(
            near(Verdict::Absent),
            ["/bin/docker", "/h/.docker", "/project/tools", "/run/docker.sock", "/usr/bin"]
        );
    }
}
