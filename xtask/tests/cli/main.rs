//! The program from outside: the real binary in a folder of its own, with stand-ins for every other program.
//!
//! No test waits for a fixed time. Whoever has to be somewhere says so through a fifo or a file; two that have to be
//! somewhere together wait for each other.

#![cfg(all(unix, feature = "test-tools"))]
#![expect(clippy::disallowed_methods, reason = "tests stand outside of the program and start it")]

mod ci;
mod contract;
mod crash;
mod disk;
mod doctor;
mod evidence;
mod history;
mod faults;
mod json;
mod kill;
mod ledger;
mod lint;
mod phase4;
mod policy;
mod report;
mod results;
mod resume;
mod run;
mod sandbox;
mod secrets;
mod settled;
mod signals;
mod state;
mod terminal;
mod verify;
mod wait;
mod words;
