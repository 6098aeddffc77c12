//! Stocks of cash coupons: their states and what they hold.

use super::{Call, Deed, Favor, NOT_YOURS, OTHER_PARAMETERS, listed, no_merchant, no_stock, page};
use crate::ambient::{day, instant, time_text};
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::settings::{FavorFirstState, GoodsTime, Repeat};
use crate::state::{Once, immovable};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;

const WRONG_STATE: &str = "非法的批次状态";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stock {
    pub(super) creator: String,
    /// The request that created it.
    rules: Value,
    pub(super) status: Status,
    /// Tells stocks of one second apart.
    serial: usize,
    created: i64,
    pub(super) begins: i64,
    pub(super) ends: i64,
    started: Option<i64>,
    paused: Option<i64>,
    pub(super) stopped: Option<i64>,
    /// Goods that the coupons are for; none means all.
    pub(super) goods: Vec<String>,
    /// How many coupons were handed out.
    pub(super) sent: i64,
    /// Face value of those, in fen.
    pub(super) given: i64,
    /// Face value that was handed out on each day.
    pub(super) by_day: BTreeMap<i64, i64>,
    /// How many each openid has received.
    pub(super) receivers: BTreeMap<String, i64>,
    /// What payments took off less what refunds gave back, in fen.
    pub(super) spent: i64,
}

/// State of a stock, spelt as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Status {
    Unactivated,
    Audit,
    Running,
    Paused,
    Stoped,
}

impl Status {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Unactivated => "unactivated",
            Self::Audit => "audit",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stoped => "stoped",
        }
    }
}

impl Stock {
    /// Lets the clock have its effect.
    pub(super) fn settle(&mut self, now: i64) {
        if self.status != Status::Stoped && now > self.ends {
            self.status = Status::Stoped;
            self.stopped = Some(self.ends);
        }
    }

    /// Whether its creator pays for the coupons, with money that is locked when it starts.
    pub(super) fn prepaid(&self) -> bool {
        self.rules.get("no_cash") == Some(&Value::Bool(false))
    }

    /// Money that is locked for it, in fen: all that it may still spend, and once it is over what users can still use.
    pub(super) fn locked(&self, outstanding: i64) -> i64 {
        match self.status {
            Status::Running | Status::Paused => self.budget().saturating_sub(self.spent),
            Status::Unactivated | Status::Audit => 0,
            Status::Stoped => outstanding,
        }
    }

    pub(super) fn budget(&self) -> i64 {
        self.number("/stock_use_rule/max_amount").unwrap_or(0)
    }

    /// A number of the request that created it.
    pub(super) fn number(&self, place: &str) -> Option<i64> {
        self.rules.pointer(place).and_then(Value::as_i64)
    }

    /// A text of the request that created it; empty where it is absent.
    pub(super) fn text(&self, place: &str) -> String {
        self.rules.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Whether a rule of the request that created it is on.
    pub(super) fn on(&self, place: &str) -> bool {
        self.rules.pointer(place) == Some(&Value::Bool(true))
    }

    /// Merchants that accept the coupons.
    pub(super) fn merchants(&self) -> Vec<&str> {
        texts(self.rules.pointer("/coupon_use_rule/available_merchants"))
    }

    pub(super) fn single_item(&self) -> bool {
        !self.goods.is_empty() || self.rules.pointer("/coupon_use_rule/goods_tag").is_some()
    }

    /// A part of the request that created it, as it was sent.
    pub(super) fn rule(&self, place: &str) -> Option<&Value> {
        self.rules.pointer(place)
    }

    /// Whether its coupons can be used at this hour of this day of the week.
    pub(super) fn open(&self, now: i64) -> bool {
        let Some(window) = self.rule("/coupon_use_rule/coupon_available_time/fix_available_time") else { return true };
        let days = window.get("available_week_day").and_then(Value::as_array);
        let bound = |name: &str, default| window.get(name).and_then(Value::as_i64).unwrap_or(default);
        let on_day = days.is_none_or(|days| days.iter().any(|day| day.as_i64() == Some(day::of_week(now))));
        on_day && (bound("begin_time", 0)..=bound("end_time", 86_399)).contains(&day::second(now))
    }

    /// When a coupon that is received now can be used: from when, and until when.
    pub(super) fn validity(&self, now: i64) -> (i64, i64) {
        let tomorrow = self.on("/coupon_use_rule/coupon_available_time/second_day_available");
        let from = if tomorrow { day::begin(day::of(now) + 1) } else { now };
        let from = from.max(self.begins);
        match self.number("/coupon_use_rule/coupon_available_time/available_time_after_receive") {
            Some(minutes) if minutes > 0 => (from, self.ends.min(from.saturating_add(minutes.saturating_mul(60)))),
            _ => (from, self.ends),
        }
    }
}

/// The texts of an array.
fn texts(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether the times at which coupons can be used leave none.
fn contradicts(request: &Value) -> bool {
    let times = request.pointer("/coupon_use_rule/coupon_available_time");
    let Some(window) = times.and_then(|times| times.get("fix_available_time")) else { return false };
    let bound = |name: &str, default| window.get(name).and_then(Value::as_i64).unwrap_or(default);
    let tomorrow = times.and_then(|times| times.get("second_day_available")) == Some(&Value::Bool(true));
    tomorrow || bound("begin_time", 0) >= bound("end_time", 86_399)
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    if !call.knows(&call.text("belong_merchant")) {
        return Err(no_merchant(call, "belong_merchant"));
    }
    if !call.settings.favor_opened {
        let why = "the product is not opened (setting)";
        return Err(Answer::refuse(403, "REQUEST_BLOCKED", NOT_YOURS, Basis::Documented, why));
    }
    let once = Once {
        same: (Repeat::FirstAnswer, Basis::Documented),
        other: (OTHER_PARAMETERS, Basis::Observed),
        exists: "批次已存在",
        code: "RESOURCE_ALREADY_EXISTS",
    };
    once.run(call, |call| {
        if contradicts(&call.request) {
            let (message, why) =
                ("批次发放规则或核销规则有误，请修改后重试", "there is no time at which coupons could be used");
            return Err(Answer::refuse(400, "INVALID_REQUEST", message, Basis::Observed, why));
        }
        let stocks = &call.state.favor.stocks;
        let stock_id = call.ambient.fresh_digits(8, |id| stocks.contains_key(id));
        let status = match call.settings.favor_first_state {
            FavorFirstState::Unactivated => Status::Unactivated,
            FavorFirstState::Audit => Status::Audit,
        };
        let at = |name: &str| instant(&call.text(name)).map(|(seconds, _)| seconds);
        let goods = texts(call.request.pointer("/coupon_use_rule/available_items"));
        let stock = Stock {
            creator: call.caller.to_owned(),
            rules: call.request.clone(),
            status,
            serial: stocks.len(),
            created: call.now,
            begins: at("available_begin_time").unwrap_or(call.now),
            ends: at("available_end_time").unwrap_or(i64::MAX),
            started: None,
            paused: None,
            stopped: None,
            goods: goods.into_iter().map(str::to_owned).collect(),
            sent: 0,
            given: 0,
            by_day: BTreeMap::new(),
            receivers: BTreeMap::new(),
            spent: 0,
        };
        call.state.favor.stocks.insert(stock_id.clone(), stock);
        let body = json!({"stock_id": stock_id, "create_time": time_text(call.now)});
        let why = "a stock is created and never starts by itself";
        Ok(Answer::ok(body, if status == Status::Audit { Basis::Guess } else { Basis::Documented }, why))
    })
}

/// The stock that a call names, with the clock's effect on it; its caller is its creator.
fn find<'s>(call: &'s mut Call<'_>) -> Outcome<&'s mut Stock> {
    let (stock_id, creator) = (call.text("stock_id"), call.text("stock_creator_mchid"));
    if !call.knows(&creator) {
        return Err(no_merchant(call, "stock_creator_mchid"));
    }
    let (caller, now) = (call.caller, call.now);
    let stock = call.state.favor.stock(&stock_id, now).ok_or_else(no_stock)?;
    if caller != stock.creator {
        let why = "the caller is not the creator of the stock";
        return Err(Answer::refuse(403, "REQUEST_BLOCKED", NOT_YOURS, Basis::Documented, why));
    }
    if creator != stock.creator {
        let mut answer = no_stock();
        (answer.basis, answer.why) = (Basis::Guess, "stock_creator_mchid is not the creator of the stock".into());
        return Err(answer);
    }
    Ok(stock)
}

fn wrong_state(status: Status, basis: Basis) -> Box<Answer> {
    let why = format!("a stock that is {} does not allow this", status.as_str());
    Answer::refuse(400, "PARAM_ERROR", WRONG_STATE, basis, why)
}

/// The answer of a transition: when it happened, and the stock.
fn moved(call: &Call<'_>, time: &str, at: Option<i64>, basis: Basis, why: &'static str) -> Answer {
    let at = time_text(at.unwrap_or(call.now));
    Answer::ok(json!({time: at, "stock_id": call.text("stock_id")}), basis, why)
}

pub(super) fn start(call: &mut Call<'_>) -> Outcome {
    let (now, settings) = (call.now, call.settings);
    let stock = find(call)?;
    match stock.status {
        Status::Running => {
            let started = stock.started;
            let why = "it runs already: the first start_time again";
            return Ok(moved(call, "start_time", started, Basis::Documented, why));
        }
        Status::Unactivated => {}
        other => return Err(wrong_state(other, Basis::Guess)),
    }
    let (age, budget) = (now - stock.created, stock.budget());
    let (creator, prepaid) = (stock.creator.clone(), stock.prepaid());
    let delay = i64::from(settings.favor_registration_delay);
    // The clock can be set back: no delay is none then either.
    if delay > 0 && age < delay {
        let why = "the card of the stock is not registered yet (setting)";
        return Err(Answer::refuse(500, "SYSTEM_ERROR", "卡券未注册，请稍后重试", Basis::Guess, why));
    }
    if !settings.favor_audience_imported {
        let why = "the audience is not imported (setting)";
        return Err(Answer::refuse(403, "RULE_LIMIT", "人群未导入", Basis::Observed, why));
    }
    if prepaid && call.state.favor.available(&creator, settings, now).is_some_and(|available| budget > available) {
        let why = "the balance does not cover the budget (setting)";
        return Err(Answer::refuse(403, "NOT_ENOUGH", "批次预算不足", Basis::Guess, why));
    }
    let stock = find(call)?;
    stock.status = Status::Running;
    stock.started = Some(now);
    Ok(moved(call, "start_time", None, Basis::Documented, "the stock runs"))
}

pub(super) fn pause(call: &mut Call<'_>) -> Outcome {
    let now = call.now;
    let stock = find(call)?;
    match stock.status {
        Status::Running => {
            stock.status = Status::Paused;
            stock.paused = Some(now);
            Ok(moved(call, "pause_time", None, Basis::Documented, "the stock is paused"))
        }
        Status::Paused => {
            let paused = stock.paused;
            let why = "it is paused already: the first pause_time again";
            Ok(moved(call, "pause_time", paused, Basis::Documented, why))
        }
        other => Err(wrong_state(other, Basis::Guess)),
    }
}

pub(super) fn restart(call: &mut Call<'_>) -> Outcome {
    let stock = find(call)?;
    match stock.status {
        Status::Paused => {
            stock.status = Status::Running;
            Ok(moved(call, "restart_time", None, Basis::Documented, "the stock runs again"))
        }
        Status::Running => Ok(moved(call, "restart_time", None, Basis::Guess, "it runs already")),
        other => Err(wrong_state(other, Basis::Guess)),
    }
}

pub(super) fn stop(call: &mut Call<'_>) -> Outcome {
    let now = call.now;
    let stock = find(call)?;
    match stock.status {
        Status::Unactivated => {
            stock.status = Status::Stoped;
            stock.stopped = Some(now);
            Ok(moved(call, "stop_time", None, Basis::Documented, "a stock that never ran is stopped"))
        }
        other => Err(wrong_state(other, Basis::Guess)),
    }
}

pub(super) fn get(call: &mut Call<'_>) -> Outcome {
    let (stock_id, stock) = (call.text("stock_id"), find(call)?);
    Ok(Answer::ok(describe(&stock_id, stock), Basis::Documented, "the stock as it is"))
}

/// A stock as queries show it.
fn describe(stock_id: &str, stock: &Stock) -> Value {
    let rules = &stock.rules;
    let mut shown = Map::new();
    let mut show = |name: &str, value: Option<&Value>| {
        if let Some(value) = value {
            shown.insert(name.to_owned(), value.clone());
        }
    };
    for name in ["stock_name", "available_begin_time", "available_end_time", "no_cash", "stock_type"] {
        show(name, rules.get(name));
    }
    show("description", rules.pointer("/pattern_info/description"));
    show("stock_id", Some(&json!(stock_id)));
    show("stock_creator_mchid", Some(&json!(stock.creator)));
    show("status", Some(&json!(stock.status.as_str())));
    show("create_time", Some(&json!(time_text(stock.created))));
    show("distributed_coupons", Some(&json!(stock.sent)));
    show("singleitem", Some(&json!(stock.single_item())));
    show("start_time", stock.started.map(|at| json!(time_text(at))).as_ref());
    show("stop_time", stock.stopped.map(|at| json!(time_text(at))).as_ref());

    let mut rule = rules.get("stock_use_rule").and_then(Value::as_object).cloned().unwrap_or_default();
    for name in ["fixed_normal_coupon", "goods_tag", "trade_type", "combine_use"] {
        if let Some(value) = rules.pointer(&format!("/coupon_use_rule/{name}")) {
            rule.insert(name.to_owned(), value.clone());
        }
    }
    rule.insert("coupon_type".to_owned(), json!("NORMAL"));
    show("stock_use_rule", Some(&Value::Object(rule)));
    Value::Object(shown)
}

/// The stocks of the caller, newest first.
pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let creator = call.text("stock_creator_mchid");
    if !call.knows(&creator) {
        return Err(no_merchant(call, "stock_creator_mchid"));
    }
    if creator != call.caller {
        let why = "the stocks are another merchant's";
        return Err(Answer::refuse(403, "REQUEST_BLOCKED", NOT_YOURS, Basis::Guess, why));
    }
    let bound = |name: &str| instant(&call.text(name)).map(|(seconds, _)| seconds);
    let (from, until) = (bound("create_start_time"), bound("create_end_time"));
    let status = call.text("status");
    call.state.favor.settle(call.now);
    let mut found: Vec<_> = call.state.favor.stocks.iter().collect();
    found.retain(|(_, stock)| {
        stock.creator == creator
            && from.is_none_or(|from| stock.created >= from)
            && until.is_none_or(|until| stock.created <= until)
            && (status.is_empty() || stock.status.as_str() == status)
    });
    found.sort_by_key(|(_, stock)| Reverse((stock.created, stock.serial)));
    let total = found.len();
    let data = page(call, found, 10).into_iter().map(|(id, stock)| describe(id, stock)).collect();
    let why = "the stocks that the caller created; their order is a guess";
    Ok(Answer::ok(listed::<Value>(call, total, data, 10), Basis::Documented, why))
}

/// One page of what a stock holds.
fn part(call: &mut Call<'_>, of: fn(&Stock) -> Vec<String>, why: &'static str) -> Outcome {
    let all = of(find(call)?);
    let total = all.len();
    let data = page(call, all, 10);
    let mut body = listed(call, total, data, 10);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("stock_id".to_owned(), json!(call.text("stock_id")));
    }
    Ok(Answer::ok(body, Basis::Documented, why))
}

pub(super) fn merchants(call: &mut Call<'_>) -> Outcome {
    let of = |stock: &Stock| stock.merchants().into_iter().map(str::to_owned).collect();
    part(call, of, "merchants that accept the coupons")
}

pub(super) fn items(call: &mut Call<'_>) -> Outcome {
    part(call, |stock| stock.goods.clone(), "goods that the coupons are for")
}

/// Takes goods out of a stock and puts others in.
pub(super) fn change_goods(call: &mut Call<'_>) -> Outcome {
    let list = |name: &str| -> Vec<String> { texts(call.request.get(name)).into_iter().map(str::to_owned).collect() };
    let (added, taken) = (list("add_goods_id_list"), list("delete_goods_id_list"));
    let name = match call.settings.favor_goods_time {
        GoodsTime::PauseTime => "pause_time",
        GoodsTime::EffectTime => "effect_time",
    };
    let stock = find(call)?;
    if stock.status == Status::Stoped {
        return Err(wrong_state(stock.status, Basis::Guess));
    }
    let mut goods = stock.goods.clone();
    goods.retain(|item| !taken.contains(item));
    for item in added {
        if !goods.contains(&item) {
            goods.push(item);
        }
    }
    if goods.is_empty() {
        let why = "the change would leave the stock without goods";
        return Err(Answer::refuse(400, "PARAM_ERROR", "参数错误", Basis::Guess, why));
    }
    stock.goods = goods;
    Ok(moved(call, name, None, Basis::Documented, "the goods are changed; what is there or gone already is no error"))
}

impl Favor {
    /// Moves a stock as reviewers and people in the merchant platform do.
    pub(super) fn move_stock(&mut self, deed: &Deed<'_>) -> Option<Result<Value, String>> {
        let (act, stock_id, to, now) = (deed.text("act"), deed.text("stock_id"), deed.text("to"), deed.now);
        let stock = self.stock(stock_id, now)?;
        let next = match (act, to, stock.status) {
            ("audit", "ask", Status::Unactivated) => Status::Audit,
            ("audit", "pass", Status::Audit) => Status::Unactivated,
            ("audit", "refuse", Status::Audit) | ("console", "stop", Status::Running | Status::Paused) => {
                Status::Stoped
            }
            ("console", "pause", Status::Running) => Status::Paused,
            ("console", "restart", Status::Paused) => Status::Running,
            (_, _, status) => {
                let possible = "ask, pass, refuse (audit), pause, restart, stop (console)";
                return Some(Err(immovable(act, to, status.as_str(), possible)));
            }
        };
        match next {
            Status::Stoped => stock.stopped = Some(now),
            Status::Paused => stock.paused = Some(now),
            _ => {}
        }
        stock.status = next;
        Some(Ok(json!({"stock_id": stock_id, "status": next.as_str()})))
    }
}
