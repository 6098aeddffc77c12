//! Everything that CI runs, in its order.

use crate::codegen::{self, Mode};
use crate::tidy;
use anyhow::{Context as _, bail};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// One step: what is printed, and what is done.
type Step = (&'static str, fn(&Path) -> anyhow::Result<()>);

const STEPS: &[Step] = &[
    ("cargo fmt --all --check", |root| cargo(root, &["fmt", "--all", "--check"], &[])),
    ("cargo xtask codegen --check", |root| codegen::run(root, Mode::Check)),
    ("cargo xtask tidy", tidy::run),
    ("cargo clippy --workspace --all-targets --all-features -- -D warnings", |root| {
        cargo(root, &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"], &[])
    }),
    // The tests crate switches on every feature of the others, so this runs the tests of all of them.
    ("cargo test --workspace", |root| cargo(root, &["test", "--workspace"], &[])),
    ("RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --all-features", |root| {
        cargo(root, &["doc", "--workspace", "--no-deps", "--all-features"], &[("RUSTDOCFLAGS", "-D warnings")])
    }),
];

/// Runs the steps and stops at the first that fails.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let start = Instant::now();
    for (command, step) in STEPS {
        println!("\n$ {command}");
        step(root).with_context(|| format!("ci stopped at `{command}`"))?;
    }
    println!("\nci: {} steps passed in {} s", STEPS.len(), start.elapsed().as_secs());
    Ok(())
}

/// Runs cargo, with these variables beside the others.
pub(crate) fn cargo(root: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(root)
        .status()
        .context("cannot start cargo; is it installed?")?;
    if !status.success() {
        bail!("cargo ended with {status}");
    }
    Ok(())
}
