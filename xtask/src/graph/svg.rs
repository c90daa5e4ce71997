//! The graph as a picture (SVG 1.1) that needs no other program, no script, no font and no style attribute.
//!
//! Boxes have colours of their own, which read on a light and on a dark ground; everything else is drawn in the colour
//! of the text around the picture. A file brings its ground and its colour with it.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

use super::layout::{self, BACK, BOX, Layout, Shape, Stroke};
use super::{By, Graph, Node, View, caption, colours};
use crate::plain;
use crate::status::{STATES, Status};

/// Where a picture stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a file of its own.
    File,
    /// In a page, whose text colour it takes over and whose style sheet may say more about its classes.
    Page,
}

/// Around everything.
const MARGIN: i32 = 16;

/// The least width of what is inside: titles and the legend need room where there are few boxes.
const LEAST: i32 = 480;

/// A line of the legend.
const LEGEND_LINE: i32 = 20;

/// Between the border of a box and its text.
const INSET: i32 = 10;

/// The colour of arrows: it can be told from white and from black.
const ARROW: &str = "#7d8590";

const FONT: &str = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif";

/// Colours of a file on a dark screen.
const DARK: &str =
    "@media (prefers-color-scheme: dark) { .graph { color: #c9d1d9 } .graph-ground { fill: #0d1117 } }";

/// The picture. Every box has its whole title and the first reason of its state as its `<title>`.
pub fn svg(status: &Status, view: View<'_>, place: Place) -> String {
    let graph = Graph::of(status, view);
    let lanes: Vec<usize> = match view.by {
        By::Task => {
            graph.groups.iter().enumerate().flat_map(|(i, g)| g.nodes.iter().map(move |_| i)).collect()
        }
        By::Phase => vec![0; graph.nodes.len()],
    };
    let n_lanes = graph.groups.len().max(1);
    let layout = layout::layout(Shape { lanes: &lanes, n_lanes, edges: &graph.edges });
    let inside = layout.size.0.max(LEAST);
    let legend = legend(&graph, inside);
    let above = MARGIN + 44 + legend.1;
    let (width, height) = (inside + 2 * MARGIN, above + layout.size.1 + MARGIN);

    let mut out = String::new();
    let _ = write!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="graph" role="graphics-document" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="{FONT}" font-size="11""#
    );
    out.push_str(if place == Place::File { " color=\"#1f2328\">\n" } else { ">\n" });
    let _ = writeln!(out, "<title>{}</title>", xml(graph.title));
    let _ = writeln!(out, "<desc>{}</desc>", xml(&describe(&graph, &layout)));
    if place == Place::File {
        let _ = writeln!(out, "<style>{DARK}</style>");
        let _ = writeln!(
            out,
            r##"<rect class="graph-ground" width="{width}" height="{height}" fill="#ffffff"/>"##
        );
    }
    let heading = cut(graph.title, inside * 100 / 108, 15).0;
    let _ = writeln!(
        out,
        r#"<text x="{MARGIN}" y="{}" font-size="15" font-weight="600" fill="currentColor">{}</text>"#,
        MARGIN + 13,
        xml(&heading)
    );
    let _ = writeln!(
        out,
        r#"<text x="{MARGIN}" y="{}" font-size="12" fill="currentColor">{}</text>"#,
        MARGIN + 32,
        xml(&cut(&caption(&graph), inside, 12).0)
    );
    let _ = writeln!(out, r#"<g transform="translate({MARGIN} {})">"#, MARGIN + 44);
    out.push_str(&legend.0);
    let _ = writeln!(out, "</g>\n<g transform=\"translate({MARGIN} {above})\">");
    for (group, (corner, size)) in graph.groups.iter().zip(&layout.lanes) {
        let (x, y) = *corner;
        let _ = writeln!(
            out,
            r#"<g class="graph-phase"><title>{}</title><rect x="{x}" y="{y}" width="{}" height="{}" rx="6" fill="currentColor" fill-opacity=".06"/><text x="{}" y="{}" font-size="12" font-weight="600" fill="currentColor">{}</text></g>"#,
            xml(group.title),
            size.0,
            size.1,
            x + INSET,
            y + 18,
            xml(&cut(group.title, (size.0 - 2 * INSET) * 100 / 108, 12).0)
        );
    }
    arrows(&graph, &layout, &mut out);
    for (node, at) in graph.nodes.iter().zip(&layout.boxes) {
        draw(node, *at, &mut out);
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// What somebody is told who does not see it.
fn describe(graph: &Graph<'_>, layout: &Layout) -> String {
    let counts: Vec<String> = graph.used().map(|(state, n)| format!("{n} {}", state.name())).collect();
    let mut out = format!("{}. {}.", caption(graph), counts.join(", "));
    if graph.nodes.is_empty() {
        return format!("{}.", caption(graph));
    }
    out.push_str(" Arrows run from what is needed to what needs it.");
    if !layout.is_routed {
        out.push_str(" There are so many that long ones run behind boxes.");
    }
    out
}

/// The states that occur, with counts; and the height that this takes.
fn legend(graph: &Graph<'_>, width: i32) -> (String, i32) {
    let (mut x, mut y) = (0, 0);
    let mut out = String::new();
    for (state, n) in graph.used() {
        let text = format!("{} {n}", state.name());
        let room = 18 + measure(&text, 11) + 14;
        if x > 0 && x + room > width {
            (x, y) = (0, y + LEGEND_LINE);
        }
        let (fill, stroke, _) = colours(state);
        let _ = writeln!(
            out,
            r#"<rect x="{x}" y="{y}" width="12" height="12" rx="2" fill="{fill}" stroke="{stroke}"/><text x="{}" y="{}" fill="currentColor">{text}</text>"#,
            x + 18,
            y + 10
        );
        x += room;
    }
    let height = if out.is_empty() { 0 } else { y + LEGEND_LINE + 6 };
    (out, height)
}

/// Arrows of one box are one path. Those that arrive at a box share their head.
fn arrows(graph: &Graph<'_>, layout: &Layout, out: &mut String) {
    if graph.edges.is_empty() {
        return;
    }
    let opacity = if layout.is_routed { "1" } else { ".4" };
    let _ = writeln!(
        out,
        r#"<g class="graph-arrows" fill="none" stroke="{ARROW}" stroke-width="1.3" stroke-opacity="{opacity}">"#
    );
    let mut heads: Vec<(i32, i32, bool)> = Vec::new();
    for strokes in layout.arrows.iter().filter(|strokes| !strokes.is_empty()) {
        out.push_str("<path d=\"");
        for stroke in strokes {
            let _ = match *stroke {
                Stroke::Through((x, y), (to_x, to_y)) => write!(out, "M{x} {y}L{to_x} {to_y}"),
                Stroke::Across((x, y), (to_x, to_y)) if layout.is_down => {
                    let half = (y + to_y) / 2;
                    write!(out, "M{x} {y}C{x} {half} {to_x} {half} {to_x} {to_y}")
                }
                Stroke::Across((x, y), (to_x, to_y)) => {
                    let half = (x + to_x) / 2;
                    write!(out, "M{x} {y}C{half} {y} {half} {to_y} {to_x} {to_y}")
                }
                Stroke::Back((x, y), (to_x, to_y)) if layout.is_down => {
                    let far = x.max(to_x) + BACK;
                    heads.push((to_x, to_y, true));
                    write!(out, "M{x} {y}C{far} {y} {far} {to_y} {to_x} {to_y}")
                }
                Stroke::Back((x, y), (to_x, to_y)) => {
                    let far = y.max(to_y) + BACK;
                    heads.push((to_x, to_y, true));
                    write!(out, "M{x} {y}C{x} {far} {to_x} {far} {to_x} {to_y}")
                }
            };
        }
        out.push_str("\"/>\n");
    }
    out.push_str("</g>\n");
    let mut arrives = vec![false; graph.nodes.len()];
    for (from, to) in &graph.edges {
        let along = |i: usize| if layout.is_down { layout.boxes[i].1 } else { layout.boxes[i].0 };
        arrives[*to] |= along(*from) < along(*to);
    }
    for (x, y) in layout.boxes.iter().zip(arrives).filter(|(_, arrives)| *arrives).map(|(at, _)| *at) {
        heads.push(if layout.is_down { (x + BOX.0 / 2, y, false) } else { (x, y + BOX.1 / 2, false) });
    }
    let _ = write!(out, r#"<path class="graph-heads" fill="{ARROW}" d=""#);
    for (x, y, is_back) in heads {
        // Each points at what needs something; those against the direction come from the other side.
        let (tip, sides) = match (layout.is_down, is_back) {
            (false, false) => ((x, y), [(x - 8, y - 4), (x - 8, y + 4)]),
            (true, false) => ((x, y), [(x - 4, y - 8), (x + 4, y - 8)]),
            (false, true) => ((x, y), [(x - 4, y + 8), (x + 4, y + 8)]),
            (true, true) => ((x, y), [(x + 8, y - 4), (x + 8, y + 4)]),
        };
        let [a, b] = sides;
        let _ = write!(out, "M{} {}L{} {}L{} {}Z", tip.0, tip.1, a.0, a.1, b.0, b.1);
    }
    out.push_str("\"/>\n");
}

fn draw(node: &Node<'_>, (x, y): (i32, i32), out: &mut String) {
    let (fill, stroke, colour) = colours(node.state);
    let width = if node.focus { "4" } else { "1.2" };
    let focus = if node.focus { " graph-focus" } else { "" };
    let _ = write!(
        out,
        r#"<g class="graph-node graph-{}{focus}" role="img" fill="{colour}"><title>{}</title><rect x="{x}" y="{y}" width="{}" height="{}" rx="6" fill="{fill}" stroke="{stroke}" stroke-width="{width}"/>"#,
        node.state.name(),
        tip(node),
        BOX.0,
        BOX.1
    );
    let room = BOX.0 - 2 * INSET;
    let state = node.state.name();
    // An id is short, the title of a phase is not.
    let (head, beside, row) = match node.tasks {
        None => (node.id, room - measure(state, 10) - 8, y + 18),
        Some(_) => (node.title, room, y + 34),
    };
    let _ = write!(
        out,
        r#"<text x="{}" y="{}" font-size="12" font-weight="600">{}</text><text x="{}" y="{row}" font-size="10" text-anchor="end">{state}</text>"#,
        x + INSET,
        y + 18,
        xml(&cut(head, beside * 100 / 108, 12).0),
        x + BOX.0 - INSET,
    );
    match node.tasks {
        None => {
            for (i, line) in wrapped(node.title, room, 11, 2).iter().enumerate() {
                let _ = write!(
                    out,
                    r#"<text x="{}" y="{}">{}</text>"#,
                    x + INSET,
                    y + 34 + 14 * i as i32,
                    xml(line)
                );
            }
        }
        Some(tasks) => {
            let _ = write!(
                out,
                r#"<text x="{}" y="{}">{} of {} done</text>"#,
                x + INSET,
                y + 34,
                tasks.done,
                tasks.total
            );
            // A bar over the states of its tasks.
            let mut before = 0;
            for state in STATES {
                let after = before + tasks.count(*state);
                let place = |n: usize| (room as usize * n / tasks.total.max(1)) as i32;
                if after > before {
                    let _ = write!(
                        out,
                        r#"<rect x="{}" y="{}" width="{}" height="5" fill="{}"/>"#,
                        x + INSET + place(before),
                        y + 43,
                        place(after) - place(before),
                        colours(*state).1
                    );
                }
                before = after;
            }
        }
    }
    out.push_str("</g>\n");
}

/// The whole title, the state and its first reason.
fn tip(node: &Node<'_>) -> String {
    let head = match node.tasks {
        None => format!("{}: {}", node.id, node.title),
        Some(_) => node.title.to_owned(),
    };
    let state = match &node.why {
        None => node.state.name().to_owned(),
        Some(why) => format!("{}: {why}", node.state.name()),
    };
    let lines = [Some(head), node.counts(), Some(state)];
    lines.iter().flatten().map(|line| xml(line)).collect::<Vec<_>>().join("\n")
}

/// Text of an element, on one line.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain::line(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // No characters in XML.
            '\u{fffe}' | '\u{ffff}' => {}
            c => out.push(c),
        }
    }
    out
}

/// About how wide a text is in such a size of a common font, rather more than less.
fn measure(text: &str, size: i32) -> i32 {
    (text.chars().map(breadth).sum::<i32>() * size + 99) / 100
}

/// The breadth of a character in hundredths of the size.
fn breadth(c: char) -> i32 {
    match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | '`' => 30,
        'f' | 'r' | 't' | '(' | ')' | '[' | ']' | '/' | '-' | ' ' | '"' | '\\' => 39,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 92,
        c if c.is_ascii_uppercase() => 72,
        c => match UnicodeWidthChar::width(c) {
            None | Some(0) => 0,
            Some(1) => 60,
            Some(_) => 105,
        },
    }
}

/// As much of a text as has room, with a mark where it was cut; and what was cut off.
fn cut(text: &str, width: i32, size: i32) -> (String, bool) {
    let text = plain::line(text);
    if measure(&text, size) <= width {
        return (text, false);
    }
    let room = (width - measure("…", size)) * 100 / size;
    let mut used = 0;
    let fits = |c: &char| {
        used += breadth(*c);
        used <= room
    };
    let kept: String = text.chars().take_while(fits).collect();
    (format!("{}…", kept.trim_end()), true)
}

/// A text in so many lines, broken between words; the last one is cut if need be.
fn wrapped(text: &str, width: i32, size: i32, lines: usize) -> Vec<String> {
    let text = plain::line(text);
    let mut out: Vec<String> = Vec::new();
    let mut words = text.split(' ').peekable();
    while out.len() + 1 < lines && words.peek().is_some() {
        let mut line = String::new();
        while let Some(word) = words.peek() {
            let longer = if line.is_empty() { (*word).to_owned() } else { format!("{line} {word}") };
            if measure(&longer, size) > width {
                break;
            }
            line = longer;
            words.next();
        }
        if line.is_empty() {
            // A word that is longer than a line.
            break;
        }
        out.push(line);
    }
    let rest: Vec<&str> = words.collect();
    if !rest.is_empty() {
        out.push(cut(&rest.join(" "), width, size).0);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use roxmltree::Document;

    use super::*;
    use crate::report::sample;
    use crate::status::State;

    const BY: [By; 2] = [By::Task, By::Phase];

    fn file(status: &Status) -> String {
        svg(status, View::default(), Place::File)
    }

    fn of_class<'a, 'i>(document: &'a Document<'i>, class: &str) -> Vec<roxmltree::Node<'a, 'i>> {
        let has = |n: &roxmltree::Node<'_, '_>| {
            n.attribute("class").is_some_and(|all| all.split(' ').any(|c| c == class))
        };
        document.descendants().filter(has).collect()
    }

    fn title<'a>(node: &roxmltree::Node<'a, '_>) -> &'a str {
        node.children().find(|n| n.has_tag_name("title")).and_then(|n| n.text()).expect("a title")
    }

    #[test]
    fn rich() {
        insta::assert_snapshot!("rich_in_svg", file(&sample::rich()));
        let view = View { by: By::Phase, focus: Some("T008") };
        insta::assert_snapshot!("rich_in_svg_by_phase", svg(&sample::rich(), view, Place::Page));
        insta::assert_snapshot!("empty_in_svg", file(&sample::empty()));
    }

    #[test]
    fn every_task_is_a_box_that_says_its_state_and_why() {
        let (status, text) = (sample::rich(), file(&sample::rich()));
        let document = Document::parse(&text).expect("XML");
        let boxes = of_class(&document, "graph-node");
        assert_eq!(boxes.len(), status.tasks.len());
        for row in &status.tasks {
            let found = boxes.iter().find(|b| title(b).starts_with(&format!("{}: ", row.id))).expect("a box");
            let texts: Vec<&str> = found.descendants().filter_map(|n| n.text()).collect();
            assert!(texts.contains(&row.id.as_str()) && texts.contains(&row.state.name()), "{texts:?}");
            let why = row.because.first().map_or_else(String::new, |reason| plain::line(&reason.to_string()));
            assert!(title(found).contains(&row.title) && title(found).contains(&why), "{}", title(found));
        }
        assert_eq!(of_class(&document, "graph-phase").len(), status.phases.len());
        let legend = of_class(&document, "graph-blocked").len();
        assert_eq!(legend, status.summary.blocked);
        assert!(text.contains(">blocked 3</text>"), "{text}");
    }

    #[test]
    fn the_focus_is_marked() {
        let view = View { by: By::Task, focus: Some("T008") };
        let text = svg(&sample::rich(), view, Place::Page);
        let document = Document::parse(&text).expect("XML");
        let marked = of_class(&document, "graph-focus");
        assert_eq!(marked.iter().map(title).collect::<Vec<_>>().len(), 1);
        assert!(title(&marked[0]).starts_with("T008: "));
        assert_eq!(of_class(&document, "graph-node").len(), 3);
    }

    /// What a page may hold whose policy is `default-src 'none'`.
    #[test]
    fn a_picture_in_a_page_brings_nothing_with_it() {
        for by in BY {
            let text = svg(&sample::rich(), View { by, focus: Some("T008") }, Place::Page);
            let document = Document::parse(&text).expect("XML");
            for node in document.descendants().filter(roxmltree::Node::is_element) {
                let name = node.tag_name().name();
                assert!(["svg", "g", "title", "desc", "rect", "text", "path"].contains(&name), "{name}");
                for attribute in node.attributes() {
                    let name = attribute.name();
                    assert!(!["style", "href", "id"].contains(&name) && !name.starts_with("on"), "{name}");
                    assert!(!attribute.value().contains("url("), "{name}");
                }
            }
        }
    }

    #[test]
    fn texts_fit_their_boxes() {
        assert_eq!(wrapped("one two three", 1000, 11, 2), ["one two three"]);
        let long = "Build the backend image and hold it below 500 MB, with every layer pinned";
        let lines = wrapped(long, 188, 11, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with('…') && long.starts_with(&lines[0]), "{lines:?}");
        assert_eq!(wrapped("x", 188, 11, 2), ["x"]);
        let word = wrapped(&"long".repeat(30), 188, 11, 2);
        assert!(word.len() == 1 && word[0].ends_with('…'), "{word:?}");
        for text in [long, "日本語のとても長い題名がここにあります", "WWWWWWWWWWWWWWWWWWWWWWWWWWW"]
        {
            assert!(measure(&cut(text, 100, 12).0, 12) <= 100, "{text}");
        }
    }

    /// Dark text on its box, and lines on either ground, as WCAG 2 asks for.
    #[test]
    fn colours_can_be_told_apart() {
        let light = |colour: &str| {
            let part =
                |at: usize| f64::from(u8::from_str_radix(&colour[at..at + 2], 16).expect("hex")) / 255.0;
            let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
            0.2126 * linear(part(1)) + 0.7152 * linear(part(3)) + 0.0722 * linear(part(5))
        };
        let contrast = |a: &str, b: &str| {
            let (a, b) = (light(a) + 0.05, light(b) + 0.05);
            a.max(b) / a.min(b)
        };
        for state in STATES {
            let (fill, _, text) = colours(*state);
            assert!(contrast(fill, text) >= 7.0, "{}: {}", state.name(), contrast(fill, text));
        }
        for ground in ["#ffffff", "#0d1117"] {
            assert!(contrast(ARROW, ground) >= 3.0, "{ground}: {}", contrast(ARROW, ground));
        }
    }

    #[test]
    fn much_is_drawn_at_once() {
        let ids: Vec<String> = (0..10_000).map(|i| format!("T{i:05}")).collect();
        let phases: Vec<(String, Vec<&str>)> = ids
            .chunks(500)
            .enumerate()
            .map(|(i, all)| (format!("phase {i}"), all.iter().map(String::as_str).collect()))
            .collect();
        let phases: Vec<(&str, &[&str])> =
            phases.iter().map(|(id, all)| (id.as_str(), all.as_slice())).collect();
        let needs: Vec<(&str, &str)> =
            (1..ids.len()).map(|i| (ids[i].as_str(), ids[i - 1 - i % 50.min(i)].as_str())).collect();
        let status = sample::shaped(&phases, &needs);
        let began = std::time::Instant::now();
        let text = file(&status);
        let took = began.elapsed();
        assert!(took.as_secs() < 5, "it took {took:?}");
        assert_eq!(text.matches("class=\"graph-node ").count(), ids.len());
    }

    proptest! {
        #[test]
        fn no_text_is_taken_for_markup(words in sample::hostile()) {
            let plain = svg(&sample::with_text(sample::rich(), "plain words"), View::default(), Place::Page);
            for by in BY {
                let status = sample::with_text(sample::rich(), &words);
                let text = svg(&status, View { by, focus: None }, Place::Page);
                let document = Document::parse(&text).expect("XML");
                let boxes = of_class(&document, "graph-node");
                for (node, row) in boxes.iter().zip(&status.tasks) {
                    if by == By::Task {
                        let shown = plain::line(&words).replace(['\u{fffe}', '\u{ffff}'], "");
                        prop_assert!(title(node).starts_with(&format!("{}: {shown}\n", row.id)), "{}", title(node));
                    }
                }
            }
            let boxes = |text: &str| text.matches("<rect").count();
            let status = sample::with_text(sample::rich(), &words);
            prop_assert_eq!(boxes(&svg(&status, View::default(), Place::Page)), boxes(&plain));
        }
    }

    #[test]
    fn states_of_phases_are_seen_as_a_bar() {
        let text = svg(&sample::rich(), View { by: By::Phase, focus: None }, Place::Page);
        let document = Document::parse(&text).expect("XML");
        let failed = of_class(&document, "graph-failed");
        let fills: Vec<_> = failed[0].descendants().filter_map(|n| n.attribute("fill")).collect();
        for state in [State::Failed, State::Interrupted, State::Stale] {
            assert!(fills.contains(&colours(state).1), "{fills:?}");
        }
    }
}
