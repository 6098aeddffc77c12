//! Stocks of product coupons: created, read, deactivated, their codes and stores listed.

use super::bundle::discounts;
use super::coupon::Coupon;
use super::product::{Product, ProductState};
use super::{
    Call, Deactivation, Owner, Page, broken, check_app, find_product, find_stock, invalid, once, seconds, wrong_state,
};
use crate::ambient::day;
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::settings::ProductCouponFirstState;
use crate::state::pool::{Limits, Pool, Sorted};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Most stocks of one product coupon that are neither ended nor deactivated.
const MOST: usize = 200;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stock {
    pub(super) product_coupon_id: String,
    pub(super) owner: Owner,
    pub(super) out_request_no: String,
    /// What it was created with, as it was changed since.
    pub(super) rules: Map<String, Value>,
    pub(super) state: StockState,
    /// Its bundle and its place there.
    pub(super) bundle: Option<(String, usize)>,
    pub(super) begins: i64,
    pub(super) ends: i64,
    pub(super) pool: Pool,
    pub(super) coupons: BTreeMap<String, Coupon>,
    pub(super) stores: BTreeSet<String>,
    deactivated: Option<Deactivation>,
    /// How many coupons were handed out on each day.
    by_day: BTreeMap<i64, i64>,
}

/// State of a stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StockState {
    Auditing,
    Sending,
    Paused,
    Stopped,
    Deactivated,
}

impl StockState {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Auditing => "AUDITING",
            Self::Sending => "SENDING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Deactivated => "DEACTIVATED",
        }
    }
}

/// How the coupons of a stock are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Usage {
    Single,
    Bundle,
}

impl Usage {
    /// The field of a stock that says when, and how.
    pub(super) const fn field(self) -> &'static str {
        match self {
            Self::Single => "single_usage_rule",
            Self::Bundle => "progressive_bundle_usage_rule",
        }
    }
}

/// The field that holds the discount of a type.
pub(super) fn discount(kind: &str) -> &'static str {
    match kind {
        "DISCOUNT" => "discount_coupon",
        "EXCHANGE" => "exchange_coupon",
        _ => "normal_coupon",
    }
}

impl Stock {
    /// Lets the clock have its effect.
    pub(super) fn settle(&mut self, now: i64) {
        if now > self.ends && self.state != StockState::Deactivated {
            self.state = StockState::Stopped;
        }
    }

    /// Whether it is neither ended nor deactivated.
    pub(super) fn open(&self) -> bool {
        !matches!(self.state, StockState::Stopped | StockState::Deactivated)
    }

    /// Deactivates it, unless it has ended.
    pub(super) fn end(&mut self, deactivation: &Deactivation) {
        if self.open() {
            self.state = StockState::Deactivated;
            self.deactivated = Some(deactivation.clone());
        }
    }

    pub(super) fn usage(&self) -> Usage {
        if self.bundle.is_some() { Usage::Bundle } else { Usage::Single }
    }

    /// When its coupons can be used.
    pub(super) fn period(&self) -> Option<&Value> {
        self.rules.get(self.usage().field())?.get("coupon_available_period")
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.rules.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A number of the rule by which coupons are handed out.
    pub(super) fn limit(&self, name: &str) -> Option<i64> {
        self.rules.get("stock_send_rule")?.get(name)?.as_i64()
    }

    /// App whose openids notifications carry.
    pub(super) fn notify_appid(&self) -> Option<&str> {
        self.rules.get("notify_config")?.get("notify_appid")?.as_str()
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

    /// Lets people and reviewers decide; names the state then.
    pub(super) fn review(&mut self, act: &str, to: &str) -> Result<&'static str, String> {
        self.state = match (act, to, self.state) {
            ("audit", "pass", StockState::Auditing) | ("console", "restart", StockState::Paused) => StockState::Sending,
            ("audit", "refuse", StockState::Auditing) => StockState::Deactivated,
            ("console", "pause", StockState::Sending) => StockState::Paused,
            (_, _, state) => {
                let possible = "pass, refuse (audit), pause, restart (console)";
                return Err(super::immovable(act, to, state.as_str(), possible));
            }
        };
        Ok(self.state.as_str())
    }

    /// As it is answered.
    pub(super) fn show(&self, stock_id: &str, now: i64) -> Map<String, Value> {
        let mut shown = self.rules.clone();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("product_coupon_id", json!(self.product_coupon_id));
        put("stock_id", json!(stock_id));
        put("state", json!(self.state.as_str()));
        put("sent_count_info", json!({"total_count": self.sent(), "today_count": self.sent_today(now)}));
        if self.text("coupon_code_mode") == "UPLOAD" {
            let count = json!({"total_count": self.pool.total(), "available_count": self.pool.available()});
            put("coupon_code_count_info", count);
        }
        if let Some((bundle_id, index)) = &self.bundle {
            put("stock_bundle_info", json!({"stock_bundle_id": bundle_id, "stock_bundle_index": index}));
        }
        self.owner.show(&mut shown);
        if let Some(deactivation) = &self.deactivated {
            deactivation.show(&mut shown);
        }
        shown
    }
}

/// What does not go together in the times of a new stock.
pub(super) fn check_period(new: &Value, usage: Usage) -> Outcome<()> {
    let period = new.get(usage.field()).and_then(|rule| rule.get("coupon_available_period"));
    let Some(period) = period.and_then(Value::as_object) else {
        return Err(broken("the stock does not say when its coupons can be used"));
    };
    let has = |name: &str| period.contains_key(name);
    if has("wait_days_after_receive") && !has("available_days") {
        return Err(broken("wait_days_after_receive needs available_days"));
    }
    let others = ["available_days", "wait_days_after_receive", "weekly_available_period"];
    if has("irregular_available_period_list") && others.into_iter().any(has) {
        return Err(broken("irregular_available_period_list stands alone"));
    }
    Ok(())
}

/// Keeps a new stock of a product coupon; names it.
pub(super) fn insert(call: &mut Call<'_>, product: &Product, product_id: &str, new: &Value) -> String {
    let stocks = &call.state.product_coupon.stocks;
    let stock_id = call.ambient.fresh_digits(13, |id| stocks.contains_key(id));
    let rules = new.as_object().cloned().unwrap_or_default();
    let usage = if rules.contains_key(Usage::Bundle.field()) { Usage::Bundle } else { Usage::Single };
    let period = rules.get(usage.field()).and_then(|rule| rule.get("coupon_available_period"));
    let stock = Stock {
        product_coupon_id: product_id.to_owned(),
        owner: product.owner.clone(),
        out_request_no: call.text("out_request_no"),
        state: match call.settings.product_coupon_first_state {
            ProductCouponFirstState::Effective => StockState::Sending,
            ProductCouponFirstState::Auditing => StockState::Auditing,
        },
        bundle: None,
        begins: seconds(period, "available_begin_time").unwrap_or(call.now),
        ends: seconds(period, "available_end_time").unwrap_or(i64::MAX),
        rules,
        pool: Pool::default(),
        coupons: BTreeMap::new(),
        stores: BTreeSet::new(),
        deactivated: None,
        by_day: BTreeMap::new(),
    };
    call.state.product_coupon.stocks.insert(stock_id.clone(), stock);
    stock_id
}

/// A stock as it is answered.
pub(super) fn describe(call: &Call<'_>, stock_id: &str) -> Map<String, Value> {
    let stock = call.state.product_coupon.stocks.get(stock_id);
    stock.map(|stock| stock.show(stock_id, call.now)).unwrap_or_default()
}

/// The product coupon takes another stock, or so many.
pub(super) fn check_room(call: &mut Call<'_>, more: usize) -> Outcome<()> {
    if find_product(call)?.state != ProductState::Effective {
        return Err(wrong_state("only a product coupon that is EFFECTIVE gets stocks"));
    }
    let (product_id, now) = (call.text("product_coupon_id"), call.now);
    let stocks = call.state.product_coupon.stocks.values_mut();
    let mut open = 0;
    for stock in stocks.filter(|stock| stock.product_coupon_id == product_id) {
        stock.settle(now);
        open += usize::from(stock.open());
    }
    if open + more > MOST {
        return Err(broken("a product coupon has 200 stocks at most that are neither ended nor deactivated"));
    }
    Ok(())
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    find_product(call)?;
    once(call, |call| {
        check_room(call, 1)?;
        let new = call.request.get("stock").cloned().unwrap_or_default();
        check_app(call, new.pointer("/notify_config/notify_appid").and_then(Value::as_str).unwrap_or_default())?;
        check_period(&new, Usage::Single)?;
        let product_id = call.text("product_coupon_id");
        let product = find_product(call)?.clone();
        if product.text("usage_mode") != "SINGLE" {
            return Err(broken("a product coupon that is used several times gets bundles, not stocks"));
        }
        let own = new.get(Usage::Single.field()).map(discounts).unwrap_or_default();
        let fits = match product.text("scope") {
            "ALL" => own.is_empty(),
            "SINGLE" => own == [discount(product.text("type"))],
            _ => true,
        };
        if !fits {
            return Err(broken("the discount is in the product coupon for all goods, in the stock for certain goods"));
        }
        let stock_id = insert(call, &product, &product_id, &new);
        let body = Value::Object(describe(call, &stock_id));
        Ok(Answer::ok(body, Basis::Documented, "the product coupon has another stock"))
    })
}

pub(super) fn get(call: &mut Call<'_>) -> Outcome {
    let (stock_id, now) = (call.text("stock_id"), call.now);
    let body = find_stock(call, &stock_id)?.show(&stock_id, now);
    Ok(Answer::ok(Value::Object(body), Basis::Documented, "the stock as it is"))
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    find_product(call)?;
    let (page, now) = (Page::of(call)?, call.now);
    let (product_id, state, bundle) =
        (call.text("product_coupon_id"), call.text("state"), call.text("stock_bundle_id"));
    let mut found = Vec::new();
    for (stock_id, stock) in &mut call.state.product_coupon.stocks {
        stock.settle(now);
        let place = stock.bundle.as_ref();
        let fits = stock.product_coupon_id == product_id
            && (state.is_empty() || state == stock.state.as_str())
            && (bundle.is_empty() || place.is_some_and(|(id, _)| *id == bundle));
        if fits {
            found.push((place.map(|(_, index)| *index), Value::Object(stock.show(stock_id, now))));
        }
    }
    found.sort_by_key(|(index, _)| *index);
    let body = page.cut("stock_list", found.into_iter().map(|(_, stock)| stock).collect());
    Ok(Answer::ok(body, Basis::Documented, "those of a bundle in the order of use"))
}

pub(super) fn deactivate(call: &mut Call<'_>) -> Outcome {
    let stock_id = call.text("stock_id");
    find_stock(call, &stock_id)?;
    once(call, |call| {
        let (now, deactivation) = (call.now, Deactivation::of(call));
        let stock = find_stock(call, &stock_id)?;
        if !matches!(stock.state, StockState::Sending | StockState::Paused) {
            return Err(wrong_state("only a stock that is SENDING or PAUSED is deactivated"));
        }
        stock.end(&deactivation);
        let body = Value::Object(stock.show(&stock_id, now));
        Ok(Answer::ok(body, Basis::Documented, "the stock is deactivated; users keep what they have"))
    })
}

/// Refuses what is about the stores of a stock that has none of its own.
pub(super) fn check_stores(stock: &Stock) -> Outcome<()> {
    if stock.text("store_scope") != "SPECIFIC" {
        let why = "store_scope of the stock is not SPECIFIC";
        return Err(invalid("当前券批次全部门店可用", why));
    }
    Ok(())
}

pub(super) fn list_stores(call: &mut Call<'_>) -> Outcome {
    let (page, stock_id) = (Page::of(call)?, call.text("stock_id"));
    let stock = find_stock(call, &stock_id)?;
    check_stores(stock)?;
    if !stock.open() {
        return Err(wrong_state("the stock has ended or was deactivated"));
    }
    let body = page.cut("store_list", stock.stores.iter().map(|store| json!({"store_id": store})).collect());
    Ok(Answer::ok(body, Basis::Documented, "the stores of the stock"))
}

pub(super) fn upload(call: &mut Call<'_>) -> Outcome {
    let stock_id = call.text("stock_id");
    find_stock(call, &stock_id)?;
    once(call, |call| {
        let (now, settings, number) = (call.now, call.settings, call.text("out_request_no"));
        let codes = call.take_texts("code_list");
        let stock = find_stock(call, &stock_id)?;
        if stock.text("coupon_code_mode") != "UPLOAD" {
            return Err(wrong_state("coupon_code_mode of the stock is not UPLOAD"));
        }
        if !stock.open() {
            return Err(wrong_state("the stock has ended or was deactivated"));
        }
        let limits = Limits {
            longest: 40,
            allowed: |character| character.is_ascii_alphanumeric() || matches!(character, '_' | '-'),
            bad_character: &settings.busifavor_bad_character,
            reupload: true,
        };
        let sorted = Sorted::new(&codes, &stock.pool, &limits);
        let pool = u64::try_from(stock.pool.total() + sorted.success.len()).unwrap_or(u64::MAX);
        if settings.product_coupon_code_limit.is_some_and(|limit| pool > limit) {
            return Err(wrong_state("the stock would have more codes than it takes (setting)"));
        }
        stock.pool.add(&sorted.success, &number, now);
        let mut body = Map::new();
        body.insert("total_count".to_owned(), json!(sorted.total));
        let names = ["success_code_list", "already_exist_code_list", "duplicate_code_list", "failed_code_list"];
        body.extend(sorted.lists(names).map(|(name, list)| (name.to_owned(), list)));
        let basis = if sorted.fail.is_empty() { Basis::Documented } else { Basis::Guess };
        Ok(Answer::ok(Value::Object(body), basis, "codes are sorted into the documented lists"))
    })
}
