//! The adapters, with the sandbox's certificate authority, and sockets without any of them.

use bytes::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::{Client as LegacyClient, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use wechatpay_hyper::Hyper;
use wechatpay_model::Operation as _;
use wechatpay_model::favor::CreateCouponStock;
use wechatpay_protocol::{BaseUrl, BlockingClient, BlockingTransport, Client, Error, Transport};
use wechatpay_reqwest::{BlockingReqwest, Reqwest, reqwest};
use wechatpay_sandbox::Sandbox;
use wechatpay_tests::road::{WithHeader, merchant, public_key};

/// How a client gets to the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Http,
    Tls,
    /// By the proxy, to the official host.
    Proxy,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Adapter {
    Reqwest,
    Hyper,
    Blocking,
}

pub(crate) const ADAPTERS: [Adapter; 3] = [Adapter::Reqwest, Adapter::Hyper, Adapter::Blocking];

/// What is sent, and how.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) way: Way,
    pub(crate) timeout: Duration,
    /// `X-Sandbox-Fault`, if any.
    pub(crate) fault: Option<&'a str>,
}

/// The body of a verified answer to the creation of a stock, or to a question for the certificates where there is none.
pub(crate) async fn ask(
    sandbox: &Sandbox,
    adapter: Adapter,
    asking: Asking<'_>,
    stock: &Value,
) -> Result<Value, Error> {
    match adapter {
        Adapter::Reqwest => {
            let builder = reqwest::Client::builder().timeout(asking.timeout).tls_certs_only([authority(sandbox)]);
            let builder = match asking.way {
                Way::Proxy => builder.proxy(reqwest::Proxy::all(sandbox.proxy_url()).expect("a URL")),
                _ => builder.no_proxy(),
            };
            call(sandbox, Reqwest::from_builder(builder).expect("a client"), asking, stock).await
        }
        Adapter::Hyper => {
            let mut builder = LegacyClient::builder(TokioExecutor::new());
            let hyper: HyperBuilder<'_> = &mut builder;
            if asking.way == Way::Proxy {
                let proxy = sandbox.proxy_url().parse().expect("a URL");
                let connector = secured(sandbox, Tunnel::new(proxy, HttpConnector::new()));
                let hyper = Hyper::from_builder(hyper, connector).with_timeout(asking.timeout);
                call(sandbox, hyper, asking, stock).await
            } else {
                let mut tcp = HttpConnector::new();
                tcp.enforce_http(false);
                let hyper = Hyper::from_builder(hyper, secured(sandbox, tcp)).with_timeout(asking.timeout);
                call(sandbox, hyper, asking, stock).await
            }
        }
        // On a thread without a runtime, while this one is free to serve the sandbox.
        Adapter::Blocking => tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| blocking(sandbox, asking, stock)).join().expect("the call returns")
            })
        }),
    }
}

type HyperBuilder<'a> = &'a mut hyper_util::client::legacy::Builder;

fn secured<C>(sandbox: &Sandbox, connector: C) -> HttpsConnector<C> {
    HttpsConnectorBuilder::new().with_tls_config(tls(sandbox)).https_or_http().enable_http1().wrap_connector(connector)
}

/// Where a client calls that comes this way; the proxy's clients call the official host.
fn base_url(sandbox: &Sandbox, way: Way) -> BaseUrl {
    match way {
        Way::Http => BaseUrl::parse(&sandbox.base_url()),
        Way::Tls => BaseUrl::parse(&sandbox.https_url()),
        Way::Proxy => BaseUrl::parse("https://api.mch.weixin.qq.com"),
    }
    .expect("a URL")
}

async fn call<T: Transport>(
    sandbox: &Sandbox,
    transport: T,
    asking: Asking<'_>,
    stock: &Value,
) -> Result<Value, Error> {
    // A header of another name is none.
    let name = if asking.fault.is_some() { "x-sandbox-fault" } else { "x-nothing" };
    let transport = WithHeader(transport, name, asking.fault.unwrap_or_default().to_owned());
    let credentials = sandbox.merchant();
    let client = Client::new(transport, merchant(&credentials), public_key(&credentials))
        .with_base_url(base_url(sandbox, asking.way));
    match stock {
        Value::Null => client.get("/v3/certificates").await.map(|reply| reply.value),
        stock => client.call(CreateCouponStock::SPEC, stock.clone()).await.map(|reply| reply.value),
    }
}

fn blocking(sandbox: &Sandbox, asking: Asking<'_>, stock: &Value) -> Result<Value, Error> {
    let builder = reqwest::blocking::Client::builder().timeout(asking.timeout).tls_certs_only([authority(sandbox)]);
    let builder = match asking.way {
        Way::Proxy => builder.proxy(reqwest::Proxy::all(sandbox.proxy_url()).expect("a URL")),
        _ => builder.no_proxy(),
    };
    let inner = BlockingReqwest::from_builder(builder).expect("outside a runtime");
    let fault = asking.fault.map(str::to_owned);
    let transport = move |mut request: http::Request<Bytes>, _: Option<Duration>| {
        if let Some(fault) = &fault {
            request.headers_mut().insert("x-sandbox-fault", fault.parse().expect("a header value"));
        }
        inner.call(request, Some(asking.timeout))
    };
    let credentials = sandbox.merchant();
    let client = BlockingClient::new(transport, merchant(&credentials), public_key(&credentials))
        .with_base_url(base_url(sandbox, asking.way));
    match stock {
        Value::Null => client.get("/v3/certificates").map(|reply| reply.value),
        stock => client.call(CreateCouponStock::SPEC, stock.clone()).map(|reply| reply.value),
    }
}

fn authority(sandbox: &Sandbox) -> reqwest::Certificate {
    reqwest::Certificate::from_pem(sandbox.ca_pem().as_bytes()).expect("a certificate")
}

/// Trusts the sandbox's authority and no other.
pub(crate) fn tls(sandbox: &Sandbox) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(sandbox.ca_pem().as_bytes()).expect("PEM")).expect("a root");
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Sends bytes over a plain socket or over TLS; what came back, and how it ended.
pub(crate) fn exchange(sandbox: &Sandbox, way: Way, bytes: &str) -> (String, io::Result<()>) {
    let mut tcp = TcpStream::connect(sandbox.address()).expect("the sandbox listens");
    match way {
        Way::Http => talk(tcp, bytes),
        Way::Tls => talk(wrap(sandbox, tcp, "localhost"), bytes),
        Way::Proxy => {
            let host = "api.mch.weixin.qq.com";
            tcp.write_all(format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n").as_bytes()).expect("sent");
            assert!(head(&mut tcp).starts_with("HTTP/1.1 200 "));
            talk(wrap(sandbox, tcp, host), bytes)
        }
    }
}

fn wrap(sandbox: &Sandbox, tcp: TcpStream, host: &'static str) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from(host).expect("a name");
    StreamOwned::new(ClientConnection::new(Arc::new(tls(sandbox)), name).expect("a connection"), tcp)
}

fn talk(mut stream: impl Read + Write, bytes: &str) -> (String, io::Result<()>) {
    stream.write_all(bytes.as_bytes()).expect("sent");
    let mut read = Vec::new();
    let ended = stream.read_to_end(&mut read).map(drop);
    (String::from_utf8_lossy(&read).into_owned(), ended)
}

/// Reads up to the empty line.
fn head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("UTF-8")
}
