//! pip's own test data: every wheel, source archive and index page, against `pip.tsv`. Most of it is old, much is broken on
//! purpose.
//!
//! `PYOCI_PIP=DIRECTORY` takes a checkout of pip in the place of what is kept in `pip/`; `PYOCI_WHEELS=DIRECTORY` has the
//! wheels of a directory opened and verified too, all of which must be right.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyoci::digest::Digest;
use pyoci::lock::simple;
use pyoci::wheel::Wheel;
use url::Url;

use super::cases::Bench;
use super::policy::{reason, setting};
use crate::mirror::Mirror;
use crate::support::{Sandbox, contents, run};

/// What there is to read: its path below `tests/data` of pip.
struct Case {
    name: String,
    bytes: Vec<u8>,
}

impl Case {
    fn all() -> Vec<Self> {
        let top = match &*setting("PYOCI_PIP") {
            "" => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_archives/pip"),
            checkout => Path::new(checkout).join("tests/data"),
        };
        let ours = [
            "packages",
            "packages2",
            "packages3",
            "pypi_packages",
            "backends",
            "indexes",
        ];
        let mut cases = Vec::new();
        for directory in ours {
            cases.extend(
                contents(&top.join(directory))
                    .into_iter()
                    .map(|(path, bytes)| Self {
                        name: path.strip_prefix(&top).unwrap().to_str().unwrap().to_owned(),
                        bytes,
                    }),
            );
        }
        cases
    }

    fn has_ending(&self, endings: &[&str]) -> bool {
        endings.iter().any(|ending| self.name.ends_with(ending))
    }

    fn file_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap()
    }

    /// Where it is read.
    fn places(&self) -> &'static [&'static str] {
        if self.has_ending(&[".whl"]) {
            &["wheel", "build"]
        } else if self.has_ending(&[".tar.gz", ".tgz", ".tar.xz", ".tar.lzma", ".zip"]) {
            &["build"]
        } else if self.file_name() == "index.html" {
            &["index"]
        } else {
            &[]
        }
    }

    /// Name and version as the file's name has them.
    fn distribution(&self) -> (&str, &str) {
        let endings = [".tar.gz", ".tgz", ".tar.xz", ".tar.lzma", ".zip", ".whl"];
        let name = self.file_name();
        let stem = endings
            .iter()
            .find_map(|ending| name.strip_suffix(ending))
            .unwrap();
        let (name, rest) = stem.split_once('-').unwrap_or((stem, "1.0"));
        (name, rest.split('-').next().unwrap())
    }
}

/// `read` or why it is refused, by case and place.
fn policy() -> BTreeMap<(String, String), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_archives/pip.tsv");
    let text = fs_err::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let fields = lines.map(|line| {
        let [name, place, verdict] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        ((name.to_owned(), place.to_owned()), verdict.to_owned())
    });
    fields.collect()
}

/// Holds what was found against the policy; prints it in its form with `PYOCI_CORPUS=print`.
struct Verdicts {
    policy: BTreeMap<(String, String), String>,
    wrong: Mutex<String>,
    count: AtomicUsize,
}

impl Verdicts {
    fn new() -> Self {
        Self {
            policy: policy(),
            wrong: Mutex::default(),
            count: AtomicUsize::new(0),
        }
    }

    fn check(&self, case: &Case, place: &str, found: &str) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if setting("PYOCI_CORPUS") == "print" {
            println!("{}\t{place}\t{found}", case.name);
            return;
        }
        let expected = self.policy.get(&(case.name.clone(), place.to_owned()));
        let right = expected.is_some_and(|expected| match expected.strip_prefix("refused, ") {
            Some(words) => found
                .strip_prefix("refused, ")
                .is_some_and(|said| said.contains(words)),
            None => found == expected,
        });
        if !right {
            let mut wrong = self.wrong.lock().unwrap();
            writeln!(wrong, "{}, {place}: {found}\n  expected {expected:?}", case.name).unwrap();
        }
    }

    #[track_caller]
    fn finish(self, at_least: usize) {
        let wrong = self.wrong.into_inner().unwrap();
        assert!(wrong.is_empty(), "{wrong}");
        let count = self.count.into_inner();
        assert!(count >= at_least, "only {count} were read");
    }
}

/// Opens a wheel and verifies its RECORD.
fn open(path: &Path, name: &str) -> Result<Wheel, String> {
    let read = Wheel::open(path, name).and_then(|wheel| {
        wheel.verify_record()?;
        Ok(wheel)
    });
    read.map_err(|error| {
        let mut said = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            write!(said, ": {cause}").unwrap();
            source = cause.source();
        }
        said
    })
}

#[test]
fn pips_wheels_are_opened_or_refused_as_the_policy_says() {
    let directory = tempfile::tempdir().unwrap();
    let verdicts = Verdicts::new();
    for case in Case::all().iter().filter(|case| case.places().contains(&"wheel")) {
        let path = directory.path().join(case.file_name());
        fs_err::write(&path, &case.bytes).unwrap();
        let found = match open(&path, case.file_name()) {
            Ok(_) => "read".to_owned(),
            Err(said) => format!("refused, {said}"),
        };
        verdicts.check(case, "wheel", &found);
    }
    verdicts.finish(30);
}

#[test]
fn pips_index_pages_list_what_the_policy_says() {
    let verdicts = Verdicts::new();
    for case in Case::all().iter().filter(|case| case.places() == ["index"]) {
        let page: Url = "https://index.example/".parse().unwrap();
        let found = match simple::parse(&case.bytes, "text/html", &page.join(&case.name).unwrap()) {
            Ok(files) => files.iter().map(described).collect::<Vec<_>>().join(", "),
            Err(error) => format!("refused, {error}"),
        };
        verdicts.check(case, "index", if found.is_empty() { "nothing" } else { &found });
    }
    verdicts.finish(14);
}

/// `NAME at PATH for PYTHON, yanked`
fn described(file: &simple::File) -> String {
    let mut text = format!("{} at {}", file.name, file.url.path());
    if let Some(python) = &file.requires_python {
        write!(text, " for {python}").unwrap();
    }
    for hash in &file.hashes {
        write!(text, " {hash}").unwrap();
    }
    if file.is_yanked {
        text.push_str(" yanked");
    }
    text
}

/// A whole build with each, locked, under strace.
#[test]
#[ignore = "needs strace"]
fn builds_with_pips_archives_do_what_the_policy_says_and_write_nowhere_else() {
    let cases: Vec<_> = Case::all()
        .into_iter()
        .filter(|case| case.places().contains(&"build"))
        .collect();
    let verdicts = Verdicts::new();
    let next = AtomicUsize::new(0);
    let work = || {
        let bench = Bench::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let field = if case.has_ending(&[".whl"]) {
                "[[packages.wheels]]"
            } else {
                "[packages.sdist]"
            };
            let found = match bench.locked_as(case.distribution(), field, case.file_name(), &case.bytes) {
                Ok(()) => "read".to_owned(),
                Err(said) => format!("refused, {}", reason(&said)),
            };
            verdicts.check(case, "build", &found);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    verdicts.finish(78);
}

/// Of a page that lists a version that is none, the file that is locked is taken.
#[test]
fn a_locked_wheel_is_found_on_a_page_of_pips_that_lists_what_is_no_version() {
    let sandbox = Sandbox::with_base();
    sandbox.write("app/main.py", "print(1)\n");
    let mut mirror = Mirror::default();
    let mut hash = String::new();
    for case in Case::all() {
        mirror.put(case.name.trim_end_matches("index.html"), &case.bytes);
        if case.name == "packages/invalid_version-1.0-py3-none-any.whl" {
            hash = Digest::of(&case.bytes).to_string();
        }
    }
    let lock = format!(
        "[metadata]\ngroups = [\"default\"]\nlock_version = \"4.5.0\"\nstrategy = [\"inherit_metadata\"]\n\
         [[metadata.targets]]\nrequires_python = \">=3.9\"\n[[package]]\nname = \"invalid-version\"\nversion = \"1.0\"\n\
         groups = [\"default\"]\nfiles = [{{file = \"invalid_version-1.0-py3-none-any.whl\", hash = \"{hash}\"}}]\n"
    );
    sandbox.write("app/pdm.lock", &lock);
    let project = "[project]\nname = \"app\"\nversion = \"1\"\nrequires-python = \">=3.9\"\ndependencies = [\"invalid-version\"]\n";
    sandbox.write("app/pyproject.toml", project);
    let index = format!("{}/indexes/invalid-version/", mirror.serve());
    let mut command = sandbox.pyoci();
    for name in [
        "PIP_FIND_LINKS",
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "UV_INDEX_URL",
    ] {
        command.env_remove(name);
    }
    command.args(["build", "app", "--base", "oci:base", "-o", "out", "-i", &index]);
    run(command.env("PIP_CONFIG_FILE", "/dev/null")).succeeded();
}

/// Wheels that others made and that work: those of pip's that are right, and all of a directory.
#[test]
fn no_wheel_that_is_right_is_refused() {
    let named = setting("PYOCI_WHEELS");
    let mut paths: Vec<PathBuf> = Vec::new();
    if named.is_empty() {
        let pip = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_archives/pip/packages");
        let right = [
            "simple_namespace-1.0",
            "prjwithdatafile-1.0",
            "script.wheel2a-0.1",
            "has.script-1.0",
        ];
        paths.extend(right.map(|name| pip.join(format!("{name}-py2.py3-none-any.whl"))));
    } else {
        let all = contents(Path::new(&named)).into_keys();
        paths.extend(all.filter(|path| path.extension().is_some_and(|ending| ending == "whl")));
    }
    assert!(!paths.is_empty(), "there are no wheels in {named}");
    let (mut files, mut bytes, mut refused) = (0, 0, String::new());
    for path in &paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        match open(path, name) {
            Ok(wheel) => {
                files += wheel.files().count();
                bytes += wheel.files().map(|(_, content)| content.size()).sum::<u64>();
            }
            Err(said) => writeln!(refused, "{said}").unwrap(),
        }
    }
    println!("{} wheels, {files} files, {bytes} bytes in them", paths.len());
    assert!(refused.is_empty(), "{refused}");
}
