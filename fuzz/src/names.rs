//! Values that parse once: image references, digests, platforms, paths, users, names of files and packages.

use std::fmt::Display;
use std::str::FromStr;

use pyoci::digest::Digest;
use pyoci::image::UserChoice;
use pyoci::paths::TreePath;
use pyoci::platform::Platform;
use pyoci::project::settings::Port;
use pyoci::python::{EntryPoint, ExtraName, PackageName, SdistFilename, Tags, WheelFilename};
use pyoci::reference::{ImageReference, RegistryReference};

use super::scene;

/// Each line as each kind of value: what parses is written so that it parses to the same.
pub fn names(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let tags = Tags::of(&scene::target());
    for line in text.lines().take(64) {
        round::<RegistryReference>(line);
        round::<ImageReference>(line);
        round::<Digest>(line);
        round::<Platform>(line);
        round::<TreePath>(line);
        round::<UserChoice>(line);
        round::<PackageName>(line);
        round::<ExtraName>(line);
        if let Ok(wheel) = line.parse::<WheelFilename>() {
            tags.compatibility(&wheel);
            assert_eq!(wheel.to_string(), line);
        }
        let name: PackageName = "a".parse().expect("a name");
        let _ = SdistFilename::parse(line, &name);
        let (name, reference) = line.split_once('=').unwrap_or((line, ""));
        let _ = EntryPoint::new(name, reference);
        path(line);
        let _ = line.parse::<Port>();
    }
}

/// What is written may say more than what was read (`:latest`), and then stays as it is.
fn round<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        let again = written.parse::<T>().map(|again| again.to_string());
        assert_eq!(again.ok().as_ref(), Some(&written), "{text}");
    }
}

/// Names of archives and links never lead out of a tree.
fn path(text: &str) {
    let inside = |path: &TreePath| {
        let ok = path.components().all(|part| !matches!(part, "" | "." | ".."));
        assert!(ok && !path.as_str().contains('\0'), "{path:?}");
    };
    if let Ok(Some(path)) = TreePath::from_tar_name(text) {
        inside(&path);
    }
    let from: TreePath = "a/b".parse().expect("a path");
    if let Some(path) = from.resolve_link(text) {
        inside(&path);
    }
    if let Ok(path) = from.join(text) {
        inside(&path);
        assert!(path.strip_prefix("a/b").is_some());
    }
}
