//! The default base: the recipe whose Python is wanted; where none fits, Docker's official Python image.

use pep440_rs::{Version, VersionSpecifiers};

use super::Error;
use crate::reference::ImageReference;

/// Recipes by the Python that they bring, the preferred first.
const RECIPES: [((u64, u64), &str); 2] = [((3, 13), "trixie"), ((3, 11), "bookworm")];
/// Pythons that `docker.io/library/python` has slim images of, the newest first.
const OFFICIAL: [(u64, u64); 6] = [(3, 14), (3, 13), (3, 12), (3, 11), (3, 10), (3, 9)];
/// No minor version of Python had more patch releases.
const PATCHES: u64 = 40;

/// Which Python is wanted, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nobody says anything.
    Any,
    /// Exactly that minor version: `--python`, `.python-version`.
    Minor(u32, u32),
    /// What fits: `requires-python`.
    Fitting(VersionSpecifiers),
}

/// The base to build on where the user names none.
pub fn default_for(wish: &Wish) -> Result<ImageReference, Error> {
    let fits = |(major, minor): (u64, u64)| match wish {
        Wish::Any => true,
        Wish::Minor(a, b) => (major, minor) == (u64::from(*a), u64::from(*b)),
        // Any patch release will do: which one the base has is not known yet, and is checked when it is.
        Wish::Fitting(specifiers) => {
            (0..PATCHES).any(|patch| specifiers.contains(&Version::new([major, minor, patch])))
        }
    };
    if let Some((_, recipe)) = RECIPES.iter().find(|(python, _)| fits(*python)) {
        return Ok(ImageReference::Recipe((*recipe).to_owned()));
    }
    let official = OFFICIAL.into_iter().find(|python| fits(*python));
    let python = match wish {
        Wish::Minor(major, minor) => Some((u64::from(*major), u64::from(*minor))),
        _ => official,
    };
    let (major, minor) = python.ok_or_else(|| Error::NoDefault(format!("{wish}")))?;
    let name = format!("docker.io/library/python:{major}.{minor}-slim");
    name.parse().map_err(|_| Error::NoDefault(name))
}

impl std::fmt::Display for Wish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => write!(f, "any Python"),
            Self::Minor(major, minor) => write!(f, "Python {major}.{minor}"),
            Self::Fitting(specifiers) => write!(f, "requires-python {specifiers}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_whose_python_fits_is_preferred() {
        let fitting = |text: &str| Wish::Fitting(text.parse().unwrap());
        for (wish, base) in [
            (Wish::Any, "recipe:trixie"),
            (Wish::Minor(3, 11), "recipe:bookworm"),
            (Wish::Minor(3, 12), "docker.io/library/python:3.12-slim"),
            (fitting(">=3.9"), "recipe:trixie"),
            (fitting(">=3.9,<3.12"), "recipe:bookworm"),
            (fitting("==3.11.2"), "recipe:bookworm"),
            (fitting(">=3.12,<3.13"), "docker.io/library/python:3.12-slim"),
            (fitting(">=3.14"), "docker.io/library/python:3.14-slim"),
        ] {
            assert_eq!(default_for(&wish).unwrap().to_string(), base, "{wish}");
        }
        let error = default_for(&fitting("<3")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no base is known whose Python fits requires-python <3"
        );
    }
}
