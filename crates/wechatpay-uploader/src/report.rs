//! Every code with what became of it: the input is read again beside the journal.

use crate::endpoint::Endpoint;
use crate::error::UploadError;
use crate::journal::{CodeState, Journal, JournalError, Note, Progress, State};
use crate::plan::{Batches, Kind, digest_of};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::HashMap;

/// One line of the input that holds a code.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Row<'a> {
    /// The code. Whoever has it can use the coupon.
    pub code: &'a str,
    /// The file.
    pub file: &'a str,
    /// The line on which it stands.
    pub line: u64,
    /// What became of it.
    pub state: CodeState,
    /// Why, where that is not plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
}

impl Journal {
    /// Gives every line of the input that holds a code, in its order, until `each` says no.
    ///
    /// # Errors
    /// The input is not there any more, or is another one now; nothing is given then. Or the journal cannot be read.
    pub fn report<E>(
        &self,
        endpoint: &Endpoint,
        mut each: impl FnMut(Row<'_>) -> Result<(), E>,
    ) -> Result<Result<(), E>, UploadError> {
        let limits = endpoint.limits().map_err(UploadError::Unsupported)?;
        let input = self.header().input();
        let (found, _) = digest_of(&input, limits)?;
        let planned = &self.header().digest;
        if *planned != found {
            return Err(JournalError::Changed { planned: planned.clone(), found }.into());
        }
        let view = self.view();
        let mut batches = Batches::new(&input, limits, self.header().batch, view.duplicates())?;
        let mut current: Option<(u64, Progress, HashMap<u32, Note>)> = None;
        let names: Vec<_> = input.sources.iter().map(|source| source.name.as_str()).collect();
        let name = |file: u16| names.get(usize::from(file)).copied().unwrap_or_default();
        while let Some(line) = batches.next()? {
            let place = line.place;
            let (state, reason) = match line.kind {
                Kind::Duplicate { first } => (
                    CodeState::Duplicate,
                    Some(Cow::Owned(format!("stands at {}:{} already", name(first.file), first.line))),
                ),
                Kind::Sent { batch, position } => {
                    if current.as_ref().is_none_or(|(index, _, _)| *index != batch) {
                        current = Some((batch, view.progress(batch)?, view.notes(batch)?));
                    }
                    let Some((_, progress, notes)) = &current else { continue };
                    outcome(progress, notes.get(&position))
                }
            };
            if let Err(error) = each(Row { code: line.code, file: name(place.file), line: place.line, state, reason }) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }
}

/// What became of a code, from what is known about its batch and itself.
pub(crate) fn outcome<'a>(progress: &'a Progress, note: Option<&'a Note>) -> (CodeState, Option<Cow<'a, str>>) {
    let reason = progress.reason.as_deref().map(Cow::Borrowed);
    match (progress.state, note) {
        (State::Done, Some(note)) => (note.state, note.reason.as_deref().map(Cow::Borrowed)),
        (State::Done, None) => (CodeState::Uploaded, None),
        (State::Refused, _) => (CodeState::Refused, reason),
        (State::Planned, _) => (CodeState::NotSent, reason),
        (State::Sending | State::Unknown, _) => (CodeState::Unknown, reason),
    }
}
