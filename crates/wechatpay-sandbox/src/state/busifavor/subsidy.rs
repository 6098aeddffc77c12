//! Subsidies: what a merchant pays to another for a coupon that was used, and what comes back after a refund.

use super::coupon::CouponStatus;
use super::{Call, Who, find_stock, guessed, no_merchant, not_found, once};
use crate::ambient::time_text;
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What both kinds have in common.
#[derive(Debug, Serialize, Deserialize)]
struct Receipt {
    id: String,
    /// The request.
    request: Value,
    created: i64,
    /// When it succeeds or fails.
    due: i64,
    /// Why it fails.
    failure: Option<String>,
}

/// A subsidy that was paid.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Payment(Receipt);

/// A subsidy that was given back.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Return {
    receipt: Receipt,
    /// The payment.
    payment: String,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Accepted,
    Success,
    Fail,
}

impl Receipt {
    fn new(call: &mut Call<'_>, kind: &str, failure: Option<String>) -> Self {
        let id = format!("{kind}{}{}", call.ambient.digits(13), call.ambient.digits(13));
        let due = call.now.saturating_add(i64::from(call.settings.busifavor_subsidy_delay));
        Self { id, request: call.request.clone(), created: call.now, due, failure }
    }

    fn text(&self, name: &str) -> &str {
        self.request.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn amount(&self) -> i64 {
        self.request.get("amount").and_then(Value::as_i64).unwrap_or(0)
    }

    fn progress(&self, now: i64) -> Progress {
        match (now < self.due, &self.failure) {
            (true, _) => Progress::Accepted,
            (false, None) => Progress::Success,
            (false, Some(_)) => Progress::Fail,
        }
    }

    /// The request with what was made of it; the id only once it has succeeded.
    fn show(&self, prefix: &str, names: [&str; 3], status: &str, now: i64) -> Map<String, Value> {
        let [id, created, done] = names;
        let mut shown = self.request.as_object().cloned().unwrap_or_default();
        shown.insert("status".to_owned(), json!(format!("{prefix}_{status}")));
        shown.insert(created.to_owned(), json!(time_text(self.created)));
        match (self.progress(now), &self.failure) {
            (Progress::Success, _) => {
                shown.insert(id.to_owned(), json!(self.id));
                shown.insert(done.to_owned(), json!(time_text(self.due)));
            }
            (Progress::Fail, Some(reason)) => {
                shown.insert("fail_reason".to_owned(), json!(format!("{prefix}_{reason}")));
            }
            _ => {}
        }
        shown
    }
}

impl Payment {
    fn show(&self, returns: &[Return], now: i64) -> Value {
        let mine = || returns.iter().filter(|other| other.payment == self.0.id).map(|other| &other.receipt);
        let returned: i64 = mine().filter(|r| r.progress(now) == Progress::Success).map(Receipt::amount).sum();
        let status = match self.0.progress(now) {
            Progress::Accepted => "ACCEPTED",
            Progress::Fail => "FAIL",
            Progress::Success if mine().any(|r| r.progress(now) == Progress::Accepted) => "RETURNING",
            Progress::Success if returned == 0 => "SUCCESS",
            Progress::Success if returned < self.0.amount() => "PARTIAL_RETURN",
            Progress::Success => "FULL_RETURN",
        };
        let names = ["subsidy_receipt_id", "create_time", "success_time"];
        Value::Object(self.0.show("PAY_RECEIPT", names, status, now))
    }
}

impl Return {
    fn show(&self, now: i64) -> Value {
        let status = match self.receipt.progress(now) {
            Progress::Accepted => "ACCEPTED",
            Progress::Success => "SUCCESS",
            Progress::Fail => "FAIL",
        };
        let names = ["subsidy_return_receipt_id", "return_create_time", "return_done_time"];
        let mut shown = self.receipt.show("RETURN_RECEIPT", names, status, now);
        shown.insert("subsidy_receipt_id".to_owned(), json!(self.payment));
        Value::Object(shown)
    }
}

/// The coupon that the request names exists, the caller may subsidise it, and there are payer and payee.
fn check(call: &mut Call<'_>) -> Outcome<(String, String)> {
    if !["payer_merchant", "payee_merchant"].iter().all(|name| call.knows(&call.text(name))) {
        return Err(no_merchant("payer or payee is no merchant of the sandbox"));
    }
    let (stock_id, code, now) = (call.text("stock_id"), call.text("coupon_code"), call.now);
    find_stock(call, &stock_id, Who::Its)?;
    call.state.busifavor.coupon(&stock_id, &code, now)?;
    Ok((stock_id, code))
}

pub(super) fn pay(call: &mut Call<'_>) -> Outcome {
    let (stock_id, code) = check(call)?;
    once(call, true).run(call, |call| {
        let (now, payer) = (call.now, call.text("payer_merchant"));
        let (amount, transaction_id) =
            (call.request.get("amount").and_then(Value::as_i64), call.text("transaction_id"));
        let refuse = |message: &str, why| Err(guessed(400, "INVALID_REQUEST", message, why));
        let stock = find_stock(call, &stock_id, Who::Its)?;
        if stock.rules.get("subsidy") != Some(&Value::Bool(true)) {
            return refuse("批次未开启营销补差", "the stock does not allow subsidies");
        }
        if stock.rules.get("stock_type").and_then(Value::as_str) == Some("EXCHANGE") {
            return refuse("换购券不支持营销补差", "coupons of type EXCHANGE cannot be subsidised");
        }
        if payer != stock.creator && payer != stock.owner {
            return refuse("扣款商户号不正确", "the payer is neither creator nor owner of the stock");
        }
        let coupon = stock.coupons.get(&code).ok_or_else(|| not_found("no such coupon"))?;
        let Some(used) = coupon.used() else {
            let why = if coupon.status == CouponStatus::Deleted { "the user has deleted it" } else { "it is not used" };
            return Err(guessed(403, "RULELIMIT", "券未被核销", why));
        };
        if !used.transaction_id.is_empty() && used.transaction_id != transaction_id {
            return refuse("微信支付订单号不正确", "the coupon was used for another order");
        }
        let value = stock.value();
        if value.is_some_and(|value| amount > Some(value)) {
            return refuse("补差金额超过券优惠金额", "amount is more than the coupon took off");
        }
        let paid = call.state.busifavor.payments.iter().map(|payment| &payment.0);
        let paid = paid.filter(|other| other.text("stock_id") == stock_id && other.text("coupon_code") == code);
        let paid: i64 = paid.filter(|other| other.progress(now) != Progress::Fail).map(Receipt::amount).sum();
        let exceeds = value.is_some_and(|value| paid.saturating_add(amount.unwrap_or(0)) > value);
        let failure = if exceeds {
            Some("EXCEED_SUBSIDY_AMOUNT_QUOTA".to_owned())
        } else {
            call.settings.busifavor_subsidy_failure.clone()
        };
        let payment = Payment(Receipt::new(call, "11", failure));
        let shown = payment.show(&[], now);
        call.state.busifavor.payments.push(payment);
        Ok(Answer::ok(shown, Basis::Guess, "how long a payment takes, and whether it fails, are settings"))
    })
}

pub(super) fn give_back(call: &mut Call<'_>) -> Outcome {
    check(call)?;
    once(call, true).run(call, |call| {
        let now = call.now;
        let amount = call.request.get("amount").and_then(Value::as_i64).unwrap_or(0);
        let same = ["stock_id", "coupon_code", "transaction_id", "payer_merchant", "payee_merchant"];
        let asked = same.map(|name| call.text(name));
        let busifavor = &call.state.busifavor;
        let refunded = busifavor.refunds.get(&call.text("refund_id")) == Some(&call.text("transaction_id"));
        if call.settings.busifavor_check_refunds && !refunded {
            return Err(not_found("the order has no such refund: make it with act refund (setting)"));
        }
        let returned = |id: &str| -> i64 {
            let returns = busifavor.returns.iter().filter(|other| other.payment == id).map(|other| &other.receipt);
            returns.filter(|receipt| receipt.progress(now) != Progress::Fail).map(Receipt::amount).sum()
        };
        let mut payments = busifavor.payments.iter().map(|payment| &payment.0).filter(|receipt| {
            receipt.progress(now) == Progress::Success && same.map(|name| receipt.text(name)) == asked
        });
        let Some(first) = payments.next() else {
            return Err(not_found("no payment with this coupon, order, payer and payee has succeeded"));
        };
        let mut all = std::iter::once(first).chain(payments);
        let fitting = all.find(|receipt| returned(&receipt.id).saturating_add(amount) <= receipt.amount());
        let Some(payment) = fitting.map(|receipt| receipt.id.clone()) else {
            let why = "all returns together would be more than was paid";
            return Err(guessed(400, "INVALID_REQUEST", "补差回退金额超过补差付款金额", why));
        };
        let failure = call.settings.busifavor_subsidy_failure.clone();
        let done = Return { receipt: Receipt::new(call, "21", failure), payment };
        let shown = done.show(now);
        call.state.busifavor.returns.push(done);
        Ok(Answer::ok(
            shown,
            Basis::Guess,
            "how long a return takes, and whether its refund is looked for, are settings",
        ))
    })
}

pub(super) fn list_payments(call: &mut Call<'_>) -> Outcome {
    let (stock_id, now) = (call.text("stock_id"), call.now);
    find_stock(call, &stock_id, Who::Its)?;
    let asked = ["stock_id", "coupon_code", "out_subsidy_no"].map(|name| (name, call.text(name)));
    let busifavor = &call.state.busifavor;
    let fits = |receipt: &Receipt| asked.iter().all(|(name, text)| text.is_empty() || receipt.text(name) == text);
    let found = busifavor.payments.iter().filter(|payment| fits(&payment.0));
    let found: Vec<_> = found.map(|payment| payment.show(&busifavor.returns, now)).collect();
    let body = if found.is_empty() { json!({}) } else { json!({"pay_receipt_list": found}) };
    Ok(Answer::ok(body, Basis::Documented, "the payments for the coupon"))
}

pub(super) fn get_payment(call: &mut Call<'_>) -> Outcome {
    let (id, now) = (call.text("subsidy_receipt_id"), call.now);
    let find = |call: &Call<'_>| {
        let done = |payment: &&Payment| payment.0.id == id && payment.0.progress(now) == Progress::Success;
        let busifavor = &call.state.busifavor;
        let payment = busifavor.payments.iter().find(done)?;
        Some((payment.0.text("stock_id").to_owned(), payment.show(&busifavor.returns, now)))
    };
    let (stock_id, shown) = find(call).ok_or_else(|| not_found("no payment with this id has succeeded"))?;
    find_stock(call, &stock_id, Who::Its)?;
    Ok(Answer::ok(shown, Basis::Documented, "the payment as it is"))
}

pub(super) fn get_return(call: &mut Call<'_>) -> Outcome {
    let (id, now) = (call.text("subsidy_return_receipt_id"), call.now);
    let done = |other: &&Return| other.receipt.id == id && other.receipt.progress(now) == Progress::Success;
    let found = call.state.busifavor.returns.iter().find(done);
    let found = found.map(|done| (done.receipt.text("stock_id").to_owned(), done.show(now)));
    let (stock_id, shown) = found.ok_or_else(|| not_found("no return with this id has succeeded"))?;
    find_stock(call, &stock_id, Who::Its)?;
    Ok(Answer::ok(shown, Basis::Documented, "the return as it is"))
}
