//! Text from outside, made harmless to show: no terminal escapes, no control characters, nothing invisible that
//! changes the direction or the place of what stands around it.

use std::iter::Peekable;
use std::str::Chars;

/// One line: white space, line feeds included, becomes single spaces.
pub fn line(text: &str) -> String {
    let clean = without_escapes(text);
    let mut out = String::with_capacity(clean.len());
    for word in clean.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Several lines: line feeds and indentation stay, tabs become four spaces.
pub fn block(text: &str) -> String {
    let clean = without_escapes(&text.replace("\r\n", "\n"));
    clean.replace('\t', "    ").trim_matches('\n').to_owned()
}

/// JSON as it was, with escapes of its own for what a terminal would obey. What a serializer leaves as it is stands
/// inside of strings only.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push(c),
            c if c.is_control() || is_invisible(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Everything but what a terminal or a renderer would obey.
fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\u{9b}' => skip_control_sequence(&mut chars),
            '\n' | '\t' => out.push(c),
            '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push('\n'),
            c if c.is_control() || is_invisible(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Marks that reorder text, and marks that hide in it. The joiners stay: scripts and emoji need them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// What follows ESC: a control sequence, a string such as a title or a link, or a single character.
fn skip_escape(chars: &mut Peekable<Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            skip_control_sequence(chars);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => skip_string(chars),
        Some(' '..='~') => {
            chars.next();
        }
        _ => {}
    }
}

fn skip_control_sequence(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
    chars.next_if(|c| matches!(c, '@'..='~'));
}

/// Up to BEL or ESC `\`. One that does not end on its line was cut off: then only its introducer goes, so that it
/// takes no text with it.
fn skip_string(chars: &mut Peekable<Chars<'_>>) {
    chars.next();
    let mut ahead = chars.clone();
    while let Some(c) = ahead.next() {
        match c {
            '\u{7}' => {}
            '\u{1b}' if ahead.peek() == Some(&'\\') => {
                ahead.next();
            }
            '\n' | '\u{1b}' => return,
            _ => continue,
        }
        *chars = ahead;
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_escapes_and_single_spaces() {
        let table = [
            ("  a\tb\r\n c ", "a b c"),
            ("\u{1b}[31;1mred\u{1b}[0m", "red"),
            ("\u{9b}2Jx", "x"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{7}", "link"),
            ("\u{1b}]0;cut off", "0;cut off"),
            ("\u{1b}", ""),
            ("a\u{202e}b\u{0}c\u{200b}", "abc"),
            ("é 👩‍🔧 日本", "é 👩‍🔧 日本"),
        ];
        for (from, to) in table {
            assert_eq!(line(from), to, "{from:?}");
        }
    }

    #[test]
    fn a_block_keeps_lines_and_indentation() {
        assert_eq!(block("\nif x\r\n\ty\u{7}\n\n"), "if x\n    y");
        assert_eq!(block("a\rb"), "a\nb");
    }
}
