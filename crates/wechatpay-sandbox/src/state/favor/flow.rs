//! Payments with coupons, their refunds, and the records of both that creators fetch as files.

use super::{Call, Deed, FAMILY, Favor, NOT_YOURS, no_stock};
use crate::ambient::{day, instant, time_text};
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::state::favor::coupon::State;
use crate::state::favor::stock::Status;
use crate::state::files::NO_FILE;
use crate::state::{Event, number_of_day};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use wechatpay_model::favor::CouponUse;
use wechatpay_model::operation::Payload as _;

/// A payment in which a coupon was used.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Payment {
    pub(super) transaction_id: String,
    pub(super) stock_id: String,
    pub(super) coupon_id: String,
    at: i64,
    mchid: String,
    /// What the order cost, in fen.
    pub(super) amount: i64,
    /// What the coupon took off, in fen.
    pub(super) discount: i64,
    goods: Vec<Value>,
    pub(super) refunds: Vec<Refund>,
}

/// A refund of such a payment.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Refund {
    pub(super) refund_id: String,
    at: i64,
    pub(super) amount: i64,
    pub(super) discount: i64,
}

impl Payment {
    /// How the coupon was used, as notifications say it.
    pub(super) fn consumption(&self) -> Value {
        let mut shown = Map::new();
        shown.insert("consume_time".to_owned(), json!(time_text(self.at)));
        shown.insert("consume_mchid".to_owned(), json!(self.mchid));
        shown.insert("transaction_id".to_owned(), json!(self.transaction_id));
        if !self.goods.is_empty() {
            shown.insert("goods_detail".to_owned(), json!(self.goods));
        }
        Value::Object(shown)
    }

    fn refunded(&self) -> (i64, i64) {
        self.refunds.iter().fold((0, 0), |sum, refund| (sum.0 + refund.amount, sum.1 + refund.discount))
    }
}

/// A kind of record.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    header: &'static str,
    /// The rows of a payment, each with its time.
    rows: fn(&Payment) -> Vec<(i64, String)>,
    /// Names of digest and number in the answer for one day.
    names: (&'static str, &'static str),
}

pub(super) const USES: Kind = Kind {
    header: "批次id,优惠id,优惠类型,优惠金额（元）,订单总金额（元）,交易类型,支付单号,消耗时间,消耗商户号,设备号,银行流水号,单品信息",
    rows: |payment| {
        let goods: Vec<_> =
            payment.goods.iter().filter_map(|goods| goods.get("goods_id").and_then(Value::as_str)).collect();
        let row = format!(
            "`{},`{},`代金券,`{},`{},`支付,`{},`{},`{},,,{}",
            payment.stock_id,
            payment.coupon_id,
            yuan(payment.discount),
            yuan(payment.amount),
            payment.transaction_id,
            plain_time(payment.at),
            payment.mchid,
            goods.join("|"),
        );
        vec![(payment.at, row)]
    },
    names: ("stock_useflow_hash", "stock_useflow_count"),
};

pub(super) const REFUNDS: Kind = Kind {
    header: "批次id,优惠id,优惠类型,优惠退款金额（元）,订单退款金额（元）,交易类型,支付单号,退款单号,退款时间,消耗商户号",
    rows: |payment| {
        let row = |refund: &Refund| {
            format!(
                "`{},`{},`代金券,`{},`{},`退款,`{},`{},`{},`{}",
                payment.stock_id,
                payment.coupon_id,
                yuan(refund.discount),
                yuan(refund.amount),
                payment.transaction_id,
                refund.refund_id,
                plain_time(refund.at),
                payment.mchid,
            )
        };
        payment.refunds.iter().map(|refund| (refund.at, row(refund))).collect()
    },
    names: ("stock_refundflow_hash", "stock_refundflow_count"),
};

fn yuan(fen: i64) -> String {
    format!("{}.{:02}", fen / 100, fen % 100)
}

/// `2026-01-05 10:00:00`
fn plain_time(at: i64) -> String {
    time_text(at).chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// The stock whose records a call asks for; its caller is its creator.
fn own_stock(call: &mut Call<'_>) -> Outcome<(String, Status, Option<i64>)> {
    let (stock_id, caller, now) = (call.text("stock_id"), call.caller, call.now);
    let stock = call.state.favor.stock(&stock_id, now).ok_or_else(no_stock)?;
    if stock.creator != caller {
        let why = "records are for the creator of the stock only";
        return Err(Answer::refuse(403, "REQUEST_BLOCKED", NOT_YOURS, Basis::Documented, why));
    }
    Ok((stock_id, stock.status, stock.stopped))
}

fn no_file(basis: Basis, why: &'static str) -> Box<Answer> {
    Answer::refuse(404, "RESOURCE_NOT_EXISTS", NO_FILE, basis, why)
}

/// Ten in the morning of the day after.
fn ready(after: i64) -> i64 {
    day::begin(after + 1) + 10 * 3600
}

impl Favor {
    /// The rows of a record, in the order of time.
    fn rows(&self, kind: Kind, stock_id: &str, only: Option<i64>) -> Vec<String> {
        let payments = self.payments.iter().filter(|payment| payment.stock_id == stock_id);
        let mut rows: Vec<_> = payments.flat_map(kind.rows).collect();
        rows.retain(|(at, _)| only.is_none_or(|only| day::of(*at) == only));
        rows.sort_by_key(|(at, _)| *at);
        rows.into_iter().map(|(_, row)| row).collect()
    }
}

fn file(kind: Kind, rows: &[String]) -> String {
    let lines = std::iter::once(kind.header).chain(rows.iter().map(String::as_str));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The record of a stock whose campaign is over.
pub(super) fn whole(call: &mut Call<'_>, kind: Kind) -> Outcome {
    let (stock_id, status, stopped) = own_stock(call)?;
    let over = stopped.filter(|_| status == Status::Stoped);
    if over.is_none_or(|over| call.now < ready(day::of(over))) {
        let why = "records can be had from ten in the morning of the day after the campaign ended";
        return Err(no_file(Basis::Observed, why));
    }
    let rows = call.state.favor.rows(kind, &stock_id, None);
    if rows.is_empty() {
        return Err(no_file(Basis::Observed, "nothing happened, so there is no record"));
    }
    let link = call.state.files.offer(file(kind, &rows), call.caller, &call.origin, call.ambient, call.now);
    let body = json!({"url": link.url, "hash_value": link.sha1, "hash_type": "SHA1"});
    Ok(Answer::ok(body, Basis::Documented, "a link to the record, for 30 seconds; its columns are a guess"))
}

/// The record of one day.
pub(super) fn by_day(call: &mut Call<'_>, kind: Kind) -> Outcome {
    let (stock_id, ..) = own_stock(call)?;
    let date = call.text("bill_date");
    let Some((midnight, _)) = instant(&format!("{date}T00:00:00+08:00")) else {
        let why = "bill_date is no day";
        return Err(Answer::refuse(400, "PARAM_ERROR", "输入时间格式错误", Basis::Documented, why));
    };
    let wanted = day::of(midnight);
    if call.now < ready(wanted) {
        let why = "the record of a day can be had from ten in the morning of the next";
        return Err(no_file(Basis::Guess, why));
    }
    let rows = call.state.favor.rows(kind, &stock_id, Some(wanted));
    if rows.is_empty() {
        return Err(no_file(Basis::Guess, "nothing happened on that day, so there is no record"));
    }
    let link = call.state.files.offer(file(kind, &rows), call.caller, &call.origin, call.ambient, call.now);
    let (hash, count) = kind.names;
    let body = json!({"url": link.url, hash: link.sha1, count: rows.len().to_string()});
    Ok(Answer::ok(body, Basis::Documented, "a link to the record of a day; its columns are a guess"))
}

impl Favor {
    /// A user pays with a coupon.
    pub(super) fn pay(&mut self, deed: &mut Deed<'_>) -> Option<Result<Value, String>> {
        let coupon_id = deed.text("coupon_id");
        self.coupons.contains_key(coupon_id).then(|| self.pay_with(coupon_id, deed))
    }

    fn pay_with(&mut self, coupon_id: &str, deed: &mut Deed<'_>) -> Result<Value, String> {
        let now = deed.now;
        let gone = || format!("there is no coupon {coupon_id:?}; name it in \"coupon_id\"");
        let coupon = self.coupons.get_mut(coupon_id).ok_or_else(gone)?;
        let stock = self.stocks.get_mut(&coupon.stock_id).ok_or_else(gone)?;
        let state = coupon.state(now);
        if state != State::Sended {
            return Err(format!("the coupon is {}; only one that is SENDED can be used", state.as_str()));
        }
        if now < coupon.begins {
            return Err(format!("the coupon can be used from {} only", time_text(coupon.begins)));
        }
        if !stock.open(now) {
            return Err("the coupon cannot be used at this hour or on this day of the week".to_owned());
        }
        let accepted = stock.merchants();
        let mchid = match deed.text("mchid") {
            "" => accepted.first().copied().unwrap_or(&stock.creator),
            mchid if accepted.contains(&mchid) => mchid,
            mchid => return Err(format!("merchant {mchid} does not accept the coupon; these do: {accepted:?}")),
        };
        let amount = deed.amount("amount")?.unwrap_or(coupon.minimum);
        if amount < coupon.minimum {
            let minimum = coupon.minimum;
            return Err(format!("an order of {amount} fen is below the minimum of {minimum}; raise \"amount\""));
        }
        let goods = match deed.action.get("goods_detail") {
            None => Vec::new(),
            Some(Value::Array(goods)) => goods.clone(),
            Some(_) => return Err("\"goods_detail\" is an array of objects with \"goods_id\"".to_owned()),
        };
        let listed = |goods: &Value| {
            let id = goods.get("goods_id").and_then(Value::as_str);
            id.is_some_and(|id| stock.goods.iter().any(|own| own == id))
        };
        if !stock.goods.is_empty() && !goods.is_empty() && !goods.iter().any(listed) {
            return Err("the order holds none of the goods that the coupon is for".to_owned());
        }
        let transaction_id = match deed.text("transaction_id") {
            "" => number_of_day("42000000", deed, |id| self.transactions.contains_key(id)),
            taken if self.transactions.contains_key(taken) => {
                return Err(format!(
                    "transaction {taken} exists already; leave \"transaction_id\" out to get a fresh one"
                ));
            }
            transaction_id => transaction_id.to_owned(),
        };
        let discount = coupon.amount.min(amount);
        let payment = Payment {
            transaction_id: transaction_id.clone(),
            stock_id: coupon.stock_id.clone(),
            coupon_id: coupon_id.to_owned(),
            at: now,
            mchid: mchid.to_owned(),
            amount,
            discount,
            goods,
            refunds: Vec::new(),
        };
        coupon.used_in = Some(transaction_id.clone());
        let mut payload = coupon.describe(coupon_id, stock, now);
        payload.insert("consume_information".to_owned(), payment.consumption());
        let url = self.callbacks.get(&stock.creator).and_then(|callback| callback.address());
        let payload = Value::Object(payload);
        let event = Event::new(CouponUse::EVENT, deed.ambient.uuid(), now, &stock.creator, payload).addressed(url);
        stock.spent += discount;
        self.transactions.insert(transaction_id.clone(), self.payments.len());
        self.payments.push(payment);
        let done = json!({
            "family": FAMILY,
            "coupon_id": coupon_id,
            "status": State::Used.as_str(),
            "transaction_id": transaction_id,
            "amount": amount,
            "discount": discount,
            "event_id": event.id,
        });
        deed.outbox.push(event, deed.settings, now);
        Ok(done)
    }

    /// A merchant refunds a payment.
    pub(super) fn refund(&mut self, deed: &mut Deed<'_>) -> Option<Result<Value, String>> {
        let index = *self.transactions.get(deed.text("transaction_id"))?;
        Some(self.refund_payment(index, deed))
    }

    fn refund_payment(&mut self, index: usize, deed: &mut Deed<'_>) -> Result<Value, String> {
        let now = deed.now;
        let ids = |id: &str| self.payments.iter().flat_map(|payment| &payment.refunds).any(|r| r.refund_id == id);
        let refund_id = number_of_day("50000000", deed, ids);
        let payment = self.payments.get_mut(index).ok_or("there is no such payment")?;
        let (refunded, returned) = payment.refunded();
        let rest = payment.amount - refunded;
        let amount = match (deed.text("to"), deed.amount("amount")?) {
            _ if rest == 0 => return Err("all of the payment is refunded already".to_owned()),
            ("" | "full", None) => rest,
            ("" | "part", Some(amount)) if amount <= rest => amount,
            ("" | "part", Some(_)) => return Err(format!("\"amount\" is more than the rest of {rest} fen")),
            _ => return Err("\"to\" is full, or part with an \"amount\" in fen".to_owned()),
        };
        // A part carries its share of the discount, and the last one what is left of it.
        let discount = if amount == rest {
            payment.discount - returned
        } else {
            let share = i128::from(payment.discount) * i128::from(amount) / i128::from(payment.amount);
            i64::try_from(share).unwrap_or(0)
        };
        let full = amount == payment.amount;
        payment.refunds.push(Refund { refund_id: refund_id.clone(), at: now, amount, discount });
        let (coupon_id, transaction_id) = (payment.coupon_id.clone(), payment.transaction_id.clone());
        if let Some(stock) = self.stocks.get_mut(&payment.stock_id) {
            stock.spent -= discount;
        }
        let coupon = self.coupons.get_mut(&coupon_id).ok_or("there is no such coupon")?;
        if full {
            coupon.used_in = None;
        }
        Ok(json!({
            "family": FAMILY,
            "coupon_id": coupon_id,
            "status": coupon.state(now).as_str(),
            "transaction_id": transaction_id,
            "refund_id": refund_id,
            "amount": amount,
            "discount": discount,
        }))
    }
}
