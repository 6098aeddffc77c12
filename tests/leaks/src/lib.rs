//! No secret reaches a log: the tests write everything down at TRACE, say what is secret, and a search afterwards finds it in
//! none of its forms.
//!
//! Whoever says that something is secret starts the writing, a file for each process in the folder `leaks` where the tests are
//! built: the whole-road tests with the keys of a sandbox and what passes over the road, the protocol's own tests with their
//! fixtures, the tests of the command with all that it prints. `cargo xtask ci` empties the folder before the tests and
//! runs `search-leaks` after them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Shorter texts stand in logs by chance.
const SHORTEST: usize = 8;

/// Fields of requests whose values are nobody's business.
const SECRET_FIELDS: [&str; 5] = ["openid", "coupon_code", "coupon_code_list", "code", "unionid"];

/// What this process writes.
struct Record {
    log: Mutex<File>,
    secrets: Mutex<(HashSet<Vec<u8>>, File)>,
}

static RECORD: LazyLock<io::Result<Record>> = LazyLock::new(|| {
    let folder = folder()?;
    fs::create_dir_all(&folder)?;
    let open = |kind: &str| {
        let name = format!("{}.{kind}", std::process::id());
        OpenOptions::new().create(true).append(true).open(folder.join(name))
    };
    let (log, secrets) = (open("log")?, open("secrets")?);
    let writer = Mutex::new(log.try_clone()?);
    // A test that has a subscriber of its own looks through its log itself.
    let _ =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(writer).try_init();
    Ok(Record { log: Mutex::new(log), secrets: Mutex::new((HashSet::new(), secrets)) })
});

/// The folder `leaks` where the programs are built; those of tests stand in `deps` there.
///
/// # Errors
/// The system does not say where this program is.
pub fn folder() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let place = program.parent().ok_or(io::ErrorKind::NotFound)?;
    let place = if place.ends_with("deps") { place.parent().unwrap_or(place) } else { place };
    Ok(place.join("leaks"))
}

/// Says that this is secret.
pub fn secret(bytes: &[u8]) {
    if bytes.len() < SHORTEST {
        return;
    }
    let record = RECORD.as_ref().expect("the folder of logs");
    let mut secrets = record.secrets.lock().unwrap_or_else(PoisonError::into_inner);
    if secrets.0.insert(bytes.to_vec()) {
        writeln!(secrets.1, "{}", hex(bytes)).expect("written");
    }
}

/// Says that a private key is secret: pieces of what of it no certificate shows.
pub fn private_key(pem: &str) {
    pieces(pem).iter().for_each(|piece| secret(piece));
}

/// Writes down what was said elsewhere than in the log of this process, to be searched as well.
pub fn said(text: &str) {
    let record = RECORD.as_ref().expect("the folder of logs");
    let mut log = record.log.lock().unwrap_or_else(PoisonError::into_inner);
    log.write_all(text.as_bytes()).expect("written");
}

/// Pieces of a private key, each a line of its PEM; the modulus before them is public.
pub fn pieces(pem: &str) -> Vec<Vec<u8>> {
    let lines: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
    let der = STANDARD.decode(lines).expect("base64");
    der.chunks_exact(48).skip(8).map(<[u8]>::to_vec).collect()
}

/// Says that the codes and openids of a request are secret.
pub fn request(request: &Value) {
    match request {
        Value::Object(fields) => {
            for (name, value) in fields {
                if SECRET_FIELDS.contains(&name.as_str()) {
                    texts(value);
                } else {
                    self::request(value);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(self::request),
        _ => {}
    }
}

fn texts(value: &Value) {
    match value {
        Value::String(text) => secret(text.as_bytes()),
        Value::Array(items) => items.iter().for_each(texts),
        _ => {}
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every form in which a secret may have got out: as it is, in Rust's quotes, in base64, hex and URL form.
pub fn forms(secret: &[u8]) -> Vec<String> {
    let percent = |kept: &dyn Fn(u8) -> bool| -> String {
        let one = |byte: &u8| if kept(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
        secret.iter().map(one).collect()
    };
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    // Inside a longer text base64 shifts; what does not depend on the shift is enough to find it.
    let inner = |skip: usize| {
        let shifted = STANDARD.encode([vec![0; skip], secret.to_vec()].concat());
        shifted[4..shifted.len().saturating_sub(4).max(4)].to_owned()
    };
    let mut forms = vec![hex(secret), hex(secret).to_uppercase(), STANDARD.encode(secret), inner(1), inner(2)];
    forms.extend([percent(&|byte| byte.is_ascii_alphanumeric()), percent(&unreserved)]);
    if let Ok(text) = std::str::from_utf8(secret) {
        forms.push(text.to_owned());
        forms.push(format!("{text:?}").trim_matches('"').to_owned());
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms.sort();
    forms.dedup();
    forms
}

/// What a search has looked at and found.
#[derive(Debug, Default)]
pub struct Findings {
    /// How many processes wrote a log.
    pub logs: usize,
    /// Bytes of all logs.
    pub bytes: usize,
    /// How many secrets were known.
    pub secrets: usize,
    /// File and line of each leak; the secret itself is not repeated.
    pub leaks: Vec<String>,
}

/// Looks for every secret of the folder in every log of it, and for what no log may hold at all.
///
/// # Errors
/// A file cannot be read.
pub fn search(folder: &Path) -> io::Result<Findings> {
    let (mut logs, mut secrets) = (Vec::new(), HashSet::new());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("log") => logs.push(path),
            Some("secrets") => secrets.extend(fs::read_to_string(path)?.lines().map(unhex)),
            _ => {}
        }
    }
    let mut patterns: Vec<_> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    patterns.push("signature=\"".to_owned());
    // A key begins behind the end of this line, also where that is written out; messages name the line and go on.
    patterns.extend(["\n", "\r", "\\"].map(|end| format!("BEGIN PRIVATE KEY-----{end}")));
    let wanted = AhoCorasick::new(&patterns).map_err(io::Error::other)?;
    let mut findings = Findings { logs: logs.len(), secrets: secrets.len(), ..Findings::default() };
    for path in logs {
        let log = fs::read(&path)?;
        findings.bytes += log.len();
        for (number, line) in log.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if wanted.is_match(line) {
                findings.leaks.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    Ok(findings)
}

fn unhex(line: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("hex") as u8;
    line.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
