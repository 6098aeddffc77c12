//! `rswxpay`, unmodified, against a running sandbox: `wechatpay-interop <DIR of wechatpay sandbox --dir>`
//!
//! The client keeps the official host that is written into it, and is given the sandbox's proxy and authority. It knows no
//! coupons; `download_bill` takes any path, signs the request and verifies the answer, and that is what is wanted here. The
//! last line on stdout says how many calls there were.

use reqwest::{Certificate, Client, Proxy};
use rswxpay::{ClientConfig, WxPayClient, WxPayError};
use serde_json::{Value, json};
use std::error::Error;
use std::path::Path;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let folder = std::env::args().nth(1).ok_or("name the sandbox's directory")?;
    let run: Value = serde_json::from_str(&read(&folder, "sandbox.json")?)?;
    let text = |pointer: &str| run.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let sandbox = Sandbox { base_url: text("/base_url"), http: Client::builder().no_proxy().build()? };
    // The client knows platform certificates only.
    sandbox.control("settings", &json!({"sign_with": "certificate"})).await?;

    let http = Client::builder()
        .proxy(Proxy::https(text("/proxy_url"))?)
        .add_root_certificate(Certificate::from_pem(read(&folder, "ca.pem")?.as_bytes())?)
        .build()?;
    let config = ClientConfig::builder()
        .mch_id(text("/mchid"))
        .serial_no(text("/serial_no"))
        .api_v3_key(text("/merchants/0/apiv3_key"))
        .private_key_pem(read(&folder, "apiclient_key.pem")?)
        .http_client(http)
        .build()?;
    // Downloads the certificates.
    let client = WxPayClient::new(config).await?;
    let mut calls = 1;

    let stocks = format!("/v3/marketing/favor/stocks?offset=0&limit=10&stock_creator_mchid={}", client.mch_id());
    let list: Value = serde_json::from_slice(&client.download_bill(&stocks).await?)?;
    equal(&list["total_count"], &json!(0))?;
    calls += 1;

    for fault in ["forge", "tamper", "unsigned", "unknown-serial"] {
        sandbox.control("faults", &json!({"fault": fault, "nth": 1})).await?;
        match client.download_bill(&stocks).await {
            Err(WxPayError::VerifyError(_)) => calls += 1,
            other => return Err(format!("{fault}: {other:?}").into()),
        }
        sandbox.http.delete(sandbox.path("faults")).send().await?.error_for_status()?;
    }
    match client.download_bill("/v3/marketing/favor/stocks/404404?stock_creator_mchid=1900000001").await {
        Err(WxPayError::Api { code, .. }) if code == "RESOURCE_NOT_EXISTS" => calls += 1,
        other => return Err(format!("not refused: {other:?}").into()),
    }

    let log: Value = sandbox.http.get(sandbox.path("requests")).send().await?.json().await?;
    let requests = log["requests"].as_array().ok_or("no log")?;
    equal(&json!(requests.len()), &json!(calls))?;
    for request in requests {
        equal(&request["checks"]["signature"], &json!("ok"))?;
    }
    println!("{}", json!({"calls": calls}));
    Ok(())
}

/// The control paths of the sandbox, not signed and not by the proxy.
struct Sandbox {
    base_url: String,
    http: Client,
}

impl Sandbox {
    fn path(&self, name: &str) -> String {
        format!("{}/_sandbox/{name}", self.base_url)
    }

    async fn control(&self, name: &str, body: &Value) -> Result<()> {
        self.http.post(self.path(name)).json(body).send().await?.error_for_status()?;
        Ok(())
    }
}

fn read(folder: &str, name: &str) -> Result<String> {
    std::fs::read_to_string(Path::new(folder).join(name)).map_err(|error| format!("{name}: {error}").into())
}

fn equal(found: &Value, wanted: &Value) -> Result<()> {
    if found == wanted { Ok(()) } else { Err(format!("found {found}, wanted {wanted}").into()) }
}
