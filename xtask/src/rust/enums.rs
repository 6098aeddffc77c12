//! Open enums. They are text rather than tokens, because no formatter knows the inside of a macro call.

use super::docs;
use crate::catalog::Catalog;
use crate::names;
use crate::schema::{Node, Variant};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// One variant: documentation, Rust name, text on the wire, other texts that are read as it.
pub(super) struct Row {
    docs: Vec<String>,
    name: String,
    wire: String,
    alias: Vec<String>,
}

/// The variants of a definition, in the order of the document.
pub(super) fn variants(node: &Node) -> Vec<Row> {
    let empty = Variant::default();
    let values = node.one_of.iter().flatten().filter_map(|value| value.as_str());
    let rows = values.map(|wire| {
        let variant = node.variants.as_ref().and_then(|variants| variants.get(wire)).unwrap_or(&empty);
        Row {
            docs: docs::variant(wire, variant),
            name: variant.name.clone().unwrap_or_else(|| names::upper_camel(wire)),
            wire: wire.to_owned(),
            alias: variant.alias.clone(),
        }
    });
    rows.collect()
}

/// The call of the macro that makes the enum.
pub(super) fn open_enum(name: &str, documentation: &[String], rows: Vec<Row>) -> String {
    let mut out = "open_enum! {\n".to_owned();
    comment(&mut out, 1, documentation);
    // Writing to a string does not fail.
    let _ = writeln!(out, "    pub enum {name}(Unrecognized{name}) {{");
    for row in rows {
        comment(&mut out, 2, &row.docs);
        let texts: Vec<_> = std::iter::once(&row.wire).chain(&row.alias).map(|text| format!("{text:?}")).collect();
        let _ = writeln!(out, "        {} = {},", row.name, texts.join(" | "));
    }
    out + "    }\n}\n"
}

fn comment(out: &mut String, depth: usize, paragraphs: &[String]) {
    for line in docs::lines(paragraphs) {
        let _ = writeln!(out, "{}", format!("{}/// {line}", "    ".repeat(depth)).trim_end());
    }
}

/// The enum of all error codes, and what each means.
pub(super) fn error_codes(catalog: &Catalog) -> String {
    let mut codes: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for row in catalog.error_tables().flat_map(|(_, rows)| rows) {
        codes.entry(&row.code).or_default().insert(format!("{}: {}", row.status, docs::escape(&row.meaning)));
    }
    let rows = codes.into_iter().map(|(code, meanings)| Row {
        docs: meanings.into_iter().collect(),
        name: names::upper_camel(code),
        wire: code.to_owned(),
        alias: Vec::new(),
    });
    let documentation = [
        "Error codes that the documents name, each with its statuses and meanings.".to_owned(),
        "One code can mean different things in different operations: see the errors of the operation.".to_owned(),
    ];
    open_enum("ErrorCode", &documentation, rows.collect())
}
