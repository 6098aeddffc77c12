//! Stocks of merchant coupons, and the codes that merchants upload to them.

use super::{Act, Call, CodeEffect, Ledger, Once, StockEffect, immovable};
use crate::ambient::{instant, time_text};
use crate::answer::{Answer, Outcome};
use crate::log::Basis;
use crate::settings::{BusifavorFirstState, Repeat, Settings};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};

pub(super) const ACTS: &[Act] = &[
    Act::new("busifavor.create_stock", create),
    Act {
        // A code that is too long or has a wrong character does not refuse the request: it is sorted out.
        own: |violation| {
            violation.at.starts_with("/coupon_code_list/") && matches!(violation.rule, "length" | "charset")
        },
        ..Act::new("busifavor.upload_coupon_codes", upload)
    },
];

/// Most characters of a code.
const LONGEST: usize = 32;

const EXISTS: &str = "批次已存在";

/// All stocks of merchant coupons.
#[derive(Debug, Default)]
pub(super) struct Busifavor {
    stocks: BTreeMap<String, Stock>,
}

#[derive(Debug)]
struct Stock {
    creator: String,
    owner: String,
    out_request_no: String,
    uploads: bool,
    status: Status,
    created: i64,
    ends: i64,
    codes: BTreeMap<String, Code>,
}

/// A code in the pool of a stock.
#[derive(Debug)]
struct Code {
    upload_request_no: String,
    count: u64,
}

/// State of a stock, spelt as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Unaudit,
    Running,
    Paused,
    Stoped,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Unaudit => "UNAUDIT",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stoped => "STOPED",
        }
    }
}

impl Stock {
    /// Lets the clock have its effect.
    fn settle(&mut self, now: i64) {
        if now > self.ends {
            self.status = Status::Stoped;
        }
    }
}

fn create(call: &mut Call<'_>) -> Outcome {
    let owner = call.text("belong_merchant");
    if !call.knows(&owner) {
        let why = "belong_merchant is no merchant of the sandbox";
        return Err(Answer::refuse(400, "MCH_NOT_EXISTS", "商户号不存在", Basis::Documented, why));
    }
    let once =
        Once { same: (call.settings.busifavor_repeat, Basis::Guess), other: (EXISTS, Basis::Guess), exists: EXISTS };
    once.run(call, |call| {
        let stocks = &call.state.busifavor.stocks;
        let stock_id = call.ambient.fresh_digits(16, |id| stocks.contains_key(id));
        let end = call.request.pointer("/coupon_use_rule/coupon_available_time/available_end_time");
        let stock = Stock {
            creator: call.caller.to_owned(),
            owner,
            out_request_no: call.text("out_request_no"),
            uploads: call.text("coupon_code_mode") == "MERCHANT_UPLOAD",
            status: match call.settings.busifavor_first_state {
                BusifavorFirstState::Running => Status::Running,
                BusifavorFirstState::Unaudit => Status::Unaudit,
            },
            created: call.now,
            ends: end.and_then(Value::as_str).and_then(instant).map_or(i64::MAX, |(seconds, _)| seconds),
            codes: BTreeMap::new(),
        };
        let why = format!("a stock is created, {}", stock.status.as_str());
        call.state.busifavor.stocks.insert(stock_id.clone(), stock);
        let body = json!({"stock_id": stock_id, "create_time": time_text(call.now)});
        Ok(Answer::ok(body, Basis::Documented, why))
    })
}

fn upload(call: &mut Call<'_>) -> Outcome {
    find(call)?;
    let once = Once { same: (Repeat::FirstAnswer, Basis::Guess), other: (EXISTS, Basis::Guess), exists: EXISTS };
    once.run(call, |call| {
        let (now, settings) = (call.now, call.settings);
        let (stock_id, number) = (call.text("stock_id"), call.text("upload_request_no"));
        let codes: Vec<String> = match call.request.get("coupon_code_list") {
            Some(Value::Array(codes)) => codes.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let stock = find(call)?;
        if now - stock.created < i64::from(settings.busifavor_creating) {
            let why = "the stock is still being created (setting)";
            let message = "批次正在创建中，请稍后再上传";
            return Err(Answer::refuse(400, "STATEMENT_CREATING", message, Basis::Observed, why));
        }
        if !stock.uploads {
            let why = "coupon_code_mode of the stock is not MERCHANT_UPLOAD";
            return Err(Answer::refuse(400, "INVALID_REQUEST", "发券模式不合法", Basis::Documented, why));
        }
        let sorted = Sorted::new(&codes, stock, settings);
        let pool = u64::try_from(stock.codes.len() + sorted.success.len()).unwrap_or(u64::MAX);
        if settings.busifavor_code_limit.is_some_and(|limit| pool > limit) {
            let why = "the stock would have more codes than it takes (setting)";
            let message = "上传的自定义 code 已达上限";
            return Err(Answer::refuse(400, "INVALID_REQUEST", message, Basis::Documented, why));
        }
        for code in &sorted.success {
            let entry = Code { upload_request_no: number.clone(), count: 0 };
            stock.codes.entry((*code).to_owned()).or_insert(entry).count += 1;
        }
        let basis = if sorted.guessed { Basis::Guess } else { Basis::Documented };
        Ok(Answer::ok(sorted.body(&stock_id, now), basis, "codes are sorted into the documented lists"))
    })
}

/// The stock that a call names; its caller is the creator or the owner.
fn find<'s>(call: &'s mut Call<'_>) -> Outcome<&'s mut Stock> {
    let (stock_id, caller, now) = (call.text("stock_id"), call.caller, call.now);
    let Some(stock) = call.state.busifavor.stocks.get_mut(&stock_id) else {
        let message = "查询的资源不存在";
        return Err(Answer::refuse(404, "RESOURCE_NOT_EXISTS", message, Basis::Documented, "no such stock"));
    };
    stock.settle(now);
    if caller != stock.creator && caller != stock.owner {
        let why = "the caller is neither creator nor owner of the stock";
        return Err(Answer::refuse(403, "NOAUTH", "无权限", Basis::Documented, why));
    }
    Ok(stock)
}

/// The codes of one upload, sorted; each list in the order of the request.
struct Sorted<'a> {
    /// Number of distinct codes.
    total: usize,
    success: Vec<&'a str>,
    exist: Vec<&'a str>,
    duplicate: Vec<&'a str>,
    fail: Vec<Value>,
    /// Whether the answer rests on a guess.
    guessed: bool,
}

impl<'a> Sorted<'a> {
    fn new(codes: &'a [String], stock: &Stock, settings: &Settings) -> Self {
        let (mut success, mut exist, mut duplicate, mut fail) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut seen, mut twice, mut guessed) = (HashSet::new(), HashSet::new(), false);
        for code in codes.iter().map(String::as_str) {
            if !seen.insert(code) {
                if twice.insert(code) {
                    duplicate.push(code);
                }
                continue;
            }
            let length = code.chars().count();
            if length > LONGEST || length == 0 {
                let message = if length == 0 { "长度小于最小值 1 位" } else { "长度超过最大值 32 位" };
                guessed |= length == 0;
                fail.push(json!({"coupon_code": code, "code": "LENGTH_LIMIT", "message": message}));
            } else if !code.chars().all(allowed) {
                guessed = true;
                let reason = &settings.busifavor_bad_character;
                fail.push(json!({"coupon_code": code, "code": reason, "message": "含有不允许的字符"}));
            } else if stock.codes.contains_key(code) {
                exist.push(code);
            } else {
                success.push(code);
            }
        }
        Self { total: seen.len(), success, exist, duplicate, fail, guessed }
    }

    /// The answer; an empty list is left out.
    fn body(&self, stock_id: &str, now: i64) -> Value {
        let mut body = Map::new();
        body.insert("stock_id".to_owned(), json!(stock_id));
        body.insert("total_count".to_owned(), json!(self.total));
        body.insert("success_count".to_owned(), json!(self.success.len()));
        body.insert("fail_count".to_owned(), json!(self.fail.len()));
        body.insert("success_time".to_owned(), json!(time_text(now)));
        for (name, codes) in
            [("success_codes", &self.success), ("exist_codes", &self.exist), ("duplicate_codes", &self.duplicate)]
        {
            if !codes.is_empty() {
                body.insert(name.to_owned(), json!(codes));
            }
        }
        if !self.fail.is_empty() {
            body.insert("fail_codes".to_owned(), json!(self.fail));
        }
        Value::Object(body)
    }
}

/// Whether a code may have this character.
fn allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, ' ' | '-' | '_' | '\\' | '/' | '=' | '|')
}

impl Busifavor {
    pub(super) fn enter(&mut self, now: i64, ledger: &mut Ledger) {
        for (stock_id, stock) in &mut self.stocks {
            stock.settle(now);
            ledger.stocks.push(StockEffect {
                family: "busifavor",
                stock_id: stock_id.clone(),
                creator: stock.creator.clone(),
                out_request_no: stock.out_request_no.clone(),
                status: stock.status.as_str(),
                count: 1,
            });
            ledger.coupon_codes.extend(stock.codes.iter().map(|(code, entry)| CodeEffect {
                stock_id: stock_id.clone(),
                code: code.clone(),
                upload_request_no: entry.upload_request_no.clone(),
                count: entry.count,
            }));
        }
    }

    /// Moves a stock as no API can; `None` if it is none of these.
    pub(super) fn act(
        &mut self,
        act: &str,
        stock_id: &str,
        to: &str,
        now: i64,
    ) -> Option<Result<&'static str, String>> {
        let stock = self.stocks.get_mut(stock_id)?;
        stock.settle(now);
        let next = match (act, to, stock.status) {
            ("audit", "pass", Status::Unaudit) | ("console", "restart", Status::Paused) => Status::Running,
            ("audit", "refuse", Status::Unaudit) | ("console", "stop", Status::Running | Status::Paused) => {
                Status::Stoped
            }
            ("console", "pause", Status::Running) => Status::Paused,
            (_, _, status) => {
                let possible = "pass, refuse (audit), pause, restart, stop (console)";
                return Some(Err(immovable(act, to, status.as_str(), possible)));
            }
        };
        stock.status = next;
        Some(Ok(next.as_str()))
    }
}
