//! From the schema files to the generated files, and from there to the disk or to a verdict.

use crate::source::{Files, Problem, read_files};
use crate::{NOTIFICATION_SCHEMA, OPERATION_SCHEMA, catalog, check, readme, rust, schema};
use anyhow::{Context as _, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const GENERATED: &str = "crates/wechatpay-model/src/generated";

/// Whether the files are written, or only compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Write what differs, delete what does not belong.
    Write,
    /// Fail if something differs.
    Check,
}

/// Generates everything below `root`.
pub(crate) fn run(root: &Path, mode: Mode) -> anyhow::Result<()> {
    let files = read_files(&root.join("schemas"))?;
    let generated = match generate(&files)? {
        Ok(generated) => generated,
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            bail!("{} in the schema files; nothing was written", count(problems.len(), "problem"));
        }
    };
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    for (name, tables) in &generated.operations {
        let text = std::fs::read_to_string(root.join(name)).with_context(|| format!("cannot read {name}"))?;
        wanted.insert((*name).to_owned(), readme::with_operations(name, &text, tables)?);
    }
    wanted.insert(format!("schemas/{OPERATION_SCHEMA}"), schema::operation_schema()?);
    wanted.insert(format!("schemas/{NOTIFICATION_SCHEMA}"), schema::notification_schema()?);
    wanted.extend(generated.files.into_iter().map(|(path, text)| (format!("{GENERATED}/{path}"), text)));
    settle_folder(root, GENERATED, &wanted, mode, "cargo xtask codegen")
}

/// What the schema files become.
pub(crate) struct Generated {
    /// Rust and embedded files: path below `generated/` → text.
    pub files: BTreeMap<String, String>,
    /// The tables of operations in Markdown, for each README.
    pub operations: Vec<(&'static str, String)>,
}

/// Everything that is generated, or everything that is wrong with the schema files.
pub(crate) fn generate(files: &Files) -> anyhow::Result<Result<Generated, Vec<Problem>>> {
    let (catalog, mut problems) = catalog::load(files);
    // What could not be read would be reported as missing wherever it is referred to.
    if !problems.iter().any(|problem| problem.file == catalog::COMMON) {
        check::check(&catalog, &mut problems);
    }
    if problems.is_empty() {
        let tables = readme::READMES.map(|(name, words)| (name, readme::operations(&catalog, &words)));
        return Ok(Ok(Generated { files: rust::generate(&catalog)?, operations: tables.into() }));
    }
    problems.sort();
    Ok(Err(problems))
}

/// The one place that decides between writing and checking: path → text. What stands in `folder` and is not wanted goes;
/// `remedy` is the command that writes.
pub(crate) fn settle_folder(
    root: &Path,
    folder: &str,
    wanted: &BTreeMap<String, String>,
    mode: Mode,
    remedy: &str,
) -> anyhow::Result<()> {
    let mut findings = Vec::new();
    for (path, text) in wanted {
        let full = root.join(path);
        let state = match std::fs::read(&full) {
            Ok(bytes) if bytes == text.as_bytes() => continue,
            Ok(_) => "stale",
            Err(_) => "missing",
        };
        findings.push(format!("{state}: {path}"));
        if mode == Mode::Write {
            write(&full, text)?;
        }
    }
    let mut there = BTreeSet::new();
    walk(root, folder, &mut there)?;
    for path in there.iter().filter(|path| !wanted.contains_key(*path)) {
        findings.push(format!("orphan: {path}"));
        if mode == Mode::Write {
            std::fs::remove_file(root.join(path)).with_context(|| format!("cannot delete {path}"))?;
        }
    }
    for finding in &findings {
        println!("{finding}");
    }
    match mode {
        Mode::Write => println!("{} generated, {} changed", wanted.len(), findings.len()),
        Mode::Check if findings.is_empty() => println!("{} generated files are fresh", wanted.len()),
        Mode::Check => {
            let files = count(findings.len(), "generated file");
            bail!("{files} not as the sources say; run `{remedy}` and commit");
        }
    }
    Ok(())
}

/// `1 problem`, `2 problems`
pub(crate) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Paths of all files below a folder, relative to the root; none if there is no such folder.
fn walk(root: &Path, folder: &str, found: &mut BTreeSet<String>) -> anyhow::Result<()> {
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else { return Ok(()) };
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {folder}"))?;
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            walk(root, &path, found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}
