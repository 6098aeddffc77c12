//! `wechatpay explain-signature`, with messages that openssl has signed.

use crate::common::{Run, command, fixture, run_with};
use std::io::Write;
use std::process::{Command, Stdio};

/// The signature of a message by the key of the fixtures, in base64.
fn signature(message: &str) -> String {
    let pipe = |arguments: &[&str], input: &[u8]| {
        let mut command = Command::new("openssl");
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().stdout
    };
    let signature = pipe(&["dgst", "-sha256", "-sign", &fixture("rsa2048.key.pem")], message.as_bytes());
    String::from_utf8(pipe(&["base64", "-A"], &signature)).unwrap().trim().to_owned()
}

fn request(signed_body: &str, sent_body: &str) -> String {
    let message = format!("POST\n/v3/a?b=c\n1767578400\nn\n{signed_body}\n");
    format!(
        "POST /v3/a?b=c HTTP/1.1\r\nHost: x\r\nAuthorization: WECHATPAY2-SHA256-RSA2048 mchid=\"19\",nonce_str=\"n\",\
         timestamp=\"1767578400\",serial_no=\"0A0B0C0D0E0F101112131415161718191A1B1C1D\",signature=\"{}\"\r\n\
         Content-Length: {}\r\n\r\n{sent_body}\n",
        signature(&message),
        sent_body.len()
    )
}

fn explain(arguments: &[&str], stdin: &str) -> Run {
    let arguments: Vec<_> = ["explain-signature"].iter().chain(arguments).copied().collect();
    run_with(&mut command(&arguments), stdin.as_bytes())
}

#[test]
fn a_brands_request_is_judged_by_the_key_at_hand() {
    let as_brand = |request: String| {
        request.replace("WECHATPAY2-", "WECHATPAY-BRAND-").replace("mchid=", "brand_id=").replace("/v3/a", "/brand/a")
    };
    let certificate = fixture("rsa2048.cert.pem");
    let arguments = ["--request", "-", "--key", &certificate, "--mchid", "19", "--json"];
    // The signature is over the path of a merchant.
    let run = explain(&arguments, &as_brand(request("{}", "{}")));
    assert!(run.code == 4 && run.stdout.contains("\"also\":[]") && run.stdout.contains("other-message"), "{run:?}");
    let half = request("{}", "{}").replace("WECHATPAY2-", "WECHATPAY-BRAND-");
    assert!(explain(&arguments, &half).stdout.contains("\"cause\":\"brand-or-merchant\""));
}

#[test]
fn a_request_is_explained_from_a_file_and_from_its_parts() {
    let (certificate, key) = (fixture("rsa2048.cert.pem"), fixture("rsa2048.key.pem"));
    let good = explain(&["--request", "-", "--key", &certificate], &request("{\"a\":1}", "{\"a\":1}"));
    assert_eq!((good.code, good.stdout.as_str()), (0, "the signature is right\n"), "{good:?}");

    let wrong = request("{\"a\":1}", "{\"a\": 1}");
    let told = explain(&["--request", "-", "--key", &certificate], &wrong);
    assert_eq!(told.code, 4, "{told:?}");
    for text in ["body-reserialised", "in line 5", "  - {\"a\": 1}\\n\n         ^\n  + {\"a\":1}\\n\n", "    POST\\n\n"]
    {
        assert!(told.stdout.contains(text), "{text:?} is not in {}", told.stdout);
    }
    let told = explain(&["--json", "--request", "-", "--key", &key], &wrong);
    let [line] = told.json().try_into().unwrap();
    assert_eq!((told.code, &line["verifies"], &line["cause"]), (4, &false.into(), &"body-reserialised".into()));
    let right = "POST\n/v3/a?b=c\n1767578400\nn\n{\"a\": 1}\n";
    assert_eq!((&line["expected"], &line["right_signature"]), (&right.into(), &signature(right).into()));
    assert_eq!(line["first_difference"]["at"], right.find(' ').unwrap());
    assert!(!told.stdout.contains("PRIVATE KEY"));

    let header = wrong.lines().find_map(|line| line.strip_prefix("Authorization: ")).unwrap();
    let parts = ["--method", "POST", "--target", "/v3/a?b=c", "--authorization", header, "--body", "-"];
    let parts =
        |more: &[&'static str]| -> Vec<String> { parts.iter().chain(more).map(|part| (*part).to_owned()).collect() };
    for (more, body, code, cause) in [
        (&[][..], "{\"a\":1}", 0, ""),
        (&["--now", "2026-01-05T10:05:00+08:00"], "{\"a\":1}", 0, ""),
        (&["--now", "2026-01-05T10:05:01+08:00"], "{\"a\":1}", 4, "stale"),
        (&["--mchid", "20"], "{\"a\":1}", 4, "merchant-mismatch"),
    ] {
        let mut arguments = parts(more);
        arguments.extend(["--key".to_owned(), certificate.clone()]);
        let told = explain(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), body);
        assert!(told.code == code && told.stdout.contains(cause), "{more:?}: {told:?}");
    }
}

#[test]
fn a_reply_is_explained_too() {
    let reply = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\nWechatpay-Timestamp: 1767578400\nWechatpay-Nonce: n\nWechatpay-Serial: PUB_KEY_ID_01\n\
             Wechatpay-Signature: {}\n\n{body}",
            signature("1767578400\nn\n{\"a\":1}\n")
        )
    };
    let arguments = ["--reply", "-", "--key", &fixture("rsa2048.pub.pem")];
    let (good, wrong) = (explain(&arguments, &reply("{\"a\":1}")), explain(&arguments, &reply("{\"a\":1}\n")));
    assert_eq!((good.code, wrong.code), (0, 4), "{good:?} {wrong:?}");
    assert!(wrong.stdout.contains("body-whitespace") && wrong.stdout.contains("editor"), "{wrong:?}");
}
