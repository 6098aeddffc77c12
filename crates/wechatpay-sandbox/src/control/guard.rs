//! Who may use the control paths, and forms in place of JSON.
//!
//! Nothing is signed here, so the connection must come from this machine, unless the sandbox was told otherwise. That is not enough where a browser runs: any
//! site may make it send requests to loopback (CSRF), or make its own name point there (DNS rebinding). So a name of
//! another machine in `Host` is refused, and so is what another site's page sends. Where other machines may come in, they
//! know this one by names that nobody here can tell; then any name will do, and only what another site's page sends is
//! refused.

use super::{LIMIT, SNAPSHOT_LIMIT, Trusted, refuse};
use crate::page;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, ORIGIN};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Map, Value};
use std::net::IpAddr;

/// Lets through what comes from those who may, and from no other site.
pub(super) async fn local(request: Request, next: Next) -> Response {
    let Some(Trusted { remote }) = request.extensions().get().copied() else {
        let message = "control paths answer loopback only, unless the sandbox is started with --allow-remote-control";
        return refuse(StatusCode::FORBIDDEN, message);
    };
    match foreign(request.headers(), request.uri(), remote) {
        None => next.run(request).await,
        Some(message) => refuse(StatusCode::FORBIDDEN, &message),
    }
}

/// Why a request is another site's, if it is; `anywhere` if the sandbox may have any name.
fn foreign(headers: &HeaderMap, uri: &Uri, anywhere: bool) -> Option<String> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_owned());
    let host = uri.authority().map(|authority| authority.to_string()).or_else(|| text(HOST));
    if let Some(host) = &host
        && !anywhere
        && !of_this_machine(host)
    {
        return Some(format!(
            "control paths are not served under the name {host:?}; ask for them by address or as localhost, or start the \
             sandbox with --allow-remote-control"
        ));
    }
    let origin = text(ORIGIN)?;
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    (authority.is_none() || authority != host.as_deref())
        .then(|| format!("control paths take no orders from the page of another site, {origin:?}"))
}

/// Whether nobody else can have given this host: an address, `localhost`, a name without dots, or a host of the API, for
/// whom the sandbox stands in.
fn of_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let emulated = ["weixin.qq.com", "wechatpay.cn"];
    address.parse::<IpAddr>().is_ok()
        || !name.contains('.')
        || name.ends_with(".localhost")
        || emulated.iter().any(|domain| name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')))
}

/// Makes JSON of what a form of the page sends, and leads the browser back to the page.
///
/// A field `json` holds an object as it stands; other fields are texts in it, or integers where the name says so,
/// `limit:integer`. A field `_method` names the method where it is not POST. Fields that were left empty are left out.
/// A JSON object is read as such: `curl -d` says of everything that it is a form.
pub(super) async fn forms(request: Request, next: Next) -> Response {
    const FORM: &str = "application/x-www-form-urlencoded";
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if request.method() != Method::POST || !content_type.is_some_and(|value| value.starts_with(FORM)) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let form = match axum::body::to_bytes(body, SNAPSHOT_LIMIT).await {
        Ok(form) if form.trim_ascii_start().starts_with(b"{") => {
            return next.run(Request::from_parts(parts, Body::from(form))).await;
        }
        Ok(form) => object(&form),
        Err(error) => Err(error.to_string()),
    };
    let (method, object) = match form {
        Ok(read) => read,
        Err(message) => return refuse(StatusCode::BAD_REQUEST, &message),
    };
    parts.method = method;
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let response = next.run(Request::from_parts(parts, Body::from(object.to_string()))).await;
    if response.status().is_success() {
        return Redirect::to("/_sandbox/").into_response();
    }
    let (parts, body) = response.into_parts();
    let said = axum::body::to_bytes(body, LIMIT).await.unwrap_or_default();
    let said = serde_json::from_slice::<Value>(&said).ok();
    let message = said.as_ref().and_then(|said| said.get("error")?.as_str());
    page::refusal(parts.status, message.unwrap_or("that did not work"))
}

/// The method and the object of a form.
fn object(form: &[u8]) -> Result<(Method, Value), String> {
    let (mut method, mut object) = (Method::POST, Map::new());
    for (name, text) in form_urlencoded::parse(form).filter(|(_, text)| !text.is_empty()) {
        if name == "_method" {
            method = text.parse().map_err(|_| format!("{text:?} is no method"))?;
        } else if name == "json" {
            let given: Map<String, Value> =
                serde_json::from_str(&text).map_err(|error| format!("that is no JSON object: {error}"))?;
            object.extend(given);
        } else if let Some(name) = name.strip_suffix(":integer") {
            let number: i64 = text.trim().parse().map_err(|_| format!("{name} is {text:?}; write an integer"))?;
            object.insert(name.to_owned(), number.into());
        } else {
            object.insert(name.into_owned(), text.into_owned().into());
        }
    }
    Ok((method, Value::Object(object)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(host: &str, origin: Option<&str>) -> bool {
        is_refused(host, origin, false)
    }

    fn is_refused(host: &str, origin: Option<&str>, anywhere: bool) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        foreign(&headers, &Uri::from_static("/_sandbox/reset"), anywhere).is_some()
    }

    #[test]
    fn other_sites_and_their_names_are_refused() {
        for host in
            ["127.0.0.1:8080", "localhost:8080", "localhost", "[::1]:80", "[::1]", "sandbox:80", "a.localhost:1"]
        {
            assert!(!refused(host, None), "{host}");
            assert!(!refused(host, Some(&format!("http://{host}"))), "{host}");
            for origin in ["http://evil.example", "null", "http://localhost.evil.example", "http://127.0.0.1:1"] {
                assert!(refused(host, Some(origin)), "{host} {origin}");
            }
        }
        assert!(!refused("api.mch.weixin.qq.com", None));
        for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "evilweixin.qq.com", "localhost.evil"]
        {
            let own = format!("http://{host}");
            assert!(refused(host, None) && refused(host, Some(&own)), "{host}");
            // With --allow-remote-control the name is anybody's, and the page must still be the sandbox's own.
            assert!(!is_refused(host, None, true) && !is_refused(host, Some(&own), true), "{host}");
            assert!(is_refused(host, Some("http://other.example"), true), "{host}");
        }
    }

    #[test]
    fn a_form_becomes_json() {
        let read = |form: &str| object(form.as_bytes());
        assert_eq!(read("set=a%26b+c&x="), Ok((Method::POST, json!({"set": "a&b c"}))));
        assert_eq!(read("advance_seconds:integer=-5"), Ok((Method::POST, json!({"advance_seconds": -5}))));
        let both = read("_method=DELETE&json=%7B%22a%22%3Atrue%7D&b=1");
        assert_eq!(both, Ok((Method::DELETE, json!({"a": true, "b": "1"}))));
        for wrong in ["n:integer=x", "json=x", "_method=a+b"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
