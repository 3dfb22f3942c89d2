//! Just enough HTTP to ask a server on loopback.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A port that nothing listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// The status line's code and the body of a request; `head` is e.g. `GET /`.
pub fn request(port: u16, head: &str, body: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let length = body.len();
    write!(
        stream,
        "{head} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    match (status, answer.split_once("\r\n\r\n")) {
        (Some(status), Some((_, body))) => Ok((status, body.to_owned())),
        _ => Err(io::Error::other(format!("no HTTP answer: {answer:?}"))),
    }
}

/// The status and body of `GET path`.
pub fn get(port: u16, path: &str) -> io::Result<(u16, String)> {
    request(port, &format!("GET {path}"), "")
}

/// Asks until the server answers; panics with what `logs` gives after 60 s.
#[track_caller]
pub fn wait_for(port: u16, path: &str, logs: impl Fn() -> String) -> (u16, String) {
    let start = Instant::now();
    loop {
        match get(port, path) {
            Ok(answer) => return answer,
            Err(error) if start.elapsed() > Duration::from_mins(1) => {
                panic!("port {port}: {error}\n{}", logs());
            }
            Err(_) => sleep(Duration::from_millis(50)),
        }
    }
}
