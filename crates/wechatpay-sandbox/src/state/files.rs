//! Files that answers point to, each behind a link that soon runs out.

use crate::ambient::Ambient;
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where files are fetched.
pub(crate) const FILE_PATH: &str = "/v3/billdownload/file";

/// How long a link lasts, in seconds.
const LASTS: i64 = 30;

/// The message of a file that is not there.
pub(crate) const NO_FILE: &str = "账单文件不存在";

/// The files that can be fetched now.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Files(BTreeMap<String, File>);

#[derive(Debug, Serialize, Deserialize)]
struct File {
    mchid: String,
    text: String,
    until: i64,
}

/// What an answer says about a file.
pub(crate) struct Link {
    pub(crate) url: String,
    /// In hex.
    pub(crate) sha1: String,
}

impl Files {
    /// Keeps a file for a merchant until its link runs out.
    pub(crate) fn offer(&mut self, text: String, mchid: &str, origin: &str, ambient: &mut Ambient, now: i64) -> Link {
        self.0.retain(|_, file| now <= file.until);
        let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let sha1 = sha1.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let token = ambient.letters(64);
        let url = format!("{origin}{FILE_PATH}?token={token}");
        self.0.insert(token, File { mchid: mchid.to_owned(), text, until: now.saturating_add(LASTS) });
        Link { url, sha1 }
    }

    /// The file of a link.
    pub(crate) fn fetch(&self, query: Option<&str>, caller: &str, now: i64) -> Outcome {
        let token = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("token=")));
        let file = token.and_then(|token| self.0.get(token));
        match file {
            None => Err(Answer::refuse(404, "RESOURCE_NOT_EXISTS", NO_FILE, Basis::Guess, "there is no such link")),
            Some(file) if now > file.until => {
                let why = "the link has run out after 30 seconds";
                Err(Answer::refuse(404, "RESOURCE_NOT_EXISTS", NO_FILE, Basis::Guess, why))
            }
            Some(file) if file.mchid != caller => {
                let why = "the link was made for another merchant";
                Err(Answer::refuse(403, "NO_AUTH", "没有权限", Basis::Guess, why))
            }
            Some(file) => {
                Ok(Answer::file(file.text.clone().into_bytes(), Basis::Documented, "the file of a link, unsigned"))
            }
        }
    }
}
