//! The command against a sandbox over real HTTP, and against servers that misbehave.

use crate::common::{Sandbox, command, exit_code, head, pass_on, run, run_with, server, start_sandbox};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A cash coupon stock that may be created now; the sandbox's `now` is this machine's.
fn stock(mchid: &str, number: &str) -> Value {
    let day = |days: u64| {
        let now = std::time::SystemTime::now() + Duration::from_secs(days * 86_400);
        let seconds = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
        let time = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        time.format(&time::format_description::well_known::Rfc3339).unwrap()
    };
    json!({
        "stock_name": "满100减10", "belong_merchant": mchid, "no_cash": true, "stock_type": "NORMAL",
        "out_request_no": number, "available_begin_time": day(1), "available_end_time": day(30),
        "stock_use_rule": {
            "max_coupons": 100, "max_amount": 100_000, "max_coupons_per_user": 1,
            "natural_person_limit": false, "prevent_api_abuse": false
        },
        "coupon_use_rule": {
            "fixed_normal_coupon": { "coupon_amount": 1000, "transaction_minimum": 10_000 },
            "available_merchants": [mchid]
        }
    })
}

/// A product coupon of a brand, for these stores.
fn product(store_scope: &str) -> Value {
    let period =
        json!({"available_begin_time": "2026-01-01T00:00:00+08:00", "available_end_time": "2026-12-31T23:59:59+08:00"});
    json!({
        "out_request_no": "brand-product-1", "scope": "ALL", "type": "NORMAL", "usage_mode": "SINGLE",
        "single_usage_info": {"normal_coupon": {"threshold": 10000, "discount_amount": 1500}},
        "display_info": {"name": "全场满100减15", "image_url": "https://a/1", "background_url": "https://a/2"},
        "stock": {
            "coupon_code_mode": "WECHATPAY", "stock_send_rule": {"max_count": 1000, "max_count_per_user": 100},
            "single_usage_rule": {"coupon_available_period": period},
            "usage_rule_display_info": {"coupon_usage_method_list": ["OFFLINE"], "usage_description": "全场可用"},
            "coupon_display_info": {"code_display_mode": "QRCODE"},
            "notify_config": {"notify_appid": "wx1234567889999"}, "store_scope": store_scope
        }
    })
}

/// A text with every number put to 0: ids, times and how long something took differ from run to run.
fn without_numbers(text: &str) -> String {
    let mut shape = String::new();
    for piece in text.split_inclusive(|character: char| !character.is_ascii_digit()) {
        let rest = piece.trim_start_matches(|character: char| character.is_ascii_digit());
        shape += if rest.len() < piece.len() { "0" } else { "" };
        shape += rest;
    }
    shape.replace("0.0 ms", "0 ms")
}

#[test]
fn the_demo_goes_as_it_should_over_both_backends() {
    for backend in ["reqwest", "hyper"] {
        let people = run(&["demo", "--backend", backend]);
        assert_eq!(people.code, 0, "{people:?}");
        assert!(people.stdout.contains("verified with PUB_KEY_ID_"), "{}", people.stdout);
        let transcript = std::fs::read_to_string("../../docs/demo.txt").unwrap().replace("reqwest", backend);
        let (told, shown) = (without_numbers(&people.stdout), without_numbers(&transcript));
        // What is done without a runtime is done by reqwest, whatever the backend.
        let told = told.replace("blocking reqwest", &format!("blocking {backend}"));
        assert_eq!(told, shown, "renew it: cargo run --release -p wechatpay-cli -- demo > docs/demo.txt");

        let lines = run(&["demo", "--json", "--backend", backend]).json();
        assert!(lines.len() > 8);
        for line in &lines {
            assert!(line["operation"].is_string() && line["as_expected"] == true, "{line}");
            assert!(line.get("status").is_some() && line["verified"].is_boolean(), "{line}");
            assert!(line.get("response").is_some() != line.get("error").is_some(), "{line}");
        }
        let has = |check: &dyn Fn(&Value) -> bool| assert!(lines.iter().any(check), "{lines:#?}");
        has(&|line| line["operation"] == "favor.create_coupon_stock" && line["verified"] == true);
        has(&|line| line["operation"] == "busifavor.upload_coupon_codes" && line["verified"] == true);
        has(&|line| line["error"]["remedy"].is_string() && line["status"] == 404);
        has(&|line| line["by"] == "path" && line["client"] == "async" && line["verified"] == true);
        has(&|line| line["by"] == "path" && line["client"] == "blocking" && line["verified"] == true);
        has(&|line| {
            line["error"]["violations"].as_array().is_some_and(|all| all.len() == 19) && line["status"].is_null()
        });
    }
}

#[test]
fn a_stock_is_created_started_and_read_by_operation_and_by_path() {
    let sandbox = Sandbox::start();
    let file = sandbox.file("stock.json", stock(sandbox.mchid(), "1").to_string());
    let file = file.to_str().unwrap();

    let created = sandbox.run(&["call", "favor.create_coupon_stock", file]);
    assert_eq!(created.code, 0, "{created:?}");
    let answer: Value = serde_json::from_str(&created.stdout).unwrap();
    let id = answer["stock_id"].as_str().unwrap();
    assert!(
        created.stderr.contains("verified with PUB_KEY_ID_") && created.stderr.contains("Request-ID"),
        "{created:?}"
    );

    // The same number and parameters are one stock, whichever way they come.
    let text = std::fs::read(file).unwrap();
    let path = "/v3/marketing/favor/coupon-stocks";
    let again = sandbox.run_with(&mut sandbox.command(&["--json", "raw", "post", path, "-"]), &text);
    assert_eq!(again.json().first(), Some(&answer), "{again:?}");

    let (stock_id, mchid) = (format!("stock_id={id}"), format!("stock_creator_mchid={}", sandbox.mchid()));
    let started = sandbox.run(&["call", "favor.start_stock", "--backend", "hyper", "--json", &stock_id, &mchid]);
    assert_eq!(started.json()[0]["stock_id"], id, "{started:?}");
    let read = sandbox.run(&["call", "favor.get_stock", "--json", &stock_id, &mchid]);
    assert_eq!(read.json()[0]["status"], "running", "{read:?}");
    let by_path = sandbox.run(&["raw", "--json", "GET", &format!("/v3/marketing/favor/stocks/{id}?{mchid}")]);
    assert_eq!(by_path.json(), read.json());
}

#[test]
fn the_account_may_come_from_a_file() {
    let sandbox = Sandbox::start();
    let lines = sandbox.env.iter().map(|(name, value)| {
        let plain = name.strip_prefix("WECHATPAY_").unwrap().to_lowercase();
        format!("{plain} = {}\n", json!(value))
    });
    let file = sandbox.file("account.toml", lines.collect::<String>());
    let run = run(&["call", "certificates.list", "--json", "--config", file.to_str().unwrap()]);
    assert!(run.json()[0]["data"][0]["serial_no"].is_string(), "{run:?}");
}

#[test]
fn a_brand_calls_in_its_own_name() {
    let sandbox = Sandbox::with(&["--brand", "120344"]);
    let call = |arguments: &[&str], stdin: &str| {
        let mut command = sandbox.command_of_brand("120344", &[&["--json", "call"], arguments].concat());
        sandbox.run_with(&mut command, stdin.as_bytes())
    };
    let address = ["product_coupon.set_notify_config", "notify_url=https://www.example.com/notify"];
    assert_eq!(call(&address, "").code, 0);
    let made = call(&["product_coupon.create_product_coupon", "-"], &product("NONE").to_string());
    assert_eq!(made.code, 0, "{made:?}");
    let id = made.json()[0]["product_coupon_id"].as_str().unwrap().to_owned();
    let get = ["product_coupon.get_product_coupon", &format!("product_coupon_id={id}")].map(str::to_owned);
    let get: Vec<_> = get.iter().map(String::as_str).collect();
    assert_eq!(call(&get, "").json()[0]["state"], made.json()[0]["state"]);
    let log = sandbox.control("GET", "requests?limit=1", &Value::Null)["requests"][0].take();
    let target = format!("/brand/marketing/product-coupon/product-coupons/{id}");
    assert_eq!((&log["target"], &log["mchid"]), (&json!(target), &json!("120344")), "{log}");

    // A shell that has read both: the brand's lines have put out the merchant's. What is said nearer wins.
    let mut both = sandbox
        .command_of_brand("120344", &["--json", "call", "--mchid", "1900000001", get[0], get[1], "brand_id=120344"]);
    assert_eq!(sandbox.run_with(&mut both, b"").error()["code"], "SIGN_ERROR", "the merchant, with the brand's key");
    // A merchant reaches none of it.
    let merchant = sandbox.run(&["--json", "call", get[0], get[1], "brand_id=120344"]);
    assert_eq!(merchant.error()["code"], "RESOURCE_NOT_EXISTS", "{merchant:?}");
}

#[test]
fn a_brand_has_no_certificates_to_download() {
    let sandbox = Sandbox::with(&["--brand", "120344"]);
    let capture = "Wechatpay-Timestamp: 1\nWechatpay-Nonce: n\nWechatpay-Serial: 5A\nWechatpay-Signature: c2ln\n\n{}";
    let get = ["call", "product_coupon.get_product_coupon", "product_coupon_id=1000000013"];
    // With the public key set, there is still no certificate for a brand.
    for (line, trusting) in [
        (&get[..], false),
        (&["notify", "decrypt", "-"], false),
        (&["certs", "download"], false),
        (&["certs", "download"], true),
    ] {
        let mut command = sandbox.command_of_brand("120344", &[&["--json"], line].concat());
        for name in ["PUBLIC_KEY_ID", "PUBLIC_KEY", "PLATFORM_CERT"].iter().filter(|_| !trusting) {
            command.env_remove(format!("WECHATPAY_{name}"));
        }
        let run = sandbox.run_with(&mut command, capture.as_bytes());
        let error = run.error();
        assert_eq!((run.code, &error["kind"]), (2, &json!("config")), "{line:?}: {error}");
        let problems = error["problems"].as_array().unwrap();
        assert_eq!(problems.len(), 1, "{error}");
        assert!(problems[0].as_str().unwrap().contains("brands have no platform certificates: set"), "{error}");
    }
    assert_eq!(sandbox.control("GET", "requests", &Value::Null)["requests"], json!([]), "nothing was sent");
}

#[test]
fn a_key_with_other_line_ends_and_a_mark_in_front_is_read() {
    let sandbox = Sandbox::start();
    let key = std::fs::read_to_string(&sandbox.env["WECHATPAY_PRIVATE_KEY"]).unwrap();
    let key = sandbox.file("key.pem", format!("\u{FEFF}{}", key.replace('\n', "\r\n")));
    let run = sandbox.run(&["call", "certificates.list", "--private-key", key.to_str().unwrap()]);
    assert_eq!(run.code, 0, "{run:?}");
}

#[test]
fn what_is_invalid_is_not_sent() {
    let sandbox = Sandbox::start();
    let (sender, receiver) = std::sync::mpsc::channel();
    let base = server(move |_| sender.send(()).unwrap());
    let codes = |codes: Value| json!({ "stock_id": "98065001", "upload_request_no": "1", "coupon_code_list": codes });
    let many: Vec<_> = (0..201).map(|code| code.to_string()).collect();
    let rows = [
        (codes(json!(many)), "/coupon_code_list", "count"),
        (codes(json!([])), "/coupon_code_list", "count"),
        (codes(json!(["A".repeat(33)])), "/coupon_code_list/0", "length"),
        (codes(json!(["A\tB"])), "/coupon_code_list/0", "charset"),
        (codes(json!(["😀"])), "/coupon_code_list/0", "character"),
        (codes(json!([null])), "/coupon_code_list/0", "null"),
        (codes(json!([1.0])), "/coupon_code_list/0", "type"),
        (json!({ "stock_id": "..", "upload_request_no": "1", "coupon_code_list": ["A"] }), "/stock_id", "charset"),
    ];
    for (request, pointer, rule) in rows {
        let mut command =
            sandbox.command(&["call", "busifavor.upload_coupon_codes", "-", "--json", "--base-url", &base]);
        let run = sandbox.run_with(&mut command, request.to_string().as_bytes());
        let violation = run.error()["violations"][0].clone();
        assert_eq!(
            (run.code, &violation["pointer"], &violation["rule"]),
            (2, &json!(pointer), &json!(rule)),
            "{run:?}"
        );
    }
    let emoji = sandbox
        .run_with(&mut sandbox.command(&["raw", "POST", "/v3/x", "-", "--base-url", &base]), "\"😀\"".as_bytes());
    assert_eq!(emoji.code, 2, "{emoji:?}");
    let path = sandbox.run(&["raw", "GET", "/v3/../x", "--base-url", &base]);
    assert_eq!(path.code, 2, "{path:?}");
    assert!(receiver.try_recv().is_err(), "something was sent");
}

#[test]
fn a_refusal_says_what_to_do() {
    let sandbox = Sandbox::start();
    let mchid = format!("stock_creator_mchid={}", sandbox.mchid());
    let arguments = ["call", "favor.start_stock", "stock_id=404", &mchid];

    let people = sandbox.run(&arguments);
    assert_eq!(people.code, 1, "{people:?}");
    assert!(people.stdout.is_empty() && people.stderr.contains("Check the stock id."), "{people:?}");
    assert!(people.stderr.contains("404 RESOURCE_NOT_EXISTS") && people.stderr.contains("Request-ID"), "{people:?}");

    let refused = sandbox.run(&[&["--json"], &arguments[..]].concat());
    let error = refused.error();
    assert_eq!((refused.code, &error["kind"], &error["status"]), (1, &json!("refused"), &json!(404)));
    assert_eq!((&error["executed"], &error["retry"]), (&json!("no"), &json!("never")));
    assert_eq!((&error["authenticated"], &error["remedy"]), (&json!(true), &json!("Check the stock id.")));
    assert!(error["request_id"].is_string() && error["operation"] == "favor.start_stock", "{error}");
    assert_eq!(error["remedies"][0]["remedy"], error["remedy"]);
}

#[test]
fn a_key_that_is_not_the_merchants_is_refused() {
    let sandbox = Sandbox::start();
    let key = crate::common::fixture("rsa2048.key.pem");
    let run = sandbox.run(&["call", "certificates.list", "--json", "--private-key", &key]);
    let error = run.error();
    assert_eq!(
        (run.code, &error["code"], &error["authenticated"]),
        (1, &json!("SIGN_ERROR"), &json!(false)),
        "{error}"
    );
    assert!(error["remedy"].as_str().unwrap().contains("private key"), "{error}");
}

#[test]
fn what_cannot_be_believed_is_not_printed() {
    let sandbox = Sandbox::start();
    let rows = [
        ("unsigned", 4, "unverified", "unsigned"),
        ("missing-header", 4, "unverified", "missing_header"),
        ("duplicate-header", 4, "unverified", "duplicate_header"),
        ("forge", 4, "unverified", "mismatch"),
        ("tamper", 4, "unverified", "mismatch"),
        ("stale", 4, "unverified", "stale"),
        ("future", 4, "unverified", "stale"),
        ("unknown-serial", 4, "unverified", "unknown_serial"),
        ("probe", 4, "unverified", "probe"),
        ("html-502", 3, "refused", ""),
        ("status-429", 1, "refused", ""),
        ("status-500", 3, "refused", ""),
        ("error=404:RESOURCE_NOT_EXISTS", 1, "refused", ""),
    ];
    let address = sandbox.address();
    for (fault, code, kind, reason) in rows {
        let address = address.clone();
        let base = server(move |near| pass_on(near, &address, &format!("X-Sandbox-Fault: {fault}")));
        for backend in ["reqwest", "hyper"] {
            let run = sandbox.run(&["call", "certificates.list", "--json", "--base-url", &base, "--backend", backend]);
            let error = run.error();
            let found = (run.code, error["kind"].as_str().unwrap(), error["reason"].as_str().unwrap_or_default());
            assert_eq!(found, (code, kind, reason), "{fault} over {backend}: {run:?}");
        }
    }
}

#[test]
fn a_file_is_sent_with_what_the_operation_wants_to_know_of_it() {
    let sandbox = Sandbox::start();
    let file = sandbox.file("logo.png", b"\x89PNG\r\n\x1a\n and more");
    let file = file.to_str().unwrap();
    for backend in ["reqwest", "hyper"] {
        let run = sandbox.run(&["call", "favor.upload_image", "--json", "--file", file, "--backend", backend]);
        assert!(run.code == 0 && run.json()[0]["media_url"].is_string(), "{run:?}");
    }
    let other = format!("sha256={}", "0".repeat(64));
    let refused = sandbox.run(&["call", "favor.upload_image", "--json", "--file", file, &other]);
    assert_eq!((refused.code, &refused.error()["code"]), (1, &json!("PARAM_ERROR")), "{refused:?}");
}

/// Three stocks, and a list of them as it is called.
fn stocks(sandbox: &Sandbox) -> [String; 3] {
    for number in ["1", "2", "3"] {
        let request = stock(sandbox.mchid(), number).to_string();
        let mut command = sandbox.command(&["call", "favor.create_coupon_stock", "-"]);
        assert_eq!(sandbox.run_with(&mut command, request.as_bytes()).code, 0);
    }
    ["call".to_owned(), "favor.list_stocks".to_owned(), format!("stock_creator_mchid={}", sandbox.mchid())]
}

#[test]
fn a_whole_list_is_a_line_for_each_item() {
    let sandbox = Sandbox::start();
    let list = stocks(&sandbox);
    let list = |more: &[&str]| sandbox.run(&[&list.each_ref().map(String::as_str), more].concat());
    let total = list(&["offset=0", "limit=1", "--json"]).json()[0]["total_count"].as_u64().unwrap() as usize;
    for more in [&["--all", "--json"][..], &["--all", "--json", "limit=1"]] {
        let all = list(more);
        assert!(all.code == 0 && all.stderr.is_empty(), "{all:?}");
        assert_eq!(all.json().len(), total, "{all:?}");
        assert!(all.json().iter().all(|stock| stock["stock_id"].is_string()), "{all:?}");
    }
    let people = list(&["--all"]);
    assert!(people.stderr.contains(&format!("favor.list_stocks · {total} items")), "{people:?}");

    let refused = list(&["--all", "--json", "limit=11"]);
    let error = refused.error();
    assert_eq!((refused.code, &error["violations"][0]["pointer"]), (2, &json!("/limit")), "{error}");
    assert!(error.get("printed").is_none(), "{error}");
}

/// Passes the first connection on, for one request; the others go to `then`.
fn one_page(sandbox: &Sandbox, then: impl Fn(std::net::TcpStream) + Send + Sync + Clone + 'static) -> String {
    let (address, first) = (sandbox.address(), AtomicBool::new(true));
    let first = Arc::new(first);
    server(move |near| match first.swap(false, Ordering::Relaxed) {
        true => pass_on(near, &address, "Connection: close"),
        false => then(near),
    })
}

#[test]
fn a_list_that_breaks_off_says_where_to_go_on() {
    let sandbox = Sandbox::start();
    let list = stocks(&sandbox);
    let base = one_page(&sandbox, |mut stream| drop(head(&mut stream)));
    let more = ["--all", "--json", "limit=1", "--base-url", &base];
    let run = sandbox.run(&[&list.each_ref().map(String::as_str)[..], &more].concat());
    let [item, error] = &run.json()[..] else { panic!("{run:?}") };
    let error = &error["error"];
    assert!(run.code == 3 && item["stock_id"].is_string() && error["kind"] == "transport", "{run:?}");
    assert!(error["printed"] == 1 && error["next"].as_str().unwrap().ends_with("offset=1"), "{error}");
}

#[test]
fn a_list_by_token_is_read_whole_and_says_where_to_go_on() {
    let sandbox = Sandbox::with(&["--brand", "120344"]);
    let call = |arguments: &[&str], stdin: &str| {
        let mut command = sandbox.command_of_brand("120344", &[&["--json", "call"], arguments].concat());
        let run = sandbox.run_with(&mut command, stdin.as_bytes());
        (run.code, run.json(), run.stderr)
    };
    assert_eq!(call(&["product_coupon.set_notify_config", "notify_url=https://www.example.com/notify"], "").0, 0);
    let (_, made, said) = call(&["product_coupon.create_product_coupon", "-"], &product("SPECIFIC").to_string());
    let id = |pointer| made[0].pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{made:?} {said}"));
    let ids = [
        format!("product_coupon_id={}", id("/product_coupon_id")),
        format!("stock_id={}", id("/stock/stock_id")),
        "brand_id=120344".to_owned(),
    ];
    let [product, stock, brand] = ids.each_ref().map(String::as_str);
    let stores: Vec<_> = (100..125).map(|store| json!({"store_id": store.to_string()})).collect();
    let given = format!("store_list={}", json!(stores));
    let associated = call(&["product_coupon.associate_stores", product, stock, brand, &given], "");
    assert_eq!(associated.0, 0, "{associated:?}");

    let list = |more: &[&str]| {
        let named = ["product_coupon.list_associated_stores", product, stock, brand, "--all"];
        call(&[&named, more].concat(), "")
    };
    // As long as the documents allow, which is all of them; then in three pages.
    for more in [&[][..], &["page_size=10"], &["page_size=10", "page_token=0"]] {
        let (code, listed, said) = list(more);
        assert_eq!((code, &listed, said.as_str()), (0, &stores, ""), "{more:?}");
    }
    let (_, rest, _) = list(&["page_size=10", "page_token=10"]);
    assert_eq!(rest, stores[10..], "from the page that is named");

    let base = one_page(&sandbox, |mut stream| drop(head(&mut stream)));
    let (code, mut lines, _) = list(&["page_size=10", "--base-url", &base]);
    let error = lines.pop().unwrap()["error"].take();
    assert_eq!((code, lines.len(), &error["kind"], &error["printed"]), (3, 10, &json!("transport"), &json!(10)));
    assert!(error["next"].as_str().unwrap().ends_with("page_token=10"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_list_that_is_interrupted_says_where_to_go_on() {
    let sandbox = Sandbox::start();
    let list = stocks(&sandbox);
    let (sender, receiver) = std::sync::mpsc::channel();
    let base = one_page(&sandbox, move |mut stream| {
        head(&mut stream);
        sender.send(()).unwrap();
        std::thread::sleep(Duration::from_secs(20));
    });
    let more = ["--all", "limit=1", "--base-url", &base];
    let mut child = sandbox
        .command(&[&list.each_ref().map(String::as_str)[..], &more].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    receiver.recv_timeout(Duration::from_secs(10)).unwrap();
    crate::common::signal(&child, "INT");
    assert_eq!(exit_code(&mut child), 130);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.stdout.is_empty(), "{stderr}");
    assert!(stderr.contains("1 item was printed before that") && stderr.contains("offset=1"), "{stderr}");
}

/// Words of a command line.
type Words<'a> = &'a [&'a str];

#[test]
fn a_call_is_repeated_only_when_asked_and_where_it_may() {
    let sandbox = Sandbox::start();
    let file = sandbox.file("logo.png", "png");
    let upload = ["call", "favor.upload_image", "--file", file.to_str().unwrap()];
    let (read, path) = (["call", "certificates.list"], ["raw", "GET", "/v3/certificates"]);
    let rows: [(Words, Words, &str, i32, usize); 7] = [
        (&read, &[], "status-429", 1, 0),
        (&read, &["--retry", "1"], "status-429", 1, 1),
        (&read, &["--retry", "3"], "status-429", 0, 2),
        (&path, &["--retry", "3"], "html-502", 0, 2),
        (&read, &["--retry", "3"], "error=404:RESOURCE_NOT_EXISTS", 1, 1),
        (&upload, &["--retry", "3"], "status-429", 0, 2),
        (&upload, &["--retry", "3"], "html-502", 3, 1),
    ];
    for (call, retry, fault, code, attempts) in rows {
        let (address, first) = (sandbox.address(), Arc::new(AtomicBool::new(true)));
        let base = server(move |near| match first.swap(false, Ordering::Relaxed) {
            true => pass_on(near, &address, &format!("X-Sandbox-Fault: {fault}\r\nConnection: close")),
            false => pass_on(near, &address, "Connection: close"),
        });
        let run = sandbox.run(&[call, retry, &["--json", "--base-url", &base]].concat());
        let shown = run.stderr.lines().filter(|line| line.starts_with("attempt ")).count();
        assert_eq!((run.code, shown), (code, attempts), "{call:?} {retry:?} {fault}: {run:?}");
    }
}

#[test]
fn certificates_are_downloaded_and_written() {
    let sandbox = Sandbox::start();
    let people = sandbox.run(&["certs", "download"]);
    assert!(people.code == 0 && people.stdout.contains("+08:00 to 20"), "{people:?}");
    let seen = sandbox.control("GET", "requests?operation=certificates.list", &Value::Null);
    assert_eq!(seen["requests"].as_array().unwrap().len(), 1);

    let dir = sandbox.file("marker", "").with_file_name("certificates");
    for _ in 0..2 {
        let run = sandbox.run(&["certs", "download", "--json", "--dir", dir.to_str().unwrap()]);
        let [line] = &run.json()[..] else { panic!("{run:?}") };
        let file = std::path::Path::new(line["file"].as_str().unwrap());
        assert_eq!(file, dir.join(format!("{}.pem", line["serial_no"].as_str().unwrap())));
        let platform = std::fs::read_to_string(&sandbox.env["WECHATPAY_PLATFORM_CERT"]).unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap(), platform);
        assert!(line["effective_time"].as_str() < line["expire_time"].as_str(), "{line}");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
            assert_eq!(mode & 0o700, 0o600);
            assert_eq!(mode & 0o133, 0, "{mode:o}");
        }
    }
    let run = sandbox.run(&["certs", "download", "--json", "--dir", sandbox.file("marker", "").to_str().unwrap()]);
    assert_eq!((run.code, &run.error()["kind"]), (5, &json!("local")), "{run:?}");
}

#[test]
fn certificates_that_cannot_be_had_say_why() {
    let sandbox = Sandbox::start();
    let key = "another key that has 32 bytes...";
    let opened =
        sandbox.run_with(sandbox.command(&["certs", "download", "--json"]).env("WECHATPAY_APIV3_KEY", key), b"");
    let error = opened.error();
    assert_eq!((opened.code, &error["kind"]), (4, &json!("decode")), "{error}");
    assert!(error["next"].as_str().unwrap().contains("WECHATPAY_APIV3_KEY"), "{error}");

    let other = crate::common::fixture("rsa2048.key.pem");
    let refused = sandbox.run(&["certs", "download", "--json", "--private-key", &other]);
    let error = refused.error();
    assert_eq!((refused.code, &error["status"], &error["code"]), (1, &json!(401), &json!("SIGN_ERROR")), "{error}");
    assert!(error["next"].is_string(), "{error}");

    sandbox.control("POST", "settings", &json!({ "certificates": false }));
    let none = sandbox.run(&["certs", "download", "--json"]);
    assert_eq!((none.code, none.stdout.as_str()), (0, ""), "{none:?}");
    assert!(none.stderr.contains("only public keys"), "{none:?}");

    // Who knows no key yet cannot believe that there is none.
    let nobody = sandbox.run_with(&mut sandbox.trusting_nobody(&["certs", "download", "--json"]), b"");
    assert_eq!((nobody.code, &nobody.error()["reason"]), (4, &json!("unknown_serial")), "{nobody:?}");
    let call = sandbox.run_with(&mut sandbox.trusting_nobody(&["call", "favor.list_stocks", "--json"]), b"");
    let path = sandbox.run_with(&mut sandbox.trusting_nobody(&["raw", "GET", "/v3/x", "--json"]), b"");
    for run in [nobody, call, path] {
        let error = run.error();
        assert_eq!(run.code, 4, "{error}");
        let next = error["next"].as_str().unwrap();
        let id = &sandbox.env["WECHATPAY_PUBLIC_KEY_ID"];
        assert!(next.contains("--public-key-id") && next.contains("--public-key ") && next.contains(id), "{error}");
        assert!(!next.contains("certs download"), "{error}");
    }
}

#[test]
fn a_merchant_without_certificates_is_told_what_was_sent() {
    let sandbox = Sandbox::start();
    let base = unsigned("404 Not Found", json!({ "code": "RESOURCE_NOT_EXISTS", "message": "none" }).to_string());
    for line in [&["raw", "POST", "/v3/x"][..], &["call", "certificates.list"]] {
        let run =
            sandbox.run_with(&mut sandbox.trusting_nobody(&[line, &["--json", "--base-url", &base]].concat()), b"");
        let error = run.error();
        let said = ["message", "next"].map(|key| error[key].as_str().unwrap());
        assert_eq!((run.code, &error["kind"]), (2, &json!("config")), "{error}");
        assert!(!said[0].contains("nothing was sent") && said[0].contains("the call itself was not sent"), "{error}");
        assert!(said[1].contains("--public-key-id"), "{error}");
    }
}

/// Has the command use this proxy for everything that it would send through one.
fn behind(proxy: &str, mut command: std::process::Command) -> std::process::Command {
    for name in ["NO_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "REQUEST_METHOD"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.env("HTTP_PROXY", proxy).env("http_proxy", proxy);
    command
}

#[test]
fn what_is_on_this_machine_needs_no_proxy() {
    let sandbox = Sandbox::start();
    let (sender, asked) = std::sync::mpsc::channel();
    let proxy = server(move |mut stream| {
        let head = String::from_utf8(head(&mut stream)).unwrap();
        sender.send(head).unwrap();
        let _ = write!(stream, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    for backend in ["reqwest", "hyper"] {
        let demo = run_with(&mut behind(&proxy, command(&["demo", "--backend", backend])), b"");
        assert_eq!(demo.code, 0, "{demo:?}");
        let call = ["call", "certificates.list", "--backend", backend];
        let localhost = sandbox.env["WECHATPAY_BASE_URL"].replace("127.0.0.1", "localhost");
        for base in [&sandbox.env["WECHATPAY_BASE_URL"], &localhost] {
            let line = [&call[..], &["--base-url", base]].concat();
            let run = sandbox.run_with(&mut behind(&proxy, sandbox.command(&line)), b"");
            assert_eq!(run.code, 0, "{run:?}");
        }
    }
    assert!(asked.try_recv().is_err(), "a proxy has seen a call to this machine");

    // Everything else goes through it.
    let far = ["call", "certificates.list", "--base-url", "http://pay.example"];
    let run = sandbox.run_with(&mut behind(&proxy, sandbox.command(&far)), b"");
    assert!(run.code == 3 && asked.try_recv().unwrap().contains("http://pay.example/v3/certificates"), "{run:?}");
}

#[test]
fn an_apiv3_key_is_enough_to_trust_the_certificates() {
    let sandbox = Sandbox::start();
    sandbox.control("POST", "settings", &json!({ "sign_with": "certificate" }));
    for backend in ["reqwest", "hyper"] {
        for call in [&["call", "certificates.list"][..], &["raw", "GET", "/v3/certificates"]] {
            let mut command = sandbox.trusting_nobody(&[call, &["--backend", backend]].concat());
            let run = sandbox.run_with(&mut command, b"");
            assert!(run.code == 0 && run.stderr.contains("verified with "), "{run:?}");
            assert!(!run.stderr.contains("PUB_KEY_ID"), "{run:?}");
        }
    }

    // What acts is not sent where its answer could not be verified.
    let mchid = format!("stock_creator_mchid={}", sandbox.mchid());
    let mut command = sandbox.trusting_nobody(&["call", "favor.start_stock", "--json", "stock_id=404", &mchid]);
    let wrong = sandbox.run_with(command.env("WECHATPAY_APIV3_KEY", "another key that has 32 bytes..."), b"");
    assert_eq!((wrong.code, &wrong.error()["kind"]), (4, &json!("decode")), "{wrong:?}");
    let seen = sandbox.control("GET", "requests?operation=favor.start_stock", &Value::Null);
    assert_eq!(seen["requests"], json!([]), "{seen}");

    let body = r#"{"id":"1"}"#;
    let capture = format!(
        "Wechatpay-Timestamp: 1
Wechatpay-Nonce: n
Wechatpay-Serial: 5A
Wechatpay-Signature: c2ln

{body}"
    );
    let mut command = sandbox.trusting_nobody(&["notify", "decrypt", "-", "--json", "--now", "1970-01-01T00:00:01Z"]);
    let run = sandbox.run_with(&mut command, capture.as_bytes());
    assert_eq!((run.code, &run.error()["reason"]), (4, &json!("unknown_serial")), "{run:?}");
}

#[test]
fn a_server_that_is_none_is_told_apart() {
    let sandbox = Sandbox::start();
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let hangs_up = server(|mut stream| drop(head(&mut stream)));
    let page = server(|mut stream| {
        head(&mut stream);
        let page = "<html>welcome</html>";
        let length = page.len();
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}");
    });
    let rows = [
        (closed, 3, "transport", "connect", "no"),
        (hangs_up, 3, "transport", "interrupted", "maybe"),
        (page, 4, "unverified", "unsigned", "maybe"),
    ];
    for (base, code, kind, reason, executed) in rows {
        for backend in ["reqwest", "hyper"] {
            let run = sandbox.run(&["raw", "POST", "/v3/x", "--json", "--base-url", &base, "--backend", backend]);
            let error = run.error();
            let found = ["kind", "reason", "executed"].map(|key| error[key].as_str().unwrap_or_default());
            assert_eq!((run.code, found), (code, [kind, reason, executed]), "{run:?}");
        }
    }
}

/// A server that answers every request with this, unsigned.
fn unsigned(status: &'static str, body: impl Into<String>) -> String {
    let body = body.into();
    server(move |mut stream| {
        head(&mut stream);
        let length = body.len();
        let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    })
}

#[test]
fn a_refusal_that_nobody_signed_says_nothing_of_what_was_done() {
    let sandbox = Sandbox::start();
    let call = ["call", "favor.set_callback", "notify_url=https://a.example/n"];
    let mchid = format!("mchid={}", sandbox.mchid());
    let rows = [
        ("403 Forbidden", "NOT_ENOUGH", 3, true),
        ("404 Not Found", "RESOURCE_NOT_EXISTS", 3, true),
        ("429 Too Many Requests", "FREQUENCY_LIMITED", 3, true),
        ("500 Internal Server Error", "SYSTEM_ERROR", 3, true),
        // A wrong signature is refused unsigned, as documented.
        ("401 Unauthorized", "SIGN_ERROR", 1, false),
    ];
    for (status, code, exit, unknown) in rows {
        let base = unsigned(status, json!({ "code": code, "message": "no" }).to_string());
        for line in [&call[..], &["raw", "POST", "/v3/x"]] {
            let mchid = if line[0] == "call" { &[mchid.as_str()][..] } else { &[] };
            let run = sandbox.run(&[line, mchid, &["--json", "--base-url", &base]].concat());
            let error = run.error();
            assert_eq!((run.code, &error["executed"]), (exit, &json!("maybe")), "{status}: {run:?}");
            assert_eq!((&error["kind"], &error["code"]), (&json!("refused"), &json!(code)), "{run:?}");
            let next = error["next"].as_str().unwrap_or_default();
            assert_eq!(next.contains("whether it was executed is not known"), unknown, "{status}: {run:?}");
        }
        if status.starts_with("404") {
            // Of certificates that says that there are none.
            continue;
        }
        // So it is with certificates, be they asked for or needed first.
        for line in [&["certs", "download"][..], &["call", "favor.get_stock", "stock_id=1", "stock_creator_mchid=2"]] {
            let mut command = sandbox.trusting_nobody(&[line, &["--json", "--base-url", &base]].concat());
            let run = sandbox.run_with(&mut command, b"");
            let error = run.error();
            assert_eq!((run.code, &error["authenticated"]), (exit, &json!(false)), "{status}: {run:?}");
            assert_eq!((&error["kind"], &error["code"]), (&json!("refused"), &json!(code)), "{run:?}");
        }
    }
}

#[test]
fn a_refusal_by_nobody_does_not_undo_what_an_earlier_attempt_may_have_done() {
    let sandbox = Sandbox::start();
    let attempts = Arc::new(AtomicUsize::new(0));
    // The first request is lost on the way back, the second is refused by somebody on the way.
    let base = server(move |mut stream| {
        head(&mut stream);
        if attempts.fetch_add(1, Ordering::Relaxed) > 0 {
            let body = r#"{"code":"SIGN_ERROR","message":"no"}"#;
            let length = body.len();
            let head = "HTTP/1.1 401 Unauthorized\r\nConnection: close";
            let _ = write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}");
        }
    });
    let mchid = format!("stock_creator_mchid={}", sandbox.mchid());
    let call = ["call", "favor.start_stock", "stock_id=1", &mchid, "--retry", "3", "--json", "--base-url", &base];
    let run = sandbox.run(&call);
    let error = run.error();
    assert_eq!((run.code, &error["retry"]), (3, &json!("read_first")), "{run:?}");
    assert!(error["next"].as_str().unwrap().contains("an earlier attempt may have been executed"), "{run:?}");
}

#[test]
fn what_cannot_be_sent_is_not_tried_again() {
    let sandbox = Sandbox::start();
    let run = sandbox.run(&["raw", "GET", "/v3/%2e%2e/x", "--retry", "3", "--json"]);
    let error = run.error();
    let found = ["kind", "reason", "executed", "retry"].map(|key| error[key].as_str().unwrap_or_default());
    assert_eq!((run.code, found), (2, ["transport", "unsendable", "no", "never"]), "{run:?}");
    assert_eq!(run.stderr.matches("attempt ").count(), 1, "{run:?}");
}

#[test]
fn without_a_certificate_a_refusal_still_says_what_is_wrong() {
    let sandbox = Sandbox::start();
    sandbox.control("POST", "settings", &json!({ "sign_with": "certificate" }));
    for (fault, status, code) in
        [("429:RATELIMIT_EXCEEDED", 429, "RATELIMIT_EXCEEDED"), ("403:NO_AUTH", 403, "NO_AUTH")]
    {
        sandbox.control(
            "POST",
            "faults",
            &json!({ "fault": format!("error={fault}"), "operation": "certificates.list", "times": 1 }),
        );
        let run = sandbox.run_with(&mut sandbox.trusting_nobody(&["certs", "download", "--json"]), b"");
        let error = run.error();
        assert_eq!((&error["status"], &error["code"]), (&json!(status), &json!(code)), "{run:?}");
        assert!(run.code == 3 && !error["next"].to_string().contains("certs download"), "{run:?}");
    }
}

#[test]
fn what_a_refusal_says_cannot_pass_for_words_of_the_command() {
    let sandbox = Sandbox::start();
    let message = "no\u{1b}[8m\u{9b}8m\u{202e}\u{2066}\r\nnext: run evil\u{2028}\u{7f}\u{200f}";
    let body = json!({
        "code": format!("NO{message}"), "message": message, "detail": { "field": format!("/a{message}") },
    });
    for status in ["403 Forbidden", "401 Unauthorized", "503 Service Unavailable"] {
        let base = unsigned(status, body.to_string());
        let calls = [
            &["raw", "GET", "/v3/x"][..],
            &["raw", "GET", "/v3/x", "--retry", "2"],
            &["call", "certificates.list"],
            &["certs", "download"],
        ];
        for call in calls {
            let run = sandbox.run(&[call, &["--base-url", &base]].concat());
            let raw = |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{2066}\u{2028}\u{200f}".contains(c));
            assert!(run.code != 0 && !run.stderr.contains(raw), "{run:?}");
            assert!(run.stderr.contains("\\u{1b}[8m") && run.stderr.contains("\\u{202e}"), "{run:?}");
            assert!(!run.stderr.contains("\nnext: run evil"), "{run:?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_call_says_that_its_outcome_is_unknown() {
    let sandbox = Sandbox::start();
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let (sender, receiver) = std::sync::mpsc::channel();
        let base = server(move |mut stream| {
            head(&mut stream);
            sender.send(()).unwrap();
            std::thread::sleep(Duration::from_secs(20));
        });
        let mut child = sandbox
            .command(&["call", "favor.start_stock", "stock_id=1", "stock_creator_mchid=2", "--base-url", &base])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        receiver.recv_timeout(Duration::from_secs(10)).unwrap();
        crate::common::signal(&child, name);
        assert_eq!(exit_code(&mut child), code);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("outcome is unknown") && stderr.contains("repeat it: that is safe"), "{stderr}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_call_has_come_to_is_told_where_there_is_room() {
    let sandbox = Sandbox::start();
    let rows = [("certificates.list", 5, "cannot be written to stdout"), ("favor.list_stocks", 2, "/offset")];
    for (id, code, wanted) in rows {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = sandbox.command(&["call", id, "--json"]).stdout(full).output().unwrap();
        let line: Value = serde_json::from_slice(&output.stderr).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let told = line["error"]["message"].as_str().unwrap().to_owned();
        assert!(output.status.code() == Some(code) && told.contains(wanted), "{output:?}");
    }
}

#[test]
fn a_path_is_told_without_the_values_in_it() {
    let sandbox = Sandbox::start();
    let openid = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o";
    let mchid = sandbox.mchid();
    let rows = [
        (
            format!("/v3/marketing/favor/users/{openid}/coupons/1?appid=wx1&stock_creator_mchid={mchid}"),
            "GET /v3/marketing/favor/users/{openid}/coupons/{coupon_id}",
        ),
        (
            format!("/v3/marketing/busifavor/users/{openid}/coupons/summer/appids/wx1"),
            "GET /v3/marketing/busifavor/users/{openid}/coupons/{coupon_code}/appids/{appid}",
        ),
        (format!("/v3/new-things/{openid}/list/1234"), "GET /v3/new-things/{…}/list/{…}"),
        ("/v3/certificates".to_owned(), "GET /v3/certificates"),
    ];
    for (path, name) in rows {
        for json in [&[][..], &["--json"]] {
            let run = sandbox.run(&[&["raw", "GET", &path], json].concat());
            let told = if run.code == 0 || json.is_empty() { &run.stderr } else { &run.stdout };
            assert!(run.code == 0 && !json.is_empty() || told.contains(name), "{name}: {run:?}");
            assert!(!run.stderr.contains(openid) && !run.stderr.contains("summer"), "{run:?}");
            assert!(run.code == 0 || !run.stdout.contains(openid), "{run:?}");
        }
    }
}

/// Whether this process has a signal in a set of its status: 1 is HUP.
#[cfg(target_os = "linux")]
fn hangup_in(set: &str, process: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let bits = status.lines().find_map(|line| line.strip_prefix(set)).unwrap();
    u64::from_str_radix(bits.trim(), 16).unwrap() & 1 == 1
}

#[cfg(target_os = "linux")]
#[test]
fn a_sandbox_outlives_its_terminal_only_where_that_is_meant() {
    // As nohup does it.
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" sandbox", env!("CARGO_BIN_EXE_wechatpay")]);
    let (mut child, ready) = crate::common::first_line(command);
    assert!(hangup_in("SigIgn:", &child.id().to_string()));
    crate::common::signal(&child, "TERM");
    assert_eq!(exit_code(&mut child), 0);
    assert!(!std::path::Path::new(ready["dir"].as_str().unwrap()).exists());
}

#[cfg(unix)]
#[test]
fn a_sandbox_ends_when_it_is_asked_to_and_cleans_up() {
    let mut names = vec!["INT", "TERM"];
    // Whoever runs the tests may have had it ignored.
    #[cfg(target_os = "linux")]
    if !hangup_in("SigIgn:", "self") {
        names.push("HUP");
    }
    for name in names {
        let (mut child, ready) = start_sandbox(&[]);
        let directory = std::path::PathBuf::from(ready["dir"].as_str().unwrap());
        assert!(directory.join("sandbox.env").is_file(), "{ready}");
        crate::common::signal(&child, name);
        assert_eq!(exit_code(&mut child), 0);
        assert!(!directory.exists());
    }
}

#[cfg(unix)]
#[test]
fn a_sandbox_says_how_a_shell_reads_its_settings() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("it's a box");
    let mut child = command(&["sandbox", "--dir", dir.to_str().unwrap(), "--brand", "120344"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut hints = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    let hint = hints.next().unwrap().unwrap();
    let line = hint.split_once("in another shell: ").unwrap().1.split_once("; wechatpay call").unwrap().0.to_owned();
    let brand = hints.next().unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let brand = format!("set -a; . {}; set +a", brand.split_once("has read ").unwrap().1);
    for (line, name, wanted) in [(line, "WECHATPAY_MCHID", "1900000001"), (brand, "WECHATPAY_BRAND", "120344")] {
        let shell = std::process::Command::new("sh")
            .args(["-c", &format!("{line} && printf %s \"${name}\"")])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&shell.stdout), wanted, "{line}: {shell:?}");
    }
}

#[test]
fn a_sandbox_that_cannot_listen_says_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = run_with(&mut command(&["sandbox", "--listen", &address]), b"");
    assert!(run.code == 5 && run.stderr.contains(&address), "{run:?}");
}

#[test]
fn every_operation_is_called_with_its_documented_example() {
    let sandbox = Sandbox::start();
    let picture = sandbox.file("picture.png", b"no picture");
    let (mut reached, mut stayed) = (0, Vec::new());
    for spec in wechatpay_model::operations() {
        let schema: Value = serde_json::from_str(spec.schema()).unwrap();
        let accepted = schema["examples"].as_array().unwrap().iter().find(|example| example["violations"].is_null());
        let mut request =
            accepted.unwrap_or_else(|| panic!("{} has no accepted example", spec.id()))["request"].clone();
        // Of the example only the caller is another one.
        for name in ["belong_merchant", "mchid", "stock_creator_mchid", "creator_mchid"] {
            if let Some(mchid) = request.get_mut(name) {
                *mchid = json!(sandbox.mchid());
            }
        }
        let mut arguments = vec!["call", spec.id(), "-", "--json"];
        if spec.body() == wechatpay_model::operation::Body::Multipart {
            request.as_object_mut().unwrap().clear();
            arguments.extend(["--file", picture.to_str().unwrap()]);
        }
        let run = sandbox.run_with(&mut sandbox.command(&arguments), request.to_string().as_bytes());
        match run.code {
            0 => {
                reached += 1;
                // 204 has nothing to print.
                assert!(run.json().len() <= 1, "{}: {run:?}", spec.id());
            }
            1 => {
                reached += 1;
                let error = run.error();
                assert_eq!(error["authenticated"], true, "{}: {run:?}", spec.id());
                assert!(error["code"].is_string() && error["request_id"].is_string(), "{}: {run:?}", spec.id());
            }
            // Examples of years ago: the time is all that keeps them from being sent.
            2 => {
                let error = run.error();
                for violation in error["violations"].as_array().unwrap() {
                    assert_eq!(violation["rule"], "from_now", "{}: {run:?}", spec.id());
                }
                stayed.push(spec.id());
            }
            _ => panic!("{}: {run:?}", spec.id()),
        }
    }
    assert!(stayed.len() <= 4, "{stayed:?}");
    assert_eq!(reached + stayed.len(), wechatpay_model::operations().count());
}
