//! Why signatures do not verify: each cause with a request or a reply that was signed by `openssl`, so that nothing of ours
//! has made what is explained. What is said to have been signed is verified by the oracle.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use wechatpay_sandbox::explain::{self, Cause, Clock, Explanation, Key, Known, Request, Whose};
use wechatpay_tests::oracle::PublicKey;

const NOW: i64 = 1_767_578_400;
const MCHID: &str = "1900000109";
const OTHER: &str = "1900000110";
const SERIAL: &str = "0A0B0C0D0E0F101112131415161718191A1B1C1D";
const OTHER_SERIAL: &str = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1";
const BRAND: &str = "120344";
const BRAND_SERIAL: &str = "3B5D7F901122334455667788990011223344556A";
const PLATFORM_SERIAL: &str = "7132D72A03E93CDDF8C03BBD1F37EEDF00000000";
const PUBLIC_KEY_ID: &str = "PUB_KEY_ID_0119000001092026010500000001";
const APIV3_KEY: &str = "a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb";

const TARGET: &str = "/v3/marketing/favor/users/o%2BX/coupons?b=%E4%BB%A3+x&a=1%2F2";
const BODY: &str = "{\"b\":\"代/<\",\"a\":[1,{\"c\":true}],\"d\":\"x\\ny\"}";
const FLAT: &str = "{\"stock_id\":\"98065001\",\"count\":5}";

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/wechatpay-protocol/tests/fixtures").join(name)
}

const OWN_KEY: &str = "crypto/rsa2048.key.pem";
const OTHER_KEY: &str = "crypto/published/wxpay-rs.key.pem";
const PLATFORM_KEY: &str = "trust/new.key.pem";
const BRAND_KEY: &str = "crypto/published/go.key.pem";
const NOBODYS_KEY: &str = "crypto/published/java.key.pem";

fn known() -> Vec<Known> {
    let known = |whose, serial: &str, file: &str, apiv3_key: Option<&str>| Known {
        whose,
        serial: Some(serial.to_owned()),
        key: Key::from_pem(&std::fs::read_to_string(fixture(file)).unwrap()).unwrap(),
        apiv3_key: apiv3_key.map(str::to_owned),
    };
    vec![
        known(Whose::Merchant(Some(MCHID.to_owned())), SERIAL, "crypto/rsa2048.cert.pem", Some(APIV3_KEY)),
        known(Whose::Merchant(Some(OTHER.to_owned())), OTHER_SERIAL, OTHER_KEY, None),
        known(Whose::Brand(Some(BRAND.to_owned())), BRAND_SERIAL, BRAND_KEY, None),
        known(Whose::Platform, PLATFORM_SERIAL, "trust/old.cert.pem", None),
        known(Whose::Platform, PUBLIC_KEY_ID, PLATFORM_KEY, None),
    ]
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("openssl");
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("openssl");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}

/// `openssl dgst … -sign`
fn signed(key: &str, options: &[&str], message: &[u8]) -> Vec<u8> {
    let path = fixture(key);
    let arguments: Vec<_> = ["dgst"].iter().chain(options).copied().chain(["-sign", path.to_str().unwrap()]).collect();
    openssl(&arguments, message)
}

/// A request as its client makes it; the right one, if nothing is changed.
struct Made {
    method: &'static str,
    target: String,
    timestamp: String,
    nonce: &'static str,
    body: Vec<u8>,
    content_type: &'static str,
    mchid: &'static str,
    serial: String,
    key: &'static str,
    options: Vec<&'static str>,
}

impl Made {
    fn right() -> Self {
        Self {
            method: "POST",
            target: TARGET.to_owned(),
            timestamp: NOW.to_string(),
            nonce: "Nonce-0aB",
            body: BODY.as_bytes().to_vec(),
            content_type: "application/json",
            mchid: MCHID,
            serial: SERIAL.to_owned(),
            key: OWN_KEY,
            options: vec!["-sha256"],
        }
    }

    fn empty() -> Self {
        Self { method: "GET", body: Vec::new(), ..Self::right() }
    }

    /// The message as P1 has it.
    fn message(&self) -> Vec<u8> {
        self.with(&String::from_utf8(self.body.clone()).unwrap())
    }

    fn with(&self, body: &str) -> Vec<u8> {
        let Self { method, target, timestamp, nonce, .. } = self;
        format!("{method}\n{target}\n{timestamp}\n{nonce}\n{body}\n").into_bytes()
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        signed(self.key, &self.options, message)
    }

    fn header(&self, signature: &str) -> String {
        format!(
            "WECHATPAY2-SHA256-RSA2048 mchid=\"{}\",nonce_str=\"{}\",signature=\"{signature}\",timestamp=\"{}\",\
             serial_no=\"{}\"",
            self.mchid, self.nonce, self.timestamp, self.serial
        )
    }

    fn ask(&self, headers: &[String]) -> Option<Explanation> {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append("authorization", HeaderValue::from_bytes(header.as_bytes()).unwrap());
        }
        map.insert("host", HeaderValue::from_static("127.0.0.1:8080"));
        map.insert("content-type", HeaderValue::from_static(self.content_type));
        let request = Request { method: self.method, target: &self.target, headers: &map, body: &self.body };
        explain::request(&request, &known(), Some(Clock { now: NOW, window: 300 }))
    }
}

/// One mistake of a client.
struct Case {
    cause: Cause,
    also: &'static [Cause],
    made: Made,
    /// What the client signs in place of the right message.
    message: fn(&Made) -> Vec<u8>,
    /// How it encodes the signature.
    encode: fn(&[u8]) -> String,
    /// What becomes of the header.
    header: fn(String) -> Vec<String>,
    /// Whether the signed message is found.
    found: bool,
}

fn case(cause: Cause, made: Made) -> Case {
    Case {
        cause,
        also: &[],
        made,
        message: Made::message,
        encode: |signature| STANDARD.encode(signature),
        header: |header| vec![header],
        found: true,
    }
}

/// Another message than the right one was signed.
fn signs(cause: Cause, message: fn(&Made) -> Vec<u8>) -> Case {
    Case { message, ..case(cause, Made::right()) }
}

/// The signature was encoded otherwise.
fn encodes(cause: Cause, encode: fn(&[u8]) -> String) -> Case {
    Case { encode, ..case(cause, Made::right()) }
}

/// The header was written otherwise.
fn writes(cause: Cause, header: fn(String) -> Vec<String>) -> Case {
    Case { header, ..case(cause, Made::right()) }
}

/// The right message with something in it replaced.
fn replaced(made: &Made, from: &str, to: &str) -> Vec<u8> {
    let message = String::from_utf8(made.message()).unwrap();
    assert!(message.contains(from), "{from} in {message}");
    message.replacen(from, to, 1).into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const META: &str = "{\"filename\":\"a.png\",\"sha256\":\"00\"}";

fn multipart() -> Made {
    let body = format!(
        "--X\r\nContent-Disposition: form-data; name=\"meta\"\r\nContent-Type: application/json\r\n\r\n{META}\r\n--X\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\nPNG\r\n--X--\r\n"
    );
    Made { body: body.into_bytes(), content_type: "multipart/form-data; boundary=X", ..Made::right() }
}

fn flat() -> Made {
    Made { body: FLAT.as_bytes().to_vec(), ..Made::right() }
}

fn at(timestamp: i64) -> Made {
    Made { timestamp: timestamp.to_string(), ..Made::right() }
}

fn with_key(key: &'static str) -> Made {
    Made { key, ..Made::right() }
}

fn with_options(options: &[&'static str]) -> Made {
    Made { options: options.to_vec(), ..Made::right() }
}

fn with_serial(serial: &str) -> Made {
    Made { serial: serial.to_owned(), ..Made::right() }
}

/// What a brand sends, but for its header; see [`as_brand`].
fn of_brand() -> Made {
    let target = "/brand/marketing/product-coupon/product-coupons/100/stocks".to_owned();
    Made { mchid: BRAND, serial: BRAND_SERIAL.to_owned(), key: BRAND_KEY, target, ..Made::right() }
}

fn as_brand(header: String) -> Vec<String> {
    vec![header.replace("WECHATPAY2-", "WECHATPAY-BRAND-").replace("mchid=", "brand_id=")]
}

/// A mistake of a brand.
fn brands(cause: Cause, made: Made) -> Case {
    Case { header: as_brand, ..case(cause, made) }
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    use Cause::*;
    vec![
        // The header.
        writes(NoAuthorization, |_| Vec::new()).lost(),
        writes(SeveralAuthorizations, |header| vec![header, "Basic YTpi".to_owned()]),
        writes(Scheme, |header| vec![header.replace("WECHATPAY2-SHA256-RSA2048", "WECHATPAY2-SHA256-RSA-2048")]),
        writes(Scheme, |header| vec![header.replace("WECHATPAY2-SHA256-RSA2048 ", "")]),
        writes(Scheme, |header| vec![header.replace("WECHATPAY2-SHA256-RSA2048", "Bearer")]),
        writes(QuotesMissing, |header| vec![header.replace('"', "")]),
        writes(QuotesMissing, |header| vec![header.trim_end_matches('"').to_owned()]),
        writes(QuotesMissing, |header| vec![header.replace('"', "'")]),
        writes(ItemsMalformed, |header| vec![header.replace("\",", "\";")]),
        writes(ItemsMalformed, |header| vec![header + ","]),
        writes(ItemsMalformed, |header| vec![header.replace("\",", "\" ")]),
        writes(ItemsMalformed, |header| vec![header.replace('=', " = ")]).lost().also(&[SignatureMalformed]),
        writes(ItemsWrong, |header| vec![header.replace("nonce_str", "nonce")]),
        writes(ItemsWrong, |header| vec![header.replace(&format!(",timestamp=\"{NOW}\""), "")]).lost(),
        writes(ItemsWrong, |header| vec![header + ",sign_type=\"RSA\""]),
        writes(ItemsWrong, |header| vec![format!("{header},mchid=\"{MCHID}\"")]),
        // Who it is.
        case(UnknownMerchant, Made { mchid: "1900000999", serial: "00".to_owned(), ..Made::right() }).also(&[OtherMerchantKey]),
        case(MerchantMismatch, Made { mchid: OTHER, ..Made::right() }),
        case(MerchantMismatch, Made { serial: OTHER_SERIAL.to_owned(), key: OTHER_KEY, ..Made::right() }),
        case(MerchantMismatch, Made { mchid: "1900000999", ..Made::right() }),
        case(PlatformSerial, with_serial(PLATFORM_SERIAL)),
        case(PlatformSerial, with_serial(PUBLIC_KEY_ID)),
        case(PlatformSerial, with_serial("PUB_KEY_ID_99")),
        case(SerialCase, with_serial(&SERIAL.to_lowercase())),
        case(SerialCase, with_serial("A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D")),
        case(OtherSerial, with_serial("57335934534502")),
        // A brand, and what is half a brand.
        writes(BrandOrMerchant, |header| vec![header.replace("WECHATPAY2-", "WECHATPAY-BRAND-")]),
        writes(BrandOrMerchant, |header| vec![header.replace("mchid=", "brand_id=")]).also(&[MerchantMismatch]),
        brands(BrandOrMerchant, Made { target: TARGET.to_owned(), ..of_brand() }),
        case(BrandOrMerchant, Made { target: of_brand().target, ..Made::right() }),
        brands(UnknownBrand, Made { mchid: "999", serial: "00".to_owned(), ..of_brand() }).also(&[OtherMerchantKey]),
        brands(MerchantMismatch, Made { serial: SERIAL.to_owned(), key: OWN_KEY, ..of_brand() }),
        brands(MerchantMismatch, Made { mchid: MCHID, ..of_brand() }),
        brands(OtherSerial, Made { serial: "57335934534502".to_owned(), ..of_brand() }),
        brands(OtherMerchantKey, Made { key: OWN_KEY, ..of_brand() }),
        case(OtherMerchantKey, with_key(BRAND_KEY)),
        Case { message: |made| replaced(made, "/brand/", "/"), ..brands(PathPrefix, of_brand()) },
        Case { message: |made| replaced(made, "/100/", "/{product_coupon_id}/"), ..brands(PathTemplate, of_brand()) },
        // When.
        case(Milliseconds, at(NOW * 1000)),
        case(TimestampUnreadable, Made { timestamp: "2026-01-05T10:00:00+08:00".to_owned(), ..Made::right() }),
        case(Stale, at(NOW - 301)),
        case(Ahead, at(NOW + 8 * 3600)),
        case(NonceTooLong, Made { nonce: "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789", ..Made::right() }),
        // How the signature is written.
        encodes(Base64Url, |signature| URL_SAFE.encode(signature).replacen(char::is_alphabetic, "A", 0)),
        encodes(Base64Unpadded, |signature| STANDARD_NO_PAD.encode(signature)),
        encodes(Base64Twice, |signature| STANDARD.encode(STANDARD.encode(signature))),
        encodes(HexSignature, hex),
        encodes(HexSignature, |signature| STANDARD.encode(hex(signature))),
        encodes(UrlEncodedSignature, |signature| STANDARD.encode(signature).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")),
        encodes(SignatureMalformed, |_| "this is !!! not base64".to_owned()).lost(),
        encodes(SignatureLength, |signature| STANDARD.encode(&signature[..200])).lost(),
        Case { message: Made::message, encode: STANDARD_ENCODE, ..case(SignatureLength, with_key("crypto/rsa4096.key.pem")) }.lost(),
        // Not RSA.
        Case { ..case(Hmac, Made { key: "", ..Made::right() }) },
        Case { encode: hex, ..case(Hmac, Made { key: "", ..Made::right() }) },
        // With what it was made.
        case(OtherMerchantKey, with_key(OTHER_KEY)),
        case(PlatformKey, with_key(PLATFORM_KEY)),
        case(UnknownKey, with_key(NOBODYS_KEY)).lost(),
        case(OtherDigest, with_options(&["-sha1"])),
        case(OtherDigest, with_options(&["-sha512"])),
        case(OtherDigest, with_options(&["-sha384"])),
        case(OtherDigest, with_options(&["-md5"])).lost(),
        case(NoDigestInfo, with_options(&["bare"])),
        case(Pss, with_options(&["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"])),
        case(Pss, with_options(&["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:20"])),
        signs(HashedTwice, |made| openssl(&["dgst", "-sha256", "-binary"], &made.message())),
        signs(HashedTwice, |made| hex(&openssl(&["dgst", "-sha256", "-binary"], &made.message())).into_bytes()),
        // The lines.
        signs(FinalNewline, |made| made.message()[..made.message().len() - 1].to_vec()),
        Case { message: |made| made.message()[..made.message().len() - 1].to_vec(), ..case(EmptyLine, Made::empty()) },
        Case { message: |made| made.message()[..made.message().len() - 2].to_vec(), ..case(EmptyLine, Made::empty()) },
        Case { message: |made| [made.message(), b"\n".to_vec()].concat(), ..case(ExtraNewline, Made::empty()) },
        // A line feed behind a body may be the body's.
        signs(BodyWhitespace, |made| [made.message(), b"\n".to_vec()].concat()),
        Case { message: |made| String::from_utf8(made.message()).unwrap().replace('\n', "\r\n").into_bytes(), ..case(Crlf, Made::empty()) },
        signs(LiteralNewlines, |made| String::from_utf8(made.message()).unwrap().replace('\n', "\\n").into_bytes()),
        signs(Separators, |made| String::from_utf8(made.message()).unwrap().replace('\n', "").into_bytes()),
        signs(LineOrder, |made| replaced(made, &format!("{}\n{}", made.timestamp, made.nonce), &format!("{}\n{}", made.nonce, made.timestamp))),
        signs(LineOrder, |made| replaced(made, &format!("POST\n{TARGET}"), &format!("{TARGET}\nPOST"))),
        signs(LineMissing, |made| replaced(made, "POST\n", "")),
        signs(LineMissing, |made| replaced(made, "Nonce-0aB\n", "")),
        signs(ReplyMessage, |made| replaced(made, &format!("POST\n{TARGET}\n"), "")),
        // Method and target.
        signs(MethodCase, |made| replaced(made, "POST", "post")),
        signs(MethodCase, |made| replaced(made, "POST", "Post")),
        signs(OtherMethod, |made| replaced(made, "POST", "GET")),
        signs(HostIncluded, |made| replaced(made, "/v3", "https://api.mch.weixin.qq.com/v3")),
        signs(HostIncluded, |made| replaced(made, "/v3", "http://127.0.0.1:8080/v3")),
        signs(HostIncluded, |made| replaced(made, "/v3", "api.mch.weixin.qq.com/v3")),
        signs(PathTemplate, |made| replaced(made, "o%2BX", "{openid}")),
        signs(PathPrefix, |made| replaced(made, "/v3/", "v3/")),
        signs(PathPrefix, |made| replaced(made, "/v3/", "/")),
        signs(TrailingSlash, |made| replaced(made, "coupons?", "coupons/?")),
        signs(PathEncoding, |made| replaced(made, "o%2BX", "o+X")),
        signs(PathEncoding, |made| replaced(made, "o%2BX", "o%2bX")),
        signs(PathEncoding, |made| replaced(made, "o%2BX/coupons?b=%E4%BB%A3+x&a=1%2F2", "o+X/coupons?b=代 x&a=1/2")),
        signs(QueryLeftOut, |made| replaced(made, "?b=%E4%BB%A3+x&a=1%2F2", "")),
        signs(QueryLeftOut, |made| replaced(made, "b=%E4%BB%A3+x&a=1%2F2", "")),
        signs(QueryEncoding, |made| replaced(made, "b=%E4%BB%A3+x&a=1%2F2", "b=代+x&a=1/2")),
        signs(QueryEncoding, |made| replaced(made, "b=%E4%BB%A3+x&a=1%2F2", "b=%E4%BB%A3%2Bx&a=1%2F2")),
        signs(QueryEncoding, |made| replaced(made, "b=%E4%BB%A3+x&a=1%2F2", "b=%E4%BB%A3+x&a=1/2")),
        signs(QueryEncoding, |made| replaced(made, "b=%E4%BB%A3+x&a=1%2F2", "b=%25E4%25BB%25A3+x&a=1%252F2")),
        signs(QueryOrder, |made| replaced(made, "b=%E4%BB%A3+x&a=1%2F2", "a=1%2F2&b=%E4%BB%A3+x")),
        // The body. Each text was printed by the library.
        signs(BodyLeftOut, |made| made.with("")),
        signs(BodyReserialised, |made| made.with(JAVASCRIPT_2)),
        signs(BodyReserialised, |made| made.with(PYTHON)),
        signs(BodyReserialised, |made| made.with(PYTHON_SORTED)),
        signs(BodyReserialised, |made| made.with(PYTHON_4)),
        signs(BodyReserialised, |made| made.with(PHP)),
        signs(BodyReserialised, |made| made.with(GO)),
        Case { message: |made| made.with(BODY), ..case(BodyReserialised, Made { body: PYTHON.into(), ..Made::right() }) },
        Case { message: |made| made.with(BODY), ..case(BodyReserialised, Made { body: PHP.into(), ..Made::right() }) },
        Case { message: |made| made.with("stock_id=98065001&count=5"), ..case(BodyAsForm, flat()) },
        signs(BodyQuoted, |made| made.with(&format!("{BODY:?}").replace("\\\\n", "\\\\n"))),
        signs(BodyWhitespace, |made| made.with(&format!("\u{feff}{BODY}"))),
        Case { message: |made| made.with(BODY), ..case(BodyWhitespace, Made { body: format!("{BODY}\n").into(), ..Made::right() }) },
        Case { message: |made| made.with(JAVASCRIPT_2), ..case(BodyWhitespace, Made { body: JAVASCRIPT_2.replace('\n', "\r\n").into(), ..Made::right() }) },
        signs(BodyCharset, |made| made.with(&BODY.replace('代', "?"))),
        signs(BodyCharset, |made| made.with(&BODY.replace('代', "\u{e4}\u{bb}\u{a3}"))),
        Case { message: |made| made.with("{}"), ..case(BodyOfGet, Made::empty()) },
        Case { message: |made| made.with("null"), ..case(BodyOfGet, Made::empty()) },
        case(MultipartBody, multipart()),
        Case { message: |made| made.with(""), ..case(MultipartBody, multipart()) },
        // The stamps.
        signs(OtherTimestamp, |made| replaced(made, &NOW.to_string(), &format!("{NOW}000"))),
        signs(OtherTimestamp, |made| replaced(made, &NOW.to_string(), &format!("{NOW}417"))),
        signs(OtherTimestamp, |made| replaced(made, &NOW.to_string(), &(NOW + 1).to_string())),
        signs(OtherNonce, |made| replaced(made, "Nonce-0aB", "NONCE-0AB")),
        signs(OtherMessage, |made| made.with("{\"quite\":\"another\"}")).lost(),
        // Two at once.
        signs(FinalNewline, |made| { let message = made.with(PYTHON); message[..message.len() - 1].to_vec() }).also(&[BodyReserialised]),
        signs(QueryLeftOut, |made| { let short = Made { target: TARGET.split('?').next().unwrap().to_owned(), ..Made::right() }; let _ = made; short.with(PHP) }).also(&[BodyReserialised]),
        Case { message: |made| made.with(PYTHON), ..case(OtherMerchantKey, with_key(OTHER_KEY)) }.also(&[BodyReserialised]),
        Case { message: |made| made.with(""), ..case(Stale, at(NOW - 1000)) }.also(&[BodyLeftOut]),
    ]
}

const STANDARD_ENCODE: fn(&[u8]) -> String = |signature| STANDARD.encode(signature);
/// `JSON.stringify(body, null, 2)`
const JAVASCRIPT_2: &str =
    "{\n  \"b\": \"代/<\",\n  \"a\": [\n    1,\n    {\n      \"c\": true\n    }\n  ],\n  \"d\": \"x\\ny\"\n}";
/// `json.dumps(body)`
const PYTHON: &str = "{\"b\": \"\\u4ee3/<\", \"a\": [1, {\"c\": true}], \"d\": \"x\\ny\"}";
/// `json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))`
const PYTHON_SORTED: &str = "{\"a\":[1,{\"c\":true}],\"b\":\"代/<\",\"d\":\"x\\ny\"}";
/// `json.dumps(body, indent=4)`
const PYTHON_4: &str = "{\n    \"b\": \"\\u4ee3/<\",\n    \"a\": [\n        1,\n        {\n            \"c\": true\n        }\n    ],\n    \"d\": \"x\\ny\"\n}";
/// `json_encode($body)`
const PHP: &str = "{\"b\":\"\\u4ee3\\/<\",\"a\":[1,{\"c\":true}],\"d\":\"x\\ny\"}";
/// `json.Marshal(body)` of a map
const GO: &str = "{\"a\":[1,{\"c\":true}],\"b\":\"代/\\u003c\",\"d\":\"x\\ny\"}";

impl Case {
    /// The message that was signed is not found.
    fn lost(self) -> Self {
        Self { found: false, ..self }
    }

    fn also(self, also: &'static [Cause]) -> Self {
        Self { also, ..self }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let made = &self.made;
        if self.cause == Cause::Hmac {
            return openssl(&["dgst", "-sha256", "-hmac", APIV3_KEY, "-binary"], message);
        }
        if made.options == ["bare"] {
            let digest = openssl(&["dgst", "-sha256", "-binary"], message);
            let key = fixture(made.key);
            return openssl(&["pkeyutl", "-sign", "-inkey", key.to_str().unwrap()], &digest);
        }
        made.signature(message)
    }
}

#[test]
fn each_cause_is_recognised() {
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for (index, case) in cases().into_iter().enumerate() {
        let message = (case.message)(&case.made);
        let header = case.made.header(&(case.encode)(&case.sign(&message)));
        let name = format!("case {index}, {}", case.cause);
        let Some(explanation) = case.made.ask(&(case.header)(header)) else {
            wrong.push(format!("{name}: taken for right"));
            continue;
        };
        seen.insert(explanation.cause);
        if (explanation.cause, explanation.also.as_slice()) != (case.cause, case.also) {
            wrong.push(format!("{name}: {} also {:?}: {}", explanation.cause, explanation.also, explanation.says));
        }
        // The right message, put together here and not there.
        let right =
            if case.made.content_type.starts_with("multipart") { case.made.with(META) } else { case.made.message() };
        if case.found || case.cause == Cause::UnknownKey {
            assert_eq!(explanation.expected, right, "{name}");
        }
        let hashed = explanation.cause == Cause::HashedTwice;
        match &explanation.received {
            Some(received) if case.found && !hashed && *received != message => {
                wrong.push(format!("{name}: {} was found", String::from_utf8_lossy(received)));
            }
            None if case.found => wrong.push(format!("{name}: the message was not found")),
            Some(_) if !case.found => wrong.push(format!("{name}: a message was found")),
            _ => {}
        }
        assert_eq!(
            explanation.first_difference.is_some(),
            explanation.received.is_some_and(|received| received != right),
            "{name}"
        );
        assert!(!explanation.says.contains(APIV3_KEY) && !explanation.advice.is_empty(), "{name}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let of_replies = replies().into_iter().map(|reply| reply.cause);
    seen.extend(of_replies);
    seen.insert(Cause::NonceReplayed); // Of the sandbox alone; see sandbox_api.rs.
    let all: BTreeSet<_> = Cause::ALL.iter().copied().collect();
    assert_eq!(all.difference(&seen).collect::<Vec<_>>(), Vec::<&Cause>::new(), "causes without a case");
    assert!(all.len() > 40, "{}", all.len());
}

#[test]
fn what_is_right_is_not_explained() {
    for made in [Made::right(), Made::empty(), at(NOW - 300), at(NOW + 300)] {
        let header = made.header(&STANDARD.encode(made.signature(&made.message())));
        assert_eq!(made.ask(&[header]), None);
    }
    let brand = of_brand();
    assert_eq!(brand.ask(&as_brand(brand.header(&STANDARD.encode(brand.signature(&brand.message()))))), None);
    let made = multipart();
    let header = made.header(&STANDARD.encode(made.signature(&made.with(META))));
    assert_eq!(made.ask(&[header]), None);
}

#[test]
fn what_is_said_to_be_signed_verifies_by_the_oracle() {
    let key = PublicKey::from_pem(&std::fs::read_to_string(fixture("crypto/rsa2048.cert.pem")).unwrap());
    let made = Made::right();
    let signature = made.signature(&made.with(PHP));
    let explanation = made.ask(&[made.header(&STANDARD.encode(&signature))]).unwrap();
    assert!(key.verifies(&explanation.received.unwrap(), &signature));
    assert!(!key.verifies(&explanation.expected, &signature));
    let difference = explanation.first_difference.unwrap();
    let at = made.message().iter().zip(made.with(PHP)).position(|(left, right)| *left != right).unwrap();
    assert_eq!((difference.at, difference.line), (at, 5));
    assert_eq!((&difference.expected[..16], &difference.received[..8]), ("\\xe4\\xbb\\xa3/<\",", "\\\\u4ee3\\"));
}

#[test]
fn an_explanation_is_structured_and_keeps_messages_out_of_debug() {
    let made = Made::right();
    let header = made.header(&STANDARD.encode(made.signature(&made.with(PHP))));
    let explanation = made.ask(&[header]).unwrap();
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["cause"], "body-reserialised");
    for key in ["says", "do", "expected", "received"] {
        assert!(json[key].as_str().is_some_and(|text| !text.is_empty()), "{key} in {json}");
    }
    assert!(json["first_difference"]["at"].is_u64(), "{json}");
    let debug = format!("{explanation:?} {explanation}");
    assert!(!debug.contains("o%2BX") && !debug.contains("4ee3"), "{debug}");
}

/// A reply as it arrives, and what was signed.
struct Arrived {
    cause: Cause,
    body: &'static str,
    /// The message that was signed, in place of the right one.
    message: fn(&str) -> String,
    key: &'static str,
    header: fn(&mut HeaderMap),
}

fn arrived(cause: Cause) -> Arrived {
    Arrived { cause, body: BODY, message: |right| right.to_owned(), key: PLATFORM_KEY, header: |_| {} }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
}

fn changed(headers: &mut HeaderMap, name: &'static str, change: impl Fn(&str) -> String) {
    let value = change(headers[name].to_str().unwrap());
    set(headers, name, &value);
}

fn replies() -> Vec<Arrived> {
    use Cause::*;
    vec![
        Arrived {
            header: |headers| {
                headers.remove("wechatpay-nonce");
            },
            ..arrived(SignatureHeaderMissing)
        },
        Arrived {
            header: |headers| {
                headers.append("wechatpay-serial", HeaderValue::from_static("1"));
            },
            ..arrived(SignatureHeaderRepeated)
        },
        Arrived {
            header: |headers| set(headers, "wechatpay-signature-type", "WECHATPAY2-SM2-WITH-SM3"),
            ..arrived(SignatureType)
        },
        Arrived {
            header: |headers| changed(headers, "wechatpay-signature", |value| format!("WECHATPAY/SIGNTEST/{value}")),
            ..arrived(Probe)
        },
        Arrived { header: |headers| set(headers, "wechatpay-serial", "PUB_KEY_ID_07"), ..arrived(SerialUnknown) },
        Arrived { header: |headers| set(headers, "wechatpay-serial", PLATFORM_SERIAL), ..arrived(PlatformKey) },
        Arrived { key: NOBODYS_KEY, ..arrived(UnknownKey) },
        Arrived { key: OWN_KEY, ..arrived(UnknownKey) },
        Arrived {
            header: |headers| changed(headers, "wechatpay-signature", |value| value.replace('+', " ")),
            ..arrived(UrlEncodedSignature)
        },
        Arrived { body: PYTHON, message: |right| right.replace(PYTHON, BODY), ..arrived(BodyReserialised) },
        Arrived { message: |right| right.replace(BODY, PYTHON_SORTED), ..arrived(BodyReserialised) },
        Arrived { body: "{}\n", message: |right| right.replace("{}\n", "{}"), ..arrived(BodyWhitespace) },
        Arrived {
            body: "",
            message: |right| format!("{}{{}}\n", right.trim_end_matches('\n').to_owned() + "\n"),
            ..arrived(BodyOfGet)
        },
        Arrived { message: |right| right.trim_end().to_owned(), ..arrived(FinalNewline) },
        Arrived { message: |_| "quite another".to_owned(), ..arrived(OtherMessage) },
    ]
}

fn headers(signature: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    set(&mut headers, "wechatpay-timestamp", &NOW.to_string());
    set(&mut headers, "wechatpay-nonce", "nonce");
    set(&mut headers, "wechatpay-serial", PUBLIC_KEY_ID);
    set(&mut headers, "wechatpay-signature", &STANDARD.encode(signature));
    set(&mut headers, "wechatpay-signature-type", "WECHATPAY2-SHA256-RSA2048");
    headers
}

#[test]
fn replies_are_explained_too() {
    let clock = |now| Some(Clock { now, window: 300 });
    for (index, reply) in replies().into_iter().enumerate() {
        let right = format!("{NOW}\nnonce\n{}\n", reply.body);
        let mut headers = headers(&signed(reply.key, &["-sha256"], (reply.message)(&right).as_bytes()));
        (reply.header)(&mut headers);
        let explanation =
            explain::reply(&headers, reply.body.as_bytes(), &known(), clock(NOW)).expect("an explanation");
        assert_eq!(explanation.cause, reply.cause, "reply {index}: {explanation}");
    }
    let mut headers = headers(&signed(PLATFORM_KEY, &["-sha256"], format!("{NOW}\nnonce\n{BODY}\n").as_bytes()));
    for scheme in ["WECHATPAY2-SHA256-RSA2048", "WECHATPAY-BRAND-SHA256-RSA2048"] {
        set(&mut headers, "wechatpay-signature-type", scheme);
        let cause =
            |now| explain::reply(&headers, BODY.as_bytes(), &known(), clock(now)).map(|explanation| explanation.cause);
        assert_eq!((cause(NOW), cause(NOW + 301), cause(NOW - 301)), (None, Some(Cause::Stale), Some(Cause::Ahead)));
    }
}
