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
    parse(&text).map_err(|error| {
        let problem = error.to_string();
        // The place stands in front, where editors and people look for it.
        let problem = problem.split(" at line ").next().unwrap_or_default();
        Failure::Input(format!("{shown}:{}:{}: no valid JSON: {problem}", error.line(), error.column()))
    })
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

fn parse(text: &str) -> serde_json::Result<Value> {
    // Some editors put a byte order mark in front, which is no JSON.
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    serde_json::from_str::<Strict>(text).map(|Strict(value)| value)
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

/// The arguments behind an operation's id: perhaps a file first, then fields.
pub(crate) fn split(arguments: &[String]) -> Result<(Option<&str>, Fields<'_>)> {
    let (document, fields) = match arguments {
        [first, rest @ ..] if !first.contains('=') => (Some(first.as_str()), rest),
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
    for step in &steps {
        shape = match shape {
            Some(Shape::Object(fields)) => field(fields, step).map(Field::shape),
            Some(Shape::Array { items, .. }) => Some(*items),
            _ => None,
        };
        at = descend(at, step).ok_or_else(|| {
            Failure::Usage(format!("`{name}` has no place for `{step}`: an array takes an index up to its length"))
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
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    at.as_object_mut().map(|members| members.entry(step).or_insert(Value::Null))
}

fn typed(shape: Option<&Shape>, text: &str) -> Value {
    let parsed = match shape {
        None | Some(Shape::Text(_)) => None,
        Some(_) => parse(text).ok(),
    };
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}
