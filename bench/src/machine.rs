//! What the numbers were taken on.

use std::fs;

use serde_json::{Value as Json, json};

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("model name"));
    line.and_then(|l| l.split_once(':'))
        .map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// For programs.
pub fn describe() -> Json {
    json!({ "processor": processor(), "cores": cores(), "kernel": kernel(), "os": std::env::consts::OS })
}

/// For people.
pub fn sentence() -> String {
    format!("Machine: {} cores, {}, Linux {}.", cores(), processor(), kernel())
}
