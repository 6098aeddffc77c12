//! What arrives without end, or swollen, takes no more memory than its limit says. One test, because the allocator counts
//! for the whole process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody};
use peak_alloc::PeakAlloc;
use serde_json::{Map, json};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use wechatpay_protocol::crypto::{Signer, VerifyingKey};
use wechatpay_protocol::{BlockingClient, BoxError, Client, Error, Merchant, TransportError, Trust};
use wechatpay_sandbox::Sandbox;
use wechatpay_uploader::{Endpoint, Format, Input, Job, Source, UploadError};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;
/// More than any limit.
const MUCH: usize = 40 * MIB;
static CHUNK: [u8; 65_536] = [b' '; 65_536];

/// Most bytes that were held at once while this ran, beyond those that were held before.
fn peak<T>(act: impl FnOnce() -> T) -> (usize, T) {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let done = act();
    (MEMORY.peak_usage().saturating_sub(before), done)
}

struct Key;

impl Signer for Key {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(vec![1; 256])
    }
}

impl VerifyingKey for Key {
    fn verify(&self, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

fn merchant() -> Merchant<Key> {
    Merchant::new("1900000109", "AB", Key)
}

/// Counts the bytes that are taken from it.
struct Endless(Arc<AtomicUsize>);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(b' ');
        let taken = self.0.fetch_add(buffer.len(), Ordering::Relaxed);
        assert!(taken < MUCH, "it is read on and on");
        Ok(buffer.len())
    }
}

/// A body without end over either kind of client: how much was taken of it, and the error.
fn endless_answer(runtime: &tokio::runtime::Runtime, blocking: bool) -> (usize, Error) {
    let taken = Arc::new(AtomicUsize::new(0));
    let outcome = if blocking {
        let count = Arc::clone(&taken);
        let transport = move |_: http::Request<Bytes>, _: Option<Duration>| {
            Ok::<_, TransportError>(Response::new(Endless(Arc::clone(&count))))
        };
        BlockingClient::new(transport, merchant(), Trust::new()).get("/v3/certificates").map(drop)
    } else {
        let count = Arc::clone(&taken);
        let transport = move |_: http::Request<Bytes>| {
            let count = Arc::clone(&count);
            let frames = futures::stream::repeat_with(move || {
                assert!(count.fetch_add(CHUNK.len(), Ordering::Relaxed) < MUCH, "it is read on and on");
                Ok::<_, TransportError>(http_body::Frame::data(Bytes::from_static(&CHUNK)))
            });
            std::future::ready(Ok::<_, TransportError>(Response::new(StreamBody::new(frames))))
        };
        runtime.block_on(Client::new(transport, merchant(), Trust::new()).get("/v3/certificates")).map(drop)
    };
    (taken.load(Ordering::Relaxed), outcome.expect_err("it has no end"))
}

/// A refusal of this body, as the client reports it.
fn refused(runtime: &tokio::runtime::Runtime, body: Bytes) -> Error {
    let transport = move |_: http::Request<Bytes>| {
        let mut response = Response::new(Full::new(body.clone()));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        std::future::ready(Ok::<_, TransportError>(response))
    };
    runtime.block_on(Client::new(transport, merchant(), Trust::new()).get("/v3/certificates")).expect_err("a refusal")
}

fn plan(path: &Path, format: Format) -> UploadError {
    let job = Job {
        endpoint: Endpoint::BUSIFAVOR,
        target: Map::from_iter([("stock_id".to_owned(), json!("98065001"))]),
        base_url: "https://api.mch.weixin.qq.com".to_owned(),
        mchid: "1900000109".to_owned(),
    };
    let input = Input { sources: vec![Source::new(path)], format };
    job.plan(&input, path.parent().unwrap()).map(|planned| panic!("{planned:?}")).unwrap_err()
}

/// Writes this again and again, [`MUCH`] bytes in all, packed or not.
fn write_much(path: &Path, packed: bool, head: &[u8], chunk: &[u8]) {
    let file = File::create(path).unwrap();
    let mut file: Box<dyn Write> = match packed {
        true => Box::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast())),
        false => Box::new(file),
    };
    file.write_all(head).unwrap();
    (0..MUCH / chunk.len()).for_each(|_| file.write_all(chunk).unwrap());
}

/// Sends a request whose body does not end; how much of it the sandbox took.
fn endless_request(sandbox: &Sandbox) -> usize {
    let mut stream = TcpStream::connect(sandbox.address()).unwrap();
    let head = format!("POST /v3/certificates HTTP/1.1\r\nHost: sandbox\r\nContent-Length: {}\r\n\r\n", usize::MAX / 4);
    stream.write_all(head.as_bytes()).unwrap();
    let mut sent = 0;
    while sent < 16 * MUCH && stream.write_all(&CHUNK).is_ok() {
        sent += CHUNK.len();
    }
    sent
}

#[test]
fn nothing_that_arrives_is_held_without_bound() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();

    for blocking in [false, true] {
        let (held, (taken, error)) = peak(|| endless_answer(&runtime, blocking));
        assert!(error.to_string().contains("larger than"), "{error}");
        assert!(taken <= 24 * MIB && held <= 28 * MIB, "blocking {blocking}: {taken} taken, {held} held");
    }

    // A refusal needs no signature, so whoever is on the way may write it: a tree is many times as large as its text.
    let swollen = Bytes::from(format!("{{\"code\":\"PARAM_ERROR\",\"detail\":[{}0]}}", "0,".repeat(4 * MIB - 50)));
    let (held, error) = peak(|| refused(&runtime, swollen.clone()));
    assert!(matches!(&error, Error::Api(refusal) if refusal.body == swollen), "{error}");
    assert!(held <= 24 * MIB, "{held} held for a refusal of {}", swollen.len());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("codes");
    let csv = || Format::Csv { column: "code".to_owned() };
    for (index, (head, chunk, format)) in [
        (&b""[..], &b"x"[..], Format::Text),
        (b"", b"x", Format::Text),
        (b"", b"\xff", Format::Text),
        (b"", b"\n", Format::Text),
        (b"", b"x\ty\n", Format::Text),
        (b"code\n\"", b"x\n", csv()),
        (b"code\n", b",", csv()),
        (b"code\n", b"\n", csv()),
        (b"", b"x,", csv()),
    ]
    .into_iter()
    .enumerate()
    {
        // Every other one is packed: little on the disk and much to read.
        write_much(&path, index % 2 == 1, head, &chunk.repeat(65_536 / chunk.len()));
        let (held, error) = peak(|| plan(&path, format.clone()));
        let UploadError::Input(error) = error else { panic!("{error}") };
        let shown = error.to_string().len();
        // A row of a mebibyte that is all commas has a million fields.
        assert!(held <= 28 * MIB && shown <= 20_000, "{held} held for {chunk:?} in {format:?}, {shown} bytes said");
    }

    let sandbox = runtime.block_on(Sandbox::start()).unwrap();
    let (held, sent) = peak(|| endless_request(&sandbox));
    assert!(sent <= 4 * MUCH && held <= 24 * MIB, "{held} held of {sent} that were sent");
    runtime.block_on(async {
        // And it is there for others.
        let health = format!("{}/_sandbox/health", sandbox.base_url());
        let request = http::Request::get(health).body(Bytes::new()).unwrap();
        let answer = wechatpay_protocol::Transport::call(&wechatpay_hyper::Hyper::new(), request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.into_body().collect().await.unwrap();
    });
}
