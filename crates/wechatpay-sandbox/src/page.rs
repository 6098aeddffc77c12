//! The page for people, `/_sandbox/`: written on the server, so that it can be read without JavaScript.
//!
//! Everything on it comes from requests, that is, from anybody: [`Html`] escapes whatever it is given.

mod html;

use crate::World;
use crate::api::Api;
use crate::control::Filter;
use crate::explain::{Explanation, Pair, Piece, side_by_side};
use crate::faults::FAULTS;
use crate::log::{Basis, Exchange, Verdict};
use crate::state::{ACTIONS, Action, Attempt, Event, Ledger, Standing};
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use html::Html;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Nothing from elsewhere, nothing inline, and no other site's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// How many rows a table shows.
const ROWS: usize = 200;

/// `GET /_sandbox/`
pub(crate) async fn show(State(api): State<Arc<Api>>, request: Request) -> Response {
    let filter = match Filter::of(&request) {
        Ok(filter) => filter,
        Err(message) => return refusal(StatusCode::BAD_REQUEST, &message),
    };
    let mut world = api.world();
    let mut html = Html::default();
    head(&mut html, &world);
    clock(&mut html, &world);
    requests(&mut html, &world, &filter);
    let ledger = world.ledger();
    acts(&mut html, &ledger);
    effects(&mut html, &ledger);
    events(&mut html, &world);
    faults(&mut html, &world);
    settings(&mut html, &world);
    page(StatusCode::OK, &html)
}

/// What a form has come to, where that is nothing.
pub(crate) fn refusal(status: StatusCode, message: &str) -> Response {
    let mut html = Html::default();
    html.raw("<section><h2>That did not work</h2><p class=wrong>").text(message);
    html.raw("</p><p><a href=\"/_sandbox/\">Back</a></p></section>");
    page(status, &html)
}

/// `GET /_sandbox/page.css`
pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("page/page.css"))
}

/// `GET /_sandbox/page.js`
pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("page/page.js"))
}

fn page(status: StatusCode, content: &Html) -> Response {
    let mut html = Html::default();
    html.raw(include_str!("page/head.html")).append(content).raw("</main>\n</body>\n</html>\n");
    (status, file("text/html; charset=utf-8", html.as_str())).into_response()
}

fn file(content_type: &'static str, text: &str) -> Response {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("referrer-policy"), "same-origin"),
    ];
    (headers, text.to_owned()).into_response()
}

fn head(html: &mut Html, world: &World) {
    html.raw("<p class=quiet>Version ").text(env!("CARGO_PKG_VERSION")).raw(" · seed ").text(world.ambient.seed());
    html.raw(
        " · <a href=\"/_sandbox/openapi.json\">OpenAPI</a> · <a href=\"/_sandbox/requests\">requests as JSON</a></p>",
    );
}

fn clock(html: &mut Html, world: &World) {
    html.raw("<section id=clock><h2>Clock</h2><p><time>").text(world.ambient.now_text()).raw("</time> ");
    html.raw("<span class=quiet>(").text(world.ambient.clock_name()).raw(")</span></p><div class=buttons>");
    for (label, seconds) in [("+ 1 minute", 60), ("+ 1 hour", 3600), ("+ 1 day", 86_400), ("+ 30 days", 30 * 86_400)] {
        html.button("/_sandbox/clock", &json!({"advance_seconds": seconds}), label);
    }
    html.raw("<form method=post action=\"/_sandbox/clock\"><label>Set to <input name=set size=25 value=\"");
    html.text(world.ambient.now_text()).raw("\"></label><button>Set</button></form>");
    html.button("/_sandbox/reset", &json!({}), "Reset everything").raw("</div></section>");
}

fn requests(html: &mut Html, world: &World, filter: &Filter) {
    let found = filter.pick(world.log.newest());
    html.raw("<section id=requests><h2>Requests</h2>");
    search(html, filter);
    if found.is_empty() {
        html.raw("<p class=quiet>None. Point a client at this address, or run <code>wechatpay call</code>.</p>");
    }
    html.raw("<ol class=log>");
    for exchange in found {
        entry(html, exchange);
    }
    html.raw("</ol></section>");
}

/// The form of the filter.
fn search(html: &mut Html, filter: &Filter) {
    html.raw("<form class=filter method=get action=\"/_sandbox/\">");
    let number = |number: Option<String>| number.unwrap_or_default();
    for (name, label, value, size) in [
        ("operation", "Operation", filter.operation.clone(), 22),
        ("status", "Status", filter.status.map(|status| status.to_string()), 4),
        ("mchid", "Merchant", filter.mchid.clone(), 11),
        ("failed", "Failed check", filter.failed.clone(), 9),
        ("limit", "At most", filter.limit.map(|limit| limit.to_string()), 4),
    ] {
        html.raw("<label>").text(label).raw(" <input name=").text(name).raw(" size=").text(size).raw(" value=\"");
        html.text(number(value)).raw("\"></label>");
    }
    html.raw("<button>Filter</button></form>");
}

fn entry(html: &mut Html, exchange: &Exchange) {
    let failed = exchange.status.is_none_or(|status| status >= 400);
    html.raw("<li><details id=\"r").text(exchange.id).raw("\"").raw(if exchange.explanation.is_some() {
        " open"
    } else {
        ""
    });
    html.raw("><summary><span class=\"status ").raw(if failed { "bad" } else { "good" }).raw("\">");
    match exchange.status {
        Some(status) => html.text(status),
        None => html.raw("—"),
    };
    html.raw("</span> <b>")
        .text(&exchange.method)
        .raw("</b> <span class=target>")
        .text(&exchange.target)
        .raw("</span> ");
    if let Some(code) = &exchange.code {
        html.raw("<span class=code>").text(code).raw("</span> ");
    }
    basis(html, exchange.basis);
    html.raw("<span class=checks>");
    for (name, verdict) in exchange.checks.named() {
        let (class, mark) = match verdict {
            Verdict::Ok => ("good", "✓"),
            Verdict::Failed => ("bad", "✗"),
            Verdict::Skipped => ("quiet", "·"),
        };
        html.raw("<span class=").raw(class).raw(">").raw(mark).raw(" ").text(name).raw("</span> ");
    }
    html.raw("</span>");
    if let Some(explanation) = &exchange.explanation {
        html.raw("<span class=cause>").text(explanation.cause).raw("</span>");
    }
    html.raw("</summary>");
    facts(html, exchange);
    if let Some(explanation) = &exchange.explanation {
        explained(html, explanation);
    }
    html.raw("</details></li>");
}

fn basis(html: &mut Html, basis: Basis) {
    let name = match basis {
        Basis::Documented => "documented",
        Basis::Observed => "observed",
        Basis::Guess => "guess",
        Basis::Sandbox => "sandbox",
    };
    html.raw("<span class=\"basis ").raw(name).raw("\">").raw(name).raw("</span> ");
}

fn facts(html: &mut Html, exchange: &Exchange) {
    html.raw("<dl>");
    let operation = exchange.operation.map(str::to_owned);
    for (name, value) in [
        ("Why", Some(exchange.why.clone())),
        ("Time", Some(exchange.time.clone())),
        ("Operation", operation),
        ("Merchant", exchange.mchid.clone()),
        ("Request-ID", Some(exchange.request_id.clone())),
        ("Fault", exchange.fault.clone()),
        ("Fault rule", exchange.rule.map(|rule| rule.to_string())),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            html.raw("<dt>").text(name).raw("</dt><dd>").text(value).raw("</dd>");
        }
    }
    html.raw("</dl>");
    if !exchange.violations.is_empty() {
        html.raw("<ul class=violations>");
        for violation in &exchange.violations {
            html.raw("<li><code>")
                .text(&violation.at)
                .raw("</code> ")
                .text(violation.rule)
                .raw(": ")
                .text(&violation.issue);
            html.raw("</li>");
        }
        html.raw("</ul>");
    }
}

fn explained(html: &mut Html, explanation: &Explanation) {
    html.raw("<div class=explanation><p><strong>")
        .text(&explanation.says)
        .raw("</strong></p><p>")
        .text(&explanation.advice);
    html.raw("</p>");
    if !explanation.also.is_empty() {
        let also: Vec<_> = explanation.also.iter().map(ToString::to_string).collect();
        html.raw("<p class=quiet>Also: ").text(also.join(", ")).raw("</p>");
    }
    if let Some(difference) = &explanation.first_difference {
        html.raw("<p class=quiet>They begin to differ at byte ")
            .text(difference.at)
            .raw(", in line ")
            .text(difference.line);
        html.raw(".</p>");
    }
    let pairs = match &explanation.received {
        Some(received) => side_by_side(&explanation.expected, received),
        None => side_by_side(&explanation.expected, &explanation.expected),
    };
    html.raw("<div class=wide><table class=sides><thead><tr><th>To be signed</th>");
    if explanation.received.is_some() {
        html.raw("<th>What was signed</th>");
    }
    html.raw("</tr></thead><tbody>");
    for Pair { expected, received, .. } in &pairs {
        html.raw("<tr>");
        piece(html, expected.as_ref());
        if explanation.received.is_some() {
            piece(html, received.as_ref());
        }
        html.raw("</tr>");
    }
    html.raw("</tbody></table></div></div>");
}

fn piece(html: &mut Html, piece: Option<&Piece>) {
    let Some(Piece { before, differs, after, .. }) = piece else {
        html.raw("<td class=none></td>");
        return;
    };
    html.raw("<td><code>").text(before);
    if !differs.is_empty() {
        html.raw("<mark>").text(differs).raw("</mark>");
    }
    html.text(after).raw("</code></td>");
}

/// A form for each thing that no API does.
fn acts(html: &mut Html, ledger: &Ledger) {
    html.raw("<section id=act><h2>What no API does</h2>");
    choices(html, "stock_id", ledger.stocks.iter().map(|stock| stock.stock_id.as_str()));
    choices(html, "coupon_id", ledger.coupons.iter().map(|coupon| coupon.coupon_id.as_str()));
    choices(html, "transaction_id", ledger.payments.iter().map(|payment| payment.transaction_id.as_str()));
    for Action { name, takes, to } in ACTIONS {
        html.raw("<form class=act method=post action=\"/_sandbox/act\">");
        for field in *takes {
            let (unit, kind) = if *field == "amount" { (" in fen", ":integer") } else { ("", "") };
            html.raw("<label>").text(field.replace('_', " ")).raw(unit).raw(" <input size=14 list=\"l-").text(field);
            html.raw("\" name=\"").text(field).raw(kind).raw("\"></label>");
        }
        if !to.is_empty() {
            html.raw("<label>to <select name=to>");
            for to in *to {
                html.raw("<option>").text(to).raw("</option>");
            }
            html.raw("</select></label>");
        }
        html.raw("<button name=act value=\"")
            .text(name)
            .raw("\">")
            .text(name.replace('_', " "))
            .raw("</button></form>");
    }
    html.raw("</section>");
}

/// What a field of this name is likely to be, the newest first.
fn choices<'a>(html: &mut Html, field: &str, values: impl DoubleEndedIterator<Item = &'a str>) {
    html.raw("<datalist id=\"l-").text(field).raw("\">");
    for value in values.rev().take(ROWS) {
        html.raw("<option>").text(value).raw("</option>");
    }
    html.raw("</datalist>");
}

fn effects(html: &mut Html, ledger: &Ledger) {
    let Ok(Value::Object(ledger)) = serde_json::to_value(ledger) else { return };
    html.raw("<section id=ledger><h2>Ledger</h2>");
    for name in ["stocks", "coupons", "coupon_codes", "payments", "refunds", "budgets", "accounts", "request_numbers"] {
        if let Some(Value::Array(rows)) = ledger.get(name) {
            table(html, name, rows);
        }
    }
    html.raw("</section>");
}

fn events(html: &mut Html, world: &World) {
    let all = world.state.outbox.all().len();
    html.raw("<section id=events><h2>Notifications <span class=quiet>").text(all).raw("</span></h2><ol class=log>");
    for event in world.state.outbox.all().rev().take(ROWS) {
        notification(html, event);
    }
    html.raw("</ol>");
    if all > ROWS {
        html.raw("<p class=quiet>The newest ").text(ROWS).raw("; all of them are in the JSON.</p>");
    }
    html.raw("</section>");
}

fn notification(html: &mut Html, event: &Event) {
    let (class, standing) = match event.standing {
        Standing::NoAddress => ("quiet", "no address"),
        Standing::Waiting => ("quiet", "waiting"),
        Standing::Delivered => ("good", "delivered"),
        Standing::GivenUp => ("bad", "given up"),
        Standing::Refused => ("bad", "refused"),
    };
    html.raw("<li><details id=\"e").text(&event.id).raw("\"><summary><span class=").raw(class).raw(">").raw(standing);
    html.raw("</span> <b>").text(event.event_type).raw("</b> <span class=quiet>").text(event.attempts.len());
    html.raw(if event.attempts.len() == 1 { " attempt" } else { " attempts" }).raw("</span></summary><dl>");
    for (name, value) in [
        ("Id", Some(&event.id)),
        ("Time", Some(&event.create_time)),
        ("Merchant", Some(&event.mchid)),
        ("To", event.notify_url.as_ref()),
        ("Next attempt", event.next_attempt.as_ref()),
        ("Payload", Some(&event.payload.to_string())),
    ] {
        if let Some(value) = value {
            html.raw("<dt>").raw(name).raw("</dt><dd>").text(value).raw("</dd>");
        }
    }
    html.raw("</dl><ol>");
    for Attempt { time, status, accepted, reason, .. } in &event.attempts {
        html.raw("<li><time>").text(time).raw("</time> <span class=").raw(if *accepted { "good>" } else { "bad>" });
        html.text(status.map_or_else(|| "—".to_owned(), |status| status.to_string()));
        html.raw("</span> ").text(reason).raw("</li>");
    }
    html.raw("</ol></details></li>");
}

/// Columns that come first, in this order; the others follow by name.
const FIRST: [&str; 8] = ["family", "stock_id", "coupon_id", "code", "operation", "mchid", "creator", "status"];

/// Objects as a table.
fn table(html: &mut Html, name: &str, rows: &[Value]) {
    html.raw("<details id=\"t-").text(name).raw("\"").raw(if rows.is_empty() { "" } else { " open" }).raw("><summary>");
    html.text(name.replace('_', " ")).raw(" <span class=quiet>").text(rows.len()).raw("</span></summary>");
    if let Some(Value::Object(first)) = rows.first() {
        let place = |name: &&String| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len());
        let mut columns: Vec<_> = first.keys().collect();
        columns.sort_by_key(place);
        html.raw("<div class=wide><table><thead><tr>");
        for column in &columns {
            html.raw("<th>").text(column.replace('_', " ")).raw("</th>");
        }
        html.raw("</tr></thead><tbody>");
        for row in rows.iter().rev().take(ROWS) {
            html.raw("<tr>");
            for column in &columns {
                cell(html, row.get(column.as_str()).unwrap_or(&Value::Null));
            }
            html.raw("</tr>");
        }
        html.raw("</tbody></table></div>");
    }
    if rows.len() > ROWS {
        html.raw("<p class=quiet>The newest ").text(ROWS).raw("; all of them are in the JSON.</p>");
    }
    html.raw("</details>");
}

fn cell(html: &mut Html, value: &Value) {
    match value {
        Value::Null => html.raw("<td class=quiet>—</td>"),
        Value::Number(number) => html.raw("<td class=number>").text(number).raw("</td>"),
        Value::String(text) => html.raw("<td>").text(text).raw("</td>"),
        other => html.raw("<td><code>").text(other).raw("</code></td>"),
    };
}

fn faults(html: &mut Html, world: &World) {
    html.raw(
        "<section id=faults><h2>Faults</h2><p>A request with the header <code>X-Sandbox-Fault: NAME[=argument]</code> ",
    );
    html.raw("goes wrong, and so does one to which a rule applies.</p>");
    rules(html, world);
    html.raw("<form method=post action=\"/_sandbox/faults\">");
    html.raw("<label>Fault <input name=fault required size=16></label>");
    html.raw("<label>Operation <input name=operation size=22></label>");
    html.raw("<label>From the nth <input name=\"nth:integer\" size=4></label>");
    html.raw("<label>Times <input name=\"times:integer\" size=4></label><button>Add rule</button></form>");
    html.raw("<details id=\"t-faults\"><summary>All faults <span class=quiet>").text(FAULTS.len());
    html.raw("</span></summary><dl>");
    for kind in FAULTS {
        html.raw("<dt><code>").text(kind.name).text(kind.argument).raw("</code></dt><dd>").text(kind.meaning);
        html.raw(if kind.acts { " <span class=quiet>(acted upon)</span></dd>" } else { "</dd>" });
    }
    html.raw("</dl></details></section>");
}

/// The rules that stand, each with a button that removes it.
fn rules(html: &mut Html, world: &World) {
    let rules = world.faults.all();
    if rules.is_empty() {
        return;
    }
    html.raw(
        "<div class=wide><table><thead><tr><th>Rule</th><th>Seen</th><th>Applied</th><th></th></tr></thead><tbody>",
    );
    for standing in rules {
        html.raw("<tr><td><code>").text(&standing.rule).raw("</code></td><td>").text(standing.seen);
        html.raw("</td><td>").text(standing.applied);
        html.raw("</td><td><form method=post action=\"/_sandbox/faults/").text(standing.id);
        html.raw("\"><button name=_method value=DELETE>Remove</button></form></td></tr>");
    }
    html.raw("</tbody></table></div>");
}

fn settings(html: &mut Html, world: &World) {
    let settings = serde_json::to_value(&world.settings).unwrap_or_default();
    let settings: Map<String, Value> = settings.as_object().cloned().unwrap_or_default();
    html.raw("<section id=settings><h2>Settings</h2><details id=\"t-settings\"><summary>What the documents leave open <span class=quiet>");
    html.text(settings.len()).raw("</span></summary><dl>");
    for (name, value) in &settings {
        html.raw("<dt>").text(name).raw("</dt><dd><code>").text(value).raw("</code></dd>");
    }
    html.raw("</dl></details>");
    html.raw("<form method=post action=\"/_sandbox/settings\"><label>Change <input name=json size=40 placeholder='{\"sign_with\": \"certificate\"}'></label><button>Change</button></form>");
    html.raw("</section>");
}
