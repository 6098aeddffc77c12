//! The body of an upload: the first line is its `Content-Type`, the rest the body. And the other way round: a file that
//! the protocol packs is unpacked to the byte.
//!
//! The reader is a private module of the sandbox, so it is taken in here.

#![no_main]

#[path = "../../crates/wechatpay-sandbox/src/multipart.rs"]
mod multipart;

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use wechatpay_fuzz::{NOW, first_line};
use wechatpay_model::Operation as _;
use wechatpay_model::favor::UploadImage;
use wechatpay_protocol::check::Context;
use wechatpay_protocol::request::{File, prepare_upload};

const BOUNDARY: &str = "wechatpay-7d0ef7a4a3c94e0b8f1c2d5e6a9b3c41";

fuzz_target!(|input: &[u8]| {
    let Some((kind, body)) = first_line(input) else { return };
    if let Some(boundary) = multipart::boundary(kind, body)
        && let Ok(multipart::Upload { meta, file }) = multipart::parse(boundary.text, body)
    {
        let delimiter = format!("\r\n--{}", boundary.text);
        for part in [meta, file] {
            assert!(!part.windows(delimiter.len()).any(|window| window == delimiter.as_bytes()));
            assert!(body.windows(part.len().max(1)).any(|window| window == part) || part.is_empty());
        }
    }
    let meta = json!({"filename": "a.png", "sha256": "a".repeat(64)});
    let context = Context { now: NOW, mchid: "1900000109" };
    let packed = prepare_upload(UploadImage::SPEC, meta.clone(), File { name: kind, bytes: body }, &context);
    let held = body.windows(BOUNDARY.len()).any(|window| window == BOUNDARY.as_bytes());
    match packed {
        Ok(prepared) => {
            assert!(!held);
            let unpacked = multipart::parse(BOUNDARY, prepared.body()).expect("it was packed so");
            assert_eq!(unpacked.file, body);
            assert_eq!(unpacked.meta, meta.to_string().as_bytes());
        }
        Err(invalid) => assert!(held, "{invalid}"),
    }
});
