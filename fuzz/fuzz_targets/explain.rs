//! Why a signature does not verify: the first line is the method, the second the target, then the message. The work is
//! bounded, and the two messages laid side by side lose no byte.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use wechatpay_fuzz::{Message, NOW, SERIAL, first_line};
use wechatpay_sandbox::explain::{Clock, Key, Known, Request, Whose, reply, request, side_by_side};

const CERTIFICATE: &str = include_str!("../../crates/wechatpay-protocol/tests/fixtures/trust/old.cert.pem");

static KNOWN: LazyLock<[Known; 2]> = LazyLock::new(|| {
    let known = |whose, serial: &str| Known {
        whose,
        serial: Some(serial.to_owned()),
        key: Key::from_pem(CERTIFICATE).expect("a key"),
        apiv3_key: Some("0123456789abcdefABCDEF-fixture-k".to_owned()),
    };
    [known(Whose::Merchant(Some("1900000001".to_owned())), "AB"), known(Whose::Platform, SERIAL)]
});

fuzz_target!(|input: &[u8]| {
    let Some((method, rest)) = first_line(input) else { return };
    let Some((target, rest)) = first_line(rest) else { return };
    let Message { headers, body } = Message::read(rest);
    let clock = Some(Clock { now: NOW, window: 300 });
    let asked = Request { method, target, headers: &headers, body: &body };
    let explained = request(&asked, &*KNOWN, clock).into_iter().chain(reply(&headers, &body, &*KNOWN, clock));
    for explanation in explained {
        assert!(!explanation.says.is_empty() && !explanation.advice.is_empty());
        let json = serde_json::to_string(&explanation).expect("JSON");
        assert!(json.contains("expected"));
    }
    let pairs = side_by_side(target.as_bytes(), &body);
    let join = |pick: fn(&wechatpay_sandbox::explain::Pair) -> &Option<wechatpay_sandbox::explain::Piece>| {
        let pieces = pairs.iter().filter_map(|pair| pick(pair).as_ref());
        pieces.map(|piece| format!("{}{}{}", piece.before, piece.differs, piece.after)).collect::<String>()
    };
    assert_eq!(join(|pair| &pair.expected).is_empty(), target.is_empty());
    assert_eq!(join(|pair| &pair.received).is_empty(), body.is_empty());
    assert_eq!(pairs.iter().all(|pair| pair.same()), target.as_bytes() == body);
});
