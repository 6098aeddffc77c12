//! Lists: where they end, how they fail, and that every item is seen once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use bytes::Bytes;
use futures_core::Stream;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use wechatpay_model::Operation;
use wechatpay_model::busifavor::ListCouponCodes;
use wechatpay_model::favor::{GetStock, ListStockItems, ListStockMerchants, ListUserCoupons};
use wechatpay_model::operation::{Paginated, Start};
use wechatpay_model::product_coupon::ListAssociatedStores;
use wechatpay_protocol::crypto::{Signer, VerifyingKey};
use wechatpay_protocol::pages::UntypedList;
use wechatpay_protocol::{
    BlockingClient, BoxError, Client, Error, Executed, Merchant, Stamper, TransportError, Trust, ViolationKind,
};

const SERIAL: &str = "PUB_KEY_ID_0119000000012026010100000001";
const NOW: i64 = 1_784_000_000;

/// Signs anything and believes it: signatures are tested elsewhere.
struct Key;

impl Signer for Key {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(vec![1; 256])
    }
}

impl VerifyingKey for Key {
    fn verify(&self, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

struct Fixed;

impl Stamper for Fixed {
    fn now(&self) -> i64 {
        NOW
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    fn jitter(&self) -> u16 {
        0
    }
    fn nonce(&self) -> Result<String, BoxError> {
        Ok("593BEC0C930BF1AFEB40B4A08C8FB242".to_owned())
    }
}

/// Answers requests.
trait Answer: Clone + Send + Sync + 'static {
    fn answer(&self, request: &Request<Bytes>) -> Result<Vec<u8>, TransportError>;

    fn client(&self) -> Client<impl wechatpay_protocol::Transport + use<Self>> {
        let server = self.clone();
        let transport = move |request: Request<Bytes>| {
            let answer = server.answer(&request);
            async move { Ok(signed().body(Full::new(Bytes::from(answer?))).unwrap()) }
        };
        Client::new(transport, merchant(), trust()).with_stamper(Fixed)
    }

    fn blocking(&self) -> BlockingClient<impl wechatpay_protocol::BlockingTransport + use<Self>> {
        let server = self.clone();
        let transport = move |request: Request<Bytes>, _: Option<Duration>| {
            Ok(signed().body(std::io::Cursor::new(server.answer(&request)?)).unwrap())
        };
        BlockingClient::new(transport, merchant(), trust()).with_stamper(Fixed)
    }
}

/// A field of the query.
fn queried<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a str> {
    let mut fields = request.uri().query()?.split('&').filter_map(|pair| pair.split_once('='));
    fields.find_map(|(key, value)| (key == name).then_some(value))
}

/// A server that holds a list, and remembers which pages it was asked for.
#[derive(Clone)]
struct Server {
    rows: usize,
    /// Whether its offsets are rows; they are pages otherwise.
    by_row: bool,
    /// Whether it says how many there are.
    total: bool,
    /// The most it puts on a page.
    cap: usize,
    /// Which of its answers fails, counted from 0.
    fails: Option<usize>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(rows: usize) -> Self {
        Self { rows, by_row: false, total: true, cap: usize::MAX, fails: None, asked: Arc::default() }
    }

    fn asked(&self) -> String {
        self.asked.lock().unwrap().join(" ")
    }
}

impl Answer for Server {
    fn answer(&self, request: &Request<Bytes>) -> Result<Vec<u8>, TransportError> {
        let field = |name: &str| queried(request, name).map(|value| value.parse::<usize>().unwrap());
        let (offset, limit) = (field("offset"), field("limit"));
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(offset.map_or("-".to_owned(), |offset| offset.to_string()));
            asked.len() - 1
        };
        if self.fails == Some(number) {
            return Err(TransportError::interrupted("the line is cut"));
        }
        let (offset, limit) = (offset.unwrap_or(0), limit.unwrap_or(20));
        let first = if self.by_row { offset } else { offset * limit.min(self.cap) };
        let items: Vec<_> = (first..self.rows).take(limit.min(self.cap)).map(|row| row.to_string()).collect();
        let mut answer = json!({"data": items, "offset": offset, "limit": limit, "stock_id": "1"});
        if self.total {
            answer["total_count"] = self.rows.into();
        }
        Ok(answer.to_string().into_bytes())
    }
}

/// A page that has a name: its token, the stores on it, and the token of the next.
type NamedPage = (&'static str, &'static [&'static str], Option<&'static str>);

/// A server whose pages have names; that of the first is `-`.
#[derive(Clone)]
struct Named {
    pages: &'static [NamedPage],
    /// Which of its answers fails, counted from 0.
    fails: Option<usize>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Named {
    fn new(pages: &'static [NamedPage]) -> Self {
        Self { pages, fails: None, asked: Arc::default() }
    }

    fn asked(&self) -> String {
        self.asked.lock().unwrap().join(" ")
    }
}

impl Answer for Named {
    fn answer(&self, request: &Request<Bytes>) -> Result<Vec<u8>, TransportError> {
        let token = queried(request, "page_token").unwrap_or("-");
        assert_eq!(queried(request, "page_size"), Some("2"), "it stays as it was asked for");
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(token.to_owned());
            asked.len() - 1
        };
        if self.fails == Some(number) {
            return Err(TransportError::interrupted("the line is cut"));
        }
        let (_, stores, next) = self.pages.iter().find(|(name, ..)| *name == token).expect("a page of this name");
        let stores: Vec<_> = stores.iter().map(|id| json!({"store_id": id})).collect();
        // What total it states counts for nothing where the answers say which page is the last.
        let mut answer = json!({"total_count": 1, "store_list": stores});
        if let Some(next) = next {
            answer["next_page_token"] = json!(next);
        }
        Ok(answer.to_string().into_bytes())
    }
}

fn merchant() -> Merchant<Key> {
    Merchant::new("1900000001", "5157F09EFDC096DE15EBE81A47057A7232F1B8E1", Key)
}

fn trust() -> Trust {
    Trust::new().with_public_key(SERIAL, Key)
}

fn signed() -> http::response::Builder {
    Response::builder()
        .header("wechatpay-timestamp", NOW)
        .header("wechatpay-nonce", "n")
        .header("wechatpay-serial", SERIAL)
        .header("wechatpay-signature", "AQ==")
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

fn merchants(offset: i64, limit: i64) -> ListStockMerchants {
    ListStockMerchants::builder().offset(offset).limit(limit).stock_id("1").stock_creator_mchid("2").build()
}

fn untyped(offset: Option<i64>, limit: Option<i64>) -> UntypedList {
    let mut arguments = json!({"stock_id": "1"});
    for (name, value) in [("offset", offset), ("limit", limit)] {
        if let Some(value) = value {
            arguments[name] = value.into();
        }
    }
    UntypedList::new(ListCouponCodes::SPEC, arguments).expect("a list")
}

fn stores(token: Option<&str>) -> ListAssociatedStores {
    let mut list =
        ListAssociatedStores::builder().product_coupon_id("1").stock_id("2").brand_id("3").page_size(2).build();
    list.page_token = token.map(str::to_owned);
    list
}

fn untyped_stores(token: Option<&str>) -> UntypedList {
    UntypedList::new(ListAssociatedStores::SPEC, serde_json::to_value(stores(token)).unwrap()).expect("a list")
}

fn rows(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|row| row.to_string()).collect()
}

fn strings(items: Vec<Value>) -> Vec<String> {
    items.into_iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

async fn drain<S: Stream + Unpin>(stream: &mut S) -> Vec<S::Item> {
    let mut items = Vec::new();
    while let Some(item) = std::future::poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await {
        items.push(item);
    }
    items
}

#[test]
fn every_item_comes_once_and_the_last_page_is_the_last() {
    // rows, whether the total is stated, first offset, limit, cap of the server, items, pages asked for
    let by_page = [
        (0, true, Some(0), Some(3), 100, 0..0, "0"),
        (0, false, Some(0), Some(3), 100, 0..0, "0"),
        (2, true, Some(0), Some(3), 100, 0..2, "0"),
        (2, false, Some(0), Some(3), 100, 0..2, "0"),
        (3, true, Some(0), Some(3), 100, 0..3, "0"),
        (3, false, Some(0), Some(3), 100, 0..3, "0 1"),
        (4, true, Some(0), Some(3), 100, 0..4, "0 1"),
        (4, false, Some(0), Some(3), 100, 0..4, "0 1"),
        (9, true, Some(1), Some(3), 100, 3..9, "1 2"),
        (9, true, Some(5), Some(3), 100, 0..0, "5"),
        // Neither page nor limit is stated: the server has its own.
        (45, true, None, None, 100, 0..45, "- 1 2"),
        (45, true, Some(1), None, 100, 20..45, "1 2"),
        // A server that gives less than it is asked for loses nothing, where it states the total.
        (5, true, Some(0), Some(3), 2, 0..5, "0 1 2"),
    ];
    let by_row = [
        (0, true, Some(0), Some(3), 100, 0..0, "0"),
        (3, true, Some(0), Some(3), 100, 0..3, "0"),
        (3, false, Some(0), Some(3), 100, 0..3, "0 3"),
        (4, true, Some(0), Some(3), 100, 0..4, "0 3"),
        (4, false, Some(0), Some(3), 100, 0..4, "0 3"),
        (9, true, Some(2), Some(3), 100, 2..9, "2 5 8"),
        (45, true, None, None, 100, 0..45, "- 20 40"),
        (5, true, Some(0), Some(3), 2, 0..5, "0 2 4"),
    ];
    for (unit, cases) in [(false, &by_page[..]), (true, &by_row[..])] {
        for (count, total, offset, limit, cap, found, asked) in cases.iter().cloned() {
            let server = || Server { by_row: unit, total, cap, ..Server::new(count) };
            let case = format!("{count} rows, by row {unit}, total {total}, {offset:?} {limit:?} at most {cap}");

            let sync = server();
            let items = sync.blocking().items(untyped(offset, limit));
            let items = if unit { items.by_row() } else { items.by_page() };
            let items: Result<Vec<_>, _> = items.collect();
            assert_eq!(strings(items.unwrap()), rows(found.clone()), "{case}");
            assert_eq!(sync.asked(), asked, "{case}");

            let stream = server();
            let items = stream.client().items(untyped(offset, limit));
            let mut items = if unit { items.by_row() } else { items.by_page() }.into_stream();
            let items: Result<Vec<_>, _> = block_on(drain(&mut items)).into_iter().collect();
            assert_eq!(strings(items.unwrap()), rows(found.clone()), "{case}");
            assert_eq!(stream.asked(), asked, "{case}");

            let (Some(offset), Some(limit), true) = (offset, limit, total) else { continue };
            let typed = server();
            let client = typed.client();
            let items = client.items(merchants(offset, limit));
            let mut items = if unit { items.by_row() } else { items.by_page() };
            let items = block_on(async {
                let mut found = Vec::new();
                while let Some(item) = items.next().await {
                    found.push(item.unwrap().as_str().to_owned());
                }
                found
            });
            assert_eq!(items, rows(found), "{case}");
            assert_eq!(typed.asked(), asked, "{case}");
        }
    }
}

#[test]
fn the_documented_unit_is_the_default() {
    let server = Server { by_row: true, ..Server::new(3) };
    let pages: Vec<_> = server.blocking().pages(untyped(Some(0), Some(2))).collect();
    assert_eq!((pages.len(), server.asked().as_str()), (2, "0 2"), "codes are counted in rows");
    let server = Server::new(3);
    let pages: Vec<_> = server.blocking().pages(merchants(0, 2)).collect();
    assert_eq!((pages.len(), server.asked().as_str()), (2, "0 1"), "merchants are counted in pages");
    assert!(UntypedList::new(GetStock::SPEC, json!({})).is_none());
}

#[test]
fn a_list_that_goes_on_beyond_the_greatest_offset_ends_with_an_error() {
    // Goods are listed up to the offset 500.
    let request =
        |offset| ListStockItems::builder().offset(offset).limit(1).stock_id("1").stock_creator_mchid("2").build();
    let refused = |outcome: Option<Result<String, Error>>| match outcome {
        Some(Err(Error::Invalid(invalid))) => {
            assert_eq!(invalid.violations.len(), 1);
            assert_eq!(invalid.violations[0].pointer, "/offset");
            assert_eq!(invalid.violations[0].kind, ViolationKind::Range);
        }
        other => panic!("{other:?}"),
    };
    let server = Server::new(502);
    let mut items = server.blocking().items(request(499));
    assert_eq!(items.next().unwrap().unwrap(), "499");
    assert_eq!(items.next().unwrap().unwrap(), "500");
    refused(items.next());
    assert!(items.next().is_none());
    items.resume();
    refused(items.next());
    assert_eq!(server.asked(), "499 500", "nothing was sent");

    let client = server.client();
    let mut items = client.items(request(500));
    assert_eq!(block_on(items.next()).unwrap().unwrap(), "500");
    refused(block_on(items.next()));
    assert!(block_on(items.next()).is_none());

    let server = Server::new(501);
    let found: Result<Vec<_>, _> = server.blocking().items(request(499)).collect();
    assert_eq!(found.unwrap(), ["499", "500"], "the last page may stand at the greatest offset");
}

#[test]
fn after_an_error_nothing_comes_until_it_is_resumed_with_the_page_that_failed() {
    let failing = || Server { fails: Some(1), ..Server::new(5) };
    let is_cut = |item: Option<Result<_, Error>>| matches!(item, Some(Err(Error::Transport(_))));

    let server = failing();
    let mut items = server.blocking().items(merchants(0, 2));
    let mut found: Vec<_> = items.by_ref().take(2).map(|item| item.unwrap().as_str().to_owned()).collect();
    assert!(is_cut(items.next()));
    assert!(items.next().is_none() && items.next().is_none());
    items.resume();
    found.extend(items.map(|item| item.unwrap().as_str().to_owned()));
    assert_eq!(found, rows(0..5));
    assert_eq!(server.asked(), "0 1 1 2");

    let server = failing();
    let mut stream = server.client().items(merchants(0, 2)).into_stream();
    let first = block_on(drain(&mut stream));
    assert_eq!(first.len(), 3);
    assert!(is_cut(first.into_iter().next_back()));
    assert!(block_on(drain(&mut stream)).is_empty());
    stream.resume();
    let rest: Vec<_> = block_on(drain(&mut stream)).into_iter().map(Result::unwrap).collect();
    assert_eq!(rest.iter().map(|item| item.as_str()).collect::<Vec<_>>(), ["2", "3", "4"]);
    assert!(block_on(drain(&mut stream)).is_empty());
    stream.resume();
    assert!(block_on(drain(&mut stream)).is_empty(), "a list that has ended stays ended");
    assert_eq!(server.asked(), "0 1 1 2");

    let server = failing();
    let client = server.client();
    let mut pages = client.pages(merchants(0, 2));
    assert_eq!(block_on(pages.next()).unwrap().unwrap().value.data.len(), 2);
    assert!(block_on(pages.next()).unwrap().is_err());
    assert_eq!(pages.start(), Some(Start::Offset(1)), "where another request may begin");
    let rest: Result<Vec<_>, _> = server.blocking().items(merchants(1, 2)).collect();
    assert_eq!(rest.unwrap().len(), 3);
}

#[test]
fn a_page_that_is_dropped_on_its_way_is_asked_for_again() {
    let server = Server::new(3);
    let client = server.client();
    let mut pages = client.pages(merchants(0, 2));
    drop(pages.next());
    let page = block_on(pages.next()).unwrap().unwrap();
    assert_eq!((page.value.data.len(), pages.start()), (2, Some(Start::Offset(1))));
}

#[test]
fn streams_and_futures_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let server = Server::new(0);
    let client = server.client();
    let mut items = client.items(merchants(0, 2));
    is_send(&items.next());
    is_send(&items.into_stream());
    is_send(&client.pages(untyped(None, None)).next());
}

#[test]
fn debug_tells_nobody_who_is_asked_about() {
    let request = ListUserCoupons::builder().openid("oSECRET").appid("wx1").available_mchid("1900000001").build();
    let server = Server::new(0);
    let arguments = serde_json::to_value(&request).unwrap();
    let typed = format!("{:?}", server.blocking().items(request));
    let untyped = format!("{:?}", server.blocking().pages(UntypedList::new(ListUserCoupons::SPEC, arguments).unwrap()));
    assert!(!typed.contains("oSECRET") && !untyped.contains("oSECRET"), "{typed} {untyped}");
}

/// What every way of reading a list by token finds: the stores, the error after them, and the pages asked for.
fn every_way(server: impl Fn() -> Named, token: Option<&str>) -> (Vec<String>, Option<Error>, String) {
    fn split(outcomes: Vec<Result<String, Error>>) -> (Vec<String>, Option<Error>) {
        let (mut found, mut error) = (Vec::new(), None);
        for outcome in outcomes {
            assert!(error.is_none(), "an error is the end");
            match outcome {
                Ok(id) => found.push(id),
                Err(failure) => error = Some(failure),
            }
        }
        (found, error)
    }
    let id = |store: Value| store["store_id"].as_str().unwrap().to_owned();
    let mut ways = Vec::new();
    let named = server();
    let items = named.blocking().items(stores(token)).by_page().map(|store| store.map(|store| store.store_id));
    ways.push((split(items.collect()), named.asked()));
    let named = server();
    let items = named.blocking().items(untyped_stores(token)).by_row().map(|store| store.map(id));
    ways.push((split(items.collect()), named.asked()));
    let named = server();
    let mut items = named.client().items(stores(token)).by_row().into_stream();
    let items = block_on(drain(&mut items)).into_iter().map(|store| store.map(|store| store.store_id));
    ways.push((split(items.collect()), named.asked()));
    let named = server();
    let client = named.client();
    let mut items = client.items(untyped_stores(token));
    let mut found = Vec::new();
    while let Some(store) = block_on(items.next()) {
        found.push(store.map(id));
    }
    ways.push((split(found), named.asked()));

    let same = |(found, error): &(Vec<String>, Option<Error>), asked: &String| {
        (found.clone(), error.as_ref().map(ToString::to_string), asked.clone())
    };
    let ((first, asked), rest) = ways.split_first().expect("ways");
    for (other, pages) in rest {
        assert_eq!(same(first, asked), same(other, pages));
    }
    let ((found, error), asked) = ways.swap_remove(0);
    (found, error, asked)
}

#[test]
fn a_list_by_token_ends_where_no_next_page_is_named_and_nowhere_else() {
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    // An equals sign is escaped on the wire.
    const PAGES: &[NamedPage] = &[
        ("-", &["1", "2"], Some("MTIz==")),
        ("MTIz%3D%3D", &[], Some("b")),
        ("b", &["3"], Some("c")),
        ("c", &["4", "5"], None),
    ];
    let (found, error, asked) = every_way(|| Named::new(PAGES), None);
    assert!(error.is_none(), "{error:?}");
    assert_eq!((found, asked.as_str()), (ids(&["1", "2", "3", "4", "5"]), "- MTIz%3D%3D b c"));
    let (found, error, asked) = every_way(|| Named::new(PAGES), Some("b"));
    assert!(error.is_none(), "{error:?}");
    assert_eq!((found, asked.as_str()), (ids(&["3", "4", "5"]), "b c"), "it begins where the request says");

    const ENDS: [&[NamedPage]; 3] =
        [&[("-", &[], None)], &[("-", &[], Some(""))], &[("-", &["1"], Some("a")), ("a", &[], Some(""))]];
    for end in ENDS {
        let (found, error, asked) = every_way(|| Named::new(end), None);
        let all: Vec<_> = end.iter().flat_map(|(_, stores, _)| ids(stores)).collect();
        assert!(error.is_none(), "{error:?}");
        assert_eq!((found, asked.split(' ').count()), (all, end.len()), "an empty text names no page");
    }
}

#[test]
fn a_page_that_names_itself_as_the_next_is_an_error_and_no_loop() {
    const PAGES: &[NamedPage] = &[("-", &["1"], Some("a")), ("a", &["1"], Some("a"))];
    let (found, error, asked) = every_way(|| Named::new(PAGES), None);
    assert_eq!((found.as_slice(), asked.as_str()), (&["1".to_owned()][..], "- a"), "the page is not shown");
    let error = error.expect("an error");
    assert_eq!((error.kind(), error.executed(), error.status()), ("decode", Executed::Yes, Some(200)));
    let text = error.to_string();
    assert!(text.contains("next_page_token") && text.contains("cannot be read to its end"), "{text}");

    // The next attempt may find it in order.
    let server = Named::new(PAGES);
    let mut items = server.blocking().pages(stores(None));
    assert!(items.next().unwrap().is_ok() && items.next().unwrap().is_err() && items.next().is_none());
    items.resume();
    assert!(items.next().unwrap().is_err() && items.next().is_none());
    assert_eq!((server.asked().as_str(), items.start()), ("- a a", Some(Start::Token("a".to_owned()))));
}

#[test]
fn a_list_by_token_is_resumed_with_the_page_that_failed() {
    const PAGES: &[NamedPage] = &[("-", &["1", "2"], Some("a")), ("a", &["3"], Some("b")), ("b", &["4"], None)];
    let failing = || Named { fails: Some(1), ..Named::new(PAGES) };
    let (found, error, asked) = every_way(failing, None);
    assert!(matches!(error, Some(Error::Transport(_))), "{error:?}");
    assert_eq!((found.len(), asked.as_str()), (2, "- a"));

    let server = failing();
    let mut read = server.blocking().pages(untyped_stores(None));
    assert_eq!(read.start(), None, "the first page has no name");
    assert!(read.next().unwrap().is_ok() && read.next().unwrap().is_err() && read.next().is_none());
    let start = read.start().expect("where another request may begin");
    assert_eq!(start.to_string(), "a");
    let mut other = stores(None);
    other.set_start(Start::Offset(7));
    assert_eq!(other, stores(None), "it has no offset");
    other.set_start(start);
    let rest: Result<Vec<_>, _> = Named::new(PAGES).blocking().items(other).collect();
    assert_eq!(rest.unwrap().len(), 2);
    read.resume();
    assert_eq!(read.map(|page| page.unwrap().value["store_list"].as_array().map_or(0, Vec::len)).sum::<usize>(), 2);
    assert_eq!(server.asked(), "- a a b");

    let server = failing();
    let mut stream = server.client().items(stores(None)).into_stream();
    assert_eq!(block_on(drain(&mut stream)).len(), 3);
    stream.resume();
    assert!(block_on(drain(&mut stream)).into_iter().map(Result::unwrap).map(|store| store.store_id).eq(["3", "4"]));
    assert_eq!(server.asked(), "- a a b");

    let mut merchants = merchants(3, 2);
    merchants.set_start(Start::Token("a".to_owned()));
    assert_eq!(Paginated::start(&merchants), Some(Start::Offset(3)), "it has no tokens");
}

#[test]
fn a_token_of_another_type_is_a_token() {
    for (next, then, asked) in [(json!(7), json!({"next_page_token": null}), 2), (json!(null), json!({}), 1)] {
        let count = Arc::new(Mutex::new(0));
        let (counted, first) = (Arc::clone(&count), json!({"store_list": [1], "next_page_token": next}));
        let transport = move |request: Request<Bytes>, _: Option<Duration>| {
            *counted.lock().unwrap() += 1;
            let answer = if queried(&request, "page_token") == Some("7") { &then } else { &first };
            Ok(signed().body(std::io::Cursor::new(answer.to_string().into_bytes())).unwrap())
        };
        let client = BlockingClient::new(transport, merchant(), trust()).with_stamper(Fixed);
        let items: Result<Vec<_>, _> = client.items(untyped_stores(None)).collect();
        assert_eq!((items.unwrap(), *count.lock().unwrap()), (vec![json!(1)], asked));
    }
}
