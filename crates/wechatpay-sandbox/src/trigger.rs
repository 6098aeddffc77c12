//! Events that are sent because somebody asks for them: nothing has happened, and nothing changes.

use crate::api::Api;
use crate::courier;
use crate::schema::{Form, Violation};
use crate::state::Event;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use wechatpay_model::EventSpec;

/// What is asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    /// Type or id of the event.
    event: String,
    /// Where it goes.
    to: String,
    /// What of the payload is other than in the example of the documents: place and value; `null` takes it away.
    #[serde(default)]
    fields: BTreeMap<String, Value>,
    /// Merchant that it is for; else the first.
    mchid: Option<String>,
    /// Whether a payload is sent that the documents do not allow.
    #[serde(default)]
    unchecked: bool,
}

const FORM: &str = "write {\"event\": \"COUPON.USE\", \"to\": \"http://127.0.0.1:3000/notify\", \"fields\": \
                    {\"stock_id\": \"98065001\"}}; \"mchid\" and \"unchecked\" may stand beside them";

/// Sends an event, and waits for what becomes of the first attempt.
///
/// # Errors
/// What is wrong with the wish; nothing was sent.
pub(crate) async fn trigger(api: &Api, wish: &Value) -> Result<Event, String> {
    let wish = Wish::deserialize(wish).map_err(|error| format!("{error}; {FORM}"))?;
    let spec = wechatpay_model::notifications().find(|spec| [spec.event_type(), spec.id()].contains(&&*wish.event));
    let spec = spec.ok_or_else(|| {
        let known: Vec<_> = wechatpay_model::notifications().map(EventSpec::event_type).collect();
        format!("there is no event {:?}; there are {}", wish.event, known.join(", "))
    })?;
    let payload = payload(spec, &wish)?;
    let mut carried = api.signals.subscribe();
    let id = send(api, spec, &wish, payload)?;
    loop {
        match api.world().state.outbox.find(&id) {
            None => return Err("the sandbox was reset before the event was sent".to_owned()),
            Some(event) if !event.attempts.is_empty() => return Ok(event.clone()),
            Some(_) => {}
        }
        carried.changed().await.map_err(|_| "the sandbox has ended".to_owned())?;
    }
}

/// Puts an event on its way; names it.
fn send(api: &Api, spec: &'static EventSpec, wish: &Wish, payload: Value) -> Result<String, String> {
    let mut guard = api.world();
    let world = &mut *guard;
    courier::destination(&wish.to, world.settings.notify_anywhere).map_err(|reason| format!("\"to\": {reason}"))?;
    let merchant = match &wish.mchid {
        Some(mchid) => {
            api.keys.caller(mchid).ok_or_else(|| format!("the sandbox has no merchant or brand {mchid:?}"))?
        }
        None => api.keys.merchants().next().ok_or("the sandbox has no merchant")?,
    };
    let (id, now) = (world.ambient.uuid(), world.ambient.now());
    let event = Event::new(spec, id.clone(), now, &merchant.mchid, payload).addressed(Some(&wish.to));
    world.state.outbox.send(event, now);
    world.ring();
    Ok(id)
}

/// The first example of the documents, with what is wished to be other.
fn payload(spec: &'static EventSpec, wish: &Wish) -> Result<Value, String> {
    let form = Form::of_payload(spec.schema()).map_err(|error| format!("schema of {}: {error}", spec.id()))?;
    let mut payload = form.example("payload").cloned().unwrap_or_default();
    for (name, value) in &wish.fields {
        set(&form, &mut payload, name, value.clone())?;
    }
    let mut violations = form.violations(&payload);
    violations.retain(|violation| !is_blank(&form, &payload, violation));
    if wish.unchecked || violations.is_empty() {
        return Ok(payload);
    }
    let list: Vec<_> = violations.iter().map(|violation| format!("{} {}", violation.at, violation.issue)).collect();
    Err(format!(
        "{} does not look like that: {}; \"unchecked\": true sends it all the same",
        spec.event_type(),
        list.join("; ")
    ))
}

/// Whether it is an empty text that stands for what is absent, as events really have it.
fn is_blank(form: &Form, payload: &Value, violation: &Violation) -> bool {
    let place = violation.at.split('/').skip(1).try_fold(form.root(), |schema, step| form.below(schema, step));
    place.is_some_and(|schema| schema.get("x-blank") == Some(&Value::Bool(true)))
        && payload.pointer(&violation.at).and_then(Value::as_str) == Some("")
}

/// Sets the value at `a.b.0` or `/a/b/0`. A text becomes what the schema wants there, if it can.
fn set(form: &Form, payload: &mut Value, name: &str, value: Value) -> Result<(), String> {
    let steps: Vec<String> = match name.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect(),
        None => name.split('.').map(str::to_owned).collect(),
    };
    let (mut at, mut schema) = (payload, Some(form.root()));
    for (index, step) in steps.iter().enumerate() {
        if value.is_null()
            && index + 1 == steps.len()
            && let Value::Object(fields) = at
        {
            fields.remove(step);
            return Ok(());
        }
        schema = schema.and_then(|schema| form.below(schema, step));
        at = descend(at, step).ok_or_else(|| {
            format!("{name:?} has no place for {step:?}: an array takes an index up to its length, an object a name")
        })?;
        if at.is_null() && schema.is_some_and(|schema| form.type_of(schema) == Some("array")) {
            *at = Value::Array(Vec::new());
        }
    }
    *at = typed(schema.and_then(|schema| form.type_of(schema)), value);
    Ok(())
}

/// The member or item of this name; made if it is not there, `None` if it cannot be.
fn descend<'a>(at: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    if let Value::Array(items) = at {
        let index: usize = step.parse().ok()?;
        if index == items.len() {
            items.push(Value::Null);
        }
        return items.get_mut(index);
    }
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    at.as_object_mut().map(|fields| fields.entry(step).or_insert(Value::Null))
}

fn typed(wanted: Option<&str>, value: Value) -> Value {
    match (wanted, &value) {
        (None | Some("string"), _) => value,
        (Some(_), Value::String(text)) => serde_json::from_str(text).unwrap_or(value),
        (Some(_), _) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::events;
    use serde_json::json;

    fn made(fields: Value, unchecked: bool) -> Result<Value, String> {
        let fields = serde_json::from_value(fields).unwrap();
        let wish = Wish { event: String::new(), to: String::new(), fields, mchid: None, unchecked };
        payload(events::spec("COUPON.USE").unwrap(), &wish)
    }

    #[test]
    fn fields_are_set_where_they_are_named() {
        let made = made(
            json!({
                "stock_id": "98065001",
                "no_cash": "false",
                "/normal_coupon_information/coupon_amount": 7,
                "consume_information.goods_detail.0.quantity": "3",
                "consume_information.goods_detail.1": {"goods_id": "b", "quantity": 1, "price": 1, "discount_amount": 1},
                "discount_to": null,
            }),
            false,
        );
        let made = made.unwrap();
        assert_eq!((&made["stock_id"], &made["no_cash"]), (&json!("98065001"), &json!(false)), "each as its type");
        assert_eq!(made["normal_coupon_information"]["coupon_amount"], 7);
        let goods = &made["consume_information"]["goods_detail"];
        assert_eq!((&goods[0]["quantity"], &goods[1]["goods_id"]), (&json!(3), &json!("b")));
        assert!(made.get("discount_to").is_none() && made.get("coupon_id").is_some());
    }

    #[test]
    fn what_no_event_looks_like_is_named_and_can_be_sent_all_the_same() {
        for (fields, named) in [
            (json!({"stok_id": "1"}), "/stok_id"),
            (json!({"no_cash": "maybe"}), "/no_cash"),
            (json!({"coupon_id": null}), "/coupon_id"),
            (json!({"create_time": "yesterday"}), "/create_time"),
        ] {
            let error = made(fields.clone(), false).unwrap_err();
            assert!(error.contains(named), "{error}");
            assert!(made(fields, true).is_ok());
        }
        let error = made(json!({"consume_information.goods_detail.7": {}}), true).unwrap_err();
        assert!(error.contains("goods_detail.7"), "{error}");
    }

    #[test]
    fn an_empty_text_stands_for_what_is_absent_where_it_really_does() {
        let fields: BTreeMap<String, Value> =
            [("attach_info".to_owned(), json!("")), ("openid".to_owned(), json!(""))].into();
        let wish = Wish { event: String::new(), to: String::new(), fields, mchid: None, unchecked: false };
        let made = payload(events::spec("COUPON.SEND").unwrap(), &wish).unwrap();
        assert_eq!((&made["attach_info"], &made["openid"]), (&json!(""), &json!("")));
    }
}
