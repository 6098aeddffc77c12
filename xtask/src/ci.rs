//! Everything that CI runs, in its order.

use crate::codegen::{self, Mode};
use crate::tidy;
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// One step: what is printed, and what is done.
type Step = (&'static str, fn(&Path) -> anyhow::Result<()>);

const STEPS: &[Step] = &[
    ("cargo fmt --all --check, also in fuzz/ and benches/", |root| {
        cargo(root, &["fmt", "--all", "--check"], &[])?;
        aside(root, &["fmt", "--check"])
    }),
    ("cargo xtask codegen --check", |root| codegen::run(root, Mode::Check)),
    ("cargo xtask tidy", tidy::run),
    ("cargo clippy --workspace --all-targets --all-features -- -D warnings", |root| {
        cargo(root, &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"], &[])
    }),
    ("cargo clippy --all-targets --locked -- -D warnings, in fuzz/ and benches/", |root| {
        aside(root, &["clippy", "--all-targets", "--locked", "--", "-D", "warnings"])
    }),
    ("forget the logs of earlier tests", |_| forget_logs()),
    // The tests crate switches on every feature of the others, so this runs the tests of all of them.
    // One test draws the sandbox's page where a browser is installed; here it has to be.
    ("WECHATPAY_BROWSER=chromium cargo test --workspace", |root| {
        cargo(root, &["test", "--workspace"], &[("WECHATPAY_BROWSER", "chromium")])
    }),
    ("search-leaks", |_| search_leaks()),
    ("RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --all-features", |root| {
        cargo(root, &["doc", "--workspace", "--no-deps", "--all-features"], &[("RUSTDOCFLAGS", "-D warnings")])
    }),
    ("cargo xtask api --check", crate::supply::api_of_this_compiler),
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

/// The folder in which programs are built, this one among them.
pub(crate) fn built() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    Ok(program.parent().unwrap_or(Path::new(".")).to_owned())
}

/// Runs cargo in each of the workspaces that stand beside the main one, so that a change of ours does not break them unseen.
fn aside(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let target = built()?;
    let target = target.parent().and_then(Path::to_str).context("the path of the target folder is no text")?;
    // Nothing is linked here, and libfuzzer is C++, for which not everybody has a compiler: it is looked for in vain, later.
    let environment = [("CARGO_TARGET_DIR", target), ("CUSTOM_LIBFUZZER_PATH", "/none/libfuzzer.a")];
    ["fuzz", "benches"].iter().try_for_each(|folder| cargo(&root.join(folder), arguments, &environment))
}

/// Empties the folder in which the tests write what they log; see `tests/leaks`.
fn forget_logs() -> anyhow::Result<()> {
    let folder = built()?.join("leaks");
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot empty {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Runs the search, which was built with the tests.
fn search_leaks() -> anyhow::Result<()> {
    let program = built()?.join("search-leaks");
    let status = Command::new(&program).status().with_context(|| format!("cannot start {}", program.display()))?;
    if !status.success() {
        bail!("the search ended with {status}");
    }
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
