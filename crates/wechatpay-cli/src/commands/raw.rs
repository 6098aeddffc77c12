//! `wechatpay raw`

use crate::args::Raw;
use crate::config::Account;
use crate::input;
use crate::output::{Operation, Output, Result};
use crate::wire::{self, Way};
use http::Method;
use std::time::Instant;

pub(crate) fn run(args: &Raw, output: &Output) -> Result {
    let body = args.body.as_deref().map(|name| input::read_json(name, output)).transpose()?;
    let account = Account::load(&args.account)?;
    let method = Method::from(args.method);
    let operation = Operation::raw(&method, &args.path);
    let begun = Instant::now();
    let way = Way { backend: args.wire.backend, attempts: args.repeat.retry, output: *output };
    let reply = wire::exchange(account, way, &operation, |client| {
        let (path, body, operation) = (&args.path, &body, &operation);
        async move { client.send_raw(method, path, &[], body.as_ref()).await.map_err(|error| operation.failed(error)) }
    })?;
    output.reply(&operation, &reply, begun.elapsed().as_millis())
}
