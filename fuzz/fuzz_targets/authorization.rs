//! The header `Authorization` as the sandbox reads it: a line of header, the rest is the body that was signed. Where the
//! signature is `@`, the right one is put there. What is accepted is compared with a reading in another way.
//!
//! The reader is a private module of the sandbox, so it is taken in here, with keys that anybody can sign with.

#![no_main]
#![allow(dead_code, unreachable_pub, reason = "the sandbox uses more of it")]

#[path = "../../crates/wechatpay-sandbox/src/authorize.rs"]
mod authorize;

mod keys {
    pub(crate) struct Merchant {
        pub(crate) mchid: String,
        pub(crate) brand: bool,
        pub(crate) serial_no: String,
    }

    impl Merchant {
        pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
            signature == wechatpay_fuzz::sign(message).repeat(8)
        }
    }

    pub(crate) struct Keys {
        pub(crate) merchant: Merchant,
        pub(crate) brand: Merchant,
    }

    impl Keys {
        pub(crate) fn merchant(&self, mchid: &str) -> Option<&Merchant> {
            Some(&self.merchant).filter(|merchant| merchant.mchid == mchid)
        }

        pub(crate) fn brand(&self, mchid: &str) -> Option<&Merchant> {
            Some(&self.brand).filter(|brand| brand.mchid == mchid)
        }
    }
}

use authorize::{Signed, Window, authorize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};
use keys::{Keys, Merchant};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use wechatpay_fuzz::{NOW, first_line, sign};

fuzz_target!(|input: &[u8]| {
    let Some((header, body)) = first_line(input) else { return };
    let naive = Naive::read(header);
    let message = |naive: &Naive| {
        let item = |name: &str| naive.items.get(name).cloned().unwrap_or_default();
        [b"POST\n/v3/x?y=1\n", item("timestamp").as_bytes(), b"\n", item("nonce_str").as_bytes(), b"\n", body, b"\n"]
            .concat()
    };
    let mut header = header.to_owned();
    if let Some(naive) = naive.as_ref().filter(|naive| naive.items.get("signature").is_some_and(|text| text == "@")) {
        let signature = STANDARD.encode(sign(&message(naive)).repeat(8));
        header = header.replacen("signature=\"@\"", &format!("signature=\"{signature}\""), 1);
    }
    let Ok(value) = HeaderValue::from_str(&header) else { return };
    let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, value)]);
    let merchant = |mchid: &str, brand| Merchant { mchid: mchid.to_owned(), brand, serial_no: "AB12".to_owned() };
    let keys = Keys { merchant: merchant("1900000001", false), brand: merchant("120344", true) };
    let signed = Signed { method: "POST", target: "/v3/x?y=1", body };
    let outcome = authorize(&keys, &headers, signed, Window { now: NOW, seconds: 300 });
    let naive = Naive::read(&header).filter(|naive| naive.is_right(&message(naive)));
    match outcome {
        Ok(caller) => {
            let naive = naive.expect("accepted, so it is in order");
            assert_eq!(caller.nonce, naive.items["nonce_str"]);
            assert_eq!(caller.timestamp.to_string(), naive.items["timestamp"].trim_start_matches('0'));
            assert_eq!(caller.merchant.brand, naive.brand);
        }
        Err(refused) => {
            assert!(naive.is_none(), "{refused:?}: {header}");
            assert!(!refused.reason.to_string().is_empty() && refused.message.ends_with(b"\n"));
        }
    }
});

/// The header, read character by character.
struct Naive {
    brand: bool,
    items: BTreeMap<String, String>,
}

impl Naive {
    fn read(header: &str) -> Option<Self> {
        // Other characters cannot stand in a header, or are no text there.
        if !header.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
            return None;
        }
        let (scheme, rest) = header.split_once(' ')?;
        let brand = match scheme {
            "WECHATPAY2-SHA256-RSA2048" => false,
            "WECHATPAY-BRAND-SHA256-RSA2048" => true,
            _ => return None,
        };
        let mut items = BTreeMap::new();
        let mut left = rest.trim().chars().peekable();
        loop {
            let mut name = String::new();
            while left.peek().is_some_and(|c| *c != '=') {
                name.extend(left.next());
            }
            if left.next() != Some('=') || left.next() != Some('"') {
                return None;
            }
            let mut value = String::new();
            loop {
                match left.next()? {
                    '"' => break,
                    c => value.push(c),
                }
            }
            if value.is_empty() || items.insert(name, value).is_some() {
                return None;
            }
            while left.next_if(|c| c.is_whitespace()).is_some() {}
            match left.next() {
                None => break,
                Some(',') => while left.next_if(|c| c.is_whitespace()).is_some() {},
                Some(_) => return None,
            }
        }
        Some(Self { brand, items })
    }

    fn is_right(&self, message: &[u8]) -> bool {
        let (caller, id) = if self.brand { ("brand_id", "120344") } else { ("mchid", "1900000001") };
        let names = [caller, "nonce_str", "serial_no", "signature", "timestamp"];
        let mut found: Vec<_> = self.items.keys().map(String::as_str).collect();
        found.sort_unstable();
        let item = |name: &str| self.items.get(name).map(String::as_str).unwrap_or_default();
        let time = item("timestamp");
        let in_time = time.bytes().all(|byte| byte.is_ascii_digit())
            && time.parse::<i64>().is_ok_and(|time| (time - NOW).abs() <= 300);
        found == names
            && item(caller) == id
            && item("serial_no") == "AB12"
            && in_time
            && item("nonce_str").len() <= 128
            && item("signature") == STANDARD.encode(sign(message).repeat(8))
    }
}
