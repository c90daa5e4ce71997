//! JUnit XML, for servers that show test results: a phase is a suite, a task a case, a measurement a property.
//!
//! Written for the strictest of the schemas in use, `junit-10.xsd` of Jenkins' xUnit plugin: there, only suites have
//! properties, and only suites count what was skipped.

use std::fmt;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::Options;
use super::case::{Came, Case, by_phase, line, span};
use crate::measure::Measurement;
use crate::status::{PhaseRow, Status};

/// Renders the XML with a line feed at its end.
pub fn render(status: &Status, options: &Options, out: &mut dyn fmt::Write) -> anyhow::Result<()> {
    let mut report = Report::new(line(&status.pipeline.title));
    let mut total = Duration::ZERO;
    for (phase, cases) in by_phase(status, options) {
        let suite = suite(&status.pipeline.id, phase, &cases);
        total += suite.time.unwrap_or_default();
        report.add_test_suite(suite);
    }
    report.set_time(total);
    // No schema has this attribute on the root, and Jenkins refuses the file for it. Nothing before it can look like
    // it: in values, quotation marks are escaped.
    let counted = format!(" skipped=\"{}\"", report.skipped);
    out.write_str(&report.to_string()?.replacen(&counted, "", 1))?;
    Ok(())
}

fn suite(pipeline: &str, phase: &PhaseRow, cases: &[Case<'_>]) -> TestSuite {
    let mut suite = TestSuite::new(line(&phase.title));
    let (began, _) = span(cases.iter().map(|case| case.row));
    if let Some(began) = began {
        suite.extra.insert("timestamp".into(), began.to_string().into());
    }
    suite.set_time(Duration::from_millis(
        cases.iter().filter_map(|case| case.ms).fold(0, u64::saturating_add),
    ));
    for case in cases {
        suite.add_properties(case.row.measurements.iter().flat_map(|m| properties(&case.row.id, m)));
        suite.add_test_case(test_case(pipeline, phase, case));
    }
    suite
}

fn test_case(pipeline: &str, phase: &PhaseRow, case: &Case<'_>) -> TestCase {
    let mut status = match case.came {
        Came::Passed => TestCaseStatus::success(),
        Came::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Came::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
        Came::LeftOut => TestCaseStatus::skipped(),
    };
    if case.came != Came::Passed {
        status.set_message(&case.message).set_type(&case.kind);
        if !case.details.is_empty() {
            status.set_description(case.details.join("\n"));
        }
    }
    let mut out = TestCase::new(case.name.as_str(), status);
    out.set_classname(line(&format!("{pipeline}.{}", phase.id)));
    if let Some(ms) = case.ms {
        out.set_time(Duration::from_millis(ms));
    }
    if !case.output.is_empty() {
        out.set_system_out(case.output.join("\n"));
    }
    out
}

/// `T006.image size` is the value; `.unit`, `.min`, `.max` and `.within_limits` say more about it.
fn properties(task: &str, m: &Measurement) -> Vec<Property> {
    let name = line(&format!("{task}.{}", m.name));
    let limits = [("min", m.min), ("max", m.max)];
    let limits = limits.into_iter().filter_map(|(key, limit)| Some((key, limit?.to_string())));
    let more = std::iter::once(("unit", m.unit.name().to_owned()))
        .chain(limits)
        .chain([("within_limits", m.within_limits.to_string())])
        .map(|(key, value)| Property::new(format!("{name}.{key}"), value));
    std::iter::once(Property::new(&name, m.value.to_string())).chain(more).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use roxmltree::{Document, Node};

    use super::*;
    use crate::ledger::Chronicle;
    use crate::report::{Past, sample};

    fn rendered(status: &Status, tail: &[&str]) -> String {
        let tail: Vec<String> = tail.iter().map(|line| (*line).to_owned()).collect();
        let tails: BTreeMap<String, Vec<String>> =
            status.tasks.iter().map(|row| (row.id.clone(), tail.clone())).collect();
        let past = Some(Past { chronicle: Chronicle::default(), tails });
        let mut out = String::new();
        render(status, &Options { past, ..Options::default() }, &mut out).expect("a report");
        out
    }

    /// Elements with their attributes and the elements that may be in them: what `junit-10.xsd` allows, as far as we
    /// write it, and what others (Ant's schema, GitLab) allow besides.
    const ALLOWED: &[(&str, &[&str], &[&str])] = &[
        ("testsuites", &["name", "time", "tests", "failures", "errors"], &["testsuite"]),
        (
            "testsuite",
            &["name", "tests", "failures", "errors", "skipped", "time", "timestamp"],
            &["properties", "testcase"],
        ),
        ("properties", &[], &["property"]),
        ("property", &["name", "value"], &[]),
        ("testcase", &["name", "classname", "time"], &["skipped", "error", "failure", "system-out"]),
        ("skipped", &["message", "type"], &[]),
        ("error", &["message", "type"], &[]),
        ("failure", &["message", "type"], &[]),
        ("system-out", &[], &[]),
    ];

    fn check_structure(node: Node<'_, '_>) -> Result<(), String> {
        let name = node.tag_name().name();
        let Some((_, attributes, children)) = ALLOWED.iter().find(|(known, _, _)| *known == name) else {
            return Err(format!("<{name}>"));
        };
        if let Some(odd) = node.attributes().find(|a| !attributes.contains(&a.name())) {
            return Err(format!("<{name} {}>", odd.name()));
        }
        for child in node.children() {
            if child.is_element() {
                if !children.contains(&child.tag_name().name()) {
                    return Err(format!("<{}> in <{name}>", child.tag_name().name()));
                }
                check_structure(child)?;
            } else if !children.is_empty() && child.text().is_some_and(|text| !text.trim().is_empty()) {
                return Err(format!("text in <{name}>: {:?}", child.text()));
            }
        }
        Ok(())
    }

    /// Elements in order, without texts.
    fn skeleton(xml: &str) -> Vec<String> {
        let document = Document::parse(xml).unwrap_or_else(|error| panic!("{error}\n{xml}"));
        check_structure(document.root_element()).unwrap_or_else(|odd| panic!("{odd}\n{xml}"));
        let elements = document.descendants().filter(Node::is_element);
        elements.map(|node| node.tag_name().name().to_owned()).collect()
    }

    #[test]
    fn every_sample_has_the_structure_of_the_schema() {
        for status in [sample::empty(), sample::fresh(), sample::complete(), sample::rich()] {
            skeleton(&rendered(&status, &["a", "b"]));
        }
    }

    #[test]
    fn counts_are_those_of_the_cases() {
        let xml = rendered(&sample::rich(), &["said"]);
        let document = Document::parse(&xml).expect("XML");
        let number = |node: Node<'_, '_>, name: &str| -> usize {
            node.attribute(name).unwrap_or_else(|| panic!("no {name}")).parse().expect("a number")
        };
        let mut all = [0; 4];
        for suite in document.descendants().filter(|node| node.has_tag_name("testsuite")) {
            let has = |name: &str| {
                let cases = suite.children().filter(|node| node.has_tag_name("testcase"));
                cases.filter(|case| case.children().any(|node| node.has_tag_name(name))).count()
            };
            let cases = suite.children().filter(|node| node.has_tag_name("testcase")).count();
            let counted = [cases, has("failure"), has("error"), has("skipped")];
            let told = ["tests", "failures", "errors", "skipped"].map(|name| number(suite, name));
            assert_eq!(counted, told, "{:?}", suite.attribute("name"));
            all.iter_mut().zip(told).for_each(|(sum, n)| *sum += n);
        }
        assert_eq!(all, [14, 1, 2, 9]);
        let root = document.root_element();
        assert_eq!(["tests", "failures", "errors"].map(|name| number(root, name)), [14, 1, 2]);
    }

    #[test]
    fn only_what_ran_has_the_end_of_its_log() {
        let xml = rendered(&sample::rich(), &["    deep  inside", "]]>\u{1b}[31m<b>&"]);
        let document = Document::parse(&xml).expect("XML");
        let outputs: Vec<_> = document.descendants().filter(|n| n.has_tag_name("system-out")).collect();
        assert_eq!(outputs.len(), 5, "done, failed and interrupted ones");
        assert!(outputs.iter().all(|n| n.text() == Some("    deep  inside\n]]><b>&")), "{xml}");
        assert!(!xml.contains("]]>"));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_xml(text in sample::hostile(), tail in "\\PC*|.*|[\\x00-\\x1f\\x{fffe}\\x{ffff}]*") {
            let wanted = rendered(&sample::with_text(sample::rich(), "plain words"), &["x"]);
            let xml = rendered(&sample::with_text(sample::rich(), &text), &["x", &tail]);
            prop_assert_eq!(skeleton(&wanted), skeleton(&xml), "\n{}", xml);
            let forbidden = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{fffe}' | '\u{ffff}');
            prop_assert!(!xml.contains(forbidden), "{}", xml);
        }
    }
}
