//! `wechatpay sandbox` in a process of its own, watched through `/proc`: what the long measurements share. For Linux.

use serde_json::{Value, json};
use std::fmt::Display;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use wechatpay_hyper::Hyper;
use wechatpay_model::types::Timestamp;
use wechatpay_protocol::crypto::{Certificate, Signer as _, VerifyingKey as _, aws_lc};
use wechatpay_protocol::{BaseUrl, Client, Merchant, Transport as _, Trust};

/// Ticks of a processor's clock in a second, as `/proc` counts them.
const TICKS: f64 = 100.0;

/// Seconds of processor time that a process has used; none once it is gone.
pub fn processor(process: impl Display) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS
}

/// Memory of a process in KiB: `VmRSS` is what is resident, `VmHWM` the most that was.
pub fn memory(process: impl Display, which: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':')).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0.0)
}

/// Open files and sockets of a process.
pub fn descriptors(process: impl Display) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

/// The command that was built beside this program.
pub fn command() -> PathBuf {
    std::env::current_exe().expect("a path").with_file_name("wechatpay")
}

/// A running sandbox, ended with this value.
pub struct SandboxProcess {
    child: Child,
    folder: PathBuf,
    /// The line that says that it is ready.
    pub ready: Value,
    /// Until it was ready: milliseconds on the wall, and of processor time.
    pub start: (f64, f64),
}

impl SandboxProcess {
    /// Starts one with its keys in this folder: those that are there, or fresh ones.
    pub fn start(folder: &Path) -> Self {
        let begin = Instant::now();
        let mut command = Command::new(command());
        command.args(["sandbox", "--dir"]).arg(folder).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("wechatpay starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a ready line");
        let start = (begin.elapsed().as_secs_f64() * 1e3, processor(child.id()) * 1e3);
        Self { child, folder: folder.to_owned(), ready: serde_json::from_str(&line).expect("JSON"), start }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// An entry of the ready line.
    pub fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().expect("a text")
    }

    /// A file of its folder.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).expect("the sandbox has written it")
    }

    fn signer(&self) -> aws_lc::Signer {
        aws_lc::Signer::from_pem(&self.read("apiclient_key.pem")).expect("a key")
    }

    /// A client of its merchant.
    pub fn client(&self) -> Client<Hyper> {
        let key = aws_lc::VerifyingKey::from_public_key_pem(&self.read("pub_key.pem")).expect("a key");
        let merchant = Merchant::new(self.text("mchid"), self.text("serial_no"), self.signer());
        let trust = Trust::new().with_public_key(self.text("public_key_id"), key);
        let base = BaseUrl::parse(self.text("base_url")).expect("a URL");
        Client::new(Hyper::new(), merchant, trust).with_base_url(base)
    }

    /// Pairs of one verification and one signature over a message of so many bytes, by second of processor time: the
    /// sandbox can do no more calls than that.
    pub fn floor(&self, bytes: usize) -> f64 {
        let certificate = Certificate::from_pem(&self.read("apiclient_cert.pem")).expect("a certificate");
        let key = aws_lc::VerifyingKey::from_certificate(&certificate).expect("a key");
        let (signer, begin) = (self.signer(), processor("self"));
        for round in 0..2_000 {
            let message = format!("{round:0bytes$}");
            let signature = signer.sign(message.as_bytes()).expect("a signature");
            assert!(key.verify(message.as_bytes(), &signature));
        }
        2_000.0 / (processor("self") - begin)
    }

    /// Uses the control interface; says what it answers.
    pub async fn control(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        use http_body_util::BodyExt as _;
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}/_sandbox/{path}", self.text("base_url")))
            .header("Content-Type", "application/json")
            .body(body.into())
            .expect("a request");
        let response = Hyper::new().call(request).await.expect("an answer");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        assert!(status.is_success(), "{method} {path}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap_or_default()
    }

    /// A stock of so many cash coupons of a yuan, created under this number; it is not started.
    pub async fn stock(&self, coupons: i64, number: &str) -> String {
        let (client, mchid) = (self.client(), self.text("mchid"));
        let example = crate::story::Example::named("favor.create_coupon_stock", "prepaid, opens a mini program");
        let mut request = example.request();
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs() as i64;
        let time = |seconds| Timestamp::from_unix(now + seconds).expect("a year of four digits");
        let face = 100;
        for (place, value) in [
            ("/belong_merchant", json!(mchid)),
            ("/out_request_no", json!(number)),
            ("/available_begin_time", json!(time(1).as_str())),
            ("/available_end_time", json!(time(86_400).as_str())),
            ("/stock_use_rule/max_coupons", json!(coupons)),
            ("/stock_use_rule/max_amount", json!(coupons * face)),
            ("/stock_use_rule/max_amount_by_day", Value::Null),
            ("/coupon_use_rule/fixed_normal_coupon/coupon_amount", json!(face)),
            ("/stock_use_rule/max_coupons_per_user", json!(60)),
            ("/stock_use_rule/natural_person_limit", json!(false)),
        ] {
            crate::story::set(&mut request, place, value);
        }
        let created = client.post("/v3/marketing/favor/coupon-stocks", &request).await.expect("a stock");
        created.value["stock_id"].as_str().expect("an id").to_owned()
    }
}

impl Drop for SandboxProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
