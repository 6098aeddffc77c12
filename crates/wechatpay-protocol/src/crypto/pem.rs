//! PEM text to checked DER, and the one error of everything that reads a key.

use super::der;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use zeroize::Zeroizing;

/// A key or certificate that cannot be used: which one, what is wrong with it, and what to do about it.
///
/// Holds no byte of the text it was made from, so it may be shown and logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyError {
    wanted: KeyKind,
    fault: KeyFault,
}

/// What a text was read as, or turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// A private key: PKCS#8, `-----BEGIN PRIVATE KEY-----`.
    PrivateKey,
    /// A public key: SPKI, `-----BEGIN PUBLIC KEY-----`.
    PublicKey,
    /// An X.509 certificate: `-----BEGIN CERTIFICATE-----`.
    Certificate,
    /// The merchant's APIv3 key: 32 bytes, not PEM.
    ApiV3Key,
}

/// What is wrong with the text or bytes of a key. None of them repeats any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFault {
    /// There is no text at all.
    Empty,
    /// The text has no `-----BEGIN`: a file name, or bare base64.
    NotPem,
    /// The text writes its line ends as backslash and `n`, as some environment variables do.
    EscapedLineEnds,
    /// The text holds this many PEM blocks, where one is expected.
    SeveralBlocks(usize),
    /// The block has no `-----END` that fits its `-----BEGIN`.
    BrokenFrame,
    /// What stands between `-----BEGIN` and `-----END` is not base64.
    BrokenBase64,
    /// The bytes are not the ASN.1 that they should be.
    BrokenDer,
    /// It is another kind of thing.
    Found(KeyKind),
    /// It is PEM of a kind that is no key and no certificate.
    FoundOther,
    /// The private key is protected by a passphrase.
    Encrypted,
    /// The key is in PKCS#1 form: `RSA PRIVATE KEY`, `RSA PUBLIC KEY`.
    Pkcs1,
    /// The key is for another algorithm than RSA, whose name this is.
    NotRsa(&'static str),
    /// The modulus of the RSA key has this many bits, fewer than 2048 or more than 8192.
    Size(usize),
    /// The key can be read, but the crypto provider refuses it: its numbers do not belong together.
    Rejected,
    /// The APIv3 key has this many bytes instead of 32.
    Length(usize),
}

impl KeyError {
    pub(super) fn new(wanted: KeyKind, fault: KeyFault) -> Self {
        Self { wanted, fault }
    }

    /// The kind of key that was asked for.
    pub fn wanted(&self) -> KeyKind {
        self.wanted
    }

    /// What was wrong with what was given instead.
    pub fn fault(&self) -> KeyFault {
        self.fault
    }
}

impl std::error::Error for KeyError {}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use KeyKind::{Certificate, PrivateKey, PublicKey};
        let Self { wanted, fault } = self;
        write!(f, "{wanted}: ")?;
        match fault {
            KeyFault::Empty => write!(f, "the text is empty; needed are the contents of {}", wanted.file()),
            KeyFault::NotPem => write!(
                f,
                "no PEM block in the text; needed are the contents of {}, with the lines -----BEGIN {label}----- \
                 and -----END {label}-----",
                wanted.file(),
                label = wanted.label(),
            ),
            KeyFault::EscapedLineEnds => {
                write!(f, "line ends are written as the two characters \\n; replace them by real line ends")
            }
            KeyFault::SeveralBlocks(count) => {
                write!(
                    f,
                    "{count} PEM blocks in the text; keep only the -----BEGIN {}----- that is meant",
                    wanted.label()
                )
            }
            KeyFault::BrokenFrame => {
                write!(
                    f,
                    "the PEM block does not end with -----END {}-----; the text is cut off or mixed up, copy the file again",
                    wanted.label()
                )
            }
            KeyFault::BrokenBase64 => {
                write!(f, "the PEM block is not base64; the text is damaged, copy the file again")
            }
            KeyFault::BrokenDer => {
                write!(
                    f,
                    "the contents are not the DER encoding of a {wanted}; the text is damaged, copy the file again"
                )
            }
            KeyFault::Found(Certificate) if *wanted == PublicKey => write!(
                f,
                "found a certificate; load it as one, or take the key out: openssl x509 -in old.pem -noout -pubkey -out new.pem"
            ),
            KeyFault::Found(PrivateKey) if *wanted == PublicKey => write!(
                f,
                "found a private key; the public key of WeChat Pay comes from the merchant platform, never from a private key"
            ),
            KeyFault::Found(found) => write!(f, "found a {found}; needed are the contents of {}", wanted.file()),
            KeyFault::FoundOther => {
                write!(f, "found PEM of another kind; needed are the contents of {}", wanted.file())
            }
            KeyFault::Encrypted => {
                write!(f, "protected by a passphrase; remove it: openssl pkey -in old.pem -out new.pem")
            }
            KeyFault::Pkcs1 if *wanted == PublicKey => write!(
                f,
                "PKCS#1 form (RSA PUBLIC KEY); convert it: openssl rsa -RSAPublicKey_in -in old.pem -pubout -out new.pem"
            ),
            KeyFault::Pkcs1 => write!(
                f,
                "PKCS#1 form (RSA PRIVATE KEY); convert it: openssl pkcs8 -topk8 -nocrypt -in old.pem -out new.pem"
            ),
            KeyFault::NotRsa(algorithm) => write!(f, "the key is for {algorithm}, not RSA; give an RSA key"),
            KeyFault::Size(bits) => {
                write!(f, "an RSA key of {bits} bits; WeChat Pay uses 2048, and at most 8192 are supported")
            }
            KeyFault::Rejected => {
                write!(f, "the numbers of the RSA key do not belong together; the text is damaged, copy the file again")
            }
            KeyFault::Length(bytes) => write!(
                f,
                "{bytes} bytes instead of 32; give the key as set on the merchant platform, without a line end or quotes"
            ),
        }
    }
}

impl KeyKind {
    fn label(self) -> &'static str {
        match self {
            Self::PrivateKey => "PRIVATE KEY",
            Self::PublicKey => "PUBLIC KEY",
            Self::Certificate => "CERTIFICATE",
            Self::ApiV3Key => "API V3 KEY",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::PrivateKey => "the private key file, apiclient_key.pem",
            Self::PublicKey => "the public key file, pub_key.pem",
            Self::Certificate => "the certificate file",
            Self::ApiV3Key => "the APIv3 key",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrivateKey => "private key",
            Self::PublicKey => "public key",
            Self::Certificate => "certificate",
            Self::ApiV3Key => "APIv3 key",
        })
    }
}

/// The PKCS#8 DER in the text of a private key file: for a provider of your own.
///
/// # Errors
/// The text is not one unencrypted RSA private key in PEM, or the size of the key is not supported.
pub fn pkcs8_from_pem(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let pkcs8 = block(text, KeyKind::PrivateKey)?;
    der::check_pkcs8(&pkcs8)?;
    Ok(pkcs8)
}

/// The SPKI DER in the text of a public key file: for a provider of your own.
///
/// # Errors
/// The text is not one RSA public key in PEM, or the size of the key is not supported.
pub fn spki_from_pem(text: &str) -> Result<Vec<u8>, KeyError> {
    let spki = block(text, KeyKind::PublicKey)?;
    der::check_spki(&spki)?;
    Ok(spki.to_vec())
}

/// The DER of a certificate, not yet looked into.
pub(super) fn certificate(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    block(text, KeyKind::Certificate)
}

/// The bytes of the only PEM block of a text. What stands before and after the block is ignored: byte order mark,
/// comments, the readable part that openssl prints.
fn block(text: &str, wanted: KeyKind) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let error = |fault| KeyError::new(wanted, fault);
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        return Err(error(KeyFault::Empty));
    }
    let mut blocks = text.split("-----BEGIN ").skip(1);
    let block = blocks.next().ok_or(error(KeyFault::NotPem))?;
    match blocks.count() {
        0 => {}
        more => return Err(error(KeyFault::SeveralBlocks(1 + more))),
    }
    let (label, rest) = block.split_once("-----").ok_or(error(KeyFault::BrokenFrame))?;
    if let Some(fault) = fault_of(label, rest, wanted) {
        return Err(error(fault));
    }
    let (body, end) = rest.split_once("-----END ").ok_or(error(KeyFault::BrokenFrame))?;
    if !end.strip_prefix(label).is_some_and(|end| end.starts_with("-----")) {
        return Err(error(KeyFault::BrokenFrame));
    }
    if body.contains("\\n") {
        return Err(error(KeyFault::EscapedLineEnds));
    }
    // Both as large as the text, so that neither moves and leaves a copy behind.
    let mut base64 = Zeroizing::new(String::with_capacity(body.len()));
    base64.extend(body.chars().filter(|c| !c.is_ascii_whitespace()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(body.len()));
    STANDARD.decode_vec(base64.as_bytes(), &mut bytes).map_err(|_| error(KeyFault::BrokenBase64))?;
    Ok(bytes)
}

/// Why a block with this label is not what is wanted, as far as the label and the headers tell.
fn fault_of(label: &str, rest: &str, wanted: KeyKind) -> Option<KeyFault> {
    let (kind, fault) = match label {
        "PRIVATE KEY" => (KeyKind::PrivateKey, None),
        "PUBLIC KEY" => (KeyKind::PublicKey, None),
        "CERTIFICATE" => (KeyKind::Certificate, None),
        "ENCRYPTED PRIVATE KEY" => (KeyKind::PrivateKey, Some(KeyFault::Encrypted)),
        "EC PRIVATE KEY" => (KeyKind::PrivateKey, Some(KeyFault::NotRsa("elliptic curves (EC)"))),
        "RSA PRIVATE KEY" if rest.contains("Proc-Type:") => (KeyKind::PrivateKey, Some(KeyFault::Encrypted)),
        "RSA PRIVATE KEY" => (KeyKind::PrivateKey, Some(KeyFault::Pkcs1)),
        "RSA PUBLIC KEY" => (KeyKind::PublicKey, Some(KeyFault::Pkcs1)),
        _ => return Some(KeyFault::FoundOther),
    };
    if kind == wanted { fault } else { Some(KeyFault::Found(kind)) }
}
