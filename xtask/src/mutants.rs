//! Mutation testing: small mistakes are put into the code that signs, verifies, repeats and remembers, and each must make
//! a test fail.

use anyhow::{Context as _, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs cargo-mutants over what `.cargo/mutants.toml` names; arguments narrow it, such as `--re src/retry`.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let there =
        Command::new("cargo").args(["mutants", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        crate::ci::cargo(root, &["install", "cargo-mutants", "--locked"], &[]).context("cargo-mutants is needed")?;
    }
    let output = crate::ci::built()?.parent().unwrap_or(Path::new(".")).join("mutants");
    let status = Command::new("cargo")
        .args(["mutants", "--output"])
        .arg(&output)
        .args(arguments)
        // Less to write and to link for each mistake; nobody debugs them.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .current_dir(root)
        .status()
        .context("cannot start cargo mutants")?;
    match status.code() {
        Some(0) => Ok(()),
        Some(2 | 3) => bail!("some mutants survive; docs/mutants.md says which may"),
        _ => bail!("cargo mutants ended with {status}"),
    }
}
