//! Lists that are read page by page.

use super::Call;
use crate::settings::OffsetUnit;
use serde_json::{Map, Value, json};
use wechatpay_model::operation::{Page as Pages, Turn, Unit};

/// Items on a page of a list that leaves `limit` open.
const LIMIT: u64 = 20;

/// What a request asks to see of a list.
pub(super) struct Page {
    pub(super) offset: u64,
    limit: u64,
    skip: usize,
}

impl Page {
    /// What the request asks for; the first page, and 20 items, where it does not say.
    pub(super) fn of(call: &Call<'_>) -> Self {
        let number = |name: &str| call.request.get(name).and_then(Value::as_u64);
        let (offset, limit) = (number("offset").unwrap_or(0), number("limit").unwrap_or(LIMIT));
        let by_row = match call.settings.offset_unit {
            Some(unit) => unit == OffsetUnit::Row,
            None => matches!(call.spec.page().map(Pages::turn), Some(Turn::Offset { unit: Unit::Row, .. })),
        };
        let skip = if by_row { offset } else { offset.saturating_mul(limit) };
        Self { offset, limit, skip: usize::try_from(skip).unwrap_or(usize::MAX) }
    }

    /// The answer: this page of the items, and how many there are in all. An empty list is left out.
    pub(super) fn cut<T>(&self, items: impl IntoIterator<Item = T>, show: impl Fn(T) -> Value) -> Map<String, Value> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let (mut total, mut data) = (0usize, Vec::new());
        for item in items {
            if total >= self.skip && data.len() < limit {
                data.push(show(item));
            }
            total += 1;
        }
        let mut body = Map::new();
        if !data.is_empty() {
            body.insert("data".to_owned(), Value::Array(data));
        }
        body.insert("total_count".to_owned(), json!(total));
        body.insert("offset".to_owned(), json!(self.offset));
        body.insert("limit".to_owned(), json!(self.limit));
        body
    }
}
