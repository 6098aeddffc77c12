//! Certificates and notifications that are not taken: what that means for whoever waits for them.

use crate::output::{Exit, Failure, Operation, Rejection, answered_no, plain, reason_name};
use wechatpay_model::Operation as _;
use wechatpay_model::certificates::List;
use wechatpay_protocol::certificates::{CertificatesError, EntryFault, SealedError};
use wechatpay_protocol::notification::NotificationError;
use wechatpay_protocol::response::document;
use wechatpay_protocol::{RefreshError, UnverifiedReason};

const CHECK_KEY: &str = "check that WECHATPAY_APIV3_KEY is the key that is set on the merchant platform";
const TRUST_MORE: &str = "get the certificates with `wechatpay certs download --dir DIR` and name them in \
                          --platform-cert, or set the public key; if nobody of WeChat Pay's has that serial, it is forged";

/// A merchant that has none, where nothing else is there to verify with.
pub(crate) fn no_certificates() -> Failure {
    let message =
        "this merchant has no platform certificates, only public keys of WeChat Pay; the call itself was not sent";
    let mut rejection = unreadable(format!("{}: {message}", List::SPEC.id()));
    (rejection.exit, rejection.kind) = (Exit::Usage, "config");
    rejection.next =
        Some("set --public-key-id and --public-key (WECHATPAY_PUBLIC_KEY_ID and WECHATPAY_PUBLIC_KEY)".to_owned());
    Failure::Rejected(Box::new(rejection))
}

/// Platform certificates that were not downloaded.
pub(crate) fn refresh(error: RefreshError) -> Failure {
    match error {
        RefreshError::Call(error) => Operation::known(List::SPEC).failed(error),
        RefreshError::Answer(error) => certificates(&error),
        other => Failure::Local(format!("{}: {other}; run the command again", List::SPEC.id())),
    }
}

fn certificates(error: &CertificatesError) -> Failure {
    let mut rejection = unreadable(format!("{}: {}", List::SPEC.id(), plain(&error.to_string())));
    match error {
        CertificatesError::Unverified(reason) => unverified(&mut rejection, reason),
        CertificatesError::Refused { status, code, authenticated, .. } => {
            rejection.kind = "refused";
            rejection.authenticated = Some(*authenticated);
            rejection.exit = if answered_no(*authenticated, *status, code) { Exit::Refused } else { Exit::Unknown };
            rejection.status = Some(*status);
            rejection.code = Some(code.clone()).filter(|code| !code.is_empty());
            if let [row] = *document(Some(List::SPEC), *status, code, "") {
                rejection.next = Some(format!("{} {}", row.meaning(), row.remedy()));
            }
        }
        CertificatesError::Entry { fault: EntryFault::Sealed(SealedError::Open(_)), .. } => {
            rejection.next = Some(CHECK_KEY.to_owned());
        }
        _ => {}
    }
    Failure::Rejected(Box::new(rejection))
}

/// A notification that gives no event.
pub(crate) fn notification(error: &NotificationError, shown: &str) -> Failure {
    let mut rejection = unreadable(format!("{shown}: {error}"));
    match error {
        NotificationError::TooLarge(_) => return Failure::Input(rejection.message),
        NotificationError::Unverified(reason) => {
            unverified(&mut rejection, reason);
            if matches!(reason, UnverifiedReason::Stale(_)) {
                rejection.next =
                    Some("judge an old notification by its own time: --now 2026-01-01T12:00:00+08:00".to_owned());
            }
        }
        NotificationError::Sealed { .. } => rejection.next = Some(CHECK_KEY.to_owned()),
        _ => {}
    }
    Failure::Rejected(Box::new(rejection))
}

fn unreadable(message: String) -> Rejection {
    Rejection::new(Exit::Unverified, "decode", message)
}

fn unverified(rejection: &mut Rejection, reason: &UnverifiedReason) {
    rejection.kind = "unverified";
    rejection.reason = Some(reason_name(reason));
    rejection.next = match reason {
        UnverifiedReason::UnknownSerial(id) if id.starts_with("PUB_KEY_ID_") => Some(format!(
            "this merchant has public keys of WeChat Pay: set --public-key-id and --public-key to the one that the merchant \
             platform shows as {}; if it shows none such, it is forged",
            plain(id)
        )),
        UnverifiedReason::UnknownSerial(_) => Some(TRUST_MORE.to_owned()),
        UnverifiedReason::Probe => Some("run it again: such tests are rare".to_owned()),
        _ => None,
    };
}
