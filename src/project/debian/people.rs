//! People of `[project]` as Debian names them: `Name <address>`.

use std::fmt;
use std::str::FromStr;

use super::super::document::Node;
use super::Error;

/// Someone with a name and perhaps an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name; the address's part before the `@` where there is none.
    pub name: String,
    /// The e-mail address.
    pub address: Option<String>,
}

impl Person {
    /// Who is written where a project names nobody whom mail could reach: the policy wants an address, and this one
    /// reaches nobody (RFC 2606).
    pub fn nobody(package: &str) -> Self {
        Self {
            name: format!("The makers of {package}"),
            address: None,
        }
    }

    /// `Name <address>`; an address that reaches nobody where there is none.
    pub fn contact(&self, package: &str) -> String {
        let nowhere = format!("{package}@packages.invalid");
        let address = self.address.as_deref().unwrap_or(&nowhere);
        format!("{} <{address}>", display_name(&self.name))
    }
}

/// > If the maintainer's name contains a full stop then the whole field will not work directly as an email address [...]
/// > a program using this field as an address must check for this (Debian Policy 5.6.2)
///
/// What would end the name, or part it, is left out.
fn display_name(name: &str) -> String {
    let clean = |c: char| {
        if c.is_control() || "<>,;:\"()@[]\\".contains(c) {
            ' '
        } else {
            c
        }
    };
    let name: String = name.chars().map(clean).collect();
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Some(address) => write!(f, "{} <{address}>", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl FromStr for Person {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Maintainer(text.to_owned());
        let (name, rest) = text.split_once('<').ok_or_else(wrong)?;
        let address = rest.trim_end().strip_suffix('>').ok_or_else(wrong)?;
        let (name, address) = (name.trim(), checked(address).ok_or_else(wrong)?);
        if display_name(name).is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            name: name.to_owned(),
            address: Some(address),
        })
    }
}

/// An address that a control file can hold.
fn checked(address: &str) -> Option<String> {
    let address = address.trim();
    let (user, host) = address.split_once('@')?;
    let plain = |c: char| c.is_ascii_graphic() && !"<>,;:\"()@[]\\".contains(c);
    let valid = !user.is_empty() && host.contains('.') && user.chars().all(plain) && host.chars().all(plain);
    valid.then(|| address.to_owned())
}

/// The items of `authors` or `maintainers`.
pub fn people(node: Option<&Node>) -> Vec<Person> {
    let items = node.and_then(Node::array).unwrap_or_default().iter();
    let person = |item: &Node| {
        let part = |key| item.get(key).and_then(Node::text);
        let address = part("email").and_then(checked);
        // On a line of its own, wherever it is written.
        let line = |name: &str| {
            name.replace(char::is_control, " ")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        let name = part("name").map(line);
        let name = name.filter(|name| !display_name(name).is_empty()).or_else(|| {
            let user = address.as_deref()?.split('@').next()?;
            Some(user.to_owned())
        })?;
        Some(Person { name, address })
    };
    items.filter_map(person).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::project::Document;

    #[test]
    fn people_have_a_name_and_an_address_that_mail_may_reach() {
        let text = "p = [{ name = 'A, the \"First\"', email = 'a@b.c' }, { email = 'c@d.e' }, { name = 'N' }, \
                    { name = 'M', email = 'no address' }, { email = 'root' }, {}]";
        let document = Document::parse(Path::new("x"), text).unwrap();
        let people = people(document.get(&["p"]));
        let contacts: Vec<_> = people.iter().map(|person| person.contact("demo")).collect();
        assert_eq!(
            contacts,
            [
                "A the First <a@b.c>",
                "c <c@d.e>",
                "N <demo@packages.invalid>",
                "M <demo@packages.invalid>"
            ]
        );
        assert_eq!(
            Person::nobody("x").contact("x"),
            "The makers of x <x@packages.invalid>"
        );
    }

    #[test]
    fn a_maintainer_that_is_given_must_be_one() {
        let person: Person = "Ann B. <ann@b.example>".parse().unwrap();
        assert_eq!(person.contact("x"), "Ann B. <ann@b.example>");
        for bad in [
            "",
            "Ann",
            "ann@b.example",
            "<a@b.c>",
            "A <a@b>",
            "A <a b@c.d>",
            "A <a@b.c> x",
            "A <a@b.c>\nX: y",
        ] {
            assert!(bad.parse::<Person>().is_err(), "{bad}");
        }
    }
}
