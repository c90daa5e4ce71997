//! A mistake in pipeline.toml: where, what, and what to do about it. Plain data, and one renderer.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use camino::Utf8Path;

/// One mistake. Mistakes are gathered, never thrown: a person sees all of them at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Byte range in the source that the caret marks.
    pub span: Range<usize>,
    /// What is wrong, as a sentence without a full stop, names in backticks.
    pub message: String,
    /// What to do, if it can be said.
    pub hint: Option<String>,
    /// A second place that belongs to the mistake (the first of two definitions), with its label.
    pub related: Option<(Range<usize>, String)>,
}

impl Diagnostic {
    /// A mistake at `span`.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None, related: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint if there is one.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related = Some((span, label.into()));
        self
    }
}

/// The mistakes of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mistakes {
    /// Those that are shown, in the order of their places.
    pub shown: Vec<Diagnostic>,
    /// How many more were found.
    pub more: usize,
}

impl Mistakes {
    /// How many were found.
    pub fn count(&self) -> usize {
        self.shown.len() + self.more
    }
}

/// A file that was read, with its text: what spans are positions in.
#[derive(Debug, Clone)]
pub struct Source {
    /// As it is shown: relative to the working directory where that is shorter.
    pub path: camino::Utf8PathBuf,
    /// The whole text.
    pub text: String,
}

/// One-based line and column (in characters) of a byte offset in `text`.
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    (line, String::from_utf8_lossy(&before[start..]).chars().count() + 1)
}

/// The longest part of a line that is shown: a 100 MB line must not become 100 MB of terminal.
const SHOWN_LINE: usize = 400;

/// How many characters of a message, a hint or a label are shown, of its beginning and of its end. What is long in it
/// is what it quotes.
const SHOWN_TEXT: (usize, usize) = (600, 300);

/// What is shown of a text.
fn shown(text: &str) -> String {
    let head = text.char_indices().nth(SHOWN_TEXT.0).map(|(at, _)| at);
    let tail = text.char_indices().nth_back(SHOWN_TEXT.1).map(|(at, _)| at);
    match (head, tail) {
        (Some(head), Some(tail)) if head < tail => format!("{}…{}", &text[..head], &text[tail..]),
        _ => text.to_owned(),
    }
}

/// Renders diagnostics in the order of their places, with line and caret.
pub fn render(source: &Source, diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|d| (d.span.start, d.span.end));
    let mut out = String::new();
    for d in sorted {
        out.push_str(&render_one(&renderer, &source.path, &source.text, d));
        out.push_str("\n\n");
    }
    out
}

fn render_one(renderer: &Renderer, path: &Utf8Path, text: &str, d: &Diagnostic) -> String {
    let (window, line_start, shift) = window(text, &d.span);
    let local = |r: &Range<usize>| {
        r.start.saturating_sub(shift).min(window.len())..r.end.saturating_sub(shift).min(window.len())
    };
    let (line, column) = position(text, d.span.start);
    let message = shown(&d.message);
    let mut report = Group::with_title(Level::ERROR.primary_title(message.as_str()));
    let mut snippet = Snippet::source(window)
        .line_start(line_start)
        .annotation(AnnotationKind::Primary.span(local(&d.span)));
    if shift == 0 || text.as_bytes()[shift - 1] == b'\n' {
        snippet = snippet.path(path.as_str());
    } else {
        // The window does not begin where the line does, so the column is told apart from it.
        report = report.element(Origin::path(path.as_str()).line(line).char_column(column));
    }
    let mut elsewhere = None;
    if let Some((span, label)) = &d.related {
        let label = shown(label);
        let (other, start, other_shift) = self::window(text, span);
        if other_shift == shift {
            snippet = snippet.annotation(AnnotationKind::Context.span(local(span)).label(label));
        } else {
            let range = span.start - other_shift..span.end.min(other_shift + other.len()) - other_shift;
            elsewhere = Some(
                Snippet::source(other)
                    .line_start(start)
                    .path(path.as_str())
                    .annotation(AnnotationKind::Context.span(range).label(label)),
            );
        }
    }
    report = report.element(snippet);
    if let Some(elsewhere) = elsewhere {
        report = report.element(elsewhere);
    }
    if let Some(hint) = &d.hint {
        report = report.element(Level::HELP.message(shown(hint)));
    }
    renderer.render(&[report])
}

/// The line that holds the start of `span`, cut to what can be shown: its text, its number, and the
/// offset of the text in the file.
fn window<'a>(text: &'a str, span: &Range<usize>) -> (&'a str, usize, usize) {
    let at = span.start.min(text.len());
    let bytes = text.as_bytes();
    let start = bytes[..at].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let end = bytes[at..].iter().position(|b| *b == b'\n').map_or(text.len(), |i| at + i);
    let line = bytes[..at].iter().filter(|b| **b == b'\n').count() + 1;
    let mut from = if at - start > SHOWN_LINE { at - 40 } else { start };
    while !text.is_char_boundary(from) {
        from -= 1;
    }
    let mut to = end.min(from + SHOWN_LINE).max(at);
    while !text.is_char_boundary(to) {
        to += 1;
    }
    (&text[from..to], line, from)
}
