//! A sandbox with three merchants, and what tests of whole lives do with it.

use crate::road::{Told, base, brand, merchant, public_key};
use crate::stage::{ClockOf, Judged, NOW, StageClient};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wechatpay_hyper::Hyper;
use wechatpay_model::types::Timestamp;
use wechatpay_protocol::crypto::aws_lc;
use wechatpay_protocol::{Client, Error, Identity, Trust};
use wechatpay_sandbox::{Basis, Clock, Exchange, Sandbox, Settings};

/// Merchants of the sandbox: one that creates stocks, one that owns some, and a stranger.
pub const MERCHANTS: [&str; 3] = ["1900000109", "1900000110", "1900000111"];

/// A brand, which calls in its own name.
pub const BRAND: &str = "120344";

/// The place of the brand among those who call.
pub const AS_BRAND: usize = 3;

/// A refusal: status, code, and on what the sandbox rests it.
pub type Refusal = (u16, String, Basis);

/// A sandbox and a client for each of its merchants, and for its brand; every success is held against its schema.
pub struct Rehearsal {
    /// The sandbox, at [`NOW`].
    pub sandbox: Arc<Sandbox>,
    /// The client of the first merchant.
    pub client: StageClient,
    others: [StageClient; 3],
}

impl Rehearsal {
    /// With these settings, as JSON.
    pub async fn with(settings: Value) -> Self {
        let settings = Settings::default().with(&settings).expect("settings");
        let builder = MERCHANTS.iter().fold(Sandbox::builder(), |builder, mchid| builder.merchant(*mchid));
        let builder = builder.brand(BRAND).clock(Clock::Virtual(NOW)).settings(settings);
        let sandbox = Arc::new(builder.start().await.expect("a sandbox"));
        let stage = |identity: Identity<Told<aws_lc::Signer>>, trust: Trust| {
            Client::new(Judged(Hyper::new()), identity, trust)
                .with_base_url(base(&sandbox))
                .with_stamper(ClockOf(Arc::clone(&sandbox)))
        };
        let [client, owner, stranger] = [0, 1, 2].map(|index: usize| {
            let credentials = &sandbox.merchants()[index];
            stage(merchant(credentials).into(), public_key(credentials))
        });
        let credentials = &sandbox.brands()[0];
        let brand = stage(brand(credentials).into(), public_key(credentials));
        Self { client, others: [owner, stranger, brand], sandbox }
    }

    /// With the defaults.
    pub async fn start() -> Self {
        Self::with(json!({})).await
    }

    /// Changes settings.
    pub fn settings(&self, changes: Value) {
        self.sandbox.set_settings(self.sandbox.settings().with(&changes).expect("settings"));
    }

    /// Turns the clock to an RFC 3339 time.
    pub fn turn_to(&self, time: &str) {
        let time = Timestamp::new(time).instant().expect("RFC 3339").seconds;
        self.sandbox.set_clock(time).expect("the clock moves");
    }

    /// Moves the clock by so many seconds.
    pub fn advance(&self, seconds: i64) {
        self.sandbox.advance_clock(seconds).expect("the clock moves");
    }

    /// What the newest request was answered with, and why.
    pub fn last(&self) -> Exchange {
        self.sandbox.last_request().expect("a request")
    }

    /// The client of one of the merchants, or of the brand.
    pub fn client_of(&self, caller: usize) -> &StageClient {
        if caller == 0 { &self.client } else { &self.others[caller - 1] }
    }

    /// Calls an operation as one of the merchants, or as the brand.
    ///
    /// # Errors
    /// The refusal.
    pub async fn call_as(&self, caller: usize, id: &str, request: Value) -> Result<Value, Refusal> {
        let spec = wechatpay_model::operations().find(|spec| spec.id() == id).expect("an operation");
        match self.client_of(caller).call(spec, request).await {
            Ok(reply) => Ok(reply.value),
            Err(Error::Api(refusal)) => {
                assert!(refusal.authenticated, "{id}: {refusal:?}");
                Err((refusal.status, refusal.code.as_str().to_owned(), self.last().basis))
            }
            Err(other) => panic!("{id}: {other:?}"),
        }
    }

    /// Calls an operation as the first merchant.
    ///
    /// # Errors
    /// The refusal.
    pub async fn call(&self, id: &str, request: Value) -> Result<Value, Refusal> {
        self.call_as(0, id, request).await
    }

    /// Calls an operation that is done.
    pub async fn done(&self, id: &str, request: Value) -> Value {
        self.call(id, request.clone()).await.unwrap_or_else(|refusal| {
            panic!("{id} {request}: {refusal:?}: {}", self.last().why);
        })
    }

    /// Does what happens outside the API.
    pub fn act(&self, action: Value) -> Value {
        self.sandbox.act(&action).unwrap_or_else(|error| panic!("{action}: {error}"))
    }
}

/// A number that no other call of this run has.
pub fn number() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("n{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A refusal as tests expect it.
pub fn refusal<T>(status: u16, code: &str, basis: Basis) -> Result<T, Refusal> {
    Err((status, code.to_owned(), basis))
}
