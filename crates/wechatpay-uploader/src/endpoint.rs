//! Which operation takes the codes, as data: its limits come from its [`Spec`].

use serde_json::{Map, Value};
use wechatpay_model::Operation as _;
use wechatpay_model::busifavor::{ListCouponCodes, UploadCouponCodes};
use wechatpay_model::operation::{Field, Idempotency, Shape, Spec, Text};
use wechatpay_model::product_coupon;

/// An operation that takes codes in bulk, and where its answer sorts them.
///
/// What is not said here is read from the [`Spec`]: how many codes a call takes, which characters they may have, and
/// the field of the request number that makes a repeat one effect.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// The operation. It must be idempotent by a request number.
    pub spec: &'static Spec,
    /// Field of the request that takes the codes.
    pub codes: &'static str,
    /// Where the answer sorts them.
    pub lists: Lists,
    /// The list of all codes that were uploaded, where there is one.
    pub listing: Option<Listing>,
}

/// Fields of an answer that sorts codes.
#[derive(Debug, Clone, Copy)]
pub struct Lists {
    /// Number of distinct codes.
    pub total: &'static str,
    /// Number of codes that were taken, where the answer states it.
    pub success_count: Option<&'static str>,
    /// Codes that were taken.
    pub success: &'static str,
    /// Codes that were refused: texts, or objects with a code, a reason and a message.
    pub fail: &'static str,
    /// Field of such an object that holds the code.
    pub fail_code: &'static str,
    /// Codes that were there before.
    pub exist: &'static str,
    /// Codes that stood in the request more than once.
    pub duplicate: &'static str,
}

/// An operation that lists what was uploaded.
#[derive(Debug, Clone, Copy)]
pub struct Listing {
    /// The operation; it must have pages.
    pub spec: &'static Spec,
    /// Field of an item that holds the code.
    pub code: &'static str,
    /// Items to ask for on a page, at most what the operation allows.
    pub page: u32,
}

impl Endpoint {
    /// Codes of merchant coupons (商家券): `busifavor.upload_coupon_codes`, which wants a `stock_id`.
    pub const BUSIFAVOR: Self = Self {
        spec: UploadCouponCodes::SPEC,
        codes: "coupon_code_list",
        lists: Lists {
            total: "total_count",
            success_count: Some("success_count"),
            success: "success_codes",
            fail: "fail_codes",
            fail_code: "coupon_code",
            exist: "exist_codes",
            duplicate: "duplicate_codes",
        },
        listing: Some(Listing { spec: ListCouponCodes::SPEC, code: "code", page: 100 }),
    };

    /// Codes of product coupons (商品券): `product_coupon.upload_coupon_codes`, which wants `product_coupon_id`, `stock_id`
    /// and `brand_id`. Nothing lists what was uploaded.
    pub const PRODUCT_COUPON: Self = Self {
        spec: product_coupon::UploadCouponCodes::SPEC,
        codes: "code_list",
        lists: Lists {
            total: "total_count",
            success_count: None,
            success: "success_code_list",
            fail: "failed_code_list",
            fail_code: "coupon_code",
            exist: "already_exist_code_list",
            duplicate: "duplicate_code_list",
        },
        listing: None,
    };

    /// Both of them.
    pub const ALL: &[Self] = &[Self::BUSIFAVOR, Self::PRODUCT_COUPON];

    /// The one with this operation.
    pub fn of(operation: &str) -> Option<Self> {
        Self::ALL.iter().find(|endpoint| endpoint.spec.id() == operation).copied()
    }

    /// What the description of the operation says about codes and request numbers.
    pub(crate) fn limits(&self) -> Result<Limits, String> {
        let id = self.spec.id();
        let Shape::Object(fields) = self.spec.request() else { return Err(format!("{id} takes no fields")) };
        let Idempotency::Key(number_field) = self.spec.idempotency() else {
            return Err(format!("{id} has no request number, so it cannot be repeated safely"));
        };
        let Some(Shape::Array { items: Shape::Text(code), max, .. }) = shape(fields, self.codes) else {
            return Err(format!("{id} has no list of texts called `{}`", self.codes));
        };
        let Some(Shape::Text(number)) = shape(fields, number_field) else {
            return Err(format!("{id} has no text called `{number_field}`"));
        };
        // Where no document says how many, a hundred is what other lists of this API take.
        Ok(Limits { batch: max.unwrap_or(100).max(1), code: *code, number: *number, number_field })
    }

    /// The arguments of the target that the list of uploaded codes knows too.
    pub(crate) fn listing_arguments(listing: &Listing, target: &Map<String, Value>) -> Map<String, Value> {
        let Shape::Object(fields) = listing.spec.request() else { return Map::new() };
        let known = |name: &str| fields.iter().any(|field| field.name() == name);
        target.iter().filter(|(name, _)| known(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

fn shape(fields: &'static [Field], name: &str) -> Option<&'static Shape> {
    fields.iter().find(|field| field.name() == name).map(Field::shape)
}

/// The limits of one endpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most codes of one call.
    pub(crate) batch: usize,
    pub(crate) code: Text,
    pub(crate) number: Text,
    pub(crate) number_field: &'static str,
}

impl Limits {
    /// Most characters of a code; none where no document says it.
    pub(crate) fn longest(&self) -> usize {
        self.code.max().unwrap_or(usize::MAX)
    }

    /// Whether a code may have this character.
    pub(crate) fn allows(&self, character: char) -> bool {
        match self.code.charset() {
            Some(charset) => charset.contains(character),
            // The wire takes no control characters worth sending, and none beyond the basic plane.
            None => !character.is_control() && u32::from(character) <= 0xFFFF,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_those_of_the_description() {
        let limits = Endpoint::BUSIFAVOR.limits().unwrap();
        assert_eq!((limits.batch, limits.longest(), limits.number.max()), (200, 32, Some(128)));
        assert_eq!(limits.number_field, "upload_request_no");
        assert!("0zA -_\\/=|".chars().all(|character| limits.allows(character)));
        assert!(!"*\t\r,é券".chars().any(|character| limits.allows(character)));
    }

    #[test]
    fn those_of_product_coupons_are_others() {
        let limits = Endpoint::PRODUCT_COUPON.limits().unwrap();
        assert_eq!((limits.batch, limits.longest(), limits.number.max()), (200, 40, Some(40)));
        assert_eq!(limits.number_field, "out_request_no");
        assert!("0zA-_".chars().all(|character| limits.allows(character)));
        assert!(!" \\/=|*".chars().any(|character| limits.allows(character)));
    }

    #[test]
    fn an_endpoint_is_found_by_its_operation() {
        for endpoint in Endpoint::ALL {
            assert_eq!(Endpoint::of(endpoint.spec.id()).map(|found| found.codes), Some(endpoint.codes));
        }
        assert!(Endpoint::of("favor.get_stock").is_none());
    }

    #[test]
    fn an_operation_that_takes_no_codes_is_none() {
        for wrong in [
            Endpoint { codes: "stock_id", ..Endpoint::BUSIFAVOR },
            Endpoint { codes: "nothing", ..Endpoint::BUSIFAVOR },
            Endpoint { spec: ListCouponCodes::SPEC, ..Endpoint::BUSIFAVOR },
        ] {
            assert!(wrong.limits().is_err());
        }
    }
}
