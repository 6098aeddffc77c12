//! What is told about a call: traces with stable field names, and a hook for metrics. Never a body, never a secret.

use crate::error::{Error, Executed};
use crate::response::Verified;
use std::time::Duration;

/// Is told of every attempt, repeats included: counters and histograms. A closure over [`Report`] is one.
pub trait Observer: Send + Sync {
    /// An attempt has ended, well or badly. Runs on the calling task: be quick.
    fn attempted(&self, report: &Report<'_>);
}

impl<F: Fn(&Report<'_>) + Send + Sync> Observer for F {
    fn attempted(&self, report: &Report<'_>) {
        self(report);
    }
}

/// One attempt, as an [`Observer`] hears of it. It holds no body, no key and no value of the request.
#[derive(Debug)]
pub struct Report<'a> {
    pub(crate) operation: &'a str,
    pub(crate) attempt: u32,
    pub(crate) latency: Duration,
    pub(crate) outcome: Result<&'a Verified, &'a Error>,
}

impl Report<'_> {
    /// Id of the operation; `raw` for a raw call.
    pub fn operation(&self) -> &str {
        self.operation
    }

    /// 1 for the first.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// From signing to the verified answer, or to the error.
    pub fn latency(&self) -> Duration {
        self.latency
    }

    /// HTTP status, where an answer came.
    pub fn status(&self) -> Option<u16> {
        match self.outcome {
            Ok(verified) => Some(verified.status.as_u16()),
            Err(error) => error.status(),
        }
    }

    /// The `Request-ID` of the answer.
    pub fn request_id(&self) -> Option<&str> {
        match self.outcome {
            Ok(verified) => verified.request_id.as_deref(),
            Err(error) => error.request_id(),
        }
    }

    /// Why the attempt failed, if it did. The call may succeed all the same, with a later attempt.
    pub fn error(&self) -> Option<&Error> {
        self.outcome.err()
    }

    /// Whether the request was executed.
    pub fn executed(&self) -> Executed {
        self.error().map_or(Executed::Yes, Error::executed)
    }

    /// Event of target `wechatpay`; the names of its fields are stable.
    pub(crate) fn trace(&self) {
        let Self { operation, attempt, .. } = self;
        let latency_us = u64::try_from(self.latency.as_micros()).unwrap_or(u64::MAX);
        let (status, request_id) = (self.status(), self.request_id());
        match self.error() {
            None => tracing::debug!(
                target: "wechatpay", operation, attempt, status, request_id, latency_us, "verified"
            ),
            Some(error) => tracing::warn!(
                target: "wechatpay", operation, attempt, status, request_id, latency_us,
                error = error.kind(), code = error.code(), "failed"
            ),
        }
    }
}
