//! TOML with line numbers: what an error about a setting must name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Error, Place};

/// A TOML file, parsed.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where it is.
    pub path: PathBuf,
    /// The top-level table.
    pub root: Table,
}

/// A TOML table: key to value, sorted by key.
pub type Table = BTreeMap<String, Node>;

/// A value and where it is.
#[derive(Clone, Debug)]
pub struct Node {
    /// Line of its key (for an array's item, of the item itself), counted from 1.
    pub line: usize,
    /// The value.
    pub value: Value,
}

/// A TOML value.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A boolean.
    Boolean(bool),
    /// An array.
    Array(Vec<Node>),
    /// A table, inline or not.
    Table(Table),
    /// A float or date: nothing that we read holds one.
    Other(&'static str),
}

impl Document {
    /// Reads and parses a file; `None` if there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        match fs_err::read(path) {
            Ok(bytes) => {
                let text = String::from_utf8(bytes).map_err(|_| Error::NotUtf8File(path.to_owned()))?;
                Self::parse(path, &text).map(Some)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Io(error)),
        }
    }

    /// Parses text as the content of the file `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let lines = Lines::of(text);
        let table = DeTable::parse(text).map_err(|error| Error::Toml {
            place: Place::new(path, error.span().map_or(1, |span| lines.at(span.start))),
            message: error.message().to_owned(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            root: convert_table(table.get_ref(), &lines),
        })
    }

    /// The value at a path of keys, e.g. `["tool", "pyoci"]`.
    pub fn get(&self, keys: &[&str]) -> Option<&Node> {
        let (first, rest) = keys.split_first()?;
        rest.iter()
            .try_fold(self.root.get(*first)?, |node, key| node.get(key))
    }

    /// The place of a node of this file.
    pub fn place(&self, node: &Node) -> Place {
        Place::new(&self.path, node.line)
    }
}

impl Node {
    /// The value of a key, if this is a table that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.table()?.get(key)
    }

    /// The text, if it is a string.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if it is an array.
    pub fn array(&self) -> Option<&[Self]> {
        match &self.value {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The table, if it is one.
    pub fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The texts of an array, other items left out; empty if it is no array.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.array().unwrap_or_default().iter().filter_map(Self::text)
    }

    /// What TOML calls the type of the value.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Boolean(_) => "a boolean",
            Value::Array(_) => "an array",
            Value::Table(_) => "a table",
            Value::Other(kind) => kind,
        }
    }
}

fn convert_table(table: &DeTable<'_>, lines: &Lines) -> Table {
    let node = |key: &Spanned<_>, value: &Spanned<DeValue<'_>>| Node {
        line: lines.at(key.span().start),
        value: convert(value.get_ref(), lines),
    };
    table
        .iter()
        .map(|(key, value)| (key.get_ref().to_string(), node(key, value)))
        .collect()
}

fn convert(value: &DeValue<'_>, lines: &Lines) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or(Value::Other("an integer beyond 64 bits"), Value::Integer),
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| Node {
                    line: lines.at(item.span().start),
                    value: convert(item.get_ref(), lines),
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(convert_table(table, lines)),
        DeValue::Float(_) => Value::Other("a float"),
        DeValue::Datetime(_) => Value::Other("a date"),
    }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(
            std::iter::once(0)
                .chain(text.match_indices('\n').map(|(at, _)| at + 1))
                .collect(),
        )
    }

    /// The line of a byte, counted from 1.
    fn at(&self, byte: usize) -> usize {
        self.0.partition_point(|start| *start <= byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_line() {
        let text = "[tool.pyoci]\nbase = \"x\"\n\nports = [\n  80,\n  81,\n]\n[tool.pyoci.env]\nA = \"1\"\n";
        let document = Document::parse(Path::new("p.toml"), text).unwrap();
        let settings = document.get(&["tool", "pyoci"]).unwrap();
        assert_eq!(settings.get("base").unwrap().line, 2);
        assert_eq!(settings.get("ports").unwrap().line, 4);
        assert_eq!(settings.get("ports").unwrap().array().unwrap()[1].line, 6);
        assert_eq!(settings.get("env").unwrap().get("A").unwrap().line, 9);
    }

    #[test]
    fn a_syntax_error_names_file_and_line() {
        let error = Document::parse(Path::new("p.toml"), "a = 1\nb = = 2\n").unwrap_err();
        assert!(error.to_string().starts_with("p.toml:2: "), "{error}");
    }
}
