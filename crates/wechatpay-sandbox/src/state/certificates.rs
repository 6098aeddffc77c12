//! The platform certificates, sealed with the APIv3 key of the merchant that asks.

use super::{Act, Call};
use crate::ambient::time_text;
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

pub(super) const ACTS: &[Act] = &[Act::new("certificates.list", list)];

const ASSOCIATED_DATA: &str = "certificate";

fn list(call: &mut Call<'_>) -> Outcome {
    if !call.settings.certificates {
        let why = "this merchant has the public key only (setting)";
        return Err(Answer::refuse(404, "RESOURCE_NOT_EXISTS", "无可用的平台证书", Basis::Observed, why));
    }
    if call.text("algorithm_type") == "SM2" {
        return Ok(Answer::ok(json!({"data": []}), Basis::Guess, "the sandbox has no SM2 certificate"));
    }
    let merchant = call.keys.merchant(call.caller);
    let mut data = Vec::new();
    for platform in call.keys.platforms() {
        let nonce = call.ambient.letters(12);
        let sealed = merchant
            .and_then(|merchant| merchant.seal(nonce.as_bytes(), ASSOCIATED_DATA.as_bytes(), platform.pem.as_bytes()));
        let Some(sealed) = sealed else {
            return Err(Answer::own(500, "the certificate could not be sealed".to_owned()));
        };
        data.push(json!({
            "serial_no": platform.key.id,
            "effective_time": time_text(platform.not_before),
            "expire_time": time_text(platform.not_after),
            "encrypt_certificate": {
                "algorithm": "AEAD_AES_256_GCM",
                "nonce": nonce,
                "associated_data": ASSOCIATED_DATA,
                "ciphertext": STANDARD.encode(sealed),
            },
        }));
    }
    Ok(Answer::ok(json!({ "data": data }), Basis::Documented, "the platform certificates, sealed with the APIv3 key"))
}
