//! Markdown, from the built-in template or from the project's own.
//!
//! A template sees the status as JSON and the [`Outline`] beside it, and nothing of the machine: it can't include
//! files, read variables or ask the time. Every `{{ value }}` is escaped unless a filter made it: see
//! [`escape`](super::escape). `docs/templates.md` describes both for authors.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::Context as _;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State as Rendering, UndefinedBehavior};
use regex::Regex;

use crate::ids::Digest;
use crate::measure::Measurement;
use crate::report::escape;
use crate::report::outline::Outline;
use crate::report::{Options, Template};
use crate::since::Point;
use crate::status::{STATES, Standing, Status};
use crate::wording;

/// The built-in template.
const BUILT_IN: &str = include_str!("status.md.j2");

/// Renders the project's template if it brings one, the built-in one if not.
pub fn render(status: &Status, options: &Options, out: &mut dyn fmt::Write) -> anyhow::Result<()> {
    let built_in = Template { name: "status.md.j2".to_owned(), source: BUILT_IN.to_owned() };
    let template = options.template.as_ref().unwrap_or(&built_in);
    let text = environment()
        .render_named_str(&template.name, &template.source, context(status)?)
        // The engine says where in its message; its sources would say the same once more.
        .map_err(|error| anyhow::Error::msg(error.to_string()))
        .with_context(|| format!("the template `{}` can't be rendered", template.name))?;
    out.write_str(text.trim_end())?;
    out.write_char('\n')?;
    Ok(())
}

/// What the last line of a report says of the evidence that it is made of, and of what it compares with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Where the ledger ended.
    pub evidence: Point,
    /// The earlier point that it compares with.
    pub since: Option<Point>,
}

/// Reads the mark of a report that was rendered before. A template that does not write it makes reports that
/// compare with nothing.
pub fn mark(report: &str) -> Option<Mark> {
    static MARK: LazyLock<Regex> = LazyLock::new(|| {
        let point = r"(\d{1,18}) records, the last `([0-9a-f]{32})`\.";
        Regex::new(&format!(r"(?m)^Evidence: {point}(?: Compared with {point})?\r?$"))
            .expect("a valid expression")
    });
    let found = MARK.captures_iter(report).last()?;
    let point = |n: usize| {
        let records = found.get(n)?.as_str().parse().ok()?;
        Some(Point { records, head: Digest::parse(found.get(n + 1)?.as_str())? })
    };
    Some(Mark { evidence: point(1)?, since: point(3) })
}

/// The status as JSON, with the outline under `outline`.
fn context(status: &Status) -> anyhow::Result<Value> {
    let mut json = serde_json::to_value(status)?;
    json["outline"] = serde_json::to_value(Outline::of(status))?;
    Ok(Value::from(Serde(json)))
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_syntax(syntax());
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|_| AutoEscape::Custom("markdown".into()));
    env.set_formatter(write_value);
    env.add_filter("bytes", |n: f64| wording::bytes(n));
    env.add_filter("code", |text: &str| safe(escape::code(text)));
    env.add_filter("date", |timestamp: &str| timestamp.split('T').next().unwrap_or_default().to_owned());
    env.add_filter("duration", |ms: u64| wording::duration(Duration::from_millis(ms)));
    env.add_filter("fence", fence);
    env.add_filter("link", link);
    env.add_filter("measured", |m: Serde<Measurement>| m.0.show());
    env.add_filter("plural", |n: usize, noun: &str| wording::plural(n, noun));
    env.add_filter("ranges", |ids: Vec<String>| wording::ranges(&ids));
    env.add_filter("symbol", symbol);
    env.add_filter("words", |items: Vec<String>| wording::list(&items));
    env
}

/// An address as a link to itself. Only what can't end the brackets early, and nothing that could be a script.
fn link(address: &str) -> Value {
    let web = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
    let plain =
        !address.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '\\'));
    safe(if web && plain { format!("<{address}>") } else { escape::code(address) })
}

/// Tags on lines of their own leave nothing behind, so that a template looks like what it makes.
fn syntax() -> SyntaxConfig {
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    syntax.build().expect("the usual delimiters")
}

fn safe(markdown: String) -> Value {
    Value::from_safe_string(markdown)
}

/// A fenced block of a text or of a list of lines. Joining lines in a template would escape them first.
fn fence(content: &Value, language: Option<&str>) -> Result<Value, Error> {
    let text = match content.as_str() {
        Some(text) => text.to_owned(),
        None => {
            let lines: Vec<String> = content.try_iter()?.map(|line| line.to_string()).collect();
            lines.join("\n")
        }
    };
    Ok(safe(escape::fence(&text, language.unwrap_or_default())))
}

/// The symbol of a state or a standing.
fn symbol(name: &str) -> Result<&'static str, Error> {
    let states = STATES.iter().map(|s| (s.name(), s.symbol()));
    let standings = [("met", Standing::Met), ("unmet", Standing::Unmet), ("pending", Standing::Pending)];
    let standings = standings.iter().map(|(name, s)| (*name, s.symbol()));
    states.chain(standings).find_map(|(known, symbol)| (known == name).then_some(symbol)).ok_or_else(|| {
        Error::new(ErrorKind::InvalidOperation, format!("`{name}` is neither a state nor a standing"))
    })
}

/// Writes a value where a template asks for it. Nothing for what is not there, so that `{{ branch }}` needs no test.
fn write_value(out: &mut Output, rendering: &mut Rendering, value: &Value) -> Result<(), Error> {
    let raw = value.is_safe() || matches!(rendering.auto_escape(), AutoEscape::None);
    match value.kind() {
        ValueKind::None => {}
        ValueKind::Number | ValueKind::Bool => write!(out, "{value}")?,
        _ if raw => write!(out, "{value}")?,
        _ => out.write_str(&escape::prose(&value.to_string()))?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, HeadingLevel, Options as Extensions, Parser, Tag};

    use super::*;
    use crate::report::sample;

    /// Sections of the report, in the order of the hand-written one that it takes the place of.
    const SECTIONS: &[&str] = &[
        "Executive Summary",
        "Completed Work",
        "Blocked Tasks",
        "Next Steps",
        "Gates",
        "Deliverables Summary",
        "Risk Assessment",
        "Recommendations",
        "Success Criteria Status",
        "Conclusion",
        "Task Graph",
    ];

    fn report(status: &Status) -> String {
        let mut out = String::new();
        render(status, &Options::default(), &mut out).expect("a report");
        out
    }

    fn own(source: &str) -> anyhow::Result<String> {
        let template = Some(Template { name: "own.j2".to_owned(), source: source.to_owned() });
        let mut out = String::new();
        render(&sample::rich(), &Options { template, ..Options::default() }, &mut out)?;
        Ok(out)
    }

    /// Reads it as GitHub does.
    fn parse(markdown: &str) -> Parser<'_> {
        let extensions = Extensions::ENABLE_TABLES
            | Extensions::ENABLE_FOOTNOTES
            | Extensions::ENABLE_STRIKETHROUGH
            | Extensions::ENABLE_TASKLISTS
            | Extensions::ENABLE_MATH
            | Extensions::ENABLE_GFM;
        Parser::new_ext(markdown, extensions)
    }

    /// Headings of a level, as they are read.
    fn headings(markdown: &str, wanted: HeadingLevel) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let mut inside = false;
        for event in parse(markdown) {
            match event {
                Event::Start(Tag::Heading { level, .. }) if level == wanted => {
                    inside = true;
                    out.push(String::new());
                }
                Event::End(pulldown_cmark::TagEnd::Heading(_)) => inside = false,
                Event::Text(text) | Event::Code(text) if inside => {
                    out.last_mut().expect("a heading").push_str(&text);
                }
                _ => {}
            }
        }
        out
    }

    /// Everything but text: blocks, cells, emphasis, links. Code and the element that stands for it are text.
    fn skeleton(markdown: &str) -> Vec<String> {
        let mut out = Vec::new();
        for event in parse(markdown) {
            match event {
                Event::Text(_) | Event::Code(_) => {}
                Event::InlineHtml(html) if ["<code>", "</code>"].contains(&&*html) => {}
                other => out.push(format!("{other:?}")),
            }
        }
        out
    }

    #[test]
    fn sections_stand_in_the_known_order() {
        for status in [sample::empty(), sample::fresh(), sample::complete()] {
            let text = report(&status);
            assert_eq!(headings(&text, HeadingLevel::H1).len(), 1);
            // Without tasks there is nothing to draw.
            let sections = &SECTIONS[..SECTIONS.len() - usize::from(status.tasks.is_empty())];
            assert_eq!(headings(&text, HeadingLevel::H2), sections);
        }
        let all = headings(&report(&sample::rich()), HeadingLevel::H2);
        assert_eq!(all[2..5], ["Failed Tasks", "Interrupted Tasks", "Stale Tasks"]);
        assert_eq!([&all[..2], &all[5..]].concat(), SECTIONS);
    }

    /// What markdownlint asks for and can be seen without it.
    #[test]
    fn the_source_is_tidy() {
        for status in [sample::empty(), sample::fresh(), sample::complete(), sample::rich()] {
            let text = report(&status);
            assert!(text.ends_with('\n') && !text.ends_with("\n\n"));
            assert!(!text.contains("\n\n\n"), "two blank lines in a row:\n{text}");
            assert!(!text.lines().any(|l| l.ends_with(' ')), "a space at the end of a line:\n{text}");
            let lines: Vec<&str> = text.lines().collect();
            for pair in
                lines.windows(2).filter(|pair| pair.iter().any(|l| l.starts_with('#') && l.contains("# ")))
            {
                let (comment, command) = (pair[0], pair[1]);
                let in_fence =
                    comment.starts_with("# ") && comment.contains(": ") || command.starts_with("# once");
                assert!(in_fence || pair.contains(&""), "no blank line around a heading: {pair:?}");
            }
            let mut titles = headings(&text, HeadingLevel::H3);
            let n = titles.len();
            titles.sort();
            titles.dedup();
            assert_eq!(titles.len(), n, "a heading stands twice");
        }
    }

    #[test]
    fn the_first_screen_says_what_blocks_and_what_to_do() {
        let text = report(&sample::rich());
        let screen: Vec<&str> = text.lines().take(24).collect();
        let screen = screen.join("\n");
        for wanted in [
            "`docker` is not running and holds up 4 tasks",
            "`sudo systemctl start docker`",
            "cargo xtask resume",
        ] {
            assert!(screen.contains(wanted), "{wanted:?} is not in\n{screen}");
        }
    }

    #[test]
    fn a_title_cannot_add_a_command() {
        let mut status = sample::rich();
        for row in &mut status.tasks {
            row.title = "x\nrm -rf /\n```\n".to_owned();
        }
        assert!(!report(&status).lines().any(|l| l.trim_start().starts_with("rm ")));
    }

    #[test]
    fn a_projects_own_template_has_the_data_and_the_filters() {
        let source = "{% for t in tasks if t.state == 'done' %}\n{{ t.id }} {{ t.state|symbol }} {{ t.measurements|map('measured')|join(', ') }}\n{% endfor %}\n\
                      {{ left_ms|duration }}, {{ 1500|bytes }}, {{ 2|plural('task') }}, {{ ['a', 'b']|words }}, {{ ['T1', 'T2', 'T3']|ranges }}\n\
                      {{ 'a|b*'|code }} {{ 'x*'|safe }} {{ 'met'|symbol }} {{ as_of|date }}{{ tasks[0].attempt.ended and none }}\n\
                      {{ ['a', 'b']|fence('sh') }}";
        let text = own(source).expect("a report");
        assert_eq!(
            text,
            "T001 ✅ \nT004 ✅ 12 kB\n12 min 34 s, 1.5 kB, 2 tasks, a and b, T1-T3\n\
             <code>a\\|b\\*</code> x* ✅ 2026-01-27\n```sh\na\nb\n```\n"
        );
    }

    /// The reference names everything that there is.
    #[test]
    fn the_reference_is_complete() {
        let page = include_str!("../../../docs/templates.md");
        let json = serde_json::to_value(sample::rich()).expect("JSON");
        let outline = serde_json::to_value(Outline::of(&sample::rich())).expect("JSON");
        let keys = json.as_object().into_iter().flatten().map(|(key, _)| format!("`{key}`"));
        let outlined = outline.as_object().into_iter().flatten().map(|(key, _)| format!("`outline.{key}`"));
        let filters = include_str!("markdown.rs").split("env.add_filter(\"").skip(1);
        let filters = filters.filter_map(|rest| rest.split_once("\",")).map(|(name, _)| format!("| `{name}"));
        for wanted in keys.chain(outlined).chain(filters) {
            assert!(page.contains(&wanted), "docs/templates.md lacks {wanted}");
        }
    }

    #[test]
    fn a_report_says_what_it_is_made_of_and_compares_with() {
        let status = sample::rich();
        let mark = super::mark(&report(&status)).expect("a mark");
        assert_eq!((Some(mark.evidence), mark.since), (status.evidence, status.since.map(|s| s.point)));
        let first = Status { since: None, ..sample::rich() };
        assert_eq!(super::mark(&report(&first)).expect("a mark").since, None);
        for text in [
            "",
            "Evidence: 1 records",
            "Evidence: x records, the last `0`.",
            "xEvidence: 1 records, the last `b3d4f8803f7e24b8f389b072e75477cd`.",
        ] {
            assert_eq!(super::mark(text), None, "{text}");
        }
    }

    /// Evidence that was exported makes the same report elsewhere.
    #[test]
    fn a_status_survives_its_own_json() {
        for status in [sample::rich(), sample::complete(), sample::fresh(), sample::empty()] {
            let json = serde_json::to_string(&status).expect("JSON");
            let again: Status = serde_json::from_str(&json).expect("a status");
            assert_eq!(serde_json::to_string(&again).expect("JSON"), json);
            assert_eq!(report(&again), report(&status));
        }
    }

    #[test]
    fn the_example_of_the_reference_renders() {
        let page = include_str!("../../../docs/templates.md");
        let example = page
            .split("```jinja\n")
            .nth(1)
            .and_then(|rest| rest.split("\n```\n").next())
            .expect("an example");
        let text = own(example).expect("a report");
        assert!(text.starts_with("# Phase IV Status Report\n\nFailed - 2 of 14 tasks done"), "{text}");
        assert!(text.contains("on 2026-01-27\n\n- ⏸️ T006: Build"), "{text}");
    }

    #[test]
    fn a_mistake_in_a_template_is_named_with_its_line() {
        for (source, what) in [
            ("a\n{{ titel }}", "undefined value"),
            ("{% if %}", "syntax error"),
            ("{{ 'x'|symbol }}", "`x` is neither"),
        ] {
            let error = format!("{:#}", own(source).expect_err("a mistake"));
            assert!(error.starts_with("the template `own.j2` can't be rendered: "), "{error}");
            assert!(error.contains(what) && error.contains("own.j2:"), "{error}");
        }
    }

    #[test]
    fn a_template_sees_nothing_of_the_machine() {
        for source in [
            "{% include 'Cargo.toml' %}",
            "{% import 'Cargo.toml' as x %}",
            "{{ env('HOME') }}",
            "{{ now() }}",
        ] {
            assert!(own(source).is_err(), "{source}");
        }
    }

    proptest! {
        #[test]
        fn no_text_changes_the_structure(text in sample::hostile()) {
            let plain = report(&sample::with_text(sample::rich(), "plain words"));
            let hostile = report(&sample::with_text(sample::rich(), &text));
            prop_assert_eq!(skeleton(&plain), skeleton(&hostile), "\n{}", hostile);
            prop_assert!(!hostile.chars().any(|c| c.is_control() && c != '\n'));
        }

        #[test]
        fn a_line_of_prose_is_a_paragraph_wherever_it_stands(text in sample::hostile()) {
            let line = escape::prose(&text);
            prop_assert_eq!(skeleton(&line), skeleton("x"), "{}", line);
            let cell = format!("| a | b |\n|---|---|\n| {line} | x |\n");
            prop_assert_eq!(skeleton(&cell), skeleton("| a | b |\n|---|---|\n| x | x |\n"), "{}", cell);
        }
    }
}
