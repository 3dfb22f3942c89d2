//! The options of one line, parsed as Python's `optparse` does for pip.

/// A line in its two parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// What stands before the first option: a requirement, or nothing.
    pub(super) argument: String,
    /// The options with their values (empty for flags), by their long names.
    pub(super) options: Vec<(&'static str, String)>,
}

/// Short name, long names (the first is the one used), whether a value follows.
const OPTIONS: [(Option<char>, &[&str], bool); 20] = [
    (Some('i'), &["index-url", "pypi-url"], true),
    (None, &["extra-index-url"], true),
    (None, &["no-index"], false),
    (Some('c'), &["constraint"], true),
    (Some('r'), &["requirement"], true),
    (Some('e'), &["editable"], true),
    (Some('f'), &["find-links"], true),
    (None, &["no-binary"], true),
    (None, &["only-binary"], true),
    (None, &["prefer-binary"], false),
    (None, &["require-hashes"], false),
    (None, &["no-require-hashes"], false),
    (None, &["pre"], false),
    (None, &["all-releases"], true),
    (None, &["only-final"], true),
    (None, &["trusted-host"], true),
    (None, &["use-feature"], true),
    (None, &["hash"], true),
    (Some('C'), &["config-settings", "config-setting"], true),
    // Gone from pip 23.1's successors, still in files.
    (None, &["global-option"], true),
];

impl Line {
    /// Parses a logical line; the error is one for the user, without the file's name.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let start = option_start(line);
        let words = shlex::split(&line[start..]).ok_or("a quote is not closed")?;
        let mut parsed = Self {
            argument: line[..start].trim().to_owned(),
            options: Vec::new(),
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            parsed.option(&word, &mut words)?;
        }
        Ok(parsed)
    }

    /// All values of an option.
    pub(super) fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let found = self.options.iter().filter(move |(n, _)| *n == name);
        found.map(|(_, value)| value.as_str())
    }

    fn option(&mut self, word: &str, words: &mut impl Iterator<Item = String>) -> Result<(), String> {
        let (name, takes_value, mut value) = if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v)));
            let (name, takes_value) = find_long(name)?;
            (name, takes_value, value.map(str::to_owned))
        } else if let Some(short) = word.strip_prefix('-') {
            let mut rest = short.chars();
            let letter = rest.next();
            let found = OPTIONS.iter().find(|(l, ..)| letter.is_some() && *l == letter);
            let (_, names, takes_value) = found.ok_or_else(|| format!("unknown option `{word}`"))?;
            let value = rest.as_str();
            (
                names[0],
                *takes_value,
                (!value.is_empty()).then(|| value.to_owned()),
            )
        } else {
            // pip drops such words without a message, also a marker that stands after `--hash`.
            return Err(format!("unexpected `{word}` after an option"));
        };
        if takes_value {
            value = value.or_else(|| words.next());
        }
        match (takes_value, value) {
            (true, Some(value)) => self.options.push((name, value)),
            (false, None) => self.options.push((name, String::new())),
            (true, None) => return Err(format!("option `--{name}` needs a value")),
            (false, Some(_)) => return Err(format!("option `--{name}` takes no value")),
        }
        Ok(())
    }
}

/// Options start at the first word after a space that begins with `-`.
fn option_start(line: &str) -> usize {
    if line.starts_with('-') {
        return 0;
    }
    line.find(" -").map_or(line.len(), |at| at + 1)
}

/// A long option by its name or an unambiguous beginning of it.
fn find_long(name: &str) -> Result<(&'static str, bool), String> {
    let all = || {
        OPTIONS
            .iter()
            .flat_map(|(_, names, value)| names.iter().map(move |n| (*n, names[0], *value)))
    };
    if let Some((_, canonical, takes_value)) = all().find(|(n, ..)| *n == name) {
        return Ok((canonical, takes_value));
    }
    let mut starting: Vec<_> = all()
        .filter(|(n, ..)| !name.is_empty() && n.starts_with(name))
        .collect();
    starting.dedup_by_key(|(_, canonical, _)| *canonical);
    match starting[..] {
        [(_, canonical, takes_value)] => Ok((canonical, takes_value)),
        [] => Err(format!("unknown option `--{name}`")),
        _ => Err(format!("option `--{name}` is ambiguous")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn arguments_and_options_are_parted() {
        let line = Line::parse("a-b ; os_name == 'x'  --hash=sha256:0 --hash sha256:1 -C 'k=v w'").unwrap();
        assert_eq!(line.argument, "a-b ; os_name == 'x'");
        assert_eq!(line.values("hash").collect::<Vec<_>>(), ["sha256:0", "sha256:1"]);
        assert_eq!(line.values("config-settings").collect::<Vec<_>>(), ["k=v w"]);
        let line = Line::parse("-ihttps://h --pypi-url https://g --no-ind --extra=https://e").unwrap();
        let expected = [
            ("index-url", "https://h"),
            ("index-url", "https://g"),
            ("no-index", ""),
            ("extra-index-url", "https://e"),
        ];
        assert_eq!(line.options, expected.map(|(n, v)| (n, v.to_owned())));
    }

    #[test]
    fn what_optparse_refuses_is_refused() {
        for bad in [
            "--unknown",
            "-x",
            "-",
            "--",
            "-r",
            "--hash",
            "--pre=1",
            "--no",
            "-i 'x",
            "a --hash=b ; c",
            "-r a b",
        ] {
            assert!(Line::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_parsed_or_refused(text in "([-a-z= '\"\\\\]|--hash|\\PC){0,40}") {
            let _ = Line::parse(&text);
        }
    }
}
