//! What may stand in a schema file. `operation.schema.json` is made from these structs.

use crate::source::{Json, Ordered};
use schemars::JsonSchema;
use serde::Deserialize;

/// One operation of the WeChat Pay v3 API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperationFile {
    /// Where an editor finds the description of this file.
    #[serde(rename = "$schema")]
    #[expect(dead_code, reason = "it is there for editors")]
    pub schema: Option<String>,
    /// `family.verb_noun`, equal to the file's place.
    pub id: String,
    /// English title.
    pub title: String,
    /// Title of the official page.
    pub title_zh: String,
    /// Who may call it.
    pub audience: Vec<Audience>,
    /// Pages that it was transcribed from.
    pub source: Vec<String>,
    /// HTTP method.
    pub method: Method,
    /// Path; `{name}` stands for the request field of that name.
    pub path: String,
    /// Path under which a brand calls it with a signature of its own, where the documents give it one. The field
    /// `brand_id` travels nowhere there.
    pub brand_path: Option<String>,
    /// Request fields that travel in the query.
    #[serde(default)]
    pub query: Vec<String>,
    /// Request fields that travel as headers.
    #[serde(default)]
    pub header: Vec<String>,
    /// What the body is.
    pub body: Body,
    /// Path, query, header and body fields side by side.
    pub request: Node,
    /// The answer; left out where it is 204.
    pub response: Option<Node>,
    /// Limits that draft-07 cannot say.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Whether the request may be repeated.
    pub idempotency: Idempotency,
    /// How the list is read page by page, where it is one.
    pub page: Option<Page>,
    /// Documented limits of how often it may be called.
    #[serde(default)]
    pub rate: Vec<Rate>,
    /// Documented refusals.
    #[serde(default)]
    pub errors: Vec<ErrorRow>,
    /// Requests and answers; every one is a test.
    #[serde(default)]
    #[expect(dead_code, reason = "the tests of the other crates read them; here only their form counts")]
    pub examples: Vec<Example>,
    /// What the documents disagree on, and what was decided.
    pub note: Option<String>,
}

/// One event that WeChat Pay sends to the merchant.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotificationFile {
    /// Where an editor finds the description of this file.
    #[serde(rename = "$schema")]
    #[expect(dead_code, reason = "it is there for editors")]
    pub schema: Option<String>,
    /// `family.noun_verb`, equal to the file's place.
    pub id: String,
    /// English title.
    pub title: String,
    /// Title of the official page.
    pub title_zh: String,
    /// Pages that it was transcribed from.
    pub source: Vec<String>,
    /// `event_type` of the envelope.
    pub event_type: String,
    /// `resource.original_type` of the envelope.
    pub original_type: String,
    /// How often WeChat Pay sends it until it is acknowledged, where that is documented.
    pub delivery: Option<Delivery>,
    /// What the envelope holds once it is opened.
    pub payload: Node,
    /// Payloads; every one is a test.
    #[serde(default)]
    #[expect(dead_code, reason = "the tests of the model read them; here only their form counts")]
    pub examples: Vec<PayloadExample>,
    /// What the documents disagree on, and what was decided.
    pub note: Option<String>,
}

/// How often an event is sent until it is acknowledged.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delivery {
    /// Times in all.
    pub attempts: u32,
    /// Seconds between two.
    pub every_seconds: u32,
}

/// A payload, and what it is read as.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "see NotificationFile::examples")]
pub(crate) struct PayloadExample {
    /// What it shows.
    pub name: String,
    /// Page that it comes from.
    pub source: Option<String>,
    /// The payload as it comes.
    pub payload: Ordered<Json>,
    /// The payload as it is written again, where that differs.
    pub read_as: Option<Ordered<Json>>,
    /// What is to be said about it.
    pub note: Option<String>,
}

/// How a list is read page by page: by `offset` and `unit`, or by `token` and `next`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// The request field that says how much comes before a page.
    pub offset: Option<String>,
    /// What `offset` counts.
    pub unit: Option<Unit>,
    /// The request field that names a page; the first is asked for without it.
    pub token: Option<String>,
    /// `/field` of the answer: the token of the next page.
    pub next: Option<String>,
    /// The request field that says how many items a page holds.
    pub limit: String,
    /// `/field` of the answer: the items.
    pub items: String,
    /// `/field` of the answer: how many items there are on all pages together.
    pub total: Option<String>,
}

impl Page {
    /// What says where a page begins; `None` where the keys are of no way or of both.
    pub(crate) fn turn(&self) -> Option<Turn<'_>> {
        match (&self.offset, self.unit, &self.token, &self.next) {
            (Some(offset), Some(unit), None, None) => Some(Turn::Offset { offset, unit }),
            (None, None, Some(token), Some(next)) => Some(Turn::Token { token, next }),
            _ => None,
        }
    }
}

/// What says where a page begins.
pub(crate) enum Turn<'a> {
    /// How much comes before it.
    Offset { offset: &'a str, unit: Unit },
    /// Its name, which the answer before it tells.
    Token { token: &'a str, next: &'a str },
}

/// What an offset counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// Pages.
    Page,
    /// Items.
    Row,
}

/// A documented limit of how often an operation may be called.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    /// Most calls.
    pub calls: u32,
    /// In so many seconds.
    pub seconds: u32,
    /// Whose calls are counted together.
    pub per: Per,
}

/// Whose calls are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Per {
    /// Those of one merchant.
    Merchant,
    /// Those from one address.
    Ip,
    /// All, or the document does not say whose.
    All,
}

/// `types.json`: the named definitions of a family.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FamilyFile {
    /// English title.
    pub title: String,
    /// Chinese title.
    pub title_zh: String,
    /// What the family is for.
    pub description: Option<String>,
    /// Objects and enums by name.
    #[serde(default)]
    pub definitions: Ordered<Node>,
}

/// `common.json`: what all families share.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommonFile {
    /// Refusals that every operation knows.
    #[serde(default)]
    pub errors: Vec<ErrorRow>,
    /// Objects and enums by name.
    #[serde(default)]
    pub definitions: Ordered<Node>,
}

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Audience {
    /// A merchant that calls for itself.
    Merchant,
    /// A service provider that calls for its sub-merchants.
    Partner,
    /// A channel partner.
    Channel,
}

/// HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
}

/// What the body of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Body {
    /// A JSON object of the fields that travel nowhere else.
    Json,
    /// No body.
    None,
    /// A `meta` part and a `file` part.
    Multipart,
}

/// A JSON type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// An object.
    Object,
    /// An array.
    Array,
    /// A string.
    String,
    /// An integer.
    Integer,
    /// Any number; answers only.
    Number,
    /// A boolean.
    Boolean,
}

impl Kind {
    /// The name in the schema files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// A format of strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) enum Format {
    /// RFC 3339.
    #[serde(rename = "date-time")]
    DateTime,
}

/// A newtype written by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
pub(crate) enum Newtype {
    StockId,
    CouponId,
    CouponCode,
    OpenId,
    AppId,
    MchId,
    OutRequestNo,
    Personal,
    Fen,
}

impl Newtype {
    /// The name in the schema files and in Rust.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::StockId => "StockId",
            Self::CouponId => "CouponId",
            Self::CouponCode => "CouponCode",
            Self::OpenId => "OpenId",
            Self::AppId => "AppId",
            Self::MchId => "MchId",
            Self::OutRequestNo => "OutRequestNo",
            Self::Personal => "Personal",
            Self::Fen => "Fen",
        }
    }

    /// The JSON type that it stands for.
    pub(crate) fn kind(self) -> Kind {
        if self == Self::Fen { Kind::Integer } else { Kind::String }
    }
}

/// A schema: the part of draft-07 that is used here, and the keywords of our own.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Node {
    /// JSON type.
    #[serde(rename = "type")]
    pub kind: Option<Kind>,
    /// Fields that must be there.
    pub required: Option<Vec<String>>,
    /// Fields of an object, in the order of the document.
    pub properties: Option<Ordered<Node>>,
    /// What each item of an array is.
    pub items: Option<Box<Node>>,
    /// Fewest code points.
    pub min_length: Option<usize>,
    /// Most code points.
    pub max_length: Option<usize>,
    /// `^[class]{m,n}$`
    pub pattern: Option<String>,
    /// Smallest value.
    pub minimum: Option<i64>,
    /// Largest value.
    pub maximum: Option<i64>,
    /// Fewest items.
    pub min_items: Option<usize>,
    /// Most items.
    pub max_items: Option<usize>,
    /// The only values allowed.
    #[serde(rename = "enum")]
    pub one_of: Option<Vec<Json>>,
    /// What a string must parse as.
    pub format: Option<Format>,
    /// The value that an absent field stands for.
    pub default: Option<Json>,
    /// Values as the documents show them.
    pub examples: Option<Vec<Json>>,
    /// `types.json#/definitions/Name`
    #[serde(rename = "$ref")]
    pub reference: Option<String>,
    /// The Chinese label.
    pub title: Option<String>,
    /// One or more English sentences.
    pub description: Option<String>,
    /// The newtype written by hand.
    #[serde(rename = "x-type")]
    pub newtype: Option<Newtype>,
    /// Unit of an integer.
    #[serde(rename = "x-unit")]
    pub unit: Option<String>,
    /// A misspelling in a published document, read as this field and never written.
    #[serde(rename = "x-alias")]
    pub alias: Option<String>,
    /// `""` is read as absence, even where an object belongs.
    #[serde(rename = "x-blank")]
    pub blank: Option<bool>,
    /// The text travels encrypted.
    #[serde(rename = "x-sensitive")]
    pub sensitive: Option<bool>,
    /// The values are compared without regard to ASCII case.
    #[serde(rename = "x-case-blind")]
    pub case_blind: Option<bool>,
    /// Rust name, Chinese label and meaning of single values.
    #[serde(rename = "x-variants")]
    pub variants: Option<Ordered<Variant>>,
}

impl Node {
    /// Whether it is a string with a closed list of values.
    pub(crate) fn is_text_enum(&self) -> bool {
        self.kind == Some(Kind::String) && self.one_of.is_some()
    }

    /// Its properties in the order of the document; none if it is no object.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.properties.iter().flat_map(Ordered::iter)
    }

    /// Whether the property is required.
    pub(crate) fn requires(&self, name: &str) -> bool {
        self.required.iter().flatten().any(|required| required == name)
    }
}

/// What is to be said about one value of an enum.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variant {
    /// Rust name.
    pub name: Option<String>,
    /// The Chinese label.
    pub title: Option<String>,
    /// One or more English sentences.
    pub description: Option<String>,
    /// Other spellings, read as this value and never written; answers only.
    #[serde(default)]
    pub alias: Vec<String>,
}

/// A limit that draft-07 cannot say. Places are JSON pointers into the request.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Rule {
    /// The product of the first places is the last, which is written `=/place`.
    Product(Vec<String>),
    /// The first is less than the second.
    Less([String; 2]),
    /// The first is not greater than the second.
    AtMost([String; 2]),
    /// Between two instants there are at most so many seconds.
    SpanMax {
        /// Place of the beginning.
        from: String,
        /// Place of the end.
        to: String,
        /// Most seconds between them.
        seconds: i64,
    },
    /// Exactly one is present.
    ExactlyOne(Vec<String>),
    /// One or more are present.
    AtLeastOne(Vec<String>),
    /// Where one place is this text, another is present.
    RequiredIf {
        /// Place of the deciding value.
        at: String,
        /// The deciding text.
        is: String,
        /// Place that must then be present.
        then: String,
    },
    /// At most so many wide characters, and so many columns where a wide one takes two.
    WidthMax {
        /// Place of the text.
        at: String,
        /// Most columns.
        narrow: usize,
        /// Most wide characters.
        wide: usize,
    },
    /// The instant is so many seconds from now.
    FromNow {
        /// Place of the timestamp.
        at: String,
        /// Fewest seconds, if there is such a limit.
        min: Option<i64>,
        /// Most seconds, if there is such a limit.
        max: Option<i64>,
    },
    /// It is the merchant id of the caller.
    Caller(String),
}

/// Whether a request may be repeated after its outcome stayed unknown.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Idempotency {
    /// Repeat at will.
    Safe {},
    /// A repeat with the same value in this field and the same parameters is one effect.
    Key {
        /// The field, or the JSON pointer of one that is inside of another.
        field: String,
    },
    /// A repeat may act twice.
    None {},
}

/// One documented refusal.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErrorRow {
    /// HTTP status.
    pub status: u16,
    /// Error code.
    pub code: String,
    /// The document's own words.
    #[serde(default)]
    pub message: String,
    /// What it means.
    pub meaning: String,
    /// What to do about it.
    pub remedy: String,
}

/// A request, its answer, and what is wrong with it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "see OperationFile::examples")]
pub(crate) struct Example {
    /// What it shows.
    pub name: String,
    /// Page that it comes from.
    pub source: Option<String>,
    /// The time that rules see.
    pub now: Option<String>,
    /// The merchant id that rules see.
    pub caller: Option<String>,
    /// The flat request.
    pub request: Ordered<Json>,
    /// Its answer.
    pub response: Option<Json>,
    /// Everything that is wrong with the request.
    pub violations: Option<Vec<Violation>>,
    /// Place → the value that puts it right.
    pub put_right: Option<Ordered<Json>>,
    /// Why it is refused as printed.
    pub note: Option<String>,
}

/// One thing that is wrong with an example.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "see OperationFile::examples")]
pub(crate) struct Violation {
    /// JSON pointer into the request.
    pub at: String,
    /// Name of the limit.
    pub rule: String,
}

/// The description of an operation file, for editors.
pub(crate) fn operation_schema() -> serde_json::Result<String> {
    schema_of::<OperationFile>()
}

/// The description of a notification file, for editors.
pub(crate) fn notification_schema() -> serde_json::Result<String> {
    schema_of::<NotificationFile>()
}

fn schema_of<T: JsonSchema>() -> serde_json::Result<String> {
    let schema = schemars::r#gen::SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
    serde_json::to_string_pretty(&schema).map(|text| text + "\n")
}
