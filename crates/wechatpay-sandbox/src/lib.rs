//! A local WeChat Pay v3 for tests: it checks signatures, keeps state, signs its answers, and misbehaves on request.
//!
//! ```
//! # async fn example() -> Result<(), wechatpay_sandbox::StartError> {
//! use wechatpay_sandbox::Sandbox;
//!
//! let sandbox = Sandbox::builder().merchant("1900000001").start().await?;
//! let merchant = sandbox.merchant();
//! // Give a client `sandbox.base_url()`, the keys of `merchant`, and let it call.
//! assert!(sandbox.base_url().starts_with("http://127.0.0.1:"));
//! assert_eq!(merchant.mchid, "1900000001");
//! assert!(sandbox.requests().is_empty());
//! sandbox.shutdown().await;
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
//! ```
//!
//! Every answer in the request log says on what it rests: a document, an observation, or a [guess](Basis::Guess).
//! What is guessed can be switched in the [`Settings`]. The sandbox binds loopback unless told otherwise and never
//! contacts anybody.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod ambient;
mod answer;
mod api;
mod authorize;
mod control;
pub mod explain;
mod faults;
mod keys;
mod log;
mod multipart;
mod nonces;
mod page;
mod reading;
mod rules;
mod schema;
mod server;
mod settings;
mod state;

pub use ambient::Clock;
pub use keys::Credentials;
pub use log::{Basis, Checks, Exchange, Verdict};
#[doc(hidden)]
pub use reading::Reading;
pub use schema::Violation;
pub use settings::{
    BusifavorFirstState, FavorFirstState, GoodsTime, OffsetUnit, OtherSenders, Repeat, SendRefusals, Settings,
    SignWith, UserLimit,
};
pub use state::{
    AccountEffect, BudgetEffect, CodeEffect, CouponEffect, Event, Ledger, NumberEffect, PaymentEffect, RefundEffect,
    StockEffect,
};

use ambient::Ambient;
use api::Api;
use keys::Keys;
use log::{Log, Observer};
use nonces::Nonces;
use serde_json::{Value, json};
use state::State;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The merchant of a sandbox that names none.
const DEFAULT_MERCHANT: &str = "1900000001";

/// Everything that changes while the sandbox runs.
struct World {
    ambient: Ambient,
    settings: Settings,
    state: State,
    log: Log,
    nonces: Nonces,
}

impl World {
    fn ledger(&mut self) -> Ledger {
        self.state.ledger(self.ambient.now(), &self.settings)
    }

    fn act(&mut self, action: &Value) -> Result<Value, String> {
        self.state.act(action, &mut self.ambient, &self.settings)
    }

    /// As after the start, but for the clock and the settings.
    fn reset(&mut self) {
        self.ambient.rewind();
        self.state = State::default();
        self.log.clear();
        self.nonces = Nonces::default();
    }
}

/// A running sandbox. It ends when this is dropped.
pub struct Sandbox {
    api: Arc<Api>,
    address: SocketAddr,
    merchant: Credentials,
    merchants: Vec<Credentials>,
    server: JoinHandle<()>,
}

/// A sandbox that is yet to start.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct Builder {
    listen: SocketAddr,
    anywhere: bool,
    directory: Option<PathBuf>,
    clock: Clock,
    merchants: Vec<String>,
    settings: Settings,
    seed: u64,
    observer: Option<Observer>,
}

/// Why a sandbox did not start.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the sandbox did not start: {}", self.0)
    }
}

impl std::error::Error for StartError {}

impl Sandbox {
    /// Starts with fresh keys, one merchant and the defaults, on a free port of loopback.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub async fn start() -> Result<Self, StartError> {
        Self::builder().start().await
    }

    /// A sandbox of one's own choosing.
    pub fn builder() -> Builder {
        Builder {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            anywhere: false,
            directory: None,
            clock: Clock::System,
            merchants: Vec::new(),
            settings: Settings::default(),
            seed: 0,
            observer: None,
        }
    }

    /// Where it listens: `http://127.0.0.1:…`, without a slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Address and port on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client needs to be the first merchant.
    pub fn merchant(&self) -> Credentials {
        self.merchant.clone()
    }

    /// What a client needs to be each of the merchants, in the order in which they were named.
    pub fn merchants(&self) -> &[Credentials] {
        &self.merchants
    }

    /// The newest requests, newest first; ten thousand are kept.
    pub fn requests(&self) -> Vec<Exchange> {
        self.api.world().log.newest().cloned().collect()
    }

    /// The newest request.
    pub fn last_request(&self) -> Option<Exchange> {
        self.api.world().log.newest().next().cloned()
    }

    /// What requests have brought about.
    pub fn ledger(&self) -> Ledger {
        self.api.world().ledger()
    }

    /// The notifications that merchants are owed, oldest first; ten thousand are kept.
    pub fn events(&self) -> Vec<Event> {
        self.api.world().state.outbox.all().cloned().collect()
    }

    /// The settings now.
    pub fn settings(&self) -> Settings {
        self.api.world().settings.clone()
    }

    /// Changes the settings; requests that come later see them.
    pub fn set_settings(&self, settings: Settings) {
        self.api.world().settings = settings;
    }

    /// The sandbox's Unix time in seconds.
    pub fn now(&self) -> i64 {
        self.api.world().ambient.now()
    }

    /// Moves the clock by so many seconds, back if negative.
    ///
    /// # Errors
    /// The clock would leave the years 1970 to 9999.
    pub fn advance_clock(&self, seconds: i64) -> Result<(), String> {
        self.api.world().ambient.advance(seconds)
    }

    /// Sets the clock to a Unix time in seconds.
    ///
    /// # Errors
    /// The time is outside the years 1970 to 9999.
    pub fn set_clock(&self, now: i64) -> Result<(), String> {
        self.api.world().ambient.set(now)
    }

    /// Does what happens outside the API, as `POST /_sandbox/act` does:
    /// `{"act": "console", "stock_id": "…", "to": "pause"}`, `{"act": "pay_with_coupon", "coupon_id": "…"}`. What each
    /// action takes is in the crate's README.
    ///
    /// # Errors
    /// What is wrong with the action, or why the state does not allow it.
    pub fn act(&self, action: &Value) -> Result<Value, String> {
        self.api.world().act(action)
    }

    /// Gives the platform a new key and certificate, which sign from now on where a certificate signs; the ones before
    /// stay valid beside them. Names the new serial number. Takes a tenth of a second and more.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn rotate(&self) -> Result<String, String> {
        self.api.rotate()
    }

    /// Forgets all state, the log and the nonces; keeps keys, clock and settings.
    pub fn reset(&self) {
        self.api.world().reset();
    }

    /// What a command prints when it is ready: where it listens, and who may call.
    pub fn ready(&self) -> Value {
        let merchant = self.merchant();
        json!({
            "base_url": self.base_url(),
            "mchid": merchant.mchid,
            "serial_no": merchant.serial_no,
            "public_key_id": merchant.public_key_id,
            "platform_serial": merchant.platform_serial,
            "seed": self.api.world().ambient.seed(),
        })
    }

    /// Stops accepting, closes all connections, and waits until that is done.
    pub async fn shutdown(mut self) {
        self.server.abort();
        // It was aborted, and says so.
        let _ = (&mut self.server).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("address", &self.address).field("merchants", &self.merchants).finish()
    }
}

impl Builder {
    /// Address and port to listen on; port 0 takes a free one. Default `127.0.0.1:0`.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Allows an address that others can reach. The keys of a sandbox protect nothing, so it is refused otherwise.
    pub fn allow_remote(mut self) -> Self {
        self.anywhere = true;
        self
    }

    /// Takes the keys from this directory if it has some, else writes fresh ones there, with `sandbox.env` for shells.
    pub fn dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Where time comes from. Default: the machine's clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds a merchant; the first is the one that [`Sandbox::merchant`] gives. Default: `1900000001` alone.
    pub fn merchant(mut self, mchid: impl Into<String>) -> Self {
        self.merchants.push(mchid.into());
        self
    }

    /// The settings to begin with.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Decides the ids and nonces that the sandbox makes: the same seed and the same requests give the same answers.
    /// Default 0. Keys do not depend on it.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Tells somebody of each request, when it is answered. Nothing else is answered meanwhile, so it should be brief, and it
    /// must not ask the sandbox for anything.
    pub fn observer(mut self, tell: impl Fn(&Exchange) + Send + Sync + 'static) -> Self {
        self.observer = Some(Observer(Arc::new(tell)));
        self
    }

    /// Starts it on the tokio runtime of the caller.
    ///
    /// # Errors
    /// A merchant id that is none, a directory that does not hold what it should, or an address that is taken or that
    /// others can reach.
    pub async fn start(self) -> Result<Sandbox, StartError> {
        let Self { listen, anywhere, directory, clock, merchants, settings, seed, observer } = self;
        if !anywhere && !listen.ip().to_canonical().is_loopback() {
            return Err(StartError(format!(
                "{listen} can be reached by others, and the keys of a sandbox protect nothing; listen on 127.0.0.1, or \
                 allow it"
            )));
        }
        let ambient = Ambient::new(clock, seed);
        let now = ambient.now();
        let make = directory.clone();
        let made = tokio::task::spawn_blocking(move || keys(make, merchants, now)).await;
        let keys = made.map_err(|error| StartError(error.to_string()))?.map_err(StartError)?;

        let explain = |error: std::io::Error| StartError(format!("{listen}: {error}"));
        let listener = TcpListener::bind(listen).await.map_err(explain)?;
        let address = listener.local_addr().map_err(explain)?;
        if let Some(directory) = &directory {
            keys.save(directory, &format!("http://{address}")).map_err(StartError)?;
        }
        let merchants: Vec<_> = keys.credentials().collect();
        let Some(merchant) = merchants.first().cloned() else {
            return Err(StartError("the directory of keys has no merchant; take another one".to_owned()));
        };
        let world =
            World { ambient, settings, state: State::default(), log: Log::new(observer), nonces: Nonces::default() };
        let api = Arc::new(Api::new(keys, world));
        let server = tokio::spawn(server::run(listener, Arc::clone(&api)));
        Ok(Sandbox { api, address, merchant, merchants, server })
    }
}

/// The keys of a directory, or fresh ones.
fn keys(directory: Option<PathBuf>, mut merchants: Vec<String>, now: i64) -> Result<Keys, String> {
    for (index, mchid) in merchants.iter().enumerate() {
        if merchants.iter().take(index).any(|earlier| earlier == mchid) {
            return Err(format!("merchant {mchid} is named twice"));
        }
        let digits = mchid.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || !(1..=20).contains(&mchid.len()) {
            return Err(format!("{mchid:?} is no merchant id; it has 1 to 20 digits"));
        }
    }
    let loaded = match &directory {
        Some(directory) => Keys::load(directory)?,
        None => None,
    };
    if let Some(keys) = loaded {
        let missing = merchants.iter().find(|mchid| keys.merchant(mchid).is_none());
        return match missing {
            None => Ok(keys),
            Some(mchid) => Err(format!("the directory of keys has no merchant {mchid}; take another one")),
        };
    }
    if merchants.is_empty() {
        merchants.push(DEFAULT_MERCHANT.to_owned());
    }
    Keys::generate(&merchants, now)
}
