//! Reads and verifies the `Authorization` header, independently of the code that writes it.

use crate::keys::{Keys, Merchant};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap};
use std::fmt;

pub(crate) const SCHEME: &str = "WECHATPAY2-SHA256-RSA2048";

/// The scheme of brands, and the type of the signatures that they get.
pub(crate) const BRAND_SCHEME: &str = "WECHATPAY-BRAND-SHA256-RSA2048";

/// The four items beside the one that names the caller; each of the five must stand there once.
const ITEMS: [&str; 4] = ["nonce_str", "timestamp", "serial_no", "signature"];

/// What of a request is signed, beside time and nonce.
#[derive(Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    /// Path and query exactly as they came.
    pub(crate) target: &'a str,
    /// The exact bytes of the body, or of the `meta` part of an upload.
    pub(crate) body: &'a [u8],
}

/// The clock, and how far the caller's may be off.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) now: i64,
    pub(crate) seconds: i64,
}

/// A caller that has proved who it is. Whether its nonce is a fresh one is for the caller of this module to find out.
pub(crate) struct Caller<'k> {
    pub(crate) merchant: &'k Merchant,
    pub(crate) nonce: String,
    pub(crate) timestamp: i64,
}

/// Why a signature is refused, and the message over which it was to be.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    pub(crate) message: Vec<u8>,
}

/// What is wrong with an `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    NoHeader,
    SeveralHeaders,
    NotText,
    Scheme(String),
    Malformed(String),
    Missing(&'static str),
    Repeated(&'static str),
    UnknownItem(String),
    Empty(&'static str),
    UnknownMerchant(String),
    UnknownBrand(String),
    /// The scheme belongs to the other kind of path.
    OtherDoor,
    OtherSerial {
        found: String,
        expected: String,
    },
    Timestamp(String),
    OutsideWindow(i64),
    Nonce,
    NonceUsed,
    Base64,
    SignatureLength(usize),
    Mismatch,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHeader => f.write_str("there is no Authorization header"),
            Self::SeveralHeaders => f.write_str("there are several Authorization headers; send one"),
            Self::NotText => f.write_str("the Authorization header has bytes that are not ASCII"),
            Self::Scheme(found) => {
                write!(f, "the scheme is {found:?}; it must be {SCHEME}, or {BRAND_SCHEME} of a brand")
            }
            Self::Malformed(rest) => {
                write!(f, "the items are not of the form name=\"value\", separated by commas; stuck at {rest:?}")
            }
            Self::Missing(item) => write!(f, "the item {item} is missing"),
            Self::Repeated(item) => write!(f, "the item {item} stands there twice"),
            Self::UnknownItem(item) => write!(f, "the item {item:?} does not belong there"),
            Self::Empty(item) => write!(f, "the item {item} is empty"),
            Self::UnknownMerchant(mchid) => write!(f, "the sandbox has no merchant {mchid:?}"),
            Self::UnknownBrand(brand) => write!(f, "the sandbox has no brand {brand:?}"),
            Self::OtherDoor => write!(
                f,
                "merchants sign with {SCHEME} and call /v3/…, brands sign with {BRAND_SCHEME} and call /brand/…; the \
                 scheme and the path are of different kinds"
            ),
            Self::OtherSerial { found, expected } => write!(
                f,
                "serial_no is {found:?}, but the merchant's API certificate has {expected}; upper-case hex of the \
                 merchant's certificate, not of the platform's"
            ),
            Self::Timestamp(found) => write!(f, "the timestamp {found:?} is no Unix time in seconds"),
            Self::OutsideWindow(off) if off.unsigned_abs() > 1_000_000_000_000 => {
                f.write_str("the timestamp is in milliseconds; it must be in seconds")
            }
            Self::OutsideWindow(off) => write!(f, "the timestamp is {off} seconds off the sandbox's clock"),
            Self::Nonce => f.write_str("nonce_str is longer than 128 characters"),
            Self::NonceUsed => f.write_str("this nonce_str was used before; take a fresh one for each attempt"),
            Self::Base64 => f.write_str("the signature is not standard base64 with padding"),
            Self::SignatureLength(bytes) => write!(f, "the signature has {bytes} bytes; one of RSA-2048 has 256"),
            Self::Mismatch => f.write_str(
                "the signature does not fit the message; compare the message with the one that was signed, and check \
                 that the private key belongs to the certificate named by serial_no",
            ),
        }
    }
}

/// The items of a well-formed header.
#[derive(Debug, PartialEq, Eq)]
struct Items<'a> {
    /// Whether `caller` is a brand id.
    brand: bool,
    caller: &'a str,
    nonce: &'a str,
    timestamp: &'a str,
    serial: &'a str,
    signature: &'a str,
}

/// Finds out who calls.
pub(crate) fn authorize<'k>(
    keys: &'k Keys,
    headers: &HeaderMap,
    signed: Signed<'_>,
    window: Window,
) -> Result<Caller<'k>, Refused> {
    let items = match read(headers) {
        Ok(items) => items,
        Err(reason) => return Err(Refused { reason, message: message(signed, "", "") }),
    };
    let message = message(signed, items.timestamp, items.nonce);
    match verify(keys, &items, &message, window) {
        Ok((merchant, timestamp)) => Ok(Caller { merchant, nonce: items.nonce.to_owned(), timestamp }),
        Err(reason) => Err(Refused { reason, message }),
    }
}

/// The message that the caller was to sign.
pub(crate) fn message(signed: Signed<'_>, timestamp: &str, nonce: &str) -> Vec<u8> {
    let mut message = format!("{}\n{}\n{timestamp}\n{nonce}\n", signed.method, signed.target).into_bytes();
    message.extend_from_slice(signed.body);
    message.push(b'\n');
    message
}

fn read(headers: &HeaderMap) -> Result<Items<'_>, Reason> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Reason::NoHeader)?;
    if values.next().is_some() {
        return Err(Reason::SeveralHeaders);
    }
    let text = value.to_str().map_err(|_| Reason::NotText)?;
    let (scheme, items) = text.split_once(' ').unwrap_or((text, ""));
    match scheme {
        SCHEME => parse(items, false),
        BRAND_SCHEME => parse(items, true),
        _ => Err(Reason::Scheme(scheme.chars().take(40).collect())),
    }
}

fn parse(text: &str, brand: bool) -> Result<Items<'_>, Reason> {
    let [nonce, timestamp, serial, signature] = ITEMS;
    let names = [if brand { "brand_id" } else { "mchid" }, nonce, timestamp, serial, signature];
    let mut found: [Option<&str>; 5] = [None; 5];
    let mut rest = text.trim();
    while !rest.is_empty() {
        let malformed = || Reason::Malformed(rest.chars().take(20).collect());
        let (name, after) = rest.split_once("=\"").ok_or_else(malformed)?;
        let (value, after) = after.split_once('"').ok_or_else(malformed)?;
        let place = names.iter().zip(found.iter_mut()).find(|(item, _)| **item == name);
        let Some((item, place)) = place else {
            return Err(Reason::UnknownItem(name.chars().take(40).collect()));
        };
        if value.is_empty() {
            return Err(Reason::Empty(item));
        }
        if place.replace(value).is_some() {
            return Err(Reason::Repeated(item));
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) if !next.trim().is_empty() => next.trim_start(),
            None if after.is_empty() => after,
            _ => return Err(Reason::Malformed(after.chars().take(20).collect())),
        };
    }
    match found {
        [Some(caller), Some(nonce), Some(timestamp), Some(serial), Some(signature)] => {
            Ok(Items { brand, caller, nonce, timestamp, serial, signature })
        }
        _ => {
            let missing = names.iter().zip(found).find(|(_, value)| value.is_none());
            Err(Reason::Missing(missing.map_or("signature", |(item, _)| item)))
        }
    }
}

fn verify<'k>(
    keys: &'k Keys,
    items: &Items<'_>,
    message: &[u8],
    window: Window,
) -> Result<(&'k Merchant, i64), Reason> {
    let caller = items.caller;
    let merchant = match items.brand {
        true => keys.brand(caller).ok_or_else(|| Reason::UnknownBrand(caller.to_owned()))?,
        false => keys.merchant(caller).ok_or_else(|| Reason::UnknownMerchant(caller.to_owned()))?,
    };
    if items.serial != merchant.serial_no {
        let (found, expected) = (items.serial.to_owned(), merchant.serial_no.clone());
        return Err(Reason::OtherSerial { found, expected });
    }
    let digits = items.timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let timestamp = items.timestamp.parse::<i64>().ok().filter(|_| digits);
    let timestamp = timestamp.ok_or_else(|| Reason::Timestamp(items.timestamp.to_owned()))?;
    let off = timestamp.saturating_sub(window.now);
    if off.saturating_abs() > window.seconds {
        return Err(Reason::OutsideWindow(off));
    }
    if items.nonce.len() > 128 {
        return Err(Reason::Nonce);
    }
    let signature = STANDARD.decode(items.signature).map_err(|_| Reason::Base64)?;
    if signature.len() != 256 {
        return Err(Reason::SignatureLength(signature.len()));
    }
    if !merchant.verifies(message, &signature) {
        return Err(Reason::Mismatch);
    }
    Ok((merchant, timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
    use std::sync::OnceLock;

    const NOW: i64 = 1_767_225_600;
    const SIGNED: Signed<'static> = Signed { method: "POST", target: "/v3/a%20b?c=d", body: b"{\"e\":1}" };

    fn keys() -> &'static Keys {
        static KEYS: OnceLock<Keys> = OnceLock::new();
        KEYS.get_or_init(|| {
            Keys::generate(&["1900000001".to_owned(), "1900000002".to_owned()], &["120344".to_owned()], NOW).unwrap()
        })
    }

    /// The items of a right header, in an order of their own.
    fn items(timestamp: &str, nonce: &str) -> Vec<(&'static str, String)> {
        items_of(&keys().merchants, timestamp, nonce)
    }

    fn items_of(callers: &'static [Merchant], timestamp: &str, nonce: &str) -> Vec<(&'static str, String)> {
        let credentials = keys().credentials(callers).next().unwrap();
        let body: String = credentials.private_key_pem.lines().filter(|line| !line.starts_with('-')).collect();
        let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(body).unwrap()).unwrap();
        let message = format!("POST\n/v3/a%20b?c=d\n{timestamp}\n{nonce}\n{{\"e\":1}}\n");
        let mut signature = vec![0; 256];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        vec![
            ("signature", STANDARD.encode(signature)),
            ("timestamp", timestamp.to_owned()),
            (if callers[0].brand { "brand_id" } else { "mchid" }, credentials.mchid),
            ("serial_no", credentials.serial_no),
            ("nonce_str", nonce.to_owned()),
        ]
    }

    fn header(items: &[(&str, String)]) -> String {
        let items: Vec<_> = items.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        format!("{SCHEME} {}", items.join(","))
    }

    fn reason(headers: &[String]) -> Option<Reason> {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(AUTHORIZATION, http::HeaderValue::from_bytes(header.as_bytes()).unwrap());
        }
        let window = Window { now: NOW, seconds: 300 };
        authorize(keys(), &map, SIGNED, window).err().map(|refused| refused.reason)
    }

    #[test]
    fn a_right_header_is_accepted_whatever_its_order() {
        for timestamp in [NOW - 300, NOW, NOW + 300] {
            let mut items = items(&timestamp.to_string(), "a");
            for _ in 0..5 {
                items.rotate_left(1);
                assert_eq!(reason(&[header(&items)]), None);
                assert_eq!(reason(&[header(&items).replace("\",", "\" , ")]), None);
            }
        }
    }

    #[test]
    fn a_brand_signs_under_a_scheme_of_its_own() {
        let right = header(&items_of(&keys().brands, &NOW.to_string(), "a")).replace(SCHEME, BRAND_SCHEME);
        assert_eq!(reason(std::slice::from_ref(&right)), None);
        let unknown = right.replace("brand_id=\"120344\"", "brand_id=\"120345\"");
        assert_eq!(reason(&[unknown]), Some(Reason::UnknownBrand("120345".to_owned())));
        assert_eq!(reason(&[right.replace("brand_id", "mchid")]), Some(Reason::UnknownItem("mchid".to_owned())));
        let merchant = right.replace(BRAND_SCHEME, SCHEME);
        assert_eq!(reason(&[merchant]), Some(Reason::UnknownItem("brand_id".to_owned())));
    }

    #[test]
    fn each_fault_has_its_own_reason() {
        let right = items(&NOW.to_string(), "n");
        let with = |name: &str, value: &str| {
            let change = |(item, old): &(&'static str, String)| {
                (*item, if *item == name { value.to_owned() } else { old.clone() })
            };
            vec![header(&right.iter().map(change).collect::<Vec<_>>())]
        };
        let good = header(&right);
        let serial = keys().merchants[0].serial_no.clone();
        let other = keys().merchants[1].serial_no.clone();

        assert_eq!(reason(&[]), Some(Reason::NoHeader));
        assert_eq!(reason(&[good.clone(), good.clone()]), Some(Reason::SeveralHeaders));
        assert_eq!(reason(&[good.replace("mchid", "mchid\u{e9}")]), Some(Reason::NotText));
        assert_eq!(reason(&[good.replace("RSA2048", "RSA4096")]), Some(Reason::Scheme(SCHEME.replace("2048", "4096"))));
        assert_eq!(reason(&["Bearer x".to_owned()]), Some(Reason::Scheme("Bearer".to_owned())));
        assert_eq!(reason(&[SCHEME.to_owned()]), Some(Reason::Missing("mchid")));
        for end in ["\"", ""] {
            let cut = format!("{}{end}", good.trim_end_matches('"'));
            assert_eq!(reason(&[cut]).is_none(), end == "\"");
        }
        assert_eq!(reason(&[format!("{good},")]), Some(Reason::Malformed(",".to_owned())));
        assert_eq!(reason(&[good.replace("\",", "\";")]).map(|r| r.to_string().contains("stuck at")), Some(true));
        assert_eq!(reason(&[format!("{good},mchid=\"1\"")]), Some(Reason::Repeated("mchid")));
        assert_eq!(reason(&[format!("{good},x=\"1\"")]), Some(Reason::UnknownItem("x".to_owned())));
        for index in 0..right.len() {
            let mut fewer = right.clone();
            let (name, _) = fewer.remove(index);
            assert_eq!(reason(&[header(&fewer)]), Some(Reason::Missing(name)));
            assert_eq!(reason(&with(name, "")), Some(Reason::Empty(name)));
        }
        assert_eq!(reason(&with("mchid", "1900000009")), Some(Reason::UnknownMerchant("1900000009".to_owned())));
        for found in [other, serial.to_lowercase()] {
            let expected = serial.clone();
            assert_eq!(reason(&with("serial_no", &found)), Some(Reason::OtherSerial { found, expected }));
        }
        for text in ["now", "+1767225600", "1767225600.0", "99999999999999999999"] {
            assert_eq!(reason(&with("timestamp", text)), Some(Reason::Timestamp(text.to_owned())));
        }
        for off in [-301, 301] {
            let stale = items(&(NOW + off).to_string(), "n");
            assert_eq!(reason(&[header(&stale)]), Some(Reason::OutsideWindow(off)));
        }
        let milliseconds = reason(&with("timestamp", "1767225600000")).unwrap();
        assert!(milliseconds.to_string().contains("milliseconds"), "{milliseconds}");
        assert_eq!(reason(&with("nonce_str", &"n".repeat(129))), Some(Reason::Nonce));
        for text in ["!", "YQ", "YQ=", "YR=="] {
            assert_eq!(reason(&with("signature", text)), Some(Reason::Base64), "{text}");
        }
        assert_eq!(reason(&with("signature", "YQ==")), Some(Reason::SignatureLength(1)));
        assert_eq!(reason(&with("signature", &STANDARD.encode([7; 256]))), Some(Reason::Mismatch));
        assert_eq!(reason(&with("nonce_str", "m")), Some(Reason::Mismatch));
    }

    #[test]
    fn every_part_of_the_message_is_signed() {
        let mut map = HeaderMap::new();
        map.insert(AUTHORIZATION, header(&items(&NOW.to_string(), "n")).parse().unwrap());
        let window = Window { now: NOW, seconds: 300 };
        for signed in [
            Signed { method: "PUT", ..SIGNED },
            Signed { target: "/v3/a%20b", ..SIGNED },
            Signed { target: "/v3/a+b?c=d", ..SIGNED },
            Signed { body: b"{\"e\": 1}", ..SIGNED },
            Signed { body: b"", ..SIGNED },
        ] {
            let refused = authorize(keys(), &map, signed, window).err().map(|refused| refused.reason);
            assert_eq!(refused, Some(Reason::Mismatch));
        }
    }
}
