//! The control file of a package: fields in the order in which dpkg writes them (`deb-control(5)`, Debian Policy 5).

use std::fmt::Write as _;

/// No line of a description is longer, in characters.
const WIDTH: usize = 78;

/// What the control file of a package says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// `Package`
    pub package: String,
    /// `Version`
    pub version: String,
    /// `Architecture`: `all`, `amd64`, `arm64`.
    pub architecture: String,
    /// `Maintainer`: `Name <address>`.
    pub maintainer: String,
    /// `Depends`, one relation each.
    pub depends: Vec<String>,
    /// `Section`
    pub section: String,
    /// `Homepage`
    pub homepage: Option<String>,
    /// The first line of `Description`.
    pub synopsis: String,
    /// The rest of it, in paragraphs.
    pub description: Vec<String>,
}

impl Control {
    /// The text of the file; `installed_size` in KiB.
    pub fn text(&self, installed_size: u64) -> String {
        let mut text = String::new();
        let mut field = |name: &str, value: &str| {
            let value = one_line(value);
            if !value.is_empty() {
                let _ = writeln!(text, "{name}: {value}");
            }
        };
        field("Package", &self.package);
        field("Version", &self.version);
        field("Architecture", &self.architecture);
        field("Maintainer", &self.maintainer);
        field("Installed-Size", &installed_size.to_string());
        field("Depends", &self.depends.join(", "));
        field("Section", &self.section);
        field("Priority", "optional");
        field("Homepage", self.homepage.as_deref().unwrap_or_default());
        field("Description", &self.synopsis);
        let paragraphs = self.description.iter().map(|paragraph| extended(paragraph));
        let paragraphs: Vec<String> = paragraphs.filter(|paragraph| !paragraph.is_empty()).collect();
        // > " .": A line consisting of a single space and a single full stop character is rendered as blank line.
        text.push_str(&paragraphs.join(" .\n"));
        text
    }
}

/// A value without line breaks: what follows one would be another field.
fn one_line(value: &str) -> String {
    value
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A paragraph of the extended description: broken into lines that begin with a space.
fn extended(paragraph: &str) -> String {
    let mut text = String::new();
    let mut width = 0;
    for word in one_line(paragraph).split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if width == 0 || width + 1 + length > WIDTH {
            if width > 0 {
                text.push('\n');
            }
            // > Those containing a space, a full stop and some more characters: [...] for future expansion. Do not use them.
            text.push_str(if word.starts_with('.') { "  " } else { " " });
            width = 1;
        } else {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += length;
    }
    if width > 0 {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_one_line_each_and_paragraphs_are_broken() {
        let control = Control {
            package: "demo".to_owned(),
            version: "1.0-1".to_owned(),
            architecture: "all".to_owned(),
            maintainer: "A\nEssential: yes <a@b.c>".to_owned(),
            depends: vec!["python3 (>= 3.9)".to_owned(), "libc6".to_owned()],
            section: "misc".to_owned(),
            homepage: None,
            synopsis: "shows\r\n things".to_owned(),
            description: vec!["word ".repeat(30), ".hidden is first".to_owned(), String::new()],
        };
        let text = control.text(7);
        assert_eq!(
            text,
            "Package: demo\nVersion: 1.0-1\nArchitecture: all\nMaintainer: A Essential: yes <a@b.c>\n\
             Installed-Size: 7\nDepends: python3 (>= 3.9), libc6\nSection: misc\nPriority: optional\n\
             Description: shows things\n word word word word word word word word word word word word word word word\n \
             word word word word word word word word word word word word word word word\n .\n  .hidden is first\n"
        );
    }
}
