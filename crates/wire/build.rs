//! Compiles the protocol buffers with `protox`, so that no `protoc` is needed.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

const PROTOS: [&str; 6] = [
    "coreweave/sandbox/v1beta2/discovery.proto",
    "coreweave/sandbox/v1beta2/gateway.proto",
    "coreweave/sandbox/v1beta2/secrets.proto",
    "coreweave/sandbox/v1beta2/streaming.proto",
    "palisade/runner/v1/runner.proto",
    "palisade/v1/tunnel.proto",
];

/// Fields that carry payload: shared buffers instead of copies.
const BYTES: [&str; 12] = [
    ".coreweave.sandbox.v1beta2.ExecStreamData.data",
    ".coreweave.sandbox.v1beta2.ExecStreamOutput.data",
    ".coreweave.sandbox.v1beta2.LogStreamData.data",
    ".coreweave.sandbox.v1beta2.AddFileSandboxRequest.file_contents",
    ".coreweave.sandbox.v1beta2.RetrieveFileSandboxResponse.file_contents",
    ".palisade.runner.v1.AttachUp",
    ".palisade.runner.v1.AttachDown",
    ".palisade.runner.v1.LogChunk",
    ".palisade.runner.v1.FetchChunk",
    ".palisade.runner.v1.ArchiveHead",
    ".palisade.v1.ConnectRequest",
    ".palisade.v1.ConnectResponse",
];

/// Messages that hold secrets, which are shown nowhere.
const SECRET: [&str; 2] = [
    ".palisade.runner.v1.SecretValue",
    ".coreweave.sandbox.v1beta2.ResolvedSecret",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let out_dir = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(out_dir.join("descriptors.bin"), descriptors.encode_to_vec())?;
    let mut config = tonic_prost_build::Config::new();
    config.bytes(BYTES);
    // What is shown of them is written by hand: their names.
    config.skip_debug(SECRET);
    tonic_prost_build::configure()
        // Clients are made over channels; a call named `connect` would not go beside it.
        .build_transport(false)
        .codec_path("crate::codec::Codec")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
