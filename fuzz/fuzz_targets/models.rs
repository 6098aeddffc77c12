//! Every type that reads JSON: requests, answers, payloads. The first line names one. What is read is written again,
//! and what was written reads as the same; a field that nobody knows changes nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wechatpay_fuzz::first_line;
use wechatpay_model::{Operation, Payload};

fuzz_target!(|input: &[u8]| {
    let Some((name, json)) = first_line(input) else { return };
    macro_rules! operation {
        ($operation:ty) => {
            if <$operation>::SPEC.id() == name {
                check::<<$operation as Operation>::Response>(json, true);
                check::<$operation>(json, false);
            }
        };
    }
    macro_rules! payload {
        ($payload:ty) => {
            if <$payload>::EVENT_TYPE == name {
                check::<$payload>(json, true);
            }
        };
    }
    wechatpay_model::for_each_operation!(operation);
    wechatpay_model::for_each_payload!(payload);
});

fn check<T: Serialize + DeserializeOwned>(json: &[u8], lenient: bool) {
    let Ok(value) = serde_json::from_slice::<T>(json) else { return };
    let written = serde_json::to_string(&value).expect("what was read can be written");
    let again: T = serde_json::from_str(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
    assert_eq!(serde_json::to_string(&again).expect("and again"), written);
    if lenient && let Ok(Value::Object(mut fields)) = serde_json::from_slice(json) {
        // Where a key stands twice the last one counts for this reader, and the type has refused it or knows it not.
        fields.insert("field_of_tomorrow".to_owned(), Value::Null);
        let more: T = serde_json::from_value(Value::Object(fields)).unwrap_or_else(|error| panic!("{error}"));
        if !has_duplicates(json) {
            assert_eq!(serde_json::to_string(&more).expect("JSON"), written);
        }
    }
}

/// Whether a key may stand twice: an object that is read and written has lost something then.
fn has_duplicates(json: &[u8]) -> bool {
    let keys = |text: &[u8]| text.windows(2).filter(|two| two == b"\":").count();
    let value: Value = serde_json::from_slice(json).unwrap_or_default();
    let packed: Vec<u8> = json.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    keys(&packed) != keys(value.to_string().as_bytes())
}
