//! `wechatpay sandbox`

use crate::args::Sandbox as Args;
use crate::output::{Failure, Output, Result};
use crate::wire;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::pin::pin;
use tempfile::TempDir;
use tokio::runtime::Builder;
use wechatpay_sandbox::{Sandbox, StartError};

pub(crate) fn run(args: &Args, output: &Output) -> Result {
    if !args.listen.ip().is_loopback() && !args.allow_remote {
        return Err(Failure::Usage(format!(
            "{} can be reached by other machines; say --allow-remote if that is meant",
            args.listen
        )));
    }
    let place = Place::make(args.dir.as_deref())?;
    let runtime = wire::runtime(Builder::new_multi_thread())?;
    let ended = runtime.block_on(serve(args, place.path(), output));
    runtime.shutdown_background();
    ended
}

async fn serve(args: &Args, dir: &Path, output: &Output) -> Result {
    let mut builder = Sandbox::builder().listen(args.listen).dir(dir);
    if args.allow_remote {
        builder = builder.allow_remote();
    }
    if args.allow_remote_control {
        builder = builder.allow_remote_control();
    }
    for rule in &args.fault {
        builder = builder.fault(rule.clone());
    }
    if let Some(seed) = args.seed {
        builder = builder.seed(seed);
    }
    for mchid in &args.mchid {
        builder = builder.merchant(mchid);
    }
    for brand in &args.brand {
        builder = builder.brand(brand);
    }
    let told = *output;
    builder = builder.observer(move |exchange| {
        if let Some(explanation) = &exchange.explanation {
            let id = exchange.id;
            told.hint(format_args!("request {id}: bad signature: {explanation} (/_sandbox/#r{id})"));
        }
    });
    // Signals are caught before anybody can know that there is something to end.
    let mut signal = pin!(asked_to_end());
    let sandbox = tokio::select! {
        biased;
        signal = &mut signal => return signal,
        started = builder.start() => started.map_err(|error| match error {
            StartError::Asked(problem) => Failure::Usage(problem),
            error => Failure::Local(error.to_string()),
        })?,
    };
    let mut ready = sandbox.ready();
    if let Some(ready) = ready.as_object_mut() {
        ready.insert("dir".to_owned(), json!(dir));
    }
    Output { json: true }.value(&ready)?;
    let env = dir.join("sandbox.env");
    output.hint(format_args!(
        "ready; in another shell: set -a; . {}; set +a; wechatpay call certificates.list",
        for_shell(&env)
    ));
    for brand in &args.brand {
        let env = dir.join("brands").join(brand).join("sandbox.env");
        output.hint(format_args!("brand {brand} calls in a shell that has read {}", for_shell(&env)));
    }
    output.hint(format_args!("Ctrl-C ends it"));
    signal.await?;
    sandbox.shutdown().await;
    Ok(())
}

/// Waits for a signal, or for the end of the terminal.
async fn asked_to_end() -> Result {
    tokio::select! {
        signal = wire::signal() => signal.map(drop),
        () = hangup() => Ok(()),
    }
}

/// Waits until the terminal is closed; for ever where that is ignored, as nohup has it: to catch it would undo that.
async fn hangup() {
    #[cfg(target_os = "linux")]
    if !ignores_hangup()
        && let Ok(mut hangup) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())
    {
        hangup.recv().await;
        return;
    }
    std::future::pending().await
}

#[cfg(target_os = "linux")]
fn ignores_hangup() -> bool {
    let ignored = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(bits.trim(), 16).ok()
    });
    // The first bit is HUP. Where nothing can be known, nothing is changed.
    ignored.is_none_or(|signals| signals & 1 == 1)
}

/// A path as a shell reads it.
fn for_shell(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

/// Where keys are kept: a directory that was named, or one that goes with the sandbox.
enum Place {
    Named(PathBuf),
    Temporary(TempDir),
}

impl Place {
    fn make(named: Option<&Path>) -> Result<Self> {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match named {
            Some(path) => Ok(Self::Named(absolute(path))),
            None => {
                tempfile::Builder::new().prefix("wechatpay-sandbox-").tempdir().map(Self::Temporary).map_err(|error| {
                    Failure::Local(format!("no temporary directory can be made: {error}; name one with --dir"))
                })
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Named(path) => path,
            Self::Temporary(directory) => directory.path(),
        }
    }
}
