//! One call over the chosen backend, and what happens when somebody interrupts it.

use crate::args::Backend;
use crate::config::Account;
use crate::output::{Failure, Operation, Result, Signal};
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::{Builder, Runtime};
use wechatpay_hyper::Hyper;
use wechatpay_protocol::{BoxError, Client, Error, Transport, TransportError};
use wechatpay_reqwest::Reqwest;

/// The backend that was asked for; knows whether a request has been handed to it.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    library: Library,
    under_way: Arc<AtomicBool>,
}

#[derive(Debug, Clone)]
enum Library {
    Reqwest(Reqwest),
    Hyper(Hyper),
}

impl Wire {
    pub(crate) fn new(backend: Backend) -> Result<Self> {
        let library = match backend {
            Backend::Reqwest => Library::Reqwest(
                Reqwest::new().map_err(|error| Failure::Local(format!("reqwest cannot be set up: {error}")))?,
            ),
            Backend::Hyper => Library::Hyper(Hyper::new()),
        };
        Ok(Self { library, under_way: Arc::default() })
    }
}

impl Transport for Wire {
    type Body = UnsyncBoxBody<Bytes, BoxError>;

    async fn call(
        &self,
        request: http::Request<Bytes>,
    ) -> std::result::Result<http::Response<Self::Body>, TransportError> {
        self.under_way.store(true, Ordering::Relaxed);
        match &self.library {
            Library::Reqwest(library) => {
                library.call(request).await.map(|response| response.map(|body| body.map_err(Into::into).boxed_unsync()))
            }
            Library::Hyper(library) => {
                library.call(request).await.map(|response| response.map(|body| body.map_err(Into::into).boxed_unsync()))
            }
        }
    }
}

/// Makes one call with an account, unless a signal comes first.
pub(crate) fn exchange<T, F: Future<Output = std::result::Result<T, Error>>>(
    account: Account,
    backend: Backend,
    operation: &Operation,
    call: impl FnOnce(Client<Wire>) -> F,
) -> Result<T> {
    let runtime = runtime(Builder::new_current_thread())?;
    let outcome = runtime.block_on(async {
        let wire = Wire::new(backend)?;
        let under_way = Arc::clone(&wire.under_way);
        let client = Client::new(wire, account.merchant, account.trust).with_base_url(account.base);
        tokio::select! {
            signal = signal() => Err(Failure::Interrupted {
                operation: operation.clone(),
                signal: signal?,
                under_way: under_way.load(Ordering::Relaxed),
            }),
            outcome = call(client) => {
                outcome.map_err(|error| Failure::Call { operation: operation.clone(), error: Box::new(error) })
            }
        }
    });
    // A name that is still being looked up must not keep an interrupted command alive.
    runtime.shutdown_background();
    outcome
}

pub(crate) fn runtime(mut builder: Builder) -> Result<Runtime> {
    builder.enable_all().build().map_err(|error| Failure::Local(format!("the async runtime does not start: {error}")))
}

/// Waits until somebody asks the command to stop.
pub(crate) async fn signal() -> Result<Signal> {
    let failed = |error: std::io::Error| Failure::Local(format!("signals cannot be caught: {error}"));
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed.map(|()| Signal::Interrupt).map_err(failed),
            _ = terminate.recv() => Ok(Signal::Terminate),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map(|()| Signal::Interrupt).map_err(failed)
}
