//! Whether the host itself has a use for a port.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use palisade_model::policy::Door;
use palisade_model::sandbox::Protocol;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

/// Whether nobody listens at a port. Asked where the caller is, of both versions;
/// nothing listens there afterwards either.
pub(in crate::network) fn is_free(door: Door) -> bool {
    let kind = match door.protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
        Protocol::Sctp => return false,
    };
    let both = [
        (
            AddressFamily::INET,
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, door.port)),
        ),
        (
            AddressFamily::INET6,
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, door.port)),
        ),
    ];
    both.into_iter().all(|(family, address)| {
        let socket = match socket_with(family, kind, SocketFlags::CLOEXEC, None) {
            Ok(socket) => socket,
            // A version that the host does not know is used by nobody.
            Err(error) => return error == rustix::io::Errno::AFNOSUPPORT,
        };
        bind(&socket, &address).is_ok()
    })
}
