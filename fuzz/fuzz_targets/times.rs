//! A timestamp: read as another library reads RFC 3339, kept as it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wechatpay_model::types::Timestamp;

fuzz_target!(|text: &str| {
    let timestamp = Timestamp::new(text);
    assert_eq!(timestamp.as_str(), text);
    let ours = timestamp.instant();
    // Taken by some, and not on this wire: another separator, lower case, a leap second, more than nanoseconds.
    let usual = text.len() <= 35 && text.bytes().all(|byte| byte.is_ascii_digit() || b"-:.+TZ".contains(&byte));
    if !usual || text.contains(":60") || text.as_bytes().get(10).is_some_and(|separator| *separator != b'T') {
        return;
    }
    let theirs = OffsetDateTime::parse(text, &Rfc3339).ok();
    let ours = ours.map(|instant| (instant.seconds, instant.nanos));
    assert_eq!(ours, theirs.map(|time| (time.unix_timestamp(), time.nanosecond())), "{text}");
});
