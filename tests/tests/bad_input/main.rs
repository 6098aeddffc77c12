//! Bad input of every kind, in every place that takes input: the cases are data, in `fixtures/bad_input` and in the examples
//! of the schemas. Each ends in a typed error that says what is wrong, or in a documented answer; nothing panics.
//!
//! Every test counts its cases and prints the number; together they are far more than the two thousand that
//! [`AT_LEAST`] demands of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod answers;
mod files;
mod headers;
mod keys;
mod strings;
mod wire;

use serde_json::Value;
use std::path::PathBuf;
use wechatpay_protocol::Trust;
use wechatpay_protocol::crypto::VerifyingKey;

/// Fewest cases of each test: the sum is what this corpus promises.
const AT_LEAST: [(&str, usize); 9] = [
    ("texts that are no JSON, or no object, as answers", 10_000),
    ("examples with a value of the wrong kind, as answers", 10_000),
    ("texts as refusals, notifications, certificates", 700),
    ("headers", 400),
    ("keys", 1_000),
    ("files of codes", 1_300),
    ("strings in all fields of all requests", 50_000),
    ("bodies and headers to the sandbox", 240),
    ("strings past the check to the sandbox", 1_000),
];

/// Notes how many cases a test had.
fn counted(test: &str, cases: usize) {
    let (_, least) = AT_LEAST.iter().find(|(name, _)| *name == test).expect("a test that is promised");
    println!("{test}: {cases} cases");
    assert!(cases >= *least, "{test}: {cases} cases of {least}");
}

#[test]
fn the_corpus_is_as_large_as_it_promises() {
    assert!(AT_LEAST.iter().map(|(_, least)| least).sum::<usize>() >= 2000);
}

/// The text of a file of the corpus.
fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/bad_input").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of such a file but for its comments.
fn lines(name: &str) -> Vec<String> {
    fixture(name).split('\n').filter(|line| !line.starts_with("# ") && !line.is_empty()).map(str::to_owned).collect()
}

/// All naughty strings: those that are well known, and our own.
fn naughty() -> Vec<String> {
    let read = |name| serde_json::from_str::<Vec<String>>(&fixture(name)).expect("a list of strings");
    let mut all = read("blns.json");
    all.extend(read("strings.json"));
    all.sort();
    all.dedup();
    assert!(all.len() > 600);
    all
}

/// The time by which everything is judged that is not sent over a wire.
const NOW: i64 = 1_784_000_000;
const SERIAL: &str = "PUB_KEY_ID_1";
const SIGNATURE_HEADERS: [&str; 4] =
    ["Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Signature", "Wechatpay-Serial"];

/// A key whose signature is a digest: what it signs is genuine, and quickly made.
#[derive(Clone, Copy)]
struct Seal;

impl VerifyingKey for Seal {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        signature == Self::sign(message)
    }
}

impl Seal {
    fn sign(message: &[u8]) -> Vec<u8> {
        use sha2::Digest as _;
        sha2::Sha256::digest(message).to_vec()
    }
}

fn trust() -> Trust {
    Trust::new().with_public_key(SERIAL, Seal)
}

/// The headers of a genuine message with this body.
fn signed(body: &[u8]) -> http::HeaderMap {
    use base64::Engine as _;
    let message = wechatpay_protocol::response::message(&NOW.to_string(), "c5ac7061", body);
    let signature = base64::engine::general_purpose::STANDARD.encode(Seal::sign(&message));
    let values = [&*NOW.to_string(), "c5ac7061", &signature, SERIAL].map(|value| value.parse().expect("a value"));
    SIGNATURE_HEADERS.iter().map(|name| name.parse().expect("a name")).zip(values).collect()
}

/// Each place of a value that holds something, itself not among them; of a list the first item only.
fn places(value: &Value) -> Vec<String> {
    fn walk(value: &Value, pointer: &str, found: &mut Vec<String>) {
        let mut below = |name: &str, value: &Value| {
            let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            found.push(pointer.clone());
            walk(value, &pointer, found);
        };
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| below(name, value)),
            Value::Array(items) => items.iter().take(1).for_each(|value| below("0", value)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}
