//! Where merchants want to be told that a coupon was used.

use super::{Call, NOT_YOURS, no_merchant};
use crate::ambient::time_text;
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The address of a merchant.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Callback {
    url: String,
    on: bool,
}

impl Callback {
    /// Where notifications go, unless they are switched off.
    pub(super) fn address(&self) -> Option<&str> {
        self.on.then_some(self.url.as_str())
    }
}

/// The merchant that a call names; it is the caller.
fn merchant(call: &Call<'_>) -> Outcome<String> {
    let mchid = call.text("mchid");
    if !call.knows(&mchid) {
        return Err(no_merchant(call, "mchid"));
    }
    if mchid != call.caller {
        let why = "the address is another merchant's";
        return Err(Answer::refuse(403, "REQUEST_BLOCKED", NOT_YOURS, Basis::Guess, why));
    }
    Ok(mchid)
}

pub(super) fn set(call: &mut Call<'_>) -> Outcome {
    let mchid = merchant(call)?;
    let url = call.text("notify_url");
    // Left out, it is on: who sets an address wants it used.
    let on = call.request.get("switch").and_then(Value::as_bool).unwrap_or(true);
    let body = json!({"update_time": time_text(call.now), "notify_url": url});
    call.state.favor.callbacks.insert(mchid, Callback { url, on });
    Ok(Answer::ok(body, Basis::Documented, "the address is set"))
}

pub(super) fn get(call: &mut Call<'_>) -> Outcome {
    let mchid = merchant(call)?;
    match call.state.favor.callbacks.get(&mchid) {
        Some(callback) => {
            let body = json!({"mchid": mchid, "notify_url": callback.url});
            Ok(Answer::ok(body, Basis::Documented, "the address that is set"))
        }
        None => {
            let message = "回调地址未设置";
            Err(Answer::refuse(404, "RESOURCE_NOT_EXISTS", message, Basis::Guess, "no address is set"))
        }
    }
}
