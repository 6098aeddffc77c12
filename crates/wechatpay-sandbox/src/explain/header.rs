//! Reads signature headers leniently, and tells everything that is wrong with them.

use super::{Case, Cause};
use crate::authorize::{BRAND_SCHEME, SCHEME};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use http::header::{AUTHORIZATION, HeaderMap};

/// What the headers say; empty where they say nothing.
#[derive(Default)]
pub(super) struct Items {
    /// Whether a brand calls, and not a merchant.
    pub(super) brand: bool,
    /// `mchid`, or `brand_id` of a brand.
    pub(super) caller: String,
    pub(super) nonce: String,
    pub(super) timestamp: String,
    pub(super) serial: String,
    pub(super) signature: String,
}

impl Items {
    fn place(&mut self, name: &str) -> Option<&mut String> {
        match name {
            "mchid" | "brand_id" => Some(&mut self.caller),
            "nonce_str" => Some(&mut self.nonce),
            "timestamp" => Some(&mut self.timestamp),
            "serial_no" => Some(&mut self.serial),
            "signature" => Some(&mut self.signature),
            _ => None,
        }
    }

    fn missing(&self) -> Option<&'static str> {
        let items = [
            (if self.brand { "brand_id" } else { "mchid" }, &self.caller),
            ("nonce_str", &self.nonce),
            ("timestamp", &self.timestamp),
            ("serial_no", &self.serial),
            ("signature", &self.signature),
        ];
        items.into_iter().find(|(_, value)| value.is_empty()).map(|(name, _)| name)
    }
}

/// The items of the `Authorization` of a request.
pub(super) fn items(headers: &HeaderMap, target: &str, case: &mut Case) -> Items {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        case.tell(Cause::NoAuthorization, "");
        return Items::default();
    };
    if values.next().is_some() {
        case.tell(Cause::SeveralAuthorizations, "");
    }
    let text = String::from_utf8_lossy(value.as_bytes());
    let (scheme, rest) = match text.split_once(' ') {
        Some((scheme, rest)) if !scheme.contains('=') => (scheme, rest),
        _ if text.contains('=') => ("", &*text),
        _ => (&*text, ""),
    };
    let schemed = match scheme {
        SCHEME => Some(false),
        BRAND_SCHEME => Some(true),
        _ => None,
    };
    let named = [("brand_id=", true), ("mchid=", false)].into_iter().find(|(item, _)| rest.contains(item));
    let named = named.map(|(_, brand)| brand);
    if let Some(brand) = schemed {
        kinds(brand, named, target, case);
    } else {
        let shown: String = scheme.chars().take(40).collect();
        case.tell(Cause::Scheme, format!("It is {shown:?}."));
    }
    // Whose id it is says the item's name, whatever the scheme.
    read(rest, named.or(schemed).unwrap_or(false), case)
}

/// Tells where a scheme of brands, or of merchants, has an id or a path of the others.
fn kinds(brand: bool, named: Option<bool>, target: &str, case: &mut Case) {
    let (who, item, foreign) = if brand { ("brands", "brand_id", "/v3/") } else { ("merchants", "mchid", "/brand/") };
    if named.is_some_and(|named| named != brand) {
        case.tell(Cause::BrandOrMerchant, format!("The scheme is that of {who}, and {item} is missing."));
    } else if target.starts_with(foreign) {
        case.tell(Cause::BrandOrMerchant, format!("The scheme is that of {who}, and the path begins with {foreign}."));
    }
}

/// Names as other APIs and other documents have them.
const ALIASES: [(&str, &str); 5] = [
    ("nonce", "nonce_str"),
    ("noncestr", "nonce_str"),
    ("mch_id", "mchid"),
    ("serial", "serial_no"),
    ("sign", "signature"),
];

fn read(text: &str, brand: bool, case: &mut Case) -> Items {
    let mut items = Items { brand, ..Items::default() };
    let mut rest = text.trim();
    let (mut unquoted, mut separated, mut wrong) = (false, !rest.ends_with([',', ';']), String::new());
    while let Some((name, after)) = rest.split_once('=') {
        separated &= name == name.trim() && after == after.trim_start();
        let (name, after) = (name.trim(), after.trim_start());
        let (value, next) = match after.strip_prefix('"').map(|quoted| quoted.split_once('"')) {
            Some(Some((value, next))) => (value, next),
            _ => {
                unquoted = true;
                let open = after.trim_start_matches(['"', '\'', '\u{201c}', '\u{201d}']);
                open.split_at_checked(open.find([',', ';', ' ', '"']).unwrap_or(open.len())).unwrap_or_default()
            }
        };
        let value = value.trim_matches(['"', '\'', '\u{201c}', '\u{201d}']);
        let usual = ALIASES.into_iter().find(|(alias, _)| *alias == name).map_or(name, |(_, usual)| usual);
        let shown: String = name.chars().take(40).collect();
        match items.place(usual) {
            None => wrong = format!("{shown:?} does not belong there."),
            Some(place) if !place.is_empty() => wrong = format!("{shown} stands there twice."),
            Some(place) => value.clone_into(place),
        }
        if usual != name {
            wrong = format!("{shown} must be called {usual}.");
        }
        let next = next.trim_start_matches(['"', '\'']).trim_start();
        rest = match next.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None => {
                separated &= next.is_empty();
                next.trim_start_matches([';', '&', ' '])
            }
        };
    }
    separated &= rest.is_empty();
    if wrong.is_empty()
        && let Some(missing) = items.missing()
    {
        wrong = format!("{missing} is missing or empty.");
    }
    if unquoted {
        case.tell(Cause::QuotesMissing, "");
    } else if !separated {
        case.tell(Cause::ItemsMalformed, "");
    }
    if !wrong.is_empty() {
        case.tell(Cause::ItemsWrong, wrong);
    }
    items
}

/// The signature headers of an answer or a notification.
pub(super) fn reply_items(headers: &HeaderMap, case: &mut Case) -> Items {
    let mut read = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        if values.next().is_some() {
            case.tell(Cause::SignatureHeaderRepeated, format!("It is {name}."));
        }
        value
    };
    let kind = read("Wechatpay-Signature-Type");
    let names = ["Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Serial", "Wechatpay-Signature"];
    let all = names.map(|name| (read(name).unwrap_or_default(), name));
    let missing: Vec<_> = all.iter().filter(|(value, _)| value.is_empty()).map(|(_, name)| *name).collect();
    if !missing.is_empty() {
        case.tell(Cause::SignatureHeaderMissing, format!("It is {}.", missing.join(" and ")));
    }
    if let Some(kind) = kind.filter(|kind| ![SCHEME, BRAND_SCHEME].contains(&kind.as_str())) {
        case.tell(Cause::SignatureType, format!("It is {kind:?}."));
    }
    let [(timestamp, _), (nonce, _), (serial, _), (signature, _)] = all;
    Items { nonce, timestamp, serial, signature, ..Items::default() }
}

/// A serial number without what people put into it: colons, small letters, leading zeroes.
pub(super) fn plain_serial(serial: &str) -> String {
    let digits: String = serial.chars().filter(char::is_ascii_hexdigit).collect();
    digits.trim_start_matches('0').to_uppercase()
}

/// The bytes of a signature that may be encoded in the wrong way; none if it cannot be read.
pub(super) fn signature(text: &str, length: usize, case: &mut Case) -> Option<Vec<u8>> {
    if text.len() >= 32 && text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        // Sixteen to sixty-four characters may be base64 too, but no signature is so short.
        let bytes = unhex(text)?;
        if bytes.len() == length {
            case.tell(Cause::HexSignature, "");
        }
        return Some(bytes);
    }
    let Some(bytes) = decode(text, case) else {
        case.tell(Cause::SignatureMalformed, "");
        return None;
    };
    if bytes.len() == length {
        return Some(bytes);
    }
    let inner = std::str::from_utf8(&bytes).ok().map(str::trim);
    let twice = inner.and_then(|inner| STANDARD.decode(inner).ok()).filter(|twice| twice.len() == length);
    let hex = inner.filter(|inner| inner.len() == 2 * length).and_then(unhex);
    match (twice, hex) {
        (Some(twice), _) => {
            case.tell(Cause::Base64Twice, "");
            Some(twice)
        }
        (None, Some(hex)) => {
            case.tell(Cause::HexSignature, "And the hex is in base64.");
            Some(hex)
        }
        (None, None) => Some(bytes),
    }
}

fn decode(text: &str, case: &mut Case) -> Option<Vec<u8>> {
    if let Ok(bytes) = STANDARD.decode(text) {
        return Some(bytes);
    }
    let (cause, text) = if text.contains(['%', ' ']) {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
        (Cause::UrlEncodedSignature, decoded.replace(' ', "+"))
    } else if text.contains(['-', '_']) {
        (Cause::Base64Url, text.replace('-', "+").replace('_', "/"))
    } else {
        (Cause::Base64Unpadded, text.to_owned())
    };
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = GeneralPurpose::new(&alphabet::STANDARD, config).decode(text).ok()?;
    case.tell(cause, "");
    Some(bytes)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let pair = |pair: &[u8]| pair.iter().fold(0u8, |byte, digit| byte << 4 | digit);
    digits.map(|digits| digits.chunks(2).map(pair).collect())
}
