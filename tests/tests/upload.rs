//! A hundred thousand codes over a real wire to the sandbox, which loses a tenth of the answers and refuses a tenth of the
//! calls for haste.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use wechatpay_hyper::Hyper;
use wechatpay_protocol::retry::Sleep;
use wechatpay_protocol::{Client, Transport, TransportError};
use wechatpay_sandbox::Sandbox;
use wechatpay_tests::road::{client, from_now};
use wechatpay_uploader::{Ended, Endpoint, Event, Format, Input, Options, Source, Uploader};

const CODES: usize = 100_000;

/// Has a fifth of the uploads go wrong, evenly mixed.
struct Unlucky<T>(T, Arc<AtomicU64>, AtomicU64);

impl<T: Transport> Transport for Unlucky<T> {
    type Body = T::Body;

    async fn call(&self, mut request: http::Request<Bytes>) -> Result<http::Response<T::Body>, TransportError> {
        if ["/couponcodes", "/upload-coupon-codes"].iter().any(|end| request.uri().path().ends_with(end)) {
            let fault = match self.2.fetch_add(37, Ordering::SeqCst) % 100 {
                0..10 => Some("lose-reply"),
                10..20 => Some("status-429"),
                _ => None,
            };
            if let Some(fault) = fault {
                self.1.fetch_add(1, Ordering::SeqCst);
                request.headers_mut().insert("x-sandbox-fault", fault.parse().expect("a header value"));
            }
        }
        self.0.call(request).await
    }
}

/// A client whose uploads go wrong now and then, and how often they did.
fn unlucky(sandbox: &Sandbox) -> (Client<Unlucky<Hyper>>, Arc<AtomicU64>) {
    let faults = Arc::new(AtomicU64::new(0));
    (client(sandbox, Unlucky(Hyper::new(), Arc::clone(&faults), AtomicU64::new(0))), faults)
}

async fn done<T: Transport>(client: &Client<T>, id: &str, request: Value) -> Value {
    let spec = wechatpay_model::operations().find(|spec| spec.id() == id).expect("it is there");
    client.call(spec, request).await.unwrap_or_else(|error| panic!("{id}: {error}")).value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_the_input_whatever_happens_on_the_way() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let mchid = sandbox.merchant().mchid;
    let (client, faults) = unlucky(&sandbox);
    let stock = json!({
        "stock_name": "活动券", "belong_merchant": mchid, "goods_name": "全场商品", "stock_type": "NORMAL",
        "coupon_use_rule": {
            "coupon_available_time": {
                "available_begin_time": from_now(&sandbox, 0), "available_end_time": from_now(&sandbox, 86_400)
            },
            "fixed_normal_coupon": {"discount_amount": 500, "transaction_minimum": 1000}, "use_method": "OFF_LINE"
        },
        "stock_send_rule": {"max_coupons": 1000, "max_coupons_per_user": 100},
        "coupon_code_mode": "MERCHANT_UPLOAD", "out_request_no": "1"
    });
    let stock = done(&client, "busifavor.create_stock", stock).await["stock_id"].take();
    upload(&sandbox, client, &faults, Endpoint::BUSIFAVOR, json!({"stock_id": stock}), "a b").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_of_product_coupons_arrive_in_the_same_way() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let (client, faults) = unlucky(&sandbox);
    done(&client, "product_coupon.set_notify_config", json!({"notify_url": "https://www.example.com/notify"})).await;
    let product = json!({
        "brand_id": "120344", "out_request_no": "product-1", "scope": "ALL", "type": "NORMAL", "usage_mode": "SINGLE",
        "single_usage_info": {"normal_coupon": {"threshold": 10000, "discount_amount": 1500}},
        "display_info": {"name": "全场满100减15", "image_url": "https://a/1", "background_url": "https://a/2"},
        "stock": {
            "coupon_code_mode": "UPLOAD", "stock_send_rule": {"max_count": 1000, "max_count_per_user": 100},
            "single_usage_rule": {"coupon_available_period": {
                "available_begin_time": from_now(&sandbox, 0), "available_end_time": from_now(&sandbox, 86_400)
            }},
            "usage_rule_display_info": {"coupon_usage_method_list": ["OFFLINE"], "usage_description": "全场可用"},
            "coupon_display_info": {"code_display_mode": "QRCODE"},
            "notify_config": {"notify_appid": "wx233544546545989"}, "store_scope": "NONE"
        }
    });
    let product = done(&client, "product_coupon.create_product_coupon", product).await;
    let target = json!({
        "brand_id": "120344", "product_coupon_id": product["product_coupon_id"], "stock_id": product["stock"]["stock_id"]
    });
    upload(&sandbox, client, &faults, Endpoint::PRODUCT_COUPON, target, "a_b").await;
}

/// Uploads the codes, each with this at its end, and compares the ledger with them.
async fn upload(
    sandbox: &Sandbox,
    client: Client<Unlucky<Hyper>>,
    faults: &AtomicU64,
    endpoint: Endpoint,
    target: Value,
    end: &str,
) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("codes");
    let text: String = (0..CODES).map(|number| format!("{number:06}-{end}\n")).collect();
    std::fs::write(&path, &text).expect("a file");
    let input = Input { sources: vec![Source::new(&path)], format: Format::Text };
    let target = target.as_object().expect("fields").clone();
    // Pauses are as long as they are: a tenth of them would do as well.
    let timer = |time: Duration| -> Sleep {
        Box::pin(tokio::time::sleep(if time < Duration::from_secs(20) { time / 10 } else { time }))
    };
    let mut options = Options::default();
    // The documented rate of some endpoints would take its time.
    options.rate = Some(100_000.0);
    let uploader = Uploader::new(client, endpoint, target, timer).with_options(options);
    let journal = uploader.job().open(&input, &folder.path().join("journal")).expect("a plan");
    let numbers = journal.header().numbers.clone();
    let finished = uploader.run(journal, std::future::pending(), |_: &Event<'_>| {}).await.expect("an upload");

    assert!(matches!(finished.ended, Ended::Complete), "{:?}", finished.ended);
    let (totals, faults) = (finished.journal.totals(), faults.load(Ordering::SeqCst));
    assert_eq!((totals.uploaded, totals.differences), (CODES as u64, 0), "{totals:?}");
    assert!(faults >= 80 && totals.attempts <= totals.batches * 12 / 10 + faults, "{faults} faults, {totals:?}");
    let mut ledger = sandbox.ledger().coupon_codes;
    ledger.sort_by(|a, b| a.code.cmp(&b.code));
    assert_eq!(ledger.len(), CODES);
    for (index, (entry, code)) in ledger.iter().zip(text.lines()).enumerate() {
        let number = format!("{numbers}{:06}", index / 200);
        assert_eq!((entry.count, entry.code.as_str(), &entry.upload_request_no), (1, code, &number));
    }
}
