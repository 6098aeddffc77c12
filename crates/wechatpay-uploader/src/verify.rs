//! Compares what the journal says with what WeChat Pay lists.

use crate::endpoint::{Endpoint, Limits, Listing};
use crate::engine::Uploader;
use crate::error::UploadError;
use crate::input::folder;
use crate::journal::{CodeState, Journal, Note, Outcome, Progress, State, Tally, View};
use crate::plan::{Batches, Kind};
use crate::report::outcome;
use crate::sort::Sorter;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use wechatpay_model::operation::Turn;
use wechatpay_protocol::Transport;
use wechatpay_protocol::pages::UntypedList;

/// What a comparison with the list of uploaded codes found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// Distinct codes that WeChat Pay lists for the target.
    pub listed: u64,
    /// Codes that should be there and are.
    pub present: u64,
    /// Codes that should be there and are not.
    pub missing: u64,
    /// Where the first of these stand, as `file:line`.
    pub missing_at: Vec<String>,
    /// Codes that are listed and not of this input.
    pub others: u64,
    /// Batches that the list settled: of unknown outcome, or with codes that their answer left out.
    pub settled: u64,
}

impl Verification {
    /// How many missing codes are named.
    pub const SHOWN: usize = 20;
}

/// Marks a listed code among those of the input.
const LISTED: u64 = u64::MAX;

impl<T: Transport> Uploader<T> {
    /// Reads the whole list of uploaded codes and compares it with the journal. A batch of unknown outcome whose codes
    /// are all listed is done; a code that its answer left out and that is listed is uploaded.
    ///
    /// # Errors
    /// The journal is of another job. There is no such list, it cannot be read to its end, or the input cannot.
    pub async fn verify(&self, journal: &mut Journal) -> Result<Verification, UploadError> {
        self.job.check(journal)?;
        let endpoint = &self.job.endpoint;
        let limits = endpoint.limits().map_err(UploadError::Unsupported)?;
        let Some(listing) = endpoint.listing else {
            return Err(UploadError::Unsupported(format!("what {} took cannot be listed", endpoint.spec.id())));
        };
        let place = journal.path().map_or_else(std::env::temp_dir, |path| folder(path).to_owned());
        let mut sorter = Sorter::new(place);
        self.list(&listing, &mut sorter).await?;
        compare(journal, limits, sorter)
    }

    /// Puts every listed code into the sorter.
    async fn list(&self, listing: &Listing, sorter: &mut Sorter) -> Result<(), UploadError> {
        let id = listing.spec.id();
        let Some(page) = listing.spec.page() else {
            return Err(UploadError::Unsupported(format!("{id} has no pages")));
        };
        let mut arguments = Endpoint::listing_arguments(listing, &self.job.target);
        if let Turn::Offset { field, .. } = page.turn() {
            arguments.insert(field.to_owned(), 0.into());
        }
        arguments.insert(page.limit().to_owned(), listing.page.into());
        let Some(list) = UntypedList::new(listing.spec, Value::Object(arguments)) else {
            return Err(UploadError::Unsupported(format!("{id} has no pages")));
        };
        let timer = Arc::clone(&self.timer);
        // Reading is safe to repeat, and nothing else repeats it here.
        let client = self.client.clone().with_retry(self.options.policy, move |time: Duration| timer.sleep(time));
        let mut pages = client.pages(list);
        while let Some(reply) = pages.next().await {
            let answer = reply.map_err(UploadError::Listing)?.value;
            let items = answer.pointer(page.items()).and_then(Value::as_array);
            for code in items.into_iter().flatten().filter_map(|item| item.get(listing.code)?.as_str()) {
                put(sorter, code, LISTED)?;
            }
        }
        Ok(())
    }
}

fn put(sorter: &mut Sorter, code: &str, number: u64) -> Result<(), UploadError> {
    let put = sorter.push(code.as_bytes(), number);
    put.map_err(|error| UploadError::Comparing { error, spilled: sorter.spilled() })
}

/// Compares the listed codes with those of the input, and settles what can be.
fn compare(journal: &mut Journal, limits: Limits, mut sorter: Sorter) -> Result<Verification, UploadError> {
    let size = journal.header().batch.max(1) as u64;
    let mut open = BTreeMap::new();
    each_code(journal, limits, |ordinal, code, state, progress| {
        if state == CodeState::Unknown || progress.tally.unclear > 0 {
            open.entry(ordinal / size).or_insert_with(|| (progress.clone(), BTreeSet::new(), 0)).2 += 1;
        }
        put(&mut sorter, code, ordinal)
    })?;
    let spilled = sorter.spilled();
    let failed = |error| UploadError::Comparing { error, spilled };
    let mut found = Verification::default();
    let (mut absent, mut sorted) = (BTreeSet::new(), sorter.finish().map_err(failed)?);
    let (mut recent, view) = (None, journal.view());
    let mut next = sorted.next().map_err(failed)?;
    while let Some((code, number)) = next {
        // All records of one code: perhaps its number in the input, and once for each time that it is listed.
        let (mut ordinal, mut listed) = (None, false);
        let mut take = |number: u64| if number == LISTED { listed = true } else { ordinal = Some(number) };
        take(number);
        next = sorted.next().map_err(failed)?;
        while let Some((_, number)) = next.take_if(|(other, _)| *other == code) {
            take(number);
            next = sorted.next().map_err(failed)?;
        }
        found.listed += u64::from(listed);
        match ordinal {
            None => found.others += 1,
            Some(ordinal) if listed => {
                found.present += 1;
                if let Some((_, seen, _)) = open.get_mut(&(ordinal / size)) {
                    seen.insert(ordinal);
                }
            }
            Some(ordinal) if should_be_there(&view, &mut recent, ordinal / size, ordinal % size)? => {
                found.missing += 1;
                if absent.len() < Verification::SHOWN {
                    absent.insert(ordinal);
                }
            }
            Some(_) => {}
        }
    }
    let mut outcomes = Vec::new();
    for (batch, (progress, seen, codes)) in open {
        if progress.state == State::Done {
            outcomes.extend(cleared(batch, progress, view.notes(batch)?, |at| seen.contains(&(batch * size + at))));
        } else if seen.len() == codes {
            outcomes.push(listed(batch, progress, seen.len()));
        }
    }
    found.settled = outcomes.len() as u64;
    journal.commit(&[], &outcomes)?;
    if !absent.is_empty() {
        found.missing_at = places(journal, limits, &absent)?;
    }
    Ok(found)
}

/// A batch that was looked up, and its notes.
type Recent = Option<(u64, Progress, HashMap<u32, Note>)>;

/// Whether an answer said that this code is there.
fn should_be_there(view: &View, recent: &mut Recent, batch: u64, position: u64) -> Result<bool, UploadError> {
    if recent.as_ref().is_none_or(|(index, _, _)| *index != batch) {
        *recent = Some((batch, view.progress(batch)?, view.notes(batch)?));
    }
    let position = u32::try_from(position).unwrap_or(u32::MAX);
    let state = recent.as_ref().map(|(_, progress, notes)| outcome(progress, notes.get(&position)).0);
    Ok(matches!(state, Some(CodeState::Uploaded | CodeState::Existed)))
}

/// A batch whose codes are all there, though no answer said so.
fn listed(batch: u64, progress: Progress, codes: usize) -> Outcome {
    let codes = u32::try_from(codes).unwrap_or(u32::MAX);
    let reason = "found in the list of uploaded codes, after a call whose answer was lost";
    let note = Note { state: CodeState::Uploaded, reason: Some(reason.to_owned()) };
    let notes = (0..codes).map(|position| (position, note.clone())).collect();
    let tally = Tally { uploaded: codes, ..Tally::default() };
    Outcome { batch, progress: Progress { state: State::Done, tally, reason: None, ..progress }, notes }
}

/// A batch with listed codes that its answer left out, if there is one.
fn cleared(
    batch: u64,
    mut progress: Progress,
    notes: HashMap<u32, Note>,
    listed: impl Fn(u64) -> bool,
) -> Option<Outcome> {
    let unclear = |(at, note): &(u32, Note)| note.state == CodeState::Unclear && listed(u64::from(*at));
    let reason = "found in the list of uploaded codes; the answer did not name it";
    let note = Note { state: CodeState::Uploaded, reason: Some(reason.to_owned()) };
    let notes: Vec<_> = notes.into_iter().filter(unclear).map(|(at, _)| (at, note.clone())).collect();
    let count = u32::try_from(notes.len()).unwrap_or(u32::MAX);
    progress.tally.unclear = progress.tally.unclear.saturating_sub(count);
    progress.tally.uploaded += count;
    (count > 0).then_some(Outcome { batch, progress, notes })
}

/// Every distinct code of the input with its number, from 0, and what became of it.
fn each_code(
    journal: &Journal,
    limits: Limits,
    mut each: impl FnMut(u64, &str, CodeState, &Progress) -> Result<(), UploadError>,
) -> Result<(), UploadError> {
    let (view, size) = (journal.view(), journal.header().batch.max(1) as u64);
    let mut batches = Batches::new(&journal.header().input(), limits, journal.header().batch, view.duplicates())?;
    let mut current: Option<(u64, Progress)> = None;
    while let Some(line) = batches.next()? {
        let Kind::Sent { batch, position } = line.kind else { continue };
        if current.as_ref().is_none_or(|(index, _)| *index != batch) {
            current = Some((batch, view.progress(batch)?));
        }
        if let Some((_, progress)) = &current {
            each(batch * size + u64::from(position), line.code, outcome(progress, None).0, progress)?;
        }
    }
    Ok(())
}

/// Where codes stand.
fn places(journal: &Journal, limits: Limits, wanted: &BTreeSet<u64>) -> Result<Vec<String>, UploadError> {
    let (view, size) = (journal.view(), journal.header().batch.max(1) as u64);
    let mut batches = Batches::new(&journal.header().input(), limits, journal.header().batch, view.duplicates())?;
    let mut found = Vec::new();
    while found.len() < wanted.len()
        && let Some(line) = batches.next()?
    {
        if let Kind::Sent { batch, position } = line.kind
            && wanted.contains(&(batch * size + u64::from(position)))
        {
            let place = line.place;
            found.push(batches.shown(place));
        }
    }
    Ok(found)
}
