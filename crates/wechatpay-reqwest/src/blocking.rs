use crate::{CONNECT_TIMEOUT, TIMEOUT, failed, target_of, unchanged};
use bytes::Bytes;
use reqwest::blocking::{Client, ClientBuilder, Request, Response};
use std::fmt;
use std::io::{self, Read};
use std::time::Duration;
use wechatpay_protocol::{BlockingTransport, TransportError};

/// A transport for code without an async runtime. Clones share its connections.
///
/// Inside an async runtime it answers an error instead of stalling the runtime's thread.
///
/// ```
/// use wechatpay_model::favor::GetStock;
/// use wechatpay_protocol::{BaseUrl, BlockingClient, Error, Merchant, Trust, crypto::aws_lc};
/// use wechatpay_reqwest::BlockingReqwest;
///
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let sandbox = runtime.block_on(wechatpay_sandbox::Sandbox::start())?;
/// # let (base_url, keys) = (sandbox.base_url(), sandbox.merchant());
/// // The keys of a merchant: here those of a sandbox.
/// let signer = aws_lc::Signer::from_pem(&keys.private_key_pem)?;
/// let key = aws_lc::VerifyingKey::from_public_key_pem(&keys.public_key_pem)?;
/// let client = BlockingClient::new(
///     BlockingReqwest::new()?,
///     Merchant::new(keys.mchid.as_str(), keys.serial_no.as_str(), signer),
///     Trust::new().with_public_key(keys.public_key_id.as_str(), key),
/// )
/// .with_base_url(BaseUrl::parse(&base_url)?);
///
/// // Typed, checked before it is signed, and answered with the documented remedy.
/// let get = GetStock::builder().stock_id("9865000").stock_creator_mchid(keys.mchid.as_str()).build();
/// match client.send(&get) {
///     Err(Error::Api(refusal)) => assert_eq!((refusal.status, refusal.remedy()), (404, Some("Check the stock id."))),
///     other => panic!("{other:?}"),
/// }
///
/// // Any path, signed and verified all the same.
/// let list = client.get("/v3/certificates")?;
/// assert!(list.value["data"].is_array());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct BlockingReqwest {
    client: Client,
    /// For calls that bring no timeout of their own. A client's is started anew by each piece of the body, a request's is not.
    timeout: Option<Duration>,
}

impl BlockingReqwest {
    /// A transport with [`CONNECT_TIMEOUT`] and [`TIMEOUT`].
    ///
    /// # Errors
    /// reqwest could not set up TLS, or this is a thread of an async runtime.
    pub fn new() -> Result<Self, TransportError> {
        let transport = Self::from_builder(Client::builder().connect_timeout(CONNECT_TIMEOUT))?;
        Ok(Self { timeout: Some(TIMEOUT), ..transport })
    }

    /// A transport from your own builder: proxy, roots, pool and timeouts are yours. Redirects, retries and
    /// decompression are switched off all the same.
    ///
    /// reqwest starts the timeout of a blocking `ClientBuilder` anew with each piece of the body; `with_timeout` of the client,
    /// or a retry policy, limits the whole attempt.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_builder(builder: ClientBuilder) -> Result<Self, TransportError> {
        outside_a_runtime()?;
        let builder = builder
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd();
        let client = builder.build().map_err(TransportError::not_sent)?;
        Ok(Self { client, timeout: None })
    }
}

/// reqwest's blocking client panics where a runtime is entered.
fn outside_a_runtime() -> Result<(), TransportError> {
    match tokio::runtime::Handle::try_current() {
        Err(_) => Ok(()),
        Ok(_) => Err(TransportError::not_sent(
            "a blocking call inside an async runtime would stall it; use Client there, or move the call to a thread",
        )),
    }
}

impl BlockingTransport for BlockingReqwest {
    type Body = Body;

    fn call(
        &self,
        request: http::Request<Bytes>,
        timeout: Option<Duration>,
    ) -> Result<http::Response<Body>, TransportError> {
        outside_a_runtime()?;
        let target = target_of(&request);
        let mut request = Request::try_from(request).map_err(TransportError::not_sent)?;
        unchanged(&target, request.url())?;
        if let Some(timeout) = timeout.or(self.timeout) {
            *request.timeout_mut() = Some(timeout);
        }
        let mut response = self.client.execute(request).map_err(failed)?;

        let mut answer = http::Response::new(());
        *answer.status_mut() = response.status();
        *answer.version_mut() = response.version();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer.map(|()| Body(response)))
    }
}

/// The body of an answer, whose errors say when it is time that ran out.
#[derive(Debug)]
pub struct Body(Response);

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            let source = error.get_ref().and_then(|source| source.downcast_ref::<reqwest::Error>());
            if source.is_some_and(reqwest::Error::is_timeout) {
                io::Error::new(io::ErrorKind::TimedOut, error)
            } else {
                error
            }
        })
    }
}

impl fmt::Debug for BlockingReqwest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockingReqwest")
    }
}
