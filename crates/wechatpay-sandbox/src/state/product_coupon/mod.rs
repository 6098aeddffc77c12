//! Product coupons: what a brand offers, the stocks and bundles of it, their codes and stores, and the coupons of users,
//! each of which the brand has to confirm.

mod bundle;
mod coupon;
mod image;
mod notify;
mod product;
mod stock;

use super::{Act, Call, CouponEffect, Deed, Ledger, Once, StockEffect, immovable};
use crate::ambient::{instant, time_text};
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::settings::Repeat;
use coupon::{Coupon, CouponState};
use product::Product;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use stock::{Stock, StockState};

pub(super) const ACTS: &[Act] = &[
    Act::new("product_coupon.create_image_task", image::create_task),
    Act::new("product_coupon.get_image_task", image::get_task),
    Act::new("product_coupon.upload_image", image::upload),
    Act::new("product_coupon.set_notify_config", notify::set),
    Act::new("product_coupon.get_notify_config", notify::get),
    Act::new("product_coupon.create_product_coupon", product::create),
    Act::new("product_coupon.update_product_coupon", product::update),
    Act::new("product_coupon.get_product_coupon", product::get),
    Act::new("product_coupon.deactivate_product_coupon", product::deactivate),
    Act::new("product_coupon.create_stock_bundle", bundle::create),
    Act::new("product_coupon.update_stock_bundle", bundle::update),
    Act::new("product_coupon.associate_bundle_stores", bundle::associate),
    Act::new("product_coupon.disassociate_bundle_stores", bundle::disassociate),
    Act::new("product_coupon.update_stock_bundle_budget", bundle::update_budget),
    Act::new("product_coupon.create_stock", stock::create),
    Act::new("product_coupon.list_stocks", stock::list),
    Act::new("product_coupon.update_stock", bundle::update),
    Act::new("product_coupon.get_stock", stock::get),
    Act::new("product_coupon.associate_stores", bundle::associate),
    Act::new("product_coupon.list_associated_stores", stock::list_stores),
    Act::new("product_coupon.deactivate_stock", stock::deactivate),
    Act::new("product_coupon.disassociate_stores", bundle::disassociate),
    Act::new("product_coupon.update_stock_budget", bundle::update_budget),
    Act {
        // A code that does not fit does not refuse the request: it is sorted out.
        own: |violation| violation.at.starts_with("/code_list/") && matches!(violation.rule, "length" | "charset"),
        ..Act::new("product_coupon.upload_coupon_codes", stock::upload)
    },
    Act::new("product_coupon.send_coupon_bundle", coupon::send_bundle),
    Act::new("product_coupon.deactivate_coupon_bundle", coupon::deactivate_bundle),
    Act::new("product_coupon.send_coupon", coupon::send),
    Act::new("product_coupon.list_user_coupons", coupon::list),
    Act::new("product_coupon.get_user_coupon", coupon::get),
    Act::new("product_coupon.confirm_coupon", coupon::confirm),
    Act::new("product_coupon.deactivate_coupon", coupon::deactivate),
    Act::new("product_coupon.return_coupon", coupon::return_coupon),
    Act::new("product_coupon.use_coupon", coupon::use_coupon),
    Act::new("product_coupon.pre_send_coupon_bundle", coupon::pre_send),
    Act::new("product_coupon.pre_send_coupon", coupon::pre_send),
];

const NOT_THERE: &str = "当前访问对象不存在，请确认 ID 是否合法、属于当前品牌且由当前服务商创建";
const RULES: &str = "HTTP 请求不符合微信支付 APIv3 接口规则";

/// Everything about product coupons.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ProductCoupons {
    products: BTreeMap<String, Product>,
    stocks: BTreeMap<String, Stock>,
    /// The stocks of each bundle, in the order of use.
    bundles: BTreeMap<String, Vec<String>>,
    /// Stock and code of the coupons of each user, oldest first.
    users: BTreeMap<String, Vec<Key>>,
    /// The coupons that were sent together.
    sets: BTreeMap<String, coupon::Set>,
    /// Gifts that users are yet to open, by their token.
    tokens: BTreeMap<String, coupon::Promise>,
    addresses: BTreeMap<String, notify::Address>,
    #[serde(with = "super::pairs")]
    tasks: BTreeMap<(Owner, String), image::Task>,
}

/// Stock and code of a coupon.
type Key = (String, String);

/// Whose something is: a brand's, in the hands of whoever created it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Owner {
    brand: String,
    creator: String,
}

impl Owner {
    /// Who calls, for which brand. A brand may call for itself.
    fn of(call: &Call<'_>) -> Outcome<Self> {
        let named = call.text("brand_id");
        let brand = if named.is_empty() { call.caller.to_owned() } else { named };
        if call.settings.product_coupon_unauthorised_brands.contains(&brand) {
            let why = "the brand has not authorised the partner (setting)";
            return Err(Answer::refuse(403, "NO_AUTH", "服务商没有此接口权限", Basis::Documented, why));
        }
        Ok(Self { brand, creator: call.caller.to_owned() })
    }

    /// Names the brand, unless it is the one that asks.
    fn show(&self, shown: &mut Map<String, Value>) {
        if self.creator != self.brand {
            shown.insert("brand_id".to_owned(), json!(self.brand));
        }
    }

    /// The scope of its request numbers.
    fn scope(&self) -> String {
        format!("{} {}", self.creator, self.brand)
    }
}

/// Acts once for each request number: repeated with the same parameters, it gets the first answer again.
fn once(call: &mut Call<'_>, act: impl FnOnce(&mut Call<'_>) -> Outcome) -> Outcome {
    let scope = Owner::of(call)?.scope();
    let once = Once {
        same: (Repeat::FirstAnswer, Basis::Documented),
        other: ("使用了相同单号，但与上次请求的数据不一致", Basis::Guess),
        exists: "商品券已存在",
        code: "ALREADY_EXISTS",
    };
    once.within(call, scope, act)
}

fn not_there(why: &'static str) -> Box<Answer> {
    Answer::refuse(404, "RESOURCE_NOT_EXISTS", NOT_THERE, Basis::Guess, why)
}

/// A refusal whose words are documented, and whose code is not.
fn invalid(message: &str, why: impl Into<std::borrow::Cow<'static, str>>) -> Box<Answer> {
    Answer::refuse(400, "INVALID_REQUEST", message, Basis::Guess, why)
}

/// A rule of the business is broken.
fn broken(why: &'static str) -> Box<Answer> {
    Answer::refuse(400, "INVALID_REQUEST", RULES, Basis::Documented, why)
}

/// A state does not allow something.
fn wrong_state(why: &'static str) -> Box<Answer> {
    invalid(RULES, why)
}

/// Refuses apps and users that the settings name.
fn check_user(call: &Call<'_>) -> Outcome<()> {
    check_app(call, &call.text("appid"))?;
    if call.settings.product_coupon_unknown_users.contains(&call.text("openid")) {
        let why = "the openid is none of this app (setting)";
        return Err(Answer::refuse(400, "PARAM_ERROR", "解析 OpenID 错误", Basis::Documented, why));
    }
    Ok(())
}

/// Refuses an app that the settings name.
fn check_app(call: &Call<'_>, appid: &str) -> Outcome<()> {
    if call.settings.product_coupon_unbound_appids.iter().any(|unbound| unbound == appid) {
        let why = "the appid is not bound to the brand (setting)";
        return Err(Answer::refuse(400, "INVALID_REQUEST", "传入的 AppID 非法", Basis::Documented, why));
    }
    Ok(())
}

/// The product coupon that the request names, if it is the caller's.
fn find_product<'s>(call: &'s mut Call<'_>) -> Outcome<&'s mut Product> {
    let (owner, id) = (Owner::of(call)?, call.text("product_coupon_id"));
    let found = call.state.product_coupon.products.get_mut(&id).filter(|product| product.owner == owner);
    found.ok_or_else(|| not_there("the caller has no such product coupon"))
}

/// A stock of the product coupon that the request names, with the clock's effect on it.
fn find_stock<'s>(call: &'s mut Call<'_>, stock_id: &str) -> Outcome<&'s mut Stock> {
    find_product(call)?;
    let (product_id, now) = (call.text("product_coupon_id"), call.now);
    let stock = call.state.product_coupon.stocks.get_mut(stock_id);
    let stock = stock.filter(|stock| stock.product_coupon_id == product_id);
    let stock = stock.ok_or_else(|| not_there("the product coupon has no such stock"))?;
    stock.settle(now);
    Ok(stock)
}

/// A number and the time at which it was used.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Done {
    number: String,
    time: i64,
}

impl Done {
    /// The request's.
    fn of(call: &Call<'_>) -> Self {
        Self { number: call.text("out_request_no"), time: call.now }
    }

    fn show(&self, verb: &str, shown: &mut Map<String, Value>) {
        shown.insert(format!("{verb}_request_no"), json!(self.number));
        shown.insert(format!("{verb}_time"), json!(time_text(self.time)));
    }
}

/// That, and why, something was deactivated.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Deactivation {
    done: Done,
    reason: String,
}

impl Deactivation {
    fn of(call: &Call<'_>) -> Self {
        Self { done: Done::of(call), reason: call.text("deactivate_reason") }
    }

    fn show(&self, shown: &mut Map<String, Value>) {
        self.done.show("deactivate", shown);
        shown.insert("deactivate_reason".to_owned(), json!(self.reason));
    }
}

/// A page of a list that is read by tokens.
struct Page {
    skip: usize,
    size: usize,
}

impl Page {
    fn of(call: &Call<'_>) -> Outcome<Self> {
        let token = call.text("page_token");
        let skip = if token.is_empty() { Some(0) } else { token.parse().ok() };
        let skip = skip.ok_or_else(|| {
            Answer::refuse(400, "PARAM_ERROR", "参数错误", Basis::Guess, "no page has answered this token")
        })?;
        let size = call.integer("page_size").and_then(|size| usize::try_from(size).ok()).unwrap_or(20);
        Ok(Self { skip, size })
    }

    /// The answer: this page of the items under a name, how many there are in all, and what names the next page.
    fn cut(&self, name: &str, items: Vec<Value>) -> Value {
        let (total, end) = (items.len(), self.skip.saturating_add(self.size));
        let page: Vec<_> = items.into_iter().skip(self.skip).take(self.size).collect();
        let mut body = json!({"total_count": total, name: page});
        if let (Some(body), true) = (body.as_object_mut(), end < total) {
            body.insert("next_page_token".to_owned(), json!(end.to_string()));
        }
        body
    }
}

/// Unix seconds of a time in a rule.
fn seconds(rule: Option<&Value>, name: &str) -> Option<i64> {
    instant(rule?.get(name)?.as_str()?).map(|(seconds, _)| seconds)
}

impl ProductCoupons {
    pub(super) fn enter(&mut self, now: i64, ledger: &mut Ledger) {
        for (stock_id, stock) in &mut self.stocks {
            stock.settle(now);
            ledger.stocks.push(StockEffect {
                family: "product_coupon",
                stock_id: stock_id.clone(),
                creator: stock.owner.creator.clone(),
                out_request_no: stock.out_request_no.clone(),
                status: stock.state.as_str(),
                count: 1,
            });
            ledger.coupon_codes.extend(stock.pool.effects(stock_id));
            ledger.coupons.extend(stock.coupons.iter_mut().map(|(code, coupon)| {
                coupon.settle(now);
                CouponEffect {
                    family: "product_coupon",
                    stock_id: stock_id.clone(),
                    coupon_id: code.clone(),
                    status: coupon.state.as_str(),
                    count: coupon.count,
                }
            }));
        }
    }

    /// What happens outside the API, if it is about something here.
    pub(super) fn act(&mut self, deed: &mut Deed<'_>) -> Option<Result<Value, String>> {
        let (act, stock_id, token) = (deed.text("act"), deed.text("stock_id"), deed.text("token"));
        let bundle_id = deed.text("stock_bundle_id");
        let named = self.products.contains_key(deed.text("product_coupon_id"))
            || self.stocks.contains_key(stock_id)
            || self.bundles.contains_key(bundle_id)
            || self.tokens.contains_key(token)
            // No other family has bundles, so that an unknown one is this one's to refuse.
            || act == "user_receive" && !bundle_id.is_empty();
        match act {
            _ if !named => None,
            "audit" | "console" => Some(self.move_state(deed)),
            "user_receive" => Some(self.user_receive(deed)),
            "user_delete" => Some(self.user_delete(deed)),
            _ => None,
        }
    }

    /// Moves a product coupon, or a stock, as no API can.
    fn move_state(&mut self, deed: &Deed<'_>) -> Result<Value, String> {
        let (act, to, now) = (deed.text("act"), deed.text("to"), deed.now);
        let stock_id = deed.text("stock_id");
        let Some(stock) = self.stocks.get_mut(stock_id) else {
            let product_id = deed.text("product_coupon_id");
            let product = self.products.get_mut(product_id).ok_or_else(|| deed.unknown("stock_id"))?;
            let state = product.review(act, to)?;
            for stock in self.stocks.values_mut().filter(|stock| stock.product_coupon_id == product_id) {
                stock.settle(now);
                if stock.state == StockState::Auditing {
                    stock.review(act, to)?;
                }
            }
            return Ok(json!({"product_coupon_id": product_id, "status": state}));
        };
        stock.settle(now);
        let state = stock.review(act, to)?;
        Ok(json!({"stock_id": stock_id, "status": state}))
    }

    /// A user deletes a coupon; nobody is told.
    fn user_delete(&mut self, deed: &Deed<'_>) -> Result<Value, String> {
        let (stock_id, code) = (deed.text("stock_id"), deed.text("coupon_code"));
        let coupon = self.coupon(stock_id, code, deed.now);
        let coupon = coupon.ok_or_else(|| format!("stock {stock_id} has no coupon of that \"coupon_code\""))?;
        coupon.state = CouponState::Deleted;
        Ok(json!({"stock_id": stock_id, "coupon_code": code, "status": coupon.state.as_str()}))
    }

    /// A coupon, with the clock's effect on it.
    fn coupon(&mut self, stock_id: &str, code: &str, now: i64) -> Option<&mut Coupon> {
        let coupon = self.stocks.get_mut(stock_id)?.coupons.get_mut(code)?;
        coupon.settle(now);
        Some(coupon)
    }
}
