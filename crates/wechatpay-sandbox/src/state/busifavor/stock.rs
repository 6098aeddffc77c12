//! Stocks of merchant coupons: created, read, changed.

use super::coupon::Coupon;
use super::{Call, Once, Who, check_user, find, find_stock, guessed, no_merchant, once};
use crate::ambient::{day, instant, time_text};
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::settings::BusifavorFirstState;
use crate::state::pool::Pool;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const EXISTS: &str = "批次已存在";

/// What of a request that creates a stock its readers see again.
const SHOWN: [&str; 10] = [
    "stock_name",
    "belong_merchant",
    "comment",
    "goods_name",
    "stock_type",
    "coupon_use_rule",
    "stock_send_rule",
    "custom_entrance",
    "display_pattern_info",
    "notify_config",
];

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stock {
    pub(super) creator: String,
    pub(super) owner: String,
    pub(super) out_request_no: String,
    /// What it was created with, as it was changed since.
    pub(super) rules: Value,
    pub(super) mode: Mode,
    pub(super) status: Status,
    pub(super) created: i64,
    pub(super) begins: i64,
    pub(super) ends: i64,
    pub(super) pool: Pool,
    pub(super) coupons: BTreeMap<String, Coupon>,
    /// How many coupons were handed out on each day.
    by_day: BTreeMap<i64, i64>,
}

/// Where the codes of a stock come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Mode {
    WechatPay,
    MerchantApi,
    MerchantUpload,
}

/// State of a stock, spelt as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Status {
    Unaudit,
    Running,
    Paused,
    Stoped,
}

impl Status {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Unaudit => "UNAUDIT",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stoped => "STOPED",
        }
    }
}

impl Stock {
    /// Lets the clock have its effect.
    pub(super) fn settle(&mut self, now: i64) {
        if now > self.ends {
            self.status = Status::Stoped;
        }
    }

    /// A number of the rules by which coupons are handed out.
    pub(super) fn limit(&self, name: &str) -> Option<i64> {
        self.rules.get("stock_send_rule")?.get(name)?.as_i64()
    }

    /// A switch of these rules.
    pub(super) fn limits(&self, name: &str) -> bool {
        self.rules.pointer("/stock_send_rule").and_then(|rule| rule.get(name)) == Some(&Value::Bool(true))
    }

    /// What a coupon takes off, in fen; only of a `NORMAL` stock.
    pub(super) fn value(&self) -> Option<i64> {
        self.rules.pointer("/coupon_use_rule/fixed_normal_coupon/discount_amount")?.as_i64()
    }

    /// How many coupons were handed out.
    pub(super) fn sent(&self) -> i64 {
        i64::try_from(self.coupons.len()).unwrap_or(i64::MAX)
    }

    /// How many of them today.
    pub(super) fn sent_today(&self, now: i64) -> i64 {
        self.by_day.get(&day::of(now)).copied().unwrap_or(0)
    }

    /// Notes that a coupon is handed out.
    pub(super) fn count_today(&mut self, now: i64) {
        *self.by_day.entry(day::of(now)).or_insert(0) += 1;
    }

    /// What readers of the stock or of one of its coupons see of the rules.
    pub(super) fn show(&self, names: &[&str]) -> Map<String, Value> {
        names.iter().filter_map(|name| Some(((*name).to_owned(), self.rules.get(*name)?.clone()))).collect()
    }
}

/// Seconds of a day.
pub(super) const DAY: i64 = 24 * 3600;

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    check_user(call)?;
    let owner = call.text("belong_merchant");
    if !call.knows(&owner) {
        return Err(no_merchant("belong_merchant is no merchant of the sandbox"));
    }
    let same = (call.settings.busifavor_repeat, Basis::Guess);
    let once = Once { same, other: (EXISTS, Basis::Guess), exists: EXISTS, ..once(call, false) };
    once.run(call, |call| {
        let stocks = &call.state.busifavor.stocks;
        let stock_id = call.ambient.fresh_digits(16, |id| stocks.contains_key(id));
        let time = |name: &str| {
            let time = call.request.pointer("/coupon_use_rule/coupon_available_time").and_then(|time| time.get(name));
            time.and_then(Value::as_str).and_then(instant).map(|(seconds, _)| seconds)
        };
        let stock = Stock {
            creator: call.caller.to_owned(),
            owner,
            out_request_no: call.text("out_request_no"),
            mode: match call.text("coupon_code_mode").as_str() {
                "MERCHANT_UPLOAD" => Mode::MerchantUpload,
                "MERCHANT_API" => Mode::MerchantApi,
                _ => Mode::WechatPay,
            },
            status: match call.settings.busifavor_first_state {
                BusifavorFirstState::Running => Status::Running,
                BusifavorFirstState::Unaudit => Status::Unaudit,
            },
            created: call.now,
            begins: time("available_begin_time").unwrap_or(call.now),
            ends: time("available_end_time").unwrap_or(i64::MAX),
            rules: call.request.clone(),
            pool: Pool::default(),
            coupons: BTreeMap::new(),
            by_day: BTreeMap::new(),
        };
        let why = format!("a stock is created, {}", stock.status.as_str());
        call.state.busifavor.stocks.insert(stock_id.clone(), stock);
        let body = json!({"stock_id": stock_id, "create_time": time_text(call.now)});
        Ok(Answer::ok(body, Basis::Documented, why))
    })
}

pub(super) fn get(call: &mut Call<'_>) -> Outcome {
    let (stock_id, now) = (call.text("stock_id"), call.now);
    let stock = find_stock(call, &stock_id, Who::Partners)?;
    let mut body = stock.show(&SHOWN);
    body.insert("stock_id".to_owned(), json!(stock_id));
    body.insert("stock_state".to_owned(), json!(stock.status.as_str()));
    body.insert("coupon_code_mode".to_owned(), stock.rules.get("coupon_code_mode").cloned().unwrap_or_default());
    body.insert("subsidy".to_owned(), json!(stock.rules.get("subsidy") == Some(&Value::Bool(true))));
    if stock.mode == Mode::MerchantUpload {
        let count = json!({"total_count": stock.pool.total(), "available_count": stock.pool.available()});
        body.insert("coupon_code_count".to_owned(), count);
    }
    let (sent, today) = (stock.sent(), stock.sent_today(now));
    let mut handed_out = json!({"total_send_num": sent});
    if let Some(fields) = handed_out.as_object_mut() {
        let daily = stock.limit("max_coupons_by_day").is_some();
        if daily {
            fields.insert("today_send_num".to_owned(), json!(today));
        }
        if let Some(value) = stock.value() {
            fields.insert("total_send_amount".to_owned(), json!(value.saturating_mul(sent)));
            if daily {
                fields.insert("today_send_amount".to_owned(), json!(value.saturating_mul(today)));
            }
        }
    }
    body.insert("send_count_information".to_owned(), handed_out);
    Ok(Answer::ok(Value::Object(body), Basis::Documented, "the stock as it is"))
}

/// Refuses a change of a stock that has ended.
fn check_open(stock: &Stock) -> Outcome<()> {
    if stock.status == Status::Stoped {
        return Err(guessed(400, "INVALID_REQUEST", "批次已结束", "a stock that has ended is not changed"));
    }
    Ok(())
}

/// Places that `PATCH` takes and that cannot be changed at present.
const FIXED: [&str; 4] = [
    "/stock_name",
    "/stock_send_rule/natural_person_limit",
    "/display_pattern_info/merchant_logo_url",
    "/display_pattern_info/merchant_name",
];

pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    check_user(call)?;
    find(call)?;
    once(call, false).run(call, |call| {
        let (mut changes, strict) = (call.request.clone(), call.settings.busifavor_refuse_fixed);
        let stock = find(call)?;
        check_open(stock)?;
        if stock.rules.get("subsidy") == Some(&Value::Bool(true)) && changes.get("subsidy") == Some(&Value::Bool(false))
        {
            let why = "subsidies can be switched on, never off";
            return Err(guessed(400, "INVALID_REQUEST", "营销补差开启后不可关闭", why));
        }
        let present = |pointer: &str| match stock.rules.pointer(pointer) {
            None if pointer.ends_with("_limit") => Some(&Value::Bool(false)),
            present => present,
        };
        let fixed: Vec<_> =
            FIXED.iter().filter(|at| changes.pointer(at).is_some_and(|new| Some(new) != present(at))).collect();
        if strict && !fixed.is_empty() {
            let why = "it would change what cannot be changed at present (setting)";
            return Err(guessed(400, "INVALID_REQUEST", "该字段暂不支持修改", why));
        }
        for pointer in fixed {
            let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
            if let Some(Value::Object(fields)) = changes.pointer_mut(parent) {
                fields.remove(name);
            }
        }
        if let (Some(rules), Value::Object(mut changes)) = (stock.rules.as_object_mut(), changes) {
            changes.remove("stock_id");
            changes.remove("out_request_no");
            merge(rules, changes);
        }
        Ok(Answer::empty(Basis::Documented, "the stock is changed"))
    })
}

/// Takes changes over, within objects field by field.
fn merge(into: &mut Map<String, Value>, changes: Map<String, Value>) {
    for (name, change) in changes {
        match (into.get_mut(&name), change) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (_, change) => {
                into.insert(name, change);
            }
        }
    }
}

pub(super) fn update_budget(call: &mut Call<'_>) -> Outcome {
    find(call)?;
    once(call, false).run(call, |call| {
        let (now, floor) = (call.now, call.settings.busifavor_budget_floor);
        let number = |name: &str| call.request.get(name).and_then(Value::as_i64);
        let by_day = number("target_max_coupons").is_none();
        let (name, words) = if by_day {
            ("max_coupons_by_day", "当前单天发放上限个数不正确")
        } else {
            ("max_coupons", "当前批次最大发放个数不正确")
        };
        let (target, current) = (number(&format!("target_{name}")), number(&format!("current_{name}")));
        let stock = find(call)?;
        check_open(stock)?;
        if current != Some(stock.limit(name).unwrap_or(0)) {
            return Err(guessed(400, "INVALID_REQUEST", words, "the present value is not that of the stock"));
        }
        let sent = if by_day { stock.sent_today(now) } else { stock.sent() };
        if floor && target < Some(sent) {
            let why = "more coupons than that were handed out already (setting)";
            return Err(guessed(400, "INVALID_REQUEST", "目标个数小于已发放个数", why));
        }
        if let Some(Value::Object(rule)) = stock.rules.get_mut("stock_send_rule") {
            rule.insert(name.to_owned(), json!(target));
        }
        let mut body = json!({"max_coupons": stock.limit("max_coupons")});
        if let (Some(fields), Some(daily)) = (body.as_object_mut(), stock.limit("max_coupons_by_day")) {
            fields.insert("max_coupons_by_day".to_owned(), json!(daily));
        }
        Ok(Answer::ok(body, Basis::Documented, "the limit is changed"))
    })
}
