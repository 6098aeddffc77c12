//! Files of codes, as text and as CSV.

use crate::{counted, fixture, naughty};
use serde_json::{Map, Value, json};
use std::path::Path;
use wechatpay_uploader::{Endpoint, Fault, Format, Input, InputError, Job, Planned, Source, UploadError};

fn plan(folder: &Path, bytes: &[u8], format: Format) -> Result<Planned, UploadError> {
    let path = folder.join("codes");
    std::fs::write(&path, bytes).unwrap();
    let job = Job {
        endpoint: Endpoint::BUSIFAVOR,
        target: Map::from_iter([("stock_id".to_owned(), json!("98065001"))]),
        base_url: "https://api.mch.weixin.qq.com".to_owned(),
        mchid: "1900000109".to_owned(),
    };
    job.plan(&Input { sources: vec![Source { path, name: "f".to_owned() }], format }, folder)
}

/// A code that may be uploaded: what the document of the operation says.
fn is_code(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " -_\\/=|".contains(c);
    (1..=32).contains(&text.chars().count()) && text.chars().all(allowed)
}

/// The outcome for one line, behind one that is right.
fn judged(text: &str, outcome: Result<Planned, UploadError>) {
    match outcome {
        Ok(planned) => {
            assert!(is_code(text), "{text:?} is taken");
            assert_eq!(planned.codes, 1 + u64::from(text != "RIGHT"));
        }
        Err(UploadError::Input(InputError::Invalid { lines, count })) => {
            assert!(!is_code(text), "{text:?} is refused");
            assert_eq!((count, lines[0].0.as_str()), (1, "f:3"), "{text:?}");
            let shown = lines[0].1.to_string();
            assert!(text.chars().count() < 8 || !shown.contains(text), "{shown} repeats the code");
        }
        // Zero bytes are no text at all.
        Err(UploadError::Input(InputError::Unreadable { problem, .. })) => {
            assert!(text.contains(|c: char| c.is_control()), "{text:?}: {problem}");
        }
        Err(other) => panic!("{text:?}: {other}"),
    }
}

#[test]
fn every_line_is_a_code_or_named_with_its_fault() {
    let folder = tempfile::tempdir().unwrap();
    let mut cases = 0;
    for text in naughty() {
        if !text.contains('\n') && !text.is_empty() && text != "\u{feff}" && !text.ends_with('\r') {
            judged(&text, plan(folder.path(), format!("\nRIGHT\n{text}\n").as_bytes(), Format::Text));
            cases += 1;
        }
        // The field of a row, quoted as RFC 4180 says.
        let quoted = text.replace('"', "\"\"");
        let rows = format!("code,note\nRIGHT,x\n\"{quoted}\",y\n");
        judged(&text, plan(folder.path(), rows.as_bytes(), Format::Csv { column: "code".to_owned() }));
        cases += 1;
    }
    let files: Value = serde_json::from_str(&fixture("codes.json")).unwrap();
    for case in files.as_array().unwrap() {
        let bytes = match &case["hex"] {
            Value::String(hex) => {
                (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
            }
            _ => case["text"].as_str().unwrap().as_bytes().to_vec(),
        };
        let format = match case["column"].as_str() {
            Some(column) => Format::Csv { column: column.to_owned() },
            None => Format::Text,
        };
        let said = plan(folder.path(), &bytes, format).map(|planned| panic!("{case}: {planned:?}")).unwrap_err();
        let wanted = case["says"].as_str().unwrap();
        assert!(said.to_string().contains(wanted), "{case}: {said}");
        cases += 1;
    }
    counted("files of codes", cases);
}

#[test]
fn a_line_that_is_too_long_says_how_long() {
    let folder = tempfile::tempdir().unwrap();
    for length in [33, 1023, 1024, 1025, 65_535, 65_536, 65_537, 1 << 20] {
        let line = "x".repeat(length);
        match plan(folder.path(), format!("{line}\r\nRIGHT").as_bytes(), Format::Text) {
            Err(UploadError::Input(InputError::Invalid { lines, .. })) => {
                assert_eq!(lines[0].1, Fault::TooLong { length: length as u64, most: 32 });
            }
            other => panic!("{length}: {other:?}"),
        }
    }
}
