//! The conformance suite, run over every adapter; and over transports that are wrong in one way each, which it must notice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use std::time::Duration;
use wechatpay_hyper::Hyper;
use wechatpay_protocol::{BlockingTransport, Sent, Tower, Transport, TransportError, TransportErrorKind};
use wechatpay_reqwest::{BlockingReqwest, Reqwest, reqwest};
use wechatpay_tests::conformance::{Asynchronous, Blocking, Carrier, conformance, fails};

#[test]
fn reqwest_conforms() {
    conformance("reqwest", &|timeout| {
        let builder = reqwest::Client::builder().timeout(timeout);
        Asynchronous::boxed(Reqwest::from_builder(builder).expect("a client"))
    });
}

#[test]
fn reqwest_blocking_conforms() {
    conformance("reqwest blocking", &|timeout| {
        Blocking::boxed(BlockingReqwest::new().expect("outside a runtime"), timeout)
    });
}

#[test]
fn hyper_conforms() {
    conformance("hyper", &|timeout| Asynchronous::boxed(Hyper::new().with_timeout(timeout)));
}

#[tokio::test]
async fn a_timeout_may_be_as_long_as_it_can_be_written() {
    let sandbox = wechatpay_sandbox::Sandbox::start().await.expect("a sandbox");
    let builder = reqwest::Client::builder().timeout(Duration::MAX);
    let reqwest = Reqwest::from_builder(builder).expect("a client");
    let hyper = Hyper::new().with_timeout(Duration::MAX);
    wechatpay_tests::road::client(&sandbox, hyper).get("/v3/certificates").await.expect("hyper takes it");
    wechatpay_tests::road::client(&sandbox, reqwest).get("/v3/certificates").await.expect("reqwest takes it");
}

#[test]
fn a_tower_stack_conforms() {
    conformance("a tower stack", &|timeout| {
        let hyper = Hyper::new().with_timeout(timeout);
        let service = tower::service_fn(move |request| {
            let hyper = hyper.clone();
            async move { hyper.call(request).await }
        });
        Asynchronous::boxed(Tower(tower::ServiceBuilder::new().concurrency_limit(4).service(service)))
    });
}

/// A transport that does something to requests, to answers, or more than once.
fn wrong<F, Fut>(change: F) -> Box<dyn Carrier>
where
    F: Fn(Hyper, http::Request<Bytes>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<http::Response<Full<Bytes>>, TransportError>> + Send,
{
    let hyper = Hyper::new().with_timeout(Duration::from_millis(500));
    Asynchronous::boxed(move |request| change(hyper.clone(), request))
}

async fn whole(hyper: &Hyper, request: http::Request<Bytes>) -> Result<http::Response<Full<Bytes>>, TransportError> {
    let (parts, body) = hyper.call(request).await?.into_parts();
    Ok(http::Response::from_parts(parts, Full::new(body.collect().await?.to_bytes())))
}

#[test]
fn what_does_not_conform_is_noticed() {
    type Fault = (&'static str, fn() -> Box<dyn Carrier>);
    let faults: [Fault; 9] = [
        ("requests arrive as they were signed", || {
            wrong(|hyper, mut request| async move {
                request.headers_mut().insert("x-more", "1".parse().expect("a header value"));
                whole(&hyper, request).await
            })
        }),
        ("requests arrive as they were signed", || {
            wrong(|hyper, request| async move {
                let body = String::from_utf8_lossy(request.body()).into_owned();
                whole(&hyper, request.map(|_| Bytes::from(body))).await
            })
        }),
        ("answers arrive as they were signed", || {
            wrong(|hyper, request| async move {
                let mut response = whole(&hyper, request).await?;
                let once =
                    response.headers().iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>();
                once.into_iter().for_each(|(name, value)| drop(response.headers_mut().insert(name, value)));
                Ok(response)
            })
        }),
        ("redirects are not followed", || {
            wrong(|hyper, mut request| async move {
                let response = whole(&hyper, request.clone()).await?;
                let Some(location) = response.headers().get("location") else { return Ok(response) };
                let authority = request.uri().authority().expect("an authority");
                let uri = format!("http://{authority}{}", location.to_str().expect("ASCII"));
                *request.uri_mut() = uri.parse().expect("a URI");
                whole(&hyper, request).await
            })
        }),
        ("nothing is decompressed", || {
            wrong(|hyper, mut request| async move {
                request.headers_mut().insert("accept-encoding", "gzip".parse().expect("a header value"));
                whole(&hyper, request).await
            })
        }),
        ("a download is handed over as it comes", || {
            wrong(|hyper, request| async move { whole(&hyper, request).await })
        }),
        ("connections are used again", || wrong(|_, request| async move { whole(&Hyper::new(), request).await })),
        ("a broken connection may have been executed and is not tried again", || {
            wrong(|hyper, request| async move {
                match whole(&hyper, request.clone()).await {
                    Err(_) => whole(&hyper, request).await,
                    done => done,
                }
            })
        }),
        ("a refused connection has sent nothing", || {
            wrong(|hyper, request| async move { whole(&hyper, request).await.map_err(TransportError::interrupted) })
        }),
    ];
    for (case, make) in faults {
        assert!(fails(case, &|_| make()).is_some(), "not noticed: {case}");
    }
}

#[test]
fn a_blocking_call_inside_a_runtime_is_a_typed_error() {
    let transport = BlockingReqwest::new().expect("outside a runtime");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        assert!(BlockingReqwest::new().is_err());
        let request = http::Request::get("http://127.0.0.1:9/").body(Bytes::new()).expect("a request");
        let error = transport.call(request, None).expect_err("inside a runtime");
        assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Unsendable, Sent::No));
        assert!(error.to_string().contains("use Client there"), "{error}");
    });
}
