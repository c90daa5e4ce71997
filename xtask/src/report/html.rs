//! HTML in one file: for people who look closer, on a screen or on paper, without a network.
//!
//! Everything is there without the script; that adds searching, filtering, zooming and keys, and ages that count from
//! the reader's clock. The page loads nothing, and its policy would not let it: style and script are allowed by their
//! digests. Large plans and long histories are shown to a limit that the page names.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use self::markup::{Clock, Markup};
use super::Options;
use super::outline::{Item, Outline, Step, Trouble};
use crate::graph::{self, By, Place, View};
use crate::ledger::chronicle::AttemptStory;
use crate::ledger::{Chronicle, flaky};
use crate::observed::Verdict;
use crate::status::{Row, STATES, Standing, State, Status, Summary};
use crate::wording::plural;

mod markup;
mod runs;
mod task;
mod timeline;
mod trend;

/// How the page looks.
pub const STYLE: &str = include_str!("html/style.css");

/// What the page can do beyond being read.
pub const SCRIPT: &str = include_str!("html/script.js");

/// SHA-256 of style and script in Base64, as the page's policy names them. A test says what they have to be.
const ALLOWED: [&str; 2] =
    ["KIwE0uJS+ic3OmgGWq5wYdkahGY7MtOpP2NJzFa5LAA=", "obqkBRXJwoiiXLo21BOorQdk06mV0+8dU9u8bPLU7R4="];

/// How many things to do, tasks in trouble and blocked tasks are shown above the list of all tasks.
const FIRST: usize = 40;

/// Up to so many tasks are drawn, more as their phases.
const DRAWN: usize = 300;

/// How many links to tasks stand in a row.
const LINKS: usize = 60;

/// Renders the page.
pub fn render(status: &Status, options: &Options, out: &mut dyn fmt::Write) -> anyhow::Result<()> {
    let report = Report::new(status, options);
    let mut page = Markup::new(match (status.now, status.as_of) {
        (Some(now), _) => Clock::Now(now),
        (None, Some(last)) => Clock::Evidence(last),
        (None, None) => Clock::None,
    });
    report.page(&mut page);
    out.write_str(&page.done())?;
    Ok(())
}

/// What the parts of the page are made of.
struct Report<'a> {
    status: &'a Status,
    options: &'a Options,
    outline: Outline,
    /// Positions of tasks by id.
    places: HashMap<&'a str, usize>,
    /// Attempts by task, the oldest first.
    attempts: HashMap<&'a str, Vec<&'a AttemptStory>>,
    flaky: BTreeSet<String>,
}

impl<'a> Report<'a> {
    fn new(status: &'a Status, options: &'a Options) -> Self {
        let chronicle = options.past.as_ref().map(|past| &past.chronicle);
        let mut attempts: HashMap<&str, Vec<&AttemptStory>> = HashMap::new();
        for attempt in chronicle.iter().flat_map(|chronicle| &chronicle.runs).flat_map(|run| &run.attempts) {
            attempts.entry(&attempt.task).or_default().push(attempt);
        }
        Self {
            status,
            options,
            outline: Outline::of(status),
            places: status.tasks.iter().enumerate().map(|(n, row)| (row.id.as_str(), n)).collect(),
            attempts,
            flaky: chronicle.map(flaky).unwrap_or_default(),
        }
    }

    /// What is on record of earlier runs, if anything is.
    fn chronicle(&self) -> Option<&'a Chronicle> {
        self.options.past.as_ref().map(|past| &past.chronicle).filter(|chronicle| !chronicle.runs.is_empty())
    }

    fn page(&self, m: &mut Markup) {
        m.html("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n");
        m.html(
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-",
        );
        m.html(ALLOWED[0]).html("'; script-src 'sha256-").html(ALLOWED[1]);
        m.html("'; base-uri 'none'; form-action 'none'\"/>\n");
        m.html("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n");
        m.html("<meta name=\"color-scheme\" content=\"light dark\"/>\n");
        m.html("<meta name=\"referrer\" content=\"no-referrer\"/>\n<title>");
        m.text(&self.status.pipeline.title)
            .html("</title>\n<style>")
            .html(STYLE)
            .html("</style>\n</head>\n<body>\n");
        self.head(m);
        m.html("<main>\n");
        self.summary(m);
        self.attention(m);
        self.last_run(m);
        self.graph(m);
        self.tasks(m);
        self.runs(m);
        self.prerequisites(m);
        self.targets(m);
        self.deliverables(m);
        self.risks(m);
        self.conclusion(m);
        m.html("</main>\n");
        self.foot(m);
        m.html("<script>").html(SCRIPT).html("</script>\n</body>\n</html>\n");
    }

    fn head(&self, m: &mut Markup) {
        let status = self.status;
        m.html("<a class=\"skip\" href=\"#tasks\">Skip to the tasks</a>\n<header>\n<h1>");
        m.text(&status.pipeline.title).html("</h1>\n<p class=\"headline\"><span class=\"dot s-");
        m.html(status.summary.state().name())
            .html("\"></span>")
            .text(&self.outline.headline)
            .html("</p>\n<ul class=\"facts\">\n");
        match status.as_of {
            Some(at) => m.html("<li>Last evidence ").aged(at).html("</li>\n"),
            None => m.html("<li>No evidence yet</li>\n"),
        };
        if let Some(branch) = &status.branch {
            m.html("<li>Branch ").code(branch).html("</li>\n");
        }
        if let Some(revision) = &status.revision {
            let short: String = revision.chars().take(8).collect();
            m.html("<li>Commit ").code(&short).html("</li>\n");
        }
        m.html("</ul>\n</header>\n<nav aria-label=\"Sections\"><ul>\n");
        let to = |m: &mut Markup, id: &'static str, name: &'static str, there: bool| {
            if there {
                m.html("<li><a href=\"#").html(id).html("\">").html(name).html("</a></li>\n");
            }
        };
        to(m, "summary", "Summary", true);
        to(m, "attention", "Blocked", true);
        to(m, "timeline", "Last run", self.chronicle().is_some());
        to(m, "graph", "Graph", !status.tasks.is_empty());
        to(m, "tasks", "Tasks", true);
        to(m, "runs", "Runs", self.chronicle().is_some());
        to(m, "prerequisites", "Prerequisites", !status.prerequisites.is_empty());
        to(m, "targets", "Gates and criteria", self.has_targets());
        to(m, "deliverables", "Deliverables", !status.deliverables.is_empty());
        to(m, "risks", "Risks", !status.risks.is_empty());
        m.html("</ul></nav>\n");
    }

    fn foot(&self, m: &mut Markup) {
        m.html("<footer><p>");
        match self.status.evidence {
            Some(point) => {
                m.html("Made from ").n(usize::try_from(point.records).unwrap_or(usize::MAX));
                m.html(" records, the last ").code(&point.head.to_string()).html(".");
            }
            None => _ = m.html("Made from no records."),
        }
        m.html(" The same evidence gives the same page.</p></footer>\n");
    }

    fn summary(&self, m: &mut Markup) {
        let (status, outline) = (self.status, &self.outline);
        open(m, "summary", "Summary");
        let mut sentences = outline.summary.iter();
        if let Some(first) = sentences.next() {
            m.html("<p><strong>").prose(first).html("</strong>");
            sentences.for_each(|text| _ = m.html(" ").prose(text));
            m.html("</p>\n");
        }
        m.html("<ul class=\"tiles\">\n");
        for state in STATES.iter().copied().filter(|state| status.summary.count(*state) > 0) {
            m.html("<li><a class=\"tile s-").html(state.name()).html("\" href=\"#tasks\" data-state=\"");
            m.html(state.name()).html("\"><b>").n(status.summary.count(state)).html("</b> ");
            m.html(state.name()).html("</a></li>\n");
        }
        m.html("</ul>\n");
        if !status.phases.is_empty() {
            m.html("<table class=\"phases\"><thead><tr><th scope=\"col\">Phase</th><th scope=\"col\" class=\"number\">Done</th>");
            m.html("<th scope=\"col\" class=\"wide\">Share</th><th scope=\"col\">States</th></tr></thead><tbody>\n");
            for (n, phase) in status.phases.iter().enumerate() {
                m.html("<tr><th scope=\"row\"><a href=\"#phase-").n(n + 1).html("\">").n(n + 1).html(". ");
                m.text(&phase.title).html("</a></th><td class=\"number\">").n(phase.summary.done).html("/");
                m.n(phase.summary.total).html("</td><td class=\"wide\">");
                bar(m, &phase.summary);
                m.html("</td><td>");
                counts(m, &phase.summary);
                m.html("</td></tr>\n");
            }
            m.html("</tbody></table>\n");
        }
        if !outline.changes.is_empty() {
            m.html("<h3>Since the report before");
            if let Some(at) = status.since.as_ref().and_then(|since| since.at) {
                m.html(", ").time(at);
            }
            m.html("</h3>\n");
            list(m, &outline.changes);
        }
        close(m);
    }

    /// What is blocked and what helps, then what went wrong.
    fn attention(&self, m: &mut Markup) {
        let outline = &self.outline;
        open(m, "attention", "Blocked, and what to do");
        if outline.steps.is_empty() && outline.blocked.is_empty() {
            m.html("<p class=\"calm\">Nothing is blocked, and nothing has to be done.</p>\n");
        }
        if !outline.steps.is_empty() {
            m.html("<ol class=\"steps\">\n");
            outline.steps.iter().take(FIRST).for_each(|step| self.step(m, step));
            m.html("</ol>\n");
            more(m, outline.steps.len(), FIRST, "thing to do");
        }
        for (title, troubles) in
            [("Failed", &outline.failed), ("Interrupted", &outline.interrupted), ("Stale", &outline.stale)]
        {
            if !troubles.is_empty() {
                m.html("<h3>").html(title).html("</h3>\n<ul class=\"cards\">\n");
                troubles.iter().take(FIRST).for_each(|trouble| self.trouble(m, trouble));
                m.html("</ul>\n");
                more(m, troubles.len(), FIRST, "task");
            }
        }
        let mut left = FIRST;
        for phase in &outline.blocked {
            if left == 0 {
                break;
            }
            m.html("<h3>").n(phase.number).html(". ").text(&phase.title).html(" <small>").text(&phase.counts);
            if let Some(since) = phase.since {
                m.html(", since ").aged(since);
            }
            m.html("</small></h3>\n<ul class=\"rows\">\n");
            for task in phase.tasks.iter().take(left) {
                m.html("<li>");
                chip(m, task.state);
                self.task_link(m, &task.id);
                m.html(" ").prose(&task.title);
                let more = [task.waits.clone(), task.owner.as_ref().map(|owner| format!("owner: {owner}"))];
                for text in more.into_iter().flatten() {
                    m.html("; <span class=\"quiet\">").prose(&text).html("</span>");
                }
                if let Some(link) = &task.link {
                    m.html("; ").link(link);
                }
                m.html("</li>\n");
            }
            m.html("</ul>\n");
            left -= phase.tasks.len().min(left);
        }
        let n_blocked = outline.blocked.iter().map(|phase| phase.tasks.len()).sum();
        more(m, n_blocked, FIRST, "task");
        close(m);
    }

    fn step(&self, m: &mut Markup, step: &Step) {
        m.html("<li class=\"step\"><h3>").prose(&step.lead).html("</h3><p>").prose(&step.why).html("</p>\n");
        m.html("<pre class=\"commands\">").block(&step.commands.join("\n")).html("</pre>\n");
        if !step.releases.is_empty() {
            m.html("<p class=\"links\">");
            m.html(if step.remedy.is_some() { "Releases " } else { "Tasks: " });
            self.task_links(m, &step.releases);
            m.html("</p>\n");
        }
        if !step.script.is_empty() {
            m.html("<details><summary>What it releases, by hand</summary><pre class=\"commands\">");
            m.block(&step.script.join("\n")).html("</pre></details>\n");
        }
        m.html("</li>\n");
    }

    fn trouble(&self, m: &mut Markup, trouble: &Trouble) {
        m.html("<li><p class=\"lead\">");
        if let Some(row) = self.row(&trouble.id) {
            chip(m, row.state);
        }
        self.task_link(m, &trouble.id);
        m.html(" ").prose(&trouble.title).html("</p>\n");
        list(m, &trouble.because);
        if let Some(hint) = &trouble.hint {
            m.html("<p>Hint: ").prose(hint).html("</p>\n");
        }
        m.html("</li>\n");
    }

    /// The drawing of the tasks and what needs what; of phases where tasks are too many to be seen.
    fn graph(&self, m: &mut Markup) {
        let n_tasks = self.status.tasks.len();
        if n_tasks == 0 {
            return;
        }
        open(m, "graph", "Task graph");
        let by = if n_tasks > DRAWN { By::Phase } else { By::Task };
        if by == By::Phase {
            m.html("<p class=\"quiet\">Phases are drawn, as there are more than ").n(DRAWN);
            m.html(" tasks; <code>cargo xtask graph</code> draws tasks.</p>\n");
        }
        m.html("<div class=\"canvas\" tabindex=\"0\" role=\"region\" aria-label=\"Task graph\">");
        m.drawing(&graph::svg(self.status, View { by, focus: None }, Place::Page)).html("</div>\n");
        close(m);
    }

    fn prerequisites(&self, m: &mut Markup) {
        let rows = &self.status.prerequisites;
        if rows.is_empty() {
            return;
        }
        open(m, "prerequisites", "Prerequisites");
        m.html("<table class=\"wrap\"><thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Verdict</th>");
        m.html("<th scope=\"col\">Version</th><th scope=\"col\" class=\"number\">Releases</th>");
        m.html("<th scope=\"col\" class=\"number\">Holds up</th><th scope=\"col\">Remedy</th></tr></thead><tbody>\n");
        for row in rows {
            m.html("<tr><th scope=\"row\">").code(&row.name);
            if let Some(title) = &row.title {
                m.html("<br/><span class=\"quiet\">").prose(title).html("</span>");
            }
            m.html("</th><td><span class=\"chip s-");
            m.html(match row.verdict {
                Some(Verdict::Met) => "done",
                Some(Verdict::CouldNotTell) => "interrupted",
                Some(_) => "blocked",
                None => "skipped",
            });
            m.html("\">").html(row.verdict.map_or("not asked", Verdict::name)).html("</span>");
            if row.promised {
                m.html(" promised");
            }
            if let Some(why) = &row.why {
                m.html("<br/><span class=\"quiet\">").prose(why).html("</span>");
            }
            m.html("</td><td>").text(row.version.as_deref().unwrap_or("-"));
            if let Some(wanted) = &row.wanted {
                m.html("<br/><span class=\"quiet\">wanted ").text(wanted).html("</span>");
            }
            m.html("</td><td class=\"number\">")
                .n(row.releases)
                .html("</td><td class=\"number\">")
                .n(row.needed_by);
            m.html("</td><td>");
            if let Some(remedy) = row.remedy.as_ref().filter(|_| row.verdict != Some(Verdict::Met)) {
                m.html("<pre class=\"commands\">").block(remedy).html("</pre>");
            }
            m.html("</td></tr>\n");
        }
        m.html("</tbody></table>\n");
        close(m);
    }

    fn has_targets(&self) -> bool {
        !self.status.gates.is_empty() || !self.status.criteria.is_empty()
    }

    fn targets(&self, m: &mut Markup) {
        if !self.has_targets() {
            return;
        }
        open(m, "targets", "Gates and success criteria");
        if !self.outline.gates.is_empty() {
            m.html("<h3>Gates</h3>\n<p>").prose(&self.outline.gates_summary).html("</p>\n");
            items(m, &self.outline.gates);
        }
        if !self.outline.criteria.is_empty() {
            m.html("<h3>Success criteria</h3>\n<table class=\"wrap\"><thead><tr><th scope=\"col\">Criterion</th>");
            m.html("<th scope=\"col\">Target</th><th scope=\"col\">Measured</th><th scope=\"col\">Status</th></tr></thead><tbody>\n");
            for (row, said) in self.status.criteria.iter().zip(&self.outline.criteria) {
                m.html("<tr><th scope=\"row\">").prose(&said.title).html("</th><td>").prose(&said.target);
                m.html("</td><td>").text(&if said.values.is_empty() {
                    "-".to_owned()
                } else {
                    said.values.join("; ")
                });
                m.html("</td><td><span class=\"mark m-").html(standing(row.standing)).html("\"></span>");
                m.prose(&said.text).html("</td></tr>\n");
            }
            m.html("</tbody></table>\n");
        }
        close(m);
    }

    fn deliverables(&self, m: &mut Markup) {
        let groups = &self.outline.deliverables;
        if groups.is_empty() {
            return;
        }
        open(m, "deliverables", "Deliverables");
        for group in groups {
            if group.name.is_some() || groups.len() > 1 {
                m.html("<h3>").prose(group.name.as_deref().unwrap_or("Other deliverables")).html("</h3>\n");
            }
            items(m, &group.items);
        }
        close(m);
    }

    fn risks(&self, m: &mut Markup) {
        if self.outline.risks.is_empty() {
            return;
        }
        open(m, "risks", "Risks");
        for level in &self.outline.risks {
            m.html("<h3>").html(level.name).html("</h3>\n<ul class=\"rows\">\n");
            for risk in &level.risks {
                m.html("<li>").prose(&risk.title);
                if !risk.because.is_empty() {
                    m.html(" <span class=\"quiet\">").prose(&risk.because.join("; ")).html("</span>");
                }
                m.html("</li>\n");
            }
            m.html("</ul>\n");
        }
        if !self.outline.mitigations.is_empty() {
            m.html("<h3>What helps</h3>\n");
            list(m, &self.outline.mitigations);
        }
        close(m);
    }

    fn conclusion(&self, m: &mut Markup) {
        open(m, "conclusion", "Conclusion");
        m.html("<p>");
        self.outline.conclusion.iter().for_each(|text| _ = m.prose(text).html(" "));
        m.html("</p>\n");
        if let Some(left) = &self.outline.time_left {
            m.html("<p>Estimated time for what is left: ").text(left).html(".</p>\n");
        }
        if !self.outline.recommendations.is_empty() {
            m.html("<h3>Recommendations</h3>\n");
            let shown: Vec<String> = self.outline.recommendations.iter().take(FIRST).cloned().collect();
            list(m, &shown);
            more(m, self.outline.recommendations.len(), FIRST, "recommendation");
        }
        close(m);
    }

    fn row(&self, id: &str) -> Option<&'a Row> {
        self.places.get(id).map(|n| &self.status.tasks[*n])
    }

    /// The id of a task's element. Ids of tasks may hold anything; those of most can stand in an address.
    fn anchor(&self, m: &mut Markup, n: usize) {
        let id = &self.status.tasks[n].id;
        if is_simple(id) {
            m.html("task-").text(id);
        } else {
            m.html("task--").n(n + 1);
        }
    }

    /// A link to a task; the id alone if there is no such task.
    fn task_link(&self, m: &mut Markup, id: &str) {
        match self.places.get(id) {
            Some(n) => {
                m.html("<a href=\"#");
                self.anchor(m, *n);
                m.html("\">").text(id).html("</a>");
            }
            None => _ = m.text(id),
        }
    }

    fn task_links(&self, m: &mut Markup, ids: &[String]) {
        for (n, id) in ids.iter().take(LINKS).enumerate() {
            if n > 0 {
                m.html(", ");
            }
            self.task_link(m, id);
        }
        if ids.len() > LINKS {
            m.html(" and ").n(ids.len() - LINKS).html(" more");
        }
    }
}

/// True if an id can stand in an address and in an attribute as it is.
fn is_simple(id: &str) -> bool {
    id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn open(m: &mut Markup, id: &'static str, title: &'static str) {
    m.html("<section id=\"").html(id).html("\" aria-labelledby=\"").html(id).html("-title\">\n<h2 id=\"");
    m.html(id).html("-title\">").html(title).html("</h2>\n");
}

fn close(m: &mut Markup) {
    m.html("</section>\n");
}

fn list(m: &mut Markup, texts: &[String]) {
    m.html("<ul>");
    texts.iter().for_each(|text| _ = m.html("<li>").prose(text).html("</li>"));
    m.html("</ul>\n");
}

/// Says how many of something are not shown.
fn more(m: &mut Markup, n: usize, shown: usize, what: &str) {
    if n > shown {
        m.html("<p class=\"quiet\">")
            .text(&plural(n - shown, &format!("more {what}")))
            .html("; see the list of tasks.</p>\n");
    }
}

/// The state in a word, on its colour.
fn chip(m: &mut Markup, state: State) {
    m.html("<span class=\"chip s-").html(state.name()).html("\">").html(state.name()).html("</span> ");
}

/// Shares of states. What it shows stands in words beside it.
fn bar(m: &mut Markup, summary: &Summary) {
    m.html("<svg class=\"bar\" aria-hidden=\"true\" width=\"100%\" height=\"12\">");
    let mut at = 0.0;
    for state in STATES {
        let share = 100.0 * ratio(summary.count(*state), summary.total);
        if share > 0.0 {
            m.html("<rect class=\"s-").html(state.name()).html("\" height=\"12\" x=\"").coordinate(at);
            m.html("%\" width=\"").coordinate(share).html("%\"/>");
            at += share;
        }
    }
    m.html("</svg>");
}

#[expect(clippy::cast_precision_loss, reason = "counts of tasks are small, and it is drawn")]
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn counts(m: &mut Markup, summary: &Summary) {
    let counted: Vec<String> = STATES
        .iter()
        .filter(|state| summary.count(**state) > 0)
        .map(|state| format!("{} {}", summary.count(*state), state.name()))
        .collect();
    m.text(&counted.join(", "));
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Met => "met",
        Standing::Unmet => "unmet",
        Standing::Pending => "pending",
    }
}

fn items(m: &mut Markup, items: &[Item]) {
    m.html("<ul class=\"marked\">\n");
    for item in items {
        let (class, word) = (standing(item.standing), standing(item.standing));
        m.html("<li><span class=\"mark m-")
            .html(class)
            .html("\">")
            .html(word)
            .html("</span> ")
            .prose(&item.title);
        if !item.because.is_empty() {
            m.html(" <span class=\"quiet\">").prose(&item.because.join("; ")).html("</span>");
        }
        m.html("</li>\n");
    }
    m.html("</ul>\n");
}

/// A page without style, script and their digests, which every page has.
#[cfg(test)]
pub fn bare(page: &str) -> String {
    let constant = [(STYLE, "..."), (SCRIPT, "..."), (ALLOWED[0], "..."), (ALLOWED[1], "...")];
    constant.iter().fold(page.to_owned(), |page, (from, to)| page.replace(from, to))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use roxmltree::{Document, Node};
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::ledger::sample::Sample;
    use crate::report::{Past, sample};

    fn page(status: &Status, past: Option<Past>) -> String {
        let mut out = String::new();
        render(status, &Options { past, ..Options::default() }, &mut out).expect("a report");
        out
    }

    /// Two runs of the tasks of [`sample::rich`].
    fn past(text: &str) -> Past {
        let chronicle = Sample::empty()
            .run("run-1", 1)
            .attempt("T001", "x", "passed")
            .start("T004", "x")
            .end("passed", 2_000, &[("layers", 11e3)])
            .attempt("T011", "x", "failed")
            .left("T006", "blocked", "`docker`: not running")
            .ended(1)
            .run("run-2", 2)
            .attempt("T011", "x", "passed")
            .start("T004", "y")
            .end_after(2, "passed", 4_000, &[("layers", 12e3)])
            .start("T012", "x")
            .attempt("T011", "z", "failed")
            .chronicle();
        let lines = vec!["$ make".to_owned(), text.to_owned()];
        let tails = ["T001", "T011"].map(|task| (task.to_owned(), lines.clone()));
        Past { chronicle, tails: BTreeMap::from(tails) }
    }

    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::new();
        for three in bytes.chunks(3) {
            let bits =
                three.iter().chain([&0, &0]).take(3).fold(0, |bits, byte| bits << 8 | usize::from(*byte));
            for n in 0..4 {
                let digit = char::from(DIGITS[bits >> (18 - 6 * n) & 63]);
                out.push(if n <= three.len() { digit } else { '=' });
            }
        }
        out
    }

    #[test]
    fn the_policy_allows_this_style_and_this_script() {
        let digest = |text: &str| base64(&Sha256::digest(text.replace("\r\n", "\n")));
        assert_eq!(
            ALLOWED,
            [digest(STYLE), digest(SCRIPT)],
            "set ALLOWED to the digests of style.css and script.js"
        );
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</") && !text.contains("<!--"), "it would end its element");
        }
    }

    /// Elements and attributes in order, without texts.
    fn skeleton(page: &str) -> Vec<String> {
        let bare = bare(page);
        let xml = bare.strip_prefix("<!DOCTYPE html>\n").expect("a page");
        let document = Document::parse(xml).unwrap_or_else(|error| panic!("{error}\n{xml}"));
        let tag = |node: Node<'_, '_>| {
            let names: Vec<&str> = node.attributes().map(|attribute| attribute.name()).collect();
            format!("{} {}", node.tag_name().name(), names.join(" "))
        };
        document.descendants().filter(Node::is_element).map(tag).collect()
    }

    #[test]
    fn pages_are_well_formed_and_load_nothing() {
        for status in [sample::empty(), sample::fresh(), sample::complete(), sample::rich()] {
            for past in [None, Some(past("said"))] {
                let page = page(&status, past);
                for tag in skeleton(&page) {
                    let (element, attributes) = tag.split_once(' ').expect("a tag");
                    assert!(
                        !["img", "link", "iframe", "object", "embed", "base", "image", "use"]
                            .contains(&element),
                        "{tag}"
                    );
                    for name in attributes.split(' ') {
                        assert!(
                            !name.starts_with("on") && !["style", "src", "srcset", "action"].contains(&name),
                            "{tag}"
                        );
                    }
                }
                assert_eq!(page.matches("<script").count(), 1);
            }
        }
    }

    #[test]
    fn ids_are_unique_and_links_lead_somewhere() {
        let page = page(&sample::rich(), Some(past("said")));
        let bare = bare(&page);
        let document = Document::parse(bare.strip_prefix("<!DOCTYPE html>\n").expect("a page")).expect("XML");
        let ids: Vec<&str> = document.descendants().filter_map(|node| node.attribute("id")).collect();
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(unique.len(), ids.len());
        let inside = document.descendants().filter_map(|node| node.attribute("href")?.strip_prefix('#'));
        let named = document.descendants().filter_map(|node| node.attribute("aria-labelledby"));
        for id in inside.chain(named) {
            assert!(unique.contains(id), "#{id}");
        }
    }

    #[test]
    fn every_task_has_its_evidence() {
        let page = page(&sample::rich(), Some(past("the last line")));
        let task = |id: &str| {
            let start = page.find(&format!("<details class=\"task\" id=\"task-{id}\"")).expect("the task");
            let rest = &page[start..];
            rest[..rest.find("</div></details>").expect("its end")].to_owned()
        };
        for (id, wanted) in [
            ("T001", &["mkdir -p k8s", "exit code 0", "12 ms", "exists", "Answers for", "the last line"][..]),
            (
                "T004",
                &[
                    "<strong>12 kB</strong>, at most 500 MB",
                    "2 values, 11 kB to 12 kB",
                    "2 attempts, 2 passed",
                ],
            ),
            (
                "T006",
                &[
                    "sudo systemctl start docker",
                    "Left undone since",
                    "href=\"https://example.org/tickets/6\"",
                    "platform",
                ],
            ),
            (
                "T011",
                &[
                    "Hint: set <code>image.tag</code>",
                    "expected no findings, found 2 findings",
                    "flaky",
                    "<details open",
                ],
            ),
            ("T017", &["cluster", "minikube start", "1.20.0 does not match"]),
        ] {
            let text = task(id);
            for part in wanted {
                assert!(text.contains(part), "`{part}` is not in {text}");
            }
        }
    }

    #[test]
    fn the_past_is_told() {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "snapshots" }, {
            insta::assert_snapshot!("html-past", bare(&page(&sample::rich(), Some(past("said")))));
        });
    }

    #[test]
    fn ids_that_cannot_be_anchors_have_others() {
        let mut status = sample::fresh();
        status.tasks[0].id = "a b\"<".to_owned();
        status.phases[0].tasks[0] = "a b\"<".to_owned();
        let page = page(&status, None);
        assert!(page.contains("id=\"task--1\"") && page.contains("id=\"task-T002\""));
        skeleton(&page);
    }

    #[test]
    fn states_have_the_colours_of_the_graph() {
        for state in STATES {
            assert!(STYLE.contains(&format!(".s-{}", state.name())), "{}", state.name());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn no_text_is_taken_for_markup(text in sample::hostile()) {
            let filled = |text: &str| {
                let mut status = sample::with_text(sample::rich(), text);
                for row in &mut status.tasks {
                    row.owner = row.owner.as_ref().map(|_| text.to_owned());
                    row.link = row.link.as_ref().map(|_| text.to_owned());
                }
                page(&status, Some(past(text)))
            };
            // Code spans come and go with backticks, links with what looks like an address, and lines of the picture with
            // the length of a title.
            let bones = |page: &str| {
                let mut tags = skeleton(page);
                tags.retain(|tag| !["code ", "a rel href", "text x y"].contains(&tag.as_str()));
                tags
            };
            prop_assert_eq!(bones(&filled(&text)), bones(&filled("words")));
        }
    }
}
