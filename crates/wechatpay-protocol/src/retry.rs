//! When a call is tried again: a pure decision, a budget that keeps storms small, and a timer that the user brings.

use crate::error::{Error, Executed, Retry};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use wechatpay_model::operation::Idempotency;

/// Waits without a thread of its own; one line for each async runtime.
pub trait Timer: Send + Sync {
    /// A future that is ready after so long.
    fn sleep(&self, duration: Duration) -> Sleep;
}

/// The future of [`Timer::sleep`].
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<F: Fn(Duration) -> Sleep + Send + Sync> Timer for F {
    fn sleep(&self, duration: Duration) -> Sleep {
        self(duration)
    }
}

/// Waits by holding the thread.
pub trait BlockingTimer: Send + Sync {
    /// Returns after so long.
    fn sleep(&self, duration: Duration);
}

impl<F: Fn(Duration) + Send + Sync> BlockingTimer for F {
    fn sleep(&self, duration: Duration) {
        self(duration);
    }
}

/// How often and how soon a call is tried again. Nothing is, unless a client is given one.
///
/// Whether a repeat is safe is not a matter of policy: after an attempt that may have been executed, only an operation
/// that is idempotent is tried again, with the same bytes and so with the same request number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Most attempts, the first one included. Default 4.
    pub attempts: u32,
    /// Pause after the first attempt; it doubles with each further one. Half of it is left to chance. Default 200 ms.
    pub pause: Duration,
    /// Longest pause, unless the server asks for more by `Retry-After`. Default ten seconds.
    pub longest_pause: Duration,
    /// Time for one attempt, from signing to the end of the body. Default ten seconds.
    pub attempt_timeout: Duration,
    /// Time for the whole call, pauses included. No attempt begins after it, and the last one is cut off by it. Default
    /// one minute.
    pub deadline: Duration,
}

impl Default for RetryPolicy {
    /// Four attempts within a minute: 200 ms, 400 ms and 800 ms apart, ten seconds each.
    fn default() -> Self {
        Self {
            attempts: 4,
            pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(60),
        }
    }
}

/// What [`RetryPolicy::next`] needs to know of the attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// Since the call began.
    pub elapsed: Duration,
    /// Chance, 0 to 65535.
    pub jitter: u16,
    /// Whether the operation may be repeated.
    pub idempotency: Idempotency,
}

impl RetryPolicy {
    /// The pause before the next attempt; `None` gives the error to the caller.
    pub fn next(&self, attempt: &Attempt, error: &Error) -> Option<Duration> {
        if attempt.number >= self.attempts || !may_repeat(attempt.idempotency, error) {
            return None;
        }
        let doubled = self.pause.saturating_mul(1u32.checked_shl(attempt.number.saturating_sub(1)).unwrap_or(u32::MAX));
        let pause = doubled.min(self.longest_pause);
        let chance = f64::from(attempt.jitter) / f64::from(u16::MAX);
        let pause = pause.mul_f64(0.5 + 0.5 * chance).max(asked_for(error));
        (attempt.elapsed.saturating_add(pause) < self.deadline).then_some(pause)
    }
}

/// Whether a repeat is both hopeful and harmless.
fn may_repeat(idempotency: Idempotency, error: &Error) -> bool {
    let harmless = match error.executed() {
        Executed::No => true,
        // 202 asks for the repeat, whatever the operation.
        _ if matches!(error, Error::Pending(_)) => true,
        Executed::Maybe | Executed::Yes => !matches!(idempotency, Idempotency::None),
    };
    harmless && error.retry() == Retry::Later
}

/// The pause that the server asked for.
fn asked_for(error: &Error) -> Duration {
    match error {
        Error::Api(refusal) => refusal.retry_after.unwrap_or_default(),
        _ => Duration::ZERO,
    }
}

/// Keeps a storm of failures from being amplified: a first attempt earns a fifth of a repeat, and at most ten are saved.
///
/// So attempts never exceed 1.2 times the calls and ten more. One budget is shared by all clones of a client.
#[derive(Debug)]
pub(crate) struct Budget {
    /// In fifths of a repeat.
    fifths: Mutex<u32>,
}

impl Budget {
    const REPEAT: u32 = 5;
    const RESERVE: u32 = 10 * Self::REPEAT;

    pub(crate) fn new() -> Self {
        Self { fifths: Mutex::new(Self::RESERVE) }
    }

    /// A call begins.
    pub(crate) fn earn(&self) {
        let mut fifths = self.fifths.lock().unwrap_or_else(PoisonError::into_inner);
        *fifths = (*fifths + 1).min(Self::RESERVE);
    }

    /// Pays for a repeat, if there is enough.
    pub(crate) fn spend(&self) -> bool {
        let mut fifths = self.fifths.lock().unwrap_or_else(PoisonError::into_inner);
        match fifths.checked_sub(Self::REPEAT) {
            Some(rest) => {
                *fifths = rest;
                true
            }
            None => false,
        }
    }
}

/// The outcome of a future, or `None` if the timer was faster.
pub(crate) async fn within<F: Future>(future: F, mut timer: Option<Sleep>) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        match timer.as_mut() {
            Some(timer) => timer.as_mut().poll(context).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Pending;
    use crate::transport::{TransportError, TransportErrorKind};
    use bytes::Bytes;

    fn attempt(number: u32, idempotency: Idempotency) -> Attempt {
        Attempt { number, elapsed: Duration::ZERO, jitter: u16::MAX, idempotency }
    }

    fn broken() -> Error {
        TransportError::interrupted("cut").into()
    }

    /// 202: executed, and to be asked for again.
    fn pending() -> Error {
        Error::Pending(Pending { request_id: None, body: Bytes::new() })
    }

    fn refused() -> Error {
        TransportError::new(TransportErrorKind::Connect, "refused").into()
    }

    #[test]
    fn what_may_have_been_executed_is_repeated_only_if_idempotent() {
        let policy = RetryPolicy::default();
        for (idempotency, broken_again, refused_again) in
            [(Idempotency::Safe, true, true), (Idempotency::Key("no"), true, true), (Idempotency::None, false, true)]
        {
            assert_eq!(policy.next(&attempt(1, idempotency), &broken()).is_some(), broken_again, "{idempotency:?}");
            assert_eq!(policy.next(&attempt(1, idempotency), &refused()).is_some(), refused_again, "{idempotency:?}");
            assert!(policy.next(&attempt(1, idempotency), &pending()).is_some(), "{idempotency:?}");
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_half_of_each_is_chance() {
        let policy = RetryPolicy { attempts: 100, deadline: Duration::MAX, ..RetryPolicy::default() };
        let pause = |number, jitter| {
            policy.next(&Attempt { jitter, ..attempt(number, Idempotency::Safe) }, &broken()).map(|p| p.as_millis())
        };
        assert_eq!((pause(1, 0), pause(1, u16::MAX)), (Some(100), Some(200)));
        assert_eq!((pause(3, 0), pause(3, u16::MAX)), (Some(400), Some(800)));
        assert_eq!((pause(7, u16::MAX), pause(99, u16::MAX)), (Some(10_000), Some(10_000)));
    }

    #[test]
    fn attempts_and_deadline_end_it() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.next(&attempt(policy.attempts, Idempotency::Safe), &broken()), None);
        // An attempt that would begin at the deadline does not; one that begins just before it does.
        let latest = policy.deadline - policy.pause;
        for (elapsed, pause) in
            [(policy.deadline, None), (latest, None), (latest - Duration::from_nanos(1), Some(policy.pause))]
        {
            let late = Attempt { elapsed, ..attempt(1, Idempotency::Safe) };
            assert_eq!(policy.next(&late, &broken()), pause, "{elapsed:?}");
        }
    }

    #[test]
    fn a_budget_lends_ten_repeats_and_then_one_for_five_calls() {
        let budget = Budget::new();
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
        let repeats = (0..1000).filter(|_| {
            budget.earn();
            budget.spend()
        });
        assert_eq!(repeats.count(), 200);
    }
}
