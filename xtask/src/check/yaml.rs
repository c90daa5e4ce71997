//! `yaml = "k8s/base/configmap.yaml"`: values in a YAML file.

use super::data;
use super::data::expect::data_record;
use super::data::files::{DataFiles, Document, data_check};
use super::text::Path;
use crate::pipeline::read::OneOrMany;

data_record! {
    /// Values in a YAML file, by path.
    pub struct YamlCheck {
        /// The file. Several are merged in order as Helm merges values: maps key by key, other values replaced.
        yaml: OneOrMany<Path>,
        /// Which document of a file with several: a number from 1, or filters such as "kind=Service".
        document: Option<Document>,
        /// A JSON Schema that the whole must satisfy.
        schema: Option<Path>,
    } by path
}

impl YamlCheck {
    fn files(&self) -> DataFiles<'_> {
        DataFiles {
            files: &self.yaml,
            document: self.document.as_ref(),
            schema: self.schema.as_ref(),
            expect: self.expect(),
            load: data::yaml,
        }
    }
}

data_check!(YamlCheck by "yaml");

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::world::fake::Fake;

    const DEPLOYMENT: &str = "\
kind: Deployment
spec:
  replicas: 1
  template:
    spec:
      containers:
        - name: backend
          resources:
            requests: {cpu: 250m}
          securityContext:
            capabilities:
              drop: [\"ALL\"]
";

    const TWO: &str = "kind: Service\nmetadata: {name: a}\nspec:\n  type: NodePort\n---\nkind: ConfigMap\nmetadata: {name: b}\n";

    #[test]
    fn what_is_found() {
        let world = Fake::new()
            .file("d.yaml", DEPLOYMENT)
            .file("two.yaml", TWO)
            .file("bad.yaml", "a: [1\nb: 2\n")
            .file("list.yaml", "- a\n- b\n");
        assert_found(
            &world,
            &[
                (r#"{ yaml = "two.yaml" }"#, "holds"),
                (r#"{ yaml = "d.yaml", values = { kind = "Deployment", "spec.replicas" = 1 } }"#, "holds"),
                (
                    r#"{ yaml = "d.yaml", path = "spec.template.spec.containers[name=backend].resources.requests.cpu", equals = "500m" }"#,
                    "expected `spec.template.spec.containers[name=backend].resources.requests.cpu` = \"500m\", found \"250m\" at \
                     `spec.template.spec.containers[0].resources.requests.cpu` (d.yaml:9)",
                ),
                (
                    r#"{ yaml = "d.yaml", path = "spec.template.spec.containers[*].securityContext.capabilities.drop", includes = "ALL" }"#,
                    "holds: [\"ALL\"]",
                ),
                (r#"{ yaml = "d.yaml", path = "spec.strategy", exists = false }"#, "holds"),
                (
                    r#"{ yaml = "d.yaml", path = "spec.containers[name=x].image" }"#,
                    "expected a value at `spec.containers[name=x].image`, found no `containers` in `spec` (d.yaml:2)",
                ),
                (
                    r#"{ yaml = "d.yaml", path = "spec.template.spec.containers[name=x].image" }"#,
                    "expected a value at `spec.template.spec.containers[name=x].image`, found nothing that the path selects (d.yaml:1)",
                ),
                (
                    r#"{ yaml = "two.yaml", path = "spec.type" }"#,
                    "expected one document for `spec.type`, found 2 documents (two.yaml)",
                ),
                (r#"{ yaml = "two.yaml", path = "[kind=Service].spec.type", equals = "NodePort" }"#, "holds"),
                (r#"{ yaml = "two.yaml", path = "[*].metadata.name" }"#, "holds"),
                (
                    r#"{ yaml = "two.yaml", path = "[*].spec" }"#,
                    "expected a value at `[*].spec`, found no `spec` in `[1]` (two.yaml:6)",
                ),
                (
                    r#"{ yaml = "two.yaml", document = "kind=Service", path = "spec.type", equals = "ClusterIP" }"#,
                    "expected `spec.type` = \"ClusterIP\", found \"NodePort\" (two.yaml:4)",
                ),
                (
                    r#"{ yaml = "two.yaml", document = ["kind=ConfigMap", "metadata.name=b"], path = "metadata.name" }"#,
                    "holds: \"b\"",
                ),
                (r#"{ yaml = "two.yaml", document = 2, path = "kind" }"#, "holds: \"ConfigMap\""),
                (
                    r#"{ yaml = "two.yaml", document = 3 }"#,
                    "expected document 3, found 2 documents (two.yaml)",
                ),
                (
                    r#"{ yaml = "two.yaml", document = "kind=Secret" }"#,
                    "expected the document with `kind=Secret`, found none among 2 documents (two.yaml)",
                ),
                (r#"{ yaml = "d.yaml", path = "[kind=Deployment].spec.replicas" }"#, "holds: 1"),
                (r#"{ yaml = "list.yaml", path = "[1]", equals = "b" }"#, "holds"),
                (
                    r#"{ yaml = "bad.yaml" }"#,
                    "expected a document that can be read, found illegal placement of ':' indicator (bad.yaml:2)",
                ),
            ],
        );
    }

    #[test]
    fn values_files_are_merged_and_validated() {
        let schema = r#"{ "type": "object", "additionalProperties": false, "properties": { "replicas": { "type": "integer", "minimum": 1 }, "tag": { "type": "string" } } }"#;
        let world = Fake::new()
            .file("values.yaml", "replicas: 1\ntag: v1\n")
            .file("prod.yaml", "replicas: 2\n")
            .file("bad.yaml", "\nreplicas: 0\nreplica: 3\n")
            .file("s.json", schema)
            .file("odd.json", r#"{ "dependentSchemas": {} }"#);
        assert_found(
            &world,
            &[
                (
                    r#"{ yaml = ["values.yaml", "prod.yaml"], schema = "s.json", values = { replicas = 2, tag = "v1" } }"#,
                    "holds",
                ),
                (
                    r#"{ yaml = ["values.yaml", "bad.yaml"], schema = "s.json" }"#,
                    "expected at least 1 at `replicas`, found 0, and 1 violation more (bad.yaml:2)",
                ),
                (
                    r#"{ yaml = "values.yaml", schema = "odd.json" }"#,
                    "could not tell: `odd.json` has the keyword `dependentSchemas`, which is not known here",
                ),
                (
                    r#"{ yaml = "values.yaml", schema = "gone.json" }"#,
                    "expected a file, found nothing (gone.json)",
                ),
            ],
        );
    }

    #[test]
    fn what_is_refused() {
        assert_refused(&[
            (r#"{ yaml = "a", document = 0 }"#, "documents are counted from 1"),
            (
                r#"{ yaml = "a", document = "kind" }"#,
                "`kind` does not choose a document: a filter is written `[name=value]`",
            ),
            (
                r#"{ yaml = "a", document = true }"#,
                "`document` takes a number from 1, or filters such as \"kind=Service\", not a boolean",
            ),
        ]);
        assert_eq!(
            check(r#"{ yaml = "a", document = "kind=Service", values = { x = 1 } }"#).says(),
            "the document with `kind=Service` in `a` has `x` = 1"
        );
    }
}
