//! What a bulk upload costs: `cargo xtask upload-bench`.
//!
//! The real command uploads to the real sandbox, each in a process of its own, and both are watched through `/proc`. The
//! floor is measured in the same run: a signature verified and one made, which the sandbox cannot do without.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark may fail"
)]

use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Map, Value, json};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};
use wechatpay_model::types::Timestamp;
use wechatpay_protocol::crypto::{Signer, VerifyingKey};
use wechatpay_protocol::retry::Sleep;
use wechatpay_protocol::{BoxError, Client, Merchant, TransportError, Trust};
use wechatpay_tests::watched::{SandboxProcess, command, memory, processor};
use wechatpay_uploader::{Endpoint, Format, Input, Source, Uploader};

const BATCH: u64 = 200;
/// Bytes of a body with so many codes, about.
const MESSAGE: usize = 200 * 24;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["null", file] => null(Path::new(file)),
        [] => return all(),
        _ => panic!("takes no arguments"),
    }
    ExitCode::SUCCESS
}

fn all() -> ExitCode {
    let room = std::env::current_exe().unwrap().with_file_name("upload-bench-data");
    let _ = std::fs::remove_dir_all(&room);
    std::fs::create_dir_all(&room).unwrap();
    let kept = [full_speed(&room), paced(&room), sizes(&room)];
    std::fs::remove_dir_all(&room).unwrap();
    if kept == [true; 3] { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A million codes as fast as it goes.
fn full_speed(room: &Path) -> bool {
    let sandbox = SandboxProcess::start(&room.join("box-full-speed"));
    let file = codes(room, 1_000_000);
    let before = sandbox.floor(MESSAGE);
    let run = upload(&sandbox, &file, &[]);
    // These machines are faster at one time than at another.
    let floor = 2.0 / (before + sandbox.floor(MESSAGE));
    let calls = run.calls as f64;
    let ratio = calls / run.seconds * floor;
    println!("1,000,000 codes, no limit: {:.0} codes/s, {:.0} calls/s", 1e6 / run.seconds, calls / run.seconds);
    println!(
        "  client  {:.3} ms of CPU per call, {:.0} % of a core",
        run.client * 1e3 / calls,
        run.client / run.seconds * 100.0
    );
    println!(
        "  sandbox {:.3} ms of CPU per call, {:.0} % of a core",
        run.sandbox * 1e3 / calls,
        run.sandbox / run.seconds * 100.0
    );
    println!("  verify + sign: {:.3} ms of CPU, {:.0} calls/s on a core", floor * 1e3, 1.0 / floor);
    println!("  ratio of the pace to that floor: {ratio:.2} (goal 0.5)");
    println!("  peak resident memory {:.1} MiB (goal 64)", run.peak);
    ratio >= 0.5 && run.peak <= 64.0
}

/// A hundred calls a second for half a minute, watched from the first line of progress to the last: what a start costs
/// once says nothing about a pace.
fn paced(room: &Path) -> bool {
    let sandbox = SandboxProcess::start(&room.join("box-paced"));
    let file = codes(room, 3_000 * BATCH);
    let before = sandbox.floor(MESSAGE);
    let run = upload(&sandbox, &file, &["--rate", "100"]);
    let floor = 2.0 / (before + sandbox.floor(MESSAGE));
    let [(begin, spent, sent), .., (end, spent_then, sent_then)] = run.marks.as_slice() else { panic!("no progress") };
    let seconds = (*end - *begin).as_secs_f64();
    let (pace, used) = ((sent_then - sent) as f64 / seconds, (spent_then - spent) / seconds * 100.0);
    println!("--rate 100 over {} calls: {pace:.2} calls/s, {:+.2} % (goal 2)", run.calls, pace - 100.0);
    // Of calls a second, in percent of a core.
    let least = floor * pace * 100.0;
    println!("  client {used:.1} % of a core (goal 8, or twice the floor where that takes more than 4)");
    println!("  to sign and to verify alone: {least:.1} %, ratio {:.2}", used / least);
    (pace - 100.0).abs() <= 2.0 && used <= 8_f64.max(2.0 * least)
}

/// One and ten million codes to nobody: the sandbox would keep them all in memory.
fn sizes(room: &Path) -> bool {
    let mut peaks = Vec::new();
    for count in [1_000_000, 10_000_000] {
        let file = codes(room, count);
        let begun = Instant::now();
        let mut child = Command::new(std::env::current_exe().unwrap()).arg("null").arg(&file).spawn().unwrap();
        let watched = watch(&mut child, None);
        assert!(watched.success, "the upload failed");
        println!(
            "{count} codes, answered in process: peak resident memory {:.1} MiB, {:.0} codes/s",
            watched.peak,
            count as f64 / begun.elapsed().as_secs_f64()
        );
        peaks.push(watched.peak);
    }
    let growth = (peaks[1] / peaks[0] - 1.0) * 100.0;
    println!("  ten million against one: {growth:+.1} % (goal 10)");
    growth.abs() <= 10.0
}

/// So many codes of 20 characters, in no order.
fn codes(room: &Path, count: u64) -> PathBuf {
    let path = room.join(format!("codes-{count}"));
    let mut file = BufWriter::new(std::fs::File::create(&path).unwrap());
    for number in 0..count {
        writeln!(file, "{:020}", number.wrapping_mul(11_400_714_819_323_198_485)).unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
    path
}

struct Watched {
    cpu: f64,
    peak: f64,
    /// CPU of the other process in the same time.
    other: f64,
    success: bool,
}

/// Watches a process until it ends. To look takes time itself, so it is done seldom; what has ended still says how much
/// time it took.
fn watch(child: &mut Child, other: Option<u32>) -> Watched {
    let before = other.map_or(0.0, processor);
    let mut peak: f64 = 0.0;
    while !has_ended(child) {
        peak = peak.max(memory(child.id(), "VmHWM") / 1024.0);
        std::thread::sleep(Duration::from_millis(100));
    }
    let (cpu, other) = (processor(child.id()), other.map_or(0.0, processor) - before);
    Watched { cpu, peak, other, success: child.wait().unwrap().success() }
}

/// Whether a process that was not waited for yet has ended.
fn has_ended(child: &Child) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    stat.rsplit(')').next().unwrap().trim_start().starts_with('Z')
}

/// A stock that takes uploaded codes.
async fn stock(sandbox: &SandboxProcess) -> String {
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
    let day = |days: i64| Timestamp::from_unix(now + days * 86_400).unwrap().as_str().to_owned();
    let request = json!({
        "stock_name": "活动券", "belong_merchant": sandbox.text("mchid"), "goods_name": "全场商品", "stock_type": "NORMAL",
        "coupon_use_rule": {
            "coupon_available_time": { "available_begin_time": day(0), "available_end_time": day(30) },
            "fixed_normal_coupon": { "discount_amount": 500, "transaction_minimum": 1000 }, "use_method": "OFF_LINE"
        },
        "stock_send_rule": { "max_coupons": 1000, "max_coupons_per_user": 100 },
        "coupon_code_mode": "MERCHANT_UPLOAD", "out_request_no": "1"
    });
    let created = sandbox.client().post("/v3/marketing/busifavor/stocks", &request).await.unwrap();
    created.value["stock_id"].as_str().unwrap().to_owned()
}

struct Run {
    calls: u64,
    /// From the plan to the end.
    seconds: f64,
    /// At each line of progress: when it came, processor time of the client, calls so far.
    marks: Vec<(Instant, f64, u64)>,
    client: f64,
    sandbox: f64,
    peak: f64,
}

fn upload(sandbox: &SandboxProcess, file: &Path, more: &[&str]) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stock = runtime.block_on(stock(sandbox));
    let account = sandbox.read("sandbox.env");
    let account =
        account.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name, value.trim_matches('\'')));
    let mut call = Command::new(command());
    call.args(["--json", "codes", "upload", "--backend", "hyper", "--stock-id", &stock]).arg(file).args(more);
    let mut child = call.envs(account).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let id = child.id();
    let reader = std::thread::spawn(move || {
        let (mut planned, mut last, mut marks) = ((Instant::now(), 0.0), Value::Null, Vec::new());
        for line in stdout.lines() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            match line["event"].as_str() {
                Some("plan") => planned = (Instant::now(), processor(id)),
                Some("progress") => marks.push((Instant::now(), processor(id), line["attempts"].as_u64().unwrap())),
                _ => {}
            }
            last = line;
        }
        (planned, marks, Instant::now(), last)
    });
    let watched = watch(&mut child, Some(sandbox.id()));
    let ((planned, planning), marks, ended, last) = reader.join().unwrap();
    assert!(watched.success && last["event"] == "summary", "{last}");
    Run {
        calls: last["attempts"].as_u64().unwrap(),
        seconds: (ended - planned).as_secs_f64(),
        marks,
        client: watched.cpu - planning,
        sandbox: watched.other,
        peak: watched.peak,
    }
}

/// Signs and verifies nothing: what is left is reader, journal and engine.
struct Nothing;

impl Signer for Nothing {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(vec![1; 256])
    }
}

impl VerifyingKey for Nothing {
    fn verify(&self, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

/// Uploads to a transport that takes every code.
fn null(file: &Path) {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let transport = move |request: http::Request<Bytes>| {
        counted.fetch_add(1, Ordering::Relaxed);
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let codes = &body["coupon_code_list"];
        let count = codes.as_array().map(Vec::len);
        let answer = json!({
            "stock_id": "1", "total_count": count, "success_count": count, "success_codes": codes,
            "success_time": "2026-01-05T10:00:00+08:00",
        });
        let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
        let response = http::Response::builder()
            .header("Wechatpay-Timestamp", now)
            .header("Wechatpay-Nonce", "n")
            .header("Wechatpay-Signature", "AQEBAQEBAQE=")
            .header("Wechatpay-Serial", "PUB_KEY_ID_1")
            .body(Full::new(Bytes::from(answer.to_string())));
        async move { response.map_err(TransportError::not_sent) }
    };
    let client =
        Client::new(transport, Merchant::new("1", "1", Nothing), Trust::new().with_public_key("PUB_KEY_ID_1", Nothing));
    let input = Input { sources: vec![Source::new(file)], format: Format::Text };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let finished = runtime.block_on(async {
        let target = Map::from_iter([("stock_id".to_owned(), json!("1"))]);
        let timer = |time: Duration| -> Sleep { Box::pin(tokio::time::sleep(time)) };
        let uploader = Uploader::new(client, Endpoint::BUSIFAVOR, target, timer);
        let journal = uploader.job().open(&input, &file.with_extension("journal")).unwrap();
        uploader.run(journal, std::future::pending(), |_: &wechatpay_uploader::Event<'_>| {}).await.unwrap()
    });
    let totals = finished.journal.totals();
    assert!(totals.complete() && totals.balances() && totals.uploaded == totals.codes, "{totals:?}");
    assert_eq!(calls.load(Ordering::Relaxed), totals.batches);
}
