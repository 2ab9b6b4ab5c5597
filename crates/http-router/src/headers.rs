//! Headers between client and sandbox: what belongs to one connection stays on
//! it, and what says who asks is said by the router alone.

use http::header::{CONNECTION, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE};
use http::header::{TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};

use crate::host::HostName;
use crate::server::Client;

/// Belong to one connection and are never passed on.
const OF_CONNECTION: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TRANSFER_ENCODING,
    UPGRADE,
];
/// Say who asks. A client could write anything into them.
const OF_ROUTER: [HeaderName; 5] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];

/// The protocol that a request wants its connection to change to.
pub(crate) fn wanted_protocol<T>(request: &Request<T>) -> Option<HeaderValue> {
    let has_token = request.headers().get_all(CONNECTION).iter().any(|value| {
        let value = value.to_str().unwrap_or_default();
        value
            .split(',')
            .any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
    });
    (request.version() == Version::HTTP_11 && has_token)
        .then(|| request.headers().get(UPGRADE).cloned())
        .flatten()
}

/// Takes away what belongs to one connection.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&OF_CONNECTION) {
        headers.remove(name);
    }
    // Whoever reads trailers may say so on; gRPC insists.
    if headers.get(TE).is_some_and(|value| value != "trailers") {
        headers.remove(TE);
    }
}

/// Has a connection change its protocol.
pub(crate) fn change_to(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Says for which host and from whom a request came.
pub(crate) fn introduce(headers: &mut HeaderMap, host: &HostName, client: &Client) {
    for name in &OF_ROUTER {
        headers.remove(name);
    }
    let [_, forwarded_for, forwarded_host, forwarded_proto, _] = OF_ROUTER;
    let host = HeaderValue::from_str(host.as_str());
    let peer = HeaderValue::from_str(&client.address.to_canonical().to_string());
    if let (Ok(host), Ok(peer)) = (host, peer) {
        // A request of HTTP/2 names its host elsewhere.
        headers.entry(HOST).or_insert_with(|| host.clone());
        headers.insert(forwarded_host, host);
        headers.insert(forwarded_for, peer);
    }
    let scheme = HeaderValue::from_str(client.scheme.as_str());
    headers.insert(
        forwarded_proto,
        scheme.unwrap_or(HeaderValue::from_static("http")),
    );
}

#[cfg(test)]
mod tests {
    use http::uri::Scheme;

    use super::*;

    #[test]
    fn what_belongs_to_a_connection_stays_on_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-secret"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip"),
            ("accept", "*/*"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["accept"]);
    }

    #[test]
    fn nobody_says_in_the_router_s_place_who_asks() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("9.9.9.9"));
        headers.append("x-forwarded-for", HeaderValue::from_static("8.8.8.8"));
        headers.insert("x-real-ip", HeaderValue::from_static("9.9.9.9"));
        let host = "a.example.com".parse().unwrap();
        let client = Client::stranger([192, 0, 2, 1].into(), Scheme::HTTPS);
        introduce(&mut headers, &host, &client);
        assert_eq!(headers["x-forwarded-proto"], "https");
        let all: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        assert_eq!(all, ["192.0.2.1"]);
        assert!(!headers.contains_key("x-real-ip"));
        assert_eq!(headers[HOST], "a.example.com");
    }
}
