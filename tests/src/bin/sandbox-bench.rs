//! How fast the sandbox is: its start, its calls against the floor of one verification and one signature, its memory.
//!
//! Started by `cargo xtask sandbox-bench`; runs the `wechatpay` that stands beside it. Reads processor time and memory
//! from `/proc`, so it is for Linux. Ends with 1 if a promise is not kept.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

use std::process::ExitCode;
use wechatpay_hyper::Hyper;
use wechatpay_protocol::Client;
use wechatpay_tests::watched::{SandboxProcess, memory, processor};

/// Starts of each kind; the median counts.
const STARTS: usize = 21;
/// Calls until the log (10,000) and the nonces of the last minutes (65,536) are as many as are kept, and then.
const WARM: usize = 66_000;
const CALLS: usize = 20_000;
/// Bytes that are signed, about those of the call.
const MESSAGE: usize = 128;
/// Calls that are under way at the same time.
const AT_ONCE: usize = 8;

/// The medians of both.
fn medians(starts: Vec<(f64, f64)>) -> (f64, f64) {
    let (mut wall, mut processor): (Vec<_>, Vec<_>) = starts.into_iter().unzip();
    wall.sort_by(f64::total_cmp);
    processor.sort_by(f64::total_cmp);
    (wall[STARTS / 2], processor[STARTS / 2])
}

/// So many verified answers to the same question.
async fn ask(client: &Client<Hyper>, path: &str, calls: usize) {
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (client, path) = (client.clone(), path.to_owned());
        asking.spawn(async move {
            for _ in 0..calls / AT_ONCE {
                client.get(&path).await.expect("a verified answer");
            }
        });
    }
    while let Some(done) = asking.join_next().await {
        done.expect("all calls succeed");
    }
}

fn main() -> ExitCode {
    let scratch = std::env::temp_dir().join(format!("wechatpay-bench-{}", std::process::id()));
    let fresh = (0..STARTS).map(|nth| SandboxProcess::start(&scratch.join(nth.to_string())).start).collect();
    let kept = (0..STARTS).map(|_| SandboxProcess::start(&scratch.join("0")).start).collect();

    let sandbox = SandboxProcess::start(&scratch.join("0"));
    let (process, client) = (sandbox.id(), sandbox.client());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let stock = runtime.block_on(sandbox.stock(1_000, "bench"));
    let path = format!("/v3/marketing/favor/stocks/{stock}?stock_creator_mchid={}", sandbox.text("mchid"));
    runtime.block_on(ask(&client, &path, WARM));

    let before = sandbox.floor(MESSAGE);
    let (used, held) = (processor(process), memory(process, "VmRSS"));
    runtime.block_on(ask(&client, &path, CALLS));
    let calls = CALLS as f64 / (processor(process) - used);
    let growth = memory(process, "VmRSS") - held;
    let floor = (before + sandbox.floor(MESSAGE)) / 2.0;
    let _ = std::fs::remove_dir_all(&scratch);

    let ((fresh, fresh_used), (kept, kept_used), ratio) = (medians(fresh), medians(kept), calls / floor);
    println!(
        "ready with fresh keys         {fresh:8.0} ms   promised 400   median of {STARTS}, CPU {fresh_used:.0} ms"
    );
    println!("ready with kept keys          {kept:8.0} ms   promised 200   median of {STARTS}, CPU {kept_used:.0} ms");
    println!("verify and sign               {floor:8.0} by CPU second");
    println!("calls                         {calls:8.0} by CPU second, {ratio:.2} of that   promised 0.8");
    println!("memory after {WARM} calls     {held:8.0} KiB, and {growth:.0} more after {CALLS} further ones");
    let keeps = fresh < 400.0 && kept < 200.0 && ratio >= 0.8 && growth < held * 0.05;
    if keeps { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
