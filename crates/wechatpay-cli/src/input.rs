//! Requests from files, stdin and `name=value`.

use crate::output::{Failure, Output, Result};
use aws_lc_rs::digest::{SHA256, digest};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;
use wechatpay_model::operation::{Field, Shape};

/// Most bytes that are read of a file; no documented request or notification comes near it.
const LIMIT: u64 = 8 << 20;

/// The JSON in a file, or on stdin if the name is `-`.
pub(crate) fn read_json(name: &str, output: &Output) -> Result<Value> {
    let shown = shown(name);
    let failed = |problem: String| Failure::Input(format!("{shown}: {problem}"));
    let text = String::from_utf8(read(name, output).map_err(failed)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        failed(format!("is not UTF-8 (first bad byte at offset {at}); save it as UTF-8"))
    })?;
    parse(&text).map_err(|fault| Failure::Input(format!("{shown}:{}:{}: {}", fault.line, fault.column, fault.problem)))
}

/// A file name as messages name it.
pub(crate) fn shown(name: &str) -> &str {
    if name == "-" { "stdin" } else { name }
}

/// The bytes of a file, or of stdin if the name is `-`.
pub(crate) fn read(name: &str, output: &Output) -> std::result::Result<Vec<u8>, String> {
    if name != "-" {
        return read_file(Path::new(name));
    }
    if std::io::stdin().is_terminal() {
        output.hint(format_args!("reading from the terminal; end it with Ctrl-D"));
    }
    read_all(std::io::stdin().lock())
}

fn read_file(path: &Path) -> std::result::Result<Vec<u8>, String> {
    read_all(File::open(path).map_err(|error| format!("cannot be read: {error}"))?)
}

fn read_all(source: impl Read) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    source.take(LIMIT + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > LIMIT {
        return Err(format!("is larger than {LIMIT} bytes; nothing that WeChat Pay takes or sends is"));
    }
    Ok(bytes)
}

/// A file to send beside the fields of a request.
pub(crate) struct Upload {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

impl Upload {
    /// Reads the file, and fills what the operation wants to know of it where that is not given: `filename`, `sha256`.
    ///
    /// The request's own `filename` is the name that the file is sent under.
    pub(crate) fn read(path: &Path, shape: &Shape, request: &mut Value) -> Result<Self> {
        let failed = |problem: &str| Failure::Input(format!("{}: {problem}", path.display()));
        let bytes = read_file(path).map_err(|problem| failed(&problem))?;
        let name = path.file_name().and_then(OsStr::to_str).ok_or_else(|| failed("its name is not UTF-8"))?;
        let sha256 = || digest(&SHA256, &bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        fill(shape, request, "filename", || name.to_owned());
        fill(shape, request, "sha256", sha256);
        let given = request.get("filename").and_then(Value::as_str);
        Ok(Self { name: given.unwrap_or(name).to_owned(), bytes })
    }
}

/// Sets a text field that the shape knows and the request lacks.
fn fill(shape: &Shape, request: &mut Value, name: &str, text: impl FnOnce() -> String) {
    let known = matches!(shape, Shape::Object(fields)
        if field(fields, name).is_some_and(|field| matches!(field.shape(), Shape::Text(_))));
    if let Value::Object(members) = request
        && known
    {
        members.entry(name).or_insert_with(|| Value::String(text()));
    }
}

/// Where a text is not what can be sent as JSON, and why.
struct Fault {
    line: usize,
    column: usize,
    problem: String,
}

fn parse(text: &str) -> std::result::Result<Value, Fault> {
    // Some editors put a byte order mark in front, which is no JSON.
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let Strict(value) = serde_json::from_str(text).map_err(|error| {
        let problem = error.to_string();
        // The place stands in front, where editors and people look for it.
        let problem = problem.split(" at line ").next().unwrap_or_default();
        Fault { line: error.line(), column: error.column(), problem: format!("no valid JSON: {problem}") }
    })?;
    let Some(before) = before_inexact(text) else { return Ok(value) };
    Err(Fault {
        line: before.matches('\n').count() + 1,
        column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
        problem: "this number has more digits than a number keeps when it is sent; write it as a text, in quotes"
            .to_owned(),
    })
}

/// What stands before the first number of a JSON text that is another one when it is written again.
fn before_inexact(text: &str) -> Option<&str> {
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        at += match rest.as_bytes().first() {
            Some(b'"') => string_length(rest),
            Some(b'-' | b'0'..=b'9') => {
                let number = rest
                    .split(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'))
                    .next()
                    .unwrap_or_default();
                if !is_exact(number) {
                    return text.get(..at);
                }
                number.len()
            }
            _ => rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()).unwrap_or(rest.len()),
        };
    }
    None
}

/// The length of the string in quotes at the beginning.
fn string_length(text: &str) -> usize {
    let mut escaped = true;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 1)
}

/// Whether a number is the same when it has been read and written again.
fn is_exact(number: &str) -> bool {
    let read =
        || serde_json::from_str::<f64>(number).is_ok_and(|read| decimal(&format!("{read:e}")) == decimal(number));
    number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() || read()
}

/// The digits of a number without zeros around them, and the power of ten that they are multiplied with.
fn decimal(number: &str) -> Option<(String, i64)> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{part}");
    let digits = all.trim_end_matches('0');
    let shift = i64::try_from(all.len() - digits.len()).ok()? - i64::try_from(part.len()).ok()?;
    let digits = digits.trim_start_matches(['-', '0']);
    if digits.is_empty() {
        return Some((String::new(), 0));
    }
    Some((digits.to_owned(), exponent.parse::<i64>().ok()?.checked_add(shift)?))
}

/// A JSON value in which no object has a name twice: one of two amounts would be lost without a word.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the name `{name}` stands twice in one object")));
            }
            let Strict(value) = entries.next_value()?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

/// Names and texts.
type Fields<'a> = Vec<(&'a str, &'a str)>;

/// The arguments behind an operation's id: perhaps a file first, then fields. A first one with `=` is a file if it is there.
pub(crate) fn split(arguments: &[String]) -> Result<(Option<&str>, Fields<'_>)> {
    let (document, fields) = match arguments {
        [first, rest @ ..] if !first.contains('=') || Path::new(first).is_file() => (Some(first.as_str()), rest),
        rest => (None, rest),
    };
    let field = |argument: &'_ String| {
        let problem = || {
            let advice = "write NAME=VALUE; a file, or `-` for stdin, stands in front of them";
            Failure::Usage(format!("`{}` names no field; {advice}", argument.split('=').next().unwrap_or_default()))
        };
        argument.find('=').filter(|at| *at > 0).ok_or_else(problem)
    };
    let fields = fields.iter().map(|argument| {
        let at = field(argument)?;
        Ok((argument.get(..at).unwrap_or_default(), argument.get(at + 1..).unwrap_or_default()))
    });
    Ok((document, fields.collect::<Result<_>>()?))
}

/// Sets one field of a request; its text becomes what the shape of the field asks for.
///
/// A text that does not fit the shape, or a field that the shape does not know, is set as a string: the check of the
/// request then says what is wrong with it, along with everything else.
pub(crate) fn set(shape: &Shape, request: &mut Value, name: &str, text: &str) -> Result {
    let steps: Vec<String> = match name.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect(),
        None => name.split('.').map(str::to_owned).collect(),
    };
    let (mut at, mut shape) = (request, Some(shape));
    for (index, step) in steps.iter().enumerate() {
        shape = match shape {
            Some(Shape::Object(fields)) => field(fields, step).map(Field::shape),
            Some(Shape::Array { items, .. }) => Some(*items),
            _ => None,
        };
        let kind = kind(at);
        at = descend(at, step).ok_or_else(|| {
            let place = steps.iter().take(index).map(|step| format!("/{step}")).collect::<String>();
            let place = if index == 0 { "the request" } else { &place };
            let advice =
                if kind == "an array" { "it takes an index up to its length" } else { "fields are set in an object" };
            Failure::Usage(format!("`{name}`: {place} is {kind} and has no place for `{step}`; {advice}"))
        })?;
        if at.is_null()
            && let Some(Shape::Array { .. }) = shape
        {
            *at = Value::Array(Vec::new());
        }
    }
    *at = typed(shape, text);
    Ok(())
}

fn field<'a>(fields: &'a [Field], name: &str) -> Option<&'a Field> {
    fields.iter().find(|field| field.name() == name || field.alias() == Some(name))
}

/// The member or item of this name; made if it is not there, `None` if it cannot be.
fn descend<'a>(at: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    if let Value::Array(items) = at {
        let index: usize = step.parse().ok()?;
        if index == items.len() {
            items.push(Value::Null);
        }
        return items.get_mut(index);
    }
    if at.is_null() {
        *at = Value::Object(Map::new());
    }
    at.as_object_mut().map(|members| members.entry(step).or_insert(Value::Null))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn typed(shape: Option<&Shape>, text: &str) -> Value {
    let parsed = match shape {
        None | Some(Shape::Text(_)) => None,
        Some(_) => parse(text).ok(),
    };
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}
