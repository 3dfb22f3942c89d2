//! Rebasing: the layers that pyoci added, on another base. Nothing is built again.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::record::{LayerKind, Record};
use super::{Base, Error, Image, Run, assemble};
use crate::layer::Layer;
use crate::python::{Libc, Target};

/// An image as it was read: what rebasing starts from.
#[derive(Clone, Copy, Debug)]
pub struct Built<'a> {
    /// Its manifest.
    pub manifest: &'a Value,
    /// Its config.
    pub config: &'a Value,
    /// All its layers, lowest first.
    pub layers: &'a [Layer],
}

/// Why layers do not fit another base.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Misfit {
    /// Wheels and byte-code are for one minor version.
    #[error("the image was built for Python {built}, the new base has {new}")]
    Python {
        /// Of the image.
        built: String,
        /// Of the base.
        new: String,
    },
    /// Another CPU or operating system.
    #[error("the image was built for {built}, the new base is for {new}")]
    Platform {
        /// Of the image.
        built: String,
        /// Of the base.
        new: String,
    },
    /// Another C library, or an older one.
    #[error("the image was built for {built}, the new base has {new}")]
    Libc {
        /// Of the image.
        built: Libc,
        /// Of the base.
        new: Libc,
    },
    /// Scripts name the interpreter by its path.
    #[error("scripts of the image start {built}, the interpreter of the new base is {new}")]
    Interpreter {
        /// Of the image.
        built: String,
        /// Of the base.
        new: String,
    },
    /// A directory of the image is a symbolic link in the new base.
    #[error("/{0} is a symbolic link in the new base")]
    Link(String),
}

/// Puts the layers of an image on a new base. The result is the image that a build on that base would have given.
/// Byte-code of the old base's standard library is left out: it belongs to that base. So do Debian packages that were
/// added to it: `packages` is the layer of the same over the new base, if it lacks any of them.
pub fn rebase(built: Built, record: &Record, base: &Base, packages: Option<Layer>) -> Result<Image, Error> {
    fits(&record.target, &base.target)?;
    let count = record.layers.len();
    let own = built
        .layers
        .len()
        .checked_sub(count)
        .ok_or_else(|| Error::BaseConfig(format!("its record tells of {count} layers")))?;
    let added: Vec<_> = record.layers.iter().zip(&built.layers[own..]).collect();
    let kept = added
        .into_iter()
        .filter(|(kind, _)| !matches!(kind, LayerKind::StandardLibrary | LayerKind::Packages));
    let kept = kept.map(|(kind, layer)| (*kind, layer.clone()));
    let packages = packages.map(|layer| (LayerKind::Packages, layer));
    let (kinds, layers): (Vec<_>, Vec<_>) = packages.into_iter().chain(kept).unzip();
    check_links(base)?;
    let mut run = run_of(built, record)?;
    let asked = record.packages.clone();
    let mut record = Record::new(&run, &base.target, kinds);
    record.packages = asked;
    run.labels
        .insert(super::record::LABEL.to_owned(), record.label()?);
    assemble(base, layers, &run, created(built.config)?)
}

/// Whether what was built for one Target runs on another.
pub fn fits(built: &Target, new: &Target) -> Result<(), Misfit> {
    if built.platform != new.platform {
        let (built, new) = (built.platform.to_string(), new.platform.to_string());
        return Err(Misfit::Platform { built, new });
    }
    if built.python != new.python {
        let (built, new) = (built.python_minor(), new.python_minor());
        return Err(Misfit::Python { built, new });
    }
    // Symbols of a C library are never taken away: a newer one runs what was built for an older one.
    let newer = match (built.libc, new.libc) {
        (Libc::Glibc { major, minor }, Libc::Glibc { major: m, minor: n })
        | (Libc::Musl { major, minor }, Libc::Musl { major: m, minor: n }) => (m, n) >= (major, minor),
        _ => false,
    };
    if !newer {
        let (built, new) = (built.libc, new.libc);
        return Err(Misfit::Libc { built, new });
    }
    if built.interpreter != new.interpreter {
        let (built, new) = (built.interpreter.clone(), new.interpreter.clone());
        return Err(Misfit::Interpreter { built, new });
    }
    Ok(())
}

/// The layers were laid out for directories: a link in the new base would be replaced by them.
fn check_links(base: &Base) -> Result<(), Misfit> {
    let ours = ["app", "deps", "home", "home/nonroot"];
    let link = base
        .directory_links
        .keys()
        .find(|path| ours.contains(&path.as_str()));
    link.map_or(Ok(()), |path| Err(Misfit::Link(path.to_string())))
}

/// How the image runs, without what its old base gave it.
fn run_of(built: Built, record: &Record) -> Result<Run, Error> {
    let settings = built.config.get("config").unwrap_or(&Value::Null);
    let wrong = |what: &str| Error::BaseConfig(format!("`{what}` is not what pyoci writes"));
    let texts = |name: &str| -> Result<Vec<String>, Error> {
        let list = settings
            .get(name)
            .and_then(Value::as_array)
            .ok_or_else(|| wrong(name))?;
        list.iter()
            .map(|v| v.as_str().map(str::to_owned).ok_or_else(|| wrong(name)))
            .collect()
    };
    let text = |name: &str| {
        let text = settings.get(name).and_then(Value::as_str);
        text.map(str::to_owned).ok_or_else(|| wrong(name))
    };
    let env = texts("Env")?;
    let env = env.iter().filter_map(|e| e.split_once('='));
    Ok(Run {
        entrypoint: texts("Entrypoint")?,
        env: env
            .filter(|(name, _)| record.env.contains(*name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        path: record.path.clone(),
        user: text("User")?,
        working_directory: text("WorkingDir")?,
        ports: record.ports.clone(),
        labels: strings(settings.get("Labels"), |name| record.labels.contains(name)),
        annotations: strings(built.manifest.get("annotations"), |name| {
            !super::assemble::is_of_base(name)
        }),
    })
}

fn strings(object: Option<&Value>, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let object = object.and_then(Value::as_object).into_iter().flatten();
    object
        .filter(|(name, _)| wanted(name))
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// `created` of the config, in seconds since 1970.
fn created(config: &Value) -> Result<u64, Error> {
    let text = config.get("created").and_then(Value::as_str).unwrap_or_default();
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .and_then(|time| time.unix_timestamp().try_into().ok())
        .ok_or_else(|| Error::BaseConfig("`created` is not a time".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::record::LABEL;
    use super::super::testing::{tiny_base, tiny_layer, tiny_run};
    use super::*;
    use crate::digest::Digest;
    use crate::image::BaseOrigin;

    /// An image as a build makes it.
    fn build(base: &Base, kinds: &[LayerKind]) -> Image {
        let mut run = tiny_run();
        run.labels.insert("own".to_owned(), "label".to_owned());
        run.annotations.insert("own".to_owned(), "annotation".to_owned());
        run.ports.insert("80/tcp".to_owned());
        let record = Record::new(&run, &base.target, kinds.to_vec());
        run.labels.insert(LABEL.to_owned(), record.label().unwrap());
        let layers = kinds
            .iter()
            .map(|kind| tiny_layer(&format!("{kind:?}")))
            .collect();
        assemble(base, layers, &run, 86_400).unwrap()
    }

    fn new_base() -> Base {
        let mut base = tiny_base();
        base.layers = vec![tiny_layer("new base")];
        base.config["config"]["Env"] = serde_json::json!(["PATH=/new/bin", "NEW=1"]);
        base.origin = BaseOrigin::Registry {
            name: "docker.io/library/python:3.13-slim".to_owned(),
            digest: Digest::of(b"new"),
        };
        base.target.python_full = Some("3.13.9".to_owned());
        base
    }

    fn rebased(image: &Image, base: &Base) -> Result<Image, Error> {
        let json = |blob: &crate::blob::Blob| serde_json::from_slice(&blob.read_verified(100_000).unwrap());
        let (manifest, config): (Value, Value) =
            (json(&image.manifest).unwrap(), json(&image.config).unwrap());
        let built = Built {
            manifest: &manifest,
            config: &config,
            layers: &image.layers,
        };
        rebase(built, &Record::of(&config)?, base, None)
    }

    #[test]
    fn the_result_is_what_a_build_on_the_new_base_gives() {
        let kinds = [LayerKind::Dependencies, LayerKind::App];
        let image = rebased(&build(&tiny_base(), &kinds), &new_base()).unwrap();
        assert_eq!(
            image.manifest.descriptor,
            build(&new_base(), &kinds).manifest.descriptor
        );
        super::super::validate(&image).unwrap();
    }

    #[test]
    fn byte_code_of_the_old_standard_library_stays_behind() {
        let with = [
            LayerKind::StandardLibrary,
            LayerKind::Dependencies,
            LayerKind::App,
        ];
        let image = rebased(&build(&tiny_base(), &with), &new_base()).unwrap();
        let without = build(&new_base(), &with[1..]);
        assert_eq!(image.manifest.descriptor, without.manifest.descriptor);
    }

    #[test]
    fn a_base_that_does_not_fit_is_refused_with_the_reason() {
        let image = build(&tiny_base(), &[LayerKind::App]);
        let with = |change: &dyn Fn(&mut Target)| {
            let mut base = new_base();
            change(&mut base.target);
            rebased(&image, &base).unwrap_err().to_string()
        };
        let reason = with(&|t| t.python = (3, 11));
        assert_eq!(
            reason,
            "the image was built for Python 3.13, the new base has 3.11"
        );
        let reason = with(&|t| t.libc = Libc::Glibc { major: 2, minor: 36 });
        assert_eq!(
            reason,
            "the image was built for glibc 2.41, the new base has glibc 2.36"
        );
        assert!(with(&|t| t.libc = Libc::Musl { major: 1, minor: 2 }).contains("musl"));
        assert!(with(&|t| t.platform = "linux/arm64".parse().unwrap()).contains("linux/arm64"));
        assert!(with(&|t| t.interpreter = "/usr/local/bin/python3".to_owned()).contains("/usr/local"));
        let newer = Libc::Glibc { major: 2, minor: 42 };
        let mut base = new_base();
        base.target.libc = newer;
        rebased(&image, &base).unwrap();
    }

    #[test]
    fn an_image_of_somebody_else_is_refused() {
        let image = assemble(&tiny_base(), vec![tiny_layer("x")], &tiny_run(), 0).unwrap();
        assert!(matches!(rebased(&image, &new_base()), Err(Error::NoRecord)));
    }
}
