//! Hashes of a project's settings as poetry, pdm and pipenv note them in their locks: SHA-256 of JSON as Python writes it.

use std::fmt::Write as _;

use serde_json::Value;

use crate::digest::Digest;

/// How the JSON is spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spacing {
    /// `", "` and `": "`, Python's default.
    Wide,
    /// `","` and `":"`.
    Narrow,
}

/// A TOML table as JSON; `None` if something in it is written by Python in a way of its own (floats, dates): no setting
/// that these hashes are about holds one.
pub(super) fn json(table: &toml::Table) -> Option<Value> {
    fn convert(value: &toml::Value) -> Option<Value> {
        Some(match value {
            toml::Value::String(text) => Value::from(text.as_str()),
            toml::Value::Integer(number) => Value::from(*number),
            toml::Value::Boolean(boolean) => Value::from(*boolean),
            toml::Value::Array(items) => Value::Array(items.iter().map(convert).collect::<Option<_>>()?),
            toml::Value::Table(table) => json(table)?,
            toml::Value::Float(_) | toml::Value::Datetime(_) => return None,
        })
    }
    let members = table
        .iter()
        .map(|(key, value)| Some((key.clone(), convert(value)?)));
    Some(Value::Object(members.collect::<Option<_>>()?))
}

/// The hash of a value in hexadecimal: `sha256(json.dumps(value, sort_keys=True))`.
pub(super) fn hash(value: &Value, spacing: Spacing) -> String {
    let mut out = String::new();
    write(value, spacing, &mut out);
    Digest::of(out.as_bytes()).hex()
}

fn write(value: &Value, spacing: Spacing, out: &mut String) {
    let (comma, colon) = match spacing {
        Spacing::Wide => (", ", ": "),
        Spacing::Narrow => (",", ":"),
    };
    match value {
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (number, item) in items.iter().enumerate() {
                out.push_str(if number == 0 { "" } else { comma });
                write(item, spacing, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (number, (key, value)) in members.into_iter().enumerate() {
                out.push_str(if number == 0 { "" } else { comma });
                write_text(key, out);
                out.push_str(colon);
                write(value, spacing, out);
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            let _ = write!(out, "{value}");
        }
    }
}

/// A string as Python's `json` writes it: all but ASCII escaped as UTF-16.
fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_python_writes_them() {
        let table: toml::Table = "b = [1, true, 'é😀\"\\t\\u007f']\na.y = {}\na.x = 'x'"
            .parse()
            .unwrap();
        let value = json(&table).unwrap();
        let mut wide = String::new();
        write(&value, Spacing::Wide, &mut wide);
        // json.dumps({"b": [1, True, 'é😀"\\t\\u007f'], "a": {"y": {}, "x": "x"}}, sort_keys=True)
        assert_eq!(
            wide,
            r#"{"a": {"x": "x", "y": {}}, "b": [1, true, "\u00e9\ud83d\ude00\"\\t\\u007f"]}"#
        );
        let mut narrow = String::new();
        write(&value["a"], Spacing::Narrow, &mut narrow);
        assert_eq!(narrow, r#"{"x":"x","y":{}}"#);
        assert!(json(&"a = 1.5".parse().unwrap()).is_none());
    }
}
