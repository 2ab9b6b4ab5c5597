//! Whom a request of HTTP/1.1 is for.
//!
//! Nothing here depends on the name. But whoever stands before this server, and reads
//! a request that names no host or several another way than it, could be led to take
//! one request for another: RFC 9112 (3.2) demands that these are refused. Over HTTP/2
//! the library sees to it.

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Version};

/// What is wrong with the header `Host`, if anything is.
pub(super) fn fault(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    if version > Version::HTTP_11 {
        return None;
    }
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => Some("the header Host is given more than once"),
        (Some(host), None) if !is_host(host) => {
            Some("the header Host must be a host, and may have a port behind it")
        }
        (None, _) if version == Version::HTTP_11 => {
            Some("the header Host is missing; HTTP/1.1 demands it")
        }
        (Some(_) | None, None) | (None, Some(_)) => None,
    }
}

/// Whether it is a host, with or without a port. An empty one stands for none.
fn is_host(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    bytes.is_empty() || (!bytes.contains(&b'@') && Authority::try_from(bytes).is_ok())
}
