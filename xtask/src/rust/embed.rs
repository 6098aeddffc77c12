//! An operation or notification file as one document that refers to nothing outside.

use crate::catalog::{Catalog, Family, Home, Scope, referent};
use crate::schema::Node;
use crate::source::{Json, Ordered};
use std::collections::BTreeSet;

/// The minified document of an operation or a notification: `roots` are the schemas in it. `$schema` goes, because it
/// would lead a validator to a file that is not there.
pub(super) fn document<'a>(
    catalog: &'a Catalog,
    family: &'a Family,
    file: &Json,
    roots: impl IntoIterator<Item = &'a Node>,
) -> anyhow::Result<String> {
    let scope = Scope::of(catalog, family);
    let mut names = BTreeSet::new();
    roots.into_iter().for_each(|root| scope.reachable(root, &mut names));

    let mut definitions = Vec::new();
    for (home, json) in [(Home::Common, &catalog.common_json), (Home::Family, &family.types_json)] {
        let all = member(json, "definitions").into_iter().flat_map(Ordered::iter);
        let here = |name: &str| names.contains(name) && scope.find(name).is_some_and(|(found, _)| found == home);
        definitions.extend(all.filter(|(name, _)| here(name)).map(|(name, json)| (name.to_owned(), inside(json))));
    }

    let Json::Object(outer) = file else { anyhow::bail!("a schema file of {} is no object", family.name) };
    let mut document = Vec::new();
    for (key, value) in outer.iter().filter(|(key, _)| *key != "$schema") {
        let schema = matches!(key, "request" | "response" | "payload");
        document.push((key.to_owned(), if schema { inside(value) } else { value.clone() }));
    }
    document.push(("definitions".to_owned(), Json::Object(Ordered(definitions))));
    Ok(serde_json::to_string(&Ordered(document))? + "\n")
}

fn member<'a>(json: &'a Json, key: &str) -> Option<&'a Ordered<Json>> {
    let Json::Object(pairs) = json else { return None };
    match pairs.get(key) {
        Some(Json::Object(member)) => Some(member),
        _ => None,
    }
}

/// The schema with every reference leading into the document itself.
fn inside(json: &Json) -> Json {
    match json {
        Json::Array(items) => Json::Array(items.iter().map(inside).collect()),
        Json::Object(pairs) => Json::Object(Ordered(
            pairs
                .iter()
                .map(|(key, value)| match value.as_str() {
                    Some(text) if key == "$ref" => {
                        (key.to_owned(), Json::String(format!("#/definitions/{}", referent(text))))
                    }
                    _ => (key.to_owned(), inside(value)),
                })
                .collect(),
        )),
        other => other.clone(),
    }
}
