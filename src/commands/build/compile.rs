//! `--compile`: byte-code for the dependencies, and for the standard library where the base has none.

use super::Build;
use super::dependencies::size_of;
use crate::bytecode::{self, Maker};
use crate::image::Base;
use crate::layer::Layer;
use crate::tree::{Kind, Tree};

impl Build<'_> {
    /// Who makes the byte-code; nobody if none was asked for.
    pub(super) fn maker<'b>(&self, base: &'b Base) -> anyhow::Result<Option<Maker<'b>>> {
        if !self.project.settings.compile.unwrap_or(false) {
            return Ok(None);
        }
        Ok(Some(Maker::find(base, self.environment)?))
    }

    /// A tree with byte-code for its sources.
    pub(super) fn compiled(&self, tree: Tree, maker: &Maker<'_>) -> anyhow::Result<Tree> {
        let scratch = self.store.scratch()?;
        let interpreter = maker.interpreter(scratch.path())?;
        Ok(bytecode::compile(tree, &interpreter, self.layers.threads)?)
    }

    /// The byte-code of a recipe's standard library, as a layer: whoever the app runs as cannot write it later.
    pub(super) fn standard_library(&self, base: &Base) -> anyhow::Result<Option<Layer>> {
        let Some(maker @ Maker::Base(_)) = self.maker(base)? else {
            return Ok(None);
        };
        let layers: Vec<String> = base.layers.iter().map(|l| l.diff_id.to_string()).collect();
        let key = self.layer_key("standard library", &layers.join("\n"));
        let created_by = "pyoci: byte-code of the standard library";
        let name = base.platform.to_string();
        let make = || {
            let tree = self.compiled(bytecode::standard_library(base)?, &maker)?;
            let mut code = Tree::new();
            for (path, entry) in tree {
                let is_code = path.components().any(|c| c == "__pycache__");
                if is_code && matches!(entry.kind, Kind::File(_)) {
                    code.insert(path, entry)?;
                }
            }
            Ok(code)
        };
        let layer = self.timings.step("byte-code", &name, || {
            self.layer((&key, created_by), &self.store, make)
        })?;
        self.progress.done(
            "Byte-code",
            format!("of the standard library, {}", size_of(&layer)),
        );
        Ok(Some(layer))
    }
}
