//! `pyoci base list`: the bases that pyoci can assemble itself.

use std::fmt::Write as _;

use crate::base::{Recipe, recipe_names};

/// One line for each recipe: its reference, and what it has.
pub fn list() -> anyhow::Result<String> {
    let mut text = String::new();
    for name in recipe_names() {
        let recipe = Recipe::load(name)?;
        let _ = writeln!(text, "{:<24} {}", format!("recipe:{name}"), recipe.description);
    }
    Ok(text)
}
