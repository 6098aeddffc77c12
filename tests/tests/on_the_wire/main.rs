//! The sandbox on the wire: its ways in, its faults on real sockets, and what the adapters make of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod clients;
mod faults;
mod ways_in;
