//! What an operation is, as data: the one description that client, sandbox, command and tests all read.
//!
//! The generated code of this crate builds a [`Spec`] for each operation of the catalogue, [`Spec::new`] one for an operation
//! of your own; everybody reads it through its methods.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// A request of the WeChat Pay v3 API that can say where it goes.
///
/// The request type is flat: path, query, header and body fields stand side by side, and [`Spec`] says which is which.
pub trait Operation: Serialize {
    /// What a successful answer holds; [`NoContent`] where the API answers 204.
    type Response: DeserializeOwned;
    /// The description of the operation.
    const SPEC: &'static Spec;
}

/// An operation that answers one page of a list.
///
/// `wechatpay-protocol` asks for page after page: `client.pages(…)`, `client.items(…)`. [`Spec::page`] says how; where that is
/// `None`, by an offset that counts pages.
pub trait Paginated: Operation<Response: Send> + Clone + Send + Sync + 'static {
    /// What the list is of.
    type Item: Send + 'static;

    /// Where the page begins, as far as the request says; [`Page::turn`] says what that means.
    fn start(&self) -> Option<Start>;

    /// Asks for the page that begins there. The kind of start that the list does not know changes nothing.
    fn set_start(&mut self, start: Start);

    /// How many items a page holds, as far as the request says.
    fn limit(&self) -> Option<i64>;

    /// The items of a page.
    fn items(response: &Self::Response) -> &[Self::Item];

    /// The items of a page, taken out of it.
    fn into_items(response: Self::Response) -> Vec<Self::Item>;

    /// The token of the next page; `None`, or empty, on the last. Lists by offset have none.
    fn next(_response: &Self::Response) -> Option<&str> {
        None
    }

    /// How many items there are on all pages together, as far as the answer says.
    fn total(response: &Self::Response) -> Option<i64>;
}

/// What a notification of WeChat Pay says, once its envelope is opened.
///
/// It is read as leniently as an answer: unknown fields and values are kept or passed over, and much may be absent.
pub trait Payload: DeserializeOwned {
    /// The description of the event.
    const EVENT: &'static EventSpec;
    /// `event_type` of the envelope that holds it.
    const EVENT_TYPE: &'static str = Self::EVENT.event_type;
}

/// The answer of an operation that answers 204: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct NoContent;

/// HTTP method of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
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

impl Method {
    /// The method as it stands in the request line and in the message to sign.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What the body of a request is. Stated by the schema, never guessed from the method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Body {
    /// A JSON object of all fields that stand neither in the path nor in the query nor in a header.
    Json,
    /// No body at all.
    None,
    /// `multipart/form-data`: a `meta` part, which is what gets signed, and a `file` part.
    Multipart,
}

/// What a successful answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Answer {
    /// A JSON value.
    Json,
    /// Nothing: 204 with an empty body.
    Empty,
}

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Audience {
    /// A merchant that calls for itself (直连商户).
    Merchant,
    /// A service provider that calls for its sub-merchants (服务商).
    Partner,
    /// A channel partner (渠道商).
    Channel,
}

impl Audience {
    /// The name used in the schema files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Merchant => "merchant",
            Self::Partner => "partner",
            Self::Channel => "channel",
        }
    }
}

/// Whether a request may be repeated after its outcome stayed unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Idempotency {
    /// Repeat at will: a read, or a write that is documented as re-entrant.
    Safe,
    /// The named field makes a repeat with the same parameters one effect. One inside of another is a JSON pointer:
    /// `/base/out_request_no`.
    Key(&'static str),
    /// A repeat may act twice.
    None,
}

impl Idempotency {
    /// The name used in the schema files: `safe`, `key` or `none`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Key(_) => "key",
            Self::None => "none",
        }
    }
}

/// The form of a request value: one node for each place in it, with the limits that the documents state.
///
/// Definitions that several operations use are one static that all of them point to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// An object with exactly these fields, in the order of the document.
    Object(&'static [Field]),
    /// An array.
    Array {
        /// Form of each item.
        items: &'static Shape,
        /// Fewest items.
        min: usize,
        /// Most items, if documented.
        max: Option<usize>,
    },
    /// A string.
    Text(Text),
    /// An integer of at most 64 bits; `1.0` is not one.
    Integer {
        /// Smallest value, if documented.
        min: Option<i64>,
        /// Largest value, if documented.
        max: Option<i64>,
        /// The only values allowed; empty means any.
        one_of: &'static [i64],
    },
    /// `true` or `false`.
    Boolean,
}

/// One field of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) alias: Option<&'static str>,
    pub(crate) sensitive: bool,
    pub(crate) shape: &'static Shape,
}

impl Field {
    /// A field of this name and form: optional, without an alias, not sensitive. For shapes of your own.
    pub const fn new(name: &'static str, shape: &'static Shape) -> Self {
        Self { name, required: false, alias: None, sensitive: false, shape }
    }

    /// Marks it as one that travels encrypted.
    #[must_use]
    pub const fn encrypted(self) -> Self {
        Self { sensitive: true, ..self }
    }

    /// Name on the wire.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the object is refused without it.
    pub const fn required(&self) -> bool {
        self.required
    }

    /// A misspelling found in a published document, read as this field and never written.
    pub const fn alias(&self) -> Option<&'static str> {
        self.alias
    }

    /// Whether the text travels encrypted.
    pub const fn sensitive(&self) -> bool {
        self.sensitive
    }

    /// Form of its value.
    pub const fn shape(&self) -> &'static Shape {
        self.shape
    }
}

/// Limits of a string. Lengths count Unicode code points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    pub(crate) min: usize,
    pub(crate) max: Option<usize>,
    pub(crate) charset: Option<Charset>,
    pub(crate) one_of: &'static [&'static str],
    pub(crate) case_blind: bool,
    pub(crate) format: Option<Format>,
}

impl Text {
    /// A text without limits.
    pub const ANY: Self = Self { min: 0, max: None, charset: None, one_of: &[], case_blind: false, format: None };

    /// Fewest code points.
    pub const fn min(&self) -> usize {
        self.min
    }

    /// Most code points, if documented.
    pub const fn max(&self) -> Option<usize> {
        self.max
    }

    /// The allowed characters; `None` means any of the basic plane.
    pub const fn charset(&self) -> Option<Charset> {
        self.charset
    }

    /// The only values allowed; empty means any.
    pub const fn one_of(&self) -> &'static [&'static str] {
        self.one_of
    }

    /// Whether [`one_of`](Self::one_of) is compared without regard to ASCII case.
    pub const fn case_blind(&self) -> bool {
        self.case_blind
    }

    /// What the text must parse as.
    pub const fn format(&self) -> Option<Format> {
        self.format
    }
}

/// A set of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset {
    ranges: &'static [(char, char)],
    /// A bit for each character of ASCII: hundreds of codes go out with a call, and each of their characters is looked up.
    ascii: u128,
}

impl Charset {
    /// The characters of these inclusive ranges.
    pub const fn new(ranges: &'static [(char, char)]) -> Self {
        let (mut ascii, mut left) = (0, ranges);
        while let [(first, last), more @ ..] = left {
            let mut number = *first as u32;
            while number <= *last as u32 && number < u128::BITS {
                ascii |= 1 << number;
                number += 1;
            }
            left = more;
        }
        Self { ranges, ascii }
    }

    /// The inclusive ranges that it is made of.
    pub const fn ranges(&self) -> &'static [(char, char)] {
        self.ranges
    }

    /// Whether a character is one of them.
    #[inline]
    pub fn contains(&self, character: char) -> bool {
        let number = u32::from(character);
        if number < u128::BITS {
            return self.ascii >> number & 1 == 1;
        }
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&character))
    }
}

/// What a string must parse as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// An RFC 3339 date and time with an offset.
    DateTime,
}

/// A limit that spans several fields, or that needs to know the caller or the time.
///
/// Places are JSON pointers into the request. A rule with a place that is absent holds: whether a field must be there
/// is said by [`Shape`], [`ExactlyOne`](Self::ExactlyOne) and [`RequiredIf`](Self::RequiredIf).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// The product of the factors equals the value at `equals`.
    Product {
        /// Places of the factors.
        factors: &'static [&'static str],
        /// Place of the product.
        equals: &'static str,
    },
    /// The first value is less than the second; timestamps compare by instant.
    Less {
        /// Place of the lesser.
        a: &'static str,
        /// Place of the greater.
        b: &'static str,
    },
    /// The first value is not greater than the second; timestamps compare by instant.
    AtMost {
        /// Place of the lesser or equal.
        a: &'static str,
        /// Place of the greater or equal.
        b: &'static str,
    },
    /// From the first instant to the second it is at most so many seconds.
    SpanMax {
        /// Place of the beginning.
        from: &'static str,
        /// Place of the end.
        to: &'static str,
        /// Most seconds between them.
        seconds: i64,
    },
    /// Exactly one of these places is present.
    ExactlyOne(&'static [&'static str]),
    /// At least one of these places is present.
    AtLeastOne(&'static [&'static str]),
    /// Where the value at `at` is the text `is`, `then` must be present.
    RequiredIf {
        /// Place of the deciding value.
        at: &'static str,
        /// The deciding text.
        is: &'static str,
        /// Place that must then be present.
        then: &'static str,
    },
    /// "9 Chinese or 20 Latin characters": at most `wide` wide characters, and at most `narrow` columns in all, where
    /// a wide character takes two.
    WidthMax {
        /// Place of the text.
        at: &'static str,
        /// Most columns.
        narrow: usize,
        /// Most wide characters.
        wide: usize,
    },
    /// The instant lies between `min` and `max` seconds from now.
    FromNow {
        /// Place of the timestamp.
        at: &'static str,
        /// Fewest seconds from now, if documented.
        min: Option<i64>,
        /// Most seconds from now, if documented.
        max: Option<i64>,
    },
    /// The value is the merchant id of the caller.
    Caller {
        /// Place of the merchant id.
        at: &'static str,
    },
}

/// Where a page of a list begins. Its `Display` is the bare value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Start {
    /// Behind so many pages or items; see [`Unit`].
    Offset(i64),
    /// Where the answer before it says: with the page of this name.
    Token(String),
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset(offset) => offset.fmt(f),
            Self::Token(token) => token.fmt(f),
        }
    }
}

/// How a list is read page by page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub(crate) turn: Turn,
    pub(crate) limit: &'static str,
    pub(crate) items: &'static str,
    pub(crate) total: Option<&'static str>,
}

impl Page {
    /// What says where a page begins.
    pub const fn turn(&self) -> Turn {
        self.turn
    }

    /// The request field that says how many items a page holds.
    pub const fn limit(&self) -> &'static str {
        self.limit
    }

    /// JSON pointer into the answer: the items.
    pub const fn items(&self) -> &'static str {
        self.items
    }

    /// JSON pointer into the answer: how many items there are on all pages together, if it says so.
    pub const fn total(&self) -> Option<&'static str> {
        self.total
    }
}

/// What says where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Turn {
    /// The request says how much comes before the page; the first begins at 0.
    Offset {
        /// The request field that says so, an integer.
        field: &'static str,
        /// What it counts, as documented.
        unit: Unit,
    },
    /// Each answer names the next page; the first is asked for without a name.
    Token {
        /// The request field that names the page, a text.
        field: &'static str,
        /// JSON pointer into the answer: the name of the next page; absent or empty on the last.
        next: &'static str,
    },
}

impl Turn {
    /// The request field that says where a page begins.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Offset { field, .. } | Self::Token { field, .. } => field,
        }
    }
}

/// What an offset counts. The documents are not always clear about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// Pages: the second page begins at 1.
    Page,
    /// Items: the second page begins at the number of items on the first.
    Row,
}

impl Unit {
    /// The name used in the schema files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Row => "row",
        }
    }
}

/// A documented limit of how often an operation may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub(crate) calls: u32,
    pub(crate) seconds: u32,
    pub(crate) per: Per,
}

impl Rate {
    /// Most calls within [`seconds`](Self::seconds).
    pub const fn calls(&self) -> u32 {
        self.calls
    }

    /// The time in which the calls are counted.
    pub const fn seconds(&self) -> u32 {
        self.seconds
    }

    /// Whose calls are counted together.
    pub const fn per(&self) -> Per {
        self.per
    }
}

/// Whose calls are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Per {
    /// Those of one merchant.
    Merchant,
    /// Those from one address.
    Ip,
    /// All, or the document does not say whose.
    All,
}

impl Per {
    /// The name used in the schema files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Merchant => "merchant",
            Self::Ip => "ip",
            Self::All => "all",
        }
    }
}

/// One documented refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorRow {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) remedy: &'static str,
}

impl ErrorRow {
    /// HTTP status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Error code on the wire.
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The message as the document prints it, mostly Chinese; it tells rows of the same status and code apart.
    pub const fn message(&self) -> &'static str {
        self.message
    }

    /// What it means, in English.
    pub const fn meaning(&self) -> &'static str {
        self.meaning
    }

    /// What to do about it, in English.
    pub const fn remedy(&self) -> &'static str {
        self.remedy
    }
}

/// The description of an operation.
#[derive(Debug)]
pub struct Spec {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) title_zh: &'static str,
    pub(crate) audience: &'static [Audience],
    pub(crate) source: &'static [&'static str],
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) brand_path: Option<&'static str>,
    pub(crate) query: &'static [&'static str],
    pub(crate) header: &'static [&'static str],
    pub(crate) body: Body,
    pub(crate) request: &'static Shape,
    pub(crate) answer: Answer,
    pub(crate) sealed: &'static [&'static str],
    pub(crate) rules: &'static [Rule],
    pub(crate) idempotency: Idempotency,
    pub(crate) page: Option<Page>,
    pub(crate) rate: &'static [Rate],
    pub(crate) errors: &'static [ErrorRow],
    #[cfg(feature = "schemas")]
    pub(crate) schema: &'static str,
}

impl Spec {
    /// An operation of your own, which is not in the catalogue: its id, where it goes, and the form of its request, an
    /// object. It answers JSON, and a repeat may act twice.
    ///
    /// ```
    /// use wechatpay_model::operation::{Body, Field, Method, Shape, Spec, Text};
    ///
    /// static REQUEST: Shape = Shape::Object(&[Field::new("stock_id", &Shape::Text(Text::ANY))]);
    /// static GET_THING: Spec =
    ///     Spec::new("things.get_thing", Method::Get, "/v3/things/{stock_id}", Body::None, &REQUEST);
    /// assert_eq!(GET_THING.family(), "things");
    /// ```
    pub const fn new(
        id: &'static str,
        method: Method,
        path: &'static str,
        body: Body,
        request: &'static Shape,
    ) -> Self {
        Self {
            id,
            title: id,
            title_zh: "",
            audience: &[],
            source: &[],
            method,
            path,
            brand_path: None,
            query: &[],
            header: &[],
            body,
            request,
            answer: Answer::Json,
            sealed: &[],
            rules: &[],
            idempotency: Idempotency::None,
            page: None,
            rate: &[],
            errors: &[],
            #[cfg(feature = "schemas")]
            schema: "{}",
        }
    }

    /// The same with these fields in the query.
    #[must_use]
    pub const fn with_query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    /// The same with a path for brands.
    #[must_use]
    pub const fn with_brand_path(self, path: &'static str) -> Self {
        Self { brand_path: Some(path), ..self }
    }

    /// The same with these places of the answer encrypted.
    #[must_use]
    pub const fn with_sealed(self, sealed: &'static [&'static str]) -> Self {
        Self { sealed, ..self }
    }

    /// The same with another answer to whether it may be repeated.
    #[must_use]
    pub const fn with_idempotency(self, idempotency: Idempotency) -> Self {
        Self { idempotency, ..self }
    }

    /// Identifier, `family.verb_noun`.
    pub const fn id(&self) -> &'static str {
        self.id
    }

    /// The part of the id before the dot.
    pub fn family(&self) -> &'static str {
        self.id.split_once('.').map_or(self.id, |(family, _)| family)
    }

    /// English title.
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// Title of the official page.
    pub const fn title_zh(&self) -> &'static str {
        self.title_zh
    }

    /// Who may call it.
    pub const fn audience(&self) -> &'static [Audience] {
        self.audience
    }

    /// Pages that it was transcribed from.
    pub const fn source(&self) -> &'static [&'static str] {
        self.source
    }

    /// HTTP method.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Path template: `{name}` stands for the field of that name.
    pub const fn path(&self) -> &'static str {
        self.path
    }

    /// Path template under which a brand (品牌) calls it with a signature of its own; `None` where only merchants may.
    ///
    /// There the field `brand_id` travels nowhere: the signature says who calls.
    pub const fn brand_path(&self) -> Option<&'static str> {
        self.brand_path
    }

    /// Fields that travel in the query. One of object or array type travels as its JSON text.
    pub const fn query(&self) -> &'static [&'static str] {
        self.query
    }

    /// Fields that travel as a header of the same name.
    pub const fn header(&self) -> &'static [&'static str] {
        self.header
    }

    /// What the body is.
    pub const fn body(&self) -> Body {
        self.body
    }

    /// Form of the whole flat request; always [`Shape::Object`].
    pub const fn request(&self) -> &'static Shape {
        self.request
    }

    /// What a successful answer carries.
    pub const fn answer(&self) -> Answer {
        self.answer
    }

    /// Places of the answer whose text travels encrypted, as JSON pointers; `*` stands for every item of an array.
    pub const fn sealed(&self) -> &'static [&'static str] {
        self.sealed
    }

    /// Limits that span several fields.
    pub const fn rules(&self) -> &'static [Rule] {
        self.rules
    }

    /// Whether a request may be repeated.
    pub const fn idempotency(&self) -> Idempotency {
        self.idempotency
    }

    /// How the list is read page by page, where the operation answers one.
    pub const fn page(&self) -> Option<&Page> {
        self.page.as_ref()
    }

    /// Documented limits of how often it may be called.
    pub const fn rate(&self) -> &'static [Rate] {
        self.rate
    }

    /// Documented refusals of this operation; [`COMMON_ERRORS`](crate::COMMON_ERRORS) apply beside them.
    pub const fn errors(&self) -> &'static [ErrorRow] {
        self.errors
    }

    /// The whole schema file as minified JSON, its references resolved inside the document.
    #[cfg(feature = "schemas")]
    pub const fn schema(&self) -> &'static str {
        self.schema
    }

    /// The limits of the request as a table: a row for each, in the order of the document.
    pub fn limits(&self) -> Vec<Limit> {
        let mut rows = Vec::new();
        collect(self.request, &mut String::new(), &mut rows);
        rows
    }
}

/// The description of a notification.
#[derive(Debug)]
pub struct EventSpec {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) title_zh: &'static str,
    pub(crate) source: &'static [&'static str],
    pub(crate) event_type: &'static str,
    pub(crate) original_type: &'static str,
    pub(crate) delivery: Option<Delivery>,
    #[cfg(feature = "schemas")]
    pub(crate) schema: &'static str,
}

impl EventSpec {
    /// Identifier, `family.noun_verb`.
    pub const fn id(&self) -> &'static str {
        self.id
    }

    /// English title.
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// Title of the official page.
    pub const fn title_zh(&self) -> &'static str {
        self.title_zh
    }

    /// Pages that it was transcribed from.
    pub const fn source(&self) -> &'static [&'static str] {
        self.source
    }

    /// `event_type` of the envelope.
    pub const fn event_type(&self) -> &'static str {
        self.event_type
    }

    /// `resource.original_type` of the envelope.
    pub const fn original_type(&self) -> &'static str {
        self.original_type
    }

    /// How often it is sent until it is acknowledged, if documented.
    pub const fn delivery(&self) -> Option<Delivery> {
        self.delivery
    }

    /// The whole schema file as minified JSON, its references resolved inside the document.
    #[cfg(feature = "schemas")]
    pub const fn schema(&self) -> &'static str {
        self.schema
    }
}

/// How often a notification is sent until it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    pub(crate) attempts: u32,
    pub(crate) every_seconds: u32,
}

impl Delivery {
    /// Times in all.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Seconds between two.
    pub const fn every_seconds(&self) -> u32 {
        self.every_seconds
    }
}

/// One row of [`Spec::limits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// JSON pointer into the request; `*` stands for every item of an array.
    pub pointer: String,
    /// What must hold there.
    pub bound: Bound,
}

/// What must hold at the place of a [`Limit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// It must be present.
    Required,
    /// It must be of this JSON type.
    Type(&'static str),
    /// It must be one of these texts.
    OneOf(&'static [&'static str]),
    /// It must be one of these numbers.
    OneOfNumbers(&'static [i64]),
    /// So many code points.
    Length(usize, Option<usize>),
    /// Only these characters, as inclusive ranges.
    Charset(Charset),
    /// It must parse as this.
    Format(Format),
    /// A number in this range, both ends included.
    Range(Option<i64>, Option<i64>),
    /// So many items.
    Count(usize, Option<usize>),
}

fn collect(shape: &Shape, pointer: &mut String, rows: &mut Vec<Limit>) {
    let mut row = |bound| rows.push(Limit { pointer: pointer.clone(), bound });
    match shape {
        Shape::Object(fields) => {
            row(Bound::Type("object"));
            for field in *fields {
                let len = pointer.len();
                pointer.push('/');
                pointer.push_str(field.name);
                if field.required {
                    rows.push(Limit { pointer: pointer.clone(), bound: Bound::Required });
                }
                collect(field.shape, pointer, rows);
                pointer.truncate(len);
            }
        }
        Shape::Array { items, min, max } => {
            row(Bound::Type("array"));
            if *min > 0 || max.is_some() {
                row(Bound::Count(*min, *max));
            }
            let len = pointer.len();
            pointer.push_str("/*");
            collect(items, pointer, rows);
            pointer.truncate(len);
        }
        Shape::Text(text) => {
            row(Bound::Type("string"));
            if !text.one_of.is_empty() {
                row(Bound::OneOf(text.one_of));
            }
            if text.min > 0 || text.max.is_some() {
                row(Bound::Length(text.min, text.max));
            }
            if let Some(charset) = text.charset {
                row(Bound::Charset(charset));
            }
            if let Some(format) = text.format {
                row(Bound::Format(format));
            }
        }
        Shape::Integer { min, max, one_of } => {
            row(Bound::Type("integer"));
            if !one_of.is_empty() {
                row(Bound::OneOfNumbers(one_of));
            }
            if min.is_some() || max.is_some() {
                row(Bound::Range(*min, *max));
            }
        }
        Shape::Boolean => row(Bound::Type("boolean")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_the_characters_of_its_ranges_and_no_others() {
        let sets: [&'static [(char, char)]; 5] = [
            &[],
            &[('0', '9'), ('A', 'Z'), ('_', '_')],
            &[('\0', '\u{7F}')],
            &[('a', 'é'), ('券', '券')],
            &[('\u{1}', '\u{8}'), ('~', '\u{FFFF}')],
        ];
        for ranges in sets {
            let set = Charset::new(ranges);
            assert_eq!(set.ranges(), ranges);
            for character in
                ('\0'..='\u{FF}').chain(['\u{152}', '券', '\u{FFFE}', '\u{FFFF}', '\u{10000}', '\u{10FFFF}'])
            {
                let within = ranges.iter().any(|(first, last)| *first <= character && character <= *last);
                assert_eq!(set.contains(character), within, "{character:?} in {ranges:?}");
            }
        }
    }
}
