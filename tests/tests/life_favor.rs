//! The life of a cash coupon, told by a typed client over HTTP: each row of the tables of states, and a whole campaign.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use wechatpay_model::favor::{
    self, CouponStatus, CouponStatusFilter, CouponUse, CreateCouponStock, GetCallback, GetRefundFlow,
    GetRefundFlowByDay, GetStock, GetUseFlow, GetUseFlowByDay, GetUserCoupon, ListStockItems, ListStockMerchants,
    ListStocks, ListUserCoupons, PauseStock, RestartStock, SendCoupon, SetCallback, StartStock, StockStatus, StopStock,
    UpdateStockGoods, UploadImage,
};
use wechatpay_model::operation::Payload;
use wechatpay_model::types::Fen;
use wechatpay_protocol::{Error, File, UnverifiedReason};
use wechatpay_sandbox::{Basis, Ledger};
use wechatpay_tests::road::{WithHeader, base, from_now, merchant, public_key};
use wechatpay_tests::stage::{MCHID, NOW, OTHER, Stage, StageClient, judge};
use wechatpay_tests::stocks::{self, FACE};

const APPID: &str = "wx233544546545989";
/// A value, changed.
fn with<T>(mut value: T, edit: impl FnOnce(&mut T)) -> T {
    edit(&mut value);
    value
}

/// A request for a stock of 1,000 coupons of 10 yuan, from now until the end of January 12.
fn request(edits: &[(&str, Value)]) -> CreateCouponStock {
    let request = stocks::cash(json!("2026-01-05T10:00:00+08:00"), edits);
    serde_json::from_value(request).expect("a request")
}

/// Edits for a stock of so many coupons.
fn coupons(count: i64) -> [(&'static str, Value); 3] {
    [
        ("/stock_use_rule/max_coupons", json!(count)),
        ("/stock_use_rule/max_amount", json!(count * FACE)),
        ("/stock_use_rule/max_coupons_per_user", json!(count.min(60))),
    ]
}

async fn create(stage: &Stage, edits: &[(&str, Value)]) -> String {
    let mut request = request(edits);
    request.available_begin_time = serde_json::from_value(from_now(&stage.sandbox, 0)).expect("a time");
    stage.client.send(&request).await.expect("created").value.stock_id.as_str().to_owned()
}

async fn start(stage: &Stage, stock: &str) -> Result<favor::StartStockResponse, Error> {
    let start = StartStock::builder().stock_id(stock).stock_creator_mchid(MCHID).build();
    stage.client.send(&start).await.map(|reply| reply.value)
}

/// A stock that runs.
async fn running(stage: &Stage, edits: &[(&str, Value)]) -> String {
    let stock = create(stage, edits).await;
    start(stage, &stock).await.expect("started");
    stock
}

fn gift(stock: &str, openid: &str, number: &str) -> SendCoupon {
    let gift = SendCoupon::builder().openid(openid).stock_id(stock).out_request_no(number);
    gift.appid(APPID).stock_creator_mchid(MCHID).build()
}

async fn send_by(client: &StageClient, gift: &SendCoupon) -> Result<String, Error> {
    client.send(gift).await.map(|reply| reply.value.coupon_id.as_str().to_owned())
}

async fn send(stage: &Stage, stock: &str, openid: &str, number: &str) -> Result<String, Error> {
    send_by(&stage.client, &gift(stock, openid, number)).await
}

async fn read(stage: &Stage, coupon: &str, openid: &str) -> Result<favor::Coupon, Error> {
    let get = GetUserCoupon::builder().coupon_id(coupon).appid(APPID).openid(openid).build();
    stage.client.send(&get).await.map(|reply| reply.value)
}

async fn status(stage: &Stage, coupon: &str, openid: &str) -> CouponStatus {
    read(stage, coupon, openid).await.expect("read").status
}

fn pay(stage: &Stage, coupon: &str) -> String {
    let paid = stage.act(json!({"act": "pay_with_coupon", "coupon_id": coupon}));
    assert_eq!(paid["status"], "USED");
    paid["transaction_id"].as_str().expect("a transaction").to_owned()
}

fn refund(stage: &Stage, transaction: &str) -> Value {
    stage.act(json!({"act": "refund", "transaction_id": transaction, "to": "full"}))
}

async fn uses(stage: &Stage, stock: &str) -> Result<String, Error> {
    let link = stage.client.send(&GetUseFlow::builder().stock_id(stock).build()).await?.value;
    assert_eq!(link.hash_type, "SHA1");
    stage.fetch(&link.url, &link.hash_value).await
}

async fn refunds(stage: &Stage, stock: &str) -> Result<String, Error> {
    let link = stage.client.send(&GetRefundFlow::builder().stock_id(stock).build()).await?.value;
    stage.fetch(&link.url, &link.hash_value).await
}

/// The rows of a file below its header, each cell without the mark that spreadsheets want.
fn rows(file: &str) -> Vec<Vec<&str>> {
    let mut lines = file.lines();
    let header = lines.next().expect("a header").split(',').count();
    let rows: Vec<Vec<_>> =
        lines.map(|line| line.split(',').map(|cell| cell.trim_start_matches('`')).collect()).collect();
    assert!(rows.iter().all(|row| row.len() == header), "{file}");
    rows
}

fn fen(yuan: &str) -> i64 {
    let (whole, part) = yuan.split_once('.').expect("yuan");
    assert_eq!(part.len(), 2, "{yuan}");
    whole.parse::<i64>().expect("a number") * 100 + part.parse::<i64>().expect("a number")
}

/// What holds of every ledger: each effect happened once, and no fen is lost.
fn balance(ledger: &Ledger) {
    assert!(
        ledger.coupons.iter().all(|coupon| coupon.count == 1) && ledger.stocks.iter().all(|stock| stock.count == 1)
    );
    assert!(ledger.payments.iter().all(|payment| payment.count == 1));
    assert!(ledger.refunds.iter().all(|refund| refund.count == 1));
    assert!(ledger.request_numbers.iter().all(|number| number.effects == 1));
    for budget in &ledger.budgets {
        assert_eq!(budget.budget, budget.unsent + budget.outstanding + budget.used + budget.expired, "{budget:?}");
        let paid: i64 = ledger.payments.iter().filter(|p| p.stock_id == budget.stock_id).map(|p| p.discount).sum();
        let back: i64 = ledger.refunds.iter().filter(|r| r.stock_id == budget.stock_id).map(|r| r.discount).sum();
        assert_eq!(budget.spent, paid - back, "{budget:?}");
    }
}

#[tokio::test]
async fn sends_are_refused_as_the_table_says() {
    let stage = Stage::new().await;

    // Not running, or past its end.
    let idle = create(&stage, &[]).await;
    let message = stage.refused(send(&stage, &idle, "u", "1").await, 400, "INVALID_REQUEST", Basis::Documented);
    assert_eq!(message, "活动已结束或未激活");
    let paused = running(&stage, &[]).await;
    let pause = PauseStock::builder().stock_id(paused.as_str()).stock_creator_mchid(MCHID).build();
    stage.client.send(&pause).await.expect("paused");
    stage.refused(send(&stage, &paused, "u", "1").await, 400, "INVALID_REQUEST", Basis::Documented);
    let restart = RestartStock::builder().stock_id(paused.as_str()).stock_creator_mchid(MCHID).build();
    stage.client.send(&restart).await.expect("restarted");
    send(&stage, &paused, "u", "1").await.expect("a refused number is not used up");

    // Budget and number.
    let small = running(&stage, &coupons(5)).await;
    for number in 0..5 {
        send(&stage, &small, &format!("s{number}"), &format!("small-{number}")).await.expect("sent");
    }
    stage.refused(send(&stage, &small, "s5", "small-5").await, 403, "NOT_ENOUGH", Basis::Documented);
    let get = GetStock::builder().stock_id(small.as_str()).stock_creator_mchid(MCHID).build();
    let shown = stage.client.send(&get).await.expect("read").value;
    assert_eq!((shown.status, shown.distributed_coupons), (StockStatus::Running, Some(5)), "it runs on");

    // The day begins at midnight in China.
    let daily = running(&stage, &[("/stock_use_rule/max_amount_by_day", json!(2 * FACE + 1))]).await;
    for number in 0..2 {
        send(&stage, &daily, "d", &format!("daily-{number}")).await.expect("sent");
    }
    let message = stage.refused(send(&stage, &daily, "d", "daily-2").await, 403, "RULE_LIMIT", Basis::Guess);
    assert_eq!(message, "发券超过单天限额");
    stage.at("2026-01-05T23:59:59+08:00");
    stage.refused(send(&stage, &daily, "d", "daily-2").await, 403, "RULE_LIMIT", Basis::Guess);
    stage.wait(1);
    send(&stage, &daily, "d", "daily-2").await.expect("another day");

    // The user, and the person behind several.
    let limits =
        [("/stock_use_rule/max_coupons_per_user", json!(2)), ("/stock_use_rule/natural_person_limit", json!(true))];
    let limited = running(&stage, &limits).await;
    for number in 0..2 {
        send(&stage, &limited, "p1", &format!("limited-{number}")).await.expect("sent");
    }
    let message = stage.refused(send(&stage, &limited, "p1", "limited-2").await, 403, "RULE_LIMIT", Basis::Observed);
    assert_eq!(message, "用户已达最大领券次数");
    stage.set(json!({"favor_user_limit": "request_blocked"}));
    let again = send(&stage, &limited, "p1", "limited-2").await;
    assert_eq!(stage.refused(again, 403, "REQUEST_BLOCKED", Basis::Documented), "用户被限领拦截");
    stage.set(json!({"favor_persons": {"p1": "Li", "p2": "Li", "p3": "Wang"}}));
    let same = send(&stage, &limited, "p2", "limited-3").await;
    assert_eq!(stage.refused(same, 403, "USER_AL_GET_COUPON", Basis::Observed), "超过自然人最大限领数");
    send(&stage, &limited, "p3", "limited-4").await.expect("another person");
    let unlimited = running(&stage, &[("/stock_use_rule/max_coupons_per_user", json!(2))]).await;
    for (number, openid) in ["p1", "p1", "p2"].into_iter().enumerate() {
        send(&stage, &unlimited, openid, &format!("unlimited-{number}")).await.expect("accounts count apart");
    }

    // A month of one merchant's stocks.
    stage.set(json!({"favor_month_limit": 3 * FACE}));
    let message = stage.refused(send(&stage, &unlimited, "d", "month").await, 400, "INVALID_REQUEST", Basis::Observed);
    assert!(message.starts_with("暂时无法领取"), "{message}");
    stage.set(json!({"favor_month_limit": null}));

    // Who may send what to whom.
    let gift_of = |edit: fn(&mut SendCoupon)| {
        let mut gift = gift(&unlimited, "q", "who");
        edit(&mut gift);
        gift
    };
    let nobody = send_by(&stage.client, &gift_of(|gift| gift.stock_creator_mchid = "1900000999".into())).await;
    stage.refused(nobody, 400, "MCH_NOT_EXISTS", Basis::Documented);
    let wrong = send_by(&stage.client, &gift_of(|gift| gift.stock_creator_mchid = OTHER.into())).await;
    stage.refused(wrong, 500, "SYSTEM_ERROR", Basis::Observed);
    let none = send_by(&stage.client, &gift_of(|gift| gift.stock_id = "404".into())).await;
    stage.refused(none, 404, "RESOURCE_NOT_EXISTS", Basis::Documented);
    let ours = gift_of(|_| {});
    let message = stage.refused(send_by(&stage.other, &ours).await, 403, "REQUEST_BLOCKED", Basis::Documented);
    assert_eq!(message, "批次不支持跨商户发券");
    stage.set(json!({"favor_other_senders": "unauthorised"}));
    let message = stage.refused(send_by(&stage.other, &ours).await, 403, "REQUEST_BLOCKED", Basis::Documented);
    assert_eq!(message, "商户无权发券");
    stage.set(json!({"favor_other_senders": "allowed"}));
    send_by(&stage.other, &ours).await.expect("sent by another");

    stage.set(json!({
        "favor_unbound_appids": ["wx-unbound"], "favor_openids": {"o": "wx-own"}, "favor_abnormal_users": ["bad"]
    }));
    let unbound = send_by(&stage.client, &gift_of(|gift| gift.appid = "wx-unbound".into())).await;
    stage.refused(unbound, 400, "APPID_MCHID_NOT_MATCH", Basis::Documented);
    let foreign = send(&stage, &unlimited, "o", "who-1").await;
    assert_eq!(stage.refused(foreign, 400, "INVALID_REQUEST", Basis::Documented), "openid 与 appID 不匹配");
    let learned = send_by(&stage.client, &gift_of(|gift| gift.appid = "wx-other".into())).await;
    stage.refused(learned, 400, "INVALID_REQUEST", Basis::Documented);
    stage.refused(send(&stage, &unlimited, "bad", "who-2").await, 403, "USER_ACCOUNT_ABNORMAL", Basis::Documented);

    // A value of the sender's choice.
    let chosen = |number: &str| {
        let mut gift = gift(&unlimited, "v", number);
        (gift.coupon_value, gift.coupon_minimum) = (Some(Fen::new(300)), Some(Fen::new(500)));
        gift
    };
    stage.refused(send_by(&stage.client, &chosen("value")).await, 400, "PARAM_ERROR", Basis::Guess);
    stage.set(json!({"favor_sender_value": true}));
    let coupon = send_by(&stage.client, &chosen("value")).await.expect("sent");
    let paid = stage.act(json!({"act": "pay_with_coupon", "coupon_id": coupon}));
    assert_eq!((&paid["amount"], &paid["discount"]), (&json!(500), &json!(300)));

    stage.at("2026-01-13T00:00:00+08:00");
    stage.refused(send(&stage, &unlimited, "q", "late").await, 400, "INVALID_REQUEST", Basis::Documented);
    balance(&stage.sandbox.ledger());
}

#[tokio::test]
async fn a_request_number_sends_once() {
    let stage = Stage::new().await;
    let stock = running(&stage, &[]).await;
    let first = send(&stage, &stock, "u", "n").await.expect("sent");
    assert_eq!(send(&stage, &stock, "u", "n").await.expect("again"), first);
    assert_eq!(stage.last().basis, Basis::Documented);
    stage.refused(send(&stage, &stock, "v", "n").await, 400, "RESOURCE_ALREADY_EXISTS", Basis::Guess);

    // Each merchant has numbers of its own.
    stage.set(json!({"favor_other_senders": "allowed"}));
    let theirs = send_by(&stage.other, &gift(&stock, "v", "n")).await.expect("sent");
    assert_ne!(theirs, first);

    // The first answer, even when the stock is long over.
    stage.at("2026-02-01T00:00:00+08:00");
    assert_eq!(send(&stage, &stock, "u", "n").await.expect("again"), first);
    let ledger = stage.sandbox.ledger();
    assert_eq!(ledger.coupons.len(), 2);
    balance(&ledger);
}

#[tokio::test]
async fn a_coupon_is_used_refunded_and_expires() {
    let stage = Stage::new().await;
    let stock = running(&stage, &[]).await;
    let coupon = send(&stage, &stock, "u", "1").await.expect("sent");
    let shown = read(&stage, &coupon, "u").await.expect("read");
    assert_eq!(shown.status, CouponStatus::Sent);
    assert_eq!(shown.coupon_name.as_deref(), Some("新春满100减10"));
    assert_eq!(shown.normal_coupon_information.expect("normal").coupon_amount.get(), FACE);
    assert_eq!(shown.available_end_time.expect("an end").as_str(), "2026-01-12T23:59:59+08:00");

    // Used, refunded, used again: each of them a payment of its own.
    let first = pay(&stage, &coupon);
    assert_eq!(status(&stage, &coupon, "u").await, CouponStatus::Used);
    assert!(stage.impossible(json!({"act": "pay_with_coupon", "coupon_id": coupon})).contains("USED"));
    assert_eq!(refund(&stage, &first)["status"], "SENDED");
    assert_eq!(status(&stage, &coupon, "u").await, CouponStatus::Sent);
    assert!(stage.impossible(json!({"act": "refund", "transaction_id": first})).contains("already"));
    let second = pay(&stage, &coupon);
    assert_ne!(first, second);

    // A part does not give it back, nor does the rest after it.
    let part = stage.act(json!({"act": "refund", "transaction_id": second, "to": "part", "amount": 3_333}));
    assert_eq!((&part["status"], &part["discount"]), (&json!("USED"), &json!(333)));
    let rest = refund(&stage, &second);
    assert_eq!((&rest["amount"], &rest["discount"], &rest["status"]), (&json!(6_667), &json!(667), &json!("USED")));
    assert_eq!(stage.sandbox.events().len(), 2, "a refund is not notified");

    // Full refund after the end; and a coupon that nobody used.
    let (late, idle) =
        (send(&stage, &stock, "u", "2").await.expect("sent"), send(&stage, &stock, "u", "3").await.expect("sent"));
    let paid = pay(&stage, &late);
    stage.at("2026-01-12T23:59:59+08:00");
    assert_eq!(status(&stage, &idle, "u").await, CouponStatus::Sent);
    stage.wait(1);
    assert_eq!(status(&stage, &idle, "u").await, CouponStatus::Expired);
    assert_eq!(refund(&stage, &paid)["status"], "EXPIRED");
    assert_eq!(status(&stage, &late, "u").await, CouponStatus::Expired);
    assert!(stage.impossible(json!({"act": "pay_with_coupon", "coupon_id": idle})).contains("EXPIRED"));
    balance(&stage.sandbox.ledger());

    stage.refused(read(&stage, &coupon, "v").await, 404, "RESOURCE_NOT_EXISTS", Basis::Documented);
    let get = GetUserCoupon::builder().coupon_id(coupon.as_str()).appid(APPID).openid("u").build();
    stage.refused(stage.other.send(&get).await, 403, "REQUEST_BLOCKED", Basis::Guess);
}

#[tokio::test]
async fn payments_keep_to_the_rules_of_the_coupon() {
    let stage = Stage::new().await;
    let times = json!({"fix_available_time": {"available_week_day": [1, 2], "begin_time": 36_000, "end_time": 72_000}});
    let stock = running(
        &stage,
        &[
            ("/coupon_use_rule/coupon_available_time", times),
            ("/coupon_use_rule/available_items", json!(["G1"])),
            ("/coupon_use_rule/available_merchants", json!([MCHID, OTHER])),
        ],
    )
    .await;
    let coupon = send(&stage, &stock, "u", "1").await.expect("sent");
    let action = |more: Value| {
        let mut action = json!({"act": "pay_with_coupon", "coupon_id": coupon});
        action.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        action
    };
    for (more, said) in [
        (json!({"amount": 9_999}), "minimum"),
        (json!({"amount": 0}), "positive"),
        (json!({"mchid": "1900000999"}), "does not accept"),
        (json!({"goods_detail": [{"goods_id": "G2"}]}), "none of the goods"),
        (json!({"goods_detail": 1}), "array"),
    ] {
        let error = stage.impossible(action(more));
        assert!(error.contains(said), "{error}");
    }
    for time in ["2026-01-05T09:59:59+08:00", "2026-01-05T20:00:01+08:00", "2026-01-07T12:00:00+08:00"] {
        stage.at(time);
        let error = stage.impossible(action(json!({})));
        assert!(error.contains("cannot be used at") || error.contains("can be used from"), "{error}");
    }
    stage.at("2026-01-06T20:00:00+08:00");
    let goods = json!([{"goods_id": "G1", "quantity": 2, "price": 6_000, "discount_amount": 1_000}]);
    let paid =
        stage.act(action(json!({"mchid": OTHER, "amount": 12_000, "goods_detail": goods, "transaction_id": "T1"})));
    assert_eq!((&paid["transaction_id"], &paid["discount"]), (&json!("T1"), &json!(FACE)));
    let event = stage.sandbox.events().pop().expect("an event");
    assert_eq!(event.payload["consume_information"]["goods_detail"], goods);
    assert_eq!(event.payload["consume_information"]["consume_mchid"], OTHER);
    stage.set(json!({"favor_show_consumption": true}));
    let shown = read(&stage, &coupon, "u").await.expect("read").consume_information.expect("how it was used");
    assert_eq!(shown.transaction_id.as_deref(), Some("T1"));

    // Tomorrow, and not for long.
    let times = json!({"second_day_available": true, "available_time_after_receive": 60});
    stage.at("2026-01-06T20:00:00+08:00");
    let tomorrow = [("/coupon_use_rule/coupon_available_time", times)];
    let stock = running(&stage, &tomorrow).await;
    let coupon = send(&stage, &stock, "u", "2").await.expect("sent");
    let shown = read(&stage, &coupon, "u").await.expect("read");
    assert_eq!(shown.available_begin_time.expect("a begin").as_str(), "2026-01-07T00:00:00+08:00");
    assert_eq!(shown.available_end_time.expect("an end").as_str(), "2026-01-07T01:00:00+08:00");

    // Rules that leave no time.
    let never = json!({"fix_available_time": {"begin_time": 100, "end_time": 99}});
    let contradiction = request(&[("/coupon_use_rule/coupon_available_time", never)]);
    let contradiction = with(contradiction, |it| it.available_begin_time = "2026-01-06T20:00:00+08:00".into());
    stage.refused(stage.client.send(&contradiction).await, 400, "INVALID_REQUEST", Basis::Observed);
    balance(&stage.sandbox.ledger());
}

#[tokio::test]
async fn the_creator_is_told_of_a_use() {
    let stage = Stage::new().await;
    let get = GetCallback::builder().mchid(MCHID).build();
    stage.refused(stage.client.send(&get).await, 404, "RESOURCE_NOT_EXISTS", Basis::Guess);
    let stock = running(&stage, &[]).await;
    let mut addresses = Vec::new();
    for (number, switch) in [(1, None), (2, Some(true)), (3, Some(false))] {
        let url = format!("https://merchant.example/{number}");
        let mut set = SetCallback::builder().mchid(MCHID).notify_url(url.as_str()).build();
        set.switch = switch;
        assert_eq!(stage.client.send(&set).await.expect("set").value.notify_url, url);
        assert_eq!(stage.client.send(&get).await.expect("read").value.notify_url, url);
        let coupon = send(&stage, &stock, "u", &number.to_string()).await.expect("sent");
        pay(&stage, &coupon);
        let event = stage.sandbox.events().pop().expect("an event");
        assert_eq!((event.event_type, event.mchid.as_str()), (CouponUse::EVENT_TYPE, MCHID));
        assert_eq!(event.original_type, CouponUse::EVENT.original_type());
        judge(CouponUse::EVENT.id(), CouponUse::EVENT.schema(), "payload", &event.payload);
        let payload: CouponUse = serde_json::from_value(event.payload).expect("a payload");
        assert_eq!((payload.coupon_id.as_str(), payload.status), (coupon.as_str(), Some(CouponStatus::Used)));
        addresses.push(event.notify_url);
    }
    let wanted = [Some("https://merchant.example/1"), Some("https://merchant.example/2"), None];
    assert_eq!(addresses.iter().map(Option::as_deref).collect::<Vec<_>>(), wanted);

    let theirs = GetCallback::builder().mchid(OTHER).build();
    stage.refused(stage.client.send(&theirs).await, 403, "REQUEST_BLOCKED", Basis::Guess);
    let nobody = SetCallback::builder().mchid("1900000999").notify_url("https://merchant.example").build();
    stage.refused(stage.client.send(&nobody).await, 400, "MCH_NOT_EXISTS", Basis::Documented);
}

#[tokio::test]
async fn lists_of_a_user_show_what_they_are_said_to() {
    let stage = Stage::new().await;
    let stock = running(&stage, &[]).await;
    let elsewhere = running(&stage, &[("/coupon_use_rule/available_merchants", json!([OTHER]))]).await;
    let mut sent = Vec::new();
    for number in 0..25 {
        sent.push(send(&stage, &stock, "u", &format!("n{number}")).await.expect("sent"));
        stage.wait(1);
    }
    stage.set(json!({"favor_other_senders": "allowed"}));
    let theirs = send_by(&stage.other, &gift(&elsewhere, "u", "n")).await.expect("sent");
    let received =
        json!({"act": "user_receive", "stock_id": elsewhere, "openid": "w", "appid": APPID, "channel": "H5"});
    let received = stage.act(received)["coupon_id"].as_str().expect("a coupon").to_owned();
    pay(&stage, &sent[3]);

    let list = |edit: fn(&mut ListUserCoupons)| {
        let mut list = ListUserCoupons::builder().openid("u").appid(APPID).creator_mchid(MCHID).build();
        edit(&mut list);
        list
    };
    let ask = async |edit: fn(&mut ListUserCoupons)| {
        let answer = stage.client.send(&list(edit)).await.expect("listed").value;
        let ids: Vec<_> = answer.data.iter().map(|coupon| coupon.coupon_id.as_str().to_owned()).collect();
        (ids, answer.total_count, answer.offset, answer.limit)
    };
    // Usable ones only, newest first, in pages of twenty.
    let (ids, total, offset, limit) = ask(|_| {}).await;
    assert_eq!((ids.len(), total, offset, limit), (20, 25, 0, 20));
    assert_eq!((&ids[0], &ids[1]), (&theirs, &sent[24]));
    assert!(!ids.contains(&sent[3]));
    let (ids, ..) = ask(|list| list.offset = Some(1)).await;
    assert_eq!(ids.len(), 5);
    assert_eq!(ask(|list| list.offset = Some(2)).await.0, [""; 0]);
    let mut items = stage.client.items(list(|list| list.limit = Some(7)));
    let mut seen = Vec::new();
    while let Some(item) = items.next().await {
        seen.push(item.expect("an item").coupon_id.as_str().to_owned());
    }
    assert_eq!(seen.len(), 25);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 25);

    // Used ones, and what was seen.
    assert_eq!(ask(|list| list.status = Some(CouponStatusFilter::Used)).await.0, [sent[3].as_str()]);
    stage.set(json!({"favor_used_lists_sent": true}));
    assert_eq!(ask(|list| list.status = Some(CouponStatusFilter::Used)).await.1, 26);

    // By stock, by sender, by who accepts: the last ignores stock, state and page.
    stage.set(json!({"favor_offset": "row"}));
    assert_eq!(ask(|list| list.offset = Some(1)).await.0.len(), 20);
    let by_sender = ask(|list| (list.creator_mchid, list.sender_mchid) = (None, Some(OTHER.into()))).await;
    assert_eq!(by_sender.0, [theirs.as_str()]);
    let accepted = ask(|list| {
        (list.creator_mchid, list.available_mchid) = (None, Some(MCHID.into()));
        (list.status, list.offset, list.limit) = (Some(CouponStatusFilter::Used), Some(3), Some(1));
        list.stock_id = Some("404".into());
    });
    assert_eq!(accepted.await.0.len(), 24);
    let of_stock = with(list(|_| {}), |it| it.stock_id = Some(elsewhere.as_str().into()));
    assert_eq!(stage.client.send(&of_stock).await.expect("listed").value.total_count, 1);
    let received_by = with(list(|_| {}), |it| it.openid = "w".into());
    let listed = stage.client.send(&received_by).await.expect("listed").value;
    assert_eq!(listed.data[0].coupon_id.as_str(), received);

    stage.at("2026-01-13T00:00:00+08:00");
    stage.set(json!({"favor_used_lists_sent": false}));
    assert_eq!(ask(|_| {}).await.1, 0, "expired ones are never listed");
    assert_eq!(ask(|list| list.status = Some(CouponStatusFilter::Used)).await.1, 1);
    let outcome = stage.client.send(&list(|list| list.sender_mchid = Some("1900000999".into()))).await;
    stage.refused(outcome, 400, "MCH_NOT_EXISTS", Basis::Documented);
    let outcome = stage.client.send(&list(|list| list.appid = "wx-other".into())).await;
    stage.refused(outcome, 400, "INVALID_REQUEST", Basis::Documented);
}

#[tokio::test]
async fn stocks_are_listed_with_what_they_hold() {
    let stage = Stage::new().await;
    let mut stocks = Vec::new();
    for _ in 0..12 {
        stocks.push(create(&stage, &[]).await);
    }
    let goods: Vec<_> = (0..3).map(|item| format!("G{item}")).collect();
    let many: Vec<_> = (0..50).map(|mchid| (1_900_000_100 + mchid).to_string()).collect();
    stage.wait(60);
    let edits =
        [("/coupon_use_rule/available_items", json!(goods)), ("/coupon_use_rule/available_merchants", json!(many))];
    let last = running(&stage, &edits).await;
    let list = ListStocks::builder().offset(0).limit(5).stock_creator_mchid(MCHID).build();
    let collect = async |list: &ListStocks, by_row: bool| {
        let items = stage.client.items(list.clone());
        let mut items = if by_row { items.by_row() } else { items };
        let mut seen = Vec::new();
        while let Some(stock) = items.next().await {
            seen.push(stock.expect("a stock").stock_id.as_str().to_owned());
        }
        seen
    };
    let newest: Vec<_> = std::iter::once(&last).chain(stocks.iter().rev()).cloned().collect();
    assert_eq!(collect(&list, false).await, newest);
    stage.set(json!({"favor_offset": "row"}));
    assert_eq!(collect(&list, true).await, newest);
    let running = with(list.clone(), |it| it.status = Some(StockStatus::Running));
    assert_eq!(collect(&running, true).await, [last.as_str()]);
    let until = with(list.clone(), |it| it.create_end_time = Some("2026-01-05T10:00:00+08:00".into()));
    assert_eq!(collect(&until, true).await.len(), 12);
    let from = with(list.clone(), |it| it.create_start_time = Some("2026-01-05T10:00:01+08:00".into()));
    assert_eq!(collect(&from, true).await, [last.as_str()]);
    stage.refused(stage.other.send(&list).await, 403, "REQUEST_BLOCKED", Basis::Guess);
    let nobody = with(list, |it| it.stock_creator_mchid = "1900000999".into());
    stage.refused(stage.client.send(&nobody).await, 400, "MCH_NOT_EXISTS", Basis::Documented);
    stage.set(json!({"favor_offset": "page"}));

    let merchants =
        ListStockMerchants::builder().stock_id(last.as_str()).offset(0).limit(20).stock_creator_mchid(MCHID).build();
    let mut items = stage.client.items(merchants.clone());
    let mut seen = Vec::new();
    while let Some(mchid) = items.next().await {
        seen.push(mchid.expect("a merchant").as_str().to_owned());
    }
    assert_eq!(seen, many);
    stage.refused(stage.other.send(&merchants).await, 403, "REQUEST_BLOCKED", Basis::Documented);
    let items =
        |stock: &str| ListStockItems::builder().stock_id(stock).offset(0).limit(100).stock_creator_mchid(MCHID).build();
    assert_eq!(stage.client.send(&items(&last)).await.expect("listed").value.data, goods);
    assert_eq!(stage.client.send(&items(&stocks[0])).await.expect("listed").value.total_count, 0);

    // Goods change while the stock is not over, and one remains.
    let change = |add: &[&str], delete: &[&str]| {
        let list = |goods: &[&str]| goods.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        UpdateStockGoods::builder()
            .stock_id(last.as_str())
            .stock_creator_mchid(MCHID)
            .add_goods_id_list(list(add))
            .delete_goods_id_list(list(delete))
            .build()
    };
    let changed = stage.client.send(&change(&["G0", "G9"], &["G1", "G8"])).await.expect("changed").value;
    assert!(changed.pause_time.is_some() && changed.effect_time.is_none());
    stage.set(json!({"favor_goods_time": "effect_time"}));
    assert!(stage.client.send(&change(&["G7"], &[])).await.expect("changed").value.effect_time.is_some());
    assert_eq!(stage.client.send(&items(&last)).await.expect("listed").value.data, ["G0", "G2", "G9", "G7"]);
    stage.refused(stage.client.send(&change(&[], &["G0", "G2", "G9", "G7"])).await, 400, "PARAM_ERROR", Basis::Guess);
    stage.act(json!({"act": "console", "stock_id": last, "to": "stop"}));
    stage.refused(stage.client.send(&change(&["G1"], &[])).await, 400, "PARAM_ERROR", Basis::Guess);
}

#[tokio::test]
async fn a_stock_that_never_ran_can_be_stopped_and_money_is_locked_and_released() {
    let stage = Stage::with(json!({"favor_balance": 1_500 * FACE})).await;
    let account = || {
        let account =
            stage.sandbox.ledger().accounts.into_iter().find(|account| account.mchid == MCHID).expect("an account");
        (account.locked, account.spent, account.available.expect("an end to the money"))
    };
    let stock = running(&stage, &[]).await;
    assert_eq!(account(), (1_000 * FACE, 0, 500 * FACE));
    let second = create(&stage, &[]).await;
    stage.refused(start(&stage, &second).await, 403, "NOT_ENOUGH", Basis::Guess);
    let recharged = stage.act(json!({"act": "recharge_balance", "mchid": MCHID, "amount": 500 * FACE}));
    assert_eq!(recharged["available"], 1_000 * FACE);
    start(&stage, &second).await.expect("started");
    assert_eq!(account(), (2_000 * FACE, 0, 0));
    assert!(stage.impossible(json!({"act": "recharge_balance", "mchid": MCHID})).contains("amount"));

    // Two coupons stay usable when the console ends the stock; the rest is released.
    let (used, usable) =
        (send(&stage, &stock, "u", "1").await.expect("sent"), send(&stage, &stock, "u", "2").await.expect("sent"));
    pay(&stage, &used);
    assert_eq!(account(), (1_999 * FACE, FACE, 0));
    stage.act(json!({"act": "console", "stock_id": stock, "to": "stop"}));
    assert_eq!(account(), (1_001 * FACE, FACE, 998 * FACE));
    let transaction = pay(&stage, &usable);
    assert_eq!(account(), (1_000 * FACE, 2 * FACE, 998 * FACE));
    refund(&stage, &transaction);
    stage.at("2026-01-13T00:00:00+08:00");
    assert_eq!(account(), (0, FACE, 1_999 * FACE));

    let idle = create(&stage, &[("/available_end_time", json!("2026-01-14T00:00:00+08:00"))]).await;
    let stop = StopStock::builder().stock_id(idle.as_str()).stock_creator_mchid(MCHID).build();
    stage.client.send(&stop).await.expect("stopped");
    assert_eq!(account(), (0, FACE, 1_999 * FACE));
    balance(&stage.sandbox.ledger());
}

#[tokio::test]
async fn a_clock_that_goes_back_is_no_delay() {
    let stage = Stage::new().await;
    let stock = create(&stage, &[]).await;
    stage.wait(-60);
    start(&stage, &stock).await.expect("no setting delays it");
    stage.set(json!({"favor_registration_delay": 5}));
    let second = create(&stage, &[]).await;
    stage.wait(-60);
    stage.refused(start(&stage, &second).await, 500, "SYSTEM_ERROR", Basis::Guess);
}

#[tokio::test]
async fn there_is_no_more_money_than_can_be_counted() {
    let stage = Stage::with(json!({"favor_balance": i64::MAX})).await;
    let recharged = stage.act(json!({"act": "recharge_balance", "mchid": MCHID, "amount": 1}));
    assert_eq!(recharged["available"], i64::MAX);
    assert_eq!(stage.sandbox.ledger().accounts[0].available, Some(i64::MAX));
}

#[tokio::test]
async fn what_cannot_happen_is_said() {
    let stage = Stage::new().await;
    let stock = create(&stage, &[]).await;
    for (action, said) in [
        (json!({"act": "dance"}), "pay_with_coupon"),
        (json!({"act": "pay_with_coupon", "coupon_id": "404"}), "coupon_id"),
        (json!({"act": "refund", "transaction_id": "404"}), "transaction_id"),
        (json!({"act": "user_receive", "stock_id": "404"}), "stock_id"),
        (json!({"act": "user_receive", "stock_id": stock}), "openid"),
        (json!({"act": "user_receive", "stock_id": stock, "openid": "u"}), "appid"),
        (json!({"act": "user_receive", "stock_id": stock, "openid": "u", "appid": APPID}), "INVALID_REQUEST"),
        (json!({"act": "recharge_balance", "amount": 1}), "mchid"),
        (json!({"act": "audit", "stock_id": stock, "to": "pass"}), "unactivated"),
    ] {
        let error = stage.impossible(action.clone());
        assert!(error.contains(said), "{action}: {error}");
    }
}

#[tokio::test]
async fn pictures_get_an_address_that_stocks_take() {
    let stage = Stage::new().await;
    let upload = async |name: &str, bytes: &[u8]| {
        use sha2::Digest as _;
        let sha256: String = sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let operation = UploadImage::builder().filename(name).sha256(sha256).build();
        stage.client.upload(&operation, File { name, bytes }).await.map(|reply| reply.value.media_url)
    };
    let url = upload("logo.PNG", b"\x89PNG picture").await.expect("uploaded");
    assert_eq!(upload("again.png", b"\x89PNG picture").await.expect("uploaded"), url);
    assert_ne!(upload("logo.png", b"\x89PNG another").await.expect("uploaded"), url);
    create(&stage, &[("/pattern_info/coupon_image", json!(url)), ("/pattern_info/merchant_logo", json!(url))]).await;
    for (name, bytes) in [("logo.gif", vec![0; 10]), ("logo.png", vec![0; (2 << 20) + 1])] {
        match upload(name, &bytes).await {
            Err(Error::Invalid(_)) => continue,
            Err(Error::OutcomeUnknown(_)) | Err(Error::Api(_)) => {}
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!((stage.last().status, stage.last().basis), (Some(400), Basis::Guess));
    }
}

#[tokio::test]
async fn records_are_ready_at_ten_the_next_day_and_links_run_out() {
    let stage = Stage::new().await;
    let stock = running(&stage, &[]).await;
    let coupon = send(&stage, &stock, "u", "1").await.expect("sent");
    for _ in 0..5 {
        let transaction = pay(&stage, &coupon);
        stage.wait(3_600);
        refund(&stage, &transaction);
    }
    let (used, refunded) = (
        GetUseFlow::builder().stock_id(stock.as_str()).build(),
        GetRefundFlow::builder().stock_id(stock.as_str()).build(),
    );

    // Not before ten in the morning of the day after it ended.
    for time in ["2026-01-06T12:00:00+08:00", "2026-01-13T09:59:59+08:00"] {
        stage.at(time);
        let message = stage.refused(stage.client.send(&used).await, 404, "RESOURCE_NOT_EXISTS", Basis::Observed);
        assert_eq!(message, "账单文件不存在");
        stage.refused(stage.client.send(&refunded).await, 404, "RESOURCE_NOT_EXISTS", Basis::Observed);
    }
    stage.at("2026-01-13T10:00:00+08:00");
    let (uses, refunds) = (uses(&stage, &stock).await.expect("a file"), refunds(&stage, &stock).await.expect("a file"));
    assert_eq!((rows(&uses).len(), rows(&refunds).len()), (5, 5));
    assert!(
        rows(&uses).iter().all(|row| row[0] == stock && row[1] == coupon && row[3] == "10.00" && row[4] == "100.00")
    );
    assert_eq!(rows(&uses)[1][7], "2026-01-05 11:00:00");

    // For the creator alone, and only where something happened.
    stage.refused(stage.other.send(&used).await, 403, "REQUEST_BLOCKED", Basis::Documented);
    let none = GetUseFlow::builder().stock_id("404").build();
    assert_eq!(
        stage.refused(stage.client.send(&none).await, 404, "RESOURCE_NOT_EXISTS", Basis::Documented),
        "批次不存在"
    );
    stage.at("2026-01-05T20:00:00+08:00");
    let idle = running(&stage, &[]).await;
    stage.at("2026-01-13T10:00:00+08:00");
    let none = GetUseFlow::builder().stock_id(idle.as_str()).build();
    stage.refused(stage.client.send(&none).await, 404, "RESOURCE_NOT_EXISTS", Basis::Observed);

    // A link lasts for thirty seconds, for the merchant that asked.
    let link = stage.client.send(&used).await.expect("a link").value;
    stage.wait(30);
    stage.fetch(&link.url, &link.hash_value).await.expect("still there");
    assert_eq!((stage.last().status, stage.last().operation), (Some(200), None));
    assert!(stage.other.download(&link.url, &link.hash_value).await.is_err());
    assert_eq!(stage.last().status, Some(403));
    stage.wait(1);
    assert!(stage.fetch(&link.url, &link.hash_value).await.is_err());
    assert_eq!(stage.last().status, Some(404));

    // A file that is not the one whose hash was signed.
    let link = stage.client.send(&used).await.expect("a link").value;
    let wrong = |outcome: Result<String, Error>| match outcome {
        Err(Error::Unverified(unverified)) => assert_eq!(unverified.reason, UnverifiedReason::HashMismatch),
        other => panic!("{other:?}"),
    };
    wrong(stage.fetch(&link.url, &"0".repeat(40)).await);
    let tampering = wechatpay_protocol::Client::new(
        WithHeader(wechatpay_hyper::Hyper::new(), "x-sandbox-fault", "tamper".to_owned()),
        merchant(&stage.sandbox.merchant()),
        public_key(&stage.sandbox.merchant()),
    )
    .with_base_url(base(&stage.sandbox));
    // This client goes by the machine's clock, so the sandbox takes any.
    stage.set(json!({"timestamp_window": u32::MAX}));
    let mut file = tampering.download(&link.url, &link.hash_value).await.expect("a file");
    let mut outcome = file.chunk().await;
    while let Ok(Some(_)) = outcome {
        outcome = file.chunk().await;
    }
    wrong(outcome.map(|_| String::new()));
    assert_eq!(stage.last().fault.as_deref(), Some("tamper"));
}

#[tokio::test]
async fn records_of_a_day_hold_that_day() {
    let stage = Stage::new().await;
    let stock = running(&stage, &[]).await;
    let mut transactions = Vec::new();
    for number in 0..3 {
        let coupon = send(&stage, &stock, "u", &number.to_string()).await.expect("sent");
        transactions.push(pay(&stage, &coupon));
    }
    stage.at("2026-01-06T00:00:00+08:00");
    refund(&stage, &transactions[0]);
    let used = |day: &str| GetUseFlowByDay::builder().stock_id(stock.as_str()).bill_date(day).build();
    let refunded = |day: &str| GetRefundFlowByDay::builder().stock_id(stock.as_str()).bill_date(day).build();
    // What is said then has not been seen, so either documented row may be meant.
    let none = |outcome: Result<(), Error>| match outcome {
        Err(Error::Api(refusal)) => {
            assert_eq!((refusal.status, refusal.code.as_str()), (404, "RESOURCE_NOT_EXISTS"));
            assert_eq!((refusal.documented.len(), stage.last().basis), (2, Basis::Guess));
        }
        other => panic!("{other:?}"),
    };
    stage.at("2026-01-06T09:59:59+08:00");
    none(stage.client.send(&used("2026-01-05")).await.map(drop));
    stage.at("2026-01-06T10:00:00+08:00");
    let link = stage.client.send(&used("2026-01-05")).await.expect("a link").value;
    assert_eq!(link.stock_useflow_count, "3");
    let file = stage.fetch(&link.url, &link.stock_useflow_hash).await.expect("a file");
    let paid: Vec<_> = rows(&file).iter().map(|row| row[6].to_owned()).collect();
    assert_eq!(paid, transactions);
    none(stage.client.send(&refunded("2026-01-05")).await.map(drop));
    stage.at("2026-01-07T10:00:00+08:00");
    let link = stage.client.send(&refunded("2026-01-06")).await.expect("a link").value;
    assert_eq!(link.stock_refundflow_count, "1");
    let file = stage.fetch(&link.url, &link.stock_refundflow_hash).await.expect("a file");
    assert_eq!(rows(&file)[0][6], transactions[0]);
    let message = stage.refused(stage.client.send(&used("2026-13-01")).await, 400, "PARAM_ERROR", Basis::Documented);
    assert_eq!(message, "输入时间格式错误");
    stage.refused(stage.other.send(&used("2026-01-05")).await, 403, "REQUEST_BLOCKED", Basis::Documented);
}

/// A campaign from its creation to its settlement.
#[tokio::test]
async fn a_campaign_of_a_thousand_coupons_is_balanced_to_the_fen() {
    let stage = Stage::with(json!({"favor_balance": 2_000 * FACE})).await;
    let stock = create(&stage, &[]).await;
    start(&stage, &stock).await.expect("started");
    assert_eq!(stage.sandbox.now(), NOW);
    let mut sent = Vec::new();
    for number in 0..1_000 {
        sent.push(send(&stage, &stock, &format!("user-{number}"), &format!("gift-{number}")).await.expect("sent"));
    }
    stage.refused(send(&stage, &stock, "user-1000", "gift-1000").await, 403, "NOT_ENOUGH", Basis::Documented);
    let ledger = stage.sandbox.ledger();
    assert_eq!((ledger.coupons.len(), ledger.budgets[0].outstanding), (1_000, 1_000 * FACE));
    balance(&ledger);

    // Orders of many amounts, on several days.
    let mut transactions = Vec::new();
    for (number, coupon) in sent.iter().take(700).enumerate() {
        if number % 100 == 99 {
            stage.wait(12 * 3_600);
        }
        let amount = 10_000 + 7 * number;
        let paid = stage.act(json!({"act": "pay_with_coupon", "coupon_id": coupon, "amount": amount}));
        transactions.push(paid["transaction_id"].as_str().expect("a transaction").to_owned());
    }
    for transaction in transactions.iter().step_by(7) {
        refund(&stage, transaction);
    }
    let ledger = stage.sandbox.ledger();
    let budget = &ledger.budgets[0];
    assert_eq!((budget.unsent, budget.outstanding, budget.used), (0, 400 * FACE, 600 * FACE));
    assert_eq!(stage.sandbox.events().len(), 700);
    balance(&ledger);

    // Ten in the morning after the end: everything is settled.
    stage.at("2026-01-13T10:00:00+08:00");
    let ledger = stage.sandbox.ledger();
    balance(&ledger);
    let budget = &ledger.budgets[0];
    assert_eq!(
        (budget.outstanding, budget.used, budget.expired, budget.spent),
        (0, 600 * FACE, 400 * FACE, 600 * FACE)
    );
    let account = &ledger.accounts[0];
    assert_eq!((account.locked, account.spent, account.available), (0, 600 * FACE, Some(1_400 * FACE)));
    let count = |status: &str| ledger.coupons.iter().filter(|coupon| coupon.status == status).count();
    assert_eq!((count("SENDED"), count("USED"), count("EXPIRED")), (0, 600, 400));
    assert_eq!(ledger.request_numbers.len(), 1_001);

    // The records hold the same payments and refunds, and nothing else.
    let (uses, refunds) = (uses(&stage, &stock).await.expect("a file"), refunds(&stage, &stock).await.expect("a file"));
    let paid: BTreeMap<_, _> =
        rows(&uses).iter().map(|row| (row[6].to_owned(), (row[1].to_owned(), fen(row[3]), fen(row[4])))).collect();
    let wanted: BTreeMap<_, _> = ledger
        .payments
        .iter()
        .map(|payment| (payment.transaction_id.clone(), (payment.coupon_id.clone(), payment.discount, payment.amount)))
        .collect();
    assert_eq!((rows(&uses).len(), paid), (700, wanted));
    let back: BTreeMap<_, _> =
        rows(&refunds).iter().map(|row| (row[7].to_owned(), (row[6].to_owned(), fen(row[3]), fen(row[4])))).collect();
    let wanted: BTreeMap<_, _> = ledger
        .refunds
        .iter()
        .map(|refund| (refund.refund_id.clone(), (refund.transaction_id.clone(), refund.discount, refund.amount)))
        .collect();
    assert_eq!((rows(&refunds).len(), back), (100, wanted));
    let sum = |file: &str| rows(file).iter().map(|row| fen(row[3])).sum::<i64>();
    assert_eq!(sum(&uses) - sum(&refunds), budget.spent);

    // Each event is the use of one coupon.
    let mut told: Vec<_> = stage
        .sandbox
        .events()
        .iter()
        .map(|event| event.payload["coupon_id"].as_str().expect("a coupon").to_owned())
        .collect();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 700);
    let last = ListUserCoupons::builder().openid("user-999").appid(APPID).creator_mchid(MCHID).build();
    assert_eq!(stage.client.send(&last).await.expect("listed").value.total_count, 0);
    assert_eq!(status(&stage, &sent[999], "user-999").await, CouponStatus::Expired);
}
