//! Makes an answer fit its request: each code that was sent gets one outcome, and what does not fit is said.

use crate::codes::Codes;
use crate::endpoint::Endpoint;
use crate::journal::{CodeState, Note, Tally};
use crate::lists::{Answer, List};
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
pub(crate) fn reconcile(endpoint: &Endpoint, answer: &Answer, codes: &Codes, maybe: bool) -> Reconciled {
    let lists = &endpoint.lists;
    let named = |list| answer.list(list).into_iter().flat_map(|list| list.codes(lists.fail_code));
    // The rule: all taken, in their order.
    let total = answer.number(lists.total);
    let others = [lists.fail, lists.exist, lists.duplicate];
    let simple = others.iter().all(|name| answer.list(name).is_none_or(List::is_empty));
    if simple && total.is_none_or(|total| total == codes.len() as u64) && named(lists.success).eq(codes.iter()) {
        let tally = Tally { uploaded: count(codes.len()), ..Tally::default() };
        return Reconciled { tally, ..Reconciled::default() };
    }
    let mut sorter = Sorter::new(codes);
    sorter.sort(named(lists.success), lists.success, |_| Note { state: CodeState::Uploaded, reason: None });
    let failed = answer.list(lists.fail);
    sorter.sort(named(lists.fail), lists.fail, |at| Note {
        state: CodeState::Refused,
        reason: Some(
            failed.and_then(|list| list.object(at)).map_or_else(String::new, |item| why(item, lists.fail_code)),
        ),
    });
    sorter.sort(named(lists.exist), lists.exist, |_| match maybe {
        true => Note {
            state: CodeState::Uploaded,
            reason: Some("found there after a call whose answer was lost".to_owned()),
        },
        false => Note { state: CodeState::Existed, reason: Some("there before this upload".to_owned()) },
    });
    let repeated = answer.list(lists.duplicate).map_or(0, List::len);
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
    sorter.finish(lists.success_count.and_then(|name| answer.number(name)), lists.success)
}

/// Gives each code one outcome.
struct Sorter<'a> {
    positions: HashMap<&'a str, usize>,
    found: Vec<Option<Note>>,
    differences: Vec<String>,
}

impl<'a> Sorter<'a> {
    fn new(codes: &'a Codes) -> Self {
        let positions = codes.iter().enumerate().map(|(at, code)| (code, at)).collect();
        Self { positions, found: vec![None; codes.len()], differences: Vec::new() }
    }

    fn sort<'n>(&mut self, named: impl Iterator<Item = &'n str>, list: &str, note: impl Fn(usize) -> Note) {
        let (mut strange, mut twice) = (0, 0);
        for (at, code) in named.enumerate() {
            match self.positions.get(code).and_then(|position| self.found.get_mut(*position)) {
                None => strange += 1,
                Some(found @ None) => *found = Some(note(at)),
                // The first word counts: what was taken is taken.
                Some(Some(_)) => twice += 1,
            }
        }
        if strange > 0 {
            self.differences.push(format!("`{list}` names {} not sent", plural(strange)));
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
                self.differences.push(format!("{} sent, and in no list", plural(missing)));
            }
            if let Some(taken) = taken
                && taken != listed as u64
            {
                self.differences.push(format!("it says {taken} taken, and `{list}` names {listed}"));
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

/// Reason and message of a refused code, in one line.
fn why(item: &Map<String, Value>, code: &str) -> String {
    let others = item.iter().filter(|(name, _)| *name != code);
    let words: Vec<_> = others.filter_map(|(_, value)| value.as_str()).collect();
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn codes(count: usize) -> Codes {
        (0..count).map(|number| format!("C{number}")).collect()
    }

    fn reconciled(answer: &Value, count: usize, maybe: bool) -> Reconciled {
        let answer = serde_json::from_value(answer.clone()).unwrap();
        reconcile(&Endpoint::BUSIFAVOR, &answer, &codes(count), maybe)
    }

    /// The tally as text, and what does not fit.
    fn states(answer: &Value, count: usize, maybe: bool) -> (String, Vec<String>) {
        let reconciled = reconciled(answer, count, maybe);
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
                &["1 code sent, and in no list"],
            ),
            // The number stands for the list only where there is no list.
            (
                json!({"total_count": 3, "success_count": 2, "success_codes": ["C0"]}),
                "1 0 0 2",
                &["2 codes sent, and in no list", "it says 2 taken, and `success_codes` names 1"],
            ),
            (
                json!({"total_count": 3, "success_count": 1}),
                "0 0 0 3",
                &["3 codes sent, and in no list", "it says 1 taken, and `success_codes` names 0"],
            ),
            (
                json!({"total_count": 4, "success_count": 3, "success_codes": all}),
                "3 0 0 0",
                &["`total_count` is 4, and 3 were sent"],
            ),
            (
                json!({"total_count": 3, "success_count": 4, "success_codes": ["C0", "C1", "C2", "X"]}),
                "3 0 0 0",
                &["`success_codes` names 1 code not sent", "it says 4 taken, and `success_codes` names 3"],
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
                &["`success_codes` names 3 codes not sent", "3 codes sent, and in no list"],
            ),
            (json!({}), "0 0 0 3", &["3 codes sent, and in no list"]),
            (json!([]), "0 0 0 3", &["3 codes sent, and in no list"]),
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
        let notes = |maybe| reconciled(&answer, 6, maybe).notes;
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
        assert_eq!(reconciled(&all, 2, false).notes, []);
    }
}
