//! The thread that owns journal and input. It gives batches only after they are marked on the disk as being sent.
//!
//! Batches come when they are asked for, so memory does not grow with the input; what became of them is committed
//! together with the next marks, so the disk is synced once for many calls.

use crate::codes::Codes;
use crate::endpoint::Limits;
use crate::error::UploadError;
use crate::input::Input;
use crate::journal::{Journal, JournalError, Outcome, Progress, State, View};
use crate::plan::{Batches, Numbers, PlanError, gather};
use futures::channel::mpsc::UnboundedSender;
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
        let mut batches = Batches::new(&self.input, self.limits, self.journal.header().batch, view.duplicates())?;
        let numbers = Numbers::with_prefix(&self.journal.header().numbers);
        while let Some((wanted, outcomes)) = self.collect() {
            let given = self.give(wanted, &view, &mut batches, &numbers);
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

    /// Reads on to the next batches that are not done.
    fn give(
        &self,
        wanted: usize,
        view: &View,
        batches: &mut Batches<'_>,
        numbers: &Numbers,
    ) -> Result<Vec<Batch>, UploadError> {
        let mut given = Vec::with_capacity(wanted);
        while given.len() < wanted
            && let Some(gathered) = gather(batches, |_, _| Ok(()))?
        {
            let before = view.progress(gathered.index)?;
            if before.state == State::Done {
                continue;
            }
            if !view.planned(&gathered)? {
                return Err(JournalError::ChangedMeanwhile.into());
            }
            let number = numbers.of(gathered.index);
            given.push(Batch { index: gathered.index, number, codes: gathered.codes, before: resumed(before) });
        }
        if given.len() < wanted && batches.codes() != self.journal.header().codes {
            return Err(JournalError::ChangedMeanwhile.into());
        }
        Ok(given)
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
