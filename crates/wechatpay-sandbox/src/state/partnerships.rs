//! Partnerships: who may hand out the coupons of a stock that is another's.

use super::page::Page;
use super::{Act, Call, Once};
use crate::ambient::time_text;
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(super) const ACTS: &[Act] = &[
    Act::new("partnerships.create_partnership", create),
    Act::new("partnerships.terminate_partnership", terminate),
    Act::new("partnerships.list_partnerships", list),
];

const BROKEN: &str = "请求参数符合参数格式，但不符合业务规则";

/// All partnerships, in the order in which they were first built.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Partnerships(Vec<Partnership>);

#[derive(Debug, Serialize, Deserialize)]
struct Partnership {
    /// Merchant that lends.
    lender: String,
    partner: Value,
    data: Value,
    created: i64,
    built: i64,
    terminated: Option<i64>,
}

impl Partnership {
    fn is(&self, lender: &str, partner: &Value, data: &Value) -> bool {
        self.lender == lender && self.partner == *partner && self.data == *data
    }

    /// As lists show it.
    fn show(&self) -> Value {
        let mut shown = json!({
            "partner": self.partner,
            "authorized_data": self.data,
            "build_time": time_text(self.built),
            "create_time": time_text(self.created),
            "update_time": time_text(self.terminated.unwrap_or(self.built)),
        });
        if let (Some(fields), Some(time)) = (shown.as_object_mut(), self.terminated) {
            fields.insert("terminate_time".to_owned(), json!(time_text(time)));
        }
        shown
    }
}

/// What is done about repeats.
fn once(call: &Call<'_>) -> Once {
    let same = (call.settings.guessed_repeat, Basis::Guess);
    Once {
        same,
        other: ("请求重入，但参数与上次请求不一致", Basis::Guess),
        exists: "请求单号已存在",
        code: "RESOURCE_ALREADY_EXISTS",
    }
}

fn broken(why: &'static str) -> Box<Answer> {
    Answer::refuse(400, "INVALID_REQUEST", BROKEN, Basis::Guess, why)
}

/// The two objects that say who may hand out what.
fn parties(call: &Call<'_>) -> (Value, Value) {
    let object = |name: &str| call.request.get(name).cloned().unwrap_or_default();
    (object("partner"), object("authorized_data"))
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Refuses those who lend what they do not have.
fn check_stock(call: &mut Call<'_>, data: &Value) -> Outcome<()> {
    let (kind, stock_id) = (text(data, "business_type"), text(data, "stock_id"));
    let owned = match kind {
        "BUSIFAVOR_STOCK" => call.state.busifavor.owns(stock_id, call.caller),
        _ => {
            let stocks = call.state.ledger(call.now, call.settings).stocks;
            stocks.iter().any(|stock| stock.stock_id == stock_id && stock.creator == call.caller)
        }
    };
    if call.settings.partnership_check_stocks && !owned {
        let why = "the caller has no such stock (setting)";
        return Err(Answer::refuse(403, "NO_AUTH", "商户未被授权", Basis::Documented, why));
    }
    Ok(())
}

/// Refuses what no partnership is about.
fn check_pair(partner: &Value, data: &Value) -> Outcome<()> {
    if text(partner, "type") == "MERCHANT" && text(data, "business_type") == "FAVOR_STOCK" {
        return Err(broken("cash coupons are lent to apps only"));
    }
    Ok(())
}

fn create(call: &mut Call<'_>) -> Outcome {
    let (partner, data) = parties(call);
    check_stock(call, &data)?;
    once(call).run(call, |call| {
        let (now, lender) = (call.now, call.caller);
        check_pair(&partner, &data)?;
        let all = &mut call.state.partnerships.0;
        let known = all.iter_mut().find(|other| other.is(lender, &partner, &data));
        let (shown, basis, why) = match known {
            Some(known) => {
                if known.terminated.take().is_some() {
                    known.built = now;
                }
                (known.show(), Basis::Guess, "it was built before, and is in force")
            }
            None => {
                let (created, built) = (now, now);
                let new = Partnership { lender: lender.to_owned(), partner, data, created, built, terminated: None };
                let shown = new.show();
                all.push(new);
                (shown, Basis::Documented, "the partner may hand the coupons out")
            }
        };
        let mut body = shown;
        if let Some(fields) = body.as_object_mut() {
            fields.insert("state".to_owned(), json!("ESTABLISHED"));
        }
        Ok(Answer::ok(body, basis, why))
    })
}

fn terminate(call: &mut Call<'_>) -> Outcome {
    let (partner, data) = parties(call);
    check_stock(call, &data)?;
    once(call).run(call, |call| {
        let (now, lender) = (call.now, call.caller);
        let mut all = call.state.partnerships.0.iter_mut();
        let known = all.find(|other| other.is(lender, &partner, &data) && other.terminated.is_none());
        let Some(known) = known else { return Err(broken("there is no such partnership in force")) };
        known.terminated = Some(now);
        let body = json!({"terminate_time": time_text(now)});
        Ok(Answer::ok(body, Basis::Documented, "the partner may hand the coupons out no longer"))
    })
}

fn list(call: &mut Call<'_>) -> Outcome {
    let (page, (partner, data)) = (Page::of(call), parties(call));
    check_pair(&partner, &data)?;
    // A condition is what of an object is given.
    let fits = |asked: &Value, is: &Value| {
        asked.as_object().is_none_or(|fields| fields.iter().all(|(name, value)| is.get(name) == Some(value)))
    };
    let all = call.state.partnerships.0.iter();
    let found =
        all.filter(|other| other.lender == call.caller && fits(&partner, &other.partner) && fits(&data, &other.data));
    let mut body = page.cut(found, Partnership::show);
    if page.offset > 0 && body.contains_key("data") {
        body.remove("total_count");
    }
    Ok(Answer::ok(Value::Object(body), Basis::Guess, "in the order of building; nothing found is an empty page"))
}

impl Partnerships {
    /// Whether a merchant, or the sender with this app, may hand out the coupons of a stock.
    pub(super) fn lends(&self, kind: &str, stock_id: &str, mchid: &str, appid: &str) -> bool {
        self.0.iter().filter(|other| other.terminated.is_none()).any(|other| {
            text(&other.data, "business_type") == kind
                && text(&other.data, "stock_id") == stock_id
                && match text(&other.partner, "type") {
                    "MERCHANT" => text(&other.partner, "merchant_id") == mchid,
                    _ => !appid.is_empty() && text(&other.partner, "appid") == appid,
                }
        })
    }
}
