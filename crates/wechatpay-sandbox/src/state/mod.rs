//! What the sandbox remembers: a module for each family, and what they share.
//!
//! An operation that no module knows is answered from the examples of its schema, so that a new one needs no code
//! here. What each transition rests on is said in its answer.

mod busifavor;
mod certificates;
pub(crate) mod events;
mod favor;
mod files;
mod page;
mod partnerships;
mod paygiftactivity;
mod pool;
mod product_coupon;

pub use events::{Attempt, Event, Standing};
pub(crate) use events::{Ending, Errand, Outbox};
pub(crate) use files::FILE_PATH;

use crate::ambient::{Ambient, time_text};
use crate::answer::{Answer, Outcome, json_text, rows};
use crate::courier;
use crate::keys::Keys;
use crate::log::Basis;
use crate::schema::Violation;
use crate::settings::{Repeat, Settings};
use aws_lc_rs::digest::{SHA256, digest};
use http::Uri;
use http::uri::Scheme;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use wechatpay_model::Spec;
use wechatpay_model::operation::Idempotency;

/// Everything that is remembered.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    favor: favor::Favor,
    busifavor: busifavor::Busifavor,
    paygiftactivity: paygiftactivity::Activities,
    partnerships: partnerships::Partnerships,
    product_coupon: product_coupon::ProductCoupons,
    #[serde(with = "pairs")]
    numbers: BTreeMap<Number, Done>,
    pub(crate) files: files::Files,
    pub(crate) outbox: Outbox,
}

/// A request number in its scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Number {
    #[serde(deserialize_with = "operation_id")]
    operation: Known,
    scope: String,
    number: String,
}

/// What was done under a request number.
#[derive(Debug, Serialize, Deserialize)]
struct Done {
    /// Merchant that used it.
    caller: String,
    /// Digest of the parameters.
    fingerprint: [u8; 32],
    /// The first answer, its body as JSON text: there may be millions of codes in all of them.
    status: u16,
    body: String,
    effects: u64,
}

/// A text of the catalogue. Under this name serde does not try to borrow it from what it reads.
type Known = &'static str;

/// The request numbers as a list: JSON has texts for keys only.
mod pairs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        Vec::deserialize(deserializer).map(|pairs: Vec<(K, V)>| pairs.into_iter().collect())
    }
}

/// The id of an operation that there is.
fn operation_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Known, D::Error> {
    let id = String::deserialize(deserializer)?;
    let known = wechatpay_model::operations().find(|spec| spec.id() == id);
    known.map(Spec::id).ok_or_else(|| serde::de::Error::custom("no such operation"))
}

/// One request for the state to act on: signed, of the right form, and complete.
pub(crate) struct Call<'a> {
    pub(crate) spec: &'static Spec,
    /// The flat request.
    pub(crate) request: Value,
    /// Merchant id of the caller.
    pub(crate) caller: &'a str,
    /// Scheme and authority under which the caller knows the sandbox.
    pub(crate) origin: String,
    /// The file of an upload.
    pub(crate) file: &'a [u8],
    pub(crate) now: i64,
    pub(crate) settings: &'a Settings,
    pub(crate) keys: &'a Keys,
    pub(crate) ambient: &'a mut Ambient,
    pub(crate) state: &'a mut State,
    /// The refusal for the rules that the request breaks, to be given only after its number was found to be new: a
    /// repeat gets the first answer even if a time that it names has come since.
    pub(crate) limits: Option<Box<Answer>>,
}

/// What the state does for one operation.
pub(crate) struct Act {
    operation: &'static str,
    act: fn(&mut Call<'_>) -> Outcome,
    /// Violations that the schema finds and that are the state's to answer.
    pub(crate) own: fn(&Violation) -> bool,
    /// The words that were seen for a violation.
    pub(crate) words: fn(&Violation) -> Option<&'static str>,
}

/// Codes for callers who may not call, as the families spell it.
const UNOPENED: [&str; 3] = ["NO_AUTH", "NOAUTH", "REQUEST_BLOCKED"];

impl Act {
    const fn new(operation: &'static str, act: fn(&mut Call<'_>) -> Outcome) -> Self {
        Self { operation, act, own: |_| false, words: |_| None }
    }

    /// Does it, for those who may call the family at all.
    pub(crate) fn run(&self, call: &mut Call<'_>) -> Outcome {
        if call.settings.unopened_families.iter().any(|unopened| unopened == call.spec.family()) {
            let why = "the merchant has not opened the product (setting)";
            let row = rows(call.spec).find(|row| UNOPENED.contains(&row.code()));
            return Err(row.map_or_else(|| Answer::own(403, why.to_owned()), |row| Answer::row(row, Basis::Guess, why)));
        }
        (self.act)(call)
    }

    /// What the state does for an operation, if it does anything.
    pub(crate) fn find(spec: &Spec) -> Option<&'static Self> {
        let families = [
            favor::ACTS,
            busifavor::ACTS,
            certificates::ACTS,
            paygiftactivity::ACTS,
            partnerships::ACTS,
            product_coupon::ACTS,
        ];
        families.into_iter().flatten().find(|act| act.operation == spec.id())
    }
}

impl Call<'_> {
    /// A text of the request; empty where it is absent.
    fn text(&self, name: &str) -> String {
        self.request.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Takes a list of texts out of the request.
    fn take_texts(&mut self, name: &str) -> Vec<String> {
        let list = self.request.get_mut(name).map(Value::take);
        let Some(Value::Array(items)) = list else { return Vec::new() };
        items.into_iter().filter_map(|item| if let Value::String(text) = item { Some(text) } else { None }).collect()
    }

    /// An integer of the request.
    fn integer(&self, name: &str) -> Option<i64> {
        self.request.get(name).and_then(Value::as_i64)
    }

    /// Whether a merchant exists, or need not.
    fn knows(&self, mchid: &str) -> bool {
        !self.settings.refuse_unknown_merchants || self.keys.merchant(mchid).is_some()
    }
}

/// On what it rests that an address is taken to which a family wants events to go over HTTPS.
///
/// # Errors
/// Why it is not taken.
fn address_basis(url: &str, settings: &Settings) -> Result<Basis, String> {
    match courier::destination(url, settings.notify_anywhere) {
        // Here events go to programs that need no certificate.
        Ok(_) => Ok(Basis::Sandbox),
        Err(_) if url.parse::<Uri>().is_ok_and(|uri| uri.scheme() == Some(&Scheme::HTTPS)) => Ok(Basis::Documented),
        Err(why) => Err(format!("notify_url is no https address, nor one that the sandbox delivers to: {why}")),
    }
}

/// What is known about the repeats of an operation.
struct Once {
    /// What a repeat with the same parameters gets, and on what that rests.
    same: (Repeat, Basis),
    /// Message of the refusal of a repeat with other parameters, and on what that rests.
    other: (&'static str, Basis),
    /// Message of [`Repeat::AlreadyExists`].
    exists: &'static str,
    /// Code of both refusals.
    code: &'static str,
}

impl Once {
    /// Acts once for each request number of the caller.
    fn run(&self, call: &mut Call<'_>, act: impl FnOnce(&mut Call<'_>) -> Outcome) -> Outcome {
        self.within(call, call.caller.to_owned(), act)
    }

    /// Acts once for each request number in a scope.
    fn within(&self, call: &mut Call<'_>, scope: String, act: impl FnOnce(&mut Call<'_>) -> Outcome) -> Outcome {
        let number = match call.spec.idempotency() {
            Idempotency::Key(pointer) if pointer.starts_with('/') => {
                call.request.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
            }
            Idempotency::Key(field) => call.text(field),
            _ => String::new(),
        };
        let key = Number { operation: call.spec.id(), scope, number };
        let fingerprint = fingerprint(&call.request);
        if let Some(done) = call.state.numbers.get(&key) {
            return if done.fingerprint != fingerprint {
                let (message, basis) = self.other;
                let why = "this request number was used with other parameters";
                Err(Answer::refuse(400, self.code, message, basis, why))
            } else if self.same.0 == Repeat::AlreadyExists {
                let why = "repeat of a request number (setting)";
                Err(Answer::refuse(400, self.code, self.exists, Basis::Guess, why))
            } else {
                let why = "repeat of a request number with the same parameters: the first answer again";
                // Only a snapshot that was written by hand can hold anything else.
                let Ok(body) = serde_json::from_str(&done.body) else {
                    return Err(Answer::own(500, "the first answer that was kept is no JSON".to_owned()));
                };
                Ok(Answer { status: done.status, ..Answer::ok(body, self.same.1, why) })
            };
        }
        if let Some(refusal) = call.limits.take() {
            return Err(refusal);
        }
        let answer = act(call)?;
        let (caller, status, body) = (call.caller.to_owned(), answer.status, json_text(&answer.body));
        call.state.numbers.insert(key, Done { caller, fingerprint, status, body, effects: 1 });
        Ok(answer)
    }
}

/// A digest of the parameters that does not depend on the order of fields: objects are sorted maps here.
fn fingerprint(request: &Value) -> [u8; 32] {
    let mut bytes = [0; 32];
    let digest = digest(&SHA256, json_text(request).as_bytes());
    for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    bytes
}

/// Effects of requests, each with its count: what tests compare with what a client believes it has done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Ledger {
    /// Codes that were imported.
    pub coupon_codes: Vec<CodeEffect>,
    /// Stocks that were created.
    pub stocks: Vec<StockEffect>,
    /// Coupons that users have.
    pub coupons: Vec<CouponEffect>,
    /// Payments in which a coupon was used.
    pub payments: Vec<PaymentEffect>,
    /// Refunds of such payments.
    pub refunds: Vec<RefundEffect>,
    /// What has become of the budget of each stock.
    pub budgets: Vec<BudgetEffect>,
    /// The money of each merchant that has a prepaid stock, or recharged.
    pub accounts: Vec<AccountEffect>,
    /// Request numbers that had an effect.
    pub request_numbers: Vec<NumberEffect>,
}

/// A code that was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct CodeEffect {
    /// The stock.
    pub stock_id: String,
    /// The code.
    pub code: String,
    /// Number of the request that imported it.
    pub upload_request_no: String,
    /// How often it was imported; anything but 1 is a fault of the sandbox.
    pub count: u64,
}

/// A stock that was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct StockEffect {
    /// `favor`, `busifavor` or `product_coupon`.
    pub family: &'static str,
    /// The stock.
    pub stock_id: String,
    /// Merchant that created it.
    pub creator: String,
    /// Number of the request that created it.
    pub out_request_no: String,
    /// Its state now.
    pub status: &'static str,
    /// How often the number created a stock.
    pub count: u64,
}

/// A coupon that a user has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct CouponEffect {
    /// `favor`, `busifavor` or `product_coupon`.
    pub family: &'static str,
    /// The stock.
    pub stock_id: String,
    /// The coupon.
    pub coupon_id: String,
    /// Its state now.
    pub status: &'static str,
    /// How often it was given.
    pub count: u64,
}

/// A payment in which a coupon was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct PaymentEffect {
    /// `favor`, `busifavor` or `product_coupon`.
    pub family: &'static str,
    /// The stock.
    pub stock_id: String,
    /// The coupon.
    pub coupon_id: String,
    /// The payment.
    pub transaction_id: String,
    /// What the order cost, in fen.
    pub amount: i64,
    /// What the coupon took off, in fen.
    pub discount: i64,
    /// How often it was paid.
    pub count: u64,
}

/// A refund of a payment in which a coupon was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct RefundEffect {
    /// `favor`, `busifavor` or `product_coupon`.
    pub family: &'static str,
    /// The stock.
    pub stock_id: String,
    /// The coupon.
    pub coupon_id: String,
    /// The payment.
    pub transaction_id: String,
    /// The refund.
    pub refund_id: String,
    /// What of the order was refunded, in fen.
    pub amount: i64,
    /// The part of it that goes back to whoever paid for the coupon, in fen.
    pub discount: i64,
    /// How often it was refunded.
    pub count: u64,
}

/// What has become of the budget of a stock, in fen of face value: `budget` is the sum of the four parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct BudgetEffect {
    /// `favor`, `busifavor` or `product_coupon`.
    pub family: &'static str,
    /// The stock.
    pub stock_id: String,
    /// All of it.
    pub budget: i64,
    /// Not handed out.
    pub unsent: i64,
    /// In coupons that can be used.
    pub outstanding: i64,
    /// In coupons that are used.
    pub used: i64,
    /// In coupons that have expired.
    pub expired: i64,
    /// What payments took off less what refunds gave back.
    pub spent: i64,
}

/// The money of a merchant, in fen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct AccountEffect {
    /// The merchant.
    pub mchid: String,
    /// What it recharged.
    pub recharged: i64,
    /// What is locked for its prepaid stocks.
    pub locked: i64,
    /// What its prepaid stocks have spent.
    pub spent: i64,
    /// What is left; none where the settings say that there is no end to it.
    pub available: Option<i64>,
}

/// A request number that had an effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct NumberEffect {
    /// Id of the operation.
    pub operation: &'static str,
    /// Merchant that used it.
    pub mchid: String,
    /// The number, whatever its field is called.
    pub number: String,
    /// How often it had an effect: more than one would be a fault of the sandbox.
    pub effects: u64,
}

impl State {
    /// Everything that requests have brought about.
    pub(crate) fn ledger(&mut self, now: i64, settings: &Settings) -> Ledger {
        let mut ledger = Ledger::default();
        self.favor.enter(now, settings, &mut ledger);
        self.busifavor.enter(now, &mut ledger);
        self.product_coupon.enter(now, &mut ledger);
        ledger.request_numbers = self
            .numbers
            .iter()
            .map(|(key, done)| NumberEffect {
                operation: key.operation,
                mchid: done.caller.clone(),
                number: key.number.clone(),
                effects: done.effects,
            })
            .collect();
        ledger
    }

    /// Does what happens outside the API: what users, reviewers and people in the merchant platform do.
    ///
    /// # Errors
    /// What is wrong with the action, or why the state does not allow it.
    pub(crate) fn act(&mut self, action: &Value, ambient: &mut Ambient, settings: &Settings) -> Result<Value, String> {
        let now = ambient.now();
        let mut deed = Deed { action, now, ambient, settings, outbox: &mut self.outbox };
        let (act, stock_id, to) = (deed.text("act"), deed.text("stock_id"), deed.text("to"));
        if !ACTIONS.iter().any(|known| known.name == act) {
            let names: Vec<_> = ACTIONS.iter().map(|known| known.name).collect();
            return Err(format!("there is no action {act:?}; \"act\" is one of {}", names.join(", ")));
        }
        if act == "console" && !deed.text("activity_id").is_empty() {
            return self.paygiftactivity.act(deed.text("activity_id"), to, now);
        }
        if let Some(done) = self.favor.act(&mut deed) {
            return done;
        }
        if let Some(done) = self.product_coupon.act(&mut deed) {
            return done;
        }
        match act {
            "user_receive" => self.busifavor.user_receive(&mut deed),
            "user_delete" => self.busifavor.user_delete(&deed),
            "pay" => self.paygiftactivity.pay(&mut self.busifavor, &mut deed),
            "audit" | "console" => {
                let moved = self.busifavor.act(act, stock_id, to, now);
                let status = moved.ok_or_else(|| deed.unknown("stock_id"))??;
                Ok(serde_json::json!({"stock_id": stock_id, "status": status}))
            }
            "refund" => self.busifavor.refund(&mut deed).ok_or_else(|| deed.unknown("transaction_id")),
            _ => Err(deed.unknown("coupon_id")),
        }
    }
}

/// Something that can happen outside the API, and what it takes.
pub(crate) struct Action {
    pub(crate) name: &'static str,
    /// Texts, but for `amount`, which is fen.
    pub(crate) takes: &'static [&'static str],
    /// What `to` can be, where it takes that.
    pub(crate) to: &'static [&'static str],
}

/// What can happen outside the API.
#[rustfmt::skip]
pub(crate) const ACTIONS: &[Action] = &[
    Action { name: "pay", takes: &["mchid", "openid", "amount", "goods_tag"], to: &[] },
    Action { name: "pay_with_coupon", takes: &["coupon_id", "amount", "mchid"], to: &[] },
    Action { name: "refund", takes: &["transaction_id", "amount"], to: &["full", "part"] },
    Action { name: "user_receive", takes: &["stock_id", "stock_bundle_id", "openid", "appid", "coupon_code", "token"], to: &[] },
    Action { name: "user_delete", takes: &["stock_id", "coupon_code"], to: &[] },
    Action { name: "audit", takes: &["stock_id", "product_coupon_id"], to: &["pass", "refuse", "ask"] },
    Action { name: "console", takes: &["stock_id", "activity_id"], to: &["pause", "restart", "stop"] },
    Action { name: "recharge_balance", takes: &["mchid", "amount"], to: &[] },
];

/// Something that happens outside the API.
struct Deed<'a> {
    action: &'a Value,
    now: i64,
    ambient: &'a mut Ambient,
    settings: &'a Settings,
    outbox: &'a mut Outbox,
}

impl<'a> Deed<'a> {
    /// A text of the action; empty where it is absent.
    fn text(&self, name: &str) -> &'a str {
        self.action.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A positive number of the action, if it is there.
    fn amount(&self, name: &str) -> Result<Option<i64>, String> {
        match self.action.get(name) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(amount) if amount > 0 => Ok(Some(amount)),
                _ => Err(format!("{name:?} is {value}; write a positive integer, in fen")),
            },
        }
    }

    /// Why nothing was found under the name that the action gives.
    fn unknown(&self, name: &str) -> String {
        let what = name.trim_end_matches("_id");
        format!("there is no {what} {:?}; name it in {name:?}", self.text(name))
    }
}

/// A number that begins so, goes on with the day, and is not taken yet.
fn number_of_day(begin: &str, deed: &mut Deed<'_>, taken: impl Fn(&str) -> bool) -> String {
    let date: String = time_text(deed.now).chars().take(10).filter(char::is_ascii_digit).collect();
    let whole = |number: &str| format!("{begin}{date}{number}");
    whole(&deed.ambient.fresh_digits(12, |number| taken(&whole(number))))
}

/// Why nothing is opened for a token.
const NO_GIFT: &str = "no gift waits under this \"token\"; take one that pre-send has answered";

/// Why a stock cannot be moved by an action.
fn immovable(act: &str, to: &str, status: &str, possible: &str) -> String {
    format!("a stock that is {status} cannot be moved by {act} to {to:?}; \"to\" is one of {possible}")
}
