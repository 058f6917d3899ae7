//! Serving as long as commands can be appended.

use std::pin::pin;

use compline_runtime::grpc::GrpcServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::{commands::Commands, error::CommandError};

/// Serves `routes`, which are [`crate::routes`] of `commands` and whatever stands
/// beside them, until `stop`, then drains.
///
/// # Errors
/// [`CommandError::Appender`] before `stop`: the appender is broken and a new start
/// is needed.
pub async fn serve(
    commands: &Commands,
    server: GrpcServer,
    listener: TcpListener,
    routes: Routes,
    stop: CancellationToken,
) -> Result<(), CommandError> {
    let failure = commands.failure();
    let halt = stop.child_token();
    let mut serving = pin!(server.serve(listener, routes, halt.clone()));
    tokio::select! {
        served = &mut serving => served,
        () = failure.happened() => {
            halt.cancel();
            serving.await
        }
    }?;
    match failure.reason() {
        Some(reason) if !stop.is_cancelled() => Err(CommandError::Appender {
            reason: reason.to_owned(),
        }),
        _ => Ok(()),
    }
}
