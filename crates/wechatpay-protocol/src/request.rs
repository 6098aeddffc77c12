//! From an operation and its arguments to a signed request, and back.
//!
//! The way out is [`prepare`], [`message`] and [`Prepared::sign_with`]; the way back, [`Route`] and [`parse`], is what a
//! server needs: the sandbox reads requests with it.

use crate::check::{self, Context, Violation, ViolationKind};
use crate::crypto::BRAND_RSA_SHA256;
use crate::error::Invalid;
use crate::sensitive::{self, Envelope};
use crate::stamp::Stamp;
use crate::trust::Verifier;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::uri::{Authority, Scheme};
use http::{Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt::{self, Write as _};
use wechatpay_model::operation::{Body, Shape, Spec};

/// The characters that need no encoding in a path segment or a query (RFC 3986, "unreserved").
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The primary host of the API.
const OFFICIAL_HOST: &str = "api.mch.weixin.qq.com";

/// Its backup.
const OFFICIAL_BACKUP_HOST: &str = "api2.mch.weixin.qq.com";

const WECHATPAY_SERIAL: HeaderName = HeaderName::from_static("wechatpay-serial");

const AGENT: &str = concat!("wechatpay-rust/", env!("CARGO_PKG_VERSION"));

/// Where requests go: scheme and host, and a port where it is not the usual one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    scheme: Scheme,
    authority: Authority,
}

impl BaseUrl {
    /// `https://api.mch.weixin.qq.com`
    pub fn official() -> Self {
        Self { scheme: Scheme::HTTPS, authority: Authority::from_static(OFFICIAL_HOST) }
    }

    /// `https://api2.mch.weixin.qq.com`, the backup of [`official`](Self::official).
    pub fn official_backup() -> Self {
        Self { scheme: Scheme::HTTPS, authority: Authority::from_static(OFFICIAL_BACKUP_HOST) }
    }

    /// Reads `https://host` or `http://host:port`.
    ///
    /// # Errors
    /// A sentence for people. A path, a query or a user name has no place here: the path is what gets signed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = |what: &str| Err(format!("base URL {text:?} {what}; write it like https://api.mch.weixin.qq.com"));
        let Ok(uri) = text.parse::<Uri>() else { return refuse("is no URL") };
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return refuse("has no scheme or no host");
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return refuse("is neither http nor https");
        }
        if authority.as_str().contains('@') {
            return refuse("names a user");
        }
        if parts.path_and_query.is_some_and(|path| path.as_str() != "/") {
            return refuse("has a path or a query");
        }
        Ok(Self { scheme, authority })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// A request whose bytes are fixed and that only lacks its signature.
#[derive(Clone)]
pub struct Prepared {
    method: Method,
    target: String,
    headers: HeaderMap,
    content_type: HeaderValue,
    body: Bytes,
    /// What the signature covers of the body: all of it, except of a multipart one.
    signed: Bytes,
    /// Serial of the key that sensitive fields are encrypted with.
    sealed_for: Option<String>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The target may hold an openid or a coupon code, the body anything.
        f.debug_struct("Prepared").field("method", &self.method).finish_non_exhaustive()
    }
}

/// Checks the arguments of an operation and lays them out: path, query, headers, body, each serialised once.
///
/// # Errors
/// Every violation there is.
pub fn prepare(spec: &Spec, arguments: Value, context: &Context<'_>) -> Result<Prepared, Invalid> {
    lay_out(spec, arguments, None, context, &Sender::default())
}

/// [`prepare`] for an operation whose body is multipart: the fields become the `meta` part, which alone is signed.
///
/// # Errors
/// Every violation there is; a file that holds the boundary between the parts.
pub fn prepare_upload(
    spec: &Spec,
    arguments: Value,
    file: File<'_>,
    context: &Context<'_>,
) -> Result<Prepared, Invalid> {
    lay_out(spec, arguments, Some(file), context, &Sender::default())
}

/// [`prepare`], or [`prepare_upload`], for the brand whose id is `context.mchid`: by the path for brands, and without the
/// field [`BRAND_ID`].
///
/// # Errors
/// Every violation there is; an operation that brands do not have.
pub fn prepare_as_brand(
    spec: &Spec,
    arguments: Value,
    file: Option<File<'_>>,
    context: &Context<'_>,
) -> Result<Prepared, Invalid> {
    let sender = Sender { verifier: None, brand_id: Some(context.mchid) };
    lay_out(spec, arguments, file, context, &sender)
}

/// What the form of a request owes to who sends it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sender<'a> {
    /// Whose preferred key encrypts sensitive fields.
    pub(crate) verifier: Option<&'a dyn Verifier>,
    /// The brand's id, if a brand sends it.
    pub(crate) brand_id: Option<&'a str>,
}

/// The field that names a brand. Where the brand itself calls, its signature names it and the field travels nowhere.
pub const BRAND_ID: &str = "brand_id";

/// Names the brand in its own request, so that all checks see it, and finds what keeps the brand from sending it.
fn sent_by_brand(spec: &Spec, brand_id: &str, arguments: &mut Value) -> Option<Violation> {
    if spec.brand_path().is_none() {
        let message = "has no path for brands: only merchants and service providers call it".to_owned();
        return Some(Violation { pointer: String::new(), kind: ViolationKind::Caller, message });
    }
    let Shape::Object(shapes) = spec.request() else { return None };
    let fields = arguments.as_object_mut().filter(|_| shapes.iter().any(|field| field.name() == BRAND_ID))?;
    let named = fields.entry(BRAND_ID).or_insert_with(|| brand_id.into());
    (named.as_str() != Some(brand_id)).then(|| Violation {
        pointer: format!("/{BRAND_ID}"),
        kind: ViolationKind::Caller,
        message: format!("must be the calling brand, {brand_id}"),
    })
}

/// Lays out any request; what it marks as sensitive is encrypted with the key that the verifier prefers (P13).
pub(crate) fn lay_out(
    spec: &Spec,
    mut arguments: Value,
    file: Option<File<'_>>,
    context: &Context<'_>,
    sender: &Sender<'_>,
) -> Result<Prepared, Invalid> {
    check::resolve_aliases(spec, &mut arguments);
    let refused = sender.brand_id.and_then(|brand_id| sent_by_brand(spec, brand_id, &mut arguments));
    let mut violations = check::check(spec, &arguments, context);
    violations.extend(refused);
    if let Some(file) = file
        && file.bytes.windows(BOUNDARY.len()).any(|window| window == BOUNDARY.as_bytes())
    {
        let message = "the file holds the boundary that separates the parts of the request".to_owned();
        violations.push(Violation { pointer: String::new(), kind: ViolationKind::Format, message });
    }
    let envelope = match sensitive::is_marked(spec.request()) {
        true if violations.is_empty() => {
            let envelope = sender.verifier.and_then(Envelope::of);
            sensitive::seal(spec.request(), &mut arguments, envelope.as_ref(), &mut violations);
            envelope
        }
        _ => None,
    };
    let mut fields = match arguments {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let path = match sender.brand_id {
        Some(_) => {
            fields.remove(BRAND_ID);
            spec.brand_path().unwrap_or_default()
        }
        None => spec.path(),
    };
    let target = target(path, spec.query(), &mut fields, &mut violations);
    let headers = headers(spec, &mut fields, &mut violations);
    let fields = match spec.body() {
        Body::None => Bytes::new(),
        _ => json(&fields),
    };
    let body = match (spec.body(), file) {
        (Body::Multipart, Some(file)) => Ok((multipart(&fields, file), multipart_type())),
        (Body::Multipart, None) => Err("takes a file; use upload"),
        (_, Some(_)) => Err("takes no file; use send"),
        (_, None) => Ok((fields.clone(), HeaderValue::from_static(JSON))),
    };
    match body {
        Ok((body, content_type)) if violations.is_empty() => {
            let sealed_for = envelope.map(|envelope| envelope.serial);
            Ok(Prepared { method: method(spec), target, headers, content_type, body, signed: fields, sealed_for })
        }
        Ok(_) => Err(Invalid { operation: spec.id().to_owned(), violations }),
        Err(message) => {
            let message = message.to_owned();
            violations.push(Violation { pointer: String::new(), kind: ViolationKind::Type, message });
            Err(Invalid { operation: spec.id().to_owned(), violations })
        }
    }
}

/// The bytes of a body.
fn json(fields: &Map<String, Value>) -> Bytes {
    let mut text = Vec::with_capacity(256);
    // The fields are JSON already, and writing to memory does not fail.
    let _ = serde_json::to_writer(&mut text, fields);
    text.into()
}

const JSON: &str = "application/json";

/// Separates the parts of a multipart body; a file that holds it is refused.
const BOUNDARY: &str = "wechatpay-7d0ef7a4a3c94e0b8f1c2d5e6a9b3c41";

fn multipart_type() -> HeaderValue {
    HeaderValue::from_static("multipart/form-data; boundary=wechatpay-7d0ef7a4a3c94e0b8f1c2d5e6a9b3c41")
}

/// A file to send beside the fields of an operation whose body is multipart.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// Its name; the extension decides the content type.
    pub name: &'a str,
    /// Its bytes, sent as they are; limits of size and type belong to the operation.
    pub bytes: &'a [u8],
}

impl File<'_> {
    fn content_type(&self) -> &'static str {
        let extension = self.name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        match extension.as_deref() {
            Some("jpg" | "jpeg") => "image/jpeg",
            Some("png") => "image/png",
            Some("bmp") => "image/bmp",
            _ => "application/octet-stream",
        }
    }
}

/// The `meta` part, which is the JSON that gets signed, and the `file` part (P15).
fn multipart(meta: &[u8], file: File<'_>) -> Bytes {
    // What would end the quoted name is escaped as browsers do it.
    let name = file.name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
    let content_type = file.content_type();
    let mut body = Vec::with_capacity(meta.len() + file.bytes.len() + 512);
    body.extend_from_slice(
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"meta\"\r\nContent-Type: {JSON}\r\n\r\n")
            .as_bytes(),
    );
    body.extend_from_slice(meta);
    let disposition = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
    body.extend_from_slice(
        format!("\r\n--{BOUNDARY}\r\n{disposition}\r\nContent-Type: {content_type}\r\n\r\n").as_bytes(),
    );
    body.extend_from_slice(file.bytes);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body.into()
}

fn method(spec: &Spec) -> Method {
    // Every name of the enum is a method token.
    Method::from_bytes(spec.method().as_str().as_bytes()).unwrap_or_default()
}

/// Takes the path and query fields out and makes the target of them.
fn target(path: &str, query: &[&str], fields: &mut Map<String, Value>, violations: &mut Vec<Violation>) -> String {
    let mut target = String::with_capacity(path.len() + 64);
    for segment in path.split('/').skip(1) {
        target.push('/');
        let Some(name) = parameter(segment) else {
            target.push_str(segment);
            continue;
        };
        // The check has already reported a field that is absent or no string.
        let Some(Value::String(text)) = fields.remove(name) else { continue };
        if text.is_empty() || text == "." || text == ".." {
            let message = "cannot be empty, `.` or `..`: it is a segment of the path".to_owned();
            let pointer = format!("/{name}");
            if !violations.iter().any(|violation| violation.pointer == pointer) {
                violations.push(Violation { pointer, kind: ViolationKind::Charset, message });
            }
        }
        target.extend(utf8_percent_encode(&text, RESERVED));
    }
    let mut separator = '?';
    for name in query {
        let Some(value) = fields.remove(*name) else { continue };
        target.push(separator);
        separator = '&';
        target.extend(utf8_percent_encode(name, RESERVED));
        target.push('=');
        target.extend(utf8_percent_encode(&plain_text(&value), RESERVED));
    }
    target
}

fn headers(spec: &Spec, fields: &mut Map<String, Value>, violations: &mut Vec<Violation>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in spec.header() {
        let Some(value) = fields.remove(*name) else { continue };
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&plain_text(&value))) {
            (Ok(name), Ok(value)) => {
                headers.insert(name, value);
            }
            _ => violations.push(Violation {
                pointer: format!("/{name}"),
                kind: ViolationKind::Charset,
                message: "travels in a header, where only visible ASCII characters may stand".to_owned(),
            }),
        }
    }
    headers
}

/// The name in a `{name}` segment of a path template.
fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// A value as it stands in a query or a header: a string as it is, anything else as its JSON text.
fn plain_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// Lays out a request for any path, known or not.
///
/// `path` is sent as it stands, so it must be percent-encoded where needed; `query` pairs are encoded here.
///
/// # Errors
/// What is wrong with the path, or with a text in the body that the wire cannot carry.
pub fn prepare_raw(
    method: Method,
    path: &str,
    query: &[(&str, &str)],
    body: Option<&Value>,
) -> Result<Prepared, Invalid> {
    let mut violations = Vec::new();
    if let Some(message) = unusable_path(path) {
        violations.push(Violation { pointer: String::new(), kind: ViolationKind::Format, message });
    }
    if let Some(body) = body {
        check::check_plain(body, &mut violations);
    }
    if !violations.is_empty() {
        // Path and query may hold an openid or a coupon code.
        return Err(Invalid { operation: "raw".to_owned(), violations });
    }
    let mut target = path.to_owned();
    let mut separator = if path.contains('?') { '&' } else { '?' };
    for (name, value) in query {
        target.push(separator);
        separator = '&';
        target.extend(utf8_percent_encode(name, RESERVED));
        target.push('=');
        target.extend(utf8_percent_encode(value, RESERVED));
    }
    let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let content_type = HeaderValue::from_static(JSON);
    let (headers, signed) = (HeaderMap::new(), body.clone());
    Ok(Prepared { method, target, headers, content_type, body, signed, sealed_for: None })
}

/// Why a path would not reach the other side as the bytes that were signed.
fn unusable_path(path: &str) -> Option<String> {
    if !path.starts_with('/') || path.starts_with("//") {
        return Some("the path must begin with one `/`, like /v3/certificates".to_owned());
    }
    let (bare, query) = path.split_once('?').unwrap_or((path, ""));
    if bare.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Some("the path has a `.` or `..` segment, which HTTP libraries rewrite".to_owned());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~%/:@!$&()*+,;=".contains(c);
    let bad = bare.chars().chain(query.chars()).find(|c| !allowed(*c))?;
    Some(format!("the path has the character {bad:?}; percent-encode it"))
}

/// The message that gets signed: five lines, each with its line feed (P1).
pub fn message(method: &Method, target: &str, stamp: &Stamp, body: &[u8]) -> Vec<u8> {
    let mut message = String::with_capacity(target.len() + stamp.nonce.len() + body.len() + 40);
    // Writing to a string does not fail.
    let _ = write!(message, "{method}\n{target}\n{}\n{}\n", stamp.timestamp, stamp.nonce);
    let mut message = message.into_bytes();
    message.extend_from_slice(body);
    message.push(b'\n');
    message
}

/// The value of the `Authorization` header (P2).
#[derive(Debug, Clone, Copy)]
pub struct Authorization<'a> {
    /// `WECHATPAY2-SHA256-RSA2048`, unless the signer is of another kind. That of brands is
    /// [`BRAND_RSA_SHA256`].
    pub scheme: &'a str,
    /// Merchant id, or brand id under the scheme of brands, where the item is called `brand_id`.
    pub mchid: &'a str,
    /// Serial number of the merchant's certificate.
    pub serial_no: &'a str,
}

impl Authorization<'_> {
    /// The header for one stamp and its signature.
    pub fn header(&self, stamp: &Stamp, signature: &[u8]) -> String {
        let Self { scheme, mchid, serial_no } = self;
        let Stamp { timestamp, nonce } = stamp;
        let caller = if *scheme == BRAND_RSA_SHA256 { BRAND_ID } else { "mchid" };
        let mut header = String::with_capacity(256 + signature.len().div_ceil(3) * 4);
        // Writing to a string does not fail.
        let _ = write!(
            header,
            "{scheme} {caller}=\"{mchid}\",nonce_str=\"{nonce}\",timestamp=\"{timestamp}\",\
             serial_no=\"{serial_no}\",signature=\""
        );
        STANDARD.encode_string(signature, &mut header);
        header.push('"');
        header
    }
}

impl Prepared {
    /// HTTP method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Path and query, as they get signed and sent.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The bytes of the body, as they get sent.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    pub(crate) fn parts(&self) -> (Method, String, Bytes) {
        (self.method.clone(), self.target.clone(), self.body.clone())
    }

    /// The message to sign for this stamp.
    pub fn message(&self, stamp: &Stamp) -> Vec<u8> {
        message(&self.method, &self.target, stamp, &self.signed)
    }

    /// The request to send, signed. The signed bytes are the sent bytes.
    ///
    /// # Errors
    /// A merchant id or serial that cannot stand in a header.
    pub fn sign_with(
        &self,
        base: &BaseUrl,
        authorization: &Authorization<'_>,
        announce: Option<&str>,
        stamp: &Stamp,
        signature: &[u8],
    ) -> Result<http::Request<Bytes>, http::Error> {
        let uri = Uri::builder()
            .scheme(base.scheme.clone())
            .authority(base.authority.clone())
            .path_and_query(self.target.as_str())
            .build()?;
        let mut request = http::Request::builder().method(self.method.clone()).uri(uri);
        if let Some(headers) = request.headers_mut() {
            headers.reserve(self.headers.len() + 5);
            headers.extend(self.headers.clone());
            headers.insert(ACCEPT, HeaderValue::from_static(JSON));
            headers.insert(CONTENT_TYPE, self.content_type.clone());
            headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
            let mut value = HeaderValue::try_from(authorization.header(stamp, signature))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
            if let Some(serial) = self.sealed_for.as_deref().or(announce) {
                headers.insert(WECHATPAY_SERIAL, HeaderValue::try_from(serial)?);
            }
        }
        request.body(self.body.clone())
    }
}

/// A request line that fits an operation, with what its path holds.
#[derive(Clone)]
pub struct Route {
    /// The operation.
    pub spec: &'static Spec,
    /// Values of the path fields, decoded.
    pub path: Vec<(&'static str, String)>,
    /// Whether it is the path for brands. The field `brand_id` is not in such a request.
    pub brand: bool,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path may hold an openid or a coupon code.
        let Self { spec, brand, .. } = self;
        f.debug_struct("Route").field("spec", &spec.id()).field("brand", brand).finish_non_exhaustive()
    }
}

impl Route {
    /// Finds the operation that a method and path belong to; literal segments win over parameters, which may be empty:
    /// it is for the limits to say whether they may.
    pub fn find(specs: impl IntoIterator<Item = &'static Spec>, method: &Method, path: &str) -> Option<Self> {
        specs
            .into_iter()
            .filter(|spec| spec.method().as_str() == method.as_str())
            .flat_map(|spec| [(Some(spec.path()), spec, false), (spec.brand_path(), spec, true)])
            .filter_map(|(template, spec, brand)| Some(Self { spec, path: match_path(template?, path)?, brand }))
            .min_by_key(|route| route.path.len())
    }
}

fn match_path(template: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    // Most templates are another's, and differ before their first parameter.
    let (literal, _) = template.split_once('{').unwrap_or((template, ""));
    if !path.starts_with(literal) {
        return None;
    }
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    let mut found = Vec::new();
    loop {
        match (template.next(), path.next()) {
            (Some(wanted), Some(segment)) => match parameter(wanted) {
                Some(name) => {
                    found.push((name, percent_decode_str(segment).decode_utf8().ok()?.into_owned()));
                }
                None if wanted == segment => {}
                _ => return None,
            },
            (None, None) => return Some(found),
            _ => return None,
        }
    }
}

/// Why a request is no request of its operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// `body`, `url` or `query`.
    pub location: &'static str,
    /// The field, where one is to blame.
    pub field: String,
    /// What is wrong.
    pub issue: String,
}

/// Puts the flat request together again: the inverse of [`prepare`].
///
/// Limits are not looked at; a query value of integer or boolean shape that does not parse stays text, for the check
/// to refuse.
///
/// # Errors
/// A body that is no JSON object, a query that cannot be decoded, or a field that stands in two places.
pub fn parse(route: &Route, query: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Result<Value, Unreadable> {
    let mut fields = match route.spec.body() {
        Body::Json => match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return Err(unreadable("body", "", "the body is not a JSON object")),
            Err(error) => return Err(unreadable("body", "", &format!("the body is not JSON: {error}"))),
        },
        _ => Map::new(),
    };
    let Shape::Object(shapes) = route.spec.request() else { return Ok(Value::Object(fields)) };
    let shape_of = |name: &str| shapes.iter().find(|field| field.name() == name).map(|field| field.shape());

    for (name, text) in &route.path {
        if fields.insert((*name).to_owned(), Value::String(text.clone())).is_some() {
            return Err(unreadable(
                "body",
                &format!("/body/{name}"),
                "the field travels in the path and in no other place",
            ));
        }
    }
    for pair in query.into_iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty()) {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8().map(Cow::into_owned)
        };
        let (Ok(name), Ok(text)) = (decoded(name), decoded(text)) else {
            return Err(unreadable("query", name, "the query is not UTF-8"));
        };
        if !route.spec.query().contains(&name.as_str()) {
            continue;
        }
        let value = shape_of(&name).map_or_else(|| Value::String(text.clone()), |shape| typed(shape, &text));
        if fields.insert(name.clone(), value).is_some() {
            return Err(unreadable("query", &name, "the parameter stands there twice, or in the body too"));
        }
    }
    for name in route.spec.header() {
        if let Some(text) = headers.get(*name).and_then(|value| value.to_str().ok()) {
            let value = shape_of(name).map_or_else(|| Value::String(text.to_owned()), |shape| typed(shape, text));
            if fields.insert((*name).to_owned(), value).is_some() {
                return Err(unreadable(
                    "body",
                    &format!("/body/{name}"),
                    "the field travels in a header and in no other place",
                ));
            }
        }
    }
    Ok(Value::Object(fields))
}

fn unreadable(location: &'static str, field: &str, issue: &str) -> Unreadable {
    Unreadable { location, field: field.to_owned(), issue: issue.to_owned() }
}

/// Text from a query or header as the JSON value that its shape asks for.
fn typed(shape: &Shape, text: &str) -> Value {
    let parsed = match shape {
        Shape::Text(_) => None,
        _ => serde_json::from_str(text).ok(),
    };
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use wechatpay_model::Operation as _;
    use wechatpay_model::operation::{Field, Method as Verb, Text};
    use wechatpay_model::partnerships::CreatePartnership;

    const TEXT: &Shape = &Shape::Text(Text::ANY);
    const NUMBER: &Shape = &Shape::Integer { min: Some(1), max: None, one_of: &[] };
    static THING: Shape = Shape::Object(&[
        Field::new("id", TEXT),
        Field::new("n", NUMBER),
        Field::new("on", &Shape::Boolean),
        Field::new("text", TEXT),
    ]);
    static GET_THING: Spec = Spec::new("things.get", Verb::Get, "/v3/things/{id}", Body::None, &THING)
        .with_query(&["n", "on", "text"])
        .with_brand_path("/brand/things/{id}");
    static LIST_THINGS: Spec = Spec::new("things.list", Verb::Get, "/v3/things/list", Body::None, &THING);
    static SET_THING: Spec = Spec::new("things.set", Verb::Post, "/v3/things/{id}", Body::Json, &THING);
    static PERSON: Shape = Shape::Object(&[Field::new("name", TEXT).encrypted(), Field::new("n", NUMBER)]);
    static SET_PERSON: Spec = Spec::new("people.set", Verb::Post, "/v3/people", Body::Json, &PERSON);

    const CONTEXT: Context<'_> = Context { now: 0, mchid: "1900000001" };

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn the_extension_names_the_content_type() {
        for (name, wanted) in [
            ("a.jpg", "image/jpeg"),
            ("a.b.JPEG", "image/jpeg"),
            ("a.Png", "image/png"),
            ("a.bmp", "image/bmp"),
            ("a.gif", "application/octet-stream"),
            ("jpg", "application/octet-stream"),
        ] {
            assert_eq!(File { name, bytes: b"" }.content_type(), wanted, "{name}");
        }
    }

    #[test]
    fn a_path_keeps_its_segments() {
        let known = || Violation { pointer: "/id".to_owned(), kind: ViolationKind::Required, message: String::new() };
        let other = || Violation { pointer: "/n".to_owned(), ..known() };
        // What stands in the path, the violations before, their pointers after, and the target.
        let cases: [(&str, Vec<Violation>, &[&str], &str); 7] = [
            ("a/b?", vec![], &[], "/v3/things/a%2Fb%3F"),
            ("...", vec![], &[], "/v3/things/..."),
            ("", vec![], &["/id"], "/v3/things/"),
            (".", vec![], &["/id"], "/v3/things/."),
            ("..", vec![], &["/id"], "/v3/things/.."),
            ("..", vec![known()], &["/id"], "/v3/things/.."),
            ("..", vec![other()], &["/n", "/id"], "/v3/things/.."),
        ];
        for (id, mut violations, pointers, wanted) in cases {
            let found = target(GET_THING.path(), &[], &mut fields(json!({ "id": id })), &mut violations);
            assert_eq!(found, wanted);
            assert_eq!(violations.iter().map(|violation| &*violation.pointer).collect::<Vec<_>>(), pointers, "{id}");
        }
    }

    #[test]
    fn what_is_prepared_can_be_looked_at() {
        let arguments = json!({"id": "a b", "n": 2, "on": true, "text": "x&y"});
        let read = prepare(&GET_THING, arguments.clone(), &CONTEXT).unwrap();
        assert_eq!((read.method(), read.target()), (&Method::GET, "/v3/things/a%20b?n=2&on=true&text=x%26y"));
        assert_eq!(read.body(), "");
        let write = prepare(&SET_THING, arguments, &CONTEXT).unwrap();
        assert_eq!((write.method(), write.target()), (&Method::POST, "/v3/things/a%20b"));
        assert_eq!(write.body(), r#"{"n":2,"on":true,"text":"x&y"}"#);
    }

    #[test]
    fn fields_that_travel_in_a_header_stand_nowhere_else() {
        let spec = CreatePartnership::SPEC;
        let (mut arguments, mut violations) = (fields(json!({"Idempotency-Key": "key 1", "partner": {}})), Vec::new());
        let sent = headers(spec, &mut arguments, &mut violations);
        assert_eq!((sent.len(), sent["idempotency-key"].as_bytes()), (1, &b"key 1"[..]));
        assert_eq!((Value::Object(arguments), violations), (json!({"partner": {}}), vec![]));
        let mut violations = Vec::new();
        assert!(headers(spec, &mut fields(json!({"Idempotency-Key": "a\nb"})), &mut violations).is_empty());
        assert_eq!((violations[0].pointer.as_str(), violations.len()), ("/Idempotency-Key", 1));

        let route = Route::find([spec], &Method::POST, spec.path()).unwrap();
        assert_eq!(parse(&route, None, &sent, br#"{"n":1}"#), Ok(json!({"Idempotency-Key": "key 1", "n": 1})));
        let twice = parse(&route, None, &sent, br#"{"Idempotency-Key":"key 1"}"#).unwrap_err();
        assert_eq!((twice.location, &*twice.field), ("body", "/body/Idempotency-Key"));
    }

    #[cfg(feature = "aws-lc-rs")]
    #[test]
    fn p13_what_is_marked_is_encrypted_once_all_else_is_right() {
        use crate::crypto::aws_lc;
        let key = aws_lc::VerifyingKey::from_public_key_pem(include_str!("../tests/fixtures/crypto/rsa2048.pub.pem"));
        let trust = crate::Trust::new().with_public_key("PUB_KEY_ID_1", key.unwrap());
        let sealing = Sender { verifier: Some(&trust), brand_id: None };
        let prepare =
            |n: i64, sender: &Sender<'_>| lay_out(&SET_PERSON, json!({"name": "P", "n": n}), None, &CONTEXT, sender);
        let prepared = prepare(1, &sealing).unwrap();
        let body: Value = serde_json::from_slice(prepared.body()).unwrap();
        assert_eq!((body["name"].as_str().unwrap().len(), &body["n"]), (344, &json!(1)));
        assert_eq!(prepared.sealed_for.as_deref(), Some("PUB_KEY_ID_1"));
        // Without a key it is not sent, and where something else is wrong that is said first.
        let pointers = |n| {
            let invalid = prepare(n, &Sender::default()).unwrap_err();
            invalid.violations.into_iter().map(|violation| violation.pointer).collect::<Vec<_>>()
        };
        assert_eq!((pointers(1), pointers(0)), (vec!["/name".to_owned()], vec!["/n".to_owned()]));
    }

    #[test]
    fn a_request_line_finds_its_operation() {
        let find = |method: Method, path: &str| {
            let route = Route::find([&GET_THING, &LIST_THINGS, &SET_THING], &method, path)?;
            Some((route.spec.id(), route.path.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), route.brand))
        };
        let found = |id, path: &[&str], brand| Some((id, path.iter().map(|text| (*text).to_owned()).collect(), brand));
        assert_eq!(find(Method::GET, "/v3/things/a%2Fb"), found("things.get", &["a/b"], false));
        assert_eq!(find(Method::GET, "/brand/things/a"), found("things.get", &["a"], true));
        assert_eq!(find(Method::POST, "/v3/things/list"), found("things.set", &["list"], false));
        // Words win over fields.
        assert_eq!(find(Method::GET, "/v3/things/list"), found("things.list", &[], false));
        for path in
            ["/v3/others/a", "/v3/things", "/v3/things/a/b", "/v4/things/list", "/brand/things", "/v3/things/%FF"]
        {
            assert_eq!(find(Method::GET, path), None, "{path}");
        }
        assert_eq!(find(Method::DELETE, "/v3/things/a"), None);
    }

    #[test]
    fn a_query_is_read_by_the_form_of_its_fields() {
        let route = Route::find([&GET_THING], &Method::GET, "/v3/things/a").unwrap();
        let read = |query| parse(&route, Some(query), &HeaderMap::new(), b"");
        for (query, wanted) in [
            ("", json!({"id": "a"})),
            ("n=3&on=true&text=4", json!({"id": "a", "n": 3, "on": true, "text": "4"})),
            // For the check to refuse.
            ("n=x&on=", json!({"id": "a", "n": "x", "on": ""})),
            ("text=a+b%2B%E5%88%B8&&other=1", json!({"id": "a", "text": "a b+券"})),
            ("text", json!({"id": "a", "text": ""})),
        ] {
            assert_eq!(read(query), Ok(wanted), "{query}");
        }
        for (query, field) in [("text=1&text=1", "text"), ("text=%FF", "text"), ("id=b", ""), ("n=1&n=2", "n")] {
            match read(query) {
                Err(refused) => assert_eq!((refused.location, &*refused.field), ("query", field), "{query}"),
                // What does not travel in the query is not looked at there.
                Ok(value) => assert_eq!((value, field), (json!({"id": "a"}), ""), "{query}"),
            }
        }
    }
}
