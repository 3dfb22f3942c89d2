//! The metadata that a single-file script carries in a comment (PEP 723).

use super::requirement::Requirement;
use super::specifiers::Specifiers;
use super::tables::{self, Table, TableError};

/// What a `# /// script` block says.
///
/// Spec: <https://packaging.python.org/en/latest/specifications/inline-script-metadata/>.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptMetadata {
    /// `requires-python`
    pub requires_python: Option<Specifiers>,
    /// `dependencies`
    pub dependencies: Vec<Requirement>,
}

impl ScriptMetadata {
    /// Reads the text of a script; `None` if it has no `script` block. Lines in errors are those of the script.
    pub fn parse(script: &str) -> Result<Option<Self>, TableError> {
        let Some((first, text)) = Self::header(script)? else {
            return Ok(None);
        };
        let parsed = Self::of_toml(&text);
        parsed.map(Some).map_err(|error| TableError {
            line: error.line + first,
            ..error
        })
    }

    /// The TOML of the `script` block, and the line (from 1) of the script that is above it.
    pub fn header(script: &str) -> Result<Option<(usize, String)>, TableError> {
        let lines: Vec<&str> = script.lines().collect();
        let mut blocks = blocks(&lines).into_iter();
        let first = blocks.next();
        // > When there are multiple comment blocks of the same TYPE defined, tools MUST produce an error.
        if let Some((line, _)) = blocks.next() {
            let problem = "a second `# /// script` block".to_owned();
            return Err(TableError { line, problem });
        }
        Ok(first)
    }

    fn of_toml(text: &str) -> Result<Self, TableError> {
        let document = tables::parse(text)?;
        let table = Table::top(text, document.get_ref());
        Ok(Self {
            requires_python: table.parsed("requires-python", str::parse::<Specifiers>)?,
            dependencies: table.list("dependencies", str::parse::<Requirement>)?,
        })
    }
}

/// The line (1-based) on which each `script` block starts, and its TOML.
///
/// > `(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$`
fn blocks(lines: &[&str]) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let body = &lines[at + 1..];
        at += 1;
        if !is_opening(lines[at - 1]) {
            continue;
        }
        let comment = |line: &&&str| **line == "#" || line.starts_with("# ");
        let length = body.iter().take_while(comment).count();
        // > the last line `# ///` of the comment closes it; an unclosed block is ignored
        let Some(end) = body[..length]
            .iter()
            .rposition(|line| *line == "# ///")
            .filter(|end| *end > 0)
        else {
            // What opens another block in the same comment finds no end either.
            at += length;
            continue;
        };
        if lines[at - 1] == "# /// script" {
            let content = body[..end].iter().map(|line| line.get(2..).unwrap_or(""));
            blocks.push((at, content.collect::<Vec<_>>().join("\n")));
        }
        at += end + 1;
    }
    blocks
}

fn is_opening(line: &str) -> bool {
    let kind = line.strip_prefix("# /// ");
    kind.is_some_and(|k| !k.is_empty() && k.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_script_block_is_read() {
        let script = "#!/usr/bin/env python3\n# /// script\n# requires-python = \">=3.11\"\n#\n# dependencies = [\n\
                      #   \"requests<3\",\n# ]\n# ///\nimport requests\n";
        let metadata = ScriptMetadata::parse(&script.replace('\n', "\r\n"))
            .unwrap()
            .unwrap();
        assert_eq!(metadata.requires_python.unwrap().to_string(), ">=3.11");
        assert_eq!(metadata.dependencies[0].to_string(), "requests<3");
    }

    #[test]
    fn other_comments_are_no_block() {
        for script in [
            "",
            "print()",
            "# /// script\n# dependencies = []\n",
            "# /// script\n# ///\n",
            "# /// other\n# x = 1\n# ///\n",
            "# /// script\n#x\n# ///\n",
            "#/// script\n# x = 1\n# ///\n",
        ] {
            assert_eq!(ScriptMetadata::parse(script).unwrap(), None, "{script}");
        }
    }

    #[test]
    fn blocks_that_never_end_are_passed_over_at_once() {
        let begun = std::time::Instant::now();
        let script = "# /// script\n".repeat(200_000);
        assert_eq!(ScriptMetadata::parse(&script).unwrap(), None);
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
        let script = "# /// script\n# x = 1\n\n# /// script\n# dependencies = []\n# ///\n";
        assert!(ScriptMetadata::parse(script).unwrap().is_some());
    }

    #[test]
    fn faults_name_the_line_of_the_script() {
        let block = "# /// script\n# dependencies = [\n#  'a b']\n# ///\n";
        assert_eq!(ScriptMetadata::parse(&format!("\n{block}")).unwrap_err().line, 4);
        let empty = "# /// script\n# x = 1\n# ///\n\n";
        assert_eq!(ScriptMetadata::parse(&empty.repeat(2)).unwrap_err().line, 5);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(lines in proptest::collection::vec("# /// script|# ///|# x = 1|#|# é|\\PC{0,5}", 0..12)) {
            let _ = ScriptMetadata::parse(&lines.join("\n"));
        }
    }
}
