//! The types of an operation, found by its id.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wechatpay_model::Operation;

/// Asserts that the type of the operation's answer reads this one, and writes it again; and likewise the type of the
/// request.
pub fn assert_typed(id: &str, request: &Value, answer: &Value) {
    macro_rules! each {
        ($operation:ty) => {
            if <$operation>::SPEC.id() == id {
                same::<$operation>(id, request);
                same::<<$operation as Operation>::Response>(id, answer);
                return;
            }
        };
    }
    wechatpay_model::for_each_operation!(each);
    panic!("no operation is called {id}");
}

fn same<T: Serialize + DeserializeOwned>(id: &str, value: &Value) {
    let typed: T = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{id}: {error} in {value}"));
    let (mut again, mut value) = (serde_json::to_value(&typed).expect("JSON"), value.clone());
    without_empty_lists(&mut again);
    without_empty_lists(&mut value);
    assert_eq!(again, value, "{id}");
}

/// An empty list is absence.
fn without_empty_lists(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| field.as_array().is_none_or(|items| !items.is_empty()));
            fields.values_mut().for_each(without_empty_lists);
        }
        Value::Array(items) => items.iter_mut().for_each(without_empty_lists),
        _ => {}
    }
}
