//! What the command prints, for people or as JSON, and the exit codes.

use crate::catalog::template;
use clap::builder::styling::{AnsiColor, Style};
use serde_json::{Map, Value, json};
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use wechatpay_model::operation::{ErrorRow, Idempotency};
use wechatpay_model::{ErrorCode, Spec};
use wechatpay_protocol::{ApiError, Error, Executed, Reply, Retry, TransportErrorKind, UnverifiedReason, Violation};

/// What a command comes to.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

pub(crate) const STRONG: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// The exit codes that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Refused = 1,
    Usage = 2,
    Unknown = 3,
    Unverified = 4,
    Local = 5,
    Interrupted = 130,
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense.
    Usage(String),
    /// The account is not configured, or wrongly: everything that is wrong, at once.
    Config(Vec<String>),
    /// An input cannot be read.
    Input(String),
    /// A call failed.
    Call { operation: Operation, error: Box<Error> },
    /// This machine failed.
    Local(String),
    /// Something came that is not taken: certificates, or a notification.
    Rejected(Box<Rejection>),
    /// A list was not read to its end, or an upload not done to its end, which leaves so many codes in doubt.
    Stopped { by: Box<Failure>, printed: Option<usize>, unknown: u64, resume: Option<String> },
    /// Somebody asked the command to stop.
    Interrupted { operation: Operation, signal: Signal, under_way: bool },
    /// Nobody reads the results any more; there is nobody to tell.
    Unread,
    /// The result has said it.
    Told(Exit),
}

/// What was called: for messages, and for what is known about repeating it.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) name: String,
    idempotency: Option<Idempotency>,
}

/// Why something that came is not taken.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) exit: Exit,
    pub(crate) kind: &'static str,
    /// Of `unverified`.
    pub(crate) reason: Option<&'static str>,
    pub(crate) status: Option<u16>,
    pub(crate) code: Option<String>,
    /// Of a refusal.
    pub(crate) authenticated: Option<bool>,
    pub(crate) message: String,
    pub(crate) next: Option<String>,
}

impl Rejection {
    pub(crate) fn new(exit: Exit, kind: &'static str, message: String) -> Self {
        Self { exit, kind, reason: None, status: None, code: None, authenticated: None, message, next: None }
    }
}

impl Operation {
    pub(crate) fn known(spec: &Spec) -> Self {
        Self { name: spec.id().to_owned(), idempotency: Some(spec.idempotency()) }
    }

    /// Something that is no single call.
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), idempotency: None }
    }

    /// A call by method and path; query and values in the path may be openids and codes and are left out.
    pub(crate) fn raw(method: &http::Method, path: &str) -> Self {
        let idempotency = (method == http::Method::GET).then_some(Idempotency::Safe);
        Self { name: format!("{method} {}", template(method, path)), idempotency }
    }

    /// A call of it that failed.
    pub(crate) fn failed(&self, error: Error) -> Failure {
        Failure::Call { operation: self.clone(), error: Box::new(error) }
    }

    /// How a call whose outcome is unknown may be repeated.
    fn repeat(&self) -> String {
        match self.idempotency {
            Some(Idempotency::Safe) => "repeat it: that is safe".to_owned(),
            Some(Idempotency::Key(field)) => {
                format!("repeat it with the same `{field}` and the same parameters: that has one effect")
            }
            _ => "read what it was to change before repeating it: a repeat may act twice".to_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
}

impl Failure {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Config(_) | Self::Input(_) => Exit::Usage,
            Self::Call { error, .. } => exit(error),
            Self::Local(_) => Exit::Local,
            Self::Rejected(rejection) => rejection.exit,
            // The last call was refused, and what an earlier one did is not known.
            Self::Stopped { by, unknown: 1.., .. } if by.exit() == Exit::Refused => Exit::Unknown,
            Self::Stopped { by, .. } => by.exit(),
            Self::Interrupted { signal: Signal::Interrupt, .. } => Exit::Interrupted,
            Self::Interrupted { signal: Signal::Terminate, .. } => Exit::Terminated,
            Self::Unread => Exit::Done,
            Self::Told(exit) => *exit,
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::Usage(message) | Self::Input(message) | Self::Local(message) => message.clone(),
            Self::Config(problems) => {
                let head = "the account is not configured; nothing was sent";
                problems.iter().fold(head.to_owned(), |text, problem| format!("{text}\n  {problem}"))
            }
            Self::Call { operation, error } => call_message(operation, error),
            Self::Rejected(rejection) => rejection.message.clone(),
            Self::Stopped { by, unknown: unknown @ 1.., .. } => {
                format!("{}\n  {unknown} codes are in doubt", by.message())
            }
            Self::Stopped { by, printed: None, .. } => by.message(),
            Self::Stopped { by, printed: Some(printed), .. } => {
                let s = if *printed == 1 { " was" } else { "s were" };
                format!("{}\n  {printed} item{s} printed before that", by.message())
            }
            Self::Interrupted { operation, under_way: true, .. } => {
                format!("{} was interrupted while under way; its outcome is unknown", operation.name)
            }
            Self::Interrupted { operation, under_way: false, .. } => {
                format!("{} was interrupted; nothing was sent to WeChat Pay", operation.name)
            }
            Self::Unread => "nobody reads the results".to_owned(),
            Self::Told(_) => "the result says it".to_owned(),
        }
    }

    /// What to do now, where the message does not say so itself.
    fn next(&self) -> Option<String> {
        match self {
            Self::Call { operation, error } => next(operation, error),
            Self::Rejected(rejection) => rejection.next.clone(),
            Self::Stopped { by, resume, .. } => resume.clone().or_else(|| by.next()),
            Self::Interrupted { operation, under_way: true, .. } => Some(operation.repeat()),
            _ => None,
        }
    }

    /// The object under `error` of `--json`.
    fn json(&self) -> Value {
        if let Self::Call { operation, error } = self {
            return error_json(operation, error);
        }
        let mut error = match self {
            Self::Stopped { by, .. } => by.json().as_object().cloned().unwrap_or_default(),
            _ => Map::new(),
        };
        let mut put = |key: &str, value: Value| error.insert(key.to_owned(), value);
        put("message", self.message().into());
        if let Some(next) = self.next() {
            put("next", next.into());
        }
        match self {
            Self::Usage(_) => put("kind", "usage".into()),
            Self::Config(problems) => {
                put("problems", json!(problems));
                put("kind", "config".into())
            }
            Self::Input(_) => put("kind", "input".into()),
            Self::Local(_) | Self::Unread | Self::Told(_) | Self::Call { .. } => put("kind", "local".into()),
            Self::Rejected(rejection) => {
                for (key, value) in [
                    ("reason", rejection.reason.map(Value::from)),
                    ("status", rejection.status.map(Value::from)),
                    ("code", rejection.code.as_deref().map(Value::from)),
                    ("authenticated", rejection.authenticated.map(Value::from)),
                ] {
                    value.and_then(|value| put(key, value));
                }
                put("kind", rejection.kind.into())
            }
            Self::Stopped { printed, unknown, .. } => {
                if *unknown > 0 {
                    put("unknown", (*unknown).into());
                }
                printed.and_then(|printed| put("printed", printed.into()))
            }
            Self::Interrupted { operation, under_way, .. } => {
                put("operation", operation.name.clone().into());
                put("executed", if *under_way { "maybe" } else { "no" }.into());
                put("kind", "interrupted".into())
            }
        };
        Value::Object(error)
    }
}

/// The error of the last attempt, where another says that the outcome is unknown: `next` says so too, for every such error.
fn cause(error: &Error) -> &Error {
    match error {
        Error::OutcomeUnknown(unknown) => cause(&unknown.source),
        other => other,
    }
}

/// Whether an attempt before the last one may have been executed, and the last one does not tell.
fn earlier(error: &Error) -> bool {
    matches!(error, Error::OutcomeUnknown(unknown) if unknown.earlier)
}

fn exit(error: &Error) -> Exit {
    match cause(error) {
        Error::Unverified(_) | Error::Decode(_) => Exit::Unverified,
        _ if earlier(error) => Exit::Unknown,
        Error::Invalid(_) => Exit::Usage,
        Error::Transport(error) if error.kind() == TransportErrorKind::Unsendable => Exit::Usage,
        Error::Api(refusal) if answered_no(refusal.authenticated, refusal.status, refusal.code.as_str()) => {
            Exit::Refused
        }
        Error::Signing(_) => Exit::Local,
        // A server error or a page of nobody's: whether the request was executed is not known.
        _ => Exit::Unknown,
    }
}

/// Whether the API said no. It signs what it refuses, unless the signature of the request is wrong: that is 401. What else
/// is unsigned may come from anybody on the way, behind whose back the request was executed.
pub(crate) fn answered_no(authenticated: bool, status: u16, code: &str) -> bool {
    if authenticated {
        status < 500 && code != ErrorCode::SystemError.as_str()
    } else {
        status == 401 && !code.is_empty()
    }
}

/// A text of somebody else's, on one line: what a terminal would act upon instead of showing it is written out.
pub(crate) fn plain(text: &str) -> String {
    let acts = |c: char| {
        let turns =
            matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        c.is_control() || turns
    };
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) { plain.extend(c.escape_unicode()) } else { plain.push(c) }
    }
    plain
}

/// The same of several lines.
fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

/// A refusal whose own words are plain: nobody need have signed them.
fn plain_refusal(refusal: &ApiError) -> ApiError {
    let mut refusal = refusal.clone();
    refusal.code = plain(refusal.code.as_str()).into();
    refusal.message = plain(&refusal.message);
    if let Some(Value::String(field)) = refusal.detail.as_mut().and_then(|detail| detail.get_mut("field")) {
        *field = plain(field);
    }
    refusal
}

fn call_message(operation: &Operation, error: &Error) -> String {
    let name = &operation.name;
    match cause(error) {
        Error::Invalid(invalid) => {
            let count = invalid.violations.len();
            let s = if count == 1 { "" } else { "s" };
            let head = format!("{name}: nothing was sent, the request has {count} mistake{s}");
            invalid.violations.iter().fold(head, |text, violation| format!("{text}\n  {violation}"))
        }
        Error::Api(refusal) => format!("{name}: {}", plain_refusal(refusal)),
        other => format!("{name}: {other}"),
    }
}

fn next(operation: &Operation, error: &Error) -> Option<String> {
    if matches!(error, Error::Signing(_)) {
        return Some("check the private key and this machine's source of randomness".to_owned());
    }
    if earlier(error) {
        return Some(format!("an earlier attempt may have been executed; {}", operation.repeat()));
    }
    match (error.executed(), cause(error).retry()) {
        (Executed::No, Retry::Later) => Some("nothing was done; repeat it later with the same parameters".to_owned()),
        (_, Retry::ReadFirst) if error.executed() != Executed::Maybe => {
            Some("read what it was to change before doing anything else".to_owned())
        }
        (Executed::Maybe, _) if exit(error) == Exit::Refused => None,
        (Executed::Maybe, _) => Some(format!("whether it was executed is not known; {}", operation.repeat())),
        (Executed::Yes, Retry::Later) => Some("repeat it with the same parameters to learn the outcome".to_owned()),
        _ => None,
    }
}

/// What `--json` says of a failed call.
pub(crate) fn error_json(operation: &Operation, error: &Error) -> Value {
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            map.insert(key.to_owned(), value);
        }
    };
    put("operation", operation.name.clone().into());
    put("message", call_message(operation, error).into());
    put("next", next(operation, error).into());
    put("executed", executed_name(error.executed()).into());
    put("retry", retry_name(error.retry()).into());
    put("status", error.status().into());
    put("request_id", error.request_id().into());
    let kind = match cause(error) {
        Error::Invalid(invalid) => {
            put("violations", invalid.violations.iter().map(violation_json).collect());
            "invalid"
        }
        Error::Signing(_) => "signing",
        Error::Transport(error) => {
            put("reason", transport_name(error.kind()).into());
            "transport"
        }
        Error::Pending(_) => "pending",
        Error::Api(refusal) => {
            put("code", refusal.code.as_str().into());
            put("field", refusal.field().into());
            put("issue", refusal.issue().into());
            put("retry_after", refusal.retry_after.map(|wait| wait.as_secs()).into());
            put("authenticated", refusal.authenticated.into());
            put("remedy", refusal.remedy().into());
            put("remedies", refusal.documented.iter().map(|row| row_json(row)).collect());
            "refused"
        }
        Error::Unverified(unverified) => {
            put("reason", reason_name(&unverified.reason).into());
            "unverified"
        }
        Error::Decode(_) => "decode",
        _ => "unknown",
    };
    put("kind", kind.into());
    Value::Object(map)
}

fn violation_json(violation: &Violation) -> Value {
    json!({ "pointer": violation.pointer, "rule": violation.kind.as_str(), "message": violation.message })
}

fn row_json(row: &ErrorRow) -> Value {
    json!({ "message": row.message(), "meaning": row.meaning(), "remedy": row.remedy() })
}

fn executed_name(executed: Executed) -> &'static str {
    match executed {
        Executed::No => "no",
        Executed::Yes => "yes",
        _ => "maybe",
    }
}

fn retry_name(retry: Retry) -> &'static str {
    match retry {
        Retry::Never => "never",
        Retry::Later => "later",
        _ => "read_first",
    }
}

fn transport_name(kind: TransportErrorKind) -> &'static str {
    match kind {
        TransportErrorKind::Connect => "connect",
        TransportErrorKind::Timeout => "timeout",
        TransportErrorKind::Unsendable => "unsendable",
        _ => "interrupted",
    }
}

pub(crate) fn reason_name(reason: &UnverifiedReason) -> &'static str {
    match reason {
        UnverifiedReason::Unsigned => "unsigned",
        UnverifiedReason::MissingHeader(_) => "missing_header",
        UnverifiedReason::DuplicateHeader(_) => "duplicate_header",
        UnverifiedReason::MalformedHeader(_) => "malformed_header",
        UnverifiedReason::UnknownType(_) => "unknown_type",
        UnverifiedReason::Stale(_) => "stale",
        UnverifiedReason::UnknownSerial(_) => "unknown_serial",
        UnverifiedReason::Probe => "probe",
        _ => "mismatch",
    }
}

/// Where results and failures go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// A line of a result for people, coloured on a terminal.
    pub(crate) fn line(&self, text: fmt::Arguments<'_>) -> Result {
        wrote(writeln!(anstream::stdout(), "{text}"))
    }

    /// A result: one line with `--json`, else laid out for people.
    pub(crate) fn value(&self, value: &Value) -> Result {
        // Alternate formatting is the indented one.
        let text = if self.json { value.to_string() } else { format!("{value:#}") };
        wrote(writeln!(io::stdout(), "{text}"))
    }

    /// The answer of a call; beside it, for people, how it came.
    pub(crate) fn reply(&self, operation: &Operation, reply: &Reply<Value>, ms: u128) -> Result {
        if !self.json {
            let request_id = reply.request_id.as_deref().map(|id| format!(" · Request-ID {id}")).unwrap_or_default();
            self.hint(format_args!(
                "{} · {} in {ms} ms · verified with {}{request_id}",
                operation.name, reply.status, reply.serial
            ));
        }
        match &reply.value {
            Value::Null if self.json => self.value(&json!({})),
            Value::Null => Ok(()),
            value => self.value(value),
        }
    }

    /// Something beside the results. Whether anybody can read it is of no consequence.
    pub(crate) fn hint(&self, text: fmt::Arguments<'_>) {
        let _ = writeln!(anstream::stderr(), "{DIM}{}{DIM:#}", plain_lines(&text.to_string()));
    }

    /// Tells why the command failed, and with which code it ends.
    pub(crate) fn failure(&self, failure: &Failure) -> ExitCode {
        let told = match failure {
            Failure::Unread | Failure::Told(_) => Ok(()),
            failure if self.json => {
                let line = json!({ "error": failure.json() });
                // It may be stdout that failed.
                writeln!(io::stdout(), "{line}").or_else(|_| writeln!(io::stderr(), "{line}"))
            }
            failure => {
                let next = failure.next().map(|next| format!("\nnext: {next}")).unwrap_or_default();
                writeln!(anstream::stderr(), "{BAD}error:{BAD:#} {}{next}", plain_lines(&failure.message()))
            }
        };
        // The exit code stands, whether or not the words got through.
        drop(told);
        failure.exit().into()
    }
}

/// What became of a write to stdout.
pub(crate) fn wrote<T>(result: io::Result<T>) -> Result<T> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Unread,
        _ => Failure::Local(format!("the result cannot be written to stdout: {error}; make room, then look again")),
    })
}
