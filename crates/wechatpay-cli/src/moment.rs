//! Moments as people write them.

use time::format_description::well_known::Rfc3339;
use time::macros::offset;
use time::{OffsetDateTime, UtcOffset};

/// Where WeChat Pay's own times are.
const CHINA: UtcOffset = offset!(+8);

/// Reads an RFC 3339 moment as Unix time.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let moment = OffsetDateTime::parse(text, &Rfc3339);
    moment
        .map(OffsetDateTime::unix_timestamp)
        .map_err(|_| "is no moment in RFC 3339; write it like 2026-01-05T12:00:00+08:00".to_owned())
}

/// Writes Unix time as WeChat Pay does: in China's time.
pub(crate) fn text(unix: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(unix).ok();
    // What is too far away to have a date stays a number.
    moment.and_then(|moment| moment.to_offset(CHINA).format(&Rfc3339).ok()).unwrap_or_else(|| unix.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_any_zone_and_written_in_one() {
        for (written, unix, again) in [
            ("2026-01-05T12:00:00+08:00", 1_767_585_600, "2026-01-05T12:00:00+08:00"),
            ("2026-01-05T04:00:00Z", 1_767_585_600, "2026-01-05T12:00:00+08:00"),
            ("2026-01-05T04:00:00.999Z", 1_767_585_600, "2026-01-05T12:00:00+08:00"),
        ] {
            assert_eq!(parse(written), Ok(unix));
            assert_eq!(text(unix), again);
        }
        assert!(parse("2026-01-05").is_err() && parse("1767585600").is_err());
        assert_eq!(text(i64::MAX), i64::MAX.to_string());
    }
}
