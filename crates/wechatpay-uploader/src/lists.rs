//! What an answer says, read without a copy of each of its codes.

use crate::codes::Codes;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// The fields of an answer, by name. Whatever is no object has none.
#[derive(Debug, Default)]
pub(crate) struct Answer(Vec<(String, Field)>);

impl Answer {
    fn field(&self, name: &str) -> Option<&Field> {
        // Of a name that stands there twice the last one counts, as everywhere.
        self.0.iter().rev().find(|(other, _)| other == name).map(|(_, field)| field)
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        match self.field(name)? {
            Field::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A list, which may be left out.
    pub(crate) fn list(&self, name: &str) -> Option<&List> {
        match self.field(name)? {
            Field::List(list) => Some(list),
            _ => None,
        }
    }
}

#[derive(Debug)]
enum Field {
    Number(u64),
    List(List),
    Other,
}

/// A list whose items are texts, or objects with a text in a field.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// An item that is no text has the empty one here.
    texts: Codes,
    /// Items that are objects, by position.
    objects: Vec<(usize, Map<String, Value>)>,
}

impl List {
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The codes; the empty text for an item without one. In an object the code is in this field.
    pub(crate) fn codes(&self, field: &str) -> impl Iterator<Item = &str> {
        let mut objects = self.objects.iter().peekable();
        self.texts.iter().enumerate().map(move |(at, text)| match objects.next_if(|(position, _)| *position == at) {
            Some((_, object)) => object.get(field).and_then(Value::as_str).unwrap_or_default(),
            None => text,
        })
    }

    /// The item at this position, if it is an object.
    pub(crate) fn object(&self, at: usize) -> Option<&Map<String, Value>> {
        let place = self.objects.binary_search_by_key(&at, |(position, _)| *position).ok()?;
        self.objects.get(place).map(|(_, object)| object)
    }
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(Fields)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(Content)
    }
}

impl<'de> DeserializeSeed<'de> for &mut List {
    type Value = ();

    /// Reads the next item.
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(Item(self))
    }
}

/// Says that a visitor takes these kinds of value as well, and what it makes of them.
macro_rules! others {
    ($value:ty, $this:ident => $made:expr) => {
        others!($value, $this => $made, visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);
    };
    ($value:ty, $this:ident => $made:expr, $($visit:ident: $kind:ty),*) => {
        $(fn $visit<E: Error>($this, _: $kind) -> Result<$value, E> { Ok($made) })*

        fn visit_unit<E: Error>($this) -> Result<$value, E> { Ok($made) }
    };
}

fn pass_over_items<'de, A: SeqAccess<'de>>(mut items: A) -> Result<(), A::Error> {
    while items.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Answer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer")
    }

    others!(Answer, self => Answer::default());

    fn visit_str<E: Error>(self, _: &str) -> Result<Answer, E> {
        Ok(Answer::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Answer, A::Error> {
        pass_over_items(items).map(|()| Answer::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Answer, A::Error> {
        let mut answer = Answer::default();
        while let Some(field) = fields.next_entry()? {
            answer.0.push(field);
        }
        Ok(answer)
    }
}

struct Content;

impl<'de> Visitor<'de> for Content {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field of an answer")
    }

    others!(Field, self => Field::Other, visit_bool: bool, visit_i64: i64, visit_f64: f64);

    fn visit_u64<E: Error>(self, number: u64) -> Result<Field, E> {
        Ok(Field::Number(number))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Field, A::Error> {
        let mut list = List::default();
        while items.next_element_seed(&mut list)?.is_some() {}
        Ok(Field::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Field, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }
}

/// Puts one more item into a list.
struct Item<'a>(&'a mut List);

impl<'de> Visitor<'de> for Item<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an item of a list")
    }

    others!((), self => self.0.texts.push(""));

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.texts.push(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
        self.0.texts.push("");
        pass_over_items(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<(), A::Error> {
        let object = Map::deserialize(MapAccessDeserializer::new(fields))?;
        self.0.objects.push((self.0.texts.len(), object));
        self.0.texts.push("");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_whatever_their_items_are() {
        for (answer, number, codes) in [
            (r#"{"list": ["A", "B B"], "n": 2}"#, Some(2), Some(vec!["A", "B B"])),
            (r#"{"list": [], "n": 0}"#, Some(0), Some(vec![])),
            // Escapes, and a code that is spelled with them.
            (r#"{"list": ["\u0041\\", "\/"], "n": 2}"#, Some(2), Some(vec!["A\\", "/"])),
            (
                r#"{"list": [{"code": "A", "why": "x"}, "B", {"code": 7}, {}], "n": 4}"#,
                Some(4),
                Some(vec!["A", "B", "", ""]),
            ),
            (
                r#"{"list": [7, -7, 0.5, true, null, [["A"]], "B"], "n": -1}"#,
                None,
                Some(vec!["", "", "", "", "", "", "B"]),
            ),
            // The last one counts.
            (r#"{"list": ["A"], "n": 1, "list": ["B"], "n": 2}"#, Some(2), Some(vec!["B"])),
            (r#"{"list": "A", "n": "1"}"#, None, None),
            (r#"{"list": {"A": ["B"]}, "n": [1]}"#, None, None),
            (r#"{"list": null, "n": 1.5}"#, None, None),
            (r#"{}"#, None, None),
            (r#"[["A"], 1]"#, None, None),
            (r#""list""#, None, None),
            ("7", None, None),
            ("-7", None, None),
            ("null", None, None),
        ] {
            let read: Answer = serde_json::from_str(answer).unwrap();
            let list = read.list("list").map(|list| list.codes("code").collect::<Vec<_>>());
            assert_eq!((read.number("n"), list), (number, codes), "{answer}");
        }
    }

    #[test]
    fn objects_are_found_at_their_places() {
        let read: Answer = serde_json::from_str(r#"{"list": ["A", {"code": "B"}, 7, {"code": "C"}]}"#).unwrap();
        let list = read.list("list").unwrap();
        let found: Vec<_> = (0..5).map(|at| list.object(at).and_then(|object| object["code"].as_str())).collect();
        assert_eq!(found, [None, Some("B"), None, Some("C"), None]);
        assert_eq!((list.len(), list.is_empty()), (4, false));
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for broken in ["", "{", r#"{"list": ["A"}"#, r#"{"list": ["A",]}"#, r#"{"list": [{]}"#] {
            assert!(serde_json::from_str::<Answer>(broken).is_err(), "{broken}");
        }
    }
}
