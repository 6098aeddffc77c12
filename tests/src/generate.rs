//! JSON made from the embedded schemas: everything that they allow, and at the edges of it.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

/// What travels, and what a type that has read it writes.
///
/// The two differ where there is more than one way to say a thing: an empty list is absence, a misspelling is read as
/// the field that it means, `null` and what is not known are passed over.
pub type Pair = (Value, Value);

/// A runner that makes the same values every time and keeps no files.
pub fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// An embedded schema document.
pub struct Schema(Value);

impl Schema {
    /// Reads what [`Spec::schema`](wechatpay_model::Spec::schema) gives.
    pub fn new(text: &str) -> Self {
        Self(serde_json::from_str(text).expect("the embedded schema is JSON"))
    }

    /// Requests that keep to the schema; the rules beside it are not looked at.
    pub fn requests(&self) -> BoxedStrategy<Pair> {
        Maker { document: &self.0, lenient: false, edges: false }.value(&self.0["request"])
    }

    /// Requests at the limits of the schema: many a value is the last that is allowed, or the first that is not.
    pub fn requests_at_the_limits(&self) -> BoxedStrategy<Value> {
        let maker = Maker { document: &self.0, lenient: false, edges: true };
        maker.value(&self.0["request"]).prop_map(|(read, _)| read).boxed()
    }

    /// Answers, and what may be read in place of them; `None` where there is nothing to read.
    pub fn answers(&self) -> Option<BoxedStrategy<Pair>> {
        self.read("response")
    }

    /// Payloads of a notification, and what may be read in place of them.
    pub fn payloads(&self) -> Option<BoxedStrategy<Pair>> {
        self.read("payload")
    }

    fn read(&self, key: &str) -> Option<BoxedStrategy<Pair>> {
        Some(Maker { document: &self.0, lenient: true, edges: false }.value(self.0.get(key)?))
    }

    /// Looks at every field of a request that its schema knows: name, schema and value.
    pub fn walk_request(&self, request: &mut Value, look: &mut impl FnMut(&str, &Value, &mut Value)) {
        walk(Maker { document: &self.0, lenient: false, edges: false }, &self.0["request"], request, look);
    }

    /// Takes away what a request need not say.
    pub fn only_required(&self, request: &mut Value) {
        let required = self.0["request"]["required"].as_array().cloned().unwrap_or_default();
        if let Value::Object(fields) = request {
            fields.retain(|name, _| required.iter().any(|required| required == name));
        }
    }

    /// The schema of the answer as a document of its own, for a validator.
    pub fn answer_document(&self) -> Option<Value> {
        let mut document = json!({ "allOf": [self.0.get("response")?] });
        document["definitions"] = self.0["definitions"].clone();
        Some(document)
    }
}

fn walk(maker: Maker<'_>, node: &Value, value: &mut Value, look: &mut impl FnMut(&str, &Value, &mut Value)) {
    let node = maker.follow(node);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| walk(maker, &node["items"], item, look)),
        Value::Object(fields) => {
            for (name, field) in fields {
                look(name, maker.follow(&node["properties"][name]), field);
                walk(maker, &node["properties"][name], field, look);
            }
        }
        _ => {}
    }
}

#[derive(Clone, Copy)]
struct Maker<'a> {
    document: &'a Value,
    /// Whether limits are documentation only, and values and fields may turn up that nobody knows.
    lenient: bool,
    /// Whether limits are sought, and overstepped by one.
    edges: bool,
}

impl Maker<'_> {
    fn value(self, node: &Value) -> BoxedStrategy<Pair> {
        let node = self.follow(node);
        match node["type"].as_str() {
            Some("object") => self.object(node),
            Some("array") => self.array(node),
            Some("string") => self.text(node),
            Some("integer") => self.integer(node),
            Some("number") => same((-1_000_000i64..1_000_000).prop_map(|n| json!(n as f64 + 0.5))),
            Some("boolean") => same(any::<bool>().prop_map(Value::from)),
            other => panic!("a schema of type {other:?}: {node}"),
        }
    }

    fn follow<'a>(self, node: &'a Value) -> &'a Value
    where
        Self: 'a,
    {
        let Some(reference) = node["$ref"].as_str() else { return node };
        self.document.pointer(reference.trim_start_matches('#')).expect("the reference leads somewhere")
    }

    fn object(self, node: &Value) -> BoxedStrategy<Pair> {
        let required = node["required"].as_array().cloned().unwrap_or_default();
        let properties = node["properties"].as_object().expect("an object has properties");
        let fields: Vec<_> = properties
            .iter()
            .map(|(name, field)| self.field(name, field, required.iter().any(|required| required == name)))
            .collect();
        let unknown = if self.lenient { 0.1 } else { 0.0 };
        (fields, proptest::bool::weighted(unknown))
            .prop_map(|(fields, unknown)| {
                let (mut read, mut written) = (json!({}), json!({}));
                for field in fields {
                    if let Some((name, value)) = field.read {
                        read[name] = value;
                    }
                    if let Some((name, value)) = field.written {
                        written[name] = value;
                    }
                }
                if unknown {
                    read["field_of_tomorrow"] = json!({ "a": [1, null] });
                }
                (read, written)
            })
            .boxed()
    }

    fn field(self, name: &str, node: &Value, required: bool) -> BoxedStrategy<Field> {
        let name = name.to_owned();
        let alias = node["x-alias"].as_str().map(str::to_owned);
        let blank = node["x-blank"] == json!(true);
        let lenient = self.lenient;
        let list = self.follow(node)["type"] == json!("array");
        (self.value(node), 0..20u8)
            .prop_map(move |((read, written), dice)| {
                let absent = |read: Option<Value>| Field { read: read.map(|v| (name.clone(), v)), written: None };
                match dice {
                    0..8 if !required => absent(None),
                    8 if !required && lenient => absent(Some(Value::Null)),
                    9 if !required && lenient && list => absent(Some(json!([]))),
                    10 if !required && blank => absent(Some(json!(""))),
                    // Either way to write absence was dealt with above.
                    _ if !required && (written == json!([]) || blank && written == json!("")) => absent(None),
                    11..14 if alias.is_some() => {
                        let alias = alias.clone().unwrap_or_default();
                        Field { read: Some((alias, read)), written: Some((name.clone(), written)) }
                    }
                    _ => Field { read: Some((name.clone(), read)), written: Some((name.clone(), written)) },
                }
            })
            .boxed()
    }

    fn array(self, node: &Value) -> BoxedStrategy<Pair> {
        let least = size(&node["minItems"]).unwrap_or(0).max(usize::from(!self.lenient));
        let most = size(&node["maxItems"]).unwrap_or(least + 3);
        let usual = vec(self.value(&node["items"]), least..=most.min(least + 2));
        // A list of full length is worth its time only now and then, and only where it is not endless.
        let full = vec(self.value(&node["items"]), most..=most);
        let beyond = vec(self.value(&node["items"]), most + 1..=most + 1);
        let edge = if self.edges && most <= 60 { 8 } else { 0 };
        prop_oneof![50 => usual, u32::from(most <= 200) => full, edge => beyond].prop_map(both).boxed()
    }

    fn text(self, node: &Value) -> BoxedStrategy<Pair> {
        if node["format"] == json!("date-time") {
            return same(times().prop_map(Value::from));
        }
        if let Some(values) = node["enum"].as_array() {
            return self.one_of(node, values);
        }
        let pattern = node["pattern"].as_str().map(|pattern| class(pattern).expect("a pattern of the usual form"));
        let (charset, least, most) = pattern.unwrap_or_else(|| (any_character(), 0, None));
        let least = size(&node["minLength"]).unwrap_or(0).max(least);
        let most = size(&node["maxLength"]).into_iter().chain(most).min();
        if self.edges {
            return same(texts_at_the_limits(charset, least, most));
        }
        let keeps = texts(charset, least, most);
        if !self.lenient {
            return same(keeps.prop_map(Value::from));
        }
        let other = texts("a\u{1f600}字\" \\\u{7f}".chars().collect(), 0, Some(40));
        same(prop_oneof![4 => keeps, 1 => other].prop_map(Value::from))
    }

    fn one_of(self, node: &Value, values: &[Value]) -> BoxedStrategy<Pair> {
        let mut spellings: Vec<Pair> = values.iter().map(|value| (value.clone(), value.clone())).collect();
        let named = |value: &Value| node["x-variants"][value.as_str().unwrap_or_default()]["alias"].as_array().cloned();
        for value in values {
            spellings.extend(named(value).unwrap_or_default().into_iter().map(|alias| (alias, value.clone())));
        }
        if node["x-case-blind"] == json!(true) {
            let other_case = |value: &Value| json!(value.as_str().unwrap_or_default().to_ascii_lowercase());
            spellings.extend(values.iter().map(|value| (other_case(value), other_case(value))));
        }
        let known = select(spellings);
        if !self.lenient {
            return known.boxed();
        }
        let unknown = texts("AZ_09z".chars().collect(), 1, Some(12)).prop_map(|text| json!(text + "?"));
        prop_oneof![4 => known, 1 => same(unknown)].boxed()
    }

    fn integer(self, node: &Value) -> BoxedStrategy<Pair> {
        if let Some(values) = node["enum"].as_array() {
            return same(select(values.clone()));
        }
        let bound = |key: &str| node[key].as_i64();
        let (least, most) = (bound("minimum").unwrap_or(i64::MIN), bound("maximum").unwrap_or(i64::MAX));
        let middle = least.max(-1000)..=most.min(least.max(0).saturating_add(100_000));
        let last = select(vec![least, most]);
        let beyond = select(vec![least.saturating_sub(1), most.saturating_add(1)]);
        let keeps = prop_oneof![6 => middle, 1 => last, u32::from(self.edges) => beyond];
        let everything = if self.lenient { 1 } else { 0 };
        same(prop_oneof![4 => keeps, everything => any::<i64>()].prop_map(Value::from))
    }
}

/// One field of an object, if it is there: name and value.
#[derive(Debug, Clone)]
struct Field {
    read: Option<(String, Value)>,
    written: Option<(String, Value)>,
}

/// Written as it was read.
fn same(values: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Pair> {
    values.prop_map(|value| (value.clone(), value)).boxed()
}

fn both(items: Vec<Pair>) -> Pair {
    let (read, written): (Vec<_>, Vec<_>) = items.into_iter().unzip();
    (Value::Array(read), Value::Array(written))
}

fn size(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|size| usize::try_from(size).ok())
}

/// Texts of these characters; shrinks to short ones of the first of them.
fn texts(characters: Vec<char>, least: usize, most: Option<usize>) -> impl Strategy<Value = String> {
    let usual = least..=most.unwrap_or(usize::MAX).min(least + 12);
    let full = most.filter(|most| *most <= 1024).unwrap_or(least);
    (prop_oneof![9 => usual, 1 => Just(full)], any::<u64>()).prop_map(move |(length, seed)| {
        let mut state = seed;
        let mut next = || {
            let character = characters[usize::try_from(state >> 33).unwrap_or(0) % characters.len()];
            if seed != 0 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            }
            character
        };
        (0..length).map(|_| next()).collect()
    })
}

/// Texts of which some are as short or as long as they may be, or one longer or shorter, or end with another character.
fn texts_at_the_limits(characters: Vec<char>, least: usize, most: Option<usize>) -> impl Strategy<Value = Value> {
    let longest = most.unwrap_or(least + 12);
    let exactly = |length: usize| texts(characters.clone(), length, Some(length));
    let lengths = prop_oneof![
        12 => texts(characters.clone(), least, most),
        1 => exactly(least.saturating_sub(1)),
        1 => exactly(least),
        1 => exactly(longest),
        1 => exactly(longest + 1),
    ];
    (lengths, proptest::option::weighted(0.1, proptest::char::range(' ', '~'))).prop_map(|(mut text, other)| {
        if let Some(other) = other {
            text.pop();
            text.push(other);
        }
        text.into()
    })
}

/// What a text without a pattern may hold in a request: all of the basic plane, here its corners.
fn any_character() -> Vec<char> {
    "aZ0 _,;|*-/=&?%+\"\\\n字券\u{e9}\u{ffff}".chars().collect()
}

/// Times in the forms that are seen on the wire.
fn times() -> impl Strategy<Value = String> {
    let date = (2015..2035u16, 1..=12u8, 1..=28u8);
    let time = (0..24u8, 0..60u8, 0..60u8);
    let fraction = select(vec!["", "", ".1", ".120", ".000", ".999999999"]);
    let offset = select(vec!["+08:00", "+08:00", "Z", "-00:30"]);
    (date, time, fraction, offset).prop_map(|((year, month, day), (hour, minute, second), fraction, offset)| {
        format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{offset}")
    })
}

/// The characters and lengths of `^[class]{m,n}$`, one character in many of a wide range.
fn class(pattern: &str) -> Option<(Vec<char>, usize, Option<usize>)> {
    let (class, bounds) = pattern.strip_prefix("^[")?.strip_suffix("}$")?.rsplit_once("]{")?;
    let (least, most) = bounds.split_once(',').unwrap_or((bounds, bounds));
    let mut characters = class.chars().peekable();
    let unescape = |character: char, rest: &mut dyn Iterator<Item = char>| {
        if character == '\\' { rest.next() } else { Some(character) }
    };
    let mut found = Vec::new();
    while let Some(character) = characters.next() {
        let first = unescape(character, &mut characters)?;
        if characters.next_if_eq(&'-').is_some() {
            let character = characters.next()?;
            let last = unescape(character, &mut characters)?;
            let step = (u32::from(last) - u32::from(first)) as usize / 40 + 1;
            found.extend((first..=last).step_by(step));
            found.push(last);
        } else {
            found.push(first);
        }
    }
    found.retain(|character| u32::from(*character) <= 0xffff);
    Some((found, least.parse().ok()?, most.parse().ok()))
}
