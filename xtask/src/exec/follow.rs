//! Reads a log while it is written, with what secrets are in it masked, and shows what a line leaves on a terminal.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use camino::{Utf8Path, Utf8PathBuf};

use super::log::{plain, read_end};
use crate::redact::{LONGEST_KEY, Stream};
use crate::secrets::Secrets;

/// So many bytes are read at a time.
const PIECE: usize = 64 << 10;

/// So much of what was read last is kept, to notice that the file is another one before that place.
const RECENT: usize = 256;

/// Of the end of a log, so many bytes are looked at for its last line.
const LAST: u64 = 4 << 10;

/// A line that is longer is shown in pieces.
const LONGEST_LINE: usize = 64 << 10;

/// A log that is followed.
///
/// Secrets are masked in place while it is followed: when a value is captured, and at the end. Then what has been
/// read is not what is there any more, and the places of what follows have moved. That is noticed by the first bytes
/// that were masked here, and by those that were read last. What has been given out is found again by its lines: a
/// mask never moves those.
pub struct Follow {
    path: Utf8PathBuf,
    secrets: Secrets,
    version: u64,
    mask: Stream,
    /// How much of the file was read, and the end of that.
    n_read: u64,
    recent: Place,
    /// The first bytes in whose place others were given out, and until then how much was given out as it is and what
    /// was read after that.
    masked: Option<Place>,
    n_plain: u64,
    plain: Vec<u8>,
    /// Lines that were given out as a whole, and bytes of the line after them.
    n_lines: u64,
    n_bytes: usize,
}

/// Bytes of a file, and where they begin.
#[derive(Debug, Default)]
struct Place {
    at: u64,
    bytes: Vec<u8>,
}

impl Place {
    fn is_in(&self, file: &mut File) -> io::Result<bool> {
        let mut there = vec![0; self.bytes.len()];
        file.seek(SeekFrom::Start(self.at))?;
        match file.read_exact(&mut there) {
            Ok(()) => Ok(there == self.bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Follow {
    /// From the beginning of the log; it need not be there yet.
    pub fn new(path: &Utf8Path, secrets: &Secrets) -> Self {
        Self {
            path: path.to_owned(),
            secrets: secrets.clone(),
            version: secrets.version(),
            mask: secrets.redactor().stream(),
            n_read: 0,
            recent: Place::default(),
            masked: None,
            n_plain: 0,
            plain: Vec::new(),
            n_lines: 0,
            n_bytes: 0,
        }
    }

    /// Gives out what is there and was not given out yet, but for what may be the beginning of a secret, also one that is
    /// broken over lines: with declared values the end of a line may have to wait for the next one.
    ///
    /// # Errors
    ///
    /// If the file cannot be read. That it is not there is none.
    pub fn more(&mut self, give: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if self.is_rewritten(&mut file)? {
            return self.again(&mut file, give);
        }
        self.read(&mut file, give)
    }

    /// Gives out all that is left of a log that is complete.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn rest(mut self, give: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.more(give)?;
        let rest = self.fresh_mask();
        give(&std::mem::replace(&mut self.mask, rest).finish());
        Ok(())
    }

    fn fresh_mask(&self) -> Stream {
        self.secrets.redactor().stream()
    }

    fn is_rewritten(&self, file: &mut File) -> io::Result<bool> {
        for place in self.masked.iter().chain([&self.recent]) {
            if !place.is_in(file)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads on from the place that was reached.
    fn read(&mut self, file: &mut File, give: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        file.seek(SeekFrom::Start(self.n_read))?;
        let mut piece = vec![0; PIECE];
        loop {
            let n = match file.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if self.secrets.version() != self.version {
                self.version = self.secrets.version();
                self.mask.know(self.secrets.redactor());
            }
            let masked = self.mask.push(&piece[..n]);
            self.note(&piece[..n], &masked);
            give(&masked);
        }
    }

    /// Notes what was read, and where in the lines what is given out ends.
    fn note(&mut self, read: &[u8], masked: &[u8]) {
        self.n_read += read.len() as u64;
        self.recent.bytes.extend_from_slice(read);
        self.recent.bytes.drain(..self.recent.bytes.len().saturating_sub(RECENT));
        self.recent.at = self.n_read - self.recent.bytes.len() as u64;
        if self.masked.is_none() {
            self.plain.extend_from_slice(read);
            let n_same = self.plain.iter().zip(masked).take_while(|(plain, masked)| plain == masked).count();
            self.n_plain += n_same as u64;
            self.plain.drain(..n_same);
            if n_same < masked.len() {
                self.plain.truncate(RECENT);
                self.masked = Some(Place { at: self.n_plain, bytes: std::mem::take(&mut self.plain) });
            }
        }
        self.n_lines += masked.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.n_bytes = match masked.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => masked.len() - at - 1,
            None => self.n_bytes + masked.len(),
        };
    }

    /// Reads from the beginning, and passes over what was given out.
    fn again(&mut self, file: &mut File, give: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let (mut lines, mut bytes) = (self.n_lines, self.n_bytes);
        self.mask = self.fresh_mask();
        (self.n_read, self.n_plain, self.n_lines, self.n_bytes) = (0, 0, 0, 0);
        (self.recent, self.masked) = (Place::default(), None);
        self.plain.clear();
        self.read(file, &mut |masked| {
            let mut rest = masked;
            while lines > 0
                && let Some(at) = rest.iter().position(|byte| *byte == b'\n')
            {
                rest = &rest[at + 1..];
                lines -= 1;
            }
            if lines > 0 {
                return;
            }
            // The line that was begun may be shorter now.
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let known = bytes.min(end);
            bytes = if end < rest.len() { 0 } else { bytes - known };
            give(&rest[known..]);
        })
    }
}

/// Takes a log in pieces and gives whole lines, fit to be shown: text without terminal escapes and controls, progress
/// bars in their last state.
#[derive(Debug, Default)]
pub struct Lines {
    open: Vec<u8>,
}

impl Lines {
    /// The lines that end in this piece.
    pub fn push(&mut self, piece: &[u8]) -> Vec<String> {
        let mut out = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.open.extend_from_slice(part);
            if part.ends_with(b"\n") || self.open.len() > LONGEST_LINE && !self.drop_overwritten() {
                out.extend(self.take());
            }
        }
        out
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> Option<String> {
        (!self.open.is_empty()).then(|| self.take()).flatten()
    }

    /// Lets go of what a progress bar has written over; false if that is nothing.
    fn drop_overwritten(&mut self) -> bool {
        // The last one may be the first half of the end of a line.
        let before = &self.open[..self.open.len() - 1];
        let Some(at) = before.iter().rposition(|byte| *byte == b'\r') else { return false };
        self.open.drain(..at);
        self.open.len() <= LONGEST_LINE
    }

    fn take(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.open);
        let text = String::from_utf8_lossy(&bytes);
        Some(plain(text.trim_end_matches('\n').trim_end_matches('\r')))
    }
}

/// The last line of a log that is written just now, as [`Lines`] would show it, without what may be the beginning of
/// a secret; nothing if there is none.
pub fn last_line(path: &Utf8Path, secrets: &Secrets) -> Option<String> {
    // With what stands before it: the middle of a private key is known by its beginning only.
    let (bytes, _) = read_end(path, LAST + LONGEST_KEY as u64).ok()?;
    // A value may be written in two pieces, or over two lines. The mark of a cut has the first piece masked as well.
    let text = String::from_utf8_lossy(&bytes);
    let text = format!("{}…", text.trim_end_matches(['\r', '\n']));
    let masked = secrets.mask(&text);
    let masked = masked.strip_suffix('…').unwrap_or(&masked);
    masked.rsplit('\n').take(64).map(|line| plain(line).trim().to_owned()).find(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{Log, seal};
    use super::*;
    use crate::secrets::Secret;

    fn place() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("log")).unwrap();
        (folder, path)
    }

    fn append(path: &Utf8Path, text: &str) {
        use std::io::Write as _;
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    fn more(follow: &mut Follow) -> String {
        let mut out = Vec::new();
        follow.more(&mut |bytes| out.extend_from_slice(bytes)).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn rest(follow: Follow) -> String {
        let mut out = Vec::new();
        follow.rest(&mut |bytes| out.extend_from_slice(bytes)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_comes_is_given_out_once() {
        let (_folder, path) = place();
        let mut follow = Follow::new(&path, &Secrets::default());
        assert_eq!(more(&mut follow), "");
        append(&path, "one\ntw");
        assert_eq!(more(&mut follow), "one\n");
        append(&path, "o\nthree");
        assert_eq!(more(&mut follow), "two\n");
        assert_eq!(more(&mut follow), "");
        append(&path, " four");
        assert_eq!(rest(follow), "three four");
    }

    #[test]
    fn a_token_in_two_pieces_is_masked() {
        let (_folder, path) = place();
        let mut follow = Follow::new(&path, &Secrets::default());
        append(&path, "a AKIAIOSF");
        assert_eq!(more(&mut follow), "a ");
        append(&path, "ODNN7EXAMPLE b\n");
        assert_eq!(more(&mut follow), "*** b\n");
    }

    /// Wherever the reader is when the log is masked in place, it goes on with what comes next.
    #[test]
    fn a_log_that_is_sealed_meanwhile_is_followed_to_its_end() {
        // The mask is shorter by as much as the repeated line has, several times: the bytes before a place tell nothing.
        let token = "AKIAIOSFODNN7EXAMPLE";
        let same = "exactly 17 bytes\n";
        assert_eq!(token.len() - same.len(), "***".len());
        let text = format!("first {token}\n{}a {token} b {token}\nlast\n", same.repeat(60));
        let masked = text.replace(token, "***");
        for at in (0..text.len()).step_by(7).chain(text.len() - 80..=text.len()) {
            let (_folder, path) = place();
            let mut follow = Follow::new(&path, &Secrets::default());
            append(&path, &text[..at]);
            let before = more(&mut follow);
            append(&path, &text[at..]);
            seal(&path, &Secrets::default()).unwrap();
            append(&path, "# passed\n");
            let between = more(&mut follow);
            append(&path, "end");
            assert_eq!(
                format!("{before}{between}{}", rest(follow)),
                format!("{masked}# passed\nend"),
                "{at}"
            );
        }
    }

    #[test]
    fn a_value_that_is_learned_late_moves_no_line() {
        let (_folder, path) = place();
        let secrets = Secrets::default();
        let log = Log::create(&path, &secrets).unwrap();
        let mut follow = Follow::new(&path, &secrets);
        log.note("l3arned-value is shown").unwrap();
        assert_eq!(more(&mut follow), "l3arned-value is shown\n");
        secrets.learn([Secret { whose: "x".to_owned(), value: "l3arned-value".to_owned(), named: true }]);
        log.seal().unwrap();
        log.note("l3arned-value is not").unwrap();
        assert_eq!(more(&mut follow), "*** is not\n");
    }

    #[test]
    fn a_value_over_two_lines_is_masked() {
        let (_folder, path) = place();
        let secret = Secret { whose: "x".to_owned(), value: "s3cr3t-value".to_owned(), named: true };
        let mut follow = Follow::new(&path, &Secrets::new([secret]));
        append(&path, "a b\nthe s3cr3t-\n");
        assert_eq!(more(&mut follow), "a b\nthe ");
        append(&path, "value 0\n");
        assert_eq!(more(&mut follow), "*** 0\n");
    }

    #[test]
    fn lines_are_as_a_terminal_leaves_them() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"one\r\n\x1b[1mtw"), ["one"]);
        assert_eq!(lines.push(b"o\x1b[0m\n\n10%\r2"), ["two", ""]);
        assert_eq!(lines.push(b"0%\r30%\ndone \xf0\x9f"), ["30%"]);
        assert_eq!(lines.push(b"\x98\x80 \x1b[2J\x1b[3A"), Vec::<String>::new());
        assert_eq!(lines.finish().as_deref(), Some("done 😀 "));
        assert_eq!(lines.finish(), None);
    }

    #[test]
    fn an_endless_line_takes_no_endless_memory() {
        let mut lines = Lines::default();
        for n in 0..100_000 {
            assert!(lines.push(format!("\r{n} %").as_bytes()).is_empty());
        }
        assert!(lines.open.len() <= LONGEST_LINE + 16);
        assert_eq!(lines.push(b"\n"), ["99999 %"]);
        let shown: usize = (0..10).map(|_| lines.push(&[b'x'; 20_000]).concat().len()).sum();
        assert_eq!(shown + lines.finish().map_or(0, |line| line.len()), 200_000);
    }

    #[test]
    fn the_last_line() {
        let (_folder, path) = place();
        let secret = Secret { whose: "x".to_owned(), value: "s3cr3t-value".to_owned(), named: true };
        let secrets = Secrets::new([secret]);
        let last = |text: &str| {
            fs::write(&path, text).unwrap();
            last_line(&path, &secrets)
        };
        assert_eq!(last("").as_deref(), None);
        assert_eq!(last("one\ntwo\n\n  \n").as_deref(), Some("two"));
        assert_eq!(last("10%\r20%\r\x1b[K30%\r").as_deref(), Some("30%"));
        assert_eq!(last("the s3cr3t-value").as_deref(), Some("the ***"));
        assert_eq!(last("the s3cr3t-v").as_deref(), Some("the ***"));
        assert_eq!(last("the s3cr3t-\n").as_deref(), Some("the ***"));
        assert_eq!(last("the s3cr3t-\nvalue x").as_deref(), Some("the *** x"));
        assert_eq!(last("in one AKIAIOSF").as_deref(), Some("in one ***"));
        assert_eq!(last("\x1b[2Jx\x1b]0;t\x07").as_deref(), Some("x"));
        assert_eq!(last_line(Utf8Path::new("no such file"), &secrets), None);
    }
}
