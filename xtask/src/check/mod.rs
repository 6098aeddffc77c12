//! What must be true of the schema files beyond their form. Every check goes on after a finding.

mod node;
mod notification;
mod operation;
mod page;
mod rules;

use crate::catalog::{COMMON, Catalog, Family, Home, Scope};
use crate::names;
use crate::schema::{ErrorRow, Kind, Node};
use crate::source::{Ordered, Problem, below};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// A place in a file, and the list that findings go to.
struct Findings<'a> {
    file: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl Findings<'_> {
    fn add(&mut self, pointer: &str, what: impl Display, remedy: impl Display) {
        self.problems.push(Problem::new(self.file, pointer, what, remedy));
    }
}

/// Checks everything that could be parsed.
pub(crate) fn check(catalog: &Catalog, problems: &mut Vec<Problem>) {
    let scope = Scope::of_common(&catalog.common);
    let mut findings = Findings { file: COMMON, problems };
    definitions(&scope, &catalog.common.definitions, &mut findings);
    error_rows("/errors", &catalog.common.errors, &mut findings);
    for family in catalog.families.iter().filter(|family| family.complete) {
        check_family(catalog, family, problems);
    }
    code_names(catalog, problems);
    if catalog.families.iter().all(|family| family.complete) {
        let mut findings = Findings { file: COMMON, problems };
        unused(&catalog.common.definitions, &used(catalog, &catalog.families, Home::Common), &mut findings);
    }
}

fn check_family(catalog: &Catalog, family: &Family, problems: &mut Vec<Problem>) {
    let scope = Scope::of(catalog, family);
    let path = family.types_path();
    let mut findings = Findings { file: &path, problems };
    if !names::is_snake(&family.name) {
        findings.add(
            "",
            format_args!("`{}` cannot be the name of a module", family.name),
            "name the folder in snake_case",
        );
    }
    definitions(&scope, &family.types.definitions, &mut findings);
    let family_only = std::slice::from_ref(family);
    unused(&family.types.definitions, &used(catalog, family_only, Home::Family), &mut findings);

    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for (name, node) in catalog.common.definitions.iter() {
        take(&mut taken, name, node, format!("the definition of {COMMON}"));
    }
    for (name, node) in family.types.definitions.iter() {
        if let Some(other) = take(&mut taken, name, node, "a definition of types.json".to_owned()) {
            let what = format!("the Rust name `{name}` is taken already, by {other}");
            findings.add(&below("/definitions", name), what, "rename one of the two");
        }
    }
    for operation in &family.operations {
        let mut findings = Findings { file: &operation.path, problems };
        for name in std::iter::once(operation.request_type()).chain(operation.response_type()) {
            if let Some(other) = taken.insert(name.clone(), operation.path.clone()) {
                let what = format!("the Rust name `{name}` is taken already, by {other}");
                findings.add("/id", what, "rename the operation or the definition");
            }
        }
        operation::check(&scope, family, operation, &mut findings);
    }
    for notification in &family.notifications {
        let mut findings = Findings { file: &notification.path, problems };
        let name = notification.payload_type();
        if let Some(other) = taken.insert(name.clone(), notification.path.clone()) {
            let what = format!("the Rust name `{name}` is taken already, by {other}");
            findings.add("/id", what, "rename the notification or the other");
        }
        notification::check(&scope, family, notification, &mut findings);
    }
}

/// Where a file stands, its titles and where it comes from: `texts` are its id and both titles.
fn head(family: &Family, name: &str, texts: [&String; 3], source: &[String], findings: &mut Findings) {
    let [id, title, title_zh] = texts;
    let expected = format!("{}.{name}", family.name);
    if *id != expected {
        let remedy = format!("the place of the file says `{expected}`: rename one");
        findings.add("/id", format_args!("`{id}` is not where it belongs"), remedy);
    }
    let type_name = names::upper_camel(name);
    if !names::is_snake(name) {
        findings.add("/id", format_args!("`{name}` is no verb_noun"), "name the file in snake_case");
    } else if names::is_reserved(&type_name) {
        findings.add("/id", format_args!("`{type_name}` means something else in Rust"), "rename it");
    }
    for (pointer, text) in [("/title", title), ("/title_zh", title_zh)] {
        if text.trim().is_empty() {
            findings.add(pointer, "it is empty", "write the title");
        }
    }
    if source.is_empty() {
        findings.add("/source", "it comes from nowhere", "name the page that it was transcribed from");
    }
    for (i, source) in source.iter().enumerate().filter(|(_, source)| !is_address(source)) {
        findings.add(&below("/source", i), format_args!("`{source}` is no address"), "write https://…");
    }
}

fn is_address(source: &str) -> bool {
    let rest = source.strip_prefix("https://").or_else(|| source.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains([' ', '<', '>']))
}

/// Takes the Rust names of a definition; the answer is who has one of them already.
fn take(taken: &mut BTreeMap<String, String>, name: &str, node: &Node, by: String) -> Option<String> {
    let unknown = node.is_text_enum().then(|| taken.insert(format!("Unrecognized{name}"), by.clone())).flatten();
    taken.insert(name.to_owned(), by).or(unknown)
}

/// Names of the definitions of this home that some operation or notification needs.
fn used<'a>(catalog: &'a Catalog, families: &'a [Family], home: Home) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    for family in families {
        let scope = Scope::of(catalog, family);
        let mut names = BTreeSet::new();
        family.roots().for_each(|root| scope.reachable(root, &mut names));
        found.extend(names.into_iter().filter(|name| scope.find(name).is_some_and(|(at, _)| at == home)));
    }
    found
}

fn unused(definitions: &Ordered<Node>, used: &BTreeSet<&str>, findings: &mut Findings) {
    for name in definitions.keys().filter(|name| !used.contains(name)) {
        findings.add(&below("/definitions", name), "nothing uses this definition", "delete it");
    }
}

fn definitions(scope: &Scope, definitions: &Ordered<Node>, findings: &mut Findings) {
    for (name, node) in definitions.iter() {
        let pointer = below("/definitions", name);
        if !names::is_type_name(name) {
            let remedy = "use UpperCamelCase, an abbreviation written like a word";
            findings.add(&pointer, format_args!("`{name}` cannot be the name of a type"), remedy);
        } else if names::is_reserved(name) || is_newtype(name) {
            findings.add(&pointer, format_args!("`{name}` means something else in the generated code"), "rename it");
        }
        if node.kind != Some(Kind::Object) && !node.is_text_enum() {
            let what = "a definition is an object, or a string with `enum`";
            findings.add(&pointer, what, "put this schema where it is used");
        }
        if [&node.title, &node.description].into_iter().flatten().all(|text| text.trim().is_empty()) {
            findings.add(&pointer, "neither `title` nor `description`", "say what it is: every type is documented");
        }
        node::check(scope, node, &pointer, node::Place::Definition, findings);
        if contains_itself(scope, name, node) {
            let what = format!("`{name}` contains itself");
            findings.add(&pointer, what, "break the circle: such a type has no size and its form no end");
        }
    }
}

fn is_newtype(name: &str) -> bool {
    serde_json::from_value::<crate::schema::Newtype>(name.into()).is_ok()
}

fn contains_itself<'a>(scope: &Scope<'a>, name: &str, node: &'a Node) -> bool {
    let mut names = BTreeSet::new();
    scope.reachable(node, &mut names);
    names.contains(name)
}

fn error_rows(pointer: &str, rows: &[ErrorRow], findings: &mut Findings) {
    for (i, row) in rows.iter().enumerate() {
        let pointer = below(pointer, i);
        if !(400..=599).contains(&row.status) {
            let what = format!("{} is no status of a refusal", row.status);
            findings.add(&below(&pointer, "status"), what, "use one from 400 to 599");
        }
        let name = names::upper_camel(&row.code);
        if !names::is_identifier(&name) || !row.code.is_ascii() || name == UNRECOGNIZED {
            let what = format!("the code `{}` gives no Rust name", row.code);
            findings.add(&below(&pointer, "code"), what, "correct it: codes are words in capitals");
        }
        for (key, text) in [("meaning", &row.meaning), ("remedy", &row.remedy)] {
            if text.trim().is_empty() {
                findings.add(&below(&pointer, key), "it is empty", "write a sentence");
            }
        }
        let same =
            |other: &&ErrorRow| (other.status, &other.code, &other.message) == (row.status, &row.code, &row.message);
        if rows.iter().take(i).any(|other| same(&other)) {
            let what = "another row has the same status, code and message";
            findings.add(&pointer, what, "delete one, or give the message of each");
        }
    }
}

/// All codes become variants of one enum.
fn code_names(catalog: &Catalog, problems: &mut Vec<Problem>) {
    let mut names = BTreeMap::new();
    for (file, rows) in catalog.error_tables() {
        for (i, row) in rows.iter().enumerate() {
            let name = names::upper_camel(&row.code);
            let other = *names.entry(name.clone()).or_insert(&row.code);
            if other != &row.code {
                let what = format!("the codes `{}` and `{other}` have one Rust name, `{name}`", row.code);
                let pointer = format!("/errors/{i}/code");
                problems.push(Problem::new(file, &pointer, what, "correct the one that is misspelt"));
            }
        }
    }
}

/// The variant that keeps a text that is not known.
const UNRECOGNIZED: &str = "Unrecognized";
