//! Notifications (回调通知): what WeChat Pay posts to the merchant's server.
//!
//! A [`Receiver`] takes the raw bytes, verifies them, opens the event and says whether it has been seen before. The
//! handler answers with an [`Acknowledge`], within five seconds; anything but a success makes WeChat Pay send the event
//! again later.
//!
//! ```
//! use wechatpay_protocol::notification::{Acknowledge, Received, Receiver};
//!
//! fn answer(receiver: &Receiver, request: &http::Request<bytes::Bytes>, now: i64) -> http::Response<bytes::Bytes> {
//!     let acknowledge = match receiver.receive_request(request, now) {
//!         Ok(Received::New(delivery)) => match delivery.read::<serde_json::Value>() {
//!             Ok(_resource) => delivery.done(),
//!             Err(_unreadable) => delivery.failed("cannot be read"),
//!         },
//!         Ok(Received::Duplicate(_)) => Acknowledge::Success,
//!         Err(error) => error.answer(),
//!     };
//!     acknowledge.into_response()
//! }
//! # let _ = answer;
//! ```

use crate::crypto::Opener;
use crate::envelope::{self, Sealed};
use crate::error::UnverifiedReason;
use crate::response;
use crate::trust::Verifier;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wechatpay_model::operation::Payload;
use wechatpay_model::types::Timestamp;

pub use crate::envelope::{ReadError, SealedError};

/// Most bytes of a notification.
const MOST_BYTES: usize = 1 << 20;
/// Most bytes of an id; the documents allow 36.
const MOST_ID: usize = 128;
/// Most characters of a failure's message.
const MOST_MESSAGE: usize = 256;

/// Receives the notifications to one merchant: verifies, opens, tells new ones from repeated ones.
///
/// Clones are cheap and share the memory of what was seen.
#[derive(Clone)]
pub struct Receiver {
    verifier: Arc<dyn Verifier>,
    opener: Arc<dyn Opener>,
    guard: Arc<dyn ReplayGuard>,
}

impl Receiver {
    /// Believes the keys of `verifier` and opens with the APIv3 key of `opener`. Events of the last day are remembered
    /// in memory: [`RecentIds`].
    pub fn new(verifier: impl Verifier + 'static, opener: impl Opener + 'static) -> Self {
        Self { verifier: Arc::new(verifier), opener: Arc::new(opener), guard: Arc::new(RecentIds::default()) }
    }

    /// Remembers events elsewhere: where several servers share it, or nowhere ([`Unguarded`]).
    #[must_use]
    pub fn with_replay_guard(self, guard: impl ReplayGuard + 'static) -> Self {
        Self { guard: Arc::new(guard), ..self }
    }

    /// Takes a notification as it came: all its headers, and its body byte for byte. `now` is Unix time.
    ///
    /// # Errors
    /// [`NotificationError`], which knows the [answer](NotificationError::answer) to give. After an unknown serial,
    /// refresh the certificates and receive the same bytes again.
    pub fn receive(&self, headers: &HeaderMap, body: &[u8], now: i64) -> Result<Received, NotificationError> {
        if body.len() > MOST_BYTES {
            return Err(NotificationError::TooLarge(body.len()));
        }
        if let Some(certificates) = self.verifier.certificates() {
            certificates.tell(now);
        }
        let serial = response::verify(headers, body, &*self.verifier, now).map_err(NotificationError::Unverified)?;

        let Envelope { id, create_time, event_type, summary, resource } =
            envelope::read(body).map_err(NotificationError::Unreadable)?;
        if id.is_empty() || id.len() > MOST_ID {
            let problem = format!("expected 1 to {MOST_ID} bytes, found {}", id.len());
            return Err(NotificationError::Unreadable(ReadError::new("id", problem)));
        }
        let plain = match resource.open(&*self.opener) {
            Ok(plain) => plain,
            Err(source) => return Err(NotificationError::Sealed { id, source }),
        };
        let original_type = resource.original_type;
        let event = Event { id, create_time, event_type, summary, original_type, serial, resource: plain };

        match self.guard.begin(&event.id, now) {
            Seen::First => Ok(Received::New(Delivery { event, guard: Some(Arc::clone(&self.guard)) })),
            Seen::Done => Ok(Received::Duplicate(event)),
            Seen::Underway => Err(NotificationError::Underway { id: event.id }),
        }
    }

    /// [`receive`](Self::receive) for a whole request; its method and path are the router's business.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_request(&self, request: &Request<Bytes>, now: i64) -> Result<Received, NotificationError> {
        self.receive(request.headers(), request.body(), now)
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// The parts of a notification outside the seal.
#[derive(Deserialize)]
struct Envelope {
    id: String,
    create_time: Timestamp,
    event_type: String,
    #[serde(default)]
    summary: String,
    resource: Sealed,
}

/// A genuine notification: verified, and opened with the APIv3 key.
#[derive(Debug)]
#[must_use]
pub enum Received {
    /// Not processed before: process it, then say whether that worked.
    New(Delivery),
    /// Processed before: answer [`Acknowledge::Success`] and do nothing.
    Duplicate(Event),
}

/// A verified and opened event.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Its own id; all repeats of an event have the same.
    pub id: String,
    /// When WeChat Pay made it; repeats keep it, and events may arrive in another order.
    pub create_time: Timestamp,
    /// What happened, such as `COUPON.USE`.
    pub event_type: String,
    /// A word on what happened, for people.
    pub summary: String,
    /// What the resource is about, such as `coupon`.
    pub original_type: String,
    /// Serial of the public key or certificate that signed it.
    pub serial: String,
    resource: Vec<u8>,
}

impl Event {
    /// The resource as it was sealed: JSON. It holds openids and codes; keep it out of logs.
    pub fn resource(&self) -> &[u8] {
        &self.resource
    }

    /// Reads the resource as the payload of its event; `None` where the event is of another type.
    ///
    /// # Errors
    /// It does not fit the type; the error says where and repeats no value.
    pub fn payload<P: Payload>(&self) -> Result<Option<P>, ReadError> {
        if self.event_type == P::EVENT_TYPE { self.read().map(Some) } else { Ok(None) }
    }

    /// Reads the resource as any type.
    ///
    /// # Errors
    /// It does not fit the type; the error says where and repeats no value.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        envelope::read(&self.resource)
    }
}

/// Shows everything but the resource.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, create_time, event_type, summary, original_type, serial, resource: _ } = self;
        f.debug_struct("Event")
            .field("id", id)
            .field("create_time", create_time)
            .field("event_type", event_type)
            .field("summary", summary)
            .field("original_type", original_type)
            .field("serial", serial)
            .finish_non_exhaustive()
    }
}

/// An [`Event`] in the hands of the one who processes it.
///
/// Ends with [`done`](Self::done) or [`failed`](Self::failed). Dropped without either (an early return, a handler that
/// was cancelled) it has failed, so that the next repeat is processed.
#[must_use = "dropping it means that processing failed"]
pub struct Delivery {
    event: Event,
    guard: Option<Arc<dyn ReplayGuard>>,
}

impl Delivery {
    /// The event was processed and what it changed is stored: repeats are duplicates from now on.
    pub fn done(mut self) -> Acknowledge {
        if let Some(guard) = self.guard.take() {
            guard.done(&self.event.id);
        }
        Acknowledge::Success
    }

    /// The event could not be processed: WeChat Pay sends it again, and it is new again. The message goes out as it is.
    pub fn failed(self, message: impl Into<Cow<'static, str>>) -> Acknowledge {
        Acknowledge::failure(message)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.forget(&self.event.id);
        }
    }
}

impl Deref for Delivery {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Delivery").field(&self.event).finish()
    }
}

/// What the merchant's server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Acknowledge {
    /// 200 and the documented words: processed, or known already.
    Success,
    /// 204: the same without words.
    NoContent,
    /// Not processed: WeChat Pay sends the event again.
    Failure {
        /// HTTP status; anything but 4xx and 5xx becomes 500.
        status: StatusCode,
        /// Goes out to whoever asked: no details.
        message: Cow<'static, str>,
    },
}

impl Acknowledge {
    /// A failure of the merchant's own: status 500.
    pub fn failure(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Failure { status: StatusCode::INTERNAL_SERVER_ERROR, message: message.into() }
    }

    /// The HTTP response that says so.
    pub fn into_response(self) -> Response<Bytes> {
        let (status, code, message) = match self {
            Self::Success => (StatusCode::OK, "SUCCESS", Cow::Borrowed("OK")),
            Self::NoContent => {
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::NO_CONTENT;
                return response;
            }
            Self::Failure { status, message } if status.is_client_error() || status.is_server_error() => {
                (status, "FAIL", message)
            }
            Self::Failure { message, .. } => (StatusCode::INTERNAL_SERVER_ERROR, "FAIL", message),
        };
        let message: String = message.chars().take(MOST_MESSAGE).collect();
        let body = serde_json::json!({ "code": code, "message": message }).to_string();
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl From<Acknowledge> for Response<Bytes> {
    fn from(acknowledge: Acknowledge) -> Self {
        acknowledge.into_response()
    }
}

/// Why a notification gave no event.
///
/// `Debug` and `Display` never show a key or what was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotificationError {
    /// More than a mebibyte: this many bytes.
    TooLarge(usize),
    /// Not believed. A probe is nothing to worry about: WeChat Pay sends the event again with a right signature.
    Unverified(UnverifiedReason),
    /// Genuine, but not the JSON that it should be.
    Unreadable(ReadError),
    /// Genuine, but its resource does not open.
    Sealed {
        /// Id of the event.
        id: String,
        /// Why not.
        source: SealedError,
    },
    /// The same event is being processed at this moment. It cannot be acknowledged, as that may yet fail.
    Underway {
        /// Id of the event.
        id: String,
    },
}

impl NotificationError {
    /// What to answer: 4xx where the sender is to blame, 5xx where this server is. It gives away no detail.
    pub fn answer(&self) -> Acknowledge {
        let (status, message) = match self {
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too large"),
            Self::Unverified(_) => (StatusCode::UNAUTHORIZED, "signature not accepted"),
            Self::Unreadable(_) => (StatusCode::BAD_REQUEST, "cannot be read"),
            Self::Sealed { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "cannot be processed"),
            Self::Underway { .. } => (StatusCode::SERVICE_UNAVAILABLE, "being processed"),
        };
        Acknowledge::Failure { status, message: Cow::Borrowed(message) }
    }
}

impl std::error::Error for NotificationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(error) => Some(error),
            Self::Sealed { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl fmt::Display for NotificationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(bytes) => {
                write!(f, "the notification has {bytes} bytes, more than the {MOST_BYTES} that are read")
            }
            Self::Unverified(reason) => {
                write!(f, "the notification is not believed: {reason}")?;
                match reason {
                    UnverifiedReason::Probe => f.write_str("; WeChat Pay sends it again with a right one"),
                    UnverifiedReason::Mismatch => {
                        f.write_str("; check that the body is the raw bytes, before any parsing or decompression")
                    }
                    _ => Ok(()),
                }
            }
            Self::Unreadable(error) => write!(f, "the notification is genuine, but cannot be read {error}"),
            Self::Sealed { id, source } => write!(f, "the notification {id} is genuine, but does not open: {source}"),
            Self::Underway { id } => write!(f, "the notification {id} is being processed already"),
        }
    }
}

/// What a [`ReplayGuard`] knows of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Seen {
    /// Nothing, or that it failed: process it.
    First,
    /// That somebody is processing it.
    Underway,
    /// That it was processed.
    Done,
}

/// Remembers which events were processed; WeChat Pay sends an event again until it was acknowledged, and sometimes after.
///
/// It only hears of events that have been verified. Where the effect of an event is stored in a database, a unique key
/// on its id there is the better guard, because it lasts.
pub trait ReplayGuard: Send + Sync {
    /// Takes the event up, unless it is being or has been processed. `now` is Unix time.
    fn begin(&self, id: &str, now: i64) -> Seen;

    /// It was processed.
    fn done(&self, id: &str);

    /// Processing failed: the next repeat is the first again.
    fn forget(&self, id: &str);
}

impl<G: ReplayGuard + ?Sized> ReplayGuard for Arc<G> {
    fn begin(&self, id: &str, now: i64) -> Seen {
        (**self).begin(id, now)
    }

    fn done(&self, id: &str) {
        (**self).done(id);
    }

    fn forget(&self, id: &str) {
        (**self).forget(id);
    }
}

/// Remembers nothing: every event is new. For handlers that tell repeats themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unguarded;

impl ReplayGuard for Unguarded {
    fn begin(&self, _: &str, _: i64) -> Seen {
        Seen::First
    }

    fn done(&self, _: &str) {}

    fn forget(&self, _: &str) {}
}

/// Remembers the latest events in memory: at most so many, at most so long.
pub struct RecentIds {
    capacity: usize,
    seconds: i64,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    events: HashMap<Arc<str>, Remembered>,
    /// The same events, the oldest in front; numbers only grow.
    order: VecDeque<(u64, Arc<str>)>,
    next: u64,
}

struct Remembered {
    number: u64,
    begun_at: i64,
    done: bool,
}

impl RecentIds {
    /// Remembers at most `capacity` events (at least one), each for so many seconds. When it is full, the oldest go.
    pub fn new(capacity: usize, seconds: i64) -> Self {
        Self { capacity: capacity.max(1), seconds, recent: Mutex::default() }
    }

    /// How many events are remembered.
    pub fn len(&self) -> usize {
        self.recent().events.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 10,000 events, 25 hours: WeChat Pay repeats an event for up to 24.
impl Default for RecentIds {
    fn default() -> Self {
        Self::new(10_000, 25 * 3600)
    }
}

impl Recent {
    fn drop_oldest_if(&mut self, condition: impl Fn(&Self, &Remembered) -> bool) -> bool {
        let oldest = self.order.front().and_then(|(_, id)| self.events.get(id));
        let drops = oldest.is_some_and(|oldest| condition(self, oldest));
        if drops && let Some((_, id)) = self.order.pop_front() {
            self.events.remove(&id);
        }
        drops
    }
}

impl ReplayGuard for RecentIds {
    fn begin(&self, id: &str, now: i64) -> Seen {
        let mut recent = self.recent();
        while recent.drop_oldest_if(|_, oldest| now.saturating_sub(oldest.begun_at) > self.seconds) {}
        if let Some(known) = recent.events.get(id) {
            return if known.done { Seen::Done } else { Seen::Underway };
        }
        while recent.drop_oldest_if(|recent, _| recent.events.len() >= self.capacity) {}
        let (id, number) = (Arc::<str>::from(id), recent.next);
        recent.next += 1;
        recent.order.push_back((number, Arc::clone(&id)));
        recent.events.insert(id, Remembered { number, begun_at: now, done: false });
        Seen::First
    }

    fn done(&self, id: &str) {
        if let Some(known) = self.recent().events.get_mut(id) {
            known.done = true;
        }
    }

    fn forget(&self, id: &str) {
        let mut recent = self.recent();
        if let Some(known) = recent.events.remove(id)
            && let Ok(place) = recent.order.binary_search_by_key(&known.number, |(number, _)| *number)
        {
            recent.order.remove(place);
        }
    }
}

impl fmt::Debug for RecentIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecentIds")
            .field("capacity", &self.capacity)
            .field("seconds", &self.seconds)
            .field("len", &self.len())
            .finish()
    }
}
