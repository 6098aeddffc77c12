//! A second reading of the protocol that shares no code with the first.
//!
//! Textbook RSA over big integers, a DER reader that knows just enough, headers taken apart by hand: slow and plain, so
//! that client and sandbox cannot agree on a mistake without somebody noticing. Panics are its way to object.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use num_bigint::BigUint;
use sha2::{Digest, Sha256};

/// An RSA public key: modulus and exponent.
#[derive(Clone)]
pub struct PublicKey {
    n: BigUint,
    e: BigUint,
    size: usize,
}

impl PublicKey {
    /// Reads a `PUBLIC KEY` or a `CERTIFICATE` in PEM.
    pub fn from_pem(pem: &str) -> Self {
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
        let der = STANDARD.decode(body).expect("base64 inside the PEM");
        // Both forms hold the RSA key as a BIT STRING right after the identifier of rsaEncryption.
        const RSA_ENCRYPTION: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
        let at = der.windows(RSA_ENCRYPTION.len()).position(|window| window == RSA_ENCRYPTION).expect("an RSA key");
        let (tag, bits, _) = element(&der[at + RSA_ENCRYPTION.len()..]);
        assert_eq!(tag, 0x03, "the key is a BIT STRING");
        let (_, key, _) = element(&bits[1..]);
        let (_, n, rest) = element(key);
        let (_, e, _) = element(rest);
        let n = BigUint::from_bytes_be(n);
        let size = n.bits().div_ceil(8) as usize;
        Self { n, e: BigUint::from_bytes_be(e), size }
    }

    /// Whether the signature is RSASSA-PKCS1-v1_5 with SHA-256 over the message: RFC 8017, section 8.2.2.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        if signature.len() != self.size {
            return false;
        }
        let opened = BigUint::from_bytes_be(signature).modpow(&self.e, &self.n).to_bytes_be();
        const SHA256: &[u8] = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
        let digest = Sha256::digest(message);
        let mut wanted = vec![0x01];
        wanted.resize(self.size - 1 - 1 - SHA256.len() - digest.len(), 0xff);
        wanted.push(0x00);
        wanted.extend_from_slice(SHA256);
        wanted.extend_from_slice(&digest);
        opened == wanted
    }
}

/// Tag and content of the first DER element, and what follows it.
fn element(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (length, header) = match der[1] {
        short @ 0..=0x7f => (usize::from(short), 2),
        long => {
            let count = usize::from(long & 0x7f);
            (der[2..2 + count].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), 2 + count)
        }
    };
    (der[0], &der[header..header + length], &der[header + length..])
}

/// Objects unless the request is signed as P1 and P2 say, by this key.
pub fn check_request(request: &http::Request<bytes::Bytes>, key: &PublicKey, mchid: &str, serial_no: &str) {
    let header = request.headers()["authorization"].to_str().expect("ASCII");
    let items = header.strip_prefix("WECHATPAY2-SHA256-RSA2048 ").expect("the scheme and one space");
    let item = |name: &str| {
        let start = format!("{name}=\"");
        let mut found = items.split(',').filter_map(|item| item.strip_prefix(&start)?.strip_suffix('"'));
        let value = found.next().unwrap_or_else(|| panic!("{name} in {items}"));
        assert!(found.next().is_none(), "{name} once");
        value
    };
    assert_eq!(items.split(',').count(), 5, "five items");
    assert_eq!(item("mchid"), mchid);
    assert_eq!(item("serial_no"), serial_no);
    assert_eq!(item("nonce_str").len(), 32);
    let target = request.uri().path_and_query().expect("a target").as_str();
    let body = std::str::from_utf8(request.body()).expect("UTF-8");
    let (timestamp, nonce) = (item("timestamp"), item("nonce_str"));
    let message = format!("{}\n{target}\n{timestamp}\n{nonce}\n{body}\n", request.method());
    let signature = STANDARD.decode(item("signature")).expect("base64");
    assert!(
        key.verifies(message.as_bytes(), &signature),
        "the request's signature is over other bytes than {message:?}"
    );
}

/// Objects unless the answer is signed as P7 says, by this key.
pub fn check_answer(headers: &http::HeaderMap, body: &[u8], key: &PublicKey, serial: &str) {
    let header = |name: &str| {
        let values: Vec<_> = headers.get_all(name).iter().collect();
        assert_eq!(values.len(), 1, "{name} once");
        values[0].to_str().expect("ASCII").to_owned()
    };
    assert_eq!(header("wechatpay-serial"), serial);
    let mut message = format!("{}\n{}\n", header("wechatpay-timestamp"), header("wechatpay-nonce")).into_bytes();
    message.extend_from_slice(body);
    message.push(b'\n');
    let signature = STANDARD.decode(header("wechatpay-signature")).expect("base64");
    assert!(key.verifies(&message, &signature), "the answer's signature is over other bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The oracle itself is held against a signature that neither it nor the project made; see the fixtures' README.
    #[test]
    fn the_oracle_knows_a_good_signature_from_a_bad_one() {
        let key = PublicKey::from_pem(include_str!("../fixtures/openssl_public.pem"));
        let signature = STANDARD.decode(include_str!("../fixtures/openssl_signature.base64").trim()).expect("base64");
        assert!(key.verifies(b"the oracle is not ourselves\n", &signature));
        assert!(!key.verifies(b"the oracle is not ourselves", &signature));
        for bit in 0..signature.len() * 8 {
            let mut bad = signature.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verifies(b"the oracle is not ourselves\n", &bad), "bit {bit}");
        }
    }
}
