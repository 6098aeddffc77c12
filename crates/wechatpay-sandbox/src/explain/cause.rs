//! What goes wrong with signatures, in words.

use schemars::JsonSchema;
use serde::Serialize;
use std::fmt;

/// Which way the signed message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// From a merchant to WeChat Pay.
    Request,
    /// From WeChat Pay to a merchant: an answer or a notification.
    Reply,
}

/// Declares [`Cause`]: name, what happened, what to do; and both once more where a reply needs other words.
macro_rules! causes {
    ($($name:ident $says:literal $advice:literal $(reply $reply_says:literal $reply_advice:literal)?;)*) => {
        /// Why a signature does not verify. In JSON its id: the name in lower case, with hyphens.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum Cause {
            $(#[doc = $says] $name,)*
        }

        impl Cause {
            /// All causes that are recognised.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What happened, and what to do.
            pub(super) fn words(self, side: Side) -> (&'static str, &'static str) {
                match (self, side) {
                    $($((Self::$name, Side::Reply) => ($reply_says, $reply_advice),)?)*
                    $((Self::$name, _) => ($says, $advice),)*
                }
            }
        }
    };
}

causes! {
    NoAuthorization
        "The request has no Authorization header."
        "Send the header Authorization; some HTTP libraries drop it at a redirect, and some proxies always.";
    SeveralAuthorizations
        "The request has several Authorization headers."
        "Send one; look for a default header of the HTTP library, such as one for basic authentication.";
    Scheme
        "The Authorization header does not begin with `WECHATPAY2-SHA256-RSA2048` and a space."
        "Write the scheme exactly so, then one space, then the items; a brand writes `WECHATPAY-BRAND-SHA256-RSA2048`.";
    BrandOrMerchant
        "Some of scheme, id and path are a brand's, and some a merchant's."
        "Merchants: WECHATPAY2-SHA256-RSA2048, mchid, /v3/…; brands: WECHATPAY-BRAND-SHA256-RSA2048, brand_id, /brand/….";
    QuotesMissing
        "A value in the Authorization header lacks a double quote."
        "Write every item as name=\"value\", the last one too, with plain double quotes.";
    ItemsMalformed
        "The items of the Authorization header are not separated as they must be."
        "Separate the items by single commas, with none at the end, and keep the header on one line.";
    ItemsWrong
        "The Authorization header does not have the five items mchid (of a brand, brand_id), nonce_str, timestamp, serial_no and signature, each once."
        "Write each of the five once, under exactly these names, and not empty.";
    UnknownMerchant
        "There is no merchant with this mchid."
        "Use the mchid to which the private key belongs; here, one of the sandbox's merchants.";
    UnknownBrand
        "There is no brand with this brand_id."
        "Use the brand_id to which the private key belongs; here, one of the sandbox's brands.";
    MerchantMismatch
        "The mchid or brand_id is another's: the certificate that serial_no names, and the key, do not belong to it."
        "Take id, certificate and private key from the same merchant or brand.";
    PlatformSerial
        "serial_no names WeChat Pay's certificate or public key, not the merchant's certificate."
        "Put the serial number of apiclient_cert.pem into serial_no; the platform's goes into the header Wechatpay-Serial.";
    SerialCase
        "serial_no is the right number in the wrong form."
        "Write it in upper-case hex without colons or leading zeroes, as `openssl x509 -noout -serial` prints it.";
    OtherSerial
        "serial_no is not the serial number of the merchant's certificate, or the brand's."
        "Read it from the certificate in use: openssl x509 -in apiclient_cert.pem -noout -serial.";
    Milliseconds
        "The timestamp is in milliseconds."
        "Divide by 1000: the timestamp is Unix time in seconds.";
    TimestampUnreadable
        "The timestamp is no Unix time in seconds."
        "Write ten digits: seconds since 1970, in UTC.";
    Stale
        "The timestamp is too far in the past."
        "Take the time when the request is signed, for each attempt anew, and set the machine's clock by NTP."
        reply
        "The timestamp is too far in the past: the message is old, or this machine's clock is ahead."
        "Judge an old message by its own time, and set the machine's clock by NTP.";
    Ahead
        "The timestamp is too far in the future."
        "Set the machine's clock by NTP; Unix time does not depend on the time zone, so do not add hours to it."
        reply
        "The timestamp is too far in the future: this machine's clock is behind."
        "Set the machine's clock by NTP.";
    NonceTooLong
        "nonce_str is longer than 128 characters."
        "Take 32 random letters and digits.";
    NonceReplayed
        "The signature is right, but its nonce_str was used before."
        "Make a fresh nonce and signature for each attempt, repeats of the same request included.";
    SignatureMalformed
        "The signature is not base64."
        "Encode the signature's bytes once, in standard base64 with padding, and without line breaks.";
    Base64Url
        "The signature is in URL-safe base64, with - and _."
        "Encode it in standard base64, with + and / and padding.";
    Base64Unpadded
        "The signature's base64 lacks its padding."
        "Keep the = at the end.";
    Base64Twice
        "The signature was encoded in base64 twice."
        "Encode the signature's bytes once; many functions return base64 already.";
    HexSignature
        "The signature is in hex."
        "Encode the signature's bytes in base64, not in hex.";
    UrlEncodedSignature
        "The signature was changed by URL encoding: %2B in place of +, or a space."
        "Put the base64 into the header as it is; a header needs no URL encoding.";
    Hmac
        "The signature is an HMAC or a plain hash, not an RSA signature."
        "API v3 signs with the merchant's RSA private key; the APIv3 key only decrypts.";
    SignatureLength
        "The signature has another length than those of the key."
        "Sign with the private key of the certificate, apiclient_key.pem; it has 2048 bits, its signatures 256 bytes.";
    OtherMerchantKey
        "The signature was made with the key of another merchant or brand."
        "Load the private key that belongs to the certificate named by serial_no.";
    PlatformKey
        "The signature was made with WeChat Pay's key, not with the merchant's."
        "Sign with apiclient_key.pem; what belongs to WeChat Pay only verifies and encrypts."
        reply
        "The signature was made with another of WeChat Pay's keys than the one that Wechatpay-Serial names."
        "Choose the key by Wechatpay-Serial: PUB_KEY_ID_… is the public key, hex is a platform certificate.";
    UnknownKey
        "The signature was made with a private key that does not belong to the certificate named by serial_no."
        "Compare: openssl x509 -in apiclient_cert.pem -noout -pubkey and openssl pkey -in apiclient_key.pem -pubout print the same."
        reply
        "The signature was made with another key than the one it is verified with."
        "Choose the key by Wechatpay-Serial; if it is that one already, the message was forged or its signature changed.";
    OtherDigest
        "The message was hashed with another algorithm than SHA-256."
        "Sign with SHA256withRSA; in PHP OPENSSL_ALGO_SHA256, in Node RSA-SHA256.";
    NoDigestInfo
        "The hash was encrypted bare, without the DER that names its algorithm."
        "Use a function that signs, such as openssl dgst -sha256 -sign, and not one that encrypts with the private key.";
    HashedTwice
        "The message was hashed twice."
        "Give the function that signs the message itself, not its hash.";
    Pss
        "The signature is padded with PSS."
        "Sign with PKCS#1 v1.5: SHA256withRSA, not RSASSA-PSS or PS256.";
    FinalNewline
        "The message was signed without the line feed at its end."
        "End each of the five lines with \\n, the body's line too."
        reply
        "The signature is over a message without the line feed at its end."
        "This is not how WeChat Pay signs: look at what made the signature.";
    EmptyLine
        "The line of the empty body was left out."
        "Without a body the message still has five lines, and ends with two line feeds."
        reply
        "The line of the empty body was left out."
        "Without a body the message still has three lines, and ends with two line feeds.";
    ExtraNewline
        "The message was signed with a line feed too many at its end."
        "End it with one \\n behind the body; look whether a here-document, echo or println has added one.";
    Crlf
        "The lines were ended with \\r\\n."
        "End them with \\n alone, whatever the platform's line separator is.";
    LiteralNewlines
        "The lines were ended with a backslash and the letter n."
        "Write a line feed; in PHP and shells \"\\n\" needs double quotes or $'\\n'.";
    Separators
        "The lines were joined without the line feeds."
        "End each line with \\n.";
    LineOrder
        "The lines are in another order."
        "Keep the order: method, target, timestamp, nonce_str, body."
        reply
        "The lines are in another order."
        "Keep the order: timestamp, nonce, body.";
    LineMissing
        "A line of the message was left out."
        "Sign five lines: method, target, timestamp, nonce_str, body."
        reply
        "A line of the message was left out."
        "Verify three lines: timestamp, nonce, body.";
    ReplyMessage
        "The message has the three lines of a reply in place of the five of a request."
        "Begin it with the lines of the method and of the target.";
    MethodCase
        "The method was not signed in capitals."
        "Sign GET, POST, PUT, PATCH or DELETE in capitals.";
    OtherMethod
        "Another method was signed than was sent."
        "Sign the method that is sent.";
    HostIncluded
        "The host is in the signed target."
        "Sign the path and query alone, from the / behind the host on.";
    PathTemplate
        "The template of the path was signed in place of the path."
        "Fill in the ids before signing.";
    PathPrefix
        "The beginning of the path is missing in what was signed."
        "Sign the whole path as it is sent: it begins with /v3/, or with /brand/.";
    TrailingSlash
        "The signed path and the sent one differ by a slash at the end."
        "Sign the path exactly as it is sent.";
    PathEncoding
        "The path is percent-encoded otherwise in what was signed."
        "Sign the path exactly as it stands in the request line, encoded once.";
    QueryLeftOut
        "The query was not signed."
        "Sign the target with ? and the query.";
    QueryEncoding
        "The query is encoded otherwise in what was signed."
        "Encode the query once, and sign the very text that is sent.";
    QueryOrder
        "The query's parameters are in another order in what was signed."
        "Sign the query exactly as it is sent; nothing is sorted in API v3.";
    BodyLeftOut
        "The body was not signed."
        "Sign the body that is sent."
        reply
        "The signature is over an empty body."
        "This is not how WeChat Pay signs: look at what made the signature.";
    BodyOfGet
        "Something was signed as a body, but none was sent."
        "Without a body sign an empty line, not {} or null."
        reply
        "A body was signed, but the one at hand is empty."
        "Verify the bytes as they arrive, before anything reads them.";
    BodyReserialised
        "The signed body and the sent one are the same JSON, written in two ways."
        "Make the JSON text once, sign that text, and send that text: hand the HTTP library bytes, not an object."
        reply
        "The body at hand and the signed one are the same JSON, written in two ways."
        "Verify the bytes as they arrive, before a framework parses them; JSON that is written anew is another message.";
    BodyAsForm
        "The body was signed as form fields, but sent as JSON."
        "Sign the JSON text that is sent.";
    BodyQuoted
        "The body was signed as a JSON string, that is, encoded once more."
        "Encode the body once, and sign that text.";
    BodyWhitespace
        "The signed body and the sent one differ in blanks or line breaks at their ends or between their lines."
        "Sign the bytes that are sent; do not trim, and look whether an editor or a file has added a line break."
        reply
        "The body at hand and the signed one differ in blanks or line breaks at their ends or between their lines."
        "Keep the body byte for byte; look whether an editor has added a line break.";
    BodyCharset
        "The signed body is in another character set than the one that was sent."
        "Turn the message into bytes as UTF-8, and name UTF-8: the platform's default may be another.";
    MultipartBody
        "Of an upload, something else than the part `meta` was signed."
        "Sign the JSON of the part meta alone, byte for byte as it stands in the body.";
    OtherTimestamp
        "Another timestamp was signed than stands in the header."
        "Take the time once, and use the same text in the message and in the header.";
    OtherNonce
        "Another nonce_str was signed than stands in the header."
        "Make the nonce once, and use the same text in the message and in the header.";
    SignatureHeaderMissing
        "A header of the signature is missing."
        "Keep all of Wechatpay-Timestamp, Wechatpay-Nonce, Wechatpay-Serial and Wechatpay-Signature; a success without them is forged.";
    SignatureHeaderRepeated
        "A header of the signature stands there twice."
        "Look what on the way adds headers; with two there is no telling which one was signed.";
    SignatureType
        "The signature is of another type than RSA with SHA-256."
        "This type is not supported here; with WECHATPAY2-SM2-WITH-SM3 the merchant has chosen the national algorithms.";
    Probe
        "The signature is a probe: now and then WeChat Pay sends a wrong one to see whether it is verified."
        "Refuse it as any wrong signature. A request was executed, so ask for its result; a notification comes again.";
    SerialUnknown
        "None of the keys at hand is the one that Wechatpay-Serial names."
        "Get the platform certificates anew, or the public key with this id; if WeChat Pay has no such key, it is forged.";
    OtherMessage
        "The key and the algorithm are right, but other bytes were signed, and how they differ is not recognised."
        "Print the exact bytes that go into the function that signs, and hold them against the expected message."
        reply
        "The key and the algorithm are right, but other bytes were signed than those at hand."
        "Keep body and headers byte for byte as they arrive; if they are, something on the way has changed them.";
}

impl Cause {
    /// The id that scripts can rely on.
    pub fn id(self) -> String {
        serde_json::to_value(self).ok().and_then(|id| id.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}
