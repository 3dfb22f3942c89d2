//! One registry, one image in a layout, and the commands that move it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use pyoci::digest::Digest;
use serde_json::{Value, json};

use crate::support::{
    Access, Habits, IDENTITY, PASSWORD, Repository, Response, Run, Sandbox, StrictRegistry, TokenAccess,
    USER, contents, run,
};

/// The size of the image's layer in bytes, where nothing else is said.
pub const LAYER: usize = 300_000;

/// A sandbox with an image, and a registry.
pub struct Scene {
    pub sandbox: Sandbox,
    pub registry: StrictRegistry,
    /// What a repository holds that has the image under the tag `1`.
    pub image: Repository,
    /// The digest of the image's layer.
    pub layer: String,
}

impl Scene {
    /// An empty registry and an image of usual size.
    pub fn new(habits: Habits) -> Self {
        Self::sized(habits, LAYER)
    }

    /// The same with a layer of so many bytes.
    pub fn sized(habits: Habits, layer: usize) -> Self {
        let sandbox = Sandbox::cold();
        let (image, layer) = image(&sandbox.path("image"), &noise(layer));
        Self {
            sandbox,
            registry: StrictRegistry::with(habits),
            image,
            layer,
        }
    }

    /// The same with the image in the registry as `a/b:1`, and another as `a/b:old`.
    pub fn filled(habits: Habits) -> Self {
        let scene = Self::new(habits);
        scene.fill();
        scene
    }

    /// A registry before another that has its content.
    pub fn before(storage: &StrictRegistry, habits: Habits) -> Self {
        let mut scene = Self::new(Habits::default());
        scene.registry = storage.twin_with(habits);
        scene
    }

    /// Puts the image into the registry.
    pub fn fill(&self) {
        let mut all = self.image.clone();
        let (old, _) = image(&self.sandbox.path("old"), b"old");
        all.blobs.extend(old.blobs);
        all.manifests.extend(old.manifests);
        all.tags.insert("old".to_owned(), old.tags["1"].clone());
        *self.registry.content().repository("a/b") = all;
    }

    /// `pyoci`, with a home and an auth file of its own.
    pub fn pyoci(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.pyoci();
        command
            .env("HOME", self.sandbox.path("home"))
            .env("REGISTRY_AUTH_FILE", self.sandbox.path("auth.json"))
            .env_remove("XDG_CONFIG_HOME")
            .args(arguments);
        command
    }

    /// Pushes the image as `a/b:1`.
    #[track_caller]
    pub fn push(&self) -> Run {
        run(&mut self.pyoci(&["push", "oci:image:1", &self.registry.reference("a/b:1")]))
    }

    /// Pulls `a/b:1` to `out`.
    #[track_caller]
    pub fn pull(&self) -> Run {
        self.pull_as("a/b:1")
    }

    /// Pulls something to `out`.
    #[track_caller]
    pub fn pull_as(&self, name: &str) -> Run {
        run(&mut self.pyoci(&["pull", &self.registry.reference(name), "-o", "out"]))
    }

    /// Pushes, and checks that the registry has exactly the image then.
    #[track_caller]
    pub fn pushes(&self) -> Run {
        let pushed = self.push().succeeded();
        let digest = &self.image.tags["1"];
        let repository = self.registry.reference("a/b");
        assert_eq!(pushed.stdout, format!("{repository}@{digest}\n"));
        assert!(*self.registry.content().repository("a/b") == self.image);
        self.registry.assert_obeyed();
        pushed
    }

    /// Pulls, and checks that the layout is the image then.
    #[track_caller]
    pub fn pulls(&self) -> Run {
        let pulled = self.pull().succeeded();
        self.assert_out();
        self.registry.assert_obeyed();
        pulled
    }

    /// Fails unless `out` has exactly the image's blobs.
    #[track_caller]
    pub fn assert_out(&self) {
        let [out, image] = ["out", "image"].map(|name| {
            let directory = self.sandbox.path(name);
            let blobs = contents(&directory.join("blobs")).into_iter();
            let relative = |path: PathBuf| path.strip_prefix(&directory).unwrap().to_owned();
            blobs
                .map(|(path, bytes)| (relative(path), bytes))
                .collect::<BTreeMap<_, _>>()
        });
        assert!(out == image, "{:?} {:?}", out.keys(), image.keys());
    }

    /// Pulls, and checks that it fails cleanly and leaves the layout that was there; what was said.
    #[track_caller]
    pub fn refuses_to_pull(&self, name: &str) -> String {
        image(&self.sandbox.path("old"), b"old");
        run(&mut self.pyoci(&["pull", "oci:old:1", "-o", "out"])).succeeded();
        let before = contents(&self.sandbox.path("out"));
        let error = clean_error(self.pull_as(name));
        assert!(before == contents(&self.sandbox.path("out")), "{error}");
        self.registry.assert_obeyed();
        error
    }

    /// Pushes, and checks that it fails cleanly and changes no tag; what was said.
    #[track_caller]
    pub fn refuses_to_push(&self) -> String {
        let error = clean_error(self.push());
        let mut content = self.registry.content();
        assert_eq!(content.repository("a/b").tags.get("1"), None, "{error}");
        drop(content);
        self.registry.assert_obeyed();
        error
    }

    /// Writes the auth file.
    pub fn log_in(&self, entry: Value) {
        let host = self.registry.address.to_string();
        let mut auths = json!({ "auths": {} });
        auths["auths"][host] = entry;
        self.sandbox.write("auth.json", &auths.to_string());
    }

    /// The path of the layer's blob, as rules take it.
    pub fn blob_path(&self) -> String {
        format!("=/v2/a/b/blobs/{}", self.layer)
    }

    /// The layer.
    pub fn layer_bytes(&self) -> &[u8] {
        &self.image.blobs[&self.layer]
    }
}

/// The user's name and password.
pub fn password() -> Value {
    let pair = format!("{USER}:{PASSWORD}");
    json!({ "auth": base64::engine::general_purpose::STANDARD.encode(pair) })
}

/// A registry that wants tokens, with plain habits otherwise.
pub fn tokens(access: TokenAccess) -> Habits {
    Habits {
        access: Access::Token(access),
        ..Habits::default()
    }
}

/// An answer with a status and one header.
pub fn answer(status: u16, headers: &[(&str, &str)]) -> Response {
    let response = Response::new(status);
    headers
        .iter()
        .fold(response, |r, (name, value)| r.header(name, *value))
}

/// What was said, after a check that it is one error as people should see it, without secrets.
#[track_caller]
pub fn clean_error(run: Run) -> String {
    let Run { stdout, stderr, .. } = run.failed_with(1);
    assert_eq!(stdout, "", "{stderr}");
    let errors = stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "{stderr}");
    for unwanted in [
        "panicked",
        "RUST_BACKTRACE",
        "session=",
        PASSWORD,
        IDENTITY,
        "token-",
        "_state",
    ] {
        assert!(!stderr.contains(unwanted), "{stderr}");
    }
    stderr
}

/// Tests each case side by side: most of their time is spent waiting for the next try.
pub fn each<T: Send>(cases: impl IntoIterator<Item = T>, test: impl Fn(T) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            let test = &test;
            scope.spawn(move || test(case));
        }
    });
}

/// Bytes that nothing compresses, the same each time.
pub fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Writes a layout with the tag `1`; what a repository with the image holds, and the layer's digest.
pub fn image(directory: &Path, layer: &[u8]) -> (Repository, String) {
    let digest = |bytes: &[u8]| Digest::of(bytes).to_string();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [digest(layer)] },
    });
    let config = config.to_string().into_bytes();
    let of = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": pyoci::image::MANIFEST,
        "config": of(pyoci::image::CONFIG, &config),
        "layers": [of("application/vnd.oci.image.layer.v1.tar", layer)],
    });
    // Spelled in a way of its own: bytes are kept.
    let manifest = serde_json::to_vec_pretty(&manifest).unwrap();
    let mut repository = Repository::default();
    for blob in [layer, &config] {
        repository.blobs.insert(digest(blob), blob.to_vec());
    }
    let held = (pyoci::image::MANIFEST.to_owned(), manifest.clone());
    repository.manifests.insert(digest(&manifest), held);
    repository.tags.insert("1".to_owned(), digest(&manifest));

    let blobs = directory.join("blobs/sha256");
    fs_err::create_dir_all(&blobs).unwrap();
    for blob in [layer, &config, &manifest] {
        fs_err::write(blobs.join(Digest::of(blob).hex()), blob).unwrap();
    }
    let mut entry = of(pyoci::image::MANIFEST, &manifest);
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "1" });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    fs_err::write(directory.join("index.json"), index.to_string()).unwrap();
    fs_err::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    (repository, digest(layer))
}
