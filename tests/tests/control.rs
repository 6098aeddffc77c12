//! The control interface as others see it: its OpenAPI document, its filters, other sites, and the page in a browser.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use wechatpay_hyper::Hyper;
use wechatpay_model::favor::{GetStock, UploadImage};
use wechatpay_protocol::{Client, File};
use wechatpay_sandbox::{Basis, Sandbox};
use wechatpay_tests::rehearsal::Rehearsal;
use wechatpay_tests::road::{WithHeader, base, client, merchant, public_key};
use wechatpay_tests::stocks;

const SHA256_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// Sends a request with further lines of headers; status and body.
fn ask(sandbox: &Sandbox, method: &str, target: &str, headers: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(sandbox.address()).unwrap();
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {}\r\n", sandbox.address()) };
    let length = body.len();
    let head =
        format!("{method} {target} HTTP/1.1\r\n{host}{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
}

fn get(sandbox: &Sandbox, path: &str) -> Value {
    let (status, _, body) = ask(sandbox, "GET", &format!("/_sandbox/{path}"), "", "");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// One right call, and one whose body was signed in other words than it is sent; in its target a piece of HTML.
async fn used() -> Sandbox {
    let sandbox = Sandbox::start().await.unwrap();
    let target = "/v3/marketing/favor/coupon-stocks?x=%3Cscript%3E";
    call_rightly_and_wrongly(&sandbox, target, &json!({"stock_name": "<script>document.title='owned'</script>"})).await;
    sandbox
}

async fn call_rightly_and_wrongly(sandbox: &Sandbox, target: &str, body: &Value) {
    let get = GetStock::builder().stock_id("98065001").stock_creator_mchid("1900000001").build();
    client(sandbox, Hyper::new()).send(&get).await.unwrap_err();
    let credentials = sandbox.merchant();
    let hyper = Hyper::new();
    let rewriting = move |request: http::Request<bytes::Bytes>| {
        let (mut parts, body) = request.into_parts();
        parts.headers.remove("content-length");
        let body = String::from_utf8(body.to_vec()).unwrap().replace(':', ": ");
        let hyper = hyper.clone();
        async move { wechatpay_protocol::Transport::call(&hyper, http::Request::from_parts(parts, body.into())).await }
    };
    let wrong = Client::new(rewriting, merchant(&credentials), public_key(&credentials)).with_base_url(base(sandbox));
    let error = wrong.post(target, body).await.unwrap_err();
    assert_eq!(error.status(), Some(401), "{error}");
}

fn post(sandbox: &Sandbox, path: &str, body: &Value) -> Value {
    let (status, _, answer) = ask(sandbox, "POST", &format!("/_sandbox/{path}"), "", &body.to_string());
    assert_eq!(status, 200, "{path}: {answer}");
    serde_json::from_str(&answer).unwrap()
}

/// An event that nobody listens for: its attempt fails at once.
fn event() -> Value {
    json!({"event": "COUPON.USE", "to": "http://127.0.0.1:1/notify", "fields": {"stock_id": "<script>x"}, "unchecked": true})
}

/// Every path is asked for what its row says; the schemas are held against what is sent and what is answered.
#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_lists_what_is_there_and_tells_the_truth() {
    let sandbox = used().await;
    let document = get(&sandbox, "openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    for (path, body) in [
        ("faults", json!({"fault": "forge", "operation": "favor", "nth": 99, "probability": 0.5})),
        ("merchants", json!({"mchid": "1900000002"})),
        ("trigger", event()),
        ("clock", json!({"advance_seconds": 1})),
        ("settings", json!({"stall_ms": 5})),
        ("snapshot", get(&sandbox, "snapshot")),
        ("rotate", json!({})),
    ] {
        let operation = &document["paths"][format!("/_sandbox/{path}")]["post"];
        let sent = &operation["requestBody"]["content"]["application/json"]["schema"];
        let answered = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        let answer = post(&sandbox, path, &body);
        assert_eq!(wrong(&document, answered, &answer), Vec::<String>::new(), "{path}: {answer}");
        assert!(answered != &json!(true) && (sent.is_object() || path == "rotate"), "{path}");
        assert!(sent.is_null() || wrong(&document, sent, &body).is_empty(), "{path}");
    }
    // Restoring has forgotten nothing but what came after the snapshot; the event is triggered again.
    post(&sandbox, "trigger", &event());
    let mut listed = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            listed.push(format!("{} {path}", method.to_uppercase()));
            assert!(!operation["summary"].as_str().unwrap().is_empty());
            let named = |parameter: &Value| format!("{{{}}}", parameter["name"].as_str().unwrap());
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let inside: Vec<_> = parameters.iter().filter(|parameter| parameter["in"] == "path").map(named).collect();
            assert_eq!(inside, path.split('/').filter(|step| step.starts_with('{')).collect::<Vec<_>>(), "{path}");
            let content = operation["responses"]["200"]["content"].as_object().unwrap();
            let (content_type, content) = content.iter().next().unwrap();
            if method != "get" {
                assert_ne!(ask(&sandbox, "PUT", path, "", "").0, 200, "{path}");
                continue;
            }
            let (status, head, body) = ask(&sandbox, "GET", path, "", "");
            assert_eq!(status, 200, "{path}");
            assert!(head.contains(&format!("content-type: {content_type}")), "{path}: {head}");
            if content_type == "application/json" {
                let wrong = wrong(&document, &content["schema"], &serde_json::from_str(&body).unwrap());
                assert!(wrong.is_empty(), "{path}: {wrong:?}");
            }
        }
    }
    // What an unknown path lists is the router's own table.
    let (status, _, body) = ask(&sandbox, "GET", "/_sandbox/nothing", "", "");
    let said: Value = serde_json::from_str(&body).unwrap();
    let known = said["error"].as_str().unwrap().split("there are ").nth(1).unwrap();
    let mut known: Vec<_> = known.split(", ").map(str::to_owned).collect();
    known.sort();
    listed.sort();
    assert_eq!((status, known), (404, listed));
    // A schema that takes anything would pass all of this.
    let schema = &document["paths"]["/_sandbox/requests"]["get"]["responses"]["200"]["content"]["application/json"];
    assert!(!wrong(&document, &schema["schema"], &json!({"requests": [{"id": "x"}]})).is_empty());
}

fn wrong(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let whole = json!({"allOf": [schema], "components": document["components"]});
    let judge: Validator = jsonschema::options().with_draft(Draft::Draft201909).build(&whole).unwrap();
    judge.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_filtered_newest_first() {
    let sandbox = used().await;
    let ids = |query: &str| -> Vec<u64> {
        let found = get(&sandbox, &format!("requests{query}"));
        found["requests"].as_array().unwrap().iter().map(|request| request["id"].as_u64().unwrap()).collect()
    };
    assert_eq!(ids(""), [2, 1]);
    assert_eq!(ids("?limit=1"), [2]);
    assert_eq!((ids("?status=401"), ids("?status=404"), ids("?status=200")), (vec![2], vec![1], vec![]));
    assert_eq!((ids("?operation=favor.get_stock"), ids("?operation=favor.start_stock")), (vec![1], vec![]));
    assert_eq!((ids("?mchid=1900000001"), ids("?mchid=1")), (vec![1], vec![]));
    assert_eq!((ids("?failed=signature"), ids("?failed=state"), ids("?failed=rules")), (vec![2], vec![1], vec![]));
    assert_eq!(ids("?operation=&status=&limit=1&failed=state"), [1]);
    for query in ["limit=x", "status=99999", "failed=luck", "color=red"] {
        let (status, _, body) = ask(&sandbox, "GET", &format!("/_sandbox/requests?{query}"), "", "");
        assert!(status == 400 && body.contains("openapi.json") || body.contains("signature, route"), "{query}: {body}");
    }
    let entry = &get(&sandbox, "requests?failed=signature")["requests"][0];
    let explanation = &entry["explanation"];
    assert_eq!((&explanation["cause"], &entry["basis"]), (&json!("body-reserialised"), &json!("observed")));
    assert!(explanation["received"].as_str().unwrap().contains("\"stock_name\":\"<script>"), "{explanation}");
}

/// What `curl -d` sends is called a form, whatever it is.
#[tokio::test(flavor = "multi_thread")]
async fn json_that_is_called_a_form_is_read_as_json() {
    let sandbox = used().await;
    let settings = |body: &str| {
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        let (status, head, body) = ask(&sandbox, "POST", "/_sandbox/settings", headers, body);
        assert!(head.contains("content-type: application/json"), "{head}");
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let (status, answer) = settings(r#"{"rate_limits": true}"#);
    assert_eq!((status, &answer["rate_limits"], sandbox.settings().rate_limits), (200, &json!(true), true));
    assert_eq!(settings("\n {\"rate_limits\": false}").0, 200);
    assert!(!sandbox.settings().rate_limits);
    for (wrong, named) in [(r#"{"rate_limits"#, "not JSON"), (r#"{"no_such": 1}"#, "no_such")] {
        let (status, answer) = settings(wrong);
        assert!(status == 400 && answer["error"].as_str().unwrap().contains(named), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sites_cannot_give_orders() {
    let sandbox = used().await;
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let own = format!("Origin: http://{}\r\n{form}", sandbox.address());
    for headers in ["Origin: http://evil.example\r\n", "Origin: null\r\n", "Host: evil.example\r\n"] {
        for method in ["GET", "POST"] {
            let (status, _, body) = ask(&sandbox, method, "/_sandbox/reset", &format!("{headers}{form}"), "json={}");
            assert_eq!(status, 403, "{method} {headers}: {body}");
        }
    }
    assert_eq!(sandbox.requests().len(), 2, "nothing was forgotten");
    let before = sandbox.now();
    let (status, head, _) = ask(&sandbox, "POST", "/_sandbox/clock", &own, "advance_seconds%3Ainteger=86400");
    assert!(status == 303 && head.contains("location: /_sandbox/\r\n"), "{head}");
    assert!(sandbox.now() >= before + 86_400);
    let (status, head, body) = ask(&sandbox, "POST", "/_sandbox/clock", &own, "set=%3Cscript%3E");
    assert!(status == 400 && head.contains("text/html") && body.contains("&lt;script&gt;"), "{status} {body}");
    assert!(!body.contains("<script>"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_opens_control_opens_it_under_any_name_but_not_to_other_sites() {
    let (open, closed) = (Sandbox::builder().allow_remote_control().start().await.unwrap(), used().await);
    let host = "Host: box.example:8080\r\n";
    for (headers, allowed) in [
        (host.to_owned(), true),
        (format!("{host}Origin: http://box.example:8080\r\n"), true),
        (format!("{host}Origin: http://evil.example\r\n"), false),
    ] {
        let status = |sandbox| ask(sandbox, "GET", "/_sandbox/health", &headers, "").0;
        assert_eq!((status(&open), status(&closed)), (if allowed { 200 } else { 403 }, 403), "{headers}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_rules_are_added_and_removed_on_the_page() {
    let sandbox = used().await;
    let form = |path: &str, body: &str| {
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        ask(&sandbox, "POST", &format!("/_sandbox/{path}"), headers, body)
    };
    let page = || ask(&sandbox, "GET", "/_sandbox/", "", "").2;
    assert_eq!(form("faults", "fault=forge&operation=&nth%3Ainteger=2&times%3Ainteger=").0, 303);
    assert!(page().contains("<code>forge;nth=2</code>") && page().contains("action=\"/_sandbox/faults/1\""));
    assert_eq!(form("faults", "fault=explode").0, 400);
    assert_eq!(form("faults/1", "_method=DELETE").0, 303);
    assert!(!page().contains("forge;nth=2") && get(&sandbox, "faults") == json!({"faults": []}));
    assert_eq!((form("faults/1", "_method=DELETE").0, form("faults/x", "_method=DELETE").0), (404, 400));
}

/// What is too large to be read is in the log all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_logged() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut stream = TcpStream::connect(sandbox.address()).unwrap();
    let head =
        format!("POST /v3/huge?a=1 HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n", sandbox.address(), 5 << 20);
    stream.write_all(head.as_bytes()).unwrap();
    // The connection may be closed on what nobody wants to read, and the answer be lost with it.
    let written = stream.write_all(&vec![b' '; 5 << 20]);
    let read = stream.read_to_end(&mut Vec::new());
    let last = sandbox.last_request().unwrap_or_else(|| panic!("{written:?} {read:?}"));
    let (method, target, status) = (last.method.as_str(), last.target.as_str(), last.status);
    assert_eq!((method, target, status), ("POST", "/v3/huge?a=1", Some(413)));
    assert!(last.why.contains("larger than 4 MiB"), "{}", last.why);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_without_a_boundary_is_read_by_guess_and_says_so() {
    let sandbox = Sandbox::start().await.unwrap();
    let request = UploadImage::builder().filename("a.png").sha256(SHA256_OF_ABC).build();
    let file = File { name: "a.png", bytes: b"abc" };
    client(&sandbox, Hyper::new()).upload(&request, file).await.unwrap();
    let usual = sandbox.last_request().unwrap();
    let bare = WithHeader(Hyper::new(), "content-type", "multipart/form-data".to_owned());
    client(&sandbox, bare).upload(&request, file).await.unwrap();
    let guessed = sandbox.last_request().unwrap();
    assert_eq!((usual.basis, guessed.basis), (Basis::Documented, Basis::Guess));
    assert!(guessed.why.contains("names no boundary") && !usual.why.contains("boundary"), "{}", guessed.why);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_api_does_is_done_on_the_page() {
    let world = Rehearsal::start().await;
    let sandbox = &world.sandbox;
    let page = || ask(sandbox, "GET", "/_sandbox/", "", "").2;
    let form = |body: &str| {
        let (status, _, body) =
            ask(sandbox, "POST", "/_sandbox/act", "Content-Type: application/x-www-form-urlencoded\r\n", body);
        (status, body)
    };
    let stock = world.done("busifavor.create_stock", stocks::merchant(&[])).await["stock_id"].take();
    let stock = stock.as_str().unwrap();
    let shown = page();
    assert!(shown.contains(&format!("<option>{stock}</option>")), "a stock to choose");
    for act in
        ["pay", "pay_with_coupon", "refund", "user_receive", "user_delete", "audit", "console", "recharge_balance"]
    {
        assert!(shown.contains(&format!("<button name=act value=\"{act}\">")), "{act}");
    }
    let state = || sandbox.ledger().stocks[0].status;
    assert_eq!((form(&format!("act=console&stock_id={stock}&activity_id=&to=pause")).0, state()), (303, "PAUSED"));
    assert_eq!((form(&format!("act=console&stock_id={stock}&to=restart")).0, state()), (303, "RUNNING"));
    assert_eq!(form("act=recharge_balance&mchid=1900000109&amount%3Ainteger=500").0, 303);
    assert_eq!(sandbox.ledger().accounts[0].recharged, 500);
    // Why it cannot be done is said on a page, too.
    let (status, said) = form(&format!("act=console&stock_id={stock}&to=restart"));
    assert!(status == 400 && said.contains("cannot be moved by console"), "{said}");
}

/// A browser of the family of Chromium: the one that is named, as `cargo xtask ci` does, or one that is installed.
fn browser() -> Option<OsString> {
    let runs = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    std::env::var_os("WECHATPAY_BROWSER").or_else(|| names.into_iter().find(runs).map(OsString::from))
}

/// The page as it is written, and in a browser, where there is one. Without JavaScript it says the same: the text is looked
/// for in what the server wrote.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_why_a_signature_failed() {
    let sandbox = used().await;
    post(&sandbox, "trigger", &event());
    post(&sandbox, "faults", &json!({"fault": "stall", "nth": 7}));
    let (status, head, plain) = ask(&sandbox, "GET", "/_sandbox/", "", "");
    assert_eq!(status, 200);
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    let (_, _, reflected) = ask(&sandbox, "GET", "/_sandbox/?operation=%22%3E%3Cscript%3Ex%3C/script%3E", "", "");
    assert!(reflected.contains("&quot;&gt;&lt;script&gt;x") && !reflected.contains("<script>x"), "{reflected}");
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page");
    let profile = target.join(format!("profile-{}", std::process::id()));
    std::fs::create_dir_all(&target).unwrap();
    let url = format!("{}/_sandbox/", sandbox.base_url());
    let browser = browser();
    let (drawn, browser) = (browser.is_some(), browser.unwrap_or_default());
    let chromium = |arguments: &[&str]| {
        let mut command = Command::new(&browser);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--virtual-time-budget=5000",
        ]);
        command.arg(format!("--user-data-dir={}", profile.display())).args(arguments).arg(&url);
        let output = command.output().expect("the browser that WECHATPAY_BROWSER names is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let dom = drawn.then(|| chromium(&["--dump-dom"]));
    for html in [&plain].into_iter().chain(&dom) {
        for text in [
            "body-reserialised",
            "To be signed",
            "What was signed",
            "Make the JSON text once",
            "basis observed",
            "<mark>",
            "COUPON.USE",
            "1 attempt<",
            "stall;nth=7",
        ] {
            assert!(html.contains(text), "{text} is not in {html}");
        }
        assert!(
            !html.contains("<script>document") && !html.contains("<script>x") && !html.contains("<title>owned"),
            "{html}"
        );
    }
    if !drawn {
        eprintln!("no browser is installed, so nobody has looked at the page");
        return;
    }
    let picture = |name: &str, size: &str| {
        let file = target.join(format!("{name}.png"));
        let _ = std::fs::remove_file(&file);
        chromium(&[&format!("--screenshot={}", file.display()), size]);
        let picture = std::fs::read(&file).unwrap();
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 20_000, "{}", file.display());
    };
    picture("wide", "--window-size=1200,1500");
    picture("narrow", "--window-size=500,1600");
    // The one in docs/: see CONTRIBUTING.md.
    sandbox.reset();
    client(&sandbox, Hyper::new()).get("/v3/certificates").await.unwrap();
    let body = json!({"stock_name": "Ten off 100", "out_request_no": "campaign-1"});
    call_rightly_and_wrongly(&sandbox, "/v3/marketing/favor/coupon-stocks", &body).await;
    picture("docs", "--window-size=1200,1000");
    let _ = std::fs::remove_dir_all(profile);
}
