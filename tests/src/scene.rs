//! What must have happened before an operation can be called as its documents show it, where that is a longer story.

use crate::rehearsal::{BRAND, MERCHANTS, Rehearsal, number};
use crate::road::from_now;
use crate::stocks::{self, Changes};
use crate::story::Example;
use serde_json::{Value, json};

/// The user to whom it happens.
pub const USER: &str = "oUser1";
/// The app in which it happens.
pub const APP: &str = "wx1234567889999";
const ORDER: &str = "4200000913202101152566792388";

/// Operations of product coupons that are about a coupon that a user has.
const OF_A_COUPON: [&str; 5] =
    ["get_user_coupon", "confirm_coupon", "use_coupon", "return_coupon", "deactivate_coupon"];

/// Where it happens, and what is different there about each stock, coupon or bundle that is created.
pub struct Scene<'w> {
    /// The world.
    pub world: &'w Rehearsal,
    /// Places of the stock that are not as usual.
    pub changes: Changes<'w>,
}

impl Scene<'_> {
    /// Plays what comes before, and gives the fields to put in place of those that are printed: the ids of what is there
    /// now.
    ///
    /// `None` where nothing needs to come before, or the documents' own order of calls suffices.
    pub async fn before(&self, id: &str) -> Option<Value> {
        let world = self.world;
        let fields = match id {
            "busifavor.use_coupon" => {
                let (stock, code) = self.coupon().await;
                json!({
                    "stock_id": stock, "coupon_code": code, "appid": APP, "openid": USER,
                    "use_time": from_now(&world.sandbox, 0)
                })
            }
            "busifavor.return_coupon" => {
                let (stock, code) = self.used().await;
                json!({"stock_id": stock, "coupon_code": code})
            }
            "busifavor.delete_coupon_code" => {
                let stock = self.merchant_stock("MERCHANT_UPLOAD").await;
                let upload = json!({"stock_id": stock, "coupon_code_list": ["1212"], "upload_request_no": number()});
                world.done("busifavor.upload_coupon_codes", upload).await;
                json!({"stock_id": stock})
            }
            "busifavor.update_stock_budget" => {
                json!({"stock_id": self.merchant_stock("WECHATPAY_MODE").await, "current_max_coupons": 1000})
            }
            "busifavor.create_subsidy_payment" => self.subsidy().await,
            "busifavor.get_subsidy_payment" => {
                json!({"subsidy_receipt_id": self.subsidised().await["subsidy_receipt_id"]})
            }
            "busifavor.create_subsidy_return" => {
                let paid = self.subsidised().await;
                let names = ["stock_id", "coupon_code", "transaction_id", "payer_merchant", "payee_merchant"];
                names.iter().map(|name| ((*name).to_owned(), paid[*name].clone())).collect()
            }
            "busifavor.get_subsidy_return" => {
                let mut fields = Box::pin(self.before("busifavor.create_subsidy_return")).await?;
                fields["out_subsidy_return_no"] = json!(number());
                let back = self.call_as_printed("busifavor.create_subsidy_return", fields).await;
                json!({"subsidy_return_receipt_id": back["subsidy_return_receipt_id"]})
            }
            "favor.get_use_flow" | "favor.get_refund_flow" => {
                let stock = self.settled().await;
                world.turn_to("2026-01-13T10:00:00+08:00");
                json!({"stock_id": stock})
            }
            "favor.get_use_flow_by_day" | "favor.get_refund_flow_by_day" => {
                let stock = self.settled().await;
                world.turn_to("2026-01-06T10:00:00+08:00");
                json!({"stock_id": stock, "bill_date": "2026-01-05"})
            }
            "partnerships.terminate_partnership" => {
                world.settings(json!({"partnership_check_stocks": false}));
                let request = Example::named(id, "as published").request();
                let names = ["partner", "authorized_data"];
                let mut build: Value = names.iter().map(|name| ((*name).to_owned(), request[*name].clone())).collect();
                build["Idempotency-Key"] = json!(number());
                world.done("partnerships.create_partnership", build).await;
                json!({})
            }
            "product_coupon.associate_stores" => self.product("WECHATPAY", "SPECIFIC").await,
            "product_coupon.disassociate_stores" => {
                let ids = self.product("WECHATPAY", "SPECIFIC").await;
                world
                    .done("product_coupon.associate_stores", as_printed("product_coupon.associate_stores", &ids))
                    .await;
                ids
            }
            "product_coupon.upload_coupon_codes" => self.product("UPLOAD", "NONE").await,
            "product_coupon.create_stock" => {
                let mut fields = self.product("WECHATPAY", "NONE").await;
                fields["stock_id"] = Value::Null;
                let mut stock = as_printed(id, &json!({}))["stock"].take();
                stock["single_usage_rule"] = stocks::product_stock(&[])["single_usage_rule"].take();
                fields["stock"] = stock;
                fields
            }
            _ => return None,
        };
        Some(fields)
    }

    /// Plays whatever must be there for the first example of an operation to be done, and gives the fields to put in
    /// place.
    pub async fn ready(&self, id: &str) -> Value {
        if let Some(fields) = self.before(id).await {
            return fields;
        }
        let world = self.world;
        let mut fields = match id {
            "favor.create_coupon_stock" => stocks::cash(from_now(&world.sandbox, 0), self.changes),
            "favor.start_stock" | "favor.stop_stock" => json!({"stock_id": self.cash_stock().await}),
            "favor.restart_stock" => {
                let stock = self.running().await;
                let pause = json!({"stock_id": stock, "stock_creator_mchid": MERCHANTS[0]});
                world.done("favor.pause_stock", pause).await;
                json!({"stock_id": stock})
            }
            "favor.list_stocks" => json!({"create_start_time": null, "create_end_time": null}),
            "favor.get_user_coupon" => {
                let (_, coupon) = self.cash_coupon().await;
                json!({"coupon_id": coupon})
            }
            "favor.get_callback" => {
                let set = json!({"mchid": MERCHANTS[0], "notify_url": "https://merchant.example/"});
                world.done("favor.set_callback", set).await;
                json!({})
            }
            "favor.set_callback" | "favor.upload_image" => json!({}),
            _ if id.starts_with("favor.") => json!({"stock_id": self.running().await}),
            "busifavor.create_stock" => json!({"belong_merchant": MERCHANTS[0], "out_request_no": number()}),
            "busifavor.upload_coupon_codes" => json!({"stock_id": self.merchant_stock("MERCHANT_UPLOAD").await}),
            "busifavor.get_coupon_code" | "busifavor.list_coupon_codes" => {
                let mut fields = Box::pin(self.before("busifavor.delete_coupon_code")).await.unwrap_or_default();
                fields["coupon_code"] = json!("1212");
                fields
            }
            "busifavor.list_subsidy_payments" => self.subsidy().await,
            "busifavor.send_coupon" | "busifavor.send_product_coupon" | "busifavor.pre_send_product_coupon" => {
                json!({"stock_id": self.merchant_stock("MERCHANT_API").await})
            }
            "busifavor.update_stock" => {
                json!({"stock_id": self.merchant_stock("WECHATPAY_MODE").await, "stock_name": null, "display_pattern_info": null, "subsidy": null})
            }
            "busifavor.disassociate_order" => {
                let (stock, code) = self.coupon().await;
                let fields = json!({"stock_id": stock, "coupon_code": code, "out_request_no": number()});
                self.call_as_printed("busifavor.associate_order", fields.clone()).await;
                fields
            }
            "busifavor.get_callback" => {
                let set = json!({"mchid": MERCHANTS[0], "notify_url": "https://merchant.example/"});
                world.done("busifavor.set_callback", set).await;
                json!({})
            }
            "busifavor.set_callback" | "busifavor.send_card" => json!({}),
            _ if id.starts_with("busifavor.") => {
                let (stock, code) = self.coupon().await;
                json!({"stock_id": stock, "coupon_code": code})
            }
            _ if id.starts_with("product_coupon.") => self.ready_product(id).await,
            "paygiftactivity.create_activity" => {
                world.settings(json!({"paygift_check_stocks": false}));
                json!({})
            }
            _ if id.starts_with("paygiftactivity.") => {
                world.settings(json!({"paygift_check_stocks": false}));
                let created = self.call_as_printed("paygiftactivity.create_activity", json!({})).await;
                json!({"activity_id": created["activity_id"]})
            }
            "partnerships.create_partnership" => {
                world.settings(json!({"partnership_check_stocks": false}));
                json!({})
            }
            _ => json!({}),
        };
        // Merchant, user and app are those of the scene wherever the operation names one.
        let printed = as_printed(id, &json!({}));
        let mine = [
            ("mchid", MERCHANTS[0]),
            ("stock_creator_mchid", MERCHANTS[0]),
            ("creator_mchid", MERCHANTS[0]),
            ("creator_merchant", MERCHANTS[0]),
            ("belong_merchant", MERCHANTS[0]),
            ("sender_merchant", MERCHANTS[0]),
            ("openid", USER),
            ("appid", APP),
        ];
        for (name, value) in mine {
            if printed.get(name).is_some() {
                fields[name] = json!(value);
            }
        }
        let known = fields.as_object_mut().expect("an object");
        known.retain(|name, _| printed.get(name).is_some() || name.ends_with("_time"));
        fields
    }

    /// The product coupon, stock, bundle, coupon or picture that an operation is about.
    async fn ready_product(&self, id: &str) -> Value {
        let (world, operation) = (self.world, id.trim_start_matches("product_coupon."));
        let stores = if operation.contains("stores") { "SPECIFIC" } else { "NONE" };
        if operation.contains("bundle") {
            let mut ids = self.bundle(stores).await;
            match operation {
                "disassociate_bundle_stores" => {
                    self.call_as_printed("product_coupon.associate_bundle_stores", ids.clone()).await;
                }
                "update_stock_bundle_budget" => {
                    ids["current_max_count"] = json!(1_000);
                    ids["target_max_count"] = json!(2_000);
                }
                "deactivate_coupon_bundle" => {
                    let mut gift = ids.clone();
                    gift["openid"] = json!(USER);
                    gift["appid"] = json!(APP);
                    gift["send_request_no"] = json!(format!("send-{}", number()));
                    let sent = self.call_as_printed("product_coupon.send_coupon_bundle", gift).await;
                    ids["user_coupon_bundle_id"] = sent["user_coupon_bundle_id"].clone();
                }
                _ => {}
            }
            return ids;
        }
        let mut ids = self.product("WECHATPAY", stores).await;
        match operation {
            "update_stock_budget" => {
                ids["current_max_count"] = json!(1_000);
                ids["target_max_count"] = json!(2_000);
            }
            "send_coupon" | "pre_send_coupon" => ids["coupon_code"] = Value::Null,
            "get_image_task" => {
                self.call_as_printed("product_coupon.create_image_task", json!({})).await;
            }
            _ if OF_A_COUPON.contains(&operation) => {
                let gift = json!({"openid": USER, "appid": APP, "send_request_no": format!("send-{}", number())});
                let sent = world.done("product_coupon.send_coupon", with(&ids, gift)).await;
                ids["coupon_code"] = sent["coupon_code"].clone();
                let change = json!({
                    "openid": USER, "appid": APP, "use_time": from_now(&world.sandbox, 0),
                    "out_request_no": format!("change-{}", number())
                });
                let change = with(&ids, change);
                if ["use_coupon", "return_coupon"].contains(&operation) {
                    self.call_as_printed("product_coupon.confirm_coupon", without(&change, "use_time")).await;
                }
                if operation == "return_coupon" {
                    self.call_as_printed("product_coupon.use_coupon", change.clone()).await;
                }
                if operation == "use_coupon" {
                    ids["use_time"] = change["use_time"].clone();
                }
            }
            _ => {}
        }
        ids
    }

    async fn call_as_printed(&self, id: &str, fields: Value) -> Value {
        self.world.done(id, as_printed(id, &fields)).await
    }

    /// A stock of merchant coupons.
    async fn merchant_stock(&self, mode: &str) -> String {
        let changes = [&[("/coupon_code_mode", json!(mode))], self.changes].concat();
        text(&self.world.done("busifavor.create_stock", stocks::merchant(&changes)).await["stock_id"])
    }

    /// A merchant coupon that a user holds: stock and code.
    async fn coupon(&self) -> (String, String) {
        let stock = self.merchant_stock("WECHATPAY_MODE").await;
        let gift = json!({"stock_id": stock, "openid": USER, "appid": APP, "out_request_no": number()});
        let sent = self.world.done("busifavor.send_coupon", gift).await;
        (stock, text(&sent["send_coupon_result"]["coupon_code"]))
    }

    /// One that was used for an order.
    async fn used(&self) -> (String, String) {
        let (stock, code) = self.coupon().await;
        let request = json!({
            "stock_id": stock, "coupon_code": code, "appid": APP, "use_time": from_now(&self.world.sandbox, 0),
            "use_request_no": number(), "transaction_id": ORDER
        });
        self.world.done("busifavor.use_coupon", request).await;
        (stock, code)
    }

    async fn subsidy(&self) -> Value {
        let (stock, code) = self.used().await;
        json!({
            "stock_id": stock, "coupon_code": code, "transaction_id": ORDER, "payer_merchant": MERCHANTS[0],
            "payee_merchant": MERCHANTS[1]
        })
    }

    /// The receipt of a subsidy that was paid.
    async fn subsidised(&self) -> Value {
        let mut fields = self.subsidy().await;
        fields["out_subsidy_no"] = json!(number());
        self.call_as_printed("busifavor.create_subsidy_payment", fields).await
    }

    /// Says where notifications go, which comes before everything else about product coupons.
    async fn addressed(&self) {
        let address = json!({"notify_url": "https://www.example.com/notify"});
        self.world.done("product_coupon.set_notify_config", address).await;
    }

    /// A product coupon of the brand, whose partner the first merchant is: its ids and those of its stock.
    async fn product(&self, code_mode: &str, stores: &str) -> Value {
        self.addressed().await;
        let usual = [("/coupon_code_mode", json!(code_mode)), ("/store_scope", json!(stores))];
        let stock = stocks::product_stock(&[&usual, self.changes].concat());
        let request = stocks::product_single(&[("/stock", stock)]);
        let made = self.world.done("product_coupon.create_product_coupon", request).await;
        json!({
            "brand_id": BRAND, "product_coupon_id": made["product_coupon_id"], "stock_id": made["stock"]["stock_id"]
        })
    }

    /// The same that is used three times, with a bundle.
    async fn bundle(&self, stores: &str) -> Value {
        self.addressed().await;
        let bundle = stocks::product_bundle(&[&[("/store_scope", json!(stores))], self.changes].concat());
        let request = stocks::product_several(&[("/stock_bundle", bundle)]);
        let made = self.world.done("product_coupon.create_product_coupon", request).await;
        json!({
            "brand_id": BRAND, "product_coupon_id": made["product_coupon_id"],
            "stock_bundle_id": made["stock_bundle"]["stock_bundle_id"]
        })
    }

    /// A stock of cash coupons that ends on January 12, yet to be started.
    async fn cash_stock(&self) -> String {
        let request = stocks::cash(from_now(&self.world.sandbox, 0), self.changes);
        text(&self.world.done("favor.create_coupon_stock", request).await["stock_id"])
    }

    /// One that runs.
    async fn running(&self) -> String {
        let stock = self.cash_stock().await;
        self.world.done("favor.start_stock", json!({"stock_id": stock, "stock_creator_mchid": MERCHANTS[0]})).await;
        stock
    }

    /// A cash coupon that a user holds: stock and coupon.
    async fn cash_coupon(&self) -> (String, String) {
        let stock = self.running().await;
        let gift = json!({
            "stock_id": stock, "openid": USER, "appid": APP, "out_request_no": number(),
            "stock_creator_mchid": MERCHANTS[0]
        });
        let coupon = text(&self.world.done("favor.send_coupon", gift).await["coupon_id"]);
        (stock, coupon)
    }

    /// A stock with a coupon that was used and refunded.
    async fn settled(&self) -> String {
        let (stock, coupon) = self.cash_coupon().await;
        let paid = self.world.act(json!({"act": "pay_with_coupon", "coupon_id": coupon}));
        self.world.act(json!({"act": "refund", "transaction_id": paid["transaction_id"], "to": "full"}));
        stock
    }
}

/// The first example of an operation that is accepted, with these fields in place of those that are printed.
pub fn as_printed(id: &str, fields: &Value) -> Value {
    let example = Example::all().find(|example| example.spec.id() == id && example.json["violations"].is_null());
    let mut request = example.unwrap_or_else(|| panic!("{id} has no accepted example")).request();
    let changes = fields.as_object().expect("an object").clone();
    let request_fields = request.as_object_mut().expect("an object");
    request_fields.extend(changes);
    request_fields.retain(|_, value| !value.is_null());
    request
}

/// The fields of both.
fn with(fields: &Value, more: Value) -> Value {
    let objects = [fields, &more].map(|object| object.as_object().expect("an object").clone());
    objects.into_iter().flatten().collect()
}

fn without(fields: &Value, name: &str) -> Value {
    let mut fields = fields.clone();
    fields.as_object_mut().expect("an object").remove(name);
    fields
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}
