//! The program that answers at some ports, so that others can be asked whether
//! they reach it.
//!
//! It greets whoever connects or sends anything, and never reads more than it
//! must. It says once that it listens, and ends when it is told to.

use std::io;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use palisade_init_protocol::probe::{DOORS_MAX, Door, GREETING, LISTENING};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::refuse;

enum Listener {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

/// Answers until it is ended.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let doors: Result<Vec<Door>, _> = arguments.iter().map(|text| text.parse()).collect();
    let doors = match doors {
        Ok(doors) if (1..=DOORS_MAX).contains(&doors.len()) => doors,
        Ok(doors) => {
            let count = doors.len();
            return refuse(&format!("{count} ports, say from 1 to {DOORS_MAX}"));
        }
        Err(error) => return refuse(&error),
    };
    match serve(&doors) {
        Ok(never) => match never {},
        Err(error) => {
            // Whoever started it reads why, or nobody does.
            let _ = writeln!(io::stderr(), "cannot listen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(doors: &[Door]) -> io::Result<std::convert::Infallible> {
    let listeners: Vec<Listener> = doors.iter().copied().map(open).collect::<Result<_, _>>()?;
    let mut out = io::stdout().lock();
    writeln!(out, "{LISTENING}")?;
    out.flush()?;
    loop {
        let mut polled: Vec<PollFd<'_>> = listeners
            .iter()
            .map(|listener| {
                let socket = match listener {
                    Listener::Tcp(socket) => socket.as_fd(),
                    Listener::Udp(socket) => socket.as_fd(),
                };
                PollFd::from_borrowed_fd(socket, PollFlags::IN)
            })
            .collect();
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for (listener, polled) in listeners.iter().zip(&polled) {
            if polled.revents() != PollFlags::empty() {
                greet(listener);
            }
        }
    }
}

/// Both versions at one socket, or version 4 where there is no other.
fn open(door: Door) -> io::Result<Listener> {
    let both = |open: &dyn Fn(SocketAddr) -> io::Result<Listener>, port| {
        let at = |address: IpAddr| SocketAddr::new(address, port);
        let open4 = |_| open(at(Ipv4Addr::UNSPECIFIED.into()));
        open(at(Ipv6Addr::UNSPECIFIED.into())).or_else(open4)
    };
    match door {
        Door::Tcp(port) => both(
            &|at| {
                let socket = TcpListener::bind(at)?;
                socket.set_nonblocking(true)?;
                Ok(Listener::Tcp(socket))
            },
            port.get(),
        ),
        Door::Udp(port) => both(
            &|at| {
                let socket = UdpSocket::bind(at)?;
                socket.set_nonblocking(true)?;
                Ok(Listener::Udp(socket))
            },
            port.get(),
        ),
    }
}

/// Nobody is waited for: what a caller does not take at once, it does not get.
fn greet(listener: &Listener) {
    match listener {
        Listener::Tcp(socket) => {
            if let Ok((mut stream, _)) = socket.accept() {
                let _ = stream.set_nonblocking(true);
                let _ = stream.write_all(GREETING);
            }
        }
        Listener::Udp(socket) => {
            let mut first = [0; 1];
            if let Ok((_, from)) = socket.recv_from(&mut first) {
                let _ = socket.send_to(GREETING, from);
            }
        }
    }
}
