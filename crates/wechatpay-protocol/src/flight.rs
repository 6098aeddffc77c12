//! One piece of work that several wait for, and that each of them moves on.
//!
//! Whoever waits for what another has begun waits for ever if that other is not polled any more, as happens to the rest of a
//! `FuturesUnordered` while one of its results is handled. So nobody owns the work: it goes on as long as anybody waits.

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};

type Work = BoxFuture<'static, ()>;

/// A place for one piece of work at a time.
#[derive(Default)]
pub(crate) struct Flight(Mutex<Option<WeakShared<Work>>>);

impl Flight {
    /// Takes part in the work that is under way, or begins this. When the last one who waits leaves, it is given up.
    pub(crate) fn board(&self, begin: impl FnOnce() -> Work) -> Shared<Work> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let underway = place.as_ref().and_then(WeakShared::upgrade);
        if let Some(underway) = underway.filter(|work| work.peek().is_none()) {
            return underway;
        }
        // A `Shared` whose work panics wakes nobody, and the others would wait for ever.
        let work = AssertUnwindSafe(begin()).catch_unwind().map(|ended| {
            if ended.is_err() {
                tracing::error!("work that calls share has panicked");
            }
        });
        let work = work.boxed().shared();
        *place = work.downgrade();
        work
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    /// Ready when it is told; counts polls, and says when it is dropped.
    #[derive(Clone, Default)]
    struct Job {
        done: Arc<Mutex<bool>>,
        waker: Arc<Mutex<Option<Waker>>>,
        begun: Arc<AtomicUsize>,
        dropped: Arc<AtomicUsize>,
    }

    impl Job {
        fn begin(&self) -> Work {
            struct Dropped(Arc<AtomicUsize>);
            impl Drop for Dropped {
                fn drop(&mut self) {
                    self.0.fetch_add(1, Ordering::SeqCst);
                }
            }
            self.begun.fetch_add(1, Ordering::SeqCst);
            let (job, dropped) = (self.clone(), Dropped(Arc::clone(&self.dropped)));
            Box::pin(std::future::poll_fn(move |context| {
                let _kept = &dropped;
                *job.waker.lock().unwrap() = Some(context.waker().clone());
                if *job.done.lock().unwrap() { Poll::Ready(()) } else { Poll::Pending }
            }))
        }

        fn finish(&self) {
            *self.done.lock().unwrap() = true;
            self.waker.lock().unwrap().take().unwrap().wake();
        }

        fn counts(&self) -> (usize, usize) {
            (self.begun.load(Ordering::SeqCst), self.dropped.load(Ordering::SeqCst))
        }
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn whoever_is_polled_moves_the_work_on_and_everybody_hears_of_its_end() {
        let (flight, job, woken) = (Flight::default(), Job::default(), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let (mut first, mut second) = (pin!(flight.board(|| job.begin())), pin!(flight.board(|| job.begin())));
        assert!(first.as_mut().poll(&mut context).is_pending() && second.as_mut().poll(&mut context).is_pending());
        assert_eq!(job.counts(), (1, 0));
        job.finish();
        assert_eq!(woken.0.load(Ordering::SeqCst), 2, "both can go on");
        // The first, who began it, is not polled any more.
        assert!(second.as_mut().poll(&mut context).is_ready());
        assert_eq!(job.counts(), (1, 1));
        assert!(first.as_mut().poll(&mut context).is_ready());
        // The next is another.
        let mut third = pin!(flight.board(|| job.begin()));
        assert!(third.as_mut().poll(&mut context).is_ready());
        assert_eq!(job.counts(), (2, 2));
    }

    #[test]
    fn who_leaves_takes_nothing_along_and_the_last_one_gives_it_up() {
        let (flight, job) = (Flight::default(), Job::default());
        let mut context = Context::from_waker(Waker::noop());
        let mut first = Box::pin(flight.board(|| job.begin()));
        let mut second = Box::pin(flight.board(|| job.begin()));
        assert!(first.as_mut().poll(&mut context).is_pending() && second.as_mut().poll(&mut context).is_pending());
        drop(first);
        assert_eq!(job.counts(), (1, 0));
        drop(second);
        assert_eq!(job.counts(), (1, 1));
        let mut third = pin!(flight.board(|| job.begin()));
        assert!(third.as_mut().poll(&mut context).is_pending());
        assert_eq!(job.counts(), (2, 1));
    }

    #[test]
    fn work_that_panics_is_over_for_everybody() {
        let (flight, woken) = (Flight::default(), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let polls = Arc::new(AtomicUsize::new(0));
        let there = Arc::clone(&polls);
        let begin = move || -> Work {
            Box::pin(std::future::poll_fn(move |_| {
                assert_eq!(there.fetch_add(1, Ordering::SeqCst), 0, "as told");
                Poll::Pending
            }))
        };
        let mut first = pin!(flight.board(begin));
        assert!(first.as_mut().poll(&mut context).is_pending());
        let mut second = pin!(flight.board(|| unreachable!("it is under way")));
        assert!(second.as_mut().poll(&mut context).is_ready());
        assert!(woken.0.load(Ordering::SeqCst) >= 1 && first.as_mut().poll(&mut context).is_ready());
        assert_eq!(polls.load(Ordering::SeqCst), 2);
    }
}
