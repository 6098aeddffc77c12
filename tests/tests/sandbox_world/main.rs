//! What the sandbox does beside answering calls: it delivers notifications, keeps to rates, and is saved and restored.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod deliveries;
mod merchants;
mod rates;
mod rewards;
mod snapshots;
mod till;
mod triggers;
