//! What is to be uploaded, and where to: planned for the first time, or taken up again.

use crate::endpoint::{Endpoint, Limits};
use crate::error::UploadError;
use crate::input::{Input, folder};
use crate::journal::{Header, Journal, JournalError};
use crate::plan::{Numbers, digest_of, survey};
use redb::StorageBackend;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use wechatpay_protocol::check::{Context, check};
use wechatpay_protocol::{Client, Error, Invalid};

/// What is to be done with the codes of an input.
#[derive(Debug, Clone)]
pub struct Job {
    /// The operation that takes them.
    pub endpoint: Endpoint,
    /// Its arguments beside codes and number: `stock_id`, say.
    pub target: Map<String, Value>,
    /// Host, as the client names it.
    pub base_url: String,
    /// Merchant id.
    pub mchid: String,
}

/// What a plan comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Planned {
    /// Distinct codes.
    pub codes: u64,
    /// Calls that they take: 200 codes each, where the operation allows that.
    pub batches: u64,
    /// Lines that repeat a code, which are not sent.
    pub duplicates: u64,
    /// The first of them: the place of the repetition, and of the first; both as `file:line`.
    pub repeated: Vec<(String, String)>,
    /// Lines that hold nothing.
    pub empty_lines: u64,
    /// What all request numbers begin with.
    pub numbers: String,
    /// Digest of the input's content, in hex.
    pub digest: String,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl Planned {
    /// How many duplicates are named.
    pub const SHOWN: usize = 20;
}

impl Job {
    /// A job for the merchant and host of a client.
    pub fn of<T>(client: &Client<T>, endpoint: Endpoint, target: Map<String, Value>) -> Self {
        let (base_url, mchid) = (client.base_url().to_string(), client.identity().id().to_owned());
        Self { endpoint, target, base_url, mchid }
    }

    /// Judges an input and plans it, without a journal: a dry run. Temporary files lie in `folder`.
    ///
    /// # Errors
    /// What is wrong with the input or the target: all of it at once.
    pub fn plan(&self, input: &Input, folder: &Path) -> Result<Planned, UploadError> {
        let limits = self.limits()?;
        let survey = survey(input, limits, folder)?;
        let (codes, empty_lines) = (survey.codes, survey.reader.empty_lines);
        let (digest, notes) = (survey.digest.clone(), survey.reader.notes.clone());
        let numbers = self.numbers(&digest, limits)?.prefix().to_owned();
        let mut batches = survey.batches(input, limits)?;
        let (mut duplicates, mut repeated) = (0, Vec::new());
        while let Some(line) = batches.next()? {
            let place = line.place;
            if let crate::plan::Kind::Duplicate { first } = line.kind {
                duplicates += 1;
                if repeated.len() < Planned::SHOWN {
                    repeated.push((batches.shown(place), batches.shown(first)));
                }
            }
        }
        let batches = codes.div_ceil(limits.batch as u64);
        Ok(Planned { codes, batches, duplicates, repeated, empty_lines, numbers, digest, notes })
    }

    /// Opens the journal at `path`, or plans the input and creates it. Nothing is sent.
    ///
    /// A journal that is there must be of the same job and of an input with the same content, wherever it lies now.
    ///
    /// # Errors
    /// See [`UploadError`].
    pub fn open(&self, input: &Input, path: &Path) -> Result<Journal, UploadError> {
        let limits = self.limits()?;
        if Journal::is_there(path)? {
            let mut journal = Journal::open(path)?;
            self.take_up(&mut journal, input, limits)?;
            return Ok(journal);
        }
        let survey = survey(input, limits, folder(path))?;
        let header = self.header(input, &survey, limits)?;
        check_room(path, &header)?;
        Ok(Journal::create(path, header, survey.batches(input, limits)?)?)
    }

    /// Plans the input and creates the journal on an empty storage of your own; `name` is for messages.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn create_on(&self, storage: impl StorageBackend, name: &str, input: &Input) -> Result<Journal, UploadError> {
        let limits = self.limits()?;
        let survey = survey(input, limits, &std::env::temp_dir())?;
        let header = self.header(input, &survey, limits)?;
        Ok(Journal::create_on(storage, name, header, survey.batches(input, limits)?)?)
    }

    /// Takes up a journal on a storage of your own.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(&self, storage: impl StorageBackend, name: &str, input: &Input) -> Result<Journal, UploadError> {
        let mut journal = Journal::open_storage(storage, name)?;
        self.take_up(&mut journal, input, self.limits()?)?;
        Ok(journal)
    }

    /// Refuses the journal of another upload.
    pub(crate) fn check(&self, journal: &Journal) -> Result<(), JournalError> {
        journal.check(&Header::new(self.endpoint.spec.id(), self.base_url.clone(), &self.mchid, &self.target))
    }

    fn take_up(&self, journal: &mut Journal, input: &Input, limits: Limits) -> Result<(), UploadError> {
        self.check(journal)?;
        let (found, _) = digest_of(input, limits)?;
        let planned = &journal.header().digest;
        if *planned != found {
            return Err(JournalError::Changed { planned: planned.clone(), found }.into());
        }
        Ok(journal.moved(&input.sources)?)
    }

    fn header(&self, input: &Input, survey: &crate::plan::Survey, limits: Limits) -> Result<Header, UploadError> {
        let mut header = Header::new(self.endpoint.spec.id(), self.base_url.clone(), &self.mchid, &self.target);
        header.input_format = input.format.clone();
        header.files.clone_from(&survey.reader.seen);
        header.digest.clone_from(&survey.digest);
        header.numbers = self.numbers(&survey.digest, limits)?.prefix().to_owned();
        header.batch = limits.batch;
        header.codes = survey.codes;
        header.empty_lines = survey.reader.empty_lines;
        Ok(header)
    }

    /// The request numbers: the same input for the same target always gets the same ones.
    fn numbers(&self, digest: &str, limits: Limits) -> Result<Numbers, UploadError> {
        let facts = BTreeMap::from([
            ("operation", self.endpoint.spec.id().to_owned()),
            ("mchid", self.mchid.clone()),
            ("target", Value::Object(self.target.clone()).to_string()),
            ("input", digest.to_owned()),
            ("batch", limits.batch.to_string()),
        ]);
        Numbers::new(&facts, limits).map_err(UploadError::Unsupported)
    }

    /// The limits of the endpoint; the target is checked against them too.
    fn limits(&self) -> Result<Limits, UploadError> {
        let limits = self.endpoint.limits().map_err(UploadError::Unsupported)?;
        let code = ('0'..='z').find(|character| limits.allows(*character)).unwrap_or('0');
        let mut request = self.target.clone();
        request.insert(self.endpoint.codes.to_owned(), vec![code.to_string(); 1].into());
        request.insert(limits.number_field.to_owned(), self.numbers("", limits)?.of(0).into());
        let context = Context { now: 0, mchid: &self.mchid };
        let violations = check(self.endpoint.spec, &Value::Object(request), &context);
        if violations.is_empty() {
            Ok(limits)
        } else {
            let operation = self.endpoint.spec.id().to_owned();
            Err(UploadError::Invalid(Error::Invalid(Invalid { operation, violations })))
        }
    }
}

/// Says at once that the disk has no room for the journal, where the system tells.
fn check_room(path: &Path, header: &Header) -> Result<(), JournalError> {
    let needed = Header::needed(header.codes.div_ceil(header.batch.max(1) as u64));
    match fs4::available_space(folder(path)) {
        Ok(free) if free < needed => {
            Err(JournalError::Full { name: path.display().to_string(), needed, free: Some(free) })
        }
        _ => Ok(()),
    }
}
