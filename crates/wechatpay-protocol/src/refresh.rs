//! Keeps platform certificates up to date: on request, on a schedule, and when an answer names one that is not known.

use crate::certificates::{Certificates, CertificatesError, Changed, RefreshGuard};
use crate::client::{BlockingClient, Client, raw};
use crate::error::Error;
use crate::retry::Timer;
use crate::transport::{BlockingTransport, Transport};
use http::Method;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use wechatpay_model::Operation;
use wechatpay_model::certificates::List;

/// How often [`Client::keep_certificates_fresh`] looks whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How long a blocking call waits for a refresh that another thread has begun, where it has no timeout of its own.
const WAIT: Duration = Duration::from_secs(30);

/// Why certificates were not refreshed. What was trusted before still is.
#[derive(Debug)]
#[non_exhaustive]
pub enum RefreshError {
    /// The verifier of this client holds no certificates that could be refreshed.
    Fixed,
    /// A refresh is under way, or one failed or brought nothing new within the last minute, or WeChat Pay said within the
    /// last day that this merchant has public keys and no certificates.
    NotNow,
    /// The call failed.
    Call(Error),
    /// The answer was not accepted.
    Answer(CertificatesError),
}

impl fmt::Display for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed => {
                f.write_str("this client trusts a fixed set of keys; give it `Certificates` to refresh them")
            }
            Self::NotNow => f.write_str(
                "a refresh is under way, or was tried less than a minute ago, or WeChat Pay said less than a day ago that \
                 this merchant has no certificates, but public keys",
            ),
            Self::Call(error) => error.fmt(f),
            Self::Answer(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RefreshError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Fixed | Self::NotNow => None,
            Self::Call(error) => Some(error),
            Self::Answer(error) => Some(error),
        }
    }
}

fn trace(outcome: &Result<Changed, RefreshError>) {
    match outcome {
        Ok(changed) => tracing::info!(
            target: "wechatpay", added = ?changed.added, dropped = ?changed.dropped, "certificates refreshed"
        ),
        Err(error) => tracing::warn!(target: "wechatpay", %error, "certificates not refreshed"),
    }
}

fn failed(turn: RefreshGuard<'_>, error: Error) -> RefreshError {
    turn.fail();
    RefreshError::Call(error)
}

impl<T: Transport> Client<T> {
    /// Downloads the platform certificates into the [`Certificates`] that this client verifies with.
    ///
    /// A call does so by itself when an answer names a serial that is not known. Call it at the start, so that the
    /// first call need not wait, and then leave it to [`keep_certificates_fresh`](Self::keep_certificates_fresh).
    ///
    /// # Errors
    /// See [`RefreshError`]; what was trusted before still is.
    pub async fn refresh_certificates(&self) -> Result<Changed, RefreshError> {
        let certificates = self.certificates().ok_or(RefreshError::Fixed)?;
        let outcome = Arc::new(Mutex::new(None));
        let begin = || {
            let (client, outcome) = (self.clone(), Arc::clone(&outcome));
            Box::pin(async move {
                let found = client.refresh().await;
                *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
            }) as _
        };
        // Calls that wait for it move it on, where this one is not polled.
        certificates.flight().board(begin).await;
        let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        outcome.unwrap_or(Err(RefreshError::NotNow))
    }

    async fn refresh(&self) -> Result<Changed, RefreshError> {
        let certificates = self.certificates().ok_or(RefreshError::Fixed)?;
        let turn = certificates.begin_refresh(self.stamper.now()).ok_or(RefreshError::NotNow)?;
        self.take_turn(turn, 0).await
    }

    async fn take_turn(&self, turn: RefreshGuard<'_>, host: usize) -> Result<Changed, RefreshError> {
        let answer = async { self.carry(&raw(Method::GET, List::SPEC.path(), &[], None)?, host).await };
        let (parts, body) = match answer.await {
            Ok(answer) => answer,
            Err(error) => return Err(failed(turn, error)),
        };
        turn.finish(parts.status, &parts.headers, &body, self.stamper.now()).map_err(RefreshError::Answer)
    }

    /// Refreshes the certificates whenever that is due. Never ends: give it to your runtime as a task, and drop it to stop.
    ///
    /// Nothing depends on it: without, a call that meets an unknown serial refreshes them.
    pub async fn keep_certificates_fresh(&self, timer: impl Timer) {
        loop {
            if let Some(certificates) = self.certificates()
                && certificates.refresh_due(self.stamper.now())
                && certificates.may_refresh(self.stamper.now())
            {
                trace(&self.refresh_certificates().await);
            }
            timer.sleep(LOOK_EVERY).await;
        }
    }

    /// Refreshes because of an unknown serial, from the host that named it; one download serves all who are waiting.
    pub(crate) async fn refresh_for(&self, serial: &str, certificates: &Certificates, host: usize) {
        let begin = || {
            let (client, serial) = (self.clone(), serial.to_owned());
            Box::pin(async move { client.download_for(&serial, host).await }) as _
        };
        certificates.flight().board(begin).await;
    }

    async fn download_for(&self, serial: &str, host: usize) {
        let Some(certificates) = self.certificates() else { return };
        match certificates.begin_refresh_for(serial, self.stamper.now()) {
            Some(turn) => trace(&self.take_turn(turn, host).await),
            None => certificates.underway().await,
        }
    }
}

impl<T: BlockingTransport> BlockingClient<T> {
    /// Downloads the platform certificates into the [`Certificates`] that this client verifies with.
    ///
    /// A call does so by itself when an answer names a serial that is not known.
    ///
    /// # Errors
    /// See [`RefreshError`]; what was trusted before still is.
    pub fn refresh_certificates(&self) -> Result<Changed, RefreshError> {
        let certificates = self.certificates().ok_or(RefreshError::Fixed)?;
        let turn = certificates.begin_refresh(self.stamper.now()).ok_or(RefreshError::NotNow)?;
        self.take_turn(turn, 0, self.timeout)
    }

    fn take_turn(
        &self,
        turn: RefreshGuard<'_>,
        host: usize,
        timeout: Option<Duration>,
    ) -> Result<Changed, RefreshError> {
        let answer = raw(Method::GET, List::SPEC.path(), &[], None).and_then(|call| self.carry(&call, host, timeout));
        let (parts, body) = match answer {
            Ok(answer) => answer,
            Err(error) => return Err(failed(turn, error)),
        };
        turn.finish(parts.status, &parts.headers, &body, self.stamper.now()).map_err(RefreshError::Answer)
    }

    /// Refreshes because of an unknown serial, from the host that named it, or waits for the one who is at it.
    pub(crate) fn refresh_for(
        &self,
        serial: &str,
        certificates: &Certificates,
        host: usize,
        timeout: Option<Duration>,
    ) {
        match certificates.begin_refresh_for(serial, self.stamper.now()) {
            Some(turn) => trace(&self.take_turn(turn, host, timeout)),
            // Whether the wait was long enough shows when the answer is read again.
            None => drop(certificates.wait(timeout.unwrap_or(WAIT))),
        }
    }
}
