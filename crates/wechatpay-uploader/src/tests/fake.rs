//! A WeChat Pay of a few lines: it sorts codes into the documented lists, answers a number once, and keeps a ledger. Signatures are
//! of no concern here, so every one is right.

use crate::{Endpoint, Event, Format, Input, Journal, Options, Source, UploadError, Uploader};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wechatpay_protocol::crypto::{Signer, VerifyingKey};
use wechatpay_protocol::retry::Sleep;
use wechatpay_protocol::{BoxError, Client, Merchant, Stamper, Transport, TransportError, TransportErrorKind, Trust};

pub(super) const NOW: i64 = 1_767_578_400;

struct Key;

impl Signer for Key {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(vec![1; 8])
    }
}

impl VerifyingKey for Key {
    fn verify(&self, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

/// What limits an attempt: no pause is so long.
const ATTEMPT: Duration = Duration::from_millis(30_001);

/// A clock that pauses move on.
#[derive(Clone, Default)]
pub(super) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(super) fn sleep(&self, time: Duration) -> Sleep {
        // What limits an attempt is no pause: nothing here takes that long.
        if time == ATTEMPT {
            return Box::pin(std::future::pending());
        }
        self.0.fetch_add(u64::try_from(time.as_nanos()).unwrap(), Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }
}

impl Stamper for Clock {
    fn now(&self) -> i64 {
        NOW
    }
    fn nonce(&self) -> Result<String, BoxError> {
        Ok("0".repeat(32))
    }
    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }
    fn jitter(&self) -> u16 {
        0
    }
}

/// How a call goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Acted upon, and the answer lost.
    Lost,
    /// No connection.
    Unreached,
    /// Refused, and not acted upon.
    Refused(u16, &'static str),
    /// Refused for coming too soon, with so many seconds in `Retry-After`.
    TooSoon(u64),
    /// Acted upon, and answered with this instead.
    Garbled(Value),
}

#[derive(Default)]
pub(super) struct State {
    /// Code → number that brought it. A code is brought once.
    pub(super) codes: BTreeMap<String, String>,
    /// Number → its codes and its first answer.
    pub(super) numbers: HashMap<String, (Vec<String>, Value)>,
    pub(super) calls: u64,
}

/// What goes wrong with which call, counted from 1.
pub(super) type Plot = Box<dyn FnMut(u64, &str) -> Option<Wrong> + Send>;

#[derive(Clone)]
pub(super) struct Fake {
    pub(super) state: Arc<Mutex<State>>,
    plot: Arc<Mutex<Plot>>,
    pub(super) clock: Clock,
}

impl Fake {
    pub(super) fn new(plot: impl FnMut(u64, &str) -> Option<Wrong> + Send + 'static) -> Self {
        Self { state: Arc::default(), plot: Arc::new(Mutex::new(Box::new(plot))), clock: Clock::default() }
    }

    pub(super) fn plot(&self, plot: impl FnMut(u64, &str) -> Option<Wrong> + Send + 'static) {
        *self.plot.lock().unwrap() = Box::new(plot);
    }

    pub(super) fn calls(&self) -> u64 {
        self.state.lock().unwrap().calls
    }

    pub(super) fn client(&self) -> Client<Self> {
        let trust = Trust::new().with_public_key("PUB_KEY_ID_1", Key);
        Client::new(self.clone(), Merchant::new("1900000001", "1", Key), trust).with_stamper(self.clock.clone())
    }

    pub(super) fn uploader(&self) -> Uploader<Self> {
        let clock = self.clock.clone();
        let target = Map::from_iter([("stock_id".to_owned(), json!("98065001"))]);
        Uploader::new(self.client(), Endpoint::BUSIFAVOR, target, move |time| clock.sleep(time))
            .with_stamper(self.clock.clone())
            .with_options(options())
    }

    /// Uploads to the end, or as far as it goes.
    pub(super) fn run(&self, journal: Journal) -> Result<crate::Finished, UploadError> {
        futures_executor(self.uploader().run(journal, std::future::pending(), |_: &Event<'_>| {}))
    }

    /// Asserts that the ledger holds exactly these codes, each once, and each batch under one number.
    #[track_caller]
    pub(super) fn holds(&self, codes: &[String]) {
        let state = self.state.lock().unwrap();
        let mut wanted: Vec<_> = codes.iter().collect();
        wanted.sort();
        wanted.dedup();
        assert!(state.codes.keys().eq(wanted), "{} codes", state.codes.len());
        let mut seen = HashMap::new();
        for (number, (codes, _)) in &state.numbers {
            for code in codes {
                assert!(seen.insert(code.clone(), number.clone()).is_none(), "a code went out under two numbers");
            }
        }
    }

    fn act(&self, body: &Value) -> (u16, Value) {
        let codes: Vec<String> = serde_json::from_value(body["coupon_code_list"].clone()).unwrap();
        let number = body["upload_request_no"].as_str().unwrap().to_owned();
        let mut state = self.state.lock().unwrap();
        if let Some((before, answer)) = state.numbers.get(&number) {
            assert!(*before == codes, "a number came again with other codes");
            return (200, answer.clone());
        }
        let (exist, success): (Vec<_>, Vec<_>) = codes.iter().partition(|code| state.codes.contains_key(*code));
        let mut answer = json!({
            "stock_id": "98065001", "total_count": codes.len(), "success_count": success.len(),
            "success_time": "2026-01-05T10:00:00+08:00",
        });
        for (name, list) in [("success_codes", &success), ("exist_codes", &exist)] {
            if !list.is_empty() {
                answer[name] = json!(list);
            }
        }
        let success: Vec<_> = success.into_iter().cloned().collect();
        for code in success {
            state.codes.insert(code, number.clone());
        }
        state.numbers.insert(number, (codes, answer.clone()));
        (200, answer)
    }
}

fn options() -> Options {
    let mut options = Options { concurrency: 4, ..Options::default() };
    options.policy.attempt_timeout = ATTEMPT;
    options
}

fn answer(status: u16, body: &Value) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("Wechatpay-Timestamp", NOW)
        .header("Wechatpay-Nonce", "n")
        .header("Wechatpay-Signature", "AQEBAQEBAQE=")
        .header("Wechatpay-Serial", "PUB_KEY_ID_1")
        .header("Wechatpay-Signature-Type", "WECHATPAY2-SHA256-RSA2048")
        .body(Full::new(body.to_string().into()))
        .unwrap()
}

impl Transport for Fake {
    type Body = Full<Bytes>;

    async fn call(&self, request: Request<Bytes>) -> Result<Response<Full<Bytes>>, TransportError> {
        let call = {
            let mut state = self.state.lock().unwrap();
            state.calls += 1;
            state.calls
        };
        // Others get their turn, so that calls overlap and end in another order.
        for _ in 0..call % 5 {
            yield_now().await;
        }
        if request.method() == http::Method::GET {
            return Ok(answer(200, &self.list(request.uri().query().unwrap_or_default())));
        }
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let number = body["upload_request_no"].as_str().unwrap();
        let wrong = (self.plot.lock().unwrap())(call, number);
        let lost = || TransportError::interrupted("lost");
        match wrong {
            Some(Wrong::Unreached) => Err(TransportError::new(TransportErrorKind::Connect, "refused")),
            Some(Wrong::Refused(status, code)) => Ok(answer(status, &json!({"code": code, "message": "no"}))),
            Some(Wrong::TooSoon(seconds)) => {
                let mut answer = answer(429, &json!({"code": "FREQUENCY_LIMITED", "message": "no"}));
                answer.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
                Ok(answer)
            }
            Some(Wrong::Lost) => {
                self.act(&body);
                Err(lost())
            }
            Some(Wrong::Garbled(instead)) => {
                self.act(&body);
                Ok(answer(200, &instead))
            }
            None => {
                let (status, body) = self.act(&body);
                Ok(answer(status, &body))
            }
        }
    }
}

impl Fake {
    fn list(&self, query: &str) -> Value {
        let number = |name: &str| {
            let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            value.and_then(|value| value.parse::<usize>().ok()).unwrap_or_default()
        };
        let (offset, limit) = (number("offset"), number("limit"));
        let state = self.state.lock().unwrap();
        let data: Vec<_> = state.codes.keys().skip(offset).take(limit).map(|code| json!({"code": code})).collect();
        json!({"stock_id": "98065001", "total_count": state.codes.len(), "limit": data.len(), "offset": offset, "data": data})
    }
}

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Runs a future to its end.
pub(super) fn futures_executor<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

/// So many distinct codes.
pub(super) fn codes(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("code {number:07}|")).collect()
}

/// A text file with these lines.
pub(super) fn input(folder: &Path, lines: &[String]) -> Input {
    let path = folder.join("codes.txt");
    std::fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    Input { sources: vec![Source { path, name: "codes.txt".to_owned() }], format: Format::Text }
}
