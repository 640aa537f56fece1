//! The names that a viewer goes by in `Host` headers and in addresses.

use std::{fmt, net::Ipv6Addr, str::FromStr};

/// A name, or an address, that requests may be for; with a port where it is
/// reached at another one than the viewer listens on.
///
/// Parsed from what people write: `lab.example`, `lab.example:8080`,
/// `192.0.2.7`, `::1` or `[::1]:8080`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName {
    /// As it stands in an address: an IPv6 address in brackets.
    name: String,
    port: Option<u16>,
}

/// Why a text names no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it must be a name or an address, with or without a port: lab.example, lab.example:8080, \
     192.0.2.7, [::1]:8080"
)]
#[non_exhaustive]
pub struct NoHostName;

impl HostName {
    /// The part of an address that names the host, for a viewer that listens
    /// on `port`: `lab.example:8080`.
    pub fn authority(&self, port: u16) -> String {
        format!("{}:{}", self.name, self.port.unwrap_or(port))
    }

    /// Whether an authority, `name` or `name:port`, is of this name; the port
    /// is not looked at.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl FromStr for HostName {
    type Err = NoHostName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self {
                name: format!("[{address}]"),
                port: None,
            });
        }
        let (name, port) = split(text).ok_or(NoHostName)?;
        let name = match name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
        {
            // Browsers send the one short form that each address has.
            Some(inner) => format!("[{}]", inner.parse::<Ipv6Addr>().map_err(|_| NoHostName)?),
            None if name.bytes().all(is_of_a_name) => name.to_ascii_lowercase(),
            None => return Err(NoHostName),
        };
        Ok(Self { name, port })
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

/// The name and the port in `name` or `name:port`; none where it is neither.
pub(crate) fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let (name, port) = if authority.starts_with('[') {
        let end = authority.find(']')? + 1;
        authority.split_at(end)
    } else {
        authority.split_at(authority.find(':').unwrap_or(authority.len()))
    };
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok()?)
        }
        None if port.is_empty() => None,
        _ => return None,
    };
    (!name.is_empty()).then_some((name, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_that_people_write_stands_in_an_address() {
        for (written, authority) in [
            ("lab.example", "lab.example:80"),
            ("Lab.Example:8080", "lab.example:8080"),
            ("192.0.2.7", "192.0.2.7:80"),
            ("::1", "[::1]:80"),
            ("[::1]", "[::1]:80"),
            ("[0:0::0001]:7", "[::1]:7"),
            ("fe80::1", "[fe80::1]:80"),
        ] {
            let name: Result<HostName, _> = written.parse();
            let name = name.map(|name| name.authority(80));
            assert_eq!(name.as_deref(), Ok(authority), "{written}");
        }
    }

    #[test]
    fn text_that_no_request_could_name_is_refused() {
        for text in [
            "",
            ":80",
            "lab.example:",
            "lab.example:99999",
            "lab.example:80:80",
            "http://lab.example/",
            "lab.example/pages",
            "[::1",
            "[lab.example]",
            "fe80::1%eth0",
            "a b",
            "l\u{e4}b.example",
        ] {
            assert_eq!(text.parse::<HostName>(), Err(NoHostName), "{text}");
        }
    }
}
