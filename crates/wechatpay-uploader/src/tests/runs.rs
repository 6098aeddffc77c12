//! Whole uploads: what goes wrong on the way, and what is said about it.

use super::fake::{Fake, Wrong, codes, futures_executor, input};
use crate::{CodeState, Ended, Endpoint, Event, Journal, JournalError, Options, State, UploadError};
use serde_json::json;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use wechatpay_protocol::{Error, Stamper};

fn states(journal: &Journal) -> Vec<(String, CodeState, Option<String>)> {
    let mut rows = Vec::new();
    let reported = journal.report(&Endpoint::BUSIFAVOR, |row| {
        rows.push((format!("{}:{}", row.file, row.line), row.state, row.reason.map(|reason| reason.into_owned())));
        Ok::<_, ()>(())
    });
    reported.unwrap().unwrap();
    rows
}

#[test]
fn lost_answers_and_refusals_for_haste_cost_no_code_and_few_calls() {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(100_000);
    let input = input(folder.path(), &codes);
    let (injected, count) = (std::sync::Arc::new(AtomicU32::new(0)), std::sync::Arc::new(AtomicU32::new(0)));
    let seen = injected.clone();
    // Of each hundred calls ten are lost and ten are refused, evenly mixed.
    let fake = Fake::new(move |call, _| {
        let wrong = match call * 37 % 100 {
            0..10 => Some(Wrong::Lost),
            10..20 => Some(Wrong::Refused(429, "FREQUENCY_LIMITED")),
            _ => None,
        };
        seen.fetch_add(u32::from(wrong.is_some()), Ordering::SeqCst);
        wrong
    });
    let uploader = fake.uploader();
    let journal = uploader.job().open(&input, &folder.path().join("journal")).unwrap();
    let run = uploader.run(journal, std::future::pending(), |event: &Event<'_>| {
        count.fetch_add(u32::from(matches!(event, Event::Settled { .. })), Ordering::SeqCst);
    });
    let finished = futures_executor(run).unwrap();
    assert!(matches!(finished.ended, Ended::Complete));
    fake.holds(&codes);
    let totals = finished.journal.totals();
    assert_eq!((totals.uploaded, totals.batches_done, totals.differences), (100_000, 500, 0), "{totals:?}");
    assert_eq!(count.load(Ordering::SeqCst), 500);
    assert_eq!(totals.attempts, fake.calls());
    let injected = u64::from(injected.load(Ordering::SeqCst));
    assert!(injected > 80 && fake.calls() <= 600 + injected, "{} calls, {injected} injected", fake.calls());
}

#[test]
fn a_stock_that_is_being_created_is_waited_for_by_one_call_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(2_000);
    let input = input(folder.path(), &codes);
    let fake = Fake::new(|call, _| (call <= 5).then_some(Wrong::Refused(400, "STATEMENT_CREATING")));
    let journal = fake.uploader().job().open(&input, &folder.path().join("journal")).unwrap();
    let finished = fake.run(journal).unwrap();
    assert!(matches!(finished.ended, Ended::Complete));
    assert_eq!(fake.calls(), 15);
    fake.holds(&codes);

    // It ends, though: after ten minutes nothing has been sent, and that is said.
    let fake = Fake::new(|_, _| Some(Wrong::Refused(400, "STATEMENT_CREATING")));
    let journal = fake.uploader().job().open(&input, &folder.path().join("other")).unwrap();
    let finished = fake.run(journal).unwrap();
    assert!(matches!(&finished.ended, Ended::Stopped(error) if error.code() == Some("STATEMENT_CREATING")));
    assert!((9..20).contains(&fake.calls()), "{}", fake.calls());
    assert_eq!(finished.journal.totals().not_sent, 2_000);
}

#[test]
fn a_pause_that_wechat_pay_asks_for_is_told_and_one_that_is_too_long_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(4_000);
    let input = input(folder.path(), &codes);
    // Four calls are refused at the same time; later one is, for longer.
    let fake = Fake::new(|call, _| match call {
        3..=6 => Some(Wrong::TooSoon(60)),
        10 => Some(Wrong::TooSoon(300)),
        _ => None,
    });
    let uploader = fake.uploader();
    let journal = uploader.job().open(&input, &folder.path().join("journal")).unwrap();
    let told = Mutex::new(Vec::new());
    let run = uploader.run(journal, std::future::pending(), |event: &Event<'_>| {
        if let Event::Held { pause } = event {
            told.lock().unwrap().push(pause.as_secs());
        }
    });
    assert!(matches!(futures_executor(run).unwrap().ended, Ended::Complete));
    // The clock goes on with each pause, so those at the same time are told one by one here.
    let mut told = told.into_inner().unwrap();
    told.dedup();
    assert_eq!(told, [60, 300]);
    fake.holds(&codes);

    for seconds in [600, 601, 86_400, u64::MAX] {
        let fake = Fake::new(move |call, _| (call == 3).then_some(Wrong::TooSoon(seconds)));
        let path = folder.path().join(seconds.to_string());
        let journal = fake.uploader().job().open(&input, &path).unwrap();
        let finished = fake.run(journal).unwrap();
        let Ended::Stopped(error) = &finished.ended else { panic!("{:?}", finished.ended) };
        let Error::Api(refusal) = &**error else { panic!("{error}") };
        assert_eq!((refusal.status, refusal.retry_after), (429, Some(Duration::from_secs(seconds))));
        // What was under way has ended, nothing has waited, and nothing is in doubt.
        let totals = finished.journal.totals();
        assert!(fake.calls() < 12 && totals.not_sent >= 1_600 && totals.unknown == 0, "{totals:?}");
        assert!(fake.clock.monotonic() < Duration::from_secs(60));
        drop(finished);
        fake.plot(|_, _| None);
        let journal = fake.uploader().job().open(&input, &path).unwrap();
        assert!(matches!(fake.run(journal).unwrap().ended, Ended::Complete));
        fake.holds(&codes);
    }
}

#[test]
fn a_refusal_of_the_first_batch_sends_no_second() {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(2_000);
    let input = input(folder.path(), &codes);
    let fake = Fake::new(|_, _| Some(Wrong::Refused(404, "RESOURCE_NOT_EXISTS")));
    let path = folder.path().join("journal");
    let journal = fake.uploader().job().open(&input, &path).unwrap();
    let finished = fake.run(journal).unwrap();
    assert!(matches!(&finished.ended, Ended::Stopped(error) if error.status() == Some(404)));
    let totals = finished.journal.totals();
    assert_eq!((fake.calls(), totals.refused, totals.not_sent, totals.batches_refused), (1, 200, 1_800, 1));
    assert!(states(&finished.journal)[0].2.as_deref().unwrap().contains("RESOURCE_NOT_EXISTS"));
    drop(finished);
    // Once the cause is removed, the same again does all of it.
    fake.plot(|_, _| None);
    let journal = fake.uploader().job().open(&input, &path).unwrap();
    assert!(matches!(fake.run(journal).unwrap().ended, Ended::Complete));
    fake.holds(&codes);
}

#[test]
fn one_bad_batch_does_not_stop_the_others_and_three_in_a_row_do() {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(4_000);
    let input = input(folder.path(), &codes);
    let fake = Fake::new(|_, number| number.ends_with("000007").then_some(Wrong::Refused(400, "PARAM_ERROR")));
    let journal = fake.uploader().job().open(&input, &folder.path().join("journal")).unwrap();
    let finished = fake.run(journal).unwrap();
    assert!(matches!(&finished.ended, Ended::Stopped(error) if error.code() == Some("PARAM_ERROR")));
    let totals = finished.journal.totals();
    assert_eq!((totals.uploaded, totals.refused, totals.not_sent), (3_800, 200, 0));

    let fake = Fake::new(|call, _| (call > 5).then_some(Wrong::Refused(400, "INVALID_REQUEST")));
    let journal = fake.uploader().job().open(&input, &folder.path().join("other")).unwrap();
    let finished = fake.run(journal).unwrap();
    let totals = finished.journal.totals();
    assert!((3..=8).contains(&totals.batches_refused), "{totals:?}");
    assert!(totals.not_sent > 0 && totals.balances());
}

/// One more run of an upload, as it ends.
fn run(fake: &Fake, input: &crate::Input, path: &std::path::Path) -> crate::Finished {
    fake.run(fake.uploader().job().open(input, path).unwrap()).unwrap()
}

#[test]
fn a_batch_that_never_succeeds_keeps_no_other_from_being_sent() {
    for wrong in [
        Wrong::Refused(400, "PARAM_ERROR"),
        Wrong::Refused(500, "SYSTEM_ERROR"),
        Wrong::Lost,
        Wrong::Garbled(json!({"total_count": 200})),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let codes = codes(4_000);
        let input = input(folder.path(), &codes);
        let path = folder.path().join("journal");
        let bad = wrong.clone();
        let fake = Fake::new(move |_, number| number.ends_with("000003").then(|| bad.clone()));
        // It is interrupted behind that batch.
        let uploader = fake.uploader().with_options(Options { concurrency: 1, ..fake.uploader().options });
        let (sender, receiver) = futures::channel::oneshot::channel();
        let sender = Mutex::new(Some(sender));
        let settled = |event: &Event<'_>| {
            if matches!(event, Event::Settled { batch: 6, .. }) {
                sender.lock().unwrap().take().unwrap().send(()).unwrap();
            }
        };
        let stop = async { receiver.await.unwrap() };
        let journal = uploader.job().open(&input, &path).unwrap();
        let finished = futures_executor(uploader.run(journal, stop, settled)).unwrap();
        assert!(matches!(finished.ended, Ended::Interrupted), "{wrong:?}: {:?}", finished.ended);
        assert!(finished.journal.totals().not_sent > 0);
        drop(finished);
        // All others are sent, and it is tried again.
        let finished = run(&fake, &input, &path);
        assert!(matches!(finished.ended, Ended::Stopped(_) | Ended::Unclear), "{wrong:?}: {:?}", finished.ended);
        let totals = finished.journal.totals();
        assert_eq!((totals.batches_done, totals.uploaded, totals.not_sent), (19, 3_800, 0), "{wrong:?}");
        let attempts = totals.attempts;
        drop(finished);
        // Nothing else is left: it is tried under its number, and in the end it succeeds.
        let finished = run(&fake, &input, &path);
        assert!(finished.journal.totals().attempts > attempts, "{wrong:?}");
        drop(finished);
        fake.plot(|_, _| None);
        let finished = run(&fake, &input, &path);
        assert!(matches!(finished.ended, Ended::Complete), "{wrong:?}: {:?}", finished.ended);
        fake.holds(&codes);
    }
}

#[test]
fn batches_that_stop_a_run_stop_no_later_one_before_the_others_had_their_turn() {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(4_000);
    let input = input(folder.path(), &codes);
    let path = folder.path().join("journal");
    let number = |number: &str| number[number.len() - 6..].parse::<u64>().unwrap();
    let bad = move |at: &str| (2..9).contains(&number(at)).then_some(Wrong::Refused(400, "PARAM_ERROR"));
    let fake = Fake::new(move |_, at| bad(at));
    let mut runs = 0;
    while run(&fake, &input, &path).journal.totals().not_sent > 0 {
        runs += 1;
        assert!(runs < 8, "it goes no further");
    }
    let totals = Journal::open(&path).unwrap().totals();
    assert_eq!((totals.batches_done, totals.batches_refused), (13, 7));
    // The last of them could be taken now, and three before it fail each time.
    fake.plot(move |_, at| if number(at) == 8 { None } else { bad(at) });
    let mut runs = 0;
    while run(&fake, &input, &path).journal.totals().batches_done < 14 {
        runs += 1;
        assert!(runs < 8, "it is never tried again");
    }
    fake.plot(|_, _| None);
    assert!(matches!(run(&fake, &input, &path).ended, Ended::Complete));
    fake.holds(&codes);
}

#[test]
fn an_upload_of_which_something_was_taken_is_patient_in_every_run() {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(2_000);
    let input = input(folder.path(), &codes);
    let path = folder.path().join("journal");
    let fake = Fake::new(|_, number| number.ends_with(['2', '5']).then_some(Wrong::Refused(400, "PARAM_ERROR")));
    for calls in [10, 12, 14] {
        let totals = run(&fake, &input, &path).journal.totals();
        assert_eq!((fake.calls(), totals.batches_done, totals.batches_refused), (calls, 8, 2));
    }
    // Three in a row are enough to stop it.
    let fake = Fake::new(|call, _| (call > 1).then_some(Wrong::Refused(400, "PARAM_ERROR")));
    let path = folder.path().join("other");
    drop(run(&fake, &input, &path));
    let before = fake.calls();
    drop(run(&fake, &input, &path));
    assert_eq!(fake.calls(), before + 3);
}

#[test]
fn an_uploader_takes_no_journal_of_another_job() {
    let folder = tempfile::tempdir().unwrap();
    let (input, path) = (input(folder.path(), &codes(10)), folder.path().join("journal"));
    let fake = Fake::new(|_, _| None);
    drop(fake.uploader().job().open(&input, &path).unwrap());
    let target = |stock: &str| serde_json::Map::from_iter([("stock_id".to_owned(), json!(stock))]);
    let clock = fake.clock.clone();
    let other =
        crate::Uploader::new(fake.client(), Endpoint::BUSIFAVOR, target("98065002"), move |time| clock.sleep(time));
    let refused = |error: UploadError| {
        assert!(matches!(error, UploadError::Journal(JournalError::Other { what: "target", .. })), "{error:?}");
    };
    let mut journal = Journal::open(&path).unwrap();
    refused(futures_executor(other.verify(&mut journal)).unwrap_err());
    refused(futures_executor(other.run(journal, std::future::pending(), |_: &Event<'_>| {})).map(drop).unwrap_err());
    assert_eq!(fake.calls(), 0);
}

#[test]
fn what_may_have_been_executed_stays_unknown_until_it_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(600);
    let input = input(folder.path(), &codes);
    // Of the second batch every answer is lost, ten times; the others go through.
    let fake = Fake::new(|_, number| number.ends_with("000001").then_some(Wrong::Lost));
    let path = folder.path().join("journal");
    let journal = fake.uploader().job().open(&input, &path).unwrap();
    let finished = fake.run(journal).unwrap();
    assert!(matches!(&finished.ended, Ended::Stopped(error) if matches!(**error, Error::Transport(_))));
    let totals = finished.journal.totals();
    assert_eq!((totals.unknown, totals.uploaded, fake.calls()), (200, 400, 12));
    assert_eq!(states(&finished.journal)[200].1, CodeState::Unknown);
    drop(finished);
    fake.plot(|_, _| None);
    let journal = fake.uploader().job().open(&input, &path).unwrap();
    let finished = fake.run(journal).unwrap();
    assert_eq!((finished.journal.totals().uploaded, fake.calls()), (600, 13));
    fake.holds(&codes);
}

#[test]
fn a_host_that_cannot_be_reached_leaves_nothing_in_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let input = input(folder.path(), &codes(1_000));
    let fake = Fake::new(|_, _| Some(Wrong::Unreached));
    let journal = fake.uploader().job().open(&input, &folder.path().join("journal")).unwrap();
    let finished = fake.run(journal).unwrap();
    assert!(matches!(&finished.ended, Ended::Stopped(error) if matches!(**error, Error::Transport(_))));
    let totals = finished.journal.totals();
    assert_eq!((totals.not_sent, totals.unknown, fake.calls()), (1_000, 0, 10));
}

#[test]
fn what_exists_is_ours_only_where_a_call_may_have_brought_it() {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(400);
    let input = input(folder.path(), &codes);
    let list = |range: &[String]| {
        json!({"total_count": 200, "success_count": 0, "exist_codes": range, "stock_id": "1",
        "success_time": "2026-01-05T10:00:00+08:00"})
    };
    let (first, second) = (list(&codes[..200]), list(&codes[200..]));
    // The first batch is answered at once, the answer to the second is lost first.
    let fake = Fake::new(move |call, number| match (number.ends_with("000000"), call) {
        (true, _) => Some(Wrong::Garbled(first.clone())),
        (false, 2) => Some(Wrong::Lost),
        (false, _) => Some(Wrong::Garbled(second.clone())),
    });
    let journal = fake.uploader().job().open(&input, &folder.path().join("journal")).unwrap();
    let finished = fake.run(journal).unwrap();
    let totals = finished.journal.totals();
    assert_eq!((totals.existed, totals.uploaded), (200, 200));
    let rows = states(&finished.journal);
    assert_eq!((rows[0].1, rows[200].1), (CodeState::Existed, CodeState::Uploaded));
    assert!(rows[200].2.as_deref().unwrap().contains("lost"));
}

#[test]
fn an_answer_that_does_not_fit_is_reported_and_not_fatal() {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(200);
    let input = input(folder.path(), &codes);
    let few = json!({"total_count": 199, "success_count": 1, "success_codes": [codes[0]], "stock_id": "1",
        "fail_codes": [{"coupon_code": codes[1], "code": "LENGTH_LIMIT", "message": "long"}],
        "success_time": "2026-01-05T10:00:00+08:00"});
    let fake = Fake::new(move |_, _| Some(Wrong::Garbled(few.clone())));
    let uploader = fake.uploader();
    let journal = uploader.job().open(&input, &folder.path().join("journal")).unwrap();
    let said = Mutex::new(Vec::new());
    let run = uploader.run(journal, std::future::pending(), |event: &Event<'_>| {
        if let Event::Settled { differences, state, .. } = event {
            assert_eq!(*state, State::Done);
            said.lock().unwrap().extend(differences.to_vec());
        }
    });
    let finished = futures_executor(run).unwrap();
    let totals = finished.journal.totals();
    assert_eq!((totals.uploaded, totals.refused, totals.unclear, totals.differences), (1, 1, 198, 2));
    assert_eq!(said.into_inner().unwrap().len(), 2);
    let rows = states(&finished.journal);
    assert_eq!(rows[1].2.as_deref(), Some("LENGTH_LIMIT: long"));
    assert_eq!(rows[2].1, CodeState::Unclear);
}

#[test]
fn an_answer_that_names_no_code_leaves_the_batch_to_be_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(400);
    let input = input(folder.path(), &codes);
    for (name, instead) in [
        ("nothing", json!({})),
        ("other fields", json!({"a": {"total_count": 200}})),
        ("a list", json!([["code"]])),
        ("a number alone", json!({"total_count": 200})),
        ("others", json!({"total_count": 200, "success_count": 1, "success_codes": ["other"]})),
    ] {
        let path = folder.path().join(name);
        let fake = Fake::new(move |_, _| Some(Wrong::Garbled(instead.clone())));
        let journal = fake.uploader().job().open(&input, &path).unwrap();
        let finished = fake.run(journal).unwrap();
        assert!(matches!(finished.ended, Ended::Unclear), "{name}: {:?}", finished.ended);
        let totals = finished.journal.totals();
        // It is the first one, so no other is sent.
        assert_eq!((totals.unknown, totals.not_sent, totals.unclear, fake.calls()), (200, 200, 0, 1), "{name}");
        let (_, state, reason) = states(&finished.journal)[0].clone();
        assert_eq!((state, reason.as_deref()), (CodeState::Unknown, Some("the answer names none of its codes")));
        drop(finished);
        // The same number again, and the answer says what it did.
        fake.plot(|_, _| None);
        let journal = fake.uploader().job().open(&input, &path).unwrap();
        let finished = fake.run(journal).unwrap();
        let totals = finished.journal.totals();
        assert!(matches!(finished.ended, Ended::Complete) && totals.balances(), "{name}");
        assert_eq!((totals.uploaded, totals.differences, fake.calls()), (400, 0, 3), "{name}");
        fake.holds(&codes);
    }
}

#[test]
fn the_list_of_uploaded_codes_settles_what_an_answer_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(600);
    let input = input(folder.path(), &codes);
    let few = json!({"total_count": 200, "success_count": 1, "success_codes": [codes[0]],
        "fail_codes": [{"coupon_code": codes[1], "code": "LENGTH_LIMIT", "message": "long"}]});
    let fake = Fake::new(move |_, number| number.ends_with("000000").then(|| Wrong::Garbled(few.clone())));
    let uploader = fake.uploader();
    let journal = uploader.job().open(&input, &folder.path().join("journal")).unwrap();
    let mut finished = fake.run(journal).unwrap();
    assert!(matches!(finished.ended, Ended::Complete));
    fake.state.lock().unwrap().codes.remove(&codes[7]);
    let mut verify = |settled: u64| {
        let found = futures_executor(uploader.verify(&mut finished.journal)).unwrap();
        assert_eq!((found.listed, found.present, found.missing, found.settled), (599, 599, 0, settled));
        let totals = finished.journal.totals();
        // What is not listed stays in doubt, and a refusal is one.
        assert_eq!((totals.uploaded, totals.refused, totals.unclear), (598, 1, 1));
        assert!(totals.balances());
        states(&finished.journal)
    };
    let rows = verify(1);
    assert_eq!((rows[0].1, rows[1].1, rows[7].1), (CodeState::Uploaded, CodeState::Refused, CodeState::Unclear));
    assert_eq!(rows[2].1, CodeState::Uploaded);
    assert!(rows[2].2.as_deref().unwrap().contains("list"));
    assert_eq!(verify(0), rows);
}

#[test]
fn an_upload_that_is_asked_to_stop_ends_what_is_under_way_and_can_be_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(20_000);
    let input = input(folder.path(), &codes);
    let fake = Fake::new(|_, _| None);
    let path = folder.path().join("journal");
    let mut runs = 0;
    loop {
        runs += 1;
        let uploader = fake.uploader();
        let journal = uploader.job().open(&input, &path).unwrap();
        let (sender, receiver) = futures::channel::oneshot::channel();
        let sender = Mutex::new(Some(sender));
        let settled = AtomicU32::new(0);
        let stop = async {
            let _ = receiver.await;
        };
        let run = uploader.run(journal, stop, |_: &Event<'_>| {
            if settled.fetch_add(1, Ordering::SeqCst) == 20 {
                sender.lock().unwrap().take().unwrap().send(()).unwrap();
            }
        });
        let finished = futures_executor(run).unwrap();
        let totals = finished.journal.totals();
        // Nothing is left in doubt.
        assert_eq!(totals.unknown, 0, "{totals:?}");
        assert_eq!(totals.not_sent, 20_000 - totals.uploaded);
        match finished.ended {
            Ended::Interrupted => assert!((21..40).contains(&settled.load(Ordering::SeqCst))),
            Ended::Complete => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(runs > 2, "{runs}");
    assert_eq!(fake.calls(), 100);
    fake.holds(&codes);
}

#[test]
fn an_input_that_breaks_on_the_way_takes_no_outcome_along() {
    // Where a batch ends, and where none does.
    for length in [8_000 * 14, 8_000 * 14 + 1] {
        let folder = tempfile::tempdir().unwrap();
        let codes = codes(20_000);
        let input = input(folder.path(), &codes);
        let (whole, path) = (input.sources[0].path.clone(), folder.path().join("journal"));
        let fake = Fake::new(move |call, _| {
            if call == 8 {
                std::fs::File::options().write(true).open(&whole).unwrap().set_len(length).unwrap();
            }
            None
        });
        let journal = fake.uploader().job().open(&input, &path).unwrap();
        // All of them are there before this upload, which must not call any its own.
        fake.state.lock().unwrap().codes.extend(codes.iter().map(|code| (code.clone(), "before".to_owned())));
        let failed = fake.run(journal).map(|finished| finished.ended).unwrap_err();
        assert!(matches!(failed, UploadError::Journal(JournalError::ChangedMeanwhile)), "{failed:?}");
        let totals = Journal::open(&path).unwrap().totals();
        assert_eq!((totals.existed, totals.attempts), (200 * fake.calls(), fake.calls()), "{totals:?}");
        assert_eq!((totals.unknown, totals.existed + totals.not_sent), (0, 20_000), "{totals:?}");
        assert!(fake.calls() >= 8);
    }
}

#[test]
fn a_journal_is_of_one_input_and_one_target() {
    let folder = tempfile::tempdir().unwrap();
    let input1 = input(folder.path(), &codes(10));
    let fake = Fake::new(|_, _| None);
    let job = fake.uploader().job().clone();
    let path = folder.path().join("journal");
    let journal = job.open(&input1, &path).unwrap();
    assert!(matches!(job.open(&input1, &path), Err(UploadError::Journal(JournalError::Locked { .. }))));
    let digest = journal.header().digest.clone();
    drop(journal);

    let changed = input(folder.path(), &codes(11));
    let Err(UploadError::Journal(JournalError::Changed { planned, found })) = job.open(&changed, &path) else {
        panic!()
    };
    assert!(planned == digest && found != digest && found.len() == 64);

    input(folder.path(), &codes(10));
    let mut other = job.clone();
    other.target.insert("stock_id".to_owned(), json!("2"));
    assert!(matches!(
        other.open(&input1, &path),
        Err(UploadError::Journal(JournalError::Other { what: "target", .. }))
    ));
    let other = crate::Job { mchid: "2".to_owned(), ..job.clone() };
    assert!(matches!(
        other.open(&input1, &path),
        Err(UploadError::Journal(JournalError::Other { what: "merchant", .. }))
    ));

    // The same content elsewhere is the same input.
    let elsewhere = folder.path().join("moved.txt");
    std::fs::rename(&input1.sources[0].path, &elsewhere).unwrap();
    let moved = crate::Input { sources: vec![crate::Source::new(&elsewhere)], ..input1 };
    let journal = job.open(&moved, &path).unwrap();
    assert_eq!(journal.header().input(), moved);
    assert_eq!(states(&journal).len(), 10);
    drop(journal);

    for (name, bytes) in [("torn", &std::fs::read(&path).unwrap()[..5000]), ("empty", b""), ("text", b"code\n")] {
        let torn = folder.path().join(name);
        std::fs::write(&torn, bytes).unwrap();
        let opened = job.open(&moved, &torn);
        let refused =
            matches!(opened, Err(UploadError::Journal(JournalError::Damaged { .. } | JournalError::Foreign { .. })));
        assert!(refused, "{name}: {opened:?}");
        assert_eq!(std::fs::read(&torn).unwrap(), bytes, "{name} was touched");
    }
    assert_eq!(fake.calls(), 0);
}

#[test]
fn the_list_of_uploaded_codes_tells_what_is_missing_and_settles_what_was_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let codes = codes(600);
    let input = input(folder.path(), &codes);
    let fake = Fake::new(|call, number| match number.ends_with("000001") {
        // The number is known already, and nobody says what it did.
        true if call > 2 => Some(Wrong::Refused(400, "RESOURCE_ALREADY_EXISTS")),
        true => Some(Wrong::Lost),
        false => None,
    });
    let uploader = fake.uploader();
    let journal = uploader.job().open(&input, &folder.path().join("journal")).unwrap();
    let mut finished = fake.run(journal).unwrap();
    assert_eq!(finished.journal.totals().unknown, 200);
    {
        let mut state = fake.state.lock().unwrap();
        state.codes.remove(&codes[3]);
        state.codes.insert("strange".to_owned(), String::new());
    }
    let found = futures_executor(uploader.verify(&mut finished.journal)).unwrap();
    assert_eq!((found.listed, found.present, found.missing, found.others, found.settled), (600, 599, 1, 1, 1));
    assert_eq!(found.missing_at, ["codes.txt:4"]);
    let totals = finished.journal.totals();
    assert_eq!((totals.uploaded, totals.unknown), (600, 0));
    assert!(states(&finished.journal)[200].2.as_deref().unwrap().contains("list"));
}

#[cfg(unix)]
#[test]
fn a_comparison_without_room_says_nothing_about_the_upload() {
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // More than is sorted in memory.
    let codes: Vec<_> = (0..160_000).map(|number| format!("{number:032}")).collect();
    let input = input(folder.path(), &codes);
    let fake = Fake::new(|_, _| None);
    let uploader = fake.uploader();
    let mut journal = uploader.job().open(&input, &place.path().join("journal")).unwrap();
    place.close().unwrap();
    let error = futures_executor(uploader.verify(&mut journal)).unwrap_err();
    assert!(matches!(error, UploadError::Comparing { .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("nothing of the upload is lost") && !said.contains("nothing was sent"), "{said}");
}
