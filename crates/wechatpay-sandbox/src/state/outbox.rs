//! Events that WeChat Pay would send: what they say, and to whom.

use serde::Serialize;
use serde_json::Value;

/// An event, as it is before it is encrypted and signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// `event_type` of the envelope.
    pub event_type: &'static str,
    /// Merchant that it is for.
    pub mchid: String,
    /// Address that this merchant has set.
    pub notify_url: String,
    /// Time of the sandbox's clock, RFC 3339.
    pub time: String,
    /// What the envelope holds.
    pub payload: Value,
}

/// Events in the order in which they came about.
#[derive(Debug, Default)]
pub(super) struct Outbox(Vec<Event>);

impl Outbox {
    pub(super) fn push(&mut self, event: Event) {
        self.0.push(event);
    }

    pub(super) fn events(&self) -> &[Event] {
        &self.0
    }
}
