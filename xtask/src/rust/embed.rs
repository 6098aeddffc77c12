//! An operation file as one document that refers to nothing outside.

use crate::catalog::{Catalog, Family, Home, Operation, Scope, referent};
use crate::source::{Json, Ordered};
use std::collections::BTreeSet;

/// The minified document. `$schema` goes, because it would lead a validator to a file that is not there.
pub(super) fn document(catalog: &Catalog, family: &Family, operation: &Operation) -> anyhow::Result<String> {
    let scope = Scope::of(catalog, family);
    let mut names = BTreeSet::new();
    scope.reachable(&operation.data.request, &mut names);
    operation.data.response.iter().for_each(|response| scope.reachable(response, &mut names));

    let mut definitions = Vec::new();
    for (home, json) in [(Home::Common, &catalog.common_json), (Home::Family, &family.types_json)] {
        let all = member(json, "definitions").into_iter().flat_map(Ordered::iter);
        let here = |name: &str| names.contains(name) && scope.find(name).is_some_and(|(found, _)| found == home);
        definitions.extend(all.filter(|(name, _)| here(name)).map(|(name, json)| (name.to_owned(), inside(json))));
    }

    let Json::Object(outer) = &operation.json else { anyhow::bail!("{} is no object", operation.path) };
    let mut document = Vec::new();
    for (key, value) in outer.iter().filter(|(key, _)| *key != "$schema") {
        let schema = matches!(key, "request" | "response");
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
