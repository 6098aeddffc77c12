//! The one place where the behaviour of an open enum is written.

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
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
            /// A text that this version does not know, kept as it came.
            Unrecognized($unknown),
        }

        #[doc = concat!("A text that no variant of [`", stringify!($name), "`] stands for.")]
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $unknown(Box<str>);

        impl $name {
            /// The texts that this version knows, in the order of the document.
            pub const KNOWN: &'static [&'static str] = &[$($text),+];

            /// The text on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unrecognized(text) => &text.0,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text $(| $alias)* => Self::$variant,)+
                    other => Self::Unrecognized($unknown(other.into())),
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
