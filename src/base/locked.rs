//! A base as a lock file keeps it: what its name stood for, so that it is the same base a year later.

use std::collections::{BTreeMap, BTreeSet};

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

/// Debian packages that a project adds to its base, as they were locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedPackages {
    /// Their names, as they were asked for.
    pub asked: BTreeSet<String>,
    /// For each platform, what they are with what they need; empty if the base has them.
    pub packages: BTreeMap<Platform, PackageList>,
}

/// A table that tells no base, or no packages over one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[tool.pyoci.{table}] is malformed: {problem}")]
pub struct LockedBaseError {
    /// `base` or `packages`.
    table: &'static str,
    /// What is wrong.
    problem: String,
}

impl LockedPackages {
    /// As `[tool.pyoci.packages]` of a `pylock.toml`; a package is one line.
    pub fn to_table(&self) -> Table {
        let asked: Vec<String> = self.asked.iter().cloned().collect();
        let mut table = Table::from_iter([("asked".to_owned(), asked.into())]);
        table.extend(lines(&self.packages));
        table
    }

    /// Reads what [`Self::to_table`] gives.
    pub fn from_table(table: &Table) -> Result<Self, LockedBaseError> {
        let fault = |problem: String| LockedBaseError {
            table: "packages",
            problem,
        };
        let asked = table.get("asked").and_then(Value::as_array);
        let asked = asked.map(|names| names.iter().map(|name| name.as_str().map(str::to_owned)));
        let asked: Option<Option<BTreeSet<String>>> = asked.map(Iterator::collect);
        let asked = asked
            .flatten()
            .ok_or_else(|| fault("it does not say what was asked for".to_owned()))?;
        let platforms = table.iter().filter(|(key, _)| *key != "asked");
        Ok(Self {
            asked,
            packages: packages(platforms).map_err(fault)?,
        })
    }
}

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

    /// Whether two are the same base on a platform.
    pub fn is_same_for(&self, other: &Self, platform: Platform) -> bool {
        match (&self.content, &other.content) {
            (LockedContent::Image(one), LockedContent::Image(other)) => one == other,
            (
                LockedContent::Recipe { packages, recipe },
                LockedContent::Recipe {
                    packages: others,
                    recipe: other,
                },
            ) => recipe == other && packages.get(&platform) == others.get(&platform),
            _ => false,
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
                table.insert("packages".to_owned(), lines(packages).collect::<Table>().into());
            }
        }
        table
    }

    /// Reads what [`Self::to_table`] gives.
    pub fn from_table(table: &Table) -> Result<Self, LockedBaseError> {
        let fault = |problem: String| LockedBaseError {
            table: "base",
            problem,
        };
        let text = |key: &str| table.get(key).and_then(Value::as_str);
        let digest = |key: &str| {
            let digest = text(key).map(str::parse::<Digest>).transpose();
            digest.map_err(|error| fault(format!("{key}: {error}")))
        };
        let reference = text("reference").ok_or_else(|| fault("it has no reference".to_owned()))?;
        let content = match (digest("digest")?, digest("recipe")?) {
            (Some(digest), None) => LockedContent::Image(digest),
            (None, Some(recipe)) => LockedContent::Recipe {
                recipe,
                packages: match table.get("packages").and_then(Value::as_table) {
                    Some(table) => packages(table).map_err(fault)?,
                    None => return Err(fault("it has no packages".to_owned())),
                },
            },
            _ => return Err(fault("it has neither digest nor recipe, or both".to_owned())),
        };
        Ok(Self {
            reference: reference.to_owned(),
            content,
        })
    }
}

/// Platforms with their packages, one line each.
fn lines(packages: &BTreeMap<Platform, PackageList>) -> impl Iterator<Item = (String, Value)> {
    packages.iter().map(|(platform, list)| {
        let lines: Vec<String> = list.packages().iter().map(ToString::to_string).collect();
        (platform.to_string(), lines.into())
    })
}

fn packages<'a>(
    platforms: impl IntoIterator<Item = (&'a String, &'a Value)>,
) -> Result<BTreeMap<Platform, PackageList>, String> {
    let mut all = BTreeMap::new();
    for (platform, lines) in platforms {
        let lines = lines.as_array().into_iter().flatten();
        let parsed = lines.map(|line| {
            let line = line.as_str().unwrap_or_default();
            line.parse().map_err(|error| format!("{platform}: {error}"))
        });
        let list = parsed.collect::<Result<Vec<_>, _>>()?;
        let platform = platform.parse().map_err(|error| format!("{error}"))?;
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
    fn packages_over_a_base_are_read_as_they_were_written() {
        let package = format!("libgomp1 14.2-19 amd64 debian pool/g.deb 12 {}", Digest::of(b"x"));
        let list = PackageList::new(vec![package.parse().unwrap()]);
        let packages = LockedPackages {
            asked: ["libgomp1".to_owned()].into(),
            packages: [
                ("linux/amd64".parse().unwrap(), list),
                ("linux/arm64".parse().unwrap(), PackageList::new(Vec::new())),
            ]
            .into(),
        };
        let text = packages.to_table().to_string();
        assert_eq!(
            LockedPackages::from_table(&text.parse().unwrap()).unwrap(),
            packages
        );
        for text in [
            "",
            "asked = 'a'",
            "asked = [1]",
            "asked = []\n'linux/amd64' = ['libc6']",
        ] {
            assert!(
                LockedPackages::from_table(&text.parse().unwrap()).is_err(),
                "{text}"
            );
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
