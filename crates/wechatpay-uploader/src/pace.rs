//! How fast calls may begin: no faster than was asked for, slower where WeChat Pay says 429, faster again with time.

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wechatpay_protocol::Stamper;

/// What is left of the rate after a refusal.
const CUT: f64 = 0.7;
/// By which factor the rate grows in a second without a refusal.
const GROWTH: f64 = 1.05;
/// Fewest calls in a second.
const LEAST: f64 = 0.5;
/// Time in which a call that came late may be made up for.
const SLACK: Duration = Duration::from_millis(50);
/// Time over which the rate of accepted calls is measured.
const WINDOW: Duration = Duration::from_secs(1);

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
    /// When the rate was last cut or has grown.
    changed: Duration,
    /// When it was last cut; calls that began before say nothing about the new rate.
    cut: Option<Duration>,
    /// No call begins before.
    held: Duration,
    window: Window,
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

/// Accepted calls, counted in whole windows.
struct Window {
    began: Duration,
    count: u32,
    before: Option<f64>,
}

impl Window {
    fn count(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.began);
        if elapsed >= WINDOW {
            *self = Self { began: now, count: 0, before: Some(f64::from(self.count) / elapsed.as_secs_f64()) };
        }
        self.count += 1;
    }

    /// Accepted calls in a second.
    fn rate(&self, now: Duration) -> f64 {
        let elapsed = now.saturating_sub(self.began);
        match self.before {
            Some(before) if elapsed < WINDOW / 4 => before,
            _ => f64::from(self.count) / elapsed.max(WINDOW / 4).as_secs_f64(),
        }
    }
}

impl Pace {
    pub(crate) fn new(stamper: Arc<dyn Stamper>, most: Option<f64>) -> Self {
        let ticks = Ticks(stamper);
        let now = ticks.now();
        let most = most.map(|most| most.max(LEAST));
        let limiter = most.map(|rate| limiter(rate, &ticks));
        let window = Window { began: now, count: 0, before: None };
        let state = State { most, rate: most, limiter, changed: now, cut: None, held: now, window };
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
        state.grow(now, &self.ticks);
        let Some(limiter) = &state.limiter else { return Ok(()) };
        // A timer may be late, and must not be early.
        limiter.check().map_err(|not_yet| not_yet.wait_time_from(now).max(Duration::from_micros(100)))
    }

    /// A call was not refused for coming too soon.
    pub(crate) fn accepted(&self) {
        let now = self.ticks.now();
        self.state().window.count(now);
    }

    /// A call that began at this time was refused for coming too soon.
    pub(crate) fn refused(&self, began: Duration) {
        let now = self.ticks.now();
        let mut state = self.state();
        if state.cut.is_some_and(|cut| began < cut) {
            return;
        }
        let measured = state.window.rate(now);
        let rate = state.rate.map_or(measured, |rate| rate.min(measured.max(rate * CUT)));
        state.cut = Some(now);
        state.set((rate * CUT).max(LEAST), now, &self.ticks);
    }

    /// No call begins for so long.
    pub(crate) fn hold(&self, time: Duration) {
        let until = self.ticks.now().saturating_add(time);
        let mut state = self.state();
        state.held = state.held.max(until);
    }

    /// Calls in a second, where there is a limit.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.state().rate
    }
}

impl State {
    fn grow(&mut self, now: Duration, ticks: &Ticks) {
        let elapsed = now.saturating_sub(self.changed);
        let (Some(rate), Some(_)) = (self.rate, self.cut) else { return };
        if elapsed < WINDOW || self.most.is_some_and(|most| rate >= most) {
            return;
        }
        let grown = rate * GROWTH.powf(elapsed.as_secs_f64().min(60.0));
        self.set(self.most.map_or(grown, |most| grown.min(most)), now, ticks);
    }

    fn set(&mut self, rate: f64, now: Duration, ticks: &Ticks) {
        let limiter = limiter(rate, ticks);
        // What a fresh limiter would let through at once is not owed to anybody.
        let _ = limiter.check_n(burst(rate));
        (self.rate, self.limiter, self.changed) = (Some(rate), Some(limiter), now);
    }
}

/// Calls that may be made up for at once.
fn burst(rate: f64) -> NonZeroU32 {
    // Rates are far below the limits of the type.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let calls = (rate * SLACK.as_secs_f64()).ceil() as u32;
    NonZeroU32::new(calls).unwrap_or(NonZeroU32::MIN)
}

fn limiter(rate: f64, ticks: &Ticks) -> Limiter {
    let period = Duration::from_secs_f64(1.0 / rate.max(LEAST)).max(Duration::from_nanos(1));
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
        for rate in [1.0, 20.0, 100.0, 750.0] {
            let clock = Arc::new(Clock::default());
            let pace = Pace::new(clock.clone(), Some(rate));
            let (calls, _) = run(&pace, &clock, 100, |_| true);
            let wanted = rate * 100.0;
            assert!((f64::from(calls) - wanted).abs() <= (wanted * 0.02).max(1.0), "{calls} at {rate}");
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
            assert!(f64::from(refused) < f64::from(accepted) * 0.03, "{refused} refused of {accepted} at {limit}");
        }
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
        assert!((40.0..80.0).contains(&once), "{once}");
    }

    #[test]
    fn nothing_begins_while_it_is_held() {
        let clock = Arc::new(Clock::default());
        let pace = Pace::new(clock.clone(), None);
        pace.hold(Duration::from_secs(60));
        pace.hold(Duration::from_secs(10));
        assert_eq!(pace.take(), Err(Duration::from_secs(60)));
        clock.advance(Duration::from_secs(60));
        assert_eq!(pace.take(), Ok(()));
    }
}
