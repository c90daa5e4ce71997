//! A reader of tar archives that never seeks, so that archives inside archives can be read on the way.
//!
//! Formats: POSIX ustar and pax (POSIX.1-2017, `pax`), and GNU tar's long names and large sizes.

use std::io::{self, Read};

/// The unit of the format, in bytes.
pub const BLOCK: usize = 512;

/// The largest header extension that is read into memory, in bytes. Real ones are a few hundred.
const EXTENSION_LIMIT: u64 = 1 << 20;

/// A member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path in the archive.
    pub name: String,
    /// The size of its content in bytes.
    pub size: u64,
    /// True for a regular file, the only kind with content.
    pub regular: bool,
}

/// An archive that is being read. Between two calls of [`Tar::next`], reading gives the content of the member.
pub struct Tar<'r> {
    inner: &'r mut dyn Read,
    /// Content of the member at hand that is not read yet, and the padding after it.
    left: u64,
    padding: u64,
}

impl<'r> Tar<'r> {
    /// Starts at the first header.
    pub fn new(inner: &'r mut dyn Read) -> Self {
        Self { inner, left: 0, padding: 0 }
    }

    /// Goes on to the next member; nothing at the end of the archive.
    pub fn next(&mut self) -> io::Result<Option<Member>> {
        let (mut long_name, mut pax_name, mut pax_size) = (None, None, None);
        loop {
            self.skip_rest()?;
            let mut header = [0; BLOCK];
            if !fill(self.inner, &mut header)? || header.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            if !is_header(&header) {
                return Err(damaged("a header has a wrong checksum"));
            }
            let kind = header[156];
            let size = pax_size.unwrap_or(number(&header[124..136])?);
            self.left = size;
            self.padding = size.next_multiple_of(BLOCK as u64) - size;
            match kind {
                b'L' => long_name = Some(text(&self.extension()?)),
                b'x' => (pax_name, pax_size) = pax(&self.extension()?),
                // A global header, or the long target of a link: neither says anything about names and sizes.
                b'g' | b'K' => {}
                b'S' => return Err(damaged("it has a sparse member, which is not read here")),
                _ => {
                    let name = pax_name.or(long_name).unwrap_or_else(|| name_of(&header));
                    let regular = matches!(kind, b'0' | b'\0' | b'7');
                    return Ok(Some(Member { name, size, regular }));
                }
            }
        }
    }

    fn extension(&mut self) -> io::Result<Vec<u8>> {
        if self.left > EXTENSION_LIMIT {
            return Err(damaged("a header extension is longer than 1 MiB"));
        }
        let mut out = Vec::new();
        self.read_to_end(&mut out)?;
        Ok(out)
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink())?;
        let copied = io::copy(&mut (&mut *self.inner).take(self.padding), &mut io::sink())?;
        // Some writers leave out the padding of the last member.
        self.padding -= copied;
        Ok(())
    }
}

/// The content of the member at hand.
impl Read for Tar<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let n = self.inner.read(&mut buffer[..most])?;
        if n == 0 {
            return Err(damaged("it ends in the middle of a member"));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Fills `buffer`; false if nothing is left, an error if something is, but not enough.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<bool> {
    let n = read_up_to(reader, buffer)?;
    if n == 0 || n == buffer.len() { Ok(n > 0) } else { Err(damaged("it ends in the middle of a header")) }
}

/// Reads until `buffer` is full or nothing is left.
pub fn read_up_to(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match reader.read(&mut buffer[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n)
}

/// True if a block is a header: its checksum, in which its own field counts as blanks, is right.
pub fn is_header(block: &[u8]) -> bool {
    let Some(block) = block.get(..BLOCK) else { return false };
    let sum: u64 = block
        .iter()
        .enumerate()
        .map(|(i, byte)| u64::from(if (148..156).contains(&i) { b' ' } else { *byte }))
        .sum();
    block[0] != 0 && number(&block[148..156]).is_ok_and(|stored| stored == sum)
}

/// A number in octal digits, or in binary where the first bit is set (GNU).
fn number(field: &[u8]) -> io::Result<u64> {
    if field[0] & 0x80 != 0 {
        let first = u64::from(field[0] & 0x7f);
        return field[1..]
            .iter()
            .try_fold(first, |n, byte| n.checked_mul(256)?.checked_add(u64::from(*byte)))
            .ok_or_else(|| damaged("a number is too large"));
    }
    let digits = text(field);
    let digits = digits.trim_matches([' ', '\0']);
    if digits.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(digits, 8).map_err(|_| damaged("a number is not in octal digits"))
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn name_of(header: &[u8; BLOCK]) -> String {
    let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
    // GNU's format, `ustar  `, keeps times where POSIX keeps the prefix.
    if &header[257..263] == b"ustar\0" && !prefix.is_empty() { format!("{prefix}/{name}") } else { name }
}

/// Path and size in a pax header: records `length key=value\n`.
fn pax(records: &[u8]) -> (Option<String>, Option<u64>) {
    let (mut path, mut size) = (None, None);
    let mut rest = records;
    while let Some(blank) = rest.iter().position(|byte| *byte == b' ') {
        let length: Option<usize> =
            std::str::from_utf8(&rest[..blank]).ok().and_then(|digits| digits.parse().ok());
        let Some(record) = length.and_then(|length| rest.get(blank + 1..length)) else { break };
        let record = String::from_utf8_lossy(record);
        match record.trim_end_matches('\n').split_once('=') {
            Some(("path", value)) => path = Some(value.to_owned()),
            Some(("size", value)) => size = value.parse().ok(),
            _ => {}
        }
        rest = &rest[length.unwrap_or(rest.len())..];
    }
    (path, size)
}

#[cfg(test)]
pub mod testing {
    //! Archives for tests.

    use super::BLOCK;

    /// A member as ustar has it.
    pub fn member(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut header = [0; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[148..156].copy_from_slice(b"        ");
        header[156] = kind;
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut out = header.to_vec();
        out.extend(content);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        out
    }

    /// An archive of regular files.
    pub fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out: Vec<u8> = files.iter().flat_map(|(name, content)| member(name, b'0', content)).collect();
        out.resize(out.len() + 2 * BLOCK, 0);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{archive, member};
    use super::*;

    fn list(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
        let mut input = bytes;
        let mut tar = Tar::new(&mut input);
        let mut out = Vec::new();
        while let Some(member) = tar.next().map_err(|error| error.to_string())? {
            let mut content = String::new();
            if member.regular {
                tar.read_to_string(&mut content).map_err(|error| error.to_string())?;
                assert_eq!(content.len() as u64, member.size);
            }
            out.push((member.name, content));
        }
        Ok(out)
    }

    fn pairs(names: &[(&str, &str)]) -> Vec<(String, String)> {
        names.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn members_and_their_content() {
        let bytes = archive(&[("a", b"1"), ("b/c", &[b'x'; 512]), ("empty", b"")]);
        assert_eq!(list(&bytes), Ok(pairs(&[("a", "1"), ("b/c", &"x".repeat(512)), ("empty", "")])));
    }

    #[test]
    fn content_may_be_passed_over() {
        let bytes = archive(&[("a", &[1; 700]), ("b", b"2")]);
        let mut input = bytes.as_slice();
        let mut tar = Tar::new(&mut input);
        assert_eq!(tar.next().unwrap().unwrap().name, "a");
        assert_eq!(tar.next().unwrap().unwrap().name, "b");
        assert_eq!(tar.next().unwrap(), None);
    }

    #[test]
    fn long_names_and_links() {
        let long = "d/".repeat(100) + "file";
        let record = format!(" path={long}\n");
        let length = record.len() + 3;
        let bytes = [
            member("././@LongLink", b'L', format!("{long}\0").as_bytes()),
            member("short", b'0', b"1"),
            member("pax", b'x', format!("{length}{record}").as_bytes()),
            member("short", b'0', b"2"),
            member("g", b'g', b"17 comment=hello\n"),
            member("link", b'2', b""),
        ]
        .concat();
        assert_eq!(list(&bytes), Ok(pairs(&[(&long, "1"), (&long, "2"), ("link", "")])));
    }

    #[test]
    fn damage_is_named() {
        let bytes = archive(&[("a", b"1234")]);
        assert_eq!(list(&bytes[..514]), Err("it ends in the middle of a member".to_owned()));
        assert_eq!(list(&bytes[..100]), Err("it ends in the middle of a header".to_owned()));
        let mut broken = bytes.clone();
        broken[3] = b'z';
        assert_eq!(list(&broken), Err("a header has a wrong checksum".to_owned()));
        assert_eq!(list(b""), Ok(Vec::new()));
        assert_eq!(list(&bytes[..516]), Ok(pairs(&[("a", "1234")])));
    }

    #[test]
    fn large_sizes_are_binary() {
        let mut field = [0; 12];
        field[0] = 0x80;
        field[7] = 2;
        assert_eq!(number(&field).unwrap(), 2 << 32);
        assert_eq!(number(b"0000644\0").unwrap(), 0o644);
        assert!(number(b"12x\0").is_err());
    }
}
