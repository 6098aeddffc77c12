//! The WeChat Pay v3 protocol, without I/O.
//!
//! Everything that API v3 asks of bytes happens here and only here: a request is checked against the limits of its
//! [`Spec`](wechatpay_model::Spec), split into path, query, headers and body, serialised once and signed; a response
//! is collected under a cap, verified over its raw bytes and only then read. The crate knows no socket and no async
//! runtime: a [`Transport`] (or [`BlockingTransport`]) carries [`http`] requests and responses, and `wechatpay-reqwest`,
//! `wechatpay-hyper` or ten lines of your own are one.
//!
//! ```
//! use http_body_util::Full;
//! use wechatpay_protocol::crypto::{Signer, VerifyingKey};
//! use wechatpay_protocol::{Client, Error, Merchant, TransportError, Trust};
//! # struct Key;
//! # impl Signer for Key {
//! #     fn sign(&self, _: &[u8]) -> Result<Vec<u8>, wechatpay_protocol::BoxError> { Ok(vec![1; 256]) }
//! # }
//! # impl VerifyingKey for Key { fn verify(&self, _: &[u8], _: &[u8]) -> bool { true } }
//! # let (signer, key) = (Key, Key);
//! // A transport is anything that carries a request: here a closure that answers like a broken gateway.
//! let transport = |_request: http::Request<bytes::Bytes>| async {
//!     let page = Full::new(bytes::Bytes::from("<html>502 Bad Gateway</html>"));
//!     http::Response::builder().status(502).body(page).map_err(TransportError::not_sent)
//! };
//! let merchant = Merchant::new("1900000001", "5157F09EFDC096DE15EBE81A47057A7232F1B8E1", signer);
//! let trust = Trust::new().with_public_key("PUB_KEY_ID_0119000000012026010100000001", key);
//! let client = Client::new(transport, merchant, trust);
//!
//! let call = client.get("/v3/certificates");
//! # let refused = futures_block_on(call);
//! // The page is reported for what it is: an answer that nobody has signed.
//! assert!(matches!(refused, Err(Error::Api(refusal)) if refusal.status == 502 && !refusal.authenticated));
//! # fn futures_block_on<F: Future>(future: F) -> F::Output {
//! #     let mut future = std::pin::pin!(future);
//! #     loop {
//! #         let mut context = std::task::Context::from_waker(std::task::Waker::noop());
//! #         if let std::task::Poll::Ready(done) = future.as_mut().poll(&mut context) { return done }
//! #     }
//! # }
//! ```
//!
//! Invariants: a success value has passed signature verification; the signed bytes are the sent bytes; secrets never
//! reach a `Debug`, an error or a log.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod certificates;
pub mod check;
mod client;
pub mod crypto;
mod download;
mod envelope;
mod error;
mod flight;
mod identity;
pub mod notification;
mod object;
mod observe;
pub mod pages;
mod refresh;
pub mod request;
pub mod response;
pub mod retry;
mod sensitive;
mod stamp;
#[cfg(feature = "tower")]
mod tower;
mod transport;
mod trust;

pub use certificates::Certificates;
pub use check::{Violation, ViolationKind};
pub use client::{BlockingClient, Call, Caller, Client, Reply};
pub use download::Download;
pub use error::{
    ApiError, BoxError, DecodeError, Error, Executed, Invalid, OutcomeUnknown, Pending, Retry, Unverified,
    UnverifiedReason,
};
pub use identity::{Brand, Identity, Merchant};
pub use observe::{Observer, Report};
pub use refresh::RefreshError;
pub use request::{BaseUrl, File};
pub use retry::RetryPolicy;
pub use stamp::{Stamp, Stamper, SystemStamper};
#[cfg(feature = "tower")]
pub use tower::Tower;
pub use transport::{BlockingTransport, Sent, Transport, TransportError, TransportErrorKind};
pub use trust::{Trust, Verifier};
pub use wechatpay_model as model;
