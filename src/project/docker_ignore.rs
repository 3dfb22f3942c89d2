//! `.containerignore` and `.dockerignore`: patterns with the meaning that Docker gives them.

/// The patterns of one file.
#[derive(Clone, Debug, Default)]
pub struct DockerIgnore {
    patterns: Vec<Pattern>,
}

/// What the patterns say of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is left out.
    LeftOut,
    /// It is taken back by a pattern that matches it.
    TakenBack,
    /// A directory above it is taken back, it itself is not named.
    BelowTakenBack,
}

#[derive(Clone, Debug)]
struct Pattern {
    /// Whether it takes back (`!`).
    negated: bool,
    parts: Vec<Part>,
}

/// One element of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// This character.
    Literal(char),
    /// `?`: any character but `/`.
    One,
    /// `*`: any characters but `/`.
    Many,
    /// `**`: any characters.
    Any,
    /// The start of `**/`: goes over to [`Part::Directories`] or past it.
    MaybeDirectories,
    /// The rest of `**/`: any characters up to a `/`.
    Directories,
    /// `[a-z]`, `[^a-z]`: one character of (or not of) these ranges, never `/`.
    Class(bool, Vec<(char, char)>),
}

impl DockerIgnore {
    /// Parses a file's text. Fails with the line (from 1) and a message.
    ///
    /// > `.dockerignore` file: a newline-separated list of patterns similar to the file globs of Unix shells. [...] If a
    /// > line in `.dockerignore` file starts with `#` in column 1, then this line is considered as a comment and is
    /// > ignored before interpreted by the CLI. [...] Matching is done using Go's filepath.Match function rules. A
    /// > preprocessing step uses Go's filepath.Clean function to trim whitespace and remove `.` and `..`. [...] Beyond
    /// > Go's filepath.Match rules, Docker also supports a special wildcard string `**` that matches any number of
    /// > directories (including zero). [...] Lines starting with `!` can be used to make exceptions to exclusions.
    /// > (docs.docker.com/build/concepts/context)
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut patterns = Vec::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (negated, pattern) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let pattern = clean(pattern);
            if pattern.is_empty() {
                continue;
            }
            let parts = parts(&pattern).map_err(|message| (index + 1, message))?;
            patterns.push(Pattern { negated, parts });
        }
        Ok(Self { patterns })
    }

    /// What the patterns say of a path (components joined by `/`), if anything.
    ///
    /// The last pattern that matches the path or a directory above it decides.
    pub fn said(&self, path: &str) -> Option<Said> {
        let mut last_first = self.patterns.iter().rev();
        let pattern = last_first.find(|pattern| pattern.matches_or_above(path))?;
        Some(match pattern.negated {
            false => Said::LeftOut,
            true if pattern.matches(path) => Said::TakenBack,
            true => Said::BelowTakenBack,
        })
    }

    /// Whether anything below a directory that is left out may be taken back.
    pub fn takes_back(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.negated)
    }
}

/// A pattern without empty, `.` and `..` components, as `filepath.Clean` of `/pattern` leaves it.
fn clean(pattern: &str) -> String {
    let mut components: Vec<&str> = Vec::new();
    for component in pattern.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop();
            }
            _ => components.push(component),
        }
    }
    components.join("/")
}

fn parts(pattern: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        let part = match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                while rest.next_if_eq(&'*').is_some() {}
                match rest.next_if_eq(&'/') {
                    Some(_) => {
                        parts.push(Part::MaybeDirectories);
                        Part::Directories
                    }
                    None => Part::Any,
                }
            }
            '*' => Part::Many,
            '?' => Part::One,
            '[' => class(&mut rest).ok_or_else(|| format!("`{pattern}`: a bracket is not closed"))?,
            '\\' => Part::Literal(
                rest.next()
                    .ok_or_else(|| format!("`{pattern}` ends in a backslash"))?,
            ),
            c => Part::Literal(c),
        };
        parts.push(part);
    }
    Ok(parts)
}

fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Part> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let low = match rest.next()? {
            ']' if !ranges.is_empty() => return Some(Part::Class(negated, ranges)),
            '\\' => rest.next()?,
            c => c,
        };
        let high = match rest.next_if_eq(&'-') {
            Some(_) => match rest.next()? {
                '\\' => rest.next()?,
                c => c,
            },
            None => low,
        };
        ranges.push((low, high));
    }
}

impl Pattern {
    fn matches_or_above(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at);
        ends.chain([path.len()]).any(|end| self.matches(&path[..end]))
    }

    /// Matches with one row of states, so that no pattern takes more than length times length.
    fn matches(&self, path: &str) -> bool {
        let count = self.parts.len();
        let mut states = vec![false; count + 1];
        states[0] = true;
        self.skip_empty(&mut states);
        for c in path.chars() {
            let mut next = vec![false; count + 1];
            for (at, part) in self.parts.iter().enumerate() {
                if !states[at] {
                    continue;
                }
                match part {
                    Part::Literal(literal) => next[at + 1] |= *literal == c,
                    Part::One => next[at + 1] |= c != '/',
                    Part::Many => next[at] |= c != '/',
                    Part::Any => next[at] = true,
                    Part::MaybeDirectories => {}
                    Part::Directories => {
                        next[at] = true;
                        next[at + 1] |= c == '/';
                    }
                    Part::Class(negated, ranges) => {
                        let in_class = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                        next[at + 1] |= c != '/' && in_class != *negated;
                    }
                }
            }
            self.skip_empty(&mut next);
            states = next;
        }
        states[count]
    }

    /// Passes over the parts that match nothing at all.
    fn skip_empty(&self, states: &mut [bool]) {
        for (at, part) in self.parts.iter().enumerate() {
            match part {
                Part::Many | Part::Any if states[at] => states[at + 1] = true,
                Part::MaybeDirectories if states[at] => {
                    states[at + 1] = true;
                    states[at + 2] = true;
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(patterns: &str, path: &str) -> bool {
        DockerIgnore::parse(patterns).unwrap().said(path) == Some(Said::LeftOut)
    }

    #[test]
    fn patterns_are_anchored_and_take_what_is_below() {
        for (pattern, yes, no) in [
            ("*.md", "README.md", "docs/README.md"),
            ("*/temp*", "a/temporary/x", "a/b/temp"),
            ("temp?", "tempa", "temp"),
            ("docs", "docs/a/b", "src/docs"),
            ("/docs/", "docs/a", "doc"),
            ("**/*.pyc", "a.pyc", "a.py"),
            ("**/*.pyc", "a/b/c.pyc", "apyc"),
            ("**/foo", "x/foo", "xfoo"),
            ("a/**/b", "a/b", "ab"),
            ("a/**/b", "a/x/y/b", "a/xb"),
            ("foo/**", "foo/x/y", "foo"),
            ("./x/../docs", "docs", "x"),
            ("[a-c]x", "bx", "dx"),
            ("[^a-c]x", "dx", "bx"),
            ("a\\*", "a*", "ab"),
        ] {
            assert!(excluded(pattern, yes), "{pattern} {yes}");
            assert!(!excluded(pattern, no), "{pattern} {no}");
        }
    }

    #[test]
    fn the_last_match_decides() {
        let text = "# comment\n\n*\n!src\nsrc/secret*\n  !src/secret.example \n";
        assert!(excluded(text, "README.md"));
        assert!(!excluded(text, "src/app.py"));
        assert!(excluded(text, "src/secret.txt"));
        assert!(!excluded(text, "src/secret.example"));
    }

    #[test]
    fn a_bad_pattern_names_its_line() {
        assert_eq!(DockerIgnore::parse("a\n[b").unwrap_err().0, 2);
    }
}
