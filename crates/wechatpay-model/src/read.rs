//! How values are read from an answer: strict about types, lenient about what may be missing.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// Reads a string and makes a value of it without keeping a copy that is not needed.
pub(crate) fn text<'de, D: Deserializer<'de>, T>(deserializer: D, make: impl FnOnce(&str) -> T) -> Result<T, D::Error> {
    struct Text<F>(F);
    impl<T, F: FnOnce(&str) -> T> Visitor<'_> for Text<F> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }
        fn visit_str<E>(self, text: &str) -> Result<T, E> {
            Ok((self.0)(text))
        }
    }
    deserializer.deserialize_str(Text(make))
}

/// Reads `null` as absence: WeChat Pay forbids it on the wire and still sends it now and then for an empty list.
#[allow(dead_code, reason = "which families use it depends on the features")]
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads an empty text as absence: notifications hold `""` where they do not have the text or the object that belongs
/// there.
#[allow(dead_code, reason = "which families use it depends on the features")]
pub(crate) fn blank_as_absent<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Blank<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Blank<T> {
        type Value = Option<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text, an object or nothing")
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Option<T>, E> {
            if text.is_empty() { Ok(None) } else { T::deserialize(text.into_deserializer()).map(Some) }
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
        fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(Blank(PhantomData))
}
