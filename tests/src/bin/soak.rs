//! Half an hour of calls of which some go wrong: `cargo xtask soak`.
//!
//! The real sandbox in a process of its own, a client with its retry in this one. The work is done in rounds, each against
//! a sandbox that was reset: a stock is created, coupons are sent and asked for, one request in a hundred meets a fault. At
//! the end of a round the ledger is compared with what the client was told, and memory and descriptors of both are noted.
//!
//! `WECHATPAY_SOAK_SECONDS` makes it another time. Ends with 1 if a promise is not kept.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use wechatpay_hyper::Hyper;
use wechatpay_model::favor::{GetStock, GetUserCoupon, SendCoupon, StartStock};
use wechatpay_protocol::{Client, Error, RetryPolicy};
use wechatpay_tests::watched::{SandboxProcess, descriptors, memory};

/// Pairs of calls in a round: a coupon is sent, and then it or its stock is asked for.
const PAIRS: u64 = 7_500;
/// Pairs a second; a goal of 500 calls is 250 of them.
const PACE: f64 = 275.0;
const AT_ONCE: usize = 8;
/// Rounds until logs and pools are as full as they get.
const WARM: usize = 3;
const APPID: &str = "wxd678efh567hg6787";

/// What goes wrong, each once in a thousand requests.
const FAULTS: [&str; 10] = [
    "refuse",
    "reset-before",
    "lose-reply",
    "reset-after",
    "reset-mid",
    "truncate",
    "forge",
    "unsigned",
    "status-500",
    "html-502",
];

/// What the client was told.
#[derive(Default)]
struct Told {
    /// Coupons by the number of their gift.
    coupons: BTreeMap<String, String>,
    /// Gifts of which nobody knows: the error said so.
    unknown: Vec<String>,
    calls: u64,
}

/// One round against a fresh sandbox.
async fn round(sandbox: &SandboxProcess, client: &Client<Hyper>, number: u64) -> Told {
    sandbox.control("DELETE", "faults", None).await;
    sandbox.control("POST", "reset", None).await;
    let mchid = sandbox.text("mchid").to_owned();
    let stock = sandbox.stock(PAIRS as i64 + 1, &format!("round-{number}")).await;
    let start = StartStock::builder().stock_id(stock.as_str()).stock_creator_mchid(mchid.as_str()).build();
    // It begins a second after it was created.
    tokio::time::sleep(Duration::from_secs(2)).await;
    client.send(&start).await.expect("a running stock");
    for (nth, fault) in FAULTS.iter().enumerate() {
        let rule = json!({"fault": fault, "probability": 0.001, "seed": number * 100 + nth as u64});
        sandbox.control("POST", "faults", Some(&rule)).await;
    }
    let next = Arc::new(AtomicU64::new(0));
    let begin = tokio::time::Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (client, stock, mchid, next) = (client.clone(), stock.clone(), mchid.clone(), Arc::clone(&next));
        workers.spawn(async move {
            let mut told = Told::default();
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                if nth >= PAIRS {
                    return told;
                }
                tokio::time::sleep_until(begin + Duration::from_secs_f64(nth as f64 / PACE)).await;
                pair(&client, &stock, &mchid, nth, &mut told).await;
            }
        });
    }
    let mut all = Told::default();
    while let Some(told) = workers.join_next().await {
        let told = told.expect("no worker fails");
        all.coupons.extend(told.coupons);
        all.unknown.extend(told.unknown);
        all.calls += told.calls;
    }
    all
}

/// Sends a coupon and asks for it or its stock.
async fn pair(client: &Client<Hyper>, stock: &str, mchid: &str, nth: u64, told: &mut Told) {
    let (openid, gift) = (format!("user-{}", nth % 500), format!("gift-{nth}"));
    let send = SendCoupon::builder().openid(openid.as_str()).stock_id(stock).out_request_no(gift.as_str());
    let send = send.appid(APPID).stock_creator_mchid(mchid).build();
    told.calls += 2;
    let coupon = match client.send(&send).await {
        Ok(reply) => reply.value.coupon_id.as_str().to_owned(),
        Err(error) => {
            unbroken(&error);
            told.unknown.push(gift);
            return;
        }
    };
    let asked = if nth.is_multiple_of(2) {
        let get = GetUserCoupon::builder().openid(openid.as_str()).coupon_id(coupon.as_str()).appid(APPID).build();
        client.send(&get).await.map(drop)
    } else {
        let get = GetStock::builder().stock_id(stock).stock_creator_mchid(mchid).build();
        client.send(&get).await.map(drop)
    };
    if let Err(error) = asked {
        unbroken(&error);
    }
    told.coupons.insert(gift, coupon);
}

/// An error that a fault may end in once all attempts are used up; anything else is a defect.
fn unbroken(error: &Error) {
    let known = match error {
        Error::Transport(_) | Error::Unverified(_) => true,
        Error::Api(refusal) => refusal.status >= 500,
        Error::OutcomeUnknown(_) => true,
        _ => false,
    };
    assert!(known, "{error}");
}

/// Whether the ledger holds what the client was told, each gift once, and beyond that only what it was not told.
fn compare(ledger: &Value, told: &Told) -> Result<(), String> {
    let mut effects = BTreeMap::new();
    for entry in ledger["request_numbers"].as_array().expect("a list") {
        if entry["operation"] == "favor.send_coupon" {
            let number = entry["number"].as_str().expect("a number").to_owned();
            if entry["effects"] != 1 || effects.insert(number, ()).is_some() {
                return Err(format!("a gift was given more than once: {entry}"));
            }
        }
    }
    let mut coupons: BTreeMap<&str, &Value> = BTreeMap::new();
    for entry in ledger["coupons"].as_array().expect("a list") {
        if entry["count"] != 1 {
            return Err(format!("a coupon was given more than once: {entry}"));
        }
        coupons.insert(entry["coupon_id"].as_str().expect("an id"), entry);
    }
    for (gift, coupon) in &told.coupons {
        if effects.remove(gift).is_none() || coupons.remove(coupon.as_str()).is_none() {
            return Err(format!("{gift} brought {coupon}, and the ledger does not know it"));
        }
    }
    let strange: Vec<_> = effects.keys().filter(|gift| !told.unknown.contains(gift)).collect();
    match (strange.is_empty(), effects.len() == coupons.len()) {
        (true, true) => Ok(()),
        _ => Err(format!("gifts that nobody sent: {strange:?}, {} coupons too many", coupons.len())),
    }
}

/// Half the difference that the second half of the rounds makes to the first, in percent.
fn drift(values: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let (first, second) = values.split_at(values.len() / 2);
    (mean(second) / mean(first) - 1.0) * 100.0
}

fn main() -> ExitCode {
    let seconds = std::env::var("WECHATPAY_SOAK_SECONDS").map_or(1_800, |text| text.parse().expect("seconds"));
    let scratch = std::env::temp_dir().join(format!("wechatpay-soak-{}", std::process::id()));
    let sandbox = SandboxProcess::start(&scratch);
    let mut policy = RetryPolicy::default();
    policy.attempts = 6;
    policy.pause = Duration::from_millis(20);
    let client = sandbox.client().with_retry(policy, wechatpay_hyper::timer);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");

    let begin = Instant::now();
    let (mut memories, mut files) = ([Vec::new(), Vec::new()], Vec::new());
    let (mut calls, mut unknown, mut rounds, mut working, mut faulty) = (0, 0, 0, Duration::ZERO, 0);
    while begin.elapsed() < Duration::from_secs(seconds) || memories[0].len() < 2 {
        let started = Instant::now();
        let told = runtime.block_on(round(&sandbox, &client, rounds));
        working += started.elapsed();
        let ledger = runtime.block_on(sandbox.control("GET", "ledger", None));
        if let Err(why) = compare(&ledger, &told) {
            println!("round {rounds}: {why}");
            return ExitCode::FAILURE;
        }
        let rules = runtime.block_on(sandbox.control("GET", "faults", None));
        let applied = |rule: &Value| rule["applied"].as_u64().unwrap_or(0);
        faulty += rules["faults"].as_array().expect("a list").iter().map(applied).sum::<u64>();
        calls += told.calls;
        unknown += told.unknown.len();
        rounds += 1;
        if rounds as usize > WARM {
            memories[0].push(memory("self", "VmRSS"));
            memories[1].push(memory(sandbox.id(), "VmRSS"));
            files.push((descriptors("self"), descriptors(sandbox.id())));
        }
        eprintln!(
            "round {rounds}: {calls} calls, {faulty} faults, {unknown} unknown, {:.0} and {:.0} KiB, {:?} descriptors",
            memory("self", "VmRSS"),
            memory(sandbox.id(), "VmRSS"),
            files.last().unwrap_or(&(0, 0))
        );
    }
    let _ = std::fs::remove_dir_all(&scratch);
    let pace = calls as f64 / working.as_secs_f64();
    let [client, sandbox] = memories.each_ref().map(|values| drift(values));
    let most = |of: fn(&(usize, usize)) -> usize| files.iter().map(of).max().unwrap_or(0);
    let first = files.first().copied().unwrap_or_default();
    // Connections of the pool come and go; a leak does not go.
    let leak = most(|both| both.0).saturating_sub(first.0).max(most(|both| both.1).saturating_sub(first.1));
    println!("{calls} calls in {:.0} s, {pace:.0} calls/s (goal 500), {rounds} rounds", begin.elapsed().as_secs_f64());
    println!("faults met: {faulty}, {:.2} % of the calls (goal 1)", faulty as f64 / calls as f64 * 100.0);
    println!("ledger exact in every round; {unknown} gifts ended in an error that says that their outcome is unknown");
    println!(
        "resident memory, later rounds against earlier ones: client {client:+.1} %, sandbox {sandbox:+.1} % (goal 5)"
    );
    println!("descriptors: {first:?} in the first round counted, at most {leak} more later");
    let keeps = pace >= 500.0 && client < 5.0 && sandbox < 5.0 && leak <= 2 * AT_ONCE;
    if keeps { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
