//! Secrets that must not get out: everything is logged at TRACE while keys, codes and openids are in use, and then the log
//! is searched for them in every form.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use serde_json::json;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;
use wechatpay_hyper::Hyper;
use wechatpay_model::busifavor::UploadCouponCodes;
use wechatpay_model::favor::ListUserCoupons;
use wechatpay_protocol::retry::Sleep;
use wechatpay_protocol::{Client, Report, RetryPolicy};
use wechatpay_reqwest::Reqwest;
use wechatpay_sandbox::Sandbox;
use wechatpay_tests::leaks::{forms, pieces};
use wechatpay_tests::road::{WithHeader, base, client, merchant, public_key};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("unpoisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

const CODE: &str = "CANARY CODE/9=7";
const OPENID: &str = "oCanaryOpenid-6fdb_21";

#[test]
fn no_secret_reaches_the_log_an_error_or_a_debug() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).expect("the only one");
    let mut said = String::new();

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let sandbox = runtime.block_on(async {
        let sandbox = Sandbox::start().await.expect("a sandbox");
        let timer = |duration: Duration| -> Sleep { Box::pin(tokio::time::sleep(duration / 100)) };
        let upload = UploadCouponCodes::builder()
            .stock_id("98065001")
            .coupon_code_list(vec![CODE.into()])
            .upload_request_no("1")
            .build();
        let list =
            ListUserCoupons::builder().openid(OPENID).appid("wx233544546545989").creator_mchid("1900000001").build();
        for fault in [
            "none-of-these",
            "status-500",
            "status-429",
            "probe",
            "forge",
            "unsigned",
            "html-502",
            "lose-reply",
            "refuse",
            "truncate",
            "broken-chunk",
            "redirect",
            "deep-json",
        ] {
            let observer = |report: &Report<'_>| tracing::info!(?report, "an attempt");
            let one = client(&sandbox, WithHeader(Hyper::new(), "x-sandbox-fault", fault.to_owned()))
                .with_retry(RetryPolicy::default(), timer)
                .with_observer(observer);
            let two =
                client(&sandbox, WithHeader(Reqwest::new().expect("a client"), "x-sandbox-fault", fault.to_owned()));
            for outcome in [one.send(&upload).await.map(|_| ()), two.send(&upload).await.map(|_| ())] {
                said.push_str(&format!(
                    "{outcome:?} {}\n",
                    outcome.as_ref().err().map(ToString::to_string).unwrap_or_default()
                ));
            }
            let listed = one.send(&list).await.map(|_| ());
            said.push_str(&format!(
                "{listed:?} {}\n",
                listed.as_ref().err().map(ToString::to_string).unwrap_or_default()
            ));
            let raw = two.post("/v3/marketing/never/heard-of", &json!({ "openid": OPENID, "code": CODE })).await;
            said.push_str(&format!("{:?}\n", raw.map(|_| ())));
        }
        // What breaks the limits is described without being repeated.
        let long = CODE.repeat(3);
        let bad = UploadCouponCodes::builder()
            .stock_id("98065001")
            .coupon_code_list(vec![long.as_str().into(), "CANARY\tCODE".into()])
            .upload_request_no("x".repeat(200))
            .build();
        let plain = Client::new(Hyper::new(), merchant(&sandbox.merchant()), public_key(&sandbox.merchant()))
            .with_base_url(base(&sandbox));
        let error = plain.send(&bad).await.expect_err("invalid");
        said.push_str(&format!("{error:?} {error} {plain:?} {upload:?} {list:?} {bad:?}"));
        sandbox
    });
    let credentials = sandbox.merchant();
    said.push_str(&format!("{credentials:?} {:?}", merchant(&credentials)));
    let log = String::from_utf8_lossy(&log.0.lock().expect("unpoisoned")).into_owned();
    assert!(log.contains("busifavor.upload_coupon_codes") && log.contains("TRACE"), "the log is a real one");

    let mut secrets = vec![CODE.as_bytes().to_vec(), OPENID.as_bytes().to_vec(), credentials.apiv3_key.into_bytes()];
    secrets.extend(pieces(&credentials.private_key_pem));
    for secret in secrets {
        for form in forms(&secret) {
            assert!(!log.contains(&form), "in the log: {form}");
            assert!(!said.contains(&form), "in an error or a debug: {form}");
        }
    }
    for text in [&log, &said] {
        assert!(
            !text.contains("signature=\"") && !text.to_lowercase().contains("authorization: wechatpay2"),
            "Authorization"
        );
    }
}
