//! Which documented refusals a state of the sandbox leads to, and which are asked for by `error=`.
//!
//! The snapshot is the list. What is tried stands in `refusals.json`, a situation each; beside it, every operation is called with
//! nothing there, with its fields left out and spoilt one by one, and about things and merchants that do not exist. A row counts as reached
//! when a request without a fault was refused with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use wechatpay_hyper::Hyper;
use wechatpay_model::Spec;
use wechatpay_model::operation::{Body, ErrorRow, Idempotency};
use wechatpay_protocol::request::File;
use wechatpay_protocol::response::document;
use wechatpay_protocol::{Client, Error, Reply};
use wechatpay_sandbox::Settings;
use wechatpay_tests::rehearsal::{Rehearsal, number};
use wechatpay_tests::road::{base, merchant, public_key};
use wechatpay_tests::scene::{Scene, as_printed};
use wechatpay_tests::stage::{ClockOf, Judged, StageClient};
use wechatpay_tests::story::set;

/// What is the case when a call is made, beside what its scene brings about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Situation {
    what: String,
    /// The operations, or families with a dot.
    of: Vec<String>,
    /// Whether nothing at all comes before.
    #[serde(default)]
    bare: bool,
    /// The operation whose scene is played; its own by default.
    scene: Option<String>,
    /// Places of the stock that are not as usual.
    #[serde(default)]
    stock: Map<String, Value>,
    /// Settings that hold from after the scene.
    #[serde(default)]
    settings: Map<String, Value>,
    /// Calls of the first merchant that are done, each with some fields in place of those that are printed.
    #[serde(default)]
    before: Vec<(String, Value)>,
    /// What happens outside the API.
    #[serde(default)]
    acts: Vec<Value>,
    turn_to: Option<String>,
    /// Who calls, among those of the rehearsal.
    #[serde(default)]
    caller: usize,
    /// Whether the caller signs with another's key.
    #[serde(default)]
    forged: bool,
    /// Places of the request that are not as usual.
    #[serde(default)]
    request: Map<String, Value>,
    /// How often it is called, each time with a number of its own.
    #[serde(default = "once")]
    calls: usize,
    /// Places that differ when it is called again with the same number.
    again: Option<Map<String, Value>>,
    /// Bytes of the file, where one is uploaded.
    #[serde(default = "few")]
    file: usize,
    /// Whether it has led to any refusal.
    #[serde(skip)]
    refuses: bool,
}

fn once() -> usize {
    1
}

fn few() -> usize {
    8
}

impl Situation {
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("refusals.json")).expect("the table of situations")
    }

    fn concerns(&self, id: &str) -> bool {
        self.of.iter().any(|of| id == of || of.ends_with('.') && id.starts_with(of))
    }
}

/// The rows that were reached: operation and place in its table.
#[derive(Default)]
struct Reached {
    rows: BTreeSet<(&'static str, usize)>,
    /// Those without words of a code that was met, where the words that came with it are no row's of the operation.
    among: BTreeSet<(&'static str, usize)>,
}

impl Reached {
    /// Notes how a call was refused; says whether it was done.
    fn note(&mut self, spec: &'static Spec, outcome: Result<Reply<Value>, Error>) -> bool {
        let refusal = match outcome {
            Ok(_) => return true,
            Err(Error::Api(refusal)) => refusal,
            Err(Error::OutcomeUnknown(unknown)) => match unknown.source {
                Error::Api(refusal) => refusal,
                other => panic!("{}: {other}", spec.id()),
            },
            Err(other) => panic!("{}: {other}", spec.id()),
        };
        let rows = document(Some(spec), refusal.status, refusal.code.as_str(), &refusal.message);
        let place = |row: &ErrorRow| spec.errors().iter().position(|own| std::ptr::eq(own, row));
        match rows[..] {
            [row] if place(row).is_some() => self.rows.extend(place(row).map(|place| (spec.id(), place))),
            _ => {
                let alike = |row: &ErrorRow| {
                    row.message().is_empty() && (row.status(), row.code()) == (refusal.status, refusal.code.as_str())
                };
                let rows = spec.errors().iter().enumerate().filter(|(_, row)| alike(row));
                self.among.extend(rows.map(|(place, _)| (spec.id(), place)));
            }
        }
        false
    }
}

/// A world in which situations are tried, one after the other.
struct Trial {
    world: Rehearsal,
    forger: StageClient,
    reached: Reached,
    /// What went otherwise than the table says.
    surprises: Vec<String>,
}

impl Trial {
    async fn start() -> Self {
        let world = Rehearsal::start().await;
        let mut forged = world.sandbox.merchants()[0].clone();
        forged.private_key_pem.clone_from(&world.sandbox.merchants()[1].private_key_pem);
        let forger = Client::new(Judged(Hyper::new()), merchant(&forged), public_key(&forged))
            .with_base_url(base(&world.sandbox))
            .with_stamper(ClockOf(world.sandbox.clone()));
        Self { world, forger, reached: Reached::default(), surprises: Vec::new() }
    }

    fn afresh(&self) {
        self.world.sandbox.reset();
        self.world.sandbox.set_settings(Settings::default());
        self.world.turn_to("2026-01-05T10:00:00+08:00");
    }

    /// Sends a request, also one that the client would not send; says whether it was done.
    async fn send(&mut self, client: Option<usize>, spec: &'static Spec, mut request: Value, file: usize) -> bool {
        let client = client.map_or(&self.forger, |caller| self.world.client_of(caller));
        let outcome = if spec.body() == Body::Multipart {
            let bytes = vec![b'x'; file];
            let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            request["sha256"] = json!(digest);
            client.call_upload(spec, request, File { name: "a.png", bytes: &bytes }).await
        } else {
            match client.call(spec, request.clone()).await {
                Err(Error::Invalid(_)) => unchecked(client, spec, &request).await,
                outcome => outcome,
            }
        };
        // What the client does not upload leads nowhere.
        matches!(outcome, Err(Error::Invalid(_))) || self.reached.note(spec, outcome)
    }

    /// Brings a situation about and calls; says whether that was refused.
    async fn play(&mut self, spec: &'static Spec, situation: &Situation, plain: &(Value, Value)) -> bool {
        let title = format!("{}: {}", spec.id(), situation.what);
        let fields = if situation.bare {
            self.afresh();
            json!({})
        } else if situation.scene.is_none() && situation.stock.is_empty() {
            self.world.sandbox.restore(&plain.0).expect("its own snapshot");
            plain.1.clone()
        } else {
            self.afresh();
            let changes: Vec<_> =
                situation.stock.iter().map(|(place, value)| (place.as_str(), value.clone())).collect();
            let scene = Scene { world: &self.world, changes: &changes };
            scene.ready(situation.scene.as_deref().unwrap_or(spec.id())).await
        };
        let mut request = as_printed(spec.id(), &fields);
        let known = with(&fields, &request);
        for (place, value) in &situation.request {
            set(&mut request, place, value.clone());
        }
        self.world.settings(filled(&json!(situation.settings), &known));
        for (operation, fields) in &situation.before {
            self.world.done(operation, as_printed(operation, &filled(fields, &known))).await;
        }
        for act in &situation.acts {
            self.world.act(filled(act, &known));
        }
        if let Some(time) = &situation.turn_to {
            self.world.turn_to(time);
        }
        let client = (!situation.forged).then_some(situation.caller);
        let mut done = true;
        for call in 1..=situation.calls {
            renumber(spec, &mut request);
            done = self.send(client, spec, filled(&request, &known), situation.file).await;
            let last = call == situation.calls && situation.again.is_none();
            // What is said of a family need not concern each of its operations.
            if done == last && !(last && situation.of.iter().all(|of| of != spec.id())) {
                let last = self.world.last();
                self.surprises.push(format!("{title}: call {call}: {:?} {}", last.status, last.why));
            }
        }
        if let Some(changes) = &situation.again {
            for (place, value) in changes {
                set(&mut request, place, value.clone());
            }
            done = self.send(client, spec, request, situation.file).await;
            if done {
                self.surprises.push(format!("{title}: the number could be used again"));
            }
        }
        !done
    }

    /// Leaves out and spoils each field, and names what is not there.
    async fn spoil(&mut self, spec: &'static Spec, plain: &(Value, Value)) {
        let whole = as_printed(spec.id(), &plain.1);
        let schema: Value = serde_json::from_str(spec.schema()).expect("the embedded schema is JSON");
        let required = schema["request"]["required"].as_array().cloned().unwrap_or_default();
        let mut spoilt: Vec<(String, Value)> = vec![(String::new(), json!(null))];
        for (name, value) in whole.as_object().expect("an object") {
            if required.contains(&json!(name)) {
                let path = spec.path().contains(&format!("{{{name}}}"));
                spoilt.push((name.clone(), if path { json!("") } else { Value::Null }));
            }
            if name.ends_with("_time") {
                spoilt.push((name.clone(), json!("yesterday")));
            }
            if name == "limit" {
                spoilt.push((name.clone(), json!(100_000)));
            }
            if value.is_string() && (name.ends_with("_id") || name.ends_with("_code")) {
                spoilt.push((name.clone(), json!("4711")));
            }
        }
        let merchants = ["mchid", "stock_creator_mchid", "creator_mchid", "belong_merchant"];
        let others = ["payee_merchant", "creator_merchant", "available_mchid", "sender_mchid"];
        let properties = &schema["request"]["properties"];
        for name in merchants.into_iter().chain(others).filter(|name| properties.get(name).is_some()) {
            spoilt.extend(["1900000999", "nobody"].map(|mchid| (name.to_owned(), json!(mchid))));
        }
        // None of several that can stand for each other.
        let rules = schema["rules"].as_array().cloned().unwrap_or_default();
        let choices: Vec<&Value> = rules.iter().filter_map(|rule| rule.get("at_least_one")).collect();
        for (name, value) in spoilt {
            self.world.sandbox.restore(&plain.0).expect("its own snapshot");
            let mut request = whole.clone();
            if name.is_empty() {
                let places = choices.iter().flat_map(|choice| choice.as_array().expect("places"));
                for place in places.map(|place| place.as_str().expect("a place")) {
                    if request.pointer(place).is_some() {
                        set(&mut request, place, Value::Null);
                    }
                }
            } else {
                set(&mut request, &format!("/{name}"), value);
            }
            self.send(Some(0), spec, request, few()).await;
        }
    }

    /// Everything that is tried with one operation.
    async fn try_all(&mut self, spec: &'static Spec, situations: &mut [Situation]) {
        let id = spec.id();
        self.afresh();
        self.send(Some(0), spec, as_printed(id, &json!({})), few()).await;
        self.afresh();
        let fields = Scene { world: &self.world, changes: &[] }.ready(id).await;
        self.world.sandbox.settled().await;
        let plain = (self.world.sandbox.snapshot().expect("a snapshot"), fields);
        let done = self.send(Some(0), spec, as_printed(id, &plain.1), few()).await;
        if !done {
            self.surprises.push(format!("{id} is refused in its own scene: {}", self.world.last().why));
        }
        self.spoil(spec, &plain).await;
        for situation in situations.iter_mut().filter(|situation| situation.concerns(id)) {
            situation.refuses |= self.play(spec, situation, &plain).await;
        }
        // The same number for another thing of the same kind.
        if let Idempotency::Key(_) = spec.idempotency() {
            self.afresh();
            let reused = format!("number-{}", number());
            for _ in 0..2 {
                let fields = Scene { world: &self.world, changes: &[] }.ready(id).await;
                let mut request = as_printed(id, &fields);
                give_number(spec, &mut request, &reused);
                self.send(Some(0), spec, request, few()).await;
            }
        }
    }
}

/// Sends a request as it is, whatever the limits say.
async fn unchecked(client: &StageClient, spec: &Spec, request: &Value) -> Result<Reply<Value>, Error> {
    let mut body = request.clone();
    let fields = body.as_object_mut().expect("an object");
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let segment = |segment: &str| match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
        Some(name) => fields.remove(name).map(|value| text(&value)).unwrap_or_default(),
        None => segment.to_owned(),
    };
    let path: Vec<_> = spec.path().split('/').map(segment).collect();
    let query = spec.query().iter().filter_map(|name| Some((*name, text(&fields.remove(*name)?))));
    let query: Vec<_> = query.collect();
    let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for name in spec.header() {
        fields.remove(*name);
    }
    let method: Method = spec.method().as_str().parse().expect("a method");
    let body = (spec.body() == Body::Json).then_some(&body);
    client.send_raw(method, &path.join("/"), &query, body).await
}

/// Gives a request a number that no other has.
fn renumber(spec: &Spec, request: &mut Value) {
    give_number(spec, request, &format!("number-{}", number()));
}

fn give_number(spec: &Spec, request: &mut Value, number: &str) {
    if let Idempotency::Key(place) = spec.idempotency() {
        let place = if place.starts_with('/') { place.to_owned() } else { format!("/{place}") };
        set(request, &place, json!(number));
    }
}

/// The fields of both.
fn with(fields: &Value, more: &Value) -> Value {
    let objects = [fields, more].map(|object| object.as_object().expect("an object").clone());
    objects.into_iter().flatten().collect()
}

/// `$name` stands for a field of the request, and `$fresh` for what is new each time.
fn filled(value: &Value, known: &Value) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix('$') {
            Some("fresh") => json!(format!("o{}", number())),
            Some(name) => known.get(name).unwrap_or_else(|| panic!("{known} has no {name}")).clone(),
            None => value.clone(),
        },
        Value::Array(items) => items.iter().map(|item| filled(item, known)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, field)| (name.clone(), filled(field, known))).collect(),
        _ => value.clone(),
    }
}

/// How a row is provoked, and why by `error=` where it is that.
fn provoked(reached: &Reached, spec: &'static Spec, place: usize) -> &'static str {
    let row = &spec.errors()[place];
    let same =
        |other: &ErrorRow| (other.status(), other.code(), other.message()) == (row.status(), row.code(), row.message());
    let of_family = || wechatpay_model::operations().filter(|other| other.family() == spec.family());
    let elsewhere = || {
        let mut all = of_family().flat_map(|spec| spec.errors().iter().enumerate().map(move |row| (spec.id(), row)));
        all.any(|(id, (place, other))| same(other) && reached.rows.contains(&(id, place)))
    };
    match () {
        () if reached.rows.contains(&(spec.id(), place)) => "by state",
        () if reached.among.contains(&(spec.id(), place)) => "by state, untold",
        () if row.code() == "SYSTEM_ERROR" => "by error=, trouble of the platform",
        () if elsewhere() => "by error=, other operations' too",
        () => "by error=, no state is known",
    }
}

#[tokio::test]
async fn what_a_state_leads_to_and_what_must_be_asked_for() {
    let mut situations = Situation::all();
    let mut trial = Trial::start().await;
    for spec in wechatpay_model::operations() {
        trial.try_all(spec, &mut situations).await;
    }
    let idle = situations.iter().filter(|situation| !situation.refuses);
    trial.surprises.extend(idle.map(|situation| format!("{} ({:?}) leads to nothing", situation.what, situation.of)));
    assert!(trial.surprises.is_empty(), "{:#?}", trial.surprises);
    let mut text = String::new();
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for spec in wechatpay_model::operations() {
        writeln!(text, "{}", spec.id()).unwrap();
        let mut seen: Vec<(u16, &str)> = Vec::new();
        for (place, row) in spec.errors().iter().enumerate() {
            seen.push((row.status(), row.code()));
            let n = seen.iter().filter(|other| **other == (row.status(), row.code())).count();
            let how = provoked(&trial.reached, spec, place);
            *counts.entry(how).or_default() += 1;
            let line = format!("  {how:34} {}:{}:{n} {}", row.status(), row.code(), row.message());
            writeln!(text, "{}", line.trim_end()).unwrap();
        }
    }
    for (how, count) in counts {
        writeln!(text, "{count} {how}").unwrap();
    }
    insta::assert_snapshot!(text);
}
