//! What the command does without anybody to call: one row for each command line.

use crate::common::{command, fixture, run, run_with};

/// A command line with its stdin, exit code, and texts that stdout and stderr hold.
struct Row {
    line: &'static str,
    stdin: &'static str,
    code: i32,
    stdout: &'static [&'static str],
    stderr: &'static [&'static str],
}

const fn row(line: &'static str, code: i32, stdout: &'static [&'static str], stderr: &'static [&'static str]) -> Row {
    Row { line, stdin: "", code, stdout, stderr }
}

const fn piped(
    line: &'static str,
    stdin: &'static str,
    code: i32,
    stdout: &'static [&'static str],
    stderr: &'static [&'static str],
) -> Row {
    Row { line, stdin, code, stdout, stderr }
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // Help and version are results.
    row("--help", 0, &["wechatpay demo", "Exit codes", "143"], &[]),
    row("--version", 0, &["wechatpay 0."], &[]),
    row("call --help", 0, &["Examples:", "name=value", "WECHATPAY_PRIVATE_KEY", "violations", "retry"], &[]),
    row("raw --help", 0, &["Examples:"], &[]),
    row("demo --help", 0, &["Examples:", "verified"], &[]),
    row("sandbox --help", 0, &["Examples:", "--allow-remote", "* lose-reply", "stall[=MS]", "STATUS:CODE:N"], &[]),
    row("ops --help", 0, &["Examples:", "idempotency"], &[]),
    row("describe --help", 0, &["Examples:"], &[]),
    row("certs download --help", 0, &["Examples:", "WECHATPAY_APIV3_KEY", "expire_time"], &[]),
    row("notify decrypt --help", 0, &["Examples:", "Wechatpay-Signature:", "empty line", "--now"], &[]),
    row("completions --help", 0, &["Examples:"], &[]),
    row("explain-signature --help", 0, &["Examples:", "--reply", "first_difference", "Ends with 0"], &[]),
    // Mistakes on the command line.
    row("", 2, &[], &["Usage: wechatpay"]),
    row("cal", 2, &[], &["call"]),
    row("ops nothing", 2, &[], &["no family is called `nothing`", "favor"]),
    row("ops nothing --json", 2, &["{\"error\":", "\"kind\":\"usage\""], &[]),
    row("--json cal", 2, &["{\"error\":", "\"kind\":\"usage\""], &[]),
    row("describe favor.strat_stock", 2, &[], &["did you mean favor.start_stock"]),
    row("call start_stock", 2, &[], &["did you mean favor.start_stock?"]),
    row("call xyz", 2, &[], &["`wechatpay ops` lists them all"]),
    row("raw FETCH /v3/certificates", 2, &[], &["FETCH", "GET, POST, PUT, PATCH, DELETE"]),
    row("call favor.upload_image", 2, &[], &["favor.upload_image takes a file", "--file"]),
    row("call favor.start_stock --file x.png", 2, &[], &["favor.start_stock takes no file"]),
    row("call favor.upload_image --file /nowhere.png --mchid 19", 2, &[], &["/nowhere.png: cannot be read"]),
    row("call favor.get_stock --all", 2, &[], &["favor.get_stock answers all there is at once"]),
    row("call product_coupon.get_product_coupon --all", 2, &[], &["answers all there is at once"]),
    row("call product_coupon.list_stocks --all product_coupon_id=1 brand_id=2", 2, &[], &["--mchid"]),
    row("call favor.list_stocks --all --dry-run", 2, &[], &["--all", "--dry-run"]),
    row("call favor.list_stocks --retry 0", 2, &[], &["--retry", "1..=10"]),
    row("certs", 2, &[], &["download"]),
    row("notify decrypt x --now yesterday", 2, &[], &["--now", "RFC 3339"]),
    row("explain-signature", 2, &[], &["--request", "--reply", "--method"]),
    row("explain-signature --method GET", 2, &[], &["--target"]),
    row("explain-signature --method GET --target /v3/certificates", 2, &[], &["no key to verify with", "apiclient_cert.pem"]),
    row("explain-signature --request /nowhere.http", 2, &[], &["/nowhere.http: cannot be read"]),
    row("explain-signature --header x --key /nowhere.pem", 2, &[], &["write `Name: value`"]),
    piped("explain-signature --request -", "A: b\n\n", 2, &[], &["stdin:1: no request line"]),
    row("sandbox --listen 0.0.0.0:0", 2, &[], &["--allow-remote"]),
    row("sandbox --allow-remote-control", 2, &[], &["--allow-remote"]),
    row("sandbox --mchid abc", 2, &[], &["\"abc\" is no merchant id", "1 to 20 digits"]),
    row("sandbox --json --mchid 1 --mchid 123456789012345678901", 2, &["\"kind\":\"usage\""], &[]),
    row("sandbox --brand ../x", 2, &[], &["\"../x\" is no brand id"]),
    row("sandbox --mchid 1 --mchid 1", 2, &[], &["merchant 1 is named twice"]),
    row("sandbox --brand 1 --brand 1", 2, &[], &["brand 1 is named twice"]),
    row("sandbox --brand 1900000001", 2, &[], &["1900000001 is the default merchant"]),
    row("sandbox --fault explode", 2, &[], &["no fault \"explode\"", "lose-reply"]),
    row("sandbox --fault stall;nth=0", 2, &[], &["nth is 0"]),
    // The catalogue.
    row("ops", 0, &["favor.create_coupon_stock", "busifavor.upload_coupon_codes", "certificates.list"], &[]),
    row("ops busifavor", 0, &["busifavor.create_stock"], &[]),
    row("ops --notifications", 0, &["COUPON.USE", "COUPON.SEND", "busifavor.coupon_send"], &[]),
    row("ops favor --notifications --json", 0, &["\"delivery\":{", "\"event_type\":\"COUPON.USE\"", "\"id\":\"favor.coupon_use\""], &[]),
    row("describe favor.create_coupon_stock", 0, &[
        "POST /v3/marketing/favor/coupon-stocks", "创建代金券批次", "with the same `out_request_no`",
        "stock_name", "批次名称", "none of , ; _ |", "integer (fen)", "RFC 3339 time", "array of string",
        "also read as disscount_coupon", "MINI_PROGRAM: 小程序", "coupon_amount × /stock_use_rule/max_coupons = /stock_use_rule/max_amount",
        "is the merchant id of the caller", "at most 90 days", "403 NOT_ENOUGH", "Add to the budget.",
        "Example: as published", "refused at /out_request_no: length", "accepted with", "https://",
    ], &[]),
    row("describe favor.get_stock", 0, &["in the path", "in the query", "unactivated: ", "repeat: safe", "rate: 500 calls in all in 1 second"], &[]),
    row("describe favor.list_stock_items", 0, &["pages: `offset` counts pages from 0, at most 500; `limit` is the length of a page, at most 100; `wechatpay call favor.list_stock_items --all`"], &[]),
    row("describe product_coupon.list_stocks", 0, &["pages: `page_token` names a page, as /next_page_token of the page before says; the first has no name; `page_size` is the length of a page, at most 50; `wechatpay call product_coupon.list_stocks --all`"], &[]),
    row("describe busifavor.list_coupon_codes", 0, &["counts items from 0; `limit`"], &[]),
    row("describe favor.upload_image", 0, &["repeat: may act twice", "call favor.upload_image --file PATH"], &[]),
    row("describe COUPON.USE", 0, &["favor.coupon_use", "核销事件回调通知", "about: coupon", "9 times in all, 1 minute apart", "coupon_id", "required", "Example: ", "https://"], &[]),
    row("describe busifavor.coupon_send --json", 0, &["\"event_type\":\"COUPON.SEND\""], &[]),
    // Requests, checked and shown.
    row("call --dry-run favor.start_stock stock_id=9 stock_creator_mchid=8", 2, &[], &["--mchid", "WECHATPAY_MCHID", "`mchid`"]),
    row("call --dry-run product_coupon.get_product_coupon product_coupon_id=1000000013 --brand 120344", 0, &["/brand/marketing/product-coupon/product-coupons/1000000013\""], &[]),
    row("call --dry-run product_coupon.get_product_coupon product_coupon_id=1000000013 brand_id=7 --brand 120344", 2, &[], &["/brand_id: must be the calling brand, 120344"]),
    row("call --dry-run favor.start_stock stock_id=9 stock_creator_mchid=8 --brand 120344", 2, &[], &["has no path for brands"]),
    row("call --dry-run favor.start_stock stock_id=9 stock_creator_mchid=8 --brand 120344 --mchid 8", 2, &[], &["--mchid and --brand: a merchant calls, or a brand"]),
    row("call --dry-run favor.start_stock stock_id=9 stock_creator_mchid=8 --brand x", 2, &[], &["--brand: a brand id is digits"]),
    row("call --dry-run --mchid 19 favor.start_stock stock_id=9 stock_creator_mchid=8", 0,
        &["\"url\": \"https://api.mch.weixin.qq.com/v3/marketing/favor/stocks/9/start\"", "\"8\""], &["nothing was sent"]),
    row("call --dry-run --json --mchid 19 favor.get_stock stock_id=9/? stock_creator_mchid=8", 0,
        &["{\"method\":\"GET\",\"url\":\"https://api.mch.weixin.qq.com/v3/marketing/favor/stocks/9%2F%3F?stock_creator_mchid=8\"}"], &[]),
    row("call --dry-run --mchid 19 --base-url http://localhost:8080 certificates.list algorithm_type=RSA", 0,
        &["http://localhost:8080/v3/certificates?algorithm_type=RSA"], &[]),
    row("call --dry-run --mchid 19 busifavor.upload_coupon_codes stock_id=9 upload_request_no=007 coupon_code_list.0=1 coupon_code_list.1=a=b", 0,
        &["\"007\"", "\"1\"", "\"a=b\""], &[]),
    row("call --dry-run --mchid 19 busifavor.upload_coupon_codes stock_id=9 upload_request_no=1 coupon_code_list.1=1", 2,
        &[], &["`coupon_code_list.1`", "index"]),
    row("call --dry-run --mchid 19 busifavor.upload_coupon_codes stock_id=9 upload_request_no=1 coupon_code_list=A1", 2,
        &[], &["/coupon_code_list: must be an array, is a string"]),
    row("call --dry-run --mchid 19 busifavor.upload_coupon_codes stock_id=9 upload_request_no=1 coupon_code_list=[]", 2,
        &[], &["/coupon_code_list: must not be empty"]),
    row("call --dry-run --mchid 19 busifavor.upload_coupon_codes stock_id=9 upload_request_no=1 coupon_code_list=[\"a\\tb\",\"😀\"]", 2,
        &[], &["/coupon_code_list/0: ", "/coupon_code_list/1: "]),
    row("call --dry-run --mchid 19 --json favor.create_coupon_stock no_cash=maybe stock_use_rule.max_coupons=1.0 stok_name=x", 2, &[
        "\"kind\":\"invalid\"", "\"executed\":\"no\"", "\"retry\":\"never\"",
        "{\"message\":\"must be true or false, is a string\",\"pointer\":\"/no_cash\",\"rule\":\"type\"}",
        "\"pointer\":\"/stock_use_rule/max_coupons\",\"rule\":\"type\"",
        "\"pointer\":\"/stok_name\",\"rule\":\"unknown\"", "did you mean `stock_name`?",
    ], &[]),
    row("call --dry-run --mchid 19 favor.start_stock stock_id=1 stock_creator_mchid", 2, &[], &["`stock_creator_mchid` names no field", "NAME=VALUE"]),
    row("call --dry-run --mchid 19 favor.start_stock =1", 2, &[], &["names no field"]),
    row("call --dry-run --json --mchid 19 favor.upload_image --file src/main.rs filename=a.png", 0,
        &["\"body\":{\"filename\":\"a.png\",\"sha256\":\"", "\"file\":{\"bytes\":", "\"name\":\"a.png\"}"], &[]),
    row("call --dry-run --mchid 19 favor.upload_image --file src/main.rs sha256=0", 2, &[], &["/sha256: "]),
    // Requests from stdin: only when asked for.
    piped("call --dry-run --mchid 19 favor.start_stock -", "{\"stock_id\":\"9\",\"stock_creator_mchid\":\"8\"}", 0, &["/stocks/9/start"], &[]),
    piped("call --dry-run --mchid 19 favor.start_stock - stock_id=10", "\u{FEFF}{\"stock_id\":\"9\",\"stock_creator_mchid\":\"8\"}", 0, &["/stocks/10/start"], &[]),
    piped("call --dry-run --mchid 19 favor.start_stock", "{\"stock_id\":\"9\",\"stock_creator_mchid\":\"8\"}", 2, &[], &["/stock_id: is required"]),
    piped("call --dry-run --mchid 19 favor.start_stock -", "{\n  \"stock_id\": }", 2, &[], &["stdin:2:15: no valid JSON"]),
    piped("call --dry-run --mchid 19 favor.start_stock -", "", 2, &[], &["stdin:1:0: no valid JSON"]),
    piped("call --dry-run --mchid 19 favor.start_stock -", "{\"a\":1,\n\"a\":2}", 2, &[], &["stdin:2:", "`a` stands twice"]),
    piped("call --dry-run --mchid 19 favor.start_stock -", "[]", 2, &[], &["/: must be an object, is an array"]),
    // What is no object is not dropped for the sake of a field.
    piped("call --dry-run --mchid 19 favor.start_stock - stock_id=9", "\"{\\\"stock_creator_mchid\\\":\\\"8\\\"}\"", 2, &[], &["`stock_id`: the request is a string"]),
    piped("call --dry-run --mchid 19 favor.start_stock - stock_id=9", "7", 2, &[], &["`stock_id`: the request is a number"]),
    piped("call --dry-run --mchid 19 favor.start_stock - stock_id=9", "true", 2, &[], &["`stock_id`: the request is true or false"]),
    piped("call --dry-run --mchid 19 favor.start_stock - stock_id=9", "[]", 2, &[], &["`stock_id`: the request is an array"]),
    piped("call --dry-run --mchid 19 favor.start_stock - stock_id=9 stock_creator_mchid=8", "null", 0, &["/stocks/9/start"], &[]),
    piped("call --dry-run --mchid 19 favor.create_coupon_stock - stock_use_rule.max_coupons=5", "{\"stock_use_rule\":\"x\"}", 2, &[], &["`stock_use_rule.max_coupons`: /stock_use_rule is a string"]),
    // Numbers are sent as they stand, or not at all.
    piped("raw POST /v3/x -", "{\"a\":12345678901234567890123}", 2, &[], &["stdin:1:6: ", "in quotes"]),
    piped("raw POST /v3/x -", "{\"a\":\n[1,0.1234567890123456789]}", 2, &[], &["stdin:2:4: ", "in quotes"]),
    piped("raw POST /v3/x -", "{\"a\":-9223372036854775809}", 2, &[], &["stdin:1:6: ", "in quotes"]),
    piped("raw POST /v3/x -", "1e999", 2, &[], &["stdin:1:"]),
    piped("raw POST /v3/x -", "[18446744073709551615,-9223372036854775808,\"9,12345678901234567890123\\\"\",0.1,1.5e3,1e2,100.0,-0,1.10,2.50e-3,5e-324]", 2, &[], &["the merchant id is missing"]),
    row("call --dry-run --mchid 19 favor.create_coupon_stock stock_use_rule.max_coupons=12345678901234567890123", 2, &[], &["/stock_use_rule/max_coupons: "]),
    row("call --dry-run --mchid 19 favor.start_stock /nowhere/at/all.json", 2, &[], &["/nowhere/at/all.json: cannot be read"]),
    // An account that is not there, or not right.
    row("call favor.start_stock stock_id=9 stock_creator_mchid=8", 2, &[], &["--mchid", "WECHATPAY_SERIAL_NO", "`private_key`", "--platform-cert", "WECHATPAY_APIV3_KEY"]),
    row("certs download --mchid 19", 2, &[], &["the APIv3 key is missing: set WECHATPAY_APIV3_KEY, or `apiv3_key`", "--private-key"]),
    row("raw GET /v3/certificates --json", 2, &["\"kind\":\"config\"", "\"problems\":["], &[]),
    row("raw GET /v3/certificates --mchid 19x --serial-no 5A:6B --public-key-id 7 --base-url ftp://x/y", 2, &[],
        &["--mchid: a merchant id is digits", "--serial-no: a serial number is hex", "--public-key-id: the id", "--base-url: base URL", "public key file, to go with its id"]),
    row("raw GET /v3/certificates --config /nowhere.toml", 2, &[], &["--config: /nowhere.toml: cannot be read"]),
    // Notifications that are none.
    row("notify decrypt /nowhere", 2, &[], &["/nowhere: cannot be read"]),
    piped("notify decrypt -", "{}", 2, &[], &["stdin:1: no empty line"]),
    piped("notify decrypt -", "{\n}\n", 2, &[], &["stdin:1: no header"]),
    piped("notify decrypt -", "Content-Length: 7\n\n{}", 2, &[], &["stdin: the body has 2 bytes, but Content-Length says 7"]),
    piped("notify decrypt -", "A: 1\n\n{}", 2, &[], &["the APIv3 key is missing"]),
    // Completions know the operations and the events.
    row("completions bash", 0, &["favor.create_coupon_stock", "COUPON.USE"], &[]),
    row("completions zsh", 0, &["#compdef wechatpay", "favor.create_coupon_stock"], &[]),
    row("completions fish", 0, &["complete -c wechatpay"], &[]),
    row("man --help", 0, &["Examples:"], &[]),
    row("man Cargo.toml/man", 5, &[], &["Cargo.toml/man cannot be written"]),
];

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("man1");
    assert_eq!(run(&["man", folder.to_str().unwrap()]).code, 0);
    let page =
        |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let overview = page("wechatpay.1");
    let named: Vec<_> = overview.lines().filter(|line| line.starts_with("wechatpay\\-")).collect();
    assert!(named.len() > 10, "{overview}");
    for line in named {
        let (name, section) =
            line.replace('\\', "").split_once('(').map(|(name, rest)| (name.to_owned(), rest.to_owned())).unwrap();
        assert!(section.starts_with("1)"), "{line}");
        let page = page(&format!("{name}.1"));
        assert!(page.contains(".SH DESCRIPTION") && page.contains(".SH SYNOPSIS"), "{page}");
    }
    // What is below a command has a page too, and examples are kept.
    assert!(page("wechatpay-codes-upload.1").contains("\\-\\-stock\\-id"));
    assert!(page("wechatpay-call.1").contains("wechatpay call favor.list_stocks"));
}

#[test]
fn every_command_line_ends_as_it_should() {
    let mut wrong = Vec::new();
    for row in ROWS {
        let arguments: Vec<_> = row.line.split(' ').filter(|word| !word.is_empty()).collect();
        let run = run_with(&mut command(&arguments), row.stdin.as_bytes());
        let missing = |text: &str, wanted: &[&str]| wanted.iter().any(|wanted| !text.contains(wanted));
        let silent = row.stdout.is_empty() && !run.stdout.is_empty() || row.code == 0 && run.stderr.contains("error");
        if run.code != row.code || missing(&run.stdout, row.stdout) || missing(&run.stderr, row.stderr) || silent {
            wrong.push(format!("{} {:?}\n{run:#?}", row.line, row.stdin));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn ops_as_json_is_a_line_for_each_operation() {
    let lines = run(&["ops", "--json"]).json();
    assert!(lines.len() >= 6);
    for line in &lines {
        for key in ["id", "method", "path", "title", "title_zh"] {
            assert!(line[key].as_str().is_some_and(|text| !text.is_empty()), "{key} of {line}");
        }
        assert!(line["query"].is_array() && line["errors"].is_array() && line["body"].is_string(), "{line}");
        assert!(["safe", "key", "none"].contains(&line["idempotency"]["kind"].as_str().unwrap()), "{line}");
    }
}

#[test]
fn every_operation_can_be_described() {
    for line in run(&["ops", "--json"]).json() {
        let id = line["id"].as_str().unwrap();
        let page = run(&["describe", id]);
        assert!(page.code == 0 && page.stdout.contains(id) && page.stderr.is_empty(), "{page:?}");
        let schema = run(&["describe", "--json", id]).json();
        assert_eq!((schema.len(), &schema[0]["id"]), (1, &line["id"]));
    }
}

/// Options of an account that only lacks what a row puts in.
fn account(private_key: &str, trust: [&str; 2]) -> Vec<String> {
    let mut options: Vec<_> =
        ["--mchid", "1900000001", "--serial-no", "5157F09E", "--private-key", private_key].map(str::to_owned).to_vec();
    let (id, pem) = ("PUB_KEY_ID_01", fixture("rsa2048.pub.pem"));
    match trust {
        ["", ""] => options.extend(["--public-key-id", id, "--public-key", &pem].map(str::to_owned)),
        given => options.extend(given.map(str::to_owned)),
    }
    options
}

#[test]
fn a_wrong_key_is_named_with_what_to_do() {
    let (own, platform) = (["", ""], "--platform-cert");
    let good = fixture("rsa2048.key.pem");
    let (public, certificate) = (fixture("rsa2048.pub.pem"), fixture("rsa2048.cert.pem"));
    let rows: Vec<(String, [&str; 2], &str)> = vec![
        (fixture("rsa2048.encrypted.key.pem"), own, "passphrase"),
        (fixture("rsa2048.pkcs1.key.pem"), own, "openssl pkcs8 -topk8"),
        (fixture("rsa2048.cert.pem"), own, "found a certificate"),
        (fixture("rsa2048.pub.pem"), own, "found a public key"),
        (fixture("ec.key.pem"), own, "not RSA"),
        (fixture("rsa1024.key.pem"), own, "1024 bits"),
        ("/nowhere.pem".to_owned(), own, "--private-key: /nowhere.pem: cannot be read"),
        (good.clone(), [platform, &public], "--platform-cert"),
        (good, ["--public-key", &certificate], "--public-key-id"),
    ];
    for (key, trust, wanted) in rows {
        let mut arguments = vec!["raw".to_owned(), "GET".to_owned(), "/v3/certificates".to_owned()];
        arguments.extend(account(&key, trust));
        let run = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(run.code == 2 && run.stderr.contains(wanted), "{wanted}: {run:?}");
    }
}

#[test]
fn a_platform_certificate_that_has_ended_is_not_trusted() {
    let ended = fixture("published/java.cert.pem");
    let options = account(&fixture("rsa2048.key.pem"), ["--platform-cert", &ended]);
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let run = run(&[&["raw", "GET", "/v3/certificates"][..], &options].concat());
    assert!(run.code == 2 && run.stderr.contains("the certificate ended on 2025-05-09; download"), "{run:?}");
    // A notification is judged by its own time.
    let capture = b"Wechatpay-Timestamp: 1\nWechatpay-Nonce: n\nWechatpay-Serial: 5A\nWechatpay-Signature: c2ln\n\n{}";
    for (now, exit) in [("2025-05-09T00:00:00Z", 4), ("2025-05-10T00:00:00Z", 2)] {
        let line = ["notify", "decrypt", "-", "--platform-cert", &ended, "--now", now];
        let run = run_with(command(&line).env("WECHATPAY_APIV3_KEY", "0123456789abcdef0123456789abcdef"), capture);
        assert_eq!(run.code, exit, "{now}: {run:?}");
    }
}

#[test]
fn an_apiv3_key_in_place_of_a_path_is_not_repeated() {
    let key = "x1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6";
    let run = run_with(command(&["raw", "GET", "/v3/certificates"]).env("WECHATPAY_PRIVATE_KEY", key), b"");
    assert!(run.code == 2 && run.stderr.contains("holds a key") && !run.stderr.contains(key), "{run:?}");
}

#[test]
fn a_key_in_place_of_its_path_is_not_repeated() {
    let pem = std::fs::read_to_string(fixture("rsa2048.key.pem")).unwrap();
    let bare: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let escaped = pem.trim_end().replace('\n', "\\n");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wechatpay.toml");
    for key in [&pem, &bare, &escaped, &bare[..64], &format!("box:{pem}")] {
        for (name, option) in [
            ("private_key", "--private-key"),
            ("public_key", "--public-key"),
            ("platform_cert", "--platform-cert"),
            ("", "--key"),
        ] {
            let mut runs = Vec::new();
            for json in [&[][..], &["--json"]] {
                let with = |line: &[&str]| command(&[line, json].concat());
                if name.is_empty() {
                    runs.push(with(&["explain-signature", "--method", "GET", "--target", "/", option, key]));
                    continue;
                }
                std::fs::write(&file, format!("{name} = {}", serde_json::json!(key))).unwrap();
                runs.push(with(&["raw", "GET", "/v3/certificates", "--config", file.to_str().unwrap()]));
                runs.push(with(&["raw", "GET", "/v3/certificates", option, key]));
                let mut command = with(&["raw", "GET", "/v3/certificates"]);
                command.env(format!("WECHATPAY_{}", name.to_uppercase()), key);
                runs.push(command);
            }
            for mut command in runs {
                let run = run_with(&mut command, b"");
                assert_eq!(run.code, 2, "{command:?}: {run:?}");
                let said = run.stdout + &run.stderr;
                // Less than 64 letters may be the name of a file.
                let piece = bare.get(..40).filter(|_| key.len() > 64).unwrap_or("-----");
                assert!(!said.contains(piece), "{command:?}: {said}");
                if key.len() > 64 {
                    assert!(said.contains("holds a key") && said.contains("path of"), "{command:?}: {said}");
                }
            }
        }
    }
}

#[test]
fn a_file_that_is_no_key_is_named_with_the_one_that_is_needed() {
    for file in ["Cargo.toml", "../../rustfmt.toml"] {
        let named =
            format!("{file}: private key: no PEM block in the text; needed are the contents of the private key file");
        let run = run(&["raw", "GET", "/v3/certificates", "--private-key", file]);
        assert!(run.code == 2 && run.stderr.contains(&named), "{run:?}");
        let run = crate::common::run(&["explain-signature", "--method", "GET", "--target", "/", "--key", file]);
        assert!(run.code == 2 && run.stderr.contains(file) && run.stderr.contains("no PEM block"), "{run:?}");
    }
}

#[test]
fn the_password_of_a_url_is_not_repeated() {
    let trigger = ["trigger", "COUPON.USE", "--to", "http://127.0.0.1:1/"];
    for url in ["http://user:s3cret@127.0.0.1:1", "http://user:s3 cret@127.0.0.1:1", "https://user:s3cret@x/y"] {
        for arguments in [&["raw", "GET", "/v3/certificates"][..], &trigger] {
            let run = run_with(command(arguments).env("WECHATPAY_BASE_URL", url), b"");
            assert!(run.code == 2 && run.stderr.contains("user"), "{run:?}");
            assert!(!run.stderr.contains("s3") && !run.stderr.contains("cret@"), "{run:?}");
        }
    }
}

#[test]
fn what_is_empty_is_not_set() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wechatpay.toml");
    let call = ["raw", "GET", "/v3/certificates"];
    let nothing = "nothing to verify answers with";
    let rows: [(&[&str], &str, &str, &str); 8] = [
        (&["--platform-cert", ""], "", "", nothing),
        (&[], ":", "", "WECHATPAY_PLATFORM_CERT: names no file"),
        (&["--platform-cert", ":"], "", "", "--platform-cert: names no file"),
        (&[], "", "platform_cert = \"\"", nothing),
        (&[], "", "platform_cert = \"::\"", "names no file"),
        (&["--public-key", "", "--public-key-id", ""], "", "", nothing),
        (&["--mchid", ""], "", "mchid = \"x\"", "`mchid` in "),
        (&["--platform-cert", ""], "/nowhere.pem", "", "WECHATPAY_PLATFORM_CERT: /nowhere.pem: cannot be read"),
    ];
    for (flags, environment, text, wanted) in rows {
        std::fs::write(&file, text).unwrap();
        let arguments = [&call[..], flags, &["--config", file.to_str().unwrap()]].concat();
        let run = run_with(command(&arguments).env("WECHATPAY_PLATFORM_CERT", environment), b"");
        assert!(run.code == 2 && run.stderr.contains(wanted), "{flags:?} {environment:?} {text}: {run:?}");
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wechatpay.toml");
    std::fs::write(&file, "mchid = \"1\"\nWECHATPAY_BASE_URL = \"http://file:1\"\n").unwrap();
    let call = "call --dry-run --json certificates.list --config";
    let mut arguments: Vec<_> = call.split(' ').collect();
    arguments.push(file.to_str().unwrap());
    let url = |command: &mut std::process::Command| run_with(command, b"").json()[0]["url"].clone();
    assert_eq!(url(&mut command(&arguments)), "http://file:1/v3/certificates");
    let environment = ("WECHATPAY_BASE_URL", "http://env:2");
    assert_eq!(url(command(&arguments).envs([environment])), "http://env:2/v3/certificates");
    assert_eq!(url(command(&arguments).envs([("WECHATPAY_BASE_URL", "")])), "http://file:1/v3/certificates");
    arguments.extend(["--base-url", "http://flag:3"]);
    assert_eq!(url(command(&arguments).envs([environment])), "http://flag:3/v3/certificates");
}

#[test]
fn a_configuration_file_is_judged_without_repeating_its_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wechatpay.toml");
    let rows = [
        ("apiv3_key = \"s3cret-s3cret-s3cret\nmchid=1", "line 1, column "),
        ("apiv3_key = \"s3cret-s3cret-s3cret\"", "20 bytes instead of 32"),
        ("apiv3_key = [\"s3cret-s3cret\"]", "must be a text in quotes"),
        ("mchidd = \"s3cret\"", "did you mean mchid?"),
        ("private_key = \"key.pem\"", "key.pem: cannot be read"),
    ];
    for (text, wanted) in rows {
        std::fs::write(&file, text).unwrap();
        let run = run(&["raw", "GET", "/v3/certificates", "--config", file.to_str().unwrap()]);
        assert!(run.code == 2 && run.stderr.contains(wanted), "{wanted}: {run:?}");
        assert!(!run.stderr.contains("s3cret"), "{run:?}");
    }
    // A path in a file is one beside that file.
    let key = directory.path().join("key.pem");
    let run = run(&["raw", "GET", "/v3/certificates", "--config", file.to_str().unwrap()]);
    assert!(run.stderr.contains(key.to_str().unwrap()), "{run:?}");
}

#[test]
fn nobody_reads_the_list_and_that_is_no_failure() {
    for line in [&["ops", "--json"][..], &["--help"], &["--version"], &["--json", "call", "--help"]] {
        // A pipe whose reading end is gone before the command begins.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(line).stdout(writer).output().unwrap();
        assert!(output.status.code() == Some(0) && output.stderr.is_empty(), "{line:?}: {output:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_local_failure() {
    let rows = [
        ("ops", 5, "cannot be written to stdout"),
        ("ops --json", 5, "cannot be written to stdout"),
        ("--help", 5, "cannot be written to stdout"),
        ("--json --version", 5, "cannot be written to stdout"),
        ("--json cal", 2, "unrecognized subcommand"),
        ("--json ops nothing", 2, "no family is called"),
    ];
    for (line, code, wanted) in rows {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(&line.split(' ').collect::<Vec<_>>()).stdout(full).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && stderr.contains(wanted), "{line}: {output:?}");
    }
}

#[test]
fn a_capture_with_more_headers_than_can_be_held_is_a_mistake() {
    let headers: String = (0..30_000).map(|number| format!("a{number}: 1\n")).collect();
    let lines = ["notify decrypt -", "explain-signature --reply -", "explain-signature --request -"];
    for line in lines {
        let capture = if line.ends_with("request -") { "GET / HTTP/1.1\n" } else { "" }.to_owned() + &headers + "\n";
        let run = run_with(&mut command(&line.split(' ').collect::<Vec<_>>()), capture.as_bytes());
        assert!(run.code == 2 && run.stderr.contains("more headers"), "{line}: {} {}", run.code, run.stderr);
    }
}

#[test]
fn a_file_may_have_any_name() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a=b.json"), "{\"stock_id\":\"9\",\"stock_creator_mchid\":\"8\"}").unwrap();
    let absolute = directory.path().join("a=b.json");
    for name in ["a=b.json", "./a=b.json", absolute.to_str().unwrap()] {
        let line = ["call", "--dry-run", "--mchid", "19", "favor.start_stock", name, "stock_id=10"];
        let run = run_with(command(&line).current_dir(directory.path()), b"");
        assert!(run.code == 0 && run.stdout.contains("/stocks/10/start"), "{run:?}");
    }
}

#[test]
fn colour_is_for_terminals() {
    for arguments in [&["describe", "favor.start_stock"][..], &["ops"]] {
        let run = run(arguments);
        assert!(!run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'), "{run:?}");
    }
    let coloured = run_with(command(&["ops"]).env("CLICOLOR_FORCE", "1"), b"");
    assert!(coloured.stdout.contains('\u{1b}'));
}
