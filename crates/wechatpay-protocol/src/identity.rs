//! Who signs: a merchant, or a brand with a door of its own.

use crate::crypto::{BRAND_RSA_SHA256, RSA_SHA256};
use std::fmt;
use std::sync::Arc;
use wechatpay_model::types::MchId;

/// A merchant (商户): its id, the serial number of its API certificate, and the signer that holds the private key.
pub struct Merchant<S: ?Sized> {
    mchid: MchId,
    serial_no: String,
    signer: Arc<S>,
}

impl<S> Merchant<S> {
    /// A merchant. `serial_no` is the serial number of the *merchant's* API certificate in upper-case hex.
    pub fn new(mchid: impl Into<MchId>, serial_no: impl Into<String>, signer: S) -> Self {
        Self { mchid: mchid.into(), serial_no: serial_no.into(), signer: Arc::new(signer) }
    }
}

impl<S: ?Sized> Merchant<S> {
    /// Merchant id (商户号).
    pub fn mchid(&self) -> &MchId {
        &self.mchid
    }

    /// Serial number of the merchant's API certificate.
    pub fn serial_no(&self) -> &str {
        &self.serial_no
    }
}

/// A brand (品牌) that calls in its own name: its id, the serial number of its brand API certificate, and the signer that
/// holds the private key.
///
/// It signs under the scheme of brands, and reaches the operations that have a
/// [`brand_path`](wechatpay_model::Spec::brand_path). Their field `brand_id` may stand in the request, where it must be
/// the brand's own, and is not sent. All keys are the brand's own too: WeChat Pay's public key and the key for
/// notifications come from the brand's console, and platform certificates there are none.
pub struct Brand<S: ?Sized> {
    brand_id: String,
    serial_no: String,
    signer: Arc<S>,
}

impl<S> Brand<S> {
    /// A brand. `serial_no` is the serial number of the *brand's* API certificate in upper-case hex.
    pub fn new(brand_id: impl Into<String>, serial_no: impl Into<String>, signer: S) -> Self {
        Self { brand_id: brand_id.into(), serial_no: serial_no.into(), signer: Arc::new(signer) }
    }
}

impl<S: ?Sized> Brand<S> {
    /// Brand id (品牌 ID).
    pub fn brand_id(&self) -> &str {
        &self.brand_id
    }

    /// Serial number of the brand's API certificate.
    pub fn serial_no(&self) -> &str {
        &self.serial_no
    }
}

/// Who calls: a [`Merchant`] or a [`Brand`].
pub enum Identity<S: ?Sized> {
    /// A merchant, under `/v3/…`.
    Merchant(Merchant<S>),
    /// A brand, under `/brand/…`.
    Brand(Brand<S>),
}

impl<S> From<Merchant<S>> for Identity<S> {
    fn from(merchant: Merchant<S>) -> Self {
        Self::Merchant(merchant)
    }
}

impl<S> From<Brand<S>> for Identity<S> {
    fn from(brand: Brand<S>) -> Self {
        Self::Brand(brand)
    }
}

impl<S: ?Sized> Identity<S> {
    /// Id of the merchant or brand.
    pub fn id(&self) -> &str {
        match self {
            Self::Merchant(merchant) => merchant.mchid.as_str(),
            Self::Brand(brand) => &brand.brand_id,
        }
    }

    /// Serial number of its API certificate.
    pub fn serial_no(&self) -> &str {
        match self {
            Self::Merchant(merchant) => &merchant.serial_no,
            Self::Brand(brand) => &brand.serial_no,
        }
    }

    /// The brand id, if it is a brand.
    pub fn brand_id(&self) -> Option<&str> {
        match self {
            Self::Merchant(_) => None,
            Self::Brand(brand) => Some(&brand.brand_id),
        }
    }

    pub(crate) fn signer(&self) -> &S {
        match self {
            Self::Merchant(merchant) => &merchant.signer,
            Self::Brand(brand) => &brand.signer,
        }
    }

    /// The scheme of the signer; a brand's RSA has a name of its own.
    pub(crate) fn scheme<'a>(&self, signer: &'a str) -> &'a str {
        match self {
            Self::Brand(_) if signer == RSA_SHA256 => BRAND_RSA_SHA256,
            _ => signer,
        }
    }

    /// The same with the signer seen as something else.
    pub(crate) fn map<U: ?Sized>(self, see: impl FnOnce(Arc<S>) -> Arc<U>) -> Identity<U> {
        match self {
            Self::Merchant(Merchant { mchid, serial_no, signer }) => {
                Identity::Merchant(Merchant { mchid, serial_no, signer: see(signer) })
            }
            Self::Brand(Brand { brand_id, serial_no, signer }) => {
                Identity::Brand(Brand { brand_id, serial_no, signer: see(signer) })
            }
        }
    }
}

impl<S: ?Sized> Clone for Merchant<S> {
    fn clone(&self) -> Self {
        let Self { mchid, serial_no, signer } = self;
        Self { mchid: mchid.clone(), serial_no: serial_no.clone(), signer: Arc::clone(signer) }
    }
}

impl<S: ?Sized> Clone for Brand<S> {
    fn clone(&self) -> Self {
        let Self { brand_id, serial_no, signer } = self;
        Self { brand_id: brand_id.clone(), serial_no: serial_no.clone(), signer: Arc::clone(signer) }
    }
}

impl<S: ?Sized> Clone for Identity<S> {
    fn clone(&self) -> Self {
        match self {
            Self::Merchant(merchant) => Self::Merchant(merchant.clone()),
            Self::Brand(brand) => Self::Brand(brand.clone()),
        }
    }
}

impl<S: ?Sized> fmt::Debug for Merchant<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merchant")
            .field("mchid", &self.mchid)
            .field("serial_no", &self.serial_no)
            .finish_non_exhaustive()
    }
}

impl<S: ?Sized> fmt::Debug for Brand<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brand")
            .field("brand_id", &self.brand_id)
            .field("serial_no", &self.serial_no)
            .finish_non_exhaustive()
    }
}

impl<S: ?Sized> fmt::Debug for Identity<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Merchant(merchant) => merchant.fmt(f),
            Self::Brand(brand) => brand.fmt(f),
        }
    }
}
