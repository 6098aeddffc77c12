//! Cryptography behind small traits, and two providers that implement them.
//!
//! A provider is named by its path (`aws_lc`, `rsa`), never chosen by a `cfg`: both may be compiled in, and a user
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
use zeroize::Zeroizing;

/// Authorization scheme of RSA-2048 with SHA-256, and the `Wechatpay-Signature-Type` of its answers.
pub const RSA_SHA256: &str = "WECHATPAY2-SHA256-RSA2048";

/// What [`RSA_SHA256`] is called in the calls of a brand, and in what WeChat Pay signs for one.
pub const BRAND_RSA_SHA256: &str = "WECHATPAY-BRAND-SHA256-RSA2048";

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
///
/// ```
/// use wechatpay_protocol::crypto::{AsyncSigner, Signing};
///
/// struct Kms;
///
/// impl AsyncSigner for Kms {
///     fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
///         Box::pin(async move {
///             // Ask the key management service here.
///             Err(format!("no service to sign {} bytes", message.len()).into())
///         })
///     }
/// }
/// ```
///
/// A [`BlockingClient`](crate::BlockingClient) does not take one: it would have to wait for it.
///
/// ```compile_fail,E0277
/// # use wechatpay_protocol::crypto::{AsyncSigner, Signing};
/// # struct Kms;
/// # impl AsyncSigner for Kms {
/// #     fn sign<'a>(&'a self, _: &'a [u8]) -> Signing<'a> { unreachable!() }
/// # }
/// use wechatpay_protocol::{BlockingClient, Merchant, Trust};
///
/// let transport = |_: http::Request<bytes::Bytes>, _| Ok(http::Response::new(std::io::empty()));
/// BlockingClient::new(transport, Merchant::new("1900000001", "5157F09E", Kms), Trust::new());
/// ```
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

impl<O: Opener + ?Sized> Opener for Arc<O> {
    fn open(&self, nonce: &[u8], associated_data: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        (**self).open(nonce, associated_data, sealed)
    }
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

    /// The same key as one that encrypts sensitive fields, if it can.
    fn encryptor(&self) -> Option<&dyn Encryptor> {
        None
    }
}

/// Encrypts a sensitive field of a request for WeChat Pay, with the key that the request names in `Wechatpay-Serial`:
/// RSA-OAEP with SHA-1 and MGF1 over SHA-1.
pub trait Encryptor: Send + Sync {
    /// The encrypted text, before base64.
    ///
    /// # Errors
    /// The text is longer than the key can encrypt, or the provider failed.
    fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, CipherError>;
}

/// Decrypts a sensitive field of an answer with the merchant's private key: RSA-OAEP with SHA-1 and MGF1 over SHA-1.
pub trait Decryptor: Send + Sync {
    /// The text, of which `encrypted` is the encrypted form after base64.
    ///
    /// # Errors
    /// The text was not encrypted for this key, or the provider does not decrypt.
    fn decrypt(&self, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError>;
}

impl<D: Decryptor + ?Sized> Decryptor for Arc<D> {
    fn decrypt(&self, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
        (**self).decrypt(encrypted)
    }
}

/// Why a sensitive field is not encrypted or decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CipherError {
    /// The text is longer than the key can encrypt.
    TooLong {
        /// Bytes of the text.
        bytes: usize,
        /// Most bytes that the key can encrypt.
        most: usize,
    },
    /// The text was not encrypted for this key, or was changed. There is one error for all causes, so that it tells an
    /// attacker nothing.
    Refused,
    /// There is no private key to decrypt it with.
    NoKey,
    /// The provider of this name does not do it.
    Unsupported(&'static str),
    /// The provider failed, for want of memory or randomness.
    Failed,
}

impl std::error::Error for CipherError {}

impl fmt::Display for CipherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes, most } => {
                write!(f, "the sensitive field has {bytes} bytes; the key can encrypt {most}")
            }
            Self::Refused => f.write_str(
                "the sensitive field does not decrypt; check that the private key belongs to the merchant certificate \
                 that WeChat Pay knows",
            ),
            Self::NoKey => f.write_str(
                "the sensitive field is encrypted for the merchant's private key; give one to `with_decryptor`",
            ),
            Self::Unsupported(provider) => {
                write!(f, "the provider {provider} does not decrypt; use aws_lc::DecryptingKey")
            }
            Self::Failed => f.write_str("the crypto provider failed to encrypt the sensitive field"),
        }
    }
}

/// Bytes that OAEP with SHA-1 adds to a text.
#[cfg(any(feature = "aws-lc-rs", feature = "rsa"))]
const OAEP_OVERHEAD: usize = 2 * 20 + 2;

/// Whether a key with a modulus of so many bytes can encrypt the text.
#[cfg(any(feature = "aws-lc-rs", feature = "rsa"))]
fn check_length(plain: &[u8], modulus: usize) -> Result<(), CipherError> {
    let (bytes, most) = (plain.len(), modulus.saturating_sub(OAEP_OVERHEAD));
    if bytes > most { Err(CipherError::TooLong { bytes, most }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    /// Does what is asked in a way that can be seen, and says nothing of its scheme.
    struct Plain;

    impl Signer for Plain {
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
            Ok([b"signed ", message].concat())
        }
    }

    impl VerifyingKey for Plain {
        fn verify(&self, _: &[u8], _: &[u8]) -> bool {
            false
        }
    }

    impl Opener for Plain {
        fn open(&self, nonce: &[u8], associated_data: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
            Ok([nonce, associated_data, sealed].join(&b' '))
        }
    }

    impl Decryptor for Plain {
        fn decrypt(&self, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
            Ok([b"decrypted ", encrypted].concat().into())
        }
    }

    /// A signer that may wait, and says nothing of its scheme either.
    struct Remote;

    impl AsyncSigner for Remote {
        fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
            Box::pin(async move { Signer::sign(&Plain, message) })
        }
    }

    /// Has a scheme of its own.
    struct Named;

    impl Signer for Named {
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
            Ok(message.to_vec())
        }

        fn scheme(&self) -> &str {
            "NAMED"
        }
    }

    #[test]
    fn a_scheme_that_is_not_named_is_rsa() {
        assert_eq!(RSA_SHA256, "WECHATPAY2-SHA256-RSA2048");
        assert_eq!(Signer::scheme(&Plain), RSA_SHA256);
        assert_eq!(AsyncSigner::scheme(&Plain), RSA_SHA256);
        assert_eq!(AsyncSigner::scheme(&Remote), RSA_SHA256);
        assert_eq!(VerifyingKey::signature_type(&Plain), RSA_SHA256);
        assert!(VerifyingKey::encryptor(&Plain).is_none());
        assert_eq!((AsyncSigner::scheme(&Named), Signer::scheme(&Arc::new(Named))), ("NAMED", "NAMED"));
    }

    #[test]
    fn what_is_shared_does_what_its_owner_does() {
        let shared: Arc<dyn Signer> = Arc::new(Plain);
        assert_eq!(Signer::sign(&shared, b"m").unwrap(), b"signed m");
        let mut signing = AsyncSigner::sign(&shared, b"m");
        match signing.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(signature) => assert_eq!(signature.unwrap(), b"signed m"),
            Poll::Pending => panic!("nothing here waits"),
        }
        assert_eq!(Opener::open(&Arc::new(Plain), b"n", b"a", b"s").unwrap(), b"n a s");
        assert_eq!(**Decryptor::decrypt(&Arc::new(Plain), b"e").unwrap(), *b"decrypted e");
    }

    #[cfg(any(feature = "aws-lc-rs", feature = "rsa"))]
    #[test]
    fn a_key_encrypts_42_bytes_less_than_it_has() {
        assert_eq!(check_length(&[0; 214], 256), Ok(()));
        assert_eq!(check_length(&[0; 215], 256), Err(CipherError::TooLong { bytes: 215, most: 214 }));
        assert_eq!(check_length(&[0; 470], 512), Ok(()));
        assert_eq!(check_length(b"", 40), Ok(()));
    }
}
