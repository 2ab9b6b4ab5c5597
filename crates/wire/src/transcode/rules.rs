//! Which call is at which path.
//!
//! The table is that of the contract's annotations. A call that may stay open
//! has none; a test holds the table against the descriptors.

/// One call and its place in REST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The method of HTTP.
    pub verb: Verb,
    /// The path; a place in braces is a field of the request.
    pub path: &'static str,
    /// The service, with its package.
    pub service: &'static str,
    /// The call.
    pub rpc: &'static str,
}

/// A method of HTTP that calls use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Fields come from the query.
    Get,
    /// Fields come from the body.
    Post,
    /// Fields come from the body.
    Put,
    /// Fields come from the query.
    Delete,
}

impl Verb {
    /// The method as HTTP spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// Whether the request is in the body.
    pub fn has_body(self) -> bool {
        match self {
            Self::Post | Self::Put => true,
            Self::Get | Self::Delete => false,
        }
    }
}

impl Rule {
    /// The path of the call in gRPC.
    pub fn grpc_path(&self) -> String {
        format!("/{}/{}", self.service, self.rpc)
    }

    /// The fields that stand in the path.
    pub fn places(&self) -> impl Iterator<Item = &'static str> {
        let parts = self.path.split('/');
        parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

const GATEWAY: &str = "coreweave.sandbox.v1beta2.GatewayService";
const DISCOVERY: &str = "coreweave.sandbox.v1beta2.DiscoveryService";
const SECRETS: &str = "coreweave.sandbox.v1beta2.SecretStoreService";

const SANDBOXES: &str = "/v1beta2/sandboxes";
const SANDBOX: &str = "/v1beta2/sandboxes/{sandbox_id}";
const SNAPSHOTS: &str = "/v1beta2/file-system-snapshots";
const SNAPSHOT: &str = "/v1beta2/file-system-snapshots/{file_system_snapshot_id}";
const BUCKET: &str = "/v1beta2/file-system-snapshots/bucket-config";
const IDENTITY: &str = "/v1beta2/object-storage/wif-config";
const STORES: &str = "/v1beta2/secretstores";
const STORE: &str = "/v1beta2/secretstores/{name}";

const fn rule(verb: Verb, path: &'static str, service: &'static str, rpc: &'static str) -> Rule {
    Rule {
        verb,
        path,
        service,
        rpc,
    }
}

/// Every call that is answered once.
pub const RULES: &[Rule] = &[
    rule(Verb::Post, SANDBOXES, GATEWAY, "Start"),
    rule(Verb::Get, SANDBOXES, GATEWAY, "List"),
    rule(Verb::Get, SANDBOX, GATEWAY, "Get"),
    rule(Verb::Delete, SANDBOX, GATEWAY, "Delete"),
    rule(
        Verb::Post,
        "/v1beta2/sandboxes/{sandbox_id}/stop",
        GATEWAY,
        "Stop",
    ),
    rule(
        Verb::Post,
        "/v1beta2/sandboxes/{sandbox_id}/exec",
        GATEWAY,
        "Exec",
    ),
    rule(
        Verb::Post,
        "/v1beta2/sandboxes/{sandbox_id}/files",
        GATEWAY,
        "AddFile",
    ),
    rule(
        Verb::Get,
        "/v1beta2/sandboxes/{sandbox_id}/files/{filepath}",
        GATEWAY,
        "RetrieveFile",
    ),
    rule(
        Verb::Post,
        "/v1beta2/sandboxes/{sandbox_id}/pause",
        GATEWAY,
        "Pause",
    ),
    rule(
        Verb::Post,
        "/v1beta2/sandboxes/{sandbox_id}/resume",
        GATEWAY,
        "Resume",
    ),
    rule(
        Verb::Post,
        "/v1beta2/sandboxes/{sandbox_id}/raw",
        GATEWAY,
        "Raw",
    ),
    rule(
        Verb::Post,
        "/v1beta2/sandboxes/{sandbox_id}/file-system-snapshots",
        GATEWAY,
        "CreateFileSystemSnapshot",
    ),
    rule(Verb::Get, SNAPSHOTS, GATEWAY, "ListFileSystemSnapshots"),
    rule(Verb::Get, SNAPSHOT, GATEWAY, "GetFileSystemSnapshot"),
    rule(Verb::Delete, SNAPSHOT, GATEWAY, "DeleteFileSystemSnapshot"),
    rule(
        Verb::Get,
        BUCKET,
        GATEWAY,
        "GetFileSystemSnapshotBucketConfig",
    ),
    rule(
        Verb::Put,
        BUCKET,
        GATEWAY,
        "SetFileSystemSnapshotBucketConfig",
    ),
    rule(Verb::Get, IDENTITY, GATEWAY, "GetObjectStorageWIFConfig"),
    rule(Verb::Put, IDENTITY, GATEWAY, "SetObjectStorageWIFConfig"),
    rule(
        Verb::Delete,
        IDENTITY,
        GATEWAY,
        "DeleteObjectStorageWIFConfig",
    ),
    rule(
        Verb::Get,
        "/v1beta2/runners",
        DISCOVERY,
        "ListAvailableRunners",
    ),
    rule(
        Verb::Get,
        "/v1beta2/runners/{runner_id}",
        DISCOVERY,
        "GetAvailableRunner",
    ),
    rule(Verb::Get, "/v1beta2/profiles", DISCOVERY, "ListProfiles"),
    rule(
        Verb::Get,
        "/v1beta2/profiles/{profile_name}",
        DISCOVERY,
        "GetProfile",
    ),
    rule(Verb::Post, STORES, SECRETS, "CreateSecretStore"),
    rule(Verb::Get, STORES, SECRETS, "ListSecretStores"),
    rule(Verb::Get, STORE, SECRETS, "GetSecretStore"),
    rule(Verb::Delete, STORE, SECRETS, "DeleteSecretStore"),
];
