//! Every kind of fault: what each adapter makes of it, whether the request acted, and that the log says so.

use crate::clients::{ADAPTERS, Adapter, Asking, Way, ask, exchange};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use wechatpay_protocol::Error;
use wechatpay_sandbox::{FAULTS, FaultRule, Sandbox};
use wechatpay_tests::road::from_now;
use wechatpay_tests::story::{Example, set};

/// Long enough for any machine, and short enough to wait for.
const PATIENT: Duration = Duration::from_secs(20);
const IMPATIENT: Duration = Duration::from_secs(1);

/// A request for a stock, with a number of its own: one that acts leaves one more stock in the ledger.
fn stock(sandbox: &Sandbox) -> Value {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let mut request = Example::named("favor.create_coupon_stock", "prepaid, opens a mini program").request();
    for (place, value) in [
        ("/belong_merchant", json!(sandbox.merchant().mchid)),
        ("/out_request_no", json!(format!("wire-{}", NEXT.fetch_add(1, Ordering::Relaxed)))),
        ("/available_begin_time", from_now(sandbox, 60)),
        ("/available_end_time", from_now(sandbox, 86_400)),
    ] {
        set(&mut request, place, value);
    }
    request
}

/// An outcome in a few words.
fn said(outcome: &Result<Value, Error>) -> String {
    match outcome {
        Ok(_) => "done".to_owned(),
        Err(Error::Transport(error)) => format!("{:?}, sent {:?}", error.kind(), error.sent()).to_lowercase(),
        Err(Error::Unverified(error)) => {
            let reason = format!("{:?}", error.reason);
            format!("unverified: {}", reason.split('(').next().expect("a first part"))
        }
        Err(Error::Api(refusal)) => {
            let who = if refusal.authenticated { "signed" } else { "unsigned" };
            format!("{who} {} {}", refusal.status, refusal.code.as_str()).trim_end().to_owned()
        }
        Err(Error::Decode(_)) => "unreadable".to_owned(),
        Err(other) => format!("{other:?}"),
    }
}

const CUT: &str = "interrupted, sent maybe";
const LATE: &str = "timeout, sent maybe";

/// A fault, how the client's call ends, and whether the request acts.
const CASES: &[(&str, &str, bool)] = &[
    ("refuse", CUT, false),
    ("reset-before", CUT, false),
    ("lose-reply", CUT, true),
    ("reset-after", CUT, true),
    ("reset-mid", CUT, true),
    ("truncate", CUT, true),
    ("broken-chunk", CUT, true),
    ("slow-headers=1", "done", true),
    ("slow-body=1", "done", true),
    ("slow-headers=3600000", LATE, true),
    ("slow-body=3600000", LATE, true),
    ("stall", LATE, true),
    ("stall=1", CUT, true),
    ("unsigned", "unverified: Unsigned", true),
    ("missing-header", "unverified: MissingHeader", true),
    ("duplicate-header", "unverified: DuplicateHeader", true),
    ("forge", "unverified: Mismatch", true),
    ("tamper", "unverified: Mismatch", true),
    ("stale", "unverified: Stale", true),
    ("future", "unverified: Stale", true),
    ("unknown-serial", "unverified: UnknownSerial", true),
    ("probe", "unverified: Probe", true),
    ("oversized", CUT, true),
    ("oversized=100000", "done", true),
    ("deep-json", "unreadable", true),
    ("deep-json=20", "done", true),
    ("status-429", "signed 429 FREQUENCY_LIMIT_EXCEED", false),
    ("status-500", "signed 500 SYSTEM_ERROR", false),
    ("html-502", "unsigned 502", false),
    ("redirect", "unsigned 302", false),
    ("error=NOT_ENOUGH", "signed 403 NOT_ENOUGH", false),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_its_outcome_with_every_adapter_over_http_and_tls() {
    let mut trying = tokio::task::JoinSet::new();
    for (way, adapter) in [Way::Http, Way::Tls].into_iter().flat_map(|way| ADAPTERS.map(|adapter| (way, adapter))) {
        trying.spawn(try_all(way, adapter));
    }
    while let Some(tried) = trying.join_next().await {
        tried.expect("every case ends as it should");
    }
}

async fn try_all(way: Way, adapter: Adapter) {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    for &(fault, expected, acts) in CASES {
        let (stocks, requests) = (sandbox.ledger().stocks.len(), sandbox.requests().len());
        let timeout = if expected == LATE { IMPATIENT } else { PATIENT };
        let asking = Asking { way, timeout, fault: Some(fault) };
        let outcome = ask(&sandbox, adapter, asking, &stock(&sandbox)).await;
        assert_eq!(said(&outcome), expected, "{fault} {way:?} {adapter:?}: {outcome:?}");
        assert_eq!(sandbox.ledger().stocks.len() - stocks, usize::from(acts), "{fault} {way:?} {adapter:?}");
        assert_eq!(sandbox.requests().len() - requests, 1, "{fault} {way:?} {adapter:?}: nothing is sent again");
        let logged = sandbox.last_request().expect("logged");
        assert_eq!((logged.fault.as_deref(), logged.rule), (Some(fault), None), "{fault} {way:?} {adapter:?}");
    }
}

#[test]
fn every_kind_of_fault_is_among_the_cases_and_acts_as_its_table_says() {
    let of = |name: &str| name.split('=').next().expect("a name").to_owned();
    let tried: BTreeSet<_> = CASES.iter().map(|(fault, _, acts)| (of(fault), *acts)).collect();
    let known: BTreeSet<_> = FAULTS.iter().map(|kind| (kind.name.to_owned(), kind.acts)).collect();
    assert_eq!(tried, known);
}

#[test]
fn the_readme_has_the_table_of_faults() {
    let readme = include_str!("../../../crates/wechatpay-sandbox/README.md");
    for kind in FAULTS {
        let acts = if kind.acts { "yes" } else { "no" };
        let row = format!("| `{}` | {} | {acts} | {} |", kind.name, kind.argument.replace('|', "\\|"), kind.meaning);
        assert!(readme.contains(&row), "add to the README:\n{row}");
    }
}

/// What comes over the socket for a request whose answer is 401, and how it ends. None of it takes a client.
#[tokio::test(flavor = "multi_thread")]
async fn resets_and_ends_are_real_ones() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let whole = "HTTP/1.1 401 Unauthorized\r\n";
    for (fault, begins, reset) in [
        ("refuse", "", false),
        ("reset-before", "", true),
        ("lose-reply", "", false),
        ("reset-after", "", true),
        ("reset-mid", whole, true),
        ("truncate", whole, false),
        ("broken-chunk", whole, false),
        ("stall=1", whole, false),
        ("slow-body=1", whole, false),
    ] {
        for way in [Way::Http, Way::Tls, Way::Proxy] {
            let request = format!("GET /v3/certificates HTTP/1.1\r\nHost: x\r\nX-Sandbox-Fault: {fault}\r\n\r\n");
            let (got, ended) = exchange(&sandbox, way, &request);
            let end = ended.as_ref().map_err(std::io::Error::kind).err();
            assert_eq!(end, reset.then_some(ErrorKind::ConnectionReset), "{fault} {way:?}: {got}");
            assert!(got.starts_with(begins) && got.is_empty() == begins.is_empty(), "{fault} {way:?}: {got}");
            let (head, body) = got.split_once("\r\n\r\n").unwrap_or_default();
            let promised = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
            match fault {
                "reset-mid" | "truncate" | "stall=1" => {
                    assert_eq!(promised.map(|all| all / 2), Some(body.len()), "{got}")
                }
                "slow-body=1" => assert_eq!(promised, Some(body.len()), "{got}"),
                "broken-chunk" => assert!(head.contains("Transfer-Encoding: chunked") && promised.is_none(), "{got}"),
                _ => {}
            }
        }
    }
}

/// A control call over a plain socket.
fn control(sandbox: &Sandbox, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head =
        format!("{method} /_sandbox/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}", body.len());
    let (answer, _) = exchange(sandbox, Way::Http, &format!("{head}\r\n\r\n{body}"));
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_hit_the_requests_that_they_name_and_the_log_names_them() {
    let rule: FaultRule = "status-500;operation=favor.create_coupon_stock;nth=2".parse().expect("a rule");
    let sandbox = Sandbox::builder().fault(rule).start().await.expect("a sandbox");
    let late = json!({"fault": "lose-reply", "operation": "favor", "nth": 3, "times": 2});
    let (status, added) = control(&sandbox, "POST", "faults", &late);
    assert_eq!((status, &added["id"], &added["seen"]), (200, &json!(2), &json!(0)), "{added}");

    let mut outcomes = Vec::new();
    for adapter in ADAPTERS.into_iter().cycle().take(6) {
        let asking = Asking { way: Way::Http, timeout: PATIENT, fault: None };
        // The certificates belong to no family of the rules.
        let others = ask(&sandbox, adapter, asking, &Value::Null).await;
        assert_eq!((said(&others).as_str(), sandbox.last_request().expect("logged").rule), ("done", None));
        let outcome = ask(&sandbox, adapter, asking, &stock(&sandbox)).await;
        let logged = sandbox.last_request().expect("logged");
        outcomes.push((said(&outcome), logged.rule, logged.fault));
    }
    let done = ("done".to_owned(), None, None);
    let lost = (CUT.to_owned(), Some(2), Some("lose-reply".to_owned()));
    let failed = ("signed 500 SYSTEM_ERROR".to_owned(), Some(1), Some("status-500".to_owned()));
    assert_eq!(outcomes, [done.clone(), failed, lost.clone(), lost, done.clone(), done]);

    let (_, listed) = control(&sandbox, "GET", "faults", &Value::Null);
    let counts: Vec<_> =
        listed["faults"].as_array().expect("a list").iter().map(|r| (&r["seen"], &r["applied"])).collect();
    assert_eq!(counts, [(&json!(6), &json!(1)), (&json!(6), &json!(2))]);
    let in_log = sandbox.requests().iter().filter(|exchange| exchange.rule == Some(2)).count();
    assert_eq!(in_log, 2, "the log and the rule count the same");

    // A reset of the state lets the counts begin again.
    control(&sandbox, "POST", "reset", &Value::Null);
    assert_eq!((sandbox.faults().len(), sandbox.faults()[1].seen), (2, 0));
    assert_eq!(control(&sandbox, "DELETE", "faults/1", &Value::Null), (200, json!({"removed": 1})));
    assert_eq!(control(&sandbox, "DELETE", "faults/1", &Value::Null).0, 404);
    assert_eq!(control(&sandbox, "DELETE", "faults", &Value::Null), (200, json!({"removed": 1})));
    assert!(sandbox.faults().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_could_not_be_applied_waits_and_a_wrong_one_is_refused() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    sandbox.add_fault("forge;times=1".parse().expect("a rule")).expect("it stands");
    // Nobody signs the answer to a request that nobody signed.
    let _ = exchange(&sandbox, Way::Http, "GET /v3/certificates HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!((sandbox.faults()[0].seen, sandbox.faults()[0].applied), (1, 0));
    let asking = Asking { way: Way::Http, timeout: PATIENT, fault: None };
    for expected in ["unverified: Mismatch", "done"] {
        let outcome = ask(&sandbox, ADAPTERS[1], asking, &Value::Null).await;
        assert_eq!(said(&outcome), expected);
    }
    for (rule, named) in [
        (json!({"fault": "explode"}), "explode"),
        (json!({"fault": "stall", "operation": "favour.send"}), "favour.send"),
        (json!({"fault": "stall", "nth": 0}), "nth"),
        (json!({"fault": "stall", "probability": 2}), "probability"),
        (json!({"fault": "stall", "often": 2}), "often"),
        (json!({"nth": 1}), "fault"),
        (json!([]), "fault"),
    ] {
        let (status, answer) = control(&sandbox, "POST", "faults", &rule);
        assert_eq!(status, 400, "{rule}");
        assert!(answer["error"].as_str().is_some_and(|error| error.contains(named)), "{rule}: {answer}");
    }
    let error =
        Sandbox::builder().fault(FaultRule::new("explode")).start().await.expect_err("no such fault").to_string();
    assert!(error.contains("explode"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chance_is_the_same_for_the_same_seed() {
    let mut runs = Vec::new();
    for seed in [5, 5, 6] {
        let rule: FaultRule = "html-502;probability=0.5".parse().expect("a rule");
        let sandbox = Sandbox::builder().seed(seed).fault(rule).start().await.expect("a sandbox");
        for _ in 0..40 {
            let _ =
                exchange(&sandbox, Way::Http, "GET /v3/certificates HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        }
        let mut hit: Vec<_> = sandbox.requests().iter().map(|exchange| (exchange.id, exchange.status)).collect();
        hit.sort();
        runs.push(hit);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    let hits = runs[0].iter().filter(|(_, status)| *status == Some(502)).count();
    assert!((8..=32).contains(&hits), "{hits} of 40");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_say_how_long_pauses_are() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let (status, _) = control(&sandbox, "POST", "settings", &json!({"slow_ms": 1, "stall_ms": 1}));
    assert_eq!(status, 200);
    for (fault, expected) in [("slow-headers", "done"), ("slow-body", "done"), ("stall", CUT)] {
        let asking = Asking { way: Way::Tls, timeout: PATIENT, fault: Some(fault) };
        let outcome = ask(&sandbox, ADAPTERS[0], asking, &stock(&sandbox)).await;
        assert_eq!(said(&outcome), expected, "{fault}: {outcome:?}");
    }
}
