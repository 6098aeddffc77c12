//! The control paths as an OpenAPI 3.1 document, made from the same table as the router.

use super::{Gives, PREFIX, ROWS, Row};
use schemars::r#gen::{SchemaGenerator, SchemaSettings};
use schemars::schema::Schema;
use serde_json::{Map, Value, json};

/// The document.
pub(super) fn document() -> Value {
    let settings = SchemaSettings::draft2019_09().with(|settings| {
        settings.definitions_path = "#/components/schemas/".to_owned();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for row in ROWS {
        let operation = operation(row, &mut generator);
        let path = paths.entry(format!("{PREFIX}{}", row.path)).or_insert_with(|| json!({}));
        if let Value::Object(path) = path {
            path.insert(row.method.to_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Control of the sandbox",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Unsigned, and for loopback only, unless the sandbox was told otherwise. The emulated API has its own paths below /v3.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": generator.definitions()},
    })
}

/// A schema that is written as JSON.
pub(super) fn schema(written: Value) -> Schema {
    serde_json::from_value(written).map_or(Schema::Bool(true), Schema::Object)
}

fn operation(row: &Row, generator: &mut SchemaGenerator) -> Value {
    let (content_type, schema) = match row.gives {
        Gives::Json(describe) => ("application/json", json!(describe(generator))),
        Gives::Other(content_type) => (content_type, json!({"type": "string"})),
    };
    let refusal = json!({
        "description": "What is wrong, and what to do",
        "content": {"application/json": {"schema": {
            "type": "object", "required": ["error"], "properties": {"error": {"type": "string"}},
        }}},
    });
    let mut operation = json!({
        "summary": row.summary,
        "responses": {
            "200": {"description": "Done", "content": {content_type: {"schema": schema}}},
            "4XX": refusal,
        },
    });
    let mut put = |name: &str, value| {
        if let Value::Object(operation) = &mut operation {
            operation.insert(name.to_owned(), value);
        }
    };
    let described = [("path", row.place), ("query", row.query)]
        .map(|(place, describe)| describe.map_or_else(Vec::new, |describe| parameters(place, describe(generator))));
    let parameters = described.concat();
    if !parameters.is_empty() {
        put("parameters", parameters.into());
    }
    if let Some(takes) = row.takes.map(|describe| describe(generator)) {
        put("requestBody", json!({"required": true, "content": {"application/json": {"schema": takes}}}));
    }
    operation
}

/// The properties of an object as parameters in the path or the query.
fn parameters(place: &str, described: Schema) -> Vec<Value> {
    let object = described.into_object().object.unwrap_or_default();
    let parameter = |(name, schema)| {
        let required = object.required.contains(&name);
        json!({"name": name, "in": place, "required": required, "schema": json!(schema)})
    };
    object.properties.into_iter().map(parameter).collect()
}
