//! The forms of requests, limits included.

use crate::catalog::{Home, Scope, referent};
use crate::limits::text_limits;
use crate::names::screaming;
use crate::schema::{Kind, Node};
use anyhow::{anyhow, bail};
use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

/// The static that holds the form of a definition.
pub(super) fn static_name(name: &str) -> syn::Ident {
    format_ident!("SHAPE_{}", screaming(name))
}

/// A reference to the form of this schema.
fn reference(scope: &Scope, node: &Node) -> anyhow::Result<TokenStream> {
    let Some(name) = node.reference.as_deref().map(referent) else {
        let shape = shape(scope, node)?;
        return Ok(quote!(&#shape));
    };
    let ident = static_name(name);
    Ok(match scope.find(name) {
        // Seen from common.json itself, its statics are at hand.
        Some((Home::Common, _)) if scope.family.is_some() => quote!(&crate::common::spec::#ident),
        _ => quote!(&#ident),
    })
}

/// The form of this schema, which is no reference.
pub(super) fn shape(scope: &Scope, node: &Node) -> anyhow::Result<TokenStream> {
    Ok(match node.kind {
        Some(Kind::Object) => {
            let fields = node.fields().map(|(name, field)| self::field(scope, node, name, field));
            let fields = fields.collect::<anyhow::Result<Vec<_>>>()?;
            quote!(Shape::Object(&[#(#fields),*]))
        }
        Some(Kind::Array) => {
            let items = node.items.as_ref().ok_or_else(|| anyhow!("an array without items"))?;
            let items = reference(scope, items)?;
            let min = Literal::usize_unsuffixed(node.min_items.unwrap_or(0));
            let max = option(node.max_items.map(Literal::usize_unsuffixed));
            quote!(Shape::Array { items: #items, min: #min, max: #max })
        }
        Some(Kind::String) => {
            let text = text(node)?;
            quote!(Shape::Text(#text))
        }
        Some(Kind::Integer) => {
            let (min, max) = (option(node.minimum.map(integer)), option(node.maximum.map(integer)));
            let values = node.one_of.iter().flatten().filter_map(|value| value.as_i64()).map(integer);
            quote!(Shape::Integer { min: #min, max: #max, one_of: &[#(#values),*] })
        }
        Some(Kind::Boolean) => quote!(Shape::Boolean),
        Some(Kind::Number) | None => bail!("a request cannot hold this schema: {node:?}"),
    })
}

fn field(scope: &Scope, object: &Node, name: &str, field: &Node) -> anyhow::Result<TokenStream> {
    let required = object.requires(name);
    let alias = option(field.alias.as_ref());
    let shape = reference(scope, field)?;
    let sensitive = field.sensitive == Some(true);
    Ok(quote!(Field { name: #name, required: #required, alias: #alias, sensitive: #sensitive, shape: #shape }))
}

fn text(node: &Node) -> anyhow::Result<TokenStream> {
    let limits = text_limits(node).map_err(|what| anyhow!("{what}"))?;
    let mut set = Vec::new();
    if limits.min > 0 {
        let min = Literal::usize_unsuffixed(limits.min);
        set.push(quote!(min: #min));
    }
    if let Some(max) = limits.max {
        let max = Literal::usize_unsuffixed(max);
        set.push(quote!(max: Some(#max)));
    }
    if let Some(ranges) = limits.charset {
        let ranges = ranges.into_iter().map(|(first, last)| quote!((#first, #last)));
        set.push(quote!(charset: Some(Charset::new(&[#(#ranges),*]))));
    }
    if node.is_text_enum() {
        let values = node.one_of.iter().flatten().filter_map(|value| value.as_str());
        set.push(quote!(one_of: &[#(#values),*]));
    }
    if node.case_blind == Some(true) {
        set.push(quote!(case_blind: true));
    }
    if node.format.is_some() {
        set.push(quote!(format: Some(Format::DateTime)));
    }
    Ok(if set.is_empty() { quote!(Text::ANY) } else { quote!(Text { #(#set,)* ..Text::ANY }) })
}

/// An integer without a suffix.
pub(super) fn integer(value: i64) -> TokenStream {
    let amount = Literal::u64_unsuffixed(value.unsigned_abs());
    if value < 0 { quote!(-#amount) } else { quote!(#amount) }
}

/// `Some(…)` or `None`.
pub(super) fn option(value: Option<impl quote::ToTokens>) -> TokenStream {
    value.map_or_else(|| quote!(None), |value| quote!(Some(#value)))
}
