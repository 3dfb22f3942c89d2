//! Tar files with any names and contents, right or wrong, and the forms that archives of images have had.

use std::io::Write as _;
use std::path::Path;

use pyoci::digest::Digest;
use serde_json::{Value, json};

use super::layout;

/// A member: its name as it stands in the header, and what it is.
pub enum Member {
    File(String, Vec<u8>),
    Directory(String),
    Symlink(String, String),
    HardLink(String, String),
    Pipe(String),
}

/// A regular file.
pub fn file(name: impl Into<String>, bytes: impl AsRef<[u8]>) -> Member {
    Member::File(name.into(), bytes.as_ref().to_vec())
}

/// The bytes of a tar with these members, whatever their names.
pub fn tar(members: &[Member]) -> Vec<u8> {
    let mut tar = Vec::new();
    for member in members {
        let (name, kind, link, bytes) = match member {
            Member::File(name, bytes) => (name, tar::EntryType::Regular, "", &bytes[..]),
            Member::Directory(name) => (name, tar::EntryType::Directory, "", &[][..]),
            Member::Symlink(name, target) => (name, tar::EntryType::Symlink, &target[..], &[][..]),
            Member::HardLink(name, target) => (name, tar::EntryType::Link, &target[..], &[][..]),
            Member::Pipe(name) => (name, tar::EntryType::Fifo, "", &[][..]),
        };
        tar.extend(header(name, kind, link, bytes.len() as u64));
        tar.extend(bytes);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// A header that may lie about what follows it.
pub fn header(name: &str, kind: tar::EntryType, link: &str, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// The bytes as one gzip member.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image in pieces: its config, and the plain tars of its layers.
pub struct Pieces {
    pub config: Vec<u8>,
    pub layers: Vec<Vec<u8>>,
}

impl Pieces {
    /// The only image of a layout, with an empty layer twice on top: Docker's archives have one file for both.
    pub fn of(directory: &Path) -> Self {
        let index = layout::index(directory);
        let manifest = layout::document(directory, &index["manifests"][0]);
        let mut config = layout::document(directory, &manifest["config"]);
        let mut layers = Vec::new();
        for layer in manifest["layers"].as_array().unwrap() {
            let mut tar = Vec::new();
            let bytes = layout::blob(directory, layer);
            std::io::copy(&mut flate2::read::MultiGzDecoder::new(&*bytes), &mut tar).unwrap();
            layers.push(tar);
        }
        layers.extend([vec![0; 1024], vec![0; 1024]]);
        let ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer)).collect();
        config["rootfs"]["diff_ids"] = json!(ids);
        Self {
            config: config.to_string().into_bytes(),
            layers,
        }
    }

    fn config_hex(&self) -> String {
        Digest::of(&self.config).hex()
    }

    /// Docker before 25: a directory for each layer, named by an id of its own, with `VERSION`, `json` and `layer.tar`;
    /// a layer that is there already is a link to it (moby v24, `image/tarexport/save.go`).
    pub fn docker_24(&self, tag: &str) -> Vec<Member> {
        self.with_links(tag, Member::Symlink, "../")
    }

    /// The same with hard links, as GNU tar makes them of such a directory that was packed again.
    pub fn hard_linked(&self, tag: &str) -> Vec<Member> {
        self.with_links(tag, Member::HardLink, "")
    }

    fn with_links(&self, tag: &str, link: fn(String, String) -> Member, up: &str) -> Vec<Member> {
        let mut members = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for (at, layer) in self.layers.iter().enumerate() {
            let id = Digest::of(format!("id {at}").as_bytes()).hex();
            members.push(Member::Directory(format!("{id}/")));
            members.push(file(format!("{id}/VERSION"), "1.0"));
            members.push(file(format!("{id}/json"), json!({ "id": id }).to_string()));
            let name = format!("{id}/layer.tar");
            let earlier = self.layers[..at].iter().position(|earlier| earlier == layer);
            members.push(match earlier {
                Some(earlier) => link(name.clone(), format!("{up}{}", names[earlier])),
                None => file(&name, layer),
            });
            names.push(name);
        }
        let config = format!("{}.json", self.config_hex());
        members.push(file(&config, &self.config));
        members.push(manifest(&config, &[tag], &names));
        members.push(file("repositories", r#"{"example":{"1":"0"}}"#));
        members
    }

    /// Docker 25 and later, with the image store that it had before containerd's: blobs by digest, layers not compressed,
    /// an image layout around them (moby v25, `image/tarexport/save.go`).
    pub fn docker_25(&self, tag: &str) -> Vec<Member> {
        let mut members = vec![
            Member::Directory("blobs/".to_owned()),
            Member::Directory("blobs/sha256/".to_owned()),
        ];
        let mut blob = |bytes: &[u8], media_type: &str| {
            let digest = Digest::of(bytes);
            let name = format!("blobs/sha256/{}", digest.hex());
            let known = |m: &Member| matches!(m, Member::File(other, _) if *other == name);
            if !members.iter().any(known) {
                members.push(file(name, bytes));
            }
            json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
        };
        let config = blob(&self.config, "application/vnd.oci.image.config.v1+json");
        let layer = "application/vnd.oci.image.layer.v1.tar";
        let layers: Vec<_> = self.layers.iter().map(|bytes| blob(bytes, layer)).collect();
        blob(br#"{"id":"0","os":"linux"}"#, "application/octet-stream");
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let document =
            json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers });
        let mut entry = blob(document.to_string().as_bytes(), media_type);
        entry["annotations"] = json!({ "io.containerd.image.name": format!("docker.io/library/{tag}") });
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry],
        });
        let name = |d: &Value| format!("blobs/{}", d["digest"].as_str().unwrap().replace(':', "/"));
        let layers: Vec<_> = layers.iter().map(name).collect();
        members.push(file("index.json", index.to_string()));
        members.push(manifest(&name(&config), &[tag], &layers));
        members.push(file("oci-layout", r#"{"imageLayoutVersion": "1.0.0"}"#));
        members.push(file("repositories", r#"{"example":{"1":"0"}}"#));
        members
    }

    /// Kaniko, ko and crane: layers compressed, named by their own digest, the config by its digest with the algorithm
    /// (go-containerregistry, `pkg/v1/tarball/write.go`).
    pub fn crane(&self, tag: &str) -> Vec<Member> {
        let config = format!("sha256:{}", self.config_hex());
        let mut members = vec![file(&config, &self.config)];
        let mut names: Vec<String> = Vec::new();
        for layer in &self.layers {
            let bytes = gzip(layer);
            let name = format!("{}.tar.gz", Digest::of(&bytes).hex());
            if !names.contains(&name) {
                members.push(file(&name, bytes));
            }
            names.push(name);
        }
        members.push(manifest(&config, &[tag], &names));
        members
    }
}

/// `manifest.json` for one image.
pub fn manifest(config: &str, tags: &[&str], layers: &[String]) -> Member {
    let entry = json!({ "Config": config, "RepoTags": tags, "Layers": layers });
    file("manifest.json", json!([entry]).to_string())
}
