//! Small helpers that keep numbers, lists, durations and sizes right in every sentence.

use std::time::Duration;

/// `1 task`, `2 tasks`.
pub fn plural(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// `a`, `a and b`, `a, b and c`.
pub fn list<S: AsRef<str>>(items: &[S]) -> String {
    join(items, "and")
}

/// `a`, `a or b`, `a, b or c`.
pub fn either<S: AsRef<str>>(items: &[S]) -> String {
    join(items, "or")
}

fn join<S: AsRef<str>>(items: &[S], last: &str) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [head @ .., tail] => {
            let head: Vec<&str> = head.iter().map(AsRef::as_ref).collect();
            format!("{} {last} {}", head.join(", "), tail.as_ref())
        }
    }
}

/// Consecutive numbers folded: `T001-T003, T007`. Ids that do not end in a number stand alone.
pub fn ranges<S: AsRef<str>>(ids: &[S]) -> String {
    let split = |id: &str| {
        let at = id
            .rfind(|c: char| !c.is_ascii_digit())
            .map_or(0, |i| i + id[i..].chars().next().map_or(1, char::len_utf8));
        (id[..at].to_owned(), id[at..].parse::<u64>().ok())
    };
    let mut out: Vec<String> = Vec::new();
    let mut i = 0;
    while i < ids.len() {
        let (prefix, number) = split(ids[i].as_ref());
        let mut j = i;
        if let Some(first) = number {
            while j + 1 < ids.len()
                && split(ids[j + 1].as_ref()) == (prefix.clone(), Some(first + (j + 1 - i) as u64))
            {
                j += 1;
            }
        }
        match j - i {
            0 => out.push(ids[i].as_ref().to_owned()),
            1 => out.extend([ids[i].as_ref().to_owned(), ids[j].as_ref().to_owned()]),
            _ => out.push(format!("{}-{}", ids[i].as_ref(), ids[j].as_ref())),
        }
        i = j + 1;
    }
    out.join(", ")
}

/// A duration for people: `340 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub fn duration(d: Duration) -> String {
    let (secs, ms) = (d.as_secs(), d.as_millis());
    match secs {
        0 => format!("{ms} ms"),
        1..=9 => format!("{:.1} s", d.as_secs_f64()),
        10..=59 => format!("{secs} s"),
        60..=3599 => two(secs / 60, "min", secs % 60, "s"),
        3600..=86_399 => two(secs / 3600, "h", secs % 3600 / 60, "min"),
        _ => two(secs / 86_400, "d", secs % 86_400 / 3600, "h"),
    }
}

/// A span of time whose size is what matters: `less than a minute`, `5 min`, `3 h`, `12 d`.
pub fn age(d: Duration) -> String {
    match d.as_secs() {
        0..=59 => "less than a minute".to_owned(),
        secs @ 60..=3599 => format!("{} min", secs / 60),
        secs @ 3600..=86_399 => format!("{} h", secs / 3600),
        secs => format!("{} d", secs / 86_400),
    }
}

/// How long something has been going on, in whole seconds: `0 s`, `42 s`, `3 min 20 s`, `2 h 5 min`.
pub fn elapsed(d: Duration) -> String {
    match d.as_secs() {
        secs @ 0..=9 => format!("{secs} s"),
        secs => duration(Duration::from_secs(secs)),
    }
}

fn two(big: u64, big_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 { format!("{big} {big_unit}") } else { format!("{big} {big_unit} {small} {small_unit}") }
}

/// Bytes in decimal units, as container engines show image sizes: `498 MB`, `1.2 GB`.
pub fn bytes(n: f64) -> String {
    let (value, unit) = match n.abs() {
        v if v < 1e3 => return format!("{n:.0} B"),
        v if v < 1e6 => (n / 1e3, "kB"),
        v if v < 1e9 => (n / 1e6, "MB"),
        v if v < 1e12 => (n / 1e9, "GB"),
        _ => (n / 1e12, "TB"),
    };
    format!("{} {unit}", short(value))
}

/// Three significant digits, without trailing zeros: `0.123`, `4.2`, `57.1`, `498`.
pub fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The candidate most like `word`, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|c| {
            // One slip of the finger is meant in short names too, where it is a large part of the word.
            let slip = word.len() > 1 && strsim::osa_distance(&word, &c.to_lowercase()) == 1;
            (strsim::jaro_winkler(&word, &c.to_lowercase()).max(if slip { 0.9 } else { 0.0 }), c)
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// The first line, cut to `limit` characters with `…`.
pub fn first_line(text: &str, limit: usize) -> String {
    let line = text.trim().lines().next().unwrap_or_default().trim_end();
    if line.chars().count() <= limit {
        return line.to_owned();
    }
    let cut: String = line.chars().take(limit.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_plurals_agree() {
        assert_eq!(plural(1, "task"), "1 task");
        assert_eq!(plural(0, "task"), "0 tasks");
        assert_eq!(list(&["a"]), "a");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(either(&["a", "b"]), "a or b");
    }

    #[test]
    fn ranges_fold_three_or_more() {
        assert_eq!(ranges(&["T001", "T002", "T003", "T007"]), "T001-T003, T007");
        assert_eq!(ranges(&["T001", "T002"]), "T001, T002");
        assert_eq!(ranges(&["build", "test", "é9"]), "build, test, é9");
        assert_eq!(ranges(&["T9", "T10", "T11"]), "T9-T11");
    }

    #[test]
    fn durations_and_sizes_read_well() {
        let table = [
            (340, "340 ms"),
            (4200, "4.2 s"),
            (59_000, "59 s"),
            (200_000, "3 min 20 s"),
            (7_500_000, "2 h 5 min"),
        ];
        for (ms, text) in table {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
        for (ms, text) in [(999, "0 s"), (4200, "4 s"), (59_999, "59 s"), (200_000, "3 min 20 s")] {
            assert_eq!(elapsed(Duration::from_millis(ms)), text);
        }
        assert_eq!(bytes(577e6), "577 MB");
        assert_eq!(bytes(1.234e9), "1.23 GB");
        assert_eq!(bytes(12.0), "12 B");
    }

    #[test]
    fn nearest_names_only_what_is_near() {
        assert_eq!(nearest("neds", ["needs", "run"]), Some("needs"));
        assert_eq!(nearest("tga", ["tag", "run"]), Some("tag"));
        assert_eq!(nearest("zzz", ["needs", "run"]), None);
    }
}
