//! Why an upload does not take place, or not to its end.

use crate::input::InputError;
use crate::journal::JournalError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use wechatpay_protocol::Error;

/// Why an upload does not take place, or not to its end. What was done until then is in the journal.
#[derive(Debug)]
#[non_exhaustive]
pub enum UploadError {
    /// The input cannot be used; nothing was sent.
    Input(InputError),
    /// The journal cannot be used, or not any more; nothing was sent without it.
    Journal(JournalError),
    /// Temporary files, in which duplicates are looked for, could not be written or read.
    Sort {
        /// What the system says.
        error: io::Error,
        /// Bytes that had been written.
        spilled: u64,
    },
    /// The request would break documented limits, whatever the codes: the stock, for example.
    Invalid(Error),
    /// What was asked for makes no sense.
    Unsupported(String),
    /// A thread could not be started.
    Thread(io::Error),
    /// Reading back what was uploaded failed.
    Listing(Error),
    /// What a stream held is not used, and it cannot be read again; nothing was sent.
    Kept {
        /// Why it is not used.
        error: Box<UploadError>,
        /// What messages call the stream.
        name: String,
        /// The file that holds all of it.
        path: PathBuf,
    },
    /// What was read back could not be compared with the input: temporary files could not be written or read.
    Comparing {
        /// What the system says.
        error: io::Error,
        /// Bytes that had been written.
        spilled: u64,
    },
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(error) => error.fmt(f),
            Self::Journal(error) => error.fmt(f),
            Self::Sort { error, spilled } => write!(
                f,
                "duplicates cannot be looked for: {error}; nothing was sent. It takes temporary files of twice the \
                 length of the codes at most, beside the journal ({spilled} bytes had been written): make room, then \
                 run the same again"
            ),
            Self::Invalid(error) => error.fmt(f),
            Self::Unsupported(what) => f.write_str(what),
            Self::Thread(error) => write!(f, "a thread cannot be started: {error}"),
            Self::Kept { error, name, path } => {
                write!(f, "{error}\n  what {name} held is in {}: name that file as the input", path.display())
            }
            Self::Listing(error) => write!(f, "what was uploaded cannot be listed: {error}"),
            Self::Comparing { error, spilled } => write!(
                f,
                "the list of uploaded codes cannot be compared with the input: {error}; nothing of the upload is lost. It \
                 takes temporary files beside the journal ({spilled} bytes had been written): make room, then verify \
                 again"
            ),
        }
    }
}

impl std::error::Error for UploadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Input(error) => Some(error),
            Self::Journal(error) => Some(error),
            Self::Sort { error, .. } | Self::Comparing { error, .. } | Self::Thread(error) => Some(error),
            Self::Invalid(error) | Self::Listing(error) => Some(error),
            Self::Kept { error, .. } => Some(error),
            Self::Unsupported(_) => None,
        }
    }
}

impl From<InputError> for UploadError {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

impl From<JournalError> for UploadError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}
