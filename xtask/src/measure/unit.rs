//! Units, and numbers as tools write them.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::time::Duration;
use toml::de::DeValue;

use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::read::{Defs, Period, Read, Reader, Value, number};
use crate::wording;

/// The unit of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Processor cores: 1 is one core busy all the time.
    Cores,
    /// Per cent.
    Percent,
    /// Just a number.
    Count,
}

/// The units with their names.
const UNITS: &[(&str, Unit)] = &[
    ("bytes", Unit::Bytes),
    ("seconds", Unit::Seconds),
    ("cores", Unit::Cores),
    ("percent", Unit::Percent),
    ("count", Unit::Count),
];

/// Suffixes of sizes. Decimal: SI and container engines (`MB`), Kubernetes (`M`, `k`); binary: IEC 80000-13 (`MiB`)
/// and Kubernetes (`Mi`). A lone `m` is missing on purpose: in Kubernetes it means thousandths.
const BYTES: &[(&[&str], f64)] = &[
    (&["", "B", "byte", "bytes"], 1.0),
    (&["k", "K", "kB", "KB", "kb"], 1e3),
    (&["M", "MB", "mb"], 1e6),
    (&["G", "GB", "gb"], 1e9),
    (&["T", "TB", "tb"], 1e12),
    (&["Ki", "KiB", "kib"], 1024.0),
    (&["Mi", "MiB", "mib"], 1_048_576.0),
    (&["Gi", "GiB", "gib"], 1_073_741_824.0),
    (&["Ti", "TiB", "tib"], 1_099_511_627_776.0),
];

/// Suffixes of processor time, as Kubernetes writes quantities.
const CORES: &[(&[&str], f64)] =
    &[(&["", "core", "cores"], 1.0), (&["m"], 1e-3), (&["u"], 1e-6), (&["n"], 1e-9)];

const PERCENT: &[(&[&str], f64)] = &[(&["", "%", "percent"], 1.0)];

const COUNT: &[(&[&str], f64)] = &[(&[""], 1.0)];

impl Unit {
    /// Its name, as it is written.
    pub fn name(self) -> &'static str {
        UNITS.iter().find(|(_, unit)| *unit == self).map_or("", |(name, _)| name)
    }

    /// What a number of it is called: "a number of bytes".
    pub fn wanted(self) -> String {
        match self {
            Self::Count => "a number".to_owned(),
            other => format!("a number of {}", other.name()),
        }
    }

    /// How numbers of it are written.
    pub fn examples(self) -> &'static str {
        match self {
            Self::Bytes => {
                "write a number of bytes, or a size such as \"500MB\" (decimal) or \"512Mi\" (binary)"
            }
            Self::Seconds => "write a number of seconds, or a duration such as \"90s\" or \"2m\"",
            Self::Cores => "write a number of cores, or text such as \"250m\" or \"2 cores\"",
            Self::Percent => "write a number, or text such as \"90%\"",
            Self::Count => "write a number",
        }
    }

    /// Reads a number leniently: `123`, `57.1MB`, `512 Mi`, `250m` cores, `2m3s`, `90 %`.
    pub fn parse(self, text: &str) -> Option<f64> {
        let text = text.trim();
        match self {
            Self::Bytes => suffixed(text, BYTES),
            Self::Cores => suffixed(text, CORES),
            Self::Percent => suffixed(text, PERCENT),
            Self::Count => suffixed(text, COUNT),
            Self::Seconds => {
                suffixed(text, COUNT).or_else(|| Period::parse(text).map(|period| period.0.as_secs_f64()))
            }
        }
    }

    /// A number of it for people.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Bytes => wording::bytes(value),
            Self::Seconds => Duration::try_from_secs_f64(value)
                .map_or_else(|_| format!("{} s", wording::short(value)), wording::duration),
            Self::Cores => {
                format!("{} {}", wording::short(value), if value == 1.0 { "core" } else { "cores" })
            }
            Self::Percent => format!("{} %", wording::short(value)),
            Self::Count if value.fract() == 0.0 => value.to_string(),
            Self::Count => wording::short(value),
        }
    }
}

/// A number with one of these suffixes, blanks between allowed.
fn suffixed(text: &str, suffixes: &[(&[&str], f64)]) -> Option<f64> {
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.').map_or(0, |at| at + 1);
    let (number, suffix) = text.split_at(end);
    // Rust's parser also takes "inf" and "nan", but not without a digit or a dot before the suffix.
    let number: f64 = number.trim_end().parse().ok()?;
    let suffix = suffix.trim_start();
    let factor = suffixes.iter().find(|(names, _)| names.contains(&suffix)).map(|(_, factor)| factor)?;
    Some(number * factor)
}

impl Read for Unit {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let names = || UNITS.iter().map(|(name, _)| *name);
        let Some(text) = value.get_ref().as_str() else {
            r.wrong_type(value, "the name of a unit");
            return None;
        };
        let found = UNITS.iter().find(|(name, _)| *name == text).map(|(_, unit)| *unit);
        if found.is_none() {
            let known: Vec<String> = names().map(|name| format!("`{name}`")).collect();
            let hint = wording::nearest(text, names()).map_or_else(
                || format!("units are {}", wording::list(&known)),
                |near| format!("did you mean `{near}`?"),
            );
            r.report(Diagnostic::new(value.span(), format!("`{text}` is not a unit")).hint(hint));
        }
        found
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "enum": UNITS.iter().map(|(name, _)| *name).collect::<Vec<_>>() })
    }
}

/// A size in bytes: a number, or text such as "500MB".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size(pub f64);

impl Read for Size {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let (size, shown) = match value.get_ref() {
            DeValue::String(text) => (Unit::Bytes.parse(text), text.to_string()),
            other => (number(other), r.source.get(value.span()).unwrap_or_default().to_owned()),
        };
        let size = size.filter(|size| size.is_finite() && *size >= 0.0);
        if size.is_none() {
            r.report(
                Diagnostic::new(value.span(), format!("`{shown}` is not {}", Unit::Bytes.wanted()))
                    .hint(Unit::Bytes.examples()),
            );
        }
        size.map(Self)
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "type": ["number", "string"], "examples": ["500MB", "512Mi"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_as_tools_write_them() {
        let table = [
            (Unit::Bytes, "123", Some(123.0)),
            (Unit::Bytes, "57.1MB", Some(57.1e6)),
            (Unit::Bytes, "1.2 GB", Some(1.2e9)),
            (Unit::Bytes, "577kB\n", Some(577e3)),
            (Unit::Bytes, "512Mi", Some(536_870_912.0)),
            (Unit::Bytes, "1GiB", Some(1_073_741_824.0)),
            (Unit::Bytes, "0B", Some(0.0)),
            (Unit::Bytes, "5m", None),
            (Unit::Bytes, "five", None),
            (Unit::Bytes, "", None),
            (Unit::Bytes, "MB", None),
            (Unit::Bytes, "1,234", None),
            (Unit::Cores, "250m", Some(0.25)),
            (Unit::Cores, "2 cores", Some(2.0)),
            (Unit::Cores, "1500000n", Some(0.0015)),
            (Unit::Cores, "0.1", Some(0.1)),
            (Unit::Seconds, "12.5", Some(12.5)),
            (Unit::Seconds, "2m3s", Some(123.0)),
            (Unit::Seconds, "340ms", Some(0.34)),
            (Unit::Seconds, "1h 2m", Some(3720.0)),
            (Unit::Seconds, "soon", None),
            (Unit::Percent, "90%", Some(90.0)),
            (Unit::Percent, "99.9 %", Some(99.9)),
            (Unit::Count, "-3", Some(-3.0)),
            (Unit::Count, "1e3", Some(1000.0)),
            (Unit::Count, "3 pods", None),
            (Unit::Count, "inf", None),
            (Unit::Count, "NaN", None),
        ];
        for (unit, text, wanted) in table {
            let found = unit.parse(text);
            let same = match (found, wanted) {
                (Some(found), Some(wanted)) => (found - wanted).abs() < 1e-9,
                (found, wanted) => found == wanted,
            };
            assert!(same, "{text} as {unit:?}: {found:?}");
        }
    }

    #[test]
    fn numbers_are_shown_to_people() {
        let table = [
            (Unit::Bytes, 498e6, "498 MB"),
            (Unit::Seconds, 80.0, "1 min 20 s"),
            (Unit::Seconds, 0.34, "340 ms"),
            (Unit::Seconds, -1.0, "-1 s"),
            (Unit::Cores, 0.25, "0.25 cores"),
            (Unit::Cores, 1.0, "1 core"),
            (Unit::Percent, 99.95, "100 %"),
            (Unit::Count, 12_345.0, "12345"),
            (Unit::Count, 1.234_5, "1.23"),
        ];
        for (unit, value, text) in table {
            assert_eq!(unit.show(value), text);
        }
    }

    proptest! {
        #[test]
        fn a_plain_number_is_itself_in_every_unit(value in -1e12f64..1e12) {
            for (_, unit) in UNITS {
                prop_assert_eq!(unit.parse(&value.to_string()), Some(value));
            }
        }

        #[test]
        fn a_suffix_multiplies(value in 0.0f64..1e6, which in 0..BYTES.len()) {
            let (names, factor) = BYTES[which];
            for name in names {
                prop_assert_eq!(Unit::Bytes.parse(&format!("{value}{name}")), Some(value * factor));
                prop_assert_eq!(Unit::Bytes.parse(&format!(" {value} {name}\n")), Some(value * factor));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}") {
            for (_, unit) in UNITS {
                let _ = unit.parse(&text);
            }
        }
    }
}
