//! `wechatpay ops`

use crate::args::Ops;
use crate::catalog;
use crate::output::{DIM, Output, Result, STRONG};
use serde_json::{Map, Value};
use wechatpay_model::{EventSpec, Spec, notifications};

/// What a line of `--json` says of an operation; the words are those of its schema.
const KEYS: &[&str] = &["id", "method", "path", "title", "title_zh", "body", "query", "idempotency", "errors"];

/// What it says of a notification.
const EVENT_KEYS: &[&str] = &["id", "event_type", "original_type", "title", "title_zh", "delivery"];

pub(crate) fn run(args: &Ops, output: &Output) -> Result {
    let specs = catalog::family(args.family.as_deref())?;
    if args.notifications {
        return events(args.family.as_deref(), output);
    }
    if output.json {
        return specs.into_iter().try_for_each(|spec| output.value(&summary(spec.id(), spec.schema(), KEYS)?));
    }
    let widest = |width: fn(&Spec) -> usize| specs.iter().map(|spec| width(spec)).max().unwrap_or(0);
    let (id, path) = (widest(|spec| spec.id().len()), widest(|spec| spec.path().len()));
    specs.iter().try_for_each(|spec| {
        let method = spec.method().as_str();
        output.line(format_args!(
            "{STRONG}{:id$}{STRONG:#}  {DIM}{method:6}{DIM:#} {:path$}  {}",
            spec.id(),
            spec.path(),
            spec.title(),
        ))
    })
}

fn events(family: Option<&str>, output: &Output) -> Result {
    let of_family = |event: &&EventSpec| family.is_none_or(|family| event.id().split('.').next() == Some(family));
    let events: Vec<_> = notifications().filter(of_family).collect();
    if output.json {
        return events
            .into_iter()
            .try_for_each(|event| output.value(&summary(event.id(), event.schema(), EVENT_KEYS)?));
    }
    let widest = |width: fn(&EventSpec) -> usize| events.iter().map(|event| width(event)).max().unwrap_or(0);
    let (kind, id) = (widest(|event| event.event_type().len()), widest(|event| event.id().len()));
    events.iter().try_for_each(|event| {
        output.line(format_args!(
            "{STRONG}{:kind$}{STRONG:#}  {DIM}{:id$}{DIM:#}  {}",
            event.event_type(),
            event.id(),
            event.title(),
        ))
    })
}

fn summary(id: &str, schema: &str, keys: &[&str]) -> Result<Value> {
    let schema: Value = catalog::schema(id, schema)?;
    let entry = |key: &&str| ((*key).to_owned(), schema.get(*key).cloned().unwrap_or(Value::Null));
    Ok(Value::Object(keys.iter().map(entry).collect::<Map<_, _>>()))
}
