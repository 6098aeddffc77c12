//! Gift activities: coupons of merchants for those who pay. Most of what they do beside keeping their rules is not
//! published, and guessed here.

use super::busifavor::{Busifavor, Reward};
use super::page::Page;
use super::{Act, Call, Deed, Once, number_of_day};
use crate::ambient::{day, instant, time_text};
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ACTS: &[Act] = &[
    Act::new("paygiftactivity.create_activity", create),
    Act::new("paygiftactivity.get_activity", get),
    Act::new("paygiftactivity.list_activities", list),
    Act::new("paygiftactivity.terminate_activity", terminate),
    Act::new("paygiftactivity.list_activity_merchants", list_merchants),
    Act::new("paygiftactivity.add_activity_merchants", add_merchants),
    Act::new("paygiftactivity.delete_activity_merchants", delete_merchants),
    Act::new("paygiftactivity.list_activity_goods", list_goods),
];

const NOT_FOUND: &str = "资源不存在或无可用";
const NOT_ALLOWED: &str = "商户未被授权";
const BROKEN: &str = "请求参数符合参数格式，但不符合业务规则";

/// All gift activities, and the payments that they were asked to reward.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Activities {
    all: BTreeMap<String, Activity>,
    payments: BTreeSet<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Activity {
    creator: String,
    /// The request that created it.
    rules: Value,
    begins: i64,
    ends: i64,
    created: i64,
    updated: i64,
    paused: Option<i64>,
    resumed: Option<i64>,
    terminated: Option<i64>,
    /// Merchants that show it, and since when.
    merchants: BTreeMap<String, i64>,
    /// Its place in the order of creation.
    place: usize,
}

impl Activity {
    fn status(&self, now: i64) -> &'static str {
        if self.terminated.is_some() {
            "TERMINATE_ACT_STATUS"
        } else if now > self.ends {
            "OVER_TIME_ACT_STATUS"
        } else if self.paused.is_some() && self.resumed.is_none() {
            "STOP_ACT_STATUS"
        } else if now < self.begins {
            "CREATE_ACT_STATUS"
        } else {
            "ONGOING_ACT_STATUS"
        }
    }

    /// Whether it has ended, by whatever.
    fn over(&self, now: i64) -> bool {
        self.terminated.is_some() || now > self.ends
    }

    fn text(&self, pointer: &str) -> &str {
        self.rules.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// What lists show.
    fn show(&self, id: &str, now: i64) -> Map<String, Value> {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("activity_id", json!(id));
        put("activity_type", json!("FULL_SEND_ACT_TYPE"));
        put("activity_base_info", self.base());
        put("award_send_rule", json!({"full_send_rule": self.rules.get("award_send_rule")}));
        if let Some(advanced) = self.rules.get("advanced_setting") {
            put("advanced_setting", advanced.clone());
        }
        put("activity_status", json!(self.status(now)));
        put("creator_merchant_id", json!(self.creator));
        put("belong_merchant_id", json!(self.creator));
        put("create_time", json!(time_text(self.created)));
        put("update_time", json!(time_text(self.updated)));
        shown
    }

    /// Its name, looks and time; the colour in the spelling of answers.
    fn base(&self) -> Value {
        let mut base = self.rules.get("activity_base_info").cloned().unwrap_or_default();
        if let Some(Value::String(color)) = base.get_mut("background_color")
            && let Some(number) = color.get("Color".len()..)
        {
            *color = format!("Color{number}");
        }
        base
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

fn not_found(why: &'static str) -> Box<Answer> {
    Answer::refuse(404, "RESOURCE_NOT_EXISTS", NOT_FOUND, Basis::Documented, why)
}

fn broken(why: &'static str) -> Box<Answer> {
    Answer::refuse(400, "INVALID_REQUEST", BROKEN, Basis::Guess, why)
}

/// The activity that the request names, which is the caller's.
fn find<'s>(call: &'s mut Call<'_>) -> Outcome<&'s mut Activity> {
    let (id, caller) = (call.text("activity_id"), call.caller);
    let activity = call.state.paygiftactivity.all.get_mut(&id).ok_or_else(|| not_found("no such activity"))?;
    if activity.creator == caller {
        Ok(activity)
    } else {
        let why = "another merchant has created the activity";
        Err(Answer::refuse(403, "NO_AUTH", NOT_ALLOWED, Basis::Documented, why))
    }
}

/// The texts of a list of the request.
fn texts(list: Option<&Value>) -> Vec<String> {
    let items = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn create(call: &mut Call<'_>) -> Outcome {
    let merchants = texts(call.request.pointer("/award_send_rule/merchant_id_list"));
    if !merchants.iter().all(|mchid| call.knows(mchid)) {
        let why = "merchant_id_list names what is no merchant of the sandbox";
        return Err(Answer::refuse(400, "MCH_NOT_EXISTS", "商户号不存在", Basis::Documented, why));
    }
    let apps = ["/activity_base_info/mini_programs_appid", "/advanced_setting/merchant_member_appid"];
    let mut apps = apps.iter().filter_map(|at| call.request.pointer(at).and_then(Value::as_str));
    if apps.any(|appid| call.settings.paygift_unbound_appids.iter().any(|unbound| unbound == appid)) {
        let (message, why) = ("AppID 与 mchid 不匹配", "the appid is bound to no merchant (setting)");
        return Err(Answer::refuse(400, "APPID_MCHID_NOT_MATCH", message, Basis::Documented, why));
    }
    let awards = call.request.pointer("/award_send_rule/award_list").and_then(Value::as_array);
    let stocks = awards.into_iter().flatten().filter_map(|award| award.get("stock_id").and_then(Value::as_str));
    let stocks: Vec<_> = stocks.collect();
    let owned = |stock_id: &&str| call.state.busifavor.owns(stock_id, call.caller);
    if call.settings.paygift_check_stocks && !stocks.iter().all(owned) {
        return Err(not_found("award_list names a stock that the caller does not have (setting)"));
    }
    let package = call.request.pointer("/award_send_rule/send_content") == Some(&json!("GIFT_PACKAGE"));
    let count_fits = if package { (3..=5).contains(&stocks.len()) } else { stocks.len() == 1 };
    once(call).run(call, |call| {
        if !count_fits {
            return Err(broken("a single coupon is one award, a package three to five"));
        }
        let time = |name: &str| {
            let time = call.request.pointer("/activity_base_info").and_then(|base| base.get(name));
            time.and_then(Value::as_str).and_then(instant).map(|(seconds, _)| seconds)
        };
        let activities = &mut call.state.paygiftactivity.all;
        let id = call.ambient.fresh_digits(8, |id| activities.contains_key(id));
        let shown_by = if merchants.is_empty() { vec![call.caller.to_owned()] } else { merchants };
        let activity = Activity {
            creator: call.caller.to_owned(),
            begins: time("begin_time").unwrap_or(call.now),
            ends: time("end_time").unwrap_or(i64::MAX),
            rules: call.request.clone(),
            created: call.now,
            updated: call.now,
            paused: None,
            resumed: None,
            terminated: None,
            merchants: shown_by.into_iter().map(|mchid| (mchid, call.now)).collect(),
            place: activities.len(),
        };
        activities.insert(id.clone(), activity);
        let body = json!({"activity_id": id, "create_time": time_text(call.now)});
        Ok(Answer::ok(body, Basis::Documented, "an activity is created"))
    })
}

fn get(call: &mut Call<'_>) -> Outcome {
    let (id, now) = (call.text("activity_id"), call.now);
    let activity = find(call)?;
    let mut shown = activity.show(&id, now);
    for (name, time) in [("pause_time", activity.paused), ("recovery_time", activity.resumed)] {
        if let Some(time) = time {
            shown.insert(name.to_owned(), json!(time_text(time)));
        }
    }
    Ok(Answer::ok(Value::Object(shown), Basis::Guess, "as created; that the clock moves its state is likely"))
}

fn list(call: &mut Call<'_>) -> Outcome {
    let (page, now) = (Page::of(call), call.now);
    let (name, status, award) = (call.text("activity_name"), call.text("activity_status"), call.text("award_type"));
    let fits = |activity: &Activity| {
        activity.creator == call.caller
            && activity.text("/activity_base_info/activity_name").contains(&name)
            && (["", "ACT_STATUS_UNKNOWN"].contains(&status.as_str()) || activity.status(now) == status)
            && (award.is_empty() || activity.text("/award_send_rule/award_type") == award)
    };
    let mut found: Vec<_> = call.state.paygiftactivity.all.iter().filter(|(_, activity)| fits(activity)).collect();
    found.sort_by_key(|(_, activity)| std::cmp::Reverse(activity.place));
    let body = page.cut(found, |(id, activity)| Value::Object(activity.show(id, now)));
    Ok(Answer::ok(Value::Object(body), Basis::Guess, "the caller's own, newest first"))
}

fn terminate(call: &mut Call<'_>) -> Outcome {
    let (id, now) = (call.text("activity_id"), call.now);
    let activity = find(call)?;
    let (time, basis, why) = match activity.terminated {
        Some(time) => (time, Basis::Guess, "it has been terminated: the first time again"),
        None if now > activity.ends => return Err(broken("it is over already")),
        None => (now, Basis::Documented, "the activity is terminated"),
    };
    activity.terminated = Some(time);
    activity.updated = time;
    Ok(Answer::ok(json!({"terminate_time": time_text(time), "activity_id": id}), basis, why))
}

fn list_merchants(call: &mut Call<'_>) -> Outcome {
    let (id, page) = (call.text("activity_id"), Page::of(call));
    let activity = find(call)?;
    let mut body = page.cut(
        &activity.merchants,
        |(mchid, since)| json!({"mchid": mchid, "create_time": time_text(*since), "update_time": time_text(*since)}),
    );
    body.insert("activity_id".to_owned(), json!(id));
    Ok(Answer::ok(Value::Object(body), Basis::Guess, "the merchants by their ids"))
}

fn list_goods(call: &mut Call<'_>) -> Outcome {
    let (id, page) = (call.text("activity_id"), Page::of(call));
    find(call)?;
    let mut body = page.cut(std::iter::empty::<()>(), |()| Value::Null);
    body.insert("activity_id".to_owned(), json!(id));
    Ok(Answer::ok(Value::Object(body), Basis::Documented, "no call limits an activity to goods"))
}

fn add_merchants(call: &mut Call<'_>) -> Outcome {
    find(call)?;
    once(call).run(call, |call| {
        let (id, now) = (call.text("activity_id"), call.now);
        let asked = texts(call.request.get("merchant_id_list"));
        let (known, unknown): (Vec<_>, Vec<_>) = asked.into_iter().partition(|mchid| call.knows(mchid));
        let activity = find(call)?;
        if activity.over(now) {
            return Err(broken("the activity has ended"));
        }
        for mchid in known {
            activity.merchants.entry(mchid).or_insert(now);
        }
        activity.updated = now;
        let mut body = json!({"activity_id": id, "add_time": time_text(now)});
        let reason = "商户号不存在";
        let unknown: Vec<_> = unknown.iter().map(|mchid| json!({"mchid": mchid, "invalid_reason": reason})).collect();
        if let (Some(fields), false) = (body.as_object_mut(), unknown.is_empty()) {
            fields.insert("invalid_merchant_id_list".to_owned(), json!(unknown));
        }
        Ok(Answer::ok(body, Basis::Documented, "merchants are added; those that do not exist are listed"))
    })
}

fn delete_merchants(call: &mut Call<'_>) -> Outcome {
    find(call)?;
    once(call).run(call, |call| {
        let (id, now) = (call.text("activity_id"), call.now);
        let asked = texts(call.request.get("merchant_id_list"));
        let activity = find(call)?;
        if activity.over(now) {
            return Err(broken("the activity has ended"));
        }
        activity.merchants.retain(|mchid, _| !asked.contains(mchid));
        activity.updated = now;
        let body = json!({"activity_id": id, "delete_time": time_text(now)});
        Ok(Answer::ok(body, Basis::Documented, "merchants are removed; those that did not show it do not matter"))
    })
}

impl Activity {
    /// Whether a payment at this time is one that it rewards: within its spans and hours.
    fn open(&self, now: i64) -> bool {
        let periods = self.rules.pointer("/activity_base_info/available_periods");
        let any = |name: &str, holds: &dyn Fn(&Value) -> bool| {
            let list = periods.and_then(|periods| periods.get(name)).and_then(Value::as_array);
            list.is_none_or(|items| items.iter().any(holds))
        };
        let at = |span: &Value, name: &str| span.get(name).and_then(Value::as_str).and_then(instant).map(|at| at.0);
        // Six digits: hours, minutes, seconds.
        let second = |span: &Value, name: &str| {
            let digits = span.get(name).and_then(Value::as_str)?.parse::<i64>().ok()?;
            Some(digits / 10_000 * 3600 + digits / 100 % 100 * 60 + digits % 100)
        };
        let today = day::second(now);
        self.status(now) == "ONGOING_ACT_STATUS"
            && any("available_time", &|span| {
                at(span, "begin_time").is_none_or(|begin| begin <= now)
                    && at(span, "end_time").is_none_or(|end| now <= end)
            })
            && any("available_day_time", &|span| {
                second(span, "begin_day_time").is_none_or(|begin| begin <= today)
                    && second(span, "end_day_time").is_none_or(|end| today <= end)
            })
    }

    /// Whether an order of this merchant, with these tags and for so much, is one that it rewards.
    fn rewards(&self, mchid: &str, amount: i64, tag: &str) -> bool {
        let least = self.rules.pointer("/award_send_rule/transaction_amount_minimum").and_then(Value::as_i64);
        let tags = self.rules.pointer("/advanced_setting/goods_tags").and_then(Value::as_array);
        self.merchants.contains_key(mchid)
            && least.is_none_or(|least| least <= amount)
            && tags.is_none_or(|tags| tags.iter().any(|wanted| wanted.as_str() == Some(tag)))
    }

    /// The stocks of its awards, in their order.
    fn stocks(&self) -> impl Iterator<Item = &str> {
        let awards = self.rules.pointer("/award_send_rule/award_list").and_then(Value::as_array);
        awards.into_iter().flatten().filter_map(|award| award.get("stock_id").and_then(Value::as_str))
    }
}

impl Activities {
    /// A user pays a merchant, and gets what the activities give for it. That a package is given as far as it can be, and
    /// that whoever was paid counts as the sender, are guesses.
    pub(super) fn pay(&mut self, busifavor: &mut Busifavor, deed: &mut Deed<'_>) -> Result<Value, String> {
        let (mchid, openid, tag) = (deed.text("mchid"), deed.text("openid"), deed.text("goods_tag"));
        if mchid.is_empty() || openid.is_empty() {
            return Err("name who is paid in \"mchid\", and who pays in \"openid\"".to_owned());
        }
        let amount = deed.amount("amount")?.ok_or("say in \"amount\" how many fen are paid")?;
        let transaction_id = match deed.text("transaction_id") {
            "" => number_of_day("42000000", deed, |id| self.payments.contains(id)),
            taken if self.payments.contains(taken) => {
                return Err(format!(
                    "transaction {taken} exists already; leave \"transaction_id\" out to get a fresh one"
                ));
            }
            given => given.to_owned(),
        };
        self.payments.insert(transaction_id.clone());
        let now = deed.now;
        let mut gifts = Vec::new();
        let all = self.all.iter().filter(|(_, it)| it.open(now) && it.rewards(mchid, amount, tag));
        for (activity_id, stock_id) in all.flat_map(|(id, it)| it.stocks().map(move |stock_id| (id, stock_id))) {
            let reward = Reward { stock_id, openid, mchid, transaction_id: &transaction_id, activity_id };
            let mut gift = json!({"activity_id": activity_id, "stock_id": stock_id});
            let (name, text) = match busifavor.reward(&reward, deed) {
                Ok(code) => ("coupon_code", code),
                Err(why) => ("refused", why),
            };
            if let Some(gift) = gift.as_object_mut() {
                gift.insert(name.to_owned(), json!(text));
            }
            gifts.push(gift);
        }
        Ok(json!({"transaction_id": transaction_id, "amount": amount, "gifts": gifts}))
    }

    /// What people do in the console: `pause` and `restart`.
    pub(super) fn act(&mut self, id: &str, to: &str, now: i64) -> Result<Value, String> {
        let activity = self.all.get_mut(id);
        let activity = activity.ok_or_else(|| format!("there is no activity {id:?}; name it in \"activity_id\""))?;
        match (to, activity.status(now)) {
            ("pause", "CREATE_ACT_STATUS" | "ONGOING_ACT_STATUS") => {
                activity.paused = Some(now);
                activity.resumed = None;
            }
            ("restart", "STOP_ACT_STATUS") => activity.resumed = Some(now),
            (_, status) => {
                return Err(format!(
                    "an activity that is {status} cannot be moved by console to {to:?}; \"to\" is pause or restart"
                ));
            }
        }
        activity.updated = now;
        Ok(json!({"activity_id": id, "status": activity.status(now)}))
    }
}
