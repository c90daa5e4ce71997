//! The append-only history of evidence, `.xtask/ledger.jsonl`.

pub mod chain;
pub mod chronicle;
pub mod diff;
pub mod event;
pub mod history;
pub mod keep;
pub mod past;
#[cfg(test)]
pub mod sample;
pub mod store;

pub use chain::{Chain, Flaw, chain};
pub use chronicle::{Chronicle, chronicle};
pub use event::{Event, Outcome};
pub use history::{Attempt, Health, History, TaskHistory, fold, fold_to};
pub use past::flaky;
