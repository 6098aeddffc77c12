//! `wechatpay call --all`: the items of a list, over all its pages.

use crate::args;
use crate::catalog;
use crate::config::Account;
use crate::output::{Failure, Operation, Result};
use crate::wire::{self, Way};
use serde_json::Value;
use std::cell::Cell;
use wechatpay_model::Spec;
use wechatpay_model::operation::{Page, Start, Turn};
use wechatpay_protocol::Error;
use wechatpay_protocol::pages::UntypedList;

pub(super) fn run(account: &args::Account, way: Way, spec: &'static Spec, mut arguments: Value) -> Result {
    let Some(page) = spec.page() else {
        return Err(Failure::Usage(format!("{} answers all there is at once; leave --all out", spec.id())));
    };
    begin(spec, page, &mut arguments);
    let list = UntypedList::new(spec, arguments);
    let account = Account::load(account)?;
    let (operation, output) = (Operation::known(spec), way.output);
    let (printed, start) = (Cell::new(0), Cell::new(None));
    let read = wire::exchange(account, way, &operation, |client| {
        let (printed, start, operation) = (&printed, &start, &operation);
        async move {
            let Some(list) = list else { return Ok(()) };
            let mut pages = client.pages(list);
            while let Some(reply) = pages.next().await {
                let mut answer = reply.map_err(|error| operation.failed(error))?.value;
                if let Some(Value::Array(items)) = answer.pointer_mut(page.items()).map(Value::take) {
                    for item in &items {
                        output.value(item)?;
                        printed.set(printed.get() + 1);
                    }
                }
                start.set(pages.start());
            }
            Ok(())
        }
    });
    match read {
        Ok(()) if output.json => {}
        Ok(()) => {
            let count = printed.get();
            let s = if count == 1 { "" } else { "s" };
            output.hint(format_args!("{} · {count} item{s}, verified", spec.id()));
        }
        Err(failure) => return Err(stopped(failure, page, printed.get(), start.take())),
    }
    Ok(())
}

/// The first page, and pages as long as the documents allow, where the request does not say otherwise.
fn begin(spec: &Spec, page: &Page, arguments: &mut Value) {
    if let Value::Object(arguments) = arguments {
        if let Turn::Offset { field, .. } = page.turn() {
            arguments.entry(field).or_insert(0.into());
        }
        if let Some(limit) = catalog::largest(spec, page.limit()) {
            arguments.entry(page.limit()).or_insert(limit.into());
        }
    }
}

/// A list that was not read to its end, and where to go on.
fn stopped(by: Failure, page: &Page, printed: usize, start: Option<Start>) -> Failure {
    if printed == 0 || matches!(by, Failure::Unread | Failure::Local(_)) {
        return by;
    }
    let resume = match &by {
        Failure::Call { error, .. } if matches!(**error, Error::Invalid(_)) => Some(
            "the documents allow no further page; narrow the list down, if the operation has fields for that"
                .to_owned(),
        ),
        _ => start.map(|start| format!("to go on from there, run the same again with {}={start}", page.turn().field())),
    };
    Failure::Stopped { by: Box::new(by), printed: Some(printed), unknown: 0, resume }
}
