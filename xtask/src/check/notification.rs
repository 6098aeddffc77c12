//! One notification: what it is called, and what its payload is.

use super::{Findings, head, node};
use crate::catalog::{Family, Notification, Scope};

pub(super) fn check(scope: &Scope, family: &Family, notification: &Notification, findings: &mut Findings) {
    let data = &notification.data;
    head(family, &notification.name, [&data.id, &data.title, &data.title_zh], &data.source, findings);
    for (pointer, text) in [("/event_type", &data.event_type), ("/original_type", &data.original_type)] {
        if text.trim().is_empty() {
            findings.add(pointer, "it is empty", "write what the envelope holds there");
        }
    }
    let same = |other: &&Notification| other.data.event_type == data.event_type && other.path < notification.path;
    if let Some(other) = family.notifications.iter().find(same) {
        let what = format!("`{}` is the event of {} too", data.event_type, other.path);
        findings.add("/event_type", what, "one event is one file: keep one of the two");
    }
    if data.delivery.is_some_and(|delivery| delivery.attempts == 0) {
        findings.add("/delivery/attempts", "an event that is never sent", "state how often, or delete `delivery`");
    }
    node::check(scope, &data.payload, "/payload", node::Place::Payload, findings);
}
