//! What every crate states, and the features of the model.

use super::graph::{Metadata, Package};
use anyhow::Context as _;
use std::collections::BTreeSet;
use std::path::Path;

const MODEL: &str = "wechatpay-model";
/// Lints of the root manifest, which every crate takes over, and the level below which they may not fall.
const LINTS: &[(&str, &str)] = &[
    ("unsafe_code", "forbid"),
    ("unwrap_used", "deny"),
    ("expect_used", "deny"),
    ("panic", "deny"),
    ("indexing_slicing", "deny"),
];
/// Features of the model without dependencies that are no family.
const NO_FAMILY: &[&str] = &["default", "schemas"];

pub(super) fn check(root: &Path, metadata: &Metadata, findings: &mut Vec<String>) -> anyhow::Result<()> {
    for package in metadata.members() {
        let name = &package.name;
        let manifest = read(&package.manifest_path)?;
        let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
        if lines.next() != Some("workspace = true") {
            findings.push(format!("{name}: Cargo.toml lacks `[lints]` with `workspace = true`"));
        }
        if package.rust_version.is_none() {
            findings.push(format!("{name}: Cargo.toml lacks `rust-version`"));
        }
        if package.license.is_none() {
            findings.push(format!("{name}: Cargo.toml lacks `license.workspace = true`"));
        }
        published(package, findings);
        let roots =
            package.targets.iter().filter(|target| target.kind.iter().any(|kind| kind == "lib" || kind == "bin"));
        for target in roots {
            if !read(&target.src_path)?.starts_with("//!") {
                findings
                    .push(format!("{name}: {} does not begin by saying what it is (`//!`)", target.src_path.display()));
            }
        }
    }
    lints(&read(&root.join("Cargo.toml"))?, findings);
    features(root, metadata, findings)
}

fn lints(manifest: &str, findings: &mut Vec<String>) {
    for (lint, level) in LINTS.iter().filter(|(lint, level)| {
        let wanted = format!("{lint} = \"{level}\"");
        !manifest.lines().any(|line| line == wanted)
    }) {
        findings.push(format!("Cargo.toml: the workspace lacks the lint `{lint} = \"{level}\"`"));
    }
}

/// What a package needs that others get from a registry.
fn published(package: &Package, findings: &mut Vec<String>) {
    if package.publish.as_ref().is_some_and(Vec::is_empty) {
        return;
    }
    let said = [
        ("description", package.description.is_some()),
        ("readme", package.readme.is_some()),
        ("keywords", !package.keywords.is_empty()),
        ("categories", !package.categories.is_empty()),
    ];
    for (key, _) in said.iter().filter(|(_, said)| !said) {
        findings.push(format!("{}: Cargo.toml lacks `{key}`", package.name));
    }
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        if !package.manifest_path.with_file_name(licence).is_file() {
            let name = &package.name;
            findings.push(format!("{name}: lacks {licence}; link it: `ln -s ../../{licence} crates/{name}/`"));
        }
    }
}

/// One folder of schemas, one feature.
fn features(root: &Path, metadata: &Metadata, findings: &mut Vec<String>) -> anyhow::Result<()> {
    let mut folders = BTreeSet::new();
    for entry in std::fs::read_dir(root.join("schemas")).context("cannot list schemas/")? {
        let entry = entry.context("cannot list schemas/")?;
        if entry.path().is_dir() {
            folders.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    let Some(model) = metadata.members().find(|package| package.name == MODEL) else {
        findings.push(format!("{MODEL}: there is no such crate"));
        return Ok(());
    };
    for folder in folders.iter().filter(|folder| !model.features.contains_key(*folder)) {
        findings.push(format!("{MODEL}: Cargo.toml lacks the feature `{folder}` for schemas/{folder}"));
    }
    // A feature with dependencies is about something else than a family.
    let families =
        model.features.iter().filter(|(name, needs)| needs.is_empty() && !NO_FAMILY.contains(&name.as_str()));
    for (name, _) in families.filter(|(name, _)| !folders.contains(*name)) {
        findings.push(format!("{MODEL}: the feature `{name}` has no folder schemas/{name}; delete it"));
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lint_that_is_weakened_is_found() {
        let strict: String = LINTS.iter().map(|(lint, level)| format!("{lint} = \"{level}\"\n")).collect();
        let mut findings = Vec::new();
        lints(&strict, &mut findings);
        assert_eq!(findings, [""; 0]);
        lints(&strict.replace("forbid", "warn").replace("\npanic = \"deny\"", "\npanic = \"warn\""), &mut findings);
        assert_eq!(findings.len(), 2, "{findings:?}");
    }
}
