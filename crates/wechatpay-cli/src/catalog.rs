//! The operations by name, and names that are nearly right.

use crate::output::{Failure, Result};
use serde_json::Value;
use wechatpay_model::{FAMILIES, Spec, operations};

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

/// The operations of this family, or all.
pub(crate) fn family(name: Option<&str>) -> Result<Vec<&'static Spec>> {
    let Some(name) = name else { return Ok(operations().collect()) };
    let found = FAMILIES.iter().find(|(family, _)| *family == name);
    found.map(|(_, operations)| operations.to_vec()).ok_or_else(|| {
        let families: Vec<_> = FAMILIES.iter().map(|(family, _)| *family).collect();
        Failure::Usage(format!("no family is called `{name}`; there are {}", families.join(", ")))
    })
}

/// The schema of an operation, as it stands in the catalogue.
pub(crate) fn schema(spec: &Spec) -> Result<Value> {
    serde_json::from_str(spec.schema()).map_err(|error| damaged(spec, &error))
}

/// The schema of an operation was read and does not fit: only a broken build does that.
pub(crate) fn damaged(spec: &Spec, error: &serde_json::Error) -> Failure {
    Failure::Local(format!("the built-in schema of {} cannot be read: {error}; build the command again", spec.id()))
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
