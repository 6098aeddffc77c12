//! Who calls: flags win over the environment, and that over a TOML file.

use crate::args;
use crate::catalog::nearest;
use crate::output::{Failure, Result};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use time::OffsetDateTime;
use wechatpay_protocol::crypto::{Certificate, aws_lc};
use wechatpay_protocol::{BaseUrl, Brand, Certificates, Identity, Merchant, Stamper, SystemStamper, Trust, Verifier};
use wechatpay_sandbox::explain::{Key, Known, Whose};
use zeroize::Zeroizing;

/// Names in a TOML file. A flag has dashes in place of underscores, the environment `WECHATPAY_` and upper case.
const KEYS: [&str; 9] = [
    "base_url",
    "mchid",
    "brand",
    "serial_no",
    "private_key",
    "apiv3_key",
    "public_key_id",
    "public_key",
    "platform_cert",
];

/// Most bytes of a file that may be a key or a configuration.
const LIMIT: u64 = 1 << 20;

/// Most bytes of a path that is repeated although nothing is there: a longer one may be a key.
const LONGEST: usize = 200;

/// Everything that a signed call needs.
pub(crate) struct Account {
    pub(crate) base: BaseUrl,
    pub(crate) identity: Identity<aws_lc::Signer>,
    pub(crate) trust: Arc<dyn Verifier>,
    /// Whether nobody is trusted before the platform certificates have been downloaded.
    pub(crate) downloads: bool,
}

impl Account {
    /// The account that flags, environment and file describe.
    pub(crate) fn load(args: &args::Account) -> Result<Self> {
        let mut reader = Reader::new(args, &|name| std::env::var_os(name));
        let sender = reader.sender();
        let key = reader.apiv3_key();
        let trust = reader.trust(key);
        let downloads = !reader.has_trust();
        reader.finish(sender.zip(trust).map(|((base, identity), trust)| Self { base, identity, trust, downloads }))
    }

    /// The account, and the certificates that it is going to download: those alone, not the configured ones.
    pub(crate) fn load_with_certificates(args: &args::Account) -> Result<(Self, Arc<Certificates>)> {
        let mut reader = Reader::new(args, &|name| std::env::var_os(name));
        let sender = reader.sender();
        let key = reader.required_apiv3_key();
        reader.may_download();
        let public_key = if reader.has_public_key() { reader.public_key() } else { None };
        let certificates = key.map(|key| {
            let certificates = downloaded(key);
            Arc::new(match public_key {
                Some((id, key)) => certificates.with_public_key(id, key),
                None => certificates,
            })
        });
        reader.finish(sender.zip(certificates).map(|((base, identity), certificates)| {
            let trust = Arc::clone(&certificates) as Arc<dyn Verifier>;
            (Self { base, identity, trust, downloads: false }, certificates)
        }))
    }
}

/// Everything that a notification needs to be read.
pub(crate) struct Addressee {
    pub(crate) key: Arc<aws_lc::ApiV3Key>,
    pub(crate) trust: Arc<dyn Verifier>,
    /// The account that downloads the certificates into `trust`, where they are not configured.
    pub(crate) downloads: Option<Account>,
}

impl Addressee {
    /// The addressee that flags, environment and file describe, of a notification that is judged at `now`, in Unix seconds.
    pub(crate) fn load(args: &args::Account, now: i64) -> Result<Self> {
        let mut reader = Reader::new(args, &|name| std::env::var_os(name));
        reader.now = now;
        let key = reader.required_apiv3_key();
        let trust = reader.trust(key.clone());
        let sender = if reader.has_trust() { None } else { reader.sender() };
        let addressee = key.zip(trust).map(|(key, trust)| {
            let account = |(base, identity)| Account { base, identity, trust: Arc::clone(&trust), downloads: true };
            Self { key, downloads: sender.map(account), trust }
        });
        reader.finish(addressee)
    }
}

/// The keys that flags, environment and file name, to find out which of them made a signature; and the one that signs.
pub(crate) fn known(args: &args::Account) -> Result<(Vec<Known>, Option<aws_lc::Signer>)> {
    let mut reader = Reader::new(args, &|name| std::env::var_os(name));
    let (mut known, mut signer) = (Vec::new(), None);
    let named = |found: Option<(String, Origin)>| found.map(|(text, _)| text);
    if let Some((path, origin)) = reader.optional("private_key") {
        let whose = match reader.caller() {
            Some(Caller::Brand(id)) => Whose::Brand(Some(id)),
            Some(Caller::Merchant(id)) => Whose::Merchant(Some(id)),
            None => Whose::Merchant(None),
        };
        let serial = named(reader.optional("serial_no"));
        let key = reader.load(&path, &origin, Key::from_pem);
        if let Some(key) = key {
            known.push(Known { whose, serial, key, apiv3_key: None });
            signer = reader.load(&path, &origin, aws_lc::Signer::from_pem);
        }
    }
    let public_key = reader.optional("public_key").map(|(path, origin)| (PathBuf::from(path), origin));
    for (path, origin) in reader.certificates().into_iter().chain(public_key) {
        let loaded = reader.load(&path, &origin, |text| Key::from_pem(text).map(|key| (certificate_serial(text), key)));
        known.extend(loaded.map(|(serial, key)| {
            let serial = serial.or_else(|| named(reader.optional("public_key_id")));
            Known { whose: Whose::Platform, serial, key, apiv3_key: None }
        }));
    }
    reader.finish(Some((known, signer)))
}

/// The serial number, if the text is a certificate.
pub(crate) fn certificate_serial(text: &str) -> Option<String> {
    Certificate::from_pem(text).ok().map(|certificate| certificate.serial().to_owned())
}

/// The certificates that an APIv3 key opens; none yet.
fn downloaded(key: Arc<aws_lc::ApiV3Key>) -> Certificates {
    Certificates::new(key, aws_lc::VerifyingKey::from_certificate)
}

/// What a dry run needs: where the request would go, and who would send it.
pub(crate) fn sender(args: &args::Account) -> Result<(BaseUrl, Caller)> {
    let mut reader = Reader::new(args, &|name| std::env::var_os(name));
    let base = reader.base_url();
    let sender = base.zip(reader.required_caller());
    reader.finish(sender)
}

/// Who calls: a merchant, or a brand in its own name.
pub(crate) enum Caller {
    Merchant(String),
    Brand(String),
}

impl Caller {
    pub(crate) fn into_id(self) -> String {
        match self {
            Self::Merchant(id) | Self::Brand(id) => id,
        }
    }
}

/// A setting and where it was found.
struct Found {
    text: Zeroizing<String>,
    origin: Origin,
}

#[derive(Clone)]
enum Origin {
    Flag(&'static str),
    Environment(&'static str),
    File(&'static str, PathBuf),
}

impl Origin {
    /// What wins over what: the higher.
    const fn rank(&self) -> u8 {
        match self {
            Self::Flag(_) => 2,
            Self::Environment(_) => 1,
            Self::File(..) => 0,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(key) => f.write_str(&flag(key)),
            Self::Environment(key) => f.write_str(&variable(key)),
            Self::File(key, file) => write!(f, "`{key}` in {}", file.display()),
        }
    }
}

impl Origin {
    /// A path as it was meant: in a file, beside that file.
    fn resolve(&self, path: &Path) -> PathBuf {
        match self {
            Self::File(_, file) => file.parent().map_or_else(|| path.to_owned(), |directory| directory.join(path)),
            _ => path.to_owned(),
        }
    }
}

fn flag(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
}

fn variable(key: &str) -> String {
    format!("WECHATPAY_{}", key.to_uppercase())
}

/// Collects settings, and everything that is wrong with them.
struct Reader {
    found: BTreeMap<&'static str, Found>,
    problems: Vec<String>,
    /// Unix seconds at which answers are judged.
    now: i64,
}

impl Reader {
    fn new(args: &args::Account, environment: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let mut reader = Self { found: BTreeMap::new(), problems: Vec::new(), now: SystemStamper.now() };
        if let Some(file) = &args.config
            && let Err(problem) = reader.file(file)
        {
            reader.problems.push(format!("--config: {problem}"));
        }
        for key in KEYS {
            match environment(&variable(key)).map(OsString::into_string) {
                Some(Ok(text)) => reader.keep(key, text, Origin::Environment(key)),
                Some(Err(_)) => reader.problems.push(format!("{}: is not UTF-8", variable(key))),
                None => {}
            }
        }
        let flags = [
            ("base_url", &args.base_url),
            ("mchid", &args.mchid),
            ("brand", &args.brand),
            ("serial_no", &args.serial_no),
            ("private_key", &args.private_key),
            ("public_key_id", &args.public_key_id),
            ("public_key", &args.public_key),
            ("platform_cert", &args.platform_cert),
        ];
        for (key, value) in flags {
            if let Some(text) = value {
                reader.keep(key, text.clone(), Origin::Flag(key));
            }
        }
        reader
    }

    /// Sets it, unless it is empty: that is what somebody meant to unset.
    fn keep(&mut self, key: &'static str, text: String, origin: Origin) {
        if !text.is_empty() {
            self.found.insert(key, Found { text: Zeroizing::new(text), origin });
        }
    }

    /// Reads a TOML file. Messages name lines and keys and never repeat a value: one of them is a secret.
    fn file(&mut self, file: &Path) -> std::result::Result<(), String> {
        let table: toml::Table = read_file(file, |text| {
            toml::from_str(text).map_err(|error: toml::de::Error| {
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
                format!("line {line}, column {column}: no valid TOML: {}", error.message())
            })
        })?;
        for (name, value) in table {
            let plain = name.strip_prefix("WECHATPAY_").map_or_else(|| name.clone(), str::to_lowercase);
            let Some(key) = KEYS.into_iter().find(|key| *key == plain) else {
                let near = nearest(&plain, KEYS.into_iter());
                let known = near.first().map_or_else(|| KEYS.join(", "), |near| format!("did you mean {near}?"));
                self.problems.push(format!("--config: {}: `{name}` is no setting; {known}", file.display()));
                continue;
            };
            match value {
                toml::Value::String(text) => self.keep(key, text, Origin::File(key, file.to_owned())),
                _ => self.problems.push(format!("--config: {}: `{name}` must be a text in quotes", file.display())),
            }
        }
        Ok(())
    }

    /// The setting of this key; a missing one is a problem, which says how to set it.
    fn required(&mut self, key: &'static str, what: &str) -> Option<(String, Origin)> {
        let found = self.optional(key);
        if found.is_none() {
            let (flag, variable) = (flag(key), variable(key));
            self.problems.push(format!("{what} is missing: set {flag}, {variable}, or `{key}` in the --config file"));
        }
        found
    }

    fn optional(&self, key: &str) -> Option<(String, Origin)> {
        self.found.get(key).map(|found| (found.text.as_str().to_owned(), found.origin.clone()))
    }

    /// What was read, unless something is wrong.
    fn finish<T>(self, value: Option<T>) -> Result<T> {
        value.filter(|_| self.problems.is_empty()).ok_or(Failure::Config(self.problems))
    }

    /// Where calls go, and who makes them.
    fn sender(&mut self) -> Option<(BaseUrl, Identity<aws_lc::Signer>)> {
        let base = self.base_url();
        base.zip(self.identity())
    }

    fn base_url(&mut self) -> Option<BaseUrl> {
        let Some((text, origin)) = self.optional("base_url") else { return Some(BaseUrl::official()) };
        if text.contains('@') {
            // What stands before it may be a password.
            self.problems
                .push(format!("{origin}: a base URL names no user; write it like https://api.mch.weixin.qq.com"));
            return None;
        }
        BaseUrl::parse(&text).map_err(|problem| self.problems.push(format!("{origin}: {problem}"))).ok()
    }

    /// Who calls, if that is said: of a merchant and a brand, the one that is said where it wins.
    fn caller(&mut self) -> Option<Caller> {
        let (mchid, brand) = (self.optional("mchid"), self.optional("brand"));
        let by_brand = self.by_brand();
        if let (Some((_, one)), Some((_, other))) = (&mchid, &brand)
            && one.rank() == other.rank()
        {
            self.problems.push(format!("{one} and {other}: a merchant calls, or a brand; leave one of them out"));
            return None;
        }
        let (text, origin) = if by_brand { brand? } else { mchid? };
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            let kind = if by_brand {
                "brand id is digits, such as 120344"
            } else {
                "merchant id is digits, such as 1900000001"
            };
            self.problems.push(format!("{origin}: a {kind}"));
            return None;
        }
        Some(if by_brand { Caller::Brand(text) } else { Caller::Merchant(text) })
    }

    /// Whether a brand is said where it wins over a merchant.
    fn by_brand(&self) -> bool {
        let rank = |key| self.found.get(key).map(|found| found.origin.rank());
        rank("brand") > rank("mchid")
    }

    fn required_caller(&mut self) -> Option<Caller> {
        if self.found.contains_key("brand") {
            return self.caller();
        }
        self.required("mchid", "the merchant id")?;
        self.caller()
    }

    fn identity(&mut self) -> Option<Identity<aws_lc::Signer>> {
        let caller = self.required_caller();
        let whose = if matches!(caller, Some(Caller::Brand(_))) { "brand" } else { "merchant" };
        let serial = self.serial_no(whose);
        let signer = self
            .required("private_key", &format!("the {whose}'s private key file"))
            .and_then(|(path, origin)| self.load(&path, &origin, aws_lc::Signer::from_pem));
        Some(match caller? {
            Caller::Merchant(id) => Merchant::new(id, serial?, signer?).into(),
            Caller::Brand(id) => Brand::new(id, serial?, signer?).into(),
        })
    }

    fn serial_no(&mut self, whose: &str) -> Option<String> {
        let what = format!("the serial number of the {whose}'s certificate");
        let (text, origin) = self.required("serial_no", &what)?;
        if text.is_empty() || text.len() > 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let advice = "take it from `openssl x509 -in apiclient_cert.pem -noout -serial`";
            self.problems.push(format!("{origin}: a serial number is hex digits without colons; {advice}"));
            return None;
        }
        Some(text.to_ascii_uppercase())
    }

    fn has_public_key(&self) -> bool {
        self.found.contains_key("public_key_id") || self.found.contains_key("public_key")
    }

    fn has_trust(&self) -> bool {
        self.has_public_key() || self.found.contains_key("platform_cert")
    }

    /// What is configured to be trusted; where that is nothing, what the APIv3 key opens.
    fn trust(&mut self, key: Option<Arc<aws_lc::ApiV3Key>>) -> Option<Arc<dyn Verifier>> {
        if self.has_trust() {
            return Some(Arc::new(self.fixed_trust()));
        }
        if !self.may_download() {
            return None;
        }
        if key.is_none() && !self.found.contains_key("apiv3_key") {
            self.problems.push(
                "nothing to verify answers with: set --public-key-id and --public-key (WECHATPAY_PUBLIC_KEY_ID and \
                 WECHATPAY_PUBLIC_KEY), or --platform-cert (WECHATPAY_PLATFORM_CERT), or WECHATPAY_APIV3_KEY to have \
                 platform certificates downloaded"
                    .to_owned(),
            );
        }
        key.map(|key| Arc::new(downloaded(key)) as Arc<dyn Verifier>)
    }

    /// Whether there can be certificates to download. That there are none for a brand is a problem.
    fn may_download(&mut self) -> bool {
        let by_brand = self.by_brand();
        if by_brand {
            let advice = "set --public-key-id and --public-key (WECHATPAY_PUBLIC_KEY_ID and WECHATPAY_PUBLIC_KEY)";
            self.problems.push(format!("brands have no platform certificates: {advice}"));
        }
        !by_brand
    }

    fn fixed_trust(&mut self) -> Trust {
        let mut trust = Trust::new();
        if self.has_public_key()
            && let Some((id, key)) = self.public_key()
        {
            trust = trust.with_public_key(id, key);
        }
        for (path, origin) in self.certificates() {
            let now = self.now;
            let loaded = self.load(&path, &origin, |text| {
                let certificate = Certificate::from_pem(text).map_err(|error| error.to_string())?;
                let key = aws_lc::VerifyingKey::from_certificate(&certificate).map_err(|error| error.to_string())?;
                match certificate.not_after() {
                    end if end < now => Err(ended(end)),
                    _ => Ok((certificate.serial().to_owned(), key)),
                }
            });
            if let Some((serial, key)) = loaded {
                trust = trust.with_certificate(serial, key);
            }
        }
        trust
    }

    /// The files of the platform certificates, and where they are named.
    fn certificates(&mut self) -> Vec<(PathBuf, Origin)> {
        let Some((text, origin)) = self.optional("platform_cert") else { return Vec::new() };
        // What is no list of paths is not to be taken apart at its colons.
        if has_lines(&text) {
            return vec![(text.into(), origin)];
        }
        let paths: Vec<_> = std::env::split_paths(&text).filter(|path| !path.as_os_str().is_empty()).collect();
        if paths.is_empty() {
            self.problems.push(format!("{origin}: names no file"));
        }
        paths.into_iter().map(|path| (path, origin.clone())).collect()
    }

    fn public_key(&mut self) -> Option<(String, aws_lc::VerifyingKey)> {
        let id = self.public_key_id();
        let key = self
            .required("public_key", "WeChat Pay's public key file, to go with its id,")
            .and_then(|(path, origin)| self.load(&path, &origin, aws_lc::VerifyingKey::from_public_key_pem));
        id.zip(key)
    }

    fn public_key_id(&mut self) -> Option<String> {
        let (text, origin) =
            self.required("public_key_id", "the id of WeChat Pay's public key, to go with its file,")?;
        let digits = text.strip_prefix("PUB_KEY_ID_").filter(|digits| !digits.is_empty());
        if !digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())) {
            self.problems.push(format!("{origin}: the id of a public key is PUB_KEY_ID_ and digits"));
            return None;
        }
        Some(text)
    }

    /// Where a command does not need it, a wrong one is better known before one does.
    fn apiv3_key(&mut self) -> Option<Arc<aws_lc::ApiV3Key>> {
        let found = self.found.get("apiv3_key")?;
        match aws_lc::ApiV3Key::new(found.text.as_bytes()) {
            Ok(key) => Some(Arc::new(key)),
            Err(error) => {
                self.problems.push(format!("{}: {error}", found.origin));
                None
            }
        }
    }

    fn required_apiv3_key(&mut self) -> Option<Arc<aws_lc::ApiV3Key>> {
        if !self.found.contains_key("apiv3_key") {
            let variable = variable("apiv3_key");
            self.problems
                .push(format!("the APIv3 key is missing: set {variable}, or `apiv3_key` in the --config file"));
        }
        self.apiv3_key()
    }

    fn load<T, E: fmt::Display>(
        &mut self,
        path: impl AsRef<Path>,
        origin: &Origin,
        read: impl FnOnce(&str) -> std::result::Result<T, E>,
    ) -> Option<T> {
        let path = origin.resolve(path.as_ref());
        let loaded = read_file(&path, read).map_err(|problem| self.problems.push(format!("{origin}: {problem}")));
        loaded.ok()
    }
}

/// What a file of keys or settings holds. A mistake is told with the path, unless that is a key itself.
pub(crate) fn read_file<T, E: fmt::Display>(
    path: &Path,
    read: impl FnOnce(&str) -> std::result::Result<T, E>,
) -> std::result::Result<T, String> {
    let shown = path.to_string_lossy();
    if has_lines(&shown) || ((shown.len() > LONGEST || may_be_apiv3_key(path)) && !path.exists()) {
        return Err("holds a key or another text; give the path of its file".to_owned());
    }
    let named = |problem: String| format!("{shown}: {problem}");
    let text = read_text(path).map_err(named)?;
    read(&text).map_err(|error| named(error.to_string()))
}

/// What is wrong with a platform certificate that ended then, in Unix seconds.
fn ended(end: i64) -> String {
    let date = OffsetDateTime::from_unix_timestamp(end).map(|time| time.date().to_string()).unwrap_or_default();
    format!("the certificate ended on {date}; download the present ones: wechatpay certs download --dir DIR")
}

/// Whether this is the text of a key, and so no path.
fn has_lines(text: &str) -> bool {
    text.contains("-----BEGIN") || text.contains(['\n', '\r'])
}

/// Whether this may be an APIv3 key: 32 letters and digits.
fn may_be_apiv3_key(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.len() == 32 && name.iter().all(u8::is_ascii_alphanumeric)
}

fn read_text(path: &Path) -> std::result::Result<Zeroizing<String>, String> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > LIMIT {
        return Err(format!("is larger than {LIMIT} bytes; it is another file than the one meant"));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => {
            Err("is not text; a key or certificate in DER form becomes PEM with openssl's -outform PEM".to_owned())
        }
    }
}
