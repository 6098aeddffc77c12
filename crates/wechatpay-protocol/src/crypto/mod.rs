//! Cryptography behind small traits, and two providers that implement them.
//!
//! A provider is named by its path ([`aws_lc`], [`rsa`]), never chosen by a `cfg`: both may be compiled in, and a user
//! may bring a third (an HSM, a KMS, another scheme) by implementing [`Signer`] or [`AsyncSigner`] and
//! [`VerifyingKey`]; [`pkcs8_from_pem`], [`spki_from_pem`] and [`Certificate`] read the files for it.

mod certificate;
mod der;
mod pem;

#[cfg(feature = "aws-lc-rs")]
pub mod aws_lc;
#[cfg(feature = "rsa")]
pub mod rsa;

pub use certificate::Certificate;
pub use pem::{KeyError, KeyFault, KeyKind, pkcs8_from_pem, spki_from_pem};

use crate::error::BoxError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Authorization scheme of RSA-2048 with SHA-256, and the `Wechatpay-Signature-Type` of its answers.
pub const RSA_SHA256: &str = "WECHATPAY2-SHA256-RSA2048";

/// Signs the message of a request with the merchant's private key.
///
/// Synchronous: an RSA-2048 signature takes a third of a millisecond. A signer that waits for somebody (a KMS) is an
/// [`AsyncSigner`].
pub trait Signer: Send + Sync {
    /// The raw signature of the message, before base64.
    ///
    /// # Errors
    /// What kept the signer from signing; nothing is sent then.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError>;

    /// The scheme named in the `Authorization` header.
    fn scheme(&self) -> &str {
        RSA_SHA256
    }
}

/// A [`Signer`] that may wait. Every [`Signer`] is one.
pub trait AsyncSigner: Send + Sync {
    /// The raw signature of the message, before base64.
    ///
    /// # Errors
    /// What kept the signer from signing; nothing is sent then.
    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a>;

    /// The scheme named in the `Authorization` header.
    fn scheme(&self) -> &str {
        RSA_SHA256
    }
}

/// The future of [`AsyncSigner::sign`].
pub type Signing<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, BoxError>> + Send + 'a>>;

impl<S: Signer + ?Sized> AsyncSigner for S {
    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
        Box::pin(std::future::ready(Signer::sign(self, message)))
    }

    fn scheme(&self) -> &str {
        Signer::scheme(self)
    }
}

impl<S: Signer + ?Sized> Signer for Arc<S> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
        (**self).sign(message)
    }

    fn scheme(&self) -> &str {
        (**self).scheme()
    }
}

/// Opens what was sealed with the merchant's APIv3 key (AES-256-GCM): the resource of an event, a platform certificate.
pub trait Opener: Send + Sync {
    /// The text, of which `sealed` is the ciphertext with the 16 bytes of the tag at its end, after base64.
    ///
    /// # Errors
    /// The text does not open, and nothing of it may be used.
    fn open(&self, nonce: &[u8], associated_data: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError>;
}

/// Why a sealed text does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The nonce has this many bytes instead of 12.
    NonceLength(usize),
    /// The tag does not fit: another APIv3 key, another nonce or associated data, or a changed text.
    Refused,
}

impl std::error::Error for OpenError {}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NonceLength(bytes) => write!(f, "the nonce of the sealed text has {bytes} bytes instead of 12"),
            Self::Refused => f.write_str(
                "the sealed text does not open; check that the APIv3 key is the one set on the merchant platform",
            ),
        }
    }
}

/// One public key that can verify answers.
pub trait VerifyingKey: Send + Sync {
    /// Whether the signature is this key's over the message.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool;

    /// The `Wechatpay-Signature-Type` that goes with it.
    fn signature_type(&self) -> &str {
        RSA_SHA256
    }
}
