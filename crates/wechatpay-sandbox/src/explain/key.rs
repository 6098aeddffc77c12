//! Opens signatures: what a public key shows of what was signed, and how.

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA224, SHA256, SHA384, SHA512, digest};
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use aws_lc_rs::{hmac, rsa};
use num_bigint::BigUint;
use wechatpay_protocol::crypto::{Certificate, KeyError, pkcs8_from_pem, spki_from_pem};
use x509_cert::der::asn1::UintRef;
use x509_cert::der::{self, Decode as _, Reader as _, SliceReader};

/// An RSA public key that can be asked what a signature was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    n: BigUint,
    e: BigUint,
    bytes: usize,
}

impl Key {
    /// Reads a certificate, a public key or a private key in PEM; of a private key only the public half is kept.
    ///
    /// # Errors
    /// The text is none of these, or the key is not RSA of a size that is supported.
    pub fn from_pem(text: &str) -> Result<Self, String> {
        let explain = |error: KeyError| error.to_string();
        let numbers = if text.contains("PRIVATE KEY") {
            let pair = RsaKeyPair::from_pkcs8(&pkcs8_from_pem(text).map_err(explain)?).ok();
            pair.map(|pair| pair.public_key().as_ref().to_vec())
        } else {
            let spki = match text.contains("BEGIN CERTIFICATE") {
                true => Certificate::from_pem(text).map_err(explain)?.spki_der().to_vec(),
                false => spki_from_pem(text).map_err(explain)?,
            };
            rsa::PublicKey::from_der(&spki).ok().map(|key| key.as_ref().to_vec())
        };
        let key = numbers.and_then(|numbers| Self::from_numbers(&numbers));
        key.ok_or_else(|| "is no RSA key, or one of a size that is not supported".to_owned())
    }

    /// Reads modulus and exponent: RFC 8017, appendix A.1.1.
    fn from_numbers(der: &[u8]) -> Option<Self> {
        let numbers = |reader: &mut _| Ok::<_, der::Error>((UintRef::decode(reader)?, UintRef::decode(reader)?));
        let (n, e) = SliceReader::new(der).ok()?.sequence(|reader| numbers(reader)).ok()?;
        let number = |number: UintRef<'_>| BigUint::from_bytes_be(number.as_bytes());
        Some(Self { n: number(n), e: number(e), bytes: n.as_bytes().len() })
    }

    /// Length of its signatures.
    pub(super) fn signature_length(&self) -> usize {
        self.bytes
    }

    /// What the signature holds, if it was made with this key's private half.
    pub(super) fn open(&self, signature: &[u8]) -> Option<Trace> {
        let number = BigUint::from_bytes_be(signature);
        if signature.len() != self.bytes || number >= self.n {
            return None;
        }
        let opened = number.modpow(&self.e, &self.n).to_bytes_be();
        let mut block = vec![0; self.bytes.saturating_sub(opened.len())];
        block.extend(opened);
        pkcs1(&block).or_else(|| pss(&block))
    }
}

/// What was found in a signature, to hold against messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trace {
    /// PKCS#1 v1.5 with a digest of this kind; `None` where the kind is not known here.
    Digest { name: &'static str, kind: Option<Kind>, digest: Vec<u8> },
    /// PKCS#1 v1.5 around bytes that do not say what they are.
    Bare(Vec<u8>),
    /// PSS with SHA-256 or another digest.
    Pss { kind: Kind, salt: Vec<u8>, hash: Vec<u8> },
    /// No RSA: an HMAC with SHA-256 and this key.
    Hmac { key: Vec<u8>, tag: Vec<u8> },
}

/// A digest algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Sha256, Self::Sha1, Self::Sha384, Self::Sha512, Self::Sha224];

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha224 => &SHA224,
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
        }
    }

    pub(super) fn of(self, message: &[u8]) -> Vec<u8> {
        digest(self.algorithm(), message).as_ref().to_vec()
    }
}

impl Trace {
    /// Whether this is the trace of a message.
    pub(super) fn fits(&self, message: &[u8]) -> bool {
        match self {
            Self::Digest { kind: Some(kind), digest, .. } => kind.of(message) == *digest,
            Self::Digest { kind: None, .. } => false,
            Self::Bare(bytes) => {
                let digest = Kind::Sha256.of(message);
                *bytes == digest || *bytes == hex(&digest).as_bytes() || bytes == message
            }
            Self::Pss { kind, salt, hash } => {
                let salted = [&[0; 8], kind.of(message).as_slice(), salt].concat();
                kind.of(&salted) == *hash
            }
            Self::Hmac { key, tag } => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, key);
                hmac::verify(&key, message, tag).is_ok()
            }
        }
    }

    /// Whether the digest of the message was hashed once more before it was signed.
    pub(super) fn fits_twice(&self, message: &[u8]) -> bool {
        let Self::Digest { kind: Some(kind), .. } = self else { return false };
        let first = kind.of(message);
        self.fits(&first) || self.fits(hex(&first).as_bytes())
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `00 01 FF … FF 00`, and behind it what was signed.
fn pkcs1(block: &[u8]) -> Option<Trace> {
    let padded = block.strip_prefix(&[0, 1])?;
    let padding = padded.iter().take_while(|byte| **byte == 0xFF).count();
    let content = padded.get(padding..)?.strip_prefix(&[0])?;
    if padding < 8 {
        return None;
    }
    for (name, kind, prefix) in DIGEST_INFOS {
        if let Some(digest) = content.strip_prefix(*prefix) {
            return Some(Trace::Digest { name, kind: *kind, digest: digest.to_vec() });
        }
    }
    Some(Trace::Bare(content.to_vec()))
}

/// The DER that stands before a digest and names its kind: RFC 8017, section 9.2.
const DIGEST_INFOS: &[(&str, Option<Kind>, &[u8])] = &[
    ("SHA-256", Some(Kind::Sha256), b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"),
    ("SHA-384", Some(Kind::Sha384), b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30"),
    ("SHA-512", Some(Kind::Sha512), b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40"),
    ("SHA-224", Some(Kind::Sha224), b"\x30\x2d\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x04\x05\x00\x04\x1c"),
    ("SHA-1", Some(Kind::Sha1), b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14"),
    ("MD5", None, b"\x30\x20\x30\x0c\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x05\x05\x00\x04\x10"),
];

/// A masked salt, a hash and `BC`: RFC 8017, section 9.1. The zeroes that the mask uncovers show that it is one.
fn pss(block: &[u8]) -> Option<Trace> {
    let (last, rest) = block.split_last()?;
    if *last != 0xBC {
        return None;
    }
    Kind::ALL.into_iter().find_map(|kind| {
        let length = kind.algorithm().output_len();
        let (masked, hash) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
        let mask = mask(kind, hash, masked.len());
        let mut plain: Vec<u8> = masked.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
        *plain.first_mut()? &= 0x7F;
        let zeroes = plain.iter().take_while(|byte| **byte == 0).count();
        let salt = plain.get(zeroes..)?.strip_prefix(&[1])?.to_vec();
        (zeroes >= 8).then(|| Trace::Pss { kind, salt, hash: hash.to_vec() })
    })
}

/// MGF1.
fn mask(kind: Kind, seed: &[u8], length: usize) -> Vec<u8> {
    let mut mask = Vec::new();
    for counter in 0u32.. {
        if mask.len() >= length {
            break;
        }
        mask.extend(kind.of(&[seed, &counter.to_be_bytes()].concat()));
    }
    mask.truncate(length);
    mask
}
