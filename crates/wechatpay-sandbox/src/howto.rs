//! `HOWTO.md`: how the SDKs of several languages are pointed at this run.

use serde_json::Value;
use std::path::Path;

/// The how-to, with names in braces for what differs from run to run.
const TEMPLATE: &str = include_str!("howto.md");

/// The how-to for the run that this ready line describes.
pub(crate) fn text(directory: &Path, ready: &Value) -> String {
    let mut text = TEMPLATE.replace("{dir}", &directory.display().to_string());
    for name in ["base_url", "https_url", "proxy_url", "mchid", "serial_no", "public_key_id"] {
        text = text.replace(&format!("{{{name}}}"), ready.get(name).and_then(Value::as_str).unwrap_or_default());
    }
    let address = ready.get("proxy_url").and_then(Value::as_str).unwrap_or_default();
    let (host, port) = address.trim_start_matches("http://").rsplit_once(':').unwrap_or_default();
    text.replace("{host}", host).replace("{port}", port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_name_in_braces_is_filled_in() {
        let ready = json!({
            "base_url": "http://127.0.0.1:8080", "https_url": "https://127.0.0.1:8080",
            "proxy_url": "http://127.0.0.1:8080", "mchid": "1900000001", "serial_no": "77AB",
            "public_key_id": "PUB_KEY_ID_01",
        });
        let text = text(Path::new("/tmp/box"), &ready);
        let names =
            ["dir", "base_url", "https_url", "proxy_url", "mchid", "serial_no", "public_key_id", "host", "port"];
        for name in names {
            assert!(TEMPLATE.contains(&format!("{{{name}}}")), "{name}");
            assert!(!text.contains(&format!("{{{name}}}")), "{name}: {text}");
        }
        for said in ["/tmp/box/ca.pem", "http://127.0.0.1:8080", "proxyPort=8080", "1900000001", "77AB"] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }
}
