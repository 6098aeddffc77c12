//! Inputs of every kind, and what is said about those that cannot be used.

use super::fake::{Fake, codes};
use crate::{Fault, Format, Input, InputError, Planned, Source, UploadError};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

fn plan(folder: &Path, files: &[&[u8]], format: Format) -> Result<Planned, UploadError> {
    let mut sources = Vec::new();
    for (index, bytes) in files.iter().enumerate() {
        let path = folder.join(format!("{index}"));
        std::fs::write(&path, bytes).unwrap();
        sources.push(Source { path, name: format!("f{index}") });
    }
    Fake::new(|_, _| None).uploader().job().plan(&Input { sources, format }, folder)
}

fn text(bytes: &[u8]) -> Result<Planned, UploadError> {
    plan(tempfile::tempdir().unwrap().path(), &[bytes], Format::Text)
}

fn csv(column: &str, text: &str) -> Result<Planned, UploadError> {
    plan(tempfile::tempdir().unwrap().path(), &[text.as_bytes()], Format::Csv { column: column.to_owned() })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[track_caller]
fn says(outcome: Result<Planned, UploadError>, words: &str) {
    let error = outcome.map(|planned| panic!("{planned:?}")).unwrap_err().to_string();
    assert!(error.contains(words), "{error:?} does not say {words:?}");
}

#[test]
fn lines_are_codes_and_nothing_is_trimmed() {
    for (bytes, codes, empty) in [
        (&b"a\nb\nc\n"[..], 3, 0),
        (b"a\nb\nc", 3, 0),
        (b"a\r\nb\r\nc\r\n", 3, 0),
        (b"a\n\nb\n\r\n\n", 2, 3),
        (b"a\n a\na \n", 3, 0),
        (b" \n", 1, 0),
        (b"A b-c_d\\e/f=g|0\n", 1, 0),
        (b"\xEF\xBB\xBFa\nb\n", 2, 0),
        (b"PK1\nBZh9\n", 2, 0),
    ] {
        let planned = text(bytes).unwrap();
        assert_eq!((planned.codes, planned.empty_lines), (codes, empty), "{}", String::from_utf8_lossy(bytes));
        let packed = text(&gzip(bytes)).unwrap();
        assert_eq!((packed.codes, packed.empty_lines), (codes, empty));
        assert_ne!(packed.numbers, planned.numbers, "another file is another input");
        assert_eq!(planned.notes.len(), usize::from(bytes.starts_with(b"\xEF\xBB\xBF")));
    }
}

#[test]
fn what_is_wrong_is_said_with_file_and_line() {
    let long = [b"ok\n", "x".repeat(10_000).as_bytes(), b"\nok2\n"].concat();
    let utf16: Vec<u8> = "abc\ndef\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [b"\xFF\xFE", utf16.as_slice()].concat();
    let broken = gzip(&codes(1000).join("\n").into_bytes());
    for (bytes, words) in [
        (&b""[..], "there is no code in it"),
        (b"\n\n\r\n", "there is no code in it"),
        (b"ok\na\tb\n", "f0:2: character 2 is a tab"),
        (b"a\rb\n", "f0:1: character 2 is a carriage return"),
        (b"ok\n\xff\xfe\n", "f0:2: it is not UTF-8"),
        ("ok\n券\n".as_bytes(), "f0:2: character 1 is U+5238"),
        (b"a,b\n", "f0:1: character 2 is `,`, which codes may not have; is this a CSV file?"),
        (&["x".repeat(33).as_bytes(), b"\n"].concat(), "f0:1: 33 characters, and a code has 32 at most"),
        (&long, "f0:2: 10000 characters, and a code has 32 at most"),
        (&marked, "f0: is UTF-16"),
        (&utf16, "f0: is UTF-16 without a byte order mark"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "f0: is a binary file"),
        (b"PK\x03\x04\x14\0", "f0: is a zip archive or a spreadsheet"),
        (&gzip(&gzip(b"a\n")), "f0: is compressed twice"),
        (&broken[..broken.len() / 2], "f0: the gzip stream breaks off"),
    ] {
        says(text(bytes), words);
    }
    let gone = Input { sources: vec![Source::new("nowhere/codes.txt")], format: Format::Text };
    says(Fake::new(|_, _| None).uploader().job().plan(&gone, Path::new(".")), "nowhere/codes.txt: cannot be read");
}

#[cfg(unix)]
#[test]
fn what_cannot_be_read_twice_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for path in [fifo, socket, "/dev/null".into()] {
        let input = Input { sources: vec![Source { path, name: "f0".to_owned() }], format: Format::Text };
        let planned = Fake::new(|_, _| None).uploader().job().plan(&input, folder.path());
        says(planned, "f0: is no regular file, and what it holds could not be read twice; pipe that to `-`");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_is_not_utf8_is_refused_before_anything_is_read() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join(std::ffi::OsStr::from_bytes(b"\xbb\xee"));
    std::fs::create_dir(&place).unwrap();
    let job = Fake::new(|_, _| None).uploader().job().clone();
    // Another fault would be told first, if it were read.
    std::fs::write(place.join("codes"), "*\n").unwrap();
    let input =
        Input { sources: vec![Source { path: place.join("codes"), name: "f0".to_owned() }], format: Format::Text };
    let opened = job.open(&input, &folder.path().join("journal")).map(drop).unwrap_err();
    let kept = Source::keep(&b"*\n"[..], &place.join("j"), "stdin").map(drop).unwrap_err();
    for (error, name) in [(opened, "f0"), (kept, "stdin")] {
        let said = error.to_string();
        assert!(said.starts_with(&format!("{name}: its path, ")) && said.contains("is not UTF-8, and the"), "{said}");
    }
    says(job.plan(&input, folder.path()), "use a folder whose path is UTF-8");
    assert!(!place.join("j.input").exists());
}

#[test]
fn every_invalid_line_counts_and_the_first_hundred_are_named() {
    let lines = "x".repeat(40) + "\n";
    match text(lines.repeat(250).as_bytes()) {
        Err(UploadError::Input(InputError::Invalid { lines, count })) => {
            assert_eq!((lines.len(), count), (InputError::SHOWN, 250));
            assert_eq!(lines[99], ("f0:100".to_owned(), Fault::TooLong { length: 40, most: 32 }));
        }
        other => panic!("{other:?}"),
    }
    says(text(lines.repeat(250).as_bytes()), "and 150 more");
}

#[test]
fn columns_are_read_by_their_name() {
    let planned = csv("code", "id,code,name\n1,A 1,x\n2,\"A=2\",\"y\n z\"\n\n3,A3,\n").unwrap();
    assert_eq!(planned.codes, 3);
    assert_eq!(csv("code", "code\r\nA\r\nB\r\n").unwrap().codes, 2);
    says(csv("Code", "id,code\n1,A\n"), "f0: has no column called `Code`; its first row names `id`, `code`");
    says(csv("code", "id,Coupon_Code\n1,A\n"), "its first row names `id`, `Coupon_Code`");
    says(csv("code", "券码,编号\nA,1\n"), "its first row names `券码`, `编号`");
    // No message says a code.
    for (text, secret, count) in [
        ("c0000000\nc0000001\n", "c0000000", "1 field"),
        ("c0000000,张三\n", "c0", "2 fields"),
        ("张三,qkzjxwvb\n", "qkz", "2 fields"),
        ("QKZJ/XWVB,x,y\n", "QKZ", "3 fields"),
        ("A1;2026\n", "A1", "1 field"),
        ("note\tA-1\n", "A-1", "1 field"),
    ] {
        let said = csv("code", text).unwrap_err().to_string();
        assert!(said.contains(count) && said.contains("is the row of names missing?"), "{said}");
        assert!(!said.contains(secret), "{said}");
    }
    says(csv("code", "code,code\nA,B\n"), "more than one column called `code`");
    says(csv("code", "id,code\n1\n"), "f0:2: the row ends before the column");
    says(csv("code", "id,code\n1,A\n2,\n"), "f0:3: the code is empty");
    says(csv("code", "id,code\n1,A\n2,\"B\nC\"\n"), "f0:3: character 2 is U+000A");
    for (text, words) in [
        // Rows of another width: the code may stand in another column.
        ("name,code\nA,B\nSmith, John,B2\n", "f0:3: 3 fields, and the first row has 2; a field with a comma needs"),
        ("code\nA\nB,C\n", "f0:3: 2 fields, and the first row has 1"),
        ("code,id\nA\n", "f0:2: 1 field, and the first row has 2"),
        ("code,id\nA,1,\n", "f0:2: 3 fields, and the first row has 2"),
        // Lines are those of the file, however they end, and whether they are empty.
        ("code\nA\nB*\n", "f0:3: character 2 is `*`"),
        ("code\r\nA\r\nB*\r\n", "f0:3: character 2 is `*`"),
        ("code\rA\rB*", "f0:3: character 2 is `*`"),
        ("\n\ncode\n\nA\n\nB*\n", "f0:7: character 2 is `*`"),
        ("code\r\n\r\n\r\nA\r\n\r\nB*\r\n", "f0:6: character 2 is `*`"),
        ("code,note\r\nA,\"1\r\n2\n3\"\r\n\r\nB*,\r\n", "f0:6: character 2 is `*`"),
        // Quotation marks that swallow what follows, and one that is a character like others.
        ("code\n\"A\"\nB\"\n", "f0:3: character 2 is `\"`"),
        (
            "code,note\nA1,ok\nA2,\"open\nA3,x\nA4,y\n",
            "f0:3: a quotation mark is not closed, up to the end of the file",
        ),
        ("code,note\nA1,ok\nA2,\"open", "f0:3: a quotation mark is not closed"),
        ("code,note\nA1,ok\nA2,\"open\n\n\n", "f0:3: a quotation mark is not closed"),
        ("code,note\nA1,ok\nA2,\"\"\"", "f0:3: a quotation mark is not closed"),
        ("code,note\nA1,ok\nA2,\"", "f0:3: a quotation mark is not closed"),
        ("code\nA\n\"B\r\nC\r\n", "f0:3: a quotation mark is not closed"),
        ("code,\"note\nA1,ok\n", "f0: line 1: a quotation mark is not closed"),
        // One that closes what it did not open.
        ("code,note\nA1,ok\nA2,\"5 inch\nA3,x\nA4,\"6 inch\"\nA5,x\n", "f0:3: text behind the closing quotation mark"),
        ("code,note\nA1,ok\n\"A2\"B3,x\n", "f0:3: text behind the closing quotation mark"),
        ("code,note\nA1,\"5\"\"\" \r\n", "f0:2: text behind the closing quotation mark"),
        ("code,\"note\"s\nA1,ok\n", "f0: line 1: text behind the closing quotation mark"),
    ] {
        says(csv("code", text), words);
    }
    // Each is judged by itself, with all that is wrong before it.
    says(csv("code", "id,code\n1\n2,A,B\n3,\"A\n"), "3 lines hold no valid code");
    says(csv("code", "code,note\nA1,\"x\"y\nA2,z\n*,\"\"\"\"\nA4,\"x\"\"\"y\n"), "3 lines hold no valid code");
    for text in [
        "code\nA\nB",
        "code\r\nA\r\n\"B\"",
        "code\nA\n\n\n\"B\"\n\n",
        "code\n\"A\"\r\nB\r",
        // Two quotation marks stand for one, and inside of a field without them around it they are characters like others.
        "code,note\nA,\"5\"\" x\"\"\"\n\"B\",\"\"\n",
        "code,note\nA,5\" x\"\"\nB, \"y\"\n",
        "code,note\nA,\"a,\nb\"\r\nB,\"\"\"\"\r\n",
    ] {
        assert_eq!(csv("code", text).unwrap().codes, 2, "{text:?}");
    }
    says(csv("code", "code\n"), "there is no code in it");
    says(csv("code", ""), "has no column called `code`");
    let unclosed = format!("code\nA\n\"{}", "B\n".repeat(2_000_000));
    says(
        csv("code", &unclosed),
        "f0: line 3: the row is longer than 1048576 bytes; a quotation mark is not closed, it seems",
    );
    // Rows on lines of their own, wherever pieces of a file end; each place is one row's.
    for end in ["\r", "\n", "\r\n"] {
        let rows: Vec<_> = codes(10_000).into_iter().map(|code| format!("\"{code}\",{end}")).collect();
        let planned = csv("code", &format!("code,note{end}{}{}", rows.concat(), rows[7_000])).unwrap();
        assert_eq!((planned.codes, planned.duplicates), (10_000, 1), "{end:?}");
        assert_eq!(planned.repeated, [("f0:10002".to_owned(), "f0:7002".to_owned())], "{end:?}");
    }
}

#[test]
fn repeated_codes_are_found_in_a_file_and_across_files_and_not_sent_twice() {
    let folder = tempfile::tempdir().unwrap();
    let planned = plan(folder.path(), &[b"a\nb\na\n", b"c\nb\nb\n", b"A\n"], Format::Text).unwrap();
    assert_eq!((planned.codes, planned.duplicates), (4, 3));
    let wanted = [("f0:3", "f0:1"), ("f1:2", "f0:2"), ("f1:3", "f0:2")];
    let found: Vec<_> = planned.repeated.iter().map(|(at, first)| (at.as_str(), first.as_str())).collect();
    assert_eq!(found, wanted);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn what_is_sent_is_the_set_of_lines(
        lines in prop::collection::vec("[0-3a-b |\\\\]{1,3}", 1..700), crlf: bool, last: bool, packed: bool
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = lines.join(if crlf { "\r\n" } else { "\n" }).into_bytes();
        if last {
            bytes.push(b'\n');
        }
        let path = folder.path().join("codes");
        std::fs::write(&path, if packed { gzip(&bytes) } else { bytes }).unwrap();
        let input = Input { sources: vec![Source::new(path)], format: Format::Text };
        let fake = Fake::new(|_, _| None);
        let journal = fake.uploader().job().open(&input, &folder.path().join("journal")).unwrap();
        let finished = fake.run(journal).unwrap();
        fake.holds(&lines);
        let distinct: BTreeSet<_> = lines.iter().collect();
        let totals = finished.journal.totals();
        prop_assert_eq!(totals.uploaded, distinct.len() as u64);
        prop_assert_eq!(totals.codes + totals.duplicates, lines.len() as u64);
        let mut rows = Vec::new();
        let reported = finished.journal.report(&crate::Endpoint::BUSIFAVOR, |row| {
            rows.push((row.line, row.code.to_owned()));
            Ok::<_, ()>(())
        });
        reported.unwrap().unwrap();
        let wanted: Vec<_> = lines.iter().enumerate().map(|(at, code)| (at as u64 + 1, code.clone())).collect();
        prop_assert_eq!(rows, wanted);
    }
}
