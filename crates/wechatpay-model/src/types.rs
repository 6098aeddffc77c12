//! Newtypes for the values whose mix-up costs money, written by hand.
//!
//! None of them checks its content: limits belong to the operation that uses the value, and are checked before
//! anything is signed.

use serde::{Deserialize, Deserializer, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

macro_rules! text_newtype {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text as it travels.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text as it travels, given away.
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

macro_rules! open_text {
    ($($(#[$meta:meta])* $name:ident;)+) => {$(
        text_newtype!($(#[$meta])* $name);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.0).finish()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

macro_rules! secret_text {
    ($($(#[$meta:meta])* $name:ident;)+) => {$(
        text_newtype!(
            $(#[$meta])*
            ///
            /// Its `Debug` is redacted and it has no `Display`: it must not reach a log by accident.
            $name
        );

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )+};
}

open_text! {
    /// Identifier of a coupon stock (批次号), given by WeChat Pay.
    StockId;
    /// Identifier of a user's cash coupon (代金券 id), given by WeChat Pay.
    CouponId;
    /// Identifier of an official account or mini program (公众账号 ID).
    AppId;
    /// Merchant id (商户号).
    MchId;
    /// Request number chosen by the merchant (商户单据号): a repeat with the same number and parameters has one effect.
    OutRequestNo;
}

secret_text! {
    /// Code of a merchant coupon (券 code): whoever has it can use the coupon.
    CouponCode;
    /// Identifier of a user under one app (openid): personal data.
    OpenId;
    /// Another text about a person: a telephone number, the code of a member card.
    Personal;
}

/// An amount of money in fen (分), a hundredth of a yuan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fen(i64);

impl Fen {
    /// So many fen.
    pub const fn new(fen: i64) -> Self {
        Self(fen)
    }

    /// So many whole yuan; `None` if it does not fit.
    pub const fn from_yuan(yuan: i64) -> Option<Self> {
        match yuan.checked_mul(100) {
            Some(fen) => Some(Self(fen)),
            None => None,
        }
    }

    /// The number of fen.
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// Prints yuan with two decimals: `12.34`.
impl fmt::Display for Fen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let fen = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", fen / 100, fen % 100)
    }
}

/// An instant, kept as the text that travels.
///
/// WeChat Pay writes RFC 3339 with an offset, `2015-05-20T13:29:35+08:00`, with or without a fraction of a second. The
/// text survives unchanged, so that what was read can be sent back; comparison is by instant. A text that is not
/// RFC 3339 is kept too (answers are read leniently): it has no [`instant`](Self::instant) and sorts after those that do.
#[derive(Clone)]
pub struct Timestamp {
    text: Box<str>,
    instant: Option<Instant>,
}

/// A point in time: whole seconds since the Unix epoch and nanoseconds within the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instant {
    /// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    pub seconds: i64,
    /// Nanoseconds within the second, 0 to 999,999,999.
    pub nanos: u32,
}

impl Timestamp {
    /// Takes the text as it is.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        let text = text.into();
        let instant = parse_rfc3339(&text);
        Self { text, instant }
    }

    /// The instant in China Standard Time (`+08:00`), whole seconds, as WeChat Pay writes it.
    ///
    /// `None` outside the years 0 to 9999.
    pub fn from_unix(seconds: i64) -> Option<Self> {
        const OFFSET: i64 = 8 * 3600;
        let local = seconds.checked_add(OFFSET)?;
        let (days, second) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days)?;
        if !(0..=9999).contains(&year) {
            return None;
        }
        let text = format!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}+08:00",
            second / 3600,
            second / 60 % 60,
            second % 60
        );
        Some(Self { text: text.into(), instant: Some(Instant { seconds, nanos: 0 }) })
    }

    /// The text as it travels.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The instant that the text names, if it is RFC 3339.
    pub fn instant(&self) -> Option<Instant> {
        self.instant
    }

    /// What decides equality and order.
    fn key(&self) -> Result<Instant, &str> {
        self.instant.ok_or(&self.text)
    }
}

impl From<&str> for Timestamp {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Timestamp {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timestamp").field(&self.text).finish()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Timestamp {}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Hash for Timestamp {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::read::text(deserializer, |text| Self::new(text))
    }
}

/// Reads `YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM)`; anything else is `None`.
fn parse_rfc3339(text: &str) -> Option<Instant> {
    let bytes = text.as_bytes();
    let digits = |from: usize, to: usize| -> Option<i64> {
        bytes.get(from..to)?.iter().try_fold(0i64, |n, b| match b {
            b'0'..=b'9' => Some(n * 10 + i64::from(b - b'0')),
            _ => None,
        })
    };
    let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|b| wanted.contains(b));

    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if day < 1 || day > days_in_month(year, month) {
        return None;
    }

    let mut at = 19;
    let mut nanos = 0u32;
    if is(at, b".") {
        let fraction = bytes.get(at + 1..)?.iter().take_while(|b| b.is_ascii_digit()).count();
        if fraction == 0 {
            return None;
        }
        for i in 0..9 {
            let digit = if i < fraction { bytes.get(at + 1 + i).map_or(0, |b| u32::from(b - b'0')) } else { 0 };
            nanos = nanos * 10 + digit;
        }
        at += 1 + fraction;
    }

    let offset = if is(at, b"Zz") && bytes.len() == at + 1 {
        0
    } else if is(at, b"+-") && is(at + 3, b":") && bytes.len() == at + 6 {
        let (hours, minutes) = (digits(at + 1, at + 3)?, digits(at + 4, at + 6)?);
        if hours > 23 || minutes > 59 {
            return None;
        }
        let seconds = hours * 3600 + minutes * 60;
        if is(at, b"-") { -seconds } else { seconds }
    } else {
        return None;
    };

    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    // A leap second is the last one of a day in UTC.
    if second == 60 && seconds.rem_euclid(86_400) != 0 {
        return None;
    }
    Some(Instant { seconds, nanos })
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the given day of the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // The year begins in March, so that the leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> Option<(i64, i64, i64)> {
    let days = days.checked_add(719_468)?;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    Some((year, month, day_of_year - (153 * shifted + 2) / 5 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_name_the_right_instant() {
        // Each line: text, seconds, nanos; the seconds come from `date -u -d TEXT +%s`.
        for (text, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("1970-01-01T08:00:00+08:00", 0, 0),
            ("2015-05-20T13:29:35+08:00", 1_432_099_775, 0),
            ("2015-05-20T13:29:35.120+08:00", 1_432_099_775, 120_000_000),
            ("2015-05-20T05:29:35.1234567891Z", 1_432_099_775, 123_456_789),
            ("2000-02-29T23:59:59-00:30", 951_870_599, 0),
            ("1969-12-31T23:59:59Z", -1, 0),
        ] {
            let instant = Timestamp::new(text).instant();
            assert_eq!(instant, Some(Instant { seconds, nanos }), "{text}");
        }
    }

    #[test]
    fn what_is_not_rfc_3339_is_kept_but_has_no_instant() {
        for text in [
            "",
            "2015-05-20",
            "2015-05-20T13:29:35",
            "2015-05-20T13:29:35:120+08:00",
            "2020-05-20T13:29:35.08:00",
            "2015-05-20T13:29:35.+08:00",
            "2015-05-20T13:29:35+08:00 ",
            "2015-13-20T13:29:35+08:00",
            "2015-02-29T13:29:35+08:00",
            "2015-05-20T24:00:00+08:00",
            "2015-05-20T13:29:35+0800",
            "2015-05-20T13:29:35é+08:00",
            "2016-12-31T23:58:60Z",
            "2016-12-31T23:59:60+08:00",
        ] {
            let timestamp = Timestamp::new(text);
            assert_eq!(timestamp.instant(), None, "{text}");
            assert_eq!(timestamp.as_str(), text);
        }
    }

    #[test]
    fn a_leap_second_is_the_last_of_a_day() {
        for text in ["2016-12-31T23:59:60Z", "2017-01-01T07:59:60+08:00", "2016-12-31T19:29:60.5-04:30"] {
            let seconds = Timestamp::new(text).instant().map(|instant| instant.seconds);
            assert_eq!(seconds, Some(1_483_228_800), "{text}");
        }
    }

    #[test]
    fn timestamps_compare_by_instant() {
        let (east, utc) = (Timestamp::new("2015-05-20T13:29:35+08:00"), Timestamp::new("2015-05-20T05:29:35.000Z"));
        assert_eq!(east, utc);
        assert!(east < Timestamp::new("2015-05-20T13:29:35.001+08:00"));
        assert!(east < Timestamp::new("no time at all"));
    }

    #[test]
    fn seconds_become_text_and_come_back() {
        // Under miri, which is a thousand times slower, one day of four thousand.
        for day in (-200_000i64..200_000).step_by(if cfg!(miri) { 3_989 } else { 1 }) {
            let seconds = day * 86_400 + day.rem_euclid(86_400);
            let Some(timestamp) = Timestamp::from_unix(seconds) else { continue };
            assert_eq!(Timestamp::new(timestamp.as_str()).instant(), timestamp.instant(), "{timestamp}");
        }
        assert_eq!(
            Timestamp::from_unix(1_432_099_775).map(|t| t.to_string()),
            Some("2015-05-20T13:29:35+08:00".into())
        );
        assert_eq!(Timestamp::from_unix(i64::MAX), None);
    }

    #[test]
    fn secrets_do_not_reach_debug() {
        assert_eq!(format!("{:?} {:?}", CouponCode::new("ABC"), OpenId::new("o123")), "CouponCode(…) OpenId(…)");
        assert_eq!(format!("{:?}", StockId::new("98065001")), "StockId(\"98065001\")");
    }

    #[test]
    fn fen_print_as_yuan() {
        assert_eq!(Fen::new(-5).to_string(), "-0.05");
        assert_eq!(Fen::new(123_456).to_string(), "1234.56");
        assert_eq!(Fen::from_yuan(i64::MAX), None);
    }
}
