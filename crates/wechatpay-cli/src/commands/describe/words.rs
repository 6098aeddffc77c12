//! Types, limits and rules in words.

use super::schema::{Document, Node};
use crate::catalog::largest;
use serde_json::Value;
use std::fmt::Display;
use wechatpay_model::Spec;
use wechatpay_model::operation::{Charset, Delivery, Page, Per, Rate, Rule, Shape, Turn, Unit};
use wechatpay_protocol::check::describe_charset;

/// What kind of value it is, with its unit.
pub(super) fn kind(document: &Document, node: &Node) -> String {
    if let Some(items) = &node.items {
        return format!("array of {}", kind(document, document.resolve(items)));
    }
    let kind = match (node.kind.as_deref(), node.format.as_deref()) {
        (_, Some("date-time")) => "RFC 3339 time",
        (Some(kind), _) => kind,
        (None, _) => "value",
    };
    let unit = match node.newtype.as_deref() {
        Some("Fen") => Some("fen"),
        newtype => newtype.or(node.unit.as_deref()),
    };
    unit.map_or_else(|| kind.to_owned(), |unit| format!("{kind} ({unit})"))
}

/// The limits of a value; those of an array's items too.
pub(super) fn limits(document: &Document, node: &Node, shape: Option<&Shape>) -> Vec<String> {
    let mut limits = Vec::new();
    match (node.min_items, node.max_items) {
        (Some(1), None) => limits.push("not empty".to_owned()),
        (Some(1), Some(1)) => limits.push("1 item".to_owned()),
        (min, max) => limits.extend(span(min, max).map(|span| format!("{span} items"))),
    }
    match shape {
        // The shape knows more than the keywords: a pattern holds lengths too.
        Some(Shape::Text(text)) if text.one_of().is_empty() => {
            let min = (text.min() > 0).then_some(text.min());
            match (min, text.max()) {
                (Some(1), None) => limits.push("not empty".to_owned()),
                (min, max) => limits.extend(span(min, max).map(|span| format!("{span} characters"))),
            }
            limits.extend(text.charset().map(characters));
        }
        _ => limits.extend(span(node.min_length, node.max_length).map(|span| format!("{span} characters"))),
    }
    limits.extend(span(node.minimum, node.maximum));
    if node.kind.as_deref() == Some("integer") && !node.one_of.is_empty() {
        let values: Vec<_> = node.one_of.iter().map(Value::to_string).collect();
        limits.push(format!("one of {}", values.join(", ")));
    }
    limits.extend(node.default.as_ref().map(|default| format!("default {default}")));
    if let Some(items) = &node.items {
        let shape = match shape {
            Some(Shape::Array { items, .. }) => Some(*items),
            _ => None,
        };
        let of_items = self::limits(document, document.resolve(items), shape);
        limits.extend((!of_items.is_empty()).then(|| format!("each {}", of_items.join(", "))));
    }
    limits
}

/// The characters that a text may have, or those it may not have, whichever is said more shortly.
fn characters(charset: Charset) -> String {
    if !charset.contains('\u{FFFF}') {
        return format!("of {}", describe_charset(charset));
    }
    let missing: Vec<_> = ('!'..='~').filter(|c| !charset.contains(*c)).map(String::from).collect();
    if missing.is_empty() { "no control characters".to_owned() } else { format!("none of {}", missing.join(" ")) }
}

fn span<N: Display + PartialEq>(min: Option<N>, max: Option<N>) -> Option<String> {
    match (min, max) {
        (Some(min), Some(max)) if min == max => Some(min.to_string()),
        (Some(min), Some(max)) => Some(format!("{min} to {max}")),
        (Some(min), None) => Some(format!("at least {min}")),
        (None, Some(max)) => Some(format!("at most {max}")),
        (None, None) => None,
    }
}

/// The texts that a value can be, each with what it means.
pub(super) fn values(document: &Document, node: &Node) -> Vec<String> {
    if let Some(items) = &node.items {
        return values(document, document.resolve(items));
    }
    let texts = || node.one_of.iter().filter_map(Value::as_str);
    if node.variants.is_empty() {
        let texts: Vec<_> = texts().collect();
        return if texts.is_empty() { Vec::new() } else { vec![texts.join(", ")] };
    }
    texts()
        .map(|text| {
            let variant = node.variants.get(text);
            let words = variant.map(|variant| [&variant.title, &variant.description]).unwrap_or([&None, &None]);
            let words: Vec<_> = words.into_iter().flatten().map(String::as_str).collect();
            if words.is_empty() { text.to_owned() } else { format!("{text}: {}", words.join(". ")) }
        })
        .collect()
}

/// A rule as a sentence.
pub(super) fn rule(rule: &Rule) -> String {
    match rule {
        Rule::Product { factors, equals } => format!("{} = {equals}", factors.join(" × ")),
        Rule::Less { a, b } => format!("{a} < {b}"),
        Rule::AtMost { a, b } => format!("{a} ≤ {b}"),
        Rule::SpanMax { from, to, seconds } => format!("from {from} to {to}: at most {}", duration(*seconds)),
        Rule::ExactlyOne(places) => format!("exactly one of {}", places.join(", ")),
        Rule::AtLeastOne(places) => format!("at least one of {}", places.join(", ")),
        Rule::RequiredIf { at, is, then } => format!("where {at} is {is}, {then} is required"),
        Rule::WidthMax { at, narrow, wide } => format!("{at}: at most {wide} Chinese or {narrow} Latin characters"),
        Rule::FromNow { at, min, max } => {
            let moment = |seconds: i64| match seconds {
                0 => "now".to_owned(),
                seconds if seconds < 0 => format!("{} ago", duration(-seconds)),
                seconds => format!("{} from now", duration(seconds)),
            };
            match (min, max) {
                (Some(min), Some(max)) => format!("{at}: between {} and {}", moment(*min), moment(*max)),
                (Some(min), None) => format!("{at}: not before {}", moment(*min)),
                (None, Some(max)) => format!("{at}: not after {}", moment(*max)),
                (None, None) => format!("{at}: any time"),
            }
        }
        Rule::Caller { at } => format!("{at} is the merchant id of the caller"),
        other => format!("{other:?}"),
    }
}

/// A documented limit of how often an operation may be called.
pub(super) fn rate(rate: &Rate) -> String {
    let whose = match rate.per() {
        Per::Merchant => "of a merchant",
        Per::Ip => "from an address",
        _ => "in all",
    };
    let time = duration(rate.seconds().into());
    format!("{} calls {whose} in {time}", rate.calls())
}

/// How a list is read page by page.
pub(super) fn pages(spec: &Spec, page: &Page) -> String {
    let most = |name: &str| largest(spec, name).map(|most| format!(", at most {most}")).unwrap_or_default();
    let begin = match page.turn() {
        Turn::Offset { field, unit: Unit::Row } => format!("`{field}` counts items from 0{}", most(field)),
        Turn::Token { field, next } => {
            format!("`{field}` names a page, as {next} of the page before says; the first has no name")
        }
        other => format!("`{0}` counts pages from 0{1}", other.field(), most(other.field())),
    };
    let (limit, id) = (page.limit(), spec.id());
    let most = most(limit);
    format!("{begin}; `{limit}` is the length of a page{most}; `wechatpay call {id} --all` reads them all")
}

/// How often a notification is sent.
pub(super) fn delivery(delivery: Delivery) -> String {
    format!("{} times in all, {} apart", delivery.attempts(), duration(delivery.every_seconds().into()))
}

fn duration(seconds: i64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let fitting = units.into_iter().find(|(length, _)| seconds != 0 && seconds % length == 0);
    let (length, name) = fitting.unwrap_or((1, "second"));
    let count = seconds / length;
    if count == 1 { format!("1 {name}") } else { format!("{count} {name}s") }
}

/// How wide a text stands in a terminal: a Chinese character takes two columns.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(|c| if matches!(c, '\u{1100}'..='\u{115F}' | '\u{2E80}'..='\u{FFE6}') { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_characters_is_said_shortly() {
        assert_eq!(characters(Charset::new(&[('0', '9'), ('-', '-')])), "of 0-9 -");
        assert_eq!(characters(Charset::new(&[(' ', '+'), ('-', '\u{FFFF}')])), "none of ,");
        assert_eq!(characters(Charset::new(&[(' ', '\u{FFFF}')])), "no control characters");
    }

    #[test]
    fn durations_take_the_largest_unit_that_fits() {
        let shown: Vec<_> = [0, 1, 90, 3_600, 7_776_000].into_iter().map(duration).collect();
        assert_eq!(shown, ["0 seconds", "1 second", "90 seconds", "1 hour", "90 days"]);
    }
}
