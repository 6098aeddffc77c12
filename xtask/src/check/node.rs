//! One schema and everything inside it.

use super::{Findings, UNRECOGNIZED};
use crate::catalog::{Scope, target};
use crate::limits::text_limits;
use crate::names;
use crate::schema::{Kind, Newtype, Node, Variant};
use crate::source::{Ordered, below};
use std::collections::{BTreeMap, BTreeSet};

/// Where a schema stands, which decides what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The `request` of an operation.
    Request,
    /// The `response` of an operation.
    Response,
    /// The `payload` of a notification.
    Payload,
    /// A named definition.
    Definition,
    /// A property of an object.
    Property,
    /// `items` of an array.
    Item,
}

pub(super) fn check(scope: &Scope, node: &Node, pointer: &str, place: Place, findings: &mut Findings) {
    let of_property = [
        ("x-alias", node.alias.is_some()),
        ("x-blank", node.blank.is_some()),
        ("x-sensitive", node.sensitive.is_some()),
    ];
    for (word, _) in of_property.into_iter().filter(|(_, there)| *there && place != Place::Property) {
        findings.add(&below(pointer, word), format_args!("`{word}` is of properties"), "move it to the property");
    }
    if let Some(reference) = &node.reference {
        check_reference(scope, node, reference, pointer, place, findings);
        return;
    }
    let Some(kind) = node.kind else {
        findings.add(pointer, "neither `type` nor `$ref`", "say what it is");
        return;
    };
    let outermost = matches!(place, Place::Request | Place::Response | Place::Payload);
    if outermost && kind != Kind::Object {
        let what = format!("it must be an object, not {}", kind.name());
        findings.add(&below(pointer, "type"), what, "describe the fields side by side");
        return;
    }
    if !outermost && place != Place::Definition && (kind == Kind::Object || node.is_text_enum()) {
        let what = if kind == Kind::Object { "an object inside an object" } else { "an `enum` of strings" };
        let what = format!("{what} must have a name");
        findings.add(pointer, what, "move it to `definitions` of types.json and use a `$ref`");
        return;
    }
    misplaced(node, kind, pointer, findings);
    match kind {
        Kind::Object => check_object(scope, node, pointer, findings),
        Kind::Array => match &node.items {
            Some(items) => check(scope, items, &below(pointer, "items"), Place::Item, findings),
            None => findings.add(pointer, "an array without `items`", "say what its items are"),
        },
        Kind::String => check_string(node, pointer, findings),
        Kind::Integer => check_integer(node, pointer, findings),
        Kind::Number | Kind::Boolean => {}
    }
    order("minItems", node.min_items, node.max_items, pointer, findings);
    order("minimum", node.minimum, node.maximum, pointer, findings);
}

fn check_reference(scope: &Scope, node: &Node, reference: &str, pointer: &str, place: Place, findings: &mut Findings) {
    let at = below(pointer, "$ref");
    let beside =
        keywords(node).into_iter().filter(|word| !matches!(*word, "title" | "description" | "x-alias" | "x-blank"));
    for word in beside {
        let remedy = "draft-07 ignores it there: move it into the definition";
        findings.add(&below(pointer, word), format_args!("`{word}` beside a `$ref`"), remedy);
    }
    let found = target(findings.file, reference)
        .and_then(|(home, name)| scope.find(name).filter(|(found, _)| *found == home))
        .map(|(_, definition)| definition);
    match found {
        None => {
            let what = format!("`{reference}` leads nowhere");
            let remedy = if findings.file.contains("/notifications/") {
                "use ../types.json#/definitions/Name or ../../common.json#/definitions/Name"
            } else {
                "use types.json#/definitions/Name or ../common.json#/definitions/Name"
            };
            findings.add(&at, what, remedy);
        }
        Some(_) if matches!(place, Place::Request | Place::Payload) => {
            let what = if place == Place::Request { "a request is not shared" } else { "a payload is not shared" };
            findings.add(&at, what, "write its fields here");
        }
        Some(definition) if place == Place::Response && definition.kind != Some(Kind::Object) => {
            findings.add(&at, "an answer must be an object", "refer to an object");
        }
        Some(_) if place == Place::Definition => {
            findings.add(&at, "a definition that is only another name", "refer to the other one directly");
        }
        Some(_) => {}
    }
}

/// The keywords that stand here, other than `$ref`.
fn keywords(node: &Node) -> Vec<&'static str> {
    let words = [
        ("type", node.kind.is_some()),
        ("required", node.required.is_some()),
        ("properties", node.properties.is_some()),
        ("items", node.items.is_some()),
        ("minLength", node.min_length.is_some()),
        ("maxLength", node.max_length.is_some()),
        ("pattern", node.pattern.is_some()),
        ("minimum", node.minimum.is_some()),
        ("maximum", node.maximum.is_some()),
        ("minItems", node.min_items.is_some()),
        ("maxItems", node.max_items.is_some()),
        ("enum", node.one_of.is_some()),
        ("format", node.format.is_some()),
        ("default", node.default.is_some()),
        ("examples", node.examples.is_some()),
        ("title", node.title.is_some()),
        ("description", node.description.is_some()),
        ("x-type", node.newtype.is_some()),
        ("x-unit", node.unit.is_some()),
        ("x-alias", node.alias.is_some()),
        ("x-blank", node.blank.is_some()),
        ("x-sensitive", node.sensitive.is_some()),
        ("x-case-blind", node.case_blind.is_some()),
        ("x-variants", node.variants.is_some()),
    ];
    words.into_iter().filter_map(|(word, there)| there.then_some(word)).collect()
}

/// Keywords that say nothing about a value of this type.
fn misplaced(node: &Node, kind: Kind, pointer: &str, findings: &mut Findings) {
    let own: &[&str] = match kind {
        Kind::Object => &["required", "properties"],
        Kind::Array => &["items", "minItems", "maxItems"],
        Kind::String => &["minLength", "maxLength", "pattern", "enum", "format", "x-type", "x-blank", "x-sensitive"],
        Kind::Integer => &["minimum", "maximum", "enum", "x-type", "x-unit"],
        Kind::Number => &["minimum", "maximum", "x-unit"],
        Kind::Boolean => &[],
    };
    let of_enum = ["x-case-blind", "x-variants"];
    let anywhere = ["type", "title", "description", "default", "examples", "x-alias"];
    for word in keywords(node) {
        let allowed =
            own.contains(&word) || anywhere.contains(&word) || (of_enum.contains(&word) && node.is_text_enum());
        if !allowed {
            let what = if of_enum.contains(&word) {
                format!("`{word}` without an `enum` of strings")
            } else {
                format!("`{word}` does not go with type {}", kind.name())
            };
            findings.add(&below(pointer, word), what, "delete it or correct the type");
        }
    }
    if let Some(newtype) = node.newtype.filter(|newtype| newtype.kind() != kind) {
        let what = format!("`{}` is made of type {}, not {}", newtype.name(), newtype.kind().name(), kind.name());
        findings.add(&below(pointer, "x-type"), what, "correct one of the two");
    }
}

fn check_object(scope: &Scope, node: &Node, pointer: &str, findings: &mut Findings) {
    let Some(properties) = &node.properties else {
        findings.add(pointer, "an object without `properties`", "list them; {} if there are none");
        return;
    };
    let mut seen = BTreeSet::new();
    for (i, name) in node.required.iter().flatten().enumerate() {
        let at = below(&below(pointer, "required"), i);
        if !properties.contains(name) {
            findings.add(&at, format_args!("`{name}` is required but not defined"), "define it or take it out");
        }
        if !seen.insert(name) {
            findings.add(&at, format_args!("`{name}` is listed twice"), "delete one");
        }
    }
    let mut names = BTreeMap::new();
    for (name, field) in properties.iter() {
        let at = below(&below(pointer, "properties"), name);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic())
            || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        {
            let remedy = "only ASCII letters, digits, _ and - can be written as a Rust field";
            findings.add(&at, format_args!("`{name}` cannot be the name of a field"), remedy);
        }
        if let Some(other) = names.insert(name.replace(['_', '-'], "").to_ascii_lowercase(), name) {
            let what = format!("`{name}` and `{other}` would be one Rust field");
            findings.add(&at, what, "keep one; the other may be its `x-alias`");
        }
        if field.blank.is_some() && node.requires(name) {
            let what = "`x-blank` on a required property";
            findings.add(&below(&at, "x-blank"), what, "take the name out of `required`: it may be absent");
        }
        check(scope, field, &at, Place::Property, findings);
    }
    for (name, field) in properties.iter() {
        if let Some(alias) = field.alias.as_deref().filter(|alias| properties.contains(alias)) {
            let at = below(&below(&below(pointer, "properties"), name), "x-alias");
            findings.add(&at, format_args!("`{alias}` is a property of its own"), "keep one of the two");
        }
    }
}

fn check_string(node: &Node, pointer: &str, findings: &mut Findings) {
    match text_limits(node) {
        Ok(limits) => order("minLength", Some(limits.min), limits.max, pointer, findings),
        Err(what) => {
            let remedy = "write a class of ranges and the escapes \\\\ \\- \\] \\/ only, and its length";
            findings.add(&below(pointer, "pattern"), what, remedy);
        }
    }
    if node.format.is_some() && (node.newtype.is_some() || node.one_of.is_some() || node.pattern.is_some()) {
        let what = "`format` beside `x-type`, `enum` or `pattern`";
        findings.add(&below(pointer, "format"), what, "a timestamp has a type of its own: keep one of them");
    }
    let Some(values) = &node.one_of else { return };
    if let Some(newtype) = node.newtype {
        let what = format!("`{}` beside `enum`", newtype.name());
        findings.add(&below(pointer, "x-type"), what, "an enum is a type of its own: keep one of them");
    }
    let at = below(pointer, "enum");
    if values.is_empty() {
        findings.add(&at, "no value is allowed", "list the values");
    }
    let empty = Variant::default();
    let mut wires = BTreeSet::new();
    let mut rust = BTreeMap::new();
    for (i, value) in values.iter().enumerate() {
        let at = below(&at, i);
        let Some(text) = value.as_str() else {
            findings.add(&at, "a value that is no string", "quote it");
            continue;
        };
        if !wires.insert(text) {
            findings.add(&at, format_args!("`{text}` is listed twice"), "delete one");
            continue;
        }
        let variant = node.variants.as_ref().and_then(|variants| variants.get(text)).unwrap_or(&empty);
        let name = variant.name.clone().unwrap_or_else(|| names::upper_camel(text));
        let remedy = format!("give it another in x-variants: {{\"{text}\": {{\"name\": \"…\"}}}}");
        if !names::is_identifier(&name) || !name.is_ascii() || !name.starts_with(|c: char| c.is_ascii_uppercase()) {
            findings.add(&at, format_args!("`{text}` gives the Rust name `{name}`, which is none"), remedy);
        } else if name == UNRECOGNIZED {
            findings.add(&at, format_args!("`{text}` takes the Rust name of the values not known"), remedy);
        } else if let Some(other) = rust.insert(name.clone(), text) {
            findings.add(&at, format_args!("`{text}` and `{other}` have one Rust name, `{name}`"), remedy);
        }
    }
    let mut read = wires.clone();
    for (key, variant) in node.variants.iter().flat_map(Ordered::iter) {
        let at = below(&below(pointer, "x-variants"), key);
        if !wires.contains(key) {
            findings.add(&at, format_args!("`{key}` is no value of the `enum`"), "add it there or delete it here");
        }
        for (i, alias) in variant.alias.iter().enumerate().filter(|(_, alias)| !read.insert(alias)) {
            let what = format!("`{alias}` is read already");
            findings.add(&below(&below(&at, "alias"), i), what, "delete it here, or from the `enum`");
        }
    }
}

fn check_integer(node: &Node, pointer: &str, findings: &mut Findings) {
    if node.unit.is_some() && node.newtype == Some(Newtype::Fen) {
        findings.add(&below(pointer, "x-unit"), "`x-unit` beside `Fen`, which is the unit", "delete it");
    }
    let mut seen = BTreeSet::new();
    for (i, value) in node.one_of.iter().flatten().enumerate() {
        let at = below(&below(pointer, "enum"), i);
        match value.as_i64() {
            None => findings.add(&at, "a value that is no integer", "write it without quotes, point or exponent"),
            Some(value) if !seen.insert(value) => {
                findings.add(&at, format_args!("{value} is listed twice"), "delete one");
            }
            Some(_) => {}
        }
    }
    if node.one_of.as_ref().is_some_and(Vec::is_empty) {
        findings.add(&below(pointer, "enum"), "no value is allowed", "list the values");
    }
}

fn order<T: PartialOrd + std::fmt::Display>(
    keyword: &str,
    min: Option<T>,
    max: Option<T>,
    pointer: &str,
    findings: &mut Findings,
) {
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        let what = format!("the least allowed, {min}, is more than the most, {max}");
        let remedy = format!("correct `{keyword}` or its counterpart");
        findings.add(pointer, what, remedy);
    }
}
