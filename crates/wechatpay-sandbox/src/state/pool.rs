//! Pools of codes that are uploaded to a stock.

use super::CodeEffect;
use crate::ambient::Ambient;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};

/// The codes of a stock: millions of them, so each is kept once with little beside it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Pool {
    /// In the order in which they were uploaded.
    codes: IndexMap<String, Code>,
    /// Those that no user has, in no order.
    available: Vec<String>,
    deleted: BTreeSet<String>,
    /// The numbers of the uploads.
    numbers: Vec<String>,
}

/// A code in the pool of a stock.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Code {
    /// Place of its upload's number.
    number: usize,
    pub(super) count: u64,
    pub(super) uploaded: i64,
    pub(super) dispatched: Option<i64>,
}

impl Pool {
    pub(super) fn get(&self, code: &str) -> Option<&Code> {
        self.codes.get(code)
    }

    /// In the order in which they were uploaded.
    pub(super) fn codes(&self) -> impl Iterator<Item = (&String, &Code)> {
        self.codes.iter()
    }

    /// What the uploads have brought about, for the ledger.
    pub(super) fn effects(&self, stock_id: &str) -> impl Iterator<Item = CodeEffect> {
        self.codes.iter().map(move |(code, entry)| CodeEffect {
            stock_id: stock_id.to_owned(),
            code: code.clone(),
            upload_request_no: self.numbers.get(entry.number).cloned().unwrap_or_default(),
            count: entry.count,
        })
    }

    pub(super) fn total(&self) -> usize {
        self.codes.len()
    }

    pub(super) fn available(&self) -> usize {
        self.available.len()
    }

    /// Adds the codes of one upload.
    pub(super) fn add(&mut self, codes: &[&str], upload_request_no: &str, now: i64) {
        if codes.is_empty() {
            return;
        }
        let number = self.numbers.len();
        self.numbers.push(upload_request_no.to_owned());
        for code in codes {
            let new = || Code { number, count: 0, uploaded: now, dispatched: None };
            self.codes.entry((*code).to_owned()).or_insert_with(new).count += 1;
            self.available.push((*code).to_owned());
        }
    }

    /// Takes any available code for a user; nobody can choose which.
    pub(super) fn dispatch(&mut self, ambient: &mut Ambient, now: i64) -> Option<String> {
        let count = u64::try_from(self.available.len()).ok().filter(|count| *count > 0)?;
        let code = self.available.swap_remove(usize::try_from(ambient.draw() % count).ok()?);
        if let Some(entry) = self.codes.get_mut(&code) {
            entry.dispatched = Some(now);
        }
        Some(code)
    }

    /// Deletes a code that no user has.
    pub(super) fn delete(&mut self, code: &str) {
        if self.codes.shift_remove(code).is_some() {
            self.available.retain(|other| other != code);
            self.deleted.insert(code.to_owned());
        }
    }
}

/// What a family says about codes.
pub(super) struct Limits<'a> {
    /// Most characters of a code.
    pub(super) longest: usize,
    /// Whether a code may have this character.
    pub(super) allowed: fn(char) -> bool,
    /// Why a code with another is refused.
    pub(super) bad_character: &'a str,
    /// Whether a code that was deleted may be uploaded again; without, it is sorted as existing.
    pub(super) reupload: bool,
}

/// The codes of one upload, sorted; each list in the order of the request.
pub(super) struct Sorted<'a> {
    /// Number of distinct codes.
    pub(super) total: usize,
    pub(super) success: Vec<&'a str>,
    pub(super) exist: Vec<&'a str>,
    pub(super) duplicate: Vec<&'a str>,
    pub(super) fail: Vec<Value>,
    /// Whether the answer rests on a guess.
    pub(super) guessed: bool,
}

impl<'a> Sorted<'a> {
    pub(super) fn new(codes: &'a [String], pool: &Pool, limits: &Limits<'_>) -> Self {
        let (mut success, mut exist, mut duplicate, mut fail) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut seen, mut twice, mut guessed) = (HashSet::with_capacity(codes.len()), HashSet::new(), false);
        for code in codes.iter().map(String::as_str) {
            if !seen.insert(code) {
                if twice.insert(code) {
                    duplicate.push(code);
                }
                continue;
            }
            let length = code.chars().count();
            let deleted = pool.deleted.contains(code);
            guessed |= deleted;
            if length > limits.longest || length == 0 {
                let message = match length {
                    0 => "长度小于最小值 1 位".to_owned(),
                    _ => format!("长度超过最大值 {} 位", limits.longest),
                };
                guessed |= length == 0;
                fail.push(json!({"coupon_code": code, "code": "LENGTH_LIMIT", "message": message}));
            } else if !code.chars().all(limits.allowed) {
                guessed = true;
                let reason = limits.bad_character;
                fail.push(json!({"coupon_code": code, "code": reason, "message": "含有不允许的字符"}));
            } else if pool.codes.contains_key(code) || deleted && !limits.reupload {
                exist.push(code);
            } else {
                success.push(code);
            }
        }
        Self { total: seen.len(), success, exist, duplicate, fail, guessed }
    }

    /// The lists under these names; an empty one is left out.
    pub(super) fn lists<'n>(&self, names: [&'n str; 4]) -> impl Iterator<Item = (&'n str, Value)> + use<'n> {
        let [success, exist, duplicate, fail] = names;
        let lists = [
            (success, json!(self.success)),
            (exist, json!(self.exist)),
            (duplicate, json!(self.duplicate)),
            (fail, json!(self.fail)),
        ];
        lists.into_iter().filter(|(_, list)| list.as_array().is_some_and(|list| !list.is_empty()))
    }
}
