//! The emulated API: one request through all checks to one answer.
//!
//! Order of the checks: signature, route, schema, then what the state says (merchant, existence, request number,
//! limits that span fields, state). Everything is decided under one lock, so that requests have an order.

use crate::World;
use crate::ambient::Ambient;
use crate::answer::{self, Answer, Outcome};
use crate::authorize::{self, BRAND_SCHEME, Reason, Refused, SCHEME, Signed, Window};
use crate::control::Peer;
use crate::courier::Signals;
use crate::explain::{self, Cause, Clock, Explanation};
use crate::faults::{Asked, Fault, GATEWAY_PAGE};
use crate::keys::{Keys, Merchant, Platform, SigningKey};
use crate::log::{Basis, Exchange, Verdict, cut};
use crate::multipart;
use crate::rates::{self, Limit};
use crate::rules::{self, Facts};
use crate::schema::{Forms, Violation};
use crate::settings::{Settings, SignWith};
use crate::socket::{Break, Broken};
use crate::state::{Act, Call, FILE_PATH};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wechatpay_model::operation::{self, Body, Idempotency, Per, Spec};
use wechatpay_protocol::request::{self, BRAND_ID, Route};

pub(crate) const TIMESTAMP: HeaderName = HeaderName::from_static("wechatpay-timestamp");
pub(crate) const NONCE: HeaderName = HeaderName::from_static("wechatpay-nonce");
pub(crate) const SIGNATURE: HeaderName = HeaderName::from_static("wechatpay-signature");
pub(crate) const SERIAL: HeaderName = HeaderName::from_static("wechatpay-serial");
pub(crate) const SIGNATURE_TYPE: HeaderName = HeaderName::from_static("wechatpay-signature-type");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// How a signature begins that is a probe, and must not be believed.
pub(crate) const PROBE: &str = "WECHATPAY/SIGNTEST/";

/// How far off the faults `stale` and `future` are, in seconds.
const FAR: i64 = 600;

/// What all requests share.
pub(crate) struct Api {
    pub(crate) keys: Keys,
    pub(crate) signals: Arc<Signals>,
    forms: Forms,
    world: Mutex<World>,
}

/// Who signs: the platform's newest certificate, or the public key.
pub(crate) struct Hand {
    certificate: bool,
    /// Whether it signs for a brand.
    brand: bool,
    platform: Option<Arc<Platform>>,
}

impl Hand {
    pub(crate) fn key<'k>(&'k self, keys: &'k Keys) -> &'k SigningKey {
        let platform = self.platform.as_deref().filter(|_| self.certificate);
        platform.map_or(&keys.public_key, |platform| &platform.key)
    }
}

/// The signature over a body, at a time and with a nonce, in base64.
pub(crate) fn signature(key: &SigningKey, timestamp: i64, nonce: &str, body: &[u8]) -> Option<String> {
    let mut message = format!("{timestamp}\n{nonce}\n").into_bytes();
    message.extend_from_slice(body);
    message.push(b'\n');
    key.sign(&message).map(|signature| STANDARD.encode(signature))
}

/// What becomes of a request.
pub(crate) enum Handled {
    Reply(Response<Bytes>),
    /// The answer breaks on the socket.
    Broken(Broken),
}

/// Marks a request that came over TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Secure;

impl Api {
    pub(crate) fn new(keys: Keys, world: World) -> Self {
        Self { keys, signals: Arc::clone(&world.signals), forms: Forms::default(), world: Mutex::new(world) }
    }

    /// The world, locked. A panic elsewhere does not make it unusable: each change of it is complete in itself.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the platform a new key and certificate; names the serial number.
    pub(crate) fn rotate(&self) -> Result<String, String> {
        let now = self.world().ambient.now();
        self.keys.rotate(now).map(|platform| platform.key.id.clone())
    }

    /// Answers one request.
    pub(crate) fn handle(&self, parts: &Parts, body: &[u8]) -> Handled {
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let mut world = self.world();
        let mut exchange = world.exchange(parts.method.as_str(), target);
        let asked = match Fault::asked(&parts.headers) {
            Ok(Some(asked)) => Some(asked),
            Ok(None) => world.faults.pick(|| Some(find_route(&parts.method, parts.uri.path()).ok()?.spec.id())),
            Err(message) => return self.deliver(world, exchange, *Answer::own(400, message), parts, None),
        };
        let arrived = Arrived { parts, target, body, asked: asked.as_ref() };
        if let Some(asked) = &asked
            && let Some(handled) = unseen(&asked.fault, &arrived)
        {
            exchange.apply(asked);
            exchange.why = "fault: nothing was acted upon".to_owned();
            exchange.status = match &handled {
                Handled::Reply(response) => Some(response.status().as_u16()),
                Handled::Broken(_) => None,
            };
            world.record(exchange);
            return handled;
        }
        let answer = match self.judge(&mut world, &mut exchange, &arrived) {
            Ok(answer) if of_brand(&parts.headers) => unname_brand(answer),
            Ok(answer) => answer,
            Err(refusal) => *refusal,
        };
        self.deliver(world, exchange, answer, parts, asked)
    }

    /// Logs what was refused before it was a request to the API.
    pub(crate) fn turn_away(&self, method: &str, target: &str, status: Option<u16>, why: &str) {
        let mut world = self.world();
        // It takes no number, so that the ids of requests do not depend on it.
        let mut exchange = Exchange::new(String::new(), world.ambient.now_text(), method, target);
        (exchange.status, exchange.why) = (status, why.to_owned());
        world.record(exchange);
    }

    /// Leads a request through the checks.
    fn judge(&self, world: &mut World, exchange: &mut Exchange, arrived: &Arrived<'_>) -> Outcome {
        let checks = &mut exchange.checks;
        let upload =
            arrived.upload().map_err(|why| Answer::own(400, format!("the multipart body cannot be read: {why}")));
        let signed = match &upload {
            Ok(Some(upload)) => upload.meta,
            _ => arrived.body,
        };
        let signed = Signed { method: arrived.parts.method.as_str(), target: arrived.target, body: signed };
        checks.signature = Verdict::Failed;
        let merchant = match self.authorize(world, &arrived.parts.headers, signed) {
            Ok(merchant) => merchant,
            Err(refused) => {
                let unread = upload.err().map(|answer| answer.why);
                exchange.explanation = Some(Box::new(self.explain(world, arrived, &refused, unread.as_deref())));
                return Err(sign_error(&refused, signed));
            }
        };
        checks.signature = Verdict::Ok;
        exchange.mchid = Some(merchant.mchid.clone());
        let upload = upload?;

        checks.route = Verdict::Failed;
        if arrived.parts.method == Method::GET && arrived.parts.uri.path() == FILE_PATH {
            checks.route = Verdict::Ok;
            let now = world.ambient.now();
            let outcome = world.state.files.fetch(arrived.parts.uri.query(), &merchant.mchid, now);
            checks.state = if outcome.is_ok() { Verdict::Ok } else { Verdict::Failed };
            return outcome;
        }
        let route = find_route(&arrived.parts.method, arrived.parts.uri.path())?;
        if route.brand != merchant.brand {
            let refused = Refused { reason: Reason::OtherDoor, message: Vec::new() };
            exchange.explanation = Some(Box::new(self.explain(world, arrived, &refused, None)));
            return Err(sign_error(&refused, signed));
        }
        if merchant.brand {
            self.check_announced(&arrived.parts.headers)?;
        }
        checks.route = Verdict::Ok;
        let spec = route.spec;
        exchange.operation = Some(spec.id());
        if let Some(asked) = arrived.asked
            && let Some(instead) = asked.fault.instead(spec)
        {
            exchange.apply(asked);
            return Err(instead);
        }

        check_rate(world, spec, &merchant.mchid, arrived.parts)?;

        checks.schema = Verdict::Failed;
        let form = self.forms.get(spec).map_err(|message| Answer::own(500, message))?;
        let mut request = read(&route, arrived, upload.as_ref())?;
        if merchant.brand {
            name_brand(spec, &mut request, &merchant.mchid)?;
        }
        form.resolve_aliases(&mut request);
        let act = Act::find(spec);
        let mut violations = form.violations(&request);
        if let Some(act) = act {
            violations.retain(|violation| !(act.own)(violation));
        }
        if let Some(upload) = &upload {
            violations.extend(other_digest(&request, upload.file));
        }
        let now = world.ambient.now();
        let facts = Facts { request: &request, now, caller: &merchant.mchid };
        let broken = rules::broken(form.rules(), facts);
        let refuse = |violation: &Violation| {
            let words = act.and_then(|act| (act.words)(violation));
            answer::param_error(spec, &form, &request, violation, words)
        };
        let schema = violations.first().map(refuse);
        let limits = broken.first().map(refuse);
        checks.rules = if broken.is_empty() { Verdict::Ok } else { Verdict::Failed };
        violations.extend(broken);
        exchange.violations = violations;
        if let Some(refusal) = schema {
            return Err(refusal);
        }
        checks.schema = Verdict::Ok;

        let keyed = matches!(spec.idempotency(), Idempotency::Key(_));
        let (limits, at_once) = if act.is_some() && keyed { (limits, None) } else { (None, limits) };
        if let Some(refusal) = at_once {
            return Err(refusal);
        }
        let Some(act) = act else { return canned(spec, form.canned()) };
        let World { ambient, settings, state, .. } = world;
        let caller = merchant.mchid.as_str();
        let (origin, file) = (arrived.origin(), upload.map_or(&[][..], |upload| upload.file));
        let keys = &self.keys;
        let mut call = Call { spec, request, caller, origin, file, now, settings, keys, ambient, state, limits };
        let outcome = act.run(&mut call);
        // Where the state did not ask for the limits, they have refused nothing: a repeat gets its first answer.
        if call.limits.is_some() {
            checks.rules = Verdict::Skipped;
        }
        world.ring();
        checks.state = if outcome.is_ok() { Verdict::Ok } else { Verdict::Failed };
        let unnamed = arrived.boundary().is_some_and(|boundary| !boundary.named);
        outcome.map(|answer| if unnamed { answer.without_boundary() } else { answer })
    }

    /// A brand must announce the public key that it verifies with.
    fn check_announced(&self, headers: &HeaderMap) -> Outcome<()> {
        if headers.get(SERIAL).is_some_and(|serial| serial.as_bytes() == self.keys.public_key.id.as_bytes()) {
            return Ok(());
        }
        let why = "a brand names the id of WeChat Pay's public key in Wechatpay-Serial, and this is not it";
        Err(Answer::refuse(400, "INVALID_REQUEST", "Wechatpay-Serial 错误", Basis::Documented, why))
    }

    /// Finds out who calls, and that the nonce is a fresh one.
    fn authorize(&self, world: &mut World, headers: &HeaderMap, signed: Signed<'_>) -> Result<&Merchant, Refused> {
        let seconds = i64::from(world.settings.timestamp_window);
        let window = Window { now: world.ambient.now(), seconds };
        let caller = authorize::authorize(&self.keys, headers, signed, window)?;
        let fresh = world.nonces.take(&caller.merchant.mchid, &caller.nonce, caller.timestamp, window);
        if fresh {
            Ok(caller.merchant)
        } else {
            let message = authorize::message(signed, &caller.timestamp.to_string(), &caller.nonce);
            Err(Refused { reason: Reason::NonceUsed, message })
        }
    }

    /// Why the signature of a request was refused.
    fn explain(&self, world: &World, arrived: &Arrived<'_>, refused: &Refused, unread: Option<&str>) -> Explanation {
        let clock = Clock { now: world.ambient.now(), window: i64::from(world.settings.timestamp_window) };
        let Parts { method, headers, .. } = arrived.parts;
        let request = explain::Request { method: method.as_str(), target: arrived.target, headers, body: arrived.body };
        let found = match refused.reason {
            Reason::NonceUsed => None,
            _ => explain::request(&request, &self.keys.known(), Some(clock)),
        };
        let mut explanation = found.unwrap_or_else(|| match &refused.reason {
            Reason::NonceUsed => {
                let received = Some(refused.message.clone());
                explain::told(Cause::NonceReplayed, String::new(), &refused.message, received)
            }
            other => explain::told(Cause::ItemsMalformed, format!("That is, {other}."), &refused.message, None),
        });
        if let Some(unread) = unread {
            explanation.says = format!("{} And {unread}.", explanation.says);
        }
        explanation
    }

    /// Logs the exchange, signs the answer and applies what of a fault concerns it.
    fn deliver(
        &self,
        mut world: MutexGuard<'_, World>,
        mut exchange: Exchange,
        answer: Answer,
        parts: &Parts,
        asked: Option<Asked>,
    ) -> Handled {
        let request_id = exchange.request_id.clone();
        exchange.status = Some(answer.status);
        exchange.code = answer.code().map(str::to_owned);
        exchange.basis = answer.basis;
        exchange.why = answer.why.to_string();
        // A signature fault needs a signature; a break on the socket only an answer, and a file can be changed too.
        let asked = asked.filter(|asked| match &asked.fault {
            Fault::After(..) => true,
            Fault::Tamper if answer.file.is_some() => true,
            fault => answer.signed && fault.spoils(),
        });
        let World { ambient, settings, .. } = &mut *world;
        let probe = answer.signed && asked.is_none() && ambient.chance(settings.probes_in_answers);
        let asked = asked.or_else(|| probe.then(Asked::probe));
        if let Some(asked) = &asked {
            exchange.apply(asked);
        }
        let fault = asked.map(|asked| asked.fault);
        if matches!(fault, Some(Fault::After(Break::Close | Break::Reset, _))) {
            exchange.status = None;
        }
        let World { ambient, settings, .. } = &mut *world;
        let hand = self.signer(settings, ambient, &parts.headers, exchange.operation);
        let (now, nonce) = (world.ambient.now(), world.ambient.letters(32));
        let (slow, stall) = (world.settings.slow_ms, world.settings.stall_ms);
        world.record(exchange);
        drop(world);

        let mut reply = Reply { status: answer.status, headers: HeaderMap::new(), body: Vec::new() };
        match (fault.as_ref().and_then(Fault::body), answer.file, answer.body) {
            (Some(body), ..) => {
                reply.body = body;
                // An answer of 204 has no body.
                reply.status = if reply.status == 204 { 200 } else { reply.status };
            }
            (None, Some(file), _) => {
                reply.body = file;
                reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
            }
            (None, None, Value::Null) => {}
            (None, None, body) => reply.body = answer::json_text(&body).into_bytes(),
        }
        if answer.signed {
            self.sign(&mut reply, &hand, now, &nonce, fault.as_ref());
        } else if fault == Some(Fault::Tamper) {
            reply.tamper();
        }
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            reply.headers.insert(REQUEST_ID, value);
        }
        let answer = reply.finish();
        match fault {
            Some(Fault::After(how, pause)) => {
                let usual = if how == Break::Stall { stall } else { slow };
                let pause = Duration::from_millis(pause.unwrap_or(usual).into());
                Handled::Broken(Broken { answer, how, pause })
            }
            _ => Handled::Reply(answer),
        }
    }

    /// The key that signs an answer: the one that the request names, else the one of the settings.
    ///
    /// Where a certificate is named that has a successor, the successor signs, as in the days after a rotation.
    fn signer(&self, settings: &Settings, ambient: &mut Ambient, headers: &HeaderMap, operation: Option<&str>) -> Hand {
        let named = headers.get(SERIAL).and_then(|value| value.to_str().ok());
        let platforms = self.keys.platforms();
        let brand = of_brand(headers);
        let certificate = match named {
            _ if !settings.certificates || brand => false,
            _ if settings.sign_with == SignWith::Both && operation != Some("certificates.list") => {
                return self.hand(settings, ambient);
            }
            // A certificate that has been replaced long ago still says that its client trusts certificates.
            Some(named) if !named.starts_with("PUB_KEY_ID_") => true,
            Some(named) if named == self.keys.public_key.id => false,
            // Whoever fetches certificates has nothing yet to verify with but what it fetches.
            None if operation == Some("certificates.list") => true,
            _ => settings.sign_with == SignWith::Certificate,
        };
        Hand { certificate, brand, platform: platforms.into_iter().next() }
    }

    /// The key of the settings.
    pub(crate) fn hand(&self, settings: &Settings, ambient: &mut Ambient) -> Hand {
        let certificate = settings.certificates
            && match settings.sign_with {
                SignWith::PublicKey => false,
                SignWith::Certificate => true,
                SignWith::Both => ambient.chance(500),
            };
        Hand { certificate, brand: false, platform: self.keys.platforms().into_iter().next() }
    }

    /// Adds the signature headers, wrongly where a fault asks for it.
    fn sign(&self, reply: &mut Reply, hand: &Hand, now: i64, nonce: &str, fault: Option<&Fault>) {
        let public = &self.keys.public_key;
        let platform = hand.platform.as_deref().map_or(public, |platform| &platform.key);
        let (key, forger) = if hand.certificate { (platform, public) } else { (public, platform) };
        let timestamp = match fault {
            Some(Fault::Stale) => now - FAR,
            Some(Fault::Future) => now + FAR,
            _ => now,
        };
        let signature_type = if hand.brand { BRAND_SCHEME } else { SCHEME };
        let hand = if fault == Some(&Fault::Forge) { forger } else { key };
        let Some(mut signature) = signature(hand, timestamp, nonce, &reply.body) else {
            *reply = Reply { status: 500, headers: HeaderMap::new(), body: b"the answer could not be signed".to_vec() };
            return;
        };
        if fault == Some(&Fault::Probe) {
            signature = format!("{PROBE}{signature}");
        }
        let serial =
            if fault == Some(&Fault::UnknownSerial) { "PUB_KEY_ID_0000000000000000000000000000" } else { &key.id };
        let headers = [
            (TIMESTAMP, timestamp.to_string()),
            (NONCE, nonce.to_owned()),
            (SIGNATURE, signature),
            (SERIAL, serial.to_owned()),
            (SIGNATURE_TYPE, signature_type.to_owned()),
        ];
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                reply.headers.insert(name, value);
            }
        }
        match fault {
            Some(Fault::Unsigned) => reply.headers.clear(),
            Some(Fault::MissingHeader(name)) => {
                reply.headers.remove(name.as_str());
            }
            Some(Fault::DuplicateHeader(name)) => {
                if let (Some(value), Ok(name)) = (reply.headers.get(name).cloned(), name.parse::<HeaderName>()) {
                    reply.headers.append(name, value);
                }
            }
            Some(Fault::Tamper) => reply.tamper(),
            _ => {}
        }
    }
}

/// A request as it came in.
struct Arrived<'a> {
    parts: &'a Parts,
    /// Path and query, byte for byte.
    target: &'a str,
    body: &'a [u8],
    asked: Option<&'a Asked>,
}

impl<'a> Arrived<'a> {
    /// Scheme and authority under which the caller knows the sandbox.
    fn origin(&self) -> String {
        let authority = self.parts.uri.authority().map(|authority| authority.as_str());
        let host = || self.parts.headers.get(HOST).and_then(|value| value.to_str().ok());
        let scheme = if self.parts.extensions.get::<Secure>().is_some() { "https" } else { "http" };
        format!("{scheme}://{}", authority.or_else(host).unwrap_or("127.0.0.1"))
    }

    /// The parts of the body, if it is an upload.
    fn upload(&self) -> Result<Option<multipart::Upload<'a>>, String> {
        match self.boundary() {
            Some(boundary) => multipart::parse(boundary.text, self.body).map(Some),
            None => Ok(None),
        }
    }

    /// What separates the parts of the body, if it is an upload.
    fn boundary(&self) -> Option<multipart::Boundary<'a>> {
        let content_type = self.parts.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        multipart::boundary(content_type, self.body)
    }
}

/// The operation that method and path belong to.
fn find_route(method: &Method, path: &str) -> Outcome<Route> {
    if let Some(route) = Route::find(wechatpay_model::operations(), method, path) {
        return Ok(route);
    }
    let others = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let known = others.iter().any(|other| Route::find(wechatpay_model::operations(), other, path).is_some());
    Err(if known {
        Answer::refuse(405, "METHOD_NOT_ALLOWED", "请求方法不正确", Basis::Guess, "the path takes another method")
    } else {
        let why = "no operation of the sandbox has this path";
        Answer::refuse(404, "RESOURCE_NOT_EXISTS", "请求的资源不存在", Basis::Guess, why)
    })
}

/// Refuses what is called too often, where the settings say so.
fn check_rate(world: &mut World, spec: &'static Spec, mchid: &str, parts: &Parts) -> Outcome<()> {
    let World { ambient, settings, rates, .. } = world;
    let uploads = settings.busifavor_upload_rate.filter(|_| spec.id() == "busifavor.upload_coupon_codes");
    let unpublished = uploads.into_iter().chain(settings.calls_per_second).min();
    let unpublished = unpublished.map(|calls| Limit { calls, seconds: 1, per: Per::Merchant });
    let limits = rates::documented(spec).filter(|_| settings.rate_limits).chain(unpublished);
    let address = parts.extensions.get::<Peer>().map(|peer| peer.0.ip().to_string()).unwrap_or_default();
    let caller = rates::Caller { mchid, address: &address };
    rates.take(spec.id(), limits, caller, ambient.now()).map_err(|limit| {
        let Limit { calls, seconds, per } = limit;
        let basis = if unpublished == Some(limit) { Basis::Guess } else { Basis::Documented };
        let why = format!("more than {calls} calls in {seconds} seconds, counted per {} (setting)", per.as_str());
        answer::too_often(spec, basis, why)
    })
}

/// Puts the flat request together.
fn read(route: &Route, arrived: &Arrived<'_>, upload: Option<&multipart::Upload<'_>>) -> Outcome<Value> {
    let query = arrived.parts.uri.query();
    let parsed = request::parse(route, query, &arrived.parts.headers, arrived.body);
    let mut request = parsed.map_err(|unreadable| {
        let why = format!("the {} cannot be read: {}", unreadable.location, unreadable.issue);
        let mut answer = Answer::refuse(400, "PARAM_ERROR", "参数错误", Basis::Documented, why);
        if let Some(body) = answer.body.as_object_mut() {
            let (field, issue, location) = (unreadable.field, unreadable.issue, unreadable.location);
            body.insert("detail".to_owned(), json!({"field": field, "issue": issue, "location": location}));
        }
        answer
    })?;
    if route.spec.body() == Body::Multipart {
        let Some(upload) = upload else {
            return Err(Answer::own(
                400,
                "the body must be multipart/form-data with the parts meta and file".to_owned(),
            ));
        };
        let meta = serde_json::from_slice(upload.meta);
        match (meta, &mut request) {
            (Ok(Value::Object(meta)), Value::Object(fields)) => fields.extend(meta),
            _ => {
                let why = "the part meta is no JSON object";
                return Err(Answer::refuse(400, "PARAM_ERROR", "参数错误", Basis::Documented, why));
            }
        }
    }
    Ok(request)
}

/// Whether a brand asks, or says so.
fn of_brand(headers: &HeaderMap) -> bool {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    authorization.split(' ').next() == Some(BRAND_SCHEME)
}

/// Puts the field that names the brand where it stands in the requests of others.
fn name_brand(spec: &Spec, request: &mut Value, brand_id: &str) -> Outcome<()> {
    let operation::Shape::Object(shapes) = spec.request() else { return Ok(()) };
    let Some(fields) = request.as_object_mut() else { return Ok(()) };
    if fields.contains_key(BRAND_ID) {
        let why = "a brand does not name itself: its signature does";
        return Err(Answer::refuse(400, "PARAM_ERROR", "参数错误：“brand_id”不是该接口的参数", Basis::Guess, why));
    }
    if shapes.iter().any(|field| field.name() == BRAND_ID) {
        fields.insert(BRAND_ID.to_owned(), brand_id.into());
    }
    Ok(())
}

/// Answers to a brand do not name it.
fn unname_brand(mut answer: Answer) -> Answer {
    fn remove(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove(BRAND_ID);
                fields.values_mut().for_each(remove);
            }
            Value::Array(items) => items.iter_mut().for_each(remove),
            _ => {}
        }
    }
    remove(&mut answer.body);
    answer
}

/// The violation of a `sha256` that is not the file's.
fn other_digest(request: &Value, file: &[u8]) -> Option<Violation> {
    let stated = request.get("sha256")?.as_str()?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, file);
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let issue = || format!("is not the SHA-256 of the file, {digest}");
    (!digest.eq_ignore_ascii_case(stated)).then(|| Violation {
        at: "/sha256".to_owned(),
        rule: "digest",
        issue: issue(),
    })
}

/// The answer of an operation that has no state here.
fn canned(spec: &Spec, example: Option<&Value>) -> Outcome {
    match (spec.answer(), example) {
        (operation::Answer::Empty, _) => Ok(Answer::empty(Basis::Guess, "no state: always done")),
        (_, Some(example)) => Ok(Answer::ok(example.clone(), Basis::Guess, "no state: canned example")),
        (_, None) => Err(Answer::own(501, format!("{} has neither state nor an example of an answer here", spec.id()))),
    }
}

/// 401, in the form that is seen: it shows the message over which the signature was to be.
fn sign_error(refused: &Refused, signed: Signed<'_>) -> Box<Answer> {
    let text = String::from_utf8_lossy(&refused.message);
    let issue = match refused.reason {
        Reason::Mismatch => "sign not match".to_owned(),
        ref other => other.to_string(),
    };
    let (message, basis) = match refused.reason {
        Reason::Mismatch => ("签名错误：验签失败", Basis::Observed),
        _ => ("签名错误：Authorization 不符合要求", Basis::Guess),
    };
    let mut answer = Answer::refuse(401, "SIGN_ERROR", message, basis, refused.reason.to_string());
    answer.signed = false;
    if let Some(body) = answer.body.as_object_mut() {
        let detail = json!({
            "detail": {"issue": issue},
            "field": "signature",
            "location": "authorization",
            "sign_information": {
                "method": signed.method,
                "url": signed.target,
                "truncated_sign_message": cut(&text, 512),
                "sign_message_length": refused.message.len(),
            },
        });
        body.insert("detail".to_owned(), detail);
    }
    answer
}

/// An answer on its way to the wire.
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    /// Changes what was signed: a letter or digit of the body, or the nonce where there is no body.
    fn tamper(&mut self) {
        match self.body.iter_mut().rev().find(|byte| byte.is_ascii_alphanumeric()) {
            Some(byte) => *byte = if *byte == b'0' { b'1' } else { b'0' },
            None => {
                self.headers.insert(NONCE, HeaderValue::from_static("0"));
            }
        }
    }

    fn finish(self) -> Response<Bytes> {
        let empty = self.body.is_empty();
        let mut response = Response::new(Bytes::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = self.headers;
        if !empty {
            let json = HeaderValue::from_static("application/json; charset=utf-8");
            response.headers_mut().entry(CONTENT_TYPE).or_insert(json);
        }
        response
    }
}

/// What becomes of a request that is not even looked at.
fn unseen(fault: &Fault, arrived: &Arrived<'_>) -> Option<Handled> {
    match *fault {
        Fault::Before(how) => {
            let answer = Response::new(Bytes::new());
            Some(Handled::Broken(Broken { answer, how, pause: Duration::ZERO }))
        }
        Fault::Html502 => Some(Handled::Reply(page())),
        Fault::Redirect => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::FOUND;
            if let Ok(value) = HeaderValue::try_from(format!("{}/v3/redirected", arrived.origin())) {
                response.headers_mut().insert(LOCATION, value);
            }
            Some(Handled::Reply(response))
        }
        _ => None,
    }
}

/// What a gateway answers, unsigned.
fn page() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(GATEWAY_PAGE.as_bytes()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::Clock;
    use crate::log::Log;
    use std::net::{Ipv4Addr, SocketAddr};
    use wechatpay_model::Operation;

    /// The last call that a limit allows, the first that it does not, and the first when time has passed.
    #[test]
    fn every_documented_rate_holds() {
        // Whoever is not counted together is somebody else at each call.
        let caller = |per: Per, call: u32| {
            let mchid = if per == Per::Merchant { "1".to_owned() } else { call.to_string() };
            let address = if per == Per::Ip { Ipv4Addr::LOCALHOST } else { Ipv4Addr::from(call) };
            let request = http::Request::builder().extension(Peer(SocketAddr::from((address, 1))));
            (mchid, request.body(()).unwrap().into_parts().0)
        };
        let limited: Vec<_> = wechatpay_model::operations().filter(|spec| !spec.rate().is_empty()).collect();
        assert!(limited.len() >= 20, "{}", limited.len());
        for (spec, rate) in limited.into_iter().flat_map(|spec| spec.rate().iter().map(move |rate| (spec, rate))) {
            let settings = Settings { rate_limits: true, ..Settings::default() };
            let mut world = World::new(Ambient::new(Clock::Virtual(0), 0), settings, Log::default());
            let check = |world: &mut World, call| {
                let (mchid, parts) = caller(rate.per(), call);
                check_rate(world, spec, &mchid, &parts)
            };
            for call in 0..rate.calls() {
                check(&mut world, call).unwrap();
            }
            let refused = check(&mut world, rate.calls()).unwrap_err();
            let documented = answer::rows(spec).any(|row| row.status() == 429 && Some(row.code()) == refused.code());
            assert!(refused.status == 429 && refused.signed && documented, "{}: {refused:?}", spec.id());
            world.ambient.advance(i64::from(rate.seconds()) - 1).unwrap();
            assert!(check(&mut world, 0).is_err(), "{}: not yet", spec.id());
            world.ambient.advance(1).unwrap();
            check(&mut world, 0).unwrap();
            world.settings.rate_limits = false;
            (0..=rate.calls()).for_each(|call| check(&mut world, call).unwrap());
        }
    }

    #[test]
    fn a_brand_is_named_in_no_request_and_no_answer_of_its_own() {
        use wechatpay_model::operation::{Body, Field, Method, Shape, Text};
        static SHAPE: Shape = Shape::Object(&[Field::new(BRAND_ID, &Shape::Text(Text::ANY))]);
        static SPEC: Spec = Spec::new("a.b", Method::Post, "/v3/a", Body::Json, &SHAPE).with_brand_path("/brand/a");
        let mut request = json!({});
        name_brand(&SPEC, &mut request, "120344").unwrap();
        assert_eq!(request, json!({"brand_id": "120344"}));
        assert_eq!(name_brand(&SPEC, &mut request, "120344").unwrap_err().status, 400);
        let answer = json!({"brand_id": "1", "list": [{"brand_id": "1", "a": 1}], "of": {"brand_id": "1"}});
        let answer = unname_brand(Answer::ok(answer, Basis::Guess, "a test"));
        assert_eq!(answer.body, json!({"list": [{"a": 1}], "of": {}}));
    }

    #[test]
    fn an_operation_without_state_is_answered_from_its_example_and_says_so() {
        let spec = wechatpay_model::certificates::List::SPEC;
        let example = json!({"data": []});
        let answer = canned(spec, Some(&example)).unwrap();
        assert_eq!((answer.body, answer.basis), (example, Basis::Guess));
        assert!(answer.why.starts_with("no state"));
        assert_eq!(canned(spec, None).err().unwrap().status, 501);
    }
}
