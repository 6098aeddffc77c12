//! The limits that JSON Schema cannot say, read from the `rules` of the schema text.
//!
//! Written apart from the evaluator of the client, so that one mistake cannot hide in both. A rule whose places are
//! absent or of another type holds: the schema has its say about those.

use crate::ambient::instant;
use crate::schema::Violation;
use serde_json::Value;
use std::cmp::Ordering;

/// What rules look at.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) request: &'a Value,
    /// Unix time in seconds.
    pub(crate) now: i64,
    /// Merchant id of the caller.
    pub(crate) caller: &'a str,
}

/// The rules that the request breaks, in the order of the schema.
pub(crate) fn broken(rules: &[Value], facts: Facts<'_>) -> Vec<Violation> {
    rules.iter().filter_map(|rule| evaluate(rule, facts)).collect()
}

fn evaluate(rule: &Value, facts: Facts<'_>) -> Option<Violation> {
    let (name, argument) = rule.as_object()?.iter().next()?;
    match name.as_str() {
        "product" => product(argument, facts),
        "less" => ordered("less", argument, facts, |order| order == Ordering::Less),
        "at_most" => ordered("at_most", argument, facts, |order| order != Ordering::Greater),
        "span_max" => span_max(argument, facts),
        "exactly_one" => present("exactly_one", argument, facts, |found| found == 1),
        "at_least_one" => present("at_least_one", argument, facts, |found| found > 0),
        "required_if" => required_if(argument, facts),
        "width_max" => width_max(argument, facts),
        "from_now" => from_now(argument, facts),
        "caller" => caller(argument, facts),
        _ => None,
    }
}

impl<'a> Facts<'a> {
    fn at(&self, place: &Value) -> Option<&'a Value> {
        self.request.pointer(place.as_str()?)
    }

    fn number(&self, place: &Value) -> Option<i128> {
        self.at(place)?.as_i64().map(i128::from)
    }

    fn instant(&self, place: &Value) -> Option<(i64, u32)> {
        instant(self.at(place)?.as_str()?)
    }
}

fn violation(rule: &'static str, at: &str, issue: String) -> Violation {
    Violation { at: at.to_owned(), rule, issue }
}

fn product(argument: &Value, facts: Facts<'_>) -> Option<Violation> {
    let (last, factors) = argument.as_array()?.split_last()?;
    let place = last.as_str()?.strip_prefix('=')?;
    let wanted = i128::from(facts.request.pointer(place)?.as_i64()?);
    let mut product = 1i128;
    for factor in factors {
        product = product.checked_mul(facts.number(factor)?)?;
    }
    let factors: Vec<_> = factors.iter().filter_map(Value::as_str).collect();
    let issue = || format!("is {wanted}, but {} is {product}", factors.join(" × "));
    (product != wanted).then(|| violation("product", place, issue()))
}

fn ordered(
    name: &'static str,
    argument: &Value,
    facts: Facts<'_>,
    holds: impl Fn(Ordering) -> bool,
) -> Option<Violation> {
    let [a, b] = argument.as_array()?.as_slice() else { return None };
    let order = match (facts.number(a), facts.number(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => facts.instant(a)?.cmp(&facts.instant(b)?),
    };
    let wanted = if name == "less" { "must be less than" } else { "must not be greater than" };
    (!holds(order)).then(|| violation(name, a.as_str().unwrap_or_default(), format!("{wanted} {}", text(b))))
}

fn span_max(argument: &Value, facts: Facts<'_>) -> Option<Violation> {
    let (from, to) = (argument.get("from")?, argument.get("to")?);
    let seconds = argument.get("seconds")?.as_i64()?;
    let (begin, end) = (facts.instant(from)?, facts.instant(to)?);
    let latest = (begin.0.saturating_add(seconds), begin.1);
    let issue = || format!("must be at most {seconds} seconds after {}", text(from));
    (end > latest).then(|| violation("span_max", text(to), issue()))
}

fn present(name: &'static str, argument: &Value, facts: Facts<'_>, holds: impl Fn(usize) -> bool) -> Option<Violation> {
    let places = argument.as_array()?;
    let first = places.first()?.as_str()?;
    // Where the object that would hold them is absent, nothing is asked of it.
    facts.request.pointer(first.rsplit_once('/')?.0)?.as_object()?;
    let found = places.iter().filter(|place| facts.at(place).is_some()).count();
    let names: Vec<_> = places.iter().map(text).collect();
    let issue = || format!("has {found} of {}", names.join(", "));
    (!holds(found)).then(|| violation(name, first, issue()))
}

fn required_if(argument: &Value, facts: Facts<'_>) -> Option<Violation> {
    let (at, is, then) = (argument.get("at")?, argument.get("is")?, argument.get("then")?);
    let decides = facts.at(at)?.as_str()? == is.as_str()?;
    let issue = || format!("is required where {} is {}", text(at), text(is));
    (decides && facts.at(then).is_none()).then(|| violation("required_if", text(then), issue()))
}

fn width_max(argument: &Value, facts: Facts<'_>) -> Option<Violation> {
    let at = argument.get("at")?;
    let (narrow, wide) = (argument.get("narrow")?.as_u64()?, argument.get("wide")?.as_u64()?);
    let (mut columns, mut wides) = (0u64, 0u64);
    for character in facts.at(at)?.as_str()?.chars() {
        let is_wide = !character.is_ascii();
        wides += u64::from(is_wide);
        columns += 1 + u64::from(is_wide);
    }
    let issue = || format!("takes {columns} columns with {wides} wide characters; allowed are {narrow} and {wide}");
    (wides > wide || columns > narrow).then(|| violation("width_max", text(at), issue()))
}

fn from_now(argument: &Value, facts: Facts<'_>) -> Option<Violation> {
    let at = argument.get("at")?;
    let bound = |key: &str| argument.get(key).and_then(Value::as_i64);
    let (min, max) = (bound("min"), bound("max"));
    let away = facts.instant(at)?.0.saturating_sub(facts.now);
    let side = |bound: Option<i64>| bound.map_or_else(|| "any".to_owned(), |bound| bound.to_string());
    let issue = || format!("is {away} seconds from now; allowed are {} to {}", side(min), side(max));
    let early = min.is_some_and(|min| away < min);
    let late = max.is_some_and(|max| away > max);
    (early || late).then(|| violation("from_now", text(at), issue()))
}

fn caller(place: &Value, facts: Facts<'_>) -> Option<Violation> {
    let named = facts.at(place)?.as_str()?;
    let issue = || format!("must be the calling merchant, {}", facts.caller);
    (named != facts.caller).then(|| violation("caller", text(place), issue()))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(rules: &Value, request: &Value) -> Vec<String> {
        let facts = Facts { request, now: 1_767_225_600, caller: "1900000001" };
        let found = broken(rules.as_array().unwrap(), facts);
        found.iter().map(|violation| format!("{} {}", violation.rule, violation.at)).collect()
    }

    #[test]
    fn each_rule_holds_and_breaks() {
        for (rule, good, bad, found) in [
            (
                json!({"product": ["/a", "/b", "=/c"]}),
                json!({"a": 3, "b": 4, "c": 12}),
                json!({"a": 3, "b": 4, "c": 13}),
                "product /c",
            ),
            (json!({"less": ["/a", "/b"]}), json!({"a": 1, "b": 2}), json!({"a": 2, "b": 2}), "less /a"),
            (
                json!({"less": ["/a", "/b"]}),
                json!({"a": "2026-01-01T08:00:00+08:00", "b": "2026-01-01T00:00:01Z"}),
                json!({"a": "2026-01-01T08:00:00+08:00", "b": "2026-01-01T00:00:00Z"}),
                "less /a",
            ),
            (json!({"at_most": ["/a", "/b"]}), json!({"a": 2, "b": 2}), json!({"a": 3, "b": 2}), "at_most /a"),
            (
                json!({"span_max": {"from": "/a", "to": "/b", "seconds": 60}}),
                json!({"a": "2026-01-01T00:00:00Z", "b": "2026-01-01T00:01:00Z"}),
                json!({"a": "2026-01-01T00:00:00Z", "b": "2026-01-01T00:01:00.001Z"}),
                "span_max /b",
            ),
            (json!({"exactly_one": ["/a", "/b"]}), json!({"a": 1}), json!({"a": 1, "b": 1}), "exactly_one /a"),
            (json!({"at_least_one": ["/x/a", "/x/b"]}), json!({"x": {"b": 1}}), json!({"x": {}}), "at_least_one /x/a"),
            (
                json!({"required_if": {"at": "/a", "is": "X", "then": "/b"}}),
                json!({"a": "Y"}),
                json!({"a": "X"}),
                "required_if /b",
            ),
            (
                json!({"width_max": {"at": "/a", "narrow": 20, "wide": 9}}),
                json!({"a": "微信支付代金券批次"}),
                json!({"a": "微信支付代金券批次1号"}),
                "width_max /a",
            ),
            (
                json!({"from_now": {"at": "/a", "min": 0, "max": 60}}),
                json!({"a": "2026-01-01T00:01:00Z"}),
                json!({"a": "2025-12-31T23:59:59Z"}),
                "from_now /a",
            ),
            (
                json!({"from_now": {"at": "/a", "min": 0}}),
                json!({"a": "2126-01-01T00:00:00Z"}),
                json!({"a": "2025-12-31T23:59:59Z"}),
                "from_now /a",
            ),
            (
                json!({"from_now": {"at": "/a", "max": 0}}),
                json!({"a": "1970-01-01T00:00:00Z"}),
                json!({"a": "2026-01-01T00:00:01Z"}),
                "from_now /a",
            ),
            (json!({"caller": "/a"}), json!({"a": "1900000001"}), json!({"a": "1900000002"}), "caller /a"),
        ] {
            let rules = json!([rule]);
            assert_eq!(names(&rules, &good), [""; 0], "{rules}");
            assert_eq!(names(&rules, &bad), [found], "{rules}");
            if !found.starts_with("exactly_one") {
                assert_eq!(names(&rules, &json!({})), [""; 0], "absent places: {rules}");
            }
        }
    }

    #[test]
    fn other_types_and_huge_numbers_are_left_to_the_schema() {
        let rules = json!([{"product": ["/a", "/b", "=/c"]}, {"less": ["/a", "/b"]}, {"caller": "/a"}]);
        assert_eq!(names(&rules, &json!({"a": 1.5, "b": "x", "c": true})), [""; 0]);
        let huge = json!({"a": i64::MAX, "b": i64::MAX, "c": 1});
        assert_eq!(names(&rules, &huge), ["product /c", "less /a"]);
    }
}
