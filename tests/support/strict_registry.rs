//! A registry in the test process that does exactly what distribution-spec 1.1 says, refuses what it does not allow,
//! writes down every request, and fails where it is told to.

mod access;
mod answer;
mod content;
mod fault;
mod wire;

use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

pub use access::{Access, IDENTITY, PASSWORD, TokenAccess, USER};
pub use content::{Content, Repository};
use fault::Rule;
pub use fault::{Fault, When};
pub use wire::{Request, Response};

/// What the spec leaves to a registry.
#[derive(Clone)]
pub struct Habits {
    /// Where it listens, on a port of its own.
    pub host: Ipv4Addr,
    /// Whom it lets in.
    pub access: Access,
    /// How it says where an upload goes on.
    pub location: Location,
    /// `OCI-Chunk-Min-Length`
    pub piece: Option<u64>,
    /// Whether it mounts blobs of other repositories.
    pub mounts: bool,
    /// Whether it knows `Range`.
    pub ranges: bool,
}

/// How a registry says where an upload goes on. There is always a query.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// From the root of the host on.
    Relative,
    /// With scheme and host.
    Absolute,
    /// At another host that shares the content.
    Elsewhere(SocketAddr),
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST,
            access: Access::Open,
            location: Location::Relative,
            piece: None,
            mounts: true,
            ranges: true,
        }
    }
}

/// A running registry; it ends with the value.
pub struct StrictRegistry {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    habits: Habits,
    content: Arc<Mutex<Content>>,
    tokens: Mutex<access::Tokens>,
    faults: Mutex<Vec<Rule>>,
    log: Mutex<Vec<Recorded>>,
    ended: AtomicBool,
}

/// A request, and how it was answered.
#[derive(Clone)]
pub struct Recorded {
    /// What was asked.
    pub request: Request,
    /// The status; `None` where a fault kept the answer back.
    pub status: Option<u16>,
    /// What the spec does not allow in it.
    pub violation: Option<String>,
}

impl std::fmt::Debug for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let request = &self.request;
        write!(f, "{} {} -> {:?}", request.method, request.target(), self.status)?;
        match &self.violation {
            Some(violation) => write!(f, " ({violation})"),
            None => Ok(()),
        }
    }
}

impl StrictRegistry {
    /// An open registry with plain habits.
    pub fn start() -> Self {
        Self::with(Habits::default())
    }

    /// An empty registry.
    pub fn with(habits: Habits) -> Self {
        Self::sharing(habits, Arc::default())
    }

    /// A server at another host that has what this one has, and lets everybody in.
    pub fn twin(&self, host: Ipv4Addr) -> Self {
        let habits = Habits {
            host,
            ..Habits::default()
        };
        self.twin_with(habits)
    }

    /// A server with habits of its own that has what this one has.
    pub fn twin_with(&self, habits: Habits) -> Self {
        Self::sharing(habits, Arc::clone(&self.shared.content))
    }

    fn sharing(habits: Habits, content: Arc<Mutex<Content>>) -> Self {
        let listener = TcpListener::bind((habits.host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            address,
            habits,
            content,
            tokens: Mutex::default(),
            faults: Mutex::default(),
            log: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::Relaxed) {
                    break;
                }
                let shared = Arc::clone(&accepting);
                // A connection that breaks is what many of the tests want.
                std::thread::spawn(move || shared.serve(&stream));
            }
        });
        Self { address, shared }
    }

    /// `HOST:PORT/NAME`
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// The requests that a rule is about get a fault.
    pub fn fault(&self, method: &'static str, path: &str, when: When, fault: Fault) -> &Self {
        let rule = Rule::new(method, path, when, fault);
        self.shared.faults.lock().unwrap().push(rule);
        self
    }

    /// All requests until now.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.log.lock().unwrap().clone()
    }

    /// The requests of a method whose path and query hold a text.
    pub fn asked(&self, method: &str, text: &str) -> Vec<Recorded> {
        let mut requests = self.requests();
        requests.retain(|r| r.request.method == method && r.request.target().contains(text));
        requests
    }

    /// Forgets the requests.
    pub fn forget(&self) {
        self.shared.log.lock().unwrap().clear();
    }

    /// What it holds.
    pub fn content(&self) -> std::sync::MutexGuard<'_, Content> {
        self.shared.content.lock().unwrap()
    }

    /// Fails if a request broke the spec, or was sent more than five times.
    #[track_caller]
    pub fn assert_obeyed(&self) {
        let requests = self.requests();
        let wrong: Vec<_> = requests.iter().filter(|r| r.violation.is_some()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        let mut counts = BTreeMap::<String, u32>::new();
        for Recorded { request, .. } in &requests {
            // Begun uploads say of which blob they are only where they ask for a mount.
            if request.method != "POST" || request.query("mount").is_some() {
                *counts.entry(request.purpose()).or_default() += 1;
            }
        }
        counts.retain(|_, count| *count > 5);
        assert!(counts.is_empty(), "{counts:#?}\n{requests:#?}");
    }

    /// Fails if anything that says who asks arrived.
    #[track_caller]
    pub fn assert_no_credentials(&self) {
        for recorded in self.requests() {
            for name in ["authorization", "cookie", "proxy-authorization"] {
                let value = recorded.request.header(name);
                assert!(value.is_none(), "{recorded:?}: {name}: {value:?}");
            }
            let Request { body, .. } = &recorded.request;
            let text = format!("{}{}", recorded.request.target(), String::from_utf8_lossy(body));
            for secret in [PASSWORD, IDENTITY, "token-"] {
                assert!(!text.contains(secret), "{recorded:?}");
            }
        }
    }
}

impl Drop for StrictRegistry {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        // What ends a connection is seen by the client.
        while let Ok(true) = self.exchange(&mut reader, stream) {}
        let _ = stream.shutdown(Shutdown::Write);
    }

    /// Reads a request and answers; whether the connection goes on.
    fn exchange(&self, reader: &mut BufReader<&TcpStream>, stream: &TcpStream) -> io::Result<bool> {
        let Some(mut request) = wire::read_head(reader)? else {
            return Ok(false);
        };
        let fault = self.next_fault(&request);
        if let Some(Fault::ResetAfter(bytes)) = fault {
            request.body = wire::read_some(reader, bytes.min(request.length().unwrap_or(0)))?;
            self.record(request, None, None);
            return Ok(false);
        }
        if request.expects_continue() {
            wire::go_on(stream)?;
        }
        request.body = wire::read_body(reader, &request)?;
        let replaced = fault.as_ref().and_then(Fault::instead);
        let ranges = self.habits.ranges && !matches!(fault, Some(Fault::RangeIgnored));
        let mut response = replaced.unwrap_or_else(|| self.answer(&request, ranges));
        if let Some(fault) = &fault {
            fault.change(&mut response);
        }
        let violation = response.violation.take();
        if matches!(fault, Some(Fault::Lost { .. })) {
            self.record(request, None, violation);
            return Ok(false);
        }
        // Before the client can have the answer, so that its end finds all it asked written down.
        self.record(request.clone(), Some(response.status), violation);
        wire::write(stream, &request, &response)?;
        Ok(response.sent.is_none())
    }

    fn record(&self, request: Request, status: Option<u16>, violation: Option<String>) {
        self.log.lock().unwrap().push(Recorded {
            request,
            status,
            violation,
        });
    }

    fn next_fault(&self, request: &Request) -> Option<Fault> {
        let mut rules = self.faults.lock().unwrap();
        rules.iter_mut().find_map(|rule| rule.meets(request))
    }
}
