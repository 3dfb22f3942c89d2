//! What ties a wheel to the machine that made it: editable installs, and requirements that name a local directory.

use super::{Error, MAX_TEXT, Wheel};
use crate::tree::Content;

/// Directories of the image in which a wheel's code may be.
const OURS: [&str; 2] = ["/deps", "/app"];

/// Fails on a file that makes Python import from a directory that is not in the image: what `pip install -e` and the
/// editable wheels of build backends leave. `place` is where the file is installed, relative to the site directory.
pub(super) fn check_editable(wheel: &Wheel, place: &str, content: &Content) -> Result<(), Error> {
    let fault = |leads_to: String| Error::Editable {
        wheel: wheel.filename().to_string(),
        file: place.to_owned(),
        leads_to,
    };
    if place.contains('/') {
        return Ok(());
    }
    if is_finder(place) {
        return Err(fault("the sources on the machine that it was made on".to_owned()));
    }
    if std::path::Path::new(place)
        .extension()
        .is_none_or(|extension| extension != "pth")
    {
        return Ok(());
    }
    let bytes = content.read(MAX_TEXT).map_err(|source| Error::Read {
        wheel: wheel.filename().to_string(),
        source,
    })?;
    match String::from_utf8_lossy(&bytes)
        .lines()
        .find(|line| leads_out(line))
    {
        Some(line) => Err(fault(line.trim().to_owned())),
        None => Ok(()),
    }
}

/// Modules that setuptools, hatch and meson-python put into editable wheels.
fn is_finder(name: &str) -> bool {
    let module = name.strip_suffix(".py").unwrap_or_default();
    module.starts_with("__editable__")
        || module.starts_with("_editable_impl_")
        || module.ends_with("_editable_loader")
}

/// Whether a line of a `.pth` file names a directory that is not in the image.
///
/// > Lines starting with `import` (followed by space or tab) are executed. [...] Blank lines and lines beginning with #
/// > are skipped. (Python, `site`)
fn leads_out(line: &str) -> bool {
    let line = line.trim_end().trim_start_matches('\u{feff}');
    let is_code = line.starts_with("import ") || line.starts_with("import\t");
    if line.is_empty() || line.starts_with('#') || is_code {
        return false;
    }
    if line.starts_with('/') {
        let is_below = |top: &&str| {
            line.strip_prefix(*top)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        return !OURS.iter().any(is_below) || line.split('/').any(|part| part == "..");
    }
    let mut depth = 0_i32;
    line.split('/').any(|part| {
        depth += match part {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        };
        depth < 0
    })
}

/// METADATA without what holds only on the machine that built the wheel: `Requires-Dist: name @ file:...` becomes
/// `Requires-Dist: name`, a user and password in a URL go. `None` if there is nothing of the kind.
///
/// What a build writes there is the path of a temporary directory: another one each time.
pub(super) fn without_local_urls(metadata: &[u8]) -> Option<Vec<u8>> {
    let mut changed = false;
    let mut out = Vec::with_capacity(metadata.len());
    let mut in_headers = true;
    for line in metadata.split_inclusive(|b| *b == b'\n') {
        in_headers &= !matches!(line, b"\n" | b"\r\n");
        let mended = std::str::from_utf8(line)
            .ok()
            .filter(|_| in_headers)
            .and_then(mended);
        changed |= mended.is_some();
        match mended {
            Some(line) => out.extend(line.into_bytes()),
            None => out.extend(line),
        }
    }
    changed.then_some(out)
}

fn mended(line: &str) -> Option<String> {
    let rest = line.strip_prefix("Requires-Dist:")?;
    let (name, after) = rest.split_once('@')?;
    if name.contains([';', '"', '\'']) {
        return None;
    }
    let after = after.trim_start();
    let end = after.find(char::is_whitespace).unwrap_or(after.len());
    let (text, marker) = after.split_at(end);
    if text.starts_with("file:") {
        return Some(format!("Requires-Dist:{}{marker}", name.trim_end()));
    }
    let mut url: url::Url = text.parse().ok()?;
    let is_user = url.scheme().contains("ssh");
    if url.password().is_none() && (url.username().is_empty() || is_user) {
        return None;
    }
    let _ = url.set_password(None);
    if !is_user {
        let _ = url.set_username("");
    }
    Some(format!("Requires-Dist:{name}@ {url}{marker}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pth_may_name_what_is_in_the_image_only() {
        for (line, out) in [
            ("/home/me/project/src", true),
            ("/app/src", false),
            ("/application/src", true),
            ("/deps/../root", true),
            ("../src", true),
            ("a/../..", true),
            ("win32/lib", false),
            ("./x", false),
            ("# /home", false),
            ("import sys; sys.path.append('/home')", false),
            ("", false),
        ] {
            assert_eq!(leads_out(line), out, "{line}");
        }
        assert!(is_finder("__editable___demo_1_0_finder.py") && is_finder("_editable_impl_demo.py"));
        assert!(!is_finder("editable.py"));
    }

    #[test]
    fn requirements_keep_their_names_and_lose_what_is_of_this_machine() {
        let text = "Name: x\nRequires-Dist: lib @ file:///tmp/a%20b/lib ; python_version > '3'\n\
            Requires-Dist: git @ git+https://me:token@host/r.git@main\nRequires-Dist: ssh @ git+ssh://git@host/r\n\
            Requires-Dist: plain>=1 ; extra == 'a@b'\n\nRequires-Dist: of @ file:///the/description\n";
        let expected = "Name: x\nRequires-Dist: lib ; python_version > '3'\n\
            Requires-Dist: git @ git+https://host/r.git@main\nRequires-Dist: ssh @ git+ssh://git@host/r\n\
            Requires-Dist: plain>=1 ; extra == 'a@b'\n\nRequires-Dist: of @ file:///the/description\n";
        let mended = without_local_urls(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(mended.clone()).unwrap(), expected);
        assert_eq!(without_local_urls(&mended), None);
    }
}
