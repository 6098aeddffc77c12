//! The crypto providers against published vectors, against openssl, and against each other.
//!
//! These tests run the `openssl` command.

#![cfg(any(feature = "aws-lc-rs", feature = "rsa"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wechatpay_protocol::crypto::{
    Certificate, KeyError, KeyFault, KeyKind, Signer, VerifyingKey, pkcs8_from_pem, spki_from_pem,
};

type Read<Input, Key> = fn(&Input) -> Result<Box<Key>, KeyError>;

/// One provider, as the functions that read a key with it.
struct Provider {
    name: &'static str,
    signer: Read<str, dyn Signer>,
    signer_der: Read<[u8], dyn Signer>,
    public_key: Read<str, dyn VerifyingKey>,
    certificate: Read<Certificate, dyn VerifyingKey>,
}

macro_rules! provider {
    ($module:ident) => {{
        use wechatpay_protocol::crypto::$module as provider;
        Provider {
            name: stringify!($module),
            signer: |pem| provider::Signer::from_pem(pem).map(|key| Box::new(key) as _),
            signer_der: |der| provider::Signer::from_pkcs8_der(der).map(|key| Box::new(key) as _),
            public_key: |pem| provider::VerifyingKey::from_public_key_pem(pem).map(|key| Box::new(key) as _),
            certificate: |read| provider::VerifyingKey::from_certificate(read).map(|key| Box::new(key) as _),
        }
    }};
}

const PROVIDERS: &[Provider] = &[
    #[cfg(feature = "aws-lc-rs")]
    provider!(aws_lc),
    #[cfg(feature = "rsa")]
    provider!(rsa),
];

fn fixture_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/crypto").join(name)
}

fn fixture(name: &str) -> String {
    let path = fixture_path(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The bytes of a well-formed PEM file.
fn der(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(base64).unwrap()
}

/// A folder of its own for one test.
fn scratch(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crypto-{test}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// What the openssl command prints, given this on its standard input.
fn openssl(arguments: &[&str], folder: &Path, input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run openssl ({error}); install it: apt-get install openssl"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Messages of many sizes, the same in every run; around the block size of SHA-256, and up to 100 kB.
fn messages(count: usize) -> Vec<Vec<u8>> {
    const SIZES: [usize; 12] = [0, 1, 54, 55, 56, 63, 64, 65, 200, 1_000, 16_384, 100_000];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    SIZES.iter().cycle().take(count).map(|size| (0..*size).map(|_| byte()).collect()).collect()
}

#[derive(serde::Deserialize)]
struct Vectors {
    signatures: Vec<SignatureVector>,
    #[cfg_attr(not(feature = "aws-lc-rs"), allow(dead_code))]
    sealed: Vec<SealedVector>,
}

#[derive(serde::Deserialize)]
struct SignatureVector {
    name: String,
    private_key: String,
    certificate: Option<String>,
    public_key: Option<String>,
    message: String,
    signature: String,
}

#[derive(serde::Deserialize)]
#[cfg_attr(not(feature = "aws-lc-rs"), allow(dead_code))]
struct SealedVector {
    name: String,
    key: String,
    nonce: String,
    associated_data: String,
    plain: String,
    sealed: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(&fixture("published/vectors.json")).unwrap()
}

fn published(file: &str) -> String {
    fixture(&format!("published/{file}"))
}

#[test]
#[cfg_attr(miri, ignore = "signs, which takes minutes there")]
fn published_signatures_are_made_and_verified() {
    let vectors = vectors().signatures;
    assert_eq!(vectors.len(), 4);
    for (provider, vector) in PROVIDERS.iter().flat_map(|p| vectors.iter().map(move |v| (p, v))) {
        let what = format!("{}: {}", provider.name, vector.name);
        let message = vector.message.as_bytes();
        let signature = STANDARD.decode(&vector.signature).unwrap();

        let signer = (provider.signer)(&published(&vector.private_key)).expect(&what);
        assert_eq!(signer.sign(message).expect(&what), signature, "{what}");

        let key = match (&vector.certificate, &vector.public_key) {
            (Some(file), None) => (provider.certificate)(&Certificate::from_pem(&published(file)).expect(&what)),
            (None, Some(file)) => (provider.public_key)(&published(file)),
            _ => panic!("{what}: name a certificate or a public key"),
        };
        let key = key.expect(&what);
        assert!(key.verify(message, &signature), "{what}");

        // Every change of message or signature is noticed.
        let stranger = (provider.public_key)(&published("java.wechatpay.pub.pem")).expect(&what);
        assert!(!stranger.verify(message, &signature), "{what}: another key");
        assert!(!key.verify(&[message, b"\n"].concat(), &signature), "{what}: longer message");
        assert!(!key.verify(b"", &signature), "{what}: no message");
        for bit in [0, 1000, 8 * signature.len() - 1] {
            let mut wrong = signature.clone();
            wrong[bit / 8] ^= 0x80 >> (bit % 8);
            assert!(!key.verify(message, &wrong), "{what}: bit {bit} of the signature");
        }
        for wrong in [&[][..], &signature[1..], &signature[..255], &[&[0][..], &signature].concat(), &[0; 256]] {
            assert!(!key.verify(message, wrong), "{what}: signature of {} bytes", wrong.len());
        }
        assert!(!key.verify(message, vector.signature.as_bytes()), "{what}: base64 not decoded");
    }
}

#[cfg(all(feature = "aws-lc-rs", feature = "rsa"))]
#[test]
fn providers_agree() {
    for (bits, count) in [(2048, 200), (4096, 12)] {
        let private = fixture(&format!("rsa{bits}.key.pem"));
        let public = fixture(&format!("rsa{bits}.pub.pem"));
        let signers: Vec<_> = PROVIDERS.iter().map(|p| (p.signer)(&private).unwrap()).collect();
        let keys: Vec<_> = PROVIDERS.iter().map(|p| (p.public_key)(&public).unwrap()).collect();
        for (index, message) in messages(count).iter().enumerate() {
            let signatures: Vec<_> = signers.iter().map(|signer| signer.sign(message).unwrap()).collect();
            assert_eq!(signatures[0], signatures[1], "{bits} bits, message {index} of {} bytes", message.len());
            assert!(keys.iter().all(|key| key.verify(message, &signatures[0])), "{bits} bits, message {index}");
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "runs openssl")]
fn openssl_makes_the_same_signature_and_verifies_ours() {
    let folder = scratch("openssl");
    for bits in [2048, 4096] {
        let (private, public) = (format!("rsa{bits}.key.pem"), format!("rsa{bits}.pub.pem"));
        let private_path = fixture_path(&private);
        let public_path = fixture_path(&public);
        for provider in PROVIDERS {
            let signer = (provider.signer)(&fixture(&private)).unwrap();
            let key = (provider.public_key)(&fixture(&public)).unwrap();
            for message in messages(12) {
                let what = format!("{}, {bits} bits, message of {} bytes", provider.name, message.len());
                let theirs = openssl(&["dgst", "-sha256", "-sign", private_path.to_str().unwrap()], &folder, &message);
                let ours = signer.sign(&message).unwrap();
                assert_eq!(ours, theirs, "{what}");
                assert!(key.verify(&message, &theirs), "{what}");

                std::fs::write(folder.join("signature"), &ours).unwrap();
                let verify = ["dgst", "-sha256", "-verify", public_path.to_str().unwrap(), "-signature", "signature"];
                assert_eq!(openssl(&verify, &folder, &message), b"Verified OK\n", "{what}");
            }
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// Texts that are the same key to everybody but a careless parser.
#[test]
fn harmless_differences_of_the_text_are_accepted() {
    type Change = fn(&str) -> String;
    let changes: &[(&str, Change)] = &[
        ("as it is", str::to_owned),
        ("CRLF line ends", |pem| pem.replace('\n', "\r\n")),
        ("byte order mark", |pem| format!("\u{feff}{pem}")),
        ("byte order mark and CRLF line ends", |pem| format!("\u{feff}{}", pem.replace('\n', "\r\n"))),
        ("no line end after the last line", |pem| pem.trim_end().to_owned()),
        ("empty lines and spaces around", |pem| format!("\n \t\n{pem}\n\n  ")),
        ("indented", |pem| pem.lines().fold(String::new(), |text, line| text + "    " + line + "\n")),
        ("base64 in one line", |pem| {
            let lines: Vec<_> = pem.lines().collect();
            let (first, last) = (lines[0], lines[lines.len() - 1]);
            format!("{first}\n{}\n{last}\n", lines[1..lines.len() - 1].concat())
        }),
        ("a comment before and after", |pem| format!("Bag Attributes\n    friendlyName: a key\n{pem}the end\n")),
    ];
    let message = b"message";
    for (name, change) in changes {
        let certificate = Certificate::from_pem(&change(&fixture("rsa2048.cert.pem"))).expect(name);
        assert_eq!(certificate, Certificate::from_pem(&fixture("rsa2048.cert.pem")).unwrap(), "{name}");
        let (private, public) = (fixture("rsa2048.key.pem"), fixture("rsa2048.pub.pem"));
        assert_eq!(*pkcs8_from_pem(&change(&private)).expect(name), der(&private), "{name}");
        assert_eq!(spki_from_pem(&change(&public)).expect(name), der(&public), "{name}");
        // Providers read whole private keys and sign, which takes minutes under miri.
        for provider in PROVIDERS.iter().filter(|_| !cfg!(miri)) {
            let signature = (provider.signer)(&change(&private)).expect(name).sign(message).unwrap();
            let key = (provider.public_key)(&change(&public)).expect(name);
            assert!(key.verify(message, &signature), "{name}");
        }
    }
}

const PRIVATE: KeyKind = KeyKind::PrivateKey;
const PUBLIC: KeyKind = KeyKind::PublicKey;
const CERTIFICATE: KeyKind = KeyKind::Certificate;

/// What every way of reading this text as that kind says, which must be the same.
fn error_of(text: &str, kind: KeyKind) -> KeyError {
    let mut errors = PROVIDERS.iter().map(|provider| match kind {
        PRIVATE => (provider.signer)(text).err(),
        PUBLIC => (provider.public_key)(text).err(),
        CERTIFICATE => Certificate::from_pem(text).err(),
        other => panic!("no text is read as {other}"),
    });
    let first = errors.next().unwrap().unwrap_or_else(|| panic!("read without an error:\n{text}"));
    assert!(errors.all(|other| other == Some(first)), "the providers differ about\n{text}");
    first
}

#[test]
fn bad_texts_are_refused_with_a_reason_and_a_remedy() {
    let with = |name: &str, from: &str, to: &str| {
        let changed = fixture(name).replacen(from, to, 1);
        assert_ne!(changed, fixture(name), "{from:?} is not in {name}");
        changed
    };
    let with_der = |name: &str, change: fn(&mut Vec<u8>)| {
        let mut bytes = der(&fixture(name));
        change(&mut bytes);
        let label = fixture(name).lines().next().unwrap().replace("-----BEGIN ", "").replace("-----", "");
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(bytes))
    };
    let cut = |name: &str| fixture(name).lines().take(5).collect::<Vec<_>>().join("\n");
    let key = fixture("rsa2048.key.pem");
    let bare: String = key.lines().filter(|line| !line.starts_with('-')).collect();

    #[rustfmt::skip]
    let cases: Vec<(String, KeyKind, KeyFault, &str)> = vec![
        // Nothing, or not PEM.
        (String::new(), PRIVATE, KeyFault::Empty, "private key: the text is empty; needed are the contents of the private key file, apiclient_key.pem"),
        ("\u{feff} \r\n\t".into(), PUBLIC, KeyFault::Empty, "public key: the text is empty; needed are the contents of the public key file, pub_key.pem"),
        ("\n".into(), CERTIFICATE, KeyFault::Empty, "certificate: the text is empty; needed are the contents of the certificate file"),
        ("/etc/wechatpay/apiclient_key.pem".into(), PRIVATE, KeyFault::NotPem, "private key: no PEM block in the text; needed are the contents of the private key file, apiclient_key.pem, with the lines -----BEGIN PRIVATE KEY----- and -----END PRIVATE KEY-----"),
        (bare, PRIVATE, KeyFault::NotPem, "with the lines -----BEGIN PRIVATE KEY----- and -----END PRIVATE KEY-----"),
        ("PUB_KEY_ID_0119000000012026010100000001".into(), PUBLIC, KeyFault::NotPem, "with the lines -----BEGIN PUBLIC KEY----- and -----END PUBLIC KEY-----"),
        ("5157F09EFDC096DE15EBE81A47057A7232F1B8E1".into(), CERTIFICATE, KeyFault::NotPem, "with the lines -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----"),
        (key.replace('\n', "\\n"), PRIVATE, KeyFault::EscapedLineEnds, "private key: line ends are written as the two characters \\n; replace them by real line ends"),
        // Several blocks.
        (fixture("rsa2048.cert.pem") + &key, PRIVATE, KeyFault::SeveralBlocks(2), "private key: 2 PEM blocks in the text; keep only the -----BEGIN PRIVATE KEY----- that is meant"),
        (fixture("rsa2048.cert.pem").repeat(3), CERTIFICATE, KeyFault::SeveralBlocks(3), "certificate: 3 PEM blocks in the text; keep only the -----BEGIN CERTIFICATE----- that is meant"),
        // Another kind of thing.
        (fixture("rsa2048.cert.pem"), PRIVATE, KeyFault::Found(CERTIFICATE), "private key: found a certificate; needed are the contents of the private key file, apiclient_key.pem"),
        (fixture("rsa2048.pub.pem"), PRIVATE, KeyFault::Found(PUBLIC), "private key: found a public key; needed are the contents of the private key file, apiclient_key.pem"),
        (fixture("rsa2048.pkcs1.pub.pem"), PRIVATE, KeyFault::Found(PUBLIC), "private key: found a public key;"),
        (key.clone(), PUBLIC, KeyFault::Found(PRIVATE), "public key: found a private key; the public key of WeChat Pay comes from the merchant platform, never from a private key"),
        (fixture("rsa2048.encrypted.key.pem"), PUBLIC, KeyFault::Found(PRIVATE), "public key: found a private key;"),
        (fixture("rsa2048.cert.pem"), PUBLIC, KeyFault::Found(CERTIFICATE), "public key: found a certificate; load it as one, or take the key out: openssl x509 -in old.pem -noout -pubkey -out new.pem"),
        (key.clone(), CERTIFICATE, KeyFault::Found(PRIVATE), "certificate: found a private key; needed are the contents of the certificate file"),
        (fixture("ec.sec1.key.pem"), CERTIFICATE, KeyFault::Found(PRIVATE), "certificate: found a private key;"),
        (fixture("rsa2048.pub.pem"), CERTIFICATE, KeyFault::Found(PUBLIC), "certificate: found a public key; needed are the contents of the certificate file"),
        (fixture("rsa2048.csr.pem"), CERTIFICATE, KeyFault::FoundOther, "certificate: found PEM of another kind; needed are the contents of the certificate file"),
        (fixture("rsa2048.csr.pem"), PRIVATE, KeyFault::FoundOther, "private key: found PEM of another kind; needed are the contents of the private key file, apiclient_key.pem"),
        // A form that is not read.
        (fixture("rsa2048.encrypted.key.pem"), PRIVATE, KeyFault::Encrypted, "private key: protected by a passphrase; remove it: openssl pkey -in old.pem -out new.pem"),
        (fixture("rsa2048.pkcs1.encrypted.key.pem"), PRIVATE, KeyFault::Encrypted, "private key: protected by a passphrase; remove it: openssl pkey -in old.pem -out new.pem"),
        (fixture("rsa2048.pkcs1.key.pem"), PRIVATE, KeyFault::Pkcs1, "private key: PKCS#1 form (RSA PRIVATE KEY); convert it: openssl pkcs8 -topk8 -nocrypt -in old.pem -out new.pem"),
        (fixture("rsa2048.pkcs1.pub.pem"), PUBLIC, KeyFault::Pkcs1, "public key: PKCS#1 form (RSA PUBLIC KEY); convert it: openssl rsa -RSAPublicKey_in -in old.pem -pubout -out new.pem"),
        // Another algorithm or size.
        (fixture("ec.key.pem"), PRIVATE, KeyFault::NotRsa("elliptic curves (EC)"), "private key: the key is for elliptic curves (EC), not RSA; give an RSA key"),
        (fixture("ec.sec1.key.pem"), PRIVATE, KeyFault::NotRsa("elliptic curves (EC)"), "private key: the key is for elliptic curves (EC), not RSA; give an RSA key"),
        (fixture("ec.pub.pem"), PUBLIC, KeyFault::NotRsa("elliptic curves (EC)"), "public key: the key is for elliptic curves (EC), not RSA; give an RSA key"),
        (fixture("rsa-pss.key.pem"), PRIVATE, KeyFault::NotRsa("RSA-PSS"), "private key: the key is for RSA-PSS, not RSA; give an RSA key"),
        (fixture("rsa1024.key.pem"), PRIVATE, KeyFault::Size(1024), "private key: an RSA key of 1024 bits; WeChat Pay uses 2048, and at most 8192 are supported"),
        (fixture("rsa1024.pub.pem"), PUBLIC, KeyFault::Size(1024), "public key: an RSA key of 1024 bits; WeChat Pay uses 2048, and at most 8192 are supported"),
        (fixture("rsa16384.pub.pem"), PUBLIC, KeyFault::Size(16384), "public key: an RSA key of 16384 bits; WeChat Pay uses 2048, and at most 8192 are supported"),
        // Damage.
        (cut("rsa2048.key.pem"), PRIVATE, KeyFault::BrokenFrame, "private key: the PEM block does not end with -----END PRIVATE KEY-----; the text is cut off or mixed up, copy the file again"),
        (cut("rsa2048.cert.pem"), CERTIFICATE, KeyFault::BrokenFrame, "certificate: the PEM block does not end with -----END CERTIFICATE-----;"),
        ("-----BEGIN PRIVATE KEY".into(), PRIVATE, KeyFault::BrokenFrame, "private key: the PEM block does not end"),
        (with("rsa2048.pub.pem", "END PUBLIC KEY", "END PRIVATE KEY"), PUBLIC, KeyFault::BrokenFrame, "public key: the PEM block does not end with -----END PUBLIC KEY-----;"),
        (with("rsa2048.key.pem", "MII", "M!I"), PRIVATE, KeyFault::BrokenBase64, "private key: the PEM block is not base64; the text is damaged, copy the file again"),
        (with("rsa2048.pub.pem", "MII", "MI"), PUBLIC, KeyFault::BrokenBase64, "public key: the PEM block is not base64;"),
        (with("rsa2048.cert.pem", "MII", "M\u{3000}I"), CERTIFICATE, KeyFault::BrokenBase64, "certificate: the PEM block is not base64;"),
        (with("rsa2048.key.pem", "MII", "AAAA"), PRIVATE, KeyFault::BrokenBase64, "private key: the PEM block is not base64;"),
        ("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n".into(), PRIVATE, KeyFault::BrokenDer, "private key: the contents are not the DER encoding of a private key; the text is damaged, copy the file again"),
        (with_der("rsa2048.key.pem", |der| der.truncate(600)), PRIVATE, KeyFault::BrokenDer, "private key: the contents are not the DER encoding of a private key;"),
        (with_der("rsa2048.key.pem", |der| der.push(0)), PRIVATE, KeyFault::BrokenDer, "private key: the contents are not the DER encoding of a private key;"),
        (with_der("rsa2048.pub.pem", |der| der[0] = 0x31), PUBLIC, KeyFault::BrokenDer, "public key: the contents are not the DER encoding of a public key;"),
        (with_der("rsa2048.cert.pem", |der| der.truncate(300)), CERTIFICATE, KeyFault::BrokenDer, "certificate: the contents are not the DER encoding of a certificate;"),
        // Bytes 38 to 293 are the modulus.
        (with_der("rsa2048.key.pem", |der| der[100] ^= 1), PRIVATE, KeyFault::Rejected, "private key: the numbers of the RSA key do not belong together; the text is damaged, copy the file again"),
        (with_der("rsa2048.pub.pem", |der| der[288] ^= 1), PUBLIC, KeyFault::Rejected, "public key: the numbers of the RSA key do not belong together;"),
    ];
    for (text, kind, fault, message) in cases {
        let error = error_of(&text, kind);
        assert_eq!((error.wanted(), error.fault()), (kind, fault), "{text}");
        let shown = error.to_string();
        assert!(shown.starts_with(&kind.to_string()) && shown.contains(message), "{shown}\n is not\n{message}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "runs openssl")]
fn the_remedies_work() {
    let folder = scratch("remedies");
    let cases = [
        ("rsa2048.encrypted.key.pem", PRIVATE),
        ("rsa2048.pkcs1.encrypted.key.pem", PRIVATE),
        ("rsa2048.pkcs1.key.pem", PRIVATE),
        ("rsa2048.pkcs1.pub.pem", PUBLIC),
        ("rsa2048.cert.pem", PUBLIC),
    ];
    for (name, kind) in cases {
        let remedy = error_of(&fixture(name), kind).to_string();
        let (_, command) = remedy.split_once("openssl ").unwrap_or_else(|| panic!("no command in: {remedy}"));
        let mut arguments: Vec<_> = command.split(' ').collect();
        if name.contains("encrypted") {
            // Where a user is asked.
            arguments.extend(["-passin", "pass:fixture"]);
        }
        std::fs::copy(fixture_path(name), folder.join("old.pem")).unwrap();
        openssl(&arguments, &folder, b"");
        let remedied = std::fs::read_to_string(folder.join("new.pem")).unwrap();
        let original = if kind == PRIVATE { "rsa2048.key.pem" } else { "rsa2048.pub.pem" };
        assert_eq!(der(&remedied), der(&fixture(original)), "{name}: {command}");
        std::fs::remove_file(folder.join("new.pem")).unwrap();
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[cfg_attr(miri, ignore = "reads whole private keys, which takes minutes there")]
fn der_is_checked_like_pem() {
    for provider in PROVIDERS {
        let whole = der(&fixture("rsa2048.key.pem"));
        assert!((provider.signer_der)(&whole).is_ok(), "{}", provider.name);
        let pkcs1 = (provider.signer_der)(&der(&fixture("rsa2048.pkcs1.key.pem"))).err().unwrap();
        assert_eq!(pkcs1.fault(), KeyFault::BrokenDer, "{}", provider.name);
        let small = (provider.signer_der)(&der(&fixture("rsa1024.key.pem"))).err().unwrap();
        assert_eq!(small.fault(), KeyFault::Size(1024), "{}", provider.name);
        // Wherever it is cut, and whichever byte is wrong: an error or a key, and never a panic.
        for length in 0..whole.len() {
            assert!((provider.signer_der)(&whole[..length]).is_err(), "{}, {length} bytes", provider.name);
        }
        for byte in 0..60 {
            let mut wrong = whole.clone();
            wrong[byte] = !wrong[byte];
            assert!((provider.signer_der)(&wrong).is_err(), "{}, byte {byte}", provider.name);
        }
    }
}

#[test]
fn large_keys_are_accepted() {
    for provider in PROVIDERS {
        (provider.public_key)(&fixture("rsa4096.pub.pem")).unwrap();
        (provider.public_key)(&fixture("rsa8192.pub.pem")).unwrap();
    }
}

#[test]
#[cfg_attr(miri, ignore = "runs openssl")]
fn certificates_say_what_openssl_says() {
    let folder = scratch("certificates");
    let cases = [
        ("rsa2048.cert.pem", "0A0B0C0D0E0F101112131415161718191A1B1C1D"),
        ("ec.cert.pem", "F0"),
        ("published/go.cert.pem", "D7CE59D1F522D701"),
        ("published/java.cert.pem", "5F1C72E2A8931B72A2E13AF8DEE92471EB397115"),
    ];
    for (name, serial) in cases {
        let pem = fixture(name);
        let certificate = Certificate::from_pem(&pem).unwrap();
        assert_eq!(certificate, Certificate::from_der(&der(&pem)).unwrap(), "{name}");
        assert_eq!(certificate.serial(), serial, "{name}");
        let printed = openssl(&["x509", "-noout", "-serial"], &folder, pem.as_bytes());
        assert_eq!(String::from_utf8(printed).unwrap(), format!("serial={serial}\n"), "{name}");
        let public = openssl(&["x509", "-noout", "-pubkey"], &folder, pem.as_bytes());
        assert_eq!(certificate.spki_der(), der(&String::from_utf8(public).unwrap()), "{name}");
    }
    let java = Certificate::from_pem(&fixture("published/java.cert.pem")).unwrap();
    // 2022-05-10T01:57:10Z and 2025-05-09T01:57:10Z.
    assert_eq!((java.not_before(), java.not_after()), (1_652_147_830, 1_746_755_830));
    let other = Certificate::from_pem(&fixture("ec.cert.pem")).unwrap();
    for provider in PROVIDERS {
        let error = (provider.certificate)(&other).err().unwrap();
        assert_eq!(error.to_string(), "public key: the key is for elliptic curves (EC), not RSA; give an RSA key");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[cfg_attr(miri, ignore = "reads whole private keys, which takes minutes there")]
fn debug_shows_no_key() {
    macro_rules! shown {
        ($module:ident) => {{
            use wechatpay_protocol::crypto::$module as provider;
            let signer = provider::Signer::from_pem(&fixture("rsa2048.key.pem")).unwrap();
            assert_eq!(format!("{signer:?}"), concat!(stringify!($module), "::Signer { .. }"));
            let key = provider::VerifyingKey::from_public_key_pem(&fixture("rsa2048.pub.pem")).unwrap();
            assert_eq!(format!("{key:?}"), concat!(stringify!($module), "::VerifyingKey { .. }"));
        }};
    }
    #[cfg(feature = "aws-lc-rs")]
    shown!(aws_lc);
    #[cfg(feature = "rsa")]
    shown!(rsa);
}

#[cfg(feature = "aws-lc-rs")]
mod sealed {
    use super::*;
    use wechatpay_protocol::crypto::aws_lc::ApiV3Key;
    use wechatpay_protocol::crypto::{OpenError, Opener as _};

    #[test]
    fn published_texts_open() {
        for vector in vectors().sealed {
            let key = ApiV3Key::new(&vector.key).unwrap();
            let sealed = STANDARD.decode(&vector.sealed).unwrap();
            let (nonce, data) = (vector.nonce.as_bytes(), vector.associated_data.as_bytes());
            assert_eq!(key.open(nonce, data, &sealed).unwrap(), vector.plain.as_bytes(), "{}", vector.name);
            assert_eq!(key.seal(nonce.try_into().unwrap(), data, vector.plain.as_bytes()).unwrap(), sealed);
        }
    }

    #[test]
    fn changed_texts_do_not_open() {
        let key = ApiV3Key::new("a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb").unwrap();
        let nonce = *b"uluk4a9R25RW";
        let sealed = key.seal(nonce, b"data", b"text").unwrap();
        assert_eq!(key.open(&nonce, b"data", &sealed).unwrap(), b"text");
        assert_eq!(key.open(&nonce, b"", &sealed), Err(OpenError::Refused));
        assert_eq!(key.open(b"uluk4a9R25RX", b"data", &sealed), Err(OpenError::Refused));
        assert_eq!(key.open(b"uluk4a9R25RWX", b"data", &sealed), Err(OpenError::NonceLength(13)));
        assert_eq!(key.open(b"", b"data", &sealed), Err(OpenError::NonceLength(0)));
        for length in 0..sealed.len() {
            assert_eq!(key.open(&nonce, b"data", &sealed[..length]), Err(OpenError::Refused), "{length}");
        }
        for byte in 0..sealed.len() {
            let mut wrong = sealed.clone();
            wrong[byte] ^= 1;
            assert_eq!(key.open(&nonce, b"data", &wrong), Err(OpenError::Refused), "{byte}");
        }
        let other = ApiV3Key::new("a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gc").unwrap();
        assert_eq!(other.open(&nonce, b"data", &sealed), Err(OpenError::Refused));
    }

    #[test]
    fn keys_have_32_bytes() {
        for length in [0, 16, 31, 33, 64] {
            let error = ApiV3Key::new(vec![b'k'; length]).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "APIv3 key: {length} bytes instead of 32; give the key as set on the merchant platform, without a line \
                     end or quotes"
                )
            );
        }
        assert_eq!(format!("{:?}", ApiV3Key::new([b'k'; 32]).unwrap()), "aws_lc::ApiV3Key { .. }");
    }
}
