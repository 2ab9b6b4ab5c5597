//! `cwic sandbox secret`: values go in, and never come out.

use std::process::ExitCode;

use palisade_client::Client;

use crate::cli::{
    CreateStoreArgs, DeleteSecretArgs, DeleteStoreArgs, ListSecretsArgs, ListStoresArgs,
    OutcomeArgs, SecretCommand, SecretNameArgs, SecretStoreCommand, SetSecretArgs,
};
use crate::commands::Ended;
use crate::commands::confirm::confirm;
use crate::error::CliError;
use crate::listing::{Feed, Listing};
use crate::out::Out;
use crate::outcome::{Outcome, Report};
use crate::present::secrets::{SECRETS, STORES, secret, store};

mod value;

/// What programs are told that a store is.
const STORE: &str = "secretStore";

/// Runs one of the commands.
pub(super) async fn run(command: SecretCommand, client: &Client, out: &mut Out) -> Ended {
    match command {
        SecretCommand::Set(args) => set(args, client, out).await,
        SecretCommand::Ls(args) => list(&args, client, out).await,
        SecretCommand::Rm(args) => remove(&args, client, out).await,
        SecretCommand::Store(SecretStoreCommand::Create(args)) => create(&args, client, out).await,
        SecretCommand::Store(SecretStoreCommand::Ls(args)) => stores(&args, client, out).await,
        SecretCommand::Store(SecretStoreCommand::Rm(args)) => drop_store(&args, client, out).await,
    }
}

/// What people call a secret.
fn name(args: &SecretNameArgs) -> String {
    let SecretNameArgs { store, name, field } = args;
    match field.as_str() {
        "" => format!("{store}/{name}"),
        field => format!("{store}/{name} field {field}"),
    }
}

async fn set(args: SetSecretArgs, client: &Client, out: &mut Out) -> Ended {
    let SetSecretArgs {
        secret,
        from_file,
        outcome,
    } = args;
    let name = name(&secret);
    let value = value::read(from_file.as_deref(), &name, out).await?;
    let address = (secret.name.as_str(), secret.field.as_str());
    let put = client.put_secret(&secret.store, address, &value);
    let put = out.during("waiting for the server", put).await;
    put.map_err(|error| CliError::call(&format!("secret {name} was not kept"), &error))?;
    Ok(told(outcome, ("secret", &name, "kept"), out))
}

async fn list(args: &ListSecretsArgs, client: &Client, out: &mut Out) -> Ended {
    let fetch = async || {
        let listed = client.list_secrets(&args.store).await;
        let listed = listed.map_err(|error| {
            let what = format!("the secrets of store {} were not listed", args.store);
            CliError::call(&what, &error)
        })?;
        Ok(listed.iter().map(secret).collect())
    };
    let listing = Listing {
        columns: &SECRETS,
        is_single: false,
        args: &args.list,
    };
    listing.run(fetch, feed(client), out).await
}

async fn remove(args: &DeleteSecretArgs, client: &Client, out: &mut Out) -> Ended {
    let name = name(&args.secret);
    confirm(
        args.confirm,
        &format!("Delete secret {name} for good?"),
        out,
    )
    .await?;
    let address = (args.secret.name.as_str(), args.secret.field.as_str());
    let deleted = client.delete_secret(&args.secret.store, address);
    let deleted = out.during("waiting for the server", deleted).await;
    deleted.map_err(|error| CliError::call(&format!("secret {name} was not deleted"), &error))?;
    Ok(told(args.outcome, ("secret", &name, "deleted"), out))
}

async fn create(args: &CreateStoreArgs, client: &Client, out: &mut Out) -> Ended {
    let name = args.store.as_str();
    let made = out.during("waiting for the server", client.create_secret_store(name));
    let made = made.await;
    made.map_err(|error| CliError::call(&format!("secret store {name} was not made"), &error))?;
    Ok(told(args.outcome, (STORE, name, "created"), out))
}

async fn stores(args: &ListStoresArgs, client: &Client, out: &mut Out) -> Ended {
    let fetch = async || {
        let listed = client.list_secret_stores().await;
        let listed =
            listed.map_err(|error| CliError::call("secret stores were not listed", &error))?;
        Ok(listed.iter().map(store).collect())
    };
    let listing = Listing {
        columns: &STORES,
        is_single: false,
        args: &args.list,
    };
    listing.run(fetch, feed(client), out).await
}

async fn drop_store(args: &DeleteStoreArgs, client: &Client, out: &mut Out) -> Ended {
    let name = args.store.as_str();
    let question = format!("Delete secret store {name} and everything in it for good?");
    confirm(args.confirm, &question, out).await?;
    let deleted = out.during("waiting for the server", client.delete_secret_store(name));
    let deleted = deleted.await;
    deleted
        .map_err(|error| CliError::call(&format!("secret store {name} was not deleted"), &error))?;
    Ok(told(args.outcome, (STORE, name, "deleted"), out))
}

fn told(
    args: OutcomeArgs,
    (kind, name, done): (&'static str, &str, &'static str),
    out: &mut Out,
) -> ExitCode {
    let mut report = Report::new(args.output);
    let people = if kind == STORE { "secret store" } else { kind };
    let line = format!("{people} {name} {done}");
    report.tell(Outcome::of(kind, name, done), line, out);
    report.finish(out);
    ExitCode::SUCCESS
}

/// Nothing tells of changes of secrets: they are looked at again now and then.
fn feed(client: &Client) -> Feed<'_> {
    Feed::of(&[], client).and_every(std::time::Duration::from_secs(5))
}
