//! From the options about ingress to the settings of the backend.

use std::time::Duration;

use anyhow::{Context as _, bail};
use palisade_backend_linux::network::{ExternalPools, PoolName, Services};
use palisade_backend_linux::{Https, LinuxConfig};
use palisade_model::cidr::Cidr;

use crate::cli::IngressArgs;

/// Puts the options into the settings.
pub(crate) fn configure(config: &mut LinuxConfig, args: &IngressArgs) -> anyhow::Result<()> {
    config.network.services = services(args)?;
    config.address_wait = Duration::from_secs(args.address_wait.into());
    config.http_listen = args.http_listen;
    config.https = https(args);
    config.dns_records.clone_from(&args.dns_records);
    Ok(())
}

/// None of the three options is given without the others.
fn https(args: &IngressArgs) -> Option<Https> {
    Some(Https {
        listen: args.https_listen?,
        certificate: args.http_tls_cert.clone()?,
        key: args.http_tls_key.clone()?,
    })
}

/// What leads to sandboxes from outside.
pub(crate) fn services(args: &IngressArgs) -> anyhow::Result<Services> {
    let ranges = args.address_pools.iter().map(|text| pool(text));
    let ranges = ranges.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Services {
        node_ports: args.node_ports.0,
        node_address: args.node_address,
        pools: ExternalPools::new(ranges).context("--address-pool")?,
    })
}

/// Reads `NAME=CIDR`.
fn pool(text: &str) -> anyhow::Result<(PoolName, Cidr)> {
    let Some((name, range)) = text.split_once('=') else {
        bail!("the address pool {text:?} must read NAME=CIDR, such as public=203.0.113.16/28");
    };
    let name = name
        .parse()
        .with_context(|| format!("the name {name:?} of an address pool"))?;
    let range = range
        .parse()
        .with_context(|| format!("the range {range:?} of an address pool"))?;
    Ok((name, range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_pool_is_a_name_and_a_range() {
        let (name, range) = pool("public=203.0.113.16/28").unwrap();
        assert_eq!(name.as_str(), "public");
        assert_eq!(range.to_string(), "203.0.113.16/28");
        for text in ["public", "=203.0.113.16/28", "a=203.0.113.17/28", "a=b"] {
            assert!(pool(text).is_err(), "{text}");
        }
    }
}
