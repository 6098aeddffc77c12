//! What a call costs.
//!
//! A [`Race`] is one piece of work done by several contenders, the first of which is the floor: the least that anybody
//! needs for it. Contenders take turns, so that a noisy machine is noisy for all; the medians are compared.

pub mod call;
pub mod floor;
pub mod keys;
pub mod race;
pub mod report;
pub mod steps;

pub use race::{Contender, Lap, Race};
