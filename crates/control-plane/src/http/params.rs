//! The parameters of a path and of a query, none of them unknown.
//!
//! A misspelt `validateOnly` must not make a change, so that what is not known
//! is refused.

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, Path};
use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use palisade_model::refusal::Refusal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind, did_you_mean};
use palisade_wire::query::{self, BadText};
use serde::de::DeserializeOwned;

use crate::error::{ApiError, ApiResult};
use crate::etag::Expectation;
use crate::profiles::Change;

/// What stands in the query and in the headers of a request.
#[derive(Debug)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
    if_match: Option<String>,
}

/// What stands in the places of a path.
pub(super) struct Place<T>(pub(super) T);

/// Parameters that are all known, each given once.
#[derive(Debug)]
pub(super) struct Known(BTreeMap<&'static str, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> ApiResult<Self> {
        let pairs = query::pairs(parts.uri.query().unwrap_or_default());
        let refuse = |error: BadText| refused("query", ViolationKind::Invalid, &error.to_string());
        Ok(Self {
            pairs: pairs.map_err(refuse)?,
            if_match: if_match(&parts.headers),
        })
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Place<T> {
    type Rejection = ApiError;

    /// A path that is no text is refused like everything else.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        query::check_path(parts.uri.path())
            .map_err(|error| refused("path", ViolationKind::Invalid, &error.to_string()))?;
        let place = Path::<T>::from_request_parts(parts, state).await;
        place.map(|Path(value)| Self(value)).map_err(|_| {
            let what = "is not UTF-8 text, with other characters written as in %20";
            refused("path", ViolationKind::Invalid, what)
        })
    }
}

/// All tags of all such headers.
fn if_match(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(IF_MATCH).iter();
    // What is no text matches nothing.
    let values = values.map(|value| value.to_str().unwrap_or_default());
    let values = values.collect::<Vec<_>>();
    (!values.is_empty()).then(|| values.join(","))
}

impl Params {
    /// The parameters, if each is one of `known`, in camel or snake case.
    pub(super) fn known(&self, known: &[&'static str]) -> ApiResult<Known> {
        let mut found = BTreeMap::new();
        for (key, value) in &self.pairs {
            let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
            let name = known.iter().find(|name| plain(name) == plain(key));
            let Some(name) = name.copied() else {
                return Err(unknown(key, known));
            };
            if found.insert(name, value.clone()).is_some() {
                return Err(refused(key, ViolationKind::Duplicate, "is given twice"));
            }
        }
        Ok(Known(found))
    }

    /// How a change is to be made; `is_dry_run` is what the body says.
    pub(super) fn change(&self, known: &Known, is_dry_run: bool) -> ApiResult<Change> {
        Ok(Change {
            expectation: Expectation::from_header(self.if_match.as_deref()),
            is_dry_run: known.flag("validateOnly")? || is_dry_run,
        })
    }
}

impl Known {
    /// The text of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The text of a parameter that must be given; `what` says what for.
    pub(super) fn required(&self, name: &'static str, what: &str) -> ApiResult<&str> {
        let text = self.get(name).filter(|text| !text.is_empty());
        text.ok_or_else(|| refused(name, ViolationKind::Required, what))
    }

    /// A parameter that is true or false; alone, it is true.
    pub(super) fn flag(&self, name: &'static str) -> ApiResult<bool> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1" | "") => Ok(true),
            Some(_) => Err(refused(
                name,
                ViolationKind::Invalid,
                "must be true or false",
            )),
        }
    }

    /// A parameter that reads as a `T`; an empty one is none.
    pub(super) fn parsed<T>(&self, name: &'static str) -> ApiResult<Option<T>>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let parsed = text.parse();
        let refuse = |error: T::Err| refused(name, ViolationKind::Invalid, &error.to_string());
        parsed.map(Some).map_err(refuse)
    }
}

fn unknown(key: &str, known: &[&'static str]) -> ApiError {
    let shown = key.chars().take(64).collect::<String>();
    let hint = match did_you_mean(&shown, known.iter().copied()) {
        Some(name) => format!("; did you mean {name}?"),
        None if known.is_empty() => "; there are none here".to_owned(),
        None => format!("; known are {}", known.join(", ")),
    };
    let what = format!("is not a parameter here{hint}");
    refused(&shown, ViolationKind::UnknownField, &what)
}

fn refused(key: &str, kind: ViolationKind, what: &str) -> ApiError {
    let path = FieldPath::root().key(key);
    Refusal::invalid(vec![Violation::new(path, kind, what)]).into()
}
