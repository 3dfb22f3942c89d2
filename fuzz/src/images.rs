//! Images of others: layouts, archives, configs; and recipes of bases.

use std::collections::BTreeMap;
use std::path::Path;

use pyoci::base::{self, Options, Recipe};
use pyoci::debian::{DEFAULT_MIRROR, Mirrors, Reuse};
use pyoci::digest::Digest;
use pyoci::image::{Base, BaseOrigin, Run, UserChoice, assemble, validate};
use pyoci::reference::{ImageReference, LayoutReference};
use pyoci::source::{self, DockerArchiveSource, Keep, LayoutSource, Source, archive_kind};
use pyoci::store::Store;

use super::{layers, scene};

/// Blobs of a layout in one text: `=== index.json`, `=== manifest`, `=== config`, `=== index` and `=== layer`. In each,
/// `@NAME@` stands for the digest of another, and `#NAME#` for its size.
pub fn layout(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let names = ["layer", "config", "manifest", "index", "index.json"];
    let files: BTreeMap<_, _> = scene::files(&text, &names).into_iter().collect();
    let directory = scene::directory();
    let root = directory.path().join("layout");
    let mut known: Vec<(String, String)> = Vec::new();
    // Each may refer to those before it.
    for name in names {
        let Some(text) = files.get(name) else { continue };
        let text = known
            .iter()
            .fold((*text).to_owned(), |text, (from, to)| text.replace(from, to));
        if name == "index.json" {
            scene::write(&root.join(name), text.as_bytes());
            continue;
        }
        let digest = Digest::of(text.as_bytes());
        scene::write(&root.join(digest.layout_name()), text.as_bytes());
        known.push((format!("@{name}@"), digest.to_string()));
        known.push((format!("#{name}#"), text.len().to_string()));
    }
    scene::write(&root.join("oci-layout"), b"{}");
    let place = LayoutReference::at(&root);
    if let Ok(source) = LayoutSource::open(&place) {
        look_at(&source);
        load(&ImageReference::Layout(place), directory.path());
    }
}

/// A tar of an image: as an archive of Docker's, and as one of a layout.
pub fn docker_archive(data: &[u8]) {
    for bytes in [data.to_vec(), layers::with_sums(data)] {
        let directory = scene::directory();
        let path = directory.path().join("image.tar");
        scene::write(&path, &bytes);
        let store = Store::open(&directory.path().join("store")).expect("a store");
        let _ = archive_kind(&path);
        let place = LayoutReference::at(&path);
        if let Ok(source) = DockerArchiveSource::open(&place, &store) {
            look_at(&source);
            load(&ImageReference::DockerArchive(place.clone()), directory.path());
        }
        if let Ok(source) = source::OciArchiveSource::open(&place, &store) {
            look_at(&source);
        }
    }
}

/// Everything that is asked of a source.
fn look_at(source: &dyn Source) {
    let platform = scene::target().platform;
    let _ = (source.place(), source.tag(), source::platforms(source));
    let _ = source::image(source, platform);
    if let Ok(closure) = source::closure(source) {
        for blob in closure.all() {
            let _ = blob.read_verified(1 << 20);
        }
    }
}

/// Takes an image as a base.
fn load(reference: &ImageReference, directory: &Path) {
    let options = Options {
        mirrors: Mirrors::new(&DEFAULT_MIRROR.parse().expect("a URL")),
        keyring: None,
        reuse: Reuse::Always,
        packages: None,
        digest: None,
        mtime: 0,
        threads: 1,
        keep: Keep::Nowhere,
    };
    let platform = scene::target().platform;
    scene::with_tools(directory, |tools| {
        let _ = base::load(reference, platform, tools, &options);
    });
}

/// The config of a base, under an image that is built on it.
pub fn config(data: &[u8]) {
    let Ok(config) = serde_json::from_slice(data) else {
        return;
    };
    let base = Base {
        layers: Vec::new(),
        config,
        platform: scene::target().platform,
        origin: BaseOrigin::Local {
            reference: "oci:x".to_owned(),
            digest: Digest::of(b""),
        },
        target: scene::target(),
        directory_links: BTreeMap::new(),
        users: BTreeMap::new(),
        has_shell: false,
    };
    if let Ok(Some(user)) = UserChoice::of_base(&base) {
        let _ = user.resolve(&base);
    }
    let run = Run {
        entrypoint: vec!["/app/run".to_owned()],
        env: [("A".to_owned(), "1".to_owned())].into(),
        path: vec!["/deps/bin".to_owned()],
        user: "1:1".to_owned(),
        working_directory: "/app".to_owned(),
        ..Run::default()
    };
    if let Ok(image) = assemble(&base, Vec::new(), &run, scene::NOW) {
        let valid = validate(&image);
        assert!(valid.is_ok(), "{valid:?}");
    }
}

/// The recipe of a base.
pub fn recipe(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Recipe::parse("fuzz", &text) {
        Ok(recipe) => {
            if let Ok(leave) = recipe.leave() {
                leave.leaves("usr/share/doc/a");
            }
            recipe.canonical();
        }
        Err(error) => drop((error.to_string(), error.hint())),
    }
}
