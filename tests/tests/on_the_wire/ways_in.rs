//! HTTP, TLS and the proxy lead to the same sandbox, and to nothing else.

use crate::clients::{ADAPTERS, Asking, Way, ask, exchange};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use wechatpay_sandbox::{Basis, Sandbox};

const PATIENT: Duration = Duration::from_secs(20);

/// A directory that goes when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("wechatpay-wire-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        Self(directory)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What openssl says, on both of its outputs.
fn openssl(directory: &Path, arguments: &str) -> String {
    let mut command = Command::new("openssl");
    let output = command.current_dir(directory).args(arguments.split(' ')).stdin(std::process::Stdio::null()).output();
    let output = output.expect("openssl is installed");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_adapter_comes_in_every_way_and_verifies_what_it_gets() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    for way in [Way::Http, Way::Tls, Way::Proxy] {
        for adapter in ADAPTERS {
            let asking = Asking { way, timeout: PATIENT, fault: None };
            let got = ask(&sandbox, adapter, asking, &Value::Null).await;
            let got = got.unwrap_or_else(|error| panic!("{way:?} {adapter:?}: {error}"));
            assert_eq!(got["data"].as_array().map(Vec::len), Some(1), "{way:?} {adapter:?}");
        }
    }
    assert_eq!(sandbox.requests().len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_refuses_every_other_host_and_says_why() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let port = sandbox.address().port();
    for target in [
        "CONNECT example.com:443",
        "CONNECT api.mch.weixin.qq.com:80",
        "CONNECT api.mch.weixin.qq.com.example.com:443",
        "CONNECT 127.0.0.1:443",
        "GET http://example.com/v3/certificates",
        "GET http://127.0.0.1:1/v3/certificates",
        "GET http://me:secret@example.com/",
    ] {
        let request = format!("{target} HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n");
        let (answer, _) = exchange(&sandbox, Way::Http, &request);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{target}: {answer}");
        assert!(answer.contains("never contacts the outside") && !answer.contains("secret"), "{target}: {answer}");
        let logged = sandbox.last_request().expect("logged");
        assert_eq!((logged.status, logged.basis), (Some(403), Basis::Sandbox), "{target}");
        assert!(!logged.target.contains("secret"), "{}", logged.target);
    }
    // A proxy within TLS is none.
    let (answer, _) = exchange(
        &sandbox,
        Way::Tls,
        "CONNECT api.mch.weixin.qq.com:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    // The official hosts, and the sandbox itself, may be asked for in the proxy's form without a tunnel.
    for host in
        ["api2.mch.weixin.qq.com", "API.mch.weixin.qq.com", &format!("localhost:{port}"), &format!("127.0.0.1:{port}")]
    {
        let request =
            format!("GET http://{host}/v3/certificates HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let (answer, _) = exchange(&sandbox, Way::Http, &request);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{host}: {answer}");
        assert_eq!(sandbox.last_request().expect("logged").target, "/v3/certificates");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_believes_the_certificate_for_every_name() {
    let scratch = Scratch::new("names");
    let sandbox = Sandbox::builder().dir(&scratch.0).start().await.expect("a sandbox");
    let connect = format!("s_client -connect {} -CAfile ca.pem -verify_return_error", sandbox.address());
    for name in ["api.mch.weixin.qq.com", "api2.mch.weixin.qq.com", "download-service.wechatpay.cn", "localhost"] {
        let said = openssl(&scratch.0, &format!("{connect} -servername {name} -verify_hostname {name}"));
        assert!(said.contains("Verify return code: 0 (ok)"), "{name}: {said}");
    }
    for ip in ["127.0.0.1", "::1"] {
        let said = openssl(&scratch.0, &format!("{connect} -verify_ip {ip}"));
        assert!(said.contains("Verify return code: 0 (ok)"), "{ip}: {said}");
    }
    let said = openssl(&scratch.0, &format!("{connect} -verify_hostname pay.weixin.qq.com"));
    assert!(!said.contains("Verify return code: 0 (ok)"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_cannot_vouch_for_any_other_host() {
    let scratch = Scratch::new("authority");
    let sandbox = Sandbox::builder().dir(&scratch.0).start().await.expect("a sandbox");
    drop(sandbox);
    for (name, verdict) in [("api.mch.weixin.qq.com", "leaf.pem: OK"), ("example.com", "permitted subtree violation")] {
        std::fs::write(scratch.0.join("names"), format!("subjectAltName=DNS:{name}")).expect("written");
        openssl(&scratch.0, "req -new -newkey rsa:2048 -nodes -keyout leaf.key -subj /CN=leaf -out leaf.csr");
        let sign = "x509 -req -in leaf.csr -CA ca.pem -CAkey server/ca_key.pem -extfile names -days 1 -out leaf.pem";
        openssl(&scratch.0, sign);
        let said = openssl(&scratch.0, "verify -CAfile ca.pem leaf.pem");
        assert!(said.contains(verdict), "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_keeps_the_authority_and_says_how_to_come_in() {
    let scratch = Scratch::new("kept");
    let first = Sandbox::builder().dir(&scratch.0).start().await.expect("a sandbox");
    let authority = first.ca_pem().to_owned();
    assert_eq!(scratch.read("ca.pem"), authority);
    let described: Value = serde_json::from_str(&scratch.read("sandbox.json")).expect("JSON");
    for (name, value) in first.ready().as_object().expect("an object") {
        assert_eq!(&described[name], value, "{name}");
    }
    assert!(described["https_url"].as_str().is_some_and(|url| url.starts_with("https://127.0.0.1:")));
    let how = scratch.read("HOWTO.md");
    for said in [first.base_url(), first.merchant().serial_no, scratch.0.join("ca.pem").display().to_string()] {
        assert!(how.contains(&said), "{said}");
    }
    let environment = scratch.read("sandbox.env");
    assert!(environment.contains(&format!("# HTTPS_PROXY='{}'\n", first.proxy_url())), "{environment}");
    first.shutdown().await;

    // Whoever trusts the authority once trusts the next run too, whose certificate is another.
    let second = Sandbox::builder().dir(&scratch.0).start().await.expect("a sandbox");
    assert_eq!(second.ca_pem(), authority);
    let said =
        openssl(&scratch.0, &format!("s_client -connect {} -CAfile ca.pem -verify_return_error", second.address()));
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
    second.shutdown().await;

    // The key of another authority is noticed.
    let other = Scratch::new("other");
    drop(Sandbox::builder().dir(&other.0).start().await.expect("a sandbox"));
    std::fs::copy(other.0.join("server/ca_key.pem"), scratch.0.join("server/ca_key.pem")).expect("copied");
    let error = Sandbox::builder().dir(&scratch.0).start().await.expect_err("another key").to_string();
    assert!(error.contains("ca.pem") && error.contains("another key"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_trust_the_authority_is_in_the_log() {
    let scratch = Scratch::new("stranger");
    let sandbox = Sandbox::builder().dir(&scratch.0).start().await.expect("a sandbox");
    let said = openssl(&scratch.0, &format!("s_client -connect {} -verify_return_error", sandbox.address()));
    assert!(!said.contains("Verify return code: 0 (ok)"), "{said}");
    // The alert is read after the client has gone.
    let read = async {
        loop {
            match sandbox.last_request() {
                Some(logged) => break logged,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let logged = tokio::time::timeout(PATIENT, read).await.expect("it is logged");
    assert_eq!((logged.method.as_str(), logged.status), ("TLS", None));
    assert!(logged.why.contains("ca.pem"), "{}", logged.why);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_to_files_are_for_the_way_that_the_client_came() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    for (way, origin) in [
        (Way::Http, "http://localhost"),
        (Way::Tls, "https://localhost"),
        (Way::Proxy, "https://api.mch.weixin.qq.com"),
    ] {
        let host = origin.split("//").nth(1).expect("a host");
        let request =
            format!("GET /v3/x HTTP/1.1\r\nHost: {host}\r\nX-Sandbox-Fault: redirect\r\nConnection: close\r\n\r\n");
        let (answer, _) = exchange(&sandbox, way, &request);
        assert!(answer.contains(&format!("Location: {origin}/v3/redirected\r\n")), "{way:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn control_paths_are_for_loopback_whichever_way_it_comes() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    for way in [Way::Http, Way::Tls, Way::Proxy] {
        let request = "GET /_sandbox/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let (answer, _) = exchange(&sandbox, way, request);
        let body = answer.split("\r\n\r\n").nth(1).expect("a body");
        let health: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{way:?} {error}: {answer}"));
        assert_eq!(health["ready"], json!(true));
    }
}
