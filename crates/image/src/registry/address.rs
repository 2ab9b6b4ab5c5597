//! Where a registry is, and where it may lead us.
//!
//! The scheme follows from the name and the settings alone; nothing that a
//! server answers makes a connection less safe than its registry's.

use std::net::IpAddr;

use palisade_model::image::ImageReference;
use reqwest::Url;

use super::settings::Registries;
use crate::error::ImageError;

/// The host behind the name of the default registry.
const DEFAULT_HOST: &str = "registry-1.docker.io";

/// A registry that may be asked.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    registry: String,
    base: Url,
}

impl Endpoint {
    /// The registry of a reference, if the settings allow it.
    pub(super) fn of(
        reference: &ImageReference,
        settings: &Registries,
    ) -> Result<Self, ImageError> {
        let registry = reference.registry().to_ascii_lowercase();
        let refuse = |why| ImageError::NotAllowed {
            registry: registry.clone(),
            why,
        };
        let is_listed = match &settings.allowed {
            Some(allowed) if !allowed.contains(&registry) => {
                return Err(refuse("ask its operator to add it, or use another image"));
            }
            Some(_) => true,
            None => settings.insecure.contains(&registry),
        };
        let host = if registry == ImageReference::DEFAULT_REGISTRY {
            DEFAULT_HOST
        } else {
            &registry
        };
        let not_an_address = |_| refuse("its name is not that of a host");
        let mut base = Url::parse(&format!("https://{host}/")).map_err(not_an_address)?;
        if is_unroutable(&base) && !is_listed {
            return Err(refuse("its address belongs to this machine's own network"));
        }
        if is_loopback(&base) || settings.insecure.contains(&registry) {
            base = Url::parse(&format!("http://{host}/")).map_err(not_an_address)?;
        }
        Ok(Self { registry, base })
    }

    /// The name of the registry, for messages.
    pub(super) fn registry(&self) -> &str {
        &self.registry
    }

    /// Whether it is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.base)
    }

    /// Whether it is spoken to without TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }

    /// The address of a `kind` of thing in a repository. All parts are checked
    /// by whoever made them: none holds a character that a path gives a meaning.
    pub(super) fn at(&self, reference: &ImageReference, kind: &str, name: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{}/{kind}/{name}", reference.repository()));
        url
    }

    /// Whether `url` is the registry itself, so that it may see the credentials.
    pub(super) fn is_at(&self, url: &Url) -> bool {
        self.base.origin() == url.origin()
    }

    /// Whether the registry may send us to `url`, for a layer or a token.
    pub(super) fn may_lead_to(&self, url: &Url) -> bool {
        let has_login = !url.username().is_empty() || url.password().is_some();
        if has_login || url.host_str().is_none() {
            return false;
        }
        let is_same_host = url.host_str() == self.base.host_str();
        match url.scheme() {
            "https" => is_same_host || self.is_loopback() || !is_own(url),
            "http" => self.is_plain() && (is_same_host || (self.is_loopback() && is_loopback(url))),
            _ => false,
        }
    }
}

fn address(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr = bare.parse().ok()?;
    Some(address.to_canonical())
}

fn is_loopback(url: &Url) -> bool {
    let by_name = url.host_str() == Some("localhost");
    by_name || address(url).is_some_and(|address| address.is_loopback())
}

/// Link-local, where clouds keep secrets of the machine, or no address at all.
fn is_unroutable(url: &Url) -> bool {
    address(url).is_some_and(|address| match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_unspecified() || v4.is_multicast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast(),
    })
}

fn is_own(url: &Url) -> bool {
    is_loopback(url) || is_unroutable(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(reference: &str, settings: &Registries) -> Result<Endpoint, ImageError> {
        Endpoint::of(&reference.parse().unwrap(), settings)
    }

    fn manifest(reference: &str, settings: &Registries) -> String {
        let parsed = reference.parse().unwrap();
        let endpoint = endpoint(reference, settings).unwrap();
        endpoint.at(&parsed, "manifests", "1").to_string()
    }

    #[test]
    fn short_names_mean_the_default_registry() {
        let url = manifest("python:3.11", &Registries::default());
        assert_eq!(
            url,
            "https://registry-1.docker.io/v2/library/python/manifests/1"
        );
    }

    #[test]
    fn only_loopback_and_listed_registries_are_spoken_to_in_plain() {
        let insecure = ["lab.example:5000".to_owned()].into();
        let settings = Registries {
            insecure,
            ..Registries::default()
        };
        for (reference, scheme) in [
            ("localhost:5000/a:1", "http"),
            ("127.0.0.1:5000/a:1", "http"),
            ("127.1:5000/a:1", "http"),
            ("[::1]:5000/a:1", "http"),
            ("lab.example:5000/a:1", "http"),
            ("LAB.example:5000/a:1", "http"),
            ("lab.example/a:1", "https"),
            ("localhost.example/a:1", "https"),
            ("10.0.0.1:5000/a:1", "https"),
        ] {
            let endpoint = endpoint(reference, &settings).unwrap();
            assert_eq!(endpoint.base.scheme(), scheme, "{reference}");
        }
    }

    #[test]
    fn metadata_addresses_and_unlisted_registries_are_refused() {
        let any = Registries::default();
        for reference in [
            "169.254.169.254/latest:1",
            "0.0.0.0:5000/a:1",
            "[fe80::1]/a:1",
            "[::ffff:169.254.169.254]/a:1",
            "0xa9fea9fe.0/a:1",
        ] {
            let refused = endpoint(reference, &any);
            assert!(
                matches!(refused, Err(ImageError::NotAllowed { .. })),
                "{reference}"
            );
        }
        let some = Registries {
            allowed: Some(["good.example".to_owned()].into()),
            ..Registries::default()
        };
        assert!(endpoint("good.example/a:1", &some).is_ok());
        let refused = endpoint("python:3.11", &some).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "registry docker.io is not among those that this machine may pull from; ask its operator to add it, or use another image"
        );
    }

    #[test]
    fn nobody_is_led_to_a_less_safe_place() {
        let all = Registries {
            insecure: ["lab.example:5000".to_owned()].into(),
            ..Registries::default()
        };
        let leads = |from: &str, to: &str| {
            let endpoint = endpoint(from, &all).unwrap();
            endpoint.may_lead_to(&Url::parse(to).unwrap())
        };
        for (from, to, expected) in [
            ("python:3.11", "https://storage.example/x?sig=1", true),
            ("python:3.11", "http://storage.example/x", false),
            ("python:3.11", "http://registry-1.docker.io/x", false),
            ("python:3.11", "https://127.0.0.1/x", false),
            ("python:3.11", "https://localhost/x", false),
            ("python:3.11", "https://169.254.169.254/x", false),
            ("python:3.11", "https://user:secret@storage.example/", false),
            ("python:3.11", "file:///etc/passwd", false),
            ("lab.example:5000/a", "http://lab.example:7000/x", true),
            ("lab.example:5000/a", "http://other.example/x", false),
            ("lab.example:5000/a", "http://127.0.0.1/x", false),
            ("lab.example:5000/a", "https://other.example/x", true),
            ("localhost:5000/a", "http://127.0.0.1:7000/x", true),
            ("localhost:5000/a", "http://storage.example/x", false),
        ] {
            assert_eq!(leads(from, to), expected, "{from} to {to}");
        }
    }
}
