//! Coupons of users: handed out, confirmed, read, used, returned, deactivated.

use super::bundle::Target;
use super::stock::{Stock, StockState, Usage};
use super::{
    Call, Deactivation, Done, Key, Owner, Page, ProductCoupons, check_user, find_product, find_stock, invalid,
    not_there, once, seconds, wrong_state,
};
use crate::ambient::{Ambient, day, time_text};
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::settings::Settings;
use crate::state::{Deed, Event, NO_GIFT, Outbox, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use wechatpay_model::operation::Payload;
use wechatpay_model::product_coupon::{BrandCouponSend, CouponSend};

/// Seconds for which a token opens the component.
const TOKEN_LASTS: i64 = 300;

const STATE: &str = "用户券状态非法";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Coupon {
    openid: String,
    number: String,
    channel: String,
    /// What its sender added: text and marks.
    extras: Map<String, Value>,
    received: i64,
    starts: i64,
    expires: i64,
    pub(super) state: CouponState,
    confirmed: Option<Done>,
    /// How it was used and returned, as it is answered.
    usage: Map<String, Value>,
    deactivated: Option<Deactivation>,
    /// The coupons that it was sent with, and its place among them.
    set: Option<(String, usize)>,
    /// How often it was handed out.
    pub(super) count: u64,
}

/// State of a coupon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum CouponState {
    Confirming,
    Pending,
    Effective,
    Used,
    Expired,
    Deleted,
    Deactivated,
}

impl CouponState {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Confirming => "CONFIRMING",
            Self::Pending => "PENDING",
            Self::Effective => "EFFECTIVE",
            Self::Used => "USED",
            Self::Expired => "EXPIRED",
            Self::Deleted => "DELETED",
            Self::Deactivated => "DEACTIVATED",
        }
    }

    /// Whether it can still come to be used.
    const fn alive(self) -> bool {
        matches!(self, Self::Confirming | Self::Pending | Self::Effective)
    }

    /// The refusal of something that this state does not allow.
    fn refusal(self) -> Box<Answer> {
        match self {
            Self::Confirming => {
                invalid(STATE, "the coupon is CONFIRMING: it was handed out, and confirm_coupon was not called")
            }
            Self::Expired => invalid("用户券已过期", "the time of the coupon is over"),
            Self::Deleted => invalid("券已被删除", "the user has deleted the coupon"),
            Self::Pending | Self::Effective | Self::Used | Self::Deactivated => {
                invalid(STATE, format!("the coupon is {}", self.as_str()))
            }
        }
    }
}

/// The coupons that were sent to a user together: one for each use, handed out one after the other.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Set {
    gift: Gift,
    coupons: Vec<Key>,
    /// Whether there is to be a next one.
    ended: bool,
}

/// A coupon to be handed out, or all those of a bundle.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Gift {
    owner: Owner,
    /// The stock, or those of the bundle in the order of use.
    stocks: Vec<String>,
    bundle_id: Option<String>,
    openid: String,
    number: String,
    /// Code that the sender chose; empty for none.
    code: String,
    channel: String,
    extras: Map<String, Value>,
}

/// A gift that a user is yet to open.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Promise {
    gift: Gift,
    until: i64,
    given: Option<Key>,
}

/// What handing out a coupon needs beside the coupons.
struct Means<'a> {
    now: i64,
    ambient: &'a mut Ambient,
    settings: &'a Settings,
    outbox: &'a mut Outbox,
}

impl Coupon {
    /// Lets the clock have its effect.
    pub(super) fn settle(&mut self, now: i64) {
        if self.state.alive() && now > self.expires {
            self.state = CouponState::Expired;
        } else if self.state == CouponState::Pending && now >= self.starts {
            self.state = CouponState::Effective;
        }
    }

    /// Whether it was used and not returned, whatever has become of it since.
    fn was_used(&self) -> bool {
        self.usage.contains_key("use_request_no") && !self.usage.contains_key("return_request_no")
    }
}

/// From when until when a coupon of a stock can be used that is received at this time, and is not to be used before
/// another.
fn validity(stock: &Stock, received: i64, not_before: i64) -> (i64, i64) {
    let period = stock.period();
    let number = |name: &str| period.and_then(|period| period.get(name)).and_then(Value::as_i64);
    let waits = number("wait_days_after_receive");
    let begin = |days: i64| day::begin(day::of(received).saturating_add(days));
    let from = waits.filter(|days| *days > 0).map_or(received, begin).max(stock.begins).max(not_before);
    let until = if let Some(seconds) = number("available_seconds") {
        from.saturating_add(seconds)
    } else if let Some(days) = number("available_days") {
        day::begin(day::of(from).saturating_add(days)).saturating_sub(1)
    } else {
        stock.ends
    };
    (from, until.min(stock.ends))
}

/// Whether this instant is within the hours and spans of a stock.
fn in_hours(stock: &Stock, now: i64) -> bool {
    const DAYS: [&str; 7] = ["SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY"];
    let period = stock.period();
    let any = |list: Option<&Value>, holds: &dyn Fn(&Value) -> bool| match list.and_then(Value::as_array) {
        Some(items) => items.iter().any(holds),
        None => true,
    };
    let week = period.and_then(|period| period.get("weekly_available_period"));
    let today = usize::try_from(day::of_week(now)).ok().and_then(|weekday| DAYS.get(weekday)).copied();
    let second = |span: &Value, name: &str| span.get(name).and_then(Value::as_i64);
    any(week.and_then(|week| week.get("day_list")), &|wanted| wanted.as_str() == today)
        && any(week.and_then(|week| week.get("day_period_list")), &|span| {
            second(span, "begin_time").is_none_or(|begin| begin <= day::second(now))
                && second(span, "end_time").is_none_or(|end| day::second(now) <= end)
        })
        && any(period.and_then(|period| period.get("irregular_available_period_list")), &|span| {
            seconds(Some(span), "begin_time").is_none_or(|begin| begin <= now)
                && seconds(Some(span), "end_time").is_none_or(|end| now <= end)
        })
}

/// Refuses a gift that a stock does not allow, or that could never be used if it were not to be used before a certain time.
fn check_gift(state: &mut ProductCoupons, stock_id: &str, gift: &Gift, now: i64, not_before: i64) -> Outcome<()> {
    let given = state.users.get(&gift.openid).map(Vec::as_slice).unwrap_or_default();
    let of_user = i64::try_from(given.iter().filter(|(id, _)| id == stock_id).count()).unwrap_or(i64::MAX);
    let Some(stock) = state.stocks.get_mut(stock_id) else { return Err(not_there("no such stock")) };
    stock.settle(now);
    let param = |why: &'static str| Err(Answer::refuse(400, "PARAM_ERROR", "参数错误", Basis::Guess, why));
    match (stock.text("coupon_code_mode"), gift.code.is_empty()) {
        ("API_ASSIGN", true) => return param("coupon_code_mode of the stock is API_ASSIGN: each gift brings its code"),
        ("API_ASSIGN", false) if stock.coupons.contains_key(&gift.code) => {
            return Err(invalid("发券请求重入但单号不一致", "another gift has this code"));
        }
        ("API_ASSIGN", false) | (_, true) => {}
        (_, false) => return param("coupon_code_mode of the stock leaves no choice of the code"),
    }
    let full = |name: &str, count: i64| stock.limit(name).is_some_and(|limit| count >= limit);
    if stock.state != StockState::Sending {
        Err(invalid("商品券批次状态不是发放中", "the stock is not SENDING"))
    } else if full("max_count_per_user", of_user) {
        Err(invalid("用户领取券张数已达上限", "max_count_per_user of the stock is reached"))
    } else if full("max_count", stock.sent()) {
        Err(wrong_state("max_count of the stock is reached"))
    } else if full("max_count_per_day", stock.sent_today(now)) {
        Err(wrong_state("max_count_per_day of the stock is reached"))
    } else if stock.text("coupon_code_mode") == "UPLOAD" && stock.pool.available() == 0 {
        Err(wrong_state("no code of the pool is available"))
    } else {
        let (starts, expires) = validity(stock, now, not_before);
        if starts > expires { Err(wrong_state("the coupon would end before it begins")) } else { Ok(()) }
    }
}

/// Hands out one coupon of a gift, not to be used before a certain time; its sender is told.
fn issue(
    state: &mut ProductCoupons,
    means: &mut Means<'_>,
    gift: &Gift,
    set: Option<(&str, usize)>,
    not_before: i64,
) -> Outcome<Key> {
    let now = means.now;
    let stock_id = gift.stocks.get(set.map_or(0, |(_, index)| index)).cloned().unwrap_or_default();
    check_gift(state, &stock_id, gift, now, not_before)?;
    let Some(stock) = state.stocks.get_mut(&stock_id) else { return Err(not_there("no such stock")) };
    let code = match stock.text("coupon_code_mode") {
        "API_ASSIGN" => gift.code.clone(),
        "UPLOAD" => stock.pool.dispatch(means.ambient, now).unwrap_or_default(),
        _ => loop {
            let code = means.ambient.digits(11) + &means.ambient.digits(11);
            if !stock.coupons.contains_key(&code) {
                break code;
            }
        },
    };
    let (starts, expires) = validity(stock, now, not_before);
    let coupon = Coupon {
        openid: gift.openid.clone(),
        number: gift.number.clone(),
        channel: gift.channel.clone(),
        extras: gift.extras.clone(),
        received: now,
        starts,
        expires,
        state: CouponState::Confirming,
        confirmed: None,
        usage: Map::new(),
        deactivated: None,
        set: set.map(|(set_id, index)| (set_id.to_owned(), index)),
        count: 0,
    };
    let payload = notice(gift, stock, &stock_id, &code, &coupon);
    stock.coupons.entry(code.clone()).or_insert(coupon).count += 1;
    stock.count_today(now);
    let by_partner = gift.owner.creator != gift.owner.brand;
    let spec = if by_partner { CouponSend::EVENT } else { BrandCouponSend::EVENT };
    let address = state.addresses.get(&gift.owner.creator).map(|address| address.url.as_str());
    let event = Event::new(spec, means.ambient.uuid(), now, &gift.owner.creator, payload).addressed(address);
    means.outbox.push(event, means.settings, now);
    let key = (stock_id, code);
    state.users.entry(gift.openid.clone()).or_default().push(key.clone());
    Ok(key)
}

/// What the notification of a coupon holds.
fn notice(gift: &Gift, stock: &Stock, stock_id: &str, code: &str, coupon: &Coupon) -> Value {
    let mut payload = Map::new();
    gift.owner.show(&mut payload);
    let mut put = |name: &str, value: Value| payload.insert(name.to_owned(), value);
    put("coupon_code", json!(code));
    put("product_coupon_id", json!(stock.product_coupon_id));
    put("stock_id", json!(stock_id));
    if let (Some((bundle_id, _)), Some((set_id, _))) = (&stock.bundle, &coupon.set) {
        put("stock_bundle_id", json!(bundle_id));
        put("user_coupon_bundle_id", json!(set_id));
    }
    if let Some(appid) = stock.notify_appid() {
        put("appid", json!(appid));
        put("openid", json!(coupon.openid));
    }
    put("unionid", json!(""));
    put("receive_time", json!(time_text(coupon.received)));
    put("send_request_no", json!(coupon.number));
    put("send_channel", json!(coupon.channel));
    put("valid_begin_time", json!(time_text(coupon.starts)));
    put("valid_end_time", json!(time_text(coupon.expires)));
    put("attach", coupon.extras.get("attach").cloned().unwrap_or_else(|| json!("")));
    Value::Object(payload)
}

/// Hands out a gift: the coupon, or the first of a bundle, all of whose stocks must allow it. Names the coupon, and what
/// it is sent with.
fn hand_out(state: &mut ProductCoupons, means: &mut Means<'_>, gift: Gift) -> Outcome<(Key, Option<String>)> {
    for stock_id in &gift.stocks {
        check_gift(state, stock_id, &gift, means.now, 0)?;
    }
    if gift.bundle_id.is_none() {
        return Ok((issue(state, means, &gift, None, 0)?, None));
    }
    let set_id = loop {
        let set_id = means.ambient.digits(11) + &means.ambient.digits(11);
        if !state.sets.contains_key(&set_id) {
            break set_id;
        }
    };
    let key = issue(state, means, &gift, Some((&set_id, 0)), 0)?;
    state.sets.insert(set_id.clone(), Set { gift, coupons: vec![key.clone()], ended: false });
    Ok((key, Some(set_id)))
}

/// Hands out the coupon after one that was used just now, if there is to be one and its stock allows it.
fn hand_out_next(state: &mut ProductCoupons, means: &mut Means<'_>, set_id: &str, used: usize, interval_days: i64) {
    let Some(set) = state.sets.get(set_id) else { return };
    let next = used + 1;
    if set.ended || set.coupons.len() != next || next >= set.gift.stocks.len() {
        return;
    }
    let not_before = if interval_days > 0 { day::begin(day::of(means.now) + interval_days) } else { 0 };
    let gift = set.gift.clone();
    let issued = issue(state, means, &gift, Some((set_id, next)), not_before);
    if let (Ok(key), Some(set)) = (issued, state.sets.get_mut(set_id)) {
        set.coupons.push(key);
    }
}

/// The gift that a request asks for.
fn gift(call: &mut Call<'_>, channel: &str) -> Outcome<Gift> {
    check_user(call)?;
    let (owner, target) = (Owner::of(call)?, Target::of(call)?);
    let extra = |name: &str| Some((name.to_owned(), call.request.get(name)?.clone()));
    Ok(Gift {
        owner,
        stocks: target.stocks().to_vec(),
        bundle_id: Some(call.text("stock_bundle_id")).filter(|id| !id.is_empty()),
        openid: call.text("openid"),
        number: call.text("send_request_no"),
        code: call.text("coupon_code"),
        channel: channel.to_owned(),
        extras: ["attach", "coupon_tag_info"].into_iter().filter_map(extra).collect(),
    })
}

/// The coupons, and what handing one out needs beside them.
fn parts<'c>(call: &'c mut Call<'_>) -> (&'c mut ProductCoupons, Means<'c>) {
    let State { product_coupon, outbox, .. } = &mut *call.state;
    (product_coupon, Means { now: call.now, ambient: &mut *call.ambient, settings: call.settings, outbox })
}

const TO_CONFIRM: &str = "the user has a coupon, CONFIRMING: it cannot be used until confirm_coupon is called";

pub(super) fn send(call: &mut Call<'_>) -> Outcome {
    let gift = gift(call, "API")?;
    once(call, |call| {
        let now = call.now;
        let (state, mut means) = parts(call);
        let (key, _) = hand_out(state, &mut means, gift)?;
        Ok(Answer::ok(Value::Object(describe(state, &key, now)), Basis::Documented, TO_CONFIRM))
    })
}

pub(super) fn send_bundle(call: &mut Call<'_>) -> Outcome {
    let gift = gift(call, "API")?;
    once(call, |call| {
        let now = call.now;
        let (state, mut means) = parts(call);
        let (_, set_id) = hand_out(state, &mut means, gift)?;
        let body = describe_set(state, &set_id.unwrap_or_default(), now);
        let why = "the user has the first coupon, CONFIRMING; the next comes once it is used";
        Ok(Answer::ok(body, Basis::Documented, why))
    })
}

pub(super) fn pre_send(call: &mut Call<'_>) -> Outcome {
    let gift = gift(call, "RECEIVE_COMPONENT")?;
    once(call, |call| {
        let now = call.now;
        let state = &mut call.state.product_coupon;
        for stock_id in &gift.stocks {
            check_gift(state, stock_id, &gift, now, 0)?;
        }
        let token = call.ambient.letters(32);
        let promise = Promise { gift, until: now.saturating_add(TOKEN_LASTS), given: None };
        state.tokens.insert(token.clone(), promise);
        let why = "nothing is handed out until the user opens the component (act user_receive with the token)";
        Ok(Answer::ok(json!({"token": token}), Basis::Documented, why))
    })
}

impl ProductCoupons {
    /// A user receives a coupon without a request of its brand, or opens the gift that a token stands for.
    pub(super) fn user_receive(&mut self, deed: &mut Deed<'_>) -> Result<Value, String> {
        let (token, now) = (deed.text("token"), deed.now);
        let gift = match self.tokens.get(token) {
            Some(Promise { given: Some(key), .. }) => return Ok(self.received(&key.clone(), now)),
            Some(promise) if now > promise.until => {
                return Err("the \"token\" has run out after five minutes; pre-send again".to_owned());
            }
            Some(promise) => promise.gift.clone(),
            None if !token.is_empty() => return Err(NO_GIFT.to_owned()),
            None => self.found_gift(deed)?,
        };
        let mut means = Means { now, ambient: &mut *deed.ambient, settings: deed.settings, outbox: &mut *deed.outbox };
        let (key, _) = hand_out(self, &mut means, gift).map_err(|refusal| {
            let code = refusal.code().unwrap_or_default().to_owned();
            format!("no coupon is given: {} {code}, {}", refusal.status, refusal.why)
        })?;
        if let Some(promise) = self.tokens.get_mut(token) {
            promise.given = Some(key.clone());
        }
        Ok(self.received(&key, now))
    }

    /// What a user comes upon in a channel of WeChat Pay.
    fn found_gift(&self, deed: &mut Deed<'_>) -> Result<Gift, String> {
        let (stock_id, bundle_id) = (deed.text("stock_id"), deed.text("stock_bundle_id"));
        let stocks = match self.bundles.get(bundle_id) {
            Some(stocks) => stocks.clone(),
            None if !bundle_id.is_empty() => return Err(deed.unknown("stock_bundle_id")),
            None => vec![stock_id.to_owned()],
        };
        let stock = stocks.first().and_then(|stock_id| self.stocks.get(stock_id));
        let stock = stock.ok_or_else(|| deed.unknown("stock_id"))?;
        if stock.bundle.is_some() && bundle_id.is_empty() {
            return Err(format!("stock {stock_id} is in a bundle; name the bundle in \"stock_bundle_id\""));
        }
        let owner = stock.owner.clone();
        let openid = deed.text("openid").to_owned();
        if openid.is_empty() {
            return Err("nobody would receive it; name the user in \"openid\"".to_owned());
        }
        Ok(Gift {
            owner,
            stocks,
            bundle_id: Some(bundle_id.to_owned()).filter(|id| !id.is_empty()),
            openid,
            number: deed.ambient.letters(16),
            code: String::new(),
            channel: Some(deed.text("channel"))
                .filter(|channel| !channel.is_empty())
                .unwrap_or("BRAND_MANAGE")
                .to_owned(),
            extras: Map::new(),
        })
    }

    fn received(&mut self, (stock_id, code): &Key, now: i64) -> Value {
        let state = self.coupon(stock_id, code, now).map(|coupon| coupon.state.as_str());
        json!({"stock_id": stock_id, "coupon_code": code, "status": state})
    }
}

/// A coupon as it is answered.
fn describe(state: &mut ProductCoupons, key: &Key, now: i64) -> Map<String, Value> {
    let (stock_id, code) = key;
    state.coupon(stock_id, code, now);
    let mut shown = Map::new();
    let Some(stock) = state.stocks.get(stock_id) else { return shown };
    let Some(coupon) = stock.coupons.get(code) else { return shown };
    shown.extend(coupon.extras.clone());
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    put("coupon_code", json!(code));
    put("coupon_state", json!(coupon.state.as_str()));
    put("valid_begin_time", json!(time_text(coupon.starts)));
    put("valid_end_time", json!(time_text(coupon.expires)));
    put("receive_time", json!(time_text(coupon.received)));
    put("send_request_no", json!(coupon.number));
    put("send_channel", json!(coupon.channel));
    if !coupon.usage.is_empty() {
        let name = match stock.usage() {
            Usage::Single => "single_usage_detail",
            Usage::Bundle => "progressive_bundle_usage_detail",
        };
        put(name, Value::Object(coupon.usage.clone()));
    }
    if let Some((set_id, index)) = &coupon.set {
        put("user_product_coupon_bundle_info", bundle_info(state, set_id, *index));
    }
    let product = state.products.get(&stock.product_coupon_id);
    put("product_coupon", json!(product.map(|product| product.show(&stock.product_coupon_id))));
    put("stock", Value::Object(stock.show(stock_id, now)));
    stock.owner.show(&mut shown);
    if let Some(confirmed) = &coupon.confirmed {
        confirmed.show("confirm", &mut shown);
    }
    if let Some(deactivation) = &coupon.deactivated {
        deactivation.show(&mut shown);
    }
    shown
}

/// Where a coupon stands among those that it was sent with.
fn bundle_info(state: &ProductCoupons, set_id: &str, index: usize) -> Value {
    let set = state.sets.get(set_id);
    let total = set.map_or(0, |set| set.gift.stocks.len());
    let used = neighbours(state, set_id).filter(|coupon| coupon.was_used()).count();
    json!({
        "user_coupon_bundle_id": set_id,
        "user_coupon_bundle_index": index,
        "total_count": total,
        "used_count": used,
    })
}

/// The coupons of a set as they are answered.
fn describe_set(state: &mut ProductCoupons, set_id: &str, now: i64) -> Value {
    let keys = state.sets.get(set_id).map(|set| set.coupons.clone()).unwrap_or_default();
    let coupons: Vec<_> = keys.iter().map(|key| Value::Object(describe(state, key, now))).collect();
    json!({"user_coupon_bundle_id": set_id, "user_product_coupon_list": coupons})
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    check_user(call)?;
    let (owner, page, now) = (Owner::of(call)?, Page::of(call)?, call.now);
    let wanted = ["product_coupon_id", "stock_id", "coupon_state", "user_coupon_bundle_id"].map(|name| call.text(name));
    let [product_id, stock_id, coupon_state, set_id] = &wanted;
    if !product_id.is_empty() {
        find_product(call)?;
    }
    let openid = call.text("openid");
    let state = &mut call.state.product_coupon;
    let keys = state.users.get(&openid).cloned().unwrap_or_default();
    let fits = |asked: &str, is: &str| asked.is_empty() || asked == is;
    let mut found = Vec::new();
    for key in keys.iter().rev() {
        state.coupon(&key.0, &key.1, now);
        let Some(stock) = state.stocks.get(&key.0).filter(|stock| stock.owner == owner) else { continue };
        let Some(coupon) = stock.coupons.get(&key.1) else { continue };
        let set = coupon.set.as_ref().map(|(set_id, _)| set_id.as_str()).unwrap_or_default();
        if fits(product_id, &stock.product_coupon_id)
            && fits(stock_id, &key.0)
            && fits(coupon_state, coupon.state.as_str())
            && fits(set_id, set)
        {
            found.push(Value::Object(describe(state, key, now)));
        }
    }
    Ok(Answer::ok(page.cut("user_coupon_list", found), Basis::Guess, "newest first"))
}

/// Stock and code of the coupon that the request names: the user's, and the caller's to deal with.
fn locate(call: &mut Call<'_>) -> Outcome<Key> {
    check_user(call)?;
    let (stock_id, code, openid) = (call.text("stock_id"), call.text("coupon_code"), call.text("openid"));
    let coupon = find_stock(call, &stock_id)?.coupons.get(&code);
    if coupon.is_none_or(|coupon| coupon.openid != openid) {
        let why = "the user has no coupon of this code from this stock";
        return Err(Answer::refuse(404, "RESOURCE_NOT_EXISTS", "用户券不存在", Basis::Guess, why));
    }
    Ok((stock_id, code))
}

pub(super) fn get(call: &mut Call<'_>) -> Outcome {
    let (key, now) = (locate(call)?, call.now);
    let body = describe(&mut call.state.product_coupon, &key, now);
    Ok(Answer::ok(Value::Object(body), Basis::Documented, "the coupon as it is"))
}

/// Changes the coupon that the request names, once, and answers with it.
fn change(
    call: &mut Call<'_>,
    why: &'static str,
    act: impl FnOnce(&mut Call<'_>, &Key, CouponState) -> Outcome<()>,
) -> Outcome {
    let key = locate(call)?;
    once(call, |call| {
        let now = call.now;
        let coupon = call.state.product_coupon.coupon(&key.0, &key.1, now);
        let state = coupon.map(|coupon| coupon.state).ok_or_else(|| not_there("no such coupon"))?;
        act(call, &key, state)?;
        let body = describe(&mut call.state.product_coupon, &key, now);
        Ok(Answer::ok(Value::Object(body), Basis::Documented, why))
    })
}

/// The coupon that was located.
fn located<'s>(call: &'s mut Call<'_>, key: &Key) -> Outcome<&'s mut Coupon> {
    let coupon = call.state.product_coupon.coupon(&key.0, &key.1, call.now);
    coupon.ok_or_else(|| not_there("no such coupon"))
}

pub(super) fn confirm(call: &mut Call<'_>) -> Outcome {
    change(call, "both sides know of the coupon: it can be used in its time", |call, key, state| {
        if state != CouponState::Confirming {
            return Err(state.refusal());
        }
        let (done, now) = (Done::of(call), call.now);
        let coupon = located(call, key)?;
        coupon.state = CouponState::Pending;
        coupon.confirmed = Some(done);
        coupon.settle(now);
        Ok(())
    })
}

pub(super) fn deactivate(call: &mut Call<'_>) -> Outcome {
    change(call, "the coupon cannot be used any more", |call, key, state| {
        if !state.alive() {
            return Err(state.refusal());
        }
        let deactivation = Deactivation::of(call);
        let coupon = located(call, key)?;
        coupon.state = CouponState::Deactivated;
        coupon.deactivated = Some(deactivation);
        Ok(())
    })
}

/// The coupons that were sent together, in the order of use.
fn neighbours<'s>(state: &'s ProductCoupons, set_id: &str) -> impl Iterator<Item = &'s Coupon> + use<'s> {
    let keys = state.sets.get(set_id).map(|set| set.coupons.as_slice()).unwrap_or_default();
    keys.iter().filter_map(|(stock_id, code)| state.stocks.get(stock_id)?.coupons.get(code))
}

pub(super) fn use_coupon(call: &mut Call<'_>) -> Outcome {
    change(call, "the coupon is used", |call, key, state| {
        let (now, store) = (call.now, call.text("store_id"));
        match state {
            CouponState::Effective => {}
            CouponState::Pending => return Err(invalid("券已不在使用有效期内", "the time of the coupon has not come")),
            CouponState::Used => return Err(invalid("券已被其他订单核销", "another number has used the coupon")),
            _ => return Err(state.refusal()),
        }
        let stock = find_stock(call, &key.0)?;
        if !in_hours(stock, now) {
            return Err(invalid("券不在使用有效期", "now is outside the hours and spans of the stock"));
        }
        if stock.text("store_scope") == "SPECIFIC" && !store.is_empty() && !stock.stores.contains(&store) {
            return Err(invalid("核销门店非法", "the store is not one of the stock"));
        }
        let product_id = stock.product_coupon_id.clone();
        let set = located(call, key)?.set.clone();
        if let Some((set_id, index)) = &set {
            let mut before = neighbours(&call.state.product_coupon, set_id).take(*index);
            if before.any(|coupon| coupon.state.alive() && now <= coupon.expires) {
                return Err(invalid(STATE, "the coupon before it was returned, and is used first"));
            }
        }
        let mut usage = Map::new();
        usage.insert("use_request_no".to_owned(), json!(call.text("out_request_no")));
        for name in ["use_time", "associated_order_info", "associated_pay_score_order_info", "saved_amount"] {
            usage.extend(call.request.get(name).map(|value| (name.to_owned(), value.clone())));
        }
        let coupon = located(call, key)?;
        coupon.state = CouponState::Used;
        coupon.usage = usage;
        if let Some((set_id, index)) = set {
            let interval = call.state.product_coupon.products.get(&product_id);
            let interval = interval.map_or(0, |product| product.interval_days());
            let (state, mut means) = parts(call);
            hand_out_next(state, &mut means, &set_id, index, interval);
        }
        Ok(())
    })
}

pub(super) fn return_coupon(call: &mut Call<'_>) -> Outcome {
    change(call, "the coupon can be used again", |call, key, state| {
        if state != CouponState::Used {
            return Err(state.refusal());
        }
        let (done, now) = (Done::of(call), call.now);
        let (set, expires) = located(call, key).map(|coupon| (coupon.set.clone(), coupon.expires))?;
        if now > expires {
            return Err(CouponState::Expired.refusal());
        }
        if let Some((set_id, index)) = set {
            let mut after = neighbours(&call.state.product_coupon, &set_id).skip(index + 1);
            if after.any(Coupon::was_used) {
                return Err(invalid(STATE, "a later coupon of the bundle is used: only the last one can be returned"));
            }
        }
        let coupon = located(call, key)?;
        coupon.state = CouponState::Effective;
        done.show("return", &mut coupon.usage);
        Ok(())
    })
}

pub(super) fn deactivate_bundle(call: &mut Call<'_>) -> Outcome {
    check_user(call)?;
    let (owner, set_id) = (Owner::of(call)?, call.text("user_coupon_bundle_id"));
    let (bundle_id, openid) = (call.text("stock_bundle_id"), call.text("openid"));
    Target::of(call)?;
    let set = call.state.product_coupon.sets.get(&set_id).filter(|set| {
        set.gift.owner == owner && set.gift.openid == openid && set.gift.bundle_id.as_ref() == Some(&bundle_id)
    });
    let keys = set.map(|set| set.coupons.clone()).ok_or_else(|| not_there("the user has no such coupons"))?;
    once(call, |call| {
        let (now, deactivation) = (call.now, Deactivation::of(call));
        let state = &mut call.state.product_coupon;
        let mut changed = 0;
        for (stock_id, code) in &keys {
            if let Some(coupon) = state.coupon(stock_id, code, now).filter(|coupon| coupon.state.alive()) {
                coupon.state = CouponState::Deactivated;
                coupon.deactivated = Some(deactivation.clone());
                changed += 1;
            }
        }
        if changed == 0 {
            return Err(invalid(STATE, "none of the coupons can still be used"));
        }
        if let Some(set) = state.sets.get_mut(&set_id) {
            set.ended = true;
        }
        let body = describe_set(state, &set_id, now);
        Ok(Answer::ok(body, Basis::Documented, "the coupons cannot be used any more, and there is no next one"))
    })
}
