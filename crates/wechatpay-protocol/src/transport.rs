//! What carries a signed request to WeChat Pay and brings the answer back.

use crate::error::BoxError;
use bytes::Bytes;
use http_body::Body;
use std::fmt;
use std::future::Future;
use std::io::Read;
use std::time::Duration;

/// Carries one HTTP request and returns the answer as it came: no redirect followed, nothing decompressed, nothing
/// tried again.
///
/// A closure from [`http::Request`] to a future is a transport. The protocol collects the body, so a transport holds no
/// limit of its own.
///
/// It borrows nothing: a download of certificates belongs to all calls that wait for it, and may outlive the one that began it.
pub trait Transport: Send + Sync + 'static {
    /// Body of an answer.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send;

    /// Sends the request.
    ///
    /// # Errors
    /// No answer came; the error says whether the request may have reached the other side.
    fn call(
        &self,
        request: http::Request<Bytes>,
    ) -> impl Future<Output = Result<http::Response<Self::Body>, TransportError>> + Send;
}

impl<F, Fut, B> Transport for F
where
    F: Fn(http::Request<Bytes>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<http::Response<B>, TransportError>> + Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send,
{
    type Body = B;

    fn call(
        &self,
        request: http::Request<Bytes>,
    ) -> impl Future<Output = Result<http::Response<B>, TransportError>> + Send {
        self(request)
    }
}

/// The twin of [`Transport`] for code without an async runtime.
///
/// A closure from request and timeout to a response is a blocking transport.
pub trait BlockingTransport: Send + Sync {
    /// Body of an answer.
    type Body: Read;

    /// Sends the request; `timeout` is for the whole attempt, body included, `None` leaves it to the transport.
    ///
    /// # Errors
    /// No answer came; the error says whether the request may have reached the other side.
    fn call(
        &self,
        request: http::Request<Bytes>,
        timeout: Option<Duration>,
    ) -> Result<http::Response<Self::Body>, TransportError>;
}

impl<F, R> BlockingTransport for F
where
    F: Fn(http::Request<Bytes>, Option<Duration>) -> Result<http::Response<R>, TransportError> + Send + Sync,
    R: Read,
{
    type Body = R;

    fn call(
        &self,
        request: http::Request<Bytes>,
        timeout: Option<Duration>,
    ) -> Result<http::Response<R>, TransportError> {
        self(request, timeout)
    }
}

/// No usable answer came back from the wire.
#[derive(Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    sent: Sent,
    source: BoxError,
}

/// How a transport failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// No connection was made.
    Connect,
    /// It took too long.
    Timeout,
    /// The connection broke, or what came over it was not HTTP.
    Interrupted,
    /// The request is not one that this transport can send; nor will it be.
    Unsendable,
}

/// Whether the request may have reached the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sent {
    /// Certainly not: it is safe to send it elsewhere.
    No,
    /// Perhaps: its effect is unknown.
    Maybe,
}

impl TransportError {
    /// An error of this kind. Without a connection nothing was sent, nor of what cannot be; anything else may have been.
    pub fn new(kind: TransportErrorKind, source: impl Into<BoxError>) -> Self {
        let sent = match kind {
            TransportErrorKind::Connect | TransportErrorKind::Unsendable => Sent::No,
            TransportErrorKind::Timeout | TransportErrorKind::Interrupted => Sent::Maybe,
        };
        Self { kind, sent, source: source.into() }
    }

    /// The connection broke before an answer was complete; the request may have been executed.
    pub fn interrupted(source: impl Into<BoxError>) -> Self {
        Self::new(TransportErrorKind::Interrupted, source)
    }

    /// Nothing left this machine: the request could not be turned into one that the transport can send. It is not repeated.
    pub fn not_sent(source: impl Into<BoxError>) -> Self {
        Self::new(TransportErrorKind::Unsendable, source)
    }

    /// At which stage it failed.
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// Whether the request may have reached the other side.
    pub fn sent(&self) -> Sent {
        self.sent
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            TransportErrorKind::Connect => "no connection",
            TransportErrorKind::Timeout => "timed out",
            TransportErrorKind::Interrupted => "the connection broke",
            TransportErrorKind::Unsendable => "it cannot be sent so",
        };
        let sent = match self.sent {
            Sent::No => "nothing was sent",
            Sent::Maybe => "the request may have been executed",
        };
        write!(f, "{what}; {sent}: {}", self.source)?;
        let mut cause = self.source.source();
        while let Some(source) = cause {
            write!(f, ": {source}")?;
            cause = source.source();
        }
        Ok(())
    }
}

impl std::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}
