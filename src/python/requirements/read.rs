//! Reading requirements files with those that they include.

use std::path::{Component, Path, PathBuf};

use super::entry::Entry;
use super::lines::{decode, logical_lines};
use super::options::Line;
use super::{Error, Options, Origin, Requirements, Sources};
use crate::python::requirement::redacted;

/// How many files one set of requirements may have. A file that is included in two places is read twice, so that a few
/// small files could otherwise include each other into billions.
const MAX_FILES: usize = 500;

pub(super) fn read_all(files: &[PathBuf], sources: Sources<'_>) -> Result<Requirements, Error> {
    let mut reader = Reader {
        sources,
        open: Vec::new(),
        found: Requirements::default(),
    };
    for file in files {
        reader.file(&normal(file), false, None)?;
    }
    Ok(reader.found)
}

struct Reader<'a> {
    sources: Sources<'a>,
    /// The files being read, each included by the one before.
    open: Vec<PathBuf>,
    found: Requirements,
}

impl Reader<'_> {
    fn file(&mut self, file: &Path, constraint: bool, from: Option<&Origin>) -> Result<(), Error> {
        let bytes = (self.sources.read)(file).map_err(|source| Error::Read {
            file: file.to_owned(),
            from: from.cloned(),
            source,
        })?;
        let text = decode(&bytes).map_err(|encoding| Error::Encoding {
            file: file.to_owned(),
            encoding,
        })?;
        self.open.push(file.to_owned());
        self.found.files.push(file.to_owned());
        for (line, text) in logical_lines(&text, self.sources.variable) {
            let file = file.to_owned();
            self.line(&text, &Origin { file, line }, constraint)?;
        }
        self.open.pop();
        Ok(())
    }

    fn line(&mut self, text: &str, origin: &Origin, constraint: bool) -> Result<(), Error> {
        let line = Line::parse(text).map_err(|problem| Error::Option {
            origin: origin.clone(),
            problem: redacted(&problem),
        })?;
        // > For lines that contain requirements, the only options that have an effect are [those of the requirement].
        if let Some(entry) = Entry::of_line(&line, origin, constraint)? {
            self.found.entries.push(entry);
            return Ok(());
        }
        for (name, value) in &line.options {
            match *name {
                "requirement" => self.include(value, false, origin)?,
                "constraint" => self.include(value, true, origin)?,
                _ => self.found.options.set(name, value, origin),
            }
        }
        Ok(())
    }

    fn include(&mut self, target: &str, constraint: bool, origin: &Origin) -> Result<(), Error> {
        let file = match local_path(target) {
            Some(path) => normal(&origin.file.parent().unwrap_or(Path::new("")).join(path)),
            None => {
                return Err(Error::Remote {
                    origin: origin.clone(),
                    url: redacted(target),
                });
            }
        };
        let origin = origin.clone();
        if self.open.contains(&file) {
            return Err(Error::Circular { origin, file });
        }
        if self.found.files.len() >= MAX_FILES {
            return Err(Error::TooMany {
                origin,
                limit: MAX_FILES,
            });
        }
        self.file(&file, constraint, Some(&origin))
    }
}

impl Options {
    fn set(&mut self, name: &str, value: &str, origin: &Origin) {
        let value = value.to_owned();
        match name {
            "index-url" => self.index_url = Some(value),
            "extra-index-url" => self.extra_index_urls.push(value),
            "no-index" => self.no_index = true,
            "find-links" => self.find_links.push((origin.clone(), value)),
            "no-binary" => self.no_binary.push(value),
            "only-binary" => self.only_binary.push(value),
            "prefer-binary" => self.prefer_binary = true,
            "pre" => self.pre = true,
            "all-releases" => self.all_releases.push(value),
            "only-final" => self.only_final.push(value),
            "require-hashes" => self.require_hashes = true,
            "no-require-hashes" => self.require_hashes = false,
            "trusted-host" => self.trusted_hosts.push(value),
            "use-feature" => self.features.push(value),
            // `--hash`, `--config-settings` and `--global-option` mean nothing without a requirement, as in pip.
            _ => {}
        }
    }
}

/// The path of a nested file, from a path or a `file:` URL; `None` for other URLs.
fn local_path(target: &str) -> Option<PathBuf> {
    let scheme = target
        .split_once(':')
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("http" | "https") => None,
        Some("file") => url::Url::parse(target).ok()?.to_file_path().ok(),
        _ => Some(target.into()),
    }
}

/// The path without `.` and with `..` resolved by text, so that a file has one spelling.
fn normal(path: &Path) -> PathBuf {
    let mut parts: Vec<Component<'_>> = Vec::new();
    for component in path.components() {
        match (component, parts.last()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                parts.pop();
            }
            _ => parts.push(component),
        }
    }
    parts.iter().collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use proptest::prelude::*;

    use super::*;
    use crate::python::requirements::Wanted;

    fn read(files: &[(&str, &str)]) -> Result<Requirements, Error> {
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            let text = found.map(|(_, text)| text.as_bytes().to_vec());
            text.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        let variable = |name: &str| (name == "TOKEN").then(|| "secret".to_owned());
        let sources = Sources {
            read: &read,
            variable: &variable,
        };
        Requirements::read(&[files[0].0.into()], sources)
    }

    #[test]
    fn every_kind_of_entry_is_read() {
        let hash = format!("sha256:{}", "0A".repeat(32));
        let text = format!(
            "Flask[async] >=3 ; os_name=='posix'\n\
             a==1 \\\n  --hash={hash} \\\n  --hash={hash}\n\
             b @ https://u:${{TOKEN}}@h/b.zip ; extra=='x'\n\
             https://h/c_d-1-py3-none-any.whl#sha256=0 ; os_name=='nt'\n\
             git+https://h/r.git@v;1#egg=E-f&subdirectory=x\n\
             ./local[X,y]\n\
             dist/g-1.tar.gz\n\
             h-1-py3-none-any.whl\n\
             -e ../editable[z]\n\
             -e 'i @ git+ssh://git@h/r'\n\
             -e git+https://h/r#egg=j --config-settings k=v\n"
        );
        let found = read(&[("r/requirements.txt", &text)]).unwrap();
        let lines: Vec<_> = found.entries.iter().map(|e| e.origin.line).collect();
        assert_eq!(lines, [1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
        let described: Vec<String> = found.entries.iter().map(describe).collect();
        assert_eq!(
            described,
            [
                "flask[async]>=3; os_name == \"posix\"",
                "a==1 2 hashes",
                "b @ https://u:secret@h/b.zip ; extra == \"x\"",
                "url https://h/c_d-1-py3-none-any.whl#sha256=0 c-d marker",
                "url git+https://h/r.git@v;1#egg=E-f&subdirectory=x e-f",
                "path ./local x,y",
                "path dist/g-1.tar.gz ",
                "path h-1-py3-none-any.whl ",
                "-e path ../editable z",
                "-e i @ git+ssh://git@h/r",
                "-e url git+https://h/r#egg=j j",
            ]
        );
        assert!(!found.is_fully_hashed());
    }

    fn describe(entry: &Entry) -> String {
        let editable = if entry.editable { "-e " } else { "" };
        let wanted = match &entry.wanted {
            Wanted::Requirement(requirement) => requirement.to_string(),
            Wanted::Url { url, name, marker } => {
                let marker = if marker.is_some() { " marker" } else { "" };
                format!("url {url} {}{marker}", name.as_ref().unwrap())
            }
            Wanted::Path { path, extras, .. } => {
                let extras: Vec<_> = extras.iter().map(ToString::to_string).collect();
                format!("path {} {}", path.display(), extras.join(","))
            }
        };
        let hashes = match entry.hashes.len() {
            0 => String::new(),
            number => format!(" {number} hashes"),
        };
        format!("{editable}{wanted}{hashes}")
    }

    #[test]
    fn included_files_are_found_beside_the_file_that_includes_them() {
        let found = read(&[
            (
                "a/r.txt",
                "-r sub/b.txt\n-c ../c.txt\nlast\n-r file:///abs/d%20e.txt",
            ),
            ("a/sub/b.txt", "--pre\n--requirement=../x.txt\n"),
            ("a/x.txt", "x\n"),
            ("c.txt", "bound<2\n-r a/x.txt\n"),
            ("/abs/d e.txt", "y"),
        ])
        .unwrap();
        let entries: Vec<_> = found
            .entries
            .iter()
            .map(|e| (e.origin.to_string(), e.constraint))
            .collect();
        let expected = [
            ("a/x.txt:1", false),
            ("c.txt:1", true),
            ("a/x.txt:1", false),
            ("a/r.txt:3", false),
            ("/abs/d e.txt:1", false),
        ];
        assert_eq!(entries, expected.map(|(o, c)| (o.to_owned(), c)));
        assert!(found.options.pre);
        assert_eq!(found.files.len(), 6);
        assert_eq!(found.constraints().count(), 1);
    }

    #[test]
    fn options_are_kept_in_order() {
        let found = read(&[(
            "r.txt",
            "-i https://a\n--index-url=https://b\n--extra-index-url https://c\n-f links\n--no-binary :all:\n\
             --only-binary=a,b\n--prefer-binary --require-hashes\n--trusted-host h\n--use-feature f\n--no-index",
        )])
        .unwrap();
        let options = found.options;
        assert_eq!(options.index_url.as_deref(), Some("https://b"));
        assert_eq!(options.extra_index_urls, ["https://c"]);
        assert_eq!(
            (options.find_links[0].0.line, options.find_links[0].1.as_str()),
            (4, "links")
        );
        assert_eq!(
            (&options.no_binary[..], &options.only_binary[..]),
            (&[":all:".to_owned()][..], &["a,b".to_owned()][..])
        );
        assert!(options.prefer_binary && options.require_hashes && options.no_index);
    }

    #[test]
    fn faults_name_their_file_and_line_and_no_secret() {
        for (text, message) in [
            ("\n\nflask=3", "r.txt:3: invalid requirement"),
            ("a; os_name", "r.txt:1: invalid marker"),
            (
                "-r r.txt",
                "r.txt:1: r.txt is included again while it is being read",
            ),
            (
                "-r ./x/../r.txt",
                "r.txt:1: r.txt is included again while it is being read",
            ),
            (
                "\n-r none.txt",
                "cannot read requirements file none.txt, included by r.txt:2",
            ),
            (
                "-r https://u:secret@h/r.txt",
                "r.txt:1: requirements files are not read from URLs (https://****@h/r.txt)",
            ),
            (
                "./h.whl",
                "r.txt:1: `h.whl` is not the file name of a wheel: it needs 5 or 6 parts between `-`",
            ),
            ("--upgrade", "r.txt:1: unknown option `--upgrade`"),
            (
                "a --hash=md5:00",
                "r.txt:1: `--hash`: hash algorithm `md5` is not supported (sha256, sha384 or sha512 is needed)",
            ),
            (
                "./a[b c]",
                "r.txt:1: `b c` is not a valid extra name: only ASCII letters, digits, `.`, `_` and `-` inside, a letter or digit at both ends",
            ),
            (
                "git+https://u:secret@h/r#egg=-x",
                "r.txt:1: `-x` is not a valid package name: only ASCII letters, digits, `.`, `_` and `-` inside, a letter or digit at both ends in git+https://****@h/r#egg=-x",
            ),
        ] {
            assert_eq!(read(&[("r.txt", text)]).unwrap_err().to_string(), message);
        }
        let error = read(&[("r.txt", "-c c.txt"), ("c.txt", "-e .")]).unwrap_err();
        assert_eq!(error.to_string(), "c.txt:1: a constraint cannot be editable");
        let (bomb, next) = ("-r b.txt\n".repeat(30), "-r c.txt\n".repeat(30));
        let error = read(&[("a.txt", &bomb), ("b.txt", &next), ("c.txt", "")]).unwrap_err();
        assert!(matches!(error, Error::TooMany { .. }), "{error}");
    }

    #[test]
    fn a_fully_hashed_file_is_a_lock() {
        let hash = format!("--hash=sha256:{}", "0".repeat(64));
        let is_lock = |text: &str| read(&[("r.txt", text)]).unwrap().is_fully_hashed();
        assert!(is_lock(&format!("a==1 {hash}\nb @ https://h/b.zip {hash}")));
        assert!(!is_lock(&format!("a==1 {hash}\nb==1")));
        assert!(!is_lock(&format!("a>=1 {hash}")));
        assert!(!is_lock(""));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(-[recif] |--[a-z]{0,6}[= ]|[a-b.@:;/#\\\\\\[\\]= \n]|\\$\\{TOKEN\\}|https://|\\PC){0,30}") {
            let _ = read(&[("r.txt", &text)]);
        }
    }
}
