//! REST: from HTTP requests to what the control plane does, and back.
//!
//! Every answer that is no success has the same shape, whoever refused: the
//! router, the guard or a rule. Nothing here decides anything about profiles.

use axum::Router;
use axum::middleware;
use axum::routing::get;

use crate::plane::ControlPlane;

mod answer;
mod auth;
mod body;
mod changes;
mod guard;
mod health;
mod openapi;
mod params;
mod placing;
mod profile;
mod queue;
mod quota;
mod runner;
mod sandbox;
mod secret;
mod usage;

pub use openapi::OpenApiDocument;

/// The largest body that is read, in bytes.
const BODY_BYTES_MAX: usize = palisade_wire::document::BYTES_MAX;

/// The REST interface, for a server to serve.
pub fn router(plane: ControlPlane) -> Router {
    let guard = guard::Guard::new(plane.limits.requests_max, plane.limits);
    // Those who wait take no place from those who do something.
    let waits = guard::Guard::new(plane.limits.waits_max, plane.limits);
    let api = Router::new()
        .nest("/v1beta2/sandbox/profile-templates", profile::routes())
        .nest("/v1beta2/sandbox/managed-runners", runner::routes())
        .nest("/v1beta2/sandbox/placement", placing::routes())
        .nest("/v1beta2/sandbox/queue", queue::routes())
        .nest("/v1beta2/sandbox/quota", quota::routes())
        .nest("/v1beta2/sandbox/sandboxes", sandbox::routes())
        .nest("/v1beta2/sandbox/secret-stores", secret::routes())
        .route_layer(middleware::from_fn_with_state(
            guard,
            guard::limit_concurrency,
        ));
    let changes = Router::new()
        .nest("/v1beta2/sandbox/changes", changes::routes())
        .route_layer(middleware::from_fn_with_state(
            waits,
            guard::limit_concurrency,
        ));
    let probes = Router::new()
        .route("/healthz", get(health::alive))
        .route("/livez", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/openapi.json", get(openapi::json))
        .route("/openapi.yaml", get(openapi::yaml));
    api.merge(changes)
        .merge(probes)
        .fallback(answer::no_such_path)
        .method_not_allowed_fallback(answer::no_such_method)
        .layer(middleware::from_fn(guard::tell_refusals))
        .with_state(plane)
}
