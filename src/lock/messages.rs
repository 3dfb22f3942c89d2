//! What resolvers and builders say, made readable: their own words without colours, boxes and secrets, and a hint.

use super::process::{plain, without_passwords};
use super::{Error, Request, Said, inputs};
use crate::python::PackageName;

/// The warnings in what uv wrote, without the one that says that builds use another Python.
pub(super) fn warnings(stderr: &str) -> Vec<String> {
    let text = without_passwords(&plain(stderr));
    text.lines()
        .filter_map(|line| line.strip_prefix("warning: "))
        .filter(|line| !line.contains("will be used to build dependencies instead"))
        .map(|line| format!("uv: {line}"))
        .collect()
}

/// The error for a resolution that failed.
pub(super) fn resolve_error(stderr: &str, version: &str, request: &Request) -> Error {
    let said = explanation(stderr);
    if said.contains("No interpreter found") || said.contains("No Python interpreters found") {
        return Error::NoPython;
    }
    if let Some((url, status)) = refusal(&said) {
        return Error::Refused { url, status };
    }
    let hint = hint(&said, request);
    Error::Resolve {
        resolver: format!("uv {version}"),
        said: Said(said),
        hint,
    }
}

/// The index that refused uv, which then says that there is no such package, and with which status.
fn refusal(said: &str) -> Option<(String, u16)> {
    let (before, after) =
        said.split_once(" could not be queried due to a lack of valid authentication credentials (")?;
    let url = before.rsplit(['(', '`']).find(|word| word.contains("://"))?;
    let status = after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    Some((url.trim_end_matches([')', '`']).to_owned(), status))
}

/// uv's explanation: from its first error on, without `error:`, `cause:`, `×`, `╰─▶` and the lines' indentation; what a
/// narrow terminal broke into lines is joined again.
pub(super) fn explanation(stderr: &str) -> String {
    let text = without_passwords(&plain(stderr));
    let is_error = |line: &&str| line.starts_with("error: ") || line.trim_start().starts_with('×');
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.iter().position(is_error).unwrap_or(0);
    let mut out: Vec<String> = Vec::new();
    for line in &lines[start..] {
        let marks = |c: char| c.is_whitespace() || "×╰─▶│├".contains(c);
        let bare = line.trim_start_matches(marks).trim_end();
        let begins = ["error: ", "cause: ", "Caused by: ", "hint: "];
        let known = begins
            .iter()
            .find_map(|b| bare.strip_prefix(b).map(|rest| (*b, rest)));
        let is_new = known.is_some() || line.contains(['×', '▶', '├']) || !line.starts_with(' ');
        let text = match known {
            Some(("hint: ", rest)) => format!("({rest})"),
            Some((_, rest)) => rest.to_owned(),
            None => bare.to_owned(),
        };
        // Carets point into a line that is joined; the last says no more than our own message.
        if text.is_empty()
            || text.chars().all(|c| c == '^')
            || text.starts_with("No solution found when resolving dependencies")
        {
            continue;
        }
        match out.last_mut() {
            Some(last) if !is_new => {
                last.push(' ');
                last.push_str(&text);
            }
            _ => out.push(text),
        }
    }
    out.dedup();
    out.join("\n")
}

fn hint(said: &str, request: &Request) -> Option<String> {
    if said.contains("not found in the package registry")
        || said.contains("not found in the provided package locations")
    {
        let package = word_before(said, " was not found in the p");
        let place = package.and_then(|name| inputs::place_of(request, &name));
        let place = place.map_or("its name".to_owned(), |place| format!("the name in {place}"));
        return Some(format!(
            "check {place}; a package of a private index needs PIP_INDEX_URL or PIP_EXTRA_INDEX_URL"
        ));
    }
    for (before, what) in [
        ("Because there is no version of ", "that version does not exist"),
        (
            "Because only the following versions of ",
            "that version does not exist",
        ),
        ("Because there are no versions of ", "no version fits"),
    ] {
        if let Some(package) = word_after(said, before) {
            let place = inputs::place_of(request, &package)?;
            return Some(format!("{what}: change {place}"));
        }
    }
    if said.contains("network was disabled") {
        return Some("run once without --offline".to_owned());
    }
    None
}

fn word_before(text: &str, mark: &str) -> Option<PackageName> {
    text.split_once(mark)?
        .0
        .rsplit(char::is_whitespace)
        .next()?
        .parse()
        .ok()
}

fn word_after(text: &str, mark: &str) -> Option<PackageName> {
    let rest = text.split_once(mark)?.1;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)))?;
    rest[..end].parse().ok()
}

/// The last lines of a build's output, which say why it failed.
pub(super) fn tail(output: &str) -> String {
    const LINES: usize = 25;
    let text = without_passwords(&plain(output));
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|l| !l.is_empty())
        .collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_refuses_is_not_one_that_lacks_the_package() {
        let said = "error: No solution found when resolving dependencies\n  cause: Because thing was not found in the package registry and you require thing, we can conclude that your requirements are unsatisfiable.\n\nhint: An index URL (http://127.0.0.1:1/simple/) could not be queried due to a lack of valid authentication credentials (401 Unauthorized)\n";
        let error = resolve_error(said, "1", &Request::default());
        assert_eq!(
            error.to_string(),
            "the index http://127.0.0.1:1/simple/ refused the credentials, or wants some (status 401)"
        );
        assert!(error.hint().unwrap().contains("UV_INDEX_<NAME>"));
    }

    const OLD: &str = "warning: The requested Python version 3.13 is not available; 3.11.7 will be used to build dependencies instead.
  × No solution found when resolving dependencies:
  ╰─▶ Because flask==3.0.0 depends on werkzeug>=3.0.0 and you require
      flask==3.0, we can conclude that you require werkzeug>=3.0.0.
      And because you require werkzeug<2, we can conclude that your
      requirements are unsatisfiable.
";

    #[test]
    fn the_explanation_of_old_and_new_versions_reads_alike() {
        let new = "error: No solution found when resolving dependencies\n  cause: Because flask==3.0.0 depends on werkzeug>=3.0.0 and you require flask==3.0, we can conclude that you require werkzeug>=3.0.0.\n         And because you require werkzeug<2, we can conclude that your requirements are unsatisfiable.\n";
        let expected = "Because flask==3.0.0 depends on werkzeug>=3.0.0 and you require flask==3.0, we can conclude that you require werkzeug>=3.0.0. And because you require werkzeug<2, we can conclude that your requirements are unsatisfiable.";
        assert_eq!(explanation(OLD), expected);
        assert_eq!(explanation(new), expected);
        assert_eq!(warnings(OLD), [""; 0]);
    }

    #[test]
    fn the_hint_names_the_line_of_a_package_that_does_not_exist() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("r.txt"), "flask\nnosuch_pkg\n").unwrap();
        let request = Request {
            directory: directory.path().to_owned(),
            requirements: vec!["r.txt".into()],
            ..Request::default()
        };
        let said = "error: No solution found when resolving dependencies\n  cause: Because nosuch-pkg was not found in the package registry and you require nosuch-pkg, we can conclude that your requirements are unsatisfiable.\n";
        let error = resolve_error(said, "1", &request);
        assert!(error.hint().unwrap().contains("the name in r.txt:2"));
        let said = "error: No solution found when resolving dependencies\n  cause: Because there is no version of flask==99 and you require flask==99, we can conclude.\n";
        let error = resolve_error(said, "1", &request);
        assert_eq!(
            error.hint().unwrap(),
            "that version does not exist: change r.txt:1"
        );
    }
}
