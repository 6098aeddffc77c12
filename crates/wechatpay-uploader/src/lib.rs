//! Bulk upload of coupon codes that loses nothing and doubles nothing.
//!
//! Codes come from [files](Input) of any size. They are [planned](Job::open) into batches, each with a request number that
//! follows from the input alone; the plan is on the disk, in a [`Journal`], before the first byte is sent. The
//! [`Uploader`] sends the batches over any [`Transport`](wechatpay_protocol::Transport), and whenever it ends, or is
//! killed, the same journal is taken up again: a batch whose outcome nobody knows is sent again under the same number
//! and with the same codes, so that it has one effect.
//!
//! ```no_run
//! use serde_json::{Map, json};
//! use std::path::Path;
//! use std::time::Duration;
//! use wechatpay_protocol::retry::Sleep;
//! use wechatpay_protocol::{Client, Transport};
//! use wechatpay_uploader::{Endpoint, Format, Input, Source, Uploader};
//!
//! # async fn example(client: Client<impl Transport>, timer: fn(Duration) -> Sleep) -> Result<(), wechatpay_uploader::UploadError> {
//! let input = Input { sources: vec![Source::new("codes.txt")], format: Format::Text };
//! let target = Map::from_iter([("stock_id".to_owned(), json!("98065001"))]);
//! // The client's own retry is off; the timer is that of the runtime.
//! let uploader = Uploader::new(client, Endpoint::BUSIFAVOR, target, timer);
//! let journal = uploader.job().open(&input, Path::new("codes.txt.wechatpay-journal"))?;
//! let finished = uploader.run(journal, std::future::pending(), |event| eprintln!("{event:?}")).await?;
//! println!("{:?}", finished.journal.totals());
//! # Ok(())
//! # }
//! ```
//!
//! # What it rests on
//!
//! * **The plan is a pure function of the input.** Batches are filled in the order of the lines, repeated codes left out,
//!   and a batch's number is a digest of operation, merchant, target and input, with its index behind. Even without the
//!   journal the same upload has the same numbers.
//! * **Nothing is sent that is not on the disk.** A batch is marked as being sent in a synced commit, and only then given
//!   to the network; marks and outcomes of many batches share a commit. Where the disk is full, the mark fails and
//!   nothing is sent.
//! * **Codes are not copied.** The input is read again, and both the whole and each batch must have the digest that was
//!   planned. What comes from a pipe is [kept in a file](Source::keep) first.
//! * **Memory is bounded.** Lines stream, duplicates are found by sorting on the disk, where codes are compared as a
//!   whole, and the network asks for batches when it has room for them.
//! * **Answers are reconciled.** A 200 may carry refused codes; each code gets one outcome. A code that exists counts as
//!   this upload's after a call of its batch may have been executed, else as one that was there before. What of an
//!   answer does not fit its request is reported and never fatal; a batch whose answer names none of its codes counts as
//!   not answered, and is sent again.
//! * **The pace is found.** 429 cuts the rate, time without one lets it grow, `Retry-After` is obeyed, and ends
//!   the run where it is as long as a call may take; a limit of one's own is never exceeded. A stock that is still being
//!   created is waited for, and asked by one call at a time.
//!
//! Which operation takes the codes is [data](Endpoint); its limits come from its description.

mod answer;
mod codes;
mod endpoint;
mod engine;
mod error;
mod input;
mod job;
mod journal;
mod keeper;
mod lists;
mod pace;
mod plan;
mod report;
mod sort;
mod spool;
#[cfg(test)]
mod tests;
mod verify;

pub use endpoint::{Endpoint, Listing, Lists};
pub use engine::{Ended, Event, Finished, Options, Uploader};
pub use error::UploadError;
pub use input::{Fault, Format, Input, InputError, Place, Source};
pub use job::{Job, Planned};
pub use journal::{CodeState, Header, Journal, JournalError, State, Totals};
pub use redb::StorageBackend;
pub use report::Row;
pub use verify::Verification;
