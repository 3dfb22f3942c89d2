//! The default base: the recipe whose Python is wanted; where none fits, Docker's official Python image.

use pep440_rs::{Version, VersionSpecifiers};

use super::Error;
use crate::platform::Platform;
use crate::python::{Libc, Target};
use crate::reference::ImageReference;

/// Python, glibc and name of a recipe.
type Known = ((u32, u32), (u32, u32), &'static str);
/// Recipes with the Python and the glibc that they bring, the preferred first.
const RECIPES: [Known; 2] = [((3, 13), (2, 41), "trixie"), ((3, 11), (2, 36), "bookworm")];
/// Pythons that `docker.io/library/python` has slim images of, the newest first.
const OFFICIAL: [(u32, u32); 6] = [(3, 14), (3, 13), (3, 12), (3, 11), (3, 10), (3, 9)];
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

/// A recipe that fits a wish, and what it is known to bring before it is looked at.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The recipe.
    pub reference: ImageReference,
    python: (u32, u32),
    glibc: (u32, u32),
}

impl Candidate {
    /// What its base will be, but for the patch release of Python.
    pub fn target(&self, platform: Platform) -> Target {
        let (major, minor) = self.glibc;
        Target {
            platform,
            libc: Libc::Glibc { major, minor },
            python: self.python,
            python_full: None,
            interpreter: format!("/usr/bin/python{}.{}", self.python.0, self.python.1),
        }
    }
}

/// The recipes that fit, the preferred first.
pub fn candidates(wish: &Wish) -> Vec<Candidate> {
    let fitting = RECIPES.iter().filter(|(python, ..)| wish.fits(*python));
    fitting
        .map(|(python, glibc, recipe)| Candidate {
            reference: ImageReference::Recipe((*recipe).to_owned()),
            python: *python,
            glibc: *glibc,
        })
        .collect()
}

/// The Python of the default base.
pub fn python_for(wish: &Wish) -> Result<(u32, u32), Error> {
    let recipes = RECIPES.into_iter().map(|(python, ..)| python);
    match wish {
        Wish::Minor(major, minor) => Ok((*major, *minor)),
        _ => recipes
            .chain(OFFICIAL)
            .find(|python| wish.fits(*python))
            .ok_or_else(|| Error::NoDefault(wish.to_string())),
    }
}

/// The base to build on where the user names none.
pub fn default_for(wish: &Wish) -> Result<ImageReference, Error> {
    if let Some(candidate) = candidates(wish).into_iter().next() {
        return Ok(candidate.reference);
    }
    let official = OFFICIAL.into_iter().find(|python| wish.fits(*python));
    let python = match wish {
        Wish::Minor(major, minor) => Some((*major, *minor)),
        _ => official,
    };
    let (major, minor) = python.ok_or_else(|| Error::NoDefault(format!("{wish}")))?;
    let name = format!("docker.io/library/python:{major}.{minor}-slim");
    name.parse().map_err(|_| Error::NoDefault(name))
}

impl Wish {
    fn fits(&self, (major, minor): (u32, u32)) -> bool {
        match self {
            Self::Any => true,
            Self::Minor(a, b) => (major, minor) == (*a, *b),
            // Any patch release will do: which one the base has is not known yet, and is checked when it is.
            Self::Fitting(specifiers) => (0..PATCHES)
                .any(|patch| specifiers.contains(&Version::new([u64::from(major), u64::from(minor), patch]))),
        }
    }
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
