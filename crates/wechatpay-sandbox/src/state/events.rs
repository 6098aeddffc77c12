//! What the sandbox has to tell merchants, plain, and how far it has got with telling them.

use super::Known;
use crate::ambient::{instant, time_text};
use crate::settings::Settings;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use wechatpay_model::EventSpec;

/// How many events are kept.
const CAPACITY: usize = 10_000;

/// How often an event is sent, and after how many seconds again, where no document says it.
const LADDER: (usize, i64) = (1, 60);

/// A notification that a merchant is owed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Event {
    /// Id of the notification; all attempts carry the same.
    pub id: String,
    /// When it happened, RFC 3339.
    pub create_time: String,
    /// `event_type` of the envelope: `COUPON.USE`.
    #[serde(deserialize_with = "known_type")]
    pub event_type: Known,
    /// `resource.original_type` of the envelope.
    pub original_type: String,
    /// `summary` of the envelope.
    pub summary: String,
    /// Merchant that it is for.
    pub mchid: String,
    /// Where that merchant wants it; none where no address is set, or it is switched off.
    pub notify_url: Option<String>,
    /// What the envelope is to hold.
    pub payload: Value,
    /// How far its delivery is.
    pub standing: Standing,
    /// When it is sent next, RFC 3339; none where that is over.
    pub next_attempt: Option<String>,
    /// What was sent so far, oldest first.
    pub attempts: Vec<Attempt>,
}

/// How far the delivery of an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Standing {
    /// Nobody wants it.
    NoAddress,
    /// It has not been accepted yet.
    Waiting,
    /// It was accepted.
    Delivered,
    /// It was not accepted, as often as the documents allow.
    GivenUp,
    /// Its address is one that the sandbox does not contact.
    Refused,
}

/// One attempt to deliver an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Attempt {
    /// When it was due, RFC 3339.
    pub due: String,
    /// When it was made by the sandbox's clock, RFC 3339; also the time that it was signed with.
    pub time: String,
    /// The key that signed it: `Wechatpay-Serial`. None where nothing was sent.
    pub serial: Option<String>,
    /// Whether its signature was a probe.
    pub probe: bool,
    /// Whether the event had been accepted before, and this is a duplicate that was asked for.
    pub duplicate: bool,
    /// HTTP status of the answer; none where there was none.
    pub status: Option<u16>,
    /// Whether that answer accepts the event.
    pub accepted: bool,
    /// Why it does, or does not.
    pub reason: String,
}

/// Something that is to be carried to a merchant now.
#[derive(Debug)]
pub(crate) struct Errand {
    pub(crate) number: u64,
    pub(crate) event: Event,
    pub(crate) url: String,
    pub(crate) due: i64,
    pub(crate) duplicate: bool,
}

/// How an errand ended.
pub(crate) enum Ending {
    /// Something was sent, or could have been.
    Tried(Attempt),
    /// Its address is not contacted.
    Refused(Attempt),
}

/// The notification of this type.
pub(crate) fn spec(event_type: &str) -> Option<&'static EventSpec> {
    wechatpay_model::notifications().find(|spec| spec.event_type() == event_type)
}

fn known_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Known, D::Error> {
    let name = String::deserialize(deserializer)?;
    spec(&name).map(EventSpec::event_type).ok_or_else(|| serde::de::Error::custom("no such event type"))
}

impl Event {
    /// Something that happened now, and that nobody wants to know yet.
    pub(crate) fn new(spec: &'static EventSpec, id: String, now: i64, mchid: &str, payload: Value) -> Self {
        Self {
            id,
            create_time: time_text(now),
            event_type: spec.event_type(),
            original_type: spec.original_type().to_owned(),
            summary: spec.title_zh().to_owned(),
            mchid: mchid.to_owned(),
            notify_url: None,
            payload,
            standing: Standing::NoAddress,
            next_attempt: None,
            attempts: Vec::new(),
        }
    }

    /// With the address to which it goes.
    pub(crate) fn addressed(self, url: Option<&str>) -> Self {
        Self { notify_url: url.map(str::to_owned), ..self }
    }

    /// Unix time of the next attempt.
    fn due(&self) -> Option<i64> {
        self.next_attempt.as_deref().and_then(instant).map(|(seconds, _)| seconds)
    }

    /// Takes note of an attempt, and decides about the next.
    fn take(&mut self, ending: Ending, due: i64, settings: &Settings) {
        let (attempt, refused) = match ending {
            Ending::Tried(attempt) => (attempt, false),
            Ending::Refused(attempt) => (attempt, true),
        };
        let (accepted, made) = (attempt.accepted, instant(&attempt.time).map_or(due, |(seconds, _)| seconds));
        self.attempts.push(attempt);
        let duplicates = self.attempts.iter().filter(|attempt| attempt.duplicate).count();
        let (most, pause) = spec(self.event_type).and_then(EventSpec::delivery).map_or(LADDER, |ladder| {
            (usize::try_from(ladder.attempts()).unwrap_or(usize::MAX), i64::from(ladder.every_seconds()))
        });
        let next = if refused {
            self.standing = Standing::Refused;
            None
        } else if accepted || self.standing == Standing::Delivered {
            self.standing = Standing::Delivered;
            (duplicates < usize::try_from(settings.notify_duplicates).unwrap_or(usize::MAX)).then_some(made)
        } else if self.attempts.len() >= most {
            self.standing = Standing::GivenUp;
            None
        } else {
            Some(due.saturating_add(pause))
        };
        self.next_attempt = next.map(time_text);
    }
}

/// The newest events, and which of them are to be sent when.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// By number; they are counted from 0.
    events: BTreeMap<u64, Event>,
    /// Number of the next.
    next: u64,
    /// When an event is to be sent, and its number.
    waiting: BTreeSet<(i64, u64)>,
    /// Events that are on their way now, and where to.
    under_way: BTreeMap<u64, String>,
}

impl Outbox {
    /// Keeps an event, and sends it if it has an address: its own, or that of the settings.
    pub(crate) fn push(&mut self, mut event: Event, settings: &Settings, now: i64) {
        if let Some(url) = &settings.notify_url {
            event.notify_url = Some(url.clone());
        }
        self.send(event, now.saturating_add(i64::from(settings.notify_delay)));
    }

    /// Keeps an event, and sends it at this time to the address that it has.
    pub(crate) fn send(&mut self, mut event: Event, due: i64) {
        if event.notify_url.is_some() {
            event.standing = Standing::Waiting;
            event.next_attempt = Some(time_text(due));
        }
        self.keep(event);
    }

    /// Keeps an event. Where there are too many, the oldest goes that is not owed any more, this one too; then the oldest.
    fn keep(&mut self, event: Event) {
        self.waiting.extend(event.due().map(|due| (due, self.next)));
        self.events.insert(self.next, event);
        self.next += 1;
        if self.events.len() <= CAPACITY {
            return;
        }
        let over = self.events.iter().find(|(_, event)| event.next_attempt.is_none()).map(|(number, _)| *number);
        let gone = match over {
            Some(number) => self.events.remove_entry(&number),
            None => self.events.pop_first(),
        };
        if let Some((number, event)) = gone {
            self.waiting.remove(&(event.due().unwrap_or_default(), number));
        }
    }

    /// Oldest first.
    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = &Event> + ExactSizeIterator {
        self.events.values()
    }

    /// The event of this id.
    pub(crate) fn find(&self, id: &str) -> Option<&Event> {
        self.all().rev().find(|event| event.id == id)
    }

    /// The next event that is due and whose address is not busy with another: a receiver gets one after the other.
    pub(crate) fn next(&mut self, now: i64, newest_first: bool) -> Option<Errand> {
        let idle = |number: &u64| {
            let event = self.events.get(number);
            event.is_some_and(|event| !self.under_way.values().any(|busy| Some(busy) == event.notify_url.as_ref()))
        };
        let mut due = self.waiting.range(..=(now, u64::MAX)).copied().filter(|(_, number)| idle(number));
        let (due, number) = if newest_first { due.max_by_key(|(_, number)| *number) } else { due.next() }?;
        self.waiting.remove(&(due, number));
        let event = self.events.get(&number)?.clone();
        let url = event.notify_url.clone()?;
        self.under_way.insert(number, url.clone());
        let duplicate = event.standing == Standing::Delivered;
        Some(Errand { number, event, url, due, duplicate })
    }

    /// Takes note of how an errand ended.
    pub(crate) fn record(&mut self, number: u64, due: i64, ending: Ending, settings: &Settings) {
        self.under_way.remove(&number);
        // One that was pushed out meanwhile is forgotten.
        let Some(event) = self.events.get_mut(&number) else { return };
        event.take(ending, due, settings);
        let next = event.due().map(|due| (due, number));
        self.waiting.extend(next);
    }

    /// When the next event is due that is not on its way yet.
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// Whether nothing is due and nothing is on its way.
    pub(crate) fn is_settled(&self, now: i64) -> bool {
        self.under_way.is_empty() && self.next_due().is_none_or(|due| due > now)
    }
}

impl Serialize for Outbox {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.all())
    }
}

/// Events that were on their way are sent again: nobody knows whether they arrived.
impl<'de> Deserialize<'de> for Outbox {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut outbox = Self::default();
        Vec::<Event>::deserialize(deserializer)?.into_iter().for_each(|event| outbox.keep(event));
        Ok(outbox)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const URL: &str = "http://127.0.0.1:1/";

    fn event(id: u64) -> Event {
        Event::new(spec("COUPON.USE").unwrap(), id.to_string(), 0, "1900000001", json!({"n": id})).addressed(Some(URL))
    }

    fn answer(status: u16, errand: &Errand) -> Ending {
        Ending::Tried(Attempt {
            due: time_text(errand.due),
            time: time_text(errand.due),
            serial: None,
            probe: false,
            duplicate: errand.duplicate,
            status: Some(status),
            accepted: status == 200,
            reason: String::new(),
        })
    }

    #[test]
    fn memory_is_bounded() {
        let (mut outbox, settings) = (Outbox::default(), Settings::default());
        let total = u64::try_from(CAPACITY).unwrap() + 10;
        for id in 0..total {
            outbox.push(event(id), &settings, 0);
        }
        assert_eq!((outbox.events.len(), outbox.waiting.len()), (CAPACITY, CAPACITY));
        assert_eq!(outbox.all().next().unwrap().id, "10", "the oldest go");
        assert_eq!(outbox.next(0, false).unwrap().event.id, "10");
    }

    #[test]
    fn what_is_owed_is_kept_before_what_is_over() {
        let (mut outbox, settings) = (Outbox::default(), Settings::default());
        let unwanted = |id| event(id).addressed(None);
        let ids = |outbox: &Outbox| outbox.all().map(|event| event.id.clone()).collect::<Vec<_>>();
        outbox.push(event(0), &settings, 0);
        let errand = outbox.next(0, false).unwrap();
        outbox.record(errand.number, errand.due, answer(200, &errand), &settings);
        outbox.push(event(1), &settings, 0);
        let total = u64::try_from(CAPACITY).unwrap();
        for id in 2..=total {
            outbox.push(unwanted(id), &settings, 0);
        }
        assert_eq!(ids(&outbox)[..2], ["1", "2"], "what was delivered goes");
        outbox.push(unwanted(total + 1), &settings, 0);
        assert_eq!(ids(&outbox)[..2], ["1", "3"], "then what nobody wants");
        for id in total + 2..2 * total + 1 {
            outbox.push(event(id), &settings, 0);
        }
        assert_eq!((ids(&outbox).len(), ids(&outbox)[0].as_str()), (CAPACITY, "1"));
        assert_eq!(outbox.waiting.len(), CAPACITY);
        outbox.push(unwanted(0), &settings, 0);
        assert_eq!((ids(&outbox).len(), ids(&outbox)[0].as_str()), (CAPACITY, "1"), "nor does it push out another");
        assert_eq!(outbox.next(0, false).unwrap().event.id, "1");
    }

    #[test]
    fn an_event_that_was_pushed_out_on_its_way_leaves_nothing() {
        let (mut outbox, settings) = (Outbox::default(), Settings::default());
        outbox.push(event(0), &settings, 0);
        let errand = outbox.next(0, false).unwrap();
        for id in 1..=u64::try_from(CAPACITY).unwrap() {
            outbox.push(event(id), &Settings { notify_delay: 9, ..Settings::default() }, 0);
        }
        let ending = answer(500, &errand);
        outbox.record(errand.number, errand.due, ending, &settings);
        assert!(outbox.under_way.is_empty() && outbox.is_settled(0));
        assert_eq!(outbox.waiting.len(), CAPACITY);
    }

    #[test]
    fn one_after_the_other_goes_to_an_address_and_others_do_not_wait() {
        let (mut outbox, settings) = (Outbox::default(), Settings::default());
        outbox.push(event(0), &settings, 0);
        outbox.push(event(1), &settings, 0);
        outbox.push(event(2).addressed(Some("http://127.0.0.1:2/")), &settings, 0);
        let first = outbox.next(0, false).unwrap();
        assert_eq!((first.event.id.as_str(), outbox.next(0, false).unwrap().event.id.as_str()), ("0", "2"));
        assert!(outbox.next(0, false).is_none() && !outbox.is_settled(0));
        let ending = answer(200, &first);
        outbox.record(first.number, first.due, ending, &settings);
        assert_eq!(outbox.next(0, true).unwrap().event.id, "1");
    }
}
