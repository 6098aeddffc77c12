//! Numbers and other things that follow from descriptions alone.

use super::fake::{Fake, codes, input};
use crate::UploadError;
use serde_json::json;

#[test]
fn numbers_follow_from_the_input_and_the_target_and_fit_the_documented_set() {
    let folder = tempfile::tempdir().unwrap();
    let input1 = input(folder.path(), &codes(450));
    let fake = Fake::new(|_, _| None);
    let job = fake.uploader().job().clone();
    let planned = job.plan(&input1, folder.path()).unwrap();
    assert_eq!(job.plan(&input1, folder.path()).unwrap(), planned);
    assert_eq!((planned.codes, planned.batches), (450, 3));

    let mut other = job.clone();
    other.target.insert("stock_id".to_owned(), json!("7"));
    assert_ne!(other.plan(&input1, folder.path()).unwrap().numbers, planned.numbers);
    let other = crate::Job { mchid: "1900000009".to_owned(), ..job.clone() };
    assert_ne!(other.plan(&input1, folder.path()).unwrap().numbers, planned.numbers);

    let journal = job.open(&input1, &folder.path().join("journal")).unwrap();
    fake.run(journal).unwrap();
    let state = fake.state.lock().unwrap();
    let mut numbers: Vec<_> = state.numbers.keys().cloned().collect();
    numbers.sort();
    assert_eq!(numbers, [0, 1, 2].map(|index| format!("{}{index:06}", planned.numbers)));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"|_*-".contains(&byte);
    assert!(numbers.iter().all(|number| number.len() <= 128 && number.bytes().all(allowed)));
}

#[test]
fn a_target_that_breaks_its_limits_is_refused_before_anything_is_read() {
    let fake = Fake::new(|_, _| None);
    let mut job = fake.uploader().job().clone();
    job.target.insert("stock_id".to_owned(), json!(""));
    job.target.insert("mode".to_owned(), json!("x"));
    let nothing = crate::Input { sources: Vec::new(), format: crate::Format::Text };
    match job.plan(&nothing, std::path::Path::new(".")) {
        Err(UploadError::Invalid(error)) => {
            let text = error.to_string();
            assert!(text.contains("/stock_id") && text.contains("/mode"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}
