//! Makes an answer fit its request: each code that was sent gets one outcome, and what does not fit is said.

use crate::endpoint::Endpoint;
use crate::journal::{CodeState, Note, Tally};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// What an answer says about the codes of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reconciled {
    pub(crate) tally: Tally,
    /// By position, all but those that were simply taken.
    pub(crate) notes: Vec<(u32, Note)>,
    /// What of the answer does not fit; no codes are named.
    pub(crate) differences: Vec<String>,
}

/// Reconciles an answer with the codes that were sent, which are distinct. `maybe` says that an earlier call of this
/// batch may have been executed: what exists now is then taken for its work.
pub(crate) fn reconcile(endpoint: &Endpoint, answer: &Value, codes: &[String], maybe: bool) -> Reconciled {
    let lists = &endpoint.lists;
    let success = texts(answer, lists.success, lists.fail_code);
    // The rule: all taken, in their order.
    let total = answer.get(lists.total).and_then(Value::as_u64);
    let others = [lists.fail, lists.exist, lists.duplicate];
    let simple = others.iter().all(|name| items(answer, name).is_empty());
    if simple && total.is_none_or(|total| total == codes.len() as u64) && success.iter().copied().eq(codes) {
        let tally = Tally { uploaded: count(codes.len()), ..Tally::default() };
        return Reconciled { tally, ..Reconciled::default() };
    }
    let mut sorter = Sorter::new(codes);
    sorter.sort(&success, lists.success, |_| Note { state: CodeState::Uploaded, reason: None });
    let failed = items(answer, lists.fail);
    sorter.sort(&texts(answer, lists.fail, lists.fail_code), lists.fail, |at| Note {
        state: CodeState::Refused,
        reason: Some(failed.get(at).map_or_else(String::new, |item| why(item, lists.fail_code))),
    });
    sorter.sort(&texts(answer, lists.exist, lists.fail_code), lists.exist, |_| match maybe {
        true => Note {
            state: CodeState::Uploaded,
            reason: Some("found there after a call whose answer was lost".to_owned()),
        },
        false => Note { state: CodeState::Existed, reason: Some("there before this upload".to_owned()) },
    });
    let repeated = items(answer, lists.duplicate).len();
    if repeated > 0 {
        sorter.differences.push(format!(
            "`{}` names {}, and every code was sent once",
            lists.duplicate,
            plural(repeated)
        ));
    }
    if let Some(total) = total
        && total != codes.len() as u64
    {
        sorter.differences.push(format!("`{}` is {total}, and {} were sent", lists.total, codes.len()));
    }
    sorter.finish(lists.success_count.and_then(|name| answer.get(name)?.as_u64()), lists.success)
}

/// Gives each code one outcome.
struct Sorter<'a> {
    positions: HashMap<&'a str, usize>,
    found: Vec<Option<Note>>,
    differences: Vec<String>,
}

impl<'a> Sorter<'a> {
    fn new(codes: &'a [String]) -> Self {
        let positions = codes.iter().enumerate().map(|(at, code)| (code.as_str(), at)).collect();
        Self { positions, found: vec![None; codes.len()], differences: Vec::new() }
    }

    fn sort(&mut self, named: &[&str], list: &str, note: impl Fn(usize) -> Note) {
        let (mut strange, mut twice) = (0, 0);
        for (at, code) in named.iter().enumerate() {
            match self.positions.get(code).and_then(|position| self.found.get_mut(*position)) {
                None => strange += 1,
                Some(found @ None) => *found = Some(note(at)),
                // The first word counts: what was taken is taken.
                Some(Some(_)) => twice += 1,
            }
        }
        if strange > 0 {
            self.differences.push(format!("`{list}` names {} that were not sent", plural(strange)));
        }
        if twice > 0 {
            self.differences.push(format!("`{list}` names {} that the answer named before", plural(twice)));
        }
    }

    /// `taken` is how many codes the answer says it took.
    fn finish(mut self, taken: Option<u64>, list: &str) -> Reconciled {
        let uploaded = |found: &[Option<Note>]| {
            found.iter().flatten().filter(|note| note.state == CodeState::Uploaded && note.reason.is_none()).count()
        };
        let missing = self.found.iter().filter(|found| found.is_none()).count();
        let listed = uploaded(&self.found);
        if missing > 0 && listed == 0 && taken == Some(missing as u64) {
            // The list may be left out: the number says that it is these.
            self.found.iter_mut().filter(|found| found.is_none()).for_each(|found| {
                *found = Some(Note { state: CodeState::Uploaded, reason: None });
            });
        } else {
            if missing > 0 {
                self.differences.push(format!("{} that were sent are in no list", plural(missing)));
            }
            if let Some(taken) = taken
                && taken != listed as u64
            {
                self.differences.push(format!("it says that {taken} were taken, and `{list}` names {listed}"));
            }
        }
        let mut reconciled = Reconciled { differences: self.differences, ..Reconciled::default() };
        for (position, found) in self.found.into_iter().enumerate() {
            let reason = || Some("the answer does not name it".to_owned());
            let note = found.unwrap_or_else(|| Note { state: CodeState::Unclear, reason: reason() });
            let tally = &mut reconciled.tally;
            match note.state {
                CodeState::Uploaded => tally.uploaded += 1,
                CodeState::Existed => tally.existed += 1,
                CodeState::Refused => tally.refused += 1,
                _ => tally.unclear += 1,
            }
            if note.state != CodeState::Uploaded || note.reason.is_some() {
                reconciled.notes.push((count(position), note));
            }
        }
        reconciled
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn plural(number: usize) -> String {
    if number == 1 { "1 code".to_owned() } else { format!("{number} codes") }
}

/// The items of a list that may be left out.
fn items<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The codes of a list; its items are texts, or objects with the code in a field.
fn texts<'a>(answer: &'a Value, name: &str, field: &str) -> Vec<&'a str> {
    let text = |item: &'a Value| match item {
        Value::Object(item) => item.get(field).and_then(Value::as_str),
        item => item.as_str(),
    };
    // An item without a code matches none, and so is counted as strange.
    items(answer, name).iter().map(|item| text(item).unwrap_or_default()).collect()
}

/// Reason and message of a refused code, in one line.
fn why(item: &Value, code: &str) -> String {
    let Value::Object(fields) = item else { return String::new() };
    let others = |fields: &Map<String, Value>| {
        fields
            .iter()
            .filter(|(name, _)| *name != code)
            .filter_map(|(_, value)| value.as_str().map(str::to_owned))
            .collect()
    };
    let words: Vec<String> = others(fields);
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn codes(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("C{number}")).collect()
    }

    /// The tally as text, and what does not fit.
    fn states(answer: &Value, count: usize, maybe: bool) -> (String, Vec<String>) {
        let reconciled = reconcile(&Endpoint::BUSIFAVOR, answer, &codes(count), maybe);
        let Tally { uploaded, existed, refused, unclear } = reconciled.tally;
        assert_eq!(uploaded + existed + refused + unclear, u32::try_from(count).unwrap());
        (format!("{uploaded} {existed} {refused} {unclear}"), reconciled.differences)
    }

    #[test]
    fn every_code_gets_one_outcome_and_what_does_not_fit_is_said() {
        let all = json!(["C0", "C1", "C2"]);
        let cases: Vec<(Value, &str, &[&str])> = vec![
            (json!({"total_count": 3, "success_count": 3, "success_codes": all}), "3 0 0 0", &[]),
            // Another order is no difference, nor is a list that is left out where the number says enough.
            (json!({"total_count": 3, "success_count": 3, "success_codes": ["C2", "C0", "C1"]}), "3 0 0 0", &[]),
            (json!({"total_count": 3, "success_count": 3}), "3 0 0 0", &[]),
            (json!({"total_count": 3, "success_count": 2, "exist_codes": ["C1"]}), "2 1 0 0", &[]),
            (json!({"total_count": 3, "success_count": 0, "exist_codes": all}), "0 3 0 0", &[]),
            (
                json!({"total_count": 3, "success_count": 1, "success_codes": ["C0"], "exist_codes": ["C1"],
                    "fail_codes": [{"coupon_code": "C2", "code": "LENGTH_LIMIT", "message": "m"}]}),
                "1 1 1 0",
                &[],
            ),
            (
                json!({"total_count": 3, "success_count": 1, "success_codes": ["C0"], "fail_codes": ["C2", "C1"]}),
                "1 0 2 0",
                &[],
            ),
            (
                json!({"total_count": 3, "success_count": 2, "success_codes": ["C0", "C1"]}),
                "2 0 0 1",
                &["1 code that were sent are in no list"],
            ),
            // The number stands for the list only where there is no list.
            (
                json!({"total_count": 3, "success_count": 2, "success_codes": ["C0"]}),
                "1 0 0 2",
                &["2 codes that were sent are in no list", "it says that 2 were taken, and `success_codes` names 1"],
            ),
            (
                json!({"total_count": 3, "success_count": 1}),
                "0 0 0 3",
                &["3 codes that were sent are in no list", "it says that 1 were taken, and `success_codes` names 0"],
            ),
            (
                json!({"total_count": 4, "success_count": 3, "success_codes": all}),
                "3 0 0 0",
                &["`total_count` is 4, and 3 were sent"],
            ),
            (
                json!({"total_count": 3, "success_count": 4, "success_codes": ["C0", "C1", "C2", "X"]}),
                "3 0 0 0",
                &[
                    "`success_codes` names 1 code that were not sent",
                    "it says that 4 were taken, and `success_codes` names 3",
                ],
            ),
            (
                json!({"total_count": 3, "success_count": 3, "success_codes": all, "exist_codes": ["C0"]}),
                "3 0 0 0",
                &["`exist_codes` names 1 code that the answer named before"],
            ),
            (
                json!({"total_count": 3, "success_count": 3, "success_codes": all, "fail_codes": ["C1", "C2"]}),
                "3 0 0 0",
                &["`fail_codes` names 2 codes that the answer named before"],
            ),
            (
                json!({"total_count": 3, "success_count": 3, "success_codes": all, "duplicate_codes": ["C0", "C1"]}),
                "3 0 0 0",
                &["`duplicate_codes` names 2 codes, and every code was sent once"],
            ),
            (
                json!({"success_codes": [7, {}, null]}),
                "0 0 0 3",
                &["`success_codes` names 3 codes that were not sent", "3 codes that were sent are in no list"],
            ),
            (json!({}), "0 0 0 3", &["3 codes that were sent are in no list"]),
            (json!([]), "0 0 0 3", &["3 codes that were sent are in no list"]),
        ];
        for (answer, wanted, differences) in cases {
            let (found, said) = states(&answer, 3, false);
            assert_eq!(found, wanted, "{answer}: {said:?}");
            assert_eq!(said, differences, "{answer}");
        }
    }

    #[test]
    fn what_exists_after_a_lost_answer_is_ours() {
        let answer = json!({"total_count": 2, "success_count": 0, "exist_codes": ["C0", "C1"]});
        assert_eq!(states(&answer, 2, true), ("2 0 0 0".to_owned(), vec![]));
        assert_eq!(states(&answer, 2, false), ("0 2 0 0".to_owned(), vec![]));
        // It is not counted among those that this answer took.
        let answer = json!({"total_count": 3, "success_count": 1, "exist_codes": ["C1", "C2"]});
        assert_eq!(states(&answer, 3, true), ("3 0 0 0".to_owned(), vec![]));
    }

    #[test]
    fn only_what_is_not_the_rule_is_noted_and_refusals_with_their_reason() {
        let note = |state, reason: &str| Note { state, reason: Some(reason.to_owned()) };
        let answer = json!({"total_count": 6, "success_count": 1, "success_codes": ["C0"], "exist_codes": ["C4"],
            "fail_codes": [{"coupon_code": "C2", "code": "LENGTH_LIMIT", "message": "too long"}, "C3"]});
        let notes = |maybe| reconcile(&Endpoint::BUSIFAVOR, &answer, &codes(6), maybe).notes;
        let mut wanted = vec![
            (1, note(CodeState::Unclear, "the answer does not name it")),
            (2, note(CodeState::Refused, "LENGTH_LIMIT: too long")),
            (3, note(CodeState::Refused, "")),
            (4, note(CodeState::Existed, "there before this upload")),
            (5, note(CodeState::Unclear, "the answer does not name it")),
        ];
        assert_eq!(notes(false), wanted);
        wanted[3] = (4, note(CodeState::Uploaded, "found there after a call whose answer was lost"));
        assert_eq!(notes(true), wanted);
        let all = json!({"total_count": 2, "success_count": 2, "success_codes": ["C0", "C1"]});
        assert_eq!(reconcile(&Endpoint::BUSIFAVOR, &all, &codes(2), false).notes, []);
    }
}
