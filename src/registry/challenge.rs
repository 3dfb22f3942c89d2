//! `WWW-Authenticate` (RFC 9110 section 11.6.1): how a registry wants to be asked.

/// One way to authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A user name and password with each request (RFC 7617).
    Basic,
    /// A token that is fetched elsewhere (distribution token specification).
    Bearer {
        /// Where tokens are.
        realm: String,
        /// What the token is for; the realm knows it by that name.
        service: Option<String>,
        /// What the request would have needed, space-separated.
        scope: Option<String>,
    },
}

/// All challenges that are understood, in the order of the headers. One header may hold several.
pub fn challenges<'v>(headers: impl Iterator<Item = &'v str>) -> Vec<Challenge> {
    headers.flat_map(|value| Reader { rest: value }.all()).collect()
}

struct Reader<'v> {
    rest: &'v str,
}

impl<'v> Reader<'v> {
    fn all(mut self) -> Vec<Challenge> {
        let mut found = Vec::new();
        loop {
            self.skip(&[' ', '\t', ',']);
            let scheme = self.token();
            if scheme.is_empty() {
                return found;
            }
            let parameters = self.parameters();
            let get = |name: &str| {
                let known = parameters.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
                known.map(|(_, value)| value.clone())
            };
            if scheme.eq_ignore_ascii_case("basic") {
                found.push(Challenge::Basic);
            } else if scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = get("realm")
            {
                found.push(Challenge::Bearer {
                    realm,
                    service: get("service"),
                    scope: get("scope"),
                });
            }
        }
    }

    /// `name=value` or `name="value"`, comma-separated, until what follows is another scheme.
    fn parameters(&mut self) -> Vec<(&'v str, String)> {
        let mut parameters = Vec::new();
        loop {
            let before = self.rest;
            self.skip(&[' ', '\t', ',']);
            let name = self.token();
            self.skip(&[' ', '\t']);
            let Some(rest) = self.rest.strip_prefix('=').filter(|_| !name.is_empty()) else {
                self.rest = before;
                // Something that is neither: nothing after it can be understood.
                if name.is_empty() {
                    self.rest = "";
                }
                return parameters;
            };
            // > token68 … *"=": what some schemes have instead of parameters (RFC 9110 section 11.2)
            let after = rest.trim_start_matches(['=', ' ', '\t']);
            if after.is_empty() || after.starts_with(',') {
                self.rest = after;
                continue;
            }
            self.rest = rest.trim_start_matches([' ', '\t']);
            let value = if self.rest.starts_with('"') {
                self.quoted()
            } else {
                self.token().to_owned()
            };
            parameters.push((name, value));
        }
    }

    fn skip(&mut self, characters: &[char]) {
        self.rest = self.rest.trim_start_matches(characters);
    }

    fn token(&mut self) -> &'v str {
        let is_end = |c: char| c.is_ascii_whitespace() || matches!(c, ',' | '=' | '"');
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        token
    }

    /// A quoted string (RFC 9110 section 5.6.4); one that does not end takes all that is left.
    fn quoted(&mut self) -> String {
        let mut value = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return value;
                }
                '\\' => value.extend(characters.next().map(|(_, c)| c)),
                _ => value.push(c),
            }
        }
        self.rest = "";
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn several_challenges_are_found_in_one_header_and_in_several() {
        let one = r#"Basic realm="a, b=\"c\"", Bearer realm="https://a/t",service=x , scope="repository:a/b:pull,push""#;
        let expected = [
            Challenge::Basic,
            bearer("https://a/t", Some("x"), Some("repository:a/b:pull,push")),
        ];
        assert_eq!(challenges([one].into_iter()), expected);
        // What some schemes have instead of parameters.
        for token68 in ["NTLM TlRMTVNTUAAB==", "Negotiate YII=", "Negotiate YII"] {
            let one = format!("{token68}, Bearer realm=r");
            assert_eq!(
                challenges([&*one].into_iter()),
                [bearer("r", None, None)],
                "{one}"
            );
        }
        let several = ["Negotiate", "Digest a=b, BASIC", "bearer Realm=\"r\""];
        assert_eq!(
            challenges(several.into_iter()),
            [Challenge::Basic, bearer("r", None, None)]
        );
    }

    #[test]
    fn what_is_malformed_ends() {
        for bad in [
            "",
            ",,,",
            "Bearer",
            "Bearer realm",
            "Bearer =x",
            "= = =",
            "\"",
            "Bearer service=\"x",
        ] {
            assert_eq!(challenges([bad].into_iter()), [], "{bad}");
        }
        assert_eq!(
            challenges(["Bearer realm=\"x"].into_iter()),
            [bearer("x", None, None)]
        );
    }
}
