//! Misbehaviour on request: the header `X-Sandbox-Fault`, which is no part of the signed message.

use crate::answer::{self, Answer};
use crate::log::Basis;
use http::header::HeaderMap;
use wechatpay_model::operation::Spec;

/// Name of the header.
const HEADER: &str = "x-sandbox-fault";

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is closed before anything is looked at.
    Refuse,
    /// The request is acted upon, and the connection closed without an answer.
    LoseReply,
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
    /// Too many requests; nothing is acted upon.
    Status429,
    /// `SYSTEM_ERROR`; nothing is acted upon.
    Status500,
    /// The page of a gateway; nothing is acted upon.
    Html502,
    /// A documented refusal; nothing is acted upon.
    Error { status: Option<u16>, code: String, nth: usize },
}

/// The signature headers, as they may be named in an argument.
const SIGNATURE_HEADERS: [&str; 5] =
    ["wechatpay-timestamp", "wechatpay-nonce", "wechatpay-signature", "wechatpay-serial", "wechatpay-signature-type"];

impl Fault {
    /// The fault that the request asks for, and its text as it came.
    pub(crate) fn asked(headers: &HeaderMap) -> Result<Option<(Self, String)>, String> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err("X-Sandbox-Fault stands there twice; name one fault".to_owned());
        }
        let text = value.to_str().map_err(|_| "X-Sandbox-Fault is no text".to_owned())?;
        Ok(Some((Self::parse(text)?, text.to_owned())))
    }

    fn parse(text: &str) -> Result<Self, String> {
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
        let fault = match name {
            "missing-header" => return header("wechatpay-nonce").map(Self::MissingHeader),
            "duplicate-header" => return header("wechatpay-signature").map(Self::DuplicateHeader),
            "error" => return Self::error(argument.unwrap_or_default()),
            "refuse" => Self::Refuse,
            "lose-reply" => Self::LoseReply,
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
            _ => return Err(format!("there is no fault {name:?}; there are {NAMES}")),
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

    /// Whether it is about how an answer is signed.
    pub(crate) fn is_of_signature(&self) -> bool {
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
        )
    }

    /// The answer that takes the place of the real one, for the faults that are one.
    pub(crate) fn instead(&self, spec: &'static Spec) -> Option<Box<Answer>> {
        match self {
            Self::Status429 => {
                let row = answer::rows(spec).find(|row| row.status() == 429);
                Some(match row {
                    Some(row) => Answer::row(row, Basis::Sandbox, "fault"),
                    None => Answer::refuse(429, "RATELIMIT_EXCEEDED", "频率超限", Basis::Sandbox, "fault"),
                })
            }
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

/// What there is, for the error message.
pub(crate) const NAMES: &str = "refuse lose-reply unsigned missing-header[=NAME] duplicate-header[=NAME] forge tamper stale \
                     future unknown-serial probe status-429 status-500 html-502 error=CODE error=STATUS:CODE \
                     error=STATUS:CODE:N";

/// The page that a gateway shows.
pub(crate) const GATEWAY_PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_is_listed_is_understood() {
        for name in NAMES.split_whitespace() {
            let name = name.split('[').next().unwrap().replace("STATUS", "404").replace(":N", ":2");
            Fault::parse(&name).unwrap();
        }
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
            "stall",
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
