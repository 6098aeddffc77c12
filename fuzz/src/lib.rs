//! What the fuzz targets share: how an input is read, and keys whose signatures anybody can make.
//!
//! A message is text: lines of headers, an empty line, the body. Where the value of `Wechatpay-Signature` is `@`, the
//! right signature is put there, so that what lies behind verification is reached as well.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use wechatpay_protocol::crypto::{OpenError, Opener, VerifyingKey};
use wechatpay_protocol::{Trust, Verifier};

/// The time by which everything is judged.
pub const NOW: i64 = 1_784_000_000;
/// The serial of the key that is trusted.
pub const SERIAL: &str = "PUB_KEY_ID_1";

const TYPES: [&str; 2] = ["WECHATPAY2-SHA256-RSA2048", "WECHATPAY-BRAND-SHA256-RSA2048"];

/// A key whose signature is a digest: no secret, and it fits one message only.
#[derive(Clone, Copy)]
pub struct OpenKey;

/// What [`OpenKey`] takes for a signature.
pub fn sign(message: &[u8]) -> Vec<u8> {
    Sha256::new().chain_update(b"open key").chain_update(message).finalize().to_vec()
}

impl VerifyingKey for OpenKey {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        signature == sign(message)
    }
}

/// Opens by doing nothing, where the nonce has the right length.
#[derive(Clone, Copy)]
pub struct NoSeal;

impl Opener for NoSeal {
    fn open(&self, nonce: &[u8], _: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        if nonce.len() == 12 { Ok(sealed.to_vec()) } else { Err(OpenError::NonceLength(nonce.len())) }
    }
}

/// Trusts [`OpenKey`] under [`SERIAL`].
pub fn trust() -> Trust {
    Trust::new().with_public_key(SERIAL, OpenKey)
}

/// A message as it arrives.
pub struct Message {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Message {
    /// Reads an input; lines that no HTTP library would let through are passed over.
    pub fn read(input: &[u8]) -> Self {
        let (head, body) = match input.windows(2).position(|two| two == b"\n\n") {
            Some(at) => (&input[..at], &input[at + 2..]),
            None => (input, &[][..]),
        };
        let mut headers = HeaderMap::new();
        for line in head.split(|byte| *byte == b'\n').take(64) {
            let mut halves = line.splitn(2, |byte| *byte == b':');
            let (Some(name), Some(value)) = (halves.next(), halves.next()) else { continue };
            let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii()))
            else {
                continue;
            };
            headers.append(name, value);
        }
        let mut message = Self { headers, body: body.to_vec() };
        message.put_signature();
        message
    }

    fn put_signature(&mut self) {
        if self.headers.get("wechatpay-signature").is_some_and(|value| value == "@") {
            let text = STANDARD.encode(sign(&self.signed()));
            self.headers.insert("wechatpay-signature", HeaderValue::from_str(&text).expect("base64"));
        }
    }

    /// The three lines that are signed, written down once more.
    fn signed(&self) -> Vec<u8> {
        let value = |name: &str| self.headers.get(name).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
        [value("wechatpay-timestamp"), value("wechatpay-nonce"), self.body.clone()]
            .into_iter()
            .flat_map(|mut line| {
                line.push(b'\n');
                line
            })
            .collect()
    }

    /// The values of a header.
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        self.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
    }

    /// Whether any header of a signature is there.
    pub fn carries_signature(&self) -> bool {
        ["timestamp", "nonce", "signature", "serial"]
            .iter()
            .any(|name| !self.values(&format!("wechatpay-{name}")).is_empty())
    }

    /// Whether it must be believed: the rules, told in another way than the code under test tells them.
    pub fn is_genuine(&self, trusts: &dyn Verifier) -> bool {
        let one = |name: &str| match self.values(name)[..] {
            [value] if value.iter().all(|byte| (b' '..=b'~').contains(byte) || *byte == b'\t') => {
                String::from_utf8(value.to_vec()).ok()
            }
            _ => None,
        };
        let (Some(time), Some(_), Some(signature), Some(serial)) =
            (one("wechatpay-timestamp"), one("wechatpay-nonce"), one("wechatpay-signature"), one("wechatpay-serial"))
        else {
            return false;
        };
        let kind = match self.values("wechatpay-signature-type").len() {
            0 => true,
            _ => one("wechatpay-signature-type").is_some_and(|kind| TYPES.contains(&&*kind)),
        };
        let digits = time.strip_prefix(['+', '-']).unwrap_or(&time);
        let decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let in_time =
            decimal && time.parse::<i128>().is_ok_and(|time| time.saturating_sub(NOW.into()).saturating_abs() <= 300);
        // There is one way to write the right signature.
        let right = signature == STANDARD.encode(sign(&self.signed()));
        kind && in_time && right && trusts.key(&serial).is_some()
    }
}

/// Splits an input into its first line and the rest; `None` if the line is no text.
pub fn first_line(input: &[u8]) -> Option<(&str, &[u8])> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&input[..end]).ok()?, &input[end + 1..]))
}
