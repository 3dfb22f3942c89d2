//! How the dependencies are divided into layers: `layers = "large"`, or a table of names and patterns.

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::value::{SettingError, texts};
use crate::project::document::{Node, Value};
use crate::python::PackageName;

/// How the dependencies are divided into layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Layers {
    /// One layer.
    #[default]
    Single,
    /// Every large wheel is a layer of its own, the rest is one.
    Large,
    /// As many layers as an image should have, each package always in the same.
    Groups,
    /// Layers that have names, and one for the rest.
    Named(Vec<NamedLayer>),
}

/// A layer and which packages are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedLayer {
    /// Its name.
    pub name: String,
    /// Names of packages, normalised, or patterns of such.
    pub patterns: Vec<String>,
}

impl NamedLayer {
    /// Whether one of the patterns is a package's very name.
    pub fn names(&self, package: &PackageName) -> bool {
        self.patterns
            .iter()
            .any(|pattern| *pattern == package.to_string())
    }

    /// Whether one of the patterns fits a package.
    pub fn fits(&self, package: &PackageName) -> bool {
        set(&self.patterns).is_ok_and(|set| set.is_match(package.to_string()))
    }
}

/// `single`, `large` or `groups`.
pub fn layers(text: &str) -> Result<Layers, SettingError> {
    match text {
        "single" => Ok(Layers::Single),
        "large" => Ok(Layers::Large),
        "groups" => Ok(Layers::Groups),
        _ => Err(SettingError(format!(
            "expected `single`, `large`, `groups` or a table of names and patterns, found `{text}`"
        ))),
    }
}

pub(super) fn of_node(node: &Node) -> Result<Layers, SettingError> {
    let Value::Table(table) = &node.value else {
        return match &node.value {
            Value::Text(text) => layers(text),
            _ => Err(SettingError(format!(
                "expected `single`, `large`, `groups` or a table of names and patterns, found {}",
                node.kind()
            ))),
        };
    };
    let mut named = Vec::new();
    for (name, node) in table {
        let wrong = |message: String| SettingError(format!("{name}: {message}"));
        let patterns = texts(node).map_err(|error| wrong(error.0))?;
        // As names of packages are compared: without regard to case, and `.`, `_` and `-` are one.
        let patterns: Vec<String> = patterns
            .iter()
            .map(|pattern| pattern.to_ascii_lowercase().replace(['_', '.'], "-"))
            .collect();
        set(&patterns).map_err(|error| wrong(error.kind().to_string()))?;
        named.push((
            node.line,
            NamedLayer {
                name: name.clone(),
                patterns,
            },
        ));
    }
    // In the order of the file, where each has its line.
    named.sort_by_key(|(line, _)| *line);
    Ok(Layers::Named(named.into_iter().map(|(_, layer)| layer).collect()))
}

fn set(patterns: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern)?);
    }
    set.build()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::project::document::Document;
    use crate::project::settings::Settings;

    fn parsed(line: &str) -> Result<Layers, String> {
        let text = format!("[tool.pyoci]\n{line}\n");
        let document = Document::parse(Path::new("/p/pyproject.toml"), &text).unwrap();
        let settings = Settings::from_pyproject(&document).map_err(|error| error.to_string())?;
        Ok(settings.layers.unwrap())
    }

    #[test]
    fn layers_are_a_word_or_a_table_of_names_and_patterns() {
        assert_eq!(parsed("layers = 'large'").unwrap(), Layers::Large);
        let Layers::Named(named) =
            parsed("layers = { ml = ['Torch*', 'nvidia_*'], web = ['fastapi'] }").unwrap()
        else {
            panic!("not named");
        };
        let package = |name: &str| name.parse::<PackageName>().unwrap();
        assert_eq!(named[0].name, "ml");
        assert!(named[0].fits(&package("torchvision")) && named[0].fits(&package("nvidia-nccl-cu12")));
        assert!(named[1].names(&package("FastAPI")) && !named[1].fits(&package("fastapi-cli")));
        for (line, message) in [
            ("layers = 'big'", "found `big`"),
            ("layers = 3", "found an integer"),
            ("layers = { a = 'x' }", "a: expected an array"),
            ("layers = { a = ['x['] }", "a: "),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(message), "{line}: {error}");
        }
    }
}
