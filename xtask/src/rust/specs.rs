//! The types of an operation and its description as data.

use super::types::Structs;
use super::{docs, shapes};
use crate::catalog::{Family, Operation, Scope, referent};
use crate::names::screaming;
use crate::schema::{Audience, Body, ErrorRow, Idempotency, Method, Node, Rule};
use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use std::collections::BTreeSet;

/// Request, answer, and what joins them to their description.
pub(super) fn operation(scope: &Scope, structs: &Structs, operation: &Operation) -> anyhow::Result<TokenStream> {
    let name = operation.request_type();
    let data = &operation.data;
    let (docs, title) = (docs::attributes(&docs::request(operation)), alias(&data.title_zh));
    let docs = quote!(#docs #[doc(alias = #title)]);
    let request = structs.item(scope, &name, &data.request, &docs, true)?;
    let mut response_item = TokenStream::new();
    let response = match (&data.response, operation.response_type()) {
        (Some(node), Some(name)) => {
            let docs = docs::attributes(&docs::response(operation, node));
            response_item = structs.item(scope, &name, node, &docs, false)?;
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
    let spec = format_ident!("{}", screaming(&operation.name));
    Ok(quote! {
        #request
        impl Operation for #ident {
            type Response = #response;
            const SPEC: &'static Spec = &spec::#spec;
        }
        #response_item
    })
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
    if specs.is_empty() {
        return Ok(TokenStream::new());
    }
    let shapes = shape_statics(scope, definitions, in_requests, &TokenStream::new())?;
    Ok(quote! {
        mod spec {
            use crate::operation::*;
            #(#specs)*
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
    let ident = format_ident!("{}", screaming(&operation.name));
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
    let (source, query, header) = (&data.source, &data.query, &data.header);
    let request = shapes::shape(scope, &data.request)?;
    let rules = data.rules.iter().map(rule);
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
            query: &[#(#query),*],
            header: &[#(#header),*],
            body: #body,
            request: &#request,
            answer: #answer,
            rules: &[#(#rules),*],
            idempotency: #idempotency,
            errors: &#errors,
            #[cfg(feature = "schemas")]
            schema: include_str!(#schema),
        };
    })
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
            let (min, max) = (integer(min), integer(max));
            quote!(Rule::FromNow { at: #at, min: #min, max: #max })
        }
        Rule::Caller(at) => quote!(Rule::Caller { at: #at }),
    }
}
