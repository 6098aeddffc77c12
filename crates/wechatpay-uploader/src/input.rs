//! Codes from files: text or CSV, plain or gzip, as a stream. Nothing is trimmed: a space belongs to its code.
//!
//! A line ends with a line feed, or with carriage return and line feed. Empty lines are passed over and counted.

use crate::endpoint::Limits;
use crate::plan::digest;
use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Bytes that are read at once.
pub(crate) const BUFFER: usize = 64 << 10;
/// Bytes of a line that are kept; it is read on to its end, whatever its length.
const KEPT: usize = 1024;
/// Most bytes of a row of CSV: more of it would have to be held in memory.
const LONGEST_ROW: u64 = 1 << 20;
/// Most files of one input.
const MOST_FILES: usize = u16::MAX as usize;

/// How codes stand in a file. UTF-8, with or without a byte order mark; gzip is told by its first bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// A code on each line.
    Text,
    /// Comma-separated values with a row of names in front; the codes are in the column of this name.
    Csv {
        /// Name of the column, exactly as it stands in the first row.
        column: String,
    },
}

/// A regular file with codes, which is read several times and must not change meanwhile. A pipe is none:
/// [`keep`](Self::keep) what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where it is, in UTF-8. It may move between runs; what counts is its content.
    pub path: PathBuf,
    /// What messages and reports call it.
    pub name: String,
}

impl Source {
    /// A file that is called by its path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { name: path.display().to_string(), path }
    }

    /// Refuses a path that could not be written down.
    pub(crate) fn check(&self) -> Result<(), InputError> {
        if self.path.to_str().is_some() {
            return Ok(());
        }
        let problem = format!(
            "its path, {}, is not UTF-8, and the journal holds paths as text; use a folder whose path is UTF-8",
            self.path.display()
        );
        Err(InputError::unreadable(&self.name, problem))
    }
}

/// Files that are read one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The files, in their order.
    pub sources: Vec<Source>,
    /// How codes stand in each of them.
    pub format: Format,
}

impl Input {
    /// What messages call the files.
    pub(crate) fn names(&self) -> Vec<String> {
        self.sources.iter().map(|source| source.name.clone()).collect()
    }
}

/// Where a code stands: its file, and the line on which it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Index of the file, from 0.
    pub file: u16,
    /// Line, from 1.
    pub line: u64,
}

impl Place {
    const LINE_BITS: u32 = 48;

    /// As one number that keeps the order.
    pub(crate) fn packed(self) -> u64 {
        u64::from(self.file) << Self::LINE_BITS | self.line & ((1 << Self::LINE_BITS) - 1)
    }

    pub(crate) fn unpacked(packed: u64) -> Self {
        let file = u16::try_from(packed >> Self::LINE_BITS).unwrap_or(u16::MAX);
        Self { file, line: packed & ((1 << Self::LINE_BITS) - 1) }
    }
}

/// Why a line holds no code that could be uploaded. It never says the code itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Too many characters.
    TooLong {
        /// How many there are.
        length: u64,
        /// How many there may be.
        most: usize,
    },
    /// A field without a code.
    Empty,
    /// A character that codes may not have.
    Character {
        /// Which one.
        character: char,
        /// The place of the character in the code, from 1.
        at: usize,
    },
    /// Bytes that are no UTF-8.
    NotUtf8,
    /// The row ends before the column.
    NoField,
    /// The row has more or fewer fields than the first one: a field may be taken for another.
    Width {
        /// How many there are.
        fields: usize,
        /// How many the first row has.
        names: usize,
    },
    /// A quotation mark in this row is not closed up to the end of the file.
    OpenQuote,
    /// Behind a field in quotation marks stands something else than a comma or the end of the line: one of its quotation
    /// marks is no end, and what it holds may be rows of their own.
    ClosedQuote,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length, most } => write!(f, "{length} characters, and a code has {most} at most"),
            Self::Empty => f.write_str("the code is empty"),
            Self::Character { character, at } => {
                let advice = match character {
                    ',' | ';' => "; is this a CSV file? then name its column",
                    _ => "",
                };
                write!(f, "character {at} is {}, which codes may not have{advice}", shown(*character))
            }
            Self::NotUtf8 => f.write_str("it is not UTF-8, and codes are plain ASCII"),
            Self::NoField => f.write_str("the row ends before the column of the codes"),
            Self::Width { fields, names } => {
                let s = if *fields == 1 { "" } else { "s" };
                write!(
                    f,
                    "{fields} field{s}, and the first row has {names}; a field with a comma needs quotation marks"
                )
            }
            Self::OpenQuote => f.write_str("a quotation mark is not closed, up to the end of the file"),
            Self::ClosedQuote => f.write_str(
                "text behind the closing quotation mark of a field; a quotation mark inside of such a field is written \
                 twice",
            ),
        }
    }
}

fn shown(character: char) -> String {
    match character {
        '\t' => "a tab".to_owned(),
        '\r' => "a carriage return".to_owned(),
        '\0' => "a zero byte".to_owned(),
        visible if visible.is_ascii_graphic() => format!("`{visible}`"),
        other => format!("U+{:04X}", u32::from(other)),
    }
}

/// An input that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputError {
    /// A file as a whole.
    Unreadable {
        /// Which file.
        name: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// Lines without a valid code; at most [`InputError::SHOWN`] of them are kept.
    Invalid {
        /// `file:line` and what is wrong there.
        lines: Vec<(String, Fault)>,
        /// How many there are in all.
        count: u64,
    },
    /// No file holds a code.
    Empty {
        /// What was read.
        names: Vec<String>,
    },
    /// A second reading found something else than the first.
    Changed {
        /// What was read.
        names: Vec<String>,
    },
    /// What cannot be asked for.
    Unsupported(String),
}

impl InputError {
    /// How many invalid lines are named.
    pub const SHOWN: usize = 100;

    pub(crate) fn unreadable(name: &str, problem: impl Into<String>) -> Self {
        Self::Unreadable { name: name.to_owned(), problem: problem.into() }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { name, problem } => write!(f, "{name}: {problem}"),
            Self::Invalid { lines, count } => {
                let s = if *count == 1 { " holds" } else { "s hold" };
                write!(f, "{count} line{s} no valid code; nothing was sent")?;
                lines.iter().try_for_each(|(place, fault)| write!(f, "\n  {place}: {fault}"))?;
                match count.saturating_sub(lines.len() as u64) {
                    0 => Ok(()),
                    more => write!(f, "\n  and {more} more"),
                }
            }
            Self::Empty { names } => write!(f, "{}: there is no code in it; nothing was sent", names.join(", ")),
            Self::Changed { names } => write!(
                f,
                "{}: changed while it was read, so nothing was sent; run the same again when nobody writes to it",
                names.join(", ")
            ),
            Self::Unsupported(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for InputError {}

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    #[serde(flatten)]
    pub(crate) source: Source,
    /// Length as it lies on the disk.
    pub(crate) bytes: u64,
    /// SHA-256 of these bytes, in hex.
    pub(crate) sha256: String,
}

/// What stands on one line.
pub(crate) struct Entry<'a> {
    pub(crate) place: Place,
    pub(crate) code: Result<&'a str, Fault>,
}

/// Reads the codes of an input, one after the other.
pub(crate) struct Reader {
    input: Input,
    limits: Limits,
    hashing: bool,
    /// The digest that must come out.
    surveyed: Option<String>,
    next: usize,
    open: Option<Open>,
    /// The code, or as much of a line as is kept.
    buffer: Vec<u8>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) empty_lines: u64,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
}

/// A file that is being read.
struct Open {
    file: u16,
    line: u64,
    body: Body,
}

enum Body {
    Text(BufReader<Raw>),
    // A box, because the state of the parser is large.
    Csv { rows: Box<csv::Reader<Row>>, row: csv::ByteRecord, column: usize, names: usize },
}

impl Reader {
    /// A reader; with `hashing` it also digests each file.
    pub(crate) fn new(input: &Input, limits: Limits, hashing: bool) -> Result<Self, InputError> {
        if input.sources.len() > MOST_FILES {
            return Err(InputError::Unsupported(format!("at most {MOST_FILES} files are read at once")));
        }
        input.sources.iter().try_for_each(Source::check)?;
        Ok(Self {
            input: input.clone(),
            limits,
            hashing,
            surveyed: None,
            next: 0,
            open: None,
            buffer: Vec::with_capacity(KEPT),
            seen: Vec::new(),
            empty_lines: 0,
            notes: Vec::new(),
        })
    }

    /// A reader for the second time: it fails where it does not find what the first one has found.
    pub(crate) fn again(input: &Input, limits: Limits, digest: String) -> Result<Self, InputError> {
        Ok(Self { surveyed: Some(digest), ..Self::new(input, limits, true)? })
    }

    /// What messages call a file.
    pub(crate) fn name(&self, file: u16) -> &str {
        self.input.sources.get(usize::from(file)).map_or("", |source| &source.name)
    }

    /// Digest of what was read; the reader is one with `hashing`, and has come to the end.
    pub(crate) fn digest(&self) -> String {
        digest(&self.input.format, self.seen.iter().map(|seen| seen.sha256.as_str()))
    }

    /// The next line that is not empty; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Entry<'_>>, InputError> {
        loop {
            if self.open.is_none() && !self.open_next()? {
                let same = self.surveyed.as_ref().is_none_or(|digest| *digest == self.digest());
                return if same { Ok(None) } else { Err(self.changed()) };
            }
            let Some(open) = &mut self.open else { return Ok(None) };
            let read = open.read(&mut self.buffer, self.limits);
            let (file, line) = (open.file, open.line);
            match read {
                Ok(Read1::End) => self.close()?,
                Ok(Read1::EmptyLine) => self.empty_lines += 1,
                // Every line was judged before.
                Ok(Read1::Code(Some(_))) if self.surveyed.is_some() => return Err(self.changed()),
                Ok(Read1::Code(fault)) => {
                    let code = match fault {
                        Some(fault) => Err(fault),
                        None => std::str::from_utf8(&self.buffer).map_err(|_| Fault::NotUtf8),
                    };
                    return Ok(Some(Entry { place: Place { file, line }, code }));
                }
                Err(problem) => return Err(InputError::unreadable(self.name(file), problem)),
            }
        }
    }

    fn changed(&self) -> InputError {
        InputError::Changed { names: self.input.names() }
    }

    fn open_next(&mut self) -> Result<bool, InputError> {
        let Some(source) = self.input.sources.get(self.next) else { return Ok(false) };
        let opened = Open::new(source, self.next, &self.input.format, self.limits, self.hashing);
        let (open, note) = opened.map_err(|problem| InputError::unreadable(&source.name, problem))?;
        self.notes.extend(note.map(|note| format!("{}: {note}", source.name)));
        self.next += 1;
        self.open = Some(open);
        Ok(true)
    }

    fn close(&mut self) -> Result<(), InputError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let Some(source) = self.input.sources.get(usize::from(open.file)) else { return Ok(()) };
        let raw = match open.body {
            Body::Text(raw) => raw.into_inner(),
            Body::Csv { rows, .. } => rows.into_inner().inner.into_inner(),
        };
        let finished = raw.finish();
        let (bytes, sha256) =
            finished.map_err(|error| InputError::unreadable(&source.name, format!("cannot be read: {error}")))?;
        self.seen.push(Seen { source: source.clone(), bytes, sha256 });
        Ok(())
    }
}

/// What one step of reading gives; a code is in the buffer.
enum Read1 {
    Code(Option<Fault>),
    EmptyLine,
    End,
}

impl Open {
    fn new(
        source: &Source,
        file: usize,
        format: &Format,
        limits: Limits,
        hashing: bool,
    ) -> Result<(Self, Option<String>), String> {
        // Before it is opened: that alone would wait for whoever writes to a pipe.
        let kind = std::fs::metadata(&source.path).map_err(|error| format!("cannot be read: {error}"))?.file_type();
        if kind.is_dir() {
            return Err("is a directory; name the files in it".to_owned());
        }
        if !kind.is_file() {
            let problem =
                "is no regular file, and what it holds could not be read twice; pipe that to `-`, which keeps it";
            return Err(problem.to_owned());
        }
        let handle = File::open(&source.path).map_err(|error| format!("cannot be read: {error}"))?;
        let raw = Raw::new(handle, hashing).map_err(|error| format!("cannot be read: {error}"))?;
        let mut reader = BufReader::with_capacity(BUFFER, raw);
        let marked = match look(reader.fill_buf().map_err(unreadable)?) {
            Look::Text => false,
            Look::Marked => true,
            Look::Not(problem) => return Err(problem.to_owned()),
        };
        let note = marked.then(|| "begins with a byte order mark (UTF-8), which is passed over".to_owned());
        if marked {
            reader.consume(MARK.len());
        }
        let body = match format {
            Format::Text => Body::Text(reader),
            Format::Csv { column } => Body::csv(reader, column, limits)?,
        };
        Ok((Self { file: u16::try_from(file).unwrap_or(u16::MAX), line: 0, body }, note))
    }

    /// Reads a line into the buffer and judges it.
    fn read(&mut self, buffer: &mut Vec<u8>, limits: Limits) -> Result<Read1, String> {
        buffer.clear();
        let length = match &mut self.body {
            Body::Text(reader) => {
                let Some(line) = read_line(reader, buffer).map_err(unreadable)? else { return Ok(Read1::End) };
                self.line += 1;
                if line == 0 {
                    return Ok(Read1::EmptyLine);
                }
                line
            }
            Body::Csv { rows, row, column, names } => {
                rows.get_mut().begin();
                if !rows.read_byte_record(row).map_err(bad_row)? {
                    return Ok(Read1::End);
                }
                self.line = rows.get_ref().line;
                if let Some(fault) = misquoted(rows) {
                    return Ok(Read1::Code(Some(fault)));
                }
                let Some(field) = row.get(*column) else { return Ok(Read1::Code(Some(Fault::NoField))) };
                if row.len() != *names {
                    return Ok(Read1::Code(Some(Fault::Width { fields: row.len(), names: *names })));
                }
                buffer.extend_from_slice(field.get(..KEPT).unwrap_or(field));
                characters(field)
            }
        };
        Ok(Read1::Code(fault(buffer, length, limits)))
    }
}

impl Body {
    fn csv(reader: BufReader<Raw>, column: &str, limits: Limits) -> Result<Self, String> {
        let reader = Row::new(reader);
        let mut rows = Box::new(csv::ReaderBuilder::new().flexible(true).buffer_capacity(BUFFER).from_reader(reader));
        let names = rows.byte_headers().map_err(bad_row)?.clone();
        if let Some(fault) = misquoted(&rows) {
            return Err(format!("line {}: {fault}", rows.get_ref().line));
        }
        let mut found = names.iter().enumerate().filter(|(_, name)| *name == column.as_bytes());
        let here = found.next().map(|(at, _)| at);
        if found.next().is_some() {
            return Err(format!("has more than one column called `{column}`; rename one of them"));
        }
        let Some(column) = here else {
            if names.iter().any(|name| may_be_code(name, column, limits)) {
                let (count, s) = (names.len(), if names.len() == 1 { "" } else { "s" });
                return Err(format!(
                    "has no column called `{column}`; its first row, of {count} field{s}, is not shown, for there may be \
                     codes in it: is the row of names missing?"
                ));
            }
            let names: Vec<_> = names.iter().take(20).map(String::from_utf8_lossy).collect();
            let names = names.join("`, `");
            return Err(format!("has no column called `{column}`; its first row names `{names}`"));
        };
        Ok(Self::Csv { rows, row: csv::ByteRecord::new(), column, names: names.len() })
    }
}

/// Shortest word that is taken for a code though there is no digit in it.
const LONG: usize = 8;

/// Whether a field of the first row may be a code, or hold one, where a name was looked for: a message must not say it.
fn may_be_code(field: &[u8], column: &str, limits: Limits) -> bool {
    let (text, column) = (String::from_utf8_lossy(field), column.to_lowercase());
    let mut words = text.split(|character| !limits.allows(character));
    words.any(|word| {
        // What is as good as the name that was asked for is likely to be the one that was meant.
        let meant = column.len() > 2 && word.to_lowercase().contains(&column);
        word.contains(|character: char| character.is_ascii_digit()) || word.len() >= LONG && !meant
    })
}

/// What is wrong with the quotation marks of the row that was read last.
fn misquoted(rows: &csv::Reader<Row>) -> Option<Fault> {
    let Row { bytes, line, behind, .. } = rows.get_ref();
    // It is open where its quotation mark made text of both line ends behind the file.
    let open = *line > 0 && rows.position().byte() > bytes + 1;
    if open { Some(Fault::OpenQuote) } else { behind.then_some(Fault::ClosedQuote) }
}

fn unreadable(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the gzip stream breaks off; get the whole file".to_owned(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            format!("the gzip stream is damaged: {error}; get the file again")
        }
        _ => format!("cannot be read: {error}"),
    }
}

fn bad_row(error: csv::Error) -> String {
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => error.to_string(),
        csv::ErrorKind::Io(error) => unreadable(error),
        other => format!("no valid CSV: {other:?}"),
    }
}

/// What is wrong with a code, of which the buffer holds the beginning.
fn fault(code: &[u8], length: u64, limits: Limits) -> Option<Fault> {
    if length == 0 {
        return Some(Fault::Empty);
    }
    if length > limits.longest() as u64 || code.len() >= KEPT {
        return Some(Fault::TooLong { length, most: limits.longest() });
    }
    // As good as every code is plain ASCII.
    if let Some(charset) = limits.code.charset()
        && code.iter().all(|byte| byte.is_ascii() && charset.contains(char::from(*byte)))
    {
        return None;
    }
    let Ok(text) = std::str::from_utf8(code) else { return Some(Fault::NotUtf8) };
    let wrong = text.chars().enumerate().find(|(_, character)| !limits.allows(*character));
    wrong.map(|(at, character)| Fault::Character { character, at: at + 1 })
}

/// Reads a line without its end; as much of it as is kept goes into the buffer. Says how many characters it has, or
/// `None` at the end of the file.
fn read_line(reader: &mut impl BufRead, kept: &mut Vec<u8>) -> io::Result<Option<u64>> {
    let (mut length, mut any, mut last) = (0, false, 0);
    loop {
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            return Ok(any.then_some(length));
        }
        any = true;
        let end = memchr::memchr(b'\n', chunk);
        let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
        length += characters(part);
        last = part.last().copied().unwrap_or(last);
        let room = KEPT.saturating_sub(kept.len()).min(part.len());
        kept.extend_from_slice(part.get(..room).unwrap_or_default());
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            if last == b'\r' {
                length -= 1;
                if kept.len() < KEPT {
                    kept.pop();
                }
            }
            return Ok(Some(length));
        }
    }
}

/// Number of characters, if these bytes are UTF-8.
fn characters(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte & 0xC0 != 0x80).count() as u64
}

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// What the first bytes of a file say about it.
enum Look {
    Text,
    /// Text behind a byte order mark.
    Marked,
    Not(&'static str),
}

fn look(head: &[u8]) -> Look {
    let not = [
        (&b"\xFF\xFE"[..], "is UTF-16; save it as UTF-8 (plain text)"),
        (b"\xFE\xFF", "is UTF-16; save it as UTF-8 (plain text)"),
        (b"PK\x03\x04", "is a zip archive or a spreadsheet (xlsx); export it as CSV and name its column"),
        (b"\xD0\xCF\x11\xE0", "is a spreadsheet (xls); export it as CSV and name its column"),
        (b"\xFD7zXZ\0", "is compressed with xz; decompress it first, or use gzip"),
        (b"\x28\xB5\x2F\xFD", "is compressed with zstd; decompress it first, or use gzip"),
        (b"BZh", "is compressed with bzip2; decompress it first, or use gzip"),
        (b"%PDF-", "is a PDF; codes are read from text or CSV"),
        (b"\x1F\x8B", "is compressed twice; decompress it once"),
    ];
    if let Some((_, problem)) = not.iter().find(|(magic, _)| head.starts_with(magic) && is_binary(magic, head)) {
        return Look::Not(problem);
    }
    let head = head.get(..8192).unwrap_or(head);
    let zeros = |parity: usize| head.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    if even + odd > 0 {
        // Every other byte of plain ASCII in UTF-16 is zero.
        return match even.max(odd) * 4 > head.len() && even.min(odd) * 10 < head.len() {
            true => Look::Not("is UTF-16 without a byte order mark; save it as UTF-8 (plain text)"),
            false => Look::Not("is a binary file; codes are read from text or CSV, plain or gzip"),
        };
    }
    let control = |byte: &&u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r');
    if head.iter().filter(control).count() * 10 > head.len() {
        return Look::Not("is a binary file; codes are read from text or CSV, plain or gzip");
    }
    if head.starts_with(MARK) { Look::Marked } else { Look::Text }
}

/// A code may begin with the letters of a magic number; then what follows is text as well.
fn is_binary(magic: &[u8], head: &[u8]) -> bool {
    !magic.is_ascii() || magic.iter().any(u8::is_ascii_control) || !head.iter().take(512).all(u8::is_ascii)
}

/// The bytes of a file, decompressed where they are gzip.
enum Raw {
    Plain(BufReader<Hashed>),
    Gzip(Box<MultiGzDecoder<BufReader<Hashed>>>),
}

impl Raw {
    fn new(file: File, hashing: bool) -> io::Result<Self> {
        let hashed = Hashed { file, sha256: hashing.then(Sha256::new), bytes: 0 };
        let mut reader = BufReader::with_capacity(BUFFER, hashed);
        let gzip = reader.fill_buf()?.starts_with(b"\x1F\x8B");
        Ok(if gzip { Self::Gzip(Box::new(MultiGzDecoder::new(reader))) } else { Self::Plain(reader) })
    }

    /// Reads what is left, and gives length and digest of it all; without hashing, no digest.
    fn finish(self) -> io::Result<(u64, String)> {
        let reader = match self {
            Self::Plain(reader) => reader,
            Self::Gzip(decoder) => decoder.into_inner(),
        };
        let mut hashed = reader.into_inner();
        io::copy(&mut hashed, &mut io::sink())?;
        Ok((hashed.bytes, hashed.sha256.map(|sha256| hex(&sha256.finalize())).unwrap_or_default()))
    }
}

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
        }
    }
}

/// A file that is digested while it is read.
struct Hashed {
    file: File,
    sha256: Option<Sha256>,
    bytes: u64,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes += count as u64;
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(buffer.get(..count).unwrap_or_default());
        }
        Ok(count)
    }
}

/// What the parser of CSV gets behind a file. The first one ends a row that has no end of its own; the second one can be a
/// part of a row only where a quotation mark is open.
const END: &[u8] = b"\n\n";

/// Where the parser of CSV is in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    /// Where a field begins.
    Start,
    /// In a field without quotation marks around it: inside of it they are characters like others.
    Plain,
    /// In a field with quotation marks around it.
    Quoted,
    /// Behind a quotation mark in such a field: its end, or the first of two that stand for one.
    Closed,
}

impl Quotes {
    /// Behind one more byte.
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::Closed,
            (Self::Quoted, _) | (Self::Closed | Self::Start, b'"') => Self::Quoted,
            (_, b',' | b'\n' | b'\r') => Self::Start,
            _ => Self::Plain,
        }
    }
}

/// Gives bytes to the parser of CSV, and no more of them than one row may have: a line at a time, so that the parser is not
/// ahead of its row, and it is known on which line that began. It would not count empty lines, nor those that end with a
/// carriage return. It would also make one field of what stands in quotation marks and of what stands behind them.
struct Row {
    inner: BufReader<Raw>,
    /// Bytes of the file so far.
    bytes: u64,
    /// The last of them.
    last: u8,
    /// Lines so far.
    lines: u64,
    /// Bytes of the file when the row began.
    began: u64,
    /// Line of the row; 0 until it is known.
    line: u64,
    quotes: Quotes,
    /// Whether text stands behind a closing quotation mark of the row.
    behind: bool,
    /// What is left of the end.
    end: &'static [u8],
}

impl Row {
    fn new(inner: BufReader<Raw>) -> Self {
        let (last, quotes, end) = (b'\n', Quotes::Start, END);
        Self { inner, bytes: 0, last, lines: 0, began: 0, line: 0, quotes, behind: false, end }
    }

    /// Another row begins.
    fn begin(&mut self) {
        (self.began, self.line, self.behind) = (self.bytes, 0, false);
    }
}

impl Read for Row {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes - self.began > LONGEST_ROW {
            let line = if self.line == 0 { self.lines } else { self.line };
            let problem = format!(
                "line {line}: the row is longer than {LONGEST_ROW} bytes; a quotation mark is not closed, it seems"
            );
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
        }
        let ahead = self.inner.fill_buf()?;
        let end = memchr::memchr2(b'\n', b'\r', ahead).map_or(ahead.len(), |end| end + 1);
        let piece = ahead.get(..end.min(buffer.len())).unwrap_or_default();
        let (Some(first), Some(last)) = (piece.first(), piece.last()) else { return self.end.read(buffer) };
        let ends = |byte: &u8| matches!(byte, b'\n' | b'\r');
        if ends(&self.last) && (self.last, *first) != (b'\r', b'\n') {
            self.lines += 1;
        }
        if self.line == 0 && !ends(first) {
            self.line = self.lines;
        }
        for byte in piece {
            let after = self.quotes.after(*byte);
            self.behind |= (self.quotes, after) == (Quotes::Closed, Quotes::Plain);
            self.quotes = after;
        }
        self.last = *last;
        self.bytes += piece.len() as u64;
        let count = (&*piece).read(buffer)?;
        self.inner.consume(count);
        Ok(count)
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder that a file is in.
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
