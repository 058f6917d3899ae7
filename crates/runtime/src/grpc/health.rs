//! gRPC health, answered from the process's registry.

use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health as HealthApi, HealthServer};
use tonic_health::server::health_reporter;

use crate::Health;

/// The service; until `answering` is cancelled, "" and each of `services` follow the registry.
pub(super) fn service(
    health: &Health,
    services: Vec<String>,
    answering: CancellationToken,
) -> HealthServer<impl HealthApi> {
    let (reporter, service) = health_reporter();
    let mut changes = health.watch();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = answering.cancelled() => return,
            }
            let serves = changes
                .borrow_and_update()
                .values()
                .all(|state| state.serves());
            let status = match serves {
                true => ServingStatus::Serving,
                false => ServingStatus::NotServing,
            };
            for name in std::iter::once("").chain(services.iter().map(String::as_str)) {
                reporter.set_service_status(name, status).await;
            }
        }
    });
    service
}
