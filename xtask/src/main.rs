//! Chores of this repository: `cargo xtask --help` lists them.

mod catalog;
mod check;
mod ci;
mod codegen;
mod cost;
mod fuzz;
mod interop;
mod limits;
mod measure;
mod miri;
mod mutants;
mod names;
mod readme;
mod rust;
mod schema;
mod source;
mod supply;
#[cfg(test)]
mod tests;
mod tidy;

use codegen::Mode;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The descriptions of the operation and the notification files, which stand beside them and are generated.
const OPERATION_SCHEMA: &str = "operation.schema.json";
const NOTIFICATION_SCHEMA: &str = "notification.schema.json";

const HELP: &str = "\
Chores of this repository.

Usage: cargo xtask <CHORE>

Chores:
  codegen          make crates/wechatpay-model/src/generated and the tables of the READMEs from schemas/
  codegen --check  list every generated file that is stale, missing or no longer wanted
  tidy             check what the compiler does not: crate edges, features, house rules
  sandbox-bench    how fast the sandbox starts and answers, and whether its memory stays flat
  model-cost       how long the compiler takes for the model, against plain structs of the same fields
  kill-sweep       kill uploads at a thousand points and compare what arrived with what was sent
  upload-bench     what a bulk upload costs: codes a second, CPU, memory, against the floor of the same run
  bench            what a call costs, against the floor and other clients; renews benches/speed.md, chart and READMEs
  soak             half an hour of calls and faults: memory, descriptors, ledger
  fuzz [--seconds N] [TARGET…]
                   the fuzz targets, a minute each, from the committed seeds
  miri             the tests of what is Rust alone, interpreted: no undefined behaviour
  mutants [ARGUMENT…]
                   mistakes put into signing, verifying, retry and journal, which tests must find
  interop          clients that others have written, in other languages, against the sandbox
  supply           licences, features, the oldest compiler and versions, a bill of materials, the public API
  api              write the public API of the libraries to docs/api
  api --check      list every file there that is stale, missing or no longer wanted
  ci               everything that CI runs, in its order, up to the first failure

A chore that finds something lists all of it and exits with 1.
To add an operation, write schemas/<family>/<verb_noun>.json (see schemas/README.md) and run codegen.
";

fn main() -> ExitCode {
    if let Some(rustdoc) = std::env::var_os(supply::RUSTDOC) {
        return ended(supply::rustdoc(&rustdoc));
    }
    let manifest = manifest_dir();
    // The crate stands one folder below the root.
    let root = manifest.parent().unwrap_or(Path::new("."));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        ["codegen"] => codegen::run(root, Mode::Write),
        ["codegen", "--check"] => codegen::run(root, Mode::Check),
        ["tidy"] => tidy::run(root),
        ["model-cost"] => cost::run(root),
        [program @ ("sandbox-bench" | "upload-bench" | "soak")] => measure::run(root, program),
        ["kill-sweep"] => measure::kill_sweep(root),
        ["bench"] => measure::calls(root),
        ["fuzz", arguments @ ..] => fuzz::run(root, arguments),
        ["miri"] => miri::run(root),
        ["mutants", arguments @ ..] => mutants::run(root, arguments),
        ["interop"] => interop::run(root),
        ["supply"] => supply::run(root),
        ["api"] => supply::api(root, Mode::Write),
        ["api", "--check"] => supply::api(root, Mode::Check),
        ["ci"] => ci::run(root),
        other => {
            eprint!("{HELP}");
            Err(anyhow::anyhow!("no such chore: {}", other.join(" ")))
        }
    };
    ended(result)
}

fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of this crate. Cargo says it at run time; what was said at build time may be another copy of the
/// repository that shares the target folder.
fn manifest_dir() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}
