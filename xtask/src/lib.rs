//! Turns a declared plan into work done, precise blockers, and a status report that is made of evidence.
//!
//! Modules in reading order; ARCHITECTURE.md in the root of the repository draws how they hang together.

pub mod wording;
pub mod plain;
pub mod timings;
pub mod ids;
pub mod pipeline;
pub mod check;
pub mod measure;
pub mod observed;
pub mod ledger;
pub mod status;
pub mod since;
pub mod schedule;
pub mod report;
pub mod graph;
pub mod view;
pub mod world;
pub mod probe;
pub mod redact;
pub mod texts;
pub mod secrets;
pub mod exec;
pub mod attempt;
pub mod again;
pub mod wait;
pub mod drive;
pub mod ci;
pub mod ui;
pub mod failure;
pub mod cli;
pub mod cmd;
