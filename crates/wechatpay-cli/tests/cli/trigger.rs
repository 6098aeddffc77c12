//! Events on request, to a receiver that keeps what comes and has the command judge it.

use crate::common::{Sandbox, head, run, server};
use serde_json::json;
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};

/// A receiver that answers with this status; it gives away what comes, as `notify decrypt` takes it.
fn receiver(status: &'static str) -> (String, Receiver<String>) {
    let (keep, kept) = channel();
    let base = server(move |mut stream| {
        let head = String::from_utf8(head(&mut stream)).unwrap();
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        keep.send(head + &String::from_utf8(body).unwrap()).unwrap();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    });
    (format!("{base}/notify"), kept)
}

#[test]
fn an_event_is_sent_and_the_receiver_believes_it() {
    let sandbox = Sandbox::start();
    let (to, kept) = receiver("204 No Content");
    for (event, field, pointer, value) in [
        (
            "COUPON.USE",
            "consume_information.goods_detail.0.quantity=3",
            "/consume_information/goods_detail/0/quantity",
            json!(3),
        ),
        ("COUPON.SEND", "stock_id=4711", "/stock_id", json!("4711")),
    ] {
        let sent = sandbox.run(&["--json", "trigger", event, "--to", &to, field]);
        assert_eq!((sent.code, sent.stderr.as_str()), (0, ""), "{sent:?}");
        let sent = sent.json()[0].clone();
        assert_eq!((&sent["standing"], &sent["attempts"][0]["status"]), (&json!("delivered"), &json!(204)));
        assert_eq!(sent["mchid"], sandbox.mchid());

        let capture = sandbox.file("notification.txt", kept.recv().unwrap());
        let read = sandbox.run(&["--json", "notify", "decrypt", capture.to_str().unwrap()]);
        assert_eq!(read.code, 0, "{read:?}");
        let read = read.json()[0].clone();
        assert_eq!((&read["id"], &read["event_type"]), (&sent["id"], &json!(event)));
        assert_eq!((&read["resource"], read["resource"].pointer(pointer)), (&sent["payload"], Some(&value)));
    }
    assert_eq!(sandbox.control("GET", "events", &json!({}))["events"].as_array().map(Vec::len), Some(2));
    assert_eq!(sandbox.control("GET", "ledger", &json!({}))["coupons"], json!([]), "nothing has happened");
    let people = sandbox.run(&["trigger", "COUPON.USE", "--to", &to]);
    assert!(people.code == 0 && people.stderr.contains("was accepted by"), "{people:?}");
}

#[test]
fn an_event_is_for_the_brand_that_the_shell_has_read() {
    let sandbox = Sandbox::with(&["--brand", "120344"]);
    let (to, kept) = receiver("204 No Content");
    let trigger = ["--json", "trigger", "COUPON.USE", "--to", &to];
    let rows: [(&[&str], &str); 3] =
        [(&[], "120344"), (&["--mchid", ""], "120344"), (&["--mchid", sandbox.mchid()], "")];
    for (more, brand) in rows {
        let sent = sandbox.run_with(&mut sandbox.command_of_brand("120344", &[&trigger, more].concat()), b"");
        assert_eq!(sent.code, 0, "{sent:?}");
        let whose = if brand.is_empty() { sandbox.mchid() } else { brand };
        assert_eq!(sent.json()[0]["mchid"], whose, "{sent:?}");
        let capture = sandbox.file("notification.txt", kept.recv().unwrap());
        let decrypt = ["--json", "notify", "decrypt", capture.to_str().unwrap()];
        let read = sandbox.run_with(&mut sandbox.command_of_brand("120344", &decrypt), b"");
        assert_eq!(read.code, if brand.is_empty() { 4 } else { 0 }, "{read:?}");
    }
}

#[test]
fn what_is_not_sent_or_not_accepted_says_why() {
    let sandbox = Sandbox::start();
    let (refuses, _kept) = receiver("500 Internal Server Error");
    let rows: [(&[&str], i32, &str, &str); 7] = [
        (&["COUPON.USE", "--to", &refuses], 1, "refused", "status 500"),
        (&["COUPON.USE", "--to", "http://127.0.0.1:1/"], 3, "transport", "no connection"),
        (&["COUPON.USE", "--to", "http://merchant.example/"], 2, "input", "loopback"),
        (&["COUPON.USE", "--to", &refuses, "stok_id=1"], 2, "input", "/stok_id"),
        (&["COUPON.USE", "--to", &refuses, "--mchid", "1"], 2, "input", "no merchant"),
        (&["COUPON.USED", "--to", &refuses], 2, "usage", "did you mean COUPON.USE?"),
        (&["COUPON.USE", "--to", &refuses, "stock_id"], 2, "usage", "names no field"),
    ];
    for (arguments, code, kind, named) in rows {
        let run = sandbox.run(&[&["--json", "trigger"], arguments].concat());
        let error = run.error();
        assert_eq!((run.code, error["kind"].as_str()), (code, Some(kind)), "{run:?}");
        assert!(error["message"].as_str().unwrap().contains(named), "{named}: {run:?}");
    }
    let unchecked = sandbox.run(&["trigger", "COUPON.USE", "--to", &refuses, "stok_id=1", "--unchecked"]);
    assert_eq!(unchecked.code, 1, "{unchecked:?}");
}

#[test]
fn only_a_sandbox_on_this_machine_is_asked() {
    let trigger = ["--json", "trigger", "COUPON.USE", "--to", "http://127.0.0.1:1/"];
    for (sandbox, code, named) in [
        (None, 2, "no sandbox is named"),
        (Some("https://api.mch.weixin.qq.com"), 2, "no sandbox on this machine"),
        (Some("http://sandbox.example"), 2, "no sandbox on this machine"),
        (Some("http://127.0.0.1:1"), 3, "does not answer"),
    ] {
        let named_sandbox = sandbox.map(|url| ["--sandbox", url]);
        let run = run(&[&trigger[..], named_sandbox.as_ref().map_or(&[][..], |pair| &pair[..])].concat());
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.error()["message"].as_str().unwrap().contains(named), "{run:?}");
    }
}
