//! Pairs of a small input and what the generator makes of it.
//!
//! A case is a JSON file of `tests/rules` or `tests/errors`; adding one is dropping a file in and reviewing its
//! snapshot. It is an operation file of which only the keys that matter need be there, and beside them may hold
//! `types` and `common` (definitions of the two files), `file` (the place of the operation), `notification` (the keys
//! that matter of `favor/notifications/coupon_use.json`), `show` (the generated files to look at, `README.md` for the
//! tables), and `raw` (the text of the operation file, where it is no good JSON).

use crate::codegen::generate;
use crate::source::{Files, Json, Ordered};

type Case = Ordered<Json>;

const OPERATION: &str = r#"{
    "id": "favor.start_stock",
    "title": "Start a stock",
    "title_zh": "激活批次",
    "audience": ["merchant"],
    "source": ["https://example.com/start"],
    "method": "POST",
    "path": "/v3/start",
    "body": "json",
    "request": { "type": "object", "properties": {} },
    "idempotency": { "kind": "none" }
}"#;

const NOTIFICATION: &str = r#"{
    "id": "favor.coupon_use",
    "title": "A coupon was used",
    "title_zh": "核销事件回调通知",
    "source": ["https://example.com/use"],
    "event_type": "COUPON.USE",
    "original_type": "coupon",
    "payload": { "type": "object", "properties": {} }
}"#;

fn cases(folder: &str) -> Vec<(String, Case)> {
    let folder = crate::manifest_dir().join("tests").join(folder);
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            cases.push((name, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))));
        }
    }
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!cases.is_empty());
    cases
}

fn take(case: &mut Case, key: &str) -> Option<Json> {
    let at = case.0.iter().position(|(name, _)| name == key)?;
    Some(case.0.remove(at).1)
}

fn text(json: &impl serde::Serialize) -> String {
    serde_json::to_string(json).unwrap()
}

/// The files that a case stands for.
fn files(mut case: Case) -> Files {
    let mut definitions = |key| take(&mut case, key).map_or_else(|| "{}".to_owned(), |definitions| text(&definitions));
    let types = definitions("types");
    let types = format!(r#"{{"title": "Cash coupons", "title_zh": "代金券", "definitions": {types}}}"#);
    let common = format!(r#"{{"definitions": {}}}"#, definitions("common"));
    let file = take(&mut case, "file");
    let notification = take(&mut case, "notification").map(|notification| match notification {
        Json::Object(keys) => complete(NOTIFICATION, keys),
        _ => panic!("`notification` is no object"),
    });
    let operation = match take(&mut case, "raw") {
        Some(raw) => raw.as_str().unwrap().to_owned(),
        None => complete(OPERATION, case),
    };
    let file = file.as_ref().and_then(Json::as_str).unwrap_or("favor/start_stock.json");
    let mut files = Files::from([
        ("common.json".to_owned(), common),
        ("favor/types.json".to_owned(), types),
        (file.to_owned(), operation),
    ]);
    files.extend(notification.map(|text| ("favor/notifications/coupon_use.json".to_owned(), text)));
    files
}

/// The file with these keys in place of its own.
fn complete(file: &str, mut keys: Case) -> String {
    let mut file: Case = serde_json::from_str(file).unwrap();
    file.0.retain(|(key, _)| !keys.contains(key));
    file.0.append(&mut keys.0);
    text(&file)
}

fn assert_snapshot(folder: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(format!("../tests/{folder}"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn rules() {
    for (name, mut case) in cases("rules") {
        let show = match take(&mut case, "show") {
            Some(Json::Array(files)) => files,
            _ => vec![Json::String("favor.rs".to_owned())],
        };
        let mut generated = match generate(&files(case)).unwrap() {
            Ok(generated) => generated,
            Err(problems) => panic!("{name}: {problems:#?}"),
        };
        generated.files.extend(generated.operations.into_iter().map(|(name, tables)| (name.to_owned(), tables)));
        let shown = show.iter().map(|file| {
            let file = file.as_str().unwrap();
            let text = generated.files.get(file).unwrap_or_else(|| panic!("{name}: there is no {file}"));
            format!("=== {file}\n{text}")
        });
        assert_snapshot("rules", &name, &shown.collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn errors() {
    for (name, case) in cases("errors") {
        let problems = generate(&files(case)).unwrap().err().unwrap_or_else(|| panic!("{name} is accepted"));
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_snapshot("errors", &name, &problems.join("\n"));
    }
}
