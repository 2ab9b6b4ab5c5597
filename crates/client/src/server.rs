//! The address of a server.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

/// Where a server is, as scheme, host and port alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server(Url);

/// The text is not the address of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadServer {
    /// It is no URL at all, or one of another kind.
    #[error("must be a URL such as https://palisade.example.com or http://127.0.0.1:8080")]
    NotAUrl,
    /// It has parts that an address does not have.
    #[error("must be scheme, host and port alone, without path, query or user")]
    MoreThanHost,
}

impl Server {
    /// Whether what is sent there stays on this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }

    /// Whether what is sent there is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The address of something on the server, by the parts of its path.
    pub(crate) fn at(&self, parts: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(parts);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl FromStr for Server {
    type Err = BadServer;

    fn from_str(text: &str) -> Result<Self, BadServer> {
        let url = Url::parse(text.trim()).map_err(|_| BadServer::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(BadServer::NotAUrl);
        }
        let is_bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if is_bare {
            Ok(Self(url))
        } else {
            Err(BadServer::MoreThanHost)
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_scheme_host_and_port() {
        let server: Server = "http://127.0.0.1:8080/".parse().unwrap();
        assert_eq!(server.to_string(), "http://127.0.0.1:8080");
        assert!(server.is_loopback() && !server.is_encrypted());
        let server: Server = "https://palisade.example.com".parse().unwrap();
        assert!(!server.is_loopback() && server.is_encrypted());
        assert!("http://[::1]:1".parse::<Server>().unwrap().is_loopback());
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "localhost:80", "ftp://x", "/x", "http://"] {
            assert_eq!(text.parse::<Server>(), Err(BadServer::NotAUrl), "{text}");
        }
        for text in [
            "http://x/y",
            "http://x?y",
            "http://u@x",
            "http://u:p@x",
            "http://x#y",
        ] {
            assert_eq!(
                text.parse::<Server>(),
                Err(BadServer::MoreThanHost),
                "{text}"
            );
        }
    }

    #[test]
    fn names_with_odd_characters_stay_one_part_of_the_path() {
        let server: Server = "http://x".parse().unwrap();
        let url = server.at(&["a", "b/c ?#%.."], &[("k", "a&b".to_owned())]);
        assert_eq!(url.query(), Some("k=a%26b"));
        assert_eq!(url.path(), "/a/b%2Fc%20%3F%23%25..");
    }
}
