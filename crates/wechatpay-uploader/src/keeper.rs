//! The thread that owns journal and input. It gives batches only after they are marked on the disk as being sent.
//!
//! Batches come when they are asked for, so memory does not grow with the input; what became of them is committed
//! together with the next marks, so the disk is synced once for many calls. Those that were never sent come first: one
//! that never succeeds keeps no other from being sent.

use crate::codes::Codes;
use crate::endpoint::Limits;
use crate::error::UploadError;
use crate::input::Input;
use crate::journal::{Journal, JournalError, Outcome, Progress, State, View};
use crate::plan::{Batches, Gathered, Numbers, PlanError, gather};
use futures::channel::mpsc::UnboundedSender;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often outcomes are looked for while nothing is asked. One that is not committed yet is no loss: a crash would
/// only repeat its call.
const LINGER: Duration = Duration::from_millis(500);

/// What became of batches, for the thread to take; to put something there wakes nobody.
#[derive(Clone, Default)]
pub(crate) struct Outcomes(Arc<Mutex<Vec<Outcome>>>);

impl Outcomes {
    pub(crate) fn put(&self, outcome: Outcome) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
    }

    fn take(&self) -> Vec<Outcome> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A batch to be sent.
pub(crate) struct Batch {
    pub(crate) index: u64,
    pub(crate) number: String,
    pub(crate) codes: Codes,
    /// What was known before it was marked.
    pub(crate) before: Progress,
}

/// What the thread answers.
pub(crate) enum Told {
    /// As many as were wanted; fewer where there are no more.
    Batches(Vec<Batch>),
    /// It gives no more. Unless the journal cannot be written, outcomes are taken until nobody can ask any more.
    Failed(UploadError),
    /// It has ended; every outcome that was put there is on the disk.
    Closed(Box<Journal>),
}

/// What the thread needs.
pub(crate) struct Keeper {
    pub(crate) journal: Journal,
    pub(crate) input: Input,
    pub(crate) limits: Limits,
    /// How many more batches are wanted.
    pub(crate) inbox: Receiver<usize>,
    pub(crate) outcomes: Outcomes,
    pub(crate) outbox: UnboundedSender<Told>,
}

impl Keeper {
    /// Works until nobody asks any more.
    pub(crate) fn run(mut self) {
        let ended = self.work();
        // Nobody listens any more where the upload was dropped; the journal is complete all the same.
        let _ = self.outbox.unbounded_send(match ended {
            Ok(()) => Told::Closed(Box::new(self.journal)),
            Err(error) => Told::Failed(error),
        });
    }

    fn work(&mut self) -> Result<(), UploadError> {
        let view = self.journal.view();
        let mut reading = self.begin(&view)?;
        let mut again = Again::default();
        while let Some((wanted, outcomes)) = self.collect() {
            let given = self.give(wanted, &view, &mut reading, &mut again);
            let reserved: Vec<_> = given.iter().flatten().map(|batch| batch.index).collect();
            self.journal.commit(&reserved, &outcomes)?;
            // Whoever is gone wants nothing. Where there is nothing to give, what is under way comes to its end all the
            // same, and what becomes of it is taken.
            let _ = match given {
                Ok(_) if wanted == 0 => continue,
                Ok(given) => self.outbox.unbounded_send(Told::Batches(given)),
                Err(error) => self.outbox.unbounded_send(Told::Failed(error)),
            };
        }
        Ok(())
    }

    /// Begins to read the input.
    fn begin(&self, view: &View) -> Result<Batches<'static>, PlanError> {
        Batches::new(&self.input, self.limits, self.journal.header().batch, view.duplicates())
    }

    /// The next batches that are to be sent.
    fn give(
        &self,
        wanted: usize,
        view: &View,
        reading: &mut Batches<'static>,
        again: &mut Again,
    ) -> Result<Vec<Batch>, UploadError> {
        let numbers = Numbers::with_prefix(&self.journal.header().numbers);
        let mut given = Vec::with_capacity(wanted);
        while given.len() < wanted
            && let Some((gathered, before)) = self.next(view, reading, again)?
        {
            if !view.planned(&gathered)? {
                return Err(JournalError::ChangedMeanwhile.into());
            }
            let number = numbers.of(gathered.index);
            given.push(Batch { index: gathered.index, number, codes: gathered.codes, before: resumed(before) });
        }
        Ok(given)
    }

    /// Reads on to the next batch that was never sent; after the last of them, to the next one that is sent again.
    fn next(
        &self,
        view: &View,
        reading: &mut Batches<'static>,
        again: &mut Again,
    ) -> Result<Option<(Gathered, Progress)>, UploadError> {
        while !again.begun {
            let Some(gathered) = gather(reading, |_, _| Ok(()))? else {
                if reading.codes() != self.journal.header().codes {
                    return Err(JournalError::ChangedMeanwhile.into());
                }
                again.begin();
                break;
            };
            let before = view.progress(gathered.index)?;
            match before.state {
                State::Done => {}
                State::Planned if before.attempts == 0 => return Ok(Some((gathered, before))),
                _ => again.batches.push_back((gathered.index, before.attempts)),
            }
        }
        let Some((index, _)) = again.batches.pop_front() else { return Ok(None) };
        if again.last.is_none_or(|last| index < last) {
            *reading = self.begin(view)?;
        }
        again.last = Some(index);
        while let Some(gathered) = gather(reading, |_, _| Ok(()))? {
            if gathered.index == index {
                let before = view.progress(index)?;
                return Ok(Some((gathered, before)));
            }
        }
        Err(JournalError::ChangedMeanwhile.into())
    }

    /// Waits until batches are wanted, or for a while, and takes along what became of others; `None` once nobody can ask
    /// any more and nothing is left.
    fn collect(&self) -> Option<(usize, Vec<Outcome>)> {
        let asked = self.inbox.recv_timeout(LINGER);
        let wanted = asked.unwrap_or_default() + self.inbox.try_iter().sum::<usize>();
        // Whoever has gone put everything there before.
        let outcomes = self.outcomes.take();
        let over = asked == Err(RecvTimeoutError::Disconnected) && outcomes.is_empty();
        (!over).then_some((wanted, outcomes))
    }
}

/// Batches that an earlier run has sent, or marked, and that are not done.
#[derive(Default)]
struct Again {
    /// Each with its calls so far. In the order of the input, until it is their turn.
    batches: VecDeque<(u64, u32)>,
    /// Whether it is their turn: every other one was given.
    begun: bool,
    /// The one that was given last.
    last: Option<u64>,
}

impl Again {
    /// It is their turn. The one with the fewest calls comes first, and those before it last: where a run stops at some that
    /// fail again, the next one begins behind them.
    fn begin(&mut self) {
        self.begun = true;
        let fewest = (0..).zip(&self.batches).min_by_key(|(_, (_, attempts))| *attempts).map_or(0, |(at, _)| at);
        self.batches.rotate_left(fewest);
    }
}

/// What is known about a batch that is taken up again.
fn resumed(mut progress: Progress) -> Progress {
    if progress.state == State::Sending {
        // The run before ended without knowing more.
        progress.maybe = true;
        progress.state = State::Unknown;
        progress.reason = Some("the upload ended before the answer came".to_owned());
    }
    progress
}

impl From<PlanError> for UploadError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Input(error) => Self::Input(error),
            PlanError::Journal(error) => Self::Journal(error),
            PlanError::InputChanged => Self::Journal(JournalError::ChangedMeanwhile),
            PlanError::Sort { error, spilled } => Self::Sort { error, spilled },
        }
    }
}
