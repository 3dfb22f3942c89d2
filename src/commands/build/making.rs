//! Making the layers of the dependencies that no store has, and what is known of each: its files and its objects.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Build;
use super::app::over_base;
use super::layers::{Part, lacks_size, size_key};
use crate::bytecode::Maker;
use crate::digest::{Algorithm, Digest};
use crate::image::Base;
use crate::layer::{self, Layer};
use crate::lock::{self, Arriving, FetchedWheel, Opening, Request, Selected};
use crate::native::{self, Object, Scan};
use crate::parallel;
use crate::paths::TreePath;
use crate::project::runtime;
use crate::python::PackageName;
use crate::tree::{Content, Entries, Kind};
use crate::wheel::{self, Installed, Laid, Owners, Placed, Site, Wheel};

/// Changes whenever other things are known of the same layer.
const FORMAT: u32 = 2;
/// How many wheels are opened before their files are laid together.
const OPEN_AT_ONCE: usize = 32;

/// What is known of a layer of dependencies.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Facts {
    /// How many files were left out because of `exclude`, and their bytes.
    pub excluded: (usize, u64),
    /// Its shared objects and programs.
    pub objects: Vec<Object>,
    /// The file names of its wheels.
    pub wheels: Vec<String>,
    /// Its files: which of the wheels they are of, and the first half of their SHA-256. Only of layers beside others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<BTreeMap<String, (usize, String)>>,
}

/// What making layers takes.
pub(super) struct Making<'b> {
    pub build: &'b Build<'b>,
    pub request: &'b Request,
    pub base: &'b Base,
    pub maker: Option<&'b Maker<'b>>,
    /// The wheels that are on this machine.
    pub fetched: BTreeMap<PackageName, FetchedWheel>,
}

impl Making<'_> {
    /// Fetches the wheels whose size decides in which layer they are, and neither lock nor store says it.
    pub fn know_sizes(&mut self, selected: &[Selected]) -> anyhow::Result<()> {
        let store = &self.build.store;
        let unknown: Vec<_> = selected.iter().filter(|s| lacks_size(s, store)).collect();
        self.fetch(&unknown)?;
        for package in unknown {
            if let (Some(wheel), Some(digest)) = (self.fetched.get(&package.name), package.identity()) {
                let size = fs_err::metadata(&wheel.path)?.len();
                store.remember(&size_key(&digest), size.to_string().as_bytes())?;
            }
        }
        Ok(())
    }

    /// The key of each part. What has no identity before it is built is built now.
    pub fn keys(&mut self, parts: &[Part]) -> anyhow::Result<Vec<Digest>> {
        let packages = parts.iter().flat_map(|part| &part.packages);
        let unknown: Vec<&Selected> = packages.copied().filter(|s| s.identity().is_none()).collect();
        self.fetch(&unknown)?;
        let key = |part: &Part| {
            let identity = |package: &&Selected| {
                let built = || self.fetched.get(&package.name).map(|wheel| wheel.digest.clone());
                package.identity().or_else(built)
            };
            let wheels: Vec<Digest> = part.packages.iter().filter_map(identity).collect();
            self.build.dependencies_key(&wheels, self.base, self.maker)
        };
        Ok(parts.iter().map(key).collect())
    }

    /// Fetches what is not there yet.
    fn fetch(&mut self, packages: &[&Selected]) -> anyhow::Result<()> {
        let lacking = self.lacking(packages);
        if lacking.is_empty() {
            return Ok(());
        }
        let fetch = || lock::fetch_all(&lacking, &self.base.target, self.request, &self.build.tools());
        for wheel in self.build.timings.step("fetch", "", fetch)? {
            self.fetched.insert(wheel.selected.name.clone(), wheel);
        }
        Ok(())
    }

    fn lacking(&self, packages: &[&Selected]) -> Vec<Selected> {
        let lacking = packages.iter().filter(|p| !self.fetched.contains_key(&p.name));
        lacking.map(|package| (*package).clone()).collect()
    }

    /// Makes the layers that are not there, and finds out what is not known of those that are. Only the wheels of these
    /// are fetched.
    pub fn make(
        &mut self,
        parts: &[Part],
        keys: &[Digest],
        found: &[Option<Layer>],
    ) -> anyhow::Result<(Vec<Layer>, Vec<Facts>)> {
        let several = parts.len() > 1;
        let known: Vec<Option<Facts>> = keys.iter().map(|key| self.known(key, several)).collect();
        let lacking = |at: &usize| found[*at].is_none() || known[*at].is_none();
        let wanted: Vec<&Selected> = (0..parts.len())
            .filter(lacking)
            .flat_map(|at| parts[at].packages.iter().copied())
            .collect();
        let lacking = self.lacking(&wanted);
        let request = (self.request, &self.build.tools());
        let work = |arriving: &Arriving<'_>| {
            let (mut layers, mut facts) = (Vec::new(), Vec::new());
            for (((part, key), layer), known) in parts.iter().zip(keys).zip(found).zip(&known) {
                let (layer, known) = match (layer, known) {
                    (Some(layer), Some(known)) => (layer.clone(), known.clone()),
                    (layer, _) => self.part(part, (key, several), layer.clone(), arriving)?,
                };
                layers.push(layer);
                facts.push(known);
            }
            Ok::<_, anyhow::Error>((layers, facts))
        };
        let target = &self.base.target;
        let (layers, facts) = lock::fetch_while(&lacking, target, request, work, may_be_misread)?;
        if several {
            check_conflicts(&facts)?;
        }
        Ok((layers, facts))
    }

    fn known(&self, key: &Digest, several: bool) -> Option<Facts> {
        let note = self.build.store.memo(&facts_key(key))?;
        let facts: Facts = serde_json::from_slice(&note).ok()?;
        (facts.files.is_some() || !several).then_some(facts)
    }

    /// Makes one layer, unless it is there, and its facts, of wheels that may still be arriving.
    fn part(
        &self,
        part: &Part,
        (key, several): (&Digest, bool),
        layer: Option<Layer>,
        arriving: &Arriving<'_>,
    ) -> anyhow::Result<(Layer, Facts)> {
        let build = self.build;
        // The layer's pipeline checks every file against RECORD and knows no wheels: find the one to name.
        let named = |error: anyhow::Error| {
            match arriving.settle() {
                Ok(()) => {}
                // What it was has been told: it is the error.
                Err(lock::Error::Stopped) => return error,
                Err(fault) => return fault.into(),
            }
            let packages = part.packages.iter();
            let mut wheels = packages.filter_map(|package| self.open(&package.name, arriving).ok()?);
            let fault = wheels.find_map(|wheel| wheel.verify_record().err());
            fault.map_or(error, Into::into)
        };
        let install = || self.install(part, arriving);
        let (installed, file_names) = build.timings.step("install", "", install)?;
        let files = several
            .then(|| listing(&installed, &file_names))
            .transpose()
            .map_err(named)?;
        let (excluded, owners) = (installed.excluded, installed.owners);
        arriving.prefer(
            installed
                .tree
                .each()
                .filter_map(|entry| match entry.ok()?.1.kind {
                    Kind::File(Content::Member(member)) => {
                        Some((Arc::clone(&member.archive), member.range()))
                    }
                    _ => None,
                }),
        );
        let settled = || self.settled(part, arriving);
        let maker = self.maker.filter(|_| layer.is_none());
        let tree = self.finished(installed.tree, &owners, maker).map_err(named)?;
        let (layer, objects) = match layer {
            Some(layer) => {
                settled()?;
                (layer, native::scan(&*tree)?)
            }
            None => self
                .write(&*tree, (key, &part.created_by), &settled)
                .map_err(named)?,
        };
        let facts = Facts {
            excluded,
            objects: objects_of(objects, &owners),
            wheels: file_names,
            files,
        };
        let note = serde_json::to_vec(&facts).unwrap_or_default();
        build.store.remember(&facts_key(key), &note)?;
        Ok((layer, facts))
    }

    /// What is in the layer: what was installed where it is over the base, with its byte-code.
    fn finished(
        &self,
        installed: Laid,
        owners: &Owners,
        maker: Option<&Maker<'_>>,
    ) -> anyhow::Result<Box<dyn Entries>> {
        let mut links = self.base.directory_links.keys();
        if maker.is_none() && !links.any(|link| installed.may_touch(link)) {
            return Ok(Box::new(installed));
        }
        let tree = over_base(installed.tree()?, self.base)?;
        Ok(Box::new(match maker {
            Some(maker) => self.build.compiled(tree, owners, maker)?,
            None => tree,
        }))
    }

    /// Opens and installs the wheels of a layer, and gives their file names. A wheel takes much more memory than what is
    /// installed of it, so only some are open at once.
    fn install(
        &self,
        part: &Part,
        arriving: &Arriving<'_>,
    ) -> anyhow::Result<(Installed<Laid>, Vec<String>)> {
        let build = self.build;
        build.installing(&self.base.target, runtime::DEPENDENCIES, |options| {
            let spool = || build.store.spool();
            let mut site = Site::new(options.prefix, Some(&spool));
            let mut file_names = Vec::new();
            let placed = |package: &&Selected| -> anyhow::Result<_> {
                let wheel = self.open(&package.name, arriving)?;
                Ok(wheel.map(|wheel| Placed::of(wheel, options)).transpose()?)
            };
            for packages in part.packages.chunks(OPEN_AT_ONCE) {
                for placed in parallel::map(packages, build.layers.threads, placed)?
                    .into_iter()
                    .flatten()
                {
                    file_names.push(placed.wheel().to_owned());
                    site.add(placed)?;
                }
            }
            Ok((site.laid()?, file_names))
        })
    }

    /// Opens the wheel of a package, which may still be arriving.
    fn open(&self, package: &PackageName, arriving: &Arriving<'_>) -> anyhow::Result<Option<Wheel>> {
        if let Some(file) = self.fetched.get(package) {
            return Ok(Some(Wheel::open(&file.path, &file.file_name.to_string())?));
        }
        Ok(match arriving.open(package).transpose()? {
            None => None,
            Some(Opening::There(path, name)) => Some(Wheel::open(&path, &name.to_string())?),
            Some(Opening::Coming(archive, name)) => Some(Wheel::open_arriving(&archive, &name.to_string())?),
        })
    }

    /// Waits until the wheels of a layer are there and verified; those that were read before get the whole of the checks
    /// now.
    fn settled(&self, part: &Part, arriving: &Arriving<'_>) -> anyhow::Result<()> {
        arriving.settle()?;
        let mut came = arriving.came();
        came.retain(|wheel| {
            part.packages
                .iter()
                .any(|package| package.name == wheel.selected.name)
        });
        let check = |file: &FetchedWheel| Wheel::check_arrived(&file.path, &file.file_name.to_string());
        parallel::map(&came, self.build.layers.threads, check)?;
        Ok(())
    }

    /// Writes a layer, and sees the objects in it as their bytes pass by. It is kept when its wheels are `settled`.
    fn write(
        &self,
        tree: &dyn Entries,
        (key, created_by): (&Digest, &str),
        settled: &dyn Fn() -> anyhow::Result<()>,
    ) -> anyhow::Result<(Layer, Vec<(TreePath, native::Elf)>)> {
        let build = self.build;
        let mut scan = Scan::new(tree);
        let layer = build.layer_step(created_by, |note| {
            note.cached(false);
            build.store.make_layer(key, created_by, |out| {
                let watch = build.environment.secrets.watch();
                let mut see = |bytes: &[u8]| scan.feed(bytes);
                let written = layer::write_seen(tree, &build.layers, watch, out, &mut see)?;
                settled()?;
                Ok(written)
            })
        })?;
        Ok((layer, scan.finish()?))
    }
}

/// Whether an error is of what was read and not of the system below: a full disk is not tried twice. Some libraries keep
/// of a system's error no more than its kind.
fn may_be_misread(error: &anyhow::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    let mut faults = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    faults.all(|fault| {
        let of_content = matches!(fault.kind(), InvalidData | InvalidInput | Other | UnexpectedEof);
        of_content && fault.raw_os_error().is_none()
    })
}

/// The objects of a layer with the distributions that they are of.
fn objects_of(found: Vec<(TreePath, native::Elf)>, owners: &Owners) -> Vec<Object> {
    let object = |(path, elf): (TreePath, native::Elf)| {
        let wheel = owners.get(&path).and_then(|name| name.split('-').next());
        Object::new(&path, wheel.unwrap_or_default(), elf)
    };
    found.into_iter().map(object).collect()
}

fn facts_key(layer: &Digest) -> Digest {
    Digest::of(format!("facts {FORMAT} of {layer}").as_bytes())
}

/// The files of a tree with the number of their wheel and half their SHA-256. RECORD has stated most of the hashes, and
/// whoever reads a file checks it.
fn listing(
    installed: &Installed<Laid>,
    names: &[String],
) -> anyhow::Result<BTreeMap<String, (usize, String)>> {
    let mut files = BTreeMap::new();
    for entry in installed.tree.each() {
        let (path, entry) = entry?;
        let Some(content) = entry.content() else { continue };
        let digest = match content {
            Content::Bytes(bytes) => Digest::of(bytes),
            Content::Member(member) => match &member.digest {
                Some(digest) if digest.algorithm() == Algorithm::Sha256 => digest.clone(),
                _ => Digest::of_reader(content.open()?)?.0,
            },
            Content::Path { .. } => Digest::of_reader(content.open()?)?.0,
        };
        let owner = installed.owners.get(&path);
        let wheel = owner.and_then(|owner| names.iter().position(|name| **name == **owner));
        files.insert(
            path.to_string(),
            (wheel.unwrap_or_default(), digest.hex()[..32].to_owned()),
        );
    }
    Ok(files)
}

/// Files of two layers at one path must be equal, as those of two wheels of one layer are.
fn check_conflicts(facts: &[Facts]) -> Result<(), wheel::Error> {
    let mut all: BTreeMap<&str, (&Facts, usize, &str)> = BTreeMap::new();
    let conflict = |path: &str, first: (&Facts, usize), second: (&Facts, usize)| {
        let name = |(facts, wheel): (&Facts, usize)| facts.wheels.get(wheel).cloned().unwrap_or_default();
        let path = TreePath::new(path);
        path.map_or(Ok(()), |path| {
            Err(wheel::Error::Conflict {
                path,
                first: name(first),
                second: name(second),
            })
        })
    };
    for layer in facts {
        for (path, (wheel, digest)) in layer.files.iter().flatten() {
            if let Some((other, owner, there)) = all.insert(path, (layer, *wheel, digest))
                && there != digest
            {
                return conflict(path, (other, owner), (layer, *wheel));
            }
        }
    }
    // A file where another layer has a directory.
    for (path, (layer, wheel, _)) in &all {
        let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
        for parent in parents {
            if let Some((other, owner, _)) = all.get(parent) {
                return conflict(parent, (other, *owner), (layer, *wheel));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(wheel: &str, files: &[(&str, &str)]) -> Facts {
        let files = files
            .iter()
            .map(|(path, digest)| ((*path).to_owned(), (0, (*digest).to_owned())));
        Facts {
            wheels: vec![wheel.to_owned()],
            files: Some(files.collect()),
            ..Facts::default()
        }
    }

    #[test]
    fn what_the_system_refuses_is_not_taken_for_what_was_misread() {
        let full = || io::Error::from_raw_os_error(28);
        let within = layer::Error::Write(io::Error::other(layer::Error::Write(full())));
        let garbled = io::Error::new(io::ErrorKind::InvalidData, "no such block");
        for (error, expected) in [
            (anyhow::Error::new(full()), false),
            (anyhow::Error::new(within), false),
            (
                anyhow::Error::new(io::Error::new(full().kind(), "of a file")),
                false,
            ),
            (anyhow::Error::new(layer::Error::Encode(garbled)), true),
            (anyhow::anyhow!("two wheels own one file"), true),
        ] {
            assert_eq!(may_be_misread(&error), expected, "{error:#}");
        }
    }

    #[test]
    fn one_path_in_two_layers_must_hold_the_same() {
        let one = facts(
            "one-1.whl",
            &[("deps/a/__init__.py", "0"), ("deps/a/one.py", "1")],
        );
        let same = facts("same-1.whl", &[("deps/a/__init__.py", "0"), ("deps/b", "2")]);
        check_conflicts(&[one.clone(), same.clone()]).unwrap();
        let other = facts("other-1.whl", &[("deps/a/one.py", "2")]);
        let below = facts("below-1.whl", &[("deps/b/c.py", "2")]);
        for (layers, message) in [([one, other], "one-1.whl"), ([same, below], "below-1.whl")] {
            let error = check_conflicts(&layers).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
