//! The pool of codes that a merchant uploads to a stock.

use super::stock::{Mode, Stock};
use super::{Call, Once, check_user, find, guessed, not_found, once};
use crate::ambient::{Ambient, time_text};
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::settings::Settings;
use crate::state::page::Page;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Most characters of a code.
const LONGEST: usize = 32;

/// The codes of a stock.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Pool {
    codes: BTreeMap<String, Code>,
    /// The codes in the order in which they were uploaded.
    order: BTreeMap<u64, String>,
    /// Those that no user has, in no order.
    available: Vec<String>,
    deleted: BTreeSet<String>,
    uploaded: u64,
}

/// A code in the pool of a stock.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Code {
    pub(super) upload_request_no: String,
    pub(super) count: u64,
    place: u64,
    uploaded: i64,
    dispatched: Option<i64>,
}

impl Pool {
    pub(super) fn codes(&self) -> impl Iterator<Item = (&String, &Code)> {
        self.codes.iter()
    }

    pub(super) fn total(&self) -> usize {
        self.codes.len()
    }

    pub(super) fn available(&self) -> usize {
        self.available.len()
    }

    fn add(&mut self, code: &str, upload_request_no: &str, now: i64) {
        self.uploaded += 1;
        let place = self.uploaded;
        let new = || Code {
            upload_request_no: upload_request_no.to_owned(),
            count: 0,
            place,
            uploaded: now,
            dispatched: None,
        };
        self.codes.entry(code.to_owned()).or_insert_with(new).count += 1;
        self.order.insert(place, code.to_owned());
        self.available.push(code.to_owned());
    }

    /// Takes any available code for a user; nobody can choose which.
    pub(super) fn dispatch(&mut self, ambient: &mut Ambient, now: i64) -> Option<String> {
        let count = u64::try_from(self.available.len()).ok().filter(|count| *count > 0)?;
        let code = self.available.swap_remove(usize::try_from(ambient.draw() % count).ok()?);
        if let Some(entry) = self.codes.get_mut(&code) {
            entry.dispatched = Some(now);
        }
        Some(code)
    }

    /// Deletes a code that no user has.
    fn delete(&mut self, code: &str) {
        if let Some(entry) = self.codes.remove(code) {
            self.order.remove(&entry.place);
            self.available.retain(|other| other != code);
            self.deleted.insert(code.to_owned());
        }
    }
}

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
        let codes: Vec<String> = match call.request.get("coupon_code_list") {
            Some(Value::Array(codes)) => codes.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let stock = find(call)?;
        if now - stock.created < i64::from(settings.busifavor_creating) {
            let why = "the stock is still being created (setting)";
            let message = "批次正在创建中，请稍后再上传";
            return Err(Answer::refuse(400, "STATEMENT_CREATING", message, Basis::Observed, why));
        }
        if stock.mode != Mode::MerchantUpload {
            return Err(wrong_mode());
        }
        let sorted = Sorted::new(&codes, &stock.pool, settings);
        let pool = u64::try_from(stock.pool.total() + sorted.success.len()).unwrap_or(u64::MAX);
        if settings.busifavor_code_limit.is_some_and(|limit| pool > limit) {
            let why = "the stock would have more codes than it takes (setting)";
            let message = "上传的自定义 code 已达上限";
            return Err(Answer::refuse(400, "INVALID_REQUEST", message, Basis::Documented, why));
        }
        for code in &sorted.success {
            stock.pool.add(code, &number, now);
        }
        let basis = if sorted.guessed { Basis::Guess } else { Basis::Documented };
        Ok(Answer::ok(sorted.body(&stock_id, now), basis, "codes are sorted into the documented lists"))
    })
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    check_user(call)?;
    let (page, stock_id) = (Page::of(call), call.text("stock_id"));
    let (status, named) = (call.text("status"), !call.text("appid").is_empty());
    let stock = find_pool(call)?;
    let codes = stock.pool.order.values().filter_map(|code| stock.pool.codes.get_key_value(code));
    let wanted = codes.filter(|(_, entry)| match status.as_str() {
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
    let Some(entry) = stock.pool.codes.get(&code) else { return Err(not_found("the pool has no such code")) };
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
        let Some(entry) = stock.pool.codes.get(&code) else { return Err(not_found("the pool has no such code")) };
        if entry.dispatched.is_some() {
            return Err(guessed(400, "INVALID_REQUEST", "code 已被领取", "a user has the code"));
        }
        stock.pool.delete(&code);
        let body = json!({"stock_id": stock_id, "delete_time": time_text(now)});
        Ok(Answer::ok(body, Basis::Documented, "the code is taken out of the pool"))
    })
}

/// The codes of one upload, sorted; each list in the order of the request.
struct Sorted<'a> {
    /// Number of distinct codes.
    total: usize,
    success: Vec<&'a str>,
    exist: Vec<&'a str>,
    duplicate: Vec<&'a str>,
    fail: Vec<Value>,
    /// Whether the answer rests on a guess.
    guessed: bool,
}

impl<'a> Sorted<'a> {
    fn new(codes: &'a [String], pool: &Pool, settings: &Settings) -> Self {
        let (mut success, mut exist, mut duplicate, mut fail) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut seen, mut twice, mut guessed) = (HashSet::new(), HashSet::new(), false);
        for code in codes.iter().map(String::as_str) {
            if !seen.insert(code) {
                if twice.insert(code) {
                    duplicate.push(code);
                }
                continue;
            }
            let length = code.chars().count();
            let deleted = pool.deleted.contains(code);
            guessed |= deleted;
            if length > LONGEST || length == 0 {
                let message = if length == 0 { "长度小于最小值 1 位" } else { "长度超过最大值 32 位" };
                guessed |= length == 0;
                fail.push(json!({"coupon_code": code, "code": "LENGTH_LIMIT", "message": message}));
            } else if !code.chars().all(allowed) {
                guessed = true;
                let reason = &settings.busifavor_bad_character;
                fail.push(json!({"coupon_code": code, "code": reason, "message": "含有不允许的字符"}));
            } else if pool.codes.contains_key(code) || deleted && !settings.busifavor_reupload {
                exist.push(code);
            } else {
                success.push(code);
            }
        }
        Self { total: seen.len(), success, exist, duplicate, fail, guessed }
    }

    /// The answer; an empty list is left out.
    fn body(&self, stock_id: &str, now: i64) -> Value {
        let mut body = Map::new();
        body.insert("stock_id".to_owned(), json!(stock_id));
        body.insert("total_count".to_owned(), json!(self.total));
        body.insert("success_count".to_owned(), json!(self.success.len()));
        body.insert("fail_count".to_owned(), json!(self.fail.len()));
        body.insert("success_time".to_owned(), json!(time_text(now)));
        for (name, codes) in
            [("success_codes", &self.success), ("exist_codes", &self.exist), ("duplicate_codes", &self.duplicate)]
        {
            if !codes.is_empty() {
                body.insert(name.to_owned(), json!(codes));
            }
        }
        if !self.fail.is_empty() {
            body.insert("fail_codes".to_owned(), json!(self.fail));
        }
        Value::Object(body)
    }
}

/// Whether a code may have this character.
fn allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, ' ' | '-' | '_' | '\\' | '/' | '=' | '|')
}
