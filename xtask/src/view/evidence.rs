//! Whether the evidence is what was recorded.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::{Look, marked, wrap};
use crate::ledger::chain::{Flaw, Verified};
use crate::plain;
use crate::wording::plural;

/// What there is, and each flaw with its place and why it is thought to be one.
pub fn evidence<'a>(verified: &Verified, look: impl Into<Look<'a>>) -> String {
    let look = look.into();
    let mut out = format!("{}\n", plural(verified.records, "record"));
    if let Some(head) = verified.head {
        let _ = writeln!(out, "head: {head}");
    }
    let logs = verified.logs;
    let counted = [(logs.pruned, "pruned"), (logs.open, "of attempts without an end")];
    let others: Vec<String> =
        counted.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!(", {n} {what}")).collect();
    out.push_str(&wrap(
        &format!("{} as recorded{}", plural(logs.intact, "log"), others.concat()),
        0,
        look.width,
    ));
    if let Some(anchor) = &verified.anchor
        && let (Some(line), Some(after)) = (anchor.line, anchor.after)
    {
        let text = format!("{} is on line {line}; {} after it", anchor.digest, plural(after, "record"));
        out.push_str(&wrap(&text, 0, look.width));
    }
    for flaw in &verified.findings {
        let mark = look.paint(Style::new().fg_color(Some(AnsiColor::Red.into())), "✗");
        let head = marked(&mark, &format!("{}: {}", place(flaw), flaw.what.name()), look.width);
        let head = flaw.path.as_ref().map_or(head.clone(), |path| look.with_file(&head, path));
        let _ = write!(out, "{head}{}", wrap(&flaw.says, 4, look.width));
    }
    let closing = match verified.findings.len() {
        0 => "nothing was edited, removed or reordered".to_owned(),
        n => format!("{}: the evidence is not what was recorded", plural(n, "finding")),
    };
    for line in wrap(&closing, 0, look.width).lines() {
        let _ = writeln!(out, "{}", look.bold(line));
    }
    out
}

/// `line 17, record 17 (task-ended, T006)`.
fn place(flaw: &Flaw) -> String {
    let mut parts: Vec<String> = flaw.path.iter().map(ToString::to_string).collect();
    parts.extend(flaw.line.map(|line| format!("line {line}")));
    if let Some(seq) = flaw.seq {
        parts.push(match flaw.last_seq {
            Some(last) => format!("records {seq} to {last}"),
            None => format!("record {seq}"),
        });
    }
    let about: Vec<&str> = [&flaw.kind, &flaw.task].into_iter().filter_map(Option::as_deref).collect();
    let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
    let place = if parts.is_empty() { "the ledger".to_owned() } else { parts.join(", ") };
    plain::line(&format!("{place}{about}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ids::Digest;
    use crate::ledger::chain;

    #[test]
    fn nothing_on_record() {
        let verified = chain(b"").verify(&BTreeMap::new(), false, None);
        insta::assert_snapshot!(evidence(&verified, Look::default()), @r"
        0 records
        0 logs as recorded
        nothing was edited, removed or reordered
        ");
    }

    #[test]
    fn flaws_have_their_places_and_no_text_reaches_the_terminal_as_a_command() {
        let digest = Digest::of(b"");
        let record = |seq: u64, task: &str| {
            format!(
                r#"{{"v":1,"seq":{seq},"prev":"{digest}","at":"2026-01-27T10:20:30Z","run":"r","kind":"task-left","task":"{task}","event":{{}}}}"#
            )
        };
        let text = format!("{}\n{}\nx\nhalf", record(1, "T1"), record(7, "\\u001b[31mred"));
        let logs = BTreeMap::from([("logs/\u{1b}[2Jx".into(), Ok(String::new()))]);
        let verified = chain(text.as_bytes()).verify(&logs, false, Some(Digest::of(b"x")));
        insta::assert_snapshot!(evidence(&verified, Look::default()), @r"
        2 records
        head: 3ae7d805f6789a6402acb70ad4096a85
        0 logs as recorded
        3ae7d805f6789a6402acb70ad4096a85 is on line 3; 0 records after it
        ✗ line 2, record 7 (task-left, red): edited
            its number should be 1
        ✗ line 3: unreadable
            no record can be read from it: expected value at line 1 column 1
        ✗ line 4: unfinished
            the last line has 4 bytes and no end; a run cuts it off when it begins
        ✗ logs/x: log of nobody
            no record names it
        4 findings: the evidence is not what was recorded
        ");
        let verified = chain(text.as_bytes()).verify(&logs, false, Some(Digest::of(b"y")));
        insta::assert_snapshot!(evidence(&verified, Look { width: 40, ..Look::default() }), @r"
        2 records
        head: 3ae7d805f6789a6402acb70ad4096a85
        0 logs as recorded
        ✗ line 2, record 7 (task-left, red):
            edited
            its number should be 1
        ✗ line 3: unreadable
            no record can be read from it:
              expected value at line 1 column 1
        ✗ line 4: unfinished
            the last line has 4 bytes and no
              end; a run cuts it off when it
              begins
        ✗ the ledger: head not found
            no record has this digest: what it
              was taken from was edited or cut
              off
        ✗ logs/x: log of nobody
            no record names it
        5 findings: the evidence is not what was
          recorded
        ");
    }
}
