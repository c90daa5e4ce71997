//! `archive = "${tmp}/image.tar"`: nothing secret is in an archive, such as an image with all its layers.

use std::io::{self, Read};
use std::time::Duration;

use flate2::read::MultiGzDecoder;

use self::env::secrets;
use self::scan::Needles;
use self::tar::{BLOCK, Tar, is_header, read_up_to};
use super::text::{Path, Search, read, unreadable};
use super::{Check, Context, Finding, Keys, Refuse, Subject};
use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::read::{OneOrMany, record};
use crate::wording;

mod env;
mod scan;
mod tar;

record! {
    /// Nothing secret is in a tar archive, such as the output of `docker save`: neither in its members nor in archives
    /// inside it (layers), compressed with gzip or not. What is found is named, never shown.
    pub struct ArchiveCheck {
        /// The archive.
        archive: Path,
        /// Regular expressions that must not match anywhere; matches of up to 4 KiB are found for certain.
        lacks: OneOrMany<Search>,
        /// Environment files (`NAME=value`) whose values must not be in it. Files that do not exist are passed over,
        /// as are values of fewer than 8 characters, numbers, and addresses without a password.
        lacks_values_of: OneOrMany<Path>,
        /// Names of variables in these files whose values are no secret.
        except: OneOrMany<String>,
    }
}

/// Archives inside archives inside archives: an image has layers, a layer may have packages.
const DEPTH: usize = 4;

/// So many finds are enough to know what is wrong.
const ENOUGH: usize = 10;

/// What is looked for, and what to call each pattern.
struct Hunt {
    needles: Needles,
    labels: Vec<String>,
    /// In words, for the finding.
    says: String,
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    finds: Vec<String>,
    archives: usize,
    files: usize,
    bytes: u64,
}

/// Why the whole could not be looked through.
enum Trouble {
    Io(io::Error),
    Odd(String),
    Cancelled,
    /// Enough was found.
    Enough,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl ArchiveCheck {
    fn look(&self, cx: &Context<'_>) -> Result<String, Finding> {
        let path = self.archive.fill(cx.scope).map_err(Finding::unknown)?;
        let hunt = self.hunt(cx)?;
        let mut input = cx.world.open(&path).map_err(|error| unreadable(&path, &error))?;
        let mut seen = Seen::default();
        let mut walk = Walk { cx, hunt: &hunt, seen: &mut seen, buffer: hunt.needles.buffer() };
        match walk.anything(&mut input, &[]) {
            Ok(()) | Err(Trouble::Enough) => {}
            Err(Trouble::Io(error)) => {
                return Err(Finding::unknown(format!("`{path}` could not be read: {error}")));
            }
            Err(Trouble::Odd(why)) => return Err(Finding::unknown(format!("`{path}` {why}"))),
            Err(Trouble::Cancelled) => return Err(Finding::unknown("the run was cancelled")),
        }
        if seen.archives == 0 {
            return Err(Finding::unmet("a tar archive", "something else", path));
        }
        if !seen.finds.is_empty() {
            return Err(Finding::unmet(format!("no trace of {}", hunt.says), enumerate(&seen.finds), path));
        }
        let layers = wording::plural(seen.archives, "archive");
        let files = wording::plural(seen.files, "file");
        Ok(format!(
            "no trace of {} in {layers} with {files}, {}",
            hunt.says,
            wording::bytes(seen.bytes as f64)
        ))
    }

    /// Gathers what is looked for. A value turns up as it is; patterns are read as bytes.
    fn hunt(&self, cx: &Context<'_>) -> Result<Hunt, Finding> {
        let (mut patterns, mut labels, mut names) = (Vec::new(), Vec::new(), Vec::new());
        let mut absent = Vec::new();
        for file in &self.lacks_values_of.0 {
            let path = file.fill(cx.scope).map_err(Finding::unknown)?;
            if let Err(error) = cx.world.kind(&path)
                && matches!(unreadable(&path, &error), Finding::Unmet { .. })
            {
                absent.push(format!("`{path}`"));
                continue;
            }
            for secret in secrets(&read(cx, &path)?, &self.except.0) {
                for form in &secret.forms {
                    patterns.push(regex::escape(form));
                    labels.push(format!("the value of `{}` ({path})", secret.name));
                }
                names.push(format!("`{}`", secret.name));
            }
        }
        for search in &self.lacks.0 {
            patterns.push(search.regex(cx.scope).map_err(Finding::unknown)?.as_str().to_owned());
            labels.push(format!("a match of `{search}`"));
        }
        let needles = Needles::new(&patterns).map_err(Finding::unknown)?;
        Ok(Hunt { needles, labels, says: self.says(names, &absent) })
    }

    fn says(&self, mut names: Vec<String>, absent: &[String]) -> String {
        names.dedup();
        let mut parts = Vec::new();
        if !names.is_empty() {
            parts.push(format!(
                "{} {}",
                if names.len() == 1 { "the value of" } else { "the values of" },
                wording::list(&names)
            ));
        }
        if !self.lacks.0.is_empty() {
            parts.push(wording::plural(self.lacks.0.len(), "pattern"));
        }
        if parts.is_empty() {
            parts.push("anything, since no value was worth looking for".to_owned());
        }
        let absent = match absent {
            [] => String::new(),
            files => format!(" ({} not there)", wording::list(files)),
        };
        format!("{}{absent}", wording::list(&parts))
    }
}

/// The first finds, and how many more there are.
fn enumerate(finds: &[String]) -> String {
    let shown = finds.iter().take(3).cloned().collect::<Vec<_>>();
    match finds.len() - shown.len() {
        0 => shown.join("; "),
        more => format!("{}; and {more} more", shown.join("; ")),
    }
}

struct Walk<'a> {
    cx: &'a Context<'a>,
    hunt: &'a Hunt,
    seen: &'a mut Seen,
    buffer: Vec<u8>,
}

impl Walk<'_> {
    /// Looks at a stream: an archive, something compressed, or plain bytes. `trail` is the members that lead to it.
    fn anything(&mut self, input: &mut dyn Read, trail: &[&str]) -> Result<(), Trouble> {
        let mut head = [0; BLOCK];
        let n = read_up_to(input, &mut head)?;
        let head = &head[..n];
        let mut whole = head.chain(input);
        if trail.len() < DEPTH {
            if is_header(head) {
                return self.archive(&mut whole, trail);
            }
            if head.starts_with(&[0x1f, 0x8b, 8]) {
                return self.gzip(&mut whole, trail);
            }
        }
        // Deeper down, compressed files are somebody's data; the image's own parts have to be read.
        if trail.len() <= 1 && head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let name = trail.last().copied().unwrap_or("it");
            return Err(Trouble::Odd(format!(
                "has the part `{name}`, compressed with zstd, which is not read here"
            )));
        }
        self.bytes(&mut whole, trail)
    }

    fn archive(&mut self, input: &mut dyn Read, trail: &[&str]) -> Result<(), Trouble> {
        self.seen.archives += 1;
        let mut tar = Tar::new(input);
        while let Some(member) = tar.next()? {
            if !member.regular {
                continue;
            }
            if !self.cx.world.pause(Duration::ZERO) {
                return Err(Trouble::Cancelled);
            }
            let mut longer = trail.to_vec();
            longer.push(&member.name);
            self.anything(&mut tar, &longer)?;
        }
        Ok(())
    }

    /// What is inside a gzip stream. Inside a layer a damaged one is a file like any other, so it does not stop the rest.
    fn gzip(&mut self, input: &mut dyn Read, trail: &[&str]) -> Result<(), Trouble> {
        let mut inner = MultiGzDecoder::new(input);
        match self.anything(&mut inner, trail) {
            Err(Trouble::Io(_)) if trail.len() > 1 => Ok(()),
            other => other,
        }
    }

    fn bytes(&mut self, input: &mut dyn Read, trail: &[&str]) -> Result<(), Trouble> {
        if trail.is_empty() {
            return Ok(());
        }
        let (hunt, seen) = (self.hunt, &mut *self.seen);
        seen.files += 1;
        let finds = &mut seen.finds;
        let bytes = hunt.needles.scan(input, &mut self.buffer, &mut |which| {
            let find = format!("{} in {}", hunt.labels[which], place(trail));
            if !finds.contains(&find) {
                finds.push(find);
            }
            finds.len() < ENOUGH
        })?;
        seen.bytes += bytes;
        if seen.finds.len() < ENOUGH { Ok(()) } else { Err(Trouble::Enough) }
    }
}

/// "`app/.env` of `abc/layer.tar`"
fn place(trail: &[&str]) -> String {
    let names: Vec<String> = trail.iter().rev().map(|name| format!("`{name}`")).collect();
    names.join(" of ")
}

impl Refuse for ArchiveCheck {
    fn refuse(&self, keys: &Keys<'_>) -> Vec<Diagnostic> {
        let mut out: Vec<Diagnostic> = keys.alone("except", &["lacks_values_of"]).into_iter().collect();
        if self.lacks.0.is_empty() && self.lacks_values_of.0.is_empty() {
            out.push(
                keys.mistake("archive", "nothing is looked for in this archive")
                    .hint("add `lacks` or `lacks_values_of`"),
            );
        }
        out
    }
}

impl Check for ArchiveCheck {
    fn describe(&self) -> String {
        let files: Vec<String> = self.lacks_values_of.0.iter().map(|file| format!("`{file}`")).collect();
        let mut parts = Vec::new();
        if !files.is_empty() {
            parts.push(format!("no values of {}", wording::list(&files)));
        }
        if !self.lacks.0.is_empty() {
            let patterns: Vec<String> = self.lacks.0.iter().map(|search| format!("`{search}`")).collect();
            parts.push(format!("no match of {}", wording::either(&patterns)));
        }
        format!("`{}` contains {}", self.archive, wording::list(&parts))
    }

    fn observe(&self, cx: &Context<'_>) -> Finding {
        self.look(cx).map_or_else(|finding| finding, Finding::met_with)
    }

    fn subjects(&self) -> Vec<Subject> {
        std::iter::once(&self.archive).chain(&self.lacks_values_of.0).filter_map(Path::subject).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::super::testing::*;
    use super::tar::testing::archive;
    use crate::world::fake::Fake;

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    const TOML: &str = r#"{ archive = "${tmp}/i.tar", lacks = 'AKIA[0-9A-Z]{16}', lacks_values_of = [".env", "docker/.env.test"] }"#;

    fn text(image: &[u8]) -> String {
        let world = Fake::new()
            .file("/tmp/t/i.tar", image)
            .file("docker/.env.test", "JWT_SECRET=0123456789abcdef\nALG=HS256\n");
        found(&world, TOML)
    }

    #[test]
    fn secrets_are_found_wherever_they_are() {
        let layer = archive(&[
            ("app/main.py", b"key = '0123456789abcdef'"),
            ("etc/x", b"GPG_KEY=7169605F62C751356D054A26A821E680E5FA6305"),
        ]);
        let clean = archive(&[("etc/os-release", &[b'x'; 5000])]);
        let expected =
            "expected no trace of the value of `JWT_SECRET` and 1 pattern (`.env` not there), found ";
        let table = [
            (
                archive(&[("abc/layer.tar", &layer), ("abc.json", b"{}")]),
                "the value of `JWT_SECRET` (docker/.env.test) in `app/main.py` of `abc/layer.tar`",
            ),
            (
                archive(&[("blobs/sha256/abc", &gz(&layer))]),
                "the value of `JWT_SECRET` (docker/.env.test) in `app/main.py` of `blobs/sha256/abc`",
            ),
            (
                archive(&[("l.tar", &clean), ("c.json", br#"{"Env":["A=0123456789abcdef"]}"#)]),
                "the value of `JWT_SECRET` (docker/.env.test) in `c.json`",
            ),
            (
                archive(&[("h.json", b"AKIA0123456789ABCDEF"), ("i.json", b"AKIA0123456789ABCDEF")]),
                "a match of `AKIA[0-9A-Z]{16}` in `h.json`; a match of `AKIA[0-9A-Z]{16}` in `i.json`",
            ),
            (
                gz(&archive(&[("h.json", b"AKIA0123456789ABCDEF")])),
                "a match of `AKIA[0-9A-Z]{16}` in `h.json`",
            ),
        ];
        for (image, place) in table {
            assert_eq!(text(&image), format!("{expected}{place} (/tmp/t/i.tar)"));
        }
        assert_eq!(
            text(&archive(&[("a/layer.tar", &clean), ("b.json", b"{}")])),
            "holds: no trace of the value of `JWT_SECRET` and 1 pattern (`.env` not there) in 2 archives with 2 files, 5 kB"
        );
    }

    #[test]
    fn what_can_not_be_read_is_not_clean() {
        let image = archive(&[("blobs/sha256/abc", &[0x28, 0xb5, 0x2f, 0xfd, 0])]);
        assert_eq!(
            text(&image),
            "could not tell: `/tmp/t/i.tar` has the part `blobs/sha256/abc`, compressed with zstd, which is not read here"
        );
        let cut = &archive(&[("a", &[b'x'; 2000])])[..1500];
        assert_eq!(
            text(cut),
            "could not tell: `/tmp/t/i.tar` could not be read: it ends in the middle of a member"
        );
        let damaged = archive(&[("blobs/a", &gz(&[b'x'; 2000])[..20])]);
        assert!(
            text(&damaged).starts_with("could not tell: `/tmp/t/i.tar` could not be read: "),
            "{}",
            text(&damaged)
        );
        assert_eq!(text(b"no archive"), "expected a tar archive, found something else (/tmp/t/i.tar)");
        assert_eq!(
            found(&Fake::new().file("docker/.env.test", ""), TOML),
            "expected a file, found nothing (/tmp/t/i.tar)"
        );
    }

    #[test]
    fn a_damaged_file_in_a_layer_does_not_stop_the_rest() {
        let layer = archive(&[("a.gz", &gz(&[b'x'; 2000])[..20]), ("b", b"0123456789abcdef")]);
        assert!(text(&archive(&[("l.tar", &layer)])).contains("in `b` of `l.tar`"));
    }

    #[test]
    fn what_is_refused() {
        assert_refused(&[
            (r#"{ archive = "a" }"#, "nothing is looked for in this archive"),
            (
                r#"{ archive = "a", lacks = "x", except = "Y" }"#,
                "`except` means nothing without `lacks_values_of`",
            ),
        ]);
        assert_eq!(
            check(TOML).says(),
            "`${tmp}/i.tar` contains no values of `.env` and `docker/.env.test` and no match of `AKIA[0-9A-Z]{16}`"
        );
    }
}
