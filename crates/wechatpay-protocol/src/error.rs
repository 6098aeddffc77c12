//! What can go wrong with a call, and what that means for money.

use crate::check::Violation;
use crate::request::Prepared;
use crate::response::TOLERANCE;
use crate::transport::{Sent, TransportError, TransportErrorKind};
use bytes::Bytes;
use serde_json::Value;
use std::fmt;
use std::time::Duration;
use wechatpay_model::ErrorCode;
use wechatpay_model::operation::{ErrorRow, Idempotency};

/// An error of any kind, for sources that this crate does not know.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call gave no value. Every variant answers [`executed`](Self::executed) and [`retry`](Self::retry).
///
/// `Debug` and `Display` never show a key, an `Authorization` header, a body or a value of the request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The request breaks documented limits. Nothing was signed or sent.
    Invalid(Invalid),
    /// The signer failed. Nothing was sent.
    Signing(BoxError),
    /// No answer came back.
    Transport(TransportError),
    /// 202, verified: accepted, not finished. Repeat the call with the same parameters to learn the outcome.
    Pending(Pending),
    /// WeChat Pay refused.
    Api(Box<ApiError>),
    /// An answer came that cannot be believed.
    Unverified(Box<Unverified>),
    /// A verified answer came that cannot be read.
    Decode(Box<DecodeError>),
    /// The request may have been executed, which the last error alone does not say or does not warn of enough: the operation
    /// is not idempotent, so that repeating it may act twice, or an earlier attempt of the same call may have been executed
    /// and the last one was refused, or certainly not executed.
    OutcomeUnknown(Box<OutcomeUnknown>),
}

/// Whether the request was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Executed {
    /// Certainly not.
    No,
    /// Nobody knows.
    Maybe,
    /// Yes, in part or in whole.
    Yes,
}

/// What a repeat can be hoped to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retry {
    /// Nothing: the same request will fail again.
    Never,
    /// Succeed later. With the same parameters; where the request may have been executed, only if the operation is
    /// idempotent.
    Later,
    /// Nothing good, before the object has been read: the answer means that it may exist or be used already.
    ReadFirst,
}

impl Error {
    /// Whether the request was executed.
    pub fn executed(&self) -> Executed {
        match self {
            Self::Invalid(_) | Self::Signing(_) => Executed::No,
            Self::Transport(error) => match error.sent() {
                Sent::No => Executed::No,
                Sent::Maybe => Executed::Maybe,
            },
            Self::Pending(_) | Self::Decode(_) => Executed::Yes,
            Self::Api(error) if !error.authenticated => Executed::Maybe,
            Self::Api(error) => match error.status {
                429 => Executed::No,
                500.. => Executed::Maybe,
                _ if error.code == ErrorCode::SystemError => Executed::Maybe,
                _ => Executed::No,
            },
            Self::Unverified(_) | Self::OutcomeUnknown(_) => Executed::Maybe,
        }
    }

    /// What a repeat can be hoped to do.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Invalid(_) | Self::Signing(_) => Retry::Never,
            Self::Transport(error) if error.kind() == TransportErrorKind::Unsendable => Retry::Never,
            Self::Transport(_) | Self::Pending(_) => Retry::Later,
            Self::Api(error) => error.retry(),
            Self::Unverified(error) => match error.reason {
                UnverifiedReason::Probe | UnverifiedReason::UnknownSerial(_) => Retry::Later,
                _ => Retry::ReadFirst,
            },
            Self::Decode(_) => Retry::ReadFirst,
            Self::OutcomeUnknown(error) => match (error.idempotency, error.source.retry()) {
                (Idempotency::Safe | Idempotency::Key(_), Retry::Later) => Retry::Later,
                _ => Retry::ReadFirst,
            },
        }
    }

    /// The `Request-ID` of the answer, to be named to WeChat Pay's support.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Pending(error) => error.request_id.as_deref(),
            Self::Api(error) => error.request_id.as_deref(),
            Self::Unverified(error) => error.request_id.as_deref(),
            Self::Decode(error) => error.request_id.as_deref(),
            Self::OutcomeUnknown(error) => error.source.request_id(),
            Self::Invalid(_) | Self::Signing(_) | Self::Transport(_) => None,
        }
    }

    /// The documented advice for this refusal of this operation.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Api(error) => error.remedy(),
            Self::OutcomeUnknown(error) => error.source.remedy(),
            _ => None,
        }
    }

    /// HTTP status, where an answer came.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Invalid(_) | Self::Signing(_) | Self::Transport(_) => None,
            Self::Pending(_) => Some(202),
            Self::Api(error) => Some(error.status),
            Self::Unverified(error) => Some(error.status),
            Self::Decode(error) => Some(error.status),
            Self::OutcomeUnknown(error) => error.source.status(),
        }
    }

    /// Error code of a refusal, as the answer spells it: `RESOURCE_NOT_EXISTS`. Empty where its body names none.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Api(error) => Some(error.code.as_str()),
            Self::OutcomeUnknown(error) => error.source.code(),
            _ => None,
        }
    }

    /// The name of the variant in traces and in JSON output: `invalid`, `signing`, `transport`, `pending`, `api`,
    /// `unverified`, `decode`, `outcome_unknown`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::Signing(_) => "signing",
            Self::Transport(_) => "transport",
            Self::Pending(_) => "pending",
            Self::Api(_) => "api",
            Self::Unverified(_) => "unverified",
            Self::Decode(_) => "decode",
            Self::OutcomeUnknown(_) => "outcome_unknown",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::Signing(error) => write!(f, "signing failed, nothing was sent: {error}"),
            Self::Transport(error) => error.fmt(f),
            Self::Pending(error) => error.fmt(f),
            Self::Api(error) => error.fmt(f),
            Self::Unverified(error) => error.fmt(f),
            Self::Decode(error) => error.fmt(f),
            Self::OutcomeUnknown(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Signing(error) => Some(&**error),
            Self::Transport(error) => Some(error),
            Self::Decode(error) => Some(&*error.source),
            Self::OutcomeUnknown(error) => Some(&error.source),
            _ => None,
        }
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

/// A request that breaks its limits; see [`Error::Invalid`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Id of the operation, or `raw`: a path may hold an openid or a coupon code.
    pub operation: String,
    /// Everything that is wrong, in the order of the document.
    pub violations: Vec<Violation>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: nothing was sent, the request is invalid", self.operation)?;
        self.violations.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}

/// A call that was accepted and is not finished; see [`Error::Pending`].
#[derive(Clone)]
pub struct Pending {
    /// The `Request-ID` header.
    pub request_id: Option<String>,
    /// The verified body.
    pub body: Bytes,
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("accepted (202) but not finished; repeat the call with the same parameters to learn the outcome")?;
        write_request_id(f, self.request_id.as_deref())
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}

/// A refusal; see [`Error::Api`].
#[derive(Clone)]
#[non_exhaustive]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// Error code; empty where the body names none, such as a gateway's HTML page.
    pub code: ErrorCode,
    /// WeChat Pay's message, for people: its wording changes, so decide by the code.
    pub message: String,
    /// The raw `detail` value. It may repeat values of the request, so it is in no `Debug`.
    pub detail: Option<Value>,
    /// The `Request-ID` header.
    pub request_id: Option<String>,
    /// The `Retry-After` header, where it counts seconds.
    pub retry_after: Option<Duration>,
    /// Seconds by which this machine's clock is ahead (positive) or behind (negative) of the answer's `Date`.
    pub clock_skew: Option<i64>,
    /// Whether the refusal was signed and the signature verified. One that was not may come from anybody on the way.
    pub authenticated: bool,
    /// The raw body.
    pub body: Bytes,
    /// The documented rows that fit: by status and code, and where several do, by message.
    pub documented: Vec<&'static ErrorRow>,
}

impl ApiError {
    /// The documented advice, where the documents leave no doubt which one applies.
    pub fn remedy(&self) -> Option<&'static str> {
        match *self.documented {
            [row] => Some(row.remedy()),
            _ => None,
        }
    }

    /// What a repeat can be hoped to do: 429 by status, `SYSTEM_ERROR` by code at whatever status.
    pub fn retry(&self) -> Retry {
        match (self.status, &self.code) {
            (429 | 502 | 503, _) | (_, ErrorCode::SystemError | ErrorCode::StatementCreating) => Retry::Later,
            (500.., ErrorCode::Unrecognized(_)) => Retry::Later,
            (_, ErrorCode::ResourceAlreadyExists) => Retry::ReadFirst,
            _ => Retry::Never,
        }
    }

    /// The field that `detail` blames: a JSON pointer for the body, a name for path and query.
    pub fn field(&self) -> Option<&str> {
        self.detail.as_ref()?.get("field")?.as_str()
    }

    /// What `detail` says is wrong with it.
    pub fn issue(&self) -> Option<&str> {
        let detail = self.detail.as_ref()?;
        detail.get("issue").or_else(|| detail.pointer("/detail/issue"))?.as_str()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: {}", self.status)?;
        if !self.code.as_str().is_empty() {
            write!(f, " {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        if let Some(field) = self.field() {
            write!(f, " (at {field})")?;
        }
        if !self.authenticated {
            f.write_str(" [the refusal itself is not signed]")?;
        }
        if self.status == 401 {
            write_skew(f, self.clock_skew)?;
        }
        match &*self.documented {
            [] => {}
            [row] => write!(f, "; {} {}", row.meaning(), row.remedy())?,
            rows => {
                f.write_str("; one of:")?;
                rows.iter().try_for_each(|row| write!(f, "\n  {} {}", row.meaning(), row.remedy()))?;
            }
        }
        write_request_id(f, self.request_id.as_deref())
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiError")
            .field("status", &self.status)
            .field("code", &self.code)
            .field("message", &self.message)
            .field("field", &self.field())
            .field("request_id", &self.request_id)
            .field("authenticated", &self.authenticated)
            .finish_non_exhaustive()
    }
}

/// An answer that cannot be believed; see [`Error::Unverified`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unverified {
    /// Why it is not believed.
    pub reason: UnverifiedReason,
    /// HTTP status that the answer claims.
    pub status: u16,
    /// Seconds by which this machine's clock is ahead (positive) or behind (negative) of the answer's `Date`.
    pub clock_skew: Option<i64>,
    /// The `Request-ID` that it claims.
    pub request_id: Option<String>,
}

/// Why an answer cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnverifiedReason {
    /// A success without any signature.
    Unsigned,
    /// This signature header is missing while others are there.
    MissingHeader(&'static str),
    /// This signature header came twice.
    DuplicateHeader(&'static str),
    /// This signature header cannot be read.
    MalformedHeader(&'static str),
    /// The signature is of a type that the trusted key does not make.
    UnknownType(String),
    /// Signed so many seconds before (negative) or after (positive) the client's clock; 300 are tolerated.
    Stale(i64),
    /// Signed with a key that is not trusted.
    UnknownSerial(String),
    /// The signature is not over these bytes: the answer was changed on the way or forged.
    Mismatch,
    /// `WECHATPAY/SIGNTEST/…`: WeChat Pay tests whether signatures are checked. It says so of answers to requests that
    /// did run, but like any answer that is not believed this one may come from anybody. Where the operation has a request
    /// number, repeat it with the same.
    Probe,
    /// A downloaded file is not the one whose hash a verified answer named.
    HashMismatch,
}

impl fmt::Display for UnverifiedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str("it carries no signature, so it counts as forged"),
            Self::MissingHeader(name) => write!(f, "its header {name} is missing"),
            Self::DuplicateHeader(name) => write!(f, "its header {name} came more than once"),
            Self::MalformedHeader(name) => write!(f, "its header {name} cannot be read"),
            Self::UnknownType(name) => write!(f, "its signature type {name} is not known here"),
            Self::Stale(seconds) => write!(
                f,
                "it was signed {} seconds {} this machine's clock, 300 are tolerated; check the clock",
                seconds.unsigned_abs(),
                if *seconds < 0 { "before" } else { "after" }
            ),
            Self::UnknownSerial(serial) => write!(
                f,
                "it is signed with {serial}, which is not trusted; add that public key or certificate if it is WeChat \
                 Pay's"
            ),
            Self::Mismatch => f.write_str("its signature does not fit its bytes; it was changed or forged"),
            Self::Probe => f.write_str(
                "its signature is a probe (WECHATPAY/SIGNTEST), a wrong one by which WeChat Pay tests that signatures are \
                 checked",
            ),
            Self::HashMismatch => f.write_str("the file's hash is not the one that was announced; throw it away"),
        }
    }
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer ({}) is not believed: {}", self.status, self.reason)?;
        if let UnverifiedReason::Stale(_) = self.reason {
            write_skew(f, self.clock_skew)?;
        }
        write_request_id(f, self.request_id.as_deref())
    }
}

/// A call that may have acted and must not simply be repeated; see [`Error::OutcomeUnknown`].
///
/// It carries the request, so that what it should have done can be looked up, and an identical one sent if it was not.
#[non_exhaustive]
pub struct OutcomeUnknown {
    /// Id of the operation, or `raw`.
    pub operation: String,
    /// HTTP method as sent.
    pub method: http::Method,
    /// Path and query as sent. They may hold an openid or a coupon code, so they are in no `Debug`.
    pub target: String,
    /// Body as sent. It may hold openids or coupon codes, so it is in no `Debug`.
    pub body: Bytes,
    /// Whether, and how, it may be repeated all the same.
    pub idempotency: Idempotency,
    /// Whether an attempt before the last one may have been executed.
    pub earlier: bool,
    /// What happened to the last attempt.
    pub source: Error,
}

impl OutcomeUnknown {
    pub(crate) fn new(
        operation: &str,
        idempotency: Idempotency,
        prepared: &Prepared,
        earlier: bool,
        source: Error,
    ) -> Self {
        let (method, target, body) = prepared.parts();
        Self { operation: operation.to_owned(), method, target, body, idempotency, earlier, source }
    }
}

impl fmt::Display for OutcomeUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, source, .. } = self;
        write!(f, "{operation} may have been executed")?;
        if self.earlier {
            f.write_str(" by an earlier attempt")?;
        }
        match self.idempotency {
            Idempotency::Safe => f.write_str("; repeating it does no harm")?,
            Idempotency::Key(field) => write!(f, "; if you repeat it, then with the same {field}")?,
            _ => f.write_str(" and is not idempotent; read what it changes before repeating it")?,
        }
        write!(f, ": {source}")
    }
}

impl fmt::Debug for OutcomeUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, source, .. } = self;
        f.debug_struct("OutcomeUnknown").field("operation", operation).field("source", source).finish_non_exhaustive()
    }
}

/// A verified answer that cannot be read; see [`Error::Decode`].
#[non_exhaustive]
pub struct DecodeError {
    /// HTTP status.
    pub status: u16,
    /// Where in the answer, as `a.b[0].c`.
    pub path: String,
    /// The `Request-ID` header.
    pub request_id: Option<String>,
    /// The raw body, verified. Empty where it was read, and a list cannot go on from it.
    pub body: Bytes,
    /// What the reader wanted there instead; it repeats no value of the answer.
    pub source: BoxError,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request ran and the answer is genuine, but cannot be read at {}: {}", self.path, self.source)?;
        write_request_id(f, self.request_id.as_deref())
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeError")
            .field("path", &self.path)
            .field("request_id", &self.request_id)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Names the clock where it is far enough off to be the cause.
fn write_skew(f: &mut fmt::Formatter<'_>, skew: Option<i64>) -> fmt::Result {
    match skew {
        Some(skew) if skew.unsigned_abs() > TOLERANCE.unsigned_abs() => {
            let side = if skew < 0 { "behind" } else { "ahead of" };
            write!(f, "; this machine's clock is {} seconds {side} the server's: set it right", skew.unsigned_abs())
        }
        _ => Ok(()),
    }
}

fn write_request_id(f: &mut fmt::Formatter<'_>, request_id: Option<&str>) -> fmt::Result {
    request_id.map_or(Ok(()), |id| write!(f, " (Request-ID {id})"))
}
