//! The real command: with nobody to call, against a sandbox, and against servers that misbehave.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod codes;
mod common;
mod explain;
mod kill;
mod notify;
mod offline;
mod online;
mod trigger;
