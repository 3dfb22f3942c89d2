//! Recipes: TOML files that say of which Debian packages a base is made, and what the packages lack.

use std::collections::BTreeMap;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use crate::debian::{Suite, Wanted};
use crate::paths::{PathError, TreePath};

/// The recipes in this program: name and text.
const EMBEDDED: [(&str, &str); 4] = [
    ("trixie", include_str!("../../base-layers/trixie.toml")),
    (
        "trixie-debug",
        include_str!("../../base-layers/trixie-debug.toml"),
    ),
    ("bookworm", include_str!("../../base-layers/bookworm.toml")),
    (
        "bookworm-debug",
        include_str!("../../base-layers/bookworm-debug.toml"),
    ),
];

/// A recipe as it is written. A recipe that extends another adds to its lists and tables and replaces single values.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
struct Text {
    extends: Option<String>,
    description: Option<String>,
    python: Option<String>,
    suites: Vec<Suite>,
    components: Vec<String>,
    packages: Vec<String>,
    exclude: Vec<String>,
    leave: Vec<String>,
    shell: Option<String>,
    symlinks: BTreeMap<String, String>,
    users: Vec<RecipeUser>,
    config: Config,
}

/// A user of the base.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeUser {
    /// Its name, and that of its group unless `group` is given.
    pub name: String,
    /// Its number, and that of its group.
    pub id: u32,
    /// The name of its group.
    pub group: Option<String>,
    /// Its home directory; made if it is below `/home`.
    pub home: String,
}

/// How a container of the bare base runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `UID:GID`
    pub user: Option<String>,
    /// The `Cmd` of the image config.
    pub command: Vec<String>,
    /// The `Env` of the image config.
    pub env: BTreeMap<String, String>,
}

/// A recipe, checked.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Its name, e.g. `trixie`: for a file its name without directory and ending.
    pub name: String,
    /// One line for `pyoci base list`.
    pub description: String,
    /// The Python that it brings, e.g. `3.13`; the base's own files decide in the end.
    pub python: Option<String>,
    /// The packages.
    pub wanted: Wanted,
    /// The login shell in `/etc/passwd`.
    pub shell: Option<String>,
    /// Links to make: path to target.
    pub symlinks: Vec<(TreePath, String)>,
    /// Users to make.
    pub users: Vec<RecipeUser>,
    /// The config to write.
    pub config: Config,
    leave: Vec<Glob>,
    text: Text,
}

/// Why a recipe is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No recipe of that name, and no file.
    #[error("there is no base recipe `{0}`")]
    Unknown(String),
    /// The file cannot be read.
    #[error("cannot read recipe {name}")]
    Read {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML, or has an unknown key.
    #[error("recipe {name} is malformed")]
    Form {
        /// The recipe.
        name: String,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A pattern is malformed.
    #[error("recipe {name} has a malformed pattern in `leave`")]
    Pattern {
        /// The recipe.
        name: String,
        /// Why.
        #[source]
        source: globset::Error,
    },
    /// A path is malformed.
    #[error("recipe {name} has a malformed path in `symlinks`")]
    Path {
        /// The recipe.
        name: String,
        /// Why.
        #[source]
        source: PathError,
    },
    /// A user is malformed.
    #[error("recipe {name}: user {user:?} has a malformed name, group or home")]
    User {
        /// The recipe.
        name: String,
        /// The user.
        user: String,
    },
    /// Something that every recipe needs is missing.
    #[error("recipe {name} has no `{field}`")]
    Missing {
        /// The recipe.
        name: String,
        /// The key.
        field: &'static str,
    },
    /// It extends one that itself extends another.
    #[error("recipe {name} extends {extended}, which extends another one: only one step is possible")]
    Chain {
        /// The recipe.
        name: String,
        /// The one that it extends.
        extended: String,
    },
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown(_) => Some(format!(
                "there are {}; a file is given as recipe:./FILE.toml",
                names().join(", ")
            )),
            _ => None,
        }
    }
}

/// The names of the recipes that this program carries.
pub fn names() -> Vec<&'static str> {
    EMBEDDED.iter().map(|(name, _)| *name).collect()
}

impl Recipe {
    /// The recipe of that name in this program, else the one in that file.
    pub fn load(name: &str) -> Result<Self, Error> {
        if let Some((name, text)) = EMBEDDED.iter().find(|(n, _)| *n == name) {
            return Self::parse(name, text);
        }
        if !name.contains(['/', '.']) {
            return Err(Error::Unknown(name.to_owned()));
        }
        let text = fs_err::read_to_string(name).map_err(|source| Error::Read {
            name: name.to_owned(),
            source,
        })?;
        let mut recipe = Self::parse(name, &text)?;
        // The name goes into the image: where the file was on this machine does not.
        let stem = std::path::Path::new(name).file_stem().and_then(|s| s.to_str());
        stem.unwrap_or("recipe").clone_into(&mut recipe.name);
        Ok(recipe)
    }

    /// Reads a recipe from its text.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let mut text = read(name, text)?;
        if let Some(extended) = text.extends.take() {
            let (_, base) = EMBEDDED
                .iter()
                .find(|(n, _)| *n == extended)
                .ok_or_else(|| Error::Unknown(extended.clone()))?;
            let base = read(&extended, base)?;
            if base.extends.is_some() {
                return Err(Error::Chain {
                    name: name.to_owned(),
                    extended,
                });
            }
            text = base.extended_by(text);
        }
        Self::check(name, text)
    }

    fn check(name: &str, text: Text) -> Result<Self, Error> {
        for (field, missing) in [
            ("suites", text.suites.is_empty()),
            ("components", text.components.is_empty()),
            ("packages", text.packages.is_empty()),
        ] {
            if missing {
                return Err(Error::Missing {
                    name: name.to_owned(),
                    field,
                });
            }
        }
        let word = |t: &str| {
            !t.is_empty()
                && t.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        let home = |t: &str| {
            t.strip_prefix('/')
                .is_some_and(|p| TreePath::new(p).is_ok() && !p.contains([':', '\n']))
        };
        for user in &text.users {
            if !word(&user.name) || !home(&user.home) || user.group.as_ref().is_some_and(|g| !word(g)) {
                return Err(Error::User {
                    name: name.to_owned(),
                    user: user.name.clone(),
                });
            }
        }
        let symlinks = text.symlinks.iter().map(|(path, target)| {
            let path = TreePath::new(path).map_err(|source| Error::Path {
                name: name.to_owned(),
                source,
            })?;
            Ok((path, target.clone()))
        });
        Ok(Self {
            name: name.to_owned(),
            description: text.description.clone().unwrap_or_default(),
            python: text.python.clone(),
            wanted: Wanted {
                suites: text.suites.clone(),
                components: text.components.clone(),
                packages: text.packages.clone(),
                exclude: text.exclude.iter().cloned().collect(),
            },
            shell: text.shell.clone(),
            symlinks: symlinks.collect::<Result<_, Error>>()?,
            users: text.users.clone(),
            config: text.config.clone(),
            leave: globs(name, &text.leave)?,
            text,
        })
    }

    /// What is left out of packages. Made when packages are unpacked: a base that is kept needs none of it.
    pub fn leave(&self) -> Result<Leave, Error> {
        let mut set = GlobSetBuilder::new();
        for glob in &self.leave {
            set.add(glob.clone());
        }
        let set = set.build().map_err(|source| Error::Pattern {
            name: self.name.clone(),
            source,
        })?;
        Ok(Leave(set))
    }

    /// All that the recipe says, in one form: what a base depends on beside its packages.
    pub fn canonical(&self) -> String {
        serde_json::to_string(&self.text).unwrap_or_default()
    }
}

/// The patterns of `leave`.
#[derive(Clone, Debug)]
pub struct Leave(GlobSet);

impl Leave {
    /// Whether a path of a package is left out: it or a directory above it fits a pattern.
    pub fn leaves(&self, path: &str) -> bool {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        above.chain([path]).any(|p| self.0.is_match(p))
    }
}

impl Text {
    fn extended_by(mut self, other: Self) -> Self {
        self.description = other.description.or(self.description);
        self.python = other.python.or(self.python);
        self.shell = other.shell.or(self.shell);
        self.suites.extend(other.suites);
        self.components.extend(other.components);
        self.packages.extend(other.packages);
        self.exclude.extend(other.exclude);
        self.leave.extend(other.leave);
        self.symlinks.extend(other.symlinks);
        self.users.extend(other.users);
        self.config.user = other.config.user.or(self.config.user);
        if !other.config.command.is_empty() {
            self.config.command = other.config.command;
        }
        self.config.env.extend(other.config.env);
        self
    }
}

fn read(name: &str, text: &str) -> Result<Text, Error> {
    toml::from_str(text).map_err(|source| Error::Form {
        name: name.to_owned(),
        source: Box::new(source),
    })
}

fn globs(name: &str, patterns: &[String]) -> Result<Vec<Glob>, Error> {
    let glob = |pattern: &String| GlobBuilder::new(pattern).literal_separator(true).build();
    let globs = patterns.iter().map(glob).collect::<Result<_, _>>();
    globs.map_err(|source| Error::Pattern {
        name: name.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipes_in_this_program_are_read() {
        for name in names() {
            let recipe = Recipe::load(name).unwrap();
            assert!(
                !recipe.description.is_empty() && recipe.python.is_some(),
                "{name}"
            );
            assert_eq!(recipe.shell.is_some(), name.ends_with("-debug"), "{name}");
            let leave = recipe.leave().unwrap();
            assert!(leave.leaves("usr/share/man/man1/python3.1.gz"));
            assert!(leave.leaves("usr/share/doc/libc6/changelog.Debian.gz"));
            assert!(!leave.leaves("usr/share/doc/libc6/copyright"));
            assert!(!leave.leaves("usr/bin/python3.13") && !leave.leaves("usr/sbin/ldconfig"));
        }
        let debug = Recipe::load("trixie-debug").unwrap();
        let plain = Recipe::load("trixie").unwrap();
        assert_eq!(debug.wanted.packages.len(), plain.wanted.packages.len() + 1);
        assert_ne!(debug.canonical(), plain.canonical());
    }

    #[test]
    fn unknown_names_and_keys_are_refused() {
        let unknown = Recipe::load("sarge").unwrap_err();
        assert!(matches!(unknown, Error::Unknown(_)));
        assert!(unknown.hint().unwrap().contains("trixie"));
        assert!(matches!(
            Recipe::load("./no-such-file.toml"),
            Err(Error::Read { .. })
        ));
        assert!(matches!(
            Recipe::parse("x", "packges = []"),
            Err(Error::Form { .. })
        ));
        assert!(matches!(
            Recipe::parse("x", "packages = ['a']"),
            Err(Error::Missing { field: "suites", .. })
        ));
        let user = "extends = 'trixie'\n[[users]]\nname = 'a:b'\nid = 1\nhome = '/'\n";
        assert!(matches!(Recipe::parse("x", user), Err(Error::User { .. })));
        assert!(matches!(
            Recipe::parse("x", "extends = 'trixie'\nsymlinks = { '../a' = 'b' }"),
            Err(Error::Path { .. })
        ));
    }
}
