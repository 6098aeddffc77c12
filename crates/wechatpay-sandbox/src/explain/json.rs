//! The same JSON in other words: how libraries would have written it.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt::{self, Write as _};

/// A JSON value that keeps its fields in their order.
enum Node {
    /// A number, `true`, `false` or `null`.
    Plain(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// A way to write JSON.
#[derive(Clone, Copy)]
struct Style {
    /// One step of indentation; `None` writes one line.
    indent: Option<&'static str>,
    item: &'static str,
    colon: &'static str,
    escapes: Escapes,
    sorted: bool,
}

/// What is escaped beyond what must be.
#[derive(Clone, Copy, PartialEq)]
struct Escapes {
    /// Everything beyond ASCII, as `\uXXXX`.
    unicode: bool,
    /// `/`, as `\/`.
    slash: bool,
    /// `<`, `>` and `&`, as `\u003c` and so on.
    html: bool,
}

const LAYOUTS: [(&str, Option<&str>, &str, &str); 6] = [
    ("compact", None, ",", ":"),
    ("with a space after commas and colons, as Python's json.dumps", None, ", ", ": "),
    ("indented by two spaces", Some("  "), ",", ": "),
    ("indented by four spaces", Some("    "), ",", ": "),
    ("indented by tabs", Some("\t"), ",", ": "),
    ("with a space after colons", None, ",", ": "),
];

const ESCAPES: [(&str, Escapes); 5] = [
    ("", Escapes { unicode: false, slash: false, html: false }),
    (" with non-ASCII text as \\uXXXX", Escapes { unicode: true, slash: false, html: false }),
    (
        " with non-ASCII text as \\uXXXX and slashes as \\/, as PHP's json_encode",
        Escapes { unicode: true, slash: true, html: false },
    ),
    (" with slashes as \\/", Escapes { unicode: false, slash: true, html: false }),
    (" with <, > and & as \\u003c, as Go's json.Marshal", Escapes { unicode: false, slash: false, html: true }),
];

/// The other ways to write a JSON document, each with a name; none if it is no JSON.
pub(super) fn variants(document: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> + use<> {
    let node: Option<Node> = serde_json::from_slice(document).ok();
    let styles = [false, true].into_iter().flat_map(|sorted| {
        ESCAPES.into_iter().flat_map(move |(escaped, escapes)| {
            LAYOUTS.into_iter().map(move |(layout, indent, item, colon)| {
                let order = if sorted { ", its keys sorted" } else { "" };
                (format!("{layout}{escaped}{order}"), Style { indent, item, colon, escapes, sorted })
            })
        })
    });
    node.into_iter().flat_map(move |node| {
        styles.clone().map(move |(name, style)| {
            let mut text = String::new();
            node.write(style, 0, &mut text);
            (name, text.into_bytes())
        })
    })
}

/// The fields of a flat object as `name=value&…`, as forms are sent.
pub(super) fn form(document: &[u8]) -> Option<Vec<u8>> {
    let Node::Object(fields) = serde_json::from_slice(document).ok()? else { return None };
    let pairs = fields.iter().map(|(name, value)| match value {
        Node::Plain(text) | Node::Text(text) => Some((name, text)),
        Node::List(_) | Node::Object(_) => None,
    });
    let pairs: Vec<_> = pairs.collect::<Option<_>>()?;
    Some(form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into_bytes())
}

impl Node {
    fn write(&self, style: Style, depth: usize, to: &mut String) {
        match self {
            Self::Plain(text) => to.push_str(text),
            Self::Text(text) => quote(text, style.escapes, to),
            Self::List(items) => bracket(['[', ']'], items.iter(), style, depth, to, |item, to| {
                item.write(style, depth + 1, to);
            }),
            Self::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                if style.sorted {
                    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
                }
                bracket(['{', '}'], fields.into_iter(), style, depth, to, |(name, value), to| {
                    quote(name, style.escapes, to);
                    to.push_str(style.colon);
                    value.write(style, depth + 1, to);
                });
            }
        }
    }
}

fn bracket<T>(
    [open, close]: [char; 2],
    items: impl ExactSizeIterator<Item = T>,
    style: Style,
    depth: usize,
    to: &mut String,
    mut write: impl FnMut(T, &mut String),
) {
    let break_line = |to: &mut String, depth| {
        if let Some(indent) = style.indent {
            to.push('\n');
            (0..depth).for_each(|_| to.push_str(indent));
        }
    };
    to.push(open);
    let empty = items.len() == 0;
    for (index, item) in items.enumerate() {
        if index > 0 {
            to.push_str(style.item);
        }
        break_line(to, depth + 1);
        write(item, to);
    }
    if !empty {
        break_line(to, depth);
    }
    to.push(close);
}

fn quote(text: &str, escapes: Escapes, to: &mut String) {
    to.push('"');
    for letter in text.chars() {
        match letter {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            '\u{8}' => to.push_str("\\b"),
            '\u{c}' => to.push_str("\\f"),
            '/' if escapes.slash => to.push_str("\\/"),
            '<' | '>' | '&' if escapes.html => escape(letter, to),
            letter if letter < ' ' || (escapes.unicode && !letter.is_ascii()) => escape(letter, to),
            letter => to.push(letter),
        }
    }
    to.push('"');
}

fn escape(letter: char, to: &mut String) {
    for unit in letter.encode_utf16(&mut [0; 2]) {
        // Writing to a String cannot fail.
        let _ = write!(to, "\\u{unit:04x}");
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Plain("null".to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Plain(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Plain(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Plain(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Plain(serde_json::Value::from(value).to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = access.next_entry()? {
            fields.push(field);
        }
        Ok(Node::Object(fields))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_written_as_libraries_write_it() {
        let document = "{\"b\": [1,{}, []],\n\"a\":\"\u{4ee3}/<\\u0001\\n\"}";
        let all: Vec<_> = variants(document.as_bytes()).map(|(_, text)| String::from_utf8(text).unwrap()).collect();
        for wanted in [
            // Each made by the library: JavaScript, Python, PHP, Go, and Python again.
            "{\"b\":[1,{},[]],\"a\":\"\u{4ee3}/<\\u0001\\n\"}",
            "{\"b\": [1, {}, []], \"a\": \"\\u4ee3/<\\u0001\\n\"}",
            "{\"b\":[1,{},[]],\"a\":\"\\u4ee3\\/<\\u0001\\n\"}",
            "{\"a\":\"\u{4ee3}/\\u003c\\u0001\\n\",\"b\":[1,{},[]]}",
            "{\n    \"a\": \"\u{4ee3}/<\\u0001\\n\",\n    \"b\": [\n        1,\n        {},\n        []\n    ]\n}",
        ] {
            assert!(all.iter().any(|text| text == wanted), "{wanted} is not in {all:#?}");
        }
        assert_eq!(variants(b"{").count() + variants(b"").count() + variants(b"\xFF").count(), 0);
    }

    #[test]
    fn a_flat_object_is_a_form() {
        assert_eq!(form(br#"{"b":1,"a":"x y"}"#).as_deref(), Some(&b"b=1&a=x+y"[..]));
        assert_eq!(form(br#"{"b":[1]}"#), None);
    }
}
