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
//! What is guessed can be switched in the [`Settings`]. The sandbox binds loopback unless told otherwise and contacts
//! nobody but receivers of notifications on the same machine.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod ambient;
mod answer;
mod api;
mod authorize;
mod control;
mod courier;
pub mod explain;
mod fault_rules;
mod faults;
mod howto;
mod keys;
mod log;
mod multipart;
mod nonces;
mod page;
mod rates;
mod reading;
mod rules;
mod schema;
mod server;
mod settings;
mod snapshot;
mod socket;
mod state;
mod tls;
mod trigger;

pub use ambient::Clock;
pub use fault_rules::{FaultRule, StandingRule};
pub use faults::{FAULTS, FaultKind};
pub use keys::Credentials;
pub use log::{Basis, Checks, Exchange, Verdict};
#[doc(hidden)]
pub use reading::Reading;
pub use schema::Violation;
pub use settings::{
    BusifavorFirstState, FavorFirstState, GoodsTime, OffsetUnit, OtherSenders, ProductCouponFirstState, Repeat,
    SendRefusals, Settings, SignWith, UserLimit,
};
pub use state::{
    AccountEffect, Attempt, BudgetEffect, CodeEffect, CouponEffect, Event, Ledger, NumberEffect, PaymentEffect,
    RefundEffect, Standing, StockEffect,
};

use ambient::Ambient;
use api::Api;
use courier::Signals;
use fault_rules::FaultRules;
use keys::Keys;
use log::{Log, Observer};
use nonces::Nonces;
use rates::Rates;
use serde_json::{Value, json};
use server::Door;
use state::State;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tls::Authority;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What it calls itself.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The merchant of a sandbox that names none.
const DEFAULT_MERCHANT: &str = "1900000001";

/// Everything that changes while the sandbox runs.
struct World {
    ambient: Ambient,
    settings: Settings,
    state: State,
    log: Log,
    nonces: Nonces,
    rates: Rates,
    faults: FaultRules,
    signals: Arc<Signals>,
    /// How often the state was taken away and another put in its place.
    generation: u64,
}

impl World {
    fn new(ambient: Ambient, settings: Settings, log: Log) -> Self {
        Self {
            ambient,
            settings,
            state: State::default(),
            log,
            nonces: Nonces::default(),
            rates: Rates::default(),
            faults: FaultRules::default(),
            signals: Arc::default(),
            generation: 0,
        }
    }

    fn ledger(&mut self) -> Ledger {
        self.state.ledger(self.ambient.now(), &self.settings)
    }

    fn act(&mut self, action: &Value) -> Result<Value, String> {
        let done = self.state.act(action, &mut self.ambient, &self.settings);
        self.ring();
        done
    }

    /// Turns the clock; what falls due is delivered.
    fn turn(&mut self, turn: impl FnOnce(&mut Ambient) -> Result<(), String>) -> Result<(), String> {
        turn(&mut self.ambient)?;
        self.ring();
        Ok(())
    }

    /// Calls the courier, if there is anything to carry now or later.
    fn ring(&self) {
        if self.state.outbox.next_due().is_some() {
            self.signals.bell.notify_one();
        }
    }

    /// A request that has just arrived, for the log.
    fn exchange(&mut self, method: &str, target: &str) -> Exchange {
        Exchange::new(self.ambient.request_id(), self.ambient.now_text(), method, target)
    }

    /// Puts a request into the log, and counts the rule whose fault it met.
    fn record(&mut self, exchange: Exchange) {
        if let Some(rule) = exchange.rule {
            self.faults.applied(rule);
        }
        self.log.push(exchange);
    }

    fn add_fault(&mut self, rule: FaultRule) -> Result<StandingRule, String> {
        self.faults.add(rule, self.ambient.seed()).cloned()
    }

    /// As after the start, but for the clock, the settings and the fault rules, whose counts begin again.
    fn reset(&mut self) {
        self.ambient.rewind();
        self.state = State::default();
        self.log.clear();
        self.replaced();
    }

    /// The state is another one: what belonged to the one before means nothing any more.
    fn replaced(&mut self) {
        self.nonces = Nonces::default();
        self.rates = Rates::default();
        self.faults.rewind();
        self.generation += 1;
        self.signals.announce();
        self.ring();
    }
}

/// A running sandbox. It ends when this is dropped.
pub struct Sandbox {
    api: Arc<Api>,
    address: SocketAddr,
    merchant: Credentials,
    merchants: Vec<Credentials>,
    brands: Vec<Credentials>,
    authority_pem: String,
    server: JoinHandle<()>,
    courier: JoinHandle<()>,
}

/// A sandbox that is yet to start.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct Builder {
    listen: SocketAddr,
    anywhere: bool,
    open_control: bool,
    directory: Option<PathBuf>,
    clock: Clock,
    merchants: Vec<String>,
    brands: Vec<String>,
    settings: Settings,
    faults: Vec<FaultRule>,
    seed: u64,
    observer: Option<Observer>,
}

/// Why a sandbox did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// What was asked for cannot be: an id that is none, is named twice or is taken, a fault rule that makes no sense, an
    /// address that others can reach.
    Asked(String),
    /// It cannot be done here: an address that is taken, a directory that does not hold what it should.
    Failed(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Asked(problem) | Self::Failed(problem)) = self;
        write!(f, "the sandbox did not start: {problem}")
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
            open_control: false,
            directory: None,
            clock: Clock::System,
            merchants: Vec::new(),
            brands: Vec::new(),
            settings: Settings::default(),
            faults: Vec::new(),
            seed: 0,
            observer: None,
        }
    }

    /// Where it listens: `http://127.0.0.1:…`, without a slash at the end.
    pub fn base_url(&self) -> String {
        url("http", self.address)
    }

    /// The same with TLS: `https://127.0.0.1:…`, for clients that trust [`ca_pem`](Self::ca_pem).
    pub fn https_url(&self) -> String {
        url("https", self.address)
    }

    /// Where it is an HTTP proxy that stands in for the official hosts, for clients that have these written into them
    /// and trust [`ca_pem`](Self::ca_pem). It refuses all other hosts.
    pub fn proxy_url(&self) -> String {
        self.base_url()
    }

    /// The certificate authority of its TLS, in PEM: `ca.pem`. It can vouch for the official hosts and this machine only.
    pub fn ca_pem(&self) -> &str {
        &self.authority_pem
    }

    /// Address and port on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client needs to be the first merchant.
    pub fn merchant(&self) -> Credentials {
        self.merchant.clone()
    }

    /// What a client needs to be each of the merchants that were there from the start, in the order in which they were
    /// named.
    pub fn merchants(&self) -> &[Credentials] {
        &self.merchants
    }

    /// What a client needs to be each of the brands, in the order in which they were named.
    pub fn brands(&self) -> &[Credentials] {
        &self.brands
    }

    /// Adds a merchant with fresh keys, for as long as the sandbox runs: snapshots hold it with its keys, no directory does.
    /// Takes a tenth of a second and more.
    ///
    /// # Errors
    /// The id is none, or taken; or a thousand were added already.
    pub fn add_merchant(&self, mchid: &str) -> Result<Credentials, String> {
        let now = self.now();
        self.api.keys.add(mchid, now)
    }

    /// The newest requests, newest first; ten thousand are kept.
    pub fn requests(&self) -> Vec<Exchange> {
        self.api.world().log.newest().cloned().collect()
    }

    /// The newest request; none after a reset.
    pub fn last_request(&self) -> Option<Exchange> {
        self.api.world().log.newest().next().cloned()
    }

    /// What requests have brought about.
    pub fn ledger(&self) -> Ledger {
        self.api.world().ledger()
    }

    /// The notifications that merchants are or were owed, oldest first; ten thousand are kept, those first that are still
    /// to be sent.
    pub fn events(&self) -> Vec<Event> {
        self.api.world().state.outbox.all().cloned().collect()
    }

    /// Waits until each notification that is due has been sent, and answered or given up for now. Those that are to
    /// be sent again later are due when the clock says so.
    pub async fn settled(&self) {
        courier::settled(&self.api).await;
    }

    /// The settings now, to be changed with [`Settings::with`] and put back.
    pub fn settings(&self) -> Settings {
        self.api.world().settings.clone()
    }

    /// Changes the settings; requests that come later see them.
    pub fn set_settings(&self, settings: Settings) {
        self.api.world().settings = settings;
    }

    /// Adds a rule that makes requests go wrong, behind those that stand.
    ///
    /// # Errors
    /// What is wrong with the rule.
    pub fn add_fault(&self, rule: FaultRule) -> Result<StandingRule, String> {
        self.api.world().add_fault(rule)
    }

    /// The fault rules that stand, in their order.
    pub fn faults(&self) -> Vec<StandingRule> {
        self.api.world().faults.all().to_vec()
    }

    /// Removes all fault rules; their counts are gone with them.
    pub fn clear_faults(&self) {
        self.api.world().faults.remove(None);
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
        self.api.world().turn(|ambient| ambient.advance(seconds))
    }

    /// Sets the clock to a Unix time in seconds.
    ///
    /// # Errors
    /// The time is outside the years 1970 to 9999.
    pub fn set_clock(&self, now: i64) -> Result<(), String> {
        self.api.world().turn(|ambient| ambient.set(now))
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

    /// Sends an event to an address, as `POST /_sandbox/trigger` does, and waits for the outcome of the first attempt:
    /// `{"event": "COUPON.USE", "to": "http://127.0.0.1:3000/notify", "fields": {"stock_id": "98065001"}}`. Nothing has
    /// happened, and nothing but the list of events changes.
    ///
    /// # Errors
    /// What is wrong with the wish; nothing was sent.
    pub async fn trigger(&self, wish: &Value) -> Result<Event, String> {
        trigger::trigger(&self.api, wish).await
    }

    /// The whole state with settings, clock and numbers as JSON; without keys, the log and used nonces.
    ///
    /// # Errors
    /// The state cannot be written as JSON, which would be a fault of the sandbox.
    pub fn snapshot(&self) -> Result<Value, String> {
        snapshot::take(&self.api.keys, &self.api.world())
    }

    /// Puts back what [`snapshot`](Self::snapshot) gave, here or in another sandbox: all of it or nothing.
    ///
    /// # Errors
    /// Why the snapshot is not taken; nothing has changed then.
    pub fn restore(&self, snapshot: &Value) -> Result<(), String> {
        snapshot::restore(&self.api.keys, &mut self.api.world(), snapshot)
    }

    /// Gives the platform a new key and certificate, which sign from now on where a certificate signs; the ones before
    /// stay valid beside them. Names the new serial number. Takes a tenth of a second and more.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn rotate(&self) -> Result<String, String> {
        self.api.rotate()
    }

    /// Forgets all state, the log and the nonces; keeps keys, clock, settings and fault rules, whose counts begin again.
    pub fn reset(&self) {
        self.api.world().reset();
    }

    /// What a command prints when it is ready: where it listens, and who may call.
    pub fn ready(&self) -> Value {
        ready(self.address, &self.merchant, self.api.world().ambient.seed())
    }

    /// Stops accepting, closes all connections, and waits until that is done.
    pub async fn shutdown(mut self) {
        for task in [&mut self.server, &mut self.courier] {
            task.abort();
            // It was aborted, and says so.
            let _ = task.await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.server.abort();
        self.courier.abort();
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

    /// Lets the control paths answer others than loopback, as in a container whose port is forwarded. Whoever reaches
    /// the sandbox can then change its state, whatever name in `Host` it has for it; pages of other sites cannot.
    pub fn allow_remote_control(mut self) -> Self {
        self.open_control = true;
        self
    }

    /// Adds a fault rule that stands from the beginning.
    pub fn fault(mut self, rule: FaultRule) -> Self {
        self.faults.push(rule);
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

    /// Adds a brand, which calls under `/brand/…` in its own name. Default: none.
    pub fn brand(mut self, brand_id: impl Into<String>) -> Self {
        self.brands.push(brand_id.into());
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
    /// As [`StartError`] lists them.
    pub async fn start(self) -> Result<Sandbox, StartError> {
        let Self {
            listen,
            anywhere,
            open_control,
            directory,
            clock,
            merchants,
            brands,
            settings,
            faults,
            seed,
            observer,
        } = self;
        if !anywhere && !listen.ip().to_canonical().is_loopback() {
            return Err(StartError::Asked(format!(
                "{listen} can be reached by others, and the keys of a sandbox protect nothing; listen on 127.0.0.1, or \
                 allow it"
            )));
        }
        keys::check_ids(&merchants, &brands).map_err(StartError::Asked)?;
        let ambient = Ambient::new(clock, seed);
        let now = ambient.now();
        let make = directory.clone();
        let made = tokio::task::spawn_blocking(move || secrets(make.as_deref(), merchants, &brands, now)).await;
        let (keys, authority) = made.map_err(|error| StartError::Failed(error.to_string()))??;
        // Clients hold certificates against the machine's clock.
        let tls = authority.acceptor(ambient::system_seconds()).map_err(StartError::Failed)?;

        let explain = |error: std::io::Error| StartError::Failed(format!("{listen}: {error}"));
        let listener = TcpListener::bind(listen).await.map_err(explain)?;
        let address = listener.local_addr().map_err(explain)?;
        let merchants: Vec<_> = keys.credentials(&keys.merchants).collect();
        let brands = keys.credentials(&keys.brands).collect();
        let Some(merchant) = merchants.first().cloned() else {
            return Err(StartError::Failed("the directory of keys has no merchant; take another one".to_owned()));
        };
        if let Some(directory) = &directory {
            keys.save(directory, ready(address, &merchant, seed), &authority).map_err(StartError::Failed)?;
        }
        let mut world = World::new(ambient, settings, Log::new(observer));
        for rule in faults {
            let text = rule.to_string();
            world.add_fault(rule).map_err(|error| StartError::Asked(format!("fault rule {text:?}: {error}")))?;
        }
        let api = Arc::new(Api::new(keys, world));
        let server = tokio::spawn(server::run(listener, Door { api: Arc::clone(&api), tls, address, open_control }));
        let courier = tokio::spawn(courier::run(Arc::clone(&api)));
        let authority_pem = authority.certificate_pem;
        Ok(Sandbox { api, address, merchant, merchants, brands, authority_pem, server, courier })
    }
}

/// A URL by which this machine reaches an address on which the sandbox listens.
fn url(scheme: &str, mut address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("{scheme}://{address}")
}

/// The ready line.
fn ready(address: SocketAddr, merchant: &Credentials, seed: u64) -> Value {
    json!({
        "base_url": url("http", address),
        "https_url": url("https", address),
        "proxy_url": url("http", address),
        "mchid": merchant.mchid,
        "serial_no": merchant.serial_no,
        "public_key_id": merchant.public_key_id,
        "platform_serial": merchant.platform_serial,
        "seed": seed,
    })
}

/// The keys and the certificate authority of a directory, or fresh ones.
fn secrets(
    directory: Option<&Path>,
    merchants: Vec<String>,
    brands: &[String],
    now: i64,
) -> Result<(Keys, Authority), StartError> {
    let kept = match directory {
        Some(directory) => Keys::load_authority(directory).map_err(StartError::Failed)?,
        None => None,
    };
    let authority = match kept {
        Some(kept) => kept,
        None => Authority::generate(ambient::system_seconds()).map_err(StartError::Failed)?,
    };
    Ok((keys(directory, merchants, brands, now)?, authority))
}

/// The keys of a directory, or fresh ones.
fn keys(directory: Option<&Path>, mut merchants: Vec<String>, brands: &[String], now: i64) -> Result<Keys, StartError> {
    let loaded = match directory {
        Some(directory) => Keys::load(directory).map_err(StartError::Failed)?,
        None => None,
    };
    if let Some(keys) = loaded {
        let merchant = merchants.iter().find(|mchid| keys.merchant(mchid).is_none()).map(|id| ("merchant", id));
        let brand = brands.iter().find(|brand| keys.brand(brand).is_none()).map(|id| ("brand", id));
        return match merchant.or(brand) {
            None => Ok(keys),
            Some((what, id)) => {
                Err(StartError::Failed(format!("the directory of keys has no {what} {id}; take another one")))
            }
        };
    }
    if merchants.is_empty() {
        if brands.iter().any(|brand| brand == DEFAULT_MERCHANT) {
            return Err(StartError::Asked(format!(
                "{DEFAULT_MERCHANT} is the default merchant: name a merchant of your own, or give the brand another id"
            )));
        }
        merchants.push(DEFAULT_MERCHANT.to_owned());
    }
    Keys::generate(&merchants, brands, now).map_err(StartError::Failed)
}
