//! TLS in the name of the official hosts, under a certificate authority of the sandbox's own.
//!
//! The authority may vouch for these names and for this machine only, so that whoever trusts it for a test has not
//! opened the door to anything else.

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData,
};
use std::sync::Arc;
use time::{Duration, OffsetDateTime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use wechatpay_protocol::crypto::Certificate;

/// The hosts that the sandbox stands in for: the API, its backup, and where records of a day are downloaded.
pub(crate) const OFFICIAL_HOSTS: [&str; 3] =
    ["api.mch.weixin.qq.com", "api2.mch.weixin.qq.com", "download-service.wechatpay.cn"];

/// How this machine is called beside them.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A certificate authority and its key.
pub(crate) struct Authority {
    pub(crate) certificate_pem: String,
    pub(crate) private_pem: String,
}

impl Authority {
    /// A new one, which lasts ten years.
    pub(crate) fn generate(now: i64) -> Result<Self, String> {
        let key = KeyPair::generate().map_err(explain)?;
        let certificate = authority(now)?.self_signed(&key).map_err(explain)?;
        Ok(Self { certificate_pem: certificate.pem(), private_pem: key.serialize_pem() })
    }

    /// One that was kept.
    pub(crate) fn kept(certificate_pem: String, private_pem: String) -> Result<Self, String> {
        let key = KeyPair::from_pem(&private_pem).map_err(explain)?;
        let certificate = Certificate::from_pem(&certificate_pem).map_err(|error| error.to_string())?;
        if key.subject_public_key_info() != certificate.spki_der() {
            return Err("the certificate of the authority is for another key than its private key".to_owned());
        }
        Ok(Self { certificate_pem, private_pem })
    }

    /// What answers TLS handshakes, with a fresh certificate for all names.
    pub(crate) fn acceptor(&self, now: i64) -> Result<TlsAcceptor, String> {
        let issuer = Issuer::new(authority(now)?, KeyPair::from_pem(&self.private_pem).map_err(explain)?);
        let key = KeyPair::generate().map_err(explain)?;
        let names: Vec<String> = OFFICIAL_HOSTS.iter().chain(&LOCAL_NAMES).map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).map_err(explain)?;
        params.distinguished_name = name(OFFICIAL_HOSTS[0]);
        (params.not_before, params.not_after) = lasting(now, 365)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &issuer).map_err(explain)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.into()], key))
            .map_err(|error| format!("TLS: {error}"))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn explain(error: rcgen::Error) -> String {
    format!("the certificate authority: {error}")
}

/// What every authority is but for its key, so that one that was kept can sign again.
fn authority(now: i64) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("Sandbox of WeChat Pay, local certificate authority");
    (params.not_before, params.not_after) = lasting(now, 3650)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let mut permitted_subtrees: Vec<_> = OFFICIAL_HOSTS
        .iter()
        .chain(["localhost"].iter())
        .map(|name| GeneralSubtree::DnsName((*name).to_owned()))
        .collect();
    permitted_subtrees.push(GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([127, 0, 0, 0], 8)));
    permitted_subtrees
        .push(GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(std::net::Ipv6Addr::LOCALHOST.into(), 128)));
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    Ok(params)
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

/// From a day ago, so many days.
fn lasting(now: i64, days: i64) -> Result<(OffsetDateTime, OffsetDateTime), String> {
    let begin = OffsetDateTime::from_unix_timestamp(now).map_err(|error| error.to_string())?;
    Ok((begin.saturating_sub(Duration::days(1)), begin.saturating_add(Duration::days(days))))
}
