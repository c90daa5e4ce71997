//! Writes markup that no text from outside can become a part of.
//!
//! Markup is what this program has as literals, which the type of [`Markup::html`] sees to. Everything else goes through
//! one of the other functions and is a text, an address of the web or a number. What comes out is well-formed, so that
//! readers of XML can judge it too.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use crate::plain;
use crate::report::escape;
use crate::wording;

/// A document, as far as it is written.
#[derive(Debug, Default)]
pub struct Markup {
    out: String,
    clock: Clock,
}

/// What ages count from.
#[derive(Debug, Default, Clone, Copy)]
pub enum Clock {
    /// Nothing is known of the time.
    #[default]
    None,
    /// When the outside was looked at.
    Now(Timestamp),
    /// The last evidence. Whoever reads the report later knows better what time it is: the script counts from then.
    Evidence(Timestamp),
}

impl Markup {
    /// Nothing yet. Ages count from `clock`.
    pub fn new(clock: Clock) -> Self {
        Self { out: String::with_capacity(1 << 16), clock }
    }

    /// Everything that was written.
    pub fn done(self) -> String {
        self.out
    }

    /// Markup.
    pub fn html(&mut self, literal: &'static str) -> &mut Self {
        self.out.push_str(literal);
        self
    }

    /// A line of text, also as the value of an attribute.
    pub fn text(&mut self, text: &str) -> &mut Self {
        if is_clean(text) {
            escaped(text, &mut self.out);
        } else {
            escaped(&plain::line(text), &mut self.out);
        }
        self
    }

    /// A line of text; what it quotes with backticks becomes code.
    pub fn prose(&mut self, text: &str) -> &mut Self {
        let line = plain::line(text);
        let mut rest = line.as_str();
        while let Some((before, inner, after)) = escape::next_span(rest) {
            escaped(before, &mut self.out);
            self.code(inner);
            rest = after;
        }
        escaped(rest, &mut self.out);
        self
    }

    /// A line of code.
    pub fn code(&mut self, text: &str) -> &mut Self {
        self.html("<code>").text(text).html("</code>")
    }

    /// Lines of text, for where white space is kept.
    pub fn block(&mut self, text: &str) -> &mut Self {
        escaped(&plain::block(text), &mut self.out);
        self
    }

    /// A number.
    pub fn n(&mut self, n: usize) -> &mut Self {
        let _ = write!(self.out, "{n}");
        self
    }

    /// A number as drawings need it: two digits after the point at most.
    pub fn coordinate(&mut self, value: f64) -> &mut Self {
        let value = if value.is_finite() { value } else { 0.0 };
        let text = format!("{value:.2}");
        self.out.push_str(text.trim_end_matches('0').trim_end_matches('.'));
        self
    }

    /// A duration.
    pub fn ms(&mut self, ms: u64) -> &mut Self {
        self.text(&wording::duration(Duration::from_millis(ms)))
    }

    /// A point of time.
    pub fn time(&mut self, at: Timestamp) -> &mut Self {
        let _ = write!(self.out, "<time datetime=\"{at:.0}\">{}</time>", at.strftime("%F %R UTC"));
        self
    }

    /// A point of time, with how old it is.
    pub fn aged(&mut self, at: Timestamp) -> &mut Self {
        self.time(at);
        let (from, ending) = match self.clock {
            Clock::None => return self,
            Clock::Now(now) => (now, " ago"),
            Clock::Evidence(last) => (last, " before the last evidence"),
        };
        let Ok(age) = Duration::try_from(from.duration_since(at)) else { return self };
        if age.as_secs() < 60 && matches!(self.clock, Clock::Evidence(_)) {
            return self.html(" <span class=\"age\"></span>");
        }
        self.html(" <span class=\"age\">(").text(&wording::age(age)).html(ending).html(")</span>")
    }

    /// An address of the web as a link to itself; anything else as a text, since it might be a script.
    pub fn link(&mut self, address: &str) -> &mut Self {
        let web = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
        if !web || address.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return self.text(address);
        }
        self.html("<a rel=\"noreferrer noopener\" href=\"").text(address).html("\">");
        self.text(address).html("</a>")
    }

    /// A picture, which escapes for itself.
    pub fn drawing(&mut self, svg: &str) -> &mut Self {
        self.out.push_str(svg);
        self
    }
}

/// True if a text is a line that shows itself. Most are, and need no copy.
fn is_clean(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().all(|b| (b' '..=b'~').contains(b))
        && !bytes.windows(2).any(|pair| pair == b"  ")
        && bytes.first() != Some(&b' ')
        && bytes.last() != Some(&b' ')
}

fn escaped(text: &str, out: &mut String) {
    let mut from = 0;
    for (at, c) in text.char_indices() {
        let entity = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&#39;",
            // Neither HTML nor XML has a place for what is no character, not even escaped.
            c if u32::from(c) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c) => "",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        out.push_str(entity);
        from = at + c.len_utf8();
    }
    out.push_str(&text[from..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::sample;

    fn made(write: impl Fn(&mut Markup)) -> String {
        let mut markup = Markup::default();
        write(&mut markup);
        markup.done()
    }

    #[test]
    fn texts_mean_themselves() {
        let table = [
            ("</script><b a='\"'>&lt;", "&lt;/script&gt;&lt;b a=&#39;&quot;&#39;&gt;&amp;lt;"),
            ("  a\n\tb \u{1b}[31mred\u{1b}[0m", "a b red"),
            ("a  b", "a b"),
            ("\u{202e}x\u{fffe}\u{1ffff}\u{0}", "x"),
            ("{{ x }} ${y} `z` | é", "{{ x }} ${y} `z` | é"),
        ];
        for (from, to) in table {
            assert_eq!(made(|m| _ = m.text(from)), to, "{from:?}");
        }
        assert_eq!(made(|m| _ = m.prose("`<a>` ``b`c`` `d")), "<code>&lt;a&gt;</code> <code>b`c</code> `d");
        assert_eq!(made(|m| _ = m.block("a\n\t<b>\u{1b}]0;x\u{7}\n")), "a\n    &lt;b&gt;");
    }

    #[test]
    fn only_addresses_of_the_web_are_links() {
        let link = |address: &str| made(|m| _ = m.link(address));
        assert_eq!(
            link("https://x.y/?a=1&b=\"2"),
            "<a rel=\"noreferrer noopener\" href=\"https://x.y/?a=1&amp;b=&quot;2\">https://x.y/?a=1&amp;b=&quot;2</a>"
        );
        for address in
            ["javascript:alert(1)", "JAVASCRIPT:x", "data:text/html,x", " https://x", "https://x y", "//x"]
        {
            assert!(!link(address).contains("<a"), "{address}");
        }
    }

    #[test]
    fn ages_count_from_what_is_known() {
        let at: Timestamp = "2026-01-27T10:00:00Z".parse().expect("a time");
        let later: Timestamp = "2026-01-29T10:00:00Z".parse().expect("a time");
        let aged = |clock| {
            let mut markup = Markup::new(clock);
            markup.aged(at);
            markup.done()
        };
        let time = "<time datetime=\"2026-01-27T10:00:00Z\">2026-01-27 10:00 UTC</time>";
        assert_eq!(aged(Clock::None), time);
        assert_eq!(aged(Clock::Now(later)), format!("{time} <span class=\"age\">(2 d ago)</span>"));
        assert_eq!(
            aged(Clock::Evidence(later)),
            format!("{time} <span class=\"age\">(2 d before the last evidence)</span>")
        );
        // The script has something to fill.
        assert_eq!(aged(Clock::Evidence(at)), format!("{time} <span class=\"age\"></span>"));
    }

    #[test]
    fn coordinates_are_short() {
        let shown = [0.0, 12.5, 100.0, 33.333_33, f64::NAN].map(|value| made(|m| _ = m.coordinate(value)));
        assert_eq!(shown, ["0", "12.5", "100", "33.33", "0"]);
    }

    proptest! {
        #[test]
        fn no_text_is_taken_for_markup(text in sample::hostile()) {
            for write in [Markup::text, Markup::prose, Markup::block] {
                let html = made(|m| _ = write(m, &text)).replace("<code>", "").replace("</code>", "");
                prop_assert!(!html.contains(['<', '>', '"', '\'']), "{html:?}");
            }
        }
    }
}
