//! The keys of a run: of each merchant, and of the platform that signs the answers.
//!
//! Keys are secrets, so they never follow from the seed: they come from the system's randomness or from files.

use crate::explain::{self, Known, Whose};
use crate::howto;
use crate::tls::Authority;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize, SerialNumber,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::thread;
use time::{Duration, OffsetDateTime};
use wechatpay_protocol::crypto::Certificate;

/// Everything that a client needs to act as one merchant or brand of the sandbox, and to trust its answers. As JSON it
/// holds the secrets, as text it does not.
#[derive(Clone, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Credentials {
    /// Merchant id; of a brand, its brand id.
    pub mchid: String,
    /// Serial number of the merchant's API certificate: upper-case hex.
    pub serial_no: String,
    /// The merchant's private key, PKCS#8 in PEM: `apiclient_key.pem`.
    pub private_key_pem: String,
    /// The merchant's API certificate in PEM: `apiclient_cert.pem`.
    pub certificate_pem: String,
    /// The APIv3 key: 32 letters and digits.
    pub apiv3_key: String,
    /// Id of the platform's public key: `PUB_KEY_ID_…`.
    pub public_key_id: String,
    /// The platform's public key, SPKI in PEM: `pub_key.pem`.
    pub public_key_pem: String,
    /// The platform certificate in PEM.
    pub platform_certificate_pem: String,
    /// Serial number of the platform certificate: upper-case hex.
    pub platform_serial: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("mchid", &self.mchid)
            .field("serial_no", &self.serial_no)
            .field("public_key_id", &self.public_key_id)
            .field("platform_serial", &self.platform_serial)
            .finish_non_exhaustive()
    }
}

/// A merchant as the sandbox sees it, or a brand.
pub(crate) struct Merchant {
    /// Merchant id, or brand id.
    pub(crate) mchid: String,
    /// Whether it is a brand, which calls under `/brand/…` with a scheme of its own.
    pub(crate) brand: bool,
    pub(crate) serial_no: String,
    verifying: ParsedPublicKey,
    sealing: LessSafeKey,
    files: MerchantFiles,
}

/// The texts that make a merchant.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct MerchantFiles {
    private_key: String,
    certificate: String,
    apiv3_key: String,
}

impl Merchant {
    /// Whether the signature is this merchant's over the message.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifying.verify_sig(message, signature).is_ok()
    }

    /// Seals a text with the APIv3 key; the tag stands at the end.
    pub(crate) fn seal(&self, nonce: &[u8], associated_data: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = plain.to_vec();
        self.sealing.seal_in_place_append_tag(nonce, Aad::from(associated_data), &mut sealed).ok()?;
        Some(sealed)
    }
}

/// A key that signs answers, and the name under which clients know it.
pub(crate) struct SigningKey {
    /// `PUB_KEY_ID_…` or the serial number of the platform certificate.
    pub(crate) id: String,
    key: RsaKeyPair,
    private_pem: String,
}

impl SigningKey {
    /// The raw signature; `None` if the library fails, which it has no reason to.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
        Some(signature)
    }
}

/// A platform certificate, how long it lasts, and the key that it is for.
pub(crate) struct Platform {
    pub(crate) key: SigningKey,
    pub(crate) pem: String,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
}

impl Platform {
    fn new(private_pem: &str, pem: String) -> Result<Self, Damaged> {
        let damaged = |error| Damaged::new(file::PLATFORM_CERTIFICATE, format!("the platform certificate: {error}"));
        let read = Certificate::from_pem(&pem).map_err(damaged)?;
        let key = signing_key(file::PLATFORM_SECRET, read.serial().to_owned(), private_pem)?;
        Ok(Self { key, pem, not_before: read.not_before(), not_after: read.not_after() })
    }
}

/// A merchant that joined while the sandbox ran, as snapshots keep it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Joined {
    mchid: String,
    files: MerchantFiles,
}

/// How many platform certificates are valid side by side: the one that signs, and its predecessor.
const SIDE_BY_SIDE: usize = 2;

/// Most merchants that are added while the sandbox runs.
const MOST_LATER: usize = 1000;

/// Merchants that were added while the sandbox runs: a list that only grows, so that whoever reads it waits for nobody.
#[derive(Default)]
struct Later(OnceLock<Box<(Merchant, Later)>>);

impl Later {
    fn iter(&self) -> impl Iterator<Item = &Merchant> {
        std::iter::successors(self.first(), |(_, later)| later.first()).map(|(merchant, _)| merchant)
    }

    fn first(&self) -> Option<&(Merchant, Self)> {
        self.0.get().map(|entry| &**entry)
    }
}

/// All keys of a run.
pub(crate) struct Keys {
    /// Those that were there from the start.
    pub(crate) merchants: Vec<Merchant>,
    pub(crate) brands: Vec<Merchant>,
    later: Later,
    pub(crate) public_key: SigningKey,
    public_key_pem: String,
    /// The newest first; there is always one.
    platforms: RwLock<Vec<Arc<Platform>>>,
}

/// Refuses what is no id of a merchant or brand.
fn check_id(what: &str, id: &str) -> Result<(), String> {
    let digits = id.bytes().all(|byte| byte.is_ascii_digit());
    if digits && (1..=20).contains(&id.len()) {
        Ok(())
    } else {
        Err(format!("{id:?} is no {what} id; it has 1 to 20 digits"))
    }
}

/// Refuses what is no id, and ids that are named twice: events name whom they are for by the id alone, be it a merchant's
/// or a brand's.
pub(crate) fn check_ids<'a>(
    merchants: impl IntoIterator<Item = &'a String>,
    brands: impl IntoIterator<Item = &'a String>,
) -> Result<(), String> {
    let mut named = HashMap::new();
    let brands = brands.into_iter().map(|id| ("brand", id));
    for (what, id) in merchants.into_iter().map(|id| ("merchant", id)).chain(brands) {
        check_id(what, id)?;
        match named.insert(id, what) {
            None => {}
            Some(before) if before == what => return Err(format!("{what} {id} is named twice")),
            Some(before) => {
                return Err(format!("{id} is named twice, as a {before} and as a {what}; each needs an id of its own"));
            }
        }
    }
    Ok(())
}

impl Keys {
    /// All merchants, in the order in which they were named.
    pub(crate) fn merchants(&self) -> impl Iterator<Item = &Merchant> {
        self.merchants.iter().chain(self.later.iter())
    }

    pub(crate) fn merchant(&self, mchid: &str) -> Option<&Merchant> {
        self.merchants().find(|merchant| merchant.mchid == mchid)
    }

    /// The merchant or brand of this id.
    pub(crate) fn caller(&self, id: &str) -> Option<&Merchant> {
        self.merchant(id).or_else(|| self.brand(id))
    }

    pub(crate) fn brand(&self, brand_id: &str) -> Option<&Merchant> {
        self.brands.iter().find(|brand| brand.mchid == brand_id)
    }

    /// The platform certificates that are valid, the newest first.
    pub(crate) fn platforms(&self) -> Vec<Arc<Platform>> {
        self.platforms.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All keys that may have made a signature, to find out which one did.
    pub(crate) fn known(&self) -> Vec<Known> {
        let known = |whose, serial: &str, pem: &str, apiv3_key| {
            let key = explain::Key::from_pem(pem).ok()?;
            Some(Known { whose, serial: Some(serial.to_owned()), key, apiv3_key })
        };
        let callers = self.merchants().chain(&self.brands).map(|caller| {
            let (id, files) = (Some(caller.mchid.clone()), &caller.files);
            let whose = if caller.brand { Whose::Brand(id) } else { Whose::Merchant(id) };
            known(whose, &caller.serial_no, &files.certificate, Some(files.apiv3_key.clone()))
        });
        let platforms = self.platforms();
        let platforms = platforms.iter().map(|platform| (&platform.key.id, &platform.pem));
        let platforms = platforms.chain([(&self.public_key.id, &self.public_key_pem)]);
        callers.chain(platforms.map(|(id, pem)| known(Whose::Platform, id, pem, None))).flatten().collect()
    }

    /// Makes a new platform key and certificate, which sign from now on; the ones before stay valid beside them.
    pub(crate) fn rotate(&self, now: i64) -> Result<Arc<Platform>, String> {
        let (key, pem) = certified("Sandbox of WeChat Pay, platform", now)?;
        let platform = Arc::new(Platform::new(&key.serialize_pem(), pem)?);
        let mut platforms = self.platforms.write().unwrap_or_else(PoisonError::into_inner);
        platforms.insert(0, Arc::clone(&platform));
        platforms.truncate(SIDE_BY_SIDE);
        Ok(platform)
    }

    /// The credentials of each of these, in the same order.
    pub(crate) fn credentials<'a>(&'a self, of: &'a [Merchant]) -> impl Iterator<Item = Credentials> + 'a {
        of.iter().map(|merchant| self.credentials_of(merchant))
    }

    fn credentials_of(&self, merchant: &Merchant) -> Credentials {
        let newest = self.platforms().into_iter().next();
        Credentials {
            mchid: merchant.mchid.clone(),
            serial_no: merchant.serial_no.clone(),
            private_key_pem: merchant.files.private_key.clone(),
            certificate_pem: merchant.files.certificate.clone(),
            apiv3_key: merchant.files.apiv3_key.clone(),
            public_key_id: self.public_key.id.clone(),
            public_key_pem: self.public_key_pem.clone(),
            platform_certificate_pem: newest.as_ref().map(|platform| platform.pem.clone()).unwrap_or_default(),
            platform_serial: newest.as_ref().map(|platform| platform.key.id.clone()).unwrap_or_default(),
        }
    }

    /// Adds a merchant with fresh keys, for as long as the sandbox runs.
    ///
    /// # Errors
    /// The id is none, or taken; or there are too many.
    pub(crate) fn add(&self, mchid: &str, now: i64) -> Result<Credentials, String> {
        check_id("merchant", mchid)?;
        let taken = |what: &str| format!("there is a {what} {mchid} already");
        if let Some(caller) = self.caller(mchid) {
            return Err(taken(if caller.brand { "brand" } else { "merchant" }));
        }
        if self.later.iter().count() >= MOST_LATER {
            return Err(format!("{MOST_LATER} merchants were added already; start another sandbox"));
        }
        let (key, certificate) = certified(mchid, now)?;
        let files = MerchantFiles { private_key: key.serialize_pem(), certificate, apiv3_key: random_letters(32)? };
        let merchant = Merchant::from_files(mchid, false, files)?;
        let credentials = self.credentials_of(&merchant);
        if self.append(merchant) { Ok(credentials) } else { Err(taken("merchant")) }
    }

    /// Adds a merchant at the end of the list, unless there is one of this id by now.
    fn append(&self, merchant: Merchant) -> bool {
        let mut entry = Box::new((merchant, Later::default()));
        let mut end = &self.later;
        // Somebody else may add one at the same time, and the same one.
        while let Err(unset) = end.0.set(entry) {
            entry = unset;
            let Some((other, next)) = end.first() else { continue };
            if other.mchid == entry.0.mchid {
                return false;
            }
            end = next;
        }
        true
    }

    /// The merchants that joined while the sandbox ran, with their keys.
    pub(crate) fn joined(&self) -> Vec<Joined> {
        let joined = |merchant: &Merchant| Joined { mchid: merchant.mchid.clone(), files: merchant.files.clone() };
        self.later.iter().map(joined).collect()
    }

    /// Takes merchants in who joined a sandbox before; those that are here already stay, and so do others.
    ///
    /// # Errors
    /// A merchant is here with other keys, or its keys cannot be read, or there are too many; then none has joined.
    pub(crate) fn rejoin(&self, joined: Vec<Joined>) -> Result<(), String> {
        let mut new: Vec<Merchant> = Vec::new();
        for Joined { mchid, files } in joined {
            check_id("merchant", &mchid)?;
            match self.caller(&mchid) {
                Some(here) if here.brand => return Err(format!("merchant {mchid} of the snapshot is a brand here")),
                Some(here) if here.files == files => {}
                Some(_) => return Err(format!("merchant {mchid} has other keys here than in the snapshot")),
                None if new.iter().any(|other| other.mchid == mchid) => {
                    return Err(format!("the snapshot has merchant {mchid} twice"));
                }
                None => new.push(Merchant::from_files(&mchid, false, files)?),
            }
        }
        if self.later.iter().count() + new.len() > MOST_LATER {
            return Err(format!("with these, more than {MOST_LATER} merchants would have been added"));
        }
        match new.into_iter().find_map(|merchant| {
            let mchid = merchant.mchid.clone();
            (!self.append(merchant)).then_some(mchid)
        }) {
            None => Ok(()),
            Some(mchid) => Err(format!("merchant {mchid} joined at this moment; restore again")),
        }
    }

    /// Makes fresh keys, all at the same time: an RSA key takes a tenth of a second and more.
    pub(crate) fn generate(mchids: &[String], brand_ids: &[String], now: i64) -> Result<Self, String> {
        thread::scope(|scope| {
            let public = scope.spawn(key_pair);
            let platform = scope.spawn(|| certified("Sandbox of WeChat Pay, platform", now));
            let ids = mchids.iter().map(|mchid| (mchid, false)).chain(brand_ids.iter().map(|id| (id, true)));
            let callers: Vec<_> = ids
                .map(|(id, brand)| scope.spawn(move || certified(id, now).map(|certified| (id, brand, certified))))
                .collect();

            let public = join(public)?;
            let (platform_key, platform_pem) = join(platform)?;
            let first = mchids.first().map_or("", String::as_str);
            let id = public_key_id(first, now)?;
            let mut keys = Self::platform(id, &public.serialize_pem(), &platform_key.serialize_pem(), platform_pem)?;
            for caller in callers {
                let (id, brand, (key, certificate)) = join(caller)?;
                let apiv3_key = random_letters(32)?;
                let files = MerchantFiles { private_key: key.serialize_pem(), certificate, apiv3_key };
                keys.insert(Merchant::from_files(id, brand, files)?);
            }
            Ok(keys)
        })
    }

    fn insert(&mut self, caller: Merchant) {
        let list = if caller.brand { &mut self.brands } else { &mut self.merchants };
        list.push(caller);
    }

    fn platform(id: String, public_pem: &str, platform_pem: &str, certificate: String) -> Result<Self, Damaged> {
        let platform = Platform::new(platform_pem, certificate)?;
        Ok(Self {
            merchants: Vec::new(),
            brands: Vec::new(),
            later: Later::default(),
            public_key_pem: platform_key(file::PUBLIC_KEY_SECRET, public_pem)?.public_key_pem(),
            public_key: signing_key(file::PUBLIC_KEY_SECRET, id, public_pem)?,
            platforms: RwLock::new(vec![Arc::new(platform)]),
        })
    }
}

impl Merchant {
    fn from_files(mchid: &str, brand: bool, files: MerchantFiles) -> Result<Self, Damaged> {
        let whose = format!("{} {mchid}", if brand { "brand" } else { "merchant" });
        let of_certificate =
            |what: &str| Damaged::new(file::MERCHANT_CERTIFICATE, format!("the certificate of {whose}{what}"));
        let of_key = |what: &str| Damaged::new(file::MERCHANT_KEY, format!("the private key of {whose}{what}"));
        let certificate =
            Certificate::from_pem(&files.certificate).map_err(|error| of_certificate(&format!(": {error}")))?;
        let key = KeyPair::from_pem(&files.private_key).map_err(|error| of_key(&format!(": {error}")))?;
        let spki = key.subject_public_key_info();
        if spki != certificate.spki_der() {
            return Err(of_certificate(" is for another key than its private key"));
        }
        let verifying = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &spki)
            .map_err(|_| of_key(" is no RSA key of 2048 bits or more"))?;
        let sealing = UnboundKey::new(&AES_256_GCM, files.apiv3_key.as_bytes())
            .map_err(|_| Damaged::new(file::DESCRIPTION, format!("the APIv3 key of {whose} is not 32 bytes long")))?;
        Ok(Self {
            mchid: mchid.to_owned(),
            brand,
            serial_no: certificate.serial().to_owned(),
            verifying,
            sealing: LessSafeKey::new(sealing),
            files,
        })
    }
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T, String>>) -> Result<T, String> {
    thread.join().unwrap_or_else(|_| Err("a thread that made keys has failed".to_owned()))
}

fn key_pair() -> Result<KeyPair, String> {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(|error| format!("no RSA key: {error}"))
}

/// A key with a certificate that lasts five years.
fn certified(name: &str, now: i64) -> Result<(KeyPair, String), String> {
    let explain = |error: rcgen::Error| format!("no certificate for {name}: {error}");
    let mut serial = random_bytes::<20>()?;
    // Twenty bytes exactly: the number is positive and does not begin with zeroes.
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x3F | 0x40;
    }
    let begin = OffsetDateTime::from_unix_timestamp(now).map_err(|error| error.to_string())?;
    let mut params = CertificateParams::new(Vec::new()).map_err(explain)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = begin.saturating_sub(Duration::days(1)).max(OffsetDateTime::UNIX_EPOCH);
    params.not_after = begin.saturating_add(Duration::days(5 * 365));
    let key = key_pair()?;
    let certificate = params.self_signed(&key).map_err(explain)?;
    Ok((key, certificate.pem()))
}

/// A private key of the platform; the file is where it is kept.
fn platform_key(file: &'static str, pem: &str) -> Result<KeyPair, Damaged> {
    KeyPair::from_pem(pem).map_err(|error| Damaged::new(file, format!("the platform's private key: {error}")))
}

fn signing_key(file: &'static str, id: String, private_pem: &str) -> Result<SigningKey, Damaged> {
    let pair = platform_key(file, private_pem)?;
    let key = RsaKeyPair::from_pkcs8(pair.serialized_der())
        .map_err(|error| Damaged::new(file, format!("the platform's private key: {error}")))?;
    Ok(SigningKey { id, key, private_pem: private_pem.to_owned() })
}

/// `PUB_KEY_ID_01`, the merchant id, the day, and eight digits.
fn public_key_id(mchid: &str, now: i64) -> Result<String, String> {
    let day = OffsetDateTime::from_unix_timestamp(now).map_err(|error| error.to_string())?.date();
    let number = u32::from_be_bytes(random_bytes()?) % 100_000_000;
    Ok(format!("PUB_KEY_ID_01{mchid}{:04}{:02}{:02}{number:08}", day.year(), u8::from(day.month()), day.day()))
}

fn random_bytes<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| "the system has no randomness to give".to_owned())?;
    Ok(bytes)
}

fn random_letters(count: usize) -> Result<String, String> {
    let mut letters = String::with_capacity(count);
    while letters.len() < count {
        let [byte] = random_bytes()?;
        let letter = char::from(byte & 0x7F);
        if letter.is_ascii_alphanumeric() {
            letters.push(letter);
        }
    }
    Ok(letters)
}

/// The names of the files in a directory of keys.
mod file {
    pub(super) const MERCHANT_KEY: &str = "apiclient_key.pem";
    pub(super) const MERCHANT_CERTIFICATE: &str = "apiclient_cert.pem";
    pub(super) const PUBLIC_KEY: &str = "pub_key.pem";
    pub(super) const PLATFORM_CERTIFICATE: &str = "platform_cert.pem";
    pub(super) const AUTHORITY: &str = "ca.pem";
    /// What only the server side knows.
    pub(super) const PUBLIC_KEY_SECRET: &str = "server/pub_key_private.pem";
    pub(super) const PLATFORM_SECRET: &str = "server/platform_key.pem";
    pub(super) const AUTHORITY_SECRET: &str = "server/ca_key.pem";
    pub(super) const HOWTO: &str = "HOWTO.md";
    pub(super) const FIRST_CALLS: &str = "first/";
    pub(super) const DESCRIPTION: &str = "sandbox.json";
    pub(super) const ENVIRONMENT: &str = "sandbox.env";
}

/// What is wrong with one of the texts that make keys. Its value is not repeated.
struct Damaged {
    /// The file that holds it in a directory of keys.
    file: &'static str,
    problem: String,
}

impl Damaged {
    fn new(file: &'static str, problem: String) -> Self {
        Self { file, problem }
    }

    /// The same of a directory, where the files of the caller stand in this place.
    fn at(self, directory: &Path, place: &str) -> String {
        let place = if self.file == file::DESCRIPTION { "" } else { place };
        unusable(directory, &format!("{place}{}", self.file), self.problem)
    }
}

impl From<Damaged> for String {
    fn from(damaged: Damaged) -> Self {
        damaged.problem
    }
}

/// Why a file of a directory of keys is of no use, and what to do.
fn unusable(directory: &Path, name: &str, problem: impl fmt::Display) -> String {
    let (path, description) = (directory.join(name), directory.join(file::DESCRIPTION));
    format!("{}: {problem}; remove {} for fresh keys", path.display(), description.display())
}

/// `sandbox.json`, where it is read: what is written is the ready line with the merchants.
#[derive(Deserialize)]
struct Description {
    public_key_id: String,
    /// The first is the one whose files stand in the directory itself; those of the others stand in `merchants/<mchid>`.
    merchants: Vec<MerchantDescription>,
    /// Their files stand in `brands/<brand id>`.
    #[serde(default)]
    brands: Vec<MerchantDescription>,
}

#[derive(Serialize, Deserialize)]
struct MerchantDescription {
    mchid: String,
    #[serde(default)]
    serial_no: String,
    apiv3_key: String,
}

impl Keys {
    /// Takes the keys of a directory; `None` if it holds none.
    pub(crate) fn load(directory: &Path) -> Result<Option<Self>, String> {
        let path = directory.join(file::DESCRIPTION);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let explain = |error: String| format!("{}: {error}; remove the file for fresh keys", path.display());
        let description: Description = serde_json::from_str(&text).map_err(|error| explain(error.to_string()))?;
        let Description { merchants, brands, .. } = &description;
        let (merchants, brands) = (merchants.iter().map(|it| &it.mchid), brands.iter().map(|it| &it.mchid));
        check_ids(merchants, brands).map_err(explain)?;
        let mut keys = Self::platform(
            description.public_key_id,
            &read(directory, file::PUBLIC_KEY_SECRET)?,
            &read(directory, file::PLATFORM_SECRET)?,
            read(directory, file::PLATFORM_CERTIFICATE)?,
        )
        .map_err(|damaged| damaged.at(directory, ""))?;
        let merchants = description.merchants.into_iter().enumerate().map(|(index, merchant)| (Some(index), merchant));
        for (index, merchant) in merchants.chain(description.brands.into_iter().map(|brand| (None, brand))) {
            let place = caller_directory(index, &merchant.mchid);
            let files = MerchantFiles {
                private_key: read(directory, &format!("{place}{}", file::MERCHANT_KEY))?,
                certificate: read(directory, &format!("{place}{}", file::MERCHANT_CERTIFICATE))?,
                apiv3_key: merchant.apiv3_key,
            };
            let merchant = Merchant::from_files(&merchant.mchid, index.is_none(), files);
            keys.insert(merchant.map_err(|damaged| damaged.at(directory, &place))?);
        }
        Ok(Some(keys))
    }

    /// The certificate authority of a directory; `None` if it holds none, as those of earlier versions.
    pub(crate) fn load_authority(directory: &Path) -> Result<Option<Authority>, String> {
        if !directory.join(file::DESCRIPTION).exists() || !directory.join(file::AUTHORITY).exists() {
            return Ok(None);
        }
        let (certificate, key) = (read(directory, file::AUTHORITY)?, read(directory, file::AUTHORITY_SECRET)?);
        let place = directory.join(file::AUTHORITY);
        let explain = |error| format!("{}: {error}; remove the file for a fresh one", place.display());
        Authority::kept(certificate, key).map(Some).map_err(explain)
    }

    /// Writes everything that a client needs, and what the next run needs to have the same keys.
    pub(crate) fn save(&self, directory: &Path, mut ready: Value, authority: &Authority) -> Result<(), String> {
        let directory = &std::path::absolute(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        write(directory, file::AUTHORITY, &authority.certificate_pem)?;
        write(directory, file::AUTHORITY_SECRET, &authority.private_pem)?;
        write(directory, file::PUBLIC_KEY, &self.public_key_pem)?;
        let platforms = self.platforms();
        let newest = platforms.first().ok_or("there is no platform certificate")?;
        write(directory, file::PLATFORM_CERTIFICATE, &newest.pem)?;
        write(directory, file::PUBLIC_KEY_SECRET, &self.public_key.private_pem)?;
        write(directory, file::PLATFORM_SECRET, &newest.key.private_pem)?;
        let merchants =
            self.merchants.iter().enumerate().map(|(index, merchant)| merchant.save(directory, Some(index)));
        let merchants = merchants.collect::<Result<Vec<_>, _>>()?;
        let brands = self.brands.iter().map(|brand| brand.save(directory, None)).collect::<Result<Vec<_>, _>>()?;
        let url = |name: &str| ready.get(name).and_then(Value::as_str).unwrap_or_default();
        let merchants_in_order = self.merchants.iter().enumerate().map(|(index, merchant)| (Some(index), merchant));
        for (index, caller) in merchants_in_order.chain(self.brands.iter().map(|brand| (None, brand))) {
            let place = caller_directory(index, &caller.mchid);
            let text = self.environment(directory, url("base_url"), caller, &place);
            write(directory, &format!("{place}{}", file::ENVIRONMENT), &text)?;
        }
        write(directory, file::HOWTO, &howto::text(directory, &ready))?;
        for (name, program) in howto::FIRST_CALLS {
            write(directory, &format!("{}{name}", file::FIRST_CALLS), program)?;
        }
        if let Some(fields) = ready.as_object_mut() {
            fields.insert("dir".to_owned(), json!(directory));
            fields.insert("merchants".to_owned(), json!(merchants));
            fields.insert("brands".to_owned(), json!(brands));
        }
        let json = serde_json::to_string_pretty(&ready).map_err(|error| error.to_string())?;
        // Last, because its presence says that the directory is complete.
        write(directory, file::DESCRIPTION, &(json + "\n"))
    }

    /// Lines for a shell that configure the command and, where their `#` is taken away, other clients. What is not the
    /// caller's is empty, for shells that have read the lines of another.
    fn environment(&self, directory: &Path, base_url: &str, caller: &Merchant, place: &str) -> String {
        let path = |name: &str| directory.join(name).display().to_string();
        let own = |of_brand: bool, text: &str| if caller.brand == of_brand { text.to_owned() } else { String::new() };
        let mut lines = vec![
            ("BASE_URL", base_url.to_owned()),
            ("MCHID", own(false, &caller.mchid)),
            ("SERIAL_NO", caller.serial_no.clone()),
            ("PRIVATE_KEY", path(&format!("{place}{}", file::MERCHANT_KEY))),
            ("APIV3_KEY", caller.files.apiv3_key.clone()),
            ("PUBLIC_KEY_ID", self.public_key.id.clone()),
            ("PUBLIC_KEY", path(file::PUBLIC_KEY)),
            // A brand has the public key and no certificates.
            ("PLATFORM_CERT", own(false, &path(file::PLATFORM_CERTIFICATE))),
        ];
        if !self.brands.is_empty() {
            lines.push(("BRAND", own(true, &caller.mchid)));
        }
        let mut text: String =
            lines.iter().map(|(name, value)| format!("WECHATPAY_{name}={}\n", howto::quoted(value))).collect();
        text +=
            "# For clients that have the official host written into them: go by the proxy, and trust its authority.\n";
        let authority = path(file::AUTHORITY);
        for (name, value) in [
            ("HTTPS_PROXY", base_url),
            ("NO_PROXY", "localhost,127.0.0.1,::1"),
            ("SSL_CERT_FILE", &authority),
            ("REQUESTS_CA_BUNDLE", &authority),
            ("NODE_EXTRA_CA_CERTS", &authority),
        ] {
            text += &format!("# {name}={}\n", howto::quoted(value));
        }
        text
    }
}

impl Merchant {
    /// Writes its files: those of the merchant of this index, or of a brand.
    fn save(&self, directory: &Path, index: Option<usize>) -> Result<MerchantDescription, String> {
        let place = caller_directory(index, &self.mchid);
        write(directory, &format!("{place}{}", file::MERCHANT_KEY), &self.files.private_key)?;
        write(directory, &format!("{place}{}", file::MERCHANT_CERTIFICATE), &self.files.certificate)?;
        let (mchid, serial_no) = (self.mchid.clone(), self.serial_no.clone());
        Ok(MerchantDescription { mchid, serial_no, apiv3_key: self.files.apiv3_key.clone() })
    }
}

/// Where the files of the merchant of this index are, or of a brand.
fn caller_directory(index: Option<usize>, id: &str) -> String {
    match index {
        Some(0) => String::new(),
        Some(_) => format!("merchants/{id}/"),
        None => format!("brands/{id}/"),
    }
}

fn read(directory: &Path, name: &str) -> Result<String, String> {
    std::fs::read_to_string(directory.join(name)).map_err(|error| unusable(directory, name, error))
}

/// Writes a file that only its owner may read, unless it holds that text already. Until all of it is written, what was
/// there before is there.
fn write(directory: &Path, name: &str, text: &str) -> Result<(), String> {
    let path = directory.join(name);
    if std::fs::read(&path).is_ok_and(|kept| kept == text.as_bytes()) {
        return Ok(());
    }
    let new = directory.join(format!("{name}.new"));
    let explain = |error: io::Error| format!("{}: {error}", path.display());
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(explain)?;
    }
    // What an earlier attempt left behind; if it cannot be removed, that is said by what follows.
    let _ = std::fs::remove_file(&new);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&new).and_then(|mut opened| io::Write::write_all(&mut opened, text.as_bytes()));
    written.and_then(|()| std::fs::rename(&new, &path)).map_err(explain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    /// A file is as it was, or new: at no time is it half of either.
    #[test]
    fn a_file_is_left_alone_or_replaced() {
        let directory = std::env::temp_dir().join(format!("wechatpay-sandbox-keys-{}", std::process::id()));
        let (place, other) = (directory.join("server/a.pem"), directory.join("other.pem"));
        let read = |place: &Path| std::fs::read_to_string(place).unwrap();
        let _ = std::fs::remove_dir_all(&directory);
        write(&directory, "server/a.pem", "one").unwrap();
        std::fs::hard_link(&place, &other).unwrap();
        let old = SystemTime::now() - Duration::from_secs(3600);
        std::fs::File::options().write(true).open(&place).unwrap().set_modified(old).unwrap();
        let modified = || std::fs::metadata(&place).unwrap().modified().unwrap();
        let before = modified();
        write(&directory, "server/a.pem", "one").unwrap();
        assert_eq!((read(&place).as_str(), modified()), ("one", before), "nothing was written");

        write(&directory, "server/a.pem", "another").unwrap();
        assert_eq!((read(&place).as_str(), read(&other).as_str()), ("another", "one"), "what was there is not touched");
        // What cannot be written leaves what is there; what an earlier attempt left behind does no harm.
        std::fs::write(directory.join("server/a.pem.new"), "half").unwrap();
        write(&directory, "server/a.pem", "third").unwrap();
        std::fs::create_dir(directory.join("server/a.pem.new")).unwrap();
        let error = write(&directory, "server/a.pem", "fourth").unwrap_err();
        assert!(error.contains("a.pem") && read(&place) == "third", "{error}");
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&place).unwrap()) & 0o777, 0o600);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
