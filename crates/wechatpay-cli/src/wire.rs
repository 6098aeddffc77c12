//! Calls over the chosen backend, repeated as asked, and what happens when somebody interrupts them.

use crate::args::Backend;
use crate::config::Account;
use crate::output::{Failure, Operation, Output, Result, Signal, plain};
use crate::rejection;
use bytes::Bytes;
use http::Uri;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use std::cell::Cell;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use wechatpay_hyper::Hyper;
use wechatpay_protocol::retry::Sleep;
use wechatpay_protocol::{BoxError, Client, Report, RetryPolicy, Transport, TransportError};
use wechatpay_reqwest::reqwest::ClientBuilder;
use wechatpay_reqwest::{CONNECT_TIMEOUT, Reqwest, TIMEOUT};

/// The backend that was asked for; knows whether a request has been handed to it.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    library: Library,
    under_way: Arc<AtomicBool>,
}

#[derive(Debug, Clone)]
enum Library {
    Reqwest {
        far: Reqwest,
        /// For what is on this machine: no proxy is asked for it.
        near: Reqwest,
    },
    Hyper(Hyper),
}

impl Wire {
    pub(crate) fn new(backend: Backend) -> Result<Self> {
        let library = match backend {
            Backend::Reqwest => {
                let failed = |error| Failure::Local(format!("reqwest cannot be set up: {error}"));
                let direct = ClientBuilder::new().connect_timeout(CONNECT_TIMEOUT).timeout(TIMEOUT).no_proxy();
                Library::Reqwest {
                    far: Reqwest::new().map_err(failed)?,
                    near: Reqwest::from_builder(direct).map_err(failed)?,
                }
            }
            Backend::Hyper => Library::Hyper(Hyper::new()),
        };
        Ok(Self { library, under_way: Arc::default() })
    }
}

/// Whether it is on this machine.
pub(crate) fn is_here(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let local = |address: IpAddr| address.is_loopback() || address.is_unspecified();
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| local(address.to_canonical()))
}

impl Transport for Wire {
    type Body = UnsyncBoxBody<Bytes, BoxError>;

    async fn call(
        &self,
        request: http::Request<Bytes>,
    ) -> std::result::Result<http::Response<Self::Body>, TransportError> {
        self.under_way.store(true, Ordering::Relaxed);
        match &self.library {
            Library::Reqwest { far, near } => {
                let library = if is_here(request.uri()) { near } else { far };
                library.call(request).await.map(|response| response.map(|body| body.map_err(Into::into).boxed_unsync()))
            }
            Library::Hyper(library) => {
                library.call(request).await.map(|response| response.map(|body| body.map_err(Into::into).boxed_unsync()))
            }
        }
    }
}

/// How calls travel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) backend: Backend,
    /// Most attempts of each call; without, there is one.
    pub(crate) attempts: Option<u32>,
    pub(crate) output: Output,
}

impl Way {
    pub(crate) fn client(&self, account: Account, wire: Wire) -> Client<Wire> {
        let client = Client::new(wire, account.identity, account.trust).with_base_url(account.base);
        let Some(attempts) = self.attempts else { return client };
        let output = self.output;
        let mut policy = RetryPolicy::default();
        policy.attempts = attempts;
        client
            .with_observer(move |report: &Report<'_>| tell(&output, report, attempts))
            .with_retry(policy, |pause: Duration| -> Sleep { Box::pin(tokio::time::sleep(pause)) })
    }
}

/// Says how an attempt ended.
fn tell(output: &Output, report: &Report<'_>, attempts: u32) {
    let (number, ms) = (report.attempt(), report.latency().as_millis());
    let status = report.status().map(|status| status.to_string());
    let error = report.error().map(|error| error.code().filter(|code| !code.is_empty()).unwrap_or(error.kind()));
    let ended: Vec<_> = status.as_deref().into_iter().chain(error).collect();
    // The code of a refusal is somebody else's text.
    output.hint(format_args!("attempt {number} of {attempts} · {} in {ms} ms", plain(&ended.join(" "))));
}

/// Makes calls with an account, unless a signal comes first.
///
/// Where the account trusts nobody yet, the platform certificates are downloaded before anything else is sent: a call
/// that acts should not find out afterwards that its answer cannot be verified.
pub(crate) fn exchange<T, F: Future<Output = Result<T>>>(
    account: Account,
    way: Way,
    operation: &Operation,
    calls: impl FnOnce(Client<Wire>) -> F,
) -> Result<T> {
    let runtime = runtime(Builder::new_current_thread())?;
    let outcome = runtime.block_on(async {
        let wire = Wire::new(way.backend)?;
        let under_way = Arc::clone(&wire.under_way);
        let downloading = Cell::new(account.downloads);
        let client = way.client(account, wire);
        let all = async {
            if downloading.get() {
                download(&client).await?;
                under_way.store(false, Ordering::Relaxed);
                downloading.set(false);
            }
            calls(client).await
        };
        tokio::select! {
            signal = signal() => Err(Failure::Interrupted {
                operation: operation.clone(),
                signal: signal?,
                under_way: !downloading.get() && under_way.load(Ordering::Relaxed),
            }),
            outcome = all => outcome,
        }
    });
    // A name that is still being looked up must not keep an interrupted command alive.
    runtime.shutdown_background();
    outcome
}

/// Downloads the certificates of an account that has nothing else to verify with.
pub(crate) async fn download(client: &Client<Wire>) -> Result {
    let changed = client.refresh_certificates().await.map_err(rejection::refresh)?;
    if changed.none {
        return Err(rejection::no_certificates());
    }
    Ok(())
}

pub(crate) fn runtime(mut builder: Builder) -> Result<Runtime> {
    builder.enable_all().build().map_err(|error| Failure::Local(format!("the async runtime does not start: {error}")))
}

/// Waits until somebody asks the command to stop.
pub(crate) async fn signal() -> Result<Signal> {
    Signals::caught()?.next().await
}

/// What people and systems send to have a command stop. From when it is made none is lost, however soon the next one comes.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    pub(crate) fn caught() -> Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let caught = |kind| signal(kind).map_err(uncatchable);
            Ok(Self { interrupt: caught(SignalKind::interrupt())?, terminate: caught(SignalKind::terminate())? })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Result<Signal> {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => Ok(Signal::Interrupt),
            _ = self.terminate.recv() => Ok(Signal::Terminate),
        }
        #[cfg(not(unix))]
        tokio::signal::ctrl_c().await.map(|()| Signal::Interrupt).map_err(uncatchable)
    }
}

fn uncatchable(error: std::io::Error) -> Failure {
    Failure::Local(format!("signals cannot be caught: {error}"))
}
