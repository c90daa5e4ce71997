//! Text from outside as Markdown that means itself.
//!
//! Whatever goes in, what comes out stays on its line and in its table cell, opens nothing and closes nothing. The
//! one thing that is taken over from the text are its code spans, because sentences quote with backticks; their
//! content is quoted afresh.

use crate::plain;

/// A line of text. What it quotes with backticks becomes code.
pub fn prose(raw: &str) -> String {
    let line = plain::line(raw);
    let mut out = String::with_capacity(line.len() + 8);
    let mut rest = line.as_str();
    while let Some((before, inner, after)) = next_span(rest) {
        literal(before, rest.len() == line.len(), Some('`'), &mut out);
        out.push_str(&span(inner));
        rest = after;
    }
    literal(rest, rest.len() == line.len(), None, &mut out);
    out
}

/// A code span.
pub fn code(raw: &str) -> String {
    span(&plain::line(raw))
}

/// A fenced code block, without the line feed after it.
pub fn fence(raw: &str, language: &str) -> String {
    let content = plain::block(raw);
    let ticks = "`".repeat(longest_run(&content).max(2) + 1);
    let language: String = language.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{ticks}{language}\n{content}\n{ticks}")
}

/// A pipe in a table ends the cell even inside backticks, and the backslash that keeps it from doing so is shown
/// outside of tables. An element means the same in both places.
fn span(line: &str) -> String {
    if line.trim().is_empty() {
        return String::new();
    }
    if line.contains('|') {
        let mut out = String::from("<code>");
        literal(line, true, Some('<'), &mut out);
        out.push_str("</code>");
        return out;
    }
    let ticks = "`".repeat(longest_run(line) + 1);
    let pad = if line.starts_with('`') || line.ends_with('`') { " " } else { "" };
    format!("{ticks}{pad}{line}{pad}{ticks}")
}

/// The first code span: what stands before it, its content, what stands after it. A run of backticks is closed by
/// the next run of the same length, as in CommonMark.
pub(super) fn next_span(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some((start, length)) = next_run(text, from) {
        let mut at = start + length;
        while let Some((end, closing)) = next_run(text, at) {
            let inner = text[start + length..end].trim();
            if closing == length && !inner.is_empty() {
                return Some((&text[..start], inner, &text[end + closing..]));
            }
            at = end + closing;
        }
        from = start + length;
    }
    None
}

/// Where the next run of backticks starts, and how many it has.
fn next_run(text: &str, from: usize) -> Option<(usize, usize)> {
    let start = from + text[from..].find('`')?;
    Some((start, text[start..].bytes().take_while(|b| *b == b'`').count()))
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

/// Writes text in which nothing is markup. `starts` says that it may stand at the beginning of a line, `next` what
/// is written after it, if that is known.
fn literal(text: &str, starts: bool, next: Option<char>, out: &mut String) {
    let start = if starts { block_marker(text) } else { None };
    let mut before = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let after = chars.peek().map(|(_, c)| *c).or(next);
        if start == Some(at) || is_markup(c, before, after, &text[at..]) {
            out.push('\\');
        }
        out.push(c);
        before = Some(c);
    }
}

/// The byte that would make the text a list item, a quotation, a rule or an underline if it began a line.
fn block_marker(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let marker = text[digits..].chars().next()?;
    let after = text[digits + marker.len_utf8()..].chars().next();
    let is_marker = match marker {
        '.' | ')' => digits > 0 && after.is_none_or(char::is_whitespace),
        '>' => digits == 0,
        '-' | '+' | '=' | ':' => digits == 0 && after.is_none_or(|c| !c.is_alphanumeric()),
        _ => false,
    };
    is_marker.then_some(digits)
}

/// True if a backslash has to stand before the character. What needs none gets none: the source is read too.
fn is_markup(c: char, before: Option<char>, after: Option<char>, from_here: &str) -> bool {
    let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    match c {
        '`' | '*' | '[' | ']' | '|' | '~' | '$' => true,
        '\\' => after.is_none_or(|c| c.is_ascii_punctuation()),
        '_' => !(word(before) && word(after)),
        '#' => before.is_none_or(char::is_whitespace),
        '<' => after.is_none_or(|c| c.is_alphabetic() || "/!?".contains(c)),
        '&' => after.is_none() || is_entity(from_here),
        _ => false,
    }
}

/// `&amp;`, `&#38;` and the like.
fn is_entity(text: &str) -> bool {
    let name = text[1..].trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '#');
    name.len() < text.len() - 1 && name.starts_with(';')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_keeps_code_and_escapes_the_rest() {
        let table = [
            ("`docker`: not running", "`docker`: not running"),
            ("a * b_c _d_ [x](y) ~z~", r"a \* b_c \_d\_ \[x\](y) \~z\~"),
            ("one ` tick", r"one \` tick"),
            ("``a`b`` and `c", r"``a`b`` and \`c"),
            ("`` ` ``", "`` ` ``"),
            ("`a|b` c|d", r"<code>a\|b</code> c\|d"),
            ("</script><!-- x -->", r"\</script>\<!-- x -->"),
            ("< 500 MB, >= 20", "< 500 MB, >= 20"),
            (">= 20", r"\>= 20"),
            ("# no heading", r"\# no heading"),
            ("1. no list", r"1\. no list"),
            ("1.5 s", "1.5 s"),
            ("- no list", r"\- no list"),
            ("---", r"\---"),
            ("-v", "-v"),
            ("a\nb\r\n# c", r"a b \# c"),
            ("&lt; a&b;c & d", r"\&lt; a\&b;c & d"),
            (r"C:\dir\*\", r"C:\dir\\\*\\"),
            ("\u{1b}[1mbold\u{1b}[0m", "bold"),
            ("``", r"\`\`"),
            ("` `", r"\` \`"),
            ("", ""),
        ];
        for (from, to) in table {
            assert_eq!(prose(from), to, "{from:?}");
        }
    }

    #[test]
    fn code_has_a_fence_that_its_content_cannot_close() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a`b``c"), "```a`b``c```");
        assert_eq!(code("`a"), "`` `a ``");
        assert_eq!(code("a | b*"), r"<code>a \| b\*</code>");
        assert_eq!(code(" \n"), "");
        assert_eq!(fence("x\n```\ny\n", "bash"), "````bash\nx\n```\ny\n````");
        assert_eq!(fence("x", "ba`sh\n"), "```bash\nx\n```");
    }
}
