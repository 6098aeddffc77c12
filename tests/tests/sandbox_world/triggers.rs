//! Events on request, in process.

use crate::till::{Act, Found, Till};
use serde_json::json;
use wechatpay_sandbox::Standing;
use wechatpay_tests::rehearsal::{MERCHANTS, Rehearsal};
use wechatpay_tests::road::public_key;

#[tokio::test]
async fn every_event_of_the_schemas_can_be_sent_and_changes_nothing() {
    let world = Rehearsal::start().await;
    let till = Till::open(&world.sandbox, public_key(&world.sandbox.merchant())).await;
    let before = world.sandbox.ledger();
    // An address that is set for all, and a delay, are for what happens.
    world.settings(json!({"notify_url": "http://127.0.0.1:1/", "notify_delay": 60}));
    for spec in wechatpay_model::notifications() {
        for name in [spec.event_type(), spec.id()] {
            let event = world.sandbox.trigger(&json!({"event": name, "to": till.url})).await.expect("sent");
            assert_eq!((event.standing, event.event_type), (Standing::Delivered, spec.event_type()));
            let taken = till.taken().pop().expect("it came");
            assert_eq!(taken.found, Found::New(event.id, spec.event_type().to_owned(), event.payload));
        }
    }
    assert_eq!(world.sandbox.ledger(), before);

    till.will([Act::Answer(500, "")]);
    let event = world.sandbox.trigger(&json!({"event": "COUPON.USE", "to": till.url})).await.expect("sent");
    assert_eq!((event.standing, event.attempts.len()), (Standing::Waiting, 1));
    world.advance(60);
    world.sandbox.settled().await;
    assert_eq!(world.sandbox.events().pop().expect("an event").standing, Standing::Delivered, "it comes again");

    let told = world.sandbox.trigger(&json!({"event": "COUPON.USE", "to": till.url, "mchid": MERCHANTS[1]})).await;
    assert_eq!(told.expect("sent").mchid, MERCHANTS[1]);
    let last = till.taken().pop().expect("it came");
    assert!(matches!(&last.found, Found::Wrong(why) if why.contains("does not open")), "sealed for another: {last:?}");
    let count = world.sandbox.events().len();
    for (wish, named) in [
        (json!({}), "missing field"),
        (json!({"event": "COUPON.FLY", "to": till.url}), "COUPON.SEND, COUPON.USE"),
        (json!({"event": "COUPON.USE", "to": "http://merchant.example/"}), "loopback"),
        (json!({"event": "COUPON.USE", "to": till.url, "mchid": "1"}), "no merchant"),
        (json!({"event": "COUPON.USE", "to": till.url, "fields": {"coupon_id": 7}}), "/coupon_id"),
        (json!({"event": "COUPON.USE", "to": till.url, "field": {}}), "unknown field"),
    ] {
        let error = world.sandbox.trigger(&wish).await.expect_err(named);
        assert!(error.contains(named), "{named}: {error}");
    }
    assert_eq!(world.sandbox.events().len(), count);
}
