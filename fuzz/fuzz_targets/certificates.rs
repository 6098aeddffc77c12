//! The list of platform certificates, and a set that was kept: nothing changes unless all of it is believed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wechatpay_fuzz::{Message, NOW, NoSeal, OpenKey, SERIAL};
use wechatpay_protocol::certificates::MOST_CERTIFICATES;
use wechatpay_protocol::{Certificates, Verifier as _};

fn none() -> Certificates {
    Certificates::new(NoSeal, |_| Ok(OpenKey)).with_public_key(SERIAL, OpenKey)
}

fuzz_target!(|input: &[u8]| {
    let message = Message::read(input);
    let certificates = none();
    match certificates.accept(&message.headers, &message.body, NOW) {
        Ok(changed) => {
            assert!(message.is_genuine(&certificates));
            let serials = certificates.serials();
            assert!(serials.len() <= MOST_CERTIFICATES);
            let sorted = |mut serials: Vec<String>| {
                serials.sort();
                serials
            };
            assert_eq!(sorted(changed.added), sorted(serials.clone()));
            assert!(serials.iter().all(|serial| certificates.key(serial).is_some()));
            again(&certificates);
        }
        Err(error) => {
            assert!(certificates.serials().is_empty(), "{error}");
        }
    }
    let Ok(text) = std::str::from_utf8(&message.body) else { return };
    let imported = none();
    match imported.import(text, NOW) {
        Ok(_) => again(&imported),
        Err(error) => assert!(imported.serials().is_empty(), "{error}"),
    }
});

/// What is exported can be imported, and is the same.
fn again(certificates: &Certificates) {
    let text = certificates.export();
    let imported = none();
    imported.import(&text, NOW).expect("what was exported");
    assert_eq!(imported.serials(), certificates.serials());
    assert_eq!(imported.export(), text);
}
