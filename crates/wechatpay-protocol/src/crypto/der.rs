//! A look into the DER of RSA keys, the same for every provider: which algorithm, how many bits.

use super::pem::{KeyError, KeyFault, KeyKind};
use x509_cert::der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef, UintRef};
use x509_cert::der::{Decode, Reader, Result, SliceReader};
use x509_cert::spki::AlgorithmIdentifierRef;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// Fewer are too weak, and not what WeChat Pay issues.
const MIN_BITS: usize = 2048;
/// More take seconds, and no provider supports them.
pub(super) const MAX_BITS: usize = 8192;

/// The two numbers of an RSA public key, big-endian, without leading zeros.
#[cfg_attr(not(feature = "rsa"), allow(dead_code, reason = "aws-lc reads them from the DER itself"))]
pub(super) struct RsaNumbers<'a> {
    pub(super) modulus: &'a [u8],
    pub(super) exponent: &'a [u8],
}

/// Whether this is the PKCS#8 of an RSA key of a supported size.
pub(super) fn check_pkcs8(der: &[u8]) -> std::result::Result<(), KeyError> {
    let error = |fault| KeyError::new(KeyKind::PrivateKey, fault);
    let (algorithm, key) = read_pkcs8(der).map_err(|_| error(KeyFault::BrokenDer))?;
    check_algorithm(algorithm).map_err(error)?;
    let modulus = read_private_modulus(key).map_err(|_| error(KeyFault::BrokenDer))?;
    check_size(modulus).map_err(error)
}

/// The numbers in the SPKI of an RSA key of a supported size.
pub(super) fn check_spki(der: &[u8]) -> std::result::Result<RsaNumbers<'_>, KeyError> {
    let error = |fault| KeyError::new(KeyKind::PublicKey, fault);
    let (algorithm, key) = read_spki(der).map_err(|_| error(KeyFault::BrokenDer))?;
    check_algorithm(algorithm).map_err(error)?;
    let key = key.as_bytes().ok_or(error(KeyFault::BrokenDer))?;
    let numbers = read_public_numbers(key).map_err(|_| error(KeyFault::BrokenDer))?;
    check_size(numbers.modulus).map_err(error)?;
    Ok(numbers)
}

fn check_algorithm(algorithm: ObjectIdentifier) -> std::result::Result<(), KeyFault> {
    match algorithm {
        RSA => Ok(()),
        RSA_PSS => Err(KeyFault::NotRsa("RSA-PSS")),
        EC => Err(KeyFault::NotRsa("elliptic curves (EC)")),
        _ => Err(KeyFault::NotRsa("another algorithm")),
    }
}

fn check_size(modulus: &[u8]) -> std::result::Result<(), KeyFault> {
    let unused = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    match modulus.len() * 8 - unused {
        MIN_BITS..=MAX_BITS => Ok(()),
        bits => Err(KeyFault::Size(bits)),
    }
}

fn read_pkcs8(der: &[u8]) -> Result<(ObjectIdentifier, &[u8])> {
    let mut reader = SliceReader::new(der)?;
    let read = reader.sequence(|reader| {
        let _version = u8::decode(reader)?;
        let algorithm = AlgorithmIdentifierRef::decode(reader)?;
        let key = OctetStringRef::decode(reader)?;
        skip_rest(reader)?;
        Ok((algorithm.oid, key.as_bytes()))
    })?;
    reader.finish(read)
}

fn read_spki(der: &[u8]) -> Result<(ObjectIdentifier, BitStringRef<'_>)> {
    let mut reader = SliceReader::new(der)?;
    let read =
        reader.sequence(|reader| Ok((AlgorithmIdentifierRef::decode(reader)?.oid, BitStringRef::decode(reader)?)))?;
    reader.finish(read)
}

fn read_private_modulus(der: &[u8]) -> Result<&[u8]> {
    let mut reader = SliceReader::new(der)?;
    let read = reader.sequence(|reader| {
        let _version = u8::decode(reader)?;
        let modulus = UintRef::decode(reader)?;
        skip_rest(reader)?;
        Ok(modulus.as_bytes())
    })?;
    reader.finish(read)
}

fn read_public_numbers(der: &[u8]) -> Result<RsaNumbers<'_>> {
    let mut reader = SliceReader::new(der)?;
    let read = reader.sequence(|reader| {
        let modulus = UintRef::decode(reader)?;
        let exponent = UintRef::decode(reader)?;
        Ok(RsaNumbers { modulus: modulus.as_bytes(), exponent: exponent.as_bytes() })
    })?;
    reader.finish(read)
}

fn skip_rest<'a>(reader: &mut impl Reader<'a>) -> Result<()> {
    while !reader.is_finished() {
        AnyRef::decode(reader)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_key_is_that_of_its_modulus_without_leading_zeros() {
        let modulus = |first: u8, bytes: usize| [vec![first], vec![0xFF; bytes - 1]].concat();
        for (first, bytes, bits) in [
            (0x80, 256, Ok(())),
            (0x7F, 256, Err(2047)),
            (0x01, 256, Err(2041)),
            (0x01, 257, Ok(())),
            (0xFF, 1024, Ok(())),
            (0x01, 1025, Err(8193)),
        ] {
            assert_eq!(check_size(&modulus(first, bytes)), bits.map_err(KeyFault::Size), "{first} and {bytes} bytes");
        }
        assert_eq!(check_size(&[]), Err(KeyFault::Size(0)));
    }
}
