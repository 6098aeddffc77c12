//! The long runs and the measurements, which are not part of CI. All use release builds.

use crate::ci::{built, cargo};
use crate::readme::{READMES, between};
use anyhow::{Context as _, bail};
use std::path::Path;
use std::process::Command;

/// The version of gungraun in `benches/Cargo.toml`; its runner must be the same.
const GUNGRAUN: &str = "0.20.0";

/// Builds the command and the program that measures it, and runs that: it finds the command beside itself.
pub(crate) fn run(root: &Path, program: &str) -> anyhow::Result<()> {
    // As the tests build them, so that dependencies are compiled once.
    cargo(root, &["build", "--release", "--workspace", "--bin", "wechatpay", "--bin", program], &[])?;
    // Beside the folder of this very program.
    let target = built()?.parent().context("this program stands in no target folder")?.join("release");
    let status = Command::new(target.join(program)).status().with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!("{program} ended with {status}");
    }
    Ok(())
}

/// A thousand kills over uploads of a hundred thousand codes; CI runs the same with twenty over twenty thousand.
pub(crate) fn kill_sweep(root: &Path) -> anyhow::Result<()> {
    let setting =
        |name: &'static str, otherwise: &str| (name, std::env::var(name).unwrap_or_else(|_| otherwise.to_owned()));
    let settings = [setting("WECHATPAY_KILLS", "1000"), setting("WECHATPAY_KILL_CODES", "100000")];
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let test = ["test", "--release", "--workspace", "--test", "cli", "--", "--nocapture", "kill::"];
    cargo(root, &test, &settings)
}

/// What a call costs, for the READMEs; the crate under `benches/` stands apart, for what it is compared with.
pub(crate) fn calls(root: &Path) -> anyhow::Result<()> {
    let folder = root.join("benches");
    cargo(&folder, &["run", "--release", "--bin", "allocations"], &[])?;
    cargo(&folder, &["run", "--release", "--bin", "wechatpay-benches", "--", "."], &[])?;
    let table = std::fs::read_to_string(folder.join("speed.md")).context("cannot read the table")?;
    for (name, _) in READMES {
        let path = root.join(name);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
        let text = between(name, &text, ("<!-- speed -->\n", "<!-- /speed -->"), &format!("\n{table}\n"))?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {name}"))?;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        bail!("valgrind is not installed, so the instructions were not counted");
    }
    if Command::new("gungraun-runner").arg("--version").output().is_err() {
        cargo(&folder, &["install", "--locked", "gungraun-runner", "--version", GUNGRAUN], &[])?;
    }
    cargo(&folder, &["bench", "--bench", "instructions"], &[])
}
