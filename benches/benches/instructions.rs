//! Instructions of our own code under callgrind, with RSA taken out: `cargo bench --bench instructions` in this folder.
//!
//! Needs valgrind, and `cargo install gungraun-runner` of the version in `Cargo.lock`.

use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use std::hint::black_box;
use wechatpay_benches::call::Bare;
use wechatpay_benches::steps;

fn one() -> Bare {
    let mut bare = Bare::new();
    // The first call fills what is filled once.
    bare.call();
    bare
}

/// Fails above so many instructions, which is a tenth more than were measured.
fn most(instructions: u64) -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, instructions)]));
    config
}

#[library_benchmark(config = most(57_200))]
#[bench::send_coupon(setup = one)]
fn call_without_rsa_and_http(mut bare: Bare) {
    bare.call();
    black_box(bare);
}

#[library_benchmark(config = most(15_700))]
#[bench::send_coupon(setup = steps::send_coupon)]
fn check(operation: wechatpay_model::favor::SendCoupon) {
    black_box(steps::prepared(black_box(&operation)));
}

#[library_benchmark(config = most(284_500))]
#[bench::two_hundred(setup = steps::upload_codes)]
fn check_upload(operation: wechatpay_model::busifavor::UploadCouponCodes) {
    black_box(steps::prepared(black_box(&operation)));
}

library_benchmark_group!(name = own; benchmarks = call_without_rsa_and_http, check, check_upload);
main!(library_benchmark_groups = own);
