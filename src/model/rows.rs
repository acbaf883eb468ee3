//! Rows of a database on their way: what an adapter renders for a store that is a SQLite database,
//! and what a transaction keeps of the rows that it changes.
//!
//! A row document is a JSONL text, one row a line: `{"table":"part","row":{"id":"prt_1","n":3}}`.
//! A text is a JSON string and an integer a JSON number; what JSON cannot tell apart or cannot hold
//! has a wrapper: `{"real":0.5}`, `{"blob":"00ff"}` (hexadecimal), `{"text":"ff"}` (the bytes of a
//! text that is not UTF-8, hexadecimal).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use rusqlite::types::ValueRef;
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The rows of some sessions in one table: those in which `column` holds one of `values`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The table.
    pub table: String,
    /// A column of it.
    pub column: String,
    /// Texts that the column may hold.
    pub values: Vec<String>,
}

/// A row that sessions share, such as their project: it is inserted when it is missing, and goes
/// with an undo when the import had inserted it, or one that was taken back before, and nothing refers to
/// it any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SharedRow {
    /// The row.
    pub row: Row<'static>,
    /// The column of [`SharedRow::row`] that names it.
    pub key: String,
    /// `(table, column)` of what refers to it.
    pub used_by: Vec<(String, String)>,
}

/// One row: the named columns, the others as their table's default has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row<'a> {
    /// Its table.
    pub table: Cow<'a, str>,
    /// Its values by column.
    #[serde(rename = "row")]
    pub values: BTreeMap<Cow<'a, str>, Cell<'a>>,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// INTEGER.
    Integer(i64),
    /// REAL.
    Real(f64),
    /// TEXT.
    Text(Cow<'a, str>),
    /// TEXT that is not UTF-8.
    Bytes(Cow<'a, [u8]>),
    /// BLOB.
    Blob(Cow<'a, [u8]>),
}

impl<'a> Row<'a> {
    /// A row without values.
    pub fn new(table: impl Into<Cow<'a, str>>) -> Self {
        Self { table: table.into(), values: BTreeMap::new() }
    }

    /// The same with one more value.
    #[must_use]
    pub fn with(mut self, column: &'static str, value: impl Into<Cell<'a>>) -> Self {
        self.values.insert(Cow::Borrowed(column), value.into());
        self
    }

    /// Writes it as one line of a row document.
    ///
    /// # Errors
    /// What `out` returns.
    pub fn write(&self, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self).map_err(io::Error::from)?;
        out.write_all(b"\n")
    }
}

impl Cell<'_> {
    /// The same value, with its text or bytes of its own.
    pub fn into_owned(self) -> Cell<'static> {
        match self {
            Self::Null => Cell::Null,
            Self::Integer(value) => Cell::Integer(value),
            Self::Real(value) => Cell::Real(value),
            Self::Text(text) => Cell::Text(Cow::Owned(text.into_owned())),
            Self::Bytes(bytes) => Cell::Bytes(Cow::Owned(bytes.into_owned())),
            Self::Blob(bytes) => Cell::Blob(Cow::Owned(bytes.into_owned())),
        }
    }
}

impl From<i64> for Cell<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl<'a> From<ValueRef<'a>> for Cell<'a> {
    fn from(value: ValueRef<'a>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(value) => Self::Integer(value),
            ValueRef::Real(value) => Self::Real(value),
            ValueRef::Blob(bytes) => Self::Blob(Cow::Borrowed(bytes)),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Self::Text(Cow::Borrowed(text)),
                Err(_) => Self::Bytes(Cow::Borrowed(bytes)),
            },
        }
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl From<String> for Cell<'_> {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Real(value) => wrapped(serializer, "real", value),
            Self::Bytes(bytes) => wrapped(serializer, "text", &hex(bytes)),
            Self::Blob(bytes) => wrapped(serializer, "blob", &hex(bytes)),
        }
    }
}

fn wrapped<S: Serializer>(serializer: S, name: &str, value: &impl Serialize) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(name, value)?;
    map.end()
}

impl<'de> Deserialize<'de> for Cell<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell<'static>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value of a row")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Cell::Null)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Cell::Integer(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        i64::try_from(value).map(Cell::Integer).map_err(E::custom)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cell::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Cell::Text(Cow::Owned(text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let name: Cow<'_, str> = map.next_key()?.ok_or_else(|| de::Error::custom("an empty value"))?;
        let cell = match &*name {
            "real" => Cell::Real(map.next_value()?),
            "blob" => Cell::Blob(Cow::Owned(unhex(&map.next_value::<Cow<'_, str>>()?)?)),
            "text" => Cell::Bytes(Cow::Owned(unhex(&map.next_value::<Cow<'_, str>>()?)?)),
            other => return Err(de::Error::custom(format!("no value is called {other:?}"))),
        };
        match map.next_key::<Cow<'_, str>>()? {
            None => Ok(cell),
            Some(more) => Err(de::Error::custom(format!("{more:?} after {name:?}"))),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<E: de::Error>(text: &str) -> Result<Vec<u8>, E> {
    let digits = text.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    digits.collect::<Option<_>>().ok_or_else(|| E::custom("not hexadecimal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back() {
        let row = Row::new("part")
            .with("id", "prt_\u{1f680}\n")
            .with("none", None::<i64>)
            .with("n", -3)
            .with("x", Cell::Real(1.0))
            .with("bytes", Cell::Bytes(Cow::Borrowed(&[0xff, 0x00])))
            .with("blob", Cell::Blob(Cow::Borrowed(b"\x01")));
        let mut line = Vec::new();
        row.write(&mut line).expect("memory");
        assert_eq!(
            String::from_utf8_lossy(&line),
            "{\"table\":\"part\",\"row\":{\"blob\":{\"blob\":\"01\"},\"bytes\":{\"text\":\"ff00\"},\
             \"id\":\"prt_\u{1f680}\\n\",\"n\":-3,\"none\":null,\"x\":{\"real\":1.0}}}\n"
        );
        assert_eq!(serde_json::from_slice::<Row<'_>>(&line).expect("a row"), row);
    }
}
