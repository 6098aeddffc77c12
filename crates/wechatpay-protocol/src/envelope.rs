//! What certificates and notifications share: JSON that is read without repeating its values, and sealed texts.

use crate::crypto::{OpenError, Opener};
use crate::object::Object;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// The only sealing that is opened.
const ALGORITHM: &str = "AEAD_AES_256_GCM";

/// JSON that cannot be read: where, and what was expected there.
///
/// It never repeats a value that it found, so it may be shown and logged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadError {
    /// Where in the document, as `a.b[0].c`; a single dot is the document itself.
    pub path: String,
    /// What is wrong there.
    pub problem: String,
}

impl ReadError {
    pub(crate) fn new(path: &str, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), problem: problem.into() }
    }
}

impl std::error::Error for ReadError {}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.path, self.problem)
    }
}

/// Reads one JSON document and nothing after it.
pub(crate) fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, ReadError> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(Object(&mut reader))
        .map_err(|error| ReadError::new(&error.path().to_string(), problem(error.inner())))?;
    reader.end().map_err(|error| ReadError::new(".", problem(&error)))?;
    Ok(value)
}

/// What a reader complains about, without the value that it met: only what it wanted instead.
pub(crate) fn problem(error: &serde_json::Error) -> String {
    // What was not read from text has no lines.
    let place = match error.line() {
        0 => String::new(),
        line => format!(" (line {line} column {})", error.column()),
    };
    if !error.is_data() {
        return format!("not JSON{place}");
    }
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message);
    let named = ["missing field `", "duplicate field `"].iter().any(|start| message.starts_with(start));
    let expected = ["invalid ", "unknown "].iter().any(|start| message.starts_with(start));
    match message.rsplit_once(", expected ") {
        _ if named => format!("{message}{place}"),
        Some((_, wanted)) if expected => format!("expected {wanted}{place}"),
        _ => format!("a value that does not fit{place}"),
    }
}

/// A text sealed with the merchant's APIv3 key, as it stands in JSON.
#[derive(Deserialize)]
pub(crate) struct Sealed {
    pub(crate) algorithm: String,
    pub(crate) nonce: String,
    #[serde(default)]
    pub(crate) associated_data: Option<String>,
    pub(crate) ciphertext: String,
    #[serde(default)]
    pub(crate) original_type: String,
}

impl Sealed {
    /// Whether the algorithm is the one that is opened here.
    pub(crate) fn is_supported(&self) -> bool {
        self.algorithm == ALGORITHM
    }

    pub(crate) fn open(&self, opener: &dyn Opener) -> Result<Vec<u8>, SealedError> {
        if !self.is_supported() {
            return Err(SealedError::Algorithm(shorten(&self.algorithm)));
        }
        let sealed = STANDARD.decode(&self.ciphertext).map_err(|_| SealedError::Base64)?;
        let associated_data = self.associated_data.as_deref().unwrap_or_default();
        opener.open(self.nonce.as_bytes(), associated_data.as_bytes(), &sealed).map_err(SealedError::Open)
    }
}

/// Why a sealed text gives no plain one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealedError {
    /// It is sealed in another way than `AEAD_AES_256_GCM`.
    Algorithm(String),
    /// The ciphertext is not base64.
    Base64,
    /// The APIv3 key does not open it.
    Open(OpenError),
}

impl std::error::Error for SealedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for SealedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Algorithm(name) => write!(f, "it is sealed with {name}; only {ALGORITHM} can be opened"),
            Self::Base64 => f.write_str("its ciphertext is not base64"),
            Self::Open(error) => error.fmt(f),
        }
    }
}

/// A text from outside, short enough for an error.
pub(crate) fn shorten(text: &str) -> String {
    const MOST: usize = 64;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => text.get(..end).map(|start| format!("{start}…")).unwrap_or_default(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Sample {
        amount: i64,
        #[serde(default)]
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    enum Kind {
        Known,
    }

    #[test]
    fn errors_say_where_and_what_but_repeat_no_value() {
        for (json, wanted) in [
            (r#"{"amount":"secret"}"#, "at amount: expected i64 (line 1 column 18)"),
            (r#"{"amount":"secret, expected secret"}"#, "at amount: expected i64 (line 1 column 35)"),
            (r#"{"amount":1,"kind":"secret"}"#, "at kind: expected `Known` (line 1 column 27)"),
            (r#"{"amount":1,"amount":2}"#, "at .: duplicate field `amount` (line 1 column 20)"),
            (r#"{}"#, "at .: missing field `amount` (line 1 column 2)"),
            (r#"{"amount":secret}"#, "at amount: not JSON (line 1 column 11)"),
            (r#"{"amount":1} secret"#, "at .: not JSON (line 1 column 14)"),
            ("", "at .: not JSON (line 1 column 0)"),
        ] {
            let shown = read::<Sample>(json.as_bytes()).unwrap_err().to_string();
            assert!(!shown.contains("secret"), "{shown}");
            assert_eq!(shown, wanted, "{json}");
        }
        assert!(matches!(read::<Sample>(br#"{"amount":1,"kind":"Known"}"#).unwrap().kind, Some(Kind::Known)));
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = "[".repeat(100_000);
        assert!(read::<serde_json::Value>(deep.as_bytes()).is_err());
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(shorten("短"), "短");
        assert_eq!(shorten(&"短".repeat(64)), "短".repeat(64));
        assert_eq!(shorten(&"短".repeat(65)), "短".repeat(64) + "…");
    }
}
