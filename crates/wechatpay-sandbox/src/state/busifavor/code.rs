//! The pool of codes that a merchant uploads to a stock.

use super::stock::{Mode, Stock};
use super::{Call, Once, check_user, find, guessed, not_found, once};
use crate::ambient::time_text;
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::settings::Settings;
use crate::state::page::Page;
use crate::state::pool::{Code, Limits, Sorted};
use serde_json::{Map, Value, json};

fn wrong_mode() -> Box<Answer> {
    let why = "coupon_code_mode of the stock is not MERCHANT_UPLOAD";
    Answer::refuse(400, "INVALID_REQUEST", "发券模式不合法", Basis::Documented, why)
}

/// The stock that the request names, which takes uploaded codes.
fn find_pool<'s>(call: &'s mut Call<'_>) -> Outcome<&'s mut Stock> {
    let stock = find(call)?;
    if stock.mode == Mode::MerchantUpload { Ok(stock) } else { Err(wrong_mode()) }
}

pub(super) fn upload(call: &mut Call<'_>) -> Outcome {
    find(call)?;
    let exists = "批次已存在";
    Once { other: (exists, Basis::Guess), exists, ..once(call, false) }.run(call, |call| {
        let (now, settings) = (call.now, call.settings);
        let (stock_id, number) = (call.text("stock_id"), call.text("upload_request_no"));
        let codes = call.take_texts("coupon_code_list");
        let stock = find(call)?;
        let delay = i64::from(settings.busifavor_creating);
        // The clock can be set back: no delay is none then either.
        if delay > 0 && now - stock.created < delay {
            let why = "the stock is still being created (setting)";
            let message = "批次正在创建中，请稍后再上传";
            return Err(Answer::refuse(400, "STATEMENT_CREATING", message, Basis::Observed, why));
        }
        if stock.mode != Mode::MerchantUpload {
            return Err(wrong_mode());
        }
        let sorted = Sorted::new(&codes, &stock.pool, &limits(settings));
        let pool = u64::try_from(stock.pool.total() + sorted.success.len()).unwrap_or(u64::MAX);
        if settings.busifavor_code_limit.is_some_and(|limit| pool > limit) {
            let why = "the stock would have more codes than it takes (setting)";
            let message = "上传的自定义 code 已达上限";
            return Err(Answer::refuse(400, "INVALID_REQUEST", message, Basis::Documented, why));
        }
        stock.pool.add(&sorted.success, &number, now);
        let basis = if sorted.guessed { Basis::Guess } else { Basis::Documented };
        Ok(Answer::ok(body(&sorted, &stock_id, now), basis, "codes are sorted into the documented lists"))
    })
}

/// What may be uploaded.
fn limits(settings: &Settings) -> Limits<'_> {
    Limits {
        longest: 32,
        allowed: |character| {
            character.is_ascii_alphanumeric() || matches!(character, ' ' | '-' | '_' | '\\' | '/' | '=' | '|')
        },
        bad_character: &settings.busifavor_bad_character,
        reupload: settings.busifavor_reupload,
    }
}

/// The answer to an upload.
fn body(sorted: &Sorted<'_>, stock_id: &str, now: i64) -> Value {
    let mut body = Map::new();
    body.insert("stock_id".to_owned(), json!(stock_id));
    body.insert("total_count".to_owned(), json!(sorted.total));
    body.insert("success_count".to_owned(), json!(sorted.success.len()));
    body.insert("fail_count".to_owned(), json!(sorted.fail.len()));
    body.insert("success_time".to_owned(), json!(time_text(now)));
    let lists = sorted.lists(["success_codes", "exist_codes", "duplicate_codes", "fail_codes"]);
    body.extend(lists.map(|(name, list)| (name.to_owned(), list)));
    Value::Object(body)
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    check_user(call)?;
    let (page, stock_id) = (Page::of(call), call.text("stock_id"));
    let (status, named) = (call.text("status"), !call.text("appid").is_empty());
    let stock = find_pool(call)?;
    let wanted = stock.pool.codes().filter(|(_, entry)| match status.as_str() {
        "AVAILABLE" => entry.dispatched.is_none(),
        "DISPATCHED" => entry.dispatched.is_some(),
        _ => true,
    });
    let mut body = page.cut(wanted, |(code, entry)| describe(stock, code, entry, named));
    body.insert("stock_id".to_owned(), json!(stock_id));
    Ok(Answer::ok(Value::Object(body), Basis::Guess, "in the order of upload; what `offset` counts is a setting"))
}

pub(super) fn get(call: &mut Call<'_>) -> Outcome {
    check_user(call)?;
    let (stock_id, code) = (call.text("stock_id"), call.text("coupon_code"));
    let (now, named) = (call.now, !call.text("appid").is_empty());
    let stock = find_pool(call)?;
    let Some(entry) = stock.pool.get(&code) else { return Err(not_found("the pool has no such code")) };
    let mut body = json!({"code_information": describe(stock, &code, entry, named)});
    if let (Some(coupon), Some(fields)) = (stock.coupons.get_mut(&code), body.as_object_mut()) {
        coupon.settle(now);
        let coupon = &*coupon;
        let shown = coupon.show(&stock_id, &code);
        let mut all = stock.show(&super::coupon::SHOWN);
        all.extend(shown);
        fields.insert("coupon_information".to_owned(), Value::Object(all));
    }
    Ok(Answer::ok(body, Basis::Documented, "the code as it is"))
}

/// A code as queries show it; the user only to those who say under which app.
fn describe(stock: &Stock, code: &str, entry: &Code, named: bool) -> Value {
    let status = if entry.dispatched.is_some() { "DISPATCHED" } else { "AVAILABLE" };
    let mut shown = json!({"code": code, "code_status": status, "upload_time": time_text(entry.uploaded)});
    if let (Some(fields), Some(at)) = (shown.as_object_mut(), entry.dispatched) {
        fields.insert("dispatched_time".to_owned(), json!(time_text(at)));
        fields.insert("coupon_code".to_owned(), json!(code));
        if let Some(coupon) = stock.coupons.get(code).filter(|_| named) {
            fields.insert("openid".to_owned(), json!(coupon.openid));
        }
    }
    shown
}

pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    find_pool(call)?;
    once(call, false).run(call, |call| {
        let (stock_id, code, now) = (call.text("stock_id"), call.text("coupon_code"), call.now);
        let stock = find_pool(call)?;
        let Some(entry) = stock.pool.get(&code) else { return Err(not_found("the pool has no such code")) };
        if entry.dispatched.is_some() {
            return Err(guessed(400, "INVALID_REQUEST", "code 已被领取", "a user has the code"));
        }
        stock.pool.delete(&code);
        let body = json!({"stock_id": stock_id, "delete_time": time_text(now)});
        Ok(Answer::ok(body, Basis::Documented, "the code is taken out of the pool"))
    })
}
