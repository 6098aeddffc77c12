//! The rules of an operation: do their places exist, and are they of a type that the rule can judge?

use super::Findings;
use crate::catalog::Scope;
use crate::schema::{Format, Kind, Node, Rule};
use crate::source::below;

pub(super) fn check(scope: &Scope, request: &Node, rules: &[Rule], findings: &mut Findings) {
    for (i, rule) in rules.iter().enumerate() {
        let at = below("/rules", i);
        let mut place = |key: &str, place: &str, wanted: Wanted| {
            let pointer = format!("{at}{key}");
            match find(scope, request, place) {
                None => {
                    let remedy = "write /field/inner as in the request; a rule cannot reach into an array";
                    findings.add(&pointer, format_args!("`{place}` names no place of the request"), remedy);
                    None
                }
                Some(node) if !wanted.fits(node) => {
                    findings.add(&pointer, format_args!("`{place}` is not {}", wanted.name()), "name another place");
                    None
                }
                Some(node) => Some(node),
            }
        };
        match rule {
            Rule::Product(places) => {
                let last = places.len().saturating_sub(1);
                for (j, text) in places.iter().enumerate() {
                    let bare = if j == last { text.strip_prefix('=').unwrap_or(text) } else { text };
                    place(&format!("/product/{j}"), bare, Wanted::Integer);
                }
                if places.len() < 3 || !places.last().is_some_and(|text| text.starts_with('=')) {
                    let what = "a product is two or more factors and `=/place`";
                    findings.add(&below(&at, "product"), what, "write [\"/a\", \"/b\", \"=/c\"]");
                }
            }
            Rule::Less([a, b]) | Rule::AtMost([a, b]) => {
                let key = if matches!(rule, Rule::Less(_)) { "less" } else { "at_most" };
                let first = place(&format!("/{key}/0"), a, Wanted::Comparable);
                let second = place(&format!("/{key}/1"), b, Wanted::Comparable);
                if let (Some(first), Some(second)) = (first, second)
                    && first.kind != second.kind
                {
                    let what = "a number and a timestamp do not compare";
                    findings.add(&below(&at, key), what, "name two places of one type");
                }
            }
            Rule::SpanMax { from, to, seconds } => {
                place("/span_max/from", from, Wanted::Timestamp);
                place("/span_max/to", to, Wanted::Timestamp);
                if *seconds <= 0 {
                    findings.add(&below(&at, "span_max"), "no span is so short", "state the seconds, more than 0");
                }
            }
            Rule::ExactlyOne(places) | Rule::AtLeastOne(places) => {
                let key = if matches!(rule, Rule::ExactlyOne(_)) { "exactly_one" } else { "at_least_one" };
                for (j, text) in places.iter().enumerate() {
                    place(&format!("/{key}/{j}"), text, Wanted::Anything);
                }
                if places.len() < 2 {
                    findings.add(&below(&at, key), "one place alone", "name two or more, or use `required`");
                }
            }
            Rule::RequiredIf { at: decider, is, then } => {
                let node = place("/required_if/at", decider, Wanted::Text);
                place("/required_if/then", then, Wanted::Anything);
                let values = node.and_then(|node| node.one_of.as_ref());
                if values.is_some_and(|values| values.iter().all(|value| value.as_str() != Some(is))) {
                    let what = format!("`{is}` is no value of `{decider}`");
                    findings.add(&format!("{at}/required_if/is"), what, "use one that its `enum` lists");
                }
            }
            Rule::WidthMax { at, .. } => drop(place("/width_max/at", at, Wanted::Text)),
            Rule::FromNow { at: instant, min, max } => {
                place("/from_now/at", instant, Wanted::Timestamp);
                match (min, max) {
                    (None, None) => {
                        findings.add(&below(&at, "from_now"), "neither min nor max", "state the limit in seconds");
                    }
                    (Some(min), Some(max)) if min > max => {
                        findings.add(&below(&at, "from_now"), "min is more than max", "correct one of the two");
                    }
                    _ => {}
                }
            }
            Rule::Caller(merchant) => drop(place("/caller", merchant, Wanted::Text)),
        }
    }
}

/// What a rule can judge.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Anything,
    Integer,
    Comparable,
    Timestamp,
    Text,
}

impl Wanted {
    fn fits(self, node: &Node) -> bool {
        let timestamp = node.format == Some(Format::DateTime);
        match self {
            Self::Anything => true,
            Self::Integer => node.kind == Some(Kind::Integer),
            Self::Comparable => node.kind == Some(Kind::Integer) || timestamp,
            Self::Timestamp => timestamp,
            Self::Text => node.kind == Some(Kind::String) && !timestamp,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Anything => "anything",
            Self::Integer => "an integer",
            Self::Comparable => "an integer or a timestamp",
            Self::Timestamp => "a timestamp",
            Self::Text => "a text",
        }
    }
}

/// The schema of a place in the request.
pub(super) fn find<'a>(scope: &Scope<'a>, request: &'a Node, place: &str) -> Option<&'a Node> {
    let mut node = request;
    for token in place.strip_prefix('/')?.split('/') {
        node = scope.follow(node).properties.as_ref()?.get(token)?;
    }
    Some(scope.follow(node))
}
