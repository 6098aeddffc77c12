//! The platform certificates (平台证书): downloaded, verified, kept until they end.
//!
//! A merchant's set of certificates changes: a new one appears ten days before the old one ends, and in the last five
//! days both sign. [`Certificates`] holds them all, beside any number of fixed public keys, and is a [`Verifier`].
//!
//! It does no I/O and has no clock: whoever makes the calls asks it whether a refresh is [due](Certificates::refresh_due),
//! takes the [turn](Certificates::begin_refresh), fetches `GET /v3/certificates` and hands over the answer.

use crate::crypto::{Certificate, KeyError, KeyFault, Opener, VerifyingKey};
use crate::envelope::{self, Sealed, shorten};
use crate::error::{ApiError, Error, UnverifiedReason};
use crate::flight::Flight;
use crate::response;
use crate::trust::{Trust, Verifier};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use wechatpay_model::ErrorCode;

pub use crate::envelope::{ReadError, SealedError};

/// Most certificates that one answer may bring, and that are held.
pub const MOST_CERTIFICATES: usize = 32;
/// Most bytes of an answer, and of an exported set.
const MOST_BYTES: usize = 1 << 20;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// Pause after an attempt that failed or brought nothing new.
const PAUSE: i64 = 60;
/// How long before its end a certificate has a successor.
const SUCCESSION: i64 = 10 * DAY;
/// What WeChat Pay authenticates beside the text of a certificate. An event has something else there, so that none of
/// its contents can be passed off as a certificate.
const ASSOCIATED_DATA: &str = "certificate";
/// The told time while none was told.
const UNTOLD: i64 = i64::MIN;

type ReadKey = dyn Fn(&Certificate) -> Result<Arc<dyn VerifyingKey>, KeyError> + Send + Sync;

/// Platform certificates and public keys that verify the answers to one merchant.
///
/// ```
/// # #[cfg(feature = "aws-lc-rs")]
/// # fn main() -> Result<(), wechatpay_protocol::crypto::KeyError> {
/// use wechatpay_protocol::Certificates;
/// use wechatpay_protocol::crypto::aws_lc::{ApiV3Key, VerifyingKey};
///
/// let key = ApiV3Key::new("the 32 bytes of the APIv3 key...")?;
/// let certificates = Certificates::new(key, VerifyingKey::from_certificate);
/// assert!(certificates.refresh_due(1_760_000_000));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "aws-lc-rs"))]
/// # fn main() {}
/// ```
pub struct Certificates {
    opener: Box<dyn Opener>,
    read_key: Box<ReadKey>,
    public_keys: Trust,
    every: i64,
    /// The latest time that somebody told; certificates that had ended by then are not used.
    told: AtomicI64,
    held: RwLock<Vec<Held>>,
    schedule: Mutex<Schedule>,
    ended: Condvar,
    /// The download that async calls share.
    flight: Flight,
}

#[derive(Clone)]
struct Held {
    certificate: Certificate,
    pem: String,
    key: Arc<dyn VerifyingKey>,
}

impl Held {
    fn serial(&self) -> &str {
        self.certificate.serial()
    }

    fn lasts(&self, now: i64) -> bool {
        self.certificate.not_after() >= now
    }
}

#[derive(Default)]
struct Schedule {
    /// When an answer was last believed.
    answered_at: Option<i64>,
    /// Whether that answer was that the merchant has no certificates.
    none: bool,
    /// When an attempt was last made that brought nothing new.
    futile_at: Option<i64>,
    underway: bool,
    /// How many refreshes have ended: what tells the one that is waited for from the next.
    ended: u64,
    waiting: Vec<(u64, Waker)>,
    waiters: u64,
}

/// What an accepted answer or an imported set changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Changed {
    /// Serials that are trusted now and were not before.
    pub added: Vec<String>,
    /// Serials of certificates that have ended and were dropped.
    pub dropped: Vec<String>,
    /// Certificates of other algorithms, which cannot be used.
    pub skipped: Vec<Skipped>,
    /// The answer was that this merchant has no certificates, only public keys.
    pub none: bool,
}

/// A certificate that was left aside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Its serial number, in upper-case hex as WeChat Pay names it.
    pub serial: String,
    /// The algorithm of its sealing or of its key.
    pub algorithm: String,
}

impl Certificates {
    /// An empty set. `opener` holds the APIv3 key, `read_key` makes a key of a certificate:
    /// `aws_lc::VerifyingKey::from_certificate` or that of another provider.
    pub fn new<K: VerifyingKey + 'static>(
        opener: impl Opener + 'static,
        read_key: impl Fn(&Certificate) -> Result<K, KeyError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            opener: Box::new(opener),
            read_key: Box::new(move |certificate| Ok(Arc::new(read_key(certificate)?))),
            public_keys: Trust::new(),
            every: 12 * HOUR,
            told: AtomicI64::new(UNTOLD),
            held: RwLock::default(),
            schedule: Mutex::default(),
            ended: Condvar::new(),
            flight: Flight::default(),
        }
    }

    /// Trusts a public key of WeChat Pay (微信支付公钥) too, under its id, `PUB_KEY_ID_` and digits.
    #[must_use]
    pub fn with_public_key(mut self, id: impl Into<String>, key: impl VerifyingKey + 'static) -> Self {
        self.public_keys = self.public_keys.with_public_key(id, key);
        self
    }

    /// Trusts a platform certificate from its PEM, until it ends: one that was downloaded before.
    ///
    /// # Errors
    /// The text is not one certificate in PEM with a key that the provider takes.
    pub fn with_certificate(self, pem: &str) -> Result<Self, KeyError> {
        let held = self.read(pem)?;
        self.store(vec![held], UNTOLD);
        Ok(self)
    }

    /// Asks for certificates so often; 12 hours unless told otherwise, at least one hour and at most 48.
    #[must_use]
    pub fn with_refresh_every(self, interval: Duration) -> Self {
        let every = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX).clamp(HOUR, 48 * HOUR);
        Self { every, ..self }
    }

    /// Serials of the certificates that are held.
    pub fn serials(&self) -> Vec<String> {
        self.held().iter().map(|held| held.serial().to_owned()).collect()
    }

    /// Whether it is time to ask for certificates: never done yet, done long ago, or the newest ends within ten days
    /// and the last look for its successor was an hour ago.
    ///
    /// Calls go on meanwhile; what is held verifies until it ends.
    pub fn refresh_due(&self, now: i64) -> bool {
        self.tell(now);
        let newest = self.held().iter().map(|held| held.certificate.not_after()).max();
        let schedule = self.schedule();
        let interval = match newest {
            _ if schedule.none => DAY,
            Some(end) if end.saturating_sub(now) > SUCCESSION => self.every,
            _ => HOUR,
        };
        !within(schedule.answered_at, now, interval)
    }

    /// Whether a refresh may start now: none is under way, and in the last minute none failed or brought nothing new.
    /// Whether there are certificates at all is asked once a day.
    ///
    /// So serials that nobody knows, which anybody may send, cannot cause many downloads.
    pub fn may_refresh(&self, now: i64) -> bool {
        self.schedule().may_refresh(now)
    }

    /// Takes the turn to refresh, for whatever reason; `None` if [`may_refresh`](Self::may_refresh) says no.
    ///
    /// Dropped unfinished, as by a call that is given up, the guard leaves nothing behind; an attempt that failed is to
    /// [say so](RefreshGuard::fail).
    pub fn begin_refresh(&self, now: i64) -> Option<RefreshGuard<'_>> {
        self.begin(now, || true)
    }

    /// [`begin_refresh`](Self::begin_refresh) because of this unknown serial; `None` too if it is known by now.
    ///
    /// Without a turn, [wait](Self::underway) for the one who has it, then look the serial up again. That answer may
    /// have been made before the key was: if the serial is still unknown, try to get the turn once more.
    pub fn begin_refresh_for(&self, serial: &str, now: i64) -> Option<RefreshGuard<'_>> {
        // Asked with the schedule locked, after whoever had the turn: many that meet a new serial cause one download.
        self.begin(now, || self.key(serial).is_none())
    }

    fn begin(&self, now: i64, wanted: impl FnOnce() -> bool) -> Option<RefreshGuard<'_>> {
        self.tell(now);
        let mut schedule = self.schedule();
        if !schedule.may_refresh(now) || !wanted() {
            return None;
        }
        schedule.underway = true;
        let before = schedule.futile_at.replace(now);
        Some(RefreshGuard { certificates: self, before: Some(before) })
    }

    /// Waits for the end of the refresh that is under way, and not at all if none is: for a call that met an unknown
    /// serial and did not get the turn.
    pub fn underway(&self) -> Underway<'_> {
        Underway { certificates: self, flight: self.schedule().ended, waiter: None }
    }

    /// [`underway`](Self::underway) for code that may block; whether the refresh ended in this time.
    pub fn wait(&self, timeout: Duration) -> bool {
        let schedule = self.schedule();
        let flight = schedule.ended;
        let waited = self.ended.wait_timeout_while(schedule, timeout, |schedule| schedule.flies(flight));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Reads a successful answer of `GET /v3/certificates` from its raw bytes.
    ///
    /// Every certificate is opened and read, then the answer itself is verified, with one of these or with a key
    /// trusted before, and only then they are trusted. Certificates held before stay until they end.
    ///
    /// # Errors
    /// The answer is not believed or cannot be read; nothing has changed then.
    pub fn accept(&self, headers: &HeaderMap, body: &[u8], now: i64) -> Result<Changed, CertificatesError> {
        self.tell(now);
        let answer: Answer = read(body)?;
        check_count(answer.data.len())?;
        let (mut fresh, mut skipped) = (Vec::new(), Vec::new());
        for Entry { serial_no, encrypt_certificate } in answer.data {
            match self.open(&serial_no, &encrypt_certificate) {
                Ok(held) => fresh.push(held),
                Err(fault) => match fault.other_algorithm() {
                    Some(algorithm) => skipped.push(Skipped { serial: shorten(&serial_no), algorithm }),
                    None => return Err(CertificatesError::Entry { serial: shorten(&serial_no), fault }),
                },
            }
        }
        fresh.retain(|held| held.lasts(now));
        response::verify(headers, body, &Candidates { fresh: &fresh, known: self }, now)
            .map_err(CertificatesError::Unverified)?;

        let changed = Changed { skipped, ..self.store(fresh, now) };
        self.schedule().answered(now, &changed);
        Ok(changed)
    }

    /// Reads a refusal of `GET /v3/certificates`: `404 RESOURCE_NOT_EXISTS` says that the merchant has public keys only.
    fn refused(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        now: i64,
    ) -> Result<Changed, CertificatesError> {
        let body = Bytes::copy_from_slice(body);
        let plain = |request_id| ApiError { request_id, ..response::refusal(None, status.as_u16(), body.clone()) };
        let refusal = match response::receive(None, status, headers, body.clone(), self, now) {
            Err(Error::Api(refusal)) => *refusal,
            // Who has no certificate yet cannot know the one that signs, and still has to hear what is wrong.
            Err(Error::Unverified(answer)) if self.held().is_empty() && by_certificate(&answer.reason) => {
                plain(answer.request_id)
            }
            Err(Error::Unverified(answer)) => return Err(CertificatesError::Unverified(answer.reason)),
            other => plain(other.err().and_then(|error| error.request_id().map(str::to_owned))),
        };
        let ApiError { code, message, request_id, authenticated, .. } = refusal;
        // Without a signature it may come from anybody, and is not believed against what is known.
        let believed = authenticated || self.held().is_empty();
        if !(believed && status == StatusCode::NOT_FOUND && code == ErrorCode::ResourceNotExists) {
            let (status, code, message) = (status.as_u16(), shorten(code.as_str()), shorten(&message));
            return Err(CertificatesError::Refused { status, code, message, request_id, authenticated });
        }
        let changed = Changed { none: true, ..self.store(Vec::new(), now) };
        self.schedule().answered(now, &changed);
        Ok(changed)
    }

    /// The certificates as JSON, to be kept where only the merchant can write: whoever changes it decides what is
    /// believed. Holds no secret, and none of the public keys.
    pub fn export(&self) -> String {
        let held = self.held().clone();
        let schedule = self.schedule();
        let saved = Saved {
            version: SAVED_VERSION,
            downloaded_at: schedule.answered_at,
            none: schedule.none,
            certificates: held
                .into_iter()
                .map(|Held { certificate, pem, .. }| SavedCertificate { serial_no: certificate.serial().into(), pem })
                .collect(),
        };
        // Texts, numbers and lists always serialise.
        serde_json::to_string_pretty(&saved).unwrap_or_default()
    }

    /// Adds what [`export`](Self::export) wrote, except certificates that have ended since. A refresh is due when it
    /// would have been without the restart.
    ///
    /// # Errors
    /// The text is damaged; nothing has changed then.
    pub fn import(&self, saved: &str, now: i64) -> Result<Changed, CertificatesError> {
        self.tell(now);
        let Saved { version, downloaded_at, none, certificates } = read(saved.as_bytes())?;
        if version != SAVED_VERSION {
            return Err(CertificatesError::Version(version));
        }
        check_count(certificates.len())?;
        let read_all = certificates.iter().map(|SavedCertificate { serial_no, pem }| {
            self.read_as(serial_no, pem).map_err(|fault| CertificatesError::Entry { serial: shorten(serial_no), fault })
        });
        let mut fresh = read_all.collect::<Result<Vec<_>, _>>()?;
        fresh.retain(|held| held.lasts(now));
        let changed = self.store(fresh, now);
        let mut schedule = self.schedule();
        if downloaded_at > schedule.answered_at {
            schedule.answered_at = downloaded_at;
            schedule.none = none;
        }
        Ok(Changed { none: schedule.none, ..changed })
    }

    fn open(&self, serial: &str, sealed: &Sealed) -> Result<Held, EntryFault> {
        if sealed.is_supported() && sealed.associated_data.as_deref() != Some(ASSOCIATED_DATA) {
            return Err(EntryFault::AssociatedData);
        }
        let pem = String::from_utf8(sealed.open(&*self.opener)?).map_err(|_| EntryFault::NotText)?;
        self.read_as(serial, &pem)
    }

    fn read_as(&self, serial: &str, pem: &str) -> Result<Held, EntryFault> {
        let held = self.read(pem)?;
        if held.serial() == serial { Ok(held) } else { Err(EntryFault::Serial(shorten(held.serial()))) }
    }

    fn read(&self, pem: &str) -> Result<Held, KeyError> {
        let certificate = Certificate::from_pem(pem)?;
        let key = (self.read_key)(&certificate)?;
        Ok(Held { certificate, pem: pem.to_owned(), key })
    }

    /// Adds certificates, drops those that have ended; where there are too many, the oldest.
    fn store(&self, fresh: Vec<Held>, now: i64) -> Changed {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Changed::default();
        held.retain(|old| {
            let stays = old.lasts(now);
            if !stays {
                changed.dropped.push(old.serial().to_owned());
            }
            stays
        });
        for new in fresh {
            if held.iter().all(|old| old.serial() != new.serial()) {
                changed.added.push(new.serial().to_owned());
                held.push(new);
            }
        }
        held.sort_by_key(|held| std::cmp::Reverse(held.certificate.not_before()));
        held.truncate(MOST_CERTIFICATES);
        changed
    }

    pub(crate) fn flight(&self) -> &Flight {
        &self.flight
    }

    pub(crate) fn tell(&self, now: i64) {
        self.told.store(now, Ordering::Relaxed);
    }

    fn held(&self) -> RwLockReadGuard<'_, Vec<Held>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Schedule {
    fn may_refresh(&self, now: i64) -> bool {
        let rests = within(self.futile_at, now, PAUSE) || self.none && within(self.answered_at, now, DAY);
        !self.underway && !rests
    }

    fn answered(&mut self, now: i64, changed: &Changed) {
        self.answered_at = Some(now);
        self.none = changed.none;
        self.futile_at = if changed.added.is_empty() { Some(now) } else { None };
    }

    fn flies(&self, flight: u64) -> bool {
        self.underway && self.ended == flight
    }
}

/// Whether this happened less than so many seconds ago. The future is no past: a clock that was put back stops nothing.
fn within(since: Option<i64>, now: i64, seconds: i64) -> bool {
    since.is_some_and(|since| (0..seconds).contains(&now.saturating_sub(since)))
}

impl Verifier for Certificates {
    fn key(&self, serial: &str) -> Option<Arc<dyn VerifyingKey>> {
        self.public_keys.key(serial).or_else(|| {
            let told = self.told.load(Ordering::Relaxed);
            let held = self.held();
            held.iter().find(|held| held.serial() == serial && held.lasts(told)).map(|held| Arc::clone(&held.key))
        })
    }

    /// A public key if there is one, else the certificate that became valid last.
    fn preferred(&self) -> Option<String> {
        self.public_keys.preferred().or_else(|| {
            let told = self.told.load(Ordering::Relaxed);
            let valid = |held: &&Held| held.lasts(told) && (told == UNTOLD || held.certificate.not_before() <= told);
            self.held().iter().find(valid).map(|held| held.serial().to_owned())
        })
    }

    fn certificates(&self) -> Option<&Certificates> {
        Some(self)
    }
}

/// The keys that may have signed the answer which brings some of them.
struct Candidates<'a> {
    fresh: &'a [Held],
    known: &'a Certificates,
}

impl Verifier for Candidates<'_> {
    fn key(&self, serial: &str) -> Option<Arc<dyn VerifyingKey>> {
        let fresh = self.fresh.iter().find(|held| held.serial() == serial).map(|held| Arc::clone(&held.key));
        fresh.or_else(|| self.known.key(serial))
    }

    fn preferred(&self) -> Option<String> {
        None
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("public_keys", &self.public_keys)
            .field("certificates", &self.serials())
            .finish_non_exhaustive()
    }
}

/// The turn to refresh; see [`Certificates::begin_refresh`].
#[must_use = "dropping it gives the turn back"]
pub struct RefreshGuard<'a> {
    certificates: &'a Certificates,
    /// When an attempt had last been futile before this one, as long as it has no outcome of its own.
    before: Option<Option<i64>>,
}

impl RefreshGuard<'_> {
    /// Hands over the answer of `GET /v3/certificates`, whatever its status.
    ///
    /// # Errors
    /// As [`Certificates::accept`]; and a refusal, unless it is `404 RESOURCE_NOT_EXISTS`, with which WeChat Pay says
    /// that a merchant has public keys only. Where certificates are held, that needs a signature to be believed.
    pub fn finish(
        mut self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        now: i64,
    ) -> Result<Changed, CertificatesError> {
        self.before = None;
        match status {
            StatusCode::OK => self.certificates.accept(headers, body, now),
            status => self.certificates.refused(status, headers, body, now),
        }
    }

    /// No answer came: the next attempt is a minute away.
    pub fn fail(mut self) {
        self.before = None;
    }
}

impl Drop for RefreshGuard<'_> {
    fn drop(&mut self) {
        let mut schedule = self.certificates.schedule();
        schedule.underway = false;
        if let Some(before) = self.before {
            schedule.futile_at = before;
        }
        schedule.ended = schedule.ended.wrapping_add(1);
        let waiting = std::mem::take(&mut schedule.waiting);
        drop(schedule);
        self.certificates.ended.notify_all();
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl fmt::Debug for RefreshGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshGuard").finish_non_exhaustive()
    }
}

/// The end of a refresh; see [`Certificates::underway`].
#[must_use = "futures do nothing unless awaited"]
pub struct Underway<'a> {
    certificates: &'a Certificates,
    flight: u64,
    waiter: Option<u64>,
}

impl Future for Underway<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let certificates = self.certificates;
        let mut schedule = certificates.schedule();
        if !schedule.flies(self.flight) {
            return Poll::Ready(());
        }
        let waiter = *self.waiter.get_or_insert_with(|| {
            schedule.waiters = schedule.waiters.wrapping_add(1);
            schedule.waiters
        });
        schedule.waiting.retain(|(other, _)| *other != waiter);
        schedule.waiting.push((waiter, context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.certificates.schedule().waiting.retain(|(other, _)| *other != waiter);
        }
    }
}

impl fmt::Debug for Underway<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Underway").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    serial_no: String,
    encrypt_certificate: Sealed,
}

const SAVED_VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    downloaded_at: Option<i64>,
    none: bool,
    certificates: Vec<SavedCertificate>,
}

#[derive(Serialize, Deserialize)]
struct SavedCertificate {
    serial_no: String,
    pem: String,
}

fn read<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, CertificatesError> {
    if json.len() > MOST_BYTES {
        return Err(CertificatesError::TooLarge(json.len()));
    }
    envelope::read(json).map_err(CertificatesError::Unreadable)
}

/// Whether it is signed with a certificate that is not known. A public key has to be set by hand.
fn by_certificate(reason: &UnverifiedReason) -> bool {
    matches!(reason, UnverifiedReason::UnknownSerial(serial) if !serial.starts_with("PUB_KEY_ID_"))
}

fn check_count(count: usize) -> Result<(), CertificatesError> {
    if count > MOST_CERTIFICATES { Err(CertificatesError::TooMany(count)) } else { Ok(()) }
}

/// Why certificates were not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificatesError {
    /// More than a mebibyte: this many bytes.
    TooLarge(usize),
    /// Not the JSON that it should be.
    Unreadable(ReadError),
    /// More than [`MOST_CERTIFICATES`]: this many.
    TooMany(usize),
    /// One certificate is not what it should be.
    Entry {
        /// The serial number that it is given under.
        serial: String,
        /// What is wrong with it.
        fault: EntryFault,
    },
    /// The answer itself is not believed.
    Unverified(UnverifiedReason),
    /// WeChat Pay refused, or somebody who says so.
    Refused {
        /// HTTP status.
        status: u16,
        /// The error code, empty where the body names none.
        code: String,
        /// The first words of its message, empty where it has none.
        message: String,
        /// The `Request-ID` header, to be named to WeChat Pay's support.
        request_id: Option<String>,
        /// Whether somebody signed the refusal who is trusted. Otherwise it may come from anybody on the way.
        authenticated: bool,
    },
    /// The text was exported in this form, which is not known here.
    Version(u32),
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryFault {
    /// It was sealed for another purpose.
    AssociatedData,
    /// It does not open.
    Sealed(SealedError),
    /// What was sealed is not text.
    NotText,
    /// The text is not a certificate that can be used.
    Key(KeyError),
    /// It is given under another serial number than this, its own.
    Serial(String),
}

impl EntryFault {
    /// The name of the algorithm, if all that is wrong is that it is not RSA sealed with AES.
    fn other_algorithm(&self) -> Option<String> {
        match self {
            Self::Sealed(SealedError::Algorithm(name)) => Some(name.clone()),
            Self::Key(error) => match error.fault() {
                KeyFault::NotRsa(name) => Some(name.to_owned()),
                _ => None,
            },
            _ => None,
        }
    }
}

impl From<SealedError> for EntryFault {
    fn from(error: SealedError) -> Self {
        Self::Sealed(error)
    }
}

impl From<KeyError> for EntryFault {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl std::error::Error for CertificatesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(error) => Some(error),
            Self::Entry { fault: EntryFault::Sealed(error), .. } => Some(error),
            Self::Entry { fault: EntryFault::Key(error), .. } => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for CertificatesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("platform certificates: ")?;
        match self {
            Self::TooLarge(bytes) => write!(f, "{bytes} bytes are more than the {MOST_BYTES} that are read"),
            Self::Unreadable(error) => write!(f, "cannot be read {error}; download them again"),
            Self::TooMany(count) => write!(f, "{count} are more than the {MOST_CERTIFICATES} that are held"),
            Self::Entry { serial, fault } => write!(f, "{serial}: {fault}"),
            Self::Unverified(reason) => write!(f, "the answer is not believed: {reason}"),
            Self::Refused { status, code, message, request_id, authenticated } => {
                write!(f, "refused: {status}")?;
                for (before, text) in [(" ", code), (": ", message)].into_iter().filter(|(_, text)| !text.is_empty()) {
                    write!(f, "{before}{text}")?;
                }
                if !authenticated {
                    f.write_str(" [nobody who is trusted has signed the refusal]")?;
                }
                request_id.as_ref().map_or(Ok(()), |id| write!(f, " (Request-ID {id})"))
            }
            Self::Version(version) => {
                write!(f, "saved in form {version}, only form {SAVED_VERSION} is known; download them again")
            }
        }
    }
}

impl fmt::Display for EntryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AssociatedData => {
                write!(f, "its associated_data is not \"{ASSOCIATED_DATA}\"; it was sealed as something else")
            }
            Self::Sealed(error) => error.fmt(f),
            Self::NotText => f.write_str("what was sealed is not text"),
            Self::Key(error) => error.fmt(f),
            Self::Serial(own) => write!(f, "the certificate itself has the serial number {own}"),
        }
    }
}
