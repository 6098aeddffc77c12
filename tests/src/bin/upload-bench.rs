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
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wechatpay_protocol::crypto::{Signer, VerifyingKey, aws_lc};
use wechatpay_protocol::retry::Sleep;
use wechatpay_protocol::{BoxError, Client, Merchant, TransportError, Trust};
use wechatpay_tests::watched::{memory, processor};
use wechatpay_uploader::{Endpoint, Format, Input, Source, Uploader};

const BATCH: u64 = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["null", file] => null(Path::new(file)),
        [] => all(),
        _ => panic!("takes no arguments"),
    }
}

fn all() {
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let command = folder.join("wechatpay");
    let room = folder.join("upload-bench-data");
    let _ = std::fs::remove_dir_all(&room);
    std::fs::create_dir_all(&room).unwrap();
    full_speed(&command, &room);
    paced(&command, &room);
    sizes(&room);
    std::fs::remove_dir_all(&room).unwrap();
}

/// A million codes as fast as it goes.
fn full_speed(command: &Path, room: &Path) {
    let sandbox = Sandbox::start(command, room);
    let file = codes(room, 1_000_000);
    let floor = floor(&sandbox.env["WECHATPAY_PRIVATE_KEY"]);
    let run = upload(command, &sandbox, &file, &[]);
    let calls = run.calls as f64;
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
    println!("  ratio of the pace to that floor: {:.2} (goal 0.5)", calls / run.seconds * floor);
    println!("  peak resident memory {:.1} MiB (goal 64)", run.peak);
}

/// A hundred calls a second for half a minute.
fn paced(command: &Path, room: &Path) {
    let sandbox = Sandbox::start(command, room);
    let file = codes(room, 3_000 * BATCH);
    let run = upload(command, &sandbox, &file, &["--rate", "100"]);
    let pace = run.calls as f64 / run.seconds;
    println!("--rate 100 over {} calls: {pace:.2} calls/s, {:+.2} % (goal 2)", run.calls, pace - 100.0);
    println!("  client {:.1} % of a core (goal 8)", run.client / run.seconds * 100.0);
}

/// One and ten million codes to nobody: the sandbox would keep them all in memory.
fn sizes(room: &Path) {
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
    println!("  ten million against one: {:+.1} % (goal 10)", (peaks[1] / peaks[0] - 1.0) * 100.0);
}

/// So many codes of 20 characters, in no order.
fn codes(room: &Path, count: u64) -> PathBuf {
    let path = room.join(format!("codes-{count}-{}", stamp()));
    let mut file = BufWriter::new(std::fs::File::create(&path).unwrap());
    for number in 0..count {
        writeln!(file, "{:020}", number.wrapping_mul(11_400_714_819_323_198_485)).unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
    path
}

fn stamp() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()
}

/// CPU seconds for a signature verified and one made, of the message that an upload signs.
fn floor(private_key: &str) -> f64 {
    let pem = std::fs::read_to_string(private_key).unwrap();
    let signer = aws_lc::Signer::from_pem(&pem).unwrap();
    let certificate = std::fs::read_to_string(private_key.replace("_key.pem", "_cert.pem")).unwrap();
    let certificate = wechatpay_protocol::crypto::Certificate::from_pem(&certificate).unwrap();
    let key = aws_lc::VerifyingKey::from_certificate(&certificate).unwrap();
    let message = vec![b'x'; 200 * 24];
    let signature = signer.sign(&message).unwrap();
    let (begun, before, mut rounds) = (Instant::now(), processor("self"), 0);
    while begun.elapsed() < Duration::from_secs(4) {
        for _ in 0..50 {
            assert!(key.verify(&message, &signature));
            std::hint::black_box(signer.sign(&message).unwrap());
        }
        rounds += 50;
    }
    (processor("self") - before) / f64::from(rounds)
}

struct Watched {
    cpu: f64,
    peak: f64,
    /// CPU of the other process in the same time.
    other: f64,
    success: bool,
}

/// Watches a process until it ends.
fn watch(child: &mut Child, other: Option<u32>) -> Watched {
    let before = other.map_or(0.0, processor);
    let mut watched = Watched { cpu: 0.0, peak: 0.0, other: 0.0, success: false };
    loop {
        let (used, most) = (processor(child.id()), memory(child.id(), "VmHWM") / 1024.0);
        watched.cpu = watched.cpu.max(used);
        watched.peak = watched.peak.max(most);
        if let Some(status) = child.try_wait().unwrap() {
            watched.other = other.map_or(0.0, processor) - before;
            watched.success = status.success();
            return watched;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Sandbox {
    child: Child,
    env: BTreeMap<String, String>,
    stock: String,
}

impl Sandbox {
    fn start(command: &Path, room: &Path) -> Self {
        let folder = room.join(format!("box-{}", stamp()));
        let mut child = Command::new(command)
            .args(["sandbox", "--dir"])
            .arg(&folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the release build of wechatpay-cli");
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        let text = std::fs::read_to_string(folder.join("sandbox.env")).unwrap();
        let entry = |line: &str| {
            line.split_once('=').map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
        };
        let env: BTreeMap<_, _> = text.lines().filter_map(entry).collect();
        let stock = create_stock(command, &env);
        Self { child, env, stock }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn create_stock(command: &Path, env: &BTreeMap<String, String>) -> String {
    let day = |days: i64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        wechatpay_model::types::Timestamp::from_unix(now + days * 86_400).unwrap().as_str().to_owned()
    };
    let request = json!({
        "stock_name": "活动券", "belong_merchant": env["WECHATPAY_MCHID"], "goods_name": "全场商品", "stock_type": "NORMAL",
        "coupon_use_rule": {
            "coupon_available_time": { "available_begin_time": day(0), "available_end_time": day(30) },
            "fixed_normal_coupon": { "discount_amount": 500, "transaction_minimum": 1000 }, "use_method": "OFF_LINE"
        },
        "stock_send_rule": { "max_coupons": 1000, "max_coupons_per_user": 100 },
        "coupon_code_mode": "MERCHANT_UPLOAD", "out_request_no": "1"
    });
    let mut call = Command::new(command);
    call.args(["--json", "call", "busifavor.create_stock", "-"]).envs(env);
    let mut child = call.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["stock_id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

struct Run {
    calls: u64,
    /// From the plan to the end.
    seconds: f64,
    client: f64,
    sandbox: f64,
    peak: f64,
}

fn upload(command: &Path, sandbox: &Sandbox, file: &Path, more: &[&str]) -> Run {
    let mut call = Command::new(command);
    call.args(["--json", "codes", "upload", "--backend", "hyper", "--stock-id", &sandbox.stock]).arg(file).args(more);
    let mut child = call.envs(&sandbox.env).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let id = child.id();
    let reader = std::thread::spawn(move || {
        let (mut planned, mut last) = ((Instant::now(), 0.0), Value::Null);
        for line in stdout.lines() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if line["event"] == "plan" {
                planned = (Instant::now(), processor(id));
            }
            last = line;
        }
        (planned.0, planned.1, Instant::now(), last)
    });
    let watched = watch(&mut child, Some(sandbox.child.id()));
    let (planned, planning, ended, last) = reader.join().unwrap();
    assert!(watched.success && last["event"] == "summary", "{last}");
    Run {
        calls: last["attempts"].as_u64().unwrap(),
        seconds: (ended - planned).as_secs_f64(),
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
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
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
