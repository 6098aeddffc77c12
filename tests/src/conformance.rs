//! What a transport can get wrong, as one suite: [`conformance`] puts a server of raw bytes behind the transport and goes
//! through its cases.
//!
//! A transport is asked through a [`Carrier`], so that asynchronous and blocking ones take the same road.

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;
use wechatpay_model::Operation;
use wechatpay_model::favor::UploadImage;
use wechatpay_protocol::check::Context;
use wechatpay_protocol::request::{Authorization, prepare_upload};
use wechatpay_protocol::{
    BaseUrl, BlockingTransport, BoxError, File, Sent, Stamp, Transport, TransportError, TransportErrorKind,
};

/// A transport, asked one request at a time or several.
pub trait Carrier: Send + Sync {
    /// Sends a request and hands over the body of the answer piece by piece, as it comes.
    ///
    /// # Errors
    /// The transport's.
    fn carry(&self, request: Request<Bytes>, piece: &mut dyn FnMut(&[u8])) -> Result<Parts, TransportError>;
}

/// An asynchronous transport with a runtime of its own.
pub struct Asynchronous<T> {
    runtime: Runtime,
    transport: T,
}

impl<T: Transport + 'static> Asynchronous<T> {
    /// A carrier over this transport.
    pub fn boxed(transport: T) -> Box<dyn Carrier> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Box::new(Self { runtime: runtime.expect("a runtime"), transport })
    }
}

impl<T: Transport> Carrier for Asynchronous<T> {
    fn carry(&self, request: Request<Bytes>, piece: &mut dyn FnMut(&[u8])) -> Result<Parts, TransportError> {
        self.runtime.block_on(async {
            let (parts, body) = self.transport.call(request).await?.into_parts();
            let mut body = std::pin::pin!(body);
            while let Some(frame) = body.frame().await {
                if let Ok(data) = frame.map_err(own)?.into_data() {
                    piece(&data);
                }
            }
            Ok(parts)
        })
    }
}

/// An error of a body says how it failed.
fn own(error: impl Into<BoxError>) -> TransportError {
    *error.into().downcast().expect("a TransportError")
}

/// A blocking transport, and the time that each call gets.
pub struct Blocking<T> {
    transport: T,
    timeout: Duration,
}

impl<T: BlockingTransport + 'static> Blocking<T> {
    /// A carrier over this transport.
    pub fn boxed(transport: T, timeout: Duration) -> Box<dyn Carrier> {
        Box::new(Self { transport, timeout })
    }
}

impl<T: BlockingTransport> Carrier for Blocking<T> {
    fn carry(&self, request: Request<Bytes>, piece: &mut dyn FnMut(&[u8])) -> Result<Parts, TransportError> {
        let (parts, mut body) = self.transport.call(request, Some(self.timeout))?.into_parts();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match body.read(&mut buffer) {
                Ok(0) => return Ok(parts),
                Ok(read) => piece(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    return Err(TransportError::new(TransportErrorKind::Timeout, error));
                }
                Err(error) => return Err(TransportError::interrupted(error)),
            }
        }
    }
}

/// How a transport is made with this much time for each call.
pub type Make<'a> = &'a (dyn Fn(Duration) -> Box<dyn Carrier> + Sync);

/// Asserts that a transport gets nothing wrong. All cases run at the same time.
pub fn conformance(name: &str, make: Make<'_>) {
    let failed: Vec<_> = std::thread::scope(|scope| {
        let run = |case| move || failure(case, make, Duration::from_secs(30));
        let cases: Vec<_> = CASES.iter().map(|case| scope.spawn(run(case))).collect();
        cases.into_iter().filter_map(|case| case.join().expect("panics are caught")).collect()
    });
    assert!(failed.is_empty(), "{name} fails {}:\n{}", failed.len(), failed.join("\n"));
}

/// Why a transport fails the case of this name, if it does.
pub fn fails(case: &str, make: Make<'_>) -> Option<String> {
    let case = CASES.iter().find(|(name, _)| *name == case).unwrap_or_else(|| panic!("there is no case {case}"));
    failure(case, make, Duration::from_secs(1))
}

fn failure((case, run): &Case, make: Make<'_>, patience: Duration) -> Option<String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| run(&Subject { make, patience })));
    let why = outcome.err()?;
    let text = why.downcast_ref::<String>().map(String::as_str).or(why.downcast_ref::<&str>().copied());
    Some(format!("{case}: {}", text.unwrap_or_default()))
}

/// The transport under test.
struct Subject<'a> {
    make: Make<'a>,
    patience: Duration,
}

type Answer = Result<(u16, HeaderMap, Vec<u8>), TransportError>;

fn collect(carrier: &dyn Carrier, request: Request<Bytes>) -> Answer {
    let mut body = Vec::new();
    let parts = carrier.carry(request, &mut |piece| body.extend_from_slice(piece))?;
    Ok((parts.status.as_u16(), parts.headers, body))
}

impl Subject<'_> {
    fn carrier(&self) -> Box<dyn Carrier> {
        (self.make)(self.patience)
    }

    /// One call over a connection of its own.
    fn ask(&self, server: &Server) -> Answer {
        collect(&*self.carrier(), post(server.address))
    }
}

fn post(address: SocketAddr) -> Request<Bytes> {
    Request::post(format!("http://{address}/v3/users/oOpenid?code=CODE1"))
        .header("user-agent", "test")
        .header("accept", "application/json")
        .body(Bytes::from_static(b"{\"a\":1}"))
        .expect("a request")
}

/// A name, and what is asserted.
type Case = (&'static str, fn(&Subject<'_>));

/// What a transport can get wrong, each under its name.
const CASES: &[Case] = &[
    ("requests arrive as they were signed", requests_arrive),
    ("an upload arrives as it was signed", an_upload_arrives),
    ("answers arrive as they were signed", answers_arrive),
    ("redirects are not followed", redirects),
    ("nothing is decompressed", compressed),
    ("large answers are whole", large),
    ("a download is handed over as it comes", streamed),
    ("connections are used again", reuse),
    ("answers go to who asked", many_at_once),
    ("a refused connection has sent nothing", refused),
    ("a broken connection may have been executed and is not tried again", broken),
    ("a connection that dies when it is used again is not replaced", dies_in_second_use),
    ("a stalled answer ends in time", stalled),
    ("headers without end are cut off", endless_headers),
];

/// Methods, bodies and targets, byte for byte; of headers only what HTTP needs is added.
fn requests_arrive(subject: &Subject<'_>) {
    const TARGETS: [&str; 6] = [
        "/v3/a%7Cb?c=%27d",
        "/v3/users/o%2Fp%20q%25/coupons?x=%E4%B8%AD&y=a+b&z=",
        "/v3/~a-b_c.d:e@f!g$h&i(j)*k+l,m;n=o",
        "/v3//x/",
        "/v3/x?a=1&a=2",
        "/v3/x?",
    ];
    const AUTHORIZATION: &str = "WECHATPAY2-SHA256-RSA2048 mchid=\"1\",nonce_str=\"N\",signature=\"a+b/c==\"";
    let every_byte: Vec<u8> = (0..=255).collect();
    let bodies = [&b""[..], "{\"名\": 1.0}\r\n".as_bytes(), &every_byte];
    let server = Server::start(|connection| while connection.read() && connection.write(OK) {});
    let carrier = subject.carrier();
    let methods = [Method::GET, Method::DELETE, Method::POST, Method::PUT, Method::PATCH];
    for (method, target) in methods.iter().flat_map(|method| TARGETS.map(|target| (method, target))) {
        let read_only = matches!(*method, Method::GET | Method::DELETE);
        for body in &bodies[..if read_only { 1 } else { 3 }] {
            let sent = [
                ("accept", "application/json"),
                ("authorization", AUTHORIZATION),
                ("content-type", "application/json"),
                ("user-agent", "test"),
                ("x-twice", "2"),
                ("x-twice", "1"),
            ];
            let uri = format!("http://{}{target}", server.address);
            let request = Request::builder().method(method).uri(uri);
            let request = sent.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            let request = request.body(Bytes::copy_from_slice(body)).expect("a request");
            assert_eq!(collect(&*carrier, request).expect("an answer").0, 200, "{method} {target}");

            let Asked { line, mut headers, body: arrived, .. } = server.last();
            assert_eq!(line, format!("{method} {target} HTTP/1.1"));
            assert!(arrived == *body, "{method} {target}: the body is another one");
            headers.retain(|(name, value)| match name.as_str() {
                "host" => *value != server.address.to_string(),
                "content-length" => *value != body.len().to_string(),
                _ => true,
            });
            headers.sort_by(|a, b| a.0.cmp(&b.0));
            assert_eq!(headers, sent.map(|(name, value)| (name.to_owned(), value.to_owned())), "{method} {target}");
        }
    }
}

/// A multipart body of which only one part is signed.
fn an_upload_arrives(subject: &Subject<'_>) {
    let picture: Vec<u8> = (0..300_000u32).map(|n| (n * 31 % 251) as u8).collect();
    let arguments = serde_json::json!({ "filename": "p.png", "sha256": "0".repeat(64) });
    let file = File { name: "p.png", bytes: &picture };
    let context = Context { now: 0, mchid: "1" };
    let prepared = prepare_upload(UploadImage::SPEC, arguments, file, &context).expect("valid");
    let server = Server::start(|connection| while connection.read() && connection.write(OK) {});
    let base = BaseUrl::parse(&format!("http://{}", server.address)).expect("a URL");
    let authorization = Authorization { scheme: "S", mchid: "1", serial_no: "2" };
    let stamp = Stamp { timestamp: 1, nonce: "n".to_owned() };
    let request = prepared.sign_with(&base, &authorization, None, &stamp, b"s").expect("a request");
    let (body, content_type) = (request.body().clone(), request.headers()["content-type"].clone());
    collect(&*subject.carrier(), request).expect("an answer");
    let asked = server.last();
    assert!(asked.body == body, "the body is another one");
    assert_eq!(asked.header("content-type"), content_type.to_str().ok());
    assert_eq!(asked.header("transfer-encoding"), None, "a chunked upload");
}

/// Status, headers and body of answers of every form.
fn answers_arrive(subject: &Subject<'_>) {
    const BODY: &[u8] = b"\xef\xbb\xbf{\"a\" : 1.0}\r\n\0\xff";
    for status in [200, 201, 202, 400, 401, 403, 404, 405, 429, 500, 502, 503, 599] {
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", BODY.len());
        let server = Server::answering([head.as_bytes(), BODY].concat());
        let (found, _, body) = subject.ask(&server).expect("an answer");
        assert_eq!((found, &*body), (status, BODY));
        assert_eq!(server.asked(), 1, "{status} is asked again");
    }
    let forms: [(&[u8], u16, &[u8]); 7] = [
        (b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", 200, b""),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end", 200, b"to the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", 200, b"old"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
              3;x=y\r\n\r\n1\r\n2\r\n23\r\n0\r\nx-trailer: 1\r\n\r\n",
            200,
            b"\r\n123",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1", 200, b"1"),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1", 200, b"1"),
    ];
    for (bytes, status, wanted) in forms {
        let (found, _, body) = subject.ask(&Server::answering(bytes)).expect("an answer");
        assert_eq!((found, &*body), (status, wanted), "{}", String::from_utf8_lossy(bytes));
    }
    let server = Server::answering(
        "HTTP/1.1 200 OK\r\nWECHATPAY-Nonce: n\r\nwechatpay-signature: a+b/c==\r\nx-twice: 2\r\nX-Twice: 1\r\n\
         x-text: caf\u{e9}\r\nx-empty:\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
    let (_, headers, _) = subject.ask(&server).expect("an answer");
    let twice: Vec<_> = headers.get_all("x-twice").iter().collect();
    assert_eq!(twice, ["2", "1"], "both of a duplicated header are seen");
    assert_eq!(
        (headers["wechatpay-nonce"].as_bytes(), headers["wechatpay-signature"].as_bytes()),
        (&b"n"[..], &b"a+b/c=="[..])
    );
    assert_eq!((headers["x-text"].as_bytes(), headers["x-empty"].as_bytes()), ("caf\u{e9}".as_bytes(), &b""[..]));
}

fn redirects(subject: &Subject<'_>) {
    for status in [301, 302, 303, 307, 308] {
        let bytes =
            format!("HTTP/1.1 {status} X\r\nlocation: /other\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi");
        let server = Server::answering(bytes);
        let (found, headers, body) = subject.ask(&server).expect("an answer");
        assert_eq!((found, &*body, headers["location"].to_str().expect("ASCII")), (status, &b"hi"[..], "/other"));
        assert_eq!(server.asked(), 1, "{status} is followed");
    }
}

fn compressed(subject: &Subject<'_>) {
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: 4\r\nconnection: close\r\n\r\n"
        );
        let server = Server::answering([head.as_bytes(), b"\x1f\x8b\x08\x00"].concat());
        let (_, headers, body) = subject.ask(&server).expect("an answer");
        assert_eq!((&*body, headers["content-encoding"].to_str().ok()), (&b"\x1f\x8b\x08\x00"[..], Some(encoding)));
        assert_eq!(server.last().header("accept-encoding"), None, "it asks for {encoding}");
    }
}

fn large(subject: &Subject<'_>) {
    let wanted: Vec<u8> = (0..4u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", wanted.len());
    let (_, _, body) = subject.ask(&Server::answering([head.as_bytes(), &wanted].concat())).expect("an answer");
    assert!(body == wanted, "{} bytes of {}", body.len(), wanted.len());
}

/// The second half is sent only once the first has been handed over.
fn streamed(subject: &Subject<'_>) {
    let (go, gone) = channel();
    let gone = Mutex::new(gone);
    let server = Server::start(move |connection| {
        connection.read();
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\nfirst");
        if gone.lock().expect("unpoisoned").recv().is_ok() {
            connection.write(b"later");
        }
    });
    let mut body = Vec::new();
    let outcome = subject.carrier().carry(post(server.address), &mut |piece| {
        body.extend_from_slice(piece);
        if body == b"first" {
            go.send(()).expect("the server waits");
        }
    });
    outcome.expect("the first half comes before the second");
    assert_eq!(body, b"firstlater");
}

/// Not each of them: a connection is given back a moment after its answer was read.
fn reuse(subject: &Subject<'_>) {
    let server = Server::start(|connection| while connection.read() && connection.write(OK) {});
    let carrier = subject.carrier();
    for _ in 0..20 {
        collect(&*carrier, post(server.address)).expect("an answer");
    }
    let asked = server.asked.lock().expect("unpoisoned");
    let connections: HashSet<_> = asked.iter().map(|asked| asked.connection).collect();
    assert!(connections.len() <= 10, "{} connections for {} calls", connections.len(), asked.len());
}

fn many_at_once(subject: &Subject<'_>) {
    let server = Server::start(|connection| {
        while connection.read() {
            let body = connection.last_body();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            if !connection.write(&[head.as_bytes(), &body].concat()) {
                return;
            }
        }
    });
    let carrier = subject.carrier();
    std::thread::scope(|scope| {
        for caller in 0..8 {
            let (carrier, address) = (&*carrier, server.address);
            scope.spawn(move || {
                for call in 0..5 {
                    let own = format!("{caller}-{call}");
                    let mut request = post(address);
                    *request.body_mut() = own.clone().into();
                    assert_eq!(collect(carrier, request).expect("an answer").2, own.as_bytes());
                }
            });
        }
    });
}

#[track_caller]
fn assert_failed(outcome: Answer, kind: TransportErrorKind, sent: Sent) {
    let error = outcome.expect_err("it fails");
    assert_eq!((error.kind(), error.sent()), (kind, sent), "{error}");
    let said = format!("{error} {error:?}");
    assert!(!said.contains("oOpenid") && !said.contains("CODE1"), "the URL may hold a secret: {said}");
}

fn refused(subject: &Subject<'_>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    assert_failed(collect(&*subject.carrier(), post(address)), TransportErrorKind::Connect, Sent::No);
}

fn broken(subject: &Subject<'_>) {
    let answers: [&[u8]; 6] = [
        b"",
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"a\"",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"a\"",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n",
    ];
    for answer in answers {
        let server = Server::answering(answer);
        assert_failed(subject.ask(&server), TransportErrorKind::Interrupted, Sent::Maybe);
        assert_eq!(server.asked(), 1, "the request is sent again after {:?}", String::from_utf8_lossy(answer));
    }
}

fn dies_in_second_use(subject: &Subject<'_>) {
    let server = Server::start(|connection| {
        if connection.read() && connection.write(OK) {
            connection.read();
        }
    });
    let carrier = subject.carrier();
    // Which call meets the dying connection depends on when the first is given back.
    let failed =
        (0..20).find_map(|_| collect(&*carrier, post(server.address)).err().map(|error| (error, server.asked())));
    let (error, asked) = failed.expect("a connection is used twice");
    let connections: HashSet<_> =
        server.asked.lock().expect("unpoisoned").iter().map(|asked| asked.connection).collect();
    assert_failed(Err(error), TransportErrorKind::Interrupted, Sent::Maybe);
    assert_eq!(connections.len() + 1, asked, "the request is sent again over another connection");
}

fn stalled(subject: &Subject<'_>) {
    let answers: [&[u8]; 4] = [
        b"",
        b"HTTP/1.1 200 OK\r\nwechatpay-",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{",
    ];
    for answer in answers {
        let (release, held) = channel::<()>();
        let held = Mutex::new(held);
        let server = Server::start(move |connection| {
            connection.read();
            connection.write(answer);
            // Until the end of the case.
            let _ = held.lock().expect("unpoisoned").recv();
        });
        let carrier = (subject.make)(Duration::from_millis(200));
        assert_failed(collect(&*carrier, post(server.address)), TransportErrorKind::Timeout, Sent::Maybe);
        drop(release);
    }
}

fn endless_headers(subject: &Subject<'_>) {
    let many: fn(&mut Connection) = |connection| while connection.write(b"x-more: and more\r\n") {};
    let long: fn(&mut Connection) = |connection| while connection.write(&[b'x'; 4096]) {};
    for rest in [many, long] {
        let server = Server::start(move |connection| {
            connection.read();
            connection.write(b"HTTP/1.1 200 OK\r\nx-first: ");
            rest(connection);
        });
        assert_failed(subject.ask(&server), TransportErrorKind::Interrupted, Sent::Maybe);
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// A server on a port of its own that does with each connection what its script says.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A request as it came over the wire.
#[derive(Clone)]
struct Asked {
    connection: usize,
    line: String,
    /// Names in lower case, in the order of arrival.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Server {
    fn start(script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let (seen, script) = (Arc::clone(&asked), Arc::new(script));
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut connection =
                    Connection { number, stream: stream.expect("a connection"), asked: Arc::clone(&seen) };
                let script = Arc::clone(&script);
                std::thread::spawn(move || script(&mut connection));
            }
        });
        Self { address, asked }
    }

    /// Answers each connection with these bytes and closes it.
    fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |connection| {
            if connection.read() {
                connection.write(&bytes);
            }
        })
    }

    fn asked(&self) -> usize {
        self.asked.lock().expect("unpoisoned").len()
    }

    fn last(&self) -> Asked {
        self.asked.lock().expect("unpoisoned").last().cloned().expect("a request")
    }
}

struct Connection {
    number: usize,
    stream: TcpStream,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Connection {
    /// Reads one request whole, so that closing does not reset the connection before the answer is read; `false` where
    /// none comes.
    fn read(&mut self) -> bool {
        let (mut bytes, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = head {
                let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
                let mut lines = text.lines().map(str::to_owned);
                let line = lines.next().unwrap_or_default();
                let headers = lines.filter_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    Some((name.to_lowercase(), value.trim().to_owned()))
                });
                let asked = Asked {
                    connection: self.number,
                    line,
                    headers: headers.collect(),
                    body: bytes[end + 4..].to_vec(),
                };
                let length = asked.header("content-length").map_or(0, |length| length.parse().expect("a length"));
                if asked.body.len() >= length {
                    self.asked.lock().expect("unpoisoned").push(asked);
                    return true;
                }
            }
            match self.stream.read(&mut chunk) {
                Ok(read) if read > 0 => bytes.extend_from_slice(&chunk[..read]),
                _ => return false,
            }
        }
    }

    fn last_body(&self) -> Vec<u8> {
        let asked = self.asked.lock().expect("unpoisoned");
        asked.iter().rev().find(|asked| asked.connection == self.number).expect("a request").body.clone()
    }

    /// `false` where nobody listens any more.
    fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }
}
