//! What was planned and what became of it, on the disk before anything is sent.
//!
//! A [redb](https://docs.rs/redb) file: a commit is there as a whole or not at all, and is synced before it counts.
//! Codes are not in it: the input is read again, and each batch must have the digest that was planned.

use crate::input::{Format, Input, Seen, Source, folder};
use crate::plan::{Batches, Duplicates, Gathered, PlanError, digest, gather};
use redb::backends::FileBackend;
use redb::{Database, ReadableTable, StorageBackend, TableDefinition};
use same_file::Handle;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Facts about the upload, under one key.
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("wechatpay-uploader");
/// Batch → number of its codes and their digest.
const PLAN: TableDefinition<u64, (u32, [u8; 32])> = TableDefinition::new("plan");
/// Batch → what became of it, as JSON. A batch that is not here is planned.
const PROGRESS: TableDefinition<u64, &[u8]> = TableDefinition::new("progress");
/// Batch and position → what became of a code that was not simply taken, as JSON.
const CODES: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("codes");
/// Place of a repeated code → place of the first.
const DUPLICATES: TableDefinition<u64, u64> = TableDefinition::new("duplicates");

const HEADER: &str = "header";
const FORMAT: u32 = 1;
/// Memory for pages.
const CACHE: usize = 1 << 20;
/// Batches of a plan that are committed together.
const GROUP: u64 = 8192;
/// The first bytes of every redb file.
const MAGIC: &[u8] = b"redb";
/// Where the header of a redb file says how long pages and regions are, and what it says in every journal. No checksum is over
/// it, and redb believes it: a flipped bit there asks for gigabytes, or panics when the file is closed.
const LAYOUT: (u64, [u8; 12]) = (12, [0, 16, 0, 0, 130, 0, 0, 0, 0, 0, 16, 0]);
/// Where behind it the number of whole regions stands, and that of the pages in the last one, which is none.
const REGIONS: u64 = 24;

/// What an upload is: facts that do not change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Header {
    format: u32,
    /// Id of the operation.
    pub operation: String,
    /// Host that they are sent to, as the client names it.
    pub base_url: String,
    /// Merchant id.
    pub mchid: String,
    /// The arguments beside codes and number: the stock.
    pub target: Map<String, Value>,
    /// How the codes stand in the files.
    pub input_format: Format,
    pub(crate) files: Vec<Seen>,
    /// Digest of the input's content, in hex: the same content may go on, other content may not.
    pub digest: String,
    /// What all request numbers begin with.
    pub numbers: String,
    /// Most codes of a batch.
    pub batch: usize,
    /// Number of batches.
    pub batches: u64,
    /// Distinct codes.
    pub codes: u64,
    /// Lines that repeat a code.
    pub duplicates: u64,
    /// Lines that hold nothing.
    pub empty_lines: u64,
}

impl Header {
    /// A header to be filled by a plan.
    pub(crate) fn new(operation: &str, base_url: String, mchid: &str, target: &Map<String, Value>) -> Self {
        Self {
            format: FORMAT,
            operation: operation.to_owned(),
            base_url,
            mchid: mchid.to_owned(),
            target: target.clone(),
            input_format: Format::Text,
            files: Vec::new(),
            digest: String::new(),
            numbers: String::new(),
            batch: 0,
            batches: 0,
            codes: 0,
            duplicates: 0,
            empty_lines: 0,
        }
    }

    /// The input as it was planned.
    pub fn input(&self) -> Input {
        let sources = self.files.iter().map(|seen| seen.source.clone()).collect();
        Input { sources, format: self.input_format.clone() }
    }

    /// Refuses what is another upload.
    fn check(&self, asked: &Self) -> Result<(), JournalError> {
        let other = |what: &'static str, planned: String, asked: String| {
            if planned == asked { Ok(()) } else { Err(JournalError::Other { what, planned, asked }) }
        };
        let text = |target: &Map<String, Value>| Value::Object(target.clone()).to_string();
        other("operation", self.operation.clone(), asked.operation.clone())?;
        other("host", self.base_url.clone(), asked.base_url.clone())?;
        other("merchant", self.mchid.clone(), asked.mchid.clone())?;
        other("target", text(&self.target), text(&asked.target))
    }

    /// Refuses a file whose content, of which this is the SHA-256, is not what was planned.
    pub(crate) fn check_file(&self, sha256: &str) -> Result<(), JournalError> {
        let found = digest(&self.input_format, [sha256]);
        if found == self.digest { Ok(()) } else { Err(JournalError::Changed { planned: self.digest.clone(), found }) }
    }

    /// Bytes that the journal may need for a plan of so many batches.
    pub(crate) fn needed(batches: u64) -> u64 {
        (4 << 20) + batches * 640
    }
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// Not sent.
    #[default]
    Planned,
    /// About to be sent, or sent: until an answer is there, nobody knows.
    Sending,
    /// Answered; each code has its own outcome.
    Done,
    /// Refused as a whole; no code of it was taken.
    Refused,
    /// It may have been executed, and no answer says so. It is sent again under the same number.
    Unknown,
}

/// What became of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CodeState {
    /// This upload brought it.
    Uploaded,
    /// It was there before this upload.
    Existed,
    /// WeChat Pay refused it, or its batch.
    Refused,
    /// The answer does not name it.
    Unclear,
    /// Its batch may have been executed.
    Unknown,
    /// Its batch was not sent.
    NotSent,
    /// It repeats an earlier line.
    Duplicate,
}

impl CodeState {
    /// The name in reports: `uploaded`, `existed`, `refused`, `unclear`, `unknown`, `not_sent`, `duplicate`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uploaded => "uploaded",
            Self::Existed => "existed",
            Self::Refused => "refused",
            Self::Unclear => "unclear",
            Self::Unknown => "unknown",
            Self::NotSent => "not_sent",
            Self::Duplicate => "duplicate",
        }
    }
}

/// How the codes of a batch that was answered came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) uploaded: u32,
    pub(crate) existed: u32,
    pub(crate) refused: u32,
    pub(crate) unclear: u32,
}

/// What is known about a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) state: State,
    /// Calls so far, over all runs.
    pub(crate) attempts: u32,
    /// Whether a call may have been executed whose answer nobody saw.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) maybe: bool,
    #[serde(default)]
    pub(crate) tally: Tally,
    /// Why it was refused, or is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What of the answer does not fit the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) differences: Vec<String>,
}

/// What became of one code, where that is not the rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) state: CodeState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// News about a batch, to be committed.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) batch: u64,
    pub(crate) progress: Progress,
    pub(crate) notes: Vec<(u32, Note)>,
}

/// Where an upload stands. Codes and lines balance: `codes` is the sum of the six states, and each line with a code is
/// one of `codes` or of `duplicates`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Distinct codes.
    pub codes: u64,
    /// Brought by this upload, in this run or an earlier one.
    pub uploaded: u64,
    /// There before this upload, so that they are not its own.
    pub existed: u64,
    /// Refused, one by one or with their batch.
    pub refused: u64,
    /// In batches that were answered, but not named by the answer.
    pub unclear: u64,
    /// In batches that may have been executed.
    pub unknown: u64,
    /// In batches that were not sent.
    pub not_sent: u64,
    /// Lines that repeat a code; they are not sent.
    pub duplicates: u64,
    /// Batches of the plan.
    pub batches: u64,
    /// Batches that were answered.
    pub batches_done: u64,
    /// Batches that were refused as a whole.
    pub batches_refused: u64,
    /// Calls so far, over all runs.
    pub attempts: u64,
    /// Answers that do not quite fit their request; see the report.
    pub differences: u64,
}

impl Totals {
    /// Whether every batch was answered.
    pub fn complete(&self) -> bool {
        self.batches_done == self.batches
    }

    /// The sum of all states is the number of codes.
    pub fn balances(&self) -> bool {
        self.uploaded + self.existed + self.refused + self.unclear + self.unknown + self.not_sent == self.codes
    }

    /// Adds a batch, or takes it away.
    pub(crate) fn count(&mut self, codes: u32, progress: &Progress, sign: Sign) {
        let tally = &progress.tally;
        let codes = u64::from(codes);
        let add = |total: &mut u64, number: u64| {
            *total = match sign {
                Sign::Plus => total.saturating_add(number),
                Sign::Minus => total.saturating_sub(number),
            }
        };
        add(&mut self.attempts, u64::from(progress.attempts));
        add(&mut self.differences, progress.differences.len() as u64);
        match progress.state {
            State::Planned => add(&mut self.not_sent, codes),
            State::Sending | State::Unknown => add(&mut self.unknown, codes),
            State::Refused => {
                add(&mut self.refused, codes);
                add(&mut self.batches_refused, 1);
            }
            State::Done => {
                add(&mut self.uploaded, u64::from(tally.uploaded));
                add(&mut self.existed, u64::from(tally.existed));
                add(&mut self.refused, u64::from(tally.refused));
                add(&mut self.unclear, u64::from(tally.unclear));
                add(&mut self.batches_done, 1);
            }
        }
    }
}

/// Whether something is added or taken away.
#[derive(Clone, Copy)]
pub(crate) enum Sign {
    Plus,
    Minus,
}

/// An open journal; nobody else can open it meanwhile.
#[derive(Debug)]
pub struct Journal {
    database: Arc<Database>,
    /// For messages.
    name: String,
    path: Option<PathBuf>,
    header: Header,
    totals: Totals,
}

impl Journal {
    /// Opens a journal that is there.
    ///
    /// # Errors
    /// It is none, it is damaged, or somebody else has it open.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let name = path.display().to_string();
        let io = |error: io::Error| JournalError::Io { name: name.clone(), error };
        let mut file = File::options().read(true).write(true).open(path).map_err(unwritable).map_err(io)?;
        let mut magic = Vec::new();
        (&mut file).take(MAGIC.len() as u64).read_to_end(&mut magic).map_err(io)?;
        if magic != MAGIC {
            return Err(JournalError::Foreign { name });
        }
        let backend = FileBackend::new(file).map_err(|error| JournalError::from_redb(&name, error.into()))?;
        Self::open_on(backend, &name, Some(path.to_owned()))
    }

    /// Whether something is at this path.
    pub(crate) fn is_there(path: &Path) -> Result<bool, JournalError> {
        let there = path.try_exists().and_then(|there| match std::fs::symlink_metadata(path) {
            Ok(_) if !there => Err(io::Error::other("is a link to a file that is not there; remove it")),
            _ => Ok(there),
        });
        there.map_err(|error| JournalError::Io { name: path.display().to_string(), error })
    }

    /// Opens a journal on a storage of your own; `name` is for messages.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_storage(storage: impl StorageBackend, name: &str) -> Result<Self, JournalError> {
        Self::open_on(storage, name, None)
    }

    fn open_on(storage: impl StorageBackend, name: &str, path: Option<PathBuf>) -> Result<Self, JournalError> {
        let damaged = |why: String| JournalError::Damaged { name: name.to_owned(), why };
        let open = || -> Result<_, Broken> {
            let (place, layout) = LAYOUT;
            if storage.len()? > 0 && storage.read(place, layout.len())? != layout {
                return Err(redb::Error::Corrupted("its header is not that of a journal".to_owned()).into());
            }
            // The reader would panic.
            if storage.len()? > 0 && storage.len()? < length(&storage.read(REGIONS, 8)?) {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let mut database = database(storage)?;
            database.check_integrity()?;
            // What closing would write, while somebody can still be told that it does not go.
            database.begin_write()?.commit()?;
            let read = database.begin_read()?;
            let meta = match read.open_table(META) {
                Ok(meta) => meta,
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok((database, None)),
                Err(error) => return Err(error.into()),
            };
            let header = meta.get(HEADER)?.map(|header| header.value().to_vec());
            Ok((database, header))
        };
        // A file that was made up or torn may be too much for the reader.
        let opened = catch_unwind(AssertUnwindSafe(open)).map_err(|_| damaged("its structure is broken".to_owned()))?;
        let (database, header) = opened.map_err(|error| JournalError::from_redb(name, error))?;
        let Some(header) = header else { return Err(JournalError::Foreign { name: name.to_owned() }) };
        let format = serde_json::from_slice::<Value>(&header).ok().and_then(|header| header.get("format")?.as_u64());
        if format != Some(u64::from(FORMAT)) {
            return Err(JournalError::Version { name: name.to_owned() });
        }
        let header: Header = serde_json::from_slice(&header).map_err(|error| damaged(error.to_string()))?;
        let mut journal =
            Self { database: Arc::new(database), name: name.to_owned(), path, header, totals: Totals::default() };
        journal.totals = journal.add_up()?;
        if journal.totals.batches != journal.header.batches || !journal.totals.balances() {
            return Err(damaged("its plan and its facts do not agree".to_owned()));
        }
        Ok(journal)
    }

    /// Writes a plan. What is seen of it under `path` is complete.
    pub(crate) fn create(path: &Path, header: Header, batches: Batches<'_>) -> Result<Self, PlanError> {
        let name = path.display().to_string();
        let io = |error: io::Error| JournalError::from_io(&name, error, 0);
        let partial = with_suffix(path, ".partial");
        let file = Self::begin(&partial, &name)?;
        let handle = file.try_clone().map_err(io)?;
        let backend = FileBackend::new(file).map_err(|error| JournalError::from_redb(&name, error.into()))?;
        // Who had the lock until now may have ended with a journal, and this file be it.
        if !is_at(&handle, &partial) {
            return Err(JournalError::Locked { name }.into());
        }
        // What is there is left over from a process that ended while it planned: it has the lock no more.
        handle.set_len(0).map_err(io)?;
        let partial = tempfile::TempPath::try_from_path(partial).map_err(io)?;
        let mut journal = Self::create_on(backend, &name, header, batches)?;
        partial.persist_noclobber(path).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => JournalError::Locked { name: name.clone() },
            _ => JournalError::Io { name: name.clone(), error: error.error },
        })?;
        #[cfg(unix)]
        File::open(folder(path)).and_then(|folder| folder.sync_all()).map_err(io)?;
        journal.path = Some(path.to_owned());
        Ok(journal)
    }

    /// A file for a plan: a new one, or what is left over of a plan that came to no end. `name` is that of the journal.
    fn begin(path: &Path, name: &str) -> Result<File, JournalError> {
        let io = |error: io::Error| JournalError::from_io(name, error, 0);
        let mut options = File::options();
        options.read(true).write(true);
        let mut new = options.clone();
        new.create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut new, 0o600);
        match new.open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map_err(io),
        }
        let in_the_way = || JournalError::InTheWay { name: path.display().to_string() };
        if !std::fs::symlink_metadata(path).map_err(io)?.is_file() {
            return Err(in_the_way());
        }
        let file = options.open(path).map_err(io)?;
        if !Self::is_left_over(file.try_clone().map_err(io)?, name)? {
            return Err(in_the_way());
        }
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(io)?;
        Ok(file)
    }

    /// Whether a file is a plan that came to no end, so that nothing was sent from it; one that is empty holds nothing to be
    /// lost.
    fn is_left_over(file: File, name: &str) -> Result<bool, JournalError> {
        let redb = |error: Broken| JournalError::from_redb(name, error);
        let backend = FileBackend::new(file).map_err(|error| redb(error.into()))?;
        let (place, layout) = LAYOUT;
        let length = backend.len().map_err(|error| redb(error.into()))?;
        if length < place + layout.len() as u64 {
            return Ok(length == 0);
        }
        let head = backend.read(0, MAGIC.len()).map_err(|error| redb(error.into()))?;
        match backend.read(place, layout.len()).map_err(|error| redb(error.into()))? {
            // The layout is written before the magic.
            found if found == layout && head == [0; MAGIC.len()] => Ok(true),
            found if found == layout && head == MAGIC => match Self::open_on(backend, name, None) {
                Err(JournalError::Foreign { .. }) => Ok(true),
                Ok(_) | Err(JournalError::Damaged { .. } | JournalError::Version { .. }) => Ok(false),
                Err(error) => Err(error),
            },
            _ => Ok(false),
        }
    }

    /// Writes a plan to a storage, which is empty. What it is comes last: without that it is no journal.
    pub(crate) fn create_on(
        storage: impl StorageBackend,
        name: &str,
        mut header: Header,
        mut batches: Batches<'_>,
    ) -> Result<Self, PlanError> {
        let needed = Header::needed(header.codes.div_ceil(header.batch.max(1) as u64));
        let failed = |error: Broken| PlanError::Journal(JournalError::from_redb(name, error).needing(needed));
        let database = database(storage).map_err(failed)?;
        let mut more = true;
        while more {
            let write = database.begin_write().map_err(|error| failed(error.into()))?;
            {
                let mut plan = write.open_table(PLAN).map_err(|error| failed(error.into()))?;
                let mut duplicates = write.open_table(DUPLICATES).map_err(|error| failed(error.into()))?;
                write.open_table(PROGRESS).map_err(|error| failed(error.into()))?;
                write.open_table(CODES).map_err(|error| failed(error.into()))?;
                let end = header.batches + GROUP;
                while more && header.batches < end {
                    let gathered = gather(&mut batches, |place, first| {
                        header.duplicates += 1;
                        let inserted = duplicates.insert(place.packed(), first.packed());
                        inserted.map(drop).map_err(|error| failed(error.into()))
                    })?;
                    more = gathered.is_some();
                    if let Some(gathered) = gathered {
                        let count = u32::try_from(gathered.codes.len()).unwrap_or(u32::MAX);
                        let inserted = plan.insert(gathered.index, (count, gathered.codes.digest()));
                        inserted.map(drop).map_err(|error| failed(error.into()))?;
                        header.batches += 1;
                    }
                }
                if !more {
                    let text = serde_json::to_vec(&header).map_err(|error| failed(io::Error::other(error).into()))?;
                    let mut meta = write.open_table(META).map_err(|error| failed(error.into()))?;
                    meta.insert(HEADER, text.as_slice()).map(drop).map_err(|error| failed(error.into()))?;
                }
            }
            write.commit().map_err(|error| failed(error.into()))?;
        }
        let mut journal =
            Self { database: Arc::new(database), name: name.to_owned(), path: None, header, totals: Totals::default() };
        journal.totals = journal.add_up()?;
        Ok(journal)
    }

    /// What the upload is: facts that were settled when it was planned.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where it stands, over all runs.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Where it lies, if it is a file.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Refuses to be the journal of another upload.
    pub(crate) fn check(&self, asked: &Header) -> Result<(), JournalError> {
        self.header.check(asked)
    }

    /// Takes note of where the input is now; what it says is the same.
    pub(crate) fn moved(&mut self, sources: &[Source]) -> Result<(), JournalError> {
        let mut header = self.header.clone();
        for (seen, source) in header.files.iter_mut().zip(sources) {
            seen.source = source.clone();
        }
        if header != self.header {
            let text = serde_json::to_vec(&header).map_err(|error| self.failed(io::Error::other(error)))?;
            self.write(|write| {
                write.open_table(META)?.insert(HEADER, text.as_slice())?;
                Ok(())
            })?;
            self.header = header;
        }
        Ok(())
    }

    /// Marks batches as being sent and takes down what became of others, in one commit that is synced when this
    /// returns.
    pub(crate) fn commit(&mut self, reserved: &[u64], outcomes: &[Outcome]) -> Result<(), JournalError> {
        if reserved.is_empty() && outcomes.is_empty() {
            return Ok(());
        }
        let mut totals = self.totals;
        let encode = |progress: &Progress| serde_json::to_vec(progress).map_err(io::Error::other);
        self.write(|write| {
            let plan = write.open_table(PLAN)?;
            let mut table = write.open_table(PROGRESS)?;
            let mut codes = write.open_table(CODES)?;
            for outcome in outcomes {
                let count = plan.get(outcome.batch)?.map_or(0, |row| row.value().0);
                let before = read_progress(table.get(outcome.batch)?.map(|row| row.value().to_vec()).as_deref())?;
                totals.count(count, &before, Sign::Minus);
                totals.count(count, &outcome.progress, Sign::Plus);
                table.insert(outcome.batch, encode(&outcome.progress)?.as_slice())?;
                for (position, note) in &outcome.notes {
                    let note = serde_json::to_vec(note).map_err(io::Error::other)?;
                    codes.insert((outcome.batch, *position), note.as_slice())?;
                }
            }
            for batch in reserved {
                let count = plan.get(*batch)?.map_or(0, |row| row.value().0);
                let before = read_progress(table.get(*batch)?.map(|row| row.value().to_vec()).as_deref())?;
                let sending = Progress { state: State::Sending, ..before.clone() };
                totals.count(count, &before, Sign::Minus);
                totals.count(count, &sending, Sign::Plus);
                table.insert(*batch, encode(&sending)?.as_slice())?;
            }
            Ok(())
        })?;
        self.totals = totals;
        Ok(())
    }

    fn write(&self, act: impl FnOnce(&redb::WriteTransaction) -> Result<(), Broken>) -> Result<(), JournalError> {
        let run = || -> Result<(), Broken> {
            let write = self.database.begin_write()?;
            act(&write)?;
            write.commit()?;
            Ok(())
        };
        run().map_err(|error| JournalError::from_redb(&self.name, error).needing(Header::needed(self.header.batches)))
    }

    /// For looking things up.
    pub(crate) fn view(&self) -> View {
        View { name: self.name.clone(), database: Arc::clone(&self.database) }
    }

    fn add_up(&self) -> Result<Totals, JournalError> {
        self.view().look(|read| {
            let (plan, table) = (read.open_table(PLAN)?, read.open_table(PROGRESS)?);
            let mut totals = Totals { duplicates: self.header.duplicates, ..Totals::default() };
            for row in plan.iter()? {
                let (batch, planned) = row?;
                let progress = table.get(batch.value())?;
                let progress = read_progress(progress.map(|row| row.value().to_vec()).as_deref())?;
                totals.batches += 1;
                totals.codes += u64::from(planned.value().0);
                totals.count(planned.value().0, &progress, Sign::Plus);
            }
            Ok(totals)
        })
    }

    fn failed(&self, error: io::Error) -> JournalError {
        JournalError::from_io(&self.name, error, Header::needed(self.header.batches))
    }
}

/// How long a file is at least whose header says this of its regions: how many are whole, and how many pages the last one has.
pub(crate) fn length(regions: &[u8]) -> u64 {
    let &[a, b, c, d, e, f, g, h] = regions else { return u64::MAX };
    let (whole, last) = (u64::from(u32::from_le_bytes([a, b, c, d])), u64::from(u32::from_le_bytes([e, f, g, h])));
    // Pages as long, and as many of them, as `LAYOUT` says.
    let (page, head, most) = (4096_u64, 130, 0x10_0000);
    let last = if last > 0 || whole == 0 { head + last } else { 0 };
    page.saturating_mul(1 + whole * (head + most) + last)
}

fn database(storage: impl StorageBackend) -> Result<Database, Broken> {
    let mut builder = Database::builder();
    Ok(builder.set_cache_size(CACHE).create_with_file_format_v3(true).create_with_backend(storage)?)
}

/// What to do where a file cannot be opened for writing.
pub(crate) fn unwritable(error: io::Error) -> io::Error {
    match error.kind() {
        kind @ (io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            let advice =
                "a journal is opened for writing, whatever is asked of it: copy it to a place where you may write";
            io::Error::new(kind, format!("{error}; {advice}"))
        }
        _ => error,
    }
}

fn read_progress(text: Option<&[u8]>) -> Result<Progress, Broken> {
    let Some(text) = text else { return Ok(Progress::default()) };
    serde_json::from_slice(text).map_err(|error| corrupted(&error))
}

/// Whether this open file still has this name.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let opened = file.try_clone().and_then(Handle::from_file);
    opened.is_ok_and(|opened| Handle::from_path(path).is_ok_and(|there| there == opened))
}

/// A path with something behind its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Looks things up in a journal. Each look is short: one that lasts would keep the file from using its pages again.
#[derive(Clone)]
pub(crate) struct View {
    name: String,
    database: Arc<Database>,
}

/// Repeated lines that are looked up at once.
const AHEAD: usize = 1024;

impl View {
    fn look<R>(&self, look: impl FnOnce(&redb::ReadTransaction) -> Result<R, Broken>) -> Result<R, JournalError> {
        let run = || look(&self.database.begin_read()?);
        run().map_err(|error| JournalError::from_redb(&self.name, error))
    }

    /// What became of a batch.
    pub(crate) fn progress(&self, batch: u64) -> Result<Progress, JournalError> {
        self.look(|read| {
            let row = read.open_table(PROGRESS)?.get(batch)?;
            read_progress(row.map(|row| row.value().to_vec()).as_deref())
        })
    }

    /// Whether the batch has the codes that were planned.
    pub(crate) fn planned(&self, gathered: &Gathered) -> Result<bool, JournalError> {
        self.look(|read| {
            let Some(row) = read.open_table(PLAN)?.get(gathered.index)? else { return Ok(false) };
            let (count, digest) = row.value();
            Ok(usize::try_from(count).ok() == Some(gathered.codes.len()) && digest == gathered.codes.digest())
        })
    }

    /// What became of the codes of a batch, where that is not the rule.
    pub(crate) fn notes(&self, batch: u64) -> Result<HashMap<u32, Note>, JournalError> {
        self.look(|read| {
            let codes = read.open_table(CODES)?;
            let mut notes = HashMap::new();
            for row in codes.range((batch, 0)..=(batch, u32::MAX))? {
                let (key, note) = row?;
                let note = serde_json::from_slice(note.value());
                notes.insert(key.value().1, note.map_err(|error| corrupted(&error))?);
            }
            Ok(notes)
        })
    }

    /// The repeated lines in their order.
    pub(crate) fn duplicates(&self) -> Duplicates<'static> {
        let (view, mut ahead, mut from) = (self.clone(), VecDeque::new(), Some(0));
        Box::new(move || {
            if ahead.is_empty()
                && let Some(start) = from
            {
                ahead = view.duplicates_from(start)?;
                // The last piece is shorter than what was asked for.
                from = ahead.back().filter(|_| ahead.len() == AHEAD).and_then(|(place, _)| place.checked_add(1));
            }
            Ok(ahead.pop_front())
        })
    }

    fn duplicates_from(&self, start: u64) -> Result<VecDeque<(u64, u64)>, JournalError> {
        self.look(|read| {
            let table = read.open_table(DUPLICATES)?;
            let rows = table.range(start..)?.take(AHEAD).map(|row| {
                let (place, first) = row?;
                Ok((place.value(), first.value()))
            });
            rows.collect()
        })
    }
}

/// What redb says; in a box, for it is large.
struct Broken(Box<redb::Error>);

impl<E: Into<redb::Error>> From<E> for Broken {
    fn from(error: E) -> Self {
        Self(Box::new(error.into()))
    }
}

fn corrupted(error: &serde_json::Error) -> Broken {
    redb::Error::Corrupted(error.to_string()).into()
}

/// A journal that cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process has it open.
    Locked {
        /// The journal.
        name: String,
    },
    /// It cannot be believed.
    Damaged {
        /// The journal.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file is something else.
    Foreign {
        /// The file.
        name: String,
    },
    /// Something else stands where a plan would be written.
    InTheWay {
        /// What stands there.
        name: String,
    },
    /// It was written by another version.
    Version {
        /// The journal.
        name: String,
    },
    /// It belongs to another upload.
    Other {
        /// What is different.
        what: &'static str,
        /// What the journal says.
        planned: String,
        /// What was asked for.
        asked: String,
    },
    /// The input is not the one that was planned.
    Changed {
        /// Digest of the input that was planned.
        planned: String,
        /// Digest of the input now.
        found: String,
    },
    /// A batch has other codes than were planned, though the input as a whole was the same a moment ago.
    ChangedMeanwhile,
    /// There is no room on the disk.
    Full {
        /// The journal.
        name: String,
        /// Bytes that it may need in all; 0 where that is not known yet.
        needed: u64,
        /// Bytes that are free, where the system says it.
        free: Option<u64>,
    },
    /// The disk or the file system failed.
    Io {
        /// The journal.
        name: String,
        /// What the system says.
        error: io::Error,
    },
}

impl JournalError {
    fn from_redb(name: &str, error: Broken) -> Self {
        let name = name.to_owned();
        match *error.0 {
            redb::Error::DatabaseAlreadyOpen => Self::Locked { name },
            redb::Error::Io(error) => Self::from_io(&name, error, 0),
            redb::Error::PreviousIo => Self::Io { name, error: io::Error::other("an earlier write failed") },
            redb::Error::UpgradeRequired(_) => Self::Version { name },
            other => Self::Damaged { name, why: other.to_string() },
        }
    }

    pub(crate) fn from_io(name: &str, error: io::Error, needed: u64) -> Self {
        let name = name.to_owned();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                let free = fs4::available_space(folder(Path::new(&name))).ok();
                Self::Full { name, needed, free }
            }
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                Self::Damaged { name, why: "it ends too early".to_owned() }
            }
            _ => Self::Io { name, error },
        }
    }

    fn needing(mut self, bytes: u64) -> Self {
        if let Self::Full { needed, .. } = &mut self {
            *needed = bytes;
        }
        self
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { name } => {
                write!(f, "{name}: another process is working with this journal; wait until it ends")
            }
            Self::Damaged { name, why } => write!(
                f,
                "{name}: this journal is damaged ({why}), so nothing was sent; restore it, or move it away and run the \
                 same again: request numbers follow from the input, so that WeChat Pay recognises what it has"
            ),
            Self::Foreign { name } => {
                write!(f, "{name}: this file is no journal of an upload, and is left alone; name another one")
            }
            Self::InTheWay { name } => write!(
                f,
                "{name}: the journal is to be written here first, and this is something else, which is left alone; move it \
                 away, or name another journal"
            ),
            Self::Version { name } => {
                write!(f, "{name}: this journal was written by another version; finish it with that one")
            }
            Self::Other { what, planned, asked } => write!(
                f,
                "this journal belongs to another upload: its {what} is {planned}, not {asked}; name another \
                 journal"
            ),
            Self::Changed { planned, found } => write!(
                f,
                "the input has changed since it was planned, so nothing was sent: its digest was {planned} and is \
                 {found} now; give the same input, or name another journal"
            ),
            Self::ChangedMeanwhile => f.write_str(
                "the input changed while it was read; what was sent is in the journal: give the same input as before \
                 and run the same again",
            ),
            Self::Full { name, needed, free } => {
                write!(f, "{name}: no room for the journal")?;
                if *needed > 0 {
                    write!(f, ": it needs up to {needed} bytes")?;
                }
                if let Some(free) = free {
                    write!(f, ", and {free} are free")?;
                }
                f.write_str("; nothing was sent without it: make room, then run the same again")
            }
            Self::Io { name, error } => write!(f, "{name}: {error}"),
        }
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
