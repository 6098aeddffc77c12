//! The long runs of the uploader, which are not part of CI. Both use release builds.

use crate::ci::cargo;
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A thousand kills over uploads of a hundred thousand codes; CI runs the same with twenty over twenty thousand.
pub(crate) fn kill_sweep(root: &Path) -> anyhow::Result<()> {
    let setting =
        |name: &'static str, otherwise: &str| (name, std::env::var(name).unwrap_or_else(|_| otherwise.to_owned()));
    let settings = [setting("WECHATPAY_KILLS", "1000"), setting("WECHATPAY_KILL_CODES", "100000")];
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let test = ["test", "--release", "-p", "wechatpay-cli", "--test", "cli", "--", "--nocapture", "kill::"];
    cargo(root, &test, &settings)
}

/// What an upload costs.
pub(crate) fn bench(root: &Path) -> anyhow::Result<()> {
    let binaries = ["--bin", "wechatpay", "--bin", "upload-bench"];
    let build = [&["build", "--release", "-p", "wechatpay-cli", "-p", "wechatpay-tests"], binaries.as_slice()].concat();
    cargo(root, &build, &[])?;
    // It finds the command beside itself; `cargo run` would build it once more with other features.
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let status = Command::new(target.join("release/upload-bench")).status().context("cannot start upload-bench")?;
    if !status.success() {
        bail!("upload-bench ended with {status}");
    }
    Ok(())
}
