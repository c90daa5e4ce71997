//! Log files: one per attempt, written by the children themselves.
//!
//! A child gets the file as its standard output and error. Nothing is lost if this process dies, the
//! order of the streams is kept, and no orphan can make us wait: a reader of a pipe would wait for
//! everybody who holds it. A log that has to be masked needs a reader all the same; see [`Filter`].

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use duct::Expression;

use super::platform;
use crate::redact::{self, LONGEST_KEY, LONGEST_OPENING, Redactor};
use crate::secrets::Secrets;

/// A log file that is being written.
#[derive(Debug)]
pub struct Log {
    file: File,
    path: Utf8PathBuf,
    secrets: Secrets,
    is_filtered: bool,
    trouble: Mutex<Option<String>>,
}

impl Log {
    /// Makes the file, which must not exist yet; on Unix only its owner may read it. If there are
    /// values to mask, or if there will be, everything that is written goes through a filter.
    ///
    /// # Errors
    ///
    /// If the file cannot be made.
    pub fn create(path: &Utf8Path, secrets: &Secrets) -> io::Result<Log> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create_new(true);
        platform::private(&mut options);
        let file = options.open(path)?;
        let secrets = secrets.clone();
        let is_filtered = secrets.any();
        Ok(Log { file, path: path.to_owned(), secrets, is_filtered, trouble: Mutex::new(None) })
    }

    /// A log that goes nowhere because `path` could not be made, for what has to run all the same.
    ///
    /// # Errors
    ///
    /// If not even a file without a name can be made.
    pub fn lost(path: &Utf8Path, secrets: &Secrets, why: &io::Error) -> io::Result<Log> {
        let trouble = Mutex::new(Some(format!("failed to make the log `{path}`: {why}")));
        let secrets = secrets.clone();
        let is_filtered = secrets.any();
        Ok(Log { file: platform::scratch()?, path: path.to_owned(), secrets, is_filtered, trouble })
    }

    /// Where the file is.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Writes a line of our own, on a line of its own. Not to be called while a child writes.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn note(&self, line: &str) -> io::Result<()> {
        let masked = self.secrets.mask(line);
        let written = self.is_inside_line().and_then(|inside| {
            let newline = if inside { "\n" } else { "" };
            // One write: whoever follows the log sees the whole line or nothing.
            (&self.file).write_all(format!("{newline}{masked}\n").as_bytes())
        });
        written.inspect_err(|error| self.has_trouble(error))
    }

    fn has_trouble(&self, error: &io::Error) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.get_or_insert_with(|| format!("failed to write the log `{}`: {error}", self.path));
    }

    /// Masks what has been written without a filter: well-known credentials, and what was learned
    /// since. Also what the filter can't see, because it does not keep lines back. Not to be called
    /// while a child writes.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written.
    pub fn seal(&self) -> io::Result<()> {
        seal(&self.path, &self.secrets)
    }

    /// What has kept lines of our own, or the output of children if it is masked, from being written, such as a full
    /// disk. Children that write into the file themselves are told by the system. Masked or not, a child is not
    /// disturbed by us: what it does matters more than what it says.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends both streams of `command` here. The filter, if there is one, has to be ended when the
    /// child has.
    pub(super) fn take(&self, command: &Expression) -> io::Result<(Expression, Option<Filter>)> {
        // Duct applies what is outermost first: the file has to be there when stderr is joined to it.
        let joined = command.stderr_to_stdout();
        let file = self.file.try_clone()?;
        if !self.is_filtered {
            return Ok((joined.stdout_file(file), None));
        }
        let (writer, filter) = Filter::start(self.secrets.clone(), file)?;
        Ok((joined.stdout_file(writer), Some(filter)))
    }

    /// Ends a filter that [`Log::take`] made.
    pub(super) fn end(&self, filter: Filter) {
        if let Err(error) = filter.end() {
            self.has_trouble(&error);
        }
    }

    fn is_inside_line(&self) -> io::Result<bool> {
        // Where the file is read does not matter to those who append to it.
        let mut file = &self.file;
        if file.seek(SeekFrom::End(0))? == 0 {
            return Ok(false);
        }
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(last != *b"\n")
    }
}

/// A thread that masks what comes through a pipe and writes it to a file.
///
/// An orphan that holds the pipe would keep it open for ever, so the end is not the end of the pipe: it
/// is a mark that we write into it ourselves when the child and all that belonged to it have ended.
/// What they wrote lies before the mark, however slow this thread is; what comes after it is nobody's.
/// A wait with a time limit would cut slow output or delay every child, and polling the pipe together
/// with a wake-up would need another way on Windows.
#[derive(Debug)]
pub(super) struct Filter {
    pipe: PipeWriter,
    mark: Vec<u8>,
    thread: JoinHandle<io::Result<()>>,
}

impl Filter {
    fn start(secrets: Secrets, out: impl Write + Send + 'static) -> io::Result<(PipeWriter, Filter)> {
        let (reader, writer) = io::pipe()?;
        let mark = mark();
        let pipe = writer.try_clone()?;
        let thread = thread::Builder::new().name("log mask".to_owned()).spawn({
            let mark = mark.clone();
            move || filter(reader, &mark, &secrets, out)
        })?;
        Ok((writer, Filter { pipe, mark, thread }))
    }

    /// Writes the mark and waits until everything before it is in the file.
    fn end(self) -> io::Result<()> {
        let Filter { mut pipe, mark, thread } = self;
        // So small a write is not mixed with others. An error means that the thread has gone.
        while let Err(error) = pipe.write_all(&mark) {
            match error.kind() {
                // A child may have made the pipe non-blocking, for us as well. It is full: wait for
                // the thread.
                ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(1)),
                _ => break,
            }
        }
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the masking thread panicked")))
    }
}

/// Bytes that nobody else writes: a child does not know them.
fn mark() -> Vec<u8> {
    let random = || RandomState::new().build_hasher().finish();
    format!("\0end {:016x}{:016x}\0", random(), random()).into_bytes()
}

/// Copies `reader` up to `mark` through the mask.
fn filter(mut reader: PipeReader, mark: &[u8], secrets: &Secrets, mut out: impl Write) -> io::Result<()> {
    let mut version = secrets.version();
    let mut stream = secrets.redactor().live_stream();
    let mut result = Ok(());
    // After an error everything is still read: a child that writes must not hang because we cannot.
    let mut write = |bytes: Vec<u8>| {
        if result.is_ok() {
            result = out.write_all(&bytes);
        }
    };
    let mut buffer = vec![0; 64 * 1024];
    let mut n_kept = 0;
    loop {
        let n_read = match reader.read(&mut buffer[n_kept..]) {
            Ok(n_read) => n_read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        if secrets.version() != version {
            version = secrets.version();
            stream.know(secrets.redactor());
        }
        let n_bytes = n_kept + n_read;
        let at = find_mark(&buffer[..n_bytes], mark);
        if at + mark.len() <= n_bytes || n_read == 0 {
            write(stream.push(&buffer[..at]));
            write(stream.finish());
            return result;
        }
        write(stream.push(&buffer[..at]));
        buffer.copy_within(at..n_bytes, 0);
        n_kept = n_bytes - at;
    }
}

/// Where the mark begins in `bytes`, as far as they go; their end if it does not.
fn find_mark(bytes: &[u8], mark: &[u8]) -> usize {
    // Its first byte is rare in logs, and this search is much faster than the one below.
    if !bytes.contains(&mark[0]) {
        return bytes.len();
    }
    let begins = |at: &usize| {
        let rest = &bytes[*at..];
        rest[0] == mark[0] && mark.starts_with(&rest[..rest.len().min(mark.len())])
    };
    (0..bytes.len()).find(begins).unwrap_or(bytes.len())
}

/// Masks the secrets that are in a log, in place: nothing of it is lost if this process dies meanwhile, and
/// whoever follows it goes on doing so. A log without secrets is only read.
///
/// # Errors
///
/// If the file cannot be read or written.
pub fn seal(path: &Utf8Path, secrets: &Secrets) -> io::Result<()> {
    if !secrets.any() && !may_hold_credential(path)? {
        return Ok(());
    }
    let mut reader = File::open(path)?;
    let mut rewrite =
        Rewrite { path, writer: None, n_read: 0, n_written: 0, original: Vec::new(), masked: Vec::new() };
    let mut stream = secrets.redactor().stream();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(n_read) => {
                rewrite.read(&piece[..n_read]);
                rewrite.put(stream.push(&piece[..n_read]))?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    rewrite.put(stream.finish())?;
    rewrite.end()
}

/// False if there is certainly no well-known credential in a file: told at the speed of reading it.
fn may_hold_credential(path: &Utf8Path) -> io::Result<bool> {
    let mut reader = File::open(path)?;
    let mut block = vec![0; 256 << 10];
    let mut kept = 0;
    loop {
        match reader.read(&mut block[kept..]) {
            Ok(0) => return Ok(false),
            Ok(n_read) => {
                let end = kept + n_read;
                if redact::may_hold_credential(&block[..end]) {
                    return Ok(true);
                }
                // The beginning of one may have been cut.
                kept = end.min(LONGEST_OPENING - 1);
                block.copy_within(end - kept..end, 0);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A file that is written over, from the place on at which it has to be another, and nowhere before it was read.
struct Rewrite<'a> {
    path: &'a Utf8Path,
    /// Nothing as long as all is as it was.
    writer: Option<File>,
    n_read: usize,
    n_written: usize,
    /// What was read and has not come out of the mask yet; not kept once something differs.
    original: Vec<u8>,
    /// What has come out and is not written yet: a mask may be longer than what it stands for.
    masked: Vec<u8>,
}

impl Rewrite<'_> {
    fn read(&mut self, piece: &[u8]) {
        self.n_read += piece.len();
        if self.writer.is_none() {
            self.original.extend_from_slice(piece);
        }
    }

    fn put(&mut self, masked: Vec<u8>) -> io::Result<()> {
        if self.writer.is_none() {
            if self.original.starts_with(&masked) {
                self.original.drain(..masked.len());
                self.n_written += masked.len();
                return Ok(());
            }
            let mut writer = OpenOptions::new().write(true).open(self.path)?;
            writer.seek(SeekFrom::Start(self.n_written as u64))?;
            self.writer = Some(writer);
        }
        self.masked.extend(masked);
        self.write(self.n_read - self.n_written)
    }

    /// Writes at most so many of the bytes that are ready.
    fn write(&mut self, most: usize) -> io::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let n_bytes = self.masked.len().min(most);
        writer.write_all(&self.masked[..n_bytes])?;
        self.masked.drain(..n_bytes);
        self.n_written += n_bytes;
        Ok(())
    }

    fn end(mut self) -> io::Result<()> {
        self.write(usize::MAX)?;
        self.writer.map_or(Ok(()), |writer| writer.set_len(self.n_written as u64))
    }
}

/// The digest of a log: BLAKE3 in hexadecimal.
///
/// # Errors
///
/// If the file cannot be read.
pub fn digest(path: &Utf8Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// The last `n_lines` lines among the last `max_bytes` bytes of a log, fit to be shown: text without
/// terminal escapes and control characters, progress bars in their last state, well-known credentials masked. Nothing
/// if the file cannot be read.
pub fn tail(path: &Utf8Path, n_lines: usize, max_bytes: u64) -> Vec<String> {
    // With what stands before it: the middle of a private key is known by its beginning only.
    let Ok((bytes, is_part)) = read_end(path, max_bytes + LONGEST_KEY as u64) else { return Vec::new() };
    let masked = Redactor::default().mask_bytes(&bytes).into_owned();
    let start = masked.len().saturating_sub(usize::try_from(max_bytes).unwrap_or(usize::MAX));
    let is_cut = is_part || start > 0;
    let text = String::from_utf8_lossy(&masked[start..]);
    let whole = match text.split_once('\n') {
        Some((_, rest)) if is_cut && !rest.is_empty() => rest,
        _ => &text,
    };
    let lines: Vec<&str> = whole.lines().collect();
    lines[lines.len().saturating_sub(n_lines)..].iter().map(|line| plain(line)).collect()
}

/// The last bytes of a file, and whether there are others before them.
pub(super) fn read_end(path: &Utf8Path, max_bytes: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(max_bytes);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(max_bytes).read_to_end(&mut bytes)?;
    Ok((bytes, start > 0))
}

/// A line as a terminal would leave it, as far as that is text.
pub(super) fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut returned = false;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\x1b' => skip_escape(&mut characters),
            '\u{9b}' => skip_sequence(&mut characters),
            // What follows is written over what is there.
            '\r' => returned = true,
            '\x08' => {
                out.pop();
            }
            '\t' => out.push(' '),
            _ if character.is_control() || is_direction(character) => {}
            _ => {
                if returned {
                    out.clear();
                    returned = false;
                }
                out.push(character);
            }
        }
    }
    out
}

/// Marks that make text be shown in another order than it has.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Skips what follows an escape character (ECMA-48).
fn skip_escape(characters: &mut std::str::Chars<'_>) {
    match characters.next() {
        Some('[') => skip_sequence(characters),
        // Strings, such as titles and links: up to a bell or another escape with a backslash.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(character) = characters.next() {
                if character == '\x07' || character == '\x1b' && characters.next() == Some('\\') {
                    break;
                }
            }
        }
        Some(' '..='/') => {
            characters.find(|character| !matches!(character, ' '..='/'));
        }
        _ => {}
    }
}

/// Skips parameters up to the letter that ends them.
fn skip_sequence(characters: &mut std::str::Chars<'_>) {
    characters.find(|character| matches!(character, '@'..='~'));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::secrets::Secret;

    fn place() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("log")).unwrap();
        (folder, path)
    }

    fn secret() -> Secrets {
        let secret = Secret { whose: "`TOKEN`".to_owned(), value: "s3cr3t-value".to_owned(), named: true };
        Secrets::new([secret])
    }

    #[test]
    fn notes_stand_on_lines_of_their_own_and_are_masked() {
        let (_folder, path) = place();
        let log = Log::create(&path, &secret()).unwrap();
        log.note("$ login s3cr3t-value").unwrap();
        (&log.file).write_all(b"no newline").unwrap();
        log.note("exit 0").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "$ login ***\nno newline\nexit 0\n");
        assert_eq!(digest(&path).unwrap().len(), 64);
    }

    #[test]
    fn a_log_is_never_written_over() {
        let (_folder, path) = place();
        Log::create(&path, &Secrets::default()).unwrap();
        assert_eq!(Log::create(&path, &Secrets::default()).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }

    #[cfg(unix)]
    #[test]
    fn a_log_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, path) = place();
        Log::create(&path, &Secrets::default()).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    /// Everything that was written, shared with the thread that writes it.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_filter_ends_while_the_pipe_is_open() {
        let out = Shared::default();
        let (mut writer, filter) = Filter::start(secret(), out.clone()).unwrap();
        writer.write_all(b"one \0 s3cr3t-").unwrap();
        writer.write_all(b"value two \0end ").unwrap();
        filter.end().unwrap();
        assert_eq!(*out.0.lock().unwrap(), b"one \0 *** two \0end ");
        assert_eq!(writer.write_all(b"late").unwrap_err().kind(), ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_filter_that_cannot_write_goes_on_reading() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (mut writer, filter) = Filter::start(secret(), Full).unwrap();
        writer.write_all(&vec![b'\n'; 1 << 20]).unwrap();
        assert_eq!(filter.end().unwrap_err().kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn a_mark_is_found_wherever_the_bytes_are_cut() {
        let mark = mark();
        let text = [b"a\0b\0end c", &mark[..], b"rest"].concat();
        for n in 0..=text.len() {
            let whole = find_mark(&text[..n], &mark);
            let certain = text[..n.min(9)].len();
            assert!(whole <= certain && (n < 9 + mark.len() || whole == 9), "{n}: {whole}");
        }
        assert_eq!(find_mark(b"\0\0\0", &mark), 2);
    }

    #[track_caller]
    fn check_seal(text: &[u8], expected: &[u8]) {
        let (_folder, path) = place();
        std::fs::write(&path, text).unwrap();
        seal(&path, &secret()).unwrap();
        let sealed = std::fs::read(&path).unwrap();
        assert!(sealed == expected, "{} and {} bytes", sealed.len(), expected.len());
    }

    #[test]
    fn a_log_is_sealed_in_place() {
        check_seal(b"", b"");
        check_seal(b"nothing here\n\xff", b"nothing here\n\xff");
        check_seal(b"a s3cr3t-value b\nc s3cr3t-\nvalue", b"a *** b\nc ***");
        check_seal(b"AKIAIOSFODNN7EXAMPLE", b"***");
        // Masks that are longer than what they stand for, over more than is read at a time.
        let (short, masked) = ("x://u:p@h ".repeat(50_000), "x://u:***@h ".repeat(50_000));
        check_seal(short.as_bytes(), masked.as_bytes());
        let long = "s3cr3t-value and more\n".repeat(20_000);
        check_seal(long.as_bytes(), long.replace("s3cr3t-value", "***").as_bytes());
    }

    /// Where nothing is declared, only the beginnings of well-known credentials are looked for at first.
    #[test]
    fn a_credential_is_found_wherever_the_reading_is_cut() {
        let token = format!("{}_{}", ["gh", "p"].concat(), "a1".repeat(20));
        for n_before in (256 << 10) - 8..(256 << 10) + 2 {
            let (_folder, path) = place();
            let before = format!("{}\n", "x".repeat(n_before - 1));
            std::fs::write(&path, format!("{before}{token}\nafter\n")).unwrap();
            seal(&path, &Secrets::default()).unwrap();
            let sealed = std::fs::read_to_string(&path).unwrap();
            assert!(sealed == format!("{before}***\nafter\n"), "{n_before}");
        }
    }

    #[test]
    fn a_clean_log_is_not_written_again() {
        let (_folder, path) = place();
        std::fs::write(&path, "nothing here\n").unwrap();
        let mut permissions = path.metadata().unwrap().permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(&path, permissions).unwrap();
        let before = path.metadata().unwrap().modified().unwrap();
        seal(&path, &secret()).unwrap();
        assert_eq!(path.metadata().unwrap().modified().unwrap(), before);
    }

    #[test]
    fn a_filter_masks_what_is_learned_meanwhile() {
        let (out, secrets) = (Shared::default(), Secrets::default());
        let (mut writer, filter) = Filter::start(secrets.clone(), out.clone()).unwrap();
        secrets.learn([Secret { whose: "x".to_owned(), value: "l3arned-value".to_owned(), named: true }]);
        writer.write_all(b"l3arned-value\n").unwrap();
        filter.end().unwrap();
        assert_eq!(*out.0.lock().unwrap(), b"***\n");
    }

    #[test]
    fn the_end_of_a_key_is_no_part_of_a_tail() {
        let key =
            format!("-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\n", "MIIEvQ\n".repeat(1000));
        let (_folder, path) = place();
        std::fs::write(&path, format!("before\n{key}after\n")).unwrap();
        assert_eq!(tail(&path, 3, 500), ["before", "***", "after"]);
    }

    #[track_caller]
    fn check_tail(text: &str, expected: &[&str]) {
        let (_folder, path) = place();
        std::fs::write(&path, text).unwrap();
        assert_eq!(tail(&path, 10, 1 << 16), expected);
    }

    #[test]
    fn a_tail_is_plain_text() {
        check_tail("", &[]);
        check_tail("one\ntwo", &["one", "two"]);
        check_tail("one\r\ntwo\r\n", &["one", "two"]);
        check_tail(
            "\x1b[1;31mred\x1b[0m\x1b]0;title\x07 \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
            &["red link"],
        );
        check_tail("\x1b(Bplain\x1b7\x1b=\u{9b}2Jtext\x1b[", &["plaintext"]);
        check_tail("10%\r20%\r30%\r", &["30%"]);
        check_tail("10%\r\x1b[K20%\ndone", &["20%", "done"]);
        check_tail("|\x08/\x08-\x08ok\tyes\x00\x07\u{202e}", &["ok yes"]);
    }

    #[test]
    fn a_tail_is_bounded() {
        let (_folder, path) = place();
        std::fs::write(&path, "first\nsecond\nthird\n").unwrap();
        assert_eq!(tail(&path, 2, 1000), ["second", "third"]);
        assert_eq!(tail(&path, 9, 8), ["third"]);
        assert_eq!(tail(&path, 9, 3), ["rd"]);
        std::fs::write(&path, b"caf\xc3\xa9 \xff").unwrap();
        assert_eq!(tail(&path, 9, 3), ["\u{fffd} \u{fffd}"]);
        assert!(tail(Utf8Path::new("no such file"), 9, 9).is_empty());
    }
}
