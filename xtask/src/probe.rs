//! Asking the outside: prerequisites, facts, and what files look like. Fills an [`Observed`](crate::observed::Observed).

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::LazyLock;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use regex::Regex;

use crate::check::{CheckSpec, Subject};
use crate::exec::How;
use crate::ids::{Digest, NeedIx};
use crate::measure::Measure;
use crate::observed::{FileView, Probe, Unreadable, Verdict};
use crate::pipeline::line::Line;
use crate::pipeline::plan::Fact;
use crate::pipeline::read::Pattern;
use crate::pipeline::template::NoScope;
use crate::pipeline::{Plan, Prerequisite, Task, condition};
use crate::redact;
use crate::secrets::Secrets;
use crate::wording;
use crate::world::{Answer, Ask, Looked, World};

/// The words by which tools say that this user may not.
static DENIED: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "a constant pattern")]
    Regex::new(r"(?i)permission denied|access is denied|access denied|not permitted|forbidden|unauthorized|must be root").unwrap()
});

/// A version inside other text: `Docker version 28.2.2, build e6534b4`, `v1.34.0`, `go1.22`.
static VERSION: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "a constant pattern")]
    Regex::new(r"(?:^|[^0-9.])(\d+(?:\.\d+){1,3}(?:-[0-9A-Za-z.-]+)?)").unwrap()
});

/// Asks for `wanted` and for all that they require, everything that can be asked at the same time at the same time.
pub fn prerequisites(plan: &Plan, wanted: &[NeedIx], world: &dyn World) -> Vec<Option<Probe>> {
    prerequisites_besides(plan, wanted, &[], world)
}

/// The same where some answers are known already: those are taken as they are, by position in the plan.
pub fn prerequisites_besides(
    plan: &Plan,
    wanted: &[NeedIx],
    known: &[Option<Probe>],
    world: &dyn World,
) -> Vec<Option<Probe>> {
    let asked = plan.with_required(wanted);
    let mut out: Vec<Option<Probe>> = asked
        .iter()
        .enumerate()
        .map(|(i, asked)| known.get(i).filter(|_| *asked).cloned().flatten())
        .collect();
    loop {
        // A layer: what was not asked yet and whose own requirements have their answers.
        let layer: Vec<usize> = (0..asked.len())
            .filter(|i| {
                asked[*i]
                    && out[*i].is_none()
                    && plan.prerequisites[*i].requires.iter().all(|r| out[r.0].is_some())
            })
            .collect();
        if layer.is_empty() {
            return out;
        }
        let answers: Vec<Probe> = std::thread::scope(|scope| {
            let threads: Vec<_> = layer
                .iter()
                .map(|i| {
                    let prerequisite = &plan.prerequisites[*i];
                    let hindered = prerequisite.requires.iter().find_map(|r| {
                        let probe = out[r.0].as_ref().filter(|p| !p.is_met())?;
                        Some(format!(
                            "`{}` is {}, so it was not asked",
                            plan.prerequisites[r.0].name,
                            phrase(probe.verdict)
                        ))
                    });
                    scope.spawn(move || one(prerequisite, hindered, plan, world))
                })
                .collect();
            threads
                .into_iter()
                .map(|t| {
                    t.join().unwrap_or_else(|_| Probe::unmet(Verdict::CouldNotTell, "asking for it failed"))
                })
                .collect()
        });
        for (i, answer) in layer.into_iter().zip(answers) {
            out[i] = Some(answer);
        }
    }
}

/// Asks for one, unless it is not needed here or something hinders it.
fn one(p: &Prerequisite, hindered: Option<String>, plan: &Plan, world: &dyn World) -> Probe {
    match (unneeded(p, plan, world), hindered) {
        (Some(why), _) => Probe { verdict: Verdict::Met, version: None, path: None, why: Some(why) },
        (None, Some(why)) => Probe::unmet(Verdict::CouldNotTell, why),
        (None, None) => ask(p, world),
    }
}

/// Asks for one prerequisite; what it requires is met.
pub fn prerequisite(plan: &Plan, need: NeedIx, world: &dyn World) -> Probe {
    one(&plan.prerequisites[need.0], None, plan, world)
}

/// Asks once more for one that was there and did not answer: only whether it answers now, within `limit`. Nothing if
/// there was no answer.
pub fn answers(p: &Prerequisite, last: &Probe, limit: Duration, world: &dyn World) -> Option<Probe> {
    let mut out = Probe { verdict: Verdict::Met, why: None, ..last.clone() };
    let short = limit < p.timeout;
    ready(p, limit.min(p.timeout), world, &mut out);
    (out.verdict != Verdict::CouldNotTell || !short).then_some(out)
}

/// Whether the program of a prerequisite can be started. One that is being written can't be.
pub fn starts(p: &Prerequisite, world: &dyn World) -> bool {
    let Some(line) = &p.version_command else { return true };
    !matches!(run(line, p.timeout, world).how, How::NotStarted(_) | How::Signaled(_))
}

/// A verdict after "is".
fn phrase(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::WrongVersion => "there in a wrong version",
        Verdict::NoPermission => "not permitted",
        Verdict::CouldNotTell => "not known to be there",
        other => other.name(),
    }
}

/// Why nobody here needs a prerequisite, if that is so. Where a fact can't be told, whatever tells it is missing
/// too, and is a prerequisite of its own.
fn unneeded(p: &Prerequisite, plan: &Plan, world: &dyn World) -> Option<String> {
    let when = p.when.as_ref()?;
    let told = |name: &str| {
        let found = plan.facts.iter().find(|f| f.name == name);
        found.map_or_else(|| Err("nobody declares it".to_owned()), |f| fact(f, world))
    };
    match when.evaluate(&told) {
        condition::Outcome::Holds => None,
        condition::Outcome::Fails(why) | condition::Outcome::Unknown(why) => {
            Some(format!("not needed: {why}"))
        }
    }
}

/// Asks for one prerequisite: is it there, is it the right version, does it answer.
fn ask(p: &Prerequisite, world: &dyn World) -> Probe {
    let mut out = Probe { verdict: Verdict::Met, version: None, path: None, why: None };
    if let Some(name) = &p.variable
        && world.variable(name).is_none_or(|v| v.is_empty())
    {
        return Probe::unmet(Verdict::Absent, format!("the environment variable `{name}` is not set"));
    }
    if let Some(program) = &p.program {
        let Some(path) = world.which(program) else {
            return Probe::unmet(Verdict::Absent, format!("`{program}` is not on PATH"));
        };
        out.path = Some(path);
    }
    if p.version.is_some() || p.program.is_some() {
        match version(p, world) {
            Ok(found) => {
                if let Some(wanted) = &p.version
                    && !matches(&wanted.range, &found)
                {
                    out.verdict = Verdict::WrongVersion;
                    out.why = Some(format!("found {found}, wanted {}", wanted.text));
                }
                if let Some(path) = &out.path {
                    world.note_version(path, &found);
                }
                out.version = Some(found);
            }
            Err(why) if p.version.is_some() => {
                out.verdict = Verdict::CouldNotTell;
                out.why = Some(why);
            }
            // Nobody asked for a version; that it can't be told is no obstacle.
            Err(_) => {}
        }
    }
    if out.is_met() {
        ready(p, p.timeout, world, &mut out);
    }
    out
}

/// Asks whether it answers.
fn ready(p: &Prerequisite, limit: Duration, world: &dyn World, out: &mut Probe) {
    if let Some(ready) = &p.ready {
        let answer = run(ready, limit, world);
        (out.verdict, out.why) = judge(p, ready, &answer);
    }
    if out.is_met()
        && let Some(address) = &p.tcp
        && let Err(why) = world.connect(address, limit)
    {
        (out.verdict, out.why) = (Verdict::NotRunning, Some(format!("`{address}`: {why}")));
    }
}

/// What the answer to `ready` means.
fn judge(p: &Prerequisite, ready: &Line, answer: &Answer) -> (Verdict, Option<String>) {
    let said = if answer.stderr.trim().is_empty() { &answer.stdout } else { &answer.stderr };
    let said_line = wording::first_line(said, 200);
    let denied = p.denied.as_ref().map_or(&*DENIED, Pattern::regex);
    match &answer.how {
        How::Exited(0) => match &p.ready_regex {
            Some(wanted) if !wanted.regex().is_match(&answer.stdout) => (
                Verdict::NotRunning,
                Some(format!("`{ready}` printed `{}`", wording::first_line(&answer.stdout, 200))),
            ),
            _ => (Verdict::Met, None),
        },
        How::Exited(_) if denied.is_match(&answer.stderr) || denied.is_match(&answer.stdout) => {
            (Verdict::NoPermission, Some(said_line))
        }
        How::Exited(code) => {
            let why = if said_line.is_empty() {
                format!("`{ready}` ended with exit code {code}")
            } else {
                said_line
            };
            (Verdict::NotRunning, Some(why))
        }
        How::NotStarted(why) if why.contains("not on PATH") => (Verdict::Absent, Some(why.clone())),
        How::TimedOut => (
            Verdict::CouldNotTell,
            Some(format!("`{ready}` gave no answer within {}", wording::duration(p.timeout))),
        ),
        How::Signaled(signal) => {
            (Verdict::CouldNotTell, Some(format!("`{ready}` was ended by signal {signal}")))
        }
        How::Cancelled => {
            (Verdict::CouldNotTell, Some("the run was told to stop before it answered".to_owned()))
        }
        How::NotStarted(why) => (Verdict::CouldNotTell, Some(why.clone())),
    }
}

/// Asks a program for its version.
pub fn version(p: &Prerequisite, world: &dyn World) -> Result<String, String> {
    let Some(line) = &p.version_command else { return Err("nothing tells its version".to_owned()) };
    let answer = run(line, p.timeout, world);
    match answer.how {
        How::Exited(_) => {}
        How::TimedOut => {
            return Err(format!("`{line}` gave no answer within {}", wording::duration(p.timeout)));
        }
        How::NotStarted(why) => return Err(why),
        How::Signaled(signal) => return Err(format!("`{line}` was ended by signal {signal}")),
        How::Cancelled => return Err("the run was told to stop before it answered".to_owned()),
    }
    let text = format!("{}\n{}", answer.stdout, answer.stderr);
    let pattern = p.version_regex.as_ref().map_or(&*VERSION, Pattern::regex);
    let found =
        pattern.captures(&text).and_then(|c| c.get(1).or_else(|| c.get(0))).map(|m| m.as_str().to_owned());
    found.ok_or_else(|| {
        format!("no version was found in what `{line}` printed: `{}`", wording::first_line(&text, 120))
    })
}

/// Lenient: `20.10` is 20.10.0, a fourth number is dropped, and a pre-release or a distribution's suffix does not
/// make a version too old.
fn matches(range: &semver::VersionReq, found: &str) -> bool {
    let core: Vec<u64> = found
        .split(['-', '+'])
        .next()
        .unwrap_or_default()
        .split('.')
        .filter_map(|n| n.parse().ok())
        .collect();
    let part = |i: usize| core.get(i).copied().unwrap_or(0);
    range.matches(&semver::Version::new(part(0), part(1), part(2)))
}

fn run(line: &Line, limit: Duration, world: &dyn World) -> Answer {
    match line.fill(&NoScope) {
        Ok(filled) => {
            world.ask(&Ask { argv: filled.argv, cwd: Utf8PathBuf::from("."), env: filled.env, limit })
        }
        Err(why) => Answer { how: How::NotStarted(why), stdout: String::new(), stderr: String::new() },
    }
}

/// Asks a fact; the error says why it could not be told.
pub fn fact(fact: &Fact, world: &dyn World) -> Result<String, String> {
    let answer = run(&fact.run, fact.timeout, world);
    match answer.how {
        How::Exited(0) => {}
        How::Exited(code) => {
            let said = wording::first_line(&answer.stderr, 120);
            return Err(if said.is_empty() {
                format!("`{}` ended with exit code {code}", fact.run)
            } else {
                said
            });
        }
        How::NotStarted(why) => return Err(why),
        How::TimedOut => {
            return Err(format!("`{}` gave no answer within {}", fact.run, wording::duration(fact.timeout)));
        }
        How::Signaled(_) | How::Cancelled => {
            return Err(format!("`{}` was ended before it answered", fact.run));
        }
    }
    let out = answer.stdout.trim();
    match &fact.regex {
        None => Ok(out.to_owned()),
        Some(regex) => {
            let found = regex.regex().captures(out).and_then(|c| c.get(1).or_else(|| c.get(0)));
            found
                .map(|m| m.as_str().to_owned())
                .ok_or_else(|| format!("nothing in what `{}` printed matches", fact.run))
        }
    }
}

/// Asks several facts at the same time.
pub fn facts(plan: &Plan, names: &[String], world: &dyn World) -> BTreeMap<String, Result<String, String>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = plan
            .facts
            .iter()
            .filter(|f| names.contains(&f.name))
            .map(|f| (f.name.clone(), scope.spawn(move || fact(f, world))))
            .collect();
        threads
            .into_iter()
            .map(|(name, t)| (name, t.join().unwrap_or_else(|_| Err("asking for it failed".to_owned()))))
            .collect()
    })
}

/// What a task's files look like now.
pub fn files(plan: &Plan, task: &Task, world: &dyn World) -> FileView {
    let mut out = FileView::default();
    for glob in &task.inputs {
        if let Some(path) = glob.as_path().map(Utf8Path::new)
            && plan.report.as_deref() != Some(path)
            && let Some(Looked::File(Ok(digest))) = world.look(path)
        {
            out.inputs.insert(path.to_owned(), Some(digest));
            continue;
        }
        let paths = world.files(glob).unwrap_or_else(|error| {
            let why = format!("could not be listed: {error}");
            out.unreadable.push(Unreadable { path: glob.pattern.clone().into(), why, is_busy: false });
            Vec::new()
        });
        for path in paths {
            if plan.report.as_ref() == Some(&path) {
                // A run writes it last: it would make every task stale that it is an input of.
                continue;
            }
            let digest = match world.digest(&path) {
                Ok(digest) => Some(digest),
                // It went away while we looked.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => {
                    let why = format!("could not be read: {error}");
                    let is_busy = error.kind() == ErrorKind::ResourceBusy;
                    out.unreadable.push(Unreadable { path: path.clone(), why, is_busy });
                    None
                }
            };
            out.inputs.insert(path, digest);
        }
    }
    for path in &task.artifacts {
        if !subject(path, world, &mut out) {
            out.missing.push(path.clone());
        }
    }
    let checked = task.checks.iter().flat_map(|c| c.check.subjects());
    subjects(checked.chain(task.measures.iter().flat_map(Measure::subjects)), world, &mut out);
    if let Some(report) = &plan.report {
        out.subjects.remove(report);
    }
    out
}

fn subjects(all: impl Iterator<Item = Subject>, world: &dyn World, out: &mut FileView) {
    for of in all {
        match of {
            Subject::File(path) => {
                subject(&path, world, out);
            }
            Subject::Glob(glob) => {
                for path in world.files(&glob).unwrap_or_default() {
                    subject(&path, world, out);
                }
            }
        }
    }
}

/// Digest of what checks say and of the files that they read. Of a secret in it there is no more than its stand-in: it
/// could be guessed from the digest.
pub fn stands_on(checks: &[CheckSpec], world: &dyn World, secrets: &Secrets) -> Digest {
    let mut view = FileView::default();
    subjects(checks.iter().flat_map(|c| c.check.subjects()), world, &mut view);
    let mut hasher = blake3::Hasher::new();
    for check in checks {
        // The parameters as they are kept: a title may stand for many of them.
        let parameters = format!("{:?}\n", check.check);
        let masked = secrets.mask(&parameters);
        hasher.update(masked.as_bytes());
        if masked != parameters {
            hasher.update(redact::stand_in(&parameters).as_bytes());
        }
    }
    for (path, digest) in &view.subjects {
        hasher.update(format!("{path}\n{digest:?}\n").as_bytes());
    }
    Digest::from_hasher(&hasher)
}

/// False if there is nothing.
fn subject(path: &Utf8Path, world: &dyn World, out: &mut FileView) -> bool {
    let looked = world.look(path);
    let is_there = looked.is_some();
    out.subjects.entry(path.to_owned()).or_insert_with(|| match looked? {
        Looked::Folder => Some(Digest::of(b"folder")),
        Looked::File(digest) => digest.ok(),
    });
    is_there
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_leniently() {
        let table = [
            ("Docker version 28.2.2, build e6534b4", Some("28.2.2")),
            ("Client Version: v1.34.0\nKustomize Version: v5.7.1", Some("1.34.0")),
            ("v4.0.1+g12500dd", Some("4.0.1")),
            ("minikube version: v1.37.0\ncommit: 65318f4cfff9c12cc87ec9eb8f4cdd57b25047f3", Some("1.37.0")),
            ("Docker version 20.10.24+dfsg1, build 297e128", Some("20.10.24")),
            ("go version go1.22 linux/amd64", Some("1.22")),
            ("no numbers", None),
        ];
        for (text, found) in table {
            assert_eq!(VERSION.captures(text).map(|c| c[1].to_owned()).as_deref(), found, "{text}");
        }
    }

    #[test]
    fn ranges_take_short_and_suffixed_versions() {
        let range = semver::VersionReq::parse(">=20.10").unwrap();
        for (version, fits) in [
            ("20.10", true),
            ("20.10.24-dfsg1", true),
            ("19.03.1", false),
            ("28.2.2", true),
            ("20.10.1.4", true),
        ] {
            assert_eq!(matches(&range, version), fits, "{version}");
        }
    }
}
