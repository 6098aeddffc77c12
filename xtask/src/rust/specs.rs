//! The types of an operation and its description as data.

use super::types::Structs;
use super::{docs, shapes};
use crate::catalog::{Family, Notification, Operation, Scope, referent};
use crate::names::screaming;
use crate::schema::{
    Audience, Body, Delivery, ErrorRow, Idempotency, Method, Node, NotificationFile, Page, Per, Rate, Rule, Turn, Unit,
};
use crate::source::below;
use anyhow::anyhow;
use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use std::collections::BTreeSet;

/// Request, answer, and what joins them to their description.
pub(super) fn operation(scope: &Scope, structs: &Structs, operation: &Operation) -> anyhow::Result<TokenStream> {
    let name = operation.request_type();
    let data = &operation.data;
    let (docs, title) = (docs::attributes(&docs::request(operation)), alias(&data.title_zh));
    let docs = quote!(#docs #[doc(alias = #title)]);
    let request = structs.item(scope, &name, &data.request, &docs)?;
    let mut response_item = TokenStream::new();
    let response = match (&data.response, operation.response_type()) {
        (Some(node), Some(name)) => {
            let docs = docs::attributes(&docs::response(operation, node));
            response_item = structs.item(scope, &name, node, &docs)?;
            let ident = format_ident!("{name}");
            quote!(#ident)
        }
        (Some(node), None) => {
            let name = referent(node.reference.as_deref().unwrap_or_default());
            let ident = format_ident!("{name}");
            match scope.find(name) {
                Some((crate::catalog::Home::Common, _)) => quote!(crate::common::#ident),
                _ => quote!(#ident),
            }
        }
        (None, _) => quote!(crate::NoContent),
    };
    let ident = format_ident!("{name}");
    let spec = static_name(&operation.name);
    let paginated = data.page.as_ref().map(|page| paginated(scope, structs, operation, page)).transpose()?;
    Ok(quote! {
        #request
        impl Operation for #ident {
            type Response = #response;
            const SPEC: &'static Spec = &spec::#spec;
        }
        #paginated
        #response_item
    })
}

/// Where the pages of a list begin and what they hold.
fn paginated(scope: &Scope, structs: &Structs, operation: &Operation, page: &Page) -> anyhow::Result<TokenStream> {
    let (data, name) = (&operation.data, operation.request_type());
    let response = data.response.as_ref().ok_or_else(|| anyhow!("{} has pages and no response", data.id))?;
    let response_name = operation.response_type();
    let shared = response.reference.as_deref().map(referent);
    let response_name = response_name.as_deref().or(shared).unwrap_or_default();
    let response = scope.follow(response);

    let turn = turn(page)?;
    let (begin, kind, copy) = match turn {
        Turn::Offset { offset, .. } => (offset, quote!(Start::Offset), quote!()),
        Turn::Token { token, .. } => (token, quote!(Start::Token), quote!(.clone())),
    };
    let (begin, begin_required) = structs.field(&name, &data.request, begin)?;
    let (limit, limit_required) = structs.field(&name, &data.request, &page.limit)?;
    let (items, _) = structs.field(response_name, response, page.items.trim_start_matches('/'))?;
    let get = |field: &syn::Ident, required: bool, of: TokenStream| {
        if required { quote!(Some(#of.#field)) } else { quote!(#of.#field) }
    };
    let begin = begin.ident;
    let start =
        if begin_required { quote!(Some(#kind(self.#begin #copy))) } else { quote!(self.#begin #copy.map(#kind)) };
    let set = if begin_required { quote!(start) } else { quote!(Some(start)) };
    let next = match turn {
        Turn::Offset { .. } => quote!(),
        Turn::Token { next, .. } => {
            let (next, required) = structs.field(response_name, response, next.trim_start_matches('/'))?;
            let next = next.ident;
            let next = if required { quote!(Some(&response.#next)) } else { quote!(response.#next.as_deref()) };
            quote! { fn next(response: &Self::Response) -> Option<&str> { #next } }
        }
    };
    let total = match &page.total {
        Some(total) => {
            let (total, required) = structs.field(response_name, response, total.trim_start_matches('/'))?;
            let total = get(total.ident, required, quote!(response));
            quote! { fn total(response: &Self::Response) -> Option<i64> { #total } }
        }
        None => quote! { fn total(_: &Self::Response) -> Option<i64> { None } },
    };
    let get_limit = get(limit.ident, limit_required, quote!(self));
    let (items, item) = (items.ident, items.item()?);
    let ident = format_ident!("{name}");
    Ok(quote! {
        impl Paginated for #ident {
            type Item = #item;
            fn start(&self) -> Option<Start> { #start }
            fn set_start(&mut self, start: Start) {
                if let #kind(start) = start { self.#begin = #set; }
            }
            fn limit(&self) -> Option<i64> { #get_limit }
            fn items(response: &Self::Response) -> &[Self::Item] { &response.#items }
            fn into_items(response: Self::Response) -> Vec<Self::Item> { response.#items }
            #next
            #total
        }
    })
}

/// What says where a page begins.
fn turn(page: &Page) -> anyhow::Result<Turn<'_>> {
    page.turn().ok_or_else(|| anyhow!("a list has neither `offset` and `unit` nor `token` and `next`"))
}

/// The payload of a notification, and what joins it to its description.
pub(super) fn notification(
    scope: &Scope,
    structs: &Structs,
    notification: &Notification,
) -> anyhow::Result<TokenStream> {
    let (name, data) = (notification.payload_type(), &notification.data);
    let (docs, title) = (docs::attributes(&docs::payload(notification)), alias(&data.title_zh));
    let docs = quote!(#docs #[doc(alias = #title)]);
    let payload = structs.item(scope, &name, &data.payload, &docs)?;
    let (ident, spec) = (format_ident!("{name}"), static_name(&notification.name));
    Ok(quote! {
        #payload
        impl Payload for #ident {
            const EVENT: &'static EventSpec = &spec::#spec;
        }
    })
}

/// The static that holds the description of an operation or a notification.
pub(super) fn static_name(name: &str) -> syn::Ident {
    format_ident!("{}", screaming(name))
}

/// rustdoc takes no quotes and no other white space than single spaces in an alias.
fn alias(title: &str) -> String {
    title.replace(['"', '\''], "").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The private module with the descriptions of a family.
pub(super) fn module(
    scope: &Scope,
    family: &Family,
    definitions: &[(&str, &Node)],
    in_requests: &BTreeSet<&str>,
) -> anyhow::Result<TokenStream> {
    let specs = family.operations.iter().map(|operation| spec(scope, operation));
    let specs = specs.collect::<anyhow::Result<Vec<_>>>()?;
    let events = family.notifications.iter().map(event);
    if specs.is_empty() && family.notifications.is_empty() {
        return Ok(TokenStream::new());
    }
    let shapes = shape_statics(scope, definitions, in_requests, &TokenStream::new())?;
    Ok(quote! {
        mod spec {
            use crate::operation::*;
            #(#specs)*
            #(#events)*
            #(#shapes)*
        }
    })
}

/// The module with the forms that families share.
pub(super) fn common_module(
    scope: &Scope,
    definitions: &[(&str, &Node)],
    in_requests: &BTreeSet<&str>,
) -> anyhow::Result<TokenStream> {
    let shapes = shape_statics(scope, definitions, in_requests, &quote!(pub(crate)))?;
    if shapes.is_empty() {
        return Ok(TokenStream::new());
    }
    Ok(quote! {
        #[allow(dead_code, reason = "which forms are used depends on the features")]
        pub(crate) mod spec {
            use crate::operation::*;
            #(#shapes)*
        }
    })
}

fn shape_statics(
    scope: &Scope,
    definitions: &[(&str, &Node)],
    in_requests: &BTreeSet<&str>,
    visibility: &TokenStream,
) -> anyhow::Result<Vec<TokenStream>> {
    let used = definitions.iter().filter(|(name, _)| in_requests.contains(name));
    let statics = used.map(|(name, node)| {
        let ident = shapes::static_name(name);
        let shape = shapes::shape(scope, node)?;
        Ok(quote!(#visibility static #ident: Shape = #shape;))
    });
    statics.collect()
}

fn spec(scope: &Scope, operation: &Operation) -> anyhow::Result<TokenStream> {
    let data = &operation.data;
    let ident = static_name(&operation.name);
    let (id, title, title_zh, path) = (&data.id, &data.title, &data.title_zh, &data.path);
    let audience = data.audience.iter().map(|audience| match audience {
        Audience::Merchant => quote!(Audience::Merchant),
        Audience::Partner => quote!(Audience::Partner),
        Audience::Channel => quote!(Audience::Channel),
    });
    let method = match data.method {
        Method::Get => quote!(Method::Get),
        Method::Post => quote!(Method::Post),
        Method::Put => quote!(Method::Put),
        Method::Patch => quote!(Method::Patch),
        Method::Delete => quote!(Method::Delete),
    };
    let body = match data.body {
        Body::Json => quote!(Body::Json),
        Body::None => quote!(Body::None),
        Body::Multipart => quote!(Body::Multipart),
    };
    let answer = if data.response.is_some() { quote!(Answer::Json) } else { quote!(Answer::Empty) };
    let idempotency = match &data.idempotency {
        Idempotency::Safe {} => quote!(Idempotency::Safe),
        Idempotency::Key { field } => quote!(Idempotency::Key(#field)),
        Idempotency::None {} => quote!(Idempotency::None),
    };
    let brand_path = shapes::option(data.brand_path.as_ref());
    let (source, query, header) = (&data.source, &data.query, &data.header);
    let mut sealed = Vec::new();
    if let Some(response) = &data.response {
        find_sealed(scope, response, "", &mut sealed);
    }
    let request = shapes::shape(scope, &data.request)?;
    let rules = data.rules.iter().map(rule);
    let page = shapes::option(data.page.as_ref().map(page).transpose()?);
    let rate = data.rate.iter().map(rate);
    let errors = error_rows(&data.errors);
    let schema = format!("schemas/{id}.json");
    Ok(quote! {
        pub(super) static #ident: Spec = Spec {
            id: #id,
            title: #title,
            title_zh: #title_zh,
            audience: &[#(#audience),*],
            source: &[#(#source),*],
            method: #method,
            path: #path,
            brand_path: #brand_path,
            query: &[#(#query),*],
            header: &[#(#header),*],
            body: #body,
            request: &#request,
            answer: #answer,
            sealed: &[#(#sealed),*],
            rules: &[#(#rules),*],
            idempotency: #idempotency,
            page: #page,
            rate: &[#(#rate),*],
            errors: &#errors,
            #[cfg(feature = "schemas")]
            schema: include_str!(#schema),
        };
    })
}

/// The places of an answer that are marked as sensitive.
fn find_sealed(scope: &Scope, node: &Node, pointer: &str, found: &mut Vec<String>) {
    let target = scope.follow(node);
    for (name, field) in target.fields() {
        let pointer = below(pointer, name);
        find_sealed(scope, field, &pointer, found);
        if field.sensitive == Some(true) {
            found.push(pointer);
        }
    }
    if let Some(items) = &target.items {
        find_sealed(scope, items, &below(pointer, "*"), found);
    }
}

fn page(page: &Page) -> anyhow::Result<TokenStream> {
    let Page { limit, items, .. } = page;
    let total = shapes::option(page.total.as_ref());
    let turn = match turn(page)? {
        Turn::Offset { offset, unit: Unit::Page } => quote!(Turn::Offset { field: #offset, unit: Unit::Page }),
        Turn::Offset { offset, unit: Unit::Row } => quote!(Turn::Offset { field: #offset, unit: Unit::Row }),
        Turn::Token { token, next } => quote!(Turn::Token { field: #token, next: #next }),
    };
    Ok(quote!(Page { turn: #turn, limit: #limit, items: #items, total: #total }))
}

fn rate(rate: &Rate) -> TokenStream {
    let (calls, seconds) = (Literal::u32_unsuffixed(rate.calls), Literal::u32_unsuffixed(rate.seconds));
    let per = match rate.per {
        Per::Merchant => quote!(Per::Merchant),
        Per::Ip => quote!(Per::Ip),
        Per::All => quote!(Per::All),
    };
    quote!(Rate { calls: #calls, seconds: #seconds, per: #per })
}

fn event(notification: &Notification) -> TokenStream {
    let NotificationFile { id, title, title_zh, source, event_type, original_type, delivery, .. } = &notification.data;
    let ident = static_name(&notification.name);
    let delivery = shapes::option(delivery.as_ref().map(|Delivery { attempts, every_seconds }| {
        let (attempts, seconds) = (Literal::u32_unsuffixed(*attempts), Literal::u32_unsuffixed(*every_seconds));
        quote!(Delivery { attempts: #attempts, every_seconds: #seconds })
    }));
    let schema = format!("schemas/{id}.json");
    quote! {
        pub(super) static #ident: EventSpec = EventSpec {
            id: #id,
            title: #title,
            title_zh: #title_zh,
            source: &[#(#source),*],
            event_type: #event_type,
            original_type: #original_type,
            delivery: #delivery,
            #[cfg(feature = "schemas")]
            schema: include_str!(#schema),
        };
    }
}

/// An array of the rows.
pub(super) fn error_rows(rows: &[ErrorRow]) -> TokenStream {
    let rows = rows.iter().map(|row| {
        let ErrorRow { status, code, message, meaning, remedy } = row;
        let status = Literal::u16_unsuffixed(*status);
        quote! {
            ErrorRow { status: #status, code: #code, message: #message, meaning: #meaning, remedy: #remedy }
        }
    });
    quote!([#(#rows),*])
}

fn rule(rule: &Rule) -> TokenStream {
    let integer = |value: &i64| shapes::integer(*value);
    match rule {
        Rule::Product(places) => {
            let (equals, factors) = places.split_last().map_or(("", &[][..]), |(last, rest)| (last.as_str(), rest));
            let equals = equals.trim_start_matches('=');
            quote!(Rule::Product { factors: &[#(#factors),*], equals: #equals })
        }
        Rule::Less([a, b]) => quote!(Rule::Less { a: #a, b: #b }),
        Rule::AtMost([a, b]) => quote!(Rule::AtMost { a: #a, b: #b }),
        Rule::SpanMax { from, to, seconds } => {
            let seconds = integer(seconds);
            quote!(Rule::SpanMax { from: #from, to: #to, seconds: #seconds })
        }
        Rule::ExactlyOne(places) => quote!(Rule::ExactlyOne(&[#(#places),*])),
        Rule::AtLeastOne(places) => quote!(Rule::AtLeastOne(&[#(#places),*])),
        Rule::RequiredIf { at, is, then } => quote!(Rule::RequiredIf { at: #at, is: #is, then: #then }),
        Rule::WidthMax { at, narrow, wide } => {
            let (narrow, wide) = (Literal::usize_unsuffixed(*narrow), Literal::usize_unsuffixed(*wide));
            quote!(Rule::WidthMax { at: #at, narrow: #narrow, wide: #wide })
        }
        Rule::FromNow { at, min, max } => {
            let bound = |value: &Option<i64>| shapes::option(value.as_ref().map(integer));
            let (min, max) = (bound(min), bound(max));
            quote!(Rule::FromNow { at: #at, min: #min, max: #max })
        }
        Rule::Caller(at) => quote!(Rule::Caller { at: #at }),
    }
}
