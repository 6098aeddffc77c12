//! The provider over [`aws_lc_rs`]: the default, and the fast one.

use super::{Certificate, KeyError, KeyFault, KeyKind, OpenError, der, pkcs8_from_pem, spki_from_pem};
use crate::error::BoxError;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair};
use std::fmt;

/// Signs with an RSA private key: PKCS#1 v1.5 over SHA-256.
pub struct Signer {
    key: RsaKeyPair,
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
        match RsaKeyPair::from_pkcs8(pkcs8) {
            Ok(key) => Ok(Self { key }),
            Err(_) => Err(KeyError::new(KeyKind::PrivateKey, KeyFault::Rejected)),
        }
    }
}

impl super::Signer for Signer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
        Ok(signature)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("aws_lc::Signer").finish_non_exhaustive()
    }
}

/// Verifies with an RSA public key: PKCS#1 v1.5 over SHA-256.
pub struct VerifyingKey {
    key: ParsedPublicKey,
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
        der::check_spki(spki)?;
        match ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, spki) {
            Ok(key) => Ok(Self { key }),
            Err(_) => Err(KeyError::new(KeyKind::PublicKey, KeyFault::Rejected)),
        }
    }
}

impl super::VerifyingKey for VerifyingKey {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("aws_lc::VerifyingKey").finish_non_exhaustive()
    }
}

/// The merchant's APIv3 key: opens what WeChat Pay sealed with it (AES-256-GCM).
pub struct ApiV3Key {
    key: LessSafeKey,
}

impl ApiV3Key {
    /// Takes the 32 bytes of the key as they were set on the merchant platform.
    ///
    /// # Errors
    /// The key has another length.
    pub fn new(key: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let key = key.as_ref();
        match UnboundKey::new(&AES_256_GCM, key) {
            Ok(key) => Ok(Self { key: LessSafeKey::new(key) }),
            Err(_) => Err(KeyError::new(KeyKind::ApiV3Key, KeyFault::Length(key.len()))),
        }
    }

    /// Seals a text as WeChat Pay does, the 16 bytes of the tag at its end: for a server that plays its part in tests.
    ///
    /// A nonce must never be used twice with one key.
    ///
    /// # Errors
    /// The text is longer than AES-GCM allows (64 GiB).
    pub fn seal(&self, nonce: [u8; NONCE_LEN], associated_data: &[u8], plain: &[u8]) -> Result<Vec<u8>, BoxError> {
        let mut sealed = plain.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(associated_data), &mut sealed)?;
        Ok(sealed)
    }
}

impl super::Opener for ApiV3Key {
    fn open(&self, nonce: &[u8], associated_data: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::NonceLength(nonce.len()))?;
        let mut text = sealed.to_vec();
        let plain =
            self.key.open_in_place(nonce, Aad::from(associated_data), &mut text).map_err(|_| OpenError::Refused)?.len();
        text.truncate(plain);
        Ok(text)
    }
}

impl fmt::Debug for ApiV3Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("aws_lc::ApiV3Key").finish_non_exhaustive()
    }
}
