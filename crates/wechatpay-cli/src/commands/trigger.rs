//! `wechatpay trigger`

use crate::args::{Backend, Trigger};
use crate::catalog;
use crate::input;
use crate::output::{Exit, Failure, Output, Rejection, Result};
use crate::wire::{self, Wire};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value, json};
use tokio::runtime::Builder;
use wechatpay_model::{EventSpec, notifications};
use wechatpay_protocol::Transport;

/// Most bytes that are read of the sandbox's answer.
const LIMIT: usize = 4 << 20;

const START: &str = "start one with `wechatpay sandbox --dir box`, and then `set -a; . box/sandbox.env; set +a`";

pub(crate) fn run(args: &Trigger, output: &Output) -> Result {
    let spec = catalog::event(&args.event).ok_or_else(|| unknown(&args.event))?;
    let (document, fields) = input::split(&args.fields)?;
    if let Some(document) = document {
        return Err(Failure::Usage(format!("`{document}` names no field; write NAME=VALUE")));
    }
    let fields: Map<_, _> = fields.into_iter().map(|(name, text)| (name.to_owned(), json!(text))).collect();
    let wish = json!({
        "event": spec.event_type(), "to": args.to, "fields": fields, "mchid": whose(args), "unchecked": args.unchecked,
    });
    let uri = control(args.sandbox.as_deref())?;
    let runtime = wire::runtime(Builder::new_current_thread())?;
    let (status, answer) = runtime.block_on(post(&uri, &wish))?;
    let said = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if status != StatusCode::OK {
        let message = said("error");
        let problem = if message.is_empty() { format!("{uri} answers {status}; is it a sandbox?") } else { message };
        return Err(Failure::Input(problem));
    }
    accepted(&answer)?;
    if !output.json {
        output.hint(format_args!("{} {} was accepted by {}", said("event_type"), said("id"), args.to));
    }
    output.value(&answer)
}

/// The merchant or brand that is named, or that the shell is configured for.
fn whose(args: &Trigger) -> Option<String> {
    let configured = || ["WECHATPAY_MCHID", "WECHATPAY_BRAND"].into_iter().filter_map(|name| std::env::var(name).ok());
    args.mchid.iter().cloned().chain(configured()).find(|id| !id.is_empty())
}

fn unknown(name: &str) -> Failure {
    let near = catalog::nearest(name, notifications().map(EventSpec::event_type));
    let known: Vec<_> = notifications().map(EventSpec::event_type).collect();
    let advice =
        near.first().map_or_else(|| format!("there are {}", known.join(", ")), |near| format!("did you mean {near}?"));
    Failure::Usage(format!("no event is called `{name}`; {advice}"))
}

/// The sandbox's control path. Only this machine is asked: the paths answer nobody else.
fn control(sandbox: Option<&str>) -> Result<Uri> {
    let Some(base) = sandbox.filter(|base| !base.is_empty()) else {
        return Err(Failure::Usage(format!("no sandbox is named: set --sandbox or WECHATPAY_BASE_URL; {START}")));
    };
    if base.contains('@') {
        // What stands before it may be a password.
        return Err(Failure::Usage(
            "the URL of a sandbox names no user; write it like http://127.0.0.1:8080".to_owned(),
        ));
    }
    let no_sandbox =
        || Failure::Usage(format!("{base} is no sandbox on this machine, such as http://127.0.0.1:8080; {START}"));
    let uri: Uri = format!("{}/_sandbox/trigger", base.trim_end_matches('/')).parse().map_err(|_| no_sandbox())?;
    if wire::is_here(&uri) && uri.scheme_str() == Some("http") { Ok(uri) } else { Err(no_sandbox()) }
}

async fn post(uri: &Uri, wish: &Value) -> Result<(StatusCode, Value)> {
    let failed = |problem: &dyn std::fmt::Display| {
        rejected(Exit::Unknown, "transport", None, format!("the sandbox at {uri} does not answer: {problem}"), START)
    };
    let request = Request::post(uri).header(CONTENT_TYPE, "application/json").body(Bytes::from(wish.to_string()));
    let request = request.map_err(|error| failed(&error))?;
    let answer = Wire::new(Backend::Hyper)?.call(request).await.map_err(|error| failed(&error))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LIMIT).collect().await.map_err(|error| failed(&error))?.to_bytes();
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

/// Whether the receiver has accepted the event at once.
fn accepted(event: &Value) -> Result {
    let attempt = event.pointer("/attempts/0").cloned().unwrap_or_default();
    if attempt.get("accepted") == Some(&Value::Bool(true)) {
        return Ok(());
    }
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let status = attempt.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
    let answered = status.map_or_else(String::new, |status| format!(" with status {status}"));
    let (reason, to) = (text(&attempt, "reason"), text(event, "notify_url"));
    let message = format!("{} was not accepted by {to}{answered}: {reason}", text(event, "id"));
    let (exit, kind) = if status.is_some() { (Exit::Refused, "refused") } else { (Exit::Unknown, "transport") };
    let next = match event.get("next_attempt").and_then(Value::as_str) {
        Some(time) => format!("the sandbox sends it again at {time}, by its clock"),
        None => "the sandbox does not send it again".to_owned(),
    };
    Err(rejected(exit, kind, status, message, &next))
}

fn rejected(exit: Exit, kind: &'static str, status: Option<u16>, message: String, next: &str) -> Failure {
    Failure::Rejected(Box::new(Rejection {
        status,
        next: Some(next.to_owned()),
        ..Rejection::new(exit, kind, message)
    }))
}
