//! One module for each command.

pub(crate) mod call;
pub(crate) mod certs;
pub(crate) mod codes;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod describe;
pub(crate) mod explain;
pub(crate) mod man;
pub(crate) mod notify;
pub(crate) mod ops;
pub(crate) mod raw;
pub(crate) mod sandbox;
pub(crate) mod trigger;
