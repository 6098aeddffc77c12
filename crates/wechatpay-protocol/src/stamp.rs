//! Time and randomness: the one place that asks the machine for them.

use crate::error::BoxError;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What makes one signature differ from the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Unix time in seconds.
    pub timestamp: i64,
    /// 32 characters of `[0-9A-Za-z]`.
    pub nonce: String,
}

/// Where a client takes time and nonces from; [`SystemStamper`] unless told otherwise.
pub trait Stamper: Send + Sync {
    /// Unix time in seconds.
    fn now(&self) -> i64;

    /// A fresh nonce: 32 unpredictable characters of `[0-9A-Za-z]`.
    ///
    /// # Errors
    /// The source of randomness failed; nothing is sent then.
    fn nonce(&self) -> Result<String, BoxError>;

    /// Time since some fixed moment, for durations; never goes back.
    fn monotonic(&self) -> Duration;

    /// Chance, 0 to 65535, that spreads repeats out. Need not be unpredictable.
    fn jitter(&self) -> u16;

    /// Time and nonce of one attempt.
    ///
    /// # Errors
    /// As [`nonce`](Self::nonce).
    fn stamp(&self) -> Result<Stamp, BoxError> {
        Ok(Stamp { timestamp: self.now(), nonce: self.nonce()? })
    }
}

/// The machine's clock and the operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemStamper;

impl Stamper for SystemStamper {
    fn now(&self) -> i64 {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => seconds(since),
            Err(before) => -seconds(before.duration()),
        }
    }

    fn monotonic(&self) -> Duration {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        ORIGIN.get_or_init(Instant::now).elapsed()
    }

    fn jitter(&self) -> u16 {
        let mut bytes = [0u8; 2];
        // Without randomness repeats are not spread out, and signing will say why it fails.
        getrandom::fill(&mut bytes).map_or(u16::MAX, |()| u16::from_ne_bytes(bytes))
    }

    fn nonce(&self) -> Result<String, BoxError> {
        let mut nonce = String::with_capacity(32);
        let mut bytes = [0u8; 48];
        while nonce.len() < 32 {
            getrandom::fill(&mut bytes)?;
            nonce.extend(bytes.iter().filter_map(|byte| letter(*byte)).take(32 - nonce.len()));
        }
        Ok(nonce)
    }
}

/// A letter or digit for a random byte; bytes that would favour some letters are thrown away.
fn letter(byte: u8) -> Option<char> {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    LETTERS.get(usize::from(byte >> 2)).map(|letter| char::from(*letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_are_32_letters_or_digits_and_differ() {
        let nonces: Vec<_> = (0..if cfg!(miri) { 10 } else { 1000 }).map(|_| SystemStamper.nonce().unwrap()).collect();
        for nonce in &nonces {
            assert!(nonce.len() == 32 && nonce.bytes().all(|b| b.is_ascii_alphanumeric()), "{nonce}");
        }
        let distinct: std::collections::HashSet<_> = nonces.iter().collect();
        assert_eq!(distinct.len(), nonces.len());
    }

    #[test]
    fn every_letter_is_equally_likely() {
        let mut seen = std::collections::BTreeMap::new();
        for letter in (0..=255u8).filter_map(letter) {
            *seen.entry(letter).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 62);
        assert!(seen.values().all(|count| *count == 4), "{seen:?}");
    }
}
