//! A hundred thousand codes over a real wire to the sandbox, which loses a tenth of the answers and refuses a tenth of the
//! calls for haste.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use bytes::Bytes;
use serde_json::{Map, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use wechatpay_hyper::Hyper;
use wechatpay_protocol::retry::Sleep;
use wechatpay_protocol::{Transport, TransportError};
use wechatpay_sandbox::Sandbox;
use wechatpay_tests::road::{client, from_now};
use wechatpay_uploader::{Ended, Endpoint, Event, Format, Input, Source, Uploader};

const CODES: usize = 100_000;

/// Has a fifth of the uploads go wrong, evenly mixed.
struct Unlucky<T>(T, std::sync::Arc<AtomicU64>, AtomicU64);

impl<T: Transport> Transport for Unlucky<T> {
    type Body = T::Body;

    async fn call(&self, mut request: http::Request<Bytes>) -> Result<http::Response<T::Body>, TransportError> {
        if request.uri().path().ends_with("/couponcodes") {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_the_input_whatever_happens_on_the_way() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let mchid = sandbox.merchant().mchid;
    let faults = std::sync::Arc::new(AtomicU64::new(0));
    let client = client(&sandbox, Unlucky(Hyper::new(), faults.clone(), AtomicU64::new(0)));
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
    let spec = wechatpay_model::operations().find(|spec| spec.id() == "busifavor.create_stock").expect("it is there");
    let stock = client.call(spec, stock).await.expect("a stock").value["stock_id"].clone();

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("codes");
    let text: String = (0..CODES).map(|number| format!("{number:06}-a b\n")).collect();
    std::fs::write(&path, &text).expect("a file");
    let input = Input { sources: vec![Source::new(&path)], format: Format::Text };
    let target = Map::from_iter([("stock_id".to_owned(), stock)]);
    // Pauses are as long as they are: a tenth of them would do as well.
    let timer = |time: Duration| -> Sleep {
        Box::pin(tokio::time::sleep(if time < Duration::from_secs(20) { time / 10 } else { time }))
    };
    let uploader = Uploader::new(client, Endpoint::BUSIFAVOR, target, timer);
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
