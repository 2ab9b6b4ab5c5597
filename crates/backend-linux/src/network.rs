//! The network of the sandboxes on this host, and the policy that holds them.
