//! Values of TOML tables with the lines that they stand on, for errors.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong in a TOML text; who knows the file's name puts it in front of the line.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {problem}")]
pub struct TableError {
    /// 1-based.
    pub line: usize,
    /// What is wrong there.
    pub problem: String,
}

/// A table with the text that it comes from.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    text: &'a str,
    /// How errors call it, e.g. `[project]`.
    name: &'a str,
    values: &'a DeTable<'a>,
}

impl TableError {
    fn at(text: &str, byte: usize, problem: String) -> Self {
        let before = text.as_bytes().get(..byte).unwrap_or(text.as_bytes());
        let line = before.split(|b| *b == b'\n').count();
        Self { line, problem }
    }
}

/// Parses a TOML text.
pub(super) fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, TableError> {
    DeTable::parse(text).map_err(|error| {
        let byte = error.span().map_or(0, |span| span.start);
        TableError::at(text, byte, error.message().to_owned())
    })
}

impl<'a> Table<'a> {
    /// The top level of a text.
    pub(super) fn top(text: &'a str, values: &'a DeTable<'a>) -> Self {
        let name = "the top level";
        Self { text, name, values }
    }

    /// An error about a value of this table.
    pub(super) fn fault(&self, value: &Spanned<DeValue<'_>>, problem: String) -> TableError {
        TableError::at(self.text, value.span().start, problem)
    }

    /// An error about the table itself: it names the first line that has a value of it.
    pub(super) fn fault_here(&self, problem: String) -> TableError {
        let first = self.values.values().map(|value| value.span().start).min();
        TableError::at(self.text, first.unwrap_or(0), problem)
    }

    /// Every key with its value, sorted.
    pub(super) fn entries(self) -> impl Iterator<Item = (&'a str, &'a Spanned<DeValue<'a>>)> {
        self.values
            .iter()
            .map(|(key, value)| (key.get_ref().as_ref(), value))
    }

    /// A value.
    pub(super) fn get(self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.values.get(key)
    }

    /// A table in this one.
    pub(super) fn table(self, key: &str, name: &'a str) -> Result<Option<Self>, TableError> {
        self.get(key).map(|value| self.as_table(value, name)).transpose()
    }

    /// A value that must be a table.
    pub(super) fn as_table(self, value: &'a Spanned<DeValue<'a>>, name: &'a str) -> Result<Self, TableError> {
        match value.get_ref() {
            DeValue::Table(values) => Ok(Self { name, values, ..self }),
            _ => Err(self.fault(value, format!("{name} must be a table"))),
        }
    }

    /// A string.
    pub(super) fn text(self, key: &str) -> Result<Option<&'a str>, TableError> {
        self.get(key).map(|value| self.as_text(value, key)).transpose()
    }

    /// A value that must be a string.
    pub(super) fn as_text(self, value: &'a Spanned<DeValue<'a>>, what: &str) -> Result<&'a str, TableError> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.fault(value, format!("`{what}` in {} must be a string", self.name))),
        }
    }

    /// A value that must be an array.
    pub(super) fn as_array(
        self,
        value: &'a Spanned<DeValue<'a>>,
        what: &str,
    ) -> Result<impl Iterator<Item = &'a Spanned<DeValue<'a>>>, TableError> {
        match value.get_ref() {
            DeValue::Array(items) => Ok(items.iter()),
            _ => Err(self.fault(value, format!("`{what}` in {} must be an array", self.name))),
        }
    }

    /// An array of strings, each parsed; empty if the key is missing.
    pub(super) fn list<T, E: std::fmt::Display>(
        self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, TableError> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        self.as_list(value, key, parse)
    }

    /// A value that must be an array of strings, each parsed.
    pub(super) fn as_list<T, E: std::fmt::Display>(
        self,
        value: &'a Spanned<DeValue<'a>>,
        what: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, TableError> {
        let items = self.as_array(value, what)?;
        items
            .map(|item| parse(self.as_text(item, what)?).map_err(|e| self.fault(item, e.to_string())))
            .collect()
    }

    /// A string, parsed.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, TableError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let text = self.as_text(value, key)?;
        parse(text)
            .map(Some)
            .map_err(|e| self.fault(value, e.to_string()))
    }
}
