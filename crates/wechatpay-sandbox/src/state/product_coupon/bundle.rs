//! Bundles of stocks, and what is done to a stock or to all stocks of a bundle alike: looks, stores, budget.

use super::product::Product;
use super::stock::{self, Stock, Usage, check_period, check_room, check_stores};
use super::{Call, broken, check_app, find_product, find_stock, not_there, once, wrong_state};
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use serde_json::{Map, Value, json};
use std::cmp::Ordering;

/// A stock, or all stocks of a bundle.
pub(super) enum Target {
    Stock(String),
    Bundle(String, Vec<String>),
}

impl Target {
    /// What the request names; it is the caller's, and a stock named alone is in no bundle.
    pub(super) fn of(call: &mut Call<'_>) -> Outcome<Self> {
        let bundle_id = call.text("stock_bundle_id");
        if bundle_id.is_empty() {
            let stock_id = call.text("stock_id");
            return match find_stock(call, &stock_id)?.bundle {
                None => Ok(Self::Stock(stock_id)),
                Some(_) => Err(wrong_state("the stock is in a bundle: name the bundle")),
            };
        }
        let stocks = call.state.product_coupon.bundles.get(&bundle_id).cloned();
        let stocks = stocks.ok_or_else(|| not_there("the product coupon has no such bundle"))?;
        for stock_id in &stocks {
            find_stock(call, stock_id)?;
        }
        Ok(Self::Bundle(bundle_id, stocks))
    }

    pub(super) fn stocks(&self) -> &[String] {
        match self {
            Self::Stock(stock_id) => std::slice::from_ref(stock_id),
            Self::Bundle(_, stocks) => stocks,
        }
    }

    /// As it is answered.
    fn describe(&self, call: &Call<'_>) -> Value {
        match self {
            Self::Stock(stock_id) => Value::Object(stock::describe(call, stock_id)),
            Self::Bundle(bundle_id, _) => describe(call, bundle_id),
        }
    }
}

/// The names of the discounts in a rule.
pub(super) fn discounts(rule: &Value) -> Vec<&'static str> {
    let names = ["normal_coupon", "discount_coupon", "exchange_coupon"];
    names.into_iter().filter(|name| rule.get(name).is_some()).collect()
}

/// How a discount compares with the one before it, for users.
fn compare(kind: &str, before: &Value, after: &Value) -> Ordering {
    let number = |rule: &Value, name: &str| rule.get(name).and_then(Value::as_i64);
    match kind {
        "DISCOUNT" => number(after, "percent_off").cmp(&number(before, "percent_off")),
        // The less it costs, the better.
        "EXCHANGE" => number(before, "exchange_price").cmp(&number(after, "exchange_price")),
        _ => number(after, "discount_amount").cmp(&number(before, "discount_amount")),
    }
}

/// The discounts of a new bundle, one for each use.
fn rules<'a>(product: &Product, new: &'a Value) -> &'a [Value] {
    let list = format!("{}_list", stock::discount(product.text("type")));
    let rule = new.get(Usage::Bundle.field()).and_then(|rule| rule.get(&list));
    rule.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// What does not go together in a new bundle.
pub(super) fn check_new(product: &Product, new: &Value) -> Outcome<()> {
    let Some(count) = product.count().filter(|_| product.text("usage_mode") == "PROGRESSIVE_BUNDLE") else {
        return Err(broken("only a product coupon of mode PROGRESSIVE_BUNDLE has bundles"));
    };
    check_period(new, Usage::Bundle)?;
    if new.get("coupon_code_mode").and_then(Value::as_str) == Some("API_ASSIGN") {
        return Err(broken("the codes of a bundle are WECHATPAY or UPLOAD"));
    }
    let rules = rules(product, new);
    if i64::try_from(rules.len()) != Ok(count) {
        return Err(broken("a bundle has one discount of its type for each use"));
    }
    let kind = product.text("type");
    let falls = rules.iter().zip(rules.iter().skip(1)).any(|(before, after)| compare(kind, before, after).is_lt());
    if falls {
        return Err(broken("no discount of a bundle is smaller than the one before"));
    }
    Ok(())
}

/// Keeps a new bundle of a product coupon; names it.
pub(super) fn insert(call: &mut Call<'_>, product: &Product, product_id: &str, new: &Value) -> String {
    let bundles = &call.state.product_coupon.bundles;
    let bundle_id = call.ambient.fresh_digits(18, |id| bundles.contains_key(id));
    let discount = stock::discount(product.text("type"));
    let period = new.get(Usage::Bundle.field()).and_then(|rule| rule.get("coupon_available_period"));
    let mut stocks = Vec::new();
    for (index, rule) in rules(product, new).iter().enumerate() {
        let mut one = new.as_object().cloned().unwrap_or_default();
        let usage = json!({"coupon_available_period": period, discount: rule});
        one.insert(Usage::Bundle.field().to_owned(), usage);
        let stock_id = stock::insert(call, product, product_id, &Value::Object(one));
        if let Some(stock) = call.state.product_coupon.stocks.get_mut(&stock_id) {
            stock.bundle = Some((bundle_id.clone(), index));
        }
        stocks.push(stock_id);
    }
    call.state.product_coupon.bundles.insert(bundle_id.clone(), stocks);
    bundle_id
}

/// A bundle as it is answered.
pub(super) fn describe(call: &Call<'_>, bundle_id: &str) -> Value {
    let stocks = call.state.product_coupon.bundles.get(bundle_id).map(Vec::as_slice).unwrap_or_default();
    let stocks: Vec<_> = stocks.iter().map(|stock_id| stock::describe(call, stock_id)).collect();
    json!({"stock_bundle_id": bundle_id, "stock_list": stocks})
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    find_product(call)?;
    once(call, |call| {
        let (product_id, new) =
            (call.text("product_coupon_id"), call.request.get("stock_bundle").cloned().unwrap_or_default());
        check_app(call, new.pointer("/notify_config/notify_appid").and_then(Value::as_str).unwrap_or_default())?;
        let product = find_product(call)?.clone();
        check_new(&product, &new)?;
        check_room(call, rules(&product, &new).len())?;
        let bundle_id = insert(call, &product, &product_id, &new);
        let body = describe(call, &bundle_id);
        Ok(Answer::ok(body, Basis::Documented, "the product coupon has another bundle, a stock for each use"))
    })
}

/// What of the rules of a stock becomes another.
type Changes = Map<String, Value>;

/// Changes the stock, or the stocks, that the request names, all of which are open: all of them, or none where one of them
/// does not allow it.
fn change(call: &mut Call<'_>, wanted: impl Fn(&Stock, &Value) -> Outcome<Changes>) -> Outcome {
    let target = Target::of(call)?;
    once(call, |call| {
        let request = call.request.clone();
        for stock_id in target.stocks() {
            if !find_stock(call, stock_id)?.open() {
                return Err(wrong_state("the stock has ended or was deactivated"));
            }
        }
        let mut all = Vec::new();
        for stock_id in target.stocks() {
            all.push((stock_id, wanted(find_stock(call, stock_id)?, &request)?));
        }
        for (stock_id, changes) in all {
            find_stock(call, stock_id)?.rules.extend(changes);
        }
        Ok(Answer::ok(target.describe(call), Basis::Documented, "the stock, or the bundle, is changed"))
    })
}

pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    let names = ["remark", "usage_rule_display_info", "coupon_display_info", "notify_config", "store_scope"];
    change(call, |stock, request| {
        if stock.state == stock::StockState::Auditing {
            return Err(wrong_state("only a stock that is SENDING or PAUSED is changed"));
        }
        Ok(names.iter().filter_map(|name| Some(((*name).to_owned(), request.get(*name)?.clone()))).collect())
    })
}

pub(super) fn update_budget(call: &mut Call<'_>) -> Outcome {
    let now = call.now;
    change(call, |stock, request| {
        let by_day = request.get("update_mode").and_then(Value::as_str) == Some("MAX_COUNT_PER_DAY");
        let name = if by_day { "max_count_per_day" } else { "max_count" };
        let number = |when: &str| request.get(format!("{when}_{name}")).and_then(Value::as_i64);
        let Some(limit) = stock.limit(name) else {
            return Err(broken("a stock without a limit for the day cannot get one"));
        };
        if number("current") != Some(limit) {
            return Err(wrong_state("the present value is not that of the stock"));
        }
        let sent = if by_day { stock.sent_today(now) } else { stock.sent() };
        if number("target") < Some(sent) {
            return Err(broken("more coupons than that were handed out already"));
        }
        let mut rule = stock.rules.get("stock_send_rule").cloned().unwrap_or_else(|| json!({}));
        if let Value::Object(rule) = &mut rule {
            rule.insert(name.to_owned(), json!(number("target")));
        }
        Ok(Changes::from_iter([("stock_send_rule".to_owned(), rule)]))
    })
}

/// Sorts the stores of a request into those that can be taken and those that cannot, and does something with the former.
fn for_stores(call: &mut Call<'_>, act: impl Fn(&mut Stock, &str)) -> Outcome {
    let target = Target::of(call)?;
    for stock_id in target.stocks() {
        let stock = find_stock(call, stock_id)?;
        check_stores(stock)?;
        if !stock.open() {
            return Err(wrong_state("the stock has ended or was deactivated"));
        }
    }
    let named = call.request.get("store_list").and_then(Value::as_array).cloned().unwrap_or_default();
    let unknown = &call.settings.product_coupon_unknown_stores;
    let (mut success, mut failed) = (Vec::new(), Vec::new());
    for store in named.iter().filter_map(|store| store.get("store_id")?.as_str()) {
        if unknown.iter().any(|unknown| unknown == store) {
            failed.push(json!({"store_id": store, "code": "INVALID_STORE", "message": "门店不存在"}));
        } else {
            success.push(store);
        }
    }
    for stock_id in target.stocks() {
        let stock = find_stock(call, stock_id)?;
        success.iter().for_each(|store| act(stock, store));
    }
    let mut body = Map::new();
    body.insert("total_count".to_owned(), json!(named.len()));
    if !success.is_empty() {
        let success: Vec<_> = success.iter().map(|store| json!({"store_id": store})).collect();
        body.insert("success_store_list".to_owned(), json!(success));
    }
    let basis = if failed.is_empty() { Basis::Documented } else { Basis::Guess };
    if !failed.is_empty() {
        body.insert("failed_store_list".to_owned(), json!(failed));
    }
    Ok(Answer::ok(Value::Object(body), basis, "what became of each store; the settings say which there are not"))
}

pub(super) fn associate(call: &mut Call<'_>) -> Outcome {
    for_stores(call, |stock, store| {
        stock.stores.insert(store.to_owned());
    })
}

pub(super) fn disassociate(call: &mut Call<'_>) -> Outcome {
    for_stores(call, |stock, store| {
        stock.stores.remove(store);
    })
}
