//! What may not stand in a file that is, or is about to be, tracked.

use anyhow::{Context as _, bail};
use std::path::Path;
use std::process::Command;

/// The texts are cut in two, so that this file is not among the findings.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/tmp/bash", "_jobs"), "a path of one machine"),
    (concat!("TO", "DO"), "something left undone"),
    (concat!("FIX", "ME"), "something left undone"),
    (concat!("todo", "!("), "something left undone"),
    (concat!("unimpl", "emented!("), "something left undone"),
    (concat!("#[ign", "ore"), "a test that does not run"),
];

/// Bytes as they came over the wire, and inputs of the fuzzer; whatever white space they have belongs there.
const VERBATIM: &[&str] = &["tests/fixtures/", "fuzz/seeds/"];

/// No code of these crates knows an operation.
const GENERAL: &[&str] =
    &["crates/wechatpay-protocol/src/", "crates/wechatpay-reqwest/src/", "crates/wechatpay-hyper/src/"];
const OPERATION_PATH: &str = "/v3/marketing/";

/// Code outside of tests does not switch off the lints that keep it from panicking.
const PRODUCT: &str = "crates/";
const NO_PANIC: &[&str] =
    &["clippy::unwrap_used", "clippy::expect_used", "clippy::panic", "clippy::indexing_slicing", "unsafe_code"];

pub(super) fn check(root: &Path, findings: &mut Vec<String>) -> anyhow::Result<()> {
    for path in listed(root)? {
        // What is no UTF-8 is no text; what is listed but gone is about to be deleted.
        if let Ok(text) = std::fs::read_to_string(root.join(&path)) {
            check_text(&path, &text, findings);
        }
    }
    Ok(())
}

/// The files that are, or are about to be, tracked.
pub(crate) fn listed(root: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot start git; tidy asks it which files are tracked")?;
    if !output.status.success() {
        bail!("`git ls-files` failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

fn check_text(path: &str, text: &str, findings: &mut Vec<String>) {
    let verbatim = VERBATIM.iter().any(|folder| path.contains(folder));
    let product = path.starts_with(PRODUCT) && path.contains("/src/");
    let general = GENERAL.iter().any(|folder| path.starts_with(folder));
    for (i, line) in text.lines().enumerate() {
        let mut found = |what: &str| findings.push(format!("{path}:{}: {what}", i + 1));
        for (needle, meaning) in FORBIDDEN.iter().filter(|(needle, _)| line.contains(needle)) {
            found(&format!("`{needle}`: {meaning}"));
        }
        if !verbatim && line.ends_with([' ', '\t', '\r']) {
            found("white space at the end of the line");
        }
        if product && let Some(lint) = NO_PANIC.iter().find(|lint| line.contains(*lint)) {
            found(&format!("`{lint}`: it holds for all code but tests; make what can go wrong an error"));
        }
        if general && line.contains(OPERATION_PATH) {
            found(&format!(
                "`{OPERATION_PATH}`: an operation in a crate that must know none; it belongs into schemas/"
            ));
        }
    }
    if !verbatim && !text.is_empty() && !text.ends_with('\n') {
        findings.push(format!("{path}: no newline at the end of the file"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check_text(path, text, &mut findings);
        findings
    }

    #[test]
    fn every_forbidden_text_is_found_with_its_line() {
        for (needle, _) in FORBIDDEN {
            let found = findings("a.rs", &format!("fine\nx {needle} y\n"));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with("a.rs:2: "), "{found:?}");
        }
    }

    #[test]
    fn white_space_counts_except_in_fixtures() {
        assert_eq!(findings("a.md", "x \ny\r\nz").len(), 2);
        assert!(findings("tests/fixtures/body.txt", "x \ny").is_empty());
        assert!(findings("a.md", "").is_empty());
    }

    #[test]
    fn the_product_does_not_allow_itself_to_panic() {
        let line = format!("#[allow({})]\n", NO_PANIC[0]);
        assert_eq!(findings("crates/wechatpay-model/src/types.rs", &line).len(), 1);
        assert!(findings("crates/wechatpay-model/tests/types.rs", &line).is_empty());
    }

    #[test]
    fn general_crates_know_no_operation() {
        let line = format!("let path = \"{OPERATION_PATH}favor\";\n");
        assert_eq!(findings("crates/wechatpay-protocol/src/request.rs", &line).len(), 1);
        assert!(findings("crates/wechatpay-sandbox/src/favor.rs", &line).is_empty());
    }
}
