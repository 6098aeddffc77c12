//! Ten thousand genuine messages are believed and twenty thousand changed ones are not; both providers agree on each.
//!
//! Every envelope is taken twice: as the answer of a call and as a notification. A mutation is one bit that changes what
//! the message says: of the body, of a header's value, or of the signature, in its text or once it is decoded. The names
//! of headers are left alone, since HTTP does not care about their case; a bit that no header value can hold is passed
//! over, since HTTP itself refuses it. Base64 has no second spelling here: bits behind its end and a missing padding are
//! refused, so every bit of the signature's text counts.

#![cfg(all(feature = "aws-lc-rs", feature = "rsa"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod platform;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use platform::{Message, OLD, PUBLIC_KEY_ID, apiv3_key, certificate, seal, signer};
use serde_json::json;
use std::collections::BTreeMap;
use wechatpay_protocol::crypto::{aws_lc, rsa};
use wechatpay_protocol::notification::{NotificationError, Received, Receiver, Unguarded};
use wechatpay_protocol::response::{TOLERANCE, receive};
use wechatpay_protocol::{Error, Trust, UnverifiedReason};

const NOW: i64 = 1_784_000_000;
const COUNT: u64 = 10_000;
const HANDS: u64 = 4;

/// Where a mutation strikes.
const PARTS: [&str; 6] =
    ["body", "wechatpay-timestamp", "wechatpay-nonce", "wechatpay-signature", "wechatpay-serial", "signature, decoded"];

/// Chance that is the same in every run: splitmix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % below as u64).unwrap()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next(256) as u8).collect()
    }
}

/// One provider: what it makes of an answer, and of a notification.
struct Judge {
    trust: Trust,
    receiver: Receiver,
}

impl Judge {
    fn both() -> [Self; 2] {
        let certificate = certificate("old");
        let aws = || aws_lc::VerifyingKey::from_certificate(&certificate).unwrap();
        let rsa = || rsa::VerifyingKey::from_certificate(&certificate).unwrap();
        [
            Trust::new().with_public_key(PUBLIC_KEY_ID, aws()).with_certificate(OLD, aws()),
            Trust::new().with_public_key(PUBLIC_KEY_ID, rsa()).with_certificate(OLD, rsa()),
        ]
        .map(|trust| {
            let receiver = Receiver::new(trust.clone(), apiv3_key()).with_replay_guard(Unguarded);
            Self { trust, receiver }
        })
    }

    fn answer(&self, message: &Message) -> Result<(), UnverifiedReason> {
        let body = Bytes::copy_from_slice(&message.body);
        match receive(None, StatusCode::OK, &message.headers, body, &self.trust, NOW) {
            Ok(verified) if verified.body == message.body => Ok(()),
            Err(Error::Unverified(unverified)) => Err(unverified.reason),
            other => panic!("{other:?}"),
        }
    }

    fn notification(&self, message: &Message) -> Result<(), UnverifiedReason> {
        match self.receiver.receive(&message.headers, &message.body, NOW) {
            Ok(Received::New(delivery)) if delivery.resource().starts_with(b"{\"n\":") => Ok(()),
            Err(NotificationError::Unverified(reason)) => Err(reason),
            other => panic!("{other:?}"),
        }
    }

    fn both_ways(&self, message: &Message) -> [Result<(), UnverifiedReason>; 2] {
        [self.answer(message), self.notification(message)]
    }
}

/// A genuine message: no two are alike in body, nonce and time.
fn genuine(number: u64, signer: &aws_lc::Signer, chance: &mut Chance) -> Message {
    let padding = chance.next(600);
    let resource = format!("{{\"n\":{number},\"padding\":\"{}\"}}", STANDARD.encode(chance.bytes(padding)));
    let nonce: [u8; 12] = std::array::from_fn(|_| b'a' + chance.next(26) as u8);
    let summary: String = ["核销", "\u{feff}", "\"\\\n", "", "é\u{301}", "🎫"][chance.next(6)].repeat(chance.next(4));
    let envelope = json!({
        "id": format!("EV-{number}"),
        "create_time": "2026-07-14T10:00:00+08:00",
        "event_type": "COUPON.USE",
        "summary": summary,
        "resource": {
            "algorithm": "AEAD_AES_256_GCM",
            "associated_data": "coupon",
            "nonce": std::str::from_utf8(&nonce).unwrap(),
            "ciphertext": seal(nonce, "coupon", resource.as_bytes()),
        },
    });
    let body =
        if number.is_multiple_of(2) { envelope.to_string() } else { serde_json::to_string_pretty(&envelope).unwrap() };
    let timestamp = NOW - TOLERANCE + i64::try_from(chance.next(601)).unwrap();
    let serial = if number.is_multiple_of(3) { OLD } else { PUBLIC_KEY_ID };
    let nonce: String = (0..1 + chance.next(64)).map(|_| char::from(b'0' + chance.next(10) as u8)).collect();
    Message::signed(signer, serial, timestamp, &nonce, body)
}

fn flip(bytes: &mut [u8], chance: &mut Chance) {
    let bit = chance.next(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
}

/// The message with one bit changed in this part.
fn mutate(message: &Message, part: &'static str, chance: &mut Chance) -> Message {
    let mut mutant = message.clone();
    match part {
        "body" => flip(&mut mutant.body, chance),
        "signature, decoded" => {
            let mut signature = STANDARD.decode(&message.headers["wechatpay-signature"]).unwrap();
            flip(&mut signature, chance);
            mutant.headers.insert("wechatpay-signature", STANDARD.encode(signature).parse().unwrap());
        }
        name => loop {
            let mut value = message.headers[name].as_bytes().to_vec();
            flip(&mut value, chance);
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                mutant.headers.insert(name, value);
                break;
            }
        },
    }
    mutant
}

/// Takes every message of one hand; how many mutants of each part there were, and how many of all reached the keys.
fn hand(hand: u64) -> (BTreeMap<&'static str, u64>, u64) {
    let (judges, signer, mut chance) = (Judge::both(), signer("old"), Chance(hand));
    let (mut struck, mut reached) = (BTreeMap::new(), 0);
    for number in (hand..COUNT).step_by(HANDS as usize) {
        let message = genuine(number, &signer, &mut chance);
        for judge in &judges {
            assert_eq!(judge.both_ways(&message), [Ok(()), Ok(())], "message {number}");
        }
        let part = PARTS[usize::try_from(number / HANDS).unwrap() % PARTS.len()];
        let mutant = mutate(&message, part, &mut chance);
        let [first, second] = judges.each_ref().map(|judge| judge.both_ways(&mutant));
        assert_eq!(first, second, "the providers disagree about {part} of message {number}");
        assert!(first.iter().all(Result::is_err), "{part} of message {number} is changed and believed");
        *struck.entry(part).or_insert(0) += 1;
        reached += u64::from(first[0] == Err(UnverifiedReason::Mismatch));
    }
    (struck, reached)
}

#[test]
fn p7_every_changed_message_is_refused_and_every_genuine_one_believed_by_both_providers() {
    let hands = std::thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS).map(|number| scope.spawn(move || hand(number))).collect();
        hands.into_iter().map(|hand| hand.join().expect("as asserted")).collect::<Vec<_>>()
    });
    let (mut struck, mut reached) = (BTreeMap::new(), 0);
    for (parts, count) in hands {
        parts.into_iter().for_each(|(part, count)| *struck.entry(part).or_insert(0u64) += count);
        reached += count;
    }
    assert_eq!(struck.values().sum::<u64>(), COUNT);
    assert!(PARTS.iter().all(|part| struck[part] >= COUNT / 7), "{struck:?}");
    assert!(reached >= COUNT / 2, "only {reached} mutants were left to the keys to refuse");
}
