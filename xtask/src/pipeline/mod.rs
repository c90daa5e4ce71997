//! pipeline.toml: read with positions, resolved into a [`Plan`], or refused with every mistake that was found.

pub mod condition;
pub mod diagnostic;
pub mod file;
pub mod line;
pub mod plan;
pub mod policy;
pub mod read;
pub mod resolve;
pub mod template;

pub use plan::{Definition, Gate, Plan, Prerequisite, Task};
pub use resolve::{resolve, resolve_here};
