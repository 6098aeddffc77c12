//! What is kept of streams, and what it never replaces.

use super::fake::{Fake, codes, input};
use crate::{Format, Input, JournalError, Source, UploadError};
use std::io::{self, Read};
use std::path::Path;

/// A stream during which something happens.
struct During<F>(io::Cursor<Vec<u8>>, Option<F>);

impl<F: FnOnce()> Read for During<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.take().into_iter().for_each(|act| act());
        Ok(count)
    }
}

fn during<F: FnOnce()>(bytes: &[u8], act: F) -> During<F> {
    During(io::Cursor::new(bytes.to_vec()), Some(act))
}

/// A stream that breaks off.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("gone"))
    }
}

/// The files in a folder, with what they hold.
fn files(folder: &Path) -> Vec<(String, String)> {
    let name = |entry: io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    let read = |name: String| (name.clone(), std::fs::read_to_string(folder.join(name)).unwrap());
    names.into_iter().map(read).collect()
}

fn kept(text: &str) -> Vec<(String, String)> {
    vec![("j.input".to_owned(), text.to_owned())]
}

#[test]
fn a_stream_is_kept_once_it_has_ended_and_what_is_kept_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("j");
    let keep = |stream: &[u8]| Source::keep(stream, &journal, "stdin");
    let broken = Source::keep(Broken, &journal, "stdin").unwrap_err().to_string();
    assert_eq!(broken, "stdin: cannot be read: gone");
    assert_eq!(files(folder.path()), []);

    let source =
        Source::keep(during(b"a\nb\n", || assert!(!folder.path().join("j.input").exists())), &journal, "stdin");
    assert_eq!(source.unwrap(), Source { path: folder.path().join("j.input"), name: "stdin".to_owned() });
    for other in [&b""[..], b"a\n", b"a\nb", b"a\nb\nc\n"] {
        let said = keep(other).unwrap_err().to_string();
        assert!(said.contains("j.input: holds something else than stdin") && said.contains("or remove it"), "{said}");
        assert_eq!(files(folder.path()), kept("a\nb\n"));
    }
    keep(b"a\nb\n").unwrap();
    keep(&std::fs::read(folder.path().join("j.input")).unwrap()).unwrap();
    assert_eq!(files(folder.path()), kept("a\nb\n"));
}

#[test]
fn of_two_streams_at_once_the_first_to_end_is_kept() {
    for (second, taken) in [("a\nb\n", true), ("a\n", false), ("", false)] {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("j");
        let other = || drop(Source::keep("a\nb\n".as_bytes(), &journal, "stdin").unwrap());
        let outcome = Source::keep(during(second.as_bytes(), other), &journal, "stdin");
        assert_eq!(outcome.is_ok(), taken, "{second:?}: {outcome:?}");
        assert_eq!(files(folder.path()), kept("a\nb\n"));
    }
}

#[test]
fn a_journal_says_which_stream_is_kept_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (lines, journal) = (codes(5), folder.path().join("j"));
    let job = Fake::new(|_, _| None).uploader().job().clone();
    let planned = input(folder.path(), &lines);
    let text = std::fs::read(&planned.sources[0].path).unwrap();
    let keep = || Source::keep(text.as_slice(), &journal, "stdin");
    // Somebody plans while the stream is read, and has the journal still.
    let mut open = None;
    let locked = Source::keep(during(&text, || open = Some(job.open(&planned, &journal).unwrap())), &journal, "stdin");
    // The stream is gone, so what it held is not.
    let UploadError::Kept { error, name, path } = locked.unwrap_err() else { panic!("it is lost") };
    assert!(matches!(*error, UploadError::Journal(JournalError::Locked { .. })), "{error:?}");
    assert_eq!((name.as_str(), std::fs::read(&path).unwrap()), ("stdin", text.clone()));
    let said = UploadError::Kept { error, name, path: path.clone() }.to_string();
    assert!(
        said.ends_with(&format!("\n  what stdin held is in {}: name that file as the input", path.display())),
        "{said}"
    );
    std::fs::remove_file(&path).unwrap();
    let digest = open.take().unwrap().header().digest.clone();
    match Source::keep(&b"code\n"[..], &journal, "stdin") {
        Err(UploadError::Journal(JournalError::Changed { planned, found })) => {
            assert!(planned == digest && found != digest);
        }
        other => panic!("{other:?}"),
    }
    assert!(!folder.path().join("j.input").exists(), "a wrong stream is kept");
    let source = keep().unwrap();
    drop(job.open(&Input { sources: vec![source.clone()], format: Format::Text }, &journal).unwrap());
    // The file was edited: the stream is the right one, and the edit not lost.
    std::fs::write(&source.path, "edited\n").unwrap();
    let said = keep().unwrap_err().to_string();
    assert!(said.contains("holds something else than stdin"), "{said}");
    assert_eq!(std::fs::read(&source.path).unwrap(), b"edited\n");
}

/// A stream that nobody may read.
struct Untouched;

impl Read for Untouched {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        panic!("it is read in vain")
    }
}

#[test]
fn a_stream_is_not_read_for_a_journal_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, planned) = (folder.path().join("j"), input(folder.path(), &codes(5)));
    let open = Fake::new(|_, _| None).uploader().job().open(&planned, &journal).unwrap();
    let refused = |words: &str| {
        let said = Source::keep(Untouched, &journal, "stdin").unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    };
    refused("another process");
    drop(open);
    let bytes = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &bytes[..bytes.len() / 2]).unwrap();
    refused("is damaged");
    std::fs::write(&journal, "A1\n").unwrap();
    refused("is no journal");
}

#[test]
fn a_file_that_is_there_is_not_spooled_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    Source::spool(&b"a\n"[..], &path, "stdin").unwrap();
    let said = Source::spool(&b"b\n"[..], &path, "stdin").unwrap_err().to_string();
    assert!(said.contains("f: cannot be written: "), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), b"a\n");
    #[cfg(unix)]
    for path in [path, Source::keep(&b"a\n"[..], &folder.path().join("j"), "stdin").unwrap().path] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}
