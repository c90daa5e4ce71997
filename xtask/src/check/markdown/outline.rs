//! Headings, sections and fenced code blocks of a Markdown text, after CommonMark 0.31: what a check needs of it.

use crate::check::Finding;
use crate::wording;

/// The shape of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Headings in order.
    pub headings: Vec<Heading>,
    /// Fenced code blocks in order.
    pub blocks: Vec<Block>,
    lines: usize,
}

/// A heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// 1 to 6.
    pub level: usize,
    /// Without marks of emphasis and code.
    pub text: String,
    /// One-based.
    pub line: usize,
}

/// A fenced code block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The first word after the fence, in lower case.
    pub language: String,
    /// The one-based line of the first line inside.
    pub line: usize,
    /// What is inside, without the fence's own indentation.
    pub text: String,
    /// False if the text ends before the fence does.
    pub closed: bool,
}

/// A section: the lines from a heading to the next one of its level or above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// The line of the heading.
    pub from: usize,
    /// The line after the last one.
    pub to: usize,
}

/// The mark that a block starts with.
struct Fence {
    mark: char,
    length: usize,
    indent: usize,
}

impl Outline {
    /// Reads a text.
    pub fn of(text: &str) -> Self {
        let mut out = Self { headings: Vec::new(), blocks: Vec::new(), lines: text.lines().count() };
        let mut fence: Option<Fence> = None;
        let mut in_comment = false;
        let mut above = "";
        for (i, line) in text.lines().enumerate().skip(front_matter(text)) {
            if let Some(open) = &fence {
                if out.inside(open, line) {
                    fence = None;
                }
                above = "";
                continue;
            }
            if in_comment || line.trim_start().starts_with("<!--") {
                in_comment = !line.contains("-->");
                above = "";
                continue;
            }
            if let Some((open, language)) = open_fence(line) {
                fence = Some(open);
                out.blocks.push(Block { language, line: i + 2, text: String::new(), closed: false });
            } else if let Some(level) = underline(line, above) {
                out.headings.push(Heading { level, text: plain(above), line: i });
            } else if let Some((level, text)) = atx(line) {
                out.headings.push(Heading { level, text: plain(text), line: i + 1 });
                above = "";
                continue;
            }
            above = line;
        }
        out
    }

    /// Takes a line of an open block; true if it closes the block.
    fn inside(&mut self, open: &Fence, line: &str) -> bool {
        let Some(block) = self.blocks.last_mut() else { return true };
        let bare = line.trim();
        if bare.len() >= open.length && bare.chars().all(|c| c == open.mark) {
            block.closed = true;
            return true;
        }
        let indent = line.len() - line.trim_start_matches(' ').len();
        block.text.push_str(&line[indent.min(open.indent)..]);
        block.text.push('\n');
        false
    }

    /// The section under a heading; case and emphasis do not count.
    pub fn section(&self, heading: &str) -> Option<Section> {
        let wanted = plain(heading).to_lowercase();
        let at = self.headings.iter().position(|heading| heading.text.to_lowercase() == wanted)?;
        let level = self.headings[at].level;
        let next = self.headings[at + 1..].iter().find(|heading| heading.level <= level);
        Some(Section {
            from: self.headings[at].line,
            to: next.map_or(self.lines + 1, |heading| heading.line),
        })
    }

    /// The whole text as a section.
    pub fn whole(&self) -> Section {
        Section { from: 1, to: self.lines + 1 }
    }

    /// The blocks in a section.
    pub fn blocks_in(&self, section: Section) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(move |block| (section.from..section.to).contains(&block.line))
    }

    /// The finding for a heading that is not there, with the one that may be meant.
    pub fn missing(&self, heading: &str, path: &str) -> Finding {
        let finding = Finding::unmet(format!("the heading \"{heading}\""), "none", path);
        match wording::nearest(heading, self.headings.iter().map(|heading| heading.text.as_str())) {
            Some(near) => finding.hint(format!("there is \"{near}\"")),
            None => finding,
        }
    }
}

/// The lines of a block of metadata at the very beginning, between two lines `---`.
fn front_matter(text: &str) -> usize {
    let mut lines = text.lines();
    if lines.next() != Some("---") {
        return 0;
    }
    lines.position(|line| line == "---").map_or(0, |at| at + 2)
}

/// A fence may be indented further than CommonMark's three blanks: in a list item it is.
fn open_fence(line: &str) -> Option<(Fence, String)> {
    let bare = line.trim_start();
    let mark = bare.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = bare.len() - bare.trim_start_matches(mark).len();
    let info = bare[length..].trim();
    if length < 3 || (mark == '`' && info.contains('`')) {
        return None;
    }
    let language = info.split([' ', ',', '{']).next().unwrap_or_default().to_lowercase();
    Some((Fence { mark, length, indent: line.len() - bare.len() }, language))
}

fn atx(line: &str) -> Option<(usize, &str)> {
    let bare = line.trim_start_matches(' ');
    let level = bare.len() - bare.trim_start_matches('#').len();
    let text = &bare[level..];
    if line.len() - bare.len() > 3
        || !(1..=6).contains(&level)
        || !(text.is_empty() || text.starts_with([' ', '\t']))
    {
        return None;
    }
    let text = text.trim();
    let without = text.trim_end_matches('#');
    Some((
        level,
        if without.is_empty() || without.ends_with([' ', '\t']) { without.trim_end() } else { text },
    ))
}

/// A setext heading: a paragraph's line with `===` or `---` below.
fn underline(line: &str, above: &str) -> Option<usize> {
    let bare = line.trim();
    let paragraph =
        above.chars().next().is_some_and(|c| c.is_alphanumeric() || matches!(c, '`' | '*' | '[' | '"'))
            && !above.starts_with("* ")
            && !above.starts_with("```");
    if !paragraph || bare.is_empty() || line.starts_with("    ") {
        return None;
    }
    match bare {
        _ if bare.chars().all(|c| c == '=') => Some(1),
        _ if bare.chars().all(|c| c == '-') => Some(2),
        _ => None,
    }
}

fn plain(text: &str) -> String {
    text.trim().chars().filter(|c| !matches!(c, '`' | '*')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
---
title: not a heading
---
# Guide

Setext `one`
===

## Install ##
```bash
# not a heading
docker build .
```

### Step *1*
1. item
   ~~~ sh
   indented
     more
   ~~~
<!--
## Hidden
-->
    # indented code
#no heading
## Uninstall
````
```
# still inside
````
text
";

    #[test]
    fn headings_and_blocks() {
        let outline = Outline::of(TEXT);
        let headings: Vec<(usize, &str, usize)> =
            outline.headings.iter().map(|h| (h.level, h.text.as_str(), h.line)).collect();
        assert_eq!(
            headings,
            [
                (1, "Guide", 4),
                (1, "Setext one", 6),
                (2, "Install", 9),
                (3, "Step 1", 15),
                (2, "Uninstall", 26)
            ]
        );
        let blocks: Vec<(&str, usize, &str)> =
            outline.blocks.iter().map(|b| (b.language.as_str(), b.line, b.text.as_str())).collect();
        assert_eq!(
            blocks,
            [
                ("bash", 11, "# not a heading\ndocker build .\n"),
                ("sh", 18, "indented\n  more\n"),
                ("", 28, "```\n# still inside\n")
            ]
        );
        assert!(outline.blocks.iter().all(|block| block.closed));
        assert!(!Outline::of("```\nx").blocks[0].closed);
    }

    #[test]
    fn a_section_holds_its_subsections() {
        let outline = Outline::of(TEXT);
        let section = outline.section("install").unwrap();
        assert_eq!(section, Section { from: 9, to: 26 });
        assert_eq!(outline.blocks_in(section).count(), 2);
        assert_eq!(outline.section("`Uninstall`").unwrap().to, 32);
        assert_eq!(outline.section("Hidden"), None);
    }
}
