//! What CI services make of a log: annotations, parts that fold, the summary of a step. Pure: texts in, lines out.
//!
//! GitHub reads commands from what a step prints: `::name key=value::data` where a line begins with it, and the older
//! `##[name]` anywhere. So whatever is printed there goes through [`neutral`], except the commands that are meant.

use crate::plain;
use crate::status::{Reason, Row, State};
use crate::wording;

/// Whose log it is, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Choice {
    /// GitHub's where `GITHUB_ACTIONS` is `true`, GitLab's where `GITLAB_CI` is.
    #[default]
    Auto,
    /// GitHub's: annotations, groups, the summary of the step.
    Github,
    /// GitLab's: sections.
    Gitlab,
    /// Nobody's: plain lines.
    None,
}

/// A service whose log has more than lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// GitHub Actions, and what speaks its language.
    Github,
    /// GitLab CI.
    Gitlab,
}

impl Choice {
    /// The service, if it is one. `is_true` says of an environment variable whether it is `true`.
    pub fn service(self, is_true: impl Fn(&str) -> bool) -> Option<Service> {
        match self {
            Self::Github => Some(Service::Github),
            Self::Gitlab => Some(Service::Gitlab),
            Self::None => None,
            Self::Auto if is_true("GITHUB_ACTIONS") => Some(Service::Github),
            Self::Auto if is_true("GITLAB_CI") => Some(Service::Gitlab),
            Self::Auto => None,
        }
    }
}

/// How many annotations of one kind GitHub shows for a step.
const SHOWN: usize = 10;

/// The longest message of an annotation, in characters.
const MESSAGE: usize = 2000;

/// How many bytes the summary of a step may have: GitHub refuses what is larger.
pub const SUMMARY_LIMIT: usize = 1 << 20;

/// A line that GitHub obeys.
fn command(name: &str, properties: &[(&str, &str)], data: &str) -> String {
    let properties: Vec<String> =
        properties.iter().map(|(key, value)| format!("{key}={}", escape(value, true))).collect();
    let space = if properties.is_empty() { "" } else { " " };
    format!("::{name}{space}{}::{}", properties.join(","), escape(data, false))
}

/// Text as the data of a command or, where a colon and a comma end it, as the value of a property.
fn escape(text: &str, property: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '%' => out.push_str("%25"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            ':' if property => out.push_str("%3A"),
            ',' if property => out.push_str("%2C"),
            c => out.push(c),
        }
    }
    out
}

/// Text in which no line is a command for GitHub.
pub fn neutral(text: &str) -> String {
    let text = text.replace("##[", "## [");
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive(['\n', '\r']) {
        let indented = line.len() - line.trim_start().len();
        match line[indented..].strip_prefix("::") {
            Some(rest) => out.extend([&line[..indented], ": :", rest]),
            None => out.push_str(line),
        }
    }
    out
}

/// The lines before and after a part of the log that folds. `name` is unique in the log, `title` is shown, `began` and
/// `ended` are seconds since 1970.
pub fn fold(service: Service, name: &str, title: &str, (began, ended): (i64, i64)) -> (String, String) {
    let title = plain::line(title);
    match service {
        Service::Github => (command("group", &[], &title), command("endgroup", &[], "")),
        Service::Gitlab => {
            let known = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '_' };
            let name: String = name.chars().map(known).collect();
            (
                format!("\u{1b}[0Ksection_start:{began}:{name}[collapsed=true]\r\u{1b}[0K{title}"),
                format!("\u{1b}[0Ksection_end:{ended}:{name}\r\u{1b}[0K"),
            )
        }
    }
}

/// GitHub's annotations: an error for each task that failed, a warning for each that was interrupted or is blocked, at
/// the table that declares it in `file`. What is more than GitHub shows is summed up in the last one.
pub fn annotations(rows: &[&Row], file: &str, line: impl Fn(&Row) -> Option<usize>) -> Vec<String> {
    let of = |states: &[State]| -> Vec<&Row> {
        rows.iter().copied().filter(|row| states.contains(&row.state)).collect()
    };
    let mut out = Vec::new();
    for (level, rows) in
        [("error", of(&[State::Failed])), ("warning", of(&[State::Interrupted, State::Blocked]))]
    {
        let n_single = if rows.len() > SHOWN { SHOWN - 1 } else { rows.len() };
        let (single, rest) = rows.split_at(n_single);
        for row in single {
            let title = plain::line(&format!("{} {}", row.id, row.title));
            let line = line(row).map(|line| line.to_string());
            let place = [Some(("file", file)), line.as_deref().map(|line| ("line", line))];
            let properties: Vec<(&str, &str)> =
                place.into_iter().flatten().chain([("title", title.as_str())]).collect();
            out.push(command(level, &properties, &message(row)));
        }
        if !rest.is_empty() {
            let title = format!("{} more", wording::plural(rest.len(), "task"));
            let ids: Vec<&str> = rest.iter().map(|row| row.id.as_str()).collect();
            let states: Vec<&str> = [State::Failed, State::Interrupted, State::Blocked]
                .iter()
                .filter(|state| rest.iter().any(|row| row.state == **state))
                .map(|state| state.name())
                .collect();
            let text = format!("{}: {}", wording::list(&states), wording::ranges(&ids));
            out.push(command(level, &[("file", file), ("title", &title)], &text));
        }
    }
    out
}

/// Why, and what helps, each on a line.
fn message(row: &Row) -> String {
    let mut lines = Vec::new();
    if row.state != State::Failed {
        lines.push(row.state.name().to_owned());
    }
    for reason in &row.because {
        lines.push(plain::line(&reason.to_string()));
        let help = match reason {
            Reason::Prerequisite { remedy, .. } => remedy.as_ref().map(|text| ("remedy", text)),
            Reason::Failure(failure) => failure.hint.as_ref().map(|text| ("hint", text)),
            _ => None,
        };
        lines.extend(help.map(|(label, text)| format!("{label}: {}", plain::block(text))));
    }
    if row.state == State::Failed {
        lines.extend(row.attempt.as_ref().map(|attempt| plain::line(&format!("log: {}", attempt.log))));
    }
    let text = lines.join("\n");
    match text.char_indices().nth(MESSAGE) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

/// The section with the drawing: whoever has the rest can do without it.
const GRAPH: &str = "Task Graph";

/// Sections of the report that a summary can do without, the most dispensable first. Those that are not named here are
/// a template's own; they go before all others, the last one first.
const DISPENSABLE: &[&str] = &[
    GRAPH,
    "Completed Work",
    "Deliverables Summary",
    "Risk Assessment",
    "Gates",
    "Success Criteria Status",
    "Recommendations",
    "Conclusion",
    "Stale Tasks",
    "Next Steps",
    "Blocked Tasks",
    "Interrupted Tasks",
    "Failed Tasks",
    "Executive Summary",
];

/// The report in at most so many bytes. The drawing goes first, then sections lose their details, then they go, and at
/// the end it says which did. What the report is made of stays. A report without sections is cut between two lines.
pub fn fit(report: &str, limit: usize) -> String {
    if report.len() <= limit {
        return report.to_owned();
    }
    let mut parts = parts(report);
    let mut order: Vec<usize> = (0..parts.len()).filter(|i| parts[*i].title.is_some()).collect();
    let rank = |part: &Part<'_>| DISPENSABLE.iter().position(|known| part.title == Some(known));
    order.sort_by_key(|i| (rank(&parts[*i]), std::cmp::Reverse(*i)));
    for kept in [Kept::Headings, Kept::Nothing] {
        for i in &order {
            let kept = if parts[*i].title == Some(GRAPH) { Kept::Nothing } else { kept };
            if kept == Kept::Headings && headings(parts[*i].text).len() < 2 {
                continue;
            }
            parts[*i].kept = kept;
            let text = joined(&parts);
            if text.len() <= limit {
                return text;
            }
        }
    }
    let note = "\n\nThe rest was left out: it is too long for a summary.\n";
    let mut out =
        cut(parts.first().map_or("", |part| part.text), limit.saturating_sub(note.len())).to_owned();
    if out.len() + note.len() <= limit {
        out.push_str(note);
    }
    out
}

/// What is left of a section.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Whole,
    Headings,
    Nothing,
}

/// A section, or what stands before the first.
struct Part<'a> {
    title: Option<&'a str>,
    text: &'a str,
    kept: Kept,
}

/// Lines with their place, and whether each stands outside of code.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str, bool)> {
    let mut at = 0;
    let mut fence: Option<(char, usize)> = None;
    text.split_inclusive('\n').map(move |line| {
        at += line.len();
        let bare = line.trim();
        let mark = bare.chars().next().filter(|c| "`~".contains(*c));
        let n = bare.chars().take_while(|c| Some(*c) == mark).count();
        let was = fence;
        match (fence, mark) {
            (Some((open, long)), Some(mark)) if mark == open && n >= long && n == bare.len() => fence = None,
            // What has another mark behind it is code within a line.
            (None, Some(mark)) if n >= 3 && !(mark == '`' && bare[n..].contains(mark)) => {
                fence = Some((mark, n));
            }
            _ => {}
        }
        (at - line.len(), line, was.is_none() && fence.is_none())
    })
}

fn parts(report: &str) -> Vec<Part<'_>> {
    let heads: Vec<(usize, &str)> = lines(report)
        .filter(|(_, _, outside)| *outside)
        .filter_map(|(at, line, _)| Some((at, line.strip_prefix("## ")?.trim())))
        .collect();
    // The last line of the built-in report says what it is made of: that belongs to no section.
    let mark = lines(report).filter(|(at, line, outside)| {
        *outside && line.starts_with("Evidence: ") && at + line.len() == report.len()
    });
    let mark: Vec<(usize, Option<&str>)> = mark.map(|(at, _, _)| (at, None)).collect();
    let starts: Vec<(usize, Option<&str>)> = std::iter::once((0, None))
        .chain(heads.iter().map(|(at, title)| (*at, Some(*title))))
        .chain(mark)
        .collect();
    let ends = starts[1..].iter().map(|(at, _)| *at).chain([report.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|((start, title), end)| Part { title: *title, text: &report[*start..end], kept: Kept::Whole })
        .collect()
}

/// The title of a section and the headings in it.
fn headings(section: &str) -> Vec<&str> {
    let outside = lines(section).filter(|(_, line, outside)| *outside && line.starts_with('#'));
    outside.map(|(_, line, _)| line.trim_end()).collect()
}

/// What is left, and a list of what is not.
fn joined(parts: &[Part<'_>]) -> String {
    let mut out = String::new();
    let mut left_out = Vec::new();
    for part in parts {
        let title = part.title.unwrap_or_default();
        match part.kept {
            Kept::Whole => out.push_str(part.text),
            Kept::Headings => {
                out.push_str(&headings(part.text).join("\n\n"));
                out.push_str("\n\n---\n\n");
                left_out.push(format!("the details of {title}"));
            }
            Kept::Nothing => left_out.push(title.to_owned()),
        }
    }
    let rule = if out.trim_end().ends_with("\n---") { "" } else { "---\n\n" };
    let note = format!(
        "\n\n{rule}Left out, because the whole report is too long for a summary: {}.\n",
        wording::list(&left_out)
    );
    format!("{}{note}", out.trim_end())
}

/// The longest beginning that ends between two lines, and not inside of code.
fn cut(text: &str, limit: usize) -> &str {
    let ends = lines(text).filter(|(_, _, outside)| *outside).map(|(at, line, _)| at + line.len());
    &text[..ends.take_while(|end| *end <= limit).last().unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Parser, Tag};

    use super::*;
    use crate::report::{Format, Options, sample};
    use crate::status::Status;

    type Pairs = Vec<(String, String)>;

    /// What the runner of GitHub makes of a line: the name of the command, its properties and its data.
    fn obeyed(line: &str) -> Option<(String, Pairs, String)> {
        if let Some(at) = line.find("##[") {
            return Some((line[at + 3..].split(']').next()?.to_owned(), Pairs::new(), String::new()));
        }
        let (head, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        let plain = |text: &str| {
            let table = [("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")];
            table.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
        };
        let pairs = properties.split(',').filter_map(|pair| pair.split_once('='));
        let pairs = pairs.map(|(key, value)| (key.to_owned(), plain(value))).collect();
        Some((name.to_owned(), pairs, plain(data)))
    }

    fn rich_rows(status: &Status) -> Vec<&Row> {
        status.tasks.iter().collect()
    }

    #[test]
    fn a_service_is_found_by_what_it_sets() {
        let table = [
            (Choice::Auto, "", None),
            (Choice::Auto, "GITHUB_ACTIONS", Some(Service::Github)),
            (Choice::Auto, "GITLAB_CI", Some(Service::Gitlab)),
            (Choice::Github, "GITLAB_CI", Some(Service::Github)),
            (Choice::Gitlab, "GITHUB_ACTIONS", Some(Service::Gitlab)),
            (Choice::None, "GITHUB_ACTIONS", None),
        ];
        for (choice, set, wanted) in table {
            assert_eq!(choice.service(|name| name == set), wanted, "{choice:?} with {set}");
        }
    }

    #[test]
    fn commands_are_escaped() {
        let table = [
            (command("group", &[], "a: b, c"), "::group::a: b, c"),
            (command("endgroup", &[], ""), "::endgroup::"),
            (
                command("error", &[("file", "a,b:c%.toml")], "100%\r\n::x::"),
                "::error file=a%2Cb%3Ac%25.toml::100%25%0D%0A::x::",
            ),
            (command("error", &[("file", "a"), ("line", "3")], "%0A"), "::error file=a,line=3::%250A"),
        ];
        for (made, wanted) in table {
            assert_eq!(made, wanted);
        }
    }

    #[test]
    fn no_line_of_others_is_a_command() {
        let table = [
            ("plain :: text", "plain :: text"),
            ("::error::x", ": :error::x"),
            ("  \t::set-env name=A::b", "  \t: :set-env name=A::b"),
            ("a\n::stop-commands::x\r::y::\n", "a\n: :stop-commands::x\r: :y::\n"),
            ("│ ##[add-matcher]x", "│ ## [add-matcher]x"),
            ("##[[error]", "## [[error]"),
            ("\u{2003}::error::x", "\u{2003}: :error::x"),
        ];
        for (from, to) in table {
            assert_eq!(neutral(from), to, "{from:?}");
        }
    }

    #[test]
    fn parts_fold() {
        let times = (1_769_508_000, 1_769_508_003);
        let (open, close) = fold(Service::Github, "x", "Log of `a: b`\n100%", times);
        assert_eq!((open.as_str(), close.as_str()), ("::group::Log of `a: b` 100%25", "::endgroup::"));
        let (open, close) = fold(Service::Gitlab, "log a/b:c-1.x", "Log\u{1b}[0K of\r\na", times);
        assert_eq!(
            open,
            "\u{1b}[0Ksection_start:1769508000:log_a_b_c-1.x[collapsed=true]\r\u{1b}[0KLog of a"
        );
        assert_eq!(close, "\u{1b}[0Ksection_end:1769508003:log_a_b_c-1.x\r\u{1b}[0K");
    }

    #[test]
    fn annotations_name_the_place_and_the_cause() {
        let status = sample::rich();
        let made =
            annotations(&rich_rows(&status), "ci/pipeline.toml", |row| (row.id != "T007").then_some(7));
        insta::assert_snapshot!(made.join("\n"), @r"
        ::error file=ci/pipeline.toml,line=7,title=T011 Task T011::`helm lint --strict helm/app | tee lint.txt`: exit code 2%0Ahint: set `image.tag`%0Alog: .xtask/logs/T011-2.log
        ::warning file=ci/pipeline.toml,line=7,title=T006 Build the backend image and hold it below 500 MB%2C with every layer pinned::blocked%0A`docker`: not running (Cannot connect to the Docker daemon)%0Aremedy: sudo systemctl start docker
        ::warning file=ci/pipeline.toml,title=T007 Task T007::blocked%0A`docker`: not running (Cannot connect to the Docker daemon)%0Aremedy: sudo systemctl start docker
        ::warning file=ci/pipeline.toml,line=7,title=T012 Task T012::interrupted%0Athe run died in the middle of it
        ::warning file=ci/pipeline.toml,line=7,title=T013 Task T013::interrupted%0Athe run was told to stop in the middle of it
        ::warning file=ci/pipeline.toml,line=7,title=T017 Task T017::blocked%0Athe context could not be told%0A`cluster`: absent%0Aremedy: # once%0Aminikube start%0A`kubectl`: wrong version (1.20.0 does not match >=1.28)%0Aneeds `T008`, which is waiting; T008 -> T006: `docker`: not running (Cannot connect to the Docker daemon)
        ");
    }

    #[test]
    fn what_github_does_not_show_is_summed_up() {
        let status = sample::rich();
        let blocked = status.tasks.iter().find(|row| row.state == State::Blocked).expect("a blocked task");
        for (n, lines, last) in [
            (10, 10, None),
            (11, 10, Some("2 tasks more::blocked: T110, T111")),
            (40, 10, Some("31 tasks more::blocked: T110-T140")),
        ] {
            let rows: Vec<Row> =
                (1..=n).map(|i| Row { id: format!("T{}", 100 + i), ..blocked.clone() }).collect();
            let made = annotations(&rows.iter().collect::<Vec<_>>(), "p", |_| None);
            assert_eq!(made.len(), lines, "{n}");
            let told = made[lines - 1].strip_prefix("::warning file=p,title=");
            assert_eq!(told.filter(|_| last.is_some()), last, "{n}");
        }
    }

    #[test]
    fn a_message_does_not_go_on_for_ever() {
        let mut status = sample::rich();
        let row = status.tasks.iter_mut().find(|row| row.state == State::Failed).expect("a failed task");
        row.because = vec![Reason::Condition { why: "ä".repeat(100_000) }];
        let made = annotations(&[row], "p", |_| None);
        assert!(made[0].ends_with("ä...") && made[0].chars().count() < MESSAGE + 100);
    }

    fn report() -> String {
        Format::find("markdown")
            .expect("a format")
            .text(&sample::rich(), &Options::default())
            .expect("a report")
    }

    fn titles(markdown: &str) -> Vec<&str> {
        parts(markdown).iter().filter_map(|part| part.title).collect()
    }

    #[test]
    fn what_fits_is_not_touched() {
        let report = report();
        assert_eq!(fit(&report, report.len()), report);
    }

    #[test]
    fn details_go_first_and_it_says_so() {
        let report = report();
        let shorter = fit(&report, report.len() - 1);
        assert_eq!(titles(&shorter), titles(&report)[..titles(&report).len() - 1]);
        assert!(!shorter.contains("```mermaid") && shorter.contains("- [x] T001"));
        assert!(shorter.ends_with("too long for a summary: Task Graph.\n"), "{shorter}");
        let mark = report.lines().last().expect("a last line");
        assert!(mark.starts_with("Evidence: ") && shorter.contains(mark), "{shorter}");
        let shorter = fit(&report, shorter.len() - 1);
        assert!(shorter.contains("### Phase 1: Setup ✅ COMPLETE\n\n### Phase 2: "));
        assert!(!shorter.contains("- [x] T001"));
        assert!(shorter.ends_with(
            "\n---\n\nLeft out, because the whole report is too long for a summary: the details of Completed Work and Task Graph.\n"
        ));
    }

    #[test]
    fn what_failed_and_what_to_do_stays_longest() {
        let report = report();
        let mut seen: Vec<Vec<&str>> = Vec::new();
        let cuts: Vec<String> =
            (0..report.len()).rev().step_by(20).map(|limit| fit(&report, limit)).collect();
        for cut in &cuts {
            let titles = titles(cut);
            if seen.last() != Some(&titles) && !titles.is_empty() {
                seen.push(titles);
            }
        }
        assert_eq!(seen.first().map(Vec::len), Some(13));
        assert_eq!(seen.last(), Some(&vec!["Executive Summary"]));
        let last_with = |title: &str| seen.iter().rposition(|titles| titles.contains(&title));
        assert!(last_with("Failed Tasks") > last_with("Next Steps"));
        assert!(last_with("Next Steps") > last_with("Gates"));
        assert!(last_with("Gates") > last_with("Deliverables Summary"));
    }

    #[test]
    fn headings_in_code_are_none() {
        let text = "# T\n\n## A\n\n````sh\n## B\n```\n## C\n````\n\n   ```\n## D\n   ```\n## E\n```a``b```\n## F\n~~~\n## G\n~~~\n";
        assert_eq!(titles(text), ["A", "E", "F"]);
    }

    #[test]
    fn sections_of_ones_own_go_first() {
        let text = format!(
            "# T\n\n## Mine\n\n{0}\n## Failed Tasks\n\n{0}\n## Also Mine\n\n{0}\n",
            "x\n".repeat(300)
        );
        assert_eq!(titles(&fit(&text, 1500)), ["Mine", "Failed Tasks"]);
        assert_eq!(titles(&fit(&text, 900)), ["Failed Tasks"]);
        let cut = fit(&text, 500);
        assert_eq!(titles(&cut), Vec::<&str>::new());
        assert!(cut.ends_with("summary: Mine, Failed Tasks and Also Mine.\n"), "{cut}");
        let cut = fit(&"x\n".repeat(300), 200);
        assert!(
            cut.starts_with("x\n") && cut.ends_with("The rest was left out: it is too long for a summary.\n")
        );
    }

    proptest! {
        #[test]
        fn no_text_becomes_a_command(text in sample::hostile(), head in "(\\s|:|#|\\[|%|,)*") {
            let text = format!("{head}{text}::error::x##[error]y");
            for line in neutral(&text).split(['\n', '\r']) {
                prop_assert_eq!(obeyed(line), None, "{:?}", line);
            }
            let status = sample::with_text(sample::rich(), &text);
            for made in annotations(&rich_rows(&status), "a,b:%41.toml", |_| Some(1)) {
                // Whoever begins a line with `::` is not asked for the other kind.
                let line = made.replace("##[", "..");
                prop_assert!(!made.contains(['\n', '\r', '\u{1b}']), "{:?}", made);
                let (name, properties, _) = obeyed(&line).expect("a command");
                prop_assert!(["error", "warning"].contains(&name.as_str()));
                let keys: Vec<&str> = properties.iter().map(|(key, _)| key.as_str()).collect();
                prop_assert_eq!(keys, ["file", "line", "title"]);
                prop_assert_eq!(&properties[0].1, "a,b:%41.toml");
            }
        }

        #[test]
        fn a_summary_fits(text in sample::hostile(), limit in 0usize..12_000) {
            let status = sample::with_text(sample::rich(), &text);
            let report = Format::find("markdown").expect("a format").text(&status, &Options::default()).expect("a report");
            let cut = fit(&report, limit);
            prop_assert!(cut.len() <= limit);
            let open = Parser::new(&cut).filter(|event| matches!(event, Event::Start(Tag::CodeBlock(_)))).count();
            let whole = Parser::new(&report).filter(|event| matches!(event, Event::Start(Tag::CodeBlock(_)))).count();
            prop_assert!(open <= whole, "{}", cut);
            prop_assert!(report.len() <= limit || cut.is_empty() || cut.contains("eft out"), "{}", cut);
        }
    }
}
