//! The last run on a line of time, and all runs.

use std::collections::HashSet;

use super::markup::Markup;
use super::timeline::{Bar, Timeline, steps, timeline};
use super::{Report, ratio};
use crate::ledger::Outcome;
use crate::ledger::chronicle::RunStory;
use crate::ledger::past::{RunEnd, RunLine, runs};
use crate::pipeline::line::quote_all;
use crate::wording;

/// How many attempts of a run are drawn: the longest.
const DRAWN: usize = 400;

/// How many runs are told, the newest.
const RUNS: usize = 100;

/// Heights of the scale, of a lane and of a bar in it.
const SCALE: usize = 22;
const LANE: usize = 30;
const BAR: usize = 24;

impl Report<'_> {
    /// The last run that attempted something.
    pub(super) fn last_run(&self, m: &mut Markup) {
        let Some(chronicle) = self.chronicle() else { return };
        super::open(m, "timeline", "Last run");
        let later = chronicle.runs.iter().rev().take_while(|run| run.attempts.is_empty()).count();
        match chronicle.runs.iter().rev().nth(later) {
            Some(run) => self.one_run(m, run, later),
            None => _ = m.html("<p class=\"quiet\">No run has attempted anything yet.</p>\n"),
        }
        super::close(m);
    }

    fn one_run(&self, m: &mut Markup, run: &RunStory, later: usize) {
        let line = timeline(run);
        m.html("<p>Run ").code(&run.id).html(", ").aged(run.started).html(": ");
        m.text(&wording::plural(line.bars.len(), "attempt")).html(" in ").ms(line.ms).html(", at most ");
        m.n(line.n_lanes).html(" at the same time.");
        if later > 0 {
            m.html(" ").text(&wording::plural(later, "later run")).html(" had nothing to attempt.");
        }
        m.html("</p>\n");
        if !line.path.is_empty() {
            m.html("<p>Critical path, outlined: ");
            let shown = line.path.len().min(12);
            for (n, nth) in line.path.iter().take(shown).enumerate() {
                if n > 0 {
                    m.html(" → ");
                }
                self.task_link(m, &line.bars[*nth].attempt.task);
            }
            if line.path.len() > shown {
                m.html(" and ").n(line.path.len() - shown).html(" more");
            }
            m.html(", ")
                .ms(line.path_ms)
                .html(". With more workers the run could not have been shorter than that.</p>\n");
        }
        let shown = longest(&line);
        if shown.len() < line.bars.len() {
            m.html("<p class=\"quiet\">Drawn are the ")
                .n(shown.len())
                .html(" attempts that took longest and the critical path.</p>\n");
        }
        self.drawn(m, &line, &shown);
        self.told(m, &line, &shown);
    }

    fn drawn(&self, m: &mut Markup, line: &Timeline<'_>, shown: &HashSet<usize>) {
        let height = SCALE + line.n_lanes * LANE;
        let x = |ms: u64| 100.0 * share(ms, line.ms);
        let path: HashSet<usize> = line.path.iter().copied().collect();
        m.html(
            "<div class=\"canvas\" tabindex=\"0\" role=\"region\" aria-label=\"Timeline of the last run\">",
        );
        m.html("<svg class=\"timeline\" role=\"img\" aria-label=\"Attempts by worker; the table below says the same\" ");
        m.html("width=\"100%\" height=\"").n(height).html("\">");
        for step in steps(line.ms) {
            m.html("<line class=\"grid\" x1=\"").coordinate(x(step)).html("%\" x2=\"").coordinate(x(step));
            m.html("%\" y1=\"0\" y2=\"")
                .n(height)
                .html("\"/><text class=\"scale\" dx=\"-4\" y=\"14\" x=\"")
                .coordinate(x(step));
            m.html("%\">").ms(step).html("</text>");
        }
        for (n, bar) in line.bars.iter().enumerate().filter(|(n, _)| shown.contains(n)) {
            let Some(by) = bar.released_by.filter(|by| shown.contains(by)) else { continue };
            let is_critical = path.contains(&n) && path.contains(&by);
            m.html(if is_critical {
                "<line class=\"arrow critical\" x1=\""
            } else {
                "<line class=\"arrow\" x1=\""
            });
            m.coordinate(x(line.bars[by].to)).html("%\" y1=\"").n(middle(&line.bars[by]));
            m.html("\" x2=\"").coordinate(x(bar.from)).html("%\" y2=\"").n(middle(bar)).html("\"/>");
        }
        for (n, bar) in line.bars.iter().enumerate().filter(|(n, _)| shown.contains(n)) {
            m.html("<svg class=\"attempt s-").html(class(bar));
            m.html(if path.contains(&n) { " critical\" y=\"" } else { "\" y=\"" });
            m.n(SCALE + bar.lane * LANE).html("\" height=\"").n(BAR).html("\" x=\"").coordinate(x(bar.from));
            m.html("%\" width=\"").coordinate((x(bar.to) - x(bar.from)).max(0.15)).html("%\"");
            if let Some(place) = self.places.get(bar.attempt.task.as_str()) {
                m.html(" data-task=\"");
                self.anchor(m, *place);
                m.html("\"");
            }
            m.html("><title>").text(&bar.attempt.task).html(": ").ms(bar.to - bar.from).html("</title>");
            m.html("<rect width=\"100%\" height=\"100%\"/><text x=\"5\" y=\"16\">")
                .text(&bar.attempt.task)
                .html("</text></svg>");
        }
        m.html("</svg></div>\n");
    }

    /// The same in words.
    fn told(&self, m: &mut Markup, line: &Timeline<'_>, shown: &HashSet<usize>) {
        m.html("<details><summary>The same as a table</summary>\n<div class=\"scroll\" tabindex=\"0\" ");
        m.html("role=\"region\" aria-label=\"The last run as a table\"><table><thead><tr><th scope=\"col\">Task</th>");
        m.html(
            "<th scope=\"col\" class=\"number\">Began after</th><th scope=\"col\" class=\"number\">Took</th>",
        );
        m.html("<th scope=\"col\">Came to</th><th scope=\"col\">Released by</th><th scope=\"col\">Critical</th></tr></thead><tbody>\n");
        let path: HashSet<usize> = line.path.iter().copied().collect();
        for (n, bar) in line.bars.iter().enumerate().filter(|(n, _)| shown.contains(n)) {
            m.html("<tr><th scope=\"row\">");
            self.task_link(m, &bar.attempt.task);
            m.html("</th><td class=\"number\">")
                .ms(bar.from)
                .html("</td><td class=\"number\">")
                .ms(bar.to - bar.from);
            m.html("</td><td>").html(came_to(bar)).html("</td><td>");
            match bar.released_by {
                Some(by) => self.task_link(m, &line.bars[by].attempt.task),
                None => _ = m.html("-"),
            }
            m.html(if path.contains(&n) { "</td><td>yes</td></tr>\n" } else { "</td><td>-</td></tr>\n" });
        }
        m.html("</tbody></table></div></details>\n");
    }

    /// All runs, the newest first.
    pub(super) fn runs(&self, m: &mut Markup) {
        let Some(chronicle) = self.chronicle() else { return };
        super::open(m, "runs", "Runs");
        let all = runs(chronicle, None);
        let shown = &all[all.len().saturating_sub(RUNS)..];
        history(m, shown);
        if shown.len() < all.len() {
            m.html("<p class=\"quiet\">The last ").n(shown.len()).html(" of ").n(all.len());
            m.html(" runs; <code>cargo xtask history</code> shows all.</p>\n");
        }
        m.html("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Runs\"><table><thead><tr>");
        m.html("<th scope=\"col\">Began</th><th scope=\"col\" class=\"number\">Took</th><th scope=\"col\">Ended</th>");
        m.html("<th scope=\"col\">Came to</th><th scope=\"col\">Commit</th><th scope=\"col\">Call</th></tr></thead><tbody>\n");
        shown.iter().rev().for_each(|run| row(m, run));
        m.html("</tbody></table></div>\n");
        if !self.flaky.is_empty() {
            m.html("<p>Flaky, as they failed and passed with nothing changed in between: ");
            let flaky: Vec<String> = self.flaky.iter().cloned().collect();
            self.task_links(m, &flaky);
            m.html(".</p>\n");
        }
        super::close(m);
    }
}

/// How long each run took. The table below says the same.
fn history(m: &mut Markup, runs: &[RunLine]) {
    if runs.len() < 2 {
        return;
    }
    let most = runs.iter().filter_map(|run| run.ms).max().unwrap_or_default();
    m.html("<svg class=\"history\" aria-hidden=\"true\" width=\"100%\" height=\"64\">");
    let pitch = 100.0 * ratio(1, runs.len().max(20));
    for (n, run) in runs.iter().enumerate() {
        let height = 3.0 + 60.0 * share(run.ms.unwrap_or_default(), most);
        m.html("<rect class=\"s-").html(state(run)).html("\" x=\"");
        m.coordinate(100.0 * ratio(n, runs.len().max(20))).html("%\" width=\"").coordinate(pitch * 0.8);
        m.html("%\" y=\"").coordinate(64.0 - height).html("\" height=\"").coordinate(height).html("\"/>");
    }
    m.html("</svg>\n");
}

/// The colour of how a run ended.
fn state(run: &RunLine) -> &'static str {
    match (run.state, run.exit) {
        (RunEnd::Ended, Some(0)) => "done",
        (RunEnd::Ended, Some(3)) => "blocked",
        (RunEnd::Ended, Some(130 | 143) | None) | (RunEnd::Running | RunEnd::Killed, _) => "interrupted",
        (RunEnd::Ended, Some(_)) => "failed",
    }
}

fn row(m: &mut Markup, run: &RunLine) {
    m.html("<tr><th scope=\"row\">").time(run.started).html("</th><td class=\"number\">");
    match run.ms {
        Some(ms) => m.ms(ms),
        None => m.html("-"),
    };
    m.html("</td><td><span class=\"chip s-").html(state(run)).html("\">");
    match (run.ended, run.exit) {
        (Some(_), Some(code)) => m.html("exit ").n(code.into()),
        (Some(_), None) => m.html("ended"),
        // Who reads the report later can't ask whether it is still under way.
        (None, _) => m.html("no end on record"),
    };
    m.html("</span></td><td>");
    let counts = [
        (run.passed, "passed"),
        (run.failed, "failed"),
        (run.interrupted, "interrupted"),
        (run.left, "left undone"),
    ];
    let counted: Vec<String> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    m.text(&if counted.is_empty() { "nothing was run".to_owned() } else { counted.join(", ") });
    m.html("</td><td>");
    if let Some(git) = &run.git {
        let revision: String = git.revision.as_deref().unwrap_or("no commit").chars().take(8).collect();
        m.code(&format!("{revision}{}", if git.dirty { "+" } else { "" }));
    }
    m.html("</td><td>");
    if !run.arguments.is_empty() {
        m.code(&format!("cargo xtask {}", quote_all(&run.arguments)));
    }
    m.html("</td></tr>\n");
}

/// Positions of the attempts that took longest, and of those on the critical path.
fn longest(line: &Timeline<'_>) -> HashSet<usize> {
    let mut all: Vec<usize> = (0..line.bars.len()).collect();
    if all.len() > DRAWN {
        all.sort_by_key(|n| (std::cmp::Reverse(line.bars[*n].to - line.bars[*n].from), *n));
        all.truncate(DRAWN);
    }
    all.into_iter().chain(line.path.iter().copied().take(DRAWN)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "it is drawn")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn middle(bar: &Bar<'_>) -> usize {
    SCALE + bar.lane * LANE + BAR / 2
}

fn class(bar: &Bar<'_>) -> &'static str {
    match bar.attempt.outcome() {
        Some(Outcome::Passed) => "done",
        Some(Outcome::Failed) => "failed",
        Some(Outcome::Interrupted) | None => "interrupted",
    }
}

fn came_to(bar: &Bar<'_>) -> &'static str {
    match bar.attempt.outcome() {
        Some(Outcome::Passed) => "passed",
        Some(Outcome::Failed) => "failed",
        Some(Outcome::Interrupted) => "interrupted",
        None => "no end on record",
    }
}
