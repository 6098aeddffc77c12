//! Whole calls over loopback: sign, send, receive, verify, read.

use crate::floor::{self, Verifier};
use crate::keys::{KEYS, MCHID, SERIAL_NO};
use crate::race::{Contender, Of, Race};
use crate::steps::{self, GIFT_PATH, GIVEN, Given, Then};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use wechatpay_hyper::Hyper;
use wechatpay_model::favor::SendCoupon;
use wechatpay_protocol::crypto::{Signer, VerifyingKey, aws_lc};
use wechatpay_protocol::request::BaseUrl;
use wechatpay_protocol::{BoxError, Client, Merchant, Transport, Trust};
use wechatpay_reqwest::Reqwest;

/// A server in a thread of its own that gives the same signed answer to every request.
pub fn serve() -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
            tell.send(listener.local_addr().expect("an address")).expect("somebody asks");
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                stream.set_nodelay(true).expect("an option");
                let service = service_fn(|request: Request<Incoming>| async {
                    request.into_body().collect().await.expect("a body");
                    Ok::<_, Infallible>(given())
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
    });
    told.recv().expect("an address")
}

fn given() -> Response<Full<Bytes>> {
    static HEADERS: std::sync::LazyLock<[(&str, String); 4]> = std::sync::LazyLock::new(|| KEYS.answer_headers(GIVEN));
    let mut response = Response::builder().header("Content-Type", "application/json");
    for (name, value) in HEADERS.iter() {
        response = response.header(*name, value);
    }
    response
        .header("Wechatpay-Signature-Type", "WECHATPAY2-SHA256-RSA2048")
        .header("Request-ID", "08F78BB5AF0610C8011888D9A63420F6F2CE0128")
        .body(Full::new(Bytes::from_static(GIVEN)))
        .expect("a response")
}

pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Lets so many tasks share the calls, all in this thread.
fn contender<C, Fut>(name: &'static str, at_once: usize, client: C, call: fn(Rc<C>) -> Fut) -> Contender
where
    C: 'static,
    Fut: Future<Output = ()> + 'static,
{
    let (runtime, client) = (runtime(), Rc::new(client));
    let run = move |times: usize| {
        let tasks = LocalSet::new();
        for _ in 0..at_once {
            let client = Rc::clone(&client);
            tasks.spawn_local(async move {
                for _ in 0..times.div_ceil(at_once) {
                    call(Rc::clone(&client)).await;
                }
            });
        }
        runtime.block_on(tasks);
    };
    Contender { name, run: Box::new(run) }
}

/// The floor over hyper-util.
pub struct OverHyper {
    base: String,
    client: HyperClient<HttpConnector, Full<Bytes>>,
    verifier: Verifier,
}

impl OverHyper {
    pub fn new(address: SocketAddr) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        let client = HyperClient::builder(TokioExecutor::new()).build(tcp);
        Self { base: format!("http://{address}"), client, verifier: Verifier::default() }
    }

    pub async fn call(&self, gift: &steps::Gift) -> Given {
        let request = floor::request(&self.base, Method::POST, GIFT_PATH, gift);
        let response = self.client.request(request.map(Full::new)).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        self.verifier.read(&parts.headers, &body)
    }
}

/// The floor over reqwest.
struct OverReqwest {
    base: String,
    client: reqwest::Client,
    verifier: Verifier,
}

impl OverReqwest {
    fn new(address: SocketAddr) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { base: format!("http://{address}"), client, verifier: Verifier::default() }
    }

    async fn call(&self, gift: &steps::Gift) -> Given {
        let request = floor::request(&self.base, Method::POST, GIFT_PATH, gift);
        let request = reqwest::Request::try_from(request).expect("a request");
        let response = self.client.execute(request).await.expect("an answer");
        let headers = response.headers().clone();
        let body = response.bytes().await.expect("a body");
        self.verifier.read(&headers, &body)
    }
}

/// Our client, at the time of the signed answer.
pub fn ours<T: Transport>(address: SocketAddr, transport: T) -> Client<T> {
    let signer = aws_lc::Signer::from_pem(&KEYS.merchant_pem()).expect("a key");
    Client::new(transport, Merchant::new(MCHID, SERIAL_NO, signer), steps::trust())
        .with_base_url(BaseUrl::parse(&format!("http://{address}")).expect("a URL"))
        .with_stamper(Then)
}

fn over_reqwest() -> Reqwest {
    let builder = wechatpay_reqwest::reqwest::Client::builder().no_proxy();
    Reqwest::from_builder(builder).expect("a client")
}

async fn send<T: Transport>(both: Rc<(Client<T>, SendCoupon)>) {
    let (client, operation) = &*both;
    client.send(operation).await.expect("a verified answer");
}

/// Whole calls, so many in flight.
fn whole(name: &'static str, at_once: usize) -> Race {
    let address = serve();
    let hyper =
        contender("hyper-util by hand (floor)", at_once, (OverHyper::new(address), steps::gift()), |both| async move {
            both.0.call(&both.1).await;
        });
    let reqwest =
        contender("reqwest by hand", at_once, (OverReqwest::new(address), steps::gift()), |both| async move {
            both.0.call(&both.1).await;
        });
    let over_hyper = (ours(address, Hyper::new()), steps::send_coupon());
    let over_reqwest = (ours(address, over_reqwest()), steps::send_coupon());
    let contenders = vec![
        hyper,
        contender("wechatpay-hyper", at_once, over_hyper, send),
        reqwest,
        contender("wechatpay-reqwest", at_once, over_reqwest, send),
    ];
    Race { name, times: 320, of: Of::Thread, contenders }
}

/// A key that costs nothing.
struct NoKey;

impl Signer for NoKey {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(vec![7; 256])
    }
}

impl VerifyingKey for NoKey {
    fn verify(&self, _: &[u8], signature: &[u8]) -> bool {
        signature.len() == 256
    }
}

/// A client whose calls cost neither RSA nor HTTP: what is left is ours, and what any client does beside them.
pub struct Bare {
    runtime: Runtime,
    call: Box<dyn Fn(&Runtime)>,
}

impl Default for Bare {
    fn default() -> Self {
        Self::new()
    }
}

impl Bare {
    pub fn new() -> Self {
        let transport = |_: Request<Bytes>| std::future::ready(Ok(given()));
        let trust = Trust::new().with_public_key(crate::keys::PUBLIC_KEY_ID, NoKey);
        let client = Client::new(transport, Merchant::new(MCHID, SERIAL_NO, NoKey), trust).with_stamper(Then);
        let operation = steps::send_coupon();
        let call = move |runtime: &Runtime| {
            runtime.block_on(client.send(&operation)).expect("a verified answer");
        };
        Self { runtime: runtime(), call: Box::new(call) }
    }

    pub fn call(&mut self) {
        (self.call)(&self.runtime);
    }
}

/// A whole call with RSA and HTTP taken out.
fn bare() -> Race {
    let by_hand =
        contender("hyper-util by hand (floor)", 1, (OverHyper::new(serve()), steps::gift()), |both| async move {
            both.0.call(&both.1).await;
        });
    let mut bare = Bare::new();
    let ours = Contender {
        name: "wechatpay without RSA and HTTP",
        run: Box::new(move |times| (0..times).for_each(|_| bare.call())),
    };
    Race { name: "our own code in a call", times: 320, of: Of::Thread, contenders: vec![by_hand, ours] }
}

/// All of them.
pub fn all() -> Vec<Race> {
    vec![whole("whole call, 1 in flight", 1), whole("whole call, 32 in flight", 32), bare()]
}
