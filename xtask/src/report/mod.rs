//! Reports: each a pure function of the status. Same status, same bytes.
//!
//! A format is one file here and one line in [`FORMATS`]. It gets the [`Status`] and the [`Options`] and nothing
//! else: no clock, no files, no environment. What several formats say in the same words is in [`outline`].

mod case;
mod ctrf;
pub mod escape;
pub mod html;
mod json;
mod junit;
pub mod markdown;
pub mod outline;
#[cfg(test)]
pub mod sample;

use std::collections::BTreeMap;
use std::fmt;

use crate::ledger::Chronicle;
use crate::status::Status;

/// What a format may be told beside the status.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The project's own template, for formats that are made from one.
    pub template: Option<Template>,
    /// What has been, for formats that tell of it.
    pub past: Option<Past>,
}

/// What has been.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Every run on record.
    pub chronicle: Chronicle,
    /// The last lines of the log of each task's last attempt, by task; terminal escapes and controls are taken out.
    pub tails: BTreeMap<String, Vec<String>>,
}

/// A template that the project brings.
#[derive(Debug, Clone)]
pub struct Template {
    /// Where it is from, for messages.
    pub name: String,
    /// Its text.
    pub source: String,
}

/// Writes a report.
pub type Render = fn(&Status, &Options, &mut dyn fmt::Write) -> anyhow::Result<()>;

/// A kind of report.
#[derive(Clone, Copy)]
pub struct Format {
    /// As it is asked for: `--format NAME`.
    pub name: &'static str,
    /// Extension of its files, without the dot.
    pub extension: &'static str,
    /// What it is for, in a line.
    pub doc: &'static str,
    /// True if it tells of earlier runs: [`Options::past`] is read for it.
    pub tells_of_past: bool,
    /// Writes it.
    pub render: Render,
}

/// Every format, in the order in which help shows them.
pub const FORMATS: &[Format] = &[
    Format {
        name: "markdown",
        extension: "md",
        doc: "for people, and to be committed",
        tells_of_past: false,
        render: markdown::render,
    },
    Format {
        name: "json",
        extension: "json",
        doc: "for programs: what `status --json` prints",
        tells_of_past: false,
        render: json::render,
    },
    Format {
        name: "html",
        extension: "html",
        doc: "for people who look closer: one page that needs no network",
        tells_of_past: true,
        render: html::render,
    },
    Format {
        name: "junit",
        extension: "xml",
        doc: "for servers that show test results: tasks as cases",
        tells_of_past: true,
        render: junit::render,
    },
    Format {
        name: "ctrf",
        extension: "json",
        doc: "test results as JSON (Common Test Report Format)",
        tells_of_past: true,
        render: ctrf::render,
    },
];

impl Format {
    /// The format of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|f| f.name == name)
    }

    /// The whole report.
    pub fn text(&self, status: &Status, options: &Options) -> anyhow::Result<String> {
        let mut out = String::new();
        (self.render)(status, options, &mut out)?;
        Ok(out)
    }
}

/// The names of all formats.
pub fn names() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().map(|f| f.name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A new format is covered without being asked for.
    #[test]
    fn every_format_renders_every_sample() {
        let samples = [
            ("rich", sample::rich()),
            ("complete", sample::complete()),
            ("fresh", sample::fresh()),
            ("empty", sample::empty()),
        ];
        for format in FORMATS {
            for (name, status) in &samples {
                let text = format.text(status, &Options::default()).expect("a report");
                assert_eq!(
                    text,
                    format.text(status, &Options::default()).expect("a report"),
                    "the same status, the same bytes"
                );
                insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
                    insta::assert_snapshot!(format!("{}-{name}", format.name), html::bare(&text));
                });
            }
        }
    }

    #[test]
    fn formats_are_well_named() {
        let unique: BTreeSet<&str> = names().collect();
        assert_eq!(unique.len(), FORMATS.len());
        for format in FORMATS {
            assert!(format.name.bytes().all(|b| b.is_ascii_lowercase()), "{}", format.name);
            assert!(!format.extension.contains('.') && !format.doc.is_empty(), "{}", format.name);
            assert_eq!(Format::find(format.name).map(|f| f.name), Some(format.name));
        }
    }
}
