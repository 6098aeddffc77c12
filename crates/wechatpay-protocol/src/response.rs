//! From the bytes of an answer to a verified value, or to an error that says what happened.

use crate::crypto::{BRAND_RSA_SHA256, Decryptor, RSA_SHA256};
use crate::envelope::problem;
use crate::error::{ApiError, BoxError, DecodeError, Error, Pending, Unverified, UnverifiedReason};
use crate::object::Object;
use crate::sensitive;
use crate::trust::Verifier;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use http::header::{DATE, HeaderMap, RETRY_AFTER};
use serde::de::{DeserializeOwned, Deserializer};
use serde_json::Value;
use std::fmt;
use std::time::{Duration, UNIX_EPOCH};
use wechatpay_model::operation::{Answer, ErrorRow, Spec};
use wechatpay_model::{COMMON_ERRORS, ErrorCode};

/// Most bytes of a refusal that are read as JSON, longer ones are kept as they are: anybody on the way may have written
/// it, and read it takes up many times as much memory.
const MOST_REFUSAL: usize = 256 << 10;

/// Seconds by which the signing time of an answer may differ from the client's clock.
pub const TOLERANCE: i64 = 300;

const TIMESTAMP: &str = "Wechatpay-Timestamp";
const NONCE: &str = "Wechatpay-Nonce";
const SIGNATURE: &str = "Wechatpay-Signature";
const SERIAL: &str = "Wechatpay-Serial";
const SIGNATURE_TYPE: &str = "Wechatpay-Signature-Type";
const REQUEST_ID: &str = "Request-ID";
const PROBE: &str = "WECHATPAY/SIGNTEST/";

/// The headers that make an answer a signed one.
const REQUIRED: [&str; 4] = [TIMESTAMP, NONCE, SIGNATURE, SERIAL];

/// A success whose signature fits its bytes.
#[derive(Clone)]
pub struct Verified {
    /// HTTP status.
    pub status: StatusCode,
    /// The `Request-ID` header.
    pub request_id: Option<String>,
    /// Serial of the key that signed it.
    pub serial: String,
    /// The raw body: the very bytes that were signed. It may hold openids or coupon codes, so it is in no `Debug`.
    pub body: Bytes,
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("status", &self.status.as_u16())
            .field("request_id", &self.request_id)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

/// Sorts an answer: a verified success, or the error that it is.
///
/// A success must be signed and verify. A refusal that carries any signature header must verify; one that carries none
/// is reported as unauthenticated.
///
/// # Errors
/// [`Error::Unverified`], [`Error::Pending`] or [`Error::Api`].
pub fn receive(
    spec: Option<&Spec>,
    status: StatusCode,
    headers: &HeaderMap,
    body: Bytes,
    verifier: &dyn Verifier,
    now: i64,
) -> Result<Verified, Error> {
    let request_id = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let signed = REQUIRED.iter().any(|name| headers.contains_key(*name));
    let clock_skew = clock_skew(headers, now);
    let unverified = |reason, request_id| {
        let status = status.as_u16();
        Err(Error::Unverified(Box::new(Unverified { reason, status, clock_skew, request_id })))
    };
    if !signed && status.is_success() {
        return unverified(UnverifiedReason::Unsigned, request_id);
    }
    let serial = if signed {
        match verify(headers, &body, verifier, now) {
            Ok(serial) => Some(serial),
            Err(reason) => return unverified(reason, request_id),
        }
    } else {
        None
    };
    match (status, serial) {
        (StatusCode::ACCEPTED, _) => Err(Error::Pending(Pending { request_id, body })),
        (status, Some(serial)) if status.is_success() => Ok(Verified { status, request_id, serial, body }),
        (status, serial) => {
            let retry_after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            let mut error = refusal(spec, status.as_u16(), body);
            error.request_id = request_id;
            error.retry_after = retry_after.map(Duration::from_secs);
            error.clock_skew = clock_skew;
            error.authenticated = serial.is_some();
            Err(Error::Api(Box::new(error)))
        }
    }
}

/// Seconds by which the clock is ahead of the answer's `Date`.
fn clock_skew(headers: &HeaderMap, now: i64) -> Option<i64> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    let seconds = i64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
    Some(now.saturating_sub(seconds))
}

/// Verifies the signature headers over the raw body and names the serial that signed.
///
/// # Errors
/// Why it is not believed.
pub fn verify(headers: &HeaderMap, body: &[u8], verifier: &dyn Verifier, now: i64) -> Result<String, UnverifiedReason> {
    let timestamp = single(headers, TIMESTAMP)?;
    let nonce = single(headers, NONCE)?;
    let signature = single(headers, SIGNATURE)?;
    let serial = single(headers, SERIAL)?;
    let signature_type = match single(headers, SIGNATURE_TYPE) {
        Err(UnverifiedReason::MissingHeader(_)) => None,
        other => Some(other?),
    };

    let signed_at: i64 = timestamp.parse().map_err(|_| UnverifiedReason::MalformedHeader(TIMESTAMP))?;
    let difference = signed_at.saturating_sub(now);
    if !(-TOLERANCE..=TOLERANCE).contains(&difference) {
        return Err(UnverifiedReason::Stale(difference));
    }
    if signature.starts_with(PROBE) {
        return Err(UnverifiedReason::Probe);
    }
    let key = verifier.key(serial).ok_or_else(|| UnverifiedReason::UnknownSerial(serial.to_owned()))?;
    if let Some(named) = signature_type.filter(|named| !is_type_of(named, key.signature_type())) {
        return Err(UnverifiedReason::UnknownType(named.to_owned()));
    }
    let signature = STANDARD.decode(signature).map_err(|_| UnverifiedReason::MalformedHeader(SIGNATURE))?;

    if key.verify(&message(timestamp, nonce, body), &signature) {
        Ok(serial.to_owned())
    } else {
        Err(UnverifiedReason::Mismatch)
    }
}

/// Whether a signature of the named type is one of that type: RSA has another name in what is signed for a brand.
fn is_type_of(named: &str, made: &str) -> bool {
    named == made || named == BRAND_RSA_SHA256 && made == RSA_SHA256
}

/// The message that an answer or a notification is signed over: three lines, each with its line feed (P7).
pub fn message(timestamp: &str, nonce: &str, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(timestamp.len() + nonce.len() + body.len() + 3);
    for line in [timestamp.as_bytes(), nonce.as_bytes(), body] {
        message.extend_from_slice(line);
        message.push(b'\n');
    }
    message
}

/// The one value of a header.
fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, UnverifiedReason> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(UnverifiedReason::MissingHeader(name)),
        (Some(_), Some(_)) => Err(UnverifiedReason::DuplicateHeader(name)),
        (Some(value), None) => value.to_str().map_err(|_| UnverifiedReason::MalformedHeader(name)),
    }
}

/// Reads what a refusal says, however little of the documented form it keeps.
pub(crate) fn refusal(spec: Option<&Spec>, status: u16, body: Bytes) -> ApiError {
    let read = if body.len() <= MOST_REFUSAL { serde_json::from_slice::<Value>(&body).ok() } else { None };
    let mut value = read.unwrap_or_default();
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (code, message) = (text(&value, "code"), text(&value, "message"));
    let detail = value.get_mut("detail").map(Value::take).filter(|detail| !detail.is_null());
    let documented = document(spec, status, &code, &message);
    ApiError {
        status,
        code: ErrorCode::from(code),
        message,
        detail,
        request_id: None,
        retry_after: None,
        clock_skew: None,
        authenticated: false,
        body,
        documented,
    }
}

/// The documented rows of a refusal: those of its status and code. Where the operation has several of its own, the
/// message decides, at last among the common ones; where it fits none of them, all of its own are named.
pub fn document(spec: Option<&Spec>, status: u16, code: &str, message: &str) -> Vec<&'static ErrorRow> {
    let rows = |rows: &'static [ErrorRow]| -> Vec<_> {
        rows.iter().filter(|row| row.status() == status && row.code() == code).collect()
    };
    let own = rows(spec.map_or(&[], Spec::errors));
    let common = rows(COMMON_ERRORS);
    match (own.len(), common.len()) {
        (0, _) => return common,
        (1, _) => return own,
        _ => {}
    }
    let said = letters(message);
    let fits = |row: &ErrorRow, exactly: bool| {
        let documented = letters(row.message());
        let within = said.contains(&documented) || documented.contains(&said);
        !documented.is_empty() && !said.is_empty() && if exactly { said == documented } else { within }
    };
    let fitting = |rows: &[&'static ErrorRow], exactly: bool| -> Vec<_> {
        rows.iter().copied().filter(|row| fits(row, exactly)).collect()
    };
    let found = [fitting(&own, true), fitting(&own, false), fitting(&common, false)];
    let found = found.into_iter().find(|rows| !rows.is_empty());
    found.unwrap_or(own)
}

/// Documents and live answers differ in spacing and punctuation, so only letters and digits are compared.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Reads a verified body as the answer of an operation.
///
/// # Errors
/// [`Error::Decode`]; an operation that answers nothing accepts an empty body and nothing else.
pub fn decode<R: DeserializeOwned>(answer: Answer, verified: &Verified) -> Result<R, Error> {
    let json: &[u8] = match answer {
        Answer::Empty if verified.body.is_empty() => b"null",
        Answer::Empty => return Err(unreadable(verified, "the body", "it should be empty and is not")),
        _ => &verified.body,
    };
    // To know the place costs time, and only an error needs it.
    let mut quick = serde_json::Deserializer::from_slice(json);
    if let Ok(value) = R::deserialize(Object(&mut quick))
        && quick.end().is_ok()
    {
        return Ok(value);
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = read(&mut reader, verified)?;
    reader.end().map_err(|error| unreadable(verified, "the end of the body", problem(&error)))?;
    Ok(value)
}

/// [`decode`] for an answer of which these places are encrypted (P13).
pub(crate) fn decode_sealed<R: DeserializeOwned>(
    sealed: &[&str],
    verified: &Verified,
    decryptor: Option<&dyn Decryptor>,
) -> Result<R, Error> {
    let mut value: Value = decode(Answer::Json, verified)?;
    sensitive::open(sealed, &mut value, decryptor).map_err(|(place, error)| unreadable(verified, &place, error))?;
    read(value, verified)
}

fn read<'de, R: DeserializeOwned, D>(reader: D, verified: &Verified) -> Result<R, Error>
where
    D: Deserializer<'de, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(Object(reader))
        .map_err(|error| unreadable(verified, &error.path().to_string(), problem(error.inner())))
}

fn unreadable(verified: &Verified, path: &str, source: impl Into<BoxError>) -> Error {
    let Verified { status, request_id, body, .. } = verified.clone();
    let (path, source) = (path.to_owned(), source.into());
    Error::Decode(Box::new(DecodeError { status: status.as_u16(), path, request_id, body, source }))
}
