//! The generated protobuf types and services.
//!
//! Nothing is added to them here; conversions live beside the domain types that
//! they convert. The lints of the workspace are not the generator's.

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
