//! Repeats, on a virtual clock: what is tried again, how often, where, and what the caller is told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::Full;
use serde_json::json;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use wechatpay_protocol::crypto::{Signer, VerifyingKey};
use wechatpay_protocol::model::busifavor::UploadCouponCodes;
use wechatpay_protocol::model::favor::{GetStock, StartStock};
use wechatpay_protocol::retry::{Sleep, Timer};
use wechatpay_protocol::{
    BaseUrl, BlockingClient, BoxError, Client, Error, Executed, Merchant, Report, Retry, RetryPolicy, Stamper,
    TransportError, TransportErrorKind, Trust,
};

/// A clock that only waiting moves.
#[derive(Clone, Default)]
struct Clock {
    millis: Arc<AtomicU64>,
    nonces: Arc<AtomicU64>,
}

impl Clock {
    fn advance(&self, duration: Duration) {
        self.millis.fetch_add(duration.as_millis() as u64, Ordering::SeqCst);
    }
    fn seconds(&self) -> u64 {
        self.millis.load(Ordering::SeqCst) / 1000
    }
}

impl Stamper for Clock {
    fn now(&self) -> i64 {
        1_784_000_000 + self.seconds() as i64
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::SeqCst))
    }
    fn jitter(&self) -> u16 {
        u16::MAX
    }
    fn nonce(&self) -> Result<String, BoxError> {
        Ok(format!("{:032}", self.nonces.fetch_add(1, Ordering::SeqCst)))
    }
}

/// Time passes when somebody waits for it, and not before.
struct Waiting(Clock, Duration);

impl Future for Waiting {
    type Output = ();
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.0.advance(self.1);
        Poll::Ready(())
    }
}

impl Timer for Clock {
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(Waiting(self.clone(), duration))
    }
}

/// A scheme that costs nothing: what is tested here is not the signature.
struct Cheap;

impl Signer for Cheap {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(message.to_vec())
    }
}

impl VerifyingKey for Cheap {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        message == signature
    }
}

#[derive(Clone)]
enum Step {
    Answer(u16, String),
    Header(u16, String, &'static str, &'static str),
    Unsigned(u16, String),
    Fail(TransportErrorKind),
    Hang,
}

fn refusal(status: u16, code: &str) -> Step {
    Step::Answer(status, json!({"code": code, "message": "m"}).to_string())
}

fn signed(clock: &Clock, body: &str) -> HeaderMap {
    let now = clock.now();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("wechatpay-timestamp", now.to_string()),
        ("wechatpay-nonce", "n".to_owned()),
        ("wechatpay-signature", STANDARD.encode(format!("{now}\nn\n{body}\n"))),
        ("wechatpay-serial", "K".to_owned()),
    ] {
        headers.insert(name, value.parse().expect("a header value"));
    }
    headers
}

/// What came over the wire: host, nonce and body of each attempt.
type Seen = Arc<Mutex<Vec<(String, String, Bytes)>>>;

fn note(seen: &Seen, request: &http::Request<Bytes>) {
    let header = request.headers()["authorization"].to_str().expect("ASCII");
    let nonce = header.split("nonce_str=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a nonce");
    let host = request.uri().host().expect("a host").to_owned();
    seen.lock().expect("unpoisoned").push((host, nonce.to_owned(), request.body().clone()));
}

fn perform(clock: &Clock, step: Step) -> Result<http::Response<Full<Bytes>>, TransportError> {
    let (status, body, extra) = match step {
        Step::Answer(status, body) => (status, body, None),
        Step::Header(status, body, name, value) => (status, body, Some((name, value))),
        Step::Unsigned(status, body) => {
            let mut response = http::Response::new(Full::new(Bytes::from(body)));
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            return Ok(response);
        }
        Step::Fail(kind) => return Err(TransportError::new(kind, "as told")),
        Step::Hang => unreachable!("the caller hangs"),
    };
    let mut response = http::Response::new(Full::new(Bytes::from(body.clone())));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    *response.headers_mut() = signed(clock, &body);
    if let Some((name, value)) = extra {
        response.headers_mut().insert(name, value.parse().expect("a header value"));
    }
    Ok(response)
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Full<Bytes>>, TransportError>> + Send>>;

fn policy(attempts: u32) -> RetryPolicy {
    let mut policy = RetryPolicy::default();
    policy.attempts = attempts;
    policy
}

/// A client whose transport does what `script` says for each attempt, counted from 0.
fn client<F: Fn(usize) -> Step + Send + Sync + 'static>(
    clock: &Clock,
    seen: &Seen,
    script: F,
) -> Client<impl Fn(http::Request<Bytes>) -> Answer + use<F>> {
    let (clock_there, seen, count) = (clock.clone(), Arc::clone(seen), AtomicU64::new(0));
    let transport = move |request: http::Request<Bytes>| -> Answer {
        note(&seen, &request);
        match script(count.fetch_add(1, Ordering::SeqCst) as usize) {
            Step::Hang => Box::pin(std::future::pending()),
            step => Box::pin(std::future::ready(perform(&clock_there, step))),
        }
    };
    Client::new(transport, Merchant::new("1900000109", "AB", Cheap), Trust::new().with_public_key("K", Cheap))
        .with_stamper(clock.clone())
}

fn run<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

fn upload() -> UploadCouponCodes {
    UploadCouponCodes::builder()
        .stock_id("98065001")
        .coupon_code_list(vec!["ABC9588200".into()])
        .upload_request_no("100002322019090134234sfdf")
        .build()
}

const UPLOADED: &str =
    r#"{"stock_id":"98065001","total_count":1,"success_count":1,"success_time":"2026-07-14T10:00:00+08:00"}"#;

fn uploaded() -> Step {
    Step::Answer(200, UPLOADED.to_owned())
}

#[test]
fn nothing_is_tried_again_unless_a_policy_is_given() {
    let (clock, seen) = (Clock::default(), Seen::default());
    let client = client(&clock, &seen, |_| refusal(429, "FREQUENCY_LIMITED"));
    run(client.send(&upload())).expect_err("refused");
    assert_eq!(seen.lock().expect("unpoisoned").len(), 1);
}

#[test]
fn a_lost_reply_is_asked_for_again_with_the_same_bytes_signed_afresh() {
    let (clock, seen) = (Clock::default(), Seen::default());
    let client =
        client(&clock, &seen, |n| if n < 2 { Step::Fail(TransportErrorKind::Interrupted) } else { uploaded() })
            .with_retry(RetryPolicy::default(), clock.clone());
    assert_eq!(run(client.send(&upload())).expect("at the third attempt").value.success_count, 1);
    let seen = seen.lock().expect("unpoisoned");
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|(_, _, body)| *body == seen[0].2), "same request number and body");
    assert!(seen[0].1 != seen[1].1 && seen[1].1 != seen[2].1, "a nonce of its own each time");
    assert_eq!(clock.monotonic(), Duration::from_millis(200 + 400));
}

#[test]
fn what_is_repeated_depends_on_the_refusal() {
    let cases = [
        (refusal(429, "WHATEVER"), true),
        (refusal(400, "SYSTEM_ERROR"), true),
        (refusal(500, "SYSTEM_ERROR"), true),
        (refusal(503, "SERVICE_UNAVAILABLE"), true),
        (refusal(400, "STATEMENT_CREATING"), true),
        (Step::Answer(202, "{}".to_owned()), true),
        (refusal(400, "PARAM_ERROR"), false),
        (refusal(400, "RESOURCE_ALREADY_EXISTS"), false),
        (refusal(403, "NOAUTH"), false),
        (refusal(404, "RESOURCE_NOT_EXISTS"), false),
        (Step::Header(200, UPLOADED.to_owned(), "wechatpay-signature", "WECHATPAY/SIGNTEST/x"), true),
        (Step::Header(200, UPLOADED.to_owned(), "wechatpay-signature", "Zm9yZ2Vk"), false),
    ];
    for (case, (first, repeated)) in cases.into_iter().enumerate() {
        let (clock, seen) = (Clock::default(), Seen::default());
        let client = client(&clock, &seen, move |n| if n == 0 { first.clone() } else { uploaded() })
            .with_retry(RetryPolicy::default(), clock.clone());
        assert_eq!(run(client.send(&upload())).is_ok(), repeated, "case {case}");
        assert_eq!(seen.lock().expect("unpoisoned").len(), 1 + usize::from(repeated));
    }
}

#[test]
fn a_raw_post_that_may_have_run_is_given_back_whole_and_not_repeated() {
    let (clock, seen) = (Clock::default(), Seen::default());
    let client = client(&clock, &seen, |_| Step::Fail(TransportErrorKind::Interrupted))
        .with_retry(RetryPolicy::default(), clock.clone());
    let body = json!({"openid": "secret-openid"});
    match run(client.post("/v3/marketing/x", &body)) {
        Err(error @ Error::OutcomeUnknown(_)) => {
            assert_eq!(error.executed(), Executed::Maybe);
            assert!(!format!("{error:?} {error}").contains("secret-openid"));
            let Error::OutcomeUnknown(unknown) = error else { unreachable!() };
            assert_eq!((unknown.target.as_str(), unknown.body), ("/v3/marketing/x", Bytes::from(body.to_string())));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(seen.lock().expect("unpoisoned").len(), 1);
    // A refused connection has sent nothing, so even that one is repeated; and a raw read is harmless.
    let client = self::client(&clock, &seen, |n| match n {
        0 => Step::Fail(TransportErrorKind::Connect),
        _ => Step::Answer(200, "{}".to_owned()),
    })
    .with_retry(RetryPolicy::default(), clock.clone());
    run(client.post("/v3/marketing/x", &body)).expect("at the second attempt");
    let client = self::client(&clock, &seen, |n| match n {
        0 => Step::Fail(TransportErrorKind::Interrupted),
        _ => Step::Answer(200, "{}".to_owned()),
    })
    .with_retry(RetryPolicy::default(), clock.clone());
    run(client.get("/v3/marketing/x")).expect("at the second attempt");
}

#[test]
fn what_an_earlier_attempt_may_have_done_is_not_forgotten() {
    use TransportErrorKind::{Connect, Interrupted, Unsendable};
    /// What is called: with a request number, safe to repeat, only read, neither.
    #[derive(Debug)]
    enum Kind {
        Keyed,
        Safe,
        Read,
        Raw,
    }
    let unsigned = |status, code: &str| Step::Unsigned(status, json!({"code": code, "message": "m"}).to_string());
    let accepted = || Step::Answer(202, "{}".to_owned());
    let probe = |status| Step::Header(status, "{}".to_owned(), "wechatpay-signature", "WECHATPAY/SIGNTEST/x");
    let (no, maybe, yes) = (Executed::No, Executed::Maybe, Executed::Yes);
    let (later, never, read) = (Retry::Later, Retry::Never, Retry::ReadFirst);
    // The first answer, all others; then whether the outcome is unknown, whether it was executed, and what a repeat may do.
    let cases = [
        (Kind::Keyed, Step::Fail(Interrupted), refusal(429, "FREQUENCY_LIMITED"), true, maybe, later),
        (Kind::Keyed, Step::Fail(Interrupted), refusal(403, "NOAUTH"), true, maybe, read),
        (Kind::Keyed, Step::Fail(Interrupted), Step::Fail(Connect), true, maybe, later),
        (Kind::Keyed, probe(200), refusal(404, "RESOURCE_NOT_EXISTS"), true, maybe, read),
        (Kind::Keyed, accepted(), Step::Fail(Connect), true, maybe, later),
        (Kind::Safe, refusal(500, "SYSTEM_ERROR"), refusal(400, "PARAM_ERROR"), true, maybe, read),
        // What nobody signed is no firmer.
        (Kind::Keyed, Step::Fail(Interrupted), unsigned(401, "SIGN_ERROR"), true, maybe, read),
        (Kind::Keyed, Step::Fail(Interrupted), unsigned(403, "NOAUTH"), true, maybe, read),
        (Kind::Safe, refusal(500, "SYSTEM_ERROR"), unsigned(404, "RESOURCE_NOT_EXISTS"), true, maybe, read),
        (Kind::Keyed, Step::Fail(Interrupted), Step::Fail(Unsendable), true, maybe, read),
        // The last error says it itself.
        (Kind::Keyed, Step::Fail(Connect), Step::Fail(Interrupted), false, maybe, later),
        (Kind::Keyed, Step::Fail(Interrupted), unsigned(502, ""), false, maybe, later),
        (Kind::Keyed, Step::Fail(Interrupted), unsigned(429, "FREQUENCY_LIMITED"), false, maybe, later),
        (Kind::Keyed, accepted(), accepted(), false, yes, later),
        (Kind::Keyed, probe(404), probe(404), false, maybe, later),
        // Nothing before it can have been executed, or all that was done was to read.
        (Kind::Keyed, refusal(429, "FREQUENCY_LIMITED"), refusal(403, "NOAUTH"), false, no, never),
        (Kind::Keyed, Step::Fail(Connect), Step::Fail(Connect), false, no, later),
        (Kind::Keyed, Step::Fail(Connect), Step::Fail(Unsendable), false, no, never),
        (Kind::Keyed, Step::Fail(Connect), unsigned(401, "SIGN_ERROR"), false, maybe, never),
        (Kind::Read, Step::Fail(Interrupted), unsigned(404, "RESOURCE_NOT_EXISTS"), false, maybe, never),
        (Kind::Read, Step::Fail(Interrupted), refusal(404, "RESOURCE_NOT_EXISTS"), false, no, never),
        // Only 202 has these repeated after they may have run.
        (Kind::Raw, accepted(), Step::Fail(Connect), true, maybe, read),
        (Kind::Raw, accepted(), Step::Fail(Interrupted), true, maybe, read),
        (Kind::Raw, probe(200), uploaded(), true, maybe, read),
    ];
    for (nth, (kind, first, then, unknown, executed, retry)) in cases.into_iter().enumerate() {
        let (clock, seen) = (Clock::default(), Seen::default());
        let client = client(&clock, &seen, move |n| if n == 0 { first.clone() } else { then.clone() })
            .with_retry(policy(3), clock.clone());
        let error = match kind {
            Kind::Keyed => run(client.send(&upload())).map(drop),
            Kind::Safe => {
                run(client.send(&StartStock::builder().stock_id("1").stock_creator_mchid("1").build())).map(drop)
            }
            Kind::Read => {
                run(client.send(&GetStock::builder().stock_id("1").stock_creator_mchid("1").build())).map(drop)
            }
            Kind::Raw => run(client.post("/v3/marketing/x", &json!({}))).map(drop),
        }
        .expect_err("it fails");
        let said = (matches!(error, Error::OutcomeUnknown(_)), error.executed(), error.retry());
        assert_eq!(said, (unknown, executed, retry), "case {nth}, {kind:?}: {error}");
        // How it may be repeated is said, and a request number is named where there is one and nowhere else.
        let text = error.to_string();
        assert!(!unknown || text.contains("may have been executed"), "case {nth}: {text}");
        assert_eq!(text.contains("with the same upload_request_no"), unknown && matches!(kind, Kind::Keyed), "{text}");
    }
}

#[test]
fn the_backup_host_is_asked_only_when_that_cannot_act_twice() {
    let hosts = |safe: bool, kind: TransportErrorKind| {
        let (clock, seen) = (Clock::default(), Seen::default());
        let client = client(&clock, &seen, move |_| Step::Fail(kind))
            .with_backups([BaseUrl::official_backup()])
            .with_retry(policy(3), clock.clone());
        if safe {
            run(client.send(&GetStock::builder().stock_id("1").stock_creator_mchid("1").build())).expect_err("down");
        } else {
            run(client.send(&upload())).expect_err("down");
        }
        let seen = seen.lock().expect("unpoisoned");
        seen.iter().map(|(host, ..)| host.split('.').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(hosts(false, TransportErrorKind::Connect), ["api", "api2", "api"]);
    assert_eq!(hosts(true, TransportErrorKind::Interrupted), ["api", "api2", "api"]);
    assert_eq!(hosts(false, TransportErrorKind::Interrupted), ["api", "api", "api"]);
}

#[test]
fn the_timer_cuts_off_an_attempt_and_the_deadline_the_call() {
    let (clock, seen) = (Clock::default(), Seen::default());
    let policy = policy(100);
    let client = client(&clock, &seen, |_| Step::Hang).with_retry(policy, clock.clone());
    let error = run(client.send(&upload())).expect_err("nobody answers");
    assert!(matches!(&error, Error::Transport(error) if error.kind() == TransportErrorKind::Timeout), "{error}");
    assert_eq!(clock.monotonic(), policy.deadline, "the last attempt is cut off by the deadline");
    assert_eq!(seen.lock().expect("unpoisoned").len(), 6);
}

#[test]
fn retry_after_is_waited_for() {
    let (clock, seen) = (Clock::default(), Seen::default());
    let body = json!({"code": "FREQUENCY_LIMITED", "message": "m"}).to_string();
    let client = client(&clock, &seen, move |n| match n {
        0 => Step::Header(429, body.clone(), "retry-after", "7"),
        _ => uploaded(),
    })
    .with_retry(RetryPolicy::default(), clock.clone());
    run(client.send(&upload())).expect("at the second attempt");
    assert_eq!(clock.seconds(), 7);
}

#[test]
#[cfg_attr(miri, ignore = "thousands of calls take minutes there")]
fn a_storm_is_not_amplified_and_passes() {
    for step in [refusal(429, "FREQUENCY_LIMITED"), refusal(503, "SERVICE_UNAVAILABLE")] {
        let (clock, seen) = (Clock::default(), Seen::default());
        let there = clock.clone();
        let client = client(&clock, &seen, move |_| if there.seconds() < 60 { step.clone() } else { uploaded() })
            .with_retry(RetryPolicy::default(), clock.clone());
        let (mut calls, mut failed) = (0u32, 0u32);
        while clock.seconds() < 60 {
            calls += 1;
            failed += u32::from(run(client.send(&upload())).is_err());
            clock.advance(Duration::from_millis(10));
        }
        let attempts = u32::try_from(seen.lock().expect("unpoisoned").len()).expect("few");
        assert!(failed >= calls - 1 && calls > 400, "{failed} of {calls}");
        assert!(f64::from(attempts) <= 1.2 * f64::from(calls) + 10.0, "{attempts} attempts for {calls} calls");
        assert!((0..100).all(|_| run(client.send(&upload())).is_ok()), "it recovers");
    }
}

#[test]
fn every_attempt_is_reported() {
    let (clock, seen) = (Clock::default(), Seen::default());
    let reports = Arc::new(Mutex::new(Vec::new()));
    let there = Arc::clone(&reports);
    let client = client(&clock, &seen, |n| if n == 0 { refusal(500, "SYSTEM_ERROR") } else { uploaded() })
        .with_observer(move |report: &Report<'_>| {
            let shown = format!("{report:?}");
            assert!(!shown.contains("98065001") && !shown.contains("SYSTEM_ERROR\","), "a body: {shown}");
            let line = format!("{} {} {:?}", report.operation(), report.attempt(), report.status());
            there.lock().expect("unpoisoned").push(line);
        })
        .with_retry(RetryPolicy::default(), clock.clone());
    run(client.send(&upload())).expect("at the second attempt");
    assert_eq!(
        *reports.lock().expect("unpoisoned"),
        ["busifavor.upload_coupon_codes 1 Some(500)", "busifavor.upload_coupon_codes 2 Some(200)"]
    );
}

#[test]
fn the_blocking_client_waits_the_same_way() {
    let (clock, seen) = (Clock::default(), Seen::default());
    let (there, noted) = (clock.clone(), Arc::clone(&seen));
    let transport = move |request: http::Request<Bytes>, timeout: Option<Duration>| {
        assert_eq!(timeout, Some(RetryPolicy::default().attempt_timeout));
        note(&noted, &request);
        let first = noted.lock().expect("unpoisoned").len() == 1;
        let body = r#"{"stock_id":"1","start_time":"2026-07-14T10:00:00+08:00"}"#.to_owned();
        let step = if first { refusal(500, "SYSTEM_ERROR") } else { Step::Answer(200, body) };
        let (parts, _) = perform(&there, step.clone())?.into_parts();
        let Step::Answer(_, body) = step else { unreachable!() };
        Ok(http::Response::from_parts(parts, std::io::Cursor::new(body)))
    };
    let sleeper = clock.clone();
    let client = BlockingClient::new(
        transport,
        Merchant::new("1900000109", "AB", Cheap),
        Trust::new().with_public_key("K", Cheap),
    )
    .with_stamper(clock.clone())
    .with_retry(RetryPolicy::default(), move |duration| sleeper.advance(duration));
    client.send(&StartStock::builder().stock_id("1").stock_creator_mchid("1").build()).expect("at the second attempt");
    assert_eq!(clock.monotonic(), Duration::from_millis(200));
}

#[test]
fn a_clock_that_is_off_is_named() {
    let (clock, seen) = (Clock::default(), Seen::default());
    let body = json!({"code": "SIGN_ERROR", "message": "m"}).to_string();
    // 2026-07-14T03:33:20Z is the virtual clock's beginning.
    let client =
        client(&clock, &seen, move |_| Step::Header(401, body.clone(), "date", "Tue, 14 Jul 2026 04:33:20 GMT"));
    let error = run(client.send(&upload())).expect_err("refused");
    assert!(error.to_string().contains("3600 seconds behind the server's"), "{error}");
}
