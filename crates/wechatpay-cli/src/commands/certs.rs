//! `wechatpay certs`

use crate::args::{Certs, CertsCommand, Download};
use crate::config::Account;
use crate::moment;
use crate::output::{DIM, Failure, Operation, Output, Result, STRONG};
use crate::rejection;
use crate::wire::{self, Way};
use serde::Deserialize;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use wechatpay_model::Operation as _;
use wechatpay_model::certificates::List;
use wechatpay_protocol::Certificates;
use wechatpay_protocol::crypto::Certificate;

pub(crate) fn run(args: &Certs, output: &Output) -> Result {
    match &args.command {
        CertsCommand::Download(args) => download(args, output),
    }
}

fn download(args: &Download, output: &Output) -> Result {
    let (account, certificates) = Account::load_with_certificates(&args.account)?;
    let way = Way { backend: args.wire.backend, attempts: None, output: *output };
    let changed = wire::exchange(account, way, &Operation::known(List::SPEC), |client| async move {
        client.refresh_certificates().await.map_err(rejection::refresh)
    })?;
    for skipped in &changed.skipped {
        let (serial, algorithm) = (&skipped.serial, &skipped.algorithm);
        output.hint(format_args!("{serial} is left out: its algorithm is {algorithm}, which is not supported"));
    }
    if changed.none {
        output.hint(format_args!(
            "this merchant has no platform certificates, only public keys: get pub_key.pem and its id from the \
             merchant platform, for --public-key and --public-key-id"
        ));
    }
    for (certificate, pem) in held(&certificates)? {
        let file = args.dir.as_deref().map(|dir| write(dir, certificate.serial(), &pem)).transpose()?;
        show(&certificate, file.as_deref(), output)?;
    }
    Ok(())
}

/// What `Certificates::export` writes, as far as it is needed here.
#[derive(Deserialize)]
struct Exported {
    certificates: Vec<ExportedCertificate>,
}

#[derive(Deserialize)]
struct ExportedCertificate {
    pem: String,
}

/// The certificates that were accepted, with their texts.
fn held(certificates: &Certificates) -> Result<Vec<(Certificate, String)>> {
    let unreadable =
        |error: &dyn std::fmt::Display| Failure::Local(format!("the certificates cannot be shown: {error}"));
    let exported: Exported = serde_json::from_str(&certificates.export()).map_err(|error| unreadable(&error))?;
    let read = exported.certificates.into_iter().map(|ExportedCertificate { pem }| {
        let certificate = Certificate::from_pem(&pem).map_err(|error| unreadable(&error))?;
        Ok((certificate, pem))
    });
    read.collect()
}

fn show(certificate: &Certificate, file: Option<&Path>, output: &Output) -> Result {
    let serial = certificate.serial();
    let (begin, end) = (moment::text(certificate.not_before()), moment::text(certificate.not_after()));
    if output.json {
        let mut line = json!({ "serial_no": serial, "effective_time": begin, "expire_time": end });
        if let (Some(file), Some(line)) = (file, line.as_object_mut()) {
            line.insert("file".to_owned(), file.display().to_string().into());
        }
        return output.value(&line);
    }
    let file = file.map(|file| format!("  {}", file.display())).unwrap_or_default();
    output.line(format_args!("{STRONG}{serial}{STRONG:#}  {begin} {DIM}to{DIM:#} {end}{file}"))
}

/// Writes a certificate for everybody to read; whoever reads the file meanwhile sees the old one or the new one.
fn write(dir: &Path, serial: &str, pem: &str) -> Result<PathBuf> {
    let path = dir.join(format!("{serial}.pem"));
    let written = std::fs::create_dir_all(dir).and_then(|()| {
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(<std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644));
        let mut file = builder.prefix(".certificate-").tempfile_in(dir)?;
        file.write_all(pem.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)
    });
    written.map_err(|error| Failure::Local(format!("{} cannot be written: {error}", path.display())))?;
    Ok(path)
}
