//! `toml = "Cargo.toml"`: values in a TOML file.

use super::data;
use super::data::expect::data_record;
use super::data::files::{DataFiles, data_check};
use super::text::Path;
use crate::pipeline::read::OneOrMany;

data_record! {
    /// Values in a TOML file, by path.
    pub struct TomlCheck {
        /// The file. Several are merged in order: tables key by key, other values replaced.
        toml: OneOrMany<Path>,
        /// A JSON Schema that the whole must satisfy.
        schema: Option<Path>,
    } by path
}

impl TomlCheck {
    fn files(&self) -> DataFiles<'_> {
        DataFiles {
            files: &self.toml,
            document: None,
            schema: self.schema.as_ref(),
            expect: self.expect(),
            load: |text, file| data::toml(text, file).map(|node| vec![node]),
        }
    }
}

data_check!(TomlCheck by "toml");

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::world::fake::Fake;

    #[test]
    fn what_is_found() {
        let world = Fake::new()
            .file("Cargo.toml", "[package]\nname = \"x\"\n\n[dependencies]\nserde = { version = \"1\" }\n");
        assert_found(
            &world,
            &[
                (r#"{ toml = "Cargo.toml", path = "package.name", equals = "x" }"#, "holds"),
                (
                    r#"{ toml = "Cargo.toml", path = "dependencies.*.version", matches = '^\d+$' }"#,
                    "holds: \"1\"",
                ),
                (
                    r#"{ toml = "Cargo.toml", path = "dependencies.serde.version", equals = "2" }"#,
                    "expected `dependencies.serde.version` = \"2\", found \"1\" (Cargo.toml:5)",
                ),
            ],
        );
    }
}
