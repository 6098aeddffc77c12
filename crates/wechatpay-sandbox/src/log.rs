//! The log of requests: the newest ones, in bounded memory.

use crate::explain::Explanation;
use crate::faults::Asked;
use crate::schema::Violation;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// How many requests are kept.
const CAPACITY: usize = 10_000;

/// Most bytes of each text that are kept.
const TEXT: usize = 2000;

/// Most violations of a request that are kept.
const VIOLATIONS: usize = 50;

/// On what an answer of the sandbox rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Basis {
    /// An official page or an official SDK says so.
    Documented,
    /// It was seen in public answers of the real API.
    Observed,
    /// Nobody says; do not rely on it.
    Guess,
    /// It is the sandbox itself that speaks: a fault that was asked for, or a request that only makes sense here.
    Sandbox,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing to object to.
    Ok,
    /// The request was refused here.
    Failed,
    /// An earlier check had refused it, or there was nothing to check.
    #[default]
    Skipped,
}

/// The verdicts of the checks, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Checks {
    /// The `Authorization` header.
    pub signature: Verdict,
    /// Method and path belong to an operation.
    pub route: Verdict,
    /// The request fits the schema.
    pub schema: Verdict,
    /// It fits the limits that span several fields.
    pub rules: Verdict,
    /// The state allows it.
    pub state: Verdict,
}

impl Checks {
    /// The names of the checks, in their order.
    pub(crate) const NAMES: [&str; 5] = ["signature", "route", "schema", "rules", "state"];

    /// Each check with its name, in their order.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, Verdict)> + use<> {
        Self::NAMES.into_iter().zip([self.signature, self.route, self.schema, self.rules, self.state])
    }

    /// The check that refused the request.
    pub(crate) fn failed(&self) -> Option<&'static str> {
        self.named().find(|(_, verdict)| *verdict == Verdict::Failed).map(|(name, _)| name)
    }
}

/// One request and what became of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Exchange {
    /// Number of the request, counted from 1.
    pub id: u64,
    /// The `Request-ID` of the answer; empty for what was turned away before it was a request to the API.
    pub request_id: String,
    /// Time of the sandbox's clock, RFC 3339.
    pub time: String,
    /// HTTP method; `TLS` for a handshake that failed.
    pub method: String,
    /// Path and query as they came. Of this text and of each other at most the first 2,000 bytes are kept.
    pub target: String,
    /// Merchant id that signed it, if the signature was right.
    pub mchid: Option<String>,
    /// Operation that it belongs to.
    pub operation: Option<&'static str>,
    /// HTTP status of the answer; none where the connection was closed instead.
    pub status: Option<u16>,
    /// Error code of the answer.
    pub code: Option<String>,
    /// What each check found.
    pub checks: Checks,
    /// On what the answer rests.
    pub basis: Basis,
    /// Why this answer, in a sentence for people.
    pub why: String,
    /// Everything that is wrong with the request; at most fifty.
    pub violations: Vec<Violation>,
    /// The fault that was applied, if any.
    pub fault: Option<String>,
    /// Id of the rule that applied it; none where the request itself named the fault.
    pub rule: Option<u64>,
    /// Why the signature failed; of each message and text the first 2,000 bytes.
    pub explanation: Option<Box<Explanation>>,
}

/// Somebody who is told of each request when it has been answered.
#[derive(Clone)]
pub(crate) struct Observer(pub(crate) Arc<dyn Fn(&Exchange) + Send + Sync>);

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

impl Exchange {
    /// A request of which nothing is known yet.
    pub(crate) fn new(request_id: String, time: String, method: &str, target: &str) -> Self {
        Self {
            id: 0,
            request_id,
            time,
            method: method.to_owned(),
            target: cut(target, TEXT).to_owned(),
            mchid: None,
            operation: None,
            status: None,
            code: None,
            checks: Checks::default(),
            basis: Basis::Sandbox,
            why: String::new(),
            violations: Vec::new(),
            fault: None,
            rule: None,
            explanation: None,
        }
    }

    /// The same with at most so much of everything that requests decide about.
    fn cut(mut self) -> Self {
        self.violations.truncate(VIOLATIONS);
        self.violations.shrink_to_fit();
        let issues = self.violations.iter_mut().flat_map(|violation| [&mut violation.at, &mut violation.issue]);
        let optional = [&mut self.mchid, &mut self.code, &mut self.fault].into_iter().flatten();
        for text in issues.chain(optional).chain([&mut self.method, &mut self.target, &mut self.why]) {
            shorten(text, TEXT);
        }
        self.explanation = self.explanation.map(|explanation| Box::new(explanation.cut(TEXT)));
        self
    }

    /// Notes that a fault is applied.
    pub(crate) fn apply(&mut self, asked: &Asked) {
        (self.fault, self.rule) = (Some(asked.name.clone()), asked.rule);
    }
}

/// The newest requests.
#[derive(Default)]
pub(crate) struct Log {
    kept: VecDeque<Exchange>,
    seen: u64,
    observer: Option<Observer>,
}

impl Log {
    pub(crate) fn new(observer: Option<Observer>) -> Self {
        Self { observer, ..Self::default() }
    }

    /// Forgets all requests.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.observer.take());
    }

    /// Adds a request and gives it its number.
    pub(crate) fn push(&mut self, exchange: Exchange) {
        self.seen += 1;
        let exchange = Exchange { id: self.seen, ..exchange.cut() };
        if let Some(Observer(tell)) = &self.observer {
            tell(&exchange);
        }
        if self.kept.len() >= CAPACITY {
            self.kept.pop_front();
        }
        self.kept.push_back(exchange);
    }

    /// Newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Exchange> {
        self.kept.iter().rev()
    }
}

/// The text, at most so many bytes of it.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Leaves at most so many bytes of a text, and gives back the memory of the rest.
pub(crate) fn shorten(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        *text = cut(text, bytes).to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::Cause;

    fn exchange() -> Exchange {
        let violation = Violation { at: String::new(), rule: "type", issue: String::new() };
        let blank = Exchange::new(String::new(), String::new(), "", "");
        Exchange { violations: vec![violation; 60], ..blank }
    }

    /// Each entry holds little, whatever the request holds.
    #[test]
    fn long_texts_are_cut() {
        let long = || "é".repeat(1 << 20);
        let violation = Violation { at: long(), rule: "unknown", issue: long() };
        let explanation =
            Explanation { also: Vec::new(), ..crate::explain::told(Cause::NoAuthorization, long(), b"", None) };
        let fault = Some(Asked { name: long(), ..Asked::probe() });
        let mut exchange = Exchange {
            violations: vec![violation; 60],
            why: long(),
            explanation: Some(Box::new(Explanation { advice: long(), ..explanation })),
            ..Exchange::new(String::new(), String::new(), &long(), &long())
        };
        fault.iter().for_each(|fault| exchange.apply(fault));
        (exchange.mchid, exchange.code) = (Some(long()), Some(long()));
        let mut log = Log::default();
        log.push(exchange);
        let kept = log.newest().next().unwrap();
        let text = serde_json::to_string(kept).unwrap();
        assert!(text.len() < 230_000 && kept.violations.capacity() < 60, "{}", text.len());
    }

    #[test]
    fn memory_is_bounded_and_numbers_go_on() {
        let mut log = Log::default();
        (0..CAPACITY + 10).for_each(|_| log.push(exchange()));
        let newest = log.newest().next().unwrap();
        assert_eq!((newest.id, newest.violations.len()), (10_010, 50));
        assert_eq!((log.newest().count(), log.newest().last().unwrap().id), (CAPACITY, 11));
    }
}
