//! `json = "docker/frontend/package.json"`: values in a JSON file.

use super::data;
use super::data::expect::data_record;
use super::data::files::{DataFiles, data_check};
use super::text::Path;
use crate::pipeline::read::OneOrMany;

data_record! {
    /// Values in a JSON file, by path.
    pub struct JsonCheck {
        /// The file. Several are merged in order: tables key by key, other values replaced.
        json: OneOrMany<Path>,
        /// A JSON Schema that the whole must satisfy.
        schema: Option<Path>,
    } by path
}

impl JsonCheck {
    fn files(&self) -> DataFiles<'_> {
        DataFiles {
            files: &self.json,
            document: None,
            schema: self.schema.as_ref(),
            expect: self.expect(),
            load: |text, file| data::json(text, file).map(|node| vec![node]),
        }
    }
}

data_check!(JsonCheck by "json");

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::world::fake::Fake;

    #[test]
    fn what_is_found() {
        let world = Fake::new()
            .file("p.json", "{\n \"name\": \"frontend\",\n \"port\": 3000,\n \"tags\": [\"a\", \"b\"],\n \"run\": \"id a+b\",\n \"none\": null\n}\n")
            .file("bad.json", "{\n \"name\": }\n");
        assert_found(
            &world,
            &[
                (r#"{ json = "p.json" }"#, "holds"),
                (r#"{ json = "p.json", path = "port" }"#, "holds: 3000"),
                (r#"{ json = "p.json", path = "port", equals = 3000 }"#, "holds"),
                (r#"{ json = "p.json", path = "port", equals = 3000.0 }"#, "holds"),
                (
                    r#"{ json = "p.json", path = "port", equals = "3000" }"#,
                    "expected `port` = \"3000\", found 3000 (p.json:3)",
                ),
                (
                    r#"{ json = "p.json", path = "port", min = 3001 }"#,
                    "expected `port` >= 3001, found 3000 (p.json:3)",
                ),
                (
                    r#"{ json = "p.json", path = "name", max = 5 }"#,
                    "expected `name` <= 5, found \"frontend\" (p.json:2)",
                ),
                (r#"{ json = "p.json", path = "name", matches = '^front' }"#, "holds: \"frontend\""),
                (
                    r#"{ json = "p.json", path = "name", matches = '^back' }"#,
                    "expected `name` to match `^back`, found \"frontend\" (p.json:2)",
                ),
                (r#"{ json = "p.json", path = "run", equals = "id ${run.id}" }"#, "holds"),
                (r#"{ json = "p.json", path = "tags", includes = "b" }"#, "holds: [\"a\",\"b\"]"),
                (
                    r#"{ json = "p.json", path = "tags", includes = "c" }"#,
                    "expected `tags` to include \"c\", found [\"a\",\"b\"] (p.json:4)",
                ),
                (r#"{ json = "p.json", path = "tags[*]", count = 2 }"#, "holds"),
                (
                    r#"{ json = "p.json", path = "tags[*]", matches = "a" }"#,
                    "expected `tags[*]` to match `a`, found \"b\" at `tags[1]` (p.json:4)",
                ),
                (
                    r#"{ json = "p.json", path = "tags[*]", count = 3 }"#,
                    "expected 3 values at `tags[*]`, found 2 (p.json:1)",
                ),
                (
                    r#"{ json = "p.json", path = "nope", equals = 1 }"#,
                    "expected `nope` = 1, found no `nope` in the document (p.json:1)",
                ),
                (
                    r#"{ json = "p.json", path = "nope" }"#,
                    "expected a value at `nope`, found no `nope` in the document (p.json:1)",
                ),
                (r#"{ json = "p.json", path = "nope", exists = false }"#, "holds"),
                (r#"{ json = "p.json", path = "none" }"#, "holds: null"),
                (
                    r#"{ json = "p.json", path = "port", exists = false }"#,
                    "expected nothing at `port`, found 3000 (p.json:3)",
                ),
                (r#"{ json = "p.json", values = { port = 3000, "tags[0]" = "a" } }"#, "holds"),
                (
                    r#"{ json = "p.json", values = { port = 3000, "tags[0]" = "x" } }"#,
                    "expected `tags[0]` = \"x\", found \"a\" (p.json:4)",
                ),
                (
                    r#"{ json = "bad.json", path = "a" }"#,
                    "expected a document that can be read, found expected value (bad.json:2)",
                ),
                (r#"{ json = "gone.json" }"#, "expected a file, found nothing (gone.json)"),
            ],
        );
    }

    #[test]
    fn what_is_refused() {
        assert_refused(&[
            (r#"{ json = "a", equals = 1 }"#, "`equals` means nothing without `path`"),
            (r#"{ json = "a", path = "b", min = 2, max = 1 }"#, "nothing is at least 2 and at most 1"),
            (
                r#"{ json = "a", path = "b", exists = false, equals = 1 }"#,
                "a value that must not exist can't have `equals`",
            ),
            (
                r#"{ json = "a", path = "b", count = 0, matches = "x" }"#,
                "no values (`count = 0`) can't have `matches`",
            ),
            (r#"{ json = "a", values = {} }"#, "`values` is empty, so nothing is compared"),
            (r#"{ json = [] }"#, "there is no file to look at"),
            (
                r#"{ json = "a", path = "b..c" }"#,
                "`b..c` is not a path into a document: a name is missing before `.c`",
            ),
            (
                r#"{ json = "a", values = { "b[" = 1 } }"#,
                "`b[` is not a path into a document: a name is missing at the end",
            ),
        ]);
    }

    #[test]
    fn sentences() {
        let says = |toml: &str| check(toml).says();
        assert_eq!(says(r#"{ json = "a" }"#), "`a` can be read");
        assert_eq!(
            says(r#"{ json = ["a", "b"], path = "x", schema = "s" }"#),
            "`a` + `b` has `x` exists and satisfies `s`"
        );
        assert_eq!(says(r#"{ json = "a", values = { x = 1, y = "z" } }"#), "`a` has `x` = 1 and `y` = \"z\"");
    }
}
