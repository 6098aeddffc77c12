//! The real command is killed at many points of an upload and started again until it is done; then the sandbox's ledger
//! and the input are the same, and no batch went out under two numbers.
//!
//! `WECHATPAY_KILLS` and `WECHATPAY_KILL_CODES` say how often and over how many codes; `cargo xtask kill-sweep` sets them.

use crate::codes::{lines, stock};
use crate::common::Sandbox;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use wechatpay_uploader::Journal;

const BATCH: usize = 200;

/// Numbers that look random and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: Duration) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        limit.mul_f64((self.0 >> 11) as f64 / (1u64 << 53) as f64)
    }
}

fn setting(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Where the journal stood when its process was killed. It is read from a copy: the next run repairs its own.
fn state(journal: &Path, copy: &Path) -> &'static str {
    if !journal.exists() {
        return "before there was a journal";
    }
    std::fs::copy(journal, copy).unwrap();
    let journal = Journal::open(copy).unwrap();
    let totals = journal.totals();
    match (totals.batches_done, totals.unknown, totals.not_sent) {
        (0, 0, _) => "planned, nothing marked",
        (0, _, _) => "marked, nothing answered",
        (_, _, 0) if totals.unknown == 0 => "all answered",
        (_, 0, _) => "some answered, nothing marked",
        (_, _, 0) => "some answered, the last ones marked",
        _ => "some answered, others marked",
    }
}

/// Waits for the end, until then.
fn ends_before(child: &mut Child, end: Instant) -> bool {
    while Instant::now() < end {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "the upload failed: {status}");
            return true;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    false
}

/// Asserts that the ledger holds each code once, under the number of its batch.
fn check(sandbox: &Sandbox, id: &str, codes: usize, numbers: &str) {
    let ledger = sandbox.control("GET", "ledger", &Value::Null);
    let mut entries: Vec<(String, String)> = Vec::new();
    for entry in ledger["coupon_codes"].as_array().unwrap() {
        assert_eq!((entry["count"].as_u64(), entry["stock_id"].as_str()), (Some(1), Some(id)), "{entry}");
        let text = |name: &str| entry[name].as_str().unwrap().to_owned();
        entries.push((text("code"), text("upload_request_no")));
    }
    entries.sort();
    assert_eq!(entries.len(), codes);
    for (index, ((code, number), wanted)) in entries.iter().zip(lines(codes).lines()).enumerate() {
        assert_eq!((code.as_str(), number.as_str()), (wanted, format!("{numbers}{:06}", index / BATCH).as_str()));
    }
}

#[test]
fn an_upload_that_is_killed_anywhere_loses_nothing_and_doubles_nothing() {
    let (kills, codes) = (setting("WECHATPAY_KILLS", 20), setting("WECHATPAY_KILL_CODES", 20_000));
    let sandbox = Sandbox::start();
    let file = sandbox.file("codes.txt", lines(codes));
    let (journal, copy) = (sandbox.path("codes.txt.wechatpay-journal"), sandbox.path("copy"));
    let mut chance = Chance(1);
    let (mut killed, mut uploads, mut states) = (0, 0, BTreeMap::new());
    let begun = Instant::now();
    let mut whole: Option<Duration> = None;
    while killed < kills || uploads == 0 {
        sandbox.control("POST", "reset", &Value::Null);
        let _ = std::fs::remove_file(&journal);
        let id = stock(&sandbox, "MERCHANT_UPLOAD", "1");
        let mut command = sandbox.command(&["codes", "upload", "--stock-id", &id, file.to_str().unwrap()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        loop {
            let started = Instant::now();
            let mut child = command.spawn().unwrap();
            // The first upload is left alone, to learn how long one takes. Of the others half the kills come anywhere,
            // and half while it starts.
            let wait = match whole {
                Some(whole) if killed < kills => chance.below(if killed % 2 == 0 { whole } else { whole / 4 }),
                _ => Duration::from_secs(600),
            };
            let end = started + wait;
            if ends_before(&mut child, end) {
                whole.get_or_insert_with(|| started.elapsed());
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
            *states.entry(state(&journal, &copy)).or_insert(0) += 1;
        }
        uploads += 1;
        let numbers = Journal::open(&journal).unwrap().header().numbers.clone();
        check(&sandbox, &id, codes, &numbers);
    }
    let seconds = begun.elapsed().as_secs();
    println!("{killed} kills in {uploads} uploads of {codes} codes, {seconds} s, one takes {whole:?}: {states:#?}");
    assert!(states.len() >= 2, "all kills hit the same state: {states:?}");
}
