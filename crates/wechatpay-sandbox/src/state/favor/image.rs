//! Pictures for coupons. They are looked at and not kept.

use super::Call;
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use serde_json::json;

/// Most bytes of a picture.
const LARGEST: usize = 2 << 20;

pub(super) fn upload(call: &mut Call<'_>) -> Outcome {
    let name = call.text("filename").to_ascii_lowercase();
    let refuse = |why| Err(Answer::refuse(400, "PARAM_ERROR", "参数错误", Basis::Guess, why));
    if ![".jpg", ".jpeg", ".bmp", ".png"].iter().any(|ending| name.ends_with(ending)) {
        return refuse("a picture ends in .jpg, .bmp or .png");
    }
    if call.file.is_empty() || call.file.len() > LARGEST {
        return refuse("a picture has 1 byte to 2 MB");
    }
    // The digest was compared with the file: the same picture has the same address.
    let digest = call.text("sha256").to_ascii_lowercase();
    let url = format!("https://wxpaylogo.qpic.cn/wxpaylogo/{digest}/0");
    Ok(Answer::ok(json!({"media_url": url}), Basis::Documented, "the picture has an address, where nothing is"))
}
