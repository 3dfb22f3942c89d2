//! What a build reports: the digest, and everything behind it as JSON.

use serde_json::{Value, json};

use super::destination::Written;
use crate::digest::Digest;
use crate::image::{BaseOrigin, LayerKind};
use crate::layer::Layer;
use crate::platform::Platform;
use crate::timings::Timings;

/// The result of a build.
#[derive(Debug)]
pub struct Report {
    /// The digest of the manifest, or of the index where there are several platforms.
    pub digest: Digest,
    /// What became of it at each destination.
    pub written: Vec<Written>,
    /// What was built for each platform.
    pub platforms: Vec<PlatformReport>,
    /// How long each step took.
    pub timings: Timings,
}

/// What was built for one platform.
#[derive(Debug)]
pub struct PlatformReport {
    /// The platform.
    pub platform: Platform,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The base, as it was asked for or chosen.
    pub base: String,
    /// Where the base came from.
    pub origin: BaseOrigin,
    /// Python of the base, e.g. `3.13.5`.
    pub python: String,
    /// The layers of the base, the dependencies, the app, in this order.
    pub layers: Vec<(LayerKind, Layer)>,
    /// Name and version of each package in each layer of dependencies, in their order.
    pub packages: Vec<Vec<(String, String)>>,
    /// Name and version of each Debian package that was added to the base.
    pub debian: Vec<(String, String)>,
    /// The start command.
    pub command: Vec<String>,
    /// Why it is this one.
    pub reason: String,
    /// The user that it runs as.
    pub user: String,
}

/// What a layer holds, as `--format json` names it.
fn kind_name(kind: LayerKind) -> &'static str {
    match kind {
        LayerKind::Base => "base",
        LayerKind::Packages => "packages",
        LayerKind::StandardLibrary => "standard-library",
        LayerKind::Dependencies => "dependencies",
        LayerKind::AppData => "app-data",
        LayerKind::App => "app",
    }
}

impl Report {
    /// What is printed on stdout: the digest, or where the image can be had by it.
    pub fn lines(&self) -> Vec<String> {
        digest_lines(&self.digest, &self.written)
    }

    /// The report as JSON: what `--format json` prints.
    pub fn json(&self) -> Value {
        json!({
            "digest": self.digest,
            "destinations": self.written.iter().map(Written::json).collect::<Vec<_>>(),
            "platforms": self.platforms.iter().map(PlatformReport::json).collect::<Vec<_>>(),
            "timings": self.timings.json(),
        })
    }
}

/// `REPOSITORY@DIGEST` for each registry that has the image now; the digest alone if none has.
pub(super) fn digest_lines(digest: &Digest, written: &[Written]) -> Vec<String> {
    let references: Vec<String> = written.iter().filter_map(Written::by_digest).collect();
    if references.is_empty() {
        vec![digest.to_string()]
    } else {
        references
    }
}

impl PlatformReport {
    fn json(&self) -> Value {
        let listed = |packages: &[(String, String)]| {
            let package = |(name, version): &(String, String)| json!({ "name": name, "version": version });
            Value::Array(packages.iter().map(package).collect())
        };
        let mut packages = self.packages.iter();
        let layer = |(kind, layer): &(LayerKind, Layer)| {
            let descriptor = &layer.blob.descriptor;
            let mut value = json!({
                "kind": kind_name(*kind),
                "mediaType": descriptor.media_type,
                "digest": descriptor.digest,
                "diffId": layer.diff_id,
                "size": descriptor.size,
            });
            match kind {
                LayerKind::Dependencies => {
                    value["packages"] = listed(packages.next().map_or(&[], Vec::as_slice));
                }
                LayerKind::Packages => value["packages"] = listed(&self.debian),
                _ => {}
            }
            value
        };
        json!({
            "platform": self.platform.to_string(),
            "digest": self.digest,
            "base": { "reference": self.base, "origin": origin(&self.origin), "python": self.python },
            "layers": self.layers.iter().map(layer).collect::<Vec<_>>(),
            "start": { "command": self.command, "reason": self.reason },
            "user": self.user,
        })
    }
}

pub(super) fn origin(origin: &BaseOrigin) -> Value {
    match origin {
        BaseOrigin::Registry { name, digest } => json!({ "name": name, "digest": digest }),
        BaseOrigin::Local { reference, digest } => json!({ "reference": reference, "digest": digest }),
        BaseOrigin::Recipe { name, packages } => json!({ "recipe": name, "packages": packages }),
    }
}
