//! Calls about secret stores and what is in them. Values are sent, and never
//! come back.

use palisade_model::secret::SecretValue;
use palisade_wire::rest::{ListSecretsAnswer, StoredSecret};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{Call, Client};
use crate::error::CallError;
use crate::profiles::{BASE, PAGE_SIZE, page};

const STORES: [&str; 2] = ["v1beta2", "secretstores"];
const STORE: &str = "secret-stores";
const SECRETS: &str = "secrets";

/// The provider that the server itself is.
const BUILT_IN: &str = "SECRET_STORE_PROVIDER_TYPE_BUILT_IN";

/// A secret store, as the server tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretStore {
    /// Its identity.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Who keeps the values, as the protocol spells it.
    pub provider_type: String,
    /// When it was made.
    pub created_at: String,
    /// When anything in it last changed.
    pub updated_at: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stores {
    secret_stores: Vec<SecretStore>,
    next_page_token: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Made {
    secret_store: SecretStore,
}

impl Client {
    /// Makes a store that the server keeps itself.
    pub async fn create_secret_store(&self, name: &str) -> Result<SecretStore, CallError> {
        let body = json!({ "name": name, "providerType": BUILT_IN });
        let call = Call {
            body: Some(&body),
            ..Call::new(Method::POST, &STORES)
        };
        let made: Made = self.write(call).await?;
        Ok(made.secret_store)
    }

    /// Returns all stores of the organization, in the order of their names.
    pub async fn list_secret_stores(&self) -> Result<Vec<SecretStore>, CallError> {
        let mut stores = Vec::new();
        let mut token = String::new();
        loop {
            let call = Call {
                query: page(PAGE_SIZE, &token),
                ..Call::new(Method::GET, &STORES)
            };
            let page: Stores = self.read(call).await?;
            stores.extend(page.secret_stores);
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(stores);
            }
        }
    }

    /// Deletes a store with everything in it.
    pub async fn delete_secret_store(&self, name: &str) -> Result<(), CallError> {
        let path = [STORES[0], STORES[1], name];
        let _: Value = self.write(Call::new(Method::DELETE, &path)).await?;
        Ok(())
    }

    /// Puts a value into a store; an empty field is the secret itself.
    pub async fn put_secret(
        &self,
        store: &str,
        (path, field): (&str, &str),
        value: &SecretValue,
    ) -> Result<StoredSecret, CallError> {
        use base64::Engine as _;
        let value = base64::engine::general_purpose::STANDARD.encode(value.reveal());
        let body = json!({ "path": path, "field": field, "valueBase64": value });
        let place = [BASE[0], BASE[1], STORE, store, SECRETS];
        let call = Call {
            body: Some(&body),
            ..Call::new(Method::PUT, &place)
        };
        self.write(call).await
    }

    /// Returns all secrets of a store, without their values.
    pub async fn list_secrets(&self, store: &str) -> Result<Vec<StoredSecret>, CallError> {
        let place = [BASE[0], BASE[1], STORE, store, SECRETS];
        let mut secrets = Vec::new();
        let mut token = String::new();
        loop {
            let call = Call {
                query: page(PAGE_SIZE, &token),
                ..Call::new(Method::GET, &place)
            };
            let page: ListSecretsAnswer = self.read(call).await?;
            secrets.extend(page.secrets);
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(secrets);
            }
        }
    }

    /// Deletes one secret for good.
    pub async fn delete_secret(
        &self,
        store: &str,
        (path, field): (&str, &str),
    ) -> Result<(), CallError> {
        let place = [BASE[0], BASE[1], STORE, store, SECRETS];
        let mut query = vec![("path", path.to_owned())];
        if !field.is_empty() {
            query.push(("field", field.to_owned()));
        }
        let call = Call {
            query,
            ..Call::new(Method::DELETE, &place)
        };
        let _: Value = self.write(call).await?;
        Ok(())
    }
}
