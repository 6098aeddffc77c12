//! Misbehaviour on request: the header `X-Sandbox-Fault`, which is no part of the signed message.

use crate::answer::{self, Answer};
use crate::log::Basis;
use crate::socket::Break;
use http::header::HeaderMap;
use std::fmt::Display;
use std::str::FromStr;
use wechatpay_model::operation::Spec;

/// Name of the header.
const HEADER: &str = "x-sandbox-fault";

/// A kind of fault: how it is asked for, and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultKind {
    /// Its name, as rules and the header `X-Sandbox-Fault` spell it.
    pub name: &'static str,
    /// What may follow the name; what is in brackets may be left out.
    pub argument: &'static str,
    /// Whether the request is acted upon.
    pub acts: bool,
    /// What happens.
    pub meaning: &'static str,
}

const fn kind(name: &'static str, argument: &'static str, acts: bool, meaning: &'static str) -> FaultKind {
    FaultKind { name, argument, acts, meaning }
}

/// All faults that a request can ask for or a rule can apply.
#[rustfmt::skip]
pub const FAULTS: &[FaultKind] = &[
    kind("refuse", "", false, "the connection closes (FIN) without a byte"),
    kind("reset-before", "", false, "the connection is reset (RST) without a byte"),
    kind("lose-reply", "", true, "the connection closes (FIN) without a byte"),
    kind("reset-after", "", true, "the connection is reset (RST) without a byte"),
    kind("reset-mid", "", true, "half of the answer, then a reset (RST)"),
    kind("truncate", "", true, "half of what Content-Length promises, then a close (FIN)"),
    kind("broken-chunk", "", true, "a chunked answer whose second chunk is none"),
    kind("slow-headers", "[=MS]", true, "a pause after each line of the head (settings: slow_ms)"),
    kind("slow-body", "[=MS]", true, "pauses between the pieces of the body (settings: slow_ms)"),
    kind("stall", "[=MS]", true, "half of the answer, silence (settings: stall_ms), a close (FIN)"),
    kind("unsigned", "", true, "no signature headers"),
    kind("missing-header", "[=NAME]", true, "one signature header is missing; Wechatpay-Nonce by default"),
    kind("duplicate-header", "[=NAME]", true, "one signature header stands there twice; Wechatpay-Signature by default"),
    kind("forge", "", true, "signed by another key than the one that is named"),
    kind("tamper", "", true, "the body, or a downloaded file, is changed after it was signed"),
    kind("stale", "", true, "rightly signed, ten minutes ago"),
    kind("future", "", true, "rightly signed, ten minutes from now"),
    kind("unknown-serial", "", true, "the serial names a key that nobody has"),
    kind("probe", "", true, "a signature probe: WECHATPAY/SIGNTEST/"),
    kind("oversized", "[=BYTES]", true, "rightly signed, with a body of so many bytes; 16 MiB by default"),
    kind("deep-json", "[=LEVELS]", true, "rightly signed, with JSON nested so deep; 100,000 levels by default"),
    kind("status-429", "", false, "the documented 429, signed"),
    kind("status-500", "", false, "the documented 500, signed"),
    kind("html-502", "", false, "the page of a gateway, unsigned"),
    kind("redirect", "", false, "302 to /v3/redirected on the same host, unsigned"),
    kind("error", "=CODE, =STATUS:CODE or =STATUS:CODE:N", false, "a documented refusal, the Nth that fits"),
];

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection breaks before anything is looked at.
    Before(Break),
    /// The request is acted upon, and the answer breaks; with pauses of so many milliseconds.
    After(Break, Option<u32>),
    /// No signature headers.
    Unsigned,
    /// One signature header is missing.
    MissingHeader(String),
    /// One signature header stands there twice.
    DuplicateHeader(String),
    /// Signed by another key than the one that is named.
    Forge,
    /// The body is changed after it was signed.
    Tamper,
    /// Rightly signed, ten minutes ago.
    Stale,
    /// Rightly signed, ten minutes from now.
    Future,
    /// The serial names a key that nobody has.
    UnknownSerial,
    /// The signature is a probe.
    Probe,
    /// Rightly signed, with a body of so many bytes.
    Oversized(usize),
    /// Rightly signed, with a body nested so deep.
    DeepJson(usize),
    /// Too many requests; nothing is acted upon.
    Status429,
    /// `SYSTEM_ERROR`; nothing is acted upon.
    Status500,
    /// The page of a gateway; nothing is acted upon.
    Html502,
    /// Elsewhere; nothing is acted upon.
    Redirect,
    /// A documented refusal; nothing is acted upon.
    Error { status: Option<u16>, code: String, nth: usize },
}

/// A fault that a request meets, by its own wish or by a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) fault: Fault,
    /// As it was written.
    pub(crate) name: String,
    /// Id of the rule.
    pub(crate) rule: Option<u64>,
}

impl Asked {
    /// The probe that an answer in a thousand is, by the settings.
    pub(crate) fn probe() -> Self {
        Self { fault: Fault::Probe, name: "probe".to_owned(), rule: None }
    }
}

/// Longest pause, in milliseconds: an hour.
const LONGEST: u32 = 3_600_000;

/// Largest body, in bytes.
const LARGEST: usize = 256 << 20;

/// Deepest body, in levels.
const DEEPEST: usize = 1_000_000;

/// The signature headers, as they may be named in an argument.
const SIGNATURE_HEADERS: [&str; 5] =
    ["wechatpay-timestamp", "wechatpay-nonce", "wechatpay-signature", "wechatpay-serial", "wechatpay-signature-type"];

impl Fault {
    /// The fault that the request asks for itself.
    pub(crate) fn asked(headers: &HeaderMap) -> Result<Option<Asked>, String> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err("X-Sandbox-Fault stands there twice; name one fault".to_owned());
        }
        let text = value.to_str().map_err(|_| "X-Sandbox-Fault is no text".to_owned())?;
        Ok(Some(Asked { fault: Self::parse(text)?, name: text.to_owned(), rule: None }))
    }

    /// Reads `NAME[=argument]`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, argument) = match text.split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let header = |usual: &str| {
            let wanted = argument.unwrap_or(usual).to_ascii_lowercase();
            let known = SIGNATURE_HEADERS.contains(&wanted.as_str());
            known
                .then_some(wanted)
                .ok_or_else(|| format!("fault {text:?}: the argument is one of {}", SIGNATURE_HEADERS.join(", ")))
        };
        let pause = || argument.map(|argument| number(text, argument, LONGEST)).transpose();
        let size = |usual, most| argument.map_or(Ok(usual), |argument| number(text, argument, most));
        let fault = match name {
            "missing-header" => return header("wechatpay-nonce").map(Self::MissingHeader),
            "duplicate-header" => return header("wechatpay-signature").map(Self::DuplicateHeader),
            "error" => return Self::error(argument.unwrap_or_default()),
            "slow-headers" => return pause().map(|pause| Self::After(Break::SlowHeaders, pause)),
            "slow-body" => return pause().map(|pause| Self::After(Break::SlowBody, pause)),
            "stall" => return pause().map(|pause| Self::After(Break::Stall, pause)),
            "oversized" => return size(16 << 20, LARGEST).map(Self::Oversized),
            "deep-json" => return size(100_000, DEEPEST).map(Self::DeepJson),
            "refuse" => Self::Before(Break::Close),
            "reset-before" => Self::Before(Break::Reset),
            "lose-reply" => Self::After(Break::Close, None),
            "reset-after" => Self::After(Break::Reset, None),
            "reset-mid" => Self::After(Break::ResetMid, None),
            "truncate" => Self::After(Break::Truncate, None),
            "broken-chunk" => Self::After(Break::BrokenChunk, None),
            "unsigned" => Self::Unsigned,
            "forge" => Self::Forge,
            "tamper" => Self::Tamper,
            "stale" => Self::Stale,
            "future" => Self::Future,
            "unknown-serial" => Self::UnknownSerial,
            "probe" => Self::Probe,
            "status-429" => Self::Status429,
            "status-500" => Self::Status500,
            "html-502" => Self::Html502,
            "redirect" => Self::Redirect,
            _ => return Err(format!("there is no fault {name:?}; there are {}", names().join(" "))),
        };
        match argument {
            None => Ok(fault),
            Some(_) => Err(format!("fault {name:?} takes no argument")),
        }
    }

    /// `CODE`, `STATUS:CODE` or `STATUS:CODE:N`.
    fn error(argument: &str) -> Result<Self, String> {
        let explain =
            || format!("fault error={argument:?}: write error=CODE, error=STATUS:CODE or error=STATUS:CODE:N");
        let mut parts = argument.split(':');
        let first = parts.next().unwrap_or_default();
        let (status, code) = match parts.next() {
            None => (None, first),
            Some(code) => (Some(first.parse::<u16>().map_err(|_| explain())?), code),
        };
        let nth = parts.next().map_or(Ok(1), str::parse).map_err(|_| explain())?;
        let named = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let refuses = status.is_none_or(|status| (400..=599).contains(&status));
        if !named || !refuses || nth == 0 || parts.next().is_some() {
            return Err(explain());
        }
        Ok(Self::Error { status, code: code.to_owned(), nth })
    }

    /// Whether it is about the bytes or the signature of a signed answer.
    pub(crate) fn spoils(&self) -> bool {
        matches!(
            self,
            Self::Unsigned
                | Self::MissingHeader(_)
                | Self::DuplicateHeader(_)
                | Self::Forge
                | Self::Tamper
                | Self::Stale
                | Self::Future
                | Self::UnknownSerial
                | Self::Probe
                | Self::Oversized(_)
                | Self::DeepJson(_)
        )
    }

    /// The body that takes the place of the real one before it is signed.
    pub(crate) fn body(&self) -> Option<Vec<u8>> {
        match *self {
            Self::Oversized(bytes) => {
                Some(format!("{{\"padding\":\"{}\"}}", "x".repeat(bytes.saturating_sub(14))).into_bytes())
            }
            Self::DeepJson(levels) => {
                Some(format!("{}{{}}{}", "{\"deeper\":".repeat(levels), "}".repeat(levels)).into_bytes())
            }
            _ => None,
        }
    }

    /// The answer that takes the place of the real one, for the faults that are one.
    pub(crate) fn instead(&self, spec: &'static Spec) -> Option<Box<Answer>> {
        match self {
            Self::Status429 => Some(answer::too_often(spec, Basis::Sandbox, "fault")),
            Self::Status500 => {
                let row = answer::rows(spec).find(|row| row.status() == 500);
                Some(match row {
                    Some(row) => Answer::row(row, Basis::Sandbox, "fault"),
                    None => Answer::refuse(500, "SYSTEM_ERROR", "系统错误", Basis::Sandbox, "fault"),
                })
            }
            Self::Error { status, code, nth } => Some(documented(spec, *status, code, *nth)),
            _ => None,
        }
    }
}

fn documented(spec: &'static Spec, status: Option<u16>, code: &str, nth: usize) -> Box<Answer> {
    let fits = |row: &&wechatpay_model::operation::ErrorRow| {
        row.code() == code && status.is_none_or(|status| row.status() == status)
    };
    if let Some(row) = answer::rows(spec).filter(fits).nth(nth - 1) {
        return Answer::row(row, Basis::Sandbox, "fault: a documented refusal");
    }
    match status {
        Some(status) if nth == 1 => {
            Answer::refuse(status, code, "", Basis::Sandbox, "fault: a refusal that is not documented")
        }
        _ => {
            let known: Vec<_> = answer::rows(spec).map(|row| format!("{}:{}", row.status(), row.code())).collect();
            Answer::own(400, format!("{} documents no such row; there are {}", spec.id(), known.join(" ")))
        }
    }
}

/// What there is, for error messages.
fn names() -> Vec<String> {
    FAULTS.iter().map(|kind| format!("{}{}", kind.name, kind.argument)).collect()
}

/// An argument that counts something: at least 1.
fn number<T: FromStr + PartialOrd + From<u8> + Display + Copy>(
    fault: &str,
    argument: &str,
    most: T,
) -> Result<T, String> {
    let number = argument.parse::<T>().ok().filter(|number| (T::from(1)..=most).contains(number));
    number.ok_or_else(|| format!("fault {fault:?}: the argument is a number from 1 to {most}"))
}

/// The page that a gateway shows.
pub(crate) const GATEWAY_PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_table_is_understood() {
        for kind in FAULTS {
            let argument = match kind.argument {
                "[=MS]" | "[=BYTES]" | "[=LEVELS]" => "=20",
                "[=NAME]" => "=Wechatpay-Serial",
                argument if argument.starts_with('=') => "=404:NOT_FOUND:2",
                _ => "",
            };
            Fault::parse(&format!("{}{argument}", kind.name)).unwrap();
            assert_eq!(Fault::parse(kind.name).is_ok(), !kind.argument.starts_with('='), "{}", kind.name);
        }
    }

    #[test]
    fn arguments_are_read() {
        assert_eq!(Fault::parse("stall=5"), Ok(Fault::After(Break::Stall, Some(5))));
        assert_eq!(Fault::parse("stall"), Ok(Fault::After(Break::Stall, None)));
        assert_eq!(Fault::Oversized(40).body().unwrap().len(), 40);
        assert_eq!(Fault::DeepJson(2).body().unwrap(), b"{\"deeper\":{\"deeper\":{}}}");
        let error = |status, code: &str, nth| Ok(Fault::Error { status, code: code.to_owned(), nth });
        assert_eq!(Fault::parse("error=PARAM_ERROR"), error(None, "PARAM_ERROR", 1));
        assert_eq!(Fault::parse("error=400:PARAM_ERROR:3"), error(Some(400), "PARAM_ERROR", 3));
        assert_eq!(
            Fault::parse("missing-header=Wechatpay-Serial"),
            Ok(Fault::MissingHeader("wechatpay-serial".to_owned()))
        );
    }

    #[test]
    fn what_is_not_understood_says_so() {
        for text in [
            "",
            "explode",
            "stall=",
            "stall=0",
            "stall=3600001",
            "slow-body=-1",
            "oversized=x",
            "deep-json=300000000",
            "forge=1",
            "error",
            "error=",
            "error=x:Y",
            "error=200:OK",
            "error=400:A:0",
            "error=400:A:x",
            "error=400:A:1:2",
            "error=a b",
            "missing-header=Date",
        ] {
            assert!(Fault::parse(text).is_err(), "{text}");
        }
    }
}
