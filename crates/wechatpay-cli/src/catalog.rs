//! The operations by name, and names that are nearly right.

use crate::output::{Failure, Result};
use http::Method;
use serde::de::DeserializeOwned;
use wechatpay_model::operation::Shape;
use wechatpay_model::{EventSpec, FAMILIES, Spec, notifications, operations};
use wechatpay_protocol::request::Route;

/// The operation of this id.
pub(crate) fn operation(id: &str) -> Result<&'static Spec> {
    operations().find(|spec| spec.id() == id).ok_or_else(|| {
        let near = nearest(id, operations().map(Spec::id));
        let advice = if near.is_empty() {
            "`wechatpay ops` lists them all".to_owned()
        } else {
            format!("did you mean {}?", near.join(" or "))
        };
        Failure::Usage(format!("no operation is called `{id}`; {advice}"))
    })
}

/// The notification of this event type or id.
pub(crate) fn event(name: &str) -> Option<&'static EventSpec> {
    notifications().find(|event| event.event_type() == name || event.id() == name)
}

/// A path without the values in it, which may be openids and codes: a documented one with the names of its places, of any
/// other what looks like words.
pub(crate) fn template(method: &Method, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    if let Some(Route { spec, brand, .. }) = Route::find(operations(), method, path) {
        let brand_path = spec.brand_path().filter(|_| brand);
        return brand_path.unwrap_or(spec.path()).to_owned();
    }
    let version = |part: &str| part.strip_prefix('v').is_some_and(|number| number.parse::<u8>().is_ok());
    // An openid has 28 characters.
    let word = |part: &str| part.len() < 28 && part.chars().all(|c| c.is_ascii_lowercase() || "-_.".contains(c));
    path.split('/').map(|part| if word(part) || version(part) { part } else { "{…}" }).collect::<Vec<_>>().join("/")
}

/// Largest value that the documents allow for an integer of a request.
pub(crate) fn largest(spec: &Spec, name: &str) -> Option<i64> {
    let Shape::Object(fields) = spec.request() else { return None };
    match fields.iter().find(|field| field.name() == name)?.shape() {
        Shape::Integer { max, .. } => *max,
        _ => None,
    }
}

/// The operations of this family, or all.
pub(crate) fn family(name: Option<&str>) -> Result<Vec<&'static Spec>> {
    let Some(name) = name else { return Ok(operations().collect()) };
    let found = FAMILIES.iter().find(|(family, _)| *family == name);
    found.map(|(_, operations)| operations.to_vec()).ok_or_else(|| {
        let families: Vec<_> = FAMILIES.iter().map(|(family, _)| *family).collect();
        Failure::Usage(format!("no family is called `{name}`; there are {}", families.join(", ")))
    })
}

/// A schema of the catalogue, as far as it is wanted.
pub(crate) fn schema<T: DeserializeOwned>(id: &str, schema: &str) -> Result<T> {
    serde_json::from_str(schema).map_err(|error| {
        // Only a broken build does that.
        Failure::Local(format!("the built-in schema of {id} cannot be read: {error}; build the command again"))
    })
}

/// Up to three candidates that were probably meant, the likeliest first.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let verb = |id: &str| id.rsplit('.').next().is_some_and(|verb| verb == name);
    let mut near: Vec<_> = candidates
        .map(|candidate| (if verb(candidate) { 1.0 } else { strsim::jaro_winkler(name, candidate) }, candidate))
        .filter(|(likeness, _)| *likeness > 0.85)
        .collect();
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    near.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_probably_meant_comes_first() {
        let ids = || ["favor.start_stock", "favor.stop_stock", "favor.get_stock", "busifavor.get_stock"].into_iter();
        assert_eq!(nearest("favor.strat_stock", ids()).first(), Some(&"favor.start_stock"));
        assert_eq!(nearest("get_stock", ids()), ["favor.get_stock", "busifavor.get_stock"]);
        assert!(nearest("qqqq", ids()).is_empty());
    }
}
