//! The JSON Schema reading of requests: each schema file, made strict and compiled.

use jsonschema::error::{ValidationError, ValidationErrorKind};
use jsonschema::{Draft, PatternOptions, Validator};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use wechatpay_model::Spec;

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Violation {
    /// JSON pointer into the flat request: path, query, header and body fields side by side.
    pub at: String,
    /// Name of the limit, as the schema files call it.
    pub rule: &'static str,
    /// What is wrong.
    pub issue: String,
}

/// The schema of one operation, ready to judge requests.
pub(crate) struct Form {
    /// The schema of the request, or of the payload of a notification.
    request: Value,
    rules: Vec<Value>,
    examples: Vec<Value>,
    validator: Validator,
    /// Whether any field has a misspelling that is read as it.
    aliased: bool,
}

/// Forms are compiled when they are first asked for: a sandbox must start fast, and few runs need all of them.
#[derive(Default)]
pub(crate) struct Forms(Mutex<HashMap<&'static str, Arc<Form>>>);

impl Forms {
    pub(crate) fn get(&self, spec: &'static Spec) -> Result<Arc<Form>, String> {
        let mut forms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(form) = forms.get(spec.id()) {
            return Ok(Arc::clone(form));
        }
        let form = Arc::new(Form::compile(spec.schema()).map_err(|why| format!("schema of {}: {why}", spec.id()))?);
        forms.insert(spec.id(), Arc::clone(&form));
        Ok(form)
    }
}

impl Form {
    /// Compiles the text of an operation's schema file.
    fn compile(text: &str) -> Result<Self, String> {
        Self::compile_part(text, "request")
    }

    /// Compiles the text of a notification's schema file.
    pub(crate) fn of_payload(text: &str) -> Result<Self, String> {
        Self::compile_part(text, "payload")
    }

    fn compile_part(text: &str, part: &str) -> Result<Self, String> {
        let mut file: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut take = |name: &str| file.get_mut(name).map(Value::take).unwrap_or_default();
        let (mut request, definitions) = (take(part), take("definitions"));
        let list = |value| if let Value::Array(items) = value { items } else { Vec::new() };
        let (rules, examples) = (list(take("rules")), list(take("examples")));
        if let (Value::Object(request), Value::Object(definitions)) = (&mut request, definitions) {
            request.insert("definitions".to_owned(), Value::Object(definitions));
        }
        let mut strict = request.clone();
        tighten(&mut strict);
        let options = jsonschema::options().with_draft(Draft::Draft7).should_validate_formats(true);
        // No pattern looks around or back, and this engine takes linear time.
        let options = options.with_pattern_options(PatternOptions::regex());
        let validator = options.build(&strict).map_err(|error| error.to_string())?;
        let aliased = text.contains("\"x-alias\"");
        Ok(Self { request, rules, examples, validator, aliased })
    }

    /// Reads misspellings of published documents as the fields they mean; where both stand, the misspelling stays.
    pub(crate) fn resolve_aliases(&self, request: &mut Value) {
        if self.aliased {
            self.rename(&self.request, request);
        }
    }

    fn rename(&self, schema: &Value, value: &mut Value) {
        let schema = self.resolve(schema);
        match value {
            Value::Object(fields) => {
                let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
                for (name, property) in properties {
                    if let Some(alias) = property.get("x-alias").and_then(Value::as_str)
                        && !fields.contains_key(name)
                        && let Some(value) = fields.remove(alias)
                    {
                        fields.insert(name.clone(), value);
                    }
                    if let Some(value) = fields.get_mut(name) {
                        self.rename(property, value);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    items.iter_mut().for_each(|item| self.rename(schema, item));
                }
            }
            _ => {}
        }
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
        target.and_then(|pointer| self.request.pointer(pointer)).unwrap_or(schema)
    }

    /// The schema itself.
    pub(crate) fn root(&self) -> &Value {
        &self.request
    }

    /// The schema of a field or item of what this schema describes.
    pub(crate) fn below<'a>(&'a self, schema: &'a Value, step: &str) -> Option<&'a Value> {
        let schema = self.resolve(schema);
        schema.get("properties").and_then(|fields| fields.get(step)).or_else(|| schema.get("items"))
    }

    /// The JSON type that a schema asks for.
    pub(crate) fn type_of<'a>(&'a self, schema: &'a Value) -> Option<&'a str> {
        self.resolve(schema).get("type").and_then(Value::as_str)
    }

    /// This part of the first example.
    pub(crate) fn example(&self, part: &str) -> Option<&Value> {
        self.examples.first()?.get(part)
    }

    /// All violations of the schema; the rules are apart.
    pub(crate) fn violations(&self, request: &Value) -> Vec<Violation> {
        let (mut found, mut forbidden) = (Vec::new(), Vec::new());
        // Most requests are right, and to say so is much less work than to look for what is wrong.
        if !self.validator.is_valid(request) {
            for error in self.validator.iter_errors(request) {
                translate(&error, &mut found);
            }
        }
        // One fault is reported once: nothing is said about what is inside an unknown or mistyped field, and a value that
        // no request may have, or of the wrong type, breaks no other limit. There may be as many as fit into a body.
        let unread = Unread::of(&found);
        forbid(request, Place::Root, &unread, &mut forbidden);
        let named: HashSet<&str> = forbidden.iter().map(|violation| violation.at.as_str()).collect();
        found.retain(|Violation { at, rule, .. }| {
            !named.contains(at.as_str()) && (*rule == "type" || !unread.mistyped.contains(at))
        });
        forbidden.append(&mut found);
        forbidden
    }

    /// The Chinese label of a place, the nearest one above it if it has none.
    pub(crate) fn label(&self, pointer: &str) -> Option<&str> {
        let mut schema = &self.request;
        let mut label = None;
        for step in pointer.split('/').skip(1) {
            let resolved = self.resolve(schema);
            let name = step.replace("~1", "/").replace("~0", "~");
            let properties = resolved.get("properties");
            let Some(next) = properties.and_then(|all| all.get(&name)).or_else(|| resolved.get("items")) else { break };
            label = next.get("title").and_then(Value::as_str).or(label);
            schema = next;
        }
        label
    }

    pub(crate) fn rules(&self) -> &[Value] {
        &self.rules
    }

    /// The answer of the first accepted example that has one.
    pub(crate) fn canned(&self) -> Option<&Value> {
        self.examples.iter().filter(|example| example.get("violations").is_none()).find_map(|e| e.get("response"))
    }
}

/// Places of a request whose inside nobody reads.
struct Unread {
    unknown: HashSet<String>,
    mistyped: HashSet<String>,
}

impl Unread {
    fn of(found: &[Violation]) -> Self {
        let places = |rule| found.iter().filter(move |other| other.rule == rule).map(|other| other.at.clone());
        Self { unknown: places("unknown").collect(), mistyped: places("type").collect() }
    }

    fn holds(&self, place: Place<'_>) -> bool {
        let at = place.pointer();
        self.unknown.contains(&at) || self.mistyped.contains(&at)
    }

    /// Whether to say that the place is unknown, or mistyped, says this too.
    fn tells(&self, at: &str, rule: &str) -> bool {
        self.unknown.contains(at) || matches!(rule, "character" | "range") && self.mistyped.contains(at)
    }
}

/// Reports what no request may hold, whatever its schema.
fn forbid(value: &Value, place: Place<'_>, unread: &Unread, found: &mut Vec<Violation>) {
    match value {
        Value::Array(items) if !unread.holds(place) => {
            for (index, item) in items.iter().enumerate() {
                forbid(item, Place::Item(&place, index), unread, found);
            }
        }
        Value::Object(fields) if !unread.holds(place) => {
            for (name, field) in fields {
                forbid(field, Place::Field(&place, name), unread, found);
            }
        }
        _ => {
            let Some((rule, issue)) = forbidden(value) else { return };
            let at = place.pointer();
            if !unread.tells(&at, rule) {
                found.push(Violation { at, rule, issue: issue.to_owned() });
            }
        }
    }
}

/// Rule and issue of what no request may hold: `null`, characters beyond the basic plane, numbers of more than 64 bits,
/// and numbers that are written as fractions or with an exponent. JSON Schema takes `1.0` for an integer, this wire does not.
fn forbidden(value: &Value) -> Option<(&'static str, &'static str)> {
    match value {
        Value::Null => Some(("null", "null is not allowed")),
        Value::Number(number) if number.is_f64() => Some(("type", "is no integer of 64 bits")),
        Value::Number(number) if number.as_i64().is_none() => Some(("range", "does not fit 64 bits with a sign")),
        Value::String(text) if text.bytes().any(|byte| byte >= 0xF0) => {
            Some(("character", "has a character of four UTF-8 bytes"))
        }
        _ => None,
    }
}

/// A place in a request, whose pointer is written only where it is needed.
#[derive(Clone, Copy)]
enum Place<'a> {
    Root,
    Field(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl Place<'_> {
    fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Field(above, name) => format!("{}/{}", above.pointer(), escape(name)),
            Self::Item(above, index) => format!("{}/{index}", above.pointer()),
        }
    }
}

/// A step of a JSON pointer, escaped as RFC 6901 says.
fn escape(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

/// A validator's error in the words of the schema files.
fn translate(error: &ValidationError<'_>, found: &mut Vec<Violation>) {
    use ValidationErrorKind as Kind;
    let place = error.instance_path().to_string();
    let mut add = |at: String, rule, issue: String| found.push(Violation { at, rule, issue });
    let child = |name: &str| format!("{place}/{}", escape(name));
    match error.kind() {
        Kind::Required { property } => {
            add(child(property.as_str().unwrap_or_default()), "required", "is required and missing".to_owned());
        }
        Kind::AdditionalProperties { unexpected } => {
            for name in unexpected {
                add(child(name), "unknown", "is no field of this operation".to_owned());
            }
        }
        Kind::Type { .. } => add(place, "type", "is of another JSON type".to_owned()),
        Kind::Enum { options } => add(place, "one_of", format!("must be one of {options}")),
        Kind::MinLength { limit } => add(place, "length", format!("must have at least {limit} characters")),
        Kind::MaxLength { limit } => add(place, "length", format!("must have at most {limit} characters")),
        Kind::Pattern { pattern } if pattern.starts_with(ALTERNATIVES) => {
            add(place, "one_of", "is none of the allowed values".to_owned());
        }
        Kind::Pattern { pattern } => add(place, "charset", format!("must match {pattern}")),
        Kind::Format { format } => add(place, "format", format!("is no {format} of RFC 3339 with an offset")),
        Kind::Minimum { limit } => add(place, "range", format!("must be at least {limit}")),
        Kind::Maximum { limit } => add(place, "range", format!("must be at most {limit}")),
        Kind::MinItems { limit } => add(place, "count", format!("must have at least {limit} items")),
        Kind::MaxItems { limit } => add(place, "count", format!("must have at most {limit} items")),
        other => add(place, "schema", format!("breaks {}", other.keyword())),
    }
}

/// How the pattern of a case-blind `enum` begins.
const ALTERNATIVES: &str = "^(?:";

/// Adds to a schema what all requests keep to: objects are closed, arrays are not empty; and
/// says in plain JSON Schema what the files say in words of their own.
fn tighten(schema: &mut Value) {
    let Value::Object(node) = schema else { return };
    match node.get("type").and_then(Value::as_str) {
        Some("object") => {
            node.insert("additionalProperties".to_owned(), json!(false));
        }
        Some("array") => {
            let least = node.get("minItems").and_then(Value::as_u64).unwrap_or(1).max(1);
            node.insert("minItems".to_owned(), json!(least));
        }
        _ => {}
    }
    if let Some((class, least, most)) = node.get("pattern").and_then(Value::as_str).and_then(split_pattern) {
        node.insert("pattern".to_owned(), json!(format!("^{class}*$")));
        node.insert("minLength".to_owned(), json!(least));
        if let Some(most) = most {
            node.insert("maxLength".to_owned(), json!(most));
        }
    }
    if node.get("x-case-blind") == Some(&Value::Bool(true))
        && let Some(Value::Array(values)) = node.remove("enum")
    {
        let values: Vec<_> = values.iter().filter_map(Value::as_str).map(case_blind).collect();
        node.insert("pattern".to_owned(), json!(format!("{ALTERNATIVES}{})$", values.join("|"))));
    }
    for name in ["properties", "definitions"] {
        if let Some(Value::Object(schemas)) = node.get_mut(name) {
            schemas.values_mut().for_each(tighten);
        }
    }
    if let Some(items) = node.get_mut("items") {
        tighten(items);
    }
}

/// `^[class]{m,n}$` or `^[class]{m,}$` in its parts, so that length and characters are reported apart.
fn split_pattern(pattern: &str) -> Option<(&str, u64, Option<u64>)> {
    let (class, bounds) = pattern.strip_prefix('^')?.strip_suffix("}$")?.rsplit_once('{')?;
    let (least, most) = bounds.split_once(',').unwrap_or((bounds, bounds));
    let most = if most.is_empty() { None } else { Some(most.parse().ok()?) };
    Some((class, least.parse().ok()?, most))
}

/// A pattern for the text in either case.
fn case_blind(text: &str) -> String {
    let either = |c: char| {
        if c.is_ascii_alphabetic() {
            format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase())
        } else if c.is_alphanumeric() || c == '_' {
            c.to_string()
        } else {
            format!("\\{c}")
        }
    };
    text.chars().map(either).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        Form::compile(
            &json!({
                "request": {
                    "type": "object",
                    "required": ["name", "inner"],
                    "properties": {
                        "name": {"type": "string", "title": "名称", "pattern": "^[0-9A-Za-z|_*\\-]{1,4}$"},
                        "inner": {"$ref": "#/definitions/Inner", "title": "内层"},
                        "count": {"type": "integer", "minimum": 1},
                        "color": {"$ref": "#/definitions/Color"},
                        "days": {"type": "array", "items": {"type": "integer", "enum": [0, 1]}},
                        "time": {"type": "string", "format": "date-time", "maxLength": 32}
                    }
                },
                "definitions": {
                    "Inner": {
                        "type": "object", "required": [],
                        "properties": {"right": {"type": "boolean", "title": "对", "x-alias": "wrong"}}
                    },
                    "Color": {"type": "string", "enum": ["Color010", "A.B"], "x-case-blind": true}
                },
                "rules": [], "examples": [{"violations": []}, {"response": {"a": 1}}]
            })
            .to_string(),
        )
        .unwrap()
    }

    fn found(request: Value) -> Vec<String> {
        form().violations(&request).iter().map(|violation| format!("{} {}", violation.rule, violation.at)).collect()
    }

    #[test]
    fn what_is_right_passes() {
        let request = json!({
            "name": "a*-|", "inner": {"right": true}, "count": i64::MAX, "color": "cOLOR010", "days": [1],
            "time": "2015-05-20T13:29:35.120+08:00"
        });
        assert_eq!(found(request), [""; 0]);
    }

    #[test]
    fn each_fault_is_reported_once_and_by_its_name() {
        for (request, wanted) in [
            (json!({"inner": {}}), "required /name"),
            (json!({"name": "", "inner": {}}), "length /name"),
            (json!({"name": "abcde", "inner": {}}), "length /name"),
            (json!({"name": "a\n", "inner": {}}), "charset /name"),
            (json!({"name": 1, "inner": {}}), "type /name"),
            (json!({"name": null, "inner": {}}), "null /name"),
            (json!({"name": "a😀", "inner": {}}), "character /name"),
            (json!({"name": "a", "inner": {"x/y": 1}}), "unknown /inner/x~1y"),
            (json!({"name": "a", "inner": {"x": [null, 1.5]}}), "unknown /inner/x"),
            (json!({"name": "a", "inner": {"x": null}}), "unknown /inner/x"),
            (json!({"name": {"x": [null, 1.5]}, "inner": {}}), "type /name"),
            (json!({"name": u64::MAX, "inner": {}}), "type /name"),
            (json!({"name": 1.5, "inner": {}}), "type /name"),
            (json!({"name": "a", "inner": {}, "count": "😀"}), "type /count"),
            (json!({"name": "a", "inner": {}, "count": 0}), "range /count"),
            (json!({"name": "a", "inner": {}, "count": 1.0}), "type /count"),
            (json!({"name": "a", "inner": {}, "count": 1e300}), "type /count"),
            (json!({"name": "a", "inner": {}, "count": u64::MAX}), "range /count"),
            (json!({"name": "a", "inner": {}, "color": "AxB"}), "one_of /color"),
            (json!({"name": "a", "inner": {}, "color": 3}), "type /color"),
            (json!({"name": "a", "inner": {}, "days": []}), "count /days"),
            (json!({"name": "a", "inner": {}, "days": [0, 2]}), "one_of /days/1"),
            (json!({"name": "a", "inner": {}, "days": [1.0]}), "type /days/0"),
            (json!({"name": "a", "inner": {}, "time": ""}), "format /time"),
            (json!({"name": "a", "inner": {}, "time": "2015-02-29T13:29:35+08:00"}), "format /time"),
        ] {
            assert_eq!(found(request.clone()), [wanted], "{request}");
        }
    }

    /// Work and memory grow with what is wrong, not with its square: that would be many minutes here, and gigabytes.
    #[test]
    fn much_that_is_wrong_is_reported_as_little_is() {
        let (many, long) = (100_000, "x".repeat(100_000));
        let places = |rule| (0..many).map(|index| format!("{rule} /days/{index}")).collect::<Vec<_>>();
        let request = |days, inner| json!({"name": "a", "inner": inner, "days": vec![days; many]});
        assert_eq!(found(request(json!(1.5), json!({}))), places("type"));
        assert_eq!(found(request(json!("a"), json!({}))), places("type"));
        assert_eq!(found(request(Value::Null, json!({}))), places("null"));
        assert_eq!(found(request(json!(2), json!({}))), places("one_of"));
        let unread = json!({"name": "a", "inner": {&long: vec![Value::Null; many]}});
        assert_eq!(found(unread), [format!("unknown /inner/{long}")]);
    }

    #[test]
    fn misspellings_are_read_and_labels_found() {
        let form = form();
        let mut request = json!({"name": "a", "inner": {"wrong": true}});
        form.resolve_aliases(&mut request);
        assert_eq!(request, json!({"name": "a", "inner": {"right": true}}));
        let mut both = json!({"name": "a", "inner": {"wrong": true, "right": false}});
        form.resolve_aliases(&mut both);
        assert_eq!(form.violations(&both).len(), 1);
        assert_eq!(form.label("/inner/right"), Some("对"));
        assert_eq!(form.label("/inner/none"), Some("内层"));
        assert_eq!(form.label("/none"), None);
        assert_eq!(form.canned(), Some(&json!({"a": 1})));
    }

    #[test]
    fn all_schemas_compile() {
        let forms = Forms::default();
        for spec in wechatpay_model::operations() {
            forms.get(spec).unwrap();
        }
    }
}
