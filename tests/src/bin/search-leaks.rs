//! Searches what the tests have logged for what they said is secret; `cargo xtask ci` runs it after them.

use std::process::ExitCode;
use wechatpay_tests::leaks::{folder, search};

fn main() -> ExitCode {
    let found = match folder().and_then(|folder| search(&folder)) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("error: the logs of the tests cannot be searched: {error}; run `cargo test --workspace` before");
            return ExitCode::FAILURE;
        }
    };
    println!("{} logs of {} bytes searched for {} secrets", found.logs, found.bytes, found.secrets);
    found.leaks.iter().for_each(|leak| eprintln!("a secret stands in {leak}"));
    // Less than that is no run of all tests.
    let searched = found.logs >= 5 && found.bytes > 100_000 && found.secrets >= 100;
    if !searched {
        eprintln!("error: that is too little; run `cargo test --workspace` before");
    }
    if searched && found.leaks.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
