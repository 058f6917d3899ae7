//! Decisions of people in, over gRPC.

use std::sync::Arc;

use anyhow::Result;
use compline_command::{Commands, auth::WithOperator};
use compline_eventlog::AppenderConfig;
use compline_runtime::{auth::Authenticate, grpc::GrpcServer};
use time::OffsetDateTime;
use tokio::net::TcpListener;

use super::Rooms;
use crate::process::Process;

pub(super) async fn start(rooms: &Rooms, listener: TcpListener, process: &Process) -> Result<()> {
    let settings = &rooms.settings.command;
    let config = settings.grpc.clone();
    let connections = settings.connections;
    let commands = Commands::new(
        rooms.log.appender(AppenderConfig::with_timeout())?,
        rooms.reader(compline_tenancy::NAME, connections).await,
        rooms.reader(compline_activity::NAME, connections).await,
        OffsetDateTime::now_utc,
        settings.verdict_wait,
    );
    let routes = compline_command::routes(&commands, config.max_message);
    let tenants: Arc<dyn Authenticate> = Arc::new(rooms.tenant_keys(connections).await);
    let keys: Arc<dyn Authenticate> = match settings.operator_sha256()? {
        Some(operator) => Arc::new(WithOperator::new(operator, tenants)),
        None => tenants,
    };

    let check = process.health.register("command");
    let server = GrpcServer::new("command", config, process.health.clone())
        .descriptors(compline_api::COMMAND_DESCRIPTOR_SET)
        .authenticate(keys);
    process.doors.spawn("command", |stop| async move {
        check.ready();
        compline_command::serve(&commands, server, listener, routes, stop).await
    });
    Ok(())
}
