use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::name::{OrganizationId, UserId};

fn owner(organization: &str, user: &str) -> Owner {
    Owner {
        organization: OrganizationId::new(organization).unwrap(),
        user: UserId::new(user).unwrap(),
    }
}

fn spec(strategy: NamespaceStrategy, prefix: &str) -> NamespaceSpec {
    NamespaceSpec {
        strategy: Some(strategy),
        prefix: (!prefix.is_empty()).then(|| prefix.parse().unwrap()),
        ..NamespaceSpec::default()
    }
}

fn name_of(spec: &NamespaceSpec, owner: &Owner, profile: u128, profile_name: &str) -> String {
    let occupant = Occupant {
        owner,
        profile: ProfileId::new(Uuid::from_u128(profile)),
        profile_name: &ProfileName::new(profile_name).unwrap(),
    };
    name(spec, &occupant).to_string()
}

fn per_user(organization: &str, user: &str) -> String {
    let spec = spec(NamespaceStrategy::PerUser, "");
    name_of(&spec, &owner(organization, user), 1, "default")
}

fn per_org(organization: &str) -> String {
    let spec = spec(NamespaceStrategy::PerOrg, "");
    name_of(&spec, &owner(organization, "ada"), 1, "default")
}

#[test]
fn plain_identities_make_plain_names() {
    assert_eq!(per_org("acme"), "org-ns-acme");
    assert_eq!(per_org("acme-labs"), "org-ns-acme-labs");
    assert_eq!(per_user("acme", "ada"), "user-ns-acme-ada");
    assert_eq!(per_user("acme", "ada-b"), "user-ns-acme-ada-b");
    let prefixed = spec(NamespaceStrategy::PerUser, "sb-");
    let name = name_of(&prefixed, &owner("acme", "ada"), 1, "default");
    assert_eq!(name, "sb-user-ns-acme-ada");
}

#[test]
fn nobody_asked_means_per_user() {
    let name = name_of(&NamespaceSpec::default(), &owner("acme", "ada"), 1, "x");
    assert_eq!(name, "user-ns-acme-ada");
}

#[test]
fn a_static_namespace_is_taken_as_it_is() {
    let spec = spec(NamespaceStrategy::Static("shared".parse().unwrap()), "sb-");
    assert_eq!(name_of(&spec, &owner("acme", "ada"), 1, "x"), "shared");
}

#[test]
fn a_join_with_two_readings_is_told_apart() {
    assert_eq!(per_user("a", "b-c"), "user-ns-a-b-c");
    let other = per_user("a-b", "c");
    assert!(other.starts_with("user-ns-a-b-c-"), "{other}");
}

#[test]
fn what_is_lower_cased_changed_or_cut_gets_a_hash() {
    let base = per_user("acme", "ada-lovelace");
    for user in [
        "Ada-lovelace",
        "ada.lovelace",
        "ada@lovelace",
        "ada_lovelace",
    ] {
        let name = per_user("acme", user);
        assert!(name.starts_with("user-ns-acme-ada-lovelace-"), "{name}");
        assert_ne!(name, base);
    }
    let long = per_user("acme", &"u".repeat(128));
    assert_eq!(long.len(), 63);
    assert_ne!(long, per_user("acme", &"u".repeat(127)));
}

#[test]
fn the_hash_of_an_identity_never_changes() {
    // A change here would move every such tenant to a new namespace.
    assert_eq!(per_org("Acme"), "org-ns-acme-fca609cc22c92f74");
}

#[test]
fn nobody_can_choose_an_id_that_reads_like_the_hashed_name_of_another() {
    let victim = per_user("a-b", "c");
    let forged = victim.strip_prefix("user-ns-a-").unwrap();
    assert_ne!(per_user("a", forged), victim);
    let victim = per_org("Acme");
    let forged = victim.strip_prefix("org-ns-").unwrap();
    assert_ne!(per_org(forged), victim);
}

#[test]
fn profiles_of_one_name_in_two_organizations_have_two_namespaces() {
    let spec = spec(NamespaceStrategy::PerProfile, "");
    let here = name_of(&spec, &owner("acme", "ada"), 1, "default");
    let there = name_of(&spec, &owner("zeta", "ada"), 2, "default");
    assert!(here.starts_with("profile-ns-default-"), "{here}");
    assert_ne!(here, there);
    let colleague = name_of(&spec, &owner("acme", "bob"), 1, "default");
    assert_eq!(here, colleague);
}

#[test]
fn a_profile_name_without_any_letter_still_makes_a_name() {
    let spec = spec(NamespaceStrategy::PerProfile, "");
    let name = name_of(&spec, &owner("acme", "ada"), 1, "— ☃ —");
    assert_eq!(name.len(), "profile-ns-".len() + HASH_DIGITS);
}

/// Everything that a generated name stands for; the strategy decides.
#[derive(Clone, Debug, PartialEq)]
enum Identity {
    Org(String),
    User(String, String),
    Profile(String, u128),
}

#[derive(Clone, Debug)]
struct Case {
    strategy: NamespaceStrategy,
    prefix: &'static str,
    organization: String,
    user: String,
    profile: u128,
    profile_name: &'static str,
}

impl Case {
    fn identity(&self) -> Option<Identity> {
        let organization = self.organization.clone();
        match self.strategy {
            NamespaceStrategy::PerOrg => Some(Identity::Org(organization)),
            NamespaceStrategy::PerUser => Some(Identity::User(organization, self.user.clone())),
            NamespaceStrategy::PerProfile => Some(Identity::Profile(organization, self.profile)),
            NamespaceStrategy::Static(_) => None,
        }
    }

    fn name(&self) -> String {
        let spec = spec(self.strategy.clone(), self.prefix);
        let owner = owner(&self.organization, &self.user);
        name_of(&spec, &owner, self.profile, self.profile_name)
    }
}

/// Few characters and many hyphens, so that near misses are common.
fn nasty_id() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ab]([ab.A-]{0,3}[ab])?",
        2 => "(user|org|profile)(-ns-[ab])?",
        1 => "[ab]-[0-9a-f]{16}",
        1 => "[ab]{60,128}",
        1 => "[a-zA-Z0-9]([a-zA-Z0-9._@+:-]{0,126}[a-zA-Z0-9])?",
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let strategy = prop::sample::select(vec![
        NamespaceStrategy::PerUser,
        NamespaceStrategy::PerOrg,
        NamespaceStrategy::PerProfile,
        NamespaceStrategy::Static("shared".parse().unwrap()),
    ]);
    let prefix = prop::sample::select(vec!["", "a", "a-", "user-", "org-ns", "x-profile-n"]);
    let profile_name = prop::sample::select(vec!["default", "Default", "a b", "-", "ä"]);
    (
        strategy,
        prefix,
        nasty_id(),
        nasty_id(),
        0u128..3,
        profile_name,
    )
        .prop_map(
            |(strategy, prefix, organization, user, profile, profile_name)| Case {
                strategy,
                prefix,
                organization,
                user,
                profile,
                profile_name,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn two_identities_never_share_a_namespace(cases in prop::collection::vec(case(), 2..32)) {
        let mut owners = std::collections::BTreeMap::new();
        for case in cases {
            if let Some(other) = owners.insert(case.name(), case.clone()) {
                prop_assert_eq!(case.identity(), other.identity(), "{:?} {:?}", case, other);
            }
        }
    }

    #[test]
    fn one_identity_always_has_the_same_name(case in case()) {
        prop_assert_eq!(case.name(), case.clone().name());
    }

    #[test]
    fn every_name_is_a_label_that_keeps_its_prefix(case in case()) {
        let name = case.name();
        prop_assert!(DnsLabel::new(name.clone()).is_ok(), "{}", name);
        if case.identity().is_some() {
            prop_assert!(name.starts_with(case.prefix));
        }
    }
}
