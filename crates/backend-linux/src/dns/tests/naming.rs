//! The names of sandboxes: who knows which, and what is behind them.

use std::net::Ipv4Addr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use palisade_model::id::SandboxId;
use palisade_model::policy::{Door, Exposed, Standing};
use palisade_model::profile::{EgressMode, Scope};
use palisade_model::sandbox::Protocol;
use uuid::Uuid;

use super::super::Cause;
use super::stage::{ASKER_ID, Stage, Upstream, address, addresses, standing};
use crate::network::Addresses;

const TARGET: SandboxId = SandboxId::new(Uuid::from_u128(77));
const AT: Addresses = Addresses {
    v4: Ipv4Addr::new(10, 201, 0, 77),
    v6: None,
};

/// A sandbox of this user that exposes a port to this scope at level `web`.
fn exposed_by(user: &str, scope: Scope) -> Standing {
    let door = Door {
        protocol: Protocol::Tcp,
        port: 80,
    };
    let mut standing = standing(&EgressMode::None);
    standing.owner.user = user.parse().unwrap();
    standing.exposed = Some(Exposed {
        level: "web".parse().unwrap(),
        scope,
        doors: [door].into(),
    });
    standing
}

fn name(level: &str) -> String {
    format!("{TARGET}.{level}.sandbox.internal.")
}

#[tokio::test]
async fn a_name_leads_to_the_addresses_of_the_sandbox() {
    let upstream = Upstream::saying([address("140.82.112.4")]).await;
    let stage = Stage::new(&EgressMode::User, &[&upstream]);
    let target = exposed_by("ada", Scope::User);
    stage.directory.insert(TARGET, AT, &target);
    let told = stage.ask(&name("web"), RecordType::A).await;
    assert_eq!(addresses(&told), [AT.v4.to_string()]);
    assert!(told.answers[0].ttl < 10);
    // It has no address of this version, and exists all the same.
    let told = stage.ask(&name("web"), RecordType::AAAA).await;
    assert_eq!(told.metadata.response_code, ResponseCode::NoError);
    assert!(told.answers.is_empty());
    let told = stage.ask(&name("web").to_uppercase(), RecordType::A).await;
    assert_eq!(addresses(&told), [AT.v4.to_string()]);
    assert_eq!(upstream.asked(), 0);
    assert_eq!(stage.directory.refused(ASKER_ID), 0);
}

#[tokio::test]
async fn a_name_exists_only_inside_of_its_scope_and_while_the_sandbox_does() {
    let upstream = Upstream::saying([address("140.82.112.4")]).await;
    for (mode, target, level, is_told) in [
        (EgressMode::User, exposed_by("ada", Scope::Any), "web", true),
        (
            EgressMode::User,
            exposed_by("ada", Scope::Any),
            "ssh",
            false,
        ),
        (
            EgressMode::User,
            exposed_by("bob", Scope::Any),
            "web",
            false,
        ),
        (EgressMode::Org, exposed_by("bob", Scope::Org), "web", true),
        (
            EgressMode::Org,
            exposed_by("bob", Scope::User),
            "web",
            false,
        ),
        (EgressMode::Org, standing(&EgressMode::Org), "web", false),
        (
            EgressMode::Internet,
            exposed_by("ada", Scope::Any),
            "web",
            false,
        ),
    ] {
        let stage = Stage::new(&mode, &[&upstream]);
        stage.directory.insert(TARGET, AT, &target);
        let told = stage.ask(&name(level), RecordType::A).await;
        let code = told.metadata.response_code;
        assert_eq!(
            code == ResponseCode::NoError,
            is_told,
            "{mode:?} {target:?}"
        );
        assert_eq!(
            code == ResponseCode::NXDomain,
            !is_told,
            "{mode:?} {target:?}"
        );
        assert_eq!(stage.refused(Cause::LocalName), u64::from(!is_told));
        assert_eq!(stage.directory.refused(ASKER_ID), u64::from(!is_told));
        stage.directory.remove(AT);
        let told = stage.ask(&name(level), RecordType::A).await;
        assert_eq!(told.metadata.response_code, ResponseCode::NXDomain);
    }
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test]
async fn a_host_name_leads_to_the_entry_point_for_those_only_who_may_use_it() {
    const ENTRY: Addresses = Addresses {
        v4: Ipv4Addr::new(169, 254, 1, 1),
        v6: None,
    };
    let upstream = Upstream::saying([address("140.82.112.4")]).await;
    let door = Door {
        protocol: Protocol::Tcp,
        port: 80,
    };
    for (mode, target, is_told) in [
        (EgressMode::User, exposed_by("ada", Scope::User), true),
        (EgressMode::User, exposed_by("bob", Scope::Any), false),
        (EgressMode::Org, exposed_by("bob", Scope::Org), true),
        (EgressMode::Org, exposed_by("bob", Scope::User), false),
    ] {
        let stage = Stage::new(&mode, &[&upstream]);
        stage.directory.insert(TARGET, AT, &target);
        stage.directory.name_host("box.example.com", TARGET, door);
        // Without an entry point there is no name.
        let told = stage.ask("box.example.com.", RecordType::A).await;
        assert_eq!(told.metadata.response_code, ResponseCode::Refused);
        stage.directory.tell_entry(ENTRY);
        let told = stage.ask("BOX.example.com.", RecordType::A).await;
        let unknown = stage.ask("other.example.com.", RecordType::A).await;
        assert_eq!(unknown.metadata.response_code, ResponseCode::Refused);
        if is_told {
            assert_eq!(addresses(&told), [ENTRY.v4.to_string()]);
        } else {
            // As if it had never been.
            let code = |told: &hickory_proto::op::Message| told.metadata.response_code;
            assert_eq!(code(&told), code(&unknown));
        }
        stage.directory.unname_host(TARGET);
        let told = stage.ask("box.example.com.", RecordType::A).await;
        assert_eq!(told.metadata.response_code, ResponseCode::Refused);
    }
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test]
async fn nothing_is_carried_out_in_questions_of_a_mode_that_reaches_sandboxes_only() {
    let upstream = Upstream::saying([address("140.82.112.4")]).await;
    for mode in [EgressMode::Org, EgressMode::User, EgressMode::Profile] {
        let stage = Stage::new(&mode, &[&upstream]);
        let payload = "a".repeat(60);
        let names = [
            format!("{payload}.{payload}.tunnel.example.com."),
            format!("{payload}.sandbox.internal."),
            format!("{TARGET}.{payload}.sandbox.internal."),
            format!("{payload}.{TARGET}.web.sandbox.internal."),
        ];
        let kinds = [
            RecordType::A,
            RecordType::TXT,
            RecordType::CNAME,
            RecordType::MX,
        ];
        let questions = names.iter().flat_map(|name| kinds.map(|kind| (name, kind)));
        for (name, kind) in questions {
            let told = stage.ask(name, kind).await;
            assert_ne!(told.metadata.response_code, ResponseCode::NoError, "{name}");
            assert!(told.answers.is_empty());
        }
    }
    assert_eq!(upstream.asked(), 0);
}
