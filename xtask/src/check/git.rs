//! `git = "ignored"`: what git says about paths.

use camino::Utf8PathBuf;
use serde_json::{Value as Json, json};

use super::text::{Patterns, Search};
use super::{Check, Context, Finding, Keys, Refuse};
use crate::exec::How;
use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::read::{Defs, Glob, OneOrMany, Read, Reader, Value, record};
use crate::pipeline::template::Template;
use crate::wording;
use crate::world::Ask;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Each path is ignored, whether or not it exists.
    Ignored,
    /// None of the paths is ignored.
    NotIgnored,
    /// Each pattern matches a file in version control.
    Tracked,
    /// No pattern matches a file in version control.
    NotTracked,
    /// Nothing below the paths differs from a revision.
    Unchanged,
}

/// Names of the questions, as they are written.
const QUESTIONS: &[(&str, Question)] = &[
    ("ignored", Question::Ignored),
    ("not ignored", Question::NotIgnored),
    ("tracked", Question::Tracked),
    ("not tracked", Question::NotTracked),
    ("unchanged", Question::Unchanged),
];

impl Read for Question {
    fn read(value: &Value<'_>, r: &mut Reader<'_>) -> Option<Self> {
        let names = || QUESTIONS.iter().map(|(name, _)| *name);
        let Some(text) = value.get_ref().as_str() else {
            r.wrong_type(value, "a word such as \"ignored\"");
            return None;
        };
        let found = QUESTIONS.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let all: Vec<String> = names().map(|name| format!("\"{name}\"")).collect();
            let hint = wording::nearest(text, names()).map_or_else(
                || format!("one of {}", wording::either(&all)),
                |near| format!("did you mean \"{near}\"?"),
            );
            r.report(Diagnostic::new(value.span(), format!("`git` can't be asked for `{text}`")).hint(hint));
        }
        found.map(|(_, question)| *question)
    }
    fn schema(_: &mut Defs) -> Json {
        json!({ "enum": QUESTIONS.iter().map(|(name, _)| *name).collect::<Vec<_>>() })
    }
}

record! {
    /// What git says about paths: ignored, tracked, unchanged.
    pub struct GitCheck {
        /// "ignored" or "not ignored" (paths that need not exist), "tracked" or "not tracked" (files in version
        /// control), "unchanged" (nothing differs from the revision `since`: neither commits, nor the working tree,
        /// nor new files).
        git: Question,
        /// The paths, relative to the root. Glob patterns with "tracked", "not tracked" and "unchanged"; everything if
        /// left out there.
        paths: OneOrMany<Glob>,
        /// With "unchanged": the revision, such as a tag, a branch or a commit.
        since: Option<Template>,
        /// With "tracked": regular expressions that must match somewhere in each of the files.
        contains: OneOrMany<Search>,
        /// With "tracked": regular expressions that must not match anywhere in any of the files.
        lacks: OneOrMany<Search>,
        /// With `lacks`: files that are left out.
        except: OneOrMany<Glob>,
    }
}

/// Files with a zero byte among the first so many bytes are not text, as git itself decides.
const SNIFFED: usize = 8000;

impl GitCheck {
    fn paths(&self) -> Vec<String> {
        self.paths.0.iter().map(|glob| glob.pattern.clone()).collect()
    }

    /// The paths as git's pathspecs; everything where none is given.
    fn pathspecs(&self) -> Vec<String> {
        self.paths.0.iter().map(|glob| format!(":(glob){}", glob.pattern)).collect()
    }

    fn patterns(&self) -> Patterns<'_> {
        Patterns { contains: &self.contains, lacks: &self.lacks }
    }

    fn look(&self, cx: &Context<'_>) -> Result<String, Finding> {
        match self.git {
            Question::Ignored | Question::NotIgnored => self.ignored(cx),
            Question::Tracked => self.tracked(cx),
            Question::NotTracked => {
                let tracked = self.list(cx)?;
                if tracked.is_empty() {
                    Ok("none in version control".to_owned())
                } else {
                    Err(Finding::unmet(
                        "no file in version control",
                        some(&tracked),
                        wording::list(&self.paths()),
                    ))
                }
            }
            Question::Unchanged => self.unchanged(cx),
        }
    }

    fn ignored(&self, cx: &Context<'_>) -> Result<String, Finding> {
        let paths = self.paths();
        let args: Vec<&str> =
            ["check-ignore", "--"].into_iter().chain(paths.iter().map(String::as_str)).collect();
        // Exit code 0: some are ignored, and named; 1: none is.
        let ignored = git(cx, &args, &[0, 1])?;
        let ignored: Vec<&str> = ignored.lines().map(|line| line.trim_matches('"')).collect();
        let wants = self.git == Question::Ignored;
        let wrong: Vec<String> =
            paths.iter().filter(|path| ignored.contains(&path.as_str()) != wants).cloned().collect();
        match (wrong.is_empty(), wants) {
            (true, true) => Ok(format!("{} ignored", wording::plural(paths.len(), "path"))),
            (true, false) => Ok("none ignored".to_owned()),
            (false, true) => Err(Finding::unmet("git to ignore it", some(&wrong), ".gitignore")
                .hint("a file that is in version control already is not ignored")),
            (false, false) => Err(Finding::unmet("git not to ignore it", some(&wrong), ".gitignore")),
        }
    }

    fn tracked(&self, cx: &Context<'_>) -> Result<String, Finding> {
        let files = self.list(cx)?;
        let untracked: Vec<String> = self
            .paths
            .0
            .iter()
            .filter(|glob| {
                !files
                    .iter()
                    .any(|file| glob.is_match(file) || Utf8PathBuf::from(file).starts_with(&glob.pattern))
            })
            .map(|glob| glob.pattern.clone())
            .collect();
        if !untracked.is_empty() {
            return Err(Finding::unmet("a file in version control", "none", wording::list(&untracked)));
        }
        let mut looked = 0;
        for file in files.iter().filter(|file| !self.except.0.iter().any(|glob| glob.is_match(file))) {
            looked += usize::from(self.look_into(file, cx)?);
        }
        Ok(if self.patterns().is_empty() {
            wording::plural(files.len(), "file")
        } else {
            format!("{} looked through", wording::plural(looked, "file"))
        })
    }

    /// False for what is no text, or not there: a deletion that is not committed yet, a submodule.
    fn look_into(&self, file: &str, cx: &Context<'_>) -> Result<bool, Finding> {
        if self.patterns().is_empty() {
            return Ok(false);
        }
        let bytes = match cx.world.read(file.into()) {
            Ok(bytes) => bytes,
            Err(error) => match super::text::unreadable(file.into(), &error) {
                Finding::Unmet { .. } => return Ok(false),
                other => return Err(other),
            },
        };
        if bytes.iter().take(SNIFFED).any(|byte| *byte == 0) {
            return Ok(false);
        }
        self.patterns().look(&String::from_utf8_lossy(&bytes), file, cx)?;
        Ok(true)
    }

    fn list(&self, cx: &Context<'_>) -> Result<Vec<String>, Finding> {
        let specs = self.pathspecs();
        let args: Vec<&str> =
            ["ls-files", "-z", "--"].into_iter().chain(specs.iter().map(String::as_str)).collect();
        Ok(split(&git(cx, &args, &[0])?))
    }

    fn unchanged(&self, cx: &Context<'_>) -> Result<String, Finding> {
        let since = self
            .since
            .as_ref()
            .map_or_else(|| Ok("HEAD".to_owned()), |since| since.fill(cx.scope))
            .map_err(Finding::unknown)?;
        let commit = format!("{since}^{{commit}}");
        let commit = git(cx, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit], &[0])
            .map_err(|finding| {
                if matches!(&finding, Finding::Unknown { why } if why.contains("exit code 1")) {
                    Finding::unknown(format!("`{since}` is not a revision of this repository"))
                } else {
                    finding
                }
            })?;
        let specs = self.pathspecs();
        let specs = || specs.iter().map(String::as_str);
        let diff: Vec<&str> =
            ["diff", "--name-only", "--relative", "--no-renames", "-z", commit.trim(), "--"]
                .into_iter()
                .chain(specs())
                .collect();
        let mut changed = split(&git(cx, &diff, &[0])?);
        let new: Vec<&str> =
            ["ls-files", "--others", "--exclude-standard", "-z", "--"].into_iter().chain(specs()).collect();
        changed.extend(split(&git(cx, &new, &[0])?));
        changed.sort_unstable();
        changed.dedup();
        if changed.is_empty() {
            return Ok(format!("unchanged since {since}"));
        }
        let place =
            if self.paths.0.is_empty() { "the repository".to_owned() } else { wording::list(&self.paths()) };
        Err(Finding::unmet(format!("nothing changed since {since}"), some(&changed), place))
    }
}

/// Some names, the rest as a number.
fn some(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
    match names.len() - shown.len() {
        0 => wording::list(&shown),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The parts of a list that ends each with a zero byte.
fn split(text: &str) -> Vec<String> {
    text.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Asks git in the root; the error says why it could not be told.
fn git(cx: &Context<'_>, args: &[&str], codes: &[i32]) -> Result<String, Finding> {
    if cx.world.which("git").is_none() {
        return Err(Finding::unknown("`git` is not on PATH"));
    }
    // quotePath: names outside ASCII come as they are. literalPathspecs would undo :(glob).
    let argv =
        ["git", "-c", "core.quotePath=false"].iter().chain(args).map(|arg| (*arg).to_owned()).collect();
    // A question must not wait for, or take, the lock of somebody else's commit.
    let env = vec![("GIT_OPTIONAL_LOCKS".to_owned(), "0".to_owned()), ("LC_ALL".to_owned(), "C".to_owned())];
    let answer = cx.world.ask(&Ask { argv, cwd: cx.world.root().to_owned(), env, limit: cx.limit });
    let said = wording::first_line(&answer.stderr, 160);
    match answer.how {
        How::Exited(code) if codes.contains(&code) => Ok(answer.stdout),
        How::Exited(_) if said.contains("not a git repository") => {
            Err(Finding::unknown("the root is not in a git repository"))
        }
        How::Exited(code) if said.is_empty() => {
            Err(Finding::unknown(format!("`git {}` ended with exit code {code}", args[0])))
        }
        How::Exited(_) => Err(Finding::unknown(format!("`git {}`: {said}", args[0]))),
        How::TimedOut => Err(Finding::unknown(format!(
            "`git {}` did not answer within {}",
            args[0],
            wording::duration(cx.limit)
        ))),
        How::Cancelled => Err(Finding::unknown("the run was cancelled")),
        How::Signaled(signal) => Err(Finding::unknown(format!("`git {}` ended by signal {signal}", args[0]))),
        How::NotStarted(why) => Err(Finding::unknown(format!("`git` could not be started: {why}"))),
    }
}

impl Refuse for GitCheck {
    fn refuse(&self, keys: &Keys<'_>) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        let only = |key: &str, question: Question, name: &str| {
            (keys.has(key) && self.git != question)
                .then(|| keys.mistake(key, format!("`{key}` means nothing without `git = \"{name}\"`")))
        };
        out.extend(only("since", Question::Unchanged, "unchanged"));
        out.extend(only("contains", Question::Tracked, "tracked"));
        out.extend(only("lacks", Question::Tracked, "tracked"));
        out.extend(keys.alone("except", &["lacks", "contains"]));
        if self.paths.0.is_empty() && !matches!(self.git, Question::Unchanged | Question::Tracked) {
            out.push(keys.mistake("paths", "`paths` says which paths are meant, and names none"));
        }
        if matches!(self.git, Question::Ignored | Question::NotIgnored) {
            let pattern = self.paths.0.iter().find(|glob| glob.as_path().is_none());
            out.extend(pattern.map(|glob| {
                keys.mistake(
                    "paths",
                    format!("`{}` is a pattern, and git is asked about paths here", glob.pattern),
                )
                .hint("name a path that the pattern stands for")
            }));
        }
        if self
            .since
            .as_ref()
            .is_some_and(|since| since.to_string().starts_with('-') || since.to_string().is_empty())
        {
            out.push(keys.mistake("since", "this is not a revision"));
        }
        out
    }
}

impl Check for GitCheck {
    fn describe(&self) -> String {
        let paths: Vec<String> = self.paths.0.iter().map(|glob| format!("`{}`", glob.pattern)).collect();
        let paths = if paths.is_empty() { "every file".to_owned() } else { wording::list(&paths) };
        match self.git {
            Question::Ignored => format!("git ignores {paths}"),
            Question::NotIgnored => format!("git does not ignore {paths}"),
            Question::Tracked => {
                let clauses = self.patterns().clauses();
                let each = if clauses.is_empty() {
                    String::new()
                } else {
                    format!(", each {}", wording::list(&clauses))
                };
                format!("{paths} in version control{each}")
            }
            Question::NotTracked => format!("{paths} not in version control"),
            Question::Unchanged => {
                let since = self.since.as_ref().map_or_else(|| "HEAD".to_owned(), Template::to_string);
                format!("{paths} unchanged since {since}")
            }
        }
    }

    fn observe(&self, cx: &Context<'_>) -> Finding {
        self.look(cx).map_or_else(|finding| finding, Finding::met_with)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::exec::How;
    use crate::world::Answer;
    use crate::world::fake::Fake;

    const GIT: &str = "git -c core.quotePath=false";

    fn fails(code: i32, stderr: &str) -> Answer {
        Answer { how: How::Exited(code), stdout: String::new(), stderr: stderr.to_owned() }
    }

    #[test]
    fn ignored_and_tracked() {
        let world = Fake::new()
            .says(&format!("{GIT} check-ignore -- .env k8s/secret.yaml"), 0, ".env\nk8s/secret.yaml\n")
            .says(&format!("{GIT} check-ignore -- .env README.md"), 0, ".env\n")
            .says(&format!("{GIT} check-ignore -- README.md"), 1, "")
            .says(&format!("{GIT} ls-files -z --"), 0, "a.py\0b.png\0gone.py\0t/keys.py\0")
            .says(&format!("{GIT} ls-files -z -- :(glob)a.py :(glob)t"), 0, "a.py\0t/keys.py\0")
            .says(&format!("{GIT} ls-files -z -- :(glob)*.env"), 0, "")
            .says(&format!("{GIT} ls-files -z -- :(glob)**/*.py"), 0, "a.py\0t/keys.py\0u/1\0u/2\0")
            .file("a.py", "x = 1\n")
            .file("b.png", b"\0AKIA")
            .file("t/keys.py", "\n\nkey = 'AKIA'\n");
        assert_found(
            &world,
            &[
                (r#"{ git = "ignored", paths = [".env", "k8s/secret.yaml"] }"#, "holds: 2 paths ignored"),
                (
                    r#"{ git = "ignored", paths = [".env", "README.md"] }"#,
                    "expected git to ignore it, found `README.md` (.gitignore)",
                ),
                (
                    r#"{ git = "not ignored", paths = [".env", "README.md"] }"#,
                    "expected git not to ignore it, found `.env` (.gitignore)",
                ),
                (r#"{ git = "not ignored", paths = "README.md" }"#, "holds: none ignored"),
                (r#"{ git = "tracked", paths = ["a.py", "t"] }"#, "holds: 2 files"),
                (
                    r#"{ git = "tracked", paths = "*.env" }"#,
                    "expected a file in version control, found none (*.env)",
                ),
                (r#"{ git = "not tracked", paths = "*.env" }"#, "holds: none in version control"),
                (
                    r#"{ git = "not tracked", paths = "**/*.py" }"#,
                    "expected no file in version control, found `a.py`, `t/keys.py`, `u/1` and 1 more (**/*.py)",
                ),
                (
                    r#"{ git = "tracked", lacks = 'AKIA' }"#,
                    "expected no match of `AKIA`, found one (t/keys.py:3)",
                ),
                (r#"{ git = "tracked", lacks = 'AKIA', except = "t/**" }"#, "holds: 1 file looked through"),
            ],
        );
    }

    #[test]
    fn unchanged() {
        let world = |changed: &str, new: &str| {
            Fake::new()
                .says(&format!("{GIT} rev-parse --verify --quiet --end-of-options v1^{{commit}}"), 0, "abc\n")
                .says(&format!("{GIT} rev-parse --verify --quiet --end-of-options v2^{{commit}}"), 1, "")
                .says(
                    &format!("{GIT} diff --name-only --relative --no-renames -z abc -- :(glob)app/**"),
                    0,
                    changed,
                )
                .says(&format!("{GIT} ls-files --others --exclude-standard -z -- :(glob)app/**"), 0, new)
        };
        let toml = r#"{ git = "unchanged", paths = "app/**", since = "v1" }"#;
        assert_eq!(found(&world("", ""), toml), "holds: unchanged since v1");
        assert_eq!(
            found(&world("app/b\0app/a\0", "app/c\0"), toml),
            "expected nothing changed since v1, found `app/a`, `app/b` and `app/c` (app/**)"
        );
        assert_eq!(
            found(&world("", ""), r#"{ git = "unchanged", paths = "app/**", since = "v2" }"#),
            "could not tell: `v2` is not a revision of this repository"
        );
    }

    #[test]
    fn without_git_or_a_repository_it_can_not_be_told() {
        let toml = r#"{ git = "ignored", paths = "a" }"#;
        assert_eq!(found(&Fake::new(), toml), "could not tell: `git` is not on PATH");
        let line = format!("{GIT} check-ignore -- a");
        let world = Fake::new().answers(
            &line,
            fails(128, "fatal: not a git repository (or any of the parent directories): .git\n"),
        );
        assert_eq!(found(&world, toml), "could not tell: the root is not in a git repository");
        let world = Fake::new()
            .answers(&line, fails(128, "fatal: detected dubious ownership in repository at '/project'\n"));
        assert_eq!(
            found(&world, toml),
            "could not tell: `git check-ignore`: fatal: detected dubious ownership in repository at '/project'"
        );
    }

    #[test]
    fn what_is_refused() {
        assert_refused(&[
            (r#"{ git = "ignore", paths = "a" }"#, "`git` can't be asked for `ignore`"),
            (r#"{ git = "ignored" }"#, "`paths` says which paths are meant, and names none"),
            (
                r#"{ git = "ignored", paths = "*.env" }"#,
                "`*.env` is a pattern, and git is asked about paths here",
            ),
            (
                r#"{ git = "ignored", paths = "a", since = "v1" }"#,
                "`since` means nothing without `git = \"unchanged\"`",
            ),
            (r#"{ git = "tracked", except = "a" }"#, "`except` means nothing without `lacks` or `contains`"),
            (r#"{ git = "unchanged", since = "--output=x" }"#, "this is not a revision"),
        ]);
        assert_eq!(
            check(r#"{ git = "unchanged", paths = "app/**", since = "v1" }"#).says(),
            "`app/**` unchanged since v1"
        );
    }
}
