//! What streams hold, kept in files: a stream cannot be read again, and every input is read several times.

use crate::error::UploadError;
use crate::input::{BUFFER, InputError, Source, folder, hex};
use crate::journal::{Journal, with_suffix};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

impl Source {
    /// Puts what a stream holds into a new file, which only its owner can read.
    ///
    /// # Errors
    /// The stream cannot be read; the file is there already, or cannot be written.
    pub fn spool(stream: impl Read, path: impl Into<PathBuf>, name: &str) -> Result<Self, InputError> {
        let path = path.into();
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(|error| unwritable(&path, &error))?;
        copy(stream, name, &mut file, &path)?;
        file.sync_all().map_err(|error| unwritable(&path, &error))?;
        Ok(Self { path, name: name.to_owned() })
    }

    /// Keeps what a stream holds beside the journal of its upload: in `JOURNAL.input`, which only its owner can read.
    ///
    /// The file appears once the stream has ended, and is never replaced, for it may be the only copy. Where it is there
    /// already, the stream has to hold the same. So an upload that was killed can be given the same stream again,
    /// whenever that was. Killed before the stream ended, it leaves a file `JOURNAL.input.` with some letters behind, of
    /// which nothing was sent.
    ///
    /// # Errors
    /// The journal cannot be used, or somebody else has it open: nothing is read then. Where that turns out after the stream
    /// has ended, the error names the file that holds it. The stream cannot be read, or the file not be written. The stream
    /// holds something else than the journal has planned, or than the file.
    pub fn keep(stream: impl Read, journal: &Path, name: &str) -> Result<Self, UploadError> {
        let path = with_suffix(journal, ".input");
        // The report shall find it from anywhere.
        let path = std::path::absolute(&path).unwrap_or(path);
        let source = Self { path, name: name.to_owned() };
        source.check()?;
        // A stream can be read once: nothing of it is, where that is known to be in vain.
        if Journal::is_there(journal)? {
            drop(Journal::open(journal)?);
        }
        let path = &source.path;
        let failed = |error: io::Error| unwritable(path, &error);
        let mut spooled = if path.exists() { None } else { Some(beside(path).map_err(failed)?) };
        let found = match &mut spooled {
            Some(file) => copy(stream, name, file, path)?,
            None => copy(stream, name, &mut io::sink(), path)?,
        };
        let opened = Journal::is_there(journal).and_then(|there| there.then(|| Journal::open(journal)).transpose());
        let put = match (opened, spooled) {
            (Err(error), Some(spooled)) => return Err(kept(spooled, name, error.into())),
            (opened, spooled) => {
                opened?.map_or(Ok(()), |journal| journal.header().check_file(&found))?;
                spooled.map_or(Ok(false), |spooled| put(spooled, name, path))?
            }
        };
        if !put && digest_of(path)? != found {
            let problem = format!(
                "holds something else than {name}, and is left alone, for it may be the only copy; name this file as \
                 the input, or remove it"
            );
            return Err(InputError::unreadable(&path.display().to_string(), problem).into());
        }
        Ok(source)
    }
}

/// A file of its own beside the one that it is going to be.
fn beside(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut prefix = path.file_name().unwrap_or_default().to_owned();
    prefix.push(".");
    tempfile::Builder::new().prefix(&prefix).tempfile_in(folder(path))
}

/// Gives a file its name; `false` if that was taken meanwhile.
fn put(file: tempfile::NamedTempFile, name: &str, path: &Path) -> Result<bool, UploadError> {
    let failed = |error: io::Error| unwritable(path, &error).into();
    if let Err(error) = file.as_file().sync_all() {
        return Err(kept(file, name, failed(error)));
    }
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(kept(error.file, name, failed(error.error))),
        Ok(_) => {}
    }
    #[cfg(unix)]
    File::open(folder(path)).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(true)
}

/// Leaves the only copy of a stream where it is, and says so beside why it is not used.
fn kept(file: tempfile::NamedTempFile, name: &str, error: UploadError) -> UploadError {
    match file.into_temp_path().keep() {
        Ok(path) => UploadError::Kept { error: Box::new(error), name: name.to_owned(), path },
        Err(_) => error,
    }
}

/// Digest of a file's content.
fn digest_of(path: &Path) -> Result<String, InputError> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| unreadable(&name, &error))?;
    copy(file, &name, &mut io::sink(), path)
}

/// Copies a stream to its end, and gives the SHA-256 of its bytes, in hex.
fn copy(mut stream: impl Read, name: &str, to: &mut impl Write, path: &Path) -> Result<String, InputError> {
    let (mut buffer, mut sha256) = (vec![0; BUFFER], Sha256::new());
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(0) => return Ok(hex(&sha256.finalize())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(name, &error)),
        };
        let part = buffer.get(..count).unwrap_or_default();
        sha256.update(part);
        to.write_all(part).map_err(|error| unwritable(path, &error))?;
    }
}

fn unreadable(name: &str, error: &io::Error) -> InputError {
    InputError::unreadable(name, format!("cannot be read: {error}"))
}

fn unwritable(path: &Path, error: &io::Error) -> InputError {
    InputError::unreadable(&path.display().to_string(), format!("cannot be written: {error}"))
}
