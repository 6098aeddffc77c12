//! Pictures: uploaded, or made from what a brand says. They are looked at and not kept.

use super::{Call, Owner, not_there, once};
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::state::Event;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wechatpay_model::operation::Payload;
use wechatpay_model::product_coupon::ImageGeneration;

/// Most bytes of a picture.
const LARGEST: usize = 2 << 20;

/// A picture that is made.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    kind: String,
    url: String,
}

impl Task {
    fn show(&self, owner: &Owner, task_id: &str) -> Value {
        let result = if self.kind == "CUT_OUT" { "cut_out_result" } else { "combine_image_result" };
        let mut shown = json!({
            "task_id": task_id,
            "image_generation_type": self.kind,
            "task_state": "SUCCESS",
            result: {"image_url": self.url},
        });
        if let Some(shown) = shown.as_object_mut() {
            owner.show(shown);
        }
        shown
    }
}

pub(super) fn upload(call: &mut Call<'_>) -> Outcome {
    let name = call.text("filename").to_ascii_lowercase();
    if ![".jpg", ".jpeg", ".bmp", ".png"].iter().any(|ending| name.ends_with(ending)) {
        let why = "a picture ends in .jpg, .bmp or .png";
        return Err(Answer::refuse(400, "PARAM_ERROR", "参数错误", Basis::Guess, why));
    }
    if call.file.is_empty() || call.file.len() > LARGEST {
        let why = "a picture has 1 byte to 2 MB";
        return Err(Answer::refuse(400, "PARAM_ERROR", "图片超过指定大小", Basis::Guess, why));
    }
    // The digest was compared with the file: the same picture has the same address.
    let url = address(&call.text("sha256").to_ascii_lowercase());
    Ok(Answer::ok(json!({"image_url": url}), Basis::Documented, "the picture has an address, where nothing is"))
}

fn address(name: &str) -> String {
    format!("https://wxpaylogo.qpic.cn/wxpaylogo/{name}/0")
}

pub(super) fn create_task(call: &mut Call<'_>) -> Outcome {
    once(call, |call| {
        let (owner, task_id) = (Owner::of(call)?, call.text("task_id"));
        let task = Task { kind: call.text("image_generation_type"), url: address(&call.ambient.letters(32)) };
        let addresses = &call.state.product_coupon.addresses;
        let address = addresses.get(call.caller).map(|address| address.url.as_str());
        let payload = task.show(&owner, &task_id);
        let event = Event::new(ImageGeneration::EVENT, call.ambient.uuid(), call.now, call.caller, payload);
        call.state.outbox.push(event.addressed(address), call.settings, call.now);
        let mut body = json!({"task_id": task_id});
        if let Some(body) = body.as_object_mut() {
            owner.show(body);
        }
        call.state.product_coupon.tasks.insert((owner, task_id), task);
        Ok(Answer::ok(body, Basis::Documented, "the picture is made at once, and shows nothing"))
    })
}

pub(super) fn get_task(call: &mut Call<'_>) -> Outcome {
    let (owner, task_id) = (Owner::of(call)?, call.text("task_id"));
    let kind = call.text("image_generation_type");
    let key = (owner, task_id);
    match call.state.product_coupon.tasks.get(&key).filter(|task| task.kind == kind) {
        Some(task) => Ok(Answer::ok(task.show(&key.0, &key.1), Basis::Documented, "the picture is made")),
        None => Err(not_there("the caller has no such task of this type")),
    }
}
