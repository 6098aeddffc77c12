//! `wechatpay codes` against a sandbox: whole uploads, inputs that cannot be used, interruptions.

use crate::common::{Run, Sandbox, exit_code, run, run_with, signal};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A merchant coupon stock of this mode, and its id.
pub(crate) fn stock(sandbox: &Sandbox, mode: &str, number: &str) -> String {
    let day = |days: u64| {
        let seconds =
            (SystemTime::now() + Duration::from_secs(days * 86_400)).duration_since(UNIX_EPOCH).unwrap().as_secs();
        let time = time::OffsetDateTime::from_unix_timestamp(seconds as i64).unwrap();
        time.format(&time::format_description::well_known::Rfc3339).unwrap()
    };
    let request = json!({
        "stock_name": "活动券", "belong_merchant": sandbox.mchid(), "goods_name": "全场商品", "stock_type": "NORMAL",
        "coupon_use_rule": {
            "coupon_available_time": { "available_begin_time": day(0), "available_end_time": day(30) },
            "fixed_normal_coupon": { "discount_amount": 500, "transaction_minimum": 1000 }, "use_method": "OFF_LINE"
        },
        "stock_send_rule": { "max_coupons": 1000, "max_coupons_per_user": 100 },
        "coupon_code_mode": mode, "out_request_no": number
    });
    let mut command = sandbox.command(&["--json", "call", "busifavor.create_stock", "-"]);
    let created = run_with(&mut command, request.to_string().as_bytes());
    assert_eq!(created.code, 0, "{created:?}");
    created.json()[0]["stock_id"].as_str().unwrap().to_owned()
}

/// So many codes, one on each line. The first thousand are looked for in what is printed.
pub(crate) fn lines(count: usize) -> String {
    let text: String = (0..count).map(|number| format!("c {number:07}=\n")).collect();
    text.lines().take(1000).for_each(|code| wechatpay_leaks::secret(code.as_bytes()));
    text
}

fn ledger(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.control("GET", "ledger", &Value::Null)["coupon_codes"].as_array().unwrap().clone()
}

fn uploads(sandbox: &Sandbox) -> usize {
    requests(sandbox, "busifavor.upload_coupon_codes")
}

fn requests(sandbox: &Sandbox, operation: &str) -> usize {
    let path = format!("requests?operation={operation}&limit=10000");
    sandbox.control("GET", &path, &Value::Null)["requests"].as_array().unwrap().len()
}

fn event<'a>(lines: &'a [Value], name: &str) -> &'a Value {
    lines.iter().find(|line| line["event"] == name).unwrap_or_else(|| panic!("no {name} in {lines:#?}"))
}

#[track_caller]
fn says(run: &Run, code: i32, words: &str) {
    assert_eq!(run.code, code, "{run:?}");
    assert!(run.stderr.contains(words), "{words:?} is not in {}", run.stderr);
}

#[test]
fn codes_are_uploaded_reported_and_verified() {
    let sandbox = Sandbox::start();
    let id = stock(&sandbox, "MERCHANT_UPLOAD", "1");
    let text = lines(1000);
    let file = sandbox.file("codes.txt", format!("{text}c 0000003=\n"));
    let file = file.to_str().unwrap();
    let upload = ["codes", "upload", "--json", "--verify", "--stock-id", &id, file];

    let first = sandbox.run(&upload);
    assert_eq!(first.code, 0, "{first:?}");
    assert!(!first.stdout.contains("c 000") && !first.stderr.contains("c 000"), "a code is in {first:?}");
    let events = first.json();
    assert_eq!((&event(&events, "plan")["codes"], &event(&events, "plan")["batches"]), (&json!(1000), &json!(5)));
    let found = event(&events, "verification");
    assert_eq!((&found["present"], &found["missing"], &found["others"]), (&json!(1000), &json!(0), &json!(0)));
    let summary = event(&events, "summary");
    assert_eq!((&summary["uploaded"], &summary["duplicates"]), (&json!(1000), &json!(1)));
    assert_eq!(summary["complete"], true);

    let taken: BTreeSet<_> = ledger(&sandbox).iter().map(|entry| entry["code"].as_str().unwrap().to_owned()).collect();
    assert!(taken.iter().map(String::as_str).eq(text.lines()));

    // The same line again finds nothing to do, over the other backend as well.
    let again = sandbox.run(&[&upload[..], &["--backend", "hyper"]].concat());
    assert_eq!((again.code, uploads(&sandbox)), (0, 5), "{again:?}");

    let journal = format!("{file}.wechatpay-journal");
    let status = sandbox.run(&["codes", "status", "--journal", &journal]);
    says(&status, 0, "");
    assert!(status.stdout.contains("1000 codes in 5 batches, 5 answered, 5 calls"), "{status:?}");
    let report = run(&["codes", "report", "--journal", &journal]);
    says(&report, 0, "1001 lines = 1 duplicate + 1000 uploaded");
    let rows: Vec<_> = report.stdout.lines().collect();
    assert_eq!(rows[0], "code,file,line,state,reason");
    assert_eq!(rows[1], format!("c 0000000=,{file},1,uploaded,"));
    assert_eq!(rows[1001], format!("c 0000003=,{file},1001,duplicate,stands at {file}:4 already"));
    let report = run(&["codes", "report", "--json", "--journal", &journal]).json();
    assert_eq!((report.len(), &report[1000]["state"], &report[7]["line"]), (1001, &json!("duplicate"), &json!(8)));

    // What another upload brings was there before it.
    let other = sandbox.file("other.txt", format!("{}new\n", lines(2)));
    let other = sandbox.run(&["codes", "upload", "--stock-id", &id, other.to_str().unwrap()]);
    assert_eq!(other.code, 0, "{other:?}");
    assert!(
        other.stdout.contains("uploaded           1") && other.stdout.contains("existed            2"),
        "{other:?}"
    );
}

#[test]
fn a_dry_run_sends_nothing_writes_nothing_and_needs_no_key() {
    let sandbox = Sandbox::start();
    let file = sandbox.file("codes.csv", "id,code\n1,A\n2,B\n3,A\n\n");
    let file = file.to_str().unwrap();
    let plan = ["codes", "upload", "--dry-run", "--stock-id", "1", "--column", "code", "--mchid", "1900000001", file];
    let people = run(&plan);
    assert_eq!(people.code, 0, "{people:?}");
    assert!(people.stdout.contains("2 codes in 1 batches; nothing was sent"), "{people:?}");
    assert!(people.stdout.contains(&format!("{file}:4 repeats {file}:2, and is sent once")), "{people:?}");
    let planned = run(&[&plan[..], &["--json"]].concat()).json();
    assert_eq!((&planned[0]["codes"], &planned[0]["duplicates"]), (&json!(2), &json!(1)));
    assert!(!sandbox.path("codes.csv.wechatpay-journal").exists());
    assert_eq!(sandbox.control("GET", "requests", &Value::Null)["requests"], json!([]));
}

#[test]
fn what_comes_over_stdin_is_kept_and_taken_up_again() {
    let sandbox = Sandbox::start();
    let id = stock(&sandbox, "MERCHANT_UPLOAD", "1");
    let journal = sandbox.path("stdin.journal");
    let journal = journal.to_str().unwrap();
    let upload = ["codes", "upload", "--stock-id", &id, "--journal", journal, "-"];
    let text = lines(300);
    for _ in 0..2 {
        let run = sandbox.run_with(&mut sandbox.command(&upload), text.as_bytes());
        assert_eq!(run.code, 0, "{run:?}");
    }
    assert_eq!((ledger(&sandbox).len(), uploads(&sandbox)), (300, 2));
    let changed = sandbox.run_with(&mut sandbox.command(&upload), lines(301).as_bytes());
    says(&changed, 5, "the input has changed since it was planned, so nothing was sent: its digest was ");
    // The kept file is the input as well, and the report knows it.
    let kept = format!("{journal}.input");
    let again = sandbox.run(&["codes", "upload", "--stock-id", &id, "--journal", journal, &kept]);
    assert_eq!((again.code, uploads(&sandbox)), (0, 2), "{again:?}");
    assert!(!std::path::Path::new(&format!("{kept}.new")).exists());
    let unnamed = sandbox.run_with(&mut sandbox.command(&["codes", "upload", "--stock-id", &id, "-"]), b"A\n");
    says(&unnamed, 2, "stdin has no name");
}

#[test]
fn what_is_kept_of_stdin_is_never_replaced() {
    let sandbox = Sandbox::start();
    let id = stock(&sandbox, "MERCHANT_UPLOAD", "1");
    let journal = sandbox.path("stdin.journal");
    let journal = journal.to_str().unwrap();
    let kept = format!("{journal}.input");
    let upload = |stdin: &str| {
        let mut command = sandbox.command(&["codes", "upload", "--stock-id", &id, "--journal", journal, "-"]);
        sandbox.run_with(&mut command, stdin.as_bytes())
    };
    let bad = format!("{}no*code\n", lines(300));
    says(&upload(&bad), 2, "stdin:301: character 3 is `*`");
    // There is no journal yet, and this may be the only copy: neither other codes nor none take its place.
    for other in ["c 0000000=\n", ""] {
        says(&upload(other), 5, "stdin.journal.input: holds something else than stdin");
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), bad);
    }
    // The same again is judged again.
    says(&upload(&bad), 2, "stdin:301: character 3 is `*`");
    // The kept file on its own stdin, as after a run that was killed before there was a journal.
    std::fs::write(&kept, lines(300)).unwrap();
    let mut command = sandbox.command(&["codes", "upload", "--stock-id", &id, "--journal", journal, "-"]);
    let done = command.stdin(std::fs::File::open(&kept).unwrap()).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    assert_eq!((ledger(&sandbox).len(), uploads(&sandbox)), (300, 2));

    // A wrong pipe leaves nothing behind where the kept file is gone, and the right one brings it back.
    std::fs::remove_file(&kept).unwrap();
    says(&upload(&lines(301)), 5, "the input has changed since it was planned, so nothing was sent: its digest was ");
    assert!(!std::path::Path::new(&kept).exists());
    let again = upload(&lines(300));
    assert_eq!((again.code, uploads(&sandbox)), (0, 2), "{again:?}");
    says(&run(&["codes", "report", "--journal", journal]), 0, "300 lines = 300 uploaded");
    let folder = sandbox.path("").read_dir().unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: BTreeSet<_> = names.filter(|name| name.starts_with("stdin")).collect();
    assert!(left.iter().eq(["stdin.journal", "stdin.journal.input"]), "{left:?}");
}

#[test]
fn an_input_that_cannot_be_used_is_refused_with_its_place_and_nothing_is_sent() {
    let sandbox = Sandbox::start();
    let id = stock(&sandbox, "MERCHANT_UPLOAD", "1");
    let utf16: Vec<u8> = "\u{FEFF}abc\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let long = format!("ok\n{}\n", "x".repeat(10_000));
    for (name, bytes, words) in [
        ("empty.txt", Vec::new(), "empty.txt: there is no code in it; nothing was sent"),
        ("binary.txt", b"\x7fELF\x02\x01\0\0".to_vec(), "binary.txt: is a binary file"),
        ("utf16.txt", utf16, "utf16.txt: is UTF-16; save it as UTF-8"),
        (
            "33.txt",
            format!("ok\n{}\n", "x".repeat(33)).into_bytes(),
            "33.txt:2: 33 characters, and a code has 32 at most",
        ),
        ("tab.txt", b"ok\nok2\na\tb\n".to_vec(), "tab.txt:3: character 2 is a tab"),
        ("long.txt", long.into_bytes(), "long.txt:2: 10000 characters"),
        ("list.csv", b"id,code\n1,A\n".to_vec(), "is this a CSV file? then name its column"),
    ] {
        let file = sandbox.file(name, bytes);
        let run = sandbox.run(&["codes", "upload", "--stock-id", &id, file.to_str().unwrap()]);
        says(&run, 2, words);
        assert!(!sandbox.path(&format!("{name}.wechatpay-journal")).exists(), "{name}");
    }
    #[cfg(unix)]
    {
        let pipe = ["codes", "upload", "--stock-id", &id, "--journal", "pipe", "/dev/stdin"];
        says(&sandbox.run_with(&mut sandbox.command(&pipe), b"A\n"), 2, "/dev/stdin: is no regular file");
    }
    let gone = sandbox.run(&["codes", "upload", "--stock-id", &id, "nowhere.txt"]);
    says(&gone, 2, "nowhere.txt: cannot be read");
    let file = sandbox.file("codes.txt", "A\n");
    let file = file.to_str().unwrap();
    let stock = sandbox.run(&["codes", "upload", "--stock-id", "123456789012345678901", file]);
    says(&stock, 2, "/stock_id");
    says(&sandbox.run(&["codes", "upload", "--stock-id", &id, "--format", "csv", file]), 2, "--column");
    says(&sandbox.run(&["codes", "upload", "--stock-id", &id, "--rate", "0", file]), 2, "calls in a second");
    assert_eq!(uploads(&sandbox), 0);
}

#[test]
fn a_stock_that_takes_no_codes_costs_one_call_and_says_why() {
    let sandbox = Sandbox::with(&["--mchid", "1900000001", "--mchid", "1900000002"]);
    let (mine, wechat) = (stock(&sandbox, "MERCHANT_UPLOAD", "1"), stock(&sandbox, "WECHATPAY_MODE", "2"));
    let file = sandbox.file("codes.txt", lines(2000));
    let file = file.to_str().unwrap();
    let mut calls = 0;
    let mut refused = |command: &mut std::process::Command, words: &str| {
        let run = sandbox.run_with(command, b"");
        says(&run, 1, words);
        assert!(run.stderr.contains("run the same line again"), "{run:?}");
        assert!(run.stdout.contains("not sent        1800"), "{run:?}");
        calls += 1;
        assert_eq!(uploads(&sandbox), calls, "{words}");
    };
    let journal = |name: &str| sandbox.path(name).to_str().unwrap().to_owned();
    let upload = |id: &str, name: &str| {
        ["codes", "upload", "--stock-id", id, "--journal", &journal(name), file].map(str::to_owned).to_vec()
    };
    let of = |arguments: &[String]| sandbox.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    refused(&mut of(&upload("98065001", "unknown")), "404 RESOURCE_NOT_EXISTS");
    refused(&mut of(&upload(&wechat, "mode")), "MERCHANT_UPLOAD");
    let other = upload(&mine, "other");
    let other: Vec<_> = other.iter().map(String::as_str).collect();
    refused(&mut sandbox.command_of("1900000002", &other), "403 NOAUTH");
    assert_eq!(ledger(&sandbox), Vec::<Value>::new());
}

#[test]
fn another_journal_is_never_used_by_mistake() {
    let sandbox = Sandbox::start();
    let (one, two) = (stock(&sandbox, "MERCHANT_UPLOAD", "1"), stock(&sandbox, "MERCHANT_UPLOAD", "2"));
    let file = sandbox.file("codes.txt", lines(10));
    let file = file.to_str().unwrap();
    assert_eq!(sandbox.run(&["codes", "upload", "--stock-id", &one, file]).code, 0);
    says(&sandbox.run(&["codes", "upload", "--stock-id", &two, file]), 5, "belongs to another upload: its target is");
    std::fs::write(file, lines(11)).unwrap();
    says(&sandbox.run(&["codes", "upload", "--stock-id", &one, file]), 5, "its digest was");
    let journal = format!("{file}.wechatpay-journal");
    says(&run(&["codes", "report", "--journal", &journal]), 5, "its digest was");
    let bytes = std::fs::read(&journal).unwrap();
    for (name, content) in [("torn", &bytes[..bytes.len() / 3]), ("empty", b""), ("foreign", b"A\nB\n")] {
        let path = sandbox.file(name, content);
        let path = path.to_str().unwrap();
        let run = sandbox.run(&["codes", "upload", "--stock-id", &one, "--journal", path, file]);
        assert_eq!(run.code, 5, "{run:?}");
        assert!(run.stderr.contains("is damaged") || run.stderr.contains("is no journal"), "{run:?}");
        assert_eq!(std::fs::read(path).unwrap(), content);
    }
    let missing = run(&["codes", "status", "--journal", "nowhere"]);
    assert_eq!(missing.code, 5, "{missing:?}");
    assert_eq!(uploads(&sandbox), 1);
}

#[cfg(unix)]
#[test]
fn the_first_interruption_drains_and_a_second_process_is_refused() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let sandbox = Sandbox::start();
        let id = stock(&sandbox, "MERCHANT_UPLOAD", "1");
        let file = sandbox.file("codes.txt", lines(4000));
        let file = file.to_str().unwrap();
        let upload = ["codes", "upload", "--json", "--stock-id", &id, file];
        let mut command = sandbox.command(&[&upload[..], &["--rate", "8"]].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        // The first batch is answered, and others follow slowly.
        while !line.contains("\"progress\"") {
            line.clear();
            assert!(stdout.read_line(&mut line).unwrap() > 0);
        }
        says(
            &sandbox.run(&["codes", "status", "--journal", &format!("{file}.wechatpay-journal")]),
            5,
            "another process",
        );
        says(&sandbox.run(&["codes", "upload", "--stock-id", &id, file]), 5, "another process");
        signal(&child, name);
        let rest: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        assert_eq!(exit_code(&mut child), code, "{rest:?}");
        let summary = event(&rest, "summary");
        assert_eq!((&summary["unknown"], &summary["complete"]), (&json!(0), &json!(false)), "{summary}");
        assert_eq!(rest.last().unwrap()["error"]["kind"], "interrupted");
        let done = sandbox.run(&upload);
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!((ledger(&sandbox).len(), uploads(&sandbox)), (4000, 20));
    }
}

#[cfg(unix)]
#[test]
fn the_second_interruption_ends_it_at_once_and_nothing_is_lost() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        // The answer to the second batch does not come for a minute.
        let sandbox = Sandbox::with(&["--fault", "stall;operation=busifavor.upload_coupon_codes;nth=2"]);
        let id = stock(&sandbox, "MERCHANT_UPLOAD", "1");
        let file = sandbox.file("codes.txt", lines(4000));
        let upload = ["codes", "upload", "--json", "--concurrency", "1", "--stock-id", &id, file.to_str().unwrap()];
        let mut child = sandbox.command(&upload).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while uploads(&sandbox) < 2 {
            assert!(Instant::now() < deadline, "the second batch is not sent");
            std::thread::sleep(Duration::from_millis(10));
        }
        signal(&child, name);
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(stderr.any(|line| line.contains("interrupt again to stop at once")));
        assert!(child.try_wait().unwrap().is_none(), "it did not wait for the call under way");
        signal(&child, name);
        assert_eq!(exit_code(&mut child), code);

        let journal = format!("{}.wechatpay-journal", file.display());
        let status = sandbox.run(&["codes", "status", "--json", "--journal", &journal]).json();
        // The batch under way is marked as sent, and perhaps the one after it.
        assert!(status[0]["uploaded"] == 200 && status[0]["unknown"].as_u64() >= Some(200), "{status:?}");
        sandbox.control("DELETE", "faults", &Value::Null);
        let done = sandbox.run(&upload);
        assert_eq!(done.code, 0, "{done:?}");
        // One batch was sent twice, under one number.
        assert_eq!((ledger(&sandbox).len(), uploads(&sandbox)), (4000, 21));
        assert!(ledger(&sandbox).iter().all(|entry| entry["count"] == 1));
    }
}

#[test]
fn what_cannot_be_listed_is_not_sent_to_be_verified() {
    let sandbox = Sandbox::start();
    let file = sandbox.file("codes.txt", "A1\nA2\n");
    let coupon = ["--product-coupon-id", "1000000013", "--brand-id", "120344", "--stock-id", "1000000013001"];
    let upload = [&["codes", "upload", "--verify"][..], &coupon, &[file.to_str().unwrap()]].concat();
    says(&sandbox.run(&upload), 2, "cannot be listed, so leave --verify out; nothing was sent");
    assert_eq!(sandbox.control("GET", "requests", &Value::Null)["requests"], json!([]));
    assert!(!sandbox.path("codes.txt.wechatpay-journal").exists());
}

#[test]
fn a_list_that_is_refused_leaves_the_upload_complete_and_says_so() {
    let sandbox = Sandbox::with(&["--fault", "error=403:NOAUTH;operation=busifavor.list_coupon_codes;nth=1"]);
    let id = stock(&sandbox, "MERCHANT_UPLOAD", "1");
    let file = sandbox.file("codes.txt", lines(300));
    let upload = ["codes", "upload", "--verify", "--stock-id", &id, file.to_str().unwrap()];
    says(&sandbox.run(&upload), 1, "the upload is complete, and only the comparison with the list failed");
    says(&sandbox.run(&upload), 0, "300 of this input");
}

#[test]
fn the_exit_code_is_that_of_the_upload_though_nobody_reads() {
    let sandbox = Sandbox::start();
    let (mine, wechat) = (stock(&sandbox, "MERCHANT_UPLOAD", "1"), stock(&sandbox, "WECHATPAY_MODE", "2"));
    for (case, format) in [("people", &[][..]), ("machines", &["--json"])] {
        for (id, code, sent) in [(&mine, 0, 300), (&wechat, 1, 0), (&"98065001".to_owned(), 1, 0)] {
            let count = ledger(&sandbox).len();
            let text: String = (0..300).map(|number| format!("{case} {number}\n")).collect();
            let file = sandbox.file(&format!("{case}-{id}.txt"), text);
            let upload = ["codes", "upload", "--verify", "--stock-id", id, file.to_str().unwrap()];
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut command = sandbox.command(&[&upload[..], format].concat());
            let status = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::null()).status().unwrap();
            assert_eq!((status.code(), ledger(&sandbox).len() - count), (Some(code), sent), "{case} {id}");
        }
    }
}

#[test]
fn a_refusal_behind_a_lost_answer_leaves_the_outcome_unknown() {
    let upload = "operation=busifavor.upload_coupon_codes";
    let (lost, refused) = (format!("lose-reply;{upload};nth=1"), format!("error=403:NOAUTH;{upload};nth=2"));
    let sandbox = Sandbox::with(&["--fault", &lost, "--fault", &refused]);
    let id = stock(&sandbox, "MERCHANT_UPLOAD", "1");
    let file = sandbox.file("codes.txt", lines(200));
    let upload = ["codes", "upload", "--json", "--stock-id", &id, file.to_str().unwrap()];
    let first = sandbox.run(&upload);
    assert_eq!((first.code, uploads(&sandbox), ledger(&sandbox).len()), (3, 2, 200), "{first:?}");
    let events = first.json();
    assert_eq!(event(&events, "summary")["unknown"], 200);
    let error = &events.last().unwrap()["error"];
    assert_eq!((&error["code"], &error["unknown"]), (&json!("NOAUTH"), &json!(200)));
    assert!(error["message"].as_str().unwrap().ends_with("200 codes are in doubt"), "{error}");
    assert_eq!(sandbox.run(&upload).code, 0);
}

#[test]
fn an_answer_that_says_nothing_is_asked_for_again() {
    let sandbox = Sandbox::with(&["--fault", "deep-json;operation=busifavor.upload_coupon_codes;nth=2"]);
    let id = stock(&sandbox, "MERCHANT_UPLOAD", "1");
    let file = sandbox.file("codes.txt", lines(400));
    let upload = ["codes", "upload", "--json", "--stock-id", &id, file.to_str().unwrap()];
    let first = sandbox.run(&upload);
    assert_eq!(first.code, 3, "{first:?}");
    let events = first.json();
    let summary = event(&events, "summary");
    assert_eq!((&summary["uploaded"], &summary["unknown"], &summary["unclear"]), (&json!(200), &json!(200), &json!(0)));
    let error = &events.last().unwrap()["error"];
    assert_eq!((&error["kind"], error["next"].as_str().unwrap().contains("same line")), (&json!("unclear"), true));
    // The same number again, and it is known.
    let again = sandbox.run(&upload);
    assert_eq!((again.code, uploads(&sandbox), ledger(&sandbox).len()), (0, 3, 400), "{again:?}");
}

#[cfg(unix)]
#[test]
fn an_interruption_ends_the_reading_of_the_list() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        // The first page does not come for a minute.
        let sandbox = Sandbox::with(&["--fault", "stall;operation=busifavor.list_coupon_codes;nth=1"]);
        let id = stock(&sandbox, "MERCHANT_UPLOAD", "1");
        let file = sandbox.file("codes.txt", lines(300));
        let upload = ["codes", "upload", "--json", "--verify", "--stock-id", &id, file.to_str().unwrap()];
        let mut child = sandbox.command(&upload).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while requests(&sandbox, "busifavor.list_coupon_codes") < 1 {
            assert!(Instant::now() < deadline, "the list is not asked for");
            std::thread::sleep(Duration::from_millis(10));
        }
        signal(&child, name);
        assert_eq!(exit_code(&mut child), code);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let rest: Vec<Value> = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        assert_eq!(
            (&event(&rest, "summary")["uploaded"], &event(&rest, "summary")["complete"]),
            (&json!(300), &json!(true))
        );
        let error = &rest.last().unwrap()["error"];
        assert_eq!(error["kind"], "interrupted");
        assert!(error["message"].as_str().unwrap().contains("was not read to its end"), "{error}");
        // The same line reads it.
        let done = sandbox.run(&upload);
        assert_eq!((done.code, uploads(&sandbox)), (0, 2), "{done:?}");
    }
}

#[test]
fn a_full_pool_is_told_and_the_codes_that_fit_are_kept() {
    let sandbox = Sandbox::start();
    let id = stock(&sandbox, "MERCHANT_UPLOAD", "1");
    sandbox.control("POST", "settings", &json!({ "busifavor_code_limit": 1000 }));
    let file = sandbox.file("codes.txt", lines(3000));
    let run = sandbox.run(&["codes", "upload", "--json", "--stock-id", &id, file.to_str().unwrap()]);
    assert_eq!(run.code, 1, "{run:?}");
    let events = run.json();
    let summary = event(&events, "summary");
    assert_eq!(summary["uploaded"], 1000, "{summary}");
    let parts = ["uploaded", "existed", "refused", "unclear", "unknown", "not_sent"];
    assert_eq!(parts.iter().map(|part| summary[part].as_u64().unwrap()).sum::<u64>(), 3000);
    let error = &events.last().unwrap()["error"];
    assert!(error["remedy"] == "Upload to a new stock." && error["next"].is_string(), "{error}");
    assert_eq!(ledger(&sandbox).len(), 1000);
}
