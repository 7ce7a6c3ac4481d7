//! Addresses of Triton servers.

use std::str::FromStr;

/// The address of one Triton, or of several behind one DNS name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
}

impl FromStr for Address {
    type Err = String;

    /// Reads `http://host:port` or `https://host:port`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not of the form http://host:port or https://host:port");
        let (tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(wrong()),
        };
        let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', '@', '?', '#']) {
            return Err(wrong());
        }
        let port = port.parse().map_err(|_| wrong())?;
        Ok(Self { host: host.to_owned(), port, tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_scheme_a_host_and_a_port() {
        let address = |host: &str, port, tls| Ok(Address { host: host.to_owned(), port, tls });
        assert_eq!("http://127.0.0.1:8001".parse::<Address>(), address("127.0.0.1", 8001, false));
        assert_eq!("https://triton.example:443/".parse::<Address>(), address("triton.example", 443, true));
        assert_eq!("http://[::1]:8001".parse::<Address>(), address("::1", 8001, false));
        for wrong in [
            "",
            "127.0.0.1:8001",
            "http://triton",
            "http://:8001",
            "http://a:99999",
            "ftp://a:1",
            "http://u@a:1",
        ] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
