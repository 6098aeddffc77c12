//! Lists, page by page or item by item.
//!
//! [`Client::pages`] and [`Client::items`] take a [`Paginated`] operation, or an [`UntypedList`], and ask for the next
//! page when it is wanted; [`BlockingClient`] has the same as iterators. Some lists count their pages or items by an
//! offset, others name each page by a token that the answer before it tells: both are read alike. Nobody guesses: where a
//! list cannot be read to its end, an error says so.
//!
//! ```no_run
//! # async fn all(client: wechatpay_protocol::Client<impl wechatpay_protocol::Transport>) -> Result<(), wechatpay_protocol::Error> {
//! use wechatpay_protocol::model::favor::ListStocks;
//!
//! let mut stocks = client.items(ListStocks::builder().offset(0).limit(10).stock_creator_mchid("9800064").build());
//! while let Some(stock) = stocks.next().await {
//!     println!("{:?}", stock?.stock_id);
//! }
//! # Ok(())
//! # }
//! ```

use crate::client::{BlockingClient, Client, Reply};
use crate::error::{DecodeError, Error};
use crate::transport::{BlockingTransport, Transport};
use bytes::Bytes;
use futures_core::Stream;
use serde_json::Value;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use wechatpay_model::operation::{Page, Paginated, Spec, Start, Turn, Unit};

impl<T: Transport> Client<T> {
    /// The pages of a list, beginning with the one that the request asks for.
    pub fn pages<L: List>(&self, list: L) -> Pages<Self, L> {
        Pages::new(self.clone(), list)
    }

    /// The items of a list, over all its pages.
    pub fn items<L: List>(&self, list: L) -> Items<Self, L> {
        Items::new(self.pages(list))
    }
}

impl<T: BlockingTransport> BlockingClient<T> {
    /// The pages of a list, beginning with the one that the request asks for.
    pub fn pages<L: List>(&self, list: L) -> Pages<Self, L> {
        Pages::new(self.clone(), list)
    }

    /// The items of a list, over all its pages.
    pub fn items<L: List>(&self, list: L) -> Items<Self, L> {
        Items::new(self.pages(list))
    }
}

/// What has pages: every [`Paginated`] operation, and [`UntypedList`].
pub trait List: sealed::Ask {}

impl<L: sealed::Ask> List for L {}

mod sealed {
    use super::{BlockingClient, BlockingTransport, Client, Error, Future, Page, Reply, Start, Transport};

    /// A request for one page.
    pub trait Ask: Clone + Send + Sync + 'static {
        /// One page.
        type Answer: Send;
        /// What the list is of.
        type Item: Send + 'static;

        fn page(&self) -> Option<&'static Page>;
        fn start(&self) -> Option<Start>;
        fn set_start(&mut self, start: Start);
        fn limit(&self) -> Option<i64>;
        fn next(&self, answer: &Self::Answer) -> Option<String>;
        fn count(&self, answer: &Self::Answer) -> usize;
        fn total(&self, answer: &Self::Answer) -> Option<i64>;
        fn items(&self, answer: Self::Answer) -> Vec<Self::Item>;
        fn ask<T: Transport>(
            &self,
            client: &Client<T>,
        ) -> impl Future<Output = Result<Reply<Self::Answer>, Error>> + Send;
        fn ask_blocking<T: BlockingTransport>(&self, client: &BlockingClient<T>) -> Result<Reply<Self::Answer>, Error>;
    }
}

impl<O: Paginated> sealed::Ask for O {
    type Answer = O::Response;
    type Item = O::Item;

    fn page(&self) -> Option<&'static Page> {
        O::SPEC.page()
    }
    fn start(&self) -> Option<Start> {
        Paginated::start(self)
    }
    fn set_start(&mut self, start: Start) {
        Paginated::set_start(self, start);
    }
    fn limit(&self) -> Option<i64> {
        Paginated::limit(self)
    }
    fn next(&self, answer: &O::Response) -> Option<String> {
        O::next(answer).map(str::to_owned)
    }
    fn count(&self, answer: &O::Response) -> usize {
        O::items(answer).len()
    }
    fn total(&self, answer: &O::Response) -> Option<i64> {
        O::total(answer)
    }
    fn items(&self, answer: O::Response) -> Vec<O::Item> {
        O::into_items(answer)
    }
    async fn ask<T: Transport>(&self, client: &Client<T>) -> Result<Reply<O::Response>, Error> {
        client.send(self).await
    }
    fn ask_blocking<T: BlockingTransport>(&self, client: &BlockingClient<T>) -> Result<Reply<O::Response>, Error> {
        client.send(self)
    }
}

/// A list operation with untyped arguments, as [`Client::call`] takes them. Its pages and items are JSON.
#[derive(Clone)]
pub struct UntypedList {
    spec: &'static Spec,
    page: &'static Page,
    arguments: Value,
}

impl UntypedList {
    /// The list that the operation answers; `None` if it answers none, or not page by page.
    pub fn new(spec: &'static Spec, arguments: Value) -> Option<Self> {
        Some(Self { spec, page: spec.page()?, arguments })
    }
}

impl fmt::Debug for UntypedList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The arguments may tell who somebody is.
        f.debug_struct("UntypedList").field("operation", &self.spec.id()).finish_non_exhaustive()
    }
}

impl sealed::Ask for UntypedList {
    type Answer = Value;
    type Item = Value;

    fn page(&self) -> Option<&'static Page> {
        Some(self.page)
    }
    fn start(&self) -> Option<Start> {
        let turn = self.page.turn();
        let value = self.arguments.get(turn.field())?;
        match turn {
            Turn::Token { .. } => value.as_str().map(|token| Start::Token(token.to_owned())),
            _ => value.as_i64().map(Start::Offset),
        }
    }
    fn set_start(&mut self, start: Start) {
        let value = match start {
            Start::Offset(offset) => Value::from(offset),
            Start::Token(token) => Value::from(token),
            _ => return,
        };
        // Anything but an object is refused when it is sent.
        if let Value::Object(arguments) = &mut self.arguments {
            arguments.insert(self.page.turn().field().to_owned(), value);
        }
    }
    fn limit(&self) -> Option<i64> {
        self.arguments.get(self.page.limit())?.as_i64()
    }
    fn next(&self, answer: &Value) -> Option<String> {
        let Turn::Token { next, .. } = self.page.turn() else { return None };
        match answer.pointer(next)? {
            Value::Null => None,
            Value::String(token) => Some(token.clone()),
            // A number, say, names a page too: the list must not end there unnoticed.
            other => Some(other.to_string()),
        }
    }
    fn count(&self, answer: &Value) -> usize {
        answer.pointer(self.page.items()).and_then(Value::as_array).map_or(0, Vec::len)
    }
    fn total(&self, answer: &Value) -> Option<i64> {
        answer.pointer(self.page.total()?)?.as_i64()
    }
    fn items(&self, mut answer: Value) -> Vec<Value> {
        match answer.pointer_mut(self.page.items()).map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        }
    }
    async fn ask<T: Transport>(&self, client: &Client<T>) -> Result<Reply<Value>, Error> {
        client.call(self.spec, self.arguments.clone()).await
    }
    fn ask_blocking<T: BlockingTransport>(&self, client: &BlockingClient<T>) -> Result<Reply<Value>, Error> {
        client.call(self.spec, self.arguments.clone())
    }
}

/// The pages of a list; an [`Iterator`] over a [`BlockingClient`].
///
/// A list by offset ends when the total that the answers state is reached, or a page is empty; where no total is stated,
/// also when a page is shorter than its limit. If it goes on beyond the greatest offset that the documents allow, it ends
/// with [`Error::Invalid`] that names the offset. A list that changes in the meantime can show an item twice or not at
/// all, as pages of such a list do.
///
/// A list by token ends with the answer that names no next page, and with no other: a page may be empty and have a next
/// one. An answer that names the very page that was asked for would go on for ever; it is not shown, and
/// [`Error::Decode`] in its place, without a body, names the field.
///
/// After an error it ends too; [`resume`](Self::resume) lets it go on, with the page that failed.
#[derive(Debug, Clone)]
#[must_use = "nothing is asked until `next` is called"]
pub struct Pages<C, L> {
    client: C,
    list: L,
    /// What the offset counts; `None` where pages have tokens.
    unit: Option<Unit>,
    /// Items before the next page, once that is known.
    before: Option<i64>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Failed,
    Done,
}

impl<C, L: List> Pages<C, L> {
    fn new(client: C, list: L) -> Self {
        let unit = match list.page().map(Page::turn) {
            Some(Turn::Offset { unit, .. }) => Some(unit),
            Some(_) => None,
            None => Some(Unit::Page),
        };
        Self { client, list, unit, before: None, state: State::Ready }
    }

    /// Counts the offset in items, whatever the documents say. To be chosen before the first page is asked for. A list by
    /// token has none and stays as it is.
    pub fn by_row(self) -> Self {
        Self { unit: self.unit.and(Some(Unit::Row)), ..self }
    }

    /// Counts the offset in pages, whatever the documents say. To be chosen before the first page is asked for. A list by
    /// token has none and stays as it is.
    pub fn by_page(self) -> Self {
        Self { unit: self.unit.and(Some(Unit::Page)), ..self }
    }

    /// Goes on after an error, with the page that failed.
    pub fn resume(&mut self) {
        if self.state == State::Failed {
            self.state = State::Ready;
        }
    }

    /// Where the page begins that is asked for next, as far as the request says; `None` is the first of all. A request
    /// that begins there goes on where this one stands.
    pub fn start(&self) -> Option<Start> {
        self.list.start()
    }

    /// Takes the outcome of asking for the next page.
    fn take(&mut self, outcome: Result<Reply<L::Answer>, Error>) -> Result<Reply<L::Answer>, Error> {
        let outcome = outcome.and_then(|reply| match self.unit {
            Some(unit) => {
                self.turn(unit, self.list.count(&reply.value), self.list.total(&reply.value));
                Ok(reply)
            }
            None => self.follow(reply),
        });
        if outcome.is_err() {
            self.state = State::Failed;
        }
        outcome
    }

    /// Turns to the page that the answer names.
    fn follow(&mut self, reply: Reply<L::Answer>) -> Result<Reply<L::Answer>, Error> {
        let next = self.list.next(&reply.value).filter(|token| !token.is_empty());
        match next.map(Start::Token) {
            None => self.state = State::Done,
            next if next == self.start() => return Err(self.circle(&reply)),
            Some(next) => self.list.set_start(next),
        }
        Ok(reply)
    }

    /// What an answer is that names itself as the next page.
    fn circle(&self, reply: &Reply<L::Answer>) -> Error {
        let path = match self.list.page().map(Page::turn) {
            Some(Turn::Token { next, .. }) => next.trim_start_matches('/').to_owned(),
            _ => String::new(),
        };
        Error::Decode(Box::new(DecodeError {
            status: reply.status,
            path,
            request_id: reply.request_id.clone(),
            body: Bytes::new(),
            source: "it names the page that was asked for as the next one, so the list cannot be read to its end"
                .into(),
        }))
    }

    /// Turns to the page behind one of so many items.
    fn turn(&mut self, unit: Unit, count: usize, total: Option<i64>) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let offset = match self.start() {
            Some(Start::Offset(offset)) => offset,
            _ => 0,
        };
        let limit = self.list.limit();
        let before = self.before.unwrap_or_else(|| match unit {
            Unit::Row => offset,
            // Without a limit the first page shows what the server's own is.
            _ => offset.saturating_mul(limit.unwrap_or(count)),
        });
        let seen = before.saturating_add(count);
        self.before = Some(seen);
        let more = match total {
            Some(total) => seen < total,
            None => limit.is_none_or(|limit| count >= limit),
        };
        if more && count > 0 {
            let step = if unit == Unit::Row { count } else { 1 };
            self.list.set_start(Start::Offset(offset.saturating_add(step)));
        } else {
            self.state = State::Done;
        }
    }
}

impl<T: Transport, L: List> Pages<Client<T>, L> {
    /// The next page. It may be dropped before it is ready: the same page is asked for again.
    pub async fn next(&mut self) -> Option<Result<Reply<L::Answer>, Error>> {
        if self.state != State::Ready {
            return None;
        }
        let outcome = self.list.ask(&self.client).await;
        Some(self.take(outcome))
    }
}

impl<T: BlockingTransport, L: List> Iterator for Pages<BlockingClient<T>, L> {
    type Item = Result<Reply<L::Answer>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state != State::Ready {
            return None;
        }
        let outcome = self.list.ask_blocking(&self.client);
        Some(self.take(outcome))
    }
}

/// The items of a list, over all its [`Pages`]; an [`Iterator`] over a [`BlockingClient`].
///
/// It ends as they do, and after an error: [`resume`](Self::resume) lets it go on, with the page that failed.
#[must_use = "nothing is asked until `next` is called"]
pub struct Items<C, L: List> {
    pages: Pages<C, L>,
    page: std::vec::IntoIter<L::Item>,
}

impl<C, L: List> Items<C, L> {
    fn new(pages: Pages<C, L>) -> Self {
        Self { pages, page: Vec::new().into_iter() }
    }

    /// Counts the offset in items, whatever the documents say. To be chosen before the first item is asked for. A list by
    /// token has none and stays as it is.
    pub fn by_row(self) -> Self {
        Self { pages: self.pages.by_row(), ..self }
    }

    /// Counts the offset in pages, whatever the documents say. To be chosen before the first item is asked for. A list by
    /// token has none and stays as it is.
    pub fn by_page(self) -> Self {
        Self { pages: self.pages.by_page(), ..self }
    }

    /// Goes on after an error, with the page that failed.
    pub fn resume(&mut self) {
        self.pages.resume();
    }

    fn open(&mut self, page: Reply<L::Answer>) {
        self.page = self.pages.list.items(page.value).into_iter();
    }
}

impl<T: Transport, L: List> Items<Client<T>, L> {
    /// The next item. It may be dropped before it is ready: the same page is asked for again.
    pub async fn next(&mut self) -> Option<Result<L::Item, Error>> {
        loop {
            if let Some(item) = self.page.next() {
                return Some(Ok(item));
            }
            match self.pages.next().await? {
                Ok(page) => self.open(page),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<T: Transport + 'static, L: List> Items<Client<T>, L> {
    /// The same as a [`Stream`].
    pub fn into_stream(self) -> ItemStream<T, L> {
        ItemStream { items: self, asking: None }
    }
}

impl<T: BlockingTransport, L: List> Iterator for Items<BlockingClient<T>, L> {
    type Item = Result<L::Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.page.next() {
                return Some(Ok(item));
            }
            match self.pages.next()? {
                Ok(page) => self.open(page),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<C: fmt::Debug, L: List + fmt::Debug> fmt::Debug for Items<C, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("pages", &self.pages).finish_non_exhaustive()
    }
}

/// The items of a list as a [`Stream`].
#[must_use = "nothing is asked until it is polled"]
pub struct ItemStream<T, L: List> {
    items: Items<Client<T>, L>,
    asking: Option<Asking<L>>,
}

/// The next page on its way.
type Asking<L> = Pin<Box<dyn Future<Output = Result<Reply<<L as sealed::Ask>::Answer>, Error>> + Send>>;

impl<T, L: List> ItemStream<T, L> {
    /// Goes on after an error, with the page that failed.
    pub fn resume(&mut self) {
        self.items.resume();
    }
}

impl<T, L: List> Unpin for ItemStream<T, L> {}

impl<T: Transport + 'static, L: List> Stream for ItemStream<T, L> {
    type Item = Result<L::Item, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { items, asking } = self.get_mut();
        loop {
            if let Some(item) = items.page.next() {
                return Poll::Ready(Some(Ok(item)));
            }
            if asking.is_none() && items.pages.state != State::Ready {
                return Poll::Ready(None);
            }
            let page = asking.get_or_insert_with(|| {
                let (client, list) = (items.pages.client.clone(), items.pages.list.clone());
                Box::pin(async move { list.ask(&client).await })
            });
            let outcome = ready!(page.as_mut().poll(context));
            *asking = None;
            match items.pages.take(outcome) {
                Ok(page) => items.open(page),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

impl<T, L: List + fmt::Debug> fmt::Debug for ItemStream<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ItemStream").field("items", &self.items).finish_non_exhaustive()
    }
}
