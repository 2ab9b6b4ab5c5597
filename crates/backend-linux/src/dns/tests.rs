//! The resolver as a whole, on loopback addresses, with upstream servers made
//! for each test. That only sandboxes reach it, and from where it asks, is
//! tested with the network.

mod answering;
mod bounds;
mod hostile;
mod naming;
mod stage;
mod trouble;
