//! The story that the demo plays: data, so that no line of code knows an operation.

use crate::catalog;
use crate::output::{Failure, Operation, Result};
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, UtcOffset};
use wechatpay_model::Spec;
use wechatpay_protocol::{Stamper, SystemStamper};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Story {
    pub(super) steps: Vec<Step>,
}

impl Story {
    pub(super) fn read() -> Result<Self> {
        serde_json::from_str(include_str!("../../demo.json")).map_err(|error| broken(&error.to_string()))
    }
}

fn broken(problem: &str) -> Failure {
    Failure::Local(format!("the built-in story cannot be played: {problem}"))
}

/// One call of the story.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// What it shows.
    pub(super) say: String,
    pub(super) call: Call,
    /// Without an async runtime.
    #[serde(default)]
    pub(super) blocking: bool,
    pub(super) expect: Expectation,
    /// Names for values of the answer, by JSON pointer: later texts have them in braces.
    #[serde(default)]
    pub(super) keep: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Call {
    /// An example of an operation, with some places set anew.
    Operation {
        operation: String,
        example: String,
        /// Whether the places that the document gets wrong are put right first.
        #[serde(default)]
        put_right: bool,
        #[serde(default)]
        set: BTreeMap<String, Value>,
    },
    /// Any path.
    Path { method: String, path: String, body: Option<Value> },
}

impl Call {
    pub(super) fn by(&self) -> &'static str {
        match self {
            Self::Operation { .. } => "operation",
            Self::Path { .. } => "path",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Expectation {
    /// A verified answer.
    Answered,
    /// Exactly the violations that the example is known for, and nothing sent.
    Invalid,
    /// A signed refusal.
    Refused { status: u16, code: String },
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered => f.write_str("a verified answer"),
            Self::Invalid => f.write_str("to be refused unsent, with the violations listed at the example"),
            Self::Refused { status, code } => write!(f, "the signed refusal {status} {code}"),
        }
    }
}

/// A call whose values are all known.
#[derive(Debug, Clone)]
pub(super) enum Request {
    Operation {
        spec: &'static Spec,
        arguments: Value,
        /// What differs from the example.
        changed: BTreeMap<String, Value>,
        /// Place and rule of every violation that the example is known for.
        violations: Vec<(String, String)>,
    },
    Path {
        method: Method,
        path: String,
        body: Option<Value>,
    },
}

impl Request {
    pub(super) fn make(call: &Call, names: &Names) -> Result<Self> {
        match call {
            Call::Path { method, path, body } => Ok(Self::Path {
                method: method.parse().map_err(|_| broken(&format!("`{method}` is no method")))?,
                path: names.fill(path)?,
                body: body.clone().map(|body| names.fill_value(body)).transpose()?,
            }),
            Call::Operation { operation, example, put_right, set } => {
                let spec = catalog::operation(operation)?;
                let schema: Value = catalog::schema(spec.id(), spec.schema())?;
                let examples = schema.get("examples").and_then(Value::as_array).into_iter().flatten();
                let example = examples
                    .into_iter()
                    .find(|known| known.get("name").and_then(Value::as_str) == Some(example))
                    .ok_or_else(|| broken(&format!("{operation} has no example `{example}`")))?;
                let mut arguments = example.get("request").cloned().unwrap_or_default();
                let corrections = example.get("put_right").and_then(Value::as_object).filter(|_| *put_right);
                let mut changed = BTreeMap::new();
                for (pointer, value) in corrections.into_iter().flatten().chain(set) {
                    changed.insert(pointer.clone(), names.fill_value(value.clone())?);
                }
                for (pointer, value) in &changed {
                    put(&mut arguments, pointer, value.clone())?;
                }
                Ok(Self::Operation { spec, arguments, changed, violations: violations(example) })
            }
        }
    }

    pub(super) fn operation(&self) -> Operation {
        match self {
            Self::Operation { spec, .. } => Operation::known(spec),
            Self::Path { method, path, .. } => Operation::raw(method, path),
        }
    }

    /// The request line, for people.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Operation { spec, .. } => format!("{}: {} {}", spec.id(), spec.method().as_str(), spec.path()),
            Self::Path { method, path, .. } => format!("{method} {path}"),
        }
    }

    /// Place and new value of everything that differs from the example.
    pub(super) fn changed(&self) -> impl Iterator<Item = (&String, &Value)> {
        let changed = match self {
            Self::Operation { changed, .. } => Some(changed),
            Self::Path { .. } => None,
        };
        changed.into_iter().flatten()
    }

    /// Place and rule of every violation that the example is known for.
    pub(super) fn violations(&self) -> Vec<(&str, &str)> {
        match self {
            Self::Operation { violations, .. } => violations.iter().map(|(at, rule)| (&**at, &**rule)).collect(),
            Self::Path { .. } => Vec::new(),
        }
    }
}

fn violations(example: &Value) -> Vec<(String, String)> {
    let text = |violation: &Value, key: &str| violation.get(key).and_then(Value::as_str).map(str::to_owned);
    let listed = example.get("violations").and_then(Value::as_array).into_iter().flatten();
    listed.filter_map(|violation| Some((text(violation, "at")?, text(violation, "rule")?))).collect()
}

/// Sets the member at a pointer whose parent is there.
fn put(arguments: &mut Value, pointer: &str, value: Value) -> Result {
    let place = pointer.rsplit_once('/').and_then(|(parent, name)| {
        let members = arguments.pointer_mut(parent)?.as_object_mut()?;
        Some(members.entry(name).or_insert(Value::Null))
    });
    *place.ok_or_else(|| broken(&format!("the request has no place {pointer}")))? = value;
    Ok(())
}

/// What stands for the names in braces.
#[derive(Debug)]
pub(super) struct Names {
    known: BTreeMap<String, String>,
    now: i64,
}

impl Names {
    pub(super) fn new(mchid: &str) -> Self {
        Self { known: BTreeMap::from([("mchid".to_owned(), mchid.to_owned())]), now: SystemStamper.now() }
    }

    /// Remembers values of an answer under their names.
    pub(super) fn keep(&mut self, places: &BTreeMap<String, String>, answer: &Value) -> Result {
        for (name, pointer) in places {
            let value = answer.pointer(pointer).and_then(Value::as_str);
            let value = value.ok_or_else(|| broken(&format!("an answer has no text at {pointer}")))?;
            self.known.insert(name.clone(), value.to_owned());
        }
        Ok(())
    }

    fn fill_value(&self, value: Value) -> Result<Value> {
        Ok(match value {
            Value::String(text) => Value::String(self.fill(&text)?),
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.fill_value(item)).collect::<Result<_>>()?)
            }
            Value::Object(members) => {
                let filled = members.into_iter().map(|(name, member)| Ok((name, self.fill_value(member)?)));
                Value::Object(filled.collect::<Result<Map<_, _>>>()?)
            }
            plain => plain,
        })
    }

    fn fill(&self, text: &str) -> Result<String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) =
                after.split_once('}').ok_or_else(|| broken(&format!("`{text}` has a brace without its other")))?;
            filled.push_str(before);
            filled.push_str(&self.value(name)?);
            rest = behind;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// The value of a name; `now+3d` is the time in three days.
    fn value(&self, name: &str) -> Result<String> {
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        let days = name.strip_prefix("now+").and_then(|rest| rest.strip_suffix('d')).and_then(|days| days.parse().ok());
        let time = days.and_then(|days| self.in_days(days));
        time.ok_or_else(|| broken(&format!("nothing is known as `{name}`: the call that should have given it failed")))
    }

    fn in_days(&self, days: i64) -> Option<String> {
        let beijing = UtcOffset::from_hms(8, 0, 0).ok()?;
        let time = OffsetDateTime::from_unix_timestamp(self.now).ok()?.checked_add(Duration::days(days))?;
        time.to_offset(beijing).format(&Rfc3339).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_can_be_read_and_its_examples_exist() {
        let mut names = Names::new("1900000001");
        for step in Story::read().unwrap().steps {
            Request::make(&step.call, &names).unwrap();
            names.known.extend(step.keep.into_keys().map(|name| (name, "1".to_owned())));
        }
    }

    #[test]
    fn braces_stand_for_values() {
        let names = Names { known: BTreeMap::from([("a".to_owned(), "1".to_owned())]), now: 1_700_000_000 };
        assert_eq!(names.fill("/x/{a}?y={a}").unwrap(), "/x/1?y=1");
        assert_eq!(names.fill("{now+1d}").unwrap(), "2023-11-16T06:13:20+08:00");
        for wrong in ["{b}", "{a", "{now+d}", "{now+999999999999d}"] {
            assert!(names.fill(wrong).is_err(), "{wrong}");
        }
    }
}
