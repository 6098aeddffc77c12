//! Clients that others have written, against the sandbox; see `tests/interop`.

use crate::ci::{built, cargo};
use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Fewest calls of an SDK that knows coupons.
const LEAST_CALLS: u64 = 20;

/// A first call in each language: what has to be installed, and what is pasted.
const FIRSTS: &[(&str, &[&str])] = &[
    ("go", &["go", "run", "first.go"]),
    ("javac", &["java", "First.java"]),
    ("php", &["php", "first.php"]),
    ("python3", &["python3", "first.py"]),
    ("node", &["node", "first.js"]),
];

/// Runs every client, and says what each came to.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    cargo(root, &["build", "--quiet", "--workspace", "--bin", "wechatpay"], &[])?;
    let place = Place::find(root)?;
    let mut tally = Tally::default();
    tally.count("wechatpay-axios-plugin", || sdk(&place, &mut node(&place)?, LEAST_CALLS));
    tally.count("wechatpayv3", || sdk(&place, &mut python(&place)?, LEAST_CALLS));
    tally.count("rswxpay", || sdk(&place, &mut rust(&place)?, 1));
    firsts(&place, &mut tally)?;
    tally.finish()
}

/// What became of the clients.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Tally {
    /// Runs a client, and prints its line.
    fn count(&mut self, name: &str, client: impl FnOnce() -> anyhow::Result<String>) {
        match client() {
            Ok(told) => {
                self.passed += 1;
                println!("{name:<24} {told}");
            }
            Err(error) => {
                self.failed += 1;
                println!("{name:<24} FAILED: {error:#}");
            }
        }
    }

    fn skip(&mut self, name: &str, why: &str) {
        self.skipped += 1;
        println!("{name:<24} skipped: {why}");
    }

    fn finish(self) -> anyhow::Result<()> {
        if self.skipped > 0 {
            println!("{} skipped", self.skipped);
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        ensure!(self.failed == 0, "clients of others do not get along with the sandbox");
        Ok(())
    }
}

/// Where things are.
struct Place {
    /// Programs and what they need, as committed.
    sources: PathBuf,
    /// What is installed and written.
    folder: PathBuf,
    /// The command.
    wechatpay: PathBuf,
}

impl Place {
    fn find(root: &Path) -> anyhow::Result<Self> {
        let built = built()?;
        let target = built.parent().context("this program stands in no target folder")?;
        let place = Self {
            sources: root.join("tests/interop"),
            folder: target.join("interop"),
            wechatpay: built.join("wechatpay"),
        };
        std::fs::create_dir_all(&place.folder)?;
        Ok(place)
    }

    fn node_modules(&self) -> PathBuf {
        self.folder.join("node/node_modules")
    }

    fn python(&self) -> PathBuf {
        self.folder.join("python/bin/python3")
    }
}

/// A sandbox of its own for each client, so that log and ledger hold nothing else.
struct Sandbox {
    process: Child,
    folder: PathBuf,
    base_url: String,
}

impl Sandbox {
    fn start(place: &Place, name: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let folder = place.folder.join(format!("box-{name}"));
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        let log = std::fs::File::create(place.folder.join(format!("box-{name}.log")))?;
        let mut process = Command::new(&place.wechatpay)
            .args(["sandbox", "--dir"])
            .arg(&folder)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", place.wechatpay.display()))?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let mut sandbox = Self { process, folder, base_url: String::new() };
        let ready: Value = serde_json::from_str(&line).with_context(|| format!("not a ready line: {line:?}"))?;
        sandbox.base_url =
            ready.get("base_url").and_then(Value::as_str).context("the ready line has no base_url")?.to_owned();
        Ok(sandbox)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // One that has ended by itself needs neither.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs an SDK over both families. It compares with the sandbox's log and ledger itself, and tells how many calls it made.
fn sdk(place: &Place, program: &mut Command, least: u64) -> anyhow::Result<String> {
    let name = Path::new(program.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let sandbox = Sandbox::start(place, &name, &[])?;
    let authority = sandbox.folder.join("ca.pem");
    let output = program
        .arg(&sandbox.folder)
        .env("HTTPS_PROXY", &sandbox.base_url)
        .env("NO_PROXY", "127.0.0.1")
        .env("NODE_EXTRA_CA_CERTS", &authority)
        .env("REQUESTS_CA_BUNDLE", &authority)
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        bail!("{}\n{}", output.status, tail(&output));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let told: Value = serde_json::from_str(text.lines().last().unwrap_or_default())
        .with_context(|| format!("it did not end with its count, but said {text:?}"))?;
    let calls = told.get("calls").and_then(Value::as_u64).unwrap_or(0);
    ensure!(calls >= least, "{calls} calls are fewer than {least}");
    let notifications =
        told.get("notifications").and_then(Value::as_u64).map(|opened| format!(", {opened} notifications opened"));
    Ok(format!("{calls} calls{}", notifications.unwrap_or_default()))
}

/// Installs the SDK of Node, as the lock file says.
fn node(place: &Place) -> anyhow::Result<Command> {
    for tool in ["node", "npm"] {
        ensure!(is_installed(tool), "{tool} is not installed; on Debian: apt-get install nodejs npm");
    }
    let folder = place.folder.join("node");
    std::fs::create_dir_all(&folder)?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(place.sources.join("node").join(file), folder.join(file))?;
    }
    let install = ["ci", "--no-audit", "--no-fund", "--loglevel", "error", "--prefer-offline"];
    quietly(Command::new("npm").args(install).current_dir(&folder))?;
    let mut program = Command::new("node");
    program.arg(place.sources.join("node/interop.js")).env("NODE_PATH", place.node_modules());
    Ok(program)
}

/// Installs the SDK of Python in an environment of its own.
fn python(place: &Place) -> anyhow::Result<Command> {
    ensure!(is_installed("python3"), "python3 is not installed; on Debian: apt-get install python3 python3-venv");
    quietly(Command::new("python3").args(["-m", "venv"]).arg(place.folder.join("python")))
        .context("on Debian: apt-get install python3-venv")?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    quietly(Command::new(place.python()).args(install).arg(place.sources.join("python/requirements.txt")))?;
    let mut program = Command::new(place.python());
    program.arg(place.sources.join("python/interop.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(program)
}

/// Builds the client of Rust, which is no member of the workspace.
fn rust(place: &Place) -> anyhow::Result<Command> {
    let target = place.folder.join("rust");
    let folder = target.to_str().context("the target folder has a name that is not UTF-8")?;
    cargo(&place.sources.join("rust"), &["build", "--quiet", "--locked", "--target-dir", folder], &[])?;
    Ok(Command::new(target.join("debug/wechatpay-interop")))
}

/// A first call in each language, as the sandbox writes it to its directory: verified, and refused where it is forged.
fn firsts(place: &Place, tally: &mut Tally) -> anyhow::Result<()> {
    let honest = Sandbox::start(place, "honest", &[])?;
    let forging = Sandbox::start(place, "forging", &["--fault", "forge"])?;
    for (tool, command) in FIRSTS {
        let name = command.last().copied().unwrap_or_default();
        if !is_installed(tool) {
            tally.skip(name, &format!("{tool} is not installed"));
            continue;
        }
        tally.count(name, || {
            let output = first(place, &honest, command)?;
            let said = String::from_utf8_lossy(&output.stdout);
            ensure!(output.status.success() && said.contains("200") && said.contains("verified"), "{}", tail(&output));
            let output = first(place, &forging, command)?;
            ensure!(!output.status.success() && output.stdout.is_empty(), "a forged answer was believed");
            Ok("1 call, and 1 forged answer refused".to_owned())
        });
    }
    Ok(())
}

/// Runs what is pasted, in a shell that has read `sandbox.env`.
fn first(place: &Place, sandbox: &Sandbox, command: &[&str]) -> anyhow::Result<Output> {
    let path = std::env::var("PATH").unwrap_or_default();
    let python = place.folder.join("python/bin");
    Command::new("sh")
        .args(["-c", r#"set -a; . "$0/sandbox.env"; set +a; cd "$0/first"; exec "$@""#])
        .arg(&sandbox.folder)
        .args(command)
        .env("PATH", format!("{}:{path}", python.display()))
        .env("NODE_PATH", place.node_modules())
        .env("GOCACHE", place.folder.join("go"))
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .context("cannot start sh")
}

/// Whether the shell finds a program.
fn is_installed(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", r#"command -v "$0" >/dev/null"#, tool]).status();
    found.is_ok_and(|status| status.success())
}

/// Runs a command that says nothing unless it fails.
fn quietly(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    ensure!(output.status.success(), "{name} ended with {}\n{}", output.status, tail(&output));
    Ok(())
}

/// The last lines that a program said.
fn tail(output: &Output) -> String {
    let text = [&*String::from_utf8_lossy(&output.stdout), &*String::from_utf8_lossy(&output.stderr)].concat();
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(30)).copied().collect::<Vec<_>>().join("\n")
}
