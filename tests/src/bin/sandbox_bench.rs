//! How fast the sandbox is: its start, its calls against the floor of one verification and one signature, its memory.
//!
//! Started by `cargo xtask sandbox-bench`; runs the `wechatpay` that stands beside it. Reads processor time and memory
//! from `/proc`, so it is for Linux. Ends with 1 if a promise is not kept.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;
use wechatpay_hyper::Hyper;
use wechatpay_protocol::crypto::{Signer, VerifyingKey as _, aws_lc};
use wechatpay_protocol::{BaseUrl, Client, Merchant, Trust};
use wechatpay_tests::story::Example;

/// Starts of each kind; the median counts.
const STARTS: usize = 21;
/// Calls until the log (10,000) and the nonces of the last minutes (65,536) are as many as are kept, and then.
const WARM: usize = 66_000;
const CALLS: usize = 20_000;
/// Calls that are under way at the same time.
const AT_ONCE: usize = 8;
/// Ticks of a processor's clock in a second, as `/proc` counts them.
const TICKS: f64 = 100.0;

/// `wechatpay sandbox`, ended with this value.
struct Running {
    child: Child,
    ready: Value,
    /// Until it was ready: milliseconds on the wall, and of processor time.
    start: (f64, f64),
}

impl Running {
    fn start(program: &Path, directory: &Path) -> Self {
        let begin = Instant::now();
        let mut command = Command::new(program);
        command.args(["sandbox", "--dir"]).arg(directory).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("wechatpay starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a ready line");
        let start = (begin.elapsed().as_secs_f64() * 1e3, processor(&child.id().to_string()) * 1e3);
        Self { child, ready: serde_json::from_str(&line).expect("JSON"), start }
    }

    fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().expect("a text")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds of processor time that a process has used.
fn processor(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("/proc is there");
    let fields: Vec<_> = stat.rsplit(')').next().expect("a name in brackets").split_whitespace().collect();
    (fields[11].parse::<f64>().expect("ticks") + fields[12].parse::<f64>().expect("ticks")) / TICKS
}

/// Resident memory of a process, in KiB.
fn memory(process: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("/proc is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The medians of both.
fn medians(starts: Vec<(f64, f64)>) -> (f64, f64) {
    let (mut wall, mut processor): (Vec<_>, Vec<_>) = starts.into_iter().unzip();
    wall.sort_by(f64::total_cmp);
    processor.sort_by(f64::total_cmp);
    (wall[STARTS / 2], processor[STARTS / 2])
}

/// Pairs of one signature and one verification, by second of processor time.
fn floor(signer: &aws_lc::Signer, key: &aws_lc::VerifyingKey) -> f64 {
    let begin = processor("self");
    for round in 0..2_000 {
        let message = format!("GET\n/v3/marketing/favor/stocks\n1767578400\n{round:032}\n\n");
        let signature = Signer::sign(signer, message.as_bytes()).expect("a signature");
        assert!(key.verify(message.as_bytes(), &signature));
    }
    2_000.0 / (processor("self") - begin)
}

fn read(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(name)).expect("the sandbox has written it")
}

fn client(running: &Running, directory: &Path) -> Client<Hyper> {
    let signer = aws_lc::Signer::from_pem(&read(directory, "apiclient_key.pem")).expect("a key");
    let key = aws_lc::VerifyingKey::from_public_key_pem(&read(directory, "pub_key.pem")).expect("a key");
    let merchant = Merchant::new(running.text("mchid"), running.text("serial_no"), signer);
    let trust = Trust::new().with_public_key(running.text("public_key_id"), key);
    let base = BaseUrl::parse(running.text("base_url")).expect("a URL");
    Client::new(Hyper::new(), merchant, trust).with_base_url(base)
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

/// Creates a stock and says where it is read.
async fn stock(client: &Client<Hyper>, mchid: &str) -> String {
    let mut request = Example::named("favor.create_coupon_stock", "prepaid, opens a mini program").request();
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs() as i64;
    let time = |seconds| wechatpay_model::types::Timestamp::from_unix(now + seconds).expect("a year of four digits");
    for (name, value) in [
        ("belong_merchant", json!(mchid)),
        ("out_request_no", json!("bench")),
        ("available_begin_time", json!(time(60).as_str())),
        ("available_end_time", json!(time(86_400).as_str())),
    ] {
        request[name] = value;
    }
    let created = client.post("/v3/marketing/favor/coupon-stocks", &request).await.expect("a stock");
    let id = created.value["stock_id"].as_str().expect("an id");
    format!("/v3/marketing/favor/stocks/{id}?stock_creator_mchid={mchid}")
}

fn main() -> ExitCode {
    let program = std::env::current_exe().expect("a path").with_file_name("wechatpay");
    let scratch = std::env::temp_dir().join(format!("wechatpay-bench-{}", std::process::id()));
    let fresh = (0..STARTS).map(|nth| Running::start(&program, &scratch.join(nth.to_string())).start).collect();
    let kept = (0..STARTS).map(|_| Running::start(&program, &scratch.join("0")).start).collect();

    let directory = scratch.join("0");
    let running = Running::start(&program, &directory);
    let process = running.child.id().to_string();
    let signer = aws_lc::Signer::from_pem(&read(&directory, "apiclient_key.pem")).expect("a key");
    let certificate = wechatpay_protocol::crypto::Certificate::from_pem(&read(&directory, "apiclient_cert.pem"));
    let key = aws_lc::VerifyingKey::from_certificate(&certificate.expect("a certificate")).expect("a key");
    let client = client(&running, &directory);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let path = runtime.block_on(stock(&client, running.text("mchid")));
    runtime.block_on(ask(&client, &path, WARM));

    let before = floor(&signer, &key);
    let (used, held) = (processor(&process), memory(&process));
    runtime.block_on(ask(&client, &path, CALLS));
    let calls = CALLS as f64 / (processor(&process) - used);
    let growth = memory(&process) - held;
    let floor = (before + floor(&signer, &key)) / 2.0;
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
