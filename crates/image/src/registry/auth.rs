//! Being let in: with a name and a password, or with a token for one repository.
//!
//! A token is asked for the right to pull one repository, whatever the registry
//! would like us to ask for, at an address that is as safe as the registry's.

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::challenge::{self, Challenge};
use super::credentials::{self, Credential};
use super::session::Session;
use crate::error::{ImageError, harmless};

/// Bytes of the answer of a token server.
const TOKEN_BYTES_MAX: u64 = 64 << 10;

#[derive(Deserialize)]
struct TokenWire {
    token: Option<String>,
    access_token: Option<String>,
}

impl Session<'_> {
    /// Answers the challenges in `headers`.
    pub(super) async fn authorize(
        &self,
        headers: impl Iterator<Item = &str>,
    ) -> Result<HeaderValue, ImageError> {
        let challenges: Vec<_> = headers.flat_map(challenge::parse).collect();
        let login = match &self.credential {
            // It was sent and refused.
            Some(Credential::Token(_)) => return Err(self.unauthorized()),
            Some(Credential::Login { user, password }) => {
                let header = credentials::basic(user, password);
                Some(header.ok_or_else(|| self.unauthorized())?)
            }
            None => None,
        };
        for challenge in &challenges {
            if let Challenge::Bearer { realm, service } = challenge {
                return self.token(realm, service.as_deref(), login).await;
            }
        }
        let login = login.filter(|_| challenges.contains(&Challenge::Basic));
        login.ok_or_else(|| self.unauthorized())
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        login: Option<HeaderValue>,
    ) -> Result<HeaderValue, ImageError> {
        let url = self.token_address(realm, service)?;
        let mut request = self.http.get(url);
        if let Some(login) = login {
            request = request.header(AUTHORIZATION, login);
        }
        let response = request.send().await.map_err(|error| self.broken(error))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.unauthorized()),
            status => return Err(self.failed(status)),
        }
        let body = self.body(response, TOKEN_BYTES_MAX).await?;
        // The text of this error may quote the token: it is dropped.
        let wire = serde_json::from_slice(&body).ok();
        let token = wire.and_then(
            |TokenWire {
                 token,
                 access_token,
             }| token.or(access_token),
        );
        let header = token.and_then(|token| credentials::bearer(&token));
        header.ok_or_else(|| ImageError::malformed("the token of the registry", "it is no token"))
    }

    fn token_address(&self, realm: &str, service: Option<&str>) -> Result<Url, ImageError> {
        let mut url = Url::parse(realm).map_err(|_| {
            let why = "it sends us for a token to no address";
            ImageError::malformed("the answer of the registry", why)
        })?;
        if !self.endpoint.may_lead_to(&url) {
            let host = url.host_str().unwrap_or_default();
            return Err(ImageError::NotAllowed {
                registry: harmless(host.as_bytes()),
                why: "the image's registry sends us there for a token, but not over https or into this machine's own network",
            });
        }
        let scope = format!("repository:{}:pull", self.reference.repository());
        let mut query = url.query_pairs_mut();
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        query.append_pair("scope", &scope);
        drop(query);
        Ok(url)
    }
}
