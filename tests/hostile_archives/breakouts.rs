//! What runtimes test that unpack layers: archives that lead out of their directory, and layers that hide and replace each
//! other. `breakouts.txt` tells them as members, and what pyoci makes of each.
//!
//! The cases are those of containerd 301026e (`pkg/archive/tar_test.go`, `TestBreakouts`), umoci f5d1219
//! (`oci/layer/tar_extract_test.go`, `tar_extract_linux_test.go`, `test/unpack.bats`, `test/hardening.bats`, CVE-2021-29136)
//! and moby/go-archive ae9e219 (`diff_test.go`); no code of theirs is here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyoci::base::files::{Files, Found};
use pyoci::blob::Blob;
use pyoci::digest::Digest;
use pyoci::layer::Layer;
use pyoci::tree::{Kind, Tree};

use super::cases::{Bench, read_package};
use super::policy::{reason, setting};
use crate::support::tarball::{Member, file, gzip, tar};
use crate::support::{Sandbox, contents, layout, lock, wheel};

/// A case of `breakouts.txt`.
struct Breakout {
    name: String,
    /// The tar of each layer.
    layers: Vec<Vec<u8>>,
    /// The tar of an archive of sources, in which no name may begin with `/`: what else is wrong is to be found.
    sources: Vec<u8>,
    /// What is to become of it, by where it is read.
    verdicts: BTreeMap<String, String>,
}

impl Breakout {
    fn all() -> Vec<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_archives/breakouts.txt");
        let text = fs_err::read_to_string(path).unwrap();
        let blocks = text
            .split("\n\n")
            .filter(|block| !block.trim_start().starts_with('#'));
        blocks.map(Self::parse).collect()
    }

    fn parse(block: &str) -> Self {
        let mut lines = block.trim().lines();
        let name = lines.next().unwrap().to_owned();
        let (mut layers, mut verdicts) = (vec![Vec::new()], BTreeMap::new());
        let mut sources = Vec::new();
        for line in lines {
            if let Some(line) = line.strip_prefix("  ? ") {
                let (place, verdict) = line.split_once(": ").unwrap();
                verdicts.insert(place.to_owned(), verdict.to_owned());
            } else if line.trim() == "---" {
                layers.push(Vec::new());
            } else {
                layers.last_mut().unwrap().push(member(line));
                sources.push(relative(member(line)));
            }
        }
        Self {
            name,
            layers: layers.iter().map(|members| tar(members)).collect(),
            sources: tar(&sources),
            verdicts,
        }
    }

    /// Whether a verdict is as it is written.
    fn fits(&self, place: &str, found: &str) -> bool {
        let expected = self.verdicts.get(place).map_or("", String::as_str);
        match expected.strip_prefix("refused, ") {
            Some(words) => found
                .strip_prefix("refused, ")
                .is_some_and(|said| said.contains(words)),
            None => found == expected,
        }
    }

    /// What a base of these layers holds in the end.
    fn as_layers(&self) -> String {
        let layers: Vec<_> = self.layers.iter().map(|tar| layer(tar)).collect();
        match Files::read(&layers) {
            Ok(files) => listing(&files),
            Err(error) => format!("refused, {error}"),
        }
    }

    /// What a package with these files holds.
    fn as_package(&self) -> String {
        match read_package("data.tar", &self.layers[0]) {
            Ok(deb) => tree_listing(&deb.tree),
            Err(said) => format!("refused, {said}"),
        }
    }
}

fn member(line: &str) -> Member {
    let line = format!(" {}", line.trim());
    let pair = |mark: &str| {
        let (name, rest) = line.split_once(mark)?;
        Some((name.trim().to_owned(), rest.trim().to_owned()))
    };
    if let Some((name, target)) = pair(" -> ") {
        Member::Symlink(name, target)
    } else if let Some((name, target)) = pair(" => ") {
        Member::HardLink(name, target)
    } else if let Some((name, text)) = pair(" =") {
        file(name, text)
    } else if let Some((name, _)) = pair(" |") {
        Member::Pipe(name)
    } else {
        assert!(line.ends_with('/'), "{line}");
        Member::Directory(line.trim().to_owned())
    }
}

/// The same without `/` in front of names.
fn relative(member: Member) -> Member {
    let plain = |name: String| name.trim_start_matches('/').to_owned();
    match member {
        Member::File(name, bytes) => Member::File(plain(name), bytes),
        Member::Directory(name) => Member::Directory(plain(name)),
        Member::Symlink(name, target) => Member::Symlink(plain(name), target),
        Member::HardLink(name, target) => Member::HardLink(plain(name), plain(target)),
        Member::Pipe(name) => Member::Pipe(plain(name)),
    }
}

fn layer(tar: &[u8]) -> Layer {
    Layer {
        blob: Blob::from_bytes(pyoci::image::LAYER_TAR, tar.to_vec()),
        diff_id: Digest::of(tar),
        created_by: String::new(),
    }
}

/// Every path in order, with what is kept of it; and that each is below directories only.
fn listing(files: &Files) -> String {
    let mut text = String::new();
    for (path, found) in files.iter() {
        for parent in path.parents() {
            assert_eq!(
                files.get(&parent),
                Some(&Found::Directory),
                "{path} is below {parent}"
            );
        }
        let _ = match found {
            Found::Directory => write!(text, "{path}/ "),
            Found::Link(target) => write!(text, "{path}->{target} "),
            Found::File(noted) => match &noted.text {
                Some(content) => write!(text, "{path}={content} "),
                None => write!(text, "{path} "),
            },
            Found::Other => write!(text, "{path}| "),
        };
    }
    if text.is_empty() {
        "nothing".to_owned()
    } else {
        text.trim_end().to_owned()
    }
}

fn tree_listing(tree: &Tree) -> String {
    let mut text = String::new();
    for (path, entry) in tree.iter() {
        let _ = match &entry.kind {
            Kind::Directory => write!(text, "{path}/ "),
            Kind::Symlink(target) => write!(text, "{path}->{target} "),
            Kind::File(content) => {
                let bytes = content.read(4096).unwrap();
                write!(text, "{path}={} ", String::from_utf8(bytes).unwrap())
            }
        };
    }
    text.trim_end().to_owned()
}

/// Whether what is found is printed, in the form of `breakouts.txt`, in the place of being compared.
fn prints() -> bool {
    setting("PYOCI_CORPUS") == "print"
}

#[test]
fn layers_and_packages_that_lead_out_stay_inside_or_are_refused() {
    let cases = Breakout::all();
    assert_eq!(cases.len(), CASES, "cases are missing");
    let mut wrong = String::new();
    for case in &cases {
        let mut found = vec![("layer", case.as_layers())];
        if case.layers.len() == 1 {
            found.push(("package", case.as_package()));
        }
        for (place, found) in found {
            if prints() {
                println!("{}\t{place}: {found}", case.name);
            } else if !case.fits(place, &found) {
                let expected = case.verdicts.get(place);
                writeln!(wrong, "{}, {place}: {found}\n  expected {expected:?}", case.name).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

const CASES: usize = 83;

/// The same, whole: builds on a base with these layers on top, and of a project with such an archive of sources.
#[test]
#[ignore = "needs strace"]
fn builds_with_archives_that_lead_out_write_nowhere_else() {
    let cases = Breakout::all();
    let runs: Vec<_> = cases
        .iter()
        .flat_map(|case| {
            let sdist = (case.layers.len() == 1).then_some((case, "sdist"));
            [Some((case, "build")), sdist].into_iter().flatten()
        })
        .collect();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(String::new());
    let work = || {
        let bench = Bench::new();
        while let Some((case, place)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let said = if *place == "sdist" {
                bench.sdist(".tar.gz", &gzip(&case.sources))
            } else {
                bench.layers(&case.layers)
            };
            let found = match said {
                Ok(()) => "read".to_owned(),
                Err(said) => format!("refused, {}", reason(&said)),
            };
            if prints() {
                println!("{}\t{place}: {found}", case.name);
            } else if !case.fits(place, &found) {
                let expected = case.verdicts.get(*place);
                writeln!(
                    wrong.lock().unwrap(),
                    "{}, {place}: {found}\n  expected {expected:?}",
                    case.name
                )
                .unwrap();
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "of {} runs:\n{wrong}", runs.len());
}

/// The project's layer is laid over a base whose `/app` leads up and out: for a kernel that is a place inside the root, and so
/// it is for the layer.
#[test]
#[ignore = "needs strace"]
fn a_project_follows_links_of_the_base_as_a_kernel_does() {
    for target in [
        "../../../srv/app",
        "/../srv/app",
        "there/../srv/app",
        "/loop/srv/app",
    ] {
        let bench = Bench::new();
        let members = [
            "srv/app/".to_owned(),
            "there -> /usr".to_owned(),
            "loop -> ..".to_owned(),
            format!("app -> {target}"),
        ];
        let said = bench.layers(&[tar(&members.map(|line| member(&line)))]);
        assert_eq!(said, Ok(()), "{target}");
        let out = bench.0.path("out");
        let manifest = layout::document(&out, &layout::index(&out)["manifests"][0]);
        let layers = manifest["layers"].as_array().unwrap();
        let names = layout::files(&out, layers.last().unwrap(), "main.py");
        let names: Vec<_> = names.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["srv/app/main.py"], "{target}");
    }
}

/// umoci's `hardening.bats`: a blob with other bytes, or with more, is no blob, whatever it still unpacks to.
#[test]
fn blobs_that_are_not_what_their_descriptors_say_are_refused() {
    let sandbox = Sandbox::with_base();
    sandbox.write("app/main.py", "print(1)\n");
    let build = || sandbox.run(&["build", "app", "--base", "oci:base", "-o", "out", "--offline"]);
    let blobs = contents(&sandbox.path("base/blobs"));
    assert_eq!(blobs.len(), 3, "manifest, config, layer");
    for (path, bytes) in &blobs {
        let is_layer = bytes.starts_with(b"\x1f\x8b");
        let mut repacked = Vec::new();
        if is_layer {
            // The same tar in other bytes: the layer's `diff_id` still holds.
            let mut plain = flate2::read::GzDecoder::new(&bytes[..]);
            let mut packer = flate2::write::GzEncoder::new(&mut repacked, flate2::Compression::best());
            std::io::copy(&mut plain, &mut packer).unwrap();
            packer.finish().unwrap();
        } else {
            repacked.push(b' ');
            repacked.extend(bytes);
        }
        let longer = [&bytes[..], b"\0"].concat();
        for other in [repacked, longer] {
            assert_ne!(&other, bytes);
            fs_err::write(path, &other).unwrap();
            let failed = build().failed_with(1);
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(failed.stderr.contains(name), "{name}: {}", failed.stderr);
            assert!(!sandbox.path("out").exists());
        }
        fs_err::write(path, bytes).unwrap();
    }
    build().succeeded();
}

/// A wheel or a project may have a file of any name, and a layer may not: one named as a whiteout would hide what another
/// layer has at that place.
#[test]
fn a_file_named_as_a_whiteout_comes_into_no_layer() {
    let sandbox = Sandbox::with_base();
    sandbox.write("app/main.py", "print(1)\n");
    let build = |options: &[&str]| {
        let build = ["build", "app", "--base", "oci:base", "-o", "out", "--offline"];
        sandbox.run(&[&build, options].concat())
    };
    for name in [".wh..wh..opq", "a/.wh.b"] {
        let path = wheel(
            &sandbox.path("app/wheels"),
            "a",
            "py3-none-any",
            &[(name, ""), ("a/c.py", "")],
        );
        sandbox.write("app/pylock.toml", &lock(&[path]));
        let failed = build(&[]).failed_with(1);
        assert!(
            failed
                .stderr
                .contains(&format!("deps/{name} cannot be in an image")),
            "{}",
            failed.stderr
        );
    }
    fs_err::remove_dir_all(sandbox.path("app/wheels")).unwrap();
    fs_err::remove_file(sandbox.path("app/pylock.toml")).unwrap();
    sandbox.write("app/data/.wh.secret", "");
    let failed = build(&[]).failed_with(1);
    assert!(
        failed
            .stderr
            .contains("app/data/.wh.secret cannot be in an image"),
        "{}",
        failed.stderr
    );
    sandbox.write("app/pyproject.toml", "[tool.pyoci]\nignore = [\".wh.*\"]\n");
    build(&[]).succeeded();
}
