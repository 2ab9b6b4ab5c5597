//! A way to a server that can be cut, as networks are.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Carries connections to a server.
pub(crate) struct Wire {
    address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
    taken: Arc<Mutex<usize>>,
}

impl Wire {
    /// A wire to this server, until the test ends.
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (open, taken): (Arc<Mutex<Vec<TcpStream>>>, Arc<Mutex<usize>>) = Default::default();
        let (opened, counted) = (open.clone(), taken.clone());
        thread::spawn(move || {
            // A server that is gone takes nobody.
            let ends = listener.incoming().filter_map(|near| {
                let far = TcpStream::connect(server).ok()?;
                Some((near.unwrap(), far))
            });
            for (near, far) in ends {
                *counted.lock().unwrap() += 1;
                carry_both(&near, &far);
                opened.lock().unwrap().extend([near, far]);
            }
        });
        Self {
            address,
            open,
            taken,
        }
    }

    /// Where it begins.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections there were.
    pub(crate) fn taken(&self) -> usize {
        *self.taken.lock().unwrap()
    }

    /// Cuts all connections; new ones go through.
    pub(crate) fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn carry_both(near: &TcpStream, far: &TcpStream) {
    for (from, to) in [(near, far), (far, near)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        thread::spawn(move || carry(from, to));
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
