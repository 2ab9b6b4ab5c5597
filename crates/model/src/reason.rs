//! The reasons that an answer can give for not being a success.
//!
//! One enum for the whole system. A reason fixes the status of both protocols
//! and whether trying again can help; each has a page in `docs/errors/`. The
//! message that goes with it is made where the refusal happens.

use std::fmt;

/// The domain that goes with every reason.
pub const DOMAIN: &str = "cwsandbox.com";

/// The canonical status codes that we use, as gRPC numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The request itself is malformed.
    InvalidArgument,
    /// Time ran out.
    DeadlineExceeded,
    /// The thing does not exist, or belongs to another organization.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// The caller may not do this.
    PermissionDenied,
    /// A limit or a pool is used up.
    ResourceExhausted,
    /// The request is sound and the state of the system forbids it.
    FailedPrecondition,
    /// Somebody else changed the thing meanwhile.
    Aborted,
    /// The feature does not exist here.
    Unimplemented,
    /// A fault of ours.
    Internal,
    /// Something needed is away for now.
    Unavailable,
    /// The caller did not say who it is.
    Unauthenticated,
}

impl Code {
    /// The code as the protocol spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }

    /// The number of the code in gRPC.
    pub fn number(self) -> i32 {
        match self {
            Self::InvalidArgument => 3,
            Self::DeadlineExceeded => 4,
            Self::NotFound => 5,
            Self::AlreadyExists => 6,
            Self::PermissionDenied => 7,
            Self::ResourceExhausted => 8,
            Self::FailedPrecondition => 9,
            Self::Aborted => 10,
            Self::Unimplemented => 12,
            Self::Internal => 13,
            Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }

    /// The code that gRPC numbers so, if we use it.
    pub fn of_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }

    /// Every code.
    pub const ALL: [Self; 12] = [
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::Unauthenticated,
    ];

    /// The HTTP status that carries this code.
    pub fn http_status(self) -> u16 {
        match self {
            Self::InvalidArgument | Self::FailedPrecondition => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Aborted => 409,
            Self::ResourceExhausted => 429,
            Self::Internal => 500,
            Self::Unimplemented => 501,
            Self::Unavailable => 503,
            Self::DeadlineExceeded => 504,
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $code:ident;)*) => {
        /// Why a request did not succeed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The reason as clients compare it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("CWSANDBOX_", $text),)*
                }
            }

            /// The status code that goes with the reason.
            pub fn code(self) -> Code {
                match self {
                    $(Self::$name => Code::$code,)*
                }
            }
        }
    };
}

reasons! {
    /// No bound profile on any runner can serve the request.
    NoSuitableRunner = "NO_SUITABLE_RUNNER", FailedPrecondition;
    /// The profile that the caller named cannot serve the request.
    ProfileMismatch = "PROFILE_MISMATCH", FailedPrecondition;
    /// The caller's organization has no such sandbox.
    SandboxNotFound = "SANDBOX_NOT_FOUND", NotFound;
    /// The caller's organization has no such runner.
    RunnerNotFound = "RUNNER_NOT_FOUND", NotFound;
    /// The caller's organization has no such profile.
    ProfileNotFound = "PROFILE_NOT_FOUND", NotFound;
    /// Something else that was named does not exist.
    ResourceNotFound = "RESOURCE_NOT_FOUND", NotFound;
    /// The sandbox is not in a state that allows this.
    SandboxNotRunning = "SANDBOX_NOT_RUNNING", FailedPrecondition;
    /// A command ran past its limit and was killed.
    CommandTimeout = "COMMAND_TIMEOUT", DeadlineExceeded;
    /// A command could not be started in the sandbox.
    ExecFailed = "EXEC_FAILED", FailedPrecondition;
    /// Nothing listens at the port of the sandbox.
    PortClosed = "PORT_CLOSED", FailedPrecondition;
    /// The connection to the port of the sandbox could not be made, or broke.
    TunnelFailed = "TUNNEL_FAILED", FailedPrecondition;
    /// The runner of the sandbox cannot be reached for now.
    RunnerUnavailable = "RUNNER_UNAVAILABLE", Unavailable;
    /// Something that the service needs is away for now.
    BackendUnavailable = "BACKEND_UNAVAILABLE", Unavailable;
    /// The server has more to do than it can take on for now.
    Overloaded = "OVERLOADED", ResourceExhausted;
    /// The path names no file.
    FileNotFound = "FILE_NOT_FOUND", NotFound;
    /// The path names a directory.
    FileIsDirectory = "FILE_IS_DIRECTORY", FailedPrecondition;
    /// The sandbox itself may not open the file so.
    FilePermissionDenied = "FILE_PERMISSION_DENIED", PermissionDenied;
    /// Reading or writing the file failed inside the sandbox.
    FileIoFailed = "FILE_IO_FAILED", Internal;
    /// The file is larger than one call may carry.
    FileTooLarge = "FILE_TOO_LARGE", FailedPrecondition;
    /// File-system snapshots are not available here.
    FssNotSupported = "FSS_NOT_SUPPORTED", FailedPrecondition;
    /// The caller's organization has no such snapshot.
    FssNotFound = "FSS_NOT_FOUND", NotFound;
    /// The snapshot cannot be restored, or not yet.
    FssNotReady = "FSS_NOT_READY", FailedPrecondition;
    /// The file system is larger than allowed, or too small for the snapshot.
    FssSizeExceeded = "FSS_SIZE_EXCEEDED", FailedPrecondition;
    /// The organization has as many snapshots as it may.
    FssQuotaExceeded = "FSS_QUOTA_EXCEEDED", ResourceExhausted;
    /// As many snapshots are being taken at once as may be.
    FssInflightLimit = "FSS_INFLIGHT_LIMIT", Unavailable;
    /// The snapshot lies in another bucket than the organization uses now.
    FssBucketMismatch = "FSS_BUCKET_MISMATCH", FailedPrecondition;
    /// The bucket for snapshots cannot be used.
    FssBucketUnavailable = "FSS_BUCKET_UNAVAILABLE", FailedPrecondition;
    /// The bucket for snapshots does not take the key of the server.
    FssAuthFailed = "FSS_AUTH_FAILED", FailedPrecondition;
    /// The bucket for snapshots could not be reached.
    FssTransportFailed = "FSS_TRANSPORT_FAILED", FailedPrecondition;
    /// The bucket for snapshots has too much to do for now.
    FssBackendThrottled = "FSS_BACKEND_THROTTLED", Unavailable;
    /// The snapshot could not be taken.
    FssCreateFailed = "FSS_CREATE_FAILED", FailedPrecondition;
    /// The snapshot took longer than it may.
    FssCreateTimedOut = "FSS_CREATE_TIMED_OUT", DeadlineExceeded;
    /// The snapshot could not be put into a sandbox.
    FssRestoreFailed = "FSS_RESTORE_FAILED", FailedPrecondition;
    /// The snapshot is not ready yet, and goes on being taken.
    FssWaitTimeout = "FSS_WAIT_TIMEOUT", DeadlineExceeded;
    /// The snapshot was deleted while it was taken.
    FssCanceled = "FSS_CANCELED", Aborted;
    /// The feature does not exist on this server.
    NotImplemented = "NOT_IMPLEMENTED", Unimplemented;
    /// The request breaks a rule that does not depend on any state.
    InvalidRequest = "INVALID_REQUEST", InvalidArgument;
    /// The request is larger than the server reads.
    RequestTooLarge = "REQUEST_TOO_LARGE", InvalidArgument;
    /// No token, or one that is not valid.
    Unauthenticated = "UNAUTHENTICATED", Unauthenticated;
    /// The token is valid and its role is not enough.
    PermissionDenied = "PERMISSION_DENIED", PermissionDenied;
    /// Another profile of the organization has this display name.
    ProfileNameTaken = "PROFILE_NAME_TAKEN", AlreadyExists;
    /// A runner still binds the profile.
    ProfileInUse = "PROFILE_IN_USE", Aborted;
    /// Another runner of the organization has this id.
    RunnerIdTaken = "RUNNER_ID_TAKEN", AlreadyExists;
    /// The cluster already has a managed runner.
    ClusterHasRunner = "CLUSTER_HAS_RUNNER", AlreadyExists;
    /// Sandboxes still live on the runner.
    RunnerInUse = "RUNNER_IN_USE", Aborted;
    /// A binding names a profile that does not exist.
    BoundProfileNotFound = "BOUND_PROFILE_NOT_FOUND", FailedPrecondition;
    /// The object changed since the caller read it.
    EtagMismatch = "ETAG_MISMATCH", Aborted;
    /// Another secret store of the organization has this name.
    SecretStoreNameTaken = "SECRET_STORE_NAME_TAKEN", AlreadyExists;
    /// The server is not set up to keep secrets, or cannot read them.
    SecretStoreNotProvisioned = "SECRET_STORE_NOT_PROVISIONED", FailedPrecondition;
    /// A limit of the organization would be passed.
    QuotaExceeded = "QUOTA_EXCEEDED", ResourceExhausted;
    /// A fault of the server; the request id finds it in the log.
    Internal = "INTERNAL", Internal;
}

impl Reason {
    /// Whether the same request can succeed later without anybody's doing.
    pub fn may_retry(self) -> bool {
        match self.code() {
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => true,
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::Unimplemented
            | Code::Internal
            | Code::Unauthenticated => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
