//! Time, and everything that looks random: the only place of the sandbox that reads the machine's clock.

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wechatpay_model::types::Timestamp;

/// Where the sandbox takes its time from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Clock {
    /// The machine's clock, to which what was advanced is added.
    #[default]
    System,
    /// A clock that begins at this Unix time in seconds and stands still until it is advanced or set.
    Virtual(i64),
}

/// The clock and the numbers that the sandbox hands out: stock ids, nonces, request ids.
///
/// The numbers follow from the seed alone, so that the same requests get the same answers.
#[derive(Debug)]
pub(crate) struct Ambient {
    clock: Clock,
    offset: i64,
    seed: u64,
    drawn: u64,
}

/// Where clock and numbers stand.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Moment {
    /// Unix time in seconds.
    now: i64,
    seed: u64,
    drawn: u64,
}

impl Ambient {
    pub(crate) fn new(clock: Clock, seed: u64) -> Self {
        Self { clock, offset: 0, seed, drawn: 0 }
    }

    /// Unix time in seconds.
    pub(crate) fn now(&self) -> i64 {
        let base = match self.clock {
            Clock::System => system_seconds(),
            Clock::Virtual(start) => start,
        };
        base.saturating_add(self.offset)
    }

    /// Now, as WeChat Pay writes it.
    pub(crate) fn now_text(&self) -> String {
        time_text(self.now())
    }

    /// Moves the clock by so many seconds. The result stays within the years 1970 to 9999.
    pub(crate) fn advance(&mut self, seconds: i64) -> Result<(), String> {
        self.set(self.now().saturating_add(seconds))
    }

    /// Sets the clock to a Unix time.
    pub(crate) fn set(&mut self, now: i64) -> Result<(), String> {
        if !(0..=253_402_271_999).contains(&now) {
            return Err("the clock stays within the years 1970 to 9999; give another time".to_owned());
        }
        self.offset = self.offset.saturating_add(now.saturating_sub(self.now()));
        Ok(())
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { now: self.now(), seed: self.seed, drawn: self.drawn }
    }

    /// Goes on from a moment; a clock that stands still goes on standing still.
    pub(crate) fn resume(&mut self, moment: Moment) -> Result<(), String> {
        self.set(moment.now)?;
        (self.seed, self.drawn) = (moment.seed, moment.drawn);
        Ok(())
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// `system` or `virtual`.
    pub(crate) fn clock_name(&self) -> &'static str {
        match self.clock {
            Clock::System => "system",
            Clock::Virtual(_) => "virtual",
        }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Starts the numbers over, as after a reset.
    pub(crate) fn rewind(&mut self) {
        self.drawn = 0;
    }

    /// The next number of the SplitMix64 sequence that the seed begins.
    pub(crate) fn draw(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        mix(self.seed, self.drawn)
    }

    /// Numbers of their own for something that happens at its own pace: they follow from the seed and this name, and
    /// drawing them changes no others.
    pub(crate) fn apart(&self, name: &str) -> Self {
        let digest = digest(&SHA256, format!("{} {name}", self.seed).as_bytes());
        let seed = digest.as_ref().iter().take(8).fold(0, |seed: u64, byte| seed << 8 | u64::from(*byte));
        Self { clock: self.clock, offset: self.offset, seed, drawn: 0 }
    }

    /// Whether something happens that happens so many times in a thousand. Draws nothing where it never does.
    pub(crate) fn chance(&mut self, in_a_thousand: u32) -> bool {
        in_a_thousand > 0 && self.draw() % 1000 < u64::from(in_a_thousand)
    }

    /// So many letters and digits.
    pub(crate) fn letters(&mut self, count: usize) -> String {
        const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut letter = || {
            let at = usize::try_from(self.draw() % 62).unwrap_or_default();
            LETTERS.get(at).map_or('0', |letter| char::from(*letter))
        };
        (0..count).map(|_| letter()).collect()
    }

    /// A decimal number of so many digits, the first of which is not zero.
    pub(crate) fn digits(&mut self, count: u32) -> String {
        let least = 10u64.saturating_pow(count.saturating_sub(1));
        (least + self.draw() % (least * 9)).to_string()
    }

    /// A decimal number of so many digits that is not taken yet.
    pub(crate) fn fresh_digits(&mut self, count: u32, taken: impl Fn(&str) -> bool) -> String {
        loop {
            let number = self.digits(count);
            if !taken(&number) {
                return number;
            }
        }
    }

    /// A random UUID, as notifications have for an id.
    pub(crate) fn uuid(&mut self) -> String {
        let (high, low) = (self.draw(), self.draw());
        let (head, middle, version) = (high >> 32, high >> 16 & 0xFFFF, high & 0xFFF);
        let (variant, node) = (low >> 48 & 0x3FFF | 0x8000, low & 0xFFFF_FFFF_FFFF);
        format!("{head:08x}-{middle:04x}-4{version:03x}-{variant:04x}-{node:012x}")
    }

    /// A request id in the form that WeChat Pay gives them.
    pub(crate) fn request_id(&mut self) -> String {
        format!("08{:016X}{:012X}-0", self.draw(), self.draw() & 0xFFFF_FFFF_FFFF)
    }
}

/// The nth number of the SplitMix64 sequence that a seed begins.
pub(crate) fn mix(seed: u64, nth: u64) -> u64 {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut z = seed.wrapping_add(nth.wrapping_mul(STEP));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Unix time of the machine's clock, in seconds.
pub(crate) fn system_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}

/// A Unix time as WeChat Pay writes it: RFC 3339 in China Standard Time.
pub(crate) fn time_text(seconds: i64) -> String {
    Timestamp::from_unix(seconds).map_or_else(|| seconds.to_string(), |time| time.to_string())
}

/// Unix seconds and nanoseconds of an RFC 3339 text.
pub(crate) fn instant(text: &str) -> Option<(i64, u32)> {
    // The parser takes any separator between date and time.
    let time =
        OffsetDateTime::parse(text, &Rfc3339).ok().filter(|_| matches!(text.as_bytes().get(10), Some(b'T' | b't')))?;
    Some((time.unix_timestamp(), time.nanosecond()))
}

/// The days of China Standard Time, counted from 1970-01-01.
pub(crate) mod day {
    const SECONDS: i64 = 86_400;
    const AHEAD: i64 = 8 * 3600;

    /// The day of an instant.
    pub(crate) fn of(seconds: i64) -> i64 {
        seconds.saturating_add(AHEAD).div_euclid(SECONDS)
    }

    /// The second of its day at which an instant falls.
    pub(crate) fn second(seconds: i64) -> i64 {
        seconds.saturating_add(AHEAD).rem_euclid(SECONDS)
    }

    /// Its day of the week; Sunday is 0.
    pub(crate) fn of_week(seconds: i64) -> i64 {
        (of(seconds) + 4).rem_euclid(7)
    }

    /// The instant at which a day begins.
    pub(crate) fn begin(day: i64) -> i64 {
        day.saturating_mul(SECONDS).saturating_sub(AHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let numbers = |seed| {
            let mut ambient = Ambient::new(Clock::Virtual(0), seed);
            (ambient.letters(32), ambient.digits(8), ambient.request_id())
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        let (letters, digits, id) = numbers(1);
        assert!(letters.len() == 32 && letters.bytes().all(|b| b.is_ascii_alphanumeric()), "{letters}");
        assert!(digits.len() == 8 && !digits.starts_with('0'), "{digits}");
        assert_eq!(id.len(), 32, "{id}");
    }

    #[test]
    fn numbers_apart_follow_from_the_seed_and_change_no_others() {
        let mut ambient = Ambient::new(Clock::Virtual(0), 7);
        let apart = |ambient: &Ambient, name: &str| ambient.apart(name).letters(12);
        let letters = apart(&ambient, "a");
        let drawn = ambient.draw();
        assert_eq!(apart(&ambient, "a"), letters);
        assert_ne!(apart(&ambient, "b"), letters);
        assert_ne!(apart(&Ambient::new(Clock::Virtual(0), 8), "a"), letters);
        assert_eq!(Ambient::new(Clock::Virtual(0), 7).draw(), drawn);
        let happened = (0..1000).filter(|_| ambient.chance(100)).count();
        assert!((50..150).contains(&happened), "{happened}");
        assert!(ambient.chance(1000) && !ambient.chance(0));
    }

    #[test]
    fn the_clock_moves_only_when_told() {
        let mut ambient = Ambient::new(Clock::Virtual(1_767_225_600), 0);
        assert_eq!(ambient.now_text(), "2026-01-01T08:00:00+08:00");
        ambient.advance(3600).unwrap();
        assert_eq!(ambient.now(), 1_767_229_200);
        ambient.set(0).unwrap();
        assert_eq!(ambient.now(), 0);
        assert!(ambient.advance(-1).is_err() && ambient.advance(i64::MAX).is_err());
        assert_eq!(ambient.now(), 0);
    }

    #[test]
    fn days_are_those_of_china() {
        // 2026-01-05, a Monday, ten in the morning there.
        let now = 1_767_578_400;
        assert_eq!((day::of(now), day::second(now), day::of_week(now)), (20_458, 36_000, 1));
        assert_eq!(time_text(day::begin(day::of(now))), "2026-01-05T00:00:00+08:00");
        assert_eq!(day::of(day::begin(20_458) - 1), 20_457);
    }

    #[test]
    fn instants_are_read_with_their_offset() {
        assert_eq!(instant("2015-05-20T13:29:35.120+08:00"), Some((1_432_099_775, 120_000_000)));
        assert_eq!(instant("2015-05-20T05:29:35Z"), Some((1_432_099_775, 0)));
        assert_eq!(instant("2015-05-20 13:29"), None);
        assert_eq!(instant("2015-05-20 13:29:35Z"), None);
    }
}
