//! Merchants that join while the sandbox runs, and those that trust one kind of key only.

use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use wechatpay_hyper::Hyper;
use wechatpay_model::Operation as _;
use wechatpay_model::certificates::List;
use wechatpay_protocol::{Client, Error};
use wechatpay_sandbox::{Clock, Sandbox};
use wechatpay_tests::road::{base, certificate, client, merchant, public_key};
use wechatpay_tests::stage::NOW;

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_joins_while_others_call() {
    let sandbox = Arc::new(Sandbox::start().await.expect("a sandbox"));
    let join = |mchid: &'static str| {
        let sandbox = Arc::clone(&sandbox);
        tokio::task::spawn_blocking(move || sandbox.add_merchant(mchid))
    };
    let credentials = join("1900000077").await.expect("no panic").expect("it joins");
    let joined =
        Client::new(Hyper::new(), merchant(&credentials), public_key(&credentials)).with_base_url(base(&sandbox));
    joined.send(&List::builder().build()).await.expect("it is known");
    assert_eq!(sandbox.last_request().expect("a request").mchid.as_deref(), Some("1900000077"));
    client(&sandbox, Hyper::new()).send(&List::builder().build()).await.expect("the first still is");

    for (mchid, named) in
        [("1900000077", "already"), ("1900000001", "already"), ("x", "no merchant id"), ("", "no merchant id")]
    {
        let error = join(mchid).await.expect("no panic").expect_err("it cannot join");
        assert!(error.contains(named), "{error}");
    }
    let (a, b) = tokio::join!(join("1900000078"), join("1900000078"));
    let done = [a, b].into_iter().filter(|joined| joined.as_ref().expect("no panic").is_ok()).count();
    assert_eq!(done, 1, "one of two at the same time");
}

/// Who joined is in the snapshot, and calls a sandbox that it is put back into with the same keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_brings_who_joined_along() {
    let (first, second) = (Sandbox::start().await.expect("a sandbox"), Sandbox::start().await.expect("a sandbox"));
    let credentials = first.add_merchant("1900000077").expect("it joins");
    let snapshot = first.snapshot().expect("it is taken");
    for _ in 0..2 {
        second.restore(&snapshot).expect("it is put back, and again");
    }
    assert_eq!(second.snapshot().expect("it is taken")["merchants"], snapshot["merchants"]);
    let trust = public_key(&second.merchant());
    let joined = Client::new(Hyper::new(), merchant(&credentials), trust).with_base_url(base(&second));
    let refused = joined.get("/v3/marketing/favor/stocks/1?stock_creator_mchid=1900000077").await;
    assert_eq!(refused.expect_err("no stock").status(), Some(404), "its signature is right");

    // Another of the same id, a key that is none: nothing is put back then, not even the clock.
    let third = Sandbox::builder().clock(Clock::Virtual(NOW)).start().await.expect("a sandbox");
    third.add_merchant("1900000077").expect("it joins");
    let mut broken = snapshot.clone();
    broken["merchants"][0]["mchid"] = "1900000078".into();
    broken["merchants"][0]["files"]["apiv3_key"] = "short".into();
    let mut twice = snapshot.clone();
    twice["merchants"][0]["mchid"] = "1900000079".into();
    twice["merchants"].as_array_mut().expect("a list").extend_from_within(..);
    let joined = |sandbox: &Sandbox| sandbox.snapshot().expect("it is taken")["merchants"].take();
    let before = joined(&third);
    for (snapshot, why) in [(&snapshot, "other keys here"), (&broken, "not 32 bytes"), (&twice, "1900000079 twice")] {
        let error = third.restore(snapshot).expect_err(why);
        assert!(error.contains(why) && third.now() == NOW, "{error}");
        assert_eq!(joined(&third), before, "{why}");
    }
}

/// A merchant that has the public key only, one that has certificates only, and one in the middle of its migration.
#[tokio::test]
async fn each_kind_of_trust_is_served() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let credentials = sandbox.merchant();
    let change = |changes| sandbox.set_settings(sandbox.settings().with(&changes).expect("settings"));
    let with = |trust: wechatpay_protocol::Trust| {
        Client::new(Hyper::new(), merchant(&credentials), trust).with_base_url(base(&sandbox))
    };
    let list = List::builder().build();

    change(json!({"certificates": false}));
    let refused = with(public_key(&credentials)).send(&list).await;
    let Err(Error::Api(refusal)) = refused else { panic!("{refused:?}") };
    assert_eq!((refusal.status, refusal.code.as_str(), refusal.authenticated), (404, "RESOURCE_NOT_EXISTS", true));
    assert_eq!(sandbox.last_request().expect("a request").operation, Some(List::SPEC.id()));

    change(json!({"certificates": true, "sign_with": "certificate"}));
    with(certificate(&credentials)).send(&list).await.expect("signed with the certificate");

    change(json!({"sign_with": "both"}));
    let key = wechatpay_protocol::crypto::aws_lc::VerifyingKey::from_public_key_pem(&credentials.public_key_pem);
    let both = certificate(&credentials).with_public_key(credentials.public_key_id.as_str(), key.expect("a key"));
    let (both, only) = (with(both), with(certificate(&credentials)));
    let (mut serials, mut unknown) = (BTreeSet::new(), 0);
    for _ in 0..20 {
        let reply = both.get("/v3/marketing/favor/callbacks?mchid=1900000001").await;
        let Err(Error::Api(refusal)) = reply else { panic!("{reply:?}") };
        assert!(refusal.authenticated, "both are believed");
        let reply = only.get("/v3/marketing/favor/callbacks?mchid=1900000001").await;
        unknown += usize::from(matches!(reply, Err(Error::Unverified(_))));
        serials.insert(unknown > 0);
    }
    assert!((1..20).contains(&unknown), "now one, now the other, whatever the client knows: {unknown}");
}

#[tokio::test]
async fn probes_come_in_answers_at_the_rate_that_is_set() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let change = |changes| sandbox.set_settings(sandbox.settings().with(&changes).expect("settings"));
    let client = client(&sandbox, Hyper::new());
    change(json!({"probes_in_answers": 300}));
    let mut probes = 0;
    for _ in 0..40 {
        let reply = client.send(&List::builder().build()).await;
        let probe = sandbox.last_request().expect("a request").fault.as_deref() == Some("probe");
        match reply {
            Ok(_) => assert!(!probe),
            Err(Error::Unverified(unverified)) => {
                assert!(probe && unverified.reason == wechatpay_protocol::UnverifiedReason::Probe, "{unverified:?}");
                probes += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!((4..=24).contains(&probes), "{probes}");
}
