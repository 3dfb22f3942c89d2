//! The keys of `[tool.pyoci]`, the variables and flags of the same name, and how each is set.

use super::Settings;
use super::value::{
    SettingError, base_blobs, boolean, cache, command, compression, directory, map, owner, path, paths, port,
    python, resolver, text, texts, variables, workdir,
};
use crate::project::document::{Node, Value};

/// A setting: its key in `[tool.pyoci]` and the flag that says the same.
#[derive(Debug)]
pub struct Key {
    /// The key in `[tool.pyoci]`.
    pub name: &'static str,
    /// The flag without its dashes.
    pub flag: &'static str,
    kind: Kind,
}

/// How a variable's text is understood.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Boolean,
    List,
    Map,
}

const fn key(name: &'static str, flag: &'static str, kind: Kind) -> Key {
    Key { name, flag, kind }
}

/// All settings.
pub const KEYS: &[Key] = &[
    key("base", "base", Kind::Text),
    key("python", "python", Kind::Text),
    key("platforms", "platform", Kind::List),
    key("requirements", "requirements", Kind::List),
    key("extras", "extra", Kind::List),
    key("groups", "group", Kind::List),
    key("lock", "lock", Kind::Text),
    key("resolver", "resolver", Kind::Text),
    key("no-build", "no-build", Kind::Boolean),
    key("package", "package", Kind::Boolean),
    key("entrypoint", "entrypoint", Kind::Text),
    key("process", "process", Kind::Text),
    key("pythonpath", "pythonpath", Kind::List),
    key("env", "env", Kind::Map),
    key("labels", "label", Kind::Map),
    key("annotations", "annotation", Kind::Map),
    key("ports", "port", Kind::List),
    key("user", "user", Kind::Text),
    key("workdir", "workdir", Kind::Text),
    key("compression", "compression", Kind::Text),
    key("compile", "compile", Kind::Boolean),
    key("layers", "layers", Kind::Text),
    key("packages", "packages", Kind::List),
    key("strict", "strict", Kind::Boolean),
    key("exclude", "exclude", Kind::List),
    key("ignore", "ignore", Kind::List),
    key("include", "include", Kind::List),
    key("writable", "writable", Kind::List),
    key("tags", "tag", Kind::List),
    key("output", "output", Kind::Text),
    key("push", "push", Kind::List),
    key("base-blobs", "base-blobs", Kind::Text),
    key("cache", "cache", Kind::Text),
    key("cache-from", "cache-from", Kind::List),
    key("cache-to", "cache-to", Kind::Text),
    key("locked", "locked", Kind::Boolean),
    key("offline", "offline", Kind::Boolean),
    key("debian-mirror", "debian-mirror", Kind::Text),
    key("index-url", "index-url", Kind::Text),
    key("extra-index-url", "extra-index-url", Kind::List),
    key("find-links", "find-links", Kind::List),
    key("no-index", "no-index", Kind::Boolean),
    key("trusted-host", "trusted-host", Kind::List),
    key("debian-snapshot", "debian-snapshot", Kind::Text),
];

impl Key {
    /// The environment variable that says the same, e.g. `PYOCI_NO_BUILD`.
    pub fn variable(&self) -> String {
        format!("PYOCI_{}", self.flag.replace('-', "_").to_ascii_uppercase())
    }

    /// A variable's text as the value that `[tool.pyoci]` would have.
    pub(super) fn node_from_text(&self, text: &str) -> Node {
        let node = |value| Node { line: 0, value };
        let items = |separator| {
            text.split(separator)
                .map(str::trim)
                .filter(|item| !item.is_empty())
        };
        node(match self.kind {
            Kind::Text => Value::Text(text.to_owned()),
            Kind::Boolean => match text.to_ascii_lowercase().as_str() {
                "1" | "true" | "yes" | "on" => Value::Boolean(true),
                "0" | "false" | "no" | "off" => Value::Boolean(false),
                _ => Value::Text(text.to_owned()),
            },
            Kind::List => Value::Array(
                items(',')
                    .map(|item| node(Value::Text(item.to_owned())))
                    .collect(),
            ),
            Kind::Map => Value::Table(
                items('\n')
                    .map(|item| item.split_once('=').unwrap_or((item, "")))
                    .map(|(key, value)| (key.to_owned(), node(Value::Text(value.to_owned()))))
                    .collect(),
            ),
        })
    }
}

impl Settings {
    /// Sets one setting.
    pub(super) fn set(&mut self, key: &Key, node: &Node) -> Result<(), SettingError> {
        if self.indexes.set(key, node)? {
            return Ok(());
        }
        match key.name {
            "base" => self.base = Some(text(node)?),
            "python" => self.python = Some(python(&text(node)?)?),
            "platforms" => self.platforms = parsed(node)?,
            "requirements" => self.requirements = paths(node)?,
            "extras" => self.extras = parsed(node)?,
            "groups" => self.groups = parsed(node)?,
            "lock" => self.lock = Some(path(node)?),
            "resolver" => self.resolver = Some(resolver(&text(node)?)?),
            "no-build" => self.no_build = Some(boolean(node)?),
            "package" => self.package = Some(boolean(node)?),
            "entrypoint" => self.entrypoint = Some(command(node)?),
            "process" => self.process = Some(text(node)?),
            "pythonpath" => self.pythonpath = super::value::list(node, |item| directory(&text(item)?))?,
            "env" => self.env = variables(node)?,
            "labels" => self.labels = map(node)?,
            "annotations" => self.annotations = map(node)?,
            "ports" => self.ports = super::value::list(node, port)?,
            "user" => self.user = Some(owner(&text(node)?)?),
            "workdir" => self.workdir = Some(workdir(&text(node)?)?),
            "compression" => self.compression = Some(compression(&text(node)?)?),
            "compile" => self.compile = Some(boolean(node)?),
            "layers" => self.layers = Some(super::layers::of_node(node)?),
            "packages" => self.packages = texts(node)?,
            "strict" => self.strict = Some(boolean(node)?),
            "exclude" => self.exclude = texts(node)?,
            "ignore" => self.ignore = texts(node)?,
            "include" => self.include = texts(node)?,
            "writable" => self.writable = texts(node)?,
            "tags" => self.tags = texts(node)?,
            "output" => self.outputs = one_or_more(node)?,
            "push" => self.push = one_or_more(node)?,
            "base-blobs" => self.base_blobs = Some(base_blobs(&text(node)?)?),
            "cache" => {
                self.cache_from = vec![cache(&text(node)?)?];
                self.cache_to = Some(cache(&text(node)?)?);
            }
            "cache-from" => self.cache_from = super::value::list(node, |item| cache(&text(item)?))?,
            "cache-to" => self.cache_to = Some(cache(&text(node)?)?),
            "locked" => self.locked = Some(boolean(node)?),
            "offline" => self.offline = Some(boolean(node)?),
            "debian-mirror" => self.debian_mirror = Some(text(node)?),
            "debian-snapshot" => self.debian_snapshot = Some(text(node)?),
            other => return Err(SettingError(format!("`{other}` is not a setting"))),
        }
        Ok(())
    }
}

/// A list, or a text for a list of one.
fn one_or_more(node: &Node) -> Result<Vec<String>, SettingError> {
    match &node.value {
        Value::Array(_) => texts(node),
        _ => Ok(vec![text(node)?]),
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(node: &Node) -> Result<Vec<T>, SettingError> {
    super::value::list(node, |item| {
        text(item)?
            .parse()
            .map_err(|error: T::Err| SettingError(error.to_string()))
    })
}

/// The key that a misspelt one resembles, if one does.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let name = name.replace('_', "-").to_ascii_lowercase();
    if let Some(key) = KEYS.iter().find(|key| key.flag == name || key.name == name) {
        return Some(key.name);
    }
    KEYS.iter()
        .map(|key| (distance(&name, key.name), key.name))
        .min()
        .filter(|(distance, key)| *distance <= key.len().div_ceil(3))
        .map(|(_, key)| key)
}

/// Levenshtein's distance of two texts, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}
