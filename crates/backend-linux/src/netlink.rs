//! Speaking to the kernel's network stack without starting a program.
//!
//! A small codec of our own, because three protocols share it (routing,
//! nftables, connection tracking), only a handful of messages of each are
//! needed, and a launch cannot afford to fork `ip` and `nft`. Nothing here
//! decides anything. Whatever the kernel answers is bounds-checked; attributes
//! that are not asked for are skipped, so that newer kernels do no harm.

pub(crate) mod attribute;
pub(crate) mod conntrack;
pub(crate) mod filter;
pub(crate) mod interface;
pub(crate) mod log;
pub(crate) mod route;
mod socket;

pub use socket::KernelError;
pub(crate) use socket::{Request, Socket};
