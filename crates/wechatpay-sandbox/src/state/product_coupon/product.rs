//! What a brand offers: created, read, changed, deactivated.

use super::bundle::{self, discounts};
use super::stock::{self, Usage};
use super::{Call, Deactivation, Owner, broken, check_app, find_product, invalid, once, wrong_state};
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::settings::ProductCouponFirstState;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What of a request that creates a product coupon its readers see again.
const SHOWN: [&str; 8] = [
    "scope",
    "type",
    "usage_mode",
    "single_usage_info",
    "progressive_bundle_usage_info",
    "sequential_usage_info",
    "display_info",
    "out_product_no",
];

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Product {
    pub(super) owner: Owner,
    shown: Map<String, Value>,
    pub(super) state: ProductState,
    deactivated: Option<Deactivation>,
}

/// State of a product coupon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ProductState {
    Auditing,
    Effective,
    Deactivated,
}

impl ProductState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Auditing => "AUDITING",
            Self::Effective => "EFFECTIVE",
            Self::Deactivated => "DEACTIVATED",
        }
    }
}

impl Product {
    /// A text of what it was created with.
    pub(super) fn text(&self, name: &str) -> &str {
        self.shown.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// How many coupons a bundle of it has.
    pub(super) fn count(&self) -> Option<i64> {
        self.bundle_number("count")
    }

    /// Days between two uses of a bundle.
    pub(super) fn interval_days(&self) -> i64 {
        self.bundle_number("interval_days").unwrap_or(0)
    }

    fn bundle_number(&self, name: &str) -> Option<i64> {
        self.shown.get("progressive_bundle_usage_info")?.get(name)?.as_i64()
    }

    /// Lets reviewers decide; names the state then.
    pub(super) fn review(&mut self, act: &str, to: &str) -> Result<&'static str, String> {
        self.state = match (act, to, self.state) {
            ("audit", "pass", ProductState::Auditing) => ProductState::Effective,
            ("audit", "refuse", ProductState::Auditing) => ProductState::Deactivated,
            (_, _, state) => return Err(super::immovable(act, to, state.as_str(), "pass, refuse (audit)")),
        };
        Ok(self.state.as_str())
    }

    /// As it is answered.
    pub(super) fn show(&self, product_id: &str) -> Map<String, Value> {
        let mut shown = self.shown.clone();
        shown.insert("product_coupon_id".to_owned(), json!(product_id));
        shown.insert("state".to_owned(), json!(self.state.as_str()));
        self.owner.show(&mut shown);
        if let Some(deactivation) = &self.deactivated {
            deactivation.show(&mut shown);
        }
        shown
    }
}

/// What does not go together in a request that creates a product coupon.
fn check_request(request: &Value) -> Outcome<()> {
    let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
    let (scope, kind, mode) = (text("scope"), text("type"), text("usage_mode"));
    let present = |pointer: &str| request.pointer(pointer).is_some();
    if mode == "SEQUENTIAL" {
        return Err(invalid(super::RULES, "newer pages have PROGRESSIVE_BUNDLE in place of SEQUENTIAL"));
    }
    if scope == "ALL" && kind == "EXCHANGE" {
        return Err(broken("a coupon for all goods is of type NORMAL or DISCOUNT"));
    }
    let priced = ["/display_info/original_price", "/display_info/combo_package_list"];
    if scope == "SINGLE" && !priced.into_iter().any(present) {
        return Err(broken("a coupon for certain goods says original_price or combo_package_list"));
    }
    if mode != "SINGLE" {
        return Ok(());
    }
    let rules = |place: &str| request.pointer(place).map(discounts).unwrap_or_default();
    let (general, own) = (rules("/single_usage_info"), rules("/stock/single_usage_rule"));
    let wanted = stock::discount(kind);
    match scope {
        "ALL" if general != [wanted] => Err(broken("single_usage_info holds the discount of a coupon for all goods")),
        "ALL" if !own.is_empty() => Err(broken("the discount of a coupon for all goods is not in its stock")),
        "SINGLE" if !general.is_empty() => Err(broken("the discount of a coupon for certain goods is in its stock")),
        "SINGLE" if own != [wanted] => {
            Err(broken("stock.single_usage_rule holds the discount of a coupon for certain goods"))
        }
        _ => Ok(()),
    }
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    once(call, |call| {
        let owner = Owner::of(call)?;
        if call.settings.product_coupon_needs_address && !call.state.product_coupon.addresses.contains_key(call.caller)
        {
            let why = "set_notify_config comes first (setting)";
            return Err(invalid(super::RULES, why));
        }
        check_request(&call.request)?;
        let place = if call.text("usage_mode") == "SINGLE" { "stock" } else { "stock_bundle" };
        let new = call.request.get(place).cloned().unwrap_or_default();
        check_app(call, new.pointer("/notify_config/notify_appid").and_then(Value::as_str).unwrap_or_default())?;
        let products = &call.state.product_coupon.products;
        let product_id = call.ambient.fresh_digits(10, |id| products.contains_key(id));
        let shown = SHOWN.iter().filter_map(|name| Some(((*name).to_owned(), call.request.get(*name)?.clone())));
        let state = match call.settings.product_coupon_first_state {
            ProductCouponFirstState::Effective => ProductState::Effective,
            ProductCouponFirstState::Auditing => ProductState::Auditing,
        };
        let product = Product { owner, shown: shown.collect(), state, deactivated: None };
        let stock = if place == "stock" {
            stock::check_period(&new, Usage::Single)?;
            let stock_id = stock::insert(call, &product, &product_id, &new);
            Value::Object(stock::describe(call, &stock_id))
        } else {
            bundle::check_new(&product, &new)?;
            let bundle_id = bundle::insert(call, &product, &product_id, &new);
            bundle::describe(call, &bundle_id)
        };
        let mut body = product.show(&product_id);
        body.insert(place.to_owned(), stock);
        call.state.product_coupon.products.insert(product_id, product);
        Ok(Answer::ok(Value::Object(body), Basis::Documented, "a product coupon is created"))
    })
}

pub(super) fn get(call: &mut Call<'_>) -> Outcome {
    let product_id = call.text("product_coupon_id");
    let body = find_product(call)?.show(&product_id);
    Ok(Answer::ok(Value::Object(body), Basis::Documented, "the product coupon as it is"))
}

pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    find_product(call)?;
    once(call, |call| {
        let (product_id, info) = (call.text("product_coupon_id"), call.request.get("display_info").cloned());
        let product = find_product(call)?;
        if product.state == ProductState::Deactivated {
            return Err(wrong_state("a deactivated product coupon is not changed"));
        }
        product.shown.extend(info.map(|info| ("display_info".to_owned(), info)));
        let body = product.show(&product_id);
        Ok(Answer::ok(Value::Object(body), Basis::Documented, "the product coupon looks different"))
    })
}

pub(super) fn deactivate(call: &mut Call<'_>) -> Outcome {
    find_product(call)?;
    once(call, |call| {
        let (product_id, deactivation) = (call.text("product_coupon_id"), Deactivation::of(call));
        let product = find_product(call)?;
        if product.state != ProductState::Effective {
            return Err(wrong_state("only a product coupon that is EFFECTIVE is deactivated"));
        }
        product.state = ProductState::Deactivated;
        product.deactivated = Some(deactivation.clone());
        let body = product.show(&product_id);
        let stocks = call.state.product_coupon.stocks.values_mut();
        for stock in stocks.filter(|stock| stock.product_coupon_id == product_id) {
            stock.settle(call.now);
            stock.end(&deactivation);
        }
        let why = "the product coupon and all its stocks are deactivated; users keep what they have";
        Ok(Answer::ok(Value::Object(body), Basis::Documented, why))
    })
}
