//! The graph as a flowchart of mermaid, which GitHub and GitLab draw in Markdown.

use std::fmt::Write as _;

use super::{By, Graph, Node, View, colours};
use crate::plain;
use crate::status::Status;

/// The most characters that mermaid takes where nothing else is set (`maxTextSize`) and the most arrows (`maxEdges`).
/// GitHub sets nothing else.
const LIMITS: (usize, usize) = (50_000, 500);

/// True if mermaid draws the flowchart.
pub fn fits(flowchart: &str) -> bool {
    let arrows = flowchart.lines().filter(|line| line.contains(" --> ")).count();
    // It counts as JavaScript does.
    flowchart.encode_utf16().count() <= LIMITS.0 && arrows <= LIMITS.1
}

/// A flowchart: an arrow from what is needed to what needs it, a box around the tasks of a phase.
pub fn mermaid(status: &Status, view: View<'_>) -> String {
    let graph = Graph::of(status, view);
    let letter = match view.by {
        By::Task => 't',
        By::Phase => 'p',
    };
    let name = |node: usize| format!("{letter}{}", graph.nodes[node].number);
    let mut out = String::from("flowchart LR\n");
    for (i, group) in graph.groups.iter().enumerate() {
        let _ = writeln!(out, "  subgraph p{}[\"{}\"]", i + 1, text(group.title));
        for node in &group.nodes {
            let _ = writeln!(out, "    {}{}", name(*node), label(&graph.nodes[*node]));
        }
        out.push_str("  end\n");
    }
    if view.by == By::Phase {
        for (i, node) in graph.nodes.iter().enumerate() {
            let _ = writeln!(out, "  {}{}", name(i), label(node));
        }
    }
    for (from, to) in &graph.edges {
        let _ = writeln!(out, "  {} --> {}", name(*from), name(*to));
    }
    let mut states: Vec<_> = graph.nodes.iter().map(|node| node.state).collect();
    states.sort();
    states.dedup();
    for state in states {
        let (fill, stroke, text) = colours(state);
        let _ = writeln!(out, "  classDef {} fill:{fill},stroke:{stroke},color:{text}", state.name());
    }
    for i in (0..graph.nodes.len()).filter(|i| graph.nodes[*i].focus) {
        let _ = writeln!(out, "  style {} stroke-width:4px", name(i));
    }
    out
}

fn label(node: &Node<'_>) -> String {
    let label = match node.counts() {
        None => format!("{} {}<br/>{}", node.state.symbol(), text(node.id), text(node.title)),
        Some(counts) => format!("{} {}<br/>{}", node.state.symbol(), text(node.title), text(&counts)),
    };
    format!("[\"{label}\"]:::{}", node.state.name())
}

/// The inside of a quoted label. What is not a letter, a digit or harmless becomes mermaid's `#35;`: quotes end the
/// label, backticks make it Markdown, `%%{` is a directive wherever it stands. Two dollar signs begin a formula however
/// they are written, so something without width stands between them.
fn text(text: &str) -> String {
    let mut out = String::new();
    for c in plain::line(text).chars() {
        if c == '$' && out.ends_with("#36;") {
            out.push_str("#8288;");
        }
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !" -_.,:/()+=!?".contains(c) {
            let _ = write!(out, "#{};", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;
    use crate::report::sample;

    #[test]
    fn rich() {
        insta::assert_snapshot!("rich_in_mermaid", mermaid(&sample::rich(), View::default()));
        let phases = View { by: By::Phase, focus: Some("T008") };
        insta::assert_snapshot!("rich_in_mermaid_by_phase", mermaid(&sample::rich(), phases));
    }

    #[test]
    fn nothing_is_a_graph_too() {
        assert_eq!(mermaid(&sample::empty(), View::default()), "flowchart LR\n");
    }

    #[test]
    fn labels_mean_themselves() {
        assert_eq!(
            text("a \"b\" %%{init}%% <c>; #d"),
            "a #34;b#34; #37;#37;#123;init#125;#37;#37; #60;c#62;#59; #35;d"
        );
        assert_eq!(text("$$$x$"), "#36;#8288;#36;#8288;#36;x#36;");
    }

    #[test]
    fn what_mermaid_refuses_does_not_fit() {
        let arrows = |n: usize| "  t1 --> t2\n".repeat(n);
        assert!(fits(&arrows(500)) && !fits(&arrows(501)));
        assert!(fits(&"é".repeat(50_000)) && !fits(&"é".repeat(50_001)));
        // An arrow in a label is written otherwise.
        assert!(!text("a --> b").contains("-->"));
    }

    proptest! {
        #[test]
        fn no_text_is_taken_for_syntax(words in sample::hostile()) {
            let status = sample::with_text(sample::rich(), &words);
            let line = Regex::new(concat!(
                r#"^(flowchart LR|  subgraph p\d+\["[^"]*"\]|  (  )?[tp]\d+\["[^"]*"\]:::[a-z]+|  end"#,
                r"|  [tp]\d+ --> [tp]\d+|  classDef [a-z]+ fill:#\w{6},stroke:#\w{6},color:#\w{6}",
                r"|  style [tp]\d+ stroke-width:4px)$"
            )).expect("a pattern");
            for by in [By::Task, By::Phase] {
                for l in mermaid(&status, View { by, focus: None }).lines() {
                    prop_assert!(line.is_match(l), "{}", l);
                }
            }
        }
    }
}
