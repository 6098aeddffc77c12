//! The disk fails at every single operation, in every way; the upload is taken up again, and the ledger is right.

use super::disk::{Disk, Fault};
use super::fake::{Fake, codes, input};
use crate::{Ended, JournalError, UploadError};

/// One upload on a disk that fails at this operation; `false` if the fault never came.
fn survives(at: u64, fault: Fault) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(1_150);
    let input = input(folder.path(), &codes);
    // Answers are lost here and there as well.
    let fake = Fake::new(|call, _| (call % 4 == 2).then_some(super::fake::Wrong::Lost));
    let job = fake.uploader().job().clone();

    let disk = Disk::failing(at, fault);
    let planned = job.create_on(disk.clone(), "disk", &input);
    let begun = planned.is_ok();
    let first = planned.and_then(|journal| fake.run(journal));
    match (fault, &first) {
        (_, Ok(finished)) => assert!(matches!(finished.ended, Ended::Complete)),
        (Fault::Full, Err(UploadError::Journal(JournalError::Full { needed, .. }))) => {
            assert!(*needed > 0);
            assert!(begun || fake.calls() == 0, "sent before there was a plan");
        }
        (Fault::Crash | Fault::Torn, Err(UploadError::Journal(_))) => {
            assert!(begun || fake.calls() == 0, "sent before there was a plan");
        }
        (_, Err(error)) => panic!("{fault:?} at {at}: {error}"),
    }
    drop(first);
    let hit = disk.hit();

    // Power and room are back.
    let disk = disk.after_crash();
    let journal = match job.open_on(disk, "disk", &input) {
        Ok(journal) => journal,
        // A plan that was not completed has no name yet, and nothing was sent; a disk that lies about a sync may leave a
        // journal that says itself that it cannot be believed. Numbers follow from the input: a new one goes on.
        Err(UploadError::Journal(error)) => {
            assert!(!begun || fault == Fault::LostSync, "{fault:?} at {at}: {error}");
            assert!(matches!(error, JournalError::Damaged { .. } | JournalError::Foreign { .. }), "{error:?}");
            job.create_on(Disk::default(), "new", &input).unwrap()
        }
        Err(error) => panic!("{fault:?} at {at}: {error}"),
    };
    let finished = fake.run(journal).unwrap();
    assert!(matches!(finished.ended, Ended::Complete), "{fault:?} at {at}: {:?}", finished.ended);
    let totals = finished.journal.totals();
    assert_eq!((totals.uploaded, totals.codes), (1_150, 1_150), "{fault:?} at {at}: {totals:?}");
    assert!(totals.balances());
    fake.holds(&codes);
    hit
}

fn sweep(fault: Fault) {
    let mut at = 1;
    while survives(at, fault) {
        at += 1;
    }
    // Fewer would mean that the sweep has missed the upload.
    assert!(at > 30, "{fault:?} was over at {at}");
}

#[test]
fn a_disk_without_room_stops_the_upload_before_it_sends() {
    sweep(Fault::Full);
}

#[test]
fn a_crash_at_any_write_is_survived() {
    sweep(Fault::Crash);
}

#[test]
fn a_torn_write_is_survived_wherever_it_is() {
    sweep(Fault::Torn);
}

#[test]
fn a_sync_that_lies_doubles_nothing() {
    sweep(Fault::LostSync);
}

#[test]
fn every_batch_is_on_the_disk_as_being_sent_before_it_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(3_000);
    let input = input(folder.path(), &codes);
    let disk = Disk::default();
    let watched = disk.clone();
    let fake = Fake::new(move |_, number| {
        let journal = crate::Journal::open_storage(watched.after_crash(), "disk").unwrap();
        let batch = number.rsplit('-').next().unwrap().parse().unwrap();
        let state = journal.view().progress(batch).unwrap().state;
        assert_eq!(state, crate::State::Sending, "batch {batch}");
        None
    });
    let journal = fake.uploader().job().create_on(disk.clone(), "disk", &input).unwrap();
    fake.run(journal).unwrap();
    fake.holds(&codes);
    assert!(disk.operations() > 0 && fake.calls() == 15);
}
