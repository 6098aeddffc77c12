//! Which nonces were used, as long as a request with their timestamp could still be accepted; in bounded memory.

use crate::authorize::Window;
use aws_lc_rs::digest::{SHA256, digest};
use std::collections::{BTreeSet, HashSet};

/// Most nonces that are kept; beyond, those that expire first are forgotten.
const CAPACITY: usize = 65_536;

/// The nonces of all merchants.
#[derive(Default)]
pub(crate) struct Nonces {
    used: HashSet<u128>,
    /// When each expires, soonest first.
    expiry: BTreeSet<(i64, u128)>,
}

impl Nonces {
    /// Whether the nonce is a fresh one; from now on it is not.
    pub(crate) fn take(&mut self, mchid: &str, nonce: &str, timestamp: i64, window: Window) -> bool {
        while let Some(&(expires, key)) = self.expiry.first()
            && (expires < window.now || self.used.len() >= CAPACITY)
        {
            self.expiry.pop_first();
            self.used.remove(&key);
        }
        let key = digest(&SHA256, format!("{mchid}\n{nonce}").as_bytes());
        let key = key.as_ref().iter().take(16).fold(0, |key: u128, byte| key << 8 | u128::from(*byte));
        let fresh = self.used.insert(key);
        if fresh {
            self.expiry.insert((timestamp.saturating_add(window.seconds), key));
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_fresh_once_for_each_merchant_until_it_expires() {
        let mut nonces = Nonces::default();
        let at = |now| Window { now, seconds: 300 };
        assert!(nonces.take("1", "a", 1000, at(1000)));
        assert!(nonces.take("2", "a", 1000, at(1000)));
        assert!(!nonces.take("1", "a", 1300, at(1300)));
        assert!(nonces.take("1", "a", 1301, at(1301)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut nonces = Nonces::default();
        for number in 0..CAPACITY + 10 {
            assert!(nonces.take("1", &number.to_string(), 0, Window { now: 0, seconds: 300 }));
        }
        assert_eq!((nonces.used.len(), nonces.expiry.len()), (CAPACITY, CAPACITY));
    }
}
