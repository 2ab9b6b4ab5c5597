//! Host names as requests give them.
//!
//! One spelling for each name: lower case, no dot at the end, no port. What is
//! not made of labels of DNS is no name of a sandbox and is refused.

use std::fmt;
use std::str::FromStr;

use http::header::HOST;
use http::{Uri, Version};

/// The longest name that DNS has.
const NAME_MAX: usize = 253;
/// The longest label of a name.
const LABEL_MAX: usize = 63;

/// A host name in its one spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

/// Why a request has no host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostNameError {
    /// It gives none.
    #[error("the request names no host")]
    Absent,
    /// It gives several, and they differ.
    #[error("the request names several hosts")]
    Several,
    /// What it gives cannot be one.
    #[error("the request names a host that cannot be one")]
    Malformed,
}

impl HostName {
    /// The name that a request is for.
    pub(crate) fn of<T>(request: &http::Request<T>) -> Result<Self, HostNameError> {
        let target = authority(request.uri())?;
        let mut given = request.headers().get_all(HOST).iter();
        let header = given.next();
        if given.next().is_some() {
            return Err(HostNameError::Several);
        }
        let header = header
            .map(|value| {
                value
                    .to_str()
                    .map_err(|_| HostNameError::Malformed)?
                    .parse()
            })
            .transpose()?;
        match (target, header) {
            (Some(target), Some(header)) if target != header => Err(HostNameError::Several),
            // HTTP/1.1 demands it even where the target names the host.
            (Some(_), None) if request.version() == Version::HTTP_11 => Err(HostNameError::Absent),
            (Some(name), _) | (None, Some(name)) => Ok(name),
            (None, None) => Err(HostNameError::Absent),
        }
    }

    /// The name as a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn authority(uri: &Uri) -> Result<Option<HostName>, HostNameError> {
    let authority = uri.authority();
    authority
        .map(|authority| authority.as_str().parse())
        .transpose()
}

impl FromStr for HostName {
    type Err = HostNameError;

    /// Reads a name, with or without a port.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = match text.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => name,
            Some(_) => return Err(HostNameError::Malformed),
            None => text,
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_name = !name.is_empty() && name.len() <= NAME_MAX && name.split('.').all(is_label);
        if !is_name {
            return Err(HostNameError::Malformed);
        }
        Ok(Self(name.to_ascii_lowercase()))
    }
}

fn is_label(label: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=LABEL_MAX).contains(&label.len())
        && label.chars().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn of(uri: &str, hosts: &[&str]) -> Result<String, HostNameError> {
        of_version(Version::HTTP_11, uri, hosts)
    }

    fn of_version(version: Version, uri: &str, hosts: &[&str]) -> Result<String, HostNameError> {
        let mut request = Request::builder().version(version).uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        HostName::of(&request.body(()).unwrap()).map(|name| name.to_string())
    }

    #[test]
    fn one_name_has_one_spelling() {
        for host in [
            "Box.Example.com",
            "box.example.com.",
            "box.example.com:8080",
        ] {
            assert_eq!(of("/", &[host]).as_deref(), Ok("box.example.com"), "{host}");
        }
        let absolute = of("http://box.example.com/a", &["BOX.example.com:80"]);
        assert_eq!(absolute.as_deref(), Ok("box.example.com"));
    }

    #[test]
    fn what_names_no_host_or_two_is_refused() {
        assert_eq!(of("/", &[]), Err(HostNameError::Absent));
        assert_eq!(of("http://a.com/", &[]), Err(HostNameError::Absent));
        let elsewhere = of_version(Version::HTTP_2, "http://a.com/", &[]);
        assert_eq!(elsewhere.as_deref(), Ok("a.com"));
        assert_eq!(of("/", &["a.com", "a.com"]), Err(HostNameError::Several));
        assert_eq!(of("http://a.com/", &["b.com"]), Err(HostNameError::Several));
        let long = format!("{}.com", "a".repeat(64));
        for host in [
            "", ".", "a..b", "-a.b", "a_b", "a b", "[::1]", "a:b:1", "a:99999", "a@b", &long,
        ] {
            assert_eq!(of("/", &[host]), Err(HostNameError::Malformed), "{host}");
        }
    }
}
