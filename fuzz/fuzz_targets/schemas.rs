//! A schema file: the first line is its place, the rest the file. Beside it stand small files that are in order. It is
//! refused with a place and a remedy, or it becomes Rust that can be parsed.
//!
//! xtask is a program, so its modules are taken in here.

#![no_main]
#![allow(dead_code, unused_imports, reason = "the chores of xtask are not all used")]

#[path = "../../xtask/src/catalog.rs"]
mod catalog;
#[path = "../../xtask/src/check/mod.rs"]
mod check;
#[path = "../../xtask/src/codegen.rs"]
mod codegen;
#[path = "../../xtask/src/limits.rs"]
mod limits;
#[path = "../../xtask/src/names.rs"]
mod names;
#[path = "../../xtask/src/readme.rs"]
mod readme;
#[path = "../../xtask/src/rust/mod.rs"]
mod rust;
#[path = "../../xtask/src/schema.rs"]
mod schema;
#[path = "../../xtask/src/source.rs"]
mod source;

use libfuzzer_sys::fuzz_target;
use source::Files;
use wechatpay_fuzz::first_line;

const OPERATION_SCHEMA: &str = "operation.schema.json";
const NOTIFICATION_SCHEMA: &str = "notification.schema.json";

const OPERATION: &str = r#"{
    "id": "favor.start_stock", "title": "Start a stock", "title_zh": "激活批次", "audience": ["merchant"],
    "source": ["https://example.com/start"], "method": "POST", "path": "/v3/start", "body": "json",
    "request": { "type": "object", "properties": {} }, "idempotency": { "kind": "none" }
}"#;

fuzz_target!(|input: &[u8]| {
    let Some((path, text)) = first_line(input) else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let types = r#"{"title": "Cash coupons", "title_zh": "代金券", "definitions": {}}"#;
    let mut files = Files::from([
        ("common.json".to_owned(), r#"{"definitions": {}}"#.to_owned()),
        ("favor/types.json".to_owned(), types.to_owned()),
        ("favor/start_stock.json".to_owned(), OPERATION.to_owned()),
    ]);
    files.insert(path.to_owned(), text.to_owned());
    match codegen::generate(&files) {
        Ok(Ok(generated)) => {
            for (path, text) in generated.files.iter().filter(|(path, _)| path.ends_with(".rs")) {
                assert!(syn::parse_file(text).is_ok(), "{path} is no Rust:\n{text}");
            }
        }
        Ok(Err(problems)) => {
            assert!(!problems.is_empty());
            for problem in &problems {
                assert!(!problem.file.is_empty() && problem.message.contains("; "), "{problem}");
            }
        }
        Err(error) => panic!("the check lets through what the generator does not take: {error:#}"),
    }
});
