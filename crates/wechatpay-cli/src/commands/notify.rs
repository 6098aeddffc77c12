//! `wechatpay notify`

use crate::args::{Decrypt, Notify, NotifyCommand};
use crate::capture::Capture;
use crate::config::Addressee;
use crate::input;
use crate::output::{Failure, Operation, Output, Result};
use crate::rejection;
use crate::wire::{self, Way};
use http::header::HeaderMap;
use serde_json::{Value, json};
use wechatpay_protocol::notification::{Event, NotificationError, Received, Receiver, Unguarded};
use wechatpay_protocol::{Stamper, SystemStamper, UnverifiedReason};

pub(crate) fn run(args: &Notify, output: &Output) -> Result {
    match &args.command {
        NotifyCommand::Decrypt(args) => decrypt(args, output),
    }
}

fn decrypt(args: &Decrypt, output: &Output) -> Result {
    let shown = input::shown(&args.file);
    let bytes = input::read(&args.file, output).map_err(|error| Failure::Input(format!("{shown}: {error}")))?;
    let Capture { headers, body, .. } =
        Capture::read(&bytes).map_err(|problem| Failure::Input(format!("{shown}{problem}")))?;
    let now = args.now.unwrap_or_else(|| SystemStamper.now());
    let Addressee { key, trust, downloads } = Addressee::load(&args.account, now)?;
    if let Some(account) = downloads {
        let way = Way { backend: args.wire.backend, attempts: None, output: *output };
        wire::exchange(account, way, &Operation::named("the download of certificates"), |_| async { Ok(()) })?;
    }
    let receiver = Receiver::new(trust, key).with_replay_guard(Unguarded);
    match receiver.receive(&headers, body, now) {
        Ok(Received::New(delivery)) => show(&delivery, &headers, shown, output),
        Ok(Received::Duplicate(event)) => show(&event, &headers, shown, output),
        Err(error) => Err(explain(&error, body, shown)),
    }
}

fn show(event: &Event, headers: &HeaderMap, shown: &str, output: &Output) -> Result {
    let read = event.read::<Value>().map_err(NotificationError::Unreadable);
    let resource = read.map_err(|error| rejection::notification(&error, shown))?;
    if !output.json {
        let serial = headers.get("wechatpay-serial").and_then(|value| value.to_str().ok()).unwrap_or_default();
        output.hint(format_args!("{} · verified with {serial}", event.event_type));
    }
    output.value(&json!({
        "id": event.id,
        "create_time": event.create_time,
        "event_type": event.event_type,
        "summary": event.summary,
        "original_type": event.original_type,
        "resource": resource,
    }))
}

fn explain(error: &NotificationError, body: &[u8], shown: &str) -> Failure {
    let mut failure = rejection::notification(error, shown);
    if matches!(error, NotificationError::Unverified(UnverifiedReason::Mismatch))
        && body.ends_with(b"\n")
        && let Failure::Rejected(rejection) = &mut failure
    {
        let advice = "the body ends with a line break, which an editor may have put there: take it away, or keep the \
                      header Content-Length";
        rejection.next = Some(advice.to_owned());
    }
    failure
}
