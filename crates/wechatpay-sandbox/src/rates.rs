//! How often operations are called, and the documented limits of that.

use std::collections::{HashMap, HashSet, VecDeque};
use wechatpay_model::Spec;
use wechatpay_model::operation::Per;

/// Most callers that are counted; beyond, those that have not called for a minute are forgotten.
const CAPACITY: usize = 4096;

/// At most so many calls within so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) calls: u32,
    pub(crate) seconds: u32,
    /// Whose calls are counted together.
    pub(crate) per: Per,
}

/// The documented limits of an operation.
pub(crate) fn documented(spec: &Spec) -> impl Iterator<Item = Limit> + use<> {
    spec.rate().iter().map(|rate| Limit { calls: rate.calls(), seconds: rate.seconds(), per: rate.per() })
}

/// Who calls.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) mchid: &'a str,
    pub(crate) address: &'a str,
}

/// What is counted together: operation, seconds of the window, kind of caller, caller.
type Key = (&'static str, u32, Per, String);

/// The calls that count: how many in which second.
#[derive(Debug, Default)]
pub(crate) struct Rates(HashMap<Key, VecDeque<(i64, u32)>>);

impl Rates {
    /// Counts a call, unless it is one too many: then it is not counted, and the limit is named.
    pub(crate) fn take(
        &mut self,
        operation: &'static str,
        limits: impl IntoIterator<Item = Limit>,
        caller: Caller<'_>,
        now: i64,
    ) -> Result<(), Limit> {
        let keyed = limits.into_iter().map(|limit| {
            let name = match limit.per {
                Per::Merchant => caller.mchid,
                Per::Ip => caller.address,
                _ => "",
            };
            ((operation, limit.seconds, limit.per, name.to_owned()), limit)
        });
        let keyed: Vec<(Key, Limit)> = keyed.collect();
        for (key, limit) in &keyed {
            let first = now.saturating_sub(i64::from(limit.seconds));
            let calls = self.0.get(key).into_iter().flatten();
            let counted: u64 = calls
                .filter(|(second, _)| (first + 1..=now).contains(second))
                .map(|(_, count)| u64::from(*count))
                .sum();
            if counted >= u64::from(limit.calls) {
                return Err(*limit);
            }
        }
        if self.0.len() >= CAPACITY {
            self.0.retain(|_, calls| calls.back().is_some_and(|(second, _)| now.saturating_sub(*second) < 60));
        }
        // Two limits with one window share its count.
        let keys: HashSet<Key> = keyed.into_iter().map(|(key, _)| key).collect();
        for key in keys {
            let seconds = i64::from(key.1);
            let calls = self.0.entry(key).or_default();
            // The clock can be set back: what was later is forgotten.
            calls.retain(|(second, _)| *second <= now && now.saturating_sub(*second) < seconds);
            match calls.back_mut() {
                Some((second, count)) if *second == now => *count += 1,
                _ => calls.push_back((now, 1)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: Caller<'_> = Caller { mchid: "1900000001", address: "127.0.0.1" };

    #[test]
    fn the_window_slides() {
        let mut rates = Rates::default();
        let limit = Limit { calls: 2, seconds: 10, per: Per::Merchant };
        let mut take = |now| rates.take("a.b", [limit], CALLER, now);
        assert_eq!([take(0), take(5), take(9)], [Ok(()), Ok(()), Err(limit)]);
        assert_eq!([take(10), take(14), take(15)], [Ok(()), Err(limit), Ok(())], "what was refused does not count");
        assert_eq!(take(3), Ok(()), "the clock was set back");
    }

    #[test]
    fn each_window_is_counted_by_itself_and_a_call_once() {
        let limit = |calls, seconds| Limit { calls, seconds, per: Per::Merchant };
        for (limits, pace, wanted) in [
            ([limit(60, 60), limit(1000, 1)], 2, (60, limit(60, 60))),
            ([limit(60, 60), limit(1000, 1)], 5, (60, limit(60, 60))),
            ([limit(60, 60), limit(1000, 1)], 60, (60, limit(60, 60))),
            ([limit(60, 60), limit(5, 1)], 6, (5, limit(5, 1))),
            ([limit(60, 60), limit(30, 60)], 2, (30, limit(30, 60))),
        ] {
            let mut rates = Rates::default();
            let mut take = |call: i64| rates.take("a.b", limits, CALLER, call / pace);
            let refused = (0..200).find_map(|call| take(call).err().map(|limit| (call, limit)));
            assert_eq!(refused, Some(wanted), "{limits:?}, {pace} calls a second");
        }
    }

    #[test]
    fn each_is_counted_with_its_like() {
        let mut rates = Rates::default();
        let limit = |per| Limit { calls: 1, seconds: 1, per };
        let other = Caller { mchid: "2", ..CALLER };
        assert!(rates.take("a.b", [limit(Per::Merchant)], CALLER, 0).is_ok());
        assert!(rates.take("a.c", [limit(Per::Merchant)], CALLER, 0).is_ok(), "another operation");
        assert!(rates.take("a.b", [limit(Per::Merchant)], other, 0).is_ok(), "another merchant");
        assert!(rates.take("a.b", [limit(Per::Merchant)], other, 0).is_err());
        assert!(rates.take("a.d", [limit(Per::Ip)], CALLER, 0).is_ok());
        assert!(rates.take("a.d", [limit(Per::Ip)], other, 0).is_err(), "from the same address");
        assert!(rates.take("a.e", [limit(Per::All)], CALLER, 0).is_ok());
        assert!(rates.take("a.e", [limit(Per::All)], Caller { mchid: "2", address: "::1" }, 0).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let mut rates = Rates::default();
        let limits = [Limit { calls: 1000, seconds: 60, per: Per::Ip }];
        for number in 0..CAPACITY + 10 {
            let address = number.to_string();
            let caller = Caller { mchid: "", address: &address };
            rates.take("a.b", limits, caller, i64::try_from(number).unwrap()).unwrap();
        }
        assert!(rates.0.len() <= CAPACITY);
        let seconds = (0..1000).map(|now| rates.take("a.c", limits, CALLER, now)).filter(Result::is_ok).count();
        assert_eq!(seconds, 1000);
        assert!(rates.0.values().all(|calls| calls.len() <= 60));
    }
}
