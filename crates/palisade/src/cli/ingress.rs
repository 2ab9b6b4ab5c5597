//! The options that say how sandboxes are reached from outside.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use palisade_backend_linux::network::NodePorts;

/// The word for a range that is none.
const OFF: &str = "off";

/// How sandboxes are reached from outside.
#[derive(Args, Clone, Debug)]
pub(crate) struct IngressArgs {
    /// The ports of this machine that lead to sandboxes whose ingress level is a `NodePort`, or
    /// `off`; each is taken only while a sandbox has it
    #[arg(
        long,
        env = "PALISADE_NODE_PORTS",
        value_name = "FIRST-LAST",
        default_value_t = NodePortsArg(Some(NodePorts::USUAL))
    )]
    pub(crate) node_ports: NodePortsArg,
    /// The address of this machine that clients of such ports are told; one that leads to the
    /// outside by default
    #[arg(long, env = "PALISADE_NODE_ADDRESS", value_name = "ADDRESS")]
    pub(crate) node_address: Option<IpAddr>,
    /// Addresses for sandboxes whose ingress level is a `LoadBalancer`, such as
    /// public=203.0.113.16/28; repeatable, also for the same pool; levels pick a pool by its name
    /// in `serviceSelectorAnnotation`, and get `default` or the first one if they do not
    #[arg(
        long = "address-pool",
        env = "PALISADE_ADDRESS_POOLS",
        value_delimiter = ',',
        value_name = "NAME=CIDR"
    )]
    pub(crate) address_pools: Vec<String>,
    /// How long a sandbox waits for an address if all are taken and its level expects one
    #[arg(
        long,
        env = "PALISADE_ADDRESS_WAIT",
        value_name = "SECONDS",
        default_value_t = 120
    )]
    pub(crate) address_wait: u32,
    /// A file that is kept up to date with what levels with a `dnsAnnotation` want to be found
    /// under, for whatever keeps the names
    #[arg(long, env = "PALISADE_DNS_RECORDS", value_name = "FILE")]
    pub(crate) dns_records: Option<PathBuf>,
    /// Where HTTP for the host names of ingress levels is taken, such as 0.0.0.0:80; levels
    /// with a host name are refused without it
    #[arg(long, env = "PALISADE_HTTP_LISTEN", value_name = "ADDRESS:PORT")]
    pub(crate) http_listen: Option<SocketAddr>,
    /// Where it is taken with TLS, such as 0.0.0.0:443
    #[arg(
        long,
        env = "PALISADE_HTTPS_LISTEN",
        value_name = "ADDRESS:PORT",
        requires_all = ["http_tls_cert", "http_tls_key"]
    )]
    pub(crate) https_listen: Option<SocketAddr>,
    /// A chain of certificates for these host names, in PEM; replaced at any time
    #[arg(
        long,
        env = "PALISADE_HTTP_TLS_CERT",
        value_name = "FILE",
        requires = "https_listen"
    )]
    pub(crate) http_tls_cert: Option<PathBuf>,
    /// The key of the certificate, in PEM
    #[arg(
        long,
        env = "PALISADE_HTTP_TLS_KEY",
        value_name = "FILE",
        requires = "https_listen"
    )]
    pub(crate) http_tls_key: Option<PathBuf>,
}

/// A range of ports, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodePortsArg(pub(crate) Option<NodePorts>);

impl std::str::FromStr for NodePortsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == OFF {
            return Ok(Self(None));
        }
        let range = text.parse::<NodePorts>();
        let range = range.map_err(|error| format!("{error}, or {OFF}"))?;
        Ok(Self(Some(range)))
    }
}

impl std::fmt::Display for NodePortsArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(range) => range.fmt(f),
            None => f.write_str(OFF),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_ports_can_be_switched_off() {
        assert_eq!("off".parse(), Ok(NodePortsArg(None)));
        let usual = "30000-32767".parse::<NodePortsArg>().unwrap();
        assert_eq!(usual.to_string(), "30000-32767");
        let refused = "30000".parse::<NodePortsArg>().unwrap_err();
        assert!(refused.ends_with("or off"), "{refused}");
    }
}
