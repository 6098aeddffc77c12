//! How fast calls may begin: no faster than was asked for, slower where WeChat Pay says 429, faster again with time.

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wechatpay_protocol::Stamper;

/// What is left of the accepted rate after refusals.
const CUT: f64 = 0.95;
/// By which factor the rate grows in a second without a refusal; the second one grows by its square, and so on.
const GROWTH: f64 = 1.02;
/// Fewest calls in a second after refusals, unless fewer were asked for.
const LEAST: f64 = 0.5;
/// One call in a year: whoever asks for fewer wants none.
const SLOWEST: f64 = 1.0 / 31_536_000.0;
/// Time in which a call that came late may be made up for.
const SLACK: Duration = Duration::from_millis(50);
/// Shortest time after which the rate is judged, unless most calls are refused; a longer one where calls are few.
const EPOCH: Duration = Duration::from_secs(1);
const LONGEST_EPOCH: Duration = Duration::from_secs(10);
const FEW: u32 = 10;
/// Share of refusals up to which the rate is only trimmed, by an eighth of that share: they may have other causes.
const NOISE: f64 = 0.25;
const TRIM: f64 = 0.125;
/// Refusals that are enough to judge at once, where they are more than half.
const STORM: u32 = 4;

/// Decides when the next call may begin.
pub(crate) struct Pace {
    ticks: Ticks,
    state: Mutex<State>,
}

struct State {
    /// Most calls in a second, as asked for; no end to it where nothing was.
    most: Option<f64>,
    /// Calls in a second now; no end to it until the first refusal.
    rate: Option<f64>,
    limiter: Option<Limiter>,
    /// No call begins before.
    held: Duration,
    epoch: Epoch,
    /// Judgements since the last refusal.
    calm: u32,
}

/// Calls since the rate was last judged.
struct Epoch {
    began: Duration,
    accepted: u32,
    refused: u32,
}

impl Epoch {
    fn new(began: Duration) -> Self {
        Self { began, accepted: 0, refused: 0 }
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Duration>>;

/// The clock that was passed in.
#[derive(Clone)]
struct Ticks(Arc<dyn Stamper>);

impl Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

impl Pace {
    pub(crate) fn new(stamper: Arc<dyn Stamper>, most: Option<f64>) -> Self {
        let ticks = Ticks(stamper);
        let now = ticks.now();
        let most = most.map(|most| most.max(SLOWEST));
        let limiter = most.map(|rate| limiter(rate, &ticks));
        let state = State { most, rate: most, limiter, held: now, epoch: Epoch::new(now), calm: 0 };
        Self { ticks, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes leave to begin a call, or says how long to wait before asking again.
    pub(crate) fn take(&self) -> Result<(), Duration> {
        let now = self.ticks.now();
        let mut state = self.state();
        if now < state.held {
            return Err(state.held - now);
        }
        state.judge(now, &self.ticks);
        let Some(limiter) = &state.limiter else { return Ok(()) };
        // A timer may be late, and must not be early.
        limiter.check().map_err(|not_yet| not_yet.wait_time_from(now).max(Duration::from_micros(100)))
    }

    /// A call was not refused for coming too soon.
    pub(crate) fn accepted(&self) {
        self.state().epoch.accepted += 1;
    }

    /// A call that began at this time was refused for coming too soon.
    pub(crate) fn refused(&self, began: Duration) {
        let now = self.ticks.now();
        let mut state = self.state();
        // One that began before the rate was judged says nothing about the new rate.
        if began < state.epoch.began {
            return;
        }
        state.epoch.refused += 1;
        if state.epoch.refused >= STORM && state.epoch.refused > state.epoch.accepted {
            state.cut(now, &self.ticks);
        }
    }

    /// No call begins for so long. Says whether that is news: calls that are refused together ask for one pause.
    pub(crate) fn hold(&self, time: Duration) -> bool {
        let now = self.ticks.now();
        let until = now.saturating_add(time);
        let mut state = self.state();
        let longer = until.saturating_sub(state.held.max(now));
        state.held = state.held.max(until);
        longer > time / 2
    }

    /// Calls in a second, where there is a limit.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.state().rate
    }
}

impl State {
    fn judge(&mut self, now: Duration, ticks: &Ticks) {
        let elapsed = now.saturating_sub(self.epoch.began);
        let few = self.epoch.accepted + self.epoch.refused < FEW;
        if elapsed < EPOCH || few && elapsed < LONGEST_EPOCH {
            return;
        }
        let share = f64::from(self.epoch.refused) / f64::from((self.epoch.accepted + self.epoch.refused).max(1));
        if share > NOISE || share > 0.0 && self.rate.is_none() {
            return self.cut(now, ticks);
        }
        self.epoch = Epoch::new(now);
        if let (Some(rate), true) = (self.rate, share > 0.0) {
            self.calm = 0;
            return self.set(rate * (1.0 - share * TRIM), ticks);
        }
        self.calm = (self.calm + 1).min(10);
        if let Some(rate) = self.rate.filter(|rate| self.most.is_none_or(|most| *rate < most)) {
            let grown = rate * GROWTH.powf(elapsed.as_secs_f64().min(60.0) * f64::from(self.calm));
            self.set(self.most.map_or(grown, |most| grown.min(most)), ticks);
        }
    }

    /// Goes back to what was accepted, or to the half where nothing was.
    fn cut(&mut self, now: Duration, ticks: &Ticks) {
        let Epoch { began, accepted, refused } = self.epoch;
        let seconds = now.saturating_sub(began).max(EPOCH / 4).as_secs_f64();
        let rate = match self.rate {
            Some(rate) if accepted == 0 => rate / 2.0,
            None if accepted == 0 => f64::from(refused) / seconds / 2.0,
            rate => (f64::from(accepted) / seconds).min(rate.unwrap_or(f64::MAX)) * CUT,
        };
        (self.epoch, self.calm) = (Epoch::new(now), 0);
        self.set(rate, ticks);
    }

    fn set(&mut self, rate: f64, ticks: &Ticks) {
        let rate = rate.max(self.most.map_or(LEAST, |most| most.min(LEAST)));
        let limiter = limiter(rate, ticks);
        // What a fresh limiter would let through at once is not owed to anybody.
        let _ = limiter.check_n(burst(rate));
        (self.rate, self.limiter) = (Some(rate), Some(limiter));
    }
}

/// Calls that may be made up for at once.
fn burst(rate: f64) -> NonZeroU32 {
    // Rates are far below the limits of the type.
    let calls = (rate * SLACK.as_secs_f64()).ceil() as u32;
    NonZeroU32::new(calls).unwrap_or(NonZeroU32::MIN)
}

fn limiter(rate: f64, ticks: &Ticks) -> Limiter {
    let period = Duration::from_secs_f64(1.0 / rate.max(SLOWEST)).max(Duration::from_nanos(1));
    let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN));
    RateLimiter::direct_with_clock(quota.allow_burst(burst(rate)), ticks.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use wechatpay_protocol::BoxError;

    #[derive(Default)]
    struct Clock(AtomicU64);

    impl Clock {
        fn advance(&self, time: Duration) {
            self.0.fetch_add(u64::try_from(time.as_nanos()).unwrap(), Ordering::SeqCst);
        }
    }

    impl Stamper for Clock {
        fn now(&self) -> i64 {
            0
        }
        fn nonce(&self) -> Result<String, BoxError> {
            Ok(String::new())
        }
        fn monotonic(&self) -> Duration {
            Duration::from_nanos(self.0.load(Ordering::SeqCst))
        }
        fn jitter(&self) -> u16 {
            0
        }
    }

    /// Calls for so many seconds, as fast as the pace allows, with a timer that is a millisecond late; `accept` judges.
    fn run(pace: &Pace, clock: &Clock, seconds: u64, mut accept: impl FnMut(Duration) -> bool) -> (u32, u32) {
        let end = clock.monotonic() + Duration::from_secs(seconds);
        let (mut accepted, mut refused) = (0, 0);
        while clock.monotonic() < end {
            match pace.take() {
                Err(wait) => clock.advance(wait + Duration::from_millis(1)),
                Ok(()) => {
                    let began = clock.monotonic();
                    clock.advance(Duration::from_micros(300));
                    if accept(began) {
                        pace.accepted();
                        accepted += 1;
                    } else {
                        pace.refused(began);
                        refused += 1;
                    }
                }
            }
        }
        (accepted, refused)
    }

    #[test]
    fn the_rate_that_was_asked_for_is_held_within_two_percent() {
        for rate in [0.1, 0.4, 1.0, 20.0, 100.0, 750.0] {
            let clock = Arc::new(Clock::default());
            let pace = Pace::new(clock.clone(), Some(rate));
            let (calls, _) = run(&pace, &clock, 100, |_| true);
            let wanted = rate * 100.0;
            assert!((f64::from(calls) - wanted).abs() <= (wanted * 0.02).max(1.0), "{calls} at {rate}");
        }
    }

    #[test]
    fn refusals_bring_no_rate_above_the_one_that_was_asked_for() {
        for rate in [f64::MIN_POSITIVE, 0.01, 0.1, 3.0] {
            let clock = Arc::new(Clock::default());
            let pace = Pace::new(clock.clone(), Some(rate));
            let mut call = 0;
            let (accepted, refused) = run(&pace, &clock, 1_000, |_| {
                call += 1;
                call % 2 == 0
            });
            assert!(f64::from(accepted + refused) <= 1.0 + rate * 1_000.0, "{accepted} and {refused} at {rate}");
        }
    }

    #[test]
    fn the_sustainable_pace_is_found_whatever_was_asked_for() {
        for (limit, asked) in [(50.0, None), (50.0, Some(500.0)), (5.0, None), (300.0, None)] {
            let clock = Arc::new(Clock::default());
            let pace = Pace::new(clock.clone(), asked);
            // A server with a bucket of a second.
            let (mut tokens, mut last) = (limit, Duration::ZERO);
            let mut server = |now: Duration| {
                tokens = (tokens + (now - last).as_secs_f64() * limit).min(limit);
                last = now;
                let accepts = tokens >= 1.0;
                tokens -= f64::from(u8::from(accepts));
                accepts
            };
            run(&pace, &clock, 30, &mut server);
            let (accepted, refused) = run(&pace, &clock, 120, &mut server);
            let share = f64::from(accepted) / (limit * 120.0);
            assert!((0.8..=1.01).contains(&share), "{share} of {limit}, asked {asked:?}");
            assert!(f64::from(refused) < f64::from(accepted) * 0.1, "{refused} refused of {accepted} at {limit}");
        }
    }

    #[test]
    fn refusals_by_chance_do_not_bring_the_rate_down() {
        let clock = Arc::new(Clock::default());
        let pace = Pace::new(clock.clone(), Some(100.0));
        let mut call = 0;
        // Of each hundred calls ten are refused, evenly mixed.
        let (accepted, _) = run(&pace, &clock, 60, |_| {
            call += 37;
            call % 100 >= 10
        });
        assert!(accepted > 3_000, "{accepted}");
    }

    #[test]
    fn calls_that_began_before_a_cut_do_not_cut_again() {
        let clock = Arc::new(Clock::default());
        let pace = Pace::new(clock.clone(), Some(100.0));
        clock.advance(Duration::from_secs(1));
        let began = clock.monotonic();
        clock.advance(Duration::from_millis(10));
        (0..20).for_each(|_| pace.refused(began));
        let once = pace.rate().unwrap();
        assert!((50.0..=50.0).contains(&once), "{once}");
    }

    #[test]
    fn nothing_begins_while_it_is_held() {
        let clock = Arc::new(Clock::default());
        let pace = Pace::new(clock.clone(), None);
        assert!(pace.hold(Duration::from_secs(60)));
        assert!(!pace.hold(Duration::from_secs(10)));
        assert!(!pace.hold(Duration::from_secs(61)));
        assert!(!pace.hold(Duration::ZERO));
        assert_eq!(pace.take(), Err(Duration::from_secs(61)));
        clock.advance(Duration::from_secs(61));
        assert_eq!(pace.take(), Ok(()));
        assert!(pace.hold(Duration::from_secs(1)) && pace.hold(Duration::from_secs(600)));
    }
}
