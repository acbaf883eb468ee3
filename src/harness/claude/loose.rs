//! JSON read the way the program's JavaScript reads it: nothing is wrong, only absent.
//!
//! A derived `Deserialize` refuses a record in which a field has another type than usual, or
//! stands twice. `JSON.parse` does not (the last one counts), so neither may we: one odd field must
//! not cost a message. Values are borrowed from the line wherever they have no escapes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A string; absent when the value is anything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

impl<'a> Text<'a> {
    /// The string.
    pub fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The string, `""` when absent.
    pub fn or_empty(self) -> Cow<'a, str> {
        self.0.unwrap_or_default()
    }

    /// Whether it is this string.
    pub fn is(&self, text: &str) -> bool {
        self.get() == Some(text)
    }
}

/// `true`; everything else is false.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flag(pub bool);

/// The key of a field.
pub struct Key<'a>(pub Cow<'a, str>);

/// Consumes a value that has not the wanted type.
macro_rules! otherwise {
    ($($other:expr)?) => {
        $crate::harness::claude::loose::otherwise!(@scalars $($other)?);
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
            Ok($($other)?)
        }
    };
    (@scalars $($other:expr)?) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($($other)?)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($($other)?)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($($other)?)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($($other)?)
        }
    };
}
pub(super) use otherwise;

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Strings;
        impl<'de> Visitor<'de> for Strings {
            type Value = Option<Cow<'de, str>>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Some(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Some(Cow::Owned(text.to_owned())))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(None)
            }
            otherwise!(None);
        }
        deserializer.deserialize_any(Strings).map(Text)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Booleans;
        impl<'de> Visitor<'de> for Booleans {
            type Value = bool;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_bool<E>(self, flag: bool) -> Result<bool, E> {
                Ok(flag)
            }
            fn visit_str<E>(self, _: &str) -> Result<bool, E> {
                Ok(false)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(false)
            }
            otherwise!(false);
        }
        deserializer.deserialize_any(Booleans).map(Flag)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Keys).map(Key)
    }
}

/// The elements of an array; empty when the value is anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Lists<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Lists<T> {
            type Value = Vec<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = seq.next_element()? {
                    list.push(element);
                }
                Ok(list)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Vec<T>, E> {
                Ok(Vec::new())
            }
            fn visit_str<E>(self, _: &str) -> Result<Vec<T>, E> {
                Ok(Vec::new())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Vec::new())
            }
            otherwise!(@scalars Vec::new());
        }
        deserializer.deserialize_any(Lists(std::marker::PhantomData)).map(List)
    }
}

/// Declares a record: a struct whose fields are all optional, of which the last of its name
/// counts, and which is all defaults when the value is no object.
macro_rules! record {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $json:literal => $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub struct $name<'a> {
            $($(#[$doc])* pub $field: $type,)*
            /// Ties the borrow for records that borrow nothing.
            pub lifetime: std::marker::PhantomData<&'a ()>,
        }

        impl<'de: 'a, 'a> serde::Deserialize<'de> for $name<'a> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields<'a>($name<'a>);
                impl<'de: 'a, 'a> serde::de::Visitor<'de> for Fields<'a> {
                    type Value = $name<'a>;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("any value")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        mut self,
                        mut map: A,
                    ) -> Result<Self::Value, A::Error> {
                        while let Some(key) = map.next_key::<$crate::harness::claude::loose::Key<'de>>()? {
                            match &*key.0 {
                                $($json => self.0.$field = map.next_value()?,)*
                                _ => {
                                    map.next_value::<serde::de::IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(self.0)
                    }
                    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                        Ok(Default::default())
                    }
                    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                        Ok(Default::default())
                    }
                    $crate::harness::claude::loose::otherwise!(Default::default());
                }
                deserializer.deserialize_any(Fields(Self::default()))
            }
        }
    };
}
pub(super) use record;

/// A value as it stands in the line, `null` too; absent when the field is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Raw<'a>(pub Option<&'a RawValue>);

impl Raw<'_> {
    /// Whether the field is there and `null`.
    pub fn is_null(self) -> bool {
        self.0.is_some_and(|raw| raw.get() == "null")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|raw| Self(Some(raw)))
    }
}

/// Parses the value at the beginning of `bytes` and ignores what follows it.
///
/// # Errors
/// When it is not JSON.
pub fn parse_prefix<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> serde_json::Result<T> {
    T::deserialize(&mut serde_json::Deserializer::from_slice(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    record! {
        /// A record to test with.
        Sample {
            /// A string.
            "text" => text: Text<'a>,
            /// A boolean.
            "flag" => flag: Flag,
        }
    }

    #[test]
    fn odd_types_and_doubled_fields_cost_nothing() {
        let sample: Sample<'_> =
            parse_prefix(br#"{"text":[1,{"a":2}],"flag":"yes","x":1e999,"text":"a\nb","flag":true} rest"#)
                .expect("JSON");
        assert_eq!((sample.text.get(), sample.flag.0), (Some("a\nb"), true));
        for other in ["[]", "7", "-1", "1.5", "null", "\"s\"", "true"] {
            let sample: Sample<'_> = parse_prefix(other.as_bytes()).expect("JSON");
            assert_eq!(sample.text.get(), None);
        }
        assert!(parse_prefix::<Sample<'_>>(br#"{"text":"a"#).is_err());
    }
}
