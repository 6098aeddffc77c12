//! The accept loop, and the way from a connection to an answer.
//!
//! One port serves all three ways in: plain HTTP, TLS, and the proxy's CONNECT, behind which is TLS again. The first byte
//! of a connection tells TLS from HTTP.

use crate::answer::Answer;
use crate::api::{Api, Handled, Secure};
use crate::control::{self, Peer, Trusted};
use crate::socket::{Broken, Wire};
use crate::tls::OFFICIAL_HOSTS;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::uri::Authority;
use http::{Method, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Most bytes of a request body: an upload is at most 2 MB.
const BODY_LIMIT: usize = 4 << 20;

/// How long a client may take for its headers, and for a TLS handshake.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first byte of a TLS connection: the type of a handshake record.
const HANDSHAKE: u8 = 0x16;

/// How a connection goes on where HTTP ends.
enum Turn {
    /// The answer breaks.
    Broken(Broken),
    /// The proxy's tunnel to an official host.
    Tunnel,
}

/// Everything that a connection needs.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) api: Arc<Api>,
    pub(crate) tls: TlsAcceptor,
    /// Where the sandbox listens.
    pub(crate) address: SocketAddr,
    /// Whether anybody may use the control paths, and not loopback alone.
    pub(crate) open_control: bool,
}

/// Accepts connections until it is dropped; they end with it.
pub(crate) async fn run(listener: TcpListener, door: Door) {
    let app = Router::new().merge(control::routes(Arc::clone(&door.api))).fallback(answer);
    let app = app.with_state(Arc::clone(&door.api));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let trusted = trusted(peer, door.open_control);
                    let visit = Visit { door: door.clone(), app: TowerToHyperService::new(app.clone()), peer, trusted };
                    connections.spawn(visit.serve(stream));
                }
                // Out of file descriptors, or the peer is gone already: neither lasts.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection's way in.
struct Visit {
    door: Door,
    app: TowerToHyperService<Router>,
    peer: SocketAddr,
    trusted: Option<Trusted>,
}

/// Whether who calls from there may use the control paths: loopback may, and others where they are opened for all.
fn trusted(peer: SocketAddr, open_control: bool) -> Option<Trusted> {
    (open_control || peer.ip().to_canonical().is_loopback()).then_some(Trusted { remote: open_control })
}

impl Visit {
    async fn serve(self, stream: TcpStream) {
        // Without it a small answer may wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let mut first = [0];
        match timeout(PATIENCE, stream.peek(&mut first)).await {
            Ok(Ok(1)) if first == [HANDSHAKE] => self.secure(stream).await,
            Ok(Ok(1)) => {
                if let Some(stream) = self.converse(stream, false).await {
                    self.secure(stream).await;
                }
            }
            _ => {}
        }
    }

    /// TLS, and HTTP in it.
    async fn secure(&self, stream: TcpStream) {
        match timeout(PATIENCE, self.door.tls.accept(stream)).await {
            // A proxy within TLS is refused, so that nothing comes back.
            Ok(Ok(stream)) => drop(self.converse(stream, true).await),
            // It went away without a word, as one that only looks whether the port is open.
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Ok(Err(error)) => {
                let why =
                    format!("no TLS: {error}; does the client trust ca.pem, and name an official host or localhost?");
                self.door.api.turn_away("TLS", "", None, &why);
            }
            Err(_) => {}
        }
    }

    /// Answers the requests of a connection; gives it back where it becomes a tunnel.
    async fn converse<W: Wire>(&self, wire: W, secure: bool) -> Option<W> {
        let turn = Mutex::new(None);
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let answered = self.answer(request, secure);
            async {
                answered.await.map_err(|next| {
                    *turn.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
                    io::Error::other("HTTP ends here")
                })
            }
        });
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).title_case_headers(true);
        let mut connection = server.serve_connection(TokioIo::new(wire), service);
        // How a connection ends is the client's affair, or a fault's.
        let _ = (&mut connection).await;
        let parts = connection.into_parts();
        let mut wire = parts.io.into_inner();
        let turn = turn.lock().unwrap_or_else(PoisonError::into_inner).take();
        match turn? {
            Turn::Broken(broken) => {
                let _ = broken.send(wire).await;
                None
            }
            Turn::Tunnel if !parts.read_buf.is_empty() => {
                self.door.api.turn_away("CONNECT", "", None, "the client spoke before the tunnel stood");
                None
            }
            Turn::Tunnel => wire.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok().map(|()| wire),
        }
    }

    /// The answer to a request, or what comes instead.
    async fn answer(&self, mut request: hyper::Request<Incoming>, secure: bool) -> Result<Response, Turn> {
        let connect = request.method() == Method::CONNECT;
        let host = request.uri().authority().cloned();
        let is_served = match &host {
            Some(host) if connect => !secure && host.port_u16() == Some(443) && is_official(host),
            Some(host) => is_official(host) || self.is_own(host),
            None => !connect,
        };
        if !is_served {
            return Ok(self.turn_away(request.method(), host.as_ref()));
        }
        if connect {
            return Err(Turn::Tunnel);
        }
        request.extensions_mut().insert(Peer(self.peer));
        if let Some(trusted) = self.trusted {
            request.extensions_mut().insert(trusted);
        }
        if secure {
            request.extensions_mut().insert(Secure);
        }
        let Ok(mut response) = self.app.call(request).await;
        match response.extensions_mut().remove::<Broken>() {
            None => Ok(response),
            Some(broken) => Err(Turn::Broken(broken)),
        }
    }

    /// Whether a proxied request is for the sandbox itself.
    fn is_own(&self, host: &Authority) -> bool {
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        let here = |ip: IpAddr| ip == self.door.address.ip() || ip.is_loopback();
        host.port_u16() == Some(self.door.address.port()) && (name == "localhost" || name.parse().is_ok_and(here))
    }

    /// Refuses to be the proxy for another host.
    fn turn_away(&self, method: &Method, host: Option<&Authority>) -> Response {
        let port = host.and_then(Authority::port).map(|port| format!(":{port}")).unwrap_or_default();
        let target = format!("{}{port}", host.map_or("a target without a host", Authority::host));
        let why = format!(
            "{target} is refused: the sandbox never contacts the outside. As a proxy it stands in for {} (port 443 with \
             CONNECT) and nothing else; name other hosts in NO_PROXY",
            OFFICIAL_HOSTS.join(", ")
        );
        self.door.api.turn_away(method.as_str(), &target, Some(403), &why);
        let body = Answer::own(403, why).body.to_string();
        (StatusCode::FORBIDDEN, [(CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
    }
}

fn is_official(host: &Authority) -> bool {
    OFFICIAL_HOSTS.iter().any(|official| host.host().eq_ignore_ascii_case(official))
}

/// Everything that is not a control path is the emulated API.
async fn answer(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        let message = "the body is incomplete, or larger than 4 MiB";
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        api.turn_away(parts.method.as_str(), target, Some(413), message);
        return (StatusCode::PAYLOAD_TOO_LARGE, message).into_response();
    };
    match api.handle(&parts, &body) {
        Handled::Reply(response) => response.map(Body::from),
        Handled::Broken(broken) => {
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(broken);
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;
    use crate::ambient::{Ambient, Clock};
    use crate::keys::Keys;
    use crate::log::Log;
    use crate::settings::Settings;

    /// Who gets through to the control paths, from addresses that this machine does not have.
    #[tokio::test]
    async fn control_paths_are_for_loopback_unless_they_are_opened() {
        let keys = Keys::generate(&["1900000001".to_owned()], &[], 0).unwrap();
        let world = World::new(Ambient::new(Clock::Virtual(0), 0), Settings::default(), Log::default());
        let api = Arc::new(Api::new(keys, world));
        let app = TowerToHyperService::new(control::routes(Arc::clone(&api)).with_state(api));
        let status = async |peer: &str, open: bool, host: &str| {
            let mut request = http::Request::builder().uri("/_sandbox/health").header("host", host);
            if let Some(trusted) = trusted(SocketAddr::new(peer.parse().unwrap(), 4711), open) {
                request = request.extension(trusted);
            }
            app.call(request.body(Body::empty()).unwrap()).await.unwrap().status()
        };
        for here in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(status(here, false, "localhost").await, 200, "{here}");
            assert_eq!(status(here, false, "box.example").await, 403, "{here} under another's name");
            assert_eq!(status(here, true, "box.example").await, 200, "{here}");
        }
        for elsewhere in ["192.0.2.7", "10.0.0.1", "::ffff:192.0.2.7", "2001:db8::1", "0.0.0.0"] {
            assert_eq!(status(elsewhere, false, "localhost").await, 403, "{elsewhere}");
            assert_eq!(status(elsewhere, true, "box.example").await, 200, "{elsewhere}");
        }
    }
}
