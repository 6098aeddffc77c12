//! What the protocol needs to know of an X.509 certificate.

use super::pem::{self, KeyError, KeyFault, KeyKind};
use std::fmt::Write as _;
use x509_cert::der::{Decode, Encode};
use x509_cert::time::Time;

/// An X.509 certificate: its serial number, its public key and how long it lasts.
///
/// Who issued it is not checked: a platform certificate is trusted because it arrived sealed with the merchant's APIv3
/// key, or because the user says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    serial: String,
    spki: Vec<u8>,
    not_before: i64,
    not_after: i64,
}

impl Certificate {
    /// Reads the text of a certificate file, `-----BEGIN CERTIFICATE-----`.
    ///
    /// # Errors
    /// The text is not one certificate in PEM.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        Self::from_der(&pem::certificate(text)?)
    }

    /// Reads the DER of a certificate.
    ///
    /// # Errors
    /// The bytes are not one certificate in DER.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let broken = |_| KeyError::new(KeyKind::Certificate, KeyFault::BrokenDer);
        let certificate = x509_cert::Certificate::from_der(der).map_err(broken)?.tbs_certificate;
        Ok(Self {
            serial: hex(certificate.serial_number.as_bytes()),
            spki: certificate.subject_public_key_info.to_der().map_err(broken)?,
            not_before: unix(certificate.validity.not_before),
            not_after: unix(certificate.validity.not_after),
        })
    }

    /// The serial number as `Authorization` and `Wechatpay-Serial` write it, and as `openssl x509 -serial` prints it:
    /// upper-case hex, two digits a byte.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The public key as DER of its SubjectPublicKeyInfo (RFC 5280): what the providers read.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The first second in which the certificate is valid, in Unix time.
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    /// The last second in which the certificate is valid, in Unix time.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }
}

/// The number in hex, without the zero byte that DER puts before a number whose first bit is set.
fn hex(integer: &[u8]) -> String {
    let magnitude = match integer {
        [0, magnitude @ ..] if !magnitude.is_empty() => magnitude,
        all => all,
    };
    magnitude.iter().fold(String::with_capacity(2 * magnitude.len()), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02X}");
        hex
    })
}

fn unix(time: Time) -> i64 {
    i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::hex;

    #[test]
    fn a_serial_is_written_without_the_zero_that_der_adds() {
        for (integer, wanted) in [
            (&[0x00, 0xF0][..], "F0"),
            (&[0x7F, 0x00], "7F00"),
            (&[0x0A, 0x0B], "0A0B"),
            // What `openssl x509 -serial` prints for the number nought.
            (&[0x00], "00"),
        ] {
            assert_eq!(hex(integer), wanted, "{integer:?}");
        }
    }
}
