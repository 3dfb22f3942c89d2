//! Host names are looked up once: ureq does it anew for every request, also where a connection is kept.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// The addresses of one host; empty until they are known. Whoever asks meanwhile waits for the one that looks them up.
type Addresses = Arc<Mutex<Vec<SocketAddr>>>;

/// Remembers addresses for as long as a build takes. A resolver that is asked for one name by eight threads at once may
/// drop some of the questions, and each is then asked again only after 5 s (`resolv.conf(5)`, `timeout`).
#[derive(Debug, Default)]
pub(super) struct RememberingResolver<R = DefaultResolver> {
    resolver: R,
    known: Mutex<BTreeMap<String, Addresses>>,
}

impl<R: Resolver> Resolver for RememberingResolver<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        // The port is part of the addresses and may follow from the scheme.
        let server = format!(
            "{}://{}",
            uri.scheme_str().unwrap_or_default(),
            uri.authority().map_or("", |authority| authority.as_str())
        );
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = Arc::clone(known.entry(server).or_default());
        drop(known);
        let mut addresses = addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if addresses.is_empty() {
            let found = self.resolver.resolve(uri, config, timeout)?;
            addresses.extend(found.iter());
            return Ok(found);
        }
        let mut found = self.empty();
        addresses.iter().for_each(|address| found.push(*address));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU16, Ordering};

    use ureq::Timeout;
    use ureq::unversioned::transport::time::Duration;

    use super::*;

    /// Gives an address whose port is the number of the question; fails the first time.
    #[derive(Debug, Default)]
    struct Counting(AtomicU16);

    impl Resolver for Counting {
        fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let port = self.0.fetch_add(1, Ordering::Relaxed);
            if port == 0 {
                return Err(ureq::Error::HostNotFound);
            }
            let mut found = self.empty();
            found.push(SocketAddr::from(([127, 0, 0, 1], port)));
            Ok(found)
        }
    }

    #[test]
    fn a_host_is_looked_up_until_it_is_found_and_then_no_more() {
        let resolver = RememberingResolver::<Counting>::default();
        let port = |uri: &'static str| {
            let timeout = NextTimeout {
                after: Duration::NotHappening,
                reason: Timeout::Resolve,
                ..NextTimeout::default()
            };
            let found = resolver.resolve(&Uri::from_static(uri), &Config::default(), timeout);
            found.ok().map(|addresses| addresses[0].port())
        };
        assert_eq!(port("http://one/a"), None);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(port("http://one/b"), Some(1)));
            }
        });
        assert_eq!(port("https://one/"), Some(2));
        assert_eq!(port("http://one:81/"), Some(3));
        assert_eq!(port("http://one/c"), Some(1));
    }
}
