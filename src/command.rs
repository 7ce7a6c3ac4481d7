//! Commands other than serving: health check and new tokens.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use rustix::rand::{GetRandomFlags, getrandom};

use crate::http::token_digest;

/// Timeout for connecting, and for each read of the answer.
const ANSWER: Duration = Duration::from_secs(3);

/// Checks `/livez` of the gateway with this admin address.
///
/// # Errors
/// A message unless it answers 200.
pub fn health(mut admin: SocketAddr) -> Result<(), String> {
    // A gateway listening on all interfaces is reached on loopback.
    if admin.ip().is_unspecified() {
        let v6 = admin.is_ipv6();
        admin.set_ip(if v6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) });
    }
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&admin, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(b"GET /livez HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(4096).read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| format!("{admin}: {error}"))?;
    match answer.lines().next() {
        Some(status) if status.contains(" 200 ") => Ok(()),
        status => Err(format!("{admin}: {}", status.unwrap_or("no answer"))),
    }
}

/// Creates a token for `name`. Shows it once, on standard error, and prints the line for the tokens file on
/// standard output, ready for `>>`.
///
/// # Errors
/// A message if the name is not valid in the file or the system provides no randomness.
pub fn new_token(name: &str) -> Result<(), String> {
    if name.is_empty() || name.starts_with('#') || name.contains(char::is_whitespace) {
        return Err("a caller's name is one word that does not begin with '#'".to_owned());
    }
    let mut random = [0; 32];
    let length = getrandom(&mut random, GetRandomFlags::empty()).map_err(|error| error.to_string())?;
    if length != random.len() {
        return Err("the system gave too little randomness".to_owned());
    }
    let token = format!("lacuna_{}", hex(&random));
    eprintln!("token of {name}, shown this once: {token}");
    println!("{name} {}", hex(&token_digest(token.as_bytes())));
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
