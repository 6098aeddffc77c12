//! Ten thousand codes, an interruption, and an account of each.

mod start;

use serde_json::{Map, json};
use start::Failure;
use std::collections::BTreeMap;
use wechatpay_model::busifavor::{
    CouponAvailableTime, CouponCodeMode, CouponUseRule, CreateStock, FixedNormalCoupon, StockSendRule, StockType,
    UseMethod,
};
use wechatpay_model::types::{Fen, Timestamp};
use wechatpay_uploader::{Ended, Endpoint, Format, Input, Source, Uploader};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (sandbox, client) = start::sandbox().await?;

    // A stock whose codes are uploaded.
    let at = |seconds: i64| Timestamp::from_unix(sandbox.now() + seconds).ok_or("no such time");
    let days = CouponAvailableTime::builder().available_begin_time(at(0)?).available_end_time(at(86_400)?).build();
    let worth = FixedNormalCoupon::builder().discount_amount(Fen::new(500)).transaction_minimum(Fen::new(1000)).build();
    let stock = CreateStock::builder()
        .stock_name("Five off")
        .belong_merchant(sandbox.merchant().mchid)
        .goods_name("Everything")
        .stock_type(StockType::Normal)
        .coupon_use_rule(
            CouponUseRule::builder()
                .coupon_available_time(days)
                .use_method(UseMethod::Offline)
                .fixed_normal_coupon(worth)
                .build(),
        )
        .stock_send_rule(StockSendRule::builder().max_coupons(10_000).max_coupons_per_user(1).build())
        .coupon_code_mode(CouponCodeMode::MerchantUpload)
        .out_request_no("codes-1")
        .build();
    let stock_id = client.send(&stock).await?.value.stock_id;

    // The codes, one a line; one of them stands there twice.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("codes.txt");
    let codes: String = (0..10_000).map(|number| format!("CODE{number:06}\n")).collect();
    std::fs::write(&file, codes + "CODE000007\n")?;

    let input = Input { sources: vec![Source::new(&file)], format: Format::Text };
    let target = Map::from_iter([("stock_id".to_owned(), json!(stock_id))]);
    let uploader = Uploader::new(client, Endpoint::BUSIFAVOR, target, wechatpay_hyper::timer);

    // The plan is on the disk before anything is sent.
    let place = folder.path().join("codes.journal");
    let journal = uploader.job().open(&input, &place)?;
    println!("{} codes in {} batches", journal.header().codes, journal.header().batches);

    // Stopped before it began; a process that is killed leaves the same journal.
    let stopped = uploader.run(journal, std::future::ready(()), |_| {}).await?;
    println!("stopped: {}", matches!(stopped.ended, Ended::Interrupted));
    drop(stopped);

    // The same again goes on where it was, and what was in doubt is sent under the same number.
    let journal = uploader.job().open(&input, &place)?;
    let finished = uploader.run(journal, std::future::pending(), |_| {}).await?;
    let totals = finished.journal.totals();
    println!("complete: {}, {} uploaded, {} duplicate", totals.complete(), totals.uploaded, totals.duplicates);

    // What became of each line.
    let mut states = BTreeMap::new();
    finished
        .journal
        .report(&Endpoint::BUSIFAVOR, |row| {
            *states.entry(row.state.as_str()).or_insert(0) += 1;
            Ok::<(), ()>(())
        })?
        .map_err(|()| "nobody said no")?;
    println!("{states:?}; the sandbox has {}", sandbox.ledger().coupon_codes.len());
    Ok(())
}
