//! Edges between the crates, and what the inner ones may not pull in.

use anyhow::{Context as _, bail};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Left may use right, and nothing else of this workspace. Dependencies for tests are free.
const EDGES: &[(&str, &[&str])] = &[
    ("wechatpay-model", &[]),
    ("wechatpay-protocol", &["wechatpay-model"]),
    ("wechatpay-reqwest", &["wechatpay-protocol"]),
    ("wechatpay-hyper", &["wechatpay-protocol"]),
    ("wechatpay-sandbox", &["wechatpay-protocol", "wechatpay-model"]),
    ("wechatpay-uploader", &["wechatpay-protocol", "wechatpay-model"]),
    (
        "wechatpay-cli",
        &[
            "wechatpay-uploader",
            "wechatpay-sandbox",
            "wechatpay-reqwest",
            "wechatpay-hyper",
            "wechatpay-protocol",
            "wechatpay-model",
        ],
    ),
    ("xtask", &[]),
    // Holds the secrets of tests; used by tests alone.
    ("wechatpay-leaks", &[]),
];

/// The folder of the member that tests across the crates, which may use them all.
const TESTS: &str = "tests";

/// Crates without I/O, and what would bring it.
const INNER: &[&str] = &["wechatpay-model", "wechatpay-protocol"];
const FORBIDDEN: &[&str] = &["tokio", "hyper", "reqwest", "rustls", "native-tls", "openssl"];

/// Most crates that a package may bring with its default features, itself included, macros not.
const BUDGETS: &[(&str, usize)] = &[("wechatpay-model", 10), ("wechatpay-protocol", 40)];

/// Features of `serde_json` that change bytes on the wire for every crate of the graph.
const JSON_FEATURES: &[&str] = &["preserve_order", "arbitrary_precision"];

/// The part of `cargo metadata` that is used here.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
}

/// A package of the graph.
#[derive(Debug, Deserialize)]
pub(super) struct Package {
    id: String,
    pub(super) name: String,
    pub(super) manifest_path: PathBuf,
    pub(super) rust_version: Option<String>,
    pub(super) license: Option<String>,
    pub(super) description: Option<String>,
    pub(super) readme: Option<PathBuf>,
    pub(super) keywords: Vec<String>,
    pub(super) categories: Vec<String>,
    /// The registries that it may go to; none at all where it is not published.
    pub(super) publish: Option<Vec<String>>,
    pub(super) features: BTreeMap<String, Vec<String>>,
    dependencies: Vec<Dependency>,
    pub(super) targets: Vec<Target>,
}

/// Something that a package builds.
#[derive(Debug, Deserialize)]
pub(super) struct Target {
    pub(super) kind: Vec<String>,
    pub(super) src_path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Resolved>,
}

#[derive(Debug, Deserialize)]
struct Resolved {
    id: String,
    features: Vec<String>,
}

impl Metadata {
    /// Asks cargo, with all features on.
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let text = cargo(root, &["metadata", "--format-version", "1", "--all-features"])?;
        serde_json::from_str(&text).context("`cargo metadata` says something else than expected")
    }

    /// The crates of this repository.
    pub(super) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }
}

/// Output of cargo.
fn cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let command = format!("cargo {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .output()
        .with_context(|| format!("cannot start `{command}`; is cargo installed?"))?;
    if !output.status.success() {
        bail!("`{command}` failed:\n{}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{command}` does not print UTF-8"))
}

/// Who uses whom.
pub(super) fn edges(metadata: &Metadata, findings: &mut Vec<String>) {
    let names: BTreeSet<&str> = metadata.members().map(|package| package.name.as_str()).collect();
    for package in metadata.members() {
        if package.manifest_path.parent().is_some_and(|folder| folder.ends_with(TESTS)) {
            continue;
        }
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == package.name) else {
            findings.push(format!("{}: nobody has said whom it may use; add it to EDGES of tidy", package.name));
            continue;
        };
        let outside_tests = package.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev"));
        for dependency in outside_tests.map(|dependency| dependency.name.as_str()) {
            if names.contains(dependency) && !allowed.contains(&dependency) {
                findings.push(format!("{}: may not use {dependency}; see ARCHITECTURE.md", package.name));
            }
        }
    }
}

/// The inner crates know no socket, no runtime and no TLS, whatever features are on.
pub(super) fn closures(root: &Path, findings: &mut Vec<String>) -> anyhow::Result<()> {
    for package in INNER {
        let arguments =
            ["--all-features", "--edges", "normal", "--target", "all", "--prefix", "none", "--format", "{p}"];
        let tree = cargo(root, &[&["tree", "--package", package], arguments.as_slice()].concat())?;
        let used: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
        for name in FORBIDDEN.iter().filter(|name| used.contains(*name)) {
            findings.push(format!("{package}: pulls in {name}; `cargo tree -p {package} -i {name}` says how"));
        }
    }
    Ok(())
}

/// What somebody who takes the crate has to build, and to trust.
pub(super) fn budgets(root: &Path, findings: &mut Vec<String>) -> anyhow::Result<()> {
    for (package, most) in BUDGETS {
        let arguments = ["tree", "--package", package, "--edges", "normal,no-proc-macro", "--prefix", "none"];
        let tree = cargo(root, &[&arguments, ["--format", "{p}"].as_slice()].concat())?;
        let crates: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
        if crates.len() > *most {
            findings.push(format!(
                "{package}: brings {} crates, {most} is the most; `cargo tree -p {package} -e normal,no-proc-macro` lists \
                 them",
                crates.len()
            ));
        }
    }
    Ok(())
}

/// Features are unified: one crate that switches these on switches them on for all.
pub(super) fn json_features(metadata: &Metadata, findings: &mut Vec<String>) {
    let json: BTreeSet<&str> = metadata
        .packages
        .iter()
        .filter(|package| package.name == "serde_json")
        .map(|package| package.id.as_str())
        .collect();
    for node in metadata.resolve.nodes.iter().filter(|node| json.contains(node.id.as_str())) {
        for feature in JSON_FEATURES.iter().filter(|feature| node.features.iter().any(|on| on == *feature)) {
            let remedy = "`cargo tree --workspace --all-features -e features -i serde_json` says who";
            findings.push(format!("serde_json: feature {feature} is on; {remedy}"));
        }
    }
}
