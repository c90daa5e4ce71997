//! The graph in the language of Graphviz.

use std::fmt::Write as _;

use super::{By, Graph, Node, View, colours};
use crate::plain;
use crate::status::Status;

/// A digraph for `dot`: an arrow from what is needed to what needs it, a box around the tasks of a phase.
pub fn dot(status: &Status, view: View<'_>) -> String {
    let graph = Graph::of(status, view);
    let letter = match view.by {
        By::Task => 't',
        By::Phase => 'p',
    };
    let name = |node: usize| format!("{letter}{}", graph.nodes[node].number);
    let mut out = String::from("digraph pipeline {\n");
    let _ = writeln!(out, "  label=\"{}\";", text(graph.title));
    out.push_str("  rankdir=LR;\n  node [shape=box, style=\"filled,rounded\"];\n");
    for (i, group) in graph.groups.iter().enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{} {{\n    label=\"{}\";", i + 1, text(group.title));
        for node in &group.nodes {
            let _ = writeln!(out, "    {} {};", name(*node), attributes(&graph.nodes[*node]));
        }
        out.push_str("  }\n");
    }
    if view.by == By::Phase {
        for (i, node) in graph.nodes.iter().enumerate() {
            let _ = writeln!(out, "  {} {};", name(i), attributes(node));
        }
    }
    for (from, to) in &graph.edges {
        let _ = writeln!(out, "  {} -> {};", name(*from), name(*to));
    }
    out.push_str("}\n");
    out
}

fn attributes(node: &Node<'_>) -> String {
    let (fill, stroke, colour) = colours(node.state);
    let label = match node.counts() {
        None => format!("{} ({})\\n{}", text(node.id), node.state.name(), text(node.title)),
        Some(counts) => format!("{} ({})\\n{}", text(node.title), node.state.name(), text(&counts)),
    };
    let width = if node.focus { ", penwidth=\"4\"" } else { "" };
    format!("[label=\"{label}\", fillcolor=\"{fill}\", color=\"{stroke}\", fontcolor=\"{colour}\"{width}]")
}

/// The inside of a quoted string.
fn text(text: &str) -> String {
    plain::line(text).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;
    use crate::report::sample;

    #[test]
    fn rich() {
        insta::assert_snapshot!("rich_in_dot", dot(&sample::rich(), View::default()));
        let phases = View { by: By::Phase, focus: Some("T008") };
        insta::assert_snapshot!("rich_in_dot_by_phase", dot(&sample::rich(), phases));
    }

    #[test]
    fn nothing_is_a_graph_too() {
        assert!(dot(&sample::empty(), View::default()).ends_with("];\n}\n"));
    }

    #[test]
    fn labels_mean_themselves() {
        assert_eq!(text("a \"b\\\" \nc"), "a \\\"b\\\\\\\" c");
    }

    proptest! {
        #[test]
        fn no_text_is_taken_for_syntax(words in sample::hostile()) {
            let status = sample::with_text(sample::rich(), &words);
            let quoted = r#""([^"\\]|\\.)*""#;
            let line = Regex::new(&format!(
                r#"^(digraph pipeline \{{| *label={quoted};|  rankdir=LR;|  node \[.*\];|  subgraph cluster_\d+ \{{|  (  )?[tp]\d+ \[label={quoted}(, [a-z]+="\#\w{{6}}"){{3}}\];|  [tp]\d+ -> [tp]\d+;| *\}})$"#
            )).expect("a pattern");
            for by in [By::Task, By::Phase] {
                for l in dot(&status, View { by, focus: None }).lines() {
                    prop_assert!(line.is_match(l), "{}", l);
                }
            }
        }
    }
}
