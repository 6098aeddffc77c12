//! A brand calls the sandbox in its own name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use wechatpay_hyper::Hyper;
use wechatpay_protocol::{Client, Error, Identity, Trust};
use wechatpay_sandbox::explain::Cause;
use wechatpay_sandbox::{Sandbox, StartError};
use wechatpay_tests::road::{base, brand, merchant, public_key};

async fn sandbox() -> Sandbox {
    Sandbox::builder().merchant("1900000001").brand("120344").start().await.expect("a sandbox")
}

/// Status, code and whether the refusal was signed.
async fn refusal(client: &Client<Hyper>, path: &str) -> (u16, String, bool) {
    match client.get(path).await {
        Err(Error::Api(refusal)) => (refusal.status, refusal.code.as_str().to_owned(), refusal.authenticated),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_brand_is_known_by_its_own_scheme_and_key_and_answered_under_that_scheme() {
    let sandbox = sandbox().await;
    let credentials = &sandbox.brands()[0];
    let client = Client::new(Hyper::new(), brand(credentials), public_key(credentials)).with_base_url(base(&sandbox));
    // The signature fits, and the refusal is signed under the scheme of brands, or it would not count as authenticated.
    assert_eq!(refusal(&client, "/brand/never/heard-of").await, (404, "RESOURCE_NOT_EXISTS".to_owned(), true));
    assert_eq!(sandbox.last_request().expect("a request").mchid.as_deref(), Some("120344"));
    // The doors are not to be mixed up.
    assert_eq!(refusal(&client, "/v3/certificates").await, (401, "SIGN_ERROR".to_owned(), false));
    let why = sandbox.last_request().and_then(|request| request.explanation).expect("an explanation");
    assert_eq!((why.cause, &why.also[..]), (Cause::BrandOrMerchant, &[][..]), "{why}");
}

#[tokio::test]
async fn neither_a_merchants_key_nor_its_id_makes_a_brand() {
    let sandbox = sandbox().await;
    let (brands, merchants) = (&sandbox.brands()[0], sandbox.merchant());
    let mut wrong_id = merchants.clone();
    wrong_id.mchid.clone_from(&brands.mchid);
    let mut no_brand = brands.clone();
    no_brand.mchid.clone_from(&merchants.mchid);
    let identities: [(Identity<_>, Cause); 3] = [
        (brand(&wrong_id).into(), Cause::MerchantMismatch),
        (brand(&no_brand).into(), Cause::MerchantMismatch),
        (merchant(brands).into(), Cause::BrandOrMerchant),
    ];
    for (identity, cause) in identities {
        let client = Client::new(Hyper::new(), identity, Trust::new()).with_base_url(base(&sandbox));
        assert_eq!(refusal(&client, "/brand/never/heard-of").await, (401, "SIGN_ERROR".to_owned(), false), "{cause}");
        let why = sandbox.last_request().and_then(|request| request.explanation).expect("an explanation");
        assert_eq!(why.cause, cause, "{why}");
    }
}

#[tokio::test]
async fn keys_of_brands_are_kept_in_a_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let start = || Sandbox::builder().brand("120344").dir(directory.path()).start();
    let first = start().await.expect("fresh keys").brands()[0].private_key_pem.clone();
    let again = start().await.expect("the same keys");
    assert_eq!(again.brands()[0].private_key_pem, first);
    assert!(directory.path().join("brands/120344/apiclient_key.pem").exists());
    let error = Sandbox::builder().brand("7").dir(directory.path()).start().await.expect_err("no such brand");
    assert!(error.to_string().contains("no brand 7"), "{error}");
}

/// Events name whom they are for by the id alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_a_merchants_or_a_brands() {
    let empty = tempfile::tempdir().expect("a directory");
    let default = "1900000001 is the default merchant: name a merchant";
    for (builder, said) in [
        (Sandbox::builder().merchant("120344").brand("120344"), "120344 is named twice"),
        (Sandbox::builder().brand("1900000001"), default),
        (Sandbox::builder().brand("1900000001").dir(empty.path()), default),
        (Sandbox::builder().brand("7").brand("7"), "7 is named twice"),
    ] {
        let error = builder.start().await.expect_err("one id twice");
        assert!(matches!(&error, StartError::Asked(problem) if problem.contains(said)), "{error:?}");
    }
    let (sandbox, other) = (sandbox().await, Sandbox::start().await.expect("a sandbox"));
    let error = sandbox.add_merchant("120344").expect_err("a brand has the id");
    assert!(error.contains("brand 120344 already"), "{error}");
    other.add_merchant("120344").expect("it has no brands");
    let error = sandbox.restore(&other.snapshot().expect("it is taken")).expect_err("a brand has the id");
    assert!(error.contains("120344"), "{error}");
    assert_eq!(sandbox.snapshot().expect("it is taken")["merchants"], serde_json::json!([]));
}

/// What an earlier version has kept, or somebody has changed by hand.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_taken_only_if_each_id_in_it_is_one_callers() {
    let directory = tempfile::tempdir().expect("a directory");
    let start = || Sandbox::builder().dir(directory.path()).start();
    let named = Sandbox::builder().merchant("1900000001").merchant("1900000002").brand("120344").dir(directory.path());
    named.start().await.expect("fresh keys").shutdown().await;
    let (place, brands) = (directory.path().join("sandbox.json"), directory.path().join("brands"));
    std::fs::rename(brands.join("120344"), brands.join("1900000001")).expect("moved");
    let kept = std::fs::read_to_string(&place).expect("it is read");
    for (before, after, said) in [
        ("120344", "1900000001", "1900000001 is named twice, as a merchant and as a brand"),
        ("1900000002", "1900000001", "merchant 1900000001 is named twice"),
        ("120344", "../1", "\"../1\" is no brand id"),
    ] {
        let changed = kept.replace(&format!("\"{before}\""), &format!("\"{after}\""));
        std::fs::write(&place, changed).expect("written");
        let error = start().await.expect_err("it is not taken");
        let told = |problem: &str| problem.contains(said) && problem.contains("sandbox.json: ");
        assert!(matches!(&error, StartError::Failed(problem) if told(problem)), "{error:?}");
        assert!(error.to_string().contains("remove the file for fresh keys"), "{error}");
    }
}

/// Where the files of a directory are damaged, the error names the file, whose it is, and what to do.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_in_a_directory_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let start = || {
        let builder = Sandbox::builder().merchant("1900000001").merchant("1900000002").brand("120344");
        builder.dir(directory.path()).start()
    };
    start().await.expect("fresh keys").shutdown().await;
    let description = directory.path().join("sandbox.json");
    let fresh = format!("; remove {} for fresh keys", description.display());
    for (name, said) in [
        ("apiclient_key.pem", "the private key of merchant 1900000001: "),
        ("apiclient_cert.pem", "the certificate of merchant 1900000001: "),
        ("merchants/1900000002/apiclient_key.pem", "the private key of merchant 1900000002: "),
        ("brands/120344/apiclient_cert.pem", "the certificate of brand 120344: "),
        ("server/pub_key_private.pem", "the platform's private key: "),
        ("server/platform_key.pem", "the platform's private key: "),
        ("platform_cert.pem", "the platform certificate: "),
    ] {
        let place = directory.path().join(name);
        let kept = std::fs::read_to_string(&place).expect("it is read");
        for (left, said) in [(Some(kept.len() / 2), said), (None, "")] {
            match left {
                Some(length) => std::fs::write(&place, &kept[..length]).expect("written"),
                None => std::fs::remove_file(&place).expect("removed"),
            }
            let error = start().await.expect_err("it is damaged").to_string();
            let begin = format!("the sandbox did not start: {}: {said}", place.display());
            assert!(error.starts_with(&begin) && error.ends_with(&fresh), "{error}");
            assert!(!kept.lines().any(|line| line.len() > 40 && error.contains(line)), "{error}");
        }
        std::fs::write(&place, &kept).expect("written");
    }
    // Of another merchant; too short; gone.
    let (key, short) = (directory.path().join("apiclient_key.pem"), directory.path().join("short"));
    std::fs::rename(&key, &short).expect("moved");
    std::fs::copy(directory.path().join("merchants/1900000002/apiclient_key.pem"), &key).expect("copied");
    let error = start().await.expect_err("it is another's").to_string();
    assert!(error.contains("apiclient_cert.pem: the certificate of merchant 1900000001 is for another key"), "{error}");
    std::fs::rename(&short, &key).expect("moved back");
    let kept = std::fs::read_to_string(&description).expect("it is read");
    let mut changed: serde_json::Value = serde_json::from_str(&kept).expect("JSON");
    changed["merchants"][1]["apiv3_key"] = "short".into();
    std::fs::write(&description, changed.to_string()).expect("written");
    let error = start().await.expect_err("it is too short").to_string();
    let said = format!("{}: the APIv3 key of merchant 1900000002 is not 32 bytes long{fresh}", description.display());
    assert!(error.ends_with(&said), "{error}");
    std::fs::write(&description, &kept).expect("written");
    let authority = directory.path().join("server/ca_key.pem");
    std::fs::remove_file(&authority).expect("removed");
    let error = start().await.expect_err("it is gone").to_string();
    assert!(error.contains(&authority.display().to_string()) && error.ends_with(&fresh), "{error}");
    std::fs::remove_file(&description).expect("removed");
    start().await.expect("all of it is fresh, as the error has said");
}
