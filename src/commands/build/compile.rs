//! `--compile`: byte-code for the dependencies, and for the standard library where the base has none.

use super::Build;
use super::dependencies::size_of;
use crate::bytecode::{self, Made, Maker, Workshop};
use crate::image::Base;
use crate::layer::Layer;
use crate::tree::Tree;
use crate::wheel::Owners;

impl Build<'_> {
    /// Who makes the byte-code; nobody if none was asked for.
    pub(super) fn maker<'b>(&self, base: &'b Base) -> anyhow::Result<Option<Maker<'b>>> {
        if !self.project.settings.compile.unwrap_or(false) {
            return Ok(None);
        }
        Ok(Some(Maker::find(base, self.environment, &self.store)?))
    }

    /// A tree with byte-code for its sources. `owners` names the wheel of each file.
    pub(super) fn compiled(&self, tree: Tree, owners: &Owners, maker: &Maker<'_>) -> anyhow::Result<Tree> {
        let (tree, made) = self.timings.measure("byte-code", "", |note| {
            let (tree, made) = self.workshop(maker).compile(tree, owners)?;
            note.cached(made.iter().all(|made| made.kept));
            anyhow::Ok((tree, made))
        })?;
        for Made { wheel, files, kept } in &made {
            let how = if *kept { "kept" } else { "compiled" };
            self.progress
                .detail(format!("byte-code of {wheel}: {files} files, {how}"));
        }
        let compiled = made.iter().filter(|made| !made.kept);
        let count = compiled.clone().count();
        if count > 0 {
            let files: usize = compiled.map(|made| made.files).sum();
            let line = format!("of {count} of {} wheels, {files} files", made.len());
            self.progress.done("Byte-code", line);
        }
        Ok(tree)
    }

    /// The byte-code of a recipe's standard library, as a layer: whoever the app runs as cannot write it later.
    pub(super) fn standard_library(
        &self,
        base: &Base,
        maker: Option<&Maker<'_>>,
    ) -> anyhow::Result<Option<Layer>> {
        let Some(maker) = maker.filter(|maker| maker.is_of_base()) else {
            return Ok(None);
        };
        let layers: Vec<String> = base.layers.iter().map(|l| l.diff_id.to_string()).collect();
        let inputs = format!("byte-code {}\n{}", bytecode::FORMAT, layers.join("\n"));
        let key = self.layer_key("standard library", &inputs);
        let created_by = "pyoci: byte-code of the standard library";
        let name = base.platform.to_string();
        let make = || Ok(self.workshop(maker).standard_library()?.unwrap_or_default());
        let layer = self.timings.step("byte-code", &name, || {
            self.layer((&key, created_by), &self.store, make)
        })?;
        self.progress.done(
            "Byte-code",
            format!("of the standard library, {}", size_of(&layer)),
        );
        Ok(Some(layer))
    }

    fn workshop<'b>(&'b self, maker: &'b Maker<'b>) -> Workshop<'b> {
        Workshop {
            maker,
            store: &self.store,
            threads: self.layers.threads,
        }
    }
}
