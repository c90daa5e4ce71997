//! What the live view draws: a pure function of what runs, of the time, and of the size of the terminal.

use std::time::Duration;

use crate::view::{Look, fill, fit, simple, width};
use crate::wording::{elapsed, plural};

/// The widest that the bar becomes, in columns, and the narrowest.
const WIDEST_BAR: usize = 30;
const NARROWEST_BAR: usize = 6;

/// What a task prints is shown if there are so many columns for it.
const FEWEST_FOR_OUTPUT: usize = 10;

/// Columns of a time at least, so that nothing moves after ten seconds.
const NARROWEST_TIME: usize = "10 s".len();

/// Columns between the parts of a line.
const GAP: usize = 2;

/// What there is to see.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// The tasks that run, the one that began first above.
    pub running: Vec<Running>,
    /// How far all of them are, while tasks run.
    pub progress: Option<Progress>,
    /// What is done besides, or waited for, and for how long already.
    pub doing: Option<(String, Duration)>,
}

/// A task that runs.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its id and title.
    pub name: String,
    /// How long it has been running.
    pub since: Duration,
    /// The last line that it has printed; may be empty.
    pub says: String,
}

/// How far the tasks of a run are.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// How many there are.
    pub total: usize,
    /// How many of them are settled.
    pub settled: usize,
    /// How many of these failed.
    pub failed: usize,
    /// How long the run has been going on.
    pub since: Duration,
}

/// How many rows of a terminal a frame may take: one is left for what was said last.
pub fn rows(height: usize) -> usize {
    height.saturating_sub(1).max(1)
}

/// The lines, none wider than the terminal, no more than fit into it. Tasks for which there is no room are counted. A
/// line that a terminal takes for wider than it is here would spoil all below it, so emoji are made simple.
pub fn frame(scene: &Scene, columns: usize, height: usize, colour: bool) -> Vec<String> {
    let look = Look { colour, width: columns, links: None };
    let foot = foot(scene, look);
    let room = rows(height).saturating_sub(foot.len());
    let n = scene.running.len();
    let shown = if n <= room { n } else { room.saturating_sub(1) };
    let simplified =
        |task: &Running| Running { name: simple(&task.name), since: task.since, says: simple(&task.says) };
    let running: Vec<Running> = scene.running[..shown].iter().map(simplified).collect();
    let mut out = tasks(&running, look);
    if n > shown && room > 0 {
        let indent = 2.min(columns);
        let text = match shown {
            0 => format!("{} under way", plural(n, "task")),
            _ => format!("and {} more", n - shown),
        };
        out.push(look.dim(&format!("{:indent$}{}", "", fit(&text, columns - indent))));
    }
    out.extend(foot);
    // Where there is room for one row, it is the bar's.
    let cut = out.len().saturating_sub(rows(height));
    out.split_off(cut)
}

/// `▸ T006 Build the backend image  12 s  Step 5/9 : RUN pip install`, in columns.
fn tasks(running: &[Running], look: Look<'_>) -> Vec<String> {
    let took: Vec<String> = running.iter().map(|task| elapsed(task.since)).collect();
    let took_width = took.iter().map(|text| width(text)).max().unwrap_or_default().max(NARROWEST_TIME);
    let rest = look.width.saturating_sub(2 + GAP + took_width);
    let widest = running.iter().map(|task| width(&task.name)).max().unwrap_or_default().min(rest);
    let is_said = running.iter().any(|task| !task.says.is_empty());
    // Names get what they need, but for two fifths if something is printed.
    let share = if is_said { rest * 3 / 5 } else { rest };
    let names = match rest.saturating_sub(widest.min(share) + GAP) {
        room if is_said && room >= FEWEST_FOR_OUTPUT => widest.min(share),
        _ => widest,
    };
    let room = rest.saturating_sub(names + GAP);
    let line = |(task, took): (&Running, &String)| {
        let says = if room >= FEWEST_FOR_OUTPUT { fit(&task.says, room) } else { String::new() };
        let head = format!("▸ {}{}{took:>took_width$}", fill(&task.name, names), " ".repeat(GAP));
        // `fit` takes spaces out, so what has room is left as it is.
        let line = if width(&head) <= look.width { head } else { fit(&head, look.width) };
        if says.is_empty() {
            return line;
        }
        format!("{line}{}{}", " ".repeat(GAP), look.dim(&says))
    };
    running.iter().zip(&took).map(line).collect()
}

/// The bar over all tasks, and what is done or waited for.
fn foot(scene: &Scene, look: Look<'_>) -> Vec<String> {
    let mut out = Vec::new();
    if let Some((text, since)) = &scene.doing {
        let took = elapsed(*since);
        let text = fit(&simple(text), look.width.saturating_sub(2 + 1 + width(&took)));
        out.push(fit(&format!("… {text} {took}"), look.width));
    }
    if let Some(progress) = scene.progress {
        out.push(bar(progress, look.width));
    }
    out
}

/// `[██████░░░░░░] 12/50, 1 failed, 1 min 3 s`
fn bar(progress: Progress, columns: usize) -> String {
    let Progress { total, settled, failed, since } = progress;
    let mut parts = vec![format!("{settled}/{total}")];
    parts.extend((failed > 0).then(|| format!("{failed} failed")));
    parts.push(elapsed(since));
    let text = parts.join(", ");
    let room = columns.saturating_sub(width(&text) + 3).min(WIDEST_BAR);
    if room < NARROWEST_BAR {
        return fit(&text, columns);
    }
    let full = (settled.min(total) * room).checked_div(total).unwrap_or_default();
    format!("[{}{}] {text}", "█".repeat(full), "░".repeat(room - full))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::sample;

    fn scene(n: usize, says: &str) -> Scene {
        let titles =
            ["Build the backend image", "日本語のタイトルを持つ課題です", "👩\u{200d}🔧 x", "e\u{301}tude"];
        let running = |i: usize| Running {
            name: format!("T{i:03} {}", titles[i % titles.len()]),
            since: Duration::from_millis(700 + 61_000 * i as u64),
            says: if i % 2 == 0 { says.to_owned() } else { String::new() },
        };
        let progress =
            Progress { total: 50, settled: 12, failed: usize::from(n > 3), since: Duration::from_secs(63) };
        Scene { running: (0..n).map(running).collect(), progress: Some(progress), doing: None }
    }

    fn drawn(scene: &Scene, columns: usize, height: usize) -> String {
        frame(scene, columns, height, false).join("\n")
    }

    #[test]
    fn at_80_columns() {
        insta::assert_snapshot!(drawn(
            &scene(3, "Step 5/9 : RUN pip install -r requirements.txt and much more"),
            80,
            24
        ));
    }

    #[test]
    fn at_200_columns() {
        insta::assert_snapshot!(drawn(&scene(2, "Step 5/9 : RUN pip install"), 200, 24));
    }

    #[test]
    fn at_40_columns() {
        insta::assert_snapshot!(drawn(&scene(4, "Step 5/9"), 40, 24));
    }

    #[test]
    fn at_20_columns() {
        insta::assert_snapshot!(drawn(&scene(4, "Step 5/9"), 20, 24));
    }

    #[test]
    fn with_fewer_rows_than_tasks() {
        let all: Vec<String> = (1..=6).map(|height| drawn(&scene(4, ""), 60, height)).collect();
        insta::assert_snapshot!(all.join("\n---\n"));
    }

    #[test]
    fn while_something_is_asked_or_waited_for() {
        let mut scene = scene(0, "");
        scene.doing = Some(("asking for 3 prerequisites".to_owned(), Duration::from_secs(2)));
        insta::assert_snapshot!(drawn(&scene, 60, 24));
        scene.progress = None;
        insta::assert_snapshot!(drawn(&scene, 20, 24));
        assert_eq!(drawn(&Scene::default(), 80, 24), "");
    }

    proptest! {
        #[test]
        fn no_frame_is_larger_than_its_terminal(
            text in sample::hostile(), says in sample::hostile(), n in 0usize..9,
            columns in 1usize..210, height in 1usize..12, doing in any::<bool>(),
        ) {
            let mut scene = scene(n, &crate::plain::line(&says));
            if let Some(first) = scene.running.first_mut() {
                first.name = crate::plain::line(&text);
            }
            scene.doing = doing.then(|| (text.clone(), Duration::ZERO));
            let lines = frame(&scene, columns, height, false);
            prop_assert!(lines.len() <= rows(height));
            for line in &lines {
                prop_assert!(width(line) <= columns, "{columns} columns: {line:?}");
                prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            }
            let coloured = frame(&scene, columns, height, true);
            let bare: Vec<String> = coloured.iter().map(|l| crate::plain::block(&l.replace(' ', "\u{a0}"))).collect();
            let lines: Vec<String> = lines.iter().map(|l| l.replace(' ', "\u{a0}")).collect();
            prop_assert_eq!(bare, lines);
        }
    }
}
