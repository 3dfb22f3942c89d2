//! With the host's own interpreter, whatever its version.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use super::*;
use crate::environment::Environment;
use crate::store::Kind;

/// A store, and an interpreter that writes a line to a file whenever it is started to compile.
struct Host {
    directory: tempfile::TempDir,
    store: Store,
    maker: Maker<'static>,
}

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("cache")).unwrap();
        let maker = Maker::host(Self::recorded(directory.path()));
        Self {
            directory,
            store,
            maker,
        }
    }

    fn recorded(directory: &Path) -> Interpreter {
        #[allow(clippy::disallowed_methods, reason = "the test needs the host's python3")]
        let path = std::env::var("PATH").unwrap();
        let variables = [("PATH".to_owned(), path)];
        let environment = Environment::new(variables, "/".into(), SystemTime::UNIX_EPOCH);
        let python = environment.find_program("python3").unwrap();
        let program = directory.join("python3");
        let script = format!(
            "#!/bin/sh\necho started >>{}\nexec {} \"$@\"\n",
            directory.join("starts").display(),
            python.display()
        );
        fs_err::write(&program, script).unwrap();
        fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Interpreter::new(program, interpreter::ask(&python).unwrap())
    }

    /// How many compilers have been started.
    fn starts(&self) -> usize {
        let lines = fs_err::read_to_string(self.directory.path().join("starts")).unwrap_or_default();
        lines.lines().count()
    }

    fn compile(&self, tree: Tree, threads: usize) -> (Tree, Vec<Made>) {
        let workshop = Workshop {
            maker: &self.maker,
            store: &self.store,
            threads,
        };
        workshop.compile(tree, &owners()).unwrap()
    }

    /// The wheels of a tree that are compiled, and not kept.
    fn compiled(&self, tree: Tree) -> Vec<String> {
        let made = self.compile(tree, 2).1.into_iter();
        made.filter(|made| !made.kept).map(|made| made.wheel).collect()
    }
}

const SOURCES: [(&str, &str); 5] = [
    (
        "deps/a/__init__.py",
        "x = {'a', 'b', 'c'}\nassert 'q' in {'p', 'q'}\n",
    ),
    ("deps/a/broken.py", "def f(:\n"),
    ("deps/a/tests/t.py", "y = 1\n"),
    ("deps/b.py", "z = __file__\n"),
    ("deps/data.txt", "no code"),
];

/// `deps/a` is of one wheel, all else of another.
fn owners() -> Owners {
    let owner = |path: &str| {
        if path.starts_with("deps/a/") {
            "a.whl"
        } else {
            "b.whl"
        }
    };
    let owners = SOURCES.iter();
    owners
        .map(|(path, _)| (TreePath::new(path).unwrap(), owner(path).into()))
        .collect()
}

fn tree_of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Tree {
    let mut tree = Tree::new();
    for (path, text) in files {
        let entry = Entry::file(Content::bytes(text.as_bytes()), false);
        tree.insert(TreePath::new(path).unwrap(), entry).unwrap();
    }
    tree
}

fn sources() -> Tree {
    tree_of(SOURCES)
}

/// Enough sources that each compiler gets some, of all sizes.
fn many_sources() -> Tree {
    let text = |n: usize| {
        let line = format!(
            "def f{n}(a, *, b='x{n}'): return {{'k{n}', a, b, 'shared'}}, 0.{n}, {n}_000_000, b'raw{n}'\n"
        );
        line.repeat(1 + 7 * n % 97)
    };
    let files: Vec<_> = (0..80).map(|n| (format!("deps/m{n}.py"), text(n))).collect();
    tree_of(files.iter().map(|(path, text)| (path.as_str(), text.as_str())))
}

#[test]
fn every_source_that_compiles_gets_byte_code() {
    let host = Host::new();
    let (tree, made) = host.compile(sources(), 1);
    let files: Vec<_> = made
        .iter()
        .map(|made| (made.wheel.as_str(), made.files))
        .collect();
    assert_eq!(files, [("a.whl", 1), ("b.whl", 1)]);
    let added: Vec<_> = tree
        .iter()
        .map(|(p, _)| p.as_str().to_owned())
        .filter(|p| p.contains("__pycache__/"))
        .collect();
    let tag = host.maker.cache_tag();
    let expected = [
        format!("deps/__pycache__/b.{tag}.pyc"),
        format!("deps/a/__pycache__/__init__.{tag}.pyc"),
    ];
    assert_eq!(added, expected);
    let code = tree
        .get(&expected[0])
        .unwrap()
        .content()
        .unwrap()
        .read(10_000)
        .unwrap();
    // PEP 552: the flags say "hash-based, not checked".
    assert_eq!(code[4..8], [1, 0, 0, 0]);
    // The path of the source in the image, and nothing of this machine.
    assert!(code.windows(10).any(|w| w == b"/deps/b.py"));
}

#[test]
fn neither_the_number_of_compilers_nor_what_is_kept_makes_a_difference() {
    let digests: Vec<_> = [1, 2, 8]
        .map(|threads| {
            let host = Host::new();
            let cold = host.compile(many_sources(), threads).0.digest().unwrap();
            let starts = host.starts();
            assert!(
                starts >= threads.min(2) && starts <= threads,
                "{starts} of {threads}"
            );
            assert_eq!(host.compile(many_sources(), threads).0.digest().unwrap(), cold);
            cold
        })
        .into();
    assert!(digests.iter().all(|digest| *digest == digests[0]));
}

#[test]
fn only_the_wheel_whose_sources_changed_is_compiled() {
    let host = Host::new();
    assert_eq!(host.compiled(sources()), ["a.whl", "b.whl"]);
    let starts = host.starts();
    assert!(host.compiled(sources()).is_empty());
    assert_eq!(host.starts(), starts, "nothing had to be compiled");
    let changed = |path: &'static str, text: &'static str| {
        tree_of(
            SOURCES
                .iter()
                .map(move |(p, t)| (*p, if *p == path { text } else { *t })),
        )
    };
    assert_eq!(host.compiled(changed("deps/b.py", "z = 2\n")), ["b.whl"]);
    assert_eq!(host.starts(), starts + 1);
    // What is left out of the tree has no byte-code, and what is not compiled changes nothing.
    let (without, made) = host.compile(tree_of(SOURCES.into_iter().filter(|(p, _)| *p != "deps/b.py")), 1);
    assert!(made.iter().all(|made| made.wheel == "a.whl" && made.kept));
    assert!(without.get("deps/__pycache__").is_none());
    assert!(host.compiled(changed("deps/data.txt", "other")).is_empty());
    assert!(host.compiled(changed("deps/a/tests/t.py", "y = 2\n")).is_empty());
    // The path is in the byte-code.
    let moved = SOURCES.map(|(p, t)| (p.replace("deps/a/", "deps/c/"), t));
    let moved = tree_of(moved.iter().map(|(p, t)| (p.as_str(), *t)));
    assert_eq!(host.compiled(moved).len(), 1);
}

#[test]
fn byte_code_that_was_damaged_is_made_again() {
    let host = Host::new();
    let good = host.compile(sources(), 1).0.digest().unwrap();
    let packs = host.store.root().join("packs/sha256");
    let mut damaged = 0;
    for entry in walk(&packs) {
        let mut bytes = fs_err::read(&entry).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs_err::remove_file(&entry).unwrap();
        fs_err::write(&entry, bytes).unwrap();
        damaged += 1;
    }
    assert_eq!(damaged, 2);
    let (tree, made) = host.compile(sources(), 1);
    assert!(made.iter().all(|made| !made.kept));
    assert_eq!(tree.digest().unwrap(), good);
    let (tree, made) = host.compile(sources(), 1);
    assert!(made.iter().all(|made| made.kept));
    assert_eq!(tree.digest().unwrap(), good);
    // One that is gone counts as damaged.
    let digest = walk(&packs)[0].clone();
    fs_err::remove_file(digest).unwrap();
    assert_eq!(host.compiled(sources()).len(), 1);
    assert!(
        host.store
            .find(Kind::Pack, &crate::digest::Digest::of(b""))
            .unwrap()
            .is_none()
    );
}

fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn byte_code_that_a_wheel_brings_stays() {
    let host = Host::new();
    let path = format!("deps/__pycache__/b.{}.pyc", host.maker.cache_tag());
    let tree = tree_of(SOURCES.into_iter().chain([(path.as_str(), "its own")]));
    let (tree, _) = host.compile(tree, 1);
    let content = tree.get(&path).unwrap().content().unwrap();
    assert_eq!(content.read(100).unwrap(), b"its own");
}

#[test]
fn a_compiler_that_fails_and_a_source_that_cannot_be_read_are_errors_and_nothing_is_kept() {
    let host = Host::new();
    let workshop = Workshop {
        maker: &host.maker,
        store: &host.store,
        threads: 2,
    };
    let mut tree = sources();
    let missing = Content::Path {
        path: host.directory.path().join("missing.py"),
        size: 10,
    };
    let path = TreePath::new("deps/missing.py").unwrap();
    tree.insert(path, Entry::file(missing, false)).unwrap();
    let error = workshop.compile(tree, &owners()).unwrap_err();
    assert!(
        matches!(&error, Error::Source(path, _) if path.as_str() == "deps/missing.py"),
        "{error:?}"
    );
    let program = host.directory.path().join("python3");
    for script in [
        "exit 3",
        "exit 0",
        "head -c 10; printf '\\377\\377\\377\\377'",
        "kill -9 $$",
    ] {
        fs_err::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        let error = workshop.compile(many_sources(), &owners()).unwrap_err();
        assert!(matches!(error, Error::Compiler(_)), "{script}: {error:?}");
    }
    assert!(!host.store.root().join("packs").exists());
}

/// An interpreter is laid out from a base only if that is a recipe's; even then no name of its members may be made to lead
/// out of the directory that it is laid out in.
#[test]
fn an_interpreter_is_laid_out_inside_its_directory_whatever_the_base_holds() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("cache")).unwrap();
    // A program that names a dynamic loader and libc.
    let program = fs_err::read("/bin/sh").unwrap();
    let elf = crate::native::Elf::read(&program).unwrap();
    let loader = elf.interpreter.unwrap();
    let loader = loader.rsplit('/').next().unwrap();
    let outside = directory.path().join("outside");
    fs_err::create_dir(&outside).unwrap();
    let out = outside.display().to_string();
    let base = hostile_base(&[
        ("usr/bin", Some(&out), b""),
        ("usr/bin/python3.13", Some(&out), b""),
        ("usr/lib", Some(&out), b""),
        ("usr/lib/python3.13", Some(&out), b""),
        ("usr/lib/python3.13/encodings", Some("../../../../outside"), b""),
        ("usr/lib/python3.13/encodings/utf_8.py", Some(&out), b""),
        ("usr/lib/python3.13/encodings/__init__.py", None, b"pass\n"),
        ("usr/bin/python3.13", None, &program),
        ("usr/lib/x86_64-linux-gnu/libc.so.6", Some(".."), b""),
        (
            "usr/lib/x86_64-linux-gnu/libevil.so",
            Some("../../../../outside/evil"),
            b"",
        ),
        ("usr/lib/x86_64-linux-gnu/libc.so.6", Some("libc.so"), b""),
        ("usr/lib/x86_64-linux-gnu/libc.so", None, &program),
        (&format!("usr/lib/x86_64-linux-gnu/{loader}"), None, &program),
    ]);
    let files = base_files::BaseFiles::read(&base).unwrap();
    let program = files.keep_program(&base, &store).unwrap();
    let root = directory.path().join("root");
    let interpreter = base_files::lay_out(&base, program, &root).unwrap();
    assert!(interpreter.program.starts_with(&root), "{interpreter:?}");
    assert_eq!(fs_err::read_dir(&outside).unwrap().count(), 0);
    let mut names = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(at) = open.pop() {
        let kind = fs_err::symlink_metadata(&at).unwrap().file_type();
        assert!(!kind.is_symlink(), "{}", at.display());
        if kind.is_dir() {
            open.extend(fs_err::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            names.push(at.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
        }
    }
    names.sort();
    let expected = [
        "usr/bin/python3.13",
        "usr/lib/python3.13/encodings/__init__.py",
        &format!("usr/lib/x86_64-linux-gnu/{loader}"),
        "usr/lib/x86_64-linux-gnu/libc.so.6",
    ];
    let mut expected = expected.map(str::to_owned);
    expected.sort();
    assert_eq!(names, expected);
}

/// What cannot be followed to a file beside it is no shared object.
#[test]
fn a_shared_object_that_leads_elsewhere_is_not_laid_out() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("cache")).unwrap();
    let program = fs_err::read("/bin/sh").unwrap();
    for target in ["/etc/hostname", "../../bin/python3.13", "..", "libc.so.6"] {
        let base = hostile_base(&[
            ("usr/bin/python3.13", None, &program),
            ("usr/lib/x86_64-linux-gnu/libc.so.6", Some(target), b""),
        ]);
        let files = base_files::BaseFiles::read(&base).unwrap();
        let refused = files.keep_program(&base, &store).unwrap_err();
        let said = format!("{refused}: {}", std::error::Error::source(&refused).unwrap());
        assert!(said.contains("that can be run"), "{target}: {said}");
    }
}

/// A recipe's base with one layer of files and, where there is a target, links.
fn hostile_base(members: &[(&str, Option<&str>, &[u8])]) -> crate::image::Base {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, target, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(bytes.len() as u64);
        match target {
            Some(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                archive.append_link(&mut header, name, target).unwrap();
            }
            None => archive.append_data(&mut header, name, *bytes).unwrap(),
        }
    }
    let tar = archive.into_inner().unwrap();
    let mut base = crate::image::testing::tiny_base();
    base.layers = vec![layer::Layer {
        diff_id: crate::digest::Digest::of(&tar),
        blob: crate::blob::Blob::from_bytes(crate::image::LAYER_TAR, tar),
        created_by: String::new(),
    }];
    base
}
