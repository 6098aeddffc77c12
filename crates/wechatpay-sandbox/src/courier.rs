//! Carries events to merchants: signed and sealed, one after the other to each address, and again where they are refused.
//!
//! Only loopback is contacted unless the settings allow more, over plain HTTP, and redirects are not followed.

use crate::ambient::{Clock, time_text};
use crate::api::{self, Api, Hand};
use crate::authorize::{BRAND_SCHEME, SCHEME};
use crate::state::{Attempt, Ending, Errand, Event};
use crate::{VERSION, World};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::Scheme;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// Most bytes that are read of an answer.
const LIMIT: usize = 64 << 10;

/// How the courier and the rest of the sandbox call each other.
#[derive(Default)]
pub(crate) struct Signals {
    /// There may be something to carry.
    pub(crate) bell: Notify,
    /// Something was carried, or need not be any more.
    carried: watch::Sender<()>,
}

impl Signals {
    /// Hears of all that is carried from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.carried.subscribe()
    }

    /// Tells those who wait for what is carried.
    pub(crate) fn announce(&self) {
        self.carried.send_replace(());
    }
}

/// Carries what falls due, until it is dropped.
pub(crate) async fn run(api: Arc<Api>) {
    let mut under_way = JoinSet::new();
    loop {
        let pause = {
            let mut world = api.world();
            while let Some(letter) = Letter::next(&api, &mut world) {
                under_way.spawn(carry(Arc::clone(&api), letter));
            }
            pause(&world)
        };
        tokio::select! {
            () = api.signals.bell.notified() => {}
            Some(_) = under_way.join_next() => {}
            () = sleep(pause) => {}
        }
    }
}

/// Waits until nothing is due and nothing is under way.
pub(crate) async fn settled(api: &Api) {
    let mut carried = api.signals.subscribe();
    let settled = || {
        let world = api.world();
        world.state.outbox.is_settled(world.ambient.now())
    };
    while !settled() && carried.changed().await.is_ok() {}
}

/// How long nothing falls due by itself: for ever, where time only passes when it is told to.
fn pause(world: &World) -> Option<Duration> {
    let due = world.state.outbox.next_due().filter(|_| world.ambient.clock() == Clock::System)?;
    let seconds = u64::try_from(due.saturating_sub(world.ambient.now())).unwrap_or(0);
    // What is due and was not taken waits for its address, and that rings.
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

async fn carry(api: Arc<Api>, letter: Letter) {
    let ending = letter.send(&api).await;
    let mut world = api.world();
    // What was reset or restored meanwhile knows nothing of this letter.
    if world.generation == letter.generation {
        let World { state, settings, .. } = &mut *world;
        state.outbox.record(letter.errand.number, letter.errand.due, ending, settings);
    }
    drop(world);
    api.signals.announce();
}

/// One attempt to deliver an event, with everything that it takes from the world.
struct Letter {
    errand: Errand,
    generation: u64,
    now: i64,
    hand: Hand,
    probe: bool,
    nonce: String,
    seal: String,
    anywhere: bool,
    timeout: u32,
}

/// What is sent.
struct Sealed {
    request: Request<Full<Bytes>>,
    serial: String,
}

impl Letter {
    /// The next that is to be sent now.
    fn next(api: &Api, world: &mut World) -> Option<Self> {
        let World { ambient, settings, state, generation, .. } = world;
        let now = ambient.now();
        let errand = state.outbox.next(now, settings.notify_newest_first)?;
        let mut numbers = ambient.apart(&format!("{} {}", errand.event.id, errand.event.attempts.len()));
        Some(Self {
            generation: *generation,
            now,
            hand: api.hand(settings, &mut numbers),
            probe: numbers.chance(settings.probes_in_notifications),
            nonce: numbers.letters(32),
            seal: numbers.letters(12),
            anywhere: settings.notify_anywhere,
            timeout: settings.notify_timeout,
            errand,
        })
    }

    async fn send(&self, api: &Api) -> Ending {
        let uri = match destination(&self.errand.url, self.anywhere) {
            Ok(uri) => uri,
            Err(reason) => return Ending::Refused(self.attempt(None, Err(reason))),
        };
        let Sealed { request, serial } = match self.seal(api, &uri) {
            Ok(sealed) => sealed,
            Err(reason) => return Ending::Refused(self.attempt(None, Err(reason))),
        };
        let limit = Duration::from_secs(self.timeout.into());
        let answer = tokio::time::timeout(limit, exchange(&uri, request)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} seconds", self.timeout)));
        Ending::Tried(self.attempt(Some(serial), answer))
    }

    fn attempt(&self, serial: Option<String>, answer: Result<(StatusCode, Bytes), String>) -> Attempt {
        let (status, (accepted, reason)) = match answer {
            Ok((status, body)) => (Some(status.as_u16()), judge(status, &body)),
            Err(reason) => (None, (false, reason)),
        };
        Attempt {
            due: time_text(self.errand.due),
            time: time_text(self.now),
            probe: self.probe && serial.is_some(),
            serial,
            duplicate: self.errand.duplicate,
            status,
            accepted,
            reason,
        }
    }

    /// Seals the event and signs it.
    fn seal(&self, api: &Api, uri: &Uri) -> Result<Sealed, String> {
        let Event { mchid, .. } = &self.errand.event;
        let merchant =
            api.keys.caller(mchid).ok_or_else(|| format!("there is no merchant or brand {mchid} to seal it for"))?;
        let (nonce, plain) = (self.seal.as_bytes(), self.errand.event.payload.to_string());
        let associated_data = self.errand.event.original_type.as_bytes();
        let sealed = merchant.seal(nonce, associated_data, plain.as_bytes()).ok_or("it could not be sealed")?;
        let body = self.envelope(&STANDARD.encode(sealed)).to_string();
        let key = self.hand.key(&api.keys);
        let mut signature =
            api::signature(key, self.now, &self.nonce, body.as_bytes()).ok_or("it could not be signed")?;
        if self.probe {
            signature = format!("{}{signature}", api::PROBE);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, uri.authority().map_or("", |authority| authority.as_str()))
            .header(USER_AGENT, format!("wechatpay-sandbox/{VERSION}"))
            .header(ACCEPT, "*/*")
            .header(CONTENT_TYPE, "application/json")
            .header(api::TIMESTAMP, self.now)
            .header(api::NONCE, &self.nonce)
            .header(api::SIGNATURE, signature)
            .header(api::SERIAL, &key.id)
            .header(api::SIGNATURE_TYPE, if merchant.brand { BRAND_SCHEME } else { SCHEME });
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())?;
        Ok(Sealed { request, serial: key.id.clone() })
    }

    /// The envelope around what is sealed.
    fn envelope(&self, ciphertext: &str) -> Value {
        let Event { id, create_time, event_type, original_type, summary, .. } = &self.errand.event;
        json!({
            "id": id,
            "create_time": create_time,
            "resource_type": "encrypt-resource",
            "event_type": event_type,
            "summary": summary,
            "resource": {
                "original_type": original_type,
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": ciphertext,
                "associated_data": original_type,
                "nonce": self.seal,
            },
        })
    }
}

/// Reads an address, and makes sure that it is one to contact.
pub(crate) fn destination(url: &str, anywhere: bool) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|_| "the address is no URL".to_owned())?;
    let host = uri.host().filter(|_| uri.scheme().is_some()).ok_or("the address names no scheme or no host")?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("the address holds a user name, which no notification needs".to_owned());
    }
    if !anywhere && local(host).is_empty() {
        return Err(format!("{host} is no loopback address, and no other is contacted (setting notify_anywhere)"));
    }
    if uri.scheme() != Some(&Scheme::HTTP) {
        return Err("the sandbox delivers over http only; give it an http address".to_owned());
    }
    Ok(uri)
}

/// The loopback addresses that a host stands for; none if it is another machine. No resolver is asked.
fn local(host: &str) -> Vec<IpAddr> {
    if host.eq_ignore_ascii_case("localhost") {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.into_iter().filter(|address| address.to_canonical().is_loopback()).collect()
}

async fn connect(uri: &Uri) -> std::io::Result<TcpStream> {
    let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80));
    let local: Vec<_> = local(host).into_iter().map(|address| SocketAddr::new(address, port)).collect();
    if local.is_empty() {
        TcpStream::connect((host.trim_start_matches('[').trim_end_matches(']'), port)).await
    } else {
        TcpStream::connect(local.as_slice()).await
    }
}

async fn exchange(uri: &Uri, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String> {
    let stream = connect(uri).await.map_err(|error| format!("no connection: {error}"))?;
    let connection = http1::Builder::new().title_case_headers(true).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connection.map_err(|error| format!("no HTTP: {error}"))?;
    // It ends when the sender does.
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| format!("no answer: {error}"))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LIMIT).collect().await;
    let body = body.map_err(|error| format!("status {status}, and the body broke off: {error}"))?;
    Ok((status, body.to_bytes()))
}

/// Whether an answer accepts the event: 200 or 204, and a body that does not say otherwise.
fn judge(status: StatusCode, body: &[u8]) -> (bool, String) {
    let said = serde_json::from_slice::<Value>(body).ok();
    let code = said.as_ref().and_then(|said| said.get("code")?.as_str()).map(|code| crate::log::cut(code, 64));
    let accepts = matches!(status, StatusCode::OK | StatusCode::NO_CONTENT);
    match code {
        Some("SUCCESS") | None if accepts => (true, "accepted".to_owned()),
        Some(code) if accepts => (false, format!("the status accepts it, but the body says {code}")),
        Some(code) => (false, format!("refused with {code}")),
        None => (false, "refused; only 200 and 204 accept".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_contacted() {
        for url in [
            "http://127.0.0.1:3000/notify?a=b",
            "http://127.9.9.9/",
            "http://localhost:1",
            "http://LocalHost/",
            "http://[::1]:80/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            assert!(destination(url, false).is_ok(), "{url}");
        }
        for url in [
            "http://merchant.example/notify",
            "http://127.0.0.1.merchant.example/",
            "http://localhost.merchant.example/",
            "http://127.0.0.1@merchant.example/",
            "http://localhost./",
            "http://0.0.0.0:3000/",
            "http://[::]/",
            "http://10.0.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://[::ffff:10.0.0.1]/",
            "https://merchant.example/",
        ] {
            let reason = destination(url, false).unwrap_err();
            assert!(reason.contains("loopback") || reason.contains("user name"), "{url}: {reason}");
        }
        for (url, named) in [
            ("https://127.0.0.1/", "http only"),
            ("ftp://127.0.0.1/", "http only"),
            ("/notify", "no scheme"),
            ("127.0.0.1:3000", "no scheme"),
            ("", "no URL"),
            ("http://", "no URL"),
            ("http://user:secret@127.0.0.1/", "user name"),
        ] {
            let reason = destination(url, false).unwrap_err();
            assert!(reason.contains(named) && !reason.contains("secret"), "{url}: {reason}");
        }
        assert!(destination("http://merchant.example/notify", true).is_ok());
    }

    #[test]
    fn what_an_answer_says_is_understood() {
        for (status, body, accepted) in [
            (200, r#"{"code":"SUCCESS","message":"OK"}"#, true),
            (204, "", true),
            (200, "", true),
            (200, "ok", true),
            (200, r#"{"code":"FAIL","message":"later"}"#, false),
            (201, r#"{"code":"SUCCESS"}"#, false),
            (302, "", false),
            (400, r#"{"code":"SUCCESS"}"#, false),
            (500, r#"{"code":"FAIL"}"#, false),
            (500, "<html>", false),
        ] {
            let found = judge(StatusCode::from_u16(status).unwrap(), body.as_bytes());
            assert_eq!(found.0, accepted, "{status} {body}: {}", found.1);
        }
    }
}
