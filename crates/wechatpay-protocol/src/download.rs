//! Fetches the files that answers point to: signed, streamed, and checked against the hash that the answer named (P16).
//!
//! A file carries no signature of its own. What vouches for it is the hash in the verified answer, so nothing of it
//! should be relied on before the last chunk has come.

use crate::client::{BlockingClient, Client, raw};
use crate::error::{Error, Unverified, UnverifiedReason};
use crate::request::BaseUrl;
use crate::transport::{BlockingTransport, Transport, TransportError};
use crate::{BoxError, Invalid, Violation, ViolationKind};
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use http_body_util::BodyExt;
use sha1_smol::Sha1;
use std::fmt;
use std::io::{self, Read};
use std::pin::Pin;

/// Hosts that files are fetched from, beside the client's own.
const HOSTS: [&str; 4] =
    ["download-service.wechatpay.cn", "api.mch.weixin.qq.com", "api2.mch.weixin.qq.com", "api.wechatpay.cn"];

/// A file on its way: take its chunks until there are none.
///
/// Async for a [`Client`], a [`Read`] for a [`BlockingClient`]. The last chunk is followed by an error where the hash
/// does not fit, so a file is genuine only once its end was reached.
pub struct Download<B> {
    body: B,
    hash: Hash,
}

/// The hash so far, and what it should become.
struct Hash {
    sha1: Sha1,
    announced: String,
}

impl Hash {
    fn check(&self) -> Result<(), Error> {
        if self.sha1.digest().to_string().eq_ignore_ascii_case(&self.announced) {
            return Ok(());
        }
        let (status, reason) = (200, UnverifiedReason::HashMismatch);
        Err(Error::Unverified(Box::new(Unverified { reason, status, clock_skew: None, request_id: None })))
    }
}

impl<B> fmt::Debug for Download<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").finish_non_exhaustive()
    }
}

impl<B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send> Download<Pin<Box<B>>> {
    /// The next chunk; `None` after the last one, when the whole file is known to be genuine.
    ///
    /// # Errors
    /// The connection broke, or the file is not the one that was announced: then nothing of it is genuine.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(TransportError::interrupted)?;
            if let Ok(data) = frame.into_data() {
                self.hash.sha1.update(&data);
                return Ok(Some(data));
            }
        }
        self.hash.check().map(|()| None)
    }
}

impl<R: Read> Read for Download<R> {
    /// Reads on; at the end the hash is checked, and an error of kind `InvalidData` says that the file is not genuine.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.hash.check().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        self.hash.sha1.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// Where a file is: a host that may be asked, and the target that gets signed.
fn locate(url: &str, own: &BaseUrl) -> Result<(BaseUrl, String), Error> {
    let refuse = |message: &str| {
        let message = message.to_owned();
        let violations = vec![Violation { pointer: String::new(), kind: ViolationKind::Format, message }];
        // The URL holds a token, so it is not repeated.
        Err(Error::Invalid(Invalid { operation: "download".to_owned(), violations }))
    };
    let Ok(uri) = url.parse::<Uri>() else { return refuse("the URL of the file cannot be read") };
    let (Some(scheme), Some(authority), Some(target)) = (uri.scheme_str(), uri.authority(), uri.path_and_query())
    else {
        return refuse("the URL of the file has no host");
    };
    let Ok(base) = BaseUrl::parse(&format!("{scheme}://{authority}")) else {
        return refuse("the URL of the file has no host that can be asked");
    };
    let known = scheme == "https" && HOSTS.contains(&authority.as_str());
    if !known && base != *own {
        return refuse("the URL of the file names a host that is not WeChat Pay's; nothing was sent to it");
    }
    Ok((base, target.as_str().to_owned()))
}

fn accept(status: StatusCode) -> Result<(), Error> {
    if status == StatusCode::OK {
        return Ok(());
    }
    // Redirects end here too: Authorization is for WeChat Pay's hosts alone.
    let message = format!("the file was not handed over: {status}; links last for 30 seconds, ask for a new one");
    Err(TransportError::interrupted(message).into())
}

impl<T: Transport> Client<T> {
    /// Fetches a file that a verified answer points to: its `url` and its SHA-1, in hex.
    ///
    /// Other hosts than WeChat Pay's and the client's own are refused, and no redirect is followed.
    ///
    /// # Errors
    /// See [`Error`]; the link may have run out.
    pub async fn download(&self, url: &str, sha1: &str) -> Result<Download<Pin<Box<T::Body>>>, Error> {
        let (base, target) = locate(url, self.base_url())?;
        let call = raw(Method::GET, &target, &[], None)?;
        let (status, body) = self.clone().with_base_url(base).open(&call).await?;
        accept(status)?;
        Ok(Download { body: Box::pin(body), hash: Hash { sha1: Sha1::new(), announced: sha1.to_owned() } })
    }
}

impl<T: BlockingTransport> BlockingClient<T> {
    /// Fetches a file that a verified answer points to: its `url` and its SHA-1, in hex.
    ///
    /// Other hosts than WeChat Pay's and the client's own are refused, and no redirect is followed.
    ///
    /// # Errors
    /// See [`Error`]; the link may have run out.
    pub fn download(&self, url: &str, sha1: &str) -> Result<Download<T::Body>, Error> {
        let (base, target) = locate(url, self.base_url())?;
        let call = raw(Method::GET, &target, &[], None)?;
        let (status, body) = self.clone().with_base_url(base).open(&call)?;
        accept(status)?;
        Ok(Download { body, hash: Hash { sha1: Sha1::new(), announced: sha1.to_owned() } })
    }
}
