//! The one place where the behaviour of an open enum is written.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// A text that no variant of the enum `E` stands for; only reading makes one.
///
/// One type for all enums, so that its traits are compiled once.
pub struct Unrecognized<E>(Box<str>, PhantomData<fn() -> E>);

impl<E> Unrecognized<E> {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.into(), PhantomData)
    }

    /// The text on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<E> fmt::Debug for Unrecognized<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<E> Clone for Unrecognized<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<E> PartialEq for Unrecognized<E> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<E> Eq for Unrecognized<E> {}

impl<E> Hash for Unrecognized<E> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Defines an enum of wire texts that keeps a text it does not know.
///
/// The last variant holds a private wrapper, so that a known text can never hide in it: equality, hashing and
/// `as_str` agree whichever way a value was made. A text behind `|` is another spelling: read as the variant, and not
/// written.
macro_rules! open_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident($unknown:ident) {
            $($(#[$variant_meta:meta])* $variant:ident = $text:literal $(| $alias:literal)*,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
            /// A text that this version does not know, kept as it came.
            Unrecognized($unknown),
        }

        #[doc = concat!("A text that no variant of [`", stringify!($name), "`] stands for.")]
        pub type $unknown = crate::Unrecognized<$name>;

        impl $name {
            /// The texts that this version knows, in the order of the document.
            pub const KNOWN: &'static [&'static str] = &[$($text),+];

            /// The text on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unrecognized(text) => text.as_str(),
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text $(| $alias)* => Self::$variant,)+
                    other => Self::Unrecognized(crate::Unrecognized::new(other)),
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::from(text.as_str())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::read::text(deserializer, |text| Self::from(text))
            }
        }
    };
}

pub(crate) use open_enum;
