//! One operation: its id, and where each field of the request travels.

use super::{Findings, error_rows, head, node, page, rules};
use crate::catalog::{Family, Operation, Scope};
use crate::schema::{Body, Idempotency, Kind, Method, Node, OperationFile, Rule};
use crate::source::{Ordered, below};
use std::collections::{BTreeMap, BTreeSet};

/// The field that names a brand. Where the brand itself calls, its signature names it.
const BRAND_ID: &str = "brand_id";

pub(super) fn check(scope: &Scope, family: &Family, operation: &Operation, findings: &mut Findings) {
    let data = &operation.data;
    head(family, &operation.name, [&data.id, &data.title, &data.title_zh], &data.source, findings);
    if data.audience.is_empty() {
        findings.add("/audience", "nobody may call it", "list merchant, partner, channel as documented");
    }

    node::check(scope, &data.request, "/request", node::Place::Request, findings);
    if let Some(response) = &data.response {
        node::check(scope, response, "/response", node::Place::Response, findings);
    }
    strict(scope, &data.request, "/request", 0, findings);
    if let Some(properties) = &data.request.properties {
        places(scope, operation, properties, findings);
        if let Idempotency::Key { field } = &data.idempotency
            && rules::find(scope, &data.request, &place_of(field)).is_none()
        {
            let what = format!("the request has no field `{field}`");
            findings.add("/idempotency/field", what, "name the field that makes a repeat one effect");
        }
        rules::check(scope, &data.request, &data.rules, findings);
    }
    if let Some(path) = &data.brand_path {
        brand(scope, data, path, findings);
    }
    if let Some(page) = &data.page {
        page::check(scope, data, page, findings);
    }
    for (i, rate) in data.rate.iter().enumerate() {
        let at = below("/rate", i);
        if rate.calls == 0 || rate.seconds == 0 {
            findings.add(&at, "no calls or no time", "state how many calls in how many seconds");
        }
        if data.rate.iter().take(i).any(|other| (other.seconds, other.per) == (rate.seconds, rate.per)) {
            findings.add(&at, "another row limits the same calls in the same time", "keep the stricter one");
        }
    }
    error_rows("/errors", &data.errors, findings);
}

/// `/field` of a field, and a pointer as it is.
fn place_of(field: &str) -> String {
    if field.starts_with('/') { field.to_owned() } else { below("", field) }
}

/// What only an answer may be: no request has a number that is no integer, and so the form of requests has none; and
/// what is read in several ways would have to be written in one.
fn strict(scope: &Scope, node: &Node, pointer: &str, depth: usize, findings: &mut Findings) {
    // A definition that contains itself is reported elsewhere; here it must only come to an end.
    if depth > 32 {
        return;
    }
    let target = scope.follow(node);
    if target.kind == Some(Kind::Number) {
        findings.add(pointer, "a request cannot hold a number that is no integer", "use integer, or string");
    }
    if node.blank.is_some() {
        let what = "`x-blank` in a request";
        findings.add(&below(pointer, "x-blank"), what, "delete it: what is absent from a request is left out");
    }
    if target.variants.iter().flat_map(Ordered::iter).any(|(_, variant)| !variant.alias.is_empty()) {
        let what = "an `enum` with an `alias` in a request";
        findings.add(pointer, what, "list both spellings in `enum`: a request is sent as it was written");
    }
    for (name, field) in target.fields() {
        strict(scope, field, &below(&below(pointer, "properties"), name), depth + 1, findings);
    }
    if let Some(items) = &target.items {
        strict(scope, items, &below(pointer, "items"), depth + 1, findings);
    }
}

/// What the same schema must be so that a brand can call it too.
fn brand(scope: &Scope, data: &OperationFile, path: &str, findings: &mut Findings) {
    if !path.starts_with("/brand/") || path.contains(['?', '#', ' ']) {
        let what = format!("`{path}` is no path of a brand");
        findings.add("/brand_path", what, "begin with /brand/, without query");
    }
    let mut wanted = parameters(&data.path);
    wanted.remove(BRAND_ID);
    if parameters(path) != wanted {
        let wanted: Vec<_> = wanted.into_iter().map(|name| format!("{{{name}}}")).collect();
        let what = format!("its parameters are not those of `path`: {}", wanted.join(", "));
        findings.add("/brand_path", what, "name the same ones, without {brand_id}");
    }
    if let Some(i) = data.rules.iter().position(|rule| matches!(rule, Rule::Caller(_))) {
        let what = "the rule asks for the calling merchant, and a brand is none";
        findings.add(&below("/rules", i), what, "take out the rule or `brand_path`");
    }
    if let Some(response) = &data.response {
        without_brand(scope, response, "/response", 0, findings);
    }
}

fn parameters(path: &str) -> BTreeSet<&str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')).collect()
}

/// Answers to a brand do not name it.
fn without_brand(scope: &Scope, node: &Node, pointer: &str, depth: usize, findings: &mut Findings) {
    if depth > 32 {
        return;
    }
    let target = scope.follow(node);
    if target.requires(BRAND_ID) {
        let what = "`brand_id` is required, and answers to a brand have none";
        findings.add(pointer, what, "take it out of `required`");
    }
    for (name, field) in target.fields() {
        without_brand(scope, field, &below(&below(pointer, "properties"), name), depth + 1, findings);
    }
    if let Some(items) = &target.items {
        without_brand(scope, items, &below(pointer, "items"), depth + 1, findings);
    }
}

/// Path, query, header and body share the fields among them.
fn places(scope: &Scope, operation: &Operation, properties: &Ordered<Node>, findings: &mut Findings) {
    let data = &operation.data;
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    if !data.path.starts_with("/v3/") || data.path.contains(['?', '#', ' ']) {
        findings.add(
            "/path",
            format_args!("`{}` is no path of the v3 API", data.path),
            "begin with /v3/, without query",
        );
    }
    for segment in data.path.split('/') {
        let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            if segment.contains(['{', '}']) {
                findings.add("/path", format_args!("`{segment}` is half a parameter"), "a segment is {name} or plain");
            }
            continue;
        };
        if taken.insert(name, "path").is_some() {
            findings.add("/path", format_args!("{{{name}}} stands in it twice"), "give one another name");
        }
        let field = properties.get(name).filter(|_| data.request.requires(name));
        if !field.is_some_and(|field| scope.follow(field).kind == Some(Kind::String)) {
            let remedy = "a path parameter is a required string of the request";
            findings.add("/path", format_args!("{{{name}}} names no required string"), remedy);
        }
    }
    for (list, names) in [("query", &data.query), ("header", &data.header)] {
        for (i, name) in names.iter().enumerate() {
            let at = below(&format!("/{list}"), i);
            match properties.get(name) {
                None => {
                    findings.add(&at, format_args!("the request has no field `{name}`"), "define it or take it out")
                }
                Some(field) if list == "header" && scope.follow(field).kind != Some(Kind::String) => {
                    findings.add(&at, format_args!("`{name}` is no string"), "a header is text");
                }
                Some(_) => {}
            }
            if let Some(other) = taken.insert(name, list) {
                let what = format!("`{name}` travels in the {other} already");
                findings.add(&at, what, "a field travels in one place");
            }
        }
    }
    let rest: Vec<_> = properties.keys().filter(|name| !taken.contains_key(name)).collect();
    if data.body == Body::None && !rest.is_empty() {
        let what = format!("no body, but {} would travel there", rest.join(", "));
        findings.add("/body", what, "list them in `query` or `header`, or state the body");
    }
    if data.body != Body::None && data.method == Method::Get {
        findings.add("/body", "a GET request has no body", "write none, and list the fields in `query`");
    }
}
