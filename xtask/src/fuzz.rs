//! Fuzzing: every target of `fuzz/` for some seconds, beginning with the committed seeds.

use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Seconds for a target, unless told otherwise.
const SECONDS: u32 = 60;
/// Most bytes of one allocation, in MiB: what is read is bounded, whatever arrives.
const MOST_AT_ONCE: u32 = 256;
/// Seconds after which one input counts as one that never ends.
const PATIENCE: u32 = 20;

/// What is asked for.
struct Wish<'a> {
    seconds: u32,
    targets: Vec<&'a str>,
}

fn wish<'a>(arguments: &[&'a str]) -> anyhow::Result<Wish<'a>> {
    let (seconds, targets) = match arguments {
        ["--seconds", seconds, targets @ ..] => {
            (seconds.parse().context("--seconds takes a number of seconds")?, targets)
        }
        targets => (SECONDS, targets),
    };
    Ok(Wish { seconds, targets: targets.to_vec() })
}

/// Runs the targets that are named, or all.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let Wish { seconds, targets } = wish(arguments)?;
    let folder = root.join("fuzz");
    let known = targets_of(&folder)?;
    if let Some(strange) = targets.iter().find(|target| !known.iter().any(|name| name == *target)) {
        bail!("there is no target {strange}; there are {}", known.join(", "));
    }
    install()?;
    let built = crate::ci::built()?.parent().unwrap_or(Path::new(".")).join("fuzz");
    build(&folder, &built)?;
    let triple = host()?;
    let mut failed = Vec::new();
    for target in known.iter().filter(|name| targets.is_empty() || targets.contains(&name.as_str())) {
        let program = built.join(&triple).join("release").join(target);
        if !fuzz(target, &program, &folder.join("seeds").join(target), &built, seconds)? {
            failed.push(target.as_str());
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let place = built.join("found");
    bail!("found something: {}; the inputs are in {}", failed.join(", "), place.display());
}

/// The targets, by the folders of their seeds: one without seeds is not ready.
fn targets_of(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.join("fuzz_targets")).context("cannot list fuzz/fuzz_targets")? {
        let path = entry.context("cannot list fuzz/fuzz_targets")?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !folder.join("seeds").join(&name).is_dir() {
            bail!("fuzz/seeds/{name} is missing: write a few inputs for the target");
        }
        names.push(name);
    }
    names.sort();
    Ok(names)
}

fn install() -> anyhow::Result<()> {
    let there = Command::new("cargo").args(["fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    let status = Command::new("cargo").args(["install", "cargo-fuzz", "--locked"]).status();
    if !status.context("cannot start cargo; is it installed?")?.success() {
        bail!("cargo-fuzz cannot be installed");
    }
    Ok(())
}

/// Builds all targets, instrumented. The switches are those of nightly; the stable compiler has them too.
fn build(folder: &Path, built: &Path) -> anyhow::Result<()> {
    let status = Command::new("cargo")
        .args(["fuzz", "build", "--fuzz-dir"])
        .arg(folder)
        .arg("--target-dir")
        .arg(built)
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(folder)
        .status()
        .context("cannot start cargo fuzz")?;
    if !status.success() {
        bail!("the fuzz targets cannot be built");
    }
    Ok(())
}

/// The triple of this machine, below which cargo-fuzz builds.
fn host() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say which machine this is")
}

/// Runs one target; whether it found nothing.
fn fuzz(target: &str, program: &Path, seeds: &Path, built: &Path, seconds: u32) -> anyhow::Result<bool> {
    let corpus = made(built.join("corpus").join(target))?;
    let found = made(built.join("found").join(target))?;
    let output = Command::new(program)
        .arg(&corpus)
        .arg(seeds)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", found.display()))
        .arg(format!("-timeout={PATIENCE}"))
        .arg(format!("-malloc_limit_mb={MOST_AT_ONCE}"))
        .args(["-print_final_stats=1", "-verbosity=1"])
        .env("ASAN_OPTIONS", "detect_odr_violation=0")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let (runs, coverage) = figures(&said);
    let verdict = if output.status.success() { "nothing found" } else { "FOUND" };
    println!("{target:16} {runs:>10} runs, {coverage:>6} edges, {verdict}");
    if !output.status.success() {
        let last: Vec<_> = said.lines().rev().take(40).collect();
        last.iter().rev().for_each(|line| println!("    {line}"));
    }
    Ok(output.status.success())
}

fn made(folder: PathBuf) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// How many inputs were run and how many edges they reached, by libFuzzer's own words.
fn figures(said: &str) -> (u64, u64) {
    let runs = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")?.trim().parse().ok());
    let coverage = said.lines().rev().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "cov:").skip(1);
        words.next()?.parse().ok()
    });
    (runs.unwrap_or(0), coverage.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read() {
        let said = "#2\tINITED cov: 12 ft: 13 corp: 1/1b\n#900\tDONE   cov: 345 ft: 400\n\
            stat::number_of_executed_units: 900\nstat::average_exec_per_sec: 1\n";
        assert_eq!(figures(said), (900, 345));
        assert_eq!(figures("killed"), (0, 0));
    }

    #[test]
    fn wishes_are_understood() {
        assert_eq!(
            wish(&["--seconds", "5", "reply"]).map(|wish| (wish.seconds, wish.targets)).unwrap(),
            (5, vec!["reply"])
        );
        assert_eq!(wish(&[]).map(|wish| wish.seconds).unwrap(), SECONDS);
        assert!(wish(&["--seconds", "long"]).is_err());
    }
}
