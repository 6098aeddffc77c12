//! The schema of an operation or a notification as far as it is shown, its fields in the order of the document.

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
pub(super) struct Document {
    pub(super) request: Option<Node>,
    pub(super) response: Option<Node>,
    pub(super) payload: Option<Node>,
    #[serde(default)]
    pub(super) examples: Vec<Example>,
    pub(super) note: Option<String>,
    #[serde(default)]
    definitions: IndexMap<String, Node>,
}

impl Document {
    /// The node itself, or the definition that it stands for.
    pub(super) fn resolve<'a>(&'a self, node: &'a Node) -> &'a Node {
        let target = node.reference.as_deref().and_then(|reference| reference.strip_prefix("#/definitions/"));
        target.and_then(|name| self.definitions.get(name)).unwrap_or(node)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Node {
    #[serde(rename = "$ref")]
    reference: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) format: Option<String>,
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    pub(super) required: Vec<String>,
    pub(super) properties: IndexMap<String, Node>,
    pub(super) items: Option<Box<Node>>,
    #[serde(rename = "enum")]
    pub(super) one_of: Vec<Value>,
    #[serde(rename = "x-variants")]
    pub(super) variants: IndexMap<String, Variant>,
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) minimum: Option<i64>,
    pub(super) maximum: Option<i64>,
    pub(super) min_items: Option<u64>,
    pub(super) max_items: Option<u64>,
    pub(super) default: Option<Value>,
    #[serde(rename = "x-type")]
    pub(super) newtype: Option<String>,
    #[serde(rename = "x-unit")]
    pub(super) unit: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Variant {
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Example {
    pub(super) name: Option<String>,
    pub(super) request: Option<Value>,
    pub(super) response: Option<Value>,
    pub(super) payload: Option<Value>,
    #[serde(default)]
    pub(super) violations: Vec<Violation>,
    pub(super) put_right: Option<Value>,
    pub(super) note: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Violation {
    pub(super) at: String,
    pub(super) rule: String,
}
