//! What a resume waits for: a line for each prerequisite.

use std::time::Duration;

use super::{Look, fill, width};
use crate::pipeline::Plan;
use crate::plain;
use crate::wait::{Wait, Waits};
use crate::wording::{duration, list, plural};

/// What is waited for and for how long at most, what each prerequisite would release, and what helps.
pub fn waiting<'a>(plan: &Plan, waits: &Waits, left: Option<Duration>, look: impl Into<Look<'a>>) -> String {
    let look = look.into();
    let seconds = |left: Duration| Duration::from_secs((left + Duration::from_millis(500)).as_secs());
    let limit = left.map_or_else(String::new, |left| format!(", at most {}", duration(seconds(left))));
    let head = format!("waiting for {}{limit}", plural(waits.items.len(), "prerequisite"));
    let name = |wait: &Wait| plan.prerequisites[wait.need.0].name.as_str();
    let names = waits.items.iter().map(|wait| width(name(wait))).max().unwrap_or_default();
    let verdicts = waits.items.iter().map(|wait| width(wait.verdict.name())).max().unwrap_or_default();
    let releases: Vec<String> = waits.items.iter().map(releases).collect();
    let columns = releases.iter().map(|text| width(text)).max().unwrap_or_default();
    let mut out = format!("{}\n", look.bold(&head));
    for (wait, releases) in waits.items.iter().zip(releases) {
        let remedy = plan.prerequisites[wait.need.0].remedy(wait.verdict).unwrap_or_default();
        let head = format!(
            "  {}  {}  {}",
            fill(name(wait), names),
            fill(wait.verdict.name(), verdicts),
            fill(&releases, columns)
        );
        let remedy = plain::line(remedy);
        // What is to be typed is not cut: it gets a line of its own before that.
        let (head, gap) = match width(&head) + 2 + width(&remedy) <= look.width || remedy.is_empty() {
            true => (head.as_str(), "  "),
            false => (head.trim_end(), "\n      "),
        };
        out.push_str(&format!("{}\n", format!("{head}{gap}{remedy}").trim_end()));
    }
    out
}

/// What is not waited for, and why; nothing if there is none.
pub fn not_waiting(plan: &Plan, waits: &Waits) -> Option<String> {
    let names: Vec<String> = waits.fixed.iter().map(|n| plain::line(&plan.prerequisites[n.0].name)).collect();
    let them = if names.len() == 1 { "it" } else { "them" };
    (!names.is_empty()).then(|| {
        format!(
            "not waiting for {}: an environment variable does not change while this runs; set {them} and start again",
            list(&names)
        )
    })
}

/// `releases 5 tasks`; by itself, or else on top of those above.
fn releases(wait: &Wait) -> String {
    match (wait.releases, wait.then) {
        (0, 0) => "releases nothing by itself".to_owned(),
        (0, then) => format!("then releases {}", plural(then, "task")),
        (releases, _) => format!("releases {}", plural(releases, "task")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ids::NeedIx;
    use crate::observed::Verdict;
    use crate::pipeline::resolve::resolve;

    fn plan() -> Plan {
        let text = r#"
            [pipeline]
            id = "p"
            title = "P"
            [prerequisite.docker]
            program = "docker"
            remedy.any = "start it"
            install.any = "install it\u001b[2J"
            [prerequisite.kubectl]
            program = "kubectl"
            [prerequisite.cluster]
            ready = "kubectl ready"
            remedy.any = "minikube start"
            [prerequisite.token]
            variable = "TOKEN"
            [prerequisite.key]
            variable = "KEY"
            [[phase]]
            id = "main"
            title = "Main"
            task = [{ id = "a", title = "A" }]
        "#;
        resolve(text, &BTreeMap::new()).unwrap()
    }

    fn waits() -> Waits {
        let wait = |(need, verdict, releases, then)| Wait { need: NeedIx(need), verdict, releases, then };
        let items =
            [(0, Verdict::Absent, 5, 5), (1, Verdict::Absent, 0, 0), (2, Verdict::CouldNotTell, 0, 12)];
        Waits { items: items.into_iter().map(wait).collect(), fixed: vec![NeedIx(3)] }
    }

    #[test]
    fn a_line_for_each() {
        let left = Some(Duration::from_millis(599_980));
        insta::assert_snapshot!(waiting(&plan(), &waits(), left, false), @"
        waiting for 3 prerequisites, at most 10 min
          docker   absent          releases 5 tasks            install it
          kubectl  absent          releases nothing by itself
          cluster  could not tell  then releases 12 tasks      minikube start
        ");
        let one = Waits { items: vec![waits().items[0]], fixed: Vec::new() };
        insta::assert_snapshot!(waiting(&plan(), &one, None, false), @"
        waiting for 1 prerequisite
          docker  absent  releases 5 tasks  install it
        ");
    }

    #[test]
    fn what_is_not_waited_for() {
        assert_eq!(not_waiting(&plan(), &Waits::default()), None);
        insta::assert_snapshot!(not_waiting(&plan(), &waits()).unwrap(), @"not waiting for token: an environment variable does not change while this runs; set it and start again");
        let two = Waits { fixed: vec![NeedIx(3), NeedIx(4)], ..Waits::default() };
        insta::assert_snapshot!(not_waiting(&plan(), &two).unwrap(), @"not waiting for token and key: an environment variable does not change while this runs; set them and start again");
    }
}
