//! Uploads to a WeChat Pay of a few lines that keeps a ledger, over storage that fails where it is told to.

mod bounds;
mod disk;
mod fake;
mod faults;
mod journal;
mod reading;
mod runs;
mod spool;
