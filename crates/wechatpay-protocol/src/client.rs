//! The one place where a call happens.

use crate::certificates::Certificates;
use crate::check::Context;
use crate::crypto::{AsyncSigner, Decryptor, Signer};
use crate::error::{BoxError, Error, Executed, Invalid, OutcomeUnknown, Retry, UnverifiedReason};
use crate::identity::Identity;
use crate::observe::{Observer, Report};
use crate::request::{self, Authorization, BaseUrl, File, Prepared, Sender};
use crate::response::{self, Verified};
use crate::retry::{Attempt, BlockingTimer, Budget, RetryPolicy, Timer, within};
use crate::stamp::{Stamp, Stamper, SystemStamper};
use crate::transport::{BlockingTransport, Sent, Transport, TransportError, TransportErrorKind};
use crate::trust::Verifier;
use crate::{Violation, ViolationKind};
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::io::Read;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use wechatpay_model::Operation;
use wechatpay_model::operation::{Answer, Idempotency, Spec};

/// Most bytes that are read of an answer.
const BODY_LIMIT: usize = 8 << 20;

/// Most header lines of an answer.
const MOST_HEADERS: usize = 256;

/// Most bytes of all headers of an answer together.
const HEADER_LIMIT: usize = 64 << 10;

/// A verified answer: its signature fits its raw bytes, and is at most 300 seconds old.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Reply<R> {
    /// What it says, read leniently: unknown fields are left out, unknown values of enums are kept as text.
    pub value: R,
    /// HTTP status, 2xx but never 202, which is [`Error::Pending`].
    pub status: u16,
    /// The `Request-ID` header, to be named to WeChat Pay's support.
    pub request_id: Option<String>,
    /// Serial of the public key or certificate that signed it.
    pub serial: String,
}

/// A client over an async transport; see [`Caller`].
pub type Client<T> = Caller<T, dyn AsyncSigner, dyn Timer>;

/// A client for code without an async runtime; see [`Caller`].
///
/// It wants a [`Signer`]: one that waits for somebody is a compile error here, not a stalled thread.
pub type BlockingClient<T> = Caller<T, dyn Signer, dyn BlockingTimer>;

/// Signs calls of one merchant or brand, sends them and believes only verified answers: [`Client`] or [`BlockingClient`].
///
/// Clones are cheap and share the transport, and so do clients of other merchants made with
/// `for_identity`: one pool of connections serves them all.
///
/// Of an answer 8 MiB are read at most, and 256 headers of 64 KiB together; more is a broken transport.
pub struct Caller<T, S: ?Sized, W: ?Sized> {
    transport: Arc<T>,
    identity: Identity<S>,
    pub(crate) verifier: Arc<dyn Verifier>,
    pub(crate) stamper: Arc<dyn Stamper>,
    observer: Option<Arc<dyn Observer>>,
    decryptor: Option<Arc<dyn Decryptor>>,
    base: BaseUrl,
    backups: Arc<[BaseUrl]>,
    pub(crate) timeout: Option<Duration>,
    retrying: Option<Retrying<W>>,
}

/// A policy and what it needs.
struct Retrying<W: ?Sized> {
    policy: RetryPolicy,
    budget: Arc<Budget>,
    timer: Arc<W>,
}

impl<W: ?Sized> Clone for Retrying<W> {
    fn clone(&self) -> Self {
        let Self { policy, budget, timer } = self;
        Self { policy: *policy, budget: Arc::clone(budget), timer: Arc::clone(timer) }
    }
}

/// A call whose arguments are checked and laid out, to be sent once or several times: the same bytes each time, signed
/// afresh. It belongs to the merchant or brand of the client that prepared it.
#[derive(Clone)]
pub struct Call {
    /// None for any other path.
    spec: Option<&'static Spec>,
    prepared: Prepared,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The arguments may be anything.
        f.debug_struct("Call").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Call {
    /// Operation id, or method and path.
    fn name(&self) -> &str {
        self.spec.map_or("raw", Spec::id)
    }

    /// A raw call is repeatable if it only reads.
    fn idempotency(&self) -> Idempotency {
        match self.spec {
            Some(spec) => spec.idempotency(),
            None if self.prepared.method().is_safe() => Idempotency::Safe,
            None => Idempotency::None,
        }
    }
}

/// Where a call stands between its attempts.
struct Progress {
    /// 1 during the first attempt.
    number: u32,
    /// Which of base and backups it goes to.
    host: usize,
    started: Duration,
    /// Whether an attempt before this one may have been executed.
    earlier: bool,
}

impl Progress {
    /// What the last error means, after all that came before it.
    fn judge(&self, call: &Call, error: Error) -> Error {
        let idempotency = call.idempotency();
        // To have read something earlier is no effect.
        let earlier = self.earlier && !call.prepared.method().is_safe();
        let unknown = match error.executed() {
            Executed::No => earlier,
            // A refusal that nobody signed is no firmer than one that is believed.
            Executed::Maybe => idempotency == Idempotency::None || (earlier && error.retry() == Retry::Never),
            Executed::Yes => false,
        };
        if !unknown {
            return error;
        }
        Error::OutcomeUnknown(Box::new(OutcomeUnknown::new(call.name(), idempotency, &call.prepared, earlier, error)))
    }
}

impl<T, S: ?Sized, W: ?Sized> Caller<T, S, W> {
    fn with(transport: Arc<T>, identity: Identity<S>, verifier: impl Verifier + 'static) -> Self {
        Self {
            transport,
            identity,
            verifier: Arc::new(verifier),
            stamper: Arc::new(SystemStamper),
            observer: None,
            decryptor: None,
            base: BaseUrl::official(),
            backups: Arc::new([]),
            timeout: None,
            retrying: None,
        }
    }

    fn sibling(&self, identity: Identity<S>, verifier: impl Verifier + 'static) -> Self {
        // What is encrypted for one merchant is not for another.
        Self { identity, verifier: Arc::new(verifier), decryptor: None, ..self.clone() }
    }

    /// Sends to another host: the sandbox, an overseas host, a gateway of your own.
    #[must_use]
    pub fn with_base_url(self, base: BaseUrl) -> Self {
        Self { base, ..self }
    }

    /// Hosts to turn to, in this order, when a repeat is due and the last host could not be reached, or the operation is
    /// safe to repeat: [`BaseUrl::official_backup`], say.
    #[must_use]
    pub fn with_backups(self, backups: impl IntoIterator<Item = BaseUrl>) -> Self {
        Self { backups: backups.into_iter().collect(), ..self }
    }

    /// Takes time and nonces from elsewhere: a virtual clock, fixed values in a test.
    #[must_use]
    pub fn with_stamper(self, stamper: impl Stamper + 'static) -> Self {
        Self { stamper: Arc::new(stamper), ..self }
    }

    /// Reports every attempt, for metrics.
    #[must_use]
    pub fn with_observer(self, observer: impl Observer + 'static) -> Self {
        Self { observer: Some(Arc::new(observer)), ..self }
    }

    /// Decrypts what an operation marks as sensitive in its answer (P13) with the private key of the caller:
    /// `aws_lc::DecryptingKey`. Without, such an answer is an [`Error::Decode`]. It is this caller's alone: a client that
    /// `for_identity` makes of this one has none.
    #[must_use]
    pub fn with_decryptor(self, decryptor: impl Decryptor + 'static) -> Self {
        Self { decryptor: Some(Arc::new(decryptor)), ..self }
    }

    /// Who calls: the merchant or brand whose key signs.
    pub fn identity(&self) -> &Identity<S> {
        &self.identity
    }

    /// The host that calls go to first; backups are asked only when a repeat is due.
    pub fn base_url(&self) -> &BaseUrl {
        &self.base
    }

    /// Checks and lays out a call with untyped arguments; `send_call` sends it.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong with the arguments.
    pub fn prepare(&self, spec: &'static Spec, arguments: Value) -> Result<Call, Error> {
        self.lay_out(spec, arguments, None)
    }

    fn lay_out(&self, spec: &'static Spec, arguments: Value, file: Option<File<'_>>) -> Result<Call, Error> {
        let now = self.stamper.now();
        self.tell(now);
        let context = Context { now, mchid: self.identity.id() };
        let sender = Sender { verifier: Some(&*self.verifier), brand_id: self.identity.brand_id() };
        let prepared = request::lay_out(spec, arguments, file, &context, &sender);
        Ok(Call { spec: Some(spec), prepared: prepared.map_err(Error::Invalid)? })
    }

    fn read<R: DeserializeOwned>(
        &self,
        spec: Option<&Spec>,
        answer: Answer,
        verified: Verified,
    ) -> Result<Reply<R>, Error> {
        let value = match spec.map_or(&[][..], Spec::sealed) {
            [] => response::decode(answer, &verified)?,
            sealed => response::decode_sealed(sealed, &verified, self.decryptor.as_deref())?,
        };
        let Verified { status, request_id, serial, .. } = verified;
        Ok(Reply { value, status: status.as_u16(), request_id, serial })
    }

    /// The answer of a raw call, which may be empty whatever its path.
    fn read_raw(&self, verified: Verified) -> Result<Reply<Value>, Error> {
        let answer = if verified.body.is_empty() { Answer::Empty } else { Answer::Json };
        self.read(None, answer, verified)
    }

    fn stamp(&self) -> Result<Stamp, Error> {
        self.stamper.stamp().map_err(Error::Signing)
    }

    fn request(
        &self,
        call: &Call,
        host: usize,
        scheme: &str,
        stamp: &Stamp,
        signature: Result<Vec<u8>, BoxError>,
    ) -> Result<Request<Bytes>, Error> {
        let signature = signature.map_err(Error::Signing)?;
        let base = host.checked_sub(1).and_then(|backup| self.backups.get(backup)).unwrap_or(&self.base);
        let (mchid, serial_no) = (self.identity.id(), self.identity.serial_no());
        let authorization = Authorization { scheme: self.identity.scheme(scheme), mchid, serial_no };
        let announce = self.verifier.preferred();
        call.prepared
            .sign_with(base, &authorization, announce.as_deref(), stamp, &signature)
            .map_err(|error| Error::Signing(error.into()))
    }

    /// The serial that this outcome fails for, and the certificates that may bring it.
    fn unknown_serial(&self, outcome: &Result<Verified, Error>) -> Option<(String, &Certificates)> {
        let Err(Error::Unverified(answer)) = outcome else { return None };
        let UnverifiedReason::UnknownSerial(serial) = &answer.reason else { return None };
        Some((serial.clone(), self.certificates()?))
    }

    /// The certificates that answers are verified with; a brand has none.
    pub(crate) fn certificates(&self) -> Option<&Certificates> {
        match self.identity {
            Identity::Merchant(_) => self.verifier.certificates(),
            Identity::Brand(_) => None,
        }
    }

    fn receive(&self, call: &Call, parts: &Parts, body: Bytes) -> Result<Verified, Error> {
        let now = self.stamper.now();
        self.tell(now);
        response::receive(call.spec, parts.status, &parts.headers, body, &*self.verifier, now)
    }

    /// Tells certificates the time: those that have ended are not used.
    fn tell(&self, now: i64) {
        if let Some(certificates) = self.verifier.certificates() {
            certificates.tell(now);
        }
    }

    fn begin(&self) -> Progress {
        if let Some(retrying) = &self.retrying {
            retrying.budget.earn();
        }
        Progress { number: 1, host: 0, started: self.stamper.monotonic(), earlier: false }
    }

    fn elapsed(&self, progress: &Progress) -> Duration {
        self.stamper.monotonic().saturating_sub(progress.started)
    }

    /// Time that the next attempt may take, where a policy says so.
    fn attempt_timeout(&self, progress: &Progress) -> Option<Duration> {
        let policy = &self.retrying.as_ref()?.policy;
        Some(policy.attempt_timeout.min(policy.deadline.saturating_sub(self.elapsed(progress))))
    }

    /// Reports an attempt and decides what follows: the outcome of the call, or a pause and another attempt.
    fn conclude(
        &self,
        call: &Call,
        progress: &mut Progress,
        began: Duration,
        outcome: Result<Verified, Error>,
    ) -> ControlFlow<Result<Verified, Error>, Duration> {
        let report = Report {
            operation: call.name(),
            attempt: progress.number,
            latency: self.stamper.monotonic().saturating_sub(began),
            outcome: outcome.as_ref(),
        };
        report.trace();
        if let Some(observer) = &self.observer {
            observer.attempted(&report);
        }
        let error = match outcome {
            Ok(verified) => return ControlFlow::Break(Ok(verified)),
            Err(error) => error,
        };
        let idempotency = call.idempotency();
        let again = self.retrying.as_ref().and_then(|retrying| {
            let elapsed = self.elapsed(progress);
            let attempt = Attempt { number: progress.number, elapsed, jitter: self.stamper.jitter(), idempotency };
            let pause = retrying.policy.next(&attempt, &error)?;
            retrying.budget.spend().then_some(pause)
        });
        match again {
            Some(pause) => {
                let unreached = matches!(&error, Error::Transport(error) if error.sent() == Sent::No);
                let unanswered = matches!(error, Error::Transport(_)) && idempotency == Idempotency::Safe;
                if unreached || unanswered {
                    progress.host = (progress.host + 1) % (self.backups.len() + 1);
                }
                progress.number += 1;
                progress.earlier |= error.executed() != Executed::No;
                ControlFlow::Continue(pause)
            }
            None => ControlFlow::Break(Err(progress.judge(call, error))),
        }
    }
}

impl<T, S: ?Sized, W: ?Sized> Clone for Caller<T, S, W> {
    fn clone(&self) -> Self {
        Self {
            transport: Arc::clone(&self.transport),
            identity: self.identity.clone(),
            verifier: Arc::clone(&self.verifier),
            stamper: Arc::clone(&self.stamper),
            observer: self.observer.clone(),
            decryptor: self.decryptor.clone(),
            base: self.base.clone(),
            backups: Arc::clone(&self.backups),
            timeout: self.timeout,
            retrying: self.retrying.clone(),
        }
    }
}

impl<T, S: ?Sized, W: ?Sized> fmt::Debug for Caller<T, S, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("base_url", &self.base.to_string())
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl<T: Transport> Client<T> {
    /// A client of a [`Merchant`](crate::Merchant) or a [`Brand`](crate::Brand) for the official host.
    pub fn new<S: AsyncSigner + 'static>(
        transport: T,
        identity: impl Into<Identity<S>>,
        verifier: impl Verifier + 'static,
    ) -> Self {
        Self::with(Arc::new(transport), identity.into().map(|signer| signer as _), verifier)
    }

    /// A client of another merchant or brand over the same transport and host.
    #[must_use]
    pub fn for_identity<S: AsyncSigner + 'static>(
        &self,
        identity: impl Into<Identity<S>>,
        verifier: impl Verifier + 'static,
    ) -> Self {
        self.sibling(identity.into().map(|signer| signer as _), verifier)
    }

    /// Calls an operation.
    ///
    /// # Errors
    /// See [`Error`]; each variant says whether the request may have been executed.
    pub async fn send<O: Operation>(&self, operation: &O) -> Result<Reply<O::Response>, Error> {
        let call = self.lay_out(O::SPEC, arguments(operation)?, None)?;
        self.read(Some(O::SPEC), O::SPEC.answer(), self.exchange(&call).await?)
    }

    /// Calls an operation that takes a file; of the request only the operation's own fields get signed (P15).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn upload<O: Operation>(&self, operation: &O, file: File<'_>) -> Result<Reply<O::Response>, Error> {
        let call = self.lay_out(O::SPEC, arguments(operation)?, Some(file))?;
        self.read(Some(O::SPEC), O::SPEC.answer(), self.exchange(&call).await?)
    }

    /// [`upload`](Self::upload) with untyped arguments, checked all the same; the answer is untyped too.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn call_upload(
        &self,
        spec: &'static Spec,
        arguments: Value,
        file: File<'_>,
    ) -> Result<Reply<Value>, Error> {
        let call = self.lay_out(spec, arguments, Some(file))?;
        self.read(Some(spec), spec.answer(), self.exchange(&call).await?)
    }

    /// Calls an operation with untyped arguments, checked all the same; the answer is untyped too.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn call(&self, spec: &'static Spec, arguments: Value) -> Result<Reply<Value>, Error> {
        self.send_call(&self.prepare(spec, arguments)?).await
    }

    /// Sends what [`prepare`](Self::prepare) has made. The answer is read into a type of yours, which is [`Value`] or
    /// one that keeps less of it.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_call<R: DeserializeOwned>(&self, call: &Call) -> Result<Reply<R>, Error> {
        let answer = call.spec.map_or(Answer::Json, Spec::answer);
        self.read(call.spec, answer, self.exchange(call).await?)
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
        self.read_raw(self.exchange(&raw(method, path, query, body)?).await?)
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

    /// Tries failed calls again as the policy says; nothing is, unless this is set.
    ///
    /// The timer waits between attempts and cuts off those that take too long.
    #[must_use]
    pub fn with_retry(self, policy: RetryPolicy, timer: impl Timer + 'static) -> Self {
        Self { retrying: Some(Retrying { policy, budget: Arc::new(Budget::new()), timer: Arc::new(timer) }), ..self }
    }

    async fn exchange(&self, call: &Call) -> Result<Verified, Error> {
        let mut progress = self.begin();
        loop {
            let began = self.stamper.monotonic();
            let sleep = |duration| self.retrying.as_ref().map(|retrying| retrying.timer.sleep(duration));
            let timeout = self.attempt_timeout(&progress).and_then(sleep);
            let outcome =
                within(self.attempt(call, progress.host), timeout).await.unwrap_or_else(|| Err(out_of_time()));
            match self.conclude(call, &mut progress, began, outcome) {
                ControlFlow::Break(outcome) => return outcome,
                ControlFlow::Continue(pause) => {
                    if let Some(pause) = sleep(pause) {
                        pause.await;
                    }
                }
            }
        }
    }

    /// One attempt. An answer signed with a key that is not known yet is read again once the certificates are fresh.
    async fn attempt(&self, call: &Call, host: usize) -> Result<Verified, Error> {
        let (parts, body) = self.carry(call, host).await?;
        let mut outcome = self.receive(call, &parts, body.clone());
        // Twice: a download that was waited for may be older than the answer.
        for _ in 0..2 {
            let Some((serial, certificates)) = self.unknown_serial(&outcome) else { break };
            self.refresh_for(&serial, certificates, host).await;
            outcome = self.receive(call, &parts, body.clone());
        }
        outcome
    }

    /// There and back, signed afresh.
    pub(crate) async fn carry(&self, call: &Call, host: usize) -> Result<(Parts, Bytes), Error> {
        let (parts, body) = self.transport.call(self.sign(call, host).await?).await?.into_parts();
        check_headers(&parts.headers)?;
        let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(body_failed)?;
        Ok((parts, body.to_bytes()))
    }

    /// There, and as far back as the status; the body is neither collected nor verified.
    pub(crate) async fn open(&self, call: &Call) -> Result<(StatusCode, T::Body), Error> {
        let (parts, body) = self.transport.call(self.sign(call, 0).await?).await?.into_parts();
        check_headers(&parts.headers)?;
        Ok((parts.status, body))
    }

    async fn sign(&self, call: &Call, host: usize) -> Result<Request<Bytes>, Error> {
        let signer = self.identity.signer();
        let stamp = self.stamp()?;
        let message = call.prepared.message(&stamp);
        let signature = signer.sign(&message).await;
        self.request(call, host, signer.scheme(), &stamp, signature)
    }
}

impl<T: BlockingTransport> BlockingClient<T> {
    /// A client of a [`Merchant`](crate::Merchant) or a [`Brand`](crate::Brand) for the official host.
    pub fn new<S: Signer + 'static>(
        transport: T,
        identity: impl Into<Identity<S>>,
        verifier: impl Verifier + 'static,
    ) -> Self {
        Self::with(Arc::new(transport), identity.into().map(|signer| signer as _), verifier)
    }

    /// A client of another merchant or brand over the same transport and host.
    #[must_use]
    pub fn for_identity<S: Signer + 'static>(
        &self,
        identity: impl Into<Identity<S>>,
        verifier: impl Verifier + 'static,
    ) -> Self {
        self.sibling(identity.into().map(|signer| signer as _), verifier)
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
        let call = self.lay_out(O::SPEC, arguments(operation)?, None)?;
        self.read(Some(O::SPEC), O::SPEC.answer(), self.exchange(&call)?)
    }

    /// Calls an operation that takes a file; of the request only the operation's own fields get signed (P15).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn upload<O: Operation>(&self, operation: &O, file: File<'_>) -> Result<Reply<O::Response>, Error> {
        let call = self.lay_out(O::SPEC, arguments(operation)?, Some(file))?;
        self.read(Some(O::SPEC), O::SPEC.answer(), self.exchange(&call)?)
    }

    /// [`upload`](Self::upload) with untyped arguments, checked all the same; the answer is untyped too.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn call_upload(&self, spec: &'static Spec, arguments: Value, file: File<'_>) -> Result<Reply<Value>, Error> {
        let call = self.lay_out(spec, arguments, Some(file))?;
        self.read(Some(spec), spec.answer(), self.exchange(&call)?)
    }

    /// Calls an operation with untyped arguments, checked all the same; the answer is untyped too.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn call(&self, spec: &'static Spec, arguments: Value) -> Result<Reply<Value>, Error> {
        self.send_call(&self.prepare(spec, arguments)?)
    }

    /// Sends what [`prepare`](Self::prepare) has made. The answer is read into a type of yours, which is [`Value`] or
    /// one that keeps less of it.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_call<R: DeserializeOwned>(&self, call: &Call) -> Result<Reply<R>, Error> {
        let answer = call.spec.map_or(Answer::Json, Spec::answer);
        self.read(call.spec, answer, self.exchange(call)?)
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
        self.read_raw(self.exchange(&raw(method, path, query, body)?)?)
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

    /// Tries failed calls again as the policy says; nothing is, unless this is set.
    ///
    /// The timer waits between attempts: [`std::thread::sleep`]. The transport keeps the time of each.
    #[must_use]
    pub fn with_retry(self, policy: RetryPolicy, timer: impl BlockingTimer + 'static) -> Self {
        Self { retrying: Some(Retrying { policy, budget: Arc::new(Budget::new()), timer: Arc::new(timer) }), ..self }
    }

    fn exchange(&self, call: &Call) -> Result<Verified, Error> {
        let mut progress = self.begin();
        loop {
            let began = self.stamper.monotonic();
            let timeout = self.attempt_timeout(&progress).or(self.timeout);
            let outcome = self.attempt(call, progress.host, timeout);
            match self.conclude(call, &mut progress, began, outcome) {
                ControlFlow::Break(outcome) => return outcome,
                ControlFlow::Continue(pause) => {
                    if let Some(retrying) = &self.retrying {
                        retrying.timer.sleep(pause);
                    }
                }
            }
        }
    }

    /// One attempt. An answer signed with a key that is not known yet is read again once the certificates are fresh.
    fn attempt(&self, call: &Call, host: usize, timeout: Option<Duration>) -> Result<Verified, Error> {
        let (parts, body) = self.carry(call, host, timeout)?;
        let mut outcome = self.receive(call, &parts, body.clone());
        // Twice: a download that was waited for may be older than the answer.
        for _ in 0..2 {
            let Some((serial, certificates)) = self.unknown_serial(&outcome) else { break };
            self.refresh_for(&serial, certificates, host, timeout);
            outcome = self.receive(call, &parts, body.clone());
        }
        outcome
    }

    /// There and back, signed afresh.
    pub(crate) fn carry(&self, call: &Call, host: usize, timeout: Option<Duration>) -> Result<(Parts, Bytes), Error> {
        let (parts, reader) = self.transport.call(self.sign(call, host)?, timeout)?.into_parts();
        check_headers(&parts.headers)?;
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
        Ok((parts, body.into()))
    }

    /// There, and as far back as the status; the body is neither read nor verified.
    pub(crate) fn open(&self, call: &Call) -> Result<(StatusCode, T::Body), Error> {
        let (parts, body) = self.transport.call(self.sign(call, 0)?, self.timeout)?.into_parts();
        check_headers(&parts.headers)?;
        Ok((parts.status, body))
    }

    fn sign(&self, call: &Call, host: usize) -> Result<Request<Bytes>, Error> {
        let signer = self.identity.signer();
        let stamp = self.stamp()?;
        let signature = signer.sign(&call.prepared.message(&stamp));
        self.request(call, host, signer.scheme(), &stamp, signature)
    }
}

fn arguments<O: Operation>(operation: &O) -> Result<Value, Error> {
    serde_json::to_value(operation).map_err(|error| {
        let (kind, message) = (ViolationKind::Type, error.to_string());
        let violations = vec![Violation { pointer: String::new(), kind, message }];
        Error::Invalid(Invalid { operation: O::SPEC.id().to_owned(), violations })
    })
}

pub(crate) fn raw(method: Method, path: &str, query: &[(&str, &str)], body: Option<&Value>) -> Result<Call, Error> {
    let prepared = request::prepare_raw(method, path, query, body).map_err(Error::Invalid)?;
    Ok(Call { spec: None, prepared })
}

/// A body may fail with a [`TransportError`] of its own, which then says how; anything else broke the connection.
fn body_failed(error: BoxError) -> Error {
    if error.is::<LengthLimitError>() {
        return too_large();
    }
    error.downcast().map_or_else(TransportError::interrupted, |error| *error).into()
}

/// Refuses more than an answer of WeChat Pay has any use for, whatever a transport lets through.
fn check_headers(headers: &HeaderMap) -> Result<(), Error> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() <= MOST_HEADERS && bytes <= HEADER_LIMIT {
        return Ok(());
    }
    let message = format!(
        "the answer has {} headers of {bytes} bytes; {MOST_HEADERS} of {HEADER_LIMIT} bytes are read",
        headers.len()
    );
    Err(TransportError::interrupted(message).into())
}

fn out_of_time() -> Error {
    TransportError::new(TransportErrorKind::Timeout, "the attempt took longer than the retry policy gives it").into()
}

fn too_large() -> Error {
    TransportError::interrupted(format!("the answer is larger than {BODY_LIMIT} bytes")).into()
}
