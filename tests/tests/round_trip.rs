//! JSON → type → JSON is the same for everything that a schema allows, and for what is read in place of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use wechatpay_model::operation::Answer;
use wechatpay_model::{Operation, Payload};
use wechatpay_tests::generate::{Pair, Schema, runner};

/// Values of each type.
const CASES: u32 = 100;

fn round_trip<T: Serialize + DeserializeOwned>(what: &str, values: &BoxedStrategy<Pair>) {
    let outcome = runner(CASES).run(values, |(read, written)| {
        let fail = |error: serde_json::Error| TestCaseError::fail(format!("{error} in {read}"));
        let typed: T = serde_json::from_str(&read.to_string()).map_err(fail)?;
        let again = serde_json::to_string(&typed).map_err(fail)?;
        let again: serde_json::Value = serde_json::from_str(&again).map_err(fail)?;
        prop_assert_eq!(again, written);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
}

fn operation<O: Operation<Response: Serialize> + DeserializeOwned>(seen: &mut BTreeSet<&str>) {
    let schema = Schema::new(O::SPEC.schema());
    assert!(seen.insert(O::SPEC.id()), "{} twice", O::SPEC.id());
    round_trip::<O>(O::SPEC.id(), &schema.requests());
    match schema.answers() {
        Some(answers) => round_trip::<O::Response>(&format!("answer of {}", O::SPEC.id()), &answers),
        None => assert_eq!(O::SPEC.answer(), Answer::Empty, "{}", O::SPEC.id()),
    }
}

#[test]
fn every_request_and_answer_is_written_as_it_was_read() {
    let mut seen = BTreeSet::new();
    macro_rules! each {
        ($operation:ty) => {
            operation::<$operation>(&mut seen);
        };
    }
    wechatpay_model::for_each_operation!(each);
    let all: BTreeSet<_> = wechatpay_model::operations().map(|spec| spec.id()).collect();
    assert_eq!(seen, all);
}

fn payload<P: Payload + Serialize>(seen: &mut BTreeSet<&str>) {
    assert!(seen.insert(P::EVENT.id()), "{} twice", P::EVENT.id());
    round_trip::<P>(P::EVENT.id(), &Schema::new(P::EVENT.schema()).payloads().expect("a payload"));
}

#[test]
fn every_payload_is_written_as_it_was_read() {
    let mut seen = BTreeSet::new();
    macro_rules! each {
        ($payload:ty) => {
            payload::<$payload>(&mut seen);
        };
    }
    wechatpay_model::for_each_payload!(each);
    let all: BTreeSet<_> = wechatpay_model::notifications().map(|event| event.id()).collect();
    assert_eq!(seen, all);
}
