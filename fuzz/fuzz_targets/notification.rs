//! A notification: who is not genuine is not received, and an event that was processed is not new again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use wechatpay_fuzz::{Message, NOW, NoSeal, trust};
use wechatpay_protocol::notification::{Acknowledge, NotificationError, Received, Receiver};

fuzz_target!(|input: &[u8]| {
    let message = Message::read(input);
    let genuine = message.is_genuine(&trust());
    let receiver = Receiver::new(trust(), NoSeal);
    let receive = || receiver.receive(&message.headers, &message.body, NOW);
    match receive() {
        Ok(Received::New(delivery)) => {
            assert!(genuine);
            // A text that nobody reads need not be UTF-8.
            let text = String::from_utf8_lossy(&message.body);
            let envelope: Value = serde_json::from_str(&text).expect("what was received is JSON");
            assert_eq!(envelope["id"], delivery.id.as_str());
            assert_eq!(envelope["event_type"], delivery.event_type.as_str());
            assert_eq!(envelope["resource"]["algorithm"], "AEAD_AES_256_GCM");
            assert!((1..=128).contains(&delivery.id.len()));
            let read = serde_json::from_slice::<Value>(delivery.resource()).ok();
            assert_eq!(delivery.read::<Value>().ok(), read);
            assert!(matches!(delivery.failed("again"), Acknowledge::Failure { .. }));
            let Ok(Received::New(again)) = receive() else { panic!("what failed comes again") };
            assert_eq!(again.done(), Acknowledge::Success);
            assert!(matches!(receive(), Ok(Received::Duplicate(_))));
        }
        Ok(Received::Duplicate(_)) => panic!("nothing was received before"),
        Err(error) => {
            let unverified = matches!(error, NotificationError::Unverified(_));
            assert_eq!(unverified, !genuine, "{error}");
            assert!(!error.answer().into_response().status().is_success());
        }
    }
});
