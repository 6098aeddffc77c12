//! Stocks of cash coupons.

use super::{Act, Call, Ledger, Once, StockEffect, immovable};
use crate::ambient::{instant, time_text};
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::settings::{FavorFirstState, Repeat};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(super) const ACTS: &[Act] = &[
    Act {
        words: |violation| {
            let budget = violation.rule == "product" && violation.at == "/stock_use_rule/max_amount";
            budget.then_some("批次预算等于批次面额乘以发券数")
        },
        ..Act::new("favor.create_coupon_stock", create)
    },
    Act::new("favor.get_stock", get),
    Act::new("favor.start_stock", start),
    Act::new("favor.pause_stock", pause),
    Act::new("favor.restart_stock", restart),
    Act::new("favor.stop_stock", stop),
];

const NO_STOCK: &str = "批次不存在";
const NOT_YOURS: &str = "调用商户无权限";
const WRONG_STATE: &str = "非法的批次状态";
const NO_MERCHANT: &str = "商户号不合法";

/// All stocks of cash coupons.
#[derive(Debug, Default)]
pub(super) struct Favor {
    stocks: BTreeMap<String, Stock>,
}

#[derive(Debug)]
struct Stock {
    creator: String,
    /// The request that created it.
    rules: Value,
    status: Status,
    created: i64,
    ends: i64,
    started: Option<i64>,
    paused: Option<i64>,
    stopped: Option<i64>,
}

/// State of a stock, spelt as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Unactivated,
    Audit,
    Running,
    Paused,
    Stoped,
}

impl Status {
    const fn as_str(self) -> &'static str {
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
    fn settle(&mut self, now: i64) {
        if self.status != Status::Stoped && now > self.ends {
            self.status = Status::Stoped;
            self.stopped = Some(self.ends);
        }
    }

    /// Money that is locked for it, in fen.
    fn locked(&self) -> i64 {
        let prepaid = self.rules.get("no_cash") == Some(&Value::Bool(false));
        let live = matches!(self.status, Status::Running | Status::Paused);
        if prepaid && live { self.budget() } else { 0 }
    }

    fn budget(&self) -> i64 {
        self.rules.pointer("/stock_use_rule/max_amount").and_then(Value::as_i64).unwrap_or(0)
    }
}

fn create(call: &mut Call<'_>) -> Outcome {
    if !call.knows(&call.text("belong_merchant")) {
        let why = "belong_merchant is no merchant of the sandbox";
        return Err(Answer::refuse(400, "MCH_NOT_EXISTS", NO_MERCHANT, Basis::Documented, why));
    }
    if !call.settings.favor_opened {
        let why = "the product is not opened (setting)";
        return Err(Answer::refuse(403, "REQUEST_BLOCKED", NOT_YOURS, Basis::Documented, why));
    }
    let once = Once {
        same: (Repeat::FirstAnswer, Basis::Documented),
        other: ("请求重入，但参数与上次请求不一致", Basis::Observed),
        exists: "批次已存在",
    };
    once.run(call, |call| {
        let stocks = &call.state.favor.stocks;
        let stock_id = call.ambient.fresh_digits(8, |id| stocks.contains_key(id));
        let status = match call.settings.favor_first_state {
            FavorFirstState::Unactivated => Status::Unactivated,
            FavorFirstState::Audit => Status::Audit,
        };
        let stock = Stock {
            creator: call.caller.to_owned(),
            rules: call.request.clone(),
            status,
            created: call.now,
            ends: instant(&call.text("available_end_time")).map_or(i64::MAX, |(seconds, _)| seconds),
            started: None,
            paused: None,
            stopped: None,
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
        let why = "stock_creator_mchid is no merchant of the sandbox";
        return Err(Answer::refuse(400, "MCH_NOT_EXISTS", NO_MERCHANT, Basis::Guess, why));
    }
    let (caller, now) = (call.caller, call.now);
    let Some(stock) = call.state.favor.stocks.get_mut(&stock_id) else {
        return Err(Answer::refuse(404, "RESOURCE_NOT_EXISTS", NO_STOCK, Basis::Documented, "no such stock"));
    };
    stock.settle(now);
    if caller != stock.creator {
        let why = "the caller is not the creator of the stock";
        return Err(Answer::refuse(403, "REQUEST_BLOCKED", NOT_YOURS, Basis::Documented, why));
    }
    if creator != stock.creator {
        let why = "stock_creator_mchid is not the creator of the stock";
        return Err(Answer::refuse(404, "RESOURCE_NOT_EXISTS", NO_STOCK, Basis::Guess, why));
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

fn start(call: &mut Call<'_>) -> Outcome {
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
    let (creator, prepaid) = (stock.creator.clone(), stock.rules.get("no_cash") == Some(&Value::Bool(false)));
    if age < i64::from(settings.favor_registration_delay) {
        let why = "the card of the stock is not registered yet (setting)";
        return Err(Answer::refuse(500, "SYSTEM_ERROR", "卡券未注册，请稍后重试", Basis::Guess, why));
    }
    if !settings.favor_audience_imported {
        let why = "the audience is not imported (setting)";
        return Err(Answer::refuse(403, "RULE_LIMIT", "人群未导入", Basis::Observed, why));
    }
    if let Some(balance) = settings.favor_balance.filter(|_| prepaid) {
        let locked = call.state.favor.locked(&creator, now);
        if budget > balance.saturating_sub(locked) {
            let why = "the balance does not cover the budget (setting)";
            return Err(Answer::refuse(403, "NOT_ENOUGH", "批次预算不足", Basis::Guess, why));
        }
    }
    let stock = find(call)?;
    stock.status = Status::Running;
    stock.started = Some(now);
    Ok(moved(call, "start_time", None, Basis::Documented, "the stock runs"))
}

fn pause(call: &mut Call<'_>) -> Outcome {
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

fn restart(call: &mut Call<'_>) -> Outcome {
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

fn stop(call: &mut Call<'_>) -> Outcome {
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

fn get(call: &mut Call<'_>) -> Outcome {
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
    show("distributed_coupons", Some(&json!(0)));
    show("singleitem", Some(&json!(rules.pointer("/coupon_use_rule/goods_tag").is_some())));
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

impl Favor {
    /// Money that is locked for the stocks of a merchant, in fen.
    fn locked(&mut self, creator: &str, now: i64) -> i64 {
        let mut sum = 0i64;
        for stock in self.stocks.values_mut().filter(|stock| stock.creator == creator) {
            stock.settle(now);
            sum = sum.saturating_add(stock.locked());
        }
        sum
    }

    pub(super) fn enter(&mut self, now: i64, ledger: &mut Ledger) {
        for (stock_id, stock) in &mut self.stocks {
            stock.settle(now);
            let number = stock.rules.get("out_request_no").and_then(Value::as_str).unwrap_or_default();
            ledger.stocks.push(StockEffect {
                family: "favor",
                stock_id: stock_id.clone(),
                creator: stock.creator.clone(),
                out_request_no: number.to_owned(),
                status: stock.status.as_str(),
                count: 1,
            });
        }
    }

    /// Moves a stock as no API can; `None` if it is none of these.
    pub(super) fn act(
        &mut self,
        act: &str,
        stock_id: &str,
        to: &str,
        now: i64,
    ) -> Option<Result<&'static str, String>> {
        let stock = self.stocks.get_mut(stock_id)?;
        stock.settle(now);
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
        Some(Ok(next.as_str()))
    }
}
