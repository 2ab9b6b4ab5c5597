//! What to do next after a refusal.

use palisade_client::BadCertificate;
use palisade_model::reason::{Code, Reason};

/// What helps where nothing is known of why a server is out of reach.
pub(super) const UNREACHABLE: &str =
    "check the address (cwic auth status) and that the server runs";

/// What helps where the certificate of a server is not believed.
pub(super) fn by_certificate(bad: BadCertificate) -> &'static str {
    match bad {
        BadCertificate::OfAuthority => {
            "give the server a certificate of its own (CA:FALSE) that the authority signed, and \
             name the authority's with --ca-file"
        }
        BadCertificate::UnknownIssuer => {
            "name the certificate of the authority that signed it with --ca-file, if you trust it"
        }
        BadCertificate::OtherName => {
            "use a name that it has, or give the server a certificate for this one"
        }
        BadCertificate::OutOfDate => {
            "give the server a new certificate; is the clock of this machine right?"
        }
    }
}

/// What the reason asks for; `None` where its kind says it as well.
pub(super) fn by_reason(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::NoSuitableRunner => Some(
            "ask for less, bind a profile that allows it with cwic sandbox runner edit, or add a runner",
        ),
        Reason::ProfileMismatch => Some(
            "ask for less, change the profile with cwic sandbox profile edit, or name another one",
        ),
        Reason::SandboxNotRunning => {
            Some("look at its state; one that has ended must be started anew")
        }
        Reason::ExecFailed => Some("check that the command is in the image of the sandbox"),
        Reason::PortClosed => Some("look whether the program listens there, and at which address"),
        Reason::TunnelFailed => Some("connect again"),
        Reason::FileIsDirectory => Some("name a file in it"),
        Reason::FileTooLarge => Some("copy it in parts, or stream it through a command"),
        Reason::FssNotSupported => Some("start the sandbox without a file system of its own"),
        Reason::FssNotReady => Some("wait until the snapshot is ready, or take another one"),
        Reason::FssSizeExceeded => Some("ask for another size of the file system"),
        Reason::FssQuotaExceeded => Some("delete snapshots that nobody needs"),
        Reason::FssBucketMismatch => Some("set the bucket back to the one of the snapshot"),
        Reason::FssBucketUnavailable => {
            Some("give the server access to the bucket, or go back to the store of the server")
        }
        Reason::FssAuthFailed => Some("give the key of the server access to the bucket"),
        Reason::FssBackendThrottled | Reason::FssTransportFailed => Some("take it again later"),
        Reason::FssRestoreFailed => Some("restore another snapshot"),
        Reason::FssCreateTimedOut => Some("give it more time"),
        Reason::FssWaitTimeout => Some("read the snapshot until it is ready"),
        Reason::NotImplemented => {
            Some("this server cannot do that; compare versions with cwic version")
        }
        Reason::BoundProfileNotFound => {
            Some("list the profiles that there are: cwic sandbox profile ls; nothing was changed")
        }
        Reason::ProfileInUse => {
            Some("take it off the runner's list with cwic sandbox runner edit, then delete it")
        }
        Reason::RunnerInUse => {
            Some("stop its sandboxes or wait for them, or end them with it: --force")
        }
        Reason::ProfileNameTaken => Some(
            "choose another display_name, or change the profile that has it: cwic sandbox profile apply -f FILE",
        ),
        Reason::RunnerIdTaken => Some(
            "choose another runner_id, or change the runner that has it: cwic sandbox runner apply -f FILE",
        ),
        Reason::ClusterHasRunner => {
            Some("change the runner that the cluster has: cwic sandbox runner ls --cluster NAME")
        }
        Reason::RequestTooLarge => Some("make the document smaller; nothing was changed"),
        Reason::QuotaExceeded => {
            Some("free some of what is used, or ask for a larger quota of the organization")
        }
        Reason::SecretStoreNameTaken => {
            Some("use the store that there is: cwic sandbox secret store ls")
        }
        Reason::SecretStoreNotProvisioned => {
            Some("ask whoever runs the server to look at its key file for secrets")
        }
        Reason::SandboxNotFound
        | Reason::RunnerNotFound
        | Reason::ProfileNotFound
        | Reason::ResourceNotFound
        | Reason::CommandTimeout
        | Reason::RunnerUnavailable
        | Reason::BackendUnavailable
        | Reason::Overloaded
        | Reason::FileNotFound
        | Reason::FilePermissionDenied
        | Reason::FileIoFailed
        | Reason::InvalidRequest
        | Reason::Unauthenticated
        | Reason::PermissionDenied
        | Reason::EtagMismatch
        | Reason::FssNotFound
        | Reason::FssInflightLimit
        | Reason::FssCreateFailed
        | Reason::FssCanceled
        | Reason::Internal => None,
    }
}

/// What a kind of refusal asks for.
pub(super) fn by_code(code: Code) -> &'static str {
    match code {
        Code::Unauthenticated => "log in with a token that is valid: cwic auth login --server URL",
        Code::PermissionDenied => "ask for a token with the role sandbox_admin",
        Code::InvalidArgument => "correct the document; nothing was changed",
        Code::NotFound => "list what there is: cwic sandbox profile ls, cwic sandbox runner ls",
        Code::AlreadyExists => "choose another name, or change what has it with edit",
        Code::Aborted => "look at it again with get, and decide anew",
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => "try again later",
        Code::Internal => "give the request id to whoever runs the server",
        Code::FailedPrecondition => {
            "look at what it is about with get or describe, and change that first"
        }
        Code::Unimplemented => "this server cannot do that; compare versions with cwic version",
    }
}
