//! `wechatpay notify`

use crate::args::{Decrypt, Notify, NotifyCommand};
use crate::config::Addressee;
use crate::input;
use crate::output::{Failure, Operation, Output, Result};
use crate::rejection;
use crate::wire::{self, Way};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
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
    let Capture { headers, body } =
        Capture::read(&bytes).map_err(|problem| Failure::Input(format!("{shown}{problem}")))?;
    let Addressee { key, trust, downloads } = Addressee::load(&args.account)?;
    if let Some(account) = downloads {
        let way = Way { backend: args.wire.backend, attempts: None, output: *output };
        wire::exchange(account, way, &Operation::named("the download of certificates"), |_| async { Ok(()) })?;
    }
    let receiver = Receiver::new(trust, key).with_replay_guard(Unguarded);
    let now = args.now.unwrap_or_else(|| SystemStamper.now());
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

/// A notification as it was kept: headers, an empty line, the body.
#[derive(Debug)]
struct Capture<'a> {
    headers: HeaderMap,
    body: &'a [u8],
}

impl<'a> Capture<'a> {
    /// Reads it; the message of a mistake begins with its line.
    fn read(bytes: &'a [u8]) -> std::result::Result<Self, String> {
        let mut rest = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let mut headers = HeaderMap::new();
        for number in 1.. {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                return Err(format!(":{number}: no empty line stands between headers and body"));
            };
            let (line, behind) = rest.split_at(end);
            rest = behind.get(1..).unwrap_or_default();
            let line = line.trim_ascii_end();
            if line.is_empty() {
                break;
            }
            match header(line) {
                Some((name, value)) => {
                    headers.append(name, value);
                }
                None if number == 1 && is_request_line(line) => {}
                None => {
                    return Err(format!(
                        ":{number}: no header; write `Name: value`, and an empty line before the body"
                    ));
                }
            }
        }
        let body = match length(&headers)? {
            Some(length) => rest.get(..length).ok_or_else(|| {
                format!(": the body has {} bytes, but Content-Length says {length}; keep it byte for byte", rest.len())
            })?,
            None => rest,
        };
        Ok(Self { headers, body })
    }
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    let value = value.get(1..)?.trim_ascii();
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
}

fn is_request_line(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|line| line.rsplit(' ').next().is_some_and(|last| last.starts_with("HTTP/")))
}

fn length(headers: &HeaderMap) -> std::result::Result<Option<usize>, String> {
    let Some(value) = headers.get(CONTENT_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| ": its Content-Length is no number; put it right, or take it away".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<(Vec<(String, String)>, String), String> {
        let Capture { headers, body } = Capture::read(text.as_bytes())?;
        let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        Ok((headers.collect(), String::from_utf8(body.to_vec()).unwrap()))
    }

    #[test]
    fn a_capture_is_headers_an_empty_line_and_the_body_byte_for_byte() {
        for (text, headers, body) in [
            ("A: 1\nB:2\n\n{}\n", &[("a", "1"), ("b", "2")][..], "{}\n"),
            ("A: 1\r\n\r\n{}\r\n\r\n", &[("a", "1")], "{}\r\n\r\n"),
            ("POST /n?a=b: HTTP/1.1\r\nA: x:y\r\n\r\n", &[("a", "x:y")], ""),
            ("\u{FEFF}A: 1\nA: 2\n\n{}", &[("a", "1"), ("a", "2")], "{}"),
            ("Content-Length: 2\n\n{}\n", &[("content-length", "2")], "{}"),
            ("\n{}", &[], "{}"),
        ] {
            let wanted: Vec<_> = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            assert_eq!(read(text), Ok((wanted, body.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn what_is_none_says_where() {
        for (text, problem) in [
            ("", ":1: no empty line"),
            ("A: 1\n{}", ":2: no empty line"),
            ("{\n\n}", ":1: no header"),
            ("A: 1\nPOST / HTTP/1.1\n\n", ":2: no header"),
            ("Content-Length: 3\n\n{}", "2 bytes, but Content-Length says 3"),
            ("Content-Length: x\n\n{}", "no number"),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.contains(problem), "{text:?}: {found}");
        }
    }
}
