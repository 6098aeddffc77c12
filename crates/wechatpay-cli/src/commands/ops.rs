//! `wechatpay ops`

use crate::args::Ops;
use crate::catalog;
use crate::output::{DIM, Output, Result, STRONG};
use serde_json::{Map, Value};
use wechatpay_model::Spec;

/// What a line of `--json` says of an operation; the words are those of its schema.
const KEYS: [&str; 9] = ["id", "method", "path", "title", "title_zh", "body", "query", "idempotency", "errors"];

pub(crate) fn run(args: &Ops, output: &Output) -> Result {
    let specs = catalog::family(args.family.as_deref())?;
    if output.json {
        return specs.into_iter().try_for_each(|spec| output.value(&summary(spec)?));
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

fn summary(spec: &Spec) -> Result<Value> {
    let schema = catalog::schema(spec)?;
    let entry = |key: &str| (key.to_owned(), schema.get(key).cloned().unwrap_or(Value::Null));
    Ok(Value::Object(KEYS.iter().map(|key| entry(key)).collect::<Map<_, _>>()))
}
