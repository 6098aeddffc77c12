//! Adapters carry a request and add nothing: the same scripted server behind each of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use bytes::Bytes;
use http_body_util::BodyExt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wechatpay_hyper::Hyper;
use wechatpay_protocol::{BlockingTransport, Sent, Tower, Transport, TransportError, TransportErrorKind};
use wechatpay_reqwest::{BlockingReqwest, Reqwest};

/// Answers each connection with the same bytes and keeps what it was asked.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What the server does with a request.
#[derive(Clone, Copy)]
enum Script {
    Answer(&'static [u8]),
    /// Answers nothing and closes.
    HangUp,
    /// Answers this much and then holds the connection open.
    Stall(&'static [u8]),
}

impl Server {
    fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                seen.lock().expect("unpoisoned").push(read_request(&mut stream));
                match script {
                    Script::Answer(bytes) => stream.write_all(bytes).expect("written"),
                    Script::HangUp => {}
                    Script::Stall(bytes) => {
                        stream.write_all(bytes).expect("written");
                        held.push(stream);
                    }
                }
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("unpoisoned").clone()
    }
}

/// Reads one request whole, so that closing does not reset the connection before the answer is read.
fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk).expect("readable");
        request.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if read == 0 || body.len() >= length.unwrap_or(0usize) {
                return text.into_owned();
            }
        }
        assert!(read > 0, "the request ended early");
    }
}

type Answer = Result<(u16, http::HeaderMap, Bytes), TransportError>;

fn request(address: SocketAddr) -> http::Request<Bytes> {
    http::Request::post(format!("http://{address}/v3/a%7Cb?c=%27d"))
        .header("user-agent", "test")
        .header("accept", "application/json")
        .body(Bytes::from_static(b"{\"a\":1}"))
        .expect("a request")
}

fn asynchronous(transport: impl Transport, address: SocketAddr) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (parts, body) = transport.call(request(address)).await?.into_parts();
        let body =
            body.collect().await.map_err(|error| *error.into().downcast::<TransportError>().expect("its own kind"))?;
        Ok((parts.status.as_u16(), parts.headers, body.to_bytes()))
    })
}

fn blocking(address: SocketAddr) -> Answer {
    let transport = BlockingReqwest::new()?;
    let (parts, mut reader) = transport.call(request(address), Some(SHORT))?.into_parts();
    let mut body = Vec::new();
    reader.read_to_end(&mut body).map_err(|error| {
        let timed_out = error.kind() == std::io::ErrorKind::TimedOut;
        let kind = if timed_out { TransportErrorKind::Timeout } else { TransportErrorKind::Interrupted };
        TransportError::new(kind, error)
    })?;
    Ok((parts.status.as_u16(), parts.headers, body.into()))
}

/// How long the stalled cases wait before they give up.
const SHORT: Duration = Duration::from_millis(300);

/// A name, and how to ask with it.
type Adapter = (&'static str, fn(SocketAddr) -> Answer);

const ADAPTERS: [Adapter; 4] = [
    ("reqwest", |address| {
        let builder = wechatpay_reqwest::reqwest::Client::builder().timeout(SHORT);
        asynchronous(Reqwest::from_builder(builder).expect("a client"), address)
    }),
    ("blocking reqwest", blocking),
    ("hyper", |address| asynchronous(Hyper::new().with_timeout(SHORT), address)),
    ("a tower stack", |address| {
        let hyper = Hyper::new().with_timeout(SHORT);
        let service = tower::service_fn(move |request| {
            let hyper = hyper.clone();
            async move { hyper.call(request).await }
        });
        asynchronous(Tower(tower::ServiceBuilder::new().concurrency_limit(1).service(service)), address)
    }),
];

#[test]
fn an_answer_comes_through_as_it_is() {
    // A redirect that would be followed, a body that says it is compressed and is not touched.
    let script = Script::Answer(
        b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-encoding: gzip\r\nx-twice: 1\r\nx-twice: 2\r\n\
          content-length: 4\r\nconnection: close\r\n\r\n\x1f\x8b\x08\x00",
    );
    for (name, call) in ADAPTERS {
        let server = Server::start(script);
        let (status, headers, body) = call(server.address).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((status, &body[..]), (302, &b"\x1f\x8b\x08\x00"[..]), "{name}");
        assert_eq!(headers.get_all("x-twice").iter().count(), 2, "{name}: both of a duplicated header are seen");
        assert_eq!(server.asked().len(), 1, "{name}: no redirect is followed");
    }
}

#[test]
fn a_request_goes_out_as_it_was_signed() {
    let script = Script::Answer(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
    for (name, call) in ADAPTERS {
        let server = Server::start(script);
        assert_eq!(call(server.address).unwrap_or_else(|error| panic!("{name}: {error}")).0, 204);
        let asked = server.asked().remove(0);
        let (head, body) = asked.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("POST /v3/a%7Cb?c=%27d HTTP/1.1\r\n"), "{name}: {head}");
        assert_eq!(body, "{\"a\":1}", "{name}");
        let mut names: Vec<_> =
            head.lines().skip(1).map(|line| line.split(':').next().unwrap_or_default().to_lowercase()).collect();
        names.sort();
        assert_eq!(names, ["accept", "content-length", "host", "user-agent"], "{name}: no header is added");
    }
}

#[test]
fn a_broken_connection_is_reported_once_and_nothing_is_sent_again() {
    let cut_short = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{\"a\"";
    let scripts = [Script::HangUp, Script::Answer(b"no HTTP at all\r\n\r\n"), Script::Answer(cut_short)];
    for (name, call) in ADAPTERS {
        for script in scripts {
            let server = Server::start(script);
            let error = call(server.address).expect_err(name);
            assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Interrupted, Sent::Maybe), "{name}: {error}");
            assert_eq!(server.asked().len(), 1, "{name}: the request is not sent again");
        }
    }
}

#[test]
fn a_refused_connection_is_known_to_have_sent_nothing() {
    for (name, call) in ADAPTERS {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let error = call(address).expect_err(name);
        assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Connect, Sent::No), "{name}: {error}");
        assert!(!error.to_string().contains("c=%27d"), "{name}: the query may hold an openid: {error}");
    }
}

#[test]
fn a_stalled_answer_ends_in_a_timeout() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    for (name, call) in ADAPTERS {
        for script in [Script::Stall(b""), Script::Stall(head)] {
            let server = Server::start(script);
            let error = call(server.address).expect_err(name);
            assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Timeout, Sent::Maybe), "{name}: {error}");
        }
    }
}

#[test]
fn a_blocking_call_inside_a_runtime_is_a_typed_error() {
    let transport = BlockingReqwest::new().expect("outside a runtime");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        assert!(BlockingReqwest::new().is_err());
        let address = "127.0.0.1:9".parse().expect("an address");
        let error = transport.call(request(address), None).expect_err("inside a runtime");
        assert_eq!(error.sent(), Sent::No);
        assert!(error.to_string().contains("use Client there"), "{error}");
    });
}
