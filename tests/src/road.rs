//! Client, wire and sandbox put together, with the oracle on the wire between them.

use crate::leaks;
use crate::oracle::{self, PublicKey};
use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wechatpay_model::types::Timestamp;
use wechatpay_protocol::crypto::{Certificate, Signer, aws_lc, rsa};
use wechatpay_protocol::request::{self, Route};
use wechatpay_protocol::{BaseUrl, Brand, Client, Merchant, Transport, TransportError, Trust};
use wechatpay_sandbox::{Credentials, Sandbox};

/// A transport that lets the oracle look at every request and every answer that passes.
pub struct Watched<T> {
    inner: T,
    merchant: PublicKey,
    mchid: String,
    serial_no: String,
    platform: PublicKey,
    platform_serial: String,
    calls: Arc<AtomicUsize>,
}

impl<T> Watched<T> {
    /// Watches the wire of a merchant whose answers are signed with the platform's public key.
    pub fn new(inner: T, credentials: &Credentials) -> Self {
        Self {
            inner,
            merchant: PublicKey::from_pem(&credentials.certificate_pem),
            mchid: credentials.mchid.clone(),
            serial_no: credentials.serial_no.clone(),
            platform: PublicKey::from_pem(&credentials.public_key_pem),
            platform_serial: credentials.public_key_id.clone(),
            calls: Arc::default(),
        }
    }

    /// How many calls the oracle has seen; keeps counting.
    pub fn calls(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.calls)
    }
}

impl<T: Transport> Transport for Watched<T> {
    type Body = Full<Bytes>;

    async fn call(&self, request: http::Request<Bytes>) -> Result<http::Response<Full<Bytes>>, TransportError> {
        oracle::check_request(&request, &self.merchant, &self.mchid, &self.serial_no);
        let (parts, body) = self.inner.call(request).await?.into_parts();
        let body = body.collect().await.map_err(TransportError::interrupted)?.to_bytes();
        oracle::check_answer(&parts.headers, &body, &self.platform, &self.platform_serial);
        self.calls.fetch_add(1, Ordering::SeqCst);
        Ok(http::Response::from_parts(parts, Full::new(body)))
    }
}

/// Adds a header that is not part of the signed message: how a single request is made to misbehave.
pub struct WithHeader<T>(pub T, pub &'static str, pub String);

impl<T: Transport> Transport for WithHeader<T> {
    type Body = T::Body;

    async fn call(&self, mut request: http::Request<Bytes>) -> Result<http::Response<T::Body>, TransportError> {
        request.headers_mut().insert(self.1, self.2.parse().expect("a header value"));
        self.0.call(request).await
    }
}

/// Signs, and says what of each request is secret: no call goes a road past its signer.
pub struct Told<S>(S);

impl<S> Told<S> {
    /// A signer of these credentials, which are secret too.
    fn of(credentials: &Credentials, signer: S) -> Self {
        leaks::secret(credentials.apiv3_key.as_bytes());
        leaks::private_key(&credentials.private_key_pem);
        Self(signer)
    }
}

impl<S: Signer> Signer for Told<S> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        if let Some(request) = sent(message) {
            leaks::request(&request);
        }
        self.0.sign(message)
    }

    fn scheme(&self) -> &str {
        self.0.scheme()
    }
}

/// The flat request of a message that is signed, if it is one of an operation.
fn sent(message: &[u8]) -> Option<Value> {
    let mut lines = message.splitn(5, |byte| *byte == b'\n');
    let (method, target) = (lines.next()?, std::str::from_utf8(lines.next()?).ok()?);
    let body = lines.nth(2)?.strip_suffix(b"\n")?;
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let route = Route::find(wechatpay_model::operations(), &Method::from_bytes(method).ok()?, path)?;
    request::parse(&route, query, &HeaderMap::new(), body).ok()
}

/// The merchant of these credentials, signing with aws-lc.
pub fn merchant(credentials: &Credentials) -> Merchant<Told<aws_lc::Signer>> {
    let signer = aws_lc::Signer::from_pem(&credentials.private_key_pem).expect("the sandbox's key");
    let signer = Told::of(credentials, signer);
    Merchant::new(credentials.mchid.as_str(), credentials.serial_no.as_str(), signer)
}

/// The same merchant, signing with the rsa crate.
pub fn merchant_rsa(credentials: &Credentials) -> Merchant<Told<rsa::Signer>> {
    let signer = rsa::Signer::from_pem(&credentials.private_key_pem).expect("the sandbox's key");
    let signer = Told::of(credentials, signer);
    Merchant::new(credentials.mchid.as_str(), credentials.serial_no.as_str(), signer)
}

/// The brand of these credentials, signing with aws-lc.
pub fn brand(credentials: &Credentials) -> Brand<Told<aws_lc::Signer>> {
    let signer = aws_lc::Signer::from_pem(&credentials.private_key_pem).expect("the sandbox's key");
    let signer = Told::of(credentials, signer);
    Brand::new(credentials.mchid.as_str(), credentials.serial_no.as_str(), signer)
}

/// Trusts the platform's public key.
pub fn public_key(credentials: &Credentials) -> Trust {
    let key = aws_lc::VerifyingKey::from_public_key_pem(&credentials.public_key_pem).expect("the sandbox's key");
    Trust::new().with_public_key(credentials.public_key_id.as_str(), key)
}

/// Trusts the platform certificate.
pub fn certificate(credentials: &Credentials) -> Trust {
    let certificate = Certificate::from_pem(&credentials.platform_certificate_pem).expect("the sandbox's certificate");
    let key = aws_lc::VerifyingKey::from_certificate(&certificate).expect("the certificate's key");
    Trust::new().with_certificate(certificate.serial(), key)
}

/// Where the sandbox listens.
pub fn base(sandbox: &Sandbox) -> BaseUrl {
    BaseUrl::parse(&sandbox.base_url()).expect("the sandbox's URL")
}

/// A client of the sandbox's merchant over this transport.
pub fn client<T: Transport>(sandbox: &Sandbox, transport: T) -> Client<T> {
    let credentials = sandbox.merchant();
    Client::new(transport, merchant(&credentials), public_key(&credentials)).with_base_url(base(sandbox))
}

/// An instant of the sandbox's clock, so many seconds from now, as it is written in requests.
pub fn from_now(sandbox: &Sandbox, seconds: i64) -> Value {
    Timestamp::from_unix(sandbox.now() + seconds).expect("a year of four digits").as_str().into()
}
