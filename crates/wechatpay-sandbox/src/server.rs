//! The accept loop, and the way from a connection to an answer.

use crate::api::{Api, Handled};
use crate::control::{self, Peer};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Most bytes of a request body: an upload is at most 2 MB.
const BODY_LIMIT: usize = 4 << 20;

/// How long a client may take for its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Marks an answer in whose place the connection is closed.
#[derive(Clone, Copy)]
struct HangUp;

/// Accepts connections until it is dropped; they end with it.
pub(crate) async fn run(listener: TcpListener, api: Arc<Api>) {
    let app = Router::new().merge(control::routes()).fallback(answer).with_state(api);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve(stream, Peer(peer), app.clone()));
                }
                // Out of file descriptors, or the peer is gone already: neither lasts.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, peer: Peer, app: Router) {
    // Without it a small answer may wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let answer = app.call(request);
        async move {
            let Ok(response) = answer.await;
            match response.extensions().get::<HangUp>() {
                None => Ok(response),
                Some(HangUp) => Err(io::Error::other("a fault closes the connection")),
            }
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).title_case_headers(true);
    // How a connection ends is the client's affair.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

/// Everything that is not a control path is the emulated API.
async fn answer(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        let message = "the body is incomplete, or larger than 4 MiB";
        return (StatusCode::PAYLOAD_TOO_LARGE, message).into_response();
    };
    match api.handle(&parts, &body) {
        Handled::Reply(response) => response.map(Body::from),
        Handled::HangUp => {
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(HangUp);
            response
        }
    }
}
