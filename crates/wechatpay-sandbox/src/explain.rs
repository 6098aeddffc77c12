//! Why a signature does not verify: pure, without clock or network, for the sandbox and for `wechatpay explain-signature`.
//!
//! A signature can be opened with the public key of whoever made it, and shows the hash of the message. So it is known
//! whose key and which algorithm made it; and the message is looked for among those that clients build by mistake.
//!
//! ```
//! use http::HeaderMap;
//! use wechatpay_sandbox::explain::{self, Cause, Request};
//!
//! let request = Request { method: "GET", target: "/v3/certificates", headers: &HeaderMap::new(), body: b"" };
//! let why = explain::request(&request, &[], None).expect("there is no signature at all");
//! assert_eq!(why.cause, Cause::NoAuthorization);
//! assert_eq!(why.cause.id(), "no-authorization");
//! ```

mod cause;
mod compare;
mod header;
mod json;
mod key;
mod search;

pub use cause::Cause;
pub use compare::{Difference, Pair, Piece, side_by_side};
pub use key::Key;

use crate::log::shorten;
use crate::multipart;
use cause::Side;
use header::Items;
use http::Method;
use http::header::{CONTENT_TYPE, HOST, HeaderMap};
use key::{Kind, Trace};
use schemars::JsonSchema;
use search::Line;
use serde::{Serialize, Serializer};
use std::fmt;
use wechatpay_protocol::request::Route;

/// Hosts of the real API, which clients sign by mistake.
const HOSTS: [&str; 3] = ["api.mch.weixin.qq.com", "api2.mch.weixin.qq.com", "api.wechatpay.cn"];

/// Most keys with which a signature is opened.
const KEYS: usize = 64;

/// A request whose signature is in question.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// HTTP method as it was sent.
    pub method: &'a str,
    /// Path and query byte for byte as they were sent.
    pub target: &'a str,
    /// All headers; what is read are `Authorization`, `Host` and `Content-Type`.
    pub headers: &'a HeaderMap,
    /// The body byte for byte as it was sent.
    pub body: &'a [u8],
}

/// A key that may have made a signature.
#[derive(Clone)]
pub struct Known {
    /// Whose it is.
    pub whose: Whose,
    /// Serial number of its certificate, or id of the public key, where that is known.
    pub serial: Option<String>,
    /// The key.
    pub key: Key,
    /// The APIv3 key of the merchant or brand, to recognise a message that was hashed with it.
    pub apiv3_key: Option<String>,
}

/// Whose a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// A merchant's, with its id where that is known.
    Merchant(Option<String>),
    /// A brand's, with its id where that is known.
    Brand(Option<String>),
    /// WeChat Pay's.
    Platform,
}

/// The time by which a timestamp is judged.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Unix time in seconds.
    pub now: i64,
    /// Seconds by which a timestamp may be off.
    pub window: i64,
}

/// Why a signature does not verify.
///
/// The messages hold what was signed, bodies included: `Debug` leaves them out.
#[derive(Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Explanation {
    /// What went wrong: the first thing, where there are several.
    pub cause: Cause,
    /// What else went wrong.
    pub also: Vec<Cause>,
    /// What happened.
    pub says: String,
    /// What to do.
    #[serde(rename = "do")]
    pub advice: String,
    /// The message over which the signature must be. Bytes that are not UTF-8 are escaped in JSON.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub expected: Vec<u8>,
    /// The message over which it is, if that was found.
    #[serde(serialize_with = "as_optional_text")]
    #[schemars(with = "Option<String>")]
    pub received: Option<Vec<u8>>,
    /// Where they begin to differ.
    pub first_difference: Option<Difference>,
}

fn as_text<S: Serializer>(message: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(message))
}

fn as_optional_text<S: Serializer>(message: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    message.as_deref().map(text).serialize(serializer)
}

/// What is UTF-8 as it is, the rest escaped.
fn text(message: &[u8]) -> String {
    message
        .utf8_chunks()
        .fold(String::new(), |text, chunk| text + chunk.valid() + &chunk.invalid().escape_ascii().to_string())
}

impl Explanation {
    /// The same with at most so many bytes of each message and text.
    pub(crate) fn cut(mut self, bytes: usize) -> Self {
        shorten(&mut self.says, bytes);
        shorten(&mut self.advice, bytes);
        self.expected.truncate(bytes);
        self.expected.shrink_to_fit();
        if let Some(received) = &mut self.received {
            received.truncate(bytes);
            received.shrink_to_fit();
        }
        self
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.cause, self.says, self.advice)
    }
}

impl fmt::Debug for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explanation").field("cause", &self.cause).field("also", &self.also).finish_non_exhaustive()
    }
}

/// Why the signature of a request does not verify; none if it does, as far as the keys at hand can tell.
///
/// Without a clock time is not judged. Whether a nonce is fresh is not known here.
pub fn request(request: &Request<'_>, known: &[Known], clock: Option<Clock>) -> Option<Explanation> {
    let mut case = Case::new(Side::Request);
    let items = header::items(request.headers, request.target, &mut case);
    let meta = content_type(request.headers).and_then(|value| {
        multipart::boundary(value, request.body).map(|boundary| multipart::parse(boundary.text, request.body))
    });
    let body = match &meta {
        Some(Ok(upload)) => upload.meta,
        _ => request.body,
    };
    let mut lines = [
        Line::new("method", request.method.as_bytes()),
        Line::new("target", request.target.as_bytes()),
        Line::new("timestamp", items.timestamp.as_bytes()),
        Line::new("nonce", items.nonce.as_bytes()),
        Line::new("body", body),
    ];
    let right = search::right(&lines);
    let owner = case.owner(&items, known);
    case.time(&items.timestamp, clock);
    if items.nonce.len() > 128 {
        case.tell(Cause::NonceTooLong, "");
    }
    let Some(trace) = case.trace(&items.signature, owner, known) else { return case.close(right, None) };
    if !trace.fits(&right) {
        let [method, target, timestamp, nonce, line] = &mut lines;
        search::methods(method, request.method);
        let own = request.headers.get(HOST).and_then(|host| host.to_str().ok());
        let hosts: Vec<_> = HOSTS.into_iter().chain(own).collect();
        search::targets(target, request.target, &hosts, template(request));
        search::stamps(timestamp, nonce);
        if let Some(upload) = &meta {
            line.or(Cause::MultipartBody, "It is the whole body.", request.body);
            if let Ok(upload) = upload {
                line.or(Cause::MultipartBody, "It is the file.", upload.file);
            }
            line.or(Cause::MultipartBody, "It is an empty body.", "");
        }
        search::bodies(line, body);
    }
    case.search(&lines, right, &trace)
}

/// Why the signature of an answer or a notification does not verify; none if it does.
///
/// Without a clock time is not judged.
pub fn reply(headers: &HeaderMap, body: &[u8], known: &[Known], clock: Option<Clock>) -> Option<Explanation> {
    let mut case = Case::new(Side::Reply);
    let items = header::reply_items(headers, &mut case);
    let mut lines = [
        Line::new("timestamp", items.timestamp.as_bytes()),
        Line::new("nonce", items.nonce.as_bytes()),
        Line::new("body", body),
    ];
    let right = search::right(&lines);
    let platform = || known.iter().filter(|known| known.whose == Whose::Platform);
    let owner = platform().find(|known| known.serial.as_deref() == Some(items.serial.as_str()));
    // A key without a name may be the one.
    let owner = owner.or_else(|| platform().find(|known| known.serial.is_none()));
    if owner.is_none() && !items.serial.is_empty() {
        case.tell(Cause::SerialUnknown, format!("It is {:?}.", items.serial));
    }
    case.time(&items.timestamp, clock);
    if items.signature.starts_with("WECHATPAY/SIGNTEST/") {
        case.tell(Cause::Probe, "");
        return case.close(right, None);
    }
    let Some(trace) = case.trace(&items.signature, owner, known) else { return case.close(right, None) };
    if !trace.fits(&right) {
        let [timestamp, nonce, line] = &mut lines;
        search::stamps(timestamp, nonce);
        search::bodies(line, body);
    }
    case.search(&lines, right, &trace)
}

/// What is known otherwise of a request whose signature is refused.
pub(crate) fn told(cause: Cause, detail: String, expected: &[u8], received: Option<Vec<u8>>) -> Explanation {
    Case { side: Side::Request, told: vec![(cause, detail)] }.explanation(cause, expected.to_vec(), received)
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

/// The path of the operation, its ids not filled in.
fn template(request: &Request<'_>) -> Option<&'static str> {
    let method = Method::from_bytes(request.method.as_bytes()).ok()?;
    let path = request.target.split('?').next()?;
    let route = Route::find(wechatpay_model::operations(), &method, path)?;
    if route.brand { route.spec.brand_path() } else { Some(route.spec.path()) }
}

/// What is found out about one signature, in the order in which it is checked.
struct Case {
    side: Side,
    told: Vec<(Cause, String)>,
}

impl Case {
    fn new(side: Side) -> Self {
        Self { side, told: Vec::new() }
    }

    fn tell(&mut self, cause: Cause, detail: impl Into<String>) {
        self.told.push((cause, detail.into()));
    }

    /// The key by which a request must be signed: that of the merchant or brand that it names.
    fn owner<'k>(&mut self, items: &Items, known: &'k [Known]) -> Option<&'k Known> {
        let kind = if items.brand { Whose::Brand } else { Whose::Merchant };
        let key_of = |whose: Whose| known.iter().find(|known| known.whose == whose);
        let owner = key_of(kind(Some(items.caller.clone()))).or_else(|| key_of(kind(None)));
        let holder = known.iter().find(|known| known.serial.as_deref() == Some(items.serial.as_str()));
        if items.caller.is_empty() || known.is_empty() {
            return owner;
        }
        let Some(owner) = owner else {
            let known_serial = holder.is_some_and(|holder| holder.whose != Whose::Platform);
            let cause = match (known_serial, items.brand) {
                (true, _) => Cause::MerchantMismatch,
                (false, false) => Cause::UnknownMerchant,
                (false, true) => Cause::UnknownBrand,
            };
            self.tell(cause, format!("It is {:?}.", items.caller));
            return holder;
        };
        let Some(serial) = owner.serial.as_deref().filter(|serial| *serial != items.serial && !items.serial.is_empty())
        else {
            return Some(owner);
        };
        let detail = format!("It is {:?}, and must be {serial:?}.", items.serial);
        match holder.map(|holder| &holder.whose) {
            Some(Whose::Platform) => self.tell(Cause::PlatformSerial, detail),
            Some(Whose::Merchant(_) | Whose::Brand(_)) => {
                self.tell(Cause::MerchantMismatch, detail);
                return holder;
            }
            None if header::plain_serial(&items.serial) == header::plain_serial(serial) => {
                self.tell(Cause::SerialCase, detail);
            }
            None if items.serial.starts_with("PUB_KEY_ID_") => self.tell(Cause::PlatformSerial, detail),
            None => self.tell(Cause::OtherSerial, detail),
        }
        Some(owner)
    }

    fn time(&mut self, timestamp: &str, clock: Option<Clock>) {
        if timestamp.is_empty() {
            return;
        }
        let number =
            timestamp.bytes().all(|byte| byte.is_ascii_digit()).then(|| timestamp.parse::<i64>().ok()).flatten();
        match (number, clock) {
            (None, _) => self.tell(Cause::TimestampUnreadable, format!("It is {timestamp:?}.")),
            (Some(100_000_000_000..), _) => self.tell(Cause::Milliseconds, format!("It is {timestamp}.")),
            (Some(time), Some(clock)) => {
                let off = time.saturating_sub(clock.now);
                let detail = format!("It is {} seconds off; {} are allowed.", off.unsigned_abs(), clock.window);
                if off < -clock.window {
                    self.tell(Cause::Stale, detail);
                } else if off > clock.window {
                    self.tell(Cause::Ahead, detail);
                }
            }
            (Some(_), None) => {}
        }
    }

    /// What the signature shows. None where it shows nothing; that is told.
    fn trace(&mut self, signature: &str, owner: Option<&Known>, known: &[Known]) -> Option<Trace> {
        if signature.is_empty() {
            return None;
        }
        let length = owner.or_else(|| known.first()).map_or(256, |known| known.key.signature_length());
        let bytes = header::signature(signature, length, self)?;
        if bytes.len() != length {
            return self.no_signature(&bytes, owner);
        }
        if let Some(owner) = owner
            && let Some(trace) = owner.key.open(&bytes)
        {
            return Some(self.algorithm(trace));
        }
        let others = known.iter().filter(|other| !owner.is_some_and(|owner| owner.key == other.key)).take(KEYS);
        for other in others {
            if let Some(trace) = other.key.open(&bytes) {
                self.stranger(other);
                return Some(self.algorithm(trace));
            }
        }
        if owner.is_some() {
            self.tell(Cause::UnknownKey, "");
        }
        None
    }

    /// Bytes that are too few or too many for a signature.
    fn no_signature(&mut self, bytes: &[u8], owner: Option<&Known>) -> Option<Trace> {
        let hash = match bytes.len() {
            16 => Some("An MD5 hash has so many bytes, as the signatures of API v2 do."),
            20 => Some("A SHA-1 hash has so many bytes."),
            32 => Some("SHA-256 and HMAC-SHA256 give so many bytes."),
            _ => None,
        };
        let count = format!("It has {} bytes.", bytes.len());
        let Some(hash) = hash else {
            self.tell(Cause::SignatureLength, count);
            return None;
        };
        self.tell(Cause::Hmac, format!("{count} {hash}"));
        let key = owner?.apiv3_key.as_ref()?;
        Some(Trace::Hmac { key: key.as_bytes().to_vec(), tag: bytes.to_vec() })
    }

    /// Tells whose key was used in place of the right one.
    fn stranger(&mut self, other: &Known) {
        let name = other.serial.as_ref().map(|serial| format!(" {serial}")).unwrap_or_default();
        match (&other.whose, self.side) {
            (Whose::Platform, _) => self.tell(Cause::PlatformKey, format!("It is the key{name}.")),
            (Whose::Merchant(id) | Whose::Brand(id), Side::Request) => {
                let kind = if matches!(other.whose, Whose::Brand(_)) { "brand" } else { "merchant" };
                let id = id.as_ref().map(|id| format!(" of {kind} {id}")).unwrap_or_default();
                self.tell(Cause::OtherMerchantKey, format!("It is the key{name}{id}."));
            }
            (Whose::Merchant(_) | Whose::Brand(_), Side::Reply) => {
                self.tell(Cause::UnknownKey, "It is a merchant's own key.")
            }
        }
    }

    fn algorithm(&mut self, trace: Trace) -> Trace {
        match &trace {
            Trace::Digest { kind: Some(Kind::Sha256), .. } | Trace::Hmac { .. } => {}
            Trace::Digest { name, .. } => self.tell(Cause::OtherDigest, format!("It is {name}.")),
            Trace::Bare(_) => self.tell(Cause::NoDigestInfo, ""),
            Trace::Pss { .. } => self.tell(Cause::Pss, ""),
        }
        trace
    }

    /// Looks for the signed message, and says what was found out.
    fn search(mut self, lines: &[Line], right: Vec<u8>, trace: &Trace) -> Option<Explanation> {
        if trace.fits(&right) {
            let received = right.clone();
            return self.close(right, Some(received));
        }
        let found = search::find(lines, trace);
        let nothing_else = self.told.is_empty();
        let received = found.map(|found| {
            self.told.extend(found.causes);
            found.message
        });
        if received.is_none() && nothing_else {
            self.tell(Cause::OtherMessage, "");
        }
        self.close(right, received)
    }

    /// None if nothing was found to be wrong.
    fn close(self, expected: Vec<u8>, received: Option<Vec<u8>>) -> Option<Explanation> {
        let cause = self.told.first()?.0;
        Some(self.explanation(cause, expected, received))
    }

    fn explanation(self, cause: Cause, expected: Vec<u8>, received: Option<Vec<u8>>) -> Explanation {
        let (says, advice) = cause.words(self.side);
        let detail = self.told.first().map(|(_, detail)| detail.as_str()).unwrap_or_default();
        let says = if detail.is_empty() { says.to_owned() } else { format!("{says} {detail}") };
        let mut also: Vec<Cause> = Vec::new();
        for (other, _) in &self.told {
            if *other != cause && !also.contains(other) {
                also.push(*other);
            }
        }
        let first_difference = received.as_deref().and_then(|received| Difference::first(&expected, received));
        Explanation { cause, also, says, advice: advice.to_owned(), expected, received, first_difference }
    }
}
