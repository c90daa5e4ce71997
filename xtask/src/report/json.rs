//! The status as it is, for programs: the shape that `status --json` prints.

use std::fmt;

use crate::plain;
use crate::report::Options;
use crate::status::Status;

/// Renders pretty JSON with a line feed at its end.
pub fn render(status: &Status, _: &Options, out: &mut dyn fmt::Write) -> anyhow::Result<()> {
    writeln!(out, "{}", plain::json(&serde_json::to_string_pretty(status)?))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_version_comes_first_and_the_file_ends_in_a_line_feed() {
        let mut out = String::new();
        render(&sample::rich(), &Options::default(), &mut out).expect("JSON");
        assert!(out.starts_with("{\n  \"version\": 1,\n  \"pipeline\": {"));
        assert!(out.ends_with("}\n"));
    }
}
