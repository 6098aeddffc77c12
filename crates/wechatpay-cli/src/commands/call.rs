//! `wechatpay call`

use crate::args::Call;
use crate::catalog;
use crate::config::{self, Account};
use crate::input;
use crate::output::{Failure, Operation, Output, Result};
use crate::wire;
use serde_json::{Map, Value, json};
use std::time::Instant;
use wechatpay_model::Spec;
use wechatpay_protocol::check::Context;
use wechatpay_protocol::request::{self, Authorization};
use wechatpay_protocol::{Error, Stamp, Stamper, SystemStamper};

pub(crate) fn run(args: &Call, output: &Output) -> Result {
    let spec = catalog::operation(&args.id)?;
    let (document, fields) = input::split(&args.arguments)?;
    let mut arguments = match document {
        Some(name) => input::read_json(name, output)?,
        None => Value::Object(Map::new()),
    };
    for (name, text) in fields {
        input::set(spec.request(), &mut arguments, name, text)?;
    }
    if args.dry_run {
        return dry_run(args, spec, arguments, output);
    }
    let account = Account::load(&args.account)?;
    let operation = Operation::known(spec);
    let begun = Instant::now();
    let reply =
        wire::exchange(
            account,
            args.wire.backend,
            &operation,
            |client| async move { client.call(spec, arguments).await },
        )?;
    output.reply(&operation, &reply, begun.elapsed().as_millis())
}

/// Prints the request that a call would send, but for its signature.
fn dry_run(args: &Call, spec: &'static Spec, arguments: Value, output: &Output) -> Result {
    let (base, mchid) = config::sender(&args.account)?;
    let context = Context { now: SystemStamper.now(), mchid: &mchid };
    let failed = |error| Failure::Call { operation: Operation::known(spec), error: Box::new(error) };
    let prepared = request::prepare(spec, arguments, &context).map_err(|invalid| failed(Error::Invalid(invalid)))?;
    let nobody = Authorization { scheme: "", mchid: "", serial_no: "" };
    let stamp = Stamp { timestamp: 0, nonce: String::new() };
    let request =
        prepared.sign_with(&base, &nobody, None, &stamp, &[]).map_err(|error| failed(Error::Signing(error.into())))?;
    let mut shown = json!({ "method": request.method().as_str(), "url": request.uri().to_string() });
    if let (Ok(body), Some(shown)) = (serde_json::from_slice::<Value>(request.body()), shown.as_object_mut()) {
        shown.insert("body".to_owned(), body);
    }
    if !output.json {
        output.hint(format_args!("{}: the request is valid; nothing was sent", spec.id()));
    }
    output.value(&shown)
}
