//! Allocations of a whole call in the client's thread, beside those of the operation's own value.

use std::process::ExitCode;
use wechatpay_benches::call::{OverHyper, ours, runtime, serve};
use wechatpay_benches::steps::{gift, send_coupon};
use wechatpay_hyper::Hyper;

const CALLS: u64 = 1_000;
/// Most that a call of ours over hyper may need.
const MOST: f64 = 60.0;

/// Allocations of one time, on average, when it has been done before.
fn each(mut work: impl FnMut()) -> f64 {
    (0..10).for_each(|_| work());
    let counted = allocation_counter::measure(|| (0..CALLS).for_each(|_| work()));
    counted.count_total as f64 / CALLS as f64
}

fn main() -> ExitCode {
    let (address, runtime) = (serve(), runtime());
    let (floor, gift) = (OverHyper::new(address), gift());
    let (client, operation) = (ours(address, Hyper::new()), send_coupon());
    let floor = each(|| drop(runtime.block_on(floor.call(&gift))));
    let call = each(|| drop(runtime.block_on(client.send(&operation)).expect("an answer")));
    println!("allocations of a call over hyper   {call:6.1}   promised {MOST}, the floor needs {floor:.1}");
    if call <= MOST { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
