//! Whose signatures are believed.

use crate::certificates::Certificates;
use crate::crypto::VerifyingKey;
use std::fmt;
use std::sync::Arc;

/// Finds the key that a serial names.
///
/// [`Trust`] is the one for fixed keys, [`Certificates`] the one for platform certificates that change. A verifier may
/// hold public keys (`PUB_KEY_ID_…`) and platform certificates at the same time, as merchants do while they migrate.
pub trait Verifier: Send + Sync {
    /// The key of this serial; serials are exact strings, never numbers.
    fn key(&self, serial: &str) -> Option<Arc<dyn VerifyingKey>>;

    /// The serial that requests announce in `Wechatpay-Serial`: the key that answers should be signed with.
    fn preferred(&self) -> Option<String>;

    /// The platform certificates behind it, if it is one that can be refreshed.
    fn certificates(&self) -> Option<&Certificates> {
        None
    }
}

/// A fixed set of trusted keys; [`Certificates`] is the set that is kept up to date.
#[derive(Clone, Default)]
pub struct Trust {
    keys: Vec<(String, Arc<dyn VerifyingKey>)>,
}

impl Trust {
    /// Trusts nobody yet: every answer is an unknown serial until a key is added.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the public key of WeChat Pay (微信支付公钥) under its id, `PUB_KEY_ID_` and digits.
    ///
    /// Public keys are preferred over certificates in `Wechatpay-Serial`.
    #[must_use]
    pub fn with_public_key(mut self, id: impl Into<String>, key: impl VerifyingKey + 'static) -> Self {
        let at = self.keys.iter().take_while(|(serial, _)| is_public_key_id(serial)).count();
        self.keys.insert(at, (id.into(), Arc::new(key)));
        self
    }

    /// Adds the key of a platform certificate (平台证书) under its serial number in upper-case hex.
    #[must_use]
    pub fn with_certificate(mut self, serial: impl Into<String>, key: impl VerifyingKey + 'static) -> Self {
        self.keys.push((serial.into(), Arc::new(key)));
        self
    }
}

fn is_public_key_id(serial: &str) -> bool {
    serial.starts_with("PUB_KEY_ID_")
}

impl Verifier for Trust {
    fn key(&self, serial: &str) -> Option<Arc<dyn VerifyingKey>> {
        self.keys.iter().find(|(known, _)| known == serial).map(|(_, key)| Arc::clone(key))
    }

    fn preferred(&self) -> Option<String> {
        self.keys.first().map(|(serial, _)| serial.clone())
    }
}

impl<V: Verifier + ?Sized> Verifier for Arc<V> {
    fn key(&self, serial: &str) -> Option<Arc<dyn VerifyingKey>> {
        (**self).key(serial)
    }

    fn preferred(&self) -> Option<String> {
        (**self).preferred()
    }

    fn certificates(&self) -> Option<&Certificates> {
        (**self).certificates()
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(serial, _)| serial)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Knows its own name as a signature.
    struct Named(&'static str);

    impl VerifyingKey for Named {
        fn verify(&self, _: &[u8], signature: &[u8]) -> bool {
            signature == self.0.as_bytes()
        }
    }

    #[test]
    fn every_key_is_found_by_its_serial_and_public_keys_are_preferred_in_their_order() {
        let empty = Trust::new();
        assert!(empty.key("A").is_none() && empty.preferred().is_none() && empty.certificates().is_none());
        let certificate = empty.with_certificate("A", Named("a"));
        assert_eq!(certificate.preferred().as_deref(), Some("A"));
        let all = certificate
            .with_certificate("B", Named("b"))
            .with_public_key("PUB_KEY_ID_1", Named("1"))
            .with_public_key("PUB_KEY_ID_2", Named("2"));
        let serials: Vec<_> = all.keys.iter().map(|(serial, _)| serial.as_str()).collect();
        assert_eq!(serials, ["PUB_KEY_ID_1", "PUB_KEY_ID_2", "A", "B"]);
        // Shared, it is the same.
        let shared: Arc<dyn Verifier> = Arc::new(all);
        assert_eq!(Verifier::preferred(&shared).as_deref(), Some("PUB_KEY_ID_1"));
        for (serial, name) in [("A", "a"), ("B", "b"), ("PUB_KEY_ID_1", "1"), ("PUB_KEY_ID_2", "2")] {
            let key = Verifier::key(&shared, serial).unwrap();
            assert!(key.verify(b"", name.as_bytes()), "{serial}");
        }
        assert!(Verifier::key(&shared, "a").is_none() && Verifier::key(&shared, "PUB_KEY_ID_").is_none());
    }
}
