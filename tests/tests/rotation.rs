//! The platform changes its certificate while calls are under way: none of them fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use wechatpay_hyper::Hyper;
use wechatpay_model::certificates;
use wechatpay_protocol::crypto::aws_lc::{ApiV3Key, VerifyingKey};
use wechatpay_protocol::{Certificates, Client, RefreshError};
use wechatpay_sandbox::Sandbox;
use wechatpay_tests::road::{base, client, merchant};

const ROTATIONS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_rotations_under_load_fail_no_call() {
    let sandbox = Arc::new(Sandbox::start().await.expect("a sandbox"));
    let credentials = sandbox.merchant();
    let opener = ApiV3Key::new(&credentials.apiv3_key).expect("32 bytes");
    let trust = Arc::new(Certificates::new(opener, VerifyingKey::from_certificate));
    let client = Client::new(Hyper::new(), merchant(&credentials), Arc::clone(&trust)).with_base_url(base(&sandbox));

    // The first call knows no certificate at all: its answer waits for the download and is believed then.
    let (done, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (client, done, calls) = (client.clone(), Arc::clone(&done), Arc::clone(&calls));
            tokio::spawn(async move {
                while !done.load(Ordering::SeqCst) {
                    let reply = client.send(&certificates::List::builder().build()).await;
                    reply.unwrap_or_else(|error| panic!("after {} calls: {error}", calls.load(Ordering::SeqCst)));
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for _ in 0..ROTATIONS {
        let there = Arc::clone(&sandbox);
        let serial = tokio::task::spawn_blocking(move || there.rotate()).await.expect("no panic").expect("a key");
        // The next rotation comes once a call has met this one.
        while !trust.serials().contains(&serial) && !callers.iter().any(tokio::task::JoinHandle::is_finished) {
            tokio::task::yield_now().await;
        }
    }
    done.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await.expect("no call failed");
    }
    assert!(calls.load(Ordering::SeqCst) >= ROTATIONS, "{calls:?}");
}

#[tokio::test]
async fn a_merchant_with_public_keys_only_is_no_error() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let settings = sandbox.settings().with(&serde_json::json!({ "certificates": false })).expect("a setting");
    sandbox.set_settings(settings);
    let credentials = sandbox.merchant();
    let opener = ApiV3Key::new(&credentials.apiv3_key).expect("32 bytes");
    let public = VerifyingKey::from_public_key_pem(&credentials.public_key_pem).expect("a key");
    let trust = Certificates::new(opener, VerifyingKey::from_certificate)
        .with_public_key(credentials.public_key_id.as_str(), public);
    let client = Client::new(Hyper::new(), merchant(&credentials), trust).with_base_url(base(&sandbox));
    assert!(client.refresh_certificates().await.expect("not fatal").none);
    // It is asked once a day, not at every call.
    assert!(matches!(client.refresh_certificates().await, Err(RefreshError::NotNow)));
}

#[tokio::test]
async fn a_fixed_set_of_keys_has_nothing_to_refresh() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let outcome = client(&sandbox, Hyper::new()).refresh_certificates().await;
    assert!(matches!(outcome, Err(RefreshError::Fixed)));
}
