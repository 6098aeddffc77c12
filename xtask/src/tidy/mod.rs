//! What the compiler does not check: who uses whom, which features are on, what may not stand in a file.

mod graph;
mod manifests;
mod text;

pub(crate) use text::listed;

use crate::codegen::count;
use anyhow::bail;
use std::path::Path;

/// Runs all checks and prints everything that they find.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let metadata = graph::Metadata::read(root)?;
    let mut findings = Vec::new();
    graph::edges(&metadata, &mut findings);
    graph::closures(root, &mut findings)?;
    graph::budgets(root, &mut findings)?;
    graph::json_features(&metadata, &mut findings);
    manifests::check(root, &metadata, &mut findings)?;
    text::check(root, &mut findings)?;
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy");
        Ok(())
    } else {
        bail!("not tidy: {}", count(findings.len(), "finding"));
    }
}
