//! Every task with its evidence, and what chooses among them.

use super::markup::Markup;
use super::{Report, chip, trend};
use crate::check::Finding;
use crate::ledger::Outcome;
use crate::ledger::chronicle::AttemptStory;
use crate::ledger::event::CheckRecord;
use crate::measure::Measurement;
use crate::pipeline::policy::Policy;
use crate::status::{AttemptRow, Reason, Row, STATES, State};
use crate::wording::plural;

/// Plans with more tasks than this are shown with less of each, so that the page stays light.
const MANY: usize = 1_000;

/// How many lines of the log of a finished task are shown in such plans.
const FEW_LINES: usize = 5;

/// How many of the last attempts are told one by one: in a plan of usual size, and in one with many tasks.
const ATTEMPTS: (usize, usize) = (8, 2);

impl Report<'_> {
    pub(super) fn tasks(&self, m: &mut Markup) {
        let status = self.status;
        super::open(m, "tasks", "Tasks");
        if status.tasks.is_empty() {
            m.html("<p class=\"quiet\">No task is declared.</p>\n");
        } else {
            self.filter(m);
        }
        if self.are_many() {
            m.html("<p class=\"quiet\">With so many tasks, the last ").n(FEW_LINES);
            m.html(" lines of the log of a finished task are shown, and its last ").n(ATTEMPTS.1);
            m.html(" attempts; <code>cargo xtask log</code> and <code>cargo xtask history</code> show all.</p>\n");
        }
        let needed_by = self.needed_by();
        for (n, phase) in status.phases.iter().enumerate() {
            m.html("<section class=\"phase\" id=\"phase-")
                .n(n + 1)
                .html("\" aria-labelledby=\"phase-")
                .n(n + 1);
            m.html("-title\"><h3 id=\"phase-")
                .n(n + 1)
                .html("-title\">")
                .n(n + 1)
                .html(". ")
                .text(&phase.title);
            m.html(" <small>").text(&self.outline.phases[n].progress).html("</small></h3>\n");
            for place in phase.tasks.iter().filter_map(|id| self.places.get(id.as_str())) {
                self.task(m, n, *place, &needed_by[*place]);
            }
            m.html("</section>\n");
        }
        super::close(m);
    }

    fn are_many(&self) -> bool {
        self.status.tasks.len() > MANY
    }

    /// Tasks that need each task, by position.
    fn needed_by(&self) -> Vec<Vec<String>> {
        let mut out = vec![Vec::new(); self.status.tasks.len()];
        for row in &self.status.tasks {
            for need in row.needs.iter().filter_map(|id| self.places.get(id.as_str())) {
                out[*need].push(row.id.clone());
            }
        }
        out
    }

    /// Shown by the script, since without it nothing could be chosen.
    fn filter(&self, m: &mut Markup) {
        let status = self.status;
        m.html("<form id=\"filter\" role=\"search\" aria-label=\"Tasks\" hidden=\"\">\n");
        m.html(
            "<p class=\"search\"><label for=\"words\">Search</label> <input type=\"search\" id=\"words\" ",
        );
        m.html("autocomplete=\"off\" spellcheck=\"false\" placeholder=\"ids, titles, commands, logs\"/>");
        m.html(" <kbd aria-hidden=\"true\">/</kbd></p>\n<fieldset><legend>State</legend>");
        for state in STATES.iter().copied().filter(|state| status.summary.count(*state) > 0) {
            m.html("<label><input type=\"checkbox\" name=\"state\" value=\"").html(state.name()).html("\"/>");
            m.html("<span class=\"chip s-").html(state.name()).html("\">").html(state.name()).html(" ");
            m.n(status.summary.count(state)).html("</span></label>\n");
        }
        m.html("</fieldset>\n<p class=\"selects\"><label for=\"phase\">Phase</label> <select id=\"phase\">");
        m.html("<option value=\"\">all</option>");
        for (n, phase) in status.phases.iter().enumerate() {
            m.html("<option value=\"")
                .n(n)
                .html("\">")
                .n(n + 1)
                .html(". ")
                .text(&phase.title)
                .html("</option>");
        }
        m.html("</select>\n");
        if !status.prerequisites.is_empty() {
            m.html("<label for=\"prerequisite\">Prerequisite</label> <select id=\"prerequisite\">");
            m.html("<option value=\"\">any</option>");
            for (n, row) in status.prerequisites.iter().enumerate() {
                m.html("<option value=\"").n(n).html("\">").text(&row.name).html("</option>");
            }
            m.html("</select>\n");
        }
        m.html("<button type=\"button\" id=\"unfold\">Open what is shown</button> ");
        m.html("<button type=\"reset\">Show all</button></p>\n");
        m.html("<p id=\"found\" role=\"status\"></p>\n</form>\n");
    }

    fn task(&self, m: &mut Markup, phase: usize, place: usize, needed_by: &[String]) {
        let row = &self.status.tasks[place];
        m.html("<details class=\"task\" id=\"");
        self.anchor(m, place);
        m.html("\" data-state=\"").html(row.state.name()).html("\" data-phase=\"").n(phase);
        m.html("\" data-requires=\"");
        for (n, _) in self.status.prerequisites.iter().enumerate().filter(|(_, p)| requires(row, &p.name)) {
            m.html(" ").n(n);
        }
        m.html("\"><summary>");
        chip(m, row.state);
        m.html("<b>").text(&row.id).html("</b> <span class=\"title\">").prose(&row.title).html("</span>");
        if self.flaky.contains(&row.id) {
            m.html(" <span class=\"chip s-interrupted\">flaky</span>");
        }
        if let Some(ms) = row.attempt.as_ref().and_then(|attempt| attempt.ms) {
            m.html(" <span class=\"took\">").ms(ms).html("</span>");
        }
        // Where scripts run, what is in here is one text until the script opens it: ten thousand tasks open at once.
        m.html(if self.are_many() { "</summary>\n<noscript><div>" } else { "</summary>\n<div>" });
        self.because(m, row);
        self.around(m, row, needed_by);
        if !row.measurements.is_empty() {
            m.html("<h4>Measured</h4><ul class=\"marked\">");
            row.measurements.iter().for_each(|measured| self.measurement(m, row, measured));
            m.html("</ul>\n");
        }
        match &row.attempt {
            Some(attempt) => self.evidence(m, row, attempt),
            None if row.commands.is_empty() => {}
            None => {
                m.html("<h4>Commands</h4><pre class=\"commands\">")
                    .block(&row.commands.join("\n"))
                    .html("</pre>\n");
            }
        }
        self.past(m, row);
        m.html(if self.are_many() { "</div></noscript></details>\n" } else { "</div></details>\n" });
    }

    /// Why it is in its state, and what helps.
    fn because(&self, m: &mut Markup, row: &Row) {
        if !row.because.is_empty() {
            m.html("<ul class=\"because\">");
            for reason in &row.because {
                m.html("<li>").prose(&reason.to_string());
                match reason {
                    Reason::Prerequisite { remedy: Some(remedy), .. } => {
                        m.html("<pre class=\"commands\">").block(remedy).html("</pre>");
                    }
                    Reason::Failure(failure) => {
                        if let Some(hint) = &failure.hint {
                            m.html("<br/>Hint: ").prose(hint);
                        }
                    }
                    Reason::Skipped { at, .. } | Reason::Running { since: at } => _ = m.html(", ").aged(*at),
                    _ => {}
                }
                m.html("</li>");
            }
            m.html("</ul>\n");
        }
    }

    /// What stands around it: tasks, prerequisites, files, people.
    fn around(&self, m: &mut Markup, row: &Row, needed_by: &[String]) {
        m.html("<dl>");
        if !row.needs.is_empty() {
            m.html("<dt>Needs</dt><dd>");
            self.task_links(m, &row.needs);
            m.html("</dd>");
        }
        if !needed_by.is_empty() {
            m.html("<dt>Needed by</dt><dd>");
            self.task_links(m, needed_by);
            m.html("</dd>");
        }
        if !row.requires.is_empty() {
            m.html("<dt>Requires</dt><dd>");
            codes(m, row.requires.iter().map(String::as_str));
            m.html("</dd>");
        }
        if !row.artifacts.is_empty() {
            m.html("<dt>Answers for</dt><dd>");
            codes(m, row.artifacts.iter().map(|path| path.as_str()));
            m.html("</dd>");
        }
        if let Some(since) = row.blocked_since {
            m.html("<dt>Left undone since</dt><dd>").aged(since).html("</dd>");
        }
        if let (Some(policy), State::Blocked | State::Waiting) = (row.policy, row.state) {
            m.html("<dt>While blocked</dt><dd>");
            m.html(match policy {
                Policy::Ok => "counts as if it had been left out",
                Policy::Warn => "counts as not done",
                Policy::Fail => "counts as failed",
            });
            m.html("</dd>");
        }
        if let Some(owner) = &row.owner {
            m.html("<dt>Owner</dt><dd>").text(owner).html("</dd>");
        }
        if let Some(link) = &row.link {
            m.html("<dt>See</dt><dd>").link(link).html("</dd>");
        }
        if let Some(seen) = row.seen {
            m.html("<dt>Last seen to hold</dt><dd>").aged(seen).html("</dd>");
        }
        m.html("</dl>\n");
    }

    fn measurement(&self, m: &mut Markup, row: &Row, measured: &Measurement) {
        mark(m, measured.within_limits);
        m.text(&measured.name).html(": <strong>").text(&measured.show()).html("</strong>");
        if let Some(limits) = measured.limits() {
            m.html(if measured.within_limits { ", " } else { ", not " }).text(&limits);
        }
        if let Some(max) = measured.max.filter(|max| *max > 0.0) {
            let share = 100.0 * (measured.value / max).clamp(0.0, 1.0);
            m.html(
                " <svg class=\"meter\" aria-hidden=\"true\" width=\"80\" height=\"8\"><rect class=\"rest\" ",
            );
            m.html("width=\"80\" height=\"8\"/><rect class=\"");
            m.html(if measured.within_limits { "s-done" } else { "s-failed" });
            m.html("\" height=\"8\" width=\"").coordinate(share).html("%\"/></svg>");
        }
        let values: Vec<f64> = self
            .story(row)
            .iter()
            .flat_map(|attempt| attempt.measurements())
            .filter(|m| m.name == measured.name && m.unit == measured.unit)
            .map(|m| m.value)
            .collect();
        if values.len() > 1 {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            m.html(" ");
            trend::values(m, &values, measured.max);
            m.html(" <span class=\"quiet\">")
                .n(values.len())
                .html(" values, ")
                .text(&measured.unit.show(least));
            m.html(" to ").text(&measured.unit.show(most)).html("</span>");
        }
        m.html("</li>");
    }

    fn evidence(&self, m: &mut Markup, row: &Row, attempt: &AttemptRow) {
        m.html("<h4>Evidence</h4><p>Attempt ").n(attempt.number as usize);
        m.html(match attempt.outcome {
            Some(Outcome::Passed) => " passed, ",
            Some(Outcome::Failed) => " failed, ",
            Some(Outcome::Interrupted) => " was interrupted, ",
            None => " has no end on record, ",
        });
        m.aged(attempt.ended.unwrap_or(attempt.started));
        if let Some(ms) = attempt.ms {
            m.html(", after ").ms(ms);
        }
        if let Some(revision) = &attempt.revision {
            m.html("; commit ").code(&revision.chars().take(8).collect::<String>());
        }
        for (name, tool) in &attempt.tools {
            if let Some(version) = &tool.version {
                m.html("; ").text(name).html(" ").text(version);
            }
        }
        if attempt.place != "local" {
            m.html("; at ").text(&attempt.place);
        }
        m.html("</p>\n");
        if !attempt.commands.is_empty() {
            m.html("<ul class=\"marked\">");
            for command in &attempt.commands {
                mark(m, command.ended == "exit code 0");
                if command.part != "run" {
                    m.html("<span class=\"quiet\">").text(&command.part).html("</span> ");
                }
                m.code(&command.command).html(" <span class=\"quiet\">").text(&command.ended);
                m.html(", ").ms(command.ms).html("</span></li>");
            }
            m.html("</ul>\n");
        }
        if !attempt.checks.is_empty() {
            m.html("<ul class=\"marked\">");
            attempt.checks.iter().for_each(|record| check(m, record));
            m.html("</ul>\n");
        }
        let tails = self.options.past.as_ref().map(|past| &past.tails);
        let tail = tails.and_then(|tails| tails.get(&row.id)).map(Vec::as_slice).unwrap_or_default();
        let limit = if self.are_many() && row.state == State::Done { FEW_LINES } else { usize::MAX };
        let tail = &tail[tail.len().saturating_sub(limit)..];
        if tail.is_empty() {
            m.html("<p class=\"quiet\">Log: ").code(attempt.log.as_str()).html("</p>\n");
        } else {
            m.html(if row.state == State::Failed { "<details open=\"\">" } else { "<details>" });
            m.html("<summary>End of the log, ").code(attempt.log.as_str()).html("</summary><pre>");
            m.block(&tail.join("\n")).html("</pre></details>\n");
        }
    }

    /// Its earlier attempts.
    fn past(&self, m: &mut Markup, row: &Row) {
        let story = self.story(row);
        if story.len() < 2 {
            return;
        }
        m.html("<h4>Attempts</h4><p>");
        trend::durations(m, story);
        let count = |outcome| story.iter().filter(|attempt| attempt.outcome() == outcome).count();
        let passed = count(Some(Outcome::Passed));
        m.html(" ").text(&plural(story.len(), "attempt")).html(", ").n(passed).html(" passed");
        if let Some(ms) = trend::median(story) {
            m.html(", usually after ").ms(ms);
        }
        if self.flaky.contains(&row.id) {
            m.html("; flaky: it failed and passed with nothing changed in between");
        }
        let limit = if self.are_many() { ATTEMPTS.1 } else { ATTEMPTS.0 };
        m.html("</p><ul class=\"marked\">");
        story.iter().rev().take(limit).for_each(|attempt| past_attempt(m, attempt));
        m.html("</ul>\n");
        if story.len() > limit && !self.are_many() {
            m.html("<p class=\"quiet\">").n(story.len() - limit);
            m.html(" earlier: <code>cargo xtask history ").text(&row.id).html("</code></p>\n");
        }
    }

    fn story(&self, row: &Row) -> &[&AttemptStory] {
        self.attempts.get(row.id.as_str()).map(Vec::as_slice).unwrap_or_default()
    }
}

/// True if it requires a prerequisite, or is held up by it through another.
fn requires(row: &Row, name: &str) -> bool {
    row.requires.iter().any(|required| required == name)
        || row
            .because
            .iter()
            .any(|reason| matches!(reason, Reason::Prerequisite { name: lacks, .. } if lacks == name))
}

fn codes<'t>(m: &mut Markup, texts: impl Iterator<Item = &'t str>) {
    for (n, text) in texts.enumerate() {
        if n > 0 {
            m.html(", ");
        }
        m.code(text);
    }
}

/// Begins an item with a mark of whether it holds.
fn mark(m: &mut Markup, holds: bool) {
    m.html(if holds {
        "<li><span class=\"mark m-met\">ok</span> "
    } else {
        "<li><span class=\"mark m-unmet\">not ok</span> "
    });
}

fn check(m: &mut Markup, record: &CheckRecord) {
    match &record.finding {
        Finding::Unknown { .. } => _ = m.html("<li><span class=\"mark m-pending\">not told</span> "),
        finding => mark(m, finding.is_met()),
    }
    m.prose(&record.says);
    match &record.finding {
        Finding::Met { found: None } => {}
        Finding::Met { found: Some(found) } => {
            m.html(" <span class=\"quiet\">").prose(found).html("</span>");
        }
        finding => {
            m.html("<br/>").prose(&finding.to_string());
            if let Finding::Unmet { hint: Some(hint), .. } = finding {
                m.html("<br/>Hint: ").prose(hint);
            }
        }
    }
    m.html("</li>");
}

fn past_attempt(m: &mut Markup, attempt: &AttemptStory) {
    mark(m, attempt.outcome() == Some(Outcome::Passed));
    m.html("#").n(attempt.start.number as usize).html(", ").aged(attempt.started);
    if let Some(ms) = attempt.ms() {
        m.html(", ").ms(ms);
    }
    match (attempt.outcome(), attempt.failure()) {
        (_, Some(failure)) => _ = m.html(": ").prose(&format!("{}: {}", failure.what, failure.how)),
        (None | Some(Outcome::Interrupted), None) => _ = m.html(", interrupted"),
        _ => {}
    }
    m.html("</li>");
}
