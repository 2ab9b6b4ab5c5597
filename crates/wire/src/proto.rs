//! The generated protobuf types and services.
//!
//! Nothing is added to them here but that secrets are not shown; conversions live
//! beside the domain types that they convert. The lints of the workspace are not the generator's.

/// The contract with clients.
pub mod v1beta2 {
    #![expect(
        unused_qualifications,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::excessive_nesting,
        clippy::pedantic,
        reason = "generated code"
    )]
    tonic::include_proto!("coreweave.sandbox.v1beta2");
}

/// How a runner and a gateway talk.
pub mod runner_v1 {
    #![expect(
        unused_qualifications,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::excessive_nesting,
        clippy::pedantic,
        reason = "generated code"
    )]
    tonic::include_proto!("palisade.runner.v1");
}

/// What this server adds to the contract with clients.
pub mod tunnel_v1 {
    #![expect(
        unused_qualifications,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::excessive_nesting,
        clippy::pedantic,
        reason = "generated code"
    )]
    tonic::include_proto!("palisade.v1");
}

/// All descriptors, for reflection.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("descriptors");

/// Shows whose value it is, and not the value.
fn show_name(f: &mut std::fmt::Formatter<'_>, what: &str, env_var: &str) -> std::fmt::Result {
    f.debug_struct(what)
        .field("env_var", &env_var)
        .finish_non_exhaustive()
}

impl std::fmt::Debug for runner_v1::SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        show_name(f, "SecretValue", &self.env_var)
    }
}

impl std::fmt::Debug for v1beta2::ResolvedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        show_name(f, "ResolvedSecret", &self.env_var)
    }
}
