//! Answers before they are signed, and refusals in the form that the documents give.

use crate::log::Basis;
use crate::schema::{Form, Violation};
use serde_json::{Value, json};
use std::borrow::Cow;
use wechatpay_model::COMMON_ERRORS;
use wechatpay_model::operation::{ErrorRow, Spec};

/// An answer, and on what it rests.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// JSON; `Null` for an answer without a body.
    pub(crate) body: Value,
    /// The bytes of a file, in place of the JSON.
    pub(crate) file: Option<Vec<u8>>,
    /// WeChat Pay signs the answers to requests whose own signature was right, and no others.
    pub(crate) signed: bool,
    pub(crate) basis: Basis,
    pub(crate) why: Cow<'static, str>,
}

/// An answer on the straight way, or the refusal that ends it early.
pub(crate) type Outcome<T = Answer> = Result<T, Box<Answer>>;

impl Answer {
    /// 200 with a body.
    pub(crate) fn ok(body: Value, basis: Basis, why: impl Into<Cow<'static, str>>) -> Self {
        Self { status: 200, body, file: None, signed: true, basis, why: why.into() }
    }

    /// A file, which carries no signature.
    pub(crate) fn file(bytes: Vec<u8>, basis: Basis, why: impl Into<Cow<'static, str>>) -> Self {
        Self { file: Some(bytes), signed: false, ..Self::ok(Value::Null, basis, why) }
    }

    /// 204.
    pub(crate) fn empty(basis: Basis, why: impl Into<Cow<'static, str>>) -> Self {
        Self { status: 204, ..Self::ok(Value::Null, basis, why) }
    }

    /// The same, to an upload whose `Content-Type` names no boundary: that WeChat Pay would read it is a guess.
    pub(crate) fn without_boundary(self) -> Self {
        let why =
            format!("{}; Content-Type names no boundary, and the first line of the body was taken for it", self.why);
        Self { basis: Basis::Guess, why: why.into(), ..self }
    }

    /// A refusal.
    pub(crate) fn refuse(
        status: u16,
        code: &str,
        message: &str,
        basis: Basis,
        why: impl Into<Cow<'static, str>>,
    ) -> Box<Self> {
        let body = json!({"code": code, "message": message});
        Box::new(Self { status, ..Self::ok(body, basis, why) })
    }

    /// The sandbox speaks for itself: the real API has no such answer, so it is not signed.
    pub(crate) fn own(status: u16, message: String) -> Box<Self> {
        let body = json!({"code": "SANDBOX", "message": message});
        Box::new(Self { status, signed: false, ..Self::ok(body, Basis::Sandbox, message) })
    }

    /// A documented row as an answer.
    pub(crate) fn row(row: &ErrorRow, basis: Basis, why: impl Into<Cow<'static, str>>) -> Box<Self> {
        let message = if row.message().is_empty() { row.meaning() } else { row.message() };
        Self::refuse(row.status(), row.code(), message, basis, why)
    }

    /// The error code, if it is a refusal.
    pub(crate) fn code(&self) -> Option<&str> {
        self.body.get("code")?.as_str().filter(|_| self.status >= 400)
    }
}

/// A value as JSON text, in half the time that its `Display` takes: uploads are large.
pub(crate) fn json_text(value: &Value) -> String {
    // It is JSON already, so that nothing of it can fail to be written as such.
    serde_json::to_string(value).unwrap_or_default()
}

/// The documented refusals of an operation, its own before the common ones.
pub(crate) fn rows(spec: &Spec) -> impl Iterator<Item = &'static ErrorRow> + use<> {
    spec.errors().iter().chain(COMMON_ERRORS)
}

/// The refusal of a call that is one too many, in the words of its operation.
pub(crate) fn too_often(spec: &Spec, basis: Basis, why: impl Into<Cow<'static, str>>) -> Box<Answer> {
    match rows(spec).find(|row| row.status() == 429) {
        Some(row) => Answer::row(row, basis, why),
        None => Answer::refuse(429, "RATELIMIT_EXCEEDED", "频率超限", basis, why),
    }
}

/// 400 `PARAM_ERROR` for the first violation.
///
/// `said` is the message where the operation's state knows the words that were seen for this violation.
pub(crate) fn param_error(
    spec: &'static Spec,
    form: &Form,
    request: &Value,
    violation: &Violation,
    said: Option<&str>,
) -> Box<Answer> {
    let (location, field) = place(spec, &violation.at);
    let absent = request.pointer(&violation.at).is_none_or(|value| value == "");
    let message = match said {
        Some(said) => said.to_owned(),
        None => message(spec, form, violation, &field, absent),
    };
    let mut detail = json!({"field": field, "issue": violation.issue, "location": location});
    if let (Some(value), Some(fields)) = (request.pointer(&violation.at), detail.as_object_mut()) {
        fields.insert("value".to_owned(), value.clone());
    }
    let why = format!("{} breaks `{}`: {}", violation.at, violation.rule, violation.issue);
    let mut answer = Answer::refuse(400, "PARAM_ERROR", &message, Basis::Documented, why);
    if let Some(body) = answer.body.as_object_mut() {
        body.insert("detail".to_owned(), detail);
    }
    answer
}

/// Where a field travels, and how `detail.field` names it: a pointer into the body, elsewhere the bare name.
fn place(spec: &Spec, at: &str) -> (&'static str, String) {
    let name = at.split('/').nth(1).unwrap_or_default();
    if spec.path().split('/').any(|segment| segment.strip_prefix('{') == Some(&format!("{name}}}"))) {
        ("url", name.to_owned())
    } else if spec.query().contains(&name) {
        ("query", name.to_owned())
    } else if spec.header().contains(&name) {
        ("header", name.to_owned())
    } else {
        ("body", format!("/body{at}"))
    }
}

/// The documented words where there are some that fit, else the general ones with the field named.
fn message(spec: &Spec, form: &Form, violation: &Violation, field: &str, absent: bool) -> String {
    let label = form.label(&violation.at).unwrap_or_default();
    let name = violation.at.rsplit('/').next().unwrap_or_default();
    let likely = match (violation.rule, name) {
        ("required", _) => vec![format!("{label}必填"), format!("{name}必填")],
        // A path cannot leave a field out, but it can leave it empty.
        ("length", _) if absent => vec![format!("{label}必填")],
        ("range", "limit") => vec!["页大小超过阈值".to_owned()],
        ("format", _) => vec!["输入时间格式错误".to_owned()],
        _ => Vec::new(),
    };
    let letters = |text: &str| -> String { text.chars().filter(|c| c.is_alphanumeric()).collect() };
    let likely: Vec<_> = likely.iter().map(|words| letters(words)).collect();
    let mut own = spec.errors().iter().filter(|row| row.code() == "PARAM_ERROR" && !row.message().is_empty());
    if let Some(row) = own.find(|row| likely.iter().any(|words| words.contains(&letters(row.message())))) {
        return row.message().to_owned();
    }
    let fault = match violation.rule {
        "required" | "required_if" => "必填",
        "type" => "类型不符",
        "one_of" => "取值不在允许范围内",
        "length" | "width_max" => "长度不符合要求",
        "charset" => "含有不允许的字符",
        "format" => "格式不符",
        "range" | "from_now" => "超出允许范围",
        "count" => "个数不符合要求",
        "unknown" => "不是该接口的参数",
        "null" => "不允许为 null",
        "character" => "含有四字节 UTF-8 字符",
        _ => "与其他参数或调用方不符",
    };
    let label = if label.is_empty() { String::new() } else { format!("（{label}）") };
    format!("参数错误：“{field}”{label}{fault}")
}
