//! The whole state, saved and put back.

use serde_json::{Value, json};
use wechatpay_sandbox::{Clock, Sandbox, Standing};
use wechatpay_tests::rehearsal::{MERCHANTS, Rehearsal, number};
use wechatpay_tests::stage::NOW;
use wechatpay_tests::story::{Example, set};

const APPID: &str = "wx233544546545989";

/// A bit of everything that is remembered.
async fn live(world: &Rehearsal) -> (Value, Value) {
    let nowhere = json!({"mchid": MERCHANTS[0], "notify_url": "http://127.0.0.1:1/"});
    world.done("favor.set_callback", nowhere.clone()).await;
    world.done("busifavor.set_callback", nowhere).await;
    let mut stock = Example::named("favor.create_coupon_stock", "prepaid, opens a mini program").request();
    set(&mut stock, "/belong_merchant", json!(MERCHANTS[0]));
    set(&mut stock, "/available_begin_time", json!("2026-01-05T10:00:00+08:00"));
    set(&mut stock, "/available_end_time", json!("2026-01-12T23:59:59+08:00"));
    set(&mut stock, "/out_request_no", json!(number()));
    let favor = world.done("favor.create_coupon_stock", stock).await["stock_id"].clone();
    world.done("favor.start_stock", json!({"stock_id": favor, "stock_creator_mchid": MERCHANTS[0]})).await;
    let mut coupons = Vec::new();
    for openid in ["u", "v"] {
        let gift = json!({
            "stock_id": favor, "openid": openid, "appid": APPID, "out_request_no": number(),
            "stock_creator_mchid": MERCHANTS[0],
        });
        coupons.push(world.done("favor.send_coupon", gift).await["coupon_id"].clone());
    }
    let paid = world.act(json!({"act": "pay_with_coupon", "coupon_id": coupons[0]}));
    world.act(json!({"act": "refund", "transaction_id": paid["transaction_id"], "to": "part", "amount": 1}));
    world.act(json!({"act": "recharge_balance", "mchid": MERCHANTS[0], "amount": 500}));

    let mut stock = Example::named("busifavor.create_stock", "with uploaded codes").request();
    set(&mut stock, "/belong_merchant", json!(MERCHANTS[0]));
    set(&mut stock, "/out_request_no", json!(number()));
    let busifavor = world.done("busifavor.create_stock", stock).await["stock_id"].clone();
    let codes = json!({"stock_id": busifavor, "coupon_code_list": ["A", "B", "C"], "upload_request_no": number()});
    world.done("busifavor.upload_coupon_codes", codes.clone()).await;
    let gift = json!({"stock_id": busifavor, "openid": "u", "appid": APPID, "out_request_no": number()});
    world.done("busifavor.send_coupon", gift).await;
    let mut activity = Example::named("paygiftactivity.create_activity", "one coupon").request();
    set(&mut activity, "/award_send_rule/award_list/0/stock_id", busifavor.clone());
    world.done("paygiftactivity.create_activity", activity).await;
    let lent = json!({
        "Idempotency-Key": number(), "partner": {"type": "MERCHANT", "merchant_id": MERCHANTS[1]},
        "authorized_data": {"business_type": "BUSIFAVOR_STOCK", "stock_id": busifavor},
    });
    world.done("partnerships.create_partnership", lent).await;
    world.sandbox.settled().await;
    (favor, codes)
}

#[tokio::test]
async fn what_is_put_back_is_what_was_taken() {
    let world = Rehearsal::with(json!({"busifavor_subsidy_delay": 7})).await;
    let (favor, codes) = live(&world).await;
    world.advance(30);
    let (snapshot, ledger) = (world.sandbox.snapshot().expect("it is taken"), world.sandbox.ledger());
    let (events, settings, now) = (world.sandbox.events(), world.sandbox.settings(), world.sandbox.now());
    assert!(events.iter().all(|event| event.standing == Standing::Waiting), "they are still owed");

    // Another sandbox goes on where this one stood, and this one too after it went another way.
    let other = Rehearsal::start().await;
    world.settings(json!({"favor_opened": false}));
    world.advance(86_400 * 30);
    world.sandbox.reset();
    for world in [&world, &other] {
        world.sandbox.restore(&snapshot).expect("it is put back");
        assert_eq!(world.sandbox.ledger(), ledger);
        assert_eq!((world.sandbox.settings(), world.sandbox.now()), (settings.clone(), now));
        assert_eq!(world.sandbox.events(), events);
        assert_eq!(world.sandbox.snapshot().expect("it is taken"), snapshot);
    }
    let next = async |world: &Rehearsal| {
        let answer = world.done("busifavor.upload_coupon_codes", codes.clone()).await;
        let get = json!({"stock_id": favor, "stock_creator_mchid": MERCHANTS[0]});
        let id = world.act(json!({"act": "user_receive", "stock_id": favor, "openid": "w", "appid": APPID}));
        (answer, world.done("favor.get_stock", get).await, id)
    };
    assert_eq!(next(&world).await, next(&other).await, "the numbers go on as well");
    assert_eq!(world.sandbox.ledger(), other.sandbox.ledger());

    // What was owed is sent again, to the second.
    world.advance(30);
    world.sandbox.settled().await;
    assert_eq!(world.sandbox.events()[0].attempts.len(), 2);
}

#[tokio::test]
async fn a_snapshot_that_is_none_changes_nothing() {
    let world = Rehearsal::start().await;
    live(&world).await;
    let good = world.sandbox.snapshot().expect("it is taken");
    let changed = |place: &str, value: Value| {
        let mut bad = good.clone();
        set(&mut bad, place, value);
        bad
    };
    for (bad, named) in [
        (json!({}), "no snapshot"),
        (json!([]), "no snapshot"),
        (Value::Null, "no snapshot"),
        (changed("/format", json!("another")), "no snapshot"),
        (changed("/version", json!(0)), "version 0"),
        (changed("/version", Value::Null), "version none"),
        (changed("/state", Value::Null), "does not fit"),
        (changed("/state/favor/coupons", json!([])), "state.favor.coupons"),
        (changed("/state/favor/unheard", json!(1)), "does not know"),
        (changed("/settings/unheard", json!(1)), "does not fit at settings"),
        (changed("/state/numbers/0/0/operation", json!("favor.fly")), "does not fit at state.numbers"),
        (changed("/moment/now", json!(-1)), "1970"),
    ] {
        let error = world.sandbox.restore(&bad).expect_err(named);
        assert!(error.contains(named), "{named}: {error}");
        assert_eq!(world.sandbox.snapshot().expect("it is taken"), good, "{named}");
    }
    // No value of it is repeated, nor who has what.
    let mut bad = good.clone();
    bad["state"]["favor"]["users"]["u"] = json!("secret");
    let error = world.sandbox.restore(&bad).expect_err("no list");
    assert!(error.contains("state.favor.users") && !error.contains("secret") && !error.contains("users.u"), "{error}");
}

#[tokio::test]
async fn a_snapshot_of_a_running_clock_goes_on_standing_still() {
    let sandbox = Sandbox::builder().clock(Clock::Virtual(NOW)).start().await.expect("a sandbox");
    let snapshot = sandbox.snapshot().expect("it is taken");
    let running = Sandbox::start().await.expect("a sandbox");
    running.restore(&snapshot).expect("it is put back");
    assert!((NOW..NOW + 60).contains(&running.now()), "{}", running.now());
}
