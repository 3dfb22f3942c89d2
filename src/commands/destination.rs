//! Where images go: every form of `-o`, `--push` and `--load`.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::Error;
use super::engine::Engine;
use crate::environment::Environment;
use crate::image::Closure;
use crate::reference::{
    ImageReference, LayoutReference, RegistryReference, Repository, check_tag, has_transport,
};
use crate::sink::layout::{self, LeftOut, Mode};
use crate::sink::registry::Pushed;
use crate::sink::{docker_archive, oci_archive, registry};
use crate::store::Kind;
use crate::timings::Note;
use crate::tools::Tools;

/// The tag of an image that was given none, as podman and docker have it.
const DEFAULT_TAG: &str = "latest";

/// What an image is called where its destination does not say.
#[derive(Clone, Debug)]
pub struct Naming {
    /// The name without a tag; docker archives and engines need one.
    pub name: String,
    /// The tags that were asked for.
    pub tags: Vec<String>,
}

/// One place that an image is written to.
#[derive(Debug)]
pub struct Destination {
    /// As it was said.
    text: String,
    /// Under which names: tags, or for docker archives and engines references with tags. At least one.
    names: Vec<String>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Layout { directory: PathBuf, mode: Mode },
    OciArchive(PathBuf),
    DockerArchive(PathBuf),
    Registry(RegistryReference),
    Engine(Engine),
}

/// What became of an image at a destination.
#[derive(Debug)]
pub struct Written {
    /// The destination, as it was said.
    pub text: String,
    /// The names that the image has there.
    pub names: Vec<String>,
    /// Where it went to a registry: the repository, and what was moved.
    pub pushed: Option<(Repository, Pushed)>,
}

impl Destination {
    /// `-o`: a directory (its layout is replaced), or a transport and a place.
    pub fn output(text: &str, naming: &Naming, environment: &Environment) -> anyhow::Result<Self> {
        let at = |path: &std::path::Path| environment.working_directory.join(path);
        let reference = if has_transport(text) {
            text.parse()?
        } else {
            let place = Place::Layout {
                directory: at(text.as_ref()),
                mode: Mode::Replace,
            };
            return Ok(Self::new(text, tags(None, naming)?, place));
        };
        match reference {
            ImageReference::Layout(LayoutReference { path, tag }) => {
                let place = Place::Layout {
                    directory: at(&path),
                    mode: Mode::Add,
                };
                Ok(Self::new(text, tags(tag, naming)?, place))
            }
            ImageReference::OciArchive(LayoutReference { path, tag }) => {
                Ok(Self::new(text, tags(tag, naming)?, Place::OciArchive(at(&path))))
            }
            ImageReference::DockerArchive(LayoutReference { path, tag }) => {
                let names = full_names(tag.as_deref(), naming)?;
                Ok(Self::new(text, names, Place::DockerArchive(at(&path))))
            }
            ImageReference::Registry(reference) => Self::registry(text, reference, naming),
            ImageReference::Recipe(_) => Err(Error::Destination(text.to_owned()).into()),
        }
    }

    /// `--push`: a repository of a registry, with or without `docker://` in front.
    pub fn push(text: &str, naming: &Naming) -> anyhow::Result<Self> {
        match text.parse()? {
            ImageReference::Registry(reference) => Self::registry(text, reference, naming),
            _ => Err(Error::NotRegistry(text.to_owned()).into()),
        }
    }

    /// `--load`: the engine of this machine. `name` goes over the image's own.
    pub fn load(name: Option<&str>, naming: &Naming, environment: &Environment) -> anyhow::Result<Self> {
        let engine = Engine::find(environment)?;
        let names = full_names(name, naming)?;
        Ok(Self::new(&engine.to_string(), names, Place::Engine(engine)))
    }

    fn registry(text: &str, reference: RegistryReference, naming: &Naming) -> anyhow::Result<Self> {
        if reference.digest.is_some() {
            return Err(Error::DigestGiven(text.to_owned()).into());
        }
        let names = tags(reference.tag.clone(), naming)?;
        Ok(Self::new(text, names, Place::Registry(reference)))
    }

    fn new(text: &str, mut names: Vec<String>, place: Place) -> Self {
        names.sort();
        names.dedup();
        Self {
            text: text.to_owned(),
            names,
            place,
        }
    }

    /// Fails if the image cannot be written there: a cheap look before the work begins.
    pub fn check(&self) -> anyhow::Result<()> {
        match &self.place {
            Place::Layout { directory, .. } => Ok(layout::check(directory)?),
            Place::OciArchive(file) => Ok(oci_archive::check(file)?),
            Place::DockerArchive(file) => Ok(docker_archive::check(file)?),
            Place::Registry(_) | Place::Engine(_) => Ok(()),
        }
    }

    /// The directory or file on this machine, absolute.
    pub fn path(&self) -> Option<&PathBuf> {
        match &self.place {
            Place::Layout { directory: path, .. } | Place::OciArchive(path) | Place::DockerArchive(path) => {
                Some(path)
            }
            Place::Registry(_) | Place::Engine(_) => None,
        }
    }

    /// Whether it is a layout, which may lack blobs that a registry has.
    pub fn is_layout(&self) -> bool {
        matches!(self.place, Place::Layout { .. })
    }

    /// The place in a registry, if it is one.
    pub fn registry_reference(&self) -> Option<&RegistryReference> {
        match &self.place {
            Place::Registry(reference) => Some(reference),
            _ => None,
        }
    }

    /// Whether it is a registry, which takes blobs from where they are.
    pub fn is_registry(&self) -> bool {
        matches!(self.place, Place::Registry(_))
    }

    /// Writes the image there and says so; layouts without what is left out.
    pub fn write(
        &self,
        image: &Closure,
        left_out: Option<&LeftOut>,
        tools: &Tools,
    ) -> anyhow::Result<Written> {
        let timings = tools.progress.timings();
        let written = timings.measure("write", &self.to_string(), |note| {
            self.write_noted(image, left_out, tools, note)
        });
        if let Err(error) = &written
            && let Some(crate::sink::Error::Blob { digest, .. }) = error.downcast_ref()
        {
            // If it is the cache's that is damaged, the next build makes it anew.
            let _ = tools.store.find(Kind::Blob, digest);
        }
        written
    }

    fn write_noted(
        &self,
        image: &Closure,
        left_out: Option<&LeftOut>,
        tools: &Tools,
        note: &mut Note,
    ) -> anyhow::Result<Written> {
        let mut pushed = None;
        match &self.place {
            Place::Layout { directory, mode } => {
                let options = layout::Options {
                    mode: *mode,
                    left_out: left_out.cloned(),
                    progress: tools.progress.clone(),
                };
                let bytes = layout::write(image, directory, &self.names, &options)?;
                note.bytes(bytes);
                note.cached(bytes == 0);
            }
            Place::OciArchive(file) => oci_archive::write(image, file, &self.names)?,
            Place::DockerArchive(file) => docker_archive::write(image, file, &self.names)?,
            Place::Registry(place) => {
                let done = registry::write(image, place, &self.names, tools.registries, tools.progress)?;
                note.bytes(done.sent.bytes);
                pushed = Some((place.repository.clone(), done));
            }
            Place::Engine(engine) => engine.load(image, &self.names, tools)?,
        }
        if let Place::OciArchive(file) | Place::DockerArchive(file) = &self.place {
            note.bytes(fs_err::metadata(file)?.len());
        }
        let verb = match &self.place {
            Place::Registry(_) => "Pushed",
            Place::Engine(_) => "Loaded",
            _ => "Wrote",
        };
        let moved = pushed
            .as_ref()
            .map_or_else(String::new, |(_, pushed)| format!(", {}", moved(pushed)));
        tools
            .progress
            .done(verb, format!("{self} {}{moved}", image.digest()));
        Ok(Written {
            text: self.text.clone(),
            names: self.names.clone(),
            pushed,
        })
    }
}

/// What a push moved, as people read it.
fn moved(pushed: &Pushed) -> String {
    let part = |bytes: u64, how: &str| {
        let size = indicatif::DecimalBytes(bytes);
        (bytes > 0).then(|| format!("{size} {how}"))
    };
    let parts = [
        Some(format!("{} sent", indicatif::DecimalBytes(pushed.sent.bytes))),
        part(pushed.mounted.bytes, "mounted"),
        part(pushed.existing.bytes, "there already"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

impl Written {
    /// `REPOSITORY:TAG` for every tag, where it went to a registry.
    pub fn tagged(&self) -> Vec<String> {
        let Some((repository, _)) = &self.pushed else {
            return Vec::new();
        };
        self.names
            .iter()
            .map(|tag| format!("{repository}:{tag}"))
            .collect()
    }

    /// `REPOSITORY@DIGEST`, where it went to a registry.
    pub fn by_digest(&self) -> Option<String> {
        let (repository, pushed) = self.pushed.as_ref()?;
        Some(format!("{repository}@{}", pushed.digest))
    }

    /// As `--format json` tells it.
    pub fn json(&self) -> Value {
        let mut value = json!({ "destination": self.text, "names": self.names });
        if let Some((_, pushed)) = &self.pushed {
            let amount = |amount: &registry::Amount| json!({ "blobs": amount.blobs, "bytes": amount.bytes });
            value["reference"] = json!(self.by_digest());
            value["sent"] = amount(&pushed.sent);
            value["mounted"] = amount(&pushed.mounted);
            value["existing"] = amount(&pushed.existing);
        }
        value
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.names.join(", "))
    }
}

/// The tag of the destination and those that were asked for.
fn tags(own: Option<String>, naming: &Naming) -> anyhow::Result<Vec<String>> {
    let mut tags: Vec<String> = own.into_iter().chain(naming.tags.iter().cloned()).collect();
    if tags.is_empty() {
        tags.push(DEFAULT_TAG.to_owned());
    }
    for tag in &tags {
        check_tag(tag)?;
    }
    Ok(tags)
}

/// `NAME:TAG` for every tag.
fn full_names(own: Option<&str>, naming: &Naming) -> anyhow::Result<Vec<String>> {
    let (name, tag) = match own {
        Some(text) => {
            // Parsed as a whole, so that what no engine would take is refused here.
            let reference: RegistryReference = text.parse()?;
            if reference.digest.is_some() {
                return Err(Error::DigestGiven(text.to_owned()).into());
            }
            let name = match &reference.tag {
                Some(tag) => text[..text.len() - tag.len() - 1].to_owned(),
                None => text.to_owned(),
            };
            (name, reference.tag)
        }
        None => (image_name(&naming.name), None),
    };
    let tags = tags(tag, naming)?;
    Ok(tags.into_iter().map(|tag| format!("{name}:{tag}")).collect())
}

/// A project's name as the name of an image: what repositories may not have becomes `-`.
fn image_name(name: &str) -> String {
    let part = |part: &str| {
        part.chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
    };
    let parts: Vec<_> = name
        .to_ascii_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .map(part)
        .filter(|part| !part.is_empty())
        .collect();
    if parts.is_empty() {
        "app".to_owned()
    } else {
        parts.join("-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(tags: &[&str]) -> Naming {
        Naming {
            name: "My_App".to_owned(),
            tags: tags.iter().map(|&t| t.to_owned()).collect(),
        }
    }

    fn environment() -> Environment {
        Environment::new([], "/work".into(), std::time::SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn every_destination_gets_the_names_that_it_takes() {
        for (text, tags, names) in [
            ("image", &[][..], &["latest"][..]),
            ("image", &["2", "1", "2"], &["1", "2"]),
            ("oci:image:1", &["2"], &["1", "2"]),
            ("oci-archive:a.tar", &[], &["latest"]),
            ("docker-archive:a.tar", &["1"], &["my-app:1"]),
            (
                "docker-archive:a.tar:ghcr.io:443/me/app:3",
                &[],
                &["ghcr.io:443/me/app:3"],
            ),
            ("docker-archive:a.tar:me/app", &["1"], &["me/app:1"]),
            ("docker://ghcr.io/me/app", &["1"], &["1"]),
            ("docker://ghcr.io/me/app:3", &["1"], &["1", "3"]),
        ] {
            let destination = Destination::output(text, &naming(tags), &environment()).unwrap();
            assert_eq!(destination.names, names, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_written_to_is_refused() {
        for text in [
            "recipe:trixie",
            "docker://x/y@sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "docker-archive:a.tar:UPPER",
        ] {
            assert!(
                Destination::output(text, &naming(&[]), &environment()).is_err(),
                "{text}"
            );
        }
        assert!(Destination::push("oci:x", &naming(&[])).is_err());
    }
}
