//! The one place where a call happens.

use crate::check::Context;
use crate::crypto::{AsyncSigner, Signer};
use crate::error::{BoxError, Error, Invalid};
use crate::request::{self, Authorization, BaseUrl, Prepared};
use crate::response::{self, Verified};
use crate::stamp::{Stamp, Stamper, SystemStamper};
use crate::transport::{BlockingTransport, Transport, TransportError, TransportErrorKind};
use crate::trust::Verifier;
use crate::{Violation, ViolationKind};
use bytes::Bytes;
use http::response::Parts;
use http::{Method, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use wechatpay_model::Operation;
use wechatpay_model::operation::{Answer, Spec};
use wechatpay_model::types::MchId;

/// Most bytes that are read of an answer.
const BODY_LIMIT: usize = 8 << 20;

/// Who calls: merchant id, serial number of its API certificate, and the signer that holds the private key.
pub struct Merchant<S: ?Sized> {
    mchid: MchId,
    serial_no: String,
    signer: Arc<S>,
}

impl<S> Merchant<S> {
    /// A merchant. `serial_no` is the serial number of the *merchant's* API certificate in upper-case hex.
    pub fn new(mchid: impl Into<MchId>, serial_no: impl Into<String>, signer: S) -> Self {
        Self { mchid: mchid.into(), serial_no: serial_no.into(), signer: Arc::new(signer) }
    }
}

impl<S: ?Sized> Merchant<S> {
    /// Merchant id.
    pub fn mchid(&self) -> &MchId {
        &self.mchid
    }

    /// Serial number of the merchant's API certificate.
    pub fn serial_no(&self) -> &str {
        &self.serial_no
    }
}

impl<S: ?Sized> Clone for Merchant<S> {
    fn clone(&self) -> Self {
        let Self { mchid, serial_no, signer } = self;
        Self { mchid: mchid.clone(), serial_no: serial_no.clone(), signer: Arc::clone(signer) }
    }
}

impl<S: ?Sized> fmt::Debug for Merchant<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merchant")
            .field("mchid", &self.mchid)
            .field("serial_no", &self.serial_no)
            .finish_non_exhaustive()
    }
}

/// A verified answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Reply<R> {
    /// What it says.
    pub value: R,
    /// HTTP status.
    pub status: u16,
    /// The `Request-ID` header, to be named to WeChat Pay's support.
    pub request_id: Option<String>,
    /// Serial of the public key or certificate that signed it.
    pub serial: String,
}

impl<R> Reply<R> {
    fn read(answer: Answer, verified: Verified) -> Result<Self, Error>
    where
        R: DeserializeOwned,
    {
        let value = response::decode(answer, &verified)?;
        let Verified { status, request_id, serial, .. } = verified;
        Ok(Self { value, status: status.as_u16(), request_id, serial })
    }
}

/// A client over an async transport; see [`Caller`].
pub type Client<T> = Caller<T, dyn AsyncSigner>;

/// A client for code without an async runtime; see [`Caller`].
///
/// It wants a [`Signer`]: one that waits for somebody is a compile error here, not a stalled thread.
pub type BlockingClient<T> = Caller<T, dyn Signer>;

/// Signs calls of one merchant, sends them and believes only verified answers: [`Client`] or [`BlockingClient`].
///
/// Clones are cheap and share the transport, and so do clients of other merchants made with
/// `for_merchant`: one pool of connections serves them all.
pub struct Caller<T, S: ?Sized> {
    transport: Arc<T>,
    merchant: Merchant<S>,
    verifier: Arc<dyn Verifier>,
    stamper: Arc<dyn Stamper>,
    base: BaseUrl,
    timeout: Option<Duration>,
}

/// What is asked: an operation with its arguments laid out, or any path.
struct Call {
    spec: Option<&'static Spec>,
    prepared: Prepared,
}

impl<T, S: ?Sized> Caller<T, S> {
    fn with(transport: Arc<T>, merchant: Merchant<S>, verifier: impl Verifier + 'static) -> Self {
        let (verifier, stamper) = (Arc::new(verifier), Arc::new(SystemStamper));
        Self { transport, merchant, verifier, stamper, base: BaseUrl::official(), timeout: None }
    }

    fn sibling<Z: ?Sized>(&self, merchant: Merchant<Z>, verifier: impl Verifier + 'static) -> Caller<T, Z> {
        Caller {
            stamper: Arc::clone(&self.stamper),
            base: self.base.clone(),
            timeout: self.timeout,
            ..Caller::with(Arc::clone(&self.transport), merchant, verifier)
        }
    }

    /// Sends to another host: the sandbox, an overseas host, a gateway of your own.
    #[must_use]
    pub fn with_base_url(self, base: BaseUrl) -> Self {
        Self { base, ..self }
    }

    /// Takes time and nonces from elsewhere: a virtual clock, fixed values in a test.
    #[must_use]
    pub fn with_stamper(self, stamper: impl Stamper + 'static) -> Self {
        Self { stamper: Arc::new(stamper), ..self }
    }

    /// Who calls.
    pub fn merchant(&self) -> &Merchant<S> {
        &self.merchant
    }

    /// Where calls go.
    pub fn base_url(&self) -> &BaseUrl {
        &self.base
    }

    fn prepare(&self, spec: &'static Spec, arguments: Value) -> Result<Call, Error> {
        let context = Context { now: self.stamper.now(), mchid: self.merchant.mchid.as_str() };
        let prepared = request::prepare(spec, arguments, &context).map_err(Error::Invalid)?;
        Ok(Call { spec: Some(spec), prepared })
    }

    fn stamp(&self) -> Result<Stamp, Error> {
        self.stamper.stamp().map_err(Error::Signing)
    }

    fn request(
        &self,
        call: &Call,
        scheme: &str,
        stamp: &Stamp,
        signature: Result<Vec<u8>, BoxError>,
    ) -> Result<Request<Bytes>, Error> {
        let signature = signature.map_err(Error::Signing)?;
        let Merchant { mchid, serial_no, .. } = &self.merchant;
        let authorization = Authorization { scheme, mchid: mchid.as_str(), serial_no };
        let announce = self.verifier.preferred();
        call.prepared
            .sign_with(&self.base, &authorization, announce.as_deref(), stamp, &signature)
            .map_err(|error| Error::Signing(error.into()))
    }

    fn receive(&self, call: &Call, parts: &Parts, body: Bytes) -> Result<Verified, Error> {
        response::receive(call.spec, parts.status, &parts.headers, body, &*self.verifier, self.stamper.now())
    }
}

impl<T, S: ?Sized> Clone for Caller<T, S> {
    fn clone(&self) -> Self {
        Self {
            transport: Arc::clone(&self.transport),
            merchant: self.merchant.clone(),
            verifier: Arc::clone(&self.verifier),
            stamper: Arc::clone(&self.stamper),
            base: self.base.clone(),
            timeout: self.timeout,
        }
    }
}

impl<T, S: ?Sized> fmt::Debug for Caller<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("base_url", &self.base.to_string())
            .field("merchant", &self.merchant)
            .finish_non_exhaustive()
    }
}

impl<T: Transport> Client<T> {
    /// A client for the official host.
    pub fn new(
        transport: T,
        merchant: Merchant<impl AsyncSigner + 'static>,
        verifier: impl Verifier + 'static,
    ) -> Self {
        let Merchant { mchid, serial_no, signer } = merchant;
        Self::with(Arc::new(transport), Merchant { mchid, serial_no, signer }, verifier)
    }

    /// A client for another merchant over the same transport and host.
    #[must_use]
    pub fn for_merchant(
        &self,
        merchant: Merchant<impl AsyncSigner + 'static>,
        verifier: impl Verifier + 'static,
    ) -> Self {
        let Merchant { mchid, serial_no, signer } = merchant;
        self.sibling(Merchant { mchid, serial_no, signer }, verifier)
    }

    /// Calls an operation.
    ///
    /// # Errors
    /// See [`Error`]; each variant says whether the request may have been executed.
    pub async fn send<O: Operation>(&self, operation: &O) -> Result<Reply<O::Response>, Error> {
        let call = self.prepare(O::SPEC, arguments(operation)?)?;
        Reply::read(O::SPEC.answer(), self.exchange(&call).await?)
    }

    /// Calls an operation with untyped arguments, checked all the same; the answer is untyped too.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn call(&self, spec: &'static Spec, arguments: Value) -> Result<Reply<Value>, Error> {
        let call = self.prepare(spec, arguments)?;
        Reply::read(spec.answer(), self.exchange(&call).await?)
    }

    /// Calls any path, signed and verified all the same.
    ///
    /// `path` goes out as it stands; the pairs of `query` are encoded and appended.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_raw(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply<Value>, Error> {
        raw_reply(self.exchange(&raw(method, path, query, body)?).await?)
    }

    /// [`send_raw`](Self::send_raw) with `GET` and nothing beside the path.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn get(&self, path: &str) -> Result<Reply<Value>, Error> {
        self.send_raw(Method::GET, path, &[], None).await
    }

    /// [`send_raw`](Self::send_raw) with `POST` and a JSON body.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply<Value>, Error> {
        self.send_raw(Method::POST, path, &[], Some(body)).await
    }

    async fn exchange(&self, call: &Call) -> Result<Verified, Error> {
        let signer = &*self.merchant.signer;
        let stamp = self.stamp()?;
        let message = call.prepared.message(&stamp);
        let signature = signer.sign(&message).await;
        let request = self.request(call, signer.scheme(), &stamp, signature)?;

        let (parts, body) = self.transport.call(request).await?.into_parts();
        let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(body_failed)?;
        self.receive(call, &parts, body.to_bytes())
    }
}

impl<T: BlockingTransport> BlockingClient<T> {
    /// A client for the official host.
    pub fn new(transport: T, merchant: Merchant<impl Signer + 'static>, verifier: impl Verifier + 'static) -> Self {
        let Merchant { mchid, serial_no, signer } = merchant;
        Self::with(Arc::new(transport), Merchant { mchid, serial_no, signer }, verifier)
    }

    /// A client for another merchant over the same transport and host.
    #[must_use]
    pub fn for_merchant(&self, merchant: Merchant<impl Signer + 'static>, verifier: impl Verifier + 'static) -> Self {
        let Merchant { mchid, serial_no, signer } = merchant;
        self.sibling(Merchant { mchid, serial_no, signer }, verifier)
    }

    /// Gives each attempt so long, body included; the transport's own default otherwise.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Calls an operation.
    ///
    /// # Errors
    /// See [`Error`]; each variant says whether the request may have been executed.
    pub fn send<O: Operation>(&self, operation: &O) -> Result<Reply<O::Response>, Error> {
        let call = self.prepare(O::SPEC, arguments(operation)?)?;
        Reply::read(O::SPEC.answer(), self.exchange(&call)?)
    }

    /// Calls an operation with untyped arguments, checked all the same; the answer is untyped too.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn call(&self, spec: &'static Spec, arguments: Value) -> Result<Reply<Value>, Error> {
        let call = self.prepare(spec, arguments)?;
        Reply::read(spec.answer(), self.exchange(&call)?)
    }

    /// Calls any path, signed and verified all the same.
    ///
    /// `path` goes out as it stands; the pairs of `query` are encoded and appended.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_raw(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply<Value>, Error> {
        raw_reply(self.exchange(&raw(method, path, query, body)?)?)
    }

    /// [`send_raw`](Self::send_raw) with `GET` and nothing beside the path.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn get(&self, path: &str) -> Result<Reply<Value>, Error> {
        self.send_raw(Method::GET, path, &[], None)
    }

    /// [`send_raw`](Self::send_raw) with `POST` and a JSON body.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn post(&self, path: &str, body: &Value) -> Result<Reply<Value>, Error> {
        self.send_raw(Method::POST, path, &[], Some(body))
    }

    fn exchange(&self, call: &Call) -> Result<Verified, Error> {
        let signer = &*self.merchant.signer;
        let stamp = self.stamp()?;
        let signature = signer.sign(&call.prepared.message(&stamp));
        let request = self.request(call, signer.scheme(), &stamp, signature)?;

        let (parts, reader) = self.transport.call(request, self.timeout)?.into_parts();
        let mut body = Vec::new();
        let limit = BODY_LIMIT as u64;
        reader.take(limit + 1).read_to_end(&mut body).map_err(|error| {
            let timed_out = error.kind() == std::io::ErrorKind::TimedOut;
            let kind = if timed_out { TransportErrorKind::Timeout } else { TransportErrorKind::Interrupted };
            TransportError::new(kind, error)
        })?;
        if body.len() > BODY_LIMIT {
            return Err(too_large());
        }
        self.receive(call, &parts, body.into())
    }
}

fn arguments<O: Operation>(operation: &O) -> Result<Value, Error> {
    serde_json::to_value(operation).map_err(|error| {
        let (kind, message) = (ViolationKind::Type, error.to_string());
        let violations = vec![Violation { pointer: String::new(), kind, message }];
        Error::Invalid(Invalid { operation: O::SPEC.id().to_owned(), violations })
    })
}

fn raw(method: Method, path: &str, query: &[(&str, &str)], body: Option<&Value>) -> Result<Call, Error> {
    let prepared = request::prepare_raw(method, path, query, body).map_err(Error::Invalid)?;
    Ok(Call { spec: None, prepared })
}

/// The answer of a raw call, which may be empty whatever its path.
fn raw_reply(verified: Verified) -> Result<Reply<Value>, Error> {
    let answer = if verified.body.is_empty() { Answer::Empty } else { Answer::Json };
    Reply::read(answer, verified)
}

/// A body may fail with a [`TransportError`] of its own, which then says how; anything else broke the connection.
fn body_failed(error: BoxError) -> Error {
    if error.is::<LengthLimitError>() {
        return too_large();
    }
    error.downcast().map_or_else(TransportError::interrupted, |error| *error).into()
}

fn too_large() -> Error {
    TransportError::interrupted(format!("the answer is larger than {BODY_LIMIT} bytes")).into()
}
