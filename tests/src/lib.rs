//! What the whole-road tests share; the tests themselves are in the folder `tests`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

pub mod conformance;
pub mod generate;
pub mod oracle;
mod readme;
pub mod rehearsal;
pub mod road;
pub mod scene;
pub mod stage;
pub mod stocks;
pub mod story;
pub mod typed;
pub mod watched;

pub use wechatpay_leaks as leaks;
