//! All schema files, parsed; what a `$ref` means.

use crate::schema::{CommonFile, ErrorRow, FamilyFile, Node, NotificationFile, OperationFile};
use crate::source::{Files, Json, Ordered, Problem, parse};
use std::collections::{BTreeMap, BTreeSet};

/// Everything under `schemas/`.
#[derive(Debug)]
pub(crate) struct Catalog {
    /// `common.json`
    pub common: CommonFile,
    /// The same as it is written.
    pub common_json: Json,
    /// One for each folder, in alphabetical order.
    pub families: Vec<Family>,
}

impl Catalog {
    /// The file and the rows of every table of errors.
    pub(crate) fn error_tables(&self) -> impl Iterator<Item = (&str, &[ErrorRow])> {
        let operations = self.families.iter().flat_map(|family| &family.operations);
        let tables = operations.map(|operation| (operation.path.as_str(), operation.data.errors.as_slice()));
        std::iter::once((COMMON, self.common.errors.as_slice())).chain(tables)
    }
}

/// One folder.
#[derive(Debug)]
pub(crate) struct Family {
    /// Name of the folder, the module and the feature.
    pub name: String,
    /// `types.json`
    pub types: FamilyFile,
    /// The same as it is written.
    pub types_json: Json,
    /// In alphabetical order of their ids.
    pub operations: Vec<Operation>,
    /// In alphabetical order of their ids.
    pub notifications: Vec<Notification>,
    /// Whether every file of the folder could be parsed.
    pub complete: bool,
}

impl Family {
    /// Path of `types.json`.
    pub(crate) fn types_path(&self) -> String {
        format!("{}/{TYPES}", self.name)
    }

    /// Every schema outside of `types.json`.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &Node> {
        let operations = self.operations.iter().map(|operation| &operation.data);
        let operations = operations.flat_map(|data| std::iter::once(&data.request).chain(&data.response));
        operations.chain(self.notifications.iter().map(|notification| &notification.data.payload))
    }
}

/// One operation file.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Its path.
    pub path: String,
    /// Its name without the extension: `start_stock`.
    pub name: String,
    /// What it says.
    pub data: OperationFile,
    /// The same as it is written.
    pub json: Json,
}

impl Operation {
    /// The Rust type of its request.
    pub(crate) fn request_type(&self) -> String {
        crate::names::upper_camel(&self.name)
    }

    /// The Rust type of its answer, where it is not one of the definitions.
    pub(crate) fn response_type(&self) -> Option<String> {
        let own = self.data.response.as_ref().is_some_and(|response| response.reference.is_none());
        own.then(|| self.request_type() + "Response")
    }
}

/// One notification file.
#[derive(Debug)]
pub(crate) struct Notification {
    /// Its path.
    pub path: String,
    /// Its name without the extension: `coupon_use`.
    pub name: String,
    /// What it says.
    pub data: NotificationFile,
    /// The same as it is written.
    pub json: Json,
}

impl Notification {
    /// The Rust type of its payload.
    pub(crate) fn payload_type(&self) -> String {
        crate::names::upper_camel(&self.name)
    }
}

/// Name of the file that holds what all families share.
pub(crate) const COMMON: &str = "common.json";
const TYPES: &str = "types.json";
/// The folder inside of a family that holds its notifications.
const NOTIFICATIONS: &str = "notifications/";

/// Where a definition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Home {
    /// `common.json`
    Common,
    /// `types.json` of the family at hand.
    Family,
}

/// The definitions that can be seen from a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// Those of `common.json`.
    pub common: &'a Ordered<Node>,
    /// Those of `types.json`; `None` seen from `common.json`.
    pub family: Option<&'a Ordered<Node>>,
}

impl<'a> Scope<'a> {
    /// What is seen from a family.
    pub(crate) fn of(catalog: &'a Catalog, family: &'a Family) -> Self {
        Self { common: &catalog.common.definitions, family: Some(&family.types.definitions) }
    }

    /// What is seen from `common.json`.
    pub(crate) fn of_common(common: &'a CommonFile) -> Self {
        Self { common: &common.definitions, family: None }
    }

    /// The definition of this name.
    pub(crate) fn find(&self, name: &str) -> Option<(Home, &'a Node)> {
        let family = self.family.and_then(|definitions| definitions.get(name)).map(|node| (Home::Family, node));
        family.or_else(|| self.common.get(name).map(|node| (Home::Common, node)))
    }

    /// The node itself, or the definition that it refers to.
    pub(crate) fn follow(&self, node: &'a Node) -> &'a Node {
        node.reference.as_deref().and_then(|reference| self.find(referent(reference))).map_or(node, |(_, node)| node)
    }

    /// Names of all definitions that can be reached from the node.
    pub(crate) fn reachable(&self, node: &'a Node, found: &mut BTreeSet<&'a str>) {
        if let Some(name) = node.reference.as_deref().map(referent)
            && let Some((_, definition)) = self.find(name)
            && found.insert(name)
        {
            self.reachable(definition, found);
        }
        for (_, field) in node.fields() {
            self.reachable(field, found);
        }
        if let Some(items) = &node.items {
            self.reachable(items, found);
        }
    }
}

/// The name in a reference that was found good.
pub(crate) fn referent(reference: &str) -> &str {
    reference.rsplit_once('/').map_or(reference, |(_, name)| name)
}

/// What a reference in this file means; `None` if it is of no form that is allowed there.
pub(crate) fn target<'a>(file: &str, reference: &'a str) -> Option<(Home, &'a str)> {
    let (document, name) = reference.split_once("#/definitions/")?;
    let (folder, file) = file.split_once('/').unwrap_or(("", file));
    let deep = file.starts_with(NOTIFICATIONS);
    let home = match document {
        "" if folder.is_empty() => Home::Common,
        "" if file == TYPES => Home::Family,
        "types.json" if !folder.is_empty() && !deep => Home::Family,
        "../types.json" if deep => Home::Family,
        "../common.json" if !folder.is_empty() && !deep => Home::Common,
        "../../common.json" if deep => Home::Common,
        _ => return None,
    };
    Some((home, name))
}

/// Parses all files. What cannot be parsed is missing in the catalog and among the problems.
pub(crate) fn load(files: &Files) -> (Catalog, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut common = (CommonFile::default(), Json::Null);
    let mut folders: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (path, text) in files {
        match path.split_once('/') {
            Some((folder, file)) => folders.entry(folder).or_default().push((file, text)),
            None if path == COMMON => match parse_both(path, text) {
                Ok(both) => common = both,
                Err(error) => problems.extend(error),
            },
            None => {
                problems.push(Problem::new(
                    path,
                    "",
                    "nothing reads this file",
                    "move it into the folder of its family",
                ));
            }
        }
    }
    let mut families = Vec::new();
    for (name, files) in folders {
        let before = problems.len();
        let mut types = None;
        let (mut operations, mut notifications) = (Vec::new(), Vec::new());
        for (file, text) in files {
            let path = format!("{name}/{file}");
            let result = if file == TYPES {
                parse_both(&path, text).map(|both| types = Some(both))
            } else if let Some(file) = file.strip_prefix(NOTIFICATIONS) {
                let name = file.trim_end_matches(".json").to_owned();
                parse_both(&path, text).map(|(data, json)| notifications.push(Notification { path, name, data, json }))
            } else if file.contains('/') {
                Err(vec![Problem::new(&path, "", "nothing reads this file", "move it into `notifications`")])
            } else {
                let name = file.trim_end_matches(".json").to_owned();
                parse_both(&path, text).map(|(data, json)| operations.push(Operation { path, name, data, json }))
            };
            problems.extend(result.err().into_iter().flatten());
        }
        let complete = problems.len() == before;
        if let Some((types, types_json)) = types {
            families.push(Family { name: name.to_owned(), types, types_json, operations, notifications, complete });
        } else if complete {
            let path = format!("{name}/{TYPES}");
            let remedy = "write it: title, title_zh, description, definitions";
            problems.push(Problem::new(&path, "", "the family has no such file", remedy));
        }
    }
    (Catalog { common: common.0, common_json: common.1, families }, problems)
}

fn parse_both<T: serde::de::DeserializeOwned>(path: &str, text: &str) -> Result<(T, Json), Vec<Problem>> {
    Ok((parse(path, text)?, parse(path, text)?))
}
