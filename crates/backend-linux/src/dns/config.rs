//! Where the resolver forwards questions to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that an operator decides about the resolver.
#[derive(Clone, Debug)]
pub struct Config {
    /// The servers to ask.
    pub upstreams: Upstreams,
    /// How long one server has for its answer before the next one is asked.
    pub attempt: Duration,
}

/// The servers to ask, the preferred one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstreams {
    /// These.
    Fixed(Vec<SocketAddr>),
    /// Those of a file in the form of `resolv.conf`, whatever it says now.
    File(PathBuf),
}

/// Why there is nobody to ask.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file with the servers cannot be read.
    #[error("could not read {path} for the DNS servers of this host")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There are no servers.
    #[error("no DNS server is configured, neither for the runner nor in the host's resolv.conf")]
    None,
}

impl Default for Config {
    /// Asks whom the host asks.
    fn default() -> Self {
        Self {
            upstreams: Upstreams::File(PathBuf::from("/etc/resolv.conf")),
            attempt: Duration::from_millis(1500),
        }
    }
}

impl Upstreams {
    /// How many servers are used; more are of no use within the time there is.
    pub const LEN_MAX: usize = 3;
    const PORT: u16 = 53;
    const FILE_LEN_MAX: u64 = 64 * 1024;

    /// The servers as of now, at least one.
    pub(super) fn read(&self) -> Result<Vec<SocketAddr>, ConfigError> {
        let mut servers = match self {
            Self::Fixed(servers) => servers.clone(),
            Self::File(path) => servers(&content(path)?),
        };
        servers.truncate(Self::LEN_MAX);
        if servers.is_empty() {
            return Err(ConfigError::None);
        }
        Ok(servers)
    }
}

fn content(path: &Path) -> Result<String, ConfigError> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(Upstreams::FILE_LEN_MAX).read_to_string(&mut text))
        .map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
    Ok(text)
}

/// The servers that a `resolv.conf` names. Addresses that hold only on one
/// link (`fe80::1%eth0`) are left out, like anything else that is no address.
fn servers(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let is_server = words.next() == Some("nameserver");
            let address = words.next().filter(|_| is_server)?;
            let address = address.parse::<IpAddr>().ok()?;
            Some(SocketAddr::new(address, Upstreams::PORT))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_the_host_reads_them() {
        let text = "# ours\nsearch example.org\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 # second\n\
            ;nameserver 192.0.2.9\nnameserver fe80::1%eth0\nnameservers 192.0.2.8\nnameserver\n";
        let expected = ["192.0.2.1:53", "[2001:db8::1]:53"];
        assert_eq!(servers(text), expected.map(|text| text.parse().unwrap()));
    }

    #[test]
    fn having_nobody_to_ask_is_an_error() {
        let none = Upstreams::Fixed(Vec::new()).read();
        assert!(matches!(none, Err(ConfigError::None)));
        let gone = Upstreams::File("/nonexistent/resolv.conf".into()).read();
        assert!(matches!(gone, Err(ConfigError::Read { .. })));
        let many = vec!["192.0.2.1:53".parse().unwrap(); 9];
        assert_eq!(Upstreams::Fixed(many).read().unwrap().len(), 3);
    }
}
