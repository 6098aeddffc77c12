//! A merchant's server that receives notifications, as one is written with axum and the protocol's `Receiver`.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wechatpay_protocol::crypto::aws_lc::ApiV3Key;
use wechatpay_protocol::notification::{Acknowledge, NotificationError, Received, Receiver};
use wechatpay_protocol::{UnverifiedReason, Verifier};
use wechatpay_sandbox::Sandbox;

/// What it does with a notification.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Takes it, as a merchant should.
    Take,
    /// Takes it, and answers 204.
    TakeSilently,
    /// Never answers.
    Nothing,
    /// Answers this, whatever it is.
    Answer(u16, &'static str),
}

/// A notification as it came, and what the protocol made of it.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    /// Method, headers and body.
    pub(crate) request: http::Request<Bytes>,
    /// The sandbox's clock.
    pub(crate) now: i64,
    /// What it was found to be.
    pub(crate) found: Found,
}

/// What a notification was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// An event that was not seen before: id, type and resource.
    New(String, String, serde_json::Value),
    /// An event that was processed already.
    Duplicate(String),
    /// A signature that must not be believed, on purpose.
    Probe,
    /// Anything else.
    Wrong(String),
}

struct Inside {
    receiver: Receiver,
    sandbox: Arc<Sandbox>,
    acts: Mutex<VecDeque<Act>>,
    taken: Mutex<Vec<Taken>>,
}

/// The server; it ends when this is dropped.
pub(crate) struct Till {
    /// Where notifications are to go.
    pub(crate) url: String,
    inside: Arc<Inside>,
    server: JoinHandle<()>,
}

impl Drop for Till {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Till {
    /// Listens for the notifications to the first merchant of a sandbox.
    pub(crate) async fn open(sandbox: &Arc<Sandbox>, trust: impl Verifier + 'static) -> Self {
        let key = ApiV3Key::new(&sandbox.merchant().apiv3_key).expect("32 bytes");
        let inside = Arc::new(Inside {
            receiver: Receiver::new(trust, key),
            sandbox: Arc::clone(sandbox),
            acts: Mutex::default(),
            taken: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/notify?shop=1", listener.local_addr().expect("an address"));
        let app = Router::new().fallback(receive).with_state(Arc::clone(&inside));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { url, inside, server }
    }

    /// Does these with what comes next, and takes what comes after.
    pub(crate) fn will(&self, acts: impl IntoIterator<Item = Act>) {
        *lock(&self.inside.acts) = acts.into_iter().collect();
    }

    /// What has come since this was asked last.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        std::mem::take(&mut lock(&self.inside.taken))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn receive(State(inside): State<Arc<Inside>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    let request = http::Request::from_parts(parts, body);
    let now = inside.sandbox.now();
    let act = lock(&inside.acts).pop_front().unwrap_or(Act::Take);
    let (found, answer) = match inside.receiver.receive_request(&request, now) {
        Ok(Received::New(delivery)) => {
            let resource = delivery.read().expect("JSON");
            let found = Found::New(delivery.id.clone(), delivery.event_type.clone(), resource);
            let answer = match act {
                Act::Take => delivery.done(),
                Act::TakeSilently => {
                    delivery.done();
                    Acknowledge::NoContent
                }
                Act::Answer(..) | Act::Nothing => delivery.failed("as asked"),
            };
            (found, answer)
        }
        Ok(Received::Duplicate(event)) => (Found::Duplicate(event.id), Acknowledge::Success),
        Err(error @ NotificationError::Unverified(UnverifiedReason::Probe)) => (Found::Probe, error.answer()),
        Err(error) => (Found::Wrong(error.to_string()), error.answer()),
    };
    lock(&inside.taken).push(Taken { request, now, found });
    match act {
        Act::Answer(status, body) => {
            let answer = http::Response::builder().status(status).header("location", "/elsewhere").body(body.into());
            answer.expect("a response")
        }
        Act::Nothing => std::future::pending().await,
        _ => answer.into_response().map(Body::from),
    }
}
