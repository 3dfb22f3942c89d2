//! The values of settings: each parsed once into a type that refuses what is wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::image::UserChoice;
use crate::layer::Compression;
use crate::lock::Resolver;
use crate::project::document::{Node, Value};
use crate::reference::{ReferenceError, RegistryReference};
use crate::tree::Owner;

/// What is wrong with a setting's value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct SettingError(pub String);

fn fail<T>(message: impl Into<String>) -> Result<T, SettingError> {
    Err(SettingError(message.into()))
}

/// What resolves requirements where there is no lock: `uv` or `pip`.
pub fn resolver(text: &str) -> Result<Resolver, SettingError> {
    match text {
        "uv" => Ok(Resolver::Uv),
        "pip" => Ok(Resolver::Pip),
        _ => fail(format!("expected `uv` or `pip`, found `{text}`")),
    }
}

/// How layers are compressed: `gzip` or `zstd`.
pub fn compression(text: &str) -> Result<Compression, SettingError> {
    match text {
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        _ => fail(format!("expected `gzip` or `zstd`, found `{text}`")),
    }
}

/// What becomes of the base's blobs in a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseBlobs {
    /// They are copied.
    Copy,
    /// They stay in their registry.
    Reference,
}

/// What becomes of the base's blobs: `copy` or `reference`.
pub fn base_blobs(text: &str) -> Result<BaseBlobs, SettingError> {
    match text {
        "copy" => Ok(BaseBlobs::Copy),
        "reference" => Ok(BaseBlobs::Reference),
        _ => fail(format!("expected `copy` or `reference`, found `{text}`")),
    }
}

/// A place for a shared cache: a repository of a registry, and a tag that tells several caches in it apart.
pub fn cache(text: &str) -> Result<RegistryReference, SettingError> {
    let parsed = text.strip_prefix("docker://").unwrap_or(text).parse();
    let reference: RegistryReference = parsed.or_else(|error: ReferenceError| fail(error.to_string()))?;
    // The tags of entries are this one, a dash and 64 digits: 128 characters at most.
    match &reference.tag {
        _ if reference.digest.is_some() => fail(format!("`{text}` has a digest: a cache changes")),
        Some(tag) if tag.len() > 63 => fail(format!("the tag of `{text}` is longer than 63 characters")),
        _ => Ok(reference),
    }
}

/// A port that the app listens on, as the image config's `ExposedPorts` has it: `8000/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// The number, never 0.
    pub number: u16,
    /// Whether it is UDP; else TCP.
    pub udp: bool,
}

impl FromStr for Port {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        match (number.parse(), protocol) {
            (Ok(number @ 1..), "tcp" | "udp") => Ok(Self {
                number,
                udp: protocol == "udp",
            }),
            _ => fail(format!("`{text}` is not a port (1 to 65535, with /tcp or /udp)")),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, if self.udp { "udp" } else { "tcp" })
    }
}

fn expected<T>(what: &str, node: &Node) -> Result<T, SettingError> {
    match &node.value {
        Value::Text(text) => fail(format!("expected {what}, found `{text}`")),
        _ => fail(format!("expected {what}, found {}", node.kind())),
    }
}

pub(super) fn text(node: &Node) -> Result<String, SettingError> {
    match &node.value {
        Value::Text(text) if text.is_empty() => fail("is empty"),
        Value::Text(text) => Ok(text.clone()),
        _ => expected("a string", node),
    }
}

pub(super) fn boolean(node: &Node) -> Result<bool, SettingError> {
    match node.value {
        Value::Boolean(boolean) => Ok(boolean),
        _ => expected("true or false", node),
    }
}

pub(super) fn list<T>(
    node: &Node,
    item: impl Fn(&Node) -> Result<T, SettingError>,
) -> Result<Vec<T>, SettingError> {
    match &node.value {
        Value::Array(items) => items.iter().map(item).collect(),
        _ => expected("an array", node),
    }
}

pub(super) fn texts(node: &Node) -> Result<Vec<String>, SettingError> {
    list(node, text)
}

pub(super) fn path(node: &Node) -> Result<PathBuf, SettingError> {
    text(node).map(PathBuf::from)
}

pub(super) fn paths(node: &Node) -> Result<Vec<PathBuf>, SettingError> {
    list(node, path)
}

/// Keys to texts; integers are taken as their decimal text, an empty text is allowed.
pub(super) fn map(node: &Node) -> Result<BTreeMap<String, String>, SettingError> {
    let Some(table) = node.table() else {
        return expected("a table", node);
    };
    let value = |node: &Node| match &node.value {
        Value::Text(text) => Ok(text.clone()),
        Value::Integer(integer) => Ok(integer.to_string()),
        _ => expected("a string", node),
    };
    table
        .iter()
        .map(|(key, node)| match value(node) {
            Ok(value) => Ok((key.clone(), value)),
            Err(error) => fail(format!("{key}: {error}")),
        })
        .collect()
}

pub(super) fn variables(node: &Node) -> Result<BTreeMap<String, String>, SettingError> {
    let map = map(node)?;
    map.iter()
        .try_for_each(|(name, value)| check_variable(name, value))?;
    Ok(map)
}

/// `NAME=VALUE`, a variable of the image (image-spec config.md, `Env`).
pub fn variable(text: &str) -> Result<(String, String), SettingError> {
    let Some((name, value)) = text.split_once('=') else {
        return fail("expected NAME=VALUE");
    };
    check_variable(name, value)?;
    Ok((name.to_owned(), value.to_owned()))
}

fn check_variable(name: &str, value: &str) -> Result<(), SettingError> {
    let is_odd = |c: char| c == '=' || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.contains(is_odd) {
        return fail(format!("`{}` is not the name of a variable", name.escape_debug()));
    }
    if value.contains('\0') {
        return fail(format!("the value of `{name}` has a NUL byte"));
    }
    Ok(())
}

pub(super) fn port(node: &Node) -> Result<Port, SettingError> {
    match &node.value {
        Value::Integer(integer) => integer.to_string().parse(),
        Value::Text(text) => text.parse(),
        _ => expected("a port", node),
    }
}

/// A command: an array of words, or one text split as a shell splits words.
pub(super) fn command(node: &Node) -> Result<Vec<String>, SettingError> {
    let words = match &node.value {
        Value::Text(text) => return split_words(text),
        Value::Array(_) => list(node, |item| match item.text() {
            Some(text) => Ok(text.to_owned()),
            None => expected("a string", item),
        })?,
        _ => return expected("a string or an array of strings", node),
    };
    whole(words)
}

fn whole(words: Vec<String>) -> Result<Vec<String>, SettingError> {
    match words.first() {
        None => fail("the command is empty"),
        Some(first) if first.is_empty() => fail("the command's first word is empty"),
        Some(_) if words.iter().any(|word| word.contains('\0')) => fail("the command has a NUL byte"),
        Some(_) => Ok(words),
    }
}

/// A command: a text split as a POSIX shell splits words: quotes and backslashes, no expansion. For `--entrypoint`.
pub fn split_words(text: &str) -> Result<Vec<String>, SettingError> {
    whole(shlex::split(text).ok_or_else(|| SettingError("a quote is not closed".into()))?)
}

/// `3.13`, or `3.13.5` of which only `3.13` counts.
pub fn python(text: &str) -> Result<(u32, u32), SettingError> {
    let mut parts = text.split('.').map(str::parse);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor)), None | Some(Ok(_)), None) => Ok((major, minor)),
        _ => fail(format!("`{text}` is not a Python version such as 3.13")),
    }
}

/// `UID` or `UID:GID`; the group of a bare UID is the same number.
pub fn owner(text: &str) -> Result<Owner, SettingError> {
    match text.parse() {
        Ok(UserChoice::Ids(owner)) => Ok(owner),
        _ => fail(format!(
            "`{text}` is not UID or UID:GID, in numbers below 2147483648"
        )),
    }
}

/// A directory of the project, as a path below it; `.` is its own and gives the empty text.
pub fn directory(text: &str) -> Result<String, SettingError> {
    let parts: Vec<&str> = text
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if text.starts_with('/') || parts.contains(&"..") || text.contains(char::is_control) {
        return fail(format!("`{text}` is not a directory below the project's"));
    }
    Ok(parts.join("/"))
}

/// An absolute directory of the image; a relative one counts from `/app`.
pub fn workdir(text: &str) -> Result<String, SettingError> {
    let absolute = if text.starts_with('/') {
        text.to_owned()
    } else {
        format!("/app/{text}")
    };
    match crate::paths::TreePath::from_tar_name(&absolute) {
        Ok(Some(path)) => Ok(format!("/{path}")),
        Ok(None) => Ok("/".to_owned()),
        Err(error) => fail(error.to_string()),
    }
}
