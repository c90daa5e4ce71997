//! Where the time of a call goes: our own phases and each task, as a trace for `--timings`.
//!
//! The form is that of Chrome's Trace Event Format (complete events, `"ph": "X"`, times in microseconds), which
//! <https://ui.perfetto.dev> and `chrome://tracing` show. A thread is a lane; spans of one thread nest.
//!
//! Nothing is kept, and no clock is asked, unless a trace was asked for.

use std::cell::Cell;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use camino::Utf8PathBuf;
use serde_json::json;

/// The trace of this process.
static TRACE: OnceLock<Trace> = OnceLock::new();

struct Trace {
    path: Utf8PathBuf,
    begun: Instant,
    spans: Mutex<Vec<Kept>>,
}

struct Kept {
    name: String,
    kind: &'static str,
    lane: u64,
    from: Instant,
    to: Instant,
}

/// From now on keeps spans, for the file at `path`. Only the first call counts.
pub fn to(path: Utf8PathBuf) {
    TRACE.get_or_init(|| Trace { path, begun: Instant::now(), spans: Mutex::default() });
}

/// Something that takes time: from its making to its end of life.
#[must_use = "a span ends when it is dropped"]
pub struct Span(Option<Open>);

struct Open {
    name: String,
    kind: &'static str,
    from: Instant,
}

/// One of our own phases begins.
pub fn phase(name: &str) -> Span {
    open("phase", name)
}

/// An attempt at a task begins.
pub fn task(id: &str) -> Span {
    open("task", id)
}

fn open(kind: &'static str, name: &str) -> Span {
    Span(TRACE.get().map(|_| Open { name: name.to_owned(), kind, from: Instant::now() }))
}

impl Drop for Span {
    fn drop(&mut self) {
        let (Some(trace), Some(Open { name, kind, from })) = (TRACE.get(), self.0.take()) else { return };
        let kept = Kept { name, kind, lane: lane(), from, to: Instant::now() };
        trace.spans.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
    }
}

/// A number for this thread, from 1 in the order in which threads were first seen.
fn lane() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local!(static LANE: Cell<u64> = const { Cell::new(0) });
    LANE.with(|lane| {
        if lane.get() == 0 {
            lane.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        lane.get()
    })
}

/// Writes the trace, if one was asked for.
pub fn write() -> anyhow::Result<()> {
    let Some(trace) = TRACE.get() else { return Ok(()) };
    let spans = trace.spans.lock().unwrap_or_else(PoisonError::into_inner);
    let micros = |at: Instant| at.saturating_duration_since(trace.begun).as_secs_f64() * 1e6;
    let events: Vec<_> = spans
        .iter()
        .map(|span| {
            json!({
                "name": span.name, "cat": span.kind, "ph": "X", "pid": 1, "tid": span.lane,
                "ts": micros(span.from), "dur": micros(span.to) - micros(span.from),
            })
        })
        .collect();
    let text = json!({ "displayTimeUnit": "ms", "traceEvents": events });
    fs::write(&trace.path, format!("{text}\n"))
        .with_context(|| format!("failed to write the timings `{}`", trace.path))
}
