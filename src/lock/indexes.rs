//! Which package indexes there are for a project, in which order, and what is known to reach them.

use std::collections::BTreeMap;
use std::path::Path;

use url::Url;

use super::index_logins::{uv_login, with_login};
use super::settings::{Settings, expand};
use super::sources::{Index, Said, Sources};
use super::{Error, Request, inputs};
use crate::environment::Environment;
use crate::http;
use crate::python::requirements::Options;

/// The index where nothing names another.
pub(super) const PYPI: &str = "https://pypi.org/simple/";

/// The indexes of a project: what variables, requirements files, the project and the user's files say, in this order.
#[derive(Clone, Debug)]
pub(super) struct Indexes {
    /// Directories, and URLs of pages of links.
    pub find_links: Vec<String>,
    /// Whether only `find_links` count.
    pub no_index: bool,
    /// The indexes that are asked first, in their order.
    pub first: Vec<Url>,
    /// The index that is asked last, and in the place of PyPI.
    pub default: Url,
    /// Hosts whose certificates are not looked at.
    pub trusted_hosts: Vec<String>,
    /// Every index URL with a password that something names: files that an index lists are often on the same host
    /// without one.
    pub credentials: Vec<Url>,
    /// What uv is told by variables, as it does not read it itself.
    pub for_uv: BTreeMap<String, String>,
}

impl Indexes {
    /// Reads all that says something of indexes; from now on no password of it is written.
    pub fn of(request: &Request, environment: &Environment) -> Result<Self, Error> {
        let pip = Settings::load(environment);
        let sources = Sources::load(request, environment)?;
        let options = inputs::requirements(request, environment).map(|r| r.options);
        // A file that cannot be read is reported where it is needed: not for a lock.
        let options = options.unwrap_or_default();
        let said = Everything {
            environment,
            pip: &pip,
            sources: &sources,
            options: &options,
        };
        let mut indexes = Self {
            find_links: said.find_links(request),
            no_index: said.no_index(),
            first: said.first(),
            default: said.default()?,
            trusted_hosts: said.trusted_hosts(),
            credentials: Vec::new(),
            for_uv: said.for_uv(),
        };
        let texts = inputs::texts(request).unwrap_or_default();
        let own = indexes.first.iter().chain([&indexes.default]).cloned();
        let named = sources.all().map(|index| index.url.clone());
        let links = indexes.find_links.iter().filter_map(|link| link.parse().ok());
        let urls = own.chain(named).chain(links).chain(urls(&texts, environment));
        indexes.credentials = urls
            .filter(|url: &Url| !url.username().is_empty() || url.password().is_some())
            .collect();
        indexes.credentials.dedup();
        for url in &indexes.credentials {
            environment.secrets.hold_url(url);
        }
        // Nothing reads them where there is a lock, and they are files of the app all the same.
        for name in [
            "requirements.txt",
            "pyproject.toml",
            "Pipfile",
            "uv.toml",
            "pip.conf",
        ] {
            if let Ok(text) = fs_err::read_to_string(request.directory.join(name)) {
                environment.secrets.hold_urls(&text);
            }
        }
        Ok(indexes)
    }

    /// The same with more URLs that have passwords.
    pub fn also(&self, urls: &[Url]) -> Self {
        let with_password = urls.iter().filter(|url| !url.username().is_empty()).cloned();
        Self {
            credentials: with_password.chain(self.credentials.iter().cloned()).collect(),
            ..self.clone()
        }
    }

    /// The URL with the credentials that are known for its server, if it has none of its own: of several on one server those
    /// of the index that has most of the path in common.
    pub fn with_credentials(&self, url: &Url) -> Url {
        let same = self.credentials.iter().filter(|c| c.origin() == url.origin());
        // The first of those that are equally good.
        let known = same.rev().max_by_key(|c| common(c.path(), url.path()));
        let mut url = url.clone();
        if let Some(known) = known.filter(|_| url.username().is_empty() && url.password().is_none()) {
            let _ = url.set_username(known.username());
            let _ = url.set_password(known.password());
        }
        url
    }
}

/// How the servers of a request's indexes are reached. From now on no password of an index is written.
pub fn access(request: &Request, environment: &Environment) -> Result<http::Access, Error> {
    let pip = Settings::load(environment);
    let at = |path: &str| environment.working_directory.join(path);
    let mut bundle = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"].into_iter();
    let bundle = pip.get("cert").or(bundle.find_map(|name| environment.get(name)));
    // The system's verifier reads that one itself.
    let known = environment.get("SSL_CERT_FILE");
    let client = pip.get("client-cert").or(environment.get("SSL_CLIENT_CERT"));
    Ok(http::Access {
        authorities: bundle.filter(|file| Some(*file) != known).map(at),
        client_certificate: client.map(at),
        trusted_hosts: Indexes::of(request, environment)?.trusted_hosts,
    })
}

/// How many path segments two paths begin with in common.
fn common(a: &str, b: &str) -> usize {
    a.split('/').zip(b.split('/')).take_while(|(a, b)| a == b).count()
}

/// The URLs in requirements files and pyproject.toml.
fn urls<'a>(texts: &'a [String], environment: &'a Environment) -> impl Iterator<Item = Url> + 'a {
    let is_end = |c: char| c.is_whitespace() || "=\"'<>,".contains(c);
    let words = texts.iter().flat_map(move |text| text.split(is_end));
    let words = words.filter(|word| word.contains("://"));
    words.filter_map(|word| expand(word, environment).parse().ok())
}

/// All that may say something of indexes.
struct Everything<'a> {
    environment: &'a Environment,
    pip: &'a Settings,
    sources: &'a Sources,
    options: &'a Options,
}

impl Everything<'_> {
    /// The first variable that is set.
    fn variable(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.environment.get(name))
    }

    /// A URL that may have a name in front, with the password that variables have for that name.
    fn named(&self, word: &str) -> Option<Url> {
        match word.split_once('=') {
            Some((name, url)) if !name.contains([':', '/']) => {
                Some(with_login(url.parse().ok()?, uv_login(name, self.environment)))
            }
            _ => word.parse().ok(),
        }
    }

    fn words(&self, text: Option<&str>) -> Vec<Url> {
        let words = text.unwrap_or_default().split_whitespace();
        words.filter_map(|word| self.named(word)).collect()
    }

    fn default(&self) -> Result<Url, Error> {
        let pypi = || PYPI.parse::<Url>();
        let given = self
            .words(self.variable(&["UV_DEFAULT_INDEX", "UV_INDEX_URL"]))
            .into_iter()
            .next();
        let in_file = || self.options.index_url.as_ref().and_then(|url| url.parse().ok());
        let url = |index: &Option<Index>| index.as_ref().map(|index| index.url.clone());
        let found = given
            .or_else(in_file)
            .or_else(|| url(&self.sources.project.default))
            .or_else(|| url(&self.sources.foreign.default).filter(|url| !is_pypi(url)))
            .or_else(|| url(&self.sources.user.default))
            .or_else(|| self.pip.get("index-url").and_then(|url| url.parse().ok()));
        match found {
            Some(url) => Ok(url),
            None => pypi().map_err(|_| Error::Page {
                url: PYPI.to_owned(),
                problem: "it is no URL".to_owned(),
            }),
        }
    }

    fn first(&self) -> Vec<Url> {
        let mut urls = Vec::new();
        let given = ["UV_INDEX", "UV_EXTRA_INDEX_URL"].map(|name| self.words(self.environment.get(name)));
        urls.extend(given.into_iter().flatten());
        if urls.is_empty() {
            urls.extend(self.words(self.pip.get("extra-index-url")));
        }
        urls.extend(
            self.options
                .extra_index_urls
                .iter()
                .filter_map(|url| url.parse().ok()),
        );
        let Sources {
            project,
            foreign,
            user,
        } = self.sources;
        let general = [project, foreign, user].into_iter().flat_map(Said::general);
        urls.extend(general.map(|index| index.url.clone()));
        let mut seen = std::collections::BTreeSet::new();
        urls.retain(|url| seen.insert(url.clone()));
        urls
    }

    fn no_index(&self) -> bool {
        let is_on = |text: &str| matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on");
        self.environment.get("UV_NO_INDEX").is_some_and(is_on)
            || self.options.no_index
            || self.pip.is_on("no-index")
            || self.sources.project.no_index
            || self.sources.user.no_index
    }

    fn find_links(&self, request: &Request) -> Vec<String> {
        let environment = self.environment;
        let mut links: Vec<String> = match environment.get("UV_FIND_LINKS") {
            Some(links) => links.split(',').map(|link| link.trim().to_owned()).collect(),
            None => self.pip.find_links(&environment.working_directory),
        };
        for (origin, link) in &self.options.find_links {
            // > A local path may be relative to the requirements file, else to the working directory
            let directory = request.directory.join(&origin.file);
            let beside = directory.parent().unwrap_or(Path::new("")).join(link);
            let is_beside = !link.contains("://") && beside.exists();
            links.push(if is_beside {
                beside.display().to_string()
            } else {
                link.clone()
            });
        }
        let Sources {
            project,
            foreign,
            user,
        } = self.sources;
        for link in [project, foreign, user]
            .into_iter()
            .flat_map(|said| &said.find_links)
        {
            let is_url = link.contains("://");
            links.push(if is_url {
                link.clone()
            } else {
                request.directory.join(link).display().to_string()
            });
        }
        links.retain(|link| !link.is_empty());
        links
    }

    fn trusted_hosts(&self) -> Vec<String> {
        let given = self.environment.get("UV_INSECURE_HOST").unwrap_or_default();
        let mut hosts: Vec<String> = given
            .split([' ', ','])
            .chain(self.pip.list("trusted-host"))
            .map(str::to_owned)
            .collect();
        hosts.extend(self.options.trusted_hosts.iter().cloned());
        hosts.extend(self.sources.project.insecure_hosts.iter().cloned());
        hosts.extend(self.sources.user.insecure_hosts.iter().cloned());
        hosts.retain(|host| !host.is_empty());
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// The settings that uv does not read as variables of it. What the user set for uv itself is not touched: it wins. In
    /// variables, as arguments of a process may be seen by other users and URLs may hold passwords.
    fn for_uv(&self) -> BTreeMap<String, String> {
        let Self {
            environment,
            pip,
            sources,
            options,
        } = self;
        let mut out = BTreeMap::new();
        let mut set = |name: &str, also: &[&str], value: Option<String>| {
            let unset = environment.get(name).is_none() && also.iter().all(|n| environment.get(n).is_none());
            if let Some(value) = value.filter(|v| unset && !v.is_empty()) {
                out.insert(name.to_owned(), value);
            }
        };
        let text = |name: &str| pip.get(name).map(str::to_owned);
        let foreign_default = sources
            .foreign
            .default
            .as_ref()
            .filter(|index| !is_pypi(&index.url));
        // What uv reads itself wins over the machine's settings for pip.
        let has_own = options.index_url.is_some() || sources.project.names_indexes();
        let default = foreign_default.map(|index| index.url.to_string());
        let default = default.or_else(|| text("index-url").filter(|_| sources.user.default.is_none()));
        set(
            "UV_DEFAULT_INDEX",
            &["UV_INDEX_URL"],
            default.filter(|_| !has_own),
        );
        let extra = pip.list("extra-index-url");
        let foreign = sources.foreign.general().map(|index| index.url.as_str());
        let first: Vec<&str> = extra.iter().copied().chain(foreign).collect();
        set("UV_INDEX", &["UV_EXTRA_INDEX_URL"], Some(first.join(" ")));
        // pip takes the best version of all indexes; so must uv where they are given in pip's ways, and only there.
        let is_pips = !extra.is_empty() || !options.extra_index_urls.is_empty();
        let is_uvs = sources.project.names_indexes() || sources.project.strategy || sources.user.strategy;
        let strategy = (is_pips && !is_uvs).then(|| "unsafe-best-match".to_owned());
        set("UV_INDEX_STRATEGY", &[], strategy);
        let links = pip.find_links(&environment.working_directory).into_iter();
        let links: Vec<String> = links.chain(sources.foreign.find_links.iter().cloned()).collect();
        set("UV_FIND_LINKS", &[], Some(links.join(",")));
        set("UV_NO_INDEX", &[], pip.is_on("no-index").then(|| "1".to_owned()));
        let hosts = pip.list("trusted-host").into_iter().map(str::to_owned);
        let hosts: Vec<String> = hosts.chain(options.trusted_hosts.iter().cloned()).collect();
        set("UV_INSECURE_HOST", &[], Some(hosts.join(" ")));
        set("UV_PRERELEASE", &[], pip.is_on("pre").then(|| "allow".to_owned()));
        let timeout = text("timeout").or(text("default-timeout"));
        set("UV_HTTP_TIMEOUT", &["UV_REQUEST_TIMEOUT"], timeout);
        set("SSL_CERT_FILE", &[], text("cert"));
        set("SSL_CLIENT_CERT", &[], text("client-cert"));
        set("HTTPS_PROXY", &["https_proxy", "ALL_PROXY"], text("proxy"));
        set("HTTP_PROXY", &["http_proxy", "ALL_PROXY"], text("proxy"));
        out
    }
}

/// Whether an index is PyPI: in its place the index is asked that the user's settings name.
pub(super) fn is_pypi(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    matches!(host, "pypi.org" | "pypi.python.org") && url.path().trim_end_matches('/') == "/simple"
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        directory: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            fs_err::create_dir_all(directory.path().join("home/.config/pip")).unwrap();
            fs_err::create_dir_all(directory.path().join("home/.config/uv")).unwrap();
            Self { directory }
        }

        fn write(&self, name: &str, text: &str) -> &Self {
            fs_err::write(self.directory.path().join(name), text).unwrap();
            self
        }

        fn indexes(&self, variables: &[(&str, &str)]) -> (Indexes, Environment) {
            let home = self.directory.path().join("home").display().to_string();
            let variables = variables
                .iter()
                .copied()
                .chain([("HOME", &*home), ("XDG_CONFIG_DIRS", "/none")]);
            let variables = variables.map(|(k, v)| (k.to_owned(), v.to_owned()));
            let environment = Environment::new(variables, "/".into(), std::time::SystemTime::UNIX_EPOCH);
            let file = self.directory.path().join("requirements.txt");
            let request = Request {
                directory: self.directory.path().to_owned(),
                requirements: file.exists().then_some(file).into_iter().collect(),
                ..Request::default()
            };
            (Indexes::of(&request, &environment).unwrap(), environment)
        }
    }

    fn texts(urls: &[Url]) -> Vec<&str> {
        urls.iter().map(Url::as_str).collect()
    }

    #[test]
    fn pip_settings_are_translated_and_what_is_said_for_uv_wins() {
        let place = Place::new();
        place.write(
            "home/.config/pip/pip.conf",
            "[global]\nindex-url = https://file/\nextra-index-url = https://x/ https://y/\n",
        );
        let (plain, _) = place.indexes(&[]);
        assert_eq!(plain.default.as_str(), "https://file/");
        assert_eq!(texts(&plain.first), ["https://x/", "https://y/"]);
        assert_eq!(plain.for_uv["UV_DEFAULT_INDEX"], "https://file/");
        assert_eq!(plain.for_uv["UV_INDEX"], "https://x/ https://y/");
        assert_eq!(plain.for_uv["UV_INDEX_STRATEGY"], "unsafe-best-match");
        let (both, _) = place.indexes(&[
            ("PIP_INDEX_URL", "https://variable/"),
            ("UV_INDEX", "z=https://z/"),
        ]);
        assert_eq!(both.for_uv["UV_DEFAULT_INDEX"], "https://variable/");
        assert!(!both.for_uv.contains_key("UV_INDEX"));
        assert_eq!(texts(&both.first), ["https://z/"]);
    }

    #[test]
    fn the_indexes_of_a_project_win_over_the_machines_and_uv_weighs_them() {
        let place = Place::new();
        place.write(
            "home/.config/pip/pip.conf",
            "[global]\nindex-url = https://file/\nextra-index-url = https://x/\n",
        );
        place.write(
            "home/.config/uv/uv.toml",
            "[[index]]\nurl = 'https://user/'\ndefault = true\n",
        );
        let (user, _) = place.indexes(&[]);
        assert_eq!(user.default.as_str(), "https://user/");
        assert!(!user.for_uv.contains_key("UV_DEFAULT_INDEX"));
        place.write(
            "pyproject.toml",
            "[[tool.uv.index]]\nname = 'own'\nurl = 'https://own/'\n",
        );
        let (own, _) = place.indexes(&[]);
        assert_eq!(texts(&own.first), ["https://x/", "https://own/"]);
        assert!(
            !own.for_uv.contains_key("UV_DEFAULT_INDEX") && !own.for_uv.contains_key("UV_INDEX_STRATEGY")
        );
        place.write(
            "requirements.txt",
            "--index-url https://line/\n--extra-index-url https://more/\nx\n",
        );
        let (file, _) = place.indexes(&[]);
        assert_eq!(file.default.as_str(), "https://line/");
        let (flag, _) = place.indexes(&[("UV_DEFAULT_INDEX", "https://flag/")]);
        assert_eq!(flag.default.as_str(), "https://flag/");
    }

    #[test]
    fn credentials_go_to_their_own_server_and_index_only() {
        let place = Place::new();
        let (indexes, environment) = place.indexes(&[
            ("UV_INDEX", "a=https://h/a/simple b=https://h/b/simple"),
            ("UV_INDEX_A_USERNAME", "ua"),
            ("UV_INDEX_A_PASSWORD", "Passw0rd-a"),
            ("UV_INDEX_B_USERNAME", "ub"),
            ("UV_INDEX_B_PASSWORD", "Passw0rd-b"),
        ]);
        let asked = |url: &str| indexes.with_credentials(&url.parse().unwrap()).to_string();
        assert_eq!(
            asked("https://h/a/simple/x/"),
            "https://ua:Passw0rd-a@h/a/simple/x/"
        );
        assert_eq!(asked("https://h/b/files/x"), "https://ub:Passw0rd-b@h/b/files/x");
        assert_eq!(asked("https://h/files/x"), "https://ua:Passw0rd-a@h/files/x");
        for other in [
            "https://h:444/a",
            "http://h/a",
            "https://h.example/a",
            "https://me:x@h/a",
        ] {
            assert!(!asked(other).contains("Passw0rd"), "{other}");
        }
        assert!(environment.secrets.check("f", b"Passw0rd-b").is_err());
    }
}
