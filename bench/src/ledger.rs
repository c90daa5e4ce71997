//! How well a recorded run used its time: its wall time beside its own critical path, from its ledger alone.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde_json::Value as Json;

use crate::numbers::{digits, grouped, time};

type Failure = Box<dyn std::error::Error>;

/// An attempt of the run.
struct Attempt {
    needs: Vec<String>,
    begun: f64,
    ended: f64,
}

/// Prints it for a run, the last one if none is named.
pub fn tell(path: &Path, run: Option<&str>, workers: usize) -> Result<(), Failure> {
    let mut records: Vec<Json> = vec![];
    for line in BufReader::new(fs::File::open(path)?).lines() {
        // A last line that was cut off is no record.
        records.extend(serde_json::from_str::<Json>(&line?));
    }
    let text = |record: &Json, key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let last = records.iter().rev().find(|r| r["kind"] == "task-ended").map(|r| text(r, "run"));
    let run = run.map(str::to_owned).or(last).ok_or("no task has ended in that ledger")?;
    records.retain(|r| r["run"] == run.as_str());
    let at = |record: &Json| seconds(&text(record, "at"));
    let mut attempts: BTreeMap<String, Attempt> = BTreeMap::new();
    for record in &records {
        let task = text(record, "task");
        match record["kind"].as_str() {
            Some("task-started") => {
                let needs = record["event"]["needs"].as_object();
                let needs = needs.map(|all| all.keys().cloned().collect()).unwrap_or_default();
                let begun = at(record)?;
                attempts.insert(task, Attempt { needs, begun, ended: begun });
            }
            Some("task-ended") => {
                let ended = at(record)?;
                attempts.entry(task).and_modify(|attempt| attempt.ended = ended);
            }
            _ => {}
        }
    }
    let (Some(first), Some(last)) = (records.first(), records.last()) else {
        return Err(format!("there is no run `{run}` in that ledger").into());
    };
    let whole = at(last)? - at(first)?;
    let begun = attempts.values().map(|a| a.begun).fold(f64::INFINITY, f64::min);
    let ended = attempts.values().map(|a| a.ended).fold(0.0, f64::max);
    let tasks = ended - begun;
    let work: f64 = attempts.values().map(|a| a.ended - a.begun).sum();
    let chain = critical_path(&attempts);
    let longest: f64 = chain.iter().map(|task| attempts[*task].ended - attempts[*task].begun).sum();
    let bound = longest.max(work / workers as f64);
    println!("Run {run}: {} attempts, {} of work.\n", grouped(attempts.len()), time(work));
    println!("| | time | of the critical path | of the bound for {workers} workers |");
    println!("|---|---:|---:|---:|");
    for (what, value) in [
        ("critical path", longest),
        ("bound: critical path, or work shared out evenly", bound),
        ("first start of a task to last end", tasks),
        ("first record to last", whole),
    ] {
        println!("| {what} | {} | {} | {} |", time(value), digits(value / longest), digits(value / bound));
    }
    println!(
        "\nCritical path, with the time that passed between the end of one and the start of the next:\n"
    );
    let mut free = begun;
    for task in chain {
        let attempt = &attempts[task];
        println!("- `{task}`: {}, {} after", time(attempt.ended - attempt.begun), time(attempt.begun - free));
        free = attempt.ended;
    }
    Ok(())
}

/// The chain of tasks, each needing the one before, that takes longest.
fn critical_path(attempts: &BTreeMap<String, Attempt>) -> Vec<&str> {
    let mut order: Vec<&str> = attempts.keys().map(String::as_str).collect();
    // What was needed ended before what needed it began.
    order.sort_by(|a, b| attempts[*a].ended.total_cmp(&attempts[*b].ended));
    let mut best: BTreeMap<&str, (f64, Option<&str>)> = BTreeMap::new();
    for task in order {
        let attempt = &attempts[task];
        let before = attempt
            .needs
            .iter()
            .filter_map(|need| Some((best.get_key_value(need.as_str())?.0, best[need.as_str()].0)));
        let before = before.max_by(|a, b| a.1.total_cmp(&b.1));
        let length = before.map_or(0.0, |(_, length)| length) + attempt.ended - attempt.begun;
        best.insert(task, (length, before.map(|(need, _)| *need)));
    }
    let mut at = best.iter().max_by(|a, b| a.1.0.total_cmp(&b.1.0)).map(|(task, _)| *task);
    let mut chain = vec![];
    while let Some(task) = at {
        chain.push(task);
        at = best[task].1;
    }
    chain.reverse();
    chain
}

/// Seconds since 1970 of a time as the ledger has it: RFC 3339 in UTC.
fn seconds(at: &str) -> Result<f64, Failure> {
    let wrong = || Failure::from(format!("`{at}` is no time in UTC"));
    let (date, clock) = at.strip_suffix('Z').and_then(|at| at.split_once('T')).ok_or_else(wrong)?;
    let numbers =
        |text: &str, by: char| -> Option<Vec<f64>> { text.split(by).map(|n| n.parse().ok()).collect() };
    let (date, clock) = numbers(date, '-').zip(numbers(clock, ':')).ok_or_else(wrong)?;
    let ([year, month, day], [hour, minute, second]) = (date.as_slice(), clock.as_slice()) else {
        return Err(wrong());
    };
    // Days from civil: years begin in March, so that the odd day is the last.
    let (year, month) = if *month <= 2.0 { (year - 1.0, month + 9.0) } else { (*year, month - 3.0) };
    let (century, rest) = ((year / 400.0).floor(), year.rem_euclid(400.0));
    let day_of_year = ((153.0 * month + 2.0) / 5.0).floor() + day - 1.0;
    let day_of_era = rest * 365.0 + (rest / 4.0).floor() - (rest / 100.0).floor() + day_of_year;
    let days = century * 146_097.0 + day_of_era - 719_468.0;
    Ok(days * 86_400.0 + hour * 3_600.0 + minute * 60.0 + second)
}
