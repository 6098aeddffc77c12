//! The journal by itself: what it says of a plan, what it refuses, and what it keeps.

use super::disk::Disk;
use super::fake::{Fake, codes, input};
use crate::journal::{
    CodeState, Header, Journal, JournalError, Progress, Sign, State, Tally, Totals, is_at, length, unwritable,
};
use crate::plan::{Gathered, PlanError, survey};
use crate::{Endpoint, InputError, UploadError};
use redb::{ReadableTable as _, StorageBackend as _};
use serde_json::Value;
use std::io;
use std::path::Path;

/// Six states of one, two, four … codes, so that no sum but the right one is right.
const STATES: Totals = Totals {
    codes: 63,
    uploaded: 1,
    existed: 2,
    refused: 4,
    unclear: 8,
    unknown: 16,
    not_sent: 32,
    duplicates: 0,
    batches: 0,
    batches_done: 0,
    batches_refused: 0,
    attempts: 0,
    differences: 0,
};

#[test]
fn totals_balance_when_the_six_states_are_all_codes() {
    assert!(STATES.balances() && Totals::default().balances());
    for codes in [0, 62, 64] {
        assert!(!Totals { codes, ..STATES }.balances(), "{codes}");
    }
    let done = |batches, batches_done| Totals { batches, batches_done, ..STATES }.complete();
    assert!(done(3, 3) && !done(3, 2));
}

#[test]
fn a_batch_is_counted_by_its_state_and_taken_away_again() {
    let tally = Tally { uploaded: 1, existed: 2, refused: 4, unclear: 8 };
    let cases = [
        (State::Planned, Totals { not_sent: 15, ..Totals::default() }),
        (State::Sending, Totals { unknown: 15, ..Totals::default() }),
        (State::Unknown, Totals { unknown: 15, ..Totals::default() }),
        (State::Refused, Totals { refused: 15, batches_refused: 1, ..Totals::default() }),
        (State::Done, Totals { uploaded: 1, existed: 2, refused: 4, unclear: 8, batches_done: 1, ..Totals::default() }),
    ];
    for (state, wanted) in cases {
        let differences = vec!["one".to_owned(), "two".to_owned()];
        let progress = Progress { state, attempts: 5, tally, differences, ..Progress::default() };
        let mut totals = Totals::default();
        totals.count(15, &progress, Sign::Plus);
        assert_eq!(totals, Totals { attempts: 5, differences: 2, ..wanted }, "{state:?}");
        totals.count(15, &progress, Sign::Minus);
        assert_eq!(totals, Totals::default(), "{state:?}");
    }
}

#[test]
fn room_is_asked_for_by_the_number_of_batches() {
    assert_eq!([0, 1, 1_000].map(Header::needed), [4_194_304, 4_194_944, 4_834_304]);
}

#[test]
fn states_have_the_names_of_the_report() {
    let states = [
        CodeState::Uploaded,
        CodeState::Existed,
        CodeState::Refused,
        CodeState::Unclear,
        CodeState::Unknown,
        CodeState::NotSent,
        CodeState::Duplicate,
    ];
    let names = ["uploaded", "existed", "refused", "unclear", "unknown", "not_sent", "duplicate"];
    assert_eq!(states.map(CodeState::as_str), names);
}

#[test]
fn what_the_system_says_becomes_what_can_be_done_about_it() {
    use io::ErrorKind::{FileTooLarge, InvalidData, PermissionDenied, QuotaExceeded, StorageFull, UnexpectedEof};
    for kind in [StorageFull, QuotaExceeded, FileTooLarge] {
        let error = JournalError::from_io("journal", kind.into(), 7);
        assert!(matches!(error, JournalError::Full { needed: 7, .. }), "{kind}: {error:?}");
        assert!(std::error::Error::source(&error).is_none());
    }
    for kind in [UnexpectedEof, InvalidData] {
        let error = JournalError::from_io("journal", kind.into(), 7);
        assert!(matches!(error, JournalError::Damaged { .. }), "{kind}: {error:?}");
    }
    let error = JournalError::from_io("journal", PermissionDenied.into(), 7);
    let source = std::error::Error::source(&error).map(ToString::to_string);
    assert_eq!(source, Some(io::Error::from(PermissionDenied).to_string()), "{error:?}");
}

#[test]
fn a_batch_is_the_planned_one_by_number_and_content() {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(450);
    let input = input(folder.path(), &codes);
    let journal = Fake::new(|_, _| None).uploader().job().create_on(Disk::default(), "disk", &input).unwrap();
    assert_eq!((journal.totals().batches, journal.totals().codes, journal.path()), (3, 450, None));
    let planned = |index, codes: &[String]| {
        let gathered = Gathered { index, codes: codes.iter().collect() };
        journal.view().planned(&gathered).unwrap()
    };
    assert!(planned(0, &codes[..200]) && planned(1, &codes[200..400]) && planned(2, &codes[400..]));
    let mut other = codes[..200].to_vec();
    other.swap(0, 1);
    // As many codes, and others; fewer; those of another batch; a batch that is none.
    assert!(!planned(0, &other) && !planned(0, &codes[..199]) && !planned(0, &codes[200..400]));
    assert!(!planned(3, &codes[..200]) && !planned(3, &[]));
}

/// Plans an input into a journal at `path`, whatever is there.
fn create(path: &Path, lines: &[String]) -> Result<Journal, PlanError> {
    let folder = tempfile::tempdir().unwrap();
    let input = input(folder.path(), lines);
    let limits = Endpoint::BUSIFAVOR.limits().unwrap();
    let survey = survey(&input, limits, folder.path()).unwrap();
    let mut header = Header::new("busifavor.upload_coupon_codes", String::new(), "1900000001", &serde_json::Map::new());
    (header.batch, header.codes) = (limits.batch, survey.codes);
    Journal::create(path, header, survey.batches(&input, limits).unwrap())
}

#[test]
fn a_plan_replaces_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = create(&path, &codes(3)).unwrap();
    assert_eq!(journal.path(), Some(path.as_path()));
    drop(journal);
    let before = std::fs::read(&path).unwrap();
    // Somebody else was faster.
    let refused = create(&path, &codes(4)).unwrap_err();
    assert!(matches!(refused, PlanError::Journal(JournalError::Locked { .. })), "{refused:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["journal"]);
}

#[test]
fn what_stands_where_a_plan_is_written_first_is_left_alone_unless_it_is_left_over() {
    let folder = tempfile::tempdir().unwrap();
    let (path, partial) = (folder.path().join("j"), folder.path().join("j.partial"));
    // A journal that somebody gave this name, one that cannot be believed, and one of another version.
    drop(create(&partial, &codes(5)).unwrap());
    let whole = std::fs::read(&partial).unwrap();
    let damaged = [&whole[..100], &[0xff; 200], &whole[300..]].concat();
    let others: [&[u8]; 5] = [b"A1\nA2\n", b"redb, and more than a few words about it\n", &whole, &damaged, &[0; 4096]];
    for (case, bytes) in others.into_iter().enumerate() {
        std::fs::write(&partial, bytes).unwrap();
        let said = UploadError::from(create(&path, &codes(3)).unwrap_err()).to_string();
        assert!(said.contains("j.partial: ") && said.contains("is left alone; move it away"), "{case}: {said}");
        assert_eq!(std::fs::read(&partial).unwrap().len(), bytes.len(), "{case}");
        assert!(bytes == whole || std::fs::read(&partial).unwrap() == bytes, "{case}");
        assert!(!path.exists(), "{case}");
    }
    std::fs::write(&partial, &whole).unwrap();
    assert_eq!(Journal::open(&partial).unwrap().totals().codes, 5);

    // What a process leaves behind that ended while it planned.
    let plan = |partial: &Path| {
        let database = redb::Database::builder().create_with_file_format_v3(true).create(partial).unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(redb::TableDefinition::<u64, (u32, [u8; 32])>::new("plan")).unwrap();
        write.commit().unwrap();
    };
    let before_the_magic = |partial: &Path| {
        plan(partial);
        let mut bytes = std::fs::read(partial).unwrap();
        bytes[..9].fill(0);
        std::fs::write(partial, bytes).unwrap();
    };
    let empty = |partial: &Path| std::fs::write(partial, "").unwrap();
    for left in [&plan as &dyn Fn(&Path), &before_the_magic, &empty] {
        std::fs::remove_file(&partial).unwrap();
        left(&partial);
        #[cfg(unix)]
        std::fs::set_permissions(&partial, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        assert_eq!(create(&path, &codes(3)).unwrap().totals().codes, 3);
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::rename(&path, &partial).unwrap();
    }
    std::fs::remove_file(&partial).unwrap();
    #[cfg(unix)]
    {
        let target = folder.path().join("target");
        std::fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, &partial).unwrap();
        let refused = create(&path, &codes(3)).unwrap_err();
        assert!(matches!(refused, PlanError::Journal(JournalError::InTheWay { .. })), "{refused:?}");
        assert!(partial.is_symlink() && !path.exists());
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_nothing_is_no_place_for_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (path, input) = (folder.path().join("j"), input(folder.path(), &codes(3)));
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &path).unwrap();
    let job = Fake::new(|_, _| None).uploader().job().clone();
    let said = job.open(&input, &path).unwrap_err().to_string();
    assert!(said.ends_with("j: is a link to a file that is not there; remove it"), "{said}");
    let said = crate::Source::keep(&b"A\n"[..], &path, "stdin").unwrap_err().to_string();
    assert!(said.ends_with("j: is a link to a file that is not there; remove it"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_journal_that_may_only_be_read_is_to_be_copied() {
    for (kind, copied) in [
        (io::ErrorKind::PermissionDenied, true),
        (io::ErrorKind::ReadOnlyFilesystem, true),
        (io::ErrorKind::NotFound, false),
    ] {
        let error = unwritable(kind.into());
        assert_eq!(
            (error.kind(), error.to_string().ends_with("copy it to a place where you may write")),
            (kind, copied)
        );
    }
}

#[test]
fn a_journal_is_as_long_as_its_header_says() {
    let regions = |whole: u32, last: u32| length(&[whole.to_le_bytes(), last.to_le_bytes()].concat());
    let (page, region) = (4096, 130 + (1 << 20));
    // A header, 130 pages before each region, and the pages of the last one.
    for (whole, last, pages) in
        [(0, 0, 131), (0, 5, 136), (1, 0, 1 + region), (1, 5, 1 + region + 135), (3, 1, 1 + 3 * region + 131)]
    {
        assert_eq!(regions(whole, last), pages * page, "{whole} {last}");
    }
    assert_eq!((regions(u32::MAX, u32::MAX), length(&[0; 7])), (u64::MAX, u64::MAX));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    drop(create(&path, &codes(3)).unwrap());
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(length(&bytes[24..32]), bytes.len() as u64);
}

#[test]
fn a_file_that_got_another_name_is_no_plan_to_be_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let (partial, journal) = (folder.path().join("j.partial"), folder.path().join("j"));
    let file = std::fs::File::create(&partial).unwrap();
    assert!(is_at(&file, &partial));
    std::fs::rename(&partial, &journal).unwrap();
    assert!(!is_at(&file, &partial) && is_at(&file, &journal));
    std::fs::File::create(&partial).unwrap();
    assert!(!is_at(&file, &partial));
}

#[test]
fn an_input_that_changes_between_its_two_readings_is_not_planned() {
    let lines = codes(600);
    let repeats: Vec<_> = [&lines[..3], &lines[..1], &lines[3..]].concat();
    // Another line repeats, in an input of as many lines and codes; other codes; another order; fewer and more lines;
    // an invalid line; nothing.
    let other = [&lines[..5], &lines[..1], &lines[5..]].concat();
    let mut swapped = repeats.clone();
    swapped.swap(10, 11);
    let more = [&repeats[..], &["more".to_owned()]].concat();
    let faulty = [&repeats[..600], &["*".to_owned()]].concat();
    for changed in [&other, &swapped, &repeats[..600].to_vec(), &more, &faulty, &Vec::new()] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let planned = input(folder.path(), &repeats);
        let limits = Endpoint::BUSIFAVOR.limits().unwrap();
        let survey = survey(&planned, limits, folder.path()).unwrap();
        let mut header =
            Header::new("busifavor.upload_coupon_codes", String::new(), "1900000001", &serde_json::Map::new());
        (header.batch, header.codes) = (limits.batch, survey.codes);
        input(folder.path(), changed);
        let refused = Journal::create(&path, header, survey.batches(&planned, limits).unwrap()).map(drop).unwrap_err();
        assert!(matches!(refused, PlanError::Input(InputError::Changed { .. })), "{refused:?}");
        let said = UploadError::from(refused).to_string();
        assert!(said.starts_with("codes.txt: changed while it was read, so nothing was sent; "), "{said}");
        let left = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["codes.txt"]);
    }
}

#[test]
fn what_is_no_journal_is_told_from_one_that_is_torn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    drop(create(&path, &codes(3)).unwrap());
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(Journal::open(&path).unwrap().totals().codes, 3);
    for (name, bytes, foreign) in [
        ("empty", &b""[..], true),
        ("text", b"code 1\ncode 2\n", true),
        ("torn", &whole[..5_000], false),
        ("torn in its header", &whole[..20], false),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let refused = Journal::open(&path).unwrap_err();
        assert_eq!(matches!(refused, JournalError::Foreign { .. }), foreign, "{name}: {refused:?}");
        assert_eq!(matches!(refused, JournalError::Damaged { .. }), !foreign, "{name}: {refused:?}");
    }
    // However much is missing, that is what is said: a panic of the reader, though it is caught, would be printed.
    for end in [24, 31, 4_095, 4_096, whole.len() / 2, whole.len() - 1] {
        let torn = Disk::default();
        torn.set_len(end as u64).unwrap();
        torn.write(0, &whole[..end]).unwrap();
        let refused = Journal::open_storage(torn, "disk").unwrap_err();
        assert!(
            matches!(&refused, JournalError::Damaged { why, .. } if why == "it ends too early"),
            "{end}: {refused:?}"
        );
    }
    let empty = Journal::open_storage(Disk::default(), "disk").unwrap_err();
    assert!(matches!(empty, JournalError::Foreign { .. }), "{empty:?}");
}

#[test]
fn no_byte_of_the_files_header_makes_it_panic_or_say_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let job = Fake::new(|_, _| None).uploader().job().clone();
    drop(job.create_on(disk.clone(), "disk", &input(folder.path(), &codes(450))).unwrap());
    let image = disk.read(0, usize::try_from(disk.len().unwrap()).unwrap()).unwrap();
    let mut refused = 0;
    // Behind the magic: flags, then lengths of pages and regions, then how many regions there are.
    for place in 9..32 {
        for value in [0x00, 0x01, 0x28, 0x80, 0xff] {
            let damaged = Disk::default();
            damaged.set_len(image.len() as u64).unwrap();
            damaged.write(0, &image).unwrap();
            damaged.write(place, &[value]).unwrap();
            match Journal::open_storage(damaged, "disk") {
                // Closed here, too.
                Ok(journal) => assert_eq!(journal.totals().not_sent, 450, "{place} {value}"),
                Err(JournalError::Damaged { .. }) => refused += 1,
                Err(other) => panic!("{place} {value}: {other:?}"),
            }
        }
    }
    assert!(refused >= 48, "{refused}");
    // Found by its fuzz target, in one of the two copies of the state.
    let damaged = Disk::default();
    damaged.set_len(image.len() as u64).unwrap();
    damaged.write(0, &image).unwrap();
    [0x100, 0x127].into_iter().for_each(|place| damaged.write(place, &[0, 0]).unwrap());
    let opened = Journal::open_storage(damaged, "disk").map(|journal| journal.totals().not_sent);
    assert!(matches!(opened, Ok(450) | Err(JournalError::Damaged { .. })), "{opened:?}");
}

/// Changes what a journal says of itself, or of its first batch, behind its back.
fn tamper(disk: &Disk, change: impl FnOnce(&mut Value), batch: Option<&Progress>) {
    let database = redb::Database::builder().create_with_file_format_v3(true).create_with_backend(disk.clone());
    let database = database.unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut meta = write.open_table(redb::TableDefinition::<&str, &[u8]>::new("wechatpay-uploader")).unwrap();
        let mut header: Value = serde_json::from_slice(meta.get("header").unwrap().unwrap().value()).unwrap();
        change(&mut header);
        meta.insert("header", header.to_string().as_bytes()).unwrap();
        let mut progress = write.open_table(redb::TableDefinition::<u64, &[u8]>::new("progress")).unwrap();
        if let Some(batch) = batch {
            progress.insert(0, serde_json::to_vec(batch).unwrap().as_slice()).unwrap();
        }
    }
    write.commit().unwrap();
}

#[test]
fn a_journal_that_contradicts_itself_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let input = input(folder.path(), &codes(450));
    let opened = |change: fn(&mut Value), batch: Option<&Progress>| {
        let disk = Disk::default();
        drop(Fake::new(|_, _| None).uploader().job().create_on(disk.clone(), "disk", &input).unwrap());
        tamper(&disk, change, batch);
        Journal::open_storage(disk, "disk").map(|journal| journal.totals())
    };
    let done = |uploaded| {
        let tally = Tally { uploaded, ..Tally::default() };
        Progress { state: State::Done, tally, ..Progress::default() }
    };
    assert_eq!(opened(|_| {}, None).unwrap().not_sent, 450);
    assert_eq!(opened(|_| {}, Some(&done(200))).unwrap().uploaded, 200);
    // As many batches as were not planned; a batch with fewer outcomes than codes; another version; no header.
    let damaged = |opened: Result<Totals, JournalError>| matches!(opened, Err(JournalError::Damaged { .. }));
    assert!(damaged(opened(|header| header["batches"] = 4.into(), None)));
    assert!(damaged(opened(|_| {}, Some(&done(199)))));
    assert!(damaged(opened(|header| header["numbers"] = 1.into(), None)));
    let versions: [fn(&mut Value); 2] = [|header| header["format"] = 2.into(), |header| *header = 1.into()];
    for change in versions {
        let opened = opened(change, None);
        assert!(matches!(opened, Err(JournalError::Version { .. })), "{opened:?}");
    }
}

#[test]
fn repeated_lines_are_found_again_however_many() {
    let folder = tempfile::tempdir().unwrap();
    // Two whole pieces of 1,024, and none more; and a piece that is not whole.
    for repeated in [2_048, 2_500] {
        let lines: Vec<_> = codes(10).into_iter().chain(vec![codes(1).remove(0); repeated]).collect();
        let input = input(folder.path(), &lines);
        let disk = Disk::default();
        let job = Fake::new(|_, _| None).uploader().job().clone();
        drop(job.create_on(disk.clone(), "disk", &input).unwrap());
        let journal = job.open_on(disk, "disk", &input).unwrap();
        assert_eq!(journal.totals().duplicates, repeated as u64);
        let mut states = Vec::new();
        let reported = journal.report(&Endpoint::BUSIFAVOR, |row| {
            states.push(row.state);
            Ok::<_, UploadError>(())
        });
        reported.unwrap().unwrap();
        assert_eq!(states.len(), 10 + repeated);
        assert!(states[..10].iter().all(|state| *state == CodeState::NotSent));
        assert!(states[10..].iter().all(|state| *state == CodeState::Duplicate));
    }
}
