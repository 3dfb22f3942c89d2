//! The cases of `fastzip/malo`, each put into the place where pyoci reads such a thing.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use pyoci::digest::Digest;
use serde_json::json;

use super::traced::traced;
use crate::support::tarball::gzip;
use crate::support::{Sandbox, contents, layout};

/// A file of the corpus.
pub struct Case {
    /// `tar/accept/simple.tar`
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Where an archive is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    Sdist,
    Wheel,
    Layer,
    Images,
    Package,
}

impl Use {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sdist => "sdist",
            Self::Wheel => "wheel",
            Self::Layer => "layer",
            Self::Images => "images",
            Self::Package => "package",
        }
    }
}

impl Case {
    pub fn all() -> Vec<Self> {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_archives/malo");
        let all = contents(&top).into_iter();
        let named = all.map(|(path, bytes)| Self {
            name: path.strip_prefix(&top).unwrap().to_str().unwrap().to_owned(),
            bytes,
        });
        named.filter(|case| case.name.contains('/')).collect()
    }

    /// `tar`, `zip`, `deflate` or `zstd`.
    pub fn kind(&self) -> &str {
        self.name.split('/').next().unwrap()
    }

    /// `accept`, `iffy`, `malicious` or `reject`.
    pub fn set(&self) -> &str {
        self.name.split('/').nth(1).unwrap()
    }

    /// Where such a file is read.
    pub fn uses(&self) -> &'static [Use] {
        match self.kind() {
            "tar" => &[Use::Sdist, Use::Layer, Use::Images, Use::Package],
            "zip" => &[Use::Sdist, Use::Wheel],
            "deflate" => &[Use::Wheel, Use::Images],
            "zstd" => &[Use::Images, Use::Package],
            kind => panic!("no such kind: {kind}"),
        }
    }
}

/// A project, a base, and places for what is hostile.
pub struct Bench(pub Sandbox);

impl Bench {
    pub fn new() -> Self {
        let sandbox = Sandbox::with_base();
        sandbox.write("app/main.py", "print(1)\n");
        sandbox.write("app/wheels/.keep", "");
        Self(sandbox)
    }

    pub fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path(name);
        fs_err::write(&path, bytes).unwrap();
        path
    }

    /// Builds the project with one locked file; what is said.
    pub fn locked(&self, field: &str, file: &str, bytes: &[u8]) -> Result<(), String> {
        self.locked_as(("a", "1.0"), field, file, bytes)
    }

    /// The same with a file of any name and version. One that is to be built is not: there is no uv.
    pub fn locked_as(
        &self,
        (name, version): (&str, &str),
        field: &str,
        file: &str,
        bytes: &[u8],
    ) -> Result<(), String> {
        let path = self.put(&format!("app/wheels/{file}"), bytes);
        let text = format!(
            "lock-version = \"1.0\"\ncreated-by = \"test\"\n[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\n\
             {field}\nname = \"{file}\"\npath = \"wheels/{file}\"\nhashes.sha256 = \"{}\"\n",
            Digest::of(bytes).hex()
        );
        self.0.write("app/pylock.toml", &text);
        let said = self.build("oci:base");
        fs_err::remove_file(path).unwrap();
        fs_err::remove_file(self.0.path("app/pylock.toml")).unwrap();
        match said {
            // It was taken, and there is no uv to build it with.
            Err(said) if said.contains("cannot fetch uv") || said.contains("there is no uv") => Ok(()),
            said => said,
        }
    }

    pub fn sdist(&self, ending: &str, bytes: &[u8]) -> Result<(), String> {
        self.locked("[packages.sdist]", &format!("a-1.0{ending}"), bytes)
    }

    pub fn wheel(&self, bytes: &[u8]) -> Result<(), String> {
        self.locked("[[packages.wheels]]", "a-1.0-py3-none-any.whl", bytes)
    }

    pub fn build(&self, base: &str) -> Result<(), String> {
        let done = traced(
            &self.0,
            &["build", "app", "--base", base, "-o", "out", "--offline"],
        );
        if done.status == Some(0) {
            Ok(())
        } else {
            Err(done.stderr)
        }
    }

    /// Builds on a base with one more layer.
    pub fn layer(&self, bytes: &[u8], media_type: &str, diff_id: &Digest) -> Result<(), String> {
        self.add_layer(bytes, media_type, diff_id);
        self.build("oci:hostile")
    }

    /// Builds on a base with more layers, of which these are the tars.
    pub fn layers(&self, tars: &[Vec<u8>]) -> Result<(), String> {
        let all = tars
            .iter()
            .map(|tar| (&tar[..], pyoci::image::LAYER_TAR, Digest::of(tar)));
        self.add_layers(&all.collect::<Vec<_>>());
        self.build("oci:hostile")
    }

    /// Writes the layout `hostile`: the base with one more layer.
    pub fn add_layer(&self, bytes: &[u8], media_type: &str, diff_id: &Digest) {
        self.add_layers(&[(bytes, media_type, diff_id.clone())]);
    }

    fn add_layers(&self, more: &[(&[u8], &str, Digest)]) {
        let (base, to) = (self.0.path("base"), self.0.path("hostile"));
        let _ = fs_err::remove_dir_all(&to);
        fs_err::create_dir_all(to.join("blobs/sha256")).unwrap();
        for (path, content) in contents(&base) {
            fs_err::write(to.join(path.strip_prefix(&base).unwrap()), content).unwrap();
        }
        let put = |bytes: &[u8], media_type: &str| {
            let digest = Digest::of(bytes);
            fs_err::write(to.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
            json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
        };
        let mut index = layout::index(&base);
        let mut manifest = layout::document(&base, &index["manifests"][0]);
        let mut config = layout::document(&base, &manifest["config"]);
        let diff_ids = config["rootfs"]["diff_ids"].as_array_mut().unwrap();
        diff_ids.extend(more.iter().map(|(_, _, diff_id)| json!(diff_id)));
        manifest["config"] = put(config.to_string().as_bytes(), pyoci::image::CONFIG);
        let layers = manifest["layers"].as_array_mut().unwrap();
        layers.extend(more.iter().map(|(bytes, media_type, _)| put(bytes, media_type)));
        let mut entry = put(manifest.to_string().as_bytes(), pyoci::image::MANIFEST);
        entry["annotations"] = index["manifests"][0]["annotations"].clone();
        index["manifests"][0] = entry;
        fs_err::write(to.join("index.json"), index.to_string()).unwrap();
    }

    /// What is said of an archive of images; nothing if it is refused only for what it holds.
    pub fn images(&self, bytes: &[u8], holds: &str) -> Result<(), String> {
        self.put("images.tar", bytes);
        let done = traced(&self.0, &["pull", "docker-archive:images.tar", "-o", "copy"]);
        assert_ne!(done.status, Some(0));
        // Zeros are an archive without members.
        if done.stderr.contains(holds) || done.stderr.contains("has no manifest.json") {
            Ok(())
        } else {
            Err(done.stderr)
        }
    }

    /// What is said of a case in a place; nothing if it is read.
    pub fn says(&self, case: &Case, place: Use) -> Result<(), String> {
        let bytes = &case.bytes;
        match (case.kind(), place) {
            ("tar", Use::Sdist) => self.sdist(".tar.gz", &gzip(bytes)),
            ("tar", Use::Layer) => self.layer(bytes, pyoci::image::LAYER_TAR, &Digest::of(bytes)),
            ("tar", Use::Images) => self.images(bytes, "has no manifest.json"),
            ("zstd", Use::Images) => {
                let said = self.images(bytes, "is not a tar archive");
                // What does not begin as zstd is not taken for it, and is no tar.
                let frame = bytes.starts_with(b"\x28\xb5\x2f\xfd") || bytes[1..].starts_with(b"\x2a\x4d\x18");
                if frame {
                    said
                } else {
                    Err("it is not a tar archive".to_owned())
                }
            }
            ("deflate", Use::Images) => self.images(&gzip_with(bytes), "is not a tar archive"),
            ("tar", Use::Package) => package("data.tar", bytes),
            ("zstd", Use::Package) => match package("data.tar.zst", bytes) {
                // What is in it is no tar.
                Err(said) if said.contains("cut off") => Ok(()),
                said => said,
            },
            ("zip", Use::Sdist) => self.sdist(".zip", bytes),
            ("zip", Use::Wheel) => match self.wheel(bytes) {
                // A sound zip, and no wheel.
                Err(said) if said.contains(".dist-info directory") => Ok(()),
                said => said,
            },
            ("deflate", Use::Wheel) => self.wheel(&wheel_with(bytes)),
            (kind, place) => panic!("{kind} is not read as {place:?}"),
        }
    }
}

/// What a package says whose files are packed so.
pub fn package(name: &str, data: &[u8]) -> Result<(), String> {
    read_package(name, data).map(drop)
}

/// The package whose files are packed so.
pub fn read_package(name: &str, data: &[u8]) -> Result<pyoci::debian::Deb, String> {
    let control = crate::support::tarball::tar(&[crate::support::tarball::file(
        "./control",
        "Package: a\nVersion: 1\n",
    )]);
    let mut archive = b"!<arch>\n".to_vec();
    for (name, bytes) in [
        ("debian-binary", &b"2.0\n"[..]),
        ("control.tar", &control),
        (name, data),
    ] {
        writeln!(
            archive,
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`",
            0,
            0,
            0,
            "100644",
            bytes.len()
        )
        .unwrap();
        archive.extend(bytes);
        archive.resize(archive.len().next_multiple_of(2), b'\n');
    }
    let read = pyoci::debian::Deb::read(&archive[..], &|_| false);
    read.map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    })
}

/// What a DEFLATE stream gives up to its end or to where it breaks.
fn inflated(stream: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 1 << 20];
    let mut inflate = flate2::Decompress::new(false);
    let _ = inflate.decompress(stream, &mut out, flate2::FlushDecompress::Finish);
    out.truncate(usize::try_from(inflate.total_out()).unwrap());
    out
}

/// The stream as a gzip file.
fn gzip_with(stream: &[u8]) -> Vec<u8> {
    let plain = inflated(stream);
    let mut bytes = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    bytes.extend(stream);
    bytes.extend(crc32fast::hash(&plain).to_le_bytes());
    bytes.extend(u32::try_from(plain.len()).unwrap().to_le_bytes());
    bytes
}

/// A wheel with the stream as the data of one file, and all else right.
fn wheel_with(stream: &[u8]) -> Vec<u8> {
    let plain = inflated(stream);
    let mut members = vec![Member::new("a.bin", &plain)];
    members[0].packed = (8, stream.to_vec());
    wheel_of(members)
}

/// A member of a zip archive, made byte by byte.
pub struct Member {
    pub name: String,
    pub crc32: u32,
    pub size: u64,
    /// Compression method and bytes.
    pub packed: (u16, Vec<u8>),
    /// Its row of RECORD.
    pub hash: String,
}

impl Member {
    /// A member that is stored.
    pub fn new(name: &str, content: &[u8]) -> Self {
        use base64::Engine as _;
        use sha2::Digest as _;
        let hash = sha2::Sha256::digest(content);
        Self {
            name: name.to_owned(),
            crc32: crc32fast::hash(content),
            size: content.len() as u64,
            packed: (0, content.to_vec()),
            hash: base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash),
        }
    }
}

/// A wheel with these members and its `.dist-info`.
pub fn wheel_of(mut members: Vec<Member>) -> Vec<u8> {
    let info = "a-1.0.dist-info";
    let metadata = b"Metadata-Version: 2.1\nName: a\nVersion: 1.0\n";
    members.push(Member::new(&format!("{info}/METADATA"), metadata));
    let wheel = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    members.push(Member::new(&format!("{info}/WHEEL"), wheel));
    let rows = members
        .iter()
        .map(|m| format!("{},sha256={},{}\n", m.name, m.hash, m.size));
    let record = format!("{}{info}/RECORD,,\n", rows.collect::<String>());
    members.push(Member::new(&format!("{info}/RECORD"), record.as_bytes()));
    zip(&members)
}

/// A zip archive; sizes are in zip64 fields, as they may be large.
pub fn zip(members: &[Member]) -> Vec<u8> {
    let (mut locals, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let offset = locals.len() as u64;
        let (method, data) = &member.packed;
        let mut shared = [45_u16, 0, *method, 0, 0x21].map(u16::to_le_bytes).concat();
        shared.extend(member.crc32.to_le_bytes());
        shared.extend([0xff; 8]);
        shared.extend(u16::try_from(member.name.len()).unwrap().to_le_bytes());
        let sizes = [member.size, data.len() as u64].map(u64::to_le_bytes).concat();
        locals.extend(
            [
                b"PK\x03\x04",
                &shared[..],
                b"\x14\0",
                member.name.as_bytes(),
                b"\x01\0\x10\0",
                &sizes,
                data,
            ]
            .concat(),
        );
        directory.extend(
            [
                b"PK\x01\x02\x2d\x03",
                &shared[..],
                b"\x1c\0",
                &[0; 6],
                b"\0\0\xa4\x81",
                &[0xff; 4],
            ]
            .concat(),
        );
        directory.extend(
            [
                member.name.as_bytes(),
                b"\x01\0\x18\0",
                &sizes,
                &offset.to_le_bytes(),
            ]
            .concat(),
        );
    }
    let (count, size, offset) = (members.len() as u64, directory.len() as u64, locals.len() as u64);
    let mut end = [b"PK\x06\x06", &44_u64.to_le_bytes()[..], &[45, 3, 45, 0], &[0; 8]].concat();
    end.extend([count, count, size, offset].map(u64::to_le_bytes).concat());
    end.extend(
        [
            b"PK\x06\x07\0\0\0\0",
            &(offset + size).to_le_bytes()[..],
            b"\x01\0\0\0",
        ]
        .concat(),
    );
    end.extend([b"PK\x05\x06\0\0\0\0", &[0xff; 12][..], b"\0\0"].concat());
    [locals, directory, end].concat()
}
