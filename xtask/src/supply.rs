//! What the packages are made of, and what they promise: licences, features, compilers, versions, the public API.
//!
//! The tools are installed below the target folder, in the versions that are named here.

use crate::ci::{built, cargo};
use crate::codegen::{Mode, settle_folder};
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A program of others, and the version of it that is known to work here.
type Tool = (&'static str, &'static str);

const DENY: Tool = ("cargo-deny", "0.20.2");
const HACK: Tool = ("cargo-hack", "0.6.46");
const CYCLONEDX: Tool = ("cargo-cyclonedx", "0.5.9");
/// Must know the form of rustdoc's JSON, which changes with the compiler.
const PUBLIC_API: Tool = ("cargo-public-api", "0.52.0");
/// The compiler that it knows, and whose words stand in `docs/api`.
const PUBLIC_API_COMPILER: &str = "1.95";

/// Reads rustdoc's JSON of the compilers that it names, 1.95 among them.
const SEMVER: Tool = ("cargo-semver-checks", "0.51.0");

/// The oldest compiler; `rust-version` of every package says the same.
const OLDEST: &str = "1.88";

/// The packages with a library.
const LIBRARIES: &[&str] = &[
    "wechatpay-model",
    "wechatpay-protocol",
    "wechatpay-reqwest",
    "wechatpay-hyper",
    "wechatpay-uploader",
    "wechatpay-sandbox",
];

/// Where this program finds the rustdoc that it stands for; see [`rustdoc`].
pub(crate) const RUSTDOC: &str = "XTASK_RUSTDOC";

/// Where the public API is written down.
const API: &str = "docs/api";

/// One step: its name, and what is done.
type Step = (&'static str, fn(&Path) -> anyhow::Result<()>);

const STEPS: &[Step] = &[
    ("licences, sources and banned crates", deny),
    ("known vulnerabilities", advisories),
    ("each feature alone and each pair", features),
    ("the oldest compiler", oldest),
    ("a bill of materials", materials),
    ("the oldest versions of what is used", minimal),
    ("the public API", |root| api(root, Mode::Check)),
    ("what the last release promised", semver),
];

/// Runs the steps and stops at the first that fails.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    for (name, step) in STEPS {
        println!("\n# {name}");
        let start = Instant::now();
        step(root).with_context(|| format!("supply stopped at: {name}"))?;
        println!("{name}: {} s", start.elapsed().as_secs());
    }
    Ok(())
}

fn deny(root: &Path) -> anyhow::Result<()> {
    run_tool(root, DENY, &["--log-level", "error", "check", "bans", "licenses", "sources"])
}

/// Brings the database of advisories; where that cannot be, one of an earlier day will do, and without any nothing is
/// judged, and that is said.
fn advisories(root: &Path) -> anyhow::Result<()> {
    let quiet = ["--log-level", "off", "fetch", "db"];
    let fetched = tool(DENY)?.args(quiet).current_dir(root).stderr(Stdio::null()).status();
    if !fetched.context("cannot start cargo-deny")?.success() {
        if !has_database()? {
            println!("not checked: the database of advisories cannot be fetched, and none was before");
            return Ok(());
        }
        println!("the database of advisories cannot be fetched; an earlier one is used");
    }
    run_tool(root, DENY, &["--log-level", "error", "--offline", "check", "advisories"])
}

/// Whether cargo-deny has fetched a database before: a folder where it keeps them. One that failed leaves its lock there.
fn has_database() -> anyhow::Result<bool> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).context("there is no home")?;
    let kept = std::fs::read_dir(home.join("advisory-dbs")).into_iter().flatten();
    Ok(kept.flatten().any(|entry| entry.path().is_dir()))
}

fn features(root: &Path) -> anyhow::Result<()> {
    let packages = LIBRARIES.iter().flat_map(|name| ["--package", name]);
    let arguments = ["hack", "check", "--quiet", "--lib", "--feature-powerset", "--depth", "2"];
    run_tool(root, HACK, &arguments.into_iter().chain(packages).collect::<Vec<_>>())
}

fn oldest(root: &Path) -> anyhow::Result<()> {
    let installed = Command::new("rustup").args(["toolchain", "install", OLDEST, "--profile", "minimal"]).status();
    if !installed.context("cannot start rustup, which brings the oldest compiler")?.success() {
        bail!("rustup cannot install {OLDEST}");
    }
    let arguments = ["run", OLDEST, "cargo", "check", "--locked", "--lib", "--bins"];
    done("rustup", Command::new("rustup").args(arguments).current_dir(root).env_remove("CARGO").env_remove("RUSTC"))
}

/// Of the command, which uses all the others: `target/sbom/wechatpay.cdx.json`.
fn materials(root: &Path) -> anyhow::Result<()> {
    let copy = copy(root)?;
    let manifest = copy.join("crates/wechatpay-cli/Cargo.toml");
    let manifest = manifest.to_str().context("the path of the target folder is no text")?;
    let arguments =
        ["cyclonedx", "--manifest-path", manifest, "--format", "json", "--override-filename", "wechatpay.cdx"];
    run_tool(&copy, CYCLONEDX, &arguments)?;
    let folder = target()?.join("sbom");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (from, to) = (copy.join("crates/wechatpay-cli/wechatpay.cdx.json"), folder.join("wechatpay.cdx.json"));
    std::fs::copy(&from, &to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    println!("{}", to.display());
    Ok(())
}

/// The lower bounds of the manifests are true: what they allow compiles.
fn minimal(root: &Path) -> anyhow::Result<()> {
    let copy = copy(root)?;
    // An option of cargo that is not stable yet.
    let unstable = [("RUSTC_BOOTSTRAP", "1")];
    cargo(&copy, &["update", "--quiet", "-Zdirect-minimal-versions"], &unstable)?;
    cargo(&copy, &["check", "--quiet", "--locked", "--lib", "--bins"], &[])
}

/// Writes the public API of each library down, with all features, or compares it with what was written. The families of
/// the model are left out: they are generated, and reviewed as the snapshot of each operation.
pub(crate) fn api(root: &Path, mode: Mode) -> anyhow::Result<()> {
    let this = std::env::current_exe().context("cannot tell where this program is")?;
    let this = this.to_str().context("the path of this program is no text")?;
    let real = std::env::var("RUSTDOC").unwrap_or_else(|_| "rustdoc".to_owned());
    let flags = "-Zunstable-options --output-format json --cap-lints allow";
    let environment = [("RUSTDOC", this), (RUSTDOC, &real), ("RUSTDOCFLAGS", flags)];
    // As in `ci`, so that nothing is built twice.
    cargo(root, &["doc", "--quiet", "--workspace", "--no-deps", "--all-features"], &environment)?;
    let families = families(root)?;
    let mut wanted = BTreeMap::new();
    for name in LIBRARIES {
        let json = target()?.join(format!("doc/{}.json", name.replace('-', "_")));
        // Without what the compiler adds to every type by itself.
        let output = tool(PUBLIC_API)?.arg("public-api").arg("-sss").arg("--rustdoc-json").arg(json).output()?;
        if !output.status.success() {
            bail!("{}: {}", PUBLIC_API.0, String::from_utf8_lossy(&output.stderr).trim_end());
        }
        let text = String::from_utf8(output.stdout).context("the public API is no text")?;
        let general =
            text.lines().filter(|line| *name != "wechatpay-model" || !families.iter().any(|f| line.contains(f)));
        wanted.insert(format!("{API}/{name}.txt"), general.map(|line| format!("{line}\n")).collect());
    }
    settle_folder(root, API, &wanted, mode, "cargo xtask api")
}

/// Compares the public API with what was written, if this compiler is the one that wrote it.
pub(crate) fn api_of_this_compiler(root: &Path) -> anyhow::Result<()> {
    let output = Command::new("rustc").arg("--version").output().context("cannot start rustc")?;
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = version.split(' ').nth(1).unwrap_or_default();
    if number.strip_prefix(PUBLIC_API_COMPILER).is_some_and(|rest| rest.starts_with('.')) {
        return api(root, Mode::Check);
    }
    println!("not checked: {API} is in the words of {PUBLIC_API_COMPILER}, and this is {}", version.trim_end());
    Ok(())
}

/// Compares the public API with that of the last release, the newest tag `vX.Y.Z` before this commit: what is gone or changed
/// needs a version that says so.
fn semver(root: &Path) -> anyhow::Result<()> {
    let newest_first = ["tag", "--list", "v[0-9]*", "--merged", "HEAD", "--sort=-version:refname"];
    let tags = Command::new("git").args(newest_first).current_dir(root).output().context("cannot start git")?;
    if !tags.status.success() {
        bail!("git cannot list the releases: {}", String::from_utf8_lossy(&tags.stderr).trim_end());
    }
    let tags = String::from_utf8_lossy(&tags.stdout).into_owned();
    let Some(release) = tags.lines().next() else {
        println!("not checked: there is no tag vX.Y.Z, so nothing was released yet");
        return Ok(());
    };
    let packages = LIBRARIES.iter().flat_map(|name| ["--package", name]);
    let arguments = ["semver-checks", "--all-features", "--baseline-rev", release];
    run_tool(root, SEMVER, &arguments.into_iter().chain(packages).collect::<Vec<_>>())
}

/// The paths of the generated families in the model.
fn families(root: &Path) -> anyhow::Result<Vec<String>> {
    let entries = std::fs::read_dir(root.join("schemas")).context("cannot list schemas/")?;
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    Ok(folders.map(|entry| format!("wechatpay_model::{}::", entry.file_name().to_string_lossy())).collect())
}

/// Stands for rustdoc, so that only rustdoc hears that its JSON, which is not stable yet, is wanted: whatever else cargo
/// builds stays as it is.
pub(crate) fn rustdoc(real: &std::ffi::OsStr) -> anyhow::Result<()> {
    done("rustdoc", Command::new(real).args(std::env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1"))
}

/// The folder in which cargo builds.
fn target() -> anyhow::Result<PathBuf> {
    Ok(built()?.parent().context("this program stands in no target folder")?.to_owned())
}

/// A fresh copy of the files that are, or are about to be, tracked: what changes manifests or the lock file does so there.
fn copy(root: &Path) -> anyhow::Result<PathBuf> {
    let copy = target()?.join("copy");
    if copy.exists() {
        std::fs::remove_dir_all(&copy).with_context(|| format!("cannot remove {}", copy.display()))?;
    }
    for path in crate::tidy::listed(root)? {
        let (from, to) = (root.join(&path), copy.join(&path));
        std::fs::create_dir_all(to.parent().unwrap_or(&copy))
            .with_context(|| format!("cannot make {}", to.display()))?;
        // What is listed but gone is about to be deleted.
        if from.is_file() {
            std::fs::copy(&from, &to).with_context(|| format!("cannot copy {path}"))?;
        }
    }
    Ok(copy)
}

/// A tool of this version, installed if it is not there.
fn tool((name, version): Tool) -> anyhow::Result<Command> {
    let folder = target()?.join("tools").join(format!("{name}-{version}"));
    let program = folder.join("bin").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    if !program.exists() {
        println!("installing {name} {version} below {}", folder.display());
        let folder = folder.to_str().context("the path of the target folder is no text")?;
        // Unoptimised: it is built in a minute or two, and fast enough.
        cargo(
            Path::new("."),
            &["install", "--quiet", "--debug", "--locked", "--root", folder, "--version", version, name],
            &[],
        )?;
    }
    Ok(Command::new(program))
}

/// Runs a tool as cargo would.
fn run_tool(root: &Path, which: Tool, arguments: &[&str]) -> anyhow::Result<()> {
    done(which.0, tool(which)?.args(arguments).current_dir(root))
}

fn done(name: &str, command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!("{name} ended with {status}");
    }
    Ok(())
}
