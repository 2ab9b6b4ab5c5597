//! Sockets inside the router and on the host, for the resolver.
//!
//! A socket stays in the namespace in which it was made, whatever thread uses
//! it. Those that listen are made once; the others are made by a thread that
//! stays on the host's side, since questions need a new one each.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::sync::{mpsc, oneshot};

use super::namespace::Namespace;
use super::{Network, lock};

/// How many orders may wait for the thread that makes sockets, which takes
/// some microseconds for each.
const ORDERS_MAX: usize = 64;

/// Sockets that listen on every address of the resolver.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) datagrams: Vec<UdpSocket>,
    pub(crate) streams: Vec<TcpListener>,
}

/// Makes sockets on one side, mostly the host's. The thread that does it ends with the last
/// of the clones.
#[derive(Clone, Debug)]
pub(crate) struct Outward(mpsc::Sender<Order>);

#[derive(Debug)]
enum Order {
    Datagrams(SocketAddr, oneshot::Sender<io::Result<UdpSocket>>),
    Stream(SocketAddr, oneshot::Sender<io::Result<TcpStream>>),
}

impl Network {
    /// Listens inside the router, where the sandboxes look for the resolver.
    pub(crate) fn listen(&self, port: u16) -> io::Result<Listening> {
        let addresses = self.resolver();
        self.router
            .visit(|| Listening::on(addresses.iter(), port))?
    }

    /// A way to what the host reaches, its own services included.
    pub(crate) fn outward(&self) -> io::Result<Outward> {
        Outward::from(&lock(&self.host).namespace)
    }
}

impl Listening {
    /// Listens in the namespace of the calling thread.
    pub(crate) fn on(addresses: impl Iterator<Item = IpAddr>, port: u16) -> io::Result<Self> {
        let mut listening = Self {
            datagrams: Vec::new(),
            streams: Vec::new(),
        };
        for address in addresses {
            let stream = TcpListener::bind((address, port))?;
            stream.set_nonblocking(true)?;
            // The same one, if it was left to the kernel.
            let datagrams = UdpSocket::bind(stream.local_addr()?)?;
            datagrams.set_nonblocking(true)?;
            listening.streams.push(stream);
            listening.datagrams.push(datagrams);
        }
        Ok(listening)
    }
}

impl Outward {
    pub(super) fn from(namespace: &Namespace) -> io::Result<Self> {
        let (orders, received) = mpsc::channel(ORDERS_MAX);
        namespace.inhabit("outward", move || fulfil(received))?;
        Ok(Self(orders))
    }

    /// A socket that hears and speaks to this address only, from a port that
    /// nobody can tell beforehand.
    pub(crate) async fn datagrams(&self, with: SocketAddr) -> io::Result<UdpSocket> {
        let (reply, made) = oneshot::channel();
        self.order(Order::Datagrams(with, reply)).await?;
        made.await.map_err(|_| gone())?
    }

    /// A socket that can be connected to this address.
    pub(crate) async fn stream(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let (reply, made) = oneshot::channel();
        self.order(Order::Stream(to, reply)).await?;
        made.await.map_err(|_| gone())?
    }

    async fn order(&self, order: Order) -> io::Result<()> {
        self.0.send(order).await.map_err(|_| gone())
    }
}

fn fulfil(mut orders: mpsc::Receiver<Order>) {
    while let Some(order) = orders.blocking_recv() {
        // Who ordered it may have given up.
        match order {
            Order::Datagrams(with, reply) => drop(reply.send(datagrams(with))),
            Order::Stream(to, reply) => drop(reply.send(stream(to))),
        }
    }
}

fn datagrams(with: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match with {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(with)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn stream(to: SocketAddr) -> io::Result<TcpStream> {
    let family = match to {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    Ok(socket.into())
}

fn gone() -> io::Error {
    io::Error::other("the thread that makes sockets has ended")
}

#[cfg(test)]
impl Outward {
    /// Makes them where the caller is.
    pub(crate) fn here() -> io::Result<Self> {
        Self::from(&Namespace::of_caller()?)
    }
}
