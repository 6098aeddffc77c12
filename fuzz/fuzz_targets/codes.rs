//! A file of codes: the first line is `text` or `csv NAME`, the rest the file. What plain text is taken for is compared
//! with a reading of a few lines.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, json};
use std::cell::OnceCell;
use std::collections::BTreeSet;
use tempfile::TempDir;
use wechatpay_fuzz::first_line;
use wechatpay_uploader::{Endpoint, Format, Input, InputError, Job, Source, UploadError};

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|input: &[u8]| {
    let Some((format, bytes)) = first_line(input) else { return };
    let format = match format.split_once(' ') {
        Some(("csv", column)) => Format::Csv { column: column.to_owned() },
        _ => Format::Text,
    };
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| TempDir::new().expect("a folder")).path();
        let path = folder.join("codes");
        std::fs::write(&path, bytes).expect("written");
        let text = format == Format::Text;
        let source = Source { path, name: "f".to_owned() };
        let job = Job {
            endpoint: Endpoint::BUSIFAVOR,
            target: Map::from_iter([("stock_id".to_owned(), json!("98065001"))]),
            base_url: "https://api.mch.weixin.qq.com".to_owned(),
            mchid: "1900000109".to_owned(),
        };
        let planned = job.plan(&Input { sources: vec![source], format }, folder);
        let naive = plain(bytes).filter(|_| text);
        match planned {
            Ok(planned) => {
                assert!(planned.codes > 0 && planned.batches == planned.codes.div_ceil(200));
                if let Some(naive) = naive {
                    assert_eq!(naive.faulty, 0);
                    assert_eq!((planned.codes, planned.duplicates), (naive.distinct, naive.repeated));
                    assert_eq!(planned.empty_lines, naive.empty);
                }
            }
            Err(UploadError::Input(error)) => {
                assert!(
                    error.to_string().starts_with(['f', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']),
                    "{error}"
                );
                if let Some(naive) = naive {
                    match error {
                        InputError::Invalid { count, .. } => assert_eq!(count, naive.faulty),
                        InputError::Empty { .. } => assert_eq!((naive.faulty, naive.distinct), (0, 0)),
                        other => panic!("{other} of plain text"),
                    }
                }
            }
            Err(other) => panic!("{other}"),
        }
    });
});

struct Naive {
    distinct: u64,
    repeated: u64,
    empty: u64,
    faulty: u64,
}

/// What stands in a file, if it is printable ASCII and line ends.
fn plain(bytes: &[u8]) -> Option<Naive> {
    let text = std::str::from_utf8(bytes).ok()?;
    if !text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')) {
        return None;
    }
    let (mut codes, mut naive) = (BTreeSet::new(), Naive { distinct: 0, repeated: 0, empty: 0, faulty: 0 });
    for line in text.lines() {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b" -_\\/=|".contains(&byte);
        if line.is_empty() {
            naive.empty += 1;
        } else if line.len() > 32 || !line.bytes().all(allowed) {
            naive.faulty += 1;
        } else if codes.insert(line) {
            naive.distinct += 1;
        } else {
            naive.repeated += 1;
        }
    }
    Some(naive)
}
