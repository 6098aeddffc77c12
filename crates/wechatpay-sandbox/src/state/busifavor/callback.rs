//! Where notifications about merchant coupons go.

use super::{Call, no_merchant, not_found};
use crate::ambient::time_text;
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::state::address_basis;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// An address that was set.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Callback {
    pub(super) url: String,
    /// Who set it.
    by: String,
}

/// The merchant that the request is about.
fn merchant(call: &Call<'_>) -> Outcome<String> {
    let named = call.text("mchid");
    if named.is_empty() {
        Ok(call.caller.to_owned())
    } else if call.knows(&named) {
        Ok(named)
    } else {
        Err(no_merchant("mchid is no merchant of the sandbox"))
    }
}

pub(super) fn set(call: &mut Call<'_>) -> Outcome {
    let (mchid, url) = (merchant(call)?, call.text("notify_url"));
    let basis = match address_basis(&url, call.settings) {
        // Nobody says for which others a merchant may set it.
        Ok(Basis::Documented) if mchid != call.caller => Basis::Guess,
        Ok(basis) => basis,
        Err(why) => return Err(Answer::refuse(400, "PARAM_ERROR", "通知地址必须为 https", Basis::Guess, why)),
    };
    call.state.busifavor.callbacks.insert(mchid.clone(), Callback { url: url.clone(), by: call.caller.to_owned() });
    let body = json!({"update_time": time_text(call.now), "notify_url": url, "mchid": mchid});
    Ok(Answer::ok(body, basis, "the address is set"))
}

pub(super) fn get(call: &mut Call<'_>) -> Outcome {
    let mchid = merchant(call)?;
    let set = call.state.busifavor.callbacks.get(&mchid).filter(|callback| callback.by == call.caller);
    let Some(callback) = set else { return Err(not_found("the caller has set no address for this merchant")) };
    Ok(Answer::ok(json!({"notify_url": callback.url, "mchid": mchid}), Basis::Documented, "the address as it was set"))
}
