//! A [`Transport`] for `wechatpay-protocol` over [`hyper_util`] and rustls: the shortest way to the wire.
//!
//! It carries requests and nothing else: hyper-util's own retry of requests on a dead connection is switched off, because
//! a repeat is the protocol's to decide.
//!
//! ```
//! use wechatpay_protocol::{Client, Merchant, Trust, crypto::aws_lc};
//! # fn keys(private: &str, public: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let merchant = Merchant::new("1900000001", "5157F09EFDC096DE15EBE81A47057A7232F1B8E1", aws_lc::Signer::from_pem(private)?);
//! let key = aws_lc::VerifyingKey::from_public_key_pem(public)?;
//! let trust = Trust::new().with_public_key("PUB_KEY_ID_0119000000012026010100000001", key);
//! let client = Client::new(wechatpay_hyper::Hyper::new(), merchant, trust);
//! # Ok(())
//! # }
//! ```

mod timed;

pub use timed::Timed;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::legacy::{Builder, Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use wechatpay_protocol::retry::Sleep;
use wechatpay_protocol::{Transport, TransportError, TransportErrorKind};

/// The timer of a tokio runtime, for `with_retry` and `keep_certificates_fresh`.
///
/// ```
/// # fn retrying<T: wechatpay_protocol::Transport>(client: wechatpay_protocol::Client<T>) {
/// let client = client.with_retry(wechatpay_protocol::RetryPolicy::default(), wechatpay_hyper::timer);
/// # }
/// ```
pub fn timer(duration: Duration) -> Sleep {
    Box::pin(tokio::time::sleep(duration))
}

/// Time to make a connection, unless a connector of your own says otherwise.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for a whole attempt, body included, unless told otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Thirty years.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// An async transport over a hyper-util client of its own. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Hyper<C = HttpsConnector<HttpConnector>> {
    client: Client<C, Full<Bytes>>,
    timeout: Duration,
}

impl Hyper {
    /// A transport over HTTP/1.1 with rustls and the Mozilla root certificates, [`CONNECT_TIMEOUT`] and [`TIMEOUT`].
    pub fn new() -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        // Named, because rustls panics where a program's other crates bring a second provider and nobody chose one. That
        // this one lacks a version of TLS cannot be; the program's own choice would hold then.
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let tls = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider);
        let tls = tls.unwrap_or_else(|_| HttpsConnectorBuilder::new().with_webpki_roots());
        let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(60));
        Self::from_builder(&mut builder, connector)
    }
}

impl Default for Hyper {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Connect + Clone> Hyper<C> {
    /// A transport from your own builder and connector. Retries are switched off all the same.
    pub fn from_builder(builder: &mut Builder, connector: C) -> Self {
        Self { client: builder.retry_canceled_requests(false).build(connector), timeout: TIMEOUT }
    }

    /// Gives each attempt so long, body included.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> Transport for Hyper<C> {
    type Body = Timed<Incoming>;

    async fn call(&self, request: http::Request<Bytes>) -> Result<http::Response<Timed<Incoming>>, TransportError> {
        let now = Instant::now();
        // A time that no clock will show is as good as none.
        let deadline = now.checked_add(self.timeout).unwrap_or_else(|| now + FOREVER);
        match timeout_at(deadline, self.client.request(request.map(Full::new))).await {
            Ok(Ok(response)) => Ok(response.map(|body| Timed::new(body, deadline))),
            Ok(Err(error)) => Err(failed(error)),
            Err(elapsed) => Err(TransportError::new(TransportErrorKind::Timeout, elapsed)),
        }
    }
}

fn failed(error: Error) -> TransportError {
    let kind = if error.is_connect() { TransportErrorKind::Connect } else { TransportErrorKind::Interrupted };
    TransportError::new(kind, error)
}
