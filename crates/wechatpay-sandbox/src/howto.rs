//! `HOWTO.md`: how the SDKs of several languages are pointed at this run; and programs that make a first call.

use serde_json::Value;
use std::path::Path;

/// The how-to, with names in braces for what differs from run to run.
const TEMPLATE: &str = include_str!("howto.md");

/// A first verified call in each language. They learn from `sandbox.env` where the sandbox is, so they are the same for each run.
pub(crate) const FIRST_CALLS: &[(&str, &str)] = &[
    ("first.go", include_str!("first/first.go")),
    ("First.java", include_str!("first/First.java")),
    ("first.php", include_str!("first/first.php")),
    ("first.py", include_str!("first/first.py")),
    ("first.js", include_str!("first/first.js")),
];

/// The how-to for the run that this ready line describes.
pub(crate) fn text(directory: &Path, ready: &Value) -> String {
    let directory = directory.display().to_string();
    let mut text = TEMPLATE.replace("{dir}", &directory).replace("{shell_dir}", &word(&directory));
    for name in ["base_url", "https_url", "proxy_url", "mchid", "serial_no", "public_key_id"] {
        text = text.replace(&format!("{{{name}}}"), ready.get(name).and_then(Value::as_str).unwrap_or_default());
    }
    let address = ready.get("proxy_url").and_then(Value::as_str).unwrap_or_default();
    let (host, port) = address.trim_start_matches("http://").rsplit_once(':').unwrap_or_default();
    text.replace("{host}", host).replace("{port}", port)
}

/// A text as one word of a shell line, quoted only if it has to be.
fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) { text.to_owned() } else { quoted(text) }
}

/// A text as one word of a shell line, whatever is in it.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
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
        let names = [
            "dir",
            "shell_dir",
            "base_url",
            "https_url",
            "proxy_url",
            "mchid",
            "serial_no",
            "public_key_id",
            "host",
            "port",
        ];
        for name in names {
            assert!(TEMPLATE.contains(&format!("{{{name}}}")), "{name}");
            assert!(!text.contains(&format!("{{{name}}}")), "{name}: {text}");
        }
        for said in ["/tmp/box/ca.pem", "http://127.0.0.1:8080", "proxyPort=8080", "1900000001", "77AB"] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }

    /// The lines for shells, read by one: each path in them is one word, and the right one.
    #[cfg(unix)]
    #[test]
    fn a_shell_reads_the_paths_as_they_are() {
        for directory in ["/tmp/box", "/tmp/my box", "/tmp/it's $HOME", "/tmp/a;b&c", "/tmp/券 `id`\"*"] {
            let text = text(Path::new(directory), &json!({}));
            let lines: Vec<_> = text.lines().filter(|line| line.contains("/ca.pem") && !line.contains('|')).collect();
            assert_eq!(lines.len(), 4, "{lines:?}");
            for line in lines {
                // A comment that is a command, but for its mark.
                let line = line.trim_start_matches(['#', '/', ' ']).split("   #").next().unwrap();
                let show = "for word in \"$@\"; do printf '%s\\n' \"${word#*=}\"; done";
                let shell = std::process::Command::new("sh").args(["-c", &format!("set -- {line}\n{show}")]).output();
                let words = String::from_utf8(shell.unwrap().stdout).unwrap();
                let wanted = format!("{directory}/ca.pem");
                assert!(words.lines().any(|word| word == wanted), "{line}: {words}");
            }
            let first = text.lines().find(|line| line.starts_with("set -a")).unwrap();
            let first = first.replace("; . ", "; printf '%s\\n' ").replace("; cd ", "; printf '%s\\n' ");
            let shell = std::process::Command::new("sh").args(["-c", &first]).output().unwrap();
            let wanted = format!("{directory}/sandbox.env\n{directory}/first\n");
            assert_eq!(String::from_utf8(shell.stdout).unwrap(), wanted, "{first}");
        }
    }
}
