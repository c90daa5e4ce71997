//! The graph of tasks, coloured by state, for mermaid and for Graphviz.
//!
//! Nodes are named by their position, labels are escaped: no id or title can be taken for syntax.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::plain;
use crate::status::{PhaseRow, Row, STATES, State, Status};

/// Fill, border and text of a state. Dark text on a light ground reads in light and dark themes alike.
fn colours(state: State) -> (&'static str, &'static str, &'static str) {
    match state {
        State::Done => ("#d1f0d9", "#1a7f37", "#0b3d1a"),
        State::Stale => ("#ead9ff", "#8250df", "#3b1a6e"),
        State::Failed => ("#ffd8d3", "#cf222e", "#5c0d14"),
        State::Interrupted => ("#ffe0c2", "#bc4c00", "#521f00"),
        State::Blocked => ("#fff2b8", "#9a6700", "#4a3200"),
        State::Waiting => ("#fbf5dc", "#b8a35a", "#4d4420"),
        State::Ready => ("#d6ebff", "#0969da", "#06305f"),
        State::Skipped => ("#eaeef2", "#8c959f", "#3d444d"),
    }
}

/// A flowchart as GitHub draws it: a box per phase, an arrow from each task to those that need it.
pub fn mermaid(status: &Status) -> String {
    let mut out = String::from("flowchart LR\n");
    for (i, (phase, rows)) in phases(status).enumerate() {
        let _ = writeln!(out, "  subgraph p{}[\"{}\"]", i + 1, mermaid_text(&phase.title));
        for (n, row) in rows {
            let label =
                format!("{} {}<br/>{}", row.state.symbol(), mermaid_text(&row.id), mermaid_text(&row.title));
            let _ = writeln!(out, "    t{n}[\"{label}\"]:::{}", row.state.name());
        }
        out.push_str("  end\n");
    }
    for (from, to) in edges(status) {
        let _ = writeln!(out, "  t{from} --> t{to}");
    }
    for state in used(status) {
        let (fill, stroke, text) = colours(state);
        let _ = writeln!(out, "  classDef {} fill:{fill},stroke:{stroke},color:{text}", state.name());
    }
    out
}

/// A digraph for `dot`.
pub fn dot(status: &Status) -> String {
    let mut out = String::from("digraph pipeline {\n");
    let _ = writeln!(out, "  label=\"{}\";", dot_text(&status.pipeline.title));
    out.push_str("  rankdir=LR;\n  node [shape=box, style=\"filled,rounded\"];\n");
    for (i, (phase, rows)) in phases(status).enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{} {{\n    label=\"{}\";", i + 1, dot_text(&phase.title));
        for (n, row) in rows {
            let (fill, stroke, text) = colours(row.state);
            let label = format!("{} ({})\\n{}", dot_text(&row.id), row.state.name(), dot_text(&row.title));
            let _ = writeln!(
                out,
                "    t{n} [label=\"{label}\", fillcolor=\"{fill}\", color=\"{stroke}\", fontcolor=\"{text}\"];"
            );
        }
        out.push_str("  }\n");
    }
    for (from, to) in edges(status) {
        let _ = writeln!(out, "  t{from} -> t{to};");
    }
    out.push_str("}\n");
    out
}

/// Phases that have tasks, with their tasks and the numbers of these.
fn phases(status: &Status) -> impl Iterator<Item = (&PhaseRow, Vec<(usize, &Row)>)> {
    let rows = |phase: &PhaseRow| {
        let numbered = status.tasks.iter().enumerate().map(|(i, row)| (i + 1, row));
        numbered.filter(|(_, row)| row.phase == phase.id).collect::<Vec<_>>()
    };
    status.phases.iter().map(move |phase| (phase, rows(phase))).filter(|(_, rows)| !rows.is_empty())
}

/// From what is needed to what needs it.
fn edges(status: &Status) -> Vec<(usize, usize)> {
    let numbers: HashMap<&str, usize> =
        status.tasks.iter().enumerate().map(|(i, row)| (row.id.as_str(), i + 1)).collect();
    let of = |(i, row): (usize, &'_ Row)| -> Vec<(usize, usize)> {
        row.needs.iter().filter_map(|need| Some((*numbers.get(need.as_str())?, i + 1))).collect()
    };
    status.tasks.iter().enumerate().flat_map(of).collect()
}

fn used(status: &Status) -> impl Iterator<Item = State> {
    STATES.iter().copied().filter(|state| status.summary.count(*state) > 0)
}

/// The inside of a quoted label. What is not a letter, a digit or harmless becomes mermaid's `#35;`: quotes end the
/// label, backticks make it Markdown, `%%{` is a directive wherever it stands.
fn mermaid_text(text: &str) -> String {
    let mut out = String::new();
    for c in plain::line(text).chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !" -_.,:/()+=!?".contains(c) {
            let _ = write!(out, "#{};", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

/// The inside of a quoted string.
fn dot_text(text: &str) -> String {
    plain::line(text).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;
    use crate::report::sample;

    #[test]
    fn rich_in_mermaid() {
        insta::assert_snapshot!(mermaid(&sample::rich()));
    }

    #[test]
    fn rich_in_dot() {
        insta::assert_snapshot!(dot(&sample::rich()));
    }

    #[test]
    fn nothing_is_a_graph_too() {
        assert_eq!(mermaid(&sample::empty()), "flowchart LR\n");
        assert!(dot(&sample::empty()).ends_with("];\n}\n"));
    }

    #[test]
    fn labels_mean_themselves() {
        assert_eq!(
            mermaid_text("a \"b\" %%{init}%% <c>; #d"),
            "a #34;b#34; #37;#37;#123;init#125;#37;#37; #60;c#62;#59; #35;d"
        );
        assert_eq!(dot_text("a \"b\\\" \nc"), "a \\\"b\\\\\\\" c");
    }

    proptest! {
        #[test]
        fn no_text_is_taken_for_syntax(text in sample::hostile()) {
            let status = sample::with_text(sample::rich(), &text);
            let line = Regex::new(concat!(
                r#"^(flowchart LR|  subgraph p\d+\["[^"]*"\]|    t\d+\["[^"]*"\]:::[a-z]+|  end"#,
                r"|  t\d+ --> t\d+|  classDef [a-z]+ fill:#\w{6},stroke:#\w{6},color:#\w{6})$"
            )).expect("a pattern");
            for l in mermaid(&status).lines() {
                prop_assert!(line.is_match(l), "{}", l);
            }
            let quoted = r#""([^"\\]|\\.)*""#;
            let line = Regex::new(&format!(
                r#"^(digraph pipeline \{{| *label={quoted};|  rankdir=LR;|  node \[.*\];|  subgraph cluster_\d+ \{{|    t\d+ \[label={quoted}(, [a-z]+="\#\w{{6}}"){{3}}\];|  t\d+ -> t\d+;| *\}})$"#
            )).expect("a pattern");
            for l in dot(&status).lines() {
                prop_assert!(line.is_match(l), "{}", l);
            }
        }
    }
}
