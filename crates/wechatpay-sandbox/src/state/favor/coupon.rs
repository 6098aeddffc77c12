//! Cash coupons of users.

use super::stock::{Status, Stock};
use super::{Call, Deed, FAMILY, Favor, NOT_YOURS, OTHER_PARAMETERS, listed, no_merchant, no_stock, page};
use crate::ambient::{Ambient, day, time_text};
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::settings::{OtherSenders, Repeat, Settings, UserLimit};
use crate::state::Once;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// How many coupons a page of a user's holds, if the request does not say.
const PAGE: i64 = 20;

/// A coupon that a user has.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Coupon {
    pub(super) stock_id: String,
    openid: String,
    sender: String,
    /// What it takes off, in fen.
    pub(super) amount: i64,
    /// What an order must cost at least, in fen.
    pub(super) minimum: i64,
    received: i64,
    pub(super) begins: i64,
    ends: i64,
    /// The payment in which it is used.
    pub(super) used_in: Option<String>,
}

/// State of a coupon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Sended,
    Used,
    Expired,
}

impl State {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Sended => "SENDED",
            Self::Used => "USED",
            Self::Expired => "EXPIRED",
        }
    }
}

impl Coupon {
    pub(super) fn state(&self, now: i64) -> State {
        if self.used_in.is_some() {
            State::Used
        } else if now > self.ends {
            State::Expired
        } else {
            State::Sended
        }
    }

    /// The coupon as queries and notifications show it.
    pub(super) fn describe(&self, coupon_id: &str, stock: &Stock, now: i64) -> Map<String, Value> {
        let mut shown = Map::new();
        let mut show = |name: &str, value: Value| {
            shown.insert(name.to_owned(), value);
        };
        show("stock_creator_mchid", json!(stock.creator));
        show("stock_id", json!(self.stock_id));
        show("coupon_id", json!(coupon_id));
        show("coupon_name", json!(stock.text("/stock_name")));
        show("status", json!(self.state(now).as_str()));
        if let Some(description) = stock.rule("/pattern_info/description") {
            show("description", description.clone());
        }
        show("create_time", json!(time_text(self.received)));
        show("coupon_type", json!("NORMAL"));
        show("no_cash", json!(!stock.prepaid()));
        show("available_begin_time", json!(time_text(self.begins)));
        show("available_end_time", json!(time_text(self.ends)));
        show("singleitem", json!(stock.single_item()));
        let normal = json!({"coupon_amount": self.amount, "transaction_minimum": self.minimum});
        show("normal_coupon_information", normal);
        shown
    }
}

/// A coupon that is to be given to a user.
struct Gift {
    stock_id: String,
    openid: String,
    appid: String,
    sender: String,
    /// Value and minimum that the sender chose.
    value: (Option<i64>, Option<i64>),
}

pub(super) fn send(call: &mut Call<'_>) -> Outcome {
    let creator = call.text("stock_creator_mchid");
    let gift = Gift {
        stock_id: call.text("stock_id"),
        openid: call.text("openid"),
        appid: call.text("appid"),
        sender: call.caller.to_owned(),
        value: (call.integer("coupon_value"), call.integer("coupon_minimum")),
    };
    if !call.knows(&creator) {
        return Err(no_merchant(call, "stock_creator_mchid"));
    }
    check_user(call.settings, &call.state.favor, &gift.openid, &gift.appid)?;
    let stock = call.state.favor.stock(&gift.stock_id, call.now).ok_or_else(no_stock)?;
    if creator != stock.creator {
        let why = "stock_creator_mchid is not the creator of the stock; repeating it will not help";
        return Err(Answer::refuse(500, "SYSTEM_ERROR", "系统错误", Basis::Observed, why));
    }
    if call.caller != stock.creator {
        let message = match call.settings.favor_other_senders {
            OtherSenders::Allowed => None,
            OtherSenders::Unsupported => Some("批次不支持跨商户发券"),
            OtherSenders::Unauthorised => Some("商户无权发券"),
        };
        if let Some(message) = message {
            let why = "the caller is not the creator of the stock (setting)";
            return Err(Answer::refuse(403, "REQUEST_BLOCKED", message, Basis::Documented, why));
        }
    }
    let once = Once {
        same: (Repeat::FirstAnswer, Basis::Documented),
        other: (OTHER_PARAMETERS, Basis::Guess),
        exists: "券已发放",
        code: "RESOURCE_ALREADY_EXISTS",
    };
    once.run(call, |call| {
        let coupon_id = call.state.favor.give(gift, call.settings, call.ambient, call.now)?;
        Ok(Answer::ok(json!({"coupon_id": coupon_id}), Basis::Documented, "the user has the coupon"))
    })
}

/// Whether the appid is one that can be used, and the openid one of its own.
fn check_user(settings: &Settings, favor: &Favor, openid: &str, appid: &str) -> Outcome<()> {
    if settings.favor_unbound_appids.iter().any(|unbound| unbound == appid) {
        let why = "the appid is bound to no merchant (setting)";
        return Err(Answer::refuse(400, "APPID_MCHID_NOT_MATCH", "商户号与 appid 不匹配", Basis::Documented, why));
    }
    let own = settings.favor_openids.get(openid).or_else(|| favor.appids.get(openid));
    if own.is_some_and(|own| own != appid) {
        let why = "the openid belongs to another appid";
        return Err(Answer::refuse(400, "INVALID_REQUEST", "openid 与 appID 不匹配", Basis::Documented, why));
    }
    Ok(())
}

impl Favor {
    /// Gives a user a coupon, if the stock allows it.
    fn give(&mut self, gift: Gift, settings: &Settings, ambient: &mut Ambient, now: i64) -> Outcome<String> {
        let stock = self.stocks.get_mut(&gift.stock_id).ok_or_else(no_stock)?;
        stock.settle(now);
        if stock.status != Status::Running {
            let why = format!("the stock is {}", stock.status.as_str());
            return Err(Answer::refuse(400, "INVALID_REQUEST", "活动已结束或未激活", Basis::Documented, why));
        }
        if settings.favor_abnormal_users.contains(&gift.openid) {
            let why = "the account of the user is abnormal (setting)";
            return Err(Answer::refuse(403, "USER_ACCOUNT_ABNORMAL", "用户非法", Basis::Documented, why));
        }
        let (amount, minimum) = value(stock, &gift, settings)?;
        let most = stock.number("/stock_use_rule/max_coupons").unwrap_or(i64::MAX);
        if stock.sent >= most || amount > stock.budget().saturating_sub(stock.given) {
            let why = "the budget is used up";
            return Err(Answer::refuse(403, "NOT_ENOUGH", "批次预算不足", Basis::Documented, why));
        }
        let today = day::of(now);
        let given_today = stock.by_day.get(&today).copied().unwrap_or(0);
        let daily = stock.number("/stock_use_rule/max_amount_by_day").filter(|limit| *limit > 0);
        if daily.is_some_and(|limit| amount > limit.saturating_sub(given_today)) {
            let why = "the budget of the day, which begins at midnight in China, is used up";
            return Err(Answer::refuse(403, "RULE_LIMIT", "发券超过单天限额", Basis::Guess, why));
        }
        check_limits(stock, &gift.openid, settings)?;
        if let Some(limit) = settings.favor_month_limit {
            let sum = self.given_this_month(&gift, now);
            if sum.saturating_add(amount) > limit {
                let why = "the merchant's stocks have given the user as much as a month allows (setting)";
                let message = "暂时无法领取，请联系商家处理。";
                return Err(Answer::refuse(400, "INVALID_REQUEST", message, Basis::Observed, why));
            }
        }
        let stock = self.stocks.get_mut(&gift.stock_id).ok_or_else(no_stock)?;
        let coupon_id = ambient.fresh_digits(11, |id| self.coupons.contains_key(id));
        let (begins, ends) = stock.validity(now);
        stock.sent += 1;
        stock.given += amount;
        *stock.by_day.entry(today).or_insert(0) += amount;
        *stock.receivers.entry(gift.openid.clone()).or_insert(0) += 1;
        self.appids.entry(gift.openid.clone()).or_insert(gift.appid);
        self.users.entry(gift.openid.clone()).or_default().push(coupon_id.clone());
        let Gift { stock_id, openid, sender, .. } = gift;
        let coupon = Coupon { stock_id, openid, sender, amount, minimum, received: now, begins, ends, used_in: None };
        self.coupons.insert(coupon_id.clone(), coupon);
        Ok(coupon_id)
    }

    /// Face value that the stocks of the same creator have given the user since the first of the month.
    fn given_this_month(&self, gift: &Gift, now: i64) -> i64 {
        let month = |at: i64| time_text(at).chars().take(7).collect::<String>();
        let creator = self.stocks.get(&gift.stock_id).map(|stock| stock.creator.as_str());
        let mine = self.users.get(&gift.openid).into_iter().flatten().filter_map(|id| self.coupons.get(id));
        mine.filter(|coupon| month(coupon.received) == month(now))
            .filter(|coupon| self.stocks.get(&coupon.stock_id).map(|stock| stock.creator.as_str()) == creator)
            .map(|coupon| coupon.amount)
            .sum()
    }

    /// A user receives a coupon without a call of the merchant.
    pub(super) fn receive(&mut self, deed: &mut Deed<'_>) -> Option<Result<Value, String>> {
        let stock_id = deed.text("stock_id");
        let creator = self.stocks.get(stock_id)?.creator.clone();
        let openid = deed.text("openid");
        if openid.is_empty() {
            return Some(Err("name the user in \"openid\"".to_owned()));
        }
        let appid = match deed.text("appid") {
            "" => deed.settings.favor_openids.get(openid).or_else(|| self.appids.get(openid)).cloned(),
            appid => Some(appid.to_owned()),
        };
        let Some(appid) = appid else { return Some(Err("name the appid of the user in \"appid\"".to_owned())) };
        let gift = Gift {
            stock_id: stock_id.to_owned(),
            openid: openid.to_owned(),
            appid,
            sender: creator,
            value: (None, None),
        };
        let checked = check_user(deed.settings, self, &gift.openid, &gift.appid);
        let given = checked.and_then(|()| self.give(gift, deed.settings, deed.ambient, deed.now));
        Some(match given {
            Ok(coupon_id) => Ok(json!({
                "family": FAMILY,
                "stock_id": stock_id,
                "coupon_id": coupon_id,
                "status": State::Sended.as_str(),
                "channel": deed.text("channel"),
            })),
            Err(refusal) => Err(format!("{}: {}", refusal.code().unwrap_or_default(), refusal.why)),
        })
    }
}

/// Value and minimum of a coupon.
fn value(stock: &Stock, gift: &Gift, settings: &Settings) -> Outcome<(i64, i64)> {
    let rule = |name: &str| stock.number(&format!("/coupon_use_rule/fixed_normal_coupon/{name}")).unwrap_or(0);
    match gift.value {
        (None, None) => Ok((rule("coupon_amount"), rule("transaction_minimum"))),
        (Some(value), Some(minimum)) if settings.favor_sender_value => Ok((value, minimum)),
        _ => {
            let why = "coupon_value and coupon_minimum go together, and the value of this stock is fixed (setting)";
            Err(Answer::refuse(400, "PARAM_ERROR", "参数错误", Basis::Guess, why))
        }
    }
}

/// Whether the user, and the person behind the user, may have another coupon of the stock.
fn check_limits(stock: &Stock, openid: &str, settings: &Settings) -> Outcome<()> {
    let most = stock.number("/stock_use_rule/max_coupons_per_user").unwrap_or(i64::MAX);
    let has = |openid: &str| stock.receivers.get(openid).copied().unwrap_or(0);
    if has(openid) >= most {
        let why = "the user has as many coupons as allowed (setting)";
        return Err(match settings.favor_user_limit {
            UserLimit::RuleLimit => Answer::refuse(403, "RULE_LIMIT", "用户已达最大领券次数", Basis::Observed, why),
            UserLimit::RequestBlocked => {
                Answer::refuse(403, "REQUEST_BLOCKED", "用户被限领拦截", Basis::Documented, why)
            }
        });
    }
    let persons = &settings.favor_persons;
    if let Some(person) = persons.get(openid).filter(|_| stock.on("/stock_use_rule/natural_person_limit")) {
        let accounts = persons.iter().filter(|(_, other)| *other == person);
        if accounts.map(|(openid, _)| has(openid)).sum::<i64>() >= most {
            let why = "the person has as many coupons as allowed, under several accounts (setting)";
            let message = "超过自然人最大限领数";
            return Err(Answer::refuse(403, "USER_AL_GET_COUPON", message, Basis::Observed, why));
        }
    }
    Ok(())
}

/// A coupon as queries show it.
fn show(call: &Call<'_>, coupon_id: &str) -> Option<Value> {
    let favor = &call.state.favor;
    let coupon = favor.coupons.get(coupon_id)?;
    let mut shown = coupon.describe(coupon_id, favor.stocks.get(&coupon.stock_id)?, call.now);
    let used_in = coupon.used_in.as_ref().filter(|_| call.settings.favor_show_consumption);
    let payment = used_in.and_then(|id| favor.transactions.get(id)).and_then(|index| favor.payments.get(*index));
    if let Some(payment) = payment {
        shown.insert("consume_information".to_owned(), payment.consumption());
    }
    Some(Value::Object(shown))
}

pub(super) fn get(call: &mut Call<'_>) -> Outcome {
    let (coupon_id, openid) = (call.text("coupon_id"), call.text("openid"));
    check_user(call.settings, &call.state.favor, &openid, &call.text("appid"))?;
    let favor = &call.state.favor;
    let coupon = favor.coupons.get(&coupon_id).filter(|coupon| coupon.openid == openid);
    let stock = coupon.and_then(|coupon| favor.stocks.get(&coupon.stock_id));
    let (Some(coupon), Some(stock)) = (coupon, stock) else {
        let why = "the user has no such coupon";
        return Err(Answer::refuse(404, "RESOURCE_NOT_EXISTS", "券不存在", Basis::Documented, why));
    };
    let involved = [stock.creator.as_str(), coupon.sender.as_str()].contains(&call.caller);
    if !involved && !stock.merchants().contains(&call.caller) {
        let why = "the caller neither created nor sent the coupon, nor does it accept it";
        return Err(Answer::refuse(403, "REQUEST_BLOCKED", NOT_YOURS, Basis::Guess, why));
    }
    let body = show(call, &coupon_id).unwrap_or_default();
    Ok(Answer::ok(body, Basis::Documented, "the coupon as it is"))
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let named = |name: &str| Some(call.text(name)).filter(|text| !text.is_empty());
    let (creator, sender, accepts) = (named("creator_mchid"), named("sender_mchid"), named("available_mchid"));
    for (name, mchid) in [("creator_mchid", &creator), ("sender_mchid", &sender), ("available_mchid", &accepts)] {
        if mchid.as_ref().is_some_and(|mchid| !call.knows(mchid)) {
            return Err(no_merchant(call, name));
        }
    }
    let openid = call.text("openid");
    check_user(call.settings, &call.state.favor, &openid, &call.text("appid"))?;

    // Who asks for what a merchant accepts gets all that can be used there.
    let free = accepts.is_some();
    let (stock_id, status) = (named("stock_id").filter(|_| !free), named("status").filter(|_| !free));
    let (now, favor) = (call.now, &call.state.favor);
    let wanted = |coupon: &Coupon, stock: &Stock| {
        let state = coupon.state(now);
        let state_fits = match status.as_deref() {
            Some("USED") => state == State::Used || state == State::Sended && call.settings.favor_used_lists_sent,
            _ => state == State::Sended,
        };
        state_fits
            && creator.as_ref().is_none_or(|creator| *creator == stock.creator)
            && sender.as_ref().is_none_or(|sender| *sender == coupon.sender)
            && accepts.as_ref().is_none_or(|accepts| stock.merchants().contains(&accepts.as_str()))
            && stock_id.as_ref().is_none_or(|stock_id| *stock_id == coupon.stock_id)
            // No balances here.
            && call.request.get("business_type").is_none()
    };
    let mine = favor.users.get(&openid).into_iter().flatten().rev();
    let found: Vec<String> = mine
        .filter(|id| {
            let coupon = favor.coupons.get(*id);
            coupon.is_some_and(|coupon| favor.stocks.get(&coupon.stock_id).is_some_and(|stock| wanted(coupon, stock)))
        })
        .cloned()
        .collect();
    let total = found.len();
    let shown = if free { found } else { page(call, found, PAGE) };
    let data: Vec<Value> = shown.iter().filter_map(|id| show(call, id)).collect();
    let why = "the coupons of the user, none of them expired; newest first is a guess";
    Ok(Answer::ok(listed(call, total, data, PAGE), Basis::Observed, why))
}
