//! One piece of work that several wait for, and that each of them moves on.
//!
//! Whoever waits for what another has begun waits for ever if that other is not polled any more, as happens to the rest of a
//! `FuturesUnordered` while one of its results is handled. So nobody owns the work: it goes on as long as anybody waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A place for one piece of work at a time.
#[derive(Default)]
pub(crate) struct Flight {
    state: Mutex<State>,
    wakers: Arc<Wakers>,
    passengers: AtomicU64,
}

#[derive(Default)]
struct State {
    work: Option<Work>,
    /// Tells a piece of work from the one after it.
    number: u64,
    aboard: usize,
}

/// Those who wait, by their numbers. To wake this is to wake them all.
#[derive(Default)]
struct Wakers(Mutex<Vec<(u64, Waker)>>);

impl Wakers {
    fn lock(&self) -> MutexGuard<'_, Vec<(u64, Waker)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, passenger: u64) {
        self.lock().retain(|(other, _)| *other != passenger);
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        let waiting = std::mem::take(&mut *self.lock());
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl Flight {
    /// Takes part in the work that is under way, or begins this.
    pub(crate) fn board(&self, begin: impl FnOnce() -> Work) -> Passenger<'_> {
        let mut state = self.lock();
        if state.work.is_none() {
            state.work = Some(begin());
            state.number = state.number.wrapping_add(1);
            state.aboard = 0;
        }
        state.aboard += 1;
        Passenger { flight: self, number: state.number, id: self.passengers.fetch_add(1, Ordering::Relaxed) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits, until the work is done. When the last one leaves, it is given up.
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Passenger<'a> {
    flight: &'a Flight,
    number: u64,
    id: u64,
}

impl Future for Passenger<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { flight, number, id } = *self;
        let mut state = flight.lock();
        if state.number != number {
            return Poll::Ready(());
        }
        // Taken out: work that panics is gone, and nobody polls it again.
        let Some(mut work) = state.work.take() else { return Poll::Ready(()) };
        flight.wakers.remove(id);
        flight.wakers.lock().push((id, context.waker().clone()));
        let everybody = Waker::from(Arc::clone(&flight.wakers));
        match work.as_mut().poll(&mut Context::from_waker(&everybody)) {
            Poll::Pending => {
                state.work = Some(work);
                Poll::Pending
            }
            Poll::Ready(()) => {
                drop(state);
                everybody.wake();
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Passenger<'_> {
    fn drop(&mut self) {
        let Self { flight, number, id } = *self;
        flight.wakers.remove(id);
        let mut state = flight.lock();
        if state.number != number {
            return;
        }
        state.aboard = state.aboard.saturating_sub(1);
        let given_up = if state.aboard == 0 { state.work.take() } else { None };
        let over = state.work.is_none();
        // It may hold what holds this.
        drop(state);
        drop(given_up);
        if over {
            Waker::from(Arc::clone(&flight.wakers)).wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;

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
        let mut second = Box::pin(flight.board(|| unreachable!("it is under way")));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| second.as_mut().poll(&mut context)));
        assert!(panicked.is_err());
        drop(second);
        assert!(woken.0.load(Ordering::SeqCst) >= 1 && first.as_mut().poll(&mut context).is_ready());
        assert_eq!(polls.load(Ordering::SeqCst), 2);
    }
}
