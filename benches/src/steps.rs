//! What a call consists of, step by step, without a network.

use crate::floor;
use crate::keys::{APIV3_KEY, KEYS, MCHID, NOW, PUBLIC_KEY_ID, SERIAL_NO};
use crate::race::{Contender, Of, Race};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use rsa::pkcs8::DecodePrivateKey as _;
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::time::Duration;
use wechatpay_model::Operation;
use wechatpay_model::busifavor::UploadCouponCodes;
use wechatpay_model::favor::{SendCoupon, SendCouponResponse};
use wechatpay_protocol::check::Context;
use wechatpay_protocol::crypto::{Signer as _, aws_lc};
use wechatpay_protocol::notification::{Receiver, Unguarded};
use wechatpay_protocol::request::{self, Authorization, BaseUrl, Prepared};
use wechatpay_protocol::{BoxError, Stamper, SystemStamper, Trust, response};

/// Nobody listens there; it only stands in the request.
const BASE: &str = "http://127.0.0.1:1";

/// The system's stamps, at the fixed time of what the platform has signed.
pub struct Then;

impl Stamper for Then {
    fn now(&self) -> i64 {
        NOW
    }

    fn nonce(&self) -> Result<String, BoxError> {
        SystemStamper.nonce()
    }

    fn monotonic(&self) -> Duration {
        SystemStamper.monotonic()
    }

    fn jitter(&self) -> u16 {
        SystemStamper.jitter()
    }
}

/// The body of [`SendCoupon`], by hand.
#[derive(Serialize)]
pub struct Gift {
    pub stock_id: String,
    pub out_request_no: String,
    pub appid: String,
    pub stock_creator_mchid: String,
}

/// The answer to it, by hand.
#[derive(Deserialize)]
pub struct Given {
    pub coupon_id: String,
}

pub const OPENID: &str = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o";
pub const GIFT_PATH: &str = "/v3/marketing/favor/users/oUpF8uMuAJO_M2pxb1Q9zNjWeS6o/coupons";
pub const GIVEN: &[u8] = br#"{"coupon_id":"9867041"}"#;

pub fn gift() -> Gift {
    Gift {
        stock_id: "9856000".to_owned(),
        out_request_no: "89560002019101000121".to_owned(),
        appid: "wx233544546545989".to_owned(),
        stock_creator_mchid: MCHID.to_owned(),
    }
}

pub fn send_coupon() -> SendCoupon {
    let Gift { stock_id, out_request_no, appid, stock_creator_mchid } = gift();
    SendCoupon::builder()
        .openid(OPENID)
        .stock_id(stock_id)
        .out_request_no(out_request_no)
        .appid(appid)
        .stock_creator_mchid(stock_creator_mchid)
        .build()
}

/// The body of [`UploadCouponCodes`], by hand.
#[derive(Serialize)]
struct Codes {
    coupon_code_list: Vec<String>,
    upload_request_no: String,
}

fn codes() -> Codes {
    let coupon_code_list = (0..200).map(|nth| format!("CODE-{nth:012}")).collect();
    Codes { coupon_code_list, upload_request_no: "up-20260105-1".to_owned() }
}

/// An operation, checked and laid out.
pub fn prepared<O: Operation>(operation: &O) -> Prepared {
    let arguments = serde_json::to_value(operation).expect("JSON");
    request::prepare(O::SPEC, arguments, &Context { now: NOW, mchid: MCHID }).expect("valid")
}

/// Our way from an operation to its signed request.
struct Ours {
    signer: aws_lc::Signer,
    base: BaseUrl,
}

impl Ours {
    fn new() -> Self {
        let signer = aws_lc::Signer::from_pem(&KEYS.merchant_pem()).expect("a key");
        Self { signer, base: BaseUrl::parse(BASE).expect("a URL") }
    }

    fn request<O: Operation>(&self, operation: &O) -> Request<Bytes> {
        let prepared = prepared(operation);
        let stamp = SystemStamper.stamp().expect("randomness");
        let signature = self.signer.sign(&prepared.message(&stamp)).expect("a signature");
        let scheme = wechatpay_protocol::crypto::Signer::scheme(&self.signer);
        let authorization = Authorization { scheme, mchid: MCHID, serial_no: SERIAL_NO };
        prepared.sign_with(&self.base, &authorization, Some(PUBLIC_KEY_ID), &stamp, &signature).expect("a request")
    }
}

/// Does a thing so many times.
fn contender<R>(name: &'static str, mut once: impl FnMut() -> R + 'static) -> Contender {
    let run = move |times| (0..times).for_each(|_| drop(black_box(once())));
    Contender { name, run: Box::new(run) }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// From the operation's value to the signed request.
fn send() -> Race {
    let (ours, operation, by_hand) = (Ours::new(), send_coupon(), gift());
    let floor = contender("floor", move || floor::request(BASE, Method::POST, GIFT_PATH, &by_hand));
    let ours = contender("wechatpay", move || ours.request(&operation));

    let signer = wxpay_rs::auth::Sha256RsaSigner::new(MCHID, KEYS.merchant_pem().as_bytes(), SERIAL_NO).expect("a key");
    let (runtime, by_hand) = (runtime(), gift());
    let wxpay = contender("wxpay-rs", move || {
        use wxpay_rs::auth::{Sha256RsaSigner, Signer as _};
        let body = serde_json::to_string(&by_hand).expect("JSON");
        let (now, nonce) = (SystemStamper.now(), SystemStamper.nonce().expect("randomness"));
        let message = Sha256RsaSigner::build_sign_message("POST", GIFT_PATH, now, &nonce, &body);
        let signature = runtime.block_on(signer.sign(&message)).expect("a signature");
        posted(&signer.build_authorization_header(&nonce, now, &signature), body)
    });

    let key = rsa::RsaPrivateKey::from_pkcs8_pem(&KEYS.merchant_pem()).expect("a key");
    let (key, by_hand) = (rsa::pkcs1v15::SigningKey::<rsa::sha2::Sha256>::new(key), gift());
    let rswxpay = contender("rswxpay", move || {
        use rswxpay::crypto::sign::{build_authorization_header, build_sign_message, sign_sha256_rsa};
        let body = serde_json::to_string(&by_hand).expect("JSON");
        let (now, nonce) = (SystemStamper.now(), SystemStamper.nonce().expect("randomness"));
        let message = build_sign_message("POST", GIFT_PATH, now, &nonce, &body);
        let signature = sign_sha256_rsa(&key, &message).expect("a signature");
        posted(&build_authorization_header(MCHID, SERIAL_NO, now, &nonce, &signature), body)
    });
    Race { name: "encode and sign", times: 100, of: Of::Process, contenders: vec![floor, ours, wxpay, rswxpay] }
}

/// The request around what another client makes of it.
fn posted(authorization: &str, body: String) -> Request<Bytes> {
    Request::post(format!("{BASE}{GIFT_PATH}"))
        .header("Accept", "application/json")
        .header("Content-Type", "application/json")
        .header("Authorization", authorization)
        .body(Bytes::from(body))
        .expect("a request")
}

pub fn upload_codes() -> UploadCouponCodes {
    let Codes { coupon_code_list, upload_request_no } = codes();
    UploadCouponCodes::builder()
        .stock_id("98065001")
        .coupon_code_list(coupon_code_list.into_iter().map(Into::into).collect::<Vec<_>>())
        .upload_request_no(upload_request_no)
        .build()
}

/// The same with 200 codes.
fn upload() -> Race {
    let (by_hand, operation) = (codes(), upload_codes());
    let path = "/v3/marketing/busifavor/stocks/98065001/couponcodes";
    let ours = Ours::new();
    let floor = contender("floor", move || floor::request(BASE, Method::POST, path, &by_hand));
    let ours = contender("wechatpay", move || ours.request(&operation));
    Race { name: "encode and sign 200 codes", times: 100, of: Of::Process, contenders: vec![floor, ours] }
}

fn signed(body: &[u8]) -> HeaderMap {
    let headers = KEYS.answer_headers(body).into_iter();
    let mut headers: HeaderMap = headers
        .map(|(name, value)| {
            (name.parse::<HeaderName>().expect("a name"), HeaderValue::try_from(value).expect("a value"))
        })
        .collect();
    headers.insert("Wechatpay-Signature-Type", HeaderValue::from_static("WECHATPAY2-SHA256-RSA2048"));
    headers.insert("Request-ID", HeaderValue::from_static("08F78BB5AF0610C8011888D9A63420F6F2CE0128"));
    headers.insert("Date", HeaderValue::from_static("Mon, 05 Jan 2026 02:00:00 GMT"));
    headers
}

pub fn trust() -> Trust {
    let key = aws_lc::VerifyingKey::from_public_key_pem(&KEYS.platform_pem()).expect("a key");
    Trust::new().with_public_key(PUBLIC_KEY_ID, key)
}

/// From an answer's bytes to the verified typed value.
fn read() -> Race {
    let (headers, verifier) = (signed(GIVEN), floor::Verifier::default());
    let floor = contender("floor", move || verifier.read::<Given>(&headers, GIVEN).coupon_id);

    let (headers, trust) = (signed(GIVEN), trust());
    let ours = contender("wechatpay", move || {
        let (spec, body) = (SendCoupon::SPEC, Bytes::from_static(GIVEN));
        let verified = response::receive(Some(spec), StatusCode::OK, &headers, body, &trust, NOW).expect("genuine");
        response::decode::<SendCouponResponse>(spec.answer(), &verified).expect("JSON")
    });

    let keys = vec![(PUBLIC_KEY_ID.to_owned(), KEYS.platform_pem().into_bytes())];
    let verifier = wxpay_rs::auth::Sha256RsaVerifier::new_with_public_keys(vec![], keys).expect("a key");
    let (headers, runtime) = (signed(GIVEN), runtime());
    let wxpay = contender("wxpay-rs", move || {
        use wxpay_rs::auth::{Sha256RsaVerifier, Verifier as _};
        let text = |name: &str| headers[name].to_str().expect("a text");
        let timestamp = text("Wechatpay-Timestamp").parse().expect("a number");
        let body = std::str::from_utf8(GIVEN).expect("UTF-8");
        let message = Sha256RsaVerifier::build_verify_message(timestamp, text("Wechatpay-Nonce"), body);
        let (signature, serial) = (text("Wechatpay-Signature"), text("Wechatpay-Serial"));
        assert!(runtime.block_on(verifier.verify_with_serial(&message, signature, serial)).expect("an answer"));
        serde_json::from_str::<Given>(body).expect("JSON").coupon_id
    });
    Race { name: "verify and decode", times: 1_000, of: Of::Process, contenders: vec![floor, ours, wxpay] }
}

/// From a notification's bytes to the typed event.
fn notification() -> Race {
    #[derive(Deserialize)]
    struct Envelope {
        resource: Resource,
    }
    #[derive(Deserialize)]
    struct Resource {
        ciphertext: String,
        nonce: String,
        associated_data: String,
    }
    let plain = br#"{"stock_creator_mchid":"9800064","stock_id":"9865888","coupon_id":"98674556","coupon_name":"a coupon","status":"USED","description":"","create_time":"2015-05-20T13:29:35+08:00","coupon_type":"CUT_TO","no_cash":true,"available_begin_time":"2015-05-20T13:29:35+08:00","available_end_time":"2015-05-20T13:29:35+08:00","singleitem":false,"consume_information":{"consume_time":"2015-05-20T13:29:35+08:00","consume_mchid":"9856081","transaction_id":"2345234523"}}"#;
    let (nonce, associated) = ("0123456789ab", "coupon");
    let ciphertext = floor::seal(nonce, associated, plain);
    let body = format!(
        r#"{{"id":"EV-2018022511223320873","create_time":"2015-05-20T13:29:35+08:00","resource_type":"encrypt-resource","event_type":"COUPON.USE","summary":"used","resource":{{"original_type":"coupon","algorithm":"AEAD_AES_256_GCM","ciphertext":"{ciphertext}","associated_data":"{associated}","nonce":"{nonce}"}}}}"#
    );
    let body = Bytes::from(body);
    let (headers, verifier, bytes) = (signed(&body), floor::Verifier::default(), body.clone());
    let floor = contender("floor", move || {
        let Resource { ciphertext, nonce, associated_data } = verifier.read::<Envelope>(&headers, &bytes).resource;
        let plain = floor::open(&nonce, &associated_data, &ciphertext);
        serde_json::from_slice::<wechatpay_model::favor::CouponUse>(&plain).expect("JSON")
    });
    let opener = aws_lc::ApiV3Key::new(APIV3_KEY).expect("a key");
    let (headers, receiver) = (signed(&body), Receiver::new(trust(), opener).with_replay_guard(Unguarded));
    let ours = contender("wechatpay", move || {
        use wechatpay_protocol::notification::Received;
        match receiver.receive(&headers, &body, NOW).expect("genuine") {
            Received::New(delivery) => {
                let event = delivery.payload::<wechatpay_model::favor::CouponUse>().expect("JSON").expect("this type");
                let _ = delivery.done();
                event
            }
            Received::Duplicate(_) => unreachable!("nobody remembers"),
        }
    });
    Race { name: "a notification", times: 1_000, of: Of::Process, contenders: vec![floor, ours] }
}

/// All of them.
pub fn all() -> Vec<Race> {
    vec![send(), upload(), read(), notification()]
}
