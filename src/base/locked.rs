//! A base as a lock file keeps it: what its name stood for, so that it is the same base a year later.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::{Error, Recipe};
use crate::debian::PackageList;
use crate::digest::Digest;
use crate::platform::Platform;

/// A base, and what its name stood for when it was locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedBase {
    /// As it was asked for, or chosen: `recipe:trixie`, `docker.io/library/python:3.12-slim`.
    pub reference: String,
    /// What holds it fast.
    pub content: LockedContent,
}

/// What holds a base fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockedContent {
    /// The digest of the manifest or index of an image.
    Image(Digest),
    /// A recipe's text, and the Debian packages for each platform.
    Recipe {
        /// The digest of the recipe in its canonical form.
        recipe: Digest,
        /// The packages.
        packages: BTreeMap<Platform, PackageList>,
    },
}

/// A table that tells no base.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[tool.pyoci.base] is malformed: {0}")]
pub struct LockedBaseError(pub String);

impl LockedBase {
    /// The digest of a recipe, that tells one text of it from another.
    pub fn recipe_digest(name: &str) -> Result<Digest, Error> {
        Ok(Digest::of(Recipe::load(name)?.canonical().as_bytes()))
    }

    /// The platforms that it is locked for; all, for an image.
    pub fn platforms(&self) -> Option<Vec<Platform>> {
        match &self.content {
            LockedContent::Image(_) => None,
            LockedContent::Recipe { packages, .. } => Some(packages.keys().copied().collect()),
        }
    }

    /// As `[tool.pyoci.base]` of a `pylock.toml`; a package is one line.
    pub fn to_table(&self) -> Table {
        let mut table = Table::new();
        table.insert("reference".to_owned(), self.reference.clone().into());
        match &self.content {
            LockedContent::Image(digest) => {
                table.insert("digest".to_owned(), digest.to_string().into());
            }
            LockedContent::Recipe { recipe, packages } => {
                table.insert("recipe".to_owned(), recipe.to_string().into());
                let lines = |list: &PackageList| list.packages().iter().map(ToString::to_string).collect();
                let all = packages.iter().map(|(platform, list)| {
                    let lines: Vec<String> = lines(list);
                    (platform.to_string(), Value::from(lines))
                });
                table.insert("packages".to_owned(), all.collect::<Table>().into());
            }
        }
        table
    }

    /// Reads what [`Self::to_table`] gives.
    pub fn from_table(table: &Table) -> Result<Self, LockedBaseError> {
        let fault = |problem: &str| LockedBaseError(problem.to_owned());
        let text = |key: &str| table.get(key).and_then(Value::as_str);
        let digest = |key: &str| {
            let digest = text(key).map(str::parse::<Digest>).transpose();
            digest.map_err(|error| LockedBaseError(format!("{key}: {error}")))
        };
        let reference = text("reference").ok_or_else(|| fault("it has no reference"))?;
        let content = match (digest("digest")?, digest("recipe")?) {
            (Some(digest), None) => LockedContent::Image(digest),
            (None, Some(recipe)) => LockedContent::Recipe {
                recipe,
                packages: packages(table)?,
            },
            _ => return Err(fault("it has neither digest nor recipe, or both")),
        };
        Ok(Self {
            reference: reference.to_owned(),
            content,
        })
    }
}

fn packages(table: &Table) -> Result<BTreeMap<Platform, PackageList>, LockedBaseError> {
    let fault = |problem: String| LockedBaseError(problem);
    let platforms = table.get("packages").and_then(Value::as_table);
    let platforms = platforms.ok_or_else(|| fault("it has no packages".to_owned()))?;
    let mut all = BTreeMap::new();
    for (platform, lines) in platforms {
        let lines = lines.as_array().into_iter().flatten();
        let parsed = lines.map(|line| {
            let line = line.as_str().unwrap_or_default();
            line.parse()
                .map_err(|error| fault(format!("{platform}: {error}")))
        });
        let list = parsed.collect::<Result<Vec<_>, _>>()?;
        let platform = platform.parse().map_err(|error| fault(format!("{error}")))?;
        all.insert(platform, PackageList::new(list));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_read_as_it_was_written() {
        let hash = Digest::of(b"x");
        let package = format!("libc6 2.41-12 amd64 debian pool/libc6.deb 12 {hash}");
        let list = PackageList::new(vec![package.parse().unwrap()]);
        let platform: Platform = "linux/amd64".parse().unwrap();
        for content in [
            LockedContent::Image(hash.clone()),
            LockedContent::Recipe {
                recipe: hash.clone(),
                packages: [(platform, list)].into(),
            },
        ] {
            let base = LockedBase {
                reference: "recipe:trixie".to_owned(),
                content,
            };
            let text = base.to_table().to_string();
            let again = LockedBase::from_table(&text.parse().unwrap()).unwrap();
            assert_eq!(again, base, "{text}");
        }
    }

    #[test]
    fn a_table_that_tells_no_base_is_refused() {
        let hash = Digest::of(b"x");
        for text in [
            String::new(),
            "reference = 'a'".to_owned(),
            "reference = 'a'\ndigest = 'x'".to_owned(),
            format!("reference = 'a'\nrecipe = '{hash}'"),
            format!("reference = 'a'\nrecipe = '{hash}'\ndigest = '{hash}'"),
            format!("reference = 'a'\nrecipe = '{hash}'\npackages = {{ 'linux/amd64' = ['libc6'] }}"),
            format!("reference = 'a'\nrecipe = '{hash}'\npackages = {{ 'plan9/vax' = [] }}"),
        ] {
            assert!(LockedBase::from_table(&text.parse().unwrap()).is_err(), "{text}");
        }
    }
}
