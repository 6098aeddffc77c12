//! From an input to batches: which code goes into which call. The plan follows from the input alone, so that whoever
//! reads the same input again gets the same batches, with the same request numbers.

use crate::codes::Codes;
use crate::endpoint::Limits;
use crate::input::{Entry, Format, Input, InputError, Place, Reader, hex};
use crate::journal::JournalError;
use crate::sort::{Sorted, Sorter};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// What a first reading finds out.
pub(crate) struct Survey {
    pub(crate) reader: Reader,
    /// Digest of what the input says: of the files and of how they are read.
    pub(crate) digest: String,
    /// Lines that repeat a code, by their place.
    duplicates: Sorted,
    /// Distinct codes.
    pub(crate) codes: u64,
}

/// Reads the whole input once: judges every line, finds every code that stands there twice.
///
/// Memory is bounded: codes are sorted on the disk, in the folder given, and compared as a whole. No digest decides
/// whether two codes are one.
pub(crate) fn survey(input: &Input, limits: Limits, folder: &Path) -> Result<Survey, PlanError> {
    let mut reader = Reader::new(input, limits, true)?;
    let mut sorter = Sorter::new(folder);
    let (mut lines, mut count) = (Vec::new(), 0);
    while let Some(Entry { place, code }) = reader.next()? {
        match code {
            // Once something is wrong nothing will be sent, and only what else is wrong is of interest.
            Ok(_) if count > 0 => {}
            Ok(code) => {
                let pushed = sorter.push(code.as_bytes(), place.packed());
                pushed.map_err(|error| PlanError::Sort { error, spilled: sorter.spilled() })?;
            }
            Err(fault) => {
                count += 1;
                if lines.len() < InputError::SHOWN {
                    lines.push((place, fault));
                }
            }
        }
    }
    if count > 0 {
        let lines = lines.into_iter().map(|(place, fault)| (shown(&reader, place), fault)).collect();
        return Err(InputError::Invalid { lines, count }.into());
    }
    let spilled = sorter.spilled();
    let (codes, duplicates) =
        duplicates(sorter, folder).map_err(|error| PlanError::Sort { error, spilled: spilled * 2 })?;
    if codes == 0 {
        return Err(InputError::Empty { names: input.names() }.into());
    }
    Ok(Survey { digest: reader.digest(), reader, duplicates, codes })
}

/// A place as messages name it.
pub(crate) fn shown(reader: &Reader, place: Place) -> String {
    format!("{}:{}", reader.name(place.file), place.line)
}

/// The digest of an input without planning it: for a journal that exists already.
pub(crate) fn digest_of(input: &Input, limits: Limits) -> Result<(String, Reader), InputError> {
    let mut reader = Reader::new(input, limits, true)?;
    while reader.next()?.is_some() {}
    Ok((reader.digest(), reader))
}

/// The digest of an input: of how its files are read, and of what they hold.
pub(crate) fn digest<'a>(format: &Format, sha256s: impl IntoIterator<Item = &'a str>) -> String {
    let mut sha256 = Sha256::new();
    let format = serde_json::to_string(format).unwrap_or_default();
    sha256.update(format!("wechatpay-uploader 1\n{format}\n"));
    for file in sha256s {
        sha256.update(format!("{file}\n"));
    }
    hex(&sha256.finalize())
}

/// Number of distinct codes, and the places of the repeated ones, each with the place of the first of its kind.
fn duplicates(sorter: Sorter, folder: &Path) -> std::io::Result<(u64, Sorted)> {
    let mut sorted = sorter.finish()?;
    let mut repeated = Sorter::new(folder);
    let (mut codes, mut first): (u64, Option<(Vec<u8>, u64)>) = (0, None);
    while let Some((code, place)) = sorted.next()? {
        match &first {
            Some((same, earliest)) if *same == code => repeated.push(&place.to_be_bytes(), *earliest)?,
            _ => {
                codes += 1;
                first = Some((code, place));
            }
        }
    }
    Ok((codes, repeated.finish()?))
}

/// Where duplicates come from while batches are made: places in their order, with the place of the first code.
pub(crate) type Duplicates<'a> = Box<dyn FnMut() -> Result<Option<(u64, u64)>, PlanError> + 'a>;

impl Survey {
    /// Reads the input again and gives its lines sorted into batches; call it once. They are a plan when the end has
    /// come without an error: only then it is known that both readings found the same.
    pub(crate) fn batches(self, input: &Input, limits: Limits) -> Result<Batches<'static>, PlanError> {
        let mut sorted = self.duplicates;
        let duplicates: Duplicates<'static> = Box::new(move || {
            let next = sorted.next().map_err(|error| PlanError::Sort { error, spilled: 0 })?;
            Ok(next.map(|(place, first)| {
                let place = place.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
                (place, first)
            }))
        });
        Batches::of(Reader::again(input, limits, self.digest)?, limits.batch, duplicates)
    }
}

/// The lines of an input, each with what becomes of it.
pub(crate) struct Batches<'a> {
    reader: Reader,
    size: usize,
    duplicates: Duplicates<'a>,
    /// The next line that repeats a code.
    ahead: Option<(u64, u64)>,
    /// Distinct codes so far.
    codes: u64,
}

/// One line with a code.
pub(crate) struct Line<'a> {
    pub(crate) place: Place,
    pub(crate) code: &'a str,
    pub(crate) kind: Kind,
}

/// What becomes of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is sent: in this batch, at this place of it.
    Sent { batch: u64, position: u32 },
    /// It stood at this earlier place already and is not sent again.
    Duplicate { first: Place },
}

impl<'a> Batches<'a> {
    /// The batches of a plan; whoever sends them has to compare each with what was planned.
    pub(crate) fn new(
        input: &Input,
        limits: Limits,
        size: usize,
        duplicates: Duplicates<'a>,
    ) -> Result<Self, PlanError> {
        Self::of(Reader::new(input, limits, false)?, size, duplicates)
    }

    fn of(reader: Reader, size: usize, mut duplicates: Duplicates<'a>) -> Result<Self, PlanError> {
        let ahead = duplicates()?;
        Ok(Self { reader, size: size.max(1), duplicates, ahead, codes: 0 })
    }

    /// Distinct codes so far.
    pub(crate) fn codes(&self) -> u64 {
        self.codes
    }

    /// What messages call a place.
    pub(crate) fn shown(&self, place: Place) -> String {
        shown(&self.reader, place)
    }

    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>, PlanError> {
        let Some(Entry { place, code }) = self.reader.next()? else { return Ok(None) };
        // The input was judged before: it is another one now.
        let code = code.map_err(|_| PlanError::InputChanged)?;
        let kind = match self.ahead {
            Some((duplicate, first)) if duplicate == place.packed() => {
                self.ahead = (self.duplicates)()?;
                Kind::Duplicate { first: Place::unpacked(first) }
            }
            _ => {
                let size = self.size as u64;
                let (batch, position) = (self.codes / size, self.codes % size);
                self.codes += 1;
                Kind::Sent { batch, position: u32::try_from(position).unwrap_or(u32::MAX) }
            }
        };
        Ok(Some(Line { place, code, kind }))
    }
}

/// The codes of one batch, put together from its lines.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) index: u64,
    /// A batch that is sent again must have the digest of these.
    pub(crate) codes: Codes,
}

/// Reads on to the end of a batch.
pub(crate) fn gather(
    batches: &mut Batches<'_>,
    mut duplicate: impl FnMut(Place, Place) -> Result<(), PlanError>,
) -> Result<Option<Gathered>, PlanError> {
    let size = batches.size;
    let mut gathered = Gathered { index: 0, codes: Codes::with_capacity(size) };
    while gathered.codes.len() < size {
        let Some(line) = batches.next()? else { break };
        match line.kind {
            Kind::Duplicate { first } => duplicate(line.place, first)?,
            Kind::Sent { batch, .. } => {
                gathered.index = batch;
                gathered.codes.push(line.code);
            }
        }
    }
    // Duplicates behind the last code come with a batch that is empty.
    Ok(Some(gathered).filter(|gathered| !gathered.codes.is_empty()))
}

/// A plan that was not made.
#[derive(Debug)]
pub(crate) enum PlanError {
    Input(InputError),
    Journal(JournalError),
    /// Temporary files could not be written or read; so many bytes of them had been.
    Sort {
        error: std::io::Error,
        spilled: u64,
    },
    /// The input is not the one that was planned.
    InputChanged,
}

impl From<InputError> for PlanError {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

impl From<JournalError> for PlanError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

/// Request numbers: what they all begin with, and how they end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbers {
    prefix: String,
}

impl Numbers {
    /// Digits of a digest that a number carries, where there is room for them.
    const DIGEST: usize = 32;
    /// Fewest of them: below, two uploads might get the same numbers.
    const LEAST: usize = 16;

    /// The numbers of an upload that these facts identify.
    pub(crate) fn new(facts: &BTreeMap<&str, String>, limits: Limits) -> Result<Self, String> {
        // Ten digits of index and a separator.
        let room = limits.number.max().unwrap_or(usize::MAX).saturating_sub(11);
        let length = room.min(Self::DIGEST);
        if length < Self::LEAST {
            return Err(format!("`{}` is too short for numbers that differ", limits.number_field));
        }
        let facts = serde_json::to_vec(facts).map_err(|error| error.to_string())?;
        let digest = hex(&Sha256::digest(facts));
        let charset = limits.number.charset();
        let separator =
            ['-', '_'].into_iter().find(|separator| charset.is_none_or(|charset| charset.contains(*separator)));
        let separator = separator.map(String::from).unwrap_or_default();
        Ok(Self { prefix: format!("{}{separator}", digest.get(..length).unwrap_or(&digest)) })
    }

    pub(crate) fn with_prefix(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The number of a batch.
    pub(crate) fn of(&self, batch: u64) -> String {
        format!("{}{batch:06}", self.prefix)
    }
}
