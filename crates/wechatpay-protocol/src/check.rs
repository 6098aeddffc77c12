//! Checks a request against its description before anything is signed, and reports everything that is wrong with it.
//!
//! Nothing here knows an operation: the limits are data on the [`Spec`]. Violations never repeat the value, which may
//! be a coupon code or an openid.

use serde_json::{Map, Value};
use std::fmt;
use wechatpay_model::operation::{Charset, Field, Format, Rule, Shape, Spec, Text};
use wechatpay_model::types::{Instant, Timestamp};

/// What rules may need to know beside the request.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Unix time in seconds, by which rules like "not in the past" are judged.
    pub now: i64,
    /// Merchant id of the caller.
    pub mchid: &'a str,
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer to the place in the request, RFC 6901; empty for the whole of it.
    pub pointer: String,
    /// Which kind of limit is broken.
    pub kind: ViolationKind,
    /// What is wrong and what to do, for people.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{place}: {}", self.message)
    }
}

macro_rules! kinds {
    ($($(#[$meta:meta])* $variant:ident = $name:literal,)+) => {
        /// The kind of limit that a [`Violation`] breaks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum ViolationKind {
            $($(#[$meta])* $variant,)+
        }

        impl ViolationKind {
            /// The name used in the schema files and in JSON output.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

kinds! {
    /// A field that must be there is not.
    Required = "required",
    /// The value is of another JSON type.
    Type = "type",
    /// The value is none of those allowed.
    OneOf = "one_of",
    /// The text is too short or too long.
    Length = "length",
    /// The text has a character that is not allowed there.
    Charset = "charset",
    /// The text does not parse as what it should be.
    Format = "format",
    /// The number is too small or too large.
    Range = "range",
    /// The array has too few or too many items.
    Count = "count",
    /// The field is not known.
    Unknown = "unknown",
    /// The value is `null`, which the wire forbids.
    Null = "null",
    /// The text has a character beyond the basic plane (an emoji, say), which the wire forbids.
    Character = "character",
    /// [`Rule::Product`]
    Product = "product",
    /// [`Rule::Less`]
    Less = "less",
    /// [`Rule::AtMost`]
    AtMost = "at_most",
    /// [`Rule::SpanMax`]
    SpanMax = "span_max",
    /// [`Rule::ExactlyOne`]
    ExactlyOne = "exactly_one",
    /// [`Rule::AtLeastOne`]
    AtLeastOne = "at_least_one",
    /// [`Rule::RequiredIf`]
    RequiredIf = "required_if",
    /// [`Rule::WidthMax`]
    WidthMax = "width_max",
    /// [`Rule::FromNow`]
    FromNow = "from_now",
    /// [`Rule::Caller`]
    Caller = "caller",
}

/// Reads the misspellings of published documents as the fields they mean.
///
/// A misspelt field is left alone, and so reported as unknown, where the right one is there too.
pub fn resolve_aliases(spec: &Spec, request: &mut Value) {
    rename(spec.request(), request);
}

fn rename(shape: &Shape, value: &mut Value) {
    match (shape, value) {
        (Shape::Object(fields), Value::Object(map)) => {
            for field in *fields {
                if let Some(alias) = field.alias()
                    && !map.contains_key(field.name())
                    && let Some(value) = map.remove(alias)
                {
                    map.insert(field.name().to_owned(), value);
                }
                if let Some(value) = map.get_mut(field.name()) {
                    rename(field.shape(), value);
                }
            }
        }
        // Texts and numbers have no fields.
        (Shape::Array { items: items @ (Shape::Object(_) | Shape::Array { .. }), .. }, Value::Array(values)) => {
            values.iter_mut().for_each(|value| rename(items, value));
        }
        _ => {}
    }
}

/// Everything that is wrong with the request; empty means that it may be signed.
///
/// First the places in the order of the document, then the rules that span several.
pub fn check(spec: &Spec, request: &Value, context: &Context<'_>) -> Vec<Violation> {
    let mut report = Report::new();
    report.value(spec.request(), request);
    for rule in spec.rules() {
        if let Some(violation) = broken(rule, request, context) {
            report.violations.push(violation);
        }
    }
    report.violations
}

/// What every body must keep to, whatever its operation: no `null`, no character beyond the basic plane.
pub(crate) fn check_plain(body: &Value, violations: &mut Vec<Violation>) {
    fn walk<'a>(value: &'a Value, report: &mut Report<'a>) {
        match value {
            Value::Null => report.add(ViolationKind::Null, NULL.to_owned()),
            Value::String(text) if beyond_basic_plane(text) => {
                report.add(ViolationKind::Character, CHARACTER.to_owned());
            }
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    report.at(Step::Item(index), |report| walk(value, report));
                }
            }
            Value::Object(map) => {
                for (name, value) in map {
                    report.at(Step::Field(name), |report| walk(value, report));
                }
            }
            _ => {}
        }
    }
    let mut report = Report::new();
    walk(body, &mut report);
    violations.append(&mut report.violations);
}

const NULL: &str = "null is not allowed on this wire; leave the field out";
const CHARACTER: &str = "has a character of more than three UTF-8 bytes (an emoji, say), which WeChat Pay refuses";

fn beyond_basic_plane(text: &str) -> bool {
    !text.is_ascii() && text.chars().any(|c| c > '\u{FFFF}')
}

/// One step of a JSON pointer.
#[derive(Clone, Copy)]
enum Step<'a> {
    Field(&'a str),
    Item(usize),
}

struct Report<'a> {
    /// Where it looks. Most values are right, so the pointer is written only where something is wrong.
    place: Vec<Step<'a>>,
    violations: Vec<Violation>,
}

impl<'a> Report<'a> {
    fn new() -> Self {
        Self { place: Vec::with_capacity(8), violations: Vec::new() }
    }

    fn add(&mut self, kind: ViolationKind, message: String) {
        let mut pointer = String::new();
        for step in &self.place {
            match step {
                Step::Field(name) => push_step(&mut pointer, name),
                Step::Item(index) => push_step(&mut pointer, &index.to_string()),
            }
        }
        self.violations.push(Violation { pointer, kind, message });
    }

    fn at(&mut self, step: Step<'a>, look: impl FnOnce(&mut Self)) {
        self.place.push(step);
        look(self);
        self.place.pop();
    }

    fn value(&mut self, shape: &Shape, value: &'a Value) {
        match (shape, value) {
            (_, Value::Null) => {
                self.add(ViolationKind::Null, NULL.to_owned());
            }
            (Shape::Object(fields), Value::Object(map)) => self.object(fields, map),
            (Shape::Array { items, min, max }, Value::Array(values)) => {
                self.count(values.len(), *min, *max);
                for (index, value) in values.iter().enumerate() {
                    self.at(Step::Item(index), |report| report.value(items, value));
                }
            }
            (Shape::Text(limits), Value::String(text)) => self.text(limits, text),
            (Shape::Integer { min, max, one_of }, Value::Number(number)) if !number.is_f64() => {
                self.integer(number.as_i64(), *min, *max, one_of);
            }
            (Shape::Boolean, Value::Bool(_)) => {}
            (shape, value) => {
                let (wanted, found) = (type_name(shape), type_of(value));
                self.add(ViolationKind::Type, format!("must be {wanted}, is {found}"));
            }
        }
    }

    fn object(&mut self, fields: &'static [Field], map: &'a Map<String, Value>) {
        let mut known = 0;
        for field in fields {
            match map.get(field.name()) {
                Some(value) => {
                    known += 1;
                    self.at(Step::Field(field.name()), |report| report.value(field.shape(), value));
                }
                None if field.required() => self.at(Step::Field(field.name()), |report| {
                    report.add(ViolationKind::Required, "is required and missing".to_owned());
                }),
                None => {}
            }
        }
        if known == map.len() {
            return;
        }
        for name in map.keys().filter(|name| fields.iter().all(|field| field.name() != name.as_str())) {
            let hint = nearest(name, fields).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            self.at(Step::Field(name), |report| {
                report.add(ViolationKind::Unknown, format!("is no field of this operation{hint}"));
            });
        }
    }

    fn count(&mut self, found: usize, min: usize, max: Option<usize>) {
        if found == 0 {
            let advice = if min == 0 { "; leave the field out instead" } else { "" };
            self.add(ViolationKind::Count, format!("must not be empty{advice}"));
        } else if found < min || max.is_some_and(|max| found > max) {
            self.add(ViolationKind::Count, format!("must have {} items, has {found}", span(min, max)));
        }
    }

    fn text(&mut self, limits: &Text, text: &str) {
        if beyond_basic_plane(text) {
            self.add(ViolationKind::Character, CHARACTER.to_owned());
            return;
        }
        if !limits.one_of().is_empty() {
            let same = |known: &&str| {
                if limits.case_blind() { known.eq_ignore_ascii_case(text) } else { **known == *text }
            };
            if !limits.one_of().iter().any(same) {
                self.add(ViolationKind::OneOf, format!("must be one of {}", limits.one_of().join(", ")));
            }
            return;
        }
        // Of each code point there are one to four bytes, so that few texts have to be counted.
        if text.len() < 4 * limits.min() || limits.max().is_some_and(|max| text.len() > max) {
            let found = text.chars().count();
            if found < limits.min() || limits.max().is_some_and(|max| found > max) {
                let wanted = span(limits.min(), limits.max());
                self.add(ViolationKind::Length, format!("must have {wanted} characters, has {found}"));
            }
        }
        if let Some(charset) = limits.charset()
            && let Some(bad) = text.chars().find(|c| !charset.contains(*c))
        {
            let allowed = describe_charset(charset);
            let message = format!("has the character {bad:?}, which is not allowed; allowed are {allowed}");
            self.add(ViolationKind::Charset, message);
        }
        if let Some(Format::DateTime) = limits.format()
            && Timestamp::new(text).instant().is_none()
        {
            let message = "must be an RFC 3339 time with offset, like 2015-05-20T13:29:35+08:00".to_owned();
            self.add(ViolationKind::Format, message);
        }
    }

    fn integer(&mut self, found: Option<i64>, min: Option<i64>, max: Option<i64>, one_of: &[i64]) {
        let Some(found) = found else {
            self.add(ViolationKind::Range, "is larger than any number on this wire may be".to_owned());
            return;
        };
        if !one_of.is_empty() {
            if !one_of.contains(&found) {
                let allowed = one_of.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
                self.add(ViolationKind::OneOf, format!("must be one of {allowed}, is {found}"));
            }
        } else if min.is_some_and(|min| found < min) || max.is_some_and(|max| found > max) {
            let wanted = match (min, max) {
                (Some(min), Some(max)) => format!("between {min} and {max}"),
                (Some(min), None) => format!("at least {min}"),
                (None, Some(max)) => format!("at most {max}"),
                (None, None) => String::new(),
            };
            self.add(ViolationKind::Range, format!("must be {wanted}, is {found}"));
        }
    }
}

/// Appends one reference token, escaped as RFC 6901 says.
fn push_step(pointer: &mut String, step: &str) {
    pointer.push('/');
    for c in step.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

fn span(min: usize, max: Option<usize>) -> String {
    match max {
        Some(max) if max == min => max.to_string(),
        Some(max) => format!("{min} to {max}"),
        None => format!("at least {min}"),
    }
}

fn type_name(shape: &Shape) -> &'static str {
    match shape {
        Shape::Object(_) => "an object",
        Shape::Array { .. } => "an array",
        Shape::Text(_) => "a string",
        Shape::Integer { .. } => "an integer",
        Shape::Boolean => "true or false",
        _ => "something else",
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number with a fraction or an exponent",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The allowed characters for people: `0-9 A-Z a-z space - _`.
pub fn describe_charset(charset: Charset) -> String {
    if charset.ranges() == [('!', '~')] {
        return "the visible characters of ASCII".to_owned();
    }
    if charset.contains('\u{FFFF}') {
        let forbidden = (' '..='~').filter(|c| !charset.contains(*c)).map(String::from).collect::<Vec<_>>();
        return format!("all but {}", forbidden.join(" "));
    }
    let name = |c: char| match c {
        ' ' => "space".to_owned(),
        c if c.is_control() => format!("U+{:04X}", u32::from(c)),
        c => c.to_string(),
    };
    let parts = charset
        .ranges()
        .iter()
        .map(|(from, to)| if from == to { name(*from) } else { format!("{}-{}", name(*from), name(*to)) });
    parts.collect::<Vec<_>>().join(" ")
}

/// The field that was probably meant: the one with the smallest edit distance, if it is small.
fn nearest(name: &str, fields: &[Field]) -> Option<&'static str> {
    fields
        .iter()
        .map(|field| (distance(name, field.name()), field.name()))
        .filter(|(distance, _)| *distance <= 1 + name.len() / 5)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein distance over bytes, with a row at a time.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX - 1);
            let best = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            diagonal = above;
            if let Some(cell) = row.get_mut(j) {
                *cell = left;
            }
            left = best;
        }
        if let Some(cell) = row.last_mut() {
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// A value that rules can put in order.
#[derive(PartialEq)]
enum Ordered {
    Number(i64),
    Instant(Instant),
}

/// A number and an instant have no order: a rule over both holds.
impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.partial_cmp(b),
            (Self::Instant(a), Self::Instant(b)) => a.partial_cmp(b),
            _ => None,
        }
    }
}

fn ordered(value: &Value) -> Option<Ordered> {
    match value {
        Value::Number(number) => number.as_i64().map(Ordered::Number),
        Value::String(text) => Timestamp::new(text.as_str()).instant().map(Ordered::Instant),
        _ => None,
    }
}

fn instant(value: &Value) -> Option<Instant> {
    Timestamp::new(value.as_str()?).instant()
}

/// The violation of a rule. One whose places are absent or of another type holds: the shape has reported them.
fn broken(rule: &Rule, request: &Value, context: &Context<'_>) -> Option<Violation> {
    let place = |pointer: &str| request.pointer(pointer);
    let violation =
        |pointer: &str, kind, message: String| Some(Violation { pointer: pointer.to_owned(), kind, message });
    match *rule {
        Rule::Product { factors, equals } => {
            let wanted = place(equals)?.as_i64()?;
            let factor = |pointer: &&str| place(pointer)?.as_i64();
            let product = factors.iter().try_fold(1i128, |product, pointer| {
                factor(pointer).map(|factor| product.saturating_mul(i128::from(factor)))
            })?;
            let names = factors.join(" × ");
            (product != i128::from(wanted)).then_some(()).and_then(|()| {
                violation(equals, ViolationKind::Product, format!("must equal {names} = {product}, is {wanted}"))
            })
        }
        Rule::Less { a, b } => {
            let (lesser, greater) = (ordered(place(a)?)?, ordered(place(b)?)?);
            let holds = lesser.partial_cmp(&greater)? == std::cmp::Ordering::Less;
            if holds { None } else { violation(a, ViolationKind::Less, format!("must be less than {b}")) }
        }
        Rule::AtMost { a, b } => {
            let (lesser, greater) = (ordered(place(a)?)?, ordered(place(b)?)?);
            let holds = lesser.partial_cmp(&greater)? != std::cmp::Ordering::Greater;
            if holds { None } else { violation(a, ViolationKind::AtMost, format!("must not be greater than {b}")) }
        }
        Rule::SpanMax { from, to, seconds } => {
            let (begin, end) = (instant(place(from)?)?, instant(place(to)?)?);
            let latest = Instant { seconds: begin.seconds.saturating_add(seconds), nanos: begin.nanos };
            let message = || format!("must be at most {seconds} seconds after {from}");
            if end <= latest { None } else { violation(to, ViolationKind::SpanMax, message()) }
        }
        Rule::ExactlyOne(places) => {
            place(parent(places))?.as_object()?;
            let found = places.iter().filter(|pointer| place(pointer).is_some()).count();
            let message = || format!("must have exactly one of {}, has {found}", places.join(", "));
            if found == 1 { None } else { violation(first(places), ViolationKind::ExactlyOne, message()) }
        }
        Rule::AtLeastOne(places) => {
            place(parent(places))?.as_object()?;
            let found = places.iter().any(|pointer| place(pointer).is_some());
            let message = || format!("must have at least one of {}", places.join(", "));
            if found { None } else { violation(first(places), ViolationKind::AtLeastOne, message()) }
        }
        Rule::RequiredIf { at, is, then } => {
            let decides = place(at)?.as_str()? == is;
            let message = || format!("is required where {at} is {is}");
            let holds = !decides || place(then).is_some();
            if holds { None } else { violation(then, ViolationKind::RequiredIf, message()) }
        }
        Rule::WidthMax { at, narrow, wide } => {
            let text = place(at)?.as_str()?;
            let wides = text.chars().filter(|c| !c.is_ascii()).count();
            let columns = text.chars().count() + wides;
            let message = || {
                format!(
                    "must have at most {wide} Chinese or {narrow} Latin characters; has {wides} Chinese and {} Latin",
                    columns - 2 * wides
                )
            };
            if wides <= wide && columns <= narrow { None } else { violation(at, ViolationKind::WidthMax, message()) }
        }
        Rule::FromNow { at, min, max } => {
            let from_now = instant(place(at)?)?.seconds.saturating_sub(context.now);
            let message = || {
                let bounds = match (min, max) {
                    (Some(min), Some(max)) => format!("between {} and {}", moment(min), moment(max)),
                    (Some(min), None) => format!("not before {}", moment(min)),
                    (None, Some(max)) => format!("not after {}", moment(max)),
                    (None, None) => "at any time".to_owned(),
                };
                format!("must be {bounds}, is {}", moment(from_now))
            };
            let holds = min.is_none_or(|min| from_now >= min) && max.is_none_or(|max| from_now <= max);
            if holds { None } else { violation(at, ViolationKind::FromNow, message()) }
        }
        Rule::Caller { at } => {
            let named = place(at)?.as_str()?;
            let message = || format!("must be the calling merchant, {}", context.mchid);
            if named == context.mchid { None } else { violation(at, ViolationKind::Caller, message()) }
        }
        // A rule that this version cannot evaluate is left to the server.
        _ => None,
    }
}

/// So many seconds from now, in the largest unit that is not too coarse.
fn moment(seconds: i64) -> String {
    let (count, unit) = match seconds.unsigned_abs() {
        0 => return "now".to_owned(),
        seconds if seconds >= 2 * 86_400 => (seconds / 86_400, "days"),
        seconds if seconds >= 2 * 3600 => (seconds / 3600, "hours"),
        seconds if seconds >= 2 * 60 => (seconds / 60, "minutes"),
        seconds => (seconds, "seconds"),
    };
    let side = if seconds < 0 { "ago" } else { "from now" };
    format!("{count} {unit} {side}")
}

/// The place where a choice between several is reported.
fn first<'a>(places: &[&'a str]) -> &'a str {
    places.first().copied().unwrap_or_default()
}

/// The object that holds all these places.
fn parent<'a>(places: &[&'a str]) -> &'a str {
    first(places).rsplit_once('/').map_or("", |(parent, _)| parent)
}
