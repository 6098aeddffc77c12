//! The provider over the [`rsa`] crate: pure Rust, for targets that aws-lc does not build on.
//!
//! Signing is blinded with the operating system's randomness. [`DecryptingKey`] decrypts nothing: how long the crate's
//! decryption takes depends on the secret (RUSTSEC-2023-0071).

use super::{Certificate, CipherError, KeyError, KeyFault, KeyKind, check_length, der, pkcs8_from_pem, spki_from_pem};
use crate::error::BoxError;
use ::rsa::pkcs8::DecodePrivateKey as _;
use ::rsa::rand_core::OsRng;
use ::rsa::sha2::{Digest as _, Sha256};
use ::rsa::traits::PublicKeyParts as _;
use ::rsa::{BigUint, Oaep, Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use sha1::Sha1;
use std::fmt;
use zeroize::Zeroizing;

/// Signs with an RSA private key: PKCS#1 v1.5 over SHA-256.
pub struct Signer {
    key: RsaPrivateKey,
}

impl Signer {
    /// Reads the text of the private key file, `apiclient_key.pem`.
    ///
    /// # Errors
    /// The text is not one PKCS#8 RSA private key in PEM.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        Self::from_pkcs8_der(&pkcs8_from_pem(text)?)
    }

    /// Reads the PKCS#8 DER of a private key.
    ///
    /// # Errors
    /// The bytes are not an RSA private key, or its size is not supported.
    pub fn from_pkcs8_der(pkcs8: &[u8]) -> Result<Self, KeyError> {
        der::check_pkcs8(pkcs8)?;
        match RsaPrivateKey::from_pkcs8_der(pkcs8) {
            Ok(key) => Ok(Self { key }),
            Err(_) => Err(KeyError::new(KeyKind::PrivateKey, KeyFault::Rejected)),
        }
    }
}

impl super::Signer for Signer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(self.key.sign_with_rng(&mut OsRng, Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message))?)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("rsa::Signer").finish_non_exhaustive()
    }
}

/// Verifies with an RSA public key: PKCS#1 v1.5 over SHA-256. Encrypts sensitive fields with it: OAEP over SHA-1.
pub struct VerifyingKey {
    key: RsaPublicKey,
}

impl VerifyingKey {
    /// Reads the text of a public key file, `pub_key.pem`.
    ///
    /// # Errors
    /// The text is not one RSA public key (SPKI) in PEM.
    pub fn from_public_key_pem(text: &str) -> Result<Self, KeyError> {
        Self::from_spki_der(&spki_from_pem(text)?)
    }

    /// Takes the public key of a certificate.
    ///
    /// # Errors
    /// The key is not an RSA key, or its size is not supported.
    pub fn from_certificate(certificate: &Certificate) -> Result<Self, KeyError> {
        Self::from_spki_der(certificate.spki_der())
    }

    /// Reads the SPKI DER of a public key.
    ///
    /// # Errors
    /// The bytes are not an RSA public key, or its size is not supported.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyError> {
        let numbers = der::check_spki(spki)?;
        let (modulus, exponent) = (BigUint::from_bytes_be(numbers.modulus), BigUint::from_bytes_be(numbers.exponent));
        // The crate's own reader stops at 4096 bits; the size has been checked above.
        match RsaPublicKey::new_with_max_size(modulus, exponent, der::MAX_BITS) {
            Ok(key) => Ok(Self { key }),
            Err(_) => Err(KeyError::new(KeyKind::PublicKey, KeyFault::Rejected)),
        }
    }
}

impl super::VerifyingKey for VerifyingKey {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message), signature).is_ok()
    }

    fn encryptor(&self) -> Option<&dyn super::Encryptor> {
        Some(self)
    }
}

impl super::Encryptor for VerifyingKey {
    fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, CipherError> {
        check_length(plain, self.key.size())?;
        self.key.encrypt(&mut OsRng, Oaep::new::<Sha1>(), plain).map_err(|_| CipherError::Failed)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("rsa::VerifyingKey").finish_non_exhaustive()
    }
}

/// Stands where a provider decrypts sensitive fields; this one answers [`CipherError::Unsupported`].
#[derive(Debug, Clone, Copy, Default)]
pub struct DecryptingKey;

impl super::Decryptor for DecryptingKey {
    fn decrypt(&self, _: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
        Err(CipherError::Unsupported("rsa"))
    }
}
