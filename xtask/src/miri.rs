//! The parts that are Rust alone under miri, which interprets them and notices undefined behaviour. Ours has no `unsafe`, so
//! what is judged is the code of others that it uses: `bytes`, `http`, `serde_json`, `der`, `rsa`, `zeroize` and the like.

use anyhow::{Context as _, bail};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Miri comes with no other compiler.
const TOOLCHAIN: &str = "nightly";
const COMPONENTS: [&str; 2] = ["miri", "rust-src"];

/// Packages, their features, and what miri is told. The provider `aws-lc-rs` is left out: it is C, which miri cannot run, and with it
/// go the tests that need it (notifications, certificates, whole clients with real keys).
const PACKAGES: &[(&str, &[&str], &str)] = &[
    ("wechatpay-model", &["--all-features"], ""),
    // Fixtures are files, and a stamp takes the time.
    ("wechatpay-protocol", &["--no-default-features", "--features", "rsa,tower"], "-Zmiri-disable-isolation"),
];

/// Runs the tests of each package.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    install()?;
    for (package, features, flags) in PACKAGES {
        println!("\n# {package}");
        let start = Instant::now();
        let status = rustup(&["run", TOOLCHAIN, "cargo", "miri", "test", "--package", package, "--lib", "--tests"])
            .args(*features)
            .env("MIRIFLAGS", flags)
            .current_dir(root)
            .status()
            .context("cannot start rustup")?;
        if !status.success() {
            bail!("miri stopped in {package}; what it says of it stands above");
        }
        println!("{package}: {} s", start.elapsed().as_secs());
    }
    Ok(())
}

/// Adds miri to the compiler that is there, or brings both.
fn install() -> anyhow::Result<()> {
    let add = [&["component", "add", "--toolchain", TOOLCHAIN][..], &COMPONENTS].concat();
    let quiet = rustup(&add).output().context("cannot start rustup, which brings miri")?;
    if quiet.status.success() {
        return Ok(());
    }
    let components = COMPONENTS.join(",");
    let bring = ["toolchain", "install", TOOLCHAIN, "--profile", "minimal", "--component", &components];
    if !rustup(&bring).status().context("cannot start rustup")?.success() {
        let said = String::from_utf8_lossy(&quiet.stderr).into_owned();
        bail!("rustup can neither add {components} to {TOOLCHAIN} nor install it; first it said: {}", said.trim_end());
    }
    Ok(())
}

/// Rustup, without what the cargo that runs this says about its own compiler.
fn rustup(arguments: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(arguments).env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
    command
}
