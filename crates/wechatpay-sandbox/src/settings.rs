//! Switches for what the documents leave open.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the documents leave open, and each user may want the other way. The defaults are what is most likely true.
///
/// In JSON (`/_sandbox/settings`) a setting that is left out keeps its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// Seconds by which the timestamp of a request may differ from the sandbox's clock. Default 300.
    pub timestamp_window: u32,
    /// Milliseconds of each pause of the faults `slow-headers` and `slow-body`. Default 500.
    pub slow_ms: u32,
    /// Milliseconds for which the fault `stall` is silent. Default 60,000.
    pub stall_ms: u32,
    /// What signs the answers to requests whose `Wechatpay-Serial` does not choose. Default: the public key.
    pub sign_with: SignWith,
    /// Whether there are platform certificates. Without, as for merchants that only have the public key,
    /// `GET /v3/certificates` answers 404 `RESOURCE_NOT_EXISTS`. Default true.
    pub certificates: bool,
    /// Whether a merchant that the sandbox does not have is refused as owner of a stock. Default true.
    pub refuse_unknown_merchants: bool,
    /// Families that the merchants have not opened: each of their calls answers the 403 that the documents have for
    /// callers without permission. Since 2025-12-15 nobody new can open `busifavor`. Default: none.
    #[serde(deserialize_with = "families")]
    pub unopened_families: Vec<String>,
    /// Whether the merchants have opened cash coupons; without, creating a stock answers 403 `REQUEST_BLOCKED`.
    /// Default true.
    pub favor_opened: bool,
    /// State of a cash coupon stock after its creation. Default `unactivated`.
    pub favor_first_state: FavorFirstState,
    /// Seconds after the creation of a cash coupon stock in which starting it answers 500 `SYSTEM_ERROR`, because its
    /// card is not registered yet. Seen live, about 60; default 0.
    pub favor_registration_delay: u32,
    /// Balance in fen that each merchant has for prepaid stocks. A start that it does not cover answers 403
    /// `NOT_ENOUGH`. Default: no end to it.
    pub favor_balance: Option<i64>,
    /// Whether the audience of a stock is imported; without, starting it answers 403 `RULE_LIMIT`. Default true.
    pub favor_audience_imported: bool,
    /// State of a merchant coupon stock after its creation. Default `RUNNING`.
    pub busifavor_first_state: BusifavorFirstState,
    /// What a repeat of a creation with the same number and the same parameters gets. Default: the first answer.
    pub busifavor_repeat: Repeat,
    /// Seconds after the creation of a merchant coupon stock in which uploading codes answers `STATEMENT_CREATING`.
    /// Seen live, 60 to 300; default 0.
    pub busifavor_creating: u32,
    /// Most codes that a stock takes; the number is not published. Default: no end to it.
    pub busifavor_code_limit: Option<u64>,
    /// `fail_codes[].code` of a code with a character that is not allowed; the name is not published.
    pub busifavor_bad_character: String,
    /// What a send to a user answers who has as many cash coupons of a stock as allowed. Default: as was seen.
    pub favor_user_limit: UserLimit,
    /// Whether merchants may send cash coupons of stocks that others created. Default: they may not.
    pub favor_other_senders: OtherSenders,
    /// Whether a sender may choose the value of a coupon. Without, `coupon_value` is refused. Default false.
    pub favor_sender_value: bool,
    /// Most fen of face value that the stocks of one merchant may give a user in a calendar month; beyond it a send
    /// answers 400 `INVALID_REQUEST`. Seen live, 500,000. Default: no end to it.
    pub favor_month_limit: Option<i64>,
    /// Appids that are not bound to any merchant: they are refused with 400 `APPID_MCHID_NOT_MATCH`.
    pub favor_unbound_appids: Vec<String>,
    /// Appid that an openid belongs to. One that is not named here belongs to the appid under which it first received
    /// a cash coupon; under any other it is refused with 400 `INVALID_REQUEST`.
    pub favor_openids: BTreeMap<String, String>,
    /// Openids that are refused with 403 `USER_ACCOUNT_ABNORMAL`.
    pub favor_abnormal_users: Vec<String>,
    /// Person behind an openid. Where a stock has `natural_person_limit`, a person counts as one user, and is refused
    /// with 403 `USER_AL_GET_COUPON`. Openids that are not named here are a person each.
    pub favor_persons: BTreeMap<String, String>,
    /// What the offset of lists of the favor family counts. Default: pages.
    pub favor_offset: OffsetUnit,
    /// Whether a list of a user's used cash coupons holds those that can be used too, as was seen. Default false.
    pub favor_used_lists_sent: bool,
    /// Whether queries of a cash coupon show how it was used. It is said that only the notification does; default
    /// false.
    pub favor_show_consumption: bool,
    /// How the answer to a change of goods names its time. Default `pause_time`, as the page prints it.
    pub favor_goods_time: GoodsTime,
    /// What the repeat of a write gets where no document says it, but for creations of merchant coupon stocks.
    /// Default: the first answer.
    pub guessed_repeat: Repeat,
    /// What `offset` counts in lists of merchant coupons, gift activities and partnerships. Default: for each what the
    /// `note` of its schema has decided.
    pub offset_unit: Option<OffsetUnit>,
    /// Appids that are not bound to any merchant: the busifavor family refuses them with 400 `APPID_MCHID_NOT_MATCH`.
    pub busifavor_unbound_appids: Vec<String>,
    /// Openids that the busifavor family refuses with 404 `USER_NOT_EXISTS`.
    pub busifavor_unknown_users: Vec<String>,
    /// Consumption cards that do not exist: sending one answers 404 `RESOURCE_NOT_EXISTS`. All others do.
    pub busifavor_unknown_cards: Vec<String>,
    /// Person behind an openid, for merchant coupon stocks with `natural_person_limit`. Openids that are not named here
    /// are a person each.
    pub busifavor_persons: BTreeMap<String, String>,
    /// Whether a code that was deleted from a pool may be uploaded again; without, it is sorted as existing. Default
    /// true.
    pub busifavor_reupload: bool,
    /// Whether `PATCH` of a merchant coupon stock refuses to change what cannot be changed (name, logo, merchant name,
    /// limit by person); without, it ignores that. Default true.
    pub busifavor_refuse_fixed: bool,
    /// Whether a budget cannot fall below what was handed out already. Default true.
    pub busifavor_budget_floor: bool,
    /// With which codes a gift is refused where a limit or the state of the stock forbids it. Default: the family's.
    pub busifavor_send_refusals: SendRefusals,
    /// Whether the answer to a gift is nested in `send_coupon_result`, as the official models have it. Default true.
    pub busifavor_nested_send: bool,
    /// Whether a used coupon can be returned after its time, and is `EXPIRED` then; without, 403 `RULELIMIT`. Default
    /// true.
    pub busifavor_return_expired: bool,
    /// Seconds in which a subsidy payment or return is `ACCEPTED` before it succeeds or fails. Default 0.
    pub busifavor_subsidy_delay: u32,
    /// Why subsidy payments and returns fail, `INSUFFICIENT_BALANCE` for example. Default: they succeed.
    pub busifavor_subsidy_failure: Option<String>,
    /// State of a product coupon, and of each of its stocks, after its creation. Default: in effect.
    pub product_coupon_first_state: ProductCouponFirstState,
    /// Whether a product coupon can be created only once `set_notify_config` was called, as is documented; else 400
    /// `INVALID_REQUEST`. Default true.
    pub product_coupon_needs_address: bool,
    /// Brands that have not authorised their partner: calls for them answer 403 `NO_AUTH`.
    pub product_coupon_unauthorised_brands: Vec<String>,
    /// Appids that are not bound to the brand: they are refused with 400 `INVALID_REQUEST`.
    pub product_coupon_unbound_appids: Vec<String>,
    /// Openids that the product coupon family cannot read: they are refused with 400 `PARAM_ERROR`.
    pub product_coupon_unknown_users: Vec<String>,
    /// Stores that do not exist: they are sorted as failed.
    pub product_coupon_unknown_stores: Vec<String>,
    /// Most codes that a stock of a product coupon takes; the number is not published. Default: no end to it.
    pub product_coupon_code_limit: Option<u64>,
    /// Whether the return of a subsidy must name a refund that the sandbox has made (act `refund`) of the same order; else
    /// 404 `RESOURCE_NOT_EXISTS`, which is a guess. Without, any refund is taken as one: orders are paid elsewhere, and
    /// so they are refunded elsewhere. Default false.
    pub busifavor_check_refunds: bool,
    /// Whether a gift activity must name stocks of merchant coupons that the sandbox has and that are the caller's; else
    /// 404 `RESOURCE_NOT_EXISTS`. Default true.
    pub paygift_check_stocks: bool,
    /// Appids that are not bound to any merchant: gift activities refuse them with 400 `APPID_MCHID_NOT_MATCH`.
    pub paygift_unbound_appids: Vec<String>,
    /// Whether a partnership must be about a stock that the sandbox has and that is the caller's; else 403 `NO_AUTH`.
    /// Default true.
    pub partnership_check_stocks: bool,
    /// Whether the documented limits of how often operations may be called hold: beyond them, 429. Default false, because
    /// for a clock that stands still a minute never passes, and tests create more stocks in a minute than merchants may.
    pub rate_limits: bool,
    /// Calls of each operation that a merchant may make in a second, beside the documented limits: what is not
    /// published can be tried with it. Default: no end to it.
    pub calls_per_second: Option<u32>,
    /// Uploads of codes that a merchant may make in a second; the number is not published. Default: no end to it.
    pub busifavor_upload_rate: Option<u32>,
    /// Address to which all notifications go, whatever the merchants have set. Default: where they have set.
    pub notify_url: Option<String>,
    /// Whether notifications may go to other machines. Without, only loopback addresses are contacted. Default false.
    pub notify_anywhere: bool,
    /// Seconds between an event and the first attempt to deliver it; nobody says. Default 0.
    pub notify_delay: u32,
    /// Seconds that a receiver may take for its answer. Documented, 5; default 5.
    pub notify_timeout: u32,
    /// How often an event that was accepted is sent again all the same. Default 0.
    pub notify_duplicates: u32,
    /// Whether of several events that are due the newest is sent first. Default: the oldest.
    pub notify_newest_first: bool,
    /// How many of a thousand answers carry a signature probe, which is a signature that must not be believed. Default
    /// 0.
    pub probes_in_answers: u32,
    /// How many of a thousand attempts to deliver a notification carry a signature probe. Default 0.
    pub probes_in_notifications: u32,
}

/// Families that there are.
fn families<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let named = Vec::<String>::deserialize(deserializer)?;
    let mut known: Vec<_> = wechatpay_model::operations().map(wechatpay_model::Spec::family).collect();
    known.dedup();
    match named.iter().find(|family| !known.contains(&family.as_str())) {
        None => Ok(named),
        Some(family) => {
            Err(serde::de::Error::custom(format!("there is no family {family:?}; there are {}", known.join(", "))))
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timestamp_window: 300,
            slow_ms: 500,
            stall_ms: 60_000,
            sign_with: SignWith::PublicKey,
            certificates: true,
            refuse_unknown_merchants: true,
            unopened_families: Vec::new(),
            favor_opened: true,
            favor_first_state: FavorFirstState::Unactivated,
            favor_registration_delay: 0,
            favor_balance: None,
            favor_audience_imported: true,
            busifavor_first_state: BusifavorFirstState::Running,
            busifavor_repeat: Repeat::FirstAnswer,
            busifavor_creating: 0,
            busifavor_code_limit: None,
            busifavor_bad_character: "CHARACTER_LIMIT".to_owned(),
            favor_user_limit: UserLimit::RuleLimit,
            favor_other_senders: OtherSenders::Unsupported,
            favor_sender_value: false,
            favor_month_limit: None,
            favor_unbound_appids: Vec::new(),
            favor_openids: BTreeMap::new(),
            favor_abnormal_users: Vec::new(),
            favor_persons: BTreeMap::new(),
            favor_offset: OffsetUnit::Page,
            favor_used_lists_sent: false,
            favor_show_consumption: false,
            favor_goods_time: GoodsTime::PauseTime,
            guessed_repeat: Repeat::FirstAnswer,
            offset_unit: None,
            busifavor_unbound_appids: Vec::new(),
            busifavor_unknown_users: Vec::new(),
            busifavor_unknown_cards: Vec::new(),
            busifavor_persons: BTreeMap::new(),
            busifavor_reupload: true,
            busifavor_refuse_fixed: true,
            busifavor_budget_floor: true,
            busifavor_send_refusals: SendRefusals::Family,
            busifavor_nested_send: true,
            busifavor_return_expired: true,
            busifavor_subsidy_delay: 0,
            busifavor_subsidy_failure: None,
            product_coupon_first_state: ProductCouponFirstState::Effective,
            product_coupon_needs_address: true,
            product_coupon_unauthorised_brands: Vec::new(),
            product_coupon_unbound_appids: Vec::new(),
            product_coupon_unknown_users: Vec::new(),
            product_coupon_unknown_stores: Vec::new(),
            product_coupon_code_limit: None,
            busifavor_check_refunds: false,
            paygift_check_stocks: true,
            paygift_unbound_appids: Vec::new(),
            partnership_check_stocks: true,
            rate_limits: false,
            calls_per_second: None,
            busifavor_upload_rate: None,
            notify_url: None,
            notify_anywhere: false,
            notify_delay: 0,
            notify_timeout: 5,
            notify_duplicates: 0,
            notify_newest_first: false,
            probes_in_answers: 0,
            probes_in_notifications: 0,
        }
    }
}

/// Which key of the platform signs an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SignWith {
    /// The key named `PUB_KEY_ID_…`.
    PublicKey,
    /// The key of the platform certificate.
    Certificate,
    /// Now one, now the other, whatever a request names: as during a migration.
    Both,
}

/// State of a cash coupon stock after its creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FavorFirstState {
    /// It can be started.
    Unactivated,
    /// It is reviewed first.
    Audit,
}

/// State of a merchant coupon stock after its creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum BusifavorFirstState {
    /// It hands out coupons.
    Running,
    /// It is reviewed first.
    Unaudit,
}

/// State of a product coupon after its creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum ProductCouponFirstState {
    /// In effect: its stocks hand out coupons.
    Effective,
    /// It is reviewed first, and so are its stocks.
    Auditing,
}

/// What the repeat of a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Repeat {
    /// The first answer again.
    FirstAnswer,
    /// 400 `RESOURCE_ALREADY_EXISTS`.
    AlreadyExists,
}

/// How a user at the limit of a stock is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UserLimit {
    /// 403 `RULE_LIMIT`, as was seen.
    RuleLimit,
    /// 403 `REQUEST_BLOCKED`, as is documented.
    RequestBlocked,
}

/// Whether others than its creator may hand out a stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OtherSenders {
    /// The stock is for its creator alone.
    Unsupported,
    /// The stock is for others too, but not for the caller.
    Unauthorised,
    /// All merchants may.
    Allowed,
}

/// What the `offset` of a list counts: the documents contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OffsetUnit {
    /// Pages: the second begins at 1.
    Page,
    /// Items.
    Row,
}

/// Name of the time at which a change of goods takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GoodsTime {
    /// As the page prints it.
    PauseTime,
    /// As the official models have it.
    EffectTime,
}

/// Codes with which a gift of a merchant coupon is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SendRefusals {
    /// `RULELIMIT` and `NOT_ENOUGH`, as elsewhere in the family.
    Family,
    /// The names that the coupon plugin of mini programs has: `NOTRUNNING`, `EXPIRED`, `MAXQUOTA`, `DAYLIMIT`,
    /// `NATURELIMIT`, `NOTENOUGH`.
    Plugin,
}

impl Settings {
    /// These settings with some of them changed.
    ///
    /// # Errors
    /// A sentence that names the setting which does not exist or does not take the value.
    pub fn with(&self, changes: &Value) -> Result<Self, String> {
        let Value::Object(changes) = changes else {
            return Err("settings are a JSON object of name and value; see GET /_sandbox/settings".to_owned());
        };
        let explain = |error: serde_json::Error| format!("settings are left as they were: {error}");
        let mut all = serde_json::to_value(self).map_err(explain)?;
        if let Value::Object(all) = &mut all {
            all.extend(changes.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        serde_json::from_value(all).map_err(explain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn changes_leave_the_rest_alone() {
        let settings = Settings::default().with(&json!({"favor_balance": 500, "sign_with": "certificate"})).unwrap();
        assert_eq!(settings.favor_balance, Some(500));
        assert_eq!(settings.sign_with, SignWith::Certificate);
        let settings = settings.with(&json!({"favor_balance": null})).unwrap();
        assert_eq!(settings.favor_balance, None);
        assert_eq!(settings, Settings { sign_with: SignWith::Certificate, ..Settings::default() });
    }

    #[test]
    fn what_does_not_exist_is_refused_by_name() {
        for (changes, named) in [
            (json!({"favour_balance": 1}), "favour_balance"),
            (json!({"sign_with": "wax"}), "wax"),
            (json!({"unopened_families": ["favour"]}), "there is no family \"favour\"; there are "),
            (json!({"timestamp_window": -1}), "-1"),
            (json!([]), "JSON object"),
        ] {
            let error = Settings::default().with(&changes).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
