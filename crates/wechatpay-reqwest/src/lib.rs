//! A [`Transport`] for `wechatpay-protocol` over [`reqwest`].
//!
//! It carries requests and nothing else: redirects, reqwest's own retries and decompression are switched off, because
//! the signed bytes must be the sent bytes and a repeat is the protocol's to decide.
//!
//! ```
//! use wechatpay_protocol::{Client, Merchant, Trust, crypto::aws_lc};
//! # fn keys(private: &str, public: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let merchant = Merchant::new("1900000001", "5157F09EFDC096DE15EBE81A47057A7232F1B8E1", aws_lc::Signer::from_pem(private)?);
//! let key = aws_lc::VerifyingKey::from_public_key_pem(public)?;
//! let trust = Trust::new().with_public_key("PUB_KEY_ID_0119000000012026010100000001", key);
//! let client = Client::new(wechatpay_reqwest::Reqwest::new()?, merchant, trust);
//! # Ok(())
//! # }
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "blocking")]
mod blocking;

#[cfg(feature = "blocking")]
pub use blocking::{BlockingReqwest, Body as BlockingBody};
pub use reqwest;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::MapErr;
use std::time::Duration;
use wechatpay_protocol::retry::Sleep;
use wechatpay_protocol::{Transport, TransportError, TransportErrorKind};

/// The timer of a tokio runtime, for `with_retry` and `keep_certificates_fresh`; a blocking client takes
/// [`std::thread::sleep`].
///
/// ```
/// # fn retrying<T: wechatpay_protocol::Transport>(client: wechatpay_protocol::Client<T>) {
/// let client = client.with_retry(wechatpay_protocol::RetryPolicy::default(), wechatpay_reqwest::timer);
/// # }
/// ```
pub fn timer(duration: Duration) -> Sleep {
    Box::pin(tokio::time::sleep(duration))
}

/// Time to make a connection, unless a builder of your own says otherwise.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for a whole attempt, body included, unless a builder of your own says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// An async transport over a [`reqwest::Client`] of its own. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Reqwest(reqwest::Client);

impl Reqwest {
    /// A transport with [`CONNECT_TIMEOUT`] and [`TIMEOUT`].
    ///
    /// # Errors
    /// reqwest could not set up TLS.
    pub fn new() -> Result<Self, reqwest::Error> {
        Self::from_builder(reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(TIMEOUT))
    }

    /// A transport from your own builder: proxy, roots, pool and timeouts are yours. Redirects, retries and
    /// decompression are switched off all the same.
    ///
    /// # Errors
    /// reqwest could not set up TLS.
    pub fn from_builder(builder: reqwest::ClientBuilder) -> Result<Self, reqwest::Error> {
        let builder = builder
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd();
        builder.build().map(Self)
    }
}

impl Transport for Reqwest {
    type Body = MapErr<reqwest::Body, fn(reqwest::Error) -> TransportError>;

    async fn call(&self, request: http::Request<Bytes>) -> Result<http::Response<Self::Body>, TransportError> {
        let target = target_of(&request);
        let request = reqwest::Request::try_from(request).map_err(TransportError::not_sent)?;
        unchanged(&target, request.url())?;
        let response = self.0.execute(request).await.map_err(failed)?;
        Ok(http::Response::from(response).map(|body| body.map_err(failed as fn(_) -> _)))
    }
}

fn target_of(request: &http::Request<Bytes>) -> String {
    request.uri().path_and_query().map(ToString::to_string).unwrap_or_default()
}

/// reqwest parses URLs its own way; a target that it would rewrite is no longer the one that was signed.
fn unchanged(target: &str, url: &reqwest::Url) -> Result<(), TransportError> {
    let mut parsed = url.path().to_owned();
    if let Some(query) = url.query() {
        parsed.push('?');
        parsed.push_str(query);
    }
    if parsed == target {
        Ok(())
    } else {
        Err(TransportError::not_sent("reqwest would rewrite the signed path; percent-encode its special characters"))
    }
}

fn failed(error: reqwest::Error) -> TransportError {
    let kind = if error.is_connect() {
        TransportErrorKind::Connect
    } else if error.is_timeout() {
        TransportErrorKind::Timeout
    } else {
        TransportErrorKind::Interrupted
    };
    // The URL may hold an openid or a coupon code.
    TransportError::new(kind, error.without_url())
}
