//! Coupons of users: handed out, read, used, returned, deactivated, associated with orders.

use super::stock::{DAY, Mode, Status, Stock};
use super::{Busifavor, Call, Who, check_user, find_stock, guessed, no_merchant, not_allowed, not_found, once};
use crate::ambient::{Ambient, day, instant, time_text};
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::settings::{SendRefusals, Settings};
use crate::state::page::Page;
use crate::state::{Deed, Event, NO_GIFT, Outbox};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use wechatpay_model::busifavor::CouponSend;
use wechatpay_model::operation::Payload as _;

/// What of the rules of its stock a coupon shows.
pub(super) const SHOWN: [&str; 8] = [
    "belong_merchant",
    "stock_name",
    "comment",
    "goods_name",
    "stock_type",
    "display_pattern_info",
    "coupon_use_rule",
    "custom_entrance",
];

/// Channels by which users receive coupons; all but the last have the prefix `BUSICOUPON_SEND_CHANNEL_`.
const API: &str = "BUSICOUPON_SEND_CHANNEL_API";
const MINIAPP: &str = "BUSICOUPON_SEND_CHANNEL_MINIAPP";
const PAYGIFT: &str = "BUSICOUPON_SEND_CHANNEL_PAYGIFT";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Coupon {
    pub(super) openid: String,
    /// Merchant that handed it out.
    sender: String,
    send_request_no: String,
    received: i64,
    starts: i64,
    expires: i64,
    pub(super) status: CouponStatus,
    used: Option<Use>,
    returned: Option<Done>,
    deactivated: Option<(Done, String)>,
    /// Order that it is associated with.
    order: Option<String>,
    /// How often it was handed out.
    pub(super) count: u64,
}

/// Number and time of a request.
#[derive(Debug, Serialize, Deserialize)]
struct Done {
    number: String,
    time: i64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Use {
    done: Done,
    /// Order that it was used for, if the merchant said so.
    pub(super) transaction_id: String,
}

/// State of a coupon, spelt as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum CouponStatus {
    Sended,
    Used,
    Expired,
    Deleted,
    Deactivated,
}

impl CouponStatus {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Sended => "SENDED",
            Self::Used => "USED",
            Self::Expired => "EXPIRED",
            Self::Deleted => "DELETED",
            Self::Deactivated => "DEACTIVATED",
        }
    }
}

impl Coupon {
    /// Lets the clock have its effect.
    pub(super) fn settle(&mut self, now: i64) {
        if self.status == CouponStatus::Sended && now > self.expires {
            self.status = CouponStatus::Expired;
        }
    }

    /// How it was used, if it is used now.
    pub(super) fn used(&self) -> Option<&Use> {
        self.used.as_ref().filter(|_| self.status == CouponStatus::Used)
    }

    /// What queries show beside the rules of its stock.
    pub(super) fn show(&self, stock_id: &str, code: &str) -> Map<String, Value> {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("coupon_state", json!(self.status.as_str()));
        put("coupon_code", json!(code));
        put("stock_id", json!(stock_id));
        put("available_start_time", json!(time_text(self.starts)));
        put("expire_time", json!(time_text(self.expires)));
        put("receive_time", json!(time_text(self.received)));
        put("send_request_no", json!(self.send_request_no));
        if let Some(order) = &self.order {
            put("associate_out_trade_no", json!(order));
        }
        if let Some(used) = &self.used {
            put("use_request_no", json!(used.done.number));
            put("use_time", json!(time_text(used.done.time)));
        }
        if let Some(done) = &self.returned {
            put("return_request_no", json!(done.number));
            put("return_time", json!(time_text(done.time)));
        }
        if let Some((done, reason)) = &self.deactivated {
            put("deactivate_request_no", json!(done.number));
            put("deactivate_time", json!(time_text(done.time)));
            if !reason.is_empty() {
                put("deactivate_reason", json!(reason));
            }
        }
        shown
    }

    /// Whether this instant is one at which it can be used: within its time, and in the hours and spans of its stock.
    fn usable(&self, stock: &Value, now: i64) -> bool {
        let time = stock.pointer("/coupon_use_rule/coupon_available_time");
        let (second, weekday) = (day::second(now), day::of_week(now));
        let any = |list: Option<&Value>, holds: &dyn Fn(&Value) -> bool| match list.and_then(Value::as_array) {
            Some(items) => items.iter().any(holds),
            None => true,
        };
        let week = time.and_then(|time| time.get("available_week"));
        let spans = time.and_then(|time| time.get("irregulary_avaliable_time"));
        let seconds = |span: &Value, name: &str| span.get(name).and_then(Value::as_i64);
        let at = |span: &Value, name: &str| span.get(name).and_then(Value::as_str).and_then(instant).map(|at| at.0);
        (self.starts..=self.expires).contains(&now)
            && any(week.and_then(|week| week.get("week_day")), &|wanted| wanted.as_i64() == Some(weekday))
            && any(week.and_then(|week| week.get("available_day_time")), &|span| {
                seconds(span, "begin_time").is_none_or(|begin| begin <= second)
                    && seconds(span, "end_time").is_none_or(|end| second <= end)
            })
            && any(spans, &|span| {
                at(span, "begin_time").is_none_or(|begin| begin <= now)
                    && at(span, "end_time").is_none_or(|end| now <= end)
            })
    }
}

/// From when until when a coupon of a stock can be used that is received at this time.
fn validity(stock: &Stock, received: i64) -> (i64, i64) {
    let time = stock.rules.pointer("/coupon_use_rule/coupon_available_time");
    let number = |name: &str| time.and_then(|time| time.get(name)).and_then(Value::as_i64);
    let waits = number("wait_days_after_receive");
    let first_day = day::of(received).saturating_add(waits.unwrap_or(0)).max(day::of(stock.begins));
    let counted = |span: i64, from: i64| from.saturating_add(span).min(stock.ends);
    if let Some(days) = number("available_day_after_receive") {
        let from = day::begin(first_day);
        (from.max(stock.begins), counted(days.saturating_mul(DAY), from))
    } else if let Some(seconds) = number("available_second_after_receive") {
        let from = received.max(stock.begins).max(waits.map_or(i64::MIN, |_| day::begin(first_day)));
        (from, counted(seconds, from))
    } else {
        (waits.map_or(stock.begins, |_| day::begin(first_day)).max(stock.begins), stock.ends)
    }
}

/// A coupon to be handed out.
struct Gift<'a> {
    stock_id: String,
    openid: String,
    number: String,
    /// Code that the sender chose; empty for none.
    code: String,
    sender: &'a str,
    channel: &'a str,
    /// What belongs to the channel.
    attached: Option<Value>,
}

/// A gift that a user is yet to open.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Promise {
    stock_id: String,
    openid: String,
    number: String,
    code: String,
    sender: String,
}

/// What handing out a coupon needs beside the coupons.
struct Means<'a> {
    now: i64,
    settings: &'a Settings,
    ambient: &'a mut Ambient,
    outbox: &'a mut Outbox,
}

/// Hands out a coupon, if the stock and its limits allow it.
fn give(busifavor: &mut Busifavor, means: Means<'_>, gift: Gift<'_>) -> Outcome<String> {
    let Means { now, settings, ambient, outbox } = means;
    let Busifavor { stocks, generated, users, callbacks, .. } = busifavor;
    let Some(stock) = stocks.get_mut(&gift.stock_id) else { return Err(not_found("no such stock")) };
    stock.settle(now);
    match (stock.mode, gift.code.is_empty()) {
        (Mode::MerchantApi, true) => {
            let why = "coupon_code_mode of the stock is MERCHANT_API: each gift brings its code";
            return Err(guessed(400, "PARAM_ERROR", "参数错误：券 code 必填", why));
        }
        (Mode::WechatPay | Mode::MerchantUpload, false) => {
            let why = "coupon_code_mode of the stock leaves no choice of the code";
            return Err(guessed(400, "PARAM_ERROR", "参数错误：该批次不支持指定券 code", why));
        }
        _ => {}
    }
    if let Some((family, plugin, message, why)) = obstacle(stock, users, settings, &gift, now) {
        let code = if settings.busifavor_send_refusals == SendRefusals::Plugin { plugin } else { family };
        return Err(guessed(403, code, message, why));
    }
    let code = match stock.mode {
        Mode::WechatPay => {
            let code = loop {
                let code = long_number(ambient);
                if !generated.contains_key(&code) {
                    break code;
                }
            };
            generated.insert(code.clone(), gift.stock_id.clone());
            code
        }
        Mode::MerchantApi if stock.coupons.contains_key(&gift.code) => {
            let why = "the stock has a coupon of this code";
            return Err(guessed(400, "RESOURCE_ALREADY_EXISTS", "券 code 已存在", why));
        }
        Mode::MerchantApi => gift.code,
        Mode::MerchantUpload => match stock.pool.dispatch(ambient, now) {
            Some(code) => code,
            None => return Err(guessed(403, "NOT_ENOUGH", "批次库存不足", "no code of the pool is available")),
        },
    };
    let (starts, expires) = validity(stock, now);
    let coupon = Coupon {
        openid: gift.openid.clone(),
        sender: gift.sender.to_owned(),
        send_request_no: gift.number.clone(),
        received: now,
        starts,
        expires,
        status: CouponStatus::Sended,
        used: None,
        returned: None,
        deactivated: None,
        order: None,
        count: 0,
    };
    stock.coupons.entry(code.clone()).or_insert(coupon).count += 1;
    stock.count_today(now);
    let named = stock.rules.pointer("/notify_config/notify_appid").is_some();
    let url = callbacks.get(&stock.creator).map(|callback| callback.url.as_str());
    // As such events were really seen: what documents call an object is an empty text where there is nothing to say.
    let payload = json!({
        "event_type": "EVENT_TYPE_BUSICOUPON_SEND",
        "coupon_code": code,
        "stock_id": gift.stock_id,
        "send_time": time_text(now),
        "openid": if named { gift.openid.as_str() } else { "" },
        "unionid": "",
        "send_channel": gift.channel,
        "send_merchant": gift.sender,
        "attach_info": gift.attached.unwrap_or_else(|| json!("")),
        "send_req_no": gift.number,
    });
    let event = Event::new(CouponSend::EVENT, ambient.uuid(), now, &stock.creator, payload).addressed(url);
    outbox.push(event, settings, now);
    users.entry(gift.openid).or_default().push((gift.stock_id, code.clone()));
    Ok(code)
}

/// 22 digits, as the codes by WeChat Pay have.
fn long_number(ambient: &mut Ambient) -> String {
    ambient.digits(11) + &ambient.digits(11)
}

/// What forbids a gift: code of the family, code of the plugin, message, and why.
fn obstacle(
    stock: &Stock,
    users: &BTreeMap<String, Vec<(String, String)>>,
    settings: &Settings,
    gift: &Gift<'_>,
    now: i64,
) -> Option<(&'static str, &'static str, &'static str, &'static str)> {
    let full = |name: &str, count: i64| stock.limit(name).is_some_and(|limit| count >= limit);
    let of_user = |openid: &str| {
        let given = users.get(openid).map(Vec::as_slice).unwrap_or_default();
        i64::try_from(given.iter().filter(|(stock_id, _)| *stock_id == gift.stock_id).count()).unwrap_or(i64::MAX)
    };
    let persons = &settings.busifavor_persons;
    let of_person = || match persons.get(&gift.openid) {
        Some(person) => persons.iter().filter(|(_, other)| *other == person).map(|(openid, _)| of_user(openid)).sum(),
        None => 0,
    };
    if now > stock.ends {
        Some(("RULELIMIT", "EXPIRED", "批次已过期", "the stock has ended"))
    } else if stock.status != Status::Running {
        Some(("RULELIMIT", "NOTRUNNING", "批次未处于发放状态", "the stock is not RUNNING"))
    } else if full("max_coupons", stock.sent()) {
        Some(("NOT_ENOUGH", "NOTENOUGH", "批次库存不足", "max_coupons of the stock is reached"))
    } else if full("max_coupons_by_day", stock.sent_today(now)) {
        Some(("RULELIMIT", "DAYLIMIT", "批次单天发放个数已达上限", "max_coupons_by_day of the stock is reached"))
    } else if full("max_coupons_per_user", of_user(&gift.openid)) {
        Some(("RULELIMIT", "MAXQUOTA", "用户领取个数已达上限", "max_coupons_per_user of the stock is reached"))
    } else if stock.limits("natural_person_limit") && full("max_coupons_per_user", of_person()) {
        let why = "the accounts of this person together have max_coupons_per_user (setting)";
        Some(("RULELIMIT", "NATURELIMIT", "自然人领取个数已达上限", why))
    } else {
        let (starts, expires) = validity(stock, now);
        let unusable = ("RULELIMIT", "EXPIRED", "批次剩余有效期不足", "the coupon would end before it begins");
        (starts > expires).then_some(unusable)
    }
}

/// Hands out the coupon that a request asks for.
fn give_by_request(call: &mut Call<'_>, channel: &'static str) -> Outcome<String> {
    let gift = Gift {
        stock_id: call.text("stock_id"),
        openid: call.text("openid"),
        number: call.text("out_request_no"),
        code: call.text("coupon_code"),
        sender: call.caller,
        channel,
        attached: None,
    };
    let state = &mut *call.state;
    let outbox = &mut state.outbox;
    give(
        &mut state.busifavor,
        Means { now: call.now, settings: call.settings, ambient: &mut *call.ambient, outbox },
        gift,
    )
}

/// The stock that a gift is from exists, and the caller may hand it out.
fn check_gift(call: &mut Call<'_>) -> Outcome<()> {
    check_user(call)?;
    let stock_id = call.text("stock_id");
    find_stock(call, &stock_id, Who::Partners).map(|_| ())
}

pub(super) fn send(call: &mut Call<'_>) -> Outcome {
    check_gift(call)?;
    let scope = format!("{} {}", call.text("stock_id"), call.text("openid"));
    once(call, false).within(call, scope, |call| {
        let code = give_by_request(call, API)?;
        let given = json!({
            "stock_id": call.text("stock_id"),
            "out_request_no": call.text("out_request_no"),
            "coupon_code": code,
        });
        let body = if call.settings.busifavor_nested_send { json!({"send_coupon_result": given}) } else { given };
        Ok(Answer::ok(body, Basis::Documented, "the user has a coupon"))
    })
}

pub(super) fn send_product(call: &mut Call<'_>) -> Outcome {
    check_gift(call)?;
    once(call, false).run(call, |call| {
        let code = give_by_request(call, API)?;
        let body = json!({
            "stock_id": call.text("stock_id"),
            "out_request_no": call.text("out_request_no"),
            "coupon_code": code,
        });
        Ok(Answer::ok(body, Basis::Guess, "as any other gift: the sandbox knows no products"))
    })
}

pub(super) fn pre_send_product(call: &mut Call<'_>) -> Outcome {
    check_gift(call)?;
    once(call, false).run(call, |call| {
        let token = call.ambient.letters(32);
        let promise = Promise {
            stock_id: call.text("stock_id"),
            openid: call.text("openid"),
            number: call.text("send_request_no"),
            code: call.text("coupon_code"),
            sender: call.caller.to_owned(),
        };
        call.state.busifavor.tokens.insert(token.clone(), promise);
        let why = "nothing is handed out until the user opens the component (act user_receive with the token)";
        Ok(Answer::ok(json!({"token": token}), Basis::Documented, why))
    })
}

pub(super) fn send_card(call: &mut Call<'_>) -> Outcome {
    check_user(call)?;
    if call.settings.busifavor_unknown_cards.contains(&call.text("card_id")) {
        return Err(not_found("there is no such card (setting)"));
    }
    let scope = format!("{} {}", call.caller, call.text("send_time"));
    once(call, false).within(call, scope, |call| {
        let body = json!({"card_code": call.ambient.digits(12)});
        Ok(Answer::ok(body, Basis::Guess, "the sandbox knows no cards: each can be sent"))
    })
}

impl Busifavor {
    /// A user receives a coupon without a request of a merchant, or opens the gift that a token stands for.
    pub(in crate::state) fn user_receive(&mut self, deed: &mut Deed<'_>) -> Result<Value, String> {
        let token = deed.text("token");
        let mut promise = match self.tokens.get(token) {
            Some(promise) => promise.clone(),
            None if !token.is_empty() => {
                return Err(NO_GIFT.to_owned());
            }
            None => {
                let stock_id = deed.text("stock_id").to_owned();
                let sender = self.stocks.get(&stock_id).map(|stock| stock.creator.clone());
                let sender = sender.ok_or_else(|| deed.unknown("stock_id"))?;
                let (openid, code) = (String::new(), deed.text("coupon_code").to_owned());
                Promise { stock_id, openid, number: deed.ambient.letters(16), code, sender }
            }
        };
        if promise.openid.is_empty() {
            promise.openid = deed.text("openid").to_owned();
        }
        if promise.openid.is_empty() {
            return Err("nobody would receive it; name the user in \"openid\"".to_owned());
        }
        let Promise { stock_id, openid, number, code, sender } = promise;
        let channel = Some(deed.text("channel")).filter(|channel| !channel.is_empty()).unwrap_or(MINIAPP);
        let gift = Gift { stock_id: stock_id.clone(), openid, number, code, sender: &sender, channel, attached: None };
        let Deed { now, settings, .. } = *deed;
        let means = Means { now, settings, ambient: &mut *deed.ambient, outbox: &mut *deed.outbox };
        let code = give(self, means, gift).map_err(|refusal| {
            let code = refusal.code().unwrap_or_default().to_owned();
            format!("stock {stock_id:?} gives no coupon: {} {code}, {}", refusal.status, refusal.why)
        })?;
        self.tokens.remove(token);
        Ok(json!({"stock_id": stock_id, "coupon_code": code, "status": CouponStatus::Sended.as_str()}))
    }
}

/// A payment that a gift rewards.
pub(in crate::state) struct Reward<'a> {
    pub(in crate::state) stock_id: &'a str,
    pub(in crate::state) openid: &'a str,
    /// Merchant that was paid.
    pub(in crate::state) mchid: &'a str,
    pub(in crate::state) transaction_id: &'a str,
    pub(in crate::state) activity_id: &'a str,
}

impl Busifavor {
    /// Rewards a payment with a coupon; names its code, or says why there is none.
    pub(in crate::state) fn reward(&mut self, reward: &Reward<'_>, deed: &mut Deed<'_>) -> Result<String, String> {
        let gift = Gift {
            stock_id: reward.stock_id.to_owned(),
            openid: reward.openid.to_owned(),
            number: deed.ambient.letters(16),
            code: String::new(),
            sender: reward.mchid,
            channel: PAYGIFT,
            attached: Some(json!({"transaction_id": reward.transaction_id, "act_code": reward.activity_id})),
        };
        let Deed { now, settings, .. } = *deed;
        let means = Means { now, settings, ambient: &mut *deed.ambient, outbox: &mut *deed.outbox };
        give(self, means, gift).map_err(|refusal| refusal.why.into_owned())
    }
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    check_user(call)?;
    let merchants = ["creator_merchant", "belong_merchant", "sender_merchant"].map(|name| call.text(name));
    if !merchants.iter().all(|mchid| mchid.is_empty() || call.knows(mchid)) {
        return Err(no_merchant("it names what is no merchant of the sandbox"));
    }
    if !merchants.iter().any(|mchid| mchid == call.caller) {
        return Err(not_allowed("the caller is none of the merchants that it names"));
    }
    let [creator, owner, sender] = merchants;
    let (page, now) = (Page::of(call), call.now);
    let (openid, stock_id, state) = (call.text("openid"), call.text("stock_id"), call.text("coupon_state"));
    let Busifavor { stocks, users, .. } = &mut call.state.busifavor;
    let given = users.get(&openid).map(Vec::as_slice).unwrap_or_default();
    for (stock_id, code) in given {
        if let Some(coupon) = stocks.get_mut(stock_id).and_then(|stock| stock.coupons.get_mut(code)) {
            coupon.settle(now);
        }
    }
    let wanted = |asked: &str, is: &str| asked.is_empty() || asked == is;
    let found = given.iter().rev().filter_map(|(id, code)| {
        let stock = stocks.get(id)?;
        let coupon = stock.coupons.get(code)?;
        let fits = wanted(&stock_id, id)
            && wanted(&state, coupon.status.as_str())
            && wanted(&creator, &stock.creator)
            && wanted(&owner, &stock.owner)
            && wanted(&sender, &coupon.sender);
        fits.then_some((id, stock, code, coupon))
    });
    let body =
        page.cut(found, |(stock_id, stock, code, coupon)| Value::Object(describe(stock_id, stock, code, coupon)));
    Ok(Answer::ok(Value::Object(body), Basis::Observed, "newest first, in all states unless one is asked for"))
}

/// A coupon as queries show it.
fn describe(stock_id: &str, stock: &Stock, code: &str, coupon: &Coupon) -> Map<String, Value> {
    let mut shown = stock.show(&SHOWN);
    for name in ["transferable", "shareable"] {
        shown.insert(name.to_owned(), json!(stock.limits(name)));
    }
    shown.extend(coupon.show(stock_id, code));
    shown
}

pub(super) fn get(call: &mut Call<'_>) -> Outcome {
    check_user(call)?;
    let (openid, code, now) = (call.text("openid"), call.text("coupon_code"), call.now);
    let given = call.state.busifavor.users.get(&openid).map(Vec::as_slice).unwrap_or_default();
    let of_code = given.iter().rev().filter(|(_, other)| *other == code).map(|(stock_id, _)| stock_id.clone());
    let of_code: Vec<_> = of_code.collect();
    // Codes are unique in a stock only: it is the newest coupon that the caller may see.
    let seen = of_code.iter().find(|stock_id| find_stock(call, stock_id, Who::Partners).is_ok());
    let Some(stock_id) = seen.or(of_code.first()).cloned() else {
        return Err(not_found("the user has no coupon of this code"));
    };
    find_stock(call, &stock_id, Who::Partners)?;
    call.state.busifavor.coupon(&stock_id, &code, now)?;
    let stock = find_stock(call, &stock_id, Who::Partners)?;
    let coupon = stock.coupons.get(&code).ok_or_else(|| not_found("the user has no coupon of this code"))?;
    let body = describe(&stock_id, stock, &code, coupon);
    Ok(Answer::ok(Value::Object(body), Basis::Documented, "the coupon as it is"))
}

/// Stock and code of the coupon that the request names; it exists, and the caller may do something with it.
fn locate(call: &mut Call<'_>) -> Outcome<(String, String)> {
    check_user(call)?;
    let (mut stock_id, code) = (call.text("stock_id"), call.text("coupon_code"));
    if stock_id.is_empty() {
        let busifavor = &call.state.busifavor;
        match busifavor.generated.get(&code) {
            Some(generated) => stock_id = generated.clone(),
            None if busifavor.stocks.values().any(|stock| stock.coupons.contains_key(&code)) => {
                let why = "stock_id is required unless coupon_code_mode of the stock is WECHATPAY_MODE";
                return Err(guessed(400, "PARAM_ERROR", "参数错误：批次号必填", why));
            }
            None => return Err(not_found("no such coupon")),
        }
    }
    find_stock(call, &stock_id, Who::Partners)?;
    call.state.busifavor.coupon(&stock_id, &code, call.now)?;
    Ok((stock_id, code))
}

/// Refuses what cannot be done with a coupon that its user has deleted.
fn check_kept(coupon: &Coupon, basis: Basis) -> Outcome<()> {
    if coupon.status == CouponStatus::Deleted {
        let why = "the user has deleted the coupon";
        return Err(Answer::refuse(404, "RESOURCE_NOT_EXISTS", super::NOT_FOUND, basis, why));
    }
    Ok(())
}

const OUT_OF_TIME: &str = "券不在有效期";

pub(super) fn use_coupon(call: &mut Call<'_>) -> Outcome {
    let (stock_id, code) = locate(call)?;
    once(call, false).run(call, |call| {
        let (now, holder, number) = (call.now, call.text("openid"), call.text("use_request_no"));
        let transaction_id = call.text("transaction_id");
        let stock = find_stock(call, &stock_id, Who::Partners)?;
        let rules = &stock.rules;
        let coupon = stock.coupons.get_mut(&code).ok_or_else(|| not_found("no such coupon"))?;
        if !holder.is_empty() && holder != coupon.openid {
            return Err(guessed(404, "USER_NOT_EXISTS", "openid 不正确", "another user has the coupon"));
        }
        check_kept(coupon, Basis::Guess)?;
        match coupon.status {
            CouponStatus::Sended if coupon.usable(rules, now) => {}
            CouponStatus::Sended => {
                let why = "now is outside the time of the coupon";
                return Err(Answer::refuse(403, "RULELIMIT", OUT_OF_TIME, Basis::Documented, why));
            }
            CouponStatus::Used => {
                let why = "another number has used the coupon";
                let (code, message) = ("RESOURCE_ALREADY_EXISTS", "券已被其他订单核销");
                return Err(Answer::refuse(400, code, message, Basis::Documented, why));
            }
            _ => return Err(guessed(403, "RULELIMIT", OUT_OF_TIME, "the coupon is expired or deactivated")),
        }
        coupon.status = CouponStatus::Used;
        coupon.used = Some(Use { done: Done { number, time: now }, transaction_id });
        let body = json!({"stock_id": stock_id, "openid": coupon.openid, "wechatpay_use_time": time_text(now)});
        Ok(Answer::ok(body, Basis::Documented, "the coupon is used"))
    })
}

/// What a change of a coupon goes by.
struct Wish<'a> {
    request: Value,
    now: i64,
    settings: &'a Settings,
}

impl Wish<'_> {
    fn text(&self, name: &str) -> String {
        self.request.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// Changes the coupon that the request names, once, and answers when.
fn change(
    call: &mut Call<'_>,
    documented: bool,
    answer: &'static str,
    act: impl FnOnce(&mut Coupon, &Wish<'_>) -> Outcome<()>,
) -> Outcome {
    let (stock_id, code) = locate(call)?;
    once(call, documented).run(call, |call| {
        let wish = Wish { request: call.request.clone(), now: call.now, settings: call.settings };
        act(call.state.busifavor.coupon(&stock_id, &code, wish.now)?, &wish)?;
        Ok(Answer::ok(json!({answer: time_text(wish.now)}), Basis::Documented, "the coupon is changed"))
    })
}

pub(super) fn return_coupon(call: &mut Call<'_>) -> Outcome {
    change(call, false, "wechatpay_return_time", |coupon, wish| {
        check_kept(coupon, Basis::Documented)?;
        if coupon.status != CouponStatus::Used {
            return Err(guessed(403, "RULELIMIT", "券未被核销", "only a used coupon is returned"));
        }
        let expired = wish.now > coupon.expires;
        if expired && !wish.settings.busifavor_return_expired {
            return Err(guessed(403, "RULELIMIT", OUT_OF_TIME, "its time is over (setting)"));
        }
        coupon.status = if expired { CouponStatus::Expired } else { CouponStatus::Sended };
        coupon.used = None;
        coupon.returned = Some(Done { number: wish.text("return_request_no"), time: wish.now });
        Ok(())
    })
}

pub(super) fn deactivate(call: &mut Call<'_>) -> Outcome {
    change(call, false, "wechatpay_deactivate_time", |coupon, wish| {
        check_kept(coupon, Basis::Guess)?;
        if coupon.status != CouponStatus::Sended {
            let why = "only a coupon that is neither used nor expired is deactivated";
            return Err(guessed(403, "RULELIMIT", "券状态不允许失效", why));
        }
        coupon.status = CouponStatus::Deactivated;
        let done = Done { number: wish.text("deactivate_request_no"), time: wish.now };
        coupon.deactivated = Some((done, wish.text("deactivate_reason")));
        Ok(())
    })
}

pub(super) fn associate(call: &mut Call<'_>) -> Outcome {
    change(call, true, "wechatpay_associate_time", |coupon, wish| {
        check_kept(coupon, Basis::Guess)?;
        let order = wish.text("out_trade_no");
        if coupon.status != CouponStatus::Sended {
            return Err(guessed(400, "INVALID_REQUEST", "券状态不允许关联", "only an unused coupon is associated"));
        }
        if coupon.order.as_ref().is_some_and(|other| *other != order) {
            return Err(guessed(400, "INVALID_REQUEST", "券已关联其他订单", "it is associated with another order"));
        }
        coupon.order = Some(order);
        Ok(())
    })
}

pub(super) fn disassociate(call: &mut Call<'_>) -> Outcome {
    change(call, true, "wechatpay_disassociate_time", |coupon, wish| {
        check_kept(coupon, Basis::Guess)?;
        if coupon.order.as_deref() != Some(wish.text("out_trade_no").as_str()) {
            return Err(guessed(400, "INVALID_REQUEST", "券未关联该订单", "it is not associated with this order"));
        }
        coupon.order = None;
        Ok(())
    })
}
