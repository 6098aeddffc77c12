//! What the sandbox has to tell merchants: plain, before anything is sealed or sent.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::collections::VecDeque;

/// How many events are kept.
const CAPACITY: usize = 10_000;

/// A notification that a merchant is owed.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Event {
    /// Id of the notification.
    pub id: String,
    /// When it happened, RFC 3339.
    pub create_time: String,
    /// `event_type` of the envelope: `COUPON.USE`.
    pub event_type: &'static str,
    /// `resource.original_type` of the envelope.
    pub original_type: &'static str,
    /// `summary` of the envelope.
    pub summary: &'static str,
    /// Merchant that it is for.
    pub mchid: String,
    /// Where that merchant wants it; none where no address is set, or it is switched off.
    pub notify_url: Option<String>,
    /// What the envelope is to hold.
    pub payload: Value,
}

/// The newest events.
#[derive(Debug, Default)]
pub(crate) struct Outbox(VecDeque<Event>);

impl Outbox {
    pub(crate) fn push(&mut self, event: Event) {
        if self.0.len() >= CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    /// Oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Event> {
        self.0.iter()
    }
}
