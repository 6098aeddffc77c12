//! Where notifications about merchant coupons go.

use super::{Call, guessed, no_merchant, not_found};
use crate::ambient::time_text;
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use http::Uri;
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
    // Nobody says for which others a merchant may set it.
    let mut basis = if mchid == call.caller { Basis::Documented } else { Basis::Guess };
    let uri = url.parse::<Uri>().ok();
    match uri.as_ref().map(|uri| (uri.scheme_str(), uri.host())) {
        Some((Some("https"), Some(_))) => {}
        // Here events go to programs on the same machine.
        Some((Some("http"), Some("127.0.0.1" | "localhost" | "[::1]"))) => basis = Basis::Sandbox,
        _ => return Err(guessed(400, "PARAM_ERROR", "通知地址必须为 https", "notify_url is no https address")),
    }
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
