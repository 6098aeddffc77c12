//! Merchant coupons: stocks, the pools of their codes, the coupons of users, subsidies, and who is told.

mod callback;
mod code;
mod coupon;
mod stock;
mod subsidy;

use super::{Act, Call, CouponEffect, Deed, Ledger, Once, StockEffect, immovable, number_of_day};
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::settings::Repeat;
pub(super) use coupon::Reward;
use coupon::{Coupon, CouponStatus};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use stock::{Status, Stock};

pub(super) const ACTS: &[Act] = &[
    Act::new("busifavor.create_stock", stock::create),
    Act::new("busifavor.get_stock", stock::get),
    Act::new("busifavor.update_stock", stock::update),
    Act::new("busifavor.update_stock_budget", stock::update_budget),
    Act {
        // A code that is too long or has a wrong character does not refuse the request: it is sorted out.
        own: |violation| {
            violation.at.starts_with("/coupon_code_list/") && matches!(violation.rule, "length" | "charset")
        },
        ..Act::new("busifavor.upload_coupon_codes", code::upload)
    },
    Act::new("busifavor.list_coupon_codes", code::list),
    Act::new("busifavor.get_coupon_code", code::get),
    Act::new("busifavor.delete_coupon_code", code::delete),
    Act::new("busifavor.send_coupon", coupon::send),
    Act::new("busifavor.send_card", coupon::send_card),
    Act::new("busifavor.send_product_coupon", coupon::send_product),
    Act::new("busifavor.pre_send_product_coupon", coupon::pre_send_product),
    Act::new("busifavor.list_user_coupons", coupon::list),
    Act::new("busifavor.get_user_coupon", coupon::get),
    Act::new("busifavor.use_coupon", coupon::use_coupon),
    Act::new("busifavor.return_coupon", coupon::return_coupon),
    Act::new("busifavor.deactivate_coupon", coupon::deactivate),
    Act::new("busifavor.associate_order", coupon::associate),
    Act::new("busifavor.disassociate_order", coupon::disassociate),
    Act::new("busifavor.set_callback", callback::set),
    Act::new("busifavor.get_callback", callback::get),
    Act::new("busifavor.create_subsidy_payment", subsidy::pay),
    Act::new("busifavor.list_subsidy_payments", subsidy::list_payments),
    Act::new("busifavor.get_subsidy_payment", subsidy::get_payment),
    Act::new("busifavor.create_subsidy_return", subsidy::give_back),
    Act::new("busifavor.get_subsidy_return", subsidy::get_return),
];

const NOT_FOUND: &str = "查询的资源不存在";
const NOT_ALLOWED: &str = "无权限";
const NO_MERCHANT: &str = "商户号不存在";
const REUSED: &str = "请求重入，但参数与上次请求不一致";

/// Everything about merchant coupons.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Busifavor {
    stocks: BTreeMap<String, Stock>,
    /// The stock of each code that was not the merchant's choice: these are unique everywhere.
    generated: BTreeMap<String, String>,
    /// Stock and code of the coupons of each user, oldest first.
    users: BTreeMap<String, Vec<(String, String)>>,
    /// Gifts that users are yet to open, by their token.
    tokens: BTreeMap<String, coupon::Promise>,
    callbacks: BTreeMap<String, callback::Callback>,
    payments: Vec<subsidy::Payment>,
    returns: Vec<subsidy::Return>,
    /// Refunds of orders for which coupons were used: the order of each.
    refunds: BTreeMap<String, String>,
}

/// What is done about repeats: as documented, or as the setting for what is not.
fn once(call: &Call<'_>, documented: bool) -> Once {
    let same = if documented {
        (Repeat::FirstAnswer, Basis::Documented)
    } else {
        (call.settings.guessed_repeat, Basis::Guess)
    };
    Once { same, other: (REUSED, Basis::Guess), exists: "请求单号已存在", code: "RESOURCE_ALREADY_EXISTS" }
}

fn not_found(why: &'static str) -> Box<Answer> {
    Answer::refuse(404, "RESOURCE_NOT_EXISTS", NOT_FOUND, Basis::Documented, why)
}

fn no_merchant(why: &'static str) -> Box<Answer> {
    Answer::refuse(400, "MCH_NOT_EXISTS", NO_MERCHANT, Basis::Documented, why)
}

fn not_allowed(why: &'static str) -> Box<Answer> {
    Answer::refuse(403, "NOAUTH", NOT_ALLOWED, Basis::Documented, why)
}

/// A refusal whose code nobody has published.
fn guessed(status: u16, code: &str, message: &str, why: &'static str) -> Box<Answer> {
    Answer::refuse(status, code, message, Basis::Guess, why)
}

/// Where requests name an app.
const APPIDS: [&str; 3] = ["/appid", "/notify_config/notify_appid", "/coupon_use_rule/mini_programs_appid"];

/// Refuses apps and users that the settings name.
fn check_user(call: &Call<'_>) -> Outcome<()> {
    let named = APPIDS.iter().filter_map(|at| call.request.pointer(at).and_then(Value::as_str));
    if named.into_iter().any(|appid| call.settings.busifavor_unbound_appids.iter().any(|unbound| unbound == appid)) {
        let why = "the appid is not bound to the merchant (setting)";
        let message = "appid 与请求方商户无关联关系";
        return Err(Answer::refuse(400, "APPID_MCHID_NOT_MATCH", message, Basis::Documented, why));
    }
    if call.settings.busifavor_unknown_users.contains(&call.text("openid")) {
        let why = "there is no such user (setting)";
        return Err(Answer::refuse(404, "USER_NOT_EXISTS", "openid 不正确", Basis::Documented, why));
    }
    Ok(())
}

/// Who may do something with a stock.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Creator and owner.
    Its,
    /// These, and the partners that may hand its coupons out.
    Partners,
}

/// A stock, with the clock's effect on it; the caller is one of those who may.
fn find_stock<'s>(call: &'s mut Call<'_>, stock_id: &str, who: Who) -> Outcome<&'s mut Stock> {
    let (caller, now, appid) = (call.caller, call.now, call.text("appid"));
    let state = &mut *call.state;
    let lent = who == Who::Partners && state.partnerships.lends("BUSIFAVOR_STOCK", stock_id, caller, &appid);
    let Some(stock) = state.busifavor.stocks.get_mut(stock_id) else { return Err(not_found("no such stock")) };
    stock.settle(now);
    if caller == stock.creator || caller == stock.owner || lent {
        Ok(stock)
    } else {
        Err(not_allowed("the caller is neither creator nor owner of the stock, nor may it hand its coupons out"))
    }
}

/// The stock that the request names.
fn find<'s>(call: &'s mut Call<'_>) -> Outcome<&'s mut Stock> {
    let stock_id = call.text("stock_id");
    find_stock(call, &stock_id, Who::Its)
}

impl Busifavor {
    pub(super) fn enter(&mut self, now: i64, ledger: &mut Ledger) {
        for (stock_id, stock) in &mut self.stocks {
            stock.settle(now);
            ledger.stocks.push(StockEffect {
                family: "busifavor",
                stock_id: stock_id.clone(),
                creator: stock.creator.clone(),
                out_request_no: stock.out_request_no.clone(),
                status: stock.status.as_str(),
                count: 1,
            });
            ledger.coupon_codes.extend(stock.pool.effects(stock_id));
            ledger.coupons.extend(stock.coupons.iter_mut().map(|(code, coupon)| {
                coupon.settle(now);
                CouponEffect {
                    family: "busifavor",
                    stock_id: stock_id.clone(),
                    coupon_id: code.clone(),
                    status: coupon.status.as_str(),
                    count: coupon.count,
                }
            }));
        }
    }

    /// Whether there is a stock of this merchant.
    pub(super) fn owns(&self, stock_id: &str, mchid: &str) -> bool {
        self.stocks.get(stock_id).is_some_and(|stock| stock.creator == mchid || stock.owner == mchid)
    }

    /// A coupon, with the clock's effect on it.
    fn coupon(&mut self, stock_id: &str, code: &str, now: i64) -> Outcome<&mut Coupon> {
        let coupon = self.stocks.get_mut(stock_id).and_then(|stock| stock.coupons.get_mut(code));
        let coupon = coupon.ok_or_else(|| not_found("no such coupon"))?;
        coupon.settle(now);
        Ok(coupon)
    }

    /// A user deletes a coupon; it stays in lists.
    pub(super) fn user_delete(&mut self, deed: &Deed<'_>) -> Result<Value, String> {
        let (stock_id, code) = (deed.text("stock_id"), deed.text("coupon_code"));
        let stock = self.stocks.get_mut(stock_id).ok_or_else(|| deed.unknown("stock_id"))?;
        let coupon = stock.coupons.get_mut(code);
        let coupon = coupon.ok_or_else(|| format!("stock {stock_id} has no coupon of that \"coupon_code\""))?;
        coupon.status = CouponStatus::Deleted;
        Ok(json!({"stock_id": stock_id, "coupon_code": code, "status": coupon.status.as_str()}))
    }

    /// An order is refunded for which a coupon was used. The coupon stays used until the merchant returns it.
    pub(super) fn refund(&mut self, deed: &mut Deed<'_>) -> Option<Value> {
        let order = deed.text("transaction_id");
        let mut coupons = self.stocks.values().flat_map(|stock| stock.coupons.values());
        if order.is_empty() || !coupons.any(|coupon| coupon.used().is_some_and(|used| used.transaction_id == order)) {
            return None;
        }
        let refund_id = number_of_day("50000000", deed, |id| self.refunds.contains_key(id));
        self.refunds.insert(refund_id.clone(), order.to_owned());
        Some(json!({"family": "busifavor", "transaction_id": order, "refund_id": refund_id}))
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
            ("audit", "pass", Status::Unaudit) | ("console", "restart", Status::Paused) => Status::Running,
            ("audit", "refuse", Status::Unaudit) | ("console", "stop", Status::Running | Status::Paused) => {
                Status::Stoped
            }
            ("console", "pause", Status::Running) => Status::Paused,
            (_, _, status) => {
                let possible = "pass, refuse (audit), pause, restart, stop (console)";
                return Some(Err(immovable(act, to, status.as_str(), possible)));
            }
        };
        stock.status = next;
        Some(Ok(next.as_str()))
    }
}
