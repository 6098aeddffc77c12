//! `wechatpay call`

mod all;

use crate::args::Call;
use crate::catalog;
use crate::config::{self, Account, Caller};
use crate::input::{self, Upload};
use crate::output::{Failure, Operation, Output, Result};
use crate::wire::{self, Way};
use serde_json::{Map, Value, json};
use std::time::Instant;
use wechatpay_model::Spec;
use wechatpay_model::operation::Body;
use wechatpay_protocol::check::Context;
use wechatpay_protocol::request::{self, Authorization};
use wechatpay_protocol::{Error, File, Stamp, Stamper, SystemStamper};

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
    let upload = upload(args, spec, &mut arguments)?;
    if args.dry_run {
        return dry_run(args, spec, arguments, upload.as_ref(), output);
    }
    let way = Way { backend: args.wire.backend, attempts: args.repeat.retry, output: *output };
    if args.all {
        return all::run(&args.account, way, spec, arguments);
    }
    let account = Account::load(&args.account)?;
    let operation = Operation::known(spec);
    let begun = Instant::now();
    let reply = wire::exchange(account, way, &operation, |client| {
        let (upload, operation) = (&upload, &operation);
        async move {
            let sent = match upload {
                Some(upload) => client.call_upload(spec, arguments, file(upload)).await,
                None => client.call(spec, arguments).await,
            };
            sent.map_err(|error| operation.failed(error))
        }
    })?;
    output.reply(&operation, &reply, begun.elapsed().as_millis())
}

/// The file that goes with the request, if the operation takes one.
fn upload(args: &Call, spec: &Spec, arguments: &mut Value) -> Result<Option<Upload>> {
    match (spec.body(), &args.file) {
        (Body::Multipart, Some(path)) => Upload::read(path, spec.request(), arguments).map(Some),
        (Body::Multipart, None) => Err(Failure::Usage(format!("{} takes a file: name it with --file", spec.id()))),
        (_, Some(_)) => Err(Failure::Usage(format!("{} takes no file; leave --file out", spec.id()))),
        (_, None) => Ok(None),
    }
}

fn file(upload: &Upload) -> File<'_> {
    File { name: &upload.name, bytes: &upload.bytes }
}

/// Prints the request that a call would send, but for its signature.
fn dry_run(args: &Call, spec: &'static Spec, arguments: Value, upload: Option<&Upload>, output: &Output) -> Result {
    let (base, caller) = config::sender(&args.account)?;
    let by_brand = matches!(caller, Caller::Brand(_));
    let context = Context { now: SystemStamper.now(), mchid: &caller.into_id() };
    let failed = |error| Operation::known(spec).failed(error);
    let prepared = match upload.map(file) {
        file if by_brand => request::prepare_as_brand(spec, arguments.clone(), file, &context),
        Some(file) => request::prepare_upload(spec, arguments.clone(), file, &context),
        None => request::prepare(spec, arguments.clone(), &context),
    };
    let prepared = prepared.map_err(|invalid| failed(Error::Invalid(invalid)))?;
    let nobody = Authorization { scheme: "", mchid: "", serial_no: "" };
    let stamp = Stamp { timestamp: 0, nonce: String::new() };
    let request =
        prepared.sign_with(&base, &nobody, None, &stamp, &[]).map_err(|error| failed(Error::Signing(error.into())))?;
    let mut shown = json!({ "method": request.method().as_str(), "url": request.uri().to_string() });
    if let Some(shown) = shown.as_object_mut() {
        if let Some(upload) = upload {
            shown.insert("body".to_owned(), arguments);
            shown.insert("file".to_owned(), json!({ "name": upload.name, "bytes": upload.bytes.len() }));
        } else if let Ok(body) = serde_json::from_slice::<Value>(request.body()) {
            shown.insert("body".to_owned(), body);
        }
    }
    if !output.json {
        output.hint(format_args!("{}: the request is valid; nothing was sent", spec.id()));
    }
    output.value(&shown)
}
