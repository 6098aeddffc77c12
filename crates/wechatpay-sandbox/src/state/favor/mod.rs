//! Cash coupons: stocks, the coupons of users, the payments in which they are used, and the records of those.

mod callback;
mod coupon;
mod flow;
mod image;
mod stock;

use super::{
    AccountEffect, Act, BudgetEffect, Call, CouponEffect, Deed, Ledger, PaymentEffect, RefundEffect, StockEffect,
};
use crate::answer::Answer;
use crate::log::Basis;
use crate::settings::{OffsetUnit, Settings};
use callback::Callback;
use coupon::{Coupon, State};
use flow::Payment;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use stock::Stock;

pub(super) const ACTS: &[Act] = &[
    Act {
        words: |violation| {
            let budget = violation.rule == "product" && violation.at == "/stock_use_rule/max_amount";
            budget.then_some("批次预算等于批次面额乘以发券数")
        },
        ..Act::new("favor.create_coupon_stock", stock::create)
    },
    Act::new("favor.get_stock", stock::get),
    Act::new("favor.list_stocks", stock::list),
    Act::new("favor.list_stock_merchants", stock::merchants),
    Act::new("favor.list_stock_items", stock::items),
    Act::new("favor.start_stock", stock::start),
    Act::new("favor.pause_stock", stock::pause),
    Act::new("favor.restart_stock", stock::restart),
    Act::new("favor.stop_stock", stock::stop),
    Act::new("favor.update_stock_goods", stock::change_goods),
    Act::new("favor.send_coupon", coupon::send),
    Act::new("favor.get_user_coupon", coupon::get),
    Act {
        words: |violation| (violation.rule == "at_least_one").then_some("商户号必填"),
        ..Act::new("favor.list_user_coupons", coupon::list)
    },
    Act::new("favor.get_use_flow", |call| flow::whole(call, flow::USES)),
    Act::new("favor.get_refund_flow", |call| flow::whole(call, flow::REFUNDS)),
    Act::new("favor.get_use_flow_by_day", |call| flow::by_day(call, flow::USES)),
    Act::new("favor.get_refund_flow_by_day", |call| flow::by_day(call, flow::REFUNDS)),
    Act {
        words: |violation| match (violation.rule, violation.at.as_str()) {
            ("required", "/notify_url") => Some("回调 url 不能为空"),
            ("required", "/mchid") => Some("回调商户不能为空"),
            _ => None,
        },
        ..Act::new("favor.set_callback", callback::set)
    },
    Act::new("favor.get_callback", callback::get),
    Act::new("favor.upload_image", image::upload),
];

const FAMILY: &str = "favor";

const NO_STOCK: &str = "批次不存在";
const NOT_YOURS: &str = "调用商户无权限";
const NO_MERCHANT: &str = "商户号不合法";
const OTHER_PARAMETERS: &str = "请求重入，但参数与上次请求不一致";

/// Everything about cash coupons.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Favor {
    stocks: BTreeMap<String, Stock>,
    coupons: BTreeMap<String, Coupon>,
    /// The coupons of an openid, in the order in which they were received.
    users: BTreeMap<String, Vec<String>>,
    /// The appid that an openid belongs to.
    appids: BTreeMap<String, String>,
    /// In the order in which they were paid.
    payments: Vec<Payment>,
    /// Where in `payments` a transaction is.
    transactions: BTreeMap<String, usize>,
    callbacks: BTreeMap<String, Callback>,
    /// Fen that a merchant has recharged.
    recharged: BTreeMap<String, i64>,
}

/// The refusal of a merchant that does not exist, or cannot exist.
fn no_merchant(call: &Call<'_>, field: &str) -> Box<Answer> {
    if call.text(field).bytes().all(|byte| byte.is_ascii_digit()) {
        let why = format!("{field} is no merchant of the sandbox");
        return Answer::refuse(400, "MCH_NOT_EXISTS", NO_MERCHANT, Basis::Documented, why);
    }
    let why = format!("{field} is no number");
    Answer::refuse(400, "INVALID_REQUEST", "非法的商户号", Basis::Guess, why)
}

fn no_stock() -> Box<Answer> {
    Answer::refuse(404, "RESOURCE_NOT_EXISTS", NO_STOCK, Basis::Documented, "no such stock")
}

/// One page of a list, as the request asks for it.
fn page<T>(call: &Call<'_>, items: Vec<T>, limit: i64) -> Vec<T> {
    let (offset, limit) = (call.integer("offset").unwrap_or(0), call.integer("limit").unwrap_or(limit));
    let first = match call.settings.favor_offset {
        OffsetUnit::Page => offset.saturating_mul(limit),
        OffsetUnit::Row => offset,
    };
    let size = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    items.into_iter().skip(size(first)).take(size(limit)).collect()
}

/// The answer of a list; an empty one has no `data`.
fn listed<T: Into<Value>>(call: &Call<'_>, total: usize, data: Vec<T>, limit: i64) -> Value {
    let (offset, limit) = (call.integer("offset").unwrap_or(0), call.integer("limit").unwrap_or(limit));
    let mut body = json!({"total_count": total, "offset": offset, "limit": limit});
    if !data.is_empty()
        && let Some(fields) = body.as_object_mut()
    {
        fields.insert("data".to_owned(), Value::Array(data.into_iter().map(Into::into).collect()));
    }
    body
}

impl Favor {
    /// A stock, with the clock's effect on it.
    fn stock(&mut self, stock_id: &str, now: i64) -> Option<&mut Stock> {
        let stock = self.stocks.get_mut(stock_id)?;
        stock.settle(now);
        Some(stock)
    }

    /// Face value of the coupons of each stock that can be used.
    fn outstanding(&self, now: i64) -> BTreeMap<&str, i64> {
        let mut sums = BTreeMap::new();
        for coupon in self.coupons.values().filter(|coupon| coupon.state(now) == State::Sended) {
            *sums.entry(coupon.stock_id.as_str()).or_insert(0) += coupon.amount;
        }
        sums
    }

    /// What is locked and what is spent of each merchant's money, for its prepaid stocks.
    fn bound(&self, now: i64) -> BTreeMap<&str, (i64, i64)> {
        let outstanding = self.outstanding(now);
        let mut sums: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for (stock_id, stock) in self.stocks.iter().filter(|(_, stock)| stock.prepaid()) {
            let usable = outstanding.get(stock_id.as_str()).copied().unwrap_or(0);
            let sum = sums.entry(stock.creator.as_str()).or_default();
            sum.0 = sum.0.saturating_add(stock.locked(usable));
            sum.1 = sum.1.saturating_add(stock.spent);
        }
        sums
    }

    fn settle(&mut self, now: i64) {
        self.stocks.values_mut().for_each(|stock| stock.settle(now));
    }

    /// Money that a merchant can still lock; `None` if there is no end to it.
    fn available(&mut self, mchid: &str, settings: &Settings, now: i64) -> Option<i64> {
        let balance = settings.favor_balance?;
        self.settle(now);
        let (locked, spent) = self.bound(now).get(mchid).copied().unwrap_or_default();
        let recharged = self.recharged.get(mchid).copied().unwrap_or(0);
        Some(left(balance, recharged, locked, spent))
    }

    pub(super) fn enter(&mut self, now: i64, settings: &Settings, ledger: &mut Ledger) {
        self.settle(now);
        let mut parts: BTreeMap<&str, (i64, i64, i64)> = BTreeMap::new();
        for (coupon_id, coupon) in &self.coupons {
            let state = coupon.state(now);
            let part = parts.entry(coupon.stock_id.as_str()).or_default();
            match state {
                State::Sended => part.0 += coupon.amount,
                State::Used => part.1 += coupon.amount,
                State::Expired => part.2 += coupon.amount,
            }
            ledger.coupons.push(CouponEffect {
                family: FAMILY,
                stock_id: coupon.stock_id.clone(),
                coupon_id: coupon_id.clone(),
                status: state.as_str(),
                count: 1,
            });
        }
        for (stock_id, stock) in &self.stocks {
            ledger.stocks.push(StockEffect {
                family: FAMILY,
                stock_id: stock_id.clone(),
                creator: stock.creator.clone(),
                out_request_no: stock.text("/out_request_no"),
                status: stock.status.as_str(),
                count: 1,
            });
            let (outstanding, used, expired) = parts.get(stock_id.as_str()).copied().unwrap_or_default();
            ledger.budgets.push(BudgetEffect {
                family: FAMILY,
                stock_id: stock_id.clone(),
                budget: stock.budget(),
                unsent: stock.budget() - stock.given,
                outstanding,
                used,
                expired,
                spent: stock.spent,
            });
        }
        for payment in &self.payments {
            ledger.payments.push(PaymentEffect {
                family: FAMILY,
                stock_id: payment.stock_id.clone(),
                coupon_id: payment.coupon_id.clone(),
                transaction_id: payment.transaction_id.clone(),
                amount: payment.amount,
                discount: payment.discount,
                count: 1,
            });
            ledger.refunds.extend(payment.refunds.iter().map(|refund| RefundEffect {
                family: FAMILY,
                stock_id: payment.stock_id.clone(),
                coupon_id: payment.coupon_id.clone(),
                transaction_id: payment.transaction_id.clone(),
                refund_id: refund.refund_id.clone(),
                amount: refund.amount,
                discount: refund.discount,
                count: 1,
            }));
        }
        let bound = self.bound(now);
        let mut merchants: Vec<&str> = bound.keys().copied().chain(self.recharged.keys().map(String::as_str)).collect();
        merchants.sort_unstable();
        merchants.dedup();
        ledger.accounts.extend(merchants.into_iter().map(|mchid| {
            let (locked, spent) = bound.get(mchid).copied().unwrap_or_default();
            let recharged = self.recharged.get(mchid).copied().unwrap_or(0);
            let available = settings.favor_balance.map(|balance| left(balance, recharged, locked, spent));
            AccountEffect { mchid: mchid.to_owned(), recharged, locked, spent, available }
        }));
    }

    /// Does what no API can; `None` if it concerns none of these.
    pub(super) fn act(&mut self, deed: &mut Deed<'_>) -> Option<Result<Value, String>> {
        match deed.text("act") {
            "audit" | "console" => self.move_stock(deed),
            "user_receive" => self.receive(deed),
            "pay_with_coupon" => self.pay(deed),
            "refund" => self.refund(deed),
            "recharge_balance" => Some(self.recharge(deed)),
            _ => None,
        }
    }

    fn recharge(&mut self, deed: &Deed<'_>) -> Result<Value, String> {
        let mchid = deed.text("mchid");
        if mchid.is_empty() {
            return Err("name the merchant in \"mchid\"".to_owned());
        }
        let amount = deed.amount("amount")?.ok_or("say in \"amount\" how many fen are recharged")?;
        let recharged = self.recharged.entry(mchid.to_owned()).or_insert(0);
        *recharged = recharged.checked_add(amount).ok_or("nobody has so much money; recharge less")?;
        let recharged = *recharged;
        Ok(json!({
            "mchid": mchid,
            "recharged": recharged,
            "available": self.available(mchid, deed.settings, deed.now),
        }))
    }
}

/// What is left of the money of a merchant.
fn left(balance: i64, recharged: i64, locked: i64, spent: i64) -> i64 {
    balance.saturating_add(recharged).saturating_sub(locked).saturating_sub(spent)
}
