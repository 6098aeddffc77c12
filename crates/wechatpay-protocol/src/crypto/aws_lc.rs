//! The provider over [`aws_lc_rs`]: the default, and the fast one.

use super::{
    Certificate, CipherError, KeyError, KeyFault, KeyKind, OpenError, check_length, der, pkcs8_from_pem, spki_from_pem,
};
use crate::error::BoxError;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair};
use std::fmt;
use zeroize::Zeroizing;

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

/// Verifies with an RSA public key: PKCS#1 v1.5 over SHA-256. Encrypts sensitive fields with it: OAEP over SHA-1.
pub struct VerifyingKey {
    key: ParsedPublicKey,
    encrypting: OaepPublicEncryptingKey,
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
        let rejected = || KeyError::new(KeyKind::PublicKey, KeyFault::Rejected);
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, spki).map_err(|_| rejected())?;
        let encrypting = PublicEncryptingKey::from_der(spki).map_err(|_| rejected())?;
        let encrypting = OaepPublicEncryptingKey::new(encrypting).map_err(|_| rejected())?;
        Ok(Self { key, encrypting })
    }
}

impl super::VerifyingKey for VerifyingKey {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }

    fn encryptor(&self) -> Option<&dyn super::Encryptor> {
        Some(self)
    }
}

impl super::Encryptor for VerifyingKey {
    fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, CipherError> {
        check_length(plain, self.encrypting.key_size_bytes())?;
        let mut encrypted = vec![0; self.encrypting.ciphertext_size()];
        match self.encrypting.encrypt(&OAEP_SHA1_MGF1SHA1, plain, &mut encrypted, None) {
            Ok(_) => Ok(encrypted),
            Err(_) => Err(CipherError::Failed),
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("aws_lc::VerifyingKey").finish_non_exhaustive()
    }
}

/// Decrypts sensitive fields with the merchant's private key: OAEP over SHA-1.
pub struct DecryptingKey {
    key: OaepPrivateDecryptingKey,
}

impl DecryptingKey {
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
        let rejected = || KeyError::new(KeyKind::PrivateKey, KeyFault::Rejected);
        der::check_pkcs8(pkcs8)?;
        match PrivateDecryptingKey::from_pkcs8(pkcs8) {
            Ok(key) => OaepPrivateDecryptingKey::new(key).map(|key| Self { key }).map_err(|_| rejected()),
            Err(_) => Err(rejected()),
        }
    }
}

impl super::Decryptor for DecryptingKey {
    fn decrypt(&self, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
        let mut plain = Zeroizing::new(vec![0; self.key.min_output_size()]);
        let bytes = match self.key.decrypt(&OAEP_SHA1_MGF1SHA1, encrypted, &mut plain, None) {
            Ok(text) => text.len(),
            Err(_) => return Err(CipherError::Refused),
        };
        plain.truncate(bytes);
        Ok(plain)
    }
}

impl fmt::Debug for DecryptingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("aws_lc::DecryptingKey").finish_non_exhaustive()
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
