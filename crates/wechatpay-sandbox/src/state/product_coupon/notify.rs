//! Where partners and brands want to be told about coupons.

use super::{Call, not_there};
use crate::ambient::time_text;
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::state::address_basis;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An address that was set: one for all brands of a caller.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Address {
    pub(super) url: String,
    set: i64,
}

impl Address {
    fn show(&self) -> Value {
        json!({"notify_url": self.url, "update_time": time_text(self.set)})
    }
}

pub(super) fn set(call: &mut Call<'_>) -> Outcome {
    let url = call.text("notify_url");
    let basis = address_basis(&url, call.settings)
        .map_err(|why| Answer::refuse(400, "PARAM_ERROR", "参数错误", Basis::Guess, why))?;
    let address = Address { url, set: call.now };
    let body = address.show();
    call.state.product_coupon.addresses.insert(call.caller.to_owned(), address);
    Ok(Answer::ok(body, basis, "the address is set, for all brands of the caller"))
}

pub(super) fn get(call: &mut Call<'_>) -> Outcome {
    match call.state.product_coupon.addresses.get(call.caller) {
        Some(address) => Ok(Answer::ok(address.show(), Basis::Documented, "the address as it was set")),
        None => Err(not_there("the caller has set no address")),
    }
}
