//! `markdown = "DEPLOYMENT.md"`: a guide has a section, and the commands in it can be meant.
//!
//! A command is right as far as one can tell without a shell: its syntax, and the files of the repository that it
//! names. A word is held to be such a file only if it can hardly be anything else; see [`Paths`].

use camino::{Utf8Path, Utf8PathBuf};

use self::outline::{Block, Outline};
use self::shell::{Command, Word};
use super::text::{Path, Patterns, Search, read};
use super::{Check, Context, Finding, Keys, Refuse, Subject};
use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::read::{OneOrMany, Switch, record};
use crate::wording;
use crate::world::Kind;

pub mod outline;
mod shell;

record! {
    /// A section of a Markdown file exists, and the commands in it are right.
    pub struct MarkdownCheck {
        /// The file.
        markdown: Path,
        /// The heading of the section, which reaches to the next heading of its level; case and emphasis do not count.
        /// Several are all looked at. The whole file if left out.
        heading: OneOrMany<String>,
        /// There must be a block of commands (```bash, sh, shell, console) in each section. The syntax of every such
        /// block must be right, and the files of the repository that its commands name must exist.
        commands: Switch,
        /// Regular expressions that must match somewhere in each section.
        mentions: OneOrMany<Search>,
    }
}

/// Languages of blocks that hold commands.
const SHELLS: &[&str] = &["bash", "sh", "shell", "zsh"];

/// Languages of blocks that hold commands after a prompt, and their output.
const SESSIONS: &[&str] = &["console", "shell-session", "sh-session", "shellsession"];

impl MarkdownCheck {
    fn look(&self, cx: &Context<'_>) -> Result<String, Finding> {
        let path = self.markdown.fill(cx.scope).map_err(Finding::unknown)?;
        let text = read(cx, &path)?;
        let outline = Outline::of(&text);
        let mut commands = 0;
        for heading in self.headings() {
            let section = match heading {
                Some(heading) => {
                    outline.section(heading).ok_or_else(|| outline.missing(heading, path.as_str()))?
                }
                None => outline.whole(),
            };
            let place = format!("{path}:{}", section.from);
            let body: Vec<&str> =
                text.lines().skip(section.from - 1).take(section.to - section.from).collect();
            Patterns { contains: &self.mentions, lacks: &OneOrMany(Vec::new()) }.look(
                &body.join("\n"),
                &place,
                cx,
            )?;
            if !self.commands.0 {
                continue;
            }
            let blocks: Vec<&Block> =
                outline.blocks_in(section).filter(|block| script(block).is_some()).collect();
            if blocks.is_empty() {
                let where_ = heading.map_or_else(String::new, |heading| format!(" under \"{heading}\""));
                return Err(Finding::unmet(format!("a block of commands{where_}"), "none", place));
            }
            let mut paths = Paths { cx, made: Vec::new(), folder: Some(Utf8PathBuf::new()) };
            for block in blocks {
                commands += look_into(block, &path, &mut paths)?;
            }
        }
        Ok(if self.commands.0 { wording::plural(commands, "command") } else { "all there".to_owned() })
    }

    fn headings(&self) -> Vec<Option<&str>> {
        if self.heading.0.is_empty() {
            vec![None]
        } else {
            self.heading.0.iter().map(|heading| Some(heading.as_str())).collect()
        }
    }
}

/// The commands of a block, if it holds any.
fn script(block: &Block) -> Option<String> {
    let language = block.language.as_str();
    let prompted = block.text.lines().any(|line| line.starts_with("$ "));
    if SESSIONS.contains(&language) || (SHELLS.contains(&language) && prompted) {
        return Some(shell::session(&block.text));
    }
    SHELLS.contains(&language).then(|| block.text.clone())
}

/// Looks at one block; gives the number of its commands.
fn look_into(block: &Block, path: &Utf8Path, paths: &mut Paths<'_>) -> Result<usize, Finding> {
    let at = |line: usize| format!("{path}:{}", block.line + line - 1);
    if !block.closed {
        return Err(Finding::unmet("a closed code block", "no end of it", at(1)));
    }
    let text = script(block).unwrap_or_default();
    let commands = shell::read(&text).map_err(|mistake| {
        Finding::unmet("commands that a shell can read", mistake.what, at(mistake.line))
    })?;
    // Every block is read by itself: whoever follows a guide comes back to the root of the repository.
    paths.folder = Some(Utf8PathBuf::new());
    for command in &commands {
        if let Some((word, missing)) = paths.missing_in(command)? {
            return Err(Finding::unmet(
                format!("`{missing}` in the repository"),
                "nothing of that name",
                at(word.line),
            ));
        }
    }
    Ok(commands.len())
}

/// Names of files that tell by themselves that they are files.
const SUFFIXES: &[&str] = &[
    ".cfg",
    ".conf",
    ".css",
    ".csv",
    ".env",
    ".example",
    ".html",
    ".ini",
    ".js",
    ".json",
    ".lock",
    ".md",
    ".mjs",
    ".py",
    ".rs",
    ".sh",
    ".sql",
    ".tf",
    ".toml",
    ".tpl",
    ".ts",
    ".tsx",
    ".txt",
    ".xml",
    ".yaml",
    ".yml",
    "Dockerfile",
    "Makefile",
];

/// Options whose argument is a file that is read.
const FILE_OPTIONS: &[&str] =
    &["-f", "--values", "--filename", "--file", "--from-env-file", "--env-file", "--kustomize", "-k"];

/// Programs of which `-f` and the like name a file; elsewhere they mean force, follow or fail.
const FILE_PROGRAMS: &[&str] =
    &["kubectl", "helm", "docker", "docker-compose", "kustomize", "podman", "make"];

/// Programs whose plain arguments are files that are read; of the first two the last one is written.
const READERS: &[&str] =
    &["cp", "mv", "cat", "less", "head", "tail", "source", ".", "bash", "sh", "python", "python3", "node"];

/// Programs that make files or folders of the names that they are given.
const MAKERS: &[&str] = &["mkdir", "touch", "tee"];

/// Tells which words of commands are files of the repository.
///
/// A word is one if it is literal (no variable, no pattern, no placeholder), relative, without `:`, `@`, `=` or a blank
/// (so no address, image or `key=value`), and
///
/// - it has a `/` and its first folder exists where the command runs: `helm/habit-tracker`, `docker/backend`; or
/// - it has the name of a file and is the argument of an option that takes a file (`-f`, `--values`) of a program
///   that is known for it, or a plain argument of a program that reads files (`cp`, `cat`).
///
/// Passed over: what an earlier command of the section has made (`cat >.env`, `mkdir`, `cp`), everything named `.env`,
/// and all words after a `cd` that leads somewhere else.
struct Paths<'a> {
    cx: &'a Context<'a>,
    made: Vec<Utf8PathBuf>,
    /// Where commands run, below the root; nothing if it is not known.
    folder: Option<Utf8PathBuf>,
}

impl Paths<'_> {
    /// The first word that should be a file and is none, with its path.
    fn missing_in<'c>(&mut self, command: &'c Command) -> Result<Option<(&'c Word, Utf8PathBuf)>, Finding> {
        let Some(program) = command.words.first().filter(|word| word.literal) else { return Ok(None) };
        let arguments = &command.words[1..];
        if program.text == "cd" {
            self.enter(arguments.first())?;
            return Ok(None);
        }
        let last = arguments.len().saturating_sub(1);
        for (i, word) in arguments.iter().enumerate() {
            let written = MAKERS.contains(&program.text.as_str())
                || (matches!(program.text.as_str(), "cp" | "mv") && i == last);
            if written {
                self.make(word);
                continue;
            }
            let named = self.is_argument_of_file(&program.text, arguments, i);
            if let Some(path) = self.file(word, named)?
                && !self.exists(&path)?
            {
                return Ok(Some((word, path)));
            }
        }
        command.written.iter().for_each(|word| self.make(word));
        Ok(None)
    }

    fn enter(&mut self, folder: Option<&Word>) -> Result<(), Finding> {
        let target = match (&self.folder, folder) {
            (Some(now), Some(word)) if word.literal && !word.text.starts_with(['/', '-']) => {
                Some(clean(&now.join(&word.text)))
            }
            _ => None,
        };
        self.folder = match target.flatten() {
            Some(path) if self.kind(&path)? == Some(Kind::Folder) => Some(path),
            _ => None,
        };
        Ok(())
    }

    fn make(&mut self, word: &Word) {
        if let (Some(folder), true) = (&self.folder, word.literal) {
            self.made.extend(clean(&folder.join(&word.text)));
        }
    }

    fn is_argument_of_file(&self, program: &str, arguments: &[Word], i: usize) -> bool {
        let option = |text: &str| FILE_OPTIONS.contains(&text.split('=').next().unwrap_or_default());
        if FILE_PROGRAMS.contains(&program) {
            return (i > 0 && option(&arguments[i - 1].text))
                || (arguments[i].text.starts_with("--") && option(&arguments[i].text));
        }
        // `bash -c '...'` takes a script, not a file.
        READERS.contains(&program)
            && !arguments.iter().any(|word| word.text.starts_with("-c") || word.text == "-m")
    }

    /// The path of a word that is a file of the repository; `named`: the command takes a file here.
    fn file(&self, word: &Word, named: bool) -> Result<Option<Utf8PathBuf>, Finding> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let text = match word.text.split_once('=') {
            Some((option, value)) if option.starts_with("--") => value,
            _ => &word.text,
        };
        let odd = text.is_empty()
            || text.starts_with(['/', '~', '-'])
            || text.contains(|c: char| c.is_whitespace() || ":@=<>{}|,;\\".contains(c));
        if !word.literal || odd || text.rsplit('/').next() == Some(".env") {
            return Ok(None);
        }
        let bare = text.strip_prefix("./").unwrap_or(text);
        let Some(path) = clean(&folder.join(bare)) else { return Ok(None) };
        let first =
            bare.split_once('/').map(|(first, _)| first).filter(|first| !matches!(*first, "" | "." | ".."));
        let below = match first {
            Some(first) => self.kind(&folder.join(first))? == Some(Kind::Folder),
            None => false,
        };
        let file = named && SUFFIXES.iter().any(|suffix| bare.ends_with(suffix));
        Ok((below || file).then_some(path))
    }

    fn exists(&self, path: &Utf8Path) -> Result<bool, Finding> {
        Ok(self.made.iter().any(|made| path.starts_with(made)) || self.kind(path)?.is_some())
    }

    fn kind(&self, path: &Utf8Path) -> Result<Option<Kind>, Finding> {
        let path = if path.as_str().is_empty() { Utf8Path::new(".") } else { path };
        match self.cx.world.kind(path) {
            Ok(kind) => Ok(Some(kind)),
            Err(error) => match super::text::unreadable(path, &error) {
                Finding::Unmet { .. } => Ok(None),
                other => Err(other),
            },
        }
    }
}

/// A path without `.` and `..`; nothing if it leads out of the root.
fn clean(path: &Utf8Path) -> Option<Utf8PathBuf> {
    let mut out = Utf8PathBuf::new();
    for part in path.components() {
        match part {
            camino::Utf8Component::CurDir => {}
            camino::Utf8Component::Normal(name) => out.push(name),
            camino::Utf8Component::ParentDir if out.pop() => {}
            _ => return None,
        }
    }
    Some(out)
}

impl Refuse for MarkdownCheck {
    fn refuse(&self, keys: &Keys<'_>) -> Vec<Diagnostic> {
        let idle = self.heading.0.is_empty() && self.mentions.0.is_empty() && !self.commands.0;
        idle.then(|| {
            keys.mistake("markdown", "nothing is asked of this file")
                .hint("add `heading`, `commands` or `mentions`; `file` checks that a file exists")
        })
        .into_iter()
        .collect()
    }
}

impl Check for MarkdownCheck {
    fn describe(&self) -> String {
        let headings: Vec<String> = self.heading.0.iter().map(|heading| format!("\"{heading}\"")).collect();
        let mut clauses = Vec::new();
        if !headings.is_empty() {
            clauses.push(format!(
                "has {} {}",
                if headings.len() == 1 { "the section" } else { "the sections" },
                wording::list(&headings)
            ));
        }
        clauses.extend(self.commands.0.then(|| "with commands that can be run as they stand".to_owned()));
        clauses.extend(self.mentions.0.iter().map(|search| format!("mentions `{search}`")));
        format!("`{}` {}", self.markdown, clauses.join(", "))
    }

    fn observe(&self, cx: &Context<'_>) -> Finding {
        self.look(cx).map_or_else(|finding| finding, Finding::met_with)
    }

    fn subjects(&self) -> Vec<Subject> {
        self.markdown.subject().into_iter().collect()
    }

    /// The files that commands name are no subjects: nobody knows them before the text is read.
    fn is_local(&self) -> bool {
        matches!(self.markdown, Path::Inside(_)) && !self.commands.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::world::fake::Fake;

    fn world(script: &str) -> Fake {
        Fake::new()
            .file("G.md", format!("# Guide\n\n## Install\n\nText with `helm`.\n\n```bash\n{script}\n```\n\n## Nothing\n\n```json\n{{\n```\n"))
            .file("helm/app/values.yaml", "")
            .file("docker/backend/Dockerfile", "")
            .file(".env.example", "")
            .file("README.md", "")
    }

    const INSTALL: &str = r#"{ markdown = "G.md", heading = "Install", commands = true }"#;

    #[test]
    fn sections_and_what_they_mention() {
        assert_found(
            &world("a"),
            &[
                (r#"{ markdown = "G.md", heading = ["install", "Nothing"] }"#, "holds: all there"),
                (
                    r#"{ markdown = "G.md", heading = "Uninstall" }"#,
                    "expected the heading \"Uninstall\", found none (G.md)",
                ),
                (r#"{ markdown = "G.md", heading = "Install", mentions = ["helm"] }"#, "holds: all there"),
                (
                    r#"{ markdown = "G.md", heading = "Nothing", mentions = "helm" }"#,
                    "expected a match of `helm`, found none (G.md:11)",
                ),
                (INSTALL, "holds: 1 command"),
                (r#"{ markdown = "G.md", commands = true }"#, "holds: 1 command"),
                (
                    r#"{ markdown = "G.md", heading = "Nothing", commands = true }"#,
                    "expected a block of commands under \"Nothing\", found none (G.md:11)",
                ),
                (r#"{ markdown = "gone.md", heading = "x" }"#, "expected a file, found nothing (gone.md)"),
            ],
        );
        let says =
            check(r#"{ markdown = "G.md", heading = ["A", "B"], commands = true, mentions = "x" }"#).says();
        assert_eq!(
            says,
            "`G.md` has the sections \"A\" and \"B\", with commands that can be run as they stand, mentions `x`"
        );
        assert_refused(&[(r#"{ markdown = "G.md" }"#, "nothing is asked of this file")]);
    }

    #[test]
    fn syntax_mistakes_have_a_line() {
        let text = found(&world("a\nb | \\\n  c 'd"), INSTALL);
        assert_eq!(text, "expected commands that a shell can read, found a `'` that is not closed (G.md:10)");
        assert_eq!(
            found(&world("a &&"), INSTALL),
            "expected commands that a shell can read, found nothing after `&&` (G.md:8)"
        );
    }

    #[test]
    fn files_that_are_named_exist() {
        let missing = [
            ("docker build docker/backnd", "docker/backnd"),
            ("helm lint helm/app -f helm/app/values-x.yaml", "helm/app/values-x.yaml"),
            ("helm lint helm/app --values=values-x.yaml", "values-x.yaml"),
            ("kubectl apply -f k9s/base/x.yaml", "k9s/base/x.yaml"),
            ("cp .env.sample.txt .env", ".env.sample.txt"),
            ("cd docker && docker build frontend/\ncat backend/Dockerfil", ""),
            ("cd docker\ncat backend/x.yaml", "docker/backend/x.yaml"),
            ("echo $(cat helm/app/none)", "helm/app/none"),
            ("for f in helm/none; do a; done", "helm/none"),
        ];
        for (script, path) in missing {
            let text = found(&world(script), INSTALL);
            if path.is_empty() {
                assert_eq!(
                    text,
                    "expected `docker/backend/Dockerfil` in the repository, found nothing of that name (G.md:9)",
                    "{script}"
                );
            } else {
                assert!(
                    text.starts_with(&format!(
                        "expected `{path}` in the repository, found nothing of that name (G.md:"
                    )),
                    "{script}: {text}"
                );
            }
        }
    }

    #[test]
    fn no_false_alarms() {
        let scripts = [
            "docker build -t app:v1 docker/backend",
            "docker pull registry.example.com/team/app:v1 && docker run team/app",
            "kubectl -n x rollout status deployment/app --timeout=2m",
            "kubectl get --raw /api/v1/nodes && kubectl logs -f pod/app",
            "kubectl apply -f - <helm/app/values.yaml",
            "kubectl apply -f https://example.com/x.yaml",
            "kubectl cp ns/pod:/x.txt x.txt",
            "helm install app helm/app -f helm/app/values.yaml --set image.tag=docker/x",
            "helm template $CHART -f \"$VALUES\" -f <values.yaml>",
            "cp .env.example .env && cat .env",
            "cat >.env <<END\nA=helm/none\nEND\ngrep -v x .env | kubectl create --from-env-file=/dev/stdin",
            "mkdir -p docker/new && cat docker/new/x.yaml",
            "echo x > docker/out.yaml; cat docker/out.yaml",
            "grep -rn latest helm docker/*/Dockerfile",
            "cd somewhere && cat helm/none.yaml",
            "rm -f helm.yaml; tail -f log.txt.1; curl -f http://127.0.0.1/x.json",
            "sed -i 's/helm/x/' README.md",
            "jq -r '.a/b' helm/app/values.yaml",
            "bash -c 'cat none.sh'",
            "cargo xtask phase4 --task T006",
            "git switch -c helm-change",
        ];
        for script in scripts {
            let text = found(&world(script), INSTALL);
            assert!(text.starts_with("holds"), "{script}: {text}");
        }
    }

    #[test]
    fn output_in_a_session_is_no_command() {
        let world = Fake::new().file("G.md", "# A\n```console\n$ a \\\n  'b'\nit's output (\n$ c\n```\n");
        assert_eq!(
            found(&world, r#"{ markdown = "G.md", heading = "A", commands = true }"#),
            "holds: 2 commands"
        );
    }
}
